//! A real Prometheus on loopback, as a child process: its configuration, its questions and answers. `tests/run` brings it and says so
//! (`SOAKWATCH_PROMETHEUS=required`).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::daemon::{eventually, get};

/// A running server; killed when dropped.
pub(crate) struct Prometheus {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    dir: tempfile::TempDir,
}

/// The program, from the machine or from target/tools. `None` is said, or is a failure where it is required.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let found = std::env::split_paths(&places).chain([tools]).map(|dir| dir.join(name)).find(|p| p.is_file());
    if found.is_none() {
        let required = std::env::var_os("SOAKWATCH_PROMETHEUS").is_some_and(|v| v == "required");
        assert!(!required, "SOAKWATCH_PROMETHEUS=required, and there is no {name}");
        println!("not run: {name} is not installed (tests/run brings it)");
    }
    found
}

impl Prometheus {
    /// Scrapes these addresses every second as the job `soakwatch`, under these rules.
    pub(crate) fn start(program: &Path, addresses: &[&str], rules: &str) -> Self {
        let targets: Vec<String> = addresses.iter().map(|a| format!("'{a}'")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\nrule_files: [rules.yml]\nscrape_configs:\n\
             - job_name: soakwatch\n  honor_labels: true\n  static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        );
        Self::configured(program, &config, rules)
    }

    /// With this configuration, and these rules in rules.yml beside it.
    pub(crate) fn configured(program: &Path, config: &str, rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        // It does not say which port it got, so it is given one that was free just now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, url: format!("http://{address}"), dir };
        eventually("Prometheus is ready", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "Prometheus ended: {}", server.log());
            std::net::TcpStream::connect(address).ok()?;
            (get(&format!("{}/-/ready", server.url)).0 == 200).then_some(())
        });
        server
    }

    /// What it complained of.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The value of an expression that gives one series; `None`: it gives none, or several.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let result = self.ask("query", &[("query", expression)]).ok()?;
        match result.as_array()?.as_slice() {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    /// `data.result` of an answer; an error is its text.
    pub(crate) fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let (status, body) = get(&format!("{}/api/v1/{path}?{query}", self.url));
        let said: Value = serde_json::from_str(&body).map_err(|e| format!("{status}: {e}: {body}"))?;
        match said["status"].as_str() {
            Some("success") => Ok(said["data"].get("result").unwrap_or(&said["data"]).clone()),
            _ => Err(format!("{status}: {}", said["error"])),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
