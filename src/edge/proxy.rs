//! The journey, hook by hook, in the order in which Pingora calls them.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::cache::{CacheKey, CacheMeta, ForcedFreshness, HitHandler};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::{ALPN, HttpPeer, Peer as _};
use pingora::{Error, ErrorType, Result};

use crate::edge::arrive::{self, Route};
use crate::edge::drain;
use crate::edge::gateway::{Gateway, Presence};
use crate::edge::guard::Admission;
use crate::edge::journey::{Facts, Journey, Stage};
use crate::edge::upstream;
use crate::edge::{
    account, answer, cachestore, clock, continuation, credit, failure, hedge, intake, local,
    plugins, random, reach, reply, write,
};
use crate::error::GatewayError;
use crate::observe::Surface;
use crate::vocab::GenerationId;

/// The proxy: one value for the whole server.
pub(crate) struct Turnpike(pub(crate) Arc<Gateway>);

/// How long Pingora may read what is left of a refused request's body.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[async_trait]
impl ProxyHttp for Turnpike {
    type CTX = Journey;

    fn new_ctx(&self) -> Journey {
        let arrived_ms = clock::unix_ms();
        Journey {
            stage: Stage::Arrived,
            facts: Facts {
                id: GenerationId::new(arrived_ms, random::u128()),
                arrived: clock::now(),
                arrived_ms,
                caller: None,
                error: None,
                surface: Surface::Other,
                bytes_in: 0,
                bytes_out: 0,
            },
            presence: None,
        }
    }

