//! Secrets never leave: every output path is driven with planted secrets against an endpoint that sends back whatever it gets, plain, base64- and
//! percent-encoded. No output holds a secret in any of these forms.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use soakwatch::clock::Clock;
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use crate::support::daemon::{Daemon, eventually, get, output, post, request, series, soakwatch};

/// The planted secrets by the name of their reference.
const SECRETS: [(&str, &str); 12] = [
    ("CANARY_BASIC", "c4nary-b4sic/pass+word"),
    ("CANARY_BEARER", "c4naryBearerTokenOf40CharactersAndThenSome"),
    ("CANARY_KEY", "c4nary key with spaces&signs="),
    ("CANARY_QUERY", "c4nary-query-Zz%41"),
    ("CANARY_CLIENT", "c4nary\"client\"secret"),
    ("CANARY_HEADER", "c4nary-header-value-0123456789"),
    ("CANARY_FILE", "c4nary-in-a-file-abcdefghijkl"),
    ("CANARY_HOOK", "c4nary-hook-secret-0a1b2c3d4e5f"),
    ("CANARY_RECEIVER", "c4nary-receiver-secret-99887766"),
    // "c4nary-decoded-receiver-key-24680"
    ("CANARY_STANDARD", "whsec_YzRuYXJ5LWRlY29kZWQtcmVjZWl2ZXIta2V5LTI0Njgw"),
    ("CANARY_TRIP", "c4nary-round-trip-bearer-13579"),
    ("CANARY_DIGEST", "c4nary-digest-passw0rd-86420"),
];
/// What the second of these secrets is the text of.
const DECODED: &str = "c4nary-decoded-receiver-key-24680";
/// What stands in messages to us: nothing of a message is ever kept or shown, whoever sent it.
const IN_MESSAGES: [&str; 9] = [
    "m3ssage-body-authentic",
    "m3ssage-body-forged",
    "m3ssage-body-malformed",
    "m3ssage-body-too-large",
    "m3ssage-body-of-a-round-trip",
    "m3ssage-header",
    "m3ssage-id",
    "m3ssage-query",
    "m3ssage-path",
];
/// Where messages are received, once that is known.
static HOOKS: OnceLock<String> = OnceLock::new();
/// The access token that the fake token endpoint issues: a secret of ours from then on.
const ISSUED: &str = "c4nary-issued-access-token-9876543210";

