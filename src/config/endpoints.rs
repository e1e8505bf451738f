//! `[[models.endpoints]]` → [`Endpoint`]s.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::fault::At;
use super::file;
use super::outside::Outside;
use super::providers::Providers;
use super::{facts, prices};
use crate::catalog::{DataPolicy, Endpoint, Param, Params, Provider, Quantization, Tier};
use crate::dialect::Dialect;
use crate::dialect::completions::{Settings, Template};
use crate::vocab::{EndpointId, ModelId};

/// The longest context, in tokens.
pub(super) const CONTEXT_MAX: u32 = 1_000_000_000;

/// What an endpoint needs to know of its model.
pub(super) struct Parent<'a> {
    pub(super) id: Option<&'a ModelId>,
    pub(super) context: Option<u32>,
}

/// The ids that were given out so far.
#[derive(Default)]
pub(super) struct Ids {
    pub(super) models: HashSet<ModelId>,
    endpoints: HashSet<EndpointId>,
}

/// The endpoint; `None` if its provider is switched off or there is a fault that leaves nothing to
/// build.
pub(super) fn endpoint(
    raw: &file::Endpoint,
    model: &Parent<'_>,
    providers: &Providers,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    at: &mut At<'_>,
) -> Option<Endpoint> {
    let provider = find_provider(&raw.provider, providers, at);
    let (context_length, max_output) = limits(raw, model.context, at);
    let weight = at.float("weight", raw.weight, 0.001, 1_000.0);
    let parameters = parameters(raw.parameters.as_deref(), provider.map(|p| p.dialect), at);
    let template = templates.of(raw.template.as_deref(), provider.map(|p| p.dialect), at);
    let prices = prices::resolve(&raw.prices, &mut at.within("prices"));
    let tier = one_of(at, "tier", &raw.tier, Tier::parse, &Tier::ALL.map(Tier::as_str));
    let names = Quantization::ALL.map(Quantization::as_str);
    let quantization = one_of(at, "quantization", &raw.quantization, Quantization::parse, &names);
    let region = slug(at, "region", raw.region.as_ref());
    let variant = variant(raw, tier, at);
    let expires = facts::day(at, "expires", raw.expires.as_deref());
    let declared = provider.map_or(DataPolicy::UNKNOWN, |provider| provider.policy);
    let policy = facts::policy(&raw.policy, declared, &mut at.within("policy"));
    let upstream_ok = check_upstream_model(&raw.upstream_model, at);
    let (provider, model) = (provider.filter(|_| upstream_ok)?, model.id?);
    let tag = match &variant {
        Some(variant) => format!("{}/{variant}", provider.id),
        None => provider.id.to_string(),
    };
    let id = ids.endpoint(&tag, &raw.upstream_model, model, at)?;
    Some(Endpoint {
        tag,
        prices,
        max_output,
        weight,
        template,
        parameters,
        quantization,
        region,
        policy,
        tier,
        implicit_caching: raw.implicit_caching,
        moderated: raw.moderated,
        expires,
        ..Endpoint::new(
            id,
            Arc::clone(provider),
            model.clone(),
            &raw.upstream_model,
            context_length,
        )
    })
}

/// The context and the longest completion, in tokens.
fn limits(raw: &file::Endpoint, of_model: Option<u32>, at: &mut At<'_>) -> (u32, u32) {
    let context_length = match (raw.context_length, of_model) {
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
    (context_length, max_output)
}

/// What tells the endpoint from others of its provider.
fn variant(raw: &file::Endpoint, tier: Tier, at: &mut At<'_>) -> Option<String> {
    let given = slug(at, "variant", raw.variant.as_ref());
    let of_tier = || (tier != Tier::Default).then(|| tier.as_str().to_owned());
    given.or_else(of_tier).or_else(|| raw.region.clone())
}

/// A text that can stand in the endpoint's tag.
fn slug(at: &mut At<'_>, key: &str, text: Option<&String>) -> Option<String> {
    let text = text?;
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(ok) {
        at.fault(key, "must be lower-case letters, digits, -, _, . and / only, at most 64");
    }
    Some(text.clone())
}

/// A word out of a closed set; the set's default after a fault.
fn one_of<T: Default>(
    at: &mut At<'_>,
    key: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    names: &[&str],
) -> T {
    parse(text).unwrap_or_else(|| {
        at.fault(key, format!("must be one of {}", names.join(", ")));
        T::default()
    })
}

/// Chat templates: each file is read once.
pub(super) struct Templates<'a> {
    outside: Outside<'a>,
    read: HashMap<String, Arc<Template>>,
}

impl<'a> Templates<'a> {
    /// None has been read yet.
    pub(super) fn new(outside: Outside<'a>) -> Self {
        Self { outside, read: HashMap::new() }
    }

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
    let found = providers.enabled.get(name).or_else(|| providers.dormant.get(name));
    let known = found.is_some() || providers.disabled.contains(name);
    if name.is_empty() {
        at.fault("provider", "is required: the id of a provider");
    } else if !known && providers.complete {
        at.fault(
            "provider",
            format!("is {name:?}, but no [[providers]] and no catalog has this id"),
        );
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
    /// `tag/upstream-model`; where two models share an upstream model, the later one has
    /// `@model` added.
    fn endpoint(
        &mut self,
        tag: &str,
        upstream: &str,
        model: &ModelId,
        at: &mut At<'_>,
    ) -> Option<EndpointId> {
        let short = format!("{tag}/{upstream}");
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
fn parameters(listed: Option<&[String]>, dialect: Option<Dialect>, at: &mut At<'_>) -> Params {
    let Some(listed) = listed else {
        return match dialect {
            Some(Dialect::Anthropic | Dialect::VertexAnthropic) => ANTHROPIC_PARAMETERS,
            _ => OPENAI_PARAMETERS,
        };
    };
    let mut set = Params::NONE;
    for (i, name) in listed.iter().enumerate() {
        match Param::parse(name) {
            Some(param) => set.insert(param),
            None => {
                let names: Vec<&str> = Param::ALL.iter().map(|param| param.as_str()).collect();
                let message = format!("must be one of {}", names.join(", "));
                at.fault(&format!("parameters[{i}]"), message);
            }
        }
    }
    set
}

/// What servers of OpenAI's Chat Completions take in common.
const OPENAI_PARAMETERS: Params = Params::of(&[
    Param::Temperature,
    Param::TopP,
    Param::FrequencyPenalty,
    Param::PresencePenalty,
    Param::MaxTokens,
    Param::Seed,
    Param::ResponseFormat,
    Param::Stop,
    Param::Tools,
    Param::ToolChoice,
]);

/// What Anthropic's Messages API takes, by the names that OpenAI has for it.
const ANTHROPIC_PARAMETERS: Params = Params::of(&[
    Param::Temperature,
    Param::TopP,
    Param::MaxTokens,
    Param::Stop,
    Param::Tools,
    Param::ToolChoice,
]);
