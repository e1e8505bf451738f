//! The keywords of schemas.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{Judge, Judged, and, not};

/// A keyword with what stands beside it.
pub(super) struct Keyword<'s> {
    pub(super) name: &'s str,
    pub(super) argument: &'s Value,
    pub(super) all: &'s Map<String, Value>,
    pub(super) depth: u32,
}

impl<'s> Keyword<'s> {
    fn list(&self) -> Option<&'s [Value]> {
        self.argument.as_array().map(Vec::as_slice)
    }

    fn count(&self) -> Option<usize> {
        self.argument.as_u64().and_then(|count| usize::try_from(count).ok())
    }
}

impl<'s> Judge<'s> {
    pub(super) fn keyword(&mut self, keyword: &Keyword<'s>, value: &Value) -> Judged {
        let Keyword { name, argument, all, depth } = *keyword;
        let list = keyword.list();
        match (name, list) {
            ("type", _) => Ok(is_of_type(argument, value)),
            ("const", _) => self.same(argument, value).map(Some),
            ("enum", Some(values)) => self.is_among(values, value),
            ("$ref", _) => match argument.as_str() {
                Some(to) => self.reference(to, value, depth),
                None => Ok(None),
            },
            ("allOf", Some(schemas)) => {
                let (_, misfit, unknown) = self.count(schemas, value, depth, (usize::MAX, 1))?;
                Ok(known(misfit > 0 || unknown == 0, misfit == 0))
            }
            ("anyOf", Some(schemas)) => {
                let (fit, _, unknown) = self.count(schemas, value, depth, (1, usize::MAX))?;
                Ok(known(fit > 0 || unknown == 0, fit > 0))
            }
            ("oneOf", Some(schemas)) => {
                let (fit, _, unknown) = self.count(schemas, value, depth, (2, usize::MAX))?;
                Ok(known(fit > 1 || unknown == 0, fit == 1))
            }
            ("not", _) => Ok(not(self.fits(argument, value, depth)?)),
            ("if", _) => {
                let branch = match self.fits(argument, value, depth)? {
                    Some(true) => all.get("then"),
                    Some(false) => all.get("else"),
                    None => return Ok(None),
                };
                branch.map_or(Ok(Some(true)), |schema| self.fits(schema, value, depth))
            }
            ("enum" | "allOf" | "anyOf" | "oneOf", None) => Ok(None),
            ("$dynamicRef" | "$recursiveRef" | "unevaluatedItems" | "unevaluatedProperties", _) => {
                Ok(None)
            }
            _ => match value {
                Value::Number(number) => Ok(number_fits(name, argument, number)),
                Value::String(text) => self.text(keyword, text),
                Value::Array(items) => self.array(keyword, items),
                Value::Object(members) => self.object(keyword, members, value),
                Value::Null | Value::Bool(_) => Ok(Some(true)),
            },
        }
    }

    fn text(&mut self, keyword: &Keyword<'s>, text: &str) -> Judged {
        match (keyword.name, keyword.count(), keyword.argument.as_str()) {
            ("minLength" | "maxLength", Some(limit), _) => {
                self.spend(text.len() / 64)?;
                let count = text.chars().count();
                Ok(Some(if keyword.name == "minLength" { count >= limit } else { count <= limit }))
            }
            ("pattern", _, Some(pattern)) => self.is_like(pattern, text),
            ("minLength" | "maxLength" | "pattern", ..) => Ok(None),
            _ => Ok(Some(true)),
        }
    }

