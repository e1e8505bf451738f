//! What others publish about models and prices → rows of a catalog.
//!
//! Pure readers of three forms: OpenRouter's models API, models.dev's `api.json`, and LiteLLM's
//! price file. What a row cannot say is told in [`Import::notes`], never dropped silently.

mod decimal;
mod litellm;
mod modelsdev;
mod openrouter;

#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

use super::file;
use super::sheet::{Row, Sheet};
use crate::vocab::{EndpointId, ModelId};

/// Whose form a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `GET /api/v1/models` of OpenRouter, or of this gateway.
    OpenRouter,
    /// `api.json` of models.dev.
    ModelsDev,
    /// `model_prices_and_context_window.json` of LiteLLM.
    LiteLlm,
}

impl Source {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("openrouter", Self::OpenRouter),
        ("models.dev", Self::ModelsDev),
        ("litellm", Self::LiteLlm),
    ];

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
    }
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The rows.
    pub sheet: Sheet,
    /// What could not be taken over, a line each.
    pub notes: Vec<String>,
}

/// Reads a file. `endpoints` are answers of OpenRouter's `/models/{author}/{slug}/endpoints`.
///
/// # Errors
/// The text is not JSON of this form.
pub fn import(source: Source, text: &str, endpoints: &[String]) -> Result<Import, String> {
    let mut import = Import::default();
    match source {
        Source::OpenRouter => openrouter::read(text, endpoints, &mut import),
        Source::ModelsDev => modelsdev::read(text, &mut import),
        Source::LiteLlm => litellm::read(text, &mut import),
    }
    .map_err(|error| format!("is not of this form: {error}"))?;
    Ok(import)
}

impl Import {
    fn note(&mut self, about: &str, what: impl std::fmt::Display) {
        self.notes.push(format!("{about}: {what}"));
    }

    fn provider(&mut self, entry: file::Provider) {
        let place = format!("provider {}", entry.id);
        self.sheet.providers.push(Row { place, entry });
    }

    /// Adds a model unless its id is none, or is there already.
    fn model(&mut self, entry: file::Model) -> bool {
        if let Err(error) = ModelId::parse(&entry.id) {
            self.note(&entry.id, format_args!("left out: its id {error}"));
            return false;
        }
        if self.sheet.models.iter().any(|row| row.entry.id == entry.id) {
            return true;
        }
        let place = format!("model {}", entry.id);
        self.sheet.models.push(Row { place, entry });
        true
    }

    fn endpoint(&mut self, of: &str, entry: file::Endpoint) {
        let about = format!("{of} at {}", entry.provider);
        if let Err(error) = EndpointId::parse(&entry.upstream_model) {
            self.note(&about, format_args!("left out: the provider's name {error}"));
            return;
        }
        if entry.prices.prompt.is_none() || entry.prices.completion.is_none() {
            self.note(&about, "left out: it has no price for prompt or completion");
            return;
        }
        if entry.context_length.is_none() {
            self.note(&about, "left out: nobody says how long its context is");
            return;
        }
        self.sheet.endpoints.push(Row { place: about, entry: (of.to_owned(), entry) });
    }

    /// A price in dollars per million, from a number times ten to the power of `shift`.
    fn price(
        &mut self,
        about: &str,
        key: &str,
        raw: Option<&RawValue>,
        shift: i32,
    ) -> Option<String> {
        let raw = raw?.get().trim_matches('"');
        if raw == "null" {
            return None;
        }
        let told = decimal::shifted(raw, shift).filter(|price| decimal::places(price) <= 6);
        if told.is_none() {
            self.note(about, format_args!("{key} is {raw}, which is no price that can be held"));
        }
        told
    }
}

/// A text for which a number would be wrong.
fn is_zero(price: &str) -> bool {
    price.bytes().all(|b| b == b'0' || b == b'.')
}
