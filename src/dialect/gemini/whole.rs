//! A whole answer → the hub's events.

use super::reader::Reader;
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or not of this dialect. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| AnswerFault::Garbled("the answer is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(AnswerFault::Empty);
    }
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
