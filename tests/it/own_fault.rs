//! Must show 7: our own network is cut off, together with the self-check's targets. Runs become unknown, no customer's ratio moves, coverage
//! falls; afterwards all recovers by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use soakwatch::app::{App, Parts, Running};
use soakwatch::board::Counts;
use soakwatch::clock::Clock;
use soakwatch::config::{self, LoadOptions};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::Cause;
use soakwatch::transport::Resolver;

use crate::support::daemon::PATIENCE;

const HOSTS: usize = 4;

/// Answers 200 to everything, for ever; each connection is bounded by the client's deadline.
async fn healthy_server() -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await;
            });
        }
    });
    address
}

fn write(dir: &std::path::Path, self_check: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{self_check}")).unwrap();
    for n in 0..HOSTS {
        let text = format!(
            "[customer]\nid = \"c{n}\"\nname = \"Customer {n}\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"customer\"\n\
             [[integration.check]]\nid = \"ping\"\nevery = \"1s\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://c{n}.example/\"\n"
        );
        std::fs::write(dir.join(format!("customers/c{n}.toml")), text).unwrap();
    }
}

/// A network that can be cut: every name resolves to the one server, or nowhere.
fn network(server: SocketAddr) -> (Resolver, Arc<AtomicBool>) {
    let cut = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&cut);
    let resolver =
        Resolver::Fixed(Arc::new(
            move |name: &str, _| if seen.load(Ordering::SeqCst) { Err(format!("{name}: network is down")) } else { Ok(vec![server]) },
        ));
    (resolver, cut)
}

fn counts(running: &Running) -> Vec<(Counts, u64)> {
    running.board.read(|all| {
        all.iter().flat_map(|i| &i.checks).map(|c| (c.state.counts, c.state.causes.get(&Cause::SelfCheck).copied().unwrap_or(0))).collect()
    })
}

async fn until(what: &str, running: &Running, condition: impl Fn(&Counts, u64) -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !counts(running).iter().all(|(c, own)| condition(c, *own)) {
        assert!(tokio::time::Instant::now() < end, "did not happen: {what}: {:?}", counts(running));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn cut_and_restore(self_check: &str) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), self_check);
    let (resolver, cut) = network(healthy_server().await);
    let config = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let own = Arc::new(OwnMetrics::new().unwrap());
    let running = App::start(Parts { config, reload: None, resolver: Some(resolver), clock: Clock::System, own }).await.unwrap();
    until("every check passes", &running, |c, _| c.pass >= 2).await;

    cut.store(true, Ordering::SeqCst);
    until("runs are unknown by the self-check", &running, |_, own| own >= 3).await;
    for (c, _) in counts(&running) {
        assert_eq!(c.fail, 0, "no customer is blamed: {c:?}");
        assert_eq!(c.success_ratio(false), Some(1.0), "no ratio moves: {c:?}");
        assert!(c.coverage().unwrap() < 1.0, "coverage falls: {c:?}");
    }

    cut.store(false, Ordering::SeqCst);
    let before: u64 = counts(&running).iter().map(|(c, _)| c.pass).max().unwrap();
    until("every check passes again", &running, |c, _| c.pass >= before + 2).await;
    for (c, _) in counts(&running) {
        assert_eq!(c.fail, 0, "also not by a run that was under way: {c:?}");
    }
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_self_check_targets() {
    cut_and_restore("[self_check]\ntargets = [\"tcp://control.example:443\"]\nevery = \"2s\"\ntimeout = \"500ms\"\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_targets_all_hosts_failing_at_once_counts_as_one() {
    cut_and_restore("").await;
}

/// One customer's own outage is the customer's: the self-check answers, so the failure counts.
#[tokio::test(flavor = "multi_thread")]
async fn one_host_down_is_not_our_fault() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "[self_check]\ntargets = [\"tcp://control.example:443\"]\nevery = \"2s\"\ntimeout = \"500ms\"\n");
    let server = healthy_server().await;
    let resolver =
        Resolver::Fixed(Arc::new(move |name: &str, _| if name == "c0.example" { Err("no such name".into()) } else { Ok(vec![server]) }));
    let config = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let own = Arc::new(OwnMetrics::new().unwrap());
    let running = App::start(Parts { config, reload: None, resolver: Some(resolver), clock: Clock::System, own }).await.unwrap();
    until("each host has its own fate", &running, |c, _| c.pass >= 2 || c.fail >= 2).await;
    let all = counts(&running);
    assert_eq!((all[0].0.pass, all[0].0.unknown), (0, 0), "{all:?}");
    assert!(all[1..].iter().all(|(c, _)| c.fail == 0), "{all:?}");
    running.stop().await.unwrap();
}
