//! Writes the evidence bundle of an environment by itself: when one of its soaks has passed or failed, and at go-live, so that it is there also if nobody asks
//! for it while the runs are kept. What is to be written follows from the evidence log alone, so that none is forgotten over a restart and none written twice.
//!
//! One at a time, on a thread of its own, into a directory that gets its name when it is whole. Never deletes a bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::store_path;
use crate::bundle::key::SigningKey;
use crate::bundle::{Content, manifest, write_bundle};
use crate::clock::Clock;
use crate::config::model::Config;
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Hash, Kind, Scope, time_text};
use crate::files;
use crate::readiness::{BundleDue, CheckCase, Soaks, assemble};
use crate::recorder::RecorderHandle;
use crate::soak::Window;
use crate::store::Reader;

/// How often it is looked for what is to be written.
const LOOK: Duration = Duration::from_secs(2);
/// One that could not be written is tried again after so many looks: ten minutes.
const AGAIN: u32 = 300;
const MAX_MANIFEST: u64 = 64 << 10;

/// What the bundles are written from.
pub(super) struct Bundles {
    pub(super) soaks: Arc<Soaks>,
    pub(super) recorder: RecorderHandle,
    pub(super) clock: Clock,
    pub(super) config: watch::Receiver<Arc<Config>>,
}

/// A bundle that is there.
struct Made {
    path: String,
    manifest: manifest::Manifest,
    sha256: Hash,
}

impl Bundles {
    /// Runs until stop.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut wait: BTreeMap<(String, String), u32> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            let config = self.config.borrow().clone();
            if !config.settings.evidence.bundles {
                continue;
            }
            wait.values_mut().for_each(|looks| *looks = looks.saturating_sub(1));
            wait.retain(|_, looks| *looks > 0);
            for due in self.soaks.bundles_due(self.clock.now()) {
                let place = (due.customer.clone(), due.environment.clone());
                let is_configured =
                    config.integrations().any(|i| (i.id.customer(), i.id.environment()) == (place.0.as_str(), place.1.as_str()));
                if stop.is_cancelled() || !is_configured || wait.contains_key(&place) {
                    continue;
                }
                if let Err(e) = self.write(&config, &due).await {
                    tracing::error!(
                        error = format!("{e:#}"),
                        "the evidence bundle of {}/{} could not be written; it is tried again",
                        place.0,
                        place.1
                    );
                    wait.insert(place, AGAIN);
                }
            }
        }
    }

    async fn write(&self, config: &Arc<Config>, due: &BundleDue) -> anyhow::Result<()> {
        let (for_it, asked) = (Arc::clone(config), due.clone());
        let Some(made) = tokio::task::spawn_blocking(move || write_blocking(&for_it, &asked)).await?? else { return Ok(()) };
        tracing::info!(path = made.path, "the evidence bundle of {}/{} is written", due.customer, due.environment);
        let body = json!({
            "as_of": time_text(due.at),
            "path": made.path,
            "manifest_sha256": made.sha256,
            "key_id": made.manifest.key_id,
        });
        let entry = Entry::new(self.clock.now(), Kind::Bundle, Scope::environment(&due.customer, &due.environment), DAEMON, body);
        self.soaks.expect(&entry);
        self.recorder.evidence(entry).await;
        Ok(())
    }
}

/// Where bundles go: relative paths start beside the store.
fn bundles_dir(config: &Config) -> PathBuf {
    let store = store_path(config);
    store.parent().unwrap_or(Path::new("")).join(&config.settings.evidence.dir)
}

/// The key that the configuration names, if it does (blocking).
pub fn signing_key_blocking(config: &Config) -> Result<Option<SigningKey>, String> {
    let Some(reference) = &config.settings.evidence.signing_key else { return Ok(None) };
    let bad = |why: String| format!("[evidence] signing_key: {why}");
    let pem = reference.read_blocking().map_err(bad)?;
    SigningKey::parse(pem.expose()).map(Some).map_err(|why| bad(format!("{reference}: {why}")))
}

/// Writes a bundle, or finds it written. `None`: the verdict is not in the log yet.
fn write_blocking(config: &Config, due: &BundleDue) -> anyhow::Result<Option<Made>> {
    let BundleDue { customer, environment, at } = due;
    let reader = Reader::open(&store_path(config))?;
    let (situation, log) = assemble(config, &reader, customer, environment, *at)?;
    let mut own = log.iter().filter_map(|l| l.record.as_ref());
    if !own.any(|r| r.kind() == Some(Kind::Verdict) && r.time() == Some(*at)) {
        return Ok(None);
    }
    let name = time_text(*at).replace(':', "-");
    let dir = bundles_dir(config).join(customer).join(environment);
    let target = dir.join(&name);
    if !target.exists() {
        let key = signing_key_blocking(config).map_err(anyhow::Error::msg)?;
        let making = dir.join(format!(".{name}.making"));
        if making.exists() {
            // Of a daemon that was killed meanwhile.
            fs::remove_dir_all(&making).with_context(|| making.display().to_string())?;
        }
        let mut runs = |check: &CheckCase, window: Window| {
            let runs = reader.runs(&check.check, 0, window.start, window.end)?;
            // A part is no evidence: better none.
            reader.whole().map(|()| runs)
        };
        write_bundle(Content { situation, log }, &mut runs, &making, key.as_ref())?;
        let renamed = fs::rename(&making, &target).and_then(|()| File::open(&dir)?.sync_all());
        renamed.with_context(|| target.display().to_string())?;
    }
    let path = target.join(manifest::NAME);
    let bytes = match files::read_blocking(&path, MAX_MANIFEST) {
        Ok(bytes) => bytes,
        Err(why) => bail!("{}: {why}", path.display()),
    };
    let manifest = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    Ok(Some(Made { path: format!("{customer}/{environment}/{name}"), manifest, sha256: Hash::of(&bytes) }))
}
