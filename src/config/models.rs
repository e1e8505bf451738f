//! `[[models]]` → [`Catalog`].

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::fault::{At, Faults};
use super::file;
use super::outside::Outside;
use super::providers::{Providers, display_name};
use crate::catalog::{Catalog, Endpoint, Model, Prices, Provider};
use crate::dialect::Dialect;
use crate::dialect::completions::{Settings, Template};
use crate::vocab::{BadPrice, EndpointId, ModelId, PicoUsd};

/// The most models of one configuration.
const MODELS_MAX: usize = 100_000;
/// The most endpoints of one model.
const ENDPOINTS_MAX: usize = 1_000;
/// The longest context, in tokens.
const CONTEXT_MAX: u32 = 1_000_000_000;
/// What a prompt may hold, in OpenRouter's names.
const INPUTS: [&str; 5] = ["text", "image", "file", "audio", "video"];
/// What an answer may hold, in OpenRouter's names.
const OUTPUTS: [&str; 5] = ["text", "image", "audio", "video", "embeddings"];

/// Resolves every `[[models]]`. Endpoints at providers that are switched off are left out, and
/// so are models without another.
pub(super) fn resolve(
    raw: &[file::Model],
    providers: &Providers,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Catalog {
    if raw.is_empty() {
        faults.add("models", "is empty; at least one [[models]] is needed");
    }
    if raw.len() > MODELS_MAX {
        faults.add("models", format!("has more than {MODELS_MAX} entries"));
        return Catalog::default();
    }
    let mut ids = Ids::default();
    let mut templates = Templates { outside, read: HashMap::new() };
    let mut models = Vec::with_capacity(raw.len());
    for (i, raw) in raw.iter().enumerate() {
        let mut at = At::new(format!("models[{i}]"), faults);
        let model = model(raw, providers, (&mut ids, &mut templates), &mut at);
        models.extend(model.filter(|m| !m.endpoints.is_empty()));
    }
    if models.is_empty() && faults.0.is_empty() {
        faults.add("models", "has no model whose provider is enabled; at least one is needed");
    }
    Catalog::new(models)
}

/// The ids that were given out so far.
#[derive(Default)]
struct Ids {
    models: HashSet<ModelId>,
    endpoints: HashSet<EndpointId>,
}

/// `None` after a fault of the id.
fn model(
    raw: &file::Model,
    providers: &Providers,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    at: &mut At<'_>,
) -> Option<Model> {
    let id = match ModelId::parse(&raw.id) {
        Ok(id) => Some(id),
        Err(error) => {
            at.fault(
                "id",
                if raw.id.is_empty() { "is required".into() } else { error.to_string() },
            );
            None
        }
    };
    if let Some(id) = &id
        && !ids.models.insert(id.clone())
    {
        at.fault("id", format!("is {id}, which another model has; each needs its own"));
    }
    let name = display_name(at, raw.name.as_deref(), &raw.id);
    let created = at.int("created", raw.created, 0, 253_402_300_799);
    if raw.description.len() > 16_384 {
        at.fault("description", "must have at most 16384 bytes");
    }
    let input_modalities = names(at, "input_modalities", &raw.input_modalities, &INPUTS);
    let output_modalities = names(at, "output_modalities", &raw.output_modalities, &OUTPUTS);
    let context = raw.context_length.map(|n| at.int32("context_length", n, 1, CONTEXT_MAX));
    if raw.endpoints.is_empty() {
        at.fault("endpoints", "is empty; at least one [[models.endpoints]] is needed");
    }
    if raw.endpoints.len() > ENDPOINTS_MAX {
        at.fault("endpoints", format!("has more than {ENDPOINTS_MAX} entries"));
        return None;
    }
    let mut supported_parameters = Vec::new();
    let mut endpoints: Vec<Arc<Endpoint>> = Vec::with_capacity(raw.endpoints.len());
    let mut pairs = HashSet::new();
    for (i, raw) in raw.endpoints.iter().enumerate() {
        let mut at = at.element("endpoints", i);
        if !raw.provider.is_empty() && !pairs.insert((&raw.provider, &raw.upstream_model)) {
            at.fault("upstream_model", "is the same at the same provider as in another endpoint");
        }
        let Some((endpoint, parameters)) = endpoint(
            raw,
            &Parent { id: id.as_ref(), context },
            providers,
            (ids, templates),
            &mut at,
        ) else {
            continue;
        };
        for parameter in parameters {
            if !supported_parameters.contains(&parameter) {
                supported_parameters.push(parameter);
            }
        }
        endpoints.push(Arc::new(endpoint));
    }
    Some(Model {
        id: id?,
        name,
        created,
        description: raw.description.clone(),
        context_length: endpoints.iter().map(|e| e.context_length).max().unwrap_or_default(),
        input_modalities,
        output_modalities,
        supported_parameters,
        endpoints,
    })
}

/// A list of names out of a closed set, each at most once, at least one.
fn names(at: &mut At<'_>, key: &str, list: &[String], allowed: &[&str]) -> Vec<String> {
    if list.is_empty() {
        at.fault(key, format!("is empty; allowed are {}", allowed.join(", ")));
    }
    for (i, name) in list.iter().enumerate().take(allowed.len() + 1) {
        if !allowed.contains(&name.as_str()) {
            at.fault(&format!("{key}[{i}]"), format!("must be one of {}", allowed.join(", ")));
        } else if list.iter().take(i).any(|earlier| earlier == name) {
            at.fault(&format!("{key}[{i}]"), format!("is {name}, which is listed already"));
        }
    }
    list.to_vec()
}

/// What an endpoint needs to know of its model.
struct Parent<'a> {
    id: Option<&'a ModelId>,
    context: Option<u32>,
}

