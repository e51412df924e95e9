//! Before day 1: can this configuration prove its target at all, and when at the earliest? For every integration of an environment what stands against
//! it, with what to change, and the numbers behind that.
//!
//! Pure: from the configuration, what is already known of certificates, quotas and slots that have gone by, and a time. Judges no run; that is `soak`. Everything that is still to
//! come is taken to pass: what can't be proven then can't be proven.

use std::collections::BTreeMap;

use serde::Serialize;

mod check;
mod earliest;
mod observed;
mod past;
#[cfg(test)]
mod tests;
mod weigh;

pub use check::CheckPlan;
pub use past::Past;
use weigh::Weigh;

use crate::board::{CheckEntry, IntegrationEntry};
use crate::budget::Views;
use crate::clock::UnixMs;
use crate::config::fingerprint::Change;
use crate::config::model::Integration;
use crate::fields::{CheckId, Span};
use crate::outcome::closed_set;
use crate::soak::{Attestation, Frame, Policy, Window};

closed_set! {
    /// What is said of a plan, the worst last.
    Answer {
        /// If everything passes, so does the soak.
        Provable => "provable",
        /// It depends on something that was not observed yet.
        Unknown => "unknown",
        /// The soak can't pass by go-live, even if everything passes.
        NotProvable => "not_provable",
    }
}

/// What stands against it, or is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it makes of the plan; `provable`: nothing, it is only worth knowing.
    pub answer: Answer,
    /// The check it is about, by its own id.
    pub check: Option<String>,
    /// What is so.
    pub what: String,
    /// What to change; empty where there is nothing to change.
    pub change: String,
}

/// A waiver of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaiverPlan {
    /// The criterion, or the name of what is to be attested.
    pub criterion: String,
    /// Who decided.
    pub approver: String,
    /// When it ends.
    pub until: String,
    /// Whether it is still in force when the window ends.
    pub in_force: bool,
}

/// What was recorded of an integration's soak, if a daemon has taken it over before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Since when runs count.
    pub since: Option<UnixMs>,
    /// How what is judged differs from what is planned here.
    pub change: Option<Change>,
    /// What was attested, the newest of each name.
    pub attestations: Vec<Attestation>,
    /// How far it has come; `None`: it has not begun, begins again, or nobody looked.
    pub so_far: Option<SoFar>,
}

/// A soak that goes on, as the judge sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoFar {
    /// When it can pass at the earliest, if everything from now on passes; `None`: no such time is known.
    pub earliest_pass: Option<UnixMs>,
    /// No window that ends by go-live can pass any more, whatever still comes.
    pub doomed: bool,
    /// What became of the slots of its checks.
    pub slots: BTreeMap<CheckId, Past>,
}

/// One integration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegrationPlan {
    /// customer/environment/integration.
    pub integration: String,
    /// For people.
    pub name: String,
    /// The worst of its findings.
    pub answer: Answer,
    /// When the soak starts.
    pub start: Option<String>,
    /// How long it judges.
    pub window: Option<Span>,
    /// When it can be green at the earliest; absent: as it is configured it can't.
    pub earliest_pass: Option<String>,
    /// Go-live.
    pub go_live: Option<String>,
    /// The window all this is about: the last before go-live, or the first; its beginning ...
    pub from: Option<String>,
    /// ... and its end, exclusive.
    pub until: Option<String>,
    /// Every judged check.
    pub checks: Vec<CheckPlan>,
    /// What people must still attest.
    pub attest: Vec<String>,
    /// Its waivers.
    pub waivers: Vec<WaiverPlan>,
    /// When the certificate ends that ends first; absent: none was observed yet.
    pub certificate_ends: Option<String>,
    /// The observed limit over the declared volume; absent: not known yet.
    pub quota_headroom: Option<f64>,
    /// Everything that stands against it, the worst first, then what is worth knowing.
    pub findings: Vec<Finding>,
}

/// The plan of an environment, or of a part of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The time it was made for.
    pub as_of: String,
    /// The worst of all.
    pub answer: Answer,
    /// Every integration, in order of the configuration.
    pub integrations: Vec<IntegrationPlan>,
}

