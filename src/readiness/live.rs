//! The running state of every soak: the fold of each check's runs, kept up to date by the recorder, so that a verdict costs no scan. Nothing is ever
//! subtracted: when an hour leaves the window, runs come out of order, or what is judged changes, the check is folded again from the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::json;

use super::log::{Began, Known, Log, begin, waiver_key};
use super::observations;
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::config::fingerprint::{Change, Fingerprint};
use crate::config::model::{CheckDef, Config, Integration, SoakPolicy};
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Kind, Recorded, Scope, time_text};
use crate::fields::{CheckId, IntegrationId};
use crate::record::{Record, Run};
use crate::slots::Grid;
use crate::soak::{Attestation, CheckFold, CheckInput, Exclusion, Frame, Input, Observations, Rules, Ruling, Value, Verdict, gate, judge};

/// Runs that come while a check is folded again are kept so far; of more it is folded once more.
const MOST_LATE: usize = 10_000;

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

#[derive(Debug)]
struct Part {
    def: Arc<CheckDef>,
    fold: CheckFold,
    standing: Standing,
}

/// One integration's soak.
#[derive(Debug)]
struct Soak {
    def: Arc<Integration>,
    policy: SoakPolicy,
    began: Began,
    exclusions: Vec<Exclusion>,
    parts: Vec<Part>,
    /// Something came since it was judged last.
    touched: bool,
    /// The ruling that was said last.
    said: Option<String>,
    waived: BTreeSet<String>,
    /// How often it began again.
    restarts: u64,
    /// The last verdict, for while its folds are being made again.
    last: Option<Verdict>,
}

#[derive(Debug, Default)]
struct Inner {
    log: Log,
    soaks: Vec<Soak>,
    places: HashMap<IntegrationId, usize>,
    checks: HashMap<CheckId, (usize, usize)>,
}

/// The soaks of a daemon.
#[derive(Debug, Default)]
pub struct Soaks {
    // As the board's: the recorder writes, all others read, nobody awaits while holding it.
    inner: RwLock<Inner>,
}

/// What a fold is to be made from again: the runs of a check from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which check.
    pub check: CheckId,
    /// From when on.
    pub from: UnixMs,
}

impl Soaks {
    /// Takes in a record of the evidence log; at start all of them, before the configuration.
    pub fn learn(&self, r: &Recorded) {
        self.write(|inner| inner.log.take(r));
    }

    /// Takes over a configuration. What is judged as before keeps its folds; of everything else the folds are stale. Returns what is to be recorded.
    pub fn configure(&self, config: &Config, now: UnixMs) -> Vec<Entry> {
        self.write(|inner| inner.configure(config, now))
    }

