//! Who runs where.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use super::Fault;

/// This thread.
const SELF: Pid = Pid::from_raw(0);
/// Open files that the largest case needs on the busiest side, with room to spare.
const FILES_MIN: u64 = 4096;

/// Two cores: one for the proxy alone, one for everything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// The proxy's.
    pub(super) proxy: usize,
    /// The provider's and the load client's.
    pub(super) rest: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use, and moves this thread to the second.
    ///
    /// # Errors
    /// There is only one: then nothing that is measured would mean anything.
    pub(super) fn choose() -> Result<Self, Fault> {
        let allowed = sched_getaffinity(SELF).map_err(|e| format!("cores are unknown: {e}"))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        let (Some(proxy), Some(rest)) = (cores.next(), cores.next()) else {
            return Err("two cores are needed: one for the proxy, one for its load".to_owned());
        };
        let cores = Self { proxy, rest };
        move_to(rest)?;
        Ok(cores)
    }

    /// Runs something on the proxy's core. A process that it starts stays there.
    ///
    /// # Errors
    /// The thread could not be moved, or the deed failed.
    pub(super) fn on_proxy_core<T>(
        &self,
        deed: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        move_to(self.proxy)?;
        let done = deed();
        move_to(self.rest)?;
        done
    }
}

/// Moves this thread, and what it starts from now on, to one core.
fn move_to(core: usize) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    set.set(core)
        .and_then(|()| sched_setaffinity(SELF, &set))
        .map_err(|e| format!("core {core} can't be used: {e}"))
}

/// Lifts the limit of open files as far as allowed; what is started inherits it.
///
/// # Errors
/// It stays too low for a thousand streams.
pub(super) fn more_files() -> Result<(), Fault> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|e| e.to_string())?;
    if hard < FILES_MIN {
        return Err(format!("{hard} open files are too few: raise the limit to {FILES_MIN}"));
    }
    Ok(())
}
