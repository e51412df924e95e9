//! Composition root: a judged configuration becomes a running daemon. Binds the port and tells the real address, so that tests run it whole.
//!
//! Owns wiring, start order and reload. Knows no command line, reads no file itself (the loader is handed in).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::budget::Budgets;
use crate::checkpoint::Live;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::diff::{self, AtStart};
use crate::config::model::{CheckDef, Config, Settings};
use crate::config::stamp::Stamp;
use crate::fields::CheckId;
use crate::health::Health;
use crate::incident::live::Incidents;
use crate::memory::Memories;
use crate::metrics::own::{Listening, OwnMetrics};
use crate::notify::Notifier;
use crate::readiness::{Restarted, Soaks};
use crate::recorder::{self, RecorderHandle};
use crate::runtime;
use crate::scheduler::{Means, Scheduler};
use crate::self_check;
use crate::server::tls::Tls;
use crate::server::{self, ReloadAnswer, ReloadRequest, ServerState};
use crate::store::StoreError;
use crate::supervisor::Supervisor;
use crate::time_server;
use crate::transport::{Resolver, Transport};

mod arrivals;
mod bundles;
mod checkpoints;
mod decisions;
mod evidence;
mod heartbeat;
mod listening;
mod memory;
mod restart;
mod service;
mod soaks;
mod watching;

pub use bundles::signing_key_blocking;

/// Reads the configuration again (blocking); handed in by whoever knows where it is.
pub type Loader = Arc<dyn Fn() -> Loaded + Send + Sync>;

/// What a daemon is made of.
pub struct Parts {
    /// The configuration, judged.
    pub config: Config,
    /// How to read it again; `None`: reload is refused.
    pub reload: Option<Loader>,
    /// Another resolver than the system's (demo, tests).
    pub resolver: Option<Resolver>,
    /// Wall time.
    pub clock: Clock,
    /// Own metrics, made early so that log lines are counted from the first on.
    pub own: Arc<OwnMetrics>,
    /// The way to the service manager, if there is one.
    pub notifier: Notifier,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("config", &self.config.hash).finish_non_exhaustive()
    }
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener may not or cannot listen there.
    #[error("{0}")]
    Listen(String),
    /// The store can't be used.
    #[error("{error}")]
    Store {
        /// Its file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// A file or directory beside the store.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The means to probe could not be made (roots, own CA, resolver).
    #[error("{0:#}")]
    Network(anyhow::Error),
    /// A defect of ours.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

/// The daemon.
#[derive(Debug)]
pub struct App;

/// A running daemon.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where messages are received, if they are.
    pub receiver: Option<SocketAddr>,
    /// Its board.
    pub board: Arc<Board>,
    /// Its soaks.
    pub soaks: Arc<Soaks>,
    /// Its incidents.
    pub incidents: Arc<Incidents>,
    /// The way in for outcomes that are told.
    pub recorder: RecorderHandle,
    /// The way to a reload.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Asks everything to end.
    pub stop: CancellationToken,
    tasks: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Asks everything to end and waits until the last outcome is written.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until the daemon ends by itself or by its stop signal.
    pub async fn ended(self) -> anyhow::Result<()> {
        let Self { recorder, reload, tasks, .. } = self;
        // The recorder ends when its last handle is gone.
        drop((recorder, reload));
        tasks.await?
    }
}

