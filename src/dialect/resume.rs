//! A request that has another provider go on with an answer of which the client has a part.
//!
//! There are three ways. Where no text was sent, the request is made **anew**. Where the provider
//! can be handed the beginning of its answer, it goes on **exactly**: raw completions, whose prompt
//! is ours, and dialects that take a turn of the model's own as the last. Everybody else is
//! **asked** to go on, in a turn of our own wording, and may repeat some words, which whoever reads
//! the answer cuts away.
//!
//! JSON that must have a form is only gone on with exactly, and then without the form, because a
//! grammar would begin at its beginning. Several answers at once, log probabilities and other
//! output than text are not gone on with.

use super::completions::Thinking;
use super::ir::{Assistant, Message, Part, PartBody, Request, ResponseFormat};
use super::openai::{Host, Prefill};
use super::{Dialect, Surface, Target, anthropic, bedrock};

/// How a provider is made to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// It begins anew: nothing of the text is with the client.
    Anew,
    /// It is handed the text as its own beginning.
    Exact,
    /// It is asked to go on.
    Asked,
}

/// What asks a model to go on.
pub const GO_ON: &str = "Your last message was cut off in transit. Go on from exactly where it \
    stopped: write only what comes after its last character, without repeating any of it and \
    without any remark about the interruption.";

/// How this provider can go on after this text; `None` if it cannot.
pub fn means(
    request: &Request,
    dialect: Dialect,
    target: &Target<'_>,
    text: &str,
) -> Option<Means> {
    let other_output = request.modalities.iter().any(|kind| kind != "text");
    if request.n.is_some_and(|n| n > 1) || request.logprobs.is_some() || other_output {
        return None;
    }
    if text.trim().is_empty() {
        return Some(Means::Anew);
    }
    if takes_its_beginning(request, dialect, target) {
        return Some(Means::Exact);
    }
    let formed = matches!(
        request.response_format,
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. })
    );
    (!formed).then_some(Means::Asked)
}

fn takes_its_beginning(request: &Request, dialect: Dialect, target: &Target<'_>) -> bool {
    // DeepSeek does so under another base URL only (`/beta`, 2026-11).
    let says_how = |host: &Host| match host.prefill {
        Prefill::Flag(_) => host.name != "deepseek",
        Prefill::Continue => true,
        Prefill::Plain | Prefill::Never => false,
    };
    match dialect {
        Dialect::Completions => {
            let opens = |template: &super::completions::Template| {
                template.settings().reasoning == Thinking::Open
            };
            request.surface == Surface::Completions || !target.template.is_some_and(opens)
        }
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            anthropic::takes_prefill(target.upstream_model)
        }
        Dialect::Bedrock => bedrock::takes_prefill(target.upstream_model),
        Dialect::Mistral => true,
        Dialect::OpenAi => says_how(target.host),
        Dialect::Azure
        | Dialect::Responses
        | Dialect::Gemini
        | Dialect::Vertex
        | Dialect::Cohere
        | Dialect::Ollama => false,
    }
}

/// The request for what comes after `text`, of at most `left` tokens. White space at the end of a
/// text that is handed over is left out: some refuse it, and words begin with theirs.
pub fn request(request: &Request, means: Means, text: &str, left: Option<u32>) -> Request {
    let mut next = request.clone();
    next.max_tokens = left;
    let raw = request.surface == Surface::Completions && means == Means::Exact;
    let said = if means == Means::Exact { text.trim_end() } else { text };
    match (means, next.messages.last_mut()) {
        (Means::Anew, _) => return next,
        (_, Some(Message::User { parts, .. })) if raw => add(parts, said),
        // The client itself had the model go on.
        (_, Some(Message::Assistant(turn))) if turn.tool_calls.is_empty() => {
            add(&mut turn.parts, said);
        }
        _ => {
            let mut turn = Assistant::default();
            add(&mut turn.parts, said);
            next.messages.push(Message::Assistant(turn));
        }
    }
    if means == Means::Exact {
        next.response_format = None;
    } else {
        let mut parts = Vec::new();
        add(&mut parts, GO_ON);
        next.messages.push(Message::User { parts, name: None });
    }
    next
}