    fn array(&mut self, keyword: &Keyword<'s>, items: &[Value]) -> Judged {
        let Keyword { name, argument, all, depth } = *keyword;
        let listed = |name| all.get(name).and_then(Value::as_array).map(Vec::len);
        match (name, keyword.list(), keyword.count()) {
            ("prefixItems" | "items", Some(schemas), _) => {
                let mut fits = Some(true);
                for (schema, item) in schemas.iter().zip(items) {
                    fits = and(fits, self.fits(schema, item, depth)?);
                }
                Ok(fits)
            }
            ("prefixItems", None, _) => Ok(None),
            ("items", None, _) => {
                let rest = items.get(listed("prefixItems").unwrap_or(0)..).unwrap_or_default();
                self.each(argument, rest, depth)
            }
            ("additionalItems", ..) => match listed("items") {
                Some(listed) => self.each(argument, items.get(listed..).unwrap_or_default(), depth),
                None => Ok(Some(true)),
            },
            ("contains", ..) => self.contains(argument, all, items, depth),
            ("minItems", _, Some(limit)) => Ok(Some(items.len() >= limit)),
            ("maxItems", _, Some(limit)) => Ok(Some(items.len() <= limit)),
            ("uniqueItems", ..) => match argument {
                Value::Bool(true) => self.is_unique(items),
                Value::Bool(false) => Ok(Some(true)),
                _ => Ok(None),
            },
            ("minItems" | "maxItems", ..) => Ok(None),
            _ => Ok(Some(true)),
        }
    }

    fn each(&mut self, schema: &'s Value, items: &[Value], depth: u32) -> Judged {
        let mut fits = Some(true);
        for item in items {
            fits = and(fits, self.fits(schema, item, depth)?);
            if fits == Some(false) {
                break;
            }
        }
        Ok(fits)
    }

    fn contains(
        &mut self,
        schema: &'s Value,
        all: &Map<String, Value>,
        items: &[Value],
        depth: u32,
    ) -> Judged {
        let limit = |name: &str, default: u64| match all.get(name) {
            Some(limit) => limit.as_u64(),
            None => Some(default),
        };
        let limits = (limit("minContains", 1), limit("maxContains", u64::MAX));
        let (Some(min), Some(max)) = limits else { return Ok(None) };
        let mut count = 0;
        for item in items {
            match self.fits(schema, item, depth)? {
                Some(fits) => count += u64::from(fits),
                None => return Ok(None),
            }
        }
        Ok(Some((min..=max).contains(&count)))
    }

    fn is_unique(&mut self, items: &[Value]) -> Judged {
        for (i, one) in items.iter().enumerate() {
            for other in &items[..i] {
                if self.same(one, other)? {
                    return Ok(Some(false));
                }
            }
        }
        Ok(Some(true))
    }

    fn object(
        &mut self,
        keyword: &Keyword<'s>,
        members: &Map<String, Value>,
        value: &Value,
    ) -> Judged {
        let Keyword { name, argument, all, depth } = *keyword;
        match (name, argument, keyword.count()) {
            ("required", Value::Array(names), _) => self.has_all(names, members),
            ("minProperties", _, Some(limit)) => Ok(Some(members.len() >= limit)),
            ("maxProperties", _, Some(limit)) => Ok(Some(members.len() <= limit)),
            ("properties", Value::Object(schemas), _) => {
                let mut fits = Some(true);
                for (name, schema) in schemas {
                    self.spend(1)?;
                    if let Some(member) = members.get(name) {
                        fits = and(fits, self.fits(schema, member, depth)?);
                    }
                }
                Ok(fits)
            }
            ("patternProperties", Value::Object(schemas), _) => {
                let mut fits = Some(true);
                for (pattern, schema) in schemas {
                    for (name, member) in members {
                        let like = self.is_like(pattern, name)?;
                        let judged = match like {
                            Some(true) => self.fits(schema, member, depth)?,
                            Some(false) => Some(true),
                            None => None,
                        };
                        fits = and(fits, judged);
                    }
                }
                Ok(fits)
            }
            ("additionalProperties", ..) => self.additional(argument, all, members, depth),
            ("propertyNames", ..) => {
                let mut fits = Some(true);
                for name in members.keys() {
                    let name = Value::String(name.clone());
                    fits = and(fits, self.fits(argument, &name, depth)?);
                }
                Ok(fits)
            }
            (
                "dependentRequired" | "dependentSchemas" | "dependencies",
                Value::Object(dependencies),
                _,
            ) => self.dependencies(dependencies, members, value, depth),
            (
                "required" | "minProperties" | "maxProperties" | "properties" | "patternProperties"
                | "dependentRequired" | "dependentSchemas" | "dependencies",
                ..,
            ) => Ok(None),
            _ => Ok(Some(true)),
        }
    }

