use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::admin::status::{EndpointRow, NotReady};
use crate::catalog::Share;
use crate::events::Events;
use crate::ledger::{Clock, GenerationRecord, Ledger, Options};
use crate::observe::labels::BreakerState;
use crate::payment::{Fee, Manual};
use crate::vocab::{AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, ProviderId};

mod people;

#[derive(Default)]
struct Running(Mutex<Vec<NotReady>>);

impl Status for Running {
    fn not_ready(&self) -> Vec<NotReady> {
        self.0.lock().clone()
    }

    fn endpoints(&self) -> Vec<EndpointRow> {
        vec![EndpointRow {
            id: EndpointId::parse("p/m").expect("an id"),
            model: ModelId::parse("m/x").expect("an id"),
            provider: ProviderId::parse("p").expect("an id"),
            breaker: BreakerState::HalfOpen,
            probe_healthy: Some(true),
            in_flight: 3,
            ttft_ms: Some(120.5),
            retry_after_ms: None,
            keys_resting: Some(1),
        }]
    }
}

/// The router on a socket of its own.
struct Served {
    address: std::net::SocketAddr,
    running: Arc<Running>,
    ledger: Ledger,
    dir: tempfile::TempDir,
}

async fn served(token: Option<&str>) -> Served {
    let running = Arc::new(Running::default());
    let dir = tempfile::tempdir().expect("a directory");
    let (ledger, _recovery) = Ledger::open(dir.path(), Options::new(|| 7)).expect("a ledger");
    let events = Events::open(dir.path(), Arc::new(Manual), true).expect("events");
    let fee = Fee { share: Share::basis_points(500), minimum: NanoUsd(350_000_000) };
    let events = Arc::new(events.with_fee(fee));
    let clock: Clock = Arc::new(|| 7);
    let state = AdminState::new(
        Arc::new(Desk::new(ledger.clone(), clock, events, None)),
        Arc::clone(&running) as Arc<dyn Status>,
        Arc::new(Metrics::new().expect("metrics")),
        token.map(|token| Secret::new(token.to_owned())),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router(state)).await });
    Served { address, running, ledger, dir }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.body))
    }

    /// A member of the body that is a text.
    fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("{name}: {}", self.body)).to_owned()
    }

    /// Status and type of an error, whose shape is checked.
    fn error(&self) -> (u16, String) {
        let json = self.json();
        let error = json["error"].as_object().expect("an error");
        assert_eq!(error["code"], self.status, "the code is the status");
        assert!(error["message"].as_str().is_some_and(|m| m.ends_with('.')), "{json}");
        (self.status, error["type"].as_str().expect("a type").to_owned())
    }
}

