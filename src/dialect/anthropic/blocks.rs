//! Content blocks: the hub's messages in the order and grouping that Anthropic demands.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::dialect::ids::{Ids, Rule};
use crate::dialect::ir::{
    Assistant, CacheMark, FileSource, Message, Part, PartBody, ReasoningBlock, ReasoningBody,
    Request,
};
use crate::dialect::media::{DataUrl, arguments_object, data_url, refusal};
use crate::error::GatewayError;

/// What may be the id of a call: `^[a-zA-Z0-9_-]+$`.
const IDS: Rule = Rule { punctuation: b"_-", max: 0 };

/// A block, borrowed from the request where it can be.
pub(super) struct Block<'r> {
    pub(super) body: Body<'r>,
    pub(super) cache: Option<CacheMark>,
}

/// What a block is.
pub(super) enum Body<'r> {
    Text { name: Option<&'r str>, text: &'r str },
    Image(Source<'r>),
    Document { title: Option<&'r str>, source: Source<'r> },
    ToolUse { id: Cow<'r, str>, name: &'r str, input: Cow<'r, str> },
    ToolResult { id: Cow<'r, str>, content: Vec<Self>, is_error: bool },
    Thinking { text: &'r str, signature: &'r str },
    RedactedThinking(&'r str),
}

/// Where the bytes of an image or document are.
pub(super) enum Source<'r> {
    Base64 { media_type: &'static str, data: &'r str },
    Url(&'r str),
    Text(String),
}

/// Turns of one role, blocks in order.
pub(super) struct Turn<'r> {
    pub(super) assistant: bool,
    pub(super) blocks: Vec<Block<'r>>,
}

/// A conversation as Anthropic takes it.
#[derive(Default)]
pub(super) struct Conversation<'r> {
    pub(super) system: Vec<Block<'r>>,
    pub(super) turns: Vec<Turn<'r>>,
}

/// Groups the messages.
///
/// # Errors
/// A part cannot be expressed; or nothing is left to answer to.
pub(super) fn conversation(request: &Request) -> Result<Conversation<'_>, GatewayError> {
    let mut out = Conversation::default();
    let mut ids = Ids::of(&IDS);
    for (i, message) in request.messages.iter().enumerate() {
        match message {
            Message::System { parts, name } => {
                out.system.extend(blocks(parts, name.as_deref(), i)?);
            }
            Message::User { parts, name } => {
                let blocks = blocks(parts, name.as_deref(), i)?;
                out.say(false, blocks);
            }
            Message::Assistant(turn) => {
                let blocks = assistant_blocks(turn, &mut ids, i)?;
                out.say(true, blocks);
            }
            Message::Tool { call_id, parts, is_error } => {
                let content = blocks(parts, None, i)?;
                // Within a result a mark means the same as on it.
                let cache = content.iter().rev().find_map(|block| block.cache);
                let content = content.into_iter().map(|block| block.body).collect();
                let id = ids.result(call_id);
                let body = Body::ToolResult { id, content, is_error: *is_error };
                out.say(false, vec![Block { body, cache }]);
            }
        }
    }
    out.finish()
}

impl<'r> Conversation<'r> {
    /// Adds to the last turn of this role, or begins one. Nothing to say: nothing happens.
    fn say(&mut self, assistant: bool, blocks: Vec<Block<'r>>) {
        match self.turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.assistant == assistant => last.blocks.extend(blocks),
            _ => self.turns.push(Turn { assistant, blocks }),
        }
    }

    fn finish(mut self) -> Result<Self, GatewayError> {
        self.trim_prefill();
        if self.turns.is_empty() {
            // A request of instructions only is answered by OpenAI: they become the user's.
            let blocks = std::mem::take(&mut self.system);
            self.say(false, blocks);
        }
        if self.turns.is_empty() {
            return Err(refusal("messages".into(), "must have some text that is not blank"));
        }
        Ok(self)
    }

    /// Anthropic refuses a text of its own to go on with that ends in white space.
    fn trim_prefill(&mut self) {
        let Some(last) = self.turns.last_mut().filter(|turn| turn.assistant) else { return };
        if let Some(Block { body: Body::Text { text, .. }, .. }) = last.blocks.last_mut() {
            // Never empty: blank texts are left out before.
            *text = text.trim_end();
        }
    }
}

