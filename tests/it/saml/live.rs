//! The kind `saml` against real servers: what it fetches, what it finds, what it remembers, and what it takes until a change is accepted.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::config::model::CheckDef;
use soakwatch::config::table::{Source, Table};
use soakwatch::evidence::Hash;
use soakwatch::finding::{Finding, Level, Severity};
use soakwatch::memory::{Memories, Memory};
use soakwatch::observed::{Failure, Observed};
use soakwatch::outcome::Class;
use soakwatch::probe::saml::SamlCheck;
use soakwatch::probe::{Kind, NothingToAccept, ProbeContext};
use soakwatch::secret::Redactor;
use soakwatch::soak::Judge;
use soakwatch::transport::Transport;
use tokio::sync::mpsc;

use super::make::{ATTACKER, Form, ID, SIGNER, aggregate, cert, entity, idp_role, ids, key, other_cert, signed, signed_as};
use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};
use crate::support::fake::{Fake, Reply};
use crate::support::fake_api::{self, FakeApi};
use crate::support::pki::{Pki, server_tls};
use crate::support::probing;

// Valid whenever this is run.
static OLD: LazyLock<String> = LazyLock::new(|| key("signing", &cert((2020, 1, 1), (2099, 1, 1))));
static NEW: LazyLock<String> = LazyLock::new(|| key("signing", &other_cert((2020, 1, 1), (2098, 1, 1))));

fn old_key() -> String {
    OLD.clone()
}

fn new_key() -> String {
    NEW.clone()
}

fn idp(keys: &str) -> String {
    idp_until(keys, "2097-12-01T00:00:00Z")
}

fn idp_until(keys: &str, until: &str) -> String {
    entity(&format!("ID=\"_root\" validUntil=\"{until}\""), &idp_role(keys))
}

/// A check, the host it asks, and what is remembered from run to run.
struct Watched {
    fake: Fake,
    reply: Arc<Mutex<Reply>>,
    check: CheckDef,
    transport: Transport,
    memories: Memories,
    open: Vec<Finding>,
    _pki: Pki,
    _kept: mpsc::Receiver<soakwatch::memory::Keep>,
}

impl Watched {
    /// A check of what a host gives; `{PORT}` in its table is the host's port.
    async fn new(table: &str, dir: &Path) -> Self {
        let pki = Pki::new();
        let reply = Arc::new(Mutex::new(Reply::new(200)));
        let given = Arc::clone(&reply);
        let tls = server_tls(pki.identity("idp.test", 2020..2099), &["http/1.1"]);
        let fake = Fake::https(tls, move |seen| {
            let reply = given.lock().unwrap().clone();
            match seen.target.as_str() {
                "/sso" => Reply::new(405),
                "/broken" => Reply::new(502),
                _ if seen.header("if-none-match") == "\"1\"" => Reply::new(304),
                _ => reply,
            }
        })
        .await;
        let table = table.replace("{PORT}", &fake.port().to_string());
        let source = Source::new("check.toml", dir, table);
        let document = toml::de::DeTable::parse(&source.text).unwrap();
        let saml = SamlCheck::read(Table::new(&source, "", document.span(), document.get_ref())).unwrap();
        assert!(source.problems.borrow().iter().all(|p| p.warning), "{:?}", source.problems);
        let kind = Kind::Saml(Box::new(saml));
        let check = CheckDef { kind, judge: Judge::Every, ..probing::check("url = \"https://a.test/\"") };
        let (keep, kept) = mpsc::channel(64);
        let transport = probing::transport(Some(&pki.file()));
        Self { fake, reply, check, transport, memories: Memories::new(keep), open: Vec::new(), _pki: pki, _kept: kept }
    }

    async fn at(table: &str) -> Self {
        let url = "url = \"https://idp.test:{PORT}/metadata\"\n";
        Self::new(&format!("{url}{table}"), Path::new("/nonexistent")).await
    }

