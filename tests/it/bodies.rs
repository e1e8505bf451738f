//! Request bodies of every size and framing reach the provider byte for byte.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Provider, Running};

use crate::support::client::{read_answer, read_head};
use crate::support::gateway::{MODEL, free};
use crate::support::h2::{H2, Tls};
use crate::support::{Client, Gateway, Setup, ask, providers};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// What a body may have by default.
const LIMIT: usize = 64 * MIB;
/// The model's name at the provider: shorter than [`MODEL`], so that no length stays as it was.
const UPSTREAM: &str = "m";

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked,
    Http2,
}

const FRAMINGS: [Framing; 3] = [Framing::Length, Framing::Chunked, Framing::Http2];

/// A gateway with every framing, over one good provider and some that fail.
struct Stage {
    providers: Running,
    gateway: Gateway,
    http2: H2,
    _tls: Tls,
}

impl Stage {
    fn new(bad: &[(&str, Fault)], settings: &[&str]) -> Self {
        let mut wanted = vec![("good", Dialect::OpenAi)];
        wanted.extend(bad.iter().map(|(id, _)| (*id, Dialect::OpenAi)));
        let providers = providers(&wanted);
        for (id, fault) in bad {
            provider(&providers, id).set(Behaviour::failing(*fault)).expect("a behaviour");
        }
        let (tls, address) = (Tls::new(), free());
        let mut setup = Setup { upstream_model: Some(UPSTREAM), ..Setup::default() };
        setup.settings.push(("server", tls.settings(address)));
        setup.settings.extend(settings.iter().map(|line| ("server", (*line).to_owned())));
        let mut gateway = Gateway::start(&providers, &setup);
        gateway.until_it_accepts(address);
        let http2 = H2::connect(address, &tls, &gateway.key);
        Self { providers, gateway, http2, _tls: tls }
    }

    fn good(&self) -> Provider {
        provider(&self.providers, "good")
    }

    /// Sends a body of this size, through `first` if one is named, and checks what arrived.
    fn pass(&self, client: &mut Client, framing: Framing, size: usize, first: Option<&str>) {
        let body = body(size, first.unwrap_or("good"));
        assert_eq!(body.len(), size);
        let context = format!("{size} bytes, {framing:?}, first {first:?}");
        let before = self.good().stats().requests;
        let expected = expected(&body, first.unwrap_or("good"));
        let answer = match framing {
            Framing::Length => client.chat(&body),
            Framing::Chunked => client.exchange(&chunked(&self.gateway.key, body.as_bytes())),
            Framing::Http2 => self.http2.chat(Bytes::from(body), &[]),
        };
        assert!(answer.is_good(), "{context}: {} {}", answer.status, answer.text());
        if let Some(first) = first {
            assert_eq!(provider(&self.providers, first).stats().requests, 1, "{context}: tried");
        }
        let good = self.good();
        assert_eq!(good.stats().requests, before + 1, "{context}: asked once");
        let seen = good.last_request().expect("a request");
        assert_eq!(seen.body_len, expected.len(), "{context}: length");
        assert_eq!(seen.body_blake3(), blake3::hash(expected.as_bytes()), "{context}: content");
    }
}

fn provider(providers: &Running, id: &str) -> Provider {
    providers.provider(id).expect("a provider")
}

fn head(first: &str) -> String {
    format!(
        r#"{{"model":"{MODEL}","provider":{{"order":["{first}","good"]}},"max_tokens":4,"messages":[{{"role":"user","content":""#
    )
}

const TAIL: &str = r#""}]}"#;

/// A request of exactly this size.
fn body(size: usize, first: &str) -> String {
    let mut body = String::with_capacity(size);
    body.push_str(&head(first));
    // Not a constant byte: a piece that is lost, doubled or moved must show.
    let mut count = 0_u64;
    while body.len() + TAIL.len() < size {
        body.push_str(&format!("{count:x} "));
        count += 1;
    }
    body.truncate(size - TAIL.len());
    body.push_str(TAIL);
    body
}

