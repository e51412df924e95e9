//! TLS of our own listeners over real sockets: certificates that change while connections are open, clients' certificates, and handshakes that hold nobody else.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::daemon::{Daemon, PATIENCE, eventually, output, series, soakwatch};
use crate::support::pki::{Identity, Pki};

const YEARS: std::ops::Range<i32> = 2020..2100;

/// A connection that shook hands, as far as our side knows.
struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    fn open(daemon: &str, roots: &Pki, identity: Option<Identity>) -> Self {
        let mut store = RootCertStore::empty();
        store.add(roots.root()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(store);
        let config = match identity {
            Some(i) => builder.with_client_auth_cert(i.chain, i.key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
        Self(BufReader::new(StreamOwned::new(connection, plain(daemon))))
    }

    /// A GET over it; status and body.
    fn get(&mut self, path: &str) -> io::Result<(u16, String)> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        while self.0.read_line(&mut line)? > 2 {
            if status == 0 {
                status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            line.clear();
        }
        if status == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).unwrap()))
    }

    /// Everything that is answered to a last request, head and body.
    fn last(mut self, path: &str) -> String {
        write!(self.0.get_mut(), "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = self.0.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// The certificate it was shown.
    fn shown(&self) -> CertificateDer<'static> {
        self.0.get_ref().conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

fn plain(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.rsplit_once('/').unwrap().1).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn directory(settings: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    dir
}

/// A command against the daemon; exit code, and all it said.
fn told(daemon: &str, args: &[&str], trust: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = soakwatch();
    command.args(args).args(["--url", daemon]);
    for (name, file) in trust {
        command.arg(name).arg(file);
    }
    let out = output(&mut command);
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_certificate_changes_under_open_connections_and_a_broken_one_changes_nothing() {
    let pki = Pki::new();
    let dir = directory("[server]\nlisten = \"127.0.0.1:0\"\ntls = { certificate = \"server.pem\", key = { file = \"server.key\" } }\n");
    let (old, new) = (pki.identity("127.0.0.1", YEARS), pki.identity("127.0.0.1", 2020..2090));
    old.write(dir.path(), "server");
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(daemon.url.starts_with("https://"), "{}", daemon.url);

    // Some who connect and say nothing: nobody waits for them.
    let silent: Vec<TcpStream> = (0..20).map(|_| plain(&daemon.url)).collect();
    let mut open = Connection::open(&daemon.url, &pki, None);
    assert_eq!(open.get("/-/healthy").unwrap().0, 200);
    assert_eq!(open.shown(), old.chain[0]);

    let ca = pki.file();
    assert_eq!(told(&daemon.url, &["health", "--ready"], &[("--ca", &ca)]), (Some(0), "ready\n".to_owned()));
    let (code, said) = told(&daemon.url, &["health"], &[]);
    let unknown = "TLS failed: 127.0.0.1:PORT: the certificate's issuer is not trusted (self-signed, a private CA, or an intermediate is missing); --ca FILE names the root to trust\n";
    let port = daemon.url.rsplit_once(':').unwrap().1;
    assert!(code == Some(69) && said.ends_with(&unknown.replace("PORT", port)), "{code:?} {said}");
    let (code, said) = told(&daemon.url.replace("127.0.0.1", "localhost"), &["health"], &[("--ca", &ca)]);
    assert!(code == Some(69) && said.contains("for another name (127.0.0.1); --url has to name it"), "{code:?} {said}");
    assert_eq!(told(&daemon.url, &["reload"], &[("--ca", &ca)]).0, Some(0));

    let mut plainly = plain(&daemon.url);
    let _ = plainly.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut answer = Vec::new();
    let _ = plainly.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP is not answered");

    // Half of a new pair: the key is not that of the certificate.
    std::fs::copy(dir.path().join("server.key"), dir.path().join("old.key")).unwrap();
    new.write(dir.path(), "new");
    std::fs::copy(dir.path().join("new.key"), dir.path().join("server.key")).unwrap();
    let scrape = || Connection::open(&daemon.url, &pki, None).last("/metrics");
    let ends = || series(&scrape(), "soakwatch_listener_certificate_expiry_timestamp_seconds", &["listener=\"server\""]);
    assert_eq!(ends(), Some(4_102_444_800.0), "the start of 2100");
    eventually("what can't be used is counted", || {
        (series(&scrape(), "soakwatch_listener_tls_reload_failures_total", &["server"])? >= 1.0).then_some(())
    });
    let mut still = Connection::open(&daemon.url, &pki, None);
    assert_eq!(still.get("/-/healthy").unwrap().0, 200);
    assert_eq!(still.shown(), old.chain[0], "the old one stays");
    assert_eq!(daemon.log().matches("new certificate can't be used").count(), 1, "{}", daemon.log());

    std::fs::copy(dir.path().join("new.pem"), dir.path().join("server.pem")).unwrap();
    eventually("the new one is shown", || {
        let mut connection = Connection::open(&daemon.url, &pki, None);
        connection.get("/-/healthy").unwrap();
        (connection.shown() == new.chain[0]).then_some(())
    });
    eventually("its end is told", || (ends() == Some(3_786_912_000.0)).then_some(()));
    // A pair that fits, and that nobody would take any more.
    pki.identity("127.0.0.1", 2000..2001).write(dir.path(), "server");
    eventually("an expired one is refused", || daemon.log().contains("it expired at 2001-01-01").then_some(()));
    let mut still = Connection::open(&daemon.url, &pki, None);
    assert_eq!(still.get("/-/healthy").unwrap().0, 200);
    assert_eq!(still.shown(), new.chain[0], "the one before stays");
    drop(silent);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn connections_that_stand_outlive_their_certificate() {
    let pki = Pki::new();
    let dir = directory(
        "[server]\nlisten = \"127.0.0.1:0\"\ntimeout = \"60s\"\ntls = { certificate = \"server.pem\", key = { file = \"server.key\" } }\n",
    );
    let (old, new) = (pki.identity("127.0.0.1", YEARS), pki.identity("127.0.0.1", YEARS));
    old.write(dir.path(), "server");
    let daemon = Daemon::start(dir.path(), &[]);
    let mut open = Connection::open(&daemon.url, &pki, None);
    assert_eq!(open.get("/-/healthy").unwrap().0, 200);
    new.write(dir.path(), "server");
    eventually("the new one is shown", || {
        let mut connection = Connection::open(&daemon.url, &pki, None);
        connection.get("/-/healthy").unwrap();
        (connection.shown() == new.chain[0]).then_some(())
    });
    assert_eq!(open.get("/-/ready").unwrap().0, 200);
    assert_eq!(open.shown(), old.chain[0]);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_a_command_is_refused_for_is_said_with_what_to_do() {
    let pki = Pki::new();
    let ca = pki.file();
    let dir = directory("[server]\nlisten = \"127.0.0.1:0\"\ntls = { certificate = \"server.pem\", key = { file = \"server.key\" } }\n");
    pki.identity("127.0.0.1", 2000..2001).write(dir.path(), "server");
    let daemon = Daemon::start(dir.path(), &[]);
    let (code, said) = told(&daemon.url, &["health"], &[("--ca", &ca)]);
    let words = "a certificate expired at 2001-01-01T00:00:00Z; the daemon needs another certificate ([server] tls)";
    assert!(code == Some(69) && said.contains(words), "{code:?} {said}");
    assert_eq!(daemon.stop(), Some(0));
    // A daemon in plain.
    let dir = directory("[server]\nlisten = \"127.0.0.1:0\"\n");
    let daemon = Daemon::start(dir.path(), &[]);
    let (code, said) = told(&daemon.url.replace("http:", "https:"), &["health"], &[]);
    assert!(code == Some(69) && said.contains("is not TLS; is it http:// that it speaks?"), "{code:?} {said}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let pki = Pki::new();
    let dir = directory(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 2\ntimeout = \"1s\"\ntls = { certificate = \"server.pem\", key = { file = \"server.key\" } }\n",
    );
    pki.identity("127.0.0.1", YEARS).write(dir.path(), "server");
    let daemon = Daemon::start(dir.path(), &[]);
    // As many as there may be: the next waits until their time is over.
    let mut silent = [plain(&daemon.url), plain(&daemon.url)];
    assert_eq!(Connection::open(&daemon.url, &pki, None).get("/-/healthy").unwrap().0, 200);
    for stream in &mut silent {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn clients_show_a_certificate_of_the_right_authority() {
    let (pki, clients, strangers) = (Pki::new(), Pki::new(), Pki::new());
    let tls = |more: &str| {
        format!("tls = {{ certificate = \"server.pem\", key = {{ file = \"server.key\" }}, client_ca = \"clients.pem\"{more} }}\n")
    };
    let settings = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{}[receiver]\nlisten = \"127.0.0.1:0\"\n{}",
        tls(""),
        tls(", client_certificates = \"optional\"")
    );
    let dir = directory(&settings);
    pki.identity("127.0.0.1", YEARS).write(dir.path(), "server");
    std::fs::copy(clients.file(), dir.path().join("clients.pem")).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let log = daemon.log();
    let hooks = log.split_once("messages are received on ").unwrap().1.split_once("/hooks").unwrap().0.to_owned();
    assert!(hooks.starts_with("https://"), "{hooks}");

    let ask = |url: &str, identity| Connection::open(url, &pki, identity).get("/-/healthy");
    assert_eq!(ask(&daemon.url, Some(clients.identity("client", YEARS))).unwrap().0, 200);
    assert!(ask(&daemon.url, None).is_err(), "required");
    assert!(ask(&daemon.url, Some(strangers.identity("client", YEARS))).is_err());
    // The receiver knows no such path, which is to say that it was asked.
    assert_eq!(ask(&hooks, Some(clients.identity("client", YEARS))).unwrap().0, 404);
    assert_eq!(ask(&hooks, None).unwrap().0, 404, "optional");
    assert!(ask(&hooks, Some(strangers.identity("client", YEARS))).is_err(), "one of a stranger is never taken");

    // The command line shows one too.
    let identity = dir.path().join("me.pem");
    clients.identity("client", YEARS).write(dir.path(), "client");
    let both = ["client.pem", "client.key"].map(|f| std::fs::read_to_string(dir.path().join(f)).unwrap()).concat();
    std::fs::write(&identity, both).unwrap();
    let ca = pki.file();
    assert_eq!(told(&daemon.url, &["health"], &[("--ca", &ca), ("--identity", &identity)]).0, Some(0));
    // What a reload asks for holds for the next handshake.
    std::fs::write(dir.path().join("soakwatch.toml"), settings.replace("\"optional\"", "\"required\"")).unwrap();
    let (code, said) = told(&daemon.url, &["reload"], &[("--ca", &ca), ("--identity", &identity)]);
    assert!(code == Some(0) && said.contains("settings that change now: receiver.tls"), "{code:?} {said}");
    assert!(ask(&hooks, None).is_err(), "required from now on");
    assert_eq!(ask(&hooks, Some(clients.identity("client", YEARS))).unwrap().0, 404);
    let (code, said) = told(&daemon.url, &["gate", "acme/production"], &[("--ca", &ca), ("--identity", &identity)]);
    assert!(code == Some(65) && said.contains("acme/production"), "{code:?} {said}");
    let (code, said) = told(&daemon.url, &["health"], &[("--ca", &ca)]);
    assert!(
        code == Some(69) && said.contains("wants a client certificate") && said.contains("--identity FILE shows one"),
        "{code:?} {said}"
    );
    // The file holds a pair of the wrong authority.
    strangers.identity("client", YEARS).write(dir.path(), "client");
    let both = ["client.pem", "client.key"].map(|f| std::fs::read_to_string(dir.path().join(f)).unwrap()).concat();
    std::fs::write(&identity, both).unwrap();
    let (code, said) = told(&daemon.url, &["health"], &[("--ca", &ca), ("--identity", &identity)]);
    assert!(code == Some(69) && said.contains("--identity FILE needs another certificate"), "{code:?} {said}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_can_not_be_used_is_said_by_validate_and_keeps_the_daemon_from_starting() {
    let dir = directory("[server]\nlisten = \"127.0.0.1:0\"\ntls = { certificate = \"none.pem\", key = { file = \"none.key\" } }\n");
    let out = output(soakwatch().arg("validate").arg(dir.path()));
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("server.tls") && said.contains("none.pem"), "{said}");
    // Where the daemon's files are not, as in a pipeline, it is a warning.
    let out = output(soakwatch().arg("validate").arg(dir.path()).arg("--no-secrets"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.code() == Some(0) && said.contains("warning: ") && said.contains("none.pem"), "{said}");
    let out = output(soakwatch().arg("run").arg(dir.path()));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("tls.certificate") && said.contains("none.pem"), "{said}");
}
