//! How far the credit behind a stream reaches while it grows.
//!
//! What was set aside covers the expected answer. A stream that passes it has more set aside, in
//! steps; where there is no more, it ends with the finish reason `length`, charged for what was
//! delivered. So a stream costs at most one read from its provider (64 KiB, mostly a single token)
//! more than the credit that there was. One whose limit the provider was told costs no more than was
//! set aside: an estimate never exceeds that limit. It is only ended when the provider has clearly
//! ignored it, since our count of tokens is not the provider's.

use bytes::Bytes;

use crate::attempt::Outcome;
use crate::edge::answer;
use crate::edge::continuation;
use crate::edge::journey::{Attempt, Chat, Progress};
use crate::edge::metadata;
use crate::error::{GatewayError, Kind};
use crate::vocab::{NanoUsd, PicoUsd};

/// Tokens that more is set aside for: as many as there is credit for.
const STEPS: [u64; 3] = [1_024, 128, 16];

/// Whether the answer may grow on. Looks closely only when so much has come that what is set aside
/// may be used up.
pub(crate) fn goes_on(chat: &mut Chat) -> bool {
    let limited = chat.ask.head.max_tokens.is_some() || chat.money.limit.is_some();
    let Chat { attempt, money, legs, .. } = chat;
    let Some(Attempt { progress: Progress::Answering(pipe), .. }) = attempt else { return true };
    let (meter, shape) = (pipe.meter(), pipe.shape());
    if !shape.stream || meter.finish.is_some() || meter.output_bytes < money.look_at {
        return true;
    }
    let token = pipe.token_price();
    let Some(hold) = money.hold.as_mut().filter(|_| token > PicoUsd::ZERO) else {
        money.look_at = u64::MAX;
        return true;
    };
    // A token is a byte at least, so that nothing is missed by looking again after so many bytes.
    let bytes = meter.output_bytes;
    let mut tokens = meter.put_out_tokens();
    if limited {
        let most = shape.completion_max;
        // Tokenizers differ. What is tolerated costs the caller nothing: see above.
        let ignored = most.saturating_mul(2).saturating_add(64);
        if tokens <= ignored {
            money.look_at = bytes.saturating_add(ignored - tokens).saturating_add(1);
            return true;
        }
        tokens = meter.counted_tokens();
        if tokens <= ignored {
            money.look_at = bytes.saturating_add(bytes / 8).saturating_add(64);
            return true;
        }
    }
    let cost = continuation::spent(legs).1 + pipe.cost_of(tokens);
    let over = NanoUsd((cost - hold.granted()).0.max(0));
    if cost >= hold.granted() {
        let price = |step: &u64| NanoUsd::from_pico_up(token.times(*step));
        if !STEPS.iter().any(|step| hold.extend(over + price(step)).is_ok()) {
            return false;
        }
    }
    let room = i128::from((hold.granted() - cost).0) * 1_000 / i128::from(token.0);
    money.look_at = bytes.saturating_add(u64::try_from(room).unwrap_or(1).max(1));
    true
}

/// Ends the stream for want of credit; gives the bytes that do so.
pub(crate) fn stop(chat: &mut Chat) -> Bytes {
    let metadata = match &chat.attempt {
        Some(attempt) if chat.metadata => Some(metadata::out_of_credit(chat, attempt)),
        _ => None,
    };
    let (choices, before) = (chat.ask.head.n, continuation::spent(&chat.legs));
    chat.money.out = true;
    if let Some(Attempt { progress: Progress::Answering(pipe), .. }) = &mut chat.attempt
        && let Some(last) = pipe.stop(choices, metadata, before)
    {
        chat.money.cost = before.1 + pipe.cost();
        if let Err(error) = answer::note_cost(chat) {
            // The charge itself is queued at the end of the request.
            tracing::error!(%error, "The cost of an answer that was ended could not be noted.");
        }
        return last;
    }
    let text = "The credit behind this request is used up. Add credits, or raise the key's limit.";
    answer::abort(chat, Outcome::CreditOut, GatewayError::new(Kind::InsufficientCredits, text))
}

/// Ends the reading of an answer that was ended for want of credit, once all of it is with the
/// client: the provider need not go on.
///
/// # Errors
/// That is so.
pub(crate) fn enough(
    session: &pingora::proxy::Session,
    chat: &Chat,
    facts: &crate::edge::journey::Facts,
) -> pingora::Result<()> {
    let all = chat.money.out && session.body_bytes_sent() >= facts.bytes_out;
    if all { Err(answer::failed()) } else { Ok(()) }
}
