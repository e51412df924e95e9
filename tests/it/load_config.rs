//! Loading good configurations: layers, what is merged into integrations, defaults, the hash, limits.

use std::path::Path;

use soakwatch::clock::UnixMs;
use soakwatch::config::model::{Config, Settings};
use soakwatch::config::{LoadOptions, Loaded, load};
use soakwatch::fields::Span;
use soakwatch::outcome::{Attribution, Class, Criticality, Owner};

/// The example of the design, "Configuration on disk".
const ACME: &str = r#"
[customer]
id = "acme"
name = "Acme Corporation"

[[integration]]
id          = "crm-orders"
environment = "production"
owner       = "vendor"
criticality = "critical"
go_live     = 2026-12-01T08:00:00Z
runbook     = "https://wiki.example.com/acme/crm-orders"
volume      = { peak = "600/min", daily = "40000/day" }
soak        = { start = 2026-11-23T08:00:00Z, window = "7d", success_ratio = 0.99 }

[[integration.check]]
id      = "list-orders"
every   = "60s"
timeout = "10s"
retries = 1
[integration.check.http]
url    = "https://api.example.com/v1/orders?limit=1"
auth   = { oauth2 = { token_url = "https://login.example.com/token", client_id = "acme", client_secret = { env = "ACME_CRM_SECRET" } } }
expect = { status = [200], json = [{ path = "$.orders", is = "array" }], within = "2s" }
"#;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn load(&self, env: &[(&str, &str)]) -> Loaded {
        let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        // 2026-11-01. Secrets are not there in tests: they are warnings.
        load(self.path(), &LoadOptions { check_secrets: false, env, now: UnixMs(1_793_491_200_000) })
    }
    fn config(&self, env: &[(&str, &str)]) -> Config {
        let loaded = self.load(env);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }
}

#[test]
fn the_design_s_example_loads() {
    let config = Dir::new(&[("customers/acme.toml", ACME)]).config(&[]);
    assert_eq!(config.settings, Settings { store: config.settings.store.clone(), ..Settings::default() });
    assert_eq!(config.settings.store.path, config.dir.join("soakwatch.db"));
    let check = config.checks().next().unwrap();
    assert_eq!(check.id.as_str(), "acme/production/crm-orders/list-orders");
    assert_eq!((check.every, check.timeout.as_secs(), check.retries, check.judged), (Span::seconds(60), 10, 1, true));
    let i = &check.integration;
    assert_eq!((i.owner, i.criticality), (Owner::Vendor, Criticality::Critical));
    assert_eq!((i.name.as_str(), i.customer_name.as_str()), ("crm-orders", "Acme Corporation"));
    assert_eq!(i.go_live.unwrap().to_string(), "2026-12-01T08:00:00Z");
    assert_eq!(i.soak.as_ref().unwrap().window, Span::days(7));
    assert_eq!(i.volume.daily.unwrap().to_string(), "40000/day");
    assert_eq!(i.hypercare, Span::days(30));
}

#[test]
fn what_the_customer_says_holds_for_its_integrations() {
    let integration = |id: &str, more: &str| {
        format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"staging\"\n{more}\n[[integration.check]]\nid = \"ping\"\nevery = \"5s\"\n\
             [integration.check.http]\nurl = \"https://api.example.com/\"\n"
        )
    };
    let window =
        |day: u32| format!("{{ start = 2026-11-{day}T08:00:00Z, end = 2026-11-{day}T09:00:00+00:00, reason = \"r\", by = \"b\" }}");
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\npaused = {{ reason = \"all\", by = \"b\" }}\nmaintenance = [{}]\n{}{}",
        window(20),
        integration("plain", ""),
        integration(
            "own",
            &format!(
                "allow_private = false\nthrottled = \"excluded\"\npaused = {{ reason = \"own\", by = \"b\" }}\nmaintenance = [{}]\n\
                 attribution = {{ timeout = \"network\" }}",
                window(21)
            )
        )
    );
    let config = Dir::new(&[("customers/a.toml", &text)]).config(&[]);
    let [plain, own] = config.customers[0].integrations.as_slice() else { panic!("two integrations") };
    assert!(plain.allow_private && !own.allow_private);
    assert_eq!(plain.paused.as_ref().unwrap().reason, "all");
    assert_eq!(own.paused.as_ref().unwrap().reason, "own");
    assert_eq!((plain.maintenance.len(), own.maintenance.len()), (1, 2));
    assert!(own.throttled_excluded && !plain.throttled_excluded);
    assert_eq!(own.attribution.get(&Class::Timeout), Some(&Attribution::Network));
    assert_eq!((plain.owner, plain.criticality), (Owner::Customer, Criticality::Normal));
    // Of a short interval the deadline is half.
    assert_eq!(config.checks().next().unwrap().timeout.as_millis(), 2500);
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
    let dir = Dir::new(&[("soakwatch.toml", "[scheduler]\nper_host = 5\nmax_runs = 7\n[self_check]\ntargets = [\"tcp://192.0.2.1:1\"]\n")]);
    let before = dir.config(&[]).settings;
    assert_eq!((before.scheduler.per_host, before.scheduler.max_runs), (5, 7));
    let after = dir
        .config(&[
            ("SOAKWATCH__SCHEDULER__PER_HOST", "9"),
            ("SOAKWATCH__SELF_CHECK__TARGETS", "tcp://192.0.2.2:53, https://example.com/x?y"),
            ("SOAKWATCH__SELF_CHECK__EVERY", "20s"),
            ("SOAKWATCH__METRICS__CHECK_HISTOGRAMS", "true"),
            ("SOAKWATCH__METRICS__MAX_SERIES", "5"),
            ("SOAKWATCH__PROBE__USER_AGENT", "123"),
            ("SOAKWATCH__PROBE__MAX_BODY", "4096"),
            ("SOAKWATCH__PROBE__DNS", ""),
            ("SOAKWATCH__STORE__PATH", "/var/lib/soakwatch/store.db"),
            ("SOAKWATCH__LOG__FORMAT", "json"),
            ("ANOTHER__VARIABLE", "is not ours"),
        ])
        .settings;
    assert_eq!((after.scheduler.per_host, after.scheduler.max_runs), (9, 7));
    let targets: Vec<(&str, u16)> = after.self_check.targets.iter().map(|t| (t.host.as_str(), t.port)).collect();
    assert_eq!(targets, [("192.0.2.2", 53), ("example.com", 443)]);
    // A query may hold a secret and is no part of a label.
    assert_eq!(after.self_check.targets[1].name, "https://example.com/x");
    assert_eq!(after.self_check.every, Span::seconds(20));
    assert!(after.metrics.check_histograms && after.metrics.max_series == 5);
    assert_eq!((after.probe.user_agent.as_str(), after.probe.max_body.0), ("123", 4096));
    assert_eq!(after.store.path, Path::new("/var/lib/soakwatch/store.db"));
    assert_eq!(after.log.json, Some(true));
}

