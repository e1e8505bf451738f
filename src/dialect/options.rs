//! `provider.options`: parameters for one provider alone, in that provider's own words.
//!
//! What a provider is handed on is the operator's to say, by name: such a parameter may change what a
//! request costs, and the gateway charges by the catalog. What is not named is dropped, as is what
//! the request says already, and both are told.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{GatewayError, Kind};

/// A request's body with a provider's options.
#[derive(Debug, PartialEq, Eq)]
pub struct Added {
    /// The body; `None` if nothing was added.
    pub body: Option<Bytes>,
    /// What was not added, by its path, for instance `generationConfig.seed`.
    pub dropped: Vec<String>,
}

/// Adds options to a written request: of `given`, a JSON object, those that `allowed` names. A name
/// with dots goes inside objects. Nothing that is in the body is replaced.
///
/// # Errors
/// [`Kind::Internal`]: the body or the options are no JSON objects.
pub fn add(body: &[u8], given: &str, allowed: &[String]) -> Result<Added, GatewayError> {
    let mut dropped = Vec::new();
    let nodes = select(&members(given)?, allowed, "", &mut dropped)?;
    let text = std::str::from_utf8(body).map_err(|_| broken())?;
    let mut out = String::with_capacity(body.len() + given.len());
    let added = merge(&members(text)?, nodes, "", &mut out, &mut dropped)?;
    Ok(Added { body: added.then(|| out.into()), dropped })
}

fn broken() -> GatewayError {
    GatewayError::new(Kind::Internal, "The provider's options could not be written.")
}

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

fn members(text: &str) -> Result<Members<'_>, GatewayError> {
    serde_json::from_str(text).map_err(|_| broken())
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is to be added.
enum Node<'a> {
    Value(&'a RawValue),
    Inside(Nodes<'a>),
}

type Nodes<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// Leaves what is allowed.
fn select<'a>(
    given: &Members<'a>,
    allowed: &[String],
    before: &str,
    dropped: &mut Vec<String>,
) -> Result<Nodes<'a>, GatewayError> {
    let mut nodes = Vec::new();
    for (name, value) in &given.0 {
        let path = format!("{before}{name}");
        let inside = format!("{path}.");
        if allowed.contains(&path) {
            nodes.push((name.clone(), Node::Value(value)));
        } else if value.get().starts_with('{') && allowed.iter().any(|a| a.starts_with(&inside)) {
            let children = select(&members(value.get())?, allowed, &inside, dropped)?;
            if !children.is_empty() {
                nodes.push((name.clone(), Node::Inside(children)));
            }
        } else {
            dropped.push(path);
        }
    }
    Ok(nodes)
}

/// Writes an object with what is added. Says whether anything was.
fn merge(
    body: &Members<'_>,
    mut nodes: Nodes<'_>,
    before: &str,
    out: &mut String,
    dropped: &mut Vec<String>,
) -> Result<bool, GatewayError> {
    let mut added = false;
    out.push('{');
    let mut comma = "";
    for (name, value) in &body.0 {
        out.push_str(std::mem::replace(&mut comma, ","));
        put_name(name, out);
        let Some(at) = nodes.iter().position(|(known, _)| known == name) else {
            out.push_str(value.get());
            continue;
        };
        match nodes.remove(at).1 {
            Node::Inside(children) if value.get().starts_with('{') => {
                let inside = format!("{before}{name}.");
                added |= merge(&members(value.get())?, children, &inside, out, dropped)?;
            }
            _ => {
                dropped.push(format!("{before}{name}"));
                out.push_str(value.get());
            }
        }
    }
    for (name, node) in &nodes {
        added = true;
        out.push_str(std::mem::replace(&mut comma, ","));
        put_name(name, out);
        put(node, out);
    }
    out.push('}');
    Ok(added)
}

fn put(node: &Node<'_>, out: &mut String) {
    match node {
        Node::Value(value) => out.push_str(value.get()),
        Node::Inside(children) => {
            out.push('{');
            for (i, (name, child)) in children.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                put_name(name, out);
                put(child, out);
            }
            out.push('}');
        }
    }
}

fn put_name(name: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(name).to_string());
    out.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(body: &str, given: &str, allowed: &[&str]) -> (Option<String>, Vec<String>) {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let Added { body, dropped } = add(body.as_bytes(), given, &allowed).expect("JSON");
        (body.map(|body| String::from_utf8(body.to_vec()).expect("UTF-8")), dropped)
    }

    #[test]
    fn what_is_allowed_is_added_and_the_rest_stays_byte_for_byte() {
        for (body, given, allowed, want, dropped) in [
            (
                r#"{"a": 1.0e5}"#,
                r#"{"b":[1, 2]}"#,
                &["b"][..],
                Some(r#"{"a":1.0e5,"b":[1, 2]}"#),
                "",
            ),
            (r#"{"a":1}"#, r#"{"b":2}"#, &[], None, "b"),
            (r#"{"a":1}"#, r#"{"a":2}"#, &["a"], None, "a"),
            (r#"{"a":1}"#, "{}", &["a"], None, ""),
            (
                r#"{"g":{"x":1},"z":0}"#,
                r#"{"g":{"y":{"k":2},"x":3,"w":4}}"#,
                &["g.y", "g.x"],
                Some(r#"{"g":{"x":1,"y":{"k":2}},"z":0}"#),
                "g.w g.x",
            ),
            ("{}", r#"{"g":{"y":2,"w":4},"h":1}"#, &["g.y"], Some(r#"{"g":{"y":2}}"#), "g.w h"),
            (r#"{"g":7}"#, r#"{"g":{"y":2}}"#, &["g.y"], None, "g"),
            ("{}", r#"{"g":3}"#, &["g.y"], None, "g"),
            (r#"{"\u0061":1}"#, r#"{"\"":2}"#, &["\""], Some(r#"{"a":1,"\"":2}"#), ""),
        ] {
            let (got, lost) = added(body, given, allowed);
            assert_eq!(got.as_deref(), want, "{body} + {given}");
            assert_eq!(lost.join(" "), dropped, "{body} + {given}");
        }
    }

    #[test]
    fn what_is_no_object_is_a_fault() {
        for (body, given) in [("[]", "{}"), ("{}", "1"), ("", "{}"), ("{}", "{")] {
            let fault = add(body.as_bytes(), given, &[]).expect_err("no object");
            assert_eq!(fault.kind, Kind::Internal);
        }
    }
}
