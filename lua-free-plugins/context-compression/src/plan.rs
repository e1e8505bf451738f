//! What is taken out of a conversation so that it fits.

use turnpike_plugin_api::{Role, TextKind, Turn};

use crate::groups::{self, Group};
use crate::is_live;

/// No text is made shorter than so many bytes.
const TEXT_BYTES_MIN: usize = 256;
/// Tokens that a shortened text may have more than its share: those of the mark, of the words that
/// the cut goes through, and of its turn.
const CUT_TOKENS: u64 = 8;

/// How long a conversation may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tokens of the whole prompt, estimated.
    pub(crate) tokens: Option<u64>,
    /// Messages.
    pub(crate) messages: Option<usize>,
}

/// What is to be done with a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it fits.
    Fits,
    /// Nothing: it would not fit whatever is taken out.
    Hopeless,
    /// This; then it fits.
    Plan(Plan),
}

/// What is taken out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Turns, in order.
    pub(crate) removed: Vec<usize>,
    /// Middles of texts.
    pub(crate) cuts: Vec<Cut>,
    /// The tokens that are left, estimated.
    pub(crate) tokens: u64,
}

/// A text that is shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The turn.
    pub(crate) turn: usize,
    /// The text of that turn.
    pub(crate) text: usize,
    /// The most bytes that it may keep.
    pub(crate) bytes_max: usize,
}

impl Limits {
    fn hold(self, tokens: u64, messages: usize) -> bool {
        self.tokens.is_none_or(|max| tokens <= max)
            && self.messages.is_none_or(|max| messages <= max)
    }
}

/// Decides what is taken out of turns that have so many tokens together with all else of the
/// prompt.
pub(crate) fn make(turns: &[Turn], limits: Limits, mut tokens: u64) -> Verdict {
    let groups = groups::of(turns);
    let mut messages: usize = groups.iter().map(|group| group.messages).sum();
    if limits.hold(tokens, messages) {
        return Verdict::Fits;
    }
    let mut plan = Plan::default();
    for group in from_the_middle(&groups) {
        if limits.hold(tokens, messages) {
            break;
        }
        tokens = tokens.saturating_sub(group.tokens);
        messages -= group.messages;
        plan.removed.extend(group.turns.clone().filter(|at| is_live(&turns[*at])));
    }
    plan.removed.sort_unstable();
    if limits.messages.is_some_and(|max| messages > max) {
        return Verdict::Hopeless;
    }
    if let Some(max) = limits.tokens.filter(|max| tokens > *max) {
        let Some((cuts, saved)) = cuts(turns, &plan.removed, tokens - max) else {
            return Verdict::Hopeless;
        };
        (plan.cuts, tokens) = (cuts, tokens.saturating_sub(saved));
    }
    plan.tokens = tokens;
    Verdict::Plan(plan)
}

/// The groups that may go, those in the middle of the conversation first and then outward. The end
/// of the conversation, which stays, counts as one; of two as far from the middle, the older goes
/// first.
fn from_the_middle(groups: &[Group]) -> impl Iterator<Item = &Group> {
    let loose: Vec<&Group> =
        groups.iter().filter(|group| !group.fixed && group.messages > 0).collect();
    let count = loose.len();
    let mut places: Vec<usize> = (0..count).collect();
    // The middle of `count + 1` places is `count / 2`; twice that, so that it is whole.
    places.sort_by_key(|place| ((2 * place).abs_diff(count), *place));
    places.into_iter().map(move |place| loose[place])
}

/// A text that may be shortened.
struct Long {
    turn: usize,
    text: usize,
    bytes: usize,
    /// Tokens of so many bytes, as estimated for its turn.
    rate: (u64, u64),
}

impl Long {
    /// The tokens that are saved if it is cut to so many bytes; fewer rather than more.
    fn saved(&self, bytes_max: usize) -> u64 {
        let cut = self.bytes.saturating_sub(bytes_max) as u128;
        let (tokens, bytes) = self.rate;
        let tokens = cut * u128::from(tokens) / u128::from(bytes.max(1));
        u64::try_from(tokens).unwrap_or(u64::MAX).saturating_sub(CUT_TOKENS)
    }

    const fn cut(&self, bytes_max: usize) -> Cut {
        Cut { turn: self.turn, text: self.text, bytes_max }
    }
}

/// Shortens the longest texts until so many tokens are saved, and gives how many are; `None` if
/// that cannot be. What the user said last and the last turn are shortened only if all others
/// together are not enough.
fn cuts(turns: &[Turn], removed: &[usize], tokens: u64) -> Option<(Vec<Cut>, u64)> {
    let last_user = groups::last(turns);
    let last = turns.iter().rposition(is_live);
    let (ends, others): (Vec<Long>, Vec<Long>) =
        longs(turns, removed).partition(|long| long.turn == last_user || Some(long.turn) == last);
    let (mut cuts, mut saved) = (Vec::new(), 0);
    for texts in [others, ends] {
        let level = level(&texts, tokens.saturating_sub(saved)).unwrap_or(TEXT_BYTES_MIN);
        for long in texts.iter().filter(|long| long.saved(level) > 0) {
            saved += long.saved(level);
            cuts.push(long.cut(level));
        }
        if saved >= tokens {
            return Some((cuts, saved));
        }
    }
    None
}

/// The longest length to which all texts above it are to be cut so that so many tokens are saved.
fn level(texts: &[Long], tokens: u64) -> Option<usize> {
    let enough = |level: usize| {
        let saved = texts.iter().map(|long| long.saved(level));
        saved.fold(0, u64::saturating_add) >= tokens
    };
    let (mut low, mut high) = (TEXT_BYTES_MIN, texts.iter().map(|long| long.bytes).max()?);
    if !enough(low) {
        return None;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if enough(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(low)
}

/// Texts that may be shortened: what was said and what tools returned. Arguments of calls are JSON
/// and stay so; instructions are the application's.
fn longs<'a>(turns: &'a [Turn], removed: &'a [usize]) -> impl Iterator<Item = Long> + 'a {
    let left = turns.iter().enumerate().filter(|(at, turn)| {
        is_live(turn) && turn.role != Role::System && removed.binary_search(at).is_err()
    });
    left.flat_map(|(at, turn)| {
        let rate = rate(turn);
        let texts = turn.texts.iter().enumerate();
        let free = texts.filter(|(_, text)| match text.kind {
            TextKind::Prose | TextKind::Result => text.as_str().len() > TEXT_BYTES_MIN,
            TextKind::Arguments => false,
        });
        free.map(move |(text, long)| Long { turn: at, text, bytes: long.as_str().len(), rate })
    })
}

/// Tokens of so many bytes of a turn's text. Those of pictures are not known apart, so text beside
/// them is taken to have four bytes to a token, if it does not have more.
fn rate(turn: &Turn) -> (u64, u64) {
    let bytes: usize = turn.texts.iter().map(|text| text.as_str().len()).sum();
    let bytes = bytes as u64;
    if turn.has_media { (turn.tokens.min(bytes / 4), bytes) } else { (turn.tokens, bytes) }
}
