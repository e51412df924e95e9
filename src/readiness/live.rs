//! The running state of every soak, kept up to date by the recorder beside the board, so that a verdict costs no scan.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::answered::{Answered, Passed, inside};
use super::assemble::damaged_log;
use super::log::{BundleDue, Known, Log};
use super::running::{Part, Soak, begun};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::config::fingerprint::Fingerprint;
use crate::config::model::{CheckDef, Config};
use crate::evidence::{Entry, Link, Recorded};
use crate::fields::{CheckId, IntegrationId};
use crate::incident::Severity;
use crate::record::{Record, Run};
use crate::soak::gate::{Candidate, Gate, Gathered};
use crate::soak::{Input, Verdict};
use crate::store::Pinned;

#[derive(Debug, Default)]
struct Inner {
    log: Log,
    /// What makes every verdict doubtful.
    doubts: Vec<String>,
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

/// What a fold is to be made from again: the runs of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which check.
    pub check: CheckId,
    /// From when on.
    pub from: UnixMs,
    /// Until when, exclusive: what comes after go-live is no soak.
    pub until: UnixMs,
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

    /// Folds a check again from what the store holds between [`Asked::from`] and [`Asked::until`].
    pub fn refold(&self, check: &CheckId, runs: &[Run], now: UnixMs) {
        self.write(|inner| inner.refold(check, runs, now));
    }

    /// The store could not be read: it is asked again.
    pub fn unread(&self, check: &CheckId) {
        self.write(|inner| {
            if let Some(part) = inner.part(check) {
                part.unread();
            }
        });
    }

    /// Not all stored runs of a check could be read. What was judged of it does not make a go until it is folded again.
    pub fn flawed(&self, check: &CheckId, why: String) {
        self.write(|inner| {
            if let Some(part) = inner.part(check) {
                part.flawed(why);
            }
        });
    }

    /// What the last check of the evidence log found; `None`: it is whole.
    pub fn set_damage(&self, damage: Option<&str>) {
        self.write(|inner| inner.doubts = damage.into_iter().map(damaged_log).collect());
    }

