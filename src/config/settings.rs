//! The configuration as the program uses it: typed, in range, complete.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt;
use crate::balance;
use crate::catalog::{Catalog, Provider, Secret, Share};
use crate::dialect::preset::Preset;
use crate::payment::Fee;
use crate::plugins::Chain;
use crate::route::auto::Rule;
use crate::vocab::AccountId;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect, and what they may send.
    pub server: Server,
    /// Metrics, health and management.
    pub admin: Admin,
    /// Accounts, keys and charges.
    pub ledger: Ledger,
    /// Prompts and answers that are kept; `None`: none are.
    pub content: Option<Content>,
    /// Identical answers.
    pub cache: Cache,
    /// How an endpoint is chosen, and what happens when it fails.
    pub routing: Routing,
    /// Pictures and files that a request only points to.
    pub media: Media,
    /// Where events are sent; `None`: nowhere.
    pub webhooks: Option<Webhooks>,
    /// What purchases of credit cost beside the credit.
    pub payment: Fee,
    /// What is written where.
    pub log: Log,
    /// Models, their providers and prices.
    pub catalog: Arc<Catalog>,
    /// Keys at providers that belong to accounts.
    pub byok: Vec<Byok>,
    /// What `turnpike/auto` chooses by, in order.
    pub auto: Vec<Rule>,
    /// What requests may build on, by name.
    pub presets: HashMap<String, Preset>,
    /// What requests and answers go through.
    pub plugins: Arc<Chain>,
}

/// A key at a provider that belongs to some accounts.
#[derive(Clone, Debug)]
pub struct Byok {
    /// Whose requests use it.
    pub accounts: Vec<AccountId>,
    /// The provider as it is reached with this key.
    pub provider: Arc<Provider>,
    /// Whether the gateway's own key serves these accounts where theirs fails.
    pub fallback: bool,
}

/// Where clients connect, and what they may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses without TLS; there is at least one here or in `tls`.
    pub listen: Vec<SocketAddr>,
    /// Addresses with TLS.
    pub tls: Option<Tls>,
    /// Worker threads; `None`: one per core.
    pub threads: Option<NonZeroUsize>,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// The largest request header, in bytes.
    pub header_bytes_max: usize,
    /// The longest pause while a request body arrives.
    pub request_body_timeout: Duration,
    /// The longest that a client may leave an answer unread.
    pub client_write_timeout: Duration,
    /// How long an idle connection is kept.
    pub keepalive_timeout: Duration,
    /// How long running answers may go on after SIGTERM.
    pub shutdown_timeout: Duration,
    /// The most memory for the request bodies of all clients, in bytes; at least
    /// `body_bytes_max`.
    pub body_memory_bytes_max: usize,
}

/// Addresses with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Never empty.
    pub listen: Vec<SocketAddr>,
    /// The certificate chain, a readable PEM file.
    pub cert: PathBuf,
    /// The private key, a readable PEM file.
    pub key: PathBuf,
}

/// Metrics, health and management.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `None`: off.
    pub listen: Option<SocketAddr>,
    /// What management requests must bring; `None`: no management.
    pub token: Option<Secret>,
}

/// Accounts, keys and charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Where journal and database live.
    pub data_dir: PathBuf,
    /// Time between two checkpoints.
    pub checkpoint: Duration,
    /// Size at which a new journal file is begun, in bytes.
    pub segment_bytes_max: u64,
    /// Whether every generation can be found by its provider's id.
    pub index_upstream_ids: bool,
    /// What accounts get off every price for letting their prompts and answers be learned from.
    pub logging_discount: Share,
}

/// How prompts and answers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// 64 hexadecimal digits.
    pub key: Secret,
    /// Where.
    pub dir: PathBuf,
    /// All together, in bytes.
    pub bytes_max: u64,
    /// One request with its answer, in bytes.
    pub generation_bytes_max: u64,
    /// All that waits to be written, in bytes.
    pub queue_bytes_max: u64,
}

