//! How far the monitor's own clock is off: told by a time server of ours, which is off by as much as it is told to be.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use soakwatch::clock::Clock;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};

/// Says a time that is off by so many seconds; `first` is the first byte of its answers (leap indicator, version, mode).
struct TimeServer {
    address: String,
    off: Arc<AtomicI64>,
    first: Arc<AtomicU8>,
}

/// Version 4, server; synchronised, or not (leap indicator 3).
const KEPT: u8 = 0b00_100_100;
const NOT_KEPT: u8 = 0b11_100_100;

impl TimeServer {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let (off, first) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU8::new(KEPT)));
        let (its_off, its_first) = (Arc::clone(&off), Arc::clone(&first));
        std::thread::spawn(move || {
            let mut asked = [0; 100];
            while let Ok((48, from)) = socket.recv_from(&mut asked) {
                let ms = Clock::System.now().0 + its_off.load(Ordering::SeqCst) * 1000;
                let now = (((ms as u64 / 1000 + 2_208_988_800) << 32) + ((ms as u64 % 1000) << 32) / 1000).to_be_bytes();
                let mut told = [0; 48];
                (told[0], told[1]) = (its_first.load(Ordering::SeqCst), 1);
                told[12..16].copy_from_slice(b"TEST");
                told[24..32].copy_from_slice(&asked[40..48]);
                for at in [16, 32, 40] {
                    told[at..at + 8].copy_from_slice(&now);
                }
                let _ = socket.send_to(&told, from);
            }
        });
        Self { address, off, first }
    }
}

fn configure(dir: &Path, server: Option<&str>, timeout: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let line = server.map_or(String::new(), |s| format!("time_server = \"{s}\"\n"));
    let settings = format!("[server]\nlisten = \"127.0.0.1:0\"\n[self_check]\ntimeout = \"{timeout}\"\n{line}");
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    std::fs::write(dir.join("customers/acme.toml"), "[customer]\nid = \"acme\"\n").unwrap();
}

#[test]
fn the_clock_is_as_far_off_as_the_time_server_says() {
    let server = TimeServer::start();
    server.off.store(-5, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), Some(&server.address), "1s");
    let daemon = Daemon::start(dir.path(), &[]);
    let off = || series(&daemon.get("/metrics"), "soakwatch_clock_offset_seconds", &[]);
    let ahead = eventually("it was asked", off);
    assert!((ahead - 5.0).abs() < 1.0, "our clock is ahead of one that is 5 s behind: {ahead}");
    eventually("it is said", || daemon.log().contains("this machine's clock is wrong").then_some(()));

    // A changed configuration is asked with at once.
    server.off.store(3600, Ordering::SeqCst);
    configure(dir.path(), Some(&server.address), "2s");
    daemon.signal("HUP");
    eventually("an hour behind", || off().filter(|o| (o + 3600.0).abs() < 1.0));
    server.off.store(0, Ordering::SeqCst);
    configure(dir.path(), Some(&server.address), "1s");
    daemon.signal("HUP");
    eventually("all right", || off().filter(|o| o.abs() < 1.0));

    // Who does not know the time says nothing of ours; neither does nobody.
    server.first.store(NOT_KEPT, Ordering::SeqCst);
    configure(dir.path(), Some(&server.address), "2s");
    daemon.signal("HUP");
    eventually("the server is not synchronised", || off().is_none().then_some(()));
    server.first.store(KEPT, Ordering::SeqCst);
    configure(dir.path(), Some(&server.address), "1s");
    daemon.signal("HUP");
    eventually("it is again", off);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    configure(dir.path(), Some(&silent.local_addr().unwrap().to_string()), "200ms");
    daemon.signal("HUP");
    eventually("a silent one", || off().is_none().then_some(()));
    configure(dir.path(), Some(&server.address), "1s");
    daemon.signal("HUP");
    eventually("the other one", off);
    configure(dir.path(), None, "1s");
    daemon.signal("HUP");
    eventually("none", || off().is_none().then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_no_server_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in ["", "ntp://time.example.com", "time.example.com/x", "time.example.com:0", "user@time.example.com", "a b"] {
        configure(dir.path(), Some(wrong), "1s");
        let out = output(soakwatch().args(["validate"]).arg(dir.path()));
        let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert_eq!(out.status.code(), Some(1), "{wrong}: {said}");
        assert!(said.contains("expected a host name or address such as \"ntp.example.com\""), "{wrong}: {said}");
    }
    for right in ["time.example.com", "time.example.com:4460", "192.0.2.1", "[2001:db8::1]", "[2001:db8::1]:123"] {
        configure(dir.path(), Some(right), "1s");
        let out = output(soakwatch().args(["validate"]).arg(dir.path()));
        let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert_eq!(out.status.code(), Some(0), "{right}: {said}");
    }
}
