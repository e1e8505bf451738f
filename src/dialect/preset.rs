//! Presets: what an operator has written down under a name for requests to build on.
//!
//! A preset fills in what a request does not say: its model, a system prompt, sampling parameters,
//! preferences among providers. What the request says itself wins, key by key in `provider`, else
//! member by member. The request's bytes are spliced, so that what comes out is what the client
//! could have sent; everything after it (the scan, the cache's key, the plan) sees only that.

use super::json;
use super::scan::{Form, Head, Key, Span};

/// A preset. Texts of JSON are checked by `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preset {
    /// The model, with suffixes.
    pub model: Option<String>,
    /// Models to fall back to.
    pub models: Vec<String>,
    /// What the model is told before the conversation.
    pub system: Option<String>,
    /// Names of parameters, each with its value as JSON.
    pub parameters: Vec<(String, String)>,
    /// Keys of `provider`, each with its value as JSON.
    pub provider: Vec<(String, String)>,
    /// `plugins`, as JSON.
    pub plugins: Option<String>,
}

/// What a name in a request says about a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The preset's name.
    pub slug: &'a str,
    /// The model that stands before it; empty: the preset's own.
    pub model: &'a str,
    /// Suffixes after it, with their colon.
    pub suffix: &'a str,
}

/// Where a preset's name begins.
const MARK: &str = "@preset/";

/// The preset that a request asks for: in its model's name, or as `preset`.
pub fn reference(head: &Head) -> Option<Reference<'_>> {
    let name = head.model.as_deref().unwrap_or_default();
    if let Some((model, rest)) = name.split_once(MARK) {
        let (slug, suffix) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
        return Some(Reference { slug, model, suffix });
    }
    let slug = head.preset.as_deref()?;
    Some(Reference { slug: slug.strip_prefix(MARK).unwrap_or(slug), model: name, suffix: "" })
}

/// Builds the request that the client would have sent without the preset.
pub fn apply(preset: &Preset, asked: Reference<'_>, head: &Head, body: &[u8]) -> Vec<u8> {
    let mut edits = Edits { head, added: Vec::new(), changes: Vec::new() };
    edits.model(preset, asked);
    for (name, value) in &preset.parameters {
        if !head.mentions(name) {
            edits.add(name, value);
        }
    }
    if let (Some(plugins), None) = (&preset.plugins, head.field(Key::Plugins)) {
        edits.add(Key::Plugins.name(), plugins);
    }
    edits.provider(preset, body);
    if let Some(system) = &preset.system {
        edits.system(system, body);
    }
    if let Some(field) = head.field(Key::Preset) {
        edits.changes.push((field.value, "null".to_owned()));
    }
    edits.write(body)
}

struct Edits<'a> {
    head: &'a Head,
    /// Members to put before the others, each with its comma.
    added: Vec<u8>,
    /// Spans and what replaces them.
    changes: Vec<(Span, String)>,
}

