//! The daemon's own traffic, judged by the logs of those it asks: it stays within its share of a quota, never comes back before it was asked to, and
//! never bursts. Real sockets, real buckets; the simulation in `src/budget/tests.rs` does the same over ten windows of the vendors' own lengths.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soakwatch::clock::{UnixMs, monotonic};

use crate::support::daemon::{Daemon, eventually, series};
use crate::support::fake_api::{FakeApi, Reply, Seen};

/// The window of the vendors that tell theirs, in milliseconds.
const WINDOW_MS: i64 = 4_000;
/// Our share of it.
const SHARE: f64 = 0.05;

/// What an endpoint answered: when, and for how many seconds it asked to be left alone.
type Log = Arc<Mutex<Vec<(UnixMs, Option<u64>)>>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Vendor {
    IetfLists,
    TripleWithEpoch,
    Okta,
    Zendesk,
    Salesforce,
    Shopify,
}

impl Vendor {
    const ALL: [Self; 6] = [Self::IetfLists, Self::TripleWithEpoch, Self::Okta, Self::Zendesk, Self::Salesforce, Self::Shopify];

    /// Limit, and the window it holds for, in milliseconds. Those of the last three are the vendors' own and too long for a test: they are judged by
    /// the rate.
    fn quota(self) -> (i64, i64) {
        match self {
            Self::IetfLists | Self::TripleWithEpoch | Self::Okta => (100, WINDOW_MS),
            Self::Zendesk => (1_200, 60_000),
            Self::Salesforce => (1_728_000, 86_400_000),
            Self::Shopify => (40, 20_000),
        }
    }

    fn dialect(self) -> &'static str {
        match self {
            Self::IetfLists | Self::TripleWithEpoch => "auto",
            Self::Okta => "okta",
            Self::Zendesk => "zendesk",
            Self::Salesforce => "salesforce",
            Self::Shopify => "shopify",
        }
    }

    /// A bucket that others empty before each window's end.
    fn answer(self, taken: &mut (i64, i64), at: UnixMs) -> (Reply, Option<u64>) {
        let (limit, window) = self.quota();
        let number = at.0.div_euclid(window);
        if taken.0 != number {
            *taken = (number, 0);
        }
        let into = at.0.rem_euclid(window);
        let others = if window == WINDOW_MS { limit * 3 / 2 * into / window } else { 0 };
        let left = (limit - others - taken.1).max(0);
        let wait = u64::try_from((window - into + 999) / 1000).unwrap();
        let reset = (number + 1) * window / 1000;
        let reply = if left > 0 { Reply::json("{}") } else { Reply::status(429) };
        taken.1 += i64::from(left > 0);
        let left = (left - 1).max(0);
        let reply = match self {
            Self::IetfLists => reply
                .header("ratelimit-policy", format!("\"burst\";q={limit};w={}", window / 1000))
                .header("ratelimit", format!("\"burst\";r={left};t={wait}")),
            Self::TripleWithEpoch => reply
                .header("x-ratelimit-limit", limit.to_string())
                .header("x-ratelimit-remaining", left.to_string())
                .header("x-ratelimit-reset", reset.to_string()),
            Self::Okta => reply
                .header("x-rate-limit-limit", limit.to_string())
                .header("x-rate-limit-remaining", left.to_string())
                .header("x-rate-limit-reset", reset.to_string()),
            Self::Zendesk => reply.header("x-rate-limit", limit.to_string()).header("x-rate-limit-remaining", left.to_string()),
            Self::Salesforce => reply.header("sforce-limit-info", format!("api-usage={}/{limit}", limit - left)),
            Self::Shopify => reply.header("x-shopify-shop-api-call-limit", format!("{}/{limit}", limit - left)),
        };
        let refused = taken.1 > limit || left == 0;
        // Okta tells no Retry-After: its reset is what is to be waited for.
        let reply = if refused && self != Self::Okta { reply.header("retry-after", wait.to_string()) } else { reply };
        (reply, refused.then_some(wait))
    }

    fn start(self) -> (FakeApi, Log) {
        let log = Log::default();
        let (kept, taken) = (Arc::clone(&log), Mutex::new((0, 0)));
        let api = FakeApi::start(move |seen: &Seen| {
            let (reply, wait) = self.answer(&mut taken.lock().unwrap(), seen.at);
            let refused = reply.is(429);
            kept.lock().unwrap().push((seen.at, wait.filter(|_| refused)));
            reply
        });
        (api, log)
    }
}

fn write(dir: &Path, settings: &str, integrations: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{settings}")).unwrap();
    std::fs::write(dir.join("customers/acme.toml"), format!("[customer]\nid = \"acme\"\nallow_private = true\n{integrations}")).unwrap();
}

