//! The text that is checked, in parts that an endpoint takes.

use turnpike_plugin_api::{Request, Role, Text, TextKind, Turn};

use crate::options::Scope;

/// The most bytes of one input. With [`INPUTS_MAX`] of them a call has at most 32 KiB, and so at most
/// as many tokens: `OpenAI`'s text-moderation models silently left out what was beyond 32,768 tokens
/// (model page, 2024-10), and of omni-moderation no limit is published (2026-11).
pub(crate) const INPUT_BYTES_MAX: usize = 8 * 1024;
/// The most inputs of one call.
pub(crate) const INPUTS_MAX: usize = 4;
/// How much of an input the next one begins with: what stands across a cut is seen whole.
const OVERLAP_BYTES: usize = 256;
/// Parts the texts of a conversation.
const BETWEEN: &str = "\n\n";

/// The text to be checked, and whether it was longer than that.
pub(crate) fn gather(request: &Request, scope: Scope, bytes_max: usize) -> (String, bool) {
    let turns = || request.turns().iter().filter(|turn| !turn.is_removed());
    let of_user = |turn: &&Turn| turn.role == Role::User;
    let mut out = String::new();
    let mut add = |turn: &Turn, tools: bool| -> bool {
        let texts = turn.texts.iter().filter(|text| tools || text.kind == TextKind::Prose);
        texts.map(Text::as_str).all(|text| push(&mut out, text, bytes_max))
    };
    let fits = match scope {
        Scope::LastUser => {
            let says = |turn: &&Turn| turn.texts.iter().any(is_prose);
            turns().rev().filter(of_user).find(says).is_none_or(|turn| add(turn, false))
        }
        Scope::User => turns().filter(of_user).all(|turn| add(turn, false)),
        Scope::All => turns().all(|turn| add(turn, true)),
    };
    (out, !fits)
}

fn is_prose(text: &Text) -> bool {
    text.kind == TextKind::Prose && !text.as_str().trim().is_empty()
}

/// Adds what fits; gives whether all did.
fn push(out: &mut String, text: &str, bytes_max: usize) -> bool {
    if text.trim().is_empty() {
        return true;
    }
    if !out.is_empty() {
        out.push_str(BETWEEN);
    }
    let room = bytes_max.saturating_sub(out.len());
    out.push_str(&text[..text.floor_char_boundary(room)]);
    room >= text.len()
}

/// The input that begins at `at` and where the next one begins; `None`: the text ends before.
pub(crate) fn next(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    if rest.len() <= INPUT_BYTES_MAX {
        return Some((rest, text.len()));
    }
    let end = rest.floor_char_boundary(INPUT_BYTES_MAX);
    // At a blank, if there is one near.
    let near = rest.floor_char_boundary(end - OVERLAP_BYTES);
    let end = rest[near..end].rfind(char::is_whitespace).map_or(end, |blank| near + blank);
    Some((&rest[..end], at + rest.floor_char_boundary(end - OVERLAP_BYTES)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Vec<(usize, &str)> {
        let (mut at, mut out) = (0, Vec::new());
        while let Some((input, next)) = next(text, at) {
            out.push((at, input));
            at = next;
        }
        out
    }

    #[test]
    fn a_short_text_is_one_input() {
        assert_eq!(parts("short"), [(0, "short")]);
        assert!(parts("").is_empty());
    }

    #[test]
    fn what_stands_across_a_cut_is_seen_whole() {
        for at in (INPUT_BYTES_MAX - 300)..(INPUT_BYTES_MAX + 300) {
            let text = format!("{}the forbidden phrase{}", "x ".repeat(at / 2), " y".repeat(5000));
            assert!(
                parts(&text).iter().any(|(_, part)| part.contains("the forbidden phrase")),
                "{at}"
            );
        }
    }

    proptest! {
        #[test]
        fn parts_cover_the_text(text in "(\\PC|x|日| ){0,2000}", times in 1_usize..20) {
            let text = text.repeat(times);
            let mut covered = 0;
            for (at, part) in parts(&text) {
                prop_assert!(part.len() <= INPUT_BYTES_MAX && !part.is_empty());
                prop_assert!(at <= covered, "no gap");
                prop_assert_eq!(&text[at..at + part.len()], part);
                prop_assert!(at + part.len() > covered, "it goes on");
                covered = at + part.len();
            }
            prop_assert_eq!(covered, text.len());
        }
    }
}
