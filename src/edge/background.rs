//! Tasks beside the requests: the admin listener, health probes, name lookups, reload, the cache's sweep.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use pingora::{Error, ErrorType, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config;
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::manage;
use crate::edge::peer::Upstream;
use crate::edge::webhooks::{self, Postman};
use crate::vocab::ProviderId;

/// Time between two lookups of a provider's name.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks for expired answers in the cache.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Everything that runs beside the requests.
pub(super) struct Background {
    pub(super) gateway: Arc<Gateway>,
    pub(super) admin: std::sync::Mutex<Option<std::net::TcpListener>>,
    pub(super) admin_token: Option<crate::catalog::Secret>,
    /// Delivers events; `None` where they are only logged.
    pub(super) postman: Option<Postman>,
    /// The file to read again on SIGHUP; `None` for the demo.
    pub(super) config_path: Option<PathBuf>,
    /// The configuration at the start: some of it holds until the process ends.
    pub(super) boot: config::Config,
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, _: ShutdownWatch) {
        // Pingora's watch fires when shutdown begins; these tasks go on until the last request has
        // ended, and then end with the process.
        let admin = self.spawn_admin();
        let lookups = tokio::spawn(lookups(Arc::clone(&self.gateway)));
        let probes = tokio::spawn(probes(Arc::clone(&self.gateway)));
        let told = tokio::spawn(webhooks::run(Arc::clone(&self.gateway), self.postman.clone()));
        let sweeps = tokio::spawn(sweeps(Arc::clone(&self.gateway)));
        let (path, boot) = (self.config_path.clone(), self.boot.clone());
        let reload = tokio::spawn(reload(Arc::clone(&self.gateway), path, boot));
        let tasks = [
            ("lookups", lookups),
            ("probes", probes),
            ("webhooks", told),
            ("sweeps", sweeps),
            ("reload", reload),
        ];
        for (name, task) in tasks.into_iter().chain(admin.map(|task| ("admin", task))) {
            if let Err(error) = task.await {
                tracing::error!(task = name, %error, "A background task has failed.");
            }
        }
    }
}

impl Background {
    fn spawn_admin(&self) -> Option<JoinHandle<()>> {
        let listener = self.admin.lock().ok()?.take()?;
        let router = manage::router(&self.gateway, self.admin_token.clone());
        Some(tokio::spawn(async move {
            let served = async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router).await
            };
            if let Err(error) = served.await {
                tracing::error!(%error, "The admin listener has failed.");
            }
        }))
    }
}

async fn lookups(gateway: Arc<Gateway>) {
    loop {
        let now = gateway.now.load_full();
        for upstream in now.upstreams.values().chain(now.own.upstreams()) {
            upstream.resolve().await;
        }
        tokio::time::sleep(LOOKUP_INTERVAL).await;
    }
}

async fn sweeps(gateway: Arc<Gateway>) {
    loop {
        if let Some(cache) = gateway.cache {
            cache.sweep();
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Reads the configuration again on SIGHUP: swapped whole, or kept with the faults logged.
async fn reload(gateway: Arc<Gateway>, path: Option<PathBuf>, boot: config::Config) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!(%error, "SIGHUP cannot be listened to: there will be no reload.");
            return;
        }
    };
    while hangups.recv().await.is_some() {
        if let Some(access) = &gateway.access {
            // Log rotation renames the file and sends the same signal.
            access.reopen();
        }
        if let Some(decisions) = &gateway.decisions {
            decisions.reopen();
        }
        match &path {
            Some(path) => reload_once(&gateway, path.clone(), &boot).await,
            None => tracing::info!("The demo has no configuration file to read again."),
        }
    }
}

async fn reload_once(gateway: &Gateway, path: PathBuf, boot: &config::Config) {
    let read = tokio::task::spawn_blocking(move || config::load(&path)).await;
    match read {
        Ok(Ok(config)) => match gateway.swap(&config) {
            Ok(()) => {
                tracing::info!("The configuration has been read again and is in force.");
                for section in needs_restart(boot, &config) {
                    tracing::warn!(section, "A change in this section takes a restart.");
                }
            }
            Err(error) => {
                tracing::error!(%error, "The new configuration is refused; the old one stays.")
            }
        },
        Ok(Err(faults)) => {
            for fault in &faults.0 {
                tracing::error!(%fault, "The new configuration is refused; the old one stays.");
            }
        }
        Err(error) => tracing::error!(%error, "The configuration could not be read again."),
    }
}

