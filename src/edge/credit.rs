//! Credit for a request: where it may be answered, what that may cost, and what is set aside for it.

use std::time::Duration;

use crate::catalog::{Access, Endpoint, Quote, Share, utc_minute};
use crate::dialect::{self, abilities};
use crate::edge::choose;
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Facts};
use crate::edge::models;
use crate::edge::own;
use crate::edge::task::Task;
use crate::edge::write;
use crate::error::{GatewayError, Kind};
use crate::ledger::{GenerationRecord, HoldAsk, HoldRefused};
use crate::route::Plan;
use crate::vocab::{NanoUsd, Usage};

/// Chooses where the request may be answered and sets credit aside for it. Runs only when the
/// cache has no answer.
///
/// # Errors
/// What to tell the client: no such model, no endpoint, not enough credit.
pub(crate) fn plan_and_hold(
    gateway: &Gateway,
    facts: &mut Facts,
    chat: &mut Chat,
) -> Result<(), GatewayError> {
    let now = clock::now();
    let mut plan = choose::plan(gateway, facts, chat, now).map_err(|error| {
        let head = &chat.ask.head;
        let asked = head.model.as_ref().or_else(|| head.models.first());
        asked.and_then(|id| models::how_to_wake(&chat.snapshot.catalog, id)).unwrap_or(error)
    })?;
    chat.snapshot.own.expand(&mut plan, chat.caller.account().id())?;
    if chat.ask.head.provider.as_ref().is_some_and(|p| !p.allow_fallbacks && p.order.is_empty()) {
        plan.candidates.truncate(1);
    }
    keep_able(&mut plan, chat)?;
    if chat.ask.head.provider.as_ref().is_some_and(|prefs| prefs.require_parameters) {
        keep_faithful(&mut plan, chat)?;
    }
    let mut estimate = Estimate::of(&plan, chat, facts.arrived_ms);
    // Who pays the provider directly needs credit for the fee alone, and may have no more.
    if estimate.want > chat.caller.account().available() && own::keep(&mut plan) {
        estimate = Estimate::of(&plan, chat, facts.arrived_ms);
    }
    // Embeddings and ranks have no answer in tokens; several choices have several answers.
    let choices = if chat.ask.asked.is_some() { 0 } else { u64::from(chat.ask.head.n.max(1)) };
    let tokens = estimate.tokens.saturating_mul(choices).saturating_add(chat.ask.prompt_tokens);
    chat.admission.count(tokens, facts.arrived_ms)?;
    chat.plan = plan;
    let ask = HoldAsk {
        generation: facts.id,
        want: estimate.want,
        floor: estimate.floor,
        now_ms: facts.arrived_ms,
    };
    // A decision that is kept was written down with the id already.
    let hold = match gateway.decisions {
        Some(_) => gateway.ledger.hold(&chat.caller, ask),
        None => gateway.ledger.hold_ahead(&chat.caller, ask),
    };
    let hold = hold.map_err(|refused| refusal(refused, &estimate, chat.ask.prompt_tokens))?;
    facts.id = hold.generation();
    chat.money.limit = estimate.limit(hold.granted(), chat.ask.head.max_tokens);
    chat.money.short = estimate.short;
    chat.money.hold = Some(hold);
    gateway.retries.deposit(now);
    if let Some(settings) = &chat.snapshot.hedging {
        gateway.hedges.budget.request(settings);
    }
    Ok(())
}

/// What a request that arrived at this time is charged by at this endpoint.
pub(crate) fn quote(chat: &Chat, endpoint: &Endpoint, arrived_ms: u64) -> Quote {
    // The first part of an answer pays for what plugins cost.
    let added = chat.plugins.as_ref().filter(|_| chat.legs.is_empty());
    let added = added.map_or(NanoUsd::ZERO, |plugins| plugins.fee);
    let quote = endpoint.prices.quote(utc_minute(arrived_ms)).with(added);
    match endpoint.provider.access {
        Access::Own(fee) => quote.fee(fee),
        Access::Shared | Access::OwnOnly => quote.shared(share(chat)),
    }
}

/// The share of an endpoint's list price that the caller pays here.
fn share_at(chat: &Chat, endpoint: &Endpoint) -> Share {
    match endpoint.provider.access {
        Access::Own(fee) => fee,
        Access::Shared | Access::OwnOnly => share(chat),
    }
}

/// The share of list prices that the caller pays: all of it, less what the account gets for
/// letting its prompts and answers be learned from.
pub(crate) fn share(chat: &Chat) -> Share {
    if chat.admission.rules.account.discount_logging {
        chat.snapshot.logging_discount.rest()
    } else {
        Share::ALL
    }
}

