//! Catalog files and the configuration's own entries, and what is shipped.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use crate::catalog::{Catalog, How};
use crate::config::{Faults, parse};
use crate::vocab::{PicoUsd, Usage};

const FILE: &str = r#"
{"provider":{"id":"alpha","name":"Alpha","dialect":"openai","base_url":"https://${ALPHA_HOST}/v1","api_key":"env:ALPHA_KEY","policy":{"trains":false,"retention_days":0}}}
{"provider":{"id":"beta","dialect":"openai","base_url":"https://beta.test/v1","api_key":"env:BETA_KEY"}}
{"model":{"id":"a/one","family":"one","created":5}}
{"model":{"id":"a/two"}}
{"of":"a/one","endpoint":{"provider":"alpha","upstream_model":"one","context_length":100,"prices":{"prompt":"1","completion":"2"}}}
{"of":"a/one","endpoint":{"provider":"beta","upstream_model":"one","context_length":200,"prices":{"prompt":"3","completion":"4"}}}
{"of":"a/one","endpoint":{"provider":"alpha","upstream_model":"one","tier":"flex","context_length":100,"prices":{"prompt":"0.5","completion":"1"}}}
{"of":"a/two","endpoint":{"provider":"beta","upstream_model":"two","context_length":200,"prices":{"prompt":"3","completion":"4"}}}
"#;

const LATER: &str = r#"
{"of":"a/one","endpoint":{"provider":"alpha","upstream_model":"one","context_length":100,"prices":{"prompt":"9","completion":"9"}}}
{"model":{"id":"a/two","name":"Renamed"}}
"#;

/// The catalog of a configuration, with these variables set.
fn catalog(text: &str, set: &[&str]) -> Result<Catalog, Faults> {
    let env = |name: &str| set.contains(&name).then(|| format!("value-of-{}", name.to_lowercase()));
    let read_file = |path: &Path| match path.to_str() {
        Some("/file.jsonl") => Ok(FILE.to_owned()),
        Some("/later.jsonl") => Ok(LATER.to_owned()),
        Some("/bad.jsonl") => Ok(FILE.replace("\"a/two\"}", "\"a/three\"}")),
        _ => Err(io::Error::other("no such file")),
    };
    let config = parse(text, &env, &read_file)?;
    Ok(std::sync::Arc::into_inner(config.catalog).expect("the only holder"))
}

fn good(text: &str, set: &[&str]) -> Catalog {
    catalog(text, set).unwrap_or_else(|faults| panic!("{faults}"))
}

const BOTH: &str = "[catalog]\nshipped = false\nfiles = [\"/file.jsonl\", \"/later.jsonl\"]\n";

#[test]
fn providers_with_their_variables_are_live_and_the_others_are_listed() {
    let catalog = good(BOTH, &["ALPHA_KEY", "ALPHA_HOST"]);
    let one = catalog.model("a/one").expect("a model");
    let tags: Vec<&str> = one.endpoints.iter().map(|e| e.tag.as_str()).collect();
    assert_eq!(tags, ["alpha", "alpha/flex"]);
    assert_eq!(one.dormant.len(), 1);
    assert_eq!(one.dormant[0].provider.missing, ["BETA_KEY"]);
    assert_eq!(one.endpoints[0].provider.origin.host, "value-of-alpha_host");
    assert!(one.endpoints[0].policy.zero_retention());
    assert_eq!(one.endpoints[0].prices.base.prompt, PicoUsd(9_000_000), "the later line wins");
    let two = catalog.model("a/two").expect("a model");
    assert_eq!((two.name.as_str(), two.endpoints.len(), two.dormant.len()), ("Renamed", 0, 1));
    assert_eq!(catalog.endpoints().count(), 2, "what is routed to");
    assert_eq!(catalog.providers().len(), 2, "what is listed");
    let none = good(BOTH, &["ALPHA_KEY"]);
    let missing = none.model("a/one").expect("a model").missing();
    assert_eq!(missing, [&["ALPHA_HOST".to_owned()][..], &["BETA_KEY".to_owned()]]);
}

