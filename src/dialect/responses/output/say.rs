//! What a stream says of each step, and the object that it says first and last.

use super::Output;
use crate::dialect::chat;
use crate::dialect::json;
use crate::dialect::responses::object::{self, Body, Failure};

impl Output {
    /// The last event, or the whole answer where nothing was said so far.
    pub(super) fn conclude(
        &mut self,
        kind: &'static str,
        wire: &mut Vec<u8>,
        write: impl FnOnce(&Self, &mut Vec<u8>),
    ) {
        if self.silent {
            write(self, wire);
            wire.push(b'}');
        } else {
            self.say(kind, wire, |this, wire| {
                json::key(wire, "response");
                write(this, wire);
                wire.push(b'}');
            });
        }
    }

    /// Says a step, after the beginning.
    pub(super) fn say(
        &mut self,
        kind: &'static str,
        wire: &mut Vec<u8>,
        write: impl FnOnce(&Self, &mut Vec<u8>),
    ) {
        if self.silent {
            return;
        }
        self.begin(wire);
        self.step(kind, wire, write);
    }

    /// Says the beginning, before anything is in the output.
    pub(super) fn begin(&mut self, wire: &mut Vec<u8>) {
        if self.begun || self.silent {
            return;
        }
        self.begun = true;
        for kind in ["response.created", "response.in_progress"] {
            self.step(kind, wire, |this, wire| {
                json::key(wire, "response");
                this.response("in_progress", None, None, wire);
                wire.extend_from_slice(b",\"usage\":null}");
            });
        }
    }

    fn step(
        &mut self,
        kind: &'static str,
        wire: &mut Vec<u8>,
        write: impl FnOnce(&Self, &mut Vec<u8>),
    ) {
        wire.extend_from_slice(b"event: ");
        wire.extend_from_slice(kind.as_bytes());
        wire.extend_from_slice(b"\ndata: {");
        json::text_member(wire, "type", kind);
        json::number_member(wire, "sequence_number", self.sequence);
        self.sequence += 1;
        write(self, wire);
        wire.extend_from_slice(b"}\n\n");
    }

    /// Appends the response object up to its usage.
    pub(super) fn response(
        &self,
        status: &str,
        why: Option<&str>,
        failure: Option<Failure<'_>>,
        wire: &mut Vec<u8>,
    ) {
        wire.extend_from_slice(&self.head);
        json::text_member(wire, "status", status);
        json::key(wire, "error");
        match failure {
            None => wire.extend_from_slice(b"null"),
            Some(failure) => {
                wire.push(b'{');
                json::text_member(wire, "code", failure.code);
                json::text_member(wire, "message", failure.message);
                wire.push(b'}');
            }
        }
        json::key(wire, "incomplete_details");
        match why {
            None => wire.extend_from_slice(b"null"),
            Some(why) => {
                wire.push(b'{');
                json::text_member(wire, "reason", why);
                wire.push(b'}');
            }
        }
        json::comma(wire);
        wire.extend_from_slice(self.echo.as_bytes());
        object::list(wire, "output", self.items.iter(), object::item);
        if status != "in_progress" {
            chat::write_metadata(wire, self.metadata.as_deref());
        }
    }

    pub(super) fn item(&self, at: usize, wire: &mut Vec<u8>) {
        json::number_member(wire, "output_index", at as u64);
        json::key(wire, "item");
        object::item(wire, &self.items[at]);
    }

    pub(super) fn place(&self, at: usize, wire: &mut Vec<u8>) {
        json::text_member(wire, "item_id", &self.items[at].id);
        json::number_member(wire, "output_index", at as u64);
    }

    /// The place of the last part of a message.
    pub(super) fn place_of_part(&self, at: usize, wire: &mut Vec<u8>) {
        let Body::Message(parts) = &self.items[at].body else { return };
        self.place(at, wire);
        json::number_member(wire, "content_index", parts.len().saturating_sub(1) as u64);
    }

    pub(super) fn part(&self, at: usize, wire: &mut Vec<u8>) {
        self.place_of_part(at, wire);
        if let Body::Message(parts) = &self.items[at].body
            && let Some(part) = parts.last()
        {
            json::key(wire, "part");
            object::part(wire, part);
        }
    }

    /// The place of the last part of a reasoning item.
    pub(super) fn place_of_thought(&self, at: usize, wire: &mut Vec<u8>) {
        let Body::Reasoning { thoughts, .. } = &self.items[at].body else { return };
        self.place(at, wire);
        if let Some(thought) = thoughts.last() {
            let name = if thought.summary { "summary_index" } else { "content_index" };
            json::number_member(wire, name, thought.index);
        }
    }

    pub(super) fn thought(&self, at: usize, wire: &mut Vec<u8>) {
        self.place_of_thought(at, wire);
        if let Body::Reasoning { thoughts, .. } = &self.items[at].body
            && let Some(thought) = thoughts.last()
        {
            json::key(wire, "part");
            object::thought(wire, thought);
        }
    }
}
