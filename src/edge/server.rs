//! Start and end of the process: listeners, services, signals, and leaving in good order.
//!
//! On SIGTERM or Ctrl-C Pingora closes its listeners and then sleeps for the whole grace period.
//! A thread of ours watches the requests in flight instead: as soon as the last one has ended it
//! closes the ledger and ends the process. The ledger is closed exactly once, by whoever comes
//! first: that thread, or a second signal.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::http_proxy_service_with_name;
use pingora::server::configuration::ServerConf;
use pingora::server::{ExecutionPhase, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora::services::background::background_service;
use tokio::sync::Semaphore;

use crate::admin::Desk;
use crate::balance::RetryBudget;
use crate::cache::Limits;
use crate::config::{Config, settings};
use crate::content::{self, Folder, Keeper, MasterKey};
use crate::edge::background::Background;
use crate::edge::cachestore::ResponseCache;
use crate::edge::calls::Calls;
use crate::edge::decisions::Decisions;
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::hedge::Hedges;
use crate::edge::proxy::Turnpike;
use crate::edge::quit::Quit;
use crate::edge::webhooks::Postman;
use crate::edge::{clock, manage, tls};
use crate::events::Events;
use crate::ledger::Ledger;
use crate::observe::access_log::BUFFER_BYTES_DEFAULT;
use crate::observe::{AccessLog, LineFormat, Metrics, Target};
use crate::payment::Manual;
use crate::route::Conversations;

/// What is gathered of an answer before it is written, in bytes.
const WRITE_BUFFER: usize = 4 * 1024;

/// What is served.
pub struct Serve {
    /// The configuration.
    pub config: Config,
    /// Where it came from, to be read again on SIGHUP.
    pub config_path: Option<PathBuf>,
    /// The open ledger.
    pub ledger: Ledger,
    /// The signals that end the process, caught since before the ledger was opened.
    pub quit: Quit,
    /// Called once, as soon as connections are accepted.
    pub on_ready: Box<dyn FnOnce() + Send>,
    /// Called at the end, after the ledger has been closed.
    pub on_end: Box<dyn FnOnce() + Send>,
}

/// The log's filter for a level. Unless everything is asked for, Pingora tells only what an operator
/// can act on: its progress messages, and what it misses for caches on disk, are left out.
pub fn log_filter(level: &str) -> String {
    match level {
        "info" | "warn" => {
            format!("{level},pingora_core=warn,pingora_proxy=warn,pingora_cache=error")
        }
        other => other.to_owned(),
    }
}

/// Why the server could not start.
#[derive(Debug)]
pub struct RunError(String);

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RunError {}

/// Serves until a signal ends the process; returns only if that could not begin.
///
/// # Errors
/// A listener cannot be bound, a TLS file is no good, or a provider cannot be set up.
pub fn serve(serve: Serve) -> Result<(), RunError> {
    let Serve { config, config_path, ledger, quit, on_ready, on_end } = serve;
    let admin = admin_listener(&config)?;
    probe_addresses(&config)?;
    let gateway = Arc::new(gateway(&config, ledger)?);
    manage::connect(&gateway);
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&config));
    server.bootstrap();
    add_proxy(&mut server, &gateway, &config)?;
    let postman = config.webhooks.as_ref().map(Postman::new).transpose();
    let postman = postman.map_err(RunError)?;
    let background = Background {
        gateway: Arc::clone(&gateway),
        admin: std::sync::Mutex::new(admin),
        admin_token: config.admin.token.clone(),
        postman,
        config_path,
        boot: config.clone(),
    };
    let mut service = background_service("turnpike", background);
    service.threads = Some(1);
    server.add_service(service);
    let leaving = Arc::new(Leaving {
        gateway,
        done: AtomicBool::new(false),
        on_end: std::sync::Mutex::new(Some(on_end)),
    });
    watch_drain(&server, &leaving, config.server.shutdown_timeout)?;
    announce(config.server.listen.first().copied().or(first_tls(&config)), on_ready)?;
    server.run(RunArgs {
        shutdown_signal: Box::new(Signals { quit: Arc::new(quit), leaving: Arc::clone(&leaving) }),
    });
    leaving.leave(0)
}

fn first_tls(config: &Config) -> Option<SocketAddr> {
    config.server.tls.as_ref().and_then(|tls| tls.listen.first().copied())
}

