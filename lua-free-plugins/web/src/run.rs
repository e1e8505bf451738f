//! One request: it is searched for, told of the results, and its answer is read for links to them.

use std::sync::Arc;

use serde_json::{Value, json};
use turnpike_plugin_api::{
    CallFault, Keep, Kind, Mark, NanoUsd, Piece, Refusal, Reply, Request, Run, Step,
};

use crate::cite::Cites;
use crate::engine::Search;
use crate::options::{Config, OnFailure, Wish};
use crate::sources;

/// A request and its search.
pub(crate) struct Searching {
    config: Arc<Config>,
    wish: Wish,
    unix_ms: u64,
    /// Once there are results.
    cites: Option<Cites>,
}

/// Why a search failed.
enum Fault {
    Call(CallFault),
    Status(u16),
    Unreadable,
}

impl Searching {
    /// A request with these wishes that arrived at this time, in milliseconds since 1970.
    pub(crate) const fn new(config: Arc<Config>, wish: Wish, unix_ms: u64) -> Self {
        Self { config, wish, unix_ms, cites: None }
    }

    fn found(&mut self, reply: &Reply, request: &mut Request) -> Result<(), Fault> {
        let config = &*self.config;
        if !reply.is_ok() {
            return Err(Fault::Status(reply.status));
        }
        let found = config.engine.read(&reply.body).ok_or(Fault::Unreadable)?;
        let sites = [&config.sites, &self.wish.sites];
        let found = sources::choose(&found, sites, self.wish.count, config.snippet_chars);
        let date = sources::date(self.unix_ms);
        let prompt = self.wish.prompt.as_deref().unwrap_or(&config.search_prompt);
        request.instruct(sources::tell(&date, prompt, &found));
        // What was kept was charged when it was searched for.
        let cost = if reply.kept { NanoUsd::ZERO } else { config.price };
        request.charge(cost);
        let count = found.len();
        let results = if count == 1 { "result" } else { "results" };
        let kept = if reply.kept { ", kept from an earlier search" } else { "" };
        request.note(
            format!("{count} {results} of {}{kept}.", config.engine.id()),
            json!({
                "engine": config.engine.id(),
                "results": count,
                "kept": reply.kept,
                "cost_usd": cost.to_string(),
            }),
        );
        if count > 0 {
            self.cites = Some(Cites::new(found));
        }
        Ok(())
    }
}

impl Run for Searching {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        let config = &*self.config;
        let search = Search {
            text: request.last_user_text().unwrap_or_default(),
            count: self.wish.count,
            snippet_chars: config.snippet_chars,
            sites: &self.wish.asked(config),
        };
        let call = config.engine.call(&config.base, config.key.as_ref(), &search);
        let Some(mut call) = call else {
            let data = json!({"engine": config.engine.id(), "results": 0});
            request.note("Nothing was searched for: the user says nothing in words.", data);
            return Ok(Step::Done);
        };
        call.timeout = config.timeout;
        if !config.keep.is_zero() {
            // All that the answer depends on, without saying what was asked.
            let mut hash = blake3::Hasher::new();
            hash.update(call.url.as_bytes()).update(b"\n").update(&call.body);
            let name = format!("web {} {}", config.engine.id(), hash.finalize().to_hex());
            call.keep = Some((name, config.keep));
        }
        Ok(Step::Call(call))
    }

    fn on_reply(
        &mut self,
        reply: Result<Reply, CallFault>,
        request: &mut Request,
    ) -> Result<Step, Refusal> {
        let found = reply.map_err(Fault::Call);
        let Err(fault) = found.and_then(|reply| self.found(&reply, request)) else {
            return Ok(Step::Done);
        };
        let (why, data) = fault.told(self.config.engine.id());
        let text = format!("The web search by {} failed: {why}.", self.config.engine.id());
        match self.config.on_failure {
            OnFailure::Answer => request.note(text, data),
            OnFailure::Refuse => return Err(Refusal::new(502, "web_search_failed", text)),
        }
        Ok(Step::Done)
    }

    fn on_begin(&mut self) {
        if let Some(cites) = &mut self.cites {
            cites.begin();
        }
    }

    fn on_piece(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        if let Some(cites) = &mut self.cites {
            match &piece {
                Piece::Text { choice, kind: Kind::Text, text } => cites.read(*choice, text),
                Piece::Citation { choice, citation } => cites.cited(*choice, citation),
                Piece::Text { .. } => {}
            }
        }
        out.push(piece);
    }

    fn on_mark(&mut self, mark: &Mark, out: &mut Vec<Piece>) -> Keep {
        if let (Mark::Finish { choice }, Some(cites)) = (mark, &mut self.cites) {
            cites.finish(*choice, out);
        }
        Keep::Yes
    }
}

impl Fault {
    /// What is said of it, and for programs.
    fn told(&self, engine: &str) -> (String, Value) {
        let (why, class, status) = match self {
            Self::Call(fault) => (fault.to_string(), class(*fault), None),
            Self::Status(status) => (format!("it answered with {status}"), "status", Some(*status)),
            Self::Unreadable => ("its answer cannot be read".to_owned(), "unreadable", None),
        };
        let mut data = json!({"engine": engine, "results": 0, "failed": class});
        if let Some(status) = status {
            data["status"] = json!(status);
        }
        (why, data)
    }
}

const fn class(fault: CallFault) -> &'static str {
    match fault {
        CallFault::Unreachable => "unreachable",
        CallFault::Timeout => "timeout",
        CallFault::TooLarge => "too_large",
        CallFault::Busy => "busy",
        CallFault::Forbidden => "forbidden",
    }
}
