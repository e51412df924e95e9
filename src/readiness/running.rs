//! One integration's soak while the daemon runs: the fold of each check's runs, whether it holds what the store holds, and what was said of it. Nothing is
//! ever subtracted from a fold; when an hour leaves the window or something is excluded, the check is folded again.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::assemble::AHEAD_MS;
use super::basis::Basis;
use super::case::ExclusionCase;
use super::incidents::ToldIncidents;
use super::log::{Known, Log};
use super::said::{Began, waiver_key};
use super::seen::{self, Noted, Past, Watcher};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::config::fingerprint::{Change, Fingerprint};
use crate::config::model::{CheckDef, Integration, SoakPolicy};
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Kind, Scope, time_text};
use crate::record::Run;
use crate::slots::Grid;
use crate::soak::{
    CheckFold, CheckInput, Doubts, Exclusion, Frame, Input, Observations, Rules, Ruling, Stage, Value, Verdict, as_of, judge,
};

/// Runs that come while a check is folded again are kept so far; of more it is folded once more.
const MOST_LATE: usize = 10_000;
/// While folds are made again the last verdict stands in; one older than this is not to be relied on.
const STANDS_IN_MS: i64 = 300_000;
/// A window that was frozen so long ago holds all of its runs: those that were under way at go-live, too.
const SETTLED_MS: i64 = 120_000;

/// Whether a fold holds what the store holds.
#[derive(Debug)]
enum Standing {
    /// It does.
    Whole,
    /// It does not.
    Stale,
    /// The store is being read; what came since.
    Reading(Vec<Run>),
}

/// One check's runs.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) def: Arc<CheckDef>,
    exclusions: Vec<Exclusion>,
    fold: CheckFold,
    standing: Standing,
    /// Stored runs of it could not be read.
    flaw: Option<String>,
}

/// One integration's soak.
#[derive(Debug)]
pub(super) struct Soak {
    pub(super) def: Arc<Integration>,
    policy: Arc<SoakPolicy>,
    fingerprint: Fingerprint,
    basis: Basis,
    /// What its basis leaves in doubt.
    doubts: Vec<String>,
    exclusions: Vec<ExclusionCase>,
    /// What the log says was observed.
    past: Past,
    /// What it says of incidents.
    incidents: ToldIncidents,
    watcher: Watcher,
    pub(super) parts: Vec<Part>,
    /// Something came since it was judged last.
    pub(super) touched: bool,
    /// The ruling that was said last, and whether it was said of a frozen window.
    said: (Option<String>, bool),
    waived: BTreeSet<String>,
    /// The last verdict, for while its folds are being made again.
    last: Option<Verdict>,
}

/// How what a soak would judge under a configuration differs from what it judges. It has begun. What differs begins it again.
pub fn change(def: &Integration, fingerprint: &Fingerprint, before: &Fingerprint, now: UnixMs) -> Change {
    if has_gone_live(def, now) { Change::None } else { fingerprint.since(before) }
}

fn has_gone_live(def: &Integration, now: UnixMs) -> bool {
    def.go_live.is_some_and(|g| g <= now)
}

/// The record that a soak begins, or begins again, if it does now. After go-live nothing begins again: what runs after it is no soak.
pub(super) fn begun(
    def: &Integration,
    policy: &SoakPolicy,
    fingerprint: &Fingerprint,
    known: Option<&Known>,
    now: UnixMs,
) -> Option<Entry> {
    let begin = |since, fingerprint: &Fingerprint| Began { since, fingerprint: fingerprint.clone() };
    let Some(before) = known.and_then(|k| k.began.as_ref()) else {
        return Some(begin(policy.start, fingerprint).entry(now, &def.id, None));
    };
    if has_gone_live(def, now) {
        return None;
    }
    let has_begun = before.since <= now;
    if let Change::Some(changed) = change(def, fingerprint, &before.fingerprint, now) {
        let began = begin(policy.start.max(now), fingerprint);
        // Before its start nothing was judged yet, so nothing is judged again.
        return Some(began.entry(now, &def.id, has_begun.then_some(&changed[..])));
    }
    // What can't be told decides nothing. A start may be put off, and before it has come it may be put anywhere.
    let moved = policy.start > before.since || (policy.start < before.since && !has_begun);
    moved.then(|| begin(policy.start, &before.fingerprint).entry(now, &def.id, None))
}

fn rules<'a>(def: &CheckDef, policy: &'a SoakPolicy, exclusions: &'a [Exclusion]) -> Rules<'a> {
    Rules {
        policy,
        judge: def.judge,
        throttled_excluded: def.integration.throttled_excluded,
        grid: def.kind.is_asked().then(|| Grid::of(def)),
        exclusions,
    }
}