/// The same request as the provider must see it.
fn expected(body: &str, first: &str) -> String {
    let head = head(first);
    let preferences = format!(r#""provider":{{"order":["{first}","good"]}},"#);
    let spliced = head.replace(&preferences, "").replace(MODEL, UPSTREAM);
    format!("{spliced}{}", &body[head.len()..])
}

/// A request with a chunked body, in chunks of odd sizes.
fn chunked(key: &str, body: &[u8]) -> Vec<u8> {
    let mut raw = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    raw.reserve(body.len() + body.len() / 64 + 1024);
    let mut rest = body;
    for size in [1, 7, 4_093, 65_537, 3, 262_147].into_iter().cycle() {
        let (chunk, left) = rest.split_at(size.min(rest.len()));
        raw.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        raw.extend_from_slice(chunk);
        raw.extend_from_slice(b"\r\n");
        if chunk.is_empty() {
            return raw;
        }
        rest = left;
    }
    raw
}

/// A request with `Content-Length`.
fn plain(key: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The server has closed, and sent nothing more.
fn assert_closed(stream: &mut BufReader<TcpStream>) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "more came: {}", String::from_utf8_lossy(&rest));
    let reset = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(end.as_ref().err().is_none_or(reset), "still open: {end:?}");
}

#[test]
fn bodies_around_every_boundary_arrive_whole() {
    let stage = Stage::new(&[], &[]);
    let mut client = stage.gateway.client();
    let edges = [KIB * 64, KIB * 128, MIB];
    let mut sizes = vec![200, 4_096, 65_536 - 512];
    sizes.extend(edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]));
    for framing in FRAMINGS {
        for &size in &sizes {
            stage.pass(&mut client, framing, size, None);
        }
    }
}

#[test]
fn large_bodies_arrive_whole_up_to_the_limit() {
    let stage = Stage::new(&[], &[]);
    let mut client = stage.gateway.client();
    for framing in FRAMINGS {
        stage.pass(&mut client, framing, 32 * MIB, None);
    }
    stage.pass(&mut client, Framing::Chunked, LIMIT, None);
}

/// Sizes and framings, each with a provider of its own that fails in this way.
fn through_a_fallback(cases: &[(Framing, usize)], fault: Fault) {
    let ids: Vec<String> = (0..cases.len()).map(|n| format!("bad{n}")).collect();
    let bad: Vec<_> = ids.iter().map(|id| (id.as_str(), fault)).collect();
    let stage = Stage::new(&bad, &[]);
    let mut client = stage.gateway.client();
    for ((framing, size), id) in cases.iter().zip(&ids) {
        stage.pass(&mut client, *framing, *size, Some(id));
    }
}

/// Every framing of sizes below, at and above Pingora's buffer.
fn small_cases() -> Vec<(Framing, usize)> {
    let sizes = [210, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB + 1, MIB + 1];
    FRAMINGS.iter().flat_map(|f| sizes.iter().map(|size| (*f, *size))).collect()
}

#[test]
fn a_provider_that_refuses_costs_no_byte() {
    through_a_fallback(&small_cases(), Fault::Status(429));
}

#[test]
fn a_provider_that_resets_costs_no_byte() {
    through_a_fallback(&small_cases(), Fault::Reset);
}

#[test]
fn the_largest_bodies_survive_a_fallback() {
    let cases = [(Framing::Length, LIMIT), (Framing::Chunked, 32 * MIB), (Framing::Http2, LIMIT)];
    through_a_fallback(&cases, Fault::Status(503));
}

