//! The text of one choice → text, reasoning and calls.
//!
//! A raw model writes all three into one text, and the pieces come cut anywhere. What may be the
//! beginning of a mark is held back until it is clear; a call is held back until it is whole,
//! because one that never becomes whole is text.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::template::{Calls, Settings, Thinking};
use crate::dialect::ir::Event;

/// The longest calls that are waited for, in bytes; longer ones are text.
const CALL_MAX: usize = 1 << 20;
/// The most white space that is held back before a mark.
const BLANK_MAX: usize = 256;
/// The most calls in one choice.
const CALLS_MAX: u32 = 1024;

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
const HERMES_END: &str = "</tool_call>";
const LLAMA_4_END: &str = "<|python_end|>";

/// Reads the text of one choice.
#[derive(Debug)]
pub(super) struct Speech {
    choice: u32,
    /// The calls' ids begin with it; it differs from answer to answer.
    seed: String,
    calls: Calls,
    thinking: Thinking,
    state: State,
    /// What came and, from `taken` on, is not out yet.
    pending: String,
    taken: usize,
    call_count: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// At the beginning, before anything but white space.
    Opening,
    /// Within reasoning; whether some of it is out.
    Thinking(bool),
    /// After reasoning or a call: white space is dropped.
    Gap,
    /// Where an answer, or a part after a call, may begin with a call that has no mark.
    Lead,
    /// In the answer's text.
    Text,
    /// In what may be calls.
    Call(Attempt),
}

/// What may be calls.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// So many bytes are white space and a mark.
    head: usize,
    /// Whether there is a mark.
    marked: bool,
    scan: Scan,
}

impl Attempt {
    const fn new(head: usize, marked: bool) -> Self {
        let scan = Scan { at: head, depth: 0, in_string: false, escaped: false, ended: false };
        Self { head, marked, scan }
    }
}

/// Finds the end of a JSON value, looking at each byte once.
#[derive(Clone, Copy, Debug)]
struct Scan {
    at: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The value is over, and [`Scan::at`] is the offset after it.
    ended: bool,
}

/// What is known of a call that is not over.
enum Found {
    /// It ends before this byte, and the value in it is that span.
    Whole(usize, std::ops::Range<usize>),
    /// It is none.
    Nothing,
    /// More must come.
    Open,
}

impl Speech {
    pub(super) fn new(choice: u32, seed: String, settings: Option<&Settings>) -> Self {
        Self {
            choice,
            seed,
            calls: settings.map_or(Calls::None, |s| s.tools),
            thinking: settings.map_or(Thinking::None, |s| s.reasoning),
            state: State::Opening,
            pending: String::new(),
            taken: 0,
            call_count: 0,
        }
    }

    /// Whether a call came.
    pub(super) const fn called(&self) -> bool {
        self.call_count > 0
    }

    /// Takes a piece of the text.
    pub(super) fn push(&mut self, piece: &str, out: &mut Vec<Event>) {
        self.pending.push_str(piece);
        while self.step(false, out) {}
        self.pending.drain(..self.taken);
        self.taken = 0;
    }

