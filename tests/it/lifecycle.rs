//! Start, reload, drain and end of the process, and the admin listener.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Running};

use crate::support::client::read_answer;
use crate::support::gateway::{MODEL, free};
use crate::support::{Answer, Client, Gateway, Setup, ask, providers, runtime};

fn one() -> Running {
    providers(&[("one", Dialect::OpenAi)])
}

/// A provider whose answers take as long as told.
fn slow(tokens: u32, token_ms: f64) -> Running {
    let providers = one();
    let behaviour = Behaviour { ttft_ms: 1, tokens, token_ms, ..Behaviour::default() };
    providers.provider("one").expect("a provider").set(behaviour).expect("a behaviour");
    providers
}

fn in_flight(providers: &Running, wanted: u64) {
    let provider = providers.provider("one").expect("a provider");
    let waiting = provider.wait_until(Duration::from_secs(20), |s| s.in_flight == wanted);
    runtime().block_on(waiting).expect("requests arrive");
}

/// Waits until `probe` gives something.
fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command in a directory to its end.
fn turnpike(dir: &Path, args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(args)
        .current_dir(dir)
        .env("SIM_KEY", "provider-secret-canary")
        .env("ADMIN_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("the command can be killed");
            panic!("{args:?} did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ADMIN_TOKEN: &str = "admin-token-of-the-test";

#[test]
fn running_streams_are_finished_before_the_end() {
    let providers = slow(60, 25.0);
    let mut gateway = Gateway::start(&providers, &Setup::default());
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let mut client = gateway.client();
            let streamed = n % 4 != 0;
            std::thread::spawn(move || {
                let answer = client.chat(&ask(MODEL, &format!("client {n}"), streamed, 1000));
                (answer, Instant::now())
            })
        })
        .collect();
    in_flight(&providers, 8);
    gateway.signal("TERM");
    let refusing = || TcpStream::connect(gateway.address).is_err().then_some(());
    let not_ready = || {
        let answer = Client::new(gateway.admin, None).get("/readyz");
        (answer.status == 503 && answer.text().contains("draining")).then_some(())
    };
    until("readyz says that it drains", not_ready);
    until("the listener closes", refusing);
    let mut last = None;
    for client in clients {
        let (answer, at) = client.join().expect("a client");
        assert!(answer.is_good(), "{}", answer.text());
        assert_eq!(answer.content().split(' ').count(), 60);
        last = last.max(Some(at));
    }
    let status = gateway.wait(Duration::from_secs(10));
    let after = last.expect("a client").elapsed();
    assert_eq!(status.code(), Some(0), "{}", gateway.log("stderr"));
    assert!(after < Duration::from_secs(2), "{after:?} after the last answer");
    let text = gateway.verify().expect("the ledger holds");
    assert!(!text.is_empty());
    let lines = gateway.log("access.log");
    assert_eq!(lines.lines().count(), 8, "every request has its line: {lines}");
}

#[test]
fn an_idle_gateway_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let providers = one();
        let mut gateway = Gateway::start(&providers, &Setup::default());
        // A kept connection must not hold the end up.
        let mut kept = gateway.client();
        assert_eq!(kept.get("/v1/models").status, 200);
        let begun = Instant::now();
        gateway.signal(signal);
        let status = gateway.wait(Duration::from_secs(10));
        let took = begun.elapsed();
        assert_eq!(status.code(), Some(0), "{signal}: {}", gateway.log("stderr"));
        assert!(took < Duration::from_secs(2), "{signal}: {took:?}");
        gateway.verify().expect("the ledger holds");
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let providers = slow(10_000, 100.0);
    let mut gateway = Gateway::start(&providers, &Setup::default());
    let mut stream = gateway.client().connect();
    send(&mut stream, &gateway, &ask(MODEL, "for ever", true, 4000));
    in_flight(&providers, 1);
    gateway.signal("TERM");
    until("the drain begins", || gateway.log("stderr").contains("Shutting down").then_some(()));
    // The second signal counts from when the first has been taken.
    until("the process ends", || {
        let _sent = Command::new("kill").args(["-TERM", &gateway.pid().to_string()]).output();
        gateway.log("stderr").contains("leaving at once").then_some(())
    });
    let status = gateway.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    gateway.restart();
    gateway.signal("TERM");
    gateway.wait(Duration::from_secs(5));
    gateway.verify().expect("the cut request is accounted for");
}

