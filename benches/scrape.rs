//! What one scrape costs: 1,000 integrations with three checks each and everything the catalogue has for them, against copying the same bytes and against
//! the `prometheus` crate; and what a real Prometheus that scrapes them spends on our rules.
//!
//! `cargo bench --bench scrape [-- --integrations 1000 --rounds 41 --seconds 120]` (some three minutes). Times are CPU time of this process: other programs
//! on the machine change them little.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops at the first error")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use soakwatch::board::Board;
use soakwatch::budget::Budgets;
use soakwatch::clock::{Clock, DAY_MS, UnixMs, monotonic};
use soakwatch::config::diff::AtStart;
use soakwatch::config::model::{CheckDef, Config};
use soakwatch::config::{self, LoadOptions};
use soakwatch::finding::DocumentFacts;
use soakwatch::health::Health;
use soakwatch::incident::live::Incidents;
use soakwatch::metrics::encode::{CHUNK, Encoder, Scrape};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::{Attribution, Class, HttpSpoken, Outcome, TlsSpoken};
use soakwatch::ratelimit::Reading;
use soakwatch::readiness::Soaks;
use soakwatch::record::{DurationCode, Facts, Record, Run, Spoken};
use soakwatch::server::{ServerState, bind, serve};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/support/daemon.rs"]
#[expect(dead_code, clippy::panic, reason = "the tests use more of it, and may end where a daemon does not start")]
mod daemon;
#[path = "../tests/it/support/prometheus.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod server;

#[path = "support/measure.rs"]
mod measure;
use measure::{cpu, option};
use server::{Prometheus, installed};

/// The median CPU time of some rounds, in seconds.
fn median(rounds: usize, mut f: impl FnMut()) -> f64 {
    let mut once = |_| {
        let begun = cpu();
        f();
        (cpu() - begun).as_secs_f64()
    };
    let mut all: Vec<f64> = (0..rounds.max(1)).map(&mut once).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A line of /proc/self/status, in bytes.
fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// What one of these holds, in bytes: so many more of them are kept at once, after some that filled what was free.
fn held<T>(first: usize, more: usize, mut make: impl FnMut() -> T) -> usize {
    let mut all: Vec<T> = (0..first).map(|_| make()).collect();
    let before = memory("VmRSS");
    all.extend((0..more).map(|_| make()));
    memory("VmRSS").saturating_sub(before) / more
}

/// Two http checks and one of a provider for each integration; of four one declares its volume, of ten one soaks. Five share an environment.
fn configuration(dir: &Path, integrations: usize, now: UnixMs) -> Config {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let start = UnixMs((now.0 / 3_600_000 - 8 * 24) * 3_600_000);
    for customer in 0..integrations.div_ceil(5) {
        let mut text = format!("[customer]\nid = \"customer-{customer}\"\nname = \"Customer {customer}\"\n");
        for n in customer * 5..(customer * 5 + 5).min(integrations) {
            let volume = if n % 4 == 0 { "volume = { peak = \"10/s\" }\n" } else { "" };
            let soak = if n % 10 == 0 { format!("soak = {{ start = \"{start}\" }}\n") } else { String::new() };
            text += &format!(
                "[[integration]]\nid = \"integration-{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/x\"\n{volume}{soak}"
            );
            for check in ["list-orders", "read-stock"] {
                text += &format!(
                    "[[integration.check]]\nid = \"{check}\"\nevery = \"60s\"\ntimeout = \"10s\"\n\
                     [integration.check.http]\nurl = \"https://host-{n}.example.com/{check}\"\n"
                );
            }
            text += &format!(
                "[[integration.check]]\nid = \"log-in\"\nevery = \"60s\"\ntimeout = \"10s\"\n[integration.check.oidc]\nissuer = \"https://id-{n}.example.com\"\n"
            );
        }
        std::fs::write(dir.join(format!("customers/c{customer:04}.toml")), text).unwrap();
    }
    let loaded = config::load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now });
    loaded.config.unwrap_or_else(|| {
        loaded.problems.iter().filter(|p| !p.warning).take(5).for_each(|p| println!("{p}"));
        std::process::exit(1)
    })
}

