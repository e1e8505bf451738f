//! How parts, items and answers end.

use std::sync::Arc;

use super::{OUTPUT_MAX, Output};
use crate::dialect::Bill;
use crate::dialect::ir::FinishReason;
use crate::dialect::json;
use crate::dialect::responses::object::{self, Body, Failure};
use crate::dialect::responses::tools::input_of_arguments;

impl Output {
    /// How the request was routed, for the end.
    pub(in crate::dialect::responses) fn retell(&mut self, metadata: Option<Arc<str>>) {
        self.metadata = metadata;
    }

    pub(super) fn close_message(&mut self, wire: &mut Vec<u8>) {
        if let Some(at) = self.message {
            self.close_message_as("completed", at, wire);
        }
    }

    pub(super) fn close_message_as(&mut self, status: &'static str, at: usize, wire: &mut Vec<u8>) {
        self.message = None;
        self.close_part(at, wire);
        self.done(at, status, wire);
    }

    /// Says that the last part of a message is complete.
    pub(super) fn close_part(&mut self, at: usize, wire: &mut Vec<u8>) {
        let Body::Message(parts) = &self.items[at].body else { return };
        let Some(refusal) = parts.last().map(|part| part.refusal) else { return };
        let kind = if refusal { "response.refusal.done" } else { "response.output_text.done" };
        self.say(kind, wire, |this, wire| {
            let Body::Message(parts) = &this.items[at].body else { return };
            this.place_of_part(at, wire);
            let Some(part) = parts.last() else { return };
            json::text_member(wire, if refusal { "refusal" } else { "text" }, &part.text);
            if !refusal {
                object::logprobs(wire, &part.tokens);
            }
        });
        self.say("response.content_part.done", wire, |this, wire| this.part(at, wire));
    }

    pub(super) fn close_reasoning(&mut self, wire: &mut Vec<u8>) {
        if let Some(at) = self.reasoning.take() {
            self.close_thought(at, wire);
            self.done(at, "completed", wire);
        }
    }

    /// Says that the last part of a reasoning item is complete.
    pub(super) fn close_thought(&mut self, at: usize, wire: &mut Vec<u8>) {
        let Body::Reasoning { thoughts, .. } = &self.items[at].body else { return };
        let Some(summary) = thoughts.last().map(|thought| thought.summary) else { return };
        let (text, part) = if summary {
            ("response.reasoning_summary_text.done", "response.reasoning_summary_part.done")
        } else {
            ("response.reasoning_text.done", "response.content_part.done")
        };
        self.say(text, wire, |this, wire| {
            let Body::Reasoning { thoughts, .. } = &this.items[at].body else { return };
            this.place_of_thought(at, wire);
            if let Some(thought) = thoughts.last() {
                json::text_member(wire, "text", &thought.text);
            }
        });
        self.say(part, wire, |this, wire| this.thought(at, wire));
    }

    pub(super) fn close_call(&mut self, at: usize, status: &'static str, wire: &mut Vec<u8>) {
        let Body::Call { arguments, custom, .. } = &mut self.items[at].body else { return };
        let custom = *custom;
        let mut late = None;
        if custom {
            *arguments = input_of_arguments(arguments);
            late = Some(arguments.clone());
        } else if arguments.is_empty() && status == "completed" {
            // A call without arguments: clients parse them as JSON.
            arguments.push_str("{}");
            late = Some(arguments.clone());
        }
        let (delta, done) = if custom {
            ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done")
        } else {
            ("response.function_call_arguments.delta", "response.function_call_arguments.done")
        };
        if let Some(late) = late {
            self.say(delta, wire, |this, wire| {
                this.place(at, wire);
                json::text_member(wire, "delta", &late);
            });
        }
        self.say(done, wire, |this, wire| {
            let Body::Call { name, arguments, .. } = &this.items[at].body else { return };
            this.place(at, wire);
            if custom {
                json::text_member(wire, "input", arguments);
            } else {
                json::text_member(wire, "name", name);
                json::text_member(wire, "arguments", arguments);
            }
        });
        self.done(at, status, wire);
    }

    pub(super) fn done(&mut self, at: usize, status: &'static str, wire: &mut Vec<u8>) {
        self.items[at].status = status;
        self.say("response.output_item.done", wire, |this, wire| this.item(at, wire));
    }

    /// Closes what is open. In an answer that was cut the last item is what was cut.
    pub(super) fn close_all(&mut self, cut: bool, wire: &mut Vec<u8>) {
        let last = self.items.len().saturating_sub(1);
        let status = |at: usize| if cut && at == last { "incomplete" } else { "completed" };
        self.close_reasoning(wire);
        if let Some(at) = self.message {
            self.close_message_as(status(at), at, wire);
        }
        for at in std::mem::take(&mut self.open_calls) {
            self.close_call(at, status(at), wire);
        }
    }

    /// Takes the end: the whole answer.
    pub(in crate::dialect::responses) fn end(&mut self, cost: Option<Bill>, wire: &mut Vec<u8>) {
        let reason = self.finish.unwrap_or(FinishReason::Stop);
        let too_large = Failure {
            code: "server_error",
            message: "The answer is larger than the gateway passes on.",
            error_type: "provider_unavailable",
        };
        let failed =
            Failure { message: "The provider failed after a part of the answer.", ..too_large };
        if self.size > OUTPUT_MAX {
            return self.fail(too_large, cost, wire);
        }
        let (status, why) = match reason {
            FinishReason::Stop | FinishReason::ToolCalls => ("completed", None),
            FinishReason::Length => ("incomplete", Some("max_output_tokens")),
            FinishReason::ContentFilter => ("incomplete", Some("content_filter")),
            FinishReason::Error => return self.fail(failed, cost, wire),
        };
        self.close_all(why.is_some(), wire);
        let kind = match why {
            None => "response.completed",
            Some(_) => "response.incomplete",
        };
        self.conclude(kind, wire, |this, wire| {
            this.response(status, why, None, wire);
            object::usage(wire, this.usage.as_ref(), cost);
        });
    }

    /// Ends an answer that went wrong; what is open stays so.
    pub(in crate::dialect::responses) fn fail(
        &mut self,
        failure: Failure<'_>,
        cost: Option<Bill>,
        wire: &mut Vec<u8>,
    ) {
        for item in &mut self.items {
            if item.status == "in_progress" {
                item.status = "incomplete";
                if let Body::Call { arguments, custom: true, .. } = &mut item.body {
                    *arguments = input_of_arguments(arguments);
                }
            }
        }
        self.conclude("response.failed", wire, |this, wire| {
            this.response("failed", None, Some(failure), wire);
            object::usage(wire, this.usage.as_ref().filter(|_| cost.is_some()), cost);
            json::text_member(wire, "error_type", failure.error_type);
        });
    }
}
