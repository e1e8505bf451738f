//! The shapes of `turnpike.toml`, exactly as typed: names, types and defaults, no judgement.
//!
//! The comments here are the reference: `conf/reference.md` is made from them, and a test holds
//! every stated default against the code. A key that is not listed is refused. Numbers are read
//! as they come (`i64`) and ranges are judged in `resolve`, so that all faults can be told at
//! once. Keys carry their unit: `_ms`, `_s`, `_bytes`. Paths are relative to the working directory.

mod byok;
mod catalog;
mod choices;
mod content;
mod hedging;
mod payment;
mod plugins;
mod webhooks;

use serde::{Deserialize, Serialize};

pub use byok::Byok;
pub use catalog::{
    DefaultParameters, Endpoint, Model, Policy, PriceOverride, Prices, Profile, Reasoning,
};
pub use choices::{Auto, Preset};
pub use content::Content;
pub use hedging::Hedging;
pub use payment::Payment;
pub use plugins::Plugin;
pub use webhooks::Webhooks;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Where clients connect, and what they may send.
    pub server: Server,
    /// Metrics, health and management.
    pub admin: Admin,
    /// Accounts, keys and charges.
    pub ledger: Ledger,
    /// Prompts and answers of accounts that have asked for them to be kept.
    pub content: Content,
    /// Identical answers, free.
    pub cache: Cache,
    /// How an endpoint is chosen, and what happens when it fails.
    pub routing: Routing,
    /// How long providers may take, unless a provider says otherwise.
    pub timeouts: Timeouts,
    /// Pictures and files that a request only points to.
    pub media: Media,
    /// Where events of accounts and keys are sent.
    pub webhooks: Webhooks,
    /// What purchases of credit cost beside the credit.
    pub payment: Payment,
    /// What is written where. Prompts, answers and keys never are.
    pub log: Log,
    /// Models and providers beside those of this file.
    pub catalog: Catalog,
    /// Companies and hosts that serve models. At least one, unless a catalog is in force.
    pub providers: Vec<Provider>,
    /// What can be asked for, in the order in which it is listed. At least one, unless a catalog is
    /// in force.
    pub models: Vec<Model>,
    /// Keys at providers that belong to some accounts.
    pub byok: Vec<Byok>,
    /// What `turnpike/auto` chooses by.
    pub auto: Vec<Auto>,
    /// What requests may build on by name.
    pub presets: Vec<Preset>,
    /// What requests and answers go through, in this order.
    pub plugins: Vec<Plugin>,
}

/// Where clients connect, and what they may send.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Addresses without TLS, each as `IP:port`. Default `["127.0.0.1:8080"]`.
    pub listen: Vec<String>,
    /// Addresses with TLS (HTTP/1.1 and HTTP/2), each as `IP:port`. Default `[]`.
    pub tls_listen: Vec<String>,
    /// Path of the certificate chain in PEM. Optional; required with `tls_listen`.
    pub tls_cert: Option<String>,
    /// Path of the private key in PEM. Optional; required with `tls_listen`.
    pub tls_key: Option<String>,
    /// Worker threads, 0 to 1024; 0 is one per core. Default `0`.
    pub threads: i64,
    /// The largest request body, 1 to 1073741824 bytes. Default `67108864`.
    pub body_bytes_max: i64,
    /// The largest request header, 1024 to 1048576 bytes. Default `65536`.
    pub header_bytes_max: i64,
    /// The longest pause while a request body arrives, 100 to 3600000 ms. Default `30000`.
    pub request_body_timeout_ms: i64,
    /// The longest that a client may leave an answer unread, 100 to 3600000 ms. Default `60000`.
    pub client_write_timeout_ms: i64,
    /// How long an idle connection is kept, 1000 to 3600000 ms. Default `60000`.
    pub keepalive_timeout_ms: i64,
    /// How long running answers may go on after SIGTERM, 0 to 86400000 ms. Default `600000`.
    pub shutdown_timeout_ms: i64,
    /// The most memory for the request bodies of all clients together, at least `body_bytes_max`,
    /// at most 1099511627776 bytes. Default `1073741824`.
    pub body_memory_bytes_max: i64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:8080".to_owned()],
            tls_listen: Vec::new(),
            tls_cert: None,
            tls_key: None,
            threads: 0,
            body_bytes_max: 67_108_864,
            header_bytes_max: 65_536,
            request_body_timeout_ms: 30_000,
            client_write_timeout_ms: 60_000,
            keepalive_timeout_ms: 60_000,
            shutdown_timeout_ms: 600_000,
            body_memory_bytes_max: 1_073_741_824,
        }
    }
}

