//! Content blocks that are being read, streamed or whole: what must be remembered of each until it
//! closes.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tools::ANSWER;
use crate::dialect::AnswerFault;
use crate::dialect::ir::{self, Event, FinishReason};
use crate::dialect::media::bounded;
use crate::dialect::sse::EVENT_MAX;

/// The most blocks that may be open at a time. They come one after another; a proxy may interleave
/// a few.
const OPEN_MAX: usize = 32;
/// The longest signature or encrypted reasoning, in bytes.
const SIGNATURE_MAX: usize = 1 << 20;
/// The most citations of one block.
const CITATIONS_MAX: usize = 64;
/// The longest address, title or passage of a citation, in bytes.
const CITED_MAX: usize = 4 << 10;
/// The one choice that Bedrock gives.
const CHOICE: u32 = 0;

/// The content of an answer so far.
#[derive(Default)]
pub(super) struct Content {
    open: Vec<(u64, Block)>,
    /// Calls of the client's tools.
    tools: u32,
    /// The answer came as a call of the tool that stands for `response_format`.
    answered: bool,
    /// Characters of text.
    characters: u64,
    /// Some block began.
    pub(super) spoke: bool,
}

/// What must be remembered of an open block until it closes.
pub(super) enum Block {
    /// Text, from this character on, and what it rests on.
    Text {
        from: u64,
        citations: Vec<ir::Citation>,
    },
    Reasoning {
        signature: String,
        encrypted: Vec<String>,
    },
    /// A call, and whether arguments have come.
    Tool {
        index: u32,
        said: bool,
    },
    /// The call that is the answer, and whether something of it has come.
    Answer {
        said: bool,
    },
    Image {
        format: &'static str,
        bytes: Vec<u8>,
    },
    /// A block that is not for the client: the provider's own tools and their results.
    Hidden,
}

/// A call, whole or its beginning.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    /// `server_tool_use` for the provider's own tools.
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    /// With a whole call only.
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

/// A source that text rests on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Citation<'a> {
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source_content: Option<Vec<Passage<'a>>>,
    #[serde(borrow)]
    location: Option<Location<'a>>,
}

/// A text in a list of them.
#[derive(Deserialize)]
pub(super) struct Passage<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Location<'a> {
    #[serde(borrow)]
    web: Option<Web<'a>>,
}

#[derive(Deserialize)]
struct Web<'a> {
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
}

impl Citation<'_> {
    /// The citation, if it is of a page on the web. Those of the client's own documents have no
    /// address that the client could open.
    fn on_the_web(&self) -> Option<ir::Citation> {
        let is_url = |text: &&str| text.starts_with("https://") || text.starts_with("http://");
        let place = self.location.as_ref().and_then(|location| location.web.as_ref());
        let url = place.and_then(|web| web.url.as_deref()).filter(|url| !url.is_empty());
        let url = url.or_else(|| self.source.as_deref().filter(is_url))?;
        let passages = self.source_content.as_deref().unwrap_or_default();
        let text: String = passages.iter().filter_map(|passage| passage.text.as_deref()).collect();
        Some(ir::Citation {
            url: bounded(url, CITED_MAX),
            title: bounded(self.title.as_deref().unwrap_or_default(), CITED_MAX),
            content: Some(bounded(&text, CITED_MAX)).filter(|text| !text.is_empty()),
            start: 0,
            end: 0,
        })
    }
}

impl Content {
    /// Opens a block.
    pub(super) fn open(&mut self, at: u64, block: Block) -> Result<(), AnswerFault> {
        if self.open.len() >= OPEN_MAX || self.open.iter().any(|(index, _)| *index == at) {
            return Err(AnswerFault::Garbled("a block began twice, or too many are open"));
        }
        // Each may be large.
        let is_image = |block: &Block| matches!(block, Block::Image { .. });
        if is_image(&block) && self.open.iter().any(|(_, other)| is_image(other)) {
            return Err(AnswerFault::Garbled("two images at a time"));
        }
        self.spoke = true;
        self.open.push((at, block));
        Ok(())
    }

    /// The open block at this index; one of this kind is opened if there is none, since Bedrock
    /// announces calls only.
    pub(super) fn at(
        &mut self,
        at: u64,
        new: impl FnOnce(u64) -> Block,
    ) -> Result<&mut Block, AnswerFault> {
        if !self.open.iter().any(|(index, _)| *index == at) {
            let block = new(self.characters);
            self.open(at, block)?;
        }
        let found = self.open.iter_mut().find(|(index, _)| *index == at);
        found.map(|(_, block)| block).ok_or(AnswerFault::Garbled("a delta without a block"))
    }

    /// An empty block of text.
    pub(super) const fn text_block(&self) -> Block {
        Block::Text { from: self.characters, citations: Vec::new() }
    }

    /// The block of a call that begins.
    pub(super) fn call(
        &mut self,
        call: &ToolUse<'_>,
        out: &mut Vec<Event>,
    ) -> Result<Block, AnswerFault> {
        if call.kind.as_deref() == Some("server_tool_use") {
            return Ok(Block::Hidden);
        }
        let (Some(id), Some(name)) = (&call.tool_use_id, &call.name) else {
            return Err(AnswerFault::Garbled("a toolUse without id or name"));
        };
        if name == ANSWER {
            self.answered = true;
            return Ok(Block::Answer { said: false });
        }
        let index = self.tools;
        self.tools = index.checked_add(1).ok_or(AnswerFault::TooLarge)?;
        let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
        out.push(Event::ToolStart { choice: CHOICE, index, id, name });
        Ok(Block::Tool { index, said: false })
    }

