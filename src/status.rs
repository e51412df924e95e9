//! What to say about an integration and its checks: state, ratios, blame and advice, from the board's entries and a time. Pure; the API and
//! the pages show the same values. Never turns missing data into a good answer: no runs is no ratio.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::arrivals::Expected;
use crate::attribution::{cause_advice, limit_not_told, quota_advice, reasoned, remediation, too_much_declared};
use crate::board::{CheckEntry, Counts, IntegrationEntry};
use crate::budget::{Hold as AskedAway, Views};
use crate::clock::UnixMs;
use crate::fields::{HttpUrl, Span};
use crate::limits::{self, LimitsBrief, Shortage, words};
use crate::observed::Phases;
use crate::outcome::{Attribution, Cause, Class, Criticality, Lack, Outcome, Owner, Phase, closed_set};
use crate::probe::Kind;
use crate::run_id::RunId;

mod document;

pub use document::{DocumentStatus, FindingStatus};

closed_set! {
    /// The state of an integration, or of a check, worst first.
    State {
        /// A judged check's last counted run failed.
        Failing => "failing",
        /// A judged check's last counted run was throttled.
        Throttled => "throttled",
        /// The last attempt was our own fault, or nothing came for three intervals (slots left out to spare a host's quota are no silence), or what
        /// came is of a time still to come.
        Unknown => "unknown",
        /// A judged check has not run yet, or not since it is due again.
        Pending => "pending",
        /// In a declared maintenance window.
        Maintenance => "maintenance",
        /// Paused in the configuration.
        Paused => "paused",
        /// Every judged check's last run passed.
        Passing => "passing",
    }
}

/// So many intervals without a run make a state unknown.
const SILENT_INTERVALS: i64 = 3;

/// A check's state. Pauses and maintenance are its integration's.
/// `views`: the budgets, its own among them; without it a check is taken to run at its configured interval.
pub fn check_state(check: &CheckEntry, views: &Views, now: UnixMs) -> State {
    let def = &check.def;
    if def.integration.paused.is_some() {
        return State::Paused;
    }
    if def.integration.maintenance_at(now).is_some() {
        return State::Maintenance;
    }
    let Some(last) = &check.state.last else { return State::Pending };
    // A run is recorded only when it has ended, and before it begins it may wait for its turn until its next slot that is run.
    let every = views.get(&def.id).map_or(def.every, |b| b.effective_interval.max(def.every));
    let timeout = i64::try_from(def.timeout.as_millis()).unwrap_or(i64::MAX);
    let patience = every.ms().saturating_mul(SILENT_INTERVALS).saturating_add(timeout);
    let due_again = check.state.last_not_due.filter(|t| *t > last.slot);
    // Who keeps away because the host asked for it, or leaves slots out to spare its quota, is not silent: what the last run said still stands.
    let kept_away = check.state.last_skip.filter(|(t, cause)| *cause == Cause::RateLimit && *t <= now).map(|(t, _)| t);
    let heard = due_again.unwrap_or(last.slot).max(kept_away.unwrap_or(last.slot));
    // What arrives is judged when its grace is over, and cron's times are not evenly apart.
    let overdue = match (&def.kind, Expected::of(def)) {
        (Kind::WebhookArrival(c), Some(expected)) => {
            UnixMs((0..SILENT_INTERVALS).fold(heard, |due, _| expected.next(due)).plus(c.grace.0).0.saturating_add(timeout))
        }
        _ => UnixMs(heard.0.saturating_add(patience)),
    };
    if now > overdue || heard.0.saturating_sub(now.0) > patience {
        return State::Unknown;
    }
    if due_again.is_some() {
        return State::Pending;
    }
    match last.outcome {
        Outcome::Pass => State::Passing,
        Outcome::Fail => State::Failing,
        Outcome::Throttled => State::Throttled,
        Outcome::Unknown | Outcome::Skipped | Outcome::NotDue => State::Unknown,
    }
}

/// The checks that decide: the judged ones; where none is judged, all.
fn deciding(i: &IntegrationEntry) -> impl Iterator<Item = &CheckEntry> {
    let any = i.checks.iter().any(|c| c.def.judged);
    i.checks.iter().filter(move |c| c.def.judged || !any)
}

/// An integration's state: that of its worst deciding check.
pub fn integration_state(i: &IntegrationEntry, views: &Views, now: UnixMs) -> State {
    if i.def.paused.is_some() {
        State::Paused
    } else if i.def.maintenance_at(now).is_some() {
        State::Maintenance
    } else {
        deciding(i).map(|c| check_state(c, views, now)).min().unwrap_or(State::Pending)
    }
}

