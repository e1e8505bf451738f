//! `toolConfig`: the tools that the model may call.
//!
//! Converse has no word for "none", and demands tools where the history has calls. So where nothing
//! may be called but something was, the tools are declared all the same and the model is told in
//! the system's words to leave them alone.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::blocks::TOOL_NAME_MAX;
use super::model::Family;
use super::request::{Form, write_mark};
use crate::dialect::ir::{Message, Request, ResponseFormat, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::error::GatewayError;

/// The tool whose arguments are the answer, for models without structured outputs. An answer's
/// reader knows it by this name.
pub(super) const ANSWER: &str = "turnpike_structured_answer";

/// What is said of [`ANSWER`] where the client says nothing.
const ANSWER_USE: &str = "Gives the final answer to the user. The arguments are the answer.";

/// What forbids calls.
pub(super) const NO_CALLS: &str = "Do not call any tool in this turn. Answer in text.";

/// What is declared of the tools that the history or the client names.
pub(super) enum Declared<'r> {
    /// None.
    Nothing,
    /// The client's, of which the choice allows some.
    Given(Vec<&'r Tool>),
    /// Those of the history, of which only the names are known.
    Called(Vec<&'r str>),
}

/// What is declared, and whether the model must be told to call none of it.
pub(super) fn declared(request: &Request) -> (Declared<'_>, bool) {
    let called = called(request);
    let none = matches!(request.tool_choice, Some(ToolChoice::None));
    if request.tools.is_empty() && !called.is_empty() {
        return (Declared::Called(called), true);
    }
    if request.tools.is_empty() || (none && called.is_empty()) {
        return (Declared::Nothing, false);
    }
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    let is_allowed = |tool: &&Tool| allowed.is_none_or(|names| names.contains(&tool.name));
    (Declared::Given(request.tools.iter().filter(is_allowed).collect()), none)
}

/// The names of the tools that were called before, each once.
fn called(request: &Request) -> Vec<&str> {
    let calls = request.messages.iter().flat_map(|message| match message {
        Message::Assistant(turn) => turn.tool_calls.as_slice(),
        _ => &[],
    });
    let mut names: Vec<&str> = calls.map(|call| call.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Refuses tools that Bedrock cannot name.
pub(super) fn check_names(request: &Request) -> Result<(), GatewayError> {
    match request.tools.iter().position(|tool| tool.name.len() > TOOL_NAME_MAX) {
        None => Ok(()),
        Some(i) => {
            let param = format!("tools[{i}].function.name");
            Err(refusal(param, "may have at most 64 characters for this model"))
        }
    }
}

/// Writes `toolConfig`.
pub(super) fn write(request: &Request, family: Family, form: Form, out: &mut Vec<u8>) {
    let (declared, _) = declared(request);
    if matches!(declared, Declared::Nothing) && form != Form::Tool {
        return;
    }
    json::key(out, "toolConfig");
    out.extend_from_slice(b"{\"tools\":[");
    match &declared {
        Declared::Nothing => {}
        Declared::Given(tools) => tools.iter().for_each(|tool| write_tool(tool, family, out)),
        Declared::Called(names) => names.iter().for_each(|name| {
            let tool = Spec { name, description: None, schema: None, strict: false };
            tool.write(out);
        }),
    }
    if form == Form::Tool {
        write_answer(request, out);
    }
    out.push(b']');
    write_choice(request, family, form, &declared, out);
    out.push(b'}');
}

/// A tool as Converse takes it.
struct Spec<'a> {
    name: &'a str,
    description: Option<&'a str>,
    schema: Option<&'a str>,
    strict: bool,
}

const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

impl Spec<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        json::comma(out);
        out.extend_from_slice(b"{\"toolSpec\":{");
        json::text_member(out, "name", self.name);
        // An empty one is refused.
        if let Some(description) = self.description.filter(|text| !text.trim().is_empty()) {
            json::text_member(out, "description", description);
        }
        out.extend_from_slice(b",\"inputSchema\":{\"json\":");
        match self.schema {
            None => out.extend_from_slice(NO_PARAMETERS.as_bytes()),
            Some(schema) if has_type(schema) => out.extend_from_slice(schema.as_bytes()),
            Some(schema) => {
                // The type is demanded, and an object is the only one that a tool can take.
                let members = schema.strip_prefix('{').unwrap_or(schema).trim_start();
                let comma = if members.starts_with('}') { "" } else { "," };
                out.extend_from_slice(b"{\"type\":\"object\"");
                out.extend_from_slice(comma.as_bytes());
                out.extend_from_slice(members.as_bytes());
            }
        }
        out.push(b'}');
        if self.strict {
            out.extend_from_slice(b",\"strict\":true");
        }
        out.extend_from_slice(b"}}");
    }
}

fn has_type(schema: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Option<IgnoredAny>,
    }
    // What cannot be read here is left as it is, for the provider to judge.
    serde_json::from_str::<Typed>(schema).map_or(true, |typed| typed.kind.is_some())
}

