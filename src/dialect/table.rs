//! The two lists: what clients speak and what providers speak, and who does what for each.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::frames::Framing;
use super::ir::{self, Event};
use super::openai::Host;
use super::sink::{AnswerShape, StreamSink, WholeSink};
use super::{
    AnswerFault, ProviderFault, Reader, Target, anthropic, bedrock, chat, cohere, completions,
    gemini, messages, mistral, ollama, openai, responses,
};
use crate::error::GatewayError;

/// A client's wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surface {
    /// OpenAI Chat Completions in OpenRouter's superset: `POST /v1/chat/completions`.
    #[default]
    Chat,
    /// Legacy text completions: `POST /v1/completions`.
    Completions,
    /// OpenAI Responses, without state: `POST /v1/responses`.
    Responses,
    /// Anthropic Messages: `POST /v1/messages`.
    Messages,
}

impl Surface {
    /// Every surface.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Completions, Self::Responses, Self::Messages];

    /// The name in metrics, vectors and the README.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }

    /// The surface of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Reads and checks a body.
    ///
    /// # Errors
    /// The body is no JSON object, or a member has a wrong type or value; `param` names the place.
    pub fn read_request(self, body: &[u8]) -> Result<ir::Request, GatewayError> {
        match self {
            Self::Chat => chat::read_request(body),
            Self::Completions => completions::read_request(body),
            Self::Responses => responses::read_request(body),
            Self::Messages => messages::read_request(body),
        }
    }

    /// Members of the request that the answer repeats, for [`AnswerShape::echo`].
    pub fn echo(self, request: &ir::Request) -> Option<Arc<str>> {
        match self {
            Self::Responses => Some(responses::echo(request).into()),
            Self::Chat | Self::Completions | Self::Messages => None,
        }
    }

    /// What writes a streamed answer.
    pub fn stream_sink(self, shape: &AnswerShape) -> Box<dyn StreamSink> {
        match self {
            Self::Chat => Box::new(chat::StreamWriter::new(shape)),
            Self::Completions => Box::new(completions::StreamWriter::new(shape)),
            Self::Responses => Box::new(responses::StreamWriter::new(shape)),
            Self::Messages => Box::new(messages::StreamWriter::new(shape)),
        }
    }

    /// What writes a whole answer.
    pub fn whole_sink(self, shape: &AnswerShape) -> Box<dyn WholeSink> {
        match self {
            Self::Chat => Box::new(chat::WholeWriter::new(shape)),
            Self::Completions => Box::new(completions::WholeWriter::new(shape)),
            Self::Responses => Box::new(responses::WholeWriter::new(shape)),
            Self::Messages => Box::new(messages::WholeWriter::new(shape)),
        }
    }

    /// The body of an error answer.
    pub fn error_body(self, error: &GatewayError) -> Vec<u8> {
        match self {
            Self::Chat | Self::Completions | Self::Responses => chat::error_body(error),
            Self::Messages => messages::error_body(error),
        }
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A provider's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, which most hosts speak with deviations ([`Host`]).
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Azure OpenAI: Chat Completions with the deployment in the path.
    Azure,
    /// Anthropic Messages.
    Anthropic,
    /// Google's Gemini API: `generateContent`.
    Gemini,
    /// Gemini on Vertex AI.
    Vertex,
    /// Anthropic Messages on Vertex AI.
    VertexAnthropic,
    /// AWS Bedrock Converse.
    Bedrock,
    /// Cohere v2.
    Cohere,
    /// Mistral.
    Mistral,
    /// Ollama's own API.
    Ollama,
    /// Text completions of a raw model: the gateway renders the chat template.
    Completions,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 12] = [
        Self::OpenAi,
        Self::Responses,
        Self::Azure,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::VertexAnthropic,
        Self::Bedrock,
        Self::Cohere,
        Self::Mistral,
        Self::Ollama,
        Self::Completions,
    ];