    /// A piece of text.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        if !text.is_empty() {
            let characters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            self.characters = self.characters.saturating_add(characters);
            out.push(Event::Text { choice: CHOICE, text: text.to_owned() });
        }
    }

    /// Closes the block at this index, if it is open.
    pub(super) fn close(&mut self, at: u64, out: &mut Vec<Event>) {
        if let Some(place) = self.open.iter().position(|(index, _)| *index == at) {
            let (_, block) = self.open.swap_remove(place);
            self.end(block, out);
        }
    }

    /// Says what is known of a block only when it is complete.
    pub(super) fn end(&mut self, block: Block, out: &mut Vec<Event>) {
        let choice = CHOICE;
        match block {
            Block::Text { from, citations } => {
                for citation in citations {
                    let citation = ir::Citation { start: from, end: self.characters, ..citation };
                    out.push(Event::Citation { choice, citation });
                }
            }
            Block::Reasoning { signature, encrypted } => {
                if !signature.is_empty() {
                    out.push(Event::ReasoningSignature { choice, signature });
                }
                if !encrypted.is_empty() {
                    let data = joined(encrypted);
                    out.push(Event::ReasoningEncrypted { choice, id: None, data });
                }
            }
            Block::Tool { index, said: false } => {
                out.push(Event::ToolArguments { choice, index, json: "{}".to_owned() });
            }
            Block::Answer { said: false } => self.text("{}", out),
            Block::Image { format, bytes } if !bytes.is_empty() => {
                let url = format!("data:image/{format};base64,{}", STANDARD.encode(bytes));
                out.push(Event::Image { choice, url });
            }
            Block::Tool { .. } | Block::Answer { .. } | Block::Image { .. } | Block::Hidden => {}
        }
    }

    /// The end of the message; blocks that were not closed are.
    pub(super) fn finish(&mut self, native: &str, stop: Option<String>, out: &mut Vec<Event>) {
        let mut open = std::mem::take(&mut self.open);
        open.sort_unstable_by_key(|(index, _)| *index);
        open.into_iter().for_each(|(_, block)| self.end(block, out));
        let reason = match native {
            "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
            "guardrail_intervened" | "content_filtered" | "refusal" => FinishReason::ContentFilter,
            // The model wrote what Bedrock could not read.
            "malformed_model_output" | "malformed_tool_use" => FinishReason::Error,
            "tool_use" if self.answered && self.tools == 0 => FinishReason::Stop,
            "tool_use" => FinishReason::ToolCalls,
            // end_turn, stop_sequence and reasons yet to be invented: with calls made, clients look
            // for them only under the one word.
            _ if self.tools > 0 => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        };
        out.push(Event::Finish { choice: CHOICE, reason, native: bounded(native, 64), stop });
    }
}

impl Block {
    /// An empty block of reasoning.
    pub(super) const fn reasoning() -> Self {
        Self::Reasoning { signature: String::new(), encrypted: Vec::new() }
    }

    /// An empty image of this format.
    pub(super) fn image(format: &str) -> Self {
        let known = ["png", "jpeg", "gif", "webp"].into_iter().find(|known| *known == format);
        known.map_or(Self::Hidden, |format| Self::Image { format, bytes: Vec::new() })
    }

    /// Adds a piece of a call's input; the answer's is text, which is returned.
    pub(super) fn input<'t>(&mut self, json: &'t str, out: &mut Vec<Event>) -> Option<&'t str> {
        if json.is_empty() {
            return None;
        }
        match self {
            Self::Tool { index, said } => {
                *said = true;
                let (index, json) = (*index, json.to_owned());
                out.push(Event::ToolArguments { choice: CHOICE, index, json });
                None
            }
            Self::Answer { said } => {
                *said = true;
                Some(json)
            }
            _ => None,
        }
    }

    /// Adds a piece of visible reasoning.
    pub(super) fn think(&self, text: &str, out: &mut Vec<Event>) {
        if matches!(self, Self::Reasoning { .. }) && !text.is_empty() {
            out.push(Event::Reasoning { choice: CHOICE, text: text.to_owned() });
        }
    }

    /// Adds pieces of the signature and of encrypted reasoning.
    pub(super) fn sign(&mut self, piece: &str, secret: &str) -> Result<(), AnswerFault> {
        let Self::Reasoning { signature, encrypted } = self else { return Ok(()) };
        signature.push_str(piece);
        if !secret.is_empty() {
            encrypted.push(secret.to_owned());
        }
        let held: usize = encrypted.iter().map(|piece| piece.len() + size_of::<String>()).sum();
        if signature.len() > SIGNATURE_MAX || held > SIGNATURE_MAX {
            return Err(AnswerFault::TooLarge);
        }
        Ok(())
    }

    /// Adds a source.
    pub(super) fn cite(&mut self, citation: &Citation<'_>) {
        if let Self::Text { citations, .. } = self
            && citations.len() < CITATIONS_MAX
        {
            citations.extend(citation.on_the_web());
        }
    }

    /// Adds a piece of an image, as base64.
    pub(super) fn paint(&mut self, base64: &str) -> Result<(), AnswerFault> {
        let Self::Image { bytes, .. } = self else { return Ok(()) };
        let piece = STANDARD.decode(base64);
        bytes.extend(piece.map_err(|_| AnswerFault::Garbled("an image is not base64"))?);
        if bytes.len() > EVENT_MAX {
            return Err(AnswerFault::TooLarge);
        }
        Ok(())
    }
}

/// Pieces of base64 as one: each may have its own padding.
fn joined(mut pieces: Vec<String>) -> String {
    if pieces.len() == 1 {
        return pieces.swap_remove(0);
    }
    let bytes: Result<Vec<Vec<u8>>, _> =
        pieces.iter().map(|piece| STANDARD.decode(piece)).collect();
    bytes.map_or_else(|_| pieces.concat(), |bytes| STANDARD.encode(bytes.concat()))
}
