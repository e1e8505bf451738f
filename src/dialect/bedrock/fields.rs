//! Numbers and options of a request: `inferenceConfig`, the fields of each family of models, labels
//! and the tier of service.

use serde_json::Value;

use super::model::Family;
use super::request::Form;
use super::tools::own_choice;
use crate::dialect::Target;
use crate::dialect::anthropic::{Limits, Thinking, effort, limits, max_tokens};
use crate::dialect::ir::{Effort, Reasoning, Request, Sampling};
use crate::dialect::json;

/// The most labels of a request.
const LABELS_MAX: usize = 16;
/// The longest name or value of a label, in characters.
const LABEL_MAX: usize = 256;

/// How much a model other than Claude is to think: Bedrock knows three levels.
fn level(reasoning: Option<Reasoning>) -> Option<&'static str> {
    let reasoning = reasoning?;
    if reasoning.enabled == Some(false) {
        return None;
    }
    Some(match (reasoning.effort, reasoning.max_tokens, reasoning.enabled) {
        (Some(Effort::None), ..) => return None,
        (Some(Effort::Minimal | Effort::Low), ..) => "low",
        (Some(Effort::Medium), ..) => "medium",
        (Some(Effort::High | Effort::ExtraHigh | Effort::Max), ..) => "high",
        // A number of tokens has no counterpart; OpenRouter takes it for a wish to think.
        (None, Some(_), _) | (None, None, Some(true)) => "medium",
        (None, None, _) => return None,
    })
}

/// What is sent of limits and thinking.
struct Plan {
    /// None: the model's own.
    max_tokens: Option<u32>,
    /// How Claude is to think.
    thinking: Option<Thinking>,
    /// The others' level of thinking.
    level: Option<&'static str>,
    /// Nova 2 thinks as much as it can, and takes no other number then.
    unbridled: bool,
}

impl Plan {
    fn of(request: &Request, target: &Target<'_>, family: Family, form: Form) -> Self {
        let limited = request.max_tokens.is_some() || target.credit_limit.is_some();
        if family.is_claude() && form != Form::Tool {
            let Limits { max_tokens, thinking } = limits(request, target);
            let known = limited || target.max_output > 0 || thinking.is_some();
            let max_tokens = Some(max_tokens).filter(|_| known);
            return Self { max_tokens, thinking, level: None, unbridled: false };
        }
        let known = limited || target.max_output > 0;
        let max_tokens = known.then(|| max_tokens(request, target));
        let level = level(request.reasoning);
        let most = family == Family::Nova2 && level == Some("high");
        if most && limited {
            return Self { max_tokens, thinking: None, level: Some("medium"), unbridled: false };
        }
        let max_tokens = max_tokens.filter(|_| !most);
        Self { max_tokens, thinking: None, level, unbridled: most }
    }
}

/// Writes everything that is a number or an option.
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    family: Family,
    form: Form,
    out: &mut Vec<u8>,
) {
    let plan = Plan::of(request, target, family, form);
    write_inference(request, &plan, family, out);
    write_own(request, &plan, family, form, out);
    if family.is_claude() && stops(request, family).next().is_some() {
        // Converse does not say which sequence was hit, but hands on what Claude says of it.
        let path = if request.stream { "/delta/stop_sequence" } else { "/stop_sequence" };
        json::key(out, "additionalModelResponseFieldPaths");
        out.push(b'[');
        json::string(out, path);
        out.push(b']');
    }
    write_labels(request, out);
    write_tier(request, out);
}

