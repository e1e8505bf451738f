//! Appending to the journal.
//!
//! A segment is `FIRST_SEQ.seg`: a header (magic, version, first sequence, the hash that the first
//! entry is chained to, CRC32C) and frames. A new segment is begun when the last is full; it is
//! made durable, name included, before an entry goes into it.
//!
//! Space is filled with zeros ahead of the entries, a mebibyte at a time: a write that neither
//! lengthens a file nor gives it blocks costs fdatasync one write of data and none of the file
//! system's own. Zeros at the end of a segment are unwritten space, and are cut off when the
//! segment is left or the ledger closed.
//!
//! [`Journal::commit`] either makes a whole group durable or leaves the durable length as it was,
//! so the same group can be tried again, for instance once a full disk has room. After a failed
//! fdatasync the kernel may have dropped what it could not write; trying again writes the bytes
//! anew and does not trust a second fdatasync alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ledger::entry::GENESIS;
use crate::ledger::wire::{Malformed, Take};

use super::dir::sync_dir;
use super::replay::Tail;
use super::{OpenError, Place};

/// The length of a segment's header, in bytes.
pub(crate) const HEADER: usize = 56;

/// How much space is filled with zeros at a time, in bytes.
const AHEAD: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"tpjournl";
const VERSION: u32 = 1;

/// The journal, open for appending.
pub(crate) struct Journal {
    dir: PathBuf,
    segment: u64,
    file: File,
    /// How long the segment durably is.
    len: u64,
    /// How long the file is; what lies beyond `len` is zeros.
    zeroed: u64,
    segment_max: u64,
    #[cfg(test)]
    pub(crate) broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Journal {
    /// Opens the journal where replay ended, and cuts off what a crash left half written.
    pub(crate) fn open(dir: &Path, tail: &Tail, segment_max: u64) -> Result<Self, OpenError> {
        for path in &tail.stillborn {
            fs::remove_file(path).map_err(OpenError::at(path))?;
        }
        let (segment, file, len) = match tail.segment {
            None => {
                let path = dir.join(name(1));
                let file = begin(dir, 1, &GENESIS).map_err(OpenError::at(&path))?;
                (1, file, HEADER as u64)
            }
            Some(segment) => {
                let path = dir.join(name(segment));
                let file =
                    OpenOptions::new().write(true).open(&path).map_err(OpenError::at(&path))?;
                if tail.torn_bytes > 0 {
                    file.set_len(tail.len).map_err(OpenError::at(&path))?;
                    file.sync_all().map_err(OpenError::at(&path))?;
                }
                (segment, file, tail.len)
            }
        };
        let zeroed = file.metadata().map_or(len, |file| file.len().max(len));
        Ok(Self {
            dir: dir.to_owned(),
            segment,
            file,
            len,
            zeroed,
            segment_max,
            #[cfg(test)]
            broken: std::sync::Arc::default(),
        })
    }

    /// Makes room for a group of `len` bytes that begins with `first_seq`, chained to `prev`:
    /// begins a new segment if the last would grow beyond its limit. Returns where the group goes.
    pub(crate) fn room(
        &mut self,
        len: usize,
        first_seq: u64,
        prev: &[u8; 32],
    ) -> io::Result<Place> {
        let full = self.len.saturating_add(len as u64) > self.segment_max;
        if full && self.len > HEADER as u64 {
            self.check_broken()?;
            self.trim();
            self.file = begin(&self.dir, first_seq, prev)?;
            self.segment = first_seq;
            self.len = HEADER as u64;
            self.zeroed = self.len;
        }
        Ok(Place { segment: self.segment, offset: self.len })
    }

    /// Writes a group and makes it durable.
    pub(crate) fn commit(&mut self, group: &[u8]) -> io::Result<()> {
        let result = self.check_broken().and_then(|()| {
            self.fill_ahead(self.len.saturating_add(group.len() as u64));
            self.file.write_all_at(group, self.len)?;
            self.file.sync_data()
        });
        match result {
            Ok(()) => {
                self.len += group.len() as u64;
                self.zeroed = self.zeroed.max(self.len);
                Ok(())
            }
            Err(error) => {
                self.zeroed = self.len;
                // Best effort: the next try overwrites the same bytes, and recovery would cut them.
                self.file.set_len(self.len).map_err(|second| {
                    io::Error::new(error.kind(), format!("{error}; cutting it off: {second}"))
                })?;
                Err(error)
            }
        }
    }

    /// Fills space with zeros if a group that ends at `end` needs more than there is. The group's
    /// own fdatasync makes it durable. Where the disk has no room for it, the group may still fit.
    fn fill_ahead(&mut self, end: u64) {
        if end <= self.zeroed || end >= self.segment_max {
            return;
        }
        let len = usize::try_from(self.segment_max - end).unwrap_or(AHEAD).min(AHEAD);
        if self.file.write_all_at(&vec![0; len], end).is_ok() {
            self.zeroed = end + len as u64;
        }
    }

    /// Cuts unwritten space off. It does no harm where it stays.
    pub(crate) fn trim(&mut self) {
        if self.zeroed > self.len && self.file.set_len(self.len).is_ok() {
            self.zeroed = self.len;
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests can break the disk")]
    const fn check_broken(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn check_broken(&self) -> io::Result<()> {
        if self.broken.load(std::sync::atomic::Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn begin(dir: &Path, first_seq: u64, prev: &[u8; 32]) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(dir.join(name(first_seq)))?;
    file.write_all_at(&header(first_seq, prev), 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok(file)
}

/// A segment's file name.
pub(crate) fn name(first_seq: u64) -> String {
    format!("{first_seq:020}.seg")
}

fn header(first_seq: u64, prev: &[u8; 32]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&first_seq.to_le_bytes());
    bytes[20..52].copy_from_slice(prev);
    let crc = crc32c::crc32c(&bytes[..52]);
    bytes[52..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a header: the first sequence and the hash that it is chained to.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(u64, [u8; 32]), Malformed> {
    const WHAT: &str = "segment header";
    let mut from = Take(bytes.get(..HEADER).ok_or(Malformed(WHAT))?);
    let mut number = |len: usize| -> Result<u64, Malformed> {
        let bytes = from.bytes(len, WHAT)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let magic = number(8)?;
    let version = number(4)?;
    let first_seq = number(8)?;
    let prev = from.hash(WHAT)?;
    let crc = &bytes[HEADER - 4..HEADER];
    let sound = magic == u64::from_le_bytes(*MAGIC)
        && crc == crc32c::crc32c(&bytes[..HEADER - 4]).to_le_bytes();
    if !sound {
        return Err(Malformed(WHAT));
    }
    if version != u64::from(VERSION) {
        return Err(Malformed("segment version (written by a newer Turnpike?)"));
    }
    Ok((first_seq, prev))
}

/// Reads up to `len` bytes of a segment from an offset on: fewer only at its end.
pub(crate) fn read_at(path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = vec![0; len];
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], offset + have as u64) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}
