//! Judges what is expected at the receiver, and keeps what arrived: each slot when its grace is over, each change within a second.
//!
//! Knows when nothing could be received (the daemon was down, our own network was): silence then is nobody's failure. What is known of that survives a restart, too.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::arrivals::{Away, Ours};
use crate::board::Board;
use crate::clock::{Clock, UnixMs, monotonic};
use crate::config::model::Config;
use crate::memory::Memories;
use crate::metrics::own::OwnMetrics;
use crate::outcome::Cause;
use crate::receiver::Receiver;
use crate::recorder::RecorderHandle;
use crate::self_check::{SelfCheckHandle, Verdict};
use crate::server::tls::Tls;
use crate::store::Note;

/// The kind of the store's note that says until when messages could be received.
pub(super) const RECEIVER_NOTE: &str = "receiver";
const ALIVE: &str = "alive";
/// Between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What changed is kept this often, and that we are there.
const KEEP_EVERY: Duration = Duration::from_secs(1);
const KEEP_IDS_EVERY: Duration = Duration::from_secs(3);
const SAY_EVERY: Duration = Duration::from_secs(2);
/// A longer time between two looks means that the machine slept, or that its clock was set.
const SLEPT: Duration = Duration::from_secs(30);
/// Silence waits no longer than this for a self-check that began after it.
const SELF_CHECKED_WITHIN: Duration = Duration::from_secs(15);
/// Times of absence that are remembered, and for how long.
const MOST_AWAY: usize = 256;
const AWAY_KEPT: Duration = Duration::from_secs(31 * 86_400);

/// Until when messages could be received, and when they could not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Presence {
    alive: Option<UnixMs>,
    away: Vec<Away>,
}

impl Presence {
    fn away(&mut self, from: UnixMs, until: UnixMs, cause: Cause) {
        // No time counts twice.
        let from = self.away.last().filter(|last| last.cause != cause).map_or(from, |last| from.max(last.until));
        match self.away.last_mut() {
            Some(last) if last.cause == cause && from <= last.until => last.until = last.until.max(until),
            _ => self.away.push(Away { from, until, cause }),
        }
        self.away.retain(|a| until.since(a.until) <= AWAY_KEPT);
        if self.away.len() > MOST_AWAY {
            self.away.remove(0);
        }
    }
}

/// The task that judges and keeps.
pub(super) struct Watch {
    pub(super) board: Arc<Board>,
    pub(super) memories: Arc<Memories>,
    pub(super) recorder: RecorderHandle,
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) self_check: SelfCheckHandle,
    pub(super) clock: Clock,
    pub(super) own: Arc<OwnMetrics>,
}

impl Watch {
    /// Serves the receiver and judges until `stop`; then keeps what came last. `noted`: what the store knew of our presence.
    pub(super) async fn run(
        mut self,
        listener: Option<(TcpListener, Option<Arc<Tls>>)>,
        noted: Option<String>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut presence: Presence = noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let Some((listener, tls)) = listener else {
            // Messages are not received any more: what comes later begins anew.
            stop.cancelled().await;
            return Ok(());
        };
        let now = self.clock.now();
        if let Some(alive) = presence.alive.filter(|alive| *alive < now) {
            presence.away(alive, now, Cause::Down);
        }
        self.take_over();
        let receiver = Receiver::new(
            Arc::clone(&self.board),
            Arc::clone(&self.memories),
            self.config.clone(),
            (self.clock.clone(), Arc::clone(&self.own)),
        );
        // If the receiver ends by itself, so does everything: silence would be taken for the senders'.
        let serving = receiver.serve_apart(listener, tls, stop.clone());
        let judging = async {
            self.look(&mut presence, stop.clone()).await;
            anyhow::Ok(())
        };
        tokio::try_join!(serving, judging)?;
        self.keep_ids().await;
        self.keep().await;
        self.say(&mut presence).await;
        Ok(())
    }

    fn take_over(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        let recall = |check: &_| (self.memories.recall(check).map(|text| text.to_string()), self.memories.take_parts(check));
        self.board.arrivals.configure(&config, recall, self.clock.now());
    }

