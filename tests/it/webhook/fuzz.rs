//! Whatever a stranger sends is judged and never accepted; what is signed is accepted, and with one byte changed it is not.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use soakwatch::clock::UnixMs;
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Headers, Outgoing, Request, Scheme, Template, clues, handshake, sign, verify};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const WHSK: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// Schemes that sign, each with a secret of its form.
fn signing() -> Vec<(Scheme, &'static str)> {
    let named = |name: &str, secret| (Scheme::named(name).unwrap().clone(), secret);
    let plain =
        ["stripe", "github", "atlassian", "slack", "shopify", "zendesk", "twilio", "hubspot-v3", "hubspot-v2", "hubspot-v1", "intercom"];
    let more = ["pagerduty", "twitch", "zoom"];
    let mut all: Vec<_> = plain.iter().chain(&more).map(|n| named(n, "a secret of text")).collect();
    all.extend([named("standard-webhooks", WHSEC), named("standard-webhooks", WHSK), named("svix", WHSEC)]);
    let keys = [
        ("signed", "{method}:{url}:{id}:{timestamp}:{body}"),
        ("signature_header", "x-sig"),
        ("timestamp_header", "x-time"),
        ("timestamp_unit", "milliseconds"),
        ("id_header", "x-id"),
        ("hash", "sha512"),
    ];
    let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    all.push((Template::read(&keys).unwrap().scheme().clone(), "a secret of text"));
    all
}

fn secret(text: &str) -> [SecretValue; 1] {
    [SecretValue::new(text)]
}

/// One byte changed so that it does not mean the same: hex does not depend on case.
fn changed(text: &str, at: Index, to: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let place = at.get_mut(&mut bytes);
    let printable = b'!' + to % 94;
    *place = if printable.eq_ignore_ascii_case(place) { if *place == b'~' { b'#' } else { b'~' } } else { printable };
    String::from_utf8(bytes).unwrap()
}

/// What is changed in a signed message.
#[derive(Clone, Copy, Debug)]
enum Where {
    Body,
    Header(Index),
}

fn signed_is_accepted_and_changed_is_not(
    which: Index,
    id: &str,
    body: &[u8],
    place: Where,
    at: Index,
    to: u8,
    later_s: i64,
) -> Result<(), TestCaseError> {
    let all = signing();
    let (scheme, text) = which.get(&all);
    let secrets = secret(text);
    let kind = "text/plain";
    let url = "https://x.test/a%2Fb?c=d";
    let message = Outgoing { id, method: "POST", url, content_type: Some(kind), body };
    let signed = sign(scheme, &secrets, &message, NOW).map_err(TestCaseError::fail)?;
    let judge = |headers: &[(String, String)], body: &[u8], now: UnixMs| {
        let mut lines: Headers = headers.iter().map(|(n, v)| (n.to_ascii_uppercase(), v)).collect();
        lines.add("content-type", kind);
        let request = Request { method: "POST", url: &signed.url, headers: &lines, body };
        verify(scheme, &secrets, &request, now, &|_| false)
    };
    let good = judge(&signed.headers, body, UnixMs(NOW.0 + later_s * 1000));
    prop_assert!(good.valid && good.secret == Some(0), "{}: {:?}", scheme.name(), good);
    let mut headers = signed.headers.clone();
    let mut other = body.to_vec();
    match place {
        Where::Body if body.is_empty() => other.push(to),
        Where::Body => *at.get_mut(&mut other) ^= to | 1,
        Where::Header(which) => {
            let (name, value) = which.get_mut(&mut headers);
            // An id that is not signed may be another one.
            let unsigned =
                ["x-github-delivery", "x-atlassian-webhook-identifier", "x-shopify-webhook-id", "x-zendesk-webhook-invocation-id"];
            prop_assume!(!unsigned.contains(&name.as_str()) && name != "i-twilio-idempotency-token");
            *value = changed(value, at, to);
        }
    }
    let bad = judge(&headers, &other, NOW);
    prop_assert!(!bad.valid && !bad.authentic(), "{}: {:?} {:?} {:?}", scheme.name(), place, headers, bad);
    Ok(())
}

fn a_place() -> impl Strategy<Value = Where> {
    prop_oneof![Just(Where::Body), any::<Index>().prop_map(Where::Header)]
}

/// Texts that mean something to some scheme.
const VALUES: &[&str] = &[
    "",
    "1700000000",
    "1700000000000",
    "1.0",
    "2023-11-14T22:13:20Z",
    "2023-11-14T22:13:20.123456789+23:59",
    "v1,AAAA v1a,AAAA= v9,",
    "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    "t=1700000000,v1=00,v1=,v0=,=,",
    "v1=00,v1=ff",
    "sha256=00",
    "sha1=00",
    "v0=00",
    "Bearer x",
    "Basic eDp5",
    "webhook_callback_verification",
    "application/x-www-form-urlencoded",
    "application/json",
    "e.example.com",
    "120",
];

const NAMES: &[&str] = &[
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "stripe-signature",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-slack-request-timestamp",
    "x-slack-signature",
    "x-shopify-hmac-sha256",
    "x-zendesk-webhook-signature",
    "x-zendesk-webhook-signature-timestamp",
    "x-twilio-signature",
    "x-hubspot-signature",
    "x-hubspot-signature-v3",
    "x-hubspot-request-timestamp",
    "x-pagerduty-signature",
    "twitch-eventsub-message-id",
    "twitch-eventsub-message-timestamp",
    "twitch-eventsub-message-signature",
    "twitch-eventsub-message-type",
    "x-zm-request-timestamp",
    "x-zm-signature",
    "authorization",
    "content-type",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-specversion",
    "webhook-request-origin",
    "webhook-request-rate",
    "x-okta-verification-challenge",
    "x-sig",
    "x-time",
    "x-id",
];