    // 1 arrive

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Journey) -> Result<()> {
        ctx.presence = Some(Presence::enter(&self.0));
        let now = self.0.now.load();
        let down = &mut session.downstream_session;
        down.set_read_timeout(Some(now.body.pause));
        down.set_write_timeout(Some(now.client_write_timeout));
        down.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        down.set_ignore_info_resp(true);
        down.set_pipelining_enabled(true);
        // Pingora keeps an idle connection for ever after its first request.
        let keep = down.get_keepalive().map(|_| now.keepalive_secs);
        down.set_keepalive(keep.filter(|_| !self.0.draining.load(Ordering::Relaxed)));
        session.ignore_downstream_range = true;
        Ok(())
    }

    // 2 who, 3 what

    async fn request_filter(&self, session: &mut Session, ctx: &mut Journey) -> Result<bool> {
        let limit = self.0.now.load().header_bytes_max;
        if let Err(error) = arrive::head(session, limit) {
            session.set_keepalive(None);
            return self.refuse(session, ctx, error).await;
        }
        let route = match arrive::route(session.req_header()) {
            Ok(route) => route,
            Err(error) => return self.refuse(session, ctx, error).await,
        };
        ctx.facts.surface = local::surface(&route);
        let task = match route {
            Route::Ask(task) => task,
            other => {
                ctx.stage = Stage::Answered;
                let answer = Box::pin(local::answer(&self.0, session, &mut ctx.facts, other));
                return answer.await.map(|()| true);
            }
        };
        if let Err(error) = arrive::media(&session.req_header().headers) {
            return self.refuse(session, ctx, error).await;
        }
        let caller = match intake::caller(&self.0, session, &mut ctx.facts) {
            Ok(caller) => caller,
            Err(error) => return self.refuse(session, ctx, error).await,
        };
        let admission = match Admission::new(&caller, ctx.facts.arrived_ms) {
            Ok(admission) => admission,
            Err(error) => return self.refuse(session, ctx, error).await,
        };
        match intake::chat(&self.0, session, &mut ctx.facts, (caller, admission), task).await? {
            Ok(chat) => {
                ctx.stage = Stage::Chat(chat);
                Ok(false)
            }
            Err(error) => self.refuse(session, ctx, error).await,
        }
    }

    // 5 maybe cached

    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Journey) -> Result<()> {
        if let Some(chat) = ctx.chat() {
            cachestore::enable(self.0.cache, session, chat);
        }
        Ok(())
    }

    fn cache_key_callback(&self, _: &Session, ctx: &mut Journey) -> Result<CacheKey> {
        cachestore::key(ctx.chat())
    }

    async fn cache_hit_filter(
        &self,
        _: &mut Session,
        _: &CacheMeta,
        handler: &mut HitHandler,
        _: bool,
        ctx: &mut Journey,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(ctx.chat().map(|chat| cachestore::on_hit(chat, handler)))
    }

    // 4 where: only what the cache cannot answer is planned and paid for

    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        ctx: &mut Journey,
    ) -> Result<bool> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else { return Ok(false) };
        let prepared = match chat.plugins {
            Some(_) => Box::pin(plugins::prepare(&self.0, chat)).await,
            None => Ok(()),
        };
        match prepared.and_then(|()| credit::plan_and_hold(&self.0, facts, chat)) {
            Ok(()) => Ok(true),
            Err(error) => Box::pin(reply::error(session, facts, error)).await.map(|()| false),
        }
    }

    // 6 attempts

    async fn upstream_peer(&self, _: &mut Session, ctx: &mut Journey) -> Result<Box<HttpPeer>> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else {
            return Error::e_explain(ErrorType::InternalError, "only chats go upstream");
        };
        let mut peer = upstream::next_peer(&self.0, chat).await?.map_err(|error| {
            facts.error = Some(error);
            Error::new_in(upstream::DECIDED)
        })?;
        hedge::offer(&self.0, chat, facts, &mut peer);
        Ok(peer)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Journey,
        mut e: Box<Error>,
    ) -> Box<Error> {
        match ctx.chat() {
            Some(chat) => failure::connecting(&self.0, chat, &mut e),
            None => e.set_retry(false),
        }
        e
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        peer: &HttpPeer,
        fd: RawFd,
        _: Option<&Digest>,
        ctx: &mut Journey,
    ) -> Result<()> {
        let http1 = peer.get_alpn().is_none_or(|alpn| matches!(alpn, ALPN::H1));
        if let Some(chat) = ctx.chat() {
            upstream::connected(chat, reused, fd, http1);
            drain::connected(session, chat);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Journey,
    ) -> Result<()> {
        ctx.chat().map_or(Ok(()), |chat| write::head(chat, head))
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Journey,
    ) -> Result<()> {
        let attempt = ctx.chat().and_then(|chat| chat.attempt.as_ref()).filter(|_| end);
        // `None` before the end would end the body early.
        *body = Some(attempt.map(|attempt| attempt.body.clone()).unwrap_or_default());
        Ok(())
    }

    // 7 answer

    async fn adjust_upstream_modules(
        &self,
        _: &mut Session,
        _: &ResponseHeader,
        end: bool,
        ctx: &mut Journey,
    ) -> Result<()> {
        let Some(chat) = ctx.chat() else { return Ok(()) };
        hedge::settle(&self.0, chat);
        // The only hook that tells whether the header is all there is.
        if let Some(attempt) = &mut chat.attempt {
            attempt.header_only = end;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        header: &mut ResponseHeader,
        ctx: &mut Journey,
    ) -> Result<()> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else { return Ok(()) };
        answer::header(chat, facts, header).await
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Journey,
    ) -> Result<Option<Duration>> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else { return Ok(None) };
        reach::enough(session, chat, facts)?;
        answer::body(chat, body, end)?;
        if body.is_some() && session.cache.enabled() {
            let header = answer::stored_header(chat.ask.head.stream)?;
            cachestore::begin(session, chat, facts, header);
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        header: &mut ResponseHeader,
        ctx: &mut Journey,
    ) -> Result<()> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else { return Ok(()) };
        answer::outgoing_header(chat, facts, session, header)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Journey,
    ) -> Result<Option<Duration>> {
        let Journey { stage: Stage::Chat(chat), facts, .. } = ctx else { return Ok(None) };
        if drain::is_on(chat) {
            *body = None;
            return Ok(None);
        }
        answer::commit(session, chat, facts, body, end).map(|()| None)
    }

    // 8 fail

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut Journey,
        reused: bool,
    ) -> Box<Error> {
        match ctx {
            Journey { stage: Stage::Chat(chat), facts, .. } => {
                continuation::recover(session, chat, facts);
                failure::proxying(&self.0, session, chat, &mut e, reused);
            }
            _ => e.set_retry(false),
        }
        e
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        e: &Error,
        ctx: &mut Journey,
    ) -> FailToProxy {
        reply::failed(session, e, ctx).await
    }

    fn should_serve_stale(&self, _: &mut Session, _: &mut Journey, _: Option<&Error>) -> bool {
        false
    }

    // 9 account

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Journey) {
        account::close(&self.0, session, e, ctx);
    }

    // Every failed attempt is in the metrics and in the request's own line.

    fn suppress_error_log(&self, _: &Session, _: &Journey, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        ctx: &Journey,
        _: &Error,
        what: ProxyWarnLogContext,
    ) -> bool {
        // The only hook that tells of it.
        if let (ProxyWarnLogContext::DownstreamCache, Stage::Chat(chat)) = (what, &ctx.stage) {
            drain::goes_on(chat);
        }
        true
    }
}

impl Turnpike {
    /// Answers with an error; the request ends here. Boxed, so that the hooks' own futures stay
    /// small: Pingora has each of them moved to the heap, for every request.
    async fn refuse(
        &self,
        session: &mut Session,
        ctx: &mut Journey,
        error: GatewayError,
    ) -> Result<bool> {
        ctx.stage = Stage::Answered;
        Box::pin(reply::refuse(session, &mut ctx.facts, error)).await.map(|()| true)
    }
}
