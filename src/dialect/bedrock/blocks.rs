//! Content blocks: the hub's messages in the order and grouping that Converse demands.

use std::borrow::Cow;

use super::files::{self, File, Names};
use super::model::Family;
use crate::dialect::anthropic;
use crate::dialect::ids::{Ids, Rule};
use crate::dialect::ir::{
    Assistant, CacheMark, FileSource, Message, Part, PartBody, ReasoningBlock, ReasoningBody,
    Request,
};
use crate::dialect::media::{arguments_object, refusal};
use crate::error::GatewayError;

/// What the user says before an assistant that speaks first: Bedrock wants the user to begin.
const OPENING: &str = ".";
/// What stands beside a document without any text: Bedrock wants some.
const BESIDE_DOCUMENT: &str = "The document is attached.";
/// What a tool returned that returned nothing: Bedrock wants some text, and not a blank one.
const NO_OUTPUT: &str = "(no output)";
/// What may be the id of a call (service model, 2026-11).
const IDS: Rule = Rule { punctuation: b"_.:-", max: 64 };
/// The longest name of a tool.
pub(super) const TOOL_NAME_MAX: usize = 64;

/// A block, borrowed from the request where it can be.
pub(super) struct Block<'r> {
    pub(super) body: Body<'r>,
    pub(super) cache: Option<CacheMark>,
}

/// What a block is.
pub(super) enum Body<'r> {
    Text { name: Option<&'r str>, text: &'r str },
    File(File<'r>),
    ToolUse { id: Cow<'r, str>, name: &'r str, input: Cow<'r, str> },
    ToolResult { id: Cow<'r, str>, content: Vec<Self>, is_error: bool },
    Reasoning { text: &'r str, signature: &'r str },
    RedactedReasoning(&'r str),
}

/// Turns of one role, blocks in order.
pub(super) struct Turn<'r> {
    pub(super) assistant: bool,
    pub(super) blocks: Vec<Block<'r>>,
}

/// A conversation as Converse takes it.
pub(super) struct Conversation<'r> {
    pub(super) system: Vec<Block<'r>>,
    pub(super) turns: Vec<Turn<'r>>,
    family: Family,
    ids: Ids<'r>,
    names: Names,
}

/// Groups the messages.
///
/// # Errors
/// A part cannot be expressed; or nothing is left to answer to.
pub(super) fn conversation(
    request: &Request,
    family: Family,
) -> Result<Conversation<'_>, GatewayError> {
    let (ids, names) = (Ids::of(&IDS), Names::default());
    let mut out = Conversation { system: Vec::new(), turns: Vec::new(), family, ids, names };
    for (i, message) in request.messages.iter().enumerate() {
        match message {
            Message::System { parts, name } => {
                let blocks = out.blocks(parts, name.as_deref(), Place::System(i))?;
                out.system.extend(blocks);
            }
            Message::User { parts, name } => {
                let blocks = out.blocks(parts, name.as_deref(), Place::User(i))?;
                out.say(false, blocks);
            }
            Message::Assistant(turn) => {
                let blocks = out.assistant(turn, i)?;
                out.say(true, blocks);
            }
            Message::Tool { call_id, parts, is_error } => {
                let content = out.blocks(parts, None, Place::Tool(i))?;
                // Within a result a mark means the same as behind it.
                let cache = content.iter().rev().find_map(|block| block.cache);
                let content = content.into_iter().map(|block| block.body).collect();
                let id = out.ids.result(call_id);
                let body = Body::ToolResult { id, content, is_error: *is_error };
                out.say(false, vec![Block { body, cache }]);
            }
        }
    }
    out.finish(request.cache)
}

/// Whose part it is, and of which message.
#[derive(Clone, Copy)]
enum Place {
    System(usize),
    User(usize),
    Assistant(usize),
    Tool(usize),
}

impl Place {
    fn param(self, part: usize, field: &str) -> String {
        let (Self::System(i) | Self::User(i) | Self::Assistant(i) | Self::Tool(i)) = self;
        format!("messages[{i}].content[{part}].{field}")
    }
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

    fn finish(mut self, cache: Option<CacheMark>) -> Result<Self, GatewayError> {
        self.trim_prefill();
        if self.turns.is_empty() {
            // A request of instructions only is answered by OpenAI: they become the user's.
            let blocks = std::mem::take(&mut self.system);
            self.say(false, blocks);
        }
        let Some(first) = self.turns.first() else {
            return Err(refusal("messages".into(), "must have some text that is not blank"));
        };
        if first.assistant {
            self.turns.insert(0, Turn { assistant: false, blocks: vec![said(OPENING)] });
        }
        for turn in &mut self.turns {
            let is_document =
                |block: &Block<'_>| matches!(&block.body, Body::File(f) if f.kind == "document");
            let is_text = |block: &Block<'_>| matches!(block.body, Body::Text { .. });
            if turn.blocks.iter().any(is_document) && !turn.blocks.iter().any(is_text) {
                turn.blocks.push(said(BESIDE_DOCUMENT));
            }
        }
        let last = self.turns.last_mut().and_then(|turn| turn.blocks.last_mut());
        if let Some(last) = last {
            last.cache = last.cache.or(cache);
        }
        Ok(self)
    }

