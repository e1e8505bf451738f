//! Exports as the providers' APIs give them: pages of buckets of time with results.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadExport, Day, Measure, Theirs};
use super::{cents, dollars, is_usd, of_line_item};

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<Bucket<'a>>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Bucket<'a> {
    /// OpenAI's, in seconds since 1970.
    start_time: Option<u64>,
    /// Anthropic's.
    starting_at: Option<String>,
    #[serde(borrow)]
    results: Vec<Fields<'a>>,
}

/// A result of any of the reports. Numbers of money are kept as they are written.
#[derive(Deserialize)]
struct Fields<'a> {
    model: Option<String>,
    output_tokens: Option<u64>,
    // OpenAI's usage.
    num_model_requests: Option<u64>,
    input_tokens: Option<u64>,
    input_cached_tokens: Option<u64>,
    // Anthropic's usage.
    uncached_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<Created>,
    // Costs: OpenAI's are an object, Anthropic's a text.
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    currency: Option<String>,
    line_item: Option<String>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    ephemeral_5m_input_tokens: u64,
    #[serde(default)]
    ephemeral_1h_input_tokens: u64,
}

#[derive(Deserialize)]
struct Amount<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    currency: String,
}

/// One page, or a list of them.
pub(super) fn read(text: &str) -> Result<Theirs, BadExport> {
    let bad = |error: serde_json::Error| {
        BadExport(format!("this is no page of a usage or cost report: {error}"))
    };
    let pages: Vec<Page<'_>> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(bad)?
    } else {
        vec![serde_json::from_str(text).map_err(bad)?]
    };
    let more_pages = pages.last().is_some_and(|page| page.has_more);
    let mut theirs = Theirs { more_pages, ..Theirs::default() };
    for bucket in pages.iter().flat_map(|page| &page.data) {
        let day = match (bucket.start_time, &bucket.starting_at) {
            (Some(secs), _) => Some(Day::of_secs(secs)),
            (None, Some(text)) => Day::parse(text),
            (None, None) => None,
        };
        let day = day.ok_or_else(|| {
            BadExport("a bucket has neither a start_time nor a starting_at in UTC".to_owned())
        })?;
        theirs.covers(day);
        for result in &bucket.results {
            result.add_to(&mut theirs, day)?;
        }
    }
    Ok(theirs)
}

impl Fields<'_> {
    fn add_to(&self, theirs: &mut Theirs, day: Day) -> Result<(), BadExport> {
        let model = self.model.as_deref().unwrap_or_default();
        let mut add = |measure, amount: u64| theirs.add(day, model, measure, amount.into());
        if let Some(uncached) = self.uncached_input_tokens {
            let read = self.cache_read_input_tokens.unwrap_or_default();
            let created = self.cache_creation.as_ref();
            let created = created.map_or(0, |c| {
                c.ephemeral_5m_input_tokens.saturating_add(c.ephemeral_1h_input_tokens)
            });
            add(Measure::Prompt, uncached.saturating_add(read).saturating_add(created));
            add(Measure::Cached, read);
            add(Measure::Completion, self.output_tokens.unwrap_or_default());
            return Ok(());
        }
        if let Some(requests) = self.num_model_requests {
            add(Measure::Requests, requests);
            add(Measure::Prompt, self.input_tokens.unwrap_or_default());
            add(Measure::Cached, self.input_cached_tokens.unwrap_or_default());
            add(Measure::Completion, self.output_tokens.unwrap_or_default());
            return Ok(());
        }
        let Some(amount) = self.amount else {
            return Err(BadExport(format!(
                "a result of {day} has no num_model_requests, no uncached_input_tokens and no amount: \
                 it is none of OpenAI's or Anthropic's usage and cost reports"
            )));
        };
        let (currency, cost, item) = self.cost(amount.get())?;
        if !is_usd(&currency) {
            return Err(BadExport(format!(
                "a cost of {day} is in {currency:?}: only USD is compared"
            )));
        }
        let model = if model.is_empty() { item } else { model };
        theirs.add(day, model, Measure::Cost, cost);
        Ok(())
    }

    /// Currency, nano-dollars, and what the line is called.
    fn cost(&self, amount: &str) -> Result<(String, i128, &str), BadExport> {
        let wrong = || BadExport(format!("{amount} is no amount"));
        if amount.starts_with('{') {
            let parsed: Amount<'_> = serde_json::from_str(amount).map_err(|_| wrong())?;
            let value = parsed.value.get().trim_matches('"');
            let item = of_line_item(self.line_item.as_deref().unwrap_or_default());
            return Ok((parsed.currency, dollars(value).ok_or_else(wrong)?, item));
        }
        let cost = cents(amount.trim_matches('"')).ok_or_else(wrong)?;
        Ok((self.currency.clone().unwrap_or_default(), cost, ""))
    }
}
