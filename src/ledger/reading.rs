//! Reading the records of generations out of a ledger's files, also while a gateway writes them.

use std::io;
use std::path::Path;

use super::record::GenerationRecord;
use super::store::OpenError;
use super::store::dir::Dir;
use super::store::replay::replay;
use super::store::segments::Segments;

/// How often a journal that is being written is read anew where it seems damaged: what is half
/// written when it is read looks like that.
const TRIES: u32 = 3;

/// Adds every record in the ledger in a directory to a copy of `empty`, the oldest first. A gateway
/// may be at work in it: what it writes meanwhile may be missing.
///
/// # Errors
/// There is no ledger, or it cannot be read or is corrupt.
pub fn sum_records<T: Clone>(
    root: impl AsRef<Path>,
    empty: &T,
    add: impl Fn(&mut T, &GenerationRecord),
) -> Result<T, OpenError> {
    let root = root.as_ref();
    // Where nobody is at work, nobody starts before this is done.
    let _lock = match Dir::existing(root) {
        Ok(dir) => Some(dir),
        Err(OpenError::Locked(_)) => None,
        Err(error) => return Err(error),
    };
    let segments = Segments::new(root.join("journal"), root.join("archive"));
    let mut tries = 0;
    loop {
        tries += 1;
        let mut sum = empty.clone();
        // What was moved away is not asked for.
        let read = segments.oldest().and_then(|first| {
            replay(&segments, first, &mut |line| {
                if let Some(record) = line.entry.event.record() {
                    add(&mut sum, record);
                }
                Ok(())
            })
        });
        match read {
            Ok(_tail) => return Ok(sum),
            Err(OpenError::Corrupt(_)) if tries < TRIES => {}
            // It was packed into the archive meanwhile.
            Err(OpenError::Io(_, error))
                if error.kind() == io::ErrorKind::NotFound && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}
