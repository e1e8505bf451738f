//! `/_sim/state`: what the providers counted, and switching their behaviour while they run.
//!
//! `GET` answers for all providers. `POST` takes one object or a list of them:
//! `{"provider":"a","behaviour":{"ttft_ms":50},"listening":true,"reset_counters":true}`; what is
//! left out stays. A behaviour is given whole: knobs that it leaves out get their defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::behaviour::Behaviour;
use super::server::{Door, House};
use super::state::{LastRequest, State, Stats};

pub(super) const PATH: &str = "/_sim/state";
const BODY_MAX: usize = 16 * 1024 * 1024;

#[derive(Serialize)]
struct Report<'a> {
    providers: BTreeMap<&'a str, Provider>,
}

#[derive(Serialize)]
struct Provider {
    listen: String,
    listening: bool,
    prefix: String,
    dialect: &'static str,
    behaviour: Behaviour,
    stats: Stats,
    last_request: Option<Last>,
}

#[derive(Serialize)]
struct Last {
    request: String,
    headers: Vec<(String, String)>,
    body_len: usize,
    body_blake3: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    provider: String,
    #[serde(default)]
    behaviour: Option<Behaviour>,
    #[serde(default)]
    listening: Option<bool>,
    #[serde(default)]
    reset_counters: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Orders {
    One(Box<Order>),
    Many(Vec<Order>),
}

/// Answers a control request that came through this door.
pub(super) async fn answer(
    house: &Arc<House>,
    door: &Arc<Door>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.method() == Method::POST {
        let Ok(body) = Limited::new(request.into_body(), BODY_MAX).collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "the body could not be read");
        };
        let orders = match serde_json::from_slice(&body.to_bytes()) {
            Ok(Orders::One(order)) => vec![*order],
            Ok(Orders::Many(orders)) => orders,
            Err(e) => return text(StatusCode::BAD_REQUEST, &format!("not an order: {e}")),
        };
        for order in orders {
            if let Err((status, why)) = obey(house, door, order).await {
                return text(status, &why);
            }
        }
    } else if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET or POST");
    }
    report(house)
}

async fn obey(
    house: &Arc<House>,
    here: &Arc<Door>,
    order: Order,
) -> Result<(), (StatusCode, String)> {
    let Some((door, state)) = house.find(&order.provider) else {
        return Err((StatusCode::NOT_FOUND, format!("no provider {:?}", order.provider)));
    };
    if let Some(behaviour) = order.behaviour {
        state.set(behaviour).map_err(|bad| (StatusCode::BAD_REQUEST, bad.to_string()))?;
    }
    if order.reset_counters {
        state.reset_counters();
    }
    match order.listening {
        Some(true) => door
            .open(house)
            .map_err(|e| (StatusCode::CONFLICT, format!("can't listen on {}: {e}", door.addr))),
        Some(false) if Arc::ptr_eq(door, here) => Err((
            StatusCode::CONFLICT,
            "a listener can't be closed through itself: use another provider's".to_owned(),
        )),
        Some(false) => {
            door.close().await;
            Ok(())
        }
        None => Ok(()),
    }
}

fn report(house: &House) -> Response<Full<Bytes>> {
    let mut providers = BTreeMap::new();
    for door in &house.doors {
        for state in &door.states {
            providers.insert(state.config.id.as_str(), describe(door, state));
        }
    }
    match serde_json::to_vec(&Report { providers }) {
        Ok(body) => {
            let mut response = Response::new(Full::new(Bytes::from(body)));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

fn describe(door: &Door, state: &State) -> Provider {
    Provider {
        listen: door.addr.to_string(),
        listening: door.is_open(),
        prefix: state.config.prefix.clone(),
        dialect: state.config.dialect.name(),
        behaviour: state.live().behaviour.clone(),
        stats: state.stats(),
        last_request: state.last().map(|last| describe_last(&last)),
    }
}

fn describe_last(last: &LastRequest) -> Last {
    Last {
        request: last.path.clone(),
        headers: pairs(&last.headers),
        body_len: last.body_len,
        body_blake3: last.body_blake3().to_hex().to_string(),
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn text(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{why}\n"))));
    *response.status_mut() = status;
    response
}

impl House {
    /// The provider of this id and its listener.
    pub(super) fn find(&self, id: &str) -> Option<(&Arc<Door>, &Arc<State>)> {
        self.doors.iter().find_map(|door| {
            let state = door.states.iter().find(|state| state.config.id == id)?;
            Some((door, state))
        })
    }
}