/// The `k`th run of a check, `n` being the check's number.
fn record(n: usize, k: usize, def: &CheckDef, slot: UnixMs) -> Record {
    let mut r = Record::not_run(def.id.clone(), slot, 60_000, 1, soakwatch::outcome::Cause::Internal);
    (r.cause, r.attempts, r.duration) = (None, 1, DurationCode(140 + (n % 20 + k % 7) as u16));
    let class = match k {
        3 => Some(Class::ServerError),
        4 => Some(Class::Timeout),
        5 => Some(Class::Throttled),
        _ => None,
    };
    r.outcome = match class {
        None => Outcome::Pass,
        Some(Class::Throttled) => Outcome::Throttled,
        Some(_) => Outcome::Fail,
    };
    (r.class, r.attribution, r.first_attempt_passed) = (class, class.map(|_| Attribution::ThirdParty), class.is_none());
    let has_document = def.id.check() == "log-in";
    r.facts = Facts {
        codes: vec![if class.is_none() { 200 } else { 503 }],
        phases: [60, 80, 100, 140, 40].map(|n| Some(DurationCode(n))),
        certificate_expiry: Some(slot.plus(Duration::from_secs(90 * 86_400))),
        values: if n.is_multiple_of(3) { vec![("depth".into(), k as f64)] } else { Vec::new() },
        limits: vec![Reading {
            policy: "default".into(),
            limit: Some(600),
            remaining: Some(590 - k as u64),
            window_s: Some(60),
            reset_at: Some(slot.plus(Duration::from_secs(60))),
            at: slot,
            ..Reading::default()
        }],
        throttle_wait: (n.is_multiple_of(30)).then_some(DurationCode(100)),
        document: has_document
            .then(|| DocumentFacts { signing_certificate_expiry: Some(UnixMs(slot.0 + 30 * DAY_MS)), ..DocumentFacts::default() }),
        spoken: Some(Spoken { http: HttpSpoken::Http11, tls: Some(TlsSpoken::Tls13) }),
        ..Facts::default()
    };
    r
}

/// Runs of the last hour on the board, and in the soaks.
fn estate(config: &Config, now: UnixMs) -> (Board, Soaks, Budgets) {
    let (board, soaks) = (Board::default(), Soaks::default());
    board.configure(config);
    soaks.configure(config, now);
    let mut of_check: BTreeMap<_, Vec<Run>> = BTreeMap::new();
    for (n, def) in config.checks().enumerate() {
        let records: Vec<Record> = (0..60).map(|k| record(n, k, def, UnixMs(now.0 - (60 - k as i64) * 60_000))).collect();
        board.apply(&records);
        of_check.insert(def.id.clone(), records.iter().map(Run::of).collect());
    }
    for asked in soaks.stale(now, usize::MAX) {
        let runs = of_check.get(&asked.check).map(Vec::as_slice).unwrap_or_default();
        let from = runs.partition_point(|r| r.slot < asked.from);
        soaks.refold(&asked.check, &runs[from..], now);
    }
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(config, |id| board.check(id).map(|c| c.state.limits), monotonic());
    (board, soaks, budgets)
}

/// One scrape as the server makes it: pieces that go out as they are made. Its bytes and the pieces.
fn streamed(board: &Board, soaks: &Soaks, budgets: &Budgets, config: &Config, now: UnixMs, out: &mut dyn FnMut(&[u8])) {
    let mut encoder = Encoder::new(Scrape::take(board, (soaks, &Incidents::default()), budgets, &config.settings, now, monotonic()));
    loop {
        let mut piece = Vec::with_capacity(CHUNK + CHUNK / 4);
        let more = encoder.write(&mut piece);
        out(&piece);
        if !more {
            break;
        }
    }
}

