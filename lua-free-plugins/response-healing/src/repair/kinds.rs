//! What can be repaired.

/// A kind of repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    /// A byte order mark.
    Mark = 1,
    /// The fence of a code block.
    Fence = 1 << 1,
    /// What was said before or after.
    Prose = 1 << 2,
    /// Brackets that were missing or too many.
    Brackets = 1 << 3,
    /// Commas that were missing or too many.
    Commas = 1 << 4,
    /// Other quotes than `"`, and escapes that only those need.
    Quotes = 1 << 5,
    /// Keys without quotes.
    Keys = 1 << 6,
    /// `True`, `False` and `None`.
    Literals = 1 << 7,
    /// Comments.
    Comments = 1 << 8,
    /// Line breaks and other control characters in texts.
    Controls = 1 << 9,
}

/// All kinds with their names.
const ALL: [(Kind, &str); 10] = [
    (Kind::Mark, "byte_order_mark"),
    (Kind::Fence, "code_fence"),
    (Kind::Prose, "prose"),
    (Kind::Brackets, "brackets"),
    (Kind::Commas, "commas"),
    (Kind::Quotes, "quotes"),
    (Kind::Keys, "keys"),
    (Kind::Literals, "literals"),
    (Kind::Comments, "comments"),
    (Kind::Controls, "control_characters"),
];

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    /// Adds one.
    pub(crate) const fn add(&mut self, kind: Kind) {
        self.0 |= kind as u16;
    }

    /// Adds those of another set.
    pub(crate) const fn add_all(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether this is one of them.
    pub(crate) const fn has(self, kind: Kind) -> bool {
        self.0 & kind as u16 != 0
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their names, always in the same order.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let own = ALL.iter().filter(|(kind, _)| self.has(*kind));
        own.map(|(_, name)| *name).collect()
    }
}
