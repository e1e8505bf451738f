//! What a model can do with thinking, told by its name, and what it is asked to do.
//!
//! Sources (2026-11): Google's pages on thinking (budgets of 2.5, levels from 3 on), on 3.5
//! Flash-Lite (penalties are refused), and the Gemini CLI's pull request 3033 (`includeThoughts`
//! without thinking is a 400).

use crate::dialect::Target;
use crate::dialect::ir::{Effort, Reasoning, Request};
use crate::dialect::json;

/// The longest completion of every thinking model, where the catalog does not say.
const DEFAULT_MAX_OUTPUT: u32 = 65_536;

/// What a model's name tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Major and minor version; none for names that say nothing.
    version: Option<(u32, u32)>,
    thinks: Thinks,
}

/// How a model's thinking is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinks {
    /// It does not think, or nothing is known of it.
    No,
    /// By a number of tokens in this range; 0 turns it off where `off`.
    Budget { min: u32, max: u32, off: bool, by_itself: bool },
    /// By a level, of which the lowest and highest are these; it cannot be turned off.
    Level { lowest: &'static str, medium: &'static str },
    /// As it likes.
    Always,
}

impl Model {
    /// Reads an upstream model's name.
    pub(super) fn named(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let version = version(&name);
        let has = |part: &str| name.contains(part);
        let thinks = match version {
            _ if has("tts") || has("audio") || has("live") => Thinks::No,
            Some((2, 5..)) if has("image") => Thinks::No,
            Some((2, 5..)) if has("pro") => {
                Thinks::Budget { min: 128, max: 32_768, off: false, by_itself: true }
            }
            Some((2, 5..)) if has("flash-lite") => {
                Thinks::Budget { min: 512, max: 24_576, off: true, by_itself: false }
            }
            Some((2, 5..)) => Thinks::Budget { min: 1, max: 24_576, off: true, by_itself: true },
            Some((3.., _)) if has("image") && has("pro") => Thinks::Always,
            Some((3.., _)) if has("image") => Thinks::Level { lowest: "minimal", medium: "high" },
            // The first 3 Pro knew low and high only.
            Some((3, 0)) if has("pro") => Thinks::Level { lowest: "low", medium: "high" },
            // Flash models from 3.7 on begin with low, too.
            Some(version) if version >= (3, 7) => Thinks::Level { lowest: "low", medium: "medium" },
            Some((3.., _)) if has("pro") => Thinks::Level { lowest: "low", medium: "medium" },
            Some((3.., _)) => Thinks::Level { lowest: "minimal", medium: "medium" },
            Some(_) | None => Thinks::No,
        };
        Self { version, thinks }
    }

    /// Whether it is of generation 3 or later. Those check thought signatures, match answers to
    /// calls by id, and take media inside a function's answer.
    pub(super) fn is_3_or_later(self) -> bool {
        self.version.is_some_and(|version| version >= (3, 0))
    }

    /// Whether it refuses tools together with a demand for JSON: all before generation 3 do.
    pub(super) fn refuses_json_with_tools(self) -> bool {
        self.version.is_some_and(|version| version < (3, 0))
    }

    /// Whether it takes penalties: from 3.5 on they are an error.
    pub(super) fn takes_penalties(self) -> bool {
        self.version.is_none_or(|version| version < (3, 5))
    }
}

/// The version in `gemini-3.5-flash`. The aliases `gemini-flash-latest` and its like stand for the
/// newest model, which is not older than 3.8.
fn version(name: &str) -> Option<(u32, u32)> {
    let rest = &name[name.find("gemini-")? + "gemini-".len()..];
    if rest.ends_with("-latest") && rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some((3, 8));
    }
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The longest completion to ask for, thinking included; none: the model's own limit.
pub(super) fn max_output_tokens(request: &Request, target: &Target<'_>) -> Option<u32> {
    let of_model = Some(target.max_output).filter(|max| *max > 0);
    let limits = [request.max_tokens, of_model, target.credit_limit];
    limits.into_iter().flatten().min().map(|max| max.max(1))
}

