//! Plays a request through a plugin as the gateway does.

use std::borrow::Cow;

use serde_json::Value;
use turnpike_plugin_api::{
    AccountId, Ask, BadOption, Call, CallFault, Definition, Format, Head, Keep, KeyId, Kind, Mark,
    Method, Piece, Plugin, Refusal, Reply, Request, Role, Run, Setup, Step, Surface, Text,
    TextKind, Turn,
};

use crate::case::{Case, Exchange, TurnCase};

/// Makes an instance; a secret's value is the name in its reference, in lower case.
///
/// # Errors
/// As the plugin has it.
pub fn build(definition: &Definition, options: &Value) -> Result<Box<dyn Plugin>, BadOption> {
    let secret = |reference: &str| {
        let name = reference.strip_prefix("env:");
        name.map(str::to_lowercase).ok_or_else(|| "write env:NAME or file:PATH".to_owned())
    };
    let empty = Value::Object(serde_json::Map::new());
    let options = if options.is_null() { &empty } else { options };
    (definition.build)(&Setup { options, secret: &secret })
}

/// What became of a request.
pub struct Played {
    /// The request, as it was changed.
    pub request: Request,
    /// Why it is refused.
    pub refusal: Option<Refusal>,
    /// The run; `None` where the plugin has nothing to do with the request.
    pub run: Option<Box<dyn Run>>,
}

impl Played {
    /// Texts of the turns that are left.
    pub fn texts(&self) -> Vec<Vec<String>> {
        let left = self.request.turns().iter().filter(|turn| !turn.is_removed());
        left.map(|turn| turn.texts.iter().map(|t| t.as_str().to_owned()).collect()).collect()
    }

    /// All that can be compared.
    pub fn shown(&self) -> String {
        let request = &self.request;
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.texts(),
            request.instructions(),
            request.upstream_headers(),
            request.answer_headers(),
            request.notes(),
            request.fee(),
            self.refusal,
        )
    }
}

/// Plays a case's request.
///
/// # Panics
/// The plugin asks for something else than the case has.
pub fn play(plugin: &dyn Plugin, case: &Case, name: &str) -> Played {
    let mut request = Request::new(case.turns.iter().map(turn).collect());
    request.context = case.head.context;
    let begun = begin(plugin, case, request.turns().iter().map(|turn| turn.tokens).sum());
    let mut run = match begun {
        Ok(Some(run)) => run,
        Ok(None) => return Played { request, refusal: None, run: None },
        Err(refusal) => return Played { request, refusal: Some(refusal), run: None },
    };
    let mut exchanges = case.calls.iter();
    let mut step = run.on_request(&mut request);
    while let Ok(Step::Call(call)) = step {
        let exchange = exchanges.next().unwrap_or_else(|| panic!("{name}: it asks for more"));
        let reply = answer(&call, exchange, plugin, name);
        step = run.on_reply(reply, &mut request);
    }
    assert!(step.is_err() || exchanges.next().is_none(), "{name}: it asks for less");
    Played { request, refusal: step.err(), run: Some(run) }
}

fn begin(plugin: &dyn Plugin, case: &Case, tokens: u64) -> Result<Option<Box<dyn Run>>, Refusal> {
    let head = &case.head;
    let (key, account) = (KeyId::parse("key"), AccountId::parse("account"));
    let (key, account) = (key.expect("an id"), account.expect("an id"));
    let schema = head.json.as_ref().filter(|json| json.is_object()).map(Value::to_string);
    let options = case.entry.as_ref().map(Value::to_string);
    let header = |name: &str| -> Option<Cow<'static, str>> {
        head.headers.get(name).map(|value| Cow::Owned(value.clone()))
    };
    plugin.begin(&Ask {
        options: options.as_deref(),
        head: Head {
            surface: Surface::Chat,
            model: &head.model,
            stream: head.stream,
            online: head.online,
            context: head.context,
            prompt_tokens: if head.prompt_tokens == 0 { tokens } else { head.prompt_tokens },
            max_tokens: head.max_tokens,
            format: match (&schema, &head.json) {
                (Some(schema), _) => Format::Schema(schema),
                (None, Some(_)) => Format::Json,
                (None, None) => Format::Text,
            },
            key: &key,
            account: &account,
            unix_ms: if head.unix_ms == 0 { 1_767_225_600_000 } else { head.unix_ms },
            header: &header,
        },
    })
}