    /// The name as written in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Vertex => "vertex",
            Self::VertexAnthropic => "vertex-anthropic",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
            Self::Ollama => "ollama",
            Self::Completions => "completions",
        }
    }

    /// The dialect of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// What follows the provider's base URL, for this model and kind of answer.
    pub fn path(self, upstream_model: &str, stream: bool) -> Cow<'static, str> {
        match self {
            Self::OpenAi | Self::Mistral => Cow::Borrowed("/chat/completions"),
            Self::Responses => Cow::Borrowed("/responses"),
            Self::Azure => Cow::Owned(openai::azure_path(upstream_model)),
            Self::Anthropic => Cow::Borrowed("/messages"),
            Self::Gemini => Cow::Owned(gemini::path(upstream_model, stream)),
            Self::Vertex => Cow::Owned(gemini::vertex_path(upstream_model, stream)),
            Self::VertexAnthropic => Cow::Owned(anthropic::vertex_path(upstream_model, stream)),
            Self::Bedrock => Cow::Owned(bedrock::path(upstream_model, stream)),
            Self::Cohere => Cow::Borrowed("/chat"),
            Self::Ollama => Cow::Borrowed("/api/chat"),
            Self::Completions => Cow::Borrowed("/completions"),
        }
    }

    /// Whether [`Dialect::path`] depends on the model or the kind of answer.
    pub const fn path_varies(self) -> bool {
        matches!(
            self,
            Self::Azure | Self::Gemini | Self::Vertex | Self::VertexAnthropic | Self::Bedrock
        )
    }

    /// How the answer's bytes are cut into frames.
    pub fn framing(self, content_type: &[u8]) -> Framing {
        Framing::of(content_type)
    }

    /// Writes the hub's request as this dialect takes it.
    ///
    /// # Errors
    /// The request asks for what the dialect cannot express.
    pub fn write_request(
        self,
        request: &ir::Request,
        target: &Target<'_>,
    ) -> Result<Bytes, GatewayError> {
        match self {
            Self::OpenAi | Self::Azure => openai::write(request, target),
            Self::Responses => responses::write(request, target),
            Self::Anthropic => anthropic::request(request, target),
            Self::VertexAnthropic => anthropic::vertex_request(request, target),
            Self::Gemini | Self::Vertex => gemini::request(request, target),
            Self::Bedrock => bedrock::request(request, target),
            Self::Cohere => cohere::request(request, target),
            Self::Mistral => mistral::request(request, target),
            Self::Ollama => ollama::request(request, target),
            Self::Completions => completions::request(request, target),
        }
    }

    /// What reads a streamed answer of this host. `template` is the one that the prompt was
    /// rendered with, where it was.
    pub fn reader(
        self,
        host: &'static Host,
        template: Option<&completions::Template>,
    ) -> Box<dyn Reader> {
        match self {
            Self::OpenAi | Self::Azure | Self::Mistral => Box::new(openai::Reader::at(host)),
            Self::Responses => Box::new(responses::Reader::new()),
            Self::Anthropic | Self::VertexAnthropic => Box::new(anthropic::Reader::new()),
            Self::Gemini | Self::Vertex => Box::new(gemini::Reader::new()),
            Self::Bedrock => Box::new(bedrock::Reader::new()),
            Self::Cohere => Box::new(cohere::Reader::new()),
            Self::Ollama => Box::new(ollama::Reader::new()),
            Self::Completions => Box::new(completions::Reader::new(template)),
        }
    }

    /// Reads a whole answer and appends its events, of which the last is [`Event::End`].
    ///
    /// # Errors
    /// The body is an error, cut short, empty, or not of this dialect.
    pub fn read_whole(
        self,
        host: &'static Host,
        template: Option<&completions::Template>,
        body: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        match self {
            Self::OpenAi | Self::Azure | Self::Mistral => openai::read_whole_at(host, body, out),
            Self::Responses => responses::read_whole(body, out),
            Self::Anthropic | Self::VertexAnthropic => anthropic::read_whole(body, out),
            Self::Gemini | Self::Vertex => gemini::read_whole(body, out),
            Self::Bedrock => bedrock::read_whole(body, out),
            Self::Cohere => cohere::read_whole(body, out),
            Self::Ollama => ollama::read_whole(body, out),
            Self::Completions => completions::read_whole(template, body, out),
        }
    }

    /// What an error answer means.
    pub fn provider_fault(self, status: u16, body: &[u8]) -> ProviderFault {
        match self {
            Self::OpenAi | Self::Azure | Self::Completions | Self::Responses => {
                openai::provider_fault(status, body)
            }
            Self::Anthropic => anthropic::provider_fault(status, body),
            Self::VertexAnthropic => anthropic::vertex_fault(status, body),
            Self::Gemini | Self::Vertex => gemini::provider_fault(status, body),
            Self::Bedrock => bedrock::provider_fault(status, body),
            Self::Cohere => cohere::provider_fault(status, body),
            Self::Mistral => mistral::provider_fault(status, body),
            Self::Ollama => ollama::provider_fault(status, body),
        }
    }

    /// Whether a stream may end without a terminal event once every choice has its finish reason.
    pub const fn ends_softly(self) -> bool {
        match self {
            Self::OpenAi
            | Self::Azure
            | Self::Mistral
            | Self::Gemini
            | Self::Vertex
            | Self::Bedrock
            | Self::Completions => true,
            Self::Responses
            | Self::Anthropic
            | Self::VertexAnthropic
            | Self::Cohere
            | Self::Ollama => false,
        }
    }

    /// What OpenRouter calls the form of this dialect's blocks of reasoning, in
    /// `reasoning_details[].format` (2026-11).
    pub const fn reasoning_format(self) -> &'static str {
        match self {
            Self::Anthropic | Self::VertexAnthropic | Self::Bedrock => "anthropic-claude-v1",
            Self::Gemini | Self::Vertex => "google-gemini-v1",
            Self::Responses => "openai-responses-v1",
            Self::OpenAi
            | Self::Azure
            | Self::Cohere
            | Self::Mistral
            | Self::Ollama
            | Self::Completions => "unknown",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
