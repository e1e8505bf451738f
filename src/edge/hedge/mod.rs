//! A second endpoint for a request whose first is slow.
//!
//! Pingora asks one upstream per attempt and has no way to ask two. So where a request may be hedged
//! its upstream is a socket of ours ([`socket`]): Pingora connects to it, sends its request into it
//! and reads an answer out of it as from any provider, and everything after (filters, pipes, cache,
//! accounting) is as for any attempt. Behind the socket is the [`course`]: a future that asks the
//! plan's first choice with a connector of our own, and when no token has come in the usual time,
//! the next one. Whichever gives its first token first is what Pingora reads; the other is dropped,
//! which closes its connection or resets its stream. The future belongs to the socket and is run
//! when Pingora reads: a slow client holds it back, and one that leaves drops it.
//!
//! What came of it is told to the request's hooks in a [`Race`], before Pingora has a byte of the
//! answer: [`settle`] makes the winner the request's attempt and reports the loser.

mod course;
mod leg;
mod second;
mod socket;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::upstreams::peer::{HttpPeer, Peer as _};

use self::leg::Leg;
use self::second::{Offer, Second};
use crate::attempt::Outcome;
use crate::balance::{HedgeBudget, HedgeSettings, Nanos};
use crate::catalog::{Access, Endpoint, Provider, utc_minute};
use crate::edge::answer;
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Facts, Progress};
use crate::edge::plugins;
use crate::edge::random;
use crate::edge::task::Task;
use crate::edge::write;
use crate::observe::HedgeResult;
use crate::route::Candidate;
use crate::vocab::NanoUsd;

/// Idle connections that are kept for hedged requests, at most.
const POOL_MAX: usize = 1_024;
/// Candidates that are looked at for the second attempt.
const CANDIDATES_MAX: usize = 3;

/// What all hedged requests share.
#[derive(Default)]
pub(crate) struct Hedges {
    /// How many more there may be.
    pub(crate) budget: HedgeBudget,
    connector: OnceLock<Connector>,
}

impl Hedges {
    /// The connections; made when the first request needs one.
    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| Connector::new(Some(ConnectorOptions::new(POOL_MAX))))
    }
}

/// One of the two that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

/// What has happened so far between two attempts; written by the course, read by the hooks.
pub(crate) struct Race(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// The second attempt, once it is made.
    second: Option<Box<Second>>,
    winner: Option<(Side, Nanos)>,
    first_lost: Option<Progress>,
    second_lost: Option<Progress>,
    /// How the winner's answer went wrong, where its connection does not tell.
    broke: Option<Outcome>,
}

