//! How many tokens a message may have, and how many of them are for thinking.
//!
//! Anthropic wants a budget of at least 1024 tokens that is below `max_tokens`; OpenRouter derives
//! it from a level as a share of `max_tokens` (2026-08).

use crate::dialect::ir::{Effort, Message, Reasoning, Request, ToolChoice};
use crate::dialect::{Surface, Target};

/// The smallest budget that Anthropic accepts, in tokens.
const BUDGET_MIN: u32 = 1024;
/// The largest budget that OpenRouter asks for, in tokens.
const BUDGET_MAX: u32 = 128_000;
/// `max_tokens` where neither the client nor the catalog has an opinion.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// What is sent as `max_tokens` and `thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) struct Limits {
    pub(in crate::dialect) max_tokens: u32,
    pub(in crate::dialect) thinking: Option<Thinking>,
}

/// How the model is to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Thinking {
    /// Within so many tokens.
    Budget(u32),
    /// When and as much as it likes: a client of Messages can ask for that, and the newest models
    /// think in no other way.
    Adaptive,
}

impl Limits {
    /// Whether the model is to think.
    pub(in crate::dialect) const fn thinks(self) -> bool {
        self.thinking.is_some()
    }
}

/// The most completion tokens that this request can use at this target, thinking included: what a
/// hold must cover. It can be more than the client's own `max_tokens`, which is raised where the
/// smallest thinking budget would leave no room for an answer.
pub fn completion_limit(request: &Request, target: &Target<'_>) -> u32 {
    limits(request, target).max_tokens
}

/// The longest completion that target and credit allow.
fn ceiling(target: &Target<'_>) -> u32 {
    let of_model = if target.max_output == 0 { u32::MAX } else { target.max_output };
    of_model.min(target.credit_limit.unwrap_or(u32::MAX)).max(1)
}

/// `max_tokens` without regard to thinking.
pub(in crate::dialect) fn max_tokens(request: &Request, target: &Target<'_>) -> u32 {
    let default = if target.max_output == 0 { DEFAULT_MAX_TOKENS } else { target.max_output };
    request.max_tokens.unwrap_or(default).min(ceiling(target))
}

pub(in crate::dialect) fn limits(request: &Request, target: &Target<'_>) -> Limits {
    let ceiling = ceiling(target);
    let max_tokens = max_tokens(request, target);
    let plain = Limits { max_tokens, thinking: None };
    if request.surface == Surface::Messages && asks_for_no_budget(request.reasoning) {
        let thinking = may_adapt(request).then_some(Thinking::Adaptive);
        return Limits { thinking, ..plain };
    }
    let Some(wanted) = wanted_budget(request, max_tokens) else { return plain };
    if knows_no_budget(target.upstream_model) {
        return Limits { thinking: Some(Thinking::Adaptive), ..plain };
    }
    if wanted < max_tokens {
        return Limits { thinking: Some(Thinking::Budget(wanted)), ..plain };
    }
    // Room for the answer comes on top of the budget, up to the ceiling; what the ceiling cuts is
    // cut from the budget.
    let raised = wanted.saturating_add(max_tokens).min(ceiling);
    let budget = wanted.min(raised.saturating_sub(1));
    if budget < BUDGET_MIN {
        return plain;
    }
    Limits { max_tokens: raised, thinking: Some(Thinking::Budget(budget)) }
}

/// Whether a model refuses a budget: Claude from 4.7 on thinks as much as its effort says (AWS,
/// "Adaptive thinking", 2026-11). Ids are Anthropic's, Vertex AI's or Bedrock's.
fn knows_no_budget(model: &str) -> bool {
    let name = model.rsplit_once("claude-").map(|(_, name)| name);
    name.and_then(version).is_some_and(|version| version >= (4, 7))
}

/// Whether a model goes on with a turn of its own that is the last of a conversation: Claude from
/// 4.6 on answers that with 400 (Anthropic, "Prefill Claude's response", 2026-11).
pub fn takes_prefill(model: &str) -> bool {
    let Some((_, name)) = model.rsplit_once("claude-") else { return false };
    version(name).is_none_or(|version| version < (4, 6))
}