/// The endpoint and its parameters; `None` if its provider is switched off or there is a fault
/// that leaves nothing to build.
fn endpoint(
    raw: &file::Endpoint,
    model: &Parent<'_>,
    providers: &Providers,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    at: &mut At<'_>,
) -> Option<(Endpoint, Vec<String>)> {
    let provider = find_provider(&raw.provider, providers, at);
    let context_length = match (raw.context_length, model.context) {
        (Some(n), of_model) => {
            let n = at.int32("context_length", n, 1, CONTEXT_MAX);
            if of_model.is_some_and(|most| n > most) {
                at.fault("context_length", "must not be above the model's context_length");
            }
            n
        }
        (None, Some(n)) => n,
        (None, None) => {
            at.fault("context_length", "is required here or at the model");
            1
        }
    };
    let max_output = raw.max_output.map_or(context_length, |n| {
        let n = at.int32("max_output", n, 1, CONTEXT_MAX);
        if n > context_length && !at.has("context_length") {
            at.fault("max_output", format!("must not be above context_length, {context_length}"));
        }
        n
    });
    let weight = at.float("weight", raw.weight, 0.001, 1_000.0);
    let parameters = parameters(raw.parameters.as_deref(), provider.map(|p| p.dialect), at);
    let template = templates.of(raw.template.as_deref(), provider.map(|p| p.dialect), at);
    let prices = prices(&raw.prices, &mut at.within("prices"));
    let upstream_ok = check_upstream_model(&raw.upstream_model, at);
    let (provider, model) = (provider.filter(|_| upstream_ok)?, model.id?);
    let id = ids.endpoint(&provider.id.to_string(), &raw.upstream_model, model, at)?;
    let endpoint = Endpoint {
        id,
        provider: Arc::clone(provider),
        model: model.clone(),
        upstream_model: raw.upstream_model.clone(),
        prices,
        context_length,
        max_output,
        weight,
        template,
    };
    Some((endpoint, parameters))
}

/// Chat templates: each file is read once.
struct Templates<'a> {
    outside: Outside<'a>,
    read: HashMap<String, Arc<Template>>,
}

impl Templates<'_> {
    /// The template of an endpoint; a fault is noted where there must be one and is none, or the
    /// other way round.
    fn of(
        &mut self,
        wanted: Option<&str>,
        dialect: Option<Dialect>,
        at: &mut At<'_>,
    ) -> Option<Arc<Template>> {
        match (wanted, dialect) {
            (None, Some(Dialect::Completions)) => {
                at.fault("template", format!("is required for completions: {}", shipped()));
                None
            }
            (None, _) => None,
            (Some(_), Some(dialect)) if dialect != Dialect::Completions => {
                at.fault("template", "is of use with dialect = \"completions\" only");
                None
            }
            (Some(wanted), _) => match self.load(wanted) {
                Ok(template) => Some(template),
                Err(wrong) => {
                    at.fault("template", wrong);
                    None
                }
            },
        }
    }

    fn load(&mut self, wanted: &str) -> Result<Arc<Template>, String> {
        if let Some(known) = self.read.get(wanted) {
            return Ok(Arc::clone(known));
        }
        let template = match wanted.strip_prefix("file:") {
            Some(path) => self.load_file(path)?,
            None => Template::shipped(wanted).ok_or_else(|| format!("must be {}", shipped()))?,
        };
        let template = Arc::new(template);
        self.read.insert(wanted.to_owned(), Arc::clone(&template));
        Ok(template)
    }

    fn load_file(&self, path: &str) -> Result<Template, String> {
        let settings_at = Path::new(path);
        if settings_at.extension().is_none_or(|extension| extension != "toml") {
            return Err("must be file:/path of the template's settings, which ends in .toml".into());
        }
        let read = |path: &Path| {
            let text = (self.outside.read_file)(path);
            text.map_err(|e| {
                format!("needs the file {}, which cannot be read: {e}", path.display())
            })
        };
        let settings = Settings::parse(&read(settings_at)?);
        let settings = settings.map_err(|wrong| format!("has settings that are wrong: {wrong}"))?;
        let name = settings_at.file_stem().unwrap_or_default().to_string_lossy();
        let text = read(&settings_at.with_extension("jinja"))?;
        Template::from_source(&name, &text, settings)
            .map_err(|wrong| format!("cannot be compiled: {wrong}"))
    }
}

