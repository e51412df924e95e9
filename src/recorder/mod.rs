//! The only writer. Every outcome, asked for (a probe) or told (a webhook), takes the same way in the same order: store first, then board and
//! metrics.
//!
//! Owns the open batch, the hold for the self-check (`hold.rs`) and what could not be stored yet. The store itself lives on a thread of its own
//! (`writer.rs`): SQLite blocks, the runtime must not. Never probes, never decides an outcome other than by the self-check.

mod blackout;
mod evidence;
mod hold;
mod incidents;
mod said;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::board::Board;
use crate::clock::Clock;
use crate::config::model::Config;
use crate::evidence::Entry;
use crate::fields::CheckId;
use crate::incident::live::Incidents;
use crate::metrics::own::OwnMetrics;
use crate::outcome::{Cause, Class, Outcome};
use crate::readiness::Soaks;
use crate::record::Record;
use crate::self_check::SelfCheckHandle;
use crate::store::{Note, Seal, Store};

use evidence::Saying;
use hold::Hold;
use incidents::{Acting, Keeping};
use said::{log_change, tells};
use writer::{After, Writer};

pub use evidence::Durable;

/// Events that may wait. The largest, of the scheduler, holds 256 outcomes: some 16,000 in all, less than the outbox has room for by default. Whoever finds
/// no place waits.
const EVENTS: usize = 64;
/// Outcomes in one commit at most.
const BATCH: usize = 500;
/// A commit at least this often while there is something to commit.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// A change of state is committed sooner, but commits keep this distance.
const COMMIT_SPACING: Duration = Duration::from_millis(100);
/// Between tries while the store can't be written.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What reaches the recorder.
#[derive(Debug)]
enum Event {
    /// Runs that were made, or outcomes that arrived, in order.
    Outcomes(Vec<Arrived>),
    /// A check left the configuration.
    Forget(CheckId),
    /// Something to remember that is no run, and who waits until it is.
    Note(Note, Option<oneshot::Sender<()>>),
    /// A record of the evidence log.
    Evidence(Box<Saying>),
    /// Every integration is to be looked at anew for incidents.
    Review,
    /// Somebody does something with an incident.
    Act(Box<Acting>),
    /// Answer when all that came before is stored (or could not be).
    Flush(oneshot::Sender<()>),
}

/// An outcome as it reaches the recorder, with the moment it came about.
#[derive(Debug)]
pub struct Arrived {
    record: Record,
    host: Option<Arc<str>>,
    ended: Instant,
    answered: bool,
}

impl Arrived {
    /// The outcome of a run towards a host that ends now. `answered`: it failed, but by an answer ([`crate::run::RunReport::answered`]).
    pub fn ran(record: Record, host: Arc<str>, answered: bool) -> Self {
        Self { record, host: Some(host), ended: Instant::now(), answered }
    }

    /// An outcome that was told rather than asked for, or slots nobody ran.
    pub fn told(record: Record) -> Self {
        Self { record, host: None, ended: Instant::now(), answered: false }
    }

    /// The outcome.
    #[cfg(test)]
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

/// How outcomes reach the recorder. Cheap to clone; the recorder ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct RecorderHandle {
    events: mpsc::Sender<Event>,
    stored: watch::Receiver<u64>,
}

impl RecorderHandle {
    /// Records an outcome that was told rather than asked for, or slots nobody ran. Waits when the recorder is behind.
    pub async fn told(&self, record: Record) {
        self.send(Event::Outcomes(vec![Arrived::told(record)])).await;
    }

    /// Remembers something that is no run, once all that was sent before is stored.
    pub async fn note(&self, note: Note) {
        self.send(Event::Note(note, None)).await;
    }

    /// The same, and tells somebody once it is on disk; never, if the daemon ends before.
    pub async fn note_durably(&self, note: Note, kept: oneshot::Sender<()>) {
        self.send(Event::Note(note, Some(kept))).await;
    }

    /// Records evidence, once all that was sent before is stored.
    pub async fn evidence(&self, entry: Entry) {
        self.send(Event::Evidence(Box::new(Saying { entry, answer: None }))).await;
    }

