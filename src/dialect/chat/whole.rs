//! Whole answers: events → one `chat.completion`.

use super::answer::{self, Logprobs, ReasoningIndex, detail, encrypted, position};
use crate::dialect::Bill;
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::json;
use crate::dialect::sink::{AnswerShape, WholeSink};
use crate::vocab::Usage;

/// Collects the events of one answer and writes it whole.
pub struct WholeWriter {
    head: Vec<u8>,
    choices: Vec<Choice>,
    hide_reasoning: bool,
    reasoning_format: &'static str,
}

#[derive(Default)]
struct Choice {
    content: String,
    refusal: String,
    reasoning: String,
    details: Vec<Detail>,
    tools: Vec<ToolCall>,
    citations: Vec<Citation>,
    images: Vec<String>,
    logprobs: Logprobs,
    finish: Option<(FinishReason, String)>,
}

enum Detail {
    Text { text: String, signature: Option<String> },
    Summary(String),
    Encrypted { id: Option<String>, data: String },
}

struct ToolCall {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

impl WholeWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        let mut head = Vec::with_capacity(256);
        answer::open(shape, "chat.completion", &mut head);
        // OpenAI alone has one; OpenRouter's SDK wants the member all the same.
        head.extend_from_slice(b",\"system_fingerprint\":null");
        Self {
            head,
            choices: Vec::new(),
            hide_reasoning: shape.hide_reasoning,
            reasoning_format: shape.reasoning_format,
        }
    }

    fn with(&mut self, choice: u32, change: impl FnOnce(&mut Choice)) {
        let Some(at) = position(choice) else { return };
        if at >= self.choices.len() {
            self.choices.resize_with(at + 1, Choice::default);
        }
        change(&mut self.choices[at]);
    }
}

impl WholeSink for WholeWriter {
    fn write(&mut self, event: &Event) {
        match event {
            Event::Start { .. } | Event::Usage(_) | Event::End => {}
            Event::Logprobs { choice, refusal, tokens } => {
                self.with(*choice, |c| c.logprobs.add(*refusal, tokens));
            }
            Event::Text { choice, text } => self.with(*choice, |c| c.content.push_str(text)),
            Event::Refusal { choice, text } => self.with(*choice, |c| c.refusal.push_str(text)),
            Event::Reasoning { choice, text } => self.with(*choice, |c| c.reason(text)),
            Event::ReasoningSignature { choice, signature } => {
                self.with(*choice, |c| c.sign(signature));
            }
            Event::ReasoningSummary { choice, text } => self.with(*choice, |c| c.summarise(text)),
            Event::ReasoningEncrypted { choice, id, data } => self.with(*choice, |c| {
                c.details.push(Detail::Encrypted { id: id.clone(), data: data.clone() });
            }),
            Event::Citation { choice, citation } => {
                self.with(*choice, |c| c.citations.push(citation.clone()));
            }
            Event::Image { choice, url } => self.with(*choice, |c| c.images.push(url.clone())),
            Event::ToolStart { choice, index, id, name } => self.with(*choice, |c| {
                let (id, name) = (id.clone(), name.clone());
                c.tools.push(ToolCall { index: *index, id, name, arguments: String::new() });
            }),
            Event::ToolArguments { choice, index, json } => self.with(*choice, |c| {
                if let Some(call) = c.tools.iter_mut().rev().find(|t| t.index == *index) {
                    call.arguments.push_str(json);
                }
            }),
            Event::Finish { choice, reason, native, .. } => {
                self.with(*choice, |c| c.finish = Some((*reason, native.clone())));
            }
        }
    }

    fn finish(mut self: Box<Self>, usage: Option<&Usage>, cost: Option<Bill>) -> Vec<u8> {
        if self.choices.is_empty() {
            self.choices.push(Choice::default());
        }
        let mut out = self.head;
        json::key(&mut out, "choices");
        out.push(b'[');
        for (index, choice) in (0..).zip(&self.choices) {
            let format = (!self.hide_reasoning).then_some(self.reasoning_format);
            choice.write(index, format, &mut out);
        }
        out.push(b']');
        if usage.is_some() || cost.is_some() {
            json::key(&mut out, "usage");
            answer::usage(&mut out, &usage.copied().unwrap_or_default(), cost);
        }
        out.push(b'}');
        out
    }
}

