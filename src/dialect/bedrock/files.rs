//! Images, documents, sound and video: what Converse calls their forms, and how documents are
//! named.

use std::collections::HashSet;

use crate::dialect::media::{DataUrl, data_url};

/// A file in a request.
pub(super) struct File<'r> {
    /// `image`, `document`, `audio` or `video`.
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    /// Of a document.
    pub(super) name: Option<String>,
    /// Base64; the padding may be missing.
    pub(super) data: &'r str,
}

/// The longest name of a document, with room for a number.
const NAME_MAX: usize = 190;

const MUST_BE_DATA: &str = "must be a data: URL: this provider fetches nothing";
const MUST_BE_BASE64: &str = "must be data:<type>;base64,<data>";

/// The file that a URL holds.
fn of_url<'r>(
    url: &'r str,
    kind: &'static str,
    format: impl FnOnce(&str) -> Option<&'static str>,
    allowed: &'static str,
) -> Result<File<'r>, &'static str> {
    let DataUrl { media_type, base64, data } = data_url(url).ok_or(MUST_BE_DATA)?;
    let format = format(&media_type).ok_or(allowed)?;
    if !base64 || !is_base64(data) {
        return Err(MUST_BE_BASE64);
    }
    Ok(File { kind, format, name: None, data })
}

/// An image, from its URL.
pub(super) fn image(url: &str) -> Result<File<'_>, &'static str> {
    let format = |media_type: &str| {
        Some(match media_type {
            "image/png" => "png",
            "image/jpeg" | "image/jpg" => "jpeg",
            "image/gif" => "gif",
            "image/webp" => "webp",
            _ => return None,
        })
    };
    of_url(url, "image", format, "must be image/png, image/jpeg, image/gif or image/webp")
}

/// A moving picture, from its URL.
pub(super) fn video(url: &str) -> Result<File<'_>, &'static str> {
    let format = |media_type: &str| {
        Some(match media_type {
            "video/mp4" => "mp4",
            "video/quicktime" => "mov",
            "video/webm" => "webm",
            "video/x-matroska" | "video/matroska" => "mkv",
            "video/x-flv" => "flv",
            "video/mpeg" => "mpeg",
            "video/x-ms-wmv" => "wmv",
            "video/3gpp" => "three_gp",
            _ => return None,
        })
    };
    let allowed = "must be video/mp4, video/quicktime, video/webm, video/x-matroska, video/x-flv, \
                   video/mpeg, video/x-ms-wmv or video/3gpp";
    of_url(url, "video", format, allowed)
}

/// Sound, from what `input_audio` says of it.
pub(super) fn audio<'r>(data: &'r str, format: &str) -> Result<File<'r>, &'static str> {
    const FORMATS: [&str; 9] = ["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "m4a", "webm"];
    let format = FORMATS.into_iter().find(|known| format.eq_ignore_ascii_case(known));
    let format = format.ok_or("must be mp3, opus, wav, aac, flac, mp4, ogg, m4a or webm")?;
    if !is_base64(data) {
        return Err("must be base64");
    }
    Ok(File { kind: "audio", format, name: None, data })
}

/// A document, from its URL and name. A type that says nothing gives way to the name's ending.
pub(super) fn document<'r>(
    url: &'r str,
    name: Option<&str>,
    names: &mut Names,
) -> Result<File<'r>, &'static str> {
    let format = |media_type: &str| match media_type {
        "" | "application/octet-stream" => by_ending(name?),
        _ => by_type(media_type),
    };
    let allowed = "must be PDF, CSV, Word, Excel, HTML, Markdown, JSON or text";
    let file = of_url(url, "document", format, allowed)?;
    Ok(File { name: Some(names.take(name.unwrap_or_default())), ..file })
}

fn by_type(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/markdown" | "text/x-markdown" => "md",
        "application/json" => "txt",
        _ if media_type.starts_with("text/") => "txt",
        _ => return None,
    })
}

fn by_ending(name: &str) -> Option<&'static str> {
    const ENDINGS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
    let (_, ending) = name.rsplit_once('.')?;
    ENDINGS.into_iter().find(|known| ending.eq_ignore_ascii_case(known))
}

/// Whether this is base64 of something; Bedrock's own complaint names no place.
fn is_base64(data: &str) -> bool {
    let digits = data.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    // One digit alone is no byte.
    !digits.is_empty()
        && data.len() - digits.len() <= 2
        && digits.len() % 4 != 1
        && digits.bytes().all(fits)
}

/// The names of a request's documents. Bedrock wants each once, of letters, digits, single spaces,
/// hyphens, parentheses and square brackets.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    fn take(&mut self, name: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
        let mut plain = String::new();
        for c in name.chars().take(NAME_MAX) {
            match c {
                _ if fits(c) => plain.push(c),
                _ if c.is_whitespace() => {
                    if !plain.ends_with(' ') {
                        plain.push(' ');
                    }
                }
                _ if plain.ends_with('-') => {}
                _ => plain.push('-'),
            }
        }
        let plain = plain.trim();
        let has_word = plain.bytes().any(|b| b.is_ascii_alphanumeric());
        let plain = if has_word { plain } else { "document" };
        let numbered = (2_u32..).map(|n| format!("{plain} ({n})"));
        let mut tries = std::iter::once(plain.to_owned()).chain(numbered);
        // Quadratic only in documents of one name, of which a model takes five.
        let free = tries.find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_are_named_once_and_plainly() {
        let mut names = Names::default();
        for (name, expected) in [
            ("Q3_report.v2.pdf", "Q3-report-v2-pdf"),
            ("Q3_report.v2.pdf", "Q3-report-v2-pdf (2)"),
            ("  a \t b  [1].txt ", "a b [1]-txt"),
            ("Übersicht", "-bersicht"),
            ("", "document"),
            ("文書", "document (2)"),
        ] {
            assert_eq!(names.take(name), expected, "{name}");
        }
    }

    #[test]
    fn base64_is_known() {
        for (data, good) in [
            ("aGk=", true),
            ("aGk", true),
            ("aGkh", true),
            ("", false),
            ("=", false),
            ("aGkhb", false),
            ("a-_b", false),
            ("aG k", false),
            ("aGk===", false),
        ] {
            assert_eq!(is_base64(data), good, "{data}");
        }
    }

    proptest! {
        #[test]
        fn names_are_as_bedrock_wants_them(given in prop::collection::vec("\\PC{0,250}", 1..5)) {
            let mut names = Names::default();
            let mut seen = HashSet::new();
            for name in given {
                let name = names.take(&name);
                prop_assert!((1..=200).contains(&name.len()), "{}", name.len());
                prop_assert!(!name.contains("  "));
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || " -()[]".contains(c)));
                prop_assert!(seen.insert(name));
            }
        }
    }
}
