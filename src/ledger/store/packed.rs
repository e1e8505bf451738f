//! Journal segments, compressed.
//!
//! A packed segment holds the bytes of a sealed one in blocks that are compressed one by one (zstd
//! with checksums), so that an entry can be read without the rest. After the blocks stand their
//! ends (8 bytes each, little-endian) and a trailer: magic, version, first and last sequence, the
//! hash that the first entry is chained to and that of the last entry, the length of the segment,
//! block size, number of blocks, and CRC32C of ends and trailer.
//!
//! Places stay what they were: an offset in a packed segment is the offset in the segment as it was
//! written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;

/// How much of a segment is compressed together, in bytes: larger compresses better, smaller reads
/// an entry faster.
const BLOCK: u32 = 4 << 10;

const LEVEL: i32 = 3;
const MAGIC: &[u8; 8] = b"tparchiv";
const VERSION: u32 = 1;
const TRAILER: usize = 8 + 4 + 8 + 8 + 32 + 32 + 8 + 4 + 4 + 4;

/// What a sealed segment contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// What the first entry is chained to.
    pub(crate) prev: [u8; 32],
    /// The hash of the last entry.
    pub(crate) head: [u8; 32],
    /// The length of the segment, header included, without unwritten space.
    pub(crate) len: u64,
}

/// Packs a segment.
pub(crate) fn pack(from: &mut dyn Read, contents: &Contents, to: &mut dyn Write) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let mut ends = Vec::new();
    let mut at = 0;
    let mut left = contents.len;
    let mut block = Vec::new();
    while left > 0 {
        block.clear();
        let len = left.min(BLOCK.into());
        from.take(len).read_to_end(&mut block)?;
        if (block.len() as u64) < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= len;
        let packed = compressor.compress(&block)?;
        to.write_all(&packed)?;
        at += packed.len() as u64;
        ends.extend_from_slice(&u64::to_le_bytes(at));
    }
    let blocks = u32::try_from(ends.len() / 8).map_err(io::Error::other)?;
    ends.extend_from_slice(MAGIC);
    ends.extend_from_slice(&VERSION.to_le_bytes());
    ends.extend_from_slice(&contents.first_seq.to_le_bytes());
    ends.extend_from_slice(&contents.last_seq.to_le_bytes());
    ends.extend_from_slice(&contents.prev);
    ends.extend_from_slice(&contents.head);
    ends.extend_from_slice(&contents.len.to_le_bytes());
    ends.extend_from_slice(&BLOCK.to_le_bytes());
    ends.extend_from_slice(&blocks.to_le_bytes());
    let crc = crc32c::crc32c(&ends);
    ends.extend_from_slice(&crc.to_le_bytes());
    to.write_all(&ends)
}

/// A packed segment, open for reading.
pub(crate) struct Packed {
    file: File,
    pub(crate) contents: Contents,
    block: u64,
    /// Where each block ends.
    ends: Vec<u64>,
    /// Blocks are asked for again: a frame's head and the rest of it, one record after the other.
    last: Mutex<Last>,
}

