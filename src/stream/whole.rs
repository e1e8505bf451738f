//! One JSON document to a client that asked for one: it passes, with its cost.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::dialect::openai::fault;
use crate::dialect::openai::wire::{self, Choice, Chunk, Part};
use crate::dialect::scan::lexer::Lexer;
use crate::dialect::{AnswerFault, answer_text};

use super::glance::glance;
use super::relay::Output;
use super::{Meter, Shape, WHOLE_MAX, splice};

/// Collects chunks up to the limit; a document that comes in one chunk is not copied.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    first: Bytes,
    all: Vec<u8>,
}

impl Buffer {
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), AnswerFault> {
        let have = self.first.len() + self.all.len();
        if have + chunk.len() > WHOLE_MAX {
            return Err(AnswerFault::TooLarge);
        }
        if have == 0 {
            self.first = chunk;
            return Ok(());
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&chunk);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Bytes {
        let all = std::mem::take(&mut self.all);
        if all.is_empty() { std::mem::take(&mut self.first) } else { Bytes::from(all) }
    }
}

/// The state of a whole answer.
#[derive(Debug, Default)]
pub(super) struct Whole {
    buffer: Buffer,
    done: bool,
}

impl Whole {
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), AnswerFault> {
        self.buffer.push(chunk)
    }

    pub(super) fn end(
        &mut self,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let body = self.buffer.take();
        let text = answer_text(&body)?;
        let places = match glance(text) {
            Some(seen) => {
                meter.glance(&seen);
                Places { usage: Some(seen.usage_at), fingerprint: seen.fingerprint }
            }
            None => {
                let places = read(text, meter)?;
                meter.count_rest(&shape.request);
                places
            }
        };
        meter.complete = true;
        let out = charged(&body, &places, shape, meter)
            .map_err(|_| AnswerFault::Garbled("the answer nests too deep"))?;
        Ok(Some(out))
    }
}

/// What must be known of a document to change it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Where the usage begins, if there is one.
    pub(super) usage: Option<usize>,
    /// Whether `system_fingerprint` is there.
    pub(super) fingerprint: bool,
}

/// The thorough reading.
pub(super) fn read(text: &str, meter: &mut Meter) -> Result<Places, AnswerFault> {
    let chunk = Chunk::parse(text)?;
    fault::check(&chunk, text)?;
    meter.upstream_id = wire::name(chunk.id);
    meter.upstream_model = wire::name(chunk.model);
    for choice in chunk.choices.as_deref().unwrap_or_default() {
        overhear(choice, meter)?;
    }
    if !meter.semantic {
        return Err(AnswerFault::Empty);
    }
    if let Some(usage) = wire::chunk_usage(&chunk) {
        meter.report(usage);
    }
    // The raw value is a part of the text.
    let usage = chunk.usage.map(|raw| raw.get().as_ptr().addr() - text.as_ptr().addr());
    let fingerprint = splice::has(text.as_bytes(), b"system_fingerprint")
        .map_err(|_| AnswerFault::Garbled("the answer nests too deep"))?;
    Ok(Places { usage, fingerprint })
}

/// The document with its cost, and with OpenAI's `system_fingerprint`, if only as null.
fn charged(
    body: &Bytes,
    places: &Places,
    shape: &Shape,
    meter: &Meter,
) -> Result<Bytes, crate::dialect::scan::lexer::Fault> {
    let cost = shape.bill(meter);
    let mut out = Vec::new();
    let told = places.usage.filter(|_| meter.usage.is_some());
    let spliced = match told {
        Some(at) => splice::cost_at(body, at, cost, &mut out)?,
        None => false,
    };
    if !spliced {
        splice::usage(body, &meter.usage(shape.prompt_estimate), cost, &mut out)?;
    }
    if !places.fingerprint {
        // There are choices, so there are other members.
        let inside = out.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
        out.splice(inside..inside, *b"\"system_fingerprint\":null,");
    }
    if let Some(metadata) = &shape.metadata {
        out = splice::member(&out, "openrouter_metadata", metadata)?;
    }
    Ok(Bytes::from(out))
}

fn overhear(choice: &Choice<'_>, meter: &mut Meter) -> Result<(), AnswerFault> {
    let message = choice.message.or(choice.delta).map_or("null", RawValue::get);
    let part: Option<Part<'_>> = serde_json::from_str(message)
        .map_err(|_| AnswerFault::Garbled("a message is not what it should be"))?;
    let part = part.unwrap_or_default();
    let count = part.tool_calls.as_ref().map_or(0, Vec::len);
    let calls = count > 0;
    meter.tool_calls = meter.tool_calls.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    let said = [
        part.content,
        part.reasoning,
        part.reasoning_content,
        part.refusal,
        part.audio,
        part.images,
    ];
    meter.semantic |=
        calls || part.function_call.is_some() || said.into_iter().any(wire::says_something);
    Lexer::new(message.as_bytes(), 0)
        .value(0, &mut Output::to(meter))
        .map_err(|_| AnswerFault::Garbled("the answer nests too deep"))?;
    if let Some(native) = wire::native_finish(choice.finish_reason) {
        let Some(reason) = wire::finish_reason(&native) else {
            let message = "the provider ended the answer with an error".to_owned();
            return Err(AnswerFault::InBand { code: Some(native), message });
        };
        meter.semantic = true;
        if meter.finish.is_none() {
            meter.finish = Some(reason);
            meter.native_finish = Some(native);
        }
    }
    Ok(())
}
