//! The list of what is in the archive.
//!
//! It says which packed segments are there for good: one that is not listed is a leftover of a
//! compaction that a crash ended, and its plain segment still stands. Each line has the hash of its
//! file and is chained to the one before, from the first entry of the journal on, so that a check
//! finds what was changed or lost. Reading the ledger does without it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::OpenError;
use super::files::Files;

/// The manifest's file, in the archive.
const NAME: &str = "manifest.json";

const VERSION: u32 = 1;

/// What the archive contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    version: u32,
    /// The packed segments, in order and without gaps.
    pub(crate) segments: Vec<Archived>,
    /// The newest snapshot.
    pub(crate) snapshot: Option<SnapshotLine>,
}

/// A packed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archived {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// What the first entry is chained to, in hex.
    pub(crate) prev: String,
    /// The hash of the last entry, in hex.
    pub(crate) head: String,
    /// The length of the segment as it was written.
    pub(crate) segment_bytes: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
    /// BLAKE3 of the file, in hex.
    pub(crate) blake3: String,
    /// BLAKE3 of the line before's chain and of this line, in hex.
    pub(crate) chain: String,
}

/// A snapshot of what all entries up to one add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotLine {
    /// The last entry contained.
    pub(crate) seq: u64,
    /// Its hash, in hex.
    pub(crate) head: String,
    /// BLAKE3 of the file, in hex.
    pub(crate) blake3: String,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, segments: Vec::new(), snapshot: None }
    }
}

impl Manifest {
    /// Reads the manifest of an archive; an empty one if there is none.
    pub(crate) fn load(archive: &Path) -> Result<Self, OpenError> {
        let path = archive.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(OpenError::Io(path, error)),
        };
        let corrupt = |what: &str| {
            OpenError::Corrupt(format!("{}: {what}; restore it from a copy", path.display()))
        };
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| corrupt(&error.to_string()))?;
        if manifest.version != VERSION {
            return Err(corrupt("it has an unknown version (a newer Turnpike's?)"));
        }
        let (mut seq, mut head, mut chain) = (0, hex(&[0; 32]), String::new());
        for line in &manifest.segments {
            if line.first_seq != seq + 1 || line.prev != head || line.chain != line.link(&chain) {
                return Err(corrupt(&format!(
                    "the line of segment {} does not fit",
                    line.first_seq
                )));
            }
            (seq, head, chain) = (line.last_seq, line.head.clone(), line.chain.clone());
        }
        if manifest.snapshot.as_ref().is_some_and(|snapshot| snapshot.seq > seq) {
            return Err(corrupt("its snapshot is newer than its segments"));
        }
        Ok(manifest)
    }

    /// Makes this the manifest of an archive.
    pub(crate) fn save(&self, archive: &Path, files: &Files) -> io::Result<()> {
        files.put(&archive.join(NAME), |to| {
            serde_json::to_writer_pretty(&mut *to, self)?;
            to.write_all(b"\n")
        })
    }

    /// Adds a packed segment. Its chain is filled in.
    pub(crate) fn push(&mut self, mut line: Archived) {
        let before = self.segments.last().map_or("", |last| last.chain.as_str());
        line.chain = line.link(before);
        self.segments.push(line);
    }

    /// The last entry in the archive; 0 for none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.last_seq)
    }
}

impl Archived {
    fn link(&self, before: &str) -> String {
        let Self { first_seq, last_seq, prev, head, segment_bytes, bytes, blake3, chain: _ } = self;
        let text = format!(
            "{before} {first_seq} {last_seq} {prev} {head} {segment_bytes} {bytes} {blake3}"
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// A hash as text.
pub(crate) fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

/// The BLAKE3 of a file, as text.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 17];
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(len) => {
                hasher.update(&buffer[..len]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