    fn has_all(&mut self, names: &[Value], members: &Map<String, Value>) -> Judged {
        self.spend(names.len())?;
        let has = |name: &Value| name.as_str().map(|name| members.contains_key(name));
        Ok(names.iter().map(has).fold(Some(true), and))
    }

    /// Members that neither `properties` nor `patternProperties` say something of.
    fn additional(
        &mut self,
        schema: &'s Value,
        all: &'s Map<String, Value>,
        members: &Map<String, Value>,
        depth: u32,
    ) -> Judged {
        let named = all.get("properties").and_then(Value::as_object);
        let patterns = all.get("patternProperties").and_then(Value::as_object);
        let mut fits = Some(true);
        for (name, member) in members {
            self.spend(1)?;
            if named.is_some_and(|named| named.contains_key(name)) {
                continue;
            }
            // Whether one of the patterns is like the name: none of them unlike it is a must.
            let mut unlike = Some(true);
            for pattern in patterns.into_iter().flat_map(Map::keys) {
                unlike = and(unlike, not(self.is_like(pattern, name)?));
            }
            let judged = match unlike {
                Some(true) => self.fits(schema, member, depth)?,
                Some(false) => Some(true),
                None => None,
            };
            fits = and(fits, judged);
        }
        Ok(fits)
    }

    fn dependencies(
        &mut self,
        dependencies: &'s Map<String, Value>,
        members: &Map<String, Value>,
        value: &Value,
        depth: u32,
    ) -> Judged {
        let mut fits = Some(true);
        for (name, dependency) in dependencies {
            self.spend(1)?;
            if !members.contains_key(name) {
                continue;
            }
            let judged = match dependency {
                Value::Array(names) => self.has_all(names, members)?,
                schema => self.fits(schema, value, depth)?,
            };
            fits = and(fits, judged);
        }
        Ok(fits)
    }
}

/// A verdict, if it can be known.
fn known(known: bool, verdict: bool) -> Option<bool> {
    known.then_some(verdict)
}

fn is_of_type(argument: &Value, value: &Value) -> Option<bool> {
    let is = |name: &Value| {
        Some(match name.as_str()? {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "number" => value.is_number(),
            "integer" => {
                let whole = value.as_f64().is_some_and(|n| n.fract() == 0.0);
                value.is_i64() || value.is_u64() || whole
            }
            _ => return None,
        })
    };
    match argument {
        Value::Array(names) => {
            let one = names.iter().map(is).map(not).fold(Some(true), and);
            not(one)
        }
        name => is(name),
    }
}

fn number_fits(name: &str, argument: &Value, number: &Number) -> Option<bool> {
    let ordered: fn(Ordering) -> bool = match name {
        "minimum" => Ordering::is_ge,
        "maximum" => Ordering::is_le,
        "exclusiveMinimum" => Ordering::is_gt,
        "exclusiveMaximum" => Ordering::is_lt,
        "multipleOf" => return is_multiple(number, argument),
        _ => return Some(true),
    };
    match argument {
        Value::Number(limit) => order(number, limit).map(ordered),
        _ => None,
    }
}

fn is_multiple(number: &Number, of: &Value) -> Option<bool> {
    if let (Some(number), Some(of)) = (number.as_i64(), of.as_i64()) {
        return (of > 0).then(|| number % of == 0);
    }
    let (number, of) = (number.as_f64()?, of.as_f64()?);
    let times = number / of;
    // 0.3 is three times 0.1 to everybody but a computer.
    (of > 0.0 && times.is_finite())
        .then(|| (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0))
}

/// How numbers compare: whole ones exactly.
pub(super) fn order(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}
