//! When each check runs: fixed slots of UTC, spread by the hash of the check's id, one task with a heap of due times.
//!
//! Owns positions, the host's turns, the cap over all runs, overlap, and what becomes of slots nobody ran. Never judges a run and never stores:
//! every slot ends as a record at the recorder. A check never overlaps itself; a run is a task of its own, so a panic costs one outcome.

mod alarm;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::alarm::Alarm;
use crate::board::Board;
use crate::budget::{Budgets, HOLD_NOTE};
use crate::clock::{Clock, UnixMs};
use crate::config::model::{CheckDef, Config, SchedulerSettings};
use crate::fields::CheckId;
use crate::health::Health;
use crate::memory::Memories;
use crate::metrics::own::OwnMetrics;
use crate::observed::Noted;
use crate::outcome::Cause;
use crate::record::{DurationCode, Record};
use crate::recorder::{Arrived, Place, RecorderHandle};
use crate::run::{Pace, run_once};
use crate::slots::{Grid, account_gap, not_due};
use crate::store::Note;
use crate::transport::{AWAY_NOTE, Transport};

/// The scheduler looks at the clock at least this often, so that a step of the wall clock is seen.
const LOOK: Duration = Duration::from_secs(1);
/// A difference between wall and monotonic time that counts as a step of the wall clock.
const STEP_MS: i64 = 2_000;
/// Outcomes that may wait for the recorder; when it is further behind, ended runs stay where they are and their checks do not run again.
const OUTCOMES_WAITING: usize = 1_024;
/// Records of slots nobody ran that may wait for the recorder.
const MOST_WAITING: usize = 100_000;

/// Runs that ended are looked at together, and handed to the recorder together, at most this often: to wake two tasks for each of them costs more than
/// to take them in.
const TOGETHER: Duration = Duration::from_millis(20);
/// Outcomes handed on at once; the recorder reckons with no more in an event.
const MOST_TOGETHER: usize = 256;

/// A wait in the pace shorter than this is none.
const WORTH_TELLING: Duration = Duration::from_millis(10);

struct Entry {
    def: Arc<CheckDef>,
    host: Arc<str>,
    /// The next slot; all before it are accounted for.
    next: UnixMs,
    running: bool,
    /// Slots nobody runs that came due during the run under way: a check's records reach the recorder in the order of their slots, because what
    /// lies below the highest slot in the store is never looked for again.
    behind: Vec<Record>,
}

/// What the scheduler works with.
pub struct Means {
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The way to the network; changed before the configuration that needs it.
    pub transport: watch::Receiver<Arc<Transport>>,
    /// How much of each endpoint's patience is ours.
    pub budgets: Arc<Budgets>,
    /// Where positions come from at the start.
    pub board: Arc<Board>,
    /// Where outcomes go.
    pub recorder: RecorderHandle,
    /// Lag and runs in flight.
    pub own: Arc<OwnMetrics>,
    /// Told at every look that the scheduler lives.
    pub health: Arc<Health>,
    /// Wall time.
    pub clock: Clock,
    /// What checks remember.
    pub memories: Arc<Memories>,
}

/// The scheduler task.
pub struct Scheduler {
    means: Means,
    entries: HashMap<CheckId, Entry>,
    /// One for each entry.
    heap: BinaryHeap<Reverse<(UnixMs, CheckId)>>,
    hosts: HashMap<Arc<str>, Arc<Semaphore>>,
    per_host: u32,
    all: Arc<Semaphore>,
    max_runs: u32,
    runs: JoinSet<Arrived>,
    running: HashMap<Id, (CheckId, UnixMs)>,
    /// Outcomes and slots nobody ran, on their way to the recorder.
    waiting: VecDeque<Arrived>,
    /// When outcomes were handed on last.
    handed: Instant,
    seen: (UnixMs, Instant),
    stop: CancellationToken,
    cut: CancellationToken,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("checks", &self.entries.len()).field("running", &self.running.len()).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// A scheduler that begins with the slots after now.
    pub fn new(means: Means, stop: CancellationToken) -> Self {
        let seen = (means.clock.now(), Instant::now());
        let settings = means.config.borrow().settings.scheduler.clone();
        Self {
            means,
            entries: HashMap::new(),
            heap: BinaryHeap::new(),
            hosts: HashMap::new(),
            per_host: settings.per_host,
            all: Arc::new(Semaphore::new(settings.max_runs as usize)),
            max_runs: settings.max_runs,
            runs: JoinSet::new(),
            running: HashMap::new(),
            waiting: VecDeque::new(),
            handed: seen.1,
            seen,
            stop,
            cut: CancellationToken::new(),
        }
    }