/// A span of time over which ratios are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Hour,
    Day,
    Week,
}

fn counts(check: &CheckEntry, over: Over, now: UnixMs) -> Counts {
    match over {
        Over::Hour => check.state.last_hour(now),
        Over::Day => check.state.last_hours(24, now),
        Over::Week => check.state.last_hours(168, now),
    }
}

/// Success ratios; absent where nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Ratios {
    /// The last hour.
    pub ratio_1h: Option<f64>,
    /// The last 24 hours.
    pub ratio_24h: Option<f64>,
    /// The last 7 days.
    pub ratio_7d: Option<f64>,
}

fn check_ratios(check: &CheckEntry, now: UnixMs) -> Ratios {
    let excluded = check.def.integration.throttled_excluded;
    let [ratio_1h, ratio_24h, ratio_7d] = [Over::Hour, Over::Day, Over::Week].map(|o| counts(check, o, now).success_ratio(excluded));
    Ratios { ratio_1h, ratio_24h, ratio_7d }
}

fn lower(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn worst_ratios(i: &IntegrationEntry, now: UnixMs) -> Ratios {
    deciding(i).map(|c| check_ratios(c, now)).fold(Ratios::default(), |w, r| Ratios {
        ratio_1h: lower(w.ratio_1h, r.ratio_1h),
        ratio_24h: lower(w.ratio_24h, r.ratio_24h),
        ratio_7d: lower(w.ratio_7d, r.ratio_7d),
    })
}

/// Why an integration is not watched just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hold {
    /// What the configuration gives as reason.
    pub reason: String,
    /// Who declared it.
    pub by: String,
    /// When it ends, if that is known.
    pub until: Option<String>,
}

fn hold(i: &IntegrationEntry, now: UnixMs) -> Option<Hold> {
    if let Some(p) = &i.def.paused {
        return Some(Hold { reason: p.reason.clone(), by: p.by.clone(), until: None });
    }
    i.def.maintenance_at(now).map(|m| Hold { reason: m.reason.clone(), by: m.by.clone(), until: Some(m.end.to_string()) })
}

/// What went wrong in a run that did not pass.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Trouble {
    /// The check's own id.
    pub check: String,
    /// Failure class.
    pub class: Option<Class>,
    /// Who most likely has to act.
    pub attribution: Option<Attribution>,
    /// Where it was our own fault: what it was.
    pub cause: Option<Cause>,
    /// What happened; redacted.
    pub detail: Option<String>,
    /// What to do.
    pub remediation: String,
}

/// The hold that keeps a check from being run.
fn asked_away<'v>(check: &CheckEntry, views: &'v Views, now: UnixMs) -> Option<&'v AskedAway> {
    limits::in_force(views.get(&check.def.id)?, now)
}

/// That nothing is sent before a hold ends.
fn held(hold: &AskedAway) -> String {
    format!("held until {}, nothing is sent before: {}", hold.until.whole_seconds(), words::because(hold))
}

/// Below this the declared volume is more than the quota gives.
const FITS: f64 = 1.0;

