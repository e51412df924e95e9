//! What the daemon records of itself: its start, the time it was down, every configuration that came into force, every maintenance window that was
//! declared. And the check of the log: whole at the start and once a day, its new records every few minutes.
//!
//! What an outcome means for a verdict is recorded elsewhere; nothing here is ever taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, UnixMs, monotonic};
use crate::config::diff::Diff;
use crate::config::model::Config;
use crate::evidence::entry::{DAEMON, listed};
use crate::evidence::{Checked, Entry, Kind, Recorded, Scope, canonical, time_text};
use crate::fields::CheckId;
use crate::health::Health;
use crate::metrics::own::OwnMetrics;
use crate::readiness::Soaks;
use crate::recorder::RecorderHandle;
use crate::store::{Reader, Store, StoreError};

/// New records are checked this often.
const CHECK_EVERY: Duration = Duration::from_secs(300);
/// The whole log is checked this often.
const WHOLE_EVERY: Duration = Duration::from_secs(86_400);

/// What the log said before this start.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Its check.
    checked: Checked,
    /// Records, and the newest one's time.
    records: u64,
    last: Option<UnixMs>,
    /// The configuration that came into force last.
    config: Option<String>,
    /// Windows that are declared, by what they say.
    windows: BTreeMap<String, Entry>,
    /// Damage that is on record already.
    damage: BTreeSet<String>,
}

impl Before {
    /// Reads and checks the whole log, and lets the soaks learn from it.
    pub(super) fn read(store: &mut Store, soaks: &Soaks) -> Result<Self, StoreError> {
        let mut before = Self::default();
        before.checked = store.read_evidence(&mut |record| {
            before.fold(record);
            soaks.learn(record);
        })?;
        soaks.set_damage(verdict(&before.checked).as_deref());
        Ok(before)
    }

    fn fold(&mut self, record: &Recorded) {
        (self.records, self.last) = (record.seq, record.time());
        let text = |key: &str| record.body.get(key).and_then(Value::as_str);
        match record.kind() {
            Some(Kind::ConfigApplied) if record.customer.is_none() => self.config = text("hash").map(str::to_owned),
            Some(Kind::Maintenance) => {
                let window = Entry::new(UnixMs(0), Kind::Maintenance, record.scope(), DAEMON, Value::Object(record.body.clone()));
                let withdrawn = text("action") == Some(WITHDRAWN);
                let (key, entry) = keyed(window);
                if withdrawn {
                    self.windows.remove(&key)
                } else {
                    self.windows.insert(key, entry)
                };
            }
            Some(Kind::Damage) => self.damage.extend(text("what").map(str::to_owned)),
            _ => {}
        }
    }
}

const DECLARED: &str = "declared";
const WITHDRAWN: &str = "withdrawn";

/// A window under a key that says all of it, whatever was done with it and when.
fn keyed(window: Entry) -> (String, Entry) {
    let said = ["start", "end", "reason", "by"].map(|key| window.body().get(key).cloned().unwrap_or_default());
    let Scope { customer, environment, integration } = &window.scope;
    let key = canonical(&(customer, environment, integration, said)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    (key.unwrap_or_default(), window)
}

/// The windows a configuration declares.
pub(super) fn windows(config: &Config) -> BTreeMap<String, Entry> {
    let windows = config.integrations().flat_map(|i| i.maintenance.iter().map(move |m| (i, m)));
    let entry = |(i, m): (&Arc<crate::config::model::Integration>, &crate::config::model::Maintenance)| {
        let body = json!({ "start": time_text(m.start), "end": time_text(m.end), "reason": m.reason, "by": m.by });
        keyed(Entry::new(UnixMs(0), Kind::Maintenance, Scope::integration(&i.id), DAEMON, body))
    };
    windows.map(entry).collect()
}

/// Records the windows that come and go.
async fn record_windows(old: &BTreeMap<String, Entry>, new: &BTreeMap<String, Entry>, actor: &str, at: UnixMs, recorder: &RecorderHandle) {
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key)).map(|(_, window)| (window, WITHDRAWN));
    let come = new.iter().filter(|(key, _)| !old.contains_key(*key)).map(|(_, window)| (window, DECLARED));
    for (window, action) in gone.chain(come) {
        let mut body = window.body().clone();
        body.insert("action".to_owned(), action.into());
        recorder.evidence(Entry::new(at, Kind::Maintenance, window.scope.clone(), actor, body.into())).await;
    }
}

/// What a start has to say. `known`: the checks that were configured before, as far as it was noted.
pub(super) async fn started(
    before: &Before,
    config: &Config,
    known: impl Iterator<Item = &String>,
    now: UnixMs,
    recorder: &RecorderHandle,
    own: &OwnMetrics,
) {
    if let Some(last) = before.last {
        own.evidence_appended(before.records, last);
    }
    record_damage(&before.checked, &before.damage, now, recorder, own).await;
    let body = json!({ "version": env!("CARGO_PKG_VERSION"), "revision": env!("SOAKWATCH_REVISION"), "config": config.hash });
    let entry = Entry::new(now, Kind::DaemonStarted, Scope::daemon(), DAEMON, body);
    // Durable before anything runs: whatever is recorded later was recorded by a daemon whose start is on record.
    if recorder.evidence_durably(entry.clone()).await.is_err() {
        recorder.evidence(entry).await;
    }
    if before.config.as_deref() != Some(&config.hash) {
        let known: BTreeSet<CheckId> = known.filter_map(|id| id.parse().ok()).collect();
        let present: BTreeSet<CheckId> = config.checks().map(|c| c.id.clone()).collect();
        let diff = Diff {
            added: present.difference(&known).cloned().collect(),
            removed: known.difference(&present).cloned().collect(),
            unchanged: known.intersection(&present).count(),
            ..Diff::default()
        };
        record_config(before.config.as_deref(), &config.hash, &diff, None, DAEMON, now, recorder).await;
    }
    record_windows(&before.windows, &windows(config), DAEMON, now, recorder).await;
}

