//! SIGTERM and Ctrl-C, caught from the first moment of the process on.
//!
//! Pingora listens for signals only when everything runs. A signal before that would end the
//! process on the spot, with the demo's temporary directory left behind; so a thread of ours
//! catches them from the start, and what comes early waits.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, channel};

/// The wishes to end the process.
pub struct Quit(Mutex<Receiver<()>>);

/// The first asks to end in good order, the second to end at once; more say nothing new.
const WISHES_MAX: usize = 2;

impl Quit {
    /// Begins to catch SIGTERM and Ctrl-C.
    ///
    /// # Errors
    /// The handlers or the thread cannot be set up.
    pub fn catch() -> io::Result<Self> {
        let (sender, receiver) = channel(WISHES_MAX);
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
        let wait = move || {
            for _signal in signals.forever() {
                // A full queue has all that is to be said.
                let _full = sender.try_send(());
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Self(Mutex::new(receiver)))
    }

    /// Waits for the next wish.
    pub(super) async fn next(&self) {
        if self.0.lock().await.recv().await.is_none() {
            // The thread has ended, which it never does.
            std::future::pending::<()>().await;
        }
    }
}
