//! A borrowed JSON tree, and how a fault in it is named.
//!
//! Reading a request through a tree, not through derived types, is what lets every fault name its
//! place (`messages[2].content[0].type`), and lets a key that comes twice be refused: parsers
//! differ on which one wins. Strings without escapes are borrowed from the body.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{GatewayError, Kind};

/// The most values in one body outside of schemas; a bound on memory, far above honest use.
const VALUES_MAX: u32 = 1_000_000;

/// The most members of an object whose values are kept as text.
const RAW_MEMBERS_MAX: usize = 1024;

/// A JSON value.
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// A number, and the whole number that it is if it is one.
    Number(f64, Option<i64>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a tree; counts its values down.
#[derive(Clone, Copy)]
struct Tree<'c>(&'c Cell<u32>);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json<'de>, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(de::Error::custom("too many values"));
        };
        self.0.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "the whole number is kept beside")]
    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value as f64, Some(value)))
    }

    #[expect(clippy::cast_precision_loss, reason = "the whole number is kept beside")]
    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value as f64, i64::try_from(value).ok()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        // Some encoders write whole numbers as 1.0.
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Ok(Json::Number(value, whole.then_some(value as i64)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            members.push((key, map.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

/// A place in the request, as errors name it.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Top(&'p str),
    Field(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl Path<'_> {
    /// The member of this object.
    pub(crate) const fn field<'p>(&'p self, name: &'p str) -> Path<'p> {
        Path::Field(self, name)
    }

    /// The item of this array.
    pub(crate) const fn item(&self, index: usize) -> Path<'_> {
        Path::Item(self, index)
    }

    /// The error that something is wrong here; `what` goes on from the name.
    pub(crate) fn fault(&self, what: impl fmt::Display) -> GatewayError {
        GatewayError::new(Kind::InvalidRequest, format!("`{self}` {what}."))
            .with_param(self.to_string())
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The members of an object, taken out one by one. `null` is as good as absent.
pub(crate) struct Members<'a, V>(Vec<(Cow<'a, str>, V)>);

impl<'a, V: Absent> Members<'a, V> {
    /// Takes the member of this name.
    ///
    /// # Errors
    /// It comes twice.
    pub(crate) fn take(&mut self, name: &str, at: &Path<'_>) -> Result<Option<V>, GatewayError> {
        let mut found = self.0.iter().enumerate().filter(|(_, (key, _))| key == name);
        let Some((index, _)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(at.fault("is given twice"));
        }
        // In place: what is left keeps the client's order.
        let (_, value) = self.0.remove(index);
        Ok(Some(value).filter(|v| !v.is_absent()))
    }

    /// What was not taken.
    pub(crate) fn into_rest(self) -> Vec<(Cow<'a, str>, V)> {
        self.0
    }
}

/// Values that may be `null`.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool;
}

impl Absent for Json<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Json::Null)
    }
}

impl Absent for &RawValue {
    fn is_absent(&self) -> bool {
        self.get() == "null"
    }
}

impl<'a> Json<'a> {
    pub(crate) fn text(self, at: &Path<'_>) -> Result<Cow<'a, str>, GatewayError> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(at.fault("must be a string")),
        }
    }

    pub(crate) fn boolean(&self, at: &Path<'_>) -> Result<bool, GatewayError> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(at.fault("must be true or false")),
        }
    }

    pub(crate) fn array(self, at: &Path<'_>) -> Result<Vec<Self>, GatewayError> {
        match self {
            Self::Array(items) => Ok(items),
            _ => Err(at.fault("must be an array")),
        }
    }

    pub(crate) fn object(self, at: &Path<'_>) -> Result<Members<'a, Self>, GatewayError> {
        match self {
            Self::Object(members) => Ok(Members(members)),
            _ => Err(at.fault("must be an object")),
        }
    }

    /// A number in this range.
    pub(crate) fn number(&self, min: f64, max: f64, at: &Path<'_>) -> Result<f64, GatewayError> {
        match self {
            Self::Number(value, _) if (min..=max).contains(value) => Ok(*value),
            _ => Err(at.fault(format_args!("must be a number from {min} to {max}"))),
        }
    }

    /// A whole number in this range.
    pub(crate) fn whole(&self, min: u32, max: u32, at: &Path<'_>) -> Result<u32, GatewayError> {
        match self {
            Self::Number(_, Some(value)) => u32::try_from(*value).ok(),
            _ => None,
        }
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| at.fault(format_args!("must be a whole number from {min} to {max}")))
    }

    /// Any whole number.
    pub(crate) fn integer(&self, at: &Path<'_>) -> Result<i64, GatewayError> {
        match self {
            Self::Number(_, Some(value)) => Ok(*value),
            _ => Err(at.fault("must be a whole number")),
        }
    }
}

