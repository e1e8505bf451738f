//! Counters, live control, replay, listeners, and request bodies of any framing.

use super::*;

async fn control(addr: SocketAddr, body: Option<Value>) -> Reply {
    let mut client = Client::to(addr).await;
    match body {
        Some(body) => client.send("/_sim/state", &[], body.to_string().as_bytes()).await,
        None => {
            client.0.write_all(b"GET /_sim/state HTTP/1.1\r\nhost: s\r\n\r\n").await.unwrap();
        }
    }
    client.read().await.unwrap()
}

#[tokio::test]
async fn counters_and_the_last_request() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let mut client = Client::to(a.addr()).await;
    let body = ask(true, "secret words").to_string();
    for _ in 0..3 {
        client.send(OPENAI, &[("x-test", "7")], body.as_bytes()).await;
        assert_eq!(client.read().await.unwrap().status, 200);
    }
    let stats = a.stats();
    assert_eq!((stats.requests, stats.completed, stats.cancelled), (3, 3, 0));
    assert_eq!((stats.in_flight, stats.in_flight_max), (0, 1));
    assert_eq!((stats.connections, stats.connections_open), (1, 1));
    assert_eq!(stats.bytes_in, 3 * body.len() as u64);
    let last = a.last_request().unwrap();
    assert_eq!(last.path, "POST /v1/chat/completions");
    assert_eq!(last.headers["x-test"], "7");
    assert_eq!(last.body.as_deref(), Some(body.as_bytes()));
    assert!(!format!("{last:?}").contains("secret"));

    let report = control(a.addr(), None).await.json();
    let report = &report["providers"]["a"];
    assert_eq!(report["stats"]["completed"], 3);
    let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
    assert_eq!(report["last_request"]["body_blake3"], hash.as_str());
    assert_eq!(report["last_request"]["body_len"], body.len());

    a.reset_counters();
    assert_eq!((a.stats().requests, a.stats().connections_open > 0), (0, true));
    assert!(a.last_request().is_none());
    drop(client);
    a.wait_until(SOON, |stats| stats.connections_open == 0).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_is_seen() {
    let behaviour = Behaviour { token_ms: 50.0, tokens: 1000, ..Behaviour::default() };
    let (_running, a) = start(Dialect::OpenAi, behaviour).await;
    let mut client = Client::to(a.addr()).await;
    client.send(OPENAI, &[], ask(true, "hi").to_string().as_bytes()).await;
    let mut some = [0; 256];
    client.0.read_exact(&mut some).await.unwrap();
    drop(client);
    let stats = a.wait_until(SOON, |stats| stats.cancelled == 1).await.unwrap();
    assert_eq!((stats.in_flight, stats.completed, stats.broken), (0, 0, 0));
}

#[tokio::test]
async fn behaviour_is_switched_while_it_runs() {
    let providers = ["a", "b"].map(|id| ProviderConfig::new(id, Dialect::OpenAi));
    let mut config = Config::of(providers);
    config.control = Some("127.0.0.1:0".parse().unwrap());
    let running = Simulator::start(config).await.unwrap();
    let (a, b) = (running.provider("a").unwrap(), running.provider("b").unwrap());
    let order = json!([{"provider": "a", "behaviour": {"faults": [{"fault": "status:503"}]}},
                       {"provider": "b", "listening": false}]);
    let reply = control(a.addr(), Some(order)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["providers"]["b"]["listening"], false);
    assert_eq!(post(&a, &ask(false, "hi")).await.unwrap().status, 503);
    let refused = TcpStream::connect(b.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    let order = json!({"provider": "b", "listening": true});
    assert_eq!(control(running.control_addr().unwrap(), Some(order)).await.status, 200);
    assert_eq!(post(&b, &ask(false, "hi")).await.unwrap().status, 200);

    let wrong = [
        (json!({"provider": "c"}), 404),
        (json!({"provider": "a", "listening": false}), 409),
        (json!({"provider": "a", "behaviour": {"tokens": 0}}), 400),
        (json!({"provider": "a", "behavior": {}}), 400),
    ];
    for (order, status) in wrong {
        assert_eq!(control(a.addr(), Some(order.clone())).await.status, status, "{order}");
    }
}

#[tokio::test]
async fn a_closed_provider_ends_its_connections_and_opens_again() {
    let (running, a) = start(Dialect::OpenAi, Behaviour::failing(Fault::Hang)).await;
    let mut client = Client::to(a.addr()).await;
    client.send(OPENAI, &[], ask(true, "hi").to_string().as_bytes()).await;
    a.wait_until(SOON, |stats| stats.in_flight == 1 && stats.requests == 1).await.unwrap();
    a.close().await;
    assert!(client.read().await.is_err());
    assert!(TcpStream::connect(a.addr()).await.is_err());
    assert_eq!((a.stats().in_flight, a.stats().connections_open), (0, 0));
    a.open().unwrap();
    a.set(Behaviour::default()).unwrap();
    assert_eq!(post(&a, &ask(false, "hi")).await.unwrap().status, 200);
    running.stop().await;
    assert!(TcpStream::connect(a.addr()).await.is_err());
}

#[tokio::test]
async fn replays_are_verbatim() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let pieces = ["data: {\"odd\":1}\r\n", "\r\ndata: [DO", "NE]\n\n"];
    let mut cut = Replay::sse(pieces).ending(End::Cut);
    cut.headers.push(("x-kept".into(), "yes".into()));
    cut.chunks[1].delay_ms = 5;
    let replay = vec![cut, Replay::json(418, "{\"error\":\"teapot\"}")];
    a.set(Behaviour { replay, ..Behaviour::default() }).unwrap();
    let reply = post(&a, &json!("anything at all")).await.unwrap();
    assert_eq!((reply.status, reply.whole, reply.pieces), (200, false, 3));
    assert_eq!(reply.text(), pieces.concat());
    assert_eq!(reply.header("x-kept"), Some("yes"));
    for _ in 0..2 {
        let reply = post(&a, &json!("more")).await.unwrap();
        assert_eq!((reply.status, reply.text()), (418, "{\"error\":\"teapot\"}"));
    }
}

