//! The hub's messages in the order, grouping and pieces that a host takes.

use std::borrow::Cow;

use super::host::{Host, Pieces, Prefill, Replay};
use crate::dialect::ir::{
    Assistant, CacheMark, FileSource, Message, Part, PartBody, ReasoningBlock, ReasoningBody,
    Request, ResponseFormat, ToolCall,
};
use crate::dialect::media::{data_url, refusal};
use crate::dialect::scan::Notes;
use crate::error::GatewayError;

/// A message, borrowed from the request where it can be.
pub(super) struct Turn<'r> {
    pub(super) role: &'static str,
    pub(super) name: Option<&'r str>,
    pub(super) pieces: Vec<Piece<'r>>,
    /// Reasoning to be handed back beside the content.
    pub(super) reasoning: &'r [ReasoningBlock],
    pub(super) calls: &'r [ToolCall],
    /// The call that this answers.
    pub(super) call_id: Option<&'r str>,
    /// The model is to go on with it.
    pub(super) prefill: bool,
}

/// A piece of a message.
pub(super) struct Piece<'r> {
    pub(super) body: Body<'r>,
    pub(super) cache: Option<CacheMark>,
}

/// What a piece is.
pub(super) enum Body<'r> {
    Text(Cow<'r, str>),
    Thinking { text: &'r str, signature: Option<&'r str> },
    Part(&'r PartBody),
}

impl Piece<'_> {
    const fn note(text: String) -> Self {
        Self { body: Body::Text(Cow::Owned(text)), cache: None }
    }
}

/// Stands in for a schema where the host knows JSON only.
const SCHEMA: &str = "Answer with one valid JSON object that fits this JSON schema, and with \
                      nothing else: no other text and no code fence.\n";

/// The messages for this host.
///
/// # Errors
/// A piece or turn cannot be expressed.
pub(super) fn turns<'r>(request: &'r Request, host: &Host) -> Result<Vec<Turn<'r>>, GatewayError> {
    let mut out = Turns { host, turns: Vec::with_capacity(request.messages.len()), moved: vec![] };
    let last_user = request.messages.iter().rposition(|m| matches!(m, Message::User { .. }));
    for (i, message) in request.messages.iter().enumerate() {
        if !matches!(message, Message::Tool { .. }) {
            out.flush_moved();
        }
        match message {
            Message::System { parts, name } => out.say("system", parts, name.as_deref(), i)?,
            Message::User { parts, name } => out.say("user", parts, name.as_deref(), i)?,
            Message::Assistant(turn) => {
                let in_loop = last_user.is_none_or(|user| i > user) && !turn.tool_calls.is_empty();
                out.assistant(turn, in_loop, i)?;
            }
            Message::Tool { call_id, parts, is_error } => {
                out.result(call_id, parts, *is_error, i)?;
            }
        }
    }
    out.flush_moved();
    out.finish(request)
}

struct Turns<'r, 'h> {
    host: &'h Host,
    turns: Vec<Turn<'r>>,
    /// What tools returned and their messages cannot hold.
    moved: Vec<Piece<'r>>,
}

