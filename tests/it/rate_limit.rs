//! Rate limits as servers state them: the worked cases of the rules, variations of each rule, and what must hold whatever a server sends.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use soakwatch::clock::UnixMs;
use soakwatch::ratelimit::{Dialect, MAX_POLICIES, RateLimit, Response, read};

/// The worked cases: an array with a case a line.
const CASES: &str = include_str!("../fixtures/rate-limit-cases.json");
/// Our own, written by hand from the text of the rule each names. What once went wrong is added here.
const VARIATIONS: &str = include_str!("../fixtures/rate-limit-variations.jsonl");
/// 366 days: no time to come is further away.
const FURTHEST_S: u64 = 31_622_400;
const NOON: UnixMs = UnixMs(1_772_366_400_000);

fn cases() -> Vec<Value> {
    let mut cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 94);
    cases.extend(VARIATIONS.lines().map(|l| serde_json::from_str(l).unwrap()));
    assert!(cases.len() > 94 + 50);
    cases
}

fn headers(lines: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in lines {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            all.append(name, value);
        }
    }
    all
}

fn lines_of(case: &Value) -> Vec<(String, Vec<u8>)> {
    let values = |v: &Value| match v {
        Value::Array(lines) => lines.clone(),
        one => vec![one.clone()],
    };
    let one = |name: &String, v: &Value| (name.clone(), v.as_str().unwrap().as_bytes().to_vec());
    case["headers"].as_object().unwrap().iter().flat_map(|(name, v)| values(v).iter().map(|v| one(name, v)).collect::<Vec<_>>()).collect()
}

fn dialect_of(case: &Value) -> Dialect {
    Dialect::parse(case["dialect"].as_str().unwrap()).unwrap()
}

fn read_case(case: &Value) -> RateLimit {
    let headers = headers(&lines_of(case));
    let received_at = case["received_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().into();
    let body = case["body"].as_str().unwrap_or_default().as_bytes();
    read(&Response {
        dialect: dialect_of(case),
        status: u16::try_from(case["status"].as_u64().unwrap()).unwrap(),
        headers: &headers,
        body,
        received_at,
    })
}

fn explain(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_soakwatch"))
        .arg("explain")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Written from a thread of its own: the command answers while it reads.
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

#[test]
fn every_case_by_the_library() {
    for case in cases() {
        assert_eq!(serde_json::to_value(read_case(&case)).unwrap(), case["expect"], "{}", case["name"]);
    }
}

#[test]
fn every_case_by_the_command() {
    let input: String = cases().iter().map(|c| format!("{c}\n")).collect();
    let done = explain(&["--jsonl"], &input);
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""));
    let printed = String::from_utf8(done.stdout).unwrap();
    let expected: Vec<Value> = cases()
        .into_iter()
        .map(|mut c| {
            c["expect"]["name"] = c["name"].take();
            c["expect"].take()
        })
        .collect();
    let seen: Vec<Value> = printed.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn the_array_of_cases_is_read_as_it_is() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rate-limit-cases.json");
    let done = explain(&["--jsonl", file], "");
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stdout).lines().count()), (Some(0), 94));
}

#[test]
fn a_line_that_can_not_be_read_is_named_and_costs_only_itself() {
    let done = explain(&["--jsonl"], "{\"status\":429}\n\nnonsense\n{\"status\":200,\"dialect\":\"klingon\"}\n");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stdout).lines().count()), (Some(65), 2));
    assert!(
        said.contains("standard input: line 3: it is no JSON, at column 2") && said.contains("line 4: dialect \"klingon\" is not known"),
        "{said}"
    );
}

#[test]
fn one_response_is_explained() {
    let input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 403 \r\nretry-after: 60\r\nx-ratelimit-remaining: 7\r\n\r\n{}";
    let done = explain(&["--json", "--at", "2026-03-01T12:00:00Z", "--owner", "vendor"], input);
    let value: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(
        (&value["outcome"], &value["class"], &value["attribution"]),
        (&"throttled".into(), &"throttled".into(), &"third_party".into())
    );
    assert_eq!((&value["try_again_at"], &value["rate_limit"]["remaining"]), (&"2026-03-01T12:01:00Z".into(), &7.into()));
    let text = String::from_utf8(explain(&["-"], input).stdout).unwrap();
    assert!(text.starts_with("Answer:       403 Forbidden (after 100)\nOutcome:      throttled\n"), "{text}");
}

