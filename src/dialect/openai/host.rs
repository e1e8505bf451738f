//! How OpenAI-like hosts depart from OpenAI, as data.

/// What a host departs in.
#[derive(Debug)]
pub struct Host {
    /// The name as written in the config.
    pub name: &'static str,
    /// The ends of host names that tell it.
    pub domains: &'static [&'static str],
}

impl Host {
    /// A host that takes everything as OpenAI's form has it.
    pub const GENERIC: Self = Self { name: "generic", domains: &[] };

    /// Every host that is known.
    pub const ALL: &'static [&'static Self] = &[&Self::GENERIC];

    /// The host of this name.
    pub fn parse(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().copied().find(|host| host.name == name)
    }

    /// The host that a base URL's host name tells, or [`Host::GENERIC`].
    pub fn of_domain(domain: &str) -> &'static Self {
        let tells = |end: &&str| domain == *end || domain.ends_with(&format!(".{end}"));
        let found = Self::ALL.iter().copied().find(|host| host.domains.iter().any(|d| tells(d)));
        found.unwrap_or(&Self::GENERIC)
    }
}
