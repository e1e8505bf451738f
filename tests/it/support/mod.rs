//! What every end-to-end test uses: simulated providers, a gateway process, a blocking client.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod stream;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Config, ProviderConfig, Running, Simulator};

pub(crate) use client::{Answer, Client};
pub(crate) use gateway::{Gateway, Setup};

/// The runtime that simulated providers run on, shared by all tests of the process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Starts simulated providers with these ids and dialects, quick ones.
pub(crate) fn providers(wanted: &[(&str, Dialect)]) -> Running {
    let quick = Behaviour { ttft_ms: 1, token_ms: 0.0, ..Behaviour::default() };
    let configs = wanted
        .iter()
        .map(|(id, dialect)| ProviderConfig::new(*id, *dialect).behaving(quick.clone()));
    Simulator::start_on(Config::of(configs), runtime().handle()).expect("simulated providers")
}

/// A request for a chat completion.
pub(crate) fn ask(model: &str, text: &str, stream: bool, max_tokens: u32) -> String {
    serde_json::json!({
        "model": model,
        "stream": stream,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": text}],
    })
    .to_string()
}

/// Polls until `wanted` gives something.
pub(crate) fn eventually<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
