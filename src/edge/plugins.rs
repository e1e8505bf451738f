//! Plugins in a request's journey: begun at its head, asked before it is routed, heard along its
//! answer, told of its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use pingora::proxy::Session;
use turnpike_plugin_api::Record;

use crate::dialect::scan::Head;
use crate::edge::clock;
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::guard::Admission;
use crate::edge::intake;
use crate::edge::journey::{Chat, Facts};
use crate::edge::task::Task;
use crate::edge::write::LARGE_BODY;
use crate::error::GatewayError;
use crate::ledger::KeyEntry;
use crate::observe::AccessLine;
use crate::plugins::{About, Filtered, Outcome, Progress, Runs};
use crate::route::Named;
use crate::stream::Filter;
use crate::vocab::NanoUsd;

/// Requests from this size on are shown to plugins that may be slow where blocking does no harm, in
/// bytes: going there costs more than a short one.
const LARGE_VIEW: usize = 16 << 10;

/// The plugins of one request. Held only while one of them runs, never across an await.
pub(crate) struct Plugins {
    runs: Arc<Mutex<Box<Runs>>>,
    /// What they add to the charge.
    pub(crate) fee: NanoUsd,
    /// One of them wants to see the answer.
    pub(crate) hears: bool,
    /// The end of a whole answer may take one of them long.
    slow: bool,
    /// Headers for the provider.
    pub(crate) upstream_headers: Vec<(String, String)>,
    /// Headers for the client.
    pub(crate) answer_headers: Vec<(String, String)>,
}

/// Begins the plugins of a request; `None` where it has none, as usual.
///
/// # Errors
/// The request says something wrong of plugins, or one of them refuses it.
pub(crate) fn begin(
    gateway: &Gateway,
    session: &Session,
    facts: &Facts,
    (caller, admission): (&KeyEntry, &Admission),
    (head, body): (&Head, &[u8]),
    snapshot: &Snapshot,
) -> Result<Option<Box<Plugins>>, GatewayError> {
    let chain = &snapshot.plugins;
    let header = |name: &str| shown(&session.req_header().headers, name);
    let variant = admission.rules.key.variant.as_deref();
    let about = About {
        key: caller.id(),
        account: caller.account().id(),
        unix_ms: facts.arrived_ms,
        context: &|| context(snapshot, head),
        online: chain.has_web() && is_online(head, variant),
        header: &header,
    };
    let runs = chain.begin(head, body, &about).inspect_err(|error| {
        if let Some(blocked) = &error.blocked {
            gateway.metrics.plugin_run(blocked.plugin, Outcome::Refused.as_str());
        }
    })?;
    Ok(runs.map(|runs| {
        Box::new(Plugins {
            hears: runs.hear(head.stream),
            slow: !head.stream && runs.is_slow(),
            runs: Arc::new(Mutex::new(runs)),
            fee: NanoUsd::ZERO,
            upstream_headers: Vec::new(),
            answer_headers: Vec::new(),
        })
    }))
}

/// A header as plugins see it: all its lines as one list (RFC 9110 §5.3), so that none is overlooked;
/// no credentials.
fn shown(headers: &HeaderMap, name: &str) -> Option<Cow<'static, str>> {
    const HIDDEN: [&str; 6] = [
        "api-key",
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-goog-api-key",
    ];
    if HIDDEN.contains(&name) {
        return None;
    }
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| Cow::Owned(lines.join(", ")))
}

/// Whether a model is asked for with `:online`, by its name or by the key's own suffix.
fn is_online(head: &Head, variant: Option<&str>) -> bool {
    let names = || head.model.iter().chain(&head.models);
    let plain = |name: &String| !name.contains(':');
    names().any(|name| Named::parse(name).online) || variant == Some("online") && names().any(plain)
}

/// The largest context of the endpoints of the first model.
fn context(snapshot: &Snapshot, head: &Head) -> u64 {
    let name = head.model.as_deref().or_else(|| head.models.first().map(String::as_str));
    let slots = name.and_then(|name| snapshot.table.slots_of(name)).unwrap_or_default();
    slots.iter().map(|slot| u64::from(slot.endpoint.context_length)).max().unwrap_or(0)
}

