//! Where a request may be answered: what routing is told of it, and what is remembered of its
//! conversation.

use bytes::Bytes;

use crate::balance::{Nanos, Wait};
use crate::catalog::Tier;
use crate::dialect::preset;
use crate::dialect::scan::{Form, Head, Key, scan_as};
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::journey::{Ask, Chat, Facts};
use crate::edge::random;
use crate::error::{GatewayError, Kind};
use crate::ledger::KeyEntry;
use crate::route::{self, Features, Plan, Record, auto, params_of, sticky};
use crate::terms::{KeyTerms, Policy};
use crate::vocab::Usage;

/// A completion is taken to be as long as the mean of lengths that are spread exponentially and of
/// which 95 % are shorter than the typical one: a third of that.
const MEAN_OF_TYPICAL: u64 = 3;

/// Decides where a request may be answered.
///
/// # Errors
/// There is no such model, nothing that serves it is left, or something is asked that is not built.
pub(crate) fn plan(
    gateway: &Gateway,
    facts: &Facts,
    chat: &mut Chat,
    now: Nanos,
) -> Result<Plan, GatewayError> {
    let head = &chat.ask.head;
    let model = head.model.as_deref().or_else(|| head.models.first().map(String::as_str));
    let Some(model) = model else {
        return Err(GatewayError::new(
            Kind::InvalidRequest,
            "Say which model to use in \"model\"; GET /v1/models lists them.",
        )
        .with_param("model"));
    };
    let snapshot = &chat.snapshot;
    let conversation = conversation(&chat.caller, model, &chat.ask);
    let sticky = conversation.and_then(|key| gateway.conversations.endpoint(key, now));
    let auto = automatic(&snapshot.auto, model, chat)?;
    let (model, models) = match &auto {
        Some(chosen) => ("", chosen.as_slice()),
        None => (model, head.models.as_slice()),
    };
    let first = models.first().filter(|_| model.is_empty()).map_or(model, String::as_str);
    let expected = snapshot.expected(first) / MEAN_OF_TYPICAL;
    let variant = chat.admission.rules.key.variant.as_deref();
    let (varied, all_varied) = vary(variant, model, models);
    let model = varied.as_deref().unwrap_or(model);
    let models = all_varied.as_deref().unwrap_or(models);
    let policies: Vec<&Policy> = chat.admission.rules.policies().collect();
    let features = Features {
        policies: &policies,
        model,
        models,
        prefs: head.provider.as_ref(),
        prompt_tokens: chat.ask.prompt_tokens,
        max_tokens: head.max_tokens,
        expected_tokens: head.max_tokens.map_or(expected, |most| most.min(expected)),
        wait: if head.stream { Wait::FirstToken } else { Wait::WholeAnswer },
        params: params_of(head),
        tier: tier(head, &chat.ask.body),
        together: head.route_sort,
        sticky,
        unix_ms: facts.arrived_ms,
    };
    let plan = decide(gateway, facts, chat, &features, now)?;
    if plan.candidates.first().is_some_and(|first| first.thinking) {
        think(&mut chat.ask)?;
    }
    chat.conversation = conversation;
    Ok(plan)
}

/// Builds on the preset that a request names: afterwards it is as if the client had sent all of it.
///
/// # Errors
/// There is no such preset, or what comes out is not a sound request.
pub(crate) fn preset(
    snapshot: &Snapshot,
    terms: &KeyTerms,
    head: Head,
    body: &mut Bytes,
) -> Result<Head, GatewayError> {
    let model = head.model.as_deref().unwrap_or_default();
    let own = terms.preset.as_deref();
    let own = own.map(|slug| preset::Reference { slug, model, suffix: "" });
    let Some(asked) = preset::reference(&head).or(own) else { return Ok(head) };
    let Some(preset) = snapshot.presets.get(asked.slug) else {
        let slug: String = asked.slug.chars().take(64).filter(|c| !c.is_control()).collect();
        let text = format!(
            "There is no preset `{slug}` here. Ask the operator for one, or send the model and the \
             parameters themselves."
        );
        let param = if head.preset.is_some() { "preset" } else { "model" };
        return Err(GatewayError::new(Kind::ModelNotFound, text).with_param(param));
    };
    let built = preset::apply(preset, asked, &head, body);
    let head = scan_as(head.form, &built)?;
    *body = built.into();
    Ok(head)
}

/// The models that `turnpike/auto` stands for in this request, and its fallbacks after them; `None`
/// if another model is asked for.
fn automatic(
    rules: &[auto::Rule],
    model: &str,
    chat: &Chat,
) -> Result<Option<Vec<String>>, GatewayError> {
    let Some(suffixes) = auto::suffixes(model) else { return Ok(None) };
    if chat.snapshot.table.row(model).is_some() {
        return Ok(None);
    }
    let head = &chat.ask.head;
    let traits = auto::Traits {
        prompt_tokens: chat.ask.prompt_tokens,
        tools: head.has_tools,
        images: head.has_images,
        code: auto::has_code(&chat.ask.body),
        price_max: head.provider.as_ref().and_then(|prefs| prefs.max_price.prompt),
    };
    let Some(chosen) = auto::choose(rules, &traits) else {
        let text = format!(
            "`{model}` has no rule here for a request like this. Name a model; GET /v1/models lists \
             them."
        );
        return Err(GatewayError::new(Kind::ModelNotFound, text).with_param("model"));
    };
    let mut models: Vec<String> = chosen.iter().map(|name| format!("{name}{suffixes}")).collect();
    for name in head.models.iter().filter(|name| auto::suffixes(name).is_none()) {
        if models.len() < route::MODELS_MAX && !models.contains(name) {
            models.push(name.clone());
        }
    }
    Ok(Some(models))
}

