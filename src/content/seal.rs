//! Encryption: ChaCha20-Poly1305 (RFC 8439) under a key that is used once.
//!
//! A file's key is BLAKE3, keyed with the operator's key, of a random salt and the owner. So each
//! file has its own, and the nonce can be zero. The owner is authenticated with the text.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::Owner;

/// The beginning of every file.
const MAGIC: &[u8; 8] = b"tpcont\0\x01";

/// The length of a salt, in bytes.
pub const SALT_LEN: usize = 32;

/// The operator's key.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// A file that is not what was sealed: damaged, another's, or under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kept content cannot be opened: it is damaged, or under another key")
    }
}

impl std::error::Error for NotOurs {}

impl MasterKey {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// Encrypts a text. `salt` must be random.
    ///
    /// # Errors
    /// The text is too long to be encrypted at once (256 GiB).
    pub fn seal(
        &self,
        owner: &Owner,
        salt: &[u8; SALT_LEN],
        text: &[u8],
    ) -> Result<Vec<u8>, NotOurs> {
        let mut sealed = text.to_vec();
        let key = self.key_of(owner, salt)?;
        let tag = key
            .seal_in_place_separate_tag(nonce(), Aad::from(name(owner)), &mut sealed)
            .map_err(|_| NotOurs)?;
        let mut file = Vec::with_capacity(MAGIC.len() + SALT_LEN + sealed.len() + 16);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(salt);
        file.extend_from_slice(&sealed);
        file.extend_from_slice(tag.as_ref());
        Ok(file)
    }

    /// Decrypts a file.
    ///
    /// # Errors
    /// It is damaged, another owner's, or under another key.
    pub fn open(&self, owner: &Owner, file: &[u8]) -> Result<Vec<u8>, NotOurs> {
        let rest = file.strip_prefix(MAGIC).ok_or(NotOurs)?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_LEN>().ok_or(NotOurs)?;
        let key = self.key_of(owner, salt)?;
        let mut text = sealed.to_vec();
        let len = key
            .open_in_place(nonce(), Aad::from(name(owner)), &mut text)
            .map_err(|_| NotOurs)?
            .len();
        text.truncate(len);
        Ok(text)
    }

    fn key_of(&self, owner: &Owner, salt: &[u8; SALT_LEN]) -> Result<LessSafeKey, NotOurs> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(salt).update(&name(owner));
        let mut key = *hasher.finalize().as_bytes();
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| NotOurs);
        key.zeroize();
        unbound.map(LessSafeKey::new)
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// The owner as bytes.
fn name(owner: &Owner) -> Vec<u8> {
    let mut name = owner.generation.bits().to_be_bytes().to_vec();
    name.extend_from_slice(owner.account.as_str().as_bytes());
    name
}
