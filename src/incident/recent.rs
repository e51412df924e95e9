//! The last runs of a check, as far as incidents are made of them: which of the last 32 did not pass, and of the last ten those that did not. Part of a
//! check's state, so that what is an incident is a function of states and the same after a restart. Never decides anything.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::MOST_RUNS;
use crate::clock::UnixMs;
use crate::observed::bounded;
use crate::outcome::{Attribution, Class, Outcome};
use crate::record::Record;

/// So many runs decide whether a check flaps.
pub const FLAPPING_RUNS: u32 = 10;
/// A detail may have this many characters.
const MAX_DETAIL: usize = 300;
const _: () = assert!(MOST_RUNS == FLAPPING_RUNS as usize);

/// A run that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its slot.
    pub slot: UnixMs,
    /// What went wrong.
    pub class: Class,
    /// Whose it was, by the triage map.
    pub attribution: Attribution,
    /// The last status, where there was one.
    pub status: Option<u16>,
    /// What happened, for people; redacted.
    pub detail: Option<String>,
}

/// The last judged runs of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// Bit n: whether the run n runs before the last one did not pass.
    bits: u32,
    /// How many there are, 32 at most.
    count: u8,
    /// Slot and last status of the last run.
    last: Option<(UnixMs, Option<u16>)>,
    /// Of the last ten those that did not pass, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    bad: VecDeque<Ran>,
}

impl Recent {
    /// Takes in a record; what was not judged neither extends nor ends anything.
    pub fn apply(&mut self, r: &Record) {
        if !r.outcome.counted() {
            return;
        }
        let bad = r.outcome != Outcome::Pass;
        let status = r.facts.codes.last().copied();
        self.bits = (self.bits << 1) | u32::from(bad);
        self.count = self.count.saturating_add(1).min(32);
        self.last = Some((r.slot, status));
        if bad {
            self.bad.push_back(Ran {
                slot: r.slot,
                class: r.class.unwrap_or(Class::Internal),
                attribution: r.attribution.unwrap_or(Attribution::Unknown),
                status,
                detail: r.detail.as_deref().map(|d| bounded(d, MAX_DETAIL)),
            });
        }
        while self.bad.len() > self.failed() as usize {
            self.bad.pop_front();
        }
    }

    /// Of the last ten how many did not pass.
    pub fn failed(&self) -> u32 {
        self.last_ten().count_ones()
    }

    /// Of the last ten those that did not pass, oldest first.
    pub fn bad(&self) -> &VecDeque<Ran> {
        &self.bad
    }

    /// Runs at the end that did not pass, without one between that did; 32 at most.
    pub fn failing(&self) -> u32 {
        self.bits.trailing_ones().min(u32::from(self.count))
    }

    /// Runs at the end that passed; 32 at most.
    pub fn passing(&self) -> u32 {
        self.bits.trailing_zeros().min(u32::from(self.count))
    }

    /// Slot and status of the last run.
    pub fn last(&self) -> Option<(UnixMs, Option<u16>)> {
        self.last
    }

    /// Whether it comes and goes: at least half of the last ten did not pass, and twice among them it broke after it had worked. An outage that ended is
    /// not this.
    pub fn flaps(&self) -> bool {
        let ten = self.last_ten();
        // A run that did not pass, right after one that did.
        let broke = ten & !(ten >> 1) & (Self::MASK >> 1);
        u32::from(self.count) >= FLAPPING_RUNS && ten.count_ones() * 2 >= FLAPPING_RUNS && broke.count_ones() >= 2
    }

    const MASK: u32 = (1 << FLAPPING_RUNS) - 1;

    fn last_ten(&self) -> u32 {
        self.bits & Self::MASK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Cause;

    fn of(runs: &str) -> Recent {
        let mut recent = Recent::default();
        for (n, c) in runs.chars().enumerate() {
            let mut r = Record::not_run("a/b/c/d".parse().unwrap(), UnixMs(n as i64), 1, 1, Cause::Internal);
            r.outcome = match c {
                'F' => Outcome::Fail,
                'P' => Outcome::Pass,
                _ => Outcome::Unknown,
            };
            (r.class, r.attribution) = (Some(Class::Timeout), Some(Attribution::Network));
            recent.apply(&r);
        }
        recent
    }

    #[test]
    fn what_was_not_judged_neither_extends_nor_ends_a_streak() {
        let recent = of("PF-F--F");
        assert_eq!((recent.failing(), recent.passing(), recent.failed(), recent.last()), (3, 0, 3, Some((UnixMs(6), None))));
        assert_eq!(of("FF-P--P").passing(), 2);
        assert_eq!(of("").passing(), 0);
        assert_eq!(of(&"P".repeat(40)).passing(), 32);
    }

    #[test]
    fn of_the_last_ten_those_that_did_not_pass_are_kept() {
        let recent = of("FFFPPFPPPPPPFP");
        assert_eq!(recent.bad().iter().map(|r| r.slot.0).collect::<Vec<_>>(), [5, 12]);
        let text = serde_json::to_string(&recent).unwrap();
        assert_eq!(serde_json::from_str::<Recent>(&text).unwrap(), recent);
        assert!(!serde_json::to_string(&of("PPP")).unwrap().contains("bad"), "a healthy check costs a snapshot little");
    }

    #[test]
    fn an_outage_is_no_flapping() {
        for (runs, flaps) in [
            ("PFPFPFPFPF", true),
            ("FPFPFPFPFP", true),
            ("PPFFPPFFFF", true),
            ("PPFFFFFFPF", true),
            ("PPPPPFFFFF", false),
            ("FFFFFFFPPP", false),
            ("FFFFFFFFFF", false),
            ("FFFFFFPPPF", false),
            ("PPPPPPFPFP", false),
            ("PFPFPFPFP", false),
        ] {
            assert_eq!(of(runs).flaps(), flaps, "{runs}");
        }
    }
}
