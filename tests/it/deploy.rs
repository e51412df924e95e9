//! What is shipped under `deploy/`: judged by the tools of others, held to the program, and the walls of the systemd unit tried on a running daemon.
//!
//! A tool that is not there is named, and its test passed over; of those that tests/run installs a missing one is a failure once they are (it sets
//! SOAKWATCH_DEPLOY_TOOLS=required then).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::support::daemon::{eventually, get, output, request, soakwatch};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What is installed under target/tools; the others come from the machine.
const INSTALLED: [&str; 5] = ["check-jsonschema", "dclint", "hadolint", "kubernetes-validate", "yamllint"];

/// Says that a tool is not there; a failure where it was installed for the tests.
fn passed_over(tool: &str) {
    let required = INSTALLED.contains(&tool) && std::env::var_os("SOAKWATCH_DEPLOY_TOOLS").is_some();
    assert!(!required, "{tool} is not there, although the linters of deploy/ were installed");
    println!("not run: {tool} is not there");
}

/// A tool of the packages under target/tools, or on the PATH.
fn tool(name: &str) -> Option<Command> {
    let installed = ["target/tools/deploy-py/bin", "target/tools/deploy-js/node_modules/.bin"].map(|dir| root().join(dir).join(name));
    if let Some(path) = installed.into_iter().find(|p| p.exists()) {
        return Some(Command::new(path));
    }
    let on_path = std::env::var_os("PATH").is_some_and(|all| std::env::split_paths(&all).any(|dir| dir.join(name).is_file()));
    if on_path {
        return Some(Command::new(name));
    }
    passed_over(name);
    None
}

fn both(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Runs a tool in the repository; what it says must be nothing bad.
fn content(name: &str, args: &[&str]) {
    let Some(mut command) = tool(name) else { return };
    let out = output(command.args(args).current_dir(root()));
    assert!(out.status.success(), "{name} {}:\n{}", args.join(" "), both(&out));
}

const UNIT: &str = "deploy/systemd/soakwatch.service";

#[test]
fn the_unit_is_as_tight_as_it_says() {
    let Some(mut analyze) = tool("systemd-analyze") else { return };
    let said = both(&output(analyze.args(["security", "--offline=true", "--no-pager"]).arg(root().join(UNIT))));
    let score =
        said.lines().find_map(|l| l.split_once("Overall exposure level for soakwatch.service: ")?.1.split(' ').next()?.parse::<f64>().ok());
    let score = score.unwrap_or_else(|| panic!("no score in:\n{said}"));
    assert!(score <= 1.5, "exposure {score}:\n{said}");
    // With the program under test, for a unit whose program is not there is not good either.
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("soakwatch.service");
    std::fs::write(&unit, text(UNIT).replace("/usr/local/bin/soakwatch", env!("CARGO_BIN_EXE_soakwatch"))).unwrap();
    let verified = output(tool("systemd-analyze").unwrap().args(["verify", "--man=no"]).arg(&unit));
    let said = both(&verified);
    assert!(verified.status.success() && !said.contains("soakwatch.service"), "{said}");
}

/// A process that is gone with the test.
struct Gone(Child);
impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn confined(dir: &Path, command: &[&str]) -> Command {
    // Debian's Python has the binding to libseccomp.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut confined = Command::new(python);
    confined.arg(root().join("tests/interop/deploy/confined.py")).arg(root().join(UNIT));
    confined.arg(dir.join("config")).arg(dir.join("state")).args(command).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("SOAKWATCH__")) {
        confined.env_remove(name);
    }
    confined
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_daemon_works_behind_the_walls_of_the_unit() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    std::fs::create_dir_all(dir.path().join("config/customers")).unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("config/soakwatch.toml"), "[rate_limit]\nmax_rate = \"100/s\"\n").unwrap();
    let customer = text("deploy/compose/config/customers/example.toml").replace(":9464", &format!(":{port}"));
    // By name and over TLS too, so that the resolver and the cryptography are tried.
    let customer = customer.replace("every = \"30s\"", "every = \"1s\"\ntimeout = \"900ms\"")
        + &format!(
            "\n[[integration.check]]\nid = \"tls\"\nevery = \"1s\"\ntimeout = \"900ms\"\nhttp = {{ url = \"https://localhost:{port}/\" }}\n"
        );
    std::fs::write(dir.path().join("config/customers/example.toml"), customer).unwrap();

    // The walls are there: what they forbid fails.
    let refused = output(&mut confined(dir.path(), &["/usr/bin/unshare", "--net", "/bin/true"]));
    if refused.status.code() == Some(77) {
        return passed_over(String::from_utf8_lossy(&refused.stderr).trim());
    }
    assert!(both(&refused).contains("unshare failed"), "{}", both(&refused));
    let mut writes = confined(dir.path(), &["/bin/touch", "/tmp/state/may", "/etc/may-not"]);
    let written = both(&output(&mut writes));
    assert!(written.contains("Read-only file system") && dir.path().join("state/may").exists(), "{written}");
    // vhangup is privileged, setpriority a resource.
    let niced = both(&output(&mut confined(dir.path(), &["/usr/bin/nice", "-n", "5", "/bin/true"])));
    assert!(niced.contains("cannot set niceness"), "{niced}");

    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut command = confined(dir.path(), &[env!("CARGO_BIN_EXE_soakwatch"), "run", "/tmp/config"]);
    command.env("SOAKWATCH__SERVER__LISTEN", format!("127.0.0.1:{port}")).env("SOAKWATCH__STORE__PATH", "/tmp/state/soakwatch.db");
    let _daemon = Gone(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let logged = || std::fs::read_to_string(dir.path().join("log")).unwrap();
    eventually("it is ready behind the walls", || logged().contains("ready: watching 2 checks").then_some(()));
    let url = format!("http://127.0.0.1:{port}");
    eventually("runs are made and stored", || {
        let scrape = get(&format!("{url}/metrics")).1;
        let ran = |check: &str, by: &str| scrape.lines().any(|l| l.starts_with(by) && l.contains(check) && !l.ends_with(" 0"));
        (ran("check=\"healthy\"", "soakwatch_check_success{")
            && scrape.contains("class=\"tls\"")
            && ran("", "soakwatch_store_commit_duration_seconds_count"))
        .then_some(())
    });
    assert_eq!(request("POST", &format!("{url}/-/reload"), &[]).0, 200);
    assert!(!logged().contains("ERROR"), "{}", logged());
    assert!(dir.path().join("state/soakwatch.db").exists());
}

