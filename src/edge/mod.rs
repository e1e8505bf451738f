//! The only folder that names Pingora: sockets, HTTP on the wire, clocks and tasks.
//!
//! What Pingora 0.9.1 gives us: the life of a connection, pooled upstream connections over
//! HTTP/1 and HTTP/2, the retry loop, cache phases and TLS. What it does not give, and the way
//! round, stands at the top of the file concerned: a body that is read before a provider is
//! chosen (`body`, `replay`), an answer's header that is held back until the answer has
//! proved good (`answer`), a limit on the time to the first token (`watchdog`), two upstreams for
//! one request (`hedge`), and leaving as soon as the last stream has ended (`server`).

mod account;
mod account_api;
mod answer;
mod arrive;
mod background;
mod body;
mod cachestore;
mod calls;
mod choose;
pub(crate) mod clock;
mod content;
mod continuation;
mod credit;
mod decisions;
mod drain;
mod failure;
mod fetch;
mod gateway;
mod generation;
mod guard;
mod hedge;
mod intake;
mod journey;
mod local;
mod manage;
mod metadata;
mod models;
mod own;
mod peer;
mod plugins;
mod probes;
mod proxy;
mod quit;
mod random;
mod reach;
mod record;
mod replay;
mod reply;
mod server;
mod task;
mod tls;
mod upstream;
mod watchdog;
mod webhooks;
mod write;

pub use quit::Quit;
pub use server::{RunError, Serve, log_filter, serve};