#[test]
fn what_can_not_be_used_is_said_with_its_exit_code() {
    for (args, input, code, said) in [
        (&[][..], "<html>", 65, "standard input: line 1: expected a status line"),
        (&[][..], "HTTP/1.1 200 OK\nA: b\nno colon\n\n", 65, "line 3: expected a header"),
        (&["/nonexistent/answer.txt"][..], "", 65, "/nonexistent/answer.txt: there is nothing of this name"),
        (&["--dialect", "zendsk"][..], "", 64, "did you mean \"zendesk\"?"),
        (&["--at", "noon"][..], "", 64, "expected a time such as"),
        (&["--json", "--jsonl"][..], "", 64, "cannot be used with"),
    ] {
        let done = explain(args, input);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

/// Shapes that make careless parsers slow, larger than a transport lets through. It holds no stopwatch: work that grows with the
/// square of such input would take hours, and shows as a test that does not end.
#[test]
fn large_hostile_input_comes_back() {
    const SIZE: usize = 64 * 1024;
    let come_back = |names: &[&str], shape: &str| {
        let lines: Lines = names.iter().map(|n| ((*n).to_owned(), shape.as_bytes().to_vec())).collect();
        let limits = read_lines(&lines, Dialect::Zendesk, 200, shape.as_bytes(), NOON);
        assert!(limits.policies.is_none_or(|p| p.len() <= MAX_POLICIES));
    };
    let units = [
        ",",
        ";",
        "\"",
        "\"\\",
        ":",
        "(",
        "0",
        "1,",
        "1.",
        "=",
        " ",
        "-",
        "a",
        "1;w=1,",
        "\"a\";r=1,",
        ":YQ==:,",
        "1m",
        "b=a;q=1,",
        "a=1/2;",
    ];
    for unit in units {
        come_back(NAMES, &unit.repeat(SIZE / unit.len()));
    }
    // As many policies as items, of one name with different keys, and of different names.
    let all = |member: fn(usize) -> String| (0..100_000).map(member).collect::<Vec<_>>().join(",");
    for shape in [all(|n| format!("\"a\";q={n};r={n};pk=:{n:08}:")), all(|n| format!("a{n};q=1;r=2"))] {
        come_back(&["ratelimit", "ratelimit-policy"], &shape);
    }
}

/// Headers the rules name, and some they tell us to leave alone.
const NAMES: &[&str] = &[
    "age",
    "auth0-client-quota-limit",
    "beta-ratelimit",
    "date",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "sforce-limit-info",
    "x-app-limit-24hour-remaining",
    "x-burstlimit-remaining",
    "x-hubspot-ratelimit-interval-milliseconds",
    "x-hubspot-ratelimit-remaining",
    "x-mashery-error-code",
    "x-ms-ratelimit-remaining-resource",
    "x-ms-ratelimit-remaining-tenant-reads",
    "x-ms-user-quota-remaining",
    "x-ms-user-quota-resets-after",
    "x-rate-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-limit-minute",
    "x-ratelimit-period",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-used",
    "x-retry-in",
    "x-shopify-shop-api-call-limit",
    "zendesk-ratelimit-tickets",
];

/// Texts that mean something to some rule.
const VALUES: &[&str] = &[
    "0",
    "1",
    "60",
    "5500",
    "2.5",
    "999999999",
    "1772366460",
    "1772366460.25",
    "1772366460000",
    "999999999999999",
    "-1",
    "100, 60",
    "10, 10;w=1;name=\"a,b\", 50;w=60",
    "\"a\";r=3;t=9, \"b\";r=0",
    "\"a\";q=10;w=60, \"b\";q=5;qu=\"content-bytes\";pk=:YQ==:",
    "limit=10, remaining=3, reset=1772366460",
    "Sun, 01 Mar 2026 12:00:45 GMT",
    "Sunday, 01-Mar-26 12:01:45 GMT",
    "2026-03-01T12:00:30+00:00",
    "b=per_hour;q=100;r=0;t=3600,b=per_day;q=1000;r=950;t=86400",
    "api-usage=5003/5000; per-app-api-usage=17/250(appName=x)",
    "32/40",
    "1m2.5s",
    "00:00:05",
    "total=100; remaining=99; resets=41",
    "Microsoft.Compute/HighCostGet3Min;46",
    "ERR_403_DEVELOPER_OVER_QPS",
    "soon",
    "",
];

type Lines = Vec<(String, Vec<u8>)>;

fn any_line() -> impl Strategy<Value = (String, Vec<u8>)> {
    let value = prop_oneof![
        3 => select(VALUES).prop_map(|v| v.as_bytes().to_vec()),
        1 => "[ -~\t]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => "[0-9]{1,18}(\\.[0-9]{1,12})?".prop_map(String::into_bytes),
        1 => "[\"a;:=,()0-9rtqw. -]{0,30}".prop_map(String::into_bytes),
    ];
    (select(NAMES).prop_map(str::to_owned), value)
}

fn any_status() -> impl Strategy<Value = u16> {
    prop_oneof![select(&[200u16, 204, 301, 400, 403, 420, 429, 500, 503][..]), 100u16..1000]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        r#"{"retry_after":1.5}"#,
        r#"{"ok":false,"error":"ratelimited","retryAfter":-4}"#,
        r#"{"errors":[{"extensions":{"code":"THROTTLED","retry_in_seconds":12}}]}"#,
        r#"{"error":{"details":[{"retryDelay":"30.4s"}]}}"#,
        "Server is busy",
    ];
    let json = "[\\[\\]{}\":,0-9a-z_]{0,60}".prop_map(String::into_bytes);
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(|s| s.as_bytes().to_vec()), json, prop::collection::vec(any::<u8>(), 0..80)]
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    select(Dialect::ALL)
}

