//! A provider's export, as it comes.
//!
//! | form | told by | measures |
//! |---|---|---|
//! | OpenAI usage, CSV or `GET /v1/organization/usage/completions` (and `/embeddings`) | `num_model_requests` | requests, tokens |
//! | OpenAI costs, CSV or `GET /v1/organization/costs` | `amount_value`; `amount.value` | cost |
//! | Anthropic usage, CSV or `GET /v1/organizations/usage_report/messages` | `usage_input_tokens_no_cache`; `uncached_input_tokens` | tokens |
//! | Anthropic cost, CSV or `GET /v1/organizations/cost_report` | `cost_usd` beside `usage_date_utc`; a text `amount`, in cents | cost |
//! | any other CSV | named columns, see [`Columns`] | those that it has |
//!
//! Columns and fields as the two providers gave them in November 2026. Tabs do for commas.

mod json;
mod table;

use std::collections::BTreeMap;
use std::fmt;

use super::amounts::{Day, decimal};
use super::{Measure, Table};

/// An export that cannot be read: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadExport(pub String);

impl fmt::Display for BadExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadExport {}

/// A column of a CSV that is none of the known forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The day; see [`Day::parse`]. Must be there.
    Date,
    /// The model's name at the provider. Without it a day's sums are compared.
    Model,
    /// A measure. Prompt tokens include cached ones, costs are US dollars.
    Measure(Measure),
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 7] = [
        Self::Date,
        Self::Model,
        Self::Measure(Measure::Requests),
        Self::Measure(Measure::Prompt),
        Self::Measure(Measure::Cached),
        Self::Measure(Measure::Completion),
        Self::Measure(Measure::Cost),
    ];

    /// What it is called, in the file unless [`Columns`] say otherwise.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Model => "model",
            Self::Measure(measure) => measure.name(),
        }
    }
}

/// What columns are called in a file that is none of the known forms. Where any is named here, the
/// file is taken for none of them.
#[derive(Clone, Debug, Default)]
pub struct Columns(BTreeMap<Column, String>);

impl Columns {
    /// Says what a column is called in the file.
    ///
    /// # Errors
    /// There is no column of this name; the error lists those that there are.
    pub fn set(&mut self, name: &str, in_file: &str) -> Result<(), BadExport> {
        let Some(column) = Column::ALL.into_iter().find(|column| column.name() == name) else {
            let names = Column::ALL.map(Column::name).join(", ");
            return Err(BadExport(format!("there is no column {name:?}, only {names}")));
        };
        self.0.insert(column, in_file.to_owned());
        Ok(())
    }
}

/// The provider's side of the comparison.
#[derive(Clone, Debug, Default)]
pub struct Theirs {
    /// By the provider's name of the model; empty where the export has none.
    pub(super) table: Table,
    /// The first and the last day that the export covers, also without use.
    pub(super) days: Option<(Day, Day)>,
    /// The export has a further page, which is not here.
    pub(super) more_pages: bool,
}

impl Theirs {
    /// Adds what another file of the same export tells: a further page, or the costs beside the
    /// usage.
    pub fn merge(&mut self, other: Self) {
        for (key, sums) in other.table {
            self.table.entry(key).or_default().merge(&sums);
        }
        if let Some((first, last)) = other.days {
            self.covers(first);
            self.covers(last);
        }
        self.more_pages = other.more_pages;
    }

    fn covers(&mut self, day: Day) {
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
    }

    fn add(&mut self, day: Day, model: &str, measure: Measure, amount: i128) {
        let model = model.trim().to_owned();
        self.table.entry((day, model)).or_default().add(measure, amount);
    }
}

/// Reads an export.
///
/// # Errors
/// It is of no known form, or something in it is not as its form says.
pub fn read(text: &str, columns: &Columns) -> Result<Theirs, BadExport> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        return json::read(text);
    }
    table::read(text, columns)
}

/// The model of an OpenAI cost report's line: `gpt-4o-2024-08-06, input` is one of the lines of
/// `gpt-4o-2024-08-06`.
fn of_line_item(item: &str) -> &str {
    item.split(", ").next().unwrap_or(item)
}

/// Dollars in nano-dollars.
fn dollars(text: &str) -> Option<i128> {
    decimal(text, 9)
}

/// Cents in nano-dollars.
fn cents(text: &str) -> Option<i128> {
    decimal(text, 7)
}

/// A count: digits, also with an empty fraction as spreadsheets write it.
fn count(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = fraction.bytes().all(|byte| byte == b'0');
    whole.parse::<u64>().ok().filter(|_| plain).map(i128::from)
}

fn is_usd(currency: &str) -> bool {
    currency.eq_ignore_ascii_case("usd")
}
