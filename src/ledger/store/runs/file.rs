//! A run: rows in the order of their keys, in a file that is never changed.
//!
//! Blocks of rows stand one after the other; then the first key of each block and where the block ends;
//! then a Bloom filter over the keys that have no order in time; then a footer. A block is its rows
//! (length of the key, of the value, key, value), where each of them begins, how many there are, and
//! CRC32C. Numbers are little-endian. A look-up reads one block; which, is known without a read.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::filter::Filter;
use crate::ledger::store::packed::take;

/// When a block is full, in bytes. Rows are shorter than half of that.
const BLOCK: usize = 8 << 10;

/// The most bytes of a value; offsets within a block have 16 bits.
const VALUE_MAX: usize = 16 << 10;

const MAGIC: &[u8; 8] = b"tpindrun";
const VERSION: u32 = 1;
const FOOTER: usize = 8 + 4 + 8 + 8 + 8 + 8 + 8 + 8 + 4 + 4;

/// Which entries a run's rows are of: all of them from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Writes a run: rows must come in the order of their keys, each key once.
pub(crate) struct Writer<'a> {
    to: &'a mut dyn Write,
    at: u64,
    block: Vec<u8>,
    starts: Vec<u16>,
    /// The first key of each block and the block's end.
    fences: Vec<(Vec<u8>, u64)>,
    filter: Filter,
    rows: u64,
}

impl<'a> Writer<'a> {
    /// A run of which `keys` rows at most are looked up by keys that have no order in time.
    pub(crate) fn new(to: &'a mut dyn Write, keys: u64) -> Self {
        Self {
            to,
            at: 0,
            block: Vec::with_capacity(BLOCK),
            starts: Vec::new(),
            fences: Vec::new(),
            filter: Filter::with_room(keys),
            rows: 0,
        }
    }

    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let (Ok(key_len), true) = (u8::try_from(key.len()), value.len() <= VALUE_MAX) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a row is too long"));
        };
        if self.block.is_empty() {
            self.fences.push((key.to_vec(), 0));
        }
        // A block ends with the row that fills it, so that every start fits.
        self.starts.push(u16::try_from(self.block.len()).map_err(io::Error::other)?);
        self.block.push(key_len);
        let value_len = u16::try_from(value.len()).map_err(io::Error::other)?;
        self.block.extend_from_slice(&value_len.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        if super::is_scattered(key) {
            self.filter.insert(key);
        }
        self.rows += 1;
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        for start in &self.starts {
            self.block.extend_from_slice(&start.to_le_bytes());
        }
        let count = u16::try_from(self.starts.len()).map_err(io::Error::other)?;
        self.block.extend_from_slice(&count.to_le_bytes());
        let crc = crc32c::crc32c(&self.block);
        self.block.extend_from_slice(&crc.to_le_bytes());
        self.to.write_all(&self.block)?;
        self.at += self.block.len() as u64;
        if let Some(fence) = self.fences.last_mut() {
            fence.1 = self.at;
        }
        self.block.clear();
        self.starts.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self, span: Span) -> io::Result<()> {
        self.end_block()?;
        let mut tail = Vec::new();
        for (key, end) in &self.fences {
            tail.push(u8::try_from(key.len()).map_err(io::Error::other)?);
            tail.extend_from_slice(key);
            tail.extend_from_slice(&end.to_le_bytes());
        }
        let fences = tail.len() as u64;
        let filter = self.filter.bytes();
        tail.extend_from_slice(filter);
        let blocks = self.fences.len() as u64;
        tail.extend_from_slice(MAGIC);
        tail.extend_from_slice(&VERSION.to_le_bytes());
        for number in [span.first, span.last, self.rows, blocks, fences, filter.len() as u64] {
            tail.extend_from_slice(&number.to_le_bytes());
        }
        let len = u32::try_from(tail.len() + 8).map_err(io::Error::other)?;
        tail.extend_from_slice(&len.to_le_bytes());
        let crc = crc32c::crc32c(&tail);
        tail.extend_from_slice(&crc.to_le_bytes());
        self.to.write_all(&tail)
    }
}

/// A run, open for reading.
pub(crate) struct Run {
    file: File,
    path: PathBuf,
    pub(crate) span: Span,
    pub(crate) rows: u64,
    /// The length of the file, in bytes.
    pub(crate) len: u64,
    /// The first key of each block.
    keys: Vec<Box<[u8]>>,
    /// Where each block ends.
    ends: Vec<u64>,
    filter: Filter,
    /// The least and the greatest key of a generation's id.
    ids: Option<(Vec<u8>, Vec<u8>)>,
}

