//! The table, for people and for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Args;
use super::cases::{Case, Load};
use super::stats::Spread;
use super::target::Kind;
use super::{Fault, note};

/// What one trial measured.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// CPU time of the proxy per request or relayed chunk.
    pub(super) cpu_us: f64,
    /// Requests or chunks per second.
    pub(super) per_second: f64,
    /// Chunks per request.
    pub(super) chunks: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_per_stream: Option<f64>,
    pub(super) answered: u64,
    pub(super) failures: u64,
    pub(super) fault: Option<Fault>,
}

/// The trials of a case with a proxy, a round each.
struct Row {
    case: &'static Case,
    kind: Kind,
    trials: Vec<Measured>,
}

/// Everything that was measured.
pub(super) struct Report {
    rows: Vec<Row>,
    quick: bool,
    rounds: usize,
    nginx: Option<String>,
    /// What the verification of the gateway's ledger said.
    pub(super) ledger: Option<String>,
    pub(super) took: Duration,
}

const COLUMNS: [&str; 12] = [
    "proxy",
    "CPU µs",
    "min–max",
    "× bare",
    "× nginx",
    "per s",
    "p50 µs",
    "p99 µs",
    "+p50",
    "+p99",
    "RSS MiB",
    "failed",
];

impl Report {
    /// An empty one.
    pub(super) fn new(args: &Args, nginx: Option<String>) -> Self {
        Self {
            rows: Vec::new(),
            quick: args.quick,
            rounds: args.rounds,
            nginx,
            ledger: None,
            took: Duration::ZERO,
        }
    }

    /// Adds a trial.
    pub(super) fn add(&mut self, case: &'static Case, kind: Kind, measured: Measured) {
        let same = |row: &&mut Row| row.case.name == case.name && row.kind == kind;
        match self.rows.iter_mut().find(same) {
            Some(row) => row.trials.push(measured),
            None => self.rows.push(Row { case, kind, trials: vec![measured] }),
        }
    }

    /// Answers that failed, of all.
    pub(super) fn failures(&self) -> u64 {
        self.rows.iter().flat_map(|row| &row.trials).map(|trial| trial.failures).sum()
    }

