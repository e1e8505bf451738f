//! Streamed answers: events → Anthropic's named events.
//!
//! Content blocks come one after another, never at the same time. Where a provider's calls
//! interleave, or where it says something while a call is not complete, what does not belong to
//! the block on the wire is held back until that block is done: when its arguments are a whole
//! object, or at the end of the answer.

use std::sync::Arc;

use super::arguments::Arguments;
use super::blocks::{Block, Blocks, Piece, Shown};
use super::fault::write_error;
use super::wire::{self, Ending};
use crate::dialect::Bill;
use crate::dialect::chat;
use crate::dialect::ir::{Citation, Event};
use crate::dialect::json;
use crate::dialect::sink::{AnswerShape, Passed, StreamSink};
use crate::error::{GatewayError, Kind};
use crate::vocab::Usage;

/// Writes the events of one answer as server-sent events.
pub struct StreamWriter {
    /// The message's members up to its content.
    head: Vec<u8>,
    shown: Shown,
    /// `message_start` is out.
    begun: bool,
    /// The stream is at its end, good or bad.
    over: bool,
    /// The index of the block on the wire, or of the next one if none is.
    index: u64,
    open: Open,
    held: Blocks,
    usage: Option<Usage>,
    ending: Ending,
    metadata: Option<Arc<str>>,
}

/// The block on the wire.
#[derive(Default)]
enum Open {
    #[default]
    None,
    /// `cited`: a source was named, so that the passage is over.
    Text {
        cited: bool,
    },
    Thinking,
    Call {
        index: u32,
        arguments: Arguments,
    },
}

impl Open {
    /// A call that is on the wire, and whether it may still go on.
    const fn is_incomplete_call(&self) -> bool {
        matches!(self, Self::Call { arguments, .. } if !arguments.is_complete())
    }
}

impl StreamWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        Self {
            head: wire::head(shape),
            shown: Shown::new(shape),
            begun: false,
            over: false,
            index: 0,
            open: Open::None,
            held: Blocks::default(),
            usage: None,
            ending: Ending::default(),
            metadata: shape.metadata.clone(),
        }
    }
}

impl std::fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriter").field("index", &self.index).finish_non_exhaustive()
    }
}

impl StreamSink for StreamWriter {
    fn write(&mut self, event: &Event, cost: Option<Bill>, wire: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            // The message is opened with the first word, so that what is known of its usage by
            // then stands in it.
            Event::Start { .. } => {}
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(cost, wire),
            _ if self.ending.is_finished() => {}
            Event::Finish { choice: 0, .. } => {
                self.ending.note(event);
                self.finish(wire);
            }
            _ => {
                self.ending.note(event);
                if let Some(piece) = self.shown.piece(event) {
                    self.begin(wire);
                    self.take(piece, wire);
                }
            }
        }
    }

    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>) {
        if !self.over {
            self.over = true;
            wire.extend_from_slice(b"event: error\ndata: ");
            write_error(error, wire);
            wire.extend_from_slice(b"\n\n");
        }
    }

    fn adopt(&mut self, passed: &Passed, wire: &mut Vec<u8>) -> bool {
        let (began, ended) = passed.blocks;
        let is_open = ended < began;
        self.begun = true;
        self.index = if is_open { began - 1 } else { began };
        match (is_open, &self.open) {
            // Nothing was said in it yet.
            (true, Open::None) => self.stop(wire),
            // What is new goes into a block of its own.
            (false, _) => self.open = Open::None,
            (true, _) => {}
        }
        // Blocks come one after another where they pass.
        self.held.iter().next().is_none()
    }

    fn retell(&mut self, metadata: Option<Arc<str>>) {
        self.metadata = metadata;
    }
}

impl StreamWriter {
    fn begin(&mut self, wire: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        open_event("message_start", wire);
        json::key(wire, "message");
        wire.extend_from_slice(&self.head);
        wire.extend_from_slice(
            b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null",
        );
        json::key(wire, "usage");
        wire::usage(wire, &self.usage.unwrap_or_default(), None);
        wire.push(b'}');
        close_event(wire);
    }