/// Metrics, health and management.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address of `/metrics`, `/healthz`, `/readyz` and management, as `IP:port`; an empty text
    /// turns all of them off. Default `"127.0.0.1:9090"`.
    pub listen: String,
    /// What management requests must bring as a bearer token, as `env:NAME` or `file:/path`; at
    /// least 16 characters. Optional; without it there is no management over HTTP.
    pub token: Option<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".to_owned(), token: None }
    }
}

/// Accounts, keys and charges.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// Directory of the journal and the database. Default `"turnpike-data"`.
    pub data_dir: String,
    /// Time between two checkpoints of the database, 10 to 600000 ms. Default `1000`.
    pub checkpoint_ms: i64,
    /// Size at which a new journal file is begun, 65536 to 17179869184 bytes. Default `67108864`.
    pub segment_bytes_max: i64,
    /// Whether every generation can be found by its provider's id, which costs the database a row
    /// for each; otherwise only the newest thousand can. Default `true`.
    pub index_upstream_ids: bool,
    /// What accounts get off every price for letting their prompts and answers be learned from, 0 %
    /// to 100 % with at most two decimal places. Default `"1%"`.
    pub logging_discount: String,
    /// What is charged, as a share of the list price, where an account's own key at a provider was
    /// used, 0 % to 100 % with at most two decimal places. Default `"5%"`.
    pub byok_fee: String,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            data_dir: "turnpike-data".to_owned(),
            checkpoint_ms: 1_000,
            segment_bytes_max: 67_108_864,
            index_upstream_ids: true,
            logging_discount: "1%".to_owned(),
            byok_fee: "5%".to_owned(),
        }
    }
}

/// Identical answers, free.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Whether clients may ask for cached answers. Default `true`.
    pub enabled: bool,
    /// Memory for all entries together, 1 to 1099511627776 bytes. Default `268435456`.
    pub bytes_max: i64,
    /// The largest entry, 1 byte to `bytes_max`. Default `8388608`.
    pub entry_bytes_max: i64,
    /// Lifetime of an entry whose request names none, 1 to 86400 s. Default `300`.
    pub ttl_default_s: i64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            bytes_max: 268_435_456,
            entry_bytes_max: 8_388_608,
            ttl_default_s: 300,
        }
    }
}

/// How an endpoint is chosen, and what happens when it fails.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// The most endpoints that are tried for one request, 1 to 32. Default `4`.
    pub attempts_max: i64,
    /// How often a stream that breaks off in its middle is gone on with at another endpoint, 0 to
    /// 4; 0: it ends with an error. Default `2`.
    pub continuations_max: i64,
    /// How fast old latencies are forgotten, 100 to 3600000 ms. Default `10000`.
    pub ewma_decay_ms: i64,
    /// Further attempts that each request adds to the retry budget, 0.0 to 1.0. Default `0.2`.
    pub retry_budget_ratio: f64,
    /// Further attempts that are allowed at rest, 0 to 1000000. Default `100`.
    pub retry_budget_reserve: i64,
    /// Failures in a row that open an endpoint's breaker, 1 to 255. Default `5`.
    pub breaker_failures: i64,
    /// The first pause of an open breaker, 1 to 3600000 ms. Default `1000`.
    pub breaker_open_min_ms: i64,
    /// The longest pause of an open breaker, `breaker_open_min_ms` to 3600000 ms. Default `30000`.
    pub breaker_open_max_ms: i64,
    /// The time over which the rate of failures is taken, 100 to 3600000 ms. Default `10000`.
    pub breaker_window_ms: i64,
    /// Share of failures in the window that opens the breaker, 0.01 to 1.0. Default `0.5`.
    pub breaker_failure_rate: f64,
    /// The first pause after a 429 without `Retry-After`, 1 to 3600000 ms. Default `1000`.
    pub rate_limit_backoff_ms: i64,
    /// The longest pause after a 429, whatever `Retry-After` says, `rate_limit_backoff_ms` to
    /// 86400000 ms. Default `60000`.
    pub rate_limit_cap_ms: i64,
    /// Path of a file to which the inputs of every routing decision are appended, a JSON object per
    /// line, never a prompt: `turnpike route` explains and replays them. Optional; absent: none.
    pub decisions: Option<String>,
    /// The size at which nothing more is appended to that file, 1 to 1099511627776 bytes. Default
    /// `1073741824`.
    pub decisions_bytes_max: i64,
    /// A second endpoint for a request whose first is slow.
    pub hedging: Hedging,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            attempts_max: 4,
            continuations_max: 2,
            ewma_decay_ms: 10_000,
            retry_budget_ratio: 0.2,
            retry_budget_reserve: 100,
            breaker_failures: 5,
            breaker_open_min_ms: 1_000,
            breaker_open_max_ms: 30_000,
            breaker_window_ms: 10_000,
            breaker_failure_rate: 0.5,
            rate_limit_backoff_ms: 1_000,
            rate_limit_cap_ms: 60_000,
            decisions: None,
            decisions_bytes_max: 1_073_741_824,
            hedging: Hedging::default(),
        }
    }
}

