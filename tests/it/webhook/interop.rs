//! Implementations that are not ours: what we sign is accepted by the packages the senders publish, and what they sign by us; what was tampered with by neither.
//!
//! `tests/run` puts the packages under target/tools and says that they have to be there (`SOAKWATCH_WEBHOOK_TOOLS=required`). Without that they may be
//! missing, and it is printed that nothing was compared.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Headers, Outgoing, Reason, Request, Scheme, Signed, sign, verify};

const WHSEC: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const OTHER: &str = "whsec_YW5vdGhlciBrZXkgb2YgdHdlbnR5LWZvdXIgYnl0ZXM=";
/// A seed of 32 bytes, and the public key it makes: RFC 8032, 7.1, test 1.
const WHSK: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const WHPK: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const URL: &str = "https://hooks.example.com/in?a=b";
const FORM: &str = "application/x-www-form-urlencoded";

/// One program that is not ours: a JSON object a line in, one a line out.
struct Foreign {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Foreign {
    /// Starts it. None, and it is said, where its packages are missing and need not be there.
    fn start(program: PathBuf, needs: &str, script: &str) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let tools = root.join("target/tools").join(needs);
        if !tools.exists() {
            let required = std::env::var("SOAKWATCH_WEBHOOK_TOOLS").is_ok_and(|v| v == "required");
            assert!(!required, "{} is missing: tests/run installs it", tools.display());
            // Not by a macro: the test runner would keep what those print to itself.
            let _ = writeln!(
                std::io::stderr(),
                "NOT COMPARED with other implementations: {} is missing; tests/run installs it",
                tools.display()
            );
            return None;
        }
        let mut child = Command::new(if program.is_relative() && needs.ends_with("python") { tools.clone() } else { program })
            .arg(root.join("tests/interop").join(script))
            .env("NODE_PATH", tools)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, input, output })
    }

    fn python() -> Option<Self> {
        Self::start("python".into(), "webhooks-py/bin/python", "webhooks.py")
    }

    fn node() -> Option<Self> {
        Self::start("node".into(), "webhooks-js/node_modules", "webhooks.cjs")
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the other side ended at {question}");
        serde_json::from_str(&line).unwrap()
    }

    fn accepts(&mut self, question: Value) -> bool {
        let mut question = question;
        question["do"] = "verify".into();
        self.ask(&question)["accepted"].as_bool().unwrap()
    }

    /// Ends it, and holds it to a good end.
    fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

/// One scheme as both sides name it.
struct Pair {
    ours: &'static str,
    theirs: &'static str,
    signing: &'static str,
    judging: &'static str,
    /// What a form becomes in the other language; None: the body is JSON.
    form: Option<Value>,
}

fn pair(name: &'static str, secret: &'static str) -> Pair {
    Pair { ours: name, theirs: name, signing: secret, judging: secret, form: None }
}

const BODIES: [&str; 3] =
    ["{\"id\":\"evt_1\",\"object\":\"event\",\"text\":\"grüße \u{1f600}\"}", "{\"object\":\"event\", \"a\" :\t1}\n", "{}"];

fn headers(signed: &[(String, String)]) -> Value {
    signed.iter().map(|(n, v)| (n.clone(), Value::from(v.clone()))).collect::<serde_json::Map<_, _>>().into()
}

fn ours(pair: &Pair, secrets: &[&str], id: &str, body: &str, now: UnixMs) -> Signed {
    let secrets: Vec<SecretValue> = secrets.iter().copied().map(SecretValue::new).collect();
    let content_type = Some(if pair.form.is_some() { FORM } else { "application/json" });
    let message = Outgoing { id, method: "POST", url: URL, content_type, body: body.as_bytes() };
    sign(Scheme::named(pair.ours).unwrap(), &secrets, &message, now).unwrap()
}