    /// Claude refuses a text of its own to go on with that ends in white space.
    fn trim_prefill(&mut self) {
        let Some(last) = self.turns.last_mut().filter(|turn| turn.assistant) else { return };
        if let Some(Block { body: Body::Text { text, .. }, .. }) = last.blocks.last_mut() {
            // Never empty: blank texts are left out before.
            *text = text.trim_end();
        }
    }

    fn assistant(
        &mut self,
        turn: &'r Assistant,
        message: usize,
    ) -> Result<Vec<Block<'r>>, GatewayError> {
        let mut out = Vec::new();
        if self.family.is_claude() {
            out.extend(turn.reasoning.iter().filter_map(reasoning));
        }
        let thoughts = out.len();
        out.extend(self.blocks(&turn.parts, turn.name.as_deref(), Place::Assistant(message))?);
        self.ids.begin_turn();
        for (j, call) in turn.tool_calls.iter().enumerate() {
            if call.name.len() > TOOL_NAME_MAX {
                let param = format!("messages[{message}].tool_calls[{j}].function.name");
                return Err(refusal(param, "may have at most 64 characters for this model"));
            }
            let (id, input) = (self.ids.call(&call.id), arguments_object(&call.arguments));
            let body = Body::ToolUse { id, name: &call.name, input };
            out.push(Block { body, cache: None });
        }
        if out.len() == thoughts {
            // Reasoning that led to nothing is refused at the end of a turn.
            out.clear();
        }
        Ok(out)
    }

    /// The blocks of a message's parts. The speaker's name goes before the first text, as
    /// OpenRouter does it for dialects without names.
    fn blocks(
        &mut self,
        parts: &'r [Part],
        name: Option<&'r str>,
        place: Place,
    ) -> Result<Vec<Block<'r>>, GatewayError> {
        let mut name = name.filter(|name| !name.is_empty());
        let mut out = Vec::with_capacity(parts.len());
        for (j, part) in parts.iter().enumerate() {
            let body = match &part.body {
                // Bedrock refuses blank texts.
                PartBody::Text(text) | PartBody::Refusal(text) if text.trim().is_empty() => {
                    continue;
                }
                PartBody::Text(text) | PartBody::Refusal(text) => {
                    Body::Text { name: name.take(), text }
                }
                file => {
                    let file = self.file(file, place);
                    Body::File(file.map_err(|(field, what)| refusal(place.param(j, field), what))?)
                }
            };
            out.push(Block { body, cache: part.cache });
        }
        if matches!(place, Place::Tool(_)) && out.is_empty() {
            let cache = parts.iter().rev().find_map(|part| part.cache);
            out.push(Block { cache, ..said(NO_OUTPUT) });
        }
        Ok(out)
    }

    /// A part that is no text. Whether a model other than Claude sees or hears is for Bedrock to
    /// say.
    fn file(
        &mut self,
        part: &'r PartBody,
        place: Place,
    ) -> Result<File<'r>, (&'static str, &'static str)> {
        const DEAF: &str = "must not be \"input_audio\": this model is deaf";
        const STILL: &str = "must not be a video: this model takes images";
        let claude = self.family.is_claude();
        match (part, place) {
            (_, Place::System(_) | Place::Assistant(_)) => {
                Err(("type", "must be text: this model takes files from user and tools only"))
            }
            (PartBody::Image { url, .. }, _) => {
                files::image(url).map_err(|what| ("image_url.url", what))
            }
            (PartBody::File { name, source: FileSource::Url(url) }, _) => {
                let file = files::document(url, name.as_deref(), &mut self.names);
                file.map_err(|what| ("file.file_data", what))
            }
            (PartBody::File { source: FileSource::Id(_), .. }, _) => {
                Err(("file.file_id", "refers to another provider's upload; send `file_data`"))
            }
            (PartBody::Audio { .. }, Place::Tool(_)) => Err(("type", DEAF)),
            (PartBody::Audio { .. }, _) if claude => Err(("type", DEAF)),
            (PartBody::Audio { data, format }, _) => {
                files::audio(data, format).map_err(|what| ("input_audio", what))
            }
            (PartBody::Video(_), _) if claude => Err(("type", STILL)),
            (PartBody::Video(url), _) => files::video(url).map_err(|what| ("video_url.url", what)),
            (PartBody::Text(_) | PartBody::Refusal(_), _) => Err(("type", "must be a file")),
        }
    }
}

fn said(text: &'static str) -> Block<'static> {
    Block { body: Body::Text { name: None, text }, cache: None }
}

/// Reasoning that may be handed back: Claude's, signed or encrypted, by the rule of Anthropic's own
/// dialect, since whether thinking may be on is decided by that rule too.
fn reasoning(block: &ReasoningBlock) -> Option<Block<'_>> {
    if !anthropic::can_be_replayed(block) {
        return None;
    }
    let body = match &block.body {
        ReasoningBody::Text { text, signature } => {
            Body::Reasoning { text, signature: signature.as_deref()? }
        }
        ReasoningBody::Summary(_) => return None,
        ReasoningBody::Encrypted(data) => Body::RedactedReasoning(data),
    };
    Some(Block { body, cache: None })
}
