//! The commands.

mod accounts;
mod catalog;
mod check;
mod data;
mod demo;
mod generations;
mod keys;
mod ledger;
mod people;
mod reconcile;
mod route;
mod serve;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::simulate;

/// One OpenAI-compatible endpoint in front of every model provider.
#[derive(Parser)]
#[command(name = "turnpike", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::DemoArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway on simulated providers (the default).
    Demo(demo::DemoArgs),
    /// Run the gateway.
    Serve(ConfigArgs),
    /// Check a configuration; every fault is listed with its path.
    Check(ConfigArgs),
    /// Check, compare, show or import catalogs.
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Run simulated providers.
    Simulate(simulate::cli::Args),
    /// Create, change, list and top up accounts.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Create, change, list, disable and delete keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make, change and list organisations.
    #[command(subcommand)]
    Organisations(people::Organisations),
    /// Make, change, remove and list members of accounts.
    #[command(subcommand)]
    Members(people::Members),
    /// List and show records of generations.
    #[command(subcommand)]
    Generations(generations::Generations),
    /// Verify, export, import or compact the ledger.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Explain recorded routing decisions, or make them again.
    #[command(subcommand)]
    Route(route::Route),
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigArgs {
    /// The configuration file.
    #[arg(short, long, default_value = "conf/turnpike.toml")]
    config: PathBuf,
}

/// A command's failure: what to print before exiting with status 1.
struct Failure(String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => demo::run(&cli.demo),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Serve(args)) => serve::run(&args.config),
        Some(Command::Check(args)) => check::run(&args.config),
        Some(Command::Catalog(command)) => command.run(),
        Some(Command::Simulate(args)) => simulate::cli::run(&args).map_err(Failure::from),
        Some(Command::Accounts(command)) => command.run(),
        Some(Command::Keys(command)) => command.run(),
        Some(Command::Organisations(command)) => command.run(),
        Some(Command::Members(command)) => command.run(),
        Some(Command::Generations(command)) => command.run(),
        Some(Command::Ledger(command)) => command.run(),
        Some(Command::Route(command)) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// Reads terms as the management API has them.
fn read_terms<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| Failure(format!("--terms: {error}")))
}

/// A field of terms that is not possible.
fn wrong((field, why): (&'static str, String)) -> Failure {
    Failure(format!("`{field}` {why}"))
}

/// Prints a line to standard output. A reader that has gone away ends the command quietly.
fn say(line: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a line to standard error.
fn complain(line: impl fmt::Display) {
    // If standard error is closed there is nobody to tell.
    let _unheard = writeln!(std::io::stderr().lock(), "{line}");
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    crate::edge::clock::unix_ms()
}
