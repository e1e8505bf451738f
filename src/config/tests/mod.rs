//! The configuration as its users meet it: every shipped file, every fault, any damage.

mod damage;
mod faults;
mod market;
#[cfg(feature = "plugins")]
mod plugins;
mod shipped;

use std::io;
use std::path::Path;

use super::{Config, Faults, parse};

/// The smallest text that works.
pub(super) const MINIMAL: &str = r#"
[[providers]]
id = "p"
dialect = "openai"
base_url = "http://127.0.0.1:1/v1"
auth = "none"

[[models]]
id = "a/m"
context_length = 1000
[[models.endpoints]]
provider = "p"
upstream_model = "m"
prices = { prompt = "1", completion = "2" }
"#;

/// Every name that begins with `UNSET` is not set.
fn env(name: &str) -> Option<String> {
    if name.ends_with("CONTENT_KEY") {
        return Some("0123456789abcdef".repeat(4));
    }
    if name.ends_with("WEBHOOK_SECRET") {
        return Some(format!("whsec_{}", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"));
    }
    (!name.starts_with("UNSET")).then(|| format!("value-of-{name}"))
}

/// The form of a service account's key.
const GOOGLE: &str =
    r#"{"type":"service_account","client_email":"a@b","private_key":"x","token_uri":"http://t"}"#;

/// A few files.
fn read_file(path: &Path) -> io::Result<String> {
    match path.to_str().unwrap_or_default() {
        "/etc/turnpike/cert.pem" => Ok("-----BEGIN CERTIFICATE-----\nAA==\n".to_owned()),
        "/etc/turnpike/key.pem" => Ok("-----BEGIN EC PRIVATE KEY-----\nAA==\n".to_owned()),
        "/etc/turnpike/google.json" => Ok(GOOGLE.to_owned()),
        "/secret" => Ok("  sk-secret-1234567890\n".to_owned()),
        "/empty" => Ok("\n".to_owned()),
        "/binary" => Ok("sk-sécret".to_owned()),
        "/good.toml" => Ok("eos = \"</s>\"\nstop = [\"</s>\"]\n".to_owned()),
        "/good.jinja" => Ok("{{ messages[0].content }}".to_owned()),
        "/lone.toml" | "/broken.toml" => Ok(String::new()),
        "/broken.jinja" => Ok("{% for %}".to_owned()),
        "/odd.toml" => Ok("bso = \"\"\n".to_owned()),
        "/short" => Ok("sk-short".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

pub(super) fn config(text: &str) -> Result<Config, Faults> {
    parse(text, &env, &read_file)
}

#[test]
fn the_minimal_text_resolves_to_typed_settings() {
    use std::time::Duration;

    use crate::vocab::PicoUsd;

    let config = config(MINIMAL).expect("no fault");
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.server.threads, None, "0 is one per core");
    assert_eq!(config.cache.ttl_default, Duration::from_secs(300));
    assert_eq!(config.routing.breaker_open_max, Duration::from_secs(30));
    let model = config.catalog.model("a/m").expect("the model");
    let endpoint = model.endpoints.first().expect("its endpoint");
    assert_eq!(endpoint.id.as_str(), "p/m");
    assert_eq!(endpoint.prices.base.completion, PicoUsd(2_000_000));
    assert_eq!((endpoint.context_length, endpoint.max_output), (1_000, 1_000));
    assert_eq!(endpoint.provider.base_path, "/v1");
    assert_eq!(endpoint.provider.timeouts, crate::catalog::Timeouts::default());
    assert!(model.supported_parameters.contains(crate::catalog::Param::Temperature));
}

#[test]
fn secrets_are_followed_trimmed_and_never_shown() {
    use crate::catalog::Auth;

    let text = MINIMAL.replace("auth = \"none\"", "api_key = \"file:/secret\"");
    let config = config(&text).expect("no fault");
    let endpoint = config.catalog.endpoints().next().expect("an endpoint");
    match &endpoint.provider.auth {
        Auth::Bearer(secret) => assert_eq!(secret.expose(), "sk-secret-1234567890"),
        other => panic!("{other:?}"),
    }
    assert!(!format!("{config:?}").contains("sk-secret"), "Debug hides it");
}

#[test]
fn a_header_can_carry_the_secret_and_timeouts_are_inherited() {
    use std::time::Duration;

    use crate::catalog::{Auth, ProbeAsk};

    let text = MINIMAL.replace(
        "auth = \"none\"",
        "auth = \"header:Api-Key\"\napi_key = \"env:K\"\ntimeouts = { connect_ms = 7 }\nprobe = {}",
    ) + "\n[timeouts]\nfirst_token_ms = 9\n";
    let config = config(&text).expect("no fault");
    let endpoint = config.catalog.endpoints().next().expect("an endpoint");
    let provider = &endpoint.provider;
    assert!(matches!(&provider.auth, Auth::Header(name, s)
        if name == "api-key" && s.expose() == "value-of-K"));
    assert_eq!(provider.timeouts.connect, Duration::from_millis(7));
    assert_eq!(provider.timeouts.first_token, Duration::from_millis(9));
    assert_eq!(
        provider.probe.as_ref().map(|p| &p.ask),
        Some(&ProbeAsk::Get("/v1/models".to_owned()))
    );
}

#[test]
fn a_disabled_provider_takes_its_endpoints_and_needs_no_secret() {
    let second = r#"
[[providers]]
id = "off"
dialect = "anthropic"
base_url = "https://off.example/v1"
api_key = "env:UNSET_KEY"
enabled = false
[[models]]
id = "a/off"
context_length = 10
[[models.endpoints]]
provider = "off"
upstream_model = "m"
prices = { prompt = "1", completion = "2" }
"#;
    let config = config(&format!("{MINIMAL}{second}")).expect("no fault");
    assert_eq!(config.catalog.models().len(), 1, "a model without an endpoint is not listed");
    let faults = self::config(second).expect_err("nothing is left");
    assert_eq!(faults.0.len(), 1, "{faults}");
    assert_eq!(faults.0[0].path, "models");
}

#[test]
fn models_may_share_an_upstream_model_under_ids_of_their_own() {
    let second = r#"
[[models]]
id = "a/m:free"
context_length = 10
[[models.endpoints]]
provider = "p"
upstream_model = "m"
prices = { prompt = "0", completion = "0" }
"#;
    let config = config(&format!("{MINIMAL}{second}")).expect("no fault");
    let ids: Vec<_> = config.catalog.endpoints().map(|e| e.id.to_string()).collect();
    assert_eq!(ids, ["p/m", "p/m@a/m:free"]);
}
