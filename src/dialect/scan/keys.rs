//! The top-level members of a request that the gateway acts on.

use super::lexer::Text;
use super::notes::Notes;

/// The top-level members that the gateway acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the member of that name")]
pub enum Key {
    Model,
    Models,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Tools,
    Messages,
    Provider,
    Plugins,
    Transforms,
    Route,
    Preset,
    Usage,
    SessionId,
    Trace,
    Prompt,
    Input,
    Instructions,
    System,
    MaxOutputTokens,
    Store,
    Fallbacks,
    Query,
    Documents,
    PromptCacheKey,
    ServiceTier,
}

impl Key {
    /// Every key with its name.
    pub const ALL: [(Self, &'static str); 28] = [
        (Self::Model, "model"),
        (Self::Models, "models"),
        (Self::Stream, "stream"),
        (Self::StreamOptions, "stream_options"),
        (Self::MaxTokens, "max_tokens"),
        (Self::MaxCompletionTokens, "max_completion_tokens"),
        (Self::N, "n"),
        (Self::Tools, "tools"),
        (Self::Messages, "messages"),
        (Self::Provider, "provider"),
        (Self::Plugins, "plugins"),
        (Self::Transforms, "transforms"),
        (Self::Route, "route"),
        (Self::Preset, "preset"),
        (Self::Usage, "usage"),
        (Self::SessionId, "session_id"),
        (Self::Trace, "trace"),
        (Self::Prompt, "prompt"),
        (Self::Input, "input"),
        (Self::Instructions, "instructions"),
        (Self::System, "system"),
        (Self::MaxOutputTokens, "max_output_tokens"),
        (Self::Store, "store"),
        (Self::Fallbacks, "fallbacks"),
        (Self::Query, "query"),
        (Self::Documents, "documents"),
        (Self::PromptCacheKey, "prompt_cache_key"),
        (Self::ServiceTier, "service_tier"),
    ];

    /// The name of the member.
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether only the gateway reads this member, so that no provider may see it.
    pub const fn gateway_only(self) -> bool {
        matches!(
            self,
            Self::Models
                | Self::Provider
                | Self::Plugins
                | Self::Transforms
                | Self::Route
                | Self::Preset
                | Self::Usage
                | Self::SessionId
                | Self::Trace
                | Self::Fallbacks
        )
    }

    /// The key that a member's name spells, escapes resolved.
    pub(super) fn find(key: &Text<'_>) -> Option<Self> {
        // The longest name has 21 characters, each of which may be written in six.
        if key.raw.len() > 21 * 6 {
            return None;
        }
        let unescaped;
        let name = if key.escaped {
            unescaped = key.unescape()?;
            unescaped.as_bytes()
        } else {
            key.raw
        };
        Self::ALL.iter().find(|(_, known)| known.as_bytes() == name).map(|&(key, _)| key)
    }
}

/// What a member that is no [`Key`] is noted as.
pub(super) fn note(key: &Text<'_>) -> Notes {
    // The longest noted name has 22 characters.
    if key.raw.len() > 22 * 6 {
        return Notes::UNKNOWN;
    }
    if key.escaped {
        return key.unescape().map_or(Notes::UNKNOWN, |name| Notes::member(name.as_bytes()));
    }
    Notes::member(key.raw)
}
