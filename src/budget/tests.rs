//! The paces against simulated endpoints: slots as the scheduler makes them, a token bucket that tells its quota in a vendor's own words, and the
//! bucket's log as the judge. Time is simulated, so that ten windows, and ten days, are an ordinary test.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::*;
use crate::config::{LoadOptions, load};
use crate::ratelimit::{Dialect, Response, read};
use crate::slots::Grid;

const START: UnixMs = UnixMs(1_790_000_010_000);
const HOST: &str = "api.example.com";

/// So many integrations with one check each; `auth`: who each is.
fn config(every: &str, integrations: usize, auth: impl Fn(usize) -> Option<usize>) -> Config {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    let mut text = "[customer]\nid = \"acme\"\n".to_owned();
    for n in 0..integrations {
        let _ = write!(
            text,
            "[[integration]]\nid = \"i{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\n[[integration.check]]\nid = \"c\"\nevery = \"{every}\"\n\
             [integration.check.http]\nurl = \"https://{HOST}/\"\n"
        );
        if let Some(key) = auth(n) {
            let _ = writeln!(text, "auth = {{ bearer = {{ env = \"KEY{key}\" }} }}");
        }
    }
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    let loaded = load(dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: START });
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

/// How a vendor tells its quota.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Words {
    IetfLists,
    TripleWithEpoch,
    Okta,
    Zendesk,
    Salesforce,
    Shopify,
}

/// A quota that is full again at each window's end (Shopify's leaks all the time), and what others take of it.
struct Bucket {
    words: Words,
    limit: f64,
    window_ms: i64,
    left: f64,
    at: i64,
    others_per_s: f64,
}

impl Bucket {
    fn new(words: Words, limit: f64, window_s: i64, others_per_s: f64) -> Self {
        Self { words, limit, window_ms: window_s * 1000, left: limit, at: START.0, others_per_s }
    }

    fn dialect(&self) -> Dialect {
        match self.words {
            Words::IetfLists | Words::TripleWithEpoch => Dialect::Auto,
            Words::Okta => Dialect::Okta,
            Words::Zendesk => Dialect::Zendesk,
            Words::Salesforce => Dialect::Salesforce,
            Words::Shopify => Dialect::Shopify,
        }
    }