impl<'r> Turns<'r, '_> {
    fn say(
        &mut self,
        role: &'static str,
        parts: &'r [Part],
        name: Option<&'r str>,
        at: usize,
    ) -> Result<(), GatewayError> {
        let mut pieces = pieces(parts, self.host, at)?;
        let name = self.speaker(name, &mut pieces);
        self.push(Turn { role, name, pieces, ..Turn::empty() });
        Ok(())
    }

    fn assistant(
        &mut self,
        turn: &'r Assistant,
        in_loop: bool,
        at: usize,
    ) -> Result<(), GatewayError> {
        let mut pieces = pieces(&turn.parts, self.host, at)?;
        let name = self.speaker(turn.name.as_deref(), &mut pieces);
        let mut reasoning = turn.reasoning.as_slice();
        match self.host.replay {
            Replay::Either | Replay::Details | Replay::Text(_) => {}
            Replay::InToolLoop(_) if in_loop => {}
            Replay::Never | Replay::InToolLoop(_) => reasoning = &[],
            Replay::Tags => {
                let thought = std::mem::take(&mut reasoning);
                prepend_tags(thought, &mut pieces);
            }
            Replay::Piece => {
                let thoughts = std::mem::take(&mut reasoning).iter().filter_map(thinking);
                pieces.splice(0..0, thoughts);
            }
        }
        let calls = turn.tool_calls.as_slice();
        let role = "assistant";
        self.push(Turn { role, name, pieces, reasoning, calls, ..Turn::empty() });
        Ok(())
    }

    fn result(
        &mut self,
        call_id: &'r str,
        parts: &'r [Part],
        is_error: bool,
        at: usize,
    ) -> Result<(), GatewayError> {
        if self.host.refuses.meets(Notes::member(b"tools")) {
            let what = "must not be \"tool\": this provider does not take tools";
            return Err(refusal(format!("messages[{at}].role"), what));
        }
        let mut pieces = pieces(parts, self.host, at)?;
        if self.host.pieces == Pieces::OpenAi && pieces.iter().any(|piece| !piece.is_text()) {
            // Only text may stand in a tool's message, and nothing between those of one turn.
            let (texts, media): (Vec<_>, Vec<_>) = pieces.into_iter().partition(Piece::is_text);
            let what = if texts.is_empty() { "What was" } else { "What else was" };
            pieces = texts;
            pieces.push(Piece::note(format!("{what} returned is in the next user message.")));
            self.moved.push(Piece::note(format!("Returned by the tool call {call_id}:")));
            self.moved.extend(media);
        }
        if is_error {
            mark_error(&mut pieces);
        }
        self.push(Turn { role: "tool", pieces, call_id: Some(call_id), ..Turn::empty() });
        Ok(())
    }

    fn flush_moved(&mut self) {
        if !self.moved.is_empty() {
            let pieces = std::mem::take(&mut self.moved);
            self.push(Turn { role: "user", pieces, ..Turn::empty() });
        }
    }

    /// The speaker as a member; or, as OpenRouter does it, in front of the first text.
    fn speaker(&self, name: Option<&'r str>, pieces: &mut [Piece<'r>]) -> Option<&'r str> {
        let name = name.filter(|name| !name.is_empty())?;
        if self.host.names {
            return Some(name);
        }
        let first = pieces.iter_mut().find_map(|piece| piece.text_mut())?;
        *first = Cow::Owned(format!("{name}: {first}"));
        None
    }

    fn push(&mut self, turn: Turn<'r>) {
        match self.turns.last_mut() {
            Some(last) if self.host.alternates && last.role == turn.role => {
                last.pieces.extend(turn.pieces);
            }
            _ => self.turns.push(turn),
        }
    }

    fn finish(mut self, request: &Request) -> Result<Vec<Turn<'r>>, GatewayError> {
        if let (false, Some(ResponseFormat::JsonSchema { schema, .. })) =
            (self.host.schemas, &request.response_format)
        {
            let after = self.turns.iter().position(|turn| turn.role != "system");
            let pieces = vec![Piece::note(format!("{SCHEMA}{}", schema.as_str()))];
            let turn = Turn { role: "system", pieces, ..Turn::empty() };
            self.turns.insert(after.unwrap_or(self.turns.len()), turn);
        }
        let last = self.turns.last_mut();
        if let Some(turn) = last.filter(|turn| turn.role == "assistant" && turn.calls.is_empty()) {
            turn.prefill = true;
            if self.host.prefill == Prefill::Never {
                let at = request.messages.len().saturating_sub(1);
                let what = "must not be \"assistant\" at the end: this provider does not go on \
                            with a turn";
                return Err(refusal(format!("messages[{at}].role"), what));
            }
        }
        Ok(self.turns)
    }
}

