//! `[webhooks]`: where events are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::{At, Faults};
use super::file;
use super::outside::{Outside, secret};
use super::settings::Webhooks;
use super::url;

const FORM: &str = "refers to a secret that is not `whsec_` and base64 of 24 to 64 bytes; \
                    make one with: echo whsec_$(openssl rand -base64 32)";

pub(super) fn resolve(
    raw: &file::Webhooks,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Option<Webhooks> {
    let mut at = At::new("webhooks", faults);
    let timeout = at.ms("timeout_ms", raw.timeout_ms, 100, 60_000);
    let key = raw.secret.as_deref().and_then(|text| secret(&mut at, "secret", text, outside));
    let Some(address) = &raw.url else {
        if raw.secret.is_some() {
            at.fault("secret", "has no use without url");
        }
        return None;
    };
    if let Err(why) = url::parse(address) {
        at.fault("url", why);
    }
    let Some(key) = key else {
        if raw.secret.is_none() {
            at.fault("secret", "is required with url, so that receivers can tell who sends");
        }
        return None;
    };
    let bytes = key.expose().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    if !bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len())) {
        at.fault("secret", FORM);
    }
    let private_networks = raw.private_networks;
    Some(Webhooks { url: address.clone(), secret: key, timeout, private_networks })
}
