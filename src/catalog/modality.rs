//! What a prompt or an answer may hold, in OpenRouter's names.

/// One kind of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Modality {
    /// Words.
    Text,
    /// Pictures.
    Image,
    /// Documents.
    File,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Vectors; of answers only.
    Embeddings,
    /// A ranking of documents; of answers only.
    Rerank,
}

impl Modality {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Image,
        Self::File,
        Self::Audio,
        Self::Video,
        Self::Embeddings,
        Self::Rerank,
    ];

    /// The name in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|modality| modality.as_str() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u32
    }
}

/// A set of kinds of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modalities(u8);

impl Modalities {
    /// Words alone.
    pub const TEXT: Self = Self(Modality::Text.bit());

    /// Adds one; whether it is new.
    pub const fn insert(&mut self, modality: Modality) -> bool {
        let new = !self.contains(modality);
        self.0 |= modality.bit();
        new
    }

    /// Whether it is in the set.
    pub const fn contains(self, modality: Modality) -> bool {
        self.0 & modality.bit() != 0
    }

    /// Whether all of the others are in the set.
    pub const fn contains_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of [`Modality::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Modality> + Clone {
        Modality::ALL.into_iter().filter(move |modality| self.contains(*modality))
    }
}

impl FromIterator<Modality> for Modalities {
    fn from_iter<I: IntoIterator<Item = Modality>>(kinds: I) -> Self {
        let mut set = Self::default();
        for kind in kinds {
            set.insert(kind);
        }
        set
    }
}

/// The names with `+` between them, for instance `text+image`.
impl std::fmt::Display for Modalities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, modality) in self.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            f.write_str(modality.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_join() {
        for modality in Modality::ALL {
            assert_eq!(Modality::parse(modality.as_str()), Some(modality));
        }
        let set: Modalities = [Modality::Image, Modality::Text].into_iter().collect();
        assert_eq!(set.to_string(), "text+image");
        assert!(set.contains_all(Modalities::TEXT) && !Modalities::TEXT.contains_all(set));
        assert!(!Modalities::default().contains(Modality::Text));
    }
}
