//! The head of a request: is its framing sound, and what is asked?
//!
//! Framing that two parsers could read differently is refused, whatever Pingora would make of it:
//! that is how requests are smuggled past a proxy (RFC 9112 §6.1, §11.2).

use http::{HeaderMap, Method, Version, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::admin::account;
use crate::dialect::Surface;
use crate::edge::task::Task;
use crate::error::{GatewayError, Kind};

/// What is asked, from method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A `POST` that a model answers.
    Ask(Task),
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/user`.
    UserModels,
    /// `GET /v1/embeddings/models`.
    EmbeddingModels,
    /// `GET /v1/endpoints/zdr`.
    ZeroRetention,
    /// `GET /v1/model/{id}`.
    Wrapped(String),
    /// `GET /v1/parameters/{id}?provider=…`.
    Parameters(String, Option<String>),
    /// `GET /v1/models/{id}`.
    Model(String),
    /// `GET /v1/models/{author}/{slug}/endpoints`.
    Endpoints(String),
    /// `GET /v1/models/count`.
    Count,
    /// `GET /v1/providers`.
    Providers,
    /// `GET /v1/credits`.
    Credits,
    /// `GET /v1/key`, also as `/v1/auth/key`.
    Key,
    /// What a management key does to its account.
    Account(account::Call),
    /// `GET /v1/openapi.json`.
    OpenApi,
    /// `GET /v1/generation?id=…`.
    Generation(Option<String>),
    /// `GET /v1/generation/content?id=…`.
    Content(Option<String>),
    /// `DELETE /v1/generation/content?id=…`.
    ForgetContent(Option<String>),
}

/// Checks the head's size and framing.
///
/// # Errors
/// What to tell the client; the connection must then be closed.
pub(crate) fn head(session: &Session, bytes_max: usize) -> Result<(), GatewayError> {
    let request = session.req_header();
    framing(request, bytes_max)?;
    let http1 = session.as_downstream().as_http1();
    match http1.filter(|_| request.headers.contains_key(header::TRANSFER_ENCODING)) {
        Some(http1) => one_length(&http1.get_headers_raw_bytes()),
        None => Ok(()),
    }
}

/// Pingora drops `Content-Length` where there is a `Transfer-Encoding` too, so that only the
/// head's bytes tell whether both were sent.
fn one_length(head: &[u8]) -> Result<(), GatewayError> {
    let name =
        |line: &[u8]| line.split(|b| *b == b':').next().map(<[u8]>::trim_ascii).map(is_length);
    if head.split(|b| *b == b'\n').any(|line| name(line) == Some(true)) {
        return Err(GatewayError::new(Kind::InvalidRequest, BOTH_LENGTHS));
    }
    Ok(())
}

fn is_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length")
}

const BOTH_LENGTHS: &str = "Content-Length and Transfer-Encoding must not be given together.";

fn framing(request: &RequestHeader, bytes_max: usize) -> Result<(), GatewayError> {
    let headers = &request.headers;
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size + request.raw_path().len() > bytes_max {
        return Err(GatewayError::new(
            Kind::HeaderTooLarge,
            format!("The request's header is larger than {bytes_max} bytes."),
        ));
    }
    if request.version == Version::HTTP_2 {
        return Ok(());
    }
    let bad = |text: &str| Err(GatewayError::new(Kind::InvalidRequest, text));
    if headers.contains_key(header::UPGRADE) {
        return bad("Upgrading the protocol is not supported.");
    }
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    if lengths > 1 {
        return bad("Content-Length is given more than once.");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if lengths > 0 {
        return bad(BOTH_LENGTHS);
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return bad("The only Transfer-Encoding that is supported is \"chunked\".");
    }
    if request.version != Version::HTTP_11 {
        return bad("Transfer-Encoding needs HTTP/1.1.");
    }
    Ok(())
}

/// Finds the route.
///
/// # Errors
/// 404 or 405, with the routes or methods that there are.
pub(crate) fn route(request: &RequestHeader) -> Result<Route, GatewayError> {
    let full = request.uri.path();
    let path = full.strip_prefix("/api").unwrap_or(full);
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some(call) = managing(path, &request.method) {
        return call.map(Route::Account);
    }
    let (route, method) = match path {
        "/v1/chat/completions" => (Route::Ask(Task::Answer(Surface::Chat)), Method::POST),
        "/v1/completions" => (Route::Ask(Task::Answer(Surface::Completions)), Method::POST),
        "/v1/responses" => (Route::Ask(Task::Answer(Surface::Responses)), Method::POST),
        "/v1/messages" => (Route::Ask(Task::Answer(Surface::Messages)), Method::POST),
        "/v1/embeddings" => (Route::Ask(Task::Embed), Method::POST),
        "/v1/rerank" => (Route::Ask(Task::Rerank), Method::POST),
        "/v1/messages/count_tokens" => (Route::CountTokens, Method::POST),
        "/v1/models/count" => (Route::Count, Method::GET),
        "/v1/providers" => (Route::Providers, Method::GET),
        "/v1/models" => (Route::Models, Method::GET),
        "/v1/models/user" => (Route::UserModels, Method::GET),
        "/v1/embeddings/models" => (Route::EmbeddingModels, Method::GET),
        "/v1/endpoints/zdr" => (Route::ZeroRetention, Method::GET),
        "/v1/openapi.json" => (Route::OpenApi, Method::GET),
        "/v1/credits" => (Route::Credits, Method::GET),
        "/v1/key" | "/v1/auth/key" => (Route::Key, Method::GET),
        "/v1/generation/content" if request.method == Method::DELETE => {
            (Route::ForgetContent(query(request, "id")), Method::DELETE)
        }
        "/v1/generation/content" => (Route::Content(query(request, "id")), Method::GET),
        "/v1/generation" => (Route::Generation(query(request, "id")), Method::GET),
        _ => (below(path, request).ok_or_else(unknown)?, Method::GET),
    };
    if request.method != method {
        let allowed = match route {
            Route::Content(_) => "GET, DELETE",
            _ => method.as_str(),
        };
        let text = format!("Use {allowed} for this path, not {}.", request.method);
        return Err(GatewayError::new(Kind::MethodNotAllowed, text).with_param(allowed));
    }
    Ok(route)
}

/// The paths of management keys, which take several methods.
fn managing(path: &str, method: &Method) -> Option<Result<account::Call, GatewayError>> {
    use account::Call;
    let hash = path.strip_prefix("/v1/keys/").map(unescape);
    let (call, allowed) = match (path, hash) {
        ("/v1/activity", _) => ((method == Method::GET).then_some(Call::Activity), "GET"),
        ("/v1/keys", _) => {
            let call = match *method {
                Method::GET => Some(Call::List),
                Method::POST => Some(Call::Create),
                _ => None,
            };
            (call, "GET, POST")
        }
        (_, Some(hash)) => {
            let call = match *method {
                Method::GET => Some(Call::Show(hash)),
                Method::PATCH => Some(Call::Change(hash)),
                Method::DELETE => Some(Call::Delete(hash)),
                _ => None,
            };
            (call, "GET, PATCH, DELETE")
        }
        _ => return None,
    };
    Some(call.ok_or_else(|| {
        let text = format!("Use {allowed} for this path, not {method}.");
        GatewayError::new(Kind::MethodNotAllowed, text).with_param(allowed)
    }))
}

/// Paths that go on with a model's id.
fn below(path: &str, request: &RequestHeader) -> Option<Route> {
    let id = |prefix: &str| path.strip_prefix(prefix).filter(|id| !id.is_empty());
    let parameters = |id: &str| Route::Parameters(unescape(id), query(request, "provider"));
    id("/v1/models/")
        .map(model)
        .or_else(|| id("/v1/model/").map(|id| Route::Wrapped(unescape(id))))
        .or_else(|| id("/v1/parameters/").map(parameters))
}

/// The query's parameters, decoded, in order.
pub(crate) fn pairs(request: &RequestHeader) -> Vec<(String, String)> {
    let pairs = request.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decode = |text: &str| unescape(&text.replace('+', " "));
    let split = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (decode(name), decode(value)),
        None => (decode(pair), String::new()),
    };
    pairs.map(split).collect()
}

fn model(id: &str) -> Route {
    match id.strip_suffix("/endpoints") {
        Some(id) if !id.is_empty() => Route::Endpoints(unescape(id)),
        _ => Route::Model(unescape(id)),
    }
}

fn unknown() -> GatewayError {
    GatewayError::new(
        Kind::NotFound,
        "There is no such path. There are POST /v1/chat/completions, /v1/responses, /v1/messages, \
         /v1/completions, /v1/embeddings and /v1/rerank, and GET /v1/models (and below it), /v1/model, \
         /v1/embeddings/models, /v1/endpoints/zdr, /v1/parameters, /v1/providers, /v1/credits, \
         /v1/key, /v1/generation, /v1/generation/content and, for management keys, /v1/keys and \
         /v1/activity, all of them also under /api/v1.",
    )
}

/// The value of a query parameter, percent-decoded.
fn query(request: &RequestHeader, name: &str) -> Option<String> {
    let pairs = request.uri.query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| unescape(v))
}

/// Percent-decoding; what is no escape stays as it is.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = escape.and_then(|hex| std::str::from_utf8(hex).ok());
        match value.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Checks that the body is JSON and not compressed, as far as its headers tell.
///
/// # Errors
/// 415, or 417's case as a 400: an `Expect` other than `100-continue`.
pub(crate) fn media(headers: &HeaderMap) -> Result<(), GatewayError> {
    let bad = |text: String| Err(GatewayError::new(Kind::UnsupportedMediaType, text));
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or("not a text");
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let json = essence.eq_ignore_ascii_case("application/json")
            || essence.to_ascii_lowercase().ends_with("+json");
        if !json {
            return bad("The body must be JSON: send Content-Type: application/json.".to_owned());
        }
    }
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return bad(
            "A compressed body is not supported: send it without Content-Encoding.".to_owned()
        );
    }
    if let Some(expect) = headers.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(GatewayError::new(
            Kind::InvalidRequest,
            "The only Expect that is supported is \"100-continue\".",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, path.as_bytes(), None).expect("a head");
        for (name, value) in headers {
            head.append_header((*name).to_owned(), *value).expect("a header");
        }
        head
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for headers in [
            &[("content-length", "3"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "3"), ("content-length", "3")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "xchunked")],
            &[("upgrade", "websocket")],
        ] {
            let head = request("POST", "/v1/chat/completions", headers);
            let error = framing(&head, 1 << 16).expect_err("must be refused");
            assert_eq!(error.kind, Kind::InvalidRequest, "{headers:?}");
        }
        let mut old = request("POST", "/", &[("transfer-encoding", "chunked")]);
        old.set_version(Version::HTTP_10);
        assert!(framing(&old, 1 << 16).is_err(), "HTTP/1.0 has no chunked coding");
        let fine = request("POST", "/", &[("transfer-encoding", "Chunked")]);
        assert_eq!(framing(&fine, 1 << 16), Ok(()));
    }

    #[test]
    fn a_length_that_pingora_has_dropped_is_found() {
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nhost: x\r\n\r\n";
        assert_eq!(one_length(chunked), Ok(()));
        let fine = b"POST /content-length: HTTP/1.1\r\nx: content-length: 1\r\n\r\n";
        assert_eq!(one_length(fine), Ok(()));
        for both in [
            &b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length:3\r\n\r\n",
            b"POST / HTTP/1.1\ntransfer-encoding: chunked\nCONTENT-LENGTH: 3\n\n",
        ] {
            assert_eq!(one_length(both).expect_err("refused").kind, Kind::InvalidRequest);
        }
    }

    #[test]
    fn large_heads_are_refused() {
        let head = request("GET", "/", &[("x-a", &"a".repeat(2000))]);
        assert_eq!(framing(&head, 1000).expect_err("too large").kind, Kind::HeaderTooLarge);
    }

    #[test]
    fn routes_are_found_under_both_prefixes() {
        for (method, path, expected) in [
            ("POST", "/v1/chat/completions", Route::Ask(Task::Answer(Surface::Chat))),
            ("POST", "/api/v1/chat/completions", Route::Ask(Task::Answer(Surface::Chat))),
            ("POST", "/api/v1/messages", Route::Ask(Task::Answer(Surface::Messages))),
            ("GET", "/v1/models/a/b/endpoints", Route::Endpoints("a/b".to_owned())),
            ("GET", "/v1/models/count", Route::Count),
            ("GET", "/v1/models/user", Route::UserModels),
            ("GET", "/api/v1/embeddings/models", Route::EmbeddingModels),
            ("GET", "/api/v1/endpoints/zdr", Route::ZeroRetention),
            ("GET", "/v1/model/a/b:free", Route::Wrapped("a/b:free".to_owned())),
            (
                "GET",
                "/v1/parameters/a/b?provider=x",
                Route::Parameters("a/b".to_owned(), Some("x".to_owned())),
            ),
            ("GET", "/api/v1/models/", Route::Models),
            ("GET", "/v1/models/a/b%3Afree", Route::Model("a/b:free".to_owned())),
            ("GET", "/v1/auth/key", Route::Key),
            ("GET", "/v1/generation/content?id=gen-1", Route::Content(Some("gen-1".to_owned()))),
            (
                "DELETE",
                "/api/v1/generation/content?id=gen-1",
                Route::ForgetContent(Some("gen-1".to_owned())),
            ),
            ("GET", "/v1/generation?x=1&id=gen-1", Route::Generation(Some("gen-1".to_owned()))),
        ] {
            assert_eq!(route(&request(method, path, &[])), Ok(expected), "{method} {path}");
        }
        let wrong = route(&request("GET", "/v1/chat/completions", &[])).expect_err("405");
        assert_eq!((wrong.kind, wrong.param.as_deref()), (Kind::MethodNotAllowed, Some("POST")));
        let none = route(&request("GET", "/v2/models", &[])).expect_err("404");
        assert_eq!(none.kind, Kind::NotFound);
    }

    #[test]
    fn bodies_must_be_plain_json() {
        for (name, value, ok) in [
            ("content-type", "application/json; charset=utf-8", true),
            ("content-type", "application/vnd.api+json", true),
            ("content-type", "text/plain", false),
            ("content-type", "multipart/form-data", false),
            ("content-encoding", "gzip", false),
            ("content-encoding", "identity", true),
            ("expect", "100-Continue", true),
            ("expect", "200-ok", false),
        ] {
            let head = request("POST", "/", &[(name, value)]);
            assert_eq!(media(&head.headers).is_ok(), ok, "{name}: {value}");
        }
    }
}
