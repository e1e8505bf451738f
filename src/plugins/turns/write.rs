//! What plugins changed → body.

use std::ops::Range;

use turnpike_plugin_api::{Request, Role, Text, Turn};

use super::{Place, Places};
use crate::dialect::json;
use crate::dialect::scan::{Form, Head, Key};

/// A range of the body and what stands there instead.
type Edit = (Range<usize>, Vec<u8>);

pub(super) fn write(
    places: &Places,
    head: &Head,
    body: &[u8],
    request: &Request,
) -> Option<Vec<u8>> {
    let told = request.instructions().join("\n\n");
    let mut edits: Vec<Edit> = Vec::new();
    let mut told = (!told.is_empty()).then_some(told);
    // Instructions go to the end of those that are there: to the last of the first turns that are
    // some.
    let instructed = told.as_ref().and_then(|_| last_instruction(request.turns(), places));
    for (i, (turn, place)) in request.turns().iter().zip(&places.turns).enumerate() {
        if turn.is_removed() {
            continue;
        }
        let here = if instructed == Some(i) { told.take() } else { None };
        texts(turn, place, here, body, &mut edits)?;
    }
    removals(request.turns(), places, body, &mut edits);
    let mut added = Vec::new();
    if let Some(told) = told {
        tell(head, &told, body, (&mut added, &mut edits));
    }
    Some(splice(head, body, &added, edits))
}

/// The last of the instructions before the conversation, if it has a place for more.
fn last_instruction(turns: &[Turn], places: &Places) -> Option<usize> {
    let first = turns.iter().take_while(|turn| turn.role == Role::System && !turn.is_removed());
    let last = first.count().checked_sub(1)?;
    let place = places.turns.get(last)?;
    (place.parts.is_some() || !place.texts.is_empty()).then_some(last)
}

/// Texts that were changed, and instructions that are added after the last of them.
fn texts(
    turn: &Turn,
    place: &Place,
    mut told: Option<String>,
    body: &[u8],
    edits: &mut Vec<Edit>,
) -> Option<()> {
    if let (Some(parts), Some(told)) = (&place.parts, told.take_if(|_| place.parts.is_some())) {
        // Before the list's closing bracket.
        let end = parts.end - 1;
        let comma = if is_empty(body, parts) { "" } else { "," };
        let mut part = Vec::with_capacity(told.len() + 32);
        part.extend_from_slice(comma.as_bytes());
        part.extend_from_slice(br#"{"type":"text","text":"#);
        json::string(&mut part, &told);
        part.push(b'}');
        edits.push((end..end, part));
    }
    let last = turn.texts.len().saturating_sub(1);
    for (i, (text, spot)) in turn.texts.iter().zip(&place.texts).enumerate() {
        let more = if i == last { told.take() } else { None };
        if !text.is_changed() && more.is_none() {
            continue;
        }
        edits.push((spot.span.clone(), spelled(text, spot.bare, more.as_deref())?));
    }
    Some(())
}

fn spelled(text: &Text, bare: bool, more: Option<&str>) -> Option<Vec<u8>> {
    if bare {
        // Arguments stay an object, or the provider would refuse them.
        let parsed: serde_json::Value = serde_json::from_str(text.as_str()).ok()?;
        return parsed.is_object().then(|| text.as_str().as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(text.as_str().len() + 2);
    match more {
        Some(more) => json::string(&mut out, &format!("{}\n\n{more}", text.as_str())),
        None => json::string(&mut out, text.as_str()),
    }
    Some(out)
}

/// Whether a list has nothing in it.
fn is_empty(body: &[u8], list: &Range<usize>) -> bool {
    let inside = body.get(list.start + 1..list.end - 1).unwrap_or_default();
    inside.iter().all(u8::is_ascii_whitespace)
}

/// Takes elements out of their array, each with the comma that goes with it.
fn removals(turns: &[Turn], places: &Places, body: &[u8], edits: &mut Vec<Edit>) {
    let all = turns.iter().zip(&places.turns);
    let elements: Vec<(bool, &Range<usize>)> = all
        .filter_map(|(turn, place)| Some((turn.is_removed(), place.element.as_ref()?)))
        .collect();
    let mut kept_before = false;
    for (i, (removed, span)) in elements.iter().enumerate() {
        if !removed {
            kept_before = true;
            continue;
        }
        let next = elements.get(i + 1).map(|(_, next)| next.start);
        // With the comma before it where something before it is kept, else with the one after it.
        let range = match next {
            _ if kept_before => comma_before(body, span.start)..span.end,
            Some(next) => span.start..next,
            None => (**span).clone(),
        };
        edits.push((range, Vec::new()));
    }
}

fn comma_before(body: &[u8], at: usize) -> usize {
    let before = body.get(..at).unwrap_or_default();
    before.iter().rposition(|b| *b == b',').unwrap_or(at)
}

/// Instructions where there are none.
fn tell(head: &Head, told: &str, body: &[u8], (added, edits): (&mut Vec<u8>, &mut Vec<Edit>)) {
    let member = |added: &mut Vec<u8>, key: Key, edits: &mut Vec<Edit>| {
        let mut value = Vec::new();
        json::string(&mut value, told);
        match head.field(key) {
            // It is there, but says nothing: null, or an empty text or list.
            Some(field) => {
                edits.push((field.value.start as usize..field.value.end as usize, value));
            }
            None => {
                json::string(added, key.name());
                added.push(b':');
                added.extend_from_slice(&value);
                added.push(b',');
            }
        }
    };
    match head.form {
        Form::Chat => {
            let Some(field) = head.field(Key::Messages) else { return };
            let at = field.value.start as usize + 1;
            let mut message = br#"{"role":"system","content":"#.to_vec();
            json::string(&mut message, told);
            message.extend_from_slice(b"},");
            edits.push((at..at, message));
        }
        Form::Messages => member(added, Key::System, edits),
        Form::Responses => member(added, Key::Instructions, edits),
        Form::Completions => {
            let Some(field) = head.field(Key::Prompt) else { return };
            let at = field.value.start as usize;
            if body.get(at) == Some(&b'"') {
                let mut before = Vec::new();
                json::escape(&mut before, &format!("{told}\n\n"));
                edits.push((at + 1..at + 1, before));
            }
        }
        // Nobody is told anything there.
        Form::Embeddings | Form::Rerank => {}
    }
}

fn splice(head: &Head, body: &[u8], added: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let inside = head.inside as usize;
    let mut out = Vec::with_capacity(body.len() + added.len() + grown);
    out.extend_from_slice(body.get(..inside).unwrap_or_default());
    out.extend_from_slice(added);
    let mut at = inside;
    for (range, new) in &edits {
        out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(new);
        at = at.max(range.end);
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}
