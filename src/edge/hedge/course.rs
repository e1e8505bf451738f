//! The race itself: the first attempt, after a while the second one, and the answer of who wins.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::ErrorType;
use pingora::connectors::http::Connector;
use tokio::sync::mpsc::Sender;

use super::leg::{Begun, Leg};
use super::second::Offer;
use super::{Race, Side};
use crate::attempt::Outcome;
use crate::edge::journey::Progress;

/// Runs a race and sends the winner's answer, as HTTP/1 sends it. Says whether that is complete.
pub(super) async fn run(
    first: Leg,
    offer: Offer,
    delay: Duration,
    race: Arc<Race>,
    out: Sender<Bytes>,
) -> bool {
    let gateway = Arc::clone(&offer.gateway);
    let connector = gateway.hedges.connector();
    let winner = race_of(first, offer, delay, &race, connector).await;
    match winner {
        Some((side, begun)) => {
            race.with(|told| told.winner = Some((side, begun.connected)));
            relay(begun, &race, connector, &out).await
        }
        None => false,
    }
}

/// Who gives its first token first; `None`: nobody does. When this returns, the other is cancelled.
async fn race_of(
    first: Leg,
    offer: Offer,
    delay: Duration,
    race: &Race,
    connector: &Connector,
) -> Option<(Side, Begun)> {
    let second = async {
        tokio::time::sleep(delay).await;
        match offer.make(race).await {
            Some(leg) => leg.run(connector).await,
            // Nobody is asked.
            None => pending().await,
        }
    };
    let (mut first, mut second) = (pin!(first.run(connector)), pin!(second));
    let (lost, left) = tokio::select! {
        biased;
        result = &mut first => match result {
            Ok(begun) => return Some((Side::First, begun)),
            Err(lost) => (lost, Side::Second),
        },
        result = &mut second => match result {
            Ok(begun) => return Some((Side::Second, begun)),
            Err(lost) => (lost, Side::First),
        },
    };
    match left {
        Side::First => {
            race.with(|told| told.second_lost = Some(lost));
            let result = first.await;
            ended(race, Side::First, result)
        }
        Side::Second => {
            // Who was not asked yet is asked as after any failure.
            let asked = race.with(|told| {
                told.first_lost = Some(lost);
                told.second.is_some()
            });
            if !asked {
                return None;
            }
            let result = second.await;
            ended(race, Side::Second, result)
        }
    }
}

/// The end of who was left alone.
fn ended(race: &Race, side: Side, result: Result<Begun, Progress>) -> Option<(Side, Begun)> {
    match result {
        Ok(begun) => Some((side, begun)),
        Err(lost) => {
            race.with(|told| match side {
                Side::First => told.first_lost = Some(lost),
                Side::Second => told.second_lost = Some(lost),
            });
            None
        }
    }
}

/// Sends an answer that has begun: a header that has what is looked at, and a body that ends with the
/// connection. Says whether it came to its end.
async fn relay(begun: Begun, race: &Race, connector: &Connector, out: &Sender<Bytes>) -> bool {
    let Begun { mut session, peer, content_type, kept, ended, gap, .. } = begun;
    let mut head = BytesMut::from(&b"HTTP/1.1 200 OK\r\nconnection: close\r\n"[..]);
    if let Some(value) = content_type {
        head.extend_from_slice(b"content-type: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    for piece in std::iter::once(head.freeze()).chain(kept) {
        if out.send(piece).await.is_err() {
            return false;
        }
    }
    session.set_read_timeout(Some(gap));
    let mut ended = ended;
    while !ended {
        match session.read_response_body().await {
            Ok(Some(piece)) => {
                if out.send(piece).await.is_err() {
                    return false;
                }
            }
            Ok(None) => ended = true,
            Err(error) => {
                if *error.etype() == ErrorType::ReadTimedout {
                    race.with(|told| told.broke = Some(Outcome::InterEventTimeout));
                }
                return false;
            }
        }
    }
    let idle = peer.options.idle_timeout;
    connector.release_http_session(session, &*peer, idle).await;
    true
}
