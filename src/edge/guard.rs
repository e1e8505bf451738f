//! Who may ask at all, and how much at the same time: before a body is read or a plan is made.
//!
//! The order of what is checked, from the cheapest to what needs the plan: the credential (401,
//! `auth`), what the key is for (403), requests in a minute and at the same time (429), an account
//! below zero (402); once the body is read, models and providers (403, `route`), tokens in a minute
//! (429), credit and the limits of spending (402, 403).

use std::sync::Arc;
use std::time::Duration;

use crate::error::{GatewayError, Kind, RateLimit};
use crate::ledger::KeyEntry;
use crate::limits::{Counted, Over, What};
use crate::terms::{AccountTerms, KeyTerms, OrganisationTerms, Policy, Rates};
use crate::vocab::{AccountId, NanoUsd};

/// The terms that a request came under. They hold to its end, whatever changes meanwhile.
pub(crate) struct Rules {
    pub(crate) key: Arc<KeyTerms>,
    pub(crate) account: Arc<AccountTerms>,
    organisation: Option<Arc<OrganisationTerms>>,
}

impl Rules {
    fn of(caller: &KeyEntry) -> Self {
        let account = caller.account();
        let organisation = account.organisation().map(|organisation| organisation.terms());
        Self { key: Arc::clone(&caller.terms()), account: account.terms(), organisation }
    }

    /// What restricts models, providers and data, at most three policies.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        let organisation = self.organisation.as_ref().map(|organisation| &organisation.policy);
        let all = [Some(&self.key.policy), Some(&self.account.policy), organisation];
        all.into_iter().flatten().filter(|policy| !policy.is_open())
    }

    /// What of these rules decides which answer a request gets, spelled: the same for all callers
    /// with the same policies and the same suffix of their own, and empty for those with neither.
    ///
    /// # Errors
    /// It cannot be spelled; then nothing may be shared.
    pub(crate) fn spelled(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(variant) = &self.key.variant {
            serde_json::to_writer(&mut text, variant)?;
        }
        for policy in self.policies() {
            serde_json::to_writer(&mut text, policy)?;
        }
        Ok(text)
    }

    /// The rates of the account's own count.
    fn shared(&self) -> Rates {
        let own = self.account.policy.rates();
        self.organisation.as_ref().map_or(own, |above| own.and(above.policy.rates()))
    }
}

/// A request that was let in. It counts as running until this is dropped.
pub(crate) struct Admission {
    caller: Arc<KeyEntry>,
    pub(crate) rules: Rules,
    /// Tokens counted ahead, with the key and with the account.
    counted: [Option<Counted>; 2],
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.caller.meter().leave();
        self.caller.account().meter().leave();
    }
}

impl Admission {
    /// The account that pays.
    pub(crate) fn account(&self) -> &AccountId {
        self.caller.account().id()
    }

    /// Lets a request in that asks a model.
    ///
    /// # Errors
    /// 403: the key is for management. 429: a limit of requests. 402: the account is below zero.
    pub(crate) fn new(caller: &Arc<KeyEntry>, now_ms: u64) -> Result<Self, GatewayError> {
        let rules = Rules::of(caller);
        if rules.key.management {
            return Err(GatewayError::new(
                Kind::Forbidden,
                "This is a management key: it manages keys and cannot ask models. Use another key.",
            ));
        }
        let (own, account) = (rules.key.policy.rates(), caller.account());
        caller.meter().enter(own, now_ms).map_err(|over| reached(&over, "key", now_ms))?;
        if let Err(over) = account.meter().enter(rules.shared(), now_ms) {
            caller.meter().take_back(own, now_ms);
            return Err(reached(&over, "account", now_ms));
        }
        let admission = Self { caller: Arc::clone(caller), rules, counted: [None; 2] };
        let available = account.available();
        if available < NanoUsd::ZERO && account.balance().balance < NanoUsd::ZERO {
            let text = format!(
                "The account's balance is ${}, below zero. Add credit; until then free models \
                 cannot be asked either.",
                account.balance().balance
            );
            return Err(GatewayError::new(Kind::InsufficientCredits, text));
        }
        Ok(admission)
    }

    /// Counts the tokens that a request is going to need, before it is sent to a provider.
    ///
    /// # Errors
    /// 429: a limit of tokens.
    pub(crate) fn count(&mut self, tokens: u64, now_ms: u64) -> Result<(), GatewayError> {
        let own = self.rules.key.policy.rates();
        let counted = self.caller.meter().count(own, tokens, now_ms);
        self.counted[0] = counted.map_err(|over| too_many(&over, "key", tokens, now_ms))?;
        let shared = self.caller.account().meter().count(self.rules.shared(), tokens, now_ms);
        match shared {
            Ok(counted) => self.counted[1] = counted,
            Err(over) => {
                self.correct(0);
                return Err(too_many(&over, "account", tokens, now_ms));
            }
        }
        Ok(())
    }

    /// Corrects what was counted ahead by what was used.
    pub(crate) fn correct(&mut self, tokens: u64) {
        let [own, shared] = std::mem::take(&mut self.counted);
        if let Some(counted) = own {
            self.caller.meter().correct(counted, tokens);
        }
        if let Some(counted) = shared {
            self.caller.account().meter().correct(counted, tokens);
        }
    }
}

fn reached(over: &Over, whose: &str, now_ms: u64) -> GatewayError {
    let (limit, wait) = (over.limit, seconds(over, now_ms));
    let text = match over.what {
        What::Concurrency => format!(
            "This {whose} may have {limit} requests at the same time, and has. Wait for one of them \
             to end."
        ),
        What::Requests | What::Tokens => format!(
            "This {whose} may make {limit} requests in a minute, and has. Try again in {wait} seconds."
        ),
    };
    limited(over, text, now_ms)
}

fn too_many(over: &Over, whose: &str, tokens: u64, now_ms: u64) -> GatewayError {
    let Over { limit, left, .. } = over;
    let text = if tokens > *limit {
        format!(
            "This request may need {tokens} tokens, and this {whose} may use {limit} in a minute: it \
             can never be answered. Shorten it, or lower max_tokens."
        )
    } else {
        let wait = seconds(over, now_ms);
        format!(
            "This request may need {tokens} tokens; of the {limit} in a minute that this {whose} may \
             use {left} are left. Try again in {wait} seconds, or lower max_tokens."
        )
    };
    limited(over, text, now_ms)
}

fn seconds(over: &Over, now_ms: u64) -> u64 {
    over.reset_ms.saturating_sub(now_ms).div_ceil(1_000).max(1)
}

fn limited(over: &Over, text: String, now_ms: u64) -> GatewayError {
    let Over { limit, left, reset_ms, .. } = *over;
    GatewayError::new(Kind::RateLimited, text)
        .with_retry_after(Duration::from_secs(seconds(over, now_ms)))
        .with_limit(RateLimit { limit, remaining: left, reset_ms })
}