impl Edits<'_> {
    fn add(&mut self, name: &str, value: &str) {
        json::string(&mut self.added, name);
        self.added.push(b':');
        self.added.extend_from_slice(value.as_bytes());
        self.added.push(b',');
    }

    fn set(&mut self, key: Key, value: &str) {
        match self.head.field(key) {
            Some(field) => self.changes.push((field.value, value.to_owned())),
            None => self.add(key.name(), value),
        }
    }

    fn model(&mut self, preset: &Preset, asked: Reference<'_>) {
        let own = preset.model.as_deref().or_else(|| preset.models.first().map(String::as_str));
        let model = if asked.model.is_empty() { own } else { Some(asked.model) };
        if let Some(model) = model {
            self.set(Key::Model, &quoted(&format!("{model}{}", asked.suffix)));
        }
        if self.head.models.is_empty() && !preset.models.is_empty() {
            let names: Vec<String> = preset.models.iter().map(|name| quoted(name)).collect();
            self.set(Key::Models, &format!("[{}]", names.join(",")));
        }
    }

    /// The request's own keys win.
    fn provider(&mut self, preset: &Preset, body: &[u8]) {
        if preset.provider.is_empty() {
            return;
        }
        let field = self.head.field(Key::Provider).filter(|_| self.head.provider.is_some());
        let own = field.map_or(&b"{}"[..], |field| field.value.of(body));
        // The scan has read it before.
        let keys: serde_json::Map<_, _> = serde_json::from_slice(own).unwrap_or_default();
        let missing = preset.provider.iter().filter(|(name, _)| !keys.contains_key(name));
        let mut merged: Vec<String> =
            missing.map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        let inside = String::from_utf8_lossy(own);
        let inside = inside.trim();
        let inside = inside.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if !keys.is_empty() {
            merged.extend(inside.map(str::to_owned));
        }
        self.set(Key::Provider, &format!("{{{}}}", merged.join(",")));
    }

    /// Before the conversation, unless it begins with instructions of its own.
    fn system(&mut self, system: &str, body: &[u8]) {
        let text = quoted(system);
        match self.head.form {
            Form::Chat => {
                let (Some(messages), [Some(first), _]) =
                    (self.head.field(Key::Messages), self.head.opening)
                else {
                    return;
                };
                let role = serde_json::from_slice::<serde_json::Value>(first.of(body));
                let role = role.ok().and_then(|m| m.get("role")?.as_str().map(str::to_owned));
                if matches!(role.as_deref(), Some("system" | "developer")) {
                    return;
                }
                let start = messages.value.start + 1;
                let message = format!("{{\"role\":\"system\",\"content\":{text}}},");
                self.changes.push((Span { start, end: start }, message));
            }
            Form::Messages if self.head.field(Key::System).is_none() => self.add("system", &text),
            Form::Responses if self.head.field(Key::Instructions).is_none() => {
                self.add("instructions", &text);
            }
            Form::Messages
            | Form::Responses
            | Form::Completions
            | Form::Embeddings
            | Form::Rerank => {}
        }
    }

    fn write(mut self, body: &[u8]) -> Vec<u8> {
        self.changes.sort_by_key(|(span, _)| span.start);
        let inside = self.head.inside as usize;
        let mut out = Vec::with_capacity(body.len() + self.added.len() + 256);
        out.extend_from_slice(&body[..inside]);
        out.extend_from_slice(&self.added);
        let mut at = inside;
        for (span, text) in &self.changes {
            out.extend_from_slice(&body[at..span.start as usize]);
            out.extend_from_slice(text.as_bytes());
            at = span.end as usize;
        }
        out.extend_from_slice(&body[at..]);
        out
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::scan::scan_as;

    fn preset() -> Preset {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Preset {
            model: Some("a/own:floor".to_owned()),
            models: vec!["a/own:floor".to_owned(), "b/other".to_owned()],
            system: Some("Be \"brief\".".to_owned()),
            parameters: vec![pair("temperature", "0.2"), pair("seed", "7")],
            provider: vec![pair("sort", "\"price\""), pair("zdr", "true")],
            plugins: Some("[{\"id\":\"web\"}]".to_owned()),
        }
    }

    fn applied(form: Form, body: &Value) -> Value {
        let body = body.to_string();
        let head = scan_as(form, body.as_bytes()).expect("a head");
        let asked = reference(&head).expect("a preset");
        let built = apply(&preset(), asked, &head, body.as_bytes());
        scan_as(form, &built)
            .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&built)));
        serde_json::from_slice(&built).expect("JSON")
    }

    #[test]
    fn what_the_request_does_not_say_is_filled_in() {
        let user = json!({"role": "user", "content": "hi"});
        let got = applied(Form::Chat, &json!({"model": "@preset/mine", "messages": [user]}));
        assert_eq!(
            got,
            json!({
                "model": "a/own:floor",
                "models": ["a/own:floor", "b/other"],
                "temperature": 0.2,
                "seed": 7,
                "plugins": [{"id": "web"}],
                "provider": {"sort": "price", "zdr": true},
                "messages": [{"role": "system", "content": "Be \"brief\"."}, user],
            })
        );
    }

    #[test]
    fn what_the_request_says_wins() {
        let own = json!([{"role": "system", "content": "Mine."}, {"role": "user", "content": "x"}]);
        let body = json!({
            "model": "c/third:nitro",
            "preset": "mine",
            "models": ["d/fourth"],
            "temperature": 1,
            "plugins": [],
            "provider": {"sort": {"by": "latency"}, "order": ["x"], "max_price": {"prompt": 1}},
            "messages": own,
        });
        let got = applied(Form::Chat, &body);
        assert_eq!(
            got,
            json!({
                "model": "c/third:nitro",
                "preset": null,
                "models": ["d/fourth"],
                "temperature": 1,
                "plugins": [],
                "seed": 7,
                "provider": {
                    "zdr": true,
                    "sort": {"by": "latency"},
                    "order": ["x"],
                    "max_price": {"prompt": 1},
                },
                "messages": own,
            })
        );
    }

    #[test]
    fn each_format_has_its_own_place_for_instructions() {
        let got =
            applied(Form::Responses, &json!({"model": "a/b@preset/mine:nitro", "input": "x"}));
        assert_eq!(
            (&got["model"], &got["instructions"]),
            (&json!("a/b:nitro"), &json!("Be \"brief\"."))
        );
        let user = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": "@preset/mine", "max_tokens": 5, "messages": user});
        assert_eq!(applied(Form::Messages, &body)["system"], json!("Be \"brief\"."));
        let got = applied(Form::Embeddings, &json!({"model": "a/b@preset/mine", "input": "x"}));
        assert!(got.get("instructions").is_none(), "an embedding is told nothing");
    }
}
