//! The part of the index that grows: where each generation stands, in runs.
//!
//! Rows of generations are written once, never change and are many, which is what sled is worst at. So
//! sled keeps what changes (balances, keys, holds, the days' sums), and these rows go the way of a
//! log-structured merge tree whose log is the journal: into memory, from there into a file of sorted
//! rows ([`file`]) when there are enough, and eight files become one. A file says which entries its
//! rows are of; what was only in memory when the process ended is read from the journal again.
//!
//! Look-ups see memory first and then the files, the newest first. All of it is derived: a file that is
//! damaged or missing has the whole index made anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::files::{Files, UNFINISHED};
use super::index::{Rows, SledStore, Store, StoreFailed, Visit};
use super::rows::after;

mod file;
mod filter;
mod merge;

pub(crate) use file::Span;
use file::{Run, Writer};
use merge::{Cursor, Merged};

/// How many bytes of rows are gathered in memory for a run.
const GATHER: usize = 2 << 20;

/// So many runs of about the same size become one.
const FAN: usize = 8;

/// How the keys of generations' ids begin.
const IDS: &[u8] = b"g";

const SUFFIX: &str = ".run";

/// Whether rows of this kind are rows of generations.
pub(crate) const fn is_ours(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'g' | b'u' | b'i'))
}

/// Whether keys of this kind are hashes: they have no order in time.
const fn is_scattered(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'u'))
}

/// The index: sled, and runs for rows of generations.
pub(crate) struct Layers {
    sled: SledStore,
    dir: PathBuf,
    files: Files,
    gather: usize,
    memory: RwLock<Memory>,
    /// The newest first.
    runs: ArcSwap<Vec<Arc<Run>>>,
    /// Why runs could not be merged last.
    complaint: Mutex<Option<String>>,
}

/// Rows that no run has yet.
#[derive(Default)]
struct Memory {
    rows: Arc<BTreeMap<Vec<u8>, Vec<u8>>>,
    bytes: usize,
    /// How many of them have scattered keys.
    scattered: u64,
    /// The last entry that they are of, or a run has.
    last: u64,
}

impl Layers {
    /// Opens the index, or makes it.
    pub(crate) fn open(index: &Path, runs: &Path) -> Result<Self, StoreFailed> {
        Self::open_with(index, runs, Files::default(), GATHER)
    }

    fn open_with(
        index: &Path,
        dir: &Path,
        files: Files,
        gather: usize,
    ) -> Result<Self, StoreFailed> {
        let at = |error: io::Error| StoreFailed(format!("{}: {error}", dir.display()));
        fs::create_dir_all(dir).map_err(at)?;
        let runs = load(dir, &files)?;
        let sled = SledStore::open(index)?;
        let mut old = false;
        for kind in [b"g", b"u", b"i"] {
            sled.scan(kind, &mut |_, _| {
                old = true;
                false
            })?;
        }
        if old {
            return Err(StoreFailed("an older version wrote it".to_owned()));
        }
        let last = runs.first().map_or(0, |run| run.span.last);
        Ok(Self {
            sled,
            dir: dir.to_owned(),
            files,
            gather,
            memory: RwLock::new(Memory { last, ..Memory::default() }),
            runs: ArcSwap::from_pointee(runs),
            complaint: Mutex::default(),
        })
    }

