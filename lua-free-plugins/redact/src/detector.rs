//! A detector: an automaton that says, byte by byte, whether a match can still come.

use std::fmt;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Capture, Hir, HirKind, Look, Repetition};

/// The most bytes of a pattern's automaton. 64 states of 64 classes have 16 KiB.
const AUTOMATON_BYTES_MAX: usize = 8 << 20;
/// The most bytes while it is made.
const BUILD_BYTES_MAX: usize = 32 << 20;
/// The most bytes of its first form, which bounds repetitions of repetitions.
const NFA_BYTES_MAX: usize = 4 << 20;
/// The most groups within groups.
const NEST_MAX: u32 = 50;

/// What decides on a text that the automaton found.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// It is a match.
    Always,
    /// A function, which gives how many of its bytes are a match.
    By(fn(&str) -> Option<usize>),
    /// It must be a placeholder of this request.
    Placeholder,
}

/// A compiled pattern with what narrows it.
pub(crate) struct Detector {
    /// Its name in the configuration, in notes and refusals.
    pub(crate) name: String,
    /// The most bytes for which it may be open whether there is a match, or whether it goes on.
    pub(crate) limit: usize,
    /// Whether a match may begin after this character; `None`: any.
    pub(crate) after: Option<fn(char) -> bool>,
    /// What decides on what is found.
    pub(crate) check: Check,
    dfa: dense::DFA<Vec<u32>>,
    /// Where the automaton starts, by the byte before; the last one: at the beginning of the text.
    starts: Vec<StateID>,
    /// Bytes that a match may begin with, whatever is before it.
    first: Vec<bool>,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Detector({})", self.name)
    }
}

/// An attempt to find a match at one place. Places are indices into the text at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Which detector of the rules.
    pub(crate) rule: usize,
    /// The last end of a match that was seen, or where the attempt began.
    pub(crate) end: usize,
    /// There is a match.
    pub(crate) matched: bool,
    state: StateID,
    at: usize,
    alive: bool,
}

impl Detector {
    /// Compiles a pattern in the syntax of the crate `regex`. Word boundaries are those of ASCII.
    ///
    /// # Errors
    /// It is no pattern, matches the empty text or nothing, or is too large; the text says which.
    pub(crate) fn new(name: &str, pattern: &str, limit: usize) -> Result<Self, String> {
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(NEST_MAX).build();
        // The error's own text shows the pattern over several lines; its last line says what.
        let hir = parser.parse(pattern).map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            format!("it is no pattern: {}", why.trim_start_matches("error: "))
        })?;
        match hir.properties().minimum_len() {
            Some(0) => return Err("it matches the empty text".to_owned()),
            None => return Err("it can match nothing".to_owned()),
            Some(min) if min > limit => {
                return Err(format!(
                    "it matches {min} bytes or more, and match_bytes_max is {limit}"
                ));
            }
            Some(_) => {}
        }
        let large = |_| {
            "it is too large: repeat less often, or write [a-z] for \\w and [0-9] for \\d"
                .to_owned()
        };
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(NFA_BYTES_MAX)))
            .build_from_hir(&in_ascii(hir))
            .map_err(|_| large(()))?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::LeftmostFirst)
            .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
            .determinize_size_limit(Some(BUILD_BYTES_MAX));
        let dfa =
            dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|_| large(()))?;
        let start = |before| {
            let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
            dfa.start_state(&config).map_err(|_| large(()))
        };
        let starts: Vec<StateID> =
            (0..=u8::MAX).map(Some).chain([None]).map(start).collect::<Result<_, _>>()?;
        let mut different = starts.clone();
        different.sort_unstable();
        different.dedup();
        let goes_on =
            |byte| different.iter().any(|start| !dfa.is_dead_state(dfa.next_state(*start, byte)));
        let first = (0..=u8::MAX).map(goes_on).collect();
        Ok(Self {
            name: name.to_owned(),
            limit,
            after: None,
            check: Check::Always,
            dfa,
            starts,
            first,
        })
    }

    /// Bytes of the automaton.
    pub(crate) fn bytes(&self) -> usize {
        self.dfa.memory_usage()
    }

    /// Whether a match may begin with this byte, whatever is before it.
    pub(crate) fn may_begin(&self, byte: u8) -> bool {
        self.first.get(usize::from(byte)).is_some_and(|may| *may)
    }

    /// Whether a match may begin right after some letter or digit of ASCII.
    pub(crate) fn may_begin_inside(&self) -> bool {
        let mut inside = (0..=u8::MAX).filter(u8::is_ascii_alphanumeric).map(char::from);
        self.after.is_none_or(|may| inside.any(may))
    }

    /// Begins an attempt; `None`: no match may begin after this character.
    pub(crate) fn attempt(&self, rule: usize, before: Option<char>, at: usize) -> Option<Attempt> {
        let start = match before {
            Some(c) if self.after.is_some_and(|may| !may(c)) => return None,
            // The last byte of its UTF-8 form.
            Some(c) => usize::from(c.encode_utf8(&mut [0; 4]).as_bytes().last().copied()?),
            None => 256,
        };
        let state = self.starts.get(start).copied()?;
        Some(Attempt { rule, end: at, matched: false, state, at, alive: true })
    }

    /// Reads on up to the end of what is there; `last`: no more will come. Gives whether the
    /// attempt is still open.
    pub(crate) fn read(&self, attempt: &mut Attempt, text: &[u8], last: bool) -> bool {
        if !attempt.alive {
            return false;
        }
        let Attempt { mut state, mut at, .. } = *attempt;
        let mut alive = true;
        while let Some(byte) = text.get(at) {
            // A match is seen one byte after its end.
            if at - attempt.end > self.limit {
                alive = false;
                break;
            }
            state = self.dfa.next_state(state, *byte);
            if self.dfa.is_special_state(state) {
                if self.dfa.is_match_state(state) {
                    (attempt.end, attempt.matched) = (at, true);
                } else if self.dfa.is_dead_state(state) || self.dfa.is_quit_state(state) {
                    alive = false;
                    break;
                }
            }
            at += 1;
        }
        if alive && last {
            if at - attempt.end <= self.limit
                && self.dfa.is_match_state(self.dfa.next_eoi_state(state))
            {
                (attempt.end, attempt.matched) = (text.len(), true);
            }
            alive = false;
        }
        (attempt.state, attempt.at, attempt.alive) = (state, at, alive);
        alive
    }
}

impl Attempt {
    /// The same attempt after so many bytes were taken away from the text's beginning.
    pub(crate) fn shift(&mut self, by: usize) {
        self.end -= by;
        self.at -= by;
    }
}

/// The same expression with word boundaries as ASCII has them: those of Unicode need more than one
/// byte of context.
fn in_ascii(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => other,
        }),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(in_ascii(*sub)) })
        }
        HirKind::Capture(Capture { index, name, sub }) => {
            Hir::capture(Capture { index, name, sub: Box::new(in_ascii(*sub)) })
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(in_ascii).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(in_ascii).collect()),
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
    }
}
