//! Gathers findings: for the party whose metadata it is, with the entity named where there are many, and never without a bound.

use std::collections::BTreeMap;

use super::read::RoleKind;
use crate::fields::bounded;
use crate::finding::{Finding, Party};

/// Findings of one rule that are kept; of more only the number is.
const MOST_OF_A_RULE: usize = 8;
/// Characters of an entityID in a detail.
const MOST_OF_AN_ID: usize = 60;

/// Rules of which the one who publishes the document is the party: the identity provider's, or the service provider's side.
const OF_THE_PUBLISHER: [&str; 14] = [
    "SAML-XML-01",
    "SAML-XML-02",
    "SAML-XML-03",
    "SAML-ENT-01",
    "SAML-ENT-02",
    "SAML-ROL-01",
    "SAML-ROL-02",
    "SAML-VAL-04",
    "SAML-KEY-08",
    "SAML-KEY-10",
    "SAML-EP-01",
    "SAML-EP-02",
    "SAML-EP-03",
    "SAML-EP-06",
];

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found<'d> {
    findings: Vec<Finding>,
    more: BTreeMap<String, usize>,
    /// The entity being judged, if its name must be said.
    entity: Option<&'d str>,
    /// Whose metadata it is.
    role: Option<RoleKind>,
}

impl<'d> Found<'d> {
    /// What is found from now on is of this entity (named if given) and this role's side.
    pub(super) fn turn_to(&mut self, entity: Option<&'d str>, role: Option<RoleKind>) {
        (self.entity, self.role) = (entity, role);
    }

    /// Adds one finding.
    pub(super) fn add(&mut self, mut finding: Finding) {
        if let Some(entity) = self.entity {
            finding.detail = bounded(format!("{}: {}", bounded(entity, MOST_OF_AN_ID), finding.detail), crate::finding::MOST_DETAIL);
        }
        if self.role == Some(RoleKind::Sp) && OF_THE_PUBLISHER.contains(&&*finding.id) {
            finding.owner = Party::VendorSp;
        }
        if self.findings.contains(&finding) {
            return;
        }
        let alike = self.findings.iter().filter(|f| f.id == finding.id && f.level == finding.level).count();
        if alike < MOST_OF_A_RULE {
            self.findings.push(finding);
        } else {
            *self.more.entry(format!("{} {}", finding.id, finding.level)).or_default() += 1;
        }
    }

    /// All of it; the last of a rule says how many more there are.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        for (key, more) in &self.more {
            if let Some(last) = self.findings.iter_mut().rev().find(|f| format!("{} {}", f.id, f.level) == *key) {
                last.detail = bounded(format!("(and {more} more) {}", last.detail), crate::finding::MOST_DETAIL);
            }
        }
        self.findings
    }
}
