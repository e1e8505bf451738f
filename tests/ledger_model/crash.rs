//! What a crash leaves of a ledger's files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Dice;

/// The lengths of a segment's header and of a frame's head.
const HEADER: usize = 56;
const HEAD: usize = 10;

/// Where an entry stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    segment: PathBuf,
    offset: usize,
    len: usize,
    /// Distance to the first entry of its group.
    back: u16,
}

/// Every whole entry of a journal, in order.
pub(crate) fn entries(root: &Path) -> Vec<Placed> {
    let journal = fs::read_dir(root.join("journal")).expect("a journal");
    let mut segments: Vec<_> = journal
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    let mut all = Vec::new();
    for segment in segments {
        let bytes = fs::read(&segment).unwrap();
        let mut offset = HEADER;
        while let Some(head) = bytes.get(offset..offset + HEAD)
            && head[..4] != [0; 4]
        {
            let len = u32::from_le_bytes(*head.first_chunk().unwrap());
            let len = HEAD + usize::try_from(len).unwrap();
            let back = u16::from_le_bytes([head[8], head[9]]);
            all.push(Placed { segment: segment.clone(), offset, len, back });
            offset += len;
        }
    }
    all
}

/// Copies the files as they are, in order of name: so what is copied of the journal is a whole
/// beginning of it. Without the index, if it is not wanted.
pub(crate) fn copy(from: &Path, to: &Path, with_index: bool) {
    fs::create_dir_all(to).unwrap();
    let mut names: Vec<_> = fs::read_dir(from).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            if with_index || name != "index" {
                copy(&from, &to, with_index);
            }
        } else {
            // The index may have renamed or removed a file in between.
            fs::copy(from, to).ok();
        }
    }
}

fn byte(dice: &mut Dice) -> u8 {
    dice.roll(256).to_le_bytes()[0]
}

/// How the end of the journal is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Not at all.
    None,
    /// Cut off within an entry that was not acknowledged, or after it.
    Cut,
    /// Cut off, with noise where the next write began.
    Noise,
    /// Cut off, and zeros up to where the file was: space that is written ahead.
    Zeros,
    /// A block of the last group did not reach the disk, though later ones did.
    Hole,
}

impl Damage {
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Cut, Self::Noise, Self::Zeros, Self::Hole];

    /// Does it to the entries after the first `acknowledged`; gives how many entries are left.
    pub(crate) fn inflict(self, root: &Path, acknowledged: usize, dice: &mut Dice) -> usize {
        let all = entries(root);
        if self == Self::None || all.len() == acknowledged {
            return all.len();
        }
        let mut first = acknowledged;
        if self == Self::Hole {
            first = first.max(all.len() - 1 - usize::from(all[all.len() - 1].back));
        }
        let hit = first + dice.pick(all.len() - first);
        let one = &all[hit];
        let from = one.offset + dice.pick(one.len);
        // A crash before a segment was begun leaves none of it.
        for later in all[hit..].iter().filter(|placed| placed.segment > one.segment) {
            fs::remove_file(&later.segment).ok();
        }
        let before = fs::read(&one.segment).unwrap();
        let mut after = before.clone();
        let noise = (0..=dice.roll(600)).map(|_| byte(dice));
        match self {
            Self::None => {}
            Self::Cut => after.truncate(from),
            Self::Noise => {
                after.truncate(from);
                after.extend(noise);
            }
            Self::Zeros => after[from..].fill(0),
            Self::Hole => after[from..one.offset + one.len].fill_with(|| byte(dice)),
        }
        fs::write(&one.segment, &after).unwrap();
        // Its last bytes may be what they were.
        let frame = one.offset..one.offset + one.len;
        let intact = after.get(frame.clone()) == before.get(frame);
        match (intact, self) {
            (false, _) => hit,
            (true, Self::Hole) => all.len(),
            (true, _) => hit + 1,
        }
    }
}

/// Changes one bit of an entry that is followed by a later group: what an honest crash cannot do.
/// Gives what puts it right again; nothing, where there is no such entry.
pub(crate) fn rot(root: &Path, dice: &mut Dice) -> Option<(PathBuf, u64, u8)> {
    let all = entries(root);
    let group = all.len().checked_sub(1 + usize::from(all.last()?.back))?;
    let one = all.get(..group).filter(|before| !before.is_empty())?;
    let one = &one[dice.pick(one.len())];
    let at = one.offset + dice.pick(one.len);
    let was = fs::read(&one.segment).unwrap()[at];
    let now = was ^ 1 << dice.roll(8);
    let file = File::options().write(true).open(&one.segment).unwrap();
    file.write_all_at(&[now], at as u64).unwrap();
    Some((one.segment.clone(), at as u64, was))
}