/// The body's members: those that [`Body::tree`] names as trees, the others as text.
pub(crate) struct Body<'a> {
    pub(crate) tree: Members<'a, Json<'a>>,
    pub(crate) raw: Members<'a, &'a RawValue>,
}

impl<'a> Body<'a> {
    /// Parses a body. `tree` names the members that are wanted as trees.
    ///
    /// # Errors
    /// The body is not a JSON object, or has too many values.
    pub(crate) fn parse(body: &'a str, tree: &[&str]) -> Result<Self, GatewayError> {
        let left = Cell::new(VALUES_MAX);
        let mut from = serde_json::Deserializer::from_str(body);
        let members = from.deserialize_map(BodyVisitor { tree, left: &left });
        let members = members.and_then(|members| from.end().map(|()| members));
        members.map_err(|error| not_json(&error))
    }
}

struct BodyVisitor<'t> {
    tree: &'t [&'t str],
    left: &'t Cell<u32>,
}

impl<'de> Visitor<'de> for BodyVisitor<'_> {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let (mut tree, mut raw) = (Vec::new(), Vec::new());
        while let Some(Key(key)) = map.next_key()? {
            if tree.len() + raw.len() == RAW_MEMBERS_MAX {
                return Err(de::Error::custom("too many members"));
            }
            if self.tree.contains(&key.as_ref()) {
                tree.push((key, map.next_value_seed(Tree(self.left))?));
            } else {
                raw.push((key, map.next_value()?));
            }
        }
        Ok(Body { tree: Members(tree), raw: Members(raw) })
    }
}

/// The members of an object that was kept as text, themselves kept as text.
pub(crate) fn raw_object<'a>(
    value: &'a RawValue,
    at: &Path<'_>,
) -> Result<Members<'a, &'a RawValue>, GatewayError> {
    Body::parse(value.get(), &[])
        .map(|body| body.raw)
        .map_err(|_| at.fault("must be an object with few members"))
}

/// The items of an array that was kept as text, themselves kept as text; at most `max`.
pub(crate) fn raw_array<'a>(
    value: &'a RawValue,
    max: usize,
    at: &Path<'_>,
) -> Result<Vec<&'a RawValue>, GatewayError> {
    struct Items(usize);
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == self.0 {
                    return Err(de::Error::custom("too many items"));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    serde_json::Deserializer::from_str(value.get())
        .deserialize_seq(Items(max))
        .map_err(|_| at.fault(format_args!("must be an array of at most {max} items")))
}

/// The tree of a value that was kept as text.
pub(crate) fn tree<'a>(value: &'a RawValue, at: &Path<'_>) -> Result<Json<'a>, GatewayError> {
    let left = Cell::new(VALUES_MAX);
    Tree(&left)
        .deserialize(&mut serde_json::Deserializer::from_str(value.get()))
        .map_err(|_| at.fault("is nested too deeply or has too many values"))
}

/// Only the parser's own complaints are repeated: others could quote the body.
fn not_json(error: &serde_json::Error) -> GatewayError {
    let message = match error.classify() {
        serde_json::error::Category::Data | serde_json::error::Category::Io => format!(
            "The body must be one JSON object with at most {RAW_MEMBERS_MAX} members and \
             {VALUES_MAX} values (line {}, column {}).",
            error.line(),
            error.column()
        ),
        _ => format!("The body is not valid JSON: {error}."),
    };
    GatewayError::new(Kind::InvalidRequest, message)
}
