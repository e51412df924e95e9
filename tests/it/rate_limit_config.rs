//! The rate-limit keys of a configuration: how they are read, and that the daemon's own parts go by them. What is said about wrong ones stands in
//! `tests/fixtures/bad-config`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::budget::Budgets;
use soakwatch::clock::{UnixMs, monotonic};
use soakwatch::config::model::{Batch, Config, Integration};
use soakwatch::config::table::Problem;
use soakwatch::config::{LoadOptions, Loaded, load};
use soakwatch::fields::{Ratio, Span};
use soakwatch::memory::Memories;
use soakwatch::observed::{Heard, Noted};
use soakwatch::outcome::Outcome;
use soakwatch::ratelimit::{Dialect, RateLimit};
use soakwatch::run::run_once;

use crate::support::fake_api::{FakeApi, Reply};
use crate::support::probing::transport;

const API: &str = "https://api.example.com/";

/// Loads these files of a configuration directory.
fn loaded(files: &[(&str, &str)], env: &[(&str, &str)]) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    load(dir.path(), &LoadOptions { check_secrets: true, env, now: UnixMs(0) })
}

fn config(files: &[(&str, &str)], env: &[(&str, &str)]) -> Config {
    let loaded = loaded(files, env);
    assert_eq!(loaded.problems, []);
    loaded.config.unwrap()
}

/// An integration that has these lines, with a check of `url` for each interval.
fn integration(id: &str, more: &str, url: &str, intervals: &[&str]) -> String {
    let check = |(n, every): (usize, &&str)| {
        format!("[[integration.check]]\nid = \"c-{n}\"\nevery = \"{every}\"\n[integration.check.http]\nurl = \"{url}\"\n")
    };
    let checks: String = intervals.iter().enumerate().map(check).collect();
    format!(
        "[[integration]]\nid = \"{id}\"\nenvironment = \"staging\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/\"\n{more}\n{checks}"
    )
}

/// A customer's file with one integration.
fn customer(more: &str, intervals: &[&str]) -> String {
    format!("[customer]\nid = \"acme\"\n{}", integration("crm", more, API, intervals))
}

fn one_integration(more: &str) -> Integration {
    let config = config(&[("customers/a.toml", &customer(more, &["60s"]))], &[]);
    config.integrations().next().unwrap().as_ref().clone()
}

#[test]
fn what_an_integration_says_of_its_rate_limits() {
    let plain = one_integration("");
    assert_eq!((plain.dialect, plain.quota_share, plain.quota_window), (Dialect::Auto, None, None));
    for dialect in Dialect::ALL {
        assert_eq!(one_integration(&format!("dialect = \"{dialect}\"")).dialect, *dialect);
    }
    // Least and most.
    let own = one_integration("quota_share = 1\nquota_window = \"366d\"");
    assert_eq!((own.quota_share, own.quota_window), (Some(Ratio(1.0)), Some(Span::days(366))));
    let own = one_integration("quota_share = 0.001\nquota_window = \"1s\"");
    assert_eq!((own.quota_share, own.quota_window), (Some(Ratio(0.001)), Some(Span::seconds(1))));
}

