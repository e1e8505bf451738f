//! Pictures and files that a request only points to, for providers that take no URLs.
//!
//! A client chooses the URL, so that fetching it must not become a way into the operator's own
//! network: names are resolved here, addresses that are not public are refused (after resolution,
//! and again at every redirect), only http and https on their usual ports are spoken, and nothing
//! of the client's or of a provider's credentials is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

use crate::config::settings::Media;
use crate::error::{GatewayError, Kind};

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Limit on the time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches what requests point to.
pub(crate) struct Fetcher {
    client: Client,
    settings: Media,
}

impl Fetcher {
    /// A fetcher with these limits.
    ///
    /// # Errors
    /// The system's TLS roots cannot be used.
    pub(crate) fn new(settings: Media) -> pingora::Result<Self> {
        // Another part of the process may have chosen before; that choice is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let private = settings.private_networks;
        let policy = Policy::custom(move |attempt: Attempt<'_>| {
            let again = attempt.previous().len() > REDIRECTS_MAX;
            if again || check(attempt.url(), private).is_err() {
                attempt.stop()
            } else {
                attempt.follow()
            }
        });
        let client = Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(policy)
            .dns_resolver(Arc::new(PublicOnly { private }))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .user_agent(concat!("turnpike/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                pingora::Error::because(
                    pingora::ErrorType::InternalError,
                    "the media client",
                    error,
                )
            })?;
        Ok(Self { client, settings })
    }

    /// Fetches all of these; gives each as a `data:` URL, in their order.
    ///
    /// # Errors
    /// Fetching is switched off, there are too many, or one cannot be had; the text says which.
    pub(crate) async fn fetch(&self, urls: &[String]) -> Result<Vec<String>, GatewayError> {
        if !self.settings.fetch {
            return Err(refusal(
                "This model's provider takes no URLs of pictures or files, and fetching them is \
                 switched off here; send a data: URL"
                    .to_owned(),
            ));
        }
        let most = self.settings.count_max;
        if urls.len() > most {
            return Err(refusal(format!(
                "The request points to {} pictures and files, which is more than the {most} that \
                 are fetched for one request; send data: URLs",
                urls.len()
            )));
        }
        let all = async {
            let mut out = Vec::with_capacity(urls.len());
            for (i, url) in urls.iter().enumerate() {
                out.push(self.one(url).await.map_err(|why| {
                    refusal(format!("Number {} of the URLs in the request {why}", i + 1))
                })?);
            }
            Ok(out)
        };
        match tokio::time::timeout(self.settings.timeout, all).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(refusal(
                "The pictures and files that the request points to could not be fetched in time; \
                 send data: URLs"
                    .to_owned(),
            )),
        }
    }

    async fn one(&self, text: &str) -> Result<String, String> {
        let url = Url::parse(text).map_err(|_| "is no URL".to_owned())?;
        check(&url, self.settings.private_networks)?;
        let failed = "could not be fetched; send a data: URL".to_owned();
        let mut answer = self.client.get(url).send().await.map_err(|_| failed.clone())?;
        if !answer.status().is_success() {
            return Err(format!("was answered with status {}", answer.status().as_u16()));
        }
        let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim).map(str::to_owned);
        let most = self.settings.bytes_max;
        let too_large = format!("is larger than {most} bytes");
        if answer.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_large);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| failed.clone())? {
            if bytes.len() + chunk.len() > most {
                return Err(too_large);
            }
            bytes.extend_from_slice(&chunk);
        }
        let kind = media_type(kind.as_deref(), &bytes)
            .ok_or_else(|| "is neither a picture, a sound, a film, a PDF nor text".to_owned())?;
        let mut out = format!("data:{kind};base64,");
        STANDARD.encode_string(&bytes, &mut out);
        Ok(out)
    }
}

fn refusal(text: String) -> GatewayError {
    GatewayError::new(Kind::InvalidRequest, format!("{text}."))
}

/// The media type: what the bytes say of themselves, or else what the server says.
fn media_type(told: Option<&str>, bytes: &[u8]) -> Option<String> {
    const SIGNS: [(&[u8], &str); 6] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-", "application/pdf"),
        (b"OggS", "audio/ogg"),
    ];
    if let Some((_, kind)) = SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)) {
        return Some((*kind).to_owned());
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("image/webp".to_owned());
    }
    let told = told?.to_ascii_lowercase();
    let class = told.split('/').next().unwrap_or_default();
    let plain = told.bytes().all(|b| b.is_ascii_alphanumeric() || b"/+-.".contains(&b));
    let known = matches!(class, "image" | "audio" | "video" | "text");
    (plain && (known || told == "application/pdf" || told == "application/json")).then_some(told)
}

/// Whether a URL may be fetched, as far as it says itself; names are judged when resolved.
pub(super) fn check(url: &Url, private: bool) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https: or http:".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    // The URL parser leaves a scheme's own port out.
    if url.port().is_some() && !private {
        return Err("must use the usual port of its scheme".to_owned());
    }
    let Some(host) = url.host_str() else { return Err("names no host".to_owned()) };
    // The URL parser has written every spelling of an address in the usual one.
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let Ok(ip) = bare.parse::<IpAddr>() else { return Ok(()) };
    if private || is_public(ip) { Ok(()) } else { Err(NOT_PUBLIC.to_owned()) }
}

const NOT_PUBLIC: &str = "leads to an address that is not public";

/// Resolves names to public addresses only.
pub(super) struct PublicOnly {
    pub(super) private: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries, 2026-11).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [a, b, c, d, e, f, g, h] = ip.segments();
    // NAT64 and 6to4 hide an IPv4 address.
    let hidden = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => hidden(g, h),
        (0x2002, _) => hidden(b, c),
        // Teredo, benchmarks, documentation, and all outside of global unicast.
        (0x2001, 0 | 2 | 0xdb8) => false,
        (0x3fff, _) => false,
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.5",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(ip.parse().expect(ip)), "{ip}");
        }
        for ip in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(ip.parse().expect(ip)), "{ip}");
        }
    }

    #[test]
    fn urls_are_judged_before_they_are_asked_for() {
        for (text, ok) in [
            ("https://example.com/a.png", true),
            ("http://example.com:80/a.png", true),
            ("http://example.com:8080/a.png", false),
            ("https://u:p@example.com/", false),
            ("ftp://example.com/", false),
            ("file:///etc/passwd", false),
            ("http://127.0.0.1/", false),
            ("http://2130706433/", false),
            ("http://0x7f.1/", false),
            ("http://[::ffff:10.0.0.1]/", false),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(check(&url, false).is_ok(), ok, "{text}");
        }
        assert!(check(&Url::parse("http://127.0.0.1:9/").expect("a URL"), true).is_ok());
    }

    #[test]
    fn bytes_tell_their_type_before_the_server_does() {
        assert_eq!(
            media_type(Some("text/html"), b"\x89PNG\r\n\x1a\nx").as_deref(),
            Some("image/png")
        );
        assert_eq!(media_type(None, b"RIFF1234WEBPx").as_deref(), Some("image/webp"));
        assert_eq!(media_type(Some("Audio/WAV"), b"x").as_deref(), Some("audio/wav"));
        assert_eq!(media_type(Some("application/octet-stream"), b"x"), None);
        assert_eq!(media_type(Some("image/a\"b"), b"x"), None);
    }
}
