//! Body → turns.

use std::ops::Range;

use serde_json::value::RawValue;
use turnpike_plugin_api::{Role, Text, TextKind, Turn};

use super::{Place, Places, Spot, Turns};
use crate::dialect::scan::{Form, Head, Key, Span, TextStats};
use crate::dialect::tree::{Members, Path, raw_array, raw_object};
use crate::error::{GatewayError, Kind};

/// The most elements of one array.
const ITEMS_MAX: usize = 100_000;

type Raw<'a> = &'a RawValue;
type Object<'a> = Members<'a, Raw<'a>>;
type Done = Result<(), GatewayError>;

pub(super) fn read(head: &Head, body: &[u8], tools: bool) -> Result<Turns, GatewayError> {
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let base = text.as_ptr().addr();
    let mut reader = Reader { base, tools, turns: Vec::new(), places: Vec::new() };
    let field = |key: Key| head.field(key).map(|field| field.value);
    let raw = |span: Span| -> Result<Raw<'_>, GatewayError> {
        let slice = text.get(span.start as usize..span.end as usize).unwrap_or_default();
        serde_json::from_str(slice).map_err(|_| unreadable())
    };
    let prose = |key: Key, role| field(key).map(|span| (span, role, key));
    let told = [prose(Key::System, Role::System), prose(Key::Instructions, Role::System)];
    for (span, role, key) in told.into_iter().chain([prose(Key::Query, Role::User)]).flatten() {
        reader.alone(raw(span)?, role, &Path::Top(key.name()))?;
    }
    let form = head.form;
    let prompt = [Key::Messages, Key::Prompt, Key::Input, Key::Documents].into_iter();
    for (span, key) in prompt.filter_map(|key| Some((field(key)?, key))) {
        reader.prompt(form, raw(span)?, &Path::Top(key.name()))?;
    }
    Ok(Turns { turns: reader.turns, places: Places { turns: reader.places } })
}

/// The scan has checked that the body is JSON, so that this is not to be expected.
fn unreadable() -> GatewayError {
    GatewayError::new(Kind::InvalidRequest, "The body could not be read a second time.")
}

struct Reader {
    base: usize,
    tools: bool,
    turns: Vec<Turn>,
    places: Vec<Place>,
}

/// A turn under way.
struct Draft {
    turn: Turn,
    place: Place,
    stats: TextStats,
}

impl Reader {
    fn span(&self, raw: Raw<'_>) -> Range<usize> {
        let at = raw.get().as_ptr().addr() - self.base;
        at..at + raw.get().len()
    }

    const fn draft(&self, role: Role, element: Option<Range<usize>>) -> Draft {
        let place = Place { element, texts: Vec::new(), parts: None };
        let stats = TextStats { ascii_bytes: 0, wide_bytes: 0, media: 0, messages: 1 };
        Draft { turn: Turn::new(role), place, stats }
    }

    fn finish(&mut self, draft: Draft) {
        let Draft { mut turn, place, stats } = draft;
        turn.removable &= place.element.is_some();
        turn.tokens = stats.estimate_prompt_tokens();
        self.turns.push(turn);
        self.places.push(place);
    }

    /// A member that is a turn of its own: instructions, a query.
    fn alone(&mut self, raw: Raw<'_>, role: Role, at: &Path<'_>) -> Done {
        if is_null(raw) {
            return Ok(());
        }
        let mut draft = self.draft(role, None);
        self.content(&mut draft, raw, TextKind::Prose, at)?;
        self.finish(draft);
        Ok(())
    }

    fn prompt(&mut self, form: Form, raw: Raw<'_>, at: &Path<'_>) -> Done {
        if is_text(raw) {
            return self.alone(raw, Role::User, at);
        }
        let items = raw_array(raw, ITEMS_MAX, at)?;
        for (i, item) in items.into_iter().enumerate() {
            let at = at.item(i);
            match form {
                Form::Chat | Form::Messages => self.message(item, &at)?,
                Form::Responses => self.item(item, &at)?,
                Form::Completions | Form::Embeddings | Form::Rerank => self.document(item, &at)?,
            }
        }
        Ok(())
    }

