//! Both sides next to each other.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::amounts::{Day, Percent};
use super::{Measure, Names, Ours, Sums, Table, Theirs};
use crate::vocab::NanoUsd;

/// The name of the one line of a day where the export does not tell models apart.
const ALL_MODELS: &str = "(all models)";

/// What is looked at, and what is let pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The first day, if not the export's.
    pub from: Option<Day>,
    /// The last day, if not the export's.
    pub to: Option<Day>,
    /// How much of the provider's number ours may differ from it.
    pub tolerance: Percent,
    /// A cost may differ by so much in any case: exports are often rounded to cents.
    pub slack: NanoUsd,
}

/// One number, by both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The day; absent in the sum of all.
    #[serde(serialize_with = "as_text")]
    pub day: Option<Day>,
    /// Our model, or the provider's name where we have none.
    pub model: String,
    /// What is compared.
    #[serde(serialize_with = "named")]
    pub measure: Measure,
    /// By our records; costs in nano-dollars.
    pub ours: i128,
    /// By the provider's export.
    pub theirs: i128,
    /// Ours less theirs.
    pub drift: i128,
    /// The drift in millionths of theirs; absent if theirs is nothing.
    #[serde(serialize_with = "millionths", rename = "drift_ppm")]
    pub share: Option<Percent>,
    /// It is within the limits.
    pub within: bool,
}

fn as_text<S: Serializer>(day: &Option<Day>, to: S) -> Result<S::Ok, S::Error> {
    match day {
        Some(day) => to.collect_str(day),
        None => to.serialize_none(),
    }
}

fn named<S: Serializer>(measure: &Measure, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(measure.name())
}

fn millionths<S: Serializer>(share: &Option<Percent>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_some(&share.map(Percent::millionths))
}

/// The comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By day and model, in this order.
    pub lines: Vec<Line>,
    /// The sums of all days and models.
    pub total: Vec<Line>,
    /// What to know when a number is looked at.
    pub notes: Vec<String>,
}

impl Report {
    /// Compares. Without a day in the export and in the limits there is nothing to compare.
    pub fn new(ours: &Ours, theirs: &Theirs, names: &Names, limits: &Limits) -> Self {
        let mut report = Self { lines: Vec::new(), total: Vec::new(), notes: Vec::new() };
        let from = limits.from.or(theirs.days.map(|(first, _)| first));
        let to = limits.to.or(theirs.days.map(|(_, last)| last));
        let (Some(from), Some(to)) = (from, to) else {
            report.notes.push("The export covers no day.".to_owned());
            return report;
        };
        let within = |table: &Table| -> Table {
            let inside = table.iter().filter(|((day, _), _)| (from..=to).contains(day));
            inside.map(|(key, sums)| (key.clone(), *sums)).collect()
        };
        let (mut mine, mut yours) = (within(&ours.table), within(&theirs.table));
        if !yours.is_empty() && yours.keys().all(|(_, model)| model.is_empty()) {
            mine = renamed(&mine, |_| ALL_MODELS.to_owned());
            yours = renamed(&yours, |_| ALL_MODELS.to_owned());
        } else {
            let known: BTreeSet<String> = mine.keys().map(|(_, model)| model.clone()).collect();
            let mut strangers = BTreeSet::new();
            yours = renamed(&yours, |name| {
                names.ours(name, &known).unwrap_or_else(|| {
                    strangers.insert(name.to_owned());
                    if name.is_empty() { "(no model)".to_owned() } else { name.to_owned() }
                })
            });
            report.note_strangers(&strangers);
        }
        report.note_rest(&within(&ours.estimated), &within(&ours.unattributed), theirs);
        report.compare(&mine, &yours, limits);
        report
    }

    /// Whether no line and no sum is beyond the limits.
    pub fn ok(&self) -> bool {
        self.lines.iter().chain(&self.total).all(|line| line.within)
    }

