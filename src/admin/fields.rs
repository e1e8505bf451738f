//! Terms as requests write them.
//!
//! A field that is absent stays as it is, and one that is `null` is cleared: so one form serves to
//! make a thing, from terms that say nothing, and to change one.

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};

use crate::terms::{
    AccountTerms, AutoTopUp, KeyTerms, MemberTerms, OrganisationTerms, Policy, Reset, Role,
};
use crate::vocab::{AccountId, NanoUsd};

/// The field that is not possible, and why: `label` and `must not be empty`.
pub(crate) type Wrong = (&'static str, String);

/// A field that may be absent, `null` or there.
type Clearable<T> = Option<Option<T>>;

/// Tells `null` from an absent field, together with `#[serde(default)]`.
pub(crate) fn clearable<'de, T, D>(from: D) -> Result<Clearable<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Some)
}

/// A field that may be absent but not `null`, together with `#[serde(default)]`.
pub(crate) fn given<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}

/// An object's fields. What is derived for a structure takes a list as well, field by field in their
/// order, which nobody means.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(from)?;
        T::deserialize(serde_json::Value::Object(fields)).map(Self).map_err(de::Error::custom)
    }
}

/// What a key, an account or an organisation is restricted to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyFields {
    #[serde(deserialize_with = "given")]
    allowed_models: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    ignored_models: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    allowed_providers: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    ignored_providers: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    no_training: Option<bool>,
    #[serde(deserialize_with = "given")]
    zdr: Option<bool>,
    #[serde(deserialize_with = "clearable")]
    rpm: Clearable<u32>,
    #[serde(deserialize_with = "clearable")]
    tpm: Clearable<u64>,
    #[serde(deserialize_with = "clearable")]
    concurrency: Clearable<u32>,
}

impl PolicyFields {
    fn apply(self, to: &mut Policy) {
        set(&mut to.allowed_models, self.allowed_models);
        set(&mut to.ignored_models, self.ignored_models);
        set(&mut to.allowed_providers, self.allowed_providers);
        set(&mut to.ignored_providers, self.ignored_providers);
        set(&mut to.no_training, self.no_training);
        set(&mut to.zdr, self.zdr);
        set(&mut to.rpm, self.rpm);
        set(&mut to.tpm, self.tpm);
        set(&mut to.concurrency, self.concurrency);
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// A key's terms. The same on the admin listener and, with numbers for money, for clients.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeyFields {
    #[serde(deserialize_with = "given")]
    pub(crate) label: Option<String>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) limit_usd: Clearable<String>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) limit_reset: Clearable<String>,
    #[serde(deserialize_with = "given")]
    pub(crate) include_byok_in_limit: Option<bool>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) expires_ms: Clearable<u64>,
    #[serde(deserialize_with = "given")]
    pub(crate) disabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    pub(crate) management: Option<bool>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) member: Clearable<String>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) preset: Clearable<String>,
    #[serde(deserialize_with = "clearable")]
    pub(crate) variant: Clearable<String>,
    #[serde(deserialize_with = "given")]
    pub(crate) policy: Option<Object<PolicyFields>>,
}

impl KeyFields {
    /// Puts what is given into the terms. A limit that is cleared takes its reset along.
    ///
    /// # Errors
    /// A field that is not possible.
    pub(crate) fn apply(self, to: &mut KeyTerms) -> Result<(), Wrong> {
        if let Some(label) = self.label {
            to.label = plain("label", label)?;
        }
        limit((&mut to.limit, &mut to.reset), self.limit_usd, self.limit_reset)?;
        set(&mut to.byok_in_limit, self.include_byok_in_limit);
        set(&mut to.expires_ms, self.expires_ms);
        set(&mut to.disabled, self.disabled);
        set(&mut to.management, self.management);
        for (field, value, to) in [
            ("member", self.member, &mut to.member),
            ("preset", self.preset, &mut to.preset),
            ("variant", self.variant, &mut to.variant),
        ] {
            if let Some(value) = value {
                *to = value.map(|text| plain(field, text)).transpose()?;
            }
        }
        if let Some(Object(policy)) = self.policy {
            policy.apply(&mut to.policy);
        }
        to.check().map_err(spelled)
    }
}

/// An account's terms.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AccountFields {
    #[serde(deserialize_with = "given")]
    name: Option<String>,
    #[serde(deserialize_with = "clearable")]
    organisation: Clearable<String>,
    #[serde(deserialize_with = "given")]
    policy: Option<Object<PolicyFields>>,
    #[serde(deserialize_with = "clearable")]
    low_balance_usd: Clearable<String>,
    #[serde(deserialize_with = "clearable")]
    auto_top_up: Clearable<Object<AutoTopUpFields>>,
    #[serde(deserialize_with = "given")]
    content_days: Option<u16>,
    #[serde(deserialize_with = "given")]
    discount_logging: Option<bool>,
}