/// The version of a model that is named by its size first; those named otherwise are older, and
/// newer families have names of their own, which count as the latest.
fn version(name: &str) -> Option<(u32, u32)> {
    let mut words = name.split(['-', '@', ':']);
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<u32>().ok());
    match words.next() {
        Some("mythos" | "fable") => Some((u32::MAX, 0)),
        Some("opus" | "sonnet" | "haiku") => {
            let major = number(words.next()).unwrap_or(0);
            // What is longer is a date.
            let minor = number(words.next()).filter(|minor| *minor < 100).unwrap_or(0);
            Some((major, minor))
        }
        _ => None,
    }
}

/// The effort to ask for: the word of a client of Messages, and where the model thinks as much as
/// its effort says, what another client's level or number of tokens comes to.
pub(in crate::dialect) fn effort(request: &Request, limits: Limits) -> Option<&'static str> {
    let reasoning = request.reasoning?;
    if request.surface == Surface::Messages {
        return reasoning.effort.map(Effort::as_str);
    }
    if limits.thinking != Some(Thinking::Adaptive) {
        return None;
    }
    let least = |effort| share(limits.max_tokens, effort);
    match (reasoning.max_tokens.map(u64::from), reasoning.effort) {
        (Some(tokens), _) if tokens <= least(Effort::Low) => Some("low"),
        (Some(tokens), _) if tokens <= least(Effort::Medium) => Some("medium"),
        (Some(_), _) => Some("high"),
        (None, Some(Effort::Minimal)) => Some("low"),
        (None, effort) => effort.map(Effort::as_str),
    }
}

/// Whether a client of Messages leaves the number of tokens to the model, or asks for no thinking.
fn asks_for_no_budget(reasoning: Option<Reasoning>) -> bool {
    reasoning.is_none_or(|reasoning| reasoning.max_tokens.is_none())
}

/// Whether thinking that is left to the model was asked for, and is possible: it needs no signed
/// reasoning to go on with.
fn may_adapt(request: &Request) -> bool {
    let asked = request.reasoning.is_some_and(|reasoning| reasoning.enabled == Some(true));
    let prefills = matches!(request.messages.last(), Some(Message::Assistant(_)));
    asked && !prefills && !forces_call(request)
}

/// The budget that was asked for, if the conversation allows thinking.
fn wanted_budget(request: &Request, max_tokens: u32) -> Option<u32> {
    let budget = match request.reasoning? {
        Reasoning { enabled: Some(false), .. } | Reasoning { effort: Some(Effort::None), .. } => {
            return None;
        }
        Reasoning { max_tokens: Some(tokens), .. } => u64::from(tokens),
        Reasoning { effort: Some(effort), .. } => share(max_tokens, effort),
        Reasoning { enabled: Some(true), .. } => share(max_tokens, Effort::Medium),
        Reasoning { .. } => return None,
    };
    let budget = u32::try_from(budget).unwrap_or(BUDGET_MAX).clamp(BUDGET_MIN, BUDGET_MAX);
    (!forces_call(request) && !forbids_thinking(&request.messages)).then_some(budget)
}

fn share(max_tokens: u32, effort: Effort) -> u64 {
    u64::from(max_tokens) * u64::from(effort.percent()) / 100
}

/// Anthropic refuses thinking together with a call that must be made; the caller's code depends on
/// the call, so it is the thinking that goes.
fn forces_call(request: &Request) -> bool {
    matches!(
        request.tool_choice,
        Some(
            ToolChoice::Required
                | ToolChoice::Named(_)
                | ToolChoice::Allowed { required: true, .. }
        )
    )
}

