//! `[[providers]]` and `[timeouts]` → [`Provider`]s by id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::byok;
use super::facts;
use super::fault::{At, Faults};
use super::file;
use super::options;
use super::outside::{Outside, document, expand, is_reference, secret, variables};
use super::pool;
use super::probe;
use super::resolve::{DAY_MS, HOUR_MS};
use super::sheet::Row;
use super::url;
use crate::catalog::{Auth, AwsKeys, DataPolicy, Origin, Provider, Secret, Timeouts};
use crate::dialect::Dialect;
use crate::dialect::openai::Host;
use crate::vocab::ProviderId;

/// The most providers of one configuration.
const PROVIDERS_MAX: usize = 10_000;

/// What became of the providers.
#[derive(Default)]
pub(super) struct Providers {
    /// The providers in use, by id.
    pub(super) enabled: HashMap<ProviderId, Arc<Provider>>,
    /// Those of catalog files that lack an environment variable.
    pub(super) dormant: HashMap<ProviderId, Arc<Provider>>,
    /// The ids of those that are switched off.
    pub(super) disabled: HashSet<ProviderId>,
    /// Whether every id could be read; if not, an unknown name elsewhere may be no fault.
    pub(super) complete: bool,
}

/// Resolves `[timeouts]`.
pub(super) fn timeouts(raw: &file::Timeouts, faults: &mut Faults) -> Timeouts {
    let mut at = At::new("timeouts", faults);
    Timeouts {
        connect: at.ms("connect_ms", raw.connect_ms, 1, 600_000),
        first_token: at.ms("first_token_ms", raw.first_token_ms, 1, HOUR_MS),
        inter_event: at.ms("inter_event_ms", raw.inter_event_ms, 1, HOUR_MS),
        whole_answer: at.ms("whole_answer_ms", raw.whole_answer_ms, 1, DAY_MS),
    }
}

/// Resolves every `[[providers]]`. `alone` says that there are no catalog files; `own` are those at
/// which accounts have keys.
pub(super) fn resolve(
    raw: &[file::Provider],
    timeouts: Timeouts,
    outside: Outside<'_>,
    (alone, own): (bool, &HashSet<&str>),
    faults: &mut Faults,
) -> Providers {
    let mut providers = Providers { complete: !faults.has("providers"), ..Providers::default() };
    if raw.is_empty() && alone {
        faults.add("providers", "is empty; at least one [[providers]] is needed");
    }
    if raw.len() > PROVIDERS_MAX {
        faults.add("providers", format!("has more than {PROVIDERS_MAX} entries"));
        return providers;
    }
    for (i, raw) in raw.iter().enumerate() {
        let mut at = At::new(format!("providers[{i}]"), faults);
        let id = id(raw, &mut at);
        let theirs = byok::own_only(raw, own).filter(|_| raw.api_key.is_none());
        let made = match &theirs {
            Some(keyed) => provider(keyed, id, timeouts, outside, &mut at).map(byok::without_key),
            None => provider(raw, id, timeouts, outside, &mut at),
        };
        let Some(provider) = made else {
            providers.complete = false;
            continue;
        };
        let id = provider.id.clone();
        if providers.enabled.contains_key(&id) || providers.disabled.contains(&id) {
            at.fault("id", format!("is {id}, which another provider has; each needs its own"));
        } else if raw.enabled {
            providers.enabled.insert(id, Arc::new(provider));
        } else {
            providers.disabled.insert(id);
        }
    }
    providers
}

