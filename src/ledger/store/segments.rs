//! Where the journal's segments are: in the journal as they were written, or packed in the archive.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ledger::entry::{Entry, FRAME_HEAD, Frame, PAYLOAD_MAX};

use super::packed::Packed;
use super::{OpenError, Place, journal};

/// How many packed segments are kept open for reading.
const OPEN_MAX: usize = 64;

/// How the names of packed segments end.
const PACKED: &str = ".seg.zst";

/// Every segment that there is.
pub(crate) struct Segments {
    journal: PathBuf,
    archive: PathBuf,
    /// Packed segments that were read from, the last used at the end.
    open: Mutex<Vec<(u64, Arc<Packed>)>>,
}

/// A segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) first_seq: u64,
    pub(crate) packed: bool,
    pub(crate) path: PathBuf,
}

impl Segments {
    pub(crate) fn new(journal: PathBuf, archive: PathBuf) -> Self {
        Self { journal, archive, open: Mutex::default() }
    }

    pub(crate) fn archive(&self) -> &Path {
        &self.archive
    }

    /// The segments whose files are there, in order. One that is in both places is taken from the
    /// journal. Archived segments may have been moved away, the oldest first.
    ///
    /// The manifest is not asked: a packed file has its name only once it is whole, and where the
    /// plain one is gone it was read back before. So a damaged manifest stops no start.
    pub(crate) fn list(&self) -> Result<Vec<Source>, OpenError> {
        let mut found = self.plain()?;
        found.extend(self.packed_sources()?);
        found.sort_by_key(|source| (source.first_seq, source.packed));
        found.dedup_by_key(|source| source.first_seq);
        if let Some(last) = found.last().filter(|last| last.packed) {
            let what = format!("the journal has nothing after {}", last.path.display());
            return Err(OpenError::Corrupt(what));
        }
        Ok(found)
    }

    /// The packed segments, in no order.
    fn packed_sources(&self) -> Result<Vec<Source>, OpenError> {
        let dir = &self.archive;
        let files = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(OpenError::at(dir))?,
        };
        let mut found = Vec::new();
        for file in files {
            let path = file.map_err(OpenError::at(dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let stem = name.and_then(|name| name.strip_suffix(PACKED));
            let first = stem.and_then(|stem| stem.parse::<u64>().ok());
            if let Some(first_seq) = first.filter(|first| self.packed_path(*first) == path) {
                found.push(Source { first_seq, packed: true, path });
            }
        }
        Ok(found)
    }

    /// The segments that are not packed, in order.
    pub(crate) fn plain(&self) -> Result<Vec<Source>, OpenError> {
        let dir = &self.journal;
        let mut found = Vec::new();
        for file in fs::read_dir(dir).map_err(OpenError::at(dir))? {
            let file_name = file.map_err(OpenError::at(dir))?.file_name();
            let Some(stem) = file_name.to_str().and_then(|text| text.strip_suffix(".seg")) else {
                continue;
            };
            let first = stem.parse::<u64>().ok();
            match first.filter(|first| *first > 0 && file_name == *journal::name(*first)) {
                Some(first_seq) => {
                    let path = dir.join(&file_name);
                    found.push(Source { first_seq, packed: false, path });
                }
                None => {
                    return Err(OpenError::Corrupt(format!("{stem}.seg is no segment's name")));
                }
            }
        }
        found.sort_by_key(|source| source.first_seq);
        Ok(found)
    }

    /// The first entry whose segment is there; 1 for an empty ledger.
    pub(crate) fn oldest(&self) -> Result<u64, OpenError> {
        Ok(self.list()?.first().map_or(1, |first| first.first_seq))
    }

    pub(crate) fn packed_path(&self, first_seq: u64) -> PathBuf {
        self.archive.join(format!("{first_seq:020}{PACKED}"))
    }

    pub(crate) fn plain_path(&self, first_seq: u64) -> PathBuf {
        self.journal.join(journal::name(first_seq))
    }

    /// The entry at a place; absent if its segment was moved away.
    pub(crate) fn read_at(&self, place: Place) -> io::Result<Option<Entry>> {
        let most = FRAME_HEAD + PAYLOAD_MAX;
        let plain = journal::read_at(&self.plain_path(place.segment), place.offset, most);
        let bytes = match plain {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.packed(place.segment) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    packed => packed?.read_frame(place.offset)?,
                }
            }
            plain => plain?,
        };
        let frame = Frame::parse(&bytes).map_err(io::Error::other)?;
        Entry::read(frame.payload).map(|(entry, _)| Some(entry)).map_err(io::Error::other)
    }

    fn packed(&self, first_seq: u64) -> io::Result<Arc<Packed>> {
        let known = {
            let mut open = self.open.lock();
            let at = open.iter().position(|(segment, _)| *segment == first_seq);
            at.map(|at| {
                open[at..].rotate_left(1);
                open.last().map(|(_, packed)| Arc::clone(packed))
            })
        };
        if let Some(Some(packed)) = known {
            return Ok(packed);
        }
        let packed = Arc::new(Packed::open(&self.packed_path(first_seq))?);
        let mut open = self.open.lock();
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((first_seq, Arc::clone(&packed)));
        Ok(packed)
    }
}

impl Packed {
    /// The bytes of the frame at an offset.
    fn read_frame(&self, offset: u64) -> io::Result<Vec<u8>> {
        let head = self.read_at(offset, FRAME_HEAD)?;
        let len = head.first_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        self.read_at(offset, FRAME_HEAD + len.min(PAYLOAD_MAX))
    }
}