    fn compare(&mut self, mine: &Table, yours: &Table, limits: &Limits) {
        // Only what the export tells at all can differ.
        let mut all = Sums::default();
        yours.values().for_each(|sums| all.merge(sums));
        let told: Vec<Measure> =
            Measure::ALL.into_iter().filter(|measure| all.get(*measure).is_some()).collect();
        let keys: BTreeSet<_> = mine.keys().chain(yours.keys()).collect();
        for key in keys {
            for measure in &told {
                let value = |table: &Table| table.get(key).and_then(|sums| sums.get(*measure));
                let (ours, theirs) = (value(mine).unwrap_or(0), value(yours).unwrap_or(0));
                let place = (Some(key.0), key.1.clone());
                self.lines.push(Line::new(place, *measure, (ours, theirs), limits));
            }
        }
        for measure in told {
            let sum = |table: &Table| table.values().filter_map(|sums| sums.get(measure)).sum();
            let place = (None, "total".to_owned());
            self.total.push(Line::new(place, measure, (sum(mine), sum(yours)), limits));
        }
    }

    fn note_strangers(&mut self, strangers: &BTreeSet<String>) {
        let names: Vec<&str> =
            strangers.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            self.notes.push(format!(
                "None of our models used in this time is known to be {}; say which with --model \
                 THEIRS=OURS, or give --config.",
                names.join(", ")
            ));
        }
    }

    fn note_rest(&mut self, estimated: &Table, unattributed: &Table, theirs: &Theirs) {
        let sum = |table: &Table, measure| -> i128 {
            table.values().filter_map(|sums| sums.get(measure)).sum()
        };
        let own = sum(estimated, Measure::Requests);
        if own > 0 {
            self.notes.push(format!("The tokens of {own} of our requests are our own counts."));
        }
        let lost = sum(unattributed, Measure::Requests);
        if lost > 0 {
            let cost =
                i64::try_from(sum(unattributed, Measure::Cost)).map_or(NanoUsd::MAX, NanoUsd);
            self.notes.push(format!(
                "{lost} generations for ${cost} were ended by recovery after a crash and name no \
                 provider: they are in no line."
            ));
        }
        if theirs.more_pages {
            self.notes.push("The export has more pages than were given.".to_owned());
        }
    }
}

fn renamed(table: &Table, mut name: impl FnMut(&str) -> String) -> Table {
    let mut out = Table::new();
    for ((day, model), sums) in table {
        out.entry((*day, name(model))).or_default().merge(sums);
    }
    out
}

impl Line {
    fn new(
        (day, model): (Option<Day>, String),
        measure: Measure,
        (ours, theirs): (i128, i128),
        limits: &Limits,
    ) -> Self {
        let drift = ours - theirs;
        let share = Percent::of(drift.unsigned_abs(), theirs.unsigned_abs());
        let slack = if measure == Measure::Cost { limits.slack.0.unsigned_abs() } else { 0 };
        let within = share.is_some_and(|share| share <= limits.tolerance)
            || drift.unsigned_abs() <= u128::from(slack);
        Self { day, model, measure, ours, theirs, drift, share, within }
    }

    fn amount(&self, amount: i128) -> String {
        match (self.measure, i64::try_from(amount)) {
            (Measure::Cost, Ok(nano)) => NanoUsd(nano).to_string(),
            _ => amount.to_string(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day.map_or_else(String::new, |day| day.to_string());
        let share = match self.share {
            Some(share) if self.drift < 0 => format!("-{share}"),
            Some(share) => share.to_string(),
            None => "-".to_owned(),
        };
        let [ours, theirs, drift] = [self.ours, self.theirs, self.drift].map(|n| self.amount(n));
        let (model, measure) = (&self.model, self.measure.name());
        let mark = if self.within { "" } else { "  DRIFT" };
        write!(f, "{day:10}  {model:36}  {measure:17}  {ours:>16}  {theirs:>16}  {drift:>16}")?;
        write!(f, "  {share:>9}{mark}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [day, model, measure, ours, theirs, drift] =
            ["day", "model", "measure", "ours", "theirs", "drift"];
        write!(f, "{day:10}  {model:36}  {measure:17}  {ours:>16}  {theirs:>16}  {drift:>16}")?;
        writeln!(f, "  {:>9}", "%")?;
        for line in self.lines.iter().chain(&self.total) {
            writeln!(f, "{line}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
