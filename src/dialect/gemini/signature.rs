//! Thought signatures: what proves to Gemini that it thought what led to a part.
//!
//! They stand beside a part, and must come back beside the same part. From generation 3 on, the
//! first call of every step since the user last spoke must have one, or the answer is a 400; for a
//! history that another model made, Google documents a stand-in (ai.google.dev, "Thought
//! signatures", 2026-11). The hub carries them as encrypted reasoning, with the id of the call that
//! they belong to.

use super::parts::Part;
use super::thinking::Model;
use crate::dialect::ir::{Assistant, ReasoningBlock, ReasoningBody};

/// Google's stand-in for a signature that does not exist.
const STAND_IN: &str = "skip_thought_signature_validator";

/// The name of the form in `reasoning_details`.
const FORMAT: &str = "google-gemini-v1";

/// Puts the signatures of a turn beside its parts.
///
/// One without a call's id belongs to the first call if that has none (generation 3 signs calls)
/// or to the last text (it signs the end of an answer without calls); generation 2.5 signs the
/// first part. Reasoning of another provider, and text of thoughts, is not handed back. The
/// stand-in goes beside every unsigned first call, not only the current ones, so that the prompt's
/// beginning stays the same and its cache is hit.
pub(super) fn sign<'r>(turn: &'r Assistant, parts: &mut [Part<'r>], model: Model) {
    let mut loose = None;
    for (id, signature) in turn.reasoning.iter().filter_map(signature) {
        let call = id.and_then(|id| turn.tool_calls.iter().position(|call| call.id == id));
        match call {
            Some(at) => {
                let mut calls = parts.iter_mut().filter_map(call_slot);
                if let Some(slot) = calls.nth(at) {
                    *slot = Some(signature);
                }
            }
            None => loose = Some(signature),
        }
    }
    if loose.is_some() {
        let place = if model.is_3_or_later() {
            let call = parts.iter().position(is_call);
            call.filter(|&at| call_slot(&mut parts[at]).is_some_and(|slot| slot.is_none()))
                .or_else(|| parts.iter().rposition(is_text))
        } else {
            parts.iter().position(|part| is_call(part) || is_text(part))
        };
        if let Some(Part::Text { signature, .. } | Part::Call { signature, .. }) =
            place.map(|at| &mut parts[at])
        {
            *signature = signature.or(loose);
        }
    }
    if model.is_3_or_later()
        && let Some(slot) = parts.iter_mut().find_map(call_slot)
    {
        slot.get_or_insert(STAND_IN);
    }
}

const fn is_call(part: &Part<'_>) -> bool {
    matches!(part, Part::Call { .. })
}

const fn is_text(part: &Part<'_>) -> bool {
    matches!(part, Part::Text { .. })
}

const fn call_slot<'p, 'r>(part: &'p mut Part<'r>) -> Option<&'p mut Option<&'r str>> {
    match part {
        Part::Call { signature, .. } => Some(signature),
        _ => None,
    }
}

/// The signature in a block of reasoning, and the call that it names.
fn signature(block: &ReasoningBlock) -> Option<(Option<&str>, &str)> {
    if block.format.as_deref() != Some(FORMAT) {
        return None;
    }
    let data = match &block.body {
        ReasoningBody::Encrypted(data) => data,
        ReasoningBody::Text { signature: Some(signature), .. } => signature,
        ReasoningBody::Text { signature: None, .. } | ReasoningBody::Summary(_) => return None,
    };
    Some((block.id.as_deref(), data.as_str())).filter(|(_, data)| !data.is_empty())
}