impl Race {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn with<T>(&self, tell: impl FnOnce(&mut Told) -> T) -> T {
        tell(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How the winner's answer went wrong, if it fell silent.
    pub(crate) fn broke(&self) -> Option<Outcome> {
        self.with(|told| told.broke)
    }
}

/// Puts a race in the place of the attempt that is about to be made, if its request may be hedged.
pub(crate) fn offer(
    gateway: &Arc<Gateway>,
    chat: &mut Chat,
    facts: &Facts,
    peer: &mut Box<HttpPeer>,
) {
    let Some(settings) = chat.snapshot.hedging else { return };
    let Some((delay, rivals)) = rivals(&settings, chat, clock::now()) else { return };
    let (Some(shape), Some(attempt)) = (answer::shape(chat, facts), &chat.attempt) else { return };
    let (Task::Answer(surface), Some(&address)) = (chat.task, peer.address().as_inet()) else {
        return;
    };
    // What cannot be written here fails again where it is told.
    let headers = plugins::upstream_headers(chat).to_vec();
    let head = write::head_of(attempt, chat.task, true);
    let Ok(head) = head.and_then(|head| write::with_headers(head, &headers)) else { return };
    let first = Leg::new(attempt, peer.clone(), head, shape.clone());
    let price = |endpoint: &Endpoint| price(chat, endpoint, facts.arrived_ms);
    let offer = Offer {
        gateway: Arc::clone(gateway),
        snapshot: Arc::clone(&chat.snapshot),
        price: price(&attempt.slot.endpoint),
        rivals: rivals.iter().map(|c| (Arc::clone(&c.slot), price(&c.slot.endpoint))).collect(),
        surface,
        body: chat.ask.body.clone(),
        head: chat.ask.head.clone(),
        credit_limit: chat.money.limit,
        headers,
        shape,
    };
    let race = Race::new();
    let socket = socket::open(|out| course::run(first, offer, delay, Arc::clone(&race), out));
    **peer = HttpPeer::new(address, false, String::new());
    // Nobody else's: what comes out of it is this request's.
    peer.group_key = random::u64();
    peer.options.custom_l4 = Some(Arc::new(socket));
    if let Some(attempt) = &mut chat.attempt {
        attempt.race = Some(race);
    }
}

/// How long the attempt under way is left alone, and who may be asked beside it then; `None`: it is
/// not hedged.
fn rivals(settings: &HedgeSettings, chat: &Chat, now: Nanos) -> Option<(Duration, Vec<Candidate>)> {
    let attempt = chat.attempt.as_ref()?;
    let endpoint = &attempt.slot.endpoint;
    let fresh = !chat.hedged && !attempt.again && attempt.resumes.is_none();
    let allowed = chat.plan.tried() < chat.snapshot.attempts.attempts_max;
    if !(chat.ask.head.stream && fresh && allowed && takes_part(&endpoint.provider, settings)) {
        return None;
    }
    let may = |candidate: &&Candidate| {
        let other = &candidate.slot.endpoint;
        other.model == endpoint.model && takes_part(&other.provider, settings)
    };
    let rivals: Vec<_> = chat.plan.rest().filter(may).take(CANDIDATES_MAX).cloned().collect();
    let delay = settings.delay(&attempt.slot.health.recent(now))?;
    (!rivals.is_empty() && delay < endpoint.provider.timeouts.first_token)
        .then_some((delay, rivals))
}

/// Whether a provider may be asked for nothing: what it then costs is the operator's, so it must be
/// asked with the operator's key, and an answer that is cancelled must end its bill.
fn takes_part(provider: &Provider, settings: &HedgeSettings) -> bool {
    provider.access == Access::Shared
        && !provider.drains
        && (settings.billed_losers || !provider.bills_on)
}

/// What an attempt costs that is cancelled before its first token: its prompt, and where that does
/// not end the bill, a typical answer.
fn price(chat: &Chat, endpoint: &Endpoint, arrived_ms: u64) -> NanoUsd {
    let prompt = chat.ask.prompt_tokens;
    let prices = endpoint.prices.at(prompt, utc_minute(arrived_ms));
    let mut pico = prices.prompt_at_most().times(prompt) + prices.request.times(1);
    if endpoint.provider.bills_on {
        let tokens = chat.snapshot.typical(&chat.plan, chat.caller.id());
        pico += prices.completion_at_most().times(tokens);
    }
    NanoUsd::from_pico_up(pico)
}

/// Makes the winner of a race the request's attempt, and reports the loser. Where there is no winner,
/// one of the two is left as the attempt that has failed. Does nothing where there was no race, or
/// when that is done.
pub(crate) fn settle(gateway: &Gateway, chat: &mut Chat) {
    let race = chat.attempt.as_ref().and_then(|attempt| attempt.race.clone());
    let Some((race, Some(mut first))) = race.map(|race| (race, chat.attempt.take())) else {
        return;
    };
    let Told { second, winner, first_lost, second_lost, .. } = race.with(|told| {
        let left = Told { broke: told.broke, ..Told::default() };
        std::mem::replace(told, left)
    });
    let Some(second) = second else {
        // Nobody else was asked.
        first.won_or_lost(winner, first_lost);
        chat.attempt = Some(first);
        return;
    };
    let Second { attempt: mut second, parsed, reserved, prices } = *second;
    chat.hedged = true;
    chat.plan.also_tried(&second.slot);
    chat.ask.parsed = chat.ask.parsed.take().or(parsed);
    second.race = Some(race);
    let (result, cost) = match (winner, first_lost, second_lost) {
        (Some((Side::First, _)), _, lost) => {
            let result = lost.as_ref().map_or(HedgeResult::Beaten, |_| HedgeResult::Failed);
            let cost = lose(chat, second, lost, Outcome::Beaten, prices.1);
            first.won_or_lost(winner, None);
            chat.attempt = Some(first);
            (result, cost)
        }
        (Some((Side::Second, _)), lost, _) => {
            let cost = lose(chat, first, lost, Outcome::Beaten, prices.0);
            second.won_or_lost(winner, None);
            chat.attempt = Some(second);
            (HedgeResult::Won, cost)
        }
        (None, Some(lost), None) => {
            lose(chat, first, Some(lost), Outcome::Internal, NanoUsd::ZERO);
            chat.attempt = Some(second);
            (HedgeResult::Cancelled, reserved)
        }
        (None, first_lost, second_lost) => {
            let failed = first_lost.is_some();
            let result = if failed { HedgeResult::Failed } else { HedgeResult::Cancelled };
            lose(chat, second, second_lost, Outcome::ClientGone, NanoUsd::ZERO);
            first.won_or_lost(None, first_lost);
            chat.attempt = Some(first);
            (result, if failed { NanoUsd::ZERO } else { reserved })
        }
    };
    gateway.metrics.hedge(result);
    gateway.hedges.budget.refund(reserved - cost);
}

impl Attempt {
    /// Takes over what came of it.
    fn won_or_lost(&mut self, won: Option<(Side, Nanos)>, lost: Option<Progress>) {
        if let Some((_, connected)) = won {
            self.connected = Some(connected);
            // The limit on the time to the first token has been kept to.
            self.begun = true;
        }
        if let Some(lost) = lost {
            self.progress = lost;
        }
    }
}

/// Reports the attempt that does not answer: by its own failure, or else by this outcome. Gives what
/// it has cost: a failure nothing, else this price.
fn lose(
    chat: &mut Chat,
    mut attempt: Attempt,
    lost: Option<Progress>,
    otherwise: Outcome,
    price: NanoUsd,
) -> NanoUsd {
    let cost = if lost.is_some() { NanoUsd::ZERO } else { price };
    attempt.won_or_lost(None, lost);
    let outcome = failure::recorded(&attempt).unwrap_or(otherwise);
    let now = clock::now();
    failure::report(chat, &attempt, outcome, now);
    failure::rest_key(&attempt, &outcome, now);
    failure::punish(&mut attempt, &outcome, now);
    cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Origin, Share};
    use crate::dialect::Dialect;
    use crate::vocab::ProviderId;

    fn provider() -> Provider {
        let origin =
            Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
        let id = ProviderId::parse("p").expect("a slug");
        Provider { bills_on: false, ..Provider::new(id, Dialect::OpenAi, origin) }
    }

    #[test]
    fn who_takes_part() {
        let usual = HedgeSettings::default();
        let generous = HedgeSettings { billed_losers: true, ..usual };
        let takes = |provider| [usual, generous].map(|settings| takes_part(&provider, &settings));
        assert_eq!(takes(provider()), [true, true]);
        assert_eq!(takes(Provider { bills_on: true, ..provider() }), [false, true]);
        assert_eq!(takes(Provider { drains: true, ..provider() }), [false, false]);
        // What it does for nothing would be on the account's own bill.
        let access = Access::Own(Share::NONE);
        assert_eq!(takes(Provider { access, ..provider() }), [false, false]);
    }
}