#[test]
fn a_byte_above_the_limit_is_refused_and_the_client_hears_it() {
    let stage = Stage::new(&[], &[]);
    let body = body(LIMIT + 1, "good");
    for framing in FRAMINGS {
        let answer = match framing {
            Framing::Http2 => stage.http2.chat(Bytes::from(body.clone()), &[]),
            Framing::Length => refused(&stage, &plain(&stage.gateway.key, "", &body)),
            Framing::Chunked => refused(&stage, &chunked(&stage.gateway.key, body.as_bytes())),
        };
        assert_eq!(answer.status, 413, "{framing:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["metadata"]["error_type"], "payload_too_large");
        assert!(answer.whole, "{framing:?}");
    }
    assert_eq!(stage.good().stats().requests, 0);
    let mut client = stage.gateway.client();
    stage.pass(&mut client, Framing::Http2, 100 * KIB, None);
}

/// Sends all of a request as a simple client does, before it reads the answer.
fn refused(stage: &Stage, raw: &[u8]) -> crate::support::Answer {
    let mut stream = stage.gateway.client().connect();
    stream.get_mut().write_all(raw).expect("the whole request is taken");
    let (answer, keep) = read_answer(&mut stream).expect("an answer");
    assert!(!keep, "the rest of the body is not worth reading");
    answer
}

#[test]
fn bodies_without_sense_are_refused_in_every_framing() {
    let stage = Stage::new(&[], &[]);
    let mut client = stage.gateway.client();
    for text in ["", "1", "{", "{}", "[]"] {
        let answers = [
            client.chat(text),
            client.exchange(&chunked(&stage.gateway.key, text.as_bytes())),
            stage.http2.chat(Bytes::from_static(text.as_bytes()), &[]),
        ];
        for answer in answers {
            assert_eq!(answer.status, 400, "{text:?}: {}", answer.text());
        }
    }
    // A body that no parser likes, of a size that goes through a rebuilt session.
    let junk = vec![b'['; 200 * KIB];
    let answer = client.exchange(&chunked(&stage.gateway.key, &junk));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(stage.good().stats().requests, 0);
    stage.pass(&mut client, Framing::Length, 300, None);
}

#[test]
fn a_connection_is_kept_through_bodies_of_every_framing() {
    let stage = Stage::new(&[], &[]);
    let mut stream = stage.gateway.client().connect();
    let key = &stage.gateway.key;
    for round in 0..12 {
        let size = [300, 200 * KIB, 64 * KIB + 1, 70 * KIB][round % 4];
        let body = body(size, "good");
        let raw =
            if round % 3 == 0 { plain(key, "", &body) } else { chunked(key, body.as_bytes()) };
        stream.get_mut().write_all(&raw).expect("the connection is open");
        let (answer, keep) = read_answer(&mut stream).expect("an answer");
        assert!(answer.is_good() && keep, "round {round}, {size} bytes: {answer:?}");
        let seen = stage.good().last_request().expect("a request");
        let expected = expected(&body, "good");
        assert_eq!(seen.body_blake3(), blake3::hash(expected.as_bytes()), "round {round}");
    }
}

#[test]
fn nothing_informational_reaches_the_client_unasked() {
    let stage = Stage::new(&[], &[]);
    for streamed in [false, true] {
        let body = ask(MODEL, &"long ".repeat(20_000), streamed, 4);
        let mut stream = stage.gateway.client().connect();
        let raw = chunked(&stage.gateway.key, body.as_bytes());
        stream.get_mut().write_all(&raw).expect("the connection is open");
        let status = read_head(&mut stream, &mut Vec::new()).expect("a head");
        assert_eq!(status, 200, "streamed {streamed}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let stage = Stage::new(&[], &[]);
    let key = &stage.gateway.key;
    let encode = |framing: Framing, body: &str| match framing {
        Framing::Chunked => chunked(key, body.as_bytes()),
        Framing::Length | Framing::Http2 => plain(key, "", body),
    };
    let (length, chunks) = (Framing::Length, Framing::Chunked);
    for (first, first_size, second, second_size) in [
        (length, 300, length, 310),
        (length, 70 * KIB, length, 300),
        (chunks, 300, length, 300),
        (chunks, 100 * KIB, length, 300),
        (chunks, 100 * KIB, chunks, 90 * KIB),
        (length, 300, chunks, 200 * KIB),
    ] {
        let context = format!("{first:?} {first_size}, {second:?} {second_size}");
        let before = stage.good().stats().requests;
        let last = body(second_size, "good");
        let mut raw = encode(first, &body(first_size, "good"));
        raw.extend(encode(second, &last));
        let mut stream = stage.gateway.client().connect();
        stream.get_mut().write_all(&raw).expect("the connection is open");
        for number in [1, 2] {
            let (answer, keep) = read_answer(&mut stream)
                .unwrap_or_else(|e| panic!("{context}: no answer {number}: {e}"));
            assert!(answer.is_good() && keep, "{context}: answer {number}: {answer:?}");
        }
        assert_eq!(stage.good().stats().requests, before + 2, "{context}");
        let seen = stage.good().last_request().expect("a request");
        let expected = expected(&last, "good");
        assert_eq!(seen.body_blake3(), blake3::hash(expected.as_bytes()), "{context}");
    }
}

#[test]
fn a_client_that_wants_to_close_is_obeyed() {
    let stage = Stage::new(&[], &[]);
    let key = &stage.gateway.key;
    for size in [300, 100 * KIB] {
        let text = body(size, "good");
        let mut big = chunked(key, text.as_bytes());
        let at = big.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        big.splice(at..at, b"\r\nconnection: close".iter().copied());
        for raw in [plain(key, "connection: close\r\n", &text), big] {
            let mut stream = stage.gateway.client().connect();
            stream.get_mut().write_all(&raw).expect("the connection is open");
            let (answer, keep) = read_answer(&mut stream).expect("an answer");
            assert!(answer.is_good() && !keep, "{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert_closed(&mut stream);
        }
    }
}

#[test]
fn a_client_that_asks_may_go_on() {
    let stage = Stage::new(&[], &[]);
    let mut stream = stage.gateway.client().connect();
    for size in [300, 64 * KIB + 1, MIB] {
        let body = body(size, "good");
        let raw = plain(&stage.gateway.key, "expect: 100-continue\r\n", &body);
        let (head, rest) = raw.split_at(raw.len() - body.len());
        stream.get_mut().write_all(head).expect("the connection is open");
        let status = read_head(&mut stream, &mut Vec::new()).expect("a head");
        assert_eq!(status, 100, "{size} bytes");
        stream.get_mut().write_all(rest).expect("the connection is open");
        let status_and_keep = read_answer(&mut stream).expect("an answer");
        assert!(status_and_keep.0.is_good(), "{size} bytes: {:?}", status_and_keep.0);
        assert!(status_and_keep.1, "{size} bytes: the connection is kept");
        let seen = stage.good().last_request().expect("a request");
        assert_eq!(seen.body_len, expected(&body, "good").len());
    }
    // Who may not go on hears it instead of 100.
    let raw = plain("sk-wrong", "expect: 100-continue\r\n", &body(300, "good"));
    let mut stream = stage.gateway.client().connect();
    let head = raw.len() - 300;
    stream.get_mut().write_all(&raw[..head]).expect("the connection is open");
    let status = read_head(&mut stream, &mut Vec::new()).expect("a head");
    assert_eq!(status, 401);
}

#[test]
fn a_body_that_stops_is_given_up() {
    let stage = Stage::new(&[], &["request_body_timeout_ms = 400"]);
    let text = body(200 * KIB, "good");
    for raw in [plain(&stage.gateway.key, "", &text), chunked(&stage.gateway.key, text.as_bytes())]
    {
        let mut stream = stage.gateway.client().connect();
        stream.get_mut().write_all(&raw[..raw.len() / 2]).expect("the connection is open");
        let (answer, keep) = read_answer(&mut stream).expect("an answer");
        assert_eq!(answer.status, 408, "{}", answer.text());
        assert_eq!(answer.json()["error"]["metadata"]["error_type"], "timeout");
        assert!(!keep);
        assert_closed(&mut stream);
    }
    assert_eq!(stage.good().stats().requests, 0);
}

#[test]
fn a_body_that_trickles_is_given_up() {
    let stage = Stage::new(&[], &["request_body_timeout_ms = 1000"]);
    let raw = plain(&stage.gateway.key, "", &body(4 * KIB, "good"));
    let mut stream = stage.gateway.client().connect();
    let mut reader = BufReader::new(stream.get_ref().try_clone().expect("a socket"));
    let trickle = std::thread::spawn(move || {
        for byte in raw {
            // Each pause is short enough; all of them together are not.
            std::thread::sleep(Duration::from_millis(1));
            if stream.get_mut().write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    let (answer, _) = read_answer(&mut reader).expect("an answer");
    assert_eq!(answer.status, 408, "{}", answer.text());
    trickle.join().expect("a thread");
}

#[test]
fn a_steady_body_may_take_longer_than_a_pause() {
    let stage = Stage::new(&[], &["request_body_timeout_ms = 1500"]);
    let text = body(320 * KIB, "good");
    let raw = plain(&stage.gateway.key, "", &text);
    let mut stream = stage.gateway.client().connect();
    for part in raw.chunks(raw.len() / 8 + 1) {
        stream.get_mut().write_all(part).expect("the connection is open");
        std::thread::sleep(Duration::from_millis(250));
    }
    let (answer, _) = read_answer(&mut stream).expect("an answer");
    assert!(answer.is_good(), "{answer:?}");
}

#[test]
fn a_client_that_leaves_in_its_body_reaches_no_provider() {
    let stage = Stage::new(&[], &[]);
    let text = body(300 * KIB, "good");
    for raw in [plain(&stage.gateway.key, "", &text), chunked(&stage.gateway.key, text.as_bytes())]
    {
        let mut stream = stage.gateway.client().connect();
        stream.get_mut().write_all(&raw[..raw.len() / 2]).expect("the connection is open");
        stream.get_ref().shutdown(std::net::Shutdown::Write).expect("a socket");
        assert_closed(&mut stream);
    }
    let mut client = stage.gateway.client();
    stage.pass(&mut client, Framing::Length, 300, None);
    assert_eq!(stage.good().stats().requests, 1);
}
