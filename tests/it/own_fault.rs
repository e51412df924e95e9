//! Must show 7: our own network is cut off, together with the self-check's targets. Runs become unknown, no customer's ratio moves, coverage
//! falls; afterwards all recovers by itself. The same for our name servers. What is not ours counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use soakwatch::app::{App, Parts, Running};
use soakwatch::board::Counts;
use soakwatch::clock::Clock;
use soakwatch::config::{self, LoadOptions};
use soakwatch::fields::CheckId;
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

fn settings(dir: &std::path::Path, settings: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{settings}")).unwrap();
}

fn customer(dir: &std::path::Path, id: &str, every: &str, url: &str) {
    let text = format!(
        "[customer]\nid = \"{id}\"\nname = \"Customer {id}\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"ping\"\nevery = \"{every}\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"{url}\"\n"
    );
    std::fs::write(dir.join(format!("customers/{id}.toml")), text).unwrap();
}

fn write(dir: &std::path::Path, self_check: &str) {
    settings(dir, self_check);
    for n in 0..HOSTS {
        customer(dir, &format!("c{n}"), "1s", &format!("http://c{n}.example/"));
    }
}

async fn start(dir: &std::path::Path, resolver: Option<Resolver>) -> Running {
    let config = config::load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let own = Arc::new(OwnMetrics::new().unwrap());
    App::start(Parts { config, reload: None, resolver, clock: Clock::System, own, notifier: Default::default() }).await.unwrap()
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
    let running = start(dir.path(), Some(resolver)).await;
    until("every check passes", &running, |c, _| c.pass >= 2).await;

    cut.store(true, Ordering::SeqCst);
    until("runs are unknown by the self-check", &running, |_, own| own >= 3).await;
    for (c, _) in counts(&running) {
        assert_eq!(c.fail, 0, "no customer is blamed: {c:?}");
        assert_eq!(c.success_ratio(false), Some(1.0), "no ratio moves: {c:?}");
        assert!(c.coverage().unwrap() < 1.0, "coverage falls: {c:?}");
    }

    cut.store(false, Ordering::SeqCst);
    let before = passes(&running);
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
    let running = start(dir.path(), Some(resolver)).await;
    until("each host has its own fate", &running, |c, _| c.pass >= 2 || c.fail >= 2).await;
    let all = counts(&running);
    assert_eq!((all[0].0.pass, all[0].0.unknown), (0, 0), "{all:?}");
    assert!(all[1..].iter().all(|(c, _)| c.fail == 0), "{all:?}");
    running.stop().await.unwrap();
}

/// An id whose check comes due in this part of every two seconds.
fn due_at(milliseconds: std::ops::Range<u64>) -> String {
    let due = |id: &String| format!("{id}/production/api/ping").parse::<CheckId>().unwrap().key() % 2_000;
    (0..).map(|n| format!("c{n}")).find(|id| milliseconds.contains(&due(id))).unwrap()
}

