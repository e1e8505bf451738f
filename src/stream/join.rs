//! The events of another provider, as they go on with what the client has.
//!
//! *Text* meets the delivered text at its [`Meeting`]. *Calls* are begun anew by the other
//! provider, and what the client has of them is cut away, blanks between JSON's tokens aside; if
//! they come out otherwise than they began, the answer cannot be gone on with. *Reasoning* is not
//! shown: what the client has stays, and a second train of thought would not lead to the words
//! that stand before it. (It is paid for all the same, and a signature of it would sign what the
//! client has not seen.)

use crate::dialect::AnswerFault;
use crate::dialect::ir::{Citation, Event, FinishReason};

use super::delivered::Delivered;
use super::seam::{Meeting, Seam};

/// Turns another provider's events into what the client is still to get.
pub(super) struct Join {
    meeting: Meeting,
    calls: Vec<Call>,
    /// Characters of text that the client has of the other provider's.
    shown: u64,
    /// The same of all that came, and of what was there before.
    came: u64,
    before: u64,
}

/// A call of which the client has a part.
struct Call {
    name: String,
    arguments: Repeat,
    /// All of it is there.
    whole: bool,
    /// The other provider has begun it, too.
    begun: bool,
}

impl Join {
    pub(super) fn new(delivered: &Delivered, seam: Seam) -> Self {
        let text = delivered.text();
        let calls = delivered.calls().into_iter().map(|(name, arguments)| Call {
            name,
            whole: serde_json::from_str::<serde::de::IgnoredAny>(&arguments).is_ok(),
            arguments: Repeat::new(arguments),
            begun: false,
        });
        Self {
            before: text.chars().count() as u64,
            meeting: Meeting::new(text, seam),
            calls: calls.collect(),
            shown: 0,
            came: 0,
        }
    }

    /// Takes an event and appends what the client gets.
    ///
    /// # Errors
    /// A call comes out otherwise than it began.
    pub(super) fn take(&mut self, event: &Event, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        match event {
            Event::Text { choice: 0, text } => {
                self.came += text.chars().count() as u64;
                // What is said before a call that the client has already would come too late.
                if self.calls.is_empty() {
                    let text = self.meeting.push(text);
                    self.say(text, out);
                }
            }
            Event::ToolStart { choice: 0, index, name, .. } => {
                self.settle(out);
                match self.call(*index) {
                    None => out.push(event.clone()),
                    Some(call) if call.name == *name => call.begun = true,
                    Some(_) => return Err(AnswerFault::Diverged),
                }
            }
            Event::ToolArguments { choice: 0, index, json } => {
                let rest = match self.call(*index) {
                    None => json.clone(),
                    Some(call) => call.arguments.push(json)?,
                };
                if !rest.is_empty() {
                    out.push(Event::ToolArguments { choice: 0, index: *index, json: rest });
                }
            }
            Event::Finish { choice: 0, reason, native, stop } => {
                self.settle(out);
                // A call that was whole stays, also if the other provider makes none.
                let whole =
                    |call: &Call| if call.begun { call.arguments.is_over() } else { call.whole };
                if !self.calls.iter().all(whole) {
                    return Err(AnswerFault::Diverged);
                }
                let reason = match reason {
                    FinishReason::Stop if !self.calls.is_empty() => FinishReason::ToolCalls,
                    reason => *reason,
                };
                let (native, stop) = (native.clone(), stop.clone());
                out.push(Event::Finish { choice: 0, reason, native, stop });
            }
            Event::Citation { choice: 0, citation } => {
                self.settle(out);
                let citation = self.moved(citation);
                out.push(Event::Citation { choice: 0, citation });
            }
            Event::Refusal { choice: 0, .. } | Event::Image { choice: 0, .. } => {
                self.settle(out);
                out.push(event.clone());
            }
            // The client has the beginning, and reasoning is not shown; nobody asked for more than
            // one choice. Usage and end are the pipe's affair.
            _ => {}
        }
        Ok(())
    }

    /// The text so far is complete.
    pub(super) fn settle(&mut self, out: &mut Vec<Event>) {
        let rest = self.meeting.finish();
        self.say(rest, out);
    }

    fn say(&mut self, text: String, out: &mut Vec<Event>) {
        if !text.is_empty() {
            self.shown += text.chars().count() as u64;
            out.push(Event::Text { choice: 0, text });
        }
    }

    fn call(&mut self, index: u32) -> Option<&mut Call> {
        usize::try_from(index).ok().and_then(|at| self.calls.get_mut(at))
    }

    /// A source names its passage by its place in the other provider's text.
    fn moved(&self, citation: &Citation) -> Citation {
        let mut moved = citation.clone();
        if citation.end > 0 {
            let cut = self.came.saturating_sub(self.shown);
            let place = |at: u64| at.saturating_add(self.before).saturating_sub(cut);
            (moved.start, moved.end) = (place(citation.start), place(citation.end));
        }
        moved
    }
}

/// JSON that comes a second time.
struct Repeat {
    sent: String,
    /// So much of it was repeated.
    at: usize,
    /// That far it was inside a string, or right after a backslash in one.
    string: bool,
    escaped: bool,
}

impl Repeat {
    const fn new(sent: String) -> Self {
        Self { sent, at: 0, string: false, escaped: false }
    }

    fn is_over(&self) -> bool {
        let rest = self.sent.get(self.at..).unwrap_or_default();
        rest.is_empty() || !self.string && rest.trim().is_empty()
    }

