//! The numbers that a model's weights are kept in: OpenRouter's list (its provider preferences,
//! read 2026-09).

/// The number format of an endpoint's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quantization {
    /// 4-bit integers.
    Int4,
    /// 8-bit integers.
    Int8,
    /// 4-bit floats, of any kind.
    Fp4,
    /// 4-bit floats that share a scale by blocks (the Open Compute Project's MX format).
    Mxfp4,
    /// 4-bit floats in NVIDIA's form.
    Nvfp4,
    /// 6-bit floats.
    Fp6,
    /// 8-bit floats, of any kind.
    Fp8,
    /// 8-bit floats that share a scale by blocks.
    Mxfp8,
    /// 16-bit floats.
    Fp16,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
    /// 32-bit floats.
    Fp32,
    /// Nobody says; always so for models whose weights are not public.
    #[default]
    Unknown,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Int4,
        Self::Int8,
        Self::Fp4,
        Self::Mxfp4,
        Self::Nvfp4,
        Self::Fp6,
        Self::Fp8,
        Self::Mxfp8,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Unknown,
    ];

    /// The name in requests, answers and catalogs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Fp4 => "fp4",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
            Self::Fp6 => "fp6",
            Self::Fp8 => "fp8",
            Self::Mxfp8 => "mxfp8",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp32 => "fp32",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a name, in lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|q| q.as_str() == name)
    }

    /// Whether an endpoint of this quantization is what `wanted` asks for: the plain name of a
    /// width covers its block-scaled kinds.
    pub fn matches(self, wanted: Self) -> bool {
        self == wanted
            || match wanted {
                Self::Fp4 => matches!(self, Self::Mxfp4 | Self::Nvfp4),
                Self::Fp8 => self == Self::Mxfp8,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for quantization in Quantization::ALL {
            assert_eq!(Quantization::parse(quantization.as_str()), Some(quantization));
        }
        for wrong in ["", "FP8", "q4", "fp"] {
            assert_eq!(Quantization::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn plain_widths_cover_their_kinds_and_nothing_else() {
        use Quantization::{Bf16, Fp4, Fp8, Fp16, Int4, Mxfp4, Mxfp8, Nvfp4, Unknown};
        for (have, wanted, expected) in [
            (Mxfp4, Fp4, true),
            (Nvfp4, Fp4, true),
            (Mxfp8, Fp8, true),
            (Fp4, Mxfp4, false),
            (Int4, Fp4, false),
            (Bf16, Fp16, false),
            (Unknown, Unknown, true),
            (Unknown, Fp8, false),
        ] {
            assert_eq!(have.matches(wanted), expected, "{have:?} for {wanted:?}");
        }
    }
}
