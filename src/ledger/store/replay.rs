//! Reading the journal back.
//!
//! A crash can leave the last group half written, in any order of its blocks. So where the last
//! segment stops making sense, what follows is searched for a sound entry of a *later* group: if
//! there is one, the damaged entry was durable before that one was written, and the damage is
//! corruption. If there is none, the rest is a torn tail: nothing in it was ever acknowledged, and
//! it is cut off. Zeros up to the end are space that was never written to (see [`super::journal`]);
//! that nothing is missing before them, the next segment's chain tells. Damage anywhere else is
//! corruption. Packed segments read as they did before they were packed.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::ledger::entry::{Entry, FRAME_HEAD, Frame, GENESIS, PAYLOAD_MAX};

use super::journal::{HEADER, name, read_header};
use super::manifest::Manifest;
use super::packed::Packed;
use super::segments::{Segments, Source};
use super::{OpenError, Place};

/// Where the journal ends.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// The last segment; absent if the journal is empty.
    pub(crate) segment: Option<u64>,
    /// How much of it is sound, in bytes.
    pub(crate) len: u64,
    /// How many bytes a crash left half written.
    pub(crate) torn_bytes: u64,
    /// Segments that a crash left without a header: to be removed.
    pub(crate) stillborn: Vec<PathBuf>,
    /// The last sound entry's sequence; 0 for none.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) head: [u8; 32],
    /// The entry before the first that was read, and its hash as the segment's header says; absent
    /// if reading began with the first of all.
    pub(crate) start: Option<(u64, [u8; 32])>,
}

/// One entry as it was read.
pub(crate) struct Line<'a> {
    pub(crate) entry: Entry,
    /// Its bytes.
    pub(crate) payload: &'a [u8],
    pub(crate) place: Place,
    pub(crate) hash: [u8; 32],
}

/// What entries are shown to.
pub(crate) type Reading<'a> = dyn FnMut(Line<'_>) -> Result<(), OpenError> + 'a;

/// Reads every entry from the segment that holds `from_seq` on, in order, and checks checksums,
/// chain and sequence. What comes before that segment is not read.
pub(crate) fn replay(
    segments: &Segments,
    from_seq: u64,
    visit: &mut Reading<'_>,
) -> Result<Tail, OpenError> {
    let mut sources = segments.list()?;
    let mut tail = Tail { head: GENESIS, ..Tail::default() };
    if let Some(last) = sources.last()
        && is_stillborn(&last.path)?
    {
        tail.torn_bytes += length(&last.path)?;
        tail.stillborn.push(last.path.clone());
        sources.pop();
    }
    if let Some(first) = sources.first()
        && first.first_seq > from_seq.saturating_add(1)
    {
        return Err(missing(segments, first.first_seq));
    }
    let begin = sources.partition_point(|s| s.first_seq <= from_seq.max(1)).saturating_sub(1);
    let chosen = sources.get(begin..).unwrap_or_default();
    for (i, source) in chosen.iter().enumerate() {
        let mut reader = Segment::open(source, i + 1 == chosen.len())?;
        if i == 0 && source.first_seq > 1 {
            // The segments before are not read: this one's header says what it is chained to.
            tail.head = reader.prev;
            tail.seq = source.first_seq - 1;
            tail.start = Some((tail.seq, tail.head));
        }
        reader.read(&mut tail, visit)?;
    }
    Ok(tail)
}

fn missing(segments: &Segments, first: u64) -> OpenError {
    let archived = Manifest::load(segments.archive())
        .is_ok_and(|manifest| manifest.segments.iter().any(|line| line.last_seq + 1 == first));
    OpenError::Corrupt(if archived {
        format!(
            "the archive of the entries before {first} was moved away from {}: put it back, or \
             begin with the snapshot",
            segments.archive().display()
        )
    } else {
        format!("the segment before {} is missing", name(first))
    })
}

fn length(path: &Path) -> Result<u64, OpenError> {
    Ok(fs::metadata(path).map_err(OpenError::at(path))?.len())
}

/// A segment that a crash left before its header was durable. Entries come only after that, so a
/// longer file with a bad header is corrupt instead.
fn is_stillborn(path: &Path) -> Result<bool, OpenError> {
    if length(path)? > HEADER as u64 {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(OpenError::at(path))?;
    Ok(read_header(&bytes).is_err())
}

/// What the operating system does not complain of is damage inside a packed segment.
fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
    move |error| match error.raw_os_error() {
        Some(_) => OpenError::Io(path.to_owned(), error),
        None => OpenError::Corrupt(format!("{}: {error}", path.display())),
    }
}

