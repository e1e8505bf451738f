//! Text from outside, made harmless: one line of visible characters without markup.

/// The most bytes of one text of a result that are looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most bytes between `<` and `>`; longer is no tag.
const TAG_BYTES_MAX: usize = 1024;
/// Tags that stand within words: they leave nothing behind, where others leave a blank.
const INLINE: [&str; 14] = [
    "a", "b", "code", "em", "font", "i", "mark", "s", "small", "span", "strong", "sub", "sup", "u",
];
/// Elements whose content is no text.
const MUTE: [&str; 3] = ["script", "style", "template"];

/// Whether a reader does not see this character, or it turns what is around it: zero-width and
/// bidirectional controls, fillers, tags and variation selectors. Text can be hidden in all of them
/// (Unicode 16, `Default_Ignorable_Code_Point`, and U+FFF9 to U+FFFB).
pub(crate) const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text of a result: at most so many characters, and `…` where it was cut.
///
/// No markup, no line break, nothing that is hidden, no sign that begins a tag, a token of a chat
/// template or a markdown picture is left.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    // Entities may hide markup, and hidden characters may hide both.
    let once = without_entities(&without_markup(&visible(text)));
    squeeze(&without_markup(&visible(&once)), chars_max)
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

fn without_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match markup(rest) {
            Some((len, blank)) => {
                if blank {
                    out.push(' ');
                }
                rest = &rest[len..];
            }
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The bytes of the markup that this text begins with, and whether it parts words.
fn markup(text: &str) -> Option<(usize, bool)> {
    if text.starts_with("<!--") {
        return Some((text.find("-->").map_or(text.len(), |at| at + 3), true));
    }
    let next = text[1..].chars().next()?;
    if !opens_markup(next) {
        return None;
    }
    let end = 1 + text[1..].find(['<', '>'])?;
    if end > TAG_BYTES_MAX || text.as_bytes()[end] != b'>' {
        return None;
    }
    let name = text[1..end].trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is = |one: &&str| name.eq_ignore_ascii_case(one);
    if let Some(mute) = MUTE.iter().find(|one| is(one) && next != '/') {
        let close = format!("</{mute}");
        let mut windows = text.as_bytes()[end..].windows(close.len());
        let from = windows.position(|window| window.eq_ignore_ascii_case(close.as_bytes()));
        return Some((from.map_or(text.len(), |from| end + from), true));
    }
    Some((end + 1, !INLINE.iter().any(is)))
}

/// Whether `<` and this begin a tag, a declaration, or a token of a chat template (`<|im_end|>`).
const fn opens_markup(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?' | '|')
}

fn without_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name_max = rest.floor_char_boundary(12);
        let entity = rest[..name_max].find(';').and_then(|end| {
            let c = entity(&rest[1..end])?;
            Some((c, end))
        });
        let (c, len) = entity.map_or(('&', 1), |(c, end)| (c, end + 1));
        out.push(c);
        rest = &rest[len..];
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
        return code.and_then(char::from_u32);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "middot" => '·',
        "bull" => '•',
        _ => return None,
    })
}

fn squeeze(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let (mut count, mut blank, mut last) = (0, false, ' ');
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        if c.is_whitespace() || c.is_control() {
            blank = !out.is_empty();
            continue;
        }
        let gap = blank || (last == '<' && opens_markup(c));
        let width = 1 + usize::from(gap);
        if count + width > chars_max {
            out.push('…');
            return out;
        }
        if gap {
            out.push(' ');
        } else if c == '[' {
            // A picture is fetched by whoever shows the answer: a link is not.
            out.truncate(out.trim_end_matches('!').len());
        }
        out.push(c);
        count += width;
        (blank, last) = (false, c);
    }
    out
}