/// What the last run said; where it was throttled and the declared volume does not fit, that; and that there will be no other run before a hold ends.
fn detail(last: Option<&str>, headroom: Option<f64>, hold: Option<&AskedAway>) -> Option<String> {
    let too_much = headroom.map(|h| format!("the declared volume is more than the quota gives: headroom {}", words::times(h)));
    let all: Vec<String> = [last.map(str::to_owned), too_much, hold.map(held)].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn trouble(check: &CheckEntry, state: State, views: &Views, now: UnixMs) -> Option<Trouble> {
    let hold = asked_away(check, views, now);
    if state == State::Pending {
        // It has not run, and will not before the hold ends.
        return hold.map(|hold| Trouble {
            check: check.def.id.check().to_owned(),
            class: None,
            attribution: None,
            cause: Some(Cause::RateLimit),
            detail: Some(held(hold)),
            remediation: cause_advice(Cause::RateLimit).into(),
        });
    }
    let last = check.state.last.as_ref().filter(|l| l.outcome != Outcome::Pass || state == State::Unknown)?;
    if state == State::Unknown && last.outcome != Outcome::Unknown {
        // What it said then is no longer news.
        return Some(Trouble {
            check: check.def.id.check().to_owned(),
            class: None,
            attribution: None,
            cause: None,
            detail: Some(if last.slot > now {
                format!("the last result is of {}, which is still to come: the clock was set back", last.slot.whole_seconds())
            } else {
                format!("no result since {}, for more than {SILENT_INTERVALS} intervals", last.slot.whole_seconds())
            }),
            remediation: "The check no longer runs, or its results are not kept. See what the monitor reports about itself.".into(),
        });
    }
    let owner = check.def.integration.owner;
    let throttled = last.class == Some(Class::Throttled);
    let too_much = limits::check_headroom(check, now).filter(|h| throttled && *h < FITS);
    let remediation = match (last.cause, last.class) {
        _ if last.facts.reason.is_some() => last.facts.reason.map(|reason| reasoned(reason, owner)).unwrap_or_default(),
        (Some(cause), _) => cause_advice(cause).to_owned(),
        (None, Some(_)) if too_much.is_some() => too_much_declared(last.attribution.unwrap_or(Attribution::Unknown), owner),
        (None, Some(_)) if throttled && check.state.limits.is_empty() => {
            limit_not_told(last.attribution.unwrap_or(Attribution::Unknown), owner)
        }
        (None, Some(class)) => remediation(class, last.attribution.unwrap_or(Attribution::Unknown), owner),
        (None, None) => String::new(),
    };
    Some(Trouble {
        check: check.def.id.check().to_owned(),
        class: last.class,
        attribution: last.attribution,
        cause: last.cause,
        detail: detail(last.detail.as_deref(), too_much, hold),
        remediation,
    })
}

/// What will go wrong with a quota while all runs still pass.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Warning {
    /// What it is.
    pub kind: Lack,
    /// Who most likely has to act.
    pub attribution: Attribution,
    /// In words.
    pub detail: String,
    /// What to do.
    pub remediation: String,
}

/// The warning of an integration that passes. More is used, or declared, than was agreed on: whoever agreed has to act, whatever side the quota is on.
fn warning(i: &IntegrationEntry, state: State, now: UnixMs) -> Option<Warning> {
    let Shortage { lack: kind, detail, .. } = limits::shortage(i, now).filter(|_| state == State::Passing)?;
    let remediation = quota_advice(kind, !i.def.volume.batches.is_empty(), i.def.owner);
    Some(Warning { kind, attribution: Attribution::Configuration, detail, remediation })
}

/// The declared soak.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SoakShown {
    /// Its start.
    pub start: String,
    /// How long it takes.
    pub window: Span,
    /// The share of runs that must pass.
    pub success_ratio: f64,
}

/// The objective of an integration without a declared soak.
const OBJECTIVE: f64 = 0.99;

impl IntegrationStatus {
    /// Passing just now, after an hour that was below the objective: the word alone would say too much.
    pub fn only_passing_now(&self) -> bool {
        let objective = self.soak.as_ref().map_or(OBJECTIVE, |s| s.success_ratio);
        self.state == State::Passing && self.ratios.ratio_1h.is_some_and(|r| r < objective)
    }
}

/// An integration as the API and the pages show it. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct IntegrationStatus {
    /// customer/environment/integration.
    pub id: String,
    /// Customer's id.
    pub customer: String,
    /// Customer's name.
    pub customer_name: String,
    /// Environment.
    pub environment: String,
    /// Integration's own id.
    pub integration: String,
    /// Integration's name.
    pub name: String,
    /// Owner of the far side.
    pub owner: Owner,
    /// How much it matters.
    pub criticality: Criticality,
    /// Where it stands in its life.
    pub phase: Phase,
    /// State.
    pub state: State,
    /// Why it is paused or in maintenance, if it is.
    pub hold: Option<Hold>,
    /// How many checks it has.
    pub checks: usize,
    /// The deciding checks whose state is `failing` or `throttled`.
    pub failing_checks: Vec<String>,
    /// Since when the worst of them has been: slot of the first run of its present streak.
    pub failing_since: Option<String>,
    /// Success of the worst deciding check.
    #[serde(flatten)]
    pub ratios: Ratios,
    /// Coverage of the worst deciding check over 24 hours.
    pub coverage_24h: Option<f64>,
    /// Counts over all checks and 24 hours.
    pub totals_24h: Counts,
    /// The last judged run's slot.
    pub last_run: Option<String>,
    /// The trouble of the worst check, flat; nulls when there is none.
    pub class: Option<Class>,
    /// Who most likely has to act.
    pub attribution: Option<Attribution>,
    /// Where it was our own fault: what it was.
    pub cause: Option<Cause>,
    /// Which check `class`, `detail` and the others are about.
    pub trouble_check: Option<String>,
    /// What happened; redacted.
    pub detail: Option<String>,
    /// What to do.
    pub remediation: Option<String>,
    /// Whole days until the first certificate of any check expires; once it has, the days since, negative (-1 on the first day).
    pub certificate_days: Option<i64>,
    /// Runbook.
    pub runbook: Option<HttpUrl>,
    /// Declared volume at peak.
    pub volume_peak: Option<String>,
    /// Declared volume a day.
    pub volume_daily: Option<String>,
    /// Go-live.
    pub go_live: Option<String>,
    /// The window that is judged before go-live.
    pub soak: Option<SoakShown>,
    /// What will go wrong with a quota, where all passes.
    pub warning: Option<Warning>,
    /// Held, widened, running out?
    #[serde(flatten)]
    pub limits: LimitsBrief,
    /// `last_run` as a number, for ages.
    #[serde(skip)]
    pub last_run_at: Option<UnixMs>,
}

