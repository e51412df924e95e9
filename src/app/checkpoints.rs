//! Looks again and again at every environment that is live: how it has done since go-live, and whether hypercare may end. For pages and metrics, which
//! must not read the store themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, IntegrationEntry};
use crate::checkpoint::{self, Live, answer};
use crate::clock::{Clock, monotonic};
use crate::config::model::Config;
use crate::readiness::Soaks;
use crate::store::{Reader, StoreError};

/// Everything is counted again so long after it was counted, and after a change of the configuration.
const EVERY: Duration = Duration::from_secs(30);
/// Or so many times as long after as it took, where that is longer: large estates cost a fiftieth of a core at most.
const REST: u32 = 50;

/// What the task works with.
pub(super) struct Checkpoints {
    pub(super) live: Arc<Live>,
    pub(super) board: Arc<Board>,
    pub(super) soaks: Arc<Soaks>,
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) store: PathBuf,
    pub(super) clock: Clock,
}

impl Checkpoints {
    /// Runs until stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut unread = None;
        loop {
            let hash = self.config.borrow_and_update().hash.clone();
            let began = monotonic();
            let said = self.look(hash).await.err();
            // Said when it begins, when it changes, and when it ends.
            if said != unread {
                match &said {
                    Some(why) => tracing::error!(error = why, "the store can't be read for hypercare"),
                    None => tracing::info!("the store can be read for hypercare again"),
                }
                unread = said;
            }
            let rest = EVERY.max(began.elapsed().saturating_mul(REST));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // An error says that the daemon stops.
                changed = self.config.changed() => if changed.is_err() {
                    stop.cancelled().await;
                    return Ok(());
                },
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    async fn look(&self, hash: String) -> Result<(), String> {
        let (board, soaks) = (Arc::clone(&self.board), Arc::clone(&self.soaks));
        let (store, now) = (self.store.clone(), self.clock.now());
        let counted = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
            let mut environments: BTreeMap<(String, String), Vec<IntegrationEntry>> = BTreeMap::new();
            board.read(|all| {
                let of = |i: &IntegrationEntry| (i.def.id.customer().to_owned(), i.def.id.environment().to_owned());
                let live: std::collections::BTreeSet<_> = all.iter().filter(|i| checkpoint::is_live(&i.def, now)).map(of).collect();
                for entry in all.iter().filter(|i| live.contains(&of(i))) {
                    environments.entry(of(entry)).or_default().push(entry.clone());
                }
            });
            if environments.is_empty() {
                return Ok(Vec::new());
            }
            let mut found = Vec::new();
            for ((customer, environment), entries) in &environments {
                // One at a time: what could not be read of one is no doubt about another.
                let reader = Reader::open(&store)?;
                let mut answered = answer(entries, &reader, (customer, environment), (now, true), &hash)?;
                answered.doubt(soaks.doubts());
                found.push(answered);
            }
            Ok(found)
        });
        let why = match counted.await {
            Ok(Ok(found)) => {
                self.live.put(found);
                return Ok(());
            }
            Ok(Err(e)) => e.to_string(),
            Err(e) => e.to_string(),
        };
        // What was found before is old: nothing is ready by it.
        self.live.doubt(&format!("the store can't be read: {why}"));
        Err(why)
    }
}
