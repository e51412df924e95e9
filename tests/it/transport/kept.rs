//! Connections that are kept from run to run: used again, renewed without a failure, and only where the check asks for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soakwatch::config::model::CheckDef;
use soakwatch::outcome::Class;
use soakwatch::route::Route;
use tokio::io::AsyncWriteExt as _;

use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_tls};
use crate::support::probing::{check, run, run_within, transport};
use crate::support::proxy::{Wire, head};

fn kept(toml: &str) -> CheckDef {
    CheckDef { route: Route { keep_alive: true, ..Route::default() }, ..check(toml) }
}

#[tokio::test]
async fn the_next_run_uses_it_and_takes_no_time_to_connect() {
    let pki = Pki::new();
    for alpn in ["h2", "http/1.1"] {
        let fake = Fake::https(server_tls(pki.identity("api.test", 2020..2090), &[alpn]), |_| Reply::json("{}")).await;
        let toml = format!("url = \"https://api.test:{}/\"\nexpect = {{ certificate_days = 30 }}", fake.port());
        let transport = transport(Some(&pki.file()));
        let first = run(&transport, &kept(&toml)).await;
        first.passed();
        for n in 2..4 {
            let ran = run(&transport, &kept(&toml)).await;
            ran.passed();
            let hop = &ran.observed.hops[0];
            assert_eq!((hop.phases.resolve, hop.phases.connect, hop.phases.tls), (None, None, None), "absent, not 0");
            assert!(hop.reused && hop.phases.processing.is_some() && hop.tls.as_ref().is_some_and(|t| t.chain.len() == 2), "{hop:?}");
            assert_eq!((hop.address, hop.version.as_deref()), (Some(fake.at), first.observed.hops[0].version.as_deref()));
            assert_eq!((fake.accepted(), fake.log().len()), (1, n));
        }
        // The same check, otherwise connected, has no use for it; and what is not asked to be kept is not.
        let other = check(&toml);
        run(&transport, &other).await.passed();
        assert_eq!(fake.accepted(), 2);
        let version = kept(&format!("{toml}\nhttp_version = \"{}\"", if alpn == "h2" { "2" } else { "1.1" }));
        run(&transport, &version).await.passed();
        assert_eq!(fake.accepted(), 3);
        drop(transport);
        fake.all_closed().await;
    }
}

