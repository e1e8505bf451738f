//! The state of one request: Pingora's `CTX`.
//!
//! [`Stage`] says how far a request has come, and each stage owns what it needs. Beside it stands
//! only what every path needs at its end: the facts for the access log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use crate::attempt::{AttemptReport, Outcome};
use crate::balance::{InFlight, Nanos};
use crate::cache::Intent;
use crate::dialect::scan::{Head, scan_as};
use crate::dialect::{self, Surface, ir};
use crate::edge::content::Gathered;
use crate::edge::gateway::{Presence, Snapshot};
use crate::edge::guard::Admission;
use crate::edge::hedge::Race;
use crate::edge::peer::Upstream;
use crate::edge::plugins::Plugins;
use crate::edge::task::Task;
use crate::edge::watchdog::Watchdog;
use crate::error::GatewayError;
use crate::ledger::{Hold, KeyEntry};
use crate::observe;
use crate::route::{Plan, Slot, sticky};
use crate::stream::{Asked, Pipe, Resume, Seam};
use crate::vocab::{GenerationId, NanoUsd, Usage};

/// One request from arrival to its log line.
pub(crate) struct Journey {
    /// How far it has come.
    pub(crate) stage: Stage,
    /// What the log line will say.
    pub(crate) facts: Facts,
    /// Counted as in flight until the end.
    pub(crate) presence: Option<Presence>,
}

/// How far a request has come.
pub(crate) enum Stage {
    /// The head has been read.
    Arrived,
    /// Answered by the gateway itself, or refused.
    Answered,
    /// A chat completion on its way.
    Chat(Box<Chat>),
}

/// What is known of every request.
pub(crate) struct Facts {
    /// The generation id; also the request's id in the log.
    pub(crate) id: GenerationId,
    /// When the head had been read.
    pub(crate) arrived: Nanos,
    /// The same, in milliseconds since 1970.
    pub(crate) arrived_ms: u64,
    /// Who asked, once known.
    pub(crate) caller: Option<Arc<KeyEntry>>,
    /// The error that the client was told.
    pub(crate) error: Option<GatewayError>,
    /// What was asked for, as a bounded label.
    pub(crate) surface: observe::Surface,
    /// Body bytes that came in.
    pub(crate) bytes_in: usize,
    /// Body bytes that went out.
    pub(crate) bytes_out: usize,
}

/// A chat completion: what was asked, and how far the answer has come.
pub(crate) struct Chat {
    /// The configuration in force when the request arrived.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Who asks and pays.
    pub(crate) caller: Arc<KeyEntry>,
    /// Its terms; while this lives, the request counts as running.
    pub(crate) admission: Admission,
    /// What is wanted, and in which format.
    pub(crate) task: Task,
    /// What is asked.
    pub(crate) ask: Ask,
    /// What it goes through; `None` where nothing, as usual.
    pub(crate) plugins: Option<Box<Plugins>>,
    /// The client wants to be told how its request was routed.
    pub(crate) metadata: bool,
    /// Whether and how the answer may come from or go to the cache.
    pub(crate) cache: CacheUse,
    /// Where it may be answered; empty until the cache has been missed.
    pub(crate) plan: Plan,
    /// What the conversation is told from others by, once there is a plan.
    pub(crate) conversation: Option<sticky::Key>,
    /// Credit set aside; taken when the request ends.
    pub(crate) money: Money,
    /// A second endpoint was asked beside a slow first one.
    pub(crate) hedged: bool,
    /// Attempts that have ended.
    pub(crate) reports: Vec<AttemptReport>,
    /// The attempt under way.
    pub(crate) attempt: Option<Attempt>,
    /// The answer's header has gone to the client: from here on a failure is the client's to see.
    pub(crate) committed: bool,
    /// The client has left, and its answer is read on: see [`super::drain`].
    pub(crate) client_left: AtomicBool,
    /// When the first semantic byte went to the client.
    pub(crate) first_byte: Option<Nanos>,
    /// The answer was ended early, with an error.
    pub(crate) cut: Option<Cut>,
    /// Providers that broke off in the middle of the answer, and what they are paid.
    pub(crate) legs: Vec<Leg>,
    /// The last pieces that were handed to Pingora for the client, while another provider may have
    /// to go on after them: see [`super::continuation::recover`].
    pub(crate) recent: VecDeque<Bytes>,
    /// The client's stream, between one provider that broke off and the next.
    pub(crate) resume: Option<Box<Resume>>,
    /// The prompt and the answer so far, if the account has asked for them to be kept.
    pub(crate) content: Option<Box<Gathered>>,
    /// Counts a streamed request as open.
    pub(crate) _open_stream: Option<observe::InFlight>,
}

