//! The ledger on disk.
//!
//! | path | what | truth? |
//! |---|---|---|
//! | `journal/*.seg` | every entry, append-only, checksummed and chained ([`journal`], [`replay`]) | the truth |
//! | `archive/` | old segments, compressed, their manifest, and a snapshot of what they add up to ([`compact`], [`packed`], [`manifest`], [`snapshot`]) | the truth |
//! | `index/` | what the journal adds up to ([`index`], [`rows`]) | derived; rebuilt when damaged |
//! | `generations/` | where each generation stands in the journal ([`runs`]) | derived; rebuilt when damaged |
//! | `progress` | how much of each open hold is used up ([`progress`]) | until the hold ends |
//! | `secret` | 32 random bytes that key the hashes of API keys ([`dir`]) | irreplaceable: without it no key is known |
//! | `lock` | held by the one process that uses the directory ([`dir`]) | |
//!
//! A group of entries is committed by one write and one fdatasync of the journal. The index follows
//! in checkpoints; a hold that is placed and ended between two of them never touches it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) mod compact;
pub(crate) mod dir;
pub(crate) mod files;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod lists;
pub(crate) mod manifest;
pub(crate) mod packed;
pub(crate) mod pending;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod rollups;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod segments;
pub(crate) mod snapshot;

/// Why a ledger cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked(PathBuf),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The journal is damaged where no crash could have damaged it.
    Corrupt(String),
    /// The index cannot be used and cannot be rebuilt.
    Index(String),
    /// An export cannot be imported.
    Import(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(
                f,
                "the ledger is in use: another process holds {}. Stop it first",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Corrupt(what) => write!(
                f,
                "the journal is corrupt: {what}. It was left untouched; restore it from a backup"
            ),
            Self::Index(what) => write!(f, "the ledger's index cannot be used: {what}"),
            Self::Import(what) => write!(f, "nothing was imported: {what}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Locked(_) | Self::Corrupt(_) | Self::Index(_) | Self::Import(_) => None,
        }
    }
}

impl OpenError {
    /// Names the path that an error is about.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::Io(path.to_owned(), error)
    }
}

/// Where an entry stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first sequence of its segment, which is also the segment's name.
    pub(crate) segment: u64,
    /// The offset of its frame in the segment, in bytes.
    pub(crate) offset: u64,
}
