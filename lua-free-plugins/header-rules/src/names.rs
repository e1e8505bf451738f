//! Names of headers, and what may stand in their values.

use std::borrow::Cow;

use turnpike_plugin_api::Head;
use turnpike_plugin_api::request::is_free;

/// The most bytes of a header's value that is set.
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

/// A value as it can be set, without blanks around it; `None` where it cannot. It is not repaired:
/// what rules did not refuse as it came must not become what they would have refused.
pub(crate) fn fit(value: &str) -> Option<&str> {
    let value = value.trim_matches(' ');
    (value.len() <= VALUE_BYTES_MAX && value.bytes().all(may_stand)).then_some(value)
}

/// A header of the request, without what is no part of its value: blanks and tabs around it (RFC
/// 9110, 5.5). HTTP/1 drops them on reading, HTTP/2 does not.
pub(crate) fn value(head: &Head<'_>, name: &str) -> Option<Cow<'static, str>> {
    let value = (head.header)(name)?;
    let bare = value.trim_matches([' ', '\t']);
    Some(if bare.len() == value.len() { value } else { Cow::Owned(bare.to_owned()) })
}