    /// Records evidence and waits until it is durable, for who must be told. After an error it was not recorded and will not be.
    pub async fn evidence_durably(&self, entry: Entry) -> Durable {
        let (answer, done) = oneshot::channel();
        self.send(Event::Evidence(Box::new(Saying { entry, answer: Some(answer) }))).await;
        done.await.unwrap_or_else(|_| Err("the daemon is stopping".to_owned()))
    }

    /// How many outcomes the store has taken since the start; changes with each commit that held some.
    pub fn stored(&self) -> watch::Receiver<u64> {
        self.stored.clone()
    }

    /// Forgets a check that left the configuration; its history stays until retention.
    pub async fn forget(&self, check: CheckId) {
        self.send(Event::Forget(check)).await;
    }

    /// Waits until all that was sent before is stored, or could not be.
    pub async fn flush(&self) {
        let (answer, done) = oneshot::channel();
        self.send(Event::Flush(answer)).await;
        let _ = done.await;
    }

    /// A place in the channel, for a sender that must not wait inside a `select!`.
    pub async fn place(&self) -> Option<Place<'_>> {
        self.events.reserve().await.ok().map(Place)
    }

    async fn send(&self, event: Event) {
        // The recorder ends last: a closed channel means the process is going down anyway.
        let _ = self.events.send(event).await;
    }
}

/// A reserved place in the recorder's channel.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Event>);

impl Place<'_> {
    /// Records outcomes: 256 at most, by which the channel is bounded.
    pub fn take(self, arrived: Vec<Arrived>) {
        self.0.send(Event::Outcomes(arrived));
    }
}

/// An outcome on its way to the store.
struct Pending {
    record: Record,
    /// Already on the board: the store was failing when it came.
    shown: bool,
}

/// What the log says of a check until it changes.
type Said = (Outcome, Option<Class>, Option<Cause>);

/// A commit under way.
struct Commit {
    answer: oneshot::Receiver<writer::Answer>,
    count: usize,
    began: Instant,
}

/// The recorder task.
pub struct Recorder {
    events: mpsc::Receiver<Event>,
    writer: Writer,
    board: Arc<Board>,
    soaks: Arc<Soaks>,
    keeping: Keeping,
    own: Arc<OwnMetrics>,
    clock: Clock,
    config: watch::Receiver<Arc<Config>>,
    hold: Hold,
    pending: VecDeque<Pending>,
    /// What did not fit while the store failed, by check: it is stored as slots that could not be judged, so that what was due stays due.
    lost: HashMap<CheckId, Vec<Record>>,
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    stored: watch::Sender<u64>,
    /// What is done once the first `before` pending outcomes are stored, and before the others are.
    after: Vec<After>,
    before: usize,
    /// Records of evidence that did not fit while the store failed.
    left_out: u64,
    /// Outcomes taken in and outcomes dealt with, ever: a flush waits until the second reaches the first.
    taken: u64,
    settled: u64,
    urgent: bool,
    store_fails: bool,
    last_try: bool,
    /// Whether the hosts of the first configuration have been counted.
    counted: bool,
    commit: Option<Commit>,
    next_commit: Instant,
    not_before: Instant,
    seal_wanted: Vec<CheckId>,
    /// What the log said last of each check.
    said: HashMap<CheckId, Said>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

/// Starts the store's thread and returns the recorder with its handle. `run` must be spawned.
pub fn start(
    store: Store,
    (board, soaks, incidents): (Arc<Board>, Arc<Soaks>, Arc<Incidents>),
    own: Arc<OwnMetrics>,
    clock: Clock,
    config: watch::Receiver<Arc<Config>>,
    self_check: SelfCheckHandle,
) -> anyhow::Result<(Recorder, RecorderHandle)> {
    let (sender, events) = mpsc::channel(EVENTS);
    let (stored, stored_now) = watch::channel(0);
    let writer = Writer::start(store)?;
    let now = Instant::now();
    // A restart is no change of state.
    let said = board.read(|all| {
        let last = all.iter().flat_map(|i| &i.checks).filter_map(|c| Some((c.def.id.clone(), c.state.last.as_ref()?)));
        last.map(|(id, last)| (id, (last.outcome, last.class, last.cause))).collect()
    });
    let recorder = Recorder {
        events,
        writer,
        board,
        soaks,
        keeping: Keeping::new(incidents),
        own,
        clock,
        config,
        hold: Hold::new(self_check),
        pending: VecDeque::new(),
        lost: HashMap::new(),
        flushes: Vec::new(),
        stored,
        after: Vec::new(),
        before: 0,
        left_out: 0,
        taken: 0,
        settled: 0,
        urgent: false,
        store_fails: false,
        last_try: false,
        counted: false,
        commit: None,
        next_commit: now + COMMIT_EVERY,
        not_before: now,
        seal_wanted: Vec::new(),
        said,
    };
    Ok((recorder, RecorderHandle { events: sender, stored: stored_now }))
}

impl Recorder {
    /// Runs until the last handle is gone and all is written.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut open = true;
        while open
            || self.commit.is_some()
            || !self.pending.is_empty()
            || !self.after.is_empty()
            || self.keeping.waits()
            || !self.hold.is_empty()
        {
            if !open && !self.wind_down() {
                break;
            }
            self.count_hosts();
            self.start_commit(!open);
            // While the store is slow, the channel is left alone once enough waits: senders wait then, instead of memory growing.
            let room = self.pending.len() < self.config.borrow().settings.store.outbox as usize || self.store_fails;
            let wake = self.wake_at();
            tokio::select! {
                biased;
                answer = wait(&mut self.commit) => self.committed(answer),
                () = self.hold.verdict_changed() => self.release_held(),
                event = self.events.recv(), if open && room => match event {
                    Some(event) => self.take(event),
                    None => {
                        open = false;
                        self.say_goodbye();
                    }
                },
                () = sleep_until(wake) => self.release_held(),
            }
        }
        self.writer.stop().await;
        Ok(())
    }

