//! The state of an answer on its way out: events → items, and what a stream says of each step.
//!
//! A whole answer goes the same way and says nothing on it, so that both forms agree.

mod adopt;
mod close;
mod say;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::echo::echo;
use super::items::FORMAT;
use super::object::{self, Body, Item, Part, Thought};
use super::tools::customs;
use crate::dialect::ir::{Citation, Event, FinishReason, Request, TokenLogprob};
use crate::dialect::sink::AnswerShape;
use crate::dialect::{json, logprobs};
use crate::vocab::Usage;

/// The longest answer, in bytes: its end repeats all of it, so it must be kept.
const OUTPUT_MAX: usize = 64 << 20;

/// What an item or a part costs beside its text, about, in bytes.
const OVERHEAD: usize = 256;

/// An answer on its way out.
pub(super) struct Output {
    /// What answers have in common: `{"id":…,"model":…`.
    head: Vec<u8>,
    /// Members of the request, without braces.
    echo: String,
    /// The names of tools whose calls have an input instead of arguments.
    customs: Vec<String>,
    /// What ids are made of.
    seed: String,
    hide_reasoning: bool,
    metadata: Option<Arc<str>>,
    format: &'static str,
    /// Nothing is said until the end.
    silent: bool,
    begun: bool,
    sequence: u64,
    items: Vec<Item>,
    /// Ids that a provider gave.
    given: HashSet<String>,
    /// The open message, and the open reasoning; at most one of the two.
    message: Option<usize>,
    reasoning: Option<usize>,
    /// Items of calls by the calls' index in the answer, and in order. All are open until the end:
    /// which one goes on only the provider knows.
    calls: HashMap<u32, usize>,
    open_calls: Vec<usize>,
    /// Where parts of text are: the characters before each, its item, its place in it.
    texts: Vec<(u64, usize, usize)>,
    /// Characters of text so far.
    chars: u64,
    /// Tokens whose text comes next.
    tokens: Vec<TokenLogprob>,
    /// About how many bytes are kept.
    size: usize,
    finish: Option<FinishReason>,
    pub(super) usage: Option<Usage>,
}

impl Output {
    pub(super) fn new(shape: &AnswerShape, silent: bool) -> Self {
        let prefixes = ["gen-", "resp_"].into_iter();
        let seed = prefixes.filter_map(|prefix| shape.id.strip_prefix(prefix)).next();
        let seed = seed.unwrap_or(&shape.id).to_owned();
        let mut head = b"{".to_vec();
        json::text_member(&mut head, "id", &format!("resp_{seed}"));
        json::text_member(&mut head, "object", "response");
        json::number_member(&mut head, "created_at", shape.created);
        // Nobody here looks at the clock when an answer ends.
        head.extend_from_slice(b",\"completed_at\":null");
        json::text_member(&mut head, "model", &shape.model);
        let echo = match &shape.echo {
            Some(echo) => echo.as_ref().to_owned(),
            None => echo(&Request::default()),
        };
        Self {
            head,
            customs: custom_names(&echo),
            echo,
            seed,
            hide_reasoning: shape.hide_reasoning,
            // A whole answer gets it from the pipe.
            metadata: shape.metadata.clone().filter(|_| !silent),
            format: shape.reasoning_format,
            silent,
            begun: false,
            sequence: 0,
            items: Vec::new(),
            given: HashSet::new(),
            message: None,
            reasoning: None,
            calls: HashMap::new(),
            open_calls: Vec::new(),
            texts: Vec::new(),
            chars: 0,
            tokens: Vec::new(),
            size: 0,
            finish: None,
            usage: None,
        }
    }