/// Both ways, with tampering.
fn compare(other: &mut Foreign, pairs: &[Pair]) {
    // They read their own clocks, and take five minutes either side.
    let now = Clock::System.now().whole_seconds();
    for pair in pairs {
        let bodies = if pair.form.is_some() { vec!["B=2&a=1+2%2B&a=1&%C3%A9=x"] } else { BODIES.to_vec() };
        for (n, body) in bodies.into_iter().enumerate() {
            let id = format!("msg_{n}");
            let ask = |signed: &Signed, body: &str| json!({ "scheme": pair.theirs, "secret": pair.judging, "headers": headers(&signed.headers), "body": body, "url": signed.url, "form": pair.form });
            let signed = ours(pair, &[pair.signing], &id, body, now);
            assert!(other.accepts(ask(&signed, body)), "{}: ours is refused", pair.theirs);
            // While a secret is rotated.
            if ["standard-webhooks", "svix", "stripe"].contains(&pair.theirs) {
                let rotated = ours(pair, &[OTHER, pair.signing], &id, body, now);
                assert!(other.accepts(ask(&rotated, body)), "{}: two signatures are refused", pair.theirs);
                let foreign = ours(pair, &[OTHER], &id, body, now);
                assert!(!other.accepts(ask(&foreign, body)), "{}: another secret is taken", pair.theirs);
            }
            if pair.form.is_none() {
                assert!(!other.accepts(ask(&signed, &format!("{body} "))), "{}: a tampered body is taken", pair.theirs);
            }
            let question = json!({
                "do": "sign", "scheme": pair.theirs, "secret": pair.signing, "id": id, "now": now.0 / 1000, "body": body, "url": URL, "form": pair.form
            });
            let theirs = other.ask(&question);
            let theirs: Headers = theirs["headers"].as_object().unwrap().iter().map(|(n, v)| (n, v.as_str().unwrap())).collect();
            let secrets = [SecretValue::new(OTHER), SecretValue::new(pair.judging)];
            let judge = |body: &[u8], url: &str| {
                let request = Request { method: "POST", url, headers: &theirs, body };
                verify(Scheme::named(pair.ours).unwrap(), &secrets, &request, now, &|_| false)
            };
            let verdict = judge(body.as_bytes(), URL);
            assert_eq!((verdict.valid, verdict.secret), (true, Some(1)), "{}: theirs is refused: {verdict:?}", pair.theirs);
            let tampered = judge(format!("{body}&x=1").as_bytes(), URL);
            assert_eq!(tampered.reason, Some(Reason::BadSignature), "{}", pair.theirs);
        }
    }
}

#[test]
fn the_packages_of_python() {
    let Some(mut python) = Foreign::python() else { return };
    let form = json!({ "B": ["2"], "a": ["1 2+", "1"], "é": ["x"] });
    compare(
        &mut python,
        &[
            pair("standard-webhooks", WHSEC),
            pair("svix", WHSEC),
            pair("stripe", "whsec_text"),
            pair("slack", "s3cret"),
            Pair { form: Some(form), ..pair("twilio", "tok3n") },
        ],
    );
    // Twilio's way with a body that is no form: its hash in the address.
    let message = Outgoing { id: "i", method: "POST", url: URL, content_type: Some("application/json"), body: b"{\"a\": 1}" };
    let signed = sign(Scheme::named("twilio").unwrap(), &[SecretValue::new("tok3n")], &message, UnixMs(0)).unwrap();
    let ask =
        |body: &str| json!({ "scheme": "twilio", "secret": "tok3n", "headers": headers(&signed.headers), "body": body, "url": signed.url });
    assert!(python.accepts(ask("{\"a\": 1}")) && !python.accepts(ask("{\"a\": 2}")));
    python.end();
}

#[test]
fn the_packages_of_node() {
    let Some(mut node) = Foreign::node() else { return };
    let ed25519 = Pair { theirs: "ed25519", signing: WHSK, judging: WHPK, ..pair("standard-webhooks", WHSEC) };
    compare(
        &mut node,
        &[pair("standard-webhooks", WHSEC), pair("svix", WHSEC), pair("stripe", "whsec_text"), pair("github", "It's a Secret"), ed25519],
    );
    node.end();
}
