//! `[integration.soak]`: from when, over how long, and what must hold; and `[customer.soak]`, from which an integration's table takes what it leaves out.
//!
//! Defaults are [`Policy::new`]'s. The rules at the end warn of what can't be shown or can't pass before a day has gone by.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::judge::Judge;
use super::model::Maintenance;
use super::table::{Field, Table, members, read_field};
use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::{Expected, Ratio, Span};
use crate::outcome::Criticality;
use crate::soak::{Confidence, Criterion, Frame, Judge as By, Policy, Share, Window};

/// People attest a handful of things.
const MAX_ATTESTED: usize = 20;
/// Of a window at most this share is taken out as declared maintenance (product.md).
const TAKEN_OUT: f64 = 0.05;

/// One table as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    start: Option<UnixMs>,
    window: Option<Span>,
    success_ratio: Option<Ratio>,
    confidence: Option<Confidence>,
    coverage: Option<Ratio>,
    longest_outage: Option<Span>,
    latency_p95: Option<Span>,
    throttled_ratio: Option<Ratio>,
    quota_headroom: Option<f64>,
    certificate_days: Option<u32>,
    reconciliation: Option<Ratio>,
    valid_for: Option<Span>,
    attest: Option<Vec<String>>,
}

impl Written {
    /// Whether it says from when.
    pub(super) fn has_start(&self) -> bool {
        self.start.is_some()
    }
}

/// Reads a table; without `start` only where that stands elsewhere. Bad values are reported and read as absent.
pub(super) fn read(mut t: Table<'_>, start_required: bool, judge: &Judge) -> Written {
    let start = if start_required { t.req("start") } else { t.opt("start") };
    judge.near(&t, "start", start);
    let window = t.between("window", Span::seconds(3600), Span::days(90));
    if let Some(window) = window.filter(|w| w.ms() % HOUR_MS != 0) {
        t.problem("window", format!("{window} is not a number of whole hours"), "expected whole hours or days, such as \"7d\"");
    }
    let target = |t: &mut Table<'_>, key| t.opt::<Target>(key).map(|s| s.0);
    let written = Written {
        start,
        window,
        success_ratio: target(&mut t, "success_ratio"),
        confidence: t.opt("confidence"),
        coverage: target(&mut t, "coverage"),
        longest_outage: t.between("longest_outage", Span::seconds(0), Span::days(90)),
        latency_p95: t.between("latency_p95", Span(Duration::from_millis(1)), Span::seconds(600)),
        throttled_ratio: t.opt::<Tolerated>("throttled_ratio").map(|s| s.0),
        quota_headroom: t.between("quota_headroom", 1.0, 100.0),
        certificate_days: t.between("certificate_days", 0, 36_500),
        reconciliation: target(&mut t, "reconciliation"),
        valid_for: t.between("valid_for", Span::seconds(3600), Span::days(366)),
        attest: attest(&mut t),
    };
    slips(&t, &written);
    t.finish();
    written
}

/// Shares that are right, and hardly meant.
fn slips(t: &Table<'_>, written: &Written) {
    let low = [("success_ratio", written.success_ratio), ("coverage", written.coverage), ("reconciliation", written.reconciliation)];
    for (key, ratio) in low {
        if let Some(Ratio(ratio)) = ratio.filter(|r| r.0 < 0.5) {
            t.warn(key, format!("{ratio} asks for less than half"), "expected such as 0.99 for 99 %");
        }
    }
    if let Some(Ratio(ratio)) = written.throttled_ratio.filter(|r| r.0 > 0.5) {
        t.warn("throttled_ratio", format!("{ratio} lets more than half of the runs be throttled"), "expected such as 0.01 for 1 %");
    }
}

/// The names of what people must attest.
fn attest(t: &mut Table<'_>) -> Option<Vec<String>> {
    let value = t.value("attest")?;
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for member in members(&value) {
        let Some(Attested(name)) = read_field(&member) else { continue };
        if seen.insert(name.clone()) {
            names.push(name);
        } else {
            let what = format!("\"{name}\" is there twice");
            member.source.report(member.at.clone(), &member.path, what, "expected each name once", false);
        }
    }
    if names.len() > MAX_ATTESTED {
        t.problem("attest", format!("{} names are too many", names.len()), format!("expected at most {MAX_ATTESTED}"));
    }
    Some(names)
}

