//! The daemon under a service manager: what it says over the notify socket, and what `soakwatch health` says of it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::support::daemon::{Daemon, PATIENCE, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

/// The service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Waits for a message that begins so; those before it are passed over.
    fn hears(&self, start: &str) -> String {
        let mut buffer = [0; 2000];
        let mut before = Vec::new();
        loop {
            let Ok(n) = self.0.recv(&mut buffer) else { panic!("no {start:?} was said; before: {before:?}") };
            let message = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if message.starts_with(start) {
                return message;
            }
            before.push(message);
        }
    }
}

fn configure(dir: &Path, port: u16) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    std::fs::write(dir.join("customers/acme.toml"), "[customer]\nid = \"acme\"\nname = \"Acme\"\n").unwrap();
}

#[test]
fn the_service_manager_hears_of_start_reload_health_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 0);
    let socket = dir.path().join("notify");
    let manager = Manager::at(&socket);
    let daemon = Daemon::start(dir.path(), &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "400000")]);
    assert_eq!(manager.hears("STATUS="), "STATUS=reading what is stored");
    let ready = manager.hears("READY=1");
    assert!(ready.contains("\nSTATUS=watching 0 checks on http://127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    daemon.signal("HUP");
    assert!(manager.hears("RELOADING=1").contains("\nMONOTONIC_USEC="));
    assert!(!manager.hears("READY=1").contains("refused"));
    std::fs::write(dir.path().join("customers/acme.toml"), "[customr]\n").unwrap();
    daemon.signal("HUP");
    manager.hears("RELOADING=1");
    assert!(manager.hears("READY=1").contains("watching 0 checks"), "the old configuration goes on");
    assert_eq!(daemon.stop(), Some(0));
    manager.hears("STOPPING=1");
}

#[test]
fn a_socket_that_can_not_be_used_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 0);
    let daemon = Daemon::start(dir.path(), &[("NOTIFY_SOCKET", "vsock:2:1"), ("WATCHDOG_USEC", "400000")]);
    assert!(daemon.log().contains("NOTIFY_SOCKET is neither"), "{}", daemon.log());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn health_says_yes_no_not_yet_and_nobody() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 0);
    let daemon = Daemon::start(dir.path(), &[]);
    let health = |url: &str, more: &[&str]| {
        let out = output(soakwatch().arg("health").args(more).args(["--url", url]));
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(health(&daemon.url, &[]), (Some(0), "healthy\n".to_owned()));
    assert_eq!(health(&daemon.url, &["--ready"]), (Some(0), "ready\n".to_owned()));
    let url = daemon.url.clone();
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(health(&url, &[]).0, Some(69), "nothing listens there any more");

    // What a daemon says that is up and not well, and what something else says.
    let api = FakeApi::start(|seen| match (seen.path.as_str(), seen.number) {
        ("/-/healthy", 1) => Reply::status(404),
        _ => Reply::text(503, "not healthy: the scheduler has not moved for 11 s\n"),
    });
    let other = api.url("/");
    assert_eq!(health(&other, &[]), (Some(1), "not healthy: the scheduler has not moved for 11 s\n".to_owned()));
    assert_eq!(health(&other, &["--ready"]).0, Some(2));
    assert_eq!(health(&other, &[]).0, Some(69), "no Soakwatch daemon");
}
