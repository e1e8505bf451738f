//! Is an answer the right one, and whole? A proxy that is quick because it loses bytes must not
//! win.

use memchr::memmem;
use serde_json::Value;

use super::Fault;
use super::conn::{Answer, Conn};

/// The wire format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `chat.completion`, whole.
    Json,
    /// `chat.completion.chunk` events.
    Chat,
    /// Anthropic's events.
    Anthropic,
}

/// What an answer must say.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) form: Form,
    /// The text of the answer. It has nothing that JSON escapes.
    pub(super) text: Vec<u8>,
}

impl Expected {
    /// Reads what the provider itself answers, with a full JSON parser.
    ///
    /// # Errors
    /// The provider's answer is not what this benchmark needs.
    pub(super) fn learn(form: Form, answer: Answer, body: &[u8]) -> Result<Self, Fault> {
        if answer.status != 200 {
            return Err(format!("the provider answers {}", answer.status));
        }
        let text = match form {
            Form::Json => {
                let value: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
                let text = value.pointer("/choices/0/message/content").and_then(Value::as_str);
                text.unwrap_or_default().to_owned()
            }
            Form::Chat => joined(body, "/choices/0/delta/content")?,
            Form::Anthropic => joined(body, "/delta/text")?,
        };
        if text.is_empty() || text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
            return Err("the provider's text is empty or has escapes".to_owned());
        }
        let expected = Self { form, text: text.into_bytes() };
        expected.check(answer, body)?;
        Ok(expected)
    }

    /// The same text in another wire format.
    pub(super) fn as_form(&self, form: Form) -> Self {
        Self { form, text: self.text.clone() }
    }

    /// Checks an answer, without a JSON parser.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, answer: Answer, body: &[u8]) -> Result<(), Fault> {
        let wrong = |what: &str| Err(format!("{what} (status {})", answer.status));
        if answer.status != 200 {
            return wrong("not answered");
        }
        let has = |needle: &[u8]| memmem::find(body, needle).is_some();
        match self.form {
            Form::Json => {
                let mut rest = body;
                let said = next(&mut rest, b"\"content\":\"");
                if said != Some(&*self.text) {
                    return wrong("the text differs");
                }
                if !has(b"\"finish_reason\":\"") || !has(b"\"usage\":{") || !body.ends_with(b"}") {
                    return wrong("the answer is not whole");
                }
            }
            Form::Chat => {
                if !self.says(body, b"\"content\":\"") {
                    return wrong("the text differs");
                }
                if !has(b"\"finish_reason\":\"")
                    || !has(b"\"usage\":{")
                    || !body.ends_with(b"data: [DONE]\n\n")
                {
                    return wrong("the stream is not whole");
                }
            }
            Form::Anthropic => {
                if !self.says(body, b"\"text\":\"") {
                    return wrong("the text differs");
                }
                if !has(b"event: message_stop") {
                    return wrong("the stream is not whole");
                }
            }
        }
        Ok(())
    }

    /// Whether the strings behind the marks, one after the other, are the text.
    fn says(&self, body: &[u8], mark: &[u8]) -> bool {
        let mut left = &*self.text;
        let mut rest = body;
        while let Some(part) = next(&mut rest, mark) {
            let Some(after) = left.strip_prefix(part) else { return false };
            left = after;
        }
        left.is_empty()
    }
}

/// The string that follows the next mark.
fn next<'a>(rest: &mut &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(rest, mark)? + mark.len();
    let from = rest.get(at..)?;
    let end = memchr::memchr(b'"', from)?;
    let (text, after) = from.split_at_checked(end)?;
    *rest = after;
    Some(text)
}

/// The strings at this place in the events of a stream.
fn joined(body: &[u8], place: &str) -> Result<String, Fault> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let mut said = String::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            continue;
        }
        let value: Value = serde_json::from_str(data).map_err(|e| e.to_string())?;
        said.push_str(value.pointer(place).and_then(Value::as_str).unwrap_or_default());
    }
    Ok(said)
}

/// Asks the provider itself, and learns.
///
/// # Errors
/// The provider's answer is not what this benchmark needs.
pub(super) async fn learn(conn: &mut Conn, request: &[u8], form: Form) -> Result<Expected, Fault> {
    let answer = conn.ask(request, |_| ()).await?;
    Expected::learn(form, answer, &conn.body)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&conn.body)))
}
