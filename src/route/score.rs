//! What an endpoint would cost a caller, in one number.
//!
//! # The formula
//! For each candidate of a request
//!
//! ```text
//! cost   = price × speed × trouble
//! weight = operator's weight ÷ cost²
//! share  = 99 % of weight ÷ Σ weight  +  1 % of (1 ÷ price) ÷ Σ (1 ÷ price)
//! ```
//!
//! and the first choice is drawn by `share`. All three factors are 1 for the best candidate and
//! grow from there, so that the formula has no unit and needs no exchange rate between dollars and
//! seconds.
//!
//! - *price*: what this request is expected to cost here, over what it is expected to cost at the
//!   cheapest: prompt tokens, as far as they come from the endpoint's cache at the cached price (by
//!   the share of cached tokens that it reported lately), and the expected answer. At most 100.
//! - *speed*: the worse of two ratios to the best: the wait (peak-EWMA of the time to the first
//!   token, or to the end where nothing is streamed), and the time per output token. A caller feels
//!   the worse of the two. At most 100.
//! - *trouble*: 1 + 4 × failures + 2 × rate limits, both as shares of the attempts of the last 5
//!   minutes with [`PRIOR`] good ones added. A failed attempt costs its own wait, another
//!   endpoint's, and a part of the retry budget; a rate limit is told at once.
//!
//! Why squares: OpenRouter divides by the square of the price (its provider routing page, read
//! 2026-08), which callers know; and an endpoint that becomes five times slower keeps a
//! twenty-fifth, not a fifth. Why not the best alone: all gateways would run there at once, and
//! nothing would ever be learned of the others. The last 1 % is what learning costs: it is spent
//! so that every endpoint is given the same *money*, not the same requests, and none is ever
//! without traffic.
//!
//! # What is not known
//! An endpoint without a sample is taken for the median of those that have one: zero would flood
//! it, infinity would starve it. A wait above the median fades towards it (never below) while
//! nothing is sent, so that what was slow once is tried again, with twice the time constant of the
//! average itself, so that where little is sent it is not tried every few requests; a wait below
//! the median does not fade, because an idle endpoint is no better than it was.
//!
//! # Among equals
//! Endpoints whose price is the same within 1 % are equals. The draw above finds one; another of
//! its equals is drawn, and the one with the lower wait × (in flight ÷ weight + 1) × trouble is
//! taken (power of two choices, Mitzenmacher 2001). That keeps many threads and many gateways from
//! running to one endpoint at once, which shares alone do not.

use super::numbers::Numbers;
use crate::balance::mix;
use crate::catalog::Prices;

/// The largest ratio of two prices or two waits that is told apart.
const RATIO_MAX: f64 = 100.0;
/// Share of first choices that are spent on learning.
pub const EXPLORE: f64 = 0.01;
/// What a failure costs, in good answers.
const FAILURE: f64 = 4.0;
/// What a rate limit costs, in good answers.
const LIMIT: f64 = 2.0;
/// Good answers that every endpoint is credited with, so that one failure is no verdict.
pub const PRIOR: f64 = 5.0;
/// Prices this close are the same.
const SAME_PRICE: f64 = 1.01;
/// Added to every price so that free endpoints can be compared: a nano-dollar, in pico-dollars.
const PRICE_MIN: f64 = 1_000.0;
/// A weight below this counts as this.
const WEIGHT_MIN: f64 = 0.001;
/// How much slower or less reliable than the best an endpoint may be to keep a conversation whose
/// prompt it has cached.
const STICKY_MAX: f64 = 3.0;

/// What goes into a candidate's place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// What the request is expected to cost here, in pico-dollars.
    pub price_pico: f64,
    /// That over the least.
    pub price: f64,
    /// How slow it is beside the fastest.
    pub speed: f64,
    /// What its failures and rate limits cost.
    pub trouble: f64,
    /// The chance of being drawn as the first choice; 0 where there was no draw.
    pub share: f64,
}

