//! What a plugin is: a definition, an instance per configuration, and a run per request.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{Keep, Mark, Piece, Record};
use crate::call::{Call, CallFault, Reply};
use crate::request::{Note, Request};
use crate::{AccountId, KeyId};

/// What the gateway knows of a plugin before it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name in the configuration, in requests and in metrics: lower case and hyphens.
    pub id: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The options of its configuration.
    pub options: &'static [OptionDoc],
    /// The options that a request may give in its own entry of `plugins`.
    pub per_request: &'static [OptionDoc],
    /// Makes an instance.
    ///
    /// # Errors
    /// An option is unknown, has a wrong value, or is missing.
    pub build: fn(&Setup<'_>) -> Result<Box<dyn Plugin>, BadOption>,
}

/// An option, as the generated reference shows it.
#[derive(Clone, Copy, Debug)]
pub struct OptionDoc {
    /// Its name.
    pub name: &'static str,
    /// What it is, with its range; ends with `Default …`, `Optional` or `Required`.
    pub about: &'static str,
}

/// What an instance is made from.
pub struct Setup<'a> {
    /// The options as the operator wrote them: an object.
    pub options: &'a Value,
    /// Reads a secret by its reference, `env:NAME` or `file:PATH`; the text says what is wrong.
    pub secret: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Setup<'_> {
    /// The options as a type, which should refuse unknown fields.
    ///
    /// # Errors
    /// They are not of this type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, BadOption> {
        T::deserialize(self.options).map_err(|error| BadOption::new("", error.to_string()))
    }

    /// The secret behind a reference that the operator gave as this option.
    ///
    /// # Errors
    /// It is no reference, or leads to nothing.
    pub fn secret(&self, option: &str, reference: &str) -> Result<Secret, BadOption> {
        let read = (self.secret)(reference);
        read.map(Secret).map_err(|why| BadOption::new(option, why))
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the header or body that it is sent in.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A fault of an instance's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// The option, as `rules.0.pattern`; empty where the text names it.
    pub option: String,
    /// What is wrong and what is allowed.
    pub why: String,
}

impl BadOption {
    /// A fault of this option.
    pub fn new(option: impl Into<String>, why: impl Into<String>) -> Self {
        Self { option: option.into(), why: why.into() }
    }
}

impl std::fmt::Display for BadOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.option.as_str() {
            "" => f.write_str(&self.why),
            option => write!(f, "{option}: {}", self.why),
        }
    }
}

impl std::error::Error for BadOption {}

/// What a plugin wants to see. What nobody wants is not made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The conversation: [`Run::on_request`] sees its turns and texts.
    pub text: bool,
    /// Within it also arguments and results of tool calls.
    pub tools: bool,
    /// The answer's events, streamed or whole: [`Run::on_piece`] and [`Run::on_mark`].
    pub events: bool,
    /// The texts of whole answers at their end: [`Run::on_answer`].
    pub answer: bool,
    /// How the request ended: [`Run::on_done`].
    pub record: bool,
    /// Hooks may take longer than a millisecond of processor time over what is large: the gateway
    /// runs [`Run::on_request`], [`Run::on_reply`] (of requests from 16 KiB on) and
    /// [`Run::on_answer`] where others are not held up.
    pub slow: bool,
}

impl Needs {
    /// Nothing but the head of the request.
    pub const HEAD: Self = Self {
        text: false,
        tools: false,
        events: false,
        answer: false,
        record: false,
        slow: false,
    };

    /// What either of both wants.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            text: self.text || other.text,
            tools: self.tools || other.tools,
            events: self.events || other.events,
            answer: self.answer || other.answer,
            record: self.record || other.record,
            slow: self.slow || other.slow,
        }
    }
}

/// A plugin with its options: one instance, shared by all requests and threads.
pub trait Plugin: Send + Sync {
    /// What its runs want to see. Asked once, when the configuration is read.
    fn needs(&self) -> Needs;

    /// Where its runs may send [`Call`]s: scheme, host and port as in `https://example.com:8443`.
    /// Anything else is refused. Asked once.
    fn origins(&self) -> Vec<String> {
        Vec::new()
    }

    /// Begins a run for a request; `None`: this request is none of its business. It is called for
    /// every request that it is enabled for, before the cache is asked: cheap work only.
    ///
    /// # Errors
    /// The request is refused.
    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal>;
}

/// A plugin's part in one request. Hooks are called in this order, each on one thread at a time;
/// none does I/O. A hook that panics is no danger to other requests: what becomes of its own is the
/// operator's choice (`on_error`).
pub trait Run: Send + Sync {
    /// The request may be changed, annotated or refused, or something may be asked for first.
    /// It is not called where the answer comes from the cache.
    ///
    /// # Errors
    /// The request is refused.
    fn on_request(&mut self, _request: &mut Request) -> Result<Step, Refusal> {
        Ok(Step::Done)
    }

