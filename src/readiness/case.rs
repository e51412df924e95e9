//! What an integration is judged by, owned, and as a bundle holds it: written as JSON and read back, it judges alike. docs/evidence.md has every key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use crate::clock::UnixMs;
use crate::evidence::written::{text, text_option, time, time_option};
use crate::fields::{CheckId, IntegrationId, Ratio, Span};
use crate::outcome::{Criticality, Owner};
use crate::slots::grid::Grid;
use crate::soak::{Attestation, Confidence, Criterion, Exclusion, Frame, Incidents, Judge, Observations, Policy, Rules, Waiver};

/// One integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// customer/environment/integration.
    #[serde(with = "text")]
    pub integration: IntegrationId,
    /// For people.
    pub name: String,
    /// Who owns the far side.
    pub owner: Owner,
    /// How much it matters.
    pub criticality: Criticality,
    /// What judges it; `None`: nothing does.
    pub soak: Option<SoakCase>,
}

/// What a soak is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoakCase {
    /// Every threshold.
    #[serde(with = "policy")]
    pub policy: Policy,
    /// Of what is judged, as it is configured.
    pub fingerprint: Option<String>,
    /// Of what was judged when the soak began, as it was recorded; `None`: no record says that it began.
    pub recorded_fingerprint: Option<String>,
    /// From when on runs count.
    #[serde(with = "time")]
    pub since: UnixMs,
    /// When the window is frozen.
    #[serde(with = "time_option")]
    pub go_live: Option<UnixMs>,
    /// Whether what is judged is another than was recorded.
    pub superseded: bool,
    /// The keys in which it is, as far as they can be named.
    pub changed: Vec<String>,
    /// Keys that name files nobody could read: whether they are as recorded can't be told.
    pub unsure: Vec<String>,
    /// Whether the soak began again because what is judged was changed.
    pub restarted: bool,
    /// Its checks, sorted by id.
    pub checks: Vec<CheckCase>,
    /// What was observed beside the runs, as it was known at the window's end.
    pub observed: Observed,
    /// The record of the evidence log that says so; `None`: it is what was known last, and nothing was learned since.
    pub observed_record: Option<u64>,
    /// Waivers of the configuration, those that ended too.
    pub waivers: Vec<WaiverCase>,
    /// The newest attestation of each name.
    pub attestations: Vec<AttestedCase>,
    /// What was taken out after the fact.
    pub exclusions: Vec<ExclusionCase>,
    /// Windows the configuration declares. What they took out stands in the runs, as `not_due`: these explain it.
    pub maintenance: Vec<MaintenanceCase>,
}

/// A check and how its runs are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckCase {
    /// customer/environment/integration/check.
    #[serde(with = "text")]
    pub check: CheckId,
    /// `false`: shown, and nothing else.
    pub judged: bool,
    /// By ratio or every run.
    pub judge: Judge,
    /// Throttled runs are neither numerator nor denominator.
    pub throttled_excluded: bool,
    /// The distance of its slots; `None`: what arrives has none.
    #[serde(with = "text_option")]
    pub every: Option<Span>,
}

/// What was observed beside the runs; absent: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The smallest observed limit over the declared peak volume.
    pub quota_headroom: Option<f64>,
    /// When the first certificate ends.
    #[serde(with = "time_option")]
    pub certificate_expiry: Option<UnixMs>,
    /// Changes nobody acknowledged.
    pub open_drifts: Option<u32>,
    /// Incidents of the window.
    pub incidents: Option<IncidentsCase>,
    /// The share that agreed in the last reconciliation.
    pub reconciliation: Option<f64>,
}

/// Incidents of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentsCase {
    /// P1, open or closed.
    pub p1: u32,
    /// Open, of any severity but P1.
    pub open: u32,
    /// When the first P1 began that lies in the last window that can end by go-live.
    #[serde(with = "time_option")]
    pub p1_in_last: Option<UnixMs>,
}

/// A waiver of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaiverCase {
    /// The criterion's name, or that of an attestation.
    pub criterion: String,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub approver: String,
    /// Until when, exclusive.
    #[serde(with = "time")]
    pub until: UnixMs,
}

/// What somebody attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedCase {
    /// The record of the evidence log.
    pub seq: u64,
    /// Its name in the policy's `attest`.
    pub name: String,
    /// What was attested.
    pub value: Option<String>,
    /// Beside it.
    pub note: Option<String>,
    /// Who: the token's name.
    pub by: String,
    /// What was remarked beside the name.
    pub remark: Option<String>,
    /// When.
    #[serde(with = "time")]
    pub at: UnixMs,
    /// Until when it holds, exclusive; `None`: for good.
    #[serde(with = "time_option")]
    pub until: Option<UnixMs>,
}

/// A span taken out after the fact.
#[derive(Clone, Debug, PartialEq, Eq, schemars::JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExclusionCase {
    /// The record of the evidence log.
    pub seq: u64,
    /// The check's own id; `None`: every check of the integration.
    pub check: Option<String>,
    /// From this time.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub from: UnixMs,
    /// To this time, exclusive.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub to: UnixMs,
    /// Why.
    pub reason: String,
    /// Who: the token's name.
    pub by: String,
    /// What was remarked beside the name.
    pub remark: Option<String>,
    /// When it was recorded.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub at: UnixMs,
}

impl ExclusionCase {
    /// What these take out of a check, as the judge wants it.
    pub fn of(all: &[Self], check: &CheckId) -> Vec<Exclusion> {
        let concerns = |x: &&Self| x.check.as_deref().is_none_or(|name| name == check.check());
        Exclusion::tidy(all.iter().filter(concerns).map(|x| Exclusion { from: x.from, to: x.to }).collect())
    }
}

