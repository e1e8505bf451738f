//! The journal's byte codec: little variable-length integers, bounded texts, nothing optional to
//! guess.
//!
//! Reading is strict: an over-long integer, a text beyond its limit, bytes that are not UTF-8 or
//! bytes left over are [`Malformed`], never a panic.

use std::fmt;

/// Why bytes are not what they should be. Names the field, never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Appends values to a buffer.
pub(crate) struct Put<'a>(pub(crate) &'a mut Vec<u8>);

impl Put<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// LEB128: seven bits a byte, low ones first.
    pub(crate) fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }

    /// Zigzag, so that small negative amounts stay short.
    pub(crate) fn i64(&mut self, value: i64) {
        self.u64((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i128(&mut self, value: i128) {
        self.u128(value.cast_unsigned());
    }

    pub(crate) fn hash(&mut self, value: &[u8; 32]) {
        self.0.extend_from_slice(value);
    }

    /// A text of at most `max` bytes; a longer one is cut at a character's border.
    pub(crate) fn text(&mut self, value: &str, max: usize) {
        let kept = cut(value, max);
        self.u64(kept.len() as u64);
        self.0.extend_from_slice(kept.as_bytes());
    }

    /// Absent is 0, otherwise the value plus one.
    pub(crate) fn opt_u64(&mut self, value: Option<u64>) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                self.u64(value);
            }
        }
    }

    pub(crate) fn opt_text(&mut self, value: Option<&str>, max: usize) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                self.text(value, max);
            }
        }
    }
}

/// The longest start of `text` that has at most `max` bytes and ends at a character's border.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Takes values off the front of a slice.
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Malformed(what))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        self.bytes(N, what)?.try_into().map_err(|_| Malformed(what))
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A byte that can only be 0 or 1.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed(what)),
        }
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            let fits = shift < 63 || bits <= 1;
            let shortest = byte != 0 || shift == 0;
            if !fits || !shortest {
                return Err(Malformed(what));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(what))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        u32::try_from(self.u64(what)?).map_err(|_| Malformed(what))
    }

    pub(crate) fn i64(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let raw = self.u64(what)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, Malformed> {
        self.array(what).map(u128::from_be_bytes)
    }

    pub(crate) fn i128(&mut self, what: &'static str) -> Result<i128, Malformed> {
        self.u128(what).map(u128::cast_signed)
    }

    pub(crate) fn hash(&mut self, what: &'static str) -> Result<[u8; 32], Malformed> {
        self.array(what)
    }

    pub(crate) fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, Malformed> {
        let len = usize::try_from(self.u64(what)?).map_err(|_| Malformed(what))?;
        if len > max {
            return Err(Malformed(what));
        }
        std::str::from_utf8(self.bytes(len, what)?).map_err(|_| Malformed(what))
    }

    pub(crate) fn opt_u64(&mut self, what: &'static str) -> Result<Option<u64>, Malformed> {
        if self.flag(what)? { self.u64(what).map(Some) } else { Ok(None) }
    }

    pub(crate) fn opt_text(
        &mut self,
        max: usize,
        what: &'static str,
    ) -> Result<Option<&'a str>, Malformed> {
        if self.flag(what)? { self.text(max, what).map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn end(&self, what: &'static str) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed(what)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(a: u64, b: i64, c: i128) {
            let mut bytes = Vec::new();
            let mut put = Put(&mut bytes);
            put.u64(a);
            put.i64(b);
            put.i128(c);
            let mut take = Take(&bytes);
            prop_assert_eq!(take.u64("a"), Ok(a));
            prop_assert_eq!(take.i64("b"), Ok(b));
            prop_assert_eq!(take.i128("c"), Ok(c));
            prop_assert_eq!(take.end("end"), Ok(()));
        }
    }

    #[test]
    fn each_value_has_one_spelling() {
        for bad in [&[0x80_u8, 0x00][..], &[0xff; 10], &[0x80; 11], &[0x80]] {
            assert_eq!(Take(bad).u64("n"), Err(Malformed("n")), "{bad:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(Take(&[3, b'a', b'b', b'c']).text(2, "t"), Err(Malformed("t")));
    }
}
