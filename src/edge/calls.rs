//! What plugins ask of the outside, made for them.
//!
//! A plugin has no sockets: it hands over a [`Call`], and this sends it, to the plugin's own origins
//! alone, within its time, its size and its share of what may be under way. Answers that may be
//! kept are kept in memory, bounded in number and bytes.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use turnpike_plugin_api::{Call, CallFault, Method, Reply};

use crate::balance::Nanos;
use crate::edge::clock;
use crate::observe::{CallResult, Metrics};
use crate::plugins::{Configured, table};

/// Limit on the time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that any call may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The largest answer that is read for any call, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// The most answers that are kept, and their bytes; a larger answer than a sixteenth is not.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
const KEPT_BYTES_MAX: usize = 32 << 20;
/// The longest that an answer is kept.
const KEEP_MAX: Duration = Duration::from_secs(86_400);

/// Makes plugins' calls.
pub(crate) struct Calls {
    client: Client,
    under_way: HashMap<&'static str, AtomicUsize>,
    kept: Mutex<Kept>,
}

/// Answers by plugin and name.
struct Kept {
    by_name: LruCache<(&'static str, String), (Nanos, Reply)>,
    bytes: usize,
}

/// Counts a call until it is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Calls {
    /// Nothing is under way, and nothing kept.
    ///
    /// # Errors
    /// The system's TLS roots cannot be used.
    pub(crate) fn new() -> pingora::Result<Self> {
        // Another part of the process may have chosen before; that choice is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("turnpike/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                let what = "the client of plugins";
                pingora::Error::because(pingora::ErrorType::InternalError, what, error)
            })?;
        let under_way = table::ALL.iter().map(|plugin| (plugin.id, AtomicUsize::new(0)));
        let kept = Mutex::new(Kept { by_name: LruCache::new(KEPT_MAX), bytes: 0 });
        Ok(Self { client, under_way: under_way.collect(), kept })
    }

    /// Makes a plugin's call, or gives what was kept of an earlier one.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn make(
        &self,
        plugin: &Configured,
        call: Call,
        metrics: &Metrics,
    ) -> Result<Reply, CallFault> {
        let id = plugin.definition.id;
        let name = call.keep.as_ref().map(|(name, time)| ((id, name.clone()), *time));
        if let Some((key, _)) = &name
            && let Some(reply) = self.kept.lock().find(key, clock::now())
        {
            metrics.plugin_call(id, CallResult::Kept);
            return Ok(reply);
        }
        let made = self.send(plugin, call).await;
        metrics.plugin_call(id, result(&made));
        if let (Some((key, time)), Ok(reply)) = (name, &made)
            && reply.is_ok()
        {
            let until = clock::now().after(time.min(KEEP_MAX));
            self.kept.lock().keep(key, until, reply);
        }
        made
    }

    async fn send(&self, plugin: &Configured, call: Call) -> Result<Reply, CallFault> {
        let url = Url::parse(&call.url).map_err(|_| CallFault::Forbidden)?;
        let own = url.origin().ascii_serialization();
        let same = |origin: &String| {
            Url::parse(origin).is_ok_and(|origin| origin.origin().ascii_serialization() == own)
        };
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || !plugin.origins.iter().any(same) {
            return Err(CallFault::Forbidden);
        }
        let _under_way = self.enter(plugin)?;
        let timeout = call.timeout.min(TIMEOUT_MAX);
        match tokio::time::timeout(timeout, self.exchange(url, call)).await {
            Ok(reply) => reply,
            Err(_elapsed) => Err(CallFault::Timeout),
        }
    }

    fn enter(&self, plugin: &Configured) -> Result<UnderWay<'_>, CallFault> {
        let count = self.under_way.get(plugin.definition.id).ok_or(CallFault::Forbidden)?;
        let before = count.fetch_add(1, Ordering::Relaxed);
        let entered = UnderWay(count);
        if before < plugin.calls_max { Ok(entered) } else { Err(CallFault::Busy) }
    }

    async fn exchange(&self, url: Url, call: Call) -> Result<Reply, CallFault> {
        let bytes_max = call.bytes_max.min(BYTES_MAX);
        let mut request = match call.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url).body(call.body),
        };
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let mut answer = request.send().await.map_err(|_| CallFault::Unreachable)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| CallFault::Unreachable)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(CallFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body, kept: false })
    }
}

impl Kept {
    fn find(&mut self, key: &(&'static str, String), now: Nanos) -> Option<Reply> {
        let (until, reply) = self.by_name.get(key)?;
        if now < *until {
            return Some(Reply { kept: true, ..reply.clone() });
        }
        let (_, old) = self.by_name.pop(key)?;
        self.bytes -= old.body.len();
        None
    }

    fn keep(&mut self, key: (&'static str, String), until: Nanos, reply: &Reply) {
        let size = reply.body.len();
        if size > KEPT_BYTES_MAX / 16 {
            return;
        }
        self.bytes += size;
        let (_, old) = self.by_name.push(key, (until, reply.clone())).unzip();
        self.bytes -= old.map_or(0, |(_, reply)| reply.body.len());
        while self.bytes > KEPT_BYTES_MAX {
            let Some((_, (_, oldest))) = self.by_name.pop_lru() else { return };
            self.bytes -= oldest.body.len();
        }
    }
}

const fn result(made: &Result<Reply, CallFault>) -> CallResult {
    match made {
        Ok(reply) if reply.is_ok() => CallResult::Ok,
        Ok(_) => CallResult::Status,
        Err(CallFault::Unreachable) => CallResult::Unreachable,
        Err(CallFault::Timeout) => CallResult::Timeout,
        Err(CallFault::TooLarge) => CallResult::TooLarge,
        Err(CallFault::Busy) => CallResult::Busy,
        Err(CallFault::Forbidden) => CallResult::Forbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_goes_in_time() {
        let mut kept = Kept { by_name: LruCache::new(KEPT_MAX), bytes: 0 };
        let reply = |size: usize| Reply { status: 200, body: vec![b'x'; size], kept: false };
        let key = |i: usize| ("web", i.to_string());
        kept.keep(key(0), Nanos(100), &reply(10));
        assert!(kept.find(&key(0), Nanos(99)).is_some_and(|reply| reply.kept));
        assert!(kept.find(&("other", "0".to_owned()), Nanos(99)).is_none(), "each has its own");
        assert!(kept.find(&key(0), Nanos(100)).is_none());
        assert_eq!((kept.bytes, kept.by_name.len()), (0, 0));
        kept.keep(key(1), Nanos(100), &reply(KEPT_BYTES_MAX / 16 + 1));
        assert_eq!(kept.bytes, 0, "too large");
        for i in 0..100 {
            kept.keep(key(i), Nanos(100), &reply(KEPT_BYTES_MAX / 20));
            kept.keep(key(i), Nanos(100), &reply(KEPT_BYTES_MAX / 20));
        }
        assert!(kept.bytes <= KEPT_BYTES_MAX);
        let sum: usize = kept.by_name.iter().map(|(_, (_, reply))| reply.body.len()).sum();
        assert_eq!(kept.bytes, sum);
        for i in 0..KEPT_MAX.get() + 10 {
            kept.keep(key(i), Nanos(100), &reply(1));
        }
        assert_eq!((kept.by_name.len(), kept.bytes), (KEPT_MAX.get(), KEPT_MAX.get()));
    }
}