    /// Takes in records that are stored, in the order in which they were.
    pub fn apply<'r>(&self, records: impl IntoIterator<Item = &'r Record>) {
        self.write(|inner| records.into_iter().for_each(|r| inner.apply(r)));
    }

    /// Up to so many checks whose folds are to be made again; they are marked as being read from now on.
    pub fn stale(&self, now: UnixMs, most: usize) -> Vec<Asked> {
        self.write(|inner| inner.stale(now, most))
    }

    /// Folds a check again from what the store holds from [`Asked::from`] on.
    pub fn refold(&self, check: &CheckId, runs: &[Run], now: UnixMs) {
        self.write(|inner| inner.refold(check, runs, now));
    }

    /// The store could not be read: it is asked again.
    pub fn unread(&self, check: &CheckId) {
        self.write(|inner| {
            if let Some(part) = inner.part(check) {
                part.standing = Standing::Stale;
            }
        });
    }

    /// An exclusion, an attestation, was recorded: it counts from now on.
    pub fn recorded(&self, entry: &Entry) {
        self.write(|inner| {
            inner.log.expect(entry);
            inner.excluded_anew();
        });
    }

    /// Judges what was touched (`all`: everything) and returns what is to be recorded: verdicts that changed, waivers that were used.
    pub fn watch(&self, entries: &[IntegrationEntry], now: UnixMs, all: bool) -> Vec<Entry> {
        self.write(|inner| {
            let mut said = Vec::new();
            for entry in entries {
                let Some(n) = inner.places.get(&entry.def.id).copied() else { continue };
                let Inner { log, soaks, .. } = inner;
                let Some(soak) = soaks.get_mut(n).filter(|s| all || s.touched) else { continue };
                said.extend(soak.watch(&observations(entry, now), log, now));
            }
            // What is recorded is known from here on, before the log has it.
            said.iter().for_each(|e| inner.log.expect(e));
            said
        })
    }

    /// Lets `f` see what an integration is judged by, and its verdict: the present one, or the last one while its folds are being made again. `None`:
    /// it has no soak, or was never judged.
    pub fn judged<R>(&self, entry: &IntegrationEntry, now: UnixMs, f: impl FnOnce(&Input<'_>, &Verdict) -> R) -> Option<R> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let soak = inner.soak(&entry.def.id)?;
        let seen = observations(entry, now);
        soak.with_input(&seen, &inner.log, now, |input| {
            let verdict = soak.verdict(input)?;
            Some(f(input, &verdict))
        })
    }

    /// Lets `f` see all that have a soak, under one lock: the entry's number, what it is judged by and its verdict (as in [`Soaks::judged`]; `None`: it
    /// was never judged), and how often its soak began again.
    pub fn each(&self, entries: &[IntegrationEntry], now: UnixMs, mut f: impl FnMut(usize, Option<(&Input<'_>, &Verdict)>, u64)) {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        for (n, entry) in entries.iter().enumerate() {
            let Some(soak) = inner.soak(&entry.def.id) else { continue };
            soak.with_input(&observations(entry, now), &inner.log, now, |input| {
                f(n, soak.verdict(input).as_ref().map(|verdict| (input, verdict)), soak.restarts);
            });
        }
    }

    /// The gate of an environment: the verdicts of all its integrations.
    pub fn gate(&self, entries: &[&IntegrationEntry], now: UnixMs) -> gate::Gate {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let seen: Vec<Observations> = entries.iter().map(|e| observations(e, now)).collect();
        let attested: Vec<Vec<Attestation>> = entries.iter().map(|e| inner.attestations(&e.def.id)).collect();
        let parts: Vec<Option<(&Soak, Vec<CheckInput<'_>>)>> =
            entries.iter().map(|e| inner.soak(&e.def.id).map(|s| (s, s.checks()))).collect();
        let inputs: Vec<Option<Input<'_>>> = parts
            .iter()
            .zip(&seen)
            .zip(&attested)
            .map(|((part, seen), attested)| part.as_ref().map(|(soak, checks)| soak.input(checks, seen, attested, now)))
            .collect();
        let verdicts: Vec<Option<Verdict>> =
            parts.iter().zip(&inputs).map(|(part, input)| part.as_ref().and_then(|(soak, _)| soak.verdict(input.as_ref()?))).collect();
        let candidates: Vec<gate::Candidate<'_>> = entries
            .iter()
            .zip(inputs.iter().zip(&verdicts))
            .map(|(e, (input, verdict))| gate::Candidate { id: &e.def.id, soak: input.as_ref().zip(verdict.as_ref()) })
            .collect();
        gate::gate(&candidates)
    }

    /// What the log knows of an integration.
    pub fn known(&self, id: &IntegrationId) -> Option<Known> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).log.known(id).cloned()
    }

    /// Bytes the folds take in memory.
    pub fn bytes(&self) -> usize {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.soaks.iter().flat_map(|s| &s.parts).map(|p| p.fold.bytes()).sum()
    }

    fn write<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn configure(&mut self, config: &Config, now: UnixMs) -> Vec<Entry> {
        let mut before: HashMap<CheckId, Part> =
            std::mem::take(&mut self.soaks).into_iter().flat_map(|s| s.parts).map(|p| (p.def.id.clone(), p)).collect();
        (self.places, self.checks) = (HashMap::new(), HashMap::new());
        let mut said = Vec::new();
        for def in config.integrations() {
            let (Some(policy), Some(fingerprint)) = (&def.soak, config.fingerprint(&def.id)) else { continue };
            let known = self.log.known(&def.id);
            if let Some(entry) = begun(def, policy, fingerprint, known, now) {
                self.log.expect(&entry);
                said.push(entry);
            }
            let Some(known) = self.log.known(&def.id) else { continue };
            let Some(began) = known.began.clone() else { continue };
            self.places.insert(def.id.clone(), self.soaks.len());
            self.soaks.push(Soak {
                def: Arc::clone(def),
                policy: policy.clone(),
                began,
                exclusions: known.exclusions(),
                parts: Vec::new(),
                touched: true,
                said: known.said.clone(),
                waived: known.waived.clone(),
                restarts: known.restarts,
                last: None,
            });
        }
        for def in config.checks() {
            let Some(n) = self.places.get(&def.integration.id).copied() else { continue };
            let Some(soak) = self.soaks.get_mut(n) else { continue };
            let frame = soak.frame(now);
            let old = before.remove(&def.id);
            // Alike in all that the fold is made by: it goes on. What is being read goes on being read.
            let kept = old.filter(|p| *p.def == **def && p.fold.fits(&frame));
            let part = kept.unwrap_or_else(|| {
                let fold = CheckFold::new(&frame, &rules(def, &soak.policy, &soak.exclusions));
                Part { def: Arc::clone(def), fold, standing: Standing::Stale }
            });
            self.checks.insert(def.id.clone(), (n, soak.parts.len()));
            soak.parts.push(Part { def: Arc::clone(def), ..part });
        }
        said
    }

    fn apply(&mut self, record: &Record) {
        let Some((soak, part)) = self.checks.get(&record.check).copied() else { return };
        let Some(soak) = self.soaks.get_mut(soak) else { return };
        soak.touched = true;
        let Soak { policy, exclusions, parts, .. } = soak;
        let Some(part) = parts.get_mut(part) else { return };
        let run = Run::of(record);
        match &mut part.standing {
            Standing::Whole if part.fold.take(&run, &rules(&part.def, policy, exclusions)) => {}
            // Out of order: only the store has all of it.
            Standing::Whole => part.standing = Standing::Stale,
            Standing::Reading(late) if late.len() < MOST_LATE => late.push(run),
            Standing::Reading(_) => part.standing = Standing::Stale,
            Standing::Stale => {}
        }
    }

    fn stale(&mut self, now: UnixMs, most: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        for soak in &mut self.soaks {
            let frame = soak.frame(now);
            for part in &mut soak.parts {
                let due = match part.standing {
                    Standing::Stale => true,
                    Standing::Whole => !part.fold.fits(&frame),
                    Standing::Reading(_) => false,
                };
                if due && asked.len() < most {
                    part.standing = Standing::Reading(Vec::new());
                    asked.push(Asked { check: part.def.id.clone(), from: frame.window.start });
                }
            }
        }
        asked
    }

    fn refold(&mut self, check: &CheckId, runs: &[Run], now: UnixMs) {
        let Some((soak, part)) = self.checks.get(check).copied() else { return };
        let Some(soak) = self.soaks.get_mut(soak) else { return };
        let frame = soak.frame(now);
        soak.touched = true;
        let Soak { policy, exclusions, parts, .. } = soak;
        let Some(part) = parts.get_mut(part) else { return };
        let rules = rules(&part.def, policy, exclusions);
        // Not being read: what was asked for has changed meanwhile.
        let Standing::Reading(late) = std::mem::replace(&mut part.standing, Standing::Stale) else { return };
        let mut fold = CheckFold::of(&frame, &rules, runs);
        for run in late {
            // Most of them are in the store already: then they do not follow.
            let _ = fold.take(&run, &rules);
        }
        (part.fold, part.standing) = (fold, Standing::Whole);
    }

    fn excluded_anew(&mut self) {
        for soak in &mut self.soaks {
            let exclusions = self.log.known(&soak.def.id).map(Known::exclusions).unwrap_or_default();
            soak.touched = true;
            if exclusions != soak.exclusions {
                soak.exclusions = exclusions;
                soak.parts.iter_mut().for_each(|p| p.standing = Standing::Stale);
            }
        }
    }

    fn part(&mut self, check: &CheckId) -> Option<&mut Part> {
        let (soak, part) = self.checks.get(check).copied()?;
        self.soaks.get_mut(soak)?.parts.get_mut(part)
    }

    fn soak(&self, id: &IntegrationId) -> Option<&Soak> {
        self.soaks.get(*self.places.get(id)?)
    }

    fn attestations(&self, id: &IntegrationId) -> Vec<Attestation> {
        self.log.attestations(id.customer(), id.environment())
    }
}