/// A part of an answer, by a provider that broke off.
pub(crate) struct Leg {
    /// Who gave it.
    pub(crate) slot: Arc<Slot>,
    /// What was consumed.
    pub(crate) usage: Usage,
    /// What that cost.
    pub(crate) cost: NanoUsd,
}

/// An answer that was ended early.
pub(crate) struct Cut {
    /// What the last provider had consumed.
    pub(crate) usage: Usage,
    /// What the client was told.
    pub(crate) error: GatewayError,
}

/// What is asked.
pub(crate) struct Ask {
    /// The body as it came.
    pub(crate) body: Bytes,
    /// What one pass over it told.
    pub(crate) head: Head,
    /// The body as a tree: made when the first attempt needs one.
    pub(crate) parsed: Option<Box<ir::Request>>,
    /// What is asked, if not an answer in words.
    pub(crate) asked: Option<Asked>,
    /// Tokens in the prompt, estimated.
    pub(crate) prompt_tokens: u64,
    /// The preset that it was built on.
    pub(crate) preset: Option<Box<str>>,
    /// The name of the session, from the head.
    pub(crate) session: Option<Box<str>>,
    /// The body's share of the memory for bodies.
    pub(crate) _memory: OwnedSemaphorePermit,
}

impl Ask {
    /// The same, as the dialects want it.
    pub(crate) fn in_format(&mut self, surface: Surface) -> dialect::Ask<'_> {
        dialect::Ask { surface, body: &self.body, head: &self.head, parsed: &mut self.parsed }
    }

    /// Puts a member before the others, as if the client had sent it.
    ///
    /// # Errors
    /// As [`scan_as`]; the body has been scanned before, so that none is to be expected.
    pub(crate) fn insert(&mut self, member: &[u8]) -> Result<(), GatewayError> {
        let inside = self.head.inside as usize;
        let mut body = BytesMut::with_capacity(self.body.len() + member.len() + 1);
        body.extend_from_slice(&self.body[..inside]);
        body.extend_from_slice(member);
        body.extend_from_slice(b",");
        body.extend_from_slice(&self.body[inside..]);
        self.head = scan_as(self.head.form, &body)?;
        self.body = body.freeze();
        self.parsed = None;
        Ok(())
    }
}

/// The cache's part in a request.
pub(crate) struct CacheUse {
    pub(crate) intent: Intent,
    /// The key; present if the intent is to use the cache.
    pub(crate) key: Option<[u8; 32]>,
    /// The answer came from the cache.
    pub(crate) hit: bool,
    /// The generation that was paid for, if the answer came from the cache.
    pub(crate) source: Option<GenerationId>,
    /// The answer under way is being gathered for the cache.
    pub(crate) filling: bool,
    /// The answer is complete and may be kept.
    pub(crate) good: Arc<AtomicBool>,
}