    /// The answer to a [`Call`], or why there is none.
    ///
    /// # Errors
    /// The request is refused.
    fn on_reply(
        &mut self,
        _reply: Result<Reply, CallFault>,
        _request: &mut Request,
    ) -> Result<Step, Refusal> {
        Ok(Step::Done)
    }

    /// An answer begins. It begins anew where a provider failed before anything of its answer went
    /// to the client: what was seen of that one is to be forgotten.
    fn on_begin(&mut self) {}

    /// A piece of the answer's text. What is put out goes to the client in its stead, in this
    /// order; a piece may be held back until a later one, but not beyond the end of its choice
    /// ([`Mark::Finish`]).
    fn on_piece(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        out.push(piece);
    }

    /// Something of the answer that is no text. What is put out goes before it.
    fn on_mark(&mut self, _mark: &Mark, _out: &mut Vec<Piece>) -> Keep {
        Keep::Yes
    }

    /// The text of one choice of an answer that is not streamed; it may be replaced.
    fn on_answer(&mut self, _choice: u32, _text: &mut String) {}

    /// The answer is complete: what was done to it.
    fn on_end(&mut self) -> Vec<Note> {
        Vec::new()
    }

    /// The request has ended, well or not.
    fn on_done(&mut self, _record: &Record) {}
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// The plugin is done with the request.
    Done,
    /// Something is asked for first; [`Run::on_reply`] gets it.
    Call(Call),
}

/// A request as it begins.
pub struct Ask<'a> {
    /// The request's own entry in `plugins`, as JSON; `None`: it has none, and the operator's
    /// default is what enables the plugin.
    pub options: Option<&'a str>,
    /// The request's head.
    pub head: Head<'a>,
}

impl Ask<'_> {
    /// The request's own options as a type, which should refuse unknown fields (`id` and `enabled`
    /// are left out); the default where it has none.
    ///
    /// # Errors
    /// They are not of this type.
    pub fn read<T: DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        let Some(text) = self.options else { return Ok(T::default()) };
        serde_json::from_str(text).map_err(|error| {
            let why = error.to_string();
            // The place within the entry says nothing to whoever sent a whole request.
            let why = why.split(" at line ").next().unwrap_or_default();
            Refusal::invalid(format!("The request's options are not what is expected: {why}."))
        })
    }
}

/// What is known of a request without looking into it.
pub struct Head<'a> {
    /// The API that it came in by.
    pub surface: Surface,
    /// The model's name as the client wrote it, with suffixes; empty: none was named.
    pub model: &'a str,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The model's name ends in `:online`, or is said to be so by the key.
    pub online: bool,
    /// The largest context of the model's endpoints in tokens; 0: not known.
    pub context: u64,
    /// Tokens of the prompt, estimated.
    pub prompt_tokens: u64,
    /// The most tokens that the answer may have, where the client says so.
    pub max_tokens: Option<u64>,
    /// The form that the answer must have.
    pub format: Format<'a>,
    /// Who asks.
    pub key: &'a KeyId,
    /// Who pays.
    pub account: &'a AccountId,
    /// The time of arrival in milliseconds since 1970.
    pub unix_ms: u64,
    /// Values of the request's HTTP headers, by lower-case name: of several lines the list, with
    /// commas between; bytes that are no UTF-8 replaced. Credentials are not among them.
    pub header: &'a dyn Fn(&str) -> Option<Cow<'static, str>>,
}

/// The API that a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Text completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Ranking of documents.
    Rerank,
}

/// The form that an answer must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format<'a> {
    /// Free.
    #[default]
    Text,
    /// Some JSON object.
    Json,
    /// JSON that fits this schema, as JSON text.
    Schema(&'a str),
}

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status: 400, 401, 402, 403, 404, 408, 413, 415, 429, 500, 502, 503 or 504. Of
    /// others, 4xx is taken for 400 and 5xx for 502.
    pub status: u16,
    /// A stable name for programs, lower case and underscores.
    pub code: Cow<'static, str>,
    /// What is wrong and what to do about it. No prompt, answer or secret.
    pub text: String,
    /// Names of what was found, for instance categories; shown in the error's metadata.
    pub reasons: Vec<String>,
}

impl Refusal {
    /// A refusal with this status and code.
    pub fn new(status: u16, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code: Cow::Borrowed(code), text: text.into(), reasons: Vec::new() }
    }

    /// 400: the request is wrong.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(400, "invalid_plugin_options", text)
    }

    /// The same with names of what was found.
    #[must_use]
    pub fn with_reasons(mut self, reasons: Vec<String>) -> Self {
        self.reasons = reasons;
        self
    }
}