fn add(parts: &mut Vec<Part>, said: &str) {
    match parts.last_mut() {
        Some(Part { body: PartBody::Text(text), .. }) => text.push_str(said),
        _ => parts.push(Part { body: PartBody::Text(said.to_owned()), cache: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Request {
        Surface::Chat.read_request(body.as_bytes()).expect(body)
    }

    const PLAIN: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Go"}]"#;

    #[test]
    fn who_is_handed_the_beginning_and_who_is_asked() {
        let host = |name: &str| Host::parse(name).expect("a host");
        for (dialect, model, host, want) in [
            (Dialect::OpenAi, "gpt-5", &Host::GENERIC, Means::Asked),
            (Dialect::OpenAi, "m", host("deepseek"), Means::Asked),
            (Dialect::OpenAi, "m", host("moonshot"), Means::Exact),
            (Dialect::OpenAi, "m", host("vllm"), Means::Exact),
            (Dialect::Mistral, "m", &Host::GENERIC, Means::Exact),
            (Dialect::Anthropic, "claude-sonnet-4-5", &Host::GENERIC, Means::Exact),
            (Dialect::Anthropic, "claude-opus-4-6", &Host::GENERIC, Means::Asked),
            (Dialect::Bedrock, "anthropic.claude-v2:1", &Host::GENERIC, Means::Exact),
            (Dialect::Bedrock, "meta.llama3", &Host::GENERIC, Means::Asked),
            (Dialect::Gemini, "gemini-3", &Host::GENERIC, Means::Asked),
            (Dialect::Completions, "m", &Host::GENERIC, Means::Exact),
        ] {
            let target = Target { host, ..Target::new(model, 100) };
            let request = read(&format!("{PLAIN}}}"));
            assert_eq!(means(&request, dialect, &target, "so"), Some(want), "{dialect} {model}");
            assert_eq!(means(&request, dialect, &target, ""), Some(Means::Anew), "{dialect}");
            let formed =
                read(&format!("{PLAIN},\"response_format\":{{\"type\":\"json_object\"}}}}"));
            let exact = (want == Means::Exact).then_some(Means::Exact);
            assert_eq!(means(&formed, dialect, &target, "{"), exact, "{dialect} {model}");
            let many = read(&format!("{PLAIN},\"n\":2}}"));
            assert_eq!(means(&many, dialect, &target, "so"), None, "{dialect} {model}");
        }
    }

    #[test]
    fn what_is_handed_over_is_written_as_the_last_turn() {
        let original = read(&format!("{PLAIN},\"max_tokens\":50}}"));
        let next = request(&original, Means::Exact, "One two ", Some(40));
        for (dialect, model, host, want) in [
            (Dialect::Anthropic, "claude-sonnet-4-5", "generic", r#""content":"One two"}"#),
            (Dialect::Mistral, "m", "generic", r#""content":"One two","prefix":true"#),
            (Dialect::OpenAi, "m", "moonshot", r#""content":"One two","partial":true"#),
            (Dialect::OpenAi, "m", "vllm", r#""continue_final_message":true"#),
        ] {
            let host = Host::parse(host).unwrap_or(&Host::GENERIC);
            let target = Target { host, ..Target::new(model, 100) };
            let body = dialect.write_request(&next, &target).expect("a body");
            let body = String::from_utf8_lossy(&body);
            assert!(body.contains(want), "{dialect}: {body}");
            assert!(body.contains("40") && !body.contains("50"), "{dialect}: {body}");
        }
        let asked = request(&original, Means::Asked, "One two ", None);
        let body = Dialect::OpenAi.write_request(&asked, &Target::new("m", 100)).expect("a body");
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(r#"{"role":"assistant","content":"One two "}"#), "{body}");
        assert!(body.contains(GO_ON), "{body}");
    }

    #[test]
    fn a_turn_of_the_model_that_was_last_already_grows() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Go"},{"role":"assistant","content":"One"}]}"#;
        let next = request(&read(body), Means::Exact, " two", None);
        assert_eq!(next.messages.len(), 2);
        let written =
            Dialect::Mistral.write_request(&next, &Target::new("m", 100)).expect("a body");
        assert!(String::from_utf8_lossy(&written).contains(r#""content":"One two""#));
        let raw = r#"{"model":"m","prompt":"Once"}"#;
        let raw = Surface::Completions.read_request(raw.as_bytes()).expect("a request");
        let next = request(&raw, Means::Exact, " upon", Some(3));
        let written =
            Dialect::Completions.write_request(&next, &Target::new("m", 9)).expect("a body");
        assert!(
            String::from_utf8_lossy(&written).contains(r#""prompt":"Once upon","max_tokens":3"#)
        );
    }
}
