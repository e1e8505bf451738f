//! One of the two attempts of a race: asked over a connection of our own, up to its first token.

use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Uri, header};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr as _, Result, RetryType};
use tokio::time::{Sleep, sleep};

use crate::attempt::Outcome;
use crate::balance::Nanos;
use crate::dialect::frames::Framing;
use crate::edge::answer::ERROR_BODY_MAX;
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::journey::{Attempt, Progress};
use crate::edge::peer::Upstream;
use crate::edge::random;
use crate::stream::{Pipe, Shape};

/// What may come before the first token, at most, in bytes.
const KEPT_MAX: usize = 2 << 20;

/// An attempt that is to be made.
pub(super) struct Leg {
    upstream: Arc<Upstream>,
    peer: Box<HttpPeer>,
    head: RequestHeader,
    body: Bytes,
    /// What its answer is read with, until it has begun.
    shape: Shape,
    passed: bool,
}

/// An answer that has begun.
pub(super) struct Begun {
    pub(super) session: HttpSession,
    pub(super) peer: Box<HttpPeer>,
    pub(super) content_type: Option<HeaderValue>,
    /// What has come of its body.
    pub(super) kept: Vec<Bytes>,
    /// That was all.
    pub(super) ended: bool,
    /// When a connection was there.
    pub(super) connected: Nanos,
    /// The longest silence from here on.
    pub(super) gap: Duration,
}

/// Why there is no header.
enum NoHeader {
    /// Another connection may help: nothing was processed.
    Stale,
    Failed(Outcome),
}

impl Leg {
    /// `shape` is that of the answer, of which only what concerns the provider is looked at.
    pub(super) fn new(
        attempt: &Attempt,
        peer: Box<HttpPeer>,
        head: RequestHeader,
        shape: Shape,
    ) -> Self {
        let endpoint = &attempt.slot.endpoint;
        let (host, template) = (endpoint.provider.host, endpoint.template.clone());
        Self {
            upstream: Arc::clone(&attempt.upstream),
            peer,
            head,
            body: attempt.body.clone(),
            shape: Shape { host, template, metadata: None, ..shape },
            passed: attempt.passed,
        }
    }

    /// Asks, and reads the answer until it has begun.
    ///
    /// # Errors
    /// It has failed; how, as for any attempt.
    pub(super) async fn run(
        mut self,
        connector: &Connector,
    ) -> std::result::Result<Begun, Progress> {
        let mut again = false;
        loop {
            let (mut session, reused) = self.connect(connector).await?;
            let connected = clock::now();
            let mut late = pin!(sleep(self.upstream.provider.timeouts.first_token));
            let header = tokio::select! {
                header = self.header(&mut session, connector, reused) => header,
                () = &mut late => Err(NoHeader::Failed(Outcome::FirstTokenTimeout)),
            };
            match header {
                Ok(()) => return self.answer(session, connected, late).await,
                Err(NoHeader::Stale) if !again => {
                    again = true;
                    // Where one pooled connection is stale its neighbours are, too.
                    self.peer.group_key = random::u64();
                }
                Err(NoHeader::Stale) => return Err(Progress::Failed(Outcome::ConnectionReset)),
                Err(NoHeader::Failed(outcome)) => return Err(Progress::Failed(outcome)),
            }
        }
    }

    async fn connect(
        &self,
        connector: &Connector,
    ) -> std::result::Result<(HttpSession, bool), Progress> {
        connector.get_http_session(&*self.peer).await.map_err(|error| {
            self.upstream.turn_away();
            Progress::Failed(failure::not_connected(error.etype()))
        })
    }

