//! API keys, on a data directory that no gateway has open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, say};
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
        #[command(flatten)]
        data: Data,
    },
    /// List the keys, without their secrets.
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Disable a key for good.
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
            Self::Create { account, label, limit, data } => {
                let account = AccountId::parse(&account)?;
                let limit = limit.as_deref().map(NanoUsd::parse_dollars).transpose()?;
                let wanted = KeyTerms { label, limit, ..KeyTerms::default() };
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
            Self::Disable { id, data } => {
                let id = KeyId::parse(&id)?;
                data.with(|ledger| Ok(ledger.disable_key(&id)?))?;
                say(format_args!("disabled: {id}"));
            }
        }
        Ok(())
    }
}