/// Answers so many requests on each connection, then reads one more and hangs up. What it read, and how often.
async fn hangs_up_after(answers: usize) -> (Fake, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let fake = Fake::raw(move |mut stream, _| {
        let seen = Arc::clone(&kept);
        async move {
            for n in 0.. {
                let Some(head) = head(&mut stream).await else { return };
                seen.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                if n == answers {
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
            }
        }
    })
    .await;
    (fake, seen)
}

#[tokio::test]
async fn one_that_is_dead_is_renewed_once_without_a_failure() {
    let (fake, seen) = hangs_up_after(1).await;
    let transport = transport(None);
    let check = kept(&format!("url = \"{}\"", fake.url("/x")));
    run(&transport, &check).await.passed();
    let ran = run(&transport, &check).await;
    ran.passed();
    assert_eq!((fake.accepted(), seen.lock().unwrap().len()), (2, 3), "asked, hung up on, asked again");
    let hop = &ran.observed.hops[0];
    assert!(!hop.reused && hop.phases.connect.is_some() && ran.observed.hops.len() == 1, "{hop:?}");
    // A new one that hangs up is a failure.
    let (fake, seen) = hangs_up_after(0).await;
    run(&transport, &kept(&format!("url = \"{}\"", fake.url("/x")))).await.failed(Class::Protocol, "closed before the response");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_that_was_closed_meanwhile_is_not_tried() {
    let closing = Arc::new(tokio::sync::Notify::new());
    let (told, heads) = (Arc::clone(&closing), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&heads);
    let fake = Fake::raw(move |mut stream, _| {
        let (told, count) = (Arc::clone(&told), Arc::clone(&count));
        async move {
            if head(&mut stream).await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
                told.notified().await;
            }
        }
    })
    .await;
    let transport = transport(None);
    let check = kept(&format!("url = \"{}\"", fake.url("/x")));
    run(&transport, &check).await.passed();
    closing.notify_one();
    fake.all_closed().await;
    closing.notify_one();
    run(&transport, &check).await.passed();
    assert_eq!((fake.accepted(), heads.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn what_must_not_be_carried_out_twice_is_not_repeated() {
    let (fake, seen) = hangs_up_after(1).await;
    let transport = transport(None);
    let check = kept(&format!("url = \"{}\"\nmethod = \"POST\"", fake.url("/x")));
    run(&transport, &check).await.passed();
    run(&transport, &check).await.failed(Class::Protocol, "closed before the response");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

/// A run of such a check has this long, so that a connection that was kept has half of it.
fn with_time(timeout_s: u64, toml: &str) -> CheckDef {
    CheckDef { timeout: Duration::from_secs(timeout_s), ..kept(toml) }
}

#[tokio::test]
async fn one_that_was_forgotten_on_the_way_is_renewed_without_a_failure() {
    let pki = Pki::new();
    let plain = Fake::http(|_| Reply::json("{}")).await;
    let secure = Fake::https(server_tls(pki.identity("api.test", 2020..2090), &["h2"]), |_| Reply::json("{}")).await;
    for (server, scheme) in [(&plain, "http"), (&secure, "https")] {
        let wire = Wire::to(server.at).await;
        // An answer is judged by the time it took itself.
        let check = with_time(6, &format!("url = \"{scheme}://api.test:{}/\"\nexpect = {{ within = \"2900ms\" }}", wire.fake.port()));
        let transport = transport(Some(&pki.file()));
        run(&transport, &check).await.passed();
        wire.cut(false);
        let ran = run_within(&transport, &check, check.timeout).await;
        ran.passed();
        let hop = &ran.observed.hops[0];
        assert!(!hop.reused && hop.phases.connect.is_some() && ran.observed.hops.len() == 1, "{scheme}: {hop:?}");
        assert_eq!((wire.fake.accepted(), server.log().len()), (2, 2), "{scheme}: what was cut off never got there");
        let ran = run(&transport, &check).await;
        ran.passed();
        assert!(ran.observed.hops[0].reused, "{scheme}: the new one is kept");
    }
}

#[tokio::test]
async fn who_is_silent_over_a_new_connection_too_has_timed_out() {
    let server = Fake::http(|_| Reply::json("{}")).await;
    let wire = Wire::to(server.at).await;
    let transport = transport(None);
    let check = with_time(2, &format!("url = \"{}\"", wire.fake.url("/x")));
    run(&transport, &check).await.passed();
    wire.cut(true);
    let ran = run_within(&transport, &check, check.timeout).await;
    assert_eq!((ran.class(), wire.fake.accepted(), server.log().len()), (Some(Class::Timeout), 2, 1), "{ran:#?}");
    wire.cut(false);
    run(&transport, &check).await.passed();
    assert_eq!(wire.fake.accepted(), 3, "neither of them was kept");
}

#[tokio::test]
async fn what_must_not_be_carried_out_twice_is_not_repeated_for_silence() {
    let server = Fake::http(|_| Reply::json("{}")).await;
    let wire = Wire::to(server.at).await;
    let transport = transport(None);
    let check = with_time(2, &format!("url = \"{}\"\nmethod = \"POST\"", wire.fake.url("/x")));
    run(&transport, &check).await.passed();
    wire.cut(false);
    let ran = run_within(&transport, &check, check.timeout).await;
    assert_eq!((ran.class(), wire.fake.accepted()), (Some(Class::Timeout), 1), "{ran:#?}");
}

#[tokio::test]
async fn a_connection_that_answers_slowly_is_not_kept() {
    let server = Fake::http(|_| Reply::json("{}").after(Duration::from_millis(1100))).await;
    let transport = transport(None);
    let check = with_time(4, &format!("url = \"{}\"", server.url("/x")));
    for n in 1..3 {
        run(&transport, &check).await.passed();
        assert_eq!(server.accepted(), n, "silence could not be told from its answer");
    }
}
