//! What follows a model's name: `:nitro`, `:floor`, `:exacto`, `:online`, `:free`, `:thinking`,
//! `:extended` and `@preset/…`.
//!
//! *Routing* suffixes say how an endpoint is chosen and may stand after any model, several of them
//! in any order; of those that sort the last one counts. *Catalogue* suffixes are part of a
//! model's id (`a/b:free` is an entry of its own), at most one. A colon followed by anything else
//! belongs to the name.

use crate::dialect::scan::Sort;

/// A model's name, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named<'a> {
    /// The name without suffixes.
    pub base: &'a str,
    /// The suffix that is part of an id.
    pub catalogue: Option<Catalogue>,
    /// The order that the last sorting suffix asks for.
    pub sort: Option<Sort>,
    /// Endpoints of the priority tier may be used (`:nitro`).
    pub priority: bool,
    /// Endpoints of the flex tier may be used (`:floor`).
    pub flex: bool,
    /// The answer should draw on a web search (`:online`).
    pub online: bool,
    /// The preset that follows the name, as in `a/b@preset/x`, or stands alone.
    pub preset: Option<&'a str>,
    /// Two different catalogue suffixes were given.
    pub clash: bool,
}

/// A suffix that is part of a model's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// Free of charge.
    Free,
    /// A larger context.
    Extended,
    /// Reasoning is on.
    Thinking,
}

impl Catalogue {
    /// As it is written, with the colon.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Free => ":free",
            Self::Extended => ":extended",
            Self::Thinking => ":thinking",
        }
    }
}

/// Where a preset's name begins.
const PRESET: &str = "@preset/";

impl<'a> Named<'a> {
    /// Takes a name apart.
    pub fn parse(name: &'a str) -> Self {
        let mut named = Self::default();
        let mut rest = name;
        if let Some((before, preset)) = name.split_once(PRESET) {
            // Suffixes may also follow the preset; they mean the same there.
            let preset = named.strip(preset);
            named.preset = Some(preset);
            rest = before;
        }
        named.base = named.strip(rest);
        named
    }

    /// Takes the suffixes off the end of a text.
    fn strip(&mut self, text: &'a str) -> &'a str {
        let mut rest = text;
        while let Some((before, suffix)) = rest.rsplit_once(':') {
            if !self.take(suffix) {
                break;
            }
            rest = before;
        }
        rest
    }

    /// Walking from the end, the first sorting suffix met is the last one written.
    fn take(&mut self, suffix: &str) -> bool {
        let sort = match suffix {
            "nitro" => {
                self.priority = true;
                Sort::Throughput
            }
            "floor" => {
                self.flex = true;
                Sort::Price
            }
            "exacto" => Sort::Exacto,
            "online" => {
                self.online = true;
                return true;
            }
            "free" => return self.catalogue(Catalogue::Free),
            "extended" => return self.catalogue(Catalogue::Extended),
            "thinking" => return self.catalogue(Catalogue::Thinking),
            _ => return false,
        };
        self.sort = self.sort.or(Some(sort));
        true
    }

    fn catalogue(&mut self, found: Catalogue) -> bool {
        self.clash |= self.catalogue.is_some_and(|other| other != found);
        self.catalogue = Some(found);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let of = |base| Named { base, ..Named::default() };
        let nitro = |base| Named { sort: Some(Sort::Throughput), priority: true, ..of(base) };
        for (name, want) in [
            ("a/b", of("a/b")),
            ("", of("")),
            ("a/b:8b", of("a/b:8b")),
            ("a/b:8b:nitro", nitro("a/b:8b")),
            ("a/b:nitro:8b", of("a/b:nitro:8b")),
            ("a/b:floor", Named { sort: Some(Sort::Price), flex: true, ..of("a/b") }),
            ("a/b:exacto", Named { sort: Some(Sort::Exacto), ..of("a/b") }),
            ("a/b:online", Named { online: true, ..of("a/b") }),
            ("a/b:free", Named { catalogue: Some(Catalogue::Free), ..of("a/b") }),
            ("a/b:free:nitro", Named { catalogue: Some(Catalogue::Free), ..nitro("a/b") }),
            ("a/b:nitro:free", Named { catalogue: Some(Catalogue::Free), ..nitro("a/b") }),
            (
                "a/b:nitro:floor",
                Named { sort: Some(Sort::Price), priority: true, flex: true, ..of("a/b") },
            ),
            (
                "a/b:free:thinking",
                Named { catalogue: Some(Catalogue::Free), clash: true, ..of("a/b") },
            ),
            ("@preset/mine", Named { preset: Some("mine"), ..of("") }),
            ("a/b:nitro@preset/mine", Named { preset: Some("mine"), ..nitro("a/b") }),
            ("a/b@preset/mine:nitro", Named { preset: Some("mine"), ..nitro("a/b") }),
            ("~a/family-latest:nitro", nitro("~a/family-latest")),
            (":nitro", nitro("")),
        ] {
            assert_eq!(Named::parse(name), want, "{name}");
        }
    }
}