#[test]
fn every_yaml_is_well_formed() {
    content("yamllint", &["--strict", "-c", "tests/interop/deploy/yamllint.yml", "deploy/compose", "deploy/grafana", "deploy/kubernetes"]);
}

#[test]
fn the_containerfile_passes_hadolint() {
    content("hadolint", &["deploy/container/Containerfile"]);
}

#[test]
fn the_compose_file_is_what_the_specification_wants() {
    content("check-jsonschema", &["--builtin-schema", "vendor.compose-spec", "deploy/compose/compose.yml"]);
    content("dclint", &["-c", "tests/interop/deploy/dclint.json", "deploy/compose/compose.yml"]);
}

#[test]
fn prometheus_takes_its_configuration() {
    content("promtool", &["check", "config", "--syntax-only", "deploy/compose/prometheus.yml"]);
}

#[test]
fn kubernetes_knows_every_key() {
    let Some(mut kubectl) = tool("kubectl") else { return };
    let built = output(kubectl.args(["kustomize", "deploy/kubernetes"]).current_dir(root()));
    assert!(built.status.success(), "{}", both(&built));
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("all.yaml");
    std::fs::write(&all, &built.stdout).unwrap();
    let manifests = String::from_utf8(built.stdout).unwrap();
    for kind in ["ConfigMap", "Namespace", "NetworkPolicy", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet"]
    {
        assert!(manifests.contains(&format!("\nkind: {kind}\n")), "no {kind}");
    }
    if let Some(mut validate) = tool("kubernetes-validate") {
        let out = output(validate.args(["--strict", "--no-warn", "--quiet"]).arg(&all));
        assert!(out.status.success(), "{}", both(&out));
    }
}

/// With SOAKWATCH_BLESS=1 the file is written anew.
#[test]
fn the_operator_gets_the_rules_that_prometheus_gets() {
    let made = output(soakwatch().args(["rules", "--format", "kubernetes"]));
    let made = String::from_utf8(made.stdout).unwrap();
    if std::env::var_os("SOAKWATCH_BLESS").is_some() {
        std::fs::write(root().join("deploy/kubernetes/rules.yaml"), &made).unwrap();
    }
    assert_eq!(text("deploy/kubernetes/rules.yaml"), made, "made by `soakwatch rules --format kubernetes`");
    let inside: String =
        made.lines().skip_while(|l| *l != "spec:").skip(1).map(|l| format!("{}\n", l.strip_prefix("  ").unwrap_or(l))).collect();
    let file = text("deploy/prometheus/soakwatch.rules.yml");
    assert_eq!(inside, file[file.find("\ngroups:").unwrap() + 1..], "the same rules, two columns further in");
}

/// The tools above judge each file for itself. What must fit together is judged here.
#[test]
fn the_files_fit_the_program_and_each_other() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("deploy/compose/compose.yml", format!("image: soakwatch:{version}")),
        ("deploy/kubernetes/kustomization.yaml", format!("newTag: {version}")),
        ("deploy/container/Containerfile", format!("-t soakwatch:{version}")),
        ("deploy/container/Containerfile", "rust:1.89-".to_owned()),
    ] {
        assert!(text(file).contains(&line), "{file} does not say {line}");
    }
    assert!(text("Cargo.toml").contains("rust-version = \"1.89\""));
    // What compose mounts from the repository is there; secrets are made by setup.
    let compose = text("deploy/compose/compose.yml");
    let mounts: Vec<&str> = compose.lines().filter_map(|l| l.trim().strip_prefix("- .")?.split_once(':')).map(|(host, _)| host).collect();
    assert!(mounts.len() >= 5, "{mounts:?}");
    for host in mounts {
        let path = root().join("deploy/compose").join(format!(".{host}"));
        assert!(path.exists(), "compose.yml mounts {} which is not there", path.display());
    }
    // A service without the walls would show here.
    let services = compose.split_once("\nservices:\n").unwrap().1.split_once("\nnetworks:\n").unwrap().0;
    let names = services.lines().filter(|l| l.len() > 3 && l.starts_with("  ") && !l.starts_with("   ")).count();
    assert_eq!((names, services.matches("    <<: *walls\n").count()), (4, 4), "{services}");
    for wall in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"] {
        assert!(compose.contains(wall), "{wall}");
    }
    assert!(!compose.contains("ports: [\"9") && !compose.contains("0.0.0.0"), "every port is published on loopback alone");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn validated(dir: &Path) {
    let out = output(soakwatch().args(["validate", "--strict"]).arg(dir).env("SOAKWATCH__SERVER__LISTEN", "0.0.0.0:9464"));
    assert!(out.status.success(), "{}", both(&out));
}