/// The same lines as gauges in a registry of the `prometheus` crate.
fn registry(text: &str) -> Registry {
    let registry = Registry::new();
    let mut families: BTreeMap<String, GaugeVec> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        let pairs: Vec<(&str, &str)> = labels.trim_end_matches('}').split("\",").map(|p| p.split_once("=\"").unwrap()).collect();
        let names: Vec<&str> = pairs.iter().map(|(n, _)| *n).collect();
        let values: Vec<&str> = pairs.iter().map(|(_, v)| v.trim_end_matches('"')).collect();
        let family = families.entry(name.to_owned()).or_insert_with(|| {
            let family = GaugeVec::new(Opts::new(name, "The same help for all, of about the length they have."), &names).unwrap();
            registry.register(Box::new(family.clone())).unwrap();
            family
        });
        family.with_label_values(&values).set(value.parse().unwrap());
    }
    registry
}

fn scrape(config: &Config, board: &Board, soaks: &Soaks, budgets: &Budgets, now: UnixMs) {
    let rounds = option("--rounds", 41) as usize;
    let mut text = Vec::new();
    streamed(board, soaks, budgets, config, now, &mut |piece| text.extend_from_slice(piece));
    let text = String::from_utf8(text).unwrap();
    let (lines, checks) = (text.lines().filter(|l| !l.starts_with('#')).count(), config.checks().count());
    println!(
        "{} integrations, {checks} checks: {:.1} MB, {lines} lines, {:.1} a check",
        config.integrations().count(),
        text.len() as f64 / 1e6,
        lines as f64 / checks as f64
    );
    let ours = median(rounds, || streamed(board, soaks, budgets, config, now, &mut |piece| _ = black_box(piece)));
    let copying = median(rounds, || {
        drop(black_box(Scrape::take(board, (soaks, &Incidents::default()), budgets, &config.settings, now, monotonic())));
    });
    let mut copy = Vec::with_capacity(text.len());
    let plain = median(rounds, || {
        copy.clear();
        copy.extend_from_slice(black_box(text.as_bytes()));
        black_box(&copy);
    });
    // The copy, and a piece of text.
    let ours_memory = held(16, 32, || {
        let mut encoder = Encoder::new(Scrape::take(board, (soaks, &Incidents::default()), budgets, &config.settings, now, monotonic()));
        let mut piece = Vec::with_capacity(CHUNK + CHUNK / 4);
        encoder.write(&mut piece);
        (encoder, piece)
    });
    let registry = registry(&text);
    let families = registry.gather();
    let fewer = rounds.div_ceil(4);
    let encoding = median(fewer, || drop(black_box(TextEncoder::new().encode_to_string(&families).unwrap())));
    drop(families);
    let gathering = median(fewer, || drop(black_box(TextEncoder::new().encode_to_string(&registry.gather()).unwrap())));
    // What it gathered, and all of the text.
    let theirs_memory = held(2, 3, || {
        let families = registry.gather();
        (TextEncoder::new().encode_to_string(&families).unwrap(), families)
    });
    println!("CPU of one scrape, the median of {rounds} (of the crate {fewer}):");
    println!("  ours, streamed:            {:>8.2} ms, of which {:.2} ms copy the board", ours * 1e3, copying * 1e3);
    println!("  copying the same bytes:    {:>8.2} ms; ours is {:.1} times that", plain * 1e3, ours / plain);
    println!("  prometheus crate, encoded: {:>8.2} ms; {:.1} times ours", encoding * 1e3, encoding / ours);
    println!("  the same and gathered:     {:>8.2} ms; {:.1} times ours (goal: 20)", gathering * 1e3, gathering / ours);
    println!(
        "memory while it goes out: ours {:.1} MiB (goal: at most 4), the crate {:.1} MiB",
        ours_memory as f64 / 1048576.0,
        theirs_memory as f64 / 1048576.0
    );
}

