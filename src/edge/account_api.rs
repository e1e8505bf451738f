//! The part of the API that management keys use: reads the body and hands the call to the desk, on
//! a thread that may block.

use std::sync::Arc;

use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;

use crate::admin::account::{self, Call};
use crate::edge::gateway::Gateway;
use crate::edge::journey::Facts;
use crate::edge::{arrive, body, failure, intake};
use crate::error::GatewayError;

/// Carries a call out: gives the status and the body.
///
/// The outer error is the connection's, the inner one is for the client.
pub(crate) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    facts: &mut Facts,
    call: Call,
) -> Result<std::result::Result<(u16, Bytes), GatewayError>> {
    let caller = match intake::caller(gateway, session, facts) {
        Ok(caller) => caller,
        Err(error) => return Ok(Err(error)),
    };
    let query = arrive::pairs(session.req_header());
    let mut content = Bytes::new();
    if call.has_body() {
        if let Err(error) = arrive::media(&session.req_header().headers) {
            return Ok(Err(error));
        }
        let limits = gateway.now.load().body;
        match body::read(session, limits, &gateway.body_memory).await? {
            Ok(body) => content = body.bytes,
            Err(error) => return Ok(Err(error)),
        }
        facts.bytes_in = content.len();
    }
    let desk = Arc::clone(&gateway.desk);
    let done = tokio::task::spawn_blocking(move || {
        account::answer(&desk, &caller, &call, &query, &content)
    });
    Ok(match done.await {
        Ok(done) => done.map(|(status, body)| (status, Bytes::from(body))),
        Err(error) => Err(failure::internal("management failed").with_detail(error.to_string())),
    })
}
