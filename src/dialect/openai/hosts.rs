//! The rows: what is known of each OpenAI-like host.
//!
//! Sources, read 2026-11: the hosts' API references and error pages; the official SDKs `openai`
//! 2.54.0, `groq` 1.7.0, `cerebras_cloud_sdk` 1.91.0, `together` 3.1.1 and `mistralai` 3.7.0, whose
//! request types list what is taken; the sources of vLLM, SGLang and llama.cpp. What is not known
//! for sure stays as it is in [`Host::GENERIC`], so that it reaches the host and the host judges.
//!
//! A row speaks of the host, not of its models: that a model is deaf to images or wants no
//! temperature is the catalog's to say.
//!
//! To add a host, add a row, list it in [`ALL`], and show with a vector what it gets.

use super::host::{Host, Limit, Logprobs, Pieces, Prefill, Replay, Thinking};
use crate::dialect::ir::Effort;
use crate::dialect::scan::Notes;

/// Every row.
pub(super) const ALL: &[&Host] = &[
    &Host::GENERIC,
    &OPENAI,
    &AZURE,
    &OPENROUTER,
    &DEEPSEEK,
    &GROQ,
    &TOGETHER,
    &FIREWORKS,
    &DEEPINFRA,
    &XAI,
    &PERPLEXITY,
    &CEREBRAS,
    &MISTRAL,
    &SAMBANOVA,
    &NVIDIA,
    &NOVITA,
    &HYPERBOLIC,
    &NEBIUS,
    &MOONSHOT,
    &ZAI,
    &MINIMAX,
    &ALIBABA,
    &VLLM,
    &SGLANG,
    &LLAMA_CPP,
    &LM_STUDIO,
    &TGI,
];

const ALL_LEVELS: Thinking = Thinking::Effort(&[
    Effort::None,
    Effort::Minimal,
    Effort::Low,
    Effort::Medium,
    Effort::High,
    Effort::ExtraHigh,
    Effort::Max,
]);
const NONE_TO_HIGH: Thinking =
    Thinking::Effort(&[Effort::None, Effort::Low, Effort::Medium, Effort::High]);
const LOW_TO_HIGH: Thinking = Thinking::Effort(&[Effort::Low, Effort::Medium, Effort::High]);

/// All that is not text.
const MEDIA: Notes = Notes::IMAGE.and(Notes::SOUND).and(Notes::FILM).and(Notes::FILE);
const SEVERAL: Notes = Notes::members(&["n"]);

/// What OpenRouter knows and OpenAI answers with `Unrecognized request argument`.
const NOT_OPENAI: Notes = Notes::members(&[
    "cache_control",
    "include_reasoning",
    "min_p",
    "reasoning",
    "repetition_penalty",
    "top_a",
    "top_k",
]);

/// o-series and gpt-5 refuse `max_tokens`; every chat model takes the newer name.
const OPENAI: Host = Host {
    name: "openai",
    domains: &["api.openai.com"],
    limit: Limit::COMPLETION_ONLY,
    thinking: ALL_LEVELS,
    replay: Replay::Never,
    drops: NOT_OPENAI,
    refuses: Notes::FILM,
    cache: false,
    file_urls: false,
    ..Host::GENERIC
}
.sealed();

/// Old versions of the API do not know `max_completion_tokens`, so what the client wrote passes.
const AZURE: Host = Host {
    name: "azure",
    domains: &["openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"],
    limit: Limit::COMPLETION,
    ..OPENAI
}
.sealed();

const OPENROUTER: Host = Host {
    name: "openrouter",
    domains: &["openrouter.ai"],
    thinking: Thinking::Object,
    replay: Replay::Details,
    ..Host::GENERIC
}
.sealed();

/// Text only. In thinking mode since V3.2 a tool loop must hand `reasoning_content` back, and
/// elsewhere it may not. A turn to be gone on with needs `prefix` (at `/beta`).
const DEEPSEEK: Host = Host {
    name: "deepseek",
    domains: &["api.deepseek.com"],
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Switch,
    replay: Replay::InToolLoop("reasoning_content"),
    prefill: Prefill::Flag("prefix"),
    drops: Host::COMMON.drops.and(Notes::members(&[
        "logit_bias",
        "metadata",
        "min_p",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "reasoning_effort",
        "repetition_penalty",
        "seed",
        "service_tier",
        "top_k",
        "user",
    ])),
    refuses: MEDIA.and(SEVERAL),
    schemas: false,
    joins_text: true,
    ..Host::COMMON
}
.sealed();

