//! Members and other facts of a request that hosts differ in, as a set of bits: whether a body may
//! pass to a host is one AND.

/// A set of facts. Each is true of the request; none says more than that it is there, `null` or
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes(u64);

/// Top-level members, in alphabetical order. Their place is their bit.
const MEMBERS: [&str; 39] = [
    "audio",
    "cache_control",
    "frequency_penalty",
    "function_call",
    "functions",
    "include_reasoning",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "min_p",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

impl Notes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// True of every request.
    pub const ANY: Self = Self(1 << 63);
    /// A top-level member that neither this list nor the gateway knows.
    pub const UNKNOWN: Self = Self(1 << 62);
    /// A message has the role `developer`.
    pub const DEVELOPER: Self = Self(1 << 61);
    /// A message has a `name`.
    pub const NAME: Self = Self(1 << 60);
    /// A `cache_control` inside a message or tool.
    pub const MARK: Self = Self(1 << 59);
    /// A message hands reasoning back.
    pub const REPLAY: Self = Self(1 << 58);
    /// The last message is the model's, to be gone on with.
    pub const PREFILL: Self = Self(1 << 57);
    /// A message has an image.
    pub const IMAGE: Self = Self(1 << 56);
    /// A message has sound.
    pub const SOUND: Self = Self(1 << 55);
    /// A message has a moving picture.
    pub const FILM: Self = Self(1 << 54);
    /// A message has a document.
    pub const FILE: Self = Self(1 << 53);

    /// The top-level members of these names.
    pub(crate) const fn members(names: &[&str]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < names.len() {
            bits |= Self::member(names[i].as_bytes()).0;
            i += 1;
        }
        Self(bits)
    }

    /// The top-level member of this name; [`Notes::UNKNOWN`] if the list does not have it.
    pub(crate) const fn member(name: &[u8]) -> Self {
        let mut i = 0;
        while i < MEMBERS.len() {
            if same(MEMBERS[i].as_bytes(), name) {
                return Self(1 << i);
            }
            i += 1;
        }
        Self::UNKNOWN
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set, or none.
    #[must_use]
    pub const fn when(self, holds: bool) -> Self {
        if holds { self } else { Self::NONE }
    }

    /// Whether the sets have something in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds to the set.
    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Slices cannot be compared in a constant yet.
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::scan::scan;

    #[test]
    fn every_member_has_a_bit_of_its_own() {
        let mut all = Notes::UNKNOWN;
        for name in MEMBERS {
            let bit = Notes::member(name.as_bytes());
            assert!(!all.meets(bit), "{name}");
            all.add(bit);
        }
        for fact in [
            Notes::ANY,
            Notes::DEVELOPER,
            Notes::NAME,
            Notes::MARK,
            Notes::REPLAY,
            Notes::PREFILL,
            Notes::IMAGE,
            Notes::SOUND,
            Notes::FILM,
            Notes::FILE,
        ] {
            assert!(!all.meets(fact), "{fact:?}");
            all.add(fact);
        }
    }

    #[test]
    fn a_scan_notes_what_a_body_has() {
        let member = |name: &str| Notes::member(name.as_bytes());
        let plain = r#""model":"m","messages":[{"role":"user","content":"hi"}]"#;
        let (_, user) = plain.split_at(12);
        let said =
            |message: &str| format!("\"model\":\"m\",{},{message}]", &user[..user.len() - 1]);
        for (body, want) in [
            (plain.to_owned(), Notes::NONE),
            (format!("{plain},\"n\":1,\"stream\":false"), Notes::NONE),
            (format!("{plain},\"n\":2"), member("n")),
            (format!("{plain},\"stream\":true"), member("stream")),
            (format!("{plain},\"max_tokens\":5"), member("max_tokens")),
            (format!("{plain},\"s\\u0065ed\":5"), member("seed")),
            (format!("{plain},\"whatever\":5"), Notes::UNKNOWN),
            (format!("{plain},\"user\":\"u\",\"top_k\":1"), member("user").and(member("top_k"))),
            (
                format!("{plain},\"tools\":[{{\"cache_control\":{{}}}}]"),
                member("tools").and(Notes::MARK),
            ),
            (said(r#"{"role":"developer","content":""}"#), Notes::DEVELOPER),
            (said(r#"{"role":"assistant","content":""}"#), Notes::PREFILL),
            (said(r#"{"content":"","name":"n","role":"user"}"#), Notes::NAME),
            (
                said(
                    r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":""}"#,
                ),
                Notes::NONE,
            ),
            (
                said(
                    r#"{"role":"assistant","reasoning_content":"r"},{"role":"user","content":[{"type":"text","text":"t","cache_control":{"type":"ephemeral"}}]}"#,
                ),
                Notes::REPLAY.and(Notes::MARK),
            ),
            (
                said(
                    r#"{"role":"user","content":[{"image_url":{"url":"u"}},{"file":{"file_id":"f"}}]}"#,
                ),
                Notes::IMAGE.and(Notes::FILE),
            ),
            (
                said(r#"{"role":"user","content":[{"input_audio":{}},{"video_url":{"url":"u"}}]}"#),
                Notes::SOUND.and(Notes::FILM),
            ),
        ] {
            let head = scan(format!("{{{body}}}").as_bytes()).expect(&body);
            assert_eq!(head.notes, want.and(Notes::ANY), "{body}");
        }
    }
}
