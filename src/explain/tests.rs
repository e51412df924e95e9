//! Golden texts of [`text`], and the shape of [`value`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::config::model::{DeclaredVolume, Integration, Maintenance, Paused};
use crate::fields::{CheckId, Span};
use crate::observed::Step;
use crate::outcome::{Attribution, Cause, Class, Criticality, Owner};
use crate::probe::Kind;
use crate::ratelimit::RateLimit;
use crate::record::{DurationCode, Facts};

const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn definition() -> CheckDef {
    let id: CheckId = "acme/production/crm/list".parse().unwrap();
    let integration = Integration {
        id: id.integration(),
        name: "CRM contacts".into(),
        customer_name: "Acme Corporation".into(),
        owner: Owner::Vendor,
        criticality: Criticality::High,
        runbook: Some("https://wiki.example.com/crm".parse().unwrap()),
        go_live: None,
        hypercare: Span::days(30),
        soak: None,
        waivers: Vec::new(),
        volume: DeclaredVolume::default(),
        allow_private: false,
        maintenance: Vec::new(),
        paused: None,
        attribution: BTreeMap::new(),
        dialect: crate::ratelimit::Dialect::Auto,
        quota_share: None,
        quota_window: None,
        incident: Default::default(),
        throttled_excluded: false,
        exit: crate::config::model::ExitPolicy::new(None),
        contact: None,
    };
    CheckDef {
        key: id.key(),
        id,
        integration: Arc::new(integration),
        every: Span::seconds(60),
        timeout: Duration::from_secs(10),
        retries: 1,
        judged: true,
        judge: crate::soak::Judge::Ratio,
        route: crate::route::Route::default(),
        blocked_by: None,
        host: kind().host().map(Into::into),
        kind: kind(),
    }
}

fn kind() -> Kind {
    let source = crate::config::table::Source::new("test", ".", "http = { url = \"https://crm.example.com/v1/contacts\" }");
    let tables = toml::de::DeTable::parse(&source.text).unwrap();
    Kind::read(&mut source.root(tables.get_ref())).unwrap()
}

fn record(outcome: Outcome, class: Option<Class>, attempts: u8) -> Record {
    let ours = class == Some(Class::Internal);
    Record {
        check: "acme/production/crm/list".parse().unwrap(),
        vantage: 0,
        slot: NOW,
        interval_ms: 60_000,
        count: 1,
        outcome,
        cause: ours.then_some(Cause::File),
        class,
        attribution: class.map(|_| if ours { Attribution::Monitor } else { Attribution::ThirdParty }),
        duration: DurationCode(0),
        attempts,
        first_attempt_passed: outcome == Outcome::Pass && attempts == 1,
        facts: Facts::default(),
        detail: None,
    }
}

fn hop(status: Option<u16>) -> Hop {
    let ms = |n| Some(Duration::from_micros(n));
    Hop {
        token: false,
        method: "GET".into(),
        url: "https://crm.example.com/v1/contacts".into(),
        address: Some("198.51.100.7:443".parse().unwrap()),
        version: Some("HTTP/2".into()),
        phases: Phases { resolve: ms(1_240), connect: ms(12_000), tls: ms(24_800), processing: ms(120_000), transfer: ms(400) },
        tls: Some(TlsFacts {
            version: Some("TLSv1.3".into()),
            cipher: Some("TLS13_AES_256_GCM_SHA384".into()),
            chain: vec![certificate(NOW.plus(Duration::from_secs(9 * 86_400 + 60)))],
            refused: None,
        }),
        status,
        location: None,
        via: None,
        reused: false,
        families: Vec::new(),
    }
}

fn certificate(not_after: UnixMs) -> CertificateFacts {
    CertificateFacts {
        subject: "CN=crm.example.com".into(),
        issuer: "CN=Example CA".into(),
        not_before: NOW.minus(Duration::from_secs(80 * 86_400)),
        not_after,
        sha256: "ab".repeat(32),
        names: vec!["crm.example.com".into()],
    }
}

