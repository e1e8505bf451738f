//! Whole answers in `pingora-cache`: our bounded store behind Pingora's `Storage`.
//!
//! Entries become visible when they are complete; a fill that is under way is never handed out
//! (`support_streaming_partial_write` is false). So a request that waits for another's answer gets
//! it whole or, if that fails, asks itself. Pingora's cache lock makes identical requests wait for
//! the first.
//!
//! Pingora would begin a fill with the provider's header, and cannot begin a second one in the
//! same request. A fill therefore begins with the first bytes that are released to the client
//! ([`begin`]): until then another provider may answer instead, and its answer is kept.

use std::any::Any;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::cache::lock::{CacheKeyLockImpl, CacheLock};
use pingora::cache::storage::{
    HandleHit, HandleMiss, MissFinishType, PurgeOutcome, PurgeTarget, PurgeType, Storage,
};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, CachePhase, ForcedFreshness, HitHandler,
    MissHandler, NoCacheReason,
};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use crate::cache::{Entry, Fill, Intent, Key, Limits, Stats, Store};
use crate::edge::clock;
use crate::edge::drain;
use crate::edge::journey::{Chat, Facts};
use crate::vocab::GenerationId;

/// Longer than the slowest answer: a waiter that gives up asks the provider itself.
const WAIT_MAX: Duration = Duration::from_secs(330);

/// The cache of the whole process. Pingora wants it to live for ever.
pub(crate) struct ResponseCache {
    store: Store,
    lock: Box<CacheKeyLockImpl>,
}

impl ResponseCache {
    /// A cache that lives as long as the process.
    pub(crate) fn leak(limits: Limits) -> &'static Self {
        Box::leak(Box::new(Self {
            store: Store::new(limits),
            lock: CacheLock::new_boxed(WAIT_MAX),
        }))
    }

    /// Counters for the metrics.
    pub(crate) fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Drops what has expired.
    pub(crate) fn sweep(&self) {
        self.store.sweep(clock::unix_ms());
    }
}

/// Switches the cache on for a request that asked for it.
pub(crate) fn enable(cache: Option<&'static ResponseCache>, session: &mut Session, chat: &Chat) {
    let intent = (cache, chat.cache.intent, &chat.cache.key);
    let (Some(cache), Intent::Use { clear, .. }, Some(key)) = intent else {
        drain::allow(session, chat);
        return;
    };
    if clear {
        cache.store.remove(key);
    }
    let mut overrides = CacheOptionOverrides::default();
    overrides.wait_timeout = Some(WAIT_MAX);
    session.cache.enable(cache, None, None, Some(&*cache.lock), Some(overrides));
}

/// The request's key: a hash over its meaning and over who asks.
pub(crate) fn key(chat: Option<&mut Chat>) -> Result<CacheKey> {
    let Some(chat) = chat else {
        return Error::e_explain(ErrorType::InternalError, "a cached request without a key");
    };
    let Some(hash) = chat.cache.key else { return Ok(drain::key()) };
    // Pingora's own hash has 128 bits; ours goes in whole, as the key's text.
    Ok(CacheKey::new(hash.to_vec(), ""))
}

/// An answer was found: it is used, though it may expire this very moment. The store hands out
/// nothing that has expired, and a second look at the clock must not disagree with the first.
pub(crate) fn on_hit(chat: &mut Chat, handler: &HitHandler) -> ForcedFreshness {
    chat.cache.hit = true;
    let hit = handler.as_any().downcast_ref::<Hit>();
    chat.cache.source = hit.map(|hit| hit.entry.source());
    ForcedFreshness::ForceFresh
}

/// The first bytes of an answer are on their way: from here on it is gathered for as long as the
/// caller wants it. Whether it is good is known when it has ended.
pub(crate) fn begin(session: &mut Session, chat: &mut Chat, facts: &Facts, header: ResponseHeader) {
    let Intent::Use { ttl_secs, .. } = chat.cache.intent else {
        drain::begin(session, header);
        return;
    };
    if chat.cache.filling || !session.cache.enabled() || session.cache.phase() != CachePhase::Miss {
        return;
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::unix_ms());
    let ttl = Duration::from_secs(u64::from(ttl_secs));
    let mut meta = CacheMeta::new(now + ttl, now, 0, 0, header);
    meta.extensions_mut().insert(Ticket {
        good: Arc::clone(&chat.cache.good),
        source: facts.id,
        ttl_secs,
    });
    chat.cache.filling = fill(session, meta);
}

