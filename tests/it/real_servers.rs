//! Identity and SCIM servers that are not ours: oidc-provider, pysaml2, scim2-server. The checks pass against them as they are; then a proxy in front of
//! them injects one fault after the other, and each is found.
//!
//! `tests/run` puts the servers under target/tools and says that they have to be there (`SOAKWATCH_SSO_SERVERS=required`). Without that they may be
//! missing, and it is printed that nothing was tried.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{output, soakwatch};
use crate::support::fake::{Fake, Reply, Seen};
use crate::support::pki::{Pki, server_tls};

const SECRET: &str = "a-secret-of-32-characters-or-more";
const TOKEN: &str = "scim-token-of-the-tests";

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

/// Whether the servers are installed. Where they are not and need not be, it is said.
fn installed() -> bool {
    let (python, node) = (tools().join("sso-py/bin/python"), tools().join("sso-js/node_modules/oidc-provider"));
    let there = python.exists() && node.exists();
    if !there {
        let required = std::env::var("SOAKWATCH_SSO_SERVERS").is_ok_and(|v| v == "required");
        assert!(!required, "{} or {} is missing: tests/run installs them", python.display(), node.display());
        // Not by a macro: the test runner would keep what those print to itself.
        let _ = writeln!(std::io::stderr(), "NOT TRIED against real identity servers: they are missing; tests/run installs them");
    }
    there
}

/// A server as a child process; ended with the test.
struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts it; it prints its port once it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut line, mut said) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
        said.read_line(&mut line).unwrap();
        // What else it says is read and dropped: a closed pipe would end it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server said {line:?} instead of its port"));
        Self(child, port)
    }
}

/// Changes an answer on its way: of which path, and how.
type Fault = Box<dyn Fn(&Seen, u16, &str) -> Option<(u16, String)> + Send>;