/// A real Prometheus scrapes the real server, with our rules, every group each 15 s; what both cost it.
fn rules(config: Config, board: Board, soaks: Soaks, budgets: Budgets, dir: &Path) {
    let seconds = option("--seconds", 120) as usize;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/soakwatch.rules.yml");
    let Some(program) = installed("prometheus").filter(|_| seconds > 0) else { return };
    let rules = std::fs::read_to_string(path).unwrap_or_else(|_| "groups: []\n".to_owned());
    let quicker = |line: &str| match line.split_once("interval:") {
        Some((before, _)) if before.trim().is_empty() => format!("{before}interval: 15s\n"),
        _ => format!("{line}\n"),
    };
    let each_15_s: String = rules.lines().map(quicker).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let checks: Vec<Arc<CheckDef>> = config.checks().cloned().collect();
    let (board, health) = (Arc::new(board), Arc::new(Health::default()));
    health.set_ready(true);
    let stop = CancellationToken::new();
    let address = runtime.block_on(async {
        let listener = bind(&config.settings.server).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = ServerState {
            started: Arc::new(AtStart::of(&config.settings)),
            board: Arc::clone(&board),
            budgets: Arc::new(budgets),
            soaks: Arc::new(soaks),
            own: Arc::new(OwnMetrics::new().unwrap()),
            clock: Clock::System,
            config: watch::channel(Arc::new(config)).1,
            health,
            reload: mpsc::channel(1).0,
            decisions: mpsc::channel(1).0,
            memories: Arc::default(),
            incidents: Arc::default(),
            checkpoints: Arc::default(),
            store: dir.join("none.db"),
        };
        tokio::spawn(serve(listener, None, state, stop.clone()));
        address
    });
    let job = format!(
        "global: {{ scrape_interval: 15s, evaluation_interval: 15s }}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{ job_name: soakwatch, honor_labels: true, static_configs: [{{ targets: [\"{address}\"] }}] }}]\n"
    );
    let prometheus = Prometheus::configured(&program, &job, &each_15_s);
    let begun = monotonic();
    let mut k = 6;
    while begun.elapsed() < Duration::from_secs(seconds as u64) {
        std::thread::sleep(Duration::from_secs(15));
        let now = Clock::System.now();
        let records: Vec<Record> = checks.iter().enumerate().map(|(n, def)| record(n, if n % 50 == 7 { 3 } else { k }, def, now)).collect();
        board.apply(&records);
        k += 1;
    }
    let told = |expression: &str| prometheus.value(expression).unwrap_or(f64::NAN);
    println!("Prometheus after {seconds} s of scraping every 15 s ({} lines of rules):", rules.lines().count());
    println!(
        "  one scrape: {:.0} samples in {:.2} s",
        told("scrape_samples_scraped{job=\"soakwatch\"}"),
        told("max_over_time(scrape_duration_seconds{job=\"soakwatch\"}[2m])")
    );
    let (_, own) = daemon::get(&format!("{}/metrics", prometheus.url));
    let mut all = 0.0;
    for line in own.lines().filter(|l| l.starts_with("prometheus_rule_group_last_duration_seconds{")) {
        let (group, took) = line.rsplit_once(' ').unwrap();
        all += took.parse::<f64>().unwrap_or(0.0);
        println!("  rules {}: {took} s", group.rsplit_once(';').map_or(group, |(_, name)| name.trim_end_matches("\"}")));
    }
    println!("  all rules once: {all:.3} s; complaints: {:?}", prometheus.log().lines().next().unwrap_or("none"));
    stop.cancel();
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::System.now();
    let config = configuration(dir.path(), option("--integrations", 1_000) as usize, now);
    let (board, soaks, budgets) = estate(&config, now);
    scrape(&config, &board, &soaks, &budgets, now);
    rules(config, board, soaks, budgets, dir.path());
}
