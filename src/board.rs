//! The current state of everything, for whoever shows it: counters, last results, streaks, rolling success.
//!
//! A state is a fold over records ([`CheckState::apply`]): the same function runs live and when the daemon starts and reads the journal, so a
//! restart ends in the same state. Only the recorder applies; everybody else reads. Never does I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::arrivals::{Arrivals, Tally};
use crate::clock::{HOUR_MS, UnixMs};
use crate::config::model::{CheckDef, Config, Integration};
use crate::fields::{CheckId, IntegrationId};
use crate::finding::{DocumentFacts, Finding};
use crate::incident::Recent;
use crate::outcome::{Attribution, Cause, Class, Outcome, Phase};
use crate::ratelimit::Limits;
use crate::record::{DurationCode, Facts, Record, Spoken};

mod by_key;
mod rolling;

pub use crate::record::Counts;
pub use by_key::ByKey;
pub use rolling::Rolling;

/// Upper bounds of the run duration histogram, in seconds (metrics-and-alerts.md).
pub const DURATION_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of the histogram of waits in the own limiter, in seconds (metrics-and-alerts.md).
pub const WAIT_BUCKETS: [f64; 7] = [0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0];

const FIVE_MINUTES_MS: i64 = 300_000;
/// So many hours of counts are kept of a check, the running one included.
pub const HOURS_KEPT: i64 = 169;
const FIVES_KEPT: i32 = 13;

/// The last run that was really made (pass, fail or throttled), or the last attempt to make one that was our own fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its slot.
    pub slot: UnixMs,
    /// Its outcome.
    pub outcome: Outcome,
    /// Class, where it did not pass.
    pub class: Option<Class>,
    /// Attribution, where it did not pass.
    pub attribution: Option<Attribution>,
    /// Cause, where nothing was judged.
    pub cause: Option<Cause>,
    /// Total time.
    pub duration: DurationCode,
    /// Attempts.
    pub attempts: u8,
    /// What went wrong, for people; redacted.
    pub detail: Option<String>,
    /// What of its exchange is shown.
    pub facts: LastFacts,
}

/// Of a run's [`Facts`] those that are shown of the last run; all others have a place of their own in [`CheckState`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastFacts {
    /// As in [`Facts`].
    pub codes: Box<[u16]>,
    /// As in [`Facts`].
    pub phases: [Option<DurationCode>; 5],
    /// As in [`Facts`].
    pub certificate_expiry: Option<UnixMs>,
    /// As in [`Facts`].
    pub spoken: Option<Spoken>,
}

impl LastFacts {
    fn of(facts: &Facts) -> Self {
        let Facts { codes, phases, certificate_expiry, spoken, .. } = facts;
        Self { codes: codes.as_slice().into(), phases: *phases, certificate_expiry: *certificate_expiry, spoken: *spoken }
    }
}

/// All that is known of a check between two runs. Survives restarts (counters, last values, streaks).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckState {
    /// The highest accounted slot; slots at or below it never run again.
    pub last_slot: Option<UnixMs>,
    /// Since the daemon first saw the check.
    pub counts: Counts,
    /// Skipped, unknown: by cause.
    pub causes: ByKey<Cause>,
    /// Failures by class and attribution.
    pub classes: ByKey<Class, ByKey<Attribution>>,
    /// Runs whose first attempt did not pass.
    pub first_attempt_failures: u64,
    /// Responses by status.
    pub codes: ByKey<u16>,
    /// Own retries by the class of the attempt before.
    pub retries: ByKey<Class>,
    /// Refusals of the address guard by rule.
    pub egress_denied: ByKey<String>,
    /// Runs by duration bucket (not cumulative; the last one is +Inf).
    pub durations: [u64; DURATION_BUCKETS.len() + 1],
    /// Sum of the quantised durations in seconds.
    pub duration_sum: f64,
    /// Counted runs since the last success.
    pub consecutive_failures: u64,
    /// Slot of the first run of the present streak of failures.
    pub failing_since: Option<UnixMs>,
    /// The last judged runs: what incidents are made of.
    pub recent: Recent,
    /// The last slot that was not due.
    pub last_not_due: Option<UnixMs>,
    /// The last run (skips and slots not due do not replace it).
    pub last: Option<LastRun>,
    /// The last counted run's slot.
    pub last_run: Option<UnixMs>,
    /// The last passing run's slot.
    pub last_success: Option<UnixMs>,
    /// Earliest certificate expiry last seen; kept while failing runs show none.
    pub certificate_expiry: Option<UnixMs>,
    /// Numbers last read by `observe`.
    pub values: BTreeMap<String, f64>,
    /// The rate limits its endpoints told, by policy.
    pub limits: Limits,
    /// The last wait a target asked for: when, and for how many seconds.
    pub retry_after: Option<(UnixMs, u64)>,
    /// What is open of what was found in its document, worst first.
    pub findings: Vec<Finding>,
    /// What its document said of itself when it was last read.
    pub document: Option<DocumentFacts>,
    /// How often another document took the place of the accepted one.
    pub document_changes: u64,
    /// The last slot that was skipped, and why.
    pub last_skip: Option<(UnixMs, Cause)>,
    /// Runs by how long they waited in the own limiter (not cumulative; the last one is +Inf); those that did not wait are not counted.
    pub waits: [u64; WAIT_BUCKETS.len() + 1],
    /// Sum of these waits in seconds.
    pub wait_sum: f64,
    /// Counts by UTC hour, the last 7 days; rebuilt from the store at start, so not part of the snapshot.
    #[serde(skip)]
    pub hours: Rolling,
    /// Counts by 5 minutes, the last hour.
    #[serde(skip)]
    pub fives: Rolling,
}

