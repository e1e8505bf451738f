//! How terms are spelled in entries and in the index: a list of fields, each with its tag, without
//! those that say nothing, closed by a tag of 0. New kinds of terms get new tags, so that what was
//! written before reads back the same.
//!
//! There is one spelling: tags rise, and a field that says nothing is [`Malformed`].

use crate::terms::{
    AccountTerms, AutoTopUp, KeyTerms, MemberTerms, OrganisationTerms, Policy, Reset, Role, Span,
    TEXT_MAX,
};
use crate::vocab::{AccountId, NanoUsd};

use super::record::id;
use super::wire::{Malformed, Put, Take};

const END: u8 = 0;

// The fields of a policy, the same in all terms.
const ALLOWED_MODELS: u8 = 32;
const IGNORED_MODELS: u8 = 33;
const ALLOWED_PROVIDERS: u8 = 34;
const IGNORED_PROVIDERS: u8 = 35;
const NO_TRAINING: u8 = 36;
const ZDR: u8 = 37;
const RPM: u8 = 38;
const TPM: u8 = 39;
const CONCURRENCY: u8 = 40;

/// Writes the fields of terms.
struct Fields<'a, 'b>(&'a mut Put<'b>);

impl Fields<'_, '_> {
    fn flag(&mut self, tag: u8, value: bool) {
        if value {
            self.0.u8(tag);
        }
    }

    fn number(&mut self, tag: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.0.u8(tag);
            self.0.u64(value);
        }
    }

    fn amount(&mut self, tag: u8, value: Option<NanoUsd>) {
        self.number(tag, value.map(|amount| amount.0.max(0).cast_unsigned()));
    }

    fn text(&mut self, tag: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.0.u8(tag);
            self.0.text(value, TEXT_MAX);
        }
    }

    fn list(&mut self, tag: u8, list: &[String]) {
        if !list.is_empty() {
            self.0.u8(tag);
            self.0.u64(list.len() as u64);
            list.iter().for_each(|text| self.0.text(text, TEXT_MAX));
        }
    }

    fn policy(&mut self, policy: &Policy) {
        self.list(ALLOWED_MODELS, &policy.allowed_models);
        self.list(IGNORED_MODELS, &policy.ignored_models);
        self.list(ALLOWED_PROVIDERS, &policy.allowed_providers);
        self.list(IGNORED_PROVIDERS, &policy.ignored_providers);
        self.flag(NO_TRAINING, policy.no_training);
        self.flag(ZDR, policy.zdr);
        self.number(RPM, policy.rpm.map(u64::from));
        self.number(TPM, policy.tpm);
        self.number(CONCURRENCY, policy.concurrency.map(u64::from));
    }

    fn end(self) {
        self.0.u8(END);
    }
}

