//! Simulated providers in every dialect, with faults.
//!
//! A gateway can't be tested against real providers: they cost money, their answers differ, and
//! they do not fail when asked to. These answer on real sockets in the providers' own wire
//! formats, the same words for the same prompt, as fast or as slowly as told, and fail in every
//! way that has been seen in the field. Users benchmark with them (`turnpike simulate`), the demo
//! serves from them, and every end-to-end test runs against them.
//!
//! An answer is built as bytes with times before its first byte is sent, so that playing it costs
//! little: the simulator must never be what a benchmark measures.

mod answer;
mod ask;
mod behaviour;
mod body;
pub mod cli;
mod config;
mod conn;
mod control;
mod demo;
mod play;
mod replay;
mod route;
mod script;
mod server;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod voice;

pub use self::behaviour::{
    BYTES_MAX, BadKnob, Behaviour, DELAY_MS_MAX, ErrorBody, FAULTS_MAX, Fault, FaultRule,
    TOKENS_MAX,
};
pub use self::config::{ApiKey, BODY_MAX, Config, PROVIDERS_MAX, ProviderConfig};
pub use self::demo::{DEMO_MODEL, demo_providers};
pub use self::replay::{Chunk, End, Replay};
pub use self::state::{LastRequest, Stats};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use self::server::{Door, House};
use self::state::State;

/// Starts simulated providers.
#[derive(Clone, Copy, Debug)]
pub struct Simulator;

/// Running providers. Dropping it closes their listeners and connections; so does
/// [`Running::stop`], which waits until they are closed.
pub struct Running {
    house: Arc<House>,
    control: Option<SocketAddr>,
}

/// One running provider.
#[derive(Clone)]
pub struct Provider {
    house: Arc<House>,
    door: Arc<Door>,
    state: Arc<State>,
}

/// Why a simulator did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong: every fault, with its place.
    Config(Vec<String>),
    /// An address could not be listened on.
    Bind(SocketAddr, io::Error),
}

impl Simulator {
    /// Starts the providers on the current tokio runtime.
    ///
    /// # Errors
    /// The configuration is wrong, or an address can't be listened on.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        Self::start_on(config, &Handle::current())
    }

    /// Starts the providers on this runtime; may be called from any thread.
    ///
    /// # Errors
    /// The configuration is wrong, or an address can't be listened on.
    pub fn start_on(config: Config, runtime: &Handle) -> Result<Running, StartError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(StartError::Config(faults));
        }
        let mut shared: Vec<Vec<ProviderConfig>> = Vec::new();
        for provider in config.providers {
            let with = |group: &Vec<ProviderConfig>| group.iter().any(|p| p.shares(&provider));
            match shared.iter().position(with).and_then(|at| shared.get_mut(at)) {
                Some(group) => group.push(provider),
                None => shared.push(vec![provider]),
            }
        }
        let mut doors = Vec::with_capacity(shared.len() + 1);
        for group in shared {
            let Some(first) = group.first() else { continue };
            let (addr, listening) = (first.listen, first.listening);
            let states = group.into_iter().map(|p| Arc::new(State::new(p, config.seed)));
            doors.push(door(addr, listening, states.collect(), runtime)?);
        }
        if let Some(addr) = config.control {
            doors.push(door(addr, true, Vec::new(), runtime)?);
        }
        let control = config.control.and(doors.last()).map(|(door, _)| door.addr);
        let house =
            Arc::new(House { doors: doors.iter().map(|(door, _)| Arc::clone(door)).collect() });
        for (door, listener) in doors {
            if let Some(listener) = listener {
                door.open_with(listener, &house);
            }
        }
        Ok(Running { house, control })
    }
}

type Bound = (Arc<Door>, Option<tokio::net::TcpListener>);

fn door(
    addr: SocketAddr,
    listening: bool,
    states: Vec<Arc<State>>,
    runtime: &Handle,
) -> Result<Bound, StartError> {
    let bound = Door::new(addr, states, runtime.clone());
    let (door, listener) = bound.map_err(|e| StartError::Bind(addr, e))?;
    Ok((Arc::new(door), listening.then_some(listener)))
}

impl Running {
    /// The address of the only or first provider.
    pub fn addr(&self) -> SocketAddr {
        self.house.doors.first().map_or_else(unspecified, |door| door.addr)
    }

    /// Where `/_sim/state` is served alone, if that was asked for. (Every provider's listener
    /// serves it too.)
    pub const fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// The provider of this id.
    pub fn provider(&self, id: &str) -> Option<Provider> {
        let (door, state) = self.house.find(id)?;
        Some(self.hand(door, state))
    }

    /// Every provider, in the order of their listeners.
    pub fn providers(&self) -> Vec<Provider> {
        let doors = self.house.doors.iter();
        doors.flat_map(|door| door.states.iter().map(|state| self.hand(door, state))).collect()
    }

    fn hand(&self, door: &Arc<Door>, state: &Arc<State>) -> Provider {
        let house = Arc::clone(&self.house);
        Provider { house, door: Arc::clone(door), state: Arc::clone(state) }
    }

    /// Closes every listener and connection, and waits until they are closed.
    pub async fn stop(self) {
        for door in &self.house.doors {
            door.close().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for door in &self.house.doors {
            door.abandon();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.house.doors.iter().map(|door| door.addr)).finish()
    }
}

impl Provider {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.state.config.id
    }

    /// How it was configured.
    pub fn config(&self) -> &ProviderConfig {
        &self.state.config
    }

    /// Where it listens, or would.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr
    }

    /// What stands before the dialect's own paths: `http://127.0.0.1:9001/prefix/v1`.
    pub fn base_url(&self) -> String {
        let config = &self.state.config;
        format!("http://{}{}{}", self.door.addr, config.prefix, route::base(config.dialect))
    }

    /// How it behaves now.
    pub fn behaviour(&self) -> Behaviour {
        self.state.live().behaviour.clone()
    }

    /// Changes how it behaves, from the next request on. `first` and `after` count from here.
    ///
    /// # Errors
    /// A knob is out of range; nothing changed.
    pub fn set(&self, behaviour: Behaviour) -> Result<(), BadKnob> {
        self.state.set(behaviour)
    }

    /// What it counted.
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Zeroes what is counted over time, and forgets the last request.
    pub fn reset_counters(&self) {
        self.state.reset_counters();
    }

    /// Waits until the counters satisfy `wanted`, at most so long.
    ///
    /// # Errors
    /// They did not in time: the counters as they were then.
    pub async fn wait_until(
        &self,
        limit: Duration,
        wanted: impl Fn(&Stats) -> bool,
    ) -> Result<Stats, Stats> {
        let waited = tokio::time::timeout(limit, self.state.wait_until(wanted)).await;
        waited.map_err(|_| self.stats())
    }

    /// The last request that it read to its end.
    pub fn last_request(&self) -> Option<Arc<LastRequest>> {
        self.state.last()
    }

    /// Whether its listener is open.
    pub fn is_listening(&self) -> bool {
        self.door.is_open()
    }

    /// Refuses connections from now on, and ends those that are open. Providers that share the
    /// listener go with it.
    pub async fn close(&self) {
        self.door.close().await;
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub fn open(&self) -> io::Result<()> {
        self.door.open(&self.house)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({} at {})", self.id(), self.door.addr)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(faults) => f.write_str(&faults.join("\n")),
            Self::Bind(addr, e) => write!(f, "can't listen on {addr}: {e}"),
        }
    }
}

impl std::error::Error for StartError {}

const fn unspecified() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0)
}
