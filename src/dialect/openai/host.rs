//! How OpenAI-like hosts depart from OpenAI, as data: what a row can say. The rows are in
//! [`super::hosts`].

use super::hosts;
use crate::dialect::ir::Effort;
use crate::dialect::scan::Notes;

/// What a host departs in.
#[derive(Debug)]
pub struct Host {
    /// The name as written in the config.
    pub name: &'static str,
    /// The ends of host names that tell it.
    pub domains: &'static [&'static str],
    /// What it calls the longest completion.
    pub limit: Limit,
    /// How it is told how much to think.
    pub thinking: Thinking,
    /// How reasoning of earlier turns is handed back.
    pub replay: Replay,
    /// How it is told to go on with a turn of the model's own.
    pub prefill: Prefill,
    /// How log probabilities are asked for.
    pub logprobs: Logprobs,
    /// What kinds of pieces a message has.
    pub pieces: Pieces,
    /// Top-level members that it does not take and that can be left out, with
    /// [`Notes::UNKNOWN`] for all that no list knows.
    pub drops: Notes,
    /// Members that it takes although no list of ours knows them; see [`Notes::UNKNOWN`].
    pub knows: &'static [&'static str],
    /// What cannot be left out, and is refused: `n`, `tools`, kinds of media.
    pub refuses: Notes,
    /// What it calls `seed`.
    pub seed: &'static str,
    /// The tiers of service that it knows; none: whatever is asked for.
    pub tiers: Option<&'static [&'static str]>,
    /// What it calls the choice of any tool.
    pub any_tool: &'static str,
    /// It knows `tool_choice: {type: allowed_tools}`.
    pub allowed_tools: bool,
    /// It knows the role `developer`.
    pub developer: bool,
    /// Messages may have a `name`.
    pub names: bool,
    /// It knows `stream_options`.
    pub stream_options: bool,
    /// It knows `response_format: json_schema`.
    pub schemas: bool,
    /// It takes `cache_control`.
    pub cache: bool,
    /// It knows parts of the type `refusal`.
    pub refusals: bool,
    /// Documents may be anywhere on the web, and need no name.
    pub file_urls: bool,
    /// Content of text only must be one string.
    pub joins_text: bool,
    /// Roles must alternate, and the last message must not be the model's.
    pub alternates: bool,
    /// Ids of tool calls have 9 letters and digits.
    pub short_ids: bool,
    /// The highest temperature.
    pub temperature_max: f64,
    /// The most stop sequences.
    pub stop_max: usize,
    /// Reasoning may come inside the text, between `<think>` and `</think>`.
    pub think_tags: bool,
    /// `completion_tokens` leaves out the reasoning.
    pub reasoning_beside: bool,
    /// A body that has some of this cannot pass. Made by [`Host::sealed`].
    pub(super) diverts: Notes,
}

/// The name of the token limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is written.
    pub name: &'static str,
    /// The other name is not taken, or has no effect.
    pub only: bool,
}

impl Limit {
    pub(super) const TOKENS: Self = Self { name: "max_tokens", only: false };
    pub(super) const TOKENS_ONLY: Self = Self { name: "max_tokens", only: true };
    pub(super) const COMPLETION: Self = Self { name: "max_completion_tokens", only: false };
    pub(super) const COMPLETION_ONLY: Self = Self { name: "max_completion_tokens", only: true };
}

/// How a host is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// `reasoning_effort` for a plain level, and OpenRouter's object for more.
    Either,
    /// OpenRouter's object `reasoning`.
    Object,
    /// `reasoning_effort`: one of these, in ascending order.
    Effort(&'static [Effort]),
    /// `thinking: {"type": "enabled"}` or `disabled`.
    Switch,
    /// `enable_thinking` and `thinking_budget`.
    Flag,
    /// `chat_template_kwargs: {"enable_thinking": …}`, and `reasoning_effort` from low to high.
    Template,
    /// It is the model's own affair.
    Fixed,
}

/// How reasoning of earlier turns is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Not at all.
    Never,
    /// `reasoning_content`, and `reasoning_details` where that does not say it all.
    Either,
    /// OpenRouter's `reasoning_details`.
    Details,
    /// A text of this name.
    Text(&'static str),
    /// A text of this name, in turns that called tools since the user spoke last.
    InToolLoop(&'static str),
    /// Before the text, between `<think>` and `</think>`.
    Tags,
    /// As a piece of the type `thinking`.
    Piece,
}

/// How a host is told to go on with the model's own turn, if it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefill {
    /// It does, or does not, without being told.
    Plain,
    /// By this member of the message, which is true.
    Flag(&'static str),
    /// `continue_final_message: true, add_generation_prompt: false`.
    Continue,
    /// It refuses.
    Never,
}

/// How log probabilities are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logprobs {
    /// `logprobs: true, top_logprobs: 3`.
    Flag,
    /// `logprobs: 3`.
    Count,
}

