//! The plugins of a configuration, in its order, and which of them a request runs.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use turnpike_plugin_api::{Ask, Definition, Format, Head as View, Needs, Plugin, Surface};

use super::entries::{self, Entry};
use super::refuse;
use super::runs::{Run, Runs};
use crate::dialect::scan::{Form, Head, Key};
use crate::error::{GatewayError, Kind};
use crate::vocab::{AccountId, KeyId};

/// The plugin that `:online` asks for.
const WEB: &str = "web";

/// Which requests run a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enabled {
    /// Those that ask for it.
    #[default]
    OnRequest,
    /// All that do not switch it off.
    Default,
    /// All; a request may neither switch it off nor give options.
    Always,
}

impl Enabled {
    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnRequest => "on_request",
            Self::Default => "default",
            Self::Always => "always",
        }
    }
}

/// What becomes of a request whose plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes on without the plugin.
    Open,
    /// It fails.
    #[default]
    Closed,
}

/// A plugin of a configuration.
pub struct Configured {
    /// What it is.
    pub definition: &'static Definition,
    /// Its instance.
    pub plugin: Box<dyn Plugin>,
    /// What it wants to see.
    pub needs: Needs,
    /// Where it may send calls.
    pub origins: Vec<String>,
    /// Which requests run it.
    pub enabled: Enabled,
    /// What becomes of a request if it fails.
    pub on_error: OnError,
    /// The most calls at the same time.
    pub calls_max: usize,
}

impl Configured {
    /// A plugin with an instance of it.
    pub fn new(definition: &'static Definition, plugin: Box<dyn Plugin>) -> Self {
        let (needs, origins) = (plugin.needs(), plugin.origins());
        let (enabled, on_error) = (Enabled::default(), OnError::default());
        Self { definition, plugin, needs, origins, enabled, on_error, calls_max: 64 }
    }
}

/// The plugins of a configuration.
#[derive(Default)]
pub struct Chain {
    plugins: Vec<Configured>,
    fingerprint: Vec<u8>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plugins.iter().map(|plugin| plugin.definition.id);
        f.debug_list().entries(names).finish()
    }
}

/// What of a request decides about its plugins, beside head and body.
pub struct About<'a> {
    /// Who asks.
    pub key: &'a KeyId,
    /// Who pays.
    pub account: &'a AccountId,
    /// The time of arrival in milliseconds since 1970.
    pub unix_ms: u64,
    /// Finds the largest context of the model's endpoints in tokens; 0: not known. Asked only where
    /// a plugin begins.
    pub context: &'a dyn Fn() -> u64,
    /// A model is asked for with `:online`.
    pub online: bool,
    /// Values of the request's HTTP headers; no credentials.
    pub header: &'a dyn Fn(&str) -> Option<Cow<'static, str>>,
}

impl Chain {
    /// These plugins in this order. `fingerprint` stands for all of their options: an answer that
    /// was cached under others is none of theirs.
    pub const fn new(plugins: Vec<Configured>, fingerprint: Vec<u8>) -> Self {
        Self { plugins, fingerprint }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.plugins.is_empty()
    }

    /// What stands for all options; empty where there are no plugins.
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// The plugins.
    pub fn plugins(&self) -> &[Configured] {
        &self.plugins
    }

    /// Whether there is a web search for `:online`.
    pub fn has_web(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.definition.id == WEB)
    }

    /// Begins the runs of a request; `None` where it has none.
    ///
    /// # Errors
    /// The request's entries are wrong, name a plugin that is not there, or a plugin refuses it.
    pub fn begin(
        &self,
        head: &Head,
        body: &[u8],
        about: &About<'_>,
    ) -> Result<Option<Box<Runs>>, GatewayError> {
        let asks = head.field(Key::Plugins).is_some() || head.field(Key::Transforms).is_some();
        if self.plugins.is_empty() && !asks {
            return Ok(None);
        }
        let entries = if asks { entries::read(head, body)? } else { Vec::new() };
        self.know(&entries)?;
        let mut begins = Vec::new();
        for (place, configured) in self.plugins.iter().enumerate() {
            let entry = entries.iter().find(|entry| entry.id == configured.definition.id);
            if wanted(configured, entry, about.online)? {
                begins.push((place, configured, entry.map(|entry| entry.options.as_str())));
            }
        }
        if begins.is_empty() {
            return Ok(None);
        }
        let (format, context) = (format(head, body), (about.context)());
        let mut runs = Vec::with_capacity(begins.len());
        for (place, configured, options) in begins {
            let ask = ask(head, about, (format.view(), context), options);
            let begun = catch_unwind(AssertUnwindSafe(|| configured.plugin.begin(&ask)));
            match (begun, configured.on_error) {
                (Ok(Ok(Some(run))), _) => runs.push(Run::new(place, configured, run)),
                (Ok(Ok(None)), _) => {}
                (Ok(Err(refusal)), _) => return Err(refuse::refused(configured, refusal)),
                (Err(_panic), OnError::Open) => runs.push(Run::failed(place, configured)),
                (Err(_panic), OnError::Closed) => return Err(refuse::failed(configured)),
            }
        }
        Ok((!runs.is_empty()).then(|| Box::new(Runs::new(runs, context))))
    }

    /// Refuses entries of plugins that are not there. One that is to be off may be absent.
    fn know(&self, entries: &[Entry]) -> Result<(), GatewayError> {
        let known = |id: &str| self.plugins.iter().any(|plugin| plugin.definition.id == id);
        let Some(entry) = entries.iter().find(|entry| entry.enabled && !known(&entry.id)) else {
            return Ok(());
        };
        let shown: String = entry.id.chars().take(64).filter(|c| !c.is_control()).collect();
        let names: Vec<&str> = self.plugins.iter().map(|plugin| plugin.definition.id).collect();
        let there = match names.as_slice() {
            [] => "none are set up".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        let text = format!("There is no plugin `{shown}` here: {there}. Leave the entry out.");
        Err(GatewayError::new(Kind::InvalidRequest, text).with_param("plugins"))
    }
}