/// Anthropic refuses thinking where the model is to go on with its own turn: after a prefill, and
/// after calls whose signed reasoning the client did not hand back.
fn forbids_thinking(messages: &[Message]) -> bool {
    let said = messages.iter().rev().find(|message| {
        // Instructions are moved to the front.
        !matches!(message, Message::Tool { .. } | Message::System { .. })
    });
    match said {
        Some(Message::Assistant(turn)) => {
            turn.tool_calls.is_empty() || !turn.reasoning.iter().any(super::blocks::can_be_replayed)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::read_request;

    fn limits_of(extra: &str, max_output: u32, credit_limit: Option<u32>) -> (u32, Option<u32>) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}]{extra}}}"#);
        let request = read_request(body.as_bytes()).unwrap();
        let target = Target { credit_limit, ..Target::new("m", max_output) };
        let limits = limits(&request, &target);
        assert_eq!(completion_limit(&request, &target), limits.max_tokens);
        match limits.thinking {
            Some(Thinking::Budget(budget)) => (limits.max_tokens, Some(budget)),
            None => (limits.max_tokens, None),
            Some(Thinking::Adaptive) => panic!("not from chat"),
        }
    }

    #[test]
    fn the_newest_models_take_no_prefill() {
        for (model, takes) in [
            ("claude-3-5-sonnet-20241022", true),
            ("claude-sonnet-4-20250514", true),
            ("claude-haiku-4-5@20251001", true),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", true),
            ("claude-opus-4-6", false),
            ("claude-sonnet-5", false),
            ("claude-mythos-1", false),
            ("some-deployment", false),
        ] {
            assert_eq!(takes_prefill(model), takes, "{model}");
        }
    }

    #[test]
    fn the_newest_models_know_no_budget() {
        for (model, expected) in [
            ("claude-opus-4-7", true),
            ("us.anthropic.claude-opus-4-8-v1:0", true),
            ("claude-sonnet-5@20260601", true),
            ("anthropic.claude-fable-5-1", true),
            ("claude-opus-4-6", false),
            ("claude-sonnet-4-20250514", false),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", false),
            ("claude-3-7-sonnet-latest", false),
            ("m", false),
        ] {
            assert_eq!(knows_no_budget(model), expected, "{model}");
        }
    }

    #[test]
    fn limits_follow_the_rules() {
        type Case = (&'static str, u32, Option<u32>, (u32, Option<u32>));
        let cases: [Case; 17] = [
            ("", 8192, None, (8192, None)),
            ("", 0, None, (4096, None)),
            ("", 8192, Some(500), (500, None)),
            ("", 0, Some(9000), (4096, None)),
            (r#","max_tokens":50"#, 8192, None, (50, None)),
            (r#","max_tokens":9000"#, 8192, None, (8192, None)),
            (r#","max_tokens":50,"max_completion_tokens":60"#, 8192, None, (60, None)),
            (r#","reasoning_effort":"high","max_tokens":10000"#, 0, None, (10000, Some(8000))),
            (r#","reasoning":{"enabled":true},"max_tokens":10000"#, 0, None, (10000, Some(5000))),
            (r#","reasoning_effort":"max","max_tokens":500000"#, 0, None, (500_000, Some(128_000))),
            (r#","reasoning_effort":"minimal","max_tokens":2000"#, 0, None, (2000, Some(1024))),
            // No room for an answer: raised, up to the ceiling.
            (r#","reasoning_effort":"low","max_tokens":50"#, 8192, None, (1074, Some(1024))),
            (
                r#","reasoning":{"max_tokens":6000},"max_tokens":4000"#,
                8192,
                None,
                (8192, Some(6000)),
            ),
            (r#","reasoning":{"max_tokens":9000}"#, 8192, None, (8192, Some(8191))),
            // Credit for less than the smallest budget: no thinking.
            (r#","reasoning_effort":"high""#, 8192, Some(1024), (1024, None)),
            (r#","reasoning_effort":"none""#, 8192, None, (8192, None)),
            (r#","reasoning":{"exclude":true}"#, 8192, None, (8192, None)),
        ];
        for (extra, max_output, credit, expected) in cases {
            assert_eq!(limits_of(extra, max_output, credit), expected, "{extra} {max_output}");
        }
    }
}
