//! `[[byok]]`: keys at providers that belong to accounts.

use std::collections::HashSet;
use std::sync::Arc;

use super::fault::{At, Faults};
use super::file::{self, File};
use super::outside::Outside;
use super::providers::{self, Providers};
use super::settings::Byok;
use super::sheet::Sheet;
use crate::catalog::{Access, Provider, Share, Timeouts};
use crate::vocab::{AccountId, ProviderId};

/// The most entries, and the most accounts of one.
const COUNT_MAX: usize = 10_000;

/// The providers at which accounts have keys.
pub(super) fn providers(raw: &[file::Byok]) -> HashSet<&str> {
    raw.iter().map(|raw| raw.provider.as_str()).collect()
}

/// Resolves every `[[byok]]`.
pub(super) fn resolve(
    file: &File,
    (sheet, known): (&Sheet, &Providers),
    timeouts: Timeouts,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Vec<Byok> {
    let fee = Share::parse(&file.ledger.byok_fee).unwrap_or_else(|| {
        faults.add("ledger.byok_fee", "must be a percentage, for instance \"5%\"");
        Share::NONE
    });
    if file.byok.len() > COUNT_MAX {
        faults.add("byok", format!("has more than {COUNT_MAX} entries"));
        return Vec::new();
    }
    let mut all = Vec::with_capacity(file.byok.len());
    for (i, raw) in file.byok.iter().enumerate() {
        let mut at = At::new(format!("byok[{i}]"), faults);
        let accounts = accounts(raw, &mut at);
        let Some(entry) = entry(&raw.provider, file, sheet, known, &mut at) else { continue };
        let provider = with_key(entry, &raw.api_key, timeouts, outside, &mut at);
        let Some(provider) = provider else { continue };
        let provider = Arc::new(Provider { access: Access::Own(fee), ..provider });
        all.push(Byok { accounts, provider, fallback: raw.fallback });
    }
    all
}

fn accounts(raw: &file::Byok, at: &mut At<'_>) -> Vec<AccountId> {
    if raw.accounts.is_empty() || raw.accounts.len() > COUNT_MAX {
        at.fault("accounts", format!("must name 1 to {COUNT_MAX} accounts"));
    }
    let one = |(i, text): (usize, &String)| {
        let id = AccountId::parse(text);
        id.map_err(|error| at.fault(&format!("accounts[{i}]"), error.to_string())).ok()
    };
    raw.accounts.iter().take(COUNT_MAX).enumerate().filter_map(one).collect()
}

/// What the configuration or a catalog file says of the provider.
fn entry<'a>(
    id: &str,
    file: &'a File,
    sheet: &'a Sheet,
    known: &Providers,
    at: &mut At<'_>,
) -> Option<&'a file::Provider> {
    if known.disabled.contains(id) {
        return None;
    }
    let own = file.providers.iter().find(|raw| raw.id == id);
    let laid = || sheet.providers.iter().rev().map(|row| &row.entry).find(|raw| raw.id == id);
    let entry = own.or_else(laid);
    if entry.is_none() && known.complete {
        at.fault("provider", if id.is_empty() { "is required" } else { "names no provider" });
    }
    entry.filter(|_| known.enabled.contains_key(id))
}

/// The provider as it is reached with another key than its own.
fn with_key(
    raw: &file::Provider,
    api_key: &str,
    timeouts: Timeouts,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Option<Provider> {
    if raw.aws.is_some() || raw.service_account.is_some() || raw.auth.as_deref() == Some("none") {
        at.fault("provider", "is asked without an API key; only keys can be an account's own");
        return None;
    }
    let id = ProviderId::parse(&raw.id).ok()?;
    providers::provider(&keyed(raw, api_key), Some(id), timeouts, outside, at)
}

fn keyed(raw: &file::Provider, api_key: &str) -> file::Provider {
    file::Provider {
        api_key: Some(api_key.to_owned()),
        api_keys: Vec::new(),
        probe: None,
        ..raw.clone()
    }
}

/// The entry as it is used where only accounts have keys; `None` if the gateway has one, or nobody.
pub(super) fn own_only(raw: &file::Provider, own: &HashSet<&str>) -> Option<file::Provider> {
    let credential = raw.aws.is_some() || raw.service_account.is_some();
    let keys = own.contains(raw.id.as_str());
    (keys && !credential && raw.auth.as_deref() != Some("none")).then(|| file::Provider {
        api_key: None,
        api_keys: Vec::new(),
        auth: Some("none".to_owned()),
        probe: None,
        ..raw.clone()
    })
}

/// Marks a provider that is for nobody but those with a key of their own.
pub(super) fn without_key(provider: Provider) -> Provider {
    Provider { access: Access::OwnOnly, ..provider }
}
