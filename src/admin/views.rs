//! What management shows: amounts are decimal strings, since a JSON number may be rounded on its
//! way, and times are milliseconds since 1970.

use serde_json::{Value, json};

use crate::ledger::{Account, KeyEntry, Member, Organisation};
use crate::terms::{Policy, Reset};
use crate::vocab::NanoUsd;

pub(crate) fn account(account: &Account) -> Value {
    let (balance, terms) = (account.balance(), account.terms());
    let auto = terms.auto_top_up.map(
        |auto| json!({"below_usd": auto.below.to_string(), "amount_usd": auto.amount.to_string()}),
    );
    json!({
        "id": account.id(),
        "name": terms.name,
        "organisation": terms.organisation,
        "bought_usd": balance.bought.to_string(),
        "used_usd": balance.used.to_string(),
        "balance_usd": balance.balance.to_string(),
        "held_usd": balance.held.to_string(),
        "low_balance_usd": amount(terms.low_balance),
        "auto_top_up": auto,
        "content_days": terms.content_days,
        "discount_logging": terms.discount_logging,
        "policy": policy(&terms.policy),
        "created_ms": account.created_ms(),
    })
}

pub(crate) fn key(key: &KeyEntry, now_ms: u64) -> Value {
    let terms = key.terms();
    let usage = key.usage(now_ms);
    let (daily, byok_daily) = usage.in_period(Reset::Daily);
    let (weekly, byok_weekly) = usage.in_period(Reset::Weekly);
    let (monthly, byok_monthly) = usage.in_period(Reset::Monthly);
    json!({
        "id": key.id(),
        "account_id": key.account().id(),
        "label": terms.label,
        "shown": key.shown(),
        "limit_usd": amount(terms.limit),
        "limit_remaining_usd": amount(key.limit_left(now_ms)),
        "limit_reset": terms.reset.map(Reset::as_str),
        "include_byok_in_limit": terms.byok_in_limit,
        "spent_usd": usage.spent.to_string(),
        "spent_daily_usd": daily.to_string(),
        "spent_weekly_usd": weekly.to_string(),
        "spent_monthly_usd": monthly.to_string(),
        "byok_usd": usage.byok.to_string(),
        "byok_daily_usd": byok_daily.to_string(),
        "byok_weekly_usd": byok_weekly.to_string(),
        "byok_monthly_usd": byok_monthly.to_string(),
        "expires_ms": terms.expires_ms,
        "disabled": key.disabled() || key.deleted(),
        "deleted": key.deleted(),
        "management": terms.management,
        "member": terms.member,
        "preset": terms.preset,
        "variant": terms.variant,
        "policy": policy(&terms.policy),
        "created_ms": key.created_ms(),
        "updated_ms": key.updated_ms(),
    })
}

pub(crate) fn organisation(organisation: &Organisation) -> Value {
    let terms = organisation.terms();
    json!({"id": organisation.id(), "name": terms.name, "policy": policy(&terms.policy)})
}

pub(crate) fn member(member: &Member, now_ms: u64) -> Value {
    let (terms, usage) = (member.terms(), member.spent(now_ms));
    json!({
        "user": member.user(),
        "role": terms.role.as_str(),
        "limit_usd": amount(terms.limit),
        "limit_reset": terms.reset.map(Reset::as_str),
        "spent_usd": usage.spent.to_string(),
        "spent_daily_usd": usage.in_period(Reset::Daily).0.to_string(),
        "spent_weekly_usd": usage.in_period(Reset::Weekly).0.to_string(),
        "spent_monthly_usd": usage.in_period(Reset::Monthly).0.to_string(),
        "created_ms": member.created_ms(),
    })
}

fn policy(policy: &Policy) -> Value {
    json!({
        "allowed_models": policy.allowed_models,
        "ignored_models": policy.ignored_models,
        "allowed_providers": policy.allowed_providers,
        "ignored_providers": policy.ignored_providers,
        "no_training": policy.no_training,
        "zdr": policy.zdr,
        "rpm": policy.rpm,
        "tpm": policy.tpm,
        "concurrency": policy.concurrency,
    })
}

fn amount(amount: Option<NanoUsd>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}
