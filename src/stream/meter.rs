//! What an answer turned out to be.

use crate::dialect::AnswerShape;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::scan::TextStats;
use crate::dialect::scan::lexer::Text;
use crate::dialect::tokens;
use crate::vocab::Usage;

use super::delivered::Delivered;
use super::glance::Glance;

/// What was overheard of an answer so far.
#[derive(Debug, Default)]
pub struct Meter {
    /// What the provider says was consumed; the last report counts.
    pub usage: Option<Usage>,
    /// Why the first choice ended.
    pub finish: Option<FinishReason>,
    /// The same in the provider's own words.
    pub native_finish: Option<String>,
    /// The provider's id for the answer.
    pub upstream_id: Option<String>,
    /// The model that the provider says it used.
    pub upstream_model: Option<String>,
    /// Calls of tools that were begun.
    pub tool_calls: u32,
    /// Bytes of text put out: content, reasoning, refusals and tool calls.
    pub output_bytes: u64,
    /// Whether something of the answer came: text, reasoning, a tool call, a refusal or an end.
    pub semantic: bool,
    /// Whether the answer came to its proper end.
    pub complete: bool,
    text: TextStats,
    /// What was put out since the last report.
    since: TextStats,
    /// The same text, while it may have to be counted: nobody has reported on it.
    kept: Option<String>,
    /// The most completion tokens that were asked for.
    completion_max: Option<u64>,
    /// What the client has, while another provider may have to go on with it.
    pub(super) delivered: Option<Box<Delivered>>,
}

/// The longest text that is kept to be counted, in bytes; what is longer is estimated by its size.
const KEPT_MAX: usize = 256 << 10;

impl Meter {
    /// A meter for an answer of which at most so many completion tokens were asked for.
    pub(super) fn up_to(completion_max: u64) -> Self {
        Self { completion_max: Some(completion_max), ..Self::default() }
    }

    /// Keeps the text that comes from here on, so that it can be counted if the provider does not.
    pub(super) fn keep_text(&mut self) {
        self.kept = Some(String::new());
    }

    /// Counts what nobody has reported on, at the end of an answer. `prompt` is the request.
    pub(super) fn count_rest(&mut self, prompt: &[u8]) {
        let Some(kept) = self.kept.take().filter(|_| self.usage.is_none()) else { return };
        let usage = Usage {
            prompt: tokens::count_body(prompt),
            completion: tokens::count(&kept).min(self.completion_max.unwrap_or(u64::MAX)),
            estimated: true,
            ..Usage::default()
        };
        self.report(usage);
    }

    /// What is charged: the provider's own counts, or else ours, marked as estimated. Ours never
    /// exceed what was asked for, and so what was set aside.
    ///
    /// A report that text came after (Anthropic sends one with the start of a message) is taken
    /// for what it says of the prompt; the answer that it missed is estimated.
    pub fn usage(&self, prompt_estimate: u64) -> Usage {
        let most = self.completion_max.unwrap_or(u64::MAX);
        let all = self.text.estimate_prompt_tokens();
        match self.usage {
            Some(told) if self.is_reported() => told,
            Some(told) => {
                let with_rest = told.completion.saturating_add(self.since.estimate_prompt_tokens());
                let completion = all.min(with_rest).min(most).max(told.completion);
                Usage { completion, estimated: true, ..told }
            }
            None => Usage {
                prompt: prompt_estimate,
                completion: all.min(most),
                estimated: true,
                ..Usage::default()
            },
        }
    }

    /// The completion tokens that came by now, estimated from the text's size; no less than were
    /// reported, and whatever was asked for.
    pub fn put_out_tokens(&self) -> u64 {
        let told = self.usage.map_or(0, |usage| usage.completion);
        self.text.estimate_prompt_tokens().max(told)
    }

    /// The same, counted where the text is kept.
    pub fn counted_tokens(&self) -> u64 {
        self.kept.as_deref().map_or_else(|| self.put_out_tokens(), tokens::count)
    }

