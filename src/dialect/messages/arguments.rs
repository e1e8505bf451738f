//! The arguments of a call as they stream: clients read them as one JSON object and break on
//! anything else, and where the object ends the next block may begin.

use crate::dialect::media::arguments_object;

/// How far the arguments of a call have come.
#[derive(Debug, Default)]
pub(super) enum Arguments {
    /// Nothing came but white space.
    #[default]
    None,
    /// Within the object.
    Inside { depth: u32, string: bool, escape: bool },
    /// The object is complete.
    Complete,
    /// They are no object. They are kept whole, to be made one.
    Odd(String),
}

impl Arguments {
    /// Takes a piece and gives back what of it is for the client now.
    pub(super) fn push<'j>(&mut self, json: &'j str) -> &'j str {
        match self {
            Self::None => {
                let json = json.trim_ascii_start();
                if json.is_empty() {
                    return json;
                }
                if json.starts_with('{') {
                    *self = Self::Inside { depth: 0, string: false, escape: false };
                    return self.inside(json);
                }
                *self = Self::Odd(json.to_owned());
                ""
            }
            Self::Inside { .. } => self.inside(json),
            // What comes after the end would make it no object.
            Self::Complete => "",
            Self::Odd(text) => {
                text.push_str(json);
                ""
            }
        }
    }

    fn inside<'j>(&mut self, json: &'j str) -> &'j str {
        let Self::Inside { depth, string, escape } = self else { return "" };
        for (at, byte) in json.bytes().enumerate() {
            match byte {
                _ if *escape => *escape = false,
                b'\\' if *string => *escape = true,
                b'"' => *string = !*string,
                _ if *string => {}
                b'{' | b'[' => *depth = depth.saturating_add(1),
                b'}' | b']' => {
                    *depth = depth.saturating_sub(1);
                    if *depth == 0 {
                        *self = Self::Complete;
                        // The bracket is one byte, so what follows is a character's first.
                        return json.get(..=at).unwrap_or(json);
                    }
                }
                _ => {}
            }
        }
        json
    }

    /// Whether nothing more can come.
    pub(super) const fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// How many bytes are kept.
    pub(super) const fn kept(&self) -> usize {
        match self {
            Self::Odd(text) => text.len(),
            Self::None | Self::Inside { .. } | Self::Complete => 0,
        }
    }

    /// What is still to be sent when the call ends.
    pub(super) fn end(&self) -> Option<String> {
        match self {
            Self::Odd(text) => {
                Some(arguments_object(text).into_owned()).filter(|text| text != "{}")
            }
            Self::None | Self::Inside { .. } | Self::Complete => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(pieces: &[&str]) -> (String, bool) {
        let mut arguments = Arguments::default();
        let mut out: String = pieces.iter().map(|piece| arguments.push(piece)).collect();
        out.push_str(&arguments.end().unwrap_or_default());
        (out, arguments.is_complete())
    }

    #[test]
    fn objects_pass_and_what_is_none_becomes_one() {
        for (pieces, expected) in [
            (&[r#"{"a":"}\"{","b":[{"c":1}]}"#][..], (r#"{"a":"}\"{","b":[{"c":1}]}"#, true)),
            (&[" ", "\n{", "}", " ", "{}"], ("{}", true)),
            (&[r#"{"a":"x"#], (r#"{"a":"x"#, false)),
            (&[], ("", false)),
            (&["nu", "ll"], ("", false)),
            (&["[1]"], (r#"{"invalid_arguments":"[1]"}"#, false)),
            (&["Os", "lo"], (r#"{"invalid_arguments":"Oslo"}"#, false)),
        ] {
            let (out, complete) = sent(pieces);
            assert_eq!((out.as_str(), complete), expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(text in "[ {}\\[\\]\"\\\\a1:,é]{0,30}", cut in 0_usize..31) {
            let cut = text.floor_char_boundary(cut.min(text.len()));
            let (head, tail) = text.split_at(cut);
            prop_assert_eq!(sent(&[&text]), sent(&[head, tail]));
        }
    }
}