/// Whether stored runs hold another one: as it is, or as a part of a span.
fn hold(runs: &[Run], other: &Run) -> bool {
    let holds = |slot: UnixMs| {
        let at = runs.partition_point(|r| r.slot <= slot);
        at.checked_sub(1).and_then(|n| runs.get(n)).is_some_and(|r| slot <= r.last_slot() && r.outcome == other.outcome)
    };
    holds(other.slot) && holds(other.last_slot())
}

impl Soak {
    /// A soak without its checks. `known`: what the log knows of it.
    pub(super) fn new(def: &Arc<Integration>, policy: &Arc<SoakPolicy>, fingerprint: &Fingerprint, known: &Known) -> Self {
        let basis = Basis::of(policy, Some(fingerprint), Some(known));
        Self {
            def: Arc::clone(def),
            policy: Arc::clone(policy),
            fingerprint: fingerprint.clone(),
            doubts: basis.doubts(),
            basis,
            exclusions: known.exclusions.clone(),
            past: known.observed.clone(),
            incidents: known.incidents.clone(),
            watcher: Watcher::default(),
            parts: Vec::new(),
            touched: true,
            said: (known.said.clone(), known.said_frozen),
            waived: known.waived.clone(),
            last: None,
        }
    }

    /// Adds a check. `old`: its part under the configuration before; alike in all that the fold is made by, it goes on.
    pub(super) fn add(&mut self, def: &Arc<CheckDef>, old: Option<Part>, now: UnixMs) {
        let frame = self.frame(now);
        let exclusions = ExclusionCase::of(&self.exclusions, &def.id);
        let kept = old.filter(|p| *p.def == **def && p.exclusions == exclusions && p.fold.fits(&frame));
        let part = kept.unwrap_or_else(|| {
            let fold = CheckFold::new(&frame, &rules(def, &self.policy, &exclusions));
            Part { def: Arc::clone(def), exclusions, fold, standing: Standing::Stale, flaw: None }
        });
        // Most have one check or two, and room for four is a kilobyte.
        self.parts.reserve_exact(1);
        self.parts.push(Part { def: Arc::clone(def), ..part });
    }

    /// The time for which it can be judged: now, or, where the clock was set back, just after the newest run.
    fn time(&self, now: UnixMs) -> UnixMs {
        as_of(now, self.parts.iter().map(|p| &p.fold))
    }

    /// What is judged now.
    pub(super) fn frame(&self, now: UnixMs) -> Frame {
        Frame::at(self.basis.since, self.policy.window, self.def.go_live, self.time(now))
    }

    /// From when on its runs are needed; `None`: they are needed no more.
    pub(super) fn needs_from(&self, now: UnixMs) -> Option<UnixMs> {
        let frame = self.frame(now);
        let over = frame.stage == Stage::Frozen && self.time(now) > frame.window.end.plus(self.policy.valid_for.0);
        (!over).then(|| frame.reads_from())
    }

    /// Takes in a run of one of its checks, once it is stored.
    pub(super) fn apply(&mut self, part: usize, run: Run) {
        self.touched = true;
        let Self { policy, parts, .. } = self;
        let Some(part) = parts.get_mut(part) else { return };
        match &mut part.standing {
            Standing::Whole if part.fold.take(&run, &rules(&part.def, policy, &part.exclusions)) => {}
            // Out of order: only the store has all of it.
            Standing::Whole => part.standing = Standing::Stale,
            Standing::Reading(late) if late.len() < MOST_LATE => late.push(run),
            Standing::Reading(_) => part.standing = Standing::Stale,
            Standing::Stale => {}
        }
    }

    /// Folds one of its checks again from what the store holds of the window.
    pub(super) fn refold(&mut self, part: usize, runs: &[Run], now: UnixMs) {
        let after = runs.last().map_or(now, |r| UnixMs(r.last_slot().0 + 1));
        let frame = self.frame(now.max(after));
        self.touched = true;
        let Self { policy, parts, .. } = self;
        let Some(part) = parts.get_mut(part) else { return };
        let rules = rules(&part.def, policy, &part.exclusions);
        // Not being read: what was asked for has changed meanwhile.
        let Standing::Reading(late) = std::mem::replace(&mut part.standing, Standing::Stale) else { return };
        let mut fold = CheckFold::of(&frame, &rules, runs);
        for run in late {
            // Most of them are in the store already. What is neither there nor later than all of it came out of order.
            if !fold.take(&run, &rules) && !hold(runs, &run) {
                return;
            }
        }
        (part.fold, part.standing, part.flaw) = (fold, Standing::Whole, None);
    }