impl CheckState {
    /// Folds one record in. `live` states fold everything; when a state is rebuilt, records older than its snapshot only reach the rolling
    /// counts through [`CheckState::add_rolling`].
    pub fn apply(&mut self, r: &Record) {
        self.last_slot = self.last_slot.max(Some(r.last_slot()));
        let n = u64::from(r.count.max(1));
        self.counts.add(r.outcome, n);
        self.add_rolling(r);
        if let (Some(cause), Outcome::Skipped | Outcome::Unknown) = (r.cause, r.outcome) {
            self.causes.add(cause, n);
        }
        for code in &r.facts.codes {
            self.codes.add(*code, 1);
        }
        for class in &r.facts.retries {
            self.retries.add(*class, 1);
        }
        if let Some(rule) = &r.facts.egress_rule {
            self.egress_denied.add(rule.clone(), 1);
        }
        if r.outcome == Outcome::Pass {
            // A run that went all the way saw all there is: what it did not see has gone, from the target or from the configuration.
            self.certificate_expiry = None;
            self.values.clear();
        }
        if r.facts.certificate_expiry.is_some() {
            self.certificate_expiry = r.facts.certificate_expiry;
        }
        for (name, value) in &r.facts.values {
            self.values.insert(name.clone(), *value);
        }
        if let Some(found) = &r.facts.findings {
            self.findings = found.after(&self.findings);
        }
        if let Some(document) = r.facts.document {
            self.document_changes += u64::from(document.changed);
            self.document = Some(document);
        }
        self.limits.apply(&r.facts.limits);
        self.retry_after = r.facts.retry_after.or(self.retry_after);
        if let Some(wait) = r.facts.throttle_wait {
            bucket(&mut self.waits, &WAIT_BUCKETS, wait.seconds());
            self.wait_sum += wait.seconds();
        }
        if let (Outcome::Skipped, Some(cause)) = (r.outcome, r.cause) {
            self.last_skip = self.last_skip.max(Some((r.last_slot(), cause)));
        }
        if r.outcome.counted() {
            self.apply_counted(r);
        }
        if r.outcome == Outcome::NotDue {
            self.last_not_due = self.last_not_due.max(Some(r.last_slot()));
        }
        let nobody_there = matches!(r.cause, Some(Cause::Down | Cause::Clock | Cause::Late));
        if r.outcome.counted() || (r.outcome == Outcome::Unknown && r.count <= 1 && !nobody_there) {
            self.last = Some(LastRun {
                slot: r.slot,
                outcome: r.outcome,
                class: r.class,
                attribution: r.attribution,
                cause: r.cause,
                duration: r.duration,
                attempts: r.attempts,
                detail: r.detail.clone(),
                facts: LastFacts::of(&r.facts),
            });
        }
    }

    fn apply_counted(&mut self, r: &Record) {
        self.recent.apply(r);
        let seconds = r.duration.seconds();
        bucket(&mut self.durations, &DURATION_BUCKETS, seconds);
        self.duration_sum += seconds;
        self.last_run = Some(r.slot);
        if !r.first_attempt_passed {
            self.first_attempt_failures += 1;
        }
        if r.outcome == Outcome::Pass {
            self.consecutive_failures = 0;
            self.failing_since = None;
            self.last_success = Some(r.slot);
        } else {
            self.consecutive_failures += 1;
            self.failing_since = self.failing_since.or(Some(r.slot));
            if let (Some(class), Some(attribution)) = (r.class, r.attribution) {
                self.classes.change(class, |by| by.add(attribution, 1));
            }
        }
    }

