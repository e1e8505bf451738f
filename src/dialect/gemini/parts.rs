//! Parts of a message: texts, and media inline or by address.

use std::borrow::Cow;

use crate::dialect::ir::{FileSource, PartBody};
use crate::dialect::media::{DataUrl, data_url, refusal};
use crate::error::GatewayError;

/// A part, borrowed from the request where it can be.
pub(super) enum Part<'r> {
    Text {
        name: Option<&'r str>,
        text: &'r str,
        signature: Option<&'r str>,
    },
    Inline {
        mime: Cow<'r, str>,
        data: &'r str,
    },
    File {
        mime: Cow<'r, str>,
        uri: &'r str,
    },
    Call {
        id: Option<&'r str>,
        name: &'r str,
        args: Cow<'r, str>,
        signature: Option<&'r str>,
    },
    /// What a function answered; `response` is a JSON object.
    Answer {
        id: Option<&'r str>,
        name: &'r str,
        response: String,
        media: Vec<Self>,
    },
}

/// Images that Gemini takes (Google's pages on image understanding, 2026-11).
const IMAGES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];

/// Formats of sound and their types (Google's pages on audio understanding, 2026-11).
const SOUNDS: [(&str, &str); 15] = [
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("mpeg", "audio/mpeg"),
    ("mpga", "audio/mpga"),
    ("aiff", "audio/aiff"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("flac", "audio/flac"),
    ("m4a", "audio/m4a"),
    ("mp4", "audio/mp4"),
    ("webm", "audio/webm"),
    ("pcm", "audio/pcm"),
    ("pcm16", "audio/pcm"),
    ("x-wav", "audio/wav"),
];

/// The part for this piece of a message; `at` names its place, with a member of it. None for an
/// empty text, which Gemini refuses.
///
/// # Errors
/// Gemini does not take it.
pub(super) fn part<'r>(
    body: &'r PartBody,
    at: &dyn Fn(&str) -> String,
) -> Result<Option<Part<'r>>, GatewayError> {
    let fault = |field: &str, what: &str| refusal(at(field), what);
    Ok(Some(match body {
        PartBody::Text(text) | PartBody::Refusal(text) if text.is_empty() => return Ok(None),
        PartBody::Text(text) | PartBody::Refusal(text) => {
            Part::Text { name: None, text, signature: None }
        }
        PartBody::Image { url, .. } => {
            media(url, "image/jpeg").map_err(|what| fault("image_url.url", what))?
        }
        PartBody::Audio { data, format } => {
            let name = format.to_ascii_lowercase();
            let Some((_, mime)) = SOUNDS.iter().find(|(known, _)| *known == name) else {
                let what =
                    "must be one of wav, mp3, aiff, aac, ogg, flac, m4a and pcm16 for this model";
                return Err(fault("input_audio.format", what));
            };
            Part::Inline { mime: Cow::Borrowed(mime), data }
        }
        PartBody::Video(url) => {
            media(url, "video/mp4").map_err(|what| fault("video_url.url", what))?
        }
        PartBody::File { source: FileSource::Url(url), .. } => {
            media(url, "application/pdf").map_err(|what| fault("file.file_data", what))?
        }
        PartBody::File { source: FileSource::Id(_), .. } => {
            let what = "refers to another provider's upload; send `file_data`";
            return Err(fault("file.file_id", what));
        }
    }))
}

/// Media inline, or by address with the type that the address suggests.
fn media<'r>(url: &'r str, default: &'static str) -> Result<Part<'r>, &'static str> {
    let Some(DataUrl { media_type, base64, data }) = data_url(url) else {
        return Ok(Part::File { mime: Cow::Borrowed(guess(url, default)), uri: url });
    };
    if !base64 || data.is_empty() {
        return Err("must be data:<type>;base64,<data>");
    }
    let mime = match media_type.as_str() {
        "image/jpg" => Cow::Borrowed("image/jpeg"),
        "video/quicktime" => Cow::Borrowed("video/mov"),
        // Text by another name, which Gemini does not know.
        "application/json" => Cow::Borrowed("text/plain"),
        "application/pdf" => Cow::Borrowed("application/pdf"),
        kind if IMAGES.contains(&kind) => Cow::Owned(media_type),
        kind if kind.starts_with("image/") => {
            return Err("must be image/png, image/jpeg, image/webp, image/heic or image/heif");
        }
        kind if ["text/", "audio/", "video/"].iter().any(|class| kind.starts_with(class)) => {
            Cow::Owned(media_type)
        }
        _ => return Err("must be an image, sound, a video, application/pdf or text"),
    };
    Ok(Part::Inline { mime, data })
}

/// The type of what is at an address, told by the end of its path.
fn guess(url: &str, default: &'static str) -> &'static str {
    const TYPES: [(&str, &str); 24] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("heif", "image/heif"),
        ("gif", "image/gif"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("md", "text/plain"),
        ("json", "text/plain"),
        ("html", "text/html"),
        ("csv", "text/csv"),
        ("xml", "text/xml"),
        ("mp4", "video/mp4"),
        ("mov", "video/mov"),
        ("mpeg", "video/mpeg"),
        ("mpg", "video/mpg"),
        ("webm", "video/webm"),
        ("avi", "video/avi"),
        ("wav", "audio/wav"),
        ("mp3", "audio/mp3"),
        ("ogg", "audio/ogg"),
        ("flac", "audio/flac"),
    ];
    if is_youtube(url) {
        return "video/mp4";
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let Some((_, end)) = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')) else {
        return default;
    };
    let known = TYPES.iter().find(|(known, _)| end.eq_ignore_ascii_case(known));
    known.map_or(default, |(_, mime)| mime)
}

/// Whether an address is a video on YouTube, which Google fetches itself.
fn is_youtube(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).to_ascii_lowercase();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    matches!(host, "youtube.com" | "www.youtube.com" | "m.youtube.com" | "youtu.be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_guessed_from_addresses() {
        for (url, expected) in [
            ("https://a.example/x.PNG?size=1.mp3", "image/png"),
            ("https://a.example/x.webp#f", "image/webp"),
            ("https://a.example/x", "image/jpeg"),
            ("https://a.example/", "image/jpeg"),
            ("gs://bucket/clip.mov", "video/mov"),
            ("https://youtu.be/abc", "video/mp4"),
            ("https://www.youtube.com/watch?v=abc", "video/mp4"),
            ("https://evil.example/youtu.be/x.pdf", "application/pdf"),
        ] {
            assert_eq!(guess(url, "image/jpeg"), expected, "{url}");
        }
    }
}