    /// The tables for a terminal.
    pub(super) fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.about());
        for case in self.cases() {
            let lines = self.lines(case);
            let unit = unit(case);
            let _infallible = write!(text, "\n{}: {} (per {unit})\n", case.name, case.title);
            text.push_str(&aligned(&lines));
        }
        for fault in self.faults() {
            text.push_str(&fault);
        }
        if let Some(ledger) = &self.ledger {
            let _infallible = write!(text, "\nledger verify: {}\n", ledger.trim());
        }
        text
    }

    /// Writes `target/e2e/report.json` and `report.md`.
    ///
    /// # Errors
    /// The files can't be written.
    pub(super) fn write(&self) -> Result<(), Fault> {
        let dir = folder();
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let json = serde_json::to_string_pretty(&self.json()).map_err(|e| e.to_string())?;
        for (name, text) in [("report.json", json), ("report.md", self.markdown())] {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            note(format_args!("written: {}", path.display()));
        }
        Ok(())
    }

    fn about(&self) -> String {
        let nginx = self.nginx.as_deref().unwrap_or("nginx is not installed");
        let mode = if self.quick { ", quick (a look, not a result)" } else { "" };
        let profile =
            if cfg!(debug_assertions) { ", DEBUG BUILD: numbers mean nothing" } else { "" };
        format!(
            "{} rounds in {} s{mode}{profile}; {nginx}. CPU of the proxy's processes; medians; \
             ratios are medians of each round's ratio. Latency at a light, fixed rate \
             (sse: to the first byte; slow: how far pauses between chunks are off).",
            self.rounds,
            self.took.as_secs(),
        )
    }

    fn cases(&self) -> Vec<&'static Case> {
        let mut cases: Vec<&'static Case> = Vec::new();
        for row in &self.rows {
            if !cases.iter().any(|case| case.name == row.case.name) {
                cases.push(row.case);
            }
        }
        cases
    }

    fn row(&self, case: &Case, kind: Kind) -> Option<&Row> {
        self.rows.iter().find(|row| row.case.name == case.name && row.kind == kind)
    }

    /// The table of a case: its head, and a line for each proxy.
    fn lines(&self, case: &Case) -> Vec<Vec<String>> {
        let mut head: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
        let slow = matches!(case.load, Load::Streams { .. });
        if slow {
            head.push("KiB/stream".to_owned());
        }
        let mut lines = vec![head];
        for kind in Kind::ALL {
            let Some(row) = self.row(case, kind) else { continue };
            lines.push(self.line(row, slow));
        }
        lines
    }

    fn line(&self, row: &Row, slow: bool) -> Vec<String> {
        let direct = self.row(row.case, Kind::Direct);
        let is_direct = row.kind == Kind::Direct;
        let ratio = |kind| match self.row(row.case, kind) {
            Some(base) if !is_direct => shown(row.ratio(base).map(|s| s.median), 2),
            _ => "–".to_owned(),
        };
        let added = |of: fn(&Measured) -> f64| match direct {
            Some(direct) if !is_direct => shown(row.added(direct, of).map(|s| s.median), 0),
            _ => "–".to_owned(),
        };
        let cpu = row.spread(|m| m.cpu_us).filter(|_| !is_direct);
        let failed: u64 = row.trials.iter().map(|trial| trial.failures).sum();
        let mut line = vec![
            row.kind.name().to_owned(),
            shown(cpu.map(|s| s.median), 1),
            cpu.map_or_else(|| "–".to_owned(), |s| format!("{:.1}–{:.1}", s.min, s.max)),
            ratio(Kind::Bare),
            ratio(Kind::Nginx),
            shown(row.spread(|m| m.per_second).map(|s| s.median), 0),
            shown(row.spread(|m| m.p50_us).map(|s| s.median), 0),
            shown(row.spread(|m| m.p99_us).map(|s| s.median), 0),
            added(|m| m.p50_us),
            added(|m| m.p99_us),
            shown(row.spread(rss_mib).map(|s| s.median).filter(|_| !is_direct), 1),
            failed.to_string(),
        ];
        if slow {
            let each = row.spread(|m| m.rss_per_stream.unwrap_or(f64::NAN) / 1024.0);
            line.push(shown(each.map(|s| s.median).filter(|_| !is_direct), 1));
        }
        line
    }

    fn faults(&self) -> Vec<String> {
        let first = |row: &Row| {
            let fault = row.trials.iter().find_map(|trial| trial.fault.as_ref())?;
            Some(format!("\n{} with {} FAILED: {fault}\n", row.case.name, row.kind.name()))
        };
        self.rows.iter().filter_map(first).collect()
    }

    fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.about());
        for case in self.cases() {
            let _infallible = write!(text, "\n**{}** (per {})\n\n", case.title, unit(case));
            for (at, line) in self.lines(case).iter().enumerate() {
                let _infallible = writeln!(text, "| {} |", line.join(" | "));
                if at == 0 {
                    let _infallible = writeln!(text, "|{}", "---|".repeat(line.len()));
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let trial = |m: &Measured| {
            json!({
                "cpu_us": m.cpu_us, "per_second": m.per_second, "chunks": m.chunks,
                "p50_us": m.p50_us, "p99_us": m.p99_us, "rss_bytes": m.rss_bytes,
                "rss_bytes_per_stream": m.rss_per_stream, "answered": m.answered,
                "failures": m.failures, "fault": m.fault,
            })
        };
        let row = |row: &Row| {
            let ratio = |kind| {
                let base = self.row(row.case, kind)?;
                row.ratio(base).map(|s| json!({"median": s.median, "min": s.min, "max": s.max}))
            };
            json!({
                "case": row.case.name, "proxy": row.kind.name(), "unit": unit(row.case),
                "cpu_over_bare": ratio(Kind::Bare), "cpu_over_nginx": ratio(Kind::Nginx),
                "trials": row.trials.iter().map(trial).collect::<Vec<_>>(),
            })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"), "quick": self.quick, "rounds": self.rounds,
            "debug_build": cfg!(debug_assertions), "nginx": self.nginx,
            "seconds": self.took.as_secs(), "failures": self.failures(), "ledger": self.ledger,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn spread(&self, of: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.trials.iter().map(of))
    }

    /// CPU time over that of another proxy, round by round.
    fn ratio(&self, base: &Self) -> Option<Spread> {
        let pairs = self.trials.iter().zip(&base.trials);
        Spread::of(pairs.map(|(mine, other)| mine.cpu_us / other.cpu_us))
    }

    /// More than without a proxy, round by round.
    fn added(&self, direct: &Self, of: fn(&Measured) -> f64) -> Option<Spread> {
        let pairs = self.trials.iter().zip(&direct.trials);
        Spread::of(pairs.map(|(mine, other)| of(mine) - of(other)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
fn rss_mib(measured: &Measured) -> f64 {
    measured.rss_bytes as f64 / 1_048_576.0
}

fn unit(case: &Case) -> &'static str {
    match case.load {
        Load::Requests(_) => "request",
        Load::Streams { .. } => "relayed chunk",
    }
}

fn shown(number: Option<f64>, digits: usize) -> String {
    match number {
        Some(number) if number.is_finite() => format!("{number:.digits$}"),
        _ => "–".to_owned(),
    }
}

/// Columns of equal width, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let mut text = String::new();
    for line in lines {
        for (at, cell) in line.iter().enumerate() {
            let longest = lines.iter().filter_map(|l| l.get(at)).map(|c| c.chars().count()).max();
            let width = longest.unwrap_or(0);
            let _infallible = match at {
                0 => write!(text, "  {cell:width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// `target/e2e`, beside the profile that was built.
fn folder() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_turnpike"));
    built.ancestors().nth(2).unwrap_or(Path::new("target")).join("e2e")
}