/// Writes down what a record's cost is less than the prices in it say, and why. `usage` is what the
/// last provider did.
pub(crate) fn explain(
    record: &mut GenerationRecord,
    chat: &Chat,
    attempt: Option<&Attempt>,
    usage: &Usage,
) {
    let minute = utc_minute(record.created_ms);
    let list = |endpoint: &Endpoint, usage: &Usage| {
        if *usage == Usage::default() {
            return NanoUsd::ZERO;
        }
        match endpoint.provider.access {
            // The fee is what is listed here.
            Access::Own(fee) => endpoint.prices.quote(minute).shared(fee).cost(usage),
            Access::Shared | Access::OwnOnly => endpoint.prices.quote(minute).list_cost(usage),
        }
    };
    if let Some(attempt) = attempt.filter(|attempt| own::is_own(&attempt.slot.endpoint)) {
        let upstream = attempt.slot.endpoint.prices.quote(minute).list_cost(usage);
        record.details.upstream_cost = Some(upstream);
    }
    let added = chat.plugins.as_ref().map_or(NanoUsd::ZERO, |plugins| plugins.fee);
    record.details.plugins = added.min(record.cost);
    let legs = chat.legs.iter().map(|leg| list(&leg.slot.endpoint, &leg.usage));
    let last = attempt.map(|attempt| list(&attempt.slot.endpoint, usage)).unwrap_or_default();
    let less = legs.sum::<NanoUsd>() + last + record.details.plugins - record.cost;
    if chat.money.out {
        record.details.ended_by = Some("credit".into());
    }
    if less > NanoUsd::ZERO {
        record.details.insured = share(chat) == Share::ALL || record.cost == NanoUsd::ZERO;
        if !record.details.insured {
            record.details.discount = less;
        }
    }
}

/// Keeps the candidates whose dialect knows this kind of request.
fn keep_able(plan: &mut Plan, chat: &Chat) -> Result<(), GatewayError> {
    let what = match chat.task {
        Task::Answer(_) => return Ok(()),
        Task::Embed => "makes embeddings",
        Task::Rerank => "ranks documents",
    };
    plan.candidates.retain(|candidate| {
        let endpoint = &candidate.slot.endpoint;
        let dialect = endpoint.provider.dialect;
        write::path(chat.task, dialect, &endpoint.upstream_model, false).is_some()
    });
    if plan.candidates.is_empty() {
        let text = format!("No endpoint of this model {what}; GET /v1/models lists other models.");
        return Err(GatewayError::new(Kind::NoEndpoints, text).with_param("model"));
    }
    Ok(())
}

/// Keeps the candidates to which nothing of the request is lost (`provider.require_parameters`).
fn keep_faithful(plan: &mut Plan, chat: &mut Chat) -> Result<(), GatewayError> {
    let Task::Answer(surface) = chat.task else { return Ok(()) };
    let (body, head) = (&*chat.ask.body, &chat.ask.head);
    let mut ask = dialect::Ask { surface, body, head, parsed: &mut chat.ask.parsed };
    let request = ask.tree()?;
    let mut lost = None;
    plan.candidates.retain(|candidate| {
        let provider = &candidate.slot.endpoint.provider;
        let losses = abilities::losses(request, provider.dialect);
        let faithful = losses.is_empty();
        if !faithful {
            lost.get_or_insert((provider.name.clone(), losses));
        }
        faithful
    });
    match lost {
        Some((provider, losses)) if plan.candidates.is_empty() => {
            let names: Vec<&str> = losses.iter().map(|loss| loss.param.as_ref()).collect();
            let text = format!(
                "No endpoint takes all parameters of this request, as provider.require_parameters \
                 demands: {provider} does not take {}. Leave them out, or allow them to be dropped \
                 with require_parameters: false.",
                names.join(", ")
            );
            let first = losses.first().map(|loss| loss.param.to_string()).unwrap_or_default();
            Err(GatewayError::new(Kind::InvalidRequest, text).with_param(first))
        }
        _ => Ok(()),
    }
}

/// What a request may cost, at the dearest endpoint of its plan.
struct Estimate {
    /// The prompt and the expected answer.
    want: NanoUsd,
    /// The prompt and the shortest answer that makes sense.
    floor: NanoUsd,
    /// The prompt alone, in pico-dollars.
    prompt_pico: i128,
    /// One token of the answer, in pico-dollars, times the number of choices.
    token_pico: i128,
    /// Tokens of the expected answer.
    tokens: u64,
    /// The answer must not cost more than what is set aside.
    capped: bool,
    /// A few of the longest answers would use up the credit.
    short: bool,
}

/// The shortest answer worth giving when credit is short, in tokens.
const SHORTEST_ANSWER: u64 = 16;

/// When credit is short, a request without a limit sets at most one part in so many of it aside for
/// an answer of unusual length, so that dozens of requests fit at the same time.
const SHARE: i64 = 16;