fn attempt(started_ms: u64, took_ms: u64, observed: Observed, failure: Option<Failure>) -> Attempt {
    Attempt { started_after: Duration::from_millis(started_ms), duration: Duration::from_millis(took_ms), observed, failure }
}

fn expectation(expected: &str, seen: &str, met: bool) -> Expectation {
    Expectation { expected: expected.into(), seen: seen.into(), met, class: Class::Assertion }
}

fn heard(remaining: Option<u64>, retry_after: Option<u64>) -> Heard {
    let limits = RateLimit {
        limit: remaining.map(|_| 100),
        remaining,
        throttled: retry_after.is_some(),
        retry_after: retry_after.map(Duration::from_secs),
        ..RateLimit::default()
    };
    let stay_away = limits.retry_after;
    Heard { host: "crm.example.com:443".into(), token: false, at: NOW, limits, stay_away }
}

fn retried() -> RunReport {
    let first = Observed {
        heard: vec![heard(Some(12), None)],
        step: Step::Judge,
        hops: vec![hop(Some(200))],
        expectations: vec![expectation("status is 200", "200", true), expectation("$.contacts is array", "an object", false)],
        values: vec![("total".into(), 1840.0)],
        status: Some(200),
        body_bytes: Some(512),
        ..Observed::default()
    };
    let why = "$.contacts is array, but saw an object";
    let failed = attempt(0, 160, first.clone(), Some(Failure::new(Class::Assertion, why)));
    let second = Observed { expectations: vec![expectation("status is 200", "200", true)], values: Vec::new(), ..first };
    RunReport { record: record(Outcome::Pass, None, 2), attempts: vec![failed, attempt(1_180, 158, second, None)] }
}

#[test]
fn a_run_that_passed_on_its_second_attempt() {
    let mut report = retried();
    report.attempts[1].observed.heard.clear();
    assert_eq!(
        text(&definition(), &report, NOW),
        "\
acme/production/crm/list: Acme Corporation, CRM contacts
http check, every 1m, timeout 10s, 1 retry; owner vendor, criticality high, phase build
Run 6553f100000052d1b2a297b69482fc56

Attempt 1, took 160 ms: did not pass (assertion)
  1. GET https://crm.example.com/v1/contacts
     address 198.51.100.7:443, HTTP/2, status 200
     rate limit: 12 of 100 left (policy default)
     resolve      1.24 ms
     connect      12.0 ms ███
     tls          24.8 ms ██████
     processing    120 ms ██████████████████████████████
     transfer     0.40 ms
     TLS: TLSv1.3, TLS13_AES_256_GCM_SHA384
     certificate CN=crm.example.com, issued by CN=Example CA
       2023-08-26 to 2023-11-23, 9 days left
       for crm.example.com
  Body: 512 bytes
  Expected:
    ✓ status is 200: saw 200
    ✗ $.contacts is array: but saw an object
  Read: total = 1840
  Why: $.contacts is array, but saw an object

Attempt 2, began after 1.18 s, took 158 ms: passed
  1. GET https://crm.example.com/v1/contacts
     address 198.51.100.7:443, HTTP/2, status 200
     resolve      1.24 ms
     connect      12.0 ms ███
     tls          24.8 ms ██████
     processing    120 ms ██████████████████████████████
     transfer     0.40 ms
     TLS: TLSv1.3, TLS13_AES_256_GCM_SHA384
     certificate CN=crm.example.com, issued by CN=Example CA
       2023-08-26 to 2023-11-23, 9 days left
       for crm.example.com
  Body: 512 bytes
  Expected:
    ✓ status is 200: saw 200

Outcome:      pass after 2 attempts, 1.34 s
              (the first attempt did not pass; it is counted as such)
"
    );
}

