//! How likely each token of an answer was.
//!
//! OpenAI's chat form is the hub's; Responses and Ollama (0.12.11, 2025-11) have nearly the same.
//! Hosts that kept the form of text completions (Together and Fireworks, read 2026-11) and Gemini
//! (SDK `google-genai` 3.6.1) are read into it. Cohere tells several tokens' probabilities of one
//! text, which cannot be told apart again, so they are not asked for.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ir::{TokenLogprob, TopLogprob};
use super::json;

/// The most tokens in one list.
const TOKENS_MAX: usize = 1 << 17;

/// The tokens of a choice's text, and those of its refusal.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct OfChoice {
    pub(crate) content: Vec<TokenLogprob>,
    pub(crate) refusal: Vec<TokenLogprob>,
}

/// Reads `logprobs` of a choice. What cannot be read is nothing: an answer is worth more than this.
pub(crate) fn of_choice(raw: &RawValue) -> OfChoice {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        content: Option<&'a RawValue>,
        #[serde(borrow, default)]
        refusal: Option<&'a RawValue>,
        #[serde(default)]
        tokens: Option<Vec<String>>,
        #[serde(default)]
        token_logprobs: Option<Vec<Option<Digits>>>,
        #[serde(default)]
        top_logprobs: Option<Vec<Option<BTreeMap<String, Digits>>>>,
    }
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(raw.get()) else { return OfChoice::default() };
    let list = |raw: Option<&RawValue>| raw.map(of_list).unwrap_or_default();
    let (mut content, refusal) = (list(wire.content), list(wire.refusal));
    if content.is_empty() {
        let (tokens, logprobs) = (wire.tokens.into_iter().flatten(), wire.token_logprobs);
        let mut top = wire.top_logprobs.into_iter().flatten();
        content = tokens
            .zip(logprobs.into_iter().flatten())
            .take(TOKENS_MAX)
            .map(|(token, logprob)| {
                let top = top.next().flatten().into_iter().flatten();
                let top = top.map(|(token, logprob)| likely(token, logprob)).collect();
                // The first token of an echoed prompt has none.
                whole(likely(token, logprob.unwrap_or_default()), top)
            })
            .collect();
    }
    OfChoice { content, refusal }
}

/// A number as it is written: what is read into a float and written again may differ.
struct Digits(String);

impl Default for Digits {
    fn default() -> Self {
        Self("0".to_owned())
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?.get();
        if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(D::Error::custom("expected a number"))
        }
    }
}

/// Reads a list of tokens in OpenAI's form.
pub(crate) fn of_list(raw: &RawValue) -> Vec<TokenLogprob> {
    #[derive(Deserialize)]
    struct Wire {
        token: String,
        logprob: Digits,
        #[serde(default)]
        bytes: Option<Vec<u8>>,
        #[serde(default)]
        top_logprobs: Option<Vec<Self>>,
    }
    impl Wire {
        fn likely(self) -> TopLogprob {
            TopLogprob { token: self.token, logprob: self.logprob.0, bytes: self.bytes }
        }
    }
    let mut wire: Vec<Wire> = serde_json::from_str(raw.get()).unwrap_or_default();
    wire.truncate(TOKENS_MAX);
    wire.into_iter()
        .map(|mut token| {
            let top = token.top_logprobs.take().unwrap_or_default();
            whole(token.likely(), top.into_iter().map(Wire::likely).collect())
        })
        .collect()
}

/// Reads `logprobsResult` of Gemini's.
pub(crate) fn of_gemini(raw: &RawValue) -> Vec<TokenLogprob> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        #[serde(default)]
        chosen_candidates: Option<Vec<Token>>,
        #[serde(default)]
        top_candidates: Option<Vec<Top>>,
    }
    #[derive(Deserialize)]
    struct Top {
        #[serde(default)]
        candidates: Vec<Token>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Token {
        #[serde(default)]
        token: String,
        #[serde(default)]
        log_probability: Digits,
    }
    impl Token {
        fn likely(self) -> TopLogprob {
            likely(self.token, self.log_probability)
        }
    }
    let Ok(wire) = serde_json::from_str::<Wire>(raw.get()) else { return Vec::new() };
    let mut top = wire.top_candidates.into_iter().flatten();
    let chosen = wire.chosen_candidates.into_iter().flatten().take(TOKENS_MAX);
    chosen
        .map(|token| {
            let top = top.next().map(|top| top.candidates).unwrap_or_default();
            whole(token.likely(), top.into_iter().map(Token::likely).collect())
        })
        .collect()
}

/// A token whose bytes are those of its text.
fn likely(token: String, logprob: Digits) -> TopLogprob {
    let bytes = Some(token.as_bytes().to_vec());
    TopLogprob { token, logprob: logprob.0, bytes }
}

fn whole(chosen: TopLogprob, top: Vec<TopLogprob>) -> TokenLogprob {
    TokenLogprob { chosen, top }
}