/// Without targets: three hosts of five fail two rounds of three, all at the same time, refused in one and silent in the other. The other two
/// pass before and after each time: it is not us.
#[tokio::test(flavor = "multi_thread")]
async fn without_targets_three_hosts_of_five_that_come_and_go_are_not_our_fault() {
    let dir = tempfile::tempdir().unwrap();
    settings(dir.path(), "");
    let healthy = [due_at(0..100), due_at(1_000..1_100)];
    let sick = [due_at(250..350), due_at(350..450), due_at(450..550)];
    for id in healthy.iter().chain(&sick) {
        customer(dir.path(), id, "2s", &format!("http://{id}.example/"));
    }
    let server = healthy_server().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (outage, names) = (Arc::new(AtomicBool::new(false)), sick.clone().map(|id| format!("{id}.example")));
    let begun = Arc::clone(&outage);
    let resolver = Resolver::Fixed(Arc::new(move |name: &str, _| {
        let round = Clock::System.now().0 / 2_000 % 3;
        match round {
            1 if begun.load(Ordering::SeqCst) && names.iter().any(|n| n == name) => Ok(vec![closed]),
            2 if begun.load(Ordering::SeqCst) && names.iter().any(|n| n == name) => Err("no DNS answer came".into()),
            _ => Ok(vec![server]),
        }
    }));
    let running = start(dir.path(), Some(resolver)).await;
    until("every check passes", &running, |c, _| c.pass >= 2).await;
    outage.store(true, Ordering::SeqCst);
    until("each host has its own fate", &running, |c, _| c.pass >= 9 || c.fail >= 6).await;
    running.board.read(|all| {
        for c in all.iter().flat_map(|i| &i.checks) {
            let (counts, ours) = (c.state.counts, c.state.causes.get(&Cause::SelfCheck));
            assert_eq!(ours, None, "{}: none is unknown: {counts:?}", c.def.id);
            let ill = sick.iter().any(|id| c.def.id.to_string().starts_with(&format!("{id}/")));
            assert_eq!(counts.fail > 0, ill, "{}: {counts:?}", c.def.id);
        }
    });
    running.stop().await.unwrap();
}

/// A name server for which every name is on loopback, until it falls silent.
async fn name_server() -> (SocketAddr, Arc<AtomicBool>) {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, mute) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let silent = Arc::clone(&mute);
    tokio::spawn(async move {
        let mut buf = [0u8; 1_500];
        while let Ok((n, from)) = socket.recv_from(&mut buf).await {
            if silent.load(Ordering::SeqCst) {
                continue;
            }
            // The question ends at the root label plus type and class (RFC 1035, 4.1.2); what follows (EDNS) is left out of the answer.
            let end = 12 + buf[12..n].iter().position(|b| *b == 0).unwrap() + 5;
            let for_ipv4 = buf[end - 3] == 1;
            let mut answer = buf[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(for_ipv4), 0, 0, 0, 0]);
            if for_ipv4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (at, mute)
}

/// Our name server dies; the self-check's target is an address and answers all the time, and so does a customer's.
#[tokio::test(flavor = "multi_thread")]
async fn with_targets_that_are_addresses_a_dead_name_server_is_our_fault() {
    let dir = tempfile::tempdir().unwrap();
    let server = healthy_server().await;
    let (dns, mute) = name_server().await;
    settings(
        dir.path(),
        &format!("[self_check]\ntargets = [\"tcp://{server}\"]\nevery = \"2s\"\ntimeout = \"500ms\"\n[probe]\ndns = [\"{dns}\"]\n"),
    );
    for n in 0..HOSTS {
        customer(dir.path(), &format!("c{n}"), "1s", &format!("http://c{n}.example:{}/", server.port()));
    }
    customer(dir.path(), "literal", "1s", &format!("http://{server}/"));
    let running = start(dir.path(), None).await;
    until("every check passes", &running, |c, _| c.pass >= 2).await;

    mute.store(true, Ordering::SeqCst);
    let before = passes(&running);
    until("runs towards names are unknown, those towards an address pass", &running, |c, own| own >= 3 || c.pass >= before + 3).await;
    mute.store(false, Ordering::SeqCst);
    let before = passes(&running);
    let named =
        running.board.read(|all| all.iter().flat_map(|i| &i.checks).filter(|c| c.state.causes.get(&Cause::SelfCheck).is_some()).count());
    assert_eq!(named, HOSTS, "all but the address");
    until("every check passes again", &running, |c, _| c.pass >= before + 2).await;
    for (c, _) in counts(&running) {
        assert_eq!((c.fail, c.success_ratio(false)), (0, Some(1.0)), "no customer is blamed, also not for a run that was under way: {c:?}");
    }
    running.stop().await.unwrap();
}

/// The most passes any check has.
fn passes(running: &Running) -> u64 {
    counts(running).iter().map(|(c, _)| c.pass).max().unwrap()
}
