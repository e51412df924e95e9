//! Incidents as API and command line show them (docs/incidents.md): times as text, and what is derived beside what is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommonCause, Event, Incident, Severity};
use crate::clock::UnixMs;
use crate::evidence::written::{time, time_option};
use crate::outcome::{Attribution, Class, Criticality, Owner, Phase};
use crate::run_id::RunId;

/// Incidents, the open ones first, then the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct IncidentList {
    /// When it was asked for.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub now: UnixMs,
    /// The incidents.
    pub incidents: Vec<IncidentShown>,
    /// What several of them have in common.
    pub common_causes: Vec<CauseShown>,
    /// The cursor of the next page, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct IncidentShown {
    /// Its id.
    pub id: String,
    /// customer/environment/integration.
    pub integration: String,
    /// Whether it goes on.
    pub open: bool,
    /// How bad it is.
    pub severity: Severity,
    /// What it mostly is.
    pub class: Class,
    /// Whose it most likely is.
    pub attribution: Attribution,
    /// Who owns the far side.
    pub owner: Owner,
    /// How much the integration mattered when it opened.
    pub criticality: Criticality,
    /// Where it stood then.
    pub phase: Phase,
    /// Slot of the first run that did not pass.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub first_bad: UnixMs,
    /// Slot of the run that made it an incident.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub opened: UnixMs,
    /// Slot of the run that ended it.
    #[schemars(with = "Option<String>")]
    #[serde(with = "time_option")]
    pub closed: Option<UnixMs>,
    /// Seconds from the first bad run to the one that made it an incident.
    pub time_to_detect_s: i64,
    /// Seconds from the first bad run to the end; absent while it is open.
    pub time_to_repair_s: Option<i64>,
    /// How often it broke again after it had closed.
    pub reopened: u32,
    /// Who is on it.
    pub acknowledged: Option<BySomebody>,
    /// Who said what it is.
    pub reclassified: Option<BySomebody>,
    /// Where to look up what to do.
    pub runbook: Option<String>,
    /// What it may have in common with others.
    pub common_cause: Option<CauseShown>,
    /// The checks that were broken.
    pub checks: Vec<AffectedShown>,
    /// Failures by class, most first.
    pub classes: Vec<ClassShown>,
    /// Runs as evidence, oldest first.
    pub runs: Vec<RunShown>,
    /// What happened, oldest first.
    pub timeline: Vec<EntryShown>,
}

/// Somebody, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct BySomebody {
    /// The name of their token.
    pub by: String,
    /// When.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub at: UnixMs,
}

/// A check of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct AffectedShown {
    /// Its name in the integration.
    pub check: String,
    /// Host and port it talks to.
    pub host: Option<String>,
    /// Whether it is broken.
    pub open: bool,
    /// First and last run that did not pass.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub first_bad: UnixMs,
    /// See `first_bad`.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub last_bad: UnixMs,
    /// How many runs did not pass.
    pub failures: u64,
}

/// Failures of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct ClassShown {
    /// Which.
    pub class: Class,
    /// Whose.
    pub attribution: Attribution,
    /// How many.
    pub failures: u64,
}

/// A run of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct RunShown {
    /// Its id; of a daemon that knew none, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Which check's.
    pub check: String,
    /// Its slot.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub slot: UnixMs,
    /// Whether it passed.
    pub passed: bool,
    /// What went wrong.
    pub class: Option<Class>,
    /// The last status.
    pub status: Option<u16>,
    /// What happened, for people.
    pub detail: Option<String>,
}

/// An entry of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct EntryShown {
    /// When.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub at: UnixMs,
    /// What.
    pub event: Event,
    /// Who; absent: Soakwatch.
    pub by: Option<String>,
    /// In words.
    pub text: String,
}

/// What several incidents have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub struct CauseShown {
    /// Its id.
    pub id: String,
    /// Host and port all of them talk to.
    pub host: String,
    /// When the first of them began.
    #[schemars(with = "String")]
    #[serde(with = "time")]
    pub since: UnixMs,
    /// What most of them are.
    pub class: Class,
    /// Their ids, oldest first.
    pub incidents: Vec<String>,
}

impl From<&CommonCause> for CauseShown {
    fn from(c: &CommonCause) -> Self {
        let CommonCause { id, host, since, class, incidents } = c.clone();
        Self { id, host, since, class, incidents }
    }
}

impl IncidentShown {
    /// An incident as it is shown. `runbook`: of its integration; `causes`: all there are.
    pub fn of(i: &Incident, runbook: Option<String>, causes: &[CommonCause]) -> Self {
        let somebody = |who: &Option<(String, UnixMs)>| who.clone().map(|(by, at)| BySomebody { by, at });
        Self {
            id: i.id.clone(),
            integration: i.integration.to_string(),
            open: i.is_open(),
            severity: i.severity,
            class: i.class,
            attribution: i.attribution,
            owner: i.owner,
            criticality: i.criticality,
            phase: i.phase,
            first_bad: i.first_bad,
            opened: i.opened,
            closed: i.closed,
            time_to_detect_s: i.time_to_detect_ms() / 1_000,
            time_to_repair_s: i.time_to_repair_ms().map(|ms| ms / 1_000),
            reopened: i.reopened,
            acknowledged: somebody(&i.acknowledged),
            reclassified: somebody(&i.reclassified),
            runbook,
            common_cause: causes.iter().find(|c| c.incidents.contains(&i.id)).map(CauseShown::from),
            checks: i.checks.iter().map(affected).collect(),
            classes: i
                .classes
                .iter()
                .map(|(class, attribution, n)| ClassShown { class: *class, attribution: *attribution, failures: *n })
                .collect(),
            runs: i.runs.iter().map(run).collect(),
            timeline: i.timeline.iter().map(entry).collect(),
        }
    }
}

fn affected(a: &super::Affected) -> AffectedShown {
    let (check, host) = (a.check.check().to_owned(), a.host.clone());
    AffectedShown { check, host, open: a.open, first_bad: a.first_bad, last_bad: a.last_bad, failures: a.failures }
}

fn run(r: &super::SeenRun) -> RunShown {
    let (check, detail) = (r.check.check().to_owned(), r.detail.clone());
    RunShown {
        run: Some(RunId::of(&r.check, r.slot)),
        check,
        slot: r.slot,
        passed: r.class.is_none(),
        class: r.class,
        status: r.status,
        detail,
    }
}

fn entry(e: &super::Entry) -> EntryShown {
    let super::Entry { at, event, by, text } = e.clone();
    EntryShown { at, event, by, text }
}
