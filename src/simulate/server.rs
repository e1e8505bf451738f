//! Listeners: accept, serve, close and open again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::conn::{Conn, Socket};
use super::control;
use super::play::Play;
use super::service;
use super::state::State;

const BACKLOG: u32 = 4096;

/// A listener that can be closed and opened, and the providers behind it.
pub(super) struct Door {
    pub(super) addr: SocketAddr,
    pub(super) states: Vec<Arc<State>>,
    runtime: Handle,
    open: Mutex<Option<Open>>,
}

struct Open {
    close: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What every connection knows.
pub(super) struct House {
    pub(super) doors: Vec<Arc<Door>>,
}

impl Door {
    /// Binds, so that the address is known, and closes again unless it is to listen.
    pub(super) fn new(
        addr: SocketAddr,
        states: Vec<Arc<State>>,
        runtime: Handle,
    ) -> io::Result<(Self, TcpListener)> {
        let listener = bind(addr, &runtime)?;
        let addr = listener.local_addr()?;
        Ok((Self { addr, states, runtime, open: Mutex::new(None) }, listener))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Listens (again) on the address. Does nothing if it does already.
    pub(super) fn open(self: &Arc<Self>, house: &Arc<House>) -> io::Result<()> {
        let mut open = self.open.lock();
        if open.is_none() {
            let listener = bind(self.addr, &self.runtime)?;
            *open = Some(self.start(listener, house));
        }
        Ok(())
    }

    pub(super) fn open_with(self: &Arc<Self>, listener: TcpListener, house: &Arc<House>) {
        *self.open.lock() = Some(self.start(listener, house));
    }

    fn start(self: &Arc<Self>, listener: TcpListener, house: &Arc<House>) -> Open {
        let (close, closed) = oneshot::channel();
        let task =
            self.runtime.spawn(accept(listener, closed, Arc::clone(self), Arc::clone(house)));
        Open { close, task }
    }

    /// Refuses connections from now on; ends those that are open.
    pub(super) async fn close(&self) {
        let open = self.open.lock().take();
        if let Some(Open { close, task }) = open {
            drop(close);
            // The task ends by itself; that it was aborted with its runtime is as good.
            task.await.unwrap_or(());
        }
    }

    /// Tells the listener to close, without waiting.
    pub(super) fn abandon(&self) {
        drop(self.open.lock().take());
    }

    /// The provider with the longest prefix of the path.
    fn provider(&self, path: &str) -> Option<&Arc<State>> {
        let behind = |state: &&Arc<State>| {
            path.strip_prefix(state.config.prefix.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        self.states.iter().filter(behind).max_by_key(|state| state.config.prefix.len())
    }
}

fn bind(addr: SocketAddr, runtime: &Handle) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves until told to close, then ends every connection.
async fn accept(
    listener: TcpListener,
    mut closed: oneshot::Receiver<()>,
    door: Arc<Door>,
    house: Arc<House>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut closed => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&door), Arc::clone(&house)));
                }
                // Out of file descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, door: Arc<Door>, house: Arc<House>) {
    // A socket that is gone already fails at its first read, too.
    stream.set_nodelay(true).unwrap_or(());
    let _counted = Counted::of(&door);
    let conn = Arc::new(Conn::default());
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&conn)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().pipeline_flush(true).max_headers(256);
    builder.http2().max_concurrent_streams(4096);
    let service = service_fn(move |request| {
        route(Arc::clone(&door), Arc::clone(&house), Arc::clone(&conn), request)
    });
    // What can fail is the client leaving or a fault doing its work: the requests' guards count it.
    builder.serve_connection(socket, service).await.unwrap_or(());
}

type Answer = Response<Either<Play, Full<Bytes>>>;

async fn route(
    door: Arc<Door>,
    house: Arc<House>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> io::Result<Answer> {
    let path = request.uri().path();
    if path == control::PATH {
        return Ok(control::answer(&house, &door, request).await.map(Either::Right));
    }
    let Some(state) = door.provider(path).map(Arc::clone) else {
        let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(NOBODY))));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    Ok(service::answer(state, conn, request).await?.map(Either::Left))
}

const NOBODY: &[u8] = b"no simulated provider has this path\n";

/// Counts a connection while it is open.
struct Counted(Arc<Door>);

impl Counted {
    fn of(door: &Arc<Door>) -> Self {
        for state in &door.states {
            state.counters.connections.fetch_add(1, Relaxed);
            state.counters.connections_open.fetch_add(1, Relaxed);
            state.notify();
        }
        Self(Arc::clone(door))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for state in &self.0.states {
            state.counters.connections_open.fetch_sub(1, Relaxed);
            state.notify();
        }
    }
}
