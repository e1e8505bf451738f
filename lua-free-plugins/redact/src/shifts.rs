//! Where characters of a text are after parts of it were replaced.

/// The most replacements that are remembered; places after them are not known.
const EDITS_MAX: usize = 4096;

/// Replacements in a text, in characters.
#[derive(Debug, Default)]
pub(crate) struct Shifts {
    read: u64,
    wrote: u64,
    edits: Vec<Edit>,
    lost: bool,
}

/// Characters of the text as it came, and what they became.
#[derive(Clone, Copy, Debug)]
struct Edit {
    read: (u64, u64),
    wrote: (u64, u64),
}

impl Shifts {
    /// The next part stays as it is.
    pub(crate) fn same(&mut self, text: &str) {
        let chars = chars(text);
        self.read += chars;
        self.wrote += chars;
    }

    /// The next part becomes another.
    pub(crate) fn replaced(&mut self, text: &str, by: &str) {
        let (read, wrote) = (self.read, self.wrote);
        self.read += chars(text);
        self.wrote += chars(by);
        if self.edits.len() == EDITS_MAX {
            self.lost = true;
        } else {
            self.edits.push(Edit { read: (read, self.read), wrote: (wrote, self.wrote) });
        }
    }

    /// Characters that have gone out, as they came.
    pub(crate) const fn read(&self) -> u64 {
        self.read
    }

    /// Where a part of the text is now; what is replaced is in it as a whole. `0..0`: not known.
    pub(crate) fn map(&self, start: u64, end: u64) -> (u64, u64) {
        if self.lost { (0, 0) } else { (self.place(start, false), self.place(end, true)) }
    }

    fn place(&self, at: u64, is_end: bool) -> u64 {
        let before = |edit: &Edit| if is_end { edit.read.0 < at } else { edit.read.0 <= at };
        let count = self.edits.partition_point(before);
        let Some(edit) = count.checked_sub(1).and_then(|i| self.edits.get(i)) else { return at };
        match (at < edit.read.1, is_end) {
            (true, true) => edit.wrote.1,
            (true, false) => edit.wrote.0,
            (false, _) => edit.wrote.1 + (at - edit.read.1),
        }
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_what_is_before_them() {
        let mut shifts = Shifts::default();
        shifts.same("é an ");
        shifts.replaced("a@b.example", "[EMAIL]");
        shifts.same(" end");
        assert_eq!(shifts.map(0, 2), (0, 2), "before it");
        assert_eq!(shifts.map(5, 16), (5, 12), "it");
        assert_eq!(shifts.map(7, 9), (5, 12), "within it");
        assert_eq!(shifts.map(17, 20), (13, 16), "after it");
        assert_eq!(shifts.read(), 20);
    }
}
