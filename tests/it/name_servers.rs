//! Faults of our name servers: they answer late, with noise, with another question's answer, with an error, or not at all. That is our fault and nobody's
//! failure; nothing passes that was not reached; and all is well as soon as they are. (A dead one, and our whole network: own_fault.rs.)

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use soakwatch::app::{App, Parts, Running};
use soakwatch::board::Counts;
use soakwatch::clock::Clock;
use soakwatch::config::{self, LoadOptions};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::Cause;

use crate::support::daemon::PATIENCE;
use crate::support::fake_api::{FakeApi, Reply};

const WELL: u8 = 0;
/// Late, but in time for a run.
const SLOW: u8 = 1;
/// Later than any run waits.
const TOO_LATE: u8 = 2;
const NOISE: u8 = 3;
/// Another question's answer: the number is not the one that was asked with.
const ANOTHERS: u8 = 4;
/// SERVFAIL.
const ERROR: u8 = 5;
/// Cut off in the middle.
const TORN: u8 = 6;
/// An answer that says it is a question.
const ECHO: u8 = 7;

/// A name server on loopback for which every name is this machine.
async fn name_server() -> (SocketAddr, Arc<AtomicU8>) {
    let socket = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (at, mode) = (socket.local_addr().unwrap(), Arc::new(AtomicU8::new(WELL)));
    let manner = Arc::clone(&mode);
    tokio::spawn(async move {
        let mut buf = [0u8; 1_500];
        while let Ok((n, from)) = socket.recv_from(&mut buf).await {
            // The question ends at the root label plus type and class (RFC 1035, 4.1.2); what follows (EDNS) is left out of the answer.
            let end = 12 + buf[12..n].iter().position(|b| *b == 0).unwrap() + 5;
            let for_ipv4 = buf[end - 3] == 1;
            let mut answer = buf[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(for_ipv4), 0, 0, 0, 0]);
            if for_ipv4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
            }
            let mut wait = Duration::ZERO;
            match manner.load(Ordering::SeqCst) {
                SLOW => wait = Duration::from_millis(300),
                TOO_LATE => wait = Duration::from_secs(20),
                NOISE => answer = (0..400u32).map(|n| (n * n / 7 + n) as u8).collect(),
                ANOTHERS => answer[0] ^= 0x55,
                ERROR => {
                    answer.truncate(end);
                    answer[2..8].copy_from_slice(&[0x81, 0x82, 0, 1, 0, 0]);
                }
                TORN => answer.truncate(end - 6),
                ECHO => answer = buf[..n].to_vec(),
                _ => {}
            }
            let socket = Arc::clone(&socket);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = socket.send_to(&answer, from).await;
            });
        }
    });
    (at, mode)
}

async fn start(dir: &std::path::Path, dns: SocketAddr, api: &FakeApi) -> Running {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let target = api.address();
    std::fs::write(
        dir.join("soakwatch.toml"),
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[rate_limit]\nmax_rate = \"1000/s\"\n[self_check]\ntargets = [\"tcp://{target}\"]\nevery = \"2s\"\n\
             timeout = \"500ms\"\n[probe]\ndns = [\"{dns}\"]\n"
        ),
    )
    .unwrap();
    for n in 0..4 {
        let text = format!(
            "[customer]\nid = \"c{n}\"\nname = \"C\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"customer\"\n\
             [[integration.check]]\nid = \"ping\"\nevery = \"2s\"\ntimeout = \"1500ms\"\n[integration.check.http]\nurl = \"http://c{n}.example:{}/c{n}\"\n",
            target.port()
        );
        std::fs::write(dir.join(format!("customers/c{n}.toml")), text).unwrap();
    }
    let config = config::load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() }).config.unwrap();
    let own = Arc::new(OwnMetrics::new().unwrap());
    App::start(Parts { config, reload: None, resolver: None, clock: Clock::System, own, notifier: Default::default() }).await.unwrap()
}

/// Of each check its counts, and how many runs are unknown because of us.
fn counts(running: &Running) -> Vec<(Counts, u64)> {
    running.board.read(|all| {
        all.iter().flat_map(|i| &i.checks).map(|c| (c.state.counts, c.state.causes.get(&Cause::SelfCheck).copied().unwrap_or(0))).collect()
    })
}

async fn until(what: &str, running: &Running, condition: impl Fn(&Counts, u64) -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !counts(running).iter().all(|(c, own)| condition(c, *own)) {
        assert!(tokio::time::Instant::now() < end, "did not happen: {what}: {:?}", counts(running));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// It is well, then ill in one manner, then well again: nobody fails, and no run passes that the far side did not see.
async fn ill(manner: u8) {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|_| Reply::json("{}"));
    let (dns, mode) = name_server().await;
    let running = start(dir.path(), dns, &api).await;
    until("every check passes", &running, |c, _| c.pass >= 1).await;
    mode.store(manner, Ordering::SeqCst);
    until("runs are unknown, by our fault", &running, |_, own| own >= 2).await;
    mode.store(WELL, Ordering::SeqCst);
    let before = counts(&running).iter().map(|(c, _)| c.pass).max().unwrap();
    until("every check passes again", &running, |c, _| c.pass >= before + 2).await;
    let all = counts(&running);
    running.stop().await.unwrap();
    for (n, (c, _)) in all.iter().enumerate() {
        assert_eq!((c.fail, c.success_ratio(false)), (0, Some(1.0)), "no customer is blamed: {c:?}");
        assert!(c.coverage().unwrap() < 1.0, "coverage falls: {c:?}");
        assert!(c.pass as usize <= api.log_of(&format!("/c{n}")).len(), "nothing passes that was not reached");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_late_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|_| Reply::json("{}"));
    let (dns, mode) = name_server().await;
    mode.store(SLOW, Ordering::SeqCst);
    let running = start(dir.path(), dns, &api).await;
    until("every check passes", &running, |c, _| c.pass >= 3).await;
    let all = counts(&running);
    assert!(all.iter().all(|(c, own)| c.fail == 0 && *own == 0), "{all:?}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_too_late_is_our_fault() {
    ill(TOO_LATE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_with_noise_is_our_fault() {
    ill(NOISE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_anothers_question_is_our_fault() {
    ill(ANOTHERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_answers_with_an_error_is_our_fault() {
    ill(ERROR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_answers_are_torn_is_our_fault() {
    ill(TORN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_sends_the_question_back_is_our_fault() {
    ill(ECHO).await;
}
