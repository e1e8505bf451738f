//! `turnpike serve`: the gateway in production.

use std::path::Path;

use super::{Failure, check, unix_ms};
use crate::config::{self, Config};
use crate::edge::{self, Serve};
use crate::ledger::{Ledger, Recovery};
use crate::observe;

/// Serves the configuration until a signal ends the process.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let config = config::load(path).map_err(|faults| Failure(check::list(path, &faults)))?;
    observe::log::init(config.log.level, config.log.format)?;
    let (ledger, recovery) = open(&config)?;
    tell(&recovery);
    let listen = config.server.listen.clone();
    edge::serve(Serve {
        config,
        config_path: Some(path.to_owned()),
        ledger,
        on_ready: Box::new(move || tracing::info!(?listen, "The gateway is ready.")),
        on_end: Box::new(|| tracing::info!("The gateway has ended.")),
    })?;
    Ok(())
}

/// Opens the ledger that a configuration names.
pub(super) fn open(config: &Config) -> Result<(Ledger, Recovery), Failure> {
    let options = config.ledger.options(unix_ms);
    Ok(Ledger::open(&config.ledger.data_dir, options)?)
}

fn tell(recovery: &Recovery) {
    tracing::info!(
        replayed = recovery.replayed,
        settled = recovery.settled,
        voided = recovery.voided,
        truncated_bytes = recovery.truncated_tail_bytes,
        "The ledger is open."
    );
}