/// Reads fields until the end; each tag must be above the one before.
fn each(
    from: &mut Take<'_>,
    mut field: impl FnMut(u8, &mut Take<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut last = END;
    loop {
        let tag = from.u8("terms")?;
        if tag == END {
            return Ok(());
        }
        if tag <= last {
            return Err(Malformed("terms (order)"));
        }
        field(tag, from)?;
        last = tag;
    }
}

fn take_list(from: &mut Take<'_>) -> Result<Vec<String>, Malformed> {
    let count = from.u64("list")?;
    if count == 0 || count > Policy::PATTERNS_MAX as u64 {
        return Err(Malformed("list"));
    }
    (0..count).map(|_| take_text(from)).collect()
}

fn take_text(from: &mut Take<'_>) -> Result<String, Malformed> {
    from.text(TEXT_MAX, "terms").map(str::to_owned)
}

fn take_named(from: &mut Take<'_>) -> Result<String, Malformed> {
    take_text(from)
        .and_then(|text| if text.is_empty() { Err(Malformed("terms")) } else { Ok(text) })
}

fn take_amount(from: &mut Take<'_>) -> Result<NanoUsd, Malformed> {
    i64::try_from(from.u64("amount")?).map(NanoUsd).map_err(|_| Malformed("amount"))
}

fn take_policy(policy: &mut Policy, tag: u8, from: &mut Take<'_>) -> Result<(), Malformed> {
    match tag {
        ALLOWED_MODELS => policy.allowed_models = take_list(from)?,
        IGNORED_MODELS => policy.ignored_models = take_list(from)?,
        ALLOWED_PROVIDERS => policy.allowed_providers = take_list(from)?,
        IGNORED_PROVIDERS => policy.ignored_providers = take_list(from)?,
        NO_TRAINING => policy.no_training = true,
        ZDR => policy.zdr = true,
        RPM => policy.rpm = Some(from.u32("rpm")?),
        TPM => policy.tpm = Some(from.u64("tpm")?),
        CONCURRENCY => policy.concurrency = Some(from.u32("concurrency")?),
        _ => return Err(Malformed("terms (written by a newer Turnpike?)")),
    }
    Ok(())
}

fn take_reset(from: &mut Take<'_>) -> Result<Reset, Malformed> {
    let number = from.u8("reset")?;
    Reset::ALL.into_iter().find(|reset| *reset as u8 == number).ok_or(Malformed("reset"))
}

pub(crate) fn put_key(terms: &KeyTerms, to: &mut Put<'_>) {
    let mut fields = Fields(to);
    fields.text(1, Some(terms.label.as_str()).filter(|label| !label.is_empty()));
    fields.amount(2, terms.limit);
    if let Some(reset) = terms.reset {
        fields.0.u8(3);
        fields.0.u8(reset as u8);
    }
    fields.flag(4, terms.byok_in_limit);
    fields.number(5, terms.expires_ms);
    fields.flag(6, terms.disabled);
    fields.flag(7, terms.management);
    fields.text(8, terms.member.as_deref());
    fields.text(9, terms.preset.as_deref());
    fields.text(10, terms.variant.as_deref());
    fields.policy(&terms.policy);
    fields.end();
}

pub(crate) fn take_key(from: &mut Take<'_>) -> Result<KeyTerms, Malformed> {
    let mut terms = KeyTerms::default();
    each(from, |tag, from| {
        match tag {
            1 => terms.label = take_named(from)?,
            2 => terms.limit = Some(take_amount(from)?),
            3 => terms.reset = Some(take_reset(from)?),
            4 => terms.byok_in_limit = true,
            5 => terms.expires_ms = Some(from.u64("expiry")?),
            6 => terms.disabled = true,
            7 => terms.management = true,
            8 => terms.member = Some(take_named(from)?),
            9 => terms.preset = Some(take_named(from)?),
            10 => terms.variant = Some(take_named(from)?),
            _ => take_policy(&mut terms.policy, tag, from)?,
        }
        Ok(())
    })?;
    Ok(terms)
}

pub(crate) fn put_account(terms: &AccountTerms, to: &mut Put<'_>) {
    let mut fields = Fields(to);
    fields.text(1, Some(terms.name.as_str()).filter(|name| !name.is_empty()));
    fields.text(2, terms.organisation.as_ref().map(AccountId::as_str));
    fields.amount(3, terms.low_balance);
    if let Some(auto) = terms.auto_top_up {
        fields.0.u8(4);
        fields.0.i64(auto.below.0);
        fields.0.i64(auto.amount.0);
    }
    fields.number(5, Some(u64::from(terms.content_days)).filter(|days| *days > 0));
    fields.flag(6, terms.discount_logging);
    fields.policy(&terms.policy);
    fields.end();
}

pub(crate) fn take_account(from: &mut Take<'_>) -> Result<AccountTerms, Malformed> {
    let mut terms = AccountTerms::default();
    each(from, |tag, from| {
        match tag {
            1 => terms.name = take_named(from)?,
            2 => {
                let text = from.text(AccountId::LEN_MAX, "organisation")?;
                terms.organisation = Some(id(text, AccountId::parse, "organisation")?);
            }
            3 => terms.low_balance = Some(take_amount(from)?),
            4 => {
                let below = NanoUsd(from.i64("amount")?);
                terms.auto_top_up = Some(AutoTopUp { below, amount: NanoUsd(from.i64("amount")?) });
            }
            5 => {
                let days = from.u64("days")?;
                let days = u16::try_from(days).ok().filter(|days| *days > 0);
                terms.content_days = days.ok_or(Malformed("days"))?;
            }
            6 => terms.discount_logging = true,
            _ => take_policy(&mut terms.policy, tag, from)?,
        }
        Ok(())
    })?;
    Ok(terms)
}

pub(crate) fn put_organisation(terms: &OrganisationTerms, to: &mut Put<'_>) {
    let mut fields = Fields(to);
    fields.text(1, Some(terms.name.as_str()).filter(|name| !name.is_empty()));
    fields.policy(&terms.policy);
    fields.end();
}

pub(crate) fn take_organisation(from: &mut Take<'_>) -> Result<OrganisationTerms, Malformed> {
    let mut terms = OrganisationTerms::default();
    each(from, |tag, from| match tag {
        1 => take_named(from).map(|name| terms.name = name),
        _ => take_policy(&mut terms.policy, tag, from),
    })?;
    Ok(terms)
}

pub(crate) fn put_member(terms: &MemberTerms, to: &mut Put<'_>) {
    let mut fields = Fields(to);
    fields.flag(1, terms.role == Role::Admin);
    fields.amount(2, terms.limit);
    if let Some(reset) = terms.reset {
        fields.0.u8(3);
        fields.0.u8(reset as u8);
    }
    fields.end();
}

pub(crate) fn take_member(from: &mut Take<'_>) -> Result<MemberTerms, Malformed> {
    let mut terms = MemberTerms::default();
    each(from, |tag, from| {
        match tag {
            1 => terms.role = Role::Admin,
            2 => terms.limit = Some(take_amount(from)?),
            3 => terms.reset = Some(take_reset(from)?),
            _ => return Err(Malformed("terms (written by a newer Turnpike?)")),
        }
        Ok(())
    })?;
    Ok(terms)
}

pub(crate) fn put_span(span: &Span, to: &mut Put<'_>) {
    for i in 0..3 {
        to.u64(span.period[i].into());
        to.i64(span.spent[i]);
        to.i64(span.byok[i]);
    }
}

pub(crate) fn take_span(from: &mut Take<'_>) -> Result<Span, Malformed> {
    let mut span = Span::default();
    for i in 0..3 {
        span.period[i] = from.u32("period")?;
        span.spent[i] = from.i64("spent")?;
        span.byok[i] = from.i64("spent")?;
    }
    Ok(span)
}