impl Turn<'_> {
    const fn empty() -> Self {
        Self {
            role: "user",
            name: None,
            pieces: Vec::new(),
            reasoning: &[],
            calls: &[],
            call_id: None,
            prefill: false,
        }
    }
}

impl<'r> Piece<'r> {
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.body, Body::Text(_))
    }

    const fn text_mut(&mut self) -> Option<&mut Cow<'r, str>> {
        match &mut self.body {
            Body::Text(text) => Some(text),
            Body::Thinking { .. } | Body::Part(_) => None,
        }
    }
}

/// All reasoning that can be read.
pub(super) fn thought(blocks: &[ReasoningBlock]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.body {
        ReasoningBody::Text { text, .. } => Some(text.as_str()),
        ReasoningBody::Summary(_) | ReasoningBody::Encrypted(_) => None,
    });
    texts.collect()
}

/// A block as a piece. A signature means nothing to others than who gave it.
fn thinking(block: &ReasoningBlock) -> Option<Piece<'_>> {
    let ReasoningBody::Text { text, signature } = &block.body else { return None };
    let ours = block.format.as_deref().is_none_or(|format| format == "unknown");
    let signature = signature.as_deref().filter(|_| ours);
    let body = Body::Thinking { text, signature };
    Some(Piece { body, cache: None }).filter(|_| !text.is_empty())
}

fn prepend_tags(reasoning: &[ReasoningBlock], pieces: &mut Vec<Piece<'_>>) {
    let thought = thought(reasoning);
    if thought.is_empty() {
        return;
    }
    let tagged = format!("<think>\n{}\n</think>\n\n", thought.trim());
    match pieces.first_mut().and_then(Piece::text_mut) {
        Some(first) => *first = Cow::Owned(tagged + first),
        None => pieces.insert(0, Piece::note(tagged)),
    }
}

/// OpenAI has no word for a call that failed, so the text says it.
fn mark_error(pieces: &mut Vec<Piece<'_>>) {
    match pieces.first_mut().and_then(Piece::text_mut) {
        Some(text) if text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("error")) => {}
        Some(text) => *text = Cow::Owned(format!("Error: {text}")),
        None => pieces.insert(0, Piece::note("Error".into())),
    }
}

fn pieces<'r>(
    parts: &'r [Part],
    host: &Host,
    message: usize,
) -> Result<Vec<Piece<'r>>, GatewayError> {
    let mut out = Vec::with_capacity(parts.len());
    for (j, part) in parts.iter().enumerate() {
        check_media(&part.body, host, &format!("messages[{message}].content[{j}]"))?;
        let body = match &part.body {
            PartBody::Text(text) => Body::Text(Cow::Borrowed(text)),
            PartBody::Refusal(text) if !host.refusals => Body::Text(Cow::Borrowed(text)),
            other => Body::Part(other),
        };
        out.push(Piece { body, cache: part.cache.filter(|_| host.cache) });
    }
    Ok(out)
}

fn check_media(body: &PartBody, host: &Host, at: &str) -> Result<(), GatewayError> {
    let (note, what) = match body {
        PartBody::Text(_) | PartBody::Refusal(_) => return Ok(()),
        PartBody::Image { .. } => (Notes::IMAGE, "must not be an image: this provider takes none"),
        PartBody::Audio { .. } => (Notes::SOUND, "must not be sound: this provider takes none"),
        PartBody::Video(_) => (Notes::FILM, "must not be a video: this provider takes none"),
        PartBody::File { .. } => (Notes::FILE, "must not be a file: this provider takes none"),
    };
    if host.refuses.meets(note) {
        return Err(refusal(format!("{at}.type"), what));
    }
    match body {
        PartBody::File { source: FileSource::Url(url), .. }
            if !host.file_urls && data_url(url).is_none() =>
        {
            let what = "must be a data: URL: this provider does not fetch documents";
            Err(refusal(format!("{at}.file.file_data"), what))
        }
        _ => Ok(()),
    }
}
