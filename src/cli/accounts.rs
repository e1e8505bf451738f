//! Accounts and their credit, on a data directory that no gateway has open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, say, unix_ms};
use crate::terms::AccountTerms;
use crate::vocab::{AccountId, NanoUsd};

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
