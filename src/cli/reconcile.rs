//! `turnpike ledger reconcile`: our records against a provider's own export.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Failure, check, say};
use crate::config;
use crate::ledger;
use crate::reconcile::{Columns, Day, Limits, Names, Ours, Percent, Report, Theirs, read};
use crate::vocab::{NanoUsd, ProviderId};

/// Compare our records with a provider's usage or cost export, by day and model; exits with 1 where
/// they drift apart. The gateway may run meanwhile.
#[derive(Args)]
pub(super) struct Reconcile {
    /// The provider's id, as the configuration has it.
    #[arg(long)]
    provider: String,
    /// The export: OpenAI's or Anthropic's usage or cost report as CSV or from their API (several
    /// pages as several files, or in one list), or a CSV with the columns date, model, requests,
    /// prompt_tokens, cached_tokens, completion_tokens and cost_usd, as far as it has them. `-` is
    /// standard input.
    #[arg(required = true)]
    exports: Vec<PathBuf>,
    /// The ledger's directory.
    #[arg(long, default_value = "turnpike-data")]
    data: PathBuf,
    /// A configuration, for the provider's names of our models.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// The provider's name of a model, and ours: gpt-4o-2024-08-06=openai/gpt-4o.
    #[arg(long = "model", value_name = "THEIRS=OURS")]
    models: Vec<String>,
    /// What one of the columns is called in the file: cost_usd=Amount.
    #[arg(long = "column", value_name = "NAME=COLUMN")]
    columns: Vec<String>,
    /// The first day, YYYY-MM-DD in UTC; by default the export's.
    #[arg(long)]
    from: Option<String>,
    /// The last day; by default the export's.
    #[arg(long)]
    to: Option<String>,
    /// How much of the provider's number ours may differ from it, in per cent.
    #[arg(long, default_value = "0")]
    tolerance: String,
    /// How much a cost may differ in any case, in US dollars: exports may be rounded to cents.
    #[arg(long, default_value = "0")]
    slack: String,
    /// How the comparison is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// One JSON object; costs in nano-dollars.
    Json,
}

impl Reconcile {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let provider = ProviderId::parse(&self.provider)?;
        let limits = self.limits()?;
        let names = self.names(&provider)?;
        let mut columns = Columns::default();
        for pair in &self.columns {
            let (name, in_file) = pair_of(pair, "--column NAME=COLUMN")?;
            columns.set(name, in_file)?;
        }
        let mut theirs = Theirs::default();
        for path in &self.exports {
            let told =
                |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", path.display()));
            let text = text_of(path).map_err(|error| told(&error))?;
            theirs.merge(read(&text, &columns).map_err(|error| told(&error))?);
        }
        let ours = ledger::sum_records(&self.data, &Ours::of(provider), Ours::add)?;
        let report = Report::new(&ours, &theirs, &names, &limits);
        match self.format {
            Format::Text => say(report.to_string().trim_end()),
            Format::Json => say(serde_json::to_string(&report)?),
        }
        if report.ok() {
            return Ok(());
        }
        Err(Failure(format!(
            "our records and {}'s export differ by more than {}",
            self.provider, limits.tolerance
        )))
    }

    fn limits(&self) -> Result<Limits, Failure> {
        let day = |text: &Option<String>| -> Result<Option<Day>, Failure> {
            let bad = |text: &str| Failure(format!("{text:?} is no day: write YYYY-MM-DD"));
            text.as_deref().map(|text| Day::parse(text).ok_or_else(|| bad(text))).transpose()
        };
        let tolerance = Percent::parse(&self.tolerance).ok_or_else(|| {
            Failure(format!("{:?} is no percentage: write 0.5, for instance", self.tolerance))
        })?;
        let slack = NanoUsd::parse_dollars(&self.slack)?;
        if slack < NanoUsd::ZERO {
            return Err(Failure("the slack must not be negative".to_owned()));
        }
        Ok(Limits { from: day(&self.from)?, to: day(&self.to)?, tolerance, slack })
    }

    fn names(&self, provider: &ProviderId) -> Result<Names, Failure> {
        let mut names = Names::default();
        for pair in &self.models {
            let (theirs, ours) = pair_of(pair, "--model THEIRS=OURS")?;
            names.tell(theirs, ours);
        }
        let Some(path) = &self.config else { return Ok(names) };
        let config = config::load(path).map_err(|faults| check::refuse(path, &faults))?;
        for model in config.catalog.models() {
            for endpoint in model.endpoints.iter().chain(&model.dormant) {
                if endpoint.provider.id == *provider {
                    names.configured(&endpoint.upstream_model, model.id.as_str());
                }
            }
        }
        Ok(names)
    }
}

fn pair_of<'a>(pair: &'a str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let halves = pair.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    halves.ok_or_else(|| Failure(format!("{pair:?} is not of the form {form}")))
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}
