//! The ledger as a whole: checks, exports, imports and compaction, while no gateway has it open.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};

use super::data::Data;
use super::{Failure, complain, say};
use crate::ledger::{self, ExportFormat, ExportRange, VerifyFrom};

/// The ledger as a whole.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Recompute everything from the journal; exits with 0 only if all of it holds.
    Verify {
        /// Begin with the archive's snapshot, which is then trusted: for a ledger whose archive was
        /// moved away.
        #[arg(long)]
        from_snapshot: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Write every entry as a line, from which an empty ledger can be filled.
    Export(Export),
    /// Fill an empty ledger from an export, in either format, after checking its chain of hashes.
    Import {
        /// The export; standard input if absent or `-`.
        file: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Compress full segments of the journal into the archive now.
    Compact {
        /// How many full segments stay as they are.
        #[arg(long, default_value_t = 0)]
        keep: usize,
        #[command(flatten)]
        data: Data,
    },
    Reconcile(Box<super::reconcile::Reconcile>),
}

/// What to export, and how.
#[derive(Args)]
pub(super) struct Export {
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Only entries from this time on (UTC): 2026-11-26, 2026-11-26T08:00:00Z, or milliseconds
    /// since 1970. A part of a ledger cannot be imported.
    #[arg(long, value_parser = time_ms)]
    from: Option<u64>,
    /// Only entries before this time.
    #[arg(long, value_parser = time_ms)]
    to: Option<u64>,
    /// The file to write; standard output if absent.
    #[arg(long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values, for spreadsheets.
    Csv,
}

impl LedgerCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify { from_snapshot, data } => {
                let from = if from_snapshot { VerifyFrom::Snapshot } else { VerifyFrom::Genesis };
                let report = ledger::verify_from(&data.data, from)?;
                say(&report);
                if report.findings.is_empty() {
                    Ok(())
                } else {
                    Err(Failure("the ledger does not hold".to_owned()))
                }
            }
            Self::Export(export) => export.run(),
            Self::Import { file, data } => {
                let named = file.filter(|path| path.as_os_str() != "-");
                let imported = match named {
                    None => ledger::import(&data.data, &mut io::stdin().lock())?,
                    Some(path) => {
                        let file = File::open(&path)
                            .map_err(|error| Failure(format!("{}: {error}", path.display())))?;
                        ledger::import(&data.data, &mut BufReader::new(file))?
                    }
                };
                say(format_args!("entries: {}", imported.entries));
                say(format_args!("head: {}", imported.head));
                if imported.secret_missing {
                    complain(format_args!(
                        "the ledger has keys: copy the file `secret` of the ledger that was \
                         exported into {}, or it does not open",
                        data.data.display()
                    ));
                }
                Ok(())
            }
            Self::Compact { keep, data } => {
                let done = ledger::compact(&data.data, keep)?;
                say(format_args!("segments: {}", done.segments));
                say(format_args!("entries: {}", done.entries));
                say(format_args!("bytes: {} before, {} now", done.bytes_before, done.bytes_after));
                Ok(())
            }
            Self::Reconcile(reconcile) => reconcile.run(),
        }
    }
}

impl Export {
    fn run(self) -> Result<(), Failure> {
        let format = match self.format {
            Format::Jsonl => ExportFormat::Jsonl,
            Format::Csv => ExportFormat::Csv,
        };
        let range = ExportRange {
            from_ms: self.from.unwrap_or(ExportRange::ALL.from_ms),
            to_ms: self.to.unwrap_or(ExportRange::ALL.to_ms),
        };
        let mut out: Box<dyn Write> = match &self.output {
            None => Box::new(BufWriter::new(io::stdout().lock())),
            Some(path) => {
                let file = File::create(path)
                    .map_err(|error| Failure(format!("{}: {error}", path.display())))?;
                Box::new(BufWriter::new(file))
            }
        };
        let _entries = ledger::export_as(&self.data.data, format, range, &mut out)?;
        Ok(())
    }
}

/// A time as people write it.
fn time_ms(text: &str) -> Result<u64, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| "too large".to_owned());
    }
    let whole = if text.len() == "2026-11-26".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let time = humantime::parse_rfc3339_weak(&whole).map_err(|error| error.to_string())?;
    let since =
        time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| "before 1970".to_owned())?;
    u64::try_from(since.as_millis()).map_err(|_| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::time_ms;

    #[test]
    fn times_are_days_moments_or_milliseconds() {
        assert_eq!(time_ms("1970-01-02"), Ok(86_400_000));
        assert_eq!(time_ms("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(time_ms("1970-01-01T00:00:01"), Ok(1_000));
        assert_eq!(time_ms("1500"), Ok(1_500));
        for wrong in ["", "yesterday", "1970-13-01", "1969-01-01"] {
            assert!(time_ms(wrong).is_err(), "{wrong}");
        }
    }
}
