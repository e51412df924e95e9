//! Keeps the soaks' running state: folds again from the store what has to be, judges what was touched, and records what is said of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::clock::{Clock, UnixMs};
use crate::readiness::{Asked, Soaks};
use crate::recorder::RecorderHandle;
use crate::store::{Reader, StoreError};

/// How often what was touched is judged.
const LOOK: Duration = Duration::from_secs(1);
/// Every so many looks everything is judged: time alone changes verdicts, too.
const ALL_EVERY: u32 = 15;
/// So many checks are folded again in one go.
const AT_ONCE: usize = 200;
/// The end of all time.
const END: UnixMs = UnixMs(i64::MAX);

/// What the keeper works with.
pub(super) struct Keeper {
    pub(super) soaks: Arc<Soaks>,
    pub(super) board: Arc<Board>,
    pub(super) recorder: RecorderHandle,
    pub(super) store: PathBuf,
    pub(super) clock: Clock,
}

impl Keeper {
    /// Runs until stop.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut looks = 0u32;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.fold_again().await;
            self.judge(looks.is_multiple_of(ALL_EVERY)).await;
            looks = looks.wrapping_add(1);
        }
    }

    /// Folds everything again that has to be; at start that is everything.
    pub(super) async fn fold_again(&self) {
        loop {
            let asked = self.soaks.stale(self.clock.now(), AT_ONCE);
            if asked.is_empty() {
                return;
            }
            let (soaks, store, clock) = (Arc::clone(&self.soaks), self.store.clone(), self.clock.clone());
            let left = asked.clone();
            let done = tokio::task::spawn_blocking(move || fold_blocking(&soaks, &store, &clock, &asked)).await;
            let failed = match done {
                Ok(Ok(())) => continue,
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            tracing::error!(error = failed, "the store can't be read for verdicts; the last ones stand until it can");
            left.iter().for_each(|a| self.soaks.unread(&a.check));
            return;
        }
    }

    async fn judge(&self, all: bool) {
        let now = self.clock.now();
        // Not on the runtime's threads: a large estate takes some milliseconds.
        let (soaks, board) = (Arc::clone(&self.soaks), Arc::clone(&self.board));
        let judged = tokio::task::spawn_blocking(move || board.read(|entries| soaks.watch(entries, now, all))).await;
        for entry in judged.unwrap_or_default() {
            self.recorder.evidence(entry).await;
        }
    }
}

fn fold_blocking(soaks: &Soaks, store: &std::path::Path, clock: &Clock, asked: &[Asked]) -> Result<(), StoreError> {
    let reader = Reader::open(store)?;
    for Asked { check, from } in asked {
        let runs = reader.runs(check, 0, *from, END)?;
        soaks.refold(check, &runs, clock.now());
    }
    let damaged = reader.damaged();
    if let Some(first) = damaged.first {
        tracing::error!(damaged = damaged.count, first, "parts of the store could not be read: what is missing counts as unknown");
    }
    Ok(())
}