fn write_tool(tool: &Tool, family: Family, out: &mut Vec<u8>) {
    let spec = Spec {
        name: &tool.name,
        description: tool.description.as_deref(),
        schema: tool.parameters.as_ref().map(|raw| raw.as_str().trim()),
        strict: tool.strict == Some(true) && family.has_schemas(),
    };
    spec.write(out);
    if family.is_claude() {
        write_mark(tool.cache, family, out);
    }
}

fn write_answer(request: &Request, out: &mut Vec<u8>) {
    if let Some(ResponseFormat::JsonSchema { description, schema, .. }) = &request.response_format {
        let description = Some(description.as_deref().unwrap_or(ANSWER_USE));
        let schema = Some(schema.as_str().trim());
        Spec { name: ANSWER, description, schema, strict: false }.write(out);
    }
}

/// Writes `toolChoice`, unless it is said in Claude's own words; see [`own_choice`].
fn write_choice(
    request: &Request,
    family: Family,
    form: Form,
    declared: &Declared<'_>,
    out: &mut Vec<u8>,
) {
    let callable = matches!(declared, Declared::Given(_))
        && !matches!(request.tool_choice, Some(ToolChoice::None));
    if form == Form::Tool && !callable {
        return write_named(ANSWER, out);
    }
    if form == Form::Tool {
        out.extend_from_slice(b",\"toolChoice\":{\"any\":{}}");
        return;
    }
    if !callable || own_choice(request, family).is_some() {
        return;
    }
    match &request.tool_choice {
        // Its own choice is what the model has anyway, and some models take no toolChoice.
        None
        | Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Allowed { required: false, .. }) =>
            {}
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => {
            out.extend_from_slice(b",\"toolChoice\":{\"any\":{}}");
        }
        Some(ToolChoice::Named(name)) => write_named(name, out),
    }
}

fn write_named(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"toolChoice\":{\"tool\":{");
    json::text_member(out, "name", name);
    out.extend_from_slice(b"}}");
}

/// Claude's own `tool_choice`, for one call at a time. Converse has no word for that, and takes
/// either its own choice or the model's, not both. Claude before 4.5 does not take it on Bedrock.
pub(super) fn own_choice(request: &Request, family: Family) -> Option<String> {
    let single = request.parallel_tool_calls == Some(false);
    if !single || family != Family::Claude || request.tools.is_empty() {
        return None;
    }
    let kind = match &request.tool_choice {
        Some(ToolChoice::None) => return None,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => {
            "\"auto\"".to_owned()
        }
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => {
            "\"any\"".to_owned()
        }
        // A tool's name needs no escaping.
        Some(ToolChoice::Named(name)) => format!("\"tool\",\"name\":\"{name}\""),
    };
    Some(format!("{{\"type\":{kind},\"disable_parallel_tool_use\":true}}"))
}
