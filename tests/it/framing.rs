//! Requests that two parsers could read differently, heads, and the shape of refusals.

use std::collections::HashSet;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Running};

use crate::support::client::read_answer;
use crate::support::gateway::{MODEL, free};
use crate::support::h2::{H2, Tls};
use crate::support::{Answer, Client, Gateway, Setup, ask, providers};

fn stage() -> (Running, Gateway) {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&providers, &Setup::default());
    (providers, gateway)
}

fn upstream_requests(providers: &Running) -> u64 {
    providers.providers().iter().map(|p| p.stats().requests).sum()
}

/// Writes bytes and gives everything that comes until the server closes.
fn until_closed(gateway: &Gateway, raw: &[u8], context: &str) -> String {
    let mut stream = gateway.client().connect();
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(15))).expect("a socket option");
    // The server may have refused before the last byte.
    let _refused = stream.get_mut().write_all(raw);
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("{context}: still open: {e}; got {}", String::from_utf8_lossy(&all)),
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A valid request that must never be seen as one of its own.
fn smuggled(gateway: &Gateway) -> String {
    let body = ask(MODEL, "smuggled", false, 4);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    )
}

#[test]
fn ambiguous_requests_are_refused_and_smuggle_nothing() {
    let (providers, gateway) = stage();
    let inner = smuggled(&gateway);
    let body = ask(MODEL, "outer", false, 4);
    let n = body.len();
    let chunked = format!("{n:x}\r\n{body}\r\n0\r\n\r\n");
    let both = format!("content-length: {n}\r\ntransfer-encoding: chunked\r\n");
    let cases: Vec<(&str, String, String)> = vec![
        ("CL then TE", both.clone(), chunked.clone()),
        ("CL then TE, body by length", both, body.clone()),
        (
            "TE then CL",
            format!("transfer-encoding: chunked\r\ncontent-length: {n}\r\n"),
            chunked.clone(),
        ),
        ("CL.0", "content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned(), chunked.clone()),
        ("CL twice", format!("content-length: {n}\r\ncontent-length: {n}\r\n"), body.clone()),
        ("CL twice, other", format!("content-length: {n}\r\ncontent-length: 0\r\n"), body.clone()),
        ("CL list", format!("content-length: {n}, {n}\r\n"), body.clone()),
        ("CL signed", format!("content-length: +{n}\r\n"), body.clone()),
        ("CL negative", "content-length: -1\r\n".to_owned(), body.clone()),
        ("CL hex", "content-length: 0x10\r\n".to_owned(), body.clone()),
        ("CL text", "content-length: many\r\n".to_owned(), body.clone()),
        ("CL empty", "content-length: \r\n".to_owned(), body.clone()),
        ("CL huge", "content-length: 99999999999999999999999\r\n".to_owned(), body.clone()),
        ("CL with a space", format!("content-length : {n}\r\n"), body.clone()),
        ("TE list", "transfer-encoding: gzip, chunked\r\n".to_owned(), chunked.clone()),
        ("TE identity", "transfer-encoding: identity\r\n".to_owned(), body.clone()),
        ("TE odd", "transfer-encoding: xchunked\r\n".to_owned(), chunked.clone()),
        ("TE parameter", "transfer-encoding: chunked;q=1\r\n".to_owned(), chunked.clone()),
        ("TE quoted", "transfer-encoding: \"chunked\"\r\n".to_owned(), chunked.clone()),
        ("TE tab", "transfer-encoding: \x0bchunked\r\n".to_owned(), chunked.clone()),
        ("TE empty", "transfer-encoding: \r\n".to_owned(), chunked.clone()),
        (
            "TE twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "TE not last",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
            chunked.clone(),
        ),
        ("TE folded", "transfer-encoding:\r\n chunked\r\n".to_owned(), chunked.clone()),
        ("TE with a space", "transfer-encoding : chunked\r\n".to_owned(), chunked.clone()),
        (
            "upgrade with early bytes",
            format!("connection: upgrade\r\nupgrade: websocket\r\ncontent-length: {n}\r\n"),
            body.clone(),
        ),
        ("upgrade", "connection: upgrade\r\nupgrade: h2c\r\n".to_owned(), String::new()),
        ("NUL in a value", "x-a: a\0b\r\n".to_owned(), String::new()),
        ("bare CR in a value", "x-a: a\rtransfer-encoding: chunked\r\n".to_owned(), String::new()),
        ("no colon", "nonsense\r\n".to_owned(), String::new()),
    ];
    for (name, headers, body) in cases {
        for path in ["/v1/chat/completions", "/v1/nothing"] {
            let raw = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{headers}\r\n{body}{inner}",
                gateway.key
            );
            let said = until_closed(&gateway, raw.as_bytes(), name);
            assert!(said.starts_with("HTTP/1.1 4"), "{name}: {said:?}");
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{name}: {said:?}");
        }
    }
    assert_eq!(upstream_requests(&providers), 0);
    assert!(gateway.client().chat(&ask(MODEL, "x", false, 4)).is_good());
}