fn gateway(config: &Config, ledger: Ledger) -> Result<Gateway, RunError> {
    let metrics =
        Metrics::new().map_err(|e| RunError(format!("the metrics cannot be set up: {e}")))?;
    let metrics = Arc::new(metrics);
    let snapshot = Snapshot::new(config, &metrics, None)
        .map_err(|e| RunError(format!("a provider cannot be set up: {e}")))?;
    let cache = config.cache.enabled.then(|| {
        ResponseCache::leak(Limits {
            bytes_max: config.cache.bytes_max as u64,
            entry_bytes_max: config.cache.entry_bytes_max as u64,
            ..Limits::default()
        })
    });
    let access = access_log(config)?;
    let events = Events::open(&config.ledger.data_dir, Arc::new(Manual), config.webhooks.is_some())
        .map_err(|e| RunError(format!("events and invoices cannot be read: {e}")))?;
    let events = Arc::new(events.with_fee(config.payment));
    let clock: crate::ledger::Clock = Arc::new(clock::unix_ms);
    let content = keeper(config, &ledger)?;
    let desk = Desk::new(ledger.clone(), clock, Arc::clone(&events), content.clone());
    let desk = Arc::new(desk);
    Ok(Gateway {
        now: ArcSwap::from_pointee(snapshot),
        ledger,
        desk,
        events,
        retries: RetryBudget::new(config.routing.retries()),
        hedges: Hedges::default(),
        conversations: Conversations::default(),
        decisions: decisions(config)?,
        metrics,
        access,
        cache,
        content,
        calls: Calls::new().map_err(|e| RunError(format!("plugins cannot be set up: {e}")))?,
        body_memory: Arc::new(Semaphore::new(
            config.server.body_memory_bytes_max.min(Semaphore::MAX_PERMITS),
        )),
        in_flight: AtomicUsize::new(0),
        draining: AtomicBool::new(false),
    })
}

fn keeper(config: &Config, ledger: &Ledger) -> Result<Option<Arc<Keeper>>, RunError> {
    let Some(content) = &config.content else {
        let keys = ledger.keys();
        let asked = keys.accounts().filter(|account| account.terms().content_days > 0).count();
        if asked > 0 {
            tracing::warn!(
                accounts = asked,
                "Accounts have asked for their prompts and answers to be kept, and there is no \
                 [content] key: nothing is kept."
            );
        }
        return Ok(None);
    };
    let key = MasterKey::parse(content.key.expose())
        .ok_or_else(|| RunError("content.key is not 64 hexadecimal digits".to_owned()))?;
    let limits = content::Limits {
        bytes_max: content.bytes_max,
        generation_bytes_max: content.generation_bytes_max,
        queue_bytes_max: content.queue_bytes_max,
    };
    Keeper::start(Folder::new(content.dir.clone()), key, limits, clock::unix_ms)
        .map(|keeper| Some(Arc::new(keeper)))
        .map_err(|e| RunError(format!("kept content cannot be set up: {e}")))
}

fn decisions(config: &Config) -> Result<Option<Decisions>, RunError> {
    let Some(path) = &config.routing.decisions else { return Ok(None) };
    Decisions::open(path, config.routing.decisions_bytes_max)
        .map(Some)
        .map_err(|e| RunError(format!("the file of decisions cannot be opened: {e}")))
}

fn access_log(config: &Config) -> Result<Option<AccessLog>, RunError> {
    let target = match &config.log.access {
        settings::AccessLog::Off => return Ok(None),
        settings::AccessLog::Stdout => Target::Stdout,
        settings::AccessLog::Stderr => Target::Stderr,
        settings::AccessLog::File(path) => Target::File(path.clone()),
    };
    let format = match config.log.format {
        settings::LogFormat::Json => LineFormat::Json,
        settings::LogFormat::Text => LineFormat::Text,
    };
    AccessLog::start(target, format, BUFFER_BYTES_DEFAULT)
        .map(Some)
        .map_err(|e| RunError(format!("the access log cannot be opened: {e}")))
}

fn server_conf(config: &Config) -> ServerConf {
    let threads = config.server.threads.or_else(|| std::thread::available_parallelism().ok());
    let attempts = config.routing.attempts_max as usize;
    ServerConf {
        threads: threads.map_or(1, std::num::NonZero::get),
        // Our own count decides; each attempt may be tried again once after a stale connection.
        max_retries: attempts * 2 + 2,
        upstream_keepalive_pool_size: 256,
        grace_period_seconds: Some(config.server.shutdown_timeout.as_secs() + 5),
        graceful_shutdown_timeout_seconds: Some(5),
        ..ServerConf::default()
    }
}

