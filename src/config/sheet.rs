//! Catalog files: models, providers and endpoints, one a line.
//!
//! Each line is a JSON object: `{"provider": …}`, `{"model": …}` or `{"of": "author/slug",
//! "endpoint": …}`, with the keys of [`super::file`]. What is read here is exactly what was
//! written; `market` judges it and lays it together. The same form is what `catalog import` writes.

use std::io;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::Faults;
use super::file;

/// One catalog file, or several laid one after another.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Providers, in order.
    pub providers: Vec<Row<file::Provider>>,
    /// Models without their endpoints, in order.
    pub models: Vec<Row<file::Model>>,
    /// Endpoints, each with the id of its model, in order.
    pub endpoints: Vec<Row<(String, file::Endpoint)>>,
}

/// An entry and where it stands, for instance `groq.jsonl:3`.
#[derive(Clone, Debug)]
pub struct Row<T> {
    /// File and line.
    pub place: String,
    /// What is written there.
    pub entry: T,
}

/// A line: one of the three forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    provider: Option<file::Provider>,
    model: Option<file::Model>,
    of: Option<String>,
    endpoint: Option<file::Endpoint>,
}

const FORMS: &str =
    "must be {\"provider\": …}, {\"model\": …} or {\"of\": \"author/slug\", \"endpoint\": …}";

impl Sheet {
    /// Reads a file's text and adds its rows. `name` is what faults call the file.
    pub(super) fn read(&mut self, name: &str, text: &str, faults: &mut Faults) {
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{name}:{}", i + 1);
            match serde_json::from_str::<Line>(line) {
                Ok(line) => {
                    if let Err(wrong) = self.add(&place, line) {
                        faults.add(place, wrong);
                    }
                }
                Err(error) => faults.add(place, format!("is no row of a catalog: {error}")),
            }
        }
    }

    fn add(&mut self, place: &str, line: Line) -> Result<(), &'static str> {
        let place = place.to_owned();
        match line {
            Line { provider: Some(entry), model: None, of: None, endpoint: None } => {
                self.providers.push(Row { place, entry });
            }
            Line { provider: None, model: Some(entry), of: None, endpoint: None } => {
                if !entry.endpoints.is_empty() {
                    return Err("has endpoints within a model; each must be a line of its own");
                }
                self.models.push(Row { place, entry });
            }
            Line { provider: None, model: None, of: Some(of), endpoint: Some(entry) } => {
                self.endpoints.push(Row { place, entry: (of, entry) });
            }
            _ => return Err(FORMS),
        }
        Ok(())
    }

    /// Writes every row as a line: providers, models, endpoints, each in its order. What is at its
    /// default is left out.
    ///
    /// # Errors
    /// As `to` says.
    pub fn write(&self, to: &mut dyn io::Write) -> io::Result<()> {
        for row in &self.providers {
            writeln!(to, "{{\"provider\":{}}}", short(&row.entry, &file::Provider::default())?)?;
        }
        for row in &self.models {
            writeln!(to, "{{\"model\":{}}}", short(&row.entry, &file::Model::default())?)?;
        }
        for row in &self.endpoints {
            let (of, endpoint) = &row.entry;
            let of = serde_json::to_string(of)?;
            let endpoint = short(endpoint, &file::Endpoint::default())?;
            writeln!(to, "{{\"of\":{of},\"endpoint\":{endpoint}}}")?;
        }
        Ok(())
    }
}

/// An entry as JSON, without what is at its default, in the order of its keys.
fn short<T: Serialize>(entry: &T, default: &T) -> serde_json::Result<String> {
    let (entry, default) = (serde_json::to_string(entry)?, serde_json::to_string(default)?);
    let (Members(members), Members(defaults)) =
        (serde_json::from_str(&entry)?, serde_json::from_str(&default)?);
    let mut out = String::from("{");
    for ((key, value), (_, default)) in members.iter().zip(&defaults) {
        if value.get() == default.get() || value.get() == "null" {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(key)?);
        out.push(':');
        out.push_str(&without_nulls(value.get())?);
    }
    out.push('}');
    Ok(out)
}

/// A value without the members, at any depth, that are null or empty lists.
fn without_nulls(value: &str) -> serde_json::Result<String> {
    if value.starts_with('[') {
        let elements: Vec<Box<RawValue>> = serde_json::from_str(value)?;
        let elements: Result<Vec<String>, _> =
            elements.iter().map(|element| without_nulls(element.get())).collect();
        return Ok(format!("[{}]", elements?.join(",")));
    }
    if !value.starts_with('{') {
        return Ok(value.to_owned());
    }
    let Members(members) = serde_json::from_str(value)?;
    let kept = members.iter().filter(|(_, value)| !matches!(value.get(), "null" | "[]"));
    let texts: Result<Vec<String>, serde_json::Error> = kept
        .map(|(key, value)| {
            Ok(format!("{}:{}", serde_json::to_string(key)?, without_nulls(value.get())?))
        })
        .collect();
    Ok(format!("{{{}}}", texts?.join(",")))
}

/// The members of a JSON object, in order, as they are written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"{"provider":{"id":"p","dialect":"openai","base_url":"https://h/v1","policy":{"trains":false}}}
{"model":{"id":"a/m","aliases":["a/n"],"reasoning":{"mandatory":true,"default_enabled":false,"efforts":["low"],"supports_max_tokens":false}}}
{"of":"a/m","endpoint":{"provider":"p","upstream_model":"m","context_length":9,"prices":{"prompt":"1","completion":"2","overrides":[{"min_prompt_tokens":5,"prompt":"3"}]}}}
"#;

    #[test]
    fn rows_are_written_as_they_were_read() {
        let (mut sheet, mut faults) = (Sheet::default(), Faults::none());
        sheet.read("f", ROWS, &mut faults);
        assert!(faults.0.is_empty(), "{faults}");
        assert_eq!(sheet.endpoints[0].place, "f:3");
        let mut written = Vec::new();
        sheet.write(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), ROWS);
    }

    #[test]
    fn what_is_no_row_is_refused_with_its_place() {
        for (line, why) in [
            ("{}", "must be"),
            (r#"{"of":"a/m"}"#, "must be"),
            (r#"{"provider":{},"model":{}}"#, "must be"),
            (r#"{"model":{"id":"a","endpoints":[{}]}}"#, "line of its own"),
            (r#"{"model":{"idd":"a"}}"#, "unknown field"),
            ("[[models]]", "no row"),
        ] {
            let (mut sheet, mut faults) = (Sheet::default(), Faults::none());
            sheet.read("f", &format!("\n{line}\n"), &mut faults);
            let fault = faults.0.first().unwrap_or_else(|| panic!("{line} is refused"));
            assert_eq!(fault.path, "f:2", "{line}");
            assert!(fault.message.contains(why), "{line}: {fault}");
        }
    }
}