    /// Adds a record to the rolling counts alone, slot by slot where it stands for several.
    pub fn add_rolling(&mut self, r: &Record) {
        // A span longer than what is kept need not be walked from its beginning.
        let step = i64::from(r.interval_ms.max(1));
        let horizon = r.last_slot().0 - (HOURS_KEPT + 1) * HOUR_MS;
        let skip = ((horizon - r.slot.0).max(0) / step).min(i64::from(r.count.max(1)) - 1);
        let mut n = skip;
        while n < i64::from(r.count.max(1)) {
            let at = UnixMs(r.slot.0 + n * step);
            // All slots of the same five minutes at once.
            let next_five = (at.0.div_euclid(FIVE_MINUTES_MS) + 1) * FIVE_MINUTES_MS;
            let here = ((next_five - at.0 + step - 1) / step).clamp(1, i64::from(r.count.max(1)) - n);
            let mut counts = Counts::default();
            counts.add(r.outcome, u64::try_from(here).unwrap_or(0));
            if counts != Counts::default() {
                self.hours.add(at.hour(), &counts, HOURS_KEPT as i32);
                self.fives.add(at.0.div_euclid(FIVE_MINUTES_MS), &counts, FIVES_KEPT);
            }
            n += here;
        }
    }

    /// Adds a stored hour's sum to the rolling counts (at start).
    pub fn add_hour(&mut self, hour: i64, counts: &Counts) {
        self.hours.add(hour, counts, HOURS_KEPT as i32);
    }

    /// Counts of the last hour (in steps of 5 minutes).
    pub fn last_hour(&self, now: UnixMs) -> Counts {
        let five = now.0.div_euclid(FIVE_MINUTES_MS);
        self.fives.sum(five - 11, five)
    }

    /// Counts of the last so many hours, the running hour included.
    pub fn last_hours(&self, hours: i64, now: UnixMs) -> Counts {
        self.hours.sum(now.hour() - hours + 1, now.hour())
    }
}

/// Counts one more in its bucket.
fn bucket(counts: &mut [u64], bounds: &[f64], seconds: f64) {
    let place = bounds.iter().position(|le| seconds <= *le).unwrap_or(bounds.len());
    if let Some(n) = counts.get_mut(place) {
        *n += 1;
    }
}

/// A check on the board.
#[derive(Clone, Debug)]
pub struct CheckEntry {
    /// Its definition.
    pub def: Arc<CheckDef>,
    /// Its state.
    pub state: CheckState,
}

/// An integration on the board, with its checks in order of the configuration.
#[derive(Clone, Debug)]
pub struct IntegrationEntry {
    /// Its definition.
    pub def: Arc<Integration>,
    /// Its checks.
    pub checks: Vec<CheckEntry>,
    /// What checks that left it had counted: an integration's counters never fall because a check was removed. `None`: none left.
    pub departed: Option<Box<Departed>>,
    /// What tells the policies of each check's rate limits from those of the others; made when it is first asked for (`limits`).
    pub apart: OnceLock<Box<[Apart]>>,
}

/// What stands before the names of a check's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Nothing: they are the integration's own.
    Nothing,
    /// The check's host.
    Host,
    /// The id of the check in this place: the first with their host and credential.
    Check(usize),
}

/// The sums of checks that left their integration: what is exported per integration, not per check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Departed {
    /// As in [`CheckState`].
    pub causes: ByKey<Cause>,
    /// As in [`CheckState`].
    pub classes: ByKey<Class, ByKey<Attribution>>,
    /// As in [`CheckState`].
    pub codes: ByKey<u16>,
    /// As in [`CheckState`].
    pub retries: ByKey<Class>,
    /// As in [`CheckState`].
    pub egress_denied: ByKey<String>,
    /// As in [`CheckState`].
    pub durations: [u64; DURATION_BUCKETS.len() + 1],
    /// As in [`CheckState`].
    pub duration_sum: f64,
    /// As in [`CheckState`].
    pub waits: [u64; WAIT_BUCKETS.len() + 1],
    /// As in [`CheckState`].
    pub wait_sum: f64,
    /// As in [`CheckState`].
    pub document_changes: u64,
    /// Messages of checks that received.
    pub arrived: Tally,
}

