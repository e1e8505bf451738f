//! "Did you mean …?": the ids closest to one that does not exist.
//!
//! Most wrong ids are a forgotten author (`llama-3.3` for `meta/llama-3.3`), a typing error, or a
//! shortened name. The search runs on an error path that anybody with a key can call, so it is
//! bounded in every direction.

/// Ids that are suggested.
const SUGGESTED_MAX: usize = 3;
/// Typing errors that are forgiven.
const ERRORS_MAX: usize = 3;
/// Longer ids get no suggestion, in bytes.
const LEN_MAX: usize = 128;
/// Ids that are compared.
const COMPARED_MAX: usize = 2_000;
/// Shorter names are not looked for inside others, in bytes.
const PART_MIN: usize = 4;

/// The ids closest to `wrong`, closest first.
pub(super) fn suggest<'a>(wrong: &str, ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if wrong.is_empty() || wrong.len() > LEN_MAX {
        return Vec::new();
    }
    let wrong = wrong.to_ascii_lowercase();
    let mut close: Vec<(usize, &str)> = ids
        .take(COMPARED_MAX)
        .filter_map(|id| Some((closeness(&wrong, &id.to_ascii_lowercase())?, id)))
        .collect();
    close.sort_unstable();
    close.into_iter().take(SUGGESTED_MAX).map(|(_, id)| id).collect()
}

/// How far an id is from what was asked; `None`: too far.
fn closeness(wrong: &str, id: &str) -> Option<usize> {
    let (wrong_slug, slug) = (slug_of(wrong), slug_of(id));
    if wrong_slug == slug {
        return Some(0);
    }
    // A third of a short name being wrong makes it another name.
    let limit = ERRORS_MAX.min(wrong_slug.len() / 3);
    let typed = [(wrong, id), (wrong_slug, slug)]
        .into_iter()
        .filter_map(|(a, b)| distance(a.as_bytes(), b.as_bytes(), limit))
        .min();
    let part = wrong_slug.len() >= PART_MIN && slug.contains(wrong_slug);
    typed.or(part.then_some(ERRORS_MAX + 1))
}

/// What follows the author.
fn slug_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, slug)| slug)
}

/// Insertions, deletions and replacements that turn `a` into `b`, if at most `limit`.
fn distance(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit || a.len() > LEN_MAX || b.len() > 2 * LEN_MAX {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut best = row[0];
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
            best = best.min(row[j + 1]);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|&d| d <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] = [
        "meta/llama-3.3-70b",
        "meta/llama-3.1-8b",
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "anthropic/claude-sonnet-4.5",
    ];

    #[test]
    fn near_misses_are_found() {
        for (wrong, expected) in [
            ("gpt-4o", vec!["openai/gpt-4o", "openai/gpt-4o-mini"]),
            ("OpenAI/GPT-4o", vec!["openai/gpt-4o", "openai/gpt-4o-mini"]),
            ("opnai/gpt-4o", vec!["openai/gpt-4o", "openai/gpt-4o-mini"]),
            ("meta/llama-3.3-70", vec!["meta/llama-3.3-70b", "meta/llama-3.1-8b"]),
            ("claude-sonet-4.5", vec!["anthropic/claude-sonnet-4.5"]),
            ("sonnet", vec!["anthropic/claude-sonnet-4.5"]),
            ("mistral-large", vec![]),
            ("", vec![]),
            ("/", vec![]),
            ("x", vec![]),
        ] {
            assert_eq!(suggest(wrong, IDS.into_iter()), expected, "{wrong}");
        }
        assert!(suggest(&"x".repeat(10_000), IDS.into_iter()).is_empty());
    }

    #[test]
    fn distances() {
        for (a, b, limit, expected) in [
            ("kitten", "sitting", 3, Some(3)),
            ("kitten", "sitting", 2, None),
            ("", "abc", 3, Some(3)),
            ("abc", "", 3, Some(3)),
            ("abc", "abc", 0, Some(0)),
            ("abcdef", "bcdefg", 2, Some(2)),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes(), limit), expected, "{a} {b}");
        }
    }
}
