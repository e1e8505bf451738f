//! Answers keep what they say: what a surface streams, read by the reader of the same format, is
//! what went in. The identities of requests are beside the writers (`openai/write_tests.rs`,
//! `messages/roundtrip_tests.rs`, `responses/write_tests.rs`).

use proptest::prelude::*;

use super::frames::{Frames, Framing};
use super::ir::{Event, FinishReason, TokenLogprob, TopLogprob};
use super::openai::Host;
use super::{AnswerShape, Dialect, Surface};
use crate::vocab::Usage;

const CHOICE: u32 = 0;

fn piece() -> impl Strategy<Value = String> {
    const WORDS: [&str; 8] =
        ["a", "é\n", "\"\\", "\u{1f600} ", "\u{2028}", "{\"k\":", "data: x\r\n\r\n", "<a>"];
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn pieces(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(piece(), count)
}

/// A block of reasoning as a provider of this form shows it.
fn thought(format: &'static str) -> BoxedStrategy<Vec<Event>> {
    let choice = CHOICE;
    let signed = (pieces(1..4), piece()).prop_map(move |(texts, signature)| {
        let texts = texts.into_iter().map(|text| Event::Reasoning { choice, text });
        texts.chain([Event::ReasoningSignature { choice, signature }]).collect::<Vec<_>>()
    });
    let redacted =
        piece().prop_map(move |data| vec![Event::ReasoningEncrypted { choice, id: None, data }]);
    let item = (pieces(0..3), piece()).prop_map(move |(texts, data)| {
        let texts = texts.into_iter().map(|text| Event::ReasoningSummary { choice, text });
        let id = Some("rs".to_owned());
        texts.chain([Event::ReasoningEncrypted { choice, id, data }]).collect::<Vec<_>>()
    });
    match format {
        "openai-responses-v1" => item.boxed(),
        _ => prop_oneof![signed, redacted].boxed(),
    }
}

fn call(index: u32) -> impl Strategy<Value = Vec<Event>> {
    (piece(), 1_usize..6).prop_map(move |(text, size)| {
        let id = format!("call_{index}");
        let start = Event::ToolStart { choice: CHOICE, index, id, name: "f".into() };
        // Messages must have an object, and says so if a model wrote none.
        let json: Vec<char> = serde_json::json!({ "k": text }).to_string().chars().collect();
        let piece = |json: &[char]| Event::ToolArguments {
            choice: CHOICE,
            index,
            json: json.iter().collect(),
        };
        [start].into_iter().chain(json.chunks(size).map(piece)).collect()
    })
}

fn token() -> impl Strategy<Value = TokenLogprob> {
    let likely = || {
        let digits = prop::sample::select(&["-0.25", "-1E-7", "0", "-1921.2681557982014"][..]);
        let bytes = prop::option::of(prop::collection::vec(any::<u8>(), 0..4));
        (piece(), digits, bytes).prop_map(|(token, digits, bytes)| TopLogprob {
            token,
            logprob: digits.to_owned(),
            bytes,
        })
    };
    (likely(), prop::collection::vec(likely(), 0..3))
        .prop_map(|(chosen, top)| TokenLogprob { chosen, top })
}

/// A piece of text, after its tokens if the format has a place for them.
fn words(tokens: bool) -> impl Strategy<Value = Vec<Event>> {
    let choice = CHOICE;
    (piece(), prop::collection::vec(token(), 0..3)).prop_map(move |(text, list)| {
        let list = Some(list).filter(|list| tokens && !list.is_empty());
        let list = list.map(|tokens| Event::Logprobs { choice, refusal: false, tokens });
        list.into_iter().chain([Event::Text { choice, text }]).collect()
    })
}

/// A whole answer: thoughts, words and calls, in the order that every provider keeps.
fn answer(format: &'static str, tokens: bool) -> impl Strategy<Value = Vec<Event>> {
    let usage = Usage { prompt: 200, completion: 90, cache_read: 40, ..Usage::default() };
    let start = Event::Start { id: Some("up".into()), model: Some("m".into()) };
    let thoughts = prop::collection::vec(thought(format), 0..3);
    let calls = (0_usize..4)
        .prop_flat_map(|count| (0..u32::try_from(count).unwrap()).map(call).collect::<Vec<_>>());
    let texts = prop::collection::vec(words(tokens), 0..5);
    (thoughts, texts, calls, any::<bool>()).prop_map(move |(thoughts, texts, calls, long)| {
        let mut events = vec![start.clone()];
        events.extend(thoughts.into_iter().flatten());
        name_blocks(&mut events);
        events.extend(texts.into_iter().flatten());
        let reason = match (long, calls.is_empty()) {
            (true, _) => FinishReason::Length,
            (false, true) => FinishReason::Stop,
            (false, false) => FinishReason::ToolCalls,
        };
        events.extend(calls.into_iter().flatten());
        let native = reason.as_str().to_owned();
        events.push(Event::Finish { choice: CHOICE, reason, native, stop: None });
        events.push(Event::Usage(usage));
        events.push(Event::End);
        events
    })
}

/// No provider gives two blocks of an answer the same id.
fn name_blocks(events: &mut [Event]) {
    for (n, event) in (0..).zip(events) {
        if let Event::ReasoningEncrypted { id: Some(id), .. } = event {
            *id = format!("rs_{n}");
        }
    }
}

/// Streams the events in the surface's format and reads them as an answer of that format.
fn through(surface: Surface, dialect: Dialect, events: &[Event], cut: usize) -> Vec<Event> {
    let shape = AnswerShape {
        id: "gen-1".into(),
        model: "a/m".into(),
        reasoning_format: dialect.reasoning_format(),
        ..AnswerShape::default()
    };
    let (mut sink, mut wire) = (surface.stream_sink(&shape), Vec::new());
    events.iter().for_each(|event| sink.write(event, None, &mut wire));
    let mut frames = Frames::new(Framing::Sse).unwrap();
    let mut reader = dialect.reader(&Host::GENERIC, None);
    let mut got = Vec::new();
    for piece in wire.chunks(cut) {
        frames.push(piece, |frame| reader.read(&frame, &mut got)).unwrap();
    }
    frames.finish(|frame| reader.read(&frame, &mut got)).unwrap();
    got
}

/// The events without what each format spells in its own words, and with each run of pieces as
/// one; usage is what came last.
fn plain(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    let mut usage = None;
    for event in events {
        match (out.last_mut(), event) {
            (_, Event::Start { .. }) => {}
            (_, Event::Usage(seen)) => usage = Some(seen),
            (_, Event::Finish { choice, reason, .. }) => {
                out.push(Event::Finish { choice, reason, native: String::new(), stop: None });
            }
            (Some(Event::Text { text, .. }), Event::Text { text: more, .. })
            | (Some(Event::Reasoning { text, .. }), Event::Reasoning { text: more, .. })
            | (
                Some(Event::ReasoningSummary { text, .. }),
                Event::ReasoningSummary { text: more, .. },
            ) => text.push_str(&more),
            (
                Some(Event::ToolArguments { json, index, .. }),
                Event::ToolArguments { json: more, index: at, .. },
            ) if *index == at => json.push_str(&more),
            (_, event) => out.push(event),
        }
    }
    out.extend(usage.map(Event::Usage));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn messages_says_what_was_said(
        events in answer("anthropic-claude-v1", false),
        cut in 1_usize..200,
    ) {
        let got = through(Surface::Messages, Dialect::Anthropic, &events, cut);
        prop_assert_eq!(plain(got), plain(events));
    }

    #[test]
    fn responses_says_what_was_said(
        events in answer("openai-responses-v1", true),
        cut in 1_usize..200,
    ) {
        let got = through(Surface::Responses, Dialect::Responses, &events, cut);
        prop_assert_eq!(plain(got), plain(events));
    }

    #[test]
    fn chat_says_what_was_said(events in answer("anthropic-claude-v1", true), cut in 1_usize..200) {
        let got = through(Surface::Chat, Dialect::OpenAi, &events, cut);
        prop_assert_eq!(plain(got), plain(events));
    }
}
