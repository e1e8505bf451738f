//! The JSON of an answer: a chunk of a stream and a whole answer have the same form.
//!
//! Texts are borrowed unless they have escapes; what is not always looked at stays raw.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::usage::Counters;
use crate::dialect::AnswerFault;
use crate::dialect::media::bounded;
use crate::error::ProviderSaid;

/// A text that is borrowed unless it has escapes; within an `Option` a bare `Cow` would be copied.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A list of at most so many items: an item takes far more memory than its JSON.
#[derive(Debug)]
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                // Most lists have one item, and items are large.
                let mut items = Vec::with_capacity(1);
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        from.deserialize_seq(Items(PhantomData))
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The items of a list that may be absent.
    pub(super) fn items(list: Option<&Self>) -> &[T] {
        list.map_or(&[], |list| &list.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<List<Candidate<'a>, 128>>,
    #[serde(borrow)]
    pub(super) prompt_feedback: Option<Feedback<'a>>,
    pub(super) usage_metadata: Option<Counters>,
    #[serde(borrow)]
    pub(super) model_version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) response_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow)]
    pub(super) block_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    /// Absent for the first.
    #[serde(default)]
    pub(super) index: u32,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citation_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<List<Part<'a>, 2048>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    pub(super) thought: Option<bool>,
    #[serde(borrow)]
    pub(super) thought_signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Call<'a>>,
    #[serde(borrow)]
    pub(super) inline_data: Option<Blob<'a>>,
    #[serde(borrow)]
    pub(super) file_data: Option<FileData<'a>>,
    #[serde(borrow)]
    pub(super) executable_code: Option<Code<'a>>,
    #[serde(borrow)]
    pub(super) code_execution_result: Option<CodeResult<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
    /// Only where it was asked for, on Vertex.
    #[serde(borrow)]
    pub(super) partial_args: Option<&'a RawValue>,
    pub(super) will_continue: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    #[serde(borrow, default)]
    pub(super) mime_type: Text<'a>,
    #[serde(borrow, default)]
    pub(super) data: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(borrow, default)]
    pub(super) mime_type: Text<'a>,
    #[serde(borrow, default)]
    pub(super) file_uri: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Code<'a> {
    #[serde(borrow, default)]
    pub(super) language: Text<'a>,
    #[serde(borrow, default)]
    pub(super) code: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct CodeResult<'a> {
    #[serde(borrow, default)]
    pub(super) output: Text<'a>,
}

/// `error` of an error body: Google's RPC status.
#[derive(Default, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) details: Option<&'a RawValue>,
}

impl ErrorBody<'_> {
    /// The status as a word, or else as a number.
    pub(super) fn code(&self) -> Option<String> {
        let word = self.status.as_ref().map(|status| status.0.as_ref());
        let number = self.code.map(RawValue::get).filter(|raw| *raw != "null");
        word.filter(|word| !word.is_empty())
            .or(number)
            .map(|code| bounded(code.trim_matches('"'), 128))
    }

    /// The message without anything that looks like a key.
    pub(super) fn message(&self) -> String {
        let text = self.message.as_ref().map_or("", |message| message.0.as_ref());
        let text = crate::dialect::openai::fault::excerpt(text);
        if text.is_empty() {
            "no message".to_owned()
        } else {
            bounded(&text, ProviderSaid::RAW_MAX)
        }
    }
}

/// The fault that `error` inside an answer reports.
pub(super) fn in_band(raw: &RawValue) -> AnswerFault {
    let error = serde_json::from_str::<ErrorBody<'_>>(raw.get()).unwrap_or_default();
    AnswerFault::InBand { code: error.code(), message: error.message() }
}

/// A JSON text without white space between its tokens: Google indents whole answers.
pub(super) fn compact(json: &str) -> String {
    if !json.contains(['\n', '\r', '\t', ' ']) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len());
    let (mut in_text, mut escaped, mut kept) = (false, false, 0);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b' ' | b'\n' | b'\r' | b'\t' if !in_text => {
                out.push_str(&json[kept..at]);
                kept = at + 1;
            }
            _ => {}
        }
    }
    out.push_str(&json[kept..]);
    out
}
