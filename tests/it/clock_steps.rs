//! The wall clock is set while the daemon runs (product.md: clock steps). Slots jumped over are unknown; slots gone through again do not run twice.

use std::net::SocketAddr;
use std::path::Path;
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

/// A target that answers, so that a failure would be one of ours.
async fn answers() -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
        }
    });
    address
}

async fn start(dir: &Path, clock: &Clock, target: SocketAddr) -> Running {
    let config = config::load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let resolver = Resolver::Fixed(Arc::new(move |_: &str, _| Ok(vec![target])));
    let (own, clock) = (Arc::new(OwnMetrics::new().unwrap()), clock.clone());
    App::start(Parts { config, reload: None, resolver: Some(resolver), clock, own, notifier: Default::default() }).await.unwrap()
}

/// Forward, where the time jumped over is unknown; back, where nothing runs twice, over a restart too; and forward again to where it was, where it goes on.
async fn forward_and_back(step_ms: i64) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    std::fs::write(
        dir.path().join("customers/acme.toml"),
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"ping\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"http://somewhere.example/\"\n",
    )
    .unwrap();
    let (target, (clock, offset)) = (answers().await, clock());
    let running = start(dir.path(), &clock, target).await;
    let clocked = |s: &CheckState| s.causes.get(&Cause::Clock).copied().unwrap_or(0);
    let slots = u64::try_from(step_ms / 1_000).unwrap();

    let before = until("a run", &running, |s| s.counts.pass >= 1).await;
    offset.fetch_add(step_ms, Ordering::SeqCst);
    let after = until("the slots jumped over are unknown", &running, |s| clocked(s) >= slots - 10).await;
    assert!(clocked(&after) <= slots + 60, "{:?}", after.causes);
    assert!(after.last_slot.unwrap().0 - before.last_slot.unwrap().0 >= step_ms - 20_000);
    until("runs go on", &running, |s| s.counts.pass > after.counts.pass + 1).await;

    offset.fetch_sub(step_ms, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let quiet = state(&running);
    running.stop().await.unwrap();
    // The next daemon finds slots that lie ahead of its clock.
    let running = start(dir.path(), &clock, target).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(state(&running).last_slot, quiet.last_slot, "nothing runs twice");
    offset.fetch_add(step_ms, Ordering::SeqCst);
    let last = until("it goes on where it was", &running, |s| s.counts.pass > quiet.counts.pass + 1).await;
    assert_eq!((last.counts.fail, last.counts.success_ratio(false)), (0, Some(1.0)), "the clock is ours, and nobody's failure");
    running.stop().await.unwrap();
    let reader = Reader::open(&dir.path().join("soakwatch.db")).unwrap();
    let runs = reader.runs(&"acme/staging/api/ping".parse().unwrap(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
    let mut end = runs[0].slot.0 - 1_000;
    for run in &runs {
        assert_eq!(run.slot.0, end + 1_000, "each slot is accounted for once");
        end = run.slot.0 + (i64::from(run.count.max(1)) - 1) * i64::from(run.interval_ms);
    }
    assert!(end >= quiet.last_slot.unwrap().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_and_an_hour_back() {
    forward_and_back(HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_forward_and_a_day_back() {
    forward_and_back(24 * HOUR).await;
}
