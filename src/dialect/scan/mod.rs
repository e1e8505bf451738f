//! One pass over a request body: valid JSON or not, what it asks for, and where its top-level
//! members are.
//!
//! No tree is built. The pass checks all of RFC 8259 (a provider's parser must not see what ours
//! did not), reads the few members that the gateway acts on, refuses the options that are not
//! built, and remembers where the members stand that a splice may touch. Keys are compared
//! unescaped, and a key that we act on may stand once only: parsers differ on which of two wins.

mod form;
mod keys;
pub(crate) mod lexer;
mod members;
mod notes;
mod prefs;
mod prefs_read;
#[cfg(test)]
mod prefs_tests;
mod prompt;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use crate::error::{GatewayError, Kind};

pub use self::form::Form;
pub use self::keys::Key;
use self::lexer::{Blind, Fault, Lexer, Text, Watch, position};
pub use self::notes::Notes;
pub use self::prefs::{Cutoffs, MaxPrice, Prefs, QUANTIZATIONS, Sort};
use self::prefs_read::{boolean, strings};
pub use self::text::TextStats;

/// Most fallback models in one request.
const MODELS_MAX: usize = 32;
/// Longest `session_id`, in characters.
pub const SESSION_ID_MAX: usize = 256;
/// Most choices in one answer.
const N_MAX: u64 = 128;

/// A half-open range of bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// After the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes.
    pub fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Where a top-level member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which member.
    pub key: Key,
    /// Its name with quotes.
    pub name: Span,
    /// Its value.
    pub value: Span,
    /// Where the member begins: after the `{` or `,` before it.
    pub lead: u32,
    /// After the comma that follows it; `None` for the last member.
    pub next: Option<u32>,
    /// Whether it is the first member of the object.
    pub first: bool,
}

/// What a request body asks for, read in one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The form that the body was read as.
    pub form: Form,
    /// The model asked for; `None` only if `models` has some.
    pub model: Option<String>,
    /// Models to fall back to, in this order.
    pub models: Vec<String>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The limit on completion tokens; `max_completion_tokens` wins over `max_tokens`.
    pub max_tokens: Option<u64>,
    /// The member that gave the limit, or would: [`Key::MaxTokens`], [`Key::MaxCompletionTokens`]
    /// or [`Key::MaxOutputTokens`].
    pub max_tokens_key: Key,
    /// How many choices are asked for, 1 to 128.
    pub n: u32,
    /// Whether there are tools.
    pub has_tools: bool,
    /// Whether a message has an image.
    pub has_images: bool,
    /// Whether a message has an image, sound, film or file.
    pub has_media: bool,
    /// The caller's preferences among providers.
    pub provider: Option<Prefs>,
    /// `route: "sort"`: the endpoints of all models are ranked together.
    pub route_sort: bool,
    /// The name of a preset.
    pub preset: Option<String>,
    /// The value of `user`.
    pub user: Option<Span>,
    /// The value of `metadata`.
    pub metadata: Option<Span>,
    /// The first message, and the one after it if the first is no user's: what a conversation
    /// keeps from turn to turn.
    pub opening: [Option<Span>; 2],
    /// The members found, in the order of the body.
    pub fields: Vec<Field>,
    /// The value of `stream_options.include_usage`.
    pub include_usage: Option<Span>,
    /// After the body's `{`.
    pub inside: u32,
    /// How much text the prompt has.
    pub text: TextStats,
    /// What it has that hosts differ in.
    pub notes: Notes,
}

impl Head {
    /// Where this member stands.
    pub fn field(&self, key: Key) -> Option<&Field> {
        self.fields.iter().find(|f| f.key == key)
    }

    /// Whether a top-level member of this name is there, of those that [`Notes`] tells apart.
    pub fn mentions(&self, name: &str) -> bool {
        self.notes.meets(Notes::member(name.as_bytes()))
    }

    /// An estimate of the prompt's tokens, without a tokenizer.
    pub const fn estimate_prompt_tokens(&self) -> u64 {
        self.text.estimate_prompt_tokens()
    }
}