impl App {
    /// Starts everything; returns when it is ready (counters, last values and streaks restored, the time it was down accounted for).
    pub async fn start(parts: Parts) -> Result<Running, StartError> {
        let Parts { config, reload: loader, resolver, clock, own, notifier } = parts;
        notifier.status("reading what is stored");
        let settings = &config.settings;
        let listener = server::bind(&settings.server).await.map_err(StartError::Listen)?;
        let hooks = arrivals::bind(&config).await.map_err(StartError::Listen)?;
        let receiver = hooks.as_ref().and_then(|l| l.local_addr().ok());
        let address = listener.local_addr().map_err(|e| StartError::Listen(e.to_string()))?;
        let board = Arc::new(Board::default());
        board.configure(&config);
        own.config_accepted(&config.hash, clock.now());

        let path = store_path(&config);
        let transport = make_transport(&config, resolver.clone(), None).await?;
        let (supervisor, health) = (Supervisor::default(), Arc::new(Health::default()));
        let stop = supervisor.stop_signal();
        health.config_accepted(clock.now());
        let config = Arc::new(config);
        let (config_sender, config_now) = watch::channel(Arc::clone(&config));
        let (transport_sender, transport_now) = watch::channel(Arc::clone(&transport));
        let (read, last_read) = watch::channel(config.stamp.clone());
        let (reload, reloads) = mpsc::channel(4);
        let (decisions, decided) = mpsc::channel(16);

        // The port answers from now on: healthy, not ready.
        let mut supervisor = supervisor;
        let soaks = Arc::new(Soaks::default());
        let incidents = Arc::new(Incidents::default());
        let checkpoints = Arc::new(Live::default());
        let budgets = Arc::new(Budgets::new(&config.settings.rate_limit));
        let (keep, kept) = mpsc::channel(256);
        let memories = Arc::new(Memories::new(keep));
        let started = Arc::new(AtStart::of(&config.settings));
        let state = ServerState {
            started: Arc::clone(&started),
            memories: Arc::clone(&memories),
            board: Arc::clone(&board),
            budgets: Arc::clone(&budgets),
            soaks: Arc::clone(&soaks),
            incidents: Arc::clone(&incidents),
            checkpoints: Arc::clone(&checkpoints),
            own: Arc::clone(&own),
            clock: clock.clone(),
            config: config_now.clone(),
            health: Arc::clone(&health),
            reload: reload.clone(),
            decisions,
            store: path.clone(),
        };
        let keep_tls = (&config_now, &own, &clock, &stop);
        let (tls, receiver_tls) = (
            listening::tls(keep_tls, Listening::Server, &mut supervisor).await?,
            listening::tls(keep_tls, Listening::Receiver, &mut supervisor).await?,
        );
        let secure = tls.is_some();
        let listening = [tls.clone(), receiver_tls.clone()];
        let serving = server::serve(listener, tls, state, stop.clone());
        supervisor.spawn("http", async { Ok(serving.await?) });

        let restart::Before { store, gone, schedules, departed, unheard, holds, away, remembered, parts, present, evidence: log } =
            restart::bring_back(&path, &board, (&soaks, &incidents), &clock).await?;
        let (checker, self_check) = self_check::channel(!config.settings.self_check.targets.is_empty());
        let own_network = self_check.clone();
        let (task, recorder) = recorder::start(
            store,
            (Arc::clone(&board), Arc::clone(&soaks), Arc::clone(&incidents)),
            Arc::clone(&own),
            clock.clone(),
            config_now.clone(),
            self_check,
        )
        .map_err(StartError::Internal)?;
        supervisor.spawn("recorder", task.run());
        supervisor.spawn("self_check", checker.run(config_now.clone(), transport_now.clone(), Arc::clone(&own), stop.clone()));
        supervisor.spawn("time_server", time_server::run(config_now.clone(), transport_now.clone(), Arc::clone(&own), stop.clone()));
        evidence::started(&log, &config, schedules.keys(), clock.now(), &recorder, &own).await;
        restart::forget(&gone, &departed, &board, &recorder).await;
        restart::account_downtime(&config, &schedules, &board, &clock, &recorder).await;
        restart::note_schedules(&config, &schedules, &recorder).await;
        for entry in soaks.configure(&config, clock.now()) {
            recorder.evidence(entry).await;
        }
        recorder.review_incidents().await;
        memories.restore(&remembered);
        let gone: Vec<CheckId> =
            gone.into_iter().chain(memories.restore_parts(parts).into_iter().filter(|check| !board.knows(check))).collect();
        supervisor.spawn("memory", memory::run(kept, recorder.clone(), stop.clone()));
        restart::forget_memories(gone.iter().chain(&unheard), &memories).await;
        let mut keeper = soaks::Keeper {
            soaks: Arc::clone(&soaks),
            board: Arc::clone(&board),
            recorder: recorder.clone(),
            store: path.clone(),
            clock: clock.clone(),
            said: None,
        };
        keeper.fold_again().await;
        // Before anything runs: what was known at a go-live while nobody was there is still what is known.
        keeper.judge(true).await;
        supervisor.spawn("soaks", keeper.run(stop.clone()));
        let bundles =
            bundles::Bundles { soaks: Arc::clone(&soaks), recorder: recorder.clone(), clock: clock.clone(), config: config_now.clone() };
        let counter = checkpoints::Checkpoints {
            live: checkpoints,
            board: Arc::clone(&board),
            soaks: Arc::clone(&soaks),
            config: config_now.clone(),
            store: path.clone(),
            clock: clock.clone(),
        };
        supervisor.spawn("checkpoints", counter.run(stop.clone()));
        supervisor.spawn("bundles", bundles.run(stop.clone()));
        supervisor.spawn("decisions", decisions::run(decided, Arc::clone(&soaks), recorder.clone(), stop.clone()));
        restart::hold_again(&config, &holds, &budgets, &board, &clock, &recorder).await;
        restart::leave_alone_again(&away, &transport, &clock, &recorder).await;

        let checker = evidence::Checker {
            path: path.clone(),
            clock: clock.clone(),
            recorder: recorder.clone(),
            own: Arc::clone(&own),
            health: Arc::clone(&health),
            soaks: Arc::clone(&soaks),
        };
        supervisor.spawn("housekeeper", checker.run(log, stop.clone()));
        let heartbeat = heartbeat::Heartbeat {
            config: config_now.clone(),
            transport: transport_now.clone(),
            stored: recorder.stored(),
            health: Arc::clone(&health),
        };
        supervisor.spawn("heartbeat", heartbeat.run(stop.clone()));
        let watch = arrivals::Watch {
            board: Arc::clone(&board),
            memories: Arc::clone(&memories),
            recorder: recorder.clone(),
            config: config_now.clone(),
            self_check: own_network,
            clock: clock.clone(),
            own: Arc::clone(&own),
        };
        supervisor.spawn("receiver", watch.run(hooks.map(|l| (l, receiver_tls)), arrivals::noted(&present), stop.clone()));
        let means = Means {
            memories: Arc::clone(&memories),
            config: config_now.clone(),
            transport: transport_now,
            budgets,
            board: Arc::clone(&board),
            recorder: recorder.clone(),
            own: Arc::clone(&own),
            health: Arc::clone(&health),
            clock: clock.clone(),
        };
        let threads = config.settings.scheduler.threads;
        supervisor.spawn("scheduler", runtime::apart("probing", threads, Scheduler::new(means, stop.clone()).run()));
        let reloader = Reloader {
            started,
            loader,
            resolver,
            board: Arc::clone(&board),
            soaks: Arc::clone(&soaks),
            recorder: recorder.clone(),
            own: Arc::clone(&own),
            health: Arc::clone(&health),
            listening,
            clock,
            memories,
            config: config_sender,
            transport: transport_sender,
            read,
            notifier: notifier.clone(),
            address: (secure, address),
        };
        supervisor.spawn("reload", reloader.run(reloads, stop.clone()));
        supervisor.spawn("watching", watching::run(config_now.clone(), last_read, reload.downgrade(), stop.clone()));
        health.set_ready(true);
        if let Some(receiver) = receiver {
            tracing::info!(%receiver, "messages are received on {}://{receiver}/hooks", scheme(config.settings.receiver.tls.is_some()));
        }
        let checks = config.checks().count();
        tracing::info!(%address, checks, hash = config.hash, "ready: {}", summary(checks, (secure, address)));

        // Runs in flight get their grace period, then the recorder gets time to write what is left.
        let patience = config.settings.scheduler.grace.0 + Duration::from_secs(30);
        notifier.ready(&summary(checks, (secure, address)));
        let tasks = tokio::spawn(service::accompany(supervisor.run(patience), notifier, health, stop.clone()));
        Ok(Running { address, receiver, board, soaks, incidents, recorder, reload, stop, tasks })
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

fn summary(checks: usize, (secure, address): (bool, SocketAddr)) -> String {
    format!("watching {checks} {} on {}://{address}", if checks == 1 { "check" } else { "checks" }, scheme(secure))
}

/// The store's file: relative paths start at the configuration directory.
pub fn store_path(config: &Config) -> PathBuf {
    config.dir.join(&config.settings.store.path)
}

/// The means to probe that a configuration asks for; in the place of `old`, if there is one.
pub async fn make_transport(
    config: &Config,
    resolver: Option<Resolver>,
    old: Option<Arc<Transport>>,
) -> Result<Arc<Transport>, StartError> {
    let settings = config.settings.probe.clone();
    let made = tokio::task::spawn_blocking(move || {
        let resolver = match resolver {
            Some(r) => r,
            None => Resolver::system(&settings.dns)?,
        };
        let made = Transport::new(&settings, resolver)?;
        anyhow::Ok(match old {
            Some(old) => made.after(&old),
            None => made,
        })
    });
    made.await.map_err(|e| StartError::Internal(e.into()))?.map(Arc::new).map_err(StartError::Network)
}

/// So many soaks that begin again, and so many keys of each, are named in the log.
const MOST_NAMED: usize = 20;

/// Takes a new configuration over, whole or not at all.
struct Reloader {
    started: Arc<AtStart>,
    loader: Option<Loader>,
    resolver: Option<Resolver>,
    board: Arc<Board>,
    soaks: Arc<Soaks>,
    recorder: RecorderHandle,
    own: Arc<OwnMetrics>,
    health: Arc<Health>,
    /// The TLS of the server, and of the receiver.
    listening: [Option<Arc<Tls>>; 2],
    clock: Clock,
    memories: Arc<Memories>,
    config: watch::Sender<Arc<Config>>,
    transport: watch::Sender<Arc<Transport>>,
    /// How the files looked that were read last.
    read: watch::Sender<Stamp>,
    notifier: Notifier,
    /// Whether it speaks TLS, and where.
    address: (bool, SocketAddr),
}

impl Reloader {
    async fn run(self, mut requests: mpsc::Receiver<ReloadRequest>, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let request = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                request = requests.recv() => request,
            };
            let Some(request) = request else {
                // Nobody can ask any more; stay until stop, as every task does.
                stop.cancelled().await;
                return Ok(());
            };
            self.notifier.reloading();
            let answer = self.reload(&request.actor).await;
            let refused = if matches!(answer, ReloadAnswer::Refused(_)) { "; the last reload was refused, the log says why" } else { "" };
            let checks = self.config.borrow().checks().count();
            self.notifier.ready(&format!("{}{refused}", summary(checks, self.address)));
            let _ = request.answer.send(answer);
        }
    }

