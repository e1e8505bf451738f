//! The providers that the demo serves from.

use super::behaviour::Behaviour;
use super::config::ProviderConfig;
use crate::dialect::Dialect;

/// The open model that three of the demo's providers host, each under a name of its own.
pub const DEMO_MODEL: &str = "meta-llama/llama-3.3-70b-instruct";

/// The demo's providers, on free loopback ports: three hosts of [`DEMO_MODEL`] that differ in
/// speed and dialect, and a model for each dialect that nobody else hosts.
///
/// | id | dialect | upstream model | first token | between tokens |
/// |---|---|---|---|---|
/// | `sim-swift` | openai | `llama-3.3-70b-swift` | 40 ms | 2 ms |
/// | `sim-thrift` | openai | `Llama-3.3-70B-Instruct` | 120 ms | 10 ms |
/// | `sim-claudish` | anthropic | `llama-3-3-70b` | 80 ms | 5 ms |
/// | `sim-anthropic` | anthropic | `claudish-sonnet-1` | 60 ms | 5 ms |
/// | `sim-openai` | openai | `gptish-1` | 50 ms | 4 ms |
/// | `sim-responses` | responses | `responsish-1` | 50 ms | 4 ms |
/// | `sim-gemini` | gemini | `geminish-pro-1` | 50 ms | 4 ms |
/// | `sim-bedrock` | bedrock | `us.sim.bedrockish-v1:0` | 60 ms | 5 ms |
/// | `sim-cohere` | cohere | `coherish-1` | 60 ms | 5 ms |
/// | `sim-mistral` | mistral | `mistralish-1` | 50 ms | 4 ms |
/// | `sim-ollama` | ollama | `ollamish:8b` | 60 ms | 5 ms |
/// | `sim-raw` | completions | `rawish-8b` | 60 ms | 5 ms |
pub fn demo_providers() -> Vec<ProviderConfig> {
    use Dialect::{
        Anthropic, Bedrock, Cohere, Completions, Gemini, Mistral, Ollama, OpenAi, Responses,
    };
    vec![
        provider("sim-swift", OpenAi, "llama-3.3-70b-swift", (40, 2.0)),
        provider("sim-thrift", OpenAi, "Llama-3.3-70B-Instruct", (120, 10.0)),
        provider("sim-claudish", Anthropic, "llama-3-3-70b", (80, 5.0)),
        provider("sim-anthropic", Anthropic, "claudish-sonnet-1", (60, 5.0)),
        provider("sim-openai", OpenAi, "gptish-1", (50, 4.0)),
        provider("sim-responses", Responses, "responsish-1", (50, 4.0)),
        provider("sim-gemini", Gemini, "geminish-pro-1", (50, 4.0)),
        provider("sim-bedrock", Bedrock, "us.sim.bedrockish-v1:0", (60, 5.0)),
        provider("sim-cohere", Cohere, "coherish-1", (60, 5.0)),
        provider("sim-mistral", Mistral, "mistralish-1", (50, 4.0)),
        provider("sim-ollama", Ollama, "ollamish:8b", (60, 5.0)),
        provider("sim-raw", Completions, "rawish-8b", (60, 5.0)),
    ]
}

fn provider(
    id: &str,
    dialect: Dialect,
    model: &str,
    (ttft_ms, token_ms): (u32, f64),
) -> ProviderConfig {
    let behaviour = Behaviour { ttft_ms, token_ms, jitter: 0.2, ..Behaviour::default() };
    ProviderConfig::new(id, dialect).serving(&[model]).behaving(behaviour)
}
