//! Terms, members, organisations, transfers and invoices through the router; and that the
//! description of it is true.

use super::*;
use crate::admin::OPENAPI;

async fn with_accounts() -> Served {
    let served = served(Some("t0ken")).await;
    for id in ["acme", "beta"] {
        assert_eq!(served.post("/admin/v1/accounts", &json!({"id": id})).await.status, 201);
    }
    let pay = json!({"amount_usd": "10", "method": "card", "idempotency_key": "p"});
    assert_eq!(served.post("/admin/v1/accounts/acme/top-ups", &pay).await.status, 201);
    served
}

#[tokio::test]
async fn terms_are_changed_field_by_field() {
    let served = with_accounts().await;
    let terms = json!({
        "account_id": "acme", "label": "ci", "limit_usd": "5", "limit_reset": "daily",
        "policy": {"rpm": 10, "allowed_models": ["openai/*"], "zdr": true},
    });
    let key = served.post("/admin/v1/keys", &terms).await;
    assert_eq!(key.status, 201, "{}", key.body);
    let path = format!("/admin/v1/keys/{}", key.text("id"));
    let changed = served.patch(&path, &json!({"policy": {"rpm": null, "tpm": 9}})).await.json();
    assert_eq!(changed["policy"]["rpm"], Value::Null, "{changed}");
    assert_eq!((&changed["policy"]["tpm"], &changed["policy"]["zdr"]), (&json!(9), &json!(true)));
    assert_eq!(changed["limit_reset"], "daily", "what is absent stays");
    let cleared = served.patch(&path, &json!({"limit_usd": null})).await.json();
    assert_eq!((&cleared["limit_usd"], &cleared["limit_reset"]), (&Value::Null, &Value::Null));
    for (body, field) in [
        (json!({"limit_reset": "hourly"}), "limit_reset"),
        (json!({"limit_reset": "daily"}), "limit_reset"),
        (json!({"policy": {"rpm": 0}}), "rpm"),
        (json!({"member": "nobody"}), "member"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let answer = served.patch(&path, &body).await;
        assert!(matches!(answer.status, 400 | 409), "{body}: {}", answer.body);
        assert!(answer.body.contains(field), "{field}: {}", answer.body);
    }
    let auto = json!({"auto_top_up": {"below_usd": "2", "amount_usd": "20"}, "name": "Acme"});
    let account = served.patch("/admin/v1/accounts/acme", &auto).await.json();
    assert_eq!(account["auto_top_up"]["amount_usd"], "20", "{account}");
}

#[tokio::test]
async fn organisations_and_members_from_start_to_end() {
    let served = with_accounts().await;
    let put = async |path: &str, body: &Value| served.with_body("PUT", path, body).await;
    let group = put("/admin/v1/organisations/group", &json!({"name": "Group"})).await;
    assert_eq!(group.status, 201, "{}", group.body);
    let again = put("/admin/v1/organisations/group", &json!({"policy": {"zdr": true}})).await;
    assert_eq!((again.status, &again.json()["name"]), (200, &json!("Group")));
    let joined = served.patch("/admin/v1/accounts/acme", &json!({"organisation": "group"})).await;
    assert_eq!(joined.json()["organisation"], "group");
    let lost = served.patch("/admin/v1/accounts/acme", &json!({"organisation": "none"})).await;
    assert_eq!(lost.status, 404, "{}", lost.body);
    let ann = "/admin/v1/accounts/acme/members/ann";
    let member = put(ann, &json!({"role": "admin", "limit_usd": "3"})).await;
    assert_eq!((member.status, &member.json()["role"]), (201, &json!("admin")));
    let key = served.post("/admin/v1/keys", &json!({"account_id": "acme", "member": "ann"})).await;
    assert_eq!(key.status, 201, "{}", key.body);
    let auth = "authorization: Bearer t0ken\r\n";
    assert_eq!(served.send("DELETE", ann, auth, "").await.status, 200);
    assert_eq!(served.send("DELETE", ann, auth, "").await.status, 404);
    let path = format!("/admin/v1/keys/{}", key.text("id"));
    assert_eq!(served.get(&path).await.json()["disabled"], true, "their keys work no more");
}

#[tokio::test]
async fn money_moves_once() {
    let served = with_accounts().await;
    let transfer = json!({"from": "acme", "to": "beta", "amount_usd": "4", "reason": "split",
                          "idempotency_key": "t"});
    let moved = served.post("/admin/v1/transfers", &transfer).await;
    assert_eq!((moved.status, &moved.json()["to"]["balance_usd"]), (201, &json!("4")));
    let again = served.post("/admin/v1/transfers", &transfer).await;
    assert_eq!((again.status, &again.json()["from"]["balance_usd"]), (200, &json!("6")));
    let note = json!({"amount_usd": "-1", "reason": "refund", "against": "cash-in:card",
                      "idempotency_key": "n"});
    let taken = served.post("/admin/v1/accounts/beta/adjustments", &note).await;
    assert_eq!((taken.status, &taken.json()["account"]["balance_usd"]), (201, &json!("3")));
    let bill = json!({"account_id": "beta", "amount_usd": "7", "idempotency_key": "i"});
    let invoice = served.post("/admin/v1/invoices", &bill).await;
    assert_eq!(invoice.status, 201, "{}", invoice.body);
    let id = invoice.json()["invoice"]["id"].as_str().expect("an id").to_owned();
    for repeated in [false, true] {
        let paid = served.post(&format!("/admin/v1/invoices/{id}/paid"), &json!({})).await;
        assert_eq!((paid.status, &paid.json()["repeated"]), (200, &json!(repeated)));
    }
    let beta = served.get("/admin/v1/accounts/beta").await;
    assert_eq!(beta.json()["balance_usd"], "10", "credited once");
    assert!(served.dir.path().join("events.json").exists(), "invoices survive");
}

/// Every route is described, and nothing else is.
#[test]
fn the_description_is_of_these_routes() {
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let described = document["paths"].as_object().expect("paths");
    let ours: Vec<String> = MANAGEMENT.iter().map(|(path, _)| format!("/admin/v1{path}")).collect();
    for path in &ours {
        assert!(described.contains_key(path), "{path} is not described");
    }
    for path in described.keys().filter(|path| path.starts_with("/admin/v1")) {
        assert!(ours.contains(path) || path.ends_with("openapi.json"), "{path} is no route");
    }
}

/// What is described is answered, by each method and by no other.
#[tokio::test]
async fn each_described_method_is_taken() {
    let served = with_accounts().await;
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let auth = "authorization: Bearer t0ken\r\n";
    for (path, item) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/admin/v1") {
            continue;
        }
        let concrete = path.replace("{id}", "acme").replace("{user}", "ann");
        for method in ["get", "post", "put", "patch", "delete"] {
            let described = item.get(method).is_some();
            let answer = served.send(&method.to_uppercase(), &concrete, auth, "").await;
            assert_eq!(answer.status != 405, described, "{method} {path}: {}", answer.status);
            let known = &item[method]["responses"][answer.status.to_string()];
            assert!(!described || known.is_object(), "{method} {path}: {}", answer.status);
        }
    }
}