    /// Whether everything was judged and said that is to be said of a frozen window.
    fn is_settled(verdict: &Verdict) -> bool {
        verdict.stage == Stage::Frozen && verdict.as_of.0 - verdict.window.end.0 >= SETTLED_MS
    }

    /// An exclusion or an attestation was recorded. `known`: what the log knows now.
    pub(super) fn recorded(&mut self, known: &Known) {
        self.touched = true;
        // It numbers the attestations that were at hand then.
        self.last = None;
        self.told(known);
        self.exclusions.clone_from(&known.exclusions);
        for part in &mut self.parts {
            let exclusions = ExclusionCase::of(&self.exclusions, &part.def.id);
            if part.exclusions != exclusions {
                (part.exclusions, part.standing) = (exclusions, Standing::Stale);
            }
        }
    }

    /// Something happened to an incident.
    pub(super) fn told(&mut self, known: &Known) {
        self.touched = true;
        self.incidents.clone_from(&known.incidents);
    }

    /// The exclusions that are on record.
    pub(super) fn exclusions(&self) -> &[ExclusionCase] {
        &self.exclusions
    }

    /// What was observed beside the runs, as it was known at the end of what is judged.
    pub(super) fn seen(&self, entry: &IntegrationEntry, now: UnixMs) -> Observations {
        let now = self.time(now);
        seen::known_at(&self.frame(now), now, entry, (&self.past, &self.incidents)).0
    }

    /// Whether go-live came since it was looked at last.
    pub(super) fn froze(&self, now: UnixMs) -> bool {
        self.watcher.waits() && self.def.go_live.is_some_and(|g| g <= now)
    }

    /// Records what was observed, where that is to be. `said`: a verdict is said of it.
    fn note(&mut self, entry: &IntegrationEntry, now: UnixMs, said: bool) -> Option<Entry> {
        let (time, frame) = (self.time(now), self.frame(now));
        let end = seen::seen_until(&frame, time);
        let observed = match frame.stage {
            Stage::Frozen => self.watcher.frozen(end, entry, &self.past),
            _ => self.watcher.moving(end, entry, &self.past, said),
        };
        let noted = Noted { seq: 0, of: end, observed: observed?.into() };
        let record = noted.entry(now, &self.def.id);
        self.past.take(noted);
        Some(record)
    }