/// A maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceCase {
    /// From this time.
    #[serde(with = "time")]
    pub start: UnixMs,
    /// To this time, exclusive.
    #[serde(with = "time")]
    pub end: UnixMs,
    /// Why.
    pub reason: String,
    /// Who declared it.
    pub by: String,
}

impl SoakCase {
    /// What is judged at a time.
    pub fn frame(&self, now: UnixMs) -> Frame {
        Frame::at(self.since, self.policy.window, self.go_live, now)
    }

    /// What is taken out of a check, as the judge wants it.
    pub fn excluded(&self, check: &CheckCase) -> Vec<Exclusion> {
        ExclusionCase::of(&self.exclusions, &check.check)
    }

    /// How a check's runs are counted.
    pub fn rules<'a>(&'a self, check: &CheckCase, exclusions: &'a [Exclusion]) -> Rules<'a> {
        Rules {
            policy: &self.policy,
            judge: check.judge,
            throttled_excluded: check.throttled_excluded,
            grid: check.every.map(|every| Grid::new(check.check.key(), every.ms())),
            exclusions,
        }
    }

    /// The waivers, as the judge wants them.
    pub(super) fn waivers(&self) -> Vec<Waiver> {
        let waiver = |w: &WaiverCase| {
            let WaiverCase { criterion, reason, approver, until } = w.clone();
            Waiver { criterion, reason, approver, until }
        };
        self.waivers.iter().map(waiver).collect()
    }

    /// The attestations, as the judge wants them.
    pub(super) fn attestations(&self) -> Vec<Attestation> {
        self.attestations.iter().map(Attestation::from).collect()
    }

    /// How what is configured stands to what was recorded.
    pub(super) fn basis(&self) -> Basis {
        Basis {
            since: self.since,
            recorded: self.recorded_fingerprint.is_some(),
            restarted: self.restarted,
            changed: self.superseded.then(|| self.changed.clone()),
            unsure: self.unsure.clone(),
        }
    }
}

impl From<&AttestedCase> for Attestation {
    fn from(a: &AttestedCase) -> Self {
        let AttestedCase { name, value, by, at, until, .. } = a.clone();
        Self { name, value, by, at, until }
    }
}

impl Observed {
    /// As the judge wants it.
    pub(super) fn seen(&self) -> Observations {
        let incidents = |i: IncidentsCase| Incidents { p1: i.p1, open: i.open, p1_in_last: i.p1_in_last };
        Observations {
            quota_headroom: self.quota_headroom,
            certificate_expiry: self.certificate_expiry,
            open_drifts: self.open_drifts,
            incidents: self.incidents.map(incidents),
            reconciliation: self.reconciliation,
        }
    }
}

impl From<Observations> for Observed {
    fn from(o: Observations) -> Self {
        let incidents = |i: Incidents| IncidentsCase { p1: i.p1, open: i.open, p1_in_last: i.p1_in_last };
        Self {
            quota_headroom: o.quota_headroom,
            certificate_expiry: o.certificate_expiry,
            open_drifts: o.open_drifts,
            incidents: o.incidents.map(incidents),
            reconciliation: o.reconciliation,
        }
    }
}

/// A policy as JSON.
mod policy {
    use super::{BTreeSet, Confidence, Criterion, Deserialize, Policy, Ratio, Serialize, Span, UnixMs, text, text_option, time};
    use crate::clock::{DAY_MS, HOUR_MS};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        #[serde(with = "time")]
        start: UnixMs,
        #[serde(with = "text")]
        window: Span,
        success_ratio: f64,
        confidence: Confidence,
        coverage: f64,
        #[serde(with = "text")]
        longest_outage: Span,
        #[serde(with = "text_option")]
        latency_p95: Option<Span>,
        throttled_ratio: f64,
        quota_headroom: f64,
        certificate_days: u32,
        reconciliation: f64,
        #[serde(with = "text")]
        valid_for: Span,
        attest: Vec<String>,
        declared: BTreeSet<Criterion>,
    }

    pub(super) fn serialize<S: Serializer>(p: &Policy, s: S) -> Result<S::Ok, S::Error> {
        let p = p.clone();
        let written = Written {
            start: p.start,
            window: p.window,
            success_ratio: p.success_ratio.0,
            confidence: p.confidence,
            coverage: p.coverage.0,
            longest_outage: p.longest_outage,
            latency_p95: p.latency_p95,
            throttled_ratio: p.throttled_ratio.0,
            quota_headroom: p.quota_headroom,
            certificate_days: p.certificate_days,
            reconciliation: p.reconciliation.0,
            valid_for: p.valid_for,
            attest: p.attest,
            declared: p.declared,
        };
        written.serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Policy, D::Error> {
        let w = Written::deserialize(d)?;
        let share = |n: f64| Ratio::new(n).ok_or_else(|| serde::de::Error::custom("expected a share between 0 and 1"));
        let fits = (HOUR_MS..=90 * DAY_MS).contains(&w.window.ms());
        fits.then_some(()).ok_or_else(|| serde::de::Error::custom("expected a window of 1h to 90d"))?;
        Ok(Policy {
            start: w.start,
            window: w.window,
            success_ratio: share(w.success_ratio)?,
            confidence: w.confidence,
            coverage: share(w.coverage)?,
            longest_outage: w.longest_outage,
            latency_p95: w.latency_p95,
            throttled_ratio: share(w.throttled_ratio)?,
            quota_headroom: w.quota_headroom,
            certificate_days: w.certificate_days,
            reconciliation: share(w.reconciliation)?,
            valid_for: w.valid_for,
            attest: w.attest,
            declared: w.declared,
        })
    }
}
