//! Where a model answers.

use std::fmt::Write;

/// `/models/{model}:generateContent`, after `…/v1beta`.
///
/// The model may be named bare (`gemini-2.5-pro`) or as a resource (`models/…`, `tunedModels/…`).
pub fn path(model: &str, stream: bool) -> String {
    let model = model.strip_prefix("publishers/google/").unwrap_or(model);
    let (folder, name) = match model.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), name)) => (folder, name),
        _ => ("models", model),
    };
    let mut out = format!("/{folder}/");
    encode(name, &mut out);
    out.push_str(verb(stream));
    out
}

/// The same on Vertex AI, after `…/v1/projects/{project}/locations/{location}`.
///
/// The model may also be one of another publisher (`publishers/…/models/…`) or deployed by the
/// operator (`endpoints/…`).
pub fn vertex_path(model: &str, stream: bool) -> String {
    let mut out = String::new();
    match model.split_once('/') {
        Some(("endpoints", name)) => {
            out.push_str("/endpoints/");
            encode(name, &mut out);
        }
        Some(("publishers", rest)) => {
            out.push_str("/publishers");
            for segment in rest.splitn(3, '/') {
                out.push('/');
                encode(segment, &mut out);
            }
        }
        _ => {
            out.push_str("/publishers/google/models/");
            encode(model.strip_prefix("models/").unwrap_or(model), &mut out);
        }
    }
    out.push_str(verb(stream));
    out
}

const fn verb(stream: bool) -> &'static str {
    if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" }
}

/// Appends a segment of a path: what is not unreserved there (RFC 3986) is percent-encoded, save
/// the `@` before a version.
fn encode(segment: &str, out: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_in_the_path() {
        for (model, expected) in [
            ("gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
            ("models/gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
            ("publishers/google/models/g", "/models/g:generateContent"),
            ("tunedModels/my-1", "/tunedModels/my-1:generateContent"),
            ("../x?y#z", "/models/..%2Fx%3Fy%23z:generateContent"),
            ("é", "/models/%C3%A9:generateContent"),
        ] {
            assert_eq!(path(model, false), expected, "{model}");
        }
        assert_eq!(path("g", true), "/models/g:streamGenerateContent?alt=sse");
    }

    #[test]
    fn vertex_has_publishers_and_endpoints() {
        for (model, expected) in [
            ("gemini-3-flash", "/publishers/google/models/gemini-3-flash:generateContent"),
            ("gemini@001", "/publishers/google/models/gemini@001:generateContent"),
            ("models/g", "/publishers/google/models/g:generateContent"),
            ("publishers/google/models/g", "/publishers/google/models/g:generateContent"),
            ("publishers/x/models/a/b", "/publishers/x/models/a%2Fb:generateContent"),
            ("endpoints/42", "/endpoints/42:generateContent"),
        ] {
            assert_eq!(vertex_path(model, false), expected, "{model}");
        }
        let streamed = "/publishers/google/models/g:streamGenerateContent?alt=sse";
        assert_eq!(vertex_path("g", true), streamed);
    }
}
