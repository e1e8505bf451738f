//! Identifiers: newtypes with one way in, so that an id which exists is safe to log, to store and
//! to place in a URL path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadId {
    /// The text has no characters.
    Empty,
    /// The text is longer than the id's limit, given in bytes.
    TooLong(usize),
    /// The byte at this offset is not allowed in the id.
    BadByte(usize),
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "must not be empty"),
            Self::TooLong(max) => write!(f, "must have at most {max} characters"),
            Self::BadByte(at) => write!(
                f,
                "has a character at offset {at} that is not allowed; letters, digits and . _ - : / @ ~ are"
            ),
        }
    }
}

impl std::error::Error for BadId {}

fn check(text: &str, max: usize) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > max {
        return Err(BadId::TooLong(max));
    }
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"._-:/@~".contains(&b);
    match text.bytes().position(|b| !ok(b)) {
        Some(at) => Err(BadId::BadByte(at)),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest id, in bytes.
            pub const LEN_MAX: usize = $max;

            /// Checks the text and makes it an id.
            ///
            /// # Errors
            /// The text is empty, too long, or has a byte outside `[A-Za-z0-9._:/@~-]`.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check(text, Self::LEN_MAX)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A model as clients name it: `author/slug` with optional `:variant` suffixes.
    ModelId, 256
);
text_id!(
    /// A company or host that serves models, for instance `deepinfra`.
    ProviderId, 64
);
text_id!(
    /// One model at one provider, unique in a catalog: `provider/upstream-model`.
    EndpointId, 320
);
text_id!(
    /// The owner of prepaid credit.
    AccountId, 64
);
text_id!(
    /// The public name of an API key: never the key itself.
    KeyId, 64
);

/// One answered request: a UUID of version 7, so that ids sort by time of creation.
///
/// It is also the idempotency key of the request's charge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationId(u128);

impl GenerationId {
    /// Length of the text form in bytes: `gen-` and 32 hexadecimal digits.
    pub const TEXT_LEN: usize = 36;

    /// Builds the id from the wall clock in milliseconds since 1970 and 74 random bits (the low
    /// bits of `random`).
    pub fn new(unix_ms: u64, random: u128) -> Self {
        let time = (u128::from(unix_ms) & 0xffff_ffff_ffff) << 80;
        let rand_a = (random >> 62 & 0xfff) << 64;
        let rand_b = random & 0x3fff_ffff_ffff_ffff;
        Self(time | 7 << 76 | rand_a | 0b10 << 62 | rand_b)
    }

    /// Rebuilds an id from its stored bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The id that differs in the last bit alone: as little likely to be anybody's as one that is
    /// drawn anew.
    #[must_use]
    pub const fn twin(self) -> Self {
        Self(self.0 ^ 1)
    }

    /// The 128 bits of the UUID.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The time of creation in milliseconds since 1970.
    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// Reads the text form, with or without the `gen-` prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("gen-").unwrap_or(text);
        if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(hex, 16).ok().map(Self)
    }

    /// The text form as bytes on the stack.
    pub fn text(self) -> GenerationText {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"gen-00000000000000000000000000000000";
        for (i, slot) in text[4..].iter_mut().enumerate() {
            *slot = DIGITS[(self.0 >> (124 - 4 * i) & 0xf) as usize];
        }
        GenerationText(text)
    }
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text of a [`GenerationId`], held on the stack.
#[derive(Clone, Copy)]
pub struct GenerationText([u8; GenerationId::TEXT_LEN]);

impl GenerationText {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written into the array.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_ids_are_uuid_v7_and_round_trip() {
        let id = GenerationId::new(1_700_000_000_123, u128::MAX);
        assert_eq!(id.unix_ms(), 1_700_000_000_123, "time is kept");
        let text = id.to_string();
        assert_eq!(text.len(), GenerationId::TEXT_LEN);
        assert_eq!(GenerationId::parse(&text), Some(id), "text form round-trips");
        assert_eq!(&text[4 + 12..4 + 13], "7", "version nibble");
        assert!("89ab".contains(&text[4 + 16..4 + 17]), "variant bits");
    }

    #[test]
    fn generation_ids_refuse_other_texts() {
        for bad in ["", "gen-", "gen-12", "gen-+0000000000000000000000000000000"] {
            assert_eq!(GenerationId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_have_one_way_in() {
        assert_eq!(ModelId::parse(""), Err(BadId::Empty));
        assert_eq!(ModelId::parse("a b"), Err(BadId::BadByte(1)));
        assert_eq!(ModelId::parse(&"x".repeat(257)), Err(BadId::TooLong(256)));
        assert_eq!(
            ModelId::parse("meta/llama-3.3:free").map(|m| m.to_string()),
            Ok("meta/llama-3.3:free".to_owned())
        );
    }
}
