//! What a verdict is made from: the check's rules, and what was seen, waived, attested and excluded beside its runs. Plain data, borrowed.

use serde::{Deserialize, Serialize};

use super::fold::CheckFold;
use super::policy::{Judge, Policy};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::slots::grid::Grid;

/// Everything about one integration that [`super::judge()`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The time it is judged for: after the newest slot in the folds ([`super::as_of`]).
    pub now: UnixMs,
    /// What is asked for.
    pub policy: &'a Policy,
    /// From when on runs count: the soak's start, or the later moment from which what is judged has been as it is. Does not move after go-live.
    pub since: UnixMs,
    /// Go-live: the window is frozen then.
    pub go_live: Option<UnixMs>,
    /// The fingerprint at hand is not the one the runs were made under.
    pub superseded: bool,
    /// Its checks in order of the configuration.
    pub checks: &'a [CheckInput<'a>],
    /// What was observed beside the runs.
    pub seen: &'a Observations,
    /// Waivers for this integration; those that have expired have no effect.
    pub waivers: &'a [Waiver],
    /// Attestations that are at hand, by name; the newest of each.
    pub attestations: &'a [Attestation],
    /// Why what is given here can't be relied on.
    pub doubts: Doubts<'a>,
}

/// Why what a verdict is made from can't be relied on, in words. They change no verdict; with any of them the gate does not say go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubts<'a> {
    /// What concerns the whole environment.
    pub shared: &'a [String],
    /// What concerns this integration.
    pub own: &'a [String],
}

impl Doubts<'_> {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        !(self.shared.is_empty() && self.own.is_empty())
    }
}

/// One check and its runs.
#[derive(Clone, Copy, Debug)]
pub struct CheckInput<'a> {
    /// Its id.
    pub id: &'a CheckId,
    /// `judged = false`: shown, and nothing else.
    pub judged: bool,
    /// By which its fold was made.
    pub rules: Rules<'a>,
    /// Its runs.
    pub fold: &'a CheckFold,
}

/// By what the runs of one check are counted and judged.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The thresholds.
    pub policy: &'a Policy,
    /// How its runs are judged.
    pub judge: Judge,
    /// `throttled = "excluded"`: throttled runs are neither numerator nor denominator.
    pub throttled_excluded: bool,
    /// When it is due; `None` for what arrives instead of being asked for: then due is what is accounted for.
    pub grid: Option<Grid>,
    /// What was taken out afterwards: sorted by start, not overlapping ([`Exclusion::tidy`]).
    pub exclusions: &'a [Exclusion],
}

/// A span taken out after the fact, by an audited record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exclusion {
    /// From this time.
    pub from: UnixMs,
    /// To this time, exclusive.
    pub to: UnixMs,
}

impl Exclusion {
    /// Sorted by start, with those that touch or overlap made one and empty ones left out.
    pub fn tidy(mut all: Vec<Self>) -> Vec<Self> {
        all.retain(|x| x.from < x.to);
        all.sort_unstable();
        all.dedup_by(|next, last| {
            let touches = next.from <= last.to;
            if touches {
                last.to = last.to.max(next.to);
            }
            touches
        });
        all
    }
}

/// What was observed of an integration beside its runs. `None`: never observed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observations {
    /// The smallest observed limit over the declared peak volume, in the same unit.
    pub quota_headroom: Option<f64>,
    /// The certificate that ends first, of every one seen.
    pub certificate_expiry: Option<UnixMs>,
    /// Changes nobody acknowledged.
    pub open_drifts: Option<u32>,
    /// Incidents of the window.
    pub incidents: Option<Incidents>,
    /// The share that agreed in the last reconciliation, of the worst reconcile check.
    pub reconciliation: Option<f64>,
}

/// Incidents of an integration in the judged window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incidents {
    /// P1 in the window, open or closed.
    pub p1: u32,
    /// Open now, of any severity but P1.
    pub open: u32,
    /// When the first P1 began that lies in the last window that can end by go-live ([`super::Frame::last`]).
    pub p1_in_last: Option<UnixMs>,
}

/// A failing criterion that somebody decided to accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The criterion's name, or that of an attestation.
    pub criterion: String,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub approver: String,
    /// Until when, exclusive.
    pub until: UnixMs,
}

/// What somebody attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Its name in the policy's `attest`.
    pub name: String,
    /// What was attested.
    pub value: Option<String>,
    /// Who: the token's name.
    pub by: String,
    /// When.
    pub at: UnixMs,
    /// Until when it holds, exclusive; `None`: for good.
    pub until: Option<UnixMs>,
}