#[test]
fn the_configurations_own_entries_replace_those_of_catalogs() {
    let text = format!(
        "{BOTH}[[providers]]\nid = \"beta\"\ndialect = \"openai\"\nbase_url = \"http://own:1/v1\"\n\
         auth = \"none\"\n[[models]]\nid = \"a/one\"\n[[models.endpoints]]\nprovider = \"beta\"\n\
         upstream_model = \"own\"\ncontext_length = 7\n\
         prices = {{ prompt = \"7\", completion = \"7\" }}\n"
    );
    let catalog = good(&text, &[]);
    let one = catalog.model("a/one").expect("a model");
    assert_eq!(one.endpoints.len(), 1, "the whole model is replaced");
    assert_eq!(one.endpoints[0].upstream_model, "own");
    let two = catalog.model("a/two").expect("a model");
    assert_eq!(two.endpoints[0].provider.origin.host, "own", "its endpoints go there");
    let ids: Vec<&str> = catalog.providers().iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["beta", "alpha"]);

    let off = text.replace("auth = \"none\"", "auth = \"none\"\nenabled = false");
    let off = off.split("[[models]]").next().expect("a text");
    let catalog = good(off, &[]);
    assert!(catalog.model("a/two").is_none(), "nobody hosts it");
    assert!(catalog.providers().iter().all(|p| p.id.as_str() != "beta"));
}

#[test]
fn faults_of_catalog_files_are_told_with_file_and_line() {
    for (files, path, why) in [
        ("/absent.jsonl", "catalog.files[0]", "cannot be read"),
        ("/bad.jsonl", "/bad.jsonl:9.of", "no model"),
    ] {
        let text = format!("[catalog]\nshipped = false\nfiles = [\"{files}\"]\n");
        let faults = catalog(&text, &[]).expect_err(files);
        let told = faults.0.iter().any(|f| f.path == path && f.message.contains(why));
        assert!(told, "{files}: {faults}");
    }
    let lonely = format!("[catalog]\nshipped = false\n{}", super::MINIMAL);
    assert_eq!(good(&lonely, &[]).models().len(), 1);
    assert_eq!(good(super::MINIMAL, &[]).models().len(), 1, "own models: nothing is shipped");
}

#[test]
fn the_shipped_catalog_holds_what_it_promises() {
    let (sheet, judged) =
        crate::config::judge_catalog(&[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(judged.models().len() >= 400, "{} models", judged.models().len());
    assert!(judged.providers().len() >= 60, "{} providers", judged.providers().len());
    assert_eq!(judged.endpoints().count(), sheet.endpoints.len(), "every line is an endpoint");
    assert!(sheet.endpoints.len() >= 2_000, "{} endpoints", sheet.endpoints.len());
    let ids: HashSet<&str> = judged.endpoints().map(|e| e.id.as_str()).collect();
    assert_eq!(ids.len(), sheet.endpoints.len(), "ids are unique");
    let all = Usage { prompt: 9, completion: 9, searches: 1, images: 1, ..Usage::default() };
    for endpoint in judged.endpoints() {
        let id = &endpoint.id;
        let free = endpoint.model.as_str().ends_with(":free");
        let costs = endpoint.prices.base.exact(&all) > 0;
        assert_eq!(free, !costs, "{id}: what is free is a variant of its own");
        assert!(!endpoint.is_expired(1_795_000_000), "{id} has not been switched off");
        assert!(endpoint.max_output <= endpoint.context_length, "{id}");
    }
    let hosted: HashSet<&str> = judged.endpoints().map(|e| e.provider.id.as_str()).collect();
    assert_eq!(hosted.len(), judged.providers().len(), "every provider hosts something");
    for (name, expected) in [
        ("~anthropic/claude-sonnet-latest", "anthropic/claude-sonnet-5.5"),
        ("~openai/gpt-mini-latest", "openai/gpt-5.4-mini"),
    ] {
        let (model, how) = judged.resolve(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((model.id.as_str(), how), (expected, How::Latest));
    }
}

#[test]
fn an_empty_configuration_is_the_shipped_catalog() {
    let catalog = good("", &["GROQ_API_KEY"]);
    let live: HashSet<&str> = catalog.endpoints().map(|e| e.provider.id.as_str()).collect();
    assert_eq!(live.into_iter().collect::<Vec<_>>(), ["groq"], "one key, one provider");
    assert!(catalog.models().len() >= 400, "the others are listed");
}
