//! A provider's base URL → where to connect and what stands before every path.
//!
//! Stricter than a browser on purpose: what is accepted here is sent as it stands, so there is no
//! second reading that could differ (no escapes, no dot segments, no credentials).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::catalog::Origin;

/// The longest URL, in bytes.
const LEN_MAX: usize = 2_048;

/// Reads `http(s)://host[:port][/path]`; the path has no slash at its end.
///
/// # Errors
/// What is wrong, and what is allowed. The URL itself is not repeated: it may hold a credential.
pub(super) fn parse(text: &str) -> Result<(Origin, String), String> {
    if text.len() > LEN_MAX {
        return Err(format!("must have at most {LEN_MAX} bytes"));
    }
    let (tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
        (true, rest)
    } else if let Some(rest) = text.strip_prefix("http://") {
        (false, rest)
    } else {
        return Err("must begin with http:// or https://".to_owned());
    };
    if rest.contains(['?', '#']) {
        return Err("must not have a query (?) or fragment (#)".to_owned());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("must not hold credentials; use api_key".to_owned());
    }
    let path = path.trim_end_matches('/');
    check_path(path)?;
    if path.ends_with("/chat/completions") || path.ends_with("/messages") {
        return Err("must end before /chat/completions or /messages, which is added".to_owned());
    }
    Ok((origin(tls, authority)?, path.to_owned()))
}

fn origin(tls: bool, authority: &str) -> Result<Origin, String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has a [ without a ] in its host")?;
            host.parse::<Ipv6Addr>().map_err(|_| "has a host in [ ] that is no IPv6 address")?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("")) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let own_port = if tls { 443 } else { 80 };
    let port = match port {
        None => own_port,
        Some(text) => port_number(text).ok_or("has a port that is not a number from 1 to 65535")?,
    };
    let host = host.to_ascii_lowercase();
    let v6 = authority.starts_with('[');
    if !v6 {
        check_host(&host)?;
    }
    let shown = if v6 { format!("[{host}]") } else { host.clone() };
    let authority = if port == own_port { shown } else { format!("{shown}:{port}") };
    Ok(Origin { tls, host, port, authority })
}

fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// A DNS name or an IPv4 address.
fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.split('.').all(label_ok) {
        return Err("has a host that is neither a DNS name nor an IP address".to_owned());
    }
    // `1.2.3` and `010.1.1.1` mean different hosts to different resolvers.
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let last_numeric = host.rsplit('.').next().is_some_and(numeric);
    if last_numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err("has a host that looks like an IPv4 address but is none".to_owned());
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~:@!$&'()*+,;=".contains(&b);
    if !path.bytes().all(allowed) {
        return Err("has a path with characters other than letters, digits and \
                    / - . _ ~ : @ ! $ & ' ( ) * + , ; ="
            .to_owned());
    }
    if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("has a path with an empty, . or .. segment".to_owned());
    }
    Ok(())
}

/// An absolute path for a probe, as [`check_path`] but a query may follow.
pub(super) fn check_probe_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path.len() > LEN_MAX {
        return Err("must begin with / and have at most 2048 bytes".to_owned());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    check_path(path)?;
    if !query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err("has a query with spaces, # or characters outside ASCII".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_are_taken_apart() {
        for (url, tls, host, port, authority, path) in [
            ("https://api.openai.com/v1", true, "api.openai.com", 443, "api.openai.com", "/v1"),
            ("https://Host.Example:443/v1/", true, "host.example", 443, "host.example", "/v1"),
            ("http://127.0.0.1:9001", false, "127.0.0.1", 9001, "127.0.0.1:9001", ""),
            ("http://[::1]:80/a/b", false, "::1", 80, "[::1]", "/a/b"),
            ("https://[2001:DB8::1]:8443/", true, "2001:db8::1", 8443, "[2001:db8::1]:8443", ""),
            ("http://vllm_1:8000/v1", false, "vllm_1", 8000, "vllm_1:8000", "/v1"),
        ] {
            let (origin, base) = parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            let expected =
                Origin { tls, host: host.to_owned(), port, authority: authority.to_owned() };
            assert_eq!(origin, expected, "{url}");
            assert_eq!(base, path, "{url}");
        }
    }

    #[test]
    fn bad_urls_say_why() {
        for (url, why) in [
            ("ftp://h/", "http://"),
            ("", "http://"),
            ("https://", "no host"),
            ("https://u:p@h/v1", "credentials"),
            ("https://h/v1?key=x", "query"),
            ("https://h/v1#x", "query"),
            ("https://h:0/", "port"),
            ("https://h:99999/", "port"),
            ("https://h:+80/", "port"),
            ("https://h:/", "port"),
            ("https://[::1/", "]"),
            ("https://[::1]x/", "port"),
            ("https://[nope]/", "IPv6"),
            ("https://a b/", "DNS"),
            ("https://-a.example/", "DNS"),
            ("https://a..b/", "DNS"),
            ("https://1.2.3/", "IPv4"),
            ("https://010.0.0.1/", "IPv4"),
            ("https://h/a/../b", "segment"),
            ("https://h//v1", "segment"),
            ("https://h/%2e%2e/", "characters"),
            ("https://h/v1\r\nx: y", "characters"),
            ("https://h/v1/chat/completions", "added"),
        ] {
            let error = parse(url).expect_err(url);
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