#[test]
fn own_traffic_stays_within_its_share_and_comes_back_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let vendors: Vec<(Vendor, FakeApi, Log)> = Vendor::ALL
        .iter()
        .map(|v| {
            let (api, log) = v.start();
            (*v, api, log)
        })
        .collect();
    let mut text = String::new();
    for (n, (vendor, api, _)) in vendors.iter().enumerate() {
        text += &format!(
            "[[integration]]\nid = \"v{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\ndialect = \"{}\"\n",
            vendor.dialect()
        );
        // Three that don't wait, and one whose deadline has room for what it is asked.
        for (check, every, timeout, retries) in
            [("a", "1s", "900ms", 1), ("b", "1s", "900ms", 0), ("c", "1s", "900ms", 2), ("d", "7s", "6s", 1)]
        {
            text += &format!(
                "[[integration.check]]\nid = \"{check}\"\nevery = \"{every}\"\ntimeout = \"{timeout}\"\nretries = {retries}\n[integration.check.http]\nurl = \"{}\"\n",
                api.url("/")
            );
        }
    }
    // One at a time: who asks while a refusal is still on its way can't know of it.
    write(dir.path(), "[scheduler]\nper_host = 1\n", &text);
    let daemon = Daemon::start(dir.path(), &[("SOAKWATCH__RATE_LIMIT__MAX_RATE", "1/s")]);
    let began = monotonic();
    std::thread::sleep(Duration::from_millis(u64::try_from(10 * WINDOW_MS).unwrap()));
    let took = began.elapsed().as_secs_f64();
    assert_eq!(daemon.stop(), Some(0));

    for (vendor, _, log) in &vendors {
        let log = log.lock().unwrap();
        let (limit, window) = vendor.quota();
        let share = SHARE * limit as f64;
        assert!(log.len() >= if *vendor == Vendor::Shopify { 1 } else { 6 }, "{vendor:?} was asked {} times", log.len());
        if window == WINDOW_MS {
            let most = (0..).map(|n| log[0].0.0.div_euclid(window) + n).take(12);
            for number in most {
                let count = log.iter().filter(|(at, _)| at.0.div_euclid(window) == number).count();
                assert!(count as f64 <= share, "{vendor:?}: {count} requests in a window, {share} are ours");
            }
        } else {
            let allowed = share * took * 1000.0 / window as f64;
            assert!(log.len() as f64 <= allowed.ceil() + 1.0, "{vendor:?}: {} requests, {allowed} are ours", log.len());
        }
        let refused = log.iter().filter(|(_, wait)| wait.is_some()).count();
        assert_eq!(refused > 0, window == WINDOW_MS, "{vendor:?}: refused {refused} times of {}", log.len());
        for pair in log.windows(2) {
            let ((before, wait), (after, _)) = (pair[0], pair[1]);
            let gap = after.since(before);
            if let Some(wait) = wait {
                assert!(gap >= Duration::from_secs(wait), "{vendor:?}: asked to wait {wait} s, came back after {gap:?}");
            }
            // The pace is 0.8 s where the window is told; a bursting client would be at a few milliseconds.
            assert!(gap >= Duration::from_millis(300), "{vendor:?}: two requests {gap:?} apart");
        }
    }
}

/// Slots stand where they stand, and a pace that just suffices leaves no room between them: who waited for no longer than its timeout would always come
/// too soon after the same other one. As ten checks a minute of `100;w=60`, twelve times as fast.
#[test]
fn ten_checks_that_share_a_pace_which_just_suffices_all_run() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|_| Reply::json("{}").header("ratelimit-policy", "1200;w=60").header("ratelimit-remaining", "1100"));
    let paths: Vec<String> = (0..10).map(|n| format!("/{n}")).collect();
    let mut text = "[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"vendor\"\n".to_owned();
    for (n, path) in paths.iter().enumerate() {
        text += &format!(
            "[[integration.check]]\nid = \"c{n}\"\nevery = \"5s\"\ntimeout = \"800ms\"\n[integration.check.http]\nurl = \"{}\"\n",
            api.url(path)
        );
    }
    write(dir.path(), "", &text);
    let daemon = Daemon::start(dir.path(), &[("SOAKWATCH__RATE_LIMIT__MAX_RATE", "2/s")]);
    // One request a second is ours: a round takes ten seconds, and three are asked for.
    let runs = |log: &[Seen]| paths.iter().map(|p| log.iter().filter(|s| s.path == *p).count()).collect::<Vec<_>>();
    let all = api.wait_for(Duration::from_secs(60), |log| runs(log).iter().all(|n| *n >= 3));
    drop(daemon);
    assert!(all, "who never ran, starved: {:?}", runs(&api.log()));
    let at: Vec<i64> = api.log().iter().map(|s| s.at.0).collect();
    // The first two may go before the quota is known; one that was under way at the beginning may arrive in it.
    let most = at[2..].iter().map(|t| at[2..].iter().filter(|o| (*t..*t + 10_000).contains(*o)).count()).max();
    assert!(most <= Some(11), "{most:?} in ten seconds");
}

