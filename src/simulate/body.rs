//! A request body of which each member is taken out once, for the forms that are read that way.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ask::Text;

/// The members of a JSON object that were not taken yet.
pub(super) struct Body<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Body<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What a provider would say about it. The text never quotes the body.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|e| {
            let kind = if e.is_data() { "is not a JSON object" } else { "is not valid JSON" };
            format!("The request body {kind} (line {}, column {}).", e.line(), e.column())
        })
    }

    /// Takes a member; nothing if it is absent or null.
    ///
    /// # Errors
    /// It has a wrong type.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(at) = self.0.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let (_, raw) = self.0.swap_remove(at);
        serde_json::from_str(raw.get()).map_err(|_| format!("{name}: has a wrong type"))
    }

    /// The name of a member that was neither taken nor is one of these.
    pub(super) fn unknown(&self, known: &[&str]) -> Option<String> {
        let mut names = self.0.iter().map(|(name, _)| name);
        let name = names.find(|name| !known.contains(&name.as_ref()))?;
        Some(name.chars().take(64).collect())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Body(members))
            }
        }
        from.deserialize_map(Members)
    }
}