    /// A message of chat completions or of Anthropic's messages.
    fn message(&mut self, raw: Raw<'_>, at: &Path<'_>) -> Done {
        let mut object = raw_object(raw, at)?;
        let role = role_of(&mut object, at)?;
        let mut draft = self.draft(role, Some(self.span(raw)));
        if let Some(id) = text_member(&mut object, "tool_call_id", at)? {
            draft.turn.results.push(id);
        }
        let kind = if role == Role::Tool { TextKind::Result } else { TextKind::Prose };
        if let Some(content) = object.take("content", at)? {
            self.content(&mut draft, content, kind, &at.field("content"))?;
        }
        for name in ["refusal", "reasoning", "reasoning_content"] {
            if let Some(raw) = object.take(name, at)? {
                self.text(&mut draft, raw, TextKind::Prose);
            }
        }
        if let Some(calls) = object.take("tool_calls", at)? {
            let at = at.field("tool_calls");
            for (i, call) in raw_array(calls, ITEMS_MAX, &at)?.into_iter().enumerate() {
                let at = at.item(i);
                let mut call = raw_object(call, &at)?;
                draft.turn.calls.extend(text_member(&mut call, "id", &at)?);
                if let Some(function) = call.take("function", &at)? {
                    let at = at.field("function");
                    let arguments = raw_object(function, &at)?.take("arguments", &at)?;
                    self.arguments(&mut draft, arguments);
                }
            }
        }
        let results = !draft.turn.results.is_empty();
        if role == Role::User && results && draft.turn.texts.iter().all(is_result) {
            draft.turn.role = Role::Tool;
        }
        self.finish(draft);
        Ok(())
    }

    /// An item of a response's input.
    fn item(&mut self, raw: Raw<'_>, at: &Path<'_>) -> Done {
        let mut object = raw_object(raw, at)?;
        let kind = text_member(&mut object, "type", at)?;
        let element = Some(self.span(raw));
        match kind.as_deref() {
            None | Some("message") => {
                let role = role_of(&mut object, at)?;
                let mut draft = self.draft(role, element);
                if let Some(content) = object.take("content", at)? {
                    self.content(&mut draft, content, TextKind::Prose, &at.field("content"))?;
                }
                self.finish(draft);
            }
            Some("function_call" | "custom_tool_call") => {
                let mut draft = self.draft(Role::Assistant, element);
                draft.turn.calls.extend(text_member(&mut object, "call_id", at)?);
                let arguments = object.take("arguments", at)?;
                self.arguments(&mut draft, arguments);
                self.finish(draft);
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                let mut draft = self.draft(Role::Tool, element);
                draft.turn.results.extend(text_member(&mut object, "call_id", at)?);
                if let Some(output) = object.take("output", at)? {
                    self.content(&mut draft, output, TextKind::Result, &at.field("output"))?;
                }
                self.finish(draft);
            }
            // Reasoning belongs to what follows it; of the rest nothing is known.
            Some(other) => {
                let mut draft = self.draft(Role::Assistant, element);
                draft.turn.removable = false;
                draft.turn.has_media = other != "reasoning";
                draft.stats.add_plain(raw.get());
                self.finish(draft);
            }
        }
        Ok(())
    }

    /// A text that is embedded, ranked or gone on with.
    fn document(&mut self, raw: Raw<'_>, at: &Path<'_>) -> Done {
        let mut draft = self.draft(Role::User, None);
        if raw.get().starts_with('{') {
            let mut object = raw_object(raw, at)?;
            match (object.take("text", at)?, object.take("content", at)?) {
                (Some(text), _) => self.text(&mut draft, text, TextKind::Prose),
                (None, Some(content)) => {
                    self.content(&mut draft, content, TextKind::Prose, &at.field("content"))?;
                }
                (None, None) => draft.turn.has_media = true,
            }
        } else if is_text(raw) {
            self.text(&mut draft, raw, TextKind::Prose);
        } else {
            draft.turn.has_media = true;
        }
        self.finish(draft);
        Ok(())
    }

