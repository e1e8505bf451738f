//! Tasks beside the requests: the admin listener, health probes, name lookups, reload, the cache's sweep.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::Result;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config;
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::manage;
use crate::edge::probes;
use crate::edge::webhooks::{self, Postman};

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
        let probes = tokio::spawn(probes::run(Arc::clone(&self.gateway)));
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
