//! Text → [`File`], or every fault of syntax and shape.
//!
//! Serde stops at the first fault. To tell all of them, the key at fault is taken out of the
//! parsed table and the rest is read again, until it fits: the span of each error leads back to
//! its key. No key of the file is required by its shape (`resolve` asks for those that are), so
//! taking one out never makes another fault.

use std::ops::Range;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::fault::Faults;
use super::file::File;

/// The most faults of shape that are looked for: each costs a reading of the whole file.
const SHAPE_FAULTS_MAX: usize = 50;

/// Reads the text. Keys at fault are left at their defaults.
pub(super) fn read(text: &str, faults: &mut Faults) -> File {
    let (mut table, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        for error in syntax.iter().take(SHAPE_FAULTS_MAX) {
            let at = error.span().map_or(text.len(), |s| s.start);
            faults.add(place(text, at), format!("is not valid TOML: {}", error.message()));
        }
        return File::default();
    }
    refuse_positional(table.get_mut(), "", faults);
    let mut last = String::new();
    for _ in 0..SHAPE_FAULTS_MAX {
        let error = match File::deserialize(Deserializer::from(table.clone())) {
            Ok(file) => return file,
            Err(error) => error,
        };
        let wants_text = error.message().ends_with("expected a string");
        let found = error.span().and_then(|s| take_out(table.get_mut(), &s, wants_text));
        let Some(path) = found else {
            let at = error.span().map_or(0, |s| s.start);
            faults.add(place(text, at), plain_words(&error));
            return File::default();
        };
        if path == last {
            // What was put in its place does not fit either: the section as a whole is wrong.
            let section = path.split(['.', '[']).next().unwrap_or_default();
            table.get_mut().remove(section);
        }
        faults.add(path.clone(), plain_words(&error));
        last = path;
    }
    faults.add("…", "there are more faults; mend these first");
    File::default()
}

/// The keys whose values are tables; a test holds this against `file`.
pub(super) const TABLES: [&str; 20] = [
    "server",
    "admin",
    "ledger",
    "content",
    "cache",
    "routing",
    "hedging",
    "timeouts",
    "media",
    "webhooks",
    "payment",
    "log",
    "aws",
    "probe",
    "catalog",
    "policy",
    "profile",
    "reasoning",
    "default_parameters",
    "prices",
];

/// The keys whose values are lists of tables; a test holds this against `file`.
pub(super) const LISTS: [&str; 8] =
    ["providers", "models", "endpoints", "overrides", "byok", "auto", "presets", "plugins"];

/// Serde would take a list for a table, its elements in the order of the keys. Nobody means that.
fn refuse_positional(table: &mut DeTable<'_>, path: &str, faults: &mut Faults) {
    for (key, value) in table.iter_mut() {
        let (key, value) = (key.get_ref().as_ref(), value.get_mut());
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            // The plugin's own; it judges them itself.
            DeValue::Table(_) if key == "options" && path.starts_with("plugins[") => {}
            DeValue::Table(inner) => refuse_positional(inner, &path, faults),
            DeValue::Array(_) if TABLES.contains(&key) => {
                faults.add(path, format!("is a list; it must be one table, as [{key}]"));
                *value = DeValue::Table(DeTable::default());
            }
            // A rule and a preset have `models` of their own, which are names.
            DeValue::Array(list)
                if LISTS.contains(&key) && (key != "models" || path == "models") =>
            {
                for (i, element) in list.iter_mut().enumerate() {
                    let path = format!("{path}[{i}]");
                    match element.get_mut() {
                        DeValue::Table(inner) => refuse_positional(inner, &path, faults),
                        other => {
                            faults.add(path, format!("is no table; it must be one, as [[{key}]]"));
                            *other = DeValue::Table(DeTable::default());
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a byte of the text is, as people count.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}")
}

/// Takes the key with this span, or whose value has it, out of the table; its path is returned.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, wants_text: bool) -> Option<String> {
    for (key, value) in table.iter_mut() {
        if let Some(rest) = take_out_of_value(value, span, wants_text) {
            return Some(format!("{}{rest}", key.get_ref()));
        }
    }
    let name = table.iter().find_map(|(key, value)| {
        (key.span() == *span || value.span() == *span).then(|| key.get_ref().to_string())
    })?;
    table.remove(name.as_str());
    Some(name)
}

/// As [`take_out`]. An element of a list is replaced by an empty one, so that the others keep
/// their indices.
fn take_out_of_value(
    value: &mut Spanned<DeValue<'_>>,
    span: &Range<usize>,
    wants_text: bool,
) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, span, wants_text).map(|rest| format!(".{rest}")),
        DeValue::Array(list) => {
            for (i, element) in list.iter_mut().enumerate() {
                if let Some(rest) = take_out_of_value(element, span, wants_text) {
                    return Some(format!("[{i}]{rest}"));
                }
                if element.span() == *span {
                    *element.get_mut() = if wants_text {
                        DeValue::String("".into())
                    } else {
                        DeValue::Table(DeTable::default())
                    };
                    return Some(format!("[{i}]"));
                }
            }
            None
        }
        _ => None,
    }
}

/// Serde's words for types, as a person would say them. A text is not repeated: it may be a secret
/// in the wrong place.
fn plain_words(error: &Error) -> String {
    let quoted = error.message().strip_prefix("invalid type: string \"");
    if let Some((_, expected)) = quoted.and_then(|text| text.rsplit_once("\", ")) {
        return in_words(&format!("invalid type: a text, {expected}"));
    }
    in_words(error.message())
}

fn in_words(message: &str) -> String {
    let words = [
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list in [ ]"),
        ("expected a string", "expected a text in quotes"),
        ("expected a boolean", "expected true or false"),
        ("unknown field", "unknown key"),
        ("invalid type:", "wrong type:"),
        ("map,", "table,"),
        ("sequence,", "list,"),
        ("floating point", "number"),
    ];
    let mut text = message.to_owned();
    for (from, to) in words {
        text = text.replace(from, to);
    }
    // `expected struct Server` names a type of ours.
    match text.find("expected struct ") {
        Some(at) => format!("{}expected a table of keys", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