impl Score {
    /// The three factors together.
    pub fn cost(&self) -> f64 {
        self.price * self.speed * self.trouble
    }
}

/// What is measured of a candidate before it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) price_pico: f64,
    pub(super) latency_us: u64,
    pub(super) faded_us: u64,
    pub(super) token_ns: u64,
    pub(super) trouble: f64,
}

impl Raw {
    pub(super) fn new(numbers: &Numbers, price_pico: f64) -> Self {
        Self {
            price_pico,
            latency_us: numbers.latency_us,
            faded_us: numbers.faded_us,
            token_ns: numbers.token_ns,
            trouble: trouble(numbers),
        }
    }
}

/// What a request is expected to cost at an endpoint, in pico-dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    /// With nothing of its prompt in the endpoint's cache.
    pub(super) fresh: f64,
    /// With all of it there.
    pub(super) cached: f64,
}

impl Price {
    pub(super) fn new(prices: &Prices, prompt: u64, completion: u64) -> Self {
        let cache_read = prices.cache_read.unwrap_or(prices.prompt).min(prices.prompt);
        let rest = real(prices.completion.0) * real(completion) + real(prices.request.0);
        let fresh = real(prices.prompt.0) * real(prompt) + rest;
        Self { fresh, cached: real(cache_read.0) * real(prompt) + rest }
    }

    /// With this share of the prompt in the cache.
    pub(super) fn at(&self, share: f64) -> f64 {
        self.fresh + (self.cached - self.fresh) * share
    }
}

fn trouble(numbers: &Numbers) -> f64 {
    let trouble = &numbers.trouble;
    let (good, bad) = (f64::from(trouble.good_5m), f64::from(trouble.bad_5m));
    let limited = f64::from(trouble.limited_5m);
    let all = good + bad + limited + PRIOR;
    1.0 + FAILURE * bad / all + LIMIT * limited / all
}

/// What candidates are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    price_min: f64,
    latency: Reference,
    token: Reference,
}

#[derive(Clone, Copy, Debug)]
struct Reference {
    typical: f64,
    best: f64,
}

impl Reference {
    fn of(samples: &mut [u64]) -> Self {
        if samples.is_empty() {
            return Self { typical: 1.0, best: 1.0 };
        }
        let middle = (samples.len() - 1) / 2;
        let (below, typical, _) = samples.select_nth_unstable(middle);
        let typical = *typical;
        let best = below.iter().copied().min().unwrap_or(typical);
        Self { typical: real(typical), best: real(best) }
    }

    /// What is believed of one: its sample, faded to no less than the typical one.
    fn believed(&self, settled: u64, faded: u64) -> f64 {
        match settled {
            0 => self.typical,
            _ if real(settled) <= self.typical => real(settled),
            _ => (real(settled) * real(faded)).sqrt().max(self.typical),
        }
    }

    fn ratio(&self, settled: u64, faded: u64) -> f64 {
        (self.believed(settled, faded) / self.best).clamp(1.0, RATIO_MAX)
    }
}

impl Scale {
    /// The scale of these candidates: those that could be chosen.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Raw> + Clone) -> Self {
        let price_min = all.clone().map(|raw| raw.price_pico).fold(f64::INFINITY, f64::min);
        let samples = |of: fn(&Raw) -> u64| -> Vec<u64> {
            all.clone().map(of).filter(|sample| *sample > 0).collect()
        };
        Self {
            price_min: if price_min.is_finite() { price_min } else { 0.0 },
            latency: Reference::of(&mut samples(|raw| raw.latency_us)),
            token: Reference::of(&mut samples(|raw| raw.token_ns)),
        }
    }

    pub(super) fn score(&self, raw: &Raw) -> Score {
        let price = (raw.price_pico + PRICE_MIN) / (self.price_min + PRICE_MIN);
        let wait = self.latency.ratio(raw.latency_us, raw.faded_us);
        let token = self.token.ratio(raw.token_ns, raw.token_ns);
        Score {
            price_pico: raw.price_pico,
            price: price.clamp(1.0, RATIO_MAX),
            speed: wait.max(token),
            trouble: raw.trouble,
            share: 0.0,
        }
    }

    /// How long the next request must expect to wait among its equals.
    fn queue(&self, raw: &Raw, in_flight: u32, weight: f64) -> f64 {
        let wait = self.latency.believed(raw.latency_us, raw.faded_us);
        wait * (f64::from(in_flight) / weight.max(WEIGHT_MIN) + 1.0) * raw.trouble
    }
}

