//! The ledger as a whole: checks and exports, while no gateway has it open.

use clap::Subcommand;

use super::data::Data;
use super::{Failure, say};
use crate::ledger;

/// The ledger as a whole.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Recompute everything from the journal; exits with 0 only if all of it holds.
    Verify {
        #[command(flatten)]
        data: Data,
    },
    /// Write the journal as JSON lines to standard output.
    Export {
        #[command(flatten)]
        data: Data,
    },
    Reconcile(Box<super::reconcile::Reconcile>),
}

impl LedgerCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify { data } => {
                let report = ledger::verify(&data.data)?;
                say(&report);
                if report.findings.is_empty() {
                    Ok(())
                } else {
                    Err(Failure("the ledger does not hold".to_owned()))
                }
            }
            Self::Export { data } => {
                let mut out = std::io::BufWriter::new(std::io::stdout().lock());
                let _entries = ledger::export(&data.data, &mut out)?;
                Ok(())
            }
            Self::Reconcile(reconcile) => reconcile.run(),
        }
    }
}
