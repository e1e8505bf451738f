//! Parts of an input, as Gemini and Cohere take them.

use crate::dialect::ir::{FileSource, Part, PartBody};
use crate::dialect::json;
use crate::dialect::media::{DataUrl, data_url, refusal};
use crate::error::GatewayError;

const NOT_FETCHED: &str = "must be data:<type>;base64,<data>: this host does not fetch";

/// Writes the parts of input `i` as Gemini's `parts`.
///
/// # Errors
/// A part is not in the request itself.
pub(super) fn gemini_parts(
    parts: &[Part],
    i: usize,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("input[{i}].content[{j}].{field}");
        json::comma(out);
        out.push(b'{');
        let (url, field) = match &part.body {
            PartBody::Text(text) | PartBody::Refusal(text) => {
                json::text_member(out, "text", text);
                out.push(b'}');
                continue;
            }
            PartBody::Audio { data, format } => {
                inline(&format!("audio/{format}"), data, out);
                out.push(b'}');
                continue;
            }
            PartBody::Image { url, .. } => (url, "image_url.url"),
            PartBody::Video(url) => (url, "input_video.url"),
            PartBody::File { source: FileSource::Url(url), .. } => (url, "file.file_data"),
            PartBody::File { source: FileSource::Id(_), .. } => {
                let what = "refers to another provider's upload; send `file_data`";
                return Err(refusal(at("file.file_id"), what));
            }
        };
        let Some(DataUrl { media_type, base64: true, data }) = data_url(url) else {
            return Err(refusal(at(field), NOT_FETCHED));
        };
        inline(&media_type, data, out);
        out.push(b'}');
    }
    Ok(())
}

fn inline(media_type: &str, data: &str, out: &mut Vec<u8>) {
    json::key(out, "inlineData");
    out.push(b'{');
    json::text_member(out, "mimeType", media_type);
    json::text_member(out, "data", data);
    out.push(b'}');
}

/// Writes the parts of input `i` as Cohere's `content`.
///
/// # Errors
/// A part is neither text nor an image in the request itself.
pub(super) fn cohere_parts(
    parts: &[Part],
    i: usize,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("input[{i}].content[{j}].{field}");
        json::comma(out);
        out.push(b'{');
        match &part.body {
            PartBody::Text(text) | PartBody::Refusal(text) => {
                json::text_member(out, "type", "text");
                json::text_member(out, "text", text);
            }
            PartBody::Image { url, .. } => {
                if !data_url(url).is_some_and(|data| data.base64) {
                    return Err(refusal(at("image_url.url"), NOT_FETCHED));
                }
                json::text_member(out, "type", "image_url");
                json::key(out, "image_url");
                out.push(b'{');
                json::text_member(out, "url", url);
                out.push(b'}');
            }
            PartBody::Audio { .. } | PartBody::Video(_) | PartBody::File { .. } => {
                let what = "must be \"text\" or \"image_url\": this model embeds no other";
                return Err(refusal(at("type"), what));
            }
        }
        out.push(b'}');
    }
    Ok(())
}
