//! A token endpoint that throttles, against the whole daemon: it is asked once, whoever needs a token of it, and not again after a reload or a
//! restart; the runs that send nothing meanwhile are skipped, and count nowhere.

use std::path::Path;

use soakwatch::outcome::{Cause, Outcome};
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

/// One integration for each API, all of one client.
fn write(dir: &Path, login: &FakeApi, apis: &[FakeApi], settings: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{settings}")).unwrap();
    std::fs::write(dir.join("secret"), "s3cr3t-of-the-client").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned();
    for (n, api) in apis.iter().enumerate() {
        text += &format!(
            "[[integration]]\nid = \"api-{n}\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
             [[integration.check]]\nid = \"list\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"{}\"\n\
             auth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"acme\", client_secret = {{ file = \"secret\" }} }} }}\n",
            api.url("/"),
            login.url("/token")
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

/// Waits until so many slots of an integration were skipped for a hold.
fn skipped(daemon: &Daemon, integration: &str, at_least: f64) {
    eventually(&format!("{at_least} slots of {integration} were skipped"), || {
        let labels = [&format!("integration=\"{integration}\"")[..], "cause=\"rate_limit\""];
        let n = series(&daemon.get("/metrics"), "soakwatch_runs_skipped_total", &labels)?;
        (n >= at_least).then_some(())
    });
}

#[test]
fn it_is_asked_once_and_left_alone_also_after_a_reload_and_a_restart() {
    let login = FakeApi::start(|_| Reply::status(429).header("retry-after", "3600"));
    let mut apis: Vec<FakeApi> = (0..2).map(|_| FakeApi::start(|_| Reply::status(200))).collect();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &login, &apis, "");
    let daemon = Daemon::start(dir.path(), &[]);
    skipped(&daemon, "api-0", 2.0);
    skipped(&daemon, "api-1", 2.0);

    // Another transport, and a check that was told nothing yet.
    apis.push(FakeApi::start(|_| Reply::status(200)));
    write(dir.path(), &login, &apis, "[probe]\nuser_agent = \"another\"\n");
    assert_eq!(output(soakwatch().args(["reload", "--url", &daemon.url])).status.code(), Some(0));
    skipped(&daemon, "api-2", 1.0);
    assert_eq!(daemon.stop(), Some(0));

    apis.push(FakeApi::start(|_| Reply::status(200)));
    write(dir.path(), &login, &apis, "");
    let daemon = Daemon::start(dir.path(), &[]);
    skipped(&daemon, "api-3", 1.0);
    assert_eq!(daemon.stop(), Some(0));

    assert_eq!(login.log().len(), 1, "{:#?}", login.log());
    assert!(apis.iter().all(|api| api.log().is_empty()), "nobody had a token");
    let reader = Reader::open(&dir.path().join("soakwatch.db")).unwrap();
    let mut throttled = 0;
    for n in 0..apis.len() {
        let check = format!("acme/staging/api-{n}/list").parse().unwrap();
        let runs = reader.runs(&check, 0, soakwatch::clock::UnixMs(0), soakwatch::clock::UnixMs(i64::MAX)).unwrap();
        throttled += runs.iter().filter(|r| r.outcome == Outcome::Throttled).count();
        let ours = |r: &&soakwatch::store::Run| !matches!(r.cause, Some(Cause::Down | Cause::Late));
        let rest: Vec<_> = runs.iter().filter(|r| r.outcome != Outcome::Throttled).filter(ours).map(|r| (r.outcome, r.cause)).collect();
        assert!(!rest.is_empty() && rest.iter().all(|r| *r == (Outcome::Skipped, Some(Cause::RateLimit))), "{n}: {rest:?}");
    }
    assert_eq!(throttled, 1, "the run that asked");
}