    /// Puts a piece on the wire, or aside.
    fn take(&mut self, piece: Piece<'_>, wire: &mut Vec<u8>) {
        match (&mut self.open, piece) {
            (Open::Call { index, arguments }, Piece::Arguments { index: wanted, json })
                if *index == wanted =>
            {
                let json = arguments.push(json);
                let (too_large, complete) = (arguments.kept() > KEPT_MAX, arguments.is_complete());
                self.arguments(json, wire);
                if too_large {
                    self.give_up(wire);
                } else if complete {
                    self.release(false, wire);
                }
            }
            (open, piece) if open.is_incomplete_call() => {
                self.held.add(piece);
                if self.held.is_too_large() {
                    self.give_up(wire);
                }
            }
            (_, piece) => self.put(piece, wire),
        }
    }

    /// Puts a piece on the wire; the block that is there is this piece's, or is done.
    fn put(&mut self, piece: Piece<'_>, wire: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => {
                if !matches!(self.open, Open::Text { cited: false }) {
                    self.open_text(wire);
                }
                self.delta("text_delta", "text", &text, wire);
            }
            Piece::Citation(citation) => {
                if !matches!(self.open, Open::Text { .. }) {
                    self.open_text(wire);
                }
                self.cite(citation, wire);
            }
            Piece::Thinking(text) => {
                self.open_thinking(wire);
                self.delta("thinking_delta", "thinking", text, wire);
            }
            Piece::Signature(signature) => {
                self.open_thinking(wire);
                self.delta("signature_delta", "signature", &signature, wire);
                self.close(wire);
            }
            Piece::Redacted(data) => self.redacted(&data, wire),
            Piece::Call { index, id, name } => self.open_call(index, id, name, wire),
            // Of a call that is complete.
            Piece::Arguments { .. } => {}
        }
    }

    /// The block on the wire is done: what was held back follows, up to a call that is not
    /// complete, or `all` of it.
    fn release(&mut self, all: bool, wire: &mut Vec<u8>) {
        while all || !self.open.is_incomplete_call() {
            let Some(block) = self.held.pop() else { return };
            self.put_block(block, wire);
        }
    }

    fn put_block(&mut self, block: Block, wire: &mut Vec<u8>) {
        match block {
            Block::Text { text, citations } => {
                self.open_text(wire);
                if !text.is_empty() {
                    self.delta("text_delta", "text", &text, wire);
                }
                citations.iter().for_each(|citation| self.cite(citation, wire));
            }
            Block::Thinking { text, signature } => {
                self.open_thinking(wire);
                if !text.is_empty() {
                    self.delta("thinking_delta", "thinking", &text, wire);
                }
                if let Some(signature) = signature {
                    self.delta("signature_delta", "signature", &signature, wire);
                    self.close(wire);
                }
            }
            Block::Redacted(data) => self.redacted(&data, wire),
            Block::Call { index, id, name, arguments: json } => {
                self.open_call(index, &id, &name, wire);
                if let Open::Call { arguments, .. } = &mut self.open {
                    let json = arguments.push(&json);
                    self.arguments(json, wire);
                }
            }
        }
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.begin(wire);
        self.release(true, wire);
        self.close(wire);
        if let Some(text) = self.ending.refusal().map(str::to_owned) {
            self.put(Piece::Text(text.into()), wire);
            self.close(wire);
        }
    }

    fn end(&mut self, cost: Option<Bill>, wire: &mut Vec<u8>) {
        if self.ending.failed() {
            let failed = "The provider failed after a part of the answer.";
            return self.abort(&GatewayError::new(Kind::ProviderFailed, failed), wire);
        }
        if !self.ending.is_finished() {
            self.finish(wire);
        }
        self.over = true;
        open_event("message_delta", wire);
        json::key(wire, "delta");
        wire.push(b'{');
        self.ending.write(wire);
        wire.push(b'}');
        json::key(wire, "usage");
        wire::usage(wire, &self.usage.unwrap_or_default(), cost);
        close_event(wire);
        open_event("message_stop", wire);
        chat::write_metadata(wire, self.metadata.as_deref());
        close_event(wire);
    }

    /// What is held back is more than can be: the answer cannot be told, and must not look whole.
    fn give_up(&mut self, wire: &mut Vec<u8>) {
        let error = GatewayError::new(
            Kind::ProviderFailed,
            "The provider's answer interleaves more than can be held back.",
        );
        self.held = Blocks::default();
        self.abort(&error, wire);
    }
}