/// Says all about an integration. `views`: the budgets of its checks.
pub fn integration_status(i: &IntegrationEntry, views: &Views, now: UnixMs) -> IntegrationStatus {
    let def = &i.def;
    let state = integration_state(i, views, now);
    // The deciding check in the worst state; among equals the one that has been failing longest.
    let worst = deciding(i).min_by_key(|c| (check_state(c, views, now), c.state.failing_since.unwrap_or(UnixMs(i64::MAX))));
    let trouble = match state {
        State::Paused | State::Maintenance => None,
        _ => worst.and_then(|c| trouble(c, check_state(c, views, now), views, now)),
    };
    let last_run_at = i.checks.iter().filter_map(|c| c.state.last_run).max();
    let mut totals_24h = Counts::default();
    i.checks.iter().for_each(|c| totals_24h.merge(&counts(c, Over::Day, now)));
    let (class, attribution, cause) = trouble.as_ref().map_or((None, None, None), |t| (t.class, t.attribution, t.cause));
    let (trouble_check, detail, remediation) =
        trouble.map_or((None, None, None), |t| (Some(t.check), t.detail, Some(t.remediation).filter(|r| !r.is_empty())));
    IntegrationStatus {
        id: def.id.to_string(),
        customer: def.id.customer().to_owned(),
        customer_name: def.customer_name.clone(),
        environment: def.id.environment().to_owned(),
        integration: def.id.integration().to_owned(),
        name: def.name.clone(),
        owner: def.owner,
        criticality: def.criticality,
        phase: i.phase(now),
        state,
        hold: hold(i, now),
        checks: i.checks.len(),
        failing_checks: deciding(i)
            .filter(|c| matches!(check_state(c, views, now), State::Failing | State::Throttled))
            .map(|c| c.def.id.check().to_owned())
            .collect(),
        failing_since: worst
            .filter(|_| matches!(state, State::Failing | State::Throttled))
            .and_then(|c| Some(c.state.failing_since?.to_string())),
        ratios: worst_ratios(i, now),
        coverage_24h: deciding(i).map(|c| counts(c, Over::Day, now).coverage()).fold(None, lower),
        totals_24h,
        last_run: last_run_at.map(|t| t.to_string()),
        class,
        attribution,
        cause,
        trouble_check,
        detail,
        remediation,
        certificate_days: i.checks.iter().filter_map(|c| c.state.certificate_expiry).min().map(|t| now.whole_days_until(t)),
        runbook: def.runbook.clone(),
        volume_peak: def.volume.peak.map(|v| v.to_string()),
        volume_daily: def.volume.daily.map(|v| v.to_string()),
        go_live: def.go_live.map(|t| t.to_string()),
        soak: def.soak.as_ref().map(|s| SoakShown { start: s.start.to_string(), window: s.window, success_ratio: s.success_ratio.0 }),
        warning: warning(i, state, now),
        limits: limits::brief(i, views, now),
        last_run_at,
    }
}

/// A key that sorts integrations worst first: state, of those that pass the ones with a warning, then what matters most, then the lowest ratio of the
/// day. Unknown ratios come last.
pub fn sort_key(i: &IntegrationEntry, views: &Views, now: UnixMs) -> (State, bool, Criticality, u64) {
    let ratio = worst_ratios(i, now).ratio_24h.map_or(u64::MAX, |r| (r * 1e9) as u64);
    let state = integration_state(i, views, now);
    (state, state == State::Passing && warning(i, state, now).is_none(), i.def.criticality, ratio)
}

/// The last run of a check.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LastRunStatus {
    /// Its id; null: nobody ran it.
    pub run: Option<RunId>,
    /// Slot.
    pub slot: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Total time in seconds.
    pub duration_seconds: f64,
    /// Attempts made.
    pub attempts: u8,
    /// Seconds by phase; phases that were not reached are left out.
    pub phases: BTreeMap<&'static str, f64>,
    /// Statuses of the attempts.
    pub codes: Vec<u16>,
}