    async fn look(&mut self, presence: &mut Presence, stop: CancellationToken) {
        let mut looked = self.clock.now();
        // Our own network was up when the last self-check began that said so.
        let mut up = looked;
        let (mut kept, mut ids_kept, mut said) = (looked, looked, None::<UnixMs>);
        loop {
            let now = self.clock.now();
            let verdict = *self.self_check.verdict.borrow();
            // When the last self-check began: what our network did since is not known.
            let checked = match verdict {
                Verdict::NoTargets => now,
                Verdict::NotYet => UnixMs(i64::MIN),
                Verdict::Known { began, .. } => now.minus(monotonic().saturating_duration_since(began.into_std())),
            };
            if now.since(looked) > SLEPT {
                presence.away(looked, now, Cause::Down);
            }
            if matches!(verdict, Verdict::Known { up: false, .. }) {
                presence.away(up.min(now), now, Cause::SelfCheck);
            } else {
                up = up.max(checked.min(now));
            }
            looked = now;
            self.judge(presence, checked.max(now.minus(SELF_CHECKED_WITHIN)), now).await;
            if now.since(kept) >= KEEP_EVERY {
                kept = now;
                self.keep().await;
            }
            if now.since(ids_kept) >= KEEP_IDS_EVERY {
                ids_kept = now;
                self.keep_ids().await;
            }
            if said.is_none_or(|at| now.since(at) >= SAY_EVERY) {
                said = Some(now);
                self.say(presence).await;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.config.changed() => {
                    if changed.is_ok() {
                        self.take_over();
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Judges what is due. `sure`: until then it is known whether our own network was up.
    async fn judge(&self, presence: &Presence, sure: UnixMs, now: UnixMs) {
        let config = self.config.borrow().clone();
        for def in config.checks().filter(|d| d.kind.receiving().is_some()) {
            let recorded = self.board.check(&def.id).and_then(|c| c.state.last_slot);
            let (records, waits) = self.board.arrivals.judge(def, Ours { away: &presence.away, sure }, recorded, now);
            for record in records {
                self.recorder.told(record).await;
            }
            if waits {
                self.self_check.request();
            }
        }
    }

    async fn keep(&self) {
        for (check, text) in self.board.arrivals.changed() {
            if let Err(why) = self.memories.remember(&check, text).await {
                tracing::warn!(check = check.as_str(), why = %why, "what arrived is not kept");
            }
            // It may have left meanwhile, and been forgotten before this was remembered.
            if !self.board.arrivals.knows(&check) {
                self.memories.forget(&check).await;
            }
        }
    }

    /// Keeps which messages were processed: a few KiB for each check that was sent any.
    async fn keep_ids(&self) {
        for check in self.board.arrivals.processed() {
            for (part, text) in self.board.arrivals.ids(&check) {
                if let Err(why) = self.memories.keep_part(&check, part, text).await {
                    tracing::warn!(check = check.as_str(), why = %why, "which messages were processed is not kept");
                }
            }
            if !self.board.arrivals.knows(&check) {
                self.memories.forget(&check).await;
            }
        }
    }

    async fn say(&self, presence: &mut Presence) {
        presence.alive = Some(self.clock.now());
        let text = serde_json::to_string(presence).ok();
        self.recorder.note(Note { kind: RECEIVER_NOTE, id: ALIVE.to_owned(), text }).await;
    }
}

/// Binds the receiver's listener, if there is to be one. The error is for people.
pub(super) async fn bind(config: &Config) -> Result<Option<TcpListener>, String> {
    let Some(address) = config.settings.receiver.listen else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => format!("the address {address} is in use; set receiver.listen to another one"),
        _ => format!("the receiver can't listen on {address}: {e}"),
    })
}

/// What the store knew of our presence.
pub(super) fn noted(notes: &std::collections::BTreeMap<String, String>) -> Option<String> {
    notes.get(ALIVE).cloned()
}
