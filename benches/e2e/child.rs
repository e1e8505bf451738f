//! Processes that were started here, and end with their guard.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Fault;

/// How long a process may take to listen.
const START_MAX: Duration = Duration::from_secs(20);
/// How long it may take to end when asked.
const END_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// A process. Dropping it ends it: asked first, so that it can end its own children, killed if it
/// does not listen.
pub(super) struct Started {
    name: &'static str,
    child: Child,
}

impl Started {
    /// Starts a command; what it says goes to a file of its name.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn new(
        name: &'static str,
        command: &mut Command,
        dir: &Path,
    ) -> Result<Self, Fault> {
        let path = dir.join(format!("{name}.log"));
        let log = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let again = log.try_clone().map_err(|e| e.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(again)
            .spawn()
            .map_err(|e| format!("{name} can't be started: {e}"))?;
        Ok(Self { name, child })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// It ended, or does not listen in time.
    pub(super) async fn listens(&mut self, at: SocketAddr) -> Result<(), Fault> {
        let limit = Instant::now() + START_MAX;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended at its start ({status})", self.name));
            }
            if TcpStream::connect(at).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > limit {
                return Err(format!("{} does not listen at {at}", self.name));
            }
            sleep(POLL).await;
        }
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// It does not end in time.
    pub(super) async fn end(mut self) -> Result<ExitStatus, Fault> {
        self.ask_to_end();
        let limit = Instant::now() + END_MAX;
        while Instant::now() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            sleep(POLL).await;
        }
        Err(format!("{} does not end when asked", self.name))
    }

    fn ask_to_end(&self) {
        // The child has not been waited for, so the number is still its own.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ended_already = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.ask_to_end();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(POLL);
        }
        let _ended_meanwhile = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a command to its end, and gives what it printed.
///
/// # Errors
/// It can't be started, or fails: with what it said.
pub(super) fn output(command: &mut Command) -> Result<String, Fault> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{name} failed ({}): {}", done.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A loopback address that was free a moment ago.
///
/// # Errors
/// There is none.
pub(super) fn free_address() -> Result<SocketAddr, Fault> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|e| format!("no free port: {e}"))
}