/// Adds the providers of catalog files that the configuration does not replace, and gives them in
/// order; the later of two with the same id wins.
pub(super) fn of_sheet(
    rows: &[Row<file::Provider>],
    (providers, own): (&mut Providers, &HashSet<&str>),
    timeouts: Timeouts,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> Vec<Arc<Provider>> {
    let last: HashMap<&str, usize> =
        rows.iter().enumerate().map(|(i, row)| (row.entry.id.as_str(), i)).collect();
    let mut added = Vec::new();
    for (i, Row { place, entry: raw }) in rows.iter().enumerate() {
        let known = providers.enabled.contains_key(raw.id.as_str())
            || providers.disabled.contains(raw.id.as_str());
        if known || last.get(raw.id.as_str()) != Some(&i) {
            continue;
        }
        let mut at = At::new(&**place, faults);
        let Some(id) = id(raw, &mut at) else { continue };
        if !raw.enabled {
            providers.disabled.insert(id);
            continue;
        }
        let missing = missing(raw, outside);
        let theirs = byok::own_only(raw, own).filter(|_| !missing.is_empty());
        let theirs = theirs.filter(|keyed| self::missing(keyed, outside).is_empty());
        let is_live = missing.is_empty() || theirs.is_some();
        let provider = match &theirs {
            Some(keyed) => {
                provider(keyed, Some(id), timeouts, outside, &mut at).map(byok::without_key)
            }
            None if is_live => provider(raw, Some(id), timeouts, outside, &mut at),
            None => Some(dormant(raw, id, missing, &mut at)),
        };
        let Some(provider) = provider.map(Arc::new) else { continue };
        let group = if is_live { &mut providers.enabled } else { &mut providers.dormant };
        group.insert(provider.id.clone(), Arc::clone(&provider));
        added.push(provider);
    }
    added
}

/// The environment variables that the provider needs and that are not set.
fn missing(raw: &file::Provider, outside: Outside<'_>) -> Vec<String> {
    let mut texts = vec![Some(raw.base_url.as_str()), raw.api_key.as_deref()];
    texts.push(raw.service_account.as_deref());
    texts.extend(raw.api_keys.iter().map(|key| Some(key.as_str())));
    if let Some(aws) = &raw.aws {
        let secrets = [&aws.region, &aws.access_key_id, &aws.secret_access_key];
        texts.extend(secrets.map(|text| Some(text.as_str())));
    }
    let mut missing: Vec<String> = Vec::new();
    for name in texts.into_iter().flatten().flat_map(variables) {
        let unset = (outside.env)(name).is_none_or(|value| value.trim().is_empty());
        if unset && !missing.iter().any(|other| other == name) {
            missing.push(name.to_owned());
        }
    }
    missing
}

/// A provider that is only listed.
fn dormant(
    raw: &file::Provider,
    id: ProviderId,
    missing: Vec<String>,
    at: &mut At<'_>,
) -> Provider {
    let name = display_name(at, raw.name.as_deref(), &raw.id);
    let policy = facts::policy(&raw.policy, DataPolicy::UNKNOWN, &mut at.within("policy"));
    let profile = facts::profile(&raw.profile, &mut at.within("profile"));
    let provider = Provider::new(id, dialect(raw, at), nowhere());
    Provider { name, policy, profile, missing, ..provider }
}

fn nowhere() -> Origin {
    Origin { tls: true, host: String::new(), port: 443, authority: String::new() }
}

fn dialect(raw: &file::Provider, at: &mut At<'_>) -> Dialect {
    Dialect::parse(&raw.dialect).unwrap_or_else(|| {
        let names = Dialect::ALL.map(Dialect::name).join(", ");
        at.fault("dialect", format!("must be one of {names}"));
        Dialect::OpenAi
    })
}

fn id(raw: &file::Provider, at: &mut At<'_>) -> Option<ProviderId> {
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let wrong = match ProviderId::parse(&raw.id) {
        Ok(id) if raw.id.bytes().all(slug) => return Some(id),
        Ok(_) => "must be lower-case letters, digits, -, _ and . only".to_owned(),
        Err(_) if raw.id.is_empty() => "is required".to_owned(),
        Err(error) => error.to_string(),
    };
    at.fault("id", wrong);
    None
}

/// The provider; where there is a fault, something stands in, save for the id.
pub(super) fn provider(
    raw: &file::Provider,
    id: Option<ProviderId>,
    default: Timeouts,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Option<Provider> {
    let name = display_name(at, raw.name.as_deref(), &raw.id);
    let dialect = dialect(raw, at);
    let base_url = expand(at, "base_url", &raw.base_url, outside);
    let (origin, base_path) = url::parse(&base_url).unwrap_or_else(|wrong| {
        let empty = raw.base_url.is_empty();
        at.fault("base_url", if empty { "is required".to_owned() } else { wrong });
        (nowhere(), String::new())
    });
    let auth = auth(raw, dialect, outside, at);
    let pool = pool::resolve(raw, &auth, outside, at);
    let timeouts = timeouts_of(&raw.timeouts, default, &mut at.within("timeouts"));
    let probe =
        raw.probe.as_ref().map(|raw| probe::resolve(raw, &base_path, &mut at.within("probe")));
    let host = host(raw, &origin, at);
    let bills_on = raw.bills_after_cancel.unwrap_or_else(|| facts::bills_on(dialect));
    let drains = facts::drains(raw, at);
    let options = options::resolve(raw, dialect, at);
    let query = api_version(raw, dialect, at);
    let policy = facts::policy(&raw.policy, DataPolicy::UNKNOWN, &mut at.within("policy"));
    let profile = facts::profile(&raw.profile, &mut at.within("profile"));
    let provider = Provider::new(id?, dialect, origin);
    Some(Provider {
        name,
        host,
        base_path,
        query,
        auth,
        pool,
        timeouts,
        probe,
        policy,
        profile,
        options,
        bills_on,
        drains,
        ..provider
    })
}

/// The row of the host's deviations.
fn host(raw: &file::Provider, origin: &Origin, at: &mut At<'_>) -> &'static Host {
    let Some(name) = raw.host.as_deref() else { return Host::of_domain(&origin.host) };
    Host::parse(name).unwrap_or_else(|| {
        let names: Vec<&str> = Host::ALL.iter().map(|host| host.name).collect();
        at.fault("host", format!("must be one of {}", names.join(", ")));
        &Host::GENERIC
    })
}

fn api_version(raw: &file::Provider, dialect: Dialect, at: &mut At<'_>) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    match (raw.api_version.as_deref(), dialect) {
        (None, Dialect::Azure) => {
            at.fault("api_version", "is required for azure, for instance \"2024-10-21\"");
            None
        }
        (None, _) => None,
        (Some(version), Dialect::Azure) if !version.is_empty() && version.bytes().all(plain) => {
            Some(format!("api-version={version}"))
        }
        (Some(_), Dialect::Azure) => {
            at.fault("api_version", "must be letters, digits, - and . only");
            None
        }
        (Some(_), _) => {
            at.fault("api_version", "is of use with dialect = \"azure\" only");
            None
        }
    }
}

/// A display name, or what stands in for it.
pub(super) fn display_name(at: &mut At<'_>, name: Option<&str>, id: &str) -> String {
    let name = name.unwrap_or(id);
    if name.len() > 128 || name.chars().any(char::is_control) {
        at.fault("name", "must have at most 128 bytes and no control characters");
    }
    if name.is_empty() && !id.is_empty() {
        at.fault("name", "must not be empty; leave it out to use the id");
    }
    name.to_owned()
}

fn auth(raw: &file::Provider, dialect: Dialect, outside: Outside<'_>, at: &mut At<'_>) -> Auth {
    let given = [
        ("api_key", raw.api_key.is_some()),
        ("aws", raw.aws.is_some()),
        ("service_account", raw.service_account.is_some()),
    ];
    let mut given = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        at.fault(
            second,
            format!("must not be given together with {first}; one credential is sent"),
        );
        return Auth::None;
    }
    match (&raw.aws, &raw.service_account) {
        (Some(aws), _) => aws_keys(aws, raw, dialect, outside, at),
        (_, Some(key)) => service_account(key, raw, dialect, outside, at),
        (None, None) => simple_auth(raw, dialect, outside, at),
    }
}

/// How a key is sent where the configuration does not say.
const fn usual_auth(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi
        | Dialect::Responses
        | Dialect::Vertex
        | Dialect::VertexAnthropic
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Mistral
        | Dialect::Completions => "bearer",
        Dialect::Azure => "header:api-key",
        Dialect::Anthropic => "header:x-api-key",
        Dialect::Gemini => "header:x-goog-api-key",
        Dialect::Ollama => "none",
    }
}