    /// Takes the end of the text.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        while self.step(true, out) {}
        let rest = self.rest().len();
        self.take_text(rest, out);
    }

    /// What came and is not out yet.
    fn rest(&self) -> &str {
        &self.pending[self.taken..]
    }

    /// Takes so many bytes out.
    fn take(&mut self, len: usize) -> String {
        let from = self.taken;
        self.taken += len;
        self.pending[from..self.taken].to_owned()
    }

    /// Goes on by one step; whether there is another.
    fn step(&mut self, last: bool, out: &mut Vec<Event>) -> bool {
        if self.rest().is_empty() {
            return false;
        }
        match self.state {
            State::Opening => self.opening(last),
            State::Thinking(begun) => self.think(begun, last, out),
            State::Gap => self.gap(),
            State::Lead => self.lead(last),
            State::Text => self.say(last, out),
            State::Call(attempt) => self.call(attempt, last, out),
        }
    }

    fn opening(&mut self, last: bool) -> bool {
        let (blank, said) = split_blank(self.rest());
        let think = said.starts_with(THINK);
        let open = THINK.starts_with(said) && blank <= BLANK_MAX && !last;
        self.state = match self.thinking {
            Thinking::Tags | Thinking::Open if think => {
                self.taken += blank + THINK.len();
                State::Thinking(false)
            }
            Thinking::Tags | Thinking::Open if open => return false,
            Thinking::Open => State::Thinking(false),
            Thinking::Tags | Thinking::None => State::Lead,
        };
        true
    }

    fn think(&mut self, begun: bool, last: bool, out: &mut Vec<Event>) -> bool {
        if !begun {
            self.taken += self.rest().len() - self.rest().trim_start_matches(['\n', '\r']).len();
        }
        let rest = self.rest();
        if let Some(end) = rest.find(THINK_END) {
            let thought = rest[..end].trim_end().to_owned();
            self.taken += end + THINK_END.len();
            self.state = State::Gap;
            self.reasoning(thought, out);
            return true;
        }
        let said = if last { rest.len() } else { held_back(rest, &[THINK_END]) };
        let thought = self.take(said);
        self.state = State::Thinking(begun || !thought.is_empty());
        self.reasoning(thought, out);
        false
    }

    fn gap(&mut self) -> bool {
        self.taken += split_blank(self.rest()).0;
        self.state = State::Lead;
        let more = !self.rest().is_empty();
        if !more {
            self.state = State::Gap;
        }
        more
    }

    /// A call of Llama's has no mark of its own: it is the whole answer, or follows another.
    fn lead(&mut self, last: bool) -> bool {
        let (blank, said) = split_blank(self.rest());
        let follows = self.call_count > 0;
        let open = said.is_empty() || (follows && LLAMA_4_END.starts_with(said));
        let (taken, state) = if self.calls != Calls::Llama {
            (0, State::Text)
        } else if follows && said.starts_with(';') {
            (blank + 1, State::Gap)
        } else if follows && said.starts_with(LLAMA_4_END) {
            (blank + LLAMA_4_END.len(), State::Gap)
        } else if said.starts_with('{') {
            (0, State::Call(Attempt::new(blank, false)))
        } else if open && !last && blank <= BLANK_MAX {
            return false;
        } else {
            (0, State::Text)
        };
        self.taken += taken;
        self.state = state;
        true
    }

    const fn marks(&self) -> &'static [&'static str] {
        match self.calls {
            Calls::None => &[],
            Calls::Hermes => &["<tool_call>"],
            Calls::Llama => &["<|python_tag|>", "<|python_start|>"],
            Calls::Mistral => &["[TOOL_CALLS]"],
        }
    }

    fn say(&mut self, last: bool, out: &mut Vec<Event>) -> bool {
        let (rest, marks) = (self.rest(), self.marks());
        let mark = find_mark(rest, marks);
        // White space before a call goes with it; if it is none, both are text.
        let said = match mark {
            Some((at, _)) => rest[..at].trim_end().len(),
            None if last || marks.is_empty() => rest.len(),
            None => held_back(rest, marks),
        };
        self.take_text(said, out);
        if let Some((at, len)) = mark {
            self.state = State::Call(Attempt::new(at - said + len, true));
        }
        mark.is_some()
    }

    fn call(&mut self, mut attempt: Attempt, last: bool, out: &mut Vec<Event>) -> bool {
        let found = self.find_call(&mut attempt, last);
        self.state = State::Call(attempt);
        match found {
            Found::Open if !last && self.rest().len() <= CALL_MAX => return false,
            // All of it, so that no byte is looked at again for every mark in it.
            Found::Open => self.take_text(self.rest().len(), out),
            // Without a mark there is a brace, which is not looked at again.
            Found::Nothing => self.take_text(attempt.head + usize::from(!attempt.marked), out),
            Found::Whole(end, span) => match parse(&self.rest()[span], !attempt.marked) {
                Some(calls) if self.room_for(calls.len()) => {
                    self.taken += end;
                    self.state = State::Gap;
                    calls.into_iter().for_each(|call| self.emit(call, out));
                }
                _ => self.take_text(end, out),
            },
        }
        true
    }

    /// Says so many bytes as text.
    fn take_text(&mut self, len: usize, out: &mut Vec<Event>) {
        let text = self.take(len);
        self.state = State::Text;
        if !text.is_empty() {
            out.push(Event::Text { choice: self.choice, text });
        }
    }

    fn find_call(&self, attempt: &mut Attempt, last: bool) -> Found {
        let text = self.rest();
        let bytes = text.as_bytes();
        let head = attempt.head;
        let start = head + bytes[head..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let opens = match self.calls {
            Calls::Mistral => b'[',
            _ => b'{',
        };
        match bytes.get(start) {
            None => return Found::Open,
            Some(&first) if first != opens => return Found::Nothing,
            Some(_) => {}
        }
        if self.calls == Calls::Llama && !may_be_call(&text[start..]) {
            return Found::Nothing;
        }
        let Some(end) = attempt.scan.end(bytes) else { return Found::Open };
        if self.calls != Calls::Hermes {
            return Found::Whole(end, start..end);
        }
        let tail = text[end..].trim_start();
        if tail.starts_with(HERMES_END) {
            let close = text.len() - tail.len() + HERMES_END.len();
            Found::Whole(close, start..end)
        } else if HERMES_END.starts_with(tail) && !last && text.len() - end < BLANK_MAX {
            Found::Open
        } else {
            Found::Whole(end, start..end)
        }
    }

    fn room_for(&self, more: usize) -> bool {
        u32::try_from(more).is_ok_and(|more| self.call_count + more <= CALLS_MAX)
    }

    fn emit(&mut self, call: (String, String), out: &mut Vec<Event>) {
        let (choice, index) = (self.choice, self.call_count);
        self.call_count += 1;
        let (name, json) = call;
        let id = blake3::hash(format!("{}\n{choice}\n{index}", self.seed).as_bytes());
        let id = format!("call_{}", &id.to_hex()[..20]);
        out.push(Event::ToolStart { choice, index, id, name });
        out.push(Event::ToolArguments { choice, index, json });
    }

    fn reasoning(&self, text: String, out: &mut Vec<Event>) {
        if !text.is_empty() {
            out.push(Event::Reasoning { choice: self.choice, text });
        }
    }
}

