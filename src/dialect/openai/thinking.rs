//! How much the model is to think, in each host's words.

use super::host::{Host, Thinking};
use super::message::raw_member;
use crate::dialect::Target;
use crate::dialect::ir::{Effort, Reasoning, Request};
use crate::dialect::json;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Off,
    Level(Effort),
    /// So many tokens.
    Budget(u32),
}

/// Writes the members that ask for reasoning. That it is to stay hidden is the gateway's business,
/// save where the host knows the word.
pub(super) fn write_thinking(
    request: &Request,
    host: &Host,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) {
    let Some(reasoning) = &request.reasoning else { return };
    match host.thinking {
        Thinking::Either => {
            let short = Reasoning { effort: reasoning.effort, ..Reasoning::default() };
            match reasoning.effort {
                Some(effort) if *reasoning == short => {
                    json::text_member(out, "reasoning_effort", effort.as_str());
                }
                _ => write_object(reasoning, out),
            }
        }
        Thinking::Object => write_object(reasoning, out),
        Thinking::Fixed => {}
        Thinking::Effort(_) | Thinking::Switch | Thinking::Flag | Thinking::Template => {
            if let Some(wanted) = wanted(reasoning) {
                write_wanted(wanted, request, host, target, out);
            }
        }
    }
}

fn wanted(reasoning: &Reasoning) -> Option<Wanted> {
    Some(match reasoning {
        Reasoning { enabled: Some(false), .. } | Reasoning { effort: Some(Effort::None), .. } => {
            Wanted::Off
        }
        Reasoning { max_tokens: Some(tokens), .. } => Wanted::Budget(*tokens),
        Reasoning { effort: Some(effort), .. } => Wanted::Level(*effort),
        Reasoning { enabled: Some(true), .. } => Wanted::Level(Effort::Medium),
        Reasoning { .. } => return None,
    })
}

fn write_wanted(
    wanted: Wanted,
    request: &Request,
    host: &Host,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) {
    let on = wanted != Wanted::Off;
    // What the client says in the host's own words goes before.
    let free = |name: &str| !super::write::client_says(request, name);
    match host.thinking {
        Thinking::Effort(levels) => {
            let level = nearest(level(wanted, request, target), levels);
            json::text_member(out, "reasoning_effort", level.as_str());
        }
        Thinking::Switch if free("thinking") => {
            let kind = if on { r#"{"type":"enabled"}"# } else { r#"{"type":"disabled"}"# };
            raw_member(out, "thinking", kind);
        }
        Thinking::Flag if free("enable_thinking") => {
            raw_member(out, "enable_thinking", if on { "true" } else { "false" });
            if let (Wanted::Budget(tokens), true) = (wanted, free("thinking_budget")) {
                json::number_member(out, "thinking_budget", u64::from(tokens));
            }
        }
        Thinking::Template => {
            if on {
                let levels = &[Effort::Low, Effort::Medium, Effort::High];
                let level = nearest(level(wanted, request, target), levels);
                json::text_member(out, "reasoning_effort", level.as_str());
            }
            if free("chat_template_kwargs") {
                let on = if on { "true" } else { "false" };
                json::key(out, "chat_template_kwargs");
                out.push(b'{');
                raw_member(out, "enable_thinking", on);
                out.push(b'}');
            }
        }
        Thinking::Switch
        | Thinking::Flag
        | Thinking::Either
        | Thinking::Object
        | Thinking::Fixed => {}
    }
}

fn write_object(reasoning: &Reasoning, out: &mut Vec<u8>) {
    json::key(out, "reasoning");
    out.push(b'{');
    if let Some(effort) = reasoning.effort {
        json::text_member(out, "effort", effort.as_str());
    }
    if let Some(tokens) = reasoning.max_tokens {
        json::number_member(out, "max_tokens", u64::from(tokens));
    }
    if reasoning.exclude {
        raw_member(out, "exclude", "true");
    }
    if let Some(enabled) = reasoning.enabled {
        raw_member(out, "enabled", if enabled { "true" } else { "false" });
    }
    out.push(b'}');
}

/// The level that says the same: a budget is judged by its share of the longest completion, as
/// OpenRouter derives budgets from levels.
fn level(wanted: Wanted, request: &Request, target: &Target<'_>) -> Effort {
    let tokens = match wanted {
        Wanted::Off => return Effort::None,
        Wanted::Level(level) => return level,
        Wanted::Budget(tokens) => u64::from(tokens),
    };
    let of_model = Some(target.max_output).filter(|max| *max > 0);
    let Some(limit) = request.max_tokens.or(of_model).filter(|max| *max > 0) else {
        return Effort::Medium;
    };
    let percent = tokens.saturating_mul(100) / u64::from(limit);
    let far = |level: Effort| u64::from(level.percent()).abs_diff(percent);
    const LEVELS: [Effort; 5] =
        [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::ExtraHigh];
    LEVELS.into_iter().min_by_key(|level| far(*level)).unwrap_or(Effort::Medium)
}

/// The nearest level that the host knows; of two, the lower. Who wants thinking gets some.
fn nearest(wanted: Effort, levels: &[Effort]) -> Effort {
    let place = |level: Effort| Effort::NAMES.iter().position(|(_, known)| *known == level);
    let far = |level: &Effort| place(*level).unwrap_or(0).abs_diff(place(wanted).unwrap_or(0));
    let thinks = |level: &&Effort| wanted == Effort::None || **level != Effort::None;
    levels.iter().filter(thinks).min_by_key(|level| far(level)).copied().unwrap_or(wanted)
}