/// The record that a soak begins, or begins again, if it does now. After go-live nothing begins again: what was judged stays judged.
fn begun(def: &Integration, policy: &SoakPolicy, fingerprint: &Fingerprint, known: Option<&Known>, now: UnixMs) -> Option<Entry> {
    let before = known.and_then(|k| k.began.as_ref());
    let Some(before) = before else {
        return Some(begin(&def.id, &Began { since: policy.start, fingerprint: fingerprint.clone() }, None, now));
    };
    let Change::Some(changed) = fingerprint.since(&before.fingerprint) else { return None };
    if def.go_live.is_some_and(|g| g <= now) {
        return None;
    }
    let began = Began { since: policy.start.max(now), fingerprint: fingerprint.clone() };
    // Before its start nothing was judged yet, so nothing is judged again.
    Some(begin(&def.id, &began, (before.since <= now).then_some(&changed[..]), now))
}

fn rules<'a>(def: &CheckDef, policy: &'a SoakPolicy, exclusions: &'a [Exclusion]) -> Rules<'a> {
    Rules {
        policy,
        judge: def.judge,
        throttled_excluded: def.integration.throttled_excluded,
        grid: def.kind.host().is_some().then(|| Grid::of(def)),
        exclusions,
    }
}

impl Soak {
    fn frame(&self, now: UnixMs) -> Frame {
        Frame::at(self.began.since.max(self.policy.start), self.policy.window, self.def.go_live, now)
    }