fn assistant_blocks<'r>(
    turn: &'r Assistant,
    ids: &mut Ids<'r>,
    message: usize,
) -> Result<Vec<Block<'r>>, GatewayError> {
    let mut out: Vec<Block<'r>> = turn.reasoning.iter().filter_map(thinking_block).collect();
    let thinking = out.len();
    out.extend(blocks(&turn.parts, turn.name.as_deref(), message)?);
    ids.begin_turn();
    for call in &turn.tool_calls {
        let (id, input) = (ids.call(&call.id), arguments_object(&call.arguments));
        let body = Body::ToolUse { id, name: &call.name, input };
        out.push(Block { body, cache: None });
    }
    if out.len() == thinking {
        // Thinking that led to nothing is refused at the end of a turn.
        out.clear();
    }
    Ok(out)
}

/// Whether a block of reasoning is Anthropic's and signed, so that it may be handed back.
pub(in crate::dialect) fn can_be_replayed(block: &ReasoningBlock) -> bool {
    thinking_block(block).is_some()
}

fn thinking_block(block: &ReasoningBlock) -> Option<Block<'_>> {
    let format = block.format.as_deref().unwrap_or("unknown");
    if !matches!(format, "anthropic-claude-v1" | "unknown") {
        return None;
    }
    let body = match &block.body {
        ReasoningBody::Text { text, signature: Some(signature) } => {
            Body::Thinking { text, signature }
        }
        ReasoningBody::Text { signature: None, .. } | ReasoningBody::Summary(_) => return None,
        ReasoningBody::Encrypted(data) => Body::RedactedThinking(data),
    };
    Some(Block { body, cache: None })
}

/// The blocks of a message's parts. The speaker's name goes before the first text, as OpenRouter
/// does it for dialects without names.
fn blocks<'r>(
    parts: &'r [Part],
    name: Option<&'r str>,
    message: usize,
) -> Result<Vec<Block<'r>>, GatewayError> {
    let mut name = name.filter(|name| !name.is_empty());
    let mut out = Vec::with_capacity(parts.len());
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
        let body = match &part.body {
            // Anthropic refuses blank text blocks.
            PartBody::Text(text) | PartBody::Refusal(text) if text.trim().is_empty() => continue,
            PartBody::Text(text) | PartBody::Refusal(text) => {
                Body::Text { name: name.take(), text }
            }
            PartBody::Image { url, .. } => {
                image(url).map_err(|what| refusal(at("image_url.url"), what))?
            }
            PartBody::File { name, source: FileSource::Url(url) } => {
                let source = document(url).map_err(|what| refusal(at("file.file_data"), what))?;
                Body::Document { title: name.as_deref(), source }
            }
            PartBody::File { source: FileSource::Id(_), .. } => {
                let what = "refers to another provider's upload; send `file_data`";
                return Err(refusal(at("file.file_id"), what));
            }
            PartBody::Audio { .. } => {
                return Err(refusal(at("type"), "must not be \"input_audio\": this model is deaf"));
            }
            PartBody::Video(_) => {
                return Err(refusal(at("type"), "must not be a video: this model takes images"));
            }
        };
        out.push(Block { body, cache: part.cache });
    }
    Ok(out)
}

fn image(url: &str) -> Result<Body<'_>, &'static str> {
    let Some(DataUrl { media_type, base64, data }) = data_url(url) else {
        return Ok(Body::Image(Source::Url(url)));
    };
    let media_type = match media_type.as_str() {
        "image/png" => "image/png",
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return Err("must be image/png, image/jpeg, image/gif or image/webp"),
    };
    if !base64 || data.is_empty() {
        return Err("must be data:<type>;base64,<data>");
    }
    Ok(Body::Image(Source::Base64 { media_type, data }))
}

fn document(url: &str) -> Result<Source<'_>, &'static str> {
    let Some(DataUrl { media_type, base64, data }) = data_url(url) else {
        return Ok(Source::Url(url));
    };
    if !base64 || data.is_empty() {
        return Err("must be data:<type>;base64,<data>");
    }
    if media_type == "application/pdf" {
        return Ok(Source::Base64 { media_type: "application/pdf", data });
    }
    if !media_type.starts_with("text/") && media_type != "application/json" {
        return Err("must be application/pdf, application/json or text");
    }
    let bytes = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.trim().is_empty())
        .map(Source::Text)
        .ok_or("must hold text in UTF-8 that is not blank, as base64")
}
