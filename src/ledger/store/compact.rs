//! Old segments become an archive, while the ledger works.
//!
//! A segment that is full is only read from. It is replayed on top of the newest snapshot, packed,
//! read back and compared, and listed in the manifest; only then is it removed from the journal.
//! At the end a snapshot of what the archive adds up to is written. Each of these steps is durable
//! before the next begins, so whenever a crash comes, every entry stands in the journal or in the
//! archive, and what was half done is done again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;

use crate::ledger::state::{NoHistory, State};

use super::dir::sync_dir;
use super::files::{Files, UNFINISHED};
use super::manifest::{Archived, Manifest, hash_file, hex};
use super::packed::{Contents, Packed, pack};
use super::replay::{Line, Segment, Tail};
use super::segments::{Segments, Source};
use super::{OpenError, snapshot};

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments that were packed.
    pub segments: u64,
    /// Entries in them.
    pub entries: u64,
    /// Their length before, in bytes.
    pub bytes_before: u64,
    /// Their length now, in bytes.
    pub bytes_after: u64,
}

/// Packs all full segments but the newest `keep`. Between two of them `stop` is asked whether to
/// leave the rest for another time.
pub(crate) fn compact(
    segments: &Segments,
    keep: usize,
    files: &Files,
    stop: &dyn Fn() -> bool,
) -> Result<Compacted, OpenError> {
    let mut done = Compacted::default();
    let plain = segments.plain()?;
    let mut manifest = Manifest::load(segments.archive())?;
    let (listed, rest): (Vec<_>, Vec<_>) =
        plain.into_iter().partition(|source| source.first_seq <= manifest.last_seq());
    for source in &listed {
        remove_listed(source, segments, &manifest, files)?;
    }
    sweep(segments, &manifest, files)?;
    // The last one is being written to.
    let full = rest.len().saturating_sub(1 + keep);
    let snapshot_seq = manifest.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
    if full == 0 && snapshot_seq == manifest.last_seq() {
        return Ok(done);
    }
    make_archive(segments)?;
    let mut tail = Tail::default();
    let mut state = archived_state(segments, &manifest, &mut tail)?;
    for source in rest.iter().take(full) {
        if stop() {
            break;
        }
        let line = pack_one(source, segments, files, &mut state, &mut tail)?;
        done.segments += 1;
        done.entries += line.last_seq + 1 - line.first_seq;
        done.bytes_before += line.segment_bytes;
        done.bytes_after += line.bytes;
        manifest.push(line);
        let archive = segments.archive();
        manifest.save(archive, files).map_err(OpenError::at(archive))?;
        files.remove(&source.path).map_err(OpenError::at(&source.path))?;
    }
    if snapshot_seq < manifest.last_seq() {
        take_snapshot(segments, &mut manifest, files, &state)?;
    }
    Ok(done)
}

/// Removes what a compaction left half done, and snapshots that a newer one stands for.
fn sweep(segments: &Segments, manifest: &Manifest, files: &Files) -> Result<(), OpenError> {
    let archive = segments.archive();
    let found = match fs::read_dir(archive) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(OpenError::at(archive))?,
    };
    let listed = manifest.snapshot.as_ref().map(|line| snapshot::path(archive, line.seq));
    for file in found {
        let path = file.map_err(OpenError::at(archive))?.path();
        let name = path.to_string_lossy();
        let old = name.ends_with(snapshot::SUFFIX) && listed.as_ref() != Some(&path);
        if old || name.ends_with(UNFINISHED) {
            files.remove(&path).map_err(OpenError::at(&path))?;
        }
    }
    Ok(())
}

fn make_archive(segments: &Segments) -> Result<(), OpenError> {
    let archive = segments.archive();
    if archive.exists() {
        return Ok(());
    }
    fs::DirBuilder::new().mode(0o700).create(archive).map_err(OpenError::at(archive))?;
    let root = archive.parent().unwrap_or(archive);
    sync_dir(root).map_err(OpenError::at(root))
}