    /// What makes everything doubtful that is said of any environment.
    pub fn doubts(&self) -> Vec<String> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).doubts.clone()
    }

    /// An exclusion or an attestation stands in the log: it counts from now on.
    pub fn recorded(&self, entry: &Entry, link: Link) {
        self.write(|inner| inner.recorded(entry, link));
    }

    /// Judges what was touched (`all`: everything) and returns what is to be recorded: verdicts that changed, waivers that were used.
    pub fn watch(&self, entries: &[IntegrationEntry], now: UnixMs, all: bool) -> Vec<Entry> {
        self.write(|inner| {
            let (mut said, mut next) = (Vec::new(), 0);
            for entry in entries {
                let Some(n) = inner.place(entry, &mut next) else { continue };
                let Inner { log, doubts, soaks, .. } = inner;
                let Some(soak) = soaks.get_mut(n).filter(|s| all || s.touched || s.froze(now)) else { continue };
                said.extend(soak.watch(entry, log, doubts, now));
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
        inner.judged(inner.soak(&entry.def.id)?, entry, now, f)
    }

    /// Lets `f` see the same of many, in their order; those without a verdict are left out.
    pub fn each_judged(&self, entries: &[IntegrationEntry], now: UnixMs, mut f: impl FnMut(&IntegrationEntry, &Input<'_>, &Verdict)) {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut next = 0;
        for entry in entries.iter().filter(|e| e.def.soak.is_some()) {
            let Some(soak) = inner.place(entry, &mut next).and_then(|n| inner.soaks.get(n)) else { continue };
            inner.judged(soak, entry, now, |input, verdict| f(entry, input, verdict));
        }
    }

    /// The gate of an environment: the verdicts of all its integrations, by id.
    pub fn gate(&self, entries: &[&IntegrationEntry], now: UnixMs) -> Gate {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).gate(&by_id(entries), now)
    }

    /// The same as every output shows it. `entries`: all of the environment; `config_hash`: of the configuration in force.
    pub fn answered(&self, environment: (&str, &str), entries: &[&IntegrationEntry], config_hash: &str, now: UnixMs) -> Answered {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let entries = by_id(entries);
        let exclusions = entries.iter().map(|e| {
            let soak = inner.soak(&e.def.id);
            soak.map(|s| inside(s.exclusions(), s.frame(now).window)).unwrap_or_default()
        });
        let exclusions = exclusions.collect();
        Answered::made(environment, now, config_hash, inner.gate(&entries, now), exclusions)
    }

    /// What is said of one integration; `None`: it has no soak.
    pub fn passed(&self, entry: &IntegrationEntry, now: UnixMs) -> Option<Passed> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).soak(&entry.def.id)?;
        let id = &entry.def.id;
        self.answered((id.customer(), id.environment()), &[entry], "", now).integrations.pop()
    }

    /// What the log knows of an integration.
    pub fn known(&self, id: &IntegrationId) -> Option<Known> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).log.known(id).cloned()
    }

    /// Each soak that has begun, with what it judges.
    pub fn begun(&self, now: UnixMs) -> BTreeMap<IntegrationId, Fingerprint> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let of = |soak: &Soak| {
            let began = inner.log.known(&soak.def.id)?.began.as_ref().filter(|b| b.since <= now)?;
            Some((soak.def.id.clone(), began.fingerprint.clone()))
        };
        inner.soaks.iter().filter_map(of).collect()
    }

    /// The bundles that are to be written.
    pub fn bundles_due(&self, now: UnixMs) -> Vec<BundleDue> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).log.bundles_due(now)
    }

    /// A record is on its way to the log, and nothing is judged by it: it is known from here on.
    pub fn expect(&self, entry: &Entry) {
        self.write(|inner| inner.log.expect(entry));
    }

    /// The same of an incident, by which soaks are judged: it counts from now on.
    pub fn expect_incident(&self, integration: &IntegrationId, entry: &Entry) {
        self.write(|inner| {
            inner.log.expect(entry);
            let Inner { soaks, log, places, .. } = inner;
            let soak = places.get(integration).and_then(|n| soaks.get_mut(*n));
            if let (Some(soak), Some(known)) = (soak, log.known(integration)) {
                soak.told(known);
            }
        });
    }

    /// How many incidents of each integration opened, ever, by severity.
    pub fn incidents_opened(&self, entries: &[IntegrationEntry]) -> Vec<BTreeMap<Severity, u64>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|e| inner.log.known(&e.def.id).map(|k| k.incidents.opened().clone()).unwrap_or_default()).collect()
    }

    /// How often each soak began again because what is judged was changed; `None`: it has none.
    pub fn restarts(&self, entries: &[IntegrationEntry]) -> Vec<Option<u64>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let known = |id| inner.soak(id).map(|_| inner.log.known(id).map_or(0, |k| k.restarts));
        entries.iter().map(|e| e.def.soak.as_ref().and_then(|_| known(&e.def.id))).collect()
    }

    /// The runs that soaks are still judged by, which the store must not delete: of each check those from a time on. Until go-live they are those of the
    /// window; then for as long as a pass is valid. Later they are kept no longer than others: the verdict is on record, and its bundle is written.
    pub fn pinned(&self, now: UnixMs) -> Pinned {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let pinned = inner.soaks.iter().filter_map(|s| Some((s.needs_from(now)?, &s.parts)));
        pinned.flat_map(|(from, parts)| parts.iter().map(move |p| (p.def.id.key(), from))).collect()
    }

    /// Bytes the folds take in memory.
    pub fn bytes(&self) -> usize {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.soaks.iter().flat_map(|s| &s.parts).map(Part::bytes).sum()
    }

    fn write<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn by_id<'e>(entries: &[&'e IntegrationEntry]) -> Vec<&'e IntegrationEntry> {
    let mut entries = entries.to_vec();
    entries.sort_by(|a, b| a.def.id.cmp(&b.def.id));
    entries
}

