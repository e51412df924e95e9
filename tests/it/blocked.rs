//! A check that depends on another one is not run while that one fails, and says why; it fails for nothing that is not its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

#[test]
fn who_depends_on_a_failing_check_is_skipped_until_it_passes() {
    let up = Arc::new(AtomicBool::new(false));
    let serving = Arc::clone(&up);
    let token = FakeApi::start(move |_| Reply::status(if serving.load(Ordering::Relaxed) { 200 } else { 500 }));
    let orders = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let check = |id: &str, more: &str, url: &str| {
        format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n{more}[integration.check.http]\nurl = \"{url}\"\n"
        )
    };
    let integration = |id: &str| format!("[[integration]]\nid = \"{id}\"\nenvironment = \"staging\"\nowner = \"vendor\"\n");
    let text = "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned()
        + &integration("login")
        + &check("token", "", &token.url("/token"))
        + &integration("crm")
        + &check("orders", "blocked_by = \"login/token\"\n", &orders.url("/orders"));
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);

    let shown = || -> Value {
        let all: Value = serde_json::from_str(&daemon.get("/api/v1/integrations/acme/staging/crm")).unwrap();
        all["check"][0].clone()
    };
    eventually("three slots are skipped as blocked", || (shown()["causes"]["blocked"].as_u64() >= Some(3)).then_some(()));
    let asked = orders.log().len();
    eventually("three more are", || (shown()["causes"]["blocked"].as_u64() >= Some(6)).then_some(()));
    assert_eq!(orders.log().len(), asked, "nothing was sent meanwhile");
    assert_eq!(shown()["counts"]["fail"], 0, "it failed for nothing that is not its own");
    up.store(true, Ordering::Relaxed);
    eventually("it runs again", || (orders.log().len() > asked).then_some(()));
    eventually("why is stored", || {
        let ran = output(soakwatch().args(["runs", "acme/staging/crm/orders", "--config"]).arg(dir.path()));
        let text = String::from_utf8(ran.stdout).unwrap();
        text.lines().any(|l| l.contains("blocked") && l.contains("token fails (server_error), and this depends on it")).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
}
