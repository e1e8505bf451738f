//! Who may change an answer on its way.

use std::sync::Arc;

use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;

/// Changes the events of one attempt's answer, streamed or whole.
pub trait Filter: Send + Sync {
    /// Takes an event and puts out what the client gets in its stead.
    ///
    /// # Errors
    /// The answer cannot go on.
    fn take(&mut self, event: Event, into: &mut Vec<Event>) -> Result<(), AnswerFault>;

    /// Says that the answer is complete.
    fn end(&mut self);

    /// What the client is told of the routing, with what was done to the answer; `None` where that
    /// is nothing more.
    fn retold(&self, metadata: &str) -> Option<Arc<str>>;
}
