//! Plugins: what people would script, compiled in.
//!
//! The trait and its views are in `lua-free-plugins/api`, the plugins in folders beside it, and
//! [`table`] lists them. Here is what runs them: a [`Chain`] is made from a configuration, and for
//! each request that has any it begins [`Runs`]. These see the request's turns, may ask the
//! outside for something (the edge does it), and become a filter of the answer's events
//! ([`Filtered`]).
//!
//! A request without plugins pays for none of this: no view is made, and answers pass as they do
//! without. A plugin that panics takes nothing down: what becomes of its own request is the
//! operator's choice ([`OnError`]).

mod chain;
mod entries;
mod filter;
mod refuse;
mod runs;
pub mod table;
#[cfg(test)]
mod tests;
mod turns;

pub use chain::{About, Chain, Configured, Enabled, OnError};
pub use filter::Filtered;
pub use runs::{Outcome, Progress, Report, Runs};

/// What the plugins of a request did, as OpenRouter's `openrouter_metadata.pipeline` (its router
/// metadata page, read 2026-08).
pub fn pipeline(runs: &Runs) -> serde_json::Value {
    let stage = |report: Report<'_>| {
        let kind = match report.id {
            "response-healing" => "response_healing",
            "context-compression" => "context_compression",
            _ => "plugin",
        };
        let failed = (report.outcome == Outcome::Failed).then_some("failed, and was left out");
        let summaries: Vec<&str> =
            report.notes.iter().map(|note| note.summary.as_str()).chain(failed).collect();
        let data: Vec<&serde_json::Value> =
            report.notes.iter().map(|note| &note.data).filter(|data| !data.is_null()).collect();
        let data = match data.as_slice() {
            [] => serde_json::Value::Null,
            [only] => (*only).clone(),
            several => serde_json::json!(several),
        };
        serde_json::json!({
            "type": kind,
            "name": report.id,
            "summary": summaries.join(" "),
            "data": data,
            "cost_usd": report.fee.to_f64(),
        })
    };
    runs.reports().map(stage).collect()
}
