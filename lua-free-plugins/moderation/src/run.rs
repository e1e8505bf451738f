//! One request: its text is checked, call by call.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_plugin_api::{Call, CallFault, Method, Refusal, Reply, Request, Run, Step};

use crate::inputs::{self, INPUTS_MAX};
use crate::options::{Config, OnFailure};
use crate::verdict::{self, Unclear, Verdict};

/// The most bytes of an answer: room for the scores of all inputs.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A request and what is checked of it.
pub(crate) struct Checking {
    config: Arc<Config>,
    text: String,
    /// Where the next input begins.
    at: usize,
    /// How many inputs the call under way has.
    inputs: usize,
    /// How many calls were answered, and with answers kept from earlier ones.
    calls: u32,
    kept: u32,
    checked: BTreeSet<String>,
    /// The text is longer than what is checked.
    cut: bool,
}

/// Why a text could not be checked.
enum Fault {
    Call(CallFault),
    Status(u16),
    Unclear(Unclear),
    TooLong,
}

impl Checking {
    /// A request of which nothing was seen yet.
    pub(crate) const fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            text: String::new(),
            at: 0,
            inputs: 0,
            calls: 0,
            kept: 0,
            checked: BTreeSet::new(),
            cut: false,
        }
    }

    /// The next call; `None`: all is checked.
    fn call(&mut self) -> Option<Call> {
        let mut inputs = Vec::new();
        while let Some((input, next)) = inputs::next(&self.text, self.at) {
            inputs.push(input);
            self.at = next;
            if inputs.len() == INPUTS_MAX {
                break;
            }
        }
        if inputs.is_empty() {
            return None;
        }
        self.inputs = inputs.len();
        let config = &*self.config;
        let mut call = Call::new(Method::Post, config.url.as_str());
        call = call.json(&json!({"model": config.model, "input": inputs}));
        call = call.header("accept", "application/json");
        if let Some(key) = &config.key {
            call = call.header("authorization", format!("Bearer {}", key.reveal()));
        }
        (call.timeout, call.bytes_max) = (config.timeout, ANSWER_BYTES_MAX);
        if !config.keep.is_zero() {
            // The body has all that the verdict depends on. A hash does not tell it, and nobody can
            // find a harmless text whose verdict would be used for another.
            let hash = blake3::hash(&call.body).to_hex();
            call.keep = Some((format!("moderation {} {hash}", config.url), config.keep));
        }
        Some(call)
    }

    fn judge(&self, reply: Result<Reply, CallFault>) -> Result<(Verdict, bool), Fault> {
        let reply = reply.map_err(Fault::Call)?;
        if !reply.is_ok() {
            return Err(Fault::Status(reply.status));
        }
        let verdict = verdict::read(&reply.body, self.inputs, &self.config.rules);
        Ok((verdict.map_err(Fault::Unclear)?, reply.kept))
    }

    fn failed(&self, fault: &Fault, request: &mut Request) -> Result<Step, Refusal> {
        let text = format!("The input could not be checked by moderation: {}.", fault.why());
        match self.config.on_failure {
            OnFailure::Closed => Err(Refusal::new(fault.status(), fault.code(), text)),
            OnFailure::Open => {
                request.note(text, fault.data());
                Ok(Step::Done)
            }
        }
    }
}

impl Run for Checking {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        let config = &*self.config;
        (self.text, self.cut) = inputs::gather(request, config.scope, config.text_bytes_max);
        if self.cut && config.on_failure == OnFailure::Closed {
            return self.failed(&Fault::TooLong, request);
        }
        Ok(self.call().map_or(Step::Done, Step::Call))
    }

    fn on_reply(
        &mut self,
        reply: Result<Reply, CallFault>,
        request: &mut Request,
    ) -> Result<Step, Refusal> {
        let (verdict, kept) = match self.judge(reply) {
            Ok(judged) => judged,
            Err(fault) => return self.failed(&fault, request),
        };
        if verdict.flagged {
            return Err(refusal(verdict.reasons));
        }
        self.calls += 1;
        self.kept += u32::from(kept);
        self.checked.extend(verdict.checked);
        if let Some(call) = self.call() {
            return Ok(Step::Call(call));
        }
        if self.cut {
            return self.failed(&Fault::TooLong, request);
        }
        let data = json!({
            "model": self.config.model,
            "categories": self.checked,
            "calls": self.calls,
            "kept": self.kept,
        });
        request.note("Moderation flagged nothing.", data);
        Ok(Step::Done)
    }
}

/// As OpenRouter refuses: 403 with the categories as reasons.
fn refusal(reasons: BTreeSet<String>) -> Refusal {
    let reasons: Vec<String> = reasons.into_iter().collect();
    let what = match reasons.as_slice() {
        [] => "The input was flagged by moderation.".to_owned(),
        some => format!("The input was flagged by moderation for {}.", some.join(", ")),
    };
    let text = format!("{what} It was sent to no model and nothing is charged.");
    Refusal::new(403, "moderation_flagged", text).with_reasons(reasons)
}

impl Fault {
    fn why(&self) -> String {
        match self {
            Self::Call(fault) => format!("its endpoint failed, {fault}"),
            Self::Status(status) => format!("its endpoint answered with {status}"),
            Self::Unclear(Unclear::Unreadable) => "its endpoint's answer cannot be read".to_owned(),
            Self::Unclear(Unclear::Category) => {
                "its endpoint says nothing of a category that is configured".to_owned()
            }
            Self::TooLong => "it is longer than what is checked".to_owned(),
        }
    }

    /// What may pass, as 503; what will not by itself, as 502; and what is the caller's, as 413.
    const fn status(&self) -> u16 {
        match self {
            Self::Call(CallFault::Busy | CallFault::Timeout) | Self::Status(429 | 503) => 503,
            Self::Call(_) | Self::Status(_) | Self::Unclear(_) => 502,
            Self::TooLong => 413,
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Call(_) | Self::Status(_) | Self::Unclear(_) => "moderation_failed",
            Self::TooLong => "moderation_too_long",
        }
    }

    fn data(&self) -> Value {
        let class = match self {
            Self::Call(CallFault::Unreachable) => "unreachable",
            Self::Call(CallFault::Timeout) => "timeout",
            Self::Call(CallFault::TooLarge) => "too_large",
            Self::Call(CallFault::Busy) => "busy",
            Self::Call(CallFault::Forbidden) => "forbidden",
            Self::Status(status) => return json!({"failed": "status", "status": status}),
            Self::Unclear(Unclear::Unreadable) => "unreadable",
            Self::Unclear(Unclear::Category) => "category",
            Self::TooLong => "too_long",
        };
        json!({"failed": class})
    }
}