/// Appends the tokens as OpenAI's chat has them: objects, separated by commas.
pub(crate) fn write(out: &mut Vec<u8>, tokens: &[TokenLogprob]) {
    for token in tokens {
        json::comma(out);
        out.push(b'{');
        members(out, &token.chosen);
        json::key(out, "top_logprobs");
        out.push(b'[');
        for other in &token.top {
            json::comma(out);
            out.push(b'{');
            members(out, other);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
}

fn members(out: &mut Vec<u8>, token: &TopLogprob) {
    json::text_member(out, "token", &token.token);
    json::key(out, "logprob");
    out.extend_from_slice(token.logprob.as_bytes());
    json::key(out, "bytes");
    match &token.bytes {
        None => out.extend_from_slice(b"null"),
        Some(bytes) => {
            out.push(b'[');
            for byte in bytes {
                json::comma(out);
                json::number(out, u64::from(*byte));
            }
            out.push(b']');
        }
    }
}

/// Appends `logprobs` of a choice in the form of text completions, after `chars` characters of it.
pub(crate) fn write_flat(out: &mut Vec<u8>, tokens: &[TokenLogprob], mut chars: u64) {
    let list = |out: &mut Vec<u8>, name, write: &mut dyn FnMut(&mut Vec<u8>, &TokenLogprob)| {
        json::key(out, name);
        out.push(b'[');
        for token in tokens {
            json::comma(out);
            write(out, token);
        }
        out.push(b']');
    };
    out.push(b'{');
    list(out, "tokens", &mut |out, token| json::string(out, &token.chosen.token));
    list(out, "token_logprobs", &mut |out, token| {
        out.extend_from_slice(token.chosen.logprob.as_bytes())
    });
    list(out, "top_logprobs", &mut |out, token| {
        out.push(b'{');
        for other in &token.top {
            json::comma(out);
            json::string(out, &other.token);
            out.push(b':');
            out.extend_from_slice(other.logprob.as_bytes());
        }
        out.push(b'}');
    });
    list(out, "text_offset", &mut |out, token| {
        json::number(out, chars);
        chars = chars.saturating_add(token.chosen.token.chars().count() as u64);
    });
    out.push(b'}');
}

/// About how many bytes a list takes.
pub(crate) fn size(tokens: &[TokenLogprob]) -> usize {
    let of = |token: &TopLogprob| 80 + token.token.len() + token.bytes.as_ref().map_or(0, Vec::len);
    tokens.iter().map(|token| of(&token.chosen) + token.top.iter().map(of).sum::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    fn written(tokens: &[TokenLogprob]) -> String {
        let mut out = Vec::new();
        write(&mut out, tokens);
        String::from_utf8(out).expect("UTF-8")
    }

    const HI: &str = r#"{"token":"Hé\"","logprob":-0.00031,"bytes":[72,195,169,34],"top_logprobs":[{"token":"Hé\"","logprob":-0.00031,"bytes":[72,195,169,34]},{"token":"�","logprob":-9999,"bytes":null}]}"#;

    #[test]
    fn what_openai_says_is_said_again() {
        let got = of_choice(&raw(&format!(r#"{{"content":[{HI},{HI}],"refusal":null}}"#)));
        assert_eq!(written(&got.content), format!("{HI},{HI}"));
        assert!(got.refusal.is_empty());
        let got = of_choice(&raw(&format!(r#"{{"content":null,"refusal":[{HI}]}}"#)));
        assert_eq!((got.content.len(), written(&got.refusal)), (0, HI.to_owned()));
    }

    #[test]
    fn other_forms_are_read_into_it() {
        let flat = of_choice(&raw(
            r#"{"tokens":["A","b"],"token_logprobs":[null,-2.5],"top_logprobs":[null,{"c":-1}],"token_ids":[1,2]}"#,
        ));
        let wanted = r#"{"token":"A","logprob":0,"bytes":[65],"top_logprobs":[]},{"token":"b","logprob":-2.5,"bytes":[98],"top_logprobs":[{"token":"c","logprob":-1,"bytes":[99]}]}"#;
        assert_eq!(written(&flat.content), wanted);
        let gemini = of_gemini(&raw(
            r#"{"topCandidates":[{},{"candidates":[{"token":"c","tokenId":7,"logProbability":-1}]}],
                "chosenCandidates":[{"token":"A","tokenId":1},{"token":"b","logProbability":-2.5}]}"#,
        ));
        assert_eq!(gemini, flat.content);
        let mut out = Vec::new();
        write_flat(&mut out, &flat.content, 3);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"tokens":["A","b"],"token_logprobs":[0,-2.5],"top_logprobs":[{},{"c":-1}],"text_offset":[3,4]}"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for odd in ["null", "1", "{}", "[]", r#"{"content":[{"token":"a"}]}"#, r#"{"content":{}}"#]
        {
            assert_eq!(of_choice(&raw(odd)), OfChoice::default(), "{odd}");
        }
        assert!(of_gemini(&raw("[1]")).is_empty() && of_list(&raw("{}")).is_empty());
    }
}