/// Appends `thinkingConfig` where there is something to set.
///
/// A level is a share of the completion for models with a budget (OpenRouter's table), held to the
/// range that Google allows; for models with levels it is the level, `none` being the lowest, and
/// a number of tokens goes on as such, which Google turns into a level. A model that does not
/// think is asked nothing.
pub(super) fn write(request: &Request, target: &Target<'_>, model: Model, out: &mut Vec<u8>) {
    let wish = wish(request.reasoning);
    let all = max_output_tokens(request, target).unwrap_or(DEFAULT_MAX_OUTPUT);
    let mut show = !request.hides_reasoning();
    let (mut budget, mut level) = (None, None);
    match (model.thinks, wish) {
        (Thinks::No, _) => return,
        (Thinks::Always, _) => {}
        (Thinks::Budget { by_itself, .. }, Wish::Default) => show &= by_itself,
        (Thinks::Budget { min, off, .. }, Wish::Effort(Effort::None)) => {
            budget = Some(if off { 0 } else { min });
            show &= !off;
        }
        (Thinks::Budget { min, max, .. }, Wish::Effort(effort)) => {
            let share = u64::from(all) * u64::from(effort.percent()) / 100;
            budget = Some(u32::try_from(share).unwrap_or(max).clamp(min, max));
        }
        (Thinks::Budget { min, max, .. }, Wish::Tokens(tokens)) => {
            // Some room is left for the answer.
            budget = Some(tokens.min(all.saturating_sub(1)).clamp(min, max));
        }
        (Thinks::Level { .. }, Wish::Default) => {}
        (Thinks::Level { .. }, Wish::Tokens(tokens)) => budget = Some(tokens),
        (Thinks::Level { lowest, medium }, Wish::Effort(effort)) => {
            level = Some(match effort {
                Effort::None | Effort::Minimal => lowest,
                Effort::Low if medium == "high" && lowest == "minimal" => lowest,
                Effort::Low => "low",
                Effort::Medium => medium,
                Effort::High | Effort::ExtraHigh | Effort::Max => "high",
            });
        }
    }
    if !show && budget.is_none() && level.is_none() {
        return;
    }
    json::key(out, "thinkingConfig");
    out.push(b'{');
    if show {
        json::key(out, "includeThoughts");
        out.extend_from_slice(b"true");
    }
    if let Some(budget) = budget {
        json::number_member(out, "thinkingBudget", u64::from(budget));
    }
    if let Some(level) = level {
        json::text_member(out, "thinkingLevel", level);
    }
    out.push(b'}');
}

/// What the client wants of thinking.
#[derive(Clone, Copy)]
enum Wish {
    Default,
    Effort(Effort),
    Tokens(u32),
}

