//! Events → content blocks.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::replay::wrap;
use crate::dialect::ir::{Citation, Event};
use crate::dialect::sink::AnswerShape;

/// The most blocks that are kept.
const BLOCKS_MAX: usize = 4096;
/// The most bytes that are kept while a call is on the wire: no honest answer has as many.
const KEPT_MAX: usize = 16 << 20;

/// A piece of a content block.
pub(super) enum Piece<'e> {
    /// Text that the client reads.
    Text(Cow<'e, str>),
    /// A source of the text before.
    Citation(&'e Citation),
    /// Reasoning that the client reads.
    Thinking(&'e str),
    /// What closes a block of reasoning.
    Signature(Cow<'e, str>),
    /// Reasoning that nobody here can read.
    Redacted(Cow<'e, str>),
    /// A call begins.
    Call { index: u32, id: &'e str, name: &'e str },
    /// A piece of a call's arguments.
    Arguments { index: u32, json: &'e str },
}

/// How reasoning is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    hide: bool,
    format: &'static str,
}

impl Shown {
    /// As the answer's shape has it.
    pub(super) const fn new(shape: &AnswerShape) -> Self {
        Self { hide: shape.hide_reasoning, format: shape.reasoning_format }
    }

    /// What an event says to the client; none if it is of another choice (nothing here can ask for
    /// one), is no content, or is hidden.
    ///
    /// Hidden (`thinking.display: "omitted"`) is the text only: as with Anthropic, signatures and
    /// encrypted blocks stay, since without them the next turn could not go on.
    pub(super) fn piece<'e>(self, event: &'e Event) -> Option<Piece<'e>> {
        Some(match event {
            Event::Text { choice: 0, text } => Piece::Text(Cow::Borrowed(text)),
            // Anthropic's models draw nothing; a link is what a reader of text can use.
            Event::Image { choice: 0, url } => Piece::Text(Cow::Owned(format!("![image]({url})"))),
            Event::Citation { choice: 0, citation } => Piece::Citation(citation),
            Event::Reasoning { choice: 0, text } | Event::ReasoningSummary { choice: 0, text }
                if !self.hide =>
            {
                Piece::Thinking(text)
            }
            Event::ReasoningSignature { choice: 0, signature } => {
                Piece::Signature(wrap(signature, None, self.format))
            }
            Event::ReasoningEncrypted { choice: 0, id, data } => {
                Piece::Redacted(wrap(data, id.as_deref(), self.format))
            }
            Event::ToolStart { choice: 0, index, id, name } => {
                Piece::Call { index: *index, id, name }
            }
            Event::ToolArguments { choice: 0, index, json } => {
                Piece::Arguments { index: *index, json }
            }
            _ => return None,
        })
    }
}

/// A content block.
pub(super) enum Block {
    Text { text: String, citations: Vec<Citation> },
    Thinking { text: String, signature: Option<String> },
    Redacted(String),
    Call { index: u32, id: String, name: String, arguments: String },
}

/// Blocks in order of their beginnings.
#[derive(Default)]
pub(super) struct Blocks {
    list: VecDeque<Block>,
    bytes: usize,
}

impl Blocks {
    /// The blocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.list.iter()
    }

    /// Takes the first block out.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let first = self.list.pop_front();
        if self.list.is_empty() {
            self.bytes = 0;
        }
        first
    }

    /// Whether more is kept than any honest answer needs.
    pub(super) fn is_too_large(&self) -> bool {
        self.bytes > KEPT_MAX || self.list.len() > BLOCKS_MAX
    }

    /// Adds a text that is a block of its own.
    pub(super) fn add_text(&mut self, text: &str) {
        self.list.push_back(Block::Text { text: text.to_owned(), citations: Vec::new() });
    }

    /// Adds a piece to the block that it goes on with, or begins one.
    pub(super) fn add(&mut self, piece: Piece<'_>) {
        self.bytes += size(&piece);
        match (piece, self.list.back_mut()) {
            // What comes after a source is another passage.
            (Piece::Text(more), Some(Block::Text { text, citations })) if citations.is_empty() => {
                text.push_str(&more);
            }
            (Piece::Text(text), _) => {
                let text = text.into_owned();
                self.list.push_back(Block::Text { text, citations: Vec::new() });
            }
            (Piece::Citation(citation), Some(Block::Text { citations, .. })) => {
                citations.push(citation.clone());
            }
            (Piece::Citation(citation), _) => {
                let citations = vec![citation.clone()];
                self.list.push_back(Block::Text { text: String::new(), citations });
            }
            (Piece::Thinking(more), Some(Block::Thinking { text, signature: None })) => {
                text.push_str(more);
            }
            (Piece::Thinking(text), _) => {
                self.list.push_back(Block::Thinking { text: text.to_owned(), signature: None });
            }
            (Piece::Signature(by), Some(Block::Thinking { signature: signature @ None, .. })) => {
                *signature = Some(by.into_owned());
            }
            (Piece::Signature(by), _) => {
                let signature = Some(by.into_owned());
                self.list.push_back(Block::Thinking { text: String::new(), signature });
            }
            (Piece::Redacted(data), _) => self.list.push_back(Block::Redacted(data.into_owned())),
            (Piece::Call { index, id, name }, _) => {
                let (id, name, arguments) = (id.to_owned(), name.to_owned(), String::new());
                self.list.push_back(Block::Call { index, id, name, arguments });
            }
            (Piece::Arguments { index, json }, _) => self.argue(index, json),
        }
    }

    /// Arguments of a call that is not here are those of one that is complete.
    fn argue(&mut self, wanted: u32, json: &str) {
        let call = self.list.iter_mut().rev().find_map(|block| match block {
            Block::Call { index, arguments, .. } if *index == wanted => Some(arguments),
            _ => None,
        });
        if let Some(arguments) = call {
            arguments.push_str(json);
        }
    }
}

fn size(piece: &Piece<'_>) -> usize {
    match piece {
        Piece::Text(text) | Piece::Signature(text) | Piece::Redacted(text) => text.len(),
        Piece::Citation(c) => {
            c.url.len() + c.title.len() + c.content.as_ref().map_or(0, String::len)
        }
        Piece::Thinking(text) => text.len(),
        Piece::Call { id, name, .. } => id.len() + name.len(),
        Piece::Arguments { json, .. } => json.len(),
    }
}
