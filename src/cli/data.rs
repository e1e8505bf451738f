//! The data directory that a command works on, which no gateway has open.
//!
//! One process owns a ledger at a time. While the gateway runs, the same things are done through
//! its admin API; the error of a locked directory says so.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, unix_ms};
use crate::ledger::{Ledger, Options};

/// Where the ledger is.
#[derive(Args)]
pub(super) struct Data {
    /// The ledger's directory.
    #[arg(long, default_value = "turnpike-data")]
    pub(super) data: PathBuf,
}

impl Data {
    /// Opens the ledger, does the deed, and closes it again.
    pub(super) fn with<T>(
        &self,
        deed: impl FnOnce(&Ledger) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (ledger, _recovery) = Ledger::open(&self.data, Options::new(unix_ms))?;
        let done = deed(&ledger);
        ledger.close()?;
        done
    }
}
