//! What all entries up to one add up to, in a file: the index's rows of a state, compressed.
//!
//! A snapshot belongs to the end of an archived segment. The manifest has the hash of its file, and
//! the state in it has the hash of the last entry contained, so it is part of the chain.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::ledger::state::State;
use crate::ledger::wire::{Malformed, Put, Take};

use super::files::Files;
use super::index::{Rows, Store, StoreFailed, Visit};
use super::manifest::{SnapshotLine, hash_file, hex};
use super::pending::Pending;
use super::{OpenError, rows};

const MAGIC: &[u8; 8] = b"tpsnapsh";
const VERSION: u8 = 1;
const LEVEL: i32 = 3;

/// The most bytes that a snapshot's row has; far more than any has.
const ROW_MAX: u64 = 1 << 20;

/// How the names of snapshots end.
pub(crate) const SUFFIX: &str = ".snapshot.zst";

/// A snapshot's file in an archive.
pub(crate) fn path(archive: &Path, seq: u64) -> PathBuf {
    archive.join(format!("{seq:020}{SUFFIX}"))
}

/// Writes a snapshot of a state into an archive.
pub(crate) fn write(files: &Files, archive: &Path, state: &State) -> io::Result<SnapshotLine> {
    let path = path(archive, state.seq);
    files.put(&path, |to| {
        let mut to = zstd::stream::write::Encoder::new(to, LEVEL)?;
        to.include_checksum(true)?;
        let Rows { put, delete: _, seq } = Pending::whole(state);
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        Put(&mut bytes).u64(seq);
        Put(&mut bytes).u64(put.len() as u64);
        for (key, value) in &put {
            for part in [key, value] {
                Put(&mut bytes).u64(part.len() as u64);
                bytes.extend_from_slice(part);
            }
            to.write_all(&bytes)?;
            bytes.clear();
        }
        to.write_all(&bytes)?;
        to.finish()?.flush()
    })?;
    Ok(SnapshotLine { seq: state.seq, head: hex(&state.head), blake3: hash_file(&path)? })
}

/// Reads a snapshot back: the state remembers `window` ended generations.
pub(crate) fn load(archive: &Path, line: &SnapshotLine, window: usize) -> Result<State, OpenError> {
    let path = path(archive, line.seq);
    let corrupt = |what: &str| OpenError::Corrupt(format!("{}: {what}", path.display()));
    if hash_file(&path).map_err(OpenError::at(&path))? != line.blake3 {
        return Err(corrupt("it is not the snapshot that the manifest lists"));
    }
    let file = fs::File::open(&path).map_err(OpenError::at(&path))?;
    let bytes = zstd::stream::decode_all(file).map_err(OpenError::at(&path))?;
    let rows = read(&bytes).map_err(|error| corrupt(&error.to_string()))?;
    let state = rows::load(&rows, window).map_err(|error| corrupt(&error.0))?;
    match state {
        Some(state) if state.seq == line.seq && hex(&state.head) == line.head => Ok(state),
        _ => Err(corrupt("it belongs to another entry than the manifest says")),
    }
}

fn read(bytes: &[u8]) -> Result<InMemory, Malformed> {
    const WHAT: &str = "snapshot";
    let mut from = Take(bytes);
    if from.bytes(MAGIC.len(), WHAT)? != MAGIC {
        return Err(Malformed(WHAT));
    }
    if from.u8(WHAT)? != VERSION {
        return Err(Malformed("snapshot version (written by a newer Turnpike?)"));
    }
    let _seq_is_in_the_rows_too = from.u64(WHAT)?;
    let count = from.u64(WHAT)?;
    let mut rows = BTreeMap::new();
    for _ in 0..count {
        let mut part = || -> Result<Vec<u8>, Malformed> {
            let len = from.u64(WHAT)?;
            if len > ROW_MAX {
                return Err(Malformed(WHAT));
            }
            let len = usize::try_from(len).map_err(|_| Malformed(WHAT))?;
            from.bytes(len, WHAT).map(<[u8]>::to_vec)
        };
        rows.insert(part()?, part()?);
    }
    from.end("snapshot (bytes left over)")?;
    Ok(InMemory(rows))
}

/// Rows that are only read.
struct InMemory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for InMemory {
    fn apply(&self, _: &Rows) -> Result<(), StoreFailed> {
        Err(StoreFailed("a snapshot is not written to".to_owned()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreFailed> {
        for (key, value) in self.0.range(prefix.to_vec()..) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        below: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFailed> {
        if prefix >= below {
            return Ok(());
        }
        for (key, value) in self.0.range(prefix.to_vec()..below.to_vec()).rev() {
            if key.starts_with(prefix) && !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreFailed> {
        Ok(())
    }

    fn close(&self) {}
}
