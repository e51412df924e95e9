//! Keeps the soaks' running state: folds again from the store what has to be, judges what was touched, and records what is said of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::clock::Clock;
use crate::readiness::{Asked, Soaks};
use crate::recorder::RecorderHandle;
use crate::store::{Damaged, Reader, StoreError};

/// How often what was touched is judged.
const LOOK: Duration = Duration::from_secs(1);
/// Every so many looks everything is judged: time alone changes verdicts, too.
const ALL_EVERY: u32 = 15;
/// So many checks are folded again in one go, for which the store's journal is read once. What it holds of them lies unpacked meanwhile: up to 20 KB
/// of a check.
const AT_ONCE: usize = 500;

/// What the keeper works with.
pub(super) struct Keeper {
    pub(super) soaks: Arc<Soaks>,
    pub(super) board: Arc<Board>,
    pub(super) recorder: RecorderHandle,
    pub(super) store: PathBuf,
    pub(super) clock: Clock,
    /// What could not be read the last time, as it was said in the log.
    pub(super) said: Option<String>,
}

impl Keeper {
    /// Runs until stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
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
    pub(super) async fn fold_again(&mut self) {
        let mut damaged: Option<String> = None;
        loop {
            let asked = self.soaks.stale(self.clock.now(), AT_ONCE);
            if asked.is_empty() {
                // Nothing was read: what was said of it still holds.
                return;
            }
            let (soaks, store, clock) = (Arc::clone(&self.soaks), self.store.clone(), self.clock.clone());
            let left = asked.clone();
            let failed = match tokio::task::spawn_blocking(move || fold_blocking(&soaks, &store, &clock, &asked)).await {
                Ok(Ok(d)) => {
                    damaged =
                        damaged.or(d.first.map(|first| format!("parts of it are damaged, what is missing counts as unknown: {first}")));
                    self.say(damaged.clone());
                    continue;
                }
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            left.iter().for_each(|a| self.soaks.unread(&a.check));
            self.say(Some(failed));
            return;
        }
    }

    /// What is wrong is said when it begins, when it changes, and when it ends.
    fn say(&mut self, wrong: Option<String>) {
        if self.said != wrong {
            match &wrong {
                Some(why) => tracing::error!(error = why, "the store can't be read for verdicts"),
                None => tracing::info!("the store can be read for verdicts again"),
            }
            self.said = wrong;
        }
    }

    /// Judges what was touched, or everything, and records what is to be said of it.
    pub(super) async fn judge(&self, all: bool) {
        let now = self.clock.now();
        // Not on the runtime's threads: a large estate takes some milliseconds.
        let (soaks, board) = (Arc::clone(&self.soaks), Arc::clone(&self.board));
        let judged = tokio::task::spawn_blocking(move || board.read(|entries| soaks.watch(entries, now, all))).await;
        for entry in judged.unwrap_or_default() {
            self.recorder.evidence(entry).await;
        }
    }
}

fn fold_blocking(soaks: &Soaks, store: &Path, clock: &Clock, asked: &[Asked]) -> Result<Damaged, StoreError> {
    let reader = Reader::open(store)?;
    let asked: Vec<_> = asked.iter().map(|a| (&a.check, a.from, a.until)).collect();
    reader.runs_of(&asked, 0, &mut |check, runs, whole| {
        soaks.refold(check, runs, clock.now());
        if !whole {
            soaks.flawed(check, "stored runs can't be read".to_owned());
        }
    })?;
    Ok(reader.damaged())
}
