//! Places of a request in the words of who sent it.
//!
//! What a provider's writer refuses it names as chat does, whose words are the hub's. A client of
//! another surface is told its own member; which item of a conversation it was the hub no longer
//! knows, since items are put together and taken apart on the way in.

use super::Surface;
use crate::error::GatewayError;

/// The hub's members, and what a surface calls them.
type Names = &'static [(&'static str, &'static str)];

const COMPLETIONS: Names = &[("messages", "prompt")];

const RESPONSES: Names = &[
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("logprobs", "top_logprobs"),
];

const MESSAGES: Names = &[
    ("stop", "stop_sequences"),
    ("response_format", "output_config.format"),
    ("reasoning", "thinking"),
    ("reasoning_effort", "output_config.effort"),
    ("user", "metadata.user_id"),
];

/// The refusal with the client's name of the place.
pub(super) fn named_for(surface: Surface, mut error: GatewayError) -> GatewayError {
    let names = match surface {
        Surface::Chat => return error,
        Surface::Completions => COMPLETIONS,
        Surface::Responses => RESPONSES,
        Surface::Messages => MESSAGES,
    };
    let Some(param) = error.param.take() else { return error };
    let (member, within) = param.split_at(param.find(['[', '.']).unwrap_or(param.len()));
    let known = names.iter().find(|(hub, _)| *hub == member);
    let name = known.map_or(member, |(_, name)| *name);
    let subject =
        if within.is_empty() { format!("`{name}`") } else { format!("A part of `{name}`") };
    if let Some(what) = error.message.strip_prefix(&format!("`{param}`")) {
        error.message = format!("{subject}{what}");
    }
    error.with_param(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::media::refusal;

    #[test]
    fn a_client_is_told_its_own_members() {
        let what = "must not be a video";
        for (surface, hub, param, message) in [
            (
                Surface::Chat,
                "messages[1].content[0].type",
                "messages[1].content[0].type",
                "`messages[1].content[0].type`",
            ),
            (Surface::Responses, "messages[1].content[0].type", "input", "A part of `input`"),
            (Surface::Messages, "messages[1].content[0].type", "messages", "A part of `messages`"),
            (Surface::Completions, "messages[0].role", "prompt", "A part of `prompt`"),
            (Surface::Responses, "response_format", "text.format", "`text.format`"),
            (Surface::Messages, "stop", "stop_sequences", "`stop_sequences`"),
            (Surface::Messages, "tools", "tools", "`tools`"),
        ] {
            let got = named_for(surface, refusal(hub.to_owned(), what));
            assert_eq!(got.param.as_deref(), Some(param), "{surface} {hub}");
            assert_eq!(got.message, format!("{message} {what}."));
        }
    }
}