    /// A request of ours; what it is answered.
    fn ask(&mut self, now: UnixMs) -> Heard {
        let passed = (now.0 - self.at) as f64 / 1000.0;
        if self.words == Words::Shopify {
            self.left = (self.left + passed * self.limit / (self.window_ms as f64 / 1000.0)).min(self.limit);
        } else if now.0.div_euclid(self.window_ms) > self.at.div_euclid(self.window_ms) {
            self.left = self.limit;
        }
        self.left = (self.left - passed * self.others_per_s).max(0.0);
        self.at = now.0;
        let served = self.left >= 1.0;
        if served {
            self.left -= 1.0;
        }
        let (limit, left) = (self.limit as i64, self.left as i64);
        let ends = (now.0.div_euclid(self.window_ms) + 1) * self.window_ms;
        let reset_in = (ends - now.0 + 999) / 1000;
        let mut h = http::HeaderMap::new();
        let mut put = |name: &'static str, value: String| drop(h.insert(name, value.parse().unwrap()));
        match self.words {
            Words::IetfLists => {
                put("ratelimit-policy", format!("\"hour\";q=1000000;w=3600, \"burst\";q={limit};w={}", self.window_ms / 1000));
                put("ratelimit", format!("\"hour\";r=999999;t=1000, \"burst\";r={left};t={reset_in}"));
            }
            Words::TripleWithEpoch => {
                put("x-ratelimit-limit", limit.to_string());
                put("x-ratelimit-remaining", left.to_string());
                put("x-ratelimit-reset", (ends / 1000).to_string());
            }
            Words::Okta => {
                put("x-rate-limit-limit", limit.to_string());
                put("x-rate-limit-remaining", left.to_string());
                put("x-rate-limit-reset", (ends / 1000).to_string());
            }
            Words::Zendesk => {
                put("x-rate-limit", limit.to_string());
                put("x-rate-limit-remaining", left.to_string());
            }
            Words::Salesforce => put("sforce-limit-info", format!("api-usage={}/{limit}", limit - left)),
            Words::Shopify => put("x-shopify-shop-api-call-limit", format!("{}/{limit}", limit - left)),
        }
        if !served && !matches!(self.words, Words::Okta | Words::Salesforce) {
            put("retry-after", if self.words == Words::Shopify { "2.0".into() } else { reset_in.to_string() });
        }
        let (status, body): (u16, &[u8]) = match (served, self.words) {
            (true, _) => (200, b"{}"),
            (false, Words::Salesforce) => (403, br#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#),
            (false, _) => (429, b""),
        };
        let limits = read(&Response { dialect: self.dialect(), status, headers: &h, body, received_at: now });
        let stay_away = limits.stay_away(self.dialect());
        Heard { host: format!("{HOST}:443"), token: false, at: now, limits, stay_away }
    }
}

/// One request of ours, by the endpoint's log.
struct Seen {
    check: String,
    at: UnixMs,
    heard: Heard,
}

/// Runs the checks of a configuration against an endpoint; the endpoint's log, and how many slots came due.
fn simulate(config: &Config, bucket: &mut Bucket, seconds: i64, tick_ms: i64) -> (Vec<Seen>, usize) {
    let zero = crate::clock::monotonic();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(config, |_| None, zero);
    let (mut log, mut due): (Vec<Seen>, usize) = (Vec::new(), 0);
    let mut waiting: VecDeque<(Arc<CheckDef>, UnixMs)> = VecDeque::new();
    let mut next: Vec<(Arc<CheckDef>, UnixMs)> = config.checks().map(|d| (Arc::clone(d), Grid::of(d).after(START))).collect();
    for t in (0..seconds * 1000).step_by(usize::try_from(tick_ms).unwrap()) {
        let (wall, mono) = (UnixMs(START.0 + t), zero + Duration::from_millis(u64::try_from(t).unwrap()));
        for (def, slot) in &mut next {
            if *slot <= wall {
                due += 1;
                if budgets.excuse(&def.id, *slot, wall, def.timeout).is_none() {
                    waiting.push_back((Arc::clone(def), slot.plus(budgets.interval(&def.id).unwrap_or_default().max(def.timeout))));
                }
                *slot = slot.plus(def.every.0);
            }
        }
        waiting.retain(|(_, until)| *until > wall);
        // All of them try in the same moment, as runs do.
        for _ in 0..waiting.len() {
            let Some((def, until)) = waiting.pop_front() else { break };
            if budgets.take(&def.id, wall, mono) {
                let heard = bucket.ask(wall);
                budgets.heard(&def, std::slice::from_ref(&heard), mono);
                log.push(Seen { check: def.id.to_string(), at: wall, heard });
            } else {
                waiting.push_back((def, until));
            }
        }
    }
    (log, due)
}

fn windows(log: &[Seen], window_ms: i64) -> BTreeMap<i64, usize> {
    let mut all = BTreeMap::new();
    log.iter().for_each(|s| *all.entry(s.at.0.div_euclid(window_ms)).or_default() += 1);
    all
}

fn shortest_gap(log: &[Seen]) -> f64 {
    log.windows(2).map(|w| w[1].at.since(w[0].at).as_secs_f64()).fold(f64::INFINITY, f64::min)
}

/// Six dialects, ten windows each, twice: alone, and beside others who use the quota up.
#[test]
fn our_own_traffic_stays_within_its_share_in_every_dialect() {
    for (words, limit, window_s, every, tick_ms) in [
        (Words::IetfLists, 100.0, 60, "5s", 50),
        (Words::TripleWithEpoch, 200.0, 60, "5s", 50),
        (Words::Okta, 600.0, 60, "2s", 50),
        (Words::Zendesk, 700.0, 60, "2s", 50),
        (Words::Shopify, 40.0, 20, "2s", 50),
        (Words::Salesforce, 15_000.0, 86_400, "60s", 5_000),
    ] {
        for crowd in [0.0, 1.3] {
            let config = config(every, 3, |_| Some(1));
            let mut bucket = Bucket::new(words, limit, window_s, crowd * limit / window_s as f64);
            let (log, due) = simulate(&config, &mut bucket, 10 * window_s, tick_ms);
            let most = windows(&log, window_s * 1000).into_values().max().unwrap_or(0);
            let share = 0.05 * limit;
            assert!(most as f64 <= share, "{words:?} {crowd}: {most} in a window, {share} are ours");
            // It is used, too: a budget that lets nothing through would be no budget.
            let used = log.len() as f64 / (10.0 * share);
            let wanted = due as f64 / (10.0 * share);
            let told_late = if words == Words::Shopify { 0.1 } else { 0.5 };
            assert!(crowd > 0.0 || used >= told_late * wanted.min(1.0), "{words:?}: {used:.2} of the share is used, {wanted:.2} wanted");
            // A window nobody tells is known when one has gone by.
            let known = log.iter().take_while(|s| s.at.since(START).as_secs() < window_s as u64 + 1).count();
            let gap = shortest_gap(&log[known..]);
            assert!(gap >= 0.9 * window_s as f64 / share, "{words:?} {crowd}: two requests {gap} s apart");
            let refused = log.iter().filter(|s| s.heard.limits.throttled).count();
            assert_eq!(refused > 0, crowd > 0.0, "{words:?} {crowd}: refused {refused}");
            for pair in log.windows(2) {
                let Some(asked) = pair[0].heard.stay_away else { continue };
                assert!(pair[1].at >= pair[0].at.plus(asked), "{words:?}: asked to wait {asked:?}, came back too early");
            }
        }
    }
}

/// Must show 3: many integrations behind one host and credential are one caller.
#[test]
fn two_hundred_integrations_on_one_credential_are_one_caller() {
    let told = config("60s", 200, |_| Some(1));
    let mut bucket = Bucket::new(Words::IetfLists, 600.0, 60, 0.0);
    let (log, due) = simulate(&told, &mut bucket, 600, 20);
    assert!(due >= 1_990, "{due}");
    assert!(windows(&log, 60_000).values().all(|n| *n <= 30), "{:?}", windows(&log, 60_000));
    assert!(log.len() >= 200, "{}", log.len());
    // Each runs every 7th slot, evenly: nobody is left out, nobody goes first.
    let budgets = Budgets::new(&told.settings.rate_limit);
    let zero = crate::clock::monotonic();
    budgets.plan(&told, |_| None, zero);
    let first = told.checks().next().unwrap();
    budgets.heard(first, &[Bucket::new(Words::IetfLists, 600.0, 60, 0.0).ask(START)], zero);
    for def in told.checks() {
        let view = budgets.view(&def.id, START, zero).unwrap();
        assert_eq!((view.factor, view.shared_by, view.effective_interval), (7, 200, Span::seconds(420)));
        let run = (0..70u32).filter(|n| budgets.excuse(&def.id, START.plus(def.every.0 * *n), START, def.timeout).is_none()).count();
        assert_eq!(run, 10, "{}", def.id);
    }
}

/// Slots stand where they stand: of ten checks that share a pace which just suffices, each gets its turn.
#[test]
fn nobody_who_shares_a_pace_starves() {
    for every in ["60s", "2m"] {
        let config = config(every, 10, |_| Some(1));
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        let (log, _) = simulate(&config, &mut Bucket::new(Words::IetfLists, 100.0, 60, 0.0), 3_600, 100);
        log.iter().for_each(|s| *asked.entry(s.check.clone()).or_default() += 1);
        // One run in two minutes each, but for the beginning.
        assert_eq!(asked.len(), 10, "{every}: {asked:?}");
        assert!(asked.values().all(|n| *n >= 27), "{every}: {asked:?}");
    }
}

/// Without a told quota it is the host's: whoever comes under whatever name.
#[test]
fn without_a_quota_a_host_bears_one_request_a_second() {
    let mut config = config("60s", 120, Some);
    config.settings.rate_limit.max_rate = "30/min".parse().unwrap();
    let zero = crate::clock::monotonic();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, zero);
    let view = budgets.view(&config.checks().next().unwrap().id, START, zero).unwrap();
    assert_eq!((view.factor, view.shared_by, view.allowed_per_s), (4, 120, 0.5));
    assert!((view.wanted_per_s - 2.0).abs() < 1e-9);
    // One of them is told a quota: it leaves the common pace, the others share it.
    let first = config.checks().next().unwrap();
    budgets.heard(first, &[Bucket::new(Words::IetfLists, 6_000.0, 60, 0.0).ask(START)], zero);
    let (own, others) =
        (budgets.view(&first.id, START, zero).unwrap(), budgets.view(&config.checks().nth(1).unwrap().id, START, zero).unwrap());
    assert_eq!((own.factor, own.shared_by, others.shared_by), (1, 1, 119));
}

