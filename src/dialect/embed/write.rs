//! [`Request`] → the provider's body.

use bytes::Bytes;

use super::content::{cohere_parts, gemini_parts};
use super::{Encoding, Input, Request};
use crate::dialect::chat::request::one_of;
use crate::dialect::media::refusal;
use crate::dialect::scan::Key;
use crate::dialect::{Dialect, Target, json};
use crate::error::{GatewayError, Kind};

/// The most inputs of one call, of Gemini (2026-11).
const GEMINI_MAX: usize = 100;
/// Of Vertex.
const VERTEX_MAX: usize = 250;
/// Of Cohere.
const COHERE_MAX: usize = 96;

/// Writes the request as the dialect takes it.
///
/// # Errors
/// The dialect has no embeddings, takes no such input or not so many, or knows no such
/// `input_type`.
pub fn write(
    dialect: Dialect,
    request: &Request,
    target: &Target<'_>,
) -> Result<Bytes, GatewayError> {
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    match dialect {
        Dialect::OpenAi | Dialect::Azure | Dialect::Mistral => {
            openai(dialect, request, target, &mut out)?;
        }
        Dialect::Gemini => gemini(request, target, &mut out)?,
        Dialect::Vertex => vertex(request, &mut out)?,
        Dialect::Cohere => cohere(request, target, &mut out)?,
        Dialect::Ollama => ollama(request, target, &mut out)?,
        Dialect::Responses
        | Dialect::Anthropic
        | Dialect::VertexAnthropic
        | Dialect::Bedrock
        | Dialect::Completions => {
            let what = format!(
                "`model` is served in the dialect \"{dialect}\", which has no embeddings; choose a \
                 model that embeds."
            );
            return Err(GatewayError::new(Kind::InvalidRequest, what).with_param("model"));
        }
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn openai(
    dialect: Dialect,
    request: &Request,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    json::text_member(out, "model", target.upstream_model);
    json::key(out, "input");
    match &request.input {
        Input::Texts(texts) => write_texts(texts, out),
        Input::Tokens(lists) if dialect != Dialect::Mistral => write_tokens(lists, out),
        Input::Tokens(_) => return Err(no_tokens()),
        Input::Contents(_) => return Err(only_texts()),
    }
    let mistral = dialect == Dialect::Mistral;
    if let Some(dimensions) = request.dimensions {
        let name = if mistral { "output_dimension" } else { "dimensions" };
        json::number_member(out, name, u64::from(dimensions));
    }
    match request.encoding {
        None => {}
        Some(Encoding::Float) => json::text_member(out, "encoding_format", "float"),
        Some(Encoding::Base64) => json::text_member(out, "encoding_format", "base64"),
    }
    if let Some(name) = request.input_type.as_deref().filter(|_| dialect == Dialect::OpenAi) {
        json::text_member(out, "input_type", name);
    }
    if let Some(user) = request.user.as_deref().filter(|_| !mistral) {
        json::text_member(out, "user", user);
    }
    for (name, raw) in &request.rest {
        let for_gateway = |(key, known): &(Key, &str)| known == name && key.gateway_only();
        if !Key::ALL.iter().any(for_gateway) {
            json::comma(out);
            json::string(out, name);
            out.push(b':');
            out.extend_from_slice(raw.as_str().as_bytes());
        }
    }
    Ok(())
}

fn gemini(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), GatewayError> {
    at_most(request, GEMINI_MAX)?;
    let task = task_type(request, Purpose::google, &GOOGLE_NAMES)?;
    json::key(out, "requests");
    out.push(b'[');
    for i in 0..request.count() {
        json::comma(out);
        out.extend_from_slice(b"{\"model\":\"models/");
        json::escape(out, target.upstream_model);
        out.extend_from_slice(b"\",\"content\":{\"parts\":[");
        match &request.input {
            Input::Texts(texts) => {
                out.push(b'{');
                json::text_member(out, "text", &texts[i]);
                out.push(b'}');
            }
            Input::Tokens(_) => return Err(no_tokens()),
            Input::Contents(contents) => gemini_parts(&contents[i], i, out)?,
        }
        out.extend_from_slice(b"]}");
        if let Some(task) = task {
            json::text_member(out, "taskType", task);
        }
        if let Some(dimensions) = request.dimensions {
            json::number_member(out, "outputDimensionality", u64::from(dimensions));
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

fn vertex(request: &Request, out: &mut Vec<u8>) -> Result<(), GatewayError> {
    at_most(request, VERTEX_MAX)?;
    let task = task_type(request, Purpose::google, &GOOGLE_NAMES)?;
    json::key(out, "instances");
    out.push(b'[');
    for text in texts(request)? {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "content", text);
        if let Some(task) = task {
            json::text_member(out, "task_type", task);
        }
        out.push(b'}');
    }
    out.push(b']');
    if let Some(dimensions) = request.dimensions {
        json::key(out, "parameters");
        out.push(b'{');
        json::number_member(out, "outputDimensionality", u64::from(dimensions));
        out.push(b'}');
    }
    Ok(())
}

fn cohere(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), GatewayError> {
    at_most(request, COHERE_MAX)?;
    let purpose = task_type(request, Purpose::cohere, &COHERE_NAMES)?;
    json::text_member(out, "model", target.upstream_model);
    json::text_member(out, "input_type", purpose.unwrap_or("search_document"));
    json::key(out, "embedding_types");
    out.extend_from_slice(b"[\"float\"]");
    match &request.input {
        Input::Texts(texts) => {
            json::key(out, "texts");
            write_texts(texts, out);
        }
        Input::Tokens(_) => return Err(no_tokens()),
        Input::Contents(contents) => {
            json::key(out, "inputs");
            out.push(b'[');
            for (i, parts) in contents.iter().enumerate() {
                json::comma(out);
                out.extend_from_slice(b"{\"content\":[");
                cohere_parts(parts, i, out)?;
                out.extend_from_slice(b"]}");
            }
            out.push(b']');
        }
    }
    if let Some(dimensions) = request.dimensions {
        json::number_member(out, "output_dimension", u64::from(dimensions));
    }
    Ok(())
}

fn ollama(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), GatewayError> {
    json::text_member(out, "model", target.upstream_model);
    json::key(out, "input");
    write_texts(texts(request)?, out);
    if let Some(dimensions) = request.dimensions {
        json::number_member(out, "dimensions", u64::from(dimensions));
    }
    Ok(())
}

fn texts(request: &Request) -> Result<&[String], GatewayError> {
    match &request.input {
        Input::Texts(texts) => Ok(texts),
        Input::Tokens(_) => Err(no_tokens()),
        Input::Contents(_) => Err(only_texts()),
    }
}

fn no_tokens() -> GatewayError {
    refusal("input".into(), "must be text: this model does not take tokens")
}

fn only_texts() -> GatewayError {
    refusal("input".into(), "must be text: this model embeds nothing else")
}

fn at_most(request: &Request, most: usize) -> Result<(), GatewayError> {
    if request.count() <= most {
        return Ok(());
    }
    Err(refusal("input".into(), &format!("must have at most {most} entries for this model")))
}

fn write_texts(texts: &[String], out: &mut Vec<u8>) {
    out.push(b'[');
    for text in texts {
        json::comma(out);
        json::string(out, text);
    }
    out.push(b']');
}

fn write_tokens(lists: &[Vec<u32>], out: &mut Vec<u8>) {
    out.push(b'[');
    for list in lists {
        json::comma(out);
        out.push(b'[');
        for token in list {
            json::comma(out);
            json::number(out, u64::from(*token));
        }
        out.push(b']');
    }
    out.push(b']');
}

/// What vectors are for.
#[derive(Clone, Copy)]
enum Purpose {
    Query,
    Document,
    Classification,
    Clustering,
    Similarity,
    Questions,
    Facts,
    Code,
    Image,
}

/// The words of Cohere, Google, Voyage and NVIDIA, in this order (2026-11).
const NAMES: [(&str, Purpose); 16] = [
    ("search_query", Purpose::Query),
    ("search_document", Purpose::Document),
    ("classification", Purpose::Classification),
    ("clustering", Purpose::Clustering),
    ("image", Purpose::Image),
    ("retrieval_query", Purpose::Query),
    ("retrieval_document", Purpose::Document),
    ("semantic_similarity", Purpose::Similarity),
    ("question_answering", Purpose::Questions),
    ("fact_verification", Purpose::Facts),
    ("code_retrieval_query", Purpose::Code),
    ("query", Purpose::Query),
    ("document", Purpose::Document),
    ("passage", Purpose::Document),
    ("similarity", Purpose::Similarity),
    ("code_query", Purpose::Code),
];

const COHERE_NAMES: [&str; 5] =
    ["search_query", "search_document", "classification", "clustering", "image"];
const GOOGLE_NAMES: [&str; 8] = [
    "search_query",
    "search_document",
    "classification",
    "clustering",
    "semantic_similarity",
    "question_answering",
    "fact_verification",
    "code_retrieval_query",
];

impl Purpose {
    const fn cohere(self) -> Option<&'static str> {
        Some(match self {
            Self::Query => "search_query",
            Self::Document => "search_document",
            Self::Classification => "classification",
            Self::Clustering => "clustering",
            Self::Image => "image",
            Self::Similarity | Self::Questions | Self::Facts | Self::Code => return None,
        })
    }

    const fn google(self) -> Option<&'static str> {
        Some(match self {
            Self::Query => "RETRIEVAL_QUERY",
            Self::Document => "RETRIEVAL_DOCUMENT",
            Self::Classification => "CLASSIFICATION",
            Self::Clustering => "CLUSTERING",
            Self::Similarity => "SEMANTIC_SIMILARITY",
            Self::Questions => "QUESTION_ANSWERING",
            Self::Facts => "FACT_VERIFICATION",
            Self::Code => "CODE_RETRIEVAL_QUERY",
            Self::Image => return None,
        })
    }
}

/// The client's `input_type` in the provider's words. A wrong one would give vectors that are
/// subtly worse, so what is not known is refused.
fn task_type(
    request: &Request,
    spell: impl Fn(Purpose) -> Option<&'static str>,
    allowed: &[&str],
) -> Result<Option<&'static str>, GatewayError> {
    let Some(name) = request.input_type.as_deref() else { return Ok(None) };
    let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let spelled = known.and_then(|(_, purpose)| spell(*purpose));
    spelled.map(Some).ok_or_else(|| refusal("input_type".into(), &one_of(allowed)))
}