/// Lets the plugins see and change the request, and ask the outside. Runs only where the cache has
/// no answer.
///
/// # Errors
/// One of them refuses the request, or has failed where it may not.
pub(crate) async fn prepare(gateway: &Gateway, chat: &mut Chat) -> Result<(), GatewayError> {
    let Some(plugins) = &chat.plugins else { return Ok(()) };
    let (runs, snapshot) = (Arc::clone(&plugins.runs), Arc::clone(&chat.snapshot));
    let (mut reply, mut waited) = (None, Duration::ZERO);
    let before = chat.ask.body.clone();
    loop {
        let Some((id, slow)) = runs.lock().current() else { break };
        let began = clock::now();
        let slow = slow && chat.ask.body.len() >= LARGE_VIEW;
        let view = (&mut chat.ask.head, &mut chat.ask.body);
        let step = || {
            runs.lock().step(
                view,
                reply.take(),
                snapshot.body.bytes_max,
                snapshot.plugins.plugins(),
            )
        };
        let stepped = if slow { tokio::task::block_in_place(step) } else { step() };
        waited += clock::now().since(began);
        match stepped {
            Ok(Progress::Call(place, call)) => {
                let began = clock::now();
                let Some(plugin) = snapshot.plugins.plugins().get(place) else { break };
                reply = Some(gateway.calls.make(plugin, call, &gateway.metrics).await);
                waited += clock::now().since(began);
                continue;
            }
            Ok(Progress::Next | Progress::Done) => {}
            Err(error) => {
                gateway.metrics.plugin_time(id, waited);
                return Err(error);
            }
        }
        gateway.metrics.plugin_time(id, std::mem::take(&mut waited));
    }
    // By its place: a body that was changed is another.
    if chat.ask.body.as_ptr() != before.as_ptr() {
        chat.ask.parsed = None;
        chat.ask.prompt_tokens = chat.ask.head.text.estimate_prompt_tokens();
        chat.ask.asked = intake::asked(chat.task, &chat.ask.body)?;
    }
    let runs = runs.lock();
    let mut hears = false;
    if let Some(plugins) = &mut chat.plugins {
        plugins.hears = runs.hear(chat.ask.head.stream);
        hears = plugins.hears;
        plugins.fee = runs.fee();
        plugins.upstream_headers = runs.upstream_headers().to_vec();
        plugins.answer_headers = runs.answer_headers().to_vec();
    }
    drop(runs);
    if hears { understand(chat) } else { Ok(()) }
}

/// Reads the request in full: an answer that does not pass is written in the client's format, which
/// may repeat parts of it.
fn understand(chat: &mut Chat) -> Result<(), GatewayError> {
    let Task::Answer(surface) = chat.task else { return Ok(()) };
    let large = chat.ask.body.len() >= LARGE_BODY;
    let mut read = || chat.ask.in_format(surface).tree().map(|_| ());
    if large { tokio::task::block_in_place(read) } else { read() }
}

/// The plugins as a filter of an answer that begins, if one of them wants to see it.
///
/// # Errors
/// None in practice: the request has been read before.
pub(crate) fn filter(chat: &mut Chat) -> Result<Option<Box<dyn Filter>>, GatewayError> {
    let in_words = matches!(chat.task, Task::Answer(_));
    let hears = |plugins: &&Plugins| plugins.hears && in_words;
    let Some(plugins) = chat.plugins.as_deref().filter(hears) else { return Ok(None) };
    let runs = Arc::clone(&plugins.runs);
    understand(chat)?;
    Ok(Some(Box::new(Filtered::new(runs, chat.ask.head.stream))))
}

/// Takes a piece of the answer; the end of a whole one where blocking does no harm, if a plugin may
/// take long over it.
pub(crate) fn take<T>(plugins: Option<&Plugins>, end: bool, take: impl FnOnce() -> T) -> T {
    let slow = end && plugins.is_some_and(|plugins| plugins.slow && plugins.hears);
    if slow { tokio::task::block_in_place(take) } else { take() }
}

/// Headers that they want to be sent to the provider.
pub(crate) fn upstream_headers(chat: &Chat) -> &[(String, String)] {
    chat.plugins.as_ref().map_or(&[], |plugins| &plugins.upstream_headers)
}

/// What they did, as `openrouter_metadata.pipeline`.
pub(crate) fn pipeline(chat: &Chat) -> serde_json::Value {
    let told = |plugins: &Plugins| crate::plugins::pipeline(&plugins.runs.lock());
    chat.plugins.as_deref().map_or_else(|| serde_json::json!([]), told)
}

/// Tells them how the request ended, and counts how they did.
pub(crate) fn close(gateway: &Gateway, facts: &Facts, chat: &Chat, line: &AccessLine) {
    let Some(plugins) = &chat.plugins else { return };
    let record = Record {
        generation: facts.id,
        model: line.model_served.clone(),
        endpoint: line.endpoint.clone(),
        usage: line.usage.unwrap_or_default(),
        cost: line.cost.unwrap_or_default(),
        status: line.status.unwrap_or_default(),
        took: clock::now().since(facts.arrived),
    };
    let mut runs = plugins.runs.lock();
    runs.done(&record);
    for report in runs.reports() {
        gateway.metrics.plugin_run(report.id, report.outcome.as_str());
        if report.outcome == Outcome::Failed {
            tracing::warn!(id = %facts.id, plugin = report.id, "A plugin has failed.");
        }
    }
}