/// What a check, or the checks that left, have counted for their integration; borrowed.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are those of CheckState")]
pub struct Sums<'a> {
    pub causes: &'a ByKey<Cause>,
    pub classes: &'a ByKey<Class, ByKey<Attribution>>,
    pub codes: &'a ByKey<u16>,
    pub retries: &'a ByKey<Class>,
    pub egress_denied: &'a ByKey<String>,
    pub durations: &'a [u64; DURATION_BUCKETS.len() + 1],
    pub duration_sum: f64,
    pub waits: &'a [u64; WAIT_BUCKETS.len() + 1],
    pub wait_sum: f64,
    pub document_changes: u64,
}

macro_rules! sums {
    ($t:ty) => {
        impl $t {
            /// What it counted for its integration.
            pub fn sums(&self) -> Sums<'_> {
                Sums {
                    causes: &self.causes,
                    classes: &self.classes,
                    codes: &self.codes,
                    retries: &self.retries,
                    egress_denied: &self.egress_denied,
                    durations: &self.durations,
                    duration_sum: self.duration_sum,
                    waits: &self.waits,
                    wait_sum: self.wait_sum,
                    document_changes: self.document_changes,
                }
            }
        }
    };
}
sums!(CheckState);
sums!(Departed);

impl Departed {
    /// Adds what a check had counted.
    pub fn add(&mut self, state: &CheckState) {
        let s = state.sums();
        self.causes.sum(s.causes);
        self.codes.sum(s.codes);
        self.retries.sum(s.retries);
        self.egress_denied.sum(s.egress_denied);
        for (class, by) in s.classes.iter() {
            self.classes.change(*class, |into| into.sum(by));
        }
        self.durations.iter_mut().zip(s.durations).for_each(|(a, b)| *a += b);
        self.duration_sum += s.duration_sum;
        self.waits.iter_mut().zip(s.waits).for_each(|(a, b)| *a += b);
        self.wait_sum += s.wait_sum;
        self.document_changes += s.document_changes;
    }
}

impl IntegrationEntry {
    /// Where the integration stands in its life (product.md, Phases).
    pub fn phase(&self, now: UnixMs) -> Phase {
        phase(&self.def, now)
    }
}

/// Derives the phase from an integration's dates. Without any date an integration is in `build` before go-live is known.
pub fn phase(i: &Integration, now: UnixMs) -> Phase {
    let live = i.go_live.filter(|g| *g <= now);
    if i.paused.is_some() {
        Phase::Paused
    } else if let Some(go_live) = live {
        if now < go_live.plus(i.hypercare.0) { Phase::Hypercare } else { Phase::Steady }
    } else if i.soak.as_ref().is_some_and(|s| s.start <= now) {
        Phase::Soak
    } else {
        Phase::Build
    }
}

#[derive(Debug, Default)]
struct Inner {
    integrations: Vec<IntegrationEntry>,
    /// check id -> (integration, check) indices.
    places: BTreeMap<CheckId, (usize, usize)>,
}

impl Inner {
    fn find(&self, id: &CheckId) -> Option<&CheckEntry> {
        let (i, c) = *self.places.get(id)?;
        self.integrations.get(i)?.checks.get(c)
    }
}

/// The way from a check's id to how it stands.
pub type FindCheck<'a> = dyn Fn(&CheckId) -> Option<&'a CheckEntry> + 'a;

/// The board: one for the daemon.
#[derive(Debug, Default)]
pub struct Board {
    // One lock: the recorder writes a batch a second, readers copy what they need. Nobody awaits while holding it.
    inner: RwLock<Inner>,
    /// What arrives at the receiver, beside what the recorder applies.
    pub arrivals: Arrivals,
}