impl Inner {
    fn configure(&mut self, config: &Config, now: UnixMs) -> Vec<Entry> {
        let mut before: HashMap<CheckId, Part> =
            std::mem::take(&mut self.soaks).into_iter().flat_map(|s| s.parts).map(|p| (p.def.id.clone(), p)).collect();
        (self.places, self.checks) = (HashMap::new(), HashMap::new());
        let mut said = Vec::new();
        for def in config.integrations() {
            let (Some(policy), Some(fingerprint)) = (&def.soak, config.fingerprint(&def.id)) else { continue };
            if let Some(entry) = begun(def, policy, fingerprint, self.log.known(&def.id), now) {
                self.log.expect(&entry);
                said.push(entry);
            }
            self.log.share(&def.id, fingerprint);
            let Some(known) = self.log.known(&def.id) else { continue };
            self.places.insert(def.id.clone(), self.soaks.len());
            self.soaks.push(Soak::new(def, policy, fingerprint, known));
        }
        // In one order, whatever the files' is: it decides which of several equals is named.
        let mut checks: Vec<&Arc<CheckDef>> = config.checks().collect();
        checks.sort_by(|a, b| a.id.cmp(&b.id));
        for def in checks {
            let Some(n) = self.places.get(&def.integration.id).copied() else { continue };
            let Some(soak) = self.soaks.get_mut(n) else { continue };
            self.checks.insert(def.id.clone(), (n, soak.parts.len()));
            soak.add(def, before.remove(&def.id), now);
        }
        said
    }

    fn apply(&mut self, record: &Record) {
        let Some((soak, part)) = self.checks.get(&record.check).copied() else { return };
        if let Some(soak) = self.soaks.get_mut(soak) {
            soak.apply(part, Run::of(record));
        }
    }

    fn stale(&mut self, now: UnixMs, most: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        for soak in &mut self.soaks {
            let frame = soak.frame(now);
            for part in &mut soak.parts {
                if asked.len() < most && part.wants_reading(&frame) {
                    let until = frame.go_live.unwrap_or(UnixMs(i64::MAX));
                    asked.push(Asked { check: part.def.id.clone(), from: frame.reads_from(), until });
                }
            }
        }
        asked
    }

    fn refold(&mut self, check: &CheckId, runs: &[Run], now: UnixMs) {
        let Some((soak, part)) = self.checks.get(check).copied() else { return };
        if let Some(soak) = self.soaks.get_mut(soak) {
            soak.refold(part, runs, now);
        }
    }

    fn recorded(&mut self, entry: &Entry, link: Link) {
        let record = entry.numbered(link.seq);
        self.log.take(&record);
        let nothing = Known::default();
        let concerned = |id: &IntegrationId| record.scope().concerns(id.customer(), id.environment());
        for soak in self.soaks.iter_mut().filter(|s| concerned(&s.def.id)) {
            soak.recorded(self.log.known(&soak.def.id).unwrap_or(&nothing));
        }
    }

    fn part(&mut self, check: &CheckId) -> Option<&mut Part> {
        let (soak, part) = self.checks.get(check).copied()?;
        self.soaks.get_mut(soak)?.parts.get_mut(part)
    }

    fn soak(&self, id: &IntegrationId) -> Option<&Soak> {
        self.soaks.get(*self.places.get(id)?)
    }

    /// Where the soak of an integration is. Both are in order of the configuration: as a rule it is the `next` one.
    fn place(&self, entry: &IntegrationEntry, next: &mut usize) -> Option<usize> {
        let is_next = self.soaks.get(*next).is_some_and(|s| Arc::ptr_eq(&s.def, &entry.def));
        let n = if is_next { *next } else { *self.places.get(&entry.def.id)? };
        *next = n + 1;
        Some(n)
    }

    fn judged<R>(&self, soak: &Soak, entry: &IntegrationEntry, now: UnixMs, f: impl FnOnce(&Input<'_>, &Verdict) -> R) -> Option<R> {
        soak.with_input(&soak.seen(entry, now), &self.log, &self.doubts, now, |input| {
            let verdict = soak.verdict(input)?;
            Some(f(input, &verdict))
        })
    }

    fn gate(&self, entries: &[&IntegrationEntry], now: UnixMs) -> Gate {
        let mut gathered = Gathered::default();
        for entry in entries {
            let id = &entry.def.id;
            let Some(soak) = self.soak(id) else {
                gathered.add(&Candidate { id, soak: None, has_soak: false });
                continue;
            };
            soak.with_input(&soak.seen(entry, now), &self.log, &self.doubts, now, |input| {
                let verdict = soak.verdict(input);
                gathered.add(&Candidate { id, soak: verdict.as_ref().map(|v| (input, v)), has_soak: true });
            });
        }
        gathered.gate()
    }
}
