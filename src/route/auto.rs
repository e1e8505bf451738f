//! `turnpike/auto`: a model that is no model but a choice, by rules that the operator states.
//!
//! The rules are looked at in their order; the first of which every condition holds names the
//! models. There is no guessing: a request's length, tools, pictures, code and price limit are all
//! that is looked at, so that everybody can say beforehand where a request will go.

use crate::vocab::PicoUsd;

/// The names of the choice; the second is OpenRouter's.
pub const NAMES: [&str; 2] = ["turnpike/auto", "openrouter/auto"];

/// One rule. A condition that is `None` always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The models, the first choice first; at least one.
    pub models: Vec<String>,
    /// Only prompts of at least this many tokens.
    pub prompt_tokens_min: Option<u64>,
    /// Only prompts of at most this many tokens.
    pub prompt_tokens_max: Option<u64>,
    /// Only requests with tools, or only those without.
    pub tools: Option<bool>,
    /// Only requests with pictures, or only those without.
    pub images: Option<bool>,
    /// Only requests with code in them, or only those without.
    pub code: Option<bool>,
    /// Only callers who pay at most this much per input token (`provider.max_price.prompt`).
    pub price_max: Option<PicoUsd>,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Tokens in the prompt.
    pub prompt_tokens: u64,
    /// It has tools.
    pub tools: bool,
    /// It has pictures.
    pub images: bool,
    /// It has code.
    pub code: bool,
    /// The most that the caller pays per input token, if the caller says so.
    pub price_max: Option<PicoUsd>,
}

impl Rule {
    /// Whether every condition holds.
    pub fn holds(&self, traits: &Traits) -> bool {
        let is = |wanted: Option<bool>, has: bool| wanted.is_none_or(|wanted| wanted == has);
        self.prompt_tokens_min.is_none_or(|min| traits.prompt_tokens >= min)
            && self.prompt_tokens_max.is_none_or(|max| traits.prompt_tokens <= max)
            && is(self.tools, traits.tools)
            && is(self.images, traits.images)
            && is(self.code, traits.code)
            && self.price_max.is_none_or(|max| traits.price_max.is_some_and(|paid| paid <= max))
    }
}

/// The models for a request; `None` if no rule fits.
pub fn choose<'a>(rules: &'a [Rule], traits: &Traits) -> Option<&'a [String]> {
    rules.iter().find(|rule| rule.holds(traits)).map(|rule| rule.models.as_slice())
}

/// The suffixes of a name that is the choice; `None` if it is a model's.
pub fn suffixes(name: &str) -> Option<&str> {
    let rest = NAMES.iter().find_map(|own| name.strip_prefix(own))?;
    (rest.is_empty() || rest.starts_with(':')).then_some(rest)
}

/// Whether a prompt has code in it: a fence as Markdown has it.
pub fn has_code(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"```").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(model: &str) -> Rule {
        Rule { models: vec![model.to_owned()], ..Rule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            Rule { images: Some(true), ..rule("sees") },
            Rule { prompt_tokens_min: Some(10_000), ..rule("long") },
            Rule { tools: Some(true), code: Some(false), ..rule("calls") },
            Rule { code: Some(true), prompt_tokens_max: Some(500), ..rule("snippets") },
            Rule { price_max: Some(PicoUsd(100)), ..rule("cheap") },
            rule("else"),
        ];
        let plain = Traits { prompt_tokens: 100, ..Traits::default() };
        for (traits, model) in [
            (plain, "else"),
            (Traits { images: true, tools: true, ..plain }, "sees"),
            (Traits { prompt_tokens: 10_000, tools: true, ..plain }, "long"),
            (Traits { prompt_tokens: 9_999, tools: true, ..plain }, "calls"),
            (Traits { tools: true, code: true, ..plain }, "snippets"),
            (Traits { prompt_tokens: 501, code: true, ..plain }, "else"),
            (Traits { price_max: Some(PicoUsd(100)), ..plain }, "cheap"),
            (Traits { price_max: Some(PicoUsd(101)), ..plain }, "else"),
        ] {
            assert_eq!(choose(&rules, &traits), Some(&[model.to_owned()][..]), "{traits:?}");
        }
        assert_eq!(choose(&rules[..5], &plain), None, "no rule fits");
    }

    #[test]
    fn the_choice_has_two_names_and_takes_suffixes() {
        for (name, rest) in [
            ("turnpike/auto", Some("")),
            ("openrouter/auto:floor", Some(":floor")),
            ("turnpike/automatic", None),
            ("a/b", None),
        ] {
            assert_eq!(suffixes(name), rest, "{name}");
        }
        assert!(has_code(b"say\\n```rust\\n") && !has_code(b"``"));
    }
}
