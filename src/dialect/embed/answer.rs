//! The provider's answer → vectors and usage → the client's answer.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Encoding, Request};
use crate::dialect::Bill;
use crate::dialect::openai::{fault, wire};
use crate::dialect::{AnswerFault, AnswerShape, Dialect, answer_text, json};
use crate::vocab::Usage;

const GARBLED: AnswerFault = AnswerFault::Garbled("the body holds no embeddings");

/// What a provider answered.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// One for every input, in the order of the inputs, written as the client asked.
    pub vectors: Vec<Vector>,
    /// What was consumed, if the provider says: tokens, in [`Usage::prompt`].
    pub usage: Option<Usage>,
}

/// One vector, as it stands in the client's answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Vector {
    /// A JSON array of numbers without white space, their digits as the provider wrote them.
    Floats(String),
    /// Base64 of 32-bit numbers, the lowest byte first.
    Base64(String),
}

/// Reads an answer with status 200 and turns its vectors into the form that the client asked for.
///
/// # Errors
/// The body is an error, cut short, empty, or has not one vector of numbers for every input.
pub fn read_answer(
    dialect: Dialect,
    body: &[u8],
    request: &Request,
) -> Result<Answer, AnswerFault> {
    let text = answer_text(body)?;
    let answer: Body<'_> = serde_json::from_str(text)
        .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { GARBLED })?;
    if wire::says_something(answer.error) {
        return Err(fault::in_band(text));
    }
    let raw = match dialect {
        Dialect::Gemini => answer.gemini()?,
        Dialect::Vertex => answer.vertex()?,
        Dialect::Cohere => answer.cohere()?,
        Dialect::Ollama => answer.ollama()?,
        Dialect::OpenAi
        | Dialect::Azure
        | Dialect::Mistral
        | Dialect::Responses
        | Dialect::Anthropic
        | Dialect::VertexAnthropic
        | Dialect::Bedrock
        | Dialect::Completions => answer.openai()?,
    };
    let Some((raw, usage)) = raw else {
        // An error of Cohere's is a message alone.
        let says = wire::says_something(answer.message);
        return Err(if says { fault::in_band(text) } else { GARBLED });
    };
    if raw.is_empty() {
        return Err(AnswerFault::Empty);
    }
    if raw.len() != request.count() {
        return Err(AnswerFault::Garbled("there is not one vector for every input"));
    }
    let encoding = request.encoding.unwrap_or_default();
    let vectors = raw.into_iter().map(|raw| vector(raw, encoding));
    Ok(Answer { vectors: vectors.collect::<Result<_, _>>()?, usage })
}

/// Every dialect's answer at once: no two use a name for different things, save `embeddings`.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    embeddings: Option<&'a RawValue>,
    #[serde(borrow)]
    predictions: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(rename = "usageMetadata", borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

type Found<'a> = Result<Option<(Vec<&'a RawValue>, Option<Usage>)>, AnswerFault>;

/// Gemini's and Vertex's vector.
#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
    #[serde(borrow)]
    statistics: Option<&'a RawValue>,
}

