//! Reasoning that is handed back: whose it is must survive the way through the client.
//!
//! A block of Anthropic's goes out and comes back as it is. Blocks of other families (OpenAI's
//! encrypted items, Gemini's thought signatures) have a form and sometimes an id, for which the
//! blocks of this surface have no member; both are put in front of the opaque text:
//! `turnpike:<format>:<length of the id, or nothing>:<id><opaque>`.

use std::borrow::Cow;

/// The form of Anthropic's own blocks.
pub(super) const ANTHROPIC: &str = "anthropic-claude-v1";

const MARK: &str = "turnpike:";

/// The opaque text with what it needs to find home.
pub(super) fn wrap<'t>(opaque: &'t str, id: Option<&str>, format: &str) -> Cow<'t, str> {
    if format == ANTHROPIC && id.is_none() {
        return Cow::Borrowed(opaque);
    }
    let length = id.map(|id| id.len().to_string()).unwrap_or_default();
    Cow::Owned(format!("{MARK}{format}:{length}:{}{opaque}", id.unwrap_or_default()))
}

/// What was wrapped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped<'t> {
    pub(super) opaque: &'t str,
    pub(super) id: Option<&'t str>,
    pub(super) format: &'t str,
}

/// Undoes [`wrap`]. A text that was not wrapped is Anthropic's.
pub(super) fn unwrap(text: &str) -> Wrapped<'_> {
    taken_apart(text).unwrap_or(Wrapped { opaque: text, id: None, format: ANTHROPIC })
}

fn taken_apart(text: &str) -> Option<Wrapped<'_>> {
    let (format, rest) = text.strip_prefix(MARK)?.split_once(':')?;
    let (length, rest) = rest.split_once(':')?;
    if length.is_empty() {
        return Some(Wrapped { opaque: rest, id: None, format });
    }
    let (id, opaque) = rest.split_at_checked(length.parse().ok()?)?;
    Some(Wrapped { opaque, id: Some(id), format })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(
            opaque in "[ -~é:]{0,20}",
            id in prop::option::of("[a-zé:0-9]{0,8}"),
            format in prop::sample::select(vec![ANTHROPIC, "google-gemini-v1", "unknown"]),
        ) {
            prop_assume!(!opaque.starts_with(MARK));
            let wrapped = wrap(&opaque, id.as_deref(), format);
            let expected = Wrapped { opaque: &opaque, id: id.as_deref(), format };
            prop_assert_eq!(unwrap(&wrapped), expected);
        }

        #[test]
        fn no_text_is_too_odd(text in "turnpike:[a-z:0-9é]{0,20}") {
            prop_assert!(text.ends_with(unwrap(&text).opaque));
        }
    }
}