#[test]
fn a_batch_stands_alone_in_a_list_or_under_a_heading() {
    let batches = |more: &str| {
        let i = one_integration(more);
        let shown = |b: &Batch| (b.start.to_string(), b.rows, b.calls_per_row, b.calls());
        i.volume.batches.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(batches("volume = { peak = \"600/min\" }"), []);
    assert_eq!(batches("volume = { batch = [] }"), []);
    let night = ("22:00Z".to_owned(), 50_000, 2.0, 100_000.0);
    assert_eq!(batches("volume = { batch = { start = \"22:00Z\", rows = 50000, calls_per_row = 2 } }"), std::slice::from_ref(&night));
    let noon = ("11:30Z".to_owned(), 1001, 0.01, 11.0);
    let list = "volume = { batch = [{ start = \"22:00Z\", rows = 50_000, calls_per_row = 2.0 }, \
                { start = \"12:30+01:00\", rows = 1001, calls_per_row = 0.01 }] }";
    assert_eq!(batches(list), [night, noon]);
    let headings = "[integration.volume]\ndaily = \"40000/day\"\n[[integration.volume.batch]]\nstart = \"22:00Z\"\nrows = 7\n\
                    [[integration.volume.batch]]\nstart = \"23:00Z\"\nrows = 8\n";
    assert_eq!(batches(headings), [("22:00Z".to_owned(), 7, 1.0, 7.0), ("23:00Z".to_owned(), 8, 1.0, 8.0)]);
    let most = vec!["{ start = \"22:00Z\", rows = 1 }"; 20].join(", ");
    assert_eq!(batches(&format!("volume = {{ batch = [{most}] }}")).len(), 20);
}

#[test]
fn rate_limit_settings_come_from_the_file_and_from_variables() {
    let file = "[rate_limit]\nmax_rate = \"30/min\"\nmax_hold = \"10m\"\n[scheduler]\nper_host = 5\n";
    let said = |env: &[(&str, &str)]| {
        let s = config(&[("soakwatch.toml", file), ("customers/a.toml", &customer("", &["60s"]))], env).settings;
        (s.rate_limit.max_rate.to_string(), s.rate_limit.quota_share.0, s.rate_limit.max_hold, s.scheduler.per_host)
    };
    assert_eq!(said(&[]), ("30/min".into(), 0.05, Span::seconds(600), 5));
    let set = [("SOAKWATCH__RATE_LIMIT__MAX_RATE", "5/s"), ("SOAKWATCH__RATE_LIMIT__QUOTA_SHARE", "0.2")];
    assert_eq!(said(&set), ("5/s".into(), 0.2, Span::seconds(600), 5));
}

#[test]
fn every_section_of_the_reference_is_taken_from_a_file() {
    // The merged settings would pass over a section they do not know, and with it the whole file.
    let reference = include_str!("../../config/reference.toml");
    let sections: Vec<&str> = reference.lines().filter_map(|l| l.strip_prefix('[')?.strip_suffix(']')).collect();
    assert!(sections.len() >= 8, "{sections:?}");
    for section in sections.into_iter().filter(|s| *s != "scheduler") {
        let settings = format!("[scheduler]\nper_host = 5\n[{section}]\n");
        let config = config(&[("soakwatch.toml", &settings), ("customers/a.toml", &customer("", &["60s"]))], &[]);
        assert_eq!(config.settings.scheduler.per_host, 5, "[{section}]");
    }
}

/// What is warned of, by place.
fn warned(files: &[(&str, &str)], env: &[(&str, &str)]) -> Vec<String> {
    let place = |p: &Problem| {
        assert!(p.warning && p.what.contains("more than max_rate allows"), "{p}");
        format!("{}:{}: {}", Path::new(&p.file).file_name().unwrap().display(), p.line, p.path)
    };
    loaded(files, env).problems.iter().map(place).collect()
}

#[test]
fn a_host_may_be_asked_as_often_as_max_rate_says_and_no_oftener() {
    let sixty = vec!["60s"; 60];
    let more = [sixty.clone(), vec!["60s", "60s"]].concat();
    assert_eq!(warned(&[("customers/a.toml", &customer("", &sixty))], &[]), [] as [String; 0]);
    // Each check takes five lines below eight others; the 61st is the first that is too much.
    let line = 8 + 1 + 60 * 5 + 2;
    assert_eq!(warned(&[("customers/a.toml", &customer("", &more))], &[]), [format!("a.toml:{line}: integration[0].check[60].every")]);
    let paused = customer("paused = { reason = \"r\", by = \"b\" }", &more);
    assert_eq!(warned(&[("customers/a.toml", &paused)], &[]), [] as [String; 0]);
    let files = [("customers/a.toml", customer("", &more)), ("soakwatch.toml", "[rate_limit]\nmax_rate = \"1/s\"\n".to_owned())];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    assert_eq!(warned(&files, &[]), ["soakwatch.toml:2: rate_limit.max_rate"]);
    assert_eq!(warned(&files, &[("SOAKWATCH__RATE_LIMIT__MAX_RATE", "62/min")]), [] as [String; 0]);
    let set = [("SOAKWATCH__RATE_LIMIT__MAX_RATE", "61/min")];
    assert_eq!(warned(&files, &set), ["environment:0: SOAKWATCH__RATE_LIMIT__MAX_RATE"]);
}

#[test]
fn what_is_warned_of_is_what_the_budget_does() {
    let loaded = loaded(&[("customers/a.toml", &customer("", &["2s", "1s", "1s"]))], &[]);
    let said: Vec<&str> = loaded.problems.iter().map(|p| p.what.as_str()).collect();
    let config = loaded.config.unwrap();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, monotonic());
    let budget = budgets.view(&config.checks().next().unwrap().id, UnixMs(0), monotonic()).unwrap();
    assert_eq!((budget.wanted_per_s, budget.allowed_per_s, budget.factor), (2.5, 1.0, 3));
    assert_eq!(
        said,
        [
            "the 3 checks of api.example.com:443 together want 2.5/s, more than max_rate allows (1/s): while a host tells no quota its intervals \
          are widened, so one slot in 3 is run and 66 % of coverage is lost"
        ]
    );
}

