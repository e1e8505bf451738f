//! [`File`] → [`Config`]: references followed, ranges judged, sections held against each other.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{At, Faults};
use super::file::{self, File};
use super::outside::{Outside, check_pem, secret};
use super::settings::{
    AccessLog, Admin, Cache, Config, Content, Ledger, Level, Log, LogFormat, Media, Routing,
    Server, Tls,
};
use super::{choices, market, payment, plugins, providers, webhooks};
use crate::balance::HedgeSettings;
use crate::catalog::Secret;
use crate::catalog::Share;

/// An hour, in milliseconds.
pub(super) const HOUR_MS: u64 = 3_600_000;
/// A day, in milliseconds.
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;
/// 2^40 bytes: more memory than any machine gives one gateway.
const TEBIBYTE: u64 = 1 << 40;

/// Resolves all sections. The result is of use only if no fault was added.
pub(super) fn resolve(file: &File, outside: Outside<'_>, faults: &mut Faults) -> Config {
    let mut taken = Addresses::default();
    let server = server(&file.server, outside, &mut taken, faults);
    let admin = admin(&file.admin, outside, &mut taken, faults);
    let ledger = ledger(&file.ledger, faults);
    let content = content(&file.content, &ledger.data_dir, outside, faults);
    let cache = cache(&file.cache, faults);
    let routing = routing(&file.routing, faults);
    let routing = Routing { hedging: hedging(&file.routing.hedging, faults), ..routing };
    let timeouts = providers::timeouts(&file.timeouts, faults);
    let media = media(&file.media, faults);
    let webhooks = webhooks::resolve(&file.webhooks, outside, faults);
    let payment = payment::resolve(&file.payment, faults);
    let log = log(&file.log, faults);
    let (catalog, byok) = market::resolve(file, timeouts, outside, faults);
    let catalog = Arc::new(catalog);
    let auto = choices::auto(&file.auto, &catalog, faults);
    let presets = choices::presets(&file.presets, &catalog, faults);
    let plugins = Arc::new(plugins::resolve(&file.plugins, outside, faults));
    Config {
        server,
        admin,
        ledger,
        content,
        cache,
        routing,
        media,
        webhooks,
        payment,
        log,
        catalog,
        byok,
        auto,
        presets,
        plugins,
    }
}

fn media(raw: &file::Media, faults: &mut Faults) -> Media {
    let mut at = At::new("media", faults);
    Media {
        fetch: raw.fetch,
        bytes_max: at.size("bytes_max", raw.bytes_max, 1, 1 << 30),
        timeout: at.ms("timeout_ms", raw.timeout_ms, 100, HOUR_MS),
        count_max: at.size("count_max", raw.count_max, 1, 1_000),
        private_networks: raw.private_networks,
    }
}

fn server(
    raw: &file::Server,
    outside: Outside<'_>,
    taken: &mut Addresses,
    faults: &mut Faults,
) -> Server {
    let mut at = At::new("server", faults);
    let listen = taken.all(&mut at, "listen", &raw.listen);
    let tls = tls(raw, outside, taken, &mut at);
    if raw.listen.is_empty() && raw.tls_listen.is_empty() {
        at.fault("listen", "is empty, as is tls_listen; at least one address is needed");
    }
    let body_bytes_max = at.size("body_bytes_max", raw.body_bytes_max, 1, 1 << 30);
    let body_memory_bytes_max =
        at.size("body_memory_bytes_max", raw.body_memory_bytes_max, 1, TEBIBYTE);
    if body_memory_bytes_max < body_bytes_max {
        at.fault("body_memory_bytes_max", "must be at least body_bytes_max");
    }
    Server {
        listen,
        tls,
        threads: NonZeroUsize::new(at.size("threads", raw.threads, 0, 1_024)),
        body_bytes_max,
        header_bytes_max: at.size("header_bytes_max", raw.header_bytes_max, 1_024, 1 << 20),
        request_body_timeout: at.ms(
            "request_body_timeout_ms",
            raw.request_body_timeout_ms,
            100,
            HOUR_MS,
        ),
        client_write_timeout: at.ms(
            "client_write_timeout_ms",
            raw.client_write_timeout_ms,
            100,
            HOUR_MS,
        ),
        keepalive_timeout: at.ms("keepalive_timeout_ms", raw.keepalive_timeout_ms, 1_000, HOUR_MS),
        shutdown_timeout: at.ms("shutdown_timeout_ms", raw.shutdown_timeout_ms, 0, DAY_MS),
        body_memory_bytes_max,
    }
}