fn shipped() -> String {
    let names: Vec<&str> = Template::shipped_names().collect();
    format!("file:/path/to/name.toml or one of {}", names.join(", "))
}

fn find_provider<'a>(
    name: &str,
    providers: &'a Providers,
    at: &mut At<'_>,
) -> Option<&'a Arc<Provider>> {
    let found = providers.enabled.get(name);
    let known = found.is_some() || providers.disabled.contains(name);
    if name.is_empty() {
        at.fault("provider", "is required: the id of a provider");
    } else if !known && providers.complete {
        at.fault("provider", format!("is {name:?}, but no [[providers]] has this id"));
    }
    found
}

fn check_upstream_model(name: &str, at: &mut At<'_>) -> bool {
    match EndpointId::parse(name) {
        Ok(_) if name.len() <= 250 => return true,
        Ok(_) => at.fault("upstream_model", "must have at most 250 characters"),
        Err(_) if name.is_empty() => at.fault("upstream_model", "is required"),
        Err(error) => at.fault("upstream_model", error.to_string()),
    }
    false
}

impl Ids {
    /// `provider/upstream-model`; where two models share an upstream model, the later one has
    /// `@model` added.
    fn endpoint(
        &mut self,
        provider: &str,
        upstream: &str,
        model: &ModelId,
        at: &mut At<'_>,
    ) -> Option<EndpointId> {
        let short = format!("{provider}/{upstream}");
        let long = format!("{short}@{model}");
        for text in [short, long] {
            match EndpointId::parse(&text) {
                Ok(id) if self.endpoints.insert(id.clone()) => return Some(id),
                Ok(_) => {}
                Err(_) => {
                    at.fault(
                        "upstream_model",
                        "is shared with another model; their ids together are too long",
                    );
                    return None;
                }
            }
        }
        at.fault("upstream_model", "makes an endpoint id that another endpoint has");
        None
    }
}

/// The listed parameters, or those that every endpoint of the dialect takes.
fn parameters(listed: Option<&[String]>, dialect: Option<Dialect>, at: &mut At<'_>) -> Vec<String> {
    /// More than there are in any provider's API.
    const PARAMETERS_MAX: usize = 100;
    let Some(listed) = listed else {
        let usual: &[&str] = match dialect {
            Some(Dialect::Anthropic | Dialect::VertexAnthropic) => &ANTHROPIC_PARAMETERS,
            _ => &OPENAI_PARAMETERS,
        };
        return usual.iter().map(|&p| p.to_owned()).collect();
    };
    if listed.len() > PARAMETERS_MAX {
        at.fault("parameters", format!("has more than {PARAMETERS_MAX} entries"));
        return Vec::new();
    }
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    for (i, name) in listed.iter().enumerate() {
        if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
            at.fault(&format!("parameters[{i}]"), "must be lower-case letters, digits and _ only");
        }
    }
    listed.to_vec()
}

/// What servers of OpenAI's Chat Completions take in common, in OpenRouter's order.
const OPENAI_PARAMETERS: [&str; 10] = [
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "seed",
    "response_format",
    "stop",
    "tools",
    "tool_choice",
];

/// What Anthropic's Messages API takes, by the names that OpenAI has for it.
const ANTHROPIC_PARAMETERS: [&str; 6] =
    ["temperature", "top_p", "max_tokens", "stop", "tools", "tool_choice"];

fn prices(raw: &file::Prices, at: &mut At<'_>) -> Prices {
    let per_million = PicoUsd::parse_per_million;
    let per_unit = PicoUsd::parse_per_unit;
    let mut price = |key: &str, text: &Option<String>, parse: Parse| {
        text.as_deref().and_then(|text| match parse(text) {
            Ok(price) => Some(price),
            Err(error) => {
                at.fault(key, error.to_string());
                None
            }
        })
    };
    let prompt = price("prompt", &raw.prompt, per_million);
    let completion = price("completion", &raw.completion, per_million);
    let prices = Prices {
        prompt: prompt.unwrap_or_default(),
        completion: completion.unwrap_or_default(),
        cache_read: price("cache_read", &raw.cache_read, per_million),
        cache_write_5m: price("cache_write_5m", &raw.cache_write_5m, per_million),
        cache_write_1h: price("cache_write_1h", &raw.cache_write_1h, per_million),
        reasoning: price("reasoning", &raw.reasoning, per_million),
        request: price("request", &raw.request, per_unit).unwrap_or_default(),
        image: price("image", &raw.image, per_unit).unwrap_or_default(),
        search: price("search", &raw.search, per_unit).unwrap_or_default(),
    };
    // A price that is forgotten would be a service given away.
    for (key, text) in [("prompt", &raw.prompt), ("completion", &raw.completion)] {
        if text.is_none() {
            at.fault(key, "is required, in dollars per million tokens; \"0\" if they are free");
        }
    }
    prices
}

type Parse = fn(&str) -> Result<PicoUsd, BadPrice>;