/// A segment, open for reading from its start.
pub(crate) struct Segment {
    path: PathBuf,
    first_seq: u64,
    prev: [u8; 32],
    file: BufReader<Box<dyn Read>>,
    is_last: bool,
}

impl Segment {
    /// Opens a segment. Only the last of a journal may have a torn tail.
    pub(crate) fn open(source: &Source, is_last: bool) -> Result<Self, OpenError> {
        let Source { first_seq, packed, path } = source.clone();
        let file: Box<dyn Read> = if packed {
            Box::new(Packed::open(&path).map_err(unreadable(&path))?.reader())
        } else {
            Box::new(File::open(&path).map_err(OpenError::at(&path))?)
        };
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut bytes = Vec::with_capacity(HEADER);
        file.by_ref().take(HEADER as u64).read_to_end(&mut bytes).map_err(unreadable(&path))?;
        let (named, prev) = read_header(&bytes)
            .map_err(|error| OpenError::Corrupt(format!("{}: {error}", path.display())))?;
        let segment = Self { path, first_seq, prev, file, is_last };
        if named != first_seq {
            return Err(segment.corrupt(0, "its header belongs to another segment"));
        }
        Ok(segment)
    }

    fn corrupt(&self, offset: u64, what: &str) -> OpenError {
        OpenError::Corrupt(format!("{} at byte {offset}: {what}", self.path.display()))
    }

    /// Reads the entries, which must continue where `tail` ends.
    pub(crate) fn read(
        &mut self,
        tail: &mut Tail,
        visit: &mut Reading<'_>,
    ) -> Result<(), OpenError> {
        if self.prev != tail.head || self.first_seq != tail.seq + 1 {
            return Err(self.corrupt(0, "it does not continue the segment before"));
        }
        let mut offset = HEADER as u64;
        let mut buffer = Vec::with_capacity(FRAME_HEAD + PAYLOAD_MAX);
        loop {
            self.fill(&mut buffer)?;
            if buffer.is_empty() {
                break;
            }
            let len = match Frame::parse(&buffer) {
                Ok(frame) => {
                    let hash = *blake3::hash(frame.payload).as_bytes();
                    let (entry, prev) = Entry::read(frame.payload)
                        .map_err(|error| self.corrupt(offset, &error.to_string()))?;
                    if entry.seq != tail.seq + 1 {
                        return Err(self.corrupt(offset, "the sequence has a gap"));
                    }
                    if prev != tail.head {
                        return Err(self.corrupt(offset, "the chain of hashes is broken"));
                    }
                    tail.seq = entry.seq;
                    tail.head = hash;
                    let place = Place { segment: self.first_seq, offset };
                    let len = frame.len as u64;
                    visit(Line { entry, payload: frame.payload, place, hash })?;
                    len
                }
                Err(error) => {
                    tail.torn_bytes += self.torn(buffer, offset, tail.seq + 1, &error)?;
                    break;
                }
            };
            offset += len;
        }
        tail.segment = Some(self.first_seq);
        tail.len = offset;
        Ok(())
    }

    /// Reads one frame's bytes, or what is left of them.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<(), OpenError> {
        buffer.clear();
        let mut more = |buffer: &mut Vec<u8>, len: u64| {
            self.file.by_ref().take(len).read_to_end(buffer).map_err(unreadable(&self.path))
        };
        more(buffer, FRAME_HEAD as u64)?;
        if let Some(len) = buffer.first_chunk::<4>() {
            let len = u32::from_le_bytes(*len);
            if len as usize <= PAYLOAD_MAX {
                more(buffer, len.into())?;
            }
        }
        Ok(())
    }

    /// The length of a torn tail that begins with `rest`, the damaged bytes read so far.
    fn torn(
        &mut self,
        mut rest: Vec<u8>,
        offset: u64,
        lost_seq: u64,
        error: &dyn std::error::Error,
    ) -> Result<u64, OpenError> {
        self.file.read_to_end(&mut rest).map_err(unreadable(&self.path))?;
        let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if written == 0 {
            return Ok(0);
        }
        if !self.is_last {
            return Err(self.corrupt(offset, &error.to_string()));
        }
        // Fewer zeros than that may be a frame's own.
        if rest.len() - written > FRAME_HEAD + PAYLOAD_MAX {
            rest.truncate(written);
        }
        for at in 1..rest.len() {
            let Ok(frame) = Frame::parse(&rest[at..]) else { continue };
            let Ok((entry, _)) = Entry::read(frame.payload) else { continue };
            if entry.seq.saturating_sub(u64::from(frame.back)) > lost_seq {
                let what = format!("{error}, yet entry {} after it is sound", entry.seq);
                return Err(self.corrupt(offset, &what));
            }
        }
        Ok(rest.len() as u64)
    }
}
