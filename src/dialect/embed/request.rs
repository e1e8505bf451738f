//! The client's body → [`Request`].

use super::{Encoding, Input, Request};
use crate::dialect::chat::messages::{read_part, read_url, required, text_member};
use crate::dialect::chat::request::{one_of, read_rest};
use crate::dialect::ir::{FileSource, Part, PartBody};
use crate::dialect::tree::{Body, Json, Path};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees.
const TREE: [&str; 6] = ["model", "input", "dimensions", "encoding_format", "input_type", "user"];
/// The types of parts, save for `input_file`.
const PARTS: [&str; 6] = ["text", "image_url", "input_audio", "input_video", "video_url", "file"];
/// The longest `input_type`, in bytes.
const TYPE_MAX: usize = 64;

/// Reads and checks a request.
///
/// # Errors
/// The body is not a JSON object, or a member has a wrong type or value or comes twice; `param`
/// names the place. Nothing of the input is repeated.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    let at = Path::Top("input");
    let input = body.tree.take("input", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let input = read_input(input, &at)?;
    let model = top_text(&mut body, "model")?;
    let user = top_text(&mut body, "user")?;
    let input_type = top_text(&mut body, "input_type")?;
    if input_type.as_ref().is_some_and(|name| name.len() > TYPE_MAX) {
        let what = format!("must have at most {TYPE_MAX} bytes");
        return Err(Path::Top("input_type").fault(what));
    }
    let at = Path::Top("dimensions");
    let dimensions = body.tree.take("dimensions", &at)?;
    let dimensions = dimensions.map(|json| json.whole(1, u32::MAX, &at)).transpose()?;
    let encoding = match top_text(&mut body, "encoding_format")?.as_deref() {
        None => None,
        Some("float") => Some(Encoding::Float),
        Some("base64") => Some(Encoding::Base64),
        Some(_) => return Err(Path::Top("encoding_format").fault(one_of(&["float", "base64"]))),
    };
    let rest = read_rest(body)?;
    Ok(Request { model, input, dimensions, encoding, input_type, user, rest })
}

fn top_text(body: &mut Body<'_>, name: &str) -> Result<Option<String>, GatewayError> {
    let at = Path::Top(name);
    body.tree.take(name, &at)?.map(|json| Ok(json.text(&at)?.into_owned())).transpose()
}

fn read_input(json: Json<'_>, at: &Path<'_>) -> Result<Input, GatewayError> {
    let items = match json {
        Json::Text(text) => return Ok(Input::Texts(vec![some_text(text.into_owned(), at)?])),
        Json::Array(items) => items,
        _ => return Err(at.fault(FORMS)),
    };
    if items.len() > Request::INPUTS_MAX && !matches!(items.first(), Some(Json::Number(..))) {
        let most = Request::INPUTS_MAX;
        return Err(at.fault(format_args!("must have at most {most} entries")));
    }
    match items.first() {
        None => Err(at.fault("must not be empty")),
        Some(Json::Number(..)) => {
            let mut left = Request::TOKENS_MAX;
            Ok(Input::Tokens(vec![read_tokens(items, &mut left, at)?]))
        }
        Some(Json::Array(_)) => {
            let mut left = Request::TOKENS_MAX;
            let lists = items.into_iter().enumerate().map(|(i, item)| {
                let at = at.item(i);
                read_tokens(item.array(&at)?, &mut left, &at)
            });
            Ok(Input::Tokens(lists.collect::<Result<_, _>>()?))
        }
        Some(_) => read_contents(items, at),
    }
}

const FORMS: &str = "must be a string, an array of strings, an array of tokens, an array of arrays \
                     of tokens, or an array of objects with `content`";

fn some_text(text: String, at: &Path<'_>) -> Result<String, GatewayError> {
    if text.is_empty() { Err(at.fault("must not be empty")) } else { Ok(text) }
}

fn read_tokens(
    items: Vec<Json<'_>>,
    left: &mut usize,
    at: &Path<'_>,
) -> Result<Vec<u32>, GatewayError> {
    if items.is_empty() {
        return Err(at.fault("must not be empty"));
    }
    *left = left.checked_sub(items.len()).ok_or_else(|| {
        let most = Request::TOKENS_MAX;
        Path::Top("input").fault(format_args!("must have at most {most} tokens in all"))
    })?;
    let tokens =
        items.into_iter().enumerate().map(|(i, item)| item.whole(0, u32::MAX, &at.item(i)));
    tokens.collect()
}

/// Strings and objects with `content`. Where all that there is is text, it is texts.
fn read_contents(items: Vec<Json<'_>>, at: &Path<'_>) -> Result<Input, GatewayError> {
    let contents = items.into_iter().enumerate().map(|(i, item)| read_content(item, &at.item(i)));
    let contents: Vec<Vec<Part>> = contents.collect::<Result<_, _>>()?;
    let is_text = |part: &Part| matches!(part.body, PartBody::Text(_));
    if !contents.iter().flatten().all(is_text) {
        return Ok(Input::Contents(contents));
    }
    let mut texts = Vec::with_capacity(contents.len());
    for (i, parts) in contents.into_iter().enumerate() {
        let pieces = parts.into_iter().filter_map(|part| match part.body {
            PartBody::Text(text) => Some(text),
            _ => None,
        });
        let text = pieces.reduce(|text, more| text + "\n" + &more).unwrap_or_default();
        texts.push(some_text(text, &at.item(i))?);
    }
    Ok(Input::Texts(texts))
}

fn read_content(json: Json<'_>, at: &Path<'_>) -> Result<Vec<Part>, GatewayError> {
    let text = |text: String| vec![Part { body: PartBody::Text(text), cache: None }];
    let mut members = match json {
        Json::Text(said) => return Ok(text(said.into_owned())),
        Json::Object(_) => json.object(at)?,
        _ => return Err(at.fault("must be a string or an object with `content`")),
    };
    let at = at.field("content");
    let items = match members.take("content", &at)? {
        Some(Json::Text(said)) => return Ok(text(said.into_owned())),
        Some(Json::Array(items)) if !items.is_empty() => items,
        _ => return Err(at.fault("must be a string or an array of parts")),
    };
    if items.len() > Request::PARTS_MAX {
        let most = Request::PARTS_MAX;
        return Err(at.fault(format_args!("must have at most {most} parts")));
    }
    let parts = items.into_iter().enumerate().map(|(i, item)| {
        let at = at.item(i);
        if is_file(&item) { read_file(item, &at) } else { read_part(item, &PARTS, &at) }
    });
    parts.collect()
}

/// Whether a part is of OpenRouter's type `input_file`, which chat does not have.
fn is_file(json: &Json<'_>) -> bool {
    let Json::Object(members) = json else { return false };
    let mut kinds = members.iter().filter(|(name, _)| name == "type").map(|(_, value)| value);
    kinds.any(|kind| matches!(kind, Json::Text(name) if name == "input_file"))
}

fn read_file(json: Json<'_>, at: &Path<'_>) -> Result<Part, GatewayError> {
    let mut members = json.object(at)?;
    members.take("type", &at.field("type"))?;
    let at = at.field("input_file");
    let file = members.take("input_file", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let mut file = file.object(&at)?;
    let name = text_member(&mut file, "filename", &at)?;
    let url = match text_member(&mut file, "url", &at)? {
        Some(url) => read_url(url, &at.field("url"))?,
        None => read_url(required(&mut file, "file_data", &at)?, &at.field("file_data"))?,
    };
    Ok(Part { body: PartBody::File { name, source: FileSource::Url(url) }, cache: None })
}