/// Begins a fill; says whether it has begun, and switches the cache off if not.
pub(crate) fn fill(session: &mut Session, meta: CacheMeta) -> bool {
    session.cache.set_cache_meta(meta);
    // Ready at once: our storages have nothing to wait for.
    let begun =
        pin!(session.cache.set_miss_handler()).poll(&mut Context::from_waker(Waker::noop()));
    let begun = matches!(begun, Poll::Ready(Ok(())));
    if !begun {
        session.cache.disable(NoCacheReason::StorageError);
    }
    begun
}

/// What a fill must know of its request; travels in the metadata's extensions.
#[derive(Clone)]
struct Ticket {
    good: Arc<AtomicBool>,
    source: GenerationId,
    ttl_secs: u32,
}

/// Age and remaining lifetime in seconds, the generation that was paid for, and the body's length.
pub(crate) fn hit_facts(session: &mut Session) -> Option<(u64, u64, GenerationId, usize)> {
    if session.cache.phase() != CachePhase::Hit {
        return None;
    }
    let hit = session.cache.hit_handler().as_any().downcast_ref::<Hit>()?;
    let (entry, now) = (&hit.entry, clock::unix_ms());
    let length = entry.body().len();
    Some((entry.age_secs(now), entry.remaining_secs(now), entry.source(), length))
}

fn our_key(key: &CacheKey) -> Option<Key> {
    key.primary_key().try_into().ok()
}

#[async_trait]
impl Storage for ResponseCache {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let found = our_key(key).and_then(|k| self.store.get(&k, clock::unix_ms()));
        let Some(entry) = found else { return Ok(None) };
        let (internal, header) = entry.meta();
        let meta = CacheMeta::deserialize(internal, header)?;
        Ok(Some((meta, Box::new(Hit { body: Some(entry.body()), entry }))))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        let ticket = meta.extensions().get::<Ticket>().cloned();
        let (Some(ticket), Some(key)) = (ticket, our_key(key)) else {
            return Error::e_explain(ErrorType::InternalError, "an answer that is none of ours");
        };
        let meta = meta.serialize()?;
        Ok(Box::new(Miss { cache: self, key, meta, ticket, fill: self.store.fill() }))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        _: PurgeType,
        _: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        // Only the lookup key's 128-bit hash is told here, which does not name an entry of ours;
        // nothing calls this, since there is no eviction manager and no purge request.
        let _unnamed = target;
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(
        &'static self,
        _: &CacheKey,
        _: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<bool> {
        // Answers are never revalidated.
        Ok(false)
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// A found answer on its way out: the whole body at once, without a copy.
struct Hit {
    entry: Arc<Entry>,
    body: Option<Bytes>,
}

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        Ok(self.body.take())
    }

    async fn finish(
        self: Box<Self>,
        _: &'static (dyn Storage + Sync),
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// An answer being gathered. Dropped unfinished, it leaves nothing.
struct Miss {
    cache: &'static ResponseCache,
    key: Key,
    meta: crate::cache::Meta,
    ticket: Ticket,
    fill: Fill,
}

#[async_trait]
impl HandleMiss for Miss {
    async fn write_body(&mut self, data: Bytes, _: bool) -> Result<()> {
        // Too large an answer is served all the same, and not kept.
        self.fill.push(&data);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let Self { cache, key, meta, ticket, fill } = *self;
        let size = fill.len();
        // An answer that was cut or ended with an error is not kept.
        if ticket.good.load(Ordering::Acquire)
            && let Some(entry) = fill.finish(meta, clock::unix_ms(), ticket.ttl_secs, ticket.source)
        {
            cache.store.put(key, entry);
        }
        Ok(MissFinishType::Created(size))
    }
}
