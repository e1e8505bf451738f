//! What a plugin sees of a request, and what it may change.

use std::fmt;

use serde_json::Value;

use crate::NanoUsd;

/// A request. What a plugin changes becomes part of it: it is as if the client had sent it so.
#[derive(Debug, Default)]
pub struct Request {
    turns: Vec<Turn>,
    instructions: Vec<String>,
    upstream_headers: Vec<(String, String)>,
    answer_headers: Vec<(String, String)>,
    notes: Vec<Note>,
    fee: NanoUsd,
    /// The largest context of the model's endpoints in tokens; 0: not known.
    pub context: u64,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator of the application (`system`, `developer`, instructions).
    System,
    /// The user; also the texts of embeddings and ranks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// A turn of the conversation.
#[derive(Clone)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// Its texts in order; not those of tools unless [`crate::Needs::tools`].
    pub texts: Vec<Text>,
    /// Ids of the tool calls that are made here.
    pub calls: Vec<String>,
    /// Ids of the tool calls whose results are here.
    pub results: Vec<String>,
    /// Pictures, sound, files or anything else that is no text.
    pub has_media: bool,
    /// Tokens, estimated: all of it, texts of tools included.
    pub tokens: u64,
    /// It can be taken out of the request as a whole.
    pub removable: bool,
    removed: bool,
}

/// Which turn, and how many texts; none of them.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({:?}, {} texts)", self.role, self.texts.len())
    }
}

/// A text of a turn.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// What kind.
    pub kind: TextKind,
    value: String,
    changed: bool,
}

/// Kinds of text in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// What is said.
    Prose,
    /// Arguments of a tool call: JSON text, and JSON text it must stay.
    Arguments,
    /// What a tool call returned.
    Result,
}

impl Text {
    /// A text as it came.
    pub const fn new(kind: TextKind, value: String) -> Self {
        Self { kind, value, changed: false }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Replaces it.
    pub fn set(&mut self, value: String) {
        if value != self.value {
            (self.value, self.changed) = (value, true);
        }
    }

    /// Whether it was replaced.
    pub const fn is_changed(&self) -> bool {
        self.changed
    }
}

impl Turn {
    /// A turn without texts.
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            texts: Vec::new(),
            calls: Vec::new(),
            results: Vec::new(),
            has_media: false,
            tokens: 0,
            removable: true,
            removed: false,
        }
    }

    /// Whether it was taken out.
    pub const fn is_removed(&self) -> bool {
        self.removed
    }
}

/// Something that a plugin did, for whoever asks how a request was served. It is shown to the
/// client: no secret of the operator, and no text of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// One sentence.
    pub summary: String,
    /// Details for programs: an object.
    pub data: Value,
}

impl Request {
    /// A request of these turns.
    pub fn new(turns: Vec<Turn>) -> Self {
        Self { turns, ..Self::default() }
    }

    /// The conversation, instructions first; empty unless [`crate::Needs::text`].
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Texts of the conversation, to be read or replaced.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = (Role, &mut Text)> {
        let present = self.turns.iter_mut().filter(|turn| !turn.removed);
        present.flat_map(|turn| turn.texts.iter_mut().map(|text| (turn.role, text)))
    }

    /// A text of a turn.
    pub fn text_mut(&mut self, turn: usize, text: usize) -> Option<&mut Text> {
        self.turns.get_mut(turn)?.texts.get_mut(text)
    }

    /// Takes a turn out, if it is [removable](Turn::removable); gives whether it was.
    pub fn remove(&mut self, turn: usize) -> bool {
        match self.turns.get_mut(turn) {
            Some(turn) if turn.removable => {
                turn.removed = true;
                true
            }
            _ => false,
        }
    }

    /// The text of the user's last turn that has one.
    pub fn last_user_text(&self) -> Option<&str> {
        let users = self.turns.iter().rev().filter(|t| t.role == Role::User && !t.removed);
        let prose = |turn: &Turn| -> Option<usize> {
            turn.texts.iter().rposition(|text| text.kind == TextKind::Prose)
        };
        let turn = users.filter_map(|turn| Some((turn, prose(turn)?))).next();
        turn.map(|(turn, at)| turn.texts[at].as_str())
    }

