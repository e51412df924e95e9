//! Findings: what a check of a document or a protocol has to say, rule by rule (`docs/findings.md`).
//!
//! Owns the words (level, severity, party), the tables of rules (one file a protocol: id, severity, owner, class, advice; their source is named there)
//! and what one finding is. Never looks at a document: `sso` and `scim` do, and a kind's run brings what they found.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::outcome::{Class, closed_set};

pub mod jwks;
pub mod oauth;
pub mod oidc;
pub mod saml;
pub mod scim;

closed_set! {
    /// What a finding does to the run.
    Level {
        /// The run fails.
        Fail => "fail",
        /// Stored and shown, never counted as a failure.
        Warn => "warn",
        /// Recorded, no alert.
        Info => "info",
    }
}

closed_set! {
    /// How bad it is for the customer's users.
    Severity {
        /// Log-in or provisioning is broken or unsafe now.
        Critical => "critical",
        /// Breaks within days, or for part of the users.
        High => "high",
        /// Breaks on some peer software, or at the next change.
        Medium => "medium",
        /// Hygiene.
        Low => "low",
        /// Information.
        Info => "info",
    }
}

closed_set! {
    /// Who mends it (label `owner` of `soakwatch_findings`).
    Party {
        /// The customer's identity administrator.
        CustomerIdp => "customer_idp",
        /// The vendor's or application's team.
        VendorSp => "vendor_sp",
        /// Whoever runs network and TLS.
        Network => "network",
        /// Whoever renews certificates.
        Certificate => "certificate",
    }
}

/// A rule: what is the same for every finding of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The id, such as `SAML-KEY-02`.
    pub id: &'static str,
    /// Severity unless the finding lowers or raises it.
    pub severity: Severity,
    /// Level unless the finding says otherwise.
    pub level: Level,
    /// Who mends it unless the finding knows better.
    pub owner: Party,
    /// The class of a run that fails by it: metadata, certificate, signature, drift, slow, ...
    pub class: Class,
    /// What users see and what to do about it: one or two plain sentences.
    pub advice: &'static str,
}

impl Rule {
    /// A rule with the level its severity has: fail for critical, high and medium, warn for low, info for info.
    pub const fn new(id: &'static str, severity: Severity, owner: Party, class: Class, advice: &'static str) -> Self {
        let level = match severity {
            Severity::Critical | Severity::High | Severity::Medium => Level::Fail,
            Severity::Low => Level::Warn,
            Severity::Info => Level::Info,
        };
        Self { id, severity, level, owner, class, advice }
    }

    /// The same rule with a level of its own.
    pub const fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// A finding of this rule. No secret and no personal data may be in `detail`; it is cut to 200 characters.
    pub fn found(&self, detail: impl AsRef<str>) -> Finding {
        Finding {
            id: Cow::Borrowed(self.id),
            level: self.level,
            severity: self.severity,
            owner: self.owner,
            class: self.class,
            detail: bounded(detail, MOST_DETAIL),
        }
    }
}

/// Characters of a finding's detail at most.
pub const MOST_DETAIL: usize = 200;
/// Findings of one document or run at most; of more the worst stay.
pub const MOST_FINDINGS: usize = 64;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's id.
    pub id: Cow<'static, str>,
    /// What it does to the run.
    pub level: Level,
    /// How bad it is.
    pub severity: Severity,
    /// Who mends it.
    pub owner: Party,
    /// The class of a run that fails by it.
    pub class: Class,
    /// What was seen: one line, at most 200 characters.
    pub detail: String,
}

impl Finding {
    /// The same finding at another level.
    pub fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }
    /// The same finding with another severity; its level stays.
    pub fn of(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
    /// The same finding for another party.
    pub fn for_party(self, owner: Party) -> Self {
        Self { owner, ..self }
    }
    /// What to do about it; nothing for a rule this version does not know.
    pub fn advice(&self) -> &'static str {
        rule(&self.id).map_or("", |r| r.advice)
    }
}

/// What one run found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Rules that could not be judged, by how their ids begin: what was found by them before stays open. None: these are all there are; the empty
    /// beginning: nothing could be judged.
    pub stays: Vec<Cow<'static, str>>,
    /// What was found, worst first.
    pub list: Vec<Finding>,
}

impl Findings {
    /// Of a document that was judged as a whole.
    pub fn whole(list: Vec<Finding>) -> Self {
        Self { stays: Vec::new(), list: sorted(list) }
    }

    /// Of a document that could not be had: what that says by itself.
    pub fn partial(list: Vec<Finding>) -> Self {
        Self { stays: vec![Cow::Borrowed("")], list: sorted(list) }
    }

    /// The same, where rules whose ids begin so could not be judged.
    pub fn but(mut self, unjudged: impl IntoIterator<Item = &'static str>) -> Self {
        self.stays.extend(unjudged.into_iter().map(Cow::Borrowed));
        self
    }

