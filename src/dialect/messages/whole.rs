//! Whole answers: events → one message.

use super::blocks::{Block, Blocks, Shown};
use super::wire::{self, Ending};
use crate::dialect::Bill;
use crate::dialect::ir::Event;
use crate::dialect::json;
use crate::dialect::media::arguments_object;
use crate::dialect::sink::{AnswerShape, WholeSink};
use crate::vocab::Usage;

/// Collects the events of one answer and writes it whole.
pub struct WholeWriter {
    head: Vec<u8>,
    shown: Shown,
    blocks: Blocks,
    ending: Ending,
}

impl WholeWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        Self {
            head: wire::head(shape),
            shown: Shown::new(shape),
            blocks: Blocks::default(),
            ending: Ending::default(),
        }
    }
}

impl WholeSink for WholeWriter {
    fn write(&mut self, event: &Event) {
        self.ending.note(event);
        if let Some(piece) = self.shown.piece(event) {
            self.blocks.add(piece);
        }
    }

    fn finish(mut self: Box<Self>, usage: Option<&Usage>, cost: Option<Bill>) -> Vec<u8> {
        if let Some(text) = self.ending.refusal() {
            self.blocks.add_text(text);
        }
        let mut out = self.head;
        json::key(&mut out, "content");
        out.push(b'[');
        self.blocks.iter().for_each(|block| write_block(block, &mut out));
        out.push(b']');
        self.ending.write(&mut out);
        json::key(&mut out, "usage");
        wire::usage(&mut out, &usage.copied().unwrap_or_default(), cost);
        out.push(b'}');
        out
    }
}

fn write_block(block: &Block, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    match block {
        Block::Text { text, citations } => {
            json::text_member(out, "type", "text");
            json::text_member(out, "text", text);
            if !citations.is_empty() {
                json::key(out, "citations");
                out.push(b'[');
                for citation in citations {
                    json::comma(out);
                    wire::citation(out, citation);
                }
                out.push(b']');
            }
        }
        Block::Thinking { text, signature } => {
            json::text_member(out, "type", "thinking");
            json::text_member(out, "thinking", text);
            json::text_member(out, "signature", signature.as_deref().unwrap_or_default());
        }
        Block::Redacted(data) => {
            json::text_member(out, "type", "redacted_thinking");
            json::text_member(out, "data", data);
        }
        Block::Call { id, name, arguments, .. } => {
            json::text_member(out, "type", "tool_use");
            json::text_member(out, "id", id);
            json::text_member(out, "name", name);
            json::key(out, "input");
            out.extend_from_slice(arguments_object(arguments).as_bytes());
        }
    }
    out.push(b'}');
}