#[test]
fn two_hundred_integrations_behind_one_credential_keep_one_pace() {
    let dir = tempfile::tempdir().unwrap();
    let slow = Duration::from_millis(150);
    let api = FakeApi::start(move |_| {
        Reply::json("{}").header("ratelimit-policy", "\"m\";q=6000;w=60").header("ratelimit", "\"m\";r=5999;t=60").after(slow)
    });
    let mut text = String::new();
    for n in 0..200 {
        text += &format!(
            "[[integration]]\nid = \"i{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\n[[integration.check]]\nid = \"c\"\nevery = \"10s\"\n\
             [integration.check.http]\nurl = \"{}\"\nauth = {{ bearer = {{ env = \"SHARED\" }} }}\n",
            api.url(&format!("/{n}"))
        );
    }
    write(dir.path(), "", &text);
    let daemon = Daemon::start(dir.path(), &[("SOAKWATCH__RATE_LIMIT__MAX_RATE", "2/s"), ("SHARED", "s3cret-of-all")]);
    // 6000 a minute: 5 a second are ours.
    assert!(api.wait_for(Duration::from_secs(60), |log| log.len() >= 60), "{}", api.log().len());
    let skipped = eventually("skipped slots", || {
        series(&daemon.get("/metrics"), "soakwatch_runs_skipped_total", &["integration=\"i7\"", "cause=\"rate_limit\""])
            .filter(|n| *n > 0.0)
    });
    assert!(skipped >= 1.0);
    drop(daemon);
    let at: Vec<i64> = api.log().iter().map(|s| s.at.0).collect();
    let most_within = |ms: i64| at.iter().map(|t| at.iter().filter(|o| (*t..*t + ms).contains(o)).count()).max().unwrap();
    // Five are ours; two that were under way when it began may arrive in it.
    assert!(most_within(1_000) <= 7, "{} in a second", most_within(1_000));
    assert!(most_within(5_000) <= 27, "{} in five seconds", most_within(5_000));
    assert!(most_within(150) <= 2, "{} in flight", most_within(150));
    let asked: std::collections::BTreeSet<String> = api.log().iter().map(|s| s.path.clone()).collect();
    assert!(asked.len() >= 50, "turns go round: {} of 200 were asked", asked.len());
}

#[test]
fn a_hold_outlives_the_daemon_and_its_slots_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|seen| if seen.path == "/held" { Reply::status(429).header("retry-after", "600") } else { Reply::json("{}") });
    let one = |id: &str, path: &str, auth: &str| {
        format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\n[[integration.check]]\nid = \"c\"\nevery = \"1s\"\n\
             [integration.check.http]\nurl = \"{}\"\n{auth}\n",
            api.url(path)
        )
    };
    let same = "auth = { bearer = { env = \"SHARED\" } }";
    write(dir.path(), "", &[one("held", "/held", same), one("beside", "/beside", same), one("other", "/other", "")].concat());
    let skipped = |daemon: &Daemon, id: &str| {
        series(&daemon.get("/metrics"), "soakwatch_runs_skipped_total", &[&format!("integration=\"{id}\""), "cause=\"rate_limit\""])
            .unwrap_or(0.0)
    };
    let daemon = Daemon::start(dir.path(), &[("SHARED", "s3cret")]);
    eventually("held slots", || (skipped(&daemon, "held") >= 3.0 && skipped(&daemon, "beside") >= 3.0).then_some(()));
    assert_eq!(skipped(&daemon, "other"), 0.0, "another credential is another caller");
    assert_eq!(api.log_of("/held").len(), 1);
    assert!(daemon.log().contains("asks to be left alone"), "{}", daemon.log());
    daemon.kill();

    let (held, beside, other) = (api.log_of("/held").len(), api.log_of("/beside").len(), api.log_of("/other").len());
    let again = Daemon::start(dir.path(), &[("SHARED", "s3cret")]);
    assert!(api.wait_for(Duration::from_secs(20), |log| log.iter().filter(|s| s.path == "/other").count() >= other + 3));
    let before = skipped(&again, "held");
    eventually("held slots go on", || (skipped(&again, "held") >= before + 2.0).then_some(()));
    assert_eq!((api.log_of("/held").len(), api.log_of("/beside").len()), (held, beside), "nobody asked during the hold");
    assert_eq!(again.stop(), Some(0));
}