#[test]
fn broken_chunks_reach_no_provider() {
    let (providers, gateway) = stage();
    let inner = smuggled(&gateway);
    let body = ask(MODEL, "outer", false, 4);
    let n = body.len();
    let good_size = format!("{n:x}\r\n{body}");
    for (name, chunks) in [
        ("size is no number", format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ("size is negative", format!("-{n:x}\r\n{body}\r\n0\r\n\r\n")),
        ("size has 0x", format!("0x{n:x}\r\n{body}\r\n0\r\n\r\n")),
        ("size overflows", format!("fffffffffffffffff{n:x}\r\n{body}\r\n0\r\n\r\n")),
        ("size wraps to 0", format!("10000000000000000\r\n{body}\r\n0\r\n\r\n")),
        ("size is empty", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("data is too long", format!("{good_size}more\r\n0\r\n\r\n")),
        ("data is too short", format!("{:x}\r\n{body}\r\n0\r\n\r\n", n + 1)),
        ("no end of data", format!("{good_size}0\r\n\r\n")),
    ] {
        let raw = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}{inner}",
            gateway.key
        );
        let said = until_closed(&gateway, raw.as_bytes(), name);
        assert!(said.starts_with("HTTP/1.1 400 "), "{name}: {said:?}");
        // Pingora takes a missing size for 0: the body is then empty, which is wrong as well.
        let hint = if name == "size is empty" { "not valid JSON" } else { "chunk" };
        assert!(said.contains(hint), "{name}: says what is wrong: {said:?}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{name}: {said:?}");
        assert_eq!(upstream_requests(&providers), 0, "{name}");
    }
}

#[test]
fn garbage_is_refused() {
    let (providers, gateway) = stage();
    let long = format!("GET /v1/models HTTP/1.1\r\nx-a: {}\r\n\r\n", "a".repeat(1_100_000));
    let many: String = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = format!("GET /v1/models HTTP/1.1\r\n{many}\r\n");
    let old = format!(
        "POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer {}\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        gateway.key
    );
    for (name, raw) in [
        ("a TLS hello", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..]),
        ("words", b"hello there\r\n\r\n"),
        ("a version of the future", b"GET / HTTP/3.0\r\nhost: x\r\n\r\n"),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("control characters", b"\0\x01\x02\x03\r\n\r\n"),
        ("chunked in HTTP/1.0", old.as_bytes()),
        ("a head over 1 MiB", long.as_bytes()),
        ("300 headers", many.as_bytes()),
    ] {
        let said = until_closed(&gateway, raw, name);
        assert!(said.starts_with("HTTP/1.1 4"), "{name}: {said:?}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{name}: {said:?}");
    }
    assert_eq!(upstream_requests(&providers), 0);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let settings = vec![("server", "keepalive_timeout_ms = 1000".to_owned())];
    let gateway = Gateway::start(&providers, &Setup { settings, ..Setup::default() });
    let ends = |stream: &mut BufReader<TcpStream>| {
        let limit = Some(Duration::from_secs(15));
        stream.get_ref().set_read_timeout(limit).expect("a socket option");
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).expect("closed"), 0, "nothing more comes");
    };
    let mut stream = gateway.client().connect();
    stream.get_mut().write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").expect("open");
    let (answer, keep) = read_answer(&mut stream).expect("an answer");
    assert!(answer.status == 200 && keep);
    ends(&mut stream);
    // The start of a head is no excuse.
    let mut stream = gateway.client().connect();
    stream.get_mut().write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /v1").expect("open");
    let (answer, _) = read_answer(&mut stream).expect("an answer");
    assert_eq!(answer.status, 200);
    ends(&mut stream);
}