#[test]
fn an_expired_certificate_shows_its_dates_and_who_should_act() {
    let mut hop =
        Hop { status: None, version: None, phases: Phases { connect: Some(Duration::from_millis(2)), ..Phases::default() }, ..hop(None) };
    hop.tls = Some(TlsFacts {
        version: None,
        cipher: None,
        chain: vec![certificate(NOW.minus(Duration::from_secs(3 * 86_400 + 60)))],
        refused: Some("certificate expired".into()),
    });
    let observed = Observed { step: Step::Tls, hops: vec![hop], ..Observed::default() };
    let failed = attempt(0, 5, observed, Some(Failure::new(Class::Certificate, "the certificate expired 3 days ago")));
    let report = RunReport { record: record(Outcome::Fail, Some(Class::Certificate), 1), attempts: vec![failed] };
    assert_eq!(
        text(&CheckDef { retries: 0, ..definition() }, &report, NOW),
        "\
acme/production/crm/list: Acme Corporation, CRM contacts
http check, every 1m, timeout 10s, no retries; owner vendor, criticality high, phase build
Run 6553f100000052d1b2a297b69482fc56

Attempt 1, took 5.00 ms: did not pass (certificate)
  1. GET https://crm.example.com/v1/contacts
     address 198.51.100.7:443, no answer
     connect      2.00 ms ██████████████████████████████
     TLS: nothing agreed
     certificate CN=crm.example.com, issued by CN=Example CA
       2023-08-26 to 2023-11-11, EXPIRED 3 days ago
       for crm.example.com
     refused: certificate expired
  Why: the certificate expired 3 days ago

Outcome:      fail after 1 attempt, 5.00 ms
Class:        certificate
Attribution:  third_party
What to do:   The certificate is not acceptable, or ends too soon; the details say which. Ask the vendor to renew it or to send the full chain; if a private authority issued it, give its certificate to the check as `ca`.
Runbook:      https://wiki.example.com/crm
"
    );
}

#[test]
fn a_deadline_shows_in_which_phase_the_time_went() {
    let mut hop = Hop { status: None, version: None, tls: None, ..hop(None) };
    (hop.phases.tls, hop.phases.processing, hop.phases.transfer) = (None, None, None);
    let observed = Observed { step: Step::Processing, hops: vec![hop], ..Observed::default() };
    let late = attempt(0, 1_000, observed, Some(Failure::new(Class::Timeout, "the deadline of 1s passed")));
    let report = RunReport { record: record(Outcome::Fail, Some(Class::Timeout), 1), attempts: vec![late] };
    let out = text(&definition(), &report, NOW);
    assert!(out.contains("\n     processing    987 ms ██████████████████████████████ no answer\n"), "{out}");
    let v = value(&definition(), &report, NOW);
    assert_eq!(v["attempts"][0]["unfinished"], serde_json::json!({ "phase": "processing", "seconds": 0.98676 }));
    assert_eq!(value(&definition(), &retried(), NOW)["attempts"][0]["unfinished"], Value::Null);
}