impl Choice {
    fn reason(&mut self, piece: &str) {
        self.reasoning.push_str(piece);
        if let Some(Detail::Text { text, signature: None }) = self.details.last_mut() {
            text.push_str(piece);
        } else {
            self.details.push(Detail::Text { text: piece.to_owned(), signature: None });
        }
    }

    fn summarise(&mut self, piece: &str) {
        self.reasoning.push_str(piece);
        if let Some(Detail::Summary(text)) = self.details.last_mut() {
            text.push_str(piece);
        } else {
            self.details.push(Detail::Summary(piece.to_owned()));
        }
    }

    fn sign(&mut self, by: &str) {
        if let Some(Detail::Text { signature: signature @ None, .. }) = self.details.last_mut() {
            *signature = Some(by.to_owned());
        } else {
            let signature = Some(by.to_owned());
            self.details.push(Detail::Text { text: String::new(), signature });
        }
    }

    /// `format` is that of the reasoning, and absent if it is not shown.
    fn write(&self, index: u64, format: Option<&str>, out: &mut Vec<u8>) {
        json::comma(out);
        out.push(b'{');
        json::number_member(out, "index", index);
        json::key(out, "message");
        out.extend_from_slice(b"{\"role\":\"assistant\"");
        json::key(out, "content");
        // OpenAI gives null where something else was said instead, and a text otherwise.
        let silent = self.content.is_empty() && !(self.tools.is_empty() && self.refusal.is_empty());
        json::string_or_null(out, (!silent).then_some(self.content.as_str()));
        json::key(out, "refusal");
        json::string_or_null(out, some_text(&self.refusal));
        json::key(out, "reasoning");
        json::string_or_null(out, format.and(some_text(&self.reasoning)));
        if let Some(format) = format {
            self.write_details(format, out);
        }
        self.write_extras(out);
        self.write_tools(out);
        out.push(b'}');
        json::key(out, "finish_reason");
        json::string_or_null(out, self.finish.as_ref().map(|(reason, _)| reason.as_str()));
        json::key(out, "native_finish_reason");
        json::string_or_null(out, self.finish.as_ref().map(|(_, native)| native.as_str()));
        self.logprobs.write(out);
        out.push(b'}');
    }

    fn write_extras(&self, out: &mut Vec<u8>) {
        if !self.citations.is_empty() {
            json::key(out, "annotations");
            out.push(b'[');
            self.citations.iter().for_each(|citation| answer::annotation(out, citation));
            out.push(b']');
        }
        if !self.images.is_empty() {
            json::key(out, "images");
            out.push(b'[');
            self.images.iter().for_each(|url| answer::image(out, url));
            out.push(b']');
        }
    }

    fn write_details(&self, format: &str, out: &mut Vec<u8>) {
        if self.details.is_empty() {
            return;
        }
        json::key(out, "reasoning_details");
        out.push(b'[');
        let mut blocks = ReasoningIndex::default();
        for block in &self.details {
            match block {
                Detail::Text { text, signature: Some(signature) } => {
                    let members = [("text", text.as_str()), ("signature", signature)];
                    detail(out, "reasoning.text", &members, format, blocks.signature());
                }
                Detail::Text { text, signature: None } => {
                    detail(out, "reasoning.text", &[("text", text)], format, blocks.text());
                }
                Detail::Summary(text) => {
                    detail(out, "reasoning.summary", &[("summary", text)], format, blocks.text());
                }
                Detail::Encrypted { id, data } => {
                    encrypted(out, id.as_deref(), data, format, blocks.encrypted());
                }
            }
        }
        out.push(b']');
    }

    fn write_tools(&self, out: &mut Vec<u8>) {
        if self.tools.is_empty() {
            return;
        }
        json::key(out, "tool_calls");
        out.push(b'[');
        for call in &self.tools {
            json::comma(out);
            out.push(b'{');
            json::number_member(out, "index", u64::from(call.index));
            json::text_member(out, "id", &call.id);
            out.extend_from_slice(b",\"type\":\"function\",\"function\":{");
            json::text_member(out, "name", &call.name);
            json::text_member(out, "arguments", &call.arguments);
            out.extend_from_slice(b"}}");
        }
        out.push(b']');
    }
}

fn some_text(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}