fn tls(
    raw: &file::Server,
    outside: Outside<'_>,
    taken: &mut Addresses,
    at: &mut At<'_>,
) -> Option<Tls> {
    if raw.tls_listen.is_empty() {
        for (key, value) in [("tls_cert", &raw.tls_cert), ("tls_key", &raw.tls_key)] {
            if value.is_some() {
                at.fault(key, "is of no use without tls_listen; name an address there");
            }
        }
        return None;
    }
    let listen = taken.all(at, "tls_listen", &raw.tls_listen);
    let mut pem = |key: &str, value: &Option<String>, label: &str| match value.as_deref() {
        None | Some("") => {
            at.fault(key, "is required with tls_listen; give the path of a PEM file");
            PathBuf::new()
        }
        Some(path) => {
            check_pem(at, key, path, label, outside);
            PathBuf::from(path)
        }
    };
    let cert = pem("tls_cert", &raw.tls_cert, "CERTIFICATE");
    let key = pem("tls_key", &raw.tls_key, "PRIVATE KEY");
    Some(Tls { listen, cert, key })
}

fn admin(
    raw: &file::Admin,
    outside: Outside<'_>,
    taken: &mut Addresses,
    faults: &mut Faults,
) -> Admin {
    /// Shorter tokens can be guessed.
    const TOKEN_LEN_MIN: usize = 16;
    let mut at = At::new("admin", faults);
    let listen = match raw.listen.as_str() {
        "" => None,
        text => taken.one(&mut at, "listen", text),
    };
    let token: Option<Secret> =
        raw.token.as_deref().and_then(|text| secret(&mut at, "token", text, outside));
    if token.as_ref().is_some_and(|t| t.expose().len() < TOKEN_LEN_MIN) {
        at.fault("token", "refers to a secret that has fewer than 16 characters");
    }
    Admin { listen, token }
}

fn ledger(raw: &file::Ledger, faults: &mut Faults) -> Ledger {
    let mut at = At::new("ledger", faults);
    if raw.data_dir.is_empty() || raw.data_dir.contains('\0') {
        at.fault("data_dir", "must be the path of a directory");
    }
    Ledger {
        data_dir: PathBuf::from(&raw.data_dir),
        checkpoint: at.ms("checkpoint_ms", raw.checkpoint_ms, 10, 600_000),
        segment_bytes_max: at.int("segment_bytes_max", raw.segment_bytes_max, 65_536, 16 << 30),
        index_upstream_ids: raw.index_upstream_ids,
        logging_discount: Share::parse(&raw.logging_discount).unwrap_or_else(|| {
            at.fault("logging_discount", "must be a percentage, for instance \"1%\"");
            Share::NONE
        }),
    }
}

fn content(
    raw: &file::Content,
    data_dir: &Path,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Option<Content> {
    let mut at = At::new("content", faults);
    if raw.dir.as_ref().is_some_and(|dir| dir.is_empty() || dir.contains('\0')) {
        at.fault("dir", "must be the path of a directory");
    }
    let bytes_max = at.int("bytes_max", raw.bytes_max, 1, 1 << 50);
    let generation_bytes_max = at.int("generation_bytes_max", raw.generation_bytes_max, 1, 1 << 30);
    let queue_bytes_max = at.int("queue_bytes_max", raw.queue_bytes_max, 1, TEBIBYTE);
    let key = raw.key.as_deref().and_then(|text| secret(&mut at, "key", text, outside))?;
    let digits = key.expose();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        at.fault("key", "refers to a secret that is not 64 hexadecimal digits");
        return None;
    }
    let dir = raw.dir.as_ref().map_or_else(|| data_dir.join("content"), PathBuf::from);
    Some(Content { key, dir, bytes_max, generation_bytes_max, queue_bytes_max })
}

fn cache(raw: &file::Cache, faults: &mut Faults) -> Cache {
    let mut at = At::new("cache", faults);
    let bytes_max = at.size("bytes_max", raw.bytes_max, 1, TEBIBYTE);
    let entry_bytes_max = at.size("entry_bytes_max", raw.entry_bytes_max, 1, TEBIBYTE);
    if entry_bytes_max > bytes_max && !at.has("bytes_max") {
        at.fault("entry_bytes_max", "must not be above bytes_max");
    }
    let ttl_default = at.int("ttl_default_s", raw.ttl_default_s, 1, 86_400);
    Cache {
        enabled: raw.enabled,
        bytes_max,
        entry_bytes_max,
        ttl_default: Duration::from_secs(ttl_default),
    }
}

