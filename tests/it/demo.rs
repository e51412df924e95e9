//! The demo's estate, watched by a whole daemon: every story ends in its own class and attribution, and a cut network blames nobody.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use soakwatch::app::Running;
use soakwatch::board::{CheckEntry, Counts, IntegrationEntry};
use soakwatch::clock::{Clock, DAY_MS, HOUR_MS, UnixMs, monotonic};
use soakwatch::demo::quotas::midnight_after;
use soakwatch::demo::{self, Estate};
use soakwatch::evidence::{Checked, Kind, Recorded};
use soakwatch::finding::Level;
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::{Attribution, Cause, Class};
use soakwatch::soak::Ruling;
use soakwatch::soak::gate::Answer;
use soakwatch::store::Reader;

use crate::support::daemon::{eventually, get, output, series, soakwatch};

/// Each check of the estate, and the failure it must come to; none: it never fails.
const STORIES: &[(&str, Option<(Class, Attribution)>)] = &[
    ("acme/production/erp-orders/health", None),
    ("acme/production/erp-orders/list-orders", None),
    ("acme/production/crm-contacts/list-contacts", None),
    ("acme/production/warehouse-stock/queue", None),
    ("acme/production/support-tickets/list-tickets", None),
    ("acme/staging/erp-orders/list-orders", Some((Class::ServerError, Attribution::CustomerEnvironment))),
    ("borealis/production/patient-index/search", None),
    ("borealis/production/lab-results/latest", Some((Class::Slow, Attribution::CustomerEnvironment))),
    ("borealis/production/payroll-export/status", Some((Class::Certificate, Attribution::CustomerEnvironment))),
    ("borealis/production/staff-sign-in/discovery", None),
    ("borealis/production/physician-sign-in/metadata", None),
    ("borealis/production/appointment-events/deliver", None),
    ("borealis/production/referral-letters/round-trip", None),
    ("borealis/production/ward-alerts/auth-test", Some((Class::Throttled, Attribution::ThirdParty))),
    ("cobalt/production/ledger-postings/list-postings", Some((Class::Unauthorized, Attribution::Configuration))),
    ("cobalt/production/kyc-screening/screen", Some((Class::Forbidden, Attribution::Configuration))),
    ("cobalt/production/statement-archive/reachable", Some((Class::Tls, Attribution::CustomerEnvironment))),
    ("cobalt/production/customer-relations/query-accounts", None),
    ("cobalt/sandbox/payments/initiate", Some((Class::ServerError, Attribution::ProductDefect))),
    ("dunlin/staging/shipment-tracking/track", Some((Class::Dns, Attribution::ThirdParty))),
    ("dunlin/staging/customs-gateway/ping", Some((Class::Connect, Attribution::CustomerEnvironment))),
    ("dunlin/staging/route-planner/plan", Some((Class::Timeout, Attribution::ThirdParty))),
    ("dunlin/staging/parcel-events/deliver", Some((Class::Signature, Attribution::Configuration))),
    ("dunlin/staging/proof-of-delivery/round-trip", Some((Class::Assertion, Attribution::ThirdParty))),
    ("dunlin/staging/label-printing/template", Some((Class::NotFound, Attribution::Configuration))),
    ("dunlin/staging/driver-sign-in/metadata", Some((Class::Drift, Attribution::CustomerEnvironment))),
    ("dunlin/staging/customer-portal/provider", Some((Class::Metadata, Attribution::Configuration))),
    ("elmwood/production/campus-sign-in/metadata", None),
    ("elmwood/production/student-accounts/scim", Some((Class::Metadata, Attribution::Configuration))),
    ("elmwood/production/enrolment-events/arrivals", Some((Class::Missing, Attribution::ThirdParty))),
    ("elmwood/production/student-records/list", Some((Class::Assertion, Attribution::ThirdParty))),
    ("elmwood/production/library-catalogue/search", Some((Class::Redirect, Attribution::Configuration))),
    ("elmwood/production/timetable/feed", Some((Class::Protocol, Attribution::CustomerEnvironment))),
    ("elmwood/production/alumni-mailing/campaigns", Some((Class::Throttled, Attribution::ThirdParty))),
    ("elmwood/staging/library-loans/list-loans", None),
    ("fjord/production/loyalty-points/balance", None),
    ("fjord/production/staff-accounts/scim", None),
    ("fjord/production/pos-sales/journal", None),
    ("fjord/production/price-feed/prices", None),
    ("fjord/production/stock-events/arrivals", None),
    ("fjord/production/product-images/fetch", None),
    ("fjord/production/web-orders/list-orders", Some((Class::Throttled, Attribution::ThirdParty))),
];
/// The checks whose stories are about quotas: room to spare, throttled at the declared peak, a hold, gone before midnight.
const QUOTAS: [&str; 4] = [
    "acme/production/support-tickets/list-tickets",
    "fjord/production/web-orders/list-orders",
    "borealis/production/ward-alerts/auth-test",
    "cobalt/production/customer-relations/query-accounts",
];
/// The checks that are never due.
const AT_REST: [&str; 2] = ["fjord/production/pos-sales/journal", "fjord/production/price-feed/prices"];
const LIMIT: Duration = Duration::from_secs(20);