/// Reads the body of a chat completion request.
///
/// # Errors
/// As [`scan_as`].
pub fn scan(body: &[u8]) -> Result<Head, GatewayError> {
    scan_as(Form::Chat, body)
}

/// Reads a request body of this form.
///
/// # Errors
/// [`Kind::InvalidRequest`]: the body is not valid JSON (the message says where), a member has a
/// wrong type or value, stands twice, or asks for an option that is not supported.
/// [`Kind::PayloadTooLarge`]: more than 4 GiB.
pub fn scan_as(form: Form, body: &[u8]) -> Result<Head, GatewayError> {
    if u32::try_from(body.len()).is_err() {
        return Err(GatewayError::new(Kind::PayloadTooLarge, "The body is larger than 4 GiB."));
    }
    if simdutf8::basic::from_utf8(body).is_err() {
        let at = simdutf8::compat::from_utf8(body).err().map_or(0, |e| e.valid_up_to());
        return Err(bad_json(body, Fault { at, what: "invalid UTF-8" }));
    }
    Scan::new(form, body).run().map_err(|oops| match oops {
        Oops::Json(fault) => bad_json(body, fault),
        Oops::Refused(error) => *error,
    })
}

fn bad_json(body: &[u8], fault: Fault) -> GatewayError {
    let (line, column) = position(body, fault.at);
    GatewayError::new(
        Kind::InvalidRequest,
        format!(
            "The body is not valid JSON: {} at line {line} column {column} (byte {}).",
            fault.what, fault.at
        ),
    )
}

/// Why a scan stops.
pub(crate) enum Oops {
    Json(Fault),
    Refused(Box<GatewayError>),
}

impl From<Fault> for Oops {
    fn from(fault: Fault) -> Self {
        Self::Json(fault)
    }
}

/// A refusal that names the member at fault.
fn refuse(param: &str, message: impl Into<String>) -> Oops {
    let mut message = message.into();
    message.push('.');
    Oops::Refused(Box::new(GatewayError::new(Kind::InvalidRequest, message).with_param(param)))
}

struct Scan<'a> {
    lexer: Lexer<'a>,
    seen: u32,
    /// `max_tokens`, and `max_completion_tokens` or `max_output_tokens`.
    limits: [Option<u64>; 2],
    head: Head,
}

impl<'a> Scan<'a> {
    fn new(form: Form, body: &'a [u8]) -> Self {
        let head = Head {
            form,
            model: None,
            models: Vec::new(),
            stream: false,
            max_tokens: None,
            max_tokens_key: form.limit(),
            n: 1,
            has_tools: false,
            has_images: false,
            has_media: false,
            provider: None,
            route_sort: false,
            preset: None,
            user: None,
            metadata: None,
            opening: [None; 2],
            fields: Vec::with_capacity(8),
            include_usage: None,
            inside: 0,
            text: TextStats::default(),
            notes: Notes::ANY,
        };
        Self { lexer: Lexer::new(body, 0), seen: 0, limits: [None; 2], head }
    }

    fn run(mut self) -> Result<Head, Oops> {
        if !matches!(self.lexer.peek(), Some(b'{')) {
            self.lexer.value(0, &mut Blind)?;
            self.lexer.expect_end()?;
            return Err(Oops::Refused(Box::new(GatewayError::new(
                Kind::InvalidRequest,
                "The body must be a JSON object.",
            ))));
        }
        self.lexer.expect(b'{', "expected an object")?;
        self.head.inside = offset(self.lexer.at());
        let mut lead = self.lexer.at();
        let mut first = true;
        loop {
            let is_first = first;
            let Some(name) = self.lexer.member(&mut first)? else { break };
            let start = self.lexer.at();
            let key = Key::find(&name).filter(|key| self.head.form.knows(*key));
            match key {
                Some(key) => self.member(key)?,
                None => {
                    self.head.notes.add(keys::note(&name));
                    let (start, end) = self.lexer.value(1, &mut Blind)?;
                    match name.raw {
                        b"user" => self.head.user = Some(span(start, end)),
                        b"metadata" => self.head.metadata = Some(span(start, end)),
                        _ => {}
                    }
                }
            }
            let end = self.lexer.at();
            let next = (self.lexer.peek() == Some(b',')).then(|| offset(self.lexer.at() + 1));
            if let Some(key) = key {
                self.head.fields.push(Field {
                    key,
                    name: span(name.start, name.end),
                    value: span(start, end),
                    lead: offset(lead),
                    next,
                    first: is_first,
                });
            }
            lead = self.lexer.at() + 1;
        }
        self.lexer.expect_end()?;
        self.conclude()
    }

