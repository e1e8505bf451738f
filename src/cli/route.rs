//! `turnpike route`: recorded decisions explained, and made again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::{ConfigArgs, Failure, check, say};
use crate::balance::{HealthRegistry, Settings};
use crate::config::{self, Config};
use crate::route::{Plan, Record, RoutingTable, record};

/// What can be done with recorded decisions.
#[derive(Subcommand)]
pub(super) enum Route {
    /// Say how a request was routed, and why.
    Explain {
        /// The generation's id.
        generation: String,
        /// The file of decisions; by default the one that the configuration names.
        #[arg(long)]
        decisions: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Make recorded decisions again, and say what would be different over another catalog.
    Replay {
        /// The file of decisions.
        file: PathBuf,
        /// A configuration whose catalog decides instead; by default the same one.
        #[arg(long)]
        catalog: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl Route {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Explain { generation, decisions, config } => {
                let loaded = load(&config.config)?;
                let named = decisions.or_else(|| loaded.routing.decisions.clone());
                let Some(file) = named else {
                    return Err(Failure(
                        "Name the file of decisions with --decisions, or as routing.decisions in \
                         the configuration."
                            .to_owned(),
                    ));
                };
                explain(&generation, &file, &Table::of(&loaded))
            }
            Self::Replay { file, catalog, config } => {
                let old = load(&config.config)?;
                let new = catalog.as_deref().map(load).transpose()?;
                let new = new.as_ref().unwrap_or(&old);
                replay(&file, &Table::of(&old), &Table::of(new))
            }
        }
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(|faults| check::refuse(path, &faults))
}

/// A catalog to decide over, without health of its own.
struct Table {
    table: RoutingTable,
    version: String,
}

impl Table {
    fn of(config: &Config) -> Self {
        let catalog = Arc::clone(&config.catalog);
        let registry = HealthRegistry::new(&catalog, Settings::default());
        let version = record::version(&catalog);
        Self { table: RoutingTable::new(&catalog, &registry), version }
    }
}

/// The records of a file, one after another.
fn records(path: &Path) -> Result<impl Iterator<Item = Result<Record, Failure>>, Failure> {
    let file = File::open(path).map_err(|e| Failure(format!("{}: {e}", path.display())))?;
    let shown = path.display().to_string();
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.map(move |(i, line)| {
        let wrong = |e: String| Failure(format!("{shown}: line {}: {e}", i + 1));
        let line = line.map_err(|e| wrong(e.to_string()))?;
        serde_json::from_str(&line).map_err(|e| wrong(e.to_string()))
    }))
}

fn explain(generation: &str, file: &Path, old: &Table) -> Result<(), Failure> {
    for record in records(file)? {
        let record = record?;
        if record.id != generation {
            continue;
        }
        say(format_args!("{generation}: {}, {} prompt tokens", record.model, record.prompt_tokens));
        match record.decide(&old.table) {
            Ok(plan) => {
                shown(&plan);
                if record::digest(&plan) != record.digest {
                    say(format_args!(
                        "This is not what was decided: the catalog is {} and was {}.",
                        old.version, record.catalog
                    ));
                }
            }
            Err(error) => say(error.message),
        }
        return Ok(());
    }
    Err(Failure(format!("{}: there is no decision of {generation}", file.display())))
}

fn shown(plan: &Plan) {
    for (i, candidate) in plan.candidates.iter().enumerate() {
        let score = &candidate.score;
        say(format_args!(
            "{:2}. {}: {:?}; expected ${:.6}, price × {:.2}, speed × {:.2}, trouble × {:.2}, \
             share {:.2} %",
            i + 1,
            candidate.slot.endpoint.id,
            candidate.why,
            score.price_pico / 1e12,
            score.price,
            score.speed,
            score.trouble,
            score.share * 100.0,
        ));
    }
    for (slot, by) in plan.dropped() {
        say(format_args!("    {}: removed by {}", slot.endpoint.id, by.field()));
    }
}

/// What became of the first choices.
#[derive(Default)]
struct Tally {
    decisions: u64,
    /// The same to the last bit over the old catalog.
    identical: u64,
    /// Of another catalog than the old one is now.
    other_catalog: u64,
    /// Over the new catalog: another first choice, or refused.
    moved: u64,
    refused: u64,
    /// Sums over the decisions that both catalogs answer.
    price_pico: [f64; 2],
    latency_us: [f64; 2],
    /// Where to, how often.
    to: HashMap<String, u64>,
}

fn replay(file: &Path, old: &Table, new: &Table) -> Result<(), Failure> {
    let mut tally = Tally::default();
    for record in records(file)? {
        let record = record?;
        tally.decisions += 1;
        tally.other_catalog += u64::from(record.catalog != old.version);
        let (before, after) = (record.decide(&old.table), record.decide(&new.table));
        let digest = before.as_ref().map_or_else(|_| String::new(), record::digest);
        tally.identical += u64::from(digest == record.digest);
        let first = |plan: &Plan| {
            let first = plan.candidates.first()?;
            Some((first.slot.endpoint.id.to_string(), first.score.price_pico))
        };
        let before = before.ok().as_ref().and_then(first);
        let after = after.ok().as_ref().and_then(first);
        tally.compare(&record, before, after);
    }
    tally.say();
    Ok(())
}

impl Tally {
    fn compare(
        &mut self,
        record: &Record,
        before: Option<(String, f64)>,
        after: Option<(String, f64)>,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a request are few")]
        let latency = |id: &str| {
            let found = record.health.iter().find(|(known, _)| known == id);
            found.map_or(0.0, |(_, numbers)| numbers.latency_us as f64)
        };
        let Some((to, cost)) = after else {
            self.refused += u64::from(before.is_some());
            return;
        };
        if before.as_ref().is_none_or(|(from, _)| *from != to) {
            self.moved += 1;
            *self.to.entry(to.clone()).or_default() += 1;
        }
        if let Some((from, was)) = before {
            self.price_pico[0] += was;
            self.price_pico[1] += cost;
            self.latency_us[0] += latency(&from);
            self.latency_us[1] += latency(&to);
        }
    }

    fn say(&self) {
        let change = |[before, after]: [f64; 2]| {
            if before > 0.0 { (after / before - 1.0) * 100.0 } else { 0.0 }
        };
        say(format_args!("{} decisions, {} identical", self.decisions, self.identical));
        if self.other_catalog > 0 {
            say(format_args!("{} were made over another catalog", self.other_catalog));
        }
        say(format_args!(
            "first choice: {} elsewhere, {} refused; expected price {:+.2} %, expected wait {:+.2} %",
            self.moved,
            self.refused,
            change(self.price_pico),
            change(self.latency_us),
        ));
        let mut to: Vec<_> = self.to.iter().collect();
        to.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        for (endpoint, count) in to.into_iter().take(20) {
            say(format_args!("  {count} to {endpoint}"));
        }
    }
}
