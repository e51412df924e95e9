//! The kind `webhook` over real sockets: receivers that judge with our own `verify`, faultless ones and ones with one fault each.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::config::model::CheckDef;
use soakwatch::config::table::Source;
use soakwatch::finding::Severity;
use soakwatch::memory::Memories;
use soakwatch::observed::Noted;
use soakwatch::outcome::{Class, Outcome};
use soakwatch::probe::Kind;
use soakwatch::run::{RunReport, run_once};
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Headers, Reason, Request, Scheme, Template, verify};

use crate::support::daemon::{Daemon, PATIENCE};
use crate::support::fake_api::{FakeApi, Reply, Seen};
use crate::support::probing;

const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const OTHER: &str = "whsec_YW5vdGhlciBrZXkgb2YgdHdlbnR5LWZvdXIgYnl0ZXM=";
/// A seed of 32 bytes, and the public key it makes: RFC 8032, 7.1, test 1.
const WHSK: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const WHPK: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const ALL: &str = "reject = [\"tampered\", \"stale\", \"wrong_secret\", \"unsigned\"]";

/// Why a request is to be refused; `None`: it is valid.
fn judged(scheme: &Scheme, secret: &str, seen: &Seen) -> Option<Reason> {
    let headers: Headers = seen.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    let url = format!("http://{}{}", seen.header("host").unwrap(), seen.path);
    let request = Request { method: &seen.method, url: &url, headers: &headers, body: seen.body.as_bytes() };
    verify(scheme, &[SecretValue::new(secret)], &request, Clock::System.now(), &|_| false).reason
}

/// What the standard scheme says of it, under the first secret.
fn standard(seen: &Seen) -> Option<Reason> {
    judged(Scheme::named("standard-webhooks").unwrap(), WHSEC, seen)
}

fn answered(reason: Option<Reason>) -> Reply {
    Reply::status(if reason.is_none() { 204 } else { 401 })
}

/// A check of this table, with secrets in files.
struct Hook {
    def: Arc<CheckDef>,
    memories: Memories,
    _secrets: tempfile::TempDir,
}

impl Hook {
    /// With these secrets; `retries` of them within ten seconds.
    fn new(toml: &str, secrets: &[&str], retries: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let named: Vec<String> = secrets
            .iter()
            .enumerate()
            .map(|(n, secret)| {
                std::fs::write(dir.path().join(n.to_string()), secret).unwrap();
                format!("{{ file = \"{n}\" }}")
            })
            .collect();
        let text = format!("[webhook]\nsecrets = [{}]\n{toml}\n", named.join(", "));
        let source = Source::new("check.toml", dir.path(), text);
        let entries = source.parse();
        let kind = Kind::read(&mut source.root(&entries));
        let problems: Vec<String> = source.problems.take().iter().map(ToString::to_string).collect();
        assert_eq!(problems, [] as [String; 0], "{toml}");
        let def = probing::check("url = \"http://127.0.0.1\"");
        Self { def: Arc::new(CheckDef { kind: kind.unwrap(), retries, ..def }), memories: Memories::default(), _secrets: dir }
    }

    fn standard(url: &str, more: &str) -> Self {
        Self::new(&format!("url = \"{url}\"\nscheme = \"standard-webhooks\"\n{more}"), &[WHSEC], 0)
    }

    async fn run_at(&self, slot: UnixMs) -> RunReport {
        run_once(&self.def, (&probing::transport(None), &self.memories), slot, None, Noted::All).await
    }

    async fn run(&self) -> RunReport {
        self.run_at(Clock::System.now()).await
    }
}

fn rules(report: &RunReport) -> Vec<String> {
    let found = report.record.facts.findings.iter().flat_map(|f| &f.list);
    found.map(|f| f.id.to_string()).collect()
}

fn passed(report: &RunReport) {
    assert_eq!(report.record.outcome, Outcome::Pass, "{:#?}", report.attempts);
}

