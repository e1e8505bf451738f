//! Content blocks of a request → parts.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::dialect::chat::messages::{cache_mark, read_url};
use crate::dialect::chat::request::{one_of, raw_text};
use crate::dialect::ir::{CacheMark, FileSource, Loss, Part, PartBody};
use crate::dialect::tree::{Members, Path, raw_array, raw_object, tree};
use crate::error::GatewayError;

/// The members of an object, kept as text.
pub(super) type Raw<'a> = Members<'a, &'a RawValue>;

/// The most blocks in one message (Anthropic allows as many messages in a request, 2026-11).
pub(super) const BLOCKS_MAX: usize = 100_000;

/// What the hub does not carry.
#[derive(Default)]
pub(super) struct Losses(Vec<Loss>);

impl Losses {
    /// The most that are listed.
    const MAX: usize = 64;

    /// Notes that something is lost here; `why` goes on from the name.
    pub(super) fn add(&mut self, at: impl ToString, why: &'static str) {
        if self.0.len() < Self::MAX {
            self.0.push(Loss { param: Cow::Owned(at.to_string()), why });
        }
    }

    pub(super) fn into_list(self) -> Vec<Loss> {
        self.0
    }
}

/// Takes a member that is a string.
pub(super) fn text(
    members: &mut Raw<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<Option<String>, GatewayError> {
    let at = at.field(name);
    members.take(name, &at)?.map(|raw| raw_text(raw, &at)).transpose()
}

/// Takes a member that must be there and is a string.
pub(super) fn string(
    members: &mut Raw<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<String, GatewayError> {
    text(members, name, at)?.ok_or_else(|| at.field(name).fault("must be a string"))
}

/// Takes `cache_control`.
pub(super) fn mark(
    members: &mut Raw<'_>,
    at: &Path<'_>,
) -> Result<Option<CacheMark>, GatewayError> {
    let at = at.field("cache_control");
    members.take("cache_control", &at)?.map(|raw| cache_mark(tree(raw, &at)?, &at)).transpose()
}

/// A string, or the items of an array.
pub(super) enum Content<'a> {
    Text(String),
    Blocks(Vec<&'a RawValue>),
}

/// Reads `content`.
pub(super) fn content<'a>(raw: &'a RawValue, at: &Path<'_>) -> Result<Content<'a>, GatewayError> {
    match raw.get().as_bytes().first() {
        Some(b'"') => raw_text(raw, at).map(Content::Text),
        Some(b'[') => raw_array(raw, BLOCKS_MAX, at).map(Content::Blocks),
        _ => Err(at.fault("must be a string or an array of content blocks")),
    }
}

/// A part of text.
pub(super) fn text_part(text: impl Into<String>) -> Part {
    Part { body: PartBody::Text(text.into()), cache: None }
}

/// Sets a mark on the last part. Where there is none it has nothing to stand on.
pub(super) fn set_mark(
    parts: &mut [Part],
    mark: Option<CacheMark>,
    at: &Path<'_>,
    losses: &mut Losses,
) {
    match (mark, parts.last_mut()) {
        (None, _) => {}
        (Some(mark), Some(last)) => {
            last.cache.get_or_insert(mark);
        }
        (Some(_), None) => losses.add(at.field("cache_control"), "stands on no text or picture"),
    }
}

/// Reads a block of this type that a user or a result may have.
///
/// Whether it is known; if not, nothing was read.
pub(super) fn read_block(
    kind: &str,
    members: &mut Raw<'_>,
    at: &Path<'_>,
    losses: &mut Losses,
    out: &mut Vec<Part>,
) -> Result<bool, GatewayError> {
    match kind {
        "text" => {
            out.push(text_part(string(members, "text", at)?));
            note_citations(members, at, losses)?;
        }
        "image" => out.push(read_image(members, at)?),
        "document" => read_document(members, at, losses, out)?,
        "search_result" => {
            out.push(read_search_result(members, at)?);
            note_citations(members, at, losses)?;
        }
        _ => return Ok(false),
    }
    let cache = mark(members, at)?;
    set_mark(out, cache, at, losses);
    Ok(true)
}

/// What a block cites, or that it may be cited, has no form elsewhere.
fn note_citations(
    members: &mut Raw<'_>,
    at: &Path<'_>,
    losses: &mut Losses,
) -> Result<(), GatewayError> {
    let place = at.field("citations");
    if members.take("citations", &place)?.is_some_and(|raw| raw.get() != "[]") {
        losses.add(place, "are of Anthropic's form");
    }
    Ok(())
}

/// Takes `source`, with its type.
fn source<'a>(
    members: &mut Raw<'a>,
    at: &Path<'_>,
) -> Result<(Raw<'a>, Option<String>), GatewayError> {
    let at = at.field("source");
    let raw = members.take("source", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let mut source = raw_object(raw, &at)?;
    let kind = text(&mut source, "type", &at)?;
    Ok((source, kind))
}

/// A `data:` URL of what is base64 already.
fn data_url(source: &mut Raw<'_>, allowed: &[&str], at: &Path<'_>) -> Result<String, GatewayError> {
    let media_type = string(source, "media_type", at)?;
    if !allowed.contains(&media_type.as_str()) {
        return Err(at.field("media_type").fault(one_of(allowed)));
    }
    let data = string(source, "data", at)?;
    Ok(format!("data:{media_type};base64,{data}"))
}

/// The media types that the API documents (2026-11).
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

fn read_image(members: &mut Raw<'_>, at: &Path<'_>) -> Result<Part, GatewayError> {
    let (mut source, kind) = source(members, at)?;
    let at = at.field("source");
    let url = match kind.as_deref() {
        Some("base64") => data_url(&mut source, &IMAGES, &at)?,
        Some("url") => read_url(string(&mut source, "url", &at)?, &at.field("url"))?,
        // Uploads stay with the provider that has them; there is none here.
        _ => return Err(at.field("type").fault(one_of(&["base64", "url"]))),
    };
    Ok(Part { body: PartBody::Image { url, detail: None }, cache: None })
}

fn read_document(
    members: &mut Raw<'_>,
    at: &Path<'_>,
    losses: &mut Losses,
    out: &mut Vec<Part>,
) -> Result<(), GatewayError> {
    const KINDS: [&str; 5] = ["base64", "url", "text", "content", "file"];
    note_citations(members, at, losses)?;
    if text(members, "context", at)?.is_some() {
        losses.add(at.field("context"), "is of Anthropic's form");
    }
    let name = text(members, "title", at)?.filter(|title| !title.is_empty());
    let (mut source, kind) = source(members, at)?;
    let at = at.field("source");
    let source = match kind.as_deref() {
        Some("base64") => FileSource::Url(data_url(&mut source, &["application/pdf"], &at)?),
        Some("url") => {
            FileSource::Url(read_url(string(&mut source, "url", &at)?, &at.field("url"))?)
        }
        Some("text") => {
            let data = string(&mut source, "data", &at)?;
            FileSource::Url(format!("data:text/plain;base64,{}", STANDARD.encode(data)))
        }
        Some("file") => FileSource::Id(string(&mut source, "file_id", &at)?),
        Some("content") => return read_parts_of_document(&mut source, name, &at, losses, out),
        _ => return Err(at.field("type").fault(one_of(&KINDS))),
    };
    out.push(Part { body: PartBody::File { name, source }, cache: None });
    Ok(())
}

/// A document that is given as blocks becomes these blocks, under its title.
fn read_parts_of_document(
    source: &mut Raw<'_>,
    title: Option<String>,
    at: &Path<'_>,
    losses: &mut Losses,
    out: &mut Vec<Part>,
) -> Result<(), GatewayError> {
    let at = at.field("content");
    let raw = source.take("content", &at)?.ok_or_else(|| at.fault("must be given"))?;
    out.extend(title.map(text_part));
    let blocks = match content(raw, &at)? {
        Content::Text(text) => {
            out.push(text_part(text));
            return Ok(());
        }
        Content::Blocks(blocks) => blocks,
    };
    for (i, raw) in blocks.into_iter().enumerate() {
        let place = at.item(i);
        let mut members = raw_object(raw, &place)?;
        match text(&mut members, "type", &place)?.as_deref() {
            Some("text") => out.push(text_part(string(&mut members, "text", &place)?)),
            Some("image") => out.push(read_image(&mut members, &place)?),
            _ => return Err(place.field("type").fault(one_of(&["text", "image"]))),
        }
        let cache = mark(&mut members, &place)?;
        set_mark(out, cache, &place, losses);
    }
    Ok(())
}

/// What a search of the client's own found becomes text: the answer is to rest on it.
fn read_search_result(members: &mut Raw<'_>, at: &Path<'_>) -> Result<Part, GatewayError> {
    let title = string(members, "title", at)?;
    let mut out = format!("{title}\n{}", string(members, "source", at)?);
    let at = at.field("content");
    let raw = members.take("content", &at)?.ok_or_else(|| at.fault("must be given"))?;
    for (i, raw) in raw_array(raw, BLOCKS_MAX, &at)?.into_iter().enumerate() {
        let place = at.item(i);
        let mut members = raw_object(raw, &place)?;
        out.push('\n');
        out.push_str(&string(&mut members, "text", &place)?);
    }
    Ok(text_part(out))
}