    /// Sends the request and reads the header of its answer.
    async fn header(
        &self,
        session: &mut HttpSession,
        connector: &Connector,
        reused: bool,
    ) -> std::result::Result<(), NoHeader> {
        session.set_read_timeout(None);
        let sent = self.send(session).await;
        // A provider may answer before it has read everything, and close.
        let error = match (read_header(session).await, sent) {
            (Ok(()), _) => return Ok(()),
            (Err(_), Err(error)) | (Err(error), Ok(())) => error,
        };
        if matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2) {
            connector.prefer_h1(&*self.peer);
        }
        match error.etype() {
            // It has not looked at the request.
            ErrorType::H2Downgrade => Err(NoHeader::Stale),
            // Reading this error's retry type while it is undecided would panic.
            _ if reused && matches!(error.retry, RetryType::ReusedOnly) => Err(NoHeader::Stale),
            _ => Err(NoHeader::Failed(Outcome::ConnectionReset)),
        }
    }

    async fn send(&self, session: &mut HttpSession) -> Result<()> {
        let mut head = self.head.clone();
        if matches!(session, HttpSession::H2(_)) {
            for_http2(&mut head)?;
        }
        session.write_request_header(Box::new(head)).await?;
        session.write_request_body(self.body.clone(), true).await?;
        session.finish_request_body().await
    }

    /// Reads the answer until it has begun, or has failed.
    async fn answer(
        self,
        mut session: HttpSession,
        connected: Nanos,
        mut late: Pin<&mut Sleep>,
    ) -> std::result::Result<Begun, Progress> {
        let Some(header) = session.response_header() else {
            return Err(Progress::Failed(Outcome::ConnectionReset));
        };
        let status = header.status.as_u16();
        if !(200..300).contains(&status) {
            let retry_after = failure::retry_after(&header.headers, clock::unix_ms());
            let body = tokio::select! {
                body = error_body(&mut session) => body,
                () = &mut late => BytesMut::new(),
            };
            return Err(Progress::Refused { status, retry_after, body });
        }
        let content_type = header.headers.get(header::CONTENT_TYPE).cloned();
        let framing = Framing::of(content_type.as_ref().map_or(b"", |value| value.as_bytes()));
        let timeouts = &self.upstream.provider.timeouts;
        let gap = timeouts.inter_event;
        session.set_read_timeout(Some(timeouts.first_token.max(gap)));
        let dialect = self.upstream.provider.dialect;
        let pipe = Pipe::new(dialect, self.shape, framing, self.passed);
        let mut kept = Vec::new();
        let ended = tokio::select! {
            ended = begin(&mut session, pipe, &mut kept) => ended,
            // An answer in one piece has no first token.
            () = late, if framing != Framing::Whole => Err(Outcome::FirstTokenTimeout),
        };
        match ended {
            Ok(ended) => {
                let peer = self.peer;
                Ok(Begun { session, peer, content_type, kept, ended, connected, gap })
            }
            Err(outcome) => Err(Progress::Failed(outcome)),
        }
    }
}

/// Reads until something of the answer has come; says whether that was all of it.
async fn begin(
    session: &mut HttpSession,
    mut pipe: Pipe,
    kept: &mut Vec<Bytes>,
) -> std::result::Result<bool, Outcome> {
    let mut length = 0;
    loop {
        let piece = match session.read_response_body().await {
            Ok(piece) => piece,
            Err(error) if *error.etype() == ErrorType::ReadTimedout => {
                return Err(Outcome::FirstTokenTimeout);
            }
            Err(_) => return Err(Outcome::EarlyEof),
        };
        let Some(piece) = piece else {
            return match pipe.end() {
                Ok(_) => Ok(true),
                Err(_) if kept.is_empty() => Err(Outcome::EmptyAnswer),
                Err(fault) => Err(Outcome::of_answer(&fault, false)),
            };
        };
        length += piece.len();
        kept.push(piece.clone());
        pipe.push(piece).map_err(|fault| Outcome::of_answer(&fault, false))?;
        if pipe.meter().semantic {
            return Ok(false);
        }
        if length > KEPT_MAX {
            return Err(Outcome::TooLarge);
        }
    }
}

/// Reads past what is not yet the answer's own header.
async fn read_header(session: &mut HttpSession) -> Result<()> {
    loop {
        session.read_response_header().await?;
        let status = session.response_header().map(|header| header.status);
        if !status.is_some_and(|status| status.is_informational()) {
            return Ok(());
        }
        if matches!(session, HttpSession::H2(_)) {
            return Error::e_explain(ErrorType::InvalidHTTPHeader, "an informational answer");
        }
    }
}

/// The body of an error, as far as it comes and is of interest.
async fn error_body(session: &mut HttpSession) -> BytesMut {
    let mut body = BytesMut::new();
    while body.len() < ERROR_BODY_MAX
        && let Ok(Some(part)) = session.read_response_body().await
    {
        let room = ERROR_BODY_MAX.saturating_sub(body.len()).min(part.len());
        body.extend_from_slice(&part[..room]);
    }
    body
}

/// Gives a head the form that it has over HTTP/2: the host stands in the URI.
fn for_http2(head: &mut RequestHeader) -> Result<()> {
    head.set_version(http::Version::HTTP_2);
    let host = head.remove_header(&header::HOST);
    let host = host.as_ref().map_or(b"".as_slice(), |host| host.as_bytes());
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let uri = Uri::builder().scheme("https").authority(host).path_and_query(path).build();
    head.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "no URI for HTTP/2")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_http2_the_host_stands_in_the_uri() {
        let mut head =
            RequestHeader::build("POST", b"/v1/chat/completions?a=b", None).expect("a head");
        head.insert_header("host", "api.example.com:8443").expect("a header");
        for_http2(&mut head).expect("a head for HTTP/2");
        assert_eq!(head.uri.to_string(), "https://api.example.com:8443/v1/chat/completions?a=b");
        assert_eq!(head.version, http::Version::HTTP_2);
        assert!(head.headers.get("host").is_none(), "not twice");
        let mut nowhere = RequestHeader::build("POST", b"/", None).expect("a head");
        assert!(for_http2(&mut nowhere).is_err(), "nobody is asked");
    }
}