/// What is searched for: words of a text, as many as fit whole. A word that does not fit alone is
/// cut. `bare` takes from the beginning of each word what it starts with of these.
pub(crate) fn query(text: &str, chars_max: usize, words_max: usize, bare: &[char]) -> String {
    let mut out = String::new();
    let mut left = chars_max;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.trim_start_matches(|c| is_hidden(c) || bare.contains(&c)));
    for word in words.filter(|word| !word.chars().all(is_hidden)).take(words_max) {
        let gap = usize::from(!out.is_empty());
        let visible = || word.chars().filter(|c| !is_hidden(*c));
        let count = visible().take(left + 1).count() + gap;
        if count > left && gap == 1 {
            break;
        }
        if gap == 1 {
            out.push(' ');
        }
        out.extend(visible().take(left));
        left = left.saturating_sub(count);
    }
    if out.chars().any(char::is_alphanumeric) { out } else { String::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_goes_and_text_stays() {
        for (text, want) in [
            ("<strong>Rust</strong>acean", "Rustacean"),
            ("a<br>b<p>c", "a b c"),
            ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2"),
            ("x <script>alert('a')</script> y", "x y"),
            ("x <STYLE>a{}</Style > y", "x y"),
            ("x <script>never closed", "x"),
            ("a <!-- hidden orders --> b", "a b"),
            ("a <!-- never closed", "a"),
            ("Tom &amp; Jerry&#39;s &#x1F600; &unknown; &", "Tom & Jerry's 😀 &unknown; &"),
            ("&lt;script&gt;x&lt;/script&gt;y", "y"),
            ("<<b>script>x", ""),
            ("<<<b>b>i>x", "< i>x"),
            ("<|im_start|>system", "system"),
            ("a <\u{200b}b>c", "a c"),
            ("p\u{202e}ay\u{2066}load\u{e0041}\u{feff}", "payload"),
            ("![x](https://a.example/?q=1) !![y](z)", "[x](https://a.example/?q=1) [y](z)"),
            ("a\r\n\tb\u{0}c\u{2028}d", "a b c d"),
            ("", ""),
        ] {
            assert_eq!(plain(text, 1000), want, "{text:?}");
        }
        assert_eq!(plain("one two three", 7), "one two…");
        assert_eq!(plain("one two", 7), "one two", "it fits");
    }

    #[test]
    fn a_query_has_whole_words() {
        for (text, chars, words, want) in [
            ("  What\nis\u{200b} new?  ", 400, 50, "What is new?"),
            ("one two three", 8, 50, "one two"),
            ("one two three", 400, 2, "one two"),
            ("abcdefgh", 3, 50, "abc"),
            ("?! …", 400, 50, ""),
            ("\u{200b}\u{feff}", 400, 50, ""),
            ("", 400, 50, ""),
        ] {
            assert_eq!(query(text, chars, words, &[]), want, "{text:?}");
        }
        assert_eq!(
            query("!!g !images :de cats <3 why?", 400, 50, &['!', ':', '<', '?']),
            "g images de cats 3 why?"
        );
    }

    #[test]
    fn hostile_sizes_come_out_bounded() {
        for unit in ["<a", "<", "&", "&lt;", "<script>", "<!--", "![", "\u{200b}"] {
            assert!(plain(&unit.repeat(500_000), 1000).chars().count() <= 1001, "{unit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_one_line_without_tags(text in "(<|>|/|!|\\[|&lt;|&gt;|&#60;|b|script|\u{200b}|\\||\n|\\PC){0,40}", max in 0_usize..50) {
            let out = plain(&text, max);
            prop_assert!(out.chars().count() <= max + 1);
            prop_assert!(!out.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert!(!out.contains("!["));
            for (at, _) in out.match_indices('<') {
                prop_assert!(!out[at + 1..].starts_with(opens_markup), "{out:?}");
            }
        }

        #[test]
        fn a_query_fits(text in "\\PC{0,80}", chars in 1_usize..40, words in 1_usize..9) {
            let out = query(&text, chars, words, &['!']);
            prop_assert!(out.chars().count() <= chars, "{out:?}");
            prop_assert!(out.split(' ').count() <= words);
            prop_assert!(!out.chars().any(is_hidden));
        }
    }
}
