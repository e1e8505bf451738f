//! Accounts and their credit, on a data directory that no gateway has open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, read_terms, say, unix_ms, wrong};
use crate::admin::AccountFields;
use crate::ledger::Book;
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
    /// Give or take credit by hand.
    Adjust {
        /// The account.
        account: String,
        /// US dollars; negative to take some.
        #[arg(allow_hyphen_values = true)]
        usd: String,
        /// Why, for the books.
        #[arg(long)]
        reason: String,
        /// Repeating it with the same reference changes nothing; a fresh one if absent.
        #[arg(long)]
        reference: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Move credit from one account to another.
    Transfer {
        /// Who gives.
        from: String,
        /// Who gets.
        to: String,
        /// US dollars.
        usd: String,
        /// Why, for the books.
        #[arg(long)]
        reason: String,
        /// Repeating it with the same reference changes nothing; a fresh one if absent.
        #[arg(long)]
        reference: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Change an account's terms.
    Change {
        /// The account.
        account: String,
        /// What changes, as in the management API: {"policy": {"rpm": 60}}. `null` clears.
        #[arg(long)]
        terms: String,
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
            Self::Adjust { account, usd, reason, reference, data } => {
                let id = AccountId::parse(&account)?;
                let amount = NanoUsd::parse_dollars(&usd)?;
                let reference = reference.unwrap_or_else(|| format!("cli-{}", unix_ms()));
                let balance = data.with(|ledger| {
                    let _made =
                        ledger.adjust(&id, amount, Book::Promotions, &reason, &reference)?;
                    Ok(ledger.account(&id).map(|a| a.balance))
                })?;
                say(format_args!("balance: {}", balance.unwrap_or_default()));
            }
            Self::Transfer { from, to, usd, reason, reference, data } => {
                let (from, to) = (AccountId::parse(&from)?, AccountId::parse(&to)?);
                let amount = NanoUsd::parse_dollars(&usd)?;
                let reference = reference.unwrap_or_else(|| format!("cli-{}", unix_ms()));
                data.with(|ledger| {
                    let _made = ledger.transfer((&from, &to), amount, &reason, &reference)?;
                    Ok(())
                })?;
                say(format_args!("moved: {amount}"));
            }
            Self::Change { account, terms, data } => {
                let id = AccountId::parse(&account)?;
                let fields: AccountFields = read_terms(&terms)?;
                data.with(|ledger| {
                    let known = ledger.keys().account(&account).map(|known| known.terms());
                    let mut terms = known.as_deref().cloned().unwrap_or_default();
                    fields.apply(&mut terms).map_err(wrong)?;
                    if terms.content_days > 0 {
                        let why = "content_days: only a running gateway knows whether there is a \
                                   key for kept content; use its management API";
                        return Err(Failure(why.to_owned()));
                    }
                    Ok(ledger.change_account(&id, terms)?)
                })?;
                say(format_args!("changed: {id}"));
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