fn wish(reasoning: Option<Reasoning>) -> Wish {
    match reasoning {
        Some(Reasoning { enabled: Some(false), .. }) => Wish::Effort(Effort::None),
        Some(Reasoning { max_tokens: Some(tokens), .. }) => Wish::Tokens(tokens),
        Some(Reasoning { effort: Some(effort), .. }) => Wish::Effort(effort),
        Some(Reasoning { enabled: Some(true), .. }) => Wish::Effort(Effort::Medium),
        Some(Reasoning { enabled: None, .. }) | None => Wish::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::read_request;

    fn config(model: &str, extra: &str, max_output: u32) -> String {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}]{extra}}}"#);
        let request = read_request(body.as_bytes()).unwrap();
        let target = Target::new(model, max_output);
        let mut out = Vec::new();
        write(&request, &target, Model::named(model), &mut out);
        String::from_utf8(out).unwrap().replace("\"thinkingConfig\":", "").replace('"', "")
    }

    #[test]
    fn thinking_follows_the_family() {
        let effort = |level: &str| format!(r#","reasoning_effort":"{level}""#);
        let reasoning = |members: &str| format!(r#","reasoning":{{{members}}}"#);
        let cases: Vec<(&str, String, &str)> = vec![
            ("gemini-2.0-flash", effort("high"), ""),
            ("gemma-3-27b", effort("high"), ""),
            ("gemini-2.5-flash-image", effort("high"), ""),
            ("gemini-2.5-flash-preview-tts", effort("high"), ""),
            ("gemini-2.5-pro", String::new(), "{includeThoughts:true}"),
            ("gemini-2.5-pro", effort("none"), "{includeThoughts:true,thinkingBudget:128}"),
            ("gemini-2.5-pro", effort("high"), "{includeThoughts:true,thinkingBudget:8000}"),
            ("gemini-2.5-pro", reasoning("\"exclude\":true"), ""),
            (
                "gemini-2.5-pro",
                reasoning("\"exclude\":true,\"effort\":\"low\""),
                "{thinkingBudget:2000}",
            ),
            (
                "gemini-2.5-pro",
                reasoning("\"max_tokens\":99999"),
                "{includeThoughts:true,thinkingBudget:9999}",
            ),
            (
                "models/gemini-2.5-flash",
                reasoning("\"enabled\":true"),
                "{includeThoughts:true,thinkingBudget:5000}",
            ),
            ("gemini-2.5-flash", reasoning("\"enabled\":false"), "{thinkingBudget:0}"),
            ("gemini-2.5-flash-lite", String::new(), ""),
            (
                "gemini-2.5-flash-lite",
                reasoning("\"max_tokens\":1"),
                "{includeThoughts:true,thinkingBudget:512}",
            ),
            ("gemini-3-pro-preview", effort("medium"), "{includeThoughts:true,thinkingLevel:high}"),
            ("gemini-3.1-pro-preview", effort("none"), "{includeThoughts:true,thinkingLevel:low}"),
            (
                "gemini-3.1-pro-preview",
                effort("medium"),
                "{includeThoughts:true,thinkingLevel:medium}",
            ),
            (
                "gemini-3-flash-preview",
                effort("none"),
                "{includeThoughts:true,thinkingLevel:minimal}",
            ),
            ("gemini-3.7-flash", effort("minimal"), "{includeThoughts:true,thinkingLevel:low}"),
            ("gemini-3.5-flash", effort("xhigh"), "{includeThoughts:true,thinkingLevel:high}"),
            ("gemini-4-flash", effort("max"), "{includeThoughts:true,thinkingLevel:high}"),
            ("gemini-flash-latest", effort("low"), "{includeThoughts:true,thinkingLevel:low}"),
            (
                "gemini-3-flash-preview",
                reasoning("\"max_tokens\":2048"),
                "{includeThoughts:true,thinkingBudget:2048}",
            ),
            (
                "gemini-3.1-flash-image",
                effort("low"),
                "{includeThoughts:true,thinkingLevel:minimal}",
            ),
            ("gemini-3-pro-image", effort("low"), "{includeThoughts:true}"),
        ];
        for (model, extra, expected) in cases {
            assert_eq!(config(model, &extra, 10_000), expected, "{model} {extra}");
        }
        let unknown = config("gemini-2.5-flash", r#","reasoning_effort":"high""#, 0);
        assert_eq!(unknown, "{includeThoughts:true,thinkingBudget:24576}");
    }

    #[test]
    fn names_tell_the_version() {
        for (name, expected) in [
            ("gemini-2.5-pro", Some((2, 5))),
            ("publishers/google/models/gemini-3.1-pro-preview", Some((3, 1))),
            ("gemini-3-flash", Some((3, 0))),
            ("gemini-12.34x", Some((12, 34))),
            ("gemini-pro-latest", Some((3, 8))),
            ("gemini-robotics-er-1.5", None),
            ("gemini-99999999999999.1", None),
            ("endpoints/123", None),
            ("gemini-", None),
        ] {
            assert_eq!(Model::named(name).version, expected, "{name}");
        }
    }
}
