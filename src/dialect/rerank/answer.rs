//! The provider's answer → results and usage → the client's answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Request, write};
use crate::dialect::Bill;
use crate::dialect::embed::wire_count;
use crate::dialect::openai::{fault, wire};
use crate::dialect::{AnswerFault, AnswerShape, answer_text, json};
use crate::vocab::Usage;

const GARBLED: AnswerFault = AnswerFault::Garbled("the body holds no results");

/// What a provider answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The results, the best first, at most as many as were asked for.
    pub hits: Vec<Hit>,
    /// What was consumed, if the provider says.
    pub usage: Option<Usage>,
}

/// A document's place and score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which of the request's documents.
    pub index: usize,
    /// How well it fits, a JSON number in the provider's digits.
    pub score: String,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    results: Option<&'a RawValue>,
    /// Where Voyage has its results.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Scored<'a> {
    index: usize,
    #[serde(borrow)]
    relevance_score: &'a RawValue,
}

/// Reads an answer with status 200. Both dialects' forms are read alike.
///
/// # Errors
/// The body is an error, cut short, empty, or has results for documents that were not sent or for
/// one twice.
pub fn read_answer(body: &[u8], request: &Request) -> Result<Answer, AnswerFault> {
    let text = answer_text(body)?;
    let answer: Body<'_> = serde_json::from_str(text)
        .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { GARBLED })?;
    if wire::says_something(answer.error) {
        return Err(fault::in_band(text));
    }
    let Some(results) = answer.results.or(answer.data) else {
        // An error of Cohere's is a message alone.
        let says = wire::says_something(answer.message);
        return Err(if says { fault::in_band(text) } else { GARBLED });
    };
    let results: Vec<Scored<'_>> = serde_json::from_str(results.get()).map_err(|_| GARBLED)?;
    if results.is_empty() {
        return Err(AnswerFault::Empty);
    }
    let most = request.top_n.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut seen = vec![false; request.documents.len()];
    let mut hits = Vec::with_capacity(results.len().min(seen.len()));
    for result in results {
        let known = seen.get_mut(result.index).is_some_and(|seen| !std::mem::replace(seen, true));
        let score = result.relevance_score.get();
        let number = score.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if !known || !number {
            return Err(AnswerFault::Garbled("a result is for no document, or has no score"));
        }
        hits.push(Hit { index: result.index, score: score.to_owned() });
    }
    if hits.len() > most {
        // Who does not know `top_n` may not know order either.
        let score = |hit: &Hit| hit.score.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
        hits.sort_by(|a, b| score(b).total_cmp(&score(a)));
        hits.truncate(most);
    }
    Ok(Answer { hits, usage: usage(&answer) })
}

/// Searches that Cohere bills, and tokens that the others count.
fn usage(answer: &Body<'_>) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Meta {
        billed_units: Option<Units>,
    }
    #[derive(Deserialize)]
    struct Units {
        search_units: Option<f64>,
        input_tokens: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Counters {
        total_tokens: Option<u64>,
        prompt_tokens: Option<u64>,
        search_units: Option<u64>,
    }
    let counters = answer.usage.and_then(|raw| serde_json::from_str::<Counters>(raw.get()).ok());
    let meta = answer.meta.and_then(|raw| serde_json::from_str::<Meta>(raw.get()).ok());
    if let Some(units) = meta.and_then(|meta| meta.billed_units) {
        return Some(Usage {
            searches: wire_count(units.search_units.unwrap_or(0.0)),
            prompt: wire_count(units.input_tokens.unwrap_or(0.0)),
            ..Usage::default()
        });
    }
    let counters = counters?;
    let (prompt, searches) =
        (counters.prompt_tokens.or(counters.total_tokens), counters.search_units);
    if prompt.is_none() && searches.is_none() {
        return None;
    }
    Some(Usage { prompt: prompt.unwrap_or(0), searches: searches.unwrap_or(0), ..Usage::default() })
}

/// The client's answer, in OpenRouter's form. `usage` is what is charged; counters that are 0 are
/// left out of it.
pub fn write_answer(
    answer: &Answer,
    request: &Request,
    shape: &AnswerShape,
    usage: Option<&Usage>,
    cost: Option<Bill>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    json::text_member(&mut out, "id", &shape.id);
    json::text_member(&mut out, "model", &shape.model);
    json::text_member(&mut out, "provider", &shape.provider);
    json::key(&mut out, "results");
    out.push(b'[');
    for hit in &answer.hits {
        json::comma(&mut out);
        out.push(b'{');
        json::key(&mut out, "index");
        json::display(&mut out, hit.index);
        json::key(&mut out, "relevance_score");
        out.extend_from_slice(hit.score.as_bytes());
        let document = request.documents.get(hit.index).filter(|_| !request.hide_documents);
        if let Some(document) = document {
            json::key(&mut out, "document");
            write::object(document.text.as_deref(), document.image.as_deref(), &mut out);
        }
        out.push(b'}');
    }
    out.push(b']');
    if usage.is_some() || cost.is_some() {
        let usage = usage.copied().unwrap_or_default();
        json::key(&mut out, "usage");
        out.push(b'{');
        if usage.searches > 0 {
            json::number_member(&mut out, "search_units", usage.searches);
        }
        if usage.total() > 0 {
            json::number_member(&mut out, "total_tokens", usage.total());
        }
        if let Some(cost) = cost {
            json::key(&mut out, "cost");
            cost.put(&mut out);
        }
        out.push(b'}');
    }
    out.push(b'}');
    out
}
