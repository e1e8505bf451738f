//! Every fault, as a client sees it.

use super::*;
use crate::dialect::FaultClass;

/// The status, what arrived, and whether HTTP's framing was kept.
async fn strike(dialect: Dialect, fault: Fault, stream: bool) -> io::Result<Reply> {
    let (_running, a) = start(dialect, Behaviour::failing(fault)).await;
    post(&a, &ask(stream, "hi")).await
}

#[tokio::test]
async fn resets_come_before_any_byte() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::failing(Fault::Reset)).await;
    let error = post(&a, &ask(true, "hi")).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(a.stats().broken, 1);

    a.set(Behaviour::failing(Fault::ResetReused)).unwrap();
    let mut client = Client::to(a.addr()).await;
    let body = ask(false, "hi").to_string();
    client.send(OPENAI, &[], body.as_bytes()).await;
    assert_eq!(client.read().await.unwrap().status, 200, "a new connection is spared");
    client.send(OPENAI, &[], body.as_bytes()).await;
    assert_eq!(client.read().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn hangs_last_until_the_client_leaves() {
    for fault in [Fault::Hang, Fault::HangAfterHeader, Fault::HangAfter(3)] {
        for stream in [false, true] {
            let (_running, a) = start(Dialect::Anthropic, Behaviour::failing(fault)).await;
            let mut client = Client::to(a.addr()).await;
            client.send(ANTHROPIC, &[], ask(stream, "hi").to_string().as_bytes()).await;
            if fault != Fault::Hang {
                let mut head = [0; 15];
                client.0.read_exact(&mut head).await.unwrap();
                assert_eq!(&head, b"HTTP/1.1 200 OK");
            }
            let stats = a.wait_until(SOON, |stats| stats.requests == 1).await.unwrap();
            assert_eq!((stats.in_flight, stats.completed), (1, 0));
            drop(client);
            a.wait_until(SOON, |stats| stats.cancelled == 1 && stats.in_flight == 0).await.unwrap();
        }
    }
}

#[tokio::test]
async fn errors_in_each_dialect() {
    use ErrorBody::*;
    let cases = [
        (ContextLength, (400, "context_length_exceeded"), (400, "invalid_request_error")),
        (ContentPolicy, (400, "content_policy_violation"), (400, "invalid_request_error")),
        (InvalidRequest, (400, ""), (400, "invalid_request_error")),
        (Auth, (401, "invalid_api_key"), (401, "authentication_error")),
        (Billing, (429, "insufficient_quota"), (400, "invalid_request_error")),
        (Permission, (403, "permission_denied"), (403, "permission_error")),
        (NotFound, (404, "model_not_found"), (404, "not_found_error")),
        (TooLarge, (413, "request_too_large"), (413, "request_too_large")),
        (RateLimit, (429, "rate_limit_exceeded"), (429, "rate_limit_error")),
        (Overloaded, (503, "overloaded"), (529, "overloaded_error")),
        (Server, (500, ""), (500, "api_error")),
    ];
    for (kind, openai, anthropic) in cases {
        let reply = strike(Dialect::OpenAi, Fault::Error(kind), true).await.unwrap();
        let code = reply.json()["error"]["code"].as_str().unwrap_or("").to_owned();
        assert_eq!((reply.status, &*code), openai, "{kind:?}");
        let reply = strike(Dialect::Anthropic, Fault::Error(kind), true).await.unwrap();
        let error = reply.json();
        assert_eq!((reply.status, error["error"]["type"].as_str().unwrap()), anthropic, "{kind:?}");
        assert_eq!(error["type"], "error");
    }
    let reply = strike(Dialect::OpenAi, Fault::Error(Html), false).await.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("text/html")));
}

#[tokio::test]
async fn a_status_may_carry_retry_after_and_a_body() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let reply = post(&a, &ask(true, "[[sim fail=429 retry_after=2]]")).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("2")));
    let text = "[[sim fault=status:418 error_body=context_length]]";
    let reply = post(&a, &ask(true, text)).await.unwrap();
    assert_eq!(reply.status, 418);
    assert_eq!(reply.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(a.stats().refused, 2);
}

