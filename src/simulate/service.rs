//! One request: from its header to the script of its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use memchr::memmem;

use super::answer::{Answer, echo, mix, prompt_tokens, unit};
use super::ask::Ask;
use super::behaviour::{BadKnob, Behaviour, ErrorBody, Fault, FaultRule};
use super::config::BODY_MAX;
use super::conn::Conn;
use super::play::Play;
use super::replay::End;
use super::route::{self, Route};
use super::script::{self, Piece, Script};
use super::state::{InFlight, LastRequest, Live, State};
use super::voice;
use crate::dialect::Dialect;

/// Answers a request to a provider; `path` is without the provider's prefix.
///
/// # Errors
/// The connection must be closed without an answer.
pub(super) async fn answer(
    state: Arc<State>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> io::Result<Response<Play>> {
    let mut guard = InFlight::begin(state);
    let reused = conn.is_reused();
    let (head, body) = request.into_parts();
    let body = read(body, guard.state()).await?;
    let state = Arc::clone(guard.state());
    let path = head.uri.path().get(state.config.prefix.len()..).unwrap_or("");
    let query = head.uri.query().unwrap_or("");
    let (method, headers) = (&head.method, &head.headers);
    let call = Call { state: &state, dialect: state.config.dialect, method, path, query, headers };
    let plan = match &body {
        Some(body) => call.plan(body, guard.in_flight()),
        None => Plan::Answer(call.error(ErrorBody::TooLarge, "The request body is too large.")),
    };
    let line = format_path(&head.method, head.uri.path());
    let body = body.unwrap_or_default();
    state.remember(LastRequest::of(line, head.headers, &body, state.config.record_body_max));
    guard.received();
    let mut script = match plan {
        Plan::Answer(script) => script,
        Plan::Hang => std::future::pending().await,
        Plan::ResetIfReused(script) if !reused => script,
        Plan::Reset | Plan::ResetIfReused(_) => {
            conn.reset_on_close();
            guard.broken();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Plan::Slow(script) => {
            conn.be_slow();
            script
        }
    };
    if script.header_delay > Duration::ZERO {
        tokio::time::sleep(script.header_delay).await;
    }
    let mut response = Response::new(());
    *response.status_mut() = script.status;
    std::mem::swap(response.headers_mut(), &mut script.headers);
    Ok(response.map(|()| Play::new(script, conn, guard)))
}

fn format_path(method: &Method, path: &str) -> String {
    let mut line = String::with_capacity(method.as_str().len() + 1 + path.len());
    line.push_str(method.as_str());
    line.push(' ');
    line.push_str(path);
    line
}

/// Reads a body of any framing; nothing if it is too large.
async fn read(mut body: Incoming, state: &State) -> io::Result<Option<Bytes>> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        let Ok(data) = frame.into_data() else { continue };
        state.counters.bytes_in.fetch_add(data.len() as u64, std::sync::atomic::Ordering::Relaxed);
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if first.len() + rest.len() + data.len() > BODY_MAX {
            return Ok(None);
        }
        if rest.is_empty() {
            let more = usize::try_from(body.size_hint().lower()).unwrap_or(BODY_MAX).min(BODY_MAX);
            rest.reserve(first.len() + data.len() + more);
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

/// What becomes of a request.
enum Plan {
    Answer(Script),
    Slow(Script),
    Hang,
    Reset,
    ResetIfReused(Script),
}

/// What is known of a request besides its body.
struct Call<'a> {
    state: &'a State,
    dialect: Dialect,
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl Call<'_> {
    fn plan(&self, body: &Bytes, in_flight: u64) -> Plan {
        let live = self.state.live();
        let b = &live.behaviour;
        if self.path == route::models(self.dialect) && self.method == Method::GET {
            let list = voice::models(self.dialect, &self.state.config.models);
            return Plan::Answer(Script::whole(StatusCode::OK, json(), list.to_string().into()));
        }
        if self.state.config.replay_only {
            return Plan::Answer(self.replayed(b, live.number()));
        }
        let route = match self.check_head() {
            Ok(route) => route,
            Err(error) => return Plan::Answer(error),
        };
        let number = live.number();
        if b.max_in_flight > 0 && in_flight > u64::from(b.max_in_flight) {
            return Plan::Answer(self.retry_later(self.error(ErrorBody::RateLimit, ""), 1));
        }
        if let Some(last) = b.replay.len().checked_sub(1) {
            let at = usize::try_from(number).unwrap_or(usize::MAX).min(last);
            return Plan::Answer(
                b.replay.get(at).map_or_else(|| self.garbage(false), Script::of_replay),
            );
        }
        if b.canned {
            return self.canned(body, &route, &live, number);
        }
        let ask = match voice::read(self.dialect, body, &route) {
            Ok(ask) => ask,
            Err(why) => return Plan::Answer(self.error(ErrorBody::InvalidRequest, &why)),
        };
        if let Err(why) = ask.check(self.dialect, self.state.config.strict) {
            return Plan::Answer(self.error(ErrorBody::InvalidRequest, &why));
        }
        let models = &self.state.config.models;
        if !models.is_empty() && !models.iter().any(|model| **model == *ask.model.0) {
            return Plan::Answer(self.error(ErrorBody::NotFound, "The model does not exist."));
        }
        match self.patched(&ask, b) {
            Ok(None) => self.act(&ask, body, b, number),
            Ok(Some(b)) => self.act(&ask, body, &b, number),
            Err(bad) => {
                let why = format!("simulator directive: {bad}");
                Plan::Answer(self.error(ErrorBody::InvalidRequest, &why))
            }
        }
    }

    /// The replay whose turn it is, or the error that there is none.
    fn replayed(&self, b: &Behaviour, number: u64) -> Script {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let last = b.replay.len().saturating_sub(1);
        if let Some(replay) = b.replay.get(number.min(last)) {
            return Script::of_replay(replay);
        }
        let mut error = self.error(ErrorBody::Server, "There is nothing to replay.");
        error.status = StatusCode::NOT_IMPLEMENTED;
        error
    }

    /// Route, method and credential, as the real ones check them.
    fn check_head(&self) -> Result<Route, Script> {
        let Some(route) = route::of(self.dialect, self.path, self.query) else {
            return Err(self.error(ErrorBody::NotFound, "There is no such path."));
        };
        if self.method != Method::POST {
            let mut error = self.error(ErrorBody::InvalidRequest, "Only POST is allowed here.");
            error.status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(error);
        }
        if !route::admits(self.dialect, self.headers, self.state.config.api_key.as_ref()) {
            return Err(self.error(ErrorBody::Auth, ""));
        }
        match route::lacks(self.dialect, self.headers) {
            Some(why) => Err(self.error(ErrorBody::InvalidRequest, why)),
            None => Ok(route),
        }
    }

    /// The behaviour for this request, if headers or directives change it.
    fn patched(&self, ask: &Ask<'_>, b: &Behaviour) -> Result<Option<Behaviour>, BadKnob> {
        let mut patch = Patch { base: b, own: None, faulted: false };
        for (name, value) in self.headers {
            let Some(knob) = name.as_str().strip_prefix("x-sim-") else { continue };
            let value = value.to_str().map_err(|_| BadKnob::new(knob, "is not text"))?;
            patch.apply(&knob.replace('-', "_"), value)?;
        }
        let Some(mut text) = ask.last_user_text() else { return Ok(patch.own) };
        while let Some(at) = memmem::find(text.as_bytes(), b"[[sim") {
            let from = text.get(at + 5..).unwrap_or("");
            let Some((directive, after)) = from.split_once("]]") else { break };
            text = after;
            let mut words = directive.split_ascii_whitespace();
            if directive.starts_with('@') {
                let id = words.next().and_then(|word| word.strip_prefix('@'));
                if id != Some(&*self.state.config.id) {
                    continue;
                }
            }
            for word in words {
                let (knob, value) = word.split_once('=').unwrap_or((word, "true"));
                patch.apply(knob, value)?;
            }
        }
        Ok(patch.own)
    }

    /// Answers from prebuilt bytes where no fault strikes.
    fn canned(&self, body: &Bytes, route: &Route, live: &Live, number: u64) -> Plan {
        let mut ask = glance(self.dialect, body);
        ask.stream = route.stream.unwrap_or(ask.stream);
        if !live.behaviour.faults.is_empty() {
            return self.act(&ask, body, &live.behaviour, number);
        }
        let form = usize::from(ask.stream) + usize::from(ask.stream && ask.include_usage);
        let build = || match self.act(&ask, body, &live.behaviour, 0) {
            Plan::Answer(script) => Some(script),
            Plan::Slow(_) | Plan::Hang | Plan::Reset | Plan::ResetIfReused(_) => None,
        };
        let built = live.canned.get(form).and_then(|cell| cell.get_or_init(build).as_ref());
        match built {
            Some(script) => Plan::Answer(script.clone()),
            None => self.act(&ask, body, &live.behaviour, number),
        }
    }

    fn act(&self, ask: &Ask<'_>, body: &Bytes, b: &Behaviour, number: u64) -> Plan {
        let chance = mix(self.state.seed ^ number.rotate_left(17));
        let credential = route::credential(self.dialect, self.headers);
        let struck = b.faults.iter().enumerate().find(|(i, rule)| {
            rule.strikes(number, unit(chance.wrapping_add(*i as u64))) && rule.concerns(credential)
        });
        let rule = struck.map(|(_, rule)| rule);
        let fault = rule.map(|rule| rule.fault);
        match (fault, rule) {
            (Some(Fault::Reset), _) => return Plan::Reset,
            (Some(Fault::Hang), _) => return Plan::Hang,
            (Some(Fault::Status(_) | Fault::Error(_)), Some(rule)) => {
                return Plan::Answer(self.refuse(ask, b, rule, chance));
            }
            _ => {}
        }
        let answer = if b.echo {
            Answer::saying(echo(body), ask, self.state.seed, number)
        } else {
            Answer::to(ask, b, self.state.seed, number)
        };
        let mut script = if ask.stream {
            self.streamed(ask, &answer, b, fault, chance)
        } else {
            self.whole(&answer, b, fault, chance)
        };
        script.headers.insert(voice::request_id(self.dialect), HeaderValue::from(answer.id));
        match fault {
            Some(Fault::ResetReused) => Plan::ResetIfReused(script),
            Some(Fault::SlowHeader) => Plan::Slow(script),
            _ => Plan::Answer(script),
        }
    }

    fn streamed(
        &self,
        ask: &Ask<'_>,
        answer: &Answer,
        b: &Behaviour,
        fault: Option<Fault>,
        chance: u64,
    ) -> Script {
        let mut speaker = voice::speaker(self.dialect, answer, ask.include_usage);
        let (wire, end) = script::stream(&mut *speaker, answer, b, fault);
        let mut script = script::pace(wire, end, b, chance);
        script.headers.insert(CONTENT_TYPE, voice::stream_type(self.dialect));
        match fault {
            Some(Fault::HangAfterHeader) => {
                script.pieces = Arc::default();
                script.end = End::Hang;
            }
            Some(Fault::EmptyBody) => {
                script.pieces = Arc::default();
                script.wire = Bytes::new();
            }
            Some(Fault::Garbage) => {
                let delay = script.header_delay;
                script = self.garbage(true);
                script.header_delay = delay;
            }
            _ => {}
        }
        script
    }

    fn whole(&self, answer: &Answer, b: &Behaviour, fault: Option<Fault>, chance: u64) -> Script {
        let usage = fault != Some(Fault::NoUsage);
        let empty = fault == Some(Fault::Empty);
        let body = match fault {
            Some(Fault::EmptyBody) => Vec::new(),
            Some(Fault::Garbage) => GARBAGE.to_vec(),
            Some(Fault::InBand | Fault::InBandAfter(_)) => voice::in_band(self.dialect, answer),
            _ => voice::whole(self.dialect, answer, usage, empty),
        };
        let mut script = Script::whole(StatusCode::OK, json(), Bytes::from(body));
        let delay = script::whole_delay(b, answer.completion_tokens(), chance);
        if b.early_header {
            script.pieces = Arc::new([Piece { end: script.wire.len(), due: delay }]);
        } else {
            script.header_delay = delay;
        }
        match fault {
            Some(Fault::CutBefore) => script.cut_whole(true, End::Cut),
            // Half of a JSON document that ends as HTTP says would have to say another length.
            Some(Fault::CutAfter(_) | Fault::EndAfter(_)) => script.cut_whole(false, End::Cut),
            Some(Fault::ResetAfter(_)) => script.cut_whole(false, End::Reset),
            Some(Fault::HangAfter(_)) => script.cut_whole(false, End::Hang),
            Some(Fault::HangAfterHeader) => script.cut_whole(true, End::Hang),
            _ => {}
        }
        script
    }

    /// An error answer that a fault rule asks for.
    fn refuse(&self, ask: &Ask<'_>, b: &Behaviour, rule: &FaultRule, chance: u64) -> Script {
        let (kind, status) = match rule.fault {
            Fault::Status(code) => {
                (rule.error_body.unwrap_or(ErrorBody::of_status(code)), Some(code))
            }
            Fault::Error(kind) => (kind, None),
            _ => (ErrorBody::Server, None),
        };
        let tokens = prompt_tokens(ask);
        let mut script = self.error_with(kind, tokens, "The simulated provider refuses.");
        if let Some(status) = status.and_then(|code| StatusCode::from_u16(code).ok()) {
            script.status = status;
        }
        script.header_delay = script::whole_delay(b, 0, chance);
        match rule.retry_after {
            Some(seconds) => self.retry_later(script, seconds),
            None => script,
        }
    }

    fn retry_later(&self, mut script: Script, seconds: u32) -> Script {
        script.headers.insert(RETRY_AFTER, seconds.into());
        script
    }

    fn error(&self, kind: ErrorBody, message: &str) -> Script {
        self.error_with(kind, 0, message)
    }

    fn error_with(&self, kind: ErrorBody, prompt_tokens: u64, message: &str) -> Script {
        let (status, body) = voice::error(self.dialect, kind, prompt_tokens, message);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if kind == ErrorBody::Html {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            return Script::whole(StatusCode::BAD_GATEWAY, headers, Bytes::from_static(PAGE));
        }
        let mut headers = json();
        headers.extend(voice::error_header(self.dialect, kind));
        Script::whole(status, headers, Bytes::from(body))
    }

    fn garbage(&self, stream: bool) -> Script {
        let mut headers = json();
        if !stream {
            return Script::whole(StatusCode::OK, headers, Bytes::from_static(GARBAGE));
        }
        headers.insert(CONTENT_TYPE, voice::stream_type(self.dialect));
        let mut script = Script::whole(StatusCode::OK, headers, Bytes::from_static(GARBAGE_EVENTS));
        script.sized = false;
        script
    }
}

/// A behaviour that is copied only when something changes it. The first fault that a request asks
/// for replaces the provider's own.
struct Patch<'a> {
    base: &'a Behaviour,
    own: Option<Behaviour>,
    faulted: bool,
}

impl Patch<'_> {
    fn apply(&mut self, knob: &str, value: &str) -> Result<(), BadKnob> {
        let own = self.own.get_or_insert_with(|| self.base.clone());
        if matches!(knob, "fault" | "fail" | "error_body") && !self.faulted {
            own.faults.clear();
            self.faulted = true;
        }
        own.apply(knob, value)
    }
}

/// A request of which nothing is read but whether it wants a stream, and usage with it.
fn glance(dialect: Dialect, body: &[u8]) -> Ask<'static> {
    let mut ask = Ask::default();
    ask.model.0 = "canned".into();
    let says = |tight: &[u8], spaced: &[u8]| {
        memmem::find(body, tight).is_some() || memmem::find(body, spaced).is_some()
    };
    ask.stream = match dialect {
        Dialect::Ollama => !says(b"\"stream\":false", b"\"stream\": false"),
        _ => says(b"\"stream\":true", b"\"stream\": true"),
    };
    ask.include_usage = memmem::find(body, b"include_usage").is_some();
    ask
}

fn json() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

const PAGE: &[u8] = b"<html><head><title>502 Bad Gateway</title></head></html>\n";
const GARBAGE: &[u8] = b"{\"id\": not json \xff\x00";
const GARBAGE_EVENTS: &[u8] = b"data: {\"id\": not json\n\ndata: \xff\x00}\n\n";