fn percent(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Answers with everything it was sent, in every encoding, in body, header and redirect target.
fn echo(mut socket: TcpStream) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
        head.push(line.trim_end().to_owned());
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let Some(path) = head.first().and_then(|l| l.split(' ').nth(1)).map(str::to_owned) else { return };
    let sent = format!("{} {}", head.join(" | "), String::from_utf8_lossy(&body));
    call_back(&path, &String::from_utf8_lossy(&body));
    if path.starts_with("/token") {
        let answer = if path.contains("refused") {
            let body = serde_json::json!({ "error": "invalid_client", "error_description": sent }).to_string();
            format!("HTTP/1.1 401 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        } else {
            let body = serde_json::json!({ "access_token": ISSUED, "token_type": "Bearer", "expires_in": 300 }).to_string();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        };
        let _ = socket.write_all(answer.as_bytes());
        return;
    }
    let values: Vec<&str> = head.iter().filter_map(|l| l.split_once(": ").map(|(_, v)| v)).collect();
    let all_encoded: BTreeMap<String, String> = values
        .iter()
        .enumerate()
        .flat_map(|(n, v)| {
            let bare = v.rsplit(' ').next().unwrap_or(v);
            [
                (format!("b64-{n}"), STANDARD.encode(v)),
                (format!("b64-bare-{n}"), STANDARD.encode(bare)),
                (format!("url64-{n}"), URL_SAFE.encode(format!("x{bare}"))),
                (format!("pct-{n}"), percent(v, |b| b.is_ascii_alphanumeric())),
            ]
        })
        .collect();
    let everything = serde_json::json!({ "echo": sent, "encoded": all_encoded, "first": values.first() }).to_string();
    let mut headers = String::new();
    for (name, value) in &all_encoded {
        headers += &format!("x-{name}: {value}\r\n");
    }
    // A policy may be called anything.
    let name = sent.replace(['\r', '\n', '"', '\\'], " ").chars().filter(char::is_ascii).take(4000).collect::<String>();
    headers += &format!("ratelimit-policy: \"{name}\";q=1000000;w=1\r\nratelimit: \"{name}\";r=5;t=1\r\n");
    headers += &format!("x-echo: {}\r\n", sent.replace(['\r', '\n'], " ").chars().filter(char::is_ascii).take(4000).collect::<String>());
    let status = if path.starts_with("/redirect") {
        headers += &format!(
            "location: /redirected/{}?leak={}\r\n",
            percent(&sent, |b| b.is_ascii_alphanumeric()).chars().take(3000).collect::<String>(),
            percent(&sent, |b| b.is_ascii_alphanumeric()).chars().take(2000).collect::<String>()
        );
        "302 Found"
    } else if path == "/digest" && !sent.contains("authorization: ") {
        headers += "www-authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";
        "401 Who"
    } else if path.starts_with("/fail") {
        "500 No"
    } else {
        "200 OK"
    };
    let _ = write!(
        socket,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{everything}",
        everything.len()
    );
}

/// What the trigger of a round trip sets off.
fn call_back(path: &str, body: &str) {
    let Some(hooks) = HOOKS.get().filter(|_| path.starts_with("/ok/trip")) else { return };
    let id: String = body.split_once("soakwatch-").unwrap_or_default().1.chars().take_while(char::is_ascii_hexdigit).collect();
    deliver(
        &format!("{hooks}/trip"),
        "github",
        SECRETS[8].1,
        &format!("{{\"ref\": \"soakwatch-{id}\", \"x\": \"m3ssage-body-of-a-round-trip\"}}"),
    );
}

/// Sends a signed message; the id and a header of it are planted, too.
fn deliver(url: &str, scheme: &str, secret: &str, body: &str) -> u16 {
    let message = Outgoing { id: "m3ssage-id-1", method: "POST", url, content_type: None, body: body.as_bytes() };
    let signed = sign(Scheme::named(scheme).unwrap(), &[SecretValue::new(secret)], &message, Clock::System.now()).unwrap();
    let mut headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    headers.extend([("X-Request-Id", "m3ssage-header-1"), ("User-Agent", "m3ssage-header-2")]);
    post(url, &headers, body).0
}

/// Every message that may come, whole and broken, to every check that receives; what is answered holds nothing of it either.
fn messages(hooks: &str) {
    let (receiver, standard) = (SECRETS[8].1, SECRETS[9].1);
    let authentic = "{\"n\": \"m3ssage-body-authentic\", \"t\": \"m3ssage-body-authentic\", \"eventId\": \"m3ssage-id-2\"}";
    for (check, scheme, secret) in
        [("in-github", "github", receiver), ("in-okta", "okta", receiver), ("in-standard", "standard-webhooks", standard)]
    {
        // Another secret of the scheme's form; okta shows it in a header.
        let wrong = if scheme == "standard-webhooks" { "whsec_bTNzc2FnZS1vdGhlci1rZXktMTIzNDU2Nzg5MA==" } else { "m3ssage-header-6" };
        for url in [format!("{hooks}/{check}"), format!("{hooks}/{check}?m3ssage-query=m3ssage-query")] {
            assert_eq!(deliver(&url, scheme, secret, authentic), 200, "{check}");
            assert_eq!(deliver(&url, scheme, wrong, "m3ssage-body-forged"), 401, "{check}");
        }
    }
    let url = format!("{hooks}/in-standard");
    let broken = [("webhook-id", "m3ssage-id-3"), ("webhook-timestamp", "m3ssage-header-3"), ("webhook-signature", "v1,m3ssage-header-4")];
    for (code, body) in [post(&url, &broken, "m3ssage-body-malformed"), post(&url, &[], "m3ssage-body-malformed")] {
        assert_eq!((code, body.as_str()), (401, ""));
    }
    assert_eq!(post(&url, &[], &"m3ssage-body-too-large ".repeat(20_000)).0, 413);
    assert_eq!(post(&format!("{hooks}/m3ssage-path"), &[], "m3ssage-body-forged").0, 404);
    assert_eq!(request("PATCH", &url, &[("X-A", "m3ssage-header-5")]).0, 405);
    let asked = request("GET", &format!("{hooks}/in-okta"), &[("X-Okta-Verification-Challenge", "challenge"), ("Authorization", receiver)]);
    assert_eq!(asked, (200, "{\"verification\":\"challenge\"}".to_owned()));
}

fn fake() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || echo(socket));
        }
    });
    port
}