/// Plans these integrations, by what is known of them, what was recorded, and the pace of their checks.
pub fn plan<'e>(entries: impl Iterator<Item = (&'e IntegrationEntry, History)>, paces: &Views, now: UnixMs) -> Plan {
    let integrations: Vec<IntegrationPlan> = entries.map(|(e, history)| one(e, &history, paces, now)).collect();
    let answer = integrations.iter().map(|i| i.answer).max().unwrap_or(Answer::NotProvable);
    Plan { as_of: now.to_string(), answer, integrations }
}

fn one(entry: &IntegrationEntry, history: &History, paces: &Views, now: UnixMs) -> IntegrationPlan {
    let i = &*entry.def;
    let mut plan = IntegrationPlan {
        integration: i.id.to_string(),
        name: i.name.clone(),
        answer: Answer::Provable,
        start: None,
        window: None,
        earliest_pass: None,
        go_live: i.go_live.map(|t| t.to_string()),
        from: None,
        until: None,
        checks: Vec::new(),
        attest: Vec::new(),
        waivers: Vec::new(),
        certificate_ends: None,
        quota_headroom: None,
        findings: Vec::new(),
    };
    match &i.soak {
        Some(policy) => judged(&mut plan, entry, policy, history, paces, now),
        None => plan.findings.push(Finding {
            answer: Answer::NotProvable,
            check: None,
            what: "it has no soak: nothing judges it, and the gate never says go".into(),
            change: "add soak = { start = ... } to it, or move it to an environment that needs no gate".into(),
        }),
    }
    plan.findings.sort_by_key(|f| std::cmp::Reverse(f.answer));
    plan.answer = plan.findings.iter().map(|f| f.answer).max().unwrap_or(Answer::Provable);
    if plan.answer == Answer::NotProvable {
        plan.earliest_pass = None;
    }
    plan
}

fn judged(plan: &mut IntegrationPlan, entry: &IntegrationEntry, policy: &Policy, history: &History, paces: &Views, now: UnixMs) {
    let i = &*entry.def;
    let checks: Vec<&CheckEntry> = entry.checks.iter().filter(|c| c.def.judged).collect();
    let so_far = history.so_far.as_ref().filter(|_| i.go_live.is_none_or(|g| now < g));
    let since = since(policy, &checks, history, now);
    let full = since.plus(policy.window.0);
    let earliest = so_far.map_or(full, |s| earliest::earliest(s.earliest_pass.unwrap_or(full), since, policy, &checks, s));
    let in_time = i.go_live.is_none_or(|g| g >= earliest);
    let window = window(policy, i.go_live.filter(|_| in_time), since, earliest.max(full));
    let mut weigh = Weigh::new(&i.waivers, window.end);
    plan.start = Some(policy.start.to_string());
    plan.window = Some(policy.window);
    plan.earliest_pass = in_time.then(|| earliest.to_string());
    (plan.from, plan.until) = (Some(window.start.to_string()), Some(window.end.to_string()));
    time(&mut weigh, i, earliest, in_time, now);
    changed(&mut weigh, i, history, now);
    if i.paused.is_some() {
        weigh.against("it is paused: nothing runs, so nothing can be shown".into(), "take out paused, here or on the customer".into());
    }
    if so_far.is_some_and(|s| s.doomed) {
        weigh.against(
            "it is doomed: of what has run so far too much failed, and no window that ends by go-live can pass any more".into(),
            "ask soakwatch gate why; a later go_live, or an exclusion of what was not theirs".into(),
        );
    }
    if checks.is_empty() {
        weigh.against("none of its checks is judged".into(), "add a check, or take out judged = false".into());
    }
    let known = |c: &CheckEntry| check::Known { pace: paces.get(&c.def.id), past: so_far.and_then(|s| s.slots.get(&c.def.id)) };
    plan.checks = checks.iter().map(|c| check::plan(c, policy, window, known(c), &mut weigh)).collect();
    observed::certificate(plan, entry, policy, window, &mut weigh);
    observed::headroom(plan, entry, policy, now, &mut weigh);
    observed::reconciliation(policy, &mut weigh);
    let holds = |name: &str| history.attestations.iter().any(|a| a.name == name && a.until.is_none_or(|t| window.end < t));
    plan.attest = policy.attest.iter().filter(|name| !weigh.is_waived(name) && !holds(name)).cloned().collect();
    plan.waivers = i
        .waivers
        .iter()
        .map(|w| WaiverPlan {
            criterion: w.criterion.clone(),
            approver: w.approver.clone(),
            until: w.until.to_string(),
            in_force: window.end < w.until,
        })
        .collect();
    for w in plan.waivers.iter().filter(|w| !w.in_force) {
        let what = format!("the waiver for {} ends at {}, before the window does ({})", w.criterion, w.until, window.end);
        weigh.worth_knowing(None, what, "a later until, if it is to count at go-live".into());
    }
    plan.findings = weigh.findings;
    lost(&mut plan.findings, so_far, i.go_live);
}