    fn checks(&self) -> Vec<CheckInput<'_>> {
        let input = |p| {
            let Part { def, exclusions, fold, .. }: &Part = p;
            CheckInput { id: &def.id, judged: def.judged, rules: rules(def, &self.policy, exclusions), fold }
        };
        self.parts.iter().map(input).collect()
    }

    /// Why what it is judged by can't be relied on. `now`: as it is; `judged`: the time it is judged for.
    fn doubts(&self, now: UnixMs, judged: UnixMs) -> Cow<'_, [String]> {
        // Nothing runs until the clock is there again: what is known grows old, and nobody sees it.
        let ahead = (judged.0 > now.0.saturating_add(AHEAD_MS))
            .then(|| format!("its runs reach until {judged}, which lies ahead: the clock of this machine is behind, or was ahead"));
        let flaws = self.parts.iter().filter(|p| p.def.judged).filter_map(|p| Some(format!("{}: {}", p.def.id, p.flaw.as_ref()?)));
        let old = self.last.as_ref().filter(|v| judged.0 - v.as_of.0 > STANDS_IN_MS && !self.is_whole(&self.frame(judged)));
        let old = old.map(|v| format!("its runs can't be read from the store: this is the verdict of {}", v.as_of));
        let now_and_then: Vec<String> = flaws.chain(old).chain(ahead).collect();
        if now_and_then.is_empty() { Cow::Borrowed(&self.doubts) } else { self.doubts.iter().cloned().chain(now_and_then).collect() }
    }

    /// Lets `f` see what it is judged by.
    pub(super) fn with_input<R>(
        &self,
        seen: &Observations,
        log: &Log,
        shared: &[String],
        now: UnixMs,
        f: impl FnOnce(&Input<'_>) -> R,
    ) -> R {
        // Only what is asked for is looked at.
        let asked = !self.policy.attest.is_empty();
        let attestations = if asked { log.attestations(self.def.id.customer(), self.def.id.environment()) } else { Vec::new() };
        let (clock, now) = (now, self.time(now));
        let (checks, doubts) = (self.checks(), self.doubts(clock, now));
        f(&Input {
            now,
            policy: &self.policy,
            since: self.basis.since,
            go_live: self.def.go_live,
            superseded: self.basis.superseded(now, self.parts.iter().map(|p| p.fold.newest())),
            checks: &checks,
            seen,
            waivers: &self.def.waivers,
            attestations: &attestations,
            doubts: Doubts { shared, own: &doubts },
        })
    }

    fn is_whole(&self, frame: &Frame) -> bool {
        self.parts.iter().all(|p| matches!(p.standing, Standing::Whole) && p.fold.fits(frame))
    }

    /// The verdict for now; the last one while folds are being made again.
    pub(super) fn verdict(&self, input: &Input<'_>) -> Option<Verdict> {
        if self.is_whole(&self.frame(input.now)) {
            return Some(judge(input));
        }
        self.last.as_ref().map(|v| Verdict { doubted: input.doubts.any(), ..v.clone() })
    }

    /// Judges it and gives what is to be recorded: what was observed, the verdict where it is another one, waivers that were used.
    pub(super) fn watch(&mut self, entry: &IntegrationEntry, log: &Log, shared: &[String], now: UnixMs) -> Vec<Entry> {
        let mut said: Vec<Entry> = self.note(entry, now, false).into_iter().collect();
        let (verdict, waivers) = self.with_input(&self.seen(entry, now), log, shared, now, |input| {
            let verdict = self.verdict(input).filter(|v| v.as_of == input.now);
            let used = verdict.iter().flat_map(|v| &v.rows).filter_map(|r| {
                let waiver = input.waivers.get(r.waiver? as usize)?;
                Some(json!({
                    "criterion": waiver.criterion, "reason": waiver.reason, "approver": waiver.approver, "until": time_text(waiver.until),
                    "observed": number(r.observed),
                }))
            });
            let used: Vec<_> = used.collect();
            (verdict, used)
        });
        let Some(verdict) = verdict else { return said };
        self.touched = false;
        for body in waivers {
            let Some(key) = body.as_object().and_then(waiver_key) else { continue };
            if self.waived.insert(key) {
                said.push(Entry::new(now, Kind::WaiverUsed, Scope::integration(&self.def.id), DAEMON, body));
            }
        }
        let (ruling, settled) = (verdict.ruling.as_str(), Self::is_settled(&verdict));
        if self.said.0.as_deref() != Some(ruling) || (settled && !self.said.1) {
            self.said = (Some(ruling.to_owned()), settled);
            said.extend(self.note(entry, now, true));
            said.push(self.say(&verdict, settled, now));
        }
        self.last = Some(verdict);
        said
    }

    fn say(&self, v: &Verdict, settled: bool, now: UnixMs) -> Entry {
        let id = &self.def.id;
        match v.ruling {
            Ruling::Failed | Ruling::Doomed => {
                tracing::warn!(integration = %id, verdict = v.ruling.as_str(), "the soak of {id}: {}", v.ruling);
            }
            _ => tracing::info!(integration = %id, verdict = v.ruling.as_str(), "the soak of {id}: {}", v.ruling),
        }
        let body = json!({
            "verdict": v.ruling.as_str(),
            "frozen": settled,
            "window": { "start": time_text(v.window.start), "end": time_text(v.window.end) },
            "doomed_at": v.doomed_at.map(time_text),
            "counts": v.counts,
            "adjusted": v.adjusted,
            "fingerprint": self.fingerprint.as_str(),
        });
        Entry::new(now, Kind::Verdict, Scope::integration(id), DAEMON, body)
    }
}

impl Part {
    /// Marks it as being read if it is to be folded again.
    pub(super) fn wants_reading(&mut self, frame: &Frame) -> bool {
        let due = match self.standing {
            Standing::Stale => true,
            Standing::Whole => !self.fold.fits(frame),
            Standing::Reading(_) => false,
        };
        if due {
            self.standing = Standing::Reading(Vec::new());
        }
        due
    }

    /// The store could not be read: it is to be asked again.
    pub(super) fn unread(&mut self) {
        self.standing = Standing::Stale;
    }

    /// Not all stored runs could be read.
    pub(super) fn flawed(&mut self, why: String) {
        self.flaw = Some(why);
    }

    /// Bytes its runs take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.fold.bytes()
    }
}

/// What was observed, as a number.
fn number(value: Value) -> serde_json::Value {
    match value {
        Value::Number(x) => json!(x),
        Value::Whole(n) => json!(n),
        Value::Absent | Value::Attested(_) => serde_json::Value::Null,
    }
}
