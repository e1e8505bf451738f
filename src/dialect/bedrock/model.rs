//! What a model's id tells: whose it is, and so which fields Bedrock takes for it.
//!
//! Facts of 2026-11 from AWS's user guides: cache points are taken by Claude (system, messages and
//! tools) and Nova (system and messages); structured outputs (`outputConfig.textFormat` and strict
//! tools) by Claude from 4.5 on and by most open models, but by no Nova; the status of a tool's
//! result by Claude and Nova.
//!
//! An id is a model's (`anthropic.claude-…`), an inference profile's (`us.anthropic.claude-…`) or
//! an ARN with one of these at its end. The ARN of an *application* inference profile, of
//! provisioned throughput or of an imported model tells nothing: such a model gets only what every
//! model takes.

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's Claude before 4.5.
    OldClaude,
    /// Anthropic's Claude.
    Claude,
    /// Amazon's first Nova models.
    Nova,
    /// Amazon's Nova 2, which can reason.
    Nova2,
    /// OpenAI's open models.
    GptOss,
    /// OpenAI's other models.
    OpenAi,
    /// Models with neither structured outputs nor fields of their own that we know.
    Plain,
    /// Any other.
    Other,
}

impl Family {
    /// Whose the model of this id is.
    pub(super) fn of(id: &str) -> Self {
        // Beginnings of what follows the region, if any; the first that fits counts.
        const FAMILIES: [(&str, Family); 18] = [
            ("anthropic.claude-3", Family::OldClaude),
            ("anthropic.claude-v", Family::OldClaude),
            ("anthropic.claude-instant", Family::OldClaude),
            ("anthropic.claude-sonnet-4-2", Family::OldClaude),
            ("anthropic.claude-opus-4-2", Family::OldClaude),
            ("anthropic.claude-opus-4-1", Family::OldClaude),
            ("anthropic.", Family::Claude),
            ("amazon.nova-2", Family::Nova2),
            ("amazon.nova", Family::Nova),
            ("amazon.", Family::Plain),
            ("openai.gpt-oss", Family::GptOss),
            ("openai.", Family::OpenAi),
            ("meta.", Family::Plain),
            ("cohere.", Family::Plain),
            ("ai21.", Family::Plain),
            ("mistral.mistral-7b", Family::Plain),
            ("mistral.mixtral", Family::Plain),
            ("mistral.mistral-large-24", Family::Plain),
        ];
        let id = id.rsplit_once('/').map_or(id, |(_, name)| name);
        let in_region = id.split_once('.').map_or("", |(_, rest)| rest);
        let begins = |with: &str| id.starts_with(with) || in_region.starts_with(with);
        let found = FAMILIES.into_iter().find(|(beginning, _)| begins(beginning));
        found.map_or(Self::Other, |(_, family)| family)
    }

    /// Anthropic's.
    pub(super) const fn is_claude(self) -> bool {
        matches!(self, Self::OldClaude | Self::Claude)
    }

    /// Amazon's Nova.
    pub(super) const fn is_nova(self) -> bool {
        matches!(self, Self::Nova | Self::Nova2)
    }

    /// Takes `cachePoint`s in system and messages.
    pub(super) const fn takes_marks(self) -> bool {
        self.is_claude() || self.is_nova()
    }

    /// Takes `outputConfig.textFormat` and `strict` tools. Models without can at least be made to
    /// call a tool; [`Family::Plain`] ones not even that.
    pub(super) const fn has_schemas(self) -> bool {
        match self {
            Self::Claude | Self::GptOss | Self::OpenAi | Self::Other => true,
            Self::OldClaude | Self::Nova | Self::Nova2 | Self::Plain => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_profiles_and_arns_tell_the_family() {
        for (id, family) in [
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Family::OldClaude),
            ("anthropic.claude-v2:1", Family::OldClaude),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", Family::OldClaude),
            ("anthropic.claude-opus-4-1-20250805-v1:0", Family::OldClaude),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude),
            ("us.anthropic.claude-opus-4-6-v1", Family::Claude),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
                Family::Claude,
            ),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", Family::Nova),
            ("eu.amazon.nova-lite-v1:0", Family::Nova),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova2),
            ("amazon.titan-text-premier-v1:0", Family::Plain),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("us.openai.gpt-5.2", Family::OpenAi),
            ("us.meta.llama4-scout-17b-instruct-v1:0", Family::Plain),
            ("mistral.mistral-large-2402-v1:0", Family::Plain),
            ("mistral.mistral-large-3-675b-instruct", Family::Other),
            ("deepseek.v3-v1:0", Family::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
                Family::Other,
            ),
        ] {
            assert_eq!(Family::of(id), family, "{id}");
        }
    }
}