#[test]
fn requests_beyond_the_shutdown_limit_are_cut() {
    let providers = slow(10_000, 100.0);
    let settings = vec![("server", "shutdown_timeout_ms = 300".to_owned())];
    let mut gateway = Gateway::start(&providers, &Setup { settings, ..Setup::default() });
    let mut stream = gateway.client().connect();
    send(&mut stream, &gateway, &ask(MODEL, "for ever", true, 4000));
    in_flight(&providers, 1);
    gateway.signal("TERM");
    let status = gateway.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{}", gateway.log("stderr"));
    assert!(gateway.log("stderr").contains("they are cut"));
}

fn send(stream: &mut BufReader<TcpStream>, gateway: &Gateway, body: &str) {
    let raw = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    );
    stream.get_mut().write_all(raw.as_bytes()).expect("the connection is open");
}

/// A model table that can be appended to the configuration.
fn another_model(id: &str) -> String {
    format!(
        "\n[[models]]\nid = \"{id}\"\nname = \"Another\"\ncontext_length = 100000\n\
         [[models.endpoints]]\nprovider = \"one\"\nupstream_model = \"other\"\nmax_output = 100\n\
         prices = {{ prompt = \"1\", completion = \"1\" }}\n"
    )
}

fn models(gateway: &Gateway) -> Vec<String> {
    let listing = gateway.client().get("/v1/models").json();
    let models = listing["data"].as_array().expect("models").iter();
    models.map(|m| m["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_new_configuration_is_swapped_in_and_a_bad_one_is_not() {
    let providers = slow(40, 25.0);
    let mut gateway = Gateway::start(&providers, &Setup::default());
    let path = gateway.dir.path().join("turnpike.toml");
    let old = std::fs::read_to_string(&path).expect("the configuration");
    assert_eq!(models(&gateway), [MODEL]);
    assert_eq!(gateway.client().chat(&ask("test/another", "x", false, 4)).status, 404);

    // A request that is running keeps what it began with.
    let mut running = gateway.client();
    let running = std::thread::spawn(move || running.chat(&ask(MODEL, "long", true, 100)));
    in_flight(&providers, 1);

    let new = format!("{old}{}", another_model("test/another"));
    std::fs::write(&path, &new).expect("the configuration");
    gateway.signal("HUP");
    until("the new model", || (models(&gateway).len() == 2).then_some(()));
    assert!(gateway.log("stderr").contains("is in force"));
    let answer = gateway.client().chat(&ask("test/another", "x", false, 4));
    assert!(answer.is_good(), "{answer:?}");
    assert!(running.join().expect("a client").is_good());

    let bad = format!("{new}\n[routing]\nattempts_max = 0\nnonsense = 1\n");
    std::fs::write(&path, bad).expect("the configuration");
    gateway.signal("HUP");
    until("the refusal", || gateway.log("stderr").contains("the old one stays").then_some(()));
    let log = gateway.log("stderr");
    assert!(log.contains("nonsense"), "{log}");
    assert_eq!(models(&gateway).len(), 2);
    assert!(gateway.client().chat(&ask("test/another", "x", false, 4)).is_good());

    std::fs::remove_file(&path).expect("the configuration");
    gateway.signal("HUP");
    let refusals =
        || (gateway.log("stderr").matches("the old one stays").count() >= 2).then_some(());
    until("the refusal of a missing file", refusals);

    // The model can go again, and a good file ends the trouble.
    std::fs::write(&path, &old).expect("the configuration");
    gateway.signal("HUP");
    until("the old models", || (models(&gateway) == [MODEL]).then_some(()));
    assert_eq!(gateway.client().chat(&ask("test/another", "x", false, 4)).status, 404);
    assert!(gateway.client().chat(&ask(MODEL, "x", false, 4)).is_good());
    gateway.signal("TERM");
    assert_eq!(gateway.wait(Duration::from_secs(5)).code(), Some(0));
    gateway.verify().expect("the ledger holds");
}

#[test]
fn check_tells_every_fault_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[server]\nlisten = [\"nowhere\"]\nbody_bytes_max = 0\n[log]\nlevel = \"loud\"\n\
         [[providers]]\nid = \"one\"\nname = \"One\"\ndialect = \"openai\"\n\
         base_url = \"ftp://x\"\napi_key = \"in-the-clear\"\n{}",
        another_model("no-slash").replace("provider = \"one\"", "provider = \"two\"")
    );
    std::fs::write(dir.path().join("bad.toml"), text).expect("a file");
    let output = turnpike(dir.path(), &["check", "-c", "bad.toml"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for place in [
        "server.listen",
        "server.body_bytes_max",
        "log.level",
        "base_url",
        "api_key",
        "models",
        "provider",
    ] {
        assert!(said.contains(place), "{place} is not named in: {said}");
    }
    assert!(said.lines().count() >= 7, "{said}");
    assert!(!said.contains("in-the-clear"), "a secret is repeated: {said}");
    // Serving it ends in the same way.
    let served = turnpike(dir.path(), &["serve", "-c", "bad.toml"]);
    assert_eq!(served.status.code(), Some(1));
    assert_eq!(stderr(&served), said);
    let missing = turnpike(dir.path(), &["check", "-c", "missing.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("missing.toml"), "{}", stderr(&missing));
}

#[test]
fn a_running_configuration_checks_as_sound() {
    let providers = one();
    let gateway = Gateway::start(&providers, &Setup::default());
    let output = turnpike(gateway.dir.path(), &["check", "-c", "turnpike.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 models, 1 endpoints") || said.contains("sound"), "{said}");
}

/// Starts a second gateway with the first one's configuration, changed.
fn second(gateway: &Gateway, change: impl Fn(String) -> String) -> String {
    let text = std::fs::read_to_string(gateway.dir.path().join("turnpike.toml")).expect("a file");
    std::fs::write(gateway.dir.path().join("second.toml"), change(text)).expect("a file");
    let output = turnpike(gateway.dir.path(), &["serve", "-c", "second.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn what_is_taken_is_said() {
    let providers = one();
    let gateway = Gateway::start(&providers, &Setup::default());
    let (address, admin) = (gateway.address.to_string(), gateway.admin.to_string());
    let elsewhere = |text: String| text.replace("data_dir = \"data\"", "data_dir = \"other\"");
    let (free_one, free_two) = (free().to_string(), free().to_string());

    let said = second(&gateway, |t| elsewhere(t).replace(&admin, &free_one));
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    let said = second(&gateway, |t| elsewhere(t).replace(&address, &free_one));
    assert!(said.contains(&admin) && said.contains("in use"), "{said}");
    let said = second(&gateway, |t| t.replace(&address, &free_one).replace(&admin, &free_two));
    let told = said.to_lowercase();
    assert!(told.contains("data") && (told.contains("in use") || told.contains("lock")), "{said}");
    // The commands that write to a ledger refuse too, and the first gateway has felt nothing.
    let output = turnpike(gateway.dir.path(), &["ledger", "verify", "--data", "data"]);
    assert_ne!(output.status.code(), Some(0), "a ledger in use cannot be verified from outside");
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    assert!(gateway.client().chat(&ask(MODEL, "x", false, 4)).is_good());
}

#[test]
fn the_admin_listener_tells_health_and_metrics() {
    let providers = one();
    let gateway = Gateway::start(&providers, &Setup::default());
    let mut admin = Client::new(gateway.admin, None);
    assert_eq!(admin.get("/healthz").json(), json!({"status": "ok"}));
    let ready = admin.get("/readyz");
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, json!("ready")));
    let mut client = gateway.client();
    for _ in 0..3 {
        assert!(client.chat(&ask(MODEL, "x", true, 4)).is_good());
    }
    assert_eq!(client.chat("{").status, 400);
    let page = admin.get("/metrics");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/plain")));
    let text = page.text();
    assert!(text.contains("# TYPE turnpike_"), "{text}");
    assert!(!text.contains(&gateway.key) && !text.contains("provider-secret-canary"));
    until("the requests are counted", || {
        (gateway.metric("turnpike_requests_total", &["status=\"2xx\""]) >= 3.0).then_some(())
    });
    until("nothing is in flight", || {
        (gateway.metric("turnpike_in_flight_requests", &[]) == 0.0).then_some(())
    });
    // What is for operators is not on the clients' listener, and the reverse.
    for path in ["/metrics", "/healthz", "/admin/v1/accounts"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert_eq!(admin.get("/v1/models").status, 404);
}

#[test]
fn an_account_can_be_opened_paid_and_used_over_http() {
    let providers = one();
    let mut gateway = Gateway::start(&providers, &Setup::default());
    let paths = ["/admin/v1/accounts", "/admin/v1/keys", "/admin/v1/endpoints"];
    for token in [None, Some("wrong".to_owned()), Some(gateway.key.clone())] {
        for path in paths {
            assert_eq!(Client::new(gateway.admin, token.clone()).get(path).status, 401, "{path}");
        }
    }
    let mut admin = Client::new(gateway.admin, Some(ADMIN_TOKEN.to_owned()));
    let mut post = |path: &str, body: serde_json::Value| -> Answer {
        admin.send("POST", path, &[], body.to_string().as_bytes())
    };
    let made = post("/admin/v1/accounts", json!({"id": "newcomer"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let again = post("/admin/v1/accounts", json!({"id": "newcomer"}));
    assert_eq!(again.status, 409, "{}", again.text());
    let key = post("/admin/v1/keys", json!({"account_id": "newcomer", "label": "first"}));
    assert_eq!(key.status, 201, "{}", key.text());
    let (id, secret) = (key.json()["id"].clone(), key.json()["key"].clone());
    let secret = secret.as_str().expect("a secret").to_owned();

    let mut client = Client::new(gateway.address, Some(secret.clone()));
    let broke = client.chat(&ask(MODEL, "x", false, 4));
    assert_eq!(broke.status, 402, "{}", broke.text());
    let payment = json!({"amount_usd": "2.5", "method": "card", "idempotency_key": "p-1"});
    let paid = post("/admin/v1/accounts/newcomer/top-ups", payment.clone());
    assert_eq!(paid.status, 201, "{}", paid.text());
    let repeated = post("/admin/v1/accounts/newcomer/top-ups", payment);
    assert_eq!((repeated.status, repeated.json()["repeated"].clone()), (200, json!(true)));
    let answer = client.chat(&ask(MODEL, "x", false, 4));
    assert!(answer.is_good(), "{answer:?}");
    let credits = client.get("/v1/credits").json();
    assert_eq!(credits["data"]["total_credits"], 2.5, "paid once: {credits}");
    let spent = credits["data"]["total_usage"].as_f64().expect("a number");
    assert!(spent > 0.0, "{credits}");

    let row = admin.get("/admin/v1/accounts/newcomer").json();
    assert_eq!(row["bought_usd"], "2.5", "{row}");
    let listed = admin.get("/admin/v1/keys?account_id=newcomer");
    assert!(!listed.text().contains(&secret), "the secret is shown once");
    let path = format!("/admin/v1/keys/{}", id.as_str().expect("an id"));
    let disabled = admin.send("DELETE", &path, &[], b"");
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert_eq!(disabled.json()["disabled"], true, "{}", disabled.text());
    until("the key is refused", || {
        (client.chat(&ask(MODEL, "x", false, 4)).status == 401).then_some(())
    });

    // All of it is still there after a restart.
    gateway.signal("TERM");
    assert_eq!(gateway.wait(Duration::from_secs(5)).code(), Some(0));
    gateway.verify().expect("the ledger holds");
    gateway.restart();
    assert_eq!(client.chat(&ask(MODEL, "x", false, 4)).status, 401);
    let row = Client::new(gateway.admin, Some(ADMIN_TOKEN.to_owned()))
        .get("/admin/v1/accounts/newcomer")
        .json();
    assert_eq!(row["bought_usd"], "2.5", "{row}");
    assert!(gateway.client().chat(&ask(MODEL, "x", false, 4)).is_good());
    for log in ["stderr", "stdout", "access.log"] {
        assert!(!gateway.log(log).contains(&secret), "{log} has a key");
    }
    let mut stream = gateway.client().connect();
    send(&mut stream, &gateway, &ask(MODEL, "x", false, 4));
    assert!(read_answer(&mut stream).expect("an answer").0.is_good());
}