/// When and how much credit is bought by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AutoTopUpFields {
    below_usd: String,
    amount_usd: String,
}

impl AccountFields {
    /// Puts what is given into the terms.
    ///
    /// # Errors
    /// A field that is not possible.
    pub(crate) fn apply(self, to: &mut AccountTerms) -> Result<(), Wrong> {
        if let Some(name) = self.name {
            to.name = plain("name", name)?;
        }
        if let Some(organisation) = self.organisation {
            to.organisation = organisation
                .map(|id| AccountId::parse(&id))
                .transpose()
                .map_err(|why| ("organisation", why.to_string()))?;
        }
        if let Some(Object(policy)) = self.policy {
            policy.apply(&mut to.policy);
        }
        if let Some(low) = self.low_balance_usd {
            to.low_balance = low.map(|text| dollars("low_balance_usd", &text)).transpose()?;
        }
        if let Some(auto) = self.auto_top_up {
            to.auto_top_up = match auto {
                None => None,
                Some(Object(auto)) => Some(AutoTopUp {
                    below: dollars("auto_top_up.below_usd", &auto.below_usd)?,
                    amount: dollars("auto_top_up.amount_usd", &auto.amount_usd)?,
                }),
            };
        }
        set(&mut to.content_days, self.content_days);
        set(&mut to.discount_logging, self.discount_logging);
        to.check().map_err(spelled)
    }
}

/// An organisation's terms.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OrganisationFields {
    #[serde(deserialize_with = "given")]
    name: Option<String>,
    #[serde(deserialize_with = "given")]
    policy: Option<Object<PolicyFields>>,
}

impl OrganisationFields {
    /// Puts what is given into the terms.
    ///
    /// # Errors
    /// A field that is not possible.
    pub(crate) fn apply(self, to: &mut OrganisationTerms) -> Result<(), Wrong> {
        if let Some(name) = self.name {
            to.name = plain("name", name)?;
        }
        if let Some(Object(policy)) = self.policy {
            policy.apply(&mut to.policy);
        }
        to.check().map_err(spelled)
    }
}

/// A member's terms.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemberFields {
    #[serde(deserialize_with = "given")]
    role: Option<String>,
    #[serde(deserialize_with = "clearable")]
    limit_usd: Clearable<String>,
    #[serde(deserialize_with = "clearable")]
    limit_reset: Clearable<String>,
}

impl MemberFields {
    /// Puts what is given into the terms.
    ///
    /// # Errors
    /// A field that is not possible.
    pub(crate) fn apply(self, to: &mut MemberTerms) -> Result<(), Wrong> {
        if let Some(role) = self.role {
            to.role = Role::parse(&role)
                .ok_or_else(|| ("role", "must be \"member\" or \"admin\"".to_owned()))?;
        }
        limit((&mut to.limit, &mut to.reset), self.limit_usd, self.limit_reset)?;
        to.check().map_err(spelled)
    }
}

fn limit(
    (limit, reset): (&mut Option<NanoUsd>, &mut Option<Reset>),
    limit_usd: Clearable<String>,
    limit_reset: Clearable<String>,
) -> Result<(), Wrong> {
    if let Some(value) = limit_usd {
        *limit = value.map(|text| dollars("limit_usd", &text)).transpose()?;
        if limit.is_none() {
            *reset = None;
        }
    }
    if let Some(value) = limit_reset {
        let parse = |name: String| {
            let why = || "must be \"daily\", \"weekly\", \"monthly\" or null".to_owned();
            Reset::parse(&name).ok_or_else(|| ("limit_reset", why()))
        };
        *reset = value.map(parse).transpose()?;
    }
    Ok(())
}

/// An amount in dollars.
///
/// # Errors
/// It is no decimal number with at most nine decimal places.
pub(crate) fn dollars(field: &'static str, text: &str) -> Result<NanoUsd, Wrong> {
    NanoUsd::parse_dollars(text).map_err(|why| (field, why.to_string()))
}

/// A text for people, of one line.
fn plain(field: &'static str, text: String) -> Result<String, Wrong> {
    if text.chars().any(char::is_control) {
        return Err((field, "must have no control characters".to_owned()));
    }
    Ok(text)
}

/// Terms name their fields as the code does; requests give money its unit.
pub(crate) fn spelled((field, why): Wrong) -> Wrong {
    let field = match field {
        "amount" => "amount_usd",
        "fee" => "fee_usd",
        "limit" => "limit_usd",
        "low_balance" => "low_balance_usd",
        "auto_top_up.below" => "auto_top_up.below_usd",
        "auto_top_up.amount" => "auto_top_up.amount_usd",
        "idempotency key" => "idempotency_key",
        other => other,
    };
    (field, why)
}
