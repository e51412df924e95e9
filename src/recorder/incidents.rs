//! Incidents, kept up to date record by record: the engine is asked after every judged run that can change something, what comes of it is shown at once,
//! written with the next commit, and said in the evidence log. Owns what is not written yet. Never judges: `incident::engine` does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::oneshot;

use super::evidence::Saying;
use super::{Recorder, RecorderHandle};
use crate::board::{CheckEntry, FindCheck, IntegrationEntry, phase};
use crate::clock::UnixMs;
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Kind, Scope, time_text};
use crate::fields::IntegrationId;
use crate::incident::act::Act;
use crate::incident::engine::{CheckView, View, step};
use crate::incident::live::Incidents;
use crate::incident::{Event, Incident};
use crate::outcome::Outcome;
use crate::record::Record;

/// A check may depend on one that depends on another, so far.
const DEPTH: usize = 8;
/// The engine is asked again until nothing changes, so often at most.
const ROUNDS: usize = 4;
/// What happened so long ago at most is said again where the log does not have it.
const HEAL_MS: i64 = 7 * crate::clock::DAY_MS;

/// What somebody does with an incident.
#[derive(Debug)]
pub(super) struct Acting {
    id: String,
    act: Act,
    by: String,
    at: UnixMs,
    answer: oneshot::Sender<Arc<Incident>>,
}

/// Incidents on their way to the store.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) live: Arc<Incidents>,
    /// Not written yet.
    changed: BTreeSet<String>,
    /// In the commit under way.
    writing: Vec<Arc<Incident>>,
    /// Who waits until an incident is on disk.
    waiting: BTreeMap<String, Vec<oneshot::Sender<Arc<Incident>>>>,
}

impl Keeping {
    pub(super) fn new(live: Arc<Incidents>) -> Self {
        Self { live, changed: BTreeSet::new(), writing: Vec::new(), waiting: BTreeMap::new() }
    }

    /// Whether there is something to write.
    pub(super) fn waits(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What goes with the next commit.
    pub(super) fn take(&mut self) -> Vec<Arc<Incident>> {
        self.writing = std::mem::take(&mut self.changed).iter().filter_map(|id| self.live.get(id)).collect();
        self.writing.clone()
    }

    /// The commit under way has ended.
    pub(super) fn written(&mut self, done: bool) {
        for incident in std::mem::take(&mut self.writing) {
            if !done {
                self.changed.insert(incident.id.clone());
                continue;
            }
            // It may have changed again meanwhile; what was asked for is in what was written, or comes with the next.
            if !self.changed.contains(&incident.id) {
                for answer in self.waiting.remove(&incident.id).unwrap_or_default() {
                    let _ = answer.send(Arc::clone(&incident));
                }
            }
        }
    }

    /// The store fails: who waits is told so, by not being answered.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }
}

impl RecorderHandle {
    /// Looks at every integration anew: at a start, and when the configuration was changed.
    pub async fn review_incidents(&self) {
        self.send(super::Event::Review).await;
    }

    /// Lets somebody do something with an incident; gives it once it is on disk. `None`: there is no such incident, or it could not be written.
    pub async fn act(&self, id: String, act: Act, by: String, at: UnixMs) -> Option<Arc<Incident>> {
        let (answer, done) = oneshot::channel();
        self.send(super::Event::Act(Box::new(Acting { id, act, by, at, answer }))).await;
        done.await.ok()
    }
}

impl Recorder {
    /// Folds records into the board, and after each what becomes of its integration's incident.
    pub(super) fn show(&mut self, records: &[Record]) {
        for record in records {
            self.board.apply(std::slice::from_ref(record));
            if !record.outcome.counted() {
                continue;
            }
            let integration = record.check.integration();
            // Nothing breaks by passing.
            if record.outcome != Outcome::Pass || self.keeping.live.open(&integration).is_some() {
                let board = Arc::clone(&self.board);
                let now = self.clock.now();
                self.look_at(&integration, &mut |known| board.around(&record.check, |entry, find| step(&view(entry, find, now), known))?);
            }
        }
    }

    /// The configuration may be another, or the store may lack what was said last.
    pub(super) fn review(&mut self) {
        let (board, live, now) = (Arc::clone(&self.board), Arc::clone(&self.keeping.live), self.clock.now());
        let mut there = BTreeSet::new();
        for _ in 0..ROUNDS {
            let mut changes = Vec::new();
            board.each(&mut |entry, find| {
                let known = live.current(&entry.def.id);
                if let Some(next) = step(&view(entry, find, now), known.as_deref()) {
                    changes.push((known, next));
                }
                there.insert(entry.def.id.clone());
            });
            if changes.is_empty() {
                break;
            }
            changes.into_iter().for_each(|(known, next)| self.change(known.as_deref(), next));
        }
        for incident in self.keeping.live.all() {
            if incident.is_open() && !there.contains(&incident.integration) {
                self.change(Some(&incident), incident.removed(now));
            } else if incident.is_open() || incident.closed.is_some_and(|c| now.0.saturating_sub(c.0) < HEAL_MS) {
                self.say_again(&incident);
            }
        }
    }

