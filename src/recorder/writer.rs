//! The store's own thread: takes one commit at a time, answers it, and does the store's housekeeping in between.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::evidence::{self, Appended, Saying};
use crate::clock::UnixMs;
use crate::fields::{CheckId, Span};
use crate::incident::Incident;
use crate::readiness::Soaks;
use crate::record::Record;
use crate::store::{Note, Seal, Store, StoreError};

/// What is written together.
pub(super) struct Batch {
    pub(super) now: UnixMs,
    pub(super) records: Vec<Record>,
    pub(super) seals: Vec<Seal>,
    /// Written once the records are in.
    pub(super) incidents: Vec<Arc<Incident>>,
    /// What is done after that.
    pub(super) after: Vec<After>,
    pub(super) keep: Keep,
}

/// What is done to the store between two batches, in order. Doing it twice does no harm.
#[derive(Debug)]
pub(super) enum After {
    /// A check left the configuration.
    Forget(CheckId),
    /// Something to remember that is no run, and who waits until it is.
    Note(Note, Option<oneshot::Sender<()>>),
    /// A record of the evidence log.
    Evidence(Saying),
}

/// How long the store keeps what.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    /// Single runs.
    pub(super) runs: Span,
    /// Hourly sums.
    pub(super) hours: Span,
    /// They know which runs they are still judged by.
    pub(super) soaks: Arc<Soaks>,
}

/// What a commit left behind.
#[derive(Debug)]
pub(super) struct Done {
    /// Checks whose last hour is to be sealed with the next commit.
    pub(super) seal_next: Vec<CheckId>,
    /// Whether the incidents are in.
    pub(super) incidents: bool,
    /// What could not be done yet.
    pub(super) not_done: Vec<After>,
    /// Evidence that was appended.
    pub(super) appended: Vec<Appended>,
    /// Size on disk.
    pub(super) size_bytes: u64,
}

/// A commit that failed; nothing of it is in the store.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: String,
    /// To be tried again.
    pub(super) after: Vec<After>,
}

pub(super) type Answer = Result<Done, Failed>;

enum Request {
    Commit(Batch, oneshot::Sender<Answer>),
    Stop(oneshot::Sender<()>),
}

/// The way to the store's thread.
#[derive(Debug)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
}

/// Retention looks for old rows this often, in commits (about a minute).
const RETAIN_EVERY: u32 = 60;
/// Rows deleted at one look, so that no commit waits long.
const RETAIN_ROWS: usize = 2_000;

impl Writer {
    /// Moves the store to a thread of its own.
    pub(super) fn start(store: Store) -> std::io::Result<Self> {
        // One commit at a time, and one stop.
        let (requests, inbox) = mpsc::channel(2);
        std::thread::Builder::new().name("store".into()).spawn(move || serve(store, inbox))?;
        Ok(Self { requests })
    }

    /// Hands a batch over; the answer says whether it is stored.
    pub(super) fn commit(&self, batch: Batch) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        // The recorder has one commit under way at most, so there is room; if the thread is gone, the answer's sender drops and says so.
        let _ = self.requests.try_send(Request::Commit(batch, answer));
        receiver
    }

    /// Waits until the thread has closed the store.
    pub(super) async fn stop(self) {
        let (answer, done) = oneshot::channel();
        if self.requests.send(Request::Stop(answer)).await.is_ok() {
            let _ = done.await;
        }
    }
}

fn serve(mut store: Store, mut inbox: mpsc::Receiver<Request>) {
    let mut commits = 0u32;
    while let Some(request) = inbox.blocking_recv() {
        match request {
            Request::Commit(batch, answer) => {
                let (now, keep) = (batch.now, batch.keep.clone());
                let _ = answer.send(commit(&mut store, batch));
                commits = commits.wrapping_add(1);
                if commits.is_multiple_of(RETAIN_EVERY)
                    && let Err(e) = store.retain(now, keep.runs, keep.hours, &keep.soaks.pinned(now), RETAIN_ROWS)
                {
                    tracing::warn!(error = %e, "old results could not be removed");
                }
                if commits.is_multiple_of(RETAIN_EVERY)
                    && let Err(e) = store.retain_incidents(now, keep.hours, RETAIN_ROWS)
                {
                    tracing::warn!(error = %e, "old incidents could not be removed");
                }
            }
            Request::Stop(answer) => {
                drop(store);
                let _ = answer.send(());
                return;
            }
        }
    }
}

/// It is on disk: who waits for it hears so.
fn told(done: After) {
    if let After::Note(_, Some(kept)) = done {
        let _ = kept.send(());
    }
}

/// What became of the first so many of what is to be done.
enum Changed {
    Done(usize),
    GivenUp(usize),
}

/// What a damage stands in the way of is given up: that does not pass by waiting, and what waits would grow without an end.
fn changed(result: Result<(), StoreError>, n: usize) -> Result<Changed, String> {
    match result {
        Ok(()) => Ok(Changed::Done(n)),
        Err(e) if e.is_damage() => {
            tracing::error!(error = %e, "the store is damaged and could not take over a change, which is given up");
            Ok(Changed::GivenUp(n))
        }
        Err(e) => Err(e.to_string()),
    }
}

fn commit(store: &mut Store, mut batch: Batch) -> Answer {
    match store.commit(batch.now, &batch.records, &batch.seals) {
        Ok(done) if done.unsealed > 0 => {
            tracing::error!(
                checks = done.unsealed,
                "the store is damaged: hours of these checks can't be sealed and stay in its journal; restore a backup"
            );
        }
        Ok(_) => {}
        Err(e) => {
            let error = e.to_string();
            evidence::refuse(&mut batch.after, &error);
            return Err(Failed { error, after: batch.after });
        }
    }
    // The batch is in: what can't be done now must not make the recorder write it again.
    let incidents = store.write_incidents(batch.incidents.iter().map(Arc::as_ref));
    if let Err(error) = &incidents {
        tracing::warn!(%error, "the store could not take over incidents; it is tried again");
    }
    let (mut not_done, mut appended) = (batch.after, Vec::new());
    while let Some(first) = not_done.first() {
        let result = match first {
            After::Forget(check) => changed(store.forget(batch.now, check), 1),
            After::Note(..) => {
                // All that follow each other in one transaction.
                let notes: Vec<Note> =
                    not_done.iter().map_while(|a| if let After::Note(n, _) = a { Some(n.clone()) } else { None }).collect();
                changed(store.write_notes(&notes), notes.len())
            }
            After::Evidence(_) => evidence::append(store, &mut not_done).map(|done| {
                appended.extend(done);
                Changed::Done(0)
            }),
        };
        match result {
            Ok(Changed::Done(done)) => not_done.drain(..done).for_each(told),
            Ok(Changed::GivenUp(lost)) => drop(not_done.drain(..lost)),
            Err(error) => {
                tracing::warn!(error, "the store could not take over a change or a record of evidence; it is tried again");
                break;
            }
        }
    }
    Ok(Done { seal_next: store.due_for_seal(batch.now), incidents: incidents.is_ok(), not_done, appended, size_bytes: store.size_bytes() })
}
