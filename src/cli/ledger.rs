//! Accounts, keys and the ledger, on a data directory that no gateway has open.
//!
//! One process owns a ledger at a time. While the gateway runs, the same things are done through
//! its admin API; the error of a locked directory says so.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, say, unix_ms};
use crate::ledger::{self, Ledger, Options};
use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::{AccountId, KeyId, NanoUsd};

/// Where the ledger is.
#[derive(Args)]
pub(super) struct Data {
    /// The ledger's directory.
    #[arg(long, default_value = "turnpike-data")]
    data: PathBuf,
}

impl Data {
    /// Opens the ledger, does the deed, and closes it again.
    fn with<T>(&self, deed: impl FnOnce(&Ledger) -> Result<T, Failure>) -> Result<T, Failure> {
        let (ledger, _recovery) = Ledger::open(&self.data, Options::new(unix_ms))?;
        let done = deed(&ledger);
        ledger.close()?;
        done
    }
}

/// Accounts and their credit.
#[derive(Subcommand)]
pub(super) enum Accounts {
    /// Create an account.
    Create {
        /// Its id: letters, digits and . _ - : / @ ~
        account: String,
        #[command(flatten)]
        data: Data,
    },
    /// Add prepaid credit.
    TopUp {
        /// The account.
        account: String,
        /// US dollars, for instance 25 or 0.50.
        usd: String,
        /// How it was paid.
        #[arg(long, default_value = "manual")]
        method: String,
        /// Repeating a top-up with the same reference changes nothing; a fresh one if absent.
        #[arg(long)]
        reference: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// List the accounts.
    List {
        #[command(flatten)]
        data: Data,
    },
}

impl Accounts {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create { account, data } => {
                let id = AccountId::parse(&account)?;
                data.with(|ledger| Ok(ledger.create_account(&id, AccountTerms::default())?))?;
                say(format_args!("account: {id}"));
            }
            Self::TopUp { account, usd, method, reference, data } => {
                let id = AccountId::parse(&account)?;
                let amount = NanoUsd::parse_dollars(&usd)?;
                let reference = reference.unwrap_or_else(|| format!("cli-{}", unix_ms()));
                let balance = data.with(|ledger| {
                    let _made = ledger.top_up(&id, amount, &method, &reference)?;
                    Ok(ledger.account(&id).map(|a| a.balance))
                })?;
                say(format_args!("balance: {}", balance.unwrap_or_default()));
            }
            Self::List { data } => data.with(|ledger| {
                for (id, b) in ledger.list_accounts() {
                    say(format_args!(
                        "{id}\tbalance {}\theld {}\tbought {}\tused {}",
                        b.balance, b.held, b.bought, b.used
                    ));
                }
                Ok(())
            })?,
        }
        Ok(())
    }
}

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

/// The ledger as a whole.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Recompute everything from the journal; exits with 0 only if all of it holds.
    Verify {
        #[command(flatten)]
        data: Data,
    },
    /// Write the journal as JSON lines to standard output.
    Export {
        #[command(flatten)]
        data: Data,
    },
    Reconcile(Box<super::reconcile::Reconcile>),
}

impl LedgerCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify { data } => {
                let report = ledger::verify(&data.data)?;
                say(&report);
                if report.findings.is_empty() {
                    Ok(())
                } else {
                    Err(Failure("the ledger does not hold".to_owned()))
                }
            }
            Self::Export { data } => {
                let mut out = std::io::BufWriter::new(std::io::stdout().lock());
                let _entries = ledger::export(&data.data, &mut out)?;
                Ok(())
            }
            Self::Reconcile(reconcile) => reconcile.run(),
        }
    }
}
