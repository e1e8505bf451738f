//! The answer's events through the plugins of its request.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use turnpike_plugin_api::{self as api, Keep, Kind, Mark, Piece};

use super::chain::OnError;
use super::runs::{Run, Runs};
use crate::dialect::AnswerFault;
use crate::dialect::ir::{Citation, Event};
use crate::stream::Filter;

/// How many bytes more than it got a plugin may put out at once.
const GROWTH_MAX: usize = 1 << 20;

/// A piece, or something that a plugin only hears of.
enum Item {
    Piece(Piece),
    Mark(Mark, Event),
}

/// The plugins of one request, as a filter of one attempt's answer.
pub struct Filtered {
    runs: Arc<Mutex<Box<Runs>>>,
    stream: bool,
    /// Texts of a whole answer, by choice, where a plugin wants to see them at their end.
    texts: BTreeMap<u32, String>,
    items: Vec<Item>,
    next: Vec<Item>,
    out: Vec<Piece>,
}

impl Filtered {
    /// A filter for an answer that begins.
    pub fn new(runs: Arc<Mutex<Box<Runs>>>, stream: bool) -> Self {
        {
            let mut runs = runs.lock();
            for run in &mut runs.runs {
                run.passed = (0, 0);
                if run.run.is_some() && run.call(|run| run.on_begin()).is_none() {
                    run.fail();
                }
            }
        }
        let (items, next, out) = (Vec::new(), Vec::new(), Vec::new());
        Self { runs, stream, texts: BTreeMap::new(), items, next, out }
    }
}