fn simple_auth(
    raw: &file::Provider,
    dialect: Dialect,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Auth {
    let usual = if dialect == Dialect::Ollama && raw.api_key.is_some() {
        "bearer"
    } else {
        usual_auth(dialect)
    };
    let how = raw.auth.as_deref().unwrap_or(usual);
    let header = how.strip_prefix("header:").map(str::to_ascii_lowercase);
    match (how, &header) {
        ("none" | "bearer", _) => {}
        (_, Some(name)) => check_header_name(name, at),
        // Not repeated: somebody may have put the key here.
        _ => at.fault("auth", "must be bearer, none, or header: and a name, as header:x-api-key"),
    }
    let Some(key) = raw.api_key.as_deref() else {
        if how != "none" {
            at.fault("api_key", missing_key(dialect));
        }
        return Auth::None;
    };
    if how == "none" {
        at.fault("api_key", "is of no use with auth = \"none\"; leave one of the two out");
        return Auth::None;
    }
    if !raw.enabled {
        // A provider that is switched off need not have its secret here, but it must be one.
        is_reference(at, "api_key", key);
        return Auth::None;
    }
    match (secret(at, "api_key", key, outside), header) {
        (Some(secret), Some(name)) => Auth::Header(name, secret),
        (Some(secret), None) => Auth::Bearer(secret),
        (None, _) => Auth::None,
    }
}

const fn missing_key(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Bedrock => {
            "is required: \"env:NAME\" or \"file:/path\"; or give the keys to sign with in aws"
        }
        Dialect::Vertex | Dialect::VertexAnthropic => {
            "is required: \"env:NAME\" or \"file:/path\"; or give a service_account"
        }
        _ => "is required: \"env:NAME\" or \"file:/path\"; or set auth = \"none\"",
    }
}

