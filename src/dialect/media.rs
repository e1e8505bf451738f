//! Pieces of a request that several dialects spell alike: `data:` URLs and tool arguments.

use std::borrow::Cow;

use super::json;
use crate::error::{GatewayError, Kind};

/// A `data:` URL in pieces (RFC 2397).
pub(crate) struct DataUrl<'r> {
    /// In lower case, for instance `image/png`; empty if absent.
    pub(crate) media_type: String,
    /// Whether the data is base64; if not, it is percent-encoded text.
    pub(crate) base64: bool,
    /// As written.
    pub(crate) data: &'r str,
}

/// Splits a `data:` URL; none for other URLs.
pub(crate) fn data_url(url: &str) -> Option<DataUrl<'_>> {
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = url[5..].split_once(',').unwrap_or((&url[5..], ""));
    let mut params = head.split(';');
    let media_type = params.next().unwrap_or_default().trim().to_ascii_lowercase();
    let base64 = params.any(|param| param.trim().eq_ignore_ascii_case("base64"));
    Some(DataUrl { media_type, base64, data })
}

/// A call's arguments as a JSON object, for dialects that demand one. What the model wrote may be
/// no JSON at all; it is then kept as text, so that the model sees its own fault.
pub(crate) fn arguments_object(arguments: &str) -> Cow<'_, str> {
    let text = arguments.trim();
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    if text.is_empty() || text == "null" {
        Cow::Borrowed("{}")
    } else if is_json && text.starts_with('{') {
        Cow::Borrowed(text)
    } else {
        let mut out = b"{\"invalid_arguments\":".to_vec();
        json::string(&mut out, arguments);
        out.push(b'}');
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }
}

/// The error that the request holds, at this place, what the dialect cannot express.
pub(crate) fn refusal(param: String, what: &str) -> GatewayError {
    GatewayError::new(Kind::InvalidRequest, format!("`{param}` {what}.")).with_param(param)
}

/// A provider's text, cut to so many bytes.
pub(crate) fn bounded(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}
