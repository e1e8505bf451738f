//! API keys, on a data directory that no gateway has open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, read_terms, say, wrong};
use crate::admin::KeyFields;
use crate::terms::KeyTerms;
use crate::vocab::{AccountId, KeyId, NanoUsd};

/// API keys.
#[derive(Subcommand)]
pub(super) enum Keys {
    /// Create a key; it is shown once and never again.
    Create {
        /// The account that pays.
        #[arg(long)]
        account: String,
        /// A name to tell it by.
        #[arg(long, default_value = "")]
        label: String,
        /// The most that it may spend, in US dollars.
        #[arg(long)]
        limit: Option<String>,
        /// It manages the account's keys and cannot ask models.
        #[arg(long)]
        management: bool,
        /// Further terms, as in the management API: {"limit_reset": "daily", "policy": {"rpm": 60}}.
        #[arg(long)]
        terms: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// List the keys, without their secrets.
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Change a key's terms.
    Change {
        /// The key's id, as listed.
        id: String,
        /// What changes, as in the management API. `null` clears.
        #[arg(long)]
        terms: String,
        #[command(flatten)]
        data: Data,
    },
    /// Delete a key for good.
    Delete {
        /// The key's id, as listed.
        id: String,
        #[command(flatten)]
        data: Data,
    },
    /// Disable a key.
    Disable {
        /// The key's id, as listed.
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Keys {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create { account, label, limit, management, terms, data } => {
                let account = AccountId::parse(&account)?;
                let limit = limit.as_deref().map(NanoUsd::parse_dollars).transpose()?;
                let mut wanted = KeyTerms { label, limit, management, ..KeyTerms::default() };
                if let Some(terms) = terms {
                    let fields: KeyFields = read_terms(&terms)?;
                    fields.apply(&mut wanted).map_err(wrong)?;
                }
                let (id, secret) = data.with(|ledger| Ok(ledger.create_key(&account, wanted)?))?;
                say(format_args!("key_id: {id}"));
                say(format_args!("api_key: {}", secret.reveal()));
            }
            Self::List { data } => data.with(|ledger| {
                for key in ledger.list_keys() {
                    let state = if key.disabled() { "disabled" } else { "enabled" };
                    say(format_args!(
                        "{}\t{}\t{}\t{state}\tspent {}\t{}",
                        key.id(),
                        key.shown(),
                        key.account().id(),
                        key.spent(),
                        key.terms().label
                    ));
                }
                Ok(())
            })?,
            Self::Change { id, terms, data } => {
                let id = KeyId::parse(&id)?;
                let fields: KeyFields = read_terms(&terms)?;
                data.with(|ledger| {
                    let mut terms = (**ledger.key(&id)?.terms()).clone();
                    fields.apply(&mut terms).map_err(wrong)?;
                    Ok(ledger.change_key(&id, terms)?)
                })?;
                say(format_args!("changed: {id}"));
            }
            Self::Delete { id, data } => {
                let id = KeyId::parse(&id)?;
                data.with(|ledger| Ok(ledger.delete_key(&id)?))?;
                say(format_args!("deleted: {id}"));
            }
            Self::Disable { id, data } => {
                let id = KeyId::parse(&id)?;
                data.with(|ledger| Ok(ledger.disable_key(&id)?))?;
                say(format_args!("disabled: {id}"));
            }
        }
        Ok(())
    }
}