    /// Tells the model something before the conversation, after the instructions that are there.
    pub fn instruct(&mut self, text: impl Into<String>) {
        self.instructions.push(text.into());
    }

    /// Sends a header to the provider. Names of the gateway's own and of the connection are
    /// refused: gives whether it was taken.
    pub fn upstream_header(&mut self, name: &str, value: &str) -> bool {
        let taken = is_free(name) && is_value(value);
        if taken {
            self.upstream_headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        taken
    }

    /// Sends a header to the client, as [`Self::upstream_header`].
    pub fn answer_header(&mut self, name: &str, value: &str) -> bool {
        let taken = is_free(name) && is_value(value);
        if taken {
            self.answer_headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        taken
    }

    /// Notes what was done.
    pub fn note(&mut self, summary: impl Into<String>, data: Value) {
        self.notes.push(Note { summary: summary.into(), data });
    }

    /// Adds to what the caller is charged, once the request is answered. Negative amounts count as
    /// zero.
    pub fn charge(&mut self, fee: NanoUsd) {
        self.fee += fee.max(NanoUsd::ZERO);
    }

    /// What was added to the instructions, in order.
    pub fn instructions(&self) -> &[String] {
        &self.instructions
    }

    /// Headers for the provider.
    pub fn upstream_headers(&self) -> &[(String, String)] {
        &self.upstream_headers
    }

    /// Headers for the client.
    pub fn answer_headers(&self) -> &[(String, String)] {
        &self.answer_headers
    }

    /// What was noted.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What was added to the charge.
    pub const fn fee(&self) -> NanoUsd {
        self.fee
    }

    /// Whether the conversation was changed.
    pub fn is_changed(&self) -> bool {
        let changed = |turn: &Turn| turn.removed || turn.texts.iter().any(Text::is_changed);
        !self.instructions.is_empty() || self.turns.iter().any(changed)
    }
}

/// Whether a plugin may set a header of this name.
pub fn is_free(name: &str) -> bool {
    const OWN: [&str; 22] = [
        "accept-encoding",
        "api-key",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-generation-id",
        "x-goog-api-key",
    ];
    let name = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(token)
        && !OWN.contains(&name.as_str())
        && !name.starts_with("x-openrouter-")
        && !name.starts_with("x-amz-")
}

/// Whether a header may have this value: visible ASCII and blanks.
fn is_value(value: &str) -> bool {
    value.len() <= 4096 && value.bytes().all(|b| (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_gateway_stay_its_own() {
        let mut request = Request::default();
        for name in ["Authorization", "x-api-key", "HOST", "X-OpenRouter-Cache", "", "a b", "é"] {
            assert!(!request.upstream_header(name, "x"), "{name}");
        }
        assert!(!request.answer_header("x-team", "a\r\nset-cookie: b"));
        assert!(request.upstream_header("X-Team", "blue"));
        assert_eq!(request.upstream_headers(), [("x-team".to_owned(), "blue".to_owned())]);
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let mut turn = Turn::new(Role::User);
        turn.texts.push(Text::new(TextKind::Prose, "same".to_owned()));
        let mut request = Request::new(vec![turn]);
        request.texts_mut().for_each(|(_, text)| text.set("same".to_owned()));
        assert!(!request.is_changed());
        assert_eq!(request.last_user_text(), Some("same"));
        assert!(request.remove(0) && request.is_changed());
        assert_eq!(request.last_user_text(), None, "it is gone");
        assert!(!request.remove(1), "there is no such turn");
    }

    #[test]
    fn a_charge_never_gives_back() {
        let mut request = Request::default();
        request.charge(NanoUsd(-5));
        request.charge(NanoUsd(7));
        assert_eq!(request.fee(), NanoUsd(7));
    }
}