    fn checks(&self) -> Vec<CheckInput<'_>> {
        let input = |p: &'_ Part| (p.def.judged, rules(&p.def, &self.policy, &self.exclusions));
        self.parts
            .iter()
            .map(|p| {
                let (judged, rules) = input(p);
                CheckInput { id: &p.def.id, judged, rules, fold: &p.fold }
            })
            .collect()
    }

    fn input<'a>(
        &'a self,
        checks: &'a [CheckInput<'a>],
        seen: &'a Observations,
        attestations: &'a [Attestation],
        now: UnixMs,
    ) -> Input<'a> {
        let since = self.began.since.max(self.policy.start);
        // Changed, and nothing has run under the new configuration yet.
        let nothing_yet = || self.parts.iter().all(|p| p.fold.newest().is_none_or(|n| n < since));
        Input {
            now,
            policy: &self.policy,
            since,
            go_live: self.def.go_live,
            superseded: self.restarts > 0 && since <= now && nothing_yet(),
            checks,
            seen,
            waivers: &self.def.waivers,
            attestations,
        }
    }

    fn with_input<R>(&self, seen: &Observations, log: &Log, now: UnixMs, f: impl FnOnce(&Input<'_>) -> R) -> R {
        let attestations = log.attestations(self.def.id.customer(), self.def.id.environment());
        let checks = self.checks();
        f(&self.input(&checks, seen, &attestations, now))
    }

    /// The verdict for now; the last one while folds are being made again.
    fn verdict(&self, input: &Input<'_>) -> Option<Verdict> {
        let frame = self.frame(input.now);
        let whole = self.parts.iter().all(|p| matches!(p.standing, Standing::Whole) && p.fold.fits(&frame));
        if whole { Some(judge(input)) } else { self.last.clone() }
    }

    fn watch(&mut self, seen: &Observations, log: &Log, now: UnixMs) -> Vec<Entry> {
        let (verdict, waivers) = self.with_input(seen, log, now, |input| {
            let verdict = self.verdict(input);
            let used = verdict.iter().flat_map(|v| &v.rows).filter_map(|r| {
                let waiver = input.waivers.get(r.waiver?)?;
                Some(json!({
                    "criterion": waiver.criterion, "reason": waiver.reason, "approver": waiver.approver, "until": time_text(waiver.until),
                    "observed": number(r.observed),
                }))
            });
            let used: Vec<_> = used.collect();
            (verdict, used)
        });
        let Some(verdict) = verdict.filter(|v| v.as_of == now) else { return Vec::new() };
        self.touched = false;
        let mut said = Vec::new();
        for body in waivers {
            let Some(key) = body.as_object().and_then(waiver_key) else { continue };
            if self.waived.insert(key) {
                said.push(Entry::new(now, Kind::WaiverUsed, Scope::integration(&self.def.id), DAEMON, body));
            }
        }
        let ruling = verdict.ruling.as_str();
        if self.said.as_deref() != Some(ruling) {
            self.said = Some(ruling.to_owned());
            said.push(self.say(&verdict, now));
        }
        self.last = Some(verdict);
        said
    }

    fn say(&self, v: &Verdict, now: UnixMs) -> Entry {
        let id = &self.def.id;
        match v.ruling {
            Ruling::Failed | Ruling::Doomed => {
                tracing::warn!(integration = %id, verdict = v.ruling.as_str(), "the soak of {id}: {}", v.ruling)
            }
            _ => tracing::info!(integration = %id, verdict = v.ruling.as_str(), "the soak of {id}: {}", v.ruling),
        }
        let body = json!({
            "verdict": v.ruling.as_str(),
            "window": { "start": time_text(v.window.start), "end": time_text(v.window.end) },
            "doomed_at": v.doomed_at.map(time_text),
            "counts": v.counts,
            "adjusted": v.adjusted,
            "fingerprint": self.began.fingerprint.as_str(),
        });
        Entry::new(now, Kind::Verdict, Scope::integration(id), DAEMON, body)
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