fn failed(report: &RunReport, class: Class, words: &str) {
    let detail = report.record.detail.clone().unwrap_or_default();
    assert!(
        report.record.class == Some(class) && detail.contains(words),
        "wanted {class} with {words:?}: {detail:?} {:#?}",
        report.attempts
    );
}

/// Scheme, the sender's secret, the receiver's, what else stands in the table, and what it must refuse besides `wrong_secret` and `unsigned`.
const SCHEMES: &[(&str, &str, &str, &str, &[&str])] = &[
    ("standard-webhooks", WHSEC, WHSEC, "", &["tampered", "stale"]),
    ("standard-webhooks", WHSK, WHPK, "", &["tampered", "stale"]),
    ("svix", WHSEC, WHSEC, "", &["tampered", "stale"]),
    ("stripe", "whsec_as text", "whsec_as text", "", &["tampered", "stale"]),
    ("github", "It's a secret", "It's a secret", "", &["tampered"]),
    ("slack", "slack secret", "slack secret", "body = \"token={id}&at={unix}\"", &["tampered", "stale"]),
    ("shopify", "shopify secret", "shopify secret", "", &["tampered"]),
    ("zendesk", "emVuZGVzaw==", "emVuZGVzaw==", "", &["tampered", "stale"]),
    ("hubspot-v3", "hubspot secret", "hubspot secret", "", &["tampered", "stale"]),
    ("pagerduty", "duty secret", "duty secret", "", &["tampered"]),
    ("twilio", "twilio token", "twilio token", "", &["tampered"]),
    (
        "twilio",
        "twilio token",
        "twilio token",
        "headers = { Content-Type = \"application/x-www-form-urlencoded\" }\nbody = \"MessageSid={id}&Body=a+b\"",
        &["tampered"],
    ),
    ("twitch", "twitch secret", "twitch secret", "body = \"no placeholder\"", &["tampered", "stale"]),
    ("cloudevents", "the-bearer-token", "the-bearer-token", "cloudevents = { type = \"com.example.order\", source = \"/soakwatch\" }", &[]),
    ("okta", "okta secret", "okta secret", "", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_judges_rightly_is_healthy_whatever_the_scheme() {
    for (name, ours, theirs, more, refused) in SCHEMES {
        let api = FakeApi::start(move |seen| answered(judged(Scheme::named(name).unwrap(), theirs, seen)));
        let reject: Vec<String> = refused.iter().chain(&["wrong_secret", "unsigned"]).map(|w| format!("\"{w}\"")).collect();
        let table = format!("url = \"{}\"\nscheme = \"{name}\"\n{more}\nreject = [{}]", api.url("/in?a=b%20c"), reject.join(", "));
        let report = Hook::new(&table, &[ours], 0).run().await;
        passed(&report);
        assert_eq!(rules(&report), [] as [&str; 0], "{name}");
        let log = api.log();
        assert_eq!(log.len(), 1 + reject.len(), "{name}: each was sent once");
        let reasons: Vec<Option<Reason>> = log.iter().map(|s| judged(Scheme::named(name).unwrap(), theirs, s)).collect();
        assert!(reasons[0].is_none() && reasons[1..].iter().all(Option::is_some), "{name}: {reasons:?}");
        let stale = reasons.iter().filter(|r| **r == Some(Reason::StaleTimestamp)).count();
        assert_eq!(stale, usize::from(refused.contains(&"stale")), "{name}: stale is authentic: {reasons:?}");
        assert_eq!(report.record.facts.codes, [204], "{name}: the status is that of the message itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_signs_for_senders_without_a_scheme() {
    let keys =
        [("signature_header", "X-Signature"), ("signed", "{timestamp}.{body}"), ("timestamp_header", "X-Time"), ("prefix", "sha512=")];
    let template = Template::read(&keys.iter().chain(&[("hash", "sha512")]).map(|(k, v)| ((*k).into(), (*v).into())).collect()).unwrap();
    let api = FakeApi::start(move |seen| answered(judged(template.scheme(), "own secret", seen)));
    let written: Vec<String> = keys.iter().map(|(k, v)| format!("{k} = \"{v}\"")).collect();
    let table = format!("url = \"{}\"\ntemplate = {{ {}, hash = \"sha512\", tolerance_s = 300 }}\n{ALL}", api.url("/"), written.join(", "));
    passed(&Hook::new(&table, &["own secret"], 0).run().await);
    assert_eq!(api.log().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_accepts_that_it_must_refuse_is_named() {
    /// Takes a body whose id was changed, as one that signs what it parsed out and made anew would.
    fn careless(seen: &Seen) -> Option<Reason> {
        let id = seen.header("webhook-id").unwrap_or_default().to_owned();
        let before = seen.body.replace(&id.chars().rev().collect::<String>(), &id);
        standard(&Seen { body: before, ..seen.clone() })
    }
    type Fault = fn(&Seen) -> Option<Reason>;
    let faults: [(Fault, &[&str], &str); 5] = [
        (careless, &["HOOK-SIG-01"], "accepts a tampered message (answered 204"),
        (|s| standard(s).filter(|r| *r != Reason::StaleTimestamp), &["HOOK-SIG-02"], "accepts a stale message"),
        (|s| standard(s).filter(|r| *r != Reason::BadSignature), &["HOOK-SIG-01", "HOOK-SIG-03"], "signed with a wrong secret"),
        (|s| standard(s).filter(|r| *r != Reason::MissingHeader), &["HOOK-SIG-04"], "accepts an unsigned message"),
        (|_| None, &["HOOK-SIG-01", "HOOK-SIG-02", "HOOK-SIG-03", "HOOK-SIG-04"], "accepts a tampered message (answered 204"),
    ];
    for (fault, found, words) in faults {
        let api = FakeApi::start(move |seen| answered(fault(seen)));
        let report = Hook::standard(&api.url("/"), ALL).run().await;
        failed(&report, Class::Signature, words);
        assert_eq!(rules(&report), found);
        let list = &report.record.facts.findings.as_ref().unwrap().list;
        assert!(list.iter().all(|f| f.severity == Severity::Critical), "{list:?}");
        assert_eq!(report.record.outcome, Outcome::Fail);
    }
    // A receiver that breaks on them takes none, but it is worth a word.
    let api = FakeApi::start(|seen| Reply::status(if standard(seen).is_none() { 200 } else { 500 }));
    let report = Hook::standard(&api.url("/"), "reject = [\"unsigned\"]").run().await;
    passed(&report);
    assert_eq!(rules(&report), ["HOOK-ERR-01"]);
    // One that hangs up takes none either.
    let api = FakeApi::start(|seen| if standard(seen).is_none() { Reply::status(200) } else { Reply::close() });
    passed(&Hook::standard(&api.url("/"), ALL).run().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_mean_what_they_mean_to_a_sender() {
    let run = async |reply: fn() -> Reply, more: &str| {
        let api = FakeApi::start(move |_| reply());
        let report = Hook::standard(&api.url("/"), more).run().await;
        assert_eq!(api.log().len(), 1, "who refuses the message itself is asked nothing else");
        report
    };
    let gone = run(|| Reply::status(410), ALL).await;
    failed(&gone, Class::NotFound, "HOOK-END-01");
    assert_eq!(rules(&gone), ["HOOK-END-01"]);
    let moved = run(|| Reply::status(302).header("location", "/elsewhere"), "").await;
    failed(&moved, Class::Redirect, "senders follow no redirect");
    failed(&run(|| Reply::status(504), "").await, Class::ServerError, "means: slow down");
    failed(&run(|| Reply::status(404), "").await, Class::NotFound, "answered 404");
    failed(
        &run(|| Reply::status(200).after(Duration::from_millis(60)), "expect = { within = \"50ms\" }").await,
        Class::Slow,
        "within 50ms",
    );
    failed(&run(|| Reply::status(200), "expect = { status = [202, \"204-206\"] }").await, Class::Assertion, "202 or 204-206");
    for (status, words) in [(429, "429"), (502, "502"), (503, "503"), (504, "504")] {
        let api = FakeApi::start(move |_| Reply::status(status).header("retry-after", "60"));
        let report = Hook::new(&format!("url = \"{}\"\nscheme = \"github\"", api.url("/")), &["secret"], 2).run().await;
        failed(&report, Class::Throttled, words);
        failed(&report, Class::Throttled, "asks to wait 1m");
        assert_eq!((report.record.outcome, api.log().len()), (Outcome::Throttled, 1), "it is not tried again before its time");
        let heard = report.attempts[0].observed.heard.last().unwrap();
        assert!(heard.limits.throttled && heard.stay_away == Some(Duration::from_secs(60)), "the budgets hear of it: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_the_id_and_changes_the_timestamp() {
    let api = FakeApi::start(|seen| match seen.number {
        0 => Reply::status(500),
        1 => Reply::status(429).header("retry-after", "1"),
        _ => answered(standard(seen)),
    });
    let hook = Hook::new(&format!("url = \"{}\"\nscheme = \"standard-webhooks\"", api.url("/")), &[WHSEC], 2);
    let first = hook.run().await;
    passed(&first);
    assert_eq!(first.record.attempts, 3);
    hook.run_at(UnixMs(Clock::System.now().0 + 1)).await;
    let log = api.log();
    let of = |name: &'static str| log.iter().map(move |s| s.header(name).unwrap().to_owned()).collect::<Vec<_>>();
    let (ids, stamps, signatures) = (of("webhook-id"), of("webhook-timestamp"), of("webhook-signature"));
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]), "one run, one message");
    assert_ne!(ids[2], ids[3], "another run, another message");
    assert!(stamps[2].parse::<u64>().unwrap() > stamps[0].parse::<u64>().unwrap() && signatures[0] != signatures[2], "{stamps:?}");
    assert!(log.iter().all(|s| standard(s).is_none() && s.body.contains(s.header("webhook-id").unwrap())), "each is valid when it is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_rotated_both_are_good() {
    for (theirs, good) in [(WHSEC, true), (OTHER, true), ("whsec_dGhlIHRoaXJkIHNlY3JldCBpcyBhbm90aGVyIQ==", false)] {
        let api = FakeApi::start(move |seen| answered(judged(Scheme::named("svix").unwrap(), theirs, seen)));
        let hook = Hook::new(&format!("url = \"{}\"\nscheme = \"svix\"\n{ALL}", api.url("/")), &[OTHER, WHSEC], 0);
        let report = hook.run().await;
        if good { passed(&report) } else { failed(&report, Class::Unauthorized, "answered 401") }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_twice_is_taken_twice_and_does_nothing_twice() {
    /// Books every message it takes, or only the first of its id; says under /booked how many it has of an id.
    fn shop(idempotent: bool, again: u16) -> FakeApi {
        let booked: Mutex<Vec<String>> = Mutex::default();
        FakeApi::start(move |seen| {
            let mut booked = booked.lock().unwrap();
            if let Some(id) = seen.path.strip_prefix("/booked?id=") {
                assert_eq!((seen.method.as_str(), seen.header("authorization")), ("GET", Some("Bearer reader")));
                return Reply::json(format!("{{\"total\": {}}}", booked.iter().filter(|b| *b == id).count()));
            }
            let Some(id) = seen.header("webhook-id").filter(|_| standard(seen).is_none()) else { return Reply::status(401) };
            let known = booked.iter().any(|b| b == id);
            if !known || !idempotent {
                booked.push(id.to_owned());
            }
            Reply::status(if known { again } else { 200 })
        })
    }
    async fn run(api: &FakeApi) -> RunReport {
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "reader").unwrap();
        let effect = format!(
            "replay = true\neffect = {{ url = \"{}\", path = \"$.total\", bearer = {{ file = \"{}\" }}, settle = \"1ms\" }}",
            api.url("/booked?id={id}"),
            token.path().display()
        );
        Hook::standard(&api.url("/in"), &effect).run().await
    }
    let api = shop(true, 200);
    passed(&run(&api).await);
    let log = api.log_of("/in");
    assert_eq!((log.len(), api.log_of("/booked").len()), (2, 2));
    assert_eq!((&log[0].headers, &log[0].body), (&log[1].headers, &log[1].body), "byte for byte");
    let twice = run(&shop(false, 200)).await;
    failed(&twice, Class::Assertion, "HOOK-REP-02: the same message had a second effect: $.total is 1 before, 2 after");
    let conflict = run(&shop(true, 409)).await;
    failed(&conflict, Class::Assertion, "HOOK-REP-01: the same message again was answered 409");
    assert_eq!((rules(&twice), rules(&conflict)), (vec!["HOOK-REP-02".to_owned()], vec!["HOOK-REP-01".to_owned()]));
    // Without a place to look at, only the answer counts.
    passed(&Hook::standard(&shop(false, 200).url("/in"), "replay = true").run().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_carry_their_headers() {
    let api = FakeApi::start(|seen| answered(standard(seen)));
    let more = "cloudevents = { type = \"com.example.order\", source = \"/soakwatch\" }\nbody = \"<order at='{time}' n='{unix}'/>\"\n\
                headers = { Content-Type = \"application/xml\", X-Tenant = \"7\" }";
    passed(&Hook::standard(&api.url("/in"), more).run().await);
    let seen = &api.log()[0];
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.order"),
        ("ce-source", "/soakwatch"),
        ("content-type", "application/xml"),
        ("x-tenant", "7"),
    ] {
        assert_eq!(seen.header(name), Some(value));
    }
    assert_eq!(seen.header("ce-id"), seen.header("webhook-id"));
    let (unix, time) = (seen.header("webhook-timestamp").unwrap(), seen.header("ce-time").unwrap());
    assert!(seen.body.contains(&format!("n='{unix}'")) && time.ends_with('Z'), "{}", seen.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_refused_is_sent_rarely_and_at_every_run_while_it_is_not() {
    let open = Arc::new(Mutex::new(HashSet::from(["nothing"])));
    let fault = Arc::clone(&open);
    let api = FakeApi::start(move |seen| answered(standard(seen).filter(|_| !fault.lock().unwrap().contains("everything"))));
    let hook = Hook::standard(&api.url("/"), "reject = [\"unsigned\"]\nreject_every = \"1h\"");
    let start = UnixMs(Clock::System.now().0 - 100_000);
    let mut sent = 0;
    let mut at = async |minutes: u64| {
        let slot = start.plus(Duration::from_secs(60 * minutes));
        let report = hook.run_at(slot).await;
        let before = std::mem::replace(&mut sent, api.log().len());
        (report.record.outcome, sent - before)
    };
    use Outcome::{Fail, Pass};
    // The receiver judges by its own clock, within five minutes: what is signed later is stale to it. Only the slots matter here.
    assert_eq!(at(0).await, (Pass, 2));
    assert_eq!(at(1).await, (Pass, 1), "not due");
    open.lock().unwrap().insert("everything");
    assert_eq!(at(59).await, (Pass, 1), "nobody looked");
    assert_eq!(at(60).await, (Fail, 2));
    assert_eq!(at(61).await, (Fail, 2), "as long as it is so, each run sees it");
    open.lock().unwrap().remove("everything");
    assert_eq!(at(2).await, (Pass, 2), "and the first that does not says so");
    assert_eq!(at(3).await, (Pass, 1));
    assert_eq!(at(1).await, (Pass, 2), "a clock that was set back delays nothing");
    // What was found with the last round stays open until the next: here nothing, but a warning would.
    let quiet = hook.run_at(start.plus(Duration::from_secs(90))).await;
    let stays = &quiet.record.facts.findings.as_ref().unwrap().stays;
    assert_eq!(stays, &["HOOK-SIG", "HOOK-REP", "HOOK-ERR"]);
    // Another question is asked at once.
    let other = Hook::standard(&api.url("/"), "reject = [\"unsigned\", \"stale\"]");
    let hook = Hook { memories: hook.memories, ..other };
    let before = api.log().len();
    hook.run_at(start.plus(Duration::from_secs(61))).await;
    assert_eq!(api.log().len() - before, 3);
}

#[test]
fn a_restart_does_not_repeat_what_must_be_refused() {
    let api = FakeApi::start(|seen| answered(standard(seen)));
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), &api, ALL);
    let genuine = |log: &[Seen]| log.iter().filter(|s| standard(s).is_none()).count();
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(api.wait_for(PATIENCE, |log| genuine(log) >= 3));
    assert_eq!(daemon.stop(), Some(0));
    let before = api.log();
    assert_eq!(before.len() - genuine(&before), 4, "each wrong message once");
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(api.wait_for(PATIENCE, |log| genuine(log) >= genuine(&before) + 2));
    daemon.stop();
    let after = api.log();
    assert_eq!(after.len() - genuine(&after), 4, "and not again");
}

fn configuration(dir: &Path, api: &FakeApi, more: &str) {
    std::fs::create_dir(dir.join("customers")).unwrap();
    std::fs::write(dir.join("secret"), WHSEC).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         runbook = \"https://wiki.example.com/r\"\n[[integration.check]]\nid = \"hook\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [integration.check.webhook]\nurl = \"{}\"\nscheme = \"standard-webhooks\"\nsecrets = [{{ file = \"secret\" }}]\n{more}\n",
        api.url("/in")
    );
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_secrets_nor_signatures_leave_a_run() {
    // Sends back all it gets, and takes what it must not: everything that is said of it is said.
    let api = FakeApi::start(|seen| {
        let all: Vec<&str> = seen.headers.iter().map(|(_, v)| v.as_str()).collect();
        let status = if seen.header("webhook-signature").is_some_and(|s| s.contains(' ')) { 302 } else { 200 };
        let echo = format!("{{\"total\": \"{}\"}}", all.join(" ").replace('"', ""));
        Reply::status(if seen.path.starts_with("/fail") { status } else { 200 })
            .header("location", format!("/x?{}", all.join("")))
            .header("ratelimit-policy", format!("\"{}\";q=100;w=1", all.join(" ").replace('"', "")))
            .header("x-echo", echo)
    });
    let mut said = String::new();
    for (path, secrets) in [("/fail", &[WHSEC, OTHER][..]), ("/", &[WHSEC])] {
        let table = format!("url = \"{}\"\nscheme = \"standard-webhooks\"\n{ALL}\nreplay = true", api.url(path));
        let report = Hook::new(&table, secrets, 0).run().await;
        assert_eq!(report.record.outcome, Outcome::Fail);
        said += &format!("{report:?} {}", serde_json::to_string(&report.attempts).unwrap());
    }
    let signatures: Vec<String> = api.log().iter().filter_map(|s| s.header("webhook-signature").map(str::to_owned)).collect();
    assert!(signatures.len() > 3);
    let signatures = signatures.iter().flat_map(|s| s.split(' ')).flat_map(|s| s.split(',')).filter(|s| s.len() > 2);
    for secret in signatures.chain([WHSEC, OTHER, &WHSEC[6..], &OTHER[6..]]) {
        assert!(!said.contains(secret), "{secret} stands in {said}");
    }
}