fn aws_keys(
    aws: &file::Aws,
    raw: &file::Provider,
    dialect: Dialect,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Auth {
    if dialect != Dialect::Bedrock {
        at.fault("aws", "is of use with dialect = \"bedrock\" only");
    }
    if raw.auth.is_some() {
        at.fault("auth", "is of no use with aws: requests are signed");
    }
    let mut at = at.within("aws");
    let region = expand(&mut at, "region", &aws.region, outside);
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.is_empty() || region.len() > 64 || !region.bytes().all(slug) {
        at.fault("region", "is required: a region, for instance us-east-1");
    }
    for (key, text) in
        [("access_key_id", &aws.access_key_id), ("secret_access_key", &aws.secret_access_key)]
    {
        if text.is_empty() {
            at.fault(key, "is required: \"env:NAME\" or \"file:/path\"");
        }
    }
    if !raw.enabled || aws.access_key_id.is_empty() || aws.secret_access_key.is_empty() {
        return Auth::None;
    }
    let access_key = secret(&mut at, "access_key_id", &aws.access_key_id, outside);
    let secret_key = secret(&mut at, "secret_access_key", &aws.secret_access_key, outside);
    let token = aws.session_token.as_deref();
    let session_token = token.and_then(|text| secret(&mut at, "session_token", text, outside));
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Auth::Aws(Box::new(AwsKeys { region, access_key, secret_key, session_token }))
        }
        _ => Auth::None,
    }
}

fn service_account(
    key: &str,
    raw: &file::Provider,
    dialect: Dialect,
    outside: Outside<'_>,
    at: &mut At<'_>,
) -> Auth {
    if !matches!(dialect, Dialect::Vertex | Dialect::VertexAnthropic) {
        at.fault("service_account", "is of use with the dialects of vertex only");
    }
    if raw.auth.is_some() {
        at.fault("auth", "is of no use with service_account: a bearer token is sent");
    }
    if !raw.enabled {
        is_reference(at, "service_account", key);
        return Auth::None;
    }
    let key = expand(at, "service_account", key, outside);
    let Some(text) = document(at, "service_account", &key, outside) else { return Auth::None };
    let account: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let has = |name: &str| account.as_ref().is_some_and(|account| account[name].is_string());
    if !(has("client_email") && has("private_key") && has("token_uri")) {
        at.fault(
            "service_account",
            "refers to no key of a service account: client_email, private_key and token_uri are needed",
        );
        return Auth::None;
    }
    Auth::ServiceAccount(Secret::new(text.to_string()))
}

/// A header name that the gateway does not write itself.
fn check_header_name(name: &str, at: &mut At<'_>) {
    const OURS: [&str; 14] = [
        "accept",
        "accept-encoding",
        "anthropic-version",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        at.fault("auth", "must have a header name after header:, as header:x-api-key");
    } else if OURS.contains(&name) {
        at.fault("auth", format!("must not use the header {name}, which the gateway writes"));
    }
}

fn timeouts_of(raw: &file::TimeoutsOverride, default: Timeouts, at: &mut At<'_>) -> Timeouts {
    let mut ms = |key: &str, value: Option<i64>, default, max| match value {
        Some(value) => at.ms(key, value, 1, max),
        None => default,
    };
    Timeouts {
        connect: ms("connect_ms", raw.connect_ms, default.connect, 600_000),
        first_token: ms("first_token_ms", raw.first_token_ms, default.first_token, HOUR_MS),
        inter_event: ms("inter_event_ms", raw.inter_event_ms, default.inter_event, HOUR_MS),
        whole_answer: ms("whole_answer_ms", raw.whole_answer_ms, default.whole_answer, DAY_MS),
    }
}