/// A segment that is in the archive for good, and still in the journal. If its packed file was moved
/// away meanwhile, the plain one stays where it is.
fn remove_listed(
    source: &Source,
    segments: &Segments,
    manifest: &Manifest,
    files: &Files,
) -> Result<(), OpenError> {
    let line = manifest.segments.iter().find(|line| line.first_seq == source.first_seq);
    let packed = segments.packed_path(source.first_seq);
    let hash = match hash_file(&packed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && line.is_some() => return Ok(()),
        hash => hash.map_err(OpenError::at(&packed))?,
    };
    let same = line.is_some_and(|line| hash == line.blake3);
    if !same {
        let what = format!("{} is not what the manifest lists", packed.display());
        return Err(OpenError::Corrupt(what));
    }
    files.remove(&source.path).map_err(OpenError::at(&source.path))
}

/// What the archive adds up to: the newest snapshot, and the segments after it if a compaction did
/// not come to its end.
fn archived_state(
    segments: &Segments,
    manifest: &Manifest,
    tail: &mut Tail,
) -> Result<State, OpenError> {
    let mut state = match &manifest.snapshot {
        Some(line) => snapshot::load(segments.archive(), line, 0)?,
        None => State::new(0),
    };
    (tail.seq, tail.head) = (state.seq, state.head);
    let snapshot_seq = state.seq;
    for line in manifest.segments.iter().filter(|line| line.first_seq > snapshot_seq) {
        let path = segments.packed_path(line.first_seq);
        let source = Source { first_seq: line.first_seq, packed: true, path };
        Segment::open(&source, false)?.read(tail, &mut |line| apply(&mut state, &line))?;
    }
    Ok(state)
}

/// Entries in the journal were let in with all of history at hand; here it need not be asked again.
fn apply(state: &mut State, line: &Line<'_>) -> Result<(), OpenError> {
    state.apply(&line.entry, &NoHistory).map_err(|refused| {
        OpenError::Corrupt(format!("entry {} does not fit: {refused}", line.entry.seq))
    })?;
    state.head = line.hash;
    Ok(())
}

fn pack_one(
    source: &Source,
    segments: &Segments,
    files: &Files,
    state: &mut State,
    tail: &mut Tail,
) -> Result<Archived, OpenError> {
    let prev = tail.head;
    Segment::open(source, false)?.read(tail, &mut |line| apply(state, &line))?;
    let contents = Contents {
        first_seq: source.first_seq,
        last_seq: tail.seq,
        prev,
        head: tail.head,
        len: tail.len,
    };
    let path = segments.packed_path(source.first_seq);
    let mut from = File::open(&source.path).map_err(OpenError::at(&source.path))?;
    files.put(&path, |to| pack(&mut from, &contents, to)).map_err(OpenError::at(&path))?;
    if !same_bytes(source, &path, &contents).map_err(OpenError::at(&path))? {
        let what = format!("{} does not read back as it was written", path.display());
        return Err(OpenError::Corrupt(what));
    }
    Ok(Archived {
        first_seq: contents.first_seq,
        last_seq: contents.last_seq,
        prev: hex(&contents.prev),
        head: hex(&contents.head),
        segment_bytes: contents.len,
        bytes: fs::metadata(&path).map_err(OpenError::at(&path))?.len(),
        blake3: hash_file(&path).map_err(OpenError::at(&path))?,
        chain: String::new(),
    })
}

fn same_bytes(source: &Source, packed: &std::path::Path, contents: &Contents) -> io::Result<bool> {
    let packed = Packed::open(packed)?;
    if packed.contents != *contents {
        return Ok(false);
    }
    let hash = |from: &mut dyn Read| -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finalize()),
                Ok(len) => {
                    hasher.update(&buffer[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    let mut plain = File::open(&source.path)?.take(contents.len);
    Ok(hash(&mut packed.reader())? == hash(&mut plain)?)
}

fn take_snapshot(
    segments: &Segments,
    manifest: &mut Manifest,
    files: &Files,
    state: &State,
) -> Result<(), OpenError> {
    let archive = segments.archive();
    let line = snapshot::write(files, archive, state).map_err(OpenError::at(archive))?;
    let before = manifest.snapshot.replace(line);
    manifest.save(archive, files).map_err(OpenError::at(archive))?;
    if let Some(before) = before {
        let path = snapshot::path(archive, before.seq);
        files.remove(&path).map_err(OpenError::at(&path))?;
    }
    Ok(())
}