/// The credit behind a request.
#[derive(Default)]
pub(crate) struct Money {
    /// Set aside for this request; `None` before the plan and after the end.
    pub(crate) hold: Option<Hold>,
    /// The limit on completion tokens that the credit allows, if it is lower than what was asked.
    pub(crate) limit: Option<u32>,
    /// The hold is known to be on disk.
    pub(crate) durable: bool,
    /// What the answer cost, once it is known.
    pub(crate) cost: NanoUsd,
    /// When the output has this many bytes, it is looked whether what is set aside still reaches.
    pub(crate) look_at: u64,
    /// The credit is small enough that a long answer could use it up.
    pub(crate) short: bool,
    /// The answer was ended because the credit was used up.
    pub(crate) out: bool,
}

/// One try at one endpoint.
pub(crate) struct Attempt {
    /// Where.
    pub(crate) slot: Arc<Slot>,
    /// Counts the endpoint as busy, and tells its health how it went; taken at the end.
    pub(crate) guard: Option<InFlight>,
    /// How the provider is reached.
    pub(crate) upstream: Arc<Upstream>,
    /// The request in the provider's dialect.
    pub(crate) body: Bytes,
    /// A credential that was asked for beforehand.
    pub(crate) token: Option<http::HeaderValue>,
    /// What of the request's `provider.options` was not handed on.
    pub(crate) dropped: Vec<String>,
    /// It is the client's own, in the client's own format.
    pub(crate) passed: bool,
    /// When it began.
    pub(crate) started: Nanos,
    /// When a connection was there.
    pub(crate) connected: Option<Nanos>,
    /// The connection had been used before.
    pub(crate) reused: bool,
    /// It is the second try at this endpoint, after a stale connection.
    pub(crate) again: bool,
    /// Which of the provider's keys is used.
    pub(crate) key: usize,
    /// It is to be made again, with this key: another was refused.
    pub(crate) rekeyed: bool,
    /// The upstream header came with the end of the stream.
    pub(crate) header_only: bool,
    /// Cuts the connection if the first token is late, and later if the answer falls silent, where
    /// Pingora's own timeout is too long for that.
    pub(crate) watchdog: Option<Watchdog>,
    /// The connection, if silence in the middle of the answer needs a timer of our own.
    pub(crate) gap_fd: Option<std::os::fd::RawFd>,
    /// The first token came.
    pub(crate) begun: bool,
    /// When something of its answer first went to the client.
    pub(crate) shown: Option<Nanos>,
    /// How it is to go on with what another provider began.
    pub(crate) resumes: Option<Resumes>,
    /// Bytes of its answer that were on their way to the client when it failed.
    pub(crate) unsent: Option<Bytes>,
    /// How far the answer has come.
    pub(crate) progress: Progress,
    /// The answer comes as a stream of events.
    pub(crate) streams: bool,
    /// It is run against a second one if it is slow, or was: see [`super::hedge`].
    pub(crate) race: Option<Arc<Race>>,
}

/// How an attempt goes on with what another provider began.
pub(crate) struct Resumes {
    /// Where the texts meet.
    pub(crate) seam: Seam,
    /// The most completion tokens that it may add.
    pub(crate) left: Option<u32>,
    /// Tokens in its prompt, estimated: the client's, and what has been answered.
    pub(crate) prompt_tokens: u64,
}

/// How far an attempt's answer has come.
pub(crate) enum Progress {
    /// Nothing has come back.
    Waiting,
    /// An error status came; its body is being collected.
    Refused { status: u16, retry_after: Option<Duration>, body: BytesMut },
    /// The answer is coming in.
    Answering(Box<Pipe>),
    /// The client had a part of the answer when this went wrong; another provider may go on.
    Broken(Box<Pipe>, Outcome),
    /// The client had a part of the answer when this went wrong; its stream has been ended.
    Aborted(Outcome),
    /// The attempt failed for a reason that Pingora's error does not tell.
    Failed(Outcome),
}

impl Journey {
    /// The request as a chat completion, if it has come that far.
    pub(crate) fn chat(&mut self) -> Option<&mut Chat> {
        match &mut self.stage {
            Stage::Chat(chat) => Some(chat),
            Stage::Arrived | Stage::Answered => None,
        }
    }
}