impl Served {
    async fn raw(&self, request: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.expect("connected");
        socket.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("read");
        let answer = String::from_utf8(answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head[9..12].parse().expect("a status");
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn send(&self, method: &str, path: &str, extra: &str, body: &str) -> Answer {
        let len = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{extra}content-length: {len}\r\n\r\n"
        );
        self.raw(format!("{head}{body}").as_bytes()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "authorization: Bearer t0ken\r\n", "").await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.with_body("PATCH", path, body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_body("POST", path, body).await
    }

    async fn with_body(&self, method: &str, path: &str, body: &Value) -> Answer {
        let extra = "authorization: Bearer t0ken\r\ncontent-type: application/json\r\n";
        self.send(method, path, extra, &body.to_string()).await
    }
}

#[tokio::test]
async fn probes_need_no_token() {
    let served = served(Some("t0ken")).await;
    for (path, part) in
        [("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "turnpike_in_flight_requests 0\n")]
    {
        let answer = served.send("GET", path, "", "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
        assert!(answer.head.contains("cache-control: no-store"), "{path}: {}", answer.head);
    }
    let metrics = served.send("GET", "/metrics", "", "").await;
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
}

#[tokio::test]
async fn readiness_says_why_not() {
    let served = served(None).await;
    *served.running.0.lock() = vec![NotReady::Draining, NotReady::LedgerDown];
    let answer = served.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"], json!(["draining", "ledger_down"]));
    assert_eq!(served.get("/healthz").await.status, 200, "the process is up all the same");
}

#[tokio::test]
async fn management_needs_the_token() {
    let open = served(None).await;
    let locked = served(Some("t0ken")).await;
    for (method, path) in [
        ("GET", "/admin/v1/accounts"),
        ("POST", "/admin/v1/accounts"),
        ("GET", "/admin/v1/accounts/acme"),
        ("POST", "/admin/v1/accounts/acme/top-ups"),
        ("GET", "/admin/v1/keys"),
        ("POST", "/admin/v1/keys"),
        ("DELETE", "/admin/v1/keys/key_0"),
        ("GET", "/admin/v1/endpoints"),
        ("PUT", "/admin/v1/keys"),
        ("GET", "/admin/v1/nothing"),
    ] {
        let answer = locked.send(method, path, "", "").await;
        assert_eq!(answer.error(), (401, "authentication".to_owned()), "{method} {path}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        let wrong = locked.send(method, path, "authorization: Bearer token\r\n", "").await;
        assert_eq!(wrong.status, 401, "{method} {path} with a wrong token");
        let off = open.send(method, path, "authorization: Bearer t0ken\r\n", "").await;
        assert_eq!(off.error(), (403, "permission_denied".to_owned()), "{method} {path}");
        assert!(off.body.contains("`[admin]`"), "it says how to set one: {}", off.body);
    }
}

#[tokio::test]
async fn generations_are_paged_shown_and_forgotten() {
    let served = served(Some("t0ken")).await;
    served.post("/admin/v1/accounts", &json!({"id": "acme"})).await;
    let key = served.post("/admin/v1/keys", &json!({"account_id": "acme"})).await.text("id");
    let ids: Vec<GenerationId> = (1..=3).map(|n| GenerationId::new(1_000, n)).collect();
    for id in &ids {
        let account = AccountId::parse("acme").expect("an id");
        let key = KeyId::parse(&key).expect("an id");
        let record = GenerationRecord::bare(*id, 7, account, key);
        served.ledger.record(record).expect("kept");
    }
    // What comes after it in the journal waits for it.
    served.post("/admin/v1/accounts", &json!({"id": "later"})).await;
    let first = served.get("/admin/v1/generations?account=acme&limit=2").await.json();
    assert_eq!(first["data"].as_array().map(Vec::len), Some(2), "{first}");
    assert_eq!(first["data"][0]["account"], "acme");
    let next = first["next"].as_str().expect("a next page");
    let last = served.get(&format!("/admin/v1/generations?account=acme&after={next}")).await.json();
    assert_eq!((last["data"].as_array().map(Vec::len), &last["next"]), (Some(1), &Value::Null));
    for wrong in [
        "from=yesterday",
        "after=x",
        "limit=0",
        "limit=1001",
        "key=a%20b",
        "provider=",
        "color=red",
    ] {
        let answer = served.get(&format!("/admin/v1/generations?{wrong}")).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{wrong}");
    }
    let path = format!("/admin/v1/generations/{}", ids[0]);
    assert_eq!(served.get(&path).await.json()["key"], key);
    assert_eq!(served.get("/admin/v1/generations/gen-2").await.error().0, 404);
    let token = "authorization: Bearer t0ken\r\n";
    for (path, status) in [
        (format!("{path}/content"), 404),
        ("/admin/v1/generations/gen-2/content".to_owned(), 404),
        ("/admin/v1/accounts/acme/content".to_owned(), 200),
        ("/admin/v1/accounts/none/content".to_owned(), 404),
    ] {
        assert_eq!(served.send("DELETE", &path, token, "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn accounts_keys_and_credit_from_start_to_end() {
    let served = served(Some("t0ken")).await;
    let new = json!({"id": "acme"});
    let made = served.post("/admin/v1/accounts", &new).await;
    assert_eq!((made.status, &made.json()["balance_usd"]), (201, &json!("0")));
    assert_eq!(served.post("/admin/v1/accounts", &new).await.error(), (409, "conflict".to_owned()));

    let pay = json!({"amount_usd": "5.25", "method": "card", "idempotency_key": "pay-1"});
    let paid = served.post("/admin/v1/accounts/acme/top-ups", &pay).await;
    assert_eq!(paid.status, 201, "{}", paid.body);
    let again = served.post("/admin/v1/accounts/acme/top-ups", &pay).await;
    assert_eq!((again.status, &again.json()["repeated"]), (200, &json!(true)));
    assert_eq!(again.json()["account"]["balance_usd"], "5.25", "added once");
    let other = json!({"amount_usd": "6", "method": "card", "idempotency_key": "pay-1"});
    let clash = served.post("/admin/v1/accounts/acme/top-ups", &other).await;
    assert_eq!(clash.error(), (409, "conflict".to_owned()));

    let buy = json!({
        "amount_usd": "10", "method": "card", "idempotency_key": "pay-2", "purchase": true
    });
    let bought = served.post("/admin/v1/accounts/acme/top-ups", &buy).await.json();
    assert_eq!((&paid.json()["fee_usd"], &bought["fee_usd"]), (&json!("0"), &json!("0.5")));
    assert_eq!(bought["account"]["balance_usd"], "15.25", "the fee is paid beside the credit");
    let again = served.post("/admin/v1/accounts/acme/top-ups", &buy).await.json();
    assert_eq!((&again["repeated"], again.get("fee_usd")), (&json!(true), None));
    let back = json!({"amount_usd": "-10", "reason": "test", "idempotency_key": "back"});
    assert_eq!(served.post("/admin/v1/accounts/acme/adjustments", &back).await.status, 201);

    let new = json!({"account_id": "acme", "label": "ci", "limit_usd": "2.5", "expires_ms": 9});
    let key = served.post("/admin/v1/keys", &new).await;
    assert_eq!(key.status, 201, "{}", key.body);
    let (text, id) = (key.text("key"), key.text("id"));
    assert!(text.starts_with("sk-tp-v1-"), "shown once");
    let keys = served.get("/admin/v1/keys?account_id=acme").await;
    let row = &keys.json()["data"][0];
    assert_eq!((&row["id"], &row["label"]), (&json!(id), &json!("ci")));
    assert_eq!((&row["limit_usd"], &row["spent_usd"]), (&json!("2.5"), &json!("0")));
    assert_eq!((&row["expires_ms"], &row["disabled"]), (&json!(9), &json!(false)));
    assert!(!keys.body.contains(&text), "never again");
    let off = served.patch(&format!("/admin/v1/keys/{id}"), &json!({"disabled": true})).await;
    assert_eq!((off.status, &off.json()["disabled"]), (200, &json!(true)));
    let auth = "authorization: Bearer t0ken\r\n";
    let gone = served.send("DELETE", &format!("/admin/v1/keys/{id}"), auth, "").await;
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!(served.get(&format!("/admin/v1/keys/{id}")).await.status, 404);

    let shown = served.get("/admin/v1/accounts/acme").await.json();
    assert_eq!((&shown["bought_usd"], &shown["held_usd"]), (&json!("5.25"), &json!("0")));
    assert_eq!((&shown["created_ms"], &shown["balance_usd"]), (&json!(7), &json!("5.25")));
    for (path, what) in [("accounts/none", "account"), ("accounts/a%20b", "id")] {
        let answer = served.get(&format!("/admin/v1/{path}")).await;
        assert!(answer.body.contains(what), "{}", answer.body);
    }
    assert_eq!(served.get("/admin/v1/accounts/none").await.error(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let served = served(Some("t0ken")).await;
    for n in 0..5 {
        let made = served.post("/admin/v1/accounts", &json!({"id": format!("a{n}")})).await;
        assert_eq!(made.status, 201);
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = served.get(&format!("/admin/v1/accounts{query}")).await.json();
        for row in page["data"].as_array().expect("rows") {
            seen.push(row["id"].as_str().expect("an id").to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&after={next}");
    }
    assert_eq!(seen, ["a0", "a1", "a2", "a3", "a4"]);
    for bad in ["?limit=0", "?limit=1001", "?limit=x", "?offset=3", "?limit=-1"] {
        let answer = served.get(&format!("/admin/v1/accounts{bad}")).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn endpoints_show_their_health() {
    let served = served(Some("t0ken")).await;
    assert_eq!(
        served.get("/admin/v1/endpoints").await.json(),
        json!({"data": [{
            "id": "p/m", "model": "m/x", "provider": "p", "breaker": "half_open",
            "probe_healthy": true, "in_flight": 3, "ttft_ms": 120.5, "retry_after_ms": null,
            "keys_resting": 1,
        }]})
    );
}

#[tokio::test]
async fn bad_values_are_refused_with_the_field() {
    let served = served(Some("t0ken")).await;
    served.post("/admin/v1/accounts", &json!({"id": "acme"})).await;
    let pay = |amount: Value, method: &str, key: &str| json!({"amount_usd": amount, "method": method, "idempotency_key": key});
    let top_ups = "/admin/v1/accounts/acme/top-ups";
    for (path, body, part) in [
        ("/admin/v1/accounts", json!({"id": ""}), "`id`"),
        ("/admin/v1/accounts", json!({"id": "a b"}), "`id`"),
        ("/admin/v1/accounts", json!({"id": "x".repeat(65)}), "`id`"),
        ("/admin/v1/accounts", json!({"name": "x"}), "id"),
        ("/admin/v1/keys", json!({"account_id": "acme", "label": "a\nb"}), "`label`"),
        ("/admin/v1/keys", json!({"account_id": "acme", "label": "x".repeat(129)}), "`label`"),
        ("/admin/v1/keys", json!({"account_id": "acme", "limit_usd": "-1"}), "`limit_usd`"),
        ("/admin/v1/keys", json!({"account_id": "acme", "limit_usd": "x"}), "`limit_usd`"),
        ("/admin/v1/keys", json!({"account_id": "acme", "expires_ms": -1}), "body"),
        ("/admin/v1/accounts", json!({"id": "b", "credit": 5}), "credit"),
        ("/admin/v1/accounts", json!([]), "body"),
        ("/admin/v1/keys", json!({"account_id": "?"}), "`account_id`"),
        (top_ups, pay(json!("0"), "card", "k"), "`amount_usd`"),
        (top_ups, pay(json!("-1"), "card", "k"), "`amount_usd`"),
        (top_ups, pay(json!("1e3"), "card", "k"), "`amount_usd`"),
        (top_ups, pay(json!("0.0000000001"), "card", "k"), "`amount_usd`"),
        (top_ups, pay(json!(5), "card", "k"), "string"),
        (top_ups, pay(json!("5"), "Card", "k"), "`method`"),
        (top_ups, pay(json!("5"), "", "k"), "`method`"),
        (top_ups, pay(json!("5"), "card", ""), "`idempotency_key`"),
        (top_ups, pay(json!("5"), "card", "a b"), "`idempotency_key`"),
        (top_ups, pay(json!("5"), "card", &"k".repeat(129)), "`idempotency_key`"),
    ] {
        let answer = served.post(path, &body).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{path} {body}");
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
    let shown = served.get("/admin/v1/accounts/acme").await;
    assert_eq!(shown.json()["balance_usd"], "0", "nothing was added");
}

#[tokio::test]
async fn bodies_are_bounded_and_json() {
    let served = served(Some("t0ken")).await;
    let auth = "authorization: Bearer t0ken\r\n";
    let json_type = format!("{auth}content-type: Application/JSON; charset=utf-8\r\n");
    let fill = |len: usize| format!(r#"{{"id":"acme"{}}}"#, " ".repeat(len - 13));
    let fits = served.send("POST", "/admin/v1/accounts", &json_type, &fill(64 << 10)).await;
    assert_eq!(fits.status, 201, "64 KiB exactly: {}", fits.body);
    let large = served.send("POST", "/admin/v1/accounts", &json_type, &fill((64 << 10) + 1)).await;
    assert_eq!(large.error(), (413, "payload_too_large".to_owned()));
    let chunk = "x".repeat(0x8000);
    let chunked = format!(
        "POST /admin/v1/accounts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{json_type}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("8000\r\n{chunk}\r\n").repeat(3)
    );
    assert_eq!(served.raw(chunked.as_bytes()).await.status, 413, "chunked is bounded too");
    let form = format!("{auth}content-type: text/plain\r\n");
    for extra in [auth, form.as_str()] {
        let answer = served.send("POST", "/admin/v1/accounts", extra, r#"{"id":"b"}"#).await;
        assert_eq!(answer.error(), (415, "unsupported_media_type".to_owned()), "{extra}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_json_errors() {
    let served = served(Some("t0ken")).await;
    for path in ["/", "/admin", "/admin/v1/nothing", "/metricsx"] {
        assert_eq!(served.get(path).await.error(), (404, "not_found".to_owned()), "{path}");
    }
    for (method, path) in [("POST", "/metrics"), ("DELETE", "/admin/v1/accounts")] {
        let answer = served.send(method, path, "authorization: Bearer t0ken\r\n", "").await;
        assert_eq!(answer.error(), (405, "method_not_allowed".to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_down_is_told_without_details() {
    let served = served(Some("t0ken")).await;
    served.ledger.close().expect("closed");
    let answer = served.post("/admin/v1/accounts", &json!({"id": "acme"})).await;
    assert_eq!(answer.error(), (503, "provider_overloaded".to_owned()));
    assert_eq!(served.get("/healthz").await.status, 200, "still there");
}