    fn count_hosts(&mut self) {
        if self.config.has_changed().unwrap_or(false) || !self.counted {
            self.counted = true;
            let config = Arc::clone(&self.config.borrow_and_update());
            let hosts: HashSet<String> = config.checks().filter_map(|c| c.host.as_deref()).map(|h| hold::host_name(h).to_owned()).collect();
            self.hold.hosts(hosts.len(), hosts.iter().filter(|h| !hold::is_address(h)).count());
        }
    }

    /// The last handle is gone: nothing is held any longer. `false`: what is left can't be stored.
    fn wind_down(&mut self) -> bool {
        let held = self.hold.give_up(Instant::now());
        self.accept_all(held);
        if self.store_fails && self.commit.is_none() && !std::mem::replace(&mut self.last_try, true) {
            self.next_commit = Instant::now();
        } else if self.store_fails && self.commit.is_none() {
            let lost = self.pending.len();
            if lost > 0 {
                tracing::error!(outcomes = lost, "stopping while the store can't be written: these outcomes are lost");
                self.own.store_lost.inc_by(lost as u64);
            }
            if self.after.iter().any(|a| matches!(a, After::Evidence(_))) {
                tracing::error!("stopping while the store can't be written: the last records of evidence are lost");
            }
            return false;
        }
        true
    }

    fn wake_at(&self) -> Instant {
        let commit = if self.pending.is_empty() && self.seal_wanted.is_empty() && self.after.is_empty() && !self.keeping.waits() {
            Instant::now() + COMMIT_EVERY
        } else {
            self.commit_at()
        };
        let commit = if self.commit.is_some() { Instant::now() + COMMIT_EVERY } else { commit };
        self.hold.next_end().map_or(commit, |t| t.min(commit))
    }