#[test]
fn the_setup_of_compose_makes_tokens_that_work() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("deploy/compose"), dir.path());
    // What somebody who tried it has there.
    let _ = (std::fs::remove_file(dir.path().join("config/soakwatch.toml")), std::fs::remove_dir_all(dir.path().join("secrets")));
    let setup = || output(Command::new("sh").arg(dir.path().join("setup")));
    let out = setup();
    assert!(out.status.success(), "{}", both(&out));
    validated(&dir.path().join("config"));
    let settings = std::fs::read_to_string(dir.path().join("config/soakwatch.toml")).unwrap();
    for name in ["operator", "prometheus"] {
        let token = std::fs::read_to_string(dir.path().join(format!("secrets/{name}.token"))).unwrap();
        assert!(token.starts_with("swt_") && token.len() == 47 && !settings.contains(&token), "{token}");
    }
    let daemon = crate::support::daemon::Daemon::start(
        &dir.path().join("config"),
        &[("SOAKWATCH__SERVER__LISTEN", "127.0.0.1:0"), ("SOAKWATCH__STORE__PATH", dir.path().join("s.db").to_str().unwrap())],
    );
    let bearer = |name: &str| format!("Bearer {}", std::fs::read_to_string(dir.path().join(format!("secrets/{name}.token"))).unwrap());
    let status =
        |name: &str, method: &str, path: &str| request(method, &format!("{}{path}", daemon.url), &[("authorization", &bearer(name))]).0;
    assert_eq!(get(&format!("{}/metrics", daemon.url)).0, 401);
    assert_eq!(status("prometheus", "GET", "/metrics"), 200);
    assert_eq!(status("prometheus", "POST", "/-/reload"), 403);
    assert_eq!(status("operator", "POST", "/-/reload"), 200);
    drop(daemon);
    // A second time changes nothing.
    assert_eq!(setup().status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(dir.path().join("config/soakwatch.toml")).unwrap(), settings);
}

#[test]
fn the_configuration_of_kubernetes_is_read_through_its_links() {
    // As a projected volume lays it out: a directory with the time, a link to it, links into that.
    let dir = tempfile::tempdir().unwrap();
    let (now, at) = (dir.path().join("..2026_11_22"), |name: &str| -> PathBuf { dir.path().join(name) });
    std::fs::create_dir_all(now.join("customers")).unwrap();
    let from = root().join("deploy/kubernetes/config");
    std::fs::copy(from.join("soakwatch.toml"), now.join("soakwatch.toml")).unwrap();
    std::fs::copy(from.join("example.toml"), now.join("customers/example.toml")).unwrap();
    std::os::unix::fs::symlink("..2026_11_22", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/soakwatch.toml", at("soakwatch.toml")).unwrap();
    std::os::unix::fs::symlink("..data/customers", at("customers")).unwrap();
    validated(dir.path());
    // A customer's file is named in both places, or it is not read.
    let (volume, made) = (text("deploy/kubernetes/statefulset.yaml"), text("deploy/kubernetes/kustomization.yaml"));
    assert!(volume.contains("{key: example.toml, path: customers/example.toml}") && made.contains("[config/example.toml]"));
    assert_eq!(text("deploy/kubernetes/config/example.toml"), text("deploy/compose/config/customers/example.toml"));
}