#[test]
fn the_budget_goes_by_share_and_window_of_the_integrations() {
    let text = format!(
        "[customer]\nid = \"acme\"\n{}{}{}",
        integration("plain", "", API, &["60s"]),
        integration("own", "quota_share = 0.2\nquota_window = \"1h\"", API, &["60s"]),
        integration("less", "quota_share = 0.01", API, &["60s"])
    );
    let config = config(&[("customers/a.toml", &text)], &[]);
    let heard = |limits: RateLimit| Heard { host: "api.example.com:443".into(), token: false, at: UnixMs(0), limits, stay_away: None };
    let quota = |check: usize, limits: RateLimit| {
        let budgets = Budgets::new(&config.settings.rate_limit);
        budgets.plan(&config, |_| None, monotonic());
        let def = config.checks().nth(check).unwrap();
        budgets.heard(def, &[heard(limits)], monotonic());
        budgets.view(&def.id, UnixMs(0), monotonic()).and_then(|b| b.quota).map(|q| (q.window_s, q.window_told, q.share))
    };
    let limit = |window: Option<u64>| RateLimit { limit: Some(600), window: window.map(Duration::from_secs), ..RateLimit::default() };
    // They share a host and no credential: the largest share holds for all, the window for those who were given it.
    assert_eq!(quota(0, limit(None)), Some((60, false, Ratio(0.2))));
    assert_eq!(quota(1, limit(None)), Some((3600, true, Ratio(0.2))));
    assert_eq!(quota(1, limit(Some(10))), Some((10, true, Ratio(0.2))), "what the answer says wins");
}

#[tokio::test]
async fn answers_are_read_in_the_dialect_of_the_integration() {
    let api = FakeApi::start(|_| Reply::status(503));
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n{}{}",
        integration("plain", "", &api.url("/"), &["60s"]),
        integration("behind-nginx", "dialect = \"nginx\"", &api.url("/"), &["60s"])
    );
    let config = config(&[("customers/a.toml", &text)], &[]);
    let mut outcomes = Vec::new();
    for def in config.checks() {
        outcomes.push(
            Box::pin(run_once(&Arc::clone(def), (&transport(None), &Memories::default()), UnixMs(0), None, Noted::All))
                .await
                .record
                .outcome,
        );
    }
    assert_eq!(outcomes, [Outcome::Fail, Outcome::Throttled]);
}