#[tokio::test]
async fn errors_have_a_class_in_every_dialect() {
    use ErrorBody::*;
    use FaultClass as Class;
    let cases = [
        (ContextLength, Class::ContextLength),
        (ContentPolicy, Class::ContentPolicy),
        (InvalidRequest, Class::InvalidRequest),
        (Auth, Class::Authentication),
        (Billing, Class::Billing),
        (Permission, Class::Permission),
        (NotFound, Class::NotFound),
        (TooLarge, Class::InvalidRequest),
        (RateLimit, Class::RateLimited),
        (Overloaded, Class::Overloaded),
        (Server, Class::Server),
        (Html, Class::Server),
    ];
    for dialect in Dialect::ALL {
        for (kind, class) in cases {
            let reply = strike(dialect, Fault::Error(kind), true).await.unwrap();
            let told = dialect.provider_fault(reply.status, &reply.body);
            // Ollama has no policy, and so no words for it.
            let class = match (dialect, kind) {
                (Dialect::Ollama, ContentPolicy) => Class::InvalidRequest,
                _ => class,
            };
            assert_eq!(told.class, class, "{dialect} {kind:?}: {} {told:?}", reply.status);
            let named = reply.header("x-amzn-errortype").is_some();
            assert_eq!(named, dialect == Dialect::Bedrock && kind != Html);
        }
    }
}

#[tokio::test]
async fn errors_inside_an_answer() {
    let in_band = |reply: &Reply| matches!(reply.heard().end, Err(AnswerFault::InBand { .. }));
    for dialect in Dialect::ALL {
        let whole = strike(dialect, Fault::InBand, false).await.unwrap();
        assert_eq!((whole.status, whole.whole), (200, true));
        assert!(in_band(&whole), "{dialect}: {:?}", whole.heard());
        for (fault, words) in [(Fault::InBand, 0), (Fault::InBandAfter(3), 3)] {
            let reply = strike(dialect, fault, true).await.unwrap();
            assert!(reply.whole, "the HTTP is fine");
            assert_eq!(reply.said().split_whitespace().count(), words, "{dialect}");
            assert!(in_band(&reply), "{dialect}: {:?}", reply.heard());
        }
    }
}

#[tokio::test]
async fn cuts_deliver_what_came_before() {
    for dialect in Dialect::ALL {
        let ended = strike(dialect, Fault::EndAfter(5), true).await.unwrap();
        assert_eq!((ended.status, ended.whole), (200, true), "{dialect}");
        assert_eq!(ended.said().split_whitespace().count(), 5, "{dialect}");
        assert!(ended.heard().finish.is_none(), "{dialect}");
        let reset = strike(dialect, Fault::ResetAfter(5), true).await.unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset, "{dialect}");
        for (fault, words) in [(Fault::CutBefore, 0), (Fault::CutAfter(5), 5)] {
            let reply = strike(dialect, fault, true).await.unwrap();
            assert_eq!((reply.status, reply.whole), (200, false));
            assert_eq!(reply.said().split_whitespace().count(), words, "{dialect} {fault}");
            assert!(!reply.body.is_empty(), "the preamble arrived");
            let reply = strike(dialect, fault, false).await.unwrap();
            assert_eq!((reply.status, reply.whole), (200, false));
            assert_eq!(reply.body.is_empty(), words == 0);
        }
    }
    let (_running, a) = start(Dialect::OpenAi, Behaviour::failing(Fault::CutAfter(100_000))).await;
    a.set(Behaviour { tokens: 200_000, ..a.behaviour() }).unwrap();
    let mut body = ask(true, "hi");
    body["max_tokens"] = json!(200_000);
    let reply = post(&a, &body).await.unwrap();
    let tokens = reply.data().len() - 1;
    assert_eq!((reply.whole, tokens), (false, 100_000), "also with a full socket");
    assert_eq!(a.stats().broken, 1);
}