    /// Runs until stop; then lets runs in flight end within the grace period, and cuts the rest.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.plan();
        let recorder = self.means.recorder.clone();
        // Kept over the rounds: whoever asks anew each time stands behind all others each time.
        let mut place = pin!(recorder.place());
        let mut alarm = Alarm::new();
        loop {
            self.means.health.beat();
            self.collect();
            self.fire_due();
            let open = self.handed + TOGETHER;
            let is_open = Instant::now() >= open;
            let idle = is_open || self.runs.is_empty() && self.waiting.is_empty();
            let wake = if idle { self.wake_at() } else { self.wake_at().min(open) };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                found = &mut place, if is_open && !self.waiting.is_empty() => {
                    self.hand_on(found);
                    place.set(recorder.place());
                }
                Some(ended) = self.runs.join_next_with_id(), if is_open && self.has_room() => self.ended(ended),
                changed = self.means.config.changed() => { if changed.is_err() { break } self.plan(); }
                () = alarm.at(wake) => {}
            }
        }
        self.wind_down().await;
        Ok(())
    }

    async fn wind_down(mut self) {
        let grace = self.means.config.borrow().settings.scheduler.grace.0;
        let (cut, recorder) = (self.cut.clone(), self.means.recorder.clone());
        let mut late = pin!(tokio::time::sleep(grace));
        let mut place = pin!(recorder.place());
        while !(self.runs.is_empty() && self.waiting.is_empty()) {
            self.collect();
            tokio::select! {
                biased;
                found = &mut place, if !self.waiting.is_empty() => {
                    self.hand_on(found);
                    place.set(recorder.place());
                }
                Some(ended) = self.runs.join_next_with_id(), if self.has_room() => self.ended(ended),
                () = &mut late, if !cut.is_cancelled() => {
                    tracing::warn!(grace_s = grace.as_secs(), "runs in flight are cut off at the end of the grace period");
                    cut.cancel();
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < OUTCOMES_WAITING
    }

    /// Looks at the runs that have ended.
    fn collect(&mut self) {
        while self.has_room()
            && let Some(ended) = self.runs.try_join_next_with_id()
        {
            self.ended(ended);
        }
    }

    /// Hands outcomes to the recorder; without a place it is gone, and so are they.
    fn hand_on(&mut self, place: Option<Place<'_>>) {
        let together = self.waiting.drain(..self.waiting.len().min(MOST_TOGETHER)).collect();
        if let Some(place) = place {
            place.take(together);
        }
        // What is still waiting follows at once.
        if self.waiting.is_empty() {
            self.handed = Instant::now();
        }
    }

    /// Takes over the configuration in force: what is unchanged keeps its position.
    fn plan(&mut self) {
        // What is due was due under the old configuration.
        let now = self.fire_due();
        let config = Arc::clone(&self.means.config.borrow_and_update());
        self.resize(&config.settings.scheduler);
        let mut told = self.means.board.limits();
        self.means.budgets.plan(&config, |id| told.remove(id), Instant::now().into_std());
        let mut old = std::mem::take(&mut self.entries);
        let starting = old.is_empty() && self.heap.is_empty();
        // A check that left and came back may still be running.
        let running: HashSet<CheckId> = self.running.values().map(|(id, _)| id.clone()).collect();
        let mut hosts = HashMap::new();
        for def in config.checks() {
            if !def.kind.is_asked() {
                continue;
            }
            // Those who read files share one place.
            let host = def.host.clone().unwrap_or_default();
            let turns = self.hosts.get(&host).cloned().unwrap_or_else(|| Arc::new(Semaphore::new(self.per_host as usize)));
            hosts.entry(Arc::clone(&host)).or_insert(turns);
            let entry = match old.remove(&def.id) {
                Some(mut entry) => {
                    if entry.def.every != def.every {
                        let accounted = UnixMs(entry.next.0 - entry.def.every.ms());
                        entry.next = Grid::of(def).after(accounted.max(now));
                    }
                    entry.def = Arc::clone(def);
                    entry.host = host;
                    entry
                }
                None => {
                    let accounted = self.means.board.check(&def.id).and_then(|c| c.state.last_slot);
                    if let (true, Some(last)) = (starting, accounted) {
                        // What came due since the time the daemon was down was accounted for.
                        self.push_all(account_gap(def, last, now, Cause::Down));
                    }
                    let next = Grid::of(def).after(accounted.map_or(now, |last| last.max(now)));
                    Entry { def: Arc::clone(def), host, next, running: running.contains(&def.id), behind: Vec::new() }
                }
            };
            self.entries.insert(def.id.clone(), entry);
        }
        self.hosts = hosts;
        self.heap = self.entries.iter().map(|(id, e)| Reverse((e.next, id.clone()))).collect();
    }

    /// Takes over the limits. Runs in flight keep their places, and count.
    fn resize(&mut self, settings: &SchedulerSettings) {
        for host in self.hosts.values() {
            resize(host, self.per_host, settings.per_host);
        }
        resize(&self.all, self.max_runs, settings.max_runs);
        (self.per_host, self.max_runs) = (settings.per_host, settings.max_runs);
    }

    fn wake_at(&self) -> Instant {
        // Whoever wakes before the slot, because the wall clock goes slower than the other one, waits once more.
        let due = self.heap.peek().map_or(LOOK, |Reverse((due, ..))| self.means.clock.until(*due));
        Instant::now() + due.min(LOOK)
    }

    /// Runs or accounts for everything that is due by now; returns now.
    fn fire_due(&mut self) -> UnixMs {
        let (now, mono) = (self.means.clock.now(), Instant::now());
        let expected = self.seen.0.plus(mono - self.seen.1);
        let step = now.0 - expected.0;
        let stepped = step.abs() > STEP_MS;
        if stepped {
            tracing::warn!(
                by_ms = step,
                "the wall clock was set; slots it jumped over are unknown, slots it goes through again do not run twice"
            );
        }
        self.seen = (now, mono);
        while let Some(Reverse((due, ..))) = self.heap.peek() {
            if *due > now {
                break;
            }
            let Some(Reverse((due, id))) = self.heap.pop() else { break };
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let grid = Grid::of(&entry.def);
            let before = UnixMs(due.0 - 1);
            let latest = grid.at_or_before(now);
            entry.next = grid.after(now);
            self.heap.push(Reverse((entry.next, id.clone())));
            let def = Arc::clone(&entry.def);
            // What the clock jumped over never runs; what we are only late for runs once, for its latest slot.
            let (missed_until, cause) = if stepped && step > 0 { (latest, Cause::Clock) } else { (UnixMs(latest.0 - 1), Cause::Late) };
            self.account(&id, account_gap(&def, before, missed_until, cause));
            if missed_until < latest {
                self.fire(&id, latest, now);
            }
        }
        now
    }

    fn fire(&mut self, id: &CheckId, slot: UnixMs, now: UnixMs) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let interval = u32::try_from(entry.def.every.ms()).unwrap_or(u32::MAX);
        let why = not_due(&entry.def.integration, slot).map(|cause| (cause, None));
        let excused =
            || self.means.budgets.excuse(id, slot, now, entry.def.timeout).map(|e| (Cause::RateLimit, Some(e.words().to_owned())));
        let blocked = || blocked(&self.means.board, &entry.def, now).map(|words| (Cause::Blocked, Some(words)));
        // A run may still wait for its turn while slots go by that are left out anyway.
        let overlaps = || entry.running.then_some((Cause::Overlap, None));
        if let Some((cause, detail)) = why.or_else(blocked).or_else(excused).or_else(overlaps) {
            self.account(id, vec![Record { detail, ..Record::not_run(id.clone(), slot, interval, 1, cause) }]);
            return;
        }
        entry.running = true;
        self.means.own.scheduler_lag.observe(now.since(slot).as_secs_f64());
        let turns = self.hosts.get(&entry.host).cloned().unwrap_or_else(|| Arc::new(Semaphore::new(1)));
        let job = Job {
            def: Arc::clone(&entry.def),
            host: Arc::clone(&entry.host),
            slot,
            interval,
            turns,
            all: Arc::clone(&self.all),
            transport: Arc::clone(&self.means.transport.borrow()),
            own: Arc::clone(&self.means.own),
            budgets: Arc::clone(&self.means.budgets),
            recorder: self.means.recorder.clone(),
            clock: self.means.clock.clone(),
            memories: Arc::clone(&self.means.memories),
            stop: self.stop.clone(),
            cut: self.cut.clone(),
        };
        let handle = self.runs.spawn(job.run());
        self.running.insert(handle.id(), (id.clone(), slot));
    }

    fn ended(&mut self, ended: Result<(Id, Arrived), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((check, slot)) = self.running.remove(&id) else { return };
        let entry = self.entries.get_mut(&check);
        let interval = entry.as_ref().map_or(1, |e| u32::try_from(e.def.every.ms()).unwrap_or(u32::MAX));
        let behind = entry.map(|e| {
            e.running = false;
            std::mem::take(&mut e.behind)
        });
        self.waiting.push_back(match ended {
            Ok((_, arrived)) => arrived,
            Err(e) => {
                // A defect of ours costs one outcome, and is never blamed on the customer.
                tracing::error!(check = check.as_str(), "a run ended by a defect of ours: {e}");
                let mut record = Record::not_run(check, slot, interval, 1, Cause::Internal);
                record.detail = Some("the run ended by a defect of the monitor".into());
                Arrived::told(record)
            }
        });
        self.push_all(behind.unwrap_or_default());
    }

    /// Accounts for slots nobody runs; behind the check's run, if there is one.
    fn account(&mut self, id: &CheckId, records: Vec<Record>) {
        match self.entries.get_mut(id).filter(|e| e.running) {
            Some(entry) => {
                for r in records {
                    if !entry.behind.last_mut().is_some_and(|last| last.join(&r)) {
                        entry.behind.push(r);
                    }
                }
            }
            None => self.push_all(records),
        }
    }

    fn push_all(&mut self, records: Vec<Record>) {
        for r in records {
            if self.waiting.len() >= MOST_WAITING {
                self.means.own.store_lost.inc_by(u64::from(r.count));
            } else {
                self.waiting.push_back(Arrived::told(r));
            }
        }
    }
}

/// Changes how many places there are. Fewer: those that are taken go as they get free, before anybody who waits gets one.
fn resize(places: &Arc<Semaphore>, from: u32, to: u32) {
    if to >= from {
        places.add_permits((to - from) as usize);
    } else {
        let places = Arc::clone(places);
        tokio::spawn(async move {
            if let Ok(surplus) = places.acquire_many_owned(from - to).await {
                surplus.forget();
            }
        });
    }
}

/// Counts a run as in flight until dropped, however the run ends.
struct InFlight<'a>(&'a OwnMetrics);

