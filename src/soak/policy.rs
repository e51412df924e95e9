//! What a soak asks for: the thresholds of product.md's table with their defaults, and how a check is judged. Plain data; the configuration fills it,
//! [`super::judge()`] applies it.

use std::collections::BTreeSet;

use crate::clock::UnixMs;
use crate::fields::{Ratio, Span};
use crate::outcome::{Criticality, closed_set};

closed_set! {
    /// What a verdict lists, in product.md's order.
    Criterion {
        /// Passing runs over runs.
        SuccessRatio => "success_ratio",
        /// Counted runs over due runs.
        Coverage => "coverage",
        /// Runs enough to show the target at all.
        SampleSize => "sample_size",
        /// The longest span of non-passing runs.
        LongestOutage => "longest_outage",
        /// 95th percentile of the passing runs' durations.
        LatencyP95 => "latency_p95",
        /// Throttled runs over runs.
        ThrottledRatio => "throttled_ratio",
        /// Every due run was there and none failed; for checks judged [`Judge::Every`].
        EveryRun => "every_run",
        /// Observed limit over declared peak volume.
        QuotaHeadroom => "quota_headroom",
        /// Days left on the certificate that ends first, at the window's end.
        CertificateDays => "certificate_days",
        /// Changes of documents, keys, endpoints that nobody acknowledged.
        Drift => "drift",
        /// P1 incidents in the window, and open ones.
        Incidents => "incidents",
        /// What a reconcile check found to agree.
        Reconciliation => "reconciliation",
    }
}

closed_set! {
    /// Which number is held against `success_ratio`.
    Confidence {
        /// The ratio itself.
        Ratio => "ratio",
        /// The lower end of the ratio's 95 % Wilson score interval.
        Wilson95 => "wilson95",
    }
}

closed_set! {
    /// How the runs of a check are judged.
    Judge {
        /// By their ratio, if they are enough.
        Ratio => "ratio",
        /// Each of them: for runs that are rare by nature.
        Every => "every",
    }
}

/// `[integration.soak]`: from when, over how long, and what must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `start`.
    pub start: UnixMs,
    /// `window`: whole hours.
    pub window: Span,
    /// `success_ratio`: the objective, above 0. Nine digits after the point count.
    pub success_ratio: Ratio,
    /// `confidence`.
    pub confidence: Confidence,
    /// `coverage`: at least.
    pub coverage: Ratio,
    /// `longest_outage`: at most.
    pub longest_outage: Span,
    /// `latency_p95`: at most; unset: not asked for.
    pub latency_p95: Option<Span>,
    /// `throttled_ratio`: at most.
    pub throttled_ratio: Ratio,
    /// `quota_headroom`: at least so many times the declared peak.
    pub quota_headroom: f64,
    /// `certificate_days`: at least.
    pub certificate_days: u32,
    /// `reconciliation`: at least.
    pub reconciliation: Ratio,
    /// `valid_for`: how long a pass holds after go-live.
    pub valid_for: Span,
    /// `attest`: what people must have attested.
    pub attest: Vec<String>,
    /// Criteria that the configuration asks for by name. What is observed, not run (headroom, certificates, drift, incidents, reconciliation), is
    /// passed over where it was never observed, unless it stands here: then it is missing evidence.
    pub declared: BTreeSet<Criterion>,
}

impl Policy {
    /// The defaults for a criticality: product.md's table, and for `critical` half the outage and twice the peak.
    pub fn new(criticality: Criticality, start: UnixMs) -> Self {
        let critical = criticality == Criticality::Critical;
        Self {
            start,
            window: Span::days(7),
            success_ratio: Ratio(0.99),
            confidence: Confidence::Ratio,
            coverage: Ratio(0.95),
            longest_outage: Span::seconds(if critical { 900 } else { 1800 }),
            latency_p95: None,
            throttled_ratio: Ratio(0.01),
            quota_headroom: if critical { 2.0 } else { 1.5 },
            certificate_days: 30,
            reconciliation: Ratio(0.995),
            valid_for: Span::days(14),
            attest: Vec::new(),
            declared: BTreeSet::new(),
        }
    }
}
