//! Prompts and answers of accounts that have asked for them to be kept; of all others nothing is.
//!
//! # What is kept, and how
//! The client's request and the bytes of its answer, as they were, in one file per generation, below
//! a folder for the last day on which it is kept and one for the account. A file is encrypted
//! ([`seal`]) under a key of its own, made from the operator's key (which is in no file of ours), a
//! random salt and the generation's id; the account's id is authenticated with it, so that no
//! account is handed another one's file.
//!
//! # What deleting means
//! The file is overwritten with zeros, synced and unlinked. A day that is over is removed with all
//! its files by the [`Keeper`]. Copies that a file system, a snapshot or a backup makes of blocks are
//! out of our reach: they are worth nothing without the operator's key.
//!
//! # What it costs others
//! Nothing waits for it: what is to be kept goes into a queue bounded in bytes, to a thread of its
//! own; what does not fit is dropped and counted.

mod folder;
mod keeper;
mod kept;
pub mod seal;
mod shown;

pub use folder::Folder;
pub use keeper::{Job, Keeper, Limits, Stats};
pub use kept::Kept;
pub use seal::MasterKey;
pub use shown::show;

use crate::vocab::{AccountId, GenerationId};

/// Whose content: what its file is named by and authenticated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who pays.
    pub account: AccountId,
    /// The generation.
    pub generation: GenerationId,
}

#[cfg(test)]
mod tests;
