//! AWS's signature, version 4, over a request to Bedrock.
//!
//! The work is done by AWS's own crate, which brings parts of an async runtime with it and so is
//! built with the feature `host` only. The path is signed as it is sent, percent-encoded once more:
//! AWS's rule for every service but S3 (2026-11).

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign as sign_http,
};
use aws_sigv4::sign::v4;
use zeroize::Zeroizing;

/// The name under which Bedrock's runtime is signed for.
const SERVICE: &str = "bedrock";

/// The headers that a signature adds, in their order.
const ADDED: [&str; 4] =
    ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "authorization"];

/// A request that is not signed yet.
pub struct Unsigned<'a> {
    /// `POST`, for all that Bedrock is asked here.
    pub method: &'a str,
    /// The `Host` header as it is sent.
    pub authority: &'a str,
    /// The path as it is sent, percent-encoded; without query.
    pub path: &'a str,
    /// Further headers to be signed, names in lower case. They must be sent as they are here.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// Who signs. `Debug` shows no secret.
pub struct Credentials {
    /// The public half of the key.
    pub access_key: String,
    /// The secret half; wiped when dropped.
    pub secret_key: Zeroizing<String>,
    /// For credentials that are lent for a time; wiped when dropped.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The request cannot be signed: its method, host, path or headers are none, or the time is not a
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignFault;

impl fmt::Display for SignFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request cannot be signed for AWS")
    }
}

impl std::error::Error for SignFault {}

/// The latest time that is signed for, in seconds since 1970: the end of the year 9999. The crate
/// panics beyond what its calendar holds.
const TIME_MAX: u64 = 253_402_300_799;

/// The headers to be added to the request: `x-amz-date`, `x-amz-content-sha256`, with a session
/// token `x-amz-security-token`, and `authorization`. `time` is in seconds since 1970; AWS refuses
/// what is off by more than five minutes, so each attempt is signed anew.
///
/// # Errors
/// The request is not one.
pub fn sign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    region: &str,
    time: u64,
) -> Result<Vec<(&'static str, String)>, SignFault> {
    if time > TIME_MAX {
        return Err(SignFault);
    }
    let identity = aws_credential_types::Credentials::new(
        credentials.access_key.as_str(),
        credentials.secret_key.as_str(),
        credentials.session_token.as_ref().map(|token| token.as_str().to_owned()),
        None,
        "turnpike",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(UNIX_EPOCH + Duration::from_secs(time))
        .settings(settings)
        .build()
        .map_err(|_| SignFault)?
        .into();
    let uri = format!("https://{}{}", request.authority, request.path);
    let host = std::iter::once(("host", request.authority));
    let headers = host.chain(request.headers.iter().copied());
    let body = SignableBody::Bytes(request.body);
    let signable =
        SignableRequest::new(request.method, uri, headers, body).map_err(|_| SignFault)?;
    // The crate traces requests and signatures; nothing of that may reach a log.
    let silent = tracing::subscriber::NoSubscriber::default();
    let signed = tracing::subscriber::with_default(silent, || sign_http(signable, &params));
    let (instructions, _) = signed.map_err(|_| SignFault)?.into_parts();
    let value = |name: &'static str| {
        let found = instructions.headers().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| (name, value.to_owned()))
    };
    Ok(ADDED.into_iter().filter_map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::bedrock::path;

    const BODY: &[u8] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hé\"}]}]}".as_bytes();
    const BODY_HASH: &str = "054f29adfce491f5f3537030509e21bc3f8b755409d5d2006784d71a2743c7b2";
    /// 2026-11-25T12:00:00Z.
    const TIME: u64 = 1_795_608_000;

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: token.map(|token| token.to_owned().into()),
        }
    }

    fn signed(path: &str, region: &str, token: Option<&str>) -> Vec<(&'static str, String)> {
        let request = Unsigned {
            method: "POST",
            authority: &format!("bedrock-runtime.{region}.amazonaws.com"),
            path,
            headers: &[("content-type", "application/json")],
            body: BODY,
        };
        sign(&request, &credentials(token), region, TIME).unwrap()
    }

    /// The signatures were computed by botocore 1.44.8.
    #[test]
    fn signatures_are_those_of_botocore() {
        let model = path("us.anthropic.claude-sonnet-4-5-20250929-v1:0", true);
        let authorization = "AWS4-HMAC-SHA256 \
            Credential=AKIDEXAMPLE/20261125/us-east-1/bedrock/aws4_request, \
            SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
            Signature=249d99c69552d8a26ac13e9f1113e26ca8e3387a58d9cad49a637f90b3aae933";
        let expected = [
            ("x-amz-date", "20261125T120000Z".to_owned()),
            ("x-amz-content-sha256", BODY_HASH.to_owned()),
            ("x-amz-security-token", "TOKEN/+=".to_owned()),
            ("authorization", authorization.to_owned()),
        ];
        assert_eq!(signed(&model, "us-east-1", Some("TOKEN/+=")), expected);

        let profile =
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0";
        let authorization = "AWS4-HMAC-SHA256 \
            Credential=AKIDEXAMPLE/20261125/eu-west-1/bedrock/aws4_request, \
            SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, \
            Signature=f04165c556f11dd08388652c637e573dc409b0a767cd2aaebcf787d3ce2ad3d6";
        let expected = [
            ("x-amz-date", "20261125T120000Z".to_owned()),
            ("x-amz-content-sha256", BODY_HASH.to_owned()),
            ("authorization", authorization.to_owned()),
        ];
        assert_eq!(signed(&path(profile, false), "eu-west-1", None), expected);
    }

    #[test]
    fn secrets_are_not_shown_and_nonsense_is_no_panic() {
        let shown = format!("{:?}", credentials(Some("TOKEN")));
        assert!(!shown.contains("wJalr") && !shown.contains("TOKEN"), "{shown}");
        for (authority, path, headers, time) in [
            ("", "/model", ("a", "b"), TIME),
            ("a b", "/model", ("a", "b"), TIME),
            ("host", "/mo del", ("a", "b"), TIME),
            ("host", "/model", ("a b", "b"), TIME),
            ("host", "/model", ("a", "b\n"), TIME),
            ("host", "/model", ("a", "b"), u64::MAX),
        ] {
            let headers = &[headers];
            let request = Unsigned { method: "POST", authority, path, headers, body: b"" };
            let got = sign(&request, &credentials(None), "us-east-1", time);
            assert_eq!(got, Err(SignFault), "{authority:?} {path:?} {headers:?} {time}");
        }
    }
}