fn write_inference(request: &Request, plan: &Plan, family: Family, out: &mut Vec<u8>) {
    let before = out.len();
    json::key(out, "inferenceConfig");
    out.push(b'{');
    let empty = out.len();
    if let Some(max_tokens) = plan.max_tokens {
        json::number_member(out, "maxTokens", u64::from(max_tokens));
    }
    let (temperature, top_p) = drawing(&request.sampling, plan, family);
    if let Some(temperature) = temperature {
        json::key(out, "temperature");
        json::display(out, temperature);
    }
    if let Some(top_p) = top_p {
        json::key(out, "topP");
        json::display(out, top_p);
    }
    let mut stops = stops(request, family).peekable();
    if stops.peek().is_some() {
        json::key(out, "stopSequences");
        out.push(b'[');
        for stop in stops {
            json::comma(out);
            json::string(out, stop);
        }
        out.push(b']');
    }
    if out.len() == empty {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
}

/// The stop sequences that the model takes: Claude refuses blank ones, Bedrock empty ones.
fn stops(request: &Request, family: Family) -> impl Iterator<Item = &String> {
    let blank = move |stop: &str| {
        if family.is_claude() { stop.trim().is_empty() } else { stop.is_empty() }
    };
    request.stop.iter().filter(move |stop| !blank(stop))
}

/// Temperature and `topP`. Bedrock's temperatures end at 1.
fn drawing(sampling: &Sampling, plan: &Plan, family: Family) -> (Option<f64>, Option<f64>) {
    let temperature = sampling.temperature.map(|t| t.min(1.0));
    let top_p = sampling.top_p;
    if plan.unbridled {
        return (None, None);
    }
    if !family.is_claude() {
        return (temperature, top_p);
    }
    // With thinking Claude wants temperature and top_k unset and top_p at 0.95 or above. Without,
    // newer models refuse temperature and top_p together, so of the two one that says nothing (1,
    // the default) is left out.
    if plan.thinking.is_some() {
        return (None, top_p.map(|p| p.max(0.95)));
    }
    match (temperature, top_p) {
        (Some(t), Some(1.0)) => (Some(t), None),
        (Some(1.0), Some(p)) => (None, Some(p)),
        both => both,
    }
}

/// Writes `additionalModelRequestFields`: what only this family of models takes.
fn write_own(request: &Request, plan: &Plan, family: Family, form: Form, out: &mut Vec<u8>) {
    let mut own = vec![b'{'];
    let top_k = request.sampling.top_k.filter(|k| *k > 0);
    let top_k = top_k.filter(|_| plan.thinking.is_none() && !plan.unbridled).map(u64::from);
    match (family, top_k) {
        (_, None) => {}
        (Family::Nova | Family::Nova2, Some(k)) => {
            own.extend_from_slice(b"\"inferenceConfig\":{");
            json::number_member(&mut own, "topK", k);
            own.push(b'}');
        }
        (_, Some(k)) => json::number_member(&mut own, "top_k", k),
    }
    match family {
        Family::OldClaude | Family::Claude => write_claude(request, plan, family, form, &mut own),
        Family::Nova2 => {
            if let Some(level) = plan.level {
                json::key(&mut own, "reasoningConfig");
                own.extend_from_slice(b"{\"type\":\"enabled\"");
                json::text_member(&mut own, "maxReasoningEffort", level);
                own.push(b'}');
            }
        }
        Family::GptOss => {
            if let Some(level) = plan.level {
                json::text_member(&mut own, "reasoning_effort", level);
            }
        }
        Family::OpenAi => {
            if let Some(level) = plan.level {
                json::key(&mut own, "reasoning");
                own.push(b'{');
                json::text_member(&mut own, "effort", level);
                own.push(b'}');
            }
        }
        Family::Nova | Family::Plain | Family::Other => {}
    }
    if own.len() > 1 {
        json::key(out, "additionalModelRequestFields");
        out.append(&mut own);
        out.push(b'}');
    }
}

fn write_claude(request: &Request, plan: &Plan, family: Family, form: Form, own: &mut Vec<u8>) {
    match plan.thinking {
        Some(Thinking::Budget(budget)) => {
            json::key(own, "thinking");
            own.extend_from_slice(b"{\"type\":\"enabled\"");
            json::number_member(own, "budget_tokens", u64::from(budget));
            own.push(b'}');
        }
        Some(Thinking::Adaptive) => {
            json::key(own, "thinking");
            own.extend_from_slice(b"{\"type\":\"adaptive\"}");
        }
        None => {}
    }
    let limits =
        Limits { max_tokens: plan.max_tokens.unwrap_or_default(), thinking: plan.thinking };
    if let Some(effort) = effort(request, limits).filter(|_| family == Family::Claude) {
        json::key(own, "output_config");
        own.push(b'{');
        json::text_member(own, "effort", effort);
        own.push(b'}');
    }
    if let Some(choice) = own_choice(request, family).filter(|_| form != Form::Tool) {
        json::key(own, "tool_choice");
        own.extend_from_slice(choice.as_bytes());
    }
    let betas = request.rest.iter().find(|(name, _)| name == "anthropic_beta");
    if let Some((_, betas)) = betas
        && serde_json::from_str::<Vec<String>>(betas.as_str()).is_ok_and(|list| !list.is_empty())
    {
        json::key(own, "anthropic_beta");
        own.extend_from_slice(betas.as_str().as_bytes());
    }
}

/// Writes the client's labels as `requestMetadata`; those that Bedrock does not take are left out.
fn write_labels(request: &Request, out: &mut Vec<u8>) {
    let Some(metadata) = &request.metadata else { return };
    let Ok(Value::Object(labels)) = serde_json::from_str(metadata.as_str()) else { return };
    let fits = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || " \t\n\r:_@$#=/+,-.".contains(c);
        text.len() <= LABEL_MAX && text.chars().all(fits)
    };
    let labels = labels.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let labels = labels.filter(|(name, value)| !name.is_empty() && fits(name) && fits(value));
    let mut labels = labels.take(LABELS_MAX).peekable();
    if labels.peek().is_none() {
        return;
    }
    json::key(out, "requestMetadata");
    out.push(b'{');
    for (name, value) in labels {
        json::comma(out);
        json::string(out, name);
        out.push(b':');
        json::string(out, value);
    }
    out.push(b'}');
}

/// Writes `serviceTier`; `auto` is what Bedrock does unasked.
fn write_tier(request: &Request, out: &mut Vec<u8>) {
    let tier = match request.service_tier.as_deref() {
        Some("default" | "standard" | "standard_only") => "default",
        Some("flex") => "flex",
        Some("priority") => "priority",
        Some("reserved") => "reserved",
        _ => return,
    };
    json::key(out, "serviceTier");
    out.push(b'{');
    json::text_member(out, "type", tier);
    out.push(b'}');
}