/// The most bytes of odd arguments that are kept.
const KEPT_MAX: usize = 16 << 20;

/// Blocks on the wire.
impl StreamWriter {
    /// Begins a block up to its type, after the end of the one before.
    fn open_block(&mut self, kind: &str, wire: &mut Vec<u8>) {
        self.close(wire);
        open_event("content_block_start", wire);
        json::number_member(wire, "index", self.index);
        json::key(wire, "content_block");
        wire.push(b'{');
        json::text_member(wire, "type", kind);
    }

    fn open_text(&mut self, wire: &mut Vec<u8>) {
        self.open_block("text", wire);
        wire.extend_from_slice(b",\"text\":\"\"}");
        close_event(wire);
        self.open = Open::Text { cited: false };
    }

    /// Begins a block of reasoning unless one is on the wire.
    fn open_thinking(&mut self, wire: &mut Vec<u8>) {
        if matches!(self.open, Open::Thinking) {
            return;
        }
        self.open_block("thinking", wire);
        wire.extend_from_slice(b",\"thinking\":\"\",\"signature\":\"\"}");
        close_event(wire);
        self.open = Open::Thinking;
    }

    fn open_call(&mut self, index: u32, id: &str, name: &str, wire: &mut Vec<u8>) {
        self.open_block("tool_use", wire);
        json::text_member(wire, "id", id);
        json::text_member(wire, "name", name);
        wire.extend_from_slice(b",\"input\":{}}");
        close_event(wire);
        self.open = Open::Call { index, arguments: Arguments::default() };
    }

    fn redacted(&mut self, data: &str, wire: &mut Vec<u8>) {
        self.open_block("redacted_thinking", wire);
        json::text_member(wire, "data", data);
        wire.push(b'}');
        close_event(wire);
        self.stop(wire);
    }

    fn delta(&self, kind: &str, name: &'static str, text: &str, wire: &mut Vec<u8>) {
        self.open_delta(kind, wire);
        json::text_member(wire, name, text);
        wire.push(b'}');
        close_event(wire);
    }

    fn arguments(&self, json: &str, wire: &mut Vec<u8>) {
        if !json.is_empty() {
            self.delta("input_json_delta", "partial_json", json, wire);
        }
    }

    fn cite(&mut self, citation: &Citation, wire: &mut Vec<u8>) {
        self.open_delta("citations_delta", wire);
        json::key(wire, "citation");
        wire::citation(wire, citation);
        wire.push(b'}');
        close_event(wire);
        self.open = Open::Text { cited: true };
    }

    fn open_delta(&self, kind: &str, wire: &mut Vec<u8>) {
        open_event("content_block_delta", wire);
        json::number_member(wire, "index", self.index);
        json::key(wire, "delta");
        wire.push(b'{');
        json::text_member(wire, "type", kind);
    }

    /// Ends the block on the wire, if one is.
    fn close(&mut self, wire: &mut Vec<u8>) {
        match std::mem::take(&mut self.open) {
            Open::None => return,
            Open::Call { arguments, .. } => {
                self.arguments(&arguments.end().unwrap_or_default(), wire);
            }
            Open::Text { .. } | Open::Thinking => {}
        }
        self.stop(wire);
    }

    fn stop(&mut self, wire: &mut Vec<u8>) {
        open_event("content_block_stop", wire);
        json::number_member(wire, "index", self.index);
        close_event(wire);
        self.index += 1;
    }
}

/// Opens an event up to its data's type.
fn open_event(kind: &str, wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"event: ");
    wire.extend_from_slice(kind.as_bytes());
    wire.extend_from_slice(b"\ndata: {\"type\":\"");
    wire.extend_from_slice(kind.as_bytes());
    wire.push(b'"');
}

fn close_event(wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"}\n\n");
}
