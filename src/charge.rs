//! Who pays when: the one table.
//!
//! | how a provider's part of a request ends | what the caller pays |
//! |---|---|
//! | it came to its proper end | all that the provider counted; our own count, marked as estimated, if it counted nothing |
//! | it came to its end with nothing in it: no completion token and no finish reason, or the finish reason `error` | nothing (zero completion insurance) |
//! | the client left before the first token; closing the connection stops the provider's bill | nothing |
//! | the client left before the first token; the provider bills on | the prompt |
//! | the client left after the first token | the prompt and what had come until then |
//! | the client left, and the provider is one that is drained | as if it had stayed |
//! | the provider failed before its first token | nothing |
//! | the provider broke off after its first token | the prompt and what had come |
//! | another provider went on with the answer | each part as above, by its own provider's prices |
//! | the credit was used up | the prompt and what had come |
//! | the cache answered | nothing |
//! | any of these, by the caller's own key at the provider | the configured fee, as a share of what would be paid |
//! | a second provider was asked in parallel and lost, whichever it was | nothing: what it cost is the operator's, and has a budget ([`crate::balance::hedge`]) |
//!
//! What has come is known exactly where the provider has reported on it, and is estimated and
//! marked so where it has not; an estimate never exceeds what was asked for, and the provider's own
//! numbers replace it as soon as they come, whenever that is before the end. What an operator finds
//! afterwards (`turnpike ledger reconcile`) is corrected by a transfer, never by changing a charge.
//!
//! When a client leaves, the connection to the provider is closed, or the answer is read to its end
//! where that is configured and the cache is not used ([`crate::catalog::Provider::drains`]). Whether the provider bills on is a
//! fact of the catalog ([`crate::catalog::Provider::bills_on`]).

use crate::catalog::Quote;
use crate::dialect::ir::FinishReason;
use crate::vocab::{NanoUsd, Usage};

/// How a provider's part of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It came to its proper end.
    Complete,
    /// The client left, and nobody read on.
    ClientLeft,
    /// The provider failed or broke off.
    Failed,
    /// The credit was used up.
    CreditOut,
}

/// What decides who pays for a provider's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How it ended.
    pub ended: Ended,
    /// The provider was sent the request.
    pub asked: bool,
    /// Something of the answer came that was meant for the client.
    pub begun: bool,
    /// The provider bills an answer although its connection is closed.
    pub bills_on: bool,
}

/// What the caller pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pays {
    /// Nothing.
    Nothing,
    /// The prompt.
    Prompt,
    /// The prompt and what had come of the answer.
    Delivered,
    /// All that was counted.
    Counted,
}

/// The table of the [module documentation](self).
pub const fn pays(part: Part) -> Pays {
    match part.ended {
        Ended::Complete => Pays::Counted,
        Ended::ClientLeft if part.begun => Pays::Delivered,
        Ended::ClientLeft if part.asked && part.bills_on => Pays::Prompt,
        Ended::Failed | Ended::CreditOut if part.begun => Pays::Delivered,
        Ended::ClientLeft | Ended::Failed | Ended::CreditOut => Pays::Nothing,
    }
}

/// Whether an answer that has come to its end has nothing in it.
pub const fn is_empty(usage: &Usage, finish: Option<FinishReason>) -> bool {
    match finish {
        Some(FinishReason::Error) => true,
        None => usage.completion == 0 && usage.images == 0,
        Some(
            FinishReason::Stop
            | FinishReason::Length
            | FinishReason::ToolCalls
            | FinishReason::ContentFilter,
        ) => false,
    }
}

/// What a caller pays for an answer that has come to its end.
pub fn cost(quote: &Quote, usage: &Usage, finish: Option<FinishReason>) -> NanoUsd {
    if is_empty(usage, finish) { NanoUsd::ZERO } else { quote.cost(usage) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Prices;
    use crate::vocab::PicoUsd;

    #[test]
    fn every_row_of_the_table() {
        use Ended::{ClientLeft, Complete, CreditOut, Failed};
        use Pays::{Counted, Delivered, Nothing, Prompt};
        for (ended, asked, begun, bills_on, expected) in [
            (Complete, true, true, false, Counted),
            (Complete, true, true, true, Counted),
            // The answer was read on; nothing of it went out.
            (Complete, true, false, true, Counted),
            (ClientLeft, false, false, true, Nothing),
            (ClientLeft, true, false, false, Nothing),
            (ClientLeft, true, false, true, Prompt),
            (ClientLeft, true, true, false, Delivered),
            (ClientLeft, true, true, true, Delivered),
            (Failed, true, false, false, Nothing),
            (Failed, true, false, true, Nothing),
            (Failed, true, true, false, Delivered),
            (Failed, true, true, true, Delivered),
            (CreditOut, true, true, false, Delivered),
            (CreditOut, true, false, true, Nothing),
        ] {
            let part = Part { ended, asked, begun, bills_on };
            assert_eq!(pays(part), expected, "{part:?}");
        }
    }

    #[test]
    fn an_answer_with_nothing_in_it_is_free() {
        let prices =
            Prices { prompt: PicoUsd(1_000), completion: PicoUsd(2_000), ..Prices::default() };
        let quote = Quote::from(prices);
        let usage = |completion| Usage { prompt: 5, completion, ..Usage::default() };
        for (completion, finish, nano) in [
            (0, None, 0),
            (0, Some(FinishReason::Error), 0),
            (7, Some(FinishReason::Error), 0),
            (7, None, 19),
            (0, Some(FinishReason::Stop), 5),
            (0, Some(FinishReason::ContentFilter), 5),
            (7, Some(FinishReason::Length), 19),
        ] {
            let cost = cost(&quote, &usage(completion), finish);
            assert_eq!(cost, NanoUsd(nano), "{completion} {finish:?}");
        }
    }
}
