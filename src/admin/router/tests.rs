use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::admin::bank::{
    AccountRow, BankError, IssuedKey, KeyRow, NewAccount, NewKey, Page, TopUp, TopUpDone,
};
use crate::admin::status::{EndpointRow, NotReady};
use crate::ledger::{Cursor, GenerationPage, GenerationQuery, GenerationRecord};
use crate::observe::labels::BreakerState;
use crate::vocab::{AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, ProviderId};

/// A bank in memory with the promises of [`Bank`].
#[derive(Default)]
struct Vault {
    accounts: Mutex<BTreeMap<String, AccountRow>>,
    keys: Mutex<BTreeMap<String, KeyRow>>,
    top_ups: Mutex<BTreeMap<String, TopUp>>,
}

impl Bank for Vault {
    fn create_account(&self, new: NewAccount) -> Result<AccountRow, BankError> {
        match new.id.as_str() {
            "down" => return Err(BankError::Unavailable),
            "bug" => return Err(BankError::Internal("secret detail".to_owned())),
            "panic" => panic!("on purpose"),
            _ => {}
        }
        let row = AccountRow {
            id: new.id.clone(),
            bought: NanoUsd::ZERO,
            used: NanoUsd::ZERO,
            balance: NanoUsd::ZERO,
            held: NanoUsd::ZERO,
            created_ms: 7,
        };
        let mut accounts = self.accounts.lock();
        if accounts.contains_key(new.id.as_str()) {
            return Err(BankError::Conflict("The id is taken.".to_owned()));
        }
        accounts.insert(new.id.to_string(), row.clone());
        Ok(row)
    }

    fn account(&self, id: &AccountId) -> Result<AccountRow, BankError> {
        self.accounts.lock().get(id.as_str()).cloned().ok_or(BankError::NotFound("account"))
    }

    fn accounts(&self, page: &Page) -> Result<Vec<AccountRow>, BankError> {
        let after = |id: &str| page.after.as_deref().is_none_or(|after| id > after);
        let accounts = self.accounts.lock();
        let rows = accounts.iter().filter(|(id, _)| after(id)).map(|(_, row)| row.clone());
        Ok(rows.take(page.limit).collect())
    }

    fn top_up(&self, top_up: TopUp) -> Result<TopUpDone, BankError> {
        let mut accounts = self.accounts.lock();
        let row = accounts.get_mut(top_up.account.as_str());
        let row = row.ok_or(BankError::NotFound("account"))?;
        let mut top_ups = self.top_ups.lock();
        if let Some(before) = top_ups.get(&top_up.idempotency_key) {
            if *before != top_up {
                return Err(BankError::Conflict("Another top-up has this key.".to_owned()));
            }
            return Ok(TopUpDone { account: row.clone(), repeated: true });
        }
        row.balance += top_up.amount;
        row.bought += top_up.amount;
        top_ups.insert(top_up.idempotency_key.clone(), top_up);
        Ok(TopUpDone { account: row.clone(), repeated: false })
    }

    fn create_key(&self, new: NewKey) -> Result<IssuedKey, BankError> {
        self.account(&new.account)?;
        let mut keys = self.keys.lock();
        let id = KeyId::parse(&format!("key_{}", keys.len())).expect("an id");
        let row = KeyRow {
            id,
            account: new.account,
            label: new.label,
            shown: "sk-on".to_owned(),
            limit: new.limit,
            spent: NanoUsd::ZERO,
            expires_ms: new.expires_ms,
            disabled: false,
            created_ms: 8,
        };
        keys.insert(row.id.to_string(), row.clone());
        Ok(IssuedKey { row, secret: Secret::new("sk-once".to_owned()) })
    }

    fn disable_key(&self, id: &KeyId) -> Result<KeyRow, BankError> {
        let mut keys = self.keys.lock();
        let row = keys.get_mut(id.as_str()).ok_or(BankError::NotFound("key"))?;
        row.disabled = true;
        Ok(row.clone())
    }

    fn keys(&self, account: Option<&AccountId>, page: &Page) -> Result<Vec<KeyRow>, BankError> {
        let keys = self.keys.lock();
        let rows = keys.values().filter(|row| account.is_none_or(|a| row.account == *a));
        Ok(rows.take(page.limit).cloned().collect())
    }
}

/// One generation, and where the next page would go on.
struct Records;

impl Generations for Records {
    fn page(&self, query: &GenerationQuery) -> Result<GenerationPage, BankError> {
        if query.account.as_ref().is_some_and(|account| account.as_str() == "bug") {
            return Err(BankError::Internal("secret detail".to_owned()));
        }
        let next = query.after.is_none().then(|| Cursor::parse("19b7a2-2a")).flatten();
        Ok(GenerationPage { records: vec![self.one("gen-1")?], next })
    }

    fn one(&self, id: &str) -> Result<Arc<GenerationRecord>, BankError> {
        if id != "gen-1" {
            return Err(BankError::NotFound("generation"));
        }
        let account = AccountId::parse("acme").expect("an id");
        let key = KeyId::parse("key_0").expect("an id");
        let id = GenerationId::from_bits(7);
        Ok(Arc::new(GenerationRecord::bare(id, 1_767_225_600_000, account, key)))
    }
}

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
        }]
    }
}

/// The router on a socket of its own.
struct Served {
    address: std::net::SocketAddr,
    running: Arc<Running>,
}

async fn served(token: Option<&str>) -> Served {
    let running = Arc::new(Running::default());
    let state = AdminState::new(
        Arc::new(Vault::default()),
        Arc::new(Records),
        Arc::clone(&running) as Arc<dyn Status>,
        Arc::new(Metrics::new().expect("metrics")),
        token.map(|token| Secret::new(token.to_owned())),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router(state)).await });
    Served { address, running }
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

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let extra = "authorization: Bearer t0ken\r\ncontent-type: application/json\r\n";
        self.send("POST", path, extra, &body.to_string()).await
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

    let new = json!({"account_id": "acme", "label": "ci", "limit_usd": "2.5", "expires_ms": 9});
    let key = served.post("/admin/v1/keys", &new).await;
    assert_eq!((key.status, &key.json()["key"]), (201, &json!("sk-once")), "shown once");
    let keys = served.get("/admin/v1/keys?account_id=acme").await;
    assert_eq!(
        keys.json()["data"][0],
        json!({"id": "key_0", "account_id": "acme", "label": "ci", "shown": "sk-on",
               "limit_usd": "2.5", "spent_usd": "0", "expires_ms": 9, "disabled": false,
               "created_ms": 8})
    );
    assert!(!keys.body.contains("sk-once"), "never again");
    let auth = "authorization: Bearer t0ken\r\n";
    let gone = served.send("DELETE", "/admin/v1/keys/key_0", auth, "").await;
    assert_eq!((gone.status, &gone.json()["disabled"]), (200, &json!(true)));

    let shown = served.get("/admin/v1/accounts/acme").await;
    assert_eq!(
        shown.json(),
        json!({"id": "acme", "bought_usd": "5.25", "used_usd": "0", "balance_usd": "5.25",
               "held_usd": "0", "created_ms": 7})
    );
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
async fn failures_of_the_bank_do_not_show_their_details() {
    let served = served(Some("t0ken")).await;
    for (id, status, code) in
        [("down", 503, "provider_overloaded"), ("bug", 500, "server"), ("panic", 500, "server")]
    {
        let answer = served.post("/admin/v1/accounts", &json!({"id": id})).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{id}");
        assert!(!answer.body.contains("detail\""), "{}", answer.body);
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
    assert_eq!(served.get("/healthz").await.status, 200, "still there");
}
