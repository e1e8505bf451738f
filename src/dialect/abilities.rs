//! What each dialect can carry: one table, from which the losses of a request are told, the
//! catalog's defaults and the README's table are made, and which a test holds against what the
//! writers really do.

use std::borrow::Cow;

use super::Dialect;
use super::ir::{
    Loss, Message, Part, PartBody, ReasoningBlock, ReasoningBody, Request, ResponseFormat,
    ToolChoice,
};

/// Something that a request can ask for and that not every provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ability {
    /// Functions that the model may call.
    Tools,
    /// `tool_choice` that demands a call, or names it.
    ToolChoice,
    /// `parallel_tool_calls: false`.
    SingleCalls,
    /// `response_format: json_object`.
    JsonObject,
    /// `response_format: json_schema`.
    JsonSchema,
    /// Pictures in the prompt.
    Images,
    /// Sound in the prompt.
    Audio,
    /// Films in the prompt.
    Video,
    /// Documents in the prompt.
    Files,
    /// Control over how much the model thinks.
    Reasoning,
    /// Marks for the prompt cache.
    CacheControl,
    /// `n` above 1.
    Choices,
    /// `stop`.
    Stop,
    /// `temperature`.
    Temperature,
    /// `top_p`.
    TopP,
    /// `top_k`.
    TopK,
    /// `min_p`.
    MinP,
    /// `top_a`.
    TopA,
    /// `seed`.
    Seed,
    /// `frequency_penalty` and `presence_penalty`.
    Penalties,
    /// `repetition_penalty`.
    RepetitionPenalty,
    /// `logprobs`.
    Logprobs,
    /// `verbosity`.
    Verbosity,
    /// `service_tier`.
    ServiceTier,
    /// `prompt_cache_key`.
    PromptCacheKey,
    /// `user`.
    User,
    /// `metadata`.
    Metadata,
}

use Ability as A;

impl Ability {
    /// Every ability, in the order of the README's table.
    pub const ALL: [Self; 27] = [
        Self::Tools,
        Self::ToolChoice,
        Self::SingleCalls,
        Self::JsonObject,
        Self::JsonSchema,
        Self::Images,
        Self::Audio,
        Self::Video,
        Self::Files,
        Self::Reasoning,
        Self::CacheControl,
        Self::Choices,
        Self::Stop,
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::MinP,
        Self::TopA,
        Self::Seed,
        Self::Penalties,
        Self::RepetitionPenalty,
        Self::Logprobs,
        Self::Verbosity,
        Self::ServiceTier,
        Self::PromptCacheKey,
        Self::User,
        Self::Metadata,
    ];

