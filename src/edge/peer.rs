//! Where a provider is reached: addresses, timeouts, and the head of every request to it.
//!
//! Pingora's own name resolution blocks the thread and panics on failure, so names are resolved
//! here, in the background, and a peer is always built from an address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gcp_auth::{CustomServiceAccount, TokenProvider as _};
use http::{HeaderValue, header};
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{ALPN, HttpPeer};
use pingora::{ErrorType, OkOrErr as _, OrErr as _, Result};

use crate::catalog::{Auth, Provider};
use crate::dialect::Dialect;

/// How long a name lookup may take when an address is needed at once.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle upstream connections are closed before the usual idle timeouts of providers (60 s).
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Limit on one write to an upstream; a body of 64 MiB goes out as one.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// Version of Anthropic's API that we speak (Anthropic's reference, required header).
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What a token of Google's is for (Google's reference of OAuth scopes, 2026-11).
const GOOGLE_SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/cloud-platform"];
/// Limit on the wait for a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);

/// One provider as the edge sees it.
pub(crate) struct Upstream {
    pub(crate) provider: Arc<Provider>,
    addresses: ArcSwapOption<Vec<SocketAddr>>,
    /// Which address is in use; moved on when it cannot be connected to.
    turn: AtomicUsize,
    /// The head of a request with each of the provider's keys, without what differs from request to
    /// request.
    heads: Vec<RequestHeader>,
    /// Gets tokens for a service account of Google's.
    google: Option<Arc<CustomServiceAccount>>,
}

impl Upstream {
    /// Prepares a provider; `before` is the same provider before a reload, whose addresses still
    /// hold if the host is the same.
    ///
    /// # Errors
    /// The base path or the credential cannot stand in a request's head.
    pub(crate) fn new(provider: &Arc<Provider>, before: Option<&Self>) -> Result<Self> {
        let origin = &provider.origin;
        let addresses = match origin.host.parse::<IpAddr>() {
            Ok(ip) => Some(Arc::new(vec![SocketAddr::new(ip, origin.port)])),
            Err(_name) => before
                .filter(|b| b.provider.origin == *origin)
                .and_then(|b| b.addresses.load_full()),
        };
        Ok(Self {
            provider: Arc::clone(provider),
            addresses: ArcSwapOption::new(addresses),
            turn: AtomicUsize::new(0),
            heads: provider
                .credentials()
                .map(|auth| head(provider, auth))
                .collect::<Result<_>>()?,
            google: google(provider, before)?,
        })
    }

    /// An address to connect to, from the background's last lookup, or looked up now.
    pub(crate) async fn address(&self) -> Option<SocketAddr> {
        if let Some(address) = self.known() {
            return Some(address);
        }
        self.resolve().await;
        self.known()
    }

    fn known(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        let addresses = addresses.as_ref()?;
        let turn = self.turn.load(Ordering::Relaxed) % addresses.len().max(1);
        addresses.get(turn).copied()
    }

    /// Looks the name up. The last known addresses stay if that fails.
    pub(crate) async fn resolve(&self) {
        let origin = &self.provider.origin;
        if origin.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let lookup = tokio::net::lookup_host((origin.host.as_str(), origin.port));
        match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(found)) => self.keep(found.collect()),
            Ok(Err(error)) => {
                tracing::warn!(provider = %self.provider.id, %error, "Name lookup failed.");
            }
            Err(_elapsed) => {
                tracing::warn!(provider = %self.provider.id, "Name lookup timed out.");
            }
        }
    }

    /// Takes new addresses. The one in use stays in use while it is still among them, so that
    /// pooled connections, which are kept by address, go on being used.
    fn keep(&self, mut found: Vec<SocketAddr>) {
        if found.is_empty() {
            return;
        }
        if let Some(current) = self.known()
            && let Some(at) = found.iter().position(|a| *a == current)
        {
            found.swap(0, at);
        }
        self.turn.store(0, Ordering::Relaxed);
        self.addresses.store(Some(Arc::new(found)));
    }

    /// The address could not be connected to: the next attempt takes the next one.
    pub(crate) fn turn_away(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// The peer for one attempt. `read_timeout` holds for the wait for the header and for each
    /// gap.
    pub(crate) fn peer(&self, address: SocketAddr, read_timeout: Duration) -> Box<HttpPeer> {
        let origin = &self.provider.origin;
        // An empty SNI would switch verification off; a host name is never empty.
        let mut peer = HttpPeer::new(address, origin.tls, origin.host.clone());
        let options = &mut peer.options;
        let connect = self.provider.timeouts.connect;
        options.connection_timeout = Some(connect);
        options.total_connection_timeout = Some(connect.saturating_mul(2));
        options.read_timeout = Some(read_timeout);
        options.write_timeout = Some(WRITE_TIMEOUT);
        options.idle_timeout = Some(IDLE_TIMEOUT);
        if origin.tls {
            options.alpn = ALPN::H2H1;
            options.max_h2_streams = 100;
            options.h2_ping_interval = Some(Duration::from_secs(20));
        }
        Box::new(peer)
    }

    /// The credential that must be asked for before a request: a token of Google's, from the last
    /// time or fetched now. None: the provider needs no such.
    ///
    /// # Errors
    /// Google gives none, or not in time.
    pub(crate) async fn token(&self) -> std::result::Result<Option<HeaderValue>, &'static str> {
        let Some(google) = &self.google else { return Ok(None) };
        let token = tokio::time::timeout(TOKEN_TIMEOUT, google.token(&GOOGLE_SCOPES)).await;
        let token = token.map_err(|_elapsed| "Google gave no token in time")?;
        let token = token.map_err(|_| "Google gives no token for the service account")?;
        let text = zeroize::Zeroizing::new(format!("Bearer {}", token.as_str()));
        sensitive(&text).map(Some).map_err(|_| "Google's token cannot stand in a header")
    }

    /// The head of a request with a body of this length, with the key at this place. `path` follows
    /// the base URL, if it is not the usual one.
    ///
    /// # Errors
    /// None in practice: the values are plain, and every key has a place.
    pub(crate) fn request(
        &self,
        key: usize,
        path: Option<&str>,
        stream: bool,
        length: usize,
    ) -> Result<RequestHeader> {
        let mut head = self.head(key)?;
        if let Some(path) = path {
            let mut path = format!("{}{path}", self.provider.base_path);
            if let Some(query) = &self.provider.query {
                path.push(if path.contains('?') { '&' } else { '?' });
                path.push_str(query);
            }
            head.set_raw_path(path.as_bytes())?;
        }
        let accept = if stream { "text/event-stream" } else { "application/json" };
        head.insert_header(header::ACCEPT, HeaderValue::from_static(accept))?;
        head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
        Ok(head)
    }
}