impl<'a> Body<'a> {
    fn openai(&self) -> Found<'a> {
        #[derive(Deserialize)]
        struct Datum<'a> {
            index: Option<usize>,
            #[serde(borrow)]
            embedding: &'a RawValue,
        }
        #[derive(Default, Deserialize)]
        struct Counters {
            prompt_tokens: Option<u64>,
            total_tokens: Option<u64>,
        }
        let Some(data) = self.data else { return Ok(None) };
        let mut data: Vec<Datum<'_>> = read(data)?;
        if data.iter().any(|datum| datum.index.is_some()) {
            data.sort_by_key(|datum| datum.index);
            if data.iter().enumerate().any(|(i, datum)| datum.index != Some(i)) {
                return Err(AnswerFault::Garbled("an index comes twice or is missing"));
            }
        }
        let counters: Option<Counters> = lenient(self.usage);
        let tokens = counters.and_then(|c| c.prompt_tokens.or(c.total_tokens));
        Ok(Some((data.into_iter().map(|datum| datum.embedding).collect(), tokens.map(prompt))))
    }

    fn gemini(&self) -> Found<'a> {
        #[derive(Deserialize)]
        struct Counters {
            #[serde(rename = "promptTokenCount")]
            prompt: u64,
        }
        let Some(embeddings) = self.embeddings else { return Ok(None) };
        let embeddings: Vec<Values<'_>> = read(embeddings)?;
        let counters: Option<Counters> = lenient(self.usage_metadata);
        let vectors = embeddings.into_iter().map(|embedding| embedding.values).collect();
        Ok(Some((vectors, counters.map(|counters| prompt(counters.prompt)))))
    }

    fn vertex(&self) -> Found<'a> {
        #[derive(Deserialize)]
        struct Prediction<'a> {
            #[serde(borrow)]
            embeddings: Values<'a>,
        }
        #[derive(Deserialize)]
        struct Statistics {
            // Written as 5.0 by some versions.
            token_count: f64,
        }
        let Some(predictions) = self.predictions else { return Ok(None) };
        let predictions: Vec<Prediction<'_>> = read(predictions)?;
        let mut tokens = None;
        for prediction in &predictions {
            let statistics: Option<Statistics> = lenient(prediction.embeddings.statistics);
            if let Some(statistics) = statistics {
                let count = wire_count(statistics.token_count);
                tokens = Some(count.saturating_add(tokens.unwrap_or(0)));
            }
        }
        let vectors = predictions.into_iter().map(|p| p.embeddings.values).collect();
        Ok(Some((vectors, tokens.map(prompt))))
    }

    fn cohere(&self) -> Found<'a> {
        #[derive(Deserialize)]
        struct ByType<'a> {
            #[serde(borrow)]
            float: Vec<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Meta {
            billed_units: Option<Units>,
            tokens: Option<Units>,
        }
        #[derive(Clone, Copy, Deserialize)]
        struct Units {
            input_tokens: Option<f64>,
            image_tokens: Option<f64>,
        }
        let Some(embeddings) = self.embeddings else { return Ok(None) };
        let by_type: ByType<'_> = read(embeddings)?;
        let meta: Option<Meta> = lenient(self.meta);
        let units = meta.and_then(|meta| meta.billed_units.or(meta.tokens));
        let tokens = units.map(|units| {
            let count = |tokens: Option<f64>| wire_count(tokens.unwrap_or(0.0));
            count(units.input_tokens) + count(units.image_tokens)
        });
        Ok(Some((by_type.float, tokens.map(prompt))))
    }

    fn ollama(&self) -> Found<'a> {
        let Some(embeddings) = self.embeddings else { return Ok(None) };
        let tokens: Option<u64> = lenient(self.prompt_eval_count);
        Ok(Some((read(embeddings)?, tokens.map(prompt))))
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, AnswerFault> {
    serde_json::from_str(raw.get()).map_err(|_| GARBLED)
}

/// What is not worth losing an answer for.
fn lenient<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn prompt(tokens: u64) -> Usage {
    Usage { prompt: tokens, ..Usage::default() }
}

/// A number of tokens that is written as a float.
pub(in crate::dialect) fn wire_count(value: f64) -> u64 {
    let value = value.round().clamp(0.0, 1e15);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and below 2^53"
    )]
    let whole = value as u64;
    whole
}

/// A vector of the provider's in the client's form.
fn vector(raw: &RawValue, encoding: Encoding) -> Result<Vector, AnswerFault> {
    let raw = raw.get();
    if raw.starts_with('"') {
        let data: Cow<'_, str> = serde_json::from_str(raw).map_err(|_| GARBLED)?;
        let bytes = STANDARD.decode(data.as_ref()).or_else(|_| STANDARD_NO_PAD.decode(&*data));
        let bytes = bytes.map_err(|_| AnswerFault::Garbled("a vector is not base64"))?;
        return match encoding {
            Encoding::Base64 if !bytes.is_empty() && bytes.len() % 4 == 0 => {
                Ok(Vector::Base64(STANDARD.encode(bytes)))
            }
            Encoding::Base64 => Err(GARBLED),
            Encoding::Float => floats(&bytes).map(Vector::Floats),
        };
    }
    let numbers = numbers(raw)?;
    match encoding {
        Encoding::Float => Ok(Vector::Floats(numbers)),
        Encoding::Base64 => base64(&numbers).map(Vector::Base64),
    }
}