#[tokio::test]
async fn more_than_the_limit_in_flight_is_refused() {
    let behaviour = Behaviour { max_in_flight: 1, ..Behaviour::failing(Fault::Hang) };
    let (_running, a) = start(Dialect::OpenAi, behaviour).await;
    let mut client = Client::to(a.addr()).await;
    client.send(OPENAI, &[], ask(true, "hi").to_string().as_bytes()).await;
    a.wait_until(SOON, |stats| stats.requests == 1).await.unwrap();
    let reply = post(&a, &ask(true, "hi")).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
}

#[tokio::test]
async fn providers_may_share_a_listener() {
    // A port that was free a moment ago, at a loopback address that no other process uses.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let own = std::net::IpAddr::from([127, a | 128, b, c]);
    let free = std::net::TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
    let providers = [("a", ""), ("b", "/b"), ("c", "/b/c")].map(|(id, prefix)| {
        let mut provider = ProviderConfig::new(id, Dialect::OpenAi);
        provider.listen = free;
        provider.prefix = prefix.to_owned();
        provider
    });
    let running = Simulator::start(Config::of(providers)).await.unwrap();
    for id in ["a", "b", "c"] {
        let provider = running.provider(id).unwrap();
        assert_eq!(post(&provider, &ask(false, "hi")).await.unwrap().status, 200);
        assert_eq!(provider.stats().requests, 1, "{id}");
    }
}

#[tokio::test]
async fn bodies_of_any_size_and_framing() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let mut client = Client::to(a.addr()).await;
    for size in [1, 65_535, 65_536, 1 << 20, 8 << 20] {
        let body = ask(false, &"x".repeat(size)).to_string();
        client.send(OPENAI, &[], body.as_bytes()).await;
        assert_eq!(client.read().await.unwrap().status, 200);
        let hash = a.last_request().unwrap().body_blake3();
        assert_eq!(hash, blake3::hash(body.as_bytes()), "{size}");

        let mut wire =
            format!("POST {OPENAI} HTTP/1.1\r\nhost: s\r\ntransfer-encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(10_007) {
            let piece = std::str::from_utf8(piece).unwrap();
            wire.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
        wire.push_str("0\r\n\r\n");
        client.0.write_all(wire.as_bytes()).await.unwrap();
        assert_eq!(client.read().await.unwrap().status, 200);
        let last = a.last_request().unwrap();
        assert_eq!((last.body_len, last.body_blake3()), (body.len(), hash), "{size} chunked");
    }
}

#[tokio::test]
async fn http2_is_spoken_to_who_starts_with_it() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let mut client = TcpStream::connect(a.addr()).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    client.write_all(&preface).await.unwrap();
    let mut frame = [0; 9];
    tokio::time::timeout(SOON, client.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "the server's SETTINGS come first");
}

#[test]
fn a_config_names_all_its_faults() {
    let good = r#"
        seed = 7
        control = "127.0.0.1:0"
        [[provider]]
        id = "a"
        dialect = "anthropic"
        models = ["m"]
        behaviour = { ttft_ms = 5, faults = [{ fault = "status:429", retry_after = 2, rate = 0.5 }] }
    "#;
    let config = Config::parse(good).unwrap();
    assert_eq!(config.providers[0].behaviour.faults[0].fault, Fault::Status(429));
    assert_eq!(Config::parse("").unwrap_err().len(), 1);
    let bad = r#"
        [[provider]]
        id = "a b"
        dialect = "openai"
        prefix = "x/"
        [[provider]]
        id = "a b"
        dialect = "openai"
        behaviour = { jitter = 3.0 }
    "#;
    assert_eq!(Config::parse(bad).unwrap_err().len(), 5);
    for bad in ["sed = 1", "[[provider]]\nid = 'a'", "[[provider]]\nid='a'\ndialect='morse'"] {
        assert!(Config::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_command_line_describes_one_provider() {
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: cli::Args,
    }
    let parse = |line: &str| Command::try_parse_from(line.split(' ')).map(|command| command.args);
    let args = parse(
        "simulate --dialect anthropic --ttft-ms 50 --token-ms 0.5 --tokens 100 \
                      --fault status:429 --rate 0.1 --retry-after 3 --api-key k --seed 9",
    );
    let config = cli::config(&args.unwrap()).unwrap();
    let provider = &config.providers[0];
    assert_eq!((config.seed, provider.dialect), (9, Dialect::Anthropic));
    assert_eq!((provider.behaviour.ttft_ms, provider.behaviour.token_ms), (50, 0.5));
    let rule = &provider.behaviour.faults[0];
    assert_eq!((rule.fault, rule.rate, rule.retry_after), (Fault::Status(429), 0.1, Some(3)));
    assert!(parse("simulate --config x --tokens 3").is_err());
    assert!(parse("simulate --rate 0.5").is_err());
    assert!(cli::config(&parse("simulate --fault nothing").unwrap()).is_err());
    assert!(cli::config(&parse("simulate --config /nowhere/at/all").unwrap()).is_err());
}