    fn conclude(mut self) -> Result<Head, Oops> {
        let prompt = self.head.form.prompt();
        if !self.has(prompt) {
            let name = prompt.name();
            return Err(refuse(name, format!("'{name}' is required")));
        }
        if self.head.model.is_none() && self.head.models.is_empty() {
            return Err(refuse("model", "'model' is required"));
        }
        self.note_members();
        let [max_tokens, max_completion_tokens] = self.limits;
        self.head.max_tokens = max_completion_tokens.or(max_tokens);
        let completion_seen = self.has(Key::MaxCompletionTokens);
        let is_chat = self.head.form == Form::Chat;
        if is_chat && max_completion_tokens.is_some() || completion_seen && max_tokens.is_none() {
            self.head.max_tokens_key = Key::MaxCompletionTokens;
        }
        Ok(self.head)
    }

    const fn has(&self, key: Key) -> bool {
        self.seen & 1 << key as u32 != 0
    }

    /// The members that both the gateway and hosts look at.
    fn note_members(&mut self) {
        for (name, there) in [
            ("max_tokens", self.has(Key::MaxTokens)),
            ("max_completion_tokens", self.has(Key::MaxCompletionTokens)),
            ("n", self.head.n > 1),
            ("stream", self.head.stream),
            ("tools", self.head.has_tools),
            ("prompt_cache_key", self.has(Key::PromptCacheKey)),
        ] {
            self.head.notes.add(Notes::member(name.as_bytes()).when(there));
        }
    }

