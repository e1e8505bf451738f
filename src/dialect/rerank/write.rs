//! [`Request`] → the provider's body.

use bytes::Bytes;

use super::{Document, Request};
use crate::dialect::media::refusal;
use crate::dialect::scan::Key;
use crate::dialect::{Dialect, Target, json};
use crate::error::{GatewayError, Kind};

/// Writes the request as the dialect takes it.
///
/// # Errors
/// The dialect does not rerank, or takes no images.
pub fn write(
    dialect: Dialect,
    request: &Request,
    target: &Target<'_>,
) -> Result<Bytes, GatewayError> {
    if super::path(dialect, target.upstream_model).is_none() {
        let what = format!(
            "`model` is served in the dialect \"{dialect}\", which does not rerank; choose a model \
             that does."
        );
        return Err(GatewayError::new(Kind::InvalidRequest, what).with_param("model"));
    }
    let cohere = dialect == Dialect::Cohere;
    let mut out = Vec::with_capacity(4096);
    out.push(b'{');
    json::text_member(&mut out, "model", target.upstream_model);
    json::text_member(&mut out, "query", &request.query);
    json::key(&mut out, "documents");
    out.push(b'[');
    for (i, document) in request.documents.iter().enumerate() {
        json::comma(&mut out);
        match document {
            Document { text: Some(text), image: None } => json::string(&mut out, text),
            Document { .. } if cohere => {
                let param = format!("documents[{i}].image");
                return Err(refusal(param, "cannot be given: this model reranks text"));
            }
            Document { text, image } => object(text.as_deref(), image.as_deref(), &mut out),
        }
    }
    out.push(b']');
    if let Some(top_n) = request.top_n {
        json::number_member(&mut out, "top_n", u64::from(top_n));
    }
    for (name, raw) in &request.rest {
        let for_gateway = |(key, known): &(Key, &str)| known == name && key.gateway_only();
        let goes =
            if cohere { name == "max_tokens_per_doc" } else { !Key::ALL.iter().any(for_gateway) };
        if goes {
            json::comma(&mut out);
            json::string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(raw.as_str().as_bytes());
        }
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

/// A document as Jina has it.
pub(super) fn object(text: Option<&str>, image: Option<&str>, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(text) = text {
        json::text_member(out, "text", text);
    }
    if let Some(image) = image {
        json::text_member(out, "image", image);
    }
    out.push(b'}');
}