async fn watched() -> (Estate, Running) {
    let clock = Clock::System;
    let estate = Estate::start(&clock).await.unwrap();
    let own = Arc::new(OwnMetrics::new().unwrap());
    let running = demo::watch(&estate, "127.0.0.1:0".parse().unwrap(), clock, own).await.unwrap();
    (estate, running)
}

/// Passes of a check that were not made before the daemon started.
fn passes(estate: &Estate, running: &Running, id: &str) -> u64 {
    let made = estate.made().runs.get(&id.parse().unwrap()).copied().unwrap_or(0);
    check(running, id).state.counts.pass.saturating_sub(made)
}

fn check(running: &Running, id: &str) -> CheckEntry {
    running.board.check(&id.parse().unwrap()).unwrap_or_else(|| panic!("{id} is not on the board"))
}

/// Looks at the board until a condition holds; what is still missing is said at the limit.
async fn until(what: &str, missing: impl FnMut() -> Vec<String>) {
    until_within(LIMIT, what, missing).await;
}

async fn until_within(limit: Duration, what: &str, mut missing: impl FnMut() -> Vec<String>) {
    let began = monotonic();
    loop {
        let left = missing();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < limit, "{what}, still missing: {left:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_story_ends_in_its_own_class_and_attribution() {
    let (estate, running) = watched().await;
    running.board.read(|all| {
        let customers: std::collections::BTreeSet<&str> = all.iter().map(|i| i.def.id.customer()).collect();
        assert!(customers.len() >= 6 && all.len() >= 15, "{} customers, {} integrations", customers.len(), all.len());
        let on_board: Vec<String> = all.iter().flat_map(|i| &i.checks).map(|c| c.def.id.to_string()).collect();
        assert!(on_board.iter().all(|id| STORIES.iter().any(|(story, _)| story == id)) && on_board.len() == STORIES.len(), "{on_board:?}");
    });
    until("stories", || {
        let told = |(id, failure): &&(&str, Option<(Class, Attribution)>)| {
            let state = check(&running, id).state;
            match failure {
                Some((class, attribution)) => state.classes.get(class).is_some_and(|by| by.get(attribution).is_some()),
                None => AT_REST.contains(id) || passes(&estate, &running, id) >= 3,
            }
        };
        STORIES.iter().filter(|s| !told(s)).map(|(id, f)| format!("{id}: {f:?}, has {:?}", check(&running, id).state)).collect()
    })
    .await;
    for (id, failure) in STORIES {
        let state = check(&running, id).state;
        let seen: Vec<(Class, Attribution)> = state.classes.iter().flat_map(|(c, by)| by.iter().map(|(a, _)| (*c, *a))).collect();
        assert_eq!(seen, failure.iter().copied().collect::<Vec<_>>(), "{id} has only its own class and attribution");
    }
    for id in AT_REST {
        assert_eq!(check(&running, id).state.counts, Counts::default(), "{id} is not due");
    }
    // What is shown beside the outcome.
    let now = Clock::System.now();
    let days = |id: &str| (check(&running, id).state.certificate_expiry.unwrap().0 - now.0).div_euclid(86_400_000);
    assert_eq!(days("borealis/production/staff-sign-in/discovery"), 9);
    assert!(days("borealis/production/payroll-export/status") < 0, "an expired certificate still shows its dates");
    let found = |id: &str| check(&running, id).state.findings.iter().map(|f| (f.id.to_string(), f.level)).collect::<Vec<_>>();
    assert_eq!(found("borealis/production/physician-sign-in/metadata"), [("SAML-KEY-03".to_owned(), Level::Warn)]);
    assert_eq!(found("dunlin/staging/driver-sign-in/metadata"), [("SAML-KEY-06".to_owned(), Level::Fail)]);
    assert_eq!(found("dunlin/staging/customer-portal/provider"), [("OIDC-ISS-01".to_owned(), Level::Fail)]);
    until("the new key beside the old one", || {
        let rolling = check(&running, "elmwood/production/campus-sign-in/metadata").state;
        let told = rolling.document_changes == 1 && !rolling.findings.is_empty() && rolling.findings.iter().all(|f| f.level == Level::Info);
        if told { Vec::new() } else { vec![format!("{rolling:?}")] }
    })
    .await;
    let scim = |id: &str| check(&running, id).state.findings.iter().map(|f| f.id.to_string()).collect::<Vec<_>>();
    // Where no filter is looked at, a broken one is not refused either.
    assert_eq!(scim("elmwood/production/student-accounts/scim"), ["SCIM-FLT-02", "SCIM-FLT-04"]);
    assert_eq!(scim("fjord/production/staff-accounts/scim"), [""; 0]);
    let depth = check(&running, "acme/production/warehouse-stock/queue").state.values["queue_depth"];
    assert!((12.0..=60.0).contains(&depth), "{depth}");
    let retried = check(&running, "fjord/production/loyalty-points/balance").state;
    assert_eq!((retried.counts.fail, retried.first_attempt_failures > 0), (0, true), "passes on the second attempt");
    let ledger = check(&running, "cobalt/production/ledger-postings/list-postings").state;
    assert!(ledger.counts.pass >= 1, "the secret was right before it was rotated");
    // The secret is read at use: the new one works without a reload.
    std::fs::write(estate.config_dir().join("secrets/cobalt-ledger-token"), demo::stories::LEDGER_TOKEN_NOW).unwrap();
    until("a pass with the new secret", || {
        let now = check(&running, "cobalt/production/ledger-postings/list-postings").state.counts;
        if now.pass > ledger.counts.pass { Vec::new() } else { vec![format!("{now:?}")] }
    })
    .await;
    // What a receiver of webhooks accepts and must not is named; what must be refused is sent to the good one once an hour.
    let open = |id: &str| check(&running, id).state.findings.iter().map(|f| (f.id.to_string(), f.detail.clone())).collect::<Vec<_>>();
    let accepted = "accepts a tampered message (answered 200 (OK))".to_owned();
    assert_eq!(open("dunlin/staging/parcel-events/deliver"), [("HOOK-SIG-01".to_owned(), accepted)]);
    assert_eq!(open("borealis/production/appointment-events/deliver"), []);
    let delivered = check(&running, "borealis/production/appointment-events/deliver").state.counts.pass;
    assert!(estate.served("hooks.borealis.example") <= delivered + 6, "one message again, four that are wrong, one under way");
    // Messages to us: who sends is counted, who fell silent was heard before, and who answers twice is told from who answers once.
    let last = |id: &str| running.board.arrivals.read(&id.parse().unwrap(), |s| s.last).unwrap();
    let heard = |id: &str| running.board.arrivals.read(&id.parse().unwrap(), |s| s.tally.clone()).unwrap();
    let [on_time, silent] = ["fjord/production/stock-events/arrivals", "elmwood/production/enrolment-events/arrivals"];
    let (stock, enrolment) = (heard(on_time), heard(silent));
    assert!(stock.received > enrolment.received && stock.refused.is_empty(), "{stock:?}");
    assert!(stock.delays.iter().sum::<u64>() == stock.received && stock.delays[0] > 0, "each says when it was made: {stock:?}");
    assert!(
        enrolment.received == 6 && enrolment.refused.is_empty() && last(silent) < last(on_time),
        "before it fell silent: {enrolment:?}"
    );
    assert!(check(&running, silent).state.last.unwrap().detail.is_some_and(|d| d.starts_with("no message came between ")));
    let values = |id: &str| check(&running, id).state.values;
    let (once, twice) = (values("borealis/production/referral-letters/round-trip"), values("dunlin/staging/proof-of-delivery/round-trip"));
    assert!(once["callback_delay_seconds"] > 0.0 && !once.contains_key("callback_duplicates"), "{once:?}");
    assert_eq!(twice["callback_duplicates"], 1.0, "{twice:?}");
    assert_eq!(heard("dunlin/staging/proof-of-delivery/round-trip").refused.keys().collect::<Vec<_>>(), ["replay"], "nobody forged it");
    assert!(estate.served("control.soakwatch-product.example") > 0, "the self-check asks the demo's own control");
    running.stop().await.unwrap();
    estate.stop().await;
}

/// The integration of a check.
fn integration(id: &str) -> &str {
    id.rsplit_once('/').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn each_quota_tells_its_own_story() {
    let (estate, running) = watched().await;
    // It blocks, on the test's own thread: the daemon has others.
    let ask = |path: &str| get(&format!("http://{}{path}", running.address)).1;
    let limits = |id: &str| {
        let mut all: Value = serde_json::from_str(&ask(&format!("/api/v1/limits?id={}", integration(id)))).unwrap();
        all["integrations"][0].take()
    };
    let state = |id: &str| check(&running, id).state;
    let skipped = |id: &str| state(id).causes.get(&Cause::RateLimit).copied().unwrap_or(0);
    let [tickets, orders, alerts, relations] = QUOTAS;
    until("quotas", || {
        let told = [
            (tickets, passes(&estate, &running, tickets) >= 4),
            (orders, state(orders).counts.throttled >= 1 && state(orders).counts.pass >= 3),
            (alerts, skipped(alerts) >= 3),
            (relations, skipped(relations) >= 2 && !limits(relations)["policies"][0]["exhausted_at"].is_null()),
        ];
        told.iter().filter(|(_, told)| !told).map(|(id, _)| format!("{id}: {:?}, {}", state(id).counts, limits(id))).collect()
    })
    .await;
    let page = ask("/");
    let row = |name: &str| page.split("<tr").find(|r| r.contains(name)).unwrap_or_else(|| panic!("{name}: {page}"));
    let detail = |id: &str| ask(&format!("/integrations/{}", integration(id)));

    // Room to spare: more than three times the declared peak, plenty left, and not one slot lost.
    let told = limits(tickets);
    let quota = &told["policies"][0];
    assert_eq!((&quota["limit"], &quota["window_s"], &told["headroom"]), (&json!(700), &json!(60), &json!(3.5)), "{told}");
    assert!(quota["remaining"].as_u64().unwrap() > 350 && quota["exhausted_at"].is_null() && !quota["reset_at"].is_null(), "{told}");
    assert_eq!((&told["budgets"][0]["factor"], &told["batches"][0]["policies"][0]["fits"]), (&json!(1), &json!(true)), "{told}");
    assert!(detail(tickets).contains("3.5 × the declared volume") && row("Support tickets").contains("headroom 3.5 ×"), "{page}");

    // Throttled at the declared peak: there is less than was declared, and it is not us who make the calls.
    let told = limits(orders);
    assert_eq!((&told["policies"][0]["policy"], &told["policies"][0]["limit"]), (&json!("burst"), &json!(200)), "{told}");
    assert!(told["headroom"].as_f64().unwrap() < 0.7, "{told}");
    assert!(estate.served("orders.shophub.example") < 20, "the quota is not used up by us");
    assert!(detail(orders).contains("0.66 × the declared volume") && row("Web shop orders").contains("headroom 0.66 ×"), "{page}");
    assert!(row("Web shop orders").contains("declared volume"), "throttled or not, it says what is wrong: {page}");

    // A hold: nothing was sent since the host asked for it.
    let told = limits(alerts);
    assert_eq!(
        (&told["holds"][0]["asked_s"], &told["holds"][0]["told"], &told["policies"]),
        (&json!(45), &json!(alerts), &json!([])),
        "{told}"
    );
    assert_eq!((estate.served("chat.wardtalk.example"), state(alerts).counts.throttled), (4, 1), "nothing is sent during a hold");
    assert!(row("Ward alerts").contains("held until"), "{page}");
    assert!(detail(alerts).contains("held, no slot runs until") && detail(alerts).contains("held: the host asked to be left alone"));

    // Gone before midnight whatever the hour, though by what was declared it is enough; and the widened interval.
    let told = limits(relations);
    let quota = &told["policies"][0];
    let at = |key: &str| -> UnixMs { quota[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().into() };
    assert_eq!((&quota["policy"], &quota["limit"]), (&json!("api-usage"), &json!(500_000)), "{told}");
    assert!(at("exhausted_at") < midnight_after(at("read_at")), "{told}");
    // When it renews is not told: of a day that is well on its way less is left than another whole day needs.
    let declared_lasts = quota["exhausted_at_declared"].is_null() || at("exhausted_at") < at("exhausted_at_declared");
    assert!(told["headroom"].as_f64().unwrap() > 1.5 && declared_lasts, "{told}");
    assert_eq!((&told["budgets"][0]["factor"], state(relations).counts.throttled), (&json!(2), 0), "{told}");
    let of_relations = row("Customer relations");
    for part in
        ["quota out", "widened ×2", "headroom 1.56 ×", "quota runs out", "move the batch, or agree on a larger quota with the vendor"]
    {
        assert!(of_relations.contains(part), "{part}: {of_relations}");
    }
    assert!(detail(relations).contains("widened interval: our share of the quota"));
    assert!(page.find("Customer relations").unwrap() < page.find("ERP sales orders").unwrap(), "above what just passes: {page}");
    // By what was declared the batch fits; by what is used it does not, but in the last hour before it.
    let fit = &told["batches"][0]["policies"][0];
    let begins = UnixMs(at("read_at").0.div_euclid(DAY_MS) * DAY_MS + 22 * HOUR_MS);
    let in_time = at("read_at") < begins && begins < at("exhausted_at");
    assert_eq!((&fit["fits"], fit["fits_as_used"].is_null()), (&json!(true), false), "{told}");
    assert!(in_time || fit["fits_as_used"] == json!(false), "{told}");

    // The same in numbers.
    let scrape = ask("/metrics");
    let of = |name: &str, id: &str| {
        let label = format!("integration=\"{}\"", integration(id).rsplit('/').next().unwrap());
        series(&scrape, name, &[&label])
    };
    assert_eq!(of("soakwatch_rate_limit_headroom_ratio", tickets), Some(3.5));
    assert!(of("soakwatch_rate_limit_headroom_ratio", orders).is_some_and(|h| h < 0.7));
    assert_eq!(of("soakwatch_rate_limit_retry_after_seconds", alerts), Some(45.0));
    assert!(of("soakwatch_rate_limit_exhaustion_timestamp_seconds", relations).is_some());
    assert_eq!(of("soakwatch_check_effective_interval_seconds", relations), Some(4.0));

    // Nobody else's pace is in its own way.
    let others = STORIES.iter().map(|(id, _)| *id).filter(|id| !QUOTAS[1..].contains(id));
    let lost: Vec<&str> = others.filter(|id| skipped(id) > 0).collect();
    assert_eq!(lost, [""; 0], "the pace costs slots that no story is about");
    running.stop().await.unwrap();
    estate.stop().await;
}

/// Must show 2: the windows of the demo are an hour long, and every answer is there within a minute.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_gate_is_reached() {
    let (estate, running) = watched().await;
    let begun = Clock::System.now();
    let made = estate.made();
    let gate = |place: &str| {
        running.board.read(|all| {
            let there = |i: &&IntegrationEntry| i.def.id.to_string().starts_with(&format!("{place}/"));
            running.soaks.gate(&all.iter().filter(there).collect::<Vec<_>>(), Clock::System.now())
        })
    };
    let verdict = |id: &str| {
        let entry = running.board.integration(&id.parse().unwrap()).unwrap();
        running.soaks.judged(&entry, Clock::System.now(), |_, verdict| verdict.clone())
    };
    assert_eq!(gate("acme/production").answer, Answer::NotYet, "its window is not full at once");
    let answers = [
        ("acme/production", Answer::Go),
        ("acme/staging", Answer::NoGo),
        ("cobalt/production", Answer::NoGo),
        ("elmwood/staging", Answer::NotYet),
    ];
    let rulings = [
        ("acme/production/support-tickets", Ruling::Passed),
        ("acme/staging/erp-orders", Ruling::Failed),
        ("cobalt/production/kyc-screening", Ruling::Doomed),
        ("cobalt/production/customer-relations", Ruling::Running),
        ("dunlin/staging/label-printing", Ruling::NotStarted),
        ("elmwood/staging/library-loans", Ruling::Running),
        ("elmwood/production/timetable", Ruling::InsufficientEvidence),
    ];
    until_within(3 * LIMIT, "answers", || {
        let open = answers.iter().map(|(place, answer)| (gate(place), answer)).filter(|(gate, answer)| gate.answer != **answer);
        let mut left: Vec<String> = open.map(|(gate, answer)| format!("{answer}: {gate:#?}")).collect();
        left.extend(rulings.iter().filter(|(id, r)| verdict(id).is_none_or(|v| v.ruling != *r)).map(|(id, r)| format!("{id}: {r}")));
        left
    })
    .await;
    let doomed = verdict("cobalt/production/kyc-screening").unwrap();
    assert!(doomed.doomed_at.is_some_and(|at| at > begun), "by runs that were made: {doomed:?}");
    assert!(made.runs.keys().all(|check| check.integration().customer() == "acme"), "{made:?}");
    assert!(made.runs.values().all(|n| *n > 1_700) && made.runs.len() == 6, "{made:?}");

    // What the log says of it, in its order: it is the daemon's own, and one record says what was made.
    let reader = Reader::open(&estate.config_dir().join("soakwatch.db")).unwrap();
    assert!(reader.check_evidence(Checked::default()).unwrap().whole());
    let said = |of: &str| -> Vec<String> {
        let log = reader.evidence("acme", "production", UnixMs(i64::MAX)).unwrap();
        let text = |r: &Recorded, key: &str| r.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let records = log.into_iter().filter_map(|l| l.record.map(|r| *r)).filter(|r| r.integration.as_deref().is_none_or(|i| i == of));
        let one = |r: Recorded| match r.kind().unwrap() {
            Kind::Verdict => Some(text(&r, "verdict")),
            Kind::Attestation => Some(text(&r, "name")),
            kind @ (Kind::DaemonStarted | Kind::SoakStarted) => Some(kind.to_string()),
            _ => None,
        };
        records.filter_map(one).collect()
    };
    until("the verdict on record", || {
        let said = said("erp-orders");
        let first = ["daemon_started", "soak_started"].iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let all = ["made_history", "running", "passed"].iter().all(|s| said.contains(&(*s).to_owned()));
        if said.starts_with(&first) && all && said.len() == 5 { Vec::new() } else { said }
    })
    .await;
    running.stop().await.unwrap();
    estate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_blames_nobody_and_mends_by_itself() {
    let (estate, running) = watched().await;
    // Every other request to the loyalty programme fails by itself: a run that lost an attempt to the cut may meet two of those.
    let healthy = |id: &&str| !AT_REST.contains(id) && *id != "fjord/production/loyalty-points/balance";
    let healthy: Vec<&str> = STORIES.iter().filter(|(_, f)| f.is_none()).map(|(id, _)| *id).filter(healthy).collect();
    let counts = |id: &str| check(&running, id).state.counts;
    let waiting_for = |ready: &dyn Fn(&str) -> bool| -> Vec<String> {
        healthy.iter().filter(|id| !ready(id)).map(|id| format!("{id}: {:?}", counts(id))).collect()
    };
    until("first runs", || waiting_for(&|id| passes(&estate, &running, id) >= 1)).await;
    estate.cut(true);
    until("runs that nobody can judge", || waiting_for(&|id| counts(id).unknown >= 2)).await;
    let passed: Vec<u64> = healthy.iter().map(|id| counts(id).pass).collect();
    estate.cut(false);
    until("runs after the cut", || {
        healthy.iter().zip(&passed).filter(|(id, before)| counts(id).pass < **before + 2).map(|(id, _)| (*id).to_owned()).collect()
    })
    .await;
    for id in &healthy {
        let counts = counts(id);
        assert_eq!((counts.fail, counts.throttled), (0, 0), "{id}: a cut is our own fault");
        assert_eq!(counts.success_ratio(false), Some(1.0), "{id}");
        assert!(counts.coverage().unwrap() < 1.0, "{id}: what nobody could judge is missing evidence");
    }
    running.stop().await.unwrap();
    estate.stop().await;
}

/// The demo as a person starts it; what is set for a real daemon on this machine is not meant for it.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soakwatch"));
    command.arg("demo").args(args).env("SOAKWATCH__SERVER__LISTEN", "not for the demo").stdin(Stdio::null());
    command
}

/// `127.0.0.1:PORT` of the first line that holds it.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (port.parse::<u16>().ok()? > 0).then(|| format!("127.0.0.1:{port}"))
}

/// How many integrations the first line announces.
fn integrations(out: &str) -> usize {
    let rest = out.lines().next().and_then(|l| l.split_once(" customers, ")).unwrap().1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

fn table(out: &str) -> Vec<&str> {
    out.lines().skip_while(|l| !l.starts_with("INTEGRATION")).skip(1).take_while(|l| !l.is_empty()).collect()
}

#[test]
fn for_a_time_it_serves_and_ends_with_a_table() {
    let done = command(&["--for", "4s"]).output().unwrap();
    let (out, log) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(done.status.code(), Some(0), "{out}\n{log}");
    assert!(out.lines().find_map(address).is_some(), "{out}");
    let table = table(&out);
    assert_eq!(table.len(), integrations(&out), "{out}");
    let row = |id: &str| *table.iter().find(|l| l.starts_with(id)).unwrap_or_else(|| panic!("{id}: {out}"));
    assert!(row("dunlin/staging/label-printing").contains("not_found"), "{out}");
    assert!(row("fjord/production/pos-sales").contains("paused"), "{out}");
    assert!(row("fjord/production/price-feed").contains("maintenance"), "{out}");
    assert!(!log.contains("panicked"), "{log}");
}

/// The demo as a process: it goes on until it is told to end.
struct Demo {
    child: std::process::Child,
    out: BufReader<std::process::ChildStdout>,
    said: String,
    address: String,
}

impl Demo {
    /// Started, and its address read.
    fn start() -> Self {
        let mut child = command(&[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert_ne!(out.read_line(&mut said).unwrap(), 0, "it ended: {said}");
            if let Some(address) = address(&said[before..]) {
                break address;
            }
        };
        Self { child, out, said, address }
    }

    /// Ctrl-C; how it ends, and everything it said.
    fn interrupt(mut self) -> (Option<i32>, String) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        self.out.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Must show 2: `soakwatch gate` asks the running demo, with no token, as on any other daemon on loopback.
#[test]
fn the_gate_of_the_running_demo_ends_accordingly() {
    let demo = Demo::start();
    let url = format!("http://{}", demo.address);
    let ask = |args: &[&str]| {
        let done = output(soakwatch().args(args).args(["--url", &url]));
        let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        (done.status.code(), out, err)
    };
    let gate = |place: &str| ask(&["gate", place, "--json"]);
    for (place, code, answer, verdicts) in [
        ("acme/production", 0, "go", &["passed"][..]),
        ("acme/staging", 1, "no_go", &["failed"]),
        ("cobalt/production", 1, "no_go", &["doomed", "running"]),
        ("elmwood/staging", 2, "not_yet", &["running"]),
    ] {
        let said = eventually(place, || {
            let (exit, out, _) = gate(place);
            let said: Value = serde_json::from_str(&out).ok()?;
            let known: std::collections::BTreeSet<&str> =
                said["integrations"].as_array()?.iter().filter_map(|i| i["soak"]["verdict"].as_str()).collect();
            (exit == Some(code) && known.iter().copied().eq(verdicts.iter().copied())).then_some(said)
        });
        assert_eq!((&said["environment"], &said["answer"]), (&json!(place), &json!(answer)), "{said}");
        let (exit, out, err) = ask(&["gate", place]);
        assert_eq!((exit, err.as_str()), (Some(code), ""), "{out}");
        assert!(out.starts_with(&format!("{place}: {answer}")), "{out}");
    }

    // What people decide counts there, too; on loopback nobody needs a token.
    assert!(gate("elmwood/staging").1.contains("nobody has attested it"));
    let (exit, out, err) = ask(&["attest", "elmwood/staging", "uat_signoff", "--value", "passed", "--until", "30d"]);
    assert_eq!((exit, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("uat_signoff is attested for elmwood/staging") && out.contains("recorded as anonymous@127.0.0.1"), "{out}");
    let (exit, out, _) = gate("elmwood/staging");
    assert!(exit == Some(2) && !out.contains("nobody has attested it"), "{exit:?} {out}");
    // A tenth of the staging hour fails whatever is taken out, and it is said beside.
    let (exit, out, _) = ask(&["exclude", "acme/staging/erp-orders", "--from", "30m", "--to", "20m", "--reason", "a trial"]);
    assert_eq!(exit, Some(0), "{out}");
    let said = eventually("the exclusion counts", || {
        let said: Value = serde_json::from_str(&gate("acme/staging").1).ok()?;
        (said["integrations"][0]["soak"]["excluded"].as_u64()? > 0).then_some(said)
    });
    let soak = &said["integrations"][0]["soak"];
    assert_eq!((&said["answer"], &said["integrations"][0]["exclusions"][0]["reason"]), (&json!("no_go"), &json!("a trial")), "{said}");
    assert!(soak["counts"]["fail"].as_u64() > soak["adjusted"]["fail"].as_u64(), "{soak}");

    // And what can't be asked.
    let (exit, _, err) = gate("acme/prodution");
    assert!(exit == Some(65) && err.contains("acme/production"), "{err}");
    let (exit, said) = demo.interrupt();
    assert_eq!(exit, Some(0), "{said}");
    let of = |place: &str| said.lines().find(|l| l.starts_with(&format!("{place} "))).unwrap_or_else(|| panic!("{said}")).to_owned();
    assert!(of("acme/production").contains(" go ") && of("acme/staging").contains(" no_go "), "{said}");
}

#[test]
fn without_a_time_it_goes_on_until_ctrl_c() {
    let demo = Demo::start();
    let address = demo.address.clone();
    let mut socket = TcpStream::connect(&address).unwrap();
    write!(socket, "GET /-/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (exit, said) = demo.interrupt();
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(table(&said).len(), integrations(&said), "{said}");
    let dir = said.split_whitespace().find_map(|w| w.strip_suffix("/customers/*.toml")).unwrap();
    assert!(!Path::new(dir).exists(), "{dir} is left behind");
}
