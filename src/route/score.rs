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
//! - *trouble*: 1 + 4 × failures + rate limits, both as shares of the attempts of the last 5
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
const LIMIT: f64 = 1.0;
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

/// What is measured of a candidate before it is compared. The whole numbers of [`Numbers`] are kept
/// as what is reckoned with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    pub(super) price: Price,
    /// With the part of the prompt in the cache that is usual there.
    price_pico: f64,
    /// 0: never measured; so are the other times.
    pub(super) latency_us: f64,
    /// What of it is believed, once [`Scale::fade`] has been asked.
    pub(super) faded_us: f64,
    pub(super) token_ns: f64,
    trouble: f64,
    weight: f64,
}

impl Lot {
    #[inline]
    pub(super) fn new(numbers: &Numbers, price: Price, weight: f64) -> Self {
        Self {
            price,
            price_pico: price.at(numbers.cached_permille),
            latency_us: real(numbers.latency_us),
            faded_us: real(numbers.faded_us),
            token_ns: real(numbers.token_ns),
            trouble: trouble(numbers),
            weight: if weight >= WEIGHT_MIN { weight } else { WEIGHT_MIN },
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

/// The prices that [`Price`] depends on, in pico-dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    prompt: f64,
    cache_read: f64,
    completion: f64,
    request: f64,
}

impl From<&Prices> for Rates {
    fn from(prices: &Prices) -> Self {
        let cache_read = prices.cache_read.unwrap_or(prices.prompt).min(prices.prompt);
        Self {
            prompt: real(prices.prompt.0),
            cache_read: real(cache_read.0),
            completion: real(prices.completion.0),
            request: real(prices.request.0),
        }
    }
}

impl Price {
    #[inline]
    pub(super) fn new(rates: &Rates, prompt: u64, completion: u64) -> Self {
        let prompt = real(prompt);
        let rest = rates.completion * real(completion) + rates.request;
        Self { fresh: rates.prompt * prompt + rest, cached: rates.cache_read * prompt + rest }
    }

    /// With so many thousandths of the prompt in the cache.
    #[inline]
    fn at(&self, permille: u32) -> f64 {
        if permille == 0 {
            return self.fresh;
        }
        let share = f64::from(permille.min(1_000)) / 1_000.0;
        self.fresh + (self.cached - self.fresh) * share
    }
}

#[inline]
fn trouble(numbers: &Numbers) -> f64 {
    let trouble = &numbers.trouble;
    if trouble.bad_5m == 0 && trouble.limited_5m == 0 {
        return 1.0;
    }
    let (good, bad) = (f64::from(trouble.good_5m), f64::from(trouble.bad_5m));
    let limited = f64::from(trouble.limited_5m);
    let all = good + bad + limited + PRIOR;
    1.0 + FAILURE * bad / all + LIMIT * limited / all
}

/// What is known of all candidates that could be chosen: their times by their bits, which have the
/// order of the numbers.
#[derive(Debug, Default)]
pub(super) struct Samples {
    price_min: Option<f64>,
    latency: Vec<u64>,
    token: Vec<u64>,
}

impl Samples {
    pub(super) fn reserve(&mut self, more: usize) {
        self.latency.reserve(more);
        self.token.reserve(more);
    }

    #[inline]
    pub(super) fn take(&mut self, lot: &Lot) {
        if self.price_min.is_none_or(|min| lot.price_pico < min) {
            self.price_min = Some(lot.price_pico);
        }
        if lot.latency_us > 0.0 {
            self.latency.push(lot.latency_us.to_bits());
        }
        if lot.token_ns > 0.0 {
            self.token.push(lot.token_ns.to_bits());
        }
    }
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
    /// Of samples by their bits.
    fn of(samples: &mut [u64]) -> Self {
        if samples.is_empty() {
            return Self { typical: 1.0, best: 1.0 };
        }
        let middle = (samples.len() - 1) / 2;
        let (below, typical, _) = samples.select_nth_unstable(middle);
        let typical = *typical;
        let best = below.iter().copied().min().unwrap_or(typical);
        Self { typical: f64::from_bits(typical), best: f64::from_bits(best) }
    }

    /// What is believed of one above the typical one: its sample, faded to no less than that.
    fn fade(&self, settled: f64, faded: f64) -> f64 {
        (settled * faded).sqrt().max(self.typical)
    }

    /// What is believed of one.
    #[inline]
    fn believed(&self, settled: f64, faded: f64) -> f64 {
        let known = if settled > self.typical { faded } else { settled };
        if settled == 0.0 { self.typical } else { known }
    }

    #[inline]
    fn ratio(&self, believed: f64) -> f64 {
        (believed / self.best).clamp(1.0, RATIO_MAX)
    }
}

impl Scale {
    /// The scale of candidates with these samples.
    pub(super) fn of(samples: &mut Samples) -> Self {
        let price_min = samples.price_min.unwrap_or(0.0);
        let (latency, token) = (&mut samples.latency, &mut samples.token);
        Self { price_min, latency: Reference::of(latency), token: Reference::of(token) }
    }

    /// Fades the waits that do: those above the typical one. `faded_us`: what a lot's latency has
    /// faded to.
    #[inline]
    pub(super) fn fade(&self, lots: &mut [Lot], faded_us: impl Fn(usize, &Lot) -> f64) {
        // They are about half of all, in no order. So they are listed first, without a branch that
        // would be guessed wrong every other time.
        let (mut slow, mut count) = (vec![0; lots.len()], 0);
        for (place, lot) in lots.iter().enumerate() {
            slow[count] = place;
            count += usize::from(lot.latency_us > self.latency.typical);
        }
        for &place in &slow[..count] {
            let lot = &mut lots[place];
            lot.faded_us = self.latency.fade(lot.latency_us, faded_us(place, lot));
        }
    }

    pub(super) fn score(&self, lot: &Lot, share: f64) -> Score {
        let (price, speed) = (self.price(lot), self.speed(lot));
        Score { price_pico: lot.price_pico, price, speed, trouble: lot.trouble, share }
    }

    #[inline]
    fn price(&self, lot: &Lot) -> f64 {
        let price = (lot.price_pico + PRICE_MIN) / (self.price_min + PRICE_MIN);
        price.clamp(1.0, RATIO_MAX)
    }

    #[inline]
    fn speed(&self, lot: &Lot) -> f64 {
        let wait = self.latency.believed(lot.latency_us, lot.faded_us);
        let token = if lot.token_ns == 0.0 { self.token.typical } else { lot.token_ns };
        self.latency.ratio(wait).max(self.token.ratio(token))
    }

    /// How long the next request must expect to wait among its equals.
    fn queue(&self, lot: &Lot, in_flight: u32) -> f64 {
        let wait = self.latency.believed(lot.latency_us, lot.faded_us);
        wait * (f64::from(in_flight) / lot.weight + 1.0) * lot.trouble
    }
}

/// What all lots are ordered and drawn by: a column for each, since most steps need one of them.
#[derive(Debug)]
pub(super) struct Columns {
    price: Vec<f64>,
    /// Price, speed and trouble together.
    pub(super) cost: Vec<f64>,
    /// The weight of a lot in the draw; 0: it takes no part.
    pub(super) chance: Vec<f64>,
}

impl Columns {
    /// Not inlined, so that the loop is made for several lots at a time.
    #[inline(never)]
    pub(super) fn of(lots: &[Lot], scale: &Scale) -> Self {
        let column = || vec![0.0; lots.len()];
        let mut columns = Self { price: column(), cost: column(), chance: column() };
        let Self { price, cost, chance } = &mut columns;
        for (((lot, to_price), to_cost), to_chance) in lots.iter().zip(price).zip(cost).zip(chance)
        {
            let price = scale.price(lot);
            let cost = price * scale.speed(lot) * lot.trouble;
            (*to_price, *to_cost, *to_chance) = (price, cost, lot.weight / (cost * cost));
        }
        columns
    }

    /// Leaves their chance to those that take part. Not inlined, so that there are registers left to
    /// add in.
    #[inline(never)]
    pub(super) fn leave(&mut self, takes_part: impl Iterator<Item = bool>) -> Sums {
        let (mut chances, mut learning, mut taking_part) = (0.0, 0.0, 0);
        for ((chance, price), takes_part) in self.chance.iter_mut().zip(&self.price).zip(takes_part)
        {
            if takes_part {
                chances += *chance;
                learning += 1.0 / price;
                taking_part += 1;
            } else {
                *chance = 0.0;
            }
        }
        Sums { chances, learning, taking_part }
    }
}

/// Sums over the lots that take part in a draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    chances: f64,
    /// Of 1 ÷ price.
    learning: f64,
    taking_part: usize,
}

/// A draw among the lots that have a chance.
#[derive(Debug)]
pub(super) struct Draw<'a> {
    pub(super) scale: &'a Scale,
    pub(super) lots: &'a [Lot],
    pub(super) columns: &'a Columns,
    pub(super) sums: Sums,
}