    fn gives(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    async fn run(&mut self) -> (Option<Failure>, Observed) {
        let (mut observed, mut redactor) = (Observed::default(), Redactor::default());
        let memory = Memory { all: &self.memories, check: &self.check.id };
        let now = Clock::System.now();
        let mut context = ProbeContext {
            check: &self.check,
            transport: &self.transport,
            redactor: &mut redactor,
            memory,
            slot: now,
            now,
            turns: None,
            deadline: None,
        };
        let failure = self.check.kind.run(&mut context, &mut observed).await.err();
        if let Some(findings) = &observed.findings {
            self.open = findings.after(&self.open);
        }
        (failure, observed)
    }

    /// Serves a document and runs: the class it fails by, the rules of this run at fail and warn.
    async fn sees(&mut self, document: &str) -> (Option<Class>, Vec<String>) {
        self.gives(Reply::new(200).body(document.to_owned()));
        let (failure, observed) = self.run().await;
        let found = observed.findings.map(|f| f.list).unwrap_or_default();
        (failure.map(|f| f.class), ids(&found).into_iter().map(str::to_owned).collect())
    }

    fn remembered(&self) -> Option<Arc<str>> {
        self.memories.recall(&self.check.id)
    }

    fn open(&self) -> Vec<&str> {
        ids(&self.open)
    }
}

fn passes() -> (Option<Class>, Vec<String>) {
    (None, Vec::new())
}

fn fails(class: Class, id: &str) -> (Option<Class>, Vec<String>) {
    (Some(class), vec![id.to_owned()])
}

#[tokio::test]
async fn a_sound_document_passes_and_is_asked_for_conditionally() {
    let mut idp_ = Watched::at(&format!("entity_id = \"{ID}\"\nendpoints = false")).await;
    idp_.gives(Reply::new(200).header("etag", "\"1\"").body(idp(&old_key())));
    for conditional in [false, true] {
        let (failure, observed) = idp_.run().await;
        assert_eq!((failure, idp_.open()), (None, vec![]), "{:?}", idp_.open);
        let facts = observed.document.unwrap();
        let date = |text: &str| Some(UnixMs::from(text.parse::<jiff::Timestamp>().unwrap()));
        assert_eq!((facts.valid_until, facts.changed), (date("2097-12-01T00:00:00Z"), false));
        assert_eq!(facts.signing_certificate_expiry, date("2099-01-01T00:00:00Z"));
        assert_eq!(idp_.fake.log().last().unwrap().headers.contains_key("if-none-match"), conditional);
    }
    let other = idp(&old_key()).replace(ID, "https://idp.example.com/Metadata");
    let before = idp_.remembered();
    idp_.gives(Reply::new(200).body(other));
    // Its ETag is another one now.
    idp_.memories.uncache(&idp_.check.id, &format!("https://idp.test:{}/metadata", idp_.fake.port()));
    assert_eq!(idp_.run().await.0.map(|f| f.class), Some(Class::Metadata));
    assert_eq!((idp_.open(), idp_.remembered()), (vec!["SAML-ENT-01"], before), "another entity is compared with nothing");
}

#[tokio::test]
async fn keys_swapped_without_overlap_fail_until_somebody_accepts() {
    let mut idp_ = Watched::at("endpoints = false").await;
    assert_eq!(idp_.sees(&idp(&old_key())).await, passes());
    for _ in 0..2 {
        assert_eq!(idp_.sees(&idp(&new_key())).await, fails(Class::Drift, "SAML-KEY-06"));
        assert_eq!(idp_.open[0].severity, Severity::Critical);
    }
    // What did not verify, or is not to be had, waits for nobody and changes nothing about what waits.
    assert_eq!(idp_.sees("<html>").await, fails(Class::Metadata, "SAML-GET-03"));
    assert_eq!(idp_.open(), ["SAML-GET-03", "SAML-KEY-06"]);
    let accepted = idp_.check.kind.accept(idp_.remembered().as_deref()).unwrap();
    idp_.memories.remember(&idp_.check.id, accepted.memory).await.unwrap();
    idp_.gives(Reply::new(200).body(idp(&new_key())));
    let (failure, observed) = idp_.run().await;
    assert_eq!((failure, observed.document.unwrap().changed, idp_.open()), (None, true, vec![]));
    assert_eq!(idp_.check.kind.accept(idp_.remembered().as_deref()), Err(NothingToAccept::Unchanged));
    // The way back is a swap, too.
    assert_eq!(idp_.sees(&idp(&old_key())).await, fails(Class::Drift, "SAML-KEY-06"));
}

#[tokio::test]
async fn a_rotation_with_overlap_is_accepted_by_itself() {
    let mut idp_ = Watched::at("endpoints = false").await;
    assert_eq!(idp_.sees(&idp(&old_key())).await, passes());
    for (keys, changed) in [(old_key() + &new_key(), true), (old_key() + &new_key(), false), (new_key(), true), (new_key(), false)] {
        idp_.gives(Reply::new(200).body(idp(&keys)));
        let (failure, observed) = idp_.run().await;
        let rotated = idp_.open.iter().any(|f| f.id == "SAML-KEY-07" && f.level == Level::Info);
        assert_eq!((failure, observed.document.unwrap().changed, rotated), (None, changed, changed), "{:?}", idp_.open);
    }
    // A date that moves on is no change.
    idp_.gives(Reply::new(200).body(idp_until(&new_key(), "2097-12-02T00:00:00Z")));
    let (failure, observed) = idp_.run().await;
    assert_eq!((failure, observed.document.unwrap().changed), (None, false));
    // While a change waits, a date that moves on is still none.
    for until in ["2097-12-03T00:00:00Z", "2097-12-04T00:00:00Z"] {
        assert_eq!(idp_.sees(&idp_until(&old_key(), until)).await, fails(Class::Drift, "SAML-KEY-06"));
    }
    assert_eq!(idp_.sees(&idp(&new_key())).await, passes(), "the accepted keys are back");
}

#[tokio::test]
async fn what_does_not_verify_is_compared_with_nothing_and_kept_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("signer.pem"), SIGNER.pem()).unwrap();
    let url = "url = \"https://idp.test:{PORT}/metadata\"\nendpoints = false\n";
    let mut idp_ = Watched::new(&format!("{url}signature = {{ require = true, pins = [\"signer.pem\"] }}"), dir.path()).await;
    let sound = signed(&idp(&old_key()));
    assert_eq!(idp_.sees(&sound).await, passes());
    let before = idp_.remembered();
    assert!(before.is_some());
    let moved = sound.replace("https://idp.example.com/sso", "https://evil.example.com/sso");
    let theirs = signed_as(&idp(&new_key()), &Form::default(), &ATTACKER);
    for (document, id) in [(moved, "SAML-SIG-02"), (theirs, "SAML-SIG-06"), (idp(&new_key()), "SAML-SIG-01")] {
        idp_.gives(Reply::new(200).body(document));
        let (failure, observed) = idp_.run().await;
        assert_eq!((failure.map(|f| f.class), idp_.open()), (Some(Class::Signature), vec![id]));
        assert_eq!((observed.document, idp_.remembered()), (None, before.clone()));
        assert_eq!(idp_.check.kind.accept(before.as_deref()), Err(NothingToAccept::Unchanged));
    }
    assert_eq!(idp_.sees(&sound).await, passes());
    // The signer's certificate is read at use.
    std::fs::write(dir.path().join("signer.pem"), ATTACKER.pem()).unwrap();
    assert_eq!(idp_.sees(&sound).await, fails(Class::Signature, "SAML-SIG-06"));
    std::fs::remove_file(dir.path().join("signer.pem")).unwrap();
    assert_eq!(idp_.sees(&sound).await, (Some(Class::Internal), vec![]), "without it nothing can be said");
    assert_eq!(idp_.open(), ["SAML-SIG-06"]);
    assert_eq!(idp_.check.kind.unusable_files_blocking(UnixMs(0))[0].0, "saml.signature.pins");
}