#[test]
fn a_hold_is_for_all_who_share_it_and_survives() {
    let config = config("60s", 4, |n| Some(n / 2));
    let zero = crate::clock::monotonic();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, zero);
    let all: Vec<_> = config.checks().cloned().collect();
    let mut told = Bucket::new(Words::IetfLists, 100.0, 60, 0.0).ask(START);
    (told.limits.throttled, told.limits.retry_after, told.stay_away) =
        (true, Some(Duration::from_secs(9_000)), Some(Duration::from_secs(9_000)));
    budgets.heard(&all[0], &[told], zero);
    let held = |b: &Budgets, s: u64| {
        let at = START.plus(Duration::from_secs(s));
        all.iter().map(|d| b.excuse(&d.id, at, at, d.timeout) == Some(Excuse::Held(Because::Asked))).collect::<Vec<_>>()
    };
    assert_eq!(held(&budgets, 60), [true, true, false, false]);
    // No longer than max_hold, whatever was asked for.
    assert_eq!((held(&budgets, 3_580), held(&budgets, 3_601)), (vec![true, true, false, false], vec![false; 4]));
    let notes: BTreeMap<String, String> = budgets.notes().into_iter().map(|(id, text)| (id, text.unwrap())).collect();
    assert_eq!(notes.len(), 1);
    assert!(budgets.notes().is_empty(), "each is handed out once");
    let next = Budgets::new(&config.settings.rate_limit);
    next.plan(&config, |_| None, zero);
    assert_eq!(next.restore(&notes, START.plus(Duration::from_secs(60))), Vec::<String>::new());
    assert_eq!(held(&next, 60), [true, true, false, false]);
    // Over: it is not put back, and its note goes.
    assert_eq!(next.restore(&notes, START.plus(Duration::from_secs(3_601))).len(), 1);
    // A clock that is set back makes it no longer than it may be.
    assert!(next.wait(&all[0].id, UnixMs(START.0 - 86_400_000), zero) <= Duration::from_secs(3_600));
}

