//! Rows of several places as one sequence: where two have the same key, the newer place's counts.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use super::file::{Rows, Run};

type Row = (Vec<u8>, Vec<u8>);

/// Where rows come from.
enum Source<'a> {
    Run(Rows<'a>),
    Memory(Cursor),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Row>> {
        match self {
            Self::Run(rows) => rows.next(),
            Self::Memory(rows) => Ok(rows.next()),
        }
    }
}

/// A way through rows in memory that are as they were when it began.
pub(crate) struct Cursor {
    rows: Arc<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// What is not seen yet, from below and from above.
    left: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    back: bool,
}

impl Cursor {
    /// From a key on, in order.
    pub(crate) fn from(rows: Arc<BTreeMap<Vec<u8>, Vec<u8>>>, key: &[u8]) -> Self {
        Self { rows, left: (Bound::Included(key.to_vec()), Bound::Unbounded), back: false }
    }

    /// Before a key, backwards.
    pub(crate) fn below(rows: Arc<BTreeMap<Vec<u8>, Vec<u8>>>, key: &[u8]) -> Self {
        Self { rows, left: (Bound::Unbounded, Bound::Excluded(key.to_vec())), back: true }
    }

    fn next(&mut self) -> Option<Row> {
        let mut range = self.rows.range(self.left.clone());
        let (key, value) = if self.back { range.next_back() } else { range.next() }?;
        let row = (key.clone(), value.clone());
        let seen = Bound::Excluded(row.0.clone());
        if self.back {
            self.left.1 = seen;
        } else {
            self.left.0 = seen;
        }
        Some(row)
    }
}

/// A source and its next row.
struct Head<'a> {
    row: Row,
    source: Source<'a>,
    /// Less is newer.
    age: usize,
}

/// The rows of all sources, in order or backwards.
pub(crate) struct Merged<'a> {
    heads: Vec<Head<'a>>,
    back: bool,
}

impl<'a> Merged<'a> {
    /// The rows of runs, the newest first, from a key on.
    pub(crate) fn of_runs(runs: &'a [Arc<Run>], from: &[u8]) -> io::Result<Self> {
        let rows = runs.iter().map(|run| run.rows_from(from));
        Self::of(rows, false)
    }

    /// The rows of runs before a key, backwards.
    pub(crate) fn of_runs_back(runs: &'a [Arc<Run>], below: &[u8]) -> io::Result<Self> {
        let rows = runs.iter().map(|run| run.rows_below(below));
        Self::of(rows, true)
    }

    fn of(rows: impl Iterator<Item = io::Result<Rows<'a>>>, back: bool) -> io::Result<Self> {
        let mut heads = Vec::new();
        for (age, rows) in (1..).zip(rows) {
            let mut source = Source::Run(rows?);
            if let Some(row) = source.next()? {
                heads.push(Head { row, source, age });
            }
        }
        Ok(Self { heads, back })
    }

    /// Adds rows that are newer than all others, in the same order.
    pub(crate) fn and_memory(&mut self, mut rows: Cursor) {
        if let Some(row) = rows.next() {
            self.heads.push(Head { row, source: Source::Memory(rows), age: 0 });
        }
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> io::Result<Option<Row>> {
        let order = |a: &Head<'_>, b: &Head<'_>| {
            let by_key = a.row.0.cmp(&b.row.0);
            let by_key = if self.back { by_key.reverse() } else { by_key };
            by_key.then(a.age.cmp(&b.age))
        };
        let heads = self.heads.iter().enumerate();
        let Some(first) = heads.min_by(|a, b| order(a.1, b.1)).map(|(at, _)| at) else {
            return Ok(None);
        };
        let row = self.advance(first)?;
        // The same key in older places says nothing more.
        while let Some(same) = self.heads.iter().position(|head| head.row.0 == row.0) {
            self.advance(same)?;
        }
        Ok(Some(row))
    }

    /// Takes a source's next row; a source that is at its end goes.
    fn advance(&mut self, at: usize) -> io::Result<Row> {
        match self.heads[at].source.next()? {
            Some(next) => Ok(std::mem::replace(&mut self.heads[at].row, next)),
            None => Ok(self.heads.swap_remove(at).row),
        }
    }
}
