//! Records of generations, while no gateway has the ledger open.

use std::io::Write as _;

use clap::{Args, Subcommand};

use super::Failure;
use super::data::Data;
use crate::admin::ShownGeneration;
use crate::catalog::date;
use crate::ledger::{Cursor, GenerationQuery, GenerationRecord, Ledger};
use crate::vocab::{AccountId, GenerationId, KeyId, ModelId, ProviderId};

/// Records of generations, as lines of JSON.
#[derive(Subcommand)]
pub(super) enum Generations {
    /// List generations, the last that ended first.
    List(Box<List>),
    /// Show one, by our id or by the provider's.
    Show {
        /// The id.
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

/// What is listed.
#[derive(Args)]
pub(super) struct List {
    /// Only of this account.
    #[arg(long)]
    account: Option<String>,
    /// Only by this key (its public name).
    #[arg(long)]
    key: Option<String>,
    /// Only by this model.
    #[arg(long)]
    model: Option<String>,
    /// Only by this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only those that ended at this time or later: 2026-11-26, 2026-11-26T08:30:00Z, or
    /// milliseconds since 1970.
    #[arg(long)]
    from: Option<String>,
    /// Only those that ended before this time.
    #[arg(long)]
    to: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Go on where an earlier list said that there is more.
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    data: Data,
}

impl Generations {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let query = list.query()?;
                list.data.with(|ledger| list_all(ledger, query))
            }
            Self::Show { id, data } => data.with(|ledger| {
                let found = match GenerationId::parse(&id) {
                    Some(id) => ledger.generation(id)?,
                    None => ledger.generation_by_upstream(&id)?,
                };
                let record = found.ok_or_else(|| Failure(format!("no generation {id}")))?;
                print(&record)
            }),
        }
    }
}

impl List {
    fn query(&self) -> Result<GenerationQuery, Failure> {
        let time = |name: &str, text: &Option<String>| match text.as_deref() {
            None => Ok(None),
            Some(text) => date::parse_time(text).map(Some).ok_or_else(|| {
                Failure(format!("--{name} {text}: a day, a time in UTC, or milliseconds"))
            }),
        };
        let after = |text: &str| Cursor::parse(text).ok_or(Failure(format!("--after {text}?")));
        Ok(GenerationQuery {
            account: self.account.as_deref().map(AccountId::parse).transpose()?,
            key: self.key.as_deref().map(KeyId::parse).transpose()?,
            model: self.model.as_deref().map(ModelId::parse).transpose()?,
            provider: self.provider.as_deref().map(ProviderId::parse).transpose()?,
            from_ms: time("from", &self.from)?,
            to_ms: time("to", &self.to)?,
            after: self.after.as_deref().map(after).transpose()?,
            limit: self.limit,
        })
    }
}

/// Prints page after page, until there are as many as were asked for.
fn list_all(ledger: &Ledger, mut query: GenerationQuery) -> Result<(), Failure> {
    let mut left = query.limit;
    while left > 0 {
        query.limit = left.min(GenerationQuery::LIMIT_MAX);
        let page = ledger.generations(&query)?;
        page.records.iter().try_for_each(|record| print(record))?;
        left -= page.records.len();
        query.after = page.next;
        match page.next {
            None => return Ok(()),
            Some(next) if left == 0 => super::complain(format_args!("more: --after {next}")),
            Some(_) => {}
        }
    }
    Ok(())
}

fn print(record: &GenerationRecord) -> Result<(), Failure> {
    let mut line = serde_json::to_string(&ShownGeneration::with_owner(record))?;
    line.push('\n');
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        // Whoever read it has seen enough.
        std::process::exit(0);
    }
    Ok(())
}