/// Sections with changes that only a restart puts in force.
fn needs_restart(boot: &config::Config, now: &config::Config) -> Vec<&'static str> {
    let (was, is) = (&boot.server, &now.server);
    let server = was.listen != is.listen
        || was.tls != is.tls
        || was.threads != is.threads
        || was.body_memory_bytes_max != is.body_memory_bytes_max
        || was.shutdown_timeout != is.shutdown_timeout;
    let changed = [
        ("server", server),
        ("admin", boot.admin != now.admin),
        ("ledger", boot.ledger != now.ledger),
        ("cache", boot.cache != now.cache),
        ("webhooks", boot.webhooks != now.webhooks),
        ("payment", boot.payment != now.payment),
        ("log", boot.log != now.log),
        ("routing (the retry budget)", boot.routing.retries() != now.routing.retries()),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

impl Gateway {
    /// Puts a configuration in force for the requests that arrive from now on.
    ///
    /// # Errors
    /// As [`Snapshot::new`].
    pub(crate) fn swap(&self, config: &config::Config) -> Result<()> {
        let before = self.now.load_full();
        let next = Snapshot::new(config, &self.metrics, Some(&before))?;
        self.now.store(Arc::new(next));
        Ok(())
    }
}

/// Asks each provider that has a probe, each at its own interval. The list is looked at every
/// second, so that a reload starts and ends probes.
async fn probes(gateway: Arc<Gateway>) {
    let connector = Arc::new(Connector::new(None));
    let mut running: HashMap<ProviderId, (Arc<Upstream>, JoinHandle<()>)> = HashMap::new();
    loop {
        let snapshot = gateway.now.load_full();
        running.retain(|id, (upstream, task)| {
            let same = snapshot.upstreams.get(id).is_some_and(|now| Arc::ptr_eq(now, upstream));
            if !same {
                task.abort();
            }
            same
        });
        for (id, upstream) in &snapshot.upstreams {
            if upstream.provider.probe.is_some() && !running.contains_key(id) {
                let probing = probe_for_ever(
                    Arc::clone(&gateway),
                    Arc::clone(&connector),
                    Arc::clone(upstream),
                );
                running.insert(id.clone(), (Arc::clone(upstream), tokio::spawn(probing)));
            }
        }
        drop(snapshot);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn probe_for_ever(gateway: Arc<Gateway>, connector: Arc<Connector>, upstream: Arc<Upstream>) {
    let Some(probe) = upstream.provider.probe.clone() else { return };
    loop {
        let asked = tokio::time::timeout(probe.timeout, ask(&connector, &upstream, &probe)).await;
        let ok = matches!(asked, Ok(Ok(true)));
        let snapshot = gateway.now.load_full();
        let ours = |e: &&Arc<crate::catalog::Endpoint>| e.provider.id == upstream.provider.id;
        for endpoint in snapshot.catalog.endpoints().filter(ours) {
            let Some(health) = snapshot.health.get(endpoint.id.as_str()) else { continue };
            if let Some(up) = health.probe_result(ok, &probe) {
                tracing::warn!(endpoint = %endpoint.id, up, "A probe has changed an endpoint's state.");
            }
        }
        drop(snapshot);
        if !gateway.draining.load(Ordering::Relaxed) {
            tracing::debug!(provider = %upstream.provider.id, ok, "A provider has been probed.");
        }
        tokio::time::sleep(probe.interval).await;
    }
}

/// One probe: a status below 400 is good.
async fn ask(
    connector: &Connector,
    upstream: &Upstream,
    probe: &crate::catalog::Probe,
) -> Result<bool> {
    let Some(address) = upstream.address().await else {
        return Error::e_explain(ErrorType::ConnectNoRoute, "the provider's name has no address");
    };
    let peer = upstream.peer(address, probe.timeout);
    let (mut session, _reused) = connector.get_http_session(&*peer).await?;
    let request = upstream.probe_request(&probe.path)?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let good = session.response_header().is_some_and(|h| h.status.as_u16() < 400);
    while session.read_response_body().await?.is_some() {}
    connector.release_http_session(session, &*peer, Some(probe.interval.saturating_mul(2))).await;
    Ok(good)
}
