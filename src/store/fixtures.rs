//! Runs and records for the store's tests.

use proptest::prelude::*;

use super::Run;
use crate::clock::{HOUR_MS, UnixMs};
use crate::finding::{DocumentFacts, Findings, Party, Rule, Severity};
use crate::outcome::{Attribution, Cause, Class, HttpSpoken, Outcome, Reason, TlsSpoken};
use crate::ratelimit::Reading;
use crate::record::{DurationCode, Facts, Record, Spoken};

/// A run that passed at once.
pub(super) fn passing(slot: i64, interval_ms: u32, code: u16) -> Run {
    Run {
        slot: UnixMs(slot),
        interval_ms,
        count: 1,
        outcome: Outcome::Pass,
        class: None,
        cause: None,
        attribution: None,
        duration: DurationCode(code),
        attempts: 1,
        first_attempt_passed: true,
    }
}

/// A record of a run that passed at once.
pub(super) fn passed(check: &str, slot: i64) -> Record {
    passing(slot, 30_000, 150).record(&check.parse().unwrap(), 0)
}

/// A record of a run that failed so.
pub(super) fn failed(check: &str, slot: i64, class: Class, detail: &str) -> Record {
    Record {
        outcome: Outcome::Fail,
        class: Some(class),
        attribution: Some(Attribution::ThirdParty),
        first_attempt_passed: false,
        detail: Some(detail.to_owned()),
        ..passed(check, slot)
    }
}

fn maybe<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(proptest::sample::select(all))
}

/// Any combination of words, sensible or not, anywhere in an hour.
pub(super) fn any_run(hour: i64) -> impl Strategy<Value = Run> {
    let when = (0..HOUR_MS, prop_oneof![Just(30_000u32), any::<u32>()], prop_oneof![4 => Just(1u32), 1 => 1..1000u32]);
    let words = (proptest::sample::select(Outcome::ALL), maybe(Class::ALL), maybe(Cause::ALL), maybe(Attribution::ALL));
    let how = (prop_oneof![4 => 0..400u16, 1 => any::<u16>()], prop_oneof![0..3u8, any::<u8>()], any::<bool>());
    (when, words, how).prop_map(move |((at, interval_ms, count), (outcome, class, cause, attribution), (code, attempts, first))| Run {
        slot: UnixMs(hour * HOUR_MS + at),
        interval_ms,
        count,
        outcome,
        class,
        cause,
        attribution,
        duration: DurationCode(code),
        attempts,
        first_attempt_passed: first,
    })
}

/// Any record of a check, with any facts.
fn found(whole: bool) -> Findings {
    const RULE: Rule = Rule::new("X-TST-01", Severity::High, Party::Network, Class::Metadata, "");
    if whole { Findings::whole(Vec::new()) } else { Findings::partial(vec![RULE.found("a detail")]) }
}

pub(super) fn any_record(check: &'static str) -> impl Strategy<Value = Record> {
    let facts = (
        proptest::collection::vec(any::<u16>(), 0..3),
        proptest::collection::vec(proptest::sample::select(Class::ALL), 0..3),
        any::<[Option<u16>; 5]>(),
        proptest::option::of(any::<i64>().prop_map(UnixMs)),
        proptest::collection::vec(("[a-z]{0,5}", -1e9..1e9f64), 0..2),
        proptest::option::of("[a-z]{0,9}"),
        proptest::option::of((any::<i64>(), any::<u64>(), any::<Option<u64>>(), 0..400u16)),
    );
    let facts = facts.prop_map(|(codes, retries, phases, certificate_expiry, values, egress_rule, pace)| Facts {
        codes,
        retries,
        phases: phases.map(|p| p.map(DurationCode)),
        certificate_expiry,
        values,
        egress_rule,
        limits: pace
            .iter()
            .map(|(at, n, maybe, _)| Reading {
                policy: "p".into(),
                limit: Some(*n),
                remaining: *maybe,
                reset_at: Some(UnixMs(*at)),
                at: UnixMs(*at),
                ..Reading::default()
            })
            .collect(),
        retry_after: pace.map(|(at, n, ..)| (UnixMs(at), n)),
        throttle_wait: pace.map(|p| DurationCode(p.3)),
        findings: pace.and_then(|(at, n, ..)| (n % 2 == 0).then(|| found(at % 2 == 0))),
        document: pace.and_then(|(at, n, ..)| {
            (n % 3 == 0).then(|| DocumentFacts { valid_until: Some(UnixMs(at)), changed: at % 2 == 0, ..DocumentFacts::default() })
        }),
        spoken: pace.and_then(|(at, n, ..)| {
            let http = if at % 2 == 0 { HttpSpoken::Http11 } else { HttpSpoken::Http2 };
            (n % 2 == 0).then(|| Spoken { http, tls: (n % 4 == 0).then_some(TlsSpoken::Tls13) })
        }),
        reason: pace.and_then(|(_, n, ..)| Reason::ALL.get((n % 20) as usize).copied()),
    });
    let plain = prop_oneof![Just(Facts::default()), facts];
    (any_run(490_000), any::<u16>(), plain, proptest::option::of(".{0,20}")).prop_map(move |(run, vantage, facts, detail)| Record {
        facts,
        detail,
        ..run.record(&check.parse().unwrap(), vantage % 3)
    })
}