#[test]
fn our_own_fault_is_said_to_be_ours() {
    let mut def = definition();
    let integration = Integration {
        paused: Some(Paused { reason: "tills are\x1b[2J replaced".into(), by: "ml".into() }),
        maintenance: vec![Maintenance { start: NOW, end: NOW.plus(Duration::from_secs(60)), reason: "move".into(), by: "ja".into() }],
        ..Integration::clone(&def.integration)
    };
    def.integration = Arc::new(integration);
    let failure = Failure { egress_rule: Some("loopback"), ..Failure::ours(Cause::File, "file x can't be read") };
    let report = RunReport {
        record: record(Outcome::Unknown, Some(Class::Internal), 1),
        attempts: vec![attempt(0, 0, Observed::default(), Some(failure))],
    };
    let out = text(&def, &report, NOW);
    for line in [
        "Paused: tills are [2J replaced (ml). This run is made all the same and counts nowhere.",
        "In maintenance until 2023-11-14T22:14:20Z: move (ja). This run is made all the same and counts nowhere.",
        "  Nothing was sent.",
        "Cause:        file: this is the monitor's own fault and counts neither for nor against the integration",
        "Attribution:  monitor",
        "What to do:   A file that the configuration names can't be read or used. Put it right on the monitor's machine.",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
    assert!(!out.contains('\x1b'));
}

#[test]
fn json_holds_everything_in_seconds_and_rfc_3339() {
    let v = value(&definition(), &retried(), NOW);
    assert_eq!(v["outcome"], "pass");
    assert_eq!(v["at"], "2023-11-14T22:13:20Z");
    assert_eq!(v["duration_seconds"], 1.338);
    assert_eq!(v["attempts"][0]["failure"]["class"], "assertion");
    assert_eq!(v["attempts"][0]["hops"][0]["phases"]["tls_seconds"], 0.0248);
    assert_eq!(v["attempts"][0]["hops"][0]["tls"]["chain"][0]["days_left"], 9);
    assert_eq!(v["attempts"][0]["expectations"][1]["met"], false);
    assert_eq!(v["attempts"][0]["values"]["total"], 1840.0);
    assert_eq!(v["attempts"][1]["failure"], Value::Null);
}

#[test]
fn what_each_answer_told_stands_with_it() {
    let unanswered = Hop { status: None, ..hop(None) };
    let observed = Observed {
        step: Step::Processing,
        hops: vec![Hop { token: true, ..hop(Some(200)) }, unanswered, hop(Some(429))],
        heard: vec![heard(None, None), heard(Some(0), Some(90))],
        ..Observed::default()
    };
    let throttled = attempt(0, 5, observed, Some(Failure::new(Class::Throttled, "answered 429")));
    let report = RunReport { record: record(Outcome::Throttled, Some(Class::Throttled), 1), attempts: vec![throttled] };
    let out = text(&definition(), &report, NOW);
    let told: Vec<&str> = out.lines().filter(|l| l.contains("rate limit")).collect();
    assert_eq!(told, ["     rate limit: 0 of 100 left (policy default); throttled: asks to wait 1m30s"]);
    assert!(out.find("rate limit:") > out.find("  3. GET"), "{out}");
    let v = value(&definition(), &report, NOW);
    let second = &v["attempts"][0]["rate_limits"][1];
    assert_eq!((&second["at"], &second["stay_away_seconds"]), (&Value::from("2023-11-14T22:13:20Z"), &Value::from(90.0)));
    assert_eq!(second["limits"]["retry_after_s"], 90);
}

#[test]
fn what_we_chose_not_to_ask_is_nobodys_fault() {
    let why = "token endpoint https://login.example.com/token asked to be left alone until 2023-11-14T22:14:20Z";
    let wait = Some(Duration::from_secs(60));
    let failure = Failure { cause: Some(Cause::RateLimit), retry_after: wait, ..Failure::new(Class::Throttled, why) };
    let skipped = Record { cause: Some(Cause::RateLimit), ..record(Outcome::Skipped, None, 0) };
    let report = RunReport { record: skipped, attempts: vec![attempt(0, 0, Observed::default(), Some(failure))] };
    let out = text(&definition(), &report, NOW);
    for line in [
        "  Nothing was sent.",
        &format!("  Why: {why}"),
        "  It may be asked again in 60.00 s",
        "Cause:        rate_limit: we chose not to ask, which counts neither for nor against the integration",
        "What to do:   We hold back because the endpoint throttled us. It goes on by itself when the hold ends.",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
}

#[test]
fn what_failed_outweighs_what_nobody_could_decide() {
    use Outcome::{Fail, Pass, Throttled, Unknown};
    for (outcomes, expected) in [
        (vec![Pass, Pass], Pass),
        (vec![Pass, Unknown], Unknown),
        (vec![Unknown, Throttled], Throttled),
        (vec![Fail, Unknown, Pass], Fail),
        (vec![], Unknown),
    ] {
        assert_eq!(worst(outcomes), expected);
    }
}