/// Checks an error's shape and gives its text.
fn refusal(answer: &Answer, status: u16, code: &str) -> String {
    let json = answer.json();
    let error = &json["error"];
    assert_eq!(answer.status, status, "{json}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{json}");
    assert_eq!(error["code"], status, "{json}");
    assert_eq!(error["type"], code, "{json}");
    assert_eq!(error["metadata"]["error_type"], code, "{json}");
    assert!(error.get("param").is_some(), "{json}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.len() > 10, "{message:?} says what to do");
    assert!(answer.header("x-generation-id").is_some_and(|id| id.starts_with("gen-")), "{json}");
    message.to_owned()
}

#[test]
fn refusals_have_one_shape() {
    let (providers, gateway) = stage();
    let mut client = gateway.client();
    let chat = "/v1/chat/completions";
    let good = ask(MODEL, "x", false, 4);

    let mut nobody = Client::new(gateway.address, None);
    refusal(&nobody.chat(&good), 401, "authentication");
    let stranger = Client::new(gateway.address, Some("sk-tp-wrong".to_owned())).chat(&good);
    refusal(&stranger, 401, "authentication");
    refusal(&nobody.get("/api/v1/key"), 401, "authentication");

    refusal(&client.get("/v1/unheard-of"), 404, "not_found");
    refusal(&client.get("/v1/models/no/such"), 404, "model_not_found");
    let text = refusal(&client.chat(&ask("no/such", "x", false, 4)), 404, "model_not_found");
    assert!(text.contains("no/such"), "{text}");

    let wrong = client.get(chat);
    refusal(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    let wrong = client.send("POST", "/api/v1/models", &[], b"{}");
    refusal(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET"));

    let zipped = client.send("POST", chat, &[("content-encoding", "gzip")], b"{}");
    refusal(&zipped, 415, "unsupported_media_type");
    let head = format!(
        "POST {chat} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}",
        gateway.key
    );
    refusal(&client.exchange(head.as_bytes()), 415, "unsupported_media_type");
    let expecting = client.send("POST", chat, &[("expect", "a-pony")], b"{}");
    refusal(&expecting, 400, "invalid_request");
    let wide = client.send("GET", "/v1/models", &[("x-wide", &"w".repeat(70_000))], b"");
    refusal(&wide, 431, "header_too_large");

    assert_eq!(upstream_requests(&providers), 0);
    assert!(client.chat(&good).is_good(), "a good request still passes");
}

#[test]
fn bad_json_is_refused_with_its_place() {
    let (providers, gateway) = stage();
    let mut client = gateway.client();
    for (text, hints) in [
        (r#"{"model":"test/model","messages":[}"#, &["messages[0]"][..]),
        (r#"{"model":"test/model","messages":[{"role":"user","content":"x"}"#, &["63"]),
        (r#"{"model":"test/model" "messages":[]}"#, &["22"]),
        (r#"{"model":"a","model":"b","messages":[]}"#, &["model"]),
        (r#"{"messages":[],"messages":[]}"#, &["messages"]),
        (r#"{"stream":true,"stream":false,"messages":[]}"#, &["stream"]),
        (r#"{"max_tokens":1,"max_tokens":9,"messages":[]}"#, &["max_tokens"]),
        (r#"{"model":"a","mod\u0065l":"b","messages":[]}"#, &["model"]),
        (r#"{"model":7,"messages":[]}"#, &["model"]),
        (r#"{"messages":[{"role":"user","content":"x"}]}"#, &["model"]),
        (r#"{"model":"test/model"}"#, &["messages"]),
        (r#"{"model":"test/model","stream":"yes","messages":[]}"#, &["stream"]),
        (r#"{"model":"test/model","max_tokens":-1,"messages":[]}"#, &["max_tokens"]),
        (
            "{\"model\":\"test/model\",\"messages\":[{\"role\":\"user\",\"content\":\"\u{1}\"}]}",
            &[],
        ),
    ] {
        let message = refusal(&client.chat(text), 400, "invalid_request");
        for hint in hints {
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
    // Not UTF-8, and deeper than any parser should go.
    let mut bytes = ask(MODEL, "?", false, 4).into_bytes();
    let at = bytes.iter().position(|b| *b == b'?').expect("the prompt");
    bytes[at] = 0xff;
    let deep = format!("{{\"model\":\"test/model\",\"messages\":{}", "[".repeat(100_000));
    for body in [&bytes, deep.as_bytes()] {
        let answer = client.send("POST", "/v1/chat/completions", &[], body);
        refusal(&answer, 400, "invalid_request");
    }
    assert_eq!(upstream_requests(&providers), 0);
}

#[test]
fn every_answer_has_an_id_of_its_own() {
    let (_providers, gateway) = stage();
    let mut client = gateway.client();
    let answers = [
        client.chat(&ask(MODEL, "x", false, 4)),
        client.chat(&ask(MODEL, "x", true, 4)),
        client.get("/v1/models"),
        client.get("/api/v1/models/test/model"),
        client.get("/v1/credits"),
        client.get("/v1/key"),
        client.get("/nowhere"),
        client.chat("{"),
        Client::new(gateway.address, None).get("/v1/key"),
    ];
    let ids = answers.iter().map(|a| a.header("x-generation-id").expect("an id"));
    let distinct: HashSet<&str> = ids.filter(|id| id.starts_with("gen-")).collect();
    assert_eq!(distinct.len(), answers.len());
    for answer in &answers[..2] {
        let id = answer.header("x-generation-id").expect("an id");
        // The record is written when the request has ended, shortly after its last byte.
        let path = format!("/api/v1/generation?id={id}");
        let found = (0..500).map(|_| client.get(&path)).find(|record| {
            std::thread::sleep(Duration::from_millis(10));
            record.status == 200
        });
        assert_eq!(found.expect("a record").json()["data"]["id"], id);
    }
}

#[test]
fn a_refused_request_does_not_cost_the_connection() {
    let (_providers, gateway) = stage();
    let body = ask(MODEL, "x", false, 4);
    let mut stream = gateway.client().connect();
    for key in ["sk-wrong", &gateway.key, "sk-wrong", &gateway.key] {
        let raw = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(raw.as_bytes()).expect("the connection is open");
        let (answer, keep) = read_answer(&mut stream).expect("an answer");
        assert_eq!(answer.status, if key == "sk-wrong" { 401 } else { 200 });
        assert!(keep, "{answer:?}");
    }
}

/// Headers that a client may send, all of them marked.
const MARKED: [(&str, &str); 16] = [
    ("cookie", "session=canary"),
    ("x-forwarded-for", "10.1.2.3, canary"),
    ("x-forwarded-host", "canary.example"),
    ("x-real-ip", "canary"),
    ("forwarded", "for=canary"),
    ("via", "1.1 canary"),
    ("user-agent", "canary/1.0"),
    ("referer", "https://canary.example/"),
    ("http-referer", "https://canary.example/"),
    ("origin", "https://canary.example"),
    ("x-title", "canary"),
    ("accept-language", "canary"),
    ("x-request-id", "canary"),
    ("openai-organization", "canary"),
    ("anthropic-beta", "canary"),
    ("proxy-authorization", "Basic canary"),
];

/// What a provider may see.
const ALLOWED: [&str; 9] = [
    "host",
    "content-type",
    "content-length",
    "accept",
    "accept-encoding",
    "authorization",
    "user-agent",
    "x-api-key",
    "anthropic-version",
];

fn assert_clean(providers: &Running, id: &str, gateway: &Gateway, context: &str) {
    let provider = providers.provider(id).expect("a provider");
    let seen = provider.last_request().expect("a request");
    for (name, value) in &seen.headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        assert!(ALLOWED.contains(&name.as_str()), "{context}: {name}: {text}");
        assert!(
            !text.contains("canary/") && !text.contains("canary."),
            "{context}: {name}: {text}"
        );
        assert!(!text.contains("=canary") && text != "canary", "{context}: {name}: {text}");
        assert!(!text.contains(&gateway.key), "{context}: {name} has the caller's key");
    }
    let secret = ["authorization", "x-api-key"].iter().find_map(|n| seen.headers.get(*n));
    let secret = secret.expect("a credential").to_str().expect("text");
    assert!(secret.ends_with("provider-secret-canary"), "{context}: the operator's own key");
    provider.reset_counters();
}

#[test]
fn nothing_of_the_clients_head_reaches_a_provider() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let providers = providers(&[("bad", dialect), ("one", dialect)]);
        let bad = providers.provider("bad").expect("a provider");
        bad.set(Behaviour::failing(Fault::Status(500))).expect("a behaviour");
        let (tls, address) = (Tls::new(), free());
        let settings = vec![("server", tls.settings(address))];
        let mut gateway = Gateway::start(&providers, &Setup { settings, ..Setup::default() });
        let mut client = gateway.client();
        let prefer = |first: &str, text: &str| {
            serde_json::json!({
                "model": MODEL, "max_tokens": 4, "provider": {"order": [first, "one"]},
                "messages": [{"role": "user", "content": text}],
            })
            .to_string()
        };
        let body = prefer("one", "x");
        let context = |what: &str| format!("{dialect}, {what}");

        assert!(client.chat_with(&body, &MARKED).is_good());
        assert_clean(&providers, "one", &gateway, &context("plain"));
        let fallen = client.chat_with(&prefer("bad", "x"), &MARKED);
        assert!(fallen.is_good(), "{fallen:?}");
        assert_clean(&providers, "bad", &gateway, &context("the failed attempt"));
        assert_clean(&providers, "one", &gateway, &context("the fallback"));

        gateway.until_it_accepts(address);
        let http2 = H2::connect(address, &tls, &gateway.key);
        let answer = http2.chat(Bytes::from(body.clone()), &MARKED);
        assert!(answer.is_good(), "{answer:?}");
        assert_clean(&providers, "one", &gateway, &context("HTTP/2"));

        // Through a rebuilt session, with hop-by-hop headers and the key in the other header.
        let large = prefer("one", &"long ".repeat(20_000));
        let mut raw = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
             te: trailers\r\nconnection: keep-alive, x-canary\r\nx-canary: canary\r\n\
             transfer-encoding: chunked\r\n",
            gateway.key
        );
        for (name, value) in MARKED {
            raw.push_str(&format!("{name}: {value}\r\n"));
        }
        raw.push_str(&format!(
            "\r\n{:x}\r\n{large}\r\n0\r\nx-trailer: canary\r\n\r\n",
            large.len()
        ));
        let answer = client.exchange(raw.as_bytes());
        assert!(answer.is_good(), "{answer:?}");
        assert_clean(&providers, "one", &gateway, &context("chunked"));
    }
}

#[test]
fn a_stream_that_goes_on_elsewhere_is_one_over_http2_too() {
    let providers = providers(&[("bad", Dialect::OpenAi), ("good", Dialect::Anthropic)]);
    let counting = Behaviour { tokens: 40, numbered: true, ..Behaviour::default() };
    providers.provider("good").unwrap().set(counting.clone()).unwrap();
    let (tls, address) = (Tls::new(), free());
    let settings = vec![("server", tls.settings(address))];
    let mut gateway = Gateway::start(&providers, &Setup { settings, ..Setup::default() });
    gateway.until_it_accepts(address);
    let http2 = H2::connect(address, &tls, &gateway.key);
    let words = (0..40).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    for fault in [Fault::CutAfter(9), Fault::ResetAfter(20), Fault::InBandAfter(30)] {
        let faults = vec![turnpike::simulate::FaultRule::always(fault)];
        let bad = Behaviour { faults, ..counting.clone() };
        providers.provider("bad").unwrap().set(bad).unwrap();
        let body = serde_json::json!({
            "model": MODEL, "max_tokens": 1000, "stream": true, "provider": {"order": ["bad"]},
            "messages": [{"role": "user", "content": "Count"}],
        });
        let answer = http2.chat(Bytes::from(body.to_string()), &[]);
        let read = crate::support::stream::read(turnpike::dialect::Surface::Chat, &answer);
        assert_eq!(read.text, words, "{fault}: {}", answer.text());
    }
    let asked = providers.provider("bad").unwrap().stats().requests;
    assert_eq!(asked, 3, "each began at the bad one");
}