impl Draw<'_> {
    /// The chance of being drawn first.
    pub(super) fn share(&self, place: usize) -> f64 {
        let (chance, price) = (self.columns.chance[place], self.columns.price[place]);
        if chance > 0.0 {
            let explored = EXPLORE / price / self.sums.learning;
            (1.0 - EXPLORE) * chance / self.sums.chances + explored
        } else {
            0.0
        }
    }

    /// The first of those that take part of which this is true.
    pub(super) fn position(&self, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut chances = self.columns.chance.iter().enumerate();
        chances.find(|(place, chance)| **chance > 0.0 && is(*place)).map(|(place, _)| place)
    }

    /// The first choice, and whether it is there to learn.
    pub(super) fn first(
        &self,
        seed: u64,
        in_flight: impl Fn(usize) -> u32,
    ) -> Option<(usize, bool)> {
        let Columns { price, chance, .. } = self.columns;
        if self.sums.taking_part < 2 {
            return chance.iter().position(|chance| *chance > 0.0).map(|only| (only, false));
        }
        let draw = unit(mix(seed.wrapping_add(1)));
        if unit(mix(seed)) < EXPLORE {
            let weights = price.iter().zip(chance);
            let weights =
                weights.map(|(price, chance)| if *chance > 0.0 { 1.0 / price } else { 0.0 });
            return Some((pick(weights, draw * self.sums.learning), true));
        }
        let first = pick(chance.iter().copied(), draw * self.sums.chances);
        let second = self.equal(first, unit(mix(seed.wrapping_add(2))));
        let queue = |i: usize| self.scale.queue(&self.lots[i], in_flight(i));
        Some((if queue(second) < queue(first) { second } else { first }, false))
    }

    /// One of those with the price of this one, itself among them, each as likely as the others.
    fn equal(&self, first: usize, draw: f64) -> usize {
        let Columns { price, chance, .. } = self.columns;
        let of_first = price[first];
        let most = of_first * SAME_PRICE;
        let is_equal = |(price, chance): (&f64, &f64)| {
            let above = (*price >= of_first) & (*price <= most);
            let below = (*price < of_first) & (of_first <= *price * SAME_PRICE);
            (above | below) & (*chance > 0.0)
        };
        let equals = || price.iter().zip(chance).map(is_equal);
        let all: u32 = equals().map(u32::from).sum();
        // A draw is below 1 by more than the rounding of a product with so small a number.
        let nth = whole(draw * f64::from(all));
        let mut equals = equals().enumerate().filter(|(_, is_equal)| *is_equal);
        equals.nth(nth).map_or(first, |(place, _)| place)
    }

    /// Whether a conversation should stay where its prompt is cached: reading it from there must be
    /// worth the gap to the cheapest, and the endpoint no worse otherwise than can be borne.
    pub(super) fn stays(&self, place: usize) -> bool {
        let quality = |lot: &Lot| self.scale.speed(lot) * lot.trouble;
        let (mut cheapest, mut best) = (f64::INFINITY, f64::INFINITY);
        for (lot, chance) in self.lots.iter().zip(&self.columns.chance) {
            if *chance > 0.0 {
                cheapest = cheapest.min(lot.price_pico);
                best = best.min(quality(lot));
            }
        }
        let lot = &self.lots[place];
        lot.price.cached <= cheapest && quality(lot) <= best * STICKY_MAX
    }
}

/// The place at which the sum of the weights passes `left`.
fn pick(weights: impl Iterator<Item = f64>, mut left: f64) -> usize {
    let mut last = 0;
    for (i, weight) in weights.enumerate() {
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

/// A draw as a number from 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts and prices are far below 2^52")]
#[inline]
pub(super) fn real(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of candidates"
)]
const fn whole(n: f64) -> usize {
    n as usize
}
