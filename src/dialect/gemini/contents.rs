//! The hub's messages as `contents`: turns of the user, of the model, and of functions.

use std::collections::HashMap;

use super::parts::{Part, part};
use super::signature::sign;
use super::thinking::Model;
use crate::dialect::ir::{self, Assistant, Message, PartBody, Request};
use crate::dialect::json;
use crate::dialect::media::{arguments_object, refusal};
use crate::error::GatewayError;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Model,
    /// Functions; on the wire that is the user. Their answers stand alone, as many as there were
    /// calls, right after the calls.
    Functions,
}

/// Turns of one speaker, parts in order.
pub(super) struct Content<'r> {
    pub(super) speaker: Speaker,
    pub(super) parts: Vec<Part<'r>>,
}

/// A conversation as Gemini takes it.
pub(super) struct Conversation<'r> {
    /// What operators say, wherever it stood.
    pub(super) system: Vec<Part<'r>>,
    pub(super) contents: Vec<Content<'r>>,
    model: Model,
    /// The calls of the latest turn that made some: id → place and name.
    calls: HashMap<&'r str, (usize, &'r str)>,
    /// Answers of functions that were not placed yet, with the places of their calls.
    answers: Vec<(usize, Part<'r>)>,
}

/// Groups the messages.
///
/// # Errors
/// A part cannot be expressed, or there is nothing to answer to.
pub(super) fn conversation(
    request: &Request,
    model: Model,
) -> Result<Conversation<'_>, GatewayError> {
    let mut out = Conversation {
        system: Vec::new(),
        contents: Vec::with_capacity(request.messages.len()),
        model,
        calls: HashMap::new(),
        answers: Vec::new(),
    };
    for (i, message) in request.messages.iter().enumerate() {
        match message {
            Message::System { parts, name } => {
                let parts = read(parts, name.as_deref(), i)?;
                if let Some(j) = parts.iter().position(|part| !matches!(part, Part::Text { .. })) {
                    let at = format!("messages[{i}].content[{j}].type");
                    return Err(refusal(at, "must be \"text\" in a system message"));
                }
                out.system.extend(parts);
            }
            Message::User { parts, name } => {
                let parts = read(parts, name.as_deref(), i)?;
                out.say(Speaker::User, parts);
            }
            Message::Assistant(turn) => {
                let parts = out.turn(turn, i)?;
                out.say(Speaker::Model, parts);
            }
            Message::Tool { call_id, parts, is_error } => {
                out.answer(call_id, parts, *is_error, i)?;
            }
        }
    }
    out.finish()
}