impl Filter for Filtered {
    fn take(&mut self, event: Event, into: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let item = match item(event) {
            Ok(item) => item,
            Err(other) => {
                into.push(*other);
                return Ok(());
            }
        };
        self.items.push(item);
        let runs = Arc::clone(&self.runs);
        let mut runs = runs.lock();
        for run in runs.runs.iter_mut().filter(|run| run.needs.events) {
            self.through(run)?;
        }
        let collects = !self.stream && runs.runs.iter().any(|r| r.needs.answer && r.run.is_some());
        for item in self.items.drain(..) {
            match item {
                Item::Piece(Piece::Text { choice, kind: Kind::Text, text }) if collects => {
                    self.texts.entry(choice).or_default().push_str(&text);
                }
                Item::Piece(piece) => into.extend(event_of(piece)),
                Item::Mark(mark, event) => {
                    if let (Mark::Finish { choice }, true) = (mark, collects)
                        && let Some(text) = self.texts.remove(&choice)
                    {
                        let text = whole(&mut runs, choice, text)?;
                        into.extend((!text.is_empty()).then_some(Event::Text { choice, text }));
                    }
                    into.push(event);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let mut runs = self.runs.lock();
        for run in runs.runs.iter_mut().filter(|run| run.run.is_some()) {
            if !(run.needs.events || run.needs.answer) {
                continue;
            }
            match run.call(|run| run.on_end()) {
                Some(notes) => run.note(notes),
                None => run.fail(),
            }
        }
    }

    fn retold(&self, metadata: &str) -> Option<Arc<str>> {
        let mut told: serde_json::Value = serde_json::from_str(metadata).ok()?;
        *told.get_mut("pipeline")? = super::pipeline(&self.runs.lock());
        Some(told.to_string().into())
    }
}

impl Filtered {
    /// Sends what is at hand through one plugin.
    fn through(&mut self, run: &mut Run) -> Result<(), AnswerFault> {
        for item in self.items.drain(..) {
            if run.run.is_none() {
                self.next.push(item);
                continue;
            }
            let went_in = length(&item);
            let unharmed = run.passed.0 == run.passed.1;
            let kept = match item {
                Item::Piece(piece) => {
                    // What it gets is kept where it may have to go on without the plugin.
                    let spare = (unharmed && run.on_error == OnError::Open).then(|| piece.clone());
                    let out = &mut self.out;
                    match run.call(|run| run.on_piece(piece, out)) {
                        Some(()) => None,
                        None => {
                            run.fail();
                            self.out.clear();
                            self.out.push(spare.ok_or(FAILED)?);
                            None
                        }
                    }
                }
                Item::Mark(mark, event) => {
                    let out = &mut self.out;
                    let keep = match run.call(|run| run.on_mark(&mark, out)) {
                        Some(keep) => keep,
                        None if unharmed && run.on_error == OnError::Open => {
                            run.fail();
                            self.out.clear();
                            Keep::Yes
                        }
                        None => return Err(FAILED),
                    };
                    let must = matches!(mark, Mark::ToolStart { .. } | Mark::Finish { .. });
                    (must || keep == Keep::Yes).then_some((mark, event))
                }
            };
            let came_out: usize = self.out.iter().map(bytes).sum();
            if came_out > went_in + GROWTH_MAX {
                run.fail();
                return Err(FAILED);
            }
            run.passed.0 += went_in as u64;
            run.passed.1 += came_out as u64;
            self.next.extend(self.out.drain(..).map(Item::Piece));
            self.next.extend(kept.map(|(mark, event)| Item::Mark(mark, event)));
        }
        std::mem::swap(&mut self.items, &mut self.next);
        Ok(())
    }
}

const FAILED: AnswerFault = AnswerFault::Plugin;

/// The text of a whole answer through the plugins that want to see it.
fn whole(runs: &mut Runs, choice: u32, mut text: String) -> Result<String, AnswerFault> {
    for run in runs.runs.iter_mut().filter(|run| run.needs.answer && run.run.is_some()) {
        let spare = text.clone();
        let done = run.call(|run| run.on_answer(choice, &mut text));
        if done.is_some() && text.len() <= spare.len() + GROWTH_MAX {
            continue;
        }
        run.fail();
        if run.on_error == OnError::Closed {
            return Err(FAILED);
        }
        text = spare;
    }
    Ok(text)
}

fn bytes(piece: &Piece) -> usize {
    match piece {
        Piece::Text { text, .. } => text.len(),
        Piece::Citation { citation, .. } => {
            let content = citation.content.as_deref().unwrap_or_default();
            citation.url.len() + citation.title.len() + content.len()
        }
    }
}

fn length(item: &Item) -> usize {
    match item {
        Item::Piece(piece) => bytes(piece),
        Item::Mark(..) => 0,
    }
}

/// An event as plugins see it; those that they do not see are given back.
fn item(event: Event) -> Result<Item, Box<Event>> {
    let text = |choice, kind, text| Item::Piece(Piece::Text { choice, kind, text });
    Ok(match event {
        Event::Text { choice, text: t } => text(choice, Kind::Text, t),
        Event::Reasoning { choice, text: t } => text(choice, Kind::Reasoning, t),
        Event::ReasoningSummary { choice, text: t } => text(choice, Kind::Summary, t),
        Event::Refusal { choice, text: t } => text(choice, Kind::Refusal, t),
        Event::ToolArguments { choice, index, json } => text(choice, Kind::Arguments(index), json),
        Event::Citation { choice, citation } => {
            let Citation { url, title, content, start, end } = citation;
            let citation = api::Citation { url, title, content, start, end };
            Item::Piece(Piece::Citation { choice, citation })
        }
        Event::ReasoningSignature { choice, .. } | Event::ReasoningEncrypted { choice, .. } => {
            Item::Mark(Mark::Opaque { choice }, event)
        }
        Event::Logprobs { choice, .. } => Item::Mark(Mark::Logprobs { choice }, event),
        Event::ToolStart { choice, index, .. } => {
            Item::Mark(Mark::ToolStart { choice, index }, event)
        }
        Event::Image { choice, .. } => Item::Mark(Mark::Image { choice }, event),
        Event::Finish { choice, .. } => Item::Mark(Mark::Finish { choice }, event),
        Event::Start { .. } | Event::Usage(_) | Event::End => return Err(Box::new(event)),
    })
}

/// A piece as an event; none of an empty text.
fn event_of(piece: Piece) -> Option<Event> {
    match piece {
        Piece::Text { text, .. } if text.is_empty() => None,
        Piece::Text { choice, kind, text } => Some(match kind {
            Kind::Text => Event::Text { choice, text },
            Kind::Reasoning => Event::Reasoning { choice, text },
            Kind::Summary => Event::ReasoningSummary { choice, text },
            Kind::Refusal => Event::Refusal { choice, text },
            Kind::Arguments(index) => Event::ToolArguments { choice, index, json: text },
        }),
        Piece::Citation { choice, citation } => {
            let api::Citation { url, title, content, start, end } = citation;
            Some(Event::Citation { choice, citation: Citation { url, title, content, start, end } })
        }
    }
}
