//! What an endpoint says, and what counts as flagged.
//!
//! Sources, read 2026-11: `OpenAI` API reference, "Moderations"; Mistral's `OpenAPI` description,
//! `ModerationObject`, which has no `flagged`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::options::{CATEGORIES_MAX, Rules, is_name};

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

/// What is said of one input. Categories that a model does not know are `null`.
#[derive(Deserialize)]
struct Judged {
    flagged: Option<bool>,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
    #[serde(default)]
    category_scores: BTreeMap<String, Option<f64>>,
}

/// What becomes of a call's inputs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Some input is flagged.
    pub(crate) flagged: bool,
    /// For these; it may be empty where the endpoint does not say for what.
    pub(crate) reasons: BTreeSet<String>,
    /// What was looked for.
    pub(crate) checked: BTreeSet<String>,
}

/// Why an answer is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// It is not of the form that is expected, or not of as many results as there were inputs.
    Unreadable,
    /// It says nothing of a category that the operator names.
    Category,
}

/// Reads an answer to so many inputs.
///
/// # Errors
/// It is no verdict.
pub(crate) fn read(body: &[u8], inputs: usize, rules: &Rules) -> Result<Verdict, Unclear> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unclear::Unreadable)?;
    if answer.results.len() != inputs {
        return Err(Unclear::Unreadable);
    }
    let mut verdict = Verdict::default();
    for judged in &answer.results {
        judged.judge(rules, &mut verdict)?;
    }
    Ok(verdict)
}

impl Judged {
    fn judge(&self, rules: &Rules, verdict: &mut Verdict) -> Result<(), Unclear> {
        let says =
            |map: &BTreeMap<String, Option<bool>>, name: &str| map.get(name).copied().flatten();
        let names: BTreeSet<&String> =
            self.categories.keys().chain(self.category_scores.keys()).collect();
        let silent = names.is_empty() && self.flagged.is_none();
        if silent || names.len() > CATEGORIES_MAX || !names.iter().all(|name| is_name(name)) {
            return Err(Unclear::Unreadable);
        }
        if rules.named().any(|name| !names.contains(name)) {
            return Err(Unclear::Category);
        }
        for name in names.into_iter().filter(|name| rules.count(name)) {
            let score = self.category_scores.get(name).copied().flatten();
            let own = says(&self.categories, name);
            let flagged = match (rules.thresholds.get(name), score) {
                (Some(threshold), Some(score)) => score >= *threshold,
                (Some(_), None) if own.is_none() => return Err(Unclear::Category),
                _ => own == Some(true),
            };
            if flagged {
                verdict.reasons.insert(name.clone());
            }
            verdict.checked.insert(name.clone());
        }
        // Flagged for nothing that is named: that cannot be weighed, so it counts.
        let unnamed = !self.categories.values().any(|one| *one == Some(true));
        verdict.flagged |= !verdict.reasons.is_empty() || (self.flagged == Some(true) && unnamed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn rules(categories: Option<&[&str]>, thresholds: &[(&str, f64)]) -> Rules {
        Rules {
            categories: categories
                .map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            thresholds: thresholds.iter().map(|(name, t)| ((*name).to_owned(), *t)).collect(),
        }
    }

    fn of(result: Value, rules: &Rules) -> Result<(bool, Vec<String>), Unclear> {
        let body = json!({"id": "m", "model": "x", "results": [result]}).to_string();
        let verdict = read(body.as_bytes(), 1, rules)?;
        Ok((verdict.flagged, verdict.reasons.into_iter().collect()))
    }

    #[test]
    fn what_counts_as_flagged() {
        let judged = |flagged: Value, hate: bool, hate_score: f64, violence: bool, score: f64| {
            json!({
                "flagged": flagged,
                "categories": {"hate": hate, "violence": violence},
                "category_scores": {"hate": hate_score, "violence": score},
            })
        };
        let hate = || Ok((true, vec!["hate".to_owned()]));
        let fine = || Ok((false, vec![]));
        let all = rules(None, &[]);
        assert_eq!(of(judged(json!(false), false, 0.4, false, 0.4), &all), fine());
        assert_eq!(of(judged(json!(true), true, 0.9, false, 0.1), &all), hate());
        assert_eq!(of(judged(json!(null), true, 0.9, false, 0.1), &all), hate(), "Mistral's");
        let violence_only = rules(Some(&["violence"]), &[]);
        assert_eq!(of(judged(json!(true), true, 0.9, false, 0.1), &violence_only), fine());
        let strict = rules(None, &[("hate", 0.3)]);
        assert_eq!(of(judged(json!(false), false, 0.3, false, 0.4), &strict), hate(), "from 0.3");
        let lax = rules(None, &[("hate", 0.95)]);
        assert_eq!(of(judged(json!(true), true, 0.9, false, 0.1), &lax), fine());
        assert_eq!(of(json!({"flagged": true}), &all), Ok((true, vec![])), "for what is not said");
        assert_eq!(of(json!({"flagged": false}), &all), fine());
        let unnamed = json!({"flagged": true, "categories": {"violence": false}});
        assert_eq!(of(unnamed, &violence_only), Ok((true, vec![])));
        let no_score = json!({"categories": {"hate": true}, "category_scores": {"hate": null}});
        assert_eq!(of(no_score, &strict), hate(), "without a score its own verdict holds");
    }

    #[test]
    fn what_is_unclear_is_no_verdict() {
        let all = rules(None, &[]);
        for result in [
            json!({}),
            json!(null),
            json!({"flagged": "yes"}),
            json!({"flagged": null, "categories": {}}),
            json!({"categories": {"<script>": true}}),
            json!({"categories": {"x".repeat(65): true}}),
            json!({"categories": {"hate": 1}}),
        ] {
            assert_eq!(of(result.clone(), &all), Err(Unclear::Unreadable), "{result}");
        }
        let many: BTreeMap<String, bool> = (0..65).map(|n| (n.to_string(), false)).collect();
        assert_eq!(of(json!({"categories": many}), &all), Err(Unclear::Unreadable));
        let typo = rules(Some(&["violense"]), &[]);
        assert_eq!(of(json!({"categories": {"violence": true}}), &typo), Err(Unclear::Category));
        let typo = rules(None, &[("violense", 0.5)]);
        assert_eq!(of(json!({"categories": {"violence": true}}), &typo), Err(Unclear::Category));
        let null = json!({"categories": {"hate": null}, "category_scores": {"hate": null}});
        assert_eq!(of(null, &rules(None, &[("hate", 0.5)])), Err(Unclear::Category));
        for body in ["", "null", "{}", "[]", "{\"results\": {}}", "<html>", "{\"results\": []}"] {
            assert!(read(body.as_bytes(), 1, &all).is_err(), "{body}");
        }
        let two = json!({"results": [{"flagged": false}, {"flagged": false}]}).to_string();
        assert!(read(two.as_bytes(), 1, &all).is_err(), "as many as there were inputs");
        assert!(read(two.as_bytes(), 2, &all).is_ok());
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in "(\\{|\\}|\\[|\\]|:|,|\"results\"|\"flagged\"|true|null|\"categories\"|0.5|\\PC){0,30}") {
            drop(read(body.as_bytes(), 1, &rules(None, &[])));
        }
    }
}