fn configuration(dir: &Path, port: u16) -> usize {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("secret.txt"), format!("{}\n", SECRETS[6].1)).unwrap();
    assert_eq!(output(soakwatch().args(["keygen", "--out"]).arg(dir.join("evidence.key"))).status.code(), Some(0));
    std::fs::write(
        dir.join("soakwatch.toml"),
        "[server]\nlisten = \"127.0.0.1:0\"\naccess_log = true\n[receiver]\nlisten = \"127.0.0.1:0\"\naccess_log = true\n[log]\nlevel = \"trace\"\n[scheduler]\nper_host = 32\n[evidence]\nsigning_key = { file = \"evidence.key\" }\n",
    )
    .unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let auths = [
        r#"auth = { basic = { username = "u", password = { env = "CANARY_BASIC" } } }"#.to_owned(),
        r#"auth = { bearer = { env = "CANARY_BEARER" } }"#.into(),
        r#"auth = { api_key = { header = "X-Api-Key", value = { env = "CANARY_KEY" } } }"#.into(),
        r#"auth = { api_key = { query = "key", value = { env = "CANARY_QUERY" } } }"#.into(),
        format!(r#"auth = {{ oauth2 = {{ token_url = "{base}/token", client_id = "id", client_secret = {{ env = "CANARY_CLIENT" }} }} }}"#),
        format!(
            r#"auth = {{ oauth2 = {{ token_url = "{base}/token/refused", client_id = "id", client_secret = {{ env = "CANARY_CLIENT" }}, auth_method = "post" }} }}"#
        ),
        r#"headers = { "X-Custom" = { env = "CANARY_HEADER" } }"#.into(),
        r#"auth = { bearer = { file = "secret.txt" } }"#.into(),
    ];
    let expectations = [
        (
            "ok",
            r#"expect = { status = [200], json = [{ path = "$.echo", equals = "x" }], headers = [{ name = "x-echo", equals = "x" }], contains = ["never there"] }"#,
        ),
        ("fail", ""),
        ("redirect", "redirects = 3"),
        (
            "regex",
            r#"expect = { matches = "^never$", headers = [{ name = "x-b64-1", equals = "x" }], json = [{ path = "$.encoded", is = "array" }] }"#,
        ),
    ];
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"echo\"\nenvironment = \"staging\"\nowner = \"vendor\"\nsoak = { start = 2025-01-01T00:00:00Z }\n".to_owned();
    for (a, auth) in auths.iter().enumerate() {
        for (name, expect) in expectations {
            text += &format!(
                "[[integration.check]]\nid = \"{name}-{a}\"\nevery = \"2s\"\ntimeout = \"1500ms\"\nretries = 1\n[integration.check.http]\nurl = \"{base}/{name}/{a}\"\n{auth}\n{expect}\n"
            );
        }
    }
    // Answers a challenge, and is shown its own answer.
    text += &format!(
        "[[integration.check]]\nid = \"digest\"\nevery = \"2s\"\ntimeout = \"1500ms\"\n[integration.check.http]\nurl = \"{base}/digest\"\n\
         auth = {{ digest = {{ username = \"u\", password = {{ env = \"CANARY_DIGEST\" }}, md5 = true }} }}\nexpect = {{ contains = [\"never\"] }}\n"
    );
    // One scheme shows the secret, the other signs with it; what comes back is taken for accepted, and what is wrong for accepted too.
    let hooks = ["okta", "github"];
    for scheme in hooks {
        text += &format!(
            "[[integration.check]]\nid = \"hook-{scheme}\"\nevery = \"2s\"\ntimeout = \"1500ms\"\n[integration.check.webhook]\nurl = \"{base}/ok/{scheme}\"\n\
             scheme = \"{scheme}\"\nsecrets = {{ env = \"CANARY_HOOK\" }}\nreject = [\"unsigned\"]\nreplay = true\nbody = \"{{id}}\"\n"
        );
    }
    for (id, scheme, secret) in RECEIVING {
        let kind = match id {
            "trip" => format!(
                "round_trip]\ncorrelation = \"$.ref\"\ndeadline = \"1s\"\ntrigger = {{ url = \"{base}/ok/trip\", auth = {{ bearer = {{ env = \"CANARY_TRIP\" }} }}, \
                 body = {{ json = {{ reference = \"{{correlation}}\" }} }} }}"
            ),
            _ => "webhook_arrival]\ngrace = \"1s\"\nsequence = \"$.n\"\nevent_time = \"$.t\"".to_owned(),
        };
        text += &format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"2s\"\ntimeout = \"1500ms\"\n[integration.check.{kind}\nscheme = \"{scheme}\"\nsecrets = {{ env = \"{secret}\" }}\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
    auths.len() * expectations.len() + 1 + hooks.len() + RECEIVING.len()
}

/// The checks whose messages are received: id, scheme, secret.
const RECEIVING: [(&str, &str, &str); 4] = [
    ("in-github", "github", "CANARY_RECEIVER"),
    ("in-okta", "okta", "CANARY_RECEIVER"),
    ("in-standard", "standard-webhooks", "CANARY_STANDARD"),
    ("trip", "github", "CANARY_RECEIVER"),
];

/// Every form in which a secret may come back: the start of each is enough to find it.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        percent(secret, |b| b.is_ascii_alphanumeric()),
        percent(secret, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
        percent(secret, |b| b.is_ascii_alphanumeric()).to_lowercase(),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        secret.bytes().map(|b| format!("{b:02x}")).collect(),
    ];
    for engine in [&STANDARD, &URL_SAFE] {
        for offset in 0..3 {
            let coded = engine.encode([vec![b'x'; offset], secret.as_bytes().to_vec()].concat());
            // Without the characters that depend on what stands before and after.
            forms.push(coded.trim_end_matches('=')[4..].chars().take(12).collect());
        }
    }
    forms
}