fn read_lines(lines: &Lines, dialect: Dialect, status: u16, body: &[u8], received_at: UnixMs) -> RateLimit {
    read(&Response { dialect, status, headers: &headers(lines), body, received_at })
}

/// What holds of every answer.
fn judge(limits: &RateLimit, status: u16) -> Result<(), TestCaseError> {
    let policies = limits.policies.as_deref().unwrap_or_default();
    prop_assert!(limits.policies.is_none() || (1..=MAX_POLICIES).contains(&policies.len()));
    let to_come = policies.iter().map(|p| p.reset_in).chain([limits.reset_in, limits.retry_after]).flatten();
    for time in to_come {
        prop_assert!(time.as_secs() <= FURTHEST_S && time.subsec_nanos() == 0, "{:?}", time);
    }
    let windows = policies.iter().map(|p| p.window).chain([limits.window]).flatten();
    for window in windows {
        prop_assert!(!window.is_zero() && window.subsec_nanos() == 0);
    }
    prop_assert!(matches!(status, 200..=299 | 400 | 403 | 420 | 429 | 503) || !limits.throttled);
    prop_assert!(!matches!(status, 420 | 429) || limits.throttled);
    no_negative(&serde_json::to_value(limits).unwrap())
}

/// Every number a program reads is a whole one, from 0.
fn no_negative(value: &Value) -> Result<(), TestCaseError> {
    match value {
        Value::Number(n) => prop_assert!(n.is_u64(), "{}", n),
        Value::Array(all) => all.iter().try_for_each(no_negative)?,
        Value::Object(all) => all.values().try_for_each(no_negative)?,
        _ => {}
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Committed seeds: the same inputs on every machine and every day, so that what a later change breaks is broken for everybody. A seed that found
/// something is added to the file.
#[test]
fn the_inputs_of_committed_seeds_are_read() {
    let seeds: Vec<&str> = include_str!("../fixtures/rate-limit-seeds.txt").lines().collect();
    assert!(seeds.len() >= 16);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let mut runner = TestRunner::new_with_rng(config(500), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let lines = prop::collection::vec(any_line(), 0..12);
        let input = (lines, any_dialect(), any_status(), any_body(), any::<i64>());
        let read = runner.run(&input, |(lines, dialect, status, body, at)| {
            [NOON, UnixMs(at)].into_iter().try_for_each(|at| judge(&read_lines(&lines, dialect, status, &body, at), status))
        });
        assert!(read.is_ok(), "seed {seed}: {read:?}");
    }
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn whatever_is_sent_is_read(
        lines in prop::collection::vec(any_line(), 0..12), dialect in any_dialect(), status in any_status(), body in any_body(),
        at in any::<i64>(),
    ) {
        for at in [NOON, UnixMs(at)] {
            judge(&read_lines(&lines, dialect, status, &body, at), status)?;
        }
    }

    #[test]
    fn a_worked_case_with_some_bytes_changed_is_read(
        which in any::<Index>(), line in any::<Index>(), changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        dialect in any_dialect(),
    ) {
        // Parsing all cases anew for each input would take most of the time.
        static CASES: std::sync::LazyLock<Vec<(Lines, u16)>> =
            std::sync::LazyLock::new(|| cases().iter().map(|c| (lines_of(c), c["status"].as_u64().unwrap() as u16)).collect());
        let (mut lines, status) = which.get(&CASES).clone();
        if !lines.is_empty() {
            let value = &mut line.get_mut(&mut lines).1;
            for (at, byte) in changes {
                match (value.is_empty(), byte % 3) {
                    (true, _) | (_, 0) => value.insert(at.index(value.len() + 1), byte),
                    (_, 1) => drop(value.remove(at.index(value.len()))),
                    _ => *at.get_mut(value) = byte,
                }
            }
        }
        judge(&read_lines(&lines, dialect, status, b"", NOON), status)?;
    }
}

proptest! {
    #![proptest_config(config(1000))]

    /// As time goes by, what is to come comes nearer second by second, and never moves away.
    #[test]
    fn time_is_monotone(lines in prop::collection::vec(any_line(), 1..6), dialect in any_dialect(), later_ms in 0i64..10_000_000) {
        // Counted by our clock. The top-level values are left out: they may come from another policy once resets have changed.
        let lines: Lines = lines.into_iter().filter(|(n, _)| n != "date").collect();
        let passed = u64::try_from(later_ms).unwrap().div_ceil(1000);
        let at = |ms| read_lines(&lines, dialect, 429, b"", UnixMs(NOON.0 + ms));
        let (before, after) = (at(0), at(later_ms));
        let pairs = |l: &RateLimit| {
            let policies = l.policies.clone().unwrap_or_default();
            policies.iter().map(|p| p.reset_in).chain([l.retry_after]).collect::<Vec<_>>()
        };
        for (before, after) in pairs(&before).into_iter().zip(pairs(&after)) {
            if let Some(before) = before {
                let (before, after) = (before.as_secs(), after.expect("it was known a moment ago").as_secs());
                prop_assert!(after <= before && before - after <= passed, "{before} s, then {after} s");
            }
        }
    }

    /// Lines of different names may come in any order.
    #[test]
    fn the_order_of_names_does_not_matter(
        lines in prop::collection::btree_map(select(NAMES), select(VALUES), 0..8), order in any::<u64>(), dialect in any_dialect(),
        status in any_status(),
    ) {
        let lines: Lines = lines.into_iter().map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).collect();
        let mut shuffled = lines.clone();
        shuffled.sort_by_key(|(n, _)| n.bytes().fold(order, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)));
        prop_assert_eq!(read_lines(&lines, dialect, status, b"", NOON), read_lines(&shuffled, dialect, status, b"", NOON));
    }

    /// Counts and times of one name may come in any order too, and one more line only makes us more careful.
    #[test]
    fn repeated_lines_make_more_careful(
        values in prop::collection::vec((select(&["remaining", "limit", "reset"][..]), select(&VALUES[..12])), 1..8), dialect in any_dialect(),
    ) {
        let line = |(name, value): &(&str, &str)| (format!("x-ratelimit-{name}"), value.as_bytes().to_vec());
        let lines: Lines = values.iter().map(line).collect();
        let of = |lines: &Lines| read_lines(lines, dialect, 200, b"", NOON);
        let all = of(&lines);
        prop_assert_eq!(&all, &of(&lines.iter().rev().cloned().collect()));
        let fewer = of(&lines[1..].to_vec());
        prop_assert!(fewer.remaining.is_none_or(|r| all.remaining.is_some_and(|a| a <= r)));
        prop_assert!(fewer.reset_in <= all.reset_in);
    }

    /// Announcements and what nobody knows change nothing.
    #[test]
    fn headers_of_no_rule_change_nothing(
        lines in prop::collection::vec(any_line(), 0..6), other in select(&["beta-ratelimit", "x-beta-ratelimit-remaining", "beta-retry-after", "unity-ratelimit", "x-ratelimit-resource", "ratelimit-observed", "x-ms-throttle-limit-percentage"][..]),
        value in select(VALUES), status in any_status(),
    ) {
        let mut more = lines.clone();
        more.push((other.to_owned(), value.as_bytes().to_vec()));
        prop_assert_eq!(read_lines(&lines, Dialect::Auto, status, b"", NOON), read_lines(&more, Dialect::Auto, status, b"", NOON));
    }
}
