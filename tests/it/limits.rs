//! What is shown of rate limits: an integration's policies under labels that stay, the forecast, and the same facts by API, page and command from a
//! running daemon.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use soakwatch::board::{Board, IntegrationEntry};
use soakwatch::budget::{Because, Budgets, Views};
use soakwatch::clock::{UnixMs, monotonic};
use soakwatch::config::model::{Batch, CheckDef, Config, DeclaredVolume, Integration, Paused};
use soakwatch::fields::Span;
use soakwatch::limits::{MOST_POLICIES, PolicyShown, brief, headroom, integration_limits, policies};
use soakwatch::observed::Heard;
use soakwatch::ratelimit::{RateLimit, Reading};

use crate::estate::{Ended, MINUTE, NOW, config, integration, record, settings, with_checks};
use crate::support::daemon::{Daemon, eventually, output, request, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::probing;

/// One integration with checks on these hosts, named `c0`, `c1`, ...
fn board(i: Integration, hosts: &[&str]) -> (Config, Board) {
    let names: Vec<String> = (0..hosts.len()).map(|n| format!("c{n}")).collect();
    let keys = names.iter().zip(hosts).map(|(name, host)| (name.as_str(), *host, ""));
    board_with_keys(i, &keys.collect::<Vec<_>>())
}

/// The same with names of their own and a credential each: check, host, key.
fn board_with_keys(i: Integration, all: &[(&str, &str, &str)]) -> (Config, Board) {
    let (i, checks) = with_checks(i, &all.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    let on = |(def, (_, host, key)): (&Arc<CheckDef>, &(&str, &str, &str))| {
        let auth = if key.is_empty() { String::new() } else { format!("auth = {{ bearer = {{ env = \"{key}\" }} }}") };
        let asked = probing::check(&format!("url = \"https://{host}/x\"\n{auth}"));
        Arc::new(CheckDef { kind: asked.kind, host: asked.host, ..CheckDef::clone(def) })
    };
    let checks = checks.iter().zip(all).map(on).collect();
    let config = config(settings(), vec![(i, checks)]);
    let board = Board::default();
    board.configure(&config);
    (config, board)
}

fn acme(volume: DeclaredVolume) -> Integration {
    Integration { volume, ..integration("acme", "production", "api") }
}

fn volume(peak: &str, daily: &str) -> DeclaredVolume {
    DeclaredVolume { peak: peak.parse().ok(), daily: daily.parse().ok(), batches: Vec::new() }
}

/// Of `limit` in a minute so many are left, for half a minute more; read so many seconds ago.
fn reading(policy: &str, limit: u64, remaining: u64, ago_s: i64) -> Reading {
    let at = UnixMs(NOW.0 - ago_s * 1000);
    let reset_at = Some(UnixMs(at.0 + 30_000));
    Reading { policy: policy.into(), limit: Some(limit), remaining: Some(remaining), window_s: Some(60), reset_at, unit: None, at }
}

fn tell(config: &Config, board: &Board, check: usize, readings: &[Reading]) {
    let def = config.checks().nth(check).unwrap();
    for r in readings {
        let mut run = record(def, UnixMs(r.at.0 - 1), &Ended::Pass);
        run.facts.limits = vec![r.clone()];
        board.apply(&[run]);
    }
}

fn entry(board: &Board) -> IntegrationEntry {
    board.read(|all| all[0].clone())
}

fn shown(board: &Board, now: UnixMs) -> Vec<PolicyShown> {
    policies(&entry(board), now)
}

#[test]
fn a_label_is_the_name_and_another_host_stands_before_it() {
    let (config, board) = board(acme(DeclaredVolume::default()), &["one.example", "two.example", "one.example"]);
    tell(&config, &board, 0, &[reading("default", 100, 7, 20)]);
    tell(&config, &board, 1, &[reading("default", 50, 3, 30)]);
    tell(&config, &board, 2, &[reading("default", 100, 5, 10), reading("day", 9, 9, 10)]);
    let all = shown(&board, NOW);
    let facts: Vec<(&str, Option<u64>, String)> = all.iter().map(|p| (p.policy.as_str(), p.remaining, p.checks.join(" "))).collect();
    assert_eq!(
        facts,
        [
            ("day", Some(9), "c2".to_owned()),
            ("default", Some(5), "c0 c2".to_owned()),
            ("two.example:443/default", Some(3), "c1".to_owned())
        ],
        "of several checks the last reading counts"
    );
    // At the same time: the one with less left.
    tell(&config, &board, 0, &[reading("default", 100, 4, 10)]);
    assert_eq!(shown(&board, NOW)[1].remaining, Some(4));
    // Nobody told of them for a day.
    assert_eq!(shown(&board, UnixMs(NOW.0 + 24 * 60 * MINUTE)), []);
}

#[test]
fn two_credentials_on_one_host_are_two_quotas() {
    let host = "one.example";
    let all = [
        ("a", host, "A"),
        ("b", host, "B"),
        ("c", host, "A"),
        ("token", host, "C"),
        ("e", host, "B"),
        ("f", "two.example", "A"),
        ("g", "two.example", ""),
    ];
    let (config, board) = board_with_keys(acme(DeclaredVolume::default()), &all);
    let labels = || -> Vec<(String, Option<u64>)> { shown(&board, NOW).into_iter().map(|p| (p.policy, p.remaining)).collect() };
    tell(&config, &board, 4, &[reading("hour", 100, 4, 10)]);
    assert_eq!(labels(), [("b/hour".into(), Some(4))], "whoever is told first, the order of the configuration decides");
    for n in [0, 1, 2, 3, 5, 6] {
        tell(&config, &board, n, &[reading("hour", 100, n as u64, 9 - n as i64)]);
    }
    tell(&config, &board, 0, &[reading("token/hour", 100, 99, 5)]);
    let expected = [("b/hour", 1), ("check:token/hour", 3), ("g/hour", 6), ("hour", 2), ("token/hour", 99), ("two.example:443/hour", 5)];
    assert_eq!(labels(), expected.map(|(label, left)| (label.to_owned(), Some(left))), "each quota once, with a label of its own");
}

#[test]
fn of_too_many_policies_the_same_tightest_ones_stay() {
    let hosts = ["one.example", "two.example"];
    let (config, board) = board(acme(volume("60/min", "")), &hosts);
    for check in 0..2 {
        for n in 0..10_u64 {
            tell(&config, &board, check, &[reading(&format!("p{n}"), 10 + 10 * n + u64::from(check == 1), 1, 20)]);
        }
    }
    let labels = |now| shown(&board, now).into_iter().map(|p| p.policy).collect::<Vec<_>>();
    let before = labels(NOW);
    assert_eq!(before.len(), MOST_POLICIES);
    assert_eq!(before[..2], ["p0", "p1"]);
    assert_eq!(before[9], "two.example:443/p4", "the five with the lowest limits of each host: {before:?}");
    // What is left of each does not matter.
    tell(&config, &board, 1, &[reading("p9", 101, 0, 1)]);
    assert_eq!(labels(NOW), before);
    assert_eq!(headroom(&entry(&board), NOW), Some(10.0 / 60.0));
}

#[test]
fn the_forecast_of_a_policy() {
    let (config, board) = board(acme(volume("240/min", "")), &["one.example"]);
    // 40 used in 20 s, 40 left: gone in another 20 s; at the declared 4 a second in 10 s.
    tell(
        &config,
        &board,
        0,
        &[reading("default", 100, 80, 20), Reading { reset_at: Some(UnixMs(NOW.0 + 60_000)), ..reading("default", 100, 40, 0) }],
    );
    let p = shown(&board, NOW).remove(0);
    assert_eq!((p.used_per_s, p.headroom), (Some(2.0), Some(100.0 / 240.0)));
    assert_eq!((p.exhausted_at, p.exhausted_at_declared), (Some(UnixMs(NOW.0 + 20_000)), Some(UnixMs(NOW.0 + 10_000))));
    assert_eq!(brief(&entry(&board), &Views::new(), NOW).exhausted_at, None, "a minute's quota is full again before anybody has read it");
    // Once it was reset nobody knows what is left.
    let after = shown(&board, UnixMs(NOW.0 + 60_000)).remove(0);
    assert_eq!((after.remaining, after.exhausted_at, after.exhausted_at_declared), (Some(40), None, None));
    assert_eq!(after.headroom, p.headroom, "the quota is what it was");
    // Nothing left: since it was read.
    tell(&config, &board, 0, &[Reading { reset_at: Some(UnixMs(NOW.0 + 60_000)), ..reading("default", 100, 0, -1) }]);
    assert_eq!(shown(&board, UnixMs(NOW.0 + 2_000))[0].exhausted_at, Some(UnixMs(NOW.0 + 1_000)));
}

#[test]
fn a_row_says_when_a_quota_runs_out_if_that_is_to_come_and_the_window_is_long() {
    let (config, board) = board(acme(DeclaredVolume::default()), &["one.example"]);
    let five = |remaining, ago_s: i64| Reading {
        window_s: Some(300),
        reset_at: Some(UnixMs(NOW.0 + 200_000)),
        ..reading("five", 100, remaining, ago_s)
    };
    tell(&config, &board, 0, &[five(80, 20), five(40, 0)]);
    let brief = |ms: i64| {
        let b = brief(&entry(&board), &Views::new(), UnixMs(NOW.0 + ms));
        (b.exhausted_at, b.used_up)
    };
    assert_eq!((brief(0), brief(19_999)), ((Some(UnixMs(NOW.0 + 20_000)), false), (Some(UnixMs(NOW.0 + 20_000)), false)));
    assert_eq!(brief(20_000), (None, false), "nobody has read it since, and the time is past");
    tell(&config, &board, 0, &[five(0, -30)]);
    assert_eq!((brief(31_000), brief(200_000)), ((None, true), (None, false)), "used up until it renews");
}

#[test]
fn a_window_is_told_or_configured_but_not_guessed() {
    let bare = Reading { window_s: None, reset_at: None, ..reading("default", 100, 50, 10) };
    let (one, told) = board(acme(volume("", "50/day")), &["one.example"]);
    tell(&one, &told, 0, std::slice::from_ref(&bare));
    let p = shown(&told, NOW).remove(0);
    assert_eq!((p.window_s, p.headroom, p.exhausted_at_declared), (None, None, None));
    let (two, configured) = board(Integration { quota_window: Some(Span::days(2)), ..acme(volume("", "50/day")) }, &["one.example"]);
    tell(&two, &configured, 0, &[bare]);
    let p = shown(&configured, NOW).remove(0);
    assert_eq!((p.window_s, p.window_configured, p.headroom), (Some(172_800), true, Some(1.0)));
    let all = integration_limits(&entry(&configured), &Views::new(), NOW);
    assert_eq!(all.headroom_window().as_deref(), Some("the window of 2d is quota_window, policy default"));
    assert_eq!(p.exhausted_at_declared, Some(UnixMs(NOW.0 - 10_000 + 24 * 60 * MINUTE)), "50 are left for a day");
    assert_eq!((p.reset_at, p.assumed_reset_at), (None, Some(UnixMs(NOW.0 - 10_000 + 2 * 24 * 60 * MINUTE))), "nobody told when it renews");
    // Bytes are no requests.
    let bytes = Reading { unit: Some("content-bytes".into()), ..reading("bytes", 100, 50, 10) };
    tell(&two, &configured, 0, &[bytes]);
    let p = shown(&configured, NOW).remove(0);
    assert_eq!((p.unit.as_deref(), p.headroom, p.exhausted_at_declared), (Some("content-bytes"), None, None));
}

/// What an endpoint says: a quota, or that it wants to be left alone for so long.
fn heard(def: &CheckDef, limits: RateLimit) -> Heard {
    let stay_away = limits.retry_after.filter(|_| limits.throttled);
    Heard { host: def.kind.host().unwrap(), token: false, at: NOW, limits, stay_away }
}

#[test]
fn a_window_that_is_told_is_not_the_configured_one() {
    let (config, board) = board(Integration { quota_window: Some(Span::days(2)), ..acme(volume("60/min", "")) }, &["one.example"]);
    tell(&config, &board, 0, &[reading("default", 100, 50, 10)]);
    let l = integration_limits(&entry(&board), &Views::new(), NOW);
    assert_eq!((l.policies[0].window_s, l.policies[0].window_configured, l.headroom_window()), (Some(60), false, None));
}

#[test]
fn what_is_paused_says_so() {
    let paused = Paused { reason: "contract ended".into(), by: "j.doe".into() };
    let (_, board) = board(Integration { paused: Some(paused), ..acme(volume("", "")) }, &["one.example"]);
    let l = integration_limits(&entry(&board), &Views::new(), NOW);
    assert_eq!(l.paused.as_deref(), Some("contract ended (j.doe)"));
}

#[test]
fn budgets_and_holds_are_told_with_their_reason() {
    let mut declared = volume("240/min", "");
    declared.batches = vec![Batch { start: "22:00Z".parse().unwrap(), rows: 600, calls_per_row: 1.0 }];
    let (config, board) = board(acme(declared), &["one.example", "one.example", "two.example"]);
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, monotonic());
    let defs: Vec<&Arc<CheckDef>> = config.checks().collect();
    let quota = RateLimit { limit: Some(300), window: Some(Duration::from_secs(3_600)), ..RateLimit::default() };
    budgets.heard(defs[0], &[heard(defs[0], quota)], monotonic());
    let refusal = RateLimit { throttled: true, retry_after: Some(Duration::from_secs(90)), ..RateLimit::default() };
    budgets.heard(defs[2], &[heard(defs[2], refusal)], monotonic());
    tell(&config, &board, 0, &[reading("default", 300, 200, 0)]);

    let views = budgets.views(NOW, monotonic());
    for def in &defs {
        let alone = budgets.view(&def.id, NOW, monotonic()).unwrap();
        assert_eq!(
            soakwatch::budget::CheckBudget { tokens: 1.0, ..views[&def.id].clone() },
            soakwatch::budget::CheckBudget { tokens: 1.0, ..alone }
        );
    }
    let l = integration_limits(&entry(&board), &views, NOW);
    // Two checks a minute each want 120 an hour, and 15 are theirs.
    let b = &l.budgets[1];
    assert_eq!((b.check.as_str(), b.factor, b.effective_interval, b.shared_by), ("c1", 8, Span::seconds(480), 2));
    assert_eq!(b.reason, "every 8th slot: 2 checks together want 120 of 15/h (5 % of 300 in 1h, policy default)");
    assert!((b.coverage_lost - 0.875).abs() < 1e-9);
    assert_eq!(l.budgets[2].factor, 1);
    let h = &l.holds[0];
    assert_eq!((l.holds.len(), h.host.as_str(), h.told.as_str(), h.asked_s), (1, "two.example:443", "acme/production/api/c2", 90));
    assert_eq!((h.until, h.checks.join(" "), h.because), (UnixMs(NOW.0 + 90_000), "c2".to_owned(), Because::Asked));
    assert_eq!((l.budgets[1].held_until, l.budgets[2].held_until), (None, Some(UnixMs(NOW.0 + 90_000))));
    let fit = &l.batches[0].policies[0];
    assert_eq!((fit.fits, fit.takes_s, fit.ends.map(|t| t.to_string()).as_deref()), (Some(true), Some(600), Some("22:10Z")));
    let b = brief(&entry(&board), &views, NOW);
    assert_eq!((b.held_until, b.interval_factor, b.headroom), (Some(UnixMs(NOW.0 + 90_000)), Some(8), Some(1.25)));
    // The command reads what the daemon writes.
    let json = serde_json::to_string(&l).unwrap();
    assert!(json.contains("\"until\":\"2026-11-21T12:01:30Z\"") && json.contains("\"effective_interval\":\"8m\""), "{json}");
    assert_eq!(serde_json::from_str::<soakwatch::limits::IntegrationLimits>(&json).unwrap(), l);
    // A hold that is over is not shown.
    assert_eq!(integration_limits(&entry(&board), &views, UnixMs(NOW.0 + 90_000)).holds, []);
}

fn configuration(dir: &Path, spent: &FakeApi, tight: &FakeApi, held: &FakeApi) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n".to_owned();
    for (id, api) in [("spent", spent), ("tight", tight), ("held", held)] {
        text += &format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"staging\"\nowner = \"vendor\"\nvolume = {{ peak = \"200000/h\", batch = {{ start = \"22:00Z\", rows = 5000 }} }}\n\
             [[integration.check]]\nid = \"list\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"{}\"\n",
            api.url("/x")
        );
    }
    text += "[[integration]]\nid = \"paused\"\nenvironment = \"staging\"\nowner = \"vendor\"\npaused = { reason = \"contract ended\", by = \"j.doe\" }\n\
             [[integration.check]]\nid = \"list\"\nevery = \"1s\"\n[integration.check.http]\nurl = \"http://127.0.0.1:1/\"\n";
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn json(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&daemon.get(path)).unwrap()
}

