//! A real Alertmanager on loopback, as a child process, under the routes and inhibitions of deploy/alertmanager. Only its receivers are others: one
//! server that writes down what each of them is told.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use super::daemon::{eventually, get, post};
use super::fake_api::{FakeApi, Reply};

/// A running server; killed when dropped.
pub(crate) struct Alertmanager {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    receivers: FakeApi,
    _dir: tempfile::TempDir,
}

/// What a receiver was told.
#[derive(Clone, Debug)]
pub(crate) struct Notified {
    /// Which receiver.
    pub(crate) receiver: String,
    /// `firing` or `resolved`: of the whole group.
    pub(crate) status: String,
    /// The alerts in it: name and status.
    pub(crate) alerts: Vec<(String, String)>,
    /// What they are grouped by.
    pub(crate) group: Value,
}

/// The shipped configuration with waits divided by `faster`, without what depends on the calendar, and with receivers at this address.
fn configuration(faster: u64, receivers: &str) -> String {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alertmanager/alertmanager.yml")).unwrap();
    let (routes, theirs) = shipped.split_once("\nreceivers:\n").unwrap();
    let wait = Regex::new(r"(group_wait|group_interval|repeat_interval): (\d+)([smh])").unwrap();
    let routes = wait.replace_all(routes, |c: &regex::Captures<'_>| {
        let unit = match &c[3] {
            "s" => 1_000,
            "m" => 60_000,
            _ => 3_600_000,
        };
        format!("{}: {}ms", &c[1], c[2].parse::<u64>().unwrap() * unit / faster)
    });
    let routes = Regex::new(r"(?m)^ +(?:mute|active)_time_intervals:.*\n").unwrap().replace_all(&routes, "");
    let mut out = format!("{routes}\nreceivers:\n");
    for name in theirs.lines().filter_map(|l| l.strip_prefix("  - name: ")) {
        let resolved = name != "heartbeat";
        out.push_str(&format!("  - name: {name}\n    webhook_configs: [{{ url: '{receivers}/{name}', send_resolved: {resolved} }}]\n"));
    }
    out
}

impl Alertmanager {
    /// Starts it, so many times as fast as it is shipped.
    pub(crate) fn start(program: &Path, faster: u64) -> Self {
        let receivers = FakeApi::start(|_| Reply::status(200));
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        std::fs::write(&config, configuration(faster, receivers.url("").trim_end_matches('/'))).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        // It does not say which port it got, so it is given one that was free just now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually("Alertmanager is ready", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "Alertmanager ended: {}", std::fs::read_to_string(dir.path().join("log")).unwrap());
            std::net::TcpStream::connect(&address).ok()?;
            (get(&format!("http://{address}/-/ready")).0 == 200).then_some(())
        });
        Self { child, address, receivers, _dir: dir }
    }

    /// Sends alerts, each a list of labels (`name=value`), as Prometheus would.
    pub(crate) fn send(&self, alerts: &[&str]) {
        let labels = |text: &str| -> Value {
            text.split(' ')
                .map(|l| l.split_once('=').unwrap())
                .map(|(n, v)| (n.to_owned(), json!(v)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let body: Vec<Value> = alerts.iter().map(|a| json!({ "labels": labels(a) })).collect();
        let (status, said) =
            post(&format!("http://{}/api/v2/alerts", self.address), &[("content-type", "application/json")], &json!(body).to_string());
        assert_eq!(status, 200, "{said}");
    }

    /// The alerts it has that are inhibited, or that are not: name and integration.
    pub(crate) fn alerts(&self, inhibited: bool) -> Vec<String> {
        let said = get(&format!("http://{}/api/v2/alerts", self.address)).1;
        let all: Vec<Value> = serde_json::from_str(&said).unwrap();
        let of = |a: &&Value| a["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty()) == inhibited;
        let name = |a: &Value| {
            let label = |l: &str| a["labels"][l].as_str().unwrap_or_default().to_owned();
            format!("{} {}", label("alertname").trim_start_matches("Soakwatch"), label("integration")).trim_end().to_owned()
        };
        let mut names: Vec<String> = all.iter().filter(of).map(name).collect();
        names.sort();
        names
    }

    /// Everything a receiver was told, in order.
    pub(crate) fn told(&self, receiver: &str) -> Vec<Notified> {
        let path = format!("/{receiver}");
        self.receivers.log_of(&path).iter().map(|seen| notified(&seen.body)).collect()
    }
}

fn notified(body: &str) -> Notified {
    let said: Value = serde_json::from_str(body).unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let alerts = said["alerts"].as_array().unwrap().iter().map(|a| (text(&a["labels"]["alertname"]), text(&a["status"]))).collect();
    Notified { receiver: text(&said["receiver"]), status: text(&said["status"]), alerts, group: said["groupLabels"].clone() }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