/// What is asked for: an integration's table, then the customer's, then the defaults of its criticality. `None` without a start.
pub(super) fn policy(own: Written, shared: Option<&Written>, criticality: Criticality) -> Option<Policy> {
    let nothing = Written::default();
    let shared = shared.unwrap_or(&nothing);
    let base = Policy::new(criticality, own.start.or(shared.start)?);
    let (headroom, days) = (own.quota_headroom.or(shared.quota_headroom), own.certificate_days.or(shared.certificate_days));
    let reconciliation = own.reconciliation.or(shared.reconciliation);
    let declared = [
        (Criterion::QuotaHeadroom, headroom.is_some()),
        (Criterion::CertificateDays, days.is_some()),
        (Criterion::Reconciliation, reconciliation.is_some()),
    ];
    Some(Policy {
        start: base.start,
        window: own.window.or(shared.window).unwrap_or(base.window),
        success_ratio: own.success_ratio.or(shared.success_ratio).unwrap_or(base.success_ratio),
        confidence: own.confidence.or(shared.confidence).unwrap_or(base.confidence),
        coverage: own.coverage.or(shared.coverage).unwrap_or(base.coverage),
        longest_outage: own.longest_outage.or(shared.longest_outage).unwrap_or(base.longest_outage),
        latency_p95: own.latency_p95.or(shared.latency_p95).or(base.latency_p95),
        throttled_ratio: own.throttled_ratio.or(shared.throttled_ratio).unwrap_or(base.throttled_ratio),
        quota_headroom: headroom.unwrap_or(base.quota_headroom),
        certificate_days: days.unwrap_or(base.certificate_days),
        reconciliation: reconciliation.unwrap_or(base.reconciliation),
        valid_for: own.valid_for.or(shared.valid_for).unwrap_or(base.valid_for),
        attest: own.attest.or_else(|| shared.attest.clone()).unwrap_or(base.attest),
        declared: declared.into_iter().filter(|(_, is)| *is).map(|(c, _)| c).collect(),
    })
}

/// A share that is asked for.
pub(super) struct Target(pub(super) Ratio);

impl Field for Target {
    fn expected() -> String {
        "a share above 0, at most 1, such as 0.99 for 99 % (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        let ratio = Ratio::read(value, lenient).ok().filter(|r| r.0 > 0.0);
        ratio.map(Self).ok_or_else(|| Expected(Self::expected()))
    }
}

/// A share that is put up with.
pub(super) struct Tolerated(pub(super) Ratio);

impl Field for Tolerated {
    fn expected() -> String {
        "a share from 0 to 1, such as 0.01 for 1 % (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        Ratio::read(value, lenient).map(Self).map_err(|_| Expected(Self::expected()))
    }
}

/// The name of something people attest.
struct Attested(String);

impl Field for Attested {
    fn expected() -> String {
        "a name of a-z, 0-9 and _, such as \"uat_signoff\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let name = value.as_str().filter(|n| is_name(n)).ok_or_else(|| Expected(Self::expected()))?;
        match Criterion::parse(name) {
            None => Ok(Self(name.to_owned())),
            Some(_) => Err(Expected("another name: this is one that Soakwatch judges itself".to_owned())),
        }
    }
}

/// A letter, then letters, digits and `_`.
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A go-live before the first whole window has ended.
pub(super) fn go_live(integration: &Table<'_>, go_live: Option<UnixMs>, policy: &Policy) {
    let end = policy.start.plus(policy.window.0);
    if let Some(go_live) = go_live.filter(|t| *t < end) {
        integration.warn(
            "go_live",
            format!("{go_live} is before the soak ends, so it can't pass"),
            format!("expected {end} or later (soak.start + soak.window)"),
        );
    }
}