/// Whether a name means a model, or a choice among models.
pub(crate) fn knows(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.table.model(name).is_some()
        || auto::suffixes(name).is_some() && !snapshot.auto.is_empty()
}

/// The models as the key's own suffix has them: it is added to names without one.
fn vary(
    variant: Option<&str>,
    model: &str,
    models: &[String],
) -> (Option<String>, Option<Vec<String>>) {
    let Some(variant) = variant else { return (None, None) };
    let one = |name: &str| match name {
        "" => String::new(),
        name if name.contains(':') => name.to_owned(),
        name => format!("{name}:{variant}"),
    };
    (Some(one(model)), Some(models.iter().map(|name| one(name)).collect()))
}

/// Decides, and writes down what it was decided from where that is wanted.
fn decide(
    gateway: &Gateway,
    facts: &Facts,
    chat: &Chat,
    features: &Features<'_>,
    now: Nanos,
) -> Result<Plan, GatewayError> {
    let (table, seed) = (&chat.snapshot.table, random::u64());
    let Some(decisions) = &gateway.decisions else {
        return route::plan(table, features, seed, now);
    };
    let (mut record, plan) = Record::plan(table, features, seed, now);
    record.id = facts.id.to_string();
    record.catalog.clone_from(&chat.snapshot.catalog_version);
    decisions.write(&record);
    plan
}

/// What a request's conversation is told from others by: its session, the key that the client gave
/// for the prompt's cache, or how it begins.
fn conversation(caller: &KeyEntry, model: &str, ask: &Ask) -> Option<sticky::Key> {
    let (head, body) = (&ask.head, &*ask.body);
    let account = caller.account().id();
    let key = |parts: &[&[u8]], named| sticky::Key::new(account.as_str(), model, parts, named);
    let text = |name| {
        let value = head.field(name)?.value.of(body);
        (value.len() > 2 && value.starts_with(b"\"")).then_some(value)
    };
    let session = text(Key::SessionId);
    let session = session.or(ask.session.as_deref().map(str::as_bytes));
    if let Some(name) = session.or_else(|| text(Key::PromptCacheKey)) {
        return Some(key(&[name], true));
    }
    let [first, second] = head.opening.map(|span| span.map(|span| span.of(body)));
    // With instructions before it, it is the message after them that tells conversations apart;
    // without, the one after the first is an answer, which the first turn did not have.
    match (first?, second) {
        (first, Some(second)) if instructs(first) => Some(key(&[first, second], false)),
        (first, _) => Some(key(&[first], false)),
    }
}

/// Whether a message is instructions: the text of another cannot hold these with bare quotes.
fn instructs(message: &[u8]) -> bool {
    let has = |role: &[u8]| memchr::memmem::find(message, role).is_some();
    has(b"\"system\"") || has(b"\"developer\"")
}

/// An answer is complete: its endpoint has the prompt in its cache. Without a name for the
/// conversation that is believed only of an endpoint that has just read from it.
pub(crate) fn remember(gateway: &Gateway, chat: &Chat, mark: u32, usage: &Usage, now: Nanos) {
    if let Some(key) = chat.conversation.filter(|key| key.named || usage.cache_read > 0) {
        gateway.conversations.remember(key, mark, now);
    }
}

/// The service tier that a request names; `fast` is OpenRouter's other name of the priority tier.
fn tier(head: &Head, body: &[u8]) -> Option<Tier> {
    let value = head.field(Key::ServiceTier)?.value.of(body);
    match value {
        b"\"fast\"" => Some(Tier::Priority),
        _ => Tier::parse(std::str::from_utf8(value).ok()?.trim_matches('"')),
    }
}

/// Switches reasoning on, for `:thinking`, unless the request speaks of reasoning itself. A model
/// without such an entry of its own is asked in the format's own words.
fn think(ask: &mut Ask) -> Result<(), GatewayError> {
    let (form, names) = (ask.head.form, ["reasoning", "reasoning_effort", "include_reasoning"]);
    let speaks = names.iter().any(|name| ask.head.mentions(name));
    let member: &[u8] = match form {
        _ if speaks => return Ok(()),
        Form::Chat => b"\"reasoning\":{\"enabled\":true}",
        Form::Responses => b"\"reasoning\":{\"effort\":\"medium\"}",
        Form::Messages | Form::Completions | Form::Embeddings | Form::Rerank => {
            let text = "`:thinking` switches reasoning on in chat completions and responses. Leave \
                        the suffix out and say so in the request itself.";
            return Err(GatewayError::new(Kind::InvalidRequest, text).with_param("model"));
        }
    };
    ask.insert(member)
}