    /// Takes the provider's counts.
    pub(super) fn report(&mut self, usage: Usage) {
        self.kept = None;
        self.usage = Some(usage);
        self.since = TextStats::default();
    }

    /// Whether the provider has reported on all that it put out.
    pub(super) const fn is_reported(&self) -> bool {
        self.usage.is_some() && self.since.ascii_bytes == 0 && self.since.wide_bytes == 0
    }

    /// Takes note of a whole answer.
    pub(super) fn glance(&mut self, seen: &Glance<'_>) {
        self.upstream_id = seen.id.map(str::to_owned);
        self.upstream_model = seen.model.map(str::to_owned);
        self.put_out(seen.text);
        self.semantic = true;
        self.finish = Some(seen.finish);
        self.native_finish = Some(seen.native.to_owned());
        self.report(seen.usage);
    }

    /// Takes note of an event.
    pub(super) fn see(&mut self, event: &Event) {
        self.semantic |= event.is_semantic();
        self.tool_calls += u32::from(matches!(event, Event::ToolStart { .. }));
        match event {
            Event::Start { id, model } => {
                self.upstream_id.clone_from(id);
                self.upstream_model.clone_from(model);
            }
            Event::Text { text, .. }
            | Event::Reasoning { text, .. }
            | Event::ReasoningSummary { text, .. }
            | Event::Refusal { text, .. }
            | Event::ToolArguments { json: text, .. }
            | Event::ToolStart { name: text, .. } => {
                let mut stats = TextStats::default();
                stats.add_plain(text);
                self.put_out(stats);
                self.keep(text);
            }
            Event::Finish { choice, reason, native, .. } => {
                if *choice == 0 || self.finish.is_none() {
                    self.finish = Some(*reason);
                    self.native_finish = Some(native.clone());
                }
            }
            Event::Usage(usage) => self.report(*usage),
            Event::ReasoningSignature { .. }
            | Event::ReasoningEncrypted { .. }
            | Event::Citation { .. }
            | Event::Image { .. }
            | Event::Logprobs { .. }
            | Event::End => {}
        }
    }

    /// Keeps text that was put out, while it may have to be counted.
    fn keep(&mut self, text: &str) {
        match &mut self.kept {
            Some(kept) if kept.len() + text.len() <= KEPT_MAX => kept.push_str(text),
            _ => self.kept = None,
        }
    }

    /// Counts a string of the answer that was put out.
    pub(super) fn put_out_text(&mut self, text: &Text<'_>) {
        let mut stats = TextStats::default();
        stats.add(text);
        self.put_out(stats);
        let Some(kept) = &mut self.kept else { return };
        if kept.len() + text.raw.len() > KEPT_MAX {
            self.kept = None;
            return;
        }
        // Half a pair of surrogates cannot be counted.
        let _counted = text.unescape_into(kept);
    }

    /// Counts text that was put out and has been unescaped.
    pub(super) fn put_out_plain(&mut self, stats: TextStats, text: &str) {
        self.put_out(stats);
        if self.kept.is_some() {
            self.keep(text);
        }
    }

    /// Takes note of what goes to the client.
    pub(super) fn hand_over(&mut self, event: &Event) {
        if let Some(delivered) = &mut self.delivered {
            delivered.see(event);
        }
    }

    /// Counts text that was put out.
    pub(super) fn put_out(&mut self, stats: TextStats) {
        for sum in [&mut self.text, &mut self.since] {
            sum.ascii_bytes += stats.ascii_bytes;
            sum.wide_bytes += stats.wide_bytes;
        }
        self.output_bytes += stats.ascii_bytes + stats.wide_bytes;
    }

    /// Gives a chunk of our own the names that the provider's chunks have.
    pub(super) fn name(&self, shape: &mut AnswerShape) {
        if let Some(id) = &self.upstream_id {
            shape.id.clone_from(id);
        }
        if let Some(model) = &self.upstream_model {
            shape.model.clone_from(model);
        }
    }
}
