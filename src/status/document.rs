//! What is shown of a check's document: what was found in it, and its own dates.

use schemars::JsonSchema;
use serde::Serialize;

use crate::finding::{Finding, Level, Party, Severity};

/// An open finding.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FindingStatus {
    /// The rule's id.
    pub id: String,
    /// What it does to the run.
    pub level: Level,
    /// How bad it is.
    pub severity: Severity,
    /// Who mends it.
    pub owner: Party,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl FindingStatus {
    pub(super) fn of(f: &Finding) -> Self {
        let detail = f.detail.clone();
        Self { id: f.id.to_string(), level: f.level, severity: f.severity, owner: f.owner, detail, advice: f.advice() }
    }
}

/// A document's own dates.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DocumentStatus {
    /// Until when it holds.
    pub valid_until: Option<String>,
    /// The earliest end of a signing certificate in it.
    pub signing_certificate_expiry: Option<String>,
    /// How often another one took the place of the accepted one.
    pub changes: u64,
}
