//! The shapes of `[[models]]`, and of what providers say about themselves.

use serde::{Deserialize, Serialize};

/// What is done with prompts and answers. What is not said is assumed to be bad: they may be
/// trained on, and are kept for ever.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether they may be used for training. Optional; absent at a provider: `true`, at an
    /// endpoint: as the provider's.
    pub trains: Option<bool>,
    /// How long they are kept, 0 to 36500 days; 0: not at all. Optional; absent at a provider: for
    /// ever, at an endpoint: as the provider's.
    pub retention_days: Option<i64>,
    /// Whether they may be published. Optional; absent at a provider: `false`, at an endpoint: as
    /// the provider's.
    pub publishes: Option<bool>,
}

/// What clients are told of a provider's company.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// URL of its privacy policy. Optional.
    pub privacy_policy_url: Option<String>,
    /// URL of its terms of service. Optional.
    pub terms_of_service_url: Option<String>,
    /// URL of the page that tells of outages. Optional.
    pub status_page_url: Option<String>,
    /// The country of its headquarters, two capital letters. Optional.
    pub headquarters: Option<String>,
    /// The countries of its data centres, two capital letters each. Default `[]`.
    pub datacenters: Vec<String>,
}

/// A model and who hosts it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// What clients ask for, usually `author/slug`; letters, digits and `. _ - : / @ ~`, at most
    /// 256. Required.
    pub id: String,
    /// Display name, at most 128 bytes. Optional; absent: as `id`.
    pub name: Option<String>,
    /// A dated name that never means another model; it can be asked for too. Optional; absent: as
    /// `id`.
    pub canonical_slug: Option<String>,
    /// Other names by which the model can be asked for. Default `[]`.
    pub aliases: Vec<String>,
    /// The model's series, lower-case letters, digits, `-` and `.`: `~author/family-latest` is the
    /// newest model of it. Optional.
    pub family: Option<String>,
    /// When the model was published, in seconds since 1970. Default `0`.
    pub created: i64,
    /// Free text, at most 16384 bytes. Default `""`.
    pub description: String,
    /// Prompt and completion together, 1 to 1000000000 tokens. Optional; absent: each endpoint
    /// says.
    pub context_length: Option<i64>,
    /// What a prompt may hold: `text`, `image`, `file`, `audio`, `video`. Default `["text"]`.
    pub input_modalities: Vec<String>,
    /// What an answer may hold: `text`, `image`, `audio`, `video`, `embeddings`, `rerank`. Default
    /// `["text"]`.
    pub output_modalities: Vec<String>,
    /// The family of its tokenizer, for instance `Llama3`. Optional.
    pub tokenizer: Option<String>,
    /// The form of its prompts, for instance `chatml`. Optional.
    pub instruct_type: Option<String>,
    /// Its name on Hugging Face. Optional.
    pub hugging_face_id: Option<String>,
    /// Whether its weights are public. Default `false`.
    pub open_weights: bool,
    /// Whether its author allows to train other models on its answers. Default `false`.
    pub distillable: bool,
    /// The day up to which it knows the world: `YYYY-MM-DD`, `YYYY-MM` or `YYYY`. Optional.
    pub knowledge_cutoff: Option<String>,
    /// The day, `YYYY-MM-DD`, at whose beginning in UTC it is switched off everywhere. Optional.
    pub expires: Option<String>,
    /// How it reasons. Optional; absent: it does not, or nobody says.
    pub reasoning: Option<Reasoning>,
    /// What its author recommends; told to clients, never sent.
    pub default_parameters: DefaultParameters,
    /// Who hosts the model. At least one.
    pub endpoints: Vec<Endpoint>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: None,
            canonical_slug: None,
            aliases: Vec::new(),
            family: None,
            created: 0,
            description: String::new(),
            context_length: None,
            input_modalities: vec!["text".to_owned()],
            output_modalities: vec!["text".to_owned()],
            tokenizer: None,
            instruct_type: None,
            hugging_face_id: None,
            open_weights: false,
            distillable: false,
            knowledge_cutoff: None,
            expires: None,
            reasoning: None,
            default_parameters: DefaultParameters::default(),
            endpoints: Vec::new(),
        }
    }
}

/// How a model reasons.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reasoning {
    /// Whether it cannot be switched off. Default `false`.
    pub mandatory: bool,
    /// Whether it is on where a request says nothing. Default `false`.
    pub default_enabled: bool,
    /// The levels that it knows, of `none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max`.
    /// Default `[]`.
    pub efforts: Vec<String>,
    /// The level where a request says nothing. Optional.
    pub default_effort: Option<String>,
    /// Whether a limit in tokens can be set. Default `false`.
    pub supports_max_tokens: bool,
}

/// Sampling parameters that a model's author recommends; told to clients, never sent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultParameters {
    /// 0.0 to 10.0. Optional.
    pub temperature: Option<f64>,
    /// 0.0 to 1.0. Optional.
    pub top_p: Option<f64>,
    /// 0.0 to 1000000.0. Optional.
    pub top_k: Option<f64>,
    /// -10.0 to 10.0. Optional.
    pub frequency_penalty: Option<f64>,
    /// -10.0 to 10.0. Optional.
    pub presence_penalty: Option<f64>,
    /// 0.0 to 10.0. Optional.
    pub repetition_penalty: Option<f64>,
}

