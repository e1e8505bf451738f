//! The event stream: any cut gives the same frames, and damage gives an error.

use proptest::prelude::*;

use super::{Decoder, encode};
use crate::dialect::AnswerFault;

type Got = (Vec<(String, String)>, Result<(), AnswerFault>);

/// The frames of a stream that comes in these pieces.
fn decode(limit: usize, pieces: &[&[u8]]) -> Got {
    let (mut decoder, mut frames) = (Decoder::new(limit), Vec::new());
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| {
            decoder.push(piece, |frame| {
                frames.push((frame.event.to_owned(), frame.data.to_owned()));
                Ok(())
            })
        });
        assert!(decoder.held() <= limit.max(8), "no more is kept than one frame");
    }
    (frames, result.and_then(|()| decoder.finish()))
}

/// A frame of these string headers, checksums and all.
fn framed(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let mut message = Message::new(payload.to_vec());
    for (name, value) in headers {
        let value = HeaderValue::String((*value).to_owned().into());
        message = message.add_header(Header::new((*name).to_owned(), value));
    }
    let mut out = Vec::new();
    aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
    out
}

fn in_band(code: &str, message: &str) -> Result<(), AnswerFault> {
    Err(AnswerFault::InBand { code: Some(code.into()), message: message.into() })
}

#[test]
fn a_frame_is_as_aws_documents_it() {
    let frame = encode("messageStop", r#"{"stopReason":"end_turn"}"#);
    let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(number(0), frame.len());
    let headers = b"\x0b:event-type\x07\x00\x0bmessageStop\
        \x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event";
    assert_eq!(number(4), headers.len());
    assert_eq!(&frame[12..12 + headers.len()], headers);
    assert_eq!(&frame[12 + headers.len()..frame.len() - 4], br#"{"stopReason":"end_turn"}"#);
    let (frames, result) = decode(1 << 20, &[&frame]);
    assert_eq!(frames, [("messageStop".to_owned(), r#"{"stopReason":"end_turn"}"#.to_owned())]);
    assert_eq!(result, Ok(()));
}

#[test]
fn exceptions_and_errors_are_told() {
    let (frames, result) = decode(1 << 20, &[&encode("throttlingException", "{}")]);
    assert_eq!((frames.len(), result), (1, Ok(())), "a reader knows it by its name");
    let odd = [(":message-type", "exception"), (":exception-type", "modelTimeout")];
    let (frames, result) = decode(1 << 20, &[&framed(&odd, br#"{"message":"slow"}"#)]);
    assert_eq!((frames.len(), result), (0, in_band("modelTimeout", "slow")));
    let error = [
        (":message-type", "error"),
        (":error-code", "InternalFailure"),
        (":error-message", "broken"),
    ];
    let (frames, result) = decode(1 << 20, &[&framed(&error, b"")]);
    assert_eq!((frames.len(), result), (0, in_band("InternalFailure", "broken")));
    let future = framed(&[(":message-type", "hint")], b"x");
    assert_eq!(decode(1 << 20, &[&future]), (Vec::new(), Ok(())));
    let latin = framed(&[(":message-type", "event"), (":event-type", "a")], b"\xe9");
    assert!(matches!(decode(1 << 20, &[&latin]).1, Err(AnswerFault::Garbled(_))));
}

#[test]
fn lengths_are_judged_before_anything_is_kept() {
    let lengths = |total: u32, headers: u32| [total.to_be_bytes(), headers.to_be_bytes()].concat();
    let fault = |bytes: &[u8]| decode(1 << 20, &[bytes]).1.unwrap_err();
    assert_eq!(fault(&lengths(u32::MAX, 0)), AnswerFault::TooLarge);
    assert_eq!(fault(&lengths((1 << 20) + 1, 0)), AnswerFault::TooLarge);
    assert_eq!(fault(&lengths(1 << 20, 0)), AnswerFault::Truncated, "the largest that may come");
    for (total, headers) in [(0, 0), (15, 0), (16, 1), (100, 85), (1 << 20, 16 * 1024 + 1)] {
        let fault = fault(&lengths(total, headers));
        assert!(matches!(fault, AnswerFault::Garbled(_)), "{total} {headers}: {fault}");
    }
    // Many headers, of which none says anything.
    let many = vec![("", ""); 5000];
    assert!(matches!(fault(&framed(&many, b"")), AnswerFault::Garbled(_)));
}

#[test]
fn any_cut_gives_the_same_frames_and_none_is_complete() {
    let frames = [
        encode("messageStart", r#"{"role":"assistant"}"#),
        encode("contentBlockDelta", &format!(r#"{{"text":"{}"}}"#, "é".repeat(200))),
        encode("messageStop", "{}"),
    ];
    let stream = frames.concat();
    let whole = decode(1 << 20, &[&stream]);
    assert_eq!((whole.0.len(), &whole.1), (3, &Ok(())));
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(1 << 20, &bytes), whole, "byte by byte");
    let ends: Vec<usize> = [0, frames[0].len(), frames[0].len() + frames[1].len()].into();
    for cut in 0..stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(decode(1 << 20, &[head, tail]), whole, "{cut}");
        let complete = ends.contains(&cut);
        assert_eq!(decode(1 << 20, &[head]).1.is_ok(), complete, "{cut}");
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let stream = encode("contentBlockDelta", r#"{"delta":{"text":"Hello"}}"#);
    for bit in 0..stream.len() * 8 {
        let mut damaged = stream.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (frames, result) = decode(1 << 20, &[&damaged]);
        assert!(frames.is_empty() && result.is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn frames_survive_any_cuts(
        payloads in prop::collection::vec("\\PC{0,60}", 0..6),
        cuts in prop::collection::vec(0_usize..2000, 0..8),
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|text| encode("e", text)).collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|at| &stream[at[0]..at[1]]).collect();
        let (frames, result) = decode(4096, &pieces);
        prop_assert_eq!(result, Ok(()));
        let got: Vec<&str> = frames.iter().map(|(_, data)| data.as_str()).collect();
        prop_assert_eq!(got, payloads);
    }

    #[test]
    fn hostile_bytes_are_an_error_or_wait_within_bounds(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        total in 0_u32..500,
        headers in 0_u32..500,
        size in 1_usize..50,
    ) {
        let mut stream = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        stream.extend(bytes);
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (frames, result) = decode(256, &pieces);
        prop_assert!(frames.is_empty() && result.is_err());
    }
}