/// An https front on `localhost` before a server on loopback, which injects the fault in force.
struct Front {
    fake: Fake,
    upstream: Arc<Mutex<Option<u16>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Front {
    async fn start(pki: &Pki) -> Self {
        let (upstream, fault): (Arc<Mutex<Option<u16>>>, Arc<Mutex<Option<Fault>>>) = Default::default();
        let (to, inject) = (Arc::clone(&upstream), Arc::clone(&fault));
        let tls = server_tls(pki.identity("localhost", 2020..2100), &["http/1.1"]);
        let fake = Fake::https(tls, move |seen| {
            let port = to.lock().unwrap().unwrap();
            let (status, headers, body) = tokio::task::block_in_place(|| forward(port, seen));
            let changed = inject.lock().unwrap().as_ref().and_then(|f| f(seen, status, &body));
            let (status, body) = changed.unwrap_or((status, body));
            headers.iter().fold(Reply::new(status), |r, (n, v)| r.header(n, v.clone())).body(body)
        })
        .await;
        Self { fake, upstream, fault }
    }

    fn base(&self) -> String {
        format!("https://localhost:{}", self.fake.port())
    }

    fn inject(&self, fault: impl Fn(&Seen, u16, &str) -> Option<(u16, String)> + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }
}

/// Asks the server behind, as a proxy does; gives status, headers and body.
fn forward(port: u16, seen: &Seen) -> (u16, Vec<(String, String)>, String) {
    use std::io::Read as _;
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let host = seen.header("host").to_owned();
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", seen.method, seen.target);
    for (name, value) in
        seen.headers.iter().filter(|(n, _)| !["host", "connection", "accept-encoding", "content-length"].contains(&n.as_str()))
    {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head += &format!(
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        seen.body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(seen.body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    let kept = headers.filter(|(n, _)| !["connection", "keep-alive", "content-length", "transfer-encoding"].contains(&n.as_str()));
    (status, kept.collect(), body.to_owned())
}

/// What `soakwatch probe` says of a check: its exit code, and the ids of findings at level fail and warn of its last attempt.
fn probed(dir: &Path, id: &str) -> (i32, BTreeSet<String>, Value) {
    let ran = output(soakwatch().args(["probe", id, "--json", "--config"]).arg(dir).env("OP_SECRET", SECRET).env("SCIM_TOKEN", TOKEN));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&ran.stderr)));
    let last = json["checks"][0]["attempts"].as_array().and_then(|a| a.last().cloned()).unwrap_or_default();
    let found = last["findings"].as_array().cloned().unwrap_or_default();
    let ids = found.iter().filter(|f| f["level"] == "fail" || f["level"] == "warn").map(|f| f["id"].as_str().unwrap().to_owned());
    (ran.status.code().unwrap(), ids.collect(), json)
}

/// A configuration with one check of one kind.
fn configured(dir: &Path, table: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"login\"\nenvironment = \"staging\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"real\"\nevery = \"1h\"\ntimeout = \"30s\"\n{table}"
    );
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

const ID: &str = "acme/staging/login/real";

/// Passes as it is; then each fault is found by its id (and the run does not pass), and afterwards it passes again.
fn tries(front: &Front, dir: &Path, faults: Vec<(&str, &str, Box<dyn Fn(u16, &str) -> (u16, String) + Send>)>) {
    let (exit, ids, json) = probed(dir, ID);
    assert_eq!((exit, json["outcome"].as_str()), (0, Some("pass")), "as it is: {ids:?} {json:#}");
    for (path, wanted, change) in faults {
        let path = path.to_owned();
        front.inject(move |seen, status, body| seen.target.contains(&path).then(|| change(status, body)));
        let (exit, ids, json) = probed(dir, ID);
        assert!(ids.contains(wanted), "{wanted}: {ids:?} {json:#}");
        assert_eq!(exit, 1, "{wanted}: {json:#}");
    }
    *front.fault.lock().unwrap() = None;
    assert_eq!(probed(dir, ID).0, 0, "mended");
}

fn edited(edit: impl Fn(&mut Value) + Send + 'static) -> Box<dyn Fn(u16, &str) -> (u16, String) + Send> {
    Box::new(move |status, body| {
        let mut json = serde_json::from_str(body).unwrap();
        edit(&mut json);
        (status, json.to_string())
    })
}

fn replaced(from: &'static str, to: &'static str) -> Box<dyn Fn(u16, &str) -> (u16, String) + Send> {
    Box::new(move |status, body| {
        assert!(body.contains(from), "{from} in {body}");
        (status, body.replace(from, to))
    })
}

async fn op(pki: &Pki) -> (Front, Server) {
    let front = Front::start(pki).await;
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sso/op.mjs"));
    let server = Server::start(command.arg(front.base()).arg(tools().join("sso-js")).env("CLIENT_SECRET", SECRET));
    *front.upstream.lock().unwrap() = Some(server.1);
    (front, server)
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn oidc_provider_and_its_faults() {
    if !installed() {
        return;
    }
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let (front, _server) = op(&pki).await;
    let table = "[integration.check.oidc]\nissuer = \"ISSUER\"\nca = \"CA\"\nclient_auth = \"client_secret_basic\"\n";
    configured(dir.path(), &table.replace("ISSUER", &front.base()).replace("CA", &pki.file().display().to_string()));
    tokio::task::block_in_place(|| {
        tries(
            &front,
            dir.path(),
            vec![
                (DISCOVERY, "OIDC-ISS-01", edited(|d| d["issuer"] = format!("{}/", d["issuer"].as_str().unwrap()).into())),
                (DISCOVERY, "OIDC-REQ-01", edited(|d| drop(d.as_object_mut().unwrap().remove("jwks_uri")))),
                (DISCOVERY, "OIDC-EP-01", edited(|d| d["token_endpoint"] = "http://localhost/token".into())),
                (
                    DISCOVERY,
                    "OIDC-AUTH-01",
                    edited(|d| d["token_endpoint_auth_methods_supported"] = serde_json::json!(["private_key_jwt"])),
                ),
                (DISCOVERY, "OIDC-GET-01", Box::new(|_, _| (404, "gone".into()))),
                ("/jwks", "JWKS-PRIV-01", edited(|d| d["keys"][0]["d"] = "c2VjcmV0".into())),
                ("/jwks", "JWKS-KID-02", edited(|d| d["keys"][1]["kid"] = d["keys"][0]["kid"].clone())),
                ("/jwks", "JWKS-SIG-01", edited(|d| d["keys"] = serde_json::json!([]))),
                ("/jwks", "JWKS-FMT-02", edited(|d| d["keys"][0]["n"] = format!("{}==", d["keys"][0]["n"].as_str().unwrap()).into())),
            ],
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn its_token_endpoint_and_its_faults() {
    if !installed() {
        return;
    }
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let (front, _server) = op(&pki).await;
    let table = "[integration.check.oauth2]\ntoken_url = \"ISSUER/token\"\nca = \"CA\"\nclient_id = \"soakwatch\"\nclient_secret = { env = \"OP_SECRET\" }\n\
                 scope = \"orders:read\"\n";
    configured(dir.path(), &table.replace("ISSUER", &front.base()).replace("CA", &pki.file().display().to_string()));
    tokio::task::block_in_place(|| {
        tries(
            &front,
            dir.path(),
            vec![
                ("/token", "OAUTH-TOK-02", Box::new(|_, _| (401, "{\"error\":\"invalid_client\"}".into()))),
                ("/token", "OAUTH-TOK-03", edited(|d| drop(d.as_object_mut().unwrap().remove("token_type")))),
                ("/token", "OAUTH-TOK-03", Box::new(|_, _| (200, "<html>please log in</html>".into()))),
                ("/token", "OAUTH-TOK-06", edited(|d| d["scope"] = "other".into())),
            ],
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn metadata_of_pysaml2_and_its_faults() {
    if !installed() {
        return;
    }
    if !Path::new("/usr/bin/xmlsec1").exists() {
        let _ = writeln!(std::io::stderr(), "NOT TRIED with pysaml2: it signs by xmlsec1, which is missing; tests/run installs it");
        return;
    }
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let front = Front::start(&pki).await;
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("certificate.pem"));
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256);
    let pair = made.unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["idp.example.com".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let mut command = Command::new(tools().join("sso-py/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sso/idp.py"));
    let server = Server::start(command.arg("https://idp.example.com").arg(&key).arg(&certificate));
    *front.upstream.lock().unwrap() = Some(server.1);
    let table = "[integration.check.saml]\nurl = \"BASE/metadata\"\nca = \"CA\"\nentity_id = \"https://idp.example.com/idp\"\nendpoints = false\n\
                 signature = { require = true, pins = [\"PIN\"] }\n";
    let table = table.replace("BASE", &front.base()).replace("CA", &pki.file().display().to_string());
    configured(dir.path(), &table.replace("PIN", &certificate.display().to_string()));
    tokio::task::block_in_place(|| {
        tries(
            &front,
            dir.path(),
            vec![
                ("/metadata", "SAML-SIG-02", replaced("sso/redirect", "sso/elsewhere")),
                ("/metadata", "SAML-XML-01", replaced("</", "<")),
                ("/metadata", "SAML-XML-02", Box::new(|s, b| (s, b.replacen("?>", "?><!DOCTYPE x [<!ENTITY a \"b\">]>", 1)))),
                ("/metadata", "SAML-GET-03", Box::new(|_, _| (200, "<!DOCTYPE html><html><body>Log in</body></html>".into()))),
                ("/metadata", "SAML-GET-01", Box::new(|_, _| (404, String::new()))),
            ],
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scim2_server_and_its_faults() {
    if !installed() {
        return;
    }
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let front = Front::start(&pki).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(tools().join("sso-py/bin/scim2-server"));
    command.args(["--bearer-token", TOKEN, "--reverse-proxy", "--port"]).arg(port.to_string());
    let _server = Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), port);
    crate::support::daemon::eventually("scim2-server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    *front.upstream.lock().unwrap() = Some(port);
    for name in ["ada", "bob", "cleo", "dan", "eve"] {
        let body = serde_json::json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("{name}@example.test"), "active": true });
        let url = format!("http://127.0.0.1:{port}/Users");
        let headers = [("authorization", format!("Bearer {TOKEN}"))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(n, v)| (*n, v.as_str())).chain([("content-type", "application/scim+json")]).collect();
        let (status, said) = crate::support::daemon::post(&url, &headers, &body.to_string());
        assert_eq!(status, 201, "{said}");
    }
    let table = "[integration.check.scim]\nurl = \"BASE\"\nca = \"CA\"\nauth = { bearer = { env = \"SCIM_TOKEN\" } }\n";
    configured(dir.path(), &table.replace("BASE", &front.base()).replace("CA", &pki.file().display().to_string()));
    let everybody = "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":1,\"startIndex\":1,\"itemsPerPage\":1,\"Resources\":[{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"id\":\"1\",\"userName\":\"ada@example.test\",\"active\":true,\"meta\":{\"resourceType\":\"User\",\"location\":\"https://localhost/Users/1\"}}]}";
    tokio::task::block_in_place(|| {
        tries(
            &front,
            dir.path(),
            vec![
                ("/Users?filter", "SCIM-FLT-02", Box::new(move |_, _| (200, everybody.to_owned()))),
                (
                    "/Users?filter",
                    "SCIM-FLT-01",
                    Box::new(|_, _| {
                        (
                            404,
                            "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"404\",\"detail\":\"none\"}".into(),
                        )
                    }),
                ),
                ("/ServiceProviderConfig", "SCIM-SPC-03", edited(|d| d["patch"]["supported"] = false.into())),
                (
                    "/Users",
                    "SCIM-RES-02",
                    Box::new(|s, b| {
                        (s, b.replace("\"active\": true", "\"active\": \"True\"").replace("\"active\":true", "\"active\":\"True\""))
                    }),
                ),
            ],
        );
    });
}
