//! `providers[].options`: what of a request's `provider.options` a provider is handed on.

use super::fault::At;
use super::file;
use crate::dialect::Dialect;

/// The most names.
const NAMES_MAX: usize = 64;

/// Members that the gateway writes, or that change what a request costs in a way that the catalog
/// does not know. Nobody can hand them on.
const OURS: [&str; 22] = [
    "candidateCount",
    "contents",
    "input",
    "inputs",
    "maxOutputTokens",
    "maxTokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "num_predict",
    "performanceConfig",
    "prompt",
    "service_tier",
    "serviceTier",
    "speed",
    "store",
    "stream",
    "stream_options",
    "system",
];

/// Resolves the names, or gives those that are usual for the dialect.
pub(super) fn resolve(raw: &file::Provider, dialect: Dialect, at: &mut At<'_>) -> Vec<String> {
    let Some(names) = &raw.options else {
        return usual(dialect).iter().map(|name| (*name).to_owned()).collect();
    };
    if names.len() > NAMES_MAX {
        at.fault("options", format!("has more than {NAMES_MAX} entries"));
        return Vec::new();
    }
    for (i, name) in names.iter().enumerate() {
        let parts = || name.split('.');
        if name.len() > 256 || parts().any(str::is_empty) {
            at.fault(&format!("options[{i}]"), "must be a parameter's name, or names and dots");
        } else if let Some(ours) = parts().find(|part| OURS.contains(part)) {
            let text = format!("must not hand on {ours}, which is the gateway's to write");
            at.fault(&format!("options[{i}]"), text);
        }
    }
    names.clone()
}

/// What a provider of this dialect is handed on where its entry does not say: parameters that the
/// gateway has no word for and that change no price (the providers' API references, 2026-09).
const fn usual(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Gemini | Dialect::Vertex => {
            &["safetySettings", "generationConfig.mediaResolution", "labels"]
        }
        Dialect::Mistral => &["safe_prompt", "prompt_mode"],
        Dialect::Cohere => &["safety_mode", "citation_options"],
        Dialect::Bedrock => &["guardrailConfig", "requestMetadata"],
        Dialect::Ollama => &["keep_alive", "options.num_ctx", "options.num_gpu"],
        Dialect::OpenAi
        | Dialect::Responses
        | Dialect::Azure
        | Dialect::Anthropic
        | Dialect::VertexAnthropic
        | Dialect::Completions => &[],
    }
}
