//! What is done in one request and its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::json;
use turnpike_plugin_api::{
    Citation, Keep, Kind, Mark, Note, Piece, Refusal, Request, Run, Step, TextKind,
};

use crate::filter::{Filter, Reading, Tally, Values};
use crate::json::Json;
use crate::options::{Config, Policy};
use crate::vault::Vault;

/// The most texts of an answer at a time; of more, the eldest is taken to be complete.
const LANES_MAX: usize = 256;
/// The most citations that wait for their text.
const WAITING_MAX: usize = 64;

/// How often a request's text is looked through at most.
const PASSES_MAX: usize = 8;

/// A run.
#[derive(Debug)]
pub(crate) struct Redacting {
    config: Arc<Config>,
    policy: Arc<Policy>,
    vault: Vault,
    lanes: Vec<Lane>,
    /// What was found in the answer.
    tally: Tally,
    /// Log probabilities were left out.
    dropped: bool,
}

/// A text of the answer.
#[derive(Debug)]
struct Lane {
    choice: u32,
    kind: Kind,
    body: Body,
    /// Citations whose text has not gone out.
    waiting: Vec<Citation>,
}

#[derive(Debug)]
enum Body {
    Prose(Box<Filter>),
    Json(Box<Json>),
}

impl Redacting {
    pub(crate) fn new(config: Arc<Config>, policy: Arc<Policy>) -> Self {
        Self {
            config,
            policy,
            vault: Vault::default(),
            lanes: Vec::new(),
            tally: Tally::default(),
            dropped: false,
        }
    }

    /// The answer is looked through.
    fn is_active(&self) -> bool {
        self.config.output || !self.vault.is_empty()
    }

    /// Lets a text of the answer go as far as it can.
    fn read(&mut self, at: usize, text: String, last: bool, out: &mut Vec<Piece>) {
        let Self { config, policy, vault, lanes, tally, .. } = self;
        let Some(lane) = lanes.get_mut(at) else { return };
        let seen = config.output && (config.tools || !matches!(lane.kind, Kind::Arguments(_)));
        let mut with = Reading {
            acting: if seen { &policy.answer } else { &policy.restore },
            noting: if seen { &policy.noting } else { &policy.nothing },
            values: Values::Restore(vault),
            tally,
        };
        let text = match &mut lane.body {
            Body::Prose(filter) => filter.read(&mut with, text, last),
            Body::Json(json) => json.read(&mut with, &text, last),
        };
        let (choice, kind) = (lane.choice, lane.kind);
        if !text.is_empty() {
            out.push(Piece::Text { choice, kind, text });
        }
        if let Body::Prose(filter) = &lane.body {
            let shifts = filter.shifts();
            let ready = |citation: &mut Citation| last || citation.end <= shifts.read();
            out.extend(lane.waiting.extract_if(.., ready).map(|mut citation| {
                (citation.start, citation.end) = shifts.map(citation.start, citation.end);
                Piece::Citation { choice, citation }
            }));
        }
    }

    /// The number of a text of the answer.
    fn lane(&mut self, choice: u32, kind: Kind, out: &mut Vec<Piece>) -> usize {
        let known = self.lanes.iter().position(|lane| (lane.choice, lane.kind) == (choice, kind));
        if let Some(at) = known {
            return at;
        }
        if self.lanes.len() >= LANES_MAX {
            self.read(0, String::new(), true, out);
            self.lanes.remove(0);
        }
        let body = match kind {
            Kind::Arguments(_) => Body::Json(Box::default()),
            Kind::Text | Kind::Reasoning | Kind::Summary | Kind::Refusal => {
                Body::Prose(Box::default())
            }
        };
        self.lanes.push(Lane { choice, kind, body, waiting: Vec::new() });
        self.lanes.len() - 1
    }

    /// What is held of a choice's prose goes out, save that of one kind. Arguments hold nothing
    /// once they are complete, and those of several calls may come in turns.
    fn end_prose(&mut self, choice: u32, but: Option<Kind>, out: &mut Vec<Piece>) {
        for at in 0..self.lanes.len() {
            let lane = &self.lanes[at];
            let prose = matches!(lane.body, Body::Prose(_));
            if prose && lane.choice == choice && Some(lane.kind) != but {
                self.read(at, String::new(), true, out);
            }
        }
    }

