//! Cases as data.

use serde::Deserialize;
use serde_json::Value;
use turnpike_plugin_api::{Definition, Refusal};

use crate::play::{Played, build, play, say};

/// One request, and what becomes of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// What it shows.
    pub about: String,
    /// The operator's options. Secrets are `env:NAME`, whose value is the name in lower case.
    pub options: Value,
    /// The request's own entry, without `id` and `enabled`.
    pub entry: Option<Value>,
    /// The request's head.
    pub head: HeadCase,
    /// The conversation.
    pub turns: Vec<TurnCase>,
    /// What is asked of the outside, in order.
    pub calls: Vec<Exchange>,
    /// What becomes of the request.
    pub expect: Expected,
    /// An answer, and what becomes of it.
    pub answer: Option<ExpectedAnswer>,
}

/// The head of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadCase {
    /// With suffixes.
    pub model: String,
    /// The answer is streamed.
    pub stream: bool,
    /// The model is asked for with `:online`.
    pub online: bool,
    /// The largest context of its endpoints.
    pub context: u64,
    /// Tokens of the prompt; where 0: those of the turns.
    pub prompt_tokens: u64,
    /// Limit on the answer.
    pub max_tokens: Option<u64>,
    /// `true`: some JSON; an object: JSON of this schema.
    pub json: Option<Value>,
    /// HTTP headers.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The time of arrival; where 0: the beginning of 2026.
    pub unix_ms: u64,
}

/// A turn of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnCase {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What is said.
    pub texts: Vec<String>,
    /// Arguments of tool calls.
    pub arguments: Vec<String>,
    /// Results of tool calls.
    pub returned: Vec<String>,
    /// Ids of the calls that are made here.
    pub calls: Vec<String>,
    /// Ids of the calls whose results are here.
    pub results: Vec<String>,
    /// It has a picture or file.
    pub media: bool,
    /// It cannot be taken out.
    pub fixed: bool,
}

/// A call and its reply.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// `GET` or `POST`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Headers that must be among its own.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The JSON body; absent: any.
    pub body: Option<Value>,
    /// What is answered; absent: nobody is reached.
    pub reply: Option<ReplyCase>,
}

/// A reply of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplyCase {
    /// The status.
    pub status: u16,
    /// The body as JSON …
    pub json: Option<Value>,
    /// … or as text.
    pub text: String,
}

/// What becomes of a request. What is absent is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The plugin has nothing to do with it.
    pub passed_over: bool,
    /// It is refused.
    pub refusal: Option<ExpectedRefusal>,
    /// Texts of the turns that are left, turn by turn.
    pub texts: Option<Vec<Vec<String>>>,
    /// What was added to the instructions.
    pub instructions: Option<Vec<String>>,
    /// Headers for the provider.
    pub upstream_headers: Option<Vec<(String, String)>>,
    /// Headers for the client.
    pub answer_headers: Option<Vec<(String, String)>>,
    /// Summaries of notes.
    pub notes: Option<Vec<String>>,
    /// What is charged in nano-dollars.
    pub fee_nano: Option<i64>,
}

/// How a request is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedRefusal {
    /// The status.
    pub status: u16,
    /// The code.
    pub code: String,
    /// A part of the text.
    pub text: String,
    /// Names of what was found; absent: any.
    pub reasons: Option<Vec<String>>,
}

/// An answer and what becomes of it. It is streamed where the head says so; then it is also cut
/// anywhere else, with the same outcome.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedAnswer {
    /// The text as it comes.
    pub pieces: Vec<String>,
    /// The text as it goes to the client.
    pub expect: String,
    /// URLs of citations; absent: none.
    pub citations: Vec<String>,
    /// Summaries of notes on the answer.
    pub notes: Vec<String>,
}

impl Case {
    /// Plays the case and compares.
    ///
    /// # Panics
    /// It comes out otherwise.
    pub fn check(&self, definition: &Definition, name: &str) {
        let plugin = build(definition, &self.options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut played = play(&*plugin, self, name);
        let again = play(&*plugin, self, name);
        assert_eq!(played.shown(), again.shown(), "{name}: the same request comes out otherwise");
        if let Some(expected) = &self.expect.refusal {
            let refusal = played.refusal.as_ref();
            let refusal = refusal.unwrap_or_else(|| panic!("{name}: it must be refused"));
            expected.check(refusal, name);
            return;
        }
        assert_eq!(played.refusal, None, "{name}: it must not be refused");
        assert_eq!(played.run.is_none(), self.expect.passed_over, "{name}: passed over");
        self.expect.check(&played, name);
        if let Some(answer) = &self.answer {
            answer.check(self, &*plugin, &mut played, name);
        }
    }
}

impl ExpectedRefusal {
    fn check(&self, refusal: &Refusal, name: &str) {
        assert_eq!((refusal.status, &*refusal.code), (self.status, &*self.code), "{name}");
        let text = &refusal.text;
        assert!(text.contains(&self.text), "{name}: {text:?} does not say {:?}", self.text);
        if let Some(reasons) = &self.reasons {
            assert_eq!(&refusal.reasons, reasons, "{name}: reasons");
        }
    }
}

impl Expected {
    fn check(&self, played: &Played, name: &str) {
        let request = &played.request;
        let notes: Vec<String> = request.notes().iter().map(|n| n.summary.clone()).collect();
        same(self.texts.as_ref(), &played.texts(), name, "texts");
        same(self.instructions.as_ref(), &request.instructions().to_vec(), name, "instructions");
        let upstream = request.upstream_headers().to_vec();
        same(self.upstream_headers.as_ref(), &upstream, name, "headers for the provider");
        let answer = request.answer_headers().to_vec();
        same(self.answer_headers.as_ref(), &answer, name, "headers for the client");
        same(self.notes.as_ref(), &notes, name, "notes");
        same(self.fee_nano.as_ref(), &request.fee().0, name, "fee");
    }
}

fn same<T: PartialEq + std::fmt::Debug>(want: Option<&T>, got: &T, name: &str, what: &str) {
    if let Some(want) = want {
        assert_eq!(got, want, "{name}: {what}");
    }
}

impl ExpectedAnswer {
    fn check(
        &self,
        case: &Case,
        plugin: &dyn turnpike_plugin_api::Plugin,
        played: &mut Played,
        name: &str,
    ) {
        let Some(run) = &mut played.run else { panic!("{name}: an answer without a run") };
        let stream = case.head.stream;
        let said = say(&mut **run, &self.pieces, stream);
        assert_eq!((&said.text, &said.citations), (&self.expect, &self.citations), "{name}");
        let notes: Vec<String> = run.on_end().into_iter().map(|note| note.summary).collect();
        assert_eq!(notes, self.notes, "{name}: notes on the answer");
        if !stream {
            return;
        }
        let whole = self.pieces.concat();
        let places = whole.char_indices().map(|(at, _)| at).skip(1);
        let cuts = places.map(|at| vec![whole[..at].to_owned(), whole[at..].to_owned()]);
        let single = vec![whole.chars().map(String::from).collect::<Vec<_>>()];
        for pieces in cuts.chain(single).chain([vec![whole.clone()]]) {
            let mut again = play(plugin, case, name);
            let run = again.run.as_mut().expect("a run, as before");
            let said = say(&mut **run, &pieces, true);
            assert_eq!(said.text, self.expect, "{name}: cut as {pieces:?}");
        }
    }
}