/// Declared maintenance that leaves too few runs in the window before go-live (without one: in the first).
pub(super) fn maintenance(integration: &Table<'_>, windows: &[Maintenance], go_live: Option<UnixMs>, policy: &Policy) {
    let [Some(window), _] = Frame::at(policy.start, policy.window, go_live, policy.start).last else { return };
    let share = maintained(windows, window);
    let best = (1.0 - share) / (1.0 - share.min(TAKEN_OUT));
    if best < policy.coverage.0 {
        let what = format!(
            "takes up {} % of the window from {} to {}, of which at most 5 % are taken out: coverage can be {} at most, and {} is asked for",
            (share * 100.0).round(),
            window.start,
            window.end,
            (best * 1000.0).floor() / 1000.0,
            policy.coverage.0
        );
        integration.warn("maintenance", what, "expected less maintenance in that time, another go_live, or a lower soak.coverage");
    }
}

/// The share of a window that lies in declared maintenance, 0 to 1.
fn maintained(windows: &[Maintenance], window: Window) -> f64 {
    let mut inside: Vec<(i64, i64)> = windows.iter().map(|m| (m.start.max(window.start).0, m.end.min(window.end).0)).collect();
    inside.sort_unstable();
    let (mut until, mut sum) = (window.start.0, 0);
    for (start, end) in inside {
        sum += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    let whole = window.end.0 - window.start.0;
    if whole > 0 { sum as f64 / whole as f64 } else { 0.0 }
}

/// What one check can't show, or can't bear, at its interval.
pub(super) fn interval(check: &Table<'_>, every: Span, by: By, policy: &Policy) {
    if by == By::Every {
        return;
    }
    sample_size(check, every, policy);
    if every > policy.longest_outage {
        check.warn(
            "every",
            format!("one failed run is an outage of {every}, and soak.longest_outage allows {}", policy.longest_outage),
            format!("expected {} or less, or a longer soak.longest_outage", policy.longest_outage),
        );
    }
}

/// An interval too long for one window of runs to prove the target.
fn sample_size(check: &Table<'_>, every: Span, policy: &Policy) {
    let ratio = policy.success_ratio.0;
    let runs = policy.window.ms() / every.ms().max(1);
    let Some(needed) = Share::of(policy.success_ratio).runs_needed().and_then(|n| i64::try_from(n).ok()) else {
        check.warn(
            "every",
            format!("no number of runs proves a success_ratio of {ratio}"),
            "expected a soak.success_ratio below 1, such as 0.999",
        );
        return;
    };
    if runs >= needed {
        return;
    }
    let longest = policy.window.ms() / needed / 1000;
    let advice = if longest >= 1 {
        format!("expected at least {needed} runs: {} or less", Span::seconds(u64::try_from(longest).unwrap_or(1)))
    } else {
        format!("expected at least {needed} runs: a longer soak.window")
    };
    check.warn("every", format!("{runs} runs in {} are too few to prove a success_ratio of {ratio}", policy.window), advice);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64, end: i64) -> Maintenance {
        Maintenance { start: UnixMs(start), end: UnixMs(end), reason: String::new(), by: String::new() }
    }

    #[test]
    fn windows_that_overlap_count_once() {
        let whole = Window { start: UnixMs(0), end: UnixMs(100) };
        let share = |windows: &[(i64, i64)]| maintained(&windows.iter().map(|(a, b)| window(*a, *b)).collect::<Vec<_>>(), whole);
        assert_eq!(share(&[]), 0.0);
        assert_eq!(share(&[(-50, 10), (5, 20), (90, 200), (95, 96), (300, 400)]), 0.3);
        assert_eq!(maintained(&[window(0, 9)], Window { start: UnixMs(5), end: UnixMs(5) }), 0.0);
    }

    #[test]
    fn an_integration_s_key_wins_then_the_customer_s_then_the_default() {
        let ratio = |r| Some(Ratio(r));
        let shared = Written { success_ratio: ratio(0.9), coverage: ratio(0.8), attest: Some(vec!["a".into()]), ..Written::default() };
        let own = Written {
            start: Some(UnixMs(1)),
            coverage: ratio(0.7),
            attest: Some(Vec::new()),
            certificate_days: Some(30),
            ..Written::default()
        };
        let p = policy(own, Some(&shared), Criticality::Critical).unwrap();
        let base = Policy::new(Criticality::Critical, UnixMs(1));
        let declared = [Criterion::CertificateDays].into();
        assert_eq!(p, Policy { success_ratio: Ratio(0.9), coverage: Ratio(0.7), declared, ..base });
        assert_eq!(policy(Written::default(), Some(&shared), Criticality::Low), None);
    }
}
