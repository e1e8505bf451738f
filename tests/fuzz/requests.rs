//! What clients send.

use serde::de::IgnoredAny;
use turnpike::cache::key::{self, Scope};
use turnpike::dialect::completions::Template;
use turnpike::dialect::openai::Host;
use turnpike::dialect::scan::{self, Form};
use turnpike::dialect::{Ask, Dialect, Surface, Target, abilities, embed, rerank, tokens};
use turnpike::dialect::{passes, upstream_request};
use turnpike::error::{GatewayError, Kind};
use turnpike::vocab::AccountId;

use crate::dice::Dice;
use crate::run::{self, files};

/// The longest error text.
const ERROR_MAX: usize = 4096;

/// 2026-11-25T12:00:00Z.
const NOW: u64 = 1_795_608_000;

const FORMS: [(Form, &str); 6] = [
    (Form::Chat, "vectors/chat-to"),
    (Form::Completions, "vectors/completions-to"),
    (Form::Responses, "vectors/responses-to"),
    (Form::Messages, "vectors/messages-to"),
    (Form::Embeddings, "vectors-embed"),
    (Form::Rerank, "vectors-rerank"),
];

fn corpus(of: &str) -> Vec<Vec<u8>> {
    files("", |path| path.contains(of) && path.ends_with("/request.json"))
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn check(error: &GatewayError) {
    let param = error.param.as_deref().unwrap_or_default();
    assert!(error.message.len() <= ERROR_MAX && param.len() <= ERROR_MAX, "a bounded error");
    assert_ne!(error.kind, Kind::Internal, "the client's fault, not ours");
}

fn check_written(written: Result<bytes::Bytes, GatewayError>) {
    match written {
        Ok(bytes) => assert!(is_json(&bytes), "JSON is written"),
        Err(error) => check(&error),
    }
}

fn any_target<'a>(dice: &mut Dice, template: Option<&'a Template>) -> Target<'a> {
    Target {
        host: dice.of::<&Host>(Host::ALL),
        credit_limit: dice.one_in(3).then_some(1000),
        template,
        now: NOW,
        ..Target::new("up-model", 8192)
    }
}

/// The scanner, and what is spliced by what it found.
fn scanner(at: usize) {
    let (form, of) = FORMS[at];
    let (name, corpus) = (format!("scan {form:?}"), corpus(of));
    run::Target { name: &name, corpus: &corpus }.run(|dice, body| {
        let head = match scan::scan_as(form, body) {
            Ok(head) => head,
            Err(error) => return check(&error),
        };
        assert!(is_json(body), "only JSON is taken");
        let Some(surface) =
            Surface::parse(of.trim_start_matches("vectors/").trim_end_matches("-to"))
        else {
            return;
        };
        let dialect = *dice.of(&Dialect::ALL);
        let target = any_target(dice, None);
        if dialect != Dialect::Completions && passes(surface, dialect, &head, target.host) {
            let mut ask = Ask { surface, body, head: &head, parsed: &mut None };
            check_written(upstream_request(dialect, &mut ask, &target));
        }
    });
}

/// A surface's reader, every dialect's writer, and what is counted and lost.
fn surface(surface: Surface) {
    let name = format!("{surface} request");
    let corpus = corpus(&format!("vectors/{surface}-to"));
    let template = Template::shipped("chatml");
    run::Target { name: &name, corpus: &corpus }.run(|dice, body| {
        let request = match surface.read_request(body) {
            Ok(request) => request,
            Err(error) => return check(&error),
        };
        assert!(is_json(body), "only JSON is taken");
        let dialect = *dice.of(&Dialect::ALL);
        let target = any_target(dice, template.as_ref());
        check_written(dialect.write_request(&request, &target));
        let _losses = abilities::losses(&request, dialect);
        let _count = tokens::count_body(body);
        if let Some(echo) = surface.echo(&request) {
            assert!(is_json(format!("{{{echo}}}").as_bytes()), "JSON is repeated");
        }
    });
}

#[test]
fn scanner_chat() {
    scanner(0);
}

#[test]
fn scanner_completions() {
    scanner(1);
}

#[test]
fn scanner_responses() {
    scanner(2);
}

#[test]
fn scanner_messages() {
    scanner(3);
}

#[test]
fn scanner_embeddings() {
    scanner(4);
}

#[test]
fn scanner_rerank() {
    scanner(5);
}

#[test]
fn chat_requests() {
    surface(Surface::Chat);
}

#[test]
fn completions_requests() {
    surface(Surface::Completions);
}

#[test]
fn responses_requests() {
    surface(Surface::Responses);
}

#[test]
fn messages_requests() {
    surface(Surface::Messages);
}

/// Every shipped template over hostile conversations.
#[test]
fn templates() {
    let mut corpus = corpus("to-completions/");
    corpus.extend(self::corpus("vectors/chat-to-ollama"));
    let names: Vec<&str> = Template::shipped_names().collect();
    let templates: Vec<Template> = names.iter().filter_map(|n| Template::shipped(n)).collect();
    run::Target { name: "templates", corpus: &corpus }.run(|dice, body| {
        let Ok(request) = Surface::Chat.read_request(body) else { return };
        let target = any_target(dice, Some(dice.clone().of(&templates)));
        check_written(Dialect::Completions.write_request(&request, &target));
    });
}

#[test]
fn embeddings() {
    let corpus = corpus("vectors-embed");
    run::Target { name: "embeddings", corpus: &corpus }.run(
        |dice, body| match embed::read_request(body) {
            Ok(request) => {
                let dialect = *dice.of(&Dialect::ALL);
                check_written(embed::write(dialect, &request, &any_target(dice, None)));
                let _count = request.estimate();
            }
            Err(error) => check(&error),
        },
    );
}

#[test]
fn reranking() {
    let corpus = corpus("vectors-rerank");
    run::Target { name: "rerank", corpus: &corpus }.run(|dice, body| {
        match rerank::read_request(body) {
            Ok(request) => {
                let dialect = *dice.of(&Dialect::ALL);
                check_written(rerank::write(dialect, &request, &any_target(dice, None)));
            }
            Err(error) => check(&error),
        }
    });
}

/// The cache's key takes JSON and nothing else.
#[test]
fn cache_keys() {
    let corpus = corpus("vectors");
    let account = AccountId::parse("a").expect("an account id");
    run::Target { name: "cache key", corpus: &corpus }.run(|_, body| {
        let scope = Scope { account: &account, surface: "chat", stream: true, rules: b"" };
        if key::key(scope, body).is_ok() {
            assert!(is_json(body), "only JSON has a key");
        }
    });
}
