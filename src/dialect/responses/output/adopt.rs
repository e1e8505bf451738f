//! A stream that passed, and that a writer of ours goes on with.

use super::Output;
use crate::dialect::responses::object::{Body, Item};
use crate::dialect::sink::Passed;

impl Output {
    /// Goes on under the ids and numbers that a client has seen. `false`: the items that it has
    /// seen are others than these.
    ///
    /// Reasoning that a provider does not show is an item to the client all the same, of which no
    /// event tells: it gets its place.
    pub(in crate::dialect::responses) fn adopt(&mut self, passed: &Passed) -> bool {
        self.sequence = passed.sequence;
        self.begun = true;
        let mut known = std::mem::take(&mut self.items).into_iter().peekable();
        let mut places = Vec::new();
        for (id, kind) in &passed.items {
            let at = self.items.len();
            let mut item = match known.next_if(|item| kind == kind_of(&item.body)) {
                Some(item) => {
                    places.push(at);
                    item
                }
                None if kind == "reasoning" => hidden(self.format),
                None => return false,
            };
            item.id.clone_from(id);
            self.items.push(item);
        }
        let complete = known.next().is_none() && passed.items.iter().all(|(id, _)| !id.is_empty());
        if complete {
            self.move_to(&places);
            // What is on its way is closed by what follows it.
            let last = self.items.len().saturating_sub(1);
            if !self.items.is_empty() && !places.contains(&last) {
                self.reasoning = Some(last);
            }
            for (at, item) in self.items.iter_mut().enumerate() {
                if at < last && !places.contains(&at) {
                    item.status = "completed";
                }
            }
        }
        complete
    }

    /// Items stand elsewhere now.
    fn move_to(&mut self, places: &[usize]) {
        let moved = |at: usize| places.get(at).copied().unwrap_or(at);
        self.message = self.message.map(moved);
        self.reasoning = self.reasoning.map(moved);
        self.calls.values_mut().for_each(|at| *at = moved(*at));
        self.open_calls.iter_mut().for_each(|at| *at = moved(*at));
        self.texts.iter_mut().for_each(|(_, at, _)| *at = moved(*at));
    }
}

const fn kind_of(body: &Body) -> &'static str {
    match body {
        Body::Message(_) => "message",
        Body::Reasoning { .. } => "reasoning",
        Body::Call { custom: false, .. } => "function_call",
        Body::Call { custom: true, .. } => "custom_tool_call",
        Body::Image(_) => "image_generation_call",
    }
}

fn hidden(format: &'static str) -> Item {
    let body = Body::Reasoning { thoughts: Vec::new(), signature: None, encrypted: None, format };
    Item { id: String::new(), status: "in_progress", body }
}

#[cfg(test)]
mod tests {
    use crate::dialect::ir::Event;
    use crate::dialect::responses::StreamWriter;
    use crate::dialect::sink::{AnswerShape, Passed, StreamSink as _};

    fn passed(items: &[(&str, &str)]) -> Passed {
        let items = items.iter().map(|(id, kind)| ((*id).to_owned(), (*kind).to_owned()));
        Passed { items: items.collect(), sequence: 9, ..Passed::default() }
    }

    /// The end of a stream of which a text passed under these items.
    fn rest(items: &[(&str, &str)]) -> Option<String> {
        let mut sink = StreamWriter::new(&AnswerShape::default());
        let text = |text: &str| Event::Text { choice: 0, text: text.to_owned() };
        sink.write(&text("one"), None, &mut Vec::new());
        let mut wire = Vec::new();
        if !sink.adopt(&passed(items), &mut wire) {
            return None;
        }
        sink.write(&text(" two"), None, &mut wire);
        sink.write(&Event::End, None, &mut wire);
        Some(String::from_utf8(wire).expect("UTF-8"))
    }

    #[test]
    fn names_and_numbers_are_the_clients() {
        let alone = rest(&[("msg_7", "message")]).expect("adopted");
        assert!(alone.starts_with("event: response.output_text.delta\n"), "{alone}");
        assert!(
            alone.contains("\"sequence_number\":9,\"item_id\":\"msg_7\",\"output_index\":0"),
            "{alone}"
        );
        assert!(alone.contains("\"text\":\"one two\""), "{alone}");
        let behind = rest(&[("rs_1", "reasoning"), ("msg_7", "message")]).expect("adopted");
        assert!(behind.contains("\"item_id\":\"msg_7\",\"output_index\":1"), "{behind}");
        assert!(behind.contains("\"output\":[{\"id\":\"rs_1\""), "{behind}");
        for others in [&[][..], &[("fc_1", "function_call")], &[("m", "message"), ("n", "message")]]
        {
            assert_eq!(rest(others), None, "{others:?}");
        }
    }
}
