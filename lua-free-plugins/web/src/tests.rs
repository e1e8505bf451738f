use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_plugin_api::{
    AccountId, Ask, CallFault, Citation, Format, Head, KeyId, Kind, Mark, NanoUsd, Piece, Plugin,
    Reply, Request, Role, Run, Step, Surface, Text, TextKind, Turn,
};
use turnpike_plugin_testkit::{Case, build, play};

use crate::DEFINITION;

fn searxng() -> Value {
    json!({"engine": "searxng", "base_url": "http://search:8080"})
}

fn request(text: &str) -> Request {
    let mut turn = Turn::new(Role::User);
    turn.texts.push(Text::new(TextKind::Prose, text.to_owned()));
    Request::new(vec![turn])
}

/// A run that has asked for something; the call is given too.
fn asked(plugin: &dyn Plugin, request: &mut Request) -> (Box<dyn Run>, turnpike_plugin_api::Call) {
    // The harness begins the run; without a turn it asks for nothing.
    let mut run = play(plugin, &Case::default(), "begin").run.expect("a run");
    match run.on_request(request) {
        Ok(Step::Call(call)) => (run, call),
        other => panic!("it must ask: {other:?}"),
    }
}

fn reply(kept: bool) -> Reply {
    let body = json!({"results": [{"url": "https://a.example/x", "title": "A", "content": "c"}]});
    Reply { status: 200, body: body.to_string().into_bytes(), kept }
}

#[test]
fn the_cases_hold() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn the_options_hold() {
    turnpike_plugin_testkit::options(&DEFINITION, &searxng());
    let brave = json!({"engine": "brave", "api_key": "env:BRAVE_KEY", "on_failure": "refuse"});
    turnpike_plugin_testkit::options(&DEFINITION, &brave);
}

