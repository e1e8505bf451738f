//! `turnpike serve`: the gateway in production.

use std::path::Path;
use std::sync::Arc;

use super::{Failure, check, unix_ms};
use crate::config::settings::LogFormat;
use crate::config::{self, Config};
use crate::edge::{self, Quit, Serve};
use crate::ledger::{Condition, Ledger, Options, Recovery};
use crate::observe;

/// Serves the configuration until a signal ends the process.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let config = config::load(path).map_err(|faults| check::refuse(path, &faults))?;
    let filter = edge::log_filter(config.log.level.name());
    observe::log::init(&filter, log_format(config.log.format))?;
    let quit = Quit::catch()?;
    let (ledger, recovery) = open(&config)?;
    tell(&recovery);
    let listen = config.server.listen.clone();
    edge::serve(Serve {
        config,
        config_path: Some(path.to_owned()),
        ledger,
        quit,
        on_ready: Box::new(move || tracing::info!(?listen, "The gateway is ready.")),
        on_end: Box::new(|| tracing::info!("The gateway has ended.")),
    })?;
    Ok(())
}

/// The configured format in the words of the log.
pub(super) const fn log_format(format: LogFormat) -> observe::log::LogFormat {
    match format {
        LogFormat::Json => observe::log::LogFormat::Json,
        LogFormat::Text => observe::log::LogFormat::Text,
    }
}

/// Opens the ledger that a configuration names.
pub(super) fn open(config: &Config) -> Result<(Ledger, Recovery), Failure> {
    let mut options = Options::new(unix_ms);
    options.segment_bytes = config.ledger.segment_bytes_max;
    options.checkpoint_every = config.ledger.checkpoint;
    options.tell = Arc::new(tell_condition);
    options.index_upstream_ids = config.ledger.index_upstream_ids;
    options.keeps_content = config.content.is_some();
    Ok(Ledger::open(&config.ledger.data_dir, options)?)
}

/// Says once that writing fails, and once that it works again.
fn tell_condition(condition: &Condition) {
    match condition {
        Condition::JournalFails(why) => tracing::error!(
            why,
            "The ledger cannot write its journal (is the disk full?): paid requests get 503 until \
             it can. Nothing that was acknowledged is lost."
        ),
        Condition::IndexFails(why) => tracing::error!(
            why,
            "The ledger cannot write its index (is the disk full?): paid requests get 503 until \
             it can. Nothing that was acknowledged is lost."
        ),
        Condition::Works => tracing::info!("The ledger writes again."),
        Condition::ArchiveFails(why) => tracing::error!(
            why,
            "The ledger cannot pack old segments of its journal, which grows meanwhile. Nothing is \
             lost; `turnpike ledger verify` on a stopped ledger says more."
        ),
        Condition::UpkeepFails(why) => tracing::error!(
            why,
            "The ledger cannot merge the files of its index: looking generations up gets slower. \
             Nothing is lost."
        ),
        Condition::Upkeep => tracing::info!("The ledger merges the files of its index again."),
        Condition::Archives => tracing::info!("The ledger packs old segments again."),
    }
}

fn tell(recovery: &Recovery) {
    tracing::info!(
        replayed = recovery.replayed,
        settled = recovery.settled,
        voided = recovery.voided,
        unused = recovery.unused,
        truncated_bytes = recovery.truncated_tail_bytes,
        "The ledger is open."
    );
    if let Some(why) = &recovery.snapshot_refused {
        tracing::error!(why, "The archive's snapshot was not used; all of the journal was read.");
    }
}
