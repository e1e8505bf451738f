//! The plugins of one request, from its head to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use turnpike_plugin_api::{
    self as api, Call, CallFault, Needs, Note, Record, Refusal, Reply, Request, Step,
};

use super::chain::{Configured, OnError};
use super::refuse;
use super::turns::{Places, Turns};
use crate::dialect::scan::{Head, scan_as};
use crate::error::GatewayError;
use crate::vocab::NanoUsd;

/// The most calls that one plugin makes for one request.
const CALLS_MAX: u32 = 64;
/// The most notes, and the most bytes of their details, of one plugin and request.
const NOTES_MAX: usize = 16;
const NOTE_BYTES_MAX: usize = 8_192;

/// One plugin's part in a request.
pub(super) struct Run {
    place: usize,
    id: &'static str,
    pub(super) needs: Needs,
    pub(super) on_error: OnError,
    /// `None` after it failed.
    pub(super) run: Option<Box<dyn api::Run>>,
    outcome: Outcome,
    notes: Vec<Note>,
    fee: NanoUsd,
    /// Bytes of the answer that went in and came out.
    pub(super) passed: (u64, u64),
}

/// How a plugin did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// It refused the request.
    Refused,
    /// It failed: by a panic, or by what it gave.
    Failed,
}

impl Outcome {
    /// The name as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a plugin did for a request.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Its name.
    pub id: &'static str,
    /// How it did.
    pub outcome: Outcome,
    /// What it noted.
    pub notes: &'a [Note],
    /// What it added to the charge.
    pub fee: NanoUsd,
}

impl Run {
    pub(super) fn new(place: usize, configured: &Configured, run: Box<dyn api::Run>) -> Self {
        Self { run: Some(run), ..Self::failed(place, configured) }.with(Outcome::Done)
    }

    pub(super) const fn failed(place: usize, configured: &Configured) -> Self {
        Self {
            place,
            id: configured.definition.id,
            needs: configured.needs,
            on_error: configured.on_error,
            run: None,
            outcome: Outcome::Failed,
            notes: Vec::new(),
            fee: NanoUsd::ZERO,
            passed: (0, 0),
        }
    }

    const fn with(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub(super) fn fail(&mut self) {
        (self.run, self.outcome) = (None, Outcome::Failed);
    }

    pub(super) fn note(&mut self, notes: Vec<Note>) {
        for mut note in notes {
            if self.notes.len() == NOTES_MAX {
                break;
            }
            if note.data.to_string().len() > NOTE_BYTES_MAX {
                note.data = serde_json::Value::Null;
            }
            note.summary.truncate(note.summary.floor_char_boundary(NOTE_BYTES_MAX));
            self.notes.push(note);
        }
    }

    /// Runs a hook; `None` if it panics.
    pub(super) fn call<T>(&mut self, hook: impl FnOnce(&mut dyn api::Run) -> T) -> Option<T> {
        let run = self.run.as_deref_mut()?;
        catch_unwind(AssertUnwindSafe(|| hook(run))).ok()
    }
}

/// The plugins of one request.
pub struct Runs {
    pub(super) runs: Vec<Run>,
    /// Whose turn it is, and its view of the request.
    at: usize,
    view: Option<(Request, Places)>,
    calls: u32,
    context: u64,
    upstream_headers: Vec<(String, String)>,
    answer_headers: Vec<(String, String)>,
}

/// What comes next before the request can be routed.
#[derive(Debug)]
pub enum Progress {
    /// Nothing: all plugins are done with it.
    Done,
    /// A plugin is done; the next is to come.
    Next,
    /// The plugin at this place of the chain wants something of the outside.
    Call(usize, Call),
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.runs.iter().map(|run| (run.id, run.outcome))).finish()
    }
}

impl Runs {
    pub(super) const fn new(runs: Vec<Run>, context: u64) -> Self {
        Self {
            runs,
            at: 0,
            view: None,
            calls: 0,
            context,
            upstream_headers: Vec::new(),
            answer_headers: Vec::new(),
        }
    }

    /// The name of the plugin whose turn it is, and whether it may be slow; `None` where all are
    /// done.
    pub fn current(&self) -> Option<(&'static str, bool)> {
        self.runs.get(self.at).map(|run| (run.id, run.needs.slow))
    }

