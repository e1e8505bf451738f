//! What a request itself says of plugins: its `plugins`, and the older `transforms`.

use serde_json::value::RawValue;

use crate::dialect::scan::{Head, Key};
use crate::dialect::tree::{Path, raw_array, raw_object};
use crate::error::GatewayError;

/// The most entries of one request.
const ENTRIES_MAX: usize = 32;
/// The plugin that `transforms: ["middle-out"]` stands for (OpenRouter's message transforms page,
/// read 2026-08).
const COMPRESSION: &str = "context-compression";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The plugin's name.
    pub(super) id: String,
    /// Whether it is wanted.
    pub(super) enabled: bool,
    /// Its options as a JSON object, without the two above.
    pub(super) options: String,
}

/// Reads a request's entries, each plugin once at most.
///
/// # Errors
/// They are not what they should be; the error names the place.
pub(super) fn read(head: &Head, body: &[u8]) -> Result<Vec<Entry>, GatewayError> {
    let mut entries = Vec::new();
    if let Some(raw) = value(head, body, Key::Plugins) {
        let top = Path::Top("plugins");
        for (i, item) in raw_array(raw, ENTRIES_MAX, &top)?.into_iter().enumerate() {
            let entry = entry(item, &top.item(i))?;
            if entries.iter().any(|known: &Entry| known.id == entry.id) {
                return Err(top.item(i).fault("names a plugin that another entry names"));
            }
            entries.push(entry);
        }
    }
    if let Some(raw) = value(head, body, Key::Transforms)
        && !entries.iter().any(|entry| entry.id == COMPRESSION)
    {
        entries.push(transforms(raw)?);
    }
    Ok(entries)
}

/// A member of the body that is not null. The scan has seen that it is an array.
fn value<'a>(head: &Head, body: &'a [u8], key: Key) -> Option<&'a RawValue> {
    let text = std::str::from_utf8(head.field(key)?.value.of(body)).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    (raw.get() != "null").then_some(raw)
}

fn entry(raw: &RawValue, at: &Path<'_>) -> Result<Entry, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let id = members.take("id", at)?.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
    let id = id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| at.field("id").fault("must be the name of a plugin"))?;
    let enabled = match members.take("enabled", at)?.map(RawValue::get) {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(at.field("enabled").fault("must be true or false")),
    };
    let rest: Vec<String> = members
        .into_rest()
        .into_iter()
        .map(|(name, value)| format!("{}:{}", serde_json::Value::from(name), value.get()))
        .collect();
    Ok(Entry { id, enabled, options: format!("{{{}}}", rest.join(",")) })
}

/// `["middle-out"]` asks for compression, `[]` for none.
fn transforms(raw: &RawValue) -> Result<Entry, GatewayError> {
    let top = Path::Top("transforms");
    let names = raw_array(raw, ENTRIES_MAX, &top)?;
    for (i, name) in names.iter().enumerate() {
        if name.get() != "\"middle-out\"" {
            return Err(top.item(i).fault("must be \"middle-out\", which is all that there is"));
        }
    }
    let (id, enabled) = (COMPRESSION.to_owned(), !names.is_empty());
    Ok(Entry { id, enabled, options: "{}".to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::scan::scan;

    fn entries(members: &serde_json::Value) -> Result<Vec<Entry>, GatewayError> {
        let mut body = json!({"model": "a/b", "messages": [{"role": "user", "content": "x"}]});
        for (name, value) in members.as_object().expect("members") {
            body[name] = value.clone();
        }
        let body = body.to_string();
        read(&scan(body.as_bytes()).expect("a head"), body.as_bytes())
    }

    #[test]
    fn entries_keep_their_own_options() {
        let asked = json!({"plugins": [
            {"id": "web", "max_results": 3, "a\"b": null}, {"enabled": false, "id": "redact"},
        ]});
        let got = entries(&asked).expect("entries");
        let options: serde_json::Value = serde_json::from_str(&got[0].options).expect("JSON");
        assert_eq!(
            options,
            json!({"max_results": 3})
                .as_object()
                .map(|o| {
                    let mut o = o.clone();
                    o.insert("a\"b".to_owned(), json!(null));
                    serde_json::Value::Object(o)
                })
                .expect("an object")
        );
        assert_eq!((got[0].id.as_str(), got[0].enabled), ("web", true));
        assert_eq!((got[1].enabled, got[1].options.as_str()), (false, "{}"));
    }

    #[test]
    fn transforms_are_compression() {
        let got = entries(&json!({"transforms": ["middle-out"]})).expect("entries");
        assert_eq!((got[0].id.as_str(), got[0].enabled), (COMPRESSION, true));
        let got = entries(&json!({"transforms": []})).expect("entries");
        assert_eq!((got[0].id.as_str(), got[0].enabled), (COMPRESSION, false));
        assert!(entries(&json!({"plugins": null, "transforms": null})).expect("none").is_empty());
        let both = json!({"transforms": [], "plugins": [{"id": COMPRESSION}]});
        assert!(entries(&both).expect("entries")[0].enabled, "plugins win");
    }

    #[test]
    fn faults_name_their_place() {
        for (asked, param) in [
            (json!({"plugins": [{}]}), "plugins[0].id"),
            (json!({"plugins": [{"id": 7}]}), "plugins[0].id"),
            (json!({"plugins": [{"id": "a", "enabled": 1}]}), "plugins[0].enabled"),
            (json!({"plugins": [{"id": "a"}, {"id": "a"}]}), "plugins[1]"),
            (json!({"plugins": ["web"]}), "plugins[0]"),
            (json!({"transforms": ["gzip"]}), "transforms[0]"),
        ] {
            let error = entries(&asked).expect_err("refused");
            assert_eq!(error.param.as_deref(), Some(param), "{asked}");
        }
    }
}
