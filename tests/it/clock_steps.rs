//! The wall clock is set while the daemon runs (product.md: clock steps). Slots jumped over are unknown; slots gone through again do not run twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use soakwatch::app::{App, Parts, Running};
use soakwatch::board::CheckState;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::config::{self, LoadOptions};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::Cause;
use soakwatch::store::Reader;
use soakwatch::transport::Resolver;

use crate::support::daemon::PATIENCE;

const HOUR: i64 = 3_600_000;

/// A clock that goes with real time, plus an offset the test sets.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let (clock, offset) = (Clock::simulated(Clock::System.now()), Arc::new(AtomicI64::new(0)));
    let (moved, by) = (clock.clone(), Arc::downgrade(&offset));
    std::thread::spawn(move || {
        while let Some(by) = by.upgrade() {
            moved.set(UnixMs(Clock::System.now().0 + by.load(Ordering::SeqCst)));
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    (clock, offset)
}

fn state(running: &Running) -> CheckState {
    running.board.check(&"acme/staging/api/ping".parse().unwrap()).unwrap().state
}

async fn until(what: &str, running: &Running, condition: impl Fn(&CheckState) -> bool) -> CheckState {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = state(running);
        if condition(&now) {
            return now;
        }
        assert!(tokio::time::Instant::now() < end, "did not happen: {what}: {:?} {:?}", now.counts, now.causes);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_and_an_hour_back() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    std::fs::write(
        dir.path().join("customers/acme.toml"),
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"ping\"\nevery = \"1s\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://nowhere.example/\"\n",
    )
    .unwrap();
    let config = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let (clock, offset) = clock();
    // The target is of no interest here: a port where nothing listens answers fast.
    let closed: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resolver = Resolver::Fixed(Arc::new(move |_: &str, _| Ok(vec![closed])));
    let running = App::start(Parts {
        config,
        reload: None,
        resolver: Some(resolver),
        clock,
        own: Arc::new(OwnMetrics::new().unwrap()),
        notifier: Default::default(),
    })
    .await
    .unwrap();
    let clocked = |s: &CheckState| s.causes.get(&Cause::Clock).copied().unwrap_or(0);

    // Failures without self-check targets wait their 15 s: last_slot only moves with them.
    let before = until("a run", &running, |s| s.counts.counted() >= 1).await;
    offset.fetch_add(HOUR, Ordering::SeqCst);
    let after = until("an hour of slots is unknown", &running, |s| clocked(s) >= 3_590).await;
    assert!(clocked(&after) <= 3_660, "{:?}", after.causes);
    assert!(after.last_slot.unwrap().0 - before.last_slot.unwrap().0 >= HOUR - 20_000);
    until("runs go on", &running, |s| s.counts.counted() > after.counts.counted()).await;

    offset.fetch_sub(HOUR, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let quiet = state(&running);
    running.stop().await.unwrap();
    let reader = Reader::open(&dir.path().join("soakwatch.db")).unwrap();
    let runs = reader.runs(&"acme/staging/api/ping".parse().unwrap(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
    let mut end = i64::MIN;
    for run in &runs {
        assert!(run.slot.0 > end, "no slot is accounted for twice: {} after {end}", run.slot.0);
        end = run.slot.0 + (i64::from(run.count.max(1)) - 1) * i64::from(run.interval_ms);
    }
    assert!(end >= quiet.last_slot.unwrap().0);
}
