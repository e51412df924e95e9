//! The recorder driven by hand beside a store that can be locked: what is late, lost or said twice.

use super::*;
use crate::clock::UnixMs;
use crate::config::{LoadOptions, load};
use crate::outcome::Cause;
use crate::self_check::{Verdict, channel_of};
use crate::store::Reader;

pub(super) const START: UnixMs = UnixMs(1_800_000_000_000);

pub(super) struct Bench {
    pub(super) recorder: Recorder,
    pub(super) handle: RecorderHandle,
    pub(super) dir: tempfile::TempDir,
    pub(super) _config: watch::Sender<Arc<Config>>,
    pub(super) _verdict: watch::Sender<Verdict>,
}

pub(super) fn id() -> CheckId {
    "acme/staging/api/ping".parse().unwrap()
}

pub(super) fn ran(n: i64, class: Option<Class>) -> Record {
    let mut r = Record::not_run(id(), UnixMs(START.0 + n * 1_000), 1_000, 1, Cause::Internal);
    r.outcome = if class.is_some() { Outcome::Fail } else { Outcome::Pass };
    (r.cause, r.class, r.attribution, r.attempts) = (None, class, None, 1);
    r
}

impl Bench {
    pub(super) fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
        let customer = "[customer]\nid = \"acme\"\nname = \"Acme\"\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
             [[integration.check]]\nid = \"ping\"\nevery = \"1s\"\n[integration.check.http]\nurl = \"https://api.example.com/\"\n";
        std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
        let loaded = load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: START });
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let board = Arc::new(Board::default());
        board.configure(&config);
        let store = Store::open(&dir.path().join("runs.db")).unwrap();
        let (verdict, sender) = channel_of(Verdict::NoTargets);
        let (config, now) = watch::channel(Arc::new(config));
        let own = Arc::new(OwnMetrics::new().unwrap());
        let (recorder, handle) = start(store, (board, Arc::default(), Arc::default()), own, Clock::simulated(START), now, verdict).unwrap();
        Self { recorder, handle, dir, _config: config, _verdict: sender }
    }

    pub(super) fn store(&self) -> std::path::PathBuf {
        self.dir.path().join("runs.db")
    }

    /// Another program keeps the store locked as long as this lives.
    pub(super) fn lock(&self) -> rusqlite::Connection {
        let other = rusqlite::Connection::open(self.store()).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        other
    }

    pub(super) fn takes(&mut self, record: Record) {
        self.recorder.take(Event::Outcomes(vec![Arrived::told(record)]));
    }

    /// One commit, from its beginning to its answer; `meanwhile` comes in between.
    pub(super) async fn commit(&mut self, meanwhile: impl FnOnce(&mut Recorder)) {
        self.recorder.next_commit = Instant::now();
        self.recorder.start_commit(true);
        meanwhile(&mut self.recorder);
        let answer = wait(&mut self.recorder.commit).await;
        self.recorder.committed(answer);
    }

    fn stored(&self) -> Vec<(i64, u32, Outcome, Option<Cause>)> {
        let runs = Reader::open(&self.store()).unwrap().runs(&id(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
        runs.iter().map(|r| ((r.slot.0 - START.0) / 1_000, r.count, r.outcome, r.cause)).collect()
    }
}

#[tokio::test]
async fn what_is_to_be_forgotten_while_a_commit_fails_stays_to_be_forgotten() {
    let mut bench = Bench::new("");
    let lock = bench.lock();
    bench.takes(ran(0, None));
    bench.commit(|r| r.take(Event::Forget(id()))).await;
    assert!(bench.recorder.store_fails);
    assert!(matches!(bench.recorder.after.as_slice(), [After::Forget(check)] if *check == id()));
    drop(lock);
}

#[tokio::test]
async fn what_does_not_fit_while_the_store_fails_is_missing_evidence_not_less_that_was_due() {
    let mut bench = Bench::new("[store]\noutbox = 3\n");
    let lock = bench.lock();
    bench.takes(ran(0, None));
    bench.commit(|_| {}).await;
    for n in 1..10 {
        bench.takes(ran(n, (n == 5).then_some(Class::ServerError)));
    }
    assert!(bench.recorder.pending.len() <= 4, "bounded: {}", bench.recorder.pending.len());
    let lost = bench.recorder.own.store_lost.get();
    assert!(lost >= 6, "{lost}");
    drop(lock);
    bench.commit(|_| {}).await;
    assert!(!bench.recorder.store_fails);
    while !bench.recorder.pending.is_empty() {
        bench.commit(|_| {}).await;
    }
    let stored = bench.stored();
    let slots: u32 = stored.iter().map(|s| s.1).sum();
    assert_eq!(slots, 10, "every slot is in the store: {stored:?}");
    let unknown: u32 = stored.iter().filter(|s| (s.2, s.3) == (Outcome::Unknown, Some(Cause::Capacity))).map(|s| s.1).sum();
    assert_eq!(u64::from(unknown), lost, "{stored:?}");
    assert_eq!(bench.recorder.settled, bench.recorder.taken);
    drop(bench.handle);
}

#[tokio::test]
async fn a_failure_is_said_once_also_when_slots_are_skipped_in_between() {
    let mut bench = Bench::new("");
    let mut said = Vec::new();
    for n in 0..6 {
        let record = if n % 2 == 0 {
            ran(n, Some(Class::ServerError))
        } else {
            Record::not_run(id(), UnixMs(START.0 + n * 1_000), 1_000, 1, Cause::HostBusy)
        };
        said.push(bench.recorder.is_news(&record));
    }
    assert_eq!(said, [true, false, false, false, false, false]);
    let unknown = |cause| Record::not_run(id(), START, 1_000, 1, cause);
    assert!(bench.recorder.is_news(&unknown(Cause::Secret)), "nobody else says that a secret can't be read");
    assert!(!bench.recorder.is_news(&unknown(Cause::Secret)));
    assert!(!bench.recorder.is_news(&unknown(Cause::SelfCheck)), "the self-check says that our network is down, once for all checks");
    assert!(bench.recorder.is_news(&ran(9, None)));
}