/// The judge knows of no window that can pass by go-live, and nothing else says why.
fn lost(findings: &mut Vec<Finding>, so_far: Option<&SoFar>, go_live: Option<UnixMs>) {
    let told = findings.iter().any(|f| f.answer == Answer::NotProvable);
    let Some(go_live) = go_live.filter(|_| !told && so_far.is_some_and(|s| s.earliest_pass.is_none())) else { return };
    findings.push(Finding {
        answer: Answer::NotProvable,
        check: None,
        what: format!("by what was recorded so far no window that ends by go-live ({go_live}) can pass"),
        change: "ask soakwatch gate why; a later go_live, or an exclusion of what was not theirs".into(),
    });
}

/// When runs begin to count: at the start, or now where that has gone by unwatched or begins again.
fn since(policy: &Policy, checks: &[&CheckEntry], history: &History, now: UnixMs) -> UnixMs {
    let start = policy.start.max(history.since.unwrap_or(policy.start));
    let watched = !checks.is_empty() && checks.iter().all(|c| c.state.last_run.is_some_and(|t| t >= start));
    let goes_on = (watched || history.so_far.is_some()) && !matches!(history.change, Some(Change::Some(_)));
    if goes_on { start } else { policy.start.max(now) }
}

/// What is planned is not what is judged so far.
fn changed(weigh: &mut Weigh<'_>, i: &Integration, history: &History, now: UnixMs) {
    if i.go_live.is_some_and(|g| g <= now) {
        return;
    }
    match &history.change {
        None | Some(Change::None) => {}
        Some(Change::Some(keys)) => {
            let keys = if keys.is_empty() { "by another version of Soakwatch".to_owned() } else { keys.join(", ") };
            let what = format!("what is judged differs from what the daemon took over before ({keys}): the soak starts again");
            weigh.worth_knowing(None, what, "nothing, if it is meant; else put back what was changed".into());
        }
        Some(Change::Unsure(keys)) => {
            let what = format!("whether what is judged has changed can't be said here: files can't be read ({})", keys.join(", "));
            weigh.worth_knowing(None, what, "ask on the daemon's machine".into());
        }
    }
}

/// The last window that can end by go-live; without go-live the first that can pass.
fn window(policy: &Policy, go_live: Option<UnixMs>, since: UnixMs, earliest: UnixMs) -> Window {
    match go_live.and_then(|g| Frame::at(since, policy.window, Some(g), since).last[0]) {
        Some(last) => last,
        None => Frame::at(since, policy.window, None, earliest).window,
    }
}

/// What start, go-live and now say of each other.
fn time(weigh: &mut Weigh<'_>, i: &Integration, earliest: UnixMs, in_time: bool, now: UnixMs) {
    match i.go_live {
        Some(go_live) if go_live <= now => {
            let what = format!("go-live ({go_live}) has gone by: this is no plan any more");
            weigh.worth_knowing(None, what, "ask the gate how the soak ended, or set the go_live that is meant".into());
        }
        None => weigh.worth_knowing(None, "no go_live is written: the window moves on for ever".into(), "write go_live".into()),
        Some(_) => {}
    }
    if let Some(go_live) = i.go_live.filter(|_| !in_time) {
        let what = format!("go-live ({go_live}) comes before it can be green, {earliest} at the earliest");
        weigh.against(what, format!("go_live = {earliest} or later, an earlier soak.start, or a shorter soak.window"));
    }
}
