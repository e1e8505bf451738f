//! What clients and providers send.

use std::fmt::Write as _;

use bytes::Bytes;
use turnpike::config::{self, Config};

/// A chat request of about so many bytes: a conversation of messages of up to 4 KB.
pub(crate) fn chat_request(bytes: usize) -> Vec<u8> {
    let mut body = String::with_capacity(bytes + 256);
    body.push_str(
        r#"{"model":"bench/model","stream":true,"stream_options":{"include_usage":true},"max_tokens":256,"temperature":0.7,"messages":[{"role":"system","content":"You are a helpful assistant."}"#,
    );
    let mut user = true;
    while body.len() + 64 < bytes {
        let role = if user { "user" } else { "assistant" };
        let length = (bytes - body.len() - 40).min(4096);
        // Writing into a String can't fail.
        let _infallible = write!(body, r#",{{"role":"{role}","content":"{}"}}"#, prose(length));
        user = !user;
    }
    body.push_str("]}");
    body.into_bytes()
}

/// Text with a line end or a quoted word here and there, as it stands in JSON.
fn prose(bytes: usize) -> String {
    const PARTS: [&str; 4] = [
        "the report shows that in spring most of the lines were moved ",
        r"to another place,\nand nobody wrote down why ",
        r#"except \"in the margin\" of the second page; "#,
        "what it says there can be read in either of two ways, ",
    ];
    let mut text = String::with_capacity(bytes + 64);
    for part in PARTS.iter().cycle() {
        if text.len() + part.len() > bytes {
            break;
        }
        text.push_str(part);
    }
    text
}

/// A whole answer in OpenAI's form, about 1 KB.
pub(crate) fn openai_answer() -> Bytes {
    let text = prose(512);
    Bytes::from(format!(
        "{{\"id\":\"chatcmpl-9d2c1b0a\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300,\"prompt_tokens_details\":{{\"cached_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0}}}}}}"
    ))
}

/// A gateway's configuration with so many endpoints of one model, each at a provider of its own.
pub(crate) fn config(endpoints: usize) -> Config {
    let mut text = String::new();
    for at in 0..endpoints {
        // Writing into a String can't fail.
        let _infallible = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\ndialect = \"openai\"\n\
             base_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n"
        );
    }
    text.push_str("[[models]]\nid = \"bench/model\"\ncontext_length = 131072\n");
    for at in 0..endpoints {
        let _infallible = write!(
            text,
            "[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"model\"\n\
             max_output = 8192\nprices = {{ prompt = \"0.15\", completion = \"0.60\" }}\n"
        );
    }
    config::parse(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()))
        .expect("a sound configuration")
}