/// One candidate of a draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    pub(super) raw: Raw,
    pub(super) score: Score,
    pub(super) weight: f64,
    pub(super) in_flight: u32,
}

impl Lot {
    fn chance(&self) -> f64 {
        let weight = if self.weight >= WEIGHT_MIN { self.weight } else { WEIGHT_MIN };
        let cost = self.score.cost();
        weight / (cost * cost)
    }
}

/// Sets the share of each, which is the chance of being drawn first.
pub(super) fn set_shares(lots: &mut [Lot]) {
    let (mut chances, mut learning) = (0.0, 0.0);
    for lot in &*lots {
        chances += lot.chance();
        learning += 1.0 / lot.score.price;
    }
    for lot in lots {
        let explored = EXPLORE / lot.score.price / learning;
        lot.score.share = (1.0 - EXPLORE) * lot.chance() / chances + explored;
    }
}

/// The first choice, and whether it is there to learn.
pub(super) fn draw(scale: &Scale, lots: &[Lot], seed: u64) -> Option<(usize, bool)> {
    if lots.len() < 2 {
        return lots.len().checked_sub(1).map(|only| (only, false));
    }
    if unit(mix(seed)) < EXPLORE {
        let learning = pick(lots, mix(seed.wrapping_add(1)), |lot| 1.0 / lot.score.price);
        return Some((learning, true));
    }
    let first = pick(lots, mix(seed.wrapping_add(1)), Lot::chance);
    let price = lots[first].score.price;
    let is_equal = |lot: &Lot| {
        let (low, high) = if lot.score.price < price {
            (lot.score.price, price)
        } else {
            (price, lot.score.price)
        };
        high <= low * SAME_PRICE
    };
    let second = pick(lots, mix(seed.wrapping_add(2)), |lot| f64::from(u8::from(is_equal(lot))));
    let queue = |i: usize| scale.queue(&lots[i].raw, lots[i].in_flight, lots[i].weight);
    Some((if queue(second) < queue(first) { second } else { first }, false))
}

/// Draws one by weight.
fn pick(lots: &[Lot], draw: u64, weight: impl Fn(&Lot) -> f64) -> usize {
    let all: f64 = lots.iter().map(&weight).sum();
    let mut left = unit(draw) * all;
    let mut last = 0;
    for (i, lot) in lots.iter().enumerate() {
        let weight = weight(lot);
        if weight > 0.0 {
            last = i;
            if left < weight {
                break;
            }
        }
        left -= weight;
    }
    last
}

/// Whether a conversation should stay where its prompt is cached: reading it from there must be
/// worth the gap to the cheapest, and the endpoint no worse otherwise than can be borne.
pub(super) fn stays(lots: &[Lot], place: usize, cached_price: f64) -> bool {
    let cheapest = lots.iter().map(|lot| lot.raw.price_pico).fold(f64::INFINITY, f64::min);
    let quality = |lot: &Lot| lot.score.speed * lot.score.trouble;
    let best = lots.iter().map(quality).fold(f64::INFINITY, f64::min);
    cached_price <= cheapest && quality(&lots[place]) <= best * STICKY_MAX
}

/// A draw as a number from 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts and prices are far below 2^52")]
fn real(n: u64) -> f64 {
    n as f64
}
