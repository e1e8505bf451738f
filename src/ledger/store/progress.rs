//! How much of each open hold is used up: a note for recovery.
//!
//! The gateway notes the cost so far before the first byte of an answer goes to the client and
//! again, exactly, before the last. A note is one small write without fdatasync, so it survives the
//! death of the process at any moment, but only what a checkpoint (about every second) has synced
//! survives a power cut.
//!
//! **The rule of recovery**, for every hold that is open in the journal: with a note, something
//! reached the client, and the hold is settled at the noted cost; without one, nothing did, and it
//! is voided.
//!
//! The file has slots of 64 bytes. A slot belongs to one hold until the hold's end is durable in
//! the journal; a stale note is harmless, since its generation has no open hold. A slot has two
//! halves that are written in turn, so that a note that is cut short leaves the one before.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::vocab::{GenerationId, NanoUsd};

const HALF: usize = 32;
const SLOT: usize = 2 * HALF;

/// The file of notes.
pub(crate) struct Progress {
    file: File,
    free: Mutex<Vec<u32>>,
    unsynced: AtomicBool,
}

impl Progress {
    /// Reads the notes that a process left behind: the last of each generation.
    pub(crate) fn left_behind(path: &Path) -> io::Result<HashMap<GenerationId, NanoUsd>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut last = HashMap::new();
        for slot in bytes.chunks_exact(SLOT) {
            let (first, second) = slot.split_at(HALF);
            let newest = [first, second].into_iter().filter_map(read).max_by_key(|note| note.turn);
            if let Some(note) = newest {
                last.insert(note.generation, note.cost);
            }
        }
        Ok(last)
    }

    /// Makes an empty file with room for `slots` notes. Its space is taken at once, so that a full
    /// disk cannot stop a note.
    pub(crate) fn create(path: &Path, slots: u32) -> io::Result<Self> {
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
        let zeros = vec![0; 1 << 16];
        let len = SLOT as u64 * u64::from(slots);
        let mut at = 0;
        while at < len {
            let part = usize::try_from(len - at).unwrap_or(usize::MAX).min(zeros.len());
            file.write_all_at(&zeros[..part], at)?;
            at += part as u64;
        }
        file.sync_all()?;
        let free = Mutex::new((0..slots).rev().collect());
        Ok(Self { file, free, unsynced: AtomicBool::new(false) })
    }

    /// Takes a slot; there are as many as holds can be open.
    pub(crate) fn take(&self) -> Option<u32> {
        self.free.lock().pop()
    }

    /// Gives slots back whose holds' ends are durable.
    pub(crate) fn give_back(&self, slots: &[u32]) {
        if !slots.is_empty() {
            self.free.lock().extend_from_slice(slots);
        }
    }

    /// Writes a note. `turn` counts the notes of this hold from 0.
    pub(crate) fn note(
        &self,
        slot: u32,
        turn: u32,
        generation: GenerationId,
        cost: NanoUsd,
    ) -> io::Result<()> {
        let mut half = [0; HALF];
        half[..16].copy_from_slice(&generation.bits().to_be_bytes());
        half[16..24].copy_from_slice(&cost.0.to_be_bytes());
        half[24..28].copy_from_slice(&turn.to_be_bytes());
        let crc = crc32c::crc32c(&half[..28]);
        half[28..].copy_from_slice(&crc.to_be_bytes());
        let at = SLOT as u64 * u64::from(slot) + HALF as u64 * u64::from(turn % 2);
        // A new hold's first note wipes both halves: otherwise it would lose against a later note
        // of the slot's last user.
        if turn == 0 {
            let mut both = [0; SLOT];
            both[..HALF].copy_from_slice(&half);
            self.file.write_all_at(&both, at)?;
        } else {
            self.file.write_all_at(&half, at)?;
        }
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes the notes so far survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.unsynced.swap(false, Ordering::AcqRel) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

struct Note {
    generation: GenerationId,
    cost: NanoUsd,
    turn: u32,
}

fn read(half: &[u8]) -> Option<Note> {
    let (body, crc) = half.split_at_checked(28)?;
    let (id, rest) = body.split_first_chunk::<16>()?;
    let (cost, rest) = rest.split_first_chunk::<8>()?;
    let turn = rest.first_chunk::<4>()?;
    if crc != crc32c::crc32c(body).to_be_bytes() || *id == [0; 16] {
        return None;
    }
    Some(Note {
        generation: GenerationId::from_bits(u128::from_be_bytes(*id)),
        cost: NanoUsd(i64::from_be_bytes(*cost)),
        turn: u32::from_be_bytes(*turn),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> GenerationId {
        GenerationId::from_bits(n)
    }

    #[test]
    fn the_last_whole_note_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("progress");
        assert!(Progress::left_behind(&path).unwrap().is_empty(), "no file, no notes");
        let progress = Progress::create(&path, 2).unwrap();
        let (a, b) = (progress.take().unwrap(), progress.take().unwrap());
        assert_eq!(progress.take(), None, "bounded");
        for (turn, cost) in [(0, 5), (1, 7), (2, 9)] {
            progress.note(a, turn, id(1), NanoUsd(cost)).unwrap();
        }
        progress.note(b, 0, id(2), NanoUsd(0)).unwrap();
        let notes = Progress::left_behind(&path).unwrap();
        assert_eq!(notes, HashMap::from([(id(1), NanoUsd(9)), (id(2), NanoUsd(0))]));

        // Whatever happens to the newest half, the one before is left.
        let sound = std::fs::read(&path).unwrap();
        let newest = SLOT * a as usize;
        for bit in 0..HALF * 8 {
            let mut bytes = sound.clone();
            bytes[newest + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let notes = Progress::left_behind(&path).unwrap();
            assert_eq!(notes.get(&id(1)), Some(&NanoUsd(7)), "bit {bit}");
        }
    }

    #[test]
    fn a_reused_slot_forgets_its_last_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("progress");
        let progress = Progress::create(&path, 1).unwrap();
        let slot = progress.take().unwrap();
        for turn in 0..4 {
            progress.note(slot, turn, id(1), NanoUsd(1)).unwrap();
        }
        progress.give_back(&[slot]);
        let slot = progress.take().unwrap();
        progress.note(slot, 0, id(2), NanoUsd(3)).unwrap();
        let notes = Progress::left_behind(&path).unwrap();
        assert_eq!(notes, HashMap::from([(id(2), NanoUsd(3))]));
    }
}