#[tokio::test]
async fn a_document_that_is_not_had_clears_nothing() {
    let mut idp_ = Watched::at("endpoints = false\nwarn_days = 3650").await;
    let soon = Clock::System.now().plus(std::time::Duration::from_secs(100 * 86_400)).whole_seconds().to_string();
    assert_eq!(idp_.sees(&idp_until(&old_key(), &soon)).await, (None, vec!["SAML-VAL-02".to_owned()]));
    let before = idp_.remembered();
    let cases = [
        (Reply::new(404), Class::NotFound, vec!["SAML-GET-01", "SAML-VAL-02"]),
        (Reply::new(200).body("<!DOCTYPE html><html>Log in"), Class::Metadata, vec!["SAML-GET-03", "SAML-VAL-02"]),
        (Reply::redirect(302, "http://idp.test:1/metadata"), Class::Redirect, vec!["SAML-GET-02", "SAML-VAL-02"]),
        (Reply::new(200).body(vec![b' '; (5 << 20) + 1]), Class::Protocol, vec!["SAML-GET-01", "SAML-VAL-02"]),
        // What is read and can't be understood says that the document was had.
        (Reply::new(200).body("<md:EntityDescriptor"), Class::Metadata, vec!["SAML-VAL-02", "SAML-XML-01"]),
    ];
    for (reply, class, open) in cases {
        idp_.gives(Reply::new(200).body(idp_until(&old_key(), &soon)));
        idp_.run().await;
        idp_.gives(reply);
        let (failure, observed) = idp_.run().await;
        assert_eq!((failure.map(|f| f.class), idp_.open()), (Some(class), open));
        assert_eq!((observed.document, idp_.remembered()), (None, before.clone()));
        // Trouble over there decides nothing at all.
        idp_.gives(Reply::new(503));
        let open = idp_.open.clone();
        let (failure, observed) = idp_.run().await;
        assert_eq!((failure.map(|f| f.class), observed.findings, &idp_.open), (Some(Class::ServerError), None, &open));
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_found() {
    let mut idp_ = Watched::at("endpoints = false").await;
    idp_.gives(Reply::new(200).header("date", "Sun, 22 Nov 2020 12:00:00 GMT").body(idp(&old_key())));
    idp_.run().await;
    assert_eq!(idp_.open(), ["SAML-CLK-01"]);
    // A cache's date says nothing: neither that it is wrong, nor that it is right again.
    idp_.gives(Reply::new(200).header("age", "7").body(idp(&old_key())));
    idp_.run().await;
    assert_eq!(idp_.open(), ["SAML-CLK-01"]);
    assert_eq!(idp_.sees(&idp(&old_key())).await, passes());
    assert_eq!(idp_.open(), [""; 0]);
}

#[tokio::test]
async fn without_a_trusted_way_only_a_signature_says_whose_it_is() {
    let stranger = Watched::at("endpoints = false").await;
    let mut idp_ = Watched::at("endpoints = false").await;
    idp_.transport = probing::transport(Some(&stranger._pki.file()));
    assert_eq!(idp_.sees(&idp(&old_key())).await, fails(Class::Certificate, "SAML-GET-02"));
    let plain = Fake::http(|_| Reply::new(200).body(signed(&idp(&old_key())))).await;
    let url = format!("url = \"http://idp.test:{}/metadata\"\nendpoints = false\n", plain.port());
    let mut unsigned = Watched::new(&url, Path::new("/nonexistent")).await;
    assert_eq!(unsigned.run().await.0.map(|f| f.class), Some(Class::Metadata));
    assert_eq!(unsigned.open(), ["SAML-GET-02"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("signer.pem"), SIGNER.pem()).unwrap();
    let mut verified = Watched::new(&format!("{url}signature = {{ require = true, pins = [\"signer.pem\"] }}"), dir.path()).await;
    assert_eq!((verified.run().await.0, verified.open[0].level), (None, Level::Warn));
}

#[tokio::test]
async fn an_aggregate_is_judged_whole_or_for_one_entity() {
    let entities = |n: usize| -> Vec<String> {
        (0..n).map(|i| entity("", &idp_role(&old_key())).replace(ID, &format!("https://idp{i}.example.com/metadata"))).collect()
    };
    let document = aggregate("ID=\"_root\"", &entities(3));
    let mut all = Watched::at("role = \"aggregate\"").await;
    assert_eq!(all.sees(&document).await, passes());
    let mut one = Watched::at("role = \"idp\"\nendpoints = false\nentity_id = \"https://idp1.example.com/metadata\"").await;
    assert_eq!(one.sees(&document).await, passes());
    assert!(one.remembered().unwrap().contains("idp1.example.com"));
    let large = aggregate("ID=\"_root\"", &entities(3)) + &" ".repeat(6 << 20);
    assert_eq!(all.sees(&large).await, fails(Class::Protocol, "SAML-GET-01"));
    let mut larger = Watched::at("role = \"aggregate\"\nmax_size = \"7MiB\"").await;
    assert_eq!(larger.sees(&large).await, passes());
    // All at once: each has its turn.
    let mut several = Vec::new();
    for _ in 0..3 {
        several.push(Watched::at("role = \"aggregate\"").await);
    }
    let (a, rest) = several.split_first_mut().unwrap();
    let (b, rest) = rest.split_first_mut().unwrap();
    let all = tokio::join!(a.sees(&document), b.sees(&document), rest[0].sees(&document));
    assert_eq!(all, (passes(), passes(), passes()));
}

#[tokio::test]
async fn a_file_is_a_source_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = Watched::new("file = \"metadata.xml\"\nendpoints = false", dir.path()).await;
    assert!(file.check.kind.is_asked() && file.check.kind.host().is_none());
    let (failure, _) = file.run().await;
    assert_eq!((failure.map(|f| f.class), file.open()), (Some(Class::Metadata), vec!["SAML-GET-01"]));
    let put = |text: String| std::fs::write(dir.path().join("metadata.xml"), text).unwrap();
    put(idp(&old_key()));
    assert_eq!((file.run().await.0, file.open()), (None, vec![]));
    put(idp(&new_key()));
    assert_eq!(file.run().await.0.map(|f| f.class), Some(Class::Drift));
    assert!(file.fake.log().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn endpoints_are_asked_and_no_message_is_sent() {
    let mut idp_ = Watched::at("").await;
    let own = format!("https://idp.test:{}", idp_.fake.port());
    let document = idp(&old_key()).replace("https://idp.example.com/sso", &format!("{own}/sso?SAMLRequest=x"));
    let broken = document.replace("/sso?SAMLRequest=x/post", "/broken?SAMLRequest=x");
    let found = |watched: &Watched| watched.open.iter().filter(|f| f.id == "SAML-EP-04").map(|f| f.detail.clone()).collect::<Vec<_>>();
    assert_eq!(idp_.sees(&document).await, passes());
    let mut down = Watched::at("").await;
    let theirs = broken.replace(&own, &format!("https://idp.test:{}", down.fake.port()));
    assert_eq!(down.sees(&theirs).await, fails(Class::Metadata, "SAML-EP-04"));
    let said = found(&down);
    assert!(said.len() == 1 && said[0].contains("/broken") && said[0].contains("502"), "{said:?}");
    let unverified = down.fake.log().len();
    assert_eq!(down.sees(&theirs.replace("<md:NameIDFormat>", "<md:NameIDFormat")).await.1, ["SAML-XML-01"]);
    assert_eq!((down.fake.log().len(), down.open()), (unverified + 1, vec!["SAML-EP-04", "SAML-XML-01"]), "nobody goes where it says");
    let asked = [idp_.fake.log(), down.fake.log()].concat();
    assert!(asked.len() >= 5 && asked.iter().all(|r| r.method == "GET" && !r.target.contains('?') && r.body.is_empty()), "{asked:?}");
}

fn settings() -> String {
    let token = |name: &str| {
        format!(
            "[[server.token]]\nname = \"{name}\"\nrole = \"{name}\"\nhash = \"sha256:{}\"\n",
            Hash::of(format!("swt_{name}").as_bytes())
        )
    };
    format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{}", token("viewer"), token("approver"))
}

const CHECK: &str = "acme/production/login/metadata";

/// The value of a metric of the integration; `accept` a change as somebody.
fn metric(daemon: &Daemon, name: &str, labels: &[&str]) -> Option<f64> {
    let scrape = crate::support::daemon::request("GET", &format!("{}/metrics", daemon.url), &[("authorization", "Bearer swt_viewer")]).1;
    series(&scrape, name, labels)
}

fn accept(daemon: &Daemon, who: &str) -> (Option<i32>, String) {
    let args = ["accept", CHECK, "--note", "confirmed by phone", "--url", &daemon.url, "--token-env", "IT_TOKEN"];
    let o = output(soakwatch().args(args).env("IT_TOKEN", format!("swt_{who}")));
    (o.status.code(), format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)))
}

#[test]
fn a_daemon_remembers_over_a_restart_and_takes_an_approver_s_word() {
    const CHANGES: &str = "soakwatch_sso_metadata_changes_total";
    let document = Arc::new(Mutex::new(signed(&idp(&old_key()))));
    let given = Arc::clone(&document);
    let api = FakeApi::start(move |_| {
        let body = given.lock().unwrap().clone();
        fake_api::Reply::json(body)
    });
    let serve = |keys: &str| *document.lock().unwrap() = signed(&idp(keys));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("signer.pem"), SIGNER.pem()).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), settings()).unwrap();
    let customer = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"login\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"metadata\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.saml]\nurl = \"{}\"\nentity_id = \"{ID}\"\n\
         endpoints = false\nsignature = {{ require = true, pins = [\"signer.pem\"] }}\n",
        api.url("/metadata")
    );
    std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let is = |daemon: &Daemon, name: &str, labels: &[&str], value: f64| {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        eventually(&format!("{name}{labels:?} is {value}"), || {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            (metric(daemon, name, &labels) == Some(value)).then_some(())
        });
    };
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second() as f64;
    is(&daemon, "soakwatch_check_success", &[], 1.0);
    is(&daemon, CHANGES, &[], 0.0);
    is(&daemon, "soakwatch_sso_metadata_valid_until_timestamp_seconds", &[], seconds("2097-12-01T00:00:00Z"));
    is(&daemon, "soakwatch_sso_signing_cert_expiry_timestamp_seconds", &[], seconds("2099-01-01T00:00:00Z"));
    let (code, said) = accept(&daemon, "approver");
    assert!(code != Some(0) && said.contains("already"), "{code:?} {said}");
    // In overlap: accepted by itself, and counted.
    serve(&(old_key() + &new_key()));
    is(&daemon, CHANGES, &[], 1.0);
    is(&daemon, "soakwatch_sso_signing_cert_expiry_timestamp_seconds", &[], seconds("2098-01-01T00:00:00Z"));
    serve(&new_key());
    is(&daemon, CHANGES, &[], 2.0);
    is(&daemon, "soakwatch_check_success", &[], 1.0);
    // Swapped: it fails, and goes on failing in the next life of the daemon.
    serve(&old_key());
    let swapped = ["rule=\"SAML-KEY-06\"", "level=\"fail\"", "severity=\"critical\"", "owner=\"customer_idp\""];
    is(&daemon, "soakwatch_findings", &swapped, 1.0);
    is(&daemon, "soakwatch_check_success", &[], 0.0);
    daemon.kill();
    let daemon = Daemon::start(dir.path(), &[]);
    let before = api.log_of("/metadata").len();
    eventually("it runs again", || (api.log_of("/metadata").len() > before + 2).then_some(()));
    is(&daemon, "soakwatch_findings", &swapped, 1.0);
    let status =
        crate::support::daemon::request("GET", &format!("{}/api/v1/status", daemon.url), &[("authorization", "Bearer swt_viewer")]).1;
    assert!(serde_json::from_str::<Value>(&status).is_ok() && status.contains("drift"), "{status}");
    let (code, said) = accept(&daemon, "viewer");
    assert!(code != Some(0), "{said}");
    let (code, said) = accept(&daemon, "approver");
    assert_eq!(code, Some(0), "{said}");
    is(&daemon, CHANGES, &[], 3.0);
    is(&daemon, "soakwatch_check_success", &[], 1.0);
    assert_eq!(metric(&daemon, "soakwatch_findings", &swapped), None);
    assert_eq!(daemon.stop(), Some(0));
}