/// Where nobody says for how long, the pause a dialect is known for grows, and a good answer ends that.
#[test]
fn a_pause_nobody_told_the_length_of_grows() {
    let config = config("60s", 1, |_| None);
    let zero = crate::clock::monotonic();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, zero);
    let def = config.checks().next().unwrap();
    let mut at = START;
    let mut lengths = Vec::new();
    for n in 0..5 {
        let good = n == 3;
        let limits = crate::ratelimit::RateLimit { throttled: !good, ..Default::default() };
        let stay_away = limits.stay_away(Dialect::Github);
        budgets.heard(def, &[Heard { host: format!("{HOST}:443"), token: false, at, limits, stay_away }], zero);
        let hold = budgets.view(&def.id, at, zero).unwrap().hold;
        lengths.push(hold.as_ref().map_or(0, |h| h.until.since(at).as_secs()));
        at = hold.map_or(at, |h| h.until).plus(Duration::from_secs(1));
    }
    assert_eq!(lengths, [60, 120, 240, 0, 60]);
}

#[test]
fn a_changed_configuration_forgets_neither_quota_nor_hold() {
    let (before, zero) = (config("60s", 2, |_| Some(1)), crate::clock::monotonic());
    let budgets = Budgets::new(&before.settings.rate_limit);
    budgets.plan(&before, |_| None, zero);
    let def = before.checks().next().unwrap();
    let mut told = Bucket::new(Words::IetfLists, 100.0, 60, 0.0).ask(START);
    (told.limits.throttled, told.stay_away) = (true, Some(Duration::from_secs(600)));
    budgets.heard(def, &[told], zero);
    let view = |id: &CheckId| budgets.view(id, START, zero).map(|v| (v.quota.map(|q| q.policy), v.hold.is_some()));
    // It leaves, and comes back.
    budgets.plan(&config("60s", 0, |_| None), |_| None, zero);
    assert_eq!(view(&def.id), None);
    budgets.plan(&before, |_| None, zero);
    assert_eq!(view(&def.id), Some((None, true)), "what the store knows of its quota comes from the store");
    let limits = {
        let mut l = Limits::default();
        l.apply(&readings(&Bucket::new(Words::IetfLists, 100.0, 60, 0.0).ask(START).limits, "", START));
        l
    };
    budgets.plan(&config("60s", 0, |_| None), |_| None, zero);
    budgets.plan(&before, |_| Some(limits.clone()), zero);
    assert_eq!(view(&def.id), Some((Some("burst".into()), true)));
}