/// What kinds of pieces a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// OpenAI's: `file`, `input_audio` with a format.
    OpenAi,
    /// Mistral's: `document_url`, `input_audio` as a plain text.
    Mistral,
}

/// The members that ask for reasoning.
const ASKS_TO_THINK: Notes =
    Notes::members(&["reasoning", "reasoning_effort", "include_reasoning"]);

impl Host {
    /// A host that takes everything as OpenAI's form has it.
    pub const GENERIC: Self = Self {
        name: "generic",
        domains: &[],
        limit: Limit::TOKENS,
        thinking: Thinking::Either,
        replay: Replay::Either,
        prefill: Prefill::Plain,
        logprobs: Logprobs::Flag,
        pieces: Pieces::OpenAi,
        drops: Notes::NONE,
        knows: &[],
        refuses: Notes::NONE,
        seed: "seed",
        tiers: None,
        any_tool: "required",
        allowed_tools: true,
        developer: true,
        names: true,
        stream_options: true,
        schemas: true,
        cache: true,
        refusals: true,
        file_urls: true,
        joins_text: false,
        alternates: false,
        short_ids: false,
        temperature_max: 2.0,
        stop_max: usize::MAX,
        think_tags: false,
        reasoning_beside: false,
        diverts: Notes::NONE,
    };

    /// What most hosts have in common that are no OpenAI: the members that OpenAI and OpenRouter
    /// alone know are left out.
    pub(super) const COMMON: Self = Self {
        replay: Replay::Never,
        drops: Notes::members(&[
            "cache_control",
            "include_reasoning",
            "modalities",
            "prompt_cache_retention",
            "reasoning",
            "safety_identifier",
            "store",
            "top_a",
            "verbosity",
            "web_search_options",
        ]),
        allowed_tools: false,
        developer: false,
        cache: false,
        refusals: false,
        ..Self::GENERIC
    };

    /// Every host that is known.
    pub const ALL: &'static [&'static Self] = hosts::ALL;

    /// The host of this name.
    pub fn parse(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|host| host.name == name)
    }

    /// The host that a base URL's host name tells, or [`Host::GENERIC`].
    pub fn of_domain(domain: &str) -> &'static Self {
        let tells = |end: &&str| domain == *end || domain.ends_with(&format!(".{end}"));
        let found = Self::ALL.iter().copied().find(|host| host.domains.iter().any(tells));
        found.unwrap_or(&Self::GENERIC)
    }

    /// What a body must not have, so that it can pass to this host as it is.
    pub const fn diverts(&self) -> Notes {
        self.diverts
    }

    /// What in a body makes that the answer's bytes cannot pass either: that reasoning is to stay
    /// hidden is the gateway's business where the host does not know the word.
    pub const fn hides(&self) -> Notes {
        let knows = matches!(self.thinking, Thinking::Either | Thinking::Object);
        Notes::members(&["reasoning", "include_reasoning"]).when(!knows)
    }

    /// Whether it takes this top-level member.
    pub(super) fn takes(&self, name: &str) -> bool {
        !self.drops.meets(Notes::member(name.as_bytes())) || self.knows.contains(&name)
    }

    /// The row with what follows from it.
    pub(super) const fn sealed(mut self) -> Self {
        let effort = match self.thinking {
            Thinking::Either | Thinking::Object => Notes::NONE,
            Thinking::Effort(levels) if levels.len() == Effort::NAMES.len() => {
                Notes::members(&["reasoning", "include_reasoning"])
            }
            _ => ASKS_TO_THINK,
        };
        let replays = matches!(self.replay, Replay::Either | Replay::Details);
        self.diverts = self
            .drops
            .and(self.refuses)
            .and(effort)
            .and(Notes::REPLAY.when(!replays))
            .and(Notes::PREFILL.when(!matches!(self.prefill, Prefill::Plain)))
            .and(Notes::members(&["logprobs"]).when(matches!(self.logprobs, Logprobs::Count)))
            .and(Notes::DEVELOPER.when(!self.developer))
            .and(Notes::NAME.when(!self.names))
            .and(Notes::members(&["service_tier"]).when(self.tiers.is_some()))
            .and(Notes::members(&["stream"]).when(!self.stream_options))
            .and(Notes::members(&["response_format"]).when(!self.schemas))
            .and(Notes::MARK.when(!self.cache))
            .and(Notes::members(&["temperature"]).when(self.temperature_max < 2.0))
            .and(Notes::members(&["stop"]).when(self.stop_max < 4))
            .and(Notes::ANY.when(self.alternates || self.short_ids));
        self
    }
}