impl Board {
    /// Takes over a configuration: keeps the state of every check that is still there, starts the others from nothing, and returns the ids of
    /// the checks that are gone.
    pub fn configure(&self, config: &Config) -> Vec<CheckId> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut inner.integrations);
        let mut departed: BTreeMap<IntegrationId, Box<Departed>> =
            before.iter().filter_map(|i| Some((i.def.id.clone(), i.departed.clone()?))).collect();
        let mut old: BTreeMap<CheckId, CheckState> =
            before.into_iter().flat_map(|i| i.checks).map(|c| (c.def.id.clone(), c.state)).collect();
        let entry = |i: &Arc<Integration>| IntegrationEntry {
            def: Arc::clone(i),
            checks: Vec::new(),
            departed: departed.remove(&i.id),
            apart: OnceLock::new(),
        };
        let mut integrations: Vec<IntegrationEntry> = config.integrations().map(entry).collect();
        // It stays as it is until the next configuration: room to grow would never be used.
        integrations.shrink_to_fit();
        let index: BTreeMap<IntegrationId, usize> = integrations.iter().enumerate().map(|(n, i)| (i.def.id.clone(), n)).collect();
        let mut places = BTreeMap::new();
        for def in config.checks() {
            let Some((n, entry)) = index.get(&def.integration.id).and_then(|n| Some((*n, integrations.get_mut(*n)?))) else { continue };
            let state = old.remove(&def.id).unwrap_or_default();
            places.insert(def.id.clone(), (n, entry.checks.len()));
            // Most have one or a few, and each takes a kilobyte: no room for four at once.
            entry.checks.reserve_exact(1);
            entry.checks.push(CheckEntry { def: Arc::clone(def), state });
        }
        for (check, state) in &old {
            if let Some(entry) = index.get(&check.integration()).and_then(|n| integrations.get_mut(*n)) {
                entry.departed.get_or_insert_default().add(state);
            }
        }
        for (check, tally) in self.arrivals.leave(config) {
            if let Some(entry) = index.get(&check.integration()).and_then(|n| integrations.get_mut(*n)) {
                entry.departed.get_or_insert_default().arrived.add(&tally);
            }
        }
        *inner = Inner { integrations, places };
        old.into_keys().collect()
    }

    /// Lets `f` change what departed checks left with their integration; `None` if there is no such integration.
    pub fn update_departed<R>(&self, id: &IntegrationId, f: impl FnOnce(&mut Departed) -> R) -> Option<R> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.integrations.iter_mut().find(|i| i.def.id == *id).map(|i| f(i.departed.get_or_insert_default()))
    }

    /// Lets `f` change the state of a check; `None` if there is no such check (any more).
    pub fn update<R>(&self, check: &CheckId, f: impl FnOnce(&CheckDef, &mut CheckState) -> R) -> Option<R> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let (i, c) = *inner.places.get(check)?;
        let entry = inner.integrations.get_mut(i)?.checks.get_mut(c)?;
        let def = Arc::clone(&entry.def);
        Some(f(&def, &mut entry.state))
    }

    /// Folds records in, under one lock.
    pub fn apply(&self, records: &[Record]) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for r in records {
            let Some((i, c)) = inner.places.get(&r.check).copied() else { continue };
            if let Some(entry) = inner.integrations.get_mut(i).and_then(|i| i.checks.get_mut(c)) {
                entry.state.apply(r);
            }
        }
    }

    /// Lets `f` read everything. It must not block or await: the recorder waits meanwhile.
    pub fn read<R>(&self, f: impl FnOnce(&[IntegrationEntry]) -> R) -> R {
        f(&self.inner.read().unwrap_or_else(PoisonError::into_inner).integrations)
    }

    /// Whether there is such a check.
    pub fn knows(&self, id: &CheckId) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).places.contains_key(id)
    }

    /// Lets `f` read the integration of a check, with a way to every other check. It must not block or await: the recorder waits meanwhile.
    pub fn around<R>(&self, check: &CheckId, f: impl FnOnce(&IntegrationEntry, &FindCheck<'_>) -> R) -> Option<R> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let (i, _) = *inner.places.get(check)?;
        Some(f(inner.integrations.get(i)?, &|id| inner.find(id)))
    }

    /// The same of every integration, one after the other.
    pub fn each(&self, f: &mut dyn FnMut(&IntegrationEntry, &FindCheck<'_>)) {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.integrations.iter().for_each(|entry| f(entry, &|id| inner.find(id)));
    }

    /// A copy of one check's entry.
    pub fn check(&self, id: &CheckId) -> Option<CheckEntry> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let (i, c) = *inner.places.get(id)?;
        inner.integrations.get(i)?.checks.get(c).cloned()
    }

    /// What every check was told of rate limits; those that were told nothing are left out.
    pub fn limits(&self) -> HashMap<CheckId, Limits> {
        let told = |c: &CheckEntry| (!c.state.limits.is_empty()).then(|| (c.def.id.clone(), c.state.limits.clone()));
        self.read(|all| all.iter().flat_map(|i| &i.checks).filter_map(told).collect())
    }

    /// A copy of one integration's entry.
    pub fn integration(&self, id: &IntegrationId) -> Option<IntegrationEntry> {
        self.read(|all| all.iter().find(|i| i.def.id == *id).cloned())
    }
}