    /// What is new in a piece.
    fn push(&mut self, json: &str) -> Result<String, AnswerFault> {
        let sent = self.sent.as_bytes();
        let blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        for (i, &byte) in json.as_bytes().iter().enumerate() {
            while !self.string && sent.get(self.at).is_some_and(|&b| blank(b)) {
                self.at += 1;
            }
            let Some(&want) = sent.get(self.at) else {
                return Ok(json.get(i..).unwrap_or_default().to_owned());
            };
            if !self.string && blank(byte) {
                continue;
            }
            if byte != want {
                return Err(AnswerFault::Diverged);
            }
            self.at += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.string => self.escaped = true,
                b'"' => self.string = !self.string,
                _ => {}
            }
        }
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivered(arguments: &str) -> Delivered {
        let mut delivered = Delivered::default();
        let (id, name) = ("c".to_owned(), "f".to_owned());
        delivered.see(&Event::ToolStart { choice: 0, index: 0, id, name });
        delivered.see(&Event::ToolArguments { choice: 0, index: 0, json: arguments.to_owned() });
        delivered
    }

    /// What the client gets of events that go on with a call, and whether they do.
    fn after(arguments: &str, events: &[Event]) -> (Vec<Event>, Result<(), AnswerFault>) {
        let mut join = Join::new(&delivered(arguments), Seam::Asked);
        let mut out = Vec::new();
        let taken = events.iter().try_for_each(|event| join.take(event, &mut out));
        (out, taken)
    }

    fn start(index: u32, name: &str) -> Event {
        let (id, name) = ("d".to_owned(), name.to_owned());
        Event::ToolStart { choice: 0, index, id, name }
    }

    fn piece(index: u32, json: &str) -> Event {
        Event::ToolArguments { choice: 0, index, json: json.to_owned() }
    }

    fn finish(reason: FinishReason) -> Event {
        Event::Finish { choice: 0, reason, native: "x".to_owned(), stop: None }
    }

    #[test]
    fn calls_are_finished_stay_or_do_not_fit() {
        let text = |text: &str| Event::Text { choice: 0, text: text.to_owned() };
        let called = finish(FinishReason::ToolCalls);
        // It says something, begins the call anew, and makes another one.
        let events =
            [text("Well."), start(0, "f"), piece(0, "{\"a\":1}"), start(1, "g"), called.clone()];
        let (out, taken) = after("{\"a\"", &events);
        assert_eq!(taken, Ok(()));
        assert_eq!(out, [piece(0, ":1}"), start(1, "g"), called.clone()]);
        // A whole call stays, whether it comes again or not.
        let again = [start(0, "f"), piece(0, "{}"), called.clone()];
        assert_eq!(after("{}", &again), (vec![called.clone()], Ok(())));
        let done = [text("Done."), finish(FinishReason::Stop)];
        assert_eq!(after("{}", &done), (vec![called.clone()], Ok(())));
        for other in [
            &done[..],
            &[start(0, "g")],
            &[start(0, "f"), piece(0, "{\"b")],
            &[start(0, "f"), called.clone()],
        ] {
            assert_eq!(after("{\"a\":", other).1, Err(AnswerFault::Diverged), "{other:?}");
        }
    }

    #[test]
    fn reasoning_is_not_shown_and_sources_move_with_the_text() {
        let mut first = Delivered::default();
        first.hear("Zwölf ");
        let mut join = Join::new(&first, Seam::Asked);
        let cited = |start, end| {
            let citation = Citation { url: "u".to_owned(), start, end, ..Citation::default() };
            Event::Citation { choice: 0, citation }
        };
        let text = |text: &str| Event::Text { choice: 0, text: text.to_owned() };
        let mut out = Vec::new();
        for event in [
            Event::Reasoning { choice: 0, text: "hm".to_owned() },
            Event::ReasoningSignature { choice: 0, signature: "s".to_owned() },
            text("Zwölf Bögen"),
            cited(6, 11),
            cited(0, 0),
        ] {
            join.take(&event, &mut out).expect("it goes on");
        }
        assert_eq!(out, [text("Bögen"), cited(6, 11), cited(0, 0)]);
    }

    #[test]
    fn json_is_repeated_whatever_its_blanks() {
        for (sent, again, rest) in [
            ("{\"city\": \"Os", "{\"city\":\"Oslo\"}", Some("lo\"}")),
            ("{\"city\":\"Os", "{ \"city\" : \"Oslo\" }", Some("lo\" }")),
            ("{\"a\":\"x \\\" ", "{\"a\":\"x \\\" y\"}", Some("y\"}")),
            ("{\"a\":\"x y", "{\"a\":\"xy\"}", None),
            ("{\"a\":1", "{\"b\":1}", None),
            ("", "{}", Some("{}")),
            ("{}", "{}", Some("")),
        ] {
            let got = Repeat::new(sent.to_owned()).push(again);
            assert_eq!(got.as_deref().ok(), rest, "{sent} + {again}");
        }
    }

    proptest! {
        #[test]
        fn a_call_is_whole_wherever_it_was_cut(
            text in "[a-zé\"\\\\ {}]{0,12}", cut in 0_usize..60, chunk in 1_usize..9,
        ) {
            let all = serde_json::json!({"city": text, "days": [1, 2]}).to_string();
            let cut = all.floor_char_boundary(cut);
            let mut repeat = Repeat::new(all[..cut].to_owned());
            let (mut got, mut at) = (all[..cut].to_owned(), 0);
            while at < all.len() {
                let end = all.ceil_char_boundary(at + chunk);
                got.push_str(&repeat.push(&all[at..end]).unwrap());
                at = end;
            }
            prop_assert!(repeat.is_over());
            prop_assert_eq!(got, all);
        }
    }
}
