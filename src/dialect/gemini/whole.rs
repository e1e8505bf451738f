//! A whole answer → the hub's events.

use super::reader::Reader;
use crate::dialect::ir::Event;
use crate::dialect::{AnswerFault, answer_text};

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or not of this dialect. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    let text = answer_text(body)?;
    let (mut reader, mut events) = (Reader::whole(), Vec::new());
    reader.document(text, &mut events)?;
    if !events.iter().any(Event::is_semantic) {
        return Err(AnswerFault::Empty);
    }
    if let (_, false) = reader.progress() {
        return Err(AnswerFault::Truncated);
    }
    events.push(Event::End);
    out.append(&mut events);
    Ok(())
}