/// How long providers may take, unless a provider says otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For TCP, and again for TLS on top, 1 to 600000 ms. Default `3000`.
    pub connect_ms: i64,
    /// From the request to the first token of a streamed answer, 1 to 3600000 ms. Default `60000`.
    pub first_token_ms: i64,
    /// Between two reads of a streamed answer, 1 to 3600000 ms. Default `60000`.
    pub inter_event_ms: i64,
    /// From the request to the end of an answer that is not streamed, 1 to 86400000 ms. Default
    /// `300000`.
    pub whole_answer_ms: i64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            first_token_ms: 60_000,
            inter_event_ms: 60_000,
            whole_answer_ms: 300_000,
        }
    }
}

/// What is written where. Prompts, answers and keys never are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Where the one line per request goes: `stdout`, `stderr`, `off`, or the path of a file.
    /// Default `"stdout"`.
    pub access: String,
    /// The least important messages that are still written to stderr: `error`, `warn`, `info`,
    /// `debug` or `trace`. Default `"info"`.
    pub level: String,
    /// How lines are written: `json` or `text`. Default `"json"`.
    pub format: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { access: "stdout".to_owned(), level: "info".to_owned(), format: "json".to_owned() }
    }
}

/// Models and providers beside those of this file. A provider of a catalog is used if every
/// environment variable that it names is set; else it is only listed. `[[providers]]` and
/// `[[models]]` replace what a catalog has under the same id.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// Whether the shipped catalog (`conf/catalog/`) is in force. Optional; absent: only if there is
    /// no `[[models]]`.
    pub shipped: Option<bool>,
    /// Paths of further catalog files, in the form of the shipped ones; later ones win, line by
    /// line. Default `[]`.
    pub files: Vec<String>,
}

/// A company or host that serves models.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Short unique name: lower-case letters, digits, `-`, `_` and `.`, at most 64. Required.
    pub id: String,
    /// Display name, at most 128 bytes. Optional; absent: as `id`.
    pub name: Option<String>,
    /// The wire format that the provider speaks: `openai`, `responses`, `azure`, `anthropic`,
    /// `gemini`, `vertex`, `vertex-anthropic`, `bedrock`, `cohere`, `mistral`, `ollama` or
    /// `completions`. Required.
    pub dialect: String,
    /// Where the provider is reached, up to and including the API version, for instance
    /// `https://host/v1`; `http` or `https`, without credentials, query or fragment. For vertex it
    /// goes on to the location: `…/v1/projects/P/locations/L`; for azure it is the resource, for
    /// ollama the server, for bedrock the regional host. `${NAME}` stands for an environment
    /// variable, here as in `aws.region` and `service_account`. Required.
    pub base_url: String,
    /// The OpenAI-like host whose departures from OpenAI's form apply, for instance `groq` or
    /// `vllm`. Optional; absent: told by `base_url`, or `generic`, which takes everything.
    pub host: Option<String>,
    /// The version of Azure's API, for instance `2024-10-21`. Optional; required for azure.
    pub api_version: Option<String>,
    /// The credential, as `env:NAME` or `file:/path`; never the key itself. Optional; required
    /// unless `auth` is `none`, or `aws` or `service_account` is given.
    pub api_key: Option<String>,
    /// More keys of the same kind. Requests are spread over all of them; one that is rate limited or
    /// refused rests, while the others serve. At most 63. Default `[]`.
    pub api_keys: Vec<String>,
    /// How the credential is sent: `bearer`, `none`, or `header:` and a header's name. Optional;
    /// absent: `header:x-api-key` for anthropic, `header:api-key` for azure,
    /// `header:x-goog-api-key` for gemini, `none` for ollama, `bearer` for the others.
    pub auth: Option<String>,
    /// Keys with which requests to bedrock are signed (AWS Signature Version 4).
    pub aws: Option<Aws>,
    /// A Google service account for vertex, as `file:/path` of its key in JSON (or `env:NAME`).
    /// Optional.
    pub service_account: Option<String>,
    /// What of a request's `provider.options` is handed on to the provider, by name; a name with dots
    /// goes inside objects, for instance `generationConfig.mediaResolution`. What is not named is
    /// dropped: it might change what a request costs. Optional; absent: what is usual for the
    /// dialect, such as `safetySettings` for gemini and `safe_prompt` for mistral.
    pub options: Option<Vec<String>>,
    /// Whether the provider is used; while it is not, its endpoints are left out. Default `true`.
    pub enabled: bool,
    /// Whether the provider bills an answer although its connection is closed when the client
    /// leaves. Optional; absent: `true` for bedrock, gemini, vertex and mistral, else `false`.
    pub bills_after_cancel: Option<bool>,
    /// What becomes of a request that was sent when its client leaves: `cancel` closes the connection
    /// to the provider, `drain` reads the answer to its end and charges what the provider counted: of
    /// use where it bills on. Requests that use the cache are not drained. Default `"cancel"`.
    pub on_disconnect: String,
    /// Limits on time of this provider alone.
    pub timeouts: TimeoutsOverride,
    /// An active health check. Optional; absent: none.
    pub probe: Option<Probe>,
    /// What the provider does with prompts and answers.
    pub policy: Policy,
    /// What clients are told of the company.
    pub profile: Profile,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: None,
            dialect: String::new(),
            base_url: String::new(),
            host: None,
            api_version: None,
            api_key: None,
            api_keys: Vec::new(),
            auth: None,
            aws: None,
            service_account: None,
            options: None,
            enabled: true,
            bills_after_cancel: None,
            on_disconnect: "cancel".to_owned(),
            timeouts: TimeoutsOverride::default(),
            probe: None,
            policy: Policy::default(),
            profile: Profile::default(),
        }
    }
}