/// Identical answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Whether clients may ask for cached answers.
    pub enabled: bool,
    /// Memory for all entries together, in bytes.
    pub bytes_max: usize,
    /// The largest entry, in bytes; at most `bytes_max`.
    pub entry_bytes_max: usize,
    /// Lifetime of an entry whose request names none; 1 s to a day.
    pub ttl_default: Duration,
}

/// How an endpoint is chosen, and what happens when it fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// The most endpoints that are tried for one request; at least 1.
    pub attempts_max: u32,
    /// How often a stream that breaks off is gone on with elsewhere; 0: never.
    pub continuations_max: u32,
    /// Decay of the moving averages of latency.
    pub ewma_decay: Duration,
    /// Further attempts that each request adds to the budget, 0 to 1.
    pub retry_budget_ratio: f64,
    /// Further attempts that are allowed at rest.
    pub retry_budget_reserve: u32,
    /// Failures in a row that open a breaker; at least 1.
    pub breaker_failures: u8,
    /// The first pause of an open breaker.
    pub breaker_open_min: Duration,
    /// The longest pause of an open breaker; at least `breaker_open_min`.
    pub breaker_open_max: Duration,
    /// The time over which the rate of failures is taken.
    pub breaker_window: Duration,
    /// Share of failures in the window that opens a breaker, above 0 to 1.
    pub breaker_failure_rate: f64,
    /// The first pause after a 429 without `Retry-After`.
    pub rate_limit_backoff: Duration,
    /// The longest pause after a 429; at least `rate_limit_backoff`.
    pub rate_limit_cap: Duration,
    /// Where the inputs of decisions are appended.
    pub decisions: Option<PathBuf>,
    /// The size at which nothing more is appended there, in bytes.
    pub decisions_bytes_max: u64,
    /// When requests are hedged; `None`: never.
    pub hedging: Option<balance::HedgeSettings>,
}

/// Where events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// The URL that each is posted to.
    pub url: String,
    /// What they are signed with: `whsec_` and base64 of 24 to 64 bytes.
    pub secret: Secret,
    /// Limit on the time of one attempt.
    pub timeout: Duration,
    /// Whether the URL may lead into a private network or use a port of its own.
    pub private_networks: bool,
}

/// Pictures and files that a request only points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// Whether they are fetched.
    pub fetch: bool,
    /// The largest one, in bytes.
    pub bytes_max: usize,
    /// Limit on the time of all of a request together.
    pub timeout: Duration,
    /// The most of one request.
    pub count_max: usize,
    /// Whether private networks may be reached.
    pub private_networks: bool,
}

/// What is written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where the one line per request goes.
    pub access: AccessLog,
    /// The least important messages that are still written.
    pub level: Level,
    /// How lines are written.
    pub format: LogFormat,
}

/// Where the one line per request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of this file.
    File(PathBuf),
}

/// Importance of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Turnpike itself failed.
    Error,
    /// A provider failed, or something needs attention.
    Warn,
    /// What happens now and then.
    Info,
    /// What happens with every request.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// Every level, the most important first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The name as written in the config; `tracing` knows it too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Routing {
    /// As the balancer wants it.
    pub fn balance(&self) -> balance::Settings {
        balance::Settings {
            latency_decay: self.ewma_decay,
            breaker: balance::breaker::Settings {
                failures_in_a_row: self.breaker_failures,
                failure_rate: self.breaker_failure_rate,
                window: self.breaker_window,
                cool_down_min: self.breaker_open_min,
                cool_down_max: self.breaker_open_max,
                ..balance::breaker::Settings::default()
            },
            retry_after_max: self.rate_limit_cap,
            rate_limit_pause: self.rate_limit_backoff,
            ..balance::Settings::default()
        }
    }

    /// As the retry budget wants it.
    pub const fn retries(&self) -> balance::BudgetSettings {
        balance::BudgetSettings {
            ratio: self.retry_budget_ratio,
            reserve: self.retry_budget_reserve,
        }
    }

    /// As the attempts want it.
    pub const fn attempts(&self) -> attempt::Settings {
        attempt::Settings {
            attempts_max: self.attempts_max,
            continuations_max: self.continuations_max,
        }
    }
}