    /// Goes on with the request: with the next plugin, or with the reply to the call of the current
    /// one. What it changes is in head and body afterwards; a body above `bytes_max` is a failure.
    ///
    /// # Errors
    /// The request is refused, or a plugin without which it may not go on has failed.
    pub fn step(
        &mut self,
        (head, body): (&mut Head, &mut Bytes),
        reply: Option<Result<Reply, CallFault>>,
        bytes_max: usize,
        chain: &[Configured],
    ) -> Result<Progress, GatewayError> {
        let Some(run) = self.runs.get(self.at) else { return Ok(Progress::Done) };
        let Some(configured) = chain.get(run.place) else { return Ok(Progress::Done) };
        if run.run.is_none() {
            return Ok(self.next());
        }
        if self.view.is_none() {
            self.view = Some(self.look(run.needs, head, body)?);
        }
        let Some((request, _)) = &mut self.view else { return Ok(self.next()) };
        let run = &mut self.runs[self.at];
        let step = run.call(|run| match reply {
            Some(reply) => run.on_reply(reply, request),
            None => run.on_request(request),
        });
        match step {
            Some(Ok(Step::Done)) => match self.settle(head, body, bytes_max) {
                Some(()) => Ok(self.next()),
                None => self.failed(configured),
            },
            Some(Ok(Step::Call(call))) if self.calls < CALLS_MAX => {
                self.calls += 1;
                Ok(Progress::Call(configured_place(&self.runs, self.at), call))
            }
            Some(Err(refusal)) => Err(self.refused(configured, refusal)),
            Some(Ok(Step::Call(_))) | None => self.failed(configured),
        }
    }

    /// The request as the current plugin wants to see it.
    fn look(
        &self,
        needs: Needs,
        head: &Head,
        body: &Bytes,
    ) -> Result<(Request, Places), GatewayError> {
        let (turns, places) = if needs.text {
            Turns::read(head, body, needs.tools)?.take()
        } else {
            (Vec::new(), Places::default())
        };
        let mut request = Request::new(turns);
        request.context = self.context;
        Ok((request, places))
    }

    /// Takes over what the current plugin has changed; `None` if that makes no sound request.
    fn settle(&mut self, head: &mut Head, body: &mut Bytes, bytes_max: usize) -> Option<()> {
        let (request, places) = self.view.take()?;
        if request.is_changed() {
            let written = places.write(head, body, &request)?;
            if written.len() > bytes_max {
                return None;
            }
            *head = scan_as(head.form, &written).ok()?;
            *body = written.into();
        }
        let run = &mut self.runs[self.at];
        run.note(request.notes().to_vec());
        run.fee = request.fee();
        self.upstream_headers.extend_from_slice(request.upstream_headers());
        self.answer_headers.extend_from_slice(request.answer_headers());
        Some(())
    }

    fn next(&mut self) -> Progress {
        (self.at, self.calls, self.view) = (self.at + 1, 0, None);
        if self.at < self.runs.len() { Progress::Next } else { Progress::Done }
    }

    fn refused(&mut self, configured: &Configured, refusal: Refusal) -> GatewayError {
        self.runs[self.at].outcome = Outcome::Refused;
        refuse::refused(configured, refusal)
    }

    /// The current plugin has failed.
    fn failed(&mut self, configured: &Configured) -> Result<Progress, GatewayError> {
        self.runs[self.at].fail();
        match configured.on_error {
            OnError::Open => Ok(self.next()),
            OnError::Closed => Err(refuse::failed(configured)),
        }
    }

    /// Whether a plugin wants to see the answer; `stream`: it is streamed.
    pub fn hear(&self, stream: bool) -> bool {
        let wants = |run: &Run| run.needs.events || run.needs.answer && !stream;
        self.runs.iter().any(|run| run.run.is_some() && wants(run))
    }

    /// Whether a plugin that wants to see a whole answer may take long over it.
    pub fn is_slow(&self) -> bool {
        self.runs.iter().any(|run| run.needs.slow && run.needs.answer && run.run.is_some())
    }

    /// Headers for the provider.
    pub fn upstream_headers(&self) -> &[(String, String)] {
        &self.upstream_headers
    }

    /// Headers for the client.
    pub fn answer_headers(&self) -> &[(String, String)] {
        &self.answer_headers
    }

    /// What plugins add to the charge.
    pub fn fee(&self) -> NanoUsd {
        self.runs.iter().map(|run| run.fee).sum()
    }

    /// What each plugin did.
    pub fn reports(&self) -> impl Iterator<Item = Report<'_>> {
        self.runs.iter().map(|run| Report {
            id: run.id,
            outcome: run.outcome,
            notes: &run.notes,
            fee: run.fee,
        })
    }

    /// Tells the plugins that want to know how the request ended.
    pub fn done(&mut self, record: &Record) {
        for run in self.runs.iter_mut().filter(|run| run.needs.record && run.run.is_some()) {
            if run.call(|run| run.on_done(record)).is_none() {
                run.fail();
            }
        }
    }
}

fn configured_place(runs: &[Run], at: usize) -> usize {
    runs.get(at).map_or(0, |run| run.place)
}
