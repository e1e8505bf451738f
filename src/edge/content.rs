//! The prompts and answers of accounts that have asked for them to be kept: gathered as they pass,
//! handed to [`crate::content`] at the end, served and deleted on demand.

use std::sync::Arc;

use bytes::Bytes;

use crate::content::{Job, Keeper, Kept, Owner, seal::SALT_LEN};
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::generation;
use crate::edge::journey::{Chat, Facts};
use crate::edge::local::data;
use crate::error::{GatewayError, Kind};
use crate::ledger::{GenerationRecord, KeyEntry};
use crate::terms::AccountTerms;

const DAY_MS: u64 = 86_400_000;

/// What is gathered of a request and its answer.
pub(crate) struct Gathered {
    keeper: Arc<Keeper>,
    days: u16,
    request: Bytes,
    answer: Vec<u8>,
    /// The answer has grown beyond what is kept: nothing of it is.
    too_large: bool,
}

impl Gathered {
    /// Begins with the request, if its account has asked for it.
    pub(crate) fn begin(
        gateway: &Gateway,
        terms: &AccountTerms,
        request: &Bytes,
    ) -> Option<Box<Self>> {
        let keeper = gateway.content.as_ref().filter(|_| terms.content_days > 0)?;
        Some(Box::new(Self {
            keeper: Arc::clone(keeper),
            days: terms.content_days,
            request: request.clone(),
            answer: Vec::new(),
            too_large: false,
        }))
    }

    /// Takes bytes that go to the client.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let len = (self.request.len() + self.answer.len() + bytes.len()) as u64;
        self.too_large |= len > self.keeper.generation_bytes_max();
        if self.too_large {
            self.answer = Vec::new();
        } else {
            self.answer.extend_from_slice(bytes);
        }
    }

    /// The last bytes did not go out after all; they come again.
    pub(crate) fn take_back(&mut self, len: usize) {
        self.answer.truncate(self.answer.len().saturating_sub(len));
    }
}

/// Hands over what was gathered.
pub(crate) fn keep(facts: &Facts, chat: &mut Chat, status: Option<u16>) {
    let Some(gathered) = chat.content.take() else { return };
    let Gathered { keeper, days, request, answer, too_large } = *gathered;
    let mut salt = [0; SALT_LEN];
    if too_large || getrandom::fill(&mut salt).is_err() {
        keeper.dropped();
        return;
    }
    let account = chat.caller.account().id().clone();
    let kept = Kept {
        form: chat.task.form(),
        stream: chat.ask.head.stream,
        status: status.unwrap_or(0),
        request,
        answer: answer.into(),
    };
    keeper.keep(Job {
        owner: Owner { account, generation: facts.id },
        last_day: facts.arrived_ms / DAY_MS + u64::from(days),
        salt,
        kept,
    });
}

/// Answers `GET /v1/generation/content?id=`.
///
/// # Errors
/// There is no such generation on the caller's account, nothing of it is kept, or it cannot be
/// read.
pub(crate) fn show(
    gateway: &Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> Result<Bytes, GatewayError> {
    let (keeper, record) = find(gateway, caller, id)?;
    let kept = keeper.find(&owner(&record), clock::unix_ms()).map_err(unreadable)?;
    let kept = kept.ok_or_else(nothing_kept)?;
    data(crate::content::show(&kept).map_err(|why| unreadable(std::io::Error::other(why)))?)
}

/// Answers `DELETE /v1/generation/content?id=`.
///
/// # Errors
/// As for [`show`]; or it cannot be deleted.
pub(crate) fn forget(
    gateway: &Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> Result<Bytes, GatewayError> {
    #[derive(serde::Serialize)]
    struct Deleted {
        deleted: bool,
    }
    let (keeper, record) = find(gateway, caller, id)?;
    match keeper.delete(&owner(&record)).map_err(unreadable)? {
        true => data(Deleted { deleted: true }),
        false => Err(nothing_kept()),
    }
}

fn find<'a>(
    gateway: &'a Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> Result<(&'a Keeper, Arc<GenerationRecord>), GatewayError> {
    let record = generation::find(gateway, caller, id)?;
    Ok((gateway.content.as_deref().ok_or_else(nothing_kept)?, record))
}

fn owner(record: &GenerationRecord) -> Owner {
    Owner { account: record.account.clone(), generation: record.id }
}

fn nothing_kept() -> GatewayError {
    GatewayError::new(
        Kind::NotFound,
        "Nothing is kept of this generation: its account had not asked for that (content_days), it \
         was too large, it has been deleted, or its time is over.",
    )
}

fn unreadable(error: std::io::Error) -> GatewayError {
    failure::internal("kept content cannot be read or deleted").with_detail(error.to_string())
}