    fn look_at(&mut self, integration: &IntegrationId, next: &mut dyn FnMut(Option<&Incident>) -> Option<Incident>) {
        for _ in 0..ROUNDS {
            let known = self.keeping.live.current(integration);
            let Some(incident) = next(known.as_deref()) else { return };
            self.change(known.as_deref(), incident);
        }
    }

    /// From here on an incident is as it is now.
    fn change(&mut self, known: Option<&Incident>, next: Incident) {
        let before = known.filter(|k| k.id == next.id);
        let worse = before.is_some_and(|b| b.severity != next.severity && b.reclassified == next.reclassified);
        for entry in next.since(before) {
            match entry.event {
                Event::Opened | Event::Reopened | Event::Closed => {
                    tell(&next, entry.event, &entry.text);
                    self.say_incident(&next, entry.event, entry.at);
                }
                Event::Updated => {
                    tracing::info!(incident = next.id, integration = %next.integration, "{}: {}", next.integration, entry.text);
                }
                Event::Acknowledged | Event::Noted | Event::Reclassified => {}
            }
        }
        if worse {
            let at = next.timeline.last().map_or(next.opened, |e| e.at);
            self.say_incident(&next, Event::Updated, at);
        }
        self.urgent = true;
        self.keeping.changed.insert(next.id.clone());
        self.keeping.live.put(next);
    }

    fn say_incident(&mut self, incident: &Incident, event: Event, at: UnixMs) {
        let entry = record(incident, event, at, self.clock.now());
        self.soaks.expect_incident(&incident.integration, &entry);
        self.say(Saying { entry, answer: None });
    }

    /// What was written of an incident but is not in the log, for the daemon ended in between.
    fn say_again(&mut self, incident: &Incident) {
        let known = self.soaks.known(&incident.integration).unwrap_or_default();
        for entry in &incident.timeline {
            let told = matches!(entry.event, Event::Opened | Event::Reopened | Event::Closed);
            if told && !known.incidents.has(&incident.id, entry.event, entry.at) {
                self.say_incident(incident, entry.event, entry.at);
            }
        }
    }

    /// Somebody does something. An incident that is not at hand can't be changed.
    pub(super) fn act(&mut self, Acting { id, act, by, at, answer }: Acting) {
        let Some(incident) = self.keeping.live.get(&id).filter(|_| !self.store_fails) else { return };
        self.change(Some(&incident), incident.after(&act, &by, at));
        self.keeping.waiting.entry(id).or_default().push(answer);
    }
}

/// How an integration stands, as the engine wants it.
fn view<'a>(entry: &'a IntegrationEntry, find: &FindCheck<'_>, now: UnixMs) -> View<'a> {
    let def = &entry.def;
    let check = |c: &'a CheckEntry| {
        let (blocked, awaits) = blockers(c, find, now);
        CheckView {
            id: &c.def.id,
            host: c.def.host.as_deref().map(str::to_owned),
            every_ms: c.def.every.ms(),
            recent: &c.state.recent,
            failing_since: c.state.failing_since,
            blocked,
            awaits,
        }
    };
    View {
        integration: &def.id,
        owner: def.owner,
        criticality: def.criticality,
        phase: phase(def, now),
        quiet: def.paused.is_some() || def.maintenance_at(now).is_some(),
        policy: def.incident,
        checks: entry.checks.iter().filter(|c| c.def.judged).map(check).collect(),
        now,
    }
}

/// When one of the checks it depends on failed last, and when the one that was asked the longest ago was asked, of those that are being run.
fn blockers(check: &CheckEntry, find: &FindCheck<'_>, now: UnixMs) -> (Option<UnixMs>, Option<UnixMs>) {
    let (mut failed, mut asked): (Option<UnixMs>, Option<UnixMs>) = (None, None);
    let mut next = check.def.blocked_by.clone();
    for _ in 0..DEPTH {
        let Some(by) = next.as_ref().and_then(find) else { break };
        let run = by.state.recent.last().map(|(slot, _)| slot);
        failed = failed.max(by.state.recent.bad().back().map(|r| r.slot));
        if let Some(run) = run.filter(|run| run.plus(by.def.every.0 * 3) > now) {
            asked = Some(asked.map_or(run, |a| a.min(run)));
        }
        next.clone_from(&by.def.blocked_by);
    }
    (failed, asked)
}

/// What happened to an incident, as a record of the evidence log.
fn record(i: &Incident, event: Event, at: UnixMs, now: UnixMs) -> Entry {
    let checks: Vec<&str> = i.checks.iter().map(|a| a.check.check()).collect();
    let body = json!({
        "incident": i.id,
        "event": event.as_str(),
        "at": time_text(at),
        "first_bad": time_text(i.first_bad),
        "opened": time_text(i.opened),
        "severity": i.severity,
        "class": i.class,
        "attribution": i.attribution,
        "checks": crate::evidence::entry::listed(checks),
    });
    Entry::new(now, Kind::Incident, Scope::integration(&i.integration), DAEMON, body)
}

