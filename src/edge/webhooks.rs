//! Looks what happened to accounts and keys, and delivers what is to be told.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::task::JoinSet;

use crate::config::settings::Webhooks;
use crate::edge::fetch::{PublicOnly, check};
use crate::edge::gateway::Gateway;
use crate::edge::{clock, random};
use crate::events::{Event, Events, SigningSecret};
use crate::ledger::Ledger;

/// Time between two looks at balances and limits.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The most events that are sent at the same time.
const SENT_AT_ONCE: usize = 16;

/// Posts events to the receiver.
#[derive(Clone)]
pub(super) struct Postman {
    client: Client,
    url: Url,
    secret: SigningSecret,
    private: bool,
}

impl Postman {
    /// # Errors
    /// The settings or the system's TLS roots cannot be used; the text says why.
    pub(super) fn new(settings: &Webhooks) -> Result<Self, String> {
        // Another part of the process may have chosen before; that choice is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let private = settings.private_networks;
        let url = Url::parse(&settings.url).map_err(|error| format!("webhooks.url: {error}"))?;
        check(&url, private).map_err(|why| format!("webhooks.url {why}"))?;
        let secret = SigningSecret::parse(settings.secret.expose())
            .ok_or("webhooks.secret has not the form whsec_…")?;
        let client = Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(PublicOnly { private }))
            .timeout(settings.timeout)
            .user_agent(concat!("turnpike/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the client for webhooks cannot be made: {error}"))?;
        Ok(Self { client, url, secret, private })
    }

    /// Sends an event once.
    async fn send(&self, event: &Event) -> Result<(), String> {
        check(&self.url, self.private)?;
        let (body, seconds) = (event.body(), clock::unix_ms() / 1_000);
        let signature = self.secret.sign(&event.id, seconds, &body).ok_or("it cannot be signed")?;
        let answer = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("status {}", status.as_u16())),
        }
    }
}

/// Looks and delivers for as long as the gateway runs.
pub(super) async fn run(gateway: Arc<Gateway>, postman: Option<Postman>) {
    let mut rounds = tokio::time::interval(LOOK_INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let (ledger, events) = (gateway.ledger.clone(), Arc::clone(&gateway.events));
        if let Err(error) = look(ledger, events).await {
            tracing::error!(error, "Events could not be stored; they are looked for again.");
        }
        if let Some(postman) = &postman {
            deliver(&gateway.events, postman).await;
        }
    }
}

async fn look(ledger: Ledger, events: Arc<Events>) -> Result<(), String> {
    let looked = tokio::task::spawn_blocking(move || {
        if !ledger.healthy() {
            return Ok(());
        }
        events.look(&ledger, clock::unix_ms())
    });
    looked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Sends what is due. A receiver that is slow holds up nothing but this.
async fn deliver(events: &Arc<Events>, postman: &Postman) {
    let due = events.due(clock::unix_ms(), SENT_AT_ONCE);
    if due.is_empty() {
        return;
    }
    let mut sending = JoinSet::new();
    for event in due {
        let postman = postman.clone();
        sending.spawn(async move {
            let outcome = postman.send(&event).await;
            (event.id, outcome)
        });
    }
    let outcomes = sending.join_all().await;
    let events = Arc::clone(events);
    let stored =
        tokio::task::spawn_blocking(move || events.sent(outcomes, clock::unix_ms(), random::u64()));
    match stored.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "It could not be stored which events were delivered.");
        }
        Err(error) => tracing::error!(%error, "Events could not be delivered."),
    }
}
