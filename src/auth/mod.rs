//! Credential → caller.
//!
//! A key is `sk-tp-v1-` and 43 characters that spell 32 random bytes (base64url without padding).
//! It is shown once, when it is made. What is stored is BLAKE3 of the whole text, keyed with a
//! secret of the installation: 256 random bits need no slow hash, and without the secret a stolen
//! table says nothing. See [`KeyTable`] for how a key is found.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::{GatewayError, Kind};
use crate::ledger::{KeyEntry, KeyTable};

/// What every key starts with.
pub const KEY_PREFIX: &str = "sk-tp-v1-";

/// The length of a key in bytes.
pub const KEY_LEN: usize = KEY_PREFIX.len() + 43;

/// How many characters of a key are stored to recognise it by.
const SHOWN_LEN: usize = KEY_PREFIX.len() + 4;

/// The text of a new key. It is wiped from memory when dropped and never printed by `Debug`.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// Spells 32 random bytes as a key.
    pub fn from_random(random: &[u8; 32]) -> Self {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = Zeroizing::new(String::with_capacity(KEY_LEN));
        text.push_str(KEY_PREFIX);
        for three in random.chunks(3) {
            let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - three.len()));
            for digit in 0..=three.len() {
                text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize].into());
            }
        }
        Self(text)
    }

    /// The key itself: for the person who asked for it, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first characters, which may be stored and shown.
    pub fn shown(&self) -> String {
        format!("{}...", &self.0[..SHOWN_LEN])
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(***)")
    }
}

/// Finds the credential in a request's `Authorization` and `x-api-key` headers. The former wins;
/// Anthropic's clients send the latter.
///
/// # Errors
/// `Unauthenticated`: there is none, or `Authorization` is not of the form `Bearer KEY`.
pub fn credential<'a>(
    authorization: Option<&'a [u8]>,
    x_api_key: Option<&'a [u8]>,
) -> Result<&'a [u8], GatewayError> {
    let Some(value) = authorization else {
        return match x_api_key.map(<[u8]>::trim_ascii) {
            None | Some(b"") => Err(unauthenticated(
                "No API key was sent. Send it as `Authorization: Bearer YOUR_KEY`.",
            )),
            Some(key) => Ok(key),
        };
    };
    let value = value.trim_ascii();
    let end = value.iter().position(|b| *b == b' ' || *b == b'\t').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return match rest.trim_ascii() {
            b"" => Err(unauthenticated(
                "The Authorization header has no key after `Bearer`. Is the variable that should \
                 hold your key empty?",
            )),
            key => Ok(key),
        };
    }
    if value.starts_with(KEY_PREFIX.as_bytes()) {
        return Err(unauthenticated(
            "The Authorization header has a key but no scheme. Send `Authorization: Bearer \
             YOUR_KEY`.",
        ));
    }
    Err(unauthenticated(
        "The Authorization header must be of the form `Bearer YOUR_KEY`; other schemes are not \
         supported.",
    ))
}

/// Finds the caller that a key belongs to.
///
/// # Errors
/// `Unauthenticated`: the key is unknown, disabled or expired.
pub fn authenticate(
    keys: &KeyTable,
    presented: &[u8],
    now_ms: u64,
) -> Result<Arc<KeyEntry>, GatewayError> {
    if presented.len() != KEY_LEN || !presented.starts_with(KEY_PREFIX.as_bytes()) {
        return Err(unauthenticated(format!(
            "This is not an API key of this gateway: its keys start with `{KEY_PREFIX}` and have \
             {KEY_LEN} characters."
        )));
    }
    let Some(key) = keys.find(presented) else {
        return Err(unauthenticated(
            "The API key is not known here. Check that it is whole and that it was made on this \
             gateway.",
        ));
    };
    if key.disabled() {
        return Err(unauthenticated("The API key has been disabled. Ask for a new one.")
            .with_detail(format!("key {}", key.id())));
    }
    if key.terms().expired(now_ms) {
        return Err(unauthenticated("The API key has expired. Ask for a new one.")
            .with_detail(format!("key {}", key.id())));
    }
    Ok(Arc::clone(key))
}

fn unauthenticated(message: impl Into<String>) -> GatewayError {
    GatewayError::new(Kind::Unauthenticated, message)
}

#[cfg(test)]
mod tests;