fn stdout(daemon: &Daemon, args: &[&str]) -> String {
    let ran = output(soakwatch().arg("limits").args(args).args(["--url", &daemon.url]));
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn a_running_daemon_tells_api_page_and_command_the_same() {
    let quota = |limit: u64, remaining: u64| {
        let reply = Reply::status(200).header("ratelimit-policy", format!("\"hour\";q={limit};w=3600"));
        reply.header("ratelimit", format!("\"hour\";r={remaining};t=1800"))
    };
    // Used up by time, not by requests: a daemon that is slow sees the same 100 a second.
    let began = monotonic();
    let spent = FakeApi::start(move |_| quota(100_000, 50_000_u64.saturating_sub(began.elapsed().as_millis() as u64 / 10)));
    let tight = FakeApi::start(move |_| quota(7_200, 7_000));
    let held = FakeApi::start(|_| Reply::status(429).header("retry-after", "600"));
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), &spent, &tight, &held);
    let daemon = Daemon::start(dir.path(), &[]);

    // The row of the overview, and the state of a check that is held.
    let row = |id: &str| {
        let all = json(&daemon, "/api/v1/status")["integrations"].as_array().unwrap().clone();
        all.into_iter().find(|i| i["integration"] == id).unwrap()
    };
    eventually("the spent quota runs out before its reset", || row("spent")["exhausted_at"].is_string().then_some(()));
    eventually("the tight one widens the interval", || (row("tight")["interval_factor"].as_u64() == Some(10)).then_some(()));
    // What the board tells has been committed: what reads the store finds it, too.
    let left_out =
        |id: &str| json(&daemon, &format!("/api/v1/integrations/acme/staging/{id}"))["check"][0]["causes"]["rate_limit"].as_u64();
    eventually("slots of the tight one were left out", || (left_out("tight") >= Some(1)).then_some(()));
    eventually("the host is held", || row("held")["held_until"].is_string().then_some(()));
    // A run that timed out before counts for nothing.
    let asked = held.log().len();
    eventually("six slots of the held check were left out", || (left_out("held") >= Some(6)).then_some(()));
    // It would stay unknown if it were taken for silent; for a moment it may be, when a commit takes long.
    let of_held =
        eventually("it is throttled, not unknown: it is kept away, not silent", || Some(row("held")).filter(|r| r["state"] == "throttled"));
    assert!(of_held["detail"].as_str().unwrap().contains("; held until 20"), "{of_held}");
    assert_eq!(held.log().len(), asked, "nothing was sent since");
    assert_eq!((&row("spent")["headroom"], &row("spent")["held_until"]), (&0.5.into(), &Value::Null));

    // The API: all, and by id.
    let all = json(&daemon, "/api/v1/limits");
    assert_eq!(all["integrations"].as_array().unwrap().len(), 4);
    let one = json(&daemon, "/api/v1/limits?id=acme/staging/spent");
    let policy = &one["integrations"][0]["policies"][0];
    assert_eq!((&policy["policy"], &policy["limit"], &policy["window_s"]), (&"hour".into(), &100_000.into(), &3_600.into()));
    assert!(policy["exhausted_at"].is_string() && policy["used_per_s"].as_f64() > Some(1.0), "{policy}");
    let inside = &json(&daemon, "/api/v1/integrations/acme/staging/held")["limits"];
    assert_eq!((&inside["holds"][0]["asked_s"], &inside["retry_after"]["asked_s"]), (&600.into(), &600.into()));
    let (status, body) = request("GET", &format!("{}/api/v1/limits?id=acme/stagin", daemon.url), &[]);
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("Did you mean acme/staging?"), "{body}");
    assert_eq!(request("GET", &format!("{}/api/v1/limits?id=a//b", daemon.url), &[]).0, 400);

    // The pages.
    let overview = daemon.get("/");
    for part in [">held until ", ">widened ×10<", ">quota out "] {
        assert!(overview.contains(part), "{part}: {overview}");
    }
    let page = daemon.get("/integrations/acme/staging/tight");
    for part in [
        "Rate limits",
        "every 10th slot: this check alone wants 60 of 6/min (5 % of 7200 in 1h, policy hour)",
        "90 %",
        "0.03 × the declared volume",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(daemon.get("/integrations/acme/staging/held").contains("asked acme/staging/held/list to be left alone for 10m ("));
    assert!(daemon.get("/integrations/acme/staging/held").contains("held, no slot runs until "));

    // Why slots were left out: on the page, and in the store.
    for (id, why) in [("held", "held: the host asked to be left alone"), ("tight", "widened interval: our share of the quota")] {
        let page = daemon.get(&format!("/integrations/acme/staging/{id}"));
        assert!(page.contains(&format!("<span class=\"detail\">{why}</span>")), "{page}");
        let ran = output(soakwatch().args(["runs", &format!("acme/staging/{id}/list"), "--config"]).arg(dir.path()));
        let text = String::from_utf8(ran.stdout).unwrap();
        assert!(text.lines().any(|l| l.contains("skipped") && l.contains("rate_limit") && l.ends_with(why)), "{text}");
    }

    // The command.
    let text = stdout(&daemon, &[]);
    for part in [
        "acme/staging/spent (spent)\n",
        "10s (×10)  90 %",
        "held until 20",
        "to be left alone for 10m; waiting: list",
        "hour    100000",
        "(paused)\n  paused, nothing is sent: contract ended (j.doe)\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("headroom"), "{text}");
    let text = stdout(&daemon, &["acme/staging/spent", "--forecast"]);
    assert!(text.contains("headroom: 0.5 × the declared volume") && text.contains("runs out as used") && !text.contains("tight"), "{text}");
    assert!(
        text.contains("22:00Z  5000   hour    no    no       -      -     the declared peak of 200000/h leaves nothing of 100000 in 1h"),
        "{text}"
    );
    let answer: Value = serde_json::from_str(&stdout(&daemon, &["acme", "--json"])).unwrap();
    assert_eq!(answer["integrations"].as_array().unwrap().len(), 4);
    for (args, code, said) in [
        (["acme/staging/spnt", &daemon.url], 65, "is configured; did you mean acme/staging/spent?"),
        (["acme/staging/spent/list", &daemon.url], 64, "expected customer, customer/environment or customer/environment/integration"),
        (["acme", "http://127.0.0.1:1"], 69, "no answer from the daemon"),
        (["acme", &tight.url("/")], 69, "is this a Soakwatch daemon"),
    ] {
        let ran = output(soakwatch().args(["limits", args[0], "--url", args[1]]));
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
    assert_eq!(daemon.stop(), Some(0));
}
