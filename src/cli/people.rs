//! Organisations and members, on a data directory that no gateway has open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, read_terms, say, unix_ms, wrong};
use crate::admin::{MemberFields, OrganisationFields};
use crate::vocab::AccountId;

/// Organisations: what several accounts are restricted to together.
#[derive(Subcommand)]
pub(super) enum Organisations {
    /// Make an organisation, or change its terms.
    Set {
        /// Its id.
        id: String,
        /// What changes, as in the management API: {"name": "Group", "policy": {"zdr": true}}.
        #[arg(long, default_value = "{}")]
        terms: String,
        #[command(flatten)]
        data: Data,
    },
    /// List them.
    List {
        #[command(flatten)]
        data: Data,
    },
}

impl Organisations {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Set { id, terms, data } => {
                let name = AccountId::parse(&id)?;
                let fields: OrganisationFields = read_terms(&terms)?;
                data.with(|ledger| {
                    let known = ledger.keys().organisation(&id).map(|known| known.terms());
                    let mut terms = known.as_deref().cloned().unwrap_or_default();
                    fields.apply(&mut terms).map_err(wrong)?;
                    Ok(ledger.set_organisation(&name, terms)?)
                })?;
                say(format_args!("organisation: {id}"));
            }
            Self::List { data } => data.with(|ledger| {
                let table = ledger.keys();
                let mut all: Vec<_> = table.organisations().collect();
                all.sort_by(|a, b| a.id().cmp(b.id()));
                for one in all {
                    say(format_args!("{}\t{}", one.id(), one.terms().name));
                }
                Ok(())
            })?,
        }
        Ok(())
    }
}

/// Members of accounts.
#[derive(Subcommand)]
pub(super) enum Members {
    /// Make somebody a member of an account, or change their terms.
    Set {
        /// The account.
        account: String,
        /// Who.
        user: String,
        /// What changes, as in the management API: {"role": "admin", "limit_usd": "5"}.
        #[arg(long, default_value = "{}")]
        terms: String,
        #[command(flatten)]
        data: Data,
    },
    /// Take a member out of an account; their keys stop working.
    Remove {
        /// The account.
        account: String,
        /// Who.
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// List the members of an account.
    List {
        /// The account.
        account: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Members {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Set { account, user, terms, data } => {
                let id = AccountId::parse(&account)?;
                let fields: MemberFields = read_terms(&terms)?;
                data.with(|ledger| {
                    let table = ledger.keys();
                    let known = table.member(&id, &user).filter(|member| !member.removed());
                    let mut terms = known.map(|member| member.terms()).unwrap_or_default();
                    fields.apply(&mut terms).map_err(wrong)?;
                    Ok(ledger.set_member(&id, &user, terms)?)
                })?;
                say(format_args!("member: {user}"));
            }
            Self::Remove { account, user, data } => {
                let id = AccountId::parse(&account)?;
                data.with(|ledger| Ok(ledger.remove_member(&id, &user)?))?;
                say(format_args!("removed: {user}"));
            }
            Self::List { account, data } => {
                let id = AccountId::parse(&account)?;
                data.with(|ledger| {
                    let table = ledger.keys();
                    let mut all: Vec<_> = table.members(&id).collect();
                    all.sort_by(|a, b| a.user().cmp(b.user()));
                    for member in all {
                        let (terms, spent) = (member.terms(), member.spent(unix_ms()).spent);
                        let role = terms.role.as_str();
                        say(format_args!("{}\t{role}\tspent {spent}", member.user()));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}
