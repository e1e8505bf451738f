//! The turns of a request, whatever its form, and the places of their texts in its body.
//!
//! Plugins see turns; what they change is spliced into the body, so that everything else of it
//! stays as the client wrote it, and everything after it sees what the client could have sent.

mod read;
mod write;

#[cfg(test)]
mod tests;

use std::ops::Range;

use turnpike_plugin_api::{Request, Turn};

use crate::dialect::scan::Head;
use crate::error::GatewayError;

/// A conversation and where it stands.
pub(super) struct Turns {
    /// What plugins see.
    pub(super) turns: Vec<Turn>,
    places: Places,
}

/// Where everything stands: one entry per turn.
#[derive(Default)]
pub(super) struct Places {
    turns: Vec<Place>,
}

/// Where a turn stands.
#[derive(Default)]
struct Place {
    /// The element of its array.
    element: Option<Range<usize>>,
    /// Its texts.
    texts: Vec<Spot>,
    /// The list of its parts, if it has one.
    parts: Option<Range<usize>>,
}

/// Where a text stands.
struct Spot {
    span: Range<usize>,
    /// It is JSON of its own, not a string: arguments of a call in Anthropic's form.
    bare: bool,
}

impl Turns {
    /// Reads a body that was scanned. Texts of tools are left out unless they are wanted.
    ///
    /// # Errors
    /// A part of the conversation is not what its form has; the error names it.
    pub(super) fn read(head: &Head, body: &[u8], tools: bool) -> Result<Self, GatewayError> {
        read::read(head, body, tools)
    }

    /// Takes the turns out, and leaves their places.
    pub(super) fn take(self) -> (Vec<Turn>, Places) {
        (self.turns, self.places)
    }
}

impl Places {
    /// The body with what was changed; `None` where arguments of a call are JSON no more.
    pub(super) fn write(&self, head: &Head, body: &[u8], request: &Request) -> Option<Vec<u8>> {
        write::write(self, head, body, request)
    }
}
