//! What a report says, and its forms: a page of blocks ([`Page`]) is written as Markdown or as HTML, and what it was made from as JSON. Pure: the same model
//! gives the same bytes, whoever renders it, so a reader can tell whether a page says what the evidence says.
//!
//! - `document`: the model of an evidence bundle, `evidence.json`; `stats`: what the runs looked like, hour by hour
//! - `readiness`, `checkpoint`, `handoff`: the pages; `page`: what a page is made of
//! - `markdown`, `html`, `chart`: the forms for people
//!
//! Never judges, never reads a file.

mod chart;
mod checkpoint;
mod document;
mod handoff;
mod html;
mod markdown;
mod page;
mod readiness;
mod stats;

pub use checkpoint::checkpoint;
pub use document::{Document, LogItem, LogPart, Program, RunsPart, SCHEMA, answer};
pub use handoff::handoff;
pub use html::html;
pub use markdown::markdown;
pub use page::{Block, Page, Part};
pub use readiness::readiness;
pub use stats::{CheckStats, HourCell};

use crate::soak::gate::Gate;

/// Everything an evidence report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The evidence.
    pub document: &'a Document,
    /// The answer, of which the document holds the JSON.
    pub gate: &'a Gate,
    /// Each check's hours, in the order of the runs.
    pub stats: &'a [CheckStats],
}

/// A JSON value as a table's cell shows it.
fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "–".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What is met, in one word.
fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "–",
    }
}

/// How a record's body stands in a table.
fn said(body: &serde_json::Map<String, serde_json::Value>) -> String {
    let shown = |(key, value): (&String, &serde_json::Value)| format!("{key}: {}", cell(value));
    crate::observed::bounded(body.iter().filter(|(_, v)| !v.is_null()).map(shown).collect::<Vec<_>>().join("; "), 300)
}

/// How the bundle is checked, for who holds a report in hand.
const VERIFY: &str = "This page is one file of a bundle. It proves nothing by itself: check the bundle it came in with";
const COMMAND: &str = "soakwatch verify DIR --key PUBLIC-KEY";