/// Records the time the daemon was down, as far as slots came due in it.
pub(super) async fn was_down(from: UnixMs, until: UnixMs, slots: u64, checks: u64, now: UnixMs, recorder: &RecorderHandle) {
    let body = json!({ "from": time_text(from), "until": time_text(until), "slots": slots, "checks": checks });
    recorder.evidence(Entry::new(now, Kind::DaemonGap, Scope::daemon(), DAEMON, body)).await;
}

/// Records that a configuration came into force while the daemon ran.
pub(super) async fn reloaded(old: &Config, new: &Config, diff: &Diff, actor: &str, now: UnixMs, recorder: &RecorderHandle) {
    if old.hash != new.hash {
        record_config(Some(&old.hash), &new.hash, diff, Some(diff.changed.len()), actor, now, recorder).await;
    }
    record_windows(&windows(old), &windows(new), actor, now, recorder).await;
}

/// One record for everybody with numbers alone, and one for each environment that is touched with its own names. `changed`: `None` where it is not
/// known, because what changed while the daemon was down can't be told.
async fn record_config(
    before: Option<&str>,
    hash: &str,
    diff: &Diff,
    changed: Option<usize>,
    actor: &str,
    now: UnixMs,
    recorder: &RecorderHandle,
) {
    let (added, removed) = (diff.added.len(), diff.removed.len());
    let body = json!({ "hash": hash, "before": before, "added": added, "removed": removed, "changed": changed });
    let entry = Entry::new(now, Kind::ConfigApplied, Scope::daemon(), actor, body);
    // Durable before a reload answers: who was told "in force" may ask a gate at once, and the gate reads it from the log.
    if recorder.evidence_durably(entry.clone()).await.is_err() {
        tracing::warn!("the configuration is in force, and not on record yet: the store can't be written");
        recorder.evidence(entry).await;
    }
    let mut touched: BTreeMap<(String, String), [Vec<&CheckId>; 3]> = BTreeMap::new();
    for (which, ids) in [&diff.added, &diff.removed, &diff.changed].into_iter().enumerate() {
        for id in ids {
            let integration = id.integration();
            let place = touched.entry((integration.customer().to_owned(), integration.environment().to_owned())).or_default();
            place.get_mut(which).into_iter().for_each(|list| list.push(id));
        }
    }
    for ((customer, environment), [added, removed, gone_through]) in touched {
        let mut body = json!({ "hash": hash, "added": listed(added), "removed": listed(removed) });
        if changed.is_some() {
            body["changed"] = listed(gone_through);
        }
        recorder.evidence(Entry::new(now, Kind::ConfigApplied, Scope::environment(&customer, &environment), actor, body)).await;
    }
}

/// Says what is wrong with the log: in the metrics each time, in the log itself once.
async fn record_damage(checked: &Checked, known: &BTreeSet<String>, now: UnixMs, recorder: &RecorderHandle, own: &OwnMetrics) {
    if checked.whole() {
        return;
    }
    own.evidence_broken.inc();
    for found in &checked.breaks {
        let what = found.to_string();
        tracing::error!(what, "the evidence log is damaged; the daemon goes on");
        if !known.contains(&what) {
            recorder.evidence(Entry::new(now, Kind::Damage, Scope::daemon(), DAEMON, json!({ "what": what }))).await;
        }
    }
}

/// Checks the log from time to time.
pub(super) struct Checker {
    pub(super) path: PathBuf,
    pub(super) clock: Clock,
    pub(super) recorder: RecorderHandle,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) health: Arc<Health>,
    pub(super) soaks: Arc<Soaks>,
}

impl Checker {
    /// Runs until stop. `before`: what the start found.
    pub(super) async fn run(self, before: Before, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut known, mut last, mut whole_at) = (before.damage, before.checked, monotonic());
        self.found(&last);
        known.extend(last.breaks.iter().map(ToString::to_string));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            // What is broken is looked at whole each time: it stays said as long as it is so.
            let whole = !last.whole() || whole_at.elapsed() >= WHOLE_EVERY;
            let (path, from) = (self.path.clone(), if whole { Checked::default() } else { last.clone() });
            match tokio::task::spawn_blocking(move || Reader::open(&path)?.check_evidence(from)).await? {
                Ok(checked) => {
                    self.found(&checked);
                    record_damage(&checked, &known, self.clock.now(), &self.recorder, &self.own).await;
                    known.extend(checked.breaks.iter().map(ToString::to_string));
                    last = checked;
                    if whole {
                        whole_at = monotonic();
                    }
                }
                Err(e) => tracing::warn!(error = %e, "the evidence log could not be checked"),
            }
        }
    }
}

impl Checker {
    /// Tells everybody who must not rely on a damaged log.
    fn found(&self, checked: &Checked) {
        let damage = verdict(checked);
        self.soaks.set_damage(damage.as_deref());
        self.health.set_evidence(damage);
    }
}

fn verdict(checked: &Checked) -> Option<String> {
    checked.breaks.first().map(ToString::to_string)
}
