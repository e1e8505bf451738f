//! Pictures and files that a request only points to: who fetches them?

use super::Dialect;
use super::ir::{FileSource, Message, Part, PartBody, Request};

impl Dialect {
    /// Whether providers of this dialect fetch what this part points to themselves. (What they
    /// can't take at all, they refuse when the request is written.)
    fn fetches(self, part: &PartBody, url: &str) -> bool {
        match self {
            Self::OpenAi
            | Self::Responses
            | Self::Anthropic
            | Self::Cohere
            | Self::Mistral
            | Self::Vertex
            | Self::Completions => true,
            Self::Azure => !matches!(part, PartBody::File { .. }),
            Self::VertexAnthropic | Self::Bedrock | Self::Ollama => false,
            // The Gemini API takes films of YouTube's by their address, and its own uploads.
            Self::Gemini => {
                let own = ["https://www.youtube.com/", "https://youtu.be/", UPLOADS];
                own.iter().any(|start| url.starts_with(start))
            }
        }
    }
}

/// Where files lie that were uploaded to the Gemini API (Google's reference, 2026-11).
const UPLOADS: &str = "https://generativelanguage.googleapis.com/";

fn url_of(part: &PartBody) -> Option<&str> {
    let url = match part {
        PartBody::Image { url, .. } | PartBody::Video(url) => url,
        PartBody::File { source: FileSource::Url(url), .. } => url,
        PartBody::Text(_) | PartBody::Refusal(_) | PartBody::Audio { .. } => return None,
        PartBody::File { source: FileSource::Id(_), .. } => return None,
    };
    let remote =
        |scheme: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    (remote("https://") || remote("http://")).then_some(url)
}

fn parts(message: &mut Message) -> &mut Vec<Part> {
    match message {
        Message::System { parts, .. }
        | Message::User { parts, .. }
        | Message::Tool { parts, .. } => parts,
        Message::Assistant(turn) => &mut turn.parts,
    }
}

impl Request {
    /// The URLs that must be fetched before the request can be written in this dialect, each once.
    pub fn to_fetch(&self, dialect: Dialect) -> Vec<String> {
        let mut urls = Vec::new();
        for message in &self.messages {
            let parts = match message {
                Message::System { parts, .. }
                | Message::User { parts, .. }
                | Message::Tool { parts, .. } => parts,
                Message::Assistant(turn) => &turn.parts,
            };
            for part in parts {
                if let Some(url) = url_of(&part.body)
                    && !dialect.fetches(&part.body, url)
                    && !urls.iter().any(|known| known == url)
                {
                    urls.push(url.to_owned());
                }
            }
        }
        urls
    }

    /// Puts what was fetched, `data:` URLs in the same order, in the place of what was pointed to.
    pub fn put_fetched(&mut self, urls: &[String], fetched: &[String]) {
        for part in self.messages.iter_mut().flat_map(parts) {
            let at = url_of(&part.body).and_then(|url| urls.iter().position(|known| known == url));
            let Some(data) = at.and_then(|at| fetched.get(at)) else { continue };
            match &mut part.body {
                PartBody::Image { url, .. }
                | PartBody::Video(url)
                | PartBody::File { source: FileSource::Url(url), .. } => url.clone_from(data),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Surface;

    const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"https://a/1.png"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},
        {"type":"image_url","image_url":{"url":"https://a/1.png"}},
        {"type":"video_url","video_url":{"url":"https://youtu.be/x"}},
        {"type":"file","file":{"filename":"f","file_data":"HTTPS://a/2.pdf"}}]}]}"#;

    #[test]
    fn what_a_provider_cannot_fetch_is_fetched_once() {
        let mut request = Surface::Chat.read_request(BODY.as_bytes()).expect("a request");
        assert!(request.to_fetch(Dialect::Anthropic).is_empty());
        assert_eq!(request.to_fetch(Dialect::Azure), ["HTTPS://a/2.pdf"]);
        let urls = request.to_fetch(Dialect::Gemini);
        assert_eq!(urls, ["https://a/1.png", "HTTPS://a/2.pdf"]);
        let data = ["data:image/png;base64,Qg==".to_owned(), "data:application/pdf;base64,".into()];
        request.put_fetched(&urls, &data);
        assert!(request.to_fetch(Dialect::Gemini).is_empty(), "all is here");
        assert_eq!(request.to_fetch(Dialect::Bedrock), ["https://youtu.be/x"]);
    }
}
