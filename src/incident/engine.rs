//! What becomes of an integration's incident, by how its checks stand: opened, changed, closed, opened again.
//!
//! A function of states: applied twice to the same ones it changes nothing the second time, and applied after a restart it goes on where it was. Pure.

use std::cmp::Reverse;

use super::{Affected, Entry, Event, Incident, MOST_RUNS, Policy, Ran, Recent, SeenRun, Severity};
use crate::clock::UnixMs;
use crate::fields::{CheckId, IntegrationId};
use crate::outcome::{Attribution, Class, Criticality, Owner, Phase};

/// Checks named in one incident at most; of more the first that broke.
pub const MOST_CHECKS: usize = 200;
/// So many intervals of a check belong together at least, however short the time for opening again is.
const REOPEN_INTERVALS: i64 = 10;

/// How an integration stands.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Which.
    pub integration: &'a IntegrationId,
    /// Who owns the far side.
    pub owner: Owner,
    /// How much it matters.
    pub criticality: Criticality,
    /// Where it stands.
    pub phase: Phase,
    /// Paused, or inside a maintenance window: nothing opens.
    pub quiet: bool,
    /// When an incident opens and closes.
    pub policy: Policy,
    /// Its judged checks.
    pub checks: Vec<CheckView<'a>>,
    /// Now: for what no run tells.
    pub now: UnixMs,
}

/// How a check stands.
#[derive(Clone, Debug)]
pub struct CheckView<'a> {
    /// Which.
    pub id: &'a CheckId,
    /// Host and port it talks to, where it talks to one.
    pub host: Option<String>,
    /// Its interval in milliseconds.
    pub every_ms: i64,
    /// Its last runs.
    pub recent: &'a Recent,
    /// Slot of the first run of the present streak of failures.
    pub failing_since: Option<UnixMs>,
    /// When a check that it depends on failed last: what it did up to then is not its own.
    pub blocked: Option<UnixMs>,
    /// The last run of a check that it depends on, where that one is run: until it was asked again, nobody knows whose failure it is.
    pub awaits: Option<UnixMs>,
}

/// A check that breaks.
struct Broke {
    first_bad: UnixMs,
    /// The run that showed it.
    shown: UnixMs,
    why: String,
}

impl CheckView<'_> {
    /// Runs that did not pass and count, of those at hand, oldest first.
    fn bad(&self, after: Option<UnixMs>) -> impl DoubleEndedIterator<Item = &Ran> {
        let after = after.max(self.blocked);
        self.recent.bad().iter().filter(move |r| Some(r.slot) > after)
    }

    /// Whether it is broken by runs after a time: so many in a row, or by coming and going.
    fn broke(&self, policy: &Policy, after: Option<UnixMs>) -> Option<Broke> {
        self.fails(policy, after).filter(|b| self.awaits.is_none_or(|asked| asked >= b.first_bad))
    }

    fn fails(&self, policy: &Policy, after: Option<UnixMs>) -> Option<Broke> {
        let failing = self.recent.failing() as usize;
        let newest = self.bad(after).next_back()?.slot;
        if failing == 0 {
            return None;
        }
        let streak: Vec<&Ran> = self.bad(after).filter(|r| Some(r.slot) >= self.failing_since).collect();
        let enough = policy.fail_after as usize;
        if streak.len() >= enough {
            // Of a long streak only the end is at hand.
            let whole = failing <= MOST_RUNS;
            let begin = self.failing_since.filter(|since| Some(*since) > after.max(self.blocked));
            let first_bad = begin.or_else(|| streak.first().map(|r| r.slot)).unwrap_or(newest);
            let shown = streak.get(enough - 1).filter(|_| whole).map_or(newest, |r| r.slot);
            return Some(Broke { first_bad, shown, why: in_a_row(enough, "did not pass") });
        }
        let failed = self.bad(after).count() as u32;
        if self.recent.flaps() && failed * 2 >= super::FLAPPING_RUNS {
            let first_bad = self.bad(after).next()?.slot;
            let why = format!("it comes and goes: {failed} of its last {} runs did not pass", super::FLAPPING_RUNS);
            return Some(Broke { first_bad, shown: newest, why });
        }
        None
    }

    /// The slot by which it works again, if it does.
    fn recovered(&self, policy: &Policy) -> Option<UnixMs> {
        let works = self.recent.passing() >= policy.pass_after && !self.recent.flaps();
        self.recent.last().filter(|_| works).map(|(slot, _)| slot)
    }
}

