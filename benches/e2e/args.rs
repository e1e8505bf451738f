//! What was asked for on the command line.

use std::net::SocketAddr;

use super::Fault;
use super::cases::{self, Case};
use super::target::Kind;

/// What to do.
pub(super) enum Command {
    /// Measure.
    Measure(Args),
    /// Be the bare Pingora pass-through (the benchmark starts itself with this).
    BarePingora {
        /// Where to listen.
        listen: String,
        /// Where everything goes.
        upstream: SocketAddr,
    },
    /// Say something and end.
    Say(String),
}

/// What to measure, and for how long.
pub(super) struct Args {
    /// Short phases and short streams: a look, not a result.
    pub(super) quick: bool,
    /// How often each case is measured with each proxy.
    pub(super) rounds: usize,
    /// What is measured.
    pub(super) cases: Vec<&'static Case>,
    /// With what in between.
    pub(super) targets: Vec<Kind>,
    /// Leave the files of the proxies where they are.
    pub(super) keep: bool,
}

/// Reads the arguments.
///
/// # Errors
/// An argument is unknown or its value is not allowed.
pub(super) fn read(args: impl Iterator<Item = String>) -> Result<Command, Fault> {
    let mut args = args.peekable();
    let mut wanted = Args {
        quick: false,
        rounds: 0,
        cases: cases::ALL.iter().collect(),
        targets: Kind::ALL.to_vec(),
        keep: false,
    };
    let mut from_cargo_bench = false;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--bench" => from_cargo_bench = true,
            "--quick" => wanted.quick = true,
            "--keep" => wanted.keep = true,
            "--rounds" => wanted.rounds = rounds(&value()?)?,
            "--only" => wanted.cases = several(&value()?, cases::find)?,
            "--targets" => wanted.targets = several(&value()?, Kind::find)?,
            "--list" => return Ok(Command::Say(cases::list())),
            "-h" | "--help" => return Ok(Command::Say(HELP.to_owned())),
            "--as-bare-pingora" => {
                let listen = value()?;
                let upstream = args.next().unwrap_or_default();
                let upstream = upstream.parse().map_err(|e| format!("upstream {upstream}: {e}"))?;
                return Ok(Command::BarePingora { listen, upstream });
            }
            other => return Err(format!("{other} is not an argument; see --help")),
        }
    }
    if !from_cargo_bench {
        // `cargo test --benches` starts benchmarks, too, and wants to see only that they start.
        return Ok(Command::Say("measured by: cargo bench --bench e2e".to_owned()));
    }
    if wanted.rounds == 0 {
        wanted.rounds = if wanted.quick { 2 } else { 5 };
    }
    Ok(Command::Measure(wanted))
}

fn rounds(text: &str) -> Result<usize, Fault> {
    match text.parse() {
        Ok(n @ 1..=100) => Ok(n),
        _ => Err("--rounds: 1 to 100".to_owned()),
    }
}

fn several<T>(list: &str, find: impl Fn(&str) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    list.split(',').map(str::trim).map(find).collect()
}

const HELP: &str = "\
cargo bench --bench e2e -- [options]

  --quick               short phases, 2 rounds: under 3 minutes
  --rounds N            rounds, 1 to 100 (default 5)
  --only case,…         some cases only (--list shows them)
  --targets name,…      some of direct, nginx, bare, gateway only
  --keep                keep configurations, logs and ledgers
  --list                the cases";