/// One model at one provider.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// The `id` of a provider. Required.
    pub provider: String,
    /// What the provider calls the model. Required.
    pub upstream_model: String,
    /// What tells this endpoint from others of the provider, lower-case letters, digits, `-`, `_`,
    /// `.` and `/`: requests name it as `provider/variant`. Optional; absent: as `tier` unless that
    /// is `default`, else as `region`, else none.
    pub variant: Option<String>,
    /// The class of service: `default`, `flex` or `priority`; the last two are used only where they
    /// are asked for. Default `"default"`.
    pub tier: String,
    /// Where it runs, in the provider's words, for instance `us-east5`; characters as in `variant`.
    /// Optional.
    pub region: Option<String>,
    /// The number format of its weights: `int4`, `int8`, `fp4`, `mxfp4`, `nvfp4`, `fp6`, `fp8`,
    /// `mxfp8`, `fp16`, `bf16`, `fp32` or `unknown`. Default `"unknown"`.
    pub quantization: String,
    /// Prompt and completion together, 1 to 1000000000 tokens. Optional; absent: as the model's.
    pub context_length: Option<i64>,
    /// The longest completion in tokens, at most `context_length`. Optional; absent: as
    /// `context_length`.
    pub max_output: Option<i64>,
    /// Share among equals, 0.001 to 1000.0. Default `1.0`.
    pub weight: f64,
    /// How prompts are rendered for dialect completions: the name of a shipped chat template, for
    /// instance `chatml`, or `file:/path` of the settings of another, `name.toml`, which has its
    /// text, `name.jinja`, beside it. Optional; required for completions.
    pub template: Option<String>,
    /// Request parameters that the endpoint takes, of OpenRouter's `supported_parameters`.
    /// Optional; absent: those that every endpoint of the provider's dialect takes.
    pub parameters: Option<Vec<String>>,
    /// Whether prompts are cached without being asked for. Default `false`.
    pub implicit_caching: bool,
    /// Whether the provider screens prompts and refuses some. Default `false`.
    pub moderated: bool,
    /// The day, `YYYY-MM-DD`, at whose beginning in UTC it is switched off. Optional.
    pub expires: Option<String>,
    /// Where it departs from the provider's policy.
    pub policy: Policy,
    /// What the endpoint costs.
    pub prices: Prices,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            provider: String::new(),
            upstream_model: String::new(),
            variant: None,
            tier: "default".to_owned(),
            region: None,
            quantization: "unknown".to_owned(),
            context_length: None,
            max_output: None,
            weight: 1.0,
            template: None,
            parameters: None,
            implicit_caching: false,
            moderated: false,
            expires: None,
            policy: Policy::default(),
            prices: Prices::default(),
        }
    }
}

/// What an endpoint costs, in US dollars as decimal numbers in quotes, for instance `"0.15"`:
/// money is never a float.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Per million input tokens. Required; `"0"` if they are free.
    pub prompt: Option<String>,
    /// Per million output tokens. Required; `"0"` if they are free.
    pub completion: Option<String>,
    /// Per million input tokens read from a prompt cache. Optional; absent: as `prompt`.
    pub cache_read: Option<String>,
    /// Per million input tokens written to a prompt cache for 5 minutes. Optional; absent: as
    /// `prompt`.
    pub cache_write_5m: Option<String>,
    /// Per million input tokens written to a prompt cache for an hour. Optional; absent: as
    /// `cache_write_5m`.
    pub cache_write_1h: Option<String>,
    /// Per million reasoning tokens. Optional; absent: as `completion`.
    pub reasoning: Option<String>,
    /// Per million input tokens of sound. Optional; absent: as `prompt`.
    pub audio_prompt: Option<String>,
    /// Per million output tokens of sound. Optional; absent: as `completion`.
    pub audio_completion: Option<String>,
    /// Per request. Optional; absent: `"0"`.
    pub request: Option<String>,
    /// Per image put out. Optional; absent: `"0"`.
    pub image: Option<String>,
    /// Per web search made by the provider. Optional; absent: `"0"`.
    pub search: Option<String>,
    /// Prices that depend on the length of the prompt or the time of day. Of several whose
    /// conditions hold, the later one wins, key by key. Default `[]`.
    pub overrides: Vec<PriceOverride>,
}

/// Prices that apply only under all of the conditions given, at least one. Absent prices are
/// inherited.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceOverride {
    /// Only for prompts of more than this many tokens, as the provider counts them, 1 to
    /// 1000000000. Optional.
    pub min_prompt_tokens: Option<i64>,
    /// Only from this time of day in UTC on, as `HHMM`. Optional; required with `utc_end`.
    pub utc_start: Option<String>,
    /// Only until before this time of day in UTC, as `HHMM`; before `utc_start`: on the next day.
    /// Optional; required with `utc_start`.
    pub utc_end: Option<String>,
    /// Per million input tokens. Optional.
    pub prompt: Option<String>,
    /// Per million output tokens. Optional.
    pub completion: Option<String>,
    /// Per million input tokens read from a prompt cache. Optional.
    pub cache_read: Option<String>,
    /// Per million input tokens written to a prompt cache for 5 minutes. Optional.
    pub cache_write_5m: Option<String>,
    /// Per million input tokens written to a prompt cache for an hour. Optional.
    pub cache_write_1h: Option<String>,
    /// Per million reasoning tokens. Optional.
    pub reasoning: Option<String>,
    /// Per million input tokens of sound. Optional.
    pub audio_prompt: Option<String>,
    /// Per million output tokens of sound. Optional.
    pub audio_completion: Option<String>,
}
