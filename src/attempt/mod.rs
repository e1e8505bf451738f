//! What the outcome of one try means: the error-policy table.
//!
//! # The argument
//! Whether to try elsewhere, what to think of the endpoint and what to tell the client are three
//! answers to one question, and they must agree: a gateway that fails over on an
//! error for which it also blames the client, or that punishes an endpoint for a bad prompt, does
//! so because the answers stand in different places. Here they stand in one match ([`judge`])
//! without a wildcard, so that a new outcome does not compile until all three are given.
//!
//! | outcome | next | penalty of the endpoint | if all fail, the client sees |
//! |---|---|---|---|
//! | connection refused, DNS, TLS | another | failure | 502 |
//! | connect timeout | another | failure | 504 |
//! | connection reset before the first byte | another | failure | 502 |
//! | stale pooled connection | same endpoint, once | none | 502 |
//! | first token late, whole answer late | another | failure | 504 |
//! | silence between two events | another | failure | 504 |
//! | 429 | another | pause | 429 with the shortest `Retry-After` |
//! | 503, 529 (overloaded) | another | failure, and a pause if it says so | 503 |
//! | 408 | another | failure | 504 |
//! | 409 | another | none | 502 |
//! | other 5xx | another | failure | 502 |
//! | 401, 402, 403, 404 of the provider | another | long pause | 502: the operator's to cure |
//! | prompt too long for the endpoint | another | none | 400 |
//! | content policy | another | none | 403 |
//! | other 400, 413, 422 | give up | none | 400 with the provider's words |
//! | error inside a 200, before the first token | another | failure | 502 |
//! | empty, cut short, garbled or oversized answer | another | failure | 502 |
//! | cut after the first token | another, which goes on | failure | 502 |
//! | another's answer is not gone on with | another | none | 502 |
//! | another endpoint, asked beside it, answered first | give up | none; it is known to take so long | nobody looks |
//! | the client left | give up | none | nobody looks |
//! | the credit was used up | give up | none | 402 |
//! | a fault of our own | give up | none | 500 |
//!
//! What is charged is another table: see [`crate::charge`].
//!
//! Where a provider gave several keys, a 429, 401, 402 or 403 is a matter of the key alone: it rests
//! as long as the endpoint would, and the same endpoint is asked again with the next key; when all
//! rest the endpoint pauses until the first of them is back.
//!
//! "Another" and "same" turn into "give up" when semantic bytes are with the client and nobody can
//! go on with them, when no candidate or attempt is left, and when the retry budget is spent
//! ([`decide`]). A try that was to go on with another's answer and is refused as invalid (another
//! 400) may have been refused for how it was asked, so another is made. A stale pooled
//! connection that is stale a second time is a reset. Which of several errors the client sees is
//! [`combine`]'s to say.

mod combine;
mod outcome;
mod policy;

pub use combine::{AttemptReport, combine};
pub use outcome::Outcome;
pub use policy::{Context, Next, Penalty, Policy, decide, is_of_key, judge};

/// Limits on attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Endpoints that one request may try, 1 to 64. Default 4.
    pub attempts_max: u32,
    /// How often one stream may be gone on with elsewhere after it broke off, 0 to 4. Default 2.
    pub continuations_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { attempts_max: 4, continuations_max: 2 }
    }
}
