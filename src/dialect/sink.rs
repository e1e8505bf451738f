//! What a surface does with the events of an answer.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::ir::Event;
use crate::dialect::Bill;
use crate::error::GatewayError;
use crate::vocab::Usage;

/// What every piece of an answer, or the whole answer, repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerShape {
    /// The generation's id: `gen-…`.
    pub id: String,
    /// When the answer began, in seconds since 1970.
    pub created: u64,
    /// The public id of the model that answers.
    pub model: String,
    /// The display name of the provider that answers.
    pub provider: String,
    /// Leave the reasoning out (`reasoning.exclude`); it is billed all the same.
    pub hide_reasoning: bool,
    /// What the form of the provider's reasoning is called; see
    /// [`super::Dialect::reasoning_format`].
    pub reasoning_format: &'static str,
    /// Members of the request that the answer repeats, as JSON: `"temperature":1,…`, without
    /// braces. Only Responses does that.
    pub echo: Option<Arc<str>>,
    /// `openrouter_metadata` as JSON, for a client that asked for it: a stream tells it with its end
    /// (to a whole answer the pipe adds it).
    pub metadata: Option<Arc<str>>,
}

/// Writes the events of one answer as a stream, as they come.
pub trait StreamSink: Send + Sync {
    /// Appends what the event means to the client to `wire`. `cost` is what the answer is charged;
    /// it is looked at with [`Event::End`] only, before which [`Event::Usage`] has come.
    fn write(&mut self, event: &Event, cost: Option<Bill>, wire: &mut Vec<u8>);

    /// Appends what ends a stream whose beginning is with the client, and which went wrong: open
    /// blocks are closed where the surface demands it, and it never looks complete.
    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>);

    /// Takes over a stream whose beginning passed by: the writer has been given its events, whose
    /// bytes were thrown away, and goes on under the names and numbers that the client has seen.
    /// Appends what must be said first. `false`: what passed is not what the events say, so that
    /// nobody can go on with it.
    fn adopt(&mut self, passed: &Passed, wire: &mut Vec<u8>) -> bool;

    /// Replaces [`AnswerShape::metadata`]: the answer goes on elsewhere.
    fn retell(&mut self, metadata: Option<Arc<str>>);
}

/// The names and numbers of a stream that passed as its provider wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Ids and kinds of the items that began (Responses).
    pub items: Vec<(String, String)>,
    /// The number of the next event (Responses).
    pub sequence: u64,
    /// Blocks that began, and those that ended (Messages).
    pub blocks: (u64, u64),
}

/// The longest id of an item that is kept, and the most items.
const ITEM_ID_MAX: usize = 256;
const ITEMS_MAX: usize = 1 << 10;

impl Passed {
    /// Takes note of an event. Quotes inside a string are escaped, so that what is found with its
    /// quotes is a member or a value.
    pub fn note(&mut self, name: &str, data: &str) {
        const NUMBER: &str = "\"sequence_number\":";
        match name {
            "content_block_start" => self.blocks.0 += 1,
            "content_block_stop" => self.blocks.1 += 1,
            "response.output_item.added" if self.items.len() < ITEMS_MAX => {
                self.items.push(item(data).unwrap_or_default());
            }
            _ => {}
        }
        if let Some(at) = memchr::memmem::rfind(data.as_bytes(), NUMBER.as_bytes()) {
            let rest = data.get(at + NUMBER.len()..).unwrap_or_default().trim_start();
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number = rest.get(..digits).and_then(|digits| digits.parse::<u64>().ok());
            self.sequence = number.map_or(self.sequence, |number| number.saturating_add(1));
        }
    }
}

fn item(data: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Added<'a> {
        #[serde(borrow)]
        item: Item<'a>,
    }
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    let Added { item: Item { id, kind } } = serde_json::from_str(data).ok()?;
    let short = id.len() <= ITEM_ID_MAX && kind.len() <= ITEM_ID_MAX;
    short.then(|| (id.into_owned(), kind.into_owned()))
}

/// Collects the events of one answer and writes it whole.
pub trait WholeSink: Send + Sync {
    /// Adds what the event carries. A choice that no request can ask for is ignored.
    fn write(&mut self, event: &Event);

    /// The answer as JSON.
    fn finish(self: Box<Self>, usage: Option<&Usage>, cost: Option<Bill>) -> Vec<u8>;
}