impl<'r> Conversation<'r> {
    /// Adds to the last turn of this speaker, or begins one. Nothing to say: nothing happens.
    fn say(&mut self, speaker: Speaker, parts: Vec<Part<'r>>) {
        if !self.answers.is_empty() {
            self.place_answers();
        }
        match self.contents.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.speaker == speaker => last.parts.extend(parts),
            _ => self.contents.push(Content { speaker, parts }),
        }
    }

    fn turn(&mut self, turn: &'r Assistant, message: usize) -> Result<Vec<Part<'r>>, GatewayError> {
        let mut parts = read(&turn.parts, turn.name.as_deref(), message)?;
        if !turn.tool_calls.is_empty() {
            self.place_answers();
            self.calls.clear();
        }
        for (at, call) in turn.tool_calls.iter().enumerate() {
            self.calls.insert(&call.id, (at, &call.name));
            let args = arguments_object(&call.arguments);
            let id = self.id(&call.id);
            parts.push(Part::Call { id, name: &call.name, args, signature: None });
        }
        sign(turn, &mut parts, self.model);
        Ok(parts)
    }

    /// Calls and answers are matched by id from generation 3 on, which answers with nothing where
    /// the ids are left out; Vertex refuses them for older models, where name and order match
    /// (LiteLLM's pull requests 28324 and 34603, 2026-05 and 2026-07).
    fn id(&self, id: &'r str) -> Option<&'r str> {
        self.model.is_3_or_later().then_some(id)
    }

    fn answer(
        &mut self,
        call_id: &'r str,
        parts: &'r [ir::Part],
        is_error: bool,
        message: usize,
    ) -> Result<(), GatewayError> {
        let Some(&(at, name)) = self.calls.get(call_id) else {
            let place = format!("messages[{message}].tool_call_id");
            return Err(refusal(place, "must be the id of a call in the turn before"));
        };
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for (j, piece) in parts.iter().enumerate() {
            match &piece.body {
                PartBody::Text(text) | PartBody::Refusal(text) => texts.push(text.as_str()),
                body => {
                    let place = |field: &str| format!("messages[{message}].content[{j}].{field}");
                    media.extend(part(body, &place)?);
                }
            }
        }
        let response = response(&texts, is_error);
        self.answers.push((at, Part::Answer { id: self.id(call_id), name, response, media }));
        Ok(())
    }

    /// Places the answers in the order of their calls, with all media after them, save those that
    /// can be part of an answer: generation 3 takes some types there.
    fn place_answers(&mut self) {
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|(at, _)| *at);
        let (mut parts, mut after) = (Vec::with_capacity(answers.len()), Vec::new());
        for (_, mut answer) in answers {
            if let Part::Answer { media, .. } = &mut answer {
                let fits = |part: &Part<'_>| self.model.is_3_or_later() && can_be_answered(part);
                let (within, rest) = std::mem::take(media).into_iter().partition(fits);
                *media = within;
                after.extend::<Vec<_>>(rest);
            }
            parts.push(answer);
        }
        parts.extend(after);
        if !parts.is_empty() {
            self.contents.push(Content { speaker: Speaker::Functions, parts });
        }
    }

    fn finish(mut self) -> Result<Self, GatewayError> {
        self.place_answers();
        if self.contents.is_empty() {
            // A request of instructions only is answered by OpenAI: they become the user's.
            let parts = std::mem::take(&mut self.system);
            self.say(Speaker::User, parts);
        }
        if self.contents.is_empty() {
            return Err(refusal("messages".into(), "must have some text"));
        }
        Ok(self)
    }
}

/// Media that may be part of a function's answer (Google's page on function calling, 2026-11).
fn can_be_answered(part: &Part<'_>) -> bool {
    const TYPES: [&str; 5] =
        ["image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"];
    matches!(part, Part::Inline { mime, .. } if TYPES.contains(&mime.as_ref()))
}

/// The parts of a message. The speaker's name goes before the first text, as OpenRouter does it
/// for dialects without names.
fn read<'r>(
    pieces: &'r [ir::Part],
    name: Option<&'r str>,
    message: usize,
) -> Result<Vec<Part<'r>>, GatewayError> {
    let mut speaker = name.filter(|name| !name.is_empty());
    let mut out = Vec::with_capacity(pieces.len());
    for (j, piece) in pieces.iter().enumerate() {
        let place = |field: &str| format!("messages[{message}].content[{j}].{field}");
        let mut part = part(&piece.body, &place)?;
        if let Some(Part::Text { name, .. }) = &mut part {
            *name = speaker.take();
        }
        out.extend(part);
    }
    Ok(out)
}

/// What a function returned, as the object that Gemini wants: an object as it is, anything else as
/// `result`, a failure as `error`, which is the key that Google documents for it.
fn response(texts: &[&str], is_error: bool) -> String {
    let text = match texts {
        [text] => (*text).to_owned(),
        texts => texts.join("\n"),
    };
    let trimmed = text.trim();
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(trimmed).is_ok();
    let is_object = is_json && trimmed.starts_with('{');
    if is_object && !is_error {
        return trimmed.to_owned();
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    out.extend_from_slice(if is_error { b"{\"error\":" } else { b"{\"result\":" });
    if is_object {
        out.extend_from_slice(trimmed.as_bytes());
    } else {
        json::string(&mut out, &text);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}