fn turn(case: &TurnCase) -> Turn {
    let role = match case.role.as_str() {
        "system" => Role::System,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => Role::User,
    };
    let of = |kind, texts: &[String]| -> Vec<Text> {
        texts.iter().map(|text| Text::new(kind, text.clone())).collect()
    };
    let mut turn = Turn::new(role);
    turn.texts = of(TextKind::Prose, &case.texts);
    turn.texts.extend(of(TextKind::Arguments, &case.arguments));
    turn.texts.extend(of(TextKind::Result, &case.returned));
    (turn.calls, turn.results) = (case.calls.clone(), case.results.clone());
    (turn.has_media, turn.removable) = (case.media, !case.fixed);
    let bytes: usize = turn.texts.iter().map(|text| text.as_str().len()).sum();
    turn.tokens = (bytes as u64).div_ceil(4) + 4;
    turn
}

fn answer(
    call: &Call,
    exchange: &Exchange,
    plugin: &dyn Plugin,
    name: &str,
) -> Result<Reply, CallFault> {
    let method = if call.method == Method::Get { "GET" } else { "POST" };
    assert_eq!((method, &call.url), (exchange.method.as_str(), &exchange.url), "{name}: a call");
    let origins = plugin.origins();
    let own = |origin: &String| {
        let rest = call.url.strip_prefix(origin.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    assert!(origins.iter().any(own), "{name}: {} is not below {origins:?}", call.url);
    for (header, value) in &exchange.headers {
        let sent = call.headers.iter().any(|(n, v)| n == header && v == value);
        assert!(sent, "{name}: the call has no {header}: {value}");
    }
    if let Some(body) = &exchange.body {
        let sent: Value = serde_json::from_slice(&call.body).expect("a JSON body");
        assert_eq!(&sent, body, "{name}: the call's body");
    }
    let reply = exchange.reply.as_ref().ok_or(CallFault::Unreachable)?;
    let body = reply.json.as_ref().map_or_else(|| reply.text.clone(), Value::to_string);
    if body.len() > call.bytes_max {
        return Err(CallFault::TooLarge);
    }
    Ok(Reply { status: reply.status, body: body.into_bytes(), kept: false })
}

/// What a client gets of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The text.
    pub text: String,
    /// URLs of citations, in order.
    pub citations: Vec<String>,
    /// What came out, in order.
    pub pieces: Vec<Piece>,
}

/// Says a text of one choice in these pieces, and ends it.
pub fn say(run: &mut dyn Run, pieces: &[String], stream: bool) -> Said {
    say_marked(run, pieces, &[], stream)
}

/// The same, with marks after pieces of these numbers.
pub fn say_marked(
    run: &mut dyn Run,
    pieces: &[String],
    marks: &[(usize, Mark)],
    stream: bool,
) -> Said {
    run.on_begin();
    let mut out = Vec::new();
    let end = Mark::Finish { choice: 0 };
    if stream {
        for (i, text) in pieces.iter().enumerate() {
            let piece = Piece::Text { choice: 0, kind: Kind::Text, text: text.clone() };
            run.on_piece(piece, &mut out);
            for (_, mark) in marks.iter().filter(|(at, _)| *at == i) {
                let _kept: Keep = run.on_mark(mark, &mut out);
            }
        }
        run.on_mark(&end, &mut out);
    } else {
        let piece = Piece::Text { choice: 0, kind: Kind::Text, text: pieces.concat() };
        run.on_piece(piece, &mut out);
        run.on_mark(&end, &mut out);
        let mut whole = text_of(&out);
        run.on_answer(0, &mut whole);
        out.retain(|piece| !matches!(piece, Piece::Text { kind: Kind::Text, .. }));
        out.insert(0, Piece::Text { choice: 0, kind: Kind::Text, text: whole });
    }
    let cited = out.iter().filter_map(|piece| match piece {
        Piece::Citation { citation, .. } => Some(citation.url.clone()),
        Piece::Text { .. } => None,
    });
    Said { text: text_of(&out), citations: cited.collect(), pieces: out }
}

fn text_of(pieces: &[Piece]) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text { kind: Kind::Text, text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