    /// A text, or a list of parts.
    fn content(&self, draft: &mut Draft, raw: Raw<'_>, kind: TextKind, at: &Path<'_>) -> Done {
        if !raw.get().starts_with('[') {
            self.text(draft, raw, kind);
            return Ok(());
        }
        if draft.place.parts.is_none() {
            draft.place.parts = Some(self.span(raw));
        }
        for (i, part) in raw_array(raw, ITEMS_MAX, at)?.into_iter().enumerate() {
            self.part(draft, part, kind, &at.item(i))?;
        }
        Ok(())
    }

    fn part(&self, draft: &mut Draft, raw: Raw<'_>, kind: TextKind, at: &Path<'_>) -> Done {
        if !raw.get().starts_with('{') {
            self.text(draft, raw, kind);
            return Ok(());
        }
        let mut object = raw_object(raw, at)?;
        match text_member(&mut object, "type", at)?.as_deref() {
            Some("tool_use") => {
                draft.turn.calls.extend(text_member(&mut object, "id", at)?);
                let input = object.take("input", at)?;
                self.arguments(draft, input);
            }
            Some("tool_result") => {
                draft.turn.results.extend(text_member(&mut object, "tool_use_id", at)?);
                if let Some(content) = object.take("content", at)? {
                    self.content(draft, content, TextKind::Result, &at.field("content"))?;
                }
            }
            // Signed: it must be handed back as it was.
            Some("thinking" | "redacted_thinking") => draft.stats.add_plain(raw.get()),
            Some("document") => self.file(draft, &mut object, at)?,
            _ => {
                let text = object.take("text", at)?;
                let text = text.or(object.take("refusal", at)?);
                match text.filter(|raw| is_text(raw)) {
                    Some(text) => self.text(draft, text, kind),
                    None => media(draft),
                }
            }
        }
        Ok(())
    }

    /// A document in Anthropic's form: text, or a file.
    fn file(&self, draft: &mut Draft, object: &mut Object<'_>, at: &Path<'_>) -> Done {
        let Some(source) = object.take("source", at)? else { return Ok(()) };
        let at = at.field("source");
        let mut source = raw_object(source, &at)?;
        let kind = text_member(&mut source, "type", &at)?;
        match (kind.as_deref(), source.take("data", &at)?, source.take("content", &at)?) {
            (Some("text"), Some(data), _) => self.text(draft, data, TextKind::Prose),
            (Some("content"), _, Some(content)) => {
                self.content(draft, content, TextKind::Prose, &at.field("content"))?;
            }
            _ => media(draft),
        }
        Ok(())
    }

    /// Arguments of a call: a string that holds JSON, or JSON itself.
    fn arguments(&self, draft: &mut Draft, raw: Option<Raw<'_>>) {
        let Some(raw) = raw else { return };
        if is_text(raw) {
            self.text(draft, raw, TextKind::Arguments);
        } else {
            draft.stats.add_plain(raw.get());
            if self.tools {
                let text = Text::new(TextKind::Arguments, raw.get().to_owned());
                draft.turn.texts.push(text);
                draft.place.texts.push(Spot { span: self.span(raw), bare: true });
            }
        }
    }

    /// A string; whatever else stands in its place is left alone.
    fn text(&self, draft: &mut Draft, raw: Raw<'_>, kind: TextKind) {
        let Ok(text) = serde_json::from_str::<String>(raw.get()) else { return };
        draft.stats.add_plain(&text);
        if kind == TextKind::Prose || self.tools {
            draft.turn.texts.push(Text::new(kind, text));
            draft.place.texts.push(Spot { span: self.span(raw), bare: false });
        }
    }
}

const fn media(draft: &mut Draft) {
    draft.turn.has_media = true;
    draft.stats.media += 1;
}

fn is_result(text: &Text) -> bool {
    text.kind == TextKind::Result
}

fn is_null(raw: Raw<'_>) -> bool {
    raw.get() == "null"
}

fn is_text(raw: Raw<'_>) -> bool {
    raw.get().starts_with('"')
}

fn role_of(object: &mut Object<'_>, at: &Path<'_>) -> Result<Role, GatewayError> {
    Ok(match text_member(object, "role", at)?.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::Tool,
        _ => Role::User,
    })
}

/// A member that is a string, if it is one.
fn text_member(
    object: &mut Object<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<Option<String>, GatewayError> {
    let raw = object.take(name, at)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}