    /// Removes a damaged index and makes an empty one.
    pub(crate) fn recreate(index: &Path, runs: &Path) -> Result<Self, StoreFailed> {
        match fs::remove_dir_all(runs) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreFailed(format!("{}: {error}", runs.display())));
            }
            Ok(()) | Err(_) => {}
        }
        drop(SledStore::recreate(index)?);
        Self::open(index, runs)
    }

    /// Writes what is in memory to a run.
    fn spill(&self) -> Result<(), StoreFailed> {
        let (rows, scattered, last) = {
            let memory = self.memory.read();
            (Arc::clone(&memory.rows), memory.scattered, memory.last)
        };
        if rows.is_empty() {
            return Ok(());
        }
        let first = self.runs.load().first().map_or(1, |run| run.span.last + 1);
        let span = Span { first, last };
        let put = self.files.put(&self.path(span), |to| {
            let mut writer = Writer::new(to, scattered);
            rows.iter().try_for_each(|(key, value)| writer.push(key, value))?;
            writer.finish(span)
        });
        put.map_err(|error| self.failed(span, &error))?;
        let run = Run::open(&self.path(span)).map_err(|error| self.failed(span, &error))?;
        let mut memory = self.memory.write();
        let mut runs = Vec::clone(&self.runs.load());
        runs.insert(0, Arc::new(run));
        self.runs.store(Arc::new(runs));
        *memory = Memory { last: memory.last, ..Memory::default() };
        Ok(())
    }

    /// Makes one run of many where there are enough.
    fn merge(&self) -> Result<(), StoreFailed> {
        loop {
            let runs = self.runs.load_full();
            let Some(count) = due(&runs, self.gather) else { return Ok(()) };
            let (some, rest) = runs.split_at(count);
            let (Some(newest), Some(oldest)) = (some.first(), some.last()) else { return Ok(()) };
            let span = Span { first: oldest.span.first, last: newest.span.last };
            let failed = |error: io::Error| self.failed(span, &error);
            let path = self.path(span);
            let keys = some.iter().map(|run| run.rows).sum();
            let put = self.files.put(&path, |to| {
                let mut writer = Writer::new(to, keys);
                let mut merged = Merged::of_runs(some, b"")?;
                while let Some((key, value)) = merged.next()? {
                    writer.push(&key, &value)?;
                }
                writer.finish(span)
            });
            put.map_err(failed)?;
            let one = Arc::new(Run::open(&path).map_err(failed)?);
            let next = std::iter::once(one).chain(rest.iter().cloned()).collect();
            self.runs.store(Arc::new(next));
            for run in some {
                self.files.remove(run.path()).map_err(failed)?;
            }
        }
    }

    fn path(&self, Span { first, last }: Span) -> PathBuf {
        self.dir.join(format!("{first:020}-{last:020}{SUFFIX}"))
    }

    fn failed(&self, span: Span, error: &io::Error) -> StoreFailed {
        StoreFailed(format!("{}: {error}", self.path(span).display()))
    }

    /// What memory and the runs have of a range of keys, in order or backwards.
    fn visit_range(
        &self,
        (from, below): (&[u8], &[u8]),
        back: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFailed> {
        // Memory before the runs: what is spilled in between is seen twice rather than never.
        let memory = Arc::clone(&self.memory.read().rows);
        let runs = self.runs.load_full();
        let failed = |error: io::Error| StoreFailed(error.to_string());
        let (mut merged, memory) = if back {
            (Merged::of_runs_back(&runs, below).map_err(failed)?, Cursor::below(memory, below))
        } else {
            (Merged::of_runs(&runs, from).map_err(failed)?, Cursor::from(memory, from))
        };
        merged.and_memory(memory);
        while let Some((key, value)) = merged.next().map_err(failed)? {
            let outside = if back { &*key < from } else { &*key >= below };
            if outside || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

/// How many of the newest runs should become one; absent if none.
fn due(runs: &[Arc<Run>], gather: usize) -> Option<usize> {
    let tier = |run: &Run| {
        let (mut tier, mut size) = (0, (gather * FAN / 2) as u64);
        while run.len >= size {
            tier += 1;
            size = size.saturating_mul(FAN as u64);
        }
        tier
    };
    let highest = runs.iter().map(|run| tier(run)).max()?;
    let counts = (0..=highest).map(|t| runs.iter().take_while(|run| tier(run) <= t).count());
    counts.filter(|count| *count >= FAN).max()
}

/// Opens the runs in a directory, the newest first. Leftovers of what a crash ended are removed: files
/// that are unfinished, and runs whose rows another one has.
fn load(dir: &Path, files: &Files) -> Result<Vec<Arc<Run>>, StoreFailed> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        StoreFailed(format!("{}: {error}", path.display()))
    };
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for file in fs::read_dir(dir).map_err(|error| failed(dir, &error))? {
        let path = file.map_err(|error| failed(dir, &error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(UNFINISHED) {
            files.remove(&path).map_err(|error| failed(&path, &error))?;
        } else if name.ends_with(SUFFIX) {
            runs.push(Arc::new(Run::open(&path).map_err(|error| failed(&path, &error))?));
        }
    }
    runs.sort_by_key(|run| (run.span.first, std::cmp::Reverse(run.span.last)));
    let mut kept: Vec<Arc<Run>> = Vec::new();
    for run in runs {
        match kept.last() {
            Some(before) if run.span.last <= before.span.last => {
                files.remove(run.path()).map_err(|error| failed(run.path(), &error))?;
            }
            Some(before) if run.span.first != before.span.last + 1 => {
                return Err(failed(run.path(), &"the run before it is missing"));
            }
            Some(_) | None => kept.push(run),
        }
    }
    kept.reverse();
    Ok(kept)
}

impl Store for Layers {
    fn apply(&self, rows: &Rows) -> Result<(), StoreFailed> {
        let (ours, others): (Vec<_>, Vec<_>) = rows.put.iter().partition(|(key, _)| is_ours(key));
        self.sled.put(&others, &rows.delete)?;
        {
            let mut memory = self.memory.write();
            let Memory { rows: known, bytes, scattered, .. } = &mut *memory;
            // A copy is made only while somebody reads through it.
            let known = Arc::make_mut(known);
            for (key, value) in ours {
                *bytes += key.len() + value.len();
                let new = known.insert(key.clone(), value.clone()).is_none();
                *scattered += u64::from(new && is_scattered(key));
            }
            memory.last = memory.last.max(rows.seq);
        }
        if self.memory.read().bytes < self.gather {
            return Ok(());
        }
        self.spill()?;
        let merged = self.merge();
        *self.complaint.lock() = merged.err().map(|error| error.0);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        if !is_ours(key) {
            return self.sled.get(key);
        }
        if let Some(value) = self.memory.read().rows.get(key) {
            return Ok(Some(value.clone()));
        }
        for run in self.runs.load().iter() {
            let found = run.get(key).map_err(|error| StoreFailed(error.to_string()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreFailed> {
        if !is_ours(prefix) {
            return self.sled.scan(prefix, visit);
        }
        self.visit_range((prefix, &after(prefix)), false, visit)
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        below: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFailed> {
        if !is_ours(prefix) {
            return self.sled.scan_back(prefix, below, visit);
        }
        if below <= prefix {
            return Ok(());
        }
        self.visit_range((prefix, below), true, visit)
    }

    fn durable_rows(&self) -> u64 {
        self.runs.load().first().map_or(0, |run| run.span.last)
    }

    fn seal(&self) -> Result<(), StoreFailed> {
        self.spill()?;
        self.merge()
    }

    fn complaint(&self) -> Option<String> {
        self.complaint.lock().clone()
    }

    fn reopen(&self) -> Result<(), StoreFailed> {
        self.sled.reopen()
    }

    fn close(&self) {
        self.sled.close();
    }
}

#[cfg(test)]
mod tests;