/// Keys with which requests to bedrock are signed (AWS Signature Version 4).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// The region, for instance `us-east-1`. Required.
    pub region: String,
    /// The access key's id, as `env:NAME` or `file:/path`. Required.
    pub access_key_id: String,
    /// The access key's secret, as `env:NAME` or `file:/path`. Required.
    pub secret_access_key: String,
    /// The token of a temporary key, as `env:NAME` or `file:/path`. Optional.
    pub session_token: Option<String>,
}

/// Pictures and files that a request only points to. Where the provider takes no URLs they are
/// fetched here.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Whether they are fetched; if not, such requests are refused. Default `true`.
    pub fetch: bool,
    /// The largest one, 1 to 1073741824 bytes. Default `20971520`.
    pub bytes_max: i64,
    /// How long all of a request's together may take, 100 to 3600000 ms. Default `10000`.
    pub timeout_ms: i64,
    /// The most of one request, 1 to 1000. Default `20`.
    pub count_max: i64,
    /// Whether addresses of private networks may be fetched from: an attacker could look into
    /// yours with them. Default `false`.
    pub private_networks: bool,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            fetch: true,
            bytes_max: 20_971_520,
            timeout_ms: 10_000,
            count_max: 20,
            private_networks: false,
        }
    }
}

/// Limits on time of one provider alone. Ranges as in `[timeouts]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsOverride {
    /// Optional; absent: as in `[timeouts]`.
    pub connect_ms: Option<i64>,
    /// Optional; absent: as in `[timeouts]`.
    pub first_token_ms: Option<i64>,
    /// Optional; absent: as in `[timeouts]`.
    pub inter_event_ms: Option<i64>,
    /// Optional; absent: as in `[timeouts]`.
    pub whole_answer_ms: Option<i64>,
}

/// An active health check: a request with the provider's credential that must be answered with 2xx,
/// 3xx or 429; with several keys, an answer that refuses one of them will do.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// Absolute path. Optional; absent: the path of `base_url` and `/models`.
    pub path: Option<String>,
    /// A model's name at the provider: it is asked for a completion of one token in place of a
    /// `GET`. The provider charges for it, and nobody's credit does. Optional; absent: a `GET`.
    pub completion: Option<String>,
    /// Time between two probes, 100 to 3600000 ms. Default `10000`.
    pub interval_ms: i64,
    /// Limit of one probe, 1 ms to `interval_ms`. Default `2000`.
    pub timeout_ms: i64,
    /// Failures in a row that take the provider's endpoints out, 1 to 100. Default `3`.
    pub failures: i64,
    /// Successes in a row that bring them back, 1 to 100. Default `2`.
    pub successes: i64,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            path: None,
            completion: None,
            interval_ms: 10_000,
            timeout_ms: 2_000,
            failures: 3,
            successes: 2,
        }
    }
}