    fn member(&mut self, key: Key) -> Result<(), Oops> {
        let name = key.name();
        let bit = 1 << key as u32;
        if self.seen & bit != 0 {
            return Err(refuse(name, format!("'{name}' is given twice")));
        }
        self.seen |= bit;
        match key {
            Key::Model => self.head.model = self.model()?,
            Key::Models => self.head.models = strings(&mut self.lexer, name, MODELS_MAX)?,
            Key::Stream => self.head.stream = boolean(&mut self.lexer, name)?.unwrap_or(false),
            Key::StreamOptions => self.stream_options()?,
            Key::MaxTokens => self.limits[0] = self.whole(name, u64::from(u32::MAX))?,
            Key::MaxCompletionTokens | Key::MaxOutputTokens => {
                self.limits[1] = self.whole(name, u64::from(u32::MAX))?
            }
            Key::N => {
                let n = self.whole(name, N_MAX)?.unwrap_or(1);
                self.head.n = u32::try_from(n).unwrap_or(1);
            }
            Key::Tools => self.tools()?,
            Key::Messages => self.messages()?,
            Key::Provider => self.head.provider = Prefs::read(&mut self.lexer)?,
            Key::Plugins | Key::Transforms => {
                self.array_or_null(name, &mut Blind)?;
            }
            Key::Route => self.route()?,
            Key::Preset => self.preset()?,
            // Any value; the provider judges it.
            Key::PromptCacheKey => {
                self.lexer.value(1, &mut Blind)?;
            }
            Key::ServiceTier => {
                // `null` names none.
                let named = self.lexer.peek() != Some(b'n');
                self.lexer.value(1, &mut Blind)?;
                self.head.notes.add(Notes::member(b"service_tier").when(named));
            }
            Key::Usage | Key::Trace => {
                if !matches!(self.lexer.peek(), Some(b'{' | b'n')) {
                    return Err(refuse(name, format!("'{name}' must be an object")));
                }
                self.lexer.value(1, &mut Blind)?;
            }
            Key::SessionId => self.session_id()?,
            Key::Prompt | Key::Input | Key::Documents => self.prompt(name)?,
            Key::Instructions | Key::System | Key::Query => self.prose()?,
            Key::Store => {
                if boolean(&mut self.lexer, name)? == Some(true) {
                    let text = "'store' must be false: nothing of an answer is kept here. Send \
                                the whole conversation with each request";
                    return Err(refuse(name, text));
                }
            }
            Key::Fallbacks => self.fallbacks()?,
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Option<Text<'a>>, Oops> {
        if self.lexer.peek() != Some(b'"') {
            return Ok(None);
        }
        Ok(Some(self.lexer.string()?))
    }

    fn model(&mut self) -> Result<Option<String>, Oops> {
        let text = self.text()?.and_then(|t| t.unescape()).filter(|t| !t.is_empty());
        match text {
            Some(model) => Ok(Some(model)),
            None => Err(refuse("model", "'model' must be a non-empty string")),
        }
    }

    /// A whole number from 1, or null.
    fn whole(&mut self, name: &str, max: u64) -> Result<Option<u64>, Oops> {
        let byte = self.lexer.peek();
        let (start, end) = self.lexer.value(1, &mut Blind)?;
        if byte == Some(b'n') {
            return Ok(None);
        }
        let number = self.lexer.slice(start, end);
        match number.and_then(|n| n.parse::<u64>().ok()).filter(|n| (1..=max).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(refuse(name, format!("'{name}' must be a whole number from 1 to {max}"))),
        }
    }

    /// Whether an array has elements; null counts as an empty one.
    fn array_or_null(&mut self, name: &str, watch: &mut impl Watch) -> Result<bool, Oops> {
        match self.lexer.peek() {
            Some(b'n') => {
                self.lexer.value(1, &mut Blind)?;
                Ok(false)
            }
            Some(b'[') => {
                let mut inside = Lexer::after(&self.lexer);
                self.lexer.value(1, watch)?;
                Ok(inside.peek() != Some(b']'))
            }
            _ => Err(refuse(name, format!("'{name}' must be an array"))),
        }
    }

    fn tools(&mut self) -> Result<(), Oops> {
        let mut tools = text::Tools { text: self.head.text, notes: Notes::NONE };
        self.head.has_tools = self.array_or_null("tools", &mut tools)?;
        self.head.text = tools.text;
        self.head.notes.add(tools.notes);
        Ok(())
    }

    fn messages(&mut self) -> Result<(), Oops> {
        if self.lexer.peek() != Some(b'[') {
            return Err(refuse("messages", "'messages' must be an array"));
        }
        self.lexer.expect(b'[', "expected an array")?;
        let mut prompt = text::Prompt { text: self.head.text, ..text::Prompt::default() };
        let mut first = true;
        while self.lexer.element(&mut first)? {
            if self.lexer.peek() != Some(b'{') {
                let param = format!("messages[{}]", prompt.text.messages);
                return Err(refuse(&param, format!("'{param}' must be an object")));
            }
            let (start, end) = self.lexer.value(2, &mut prompt)?;
            if prompt.text.messages < 2 {
                self.head.opening[prompt.text.messages as usize] = Some(span(start, end));
            }
            prompt.text.messages += 1;
        }
        if prompt.text.messages == 0 {
            return Err(refuse("messages", "'messages' must not be empty"));
        }
        self.head.text = prompt.text;
        self.head.has_images = prompt.images;
        self.head.has_media = prompt.media;
        self.head.notes.add(prompt.notes());
        Ok(())
    }
}

/// Offsets fit: [`scan`] refuses longer bodies.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn span(start: usize, end: usize) -> Span {
    Span { start: offset(start), end: offset(end) }
}
