//! `providers[].api_keys`: several keys at one provider.

use super::fault::At;
use super::file;
use super::outside::{Outside, is_reference, secret};
use crate::catalog::{Auth, Secret};

/// The most keys beside the first.
const KEYS_MAX: usize = 63;

/// Resolves the keys beside the first, which are sent as that one is.
pub(super) fn resolve(
    raw: &file::Provider,
    first: &Auth,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Vec<Auth> {
    if raw.api_keys.is_empty() {
        return Vec::new();
    }
    if raw.api_keys.len() > KEYS_MAX {
        at.fault("api_keys", format!("has more than {KEYS_MAX} entries"));
        return Vec::new();
    }
    if raw.api_key.is_none() {
        at.fault("api_keys", "is of use beside api_key, which holds the first of the keys");
        return Vec::new();
    }
    let mut pool: Vec<Auth> = Vec::with_capacity(raw.api_keys.len());
    for (i, text) in raw.api_keys.iter().enumerate() {
        let key = format!("api_keys[{i}]");
        // A provider that is switched off need not have its secrets here, but they must be such.
        if !raw.enabled {
            is_reference(at, &key, text);
            continue;
        }
        let Some(next) = secret(at, &key, text, outside).and_then(|secret| like(first, secret))
        else {
            continue;
        };
        if *first == next || pool.contains(&next) {
            at.fault(&key, "is the same key as another of this provider; each needs its own");
        }
        pool.push(next);
    }
    pool
}

/// A credential that is sent as another is; `None` if that one could not be read.
fn like(first: &Auth, secret: Secret) -> Option<Auth> {
    match first {
        Auth::Bearer(_) => Some(Auth::Bearer(secret)),
        Auth::Header(name, _) => Some(Auth::Header(name.clone(), secret)),
        Auth::None | Auth::Aws(_) | Auth::ServiceAccount(_) => None,
    }
}
