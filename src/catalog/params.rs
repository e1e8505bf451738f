//! Request parameters that an endpoint takes: OpenRouter's vocabulary of `supported_parameters`
//! (its models API, read 2026-09), as a set of bits.

macro_rules! params {
    ($($name:ident $text:literal $doc:literal,)*) => {
        /// A request parameter that not every endpoint takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Param {
            $(#[doc = $doc] $name,)*
        }

        impl Param {
            /// All of them, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in requests and listings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

params! {
    Temperature "temperature" "How freely tokens are drawn.",
    TopP "top_p" "Draw from the most likely tokens of this total probability.",
    TopK "top_k" "Draw from this many most likely tokens.",
    MinP "min_p" "Draw from tokens at least this likely beside the likeliest.",
    TopA "top_a" "As `min_p`, by the square of the likeliest.",
    FrequencyPenalty "frequency_penalty" "Against tokens, by how often they came.",
    PresencePenalty "presence_penalty" "Against tokens that came at all.",
    RepetitionPenalty "repetition_penalty" "Against tokens of prompt and answer.",
    MaxTokens "max_tokens" "A limit on the answer's tokens.",
    MaxCompletionTokens "max_completion_tokens" "The same, by OpenAI's newer name.",
    LogitBias "logit_bias" "For and against single tokens.",
    Logprobs "logprobs" "Log probabilities of the answer's tokens.",
    TopLogprobs "top_logprobs" "Those of the tokens that might have been.",
    Prediction "prediction" "Text that is expected in the answer.",
    Seed "seed" "Draws that can be repeated.",
    ResponseFormat "response_format" "An answer in JSON.",
    StructuredOutputs "structured_outputs" "An answer that follows a JSON schema.",
    Stop "stop" "Texts that end the answer.",
    Tools "tools" "Functions that the model may call.",
    ToolChoice "tool_choice" "Whether and which functions are called.",
    ParallelToolCalls "parallel_tool_calls" "Whether several may be called at once.",
    IncludeReasoning "include_reasoning" "Whether reasoning is shown, by its old name.",
    Reasoning "reasoning" "Whether, how much, and how shown the model reasons.",
    ReasoningEffort "reasoning_effort" "How much it reasons, by OpenAI's name.",
    WebSearchOptions "web_search_options" "The provider's own web search.",
    Verbosity "verbosity" "How long-winded the answer is.",
}

impl Param {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|param| param.as_str() == name)
    }

    const fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// A set of parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params(u64);

impl Params {
    /// No parameter.
    pub const NONE: Self = Self(0);

    /// The set of these.
    pub const fn of(params: &[Param]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < params.len() {
            bits |= params[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// Adds one.
    pub const fn insert(&mut self, param: Param) {
        self.0 |= param.bit();
    }

    /// Whether it is in the set.
    pub const fn contains(self, param: Param) -> bool {
        self.0 & param.bit() != 0
    }

    /// Whether all of the others are in the set.
    pub const fn contains_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The parameters, in the order of [`Param::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Param> + Clone {
        Param::ALL.iter().copied().filter(move |param| self.contains(*param))
    }
}

impl FromIterator<Param> for Params {
    fn from_iter<I: IntoIterator<Item = Param>>(params: I) -> Self {
        let mut set = Self::NONE;
        params.into_iter().for_each(|param| set.insert(param));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_fit_the_set() {
        assert!(Param::ALL.len() <= 64, "a bit for each");
        for param in Param::ALL {
            assert_eq!(Param::parse(param.as_str()), Some(*param));
        }
        assert_eq!(Param::parse("max_output_tokens"), None);
        let all: Params = Param::ALL.iter().copied().collect();
        assert!(all.iter().eq(Param::ALL.iter().copied()), "each has a bit of its own");
    }

    #[test]
    fn sets_are_sets() {
        let few = Params::of(&[Param::Seed, Param::Tools]);
        let more = few.union(Params::of(&[Param::Stop]));
        assert!(more.contains_all(few) && !few.contains_all(more));
        assert!(few.contains(Param::Seed) && !few.contains(Param::Stop));
        assert!(more.without(few).iter().eq([Param::Stop]));
        assert!(Params::NONE.is_empty() && few.contains_all(Params::NONE));
    }
}