    /// Adds what was found besides.
    pub fn add(&mut self, more: Vec<Finding>) {
        self.list = sorted(std::mem::take(&mut self.list).into_iter().chain(more).collect());
    }

    /// What is open after this, of what was open before. A failed fetch clears nothing and replaces nothing.
    pub fn after(&self, before: &[Finding]) -> Vec<Finding> {
        let unjudged = |f: &Finding| self.stays.iter().any(|begins| f.id.starts_with(&**begins));
        let stays = before.iter().filter(|f| unjudged(f) && self.list.iter().all(|new| new.id != f.id));
        sorted(self.list.iter().chain(stays).cloned().collect())
    }
}

/// What a document said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentFacts {
    /// Until when it holds: the smallest `validUntil`.
    pub valid_until: Option<UnixMs>,
    /// The earliest end of a signing certificate.
    pub signing_certificate_expiry: Option<UnixMs>,
    /// Whether it is another one than was accepted before, and took its place.
    pub changed: bool,
}

/// Every rule of every protocol.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [saml::RULES, oidc::RULES, jwks::RULES, oauth::RULES, scim::RULES].into_iter().flatten()
}

/// The rule with this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|r| r.id == id)
}

/// The worst finding's level; nothing found is a pass, and so is what only informs.
pub fn verdict(findings: &[Finding]) -> Verdict {
    match findings.iter().map(|f| f.level).min() {
        Some(Level::Fail) => Verdict::Fail,
        Some(Level::Warn) => Verdict::Warn,
        Some(Level::Info) | None => Verdict::Pass,
    }
}

closed_set! {
    /// What a lint says of a document.
    Verdict {
        /// Nothing to mend.
        Pass => "pass",
        /// Something to look at.
        Warn => "warn",
        /// Something is wrong.
        Fail => "fail",
    }
}

/// Worst first (level, severity, id), each only once, and no more than [`MOST_FINDINGS`].
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.level, a.severity, &a.id, &a.detail).cmp(&(b.level, b.severity, &b.id, &b.detail)));
    findings.dedup();
    findings.truncate(MOST_FINDINGS);
    findings
}

/// The finding a run fails by: the worst of those at level fail.
pub fn worst(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().filter(|f| f.level == Level::Fail).min_by_key(|f| f.severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_an_id_of_its_own_and_advice() {
        let mut ids: Vec<&str> = rules().map(|r| r.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for r in rules() {
            assert!(r.advice.len() > 10 && r.advice.len() < 300, "{}: {}", r.id, r.advice);
        }
    }

    #[test]
    fn what_could_not_be_judged_clears_nothing() {
        const KEY: Rule = Rule::new("X-KEY-01", Severity::High, Party::Network, Class::Metadata, "");
        const GET: Rule = Rule::new("X-GET-01", Severity::Critical, Party::Network, Class::NotFound, "");
        let open = Findings::whole(vec![KEY.found("weak")]).after(&[GET.found("404")]);
        assert_eq!(open, [KEY.found("weak")], "a document that was judged says all there is");
        let gone = Findings::partial(vec![GET.found("404")]);
        let both = gone.after(&open);
        assert_eq!(both, [GET.found("404"), KEY.found("weak")]);
        assert_eq!(gone.after(&both), both, "said again, it stands there once");
        assert_eq!(Findings::whole(Vec::new()).after(&both), []);
        assert_eq!(Findings::whole(Vec::new()).but(["X-KEY"]).after(&both), [KEY.found("weak")], "what was judged is over");
        assert_eq!(Findings::whole(vec![KEY.found("weaker")]).but(["X-"]).after(&both), [GET.found("404"), KEY.found("weaker")]);
    }

    #[test]
    fn the_worst_comes_first_and_decides() {
        const LOW: Rule = Rule::new("X-LOW-01", Severity::Low, Party::Network, Class::Metadata, "");
        const BAD: Rule = Rule::new("X-BAD-01", Severity::Medium, Party::Network, Class::Drift, "");
        let all = sorted(vec![
            LOW.found("a"),
            BAD.found("b"),
            BAD.found("b"),
            BAD.found("c").of(Severity::Critical),
            LOW.found("i").at(Level::Info),
        ]);
        let details: Vec<&str> = all.iter().map(|f| f.detail.as_str()).collect();
        assert_eq!(details, ["c", "b", "a", "i"]);
        assert_eq!((verdict(&all), verdict(&all[2..]), verdict(&all[3..])), (Verdict::Fail, Verdict::Warn, Verdict::Pass));
        assert_eq!(worst(&all).map(|f| f.detail.as_str()), Some("c"));
        assert_eq!(worst(&all[2..]), None);
    }
}
