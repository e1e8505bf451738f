use serde_json::{Value, json};

use super::*;
use crate::dialect::completions::Template;
use crate::dialect::openai::Host;
use crate::dialect::{Surface, Target};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";
const PDF: &str = "data:application/pdf;base64,JVBERi0=";

/// A chat request that asks for this and nothing else, beside the same request without it.
fn with_and_without(ability: Ability) -> (Value, Value) {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let tool = json!({"type": "function", "function": {"name": "w", "parameters": schema}});
    let mut plain = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let mut asking = plain.clone();
    let mut content = |part: Value| {
        asking["messages"][0]["content"] = json!([{"type": "text", "text": "Hi"}, part]);
    };
    match ability {
        A::Images => content(json!({"type": "image_url", "image_url": {"url": PNG}})),
        A::Audio => {
            content(
                json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
            );
        }
        A::Video => {
            content(
                json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}),
            );
        }
        A::Files => {
            content(json!({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}))
        }
        A::CacheControl => {
            let mark = json!({"type": "ephemeral"});
            asking["messages"][0]["content"] =
                json!([{"type": "text", "text": "Hi", "cache_control": mark}]);
        }
        A::Tools => asking["tools"] = json!([tool]),
        A::ToolChoice | A::SingleCalls => {
            plain["tools"] = json!([tool]);
            asking = plain.clone();
            match ability {
                A::ToolChoice => asking["tool_choice"] = json!("required"),
                _ => asking["parallel_tool_calls"] = json!(false),
            }
        }
        A::JsonObject => asking["response_format"] = json!({"type": "json_object"}),
        A::JsonSchema => {
            let named = json!({"name": "a", "schema": schema});
            asking["response_format"] = json!({"type": "json_schema", "json_schema": named});
        }
        A::Reasoning => asking["reasoning"] = json!({"effort": "high"}),
        A::Choices => asking["n"] = json!(2),
        A::Stop => asking["stop"] = json!(["END"]),
        A::Temperature | A::TopP | A::MinP | A::TopA => asking[ability.name()] = json!(0.5),
        A::TopK | A::Seed => asking[ability.name()] = json!(7),
        A::Penalties | A::RepetitionPenalty => asking[ability.name()] = json!(1.5),
        A::Logprobs => asking["logprobs"] = json!(true),
        A::Verbosity => asking["verbosity"] = json!("low"),
        A::ServiceTier => asking["service_tier"] = json!("flex"),
        A::PromptCacheKey | A::User => asking[ability.name()] = json!("somebody"),
        A::Metadata => asking["metadata"] = json!({"a": "b"}),
    }
    (asking, plain)
}

/// What a provider gets; `None`: the request is refused.
fn written(dialect: Dialect, asked: &Value) -> Option<Value> {
    let request = Surface::Chat.read_request(asked.to_string().as_bytes()).expect("a request");
    let template = Template::shipped("qwen3").expect("a template");
    let model = match dialect {
        // Films are for Nova, the rest is for Claude.
        Dialect::Bedrock if asked.to_string().contains("video") => "amazon.nova-pro-v1:0",
        Dialect::Bedrock => "anthropic.claude-sonnet-4-5-20250929-v1:0",
        Dialect::Gemini | Dialect::Vertex => "gemini-3-pro",
        _ => "m",
    };
    let host = match dialect {
        Dialect::Azure => Host::parse("azure").expect("a host"),
        _ => &Host::GENERIC,
    };
    let target = Target { template: Some(&template), host, ..Target::new(model, 8192) };
    let body = dialect.write_request(&request, &target).ok()?;
    Some(serde_json::from_slice(&body).expect("JSON"))
}

/// The table is what the writers do: what a dialect takes changes the request, and what it lacks
/// is left out or refused.
#[test]
fn the_table_is_true() {
    let mut wrong = Vec::new();
    for dialect in Dialect::ALL {
        for ability in Ability::ALL {
            let (asking, plain) = with_and_without(ability);
            let plain = written(dialect, &plain).expect("a plain request is taken");
            let mut acts = written(dialect, &asking).is_some_and(|got| got != plain);
            if ability == A::Reasoning {
                // Some models think unless they are told not to.
                let mut off = asking.clone();
                off["reasoning"] = json!({"effort": "none"});
                acts |= written(dialect, &off).is_some_and(|got| got != plain);
            }
            if acts != dialect.can(ability) {
                wrong.push(format!("{dialect}: {ability:?} acts: {acts}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn losses_are_told() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":1,"top_k":4,
        "logit_bias":{},"provider":{},"session_id":"s"}"#;
    let request = Surface::Chat.read_request(body).expect("a request");
    let lost = |dialect| -> Vec<String> {
        losses(&request, dialect).into_iter().map(|loss| loss.param.into_owned()).collect()
    };
    assert_eq!(lost(Dialect::Anthropic), ["seed", "logit_bias"]);
    assert_eq!(lost(Dialect::OpenAi), Vec::<String>::new());
}

/// What README.md must have between its marks.
fn readme_table() -> String {
    use std::fmt::Write as _;
    let mut out = String::from("| |");
    for dialect in Dialect::ALL {
        write!(out, " {dialect} |").expect("text");
    }
    out += "\n|---|";
    out += &"---|".repeat(Dialect::ALL.len());
    let mut row = |name: &str, cell: &dyn Fn(Dialect) -> &'static str| {
        write!(out, "\n| {name} |").expect("text");
        for dialect in Dialect::ALL {
            write!(out, " {} |", cell(dialect)).expect("text");
        }
    };
    let head = crate::dialect::scan::scan(br#"{"model":"m","messages":[{}]}"#).expect("a head");
    for surface in Surface::ALL {
        row(&format!("**{surface}**"), &|dialect| {
            if crate::dialect::passes(surface, dialect, &head, &Host::GENERIC) {
                "="
            } else {
                "✓"
            }
        });
    }
    row("**embeddings**", &|dialect| mark(crate::dialect::embed::path(dialect, "m").is_some()));
    row("**rerank**", &|dialect| mark(crate::dialect::rerank::path(dialect, "m").is_some()));
    for ability in Ability::ALL {
        row(&format!("`{}`", ability.name()), &|dialect| mark(dialect.can(ability)));
    }
    out + "\n"
}

const fn mark(yes: bool) -> &'static str {
    if yes { "✓" } else { "–" }
}

#[test]
fn the_readme_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let (before, rest) = readme.split_once("<!-- abilities -->\n").expect("a mark");
    let (table, after) = rest.split_once("<!-- /abilities -->").expect("a second mark");
    let wanted = readme_table();
    if table != wanted && std::env::var_os("TURNPIKE_BLESS").is_some() {
        let text = format!("{before}<!-- abilities -->\n{wanted}<!-- /abilities -->{after}");
        std::fs::write(path, text).expect("README.md can be written");
        return;
    }
    assert_eq!(table, wanted, "run again with TURNPIKE_BLESS=1 to write it anew");
}