impl Run {
    /// Opens a run. What its blocks say is checked when they are read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut footer = [0; FOOTER];
        let at = len.checked_sub(FOOTER as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut footer, at)?;
        let mut from = &footer[..];
        let magic = take::<8>(&mut from);
        let version = u32::from_le_bytes(take(&mut from));
        let mut number = || u64::from_le_bytes(take(&mut from));
        let span = Span { first: number(), last: number() };
        let (rows, blocks, fences, filter) = (number(), number(), number(), number());
        let tail_len = u64::from(u32::from_le_bytes(take(&mut from)));
        if &magic != MAGIC {
            return Err(damaged());
        }
        if version != VERSION {
            return Err(io::Error::other("it has an unknown version (a newer Turnpike's?)"));
        }
        let wanted = fences.checked_add(filter).and_then(|sum| sum.checked_add(FOOTER as u64));
        if wanted != Some(tail_len) || tail_len > len {
            return Err(damaged());
        }
        let mut tail = vec![0; usize::try_from(tail_len).map_err(io::Error::other)?];
        file.read_exact_at(&mut tail, len - tail_len)?;
        let (body, crc) = tail.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(body).to_le_bytes() != *crc {
            return Err(damaged());
        }
        let (mut keys, mut ends) = (Vec::new(), Vec::new());
        let fences = usize::try_from(fences).map_err(io::Error::other)?;
        let (mut from, rest) = body.split_at_checked(fences).ok_or_else(damaged)?;
        while let Some((key_len, rest)) = from.split_first() {
            let (key, rest) = rest.split_at_checked((*key_len).into()).ok_or_else(damaged)?;
            let (end, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
            keys.push(key.into());
            ends.push(u64::from_le_bytes(*end));
            from = rest;
        }
        let sound = keys.len() as u64 == blocks
            && keys.is_sorted()
            && ends.is_sorted()
            && ends.last().copied().unwrap_or_default() == len - tail_len;
        let filter_len = usize::try_from(filter).map_err(io::Error::other)?;
        let filter = rest.get(..filter_len).filter(|_| sound).ok_or_else(damaged)?;
        let filter = Filter::of(filter);
        let path = path.to_owned();
        let mut run = Self { file, path, span, rows, len, keys, ends, filter, ids: None };
        let least = run.rows_from(super::IDS)?.next()?;
        let greatest = run.rows_below(&[super::IDS[0] + 1])?.next()?;
        run.ids = least.zip(greatest).map(|(least, greatest)| (least.0, greatest.0));
        Ok(run)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A row's value.
    pub(crate) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if super::is_scattered(key) && !self.filter.may_have(key) {
            return Ok(None);
        }
        // Ids are in the order of time, and most runs are of another time.
        let elsewhere =
            |(least, greatest): &(Vec<u8>, Vec<u8>)| key < &**least || key > &**greatest;
        if key.starts_with(super::IDS) && self.ids.as_ref().is_none_or(elsewhere) {
            return Ok(None);
        }
        let Some(number) = self.block_of(key) else { return Ok(None) };
        let block = self.block(number)?;
        let at = block.first_from(key);
        Ok(block.row(at).filter(|row| row.0 == key).map(|row| row.1.to_vec()))
    }

    /// The block that has a key if any has.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.keys.partition_point(|first| &**first <= key).checked_sub(1)
    }

    fn block(&self, number: usize) -> io::Result<Block> {
        let end = *self.ends.get(number).ok_or(io::ErrorKind::UnexpectedEof)?;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let start = start.unwrap_or_default();
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, start)?;
        Block::new(bytes).ok_or_else(|| {
            let path = self.path.display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path}: block {number} is damaged"))
        })
    }

    /// The rows from a key on, in order.
    pub(crate) fn rows_from(&self, key: &[u8]) -> io::Result<Rows<'_>> {
        let number = self.block_of(key).unwrap_or(0);
        let mut rows = Rows { run: self, number, block: None, at: 0, back: false };
        if !self.keys.is_empty() {
            let block = self.block(number)?;
            rows.at = block.first_from(key);
            rows.block = Some(block);
        }
        Ok(rows)
    }

    /// The rows before a key, backwards.
    pub(crate) fn rows_below(&self, key: &[u8]) -> io::Result<Rows<'_>> {
        let number = self.block_of(key);
        let mut rows =
            Rows { run: self, number: number.unwrap_or(0), block: None, at: 0, back: true };
        if let Some(number) = number {
            let block = self.block(number)?;
            rows.at = block.first_from(key);
            rows.block = Some(block);
        }
        Ok(rows)
    }
}

/// The rows of a run, one by one.
pub(crate) struct Rows<'a> {
    run: &'a Run,
    number: usize,
    block: Option<Block>,
    /// The next row; backwards: the one after the next.
    at: usize,
    back: bool,
}

impl Rows<'_> {
    /// The next row's key and value.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        loop {
            let Some(block) = &self.block else { return Ok(None) };
            let next = if self.back { self.at.checked_sub(1) } else { Some(self.at) };
            if let Some((at, (key, value))) = next.and_then(|at| Some((at, block.row(at)?))) {
                self.at = if self.back { at } else { at + 1 };
                return Ok(Some((key.to_vec(), value.to_vec())));
            }
            let number = if self.back { self.number.checked_sub(1) } else { Some(self.number + 1) };
            self.block = match number.filter(|number| *number < self.run.ends.len()) {
                Some(number) => {
                    self.number = number;
                    Some(self.run.block(number)?)
                }
                None => None,
            };
            self.at = match &self.block {
                Some(block) if self.back => block.count(),
                _ => 0,
            };
        }
    }
}

/// A block that was read and is whole.
struct Block {
    bytes: Vec<u8>,
    /// Where its starts begin.
    starts: usize,
}

impl Block {
    fn new(mut bytes: Vec<u8>) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body).to_le_bytes() != *crc {
            return None;
        }
        let (rest, count) = body.split_last_chunk::<2>()?;
        let starts = rest.len().checked_sub(2 * usize::from(u16::from_le_bytes(*count)))?;
        let len = rest.len();
        bytes.truncate(len);
        Some(Self { bytes, starts })
    }

    const fn count(&self) -> usize {
        (self.bytes.len() - self.starts) / 2
    }

    /// A row's key and value; absent beyond the last.
    fn row(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let start = self.bytes.get(self.starts + 2 * number..)?.first_chunk::<2>()?;
        let row = self.bytes.get(usize::from(u16::from_le_bytes(*start))..self.starts)?;
        let (key_len, row) = row.split_first()?;
        let (value_len, row) = row.split_first_chunk::<2>()?;
        let (key, row) = row.split_at_checked((*key_len).into())?;
        Some((key, row.get(..u16::from_le_bytes(*value_len).into())?))
    }

    /// The first row whose key is not less.
    fn first_from(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.row(middle) {
                Some((other, _)) if other < key => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}
