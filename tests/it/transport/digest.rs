//! Digest authentication against a server that checks every answer: the challenge, the count of a nonce that is used again, one that is too old, MD5.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use soakwatch::config::model::CheckDef;
use soakwatch::outcome::{Cause, Class, Reason};

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::probing::{check, read, run, transport};

const PASSWORD: &str = "c4nary-d1gest/pass+word";

fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn parameter(header: &str, name: &str) -> String {
    let value = header.split(", ").find_map(|p| p.trim_start_matches("Digest ").strip_prefix(&format!("{name}=")));
    value.unwrap_or_default().trim_matches('"').to_owned()
}

/// A server of one nonce at a time, `nonce-N`, each good for so many requests; it counts them, and refuses a count twice.
struct Server {
    fake: Fake,
    challenged: Arc<AtomicUsize>,
}

async fn server(uses: usize, marks_stale: bool) -> Server {
    let challenged = Arc::new(AtomicUsize::new(0));
    let (count, used) = (Arc::clone(&challenged), Mutex::new(Vec::<String>::new()));
    let fake = Fake::http(move |seen: &Seen| {
        let header = seen.header("authorization");
        let said = |name| parameter(header, name);
        let mut used = used.lock().unwrap();
        let current = format!("nonce-{}", count.load(Ordering::SeqCst));
        let ours = hash(&format!("acme:orders:{PASSWORD}"));
        let wanted = hash(&format!(
            "{ours}:{}:{}:{}:auth:{}",
            said("nonce"),
            said("nc"),
            said("cnonce"),
            hash(&format!("{}:{}", seen.method, seen.target))
        ));
        let right = said("response") == wanted && said("uri") == seen.target;
        if right && said("nonce") == current && used.len() < uses && !used.contains(&said("nc")) {
            used.push(said("nc"));
            return Reply::new(204);
        }
        used.clear();
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let stale = if right && marks_stale { ", stale=true" } else { "" };
        Reply::new(401).header(
            "www-authenticate",
            format!("Basic realm=\"orders\", Digest realm=\"orders\", qop=\"auth-int, auth\", algorithm=SHA-256, nonce=\"nonce-{n}\", opaque=\"o\"{stale}"),
        )
    })
    .await;
    Server { fake, challenged }
}

fn with(dir: &std::path::Path, url: &str, password: &str, more: &str) -> CheckDef {
    let file = dir.join("password");
    std::fs::write(&file, password).unwrap();
    check(&format!("url = \"{url}\"\nauth = {{ digest = {{ username = \"acme\", password = {{ file = {file:?} }}{more} }} }}"))
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_remembered() {
    let (dir, server) = (tempfile::tempdir().unwrap(), server(3, true).await);
    let transport = transport(None);
    let check = with(dir.path(), &server.fake.url("/v1/orders?limit=1"), PASSWORD, "");
    for asked in [2, 3, 4] {
        let ran = run(&transport, &check).await;
        ran.passed();
        assert_eq!(server.fake.log().len(), asked, "{ran:#?}");
        assert!(!format!("{ran:?}").contains(PASSWORD));
    }
    let counts: Vec<String> = server.fake.log().iter().skip(1).map(|s| parameter(s.header("authorization"), "nc")).collect();
    assert_eq!(counts, ["00000001", "00000002", "00000003"]);
    // The nonce is used up: the answer is made anew, once.
    run(&transport, &check).await.passed();
    assert_eq!((server.fake.log().len(), server.challenged.load(Ordering::SeqCst)), (6, 2));
}

#[tokio::test]
async fn one_that_is_too_old_is_answered_once_more_and_no_oftener() {
    let (dir, never) = (tempfile::tempdir().unwrap(), server(0, true).await);
    run(&transport(None), &with(dir.path(), &never.fake.url("/"), PASSWORD, "")).await.failed(Class::Unauthorized, "401");
    assert_eq!(never.fake.log().len(), 3, "without an answer, with one, and with one to the next challenge");
    let wrong = server(3, true).await;
    run(&transport(None), &with(dir.path(), &wrong.fake.url("/"), "another", "")).await.failed(Class::Unauthorized, "401");
    assert_eq!(wrong.fake.log().len(), 2, "a wrong password is not tried again");
    // A server that forgets without saying so.
    let (mute, transport) = (server(1, false).await, transport(None));
    let check = with(dir.path(), &mute.fake.url("/"), PASSWORD, "");
    for asked in [2, 4, 6] {
        run(&transport, &check).await.passed();
        assert_eq!(mute.fake.log().len(), asked);
    }
}

#[tokio::test]
async fn md5_is_answered_where_it_is_allowed_and_what_can_t_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let offer = |text: &'static str| {
        Fake::http(move |seen: &Seen| {
            if seen.header("authorization").contains("algorithm=MD5") {
                Reply::new(204)
            } else {
                Reply::new(401).header("www-authenticate", text)
            }
        })
    };
    let transport = transport(None);
    let weak = offer("Digest realm=\"x\", nonce=\"n\", algorithm=MD5, qop=\"auth\"").await;
    let refused = run(&transport, &with(dir.path(), &weak.url("/"), PASSWORD, "")).await;
    refused.failed(Class::Unauthorized, "offers Digest with MD5 only");
    assert_eq!(refused.reason(), Some(Reason::Md5Only));
    let asked = refused.observed.hops[0].asks_for.as_deref();
    assert_eq!(asked, Some("Digest realm=\"x\", algorithm=\"MD5\""));
    run(&transport, &with(dir.path(), &weak.url("/"), PASSWORD, ", md5 = true")).await.passed();
    let other = offer("Basic realm=\"x\"").await;
    run(&transport, &with(dir.path(), &other.url("/"), PASSWORD, "")).await.failed(Class::Unauthorized, "offers no Digest");
    // Where a 401 must come, it is enough.
    let refused = with(dir.path(), &other.url("/"), PASSWORD, " } }\nexpect = { status = [401] }\n#");
    run(&transport, &refused).await.passed();
    std::fs::remove_file(dir.path().join("password")).unwrap();
    let ran = run(&transport, &refused).await;
    assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::Secret));
}

#[test]
fn it_stands_for_one_address() {
    let table = "url = \"https://a.example/\"\nredirects = 1\nauth = { digest = { username = \"a\", password = { env = \"X\" } } }";
    let said = read(table).unwrap_err();
    assert!(said.len() == 1 && said[0].contains("redirects: are followed, but a digest answers for one address"), "{said:?}");
}