fn routing(raw: &file::Routing, faults: &mut Faults) -> Routing {
    let mut at = At::new("routing", faults);
    let at = &mut at;
    let routing = Routing {
        attempts_max: at.int32("attempts_max", raw.attempts_max, 1, 32),
        continuations_max: at.int32("continuations_max", raw.continuations_max, 0, 4),
        ewma_decay: at.ms("ewma_decay_ms", raw.ewma_decay_ms, 100, HOUR_MS),
        retry_budget_ratio: at.float("retry_budget_ratio", raw.retry_budget_ratio, 0.0, 1.0),
        retry_budget_reserve: at.int32(
            "retry_budget_reserve",
            raw.retry_budget_reserve,
            0,
            1_000_000,
        ),
        breaker_failures: u8::try_from(at.int("breaker_failures", raw.breaker_failures, 1, 255))
            .unwrap_or(u8::MAX),
        breaker_open_min: at.ms("breaker_open_min_ms", raw.breaker_open_min_ms, 1, HOUR_MS),
        breaker_open_max: at.ms("breaker_open_max_ms", raw.breaker_open_max_ms, 1, HOUR_MS),
        breaker_window: at.ms("breaker_window_ms", raw.breaker_window_ms, 100, HOUR_MS),
        breaker_failure_rate: at.float("breaker_failure_rate", raw.breaker_failure_rate, 0.01, 1.0),
        rate_limit_backoff: at.ms("rate_limit_backoff_ms", raw.rate_limit_backoff_ms, 1, HOUR_MS),
        rate_limit_cap: at.ms("rate_limit_cap_ms", raw.rate_limit_cap_ms, 1, DAY_MS),
        decisions: raw.decisions.as_ref().map(PathBuf::from),
        decisions_bytes_max: at.int("decisions_bytes_max", raw.decisions_bytes_max, 1, TEBIBYTE),
        hedging: None,
    };
    if raw.decisions.as_ref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
        at.fault("decisions", "must be the path of a file");
    }
    if routing.breaker_open_max < routing.breaker_open_min {
        at.fault("breaker_open_max_ms", "must be at least breaker_open_min_ms");
    }
    if routing.rate_limit_cap < routing.rate_limit_backoff {
        at.fault("rate_limit_cap_ms", "must be at least rate_limit_backoff_ms");
    }
    routing
}

fn hedging(raw: &file::Hedging, faults: &mut Faults) -> Option<HedgeSettings> {
    let mut at = At::new("routing.hedging", faults);
    let mut share = |key: &str, text: &str| {
        Share::parse(text).unwrap_or_else(|| {
            at.fault(key, "must be a percentage, for instance \"5%\"");
            Share::NONE
        })
    };
    let (requests_max, spend_max) =
        (share("requests_max", &raw.requests_max), share("spend_max", &raw.spend_max));
    let delay_default = at.ms("delay_default_ms", raw.delay_default_ms, 0, HOUR_MS);
    let settings = HedgeSettings {
        requests_max,
        spend_max,
        delay_min: at.ms("delay_min_ms", raw.delay_min_ms, 1, HOUR_MS),
        delay_default: Some(delay_default).filter(|delay| !delay.is_zero()),
        billed_losers: raw.billed_losers,
    };
    raw.enabled.then_some(settings)
}

fn log(raw: &file::Log, faults: &mut Faults) -> Log {
    let mut at = At::new("log", faults);
    let access = match raw.access.as_str() {
        "off" => AccessLog::Off,
        "stdout" => AccessLog::Stdout,
        "stderr" => AccessLog::Stderr,
        path if path.contains('/') && !path.contains('\0') => AccessLog::File(PathBuf::from(path)),
        _ => {
            at.fault("access", "must be stdout, stderr, off, or a path with a / in it");
            AccessLog::Off
        }
    };
    let level = Level::ALL.into_iter().find(|l| l.name() == raw.level).unwrap_or_else(|| {
        at.fault("level", "must be error, warn, info, debug or trace");
        Level::Info
    });
    let format = match raw.format.as_str() {
        "json" => LogFormat::Json,
        "text" => LogFormat::Text,
        _ => {
            at.fault("format", "must be json or text");
            LogFormat::Json
        }
    };
    Log { access, level, format }
}

/// The addresses that are listened on so far: each once, whatever the section.
#[derive(Default)]
struct Addresses(Vec<SocketAddr>);

impl Addresses {
    fn all(&mut self, at: &mut At<'_>, key: &str, texts: &[String]) -> Vec<SocketAddr> {
        /// More listeners than anybody needs.
        const LISTEN_MAX: usize = 64;
        if texts.len() > LISTEN_MAX {
            at.fault(
                key,
                format!("has {} addresses; at most {LISTEN_MAX} are allowed", texts.len()),
            );
            return Vec::new();
        }
        let one = |(i, text): (usize, &String)| self.one(at, &format!("{key}[{i}]"), text);
        texts.iter().enumerate().filter_map(one).collect()
    }

    fn one(&mut self, at: &mut At<'_>, key: &str, text: &str) -> Option<SocketAddr> {
        let Ok(address) = text.parse::<SocketAddr>() else {
            at.fault(key, "must be IP:port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"");
            return None;
        };
        if let Some(other) = self.0.iter().find(|other| overlap(**other, address)) {
            at.fault(key, format!("is {address}, but {other} is listened on already"));
            return None;
        }
        self.0.push(address);
        Some(address)
    }
}

/// Whether the system would refuse to listen on both. Port 0 is a fresh port each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
