//! Texts without their middle.

/// What stands where a text was cut.
pub(crate) const MARK: &str = " […] ";

/// The text with its middle cut out, so that it has at most so many bytes, the mark included. A
/// text that is no longer than that, and a limit below the mark's length, change nothing.
pub(crate) fn middle(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max || bytes_max < MARK.len() {
        return text.to_owned();
    }
    let kept = bytes_max - MARK.len();
    let head = text.floor_char_boundary(kept.div_ceil(2));
    let tail = text.ceil_char_boundary(text.len() - kept / 2);
    let mut short = String::with_capacity(bytes_max);
    short.push_str(&text[..head]);
    short.push_str(MARK);
    short.push_str(&text[tail..]);
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_goes() {
        assert_eq!(middle("0123456789abcdef", 11), "01 […] ef");
        assert_eq!(middle("short", 11), "short");
        assert_eq!(middle("öööööööööö", 12), "ö […] ö", "at boundaries of characters");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_its_ends(text in "\\PC{0,80}", bytes_max in 7_usize..120) {
            let short = middle(&text, bytes_max);
            prop_assert!(short.len() <= bytes_max);
            if short != text {
                let (head, tail) = short.split_once(MARK).expect("a mark");
                prop_assert!(text.starts_with(head) || text.contains(MARK));
                prop_assert!(text.ends_with(tail) || text.contains(MARK));
            }
            prop_assert_eq!(middle(&short, bytes_max), short, "twice is once");
        }
    }
}