const URLS: &[&str] = &[
    "",
    "?",
    "/a?validationToken=%zz%ff",
    "https://x.test:443/a?bodySHA256=00&access_token=x",
    "https://[::1]:x/%2F%",
    "https://é.test?validationToken=%C3%A9+%2b",
    "x://:@:1",
];

const BODIES: &[&str] = &[
    "",
    "{}",
    r#"{"value":[{"clientState":"x"}]}"#,
    r#"{"type":"url_verification","challenge":"x"}"#,
    r#"{"event":"endpoint.url_validation","payload":{"plainToken":"x"}}"#,
    r#"{"id":1,"event":{"id":[]}}"#,
    "[[[[[[",
    "a=b&a=%zz&=&%",
];

type Lines = Vec<(&'static str, Vec<u8>)>;
type Sent = (Lines, &'static str, Vec<u8>, &'static str, i64);

fn a_message() -> impl Strategy<Value = Sent> {
    let value = prop_oneof![3 => select(VALUES).prop_map(|v| v.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..60)];
    let body = prop_oneof![select(BODIES).prop_map(|b| b.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..80)];
    let method = select(&["POST", "GET", "OPTIONS", "post", ""][..]);
    let now = prop_oneof![Just(NOW.0), any::<i64>()];
    (prop::collection::vec((select(NAMES), value), 0..24), select(URLS), body, method, now)
}

/// A stranger's message is never accepted, and gets no proof of a secret.
fn a_strangers_message_is_refused((lines, url, body, method, now): &Sent) -> Result<(), TestCaseError> {
    let headers: Headers = lines.iter().map(|(n, v)| (n, v)).collect();
    let request = Request { method, url, headers: &headers, body };
    let canary = "c4nary-c4nary-c4nary";
    let secrets = [SecretValue::new(canary), SecretValue::new(WHSEC), SecretValue::new(""), SecretValue::new(WHSK)];
    let named = Scheme::all().cloned().chain(signing().into_iter().map(|(s, _)| s));
    for scheme in named {
        let verdict = verify(&scheme, &secrets, &request, UnixMs(*now), &|_| true);
        prop_assert!(!verdict.valid && verdict.reason.is_some() && !verdict.authentic(), "{}: {:?}", scheme.name(), verdict);
        for clue in clues(&scheme, &secrets, &request, &verdict, &|t| t.replace(canary, "")) {
            prop_assert!(!clue.contains(canary) && clue.len() < 600, "{}", clue);
        }
        if let Some(answer) = handshake(&scheme, &secrets, &request, Some(&[]), UnixMs(*now)) {
            let signed = ["slack", "zoom", "twitch"].contains(&scheme.name());
            prop_assert!(answer.status == 401 || !signed, "{}: {:?}", scheme.name(), answer);
            prop_assert!(answer.status == 200 || answer.body.is_none());
            prop_assert!(answer.headers.iter().all(|(n, _)| !n.starts_with("WebHook-Allowed")));
        }
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Committed seeds: the same inputs on every machine and every day. A seed that found something is added to the file.
#[test]
fn the_inputs_of_committed_seeds() {
    let seeds: Vec<&str> = include_str!("../../fixtures/webhook-seeds.txt").lines().collect();
    assert!(seeds.len() >= 16);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let runner = |cases| TestRunner::new_with_rng(config(cases), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let strange = runner(20).run(&a_message(), |sent| a_strangers_message_is_refused(&sent));
        assert!(strange.is_ok(), "seed {seed}: {strange:?}");
        let input = (any::<Index>(), prop::collection::vec(any::<u8>(), 0..80), a_place(), any::<Index>(), any::<u8>(), -300i64..=300);
        let signed = runner(150).run(&input, |(which, body, place, at, to, later)| {
            signed_is_accepted_and_changed_is_not(which, "msg_1", &body, place, at, to, later)
        });
        assert!(signed.is_ok(), "seed {seed}: {signed:?}");
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn whatever_a_stranger_sends_is_refused(sent in a_message()) {
        a_strangers_message_is_refused(&sent)?;
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn what_is_signed_is_accepted_and_what_is_changed_is_not(
        which in any::<Index>(), id in "[ -~]{0,20}[!-~]", body in prop::collection::vec(any::<u8>(), 0..200), place in a_place(), at in any::<Index>(),
        to in any::<u8>(), later in -300i64..=300,
    ) {
        signed_is_accepted_and_changed_is_not(which, &id, &body, place, at, to, later)?;
    }
}

/// Shapes that make careless parsers slow. It holds no stopwatch: work that grows with the square of such input would take hours.
#[test]
fn large_hostile_messages_come_back() {
    for unit in [",", "v1,", "v1=", "v1,A ", "t=1,", " ", "=", "%", "a=1&", "\"", "[", "{\"a\":", "\r\n", "é"] {
        let headers: Headers = NAMES.iter().map(|n| (n, unit.repeat((12 << 10) / unit.len()))).collect();
        let body = unit.repeat((256 << 10) / unit.len());
        let request = Request { method: "POST", url: &body, headers: &headers, body: body.as_bytes() };
        for scheme in Scheme::all() {
            let verdict = verify(scheme, &secret("x"), &request, NOW, &|_| false);
            assert!(!verdict.valid, "{}", scheme.name());
            let _ = handshake(scheme, &secret("x"), &request, None, NOW);
        }
    }
}