fn assert_clean(what: &str, output: &[u8]) {
    let text = String::from_utf8_lossy(output);
    let folded = text.to_lowercase();
    let planted = IN_MESSAGES.iter().map(|text| ("a message", *text));
    for (name, secret) in SECRETS.iter().copied().chain([("issued token", ISSUED), ("decoded key", DECODED)]).chain(planted) {
        for form in forms(secret) {
            if let Some(at) = text.find(&form).or_else(|| folded.find(&form)) {
                let from = text.floor_char_boundary(at.saturating_sub(80));
                panic!("{what} holds {name} as {form:?}: …{}…", &text[from..text.ceil_char_boundary((at + 120).min(text.len()))]);
            }
        }
    }
    assert!(!output.is_empty(), "{what} is empty: nothing was checked");
}

#[test]
fn no_output_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let port = fake();
    let checks = configuration(dir.path(), port);
    // The forms really are what the fake sends: otherwise this test could not fail.
    let (_, echoed) = get(&format!("http://127.0.0.1:{port}/ok/{}", SECRETS[5].1));
    assert!(std::panic::catch_unwind(|| assert_clean("the echo", echoed.as_bytes())).is_err());
    assert!(IN_MESSAGES.iter().all(|text| std::panic::catch_unwind(|| assert_clean("a message", text.as_bytes())).is_err()));

    let env: Vec<(&str, &str)> = SECRETS.to_vec();
    let validate = output(soakwatch().arg("validate").arg(dir.path()).arg("--json").envs(env.clone()));
    assert_eq!(validate.status.code(), Some(0), "{}", String::from_utf8_lossy(&validate.stdout));
    assert_clean("validate", &validate.stdout);

    let daemon = Daemon::start(dir.path(), &env);
    let log = daemon.log();
    let hooks = log.split_once("messages are received on ").unwrap().1.split_once("/hooks").unwrap().0;
    let hooks = HOOKS.get_or_init(|| format!("{hooks}/hooks/acme/staging/echo"));
    messages(hooks);
    eventually("every check has run twice", || {
        let scrape = daemon.get("/metrics");
        let ran = scrape.lines().filter(|l| l.starts_with("soakwatch_runs_total{") && !l.ends_with(" 0") && !l.ends_with(" 1")).count();
        (ran == checks).then_some(())
    });
    let mut paths = vec![
        "/".to_owned(),
        "/metrics".into(),
        "/api/v1/status".into(),
        "/api/v1/limits".into(),
        "/api/v1/integrations/acme/staging/echo".into(),
        "/integrations/acme/staging/echo".into(),
        "/readiness/acme/staging".into(),
        "/api/v1/gates/acme/staging".into(),
        "/api/v1/incidents".into(),
    ];
    paths.extend(
        (0..8).flat_map(|a| ["ok", "fail", "redirect", "regex"].map(|n| format!("/api/v1/checks/acme/staging/echo/{n}-{a}/runs?since=1h"))),
    );
    paths.extend(RECEIVING.map(|(id, _, _)| format!("/api/v1/checks/acme/staging/echo/{id}/runs?since=1h")));
    let trips = eventually("a round trip that passed", || {
        let runs = daemon.get("/api/v1/checks/acme/staging/echo/trip/runs");
        runs.contains("\"pass\"").then_some(runs)
    });
    assert_clean("round trips", trips.as_bytes());
    let scrape = daemon.get("/metrics");
    for reason in ["signature", "unknown", "replay", "too_large"] {
        let counted = series(&scrape, "soakwatch_webhook_rejections_total", &[&format!("reason=\"{reason}\"")]);
        assert!(counted > Some(0.0), "{reason}: {counted:?}");
    }
    for path in &paths {
        let (status, body) = get(&format!("{}{path}", daemon.url));
        assert_eq!(status, 200, "{path}");
        assert_clean(path, body.as_bytes());
    }
    let limits = output(soakwatch().args(["limits", "acme/staging/echo", "--forecast", "--url", &daemon.url]));
    assert_eq!(limits.status.code(), Some(0), "{}", String::from_utf8_lossy(&limits.stderr));
    assert!(
        String::from_utf8_lossy(&limits.stdout).contains("1000000"),
        "the policy is shown: {}",
        String::from_utf8_lossy(&limits.stdout)
    );
    assert_clean("limits", &limits.stdout);
    let log = daemon.log();
    assert!(log.contains("acme/staging/echo/ok-0"), "the log says what fails");
    assert!(log.contains("soakwatch::access") && log.contains("/hooks/acme/staging/echo"), "the access log is in it");
    assert_clean("the log at trace level", log.as_bytes());
    assert_eq!(daemon.stop(), Some(0));

    let hooks = [("okta", "hook"), ("github", "hook")].map(|(a, n)| (a.to_owned(), n));
    for (a, name) in (0..8).flat_map(|a| ["ok", "fail", "redirect", "regex"].map(|n| (a.to_string(), n))).chain(hooks) {
        for json in [false, true] {
            let mut command = soakwatch();
            command.arg("probe").arg(format!("acme/staging/echo/{name}-{a}")).arg("--config").arg(dir.path()).envs(env.clone());
            let ran = output(if json { command.arg("--json") } else { &mut command });
            assert!(matches!(ran.status.code(), Some(0..=2)), "{}", String::from_utf8_lossy(&ran.stderr));
            assert_clean(&format!("probe {name}-{a}"), &ran.stdout);
            assert_clean("standard error", &[b".".as_slice(), &ran.stderr].concat());
        }
    }
    let runs = output(soakwatch().args(["runs", "acme/staging/echo", "--since", "1h", "--json", "--config"]).arg(dir.path()).envs(env));
    assert_eq!(runs.status.code(), Some(0), "{}", String::from_utf8_lossy(&runs.stderr));
    assert_clean("runs", &runs.stdout);
    for file in std::fs::read_dir(dir.path()).unwrap().flatten().filter(|f| f.file_name().to_string_lossy().starts_with("soakwatch.db")) {
        assert_clean("the store", &[b".".as_slice(), &std::fs::read(file.path()).unwrap()].concat());
    }

    let bundle = dir.path().join("bundle");
    let report = output(soakwatch().args(["report", "acme/staging", "--config"]).arg(dir.path()).arg("--out").arg(&bundle));
    assert_eq!(report.status.code(), Some(0), "{}", String::from_utf8_lossy(&report.stderr));
    assert_clean("report", &report.stdout);
    let verify = output(soakwatch().arg("verify").arg(&bundle));
    assert_eq!(verify.status.code(), Some(2), "{}", String::from_utf8_lossy(&verify.stdout));
    let private = std::fs::read_to_string(dir.path().join("evidence.key")).unwrap();
    let private = private.lines().nth(1).unwrap();
    for file in std::fs::read_dir(&bundle).unwrap().flatten() {
        let mut bytes = std::fs::read(file.path()).unwrap();
        if file.file_name() == "runs.csv.zst" {
            bytes = zstd::decode_all(bytes.as_slice()).unwrap();
            assert!(String::from_utf8_lossy(&bytes).contains("acme/staging/echo/ok-0"), "the bundle holds runs");
        }
        assert_clean(&file.file_name().to_string_lossy(), &bytes);
        assert!(!String::from_utf8_lossy(&bytes).contains(private), "the bundle holds the private key");
    }
    assert!(!log.contains(private) && !String::from_utf8_lossy(&verify.stdout).contains(private));
}