impl Estimate {
    fn of(plan: &Plan, chat: &Chat, arrived_ms: u64) -> Self {
        let minute = utc_minute(arrived_ms);
        let head = &chat.ask.head;
        let choices = i128::from(head.n.max(1));
        let (mut prompt_pico, mut token_pico, mut most) = (0, 0, 1);
        for candidate in &plan.candidates {
            let endpoint = &candidate.slot.endpoint;
            // A prompt that is counted a little higher must not reach a price that was not seen.
            let at_most = chat.ask.prompt_tokens.saturating_add(chat.ask.prompt_tokens / 8);
            let prices = endpoint.prices.at(at_most, minute);
            let prompt =
                prices.prompt_at_most().times(chat.ask.prompt_tokens) + prices.request.times(1);
            let asked = chat.ask.asked.as_ref();
            let asked = asked.map(|asked| asked.estimate(endpoint.provider.dialect));
            let asked = asked.map_or(0, |usage| i128::from(prices.cost(&usage).0) * 1_000);
            let part = i128::from(share_at(chat, endpoint).points());
            let of_list = |pico: i128| pico.saturating_mul(part).saturating_add(9_999) / 10_000;
            prompt_pico = prompt_pico.max(of_list(prompt.max(asked)));
            let token = prices.completion_at_most().times(1) * choices;
            token_pico = token_pico.max(of_list(token));
            most = most.max(u64::from(endpoint.max_output));
        }
        let added = chat.plugins.as_ref().map_or(NanoUsd::ZERO, |plugins| plugins.fee);
        prompt_pico += i128::from(added.0) * 1_000;
        let typical = chat.snapshot.typical(plan, chat.caller.id()).min(most);
        let tokens = head.max_tokens.unwrap_or(typical).clamp(1, most);
        let shortest = tokens.min(SHORTEST_ANSWER);
        let cost = |n: u64| NanoUsd::from_pico_up(prompt_pico + token_pico * i128::from(n));
        let mut want = cost(tokens);
        // No limit was asked for and credit is short: an answer of unusual length must still be
        // covered, so more is set aside and the answer is limited to it.
        let open = head.max_tokens.is_none();
        let available = chat.caller.account().available();
        let limit = chat.caller.left(arrived_ms).unwrap_or(NanoUsd::MAX);
        let short = available.min(limit) < cost(most).times(10);
        let capped = open && available < cost(most).times(10);
        if capped {
            want = want.max(cost(most).min(NanoUsd(available.0 / SHARE)));
        }
        Self { want, floor: cost(shortest), prompt_pico, token_pico, tokens, capped, short }
    }

    /// The limit on completion tokens that keeps the cost within the credit granted.
    fn limit(&self, granted: NanoUsd, asked: Option<u64>) -> Option<u32> {
        if self.token_pico == 0 {
            return None;
        }
        let left = i128::from(granted.0) * 1_000 - self.prompt_pico;
        let tokens = u64::try_from((left / self.token_pico).max(1)).unwrap_or(u64::MAX);
        // With a limit asked for this is at least that limit, unless credit is short; a dialect
        // that would raise the limit (to make room for thinking) is kept to what was held.
        let known = asked.is_some() || self.capped || granted < self.want;
        known.then(|| u32::try_from(tokens).unwrap_or(u32::MAX))
    }
}

/// The ledger takes no charges, so that nothing is served that would be charged.
pub(crate) fn unavailable() -> GatewayError {
    let text = "The ledger cannot take charges at the moment; try again shortly.";
    GatewayError::new(Kind::Unavailable, text).with_retry_after(Duration::from_secs(1))
}

fn refusal(refused: HoldRefused, estimate: &Estimate, prompt_tokens: u64) -> GatewayError {
    match refused {
        HoldRefused::Unavailable => unavailable(),
        HoldRefused::Credit { available, .. } => {
            let left = i128::from(available.0.max(0)) * 1_000 - estimate.prompt_pico;
            let afford = left.checked_div(estimate.token_pico).unwrap_or(0).max(0);
            GatewayError::new(
                Kind::InsufficientCredits,
                format!(
                    "This request requires more credits, or fewer max_tokens. You requested up \
                     to {} tokens on a prompt of about {prompt_tokens}, which may cost ${}, but \
                     can only afford {afford}: ${available} is available. Add credits, or lower \
                     max_tokens.",
                    estimate.tokens, estimate.want,
                ),
            )
        }
        HoldRefused::Member { available, .. } => GatewayError::new(
            Kind::Forbidden,
            format!(
                "The budget of this key's member leaves ${available}, and the request may cost \
                 ${}. Ask an admin of the account to raise it, or lower max_tokens.",
                estimate.want,
            ),
        ),
        HoldRefused::Limit { available, .. } => GatewayError::new(
            Kind::InsufficientCredits,
            format!(
                "This key's spending limit leaves ${available}, and the request may cost ${}. \
                 Raise the key's limit, use another key, or lower max_tokens.",
                estimate.want,
            ),
        ),
    }
}
