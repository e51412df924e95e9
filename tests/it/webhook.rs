//! Webhooks: the worked vectors and our own variations, by the library and by the command; what the command says to people, and what it never says.

mod fuzz;
mod interop;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use soakwatch::clock::UnixMs;
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{self, Headers, MessageId, Request, Scheme, Template};

/// The worked vectors: an array with a vector a line.
const VECTORS: &str = include_str!("../fixtures/webhook-vectors.json");
/// Our own, from the text of the rule each names, computed by another implementation (Python's hmac). What once went wrong is added here.
const VARIATIONS: &str = include_str!("../fixtures/webhook-variations.jsonl");

fn vectors() -> Vec<Value> {
    let mut all: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(all.len(), 55);
    all.extend(VARIATIONS.lines().map(|l| serde_json::from_str(l).unwrap()));
    assert!(all.len() > 55 + 200);
    all
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(|all| all.iter().map(|v| v.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

fn scheme_of(case: &Value) -> Scheme {
    match case["scheme"].as_str().unwrap() {
        "generic" => Template::read(&serde_json::from_value(case["template"].clone()).unwrap()).unwrap().scheme().clone(),
        name => Scheme::named(name).unwrap_or_else(|| panic!("{name}")).clone(),
    }
}

fn headers_of(case: &Value) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in case["request"]["headers"].as_object().unwrap() {
        let lines = value.as_str().map(|v| vec![v.to_owned()]).unwrap_or_else(|| texts(value));
        lines.iter().for_each(|v| headers.add(name, v.as_bytes()));
    }
    headers
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn body_of(case: &Value) -> Vec<u8> {
    let request = &case["request"];
    request["body_b64"].as_str().map_or_else(|| request["body"].as_str().unwrap_or_default().as_bytes().to_vec(), base64)
}

fn now_of(case: &Value) -> UnixMs {
    case["now"].as_str().map_or(UnixMs(0), |t| t.parse::<jiff::Timestamp>().unwrap().into())
}

fn secrets_of(case: &Value) -> Vec<SecretValue> {
    case["secret"].as_str().map(str::to_owned).into_iter().chain(texts(&case["secrets"])).map(SecretValue::new).collect()
}

/// What is wrong with an answer to a question.
fn differs(expect: &Value, status: u16, content_type: Option<&str>, headers: &[(String, String)], body: Option<&str>) -> Option<String> {
    let header = |name: &String| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let fits = expect["status"] == status
        && expect.get("content_type").is_none_or(|t| t.as_str() == content_type)
        && expect.get("body").is_none_or(|b| b.as_str() == body)
        && expect.get("json").is_none_or(|j| body.and_then(|b| serde_json::from_str::<Value>(b).ok()).as_ref() == Some(j))
        && expect["headers"].as_object().is_none_or(|all| all.iter().all(|(n, v)| v.as_str() == header(n)))
        && texts(&expect["absent_headers"]).iter().all(|n| header(n).is_none());
    // A refusal answers nothing.
    let quiet = status != 401 || (body.is_none() && headers.is_empty());
    (!fits || !quiet).then(|| format!("expected {expect}, got {status} {content_type:?} {headers:?} {body:?}"))
}

#[test]
fn every_vector_by_the_library() {
    for case in vectors() {
        let name = &case["name"];
        let (scheme, secrets, headers, body) = (scheme_of(&case), secrets_of(&case), headers_of(&case), body_of(&case));
        let text = |key: &str| case["request"][key].as_str().unwrap_or_default();
        let request = Request { method: text("method"), url: text("url"), headers: &headers, body: &body };
        let expect = &case["expect"];
        if case["kind"] == "verify" {
            let seen = texts(&case["seen_ids"]);
            let joined = |id: &MessageId| id.source.as_ref().map_or(id.id.clone(), |s| format!("{s} {}", id.id));
            let is_seen = |id: &MessageId| seen.iter().any(|s| *s == joined(id) || *s == joined(id).replace(' ', ""));
            let verdict = webhook::verify(&scheme, &secrets, &request, now_of(&case), &is_seen);
            assert_eq!((verdict.valid, verdict.reason.map(|r| r.as_str())), (expect["valid"] == true, expect["reason"].as_str()), "{name}");
            continue;
        }
        let allowed = case["request"].get("allowed_origins").map(texts);
        let Some(answer) = webhook::handshake(&scheme, &secrets, &request, allowed.as_deref(), now_of(&case)) else {
            // A message and no question; the command judges it as one.
            assert!(expect["status"] == 200 || expect["status"] == 401, "{name}");
            continue;
        };
        let headers: Vec<(String, String)> = answer.headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        assert_eq!(differs(expect, answer.status, answer.content_type, &headers, answer.body.as_deref()), None, "{name}");
    }
}

/// Runs the command with what it reads from standard input.
fn command(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_soakwatch"))
        .arg("webhook")
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Written from a thread of its own: the command answers while it reads.
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_vector_by_the_command() {
    let input: String = vectors().iter().map(|c| format!("{c}\n")).collect();
    let done = command(&["verify", "--jsonl"], &[], input.as_bytes());
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(0), ""));
    let printed: Vec<Value> = text(&done.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(printed.len(), vectors().len());
    for (case, printed) in vectors().iter().zip(&printed) {
        let (name, expect) = (&case["name"], &case["expect"]);
        let keys: Vec<&String> = printed.as_object().unwrap().keys().collect();
        assert_eq!(printed["name"], *name);
        if case["kind"] == "verify" {
            assert_eq!((&printed["valid"], &printed["reason"]), (&expect["valid"], &expect["reason"]), "{name}");
            assert_eq!(keys, ["name", "reason", "valid"]);
            continue;
        }
        assert_eq!(keys, ["body", "content_type", "headers", "name", "status"]);
        let headers = printed["headers"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned()));
        let status = u16::try_from(printed["status"].as_u64().unwrap()).unwrap();
        assert!(printed["body"].is_string() || printed["body"].is_null(), "{name}");
        let (kind, body) = (printed["content_type"].as_str(), printed["body"].as_str());
        assert_eq!(differs(expect, status, kind, &headers.collect::<Vec<_>>(), body), None, "{name}");
    }
}

#[test]
fn the_array_of_vectors_is_read_as_it_is() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/webhook-vectors.json");
    let done = command(&["verify", "--jsonl", file], &[], b"");
    assert_eq!((done.status.code(), text(&done.stdout).lines().count()), (Some(0), 55));
}

#[test]
fn a_line_that_can_not_be_read_is_named_and_costs_only_itself() {
    let good = r#"{"name":"n","kind":"verify","scheme":"github","secret":"x","request":{"headers":{}}}"#;
    let long = "x".repeat(5 << 20);
    let input =
        format!("{good}\nnonsense c4nary\n\n{long}\n{{\"kind\":\"verify\",\"scheme\":\"klingon\",\"secret\":\"c4nary\"}}\n\u{0}\n{good}");
    let done = command(&["verify", "--jsonl"], &[], input.as_bytes());
    let said = text(&done.stderr);
    assert_eq!((done.status.code(), text(&done.stdout).lines().count()), (Some(65), 2));
    for expected in
        ["line 2: expected JSON", "line 4: expected a line of at most 4 MiB", "line 5: scheme: expected one of", "line 6: expected JSON"]
    {
        assert!(said.contains(&format!("standard input: {expected}")), "{said}");
    }
    assert!(!said.contains("c4nary") && said.len() < 4000, "{said}");
}

/// Signs a body by the command and judges it, changed, with the scheme and secret given.
fn mixed_up(
    signed_as: &str,
    signing: &str,
    judged_as: &str,
    judging: &str,
    change: impl Fn(&mut Vec<(String, String)>, &mut Vec<u8>),
) -> Output {
    let at = ["--at", "2026-12-01T08:00:00Z", "--url", "https://x.test/a?b=c"];
    let mut body = br#"{"a": 1, "b": "c"}"#.to_vec();
    let args = [&["sign", "--json", "--scheme", signed_as, "--secret-env", "S"][..], &at].concat();
    let signed = command(&args, &[("S", signing)], &body);
    assert_eq!((signed.status.code(), text(&signed.stderr).as_str()), (Some(0), ""), "{signed_as}");
    let signed: Value = serde_json::from_slice(&signed.stdout).unwrap();
    let mut headers: Vec<(String, String)> =
        signed["headers"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
    change(&mut headers, &mut body);
    let lines: Vec<String> = headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let mut args = [&["verify", "--scheme", judged_as, "--secret-env", "S"][..], &at].concat();
    lines.iter().for_each(|l| args.extend(["-H", l]));
    command(&args, &[("S", judging)], &body)
}

const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

#[test]
fn the_usual_mix_ups_are_named() {
    type Change = fn(&mut Vec<(String, String)>, &mut Vec<u8>);
    let same: Change = |_, _| {};
    let rename = |h: &mut Vec<(String, String)>, from: &str, to: &str| h.iter_mut().for_each(|(n, _)| *n = n.replace(from, to));
    let cases: [(&str, &str, &str, &str, Change, &str); 16] = [
        ("github", "s3cret", "github", "s3cret", |_, b| b.push(b'\n'), "the body is taken without the line break at its end"),
        ("github", "s3cret", "github", "s3cret ", same, "without the white space around it"),
        ("github", "s3cret", "github", "other", same, "another secret, or a body that was changed"),
        ("github", "s3cret", "github", "s3cret", |_, b| b.retain(|c| *c != b' '), "the JSON is written with spaces after commas"),
        ("github", "s3cret", "github", "s3cret", |h, _| h.clear(), "x-hub-signature-256 is missing"),
        (
            "github",
            "s3cret",
            "github",
            "s3cret",
            |h, _| h.iter_mut().for_each(|(_, v)| *v = v.replace("sha256=", "")),
            "expected sha256= and hex",
        ),
        ("stripe", WHSEC, "stripe", "whsec_other", same, "another secret"),
        ("stripe", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "stripe", WHSEC, same, "the secret's text without its whsec_ is the key"),
        ("svix", WHSEC, "standard-webhooks", WHSEC, same, "it has the headers of svix"),
        ("svix", WHSEC, "svix", "not base64!", same, "the secret is not base64"),
        (
            "slack",
            "s3cret",
            "slack",
            "s3cret",
            |h, _| {
                h.iter_mut().for_each(|(n, v)| {
                    if n.ends_with("timestamp") {
                        v.push_str(".0");
                    }
                });
            },
            "expected whole seconds since 1970",
        ),
        ("shopify", "s3cret", "shopify", "s3cret", |_, b| b.clear(), "the body is empty"),
        ("intercom", "s3cret", "atlassian", "s3cret", same, "sha256= and hex"),
        ("zendesk", "s3cret", "zendesk", "s3cret", |h, _| h.retain(|(n, _)| !n.ends_with("timestamp")), "timestamp is missing"),
        ("hubspot-v2", "s3cret", "hubspot-v1", "s3cret", same, "clue"),
        ("okta", "s3cret", "okta", "s3cret", |h, _| h.iter_mut().for_each(|(_, v)| *v = "Bearer s3cret".into()), "without its first word"),
    ];
    for (signed_as, signing, judged_as, judging, change, said) in cases {
        let done = mixed_up(signed_as, signing, judged_as, judging, change);
        let out = text(&done.stdout);
        assert!(done.status.code() == Some(1) && out.contains(said), "{signed_as} as {judged_as}: expected {said:?} in\n{out}");
        assert!(out.starts_with("invalid: "), "{out}");
    }
    // Twilio's way with a body that nothing binds, and Ed25519 where only a shared secret is known.
    let args = ["--secret-env", "S", "-H", "X-Twilio-Signature: AAAA", "-H", "Content-Type: application/json", "--url", "https://x.test/"];
    let done = command(&[&["verify", "--scheme", "twilio"][..], &args].concat(), &[("S", "s3cret")], b"{}");
    assert!(text(&done.stdout).contains("nothing would bind it"), "{}", text(&done.stdout));
    let done = mixed_up("svix", "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "svix", WHSEC, same);
    assert!(text(&done.stdout).contains("expected whpk_ and base64"), "{}", text(&done.stdout));
    // Shopify's base64 under GitHub's header, and the other way round.
    let done = mixed_up("shopify", "s3cret", "github", "s3cret", |h, _| {
        rename(h, "x-shopify-hmac-sha256", "x-hub-signature-256");
        h.iter_mut().for_each(|(_, v)| *v = format!("sha256={v}"));
    });
    assert!(text(&done.stdout).contains("the signature is read as base64 (the scheme's is hex)"), "{}", text(&done.stdout));
    // Signed as Stripe does, with the decoded secret: two things at once are found too.
    let done = mixed_up("github", "s3cret", "github", "s3cret\n\n", |_, b| b.push(b'\n'));
    assert!(text(&done.stdout).contains(", and "), "{}", text(&done.stdout));
}

#[test]
fn what_fits_is_said_with_its_parts() {
    let done = mixed_up("standard-webhooks", WHSEC, "standard-webhooks", WHSEC, |_, _| {});
    let out = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{out}");
    for said in [
        "valid\n",
        "scheme    standard-webhooks",
        "signed    id, ",
        "timestamp, 10 bytes: \"1796112000\"",
        "body, 18 bytes",
        "stamped   0 s ago",
    ] {
        assert!(out.contains(said), "{said:?} in\n{out}");
    }
}

/// docs/webhooks.md shows what the command prints, knows every scheme, and its line of JSON is judged as it says.
#[test]
fn the_documentation_is_true() {
    let page = include_str!("../../docs/webhooks.md");
    let signature = "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let args = ["verify", "--scheme", "github", "--secret-env", "HOOK_SECRET", "-H", signature];
    let done = command(&args, &[("HOOK_SECRET", "It's a Secret to Everybody")], b"Hello, World!\n");
    assert!(page.contains(&text(&done.stdout)) && page.contains(signature), "{}", text(&done.stdout));
    for scheme in Scheme::all() {
        assert!(page.contains(&format!("`{}`", scheme.name())), "{}", scheme.name());
    }
    let line = page.lines().find(|l| l.starts_with("{\"name\"")).unwrap();
    let done = command(&["verify", "--jsonl"], &[], line.as_bytes());
    assert!(page.contains(text(&done.stdout).trim_end()) && done.status.success(), "{}", text(&done.stdout));
}

#[test]
fn what_can_not_be_used_is_said_with_its_exit_code() {
    for (args, code, said) in [
        (&["verify", "--scheme", "githob", "--secret-env", "S"][..], 64, "did you mean \"github\"?"),
        (&["verify", "--secret-env", "S"][..], 64, "--scheme is missing"),
        (&["sign", "--scheme", "github"][..], 64, "--secret-env is missing"),
        (&["sign", "--scheme", "github", "--secret-env", "NOT_SET_ANYWHERE"][..], 65, "environment variable NOT_SET_ANYWHERE is not set"),
        (&["sign", "--scheme", "svix", "--secret-env", "S"][..], 65, "the secret is not base64"),
        (&["sign", "--scheme", "ms-graph", "--secret-env", "S"][..], 65, "are not signed"),
        (&["sign", "--scheme", "generic", "--secret-env", "S"][..], 64, "signature_header is missing"),
        (&["sign", "--scheme", "github", "--template", "hash=sha1", "--secret-env", "S"][..], 64, "belongs to --scheme generic"),
        (&["verify", "--scheme", "github", "--secret-env", "S", "/nonexistent/body"][..], 65, "there is nothing of this name"),
        (&["verify", "--scheme", "github", "--secret-env", "S", "-H", "nothing"][..], 64, "expected \"Name: value\""),
        (&["verify", "--jsonl", "--scheme", "github"][..], 64, "cannot be used with"),
    ] {
        let done = command(args, &[("S", "c4nary, no base64")], b"");
        let said_so = text(&done.stderr);
        assert!(done.status.code() == Some(code) && said_so.contains(said), "{args:?}: {said_so}");
        assert!(!said_so.contains("c4nary"), "{args:?}: {said_so}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_anything_is_hashed() {
    let body = vec![b'x'; webhook::MAX_BODY + 1];
    let done = command(&["verify", "--scheme", "github", "--secret-env", "S"], &[("S", "s3cret")], &body);
    assert!(done.status.code() == Some(1) && text(&done.stdout).starts_with("invalid: too_large"), "{}", text(&done.stdout));
    let done = command(&["sign", "--scheme", "github", "--secret-env", "S"], &[("S", "s3cret")], &body);
    assert!(done.status.code() == Some(65) && text(&done.stderr).contains("expected at most"), "{}", text(&done.stderr));
}

/// Every scheme, signed and judged and refused, with a planted secret that stands in the body, in the address and in headers too.
#[test]
fn no_output_holds_the_secret() {
    for scheme in Scheme::all() {
        let (canary, plain) = match scheme.name() {
            "standard-webhooks" | "svix" => ("whsec_YzRuYXJ5YzRuYXJ5YzRuYXJ5YzRuYXJ5", "c4naryc4naryc4naryc4nary"),
            _ => ("c4nary-secret/9876543210", "c4nary-secret/9876543210"),
        };
        let url = format!("https://x.test/a?access_token={canary}");
        let body = format!("{{\"id\":\"{canary}\",\"value\":[{{\"clientState\":\"{canary}\"}}]}}");
        let auth = format!("Authorization: Bearer {canary}");
        let id = format!("X-GitHub-Delivery: {canary}");
        let mut said = String::new();
        for args in
            [&["sign"][..], &["sign", "--json"], &["verify", "-H", &auth, "-H", &id], &["verify", "-H", "Authorization: x"], &["verify"]]
        {
            let args = [args, &["--scheme", scheme.name(), "--secret-env", "S", "--url", &url]].concat();
            let done = command(&args, &[("S", canary)], body.as_bytes());
            assert!(matches!(done.status.code(), Some(0 | 1 | 65)), "{args:?}: {}", text(&done.stderr));
            said.push_str(&(text(&done.stdout) + &text(&done.stderr)));
        }
        assert!(
            !said.is_empty() && !said.contains(canary) && !said.contains(plain) && !said.contains("c4nary"),
            "{}:\n{said}",
            scheme.name()
        );
    }
}