fn wanted(
    configured: &Configured,
    entry: Option<&Entry>,
    online: bool,
) -> Result<bool, GatewayError> {
    let id = configured.definition.id;
    match (configured.enabled, entry) {
        (Enabled::Always, Some(entry)) if !entry.enabled || entry.options != "{}" => {
            let text = format!(
                "The plugin `{id}` runs for every request here, and a request may not change it. \
                 Leave the entry out."
            );
            Err(GatewayError::new(Kind::Forbidden, text).with_param("plugins"))
        }
        (Enabled::Always, _) => Ok(true),
        (_, Some(entry)) => Ok(entry.enabled),
        (Enabled::Default, None) => Ok(true),
        (Enabled::OnRequest, None) => Ok(online && id == WEB),
    }
}

fn ask<'a>(
    head: &'a Head,
    about: &'a About<'a>,
    (format, context): (Format<'a>, u64),
    options: Option<&'a str>,
) -> Ask<'a> {
    let model = head.model.as_deref().or_else(|| head.models.first().map(String::as_str));
    Ask {
        options,
        head: View {
            surface: surface(head.form),
            model: model.unwrap_or_default(),
            stream: head.stream,
            online: about.online,
            context,
            prompt_tokens: head.estimate_prompt_tokens(),
            max_tokens: head.max_tokens,
            format,
            key: about.key,
            account: about.account,
            unix_ms: about.unix_ms,
            header: about.header,
        },
    }
}

const fn surface(form: Form) -> Surface {
    match form {
        Form::Chat => Surface::Chat,
        Form::Completions => Surface::Completions,
        Form::Responses => Surface::Responses,
        Form::Messages => Surface::Messages,
        Form::Embeddings => Surface::Embeddings,
        Form::Rerank => Surface::Rerank,
    }
}

/// The form that an answer must have, owned.
enum Wanted {
    Text,
    Json,
    Schema(String),
}

impl Wanted {
    fn view(&self) -> Format<'_> {
        match self {
            Self::Text => Format::Text,
            Self::Json => Format::Json,
            Self::Schema(schema) => Format::Schema(schema),
        }
    }
}

/// Reads the form where it is named: `response_format` in chat completions, `text.format` in
/// responses, `output_config.format` in messages.
fn format(head: &Head, body: &[u8]) -> Wanted {
    use serde::Deserialize;
    use serde_json::value::RawValue;
    #[derive(Default, Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
        #[serde(borrow)]
        json_schema: Option<Inner<'a>>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        format: Option<Kind<'a>>,
    }
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        response_format: Option<Kind<'a>>,
        #[serde(borrow)]
        text: Option<Outer<'a>>,
        #[serde(borrow)]
        output_config: Option<Outer<'a>>,
    }
    let name: &[u8] = match head.form {
        Form::Chat => b"\"response_format\"",
        Form::Responses => b"\"text\"",
        Form::Messages => b"\"output_config\"",
        Form::Completions | Form::Embeddings | Form::Rerank => return Wanted::Text,
    };
    if memchr::memmem::find(body, name).is_none() {
        return Wanted::Text;
    }
    // A form that is not understood is judged by whoever reads the request in full.
    let Ok(read) = serde_json::from_slice::<Body<'_>>(body) else { return Wanted::Text };
    let kind = match head.form {
        Form::Chat => read.response_format,
        Form::Responses => read.text.and_then(|text| text.format),
        _ => read.output_config.and_then(|config| config.format),
    };
    let Some(kind) = kind else { return Wanted::Text };
    let schema = kind.json_schema.and_then(|inner| inner.schema).or(kind.schema);
    match (kind.kind.as_str(), schema) {
        ("json_object", _) => Wanted::Json,
        ("json_schema", Some(schema)) => Wanted::Schema(schema.get().to_owned()),
        ("json_schema", None) => Wanted::Json,
        _ => Wanted::Text,
    }
}