/// The block that was read last, and what unpacks it.
struct Last {
    number: u64,
    bytes: Vec<u8>,
    packed: Vec<u8>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Packed {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its trailer is damaged");
        let mut trailer = [0; TRAILER];
        let at = len.checked_sub(TRAILER as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut trailer, at)?;
        let mut from = &trailer[..];
        let magic = take::<8>(&mut from);
        let version = u32::from_le_bytes(take(&mut from));
        if &magic != MAGIC {
            return Err(damaged());
        }
        if version != VERSION {
            return Err(io::Error::other("it has an unknown version (a newer Turnpike's?)"));
        }
        let contents = Contents {
            first_seq: u64::from_le_bytes(take(&mut from)),
            last_seq: u64::from_le_bytes(take(&mut from)),
            prev: take(&mut from),
            head: take(&mut from),
            len: u64::from_le_bytes(take(&mut from)),
        };
        let block = u32::from_le_bytes(take(&mut from)).into();
        let blocks = u64::from(u32::from_le_bytes(take(&mut from)));
        let crc = u32::from_le_bytes(take(&mut from));
        let table = at.checked_sub(blocks * 8).ok_or_else(damaged)?;
        let mut bytes = vec![0; usize::try_from(blocks * 8).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, table)?;
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), &trailer[..TRAILER - 4]);
        let ends: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|end| end.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            .collect();
        let sound = sum == crc
            && block > 0
            && contents.len.div_ceil(block) == blocks
            && ends.is_sorted()
            && ends.last().copied().unwrap_or_default() == table;
        if !sound {
            return Err(damaged());
        }
        let last = Mutex::new(Last {
            number: u64::MAX,
            bytes: Vec::new(),
            packed: Vec::new(),
            decompressor: zstd::bulk::Decompressor::new()?,
        });
        Ok(Self { file, contents, block, ends, last })
    }

    /// Up to `len` bytes of the segment from `offset` on: fewer only at its end.
    pub(crate) fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(self.contents.len);
        let mut bytes = Vec::with_capacity(len.min(BLOCK as usize));
        let mut at = offset;
        let mut last = self.last.lock();
        while at < end {
            let number = at / self.block;
            self.read_block(number, &mut last)?;
            let skip = usize::try_from(at % self.block).map_err(io::Error::other)?;
            let left = usize::try_from(end - at).map_err(io::Error::other)?;
            let part = last.bytes.get(skip..).unwrap_or_default();
            let part = &part[..left.min(part.len())];
            bytes.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(bytes)
    }

    /// Makes a block the last that was read.
    fn read_block(&self, number: u64, last: &mut Last) -> io::Result<()> {
        if last.number == number {
            return Ok(());
        }
        last.number = u64::MAX;
        let at = usize::try_from(number).map_err(io::Error::other)?;
        let end = *self.ends.get(at).ok_or(io::ErrorKind::UnexpectedEof)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let start = start.unwrap_or_default();
        last.packed.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        self.file.read_exact_at(&mut last.packed, start)?;
        let len = self.block.min(self.contents.len - number * self.block);
        let len = usize::try_from(len).map_err(io::Error::other)?;
        last.bytes.clear();
        last.bytes.reserve(len);
        let Last { bytes, packed, decompressor, .. } = last;
        if decompressor.decompress_to_buffer(&packed[..], bytes)? != len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        last.number = number;
        Ok(())
    }

    /// Reads the segment from its start.
    pub(crate) const fn reader(self) -> Reader {
        Reader { packed: self, next: 0, bytes: Vec::new(), at: 0 }
    }
}

/// A segment as it was before it was packed.
pub(crate) struct Reader {
    packed: Packed,
    next: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            if self.next >= self.packed.ends.len() as u64 {
                return Ok(0);
            }
            let mut last = self.packed.last.lock();
            self.packed.read_block(self.next, &mut last)?;
            self.bytes.clone_from(&last.bytes);
            drop(last);
            self.next += 1;
            self.at = 0;
        }
        let len = out.len().min(self.bytes.len() - self.at);
        out[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Takes so many bytes, which are there.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    if let Some((head, tail)) = from.split_at_checked(N) {
        bytes.copy_from_slice(head);
        *from = tail;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = super::BLOCK as usize;

    fn contents(len: u64) -> Contents {
        Contents { first_seq: 3, last_seq: 9, prev: [1; 32], head: [2; 32], len }
    }

    fn packed(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        pack(&mut &*bytes, &contents(bytes.len() as u64), &mut file).unwrap();
        file
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_part_reads_back(
            seed in proptest::collection::vec(any::<u8>(), 1..64),
            len in 1_usize..5 * BLOCK,
            parts in proptest::collection::vec((0_usize..5 * BLOCK, 0_usize..2 * BLOCK), 1..20),
        ) {
            let bytes: Vec<u8> = seed.iter().cycle().take(len).copied().collect();
            let file = packed(&bytes);
            let open = Packed::open(file.path()).unwrap();
            prop_assert_eq!(open.contents, contents(len as u64));
            for (offset, want) in parts {
                let offset = offset.min(len);
                let end = (offset + want).min(len);
                prop_assert_eq!(&open.read_at(offset as u64, want).unwrap(), &bytes[offset..end]);
            }
            let mut all = Vec::new();
            open.reader().read_to_end(&mut all).unwrap();
            prop_assert_eq!(all, bytes);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let bytes: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let file = packed(&bytes);
        let sound = std::fs::read(file.path()).unwrap();
        let all = |bytes: &[u8]| -> io::Result<Vec<u8>> {
            std::fs::write(file.path(), bytes)?;
            let mut all = Vec::new();
            Packed::open(file.path())?.reader().read_to_end(&mut all)?;
            Ok(all)
        };
        assert_eq!(all(&sound).unwrap(), bytes);
        for at in (0..sound.len()).step_by(97).chain(sound.len() - TRAILER..sound.len()) {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            // Some bits of a compressed frame's head say nothing.
            if let Ok(read) = all(&damaged) {
                assert_eq!(read, bytes, "byte {at}");
            }
        }
        for len in (0..sound.len()).step_by(1_001) {
            assert!(all(&sound[..len]).is_err(), "cut at {len}");
        }
    }
}