impl Upstream {
    fn head(&self, key: usize) -> Result<RequestHeader> {
        let head = self.heads.get(key).cloned();
        head.or_err(ErrorType::InternalError, "a key that the provider has not")
    }

    /// The head of a health check.
    ///
    /// # Errors
    /// The path cannot stand in a request's head.
    pub(crate) fn probe_request(&self, path: &str) -> Result<RequestHeader> {
        let mut head = self.head(0)?;
        head.set_method(http::Method::GET);
        head.set_raw_path(path.as_bytes())?;
        head.remove_header("content-type");
        head.insert_header("accept", HeaderValue::from_static("application/json"))?;
        Ok(head)
    }
}

/// Everything is built fresh: nothing of the client's head reaches a provider.
fn head(provider: &Provider, auth: &Auth) -> Result<RequestHeader> {
    let path = format!("{}{}", provider.base_path, provider.dialect.path("", false));
    let mut head = RequestHeader::build_no_case(http::Method::POST, path.as_bytes(), Some(12))?;
    head.insert_header("host", provider.origin.authority.as_str())?;
    head.insert_header("user-agent", USER_AGENT)?;
    head.insert_header("content-type", "application/json")?;
    head.insert_header("accept-encoding", "identity")?;
    if matches!(provider.dialect, Dialect::Anthropic) {
        head.insert_header("anthropic-version", ANTHROPIC_VERSION)?;
    }
    match auth {
        // Signed or asked for when the request is there.
        Auth::None | Auth::Aws(_) | Auth::ServiceAccount(_) => {}
        Auth::Bearer(secret) => {
            let value = zeroize::Zeroizing::new(format!("Bearer {}", secret.expose()));
            head.insert_header("authorization", sensitive(&value)?)?;
        }
        Auth::Header(name, secret) => {
            head.insert_header(name.clone(), sensitive(secret.expose())?)?;
        }
    }
    Ok(head)
}

/// What gets tokens for this provider; the one before a reload keeps its token.
fn google(
    provider: &Provider,
    before: Option<&Upstream>,
) -> Result<Option<Arc<CustomServiceAccount>>> {
    let Auth::ServiceAccount(key) = &provider.auth else { return Ok(None) };
    if let Some(Upstream { provider, google: Some(google), .. }) = before
        && matches!(&provider.auth, Auth::ServiceAccount(old) if old == key)
    {
        return Ok(Some(Arc::clone(google)));
    }
    let account = CustomServiceAccount::from_json(key.expose())
        .or_err(ErrorType::InvalidCert, "the key of a service account cannot be used")?;
    Ok(Some(Arc::new(account)))
}

/// A header value that `Debug` does not show.
fn sensitive(secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret)
        .or_err(ErrorType::InvalidHTTPHeader, "a credential has a byte that no header may hold")?;
    value.set_sensitive(true);
    Ok(value)
}

const USER_AGENT: &str = concat!("turnpike/", env!("CARGO_PKG_VERSION"));