#[test]
fn a_hold_says_what_it_comes_from() {
    let (config, zero) = (config("60s", 1, |_| None), crate::clock::monotonic());
    let def = config.checks().next().unwrap();
    let (own, s) = (format!("{HOST}:443"), Duration::from_secs);
    let because = |host: &str, token, retry_after, reset_in, dialect| {
        let budgets = Budgets::new(&config.settings.rate_limit);
        budgets.plan(&config, |_| None, zero);
        let limits = crate::ratelimit::RateLimit { throttled: true, retry_after, reset_in, ..Default::default() };
        let stay_away = limits.stay_away(dialect);
        budgets.heard(def, &[Heard { host: host.into(), token, at: START, limits, stay_away }], zero);
        let excuse = budgets.excuse(&def.id, START, START, def.timeout).unwrap();
        assert_eq!(excuse, Excuse::Held(budgets.view(&def.id, START, zero).unwrap().hold.unwrap().because));
        excuse.words()
    };
    assert_eq!(because(&own, false, Some(s(60)), Some(s(90)), Dialect::Auto), "held: the host asked to be left alone");
    assert_eq!(because(&own, false, None, Some(s(90)), Dialect::Auto), "held: the host refused, and said when its quota renews");
    assert_eq!(because(&own, false, None, None, Dialect::Github), "held: the host refused, and its vendor documents a pause");
    assert_eq!(because("login.example.com:443", true, Some(s(60)), None, Dialect::Auto), "held: the token endpoint is to be left alone");
    assert_eq!(
        because("www.example.com:443", false, Some(s(60)), None, Dialect::Auto),
        "held: where the host leads to is to be left alone"
    );
    // A note of before it was kept.
    let old = format!("{{\"until\":{},\"since\":{},\"asked_s\":60,\"check\":\"acme/production/i0/c\"}}", START.0 + 60_000, START.0);
    assert_eq!(serde_json::from_str::<Hold>(&old).unwrap().because, Because::Asked);
}

/// A run that was refused by the token endpoint, and one of another credential that asked nobody: both tell the same end as the transport.
#[test]
fn a_token_endpoint_s_hold_ends_when_it_is_said_to() {
    let (config, zero) = (config("60s", 2, Some), crate::clock::monotonic());
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, zero);
    let all: Vec<_> = config.checks().cloned().collect();
    let (at, wait) = (UnixMs(START.0 + 450), Duration::from_secs(60));
    let limits = crate::ratelimit::RateLimit { throttled: true, retry_after: Some(wait), ..Default::default() };
    budgets.heard(&all[0], &[Heard { host: "login.example.com:443".into(), token: true, at, limits, stay_away: Some(wait) }], zero);
    let later = |ms: u64| (at.plus(Duration::from_millis(ms)), wait - Duration::from_millis(ms));
    for (def, ms) in [(&all[1], 3), (&all[0], 20), (&all[1], 9_000)] {
        let (now, left) = later(ms);
        // What it took to come from the transport.
        budgets.left_alone(def, now.plus(Duration::from_millis(2)), left);
        let hold = budgets.view(&def.id, now, zero).unwrap().hold.unwrap();
        assert_eq!((hold.until, hold.asked_s), (at.plus(wait).next_whole_second(), 60), "{ms}");
    }
}

#[test]
fn what_is_paused_wants_nothing_at_all() {
    let (mut config, zero) = (config("60s", 1, |_| None), crate::clock::monotonic());
    let customer = &mut config.customers[0];
    let mut paused = crate::config::model::Integration::clone(&customer.integrations[0]);
    paused.paused = Some(crate::config::model::Paused { reason: "why".into(), by: "me".into() });
    customer.integrations[0] = Arc::new(paused);
    let check = CheckDef { integration: Arc::clone(&customer.integrations[0]), ..CheckDef::clone(&customer.checks[0]) };
    customer.checks[0] = Arc::new(check);
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, zero);
    let wanted = budgets.view(&config.checks().next().unwrap().id, START, zero).unwrap().wanted_per_s;
    assert!(wanted == 0.0 && wanted.is_sign_positive(), "{wanted:?}");
}
