//! Names of headers, and what may stand in their values.

use std::borrow::Cow;

use turnpike_plugin_api::request::is_free;

/// The most bytes of a header's value that is set; what is beyond is cut off.
pub(crate) const VALUE_BYTES_MAX: usize = 4096;

/// Headers that hold credentials: no plugin sees them.
const UNSEEN: [&str; 6] =
    ["api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"];

/// A name that a rule may look at, in lower case.
///
/// # Errors
/// It is no header's name, or one of those that hold credentials.
pub(crate) fn seen(name: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if lower.is_empty() || lower.len() > 128 || !lower.bytes().all(token) {
        return Err(format!(
            "{name:?} is no header's name: letters, digits and hyphens, up to 128 bytes"
        ));
    }
    if UNSEEN.contains(&lower.as_str()) {
        return Err(format!(
            "{lower} holds a credential, which no plugin sees; use key or account"
        ));
    }
    Ok(lower)
}

/// A name that a rule may set, in lower case.
///
/// # Errors
/// It is no header's name, or one that the gateway sets itself.
pub(crate) fn set(name: &str) -> Result<String, String> {
    match is_free(name) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(format!(
            "{name:?} cannot be set: it is no header's name, or one of the connection, of \
             credentials or of the gateway itself"
        )),
    }
}

/// Whether a byte may stand in a value that is set: visible ASCII and blanks. Nothing else is the
/// same to every server, and a line's end would begin another header.
pub(crate) const fn may_stand(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f)
}

/// A value without what cannot stand in one, and without blanks around it.
pub(crate) fn clean(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches(' ');
    if value.len() <= VALUE_BYTES_MAX && value.bytes().all(may_stand) {
        return Cow::Borrowed(value);
    }
    let kept = value.chars().filter(|c| c.is_ascii() && may_stand(*c as u8));
    let kept: String = kept.take(VALUE_BYTES_MAX).collect();
    Cow::Owned(kept.trim_matches(' ').to_owned())
}
