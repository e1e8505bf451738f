//! The simulated provider that everything runs against: one process, one thread, four places.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Fault;
use super::child::{self, Started};

/// A provider within the simulator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its id, and its prefix without the slash.
    pub(super) id: &'static str,
    /// `openai` or `anthropic`.
    pub(super) dialect: &'static str,
    /// The model, as the gateway's clients name it.
    pub(super) model: &'static str,
}

/// Whole answers of about 1 KB, at once.
pub(super) const JSON: Place = Place { id: "json", dialect: "openai", model: "bench/json" };
/// Streams of 100 tokens, at once.
pub(super) const QUICK_STREAM: Place = Place { id: "sse", dialect: "openai", model: "bench/sse" };
/// Streams of a token every tenth of a second.
pub(super) const SLOW_STREAM: Place = Place { id: "slow", dialect: "openai", model: "bench/slow" };
/// The same from Anthropic.
pub(super) const ANTHROPIC_STREAM: Place =
    Place { id: "claude", dialect: "anthropic", model: "bench/claude" };

/// All of them.
pub(super) const PLACES: [Place; 4] = [JSON, QUICK_STREAM, SLOW_STREAM, ANTHROPIC_STREAM];

/// Tokens of a quick stream.
pub(super) const QUICK_TOKENS: u32 = 100;
/// Between two tokens of a slow stream, in milliseconds.
pub(super) const TOKEN_MS: u32 = 100;

impl Place {
    /// Where its own requests go.
    pub(super) fn path(&self) -> String {
        let end = if self.dialect == "anthropic" { "messages" } else { "chat/completions" };
        format!("/{}/v1/{end}", self.id)
    }

    /// What stands before that in a gateway's configuration.
    pub(super) fn base_url(&self, at: SocketAddr) -> String {
        format!("http://{at}/{}/v1", self.id)
    }
}

/// The running simulator.
pub(super) struct Provider {
    pub(super) at: SocketAddr,
    _process: Started,
}

impl Provider {
    /// Starts it, on the core of this thread.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn start(
        turnpike: &Path,
        dir: &Path,
        slow_tokens: u32,
    ) -> Result<Self, Fault> {
        let at = child::free_address()?;
        let path = dir.join("simulator.toml");
        std::fs::write(&path, config(at, slow_tokens)).map_err(|e| e.to_string())?;
        let mut command = Command::new(turnpike);
        command.args(["simulate", "--threads", "1", "--config"]).arg(&path);
        let mut process = Started::new("simulator", &mut command, dir)?;
        process.listens(at).await?;
        Ok(Self { at, _process: process })
    }
}

fn config(at: SocketAddr, slow_tokens: u32) -> String {
    let mut text = String::new();
    for place in PLACES {
        let behaviour = match place.id {
            "json" => "bytes = 500".to_owned(),
            "sse" => format!("tokens = {QUICK_TOKENS}"),
            _ => format!("tokens = {slow_tokens}\ntoken_ms = {TOKEN_MS}.0"),
        };
        // Writing into a String can't fail.
        let _infallible = write!(
            text,
            "[[provider]]\nid = \"{id}\"\nlisten = \"{at}\"\nprefix = \"/{id}\"\n\
             dialect = \"{dialect}\"\nrecord_body_max = 0\n\
             [provider.behaviour]\ncanned = true\n{behaviour}\n",
            id = place.id,
            dialect = place.dialect,
        );
    }
    text
}