#[test]
fn a_variable_can_mend_what_the_file_alone_would_get_wrong() {
    let dir = Dir::new(&[("soakwatch.toml", "[server]\nlisten = \"0.0.0.0:9464\"\n")]);
    assert!(dir.load(&[]).config.is_none());
    assert!(dir.config(&[("SOAKWATCH__SERVER__AUTH", "none")]).settings.server.open);
    assert!(dir.load(&[("SOAKWATCH__SERVER__LISTEN", "[::ffff:127.0.0.1]:9464")]).config.is_some(), "mapped loopback is loopback");
}

#[test]
fn the_hash_names_the_contents_and_the_file_names() {
    let hash = |files: &[(&str, &str)]| Dir::new(files).config(&[]).hash;
    let one = hash(&[("customers/acme.toml", ACME)]);
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&[("customers/acme.toml", ACME), ("customers/notes.txt", "not read"), ("customers/.acme.toml", "not read")]));
    assert_ne!(one, hash(&[("customers/acme.toml", &format!("{ACME}# a remark\n"))]));
    assert_ne!(one, hash(&[("customers/beta.toml", ACME)]));
    assert_ne!(one, hash(&[("customers/acme.toml", ACME), ("soakwatch.toml", "")]));
}

#[test]
fn too_large_a_file_and_too_many_problems_are_cut_off() {
    let large = "#".repeat((1 << 20) + 1);
    let many: String = (0..50_000).map(|n| format!("key-{n} = 1\n")).collect();
    let loaded = Dir::new(&[("customers/large.toml", &large), ("customers/many.toml", &many)]).load(&[]);
    assert!(loaded.config.is_none());
    let said: Vec<String> = loaded.problems.iter().filter(|p| !p.warning).map(ToString::to_string).collect();
    assert!(said[0].ends_with("customers/large.toml: is larger than 1 MiB; expected a smaller file"), "{}", said[0]);
    assert!(said.last().unwrap().ends_with("has more than 100 problems; the others are not listed"), "{}", said.last().unwrap());
    assert_eq!(said.len(), 102);
}

#[test]
fn many_warnings_refuse_nothing_and_hide_no_error() {
    let many: String = (0..150).map(|n| format!("[[integration]]\nid = \"i{n}\"\nenvironment = \"test\"\nowner = \"us\"\n")).collect();
    let file = format!("[customer]\nid = \"acme\"\n{many}");
    let loaded = Dir::new(&[("customers/acme.toml", &file)]).load(&[]);
    assert!(loaded.config.is_some(), "a hundred missing runbooks are no error");
    assert!(loaded.problems.iter().any(|p| p.to_string().contains("has more than 100 warnings")));
    let loaded = Dir::new(&[("customers/acme.toml", &format!("{file}color = 1\n"))]).load(&[]);
    assert!(loaded.config.is_none());
    assert!(loaded.problems.iter().any(|p| !p.warning && p.to_string().contains("color")), "an error after all the warnings is told");
}

#[test]
fn a_file_without_rights_and_a_pipe_are_named_not_waited_for() {
    let dir = Dir::new(&[("customers/acme.toml", ACME)]);
    let pipe = dir.path().join("customers/pipe.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("/no/such/file", dir.path().join("customers/gone.toml")).unwrap();
    let said: Vec<String> = dir.load(&[]).problems.iter().filter(|p| !p.warning).map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].ends_with("gone.toml: can't be read: there is nothing of this name; expected a file that soakwatch may read"),
        "{}",
        said[0]
    );
    assert!(said[1].ends_with("pipe.toml: is not a file; expected a file of text"), "{}", said[1]);
}