/// A JSON array of numbers without its white space.
fn numbers(raw: &str) -> Result<String, AnswerFault> {
    const NO_NUMBERS: AnswerFault = AnswerFault::Garbled("a vector is not an array of numbers");
    let inner = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']')).ok_or(NO_NUMBERS)?;
    // It is valid JSON: with nothing but these in it, it is numbers and commas.
    let allowed = |b: u8| b.is_ascii_digit() || b",.-+eE".contains(&b) || b.is_ascii_whitespace();
    if inner.trim().is_empty() || !inner.bytes().all(allowed) {
        return Err(NO_NUMBERS);
    }
    if raw.bytes().any(|b| b.is_ascii_whitespace()) {
        return Ok(raw.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    }
    Ok(raw.to_owned())
}

/// Base64 of an array that [`numbers`] gave.
fn base64(numbers: &str) -> Result<String, AnswerFault> {
    let inner = numbers.trim_matches(['[', ']']);
    let mut bytes = Vec::with_capacity(inner.len());
    for number in inner.split(',') {
        let value: f32 = number.parse().map_err(|_| GARBLED)?;
        if !value.is_finite() {
            return Err(AnswerFault::Garbled("a number of a vector is too large"));
        }
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    Ok(STANDARD.encode(bytes))
}

/// A JSON array of the numbers in some bytes, each with as many digits as tell it from its
/// neighbours.
fn floats(bytes: &[u8]) -> Result<String, AnswerFault> {
    let (words, rest) = bytes.as_chunks::<4>();
    if words.is_empty() || !rest.is_empty() {
        return Err(GARBLED);
    }
    let mut out = Vec::with_capacity(bytes.len() * 3);
    out.push(b'[');
    for word in words {
        let value = f32::from_le_bytes(*word);
        if !value.is_finite() {
            return Err(AnswerFault::Garbled("a vector has what is no number"));
        }
        json::comma(&mut out);
        serde_json::to_writer(&mut out, &value).map_err(|_| GARBLED)?;
    }
    out.push(b']');
    String::from_utf8(out).map_err(|_| GARBLED)
}

/// The client's answer: OpenAI's list, with OpenRouter's members. `usage` is what is charged, which
/// may be the gateway's own count where the provider gave none.
pub fn write_answer(
    answer: &Answer,
    shape: &AnswerShape,
    usage: Option<&Usage>,
    cost: Option<Bill>,
) -> Vec<u8> {
    let size = |vector: &Vector| match vector {
        Vector::Floats(text) | Vector::Base64(text) => text.len() + 64,
    };
    let mut out = Vec::with_capacity(512 + answer.vectors.iter().map(size).sum::<usize>());
    out.push(b'{');
    json::text_member(&mut out, "object", "list");
    json::key(&mut out, "data");
    out.push(b'[');
    for (index, vector) in (0..).zip(&answer.vectors) {
        json::comma(&mut out);
        out.push(b'{');
        json::text_member(&mut out, "object", "embedding");
        json::number_member(&mut out, "index", index);
        match vector {
            Vector::Floats(array) => {
                json::key(&mut out, "embedding");
                out.extend_from_slice(array.as_bytes());
            }
            Vector::Base64(data) => json::text_member(&mut out, "embedding", data),
        }
        out.push(b'}');
    }
    out.push(b']');
    json::text_member(&mut out, "model", &shape.model);
    json::text_member(&mut out, "id", &shape.id);
    json::text_member(&mut out, "provider", &shape.provider);
    if usage.is_some() || cost.is_some() {
        let usage = usage.copied().unwrap_or_default();
        json::key(&mut out, "usage");
        out.push(b'{');
        json::number_member(&mut out, "prompt_tokens", usage.prompt);
        json::number_member(&mut out, "total_tokens", usage.total());
        if let Some(cost) = cost {
            json::key(&mut out, "cost");
            cost.put(&mut out);
        }
        out.push(b'}');
    }
    out.push(b'}');
    out
}