    fn commit_at(&self) -> Instant {
        let soon = self.urgent || self.pending.len() >= BATCH || !self.flushes.is_empty();
        if self.store_fails || !soon { self.next_commit } else { self.not_before.min(self.next_commit) }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Outcomes(all) => {
                for arrived in all {
                    self.take_outcome(arrived);
                }
            }
            Event::Forget(check) => {
                self.said.remove(&check);
                // What is on its way belongs to the check as it was: should it come back, it starts from nothing.
                for p in self.pending.iter_mut().filter(|p| p.record.check == check) {
                    p.shown = true;
                }
                self.follow_up(After::Forget(check));
            }
            Event::Note(note, kept) => {
                self.urgent |= kept.is_some();
                self.follow_up(After::Note(note, kept));
            }
            Event::Evidence(saying) => self.say(*saying),
            Event::Review => self.review(),
            Event::Act(acting) => self.act(*acting),
            Event::Flush(answer) => self.flushes.push((self.taken, answer)),
        }
        self.answer_flushes();
    }

    fn take_outcome(&mut self, arrived: Arrived) {
        self.taken += 1;
        let (free, decided) = self.hold.admit(arrived);
        if decided {
            self.release_held();
        }
        if let Some(record) = free {
            self.accept(record);
        }
    }

    fn release_held(&mut self) {
        let released = self.hold.release(Instant::now());
        self.accept_all(released);
    }

    fn accept_all(&mut self, records: Vec<Record>) {
        for r in records {
            self.accept(r);
        }
    }

    fn follow_up(&mut self, what: After) {
        if self.after.is_empty() {
            self.before = self.pending.len();
        }
        self.after.push(what);
    }

    /// What could not be done comes before what was asked for since.
    fn retry(&mut self, mut what: Vec<After>) {
        // As a rule all was done; the list still has room for all there ever was.
        what.shrink_to_fit();
        what.append(&mut self.after);
        self.after = what;
    }

    /// From here on an outcome is final: it only waits to be written.
    fn accept(&mut self, record: Record) {
        if !self.board.knows(&record.check) {
            // A run that ended after its check left the configuration.
            self.settled += 1;
            return;
        }
        if self.is_news(&record) {
            self.urgent = true;
            log_change(&record);
        }
        let shown = self.store_fails;
        if shown {
            // Metrics and pages go on while the store can't be written.
            self.show(std::slice::from_ref(&record));
        }
        self.pending.push_back(Pending { record, shown });
        self.bound_outbox();
    }

    /// A skip between two failures makes the second one no news.
    fn is_news(&mut self, r: &Record) -> bool {
        let state = (r.outcome, r.class, r.cause);
        tells(r) && self.said.insert(r.check.clone(), state) != Some(state)
    }

    fn bound_outbox(&mut self) {
        let limit = self.config.borrow().settings.store.outbox as usize;
        // What a commit under way holds stands at the front and stays.
        let held = self.commit.as_ref().map_or(0, |c| c.count);
        while self.store_fails && self.pending.len() > limit.max(held + 1) {
            let Some(Pending { record, .. }) = self.pending.remove(held) else { break };
            self.settled += 1;
            self.lose(record);
        }
        self.own.store_outbox_length.set(i64::try_from(self.pending.len()).unwrap_or(i64::MAX));
    }

    /// Of an outcome that can't be kept, the slot is: spans of them take no room.
    fn lose(&mut self, r: Record) {
        let kept = r.outcome == Outcome::NotDue || r.cause == Some(Cause::Capacity);
        let slot = if kept {
            r
        } else {
            self.own.store_lost.inc_by(u64::from(r.count.max(1)));
            Record { vantage: r.vantage, ..Record::not_run(r.check, r.slot, r.interval_ms, r.count.max(1), Cause::Capacity) }
        };
        let spans = self.lost.entry(slot.check.clone()).or_default();
        if !spans.last_mut().is_some_and(|last| last.join(&slot)) {
            spans.push(slot);
        }
    }

    /// The store works again: what was lost goes first, for it is the oldest. The board showed it as it was.
    fn account_lost(&mut self) {
        for record in std::mem::take(&mut self.lost).into_values().flat_map(|spans| spans.into_iter().rev()) {
            if self.board.knows(&record.check) {
                self.taken += 1;
                self.pending.push_front(Pending { record, shown: true });
            }
        }
    }

    fn start_commit(&mut self, last: bool) {
        let something = !(self.pending.is_empty() && self.seal_wanted.is_empty() && self.after.is_empty()) || self.keeping.waits();
        if self.commit.is_some() || !something || !(last && !self.store_fails || Instant::now() >= self.commit_at()) {
            return;
        }
        // What follows up stands between the outcomes that came before it and those that came after.
        let most = if self.after.is_empty() { BATCH } else { BATCH.min(self.before) };
        let records: Vec<Record> = self.pending.iter().take(most).map(|p| p.record.clone()).collect();
        let after = if records.len() >= self.before.min(self.pending.len()) { std::mem::take(&mut self.after) } else { Vec::new() };
        // A snapshot must hold what the store holds, no more: none while outcomes are shown that are not stored.
        let wanted = std::mem::take(&mut self.seal_wanted);
        let seals = if self.pending.iter().any(|p| p.shown) { Vec::new() } else { self.seals(&wanted) };
        let (count, began) = (records.len(), Instant::now());
        let batch = writer::Batch { now: self.clock.now(), records, seals, incidents: self.keeping.take(), after, keep: self.keep() };
        let answer = self.writer.commit(batch);
        self.commit = Some(Commit { answer, count, began });
        self.urgent = false;
        self.not_before = began + COMMIT_SPACING;
        self.next_commit = began + COMMIT_EVERY;
    }

    fn keep(&self) -> writer::Keep {
        let config = self.config.borrow();
        writer::Keep { runs: config.settings.store.keep_runs, hours: config.settings.store.keep_hours, soaks: Arc::clone(&self.soaks) }
    }

    fn seals(&self, wanted: &[CheckId]) -> Vec<Seal> {
        wanted
            .iter()
            .filter_map(|check| {
                let entry = self.board.check(check)?;
                let state = serde_json::to_string(&entry.state).ok()?;
                Some(Seal { check: check.clone(), state })
            })
            .collect()
    }

    fn committed(&mut self, answer: writer::Answer) {
        let Some(commit) = self.commit.take() else { return };
        self.own.store_commit_duration.observe(commit.began.elapsed().as_secs_f64());
        match answer {
            Ok(done) => {
                if self.store_fails {
                    tracing::info!(outcomes = commit.count, "the store can be written again");
                }
                self.store_fails = false;
                self.stored.send_if_modified(|n| std::mem::replace(n, *n + commit.count as u64) != *n);
                self.keeping.written(done.incidents);
                let stored: Vec<Pending> = self.pending.drain(..commit.count.min(self.pending.len())).collect();
                if self.pending.len() <= BATCH {
                    // After a restart, or while the store failed, many times as many waited.
                    self.pending.shrink_to(2 * BATCH);
                }
                // What is judged is what is stored, also what the board showed before.
                self.soaks.apply(stored.iter().map(|p| &p.record));
                let unshown: Vec<Record> = stored.into_iter().filter(|p| !p.shown).map(|p| p.record).collect();
                self.show(&unshown);
                self.settled += commit.count as u64;
                self.account_lost();
                self.seal_wanted = done.seal_next;
                // What can't be done must not hold the outcomes up.
                self.before = if done.not_done.is_empty() { self.before.saturating_sub(commit.count) } else { BATCH };
                self.retry(done.not_done);
                self.own.store_size_bytes.set(i64::try_from(done.size_bytes).unwrap_or(i64::MAX));
                self.evidence_said(&done.appended);
            }
            Err(failed) => {
                self.own.store_write_errors.inc();
                if !self.store_fails {
                    tracing::error!(error = %failed.error, "the store can't be written; probing and metrics go on, outcomes wait in memory");
                }
                self.store_fails = true;
                self.keeping.written(false);
                self.keeping.give_up();
                self.before = if failed.after.is_empty() { self.before } else { commit.count };
                self.retry(failed.after);
                evidence::refuse(&mut self.after, &failed.error);
                let unshown: Vec<Record> =
                    self.pending.iter_mut().filter_map(|p| (!std::mem::replace(&mut p.shown, true)).then(|| p.record.clone())).collect();
                self.show(&unshown);
                self.next_commit = Instant::now() + STORE_RETRY;
            }
        }
        self.bound_outbox();
        self.answer_flushes();
    }

    fn answer_flushes(&mut self) {
        // While the store fails, "could not be" is an answer too.
        let reached = if self.store_fails { u64::MAX } else { self.settled };
        let (done, waiting) = std::mem::take(&mut self.flushes).into_iter().partition(|(until, _)| *until <= reached);
        self.flushes = waiting;
        for (_, answer) in done {
            let _ = answer.send(());
        }
    }
}

async fn wait(commit: &mut Option<Commit>) -> writer::Answer {
    match commit {
        Some(c) => {
            (&mut c.answer).await.unwrap_or_else(|_| Err(writer::Failed { error: "the store's thread ended".into(), after: Vec::new() }))
        }
        None => std::future::pending().await,
    }
}
