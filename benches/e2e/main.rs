//! What the gateway costs, next to what it is compared with.
//!
//! One run starts a simulated provider and puts each proxy in turn between it and a load client:
//! nothing (direct), nginx as a plain `proxy_pass`, a bare Pingora pass-through, and the gateway
//! with everything on. Each proxy gets one thread on a core of its own; the provider and the
//! client share another. Rounds are interleaved, so that whatever disturbs the machine disturbs
//! all of them. Absolute numbers belong to the machine; the ratios are what to read.
//!
//! `benches/README.md` says how to run it and how to read it.

mod args;
mod bare;
mod cases;
mod check;
mod child;
mod conn;
mod gateway;
mod load;
mod nginx;
mod pin;
mod proc;
mod provider;
mod report;
mod slow;
mod stats;
mod target;
mod trial;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::args::{Args, Command};

/// What went wrong, for the one who reads the terminal.
type Fault = String;

fn main() -> ExitCode {
    let done = match args::read(std::env::args().skip(1)) {
        Ok(Command::Measure(args)) => measure(&args),
        Ok(Command::BarePingora { listen, upstream }) => bare::serve(&listen, upstream),
        Ok(Command::Say(text)) => {
            say(text);
            Ok(true)
        }
        Err(fault) => Err(fault),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            note(format_args!("e2e: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// Measures everything, unless a signal ends it. Either way every process that was started has
/// ended when this returns: their guards are dropped with the future.
fn measure(args: &Args) -> Result<bool, Fault> {
    let cores = pin::Cores::choose()?;
    pin::more_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the load client has no runtime: {e}"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
        tokio::select! {
            done = trial::all(args, &cores) => done,
            _ = terminate.recv() => Err("ended by SIGTERM".to_owned()),
            _ = interrupt.recv() => Err("ended by Ctrl-C".to_owned()),
        }
    })
}

/// Prints to standard output. A reader that has gone away is no reason to stop measuring.
fn say(text: impl Display) {
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints to standard error: progress and faults.
fn note(text: impl Display) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}