fn tell(i: &Incident, event: Event, text: &str) {
    let (severity, class, attribution) = (i.severity.as_str(), i.class.as_str(), i.attribution.as_str());
    let integration = &i.integration;
    match event {
        Event::Closed => tracing::info!(incident = i.id, severity, "{integration}: incident {} closed: {text}", i.id),
        _ => tracing::warn!(incident = i.id, severity, class, attribution, "{integration}: incident {} {event}: {text}", i.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Class;
    use crate::recorder::tests::{Bench, START, ran};
    use crate::store::Reader;

    fn stored(bench: &Bench) -> Vec<Incident> {
        Reader::open(&bench.store()).unwrap().incidents().unwrap()
    }

    fn said(bench: &Bench) -> Vec<String> {
        let log = Reader::open(&bench.store()).unwrap().evidence("acme", "staging", UnixMs(i64::MAX)).unwrap();
        let events = log.into_iter().filter_map(|l| l.record).filter(|r| r.kind == "incident");
        events.map(|r| r.body["event"].as_str().unwrap().to_owned()).collect()
    }

    /// Commits until nothing waits.
    async fn drain(bench: &mut Bench) {
        while !bench.recorder.pending.is_empty() || !bench.recorder.after.is_empty() || bench.recorder.keeping.waits() {
            bench.commit(|_| {}).await;
        }
    }

    #[tokio::test]
    async fn while_the_store_fails_an_incident_is_known_and_it_is_written_later() {
        let mut bench = Bench::new("");
        bench.takes(ran(0, Some(Class::Timeout)));
        let lock = bench.lock();
        bench.commit(|_| {}).await;
        bench.takes(ran(1, Some(Class::Timeout)));
        bench.takes(ran(2, Some(Class::Timeout)));
        let live = Arc::clone(&bench.recorder.keeping.live);
        assert_eq!(live.all_open().len(), 1, "it is shown at once");
        drop(lock);
        drain(&mut bench).await;
        let known = live.all();
        assert_eq!(stored(&bench).iter().collect::<Vec<_>>(), known.iter().map(Arc::as_ref).collect::<Vec<_>>());
        assert_eq!((known[0].opened, said(&bench)), (UnixMs(START.0 + 2_000), vec!["opened".to_owned()]));
        assert!(!bench.recorder.keeping.waits());
    }

    #[tokio::test]
    async fn what_a_kill_left_out_is_made_good_at_the_start_and_nothing_twice() {
        let mut bench = Bench::new("");
        for n in 0..3 {
            bench.takes(ran(n, Some(Class::Timeout)));
        }
        // The runs are stored, and the daemon is killed before the incident is.
        bench.commit(|_| {}).await;
        assert_eq!((stored(&bench).len(), said(&bench).len()), (0, 0));
        let before = bench.recorder.keeping.live.all();
        bench.recorder.keeping = Keeping::new(Arc::default());
        bench.recorder.after.clear();
        bench.recorder.soaks = Arc::default();
        bench.recorder.take(super::super::Event::Review);
        drain(&mut bench).await;
        assert_eq!((bench.recorder.keeping.live.all(), said(&bench)), (before, vec!["opened".to_owned()]));
        // The incident is stored, and what is to be said of it is not.
        bench.recorder.soaks = Arc::default();
        bench.recorder.take(super::super::Event::Review);
        drain(&mut bench).await;
        assert_eq!(said(&bench), ["opened", "opened"], "the log was forgotten here, so it is said again");
        bench.recorder.take(super::super::Event::Review);
        drain(&mut bench).await;
        assert_eq!((said(&bench).len(), stored(&bench).len()), (2, 1));
    }

    #[tokio::test]
    async fn who_acts_hears_that_it_is_on_disk_and_nobody_changes_what_is_not_there() {
        let mut bench = Bench::new("");
        for n in 0..3 {
            bench.takes(ran(n, Some(Class::Timeout)));
        }
        bench.commit(|_| {}).await;
        let id = bench.recorder.keeping.live.all()[0].id.clone();
        let mut acts = |id: &str| {
            let (answer, done) = oneshot::channel();
            let acting = Acting { id: id.to_owned(), act: Act::Acknowledge(None), by: "j.doe".into(), at: START, answer };
            bench.recorder.take(super::super::Event::Act(Box::new(acting)));
            done
        };
        let (nobody, somebody) = (acts("aaaaaaaaaaaa"), acts(&id));
        assert!(nobody.await.is_err());
        bench.commit(|_| {}).await;
        assert_eq!(somebody.await.unwrap().acknowledged, Some(("j.doe".to_owned(), START)));
        assert_eq!(stored(&bench)[0].acknowledged, Some(("j.doe".to_owned(), START)));
    }
}