impl Scan {
    /// The offset after the value that began at or after [`Scan::at`]; none if it is not over.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.ended {
            return Some(self.at);
        }
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.ended = true;
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The length of the white space at the beginning, and what follows it.
fn split_blank(text: &str) -> (usize, &str) {
    let said = text.trim_start();
    (text.len() - said.len(), said)
}

/// Where the first mark begins, and its length. The marks begin with the same character.
fn find_mark(text: &str, marks: &[&str]) -> Option<(usize, usize)> {
    let first = marks.first()?.chars().next()?;
    text.match_indices(first).find_map(|(at, _)| {
        let mark = marks.iter().find(|mark| text[at..].starts_with(**mark))?;
        Some((at, mark.len()))
    })
}

/// How much of a text is certainly said: not white space at its end, nor the beginning of a mark.
fn held_back(text: &str, marks: &[&str]) -> usize {
    let longest = marks.iter().map(|mark| mark.len()).max().unwrap_or_default();
    let from = text.ceil_char_boundary(text.len().saturating_sub(longest));
    let begins = |at: &usize| marks.iter().any(|mark| mark.starts_with(&text[*at..]));
    let tail = text[from..].char_indices().map(|(i, _)| from + i);
    let end = tail.into_iter().find(begins).unwrap_or(text.len());
    let said = text[..end].trim_end().len();
    if end - said > BLANK_MAX { end } else { said }
}

/// Whether a text that begins with `{` may be a call: by its first key.
fn may_be_call(text: &str) -> bool {
    let key = text[1..].trim_start();
    let keys = ["\"name\"", "\"type\"", "\"function\""];
    keys.iter().any(|known| key.starts_with(known) || known.starts_with(key))
}

#[derive(Deserialize)]
struct Call<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
}

/// Names and arguments of the calls in a JSON value; none if it holds something else. Where there
/// is no mark, arguments must be given.
fn parse(text: &str, strict: bool) -> Option<Vec<(String, String)>> {
    let list: Vec<&RawValue> = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        vec![serde_json::from_str(text).ok()?]
    };
    let calls = list.into_iter().map(|raw| parse_call(raw.get(), strict));
    calls.collect::<Option<Vec<_>>>().filter(|calls| !calls.is_empty())
}

fn parse_call(text: &str, strict: bool) -> Option<(String, String)> {
    // Serde would take a list for an object.
    let call: Call<'_> = serde_json::from_str(text.strip_prefix('{').map(|_| text)?).ok()?;
    let nested: Option<Call<'_>> = match call.function.map(RawValue::get) {
        Some(raw) if raw.starts_with('{') => serde_json::from_str(raw).ok(),
        _ => None,
    };
    // `{"type": "function", "function": "f", …}` is seen as well.
    let plain = call.function.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let call = nested.unwrap_or(call);
    let name = call.name.or(plain)?;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(is_word) {
        return None;
    }
    let arguments = match call.arguments.or(call.parameters).map(RawValue::get) {
        Some(raw) if raw.starts_with('{') => raw.to_owned(),
        Some(raw) if raw.starts_with('"') => serde_json::from_str(raw).ok()?,
        Some("null") | None if !strict => "{}".to_owned(),
        _ => return None,
    };
    let arguments = if arguments.is_empty() { "{}".to_owned() } else { arguments };
    Some((name, arguments))
}