    /// Takes an event other than the end, and says to `wire` what it means.
    pub(super) fn take(&mut self, event: &Event, wire: &mut Vec<u8>) {
        match event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice: 0, reason, .. } => self.finish = Some(*reason),
            Event::Text { choice: 0, text } if self.charge(text.len()) => {
                self.text(text, false, wire);
            }
            Event::Refusal { choice: 0, text } if self.charge(text.len()) => {
                self.text(text, true, wire);
            }
            Event::Logprobs { choice: 0, refusal: false, tokens }
                if self.charge(logprobs::size(tokens)) =>
            {
                self.tokens.extend_from_slice(tokens);
            }
            Event::Citation { choice: 0, citation } => self.cite(citation, wire),
            Event::ToolStart { choice: 0, index, id, name }
                if self.charge(OVERHEAD + id.len() + name.len()) =>
            {
                self.call(*index, id, name, wire);
            }
            Event::ToolArguments { choice: 0, index, json } if self.charge(json.len()) => {
                self.arguments(*index, json, wire);
            }
            Event::Image { choice: 0, url } if self.charge(OVERHEAD + url.len()) => {
                self.image(url, wire);
            }
            _ if self.hide_reasoning => {}
            Event::Reasoning { choice: 0, text } if self.charge(text.len()) => {
                self.think(text, false, wire);
            }
            Event::ReasoningSummary { choice: 0, text } if self.charge(text.len()) => {
                self.think(text, true, wire);
            }
            Event::ReasoningSignature { choice: 0, signature } if self.charge(signature.len()) => {
                self.sign(signature, wire);
            }
            Event::ReasoningEncrypted { choice: 0, id, data }
                if self.charge(OVERHEAD + data.len()) =>
            {
                self.encrypted(id.as_deref(), data, wire);
            }
            // The beginning is said with the first step of the answer: before that another
            // provider may take over. Other choices cannot be asked for.
            _ => {}
        }
    }

    /// Whether there is room for so many bytes more.
    fn charge(&mut self, bytes: usize) -> bool {
        self.size = self.size.saturating_add(bytes);
        self.size <= OUTPUT_MAX
    }

    fn text(&mut self, text: &str, refusal: bool, wire: &mut Vec<u8>) {
        self.close_reasoning(wire);
        let tokens = std::mem::take(&mut self.tokens);
        let at = match self.message {
            Some(at) => at,
            None => {
                let at = self.open("msg", None, Body::Message(Vec::new()), wire);
                self.message = Some(at);
                at
            }
        };
        let fits = |parts: &[Part]| parts.last().is_some_and(|part| part.refusal == refusal);
        if !matches!(&self.items[at].body, Body::Message(parts) if fits(parts)) {
            self.close_part(at, wire);
            self.size = self.size.saturating_add(OVERHEAD);
            let (text, base, citations, tokens) =
                (String::new(), self.chars, Vec::new(), Vec::new());
            let part = Part { refusal, text, base, citations, tokens };
            if let Body::Message(parts) = &mut self.items[at].body {
                if !refusal {
                    self.texts.push((part.base, at, parts.len()));
                }
                parts.push(part);
            }
            self.say("response.content_part.added", wire, |this, wire| this.part(at, wire));
        }
        if let Body::Message(parts) = &mut self.items[at].body
            && let Some(part) = parts.last_mut()
        {
            part.text.push_str(text);
            if !refusal {
                part.tokens.extend_from_slice(&tokens);
            }
        }
        if refusal {
            self.say("response.refusal.delta", wire, |this, wire| {
                this.place_of_part(at, wire);
                json::text_member(wire, "delta", text);
            });
        } else {
            self.chars = self.chars.saturating_add(text.chars().count() as u64);
            self.say("response.output_text.delta", wire, |this, wire| {
                this.place_of_part(at, wire);
                json::text_member(wire, "delta", text);
                object::logprobs(wire, &tokens);
            });
        }
    }

    /// A source belongs to the part that its passage begins in, or to the last one.
    fn cite(&mut self, citation: &Citation, wire: &mut Vec<u8>) {
        let size = citation.url.len() + citation.title.len() + OVERHEAD;
        if !self.charge(size + citation.content.as_ref().map_or(0, String::len)) {
            return;
        }
        let before = match citation.end {
            0 => self.texts.len(),
            _ => self.texts.partition_point(|(base, ..)| *base <= citation.start),
        };
        let Some(&(base, at, index)) = self.texts.get(before.saturating_sub(1)) else { return };
        let Body::Message(parts) = &mut self.items[at].body else { return };
        let count = parts[index].citations.len();
        parts[index].citations.push(citation.clone());
        self.say("response.output_text.annotation.added", wire, |this, wire| {
            this.place(at, wire);
            json::number_member(wire, "content_index", index as u64);
            json::number_member(wire, "annotation_index", count as u64);
            json::key(wire, "annotation");
            object::annotation(wire, citation, base);
        });
    }

    fn think(&mut self, text: &str, summary: bool, wire: &mut Vec<u8>) {
        self.close_message(wire);
        let at = match self.reasoning {
            Some(at) => at,
            None => self.open_reasoning(None, wire),
        };
        let Body::Reasoning { thoughts, .. } = &mut self.items[at].body else { return };
        if thoughts.last().is_none_or(|thought| thought.summary != summary) {
            let last = thoughts.iter().rev().find(|thought| thought.summary == summary);
            let index = last.map_or(0, |thought| thought.index + 1);
            self.close_thought(at, wire);
            self.size = self.size.saturating_add(OVERHEAD);
            if let Body::Reasoning { thoughts, .. } = &mut self.items[at].body {
                thoughts.push(Thought { summary, index, text: String::new() });
            }
            let kind = match summary {
                true => "response.reasoning_summary_part.added",
                false => "response.content_part.added",
            };
            self.say(kind, wire, |this, wire| this.thought(at, wire));
        }
        if let Body::Reasoning { thoughts, .. } = &mut self.items[at].body
            && let Some(thought) = thoughts.last_mut()
        {
            thought.text.push_str(text);
        }
        let kind = match summary {
            true => "response.reasoning_summary_text.delta",
            false => "response.reasoning_text.delta",
        };
        self.say(kind, wire, |this, wire| {
            this.place_of_thought(at, wire);
            json::text_member(wire, "delta", text);
        });
    }

    fn sign(&mut self, by: &str, wire: &mut Vec<u8>) {
        self.close_message(wire);
        let at = match self.reasoning {
            Some(at) => at,
            None => self.open_reasoning(None, wire),
        };
        if let Body::Reasoning { signature, .. } = &mut self.items[at].body {
            *signature = Some(by.to_owned());
        }
        self.close_reasoning(wire);
    }

    /// A provider gives the id of its reasoning only when it is complete, and it must be handed
    /// back under that id. A stream that has shown a summary by then has named another, so that
    /// the encrypted block becomes an item of its own.
    fn encrypted(&mut self, id: Option<&str>, data: &str, wire: &mut Vec<u8>) {
        self.close_message(wire);
        let id = id.filter(|id| !id.is_empty() && !self.given.contains(*id));
        let own = self.format == FORMAT && (id.is_none() || self.silent);
        let at = match self.reasoning.filter(|_| own) {
            Some(at) => {
                if let Some(id) = id {
                    self.given.insert(id.to_owned());
                    self.items[at].id = id.to_owned();
                }
                at
            }
            None => {
                self.close_reasoning(wire);
                self.open_reasoning(id, wire)
            }
        };
        if let Body::Reasoning { encrypted, .. } = &mut self.items[at].body {
            *encrypted = Some(data.to_owned());
        }
        self.close_reasoning(wire);
    }

    fn call(&mut self, index: u32, id: &str, name: &str, wire: &mut Vec<u8>) {
        self.close_message(wire);
        self.close_reasoning(wire);
        let custom = self.customs.iter().any(|known| known == name);
        let (call_id, name) = (id.to_owned(), name.to_owned());
        let body = Body::Call { call_id, name, arguments: String::new(), custom };
        let at = self.open(if custom { "ctc" } else { "fc" }, None, body, wire);
        self.calls.insert(index, at);
        self.open_calls.push(at);
    }

    fn arguments(&mut self, index: u32, piece: &str, wire: &mut Vec<u8>) {
        let Some(&at) = self.calls.get(&index) else { return };
        let Body::Call { arguments, custom, .. } = &mut self.items[at].body else { return };
        arguments.push_str(piece);
        if !*custom {
            self.say("response.function_call_arguments.delta", wire, |this, wire| {
                this.place(at, wire);
                json::text_member(wire, "delta", piece);
            });
        }
    }

    fn image(&mut self, url: &str, wire: &mut Vec<u8>) {
        self.close_message(wire);
        self.close_reasoning(wire);
        let at = self.open("ig", None, Body::Image(String::new()), wire);
        self.items[at].body = Body::Image(url.to_owned());
        self.done(at, "completed", wire);
    }

    fn open_reasoning(&mut self, id: Option<&str>, wire: &mut Vec<u8>) -> usize {
        let (thoughts, format) = (Vec::new(), self.format);
        let body = Body::Reasoning { thoughts, signature: None, encrypted: None, format };
        let at = self.open("rs", id, body, wire);
        self.reasoning = Some(at);
        at
    }

    /// Adds an item and says so.
    fn open(&mut self, prefix: &str, id: Option<&str>, body: Body, wire: &mut Vec<u8>) -> usize {
        self.begin(wire);
        self.size = self.size.saturating_add(OVERHEAD);
        let at = self.items.len();
        let id = match id {
            Some(id) => {
                self.given.insert(id.to_owned());
                id.to_owned()
            }
            None => format!("{prefix}_{}_{at}", self.seed),
        };
        self.items.push(Item { id, status: "in_progress", body });
        self.say("response.output_item.added", wire, |this, wire| this.item(at, wire));
        at
    }
}

fn custom_names(echo: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Tools<'a> {
        #[serde(borrow)]
        tools: &'a RawValue,
    }
    let object = format!("{{{echo}}}");
    let tools = serde_json::from_str::<Tools<'_>>(&object).ok();
    let customs = tools.map(|tools| customs(tools.tools.get())).unwrap_or_default();
    customs.into_iter().map(|(name, _)| name).collect()
}
