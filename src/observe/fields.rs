//! Names of the fields in log lines.
//!
//! Where OpenTelemetry has a name (general conventions 1.42, GenAI conventions of 2026, which are
//! still in development), it is used, which is why they all stand in one file.

/// When the request arrived, in milliseconds since 1970.
pub const TIME: &str = "ts_ms";
/// The generation's id.
pub const GENERATION: &str = "gen_ai.response.id";
/// The public name of the caller's key.
pub const KEY: &str = "key_id";
/// The account that pays.
pub const ACCOUNT: &str = "account_id";
/// The client's address.
pub const CLIENT: &str = "client.address";
/// The HTTP method.
pub const METHOD: &str = "http.request.method";
/// The path without its query.
pub const PATH: &str = "url.path";
/// The status that the client got; absent if it left before.
pub const STATUS: &str = "http.response.status_code";
/// The stable code of the error that the client got.
pub const ERROR: &str = "error.type";
/// The client's wire format.
pub const SURFACE: &str = "surface";
/// The model that was asked for.
pub const MODEL_REQUESTED: &str = "gen_ai.request.model";
/// The model that answered.
pub const MODEL_SERVED: &str = "gen_ai.response.model";
/// The provider that answered.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The endpoint that answered.
pub const ENDPOINT: &str = "endpoint_id";
/// How many attempts there were.
pub const ATTEMPTS: &str = "attempts";
/// Each attempt's endpoint and outcome.
pub const TRIED: &str = "tried";
/// In [`TRIED`]: the endpoint.
pub const TRIED_ENDPOINT: &str = "endpoint";
/// In [`TRIED`]: the outcome.
pub const TRIED_OUTCOME: &str = "outcome";
/// The answer was to be streamed.
pub const STREAM: &str = "gen_ai.request.stream";
/// What the response cache did.
pub const CACHE: &str = "cache";
/// From arrival to the first token sent to the client, in milliseconds.
pub const TTFT: &str = "ttft_ms";
/// From arrival to the end, in milliseconds.
pub const DURATION: &str = "duration_ms";
/// The gateway's own share of the time to the first byte, in microseconds.
pub const OVERHEAD: &str = "overhead_us";
/// Prompt tokens, cached ones included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Completion tokens, reasoning included.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Reasoning tokens.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Prompt tokens read from the provider's cache.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Prompt tokens written to the provider's cache.
pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// The token counts are our own, since the provider gave none.
pub const ESTIMATED: &str = "usage_estimated";
/// What was charged, in billionths of a US dollar.
pub const COST: &str = "cost_nano_usd";
/// Why the answer ended.
pub const FINISH: &str = "gen_ai.response.finish_reasons";
/// Bytes of the request's body.
pub const BYTES_IN: &str = "http.request.body.size";
/// Bytes of the answer's body.
pub const BYTES_OUT: &str = "http.response.body.size";
