//! Events on their way: kept until they are delivered or given up.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most events that wait; the oldest makes room for a new one.
const WAITING_MAX: usize = 10_000;
/// How often an event is sent before it is given up: two and a half days.
const ATTEMPTS_MAX: u32 = 65;
/// The first pause, which doubles with every failure.
const PAUSE_MS: u64 = 5_000;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// Something that happened, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id, the same in every attempt: `evt_` and 32 hexadecimal digits.
    pub id: String,
    /// What happened, for instance `account.low_balance`.
    pub kind: String,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// To what, and how much.
    pub data: Value,
    /// How often it was sent in vain.
    pub attempts: u32,
    /// When it is sent next, in milliseconds since 1970.
    pub next_ms: u64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Event {
    /// The body that is sent.
    pub fn body(&self) -> Vec<u8> {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.created_ms);
        let timestamp = humantime::format_rfc3339_millis(at).to_string();
        let body = serde_json::json!({
            "type": self.kind,
            "timestamp": timestamp,
            "data": self.data,
        });
        body.to_string().into_bytes()
    }
}

/// What was dropped without having been delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped(pub(crate) String);

/// The events that wait, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Outbox(Vec<Event>);

impl Outbox {
    pub(crate) fn events(&self) -> &[Event] {
        &self.0
    }

    /// Adds an event; says which one had to go for it.
    pub(crate) fn add(&mut self, event: Event) -> Option<Dropped> {
        let full = self.0.len() >= WAITING_MAX;
        let dropped = full.then(|| Dropped(self.0.remove(0).id));
        self.0.push(event);
        dropped
    }

    /// The events whose time has come, at most so many.
    pub(crate) fn due(&self, now_ms: u64, most: usize) -> Vec<Event> {
        self.0.iter().filter(|event| event.next_ms <= now_ms).take(most).cloned().collect()
    }

    pub(crate) fn delivered(&mut self, id: &str) {
        self.0.retain(|event| event.id != id);
    }

    /// Notes a failure. `random` spreads the next attempt by up to a fifth. After the last attempt
    /// the event is dropped.
    pub(crate) fn failed(
        &mut self,
        id: &str,
        why: String,
        now_ms: u64,
        random: u64,
    ) -> Option<Dropped> {
        let at = self.0.iter().position(|event| event.id == id)?;
        let event = &mut self.0[at];
        event.attempts += 1;
        event.last_error = Some(why);
        if event.attempts >= ATTEMPTS_MAX {
            return Some(Dropped(self.0.remove(at).id));
        }
        let doublings = (event.attempts - 1).min(20);
        let pause = (PAUSE_MS << doublings).min(PAUSE_MAX_MS);
        event.next_ms = now_ms + pause + random % (pause / 5);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        Event {
            id: id.to_owned(),
            kind: "test".to_owned(),
            created_ms: 1_700_000_000_123,
            data: serde_json::json!({"a": 1}),
            attempts: 0,
            next_ms: 0,
            last_error: None,
        }
    }

    #[test]
    fn failures_come_back_later_and_later_and_end() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.add(event("a")), None);
        let mut now = 0;
        let mut pauses = Vec::new();
        let dropped = loop {
            assert_eq!(outbox.due(now, 9).len(), 1);
            if let Some(dropped) = outbox.failed("a", "503".to_owned(), now, 0) {
                break dropped;
            }
            let next = outbox.events()[0].next_ms;
            assert!(outbox.due(next - 1, 9).is_empty(), "not before its time");
            pauses.push(next - now);
            now = next;
        };
        assert_eq!(dropped, Dropped("a".to_owned()));
        assert_eq!(&pauses[..4], [5_000, 10_000, 20_000, 40_000]);
        assert_eq!(pauses.last(), Some(&PAUSE_MAX_MS));
        assert!(now > 2 * 86_400_000, "it is tried for more than two days");
        assert!(outbox.events().is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_delivered_is_gone() {
        let mut outbox = Outbox::default();
        for n in 0..WAITING_MAX {
            assert_eq!(outbox.add(event(&n.to_string())), None);
        }
        assert_eq!(outbox.add(event("new")), Some(Dropped("0".to_owned())), "the oldest goes");
        outbox.delivered("new");
        assert_eq!(outbox.events().len(), WAITING_MAX - 1);
        let body: Value = serde_json::from_slice(&event("x").body()).expect("JSON");
        assert_eq!(body["timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!((&body["type"], &body["data"]["a"]), (&"test".into(), &1.into()));
    }
}