/// A check as the API and the pages show it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CheckStatus {
    /// customer/environment/integration/check.
    pub id: String,
    /// The check's own id.
    pub check: String,
    /// Kind.
    pub kind: &'static str,
    /// What it talks to, without anything that could be secret.
    pub target: Option<String>,
    /// Interval.
    pub every: Span,
    /// Deadline of a run.
    pub timeout: Span,
    /// Retries inside a run.
    pub retries: u8,
    /// Whether it counts in verdicts.
    pub judged: bool,
    /// State.
    pub state: State,
    /// Success.
    #[serde(flatten)]
    pub ratios: Ratios,
    /// Coverage over 24 hours.
    pub coverage_24h: Option<f64>,
    /// Counts over 24 hours.
    pub counts_24h: Counts,
    /// Counts since the daemon first saw the check.
    pub counts: Counts,
    /// Skipped and unknown by cause.
    pub causes: BTreeMap<&'static str, u64>,
    /// Failures by class and attribution.
    pub classes: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Runs whose first attempt did not pass.
    pub first_attempt_failures: u64,
    /// Judged runs since the last success.
    pub consecutive_failures: u64,
    /// Slot of the first run of the present streak of failures.
    pub failing_since: Option<String>,
    /// The last run, or attempt to make one.
    pub last: Option<LastRunStatus>,
    /// What went wrong in it.
    pub trouble: Option<Trouble>,
    /// The last judged run's slot.
    pub last_run: Option<String>,
    /// The last passing run's slot.
    pub last_success: Option<String>,
    /// Earliest expiry in the certificate chain last seen.
    pub certificate_expiry: Option<String>,
    /// Days until then.
    pub certificate_days: Option<i64>,
    /// What is open of what was found in its document, worst first.
    pub findings: Vec<FindingStatus>,
    /// What its document said of itself when it was last read.
    pub document: Option<DocumentStatus>,
    /// Numbers read by `observe`.
    pub observed: BTreeMap<String, f64>,
    /// `last_run` as a number, for ages.
    #[serde(skip)]
    pub last_run_at: Option<UnixMs>,
}

/// Says all about a check. `views`: the budgets, its own among them.
pub fn check_status(c: &CheckEntry, views: &Views, now: UnixMs) -> CheckStatus {
    let (def, s) = (&c.def, &c.state);
    let (state, day) = (check_state(c, views, now), counts(c, Over::Day, now));
    let last = s.last.as_ref().map(|l| LastRunStatus {
        run: (l.attempts > 0).then(|| RunId::of(&def.id, l.slot)),
        slot: l.slot.to_string(),
        outcome: l.outcome,
        duration_seconds: l.duration.seconds(),
        attempts: l.attempts,
        phases: Phases::NAMES.iter().zip(l.facts.phases).filter_map(|(name, d)| Some((*name, d?.seconds()))).collect(),
        codes: l.facts.codes.to_vec(),
    });
    CheckStatus {
        id: def.id.to_string(),
        check: def.id.check().to_owned(),
        kind: def.kind.name(),
        target: def.kind.target_shown(),
        every: def.every,
        timeout: Span(def.timeout),
        retries: def.retries,
        judged: def.judged,
        state,
        ratios: check_ratios(c, now),
        coverage_24h: day.coverage(),
        counts_24h: day,
        counts: s.counts,
        causes: s.causes.iter().map(|(cause, n)| (cause.as_str(), *n)).collect(),
        classes: s.classes.iter().map(|(class, by)| (class.as_str(), by.iter().map(|(a, n)| (a.as_str(), *n)).collect())).collect(),
        first_attempt_failures: s.first_attempt_failures,
        consecutive_failures: s.consecutive_failures,
        failing_since: s.failing_since.map(|t| t.to_string()),
        last,
        trouble: trouble(c, state, views, now),
        last_run: s.last_run.map(|t| t.to_string()),
        last_success: s.last_success.map(|t| t.to_string()),
        certificate_expiry: s.certificate_expiry.map(|t| t.to_string()),
        certificate_days: s.certificate_expiry.map(|t| now.whole_days_until(t)),
        findings: s.findings.iter().map(FindingStatus::of).collect(),
        document: s.document.map(|d| DocumentStatus {
            valid_until: d.valid_until.map(|t| t.to_string()),
            signing_certificate_expiry: d.signing_certificate_expiry.map(|t| t.to_string()),
            changes: s.document_changes,
        }),
        observed: s.values.clone(),
        last_run_at: s.last_run,
    }
}