fn in_a_row(n: usize, what: &str) -> String {
    match n {
        1 => format!("its last run {what}"),
        n => format!("{n} runs in a row {what}"),
    }
}

/// What becomes of the incident that is open, or of the last one that closed; `None`: nothing changes.
pub fn step(view: &View<'_>, known: Option<&Incident>) -> Option<Incident> {
    let mut next = match known {
        Some(open) if open.is_open() => open.clone(),
        Some(closed) => return open(view, Some(closed)),
        None => return open(view, None),
    };
    let open = &mut next;
    for check in &view.checks {
        open.take(check);
    }
    open.leave(view);
    if !view.quiet {
        for check in &view.checks {
            open.spread(check, &view.policy);
        }
    }
    open.recover(view);
    open.judge(view);
    open.close();
    (Some(&next) != known).then_some(next)
}

/// A new incident, or the last one once more.
fn open(view: &View<'_>, last: Option<&Incident>) -> Option<Incident> {
    if view.quiet {
        return None;
    }
    let closed = last.and_then(|i| i.closed);
    let breaks = |c: &CheckView<'_>| c.broke(&view.policy, over(last, c.id));
    // Of several, at a start, the one that broke first.
    let mut broken: Vec<(&CheckView<'_>, Broke)> = view.checks.iter().filter_map(|c| Some((c, breaks(c)?))).collect();
    broken.sort_by(|a, b| (a.1.shown, a.1.first_bad, a.0.id).cmp(&(b.1.shown, b.1.first_bad, b.0.id)));
    let (check, broke) = broken.first()?;
    let soon = view.policy.reopen_within.ms().max(check.every_ms.saturating_mul(REOPEN_INTERVALS));
    let again = last.zip(closed).filter(|(_, closed)| broke.first_bad.0.saturating_sub(closed.0) <= soon);
    let mut incident = match again {
        Some((last, _)) => {
            let mut i = last.clone();
            (i.closed, i.reopened) = (None, i.reopened.saturating_add(1));
            // What it was before may be mended, and something else be broken now.
            i.since_again.clear();
            i
        }
        None => new(view, check, broke),
    };
    let event = if again.is_some() { Event::Reopened } else { Event::Opened };
    incident.log(broke.shown, event, None, &format!("{}: {}", check.id.check(), broke.why));
    let mut rest = broken.into_iter();
    if let Some((check, broke)) = rest.next() {
        incident.affect(check, &broke);
    }
    for (check, broke) in rest {
        incident.log(broke.shown, Event::Updated, None, &format!("{}, too: {}", check.id.check(), broke.why));
        incident.affect(check, &broke);
    }
    incident.judge(view);
    Some(incident)
}

/// Up to when a check's runs were part of an incident: what failed by then is told already.
fn over(known: Option<&Incident>, check: &CheckId) -> Option<UnixMs> {
    let affected = known?.checks.iter().find(|a| a.check == *check)?;
    affected.recovered.or(Some(affected.seen))
}

fn new(view: &View<'_>, check: &CheckView<'_>, broke: &Broke) -> Incident {
    let last = check.recent.bad().back();
    Incident {
        id: Incident::id_for(view.integration, broke.first_bad),
        integration: view.integration.clone(),
        first_bad: broke.first_bad,
        opened: broke.shown,
        closed: None,
        severity: Severity::of(view.criticality, view.phase),
        class: last.map_or(Class::Internal, |r| r.class),
        attribution: last.map_or(Attribution::Unknown, |r| r.attribution),
        owner: view.owner,
        criticality: view.criticality,
        phase: view.phase,
        checks: Vec::new(),
        classes: Vec::new(),
        since_again: Vec::new(),
        reopened: 0,
        acknowledged: None,
        reclassified: None,
        before: Vec::new(),
        runs: Vec::new(),
        timeline: Vec::new(),
    }
}

impl Incident {
    /// Takes a check in that breaks, with the runs that show it.
    fn affect(&mut self, check: &CheckView<'_>, broke: &Broke) {
        let place = match self.checks.iter().position(|a| a.check == *check.id) {
            Some(place) => place,
            None => {
                if self.checks.len() >= MOST_CHECKS {
                    // One that works again makes room.
                    let Some(room) = self.checks.iter().position(|a| !a.open) else { return };
                    self.checks.remove(room);
                }
                let (check, host) = (check.id.clone(), check.host.clone());
                let seen = UnixMs(broke.first_bad.0.saturating_sub(1));
                let first_bad = broke.first_bad;
                self.checks.push(Affected { check, host, first_bad, last_bad: first_bad, failures: 0, open: true, recovered: None, seen });
                self.checks.len() - 1
            }
        };
        if let Some(affected) = self.checks.get_mut(place) {
            (affected.open, affected.recovered) = (true, None);
            // What failed between is no part of it.
            affected.seen = affected.seen.max(UnixMs(broke.first_bad.0.saturating_sub(1)));
            affected.host.clone_from(&check.host);
        }
        self.first_bad = self.first_bad.min(broke.first_bad);
        self.take(check);
    }

    /// Takes in what a check that is part of it did since.
    fn take(&mut self, check: &CheckView<'_>) {
        let Some(affected) = self.checks.iter_mut().find(|a| a.check == *check.id && a.open) else { return };
        let before = affected.seen;
        let mut runs: Vec<SeenRun> = Vec::new();
        for r in check.recent.bad().iter().filter(|r| r.slot > before) {
            (affected.last_bad, affected.failures) = (r.slot, affected.failures.saturating_add(1));
            count(&mut self.classes, r);
            if self.reopened > 0 {
                count(&mut self.since_again, r);
            }
            let (class, attribution) = (Some(r.class), Some(r.attribution));
            runs.push(SeenRun { check: check.id.clone(), slot: r.slot, class, attribution, status: r.status, detail: r.detail.clone() });
        }
        if let Some((slot, status)) = check.recent.last().filter(|(slot, _)| *slot > before) {
            affected.seen = slot;
            if check.recent.passing() > 0 {
                runs.push(SeenRun { check: check.id.clone(), slot, class: None, attribution: None, status, detail: None });
            }
        }
        self.runs.append(&mut runs);
        self.runs.sort_by(|a, b| (a.slot, &a.check).cmp(&(b.slot, &b.check)));
        // The first one shows how it began.
        if self.runs.len() > MOST_RUNS + 1 {
            self.runs.drain(1..self.runs.len() - MOST_RUNS);
        }
    }

    /// Checks that left the configuration, or are judged no more, are broken no more.
    fn leave(&mut self, view: &View<'_>) {
        let there = |id: &CheckId| view.checks.iter().any(|c| c.id == id);
        let mut gone = Vec::new();
        for affected in self.checks.iter_mut().filter(|a| a.open && !there(&a.check)) {
            affected.open = false;
            gone.push(format!("{} left the configuration, or is judged no more", affected.check.check()));
        }
        let ends = !gone.is_empty() && self.checks.iter().all(|a| !a.open);
        for (n, text) in gone.iter().enumerate() {
            let last = ends && n + 1 == gone.len();
            self.log(view.now, if last { Event::Closed } else { Event::Updated }, None, text);
        }
        if ends {
            self.closed = Some(view.now.max(self.opened));
        }
    }

    /// Checks that work again.
    fn recover(&mut self, view: &View<'_>) {
        for check in &view.checks {
            let Some(affected) = self.checks.iter_mut().find(|a| a.check == *check.id && a.open) else { continue };
            let Some(at) = check.recovered(&view.policy).filter(|at| *at > affected.last_bad) else { continue };
            (affected.open, affected.recovered) = (false, Some(at));
            if self.checks.iter().any(|a| a.open) {
                self.log(at, Event::Updated, None, &format!("{} works again", check.id.check()));
            }
        }
    }

    /// A check that breaks while the incident goes on.
    fn spread(&mut self, check: &CheckView<'_>, policy: &Policy) {
        let known = self.checks.iter().find(|a| a.check == *check.id);
        if !self.is_open() || known.is_some_and(|a| a.open) {
            return;
        }
        let words = if known.is_some() { "once more" } else { "too" };
        let Some(broke) = check.broke(policy, over(Some(self), check.id)) else { return };
        self.log(broke.shown, Event::Updated, None, &format!("{}, {words}: {}", check.id.check(), broke.why));
        self.affect(check, &broke);
    }

    /// What it is, whose and how bad; what people said of it stays.
    fn judge(&mut self, view: &View<'_>) {
        if self.reclassified.is_some() || !self.is_open() {
            return;
        }
        let (severity, at) = (Severity::of(view.criticality, view.phase), self.newest(view));
        if severity < self.severity {
            self.log(at, Event::Updated, None, &format!("now {severity}: {} and in {}", view.criticality, view.phase));
            self.severity = severity;
        }
        let Some((class, attribution, _)) = self.since_again.first().or(self.classes.first()).copied() else { return };
        if (class, attribution) != (self.class, self.attribution) {
            (self.class, self.attribution) = (class, attribution);
            let text = format!("most failures are {class} ({attribution})");
            // Two that take turns are said once.
            if !self.timeline.iter().any(|e| e.text == text) {
                self.log(at, Event::Updated, None, &text);
            }
        }
    }

    /// It ends when every check works again.
    fn close(&mut self) {
        if !self.is_open() || self.checks.iter().any(|a| a.open) {
            return;
        }
        let Some(last) = self.checks.iter().filter(|a| a.recovered.is_some()).max_by_key(|a| a.recovered) else { return };
        let (name, at) = (last.check.check().to_owned(), last.recovered.unwrap_or(self.opened).max(self.opened));
        let all = if self.checks.len() > 1 { ", the last of the checks that were broken" } else { "" };
        self.log(at, Event::Closed, None, &format!("{name} works again{all}"));
        self.closed = Some(at);
    }

    /// The time of what it knows last.
    fn newest(&self, view: &View<'_>) -> UnixMs {
        self.checks.iter().map(|a| a.seen).max().unwrap_or(view.now)
    }

    /// The integration left the configuration.
    pub fn removed(&self, now: UnixMs) -> Self {
        let mut gone = self.clone();
        gone.checks.iter_mut().for_each(|a| a.open = false);
        gone.closed = Some(now.max(gone.opened));
        gone.log(now, Event::Closed, None, "the integration left the configuration");
        gone
    }

    /// What happened since it was as it was before: the entries that are new.
    pub fn since<'i>(&'i self, before: Option<&Incident>) -> &'i [Entry] {
        let Some(before) = before else { return &self.timeline };
        let known = before.timeline.last();
        let from = self.timeline.iter().rposition(|e| Some(e) == known).map_or(0, |n| n + 1);
        self.timeline.get(from..).unwrap_or_default()
    }
}

/// One failure more of its class. Most first; of equals the latest.
fn count(classes: &mut Vec<(Class, Attribution, u64)>, r: &Ran) {
    let known = classes.iter().position(|(class, attribution, _)| (*class, *attribution) == (r.class, r.attribution));
    let n = known.map_or(0, |at| classes.remove(at).2).saturating_add(1);
    let place = classes.partition_point(|(.., other)| Reverse(*other) < Reverse(n));
    classes.insert(place, (r.class, r.attribution, n));
}