    /// The member of a chat request that asks for it, as in OpenRouter's `supported_parameters`
    /// where it is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ToolChoice => "tool_choice",
            Self::SingleCalls => "parallel_tool_calls",
            Self::JsonObject => "response_format",
            Self::JsonSchema => "structured_outputs",
            Self::Images => "image_url",
            Self::Audio => "input_audio",
            Self::Video => "video_url",
            Self::Files => "file",
            Self::Reasoning => "reasoning",
            Self::CacheControl => "cache_control",
            Self::Choices => "n",
            Self::Stop => "stop",
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::TopA => "top_a",
            Self::Seed => "seed",
            Self::Penalties => "frequency_penalty",
            Self::RepetitionPenalty => "repetition_penalty",
            Self::Logprobs => "logprobs",
            Self::Verbosity => "verbosity",
            Self::ServiceTier => "service_tier",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::User => "user",
            Self::Metadata => "metadata",
        }
    }

    /// Whether a request asks for it.
    fn is_asked_by(self, request: &Request) -> bool {
        let sampling = &request.sampling;
        let has = |wanted: fn(&PartBody) -> bool| parts(request).any(|part| wanted(&part.body));
        match self {
            Self::Tools => !request.tools.is_empty(),
            Self::ToolChoice => !matches!(request.tool_choice, None | Some(ToolChoice::Auto)),
            Self::SingleCalls => request.parallel_tool_calls == Some(false),
            Self::JsonObject => matches!(request.response_format, Some(ResponseFormat::JsonObject)),
            Self::JsonSchema => {
                matches!(request.response_format, Some(ResponseFormat::JsonSchema { .. }))
            }
            Self::Images => has(|part| matches!(part, PartBody::Image { .. })),
            Self::Audio => has(|part| matches!(part, PartBody::Audio { .. })),
            Self::Video => has(|part| matches!(part, PartBody::Video(_))),
            Self::Files => has(|part| matches!(part, PartBody::File { .. })),
            Self::Reasoning => request.reasoning.is_some_and(|r| {
                r.effort.is_some() || r.max_tokens.is_some() || r.enabled.is_some()
            }),
            Self::CacheControl => {
                let tools = request.tools.iter().any(|tool| tool.cache.is_some());
                request.cache.is_some() || tools || parts(request).any(|part| part.cache.is_some())
            }
            Self::Choices => request.n.is_some_and(|n| n > 1),
            Self::Stop => !request.stop.is_empty(),
            Self::Temperature => sampling.temperature.is_some(),
            Self::TopP => sampling.top_p.is_some(),
            Self::TopK => sampling.top_k.is_some_and(|k| k > 0),
            Self::MinP => sampling.min_p.is_some(),
            Self::TopA => sampling.top_a.is_some(),
            Self::Seed => sampling.seed.is_some(),
            Self::Penalties => {
                sampling.frequency_penalty.is_some() || sampling.presence_penalty.is_some()
            }
            Self::RepetitionPenalty => sampling.repetition_penalty.is_some(),
            Self::Logprobs => request.logprobs.is_some(),
            Self::Verbosity => request.verbosity.is_some(),
            Self::ServiceTier => request.service_tier.is_some(),
            Self::PromptCacheKey => request.prompt_cache_key.is_some(),
            Self::User => request.user.is_some(),
            Self::Metadata => request.metadata.is_some(),
        }
    }
}

fn parts(request: &Request) -> impl Iterator<Item = &Part> {
    request.messages.iter().flat_map(|message| match message {
        Message::System { parts, .. }
        | Message::User { parts, .. }
        | Message::Tool { parts, .. } => parts,
        Message::Assistant(turn) => &turn.parts,
    })
}

/// What is lost of a request on its way to a provider of this dialect: what its reader could not
/// keep, what the dialect has no word for, and what nobody here knows.
pub fn losses(request: &Request, dialect: Dialect) -> Vec<Loss> {
    let mut losses = request.losses.clone();
    let asked = Ability::ALL.iter().filter(|ability| ability.is_asked_by(request));
    losses.extend(asked.filter(|ability| !dialect.can(**ability)).map(|ability| Loss {
        param: Cow::Borrowed(ability.name()),
        why: "is not known to this provider's API",
    }));
    let turns = request.messages.iter().filter_map(|message| match message {
        Message::Assistant(turn) => Some(turn),
        _ => None,
    });
    if turns.flat_map(|turn| &turn.reasoning).any(|block| is_foreign(block, dialect)) {
        losses.push(Loss {
            param: Cow::Borrowed("reasoning_details"),
            why: "means nothing to this provider where another one signed or encrypted it",
        });
    }
    if !matches!(dialect, Dialect::OpenAi | Dialect::Azure) {
        losses.extend(request.rest.iter().filter(|(name, _)| !is_ours(name)).map(|(name, _)| {
            Loss {
                param: Cow::Owned(name.chars().take(64).collect()),
                why: "is not known to this provider's API",
            }
        }));
    }
    losses
}

/// Whether reasoning that only its own provider can check or read came from another family of
/// models; it is left out, and so is what proves it.
fn is_foreign(block: &ReasoningBlock, dialect: Dialect) -> bool {
    let sealed = match &block.body {
        ReasoningBody::Text { signature, .. } => signature.is_some(),
        ReasoningBody::Encrypted(_) => true,
        ReasoningBody::Summary(_) => false,
    };
    let own = dialect.reasoning_format();
    sealed && block.format.as_deref().is_some_and(|format| format != own && format != "unknown")
}

