//! Answers that are read on although their client has left.
//!
//! A provider that bills an answer to its end may as well be listened to until then: its own numbers
//! are what is charged. Pingora reads on for one reason only: a cache that could hand an answer out
//! while it is filled. So where a provider drains, and the caller does not use the cache, the request
//! is given a cache that has nothing and keeps nothing, and what would be written is thrown away.
//!
//! Pingora notices that a client has left when it reads from it. If a write fails first, which takes a
//! reset at the very moment in which a chunk is on its way, the request ends as it would elsewhere.

use std::any::Any;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::Result;
use pingora::cache::storage::{
    HandleHit, HandleMiss, MissFinishType, PurgeOutcome, PurgeTarget, PurgeType, Storage,
};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{CacheKey, CacheMeta, CachePhase, HitHandler, MissHandler, NoCacheReason};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::cache::Intent;
use crate::edge::cachestore;
use crate::edge::clock;
use crate::edge::journey::Chat;

/// A store that is always empty.
struct Nothing;

static NOTHING: Nothing = Nothing;

/// Lets the request be read on, should one of the providers that drain answer it.
pub(crate) fn allow(session: &mut Session, chat: &Chat) {
    if chat.snapshot.drains {
        session.cache.enable(&NOTHING, None, None, None, None);
    }
}

/// The key under which nothing is found.
pub(crate) fn key() -> CacheKey {
    CacheKey::new("drain", "")
}

/// A provider is connected: unless it drains, nothing is read on from here.
pub(crate) fn connected(session: &mut Session, chat: &Chat) {
    let drains = chat.attempt.as_ref().is_some_and(|attempt| attempt.upstream.provider.drains);
    if matches!(chat.cache.intent, Intent::Off) && session.cache.enabled() && !drains {
        session.cache.disable(NoCacheReason::Custom("the provider does not drain"));
    }
}

/// The first bytes of an answer are on their way: Pingora wants to put them somewhere.
pub(crate) fn begin(session: &mut Session, header: ResponseHeader) {
    if !session.cache.enabled()
        || session.cache.phase() != CachePhase::Miss
        || session.cache.miss_handler().is_some()
    {
        return;
    }
    let _begun_or_switched_off = cachestore::fill(session, meta(header));
}

fn meta(header: ResponseHeader) -> CacheMeta {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::unix_ms());
    CacheMeta::new(now, now, 0, 0, header)
}

/// The client has left, and its answer is read on.
pub(crate) fn goes_on(chat: &Chat) {
    chat.client_left.store(true, Ordering::Relaxed);
}

/// Whether the client has left and the answer is read on: nothing is written any more.
pub(crate) fn is_on(chat: &Chat) -> bool {
    chat.client_left.load(Ordering::Relaxed)
}

#[async_trait]
impl Storage for Nothing {
    async fn lookup(
        &'static self,
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        Ok(None)
    }

    async fn get_miss_handler(
        &'static self,
        _: &CacheKey,
        _: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        Ok(Box::new(ThrownAway(0)))
    }

    async fn purge(
        &'static self,
        _: PurgeTarget<'_>,
        _: PurgeType,
        _: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(
        &'static self,
        _: &CacheKey,
        _: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<bool> {
        Ok(false)
    }

    async fn lookup_streaming_write(
        &'static self,
        _: &CacheKey,
        _: Option<&[u8]>,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        Ok(Some((meta(ResponseHeader::build(200, None)?), Box::new(NothingToRead))))
    }

    /// This is what makes Pingora read on.
    fn support_streaming_partial_write(&self) -> bool {
        true
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// Counts what goes by.
struct ThrownAway(usize);

#[async_trait]
impl HandleMiss for ThrownAway {
    async fn write_body(&mut self, data: Bytes, _: bool) -> Result<()> {
        self.0 += data.len();
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        Ok(MissFinishType::Created(self.0))
    }
}

/// Pingora wants a reader where an answer could be handed out while it comes; it does not read,
/// since the answer goes to the client as it comes from the provider.
struct NothingToRead;

#[async_trait]
impl HandleHit for NothingToRead {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
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
