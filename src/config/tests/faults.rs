//! Each fault is told with its place and what is allowed; several are told together.

use super::{MINIMAL, config};

/// What is put in place of what in [`MINIMAL`] (appended where `from` is empty), and the one fault
/// that must be told: its place and a part of its message.
const CASES: &[(&str, &str, &str, &str)] = &[
    // Syntax and shape.
    ("", "a = ", "line 15, column 5", "not valid TOML"),
    ("id = \"p\"", "id = p", "line 3, column 6", "not valid TOML"),
    ("", "[server]\nport = 1", "server.port", "unknown key `port`, expected one of `listen`"),
    ("", "[sever]", "sever", "unknown key `sever`, expected one of `server`"),
    ("", "[server]\nlisten = 1", "server.listen", "wrong type: integer `1`, expected a list"),
    ("", "[server]\nlisten = [1]", "server.listen[0]", "expected a text in quotes"),
    ("", "[server]\nthreads = \"2\"", "server.threads", "expected a whole number"),
    ("", "[cache]\nenabled = 1", "cache.enabled", "expected true or false"),
    ("", "[[server]]", "server", "must be one table, as [server]"),
    ("", "[[server]]\nthreads = 1", "server", "must be one table, as [server]"),
    ("", "[admin]\ntoken.x = 1", "admin.token", "expected a text"),
    ("auth = \"none\"", "auth = \"none\"\ntimeouts = [1]", "providers[0].timeouts", "one table"),
    ("", "[routing]\nbreaker_failure_rate = true", "routing.breaker_failure_rate", "a number"),
    ("prompt = \"1\"", "prompt = 1.0", "models[0].endpoints[0].prices.prompt", "text in quotes"),
    ("prompt = \"1\"", "prompt = \"1\", per = 1", "models[0].endpoints[0].prices.per", "`prompt`"),
    ("id = \"p\"", "id = \"p\"\nkey = 1", "providers[0].key", "unknown key"),
    ("auth = \"none\"", "auth = \"none\"\nprobe = 3", "providers[0].probe", "expected a table"),
    // Ranges.
    ("", "[server]\nthreads = -1", "server.threads", "is -1; must be from 0 to 1024"),
    ("", "[server]\nbody_bytes_max = 0", "server.body_bytes_max", "must be from 1 to"),
    ("", "[server]\nbody_memory_bytes_max = 9", "server.body_memory_bytes_max", "at least body"),
    ("", "[cache]\nttl_default_s = 86401", "cache.ttl_default_s", "from 1 to 86400"),
    ("", "[cache]\nentry_bytes_max = 268435457", "cache.entry_bytes_max", "above bytes_max"),
    ("", "[routing]\nretry_budget_ratio = nan", "routing.retry_budget_ratio", "is NaN; must"),
    ("", "[routing]\nbreaker_open_max_ms = 1", "routing.breaker_open_max_ms", "at least"),
    ("", "[routing]\nrate_limit_cap_ms = 1", "routing.rate_limit_cap_ms", "at least"),
    ("", "[routing]\ndecisions = \"\"", "routing.decisions", "path of a file"),
    ("", "[routing]\ndecisions_bytes_max = 0", "routing.decisions_bytes_max", "from 1 to"),
    ("", "[routing]\nattempts_max = 0", "routing.attempts_max", "from 1 to 32"),
    ("", "[routing]\ncontinuations_max = 9", "routing.continuations_max", "from 0 to 4"),
    ("", "[routing]\nhedging = [1]", "routing.hedging", "one table"),
    ("", "[routing.hedging]\nrequests_max = \"5\"", "routing.hedging.requests_max", "a percentage"),
    ("", "[routing.hedging]\nspend_max = \"101%\"", "routing.hedging.spend_max", "a percentage"),
    ("", "[routing.hedging]\ndelay_min_ms = 0", "routing.hedging.delay_min_ms", "from 1 to"),
    (
        "",
        "[routing.hedging]\ndelay_default_ms = -1",
        "routing.hedging.delay_default_ms",
        "from 0 to",
    ),
    ("", "[timeouts]\nconnect_ms = 0", "timeouts.connect_ms", "from 1 to"),
    ("", "[ledger]\ndata_dir = \"\"", "ledger.data_dir", "path of a directory"),
    ("", "[content]\ndir = \"\"", "content.dir", "path of a directory"),
    ("", "[content]\nkey = \"abc\"", "content.key", "must be a reference"),
    ("", "[content]\nkey = \"env:A\"", "content.key", "64 hexadecimal digits"),
    ("", "[content]\ngeneration_bytes_max = 0", "content.generation_bytes_max", "from 1 to"),
    ("", "[log]\naccess = \"stdot\"", "log.access", "stdout, stderr, off"),
    ("", "[log]\nlevel = \"loud\"", "log.level", "error, warn, info"),
    ("", "[log]\nformat = \"xml\"", "log.format", "json or text"),
    // Choices.
    ("", "[[auto]]\ntools = true", "auto[0].models", "at least one"),
    ("", "[[auto]]\nmodels = [\"no/such\"]", "auto[0].models[0]", "no model `no/such`"),
    (
        "",
        "[[auto]]\nmodels = [\"a/m\"]\nprompt_tokens_min = 9\nprompt_tokens_max = 8",
        "auto[0].prompt_tokens_max",
        "at least prompt_tokens_min",
    ),
    (
        "",
        "[[auto]]\nmodels = [\"a/m\"]\nprompt_price_max = \"-1\"",
        "auto[0].prompt_price_max",
        "price",
    ),
    ("", "[[byok]]\nprovider = \"nobody\"\naccounts = [\"a\"]", "byok[0].provider", "no provider"),
    ("", "[[byok]]\nprovider = \"\"\naccounts = [\"a\"]", "byok[0].provider", "required"),
    (
        "auth = \"none\"",
        "api_key = \"env:K\"\n[[byok]]\nprovider = \"p\"\napi_key = \"env:O\"",
        "byok[0].accounts",
        "1 to",
    ),
    (
        "auth = \"none\"",
        "[[byok]]\nprovider = \"p\"\naccounts = [\"a\"]\napi_key = \"env:UNSET\"",
        "byok[0].api_key",
        "UNSET",
    ),
    (
        "",
        "[[byok]]\nprovider = \"p\"\naccounts = [\"a\"]",
        "byok[0].provider",
        "without an API key",
    ),
    (
        "auth = \"none\"",
        "api_key = \"env:K\"\n[[byok]]\nprovider = \"p\"\naccounts = [\"a b\"]\napi_key = \"env:O\"",
        "byok[0].accounts[0]",
        "",
    ),
    ("", "[ledger]\nbyok_fee = \"5\"", "ledger.byok_fee", "percentage"),
    ("", "[[presets]]\nslug = \"A b\"", "presets[0].slug", "lower-case"),
    ("", "[[presets]]\nslug = \"a\"\n[[presets]]\nslug = \"a\"", "presets[1].slug", "another"),
    ("", "[[presets]]\nslug = \"a\"\nmodel = \"no/such\"", "presets[0].model", "no model"),
    ("", "[[presets]]\nslug = \"a\"\nparameters = \"[]\"", "presets[0].parameters", "JSON object"),
    (
        "",
        "[[presets]]\nslug = \"a\"\nparameters = '{\"model\":1}'",
        "presets[0].parameters",
        "`model` is no parameter",
    ),
    (
        "",
        "[[presets]]\nslug = \"a\"\nprovider = '{\"sort\":\"best\"}'",
        "presets[0].provider",
        "provider.sort",
    ),
    // Addresses.
    ("", "[server]\nlisten = []", "server.listen", "at least one address"),
    ("", "[server]\nlisten = [\"localhost:1\"]", "server.listen[0]", "must be IP:port"),
    ("", "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:1\"]", "server.listen[1]", "already"),
    ("", "[admin]\nlisten = \"127.0.0.1:8080\"", "admin.listen", "listened on already"),
    ("", "[server]\ntls_cert = \"/etc/turnpike/cert.pem\"", "server.tls_cert", "without tls"),
    // References.
    ("", "[admin]\ntoken = \"hunter2hunter2hunter2\"", "admin.token", "must be a reference"),
    ("", "[admin]\ntoken = \"env:1X\"", "admin.token", "must be a reference"),
    ("", "[admin]\ntoken = \"env:UNSET_T\"", "admin.token", "UNSET_T, which is not set"),
    ("", "[admin]\ntoken = \"file:/nowhere\"", "admin.token", "/nowhere, which cannot be read"),
    ("", "[admin]\ntoken = \"file:/empty\"", "admin.token", "is empty"),
    ("", "[admin]\ntoken = \"file:/short\"", "admin.token", "fewer than 16"),
    ("auth = \"none\"", "api_key = \"file:/binary\"", "providers[0].api_key", "in a header"),
    // Providers.
    ("id = \"p\"", "", "providers[0].id", "is required"),
    ("id = \"p\"", "id = \"P\"", "providers[0].id", "lower-case"),
    ("id = \"p\"", "id = \"a b\"", "providers[0].id", "offset 1"),
    ("id = \"p\"", "id = \"p\"\nname = \"\"", "providers[0].name", "must not be empty"),
    ("id = \"p\"", "id = \"p\"\nname = \"\\n\"", "providers[0].name", "control"),
    ("dialect = \"openai\"", "", "providers[0].dialect", "must be one of openai, "),
    ("http://127.0.0.1:1/v1", "", "providers[0].base_url", "is required"),
    ("http://127.0.0.1:1/v1", "http://u:p@h/v1", "providers[0].base_url", "credentials"),
    ("auth = \"none\"", "", "providers[0].api_key", "is required"),
    ("auth = \"none\"", "api_key = \"sk-live-1\"", "providers[0].api_key", "be a reference"),
    ("auth = \"none\"", "auth = \"none\"\napi_key = \"env:K\"", "providers[0].api_key", "no use"),
    ("auth = \"none\"", "auth = \"none\"\nhost = \"x\"", "providers[0].host", "one of generic"),
    (
        "auth = \"none\"",
        "auth = \"none\"\napi_version = \"1\"",
        "providers[0].api_version",
        "azure",
    ),
    ("dialect = \"openai\"", "dialect = \"azure\"", "providers[0].api_version", "is required"),
    (
        "auth = \"none\"",
        "aws = { region = \"r\", access_key_id = \"env:A\", secret_access_key = \"env:B\" }",
        "providers[0].aws",
        "bedrock",
    ),
    (
        "auth = \"none\"",
        "service_account = \"env:A\"\napi_key = \"env:B\"",
        "providers[0].service_account",
        "together",
    ),
    ("", "[media]\nbytes_max = 0", "media.bytes_max", "from 1"),
    ("", "[webhooks]\nurl = \"https://x\"", "webhooks.secret", "required"),
    ("", "[webhooks]\nsecret = \"env:K\"", "webhooks.secret", "url"),
    ("", "[webhooks]\nurl = \"https://x\"\nsecret = \"env:K\"", "webhooks.secret", "whsec_"),
    ("", "[payment]\nfee = \"5\"", "payment.fee", "percentage"),
    ("", "[payment]\nfee_minimum_usd = \"-1\"", "payment.fee_minimum_usd", "from 0"),
    (
        "auth = \"none\"",
        "auth = \"none\"\napi_keys = [\"env:K\"]",
        "providers[0].api_keys",
        "beside",
    ),
    (
        "auth = \"none\"",
        "api_key = \"env:K\"\napi_keys = [\"sk-live-1\"]",
        "providers[0].api_keys[0]",
        "be a reference",
    ),
    (
        "auth = \"none\"",
        "api_key = \"env:K\"\napi_keys = [\"env:O\", \"env:K\"]",
        "providers[0].api_keys[1]",
        "the same key",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\nprobe = { path = \"/x\", completion = \"m\" }",
        "providers[0].probe.completion",
        "together with path",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\nprobe = { completion = \"\" }",
        "providers[0].probe.completion",
        "a model's name",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\noptions = [\"a.b\", \"a.\"]",
        "providers[0].options[1]",
        "a parameter's name",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\noptions = [\"generationConfig.maxOutputTokens\"]",
        "providers[0].options[0]",
        "the gateway's to write",
    ),
    ("auth = \"none\"", "auth = \"digest\"\napi_key = \"env:K\"", "providers[0].auth", "bearer"),
    ("auth = \"none\"", "auth = \"header:\"\napi_key = \"env:K\"", "providers[0].auth", "name"),
    ("auth = \"none\"", "auth = \"header:Host\"\napi_key = \"env:K\"", "providers[0].auth", "host"),
    (
        "auth = \"none\"",
        "auth = \"none\"\nprobe = { path = \"x\" }",
        "providers[0].probe.path",
        "/",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\nprobe = { timeout_ms = 20000 }",
        "providers[0].probe.timeout_ms",
        "above interval_ms",
    ),
    (
        "auth = \"none\"",
        "auth = \"none\"\ntimeouts = { connect_ms = 0 }",
        "providers[0].timeouts.connect_ms",
        "from 1",
    ),
    (
        "",
        "[[providers]]\nid = \"p\"\ndialect = \"openai\"\nbase_url = \"http://h\"\nauth = \"none\"",
        "providers[1].id",
        "another provider has",
    ),
    // Models and endpoints.
    (
        "dialect = \"openai\"",
        "dialect = \"completions\"",
        "models[0].endpoints[0].template",
        "is required for completions: file:/path/to/name.toml or one of chatml, ",
    ),
    (
        "upstream_model = \"m\"",
        "upstream_model = \"m\"\ntemplate = \"chatml\"",
        "models[0].endpoints[0].template",
        "of use with dialect = \"completions\" only",
    ),
    ("id = \"a/m\"", "", "models[0].id", "is required"),
    ("id = \"a/m\"", "id = \"a/m\"\ncreated = -1", "models[0].created", "from 0"),
    (
        "id = \"a/m\"",
        "id = \"a/m\"\ninput_modalities = [\"smell\"]",
        "models[0].input_modalities[0]",
        "one of text, image",
    ),
    (
        "id = \"a/m\"",
        "id = \"a/m\"\noutput_modalities = []",
        "models[0].output_modalities",
        "allowed are text",
    ),
    ("context_length = 1000", "", "models[0].endpoints[0].context_length", "is required"),
    (
        "upstream_model = \"m\"",
        "upstream_model = \"m\"\ncontext_length = 1001",
        "models[0].endpoints[0].context_length",
        "above the model's",
    ),
    (
        "upstream_model = \"m\"",
        "upstream_model = \"m\"\nmax_output = 1001",
        "models[0].endpoints[0].max_output",
        "above context_length",
    ),
    (
        "upstream_model = \"m\"",
        "upstream_model = \"m\"\nweight = 0",
        "models[0].endpoints[0].weight",
        "is 0; must be from 0.001",
    ),
    (
        "upstream_model = \"m\"",
        "upstream_model = \"m\"\nparameters = [\"a-b\"]",
        "models[0].endpoints[0].parameters[0]",
        "must be one of",
    ),
    ("provider = \"p\"", "provider = \"q\"", "models[0].endpoints[0].provider", "is \"q\", but no"),
    ("provider = \"p\"", "", "models[0].endpoints[0].provider", "is required"),
    ("upstream_model = \"m\"", "", "models[0].endpoints[0].upstream_model", "is required"),
    (
        "prompt = \"1\", ",
        "",
        "models[0].endpoints[0].prices.prompt",
        "is required, in dollars per million",
    ),
    (
        "prompt = \"1\"",
        "prompt = \"1e-6\"",
        "models[0].endpoints[0].prices.prompt",
        "plain decimal",
    ),
    ("prompt = \"1\"", "prompt = \"-1\"", "models[0].endpoints[0].prices.prompt", "negative"),
    (
        "",
        "[[models.endpoints]]\nprovider = \"p\"\nupstream_model = \"m\"\n\
         prices = { prompt = \"1\", completion = \"2\" }",
        "models[0].endpoints[1].upstream_model",
        "is the same",
    ),
    ("", "[[models]]\nid = \"a/n\"", "models[1].endpoints", "at least one"),
];

#[test]
fn each_fault_is_told_alone_with_its_place_and_what_is_allowed() {
    for (from, to, path, message) in CASES {
        let text = if from.is_empty() {
            format!("{MINIMAL}{to}\n")
        } else {
            let text = MINIMAL.replacen(from, to, 1);
            assert_ne!(text, MINIMAL, "{from} is in the minimal text");
            text
        };
        let faults = config(&text).expect_err(&text);
        assert_eq!(faults.0.len(), 1, "{to:?} is one fault, not:\n{faults}");
        assert_eq!(&faults.0[0].path, path, "place of {to:?}: {faults}");
        assert!(faults.0[0].message.contains(message), "{to:?} tells {message:?}: {faults}");
    }
}

#[test]
fn all_faults_are_told_together() {
    let text = r#"
surprise = 1
[server]
listen = [true, "x", "127.0.0.1:1"]
threads = "two"
body_bytes_max = 0
tls_listen = ["127.0.0.1:8443"]
tls_key = "/secret"
[cache]
size = 1
ttl_default_s = 0
[[providers]]
id = 5
dialect = "morse"
base_url = "ftp://h"
[[providers]]
id = "p"
dialect = "anthropic"
base_url = "https://h"
api_key = "env:UNSET_A"
[[models]]
id = "m m"
[[models.endpoints]]
provider = "q"
upstream_model = 1
prices = { prompt = 1, completion = "x" }
"#;
    let faults = config(text).expect_err("many");
    let mut told: Vec<&str> = faults.0.iter().map(|f| f.path.as_str()).collect();
    told.sort_unstable();
    let mut expected = [
        "surprise",
        "server.listen[0]",
        "server.listen[1]",
        "server.threads",
        "server.body_bytes_max",
        "server.tls_cert",
        "server.tls_key",
        "cache.size",
        "cache.ttl_default_s",
        "providers[0].id",
        "providers[0].dialect",
        "providers[0].base_url",
        "providers[0].api_key",
        "providers[1].api_key",
        "models[0].id",
        // Not the unknown provider: the one whose id cannot be read may be it.
        "models[0].endpoints[0].upstream_model",
        "models[0].endpoints[0].context_length",
        "models[0].endpoints[0].prices.prompt",
        "models[0].endpoints[0].prices.completion",
    ];
    expected.sort_unstable();
    assert_eq!(told, expected, "\n{faults}");
    assert_eq!(faults.to_string().lines().count(), expected.len(), "one line each");
}

#[test]
fn templates_are_judged() {
    let text = |template: &str| {
        let text = MINIMAL.replace("\"openai\"", "\"completions\"");
        let with = format!("upstream_model = \"m\"\ntemplate = \"{template}\"");
        text.replace("upstream_model = \"m\"", &with)
    };
    for (template, name) in [("qwen3", "qwen3"), ("file:/good.toml", "good")] {
        let config = config(&text(template)).expect(template);
        let model = config.catalog.models().first().expect("a model");
        let endpoint = model.endpoints.first().expect("an endpoint");
        assert_eq!(endpoint.template.as_ref().map(|t| t.name()), Some(name));
    }
    for (template, message) in [
        ("chatnl", "must be file:/path/to/name.toml or one of chatml, "),
        ("file:/good.jinja", "which ends in .toml"),
        ("file:/none.toml", "the file /none.toml, which cannot be read"),
        ("file:/lone.toml", "the file /lone.jinja, which cannot be read"),
        ("file:/odd.toml", "unknown field `bso`"),
        ("file:/broken.toml", "cannot be compiled"),
    ] {
        let faults = config(&text(template)).expect_err(template);
        assert_eq!(faults.0.len(), 1, "{template}: {faults}");
        assert_eq!(faults.0[0].path, "models[0].endpoints[0].template");
        assert!(faults.0[0].message.contains(message), "{template}: {faults}");
    }
}

#[test]
fn a_list_is_no_table() {
    for (text, path) in [
        ("log = [\"off\"]", "log"),
        ("providers = [[\"p\"]]", "providers[0]"),
        ("models = [1]", "models[0]"),
        ("models = [{ endpoints = [[\"p\", \"m\"]] }]", "models[0].endpoints[0]"),
        ("server = 1", "server"),
        ("models = 1", "models"),
    ] {
        let faults = config(text).expect_err(text);
        assert!(faults.0.iter().any(|f| f.path == path), "{text}: {faults}");
    }
}

#[test]
fn a_file_without_a_catalog_asks_for_providers_and_models() {
    let faults = config("[catalog]\nshipped = false").expect_err("nothing to serve");
    assert_eq!(
        faults.to_string(),
        "providers: is empty; at least one [[providers]] is needed\n\
         models: is empty; at least one [[models]] is needed"
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    const SECRET: &str = "sk-live-0123456789";
    for (from, to) in [
        ("auth = \"none\"", format!("api_key = \"{SECRET}\"")),
        ("auth = \"none\"", format!("api_key = {SECRET}")),
        ("auth = \"none\"", format!("api_key = [\"{SECRET}\"]")),
        ("auth = \"none\"", format!("auth = \"{SECRET}\"\napi_key = \"env:K\"")),
        ("auth = \"none\"", format!("api_key = \"env:{SECRET}\"")),
        ("auth = \"none\"", format!("auth = \"none\"\ntimeouts = \"{SECRET}\"")),
        ("http://127.0.0.1:1/v1", format!("https://user:{SECRET}@h/v1")),
        ("http://127.0.0.1:1/v1", format!("https://h/v1?key={SECRET}")),
    ] {
        let faults = config(&MINIMAL.replacen(from, &to, 1)).expect_err(&to);
        assert!(!faults.to_string().contains(SECRET), "{to}: {faults}");
    }
}

#[test]
fn a_file_that_is_absent_or_too_large_is_a_fault_of_its_path() {
    let faults = crate::config::load(std::path::Path::new("/nowhere/t.toml")).expect_err("absent");
    assert_eq!(faults.0[0].path, "/nowhere/t.toml");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), MINIMAL).expect("written");
    crate::config::load(file.path()).expect("no fault");
    let error = crate::config::read_file(file.path(), 10).expect_err("larger");
    assert!(error.to_string().contains("larger than 10 bytes"), "{error}");
}
