//! The scheduler moved by hand: no slot lost, none run twice, whatever the moment a reload or a restart comes at.

use super::*;
use crate::config::{LoadOptions, load};
use crate::outcome::Outcome;
use crate::recorder;
use crate::self_check::{Verdict, channel_of};
use crate::store::Store;
use crate::transport::Resolver;

/// A scheduler that a test moves by hand, on a clock that it sets. Its target takes connections and never answers.
struct Bench {
    scheduler: Scheduler,
    config: watch::Sender<Arc<Config>>,
    clock: Clock,
    board: Arc<Board>,
    dir: tempfile::TempDir,
    target: std::net::TcpListener,
    _transport: watch::Sender<Arc<Transport>>,
}

const START: UnixMs = UnixMs(1_800_000_000_000);

fn id(check: &str) -> CheckId {
    format!("acme/staging/api/{check}").parse().unwrap()
}

fn configuration(dir: &std::path::Path, port: u16, checks: &[(&str, &str)]) -> Config {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n".to_owned();
    for (check, every) in checks {
        text += &format!(
            "[[integration.check]]\nid = \"{check}\"\nevery = \"{every}\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
    let loaded = load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: START });
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

impl Bench {
    fn new(checks: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let read = Arc::new(configuration(dir.path(), target.local_addr().unwrap().port(), checks));
        let (board, own, clock) = (Arc::new(Board::default()), Arc::new(OwnMetrics::new().unwrap()), Clock::simulated(START));
        board.configure(&read);
        let resolver = Resolver::Fixed(Arc::new(|_: &str, _| Ok(Vec::new())));
        let (sender, transport) = watch::channel(Arc::new(Transport::new(&read.settings.probe, resolver).unwrap()));
        let (config, now) = watch::channel(read);
        let store = Store::open(&dir.path().join("runs.db")).unwrap();
        let (handle, _) = channel_of(Verdict::NoTargets);
        let (task, recorder) = recorder::start(
            store,
            (Arc::clone(&board), Arc::default(), Arc::default()),
            Arc::clone(&own),
            clock.clone(),
            now.clone(),
            handle,
        )
        .unwrap();
        tokio::spawn(task.run());
        let health = Arc::new(Health::default());
        let budgets = Arc::new(crate::budget::Budgets::new(&now.borrow().settings.rate_limit));
        let means = Means {
            config: now,
            budgets,
            transport,
            board: Arc::clone(&board),
            recorder,
            own,
            health,
            clock: clock.clone(),
            memories: Arc::default(),
        };
        let scheduler = Scheduler::new(means, CancellationToken::new());
        Self { scheduler, config, clock, board, dir, target, _transport: sender }
    }

    fn reload(&mut self, checks: &[(&str, &str)]) {
        let new = configuration(self.dir.path(), self.target.local_addr().unwrap().port(), checks);
        self.board.configure(&new);
        self.config.send_replace(Arc::new(new));
        self.scheduler.plan();
    }

    /// Time goes by until then.
    fn at(&mut self, to: UnixMs) {
        self.clock.set(to);
        self.scheduler.seen = (to, Instant::now());
    }

    fn next(&self, check: &str) -> UnixMs {
        self.scheduler.entries[&id(check)].next
    }

    /// What waits for the recorder: (first slot, number, cause).
    fn waiting(&self) -> Vec<(UnixMs, u32, Option<Cause>)> {
        self.scheduler.waiting.iter().map(|a| (a.record().slot, a.record().count, a.record().cause)).collect()
    }
}

#[tokio::test]
async fn no_slot_is_lost_between_the_start_and_the_first_plan() {
    let mut bench = Bench::new(&[("ping", "1s")]);
    let grid = Grid::of(&bench.scheduler.means.config.borrow().checks().next().unwrap().clone());
    let accounted = grid.at_or_before(START);
    bench.board.update(&id("ping"), |_, state| state.last_slot = Some(accounted));
    // Writing the time the daemon was down took the store four seconds.
    bench.at(UnixMs(START.0 + 4_000));
    bench.scheduler.plan();
    assert_eq!(bench.waiting(), [(UnixMs(accounted.0 + 1_000), 4, Some(Cause::Down))]);
    assert_eq!(bench.next("ping").0, accounted.0 + 5_000);
}

#[tokio::test]
async fn a_slot_that_is_due_when_its_interval_changes_is_not_lost() {
    let mut bench = Bench::new(&[("ping", "60s")]);
    bench.scheduler.plan();
    let due = bench.next("ping");
    bench.at(due);
    // The reload comes before the scheduler has looked.
    bench.reload(&[("ping", "7s")]);
    let slots: Vec<UnixMs> = bench.scheduler.running.values().map(|(_, slot)| *slot).collect();
    assert_eq!(slots, [due]);
    assert!(bench.next("ping") > due && bench.next("ping").0 <= due.0 + 7_000);
}

#[tokio::test]
async fn a_check_s_records_keep_the_order_of_their_slots() {
    let mut bench = Bench::new(&[("ping", "60s")]);
    bench.scheduler.plan();
    let first = bench.next("ping");
    bench.at(first);
    bench.scheduler.fire_due();
    for n in [1, 2] {
        bench.at(UnixMs(first.0 + n * 60_000));
        bench.scheduler.fire_due();
    }
    assert_eq!(bench.waiting(), [], "a slot that is skipped because of a run may not be stored before that run");
    bench.scheduler.cut.cancel();
    let ended = bench.scheduler.runs.join_next_with_id().await.unwrap();
    bench.scheduler.ended(ended);
    let expected = [(first, 1, Some(Cause::Shutdown)), (UnixMs(first.0 + 60_000), 2, Some(Cause::Overlap))];
    assert_eq!(bench.waiting(), expected);
    assert_eq!(bench.scheduler.waiting[1].record().outcome, Outcome::Skipped);
}

#[tokio::test]
async fn a_slot_that_is_not_run_for_a_quota_s_sake_says_why() {
    let mut bench = Bench::new(&[("ping", "60s")]);
    bench.scheduler.plan();
    let def = bench.scheduler.means.config.borrow().checks().next().unwrap().clone();
    let limits = crate::ratelimit::RateLimit { throttled: true, retry_after: Some(Duration::from_secs(100)), ..Default::default() };
    let (host, stay_away) = (def.kind.host().unwrap(), limits.retry_after);
    let heard = crate::observed::Heard { host, token: false, at: START, limits, stay_away };
    bench.scheduler.means.budgets.heard(&def, &[heard], Instant::now().into_std());
    let first = bench.next("ping");
    bench.at(first);
    bench.scheduler.fire_due();
    let record = bench.scheduler.waiting[0].record();
    assert_eq!((record.cause, record.detail.as_deref()), (Some(Cause::RateLimit), Some("held: the host asked to be left alone")));
    let next = Record { slot: UnixMs(first.0 + 60_000), ..record.clone() };
    assert!(record.clone().join(&next), "slots in a row are one span");
}

#[tokio::test]
async fn reloads_leave_nothing_behind() {
    let mut bench = Bench::new(&[("ping", "7d"), ("pong", "7d")]);
    bench.scheduler.plan();
    for n in 0..50 {
        bench.reload(if n % 2 == 0 { &[("ping", "6d")] } else { &[("ping", "7d"), ("pong", "7d")] });
    }
    assert_eq!((bench.scheduler.heap.len(), bench.scheduler.entries.len(), bench.scheduler.hosts.len()), (2, 2, 1));
}

#[tokio::test]
async fn a_check_that_leaves_and_comes_back_while_it_runs_does_not_overlap_itself() {
    let mut bench = Bench::new(&[("ping", "60s")]);
    bench.scheduler.plan();
    let first = bench.next("ping");
    bench.at(first);
    bench.scheduler.fire_due();
    bench.reload(&[("pong", "60s")]);
    bench.reload(&[("ping", "60s")]);
    bench.at(UnixMs(first.0 + 60_000));
    bench.scheduler.fire_due();
    assert_eq!(bench.scheduler.running.len(), 1);
    assert_eq!(bench.scheduler.entries[&id("ping")].behind.len(), 1);
}

#[tokio::test]
async fn fewer_places_are_fewer_also_for_runs_in_flight() {
    let places = Arc::new(Semaphore::new(3));
    let [a, b] = [Arc::clone(&places).acquire_owned().await.unwrap(), Arc::clone(&places).acquire_owned().await.unwrap()];
    resize(&places, 3, 1);
    tokio::task::yield_now().await;
    assert!(places.try_acquire().is_err(), "two run where one may");
    drop(a);
    tokio::task::yield_now().await;
    assert!(places.try_acquire().is_err(), "one runs where one may");
    drop(b);
    assert_eq!(places.available_permits(), 1);
    resize(&places, 1, 4);
    assert_eq!(places.available_permits(), 4);
}