#[tokio::test]
async fn answers_that_say_too_little() {
    for dialect in Dialect::ALL {
        let whole = strike(dialect, Fault::Empty, false).await.unwrap();
        assert_eq!(whole.heard().end, Err(AnswerFault::Empty), "{dialect}: {}", whole.text());
        let reply = strike(dialect, Fault::Empty, true).await.unwrap();
        let heard = reply.heard();
        assert!(reply.whole && heard.said.is_empty() && heard.finish.is_none(), "{dialect}");

        for stream in [false, true] {
            let reply = strike(dialect, Fault::EmptyBody, stream).await.unwrap();
            assert_eq!((reply.status, reply.whole, reply.body.len()), (200, true, 0));
        }

        for stream in [false, true] {
            let heard = strike(dialect, Fault::NoUsage, stream).await.unwrap().heard();
            let told = heard.usage.unwrap_or_default();
            // Anthropic's and Ollama's streams and answers have fields of their own for it.
            assert!(told.completion <= 1, "{dialect} {stream}: {heard:?}");
        }

        let reply = strike(dialect, Fault::NoDone, true).await.unwrap();
        let heard = reply.heard();
        assert!(reply.whole && !heard.ended, "{dialect}: {heard:?}");
        assert_eq!(heard.said.split(' ').count(), 32, "{dialect}");

        for stream in [false, true] {
            let reply = strike(dialect, Fault::Garbage, stream).await.unwrap();
            assert!(reply.whole && serde_json::from_slice::<Value>(&reply.body).is_err());
            let end = reply.heard().end;
            assert!(end.is_err_and(|fault| fault != AnswerFault::Empty), "{dialect} {stream}");
        }
    }
}

#[tokio::test]
async fn a_slow_header_is_slow_and_right() {
    let began = tokio::time::Instant::now();
    let reply = strike(Dialect::OpenAi, Fault::SlowHeader, false).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(64 * 20));
    assert_eq!((reply.status, reply.whole), (200, true));
}

#[tokio::test]
async fn faults_strike_by_count_and_by_chance() {
    let statuses = async |rule: FaultRule, requests: usize| {
        let (_running, a) =
            start(Dialect::OpenAi, Behaviour { faults: vec![rule], ..Behaviour::default() }).await;
        let mut client = Client::to(a.addr()).await;
        let body = ask(false, "hi").to_string();
        let mut seen = Vec::new();
        for _ in 0..requests {
            client.send(OPENAI, &[], body.as_bytes()).await;
            seen.push(client.read().await.unwrap().status);
        }
        seen
    };
    let rule = FaultRule::always(Fault::Status(500));
    let first = FaultRule { first: Some(2), ..rule.clone() };
    assert_eq!(statuses(first, 4).await, [500, 500, 200, 200]);
    let after = FaultRule { after: 1, first: Some(3), ..rule.clone() };
    assert_eq!(statuses(after, 4).await, [200, 500, 500, 200]);
    let half = FaultRule { rate: 0.5, ..rule };
    let once = statuses(half.clone(), 200).await;
    let failed = once.iter().filter(|status| **status == 500).count();
    assert!((70..130).contains(&failed), "{failed} of 200");
    assert_eq!(once, statuses(half, 200).await, "and the same ones each time");
}

#[test]
fn faults_read_as_they_are_written() {
    let all = [
        "reset",
        "reset_reused",
        "hang",
        "hang_after_header",
        "slow_header",
        "in_band",
        "cut_before",
        "empty",
        "empty_body",
        "no_usage",
        "no_done",
        "garbage",
        "status:429",
        "error:billing",
        "in_band_after:3",
        "cut_after:7",
        "reset_after:7",
        "end_after:7",
        "hang_after:7",
    ];
    for text in all {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
    }
    for text in ["", "refuse", "status", "status:x", "cut_after:-1", "error:what", "nothing"] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
    assert!(Behaviour::failing(Fault::Status(200)).check().is_err());
    let mut behaviour = Behaviour::default();
    for (knob, value) in [("rate", "1"), ("jitter", "2"), ("token_ms", "-1"), ("tokens", "0")] {
        assert!(behaviour.apply(knob, value).is_err(), "{knob}={value}");
    }
}