    fn cite(&mut self, choice: u32, mut citation: Citation, out: &mut Vec<Piece>) {
        if self.config.output {
            let Self { policy, vault, tally, .. } = self;
            let mut with = Reading {
                acting: &policy.answer,
                noting: &policy.noting,
                values: Values::Restore(vault),
                tally,
            };
            let texts = [Some(&mut citation.title), citation.content.as_mut()];
            for text in texts.into_iter().flatten() {
                if let Some(new) = Filter::whole(&mut with, text) {
                    *text = new;
                }
            }
        }
        let at = self.lane(choice, Kind::Text, out);
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.waiting.push(citation);
            let full = lane.waiting.len() > WAITING_MAX;
            self.read(at, String::new(), full, out);
        }
    }

    /// Looks through a text of the request; gives what it becomes.
    fn look(&self, kind: TextKind, text: &str, with: &mut Reading<'_>) -> Option<String> {
        let json = match kind {
            TextKind::Prose => false,
            TextKind::Arguments | TextKind::Result if !self.config.tools => return None,
            TextKind::Arguments => is_json(text),
            TextKind::Result => text.trim_start().starts_with(['{', '[', '"']) && is_json(text),
        };
        if !json {
            return Filter::whole(with, text);
        }
        let before = with.tally.hits;
        let new = Json::default().read(with, text, true);
        (with.tally.hits > before).then_some(new)
    }
}

impl Run for Redacting {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        if !self.config.input {
            return Ok(Step::Done);
        }
        let mut vault = std::mem::take(&mut self.vault);
        if self.config.placeholders {
            let texts = request.turns().iter().flat_map(|turn| &turn.texts);
            texts.for_each(|text| vault.avoid(text.as_str()));
        }
        let mut tally = Tally::default();
        for (_, text) in request.texts_mut() {
            // What is found hides what is beside it: where it is gone, a number may end that did
            // not before. So a text in which something was found is looked through again.
            for pass in 0..PASSES_MAX {
                let Policy { acting, again, noting, nothing, .. } = &*self.policy;
                let (acting, noting) = if pass == 0 { (acting, noting) } else { (again, nothing) };
                let values = match self.config.placeholders {
                    true => Values::Keep(&mut vault),
                    false => Values::Drop,
                };
                let mut with = Reading { acting, noting, values, tally: &mut tally };
                match self.look(text.kind, text.as_str(), &mut with) {
                    Some(new) => text.set(new),
                    None => break,
                }
            }
        }
        let Policy { acting, blocks, .. } = &*self.policy;
        let found = acting.list.iter().zip(blocks).enumerate();
        let blocked: Vec<String> = found
            .filter(|(i, (_, blocks))| **blocks && tally.rules & (1 << i) != 0)
            .map(|(_, (detector, _))| detector.name.clone())
            .collect();
        if !blocked.is_empty() {
            let text = format!(
                "The request has personal data or secrets that may not be sent: {}. Take them out \
                 and send it again.",
                blocked.join(", ")
            );
            return Err(Refusal::new(403, "content_blocked", text).with_reasons(blocked));
        }
        if let Some(note) = note("request", &tally) {
            request.note(note.summary, note.data);
        }
        self.vault = vault;
        Ok(Step::Done)
    }

    fn on_begin(&mut self) {
        self.lanes.clear();
        (self.tally, self.dropped) = (Tally::default(), false);
    }

    fn on_piece(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        if !self.is_active() {
            return out.push(piece);
        }
        match piece {
            Piece::Text { choice, kind, text } => {
                self.end_prose(choice, Some(kind), out);
                let at = self.lane(choice, kind, out);
                self.read(at, text, false, out);
            }
            Piece::Citation { choice, citation } => self.cite(choice, citation, out),
        }
    }

    fn on_mark(&mut self, mark: &Mark, out: &mut Vec<Piece>) -> Keep {
        if !self.is_active() {
            return Keep::Yes;
        }
        match *mark {
            Mark::Logprobs { .. } => {
                self.dropped = true;
                return Keep::No;
            }
            Mark::ToolStart { choice, .. } | Mark::Opaque { choice } | Mark::Image { choice } => {
                self.end_prose(choice, None, out);
            }
            Mark::Finish { choice } => {
                for at in 0..self.lanes.len() {
                    if self.lanes[at].choice == choice {
                        self.read(at, String::new(), true, out);
                    }
                }
                self.lanes.retain(|lane| lane.choice != choice);
            }
        }
        Keep::Yes
    }

    fn on_end(&mut self) -> Vec<Note> {
        let dropped = self.dropped.then(|| Note {
            summary: "Log probabilities were left out: they repeat the text.".to_owned(),
            data: json!({"left_out": "logprobs"}),
        });
        note("answer", &self.tally).into_iter().chain(dropped).collect()
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What was found, in names and numbers.
fn note(place: &str, tally: &Tally) -> Option<Note> {
    let names = |counts: &BTreeMap<String, u64>| -> String {
        let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} ({n})")).collect();
        each.join(", ")
    };
    let said = match (tally.replaced.is_empty(), tally.noted.is_empty()) {
        (true, true) => return None,
        (false, true) => format!("replaced {}", names(&tally.replaced)),
        (true, false) => format!("only noted {}", names(&tally.noted)),
        (false, false) => {
            format!("replaced {}; only noted {}", names(&tally.replaced), names(&tally.noted))
        }
    };
    Some(Note {
        summary: format!("Personal data and secrets in the {place}: {said}."),
        data: json!({"in": place, "replaced": tally.replaced, "noted": tally.noted}),
    })
}