fn add_proxy(server: &mut Server, gateway: &Arc<Gateway>, config: &Config) -> Result<(), RunError> {
    let proxy = Turnpike(Arc::clone(gateway));
    let mut service = http_proxy_service_with_name(&server.configuration, proxy, "turnpike proxy");
    if let Some(logic) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(config.server.keepalive_timeout);
        logic.server_options = Some(options);
        let mut h2 = default_h2_options();
        h2.initial_window_size(1 << 20);
        h2.initial_connection_window_size(8 << 20);
        h2.max_concurrent_streams(128);
        logic.h2_options = Some(h2);
    }
    for address in &config.server.listen {
        // Heads and bodies are read straight into the buffers that they are parsed in, and a short
        // answer goes out together with its header.
        let buffers = L4BufferSettings::new(0, WRITE_BUFFER);
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
    }
    if let Some(files) = &config.server.tls {
        for address in &files.listen {
            let settings = tls::settings(&files.cert, &files.key)
                .map_err(|e| RunError(format!("TLS cannot be set up: {e}")))?;
            service.add_tls_with_settings(&address.to_string(), None, settings);
        }
    }
    server.add_service(service);
    Ok(())
}

fn admin_listener(config: &Config) -> Result<Option<std::net::TcpListener>, RunError> {
    let Some(address) = config.admin.listen else { return Ok(None) };
    let listener = std::net::TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|e| RunError(format!("the admin address {address} cannot be listened on: {e}")))?;
    Ok(Some(listener))
}

/// Pingora panics if an address is taken; this says which one, before anything has started.
fn probe_addresses(config: &Config) -> Result<(), RunError> {
    let tls = config.server.tls.iter().flat_map(|tls| &tls.listen);
    for address in config.server.listen.iter().chain(tls) {
        std::net::TcpListener::bind(address)
            .map_err(|e| RunError(format!("{address} cannot be listened on: {e}")))?;
    }
    Ok(())
}

/// Calls `on_ready` when the first connection is accepted.
fn announce(
    address: Option<SocketAddr>,
    on_ready: Box<dyn FnOnce() + Send>,
) -> Result<(), RunError> {
    let Some(address) = address else { return Ok(()) };
    let wait = move || {
        for _try in 0..1_000 {
            if std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                on_ready();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        tracing::error!(%address, "The listener has not come up.");
    };
    let started = std::thread::Builder::new().name("announce".to_owned()).spawn(wait);
    started.map(drop).map_err(|e| RunError(format!("a thread cannot be started: {e}")))
}

/// The end of the process.
struct Leaving {
    gateway: Arc<Gateway>,
    done: AtomicBool,
    on_end: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Leaving {
    /// Closes the ledger and ends the process. Who comes second waits for the first to end it.
    fn leave(&self, status: i32) -> ! {
        if self.done.swap(true, Ordering::AcqRel) {
            loop {
                std::thread::park();
            }
        }
        let closed = self.gateway.ledger.close();
        if let Err(error) = &closed {
            tracing::error!(%error, "The ledger could not be closed; the next start will recover it.");
        }
        if let Some(access) = &self.gateway.access {
            access.close(Duration::from_secs(5));
        }
        if let Some(content) = &self.gateway.content {
            content.close();
        }
        if let Some(decisions) = &self.gateway.decisions {
            decisions.close(Duration::from_secs(5));
        }
        if let Ok(mut on_end) = self.on_end.lock()
            && let Some(on_end) = on_end.take()
        {
            on_end();
        }
        std::process::exit(if closed.is_ok() { status } else { 1 })
    }
}

/// SIGTERM and Ctrl-C end the process in good order, a second one at once.
struct Signals {
    quit: Arc<Quit>,
    leaving: Arc<Leaving>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        self.quit.next().await;
        tracing::info!("Shutting down: requests in flight are finished first.");
        self.leaving.gateway.draining.store(true, Ordering::Release);
        let (quit, leaving) = (Arc::clone(&self.quit), Arc::clone(&self.leaving));
        tokio::spawn(async move {
            quit.next().await;
            tracing::warn!("A second signal: leaving at once.");
            leaving.leave(1)
        });
        ShutdownSignal::GracefulTerminate
    }
}

/// Ends the process when shutdown has begun and the last request has ended.
fn watch_drain(
    server: &Server,
    leaving: &Arc<Leaving>,
    patience: Duration,
) -> Result<(), RunError> {
    let mut phases = server.watch_execution_phase();
    let leaving = Arc::clone(leaving);
    let watch = move || {
        while let Ok(phase) = phases.blocking_recv() {
            if matches!(
                phase,
                ExecutionPhase::ShutdownStarted | ExecutionPhase::ShutdownGracePeriod
            ) {
                break;
            }
        }
        let begun = clock::now();
        while leaving.gateway.in_flight.load(Ordering::Acquire) > 0 {
            if clock::now().since(begun) > patience {
                tracing::warn!("Requests are still in flight; they are cut.");
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        leaving.leave(0)
    };
    let started = std::thread::Builder::new().name("drain".to_owned()).spawn(watch);
    started.map(drop).map_err(|e| RunError(format!("a thread cannot be started: {e}")))
}