#[test]
fn the_folder_holds() {
    turnpike_plugin_testkit::folder(&DEFINITION, env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn wrong_options_are_named() {
    for (change, option) in [
        (json!({"engine": null}), "engine"),
        (json!({"engine": "bing"}), ""),
        (json!({"base_url": null}), "base_url"),
        (json!({"base_url": "search:8080"}), "base_url"),
        (json!({"base_url": "https://user:pass@search/"}), "base_url"),
        (json!({"base_url": "https://search/?q="}), "base_url"),
        (json!({"api_key": "env:KEY"}), "api_key"),
        (json!({"engine": "brave"}), "api_key"),
        (json!({"engine": "exa", "api_key": "the key itself"}), "api_key"),
        (json!({"engine": "tavily", "api_key": "env:"}), "api_key"),
        (json!({"max_results": 0}), "max_results"),
        (json!({"max_results": 21}), "max_results"),
        (json!({"max_results": 5, "max_results_allowed": 3}), "max_results"),
        (json!({"max_results_allowed": 21}), "max_results_allowed"),
        (json!({"search_prompt": " "}), "search_prompt"),
        (json!({"search_prompt": "x".repeat(8001)}), "search_prompt"),
        (json!({"include_domains": ["https://a.example"]}), "include_domains"),
        (json!({"exclude_domains": ["a b"]}), "exclude_domains"),
        (json!({"snippet_chars": 99}), "snippet_chars"),
        (json!({"price_usd_per_search": "-1"}), "price_usd_per_search"),
        (json!({"price_usd_per_search": "101"}), "price_usd_per_search"),
        (json!({"price_usd_per_search": "much"}), "price_usd_per_search"),
        (json!({"price_usd_per_search": 1}), ""),
        (json!({"timeout_ms": 99}), "timeout_ms"),
        (json!({"cache_ttl_secs": 86_401}), "cache_ttl_secs"),
        (json!({"on_failure": "shrug"}), ""),
    ] {
        let mut options = searxng();
        for (name, value) in change.as_object().expect("an object") {
            options[name] = value.clone();
        }
        let bad = build(&DEFINITION, &options).err();
        let bad = bad.unwrap_or_else(|| panic!("{change} must be refused"));
        assert_eq!(bad.option, option, "{change}: {bad}");
        assert!(!bad.why.contains("the key itself"), "no secret is shown");
    }
}

#[test]
fn requests_go_to_the_engine_only() {
    for (options, origin) in [
        (searxng(), "http://search:8080"),
        (json!({"engine": "brave", "api_key": "env:K"}), "https://api.search.brave.com"),
        (json!({"engine": "exa", "api_key": "env:K"}), "https://api.exa.ai"),
        (json!({"engine": "tavily", "api_key": "env:K"}), "https://api.tavily.com"),
        (
            json!({"engine": "tavily", "api_key": "env:K", "base_url": "https://proxy.test:443/tavily/"}),
            "https://proxy.test",
        ),
    ] {
        let plugin = build(&DEFINITION, &options).expect("sound options");
        assert_eq!(plugin.origins(), [origin]);
        let (_, call) = asked(&*plugin, &mut request("What is new?"));
        assert!(call.url.starts_with(&format!("{origin}/")), "{}", call.url);
    }
}

#[test]
fn only_conversations_are_searched_for() {
    let plugin = build(&DEFINITION, &searxng()).expect("sound options");
    let key = KeyId::parse("key").expect("an id");
    let account = AccountId::parse("account").expect("an id");
    for (surface, active) in [
        (Surface::Chat, true),
        (Surface::Responses, true),
        (Surface::Messages, true),
        (Surface::Completions, true),
        (Surface::Embeddings, false),
        (Surface::Rerank, false),
    ] {
        for (options, online) in [(None, false), (None, true), (Some("{}"), false)] {
            let head = Head {
                surface,
                model: "a/b",
                stream: false,
                online,
                context: 0,
                prompt_tokens: 0,
                max_tokens: None,
                format: Format::Text,
                key: &key,
                account: &account,
                unix_ms: 0,
                header: &|_| None,
            };
            let run = plugin.begin(&Ask { options, head }).expect("no refusal");
            assert_eq!(run.is_some(), active, "{surface:?} {options:?} {online}");
        }
    }
}

#[test]
fn what_was_kept_is_free() {
    let mut options = searxng();
    options["price_usd_per_search"] = json!("0.005");
    let plugin = build(&DEFINITION, &options).expect("sound options");
    for (kept, fee, note) in [
        (false, NanoUsd(5_000_000), "1 result of searxng."),
        (true, NanoUsd::ZERO, "1 result of searxng, kept from an earlier search."),
    ] {
        let mut request = request("What is new?");
        let (mut run, _) = asked(&*plugin, &mut request);
        run.on_reply(Ok(reply(kept)), &mut request).expect("no refusal");
        assert_eq!((request.fee(), request.notes()[0].summary.as_str()), (fee, note));
        assert_eq!(request.notes()[0].data["kept"], json!(kept));
    }
}

#[test]
fn what_is_kept_depends_on_all_that_is_asked() {
    let plugin = build(&DEFINITION, &searxng()).expect("sound options");
    let name = |text: &str| -> (String, Duration) {
        asked(&*plugin, &mut request(text)).1.keep.expect("it is kept")
    };
    assert_eq!(name("What is new?"), name(" What  is new? "), "the same is searched for");
    assert_ne!(name("What is new?"), name("What is old?"));
    assert_eq!(name("What is new?").1, Duration::from_secs(300));
    assert!(!name("What is new?").0.contains("new"), "it does not say what was asked");
    let mut never = searxng();
    never["cache_ttl_secs"] = json!(0);
    let plugin = build(&DEFINITION, &never).expect("sound options");
    assert_eq!(asked(&*plugin, &mut request("What is new?")).1.keep, None);
}

#[test]
fn every_failure_has_its_class() {
    let answer = build(&DEFINITION, &searxng()).expect("sound options");
    let mut refuse = searxng();
    refuse["on_failure"] = json!("refuse");
    let refuse = build(&DEFINITION, &refuse).expect("sound options");
    let status = |status| Ok(Reply { status, body: Vec::new(), kept: false });
    for (failed, class) in [
        (Err(CallFault::Unreachable), "unreachable"),
        (Err(CallFault::Timeout), "timeout"),
        (Err(CallFault::TooLarge), "too_large"),
        (Err(CallFault::Busy), "busy"),
        (Err(CallFault::Forbidden), "forbidden"),
        (status(302), "status"),
        (status(429), "status"),
        (status(200), "unreadable"),
    ] {
        let mut request = request("What is new?");
        let (mut run, _) = asked(&*answer, &mut request);
        run.on_reply(failed.clone(), &mut request).expect("it goes on");
        assert_eq!(request.notes()[0].data["failed"], json!(class));
        assert_eq!((request.fee(), request.instructions().len()), (NanoUsd::ZERO, 0));
        let (mut run, _) = asked(&*refuse, &mut request);
        let refusal = run.on_reply(failed, &mut request).expect_err("it is refused");
        assert_eq!((refusal.status, &*refusal.code), (502, "web_search_failed"));
    }
}

#[test]
fn huge_answers_come_out_small() {
    let plugin = build(&DEFINITION, &searxng()).expect("sound options");
    let result = |n: usize, size: usize| {
        let text = "<b>word</b> &amp; ".repeat(size);
        json!({"url": format!("https://{n}.example/"), "title": text, "content": text})
    };
    let many: Vec<Value> = (0..10_000).map(|n| result(n, 1)).collect();
    let long: Vec<Value> = (0..5).map(|n| result(n, 5_000)).collect();
    for results in [many, long] {
        let body = json!({"results": results}).to_string().into_bytes();
        let mut request = request("What is new?");
        let (mut run, call) = asked(&*plugin, &mut request);
        assert!(body.len() < 2 * call.bytes_max, "{}", body.len());
        let reply = Reply { status: 200, body, kept: false };
        run.on_reply(Ok(reply), &mut request).expect("no refusal");
        assert_eq!(request.notes()[0].data["results"], json!(5));
        assert!(request.instructions()[0].chars().count() < 5 * 1300 + 600);
    }
}

#[test]
fn citations_hold_what_was_found_and_only_text_counts() {
    let plugin = build(&DEFINITION, &searxng()).expect("sound options");
    let mut request = request("What is new?");
    let (mut run, _) = asked(&*plugin, &mut request);
    run.on_reply(Ok(reply(false)), &mut request).expect("no refusal");
    let mut out = Vec::new();
    let say = |kind, text: &str| Piece::Text { choice: 0, kind, text: text.to_owned() };
    run.on_piece(say(Kind::Reasoning, "https://a.example/x "), &mut out);
    run.on_piece(say(Kind::Arguments(0), "https://a.example/x "), &mut out);
    run.on_piece(say(Kind::Text, "é [a](https://a.example/"), &mut out);
    run.on_mark(&Mark::ToolStart { choice: 0, index: 0 }, &mut out);
    run.on_piece(say(Kind::Text, "x)"), &mut out);
    assert_eq!(out.len(), 4, "nothing is held back");
    run.on_mark(&Mark::Finish { choice: 0 }, &mut out);
    let citation = Citation {
        url: "https://a.example/x".to_owned(),
        title: "A".to_owned(),
        content: Some("c".to_owned()),
        start: 2,
        end: 26,
    };
    assert!(out[4..] == [Piece::Citation { choice: 0, citation }]);
}

#[test]
fn a_choice_without_text_cites_nothing() {
    let plugin = build(&DEFINITION, &searxng()).expect("sound options");
    let mut request = request("What is new?");
    let (mut run, _) = asked(&*plugin, &mut request);
    run.on_reply(Ok(reply(false)), &mut request).expect("no refusal");
    let mut out = Vec::new();
    run.on_mark(&Mark::ToolStart { choice: 0, index: 0 }, &mut out);
    run.on_mark(&Mark::Finish { choice: 0 }, &mut out);
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn no_conversation_and_no_answer_of_an_engine_panics(
        text in "\\PC{0,300}", body in "(\\{|\\}|\\[|\\]|\"results\":|\"url\":|\"https://a.example/\"|,|\\PC){0,30}",
    ) {
        let plugin = build(&DEFINITION, &searxng()).expect("sound options");
        let mut run = play(&*plugin, &Case::default(), "begin").run.expect("a run");
        let mut request = request(&text);
        if let Ok(Step::Call(_)) = run.on_request(&mut request) {
            let reply = Reply { status: 200, body: body.into_bytes(), kept: false };
            prop_assert!(run.on_reply(Ok(reply), &mut request).is_ok());
        }
    }
}
