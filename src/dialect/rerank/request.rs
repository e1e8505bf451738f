//! The client's body → [`Request`].

use super::{Document, Request};
use crate::dialect::chat::messages::{read_url, text_member};
use crate::dialect::chat::request::read_rest;
use crate::dialect::tree::{Body, Json, Path};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees.
const TREE: [&str; 5] = ["model", "query", "documents", "top_n", "return_documents"];

/// Reads and checks a request.
///
/// # Errors
/// The body is not a JSON object, or a member has a wrong type or value or comes twice; `param`
/// names the place. Nothing of query and documents is repeated.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    let mut top = |name: &'static str| body.tree.take(name, &Path::Top(name));
    let at = Path::Top("model");
    let model = top("model")?.map(|json| json.text(&at)).transpose()?;
    let at = Path::Top("query");
    let query = top("query")?.map(|json| json.text(&at)).transpose()?;
    let query = query.filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| at.fault("must be a string that is not empty"))?;
    let at = Path::Top("documents");
    let documents = read_documents(top("documents")?, &at)?;
    let at = Path::Top("top_n");
    let top_n = top("top_n")?.map(|json| json.whole(1, u32::MAX, &at)).transpose()?;
    let at = Path::Top("return_documents");
    let wanted = top("return_documents")?.map(|json| json.boolean(&at)).transpose()?;
    Ok(Request {
        model: model.map(String::from),
        query: query.into_owned(),
        documents,
        top_n,
        hide_documents: wanted == Some(false),
        rest: read_rest(body)?,
    })
}

fn read_documents(json: Option<Json<'_>>, at: &Path<'_>) -> Result<Vec<Document>, GatewayError> {
    let most = Request::DOCUMENTS_MAX;
    match json {
        Some(Json::Array(items)) if (1..=most).contains(&items.len()) => {
            let documents = items.into_iter().enumerate();
            documents.map(|(i, item)| read_document(item, &at.item(i))).collect()
        }
        _ => Err(at.fault(format_args!("must be an array of 1 to {most} documents"))),
    }
}

fn read_document(json: Json<'_>, at: &Path<'_>) -> Result<Document, GatewayError> {
    let mut members = match json {
        Json::Text(text) => {
            return Ok(Document { text: Some(text.into_owned()), image: None });
        }
        Json::Object(_) => json.object(at)?,
        _ => return Err(at.fault("must be a string or an object with `text` or `image`")),
    };
    let text = text_member(&mut members, "text", at)?;
    let image = text_member(&mut members, "image", at)?;
    if text.is_none() && image.is_none() {
        return Err(at.fault("must have `text` or `image`"));
    }
    let image = image.map(|url| read_url(url, &at.field("image"))).transpose()?;
    Ok(Document { text, image })
}