    async fn reload(&self, actor: &str) -> ReloadAnswer {
        let Some(loader) = self.loader.clone() else { return ReloadAnswer::Refused(Vec::new()) };
        let loaded = match tokio::task::spawn_blocking(move || loader()).await {
            Ok(loaded) => loaded,
            Err(e) => {
                tracing::error!(error = %e, "reading the configuration ended by a defect of ours; the old one stays");
                self.refused(0, "it could not be read, by a defect of Soakwatch's own; the log has more");
                return ReloadAnswer::Refused(Vec::new());
            }
        };
        self.read.send_replace(loaded.stamp);
        let Some(new) = loaded.config else {
            return self.refuse(actor, loaded.problems);
        };
        let old = Arc::clone(&self.config.borrow());
        let diff = diff::diff(&old, &new, &self.started);
        if old.settings.probe != new.settings.probe {
            let before = Some(Arc::clone(&self.transport.borrow()));
            match make_transport(&new, self.resolver.clone(), before).await {
                Ok(transport) => {
                    self.transport.send_replace(transport);
                }
                Err(e) => {
                    tracing::error!(actor, error = %e, "the new configuration was refused; the old one stays");
                    self.refused(0, &e.to_string());
                    return ReloadAnswer::Refused(loaded.problems);
                }
            }
        }
        let mut left: BTreeSet<String> = old
            .integrations()
            .map(|i| &i.id)
            .collect::<BTreeSet<_>>()
            .difference(&new.integrations().map(|i| &i.id).collect())
            .map(|id| id.to_string())
            .collect();
        let hash = new.hash.clone();
        let gone = self.board.configure(&new);
        let mut soaks_restarted = Vec::new();
        for entry in self.soaks.configure(&new, self.clock.now()) {
            soaks_restarted.extend(Restarted::said(&entry));
            self.recorder.evidence(entry).await;
        }
        let new = Arc::new(new);
        self.config.send_replace(Arc::clone(&new));
        let of = |settings: &Settings| [settings.server.tls.clone(), settings.receiver.tls.clone()];
        for ((tls, before), now) in self.listening.iter().zip(of(&old.settings)).zip(of(&new.settings)) {
            if let (Some(tls), Some(now)) = (tls, now.filter(|now| before.as_ref() != Some(now))) {
                tls.take_now(now, self.clock.now()).await;
            }
        }
        let receives = |def: &CheckDef| def.kind.receiving().is_some();
        let unheard: Vec<CheckId> =
            old.checks().filter(|d| receives(d) && !new.checks().any(|n| n.id == d.id && receives(n))).map(|d| d.id.clone()).collect();
        let removed = left.len() as u64;
        left.extend(unheard.iter().map(|check| check.integration().to_string()));
        restart::forget(&gone, &left, &self.board, &self.recorder).await;
        self.recorder.review_incidents().await;
        restart::forget_memories(gone.iter().chain(&unheard), &self.memories).await;
        restart::note_schedules(&new, &restart::schedules(&old), &self.recorder).await;
        evidence::reloaded(&old, &new, &diff, actor, self.clock.now(), &self.recorder).await;
        self.own.integrations_removed.inc_by(removed);
        self.own.config_accepted(&hash, self.clock.now());
        self.health.config_accepted(self.clock.now());
        let restart_needed: Vec<String> = diff.restart_needed.clone();
        tracing::info!(
            actor,
            added = diff.added.len(),
            removed = diff.removed.len(),
            changed = diff.changed.len(),
            unchanged = diff.unchanged,
            settings_changed = diff.settings_changed.join(", "),
            soaks_restarted = soaks_restarted.len(),
            hash,
            "configuration taken over"
        );
        for Restarted { integration, changed } in soaks_restarted.iter().take(MOST_NAMED) {
            let because = match changed.as_slice() {
                [] => "it was recorded by another version of Soakwatch".to_owned(),
                keys => keys.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            tracing::warn!(%integration, actor, because, keys = changed.len(), "its soak begins again: what it judges has changed");
        }
        if !restart_needed.is_empty() {
            tracing::warn!(settings = restart_needed.join(", "), "these settings take effect at the next start");
        }
        ReloadAnswer::Applied {
            added: diff.added.len(),
            removed: diff.removed.len(),
            changed: diff.changed.len(),
            unchanged: diff.unchanged,
            settings_changed: diff.settings_changed,
            restart_needed,
            soaks_restarted,
            hash,
        }
    }

    fn refuse(&self, actor: &str, problems: Vec<crate::config::table::Problem>) -> ReloadAnswer {
        let errors: Vec<String> = problems.iter().filter(|p| !p.warning).map(ToString::to_string).collect();
        // The answer and `soakwatch validate` have all of them.
        let first = errors.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(" | ");
        tracing::error!(actor, errors = errors.len(), first, "the new configuration was refused; the old one stays");
        self.refused(errors.len(), errors.first().map_or("", String::as_str));
        ReloadAnswer::Refused(problems)
    }

    /// Tells whoever looks: metrics, pages and API.
    fn refused(&self, problems: usize, first: &str) {
        self.health.config_refused(self.clock.now(), problems, first);
        self.own.config_refused();
    }
}