/// 400 for what it does not know, also inside messages. Whether reasoning comes apart depends on
/// the model.
const GROQ: Host = Host {
    name: "groq",
    domains: &["api.groq.com"],
    limit: Limit::COMPLETION,
    thinking: NONE_TO_HIGH,
    replay: Replay::Text("reasoning"),
    drops: Host::COMMON.drops.and(Notes::members(&[
        "audio",
        "logit_bias",
        "logprobs",
        "min_p",
        "prediction",
        "prompt_cache_key",
        "repetition_penalty",
        "top_k",
        "top_logprobs",
    ])),
    refuses: SEVERAL.and(Notes::SOUND).and(Notes::FILM).and(Notes::FILE),
    tiers: Some(&["auto", "on_demand", "flex", "performance"]),
    names: false,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const TOGETHER: Host = Host {
    name: "together",
    domains: &["api.together.xyz", "api.together.ai"],
    limit: Limit::TOKENS_ONLY,
    thinking: LOW_TO_HIGH,
    logprobs: Logprobs::Count,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// 400 `Extra inputs are not permitted` for what it does not know.
const FIREWORKS: Host = Host {
    name: "fireworks",
    domains: &["api.fireworks.ai"],
    thinking: NONE_TO_HIGH,
    replay: Replay::Text("reasoning_content"),
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const DEEPINFRA: Host = Host {
    name: "deepinfra",
    domains: &["api.deepinfra.com"],
    limit: Limit::TOKENS_ONLY,
    thinking: NONE_TO_HIGH,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// Reasoning is not part of `completion_tokens`.
const XAI: Host = Host {
    name: "xai",
    domains: &["api.x.ai"],
    limit: Limit::COMPLETION,
    thinking: Thinking::Effort(&[Effort::Low, Effort::High]),
    drops: Host::COMMON.drops.and(Notes::members(&["logit_bias"])),
    reasoning_beside: true,
    ..Host::COMMON
}
.sealed();

/// No tools. User and model must alternate, and the user must have the last word.
const PERPLEXITY: Host = Host {
    name: "perplexity",
    domains: &["api.perplexity.ai"],
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Effort(&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]),
    prefill: Prefill::Never,
    // Unlike most it has web search options.
    drops: Notes::members(&[
        "audio",
        "cache_control",
        "include_reasoning",
        "logit_bias",
        "logprobs",
        "min_p",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "repetition_penalty",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "top_a",
        "top_logprobs",
        "verbosity",
    ]),
    refuses: SEVERAL.and(Notes::members(&["tools"])).and(Notes::SOUND).and(Notes::FILM),
    names: false,
    joins_text: true,
    alternates: true,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// Its models refuse penalties and biases with 400 (OpenAI compatibility page).
const CEREBRAS: Host = Host {
    name: "cerebras",
    domains: &["api.cerebras.ai"],
    limit: Limit::COMPLETION,
    thinking: NONE_TO_HIGH,
    replay: Replay::Text("reasoning"),
    drops: Host::COMMON.drops.and(Notes::members(&[
        "audio",
        "frequency_penalty",
        "logit_bias",
        "metadata",
        "min_p",
        "presence_penalty",
        "repetition_penalty",
        "top_k",
    ])),
    refuses: SEVERAL.and(Notes::SOUND).and(Notes::FILM).and(Notes::FILE),
    developer: true,
    joins_text: true,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// 422 `extra_forbidden` for what it does not know.
pub(in crate::dialect) const MISTRAL: Host = Host {
    name: "mistral",
    domains: &["api.mistral.ai"],
    limit: Limit::TOKENS_ONLY,
    thinking: ALL_LEVELS,
    replay: Replay::Piece,
    prefill: Prefill::Flag("prefix"),
    pieces: Pieces::Mistral,
    drops: Host::COMMON.drops.and(Notes::UNKNOWN).and(Notes::members(&[
        "audio",
        "logit_bias",
        "min_p",
        "user",
    ])),
    knows: &["guardrails", "min_tokens", "prompt_mode", "random_seed", "safe_prompt"],
    refuses: Notes::FILM,
    seed: "random_seed",
    tiers: Some(&["auto", "standard_only"]),
    any_tool: "any",
    names: false,
    stream_options: false,
    short_ids: true,
    temperature_max: 1.5,
    ..Host::COMMON
}
.sealed();

const SAMBANOVA: Host = Host {
    name: "sambanova",
    domains: &["api.sambanova.ai"],
    limit: Limit::TOKENS_ONLY,
    thinking: LOW_TO_HIGH,
    joins_text: true,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const NVIDIA: Host = Host {
    name: "nvidia",
    domains: &["integrate.api.nvidia.com"],
    limit: Limit::TOKENS_ONLY,
    thinking: LOW_TO_HIGH,
    drops: Host::COMMON.drops.and(Notes::members(&["metadata", "prompt_cache_key"])),
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const NOVITA: Host = Host {
    name: "novita",
    domains: &["api.novita.ai"],
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Flag,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const HYPERBOLIC: Host = Host {
    name: "hyperbolic",
    domains: &["api.hyperbolic.xyz"],
    limit: Limit::TOKENS_ONLY,
    thinking: LOW_TO_HIGH,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const NEBIUS: Host = Host {
    name: "nebius",
    domains: &["nebius.com", "nebius.ai"],
    thinking: LOW_TO_HIGH,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// Kimi: thinking models want their reasoning back. `partial` marks a turn to be gone on with.
const MOONSHOT: Host = Host {
    name: "moonshot",
    domains: &["api.moonshot.ai", "api.moonshot.cn"],
    thinking: Thinking::Switch,
    replay: Replay::Text("reasoning_content"),
    prefill: Prefill::Flag("partial"),
    drops: Host::COMMON.drops.and(Notes::members(&["reasoning_effort"])),
    temperature_max: 1.0,
    ..Host::COMMON
}
.sealed();

/// GLM: one stop sequence, temperature up to 1.
const ZAI: Host = Host {
    name: "zai",
    domains: &["api.z.ai", "open.bigmodel.cn"],
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Switch,
    replay: Replay::Text("reasoning_content"),
    drops: Host::COMMON.drops.and(Notes::members(&["reasoning_effort"])),
    refuses: SEVERAL,
    temperature_max: 1.0,
    stop_max: 1,
    ..Host::COMMON
}
.sealed();

/// Its reasoning stands in the text, and must be handed back there.
const MINIMAX: Host = Host {
    name: "minimax",
    domains: &["api.minimax.io", "api.minimax.chat", "api.minimaxi.com"],
    thinking: Thinking::Fixed,
    replay: Replay::Tags,
    drops: Host::COMMON.drops.and(Notes::members(&["logit_bias", "reasoning_effort"])),
    refuses: SEVERAL,
    temperature_max: 1.0,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

/// Qwen at Model Studio (DashScope).
const ALIBABA: Host = Host {
    name: "alibaba",
    domains: &[
        "dashscope.aliyuncs.com",
        "dashscope-intl.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
    ],
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Flag,
    prefill: Prefill::Flag("partial"),
    drops: Notes::members(&[
        "cache_control",
        "include_reasoning",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "safety_identifier",
        "store",
        "top_a",
        "verbosity",
        "web_search_options",
    ]),
    ..Host::COMMON
}
.sealed();

const VLLM: Host = Host {
    name: "vllm",
    thinking: Thinking::Template,
    replay: Replay::Text("reasoning"),
    prefill: Prefill::Continue,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const SGLANG: Host = Host {
    name: "sglang",
    thinking: Thinking::Template,
    replay: Replay::Text("reasoning_content"),
    prefill: Prefill::Continue,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const LLAMA_CPP: Host = Host {
    name: "llama-cpp",
    thinking: Thinking::Template,
    replay: Replay::Text("reasoning_content"),
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const LM_STUDIO: Host = Host {
    name: "lm-studio",
    limit: Limit::TOKENS_ONLY,
    thinking: LOW_TO_HIGH,
    think_tags: true,
    ..Host::COMMON
}
.sealed();

const TGI: Host = Host {
    name: "tgi",
    limit: Limit::TOKENS_ONLY,
    thinking: Thinking::Fixed,
    think_tags: true,
    ..Host::COMMON
}
.sealed();