/// Members that the gateway itself acts on, or that say nothing about the answer.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 14] = [
        "models",
        "provider",
        "plugins",
        "transforms",
        "route",
        "preset",
        "usage",
        "session_id",
        "trace",
        "stream_options",
        "store",
        "fallbacks",
        "include",
        "safety_identifier",
    ];
    OURS.contains(&name)
}

impl Dialect {
    /// Whether a provider of this dialect takes it, by itself or by what the writer puts in its
    /// place.
    pub fn can(self, ability: Ability) -> bool {
        !self.lacks().contains(&ability)
    }

    /// What the dialect has no word for.
    const fn lacks(self) -> &'static [Ability] {
        match self {
            Self::OpenAi => &[],
            Self::Azure => AZURE_LACKS,
            Self::Responses => RESPONSES_LACKS,
            Self::Anthropic | Self::VertexAnthropic => ANTHROPIC_LACKS,
            Self::Gemini | Self::Vertex => GEMINI_LACKS,
            Self::Bedrock => BEDROCK_LACKS,
            Self::Cohere => COHERE_LACKS,
            Self::Mistral => MISTRAL_LACKS,
            Self::Ollama => OLLAMA_LACKS,
            Self::Completions => COMPLETIONS_LACKS,
        }
    }
}

const AZURE_LACKS: &[A] =
    &[A::Video, A::CacheControl, A::TopK, A::MinP, A::TopA, A::RepetitionPenalty];
const RESPONSES_LACKS: &[A] = &[
    A::Video,
    A::CacheControl,
    A::Choices,
    A::Stop,
    A::TopK,
    A::MinP,
    A::TopA,
    A::Seed,
    A::Penalties,
    A::RepetitionPenalty,
];
const ANTHROPIC_LACKS: &[A] = &[
    A::Audio,
    A::Video,
    A::Choices,
    A::MinP,
    A::TopA,
    A::Seed,
    A::Penalties,
    A::RepetitionPenalty,
    A::Logprobs,
    A::Verbosity,
    A::ServiceTier,
    A::PromptCacheKey,
    A::Metadata,
];
const GEMINI_LACKS: &[A] = &[
    A::SingleCalls,
    A::CacheControl,
    A::MinP,
    A::TopA,
    A::RepetitionPenalty,
    A::Verbosity,
    A::ServiceTier,
    A::PromptCacheKey,
    A::User,
    A::Metadata,
];
const BEDROCK_LACKS: &[A] = &[
    A::Audio,
    A::Choices,
    A::MinP,
    A::TopA,
    A::Seed,
    A::Penalties,
    A::RepetitionPenalty,
    A::Logprobs,
    A::Verbosity,
    A::PromptCacheKey,
    A::User,
];
const COHERE_LACKS: &[A] = &[
    A::SingleCalls,
    A::Audio,
    A::Video,
    A::Files,
    A::CacheControl,
    A::Choices,
    A::MinP,
    A::TopA,
    A::RepetitionPenalty,
    A::Logprobs,
    A::Verbosity,
    A::ServiceTier,
    A::PromptCacheKey,
    A::User,
    A::Metadata,
];
const MISTRAL_LACKS: &[A] =
    &[A::Video, A::CacheControl, A::MinP, A::TopA, A::Verbosity, A::ServiceTier, A::User];
const OLLAMA_LACKS: &[A] = &[
    A::ToolChoice,
    A::SingleCalls,
    A::Video,
    A::Files,
    A::CacheControl,
    A::Choices,
    A::TopA,
    A::Verbosity,
    A::ServiceTier,
    A::PromptCacheKey,
    A::User,
    A::Metadata,
];
const COMPLETIONS_LACKS: &[A] = &[
    A::ToolChoice,
    A::SingleCalls,
    A::Images,
    A::Audio,
    A::Video,
    A::Files,
    A::CacheControl,
    A::TopA,
    A::Logprobs,
    A::Verbosity,
    A::ServiceTier,
    A::PromptCacheKey,
    A::User,
    A::Metadata,
];

#[cfg(test)]
#[path = "abilities_tests.rs"]
mod tests;