impl<'a> InFlight<'a> {
    fn new(own: &'a OwnMetrics) -> Self {
        own.runs_inflight.inc();
        Self(own)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.runs_inflight.dec();
    }
}

/// So long at least a failure is taken to last: a machine that stood still for a few seconds is not a check that is no longer run.
const STILL_TOLD: Duration = Duration::from_secs(30);

/// Why a check waits for another one, if it does: that one's last run did not pass, and it is still being run.
fn blocked(board: &Board, def: &CheckDef, now: UnixMs) -> Option<String> {
    let by = board.check(def.blocked_by.as_ref()?)?;
    let last = by.state.last_run.filter(|_| by.state.consecutive_failures > 0)?;
    // What is told of it must be of now: a check that is paused or held itself holds nobody back.
    let recent = last.plus((by.def.every.0 * 3).max(STILL_TOLD)) > now;
    let class = by.state.last.as_ref().and_then(|l| l.class).map_or("", |c| c.as_str());
    recent.then(|| format!("{} fails ({class}), and this depends on it", by.def.id.check()))
}

/// One slot's run, from its host's turn to its outcome.
struct Job {
    def: Arc<CheckDef>,
    host: Arc<str>,
    slot: UnixMs,
    interval: u32,
    turns: Arc<Semaphore>,
    all: Arc<Semaphore>,
    transport: Arc<Transport>,
    own: Arc<OwnMetrics>,
    budgets: Arc<Budgets>,
    recorder: RecorderHandle,
    clock: Clock,
    memories: Arc<Memories>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Job {
    #[expect(clippy::manual_async_fn, reason = "an async function holds its arguments twice")]
    fn run(self) -> impl Future<Output = Arrived> + Send {
        async move {
            // Boxes: a run that waits for its target keeps no place for what it needed before, nor for what it will come to.
            let (record, answered) = match Box::pin(self.turn()).await {
                Ok((_permits, waited)) => {
                    let _in_flight = InFlight::new(&self.own);
                    let pace = Some(Pace { budgets: &self.budgets, clock: &self.clock });
                    let ran = tokio::select! {
                        biased;
                        () = self.cut.cancelled() => (Box::new(self.not_run(Cause::Shutdown)), false),
                        report = Box::pin(run_once(&self.def, (&self.transport, &self.memories), self.slot, pace, Noted::Unmet)) => {
                            let answered = report.answered();
                            let mut record = report.record;
                            record.facts.throttle_wait = (waited >= WORTH_TELLING).then(|| DurationCode::of(waited));
                            (Box::new(record), answered)
                        }
                    };
                    let (holds, tokens) = (self.budgets.notes(), self.transport.notes());
                    if !(holds.is_empty() && tokens.is_empty()) {
                        Box::pin(self.note(holds, tokens)).await;
                    }
                    ran
                }
                Err(cause) => (Box::new(self.not_run(cause)), false),
            };
            Arrived::ran(*record, self.host, answered)
        }
    }

    /// Has the recorder remember holds and token endpoints to leave alone.
    async fn note(&self, holds: Vec<(String, Option<String>)>, tokens: Vec<(String, Option<String>)>) {
        let holds = holds.into_iter().map(|note| (HOLD_NOTE, note));
        for (kind, (id, text)) in holds.chain(tokens.into_iter().map(|note| (AWAY_NOTE, note))) {
            self.recorder.note(Note { kind, id, text }).await;
        }
    }

    fn not_run(&self, cause: Cause) -> Record {
        let detail = (cause == Cause::RateLimit).then(|| "our own pace: its turn would have come after its next slot".to_owned());
        Record { detail, ..Record::not_run(self.def.id.clone(), self.slot, self.interval, 1, cause) }
    }

    /// Waits for a turn in the pace of host and credential, then for the host's turn and a place among all runs; says how long the pace made it wait.
    /// The pace comes first, and all before a place among all runs: whoever waits for a slow host takes no place from others. For its turn in the pace
    /// a run waits until its check's next slot that is run: slots stand where they stand, and of those that share a pace one would otherwise always
    /// come too soon after another, and never run. For the rest it waits at most the check's timeout.
    async fn turn(&self) -> Result<((OwnedSemaphorePermit, OwnedSemaphorePermit), Duration), Cause> {
        let patience = self.budgets.interval(&self.def.id).unwrap_or_default().max(self.def.timeout);
        let next_slot = Instant::now() + patience;
        let now = || (self.clock.now(), Instant::now().into_std());
        let mut waited = Duration::ZERO;
        loop {
            let began = Instant::now();
            let head = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Cause::Shutdown),
                head = self.budgets.queue(&self.def.id, next_slot.into_std(), now) => head.ok_or(Cause::RateLimit)?,
            };
            waited += began.elapsed();
            let until = Instant::now() + self.def.timeout;
            let host = self.permit(&self.turns, until, Cause::HostBusy).await?;
            let all = self.permit(&self.all, until, Cause::Capacity).await?;
            let (wall, mono) = now();
            if self.budgets.take(&self.def.id, wall, mono) {
                return Ok(((host, all), waited));
            }
            // A retry, or a hold that came meanwhile, was first.
            drop(head);
        }
    }

    async fn permit(&self, from: &Arc<Semaphore>, until: Instant, cause: Cause) -> Result<OwnedSemaphorePermit, Cause> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Cause::Shutdown),
            permit = timeout_at(until, Arc::clone(from).acquire_owned()) => match permit {
                Ok(Ok(permit)) => Ok(permit),
                _ => Err(cause),
            }
        }
    }
}

#[cfg(test)]
mod tests;
