//! What clients ask for.

use std::sync::Arc;

use super::{Endpoint, Modalities, Params};
use crate::dialect::ir::Effort;
use crate::vocab::ModelId;

/// A model and who hosts it.
#[derive(Debug)]
pub struct Model {
    /// `author/slug`, and `:variant` if it is one that has endpoints of its own, as
    /// `author/slug:free`.
    pub id: ModelId,
    /// Its dated name, which never means another model; may be the id.
    pub canonical_slug: String,
    /// Other names by which it is found.
    pub aliases: Vec<String>,
    /// Its series: `~author/family-latest` is the newest of it.
    pub family: Option<String>,
    /// Display name.
    pub name: String,
    /// When it was published, in seconds since 1970.
    pub created: u64,
    /// Free text.
    pub description: String,
    /// The largest of its endpoints' contexts, in tokens.
    pub context_length: u32,
    /// What a prompt may hold.
    pub input_modalities: Modalities,
    /// What an answer may hold.
    pub output_modalities: Modalities,
    /// The family of its tokenizer, in OpenRouter's words, for instance `Llama3`.
    pub tokenizer: Option<String>,
    /// The form of its prompts, for instance `chatml`.
    pub instruct_type: Option<String>,
    /// Its name on Hugging Face.
    pub hugging_face_id: Option<String>,
    /// Its weights are public.
    pub open_weights: bool,
    /// Its author allows to train other models on its answers.
    pub distillable: bool,
    /// How it reasons, if it does.
    pub reasoning: Option<Reasoning>,
    /// The day up to which it knows the world, as `YYYY-MM-DD` or a part of it.
    pub knowledge_cutoff: Option<String>,
    /// When it is switched off everywhere, in seconds since 1970, if that is known.
    pub expires: Option<u64>,
    /// What its author recommends.
    pub default_parameters: DefaultParameters,
    /// Request parameters that at least one endpoint takes.
    pub supported_parameters: Params,
    /// Who hosts it and can be asked.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Who hosts it and cannot be asked, for want of a credential: listed, never routed to.
    pub dormant: Vec<Arc<Endpoint>>,
}

impl Model {
    /// A model of which no more is known: words in, words out, no endpoint.
    pub fn new(id: ModelId) -> Self {
        Self {
            canonical_slug: id.to_string(),
            name: id.to_string(),
            id,
            aliases: Vec::new(),
            family: None,
            created: 0,
            description: String::new(),
            context_length: 0,
            input_modalities: Modalities::TEXT,
            output_modalities: Modalities::TEXT,
            tokenizer: None,
            instruct_type: None,
            hugging_face_id: None,
            open_weights: false,
            distillable: false,
            reasoning: None,
            knowledge_cutoff: None,
            expires: None,
            default_parameters: DefaultParameters::default(),
            supported_parameters: Params::NONE,
            endpoints: Vec::new(),
            dormant: Vec::new(),
        }
    }

    /// Its endpoints, those that can be asked first.
    pub fn all_endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().chain(&self.dormant)
    }

    /// The author, if the id has one.
    pub fn author(&self) -> Option<&str> {
        self.id.as_str().split_once('/').map(|(author, _)| author)
    }

    /// The variant that is part of its id, for instance `free`.
    pub fn variant(&self) -> Option<&str> {
        self.id.as_str().split_once(':').map(|(_, variant)| variant)
    }

    /// Whether it has been switched off at this time, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The environment variables that would bring an endpoint to life, one set for each provider
    /// that hosts it, without repetition.
    pub fn missing(&self) -> Vec<&[String]> {
        let mut sets: Vec<&[String]> = Vec::new();
        for endpoint in &self.dormant {
            let set = endpoint.provider.missing.as_slice();
            if !set.is_empty() && !sets.contains(&set) {
                sets.push(set);
            }
        }
        sets
    }
}

/// How a model reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// It cannot be switched off.
    pub mandatory: bool,
    /// It is on where a request says nothing.
    pub default_enabled: bool,
    /// The levels that it knows; empty: nobody says.
    pub efforts: Vec<Effort>,
    /// The level where a request says nothing.
    pub default_effort: Option<Effort>,
    /// A limit in tokens can be set.
    pub supports_max_tokens: bool,
}

/// Sampling parameters that a model's author recommends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DefaultParameters {
    /// How freely tokens are drawn.
    pub temperature: Option<f64>,
    /// Draw from the most likely tokens of this total probability.
    pub top_p: Option<f64>,
    /// Draw from this many most likely tokens.
    pub top_k: Option<f64>,
    /// Against tokens, by how often they came.
    pub frequency_penalty: Option<f64>,
    /// Against tokens that came at all.
    pub presence_penalty: Option<f64>,
    /// Against tokens of prompt and answer.
    pub repetition_penalty: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_author_and_variant() {
        let model = |id: &str| Model::new(ModelId::parse(id).unwrap());
        let free = model("meta/llama-3.3:free");
        assert_eq!((free.author(), free.variant()), (Some("meta"), Some("free")));
        let bare = model("llama");
        assert_eq!((bare.author(), bare.variant()), (None, None));
    }
}
