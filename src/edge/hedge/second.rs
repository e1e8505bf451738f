//! The second attempt of a race: whether it is made, where, and its request.

use std::sync::Arc;

use bytes::Bytes;

use super::Race;
use super::leg::Leg;
use crate::balance::{Availability, Gauge, HedgeBudget, Wait};
use crate::dialect::scan::Head;
use crate::dialect::{self, Surface, ir};
use crate::edge::clock;
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::journey::Attempt;
use crate::edge::task::Task;
use crate::edge::upstream;
use crate::edge::write::{self, Unwritten, Written};
use crate::observe::HedgeResult;
use crate::route::Slot;
use crate::stream::Shape;
use crate::vocab::NanoUsd;

/// What a second attempt is made of, should one be wanted.
pub(super) struct Offer {
    pub(super) gateway: Arc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    /// What the first attempt costs if it loses.
    pub(super) price: NanoUsd,
    /// Who may be asked, in this order, and what each costs if it loses.
    pub(super) rivals: Vec<(Arc<Slot>, NanoUsd)>,
    pub(super) surface: Surface,
    pub(super) body: Bytes,
    pub(super) head: Head,
    pub(super) credit_limit: Option<u32>,
    /// Headers that plugins have set.
    pub(super) headers: Vec<(String, String)>,
    pub(super) shape: Shape,
}

/// A second attempt that is made.
pub(super) struct Second {
    pub(super) attempt: Attempt,
    /// The client's request as a tree, if one was made.
    pub(super) parsed: Option<Box<ir::Request>>,
    /// What the budget has set aside for the loser.
    pub(super) reserved: NanoUsd,
    /// What the first and the second cost if they lose.
    pub(super) prices: (NanoUsd, NanoUsd),
}

/// What was taken out of the budget; put back unless it is used.
struct Withdrawn<'a> {
    budget: &'a HedgeBudget,
    reserved: NanoUsd,
    used: bool,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.budget.undo(self.reserved);
        }
    }
}

impl Offer {
    /// Makes the second attempt, if the budget allows one and somebody can be asked.
    pub(super) async fn make(self, race: &Race) -> Option<Leg> {
        let budget = &self.gateway.hedges.budget;
        for (slot, price) in &self.rivals {
            // Somebody who has troubles of its own is no help, and must not get more of them.
            let Gauge { availability, capped, silent, .. } =
                slot.health.gauge(Wait::FirstToken, clock::now());
            if availability != Availability::Ready || capped || silent {
                continue;
            }
            let reserved = self.price.max(*price);
            if let Err(refused) = budget.withdraw(reserved) {
                self.gateway.metrics.hedge(HedgeResult::Refused);
                tracing::debug!(?refused, "A slow request was not hedged.");
                return None;
            }
            let mut withdrawn = Withdrawn { budget, reserved, used: false };
            let Some((leg, attempt, parsed)) = self.prepare(slot).await else { continue };
            withdrawn.used = true;
            let prices = (self.price, *price);
            let second = Second { attempt, parsed, reserved, prices };
            race.with(|told| told.second = Some(Box::new(second)));
            return Some(leg);
        }
        None
    }

    /// `None`: this one cannot be asked.
    async fn prepare(&self, slot: &Arc<Slot>) -> Option<(Leg, Attempt, Option<Box<ir::Request>>)> {
        let (endpoint, now) = (&slot.endpoint, clock::now());
        let upstream = self.snapshot.upstreams.get(&endpoint.provider.id).map(Arc::clone)?;
        let guard = slot.health.admit(Wait::FirstToken, now)?;
        let mut parsed = None;
        let (body, passed) = self.write(slot, &mut parsed).await?;
        let (body, dropped) = write::with_options(body, &self.head, slot).ok()?;
        let token = upstream.token().await.ok()?;
        let address = upstream.address().await?;
        let peer = upstream.peer(address, endpoint.provider.timeouts.first_token);
        let written = Written { body, passed, resumes: None };
        let mut attempt = upstream::attempt(Arc::clone(slot), guard, upstream, now, written);
        attempt.token = token;
        attempt.dropped = dropped;
        let head = write::head_of(&attempt, Task::Answer(self.surface), true).ok()?;
        let head = write::with_headers(head, &self.headers).ok()?;
        let leg = Leg::new(&attempt, peer, head, self.shape.clone());
        Some((leg, attempt, parsed))
    }

    async fn write(
        &self,
        slot: &Slot,
        parsed: &mut Option<Box<ir::Request>>,
    ) -> Option<(Bytes, bool)> {
        let endpoint = &slot.endpoint;
        let dialect = endpoint.provider.dialect;
        let target = upstream::target(endpoint, self.credit_limit);
        let (body, head) = (&*self.body, &self.head);
        let mut ask = dialect::Ask { surface: self.surface, body, head, parsed };
        match write::answer(&mut ask, &self.snapshot.fetcher, dialect, &target).await {
            Ok((body, passed)) => Some((write::with_tier(body, head, endpoint), passed)),
            Err(Unwritten::Wrong(error) | Unwritten::Inexpressible(error)) => {
                tracing::debug!(%error, endpoint = %endpoint.id, "No second attempt here.");
                None
            }
        }
    }
}
