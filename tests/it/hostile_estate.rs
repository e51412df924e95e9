//! Must show 6 on the level of the daemon: endpoints that hang, drip, bomb and reset cost their own runs and nobody else's slots; memory stays
//! bounded. (What each hostile answer is classed as is in transport.rs.)

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::daemon::{Daemon, eventually, series};

/// A server that does `act` with each connection.
fn server(act: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = socket.set_write_timeout(Some(Duration::from_secs(5)));
                act(socket);
            });
        }
    });
    port
}

fn head(socket: &mut TcpStream) {
    let _ = socket.read(&mut [0; 4096]);
}

fn endless(mut s: TcpStream) {
    head(&mut s);
    let _ = s.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    while s.write_all(&[b'x'; 65_536]).is_ok() {}
}

fn drip(mut s: TcpStream) {
    head(&mut s);
    let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    while s.write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn hang(mut s: TcpStream) {
    head(&mut s);
    // Until the other side gives up.
    let _ = s.read(&mut [0; 16]);
}

fn header_flood(mut s: TcpStream) {
    head(&mut s);
    let _ = s.write_all(b"HTTP/1.1 200 OK\r\n");
    while s.write_all(b"x-header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").is_ok() {}
}

fn healthy(mut s: TcpStream) {
    head(&mut s);
    let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn hostile_endpoints_cost_nobody_else_a_slot() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n".to_owned();
    let mut check = |id: String, port: u16, timeout: &str, every: &str| {
        text += &format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"{every}\"\ntimeout = \"{timeout}\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n"
        );
    };
    for (name, act) in [("endless", endless as fn(TcpStream)), ("drip", drip), ("hang", hang), ("headers", header_flood)] {
        let port = server(act);
        // More at once than their host's turn allows.
        for n in 0..8 {
            check(format!("{name}-{n}"), port, "1800ms", "2s");
        }
    }
    for n in 0..20 {
        check(format!("healthy-{n}"), server(healthy), "900ms", "1s");
    }
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let due = |scrape: &str, n: usize| series(scrape, "soakwatch_runs_due_total", &[&format!("check=\"healthy-{n}\"")]).unwrap_or(0.0);
    eventually("ten slots of every healthy check", || {
        let scrape = daemon.get("/metrics");
        (0..20).all(|n| due(&scrape, n) >= 10.0).then_some(())
    });
    let scrape = daemon.get("/metrics");
    for n in 0..20 {
        let label = format!("check=\"healthy-{n}\"");
        let value = |name| series(&scrape, name, &[&label]).unwrap();
        assert_eq!(value("soakwatch_runs_due_total"), value("soakwatch_runs_total"), "healthy-{n}: every due slot was run");
        assert_eq!(value("soakwatch_run_failures_total"), 0.0, "healthy-{n}");
    }
    let hostile: f64 = ["endless", "drip", "hang", "headers"]
        .iter()
        .map(|h| series(&scrape, "soakwatch_run_failures_total", &[&format!("check=\"{h}-0\"")]).unwrap())
        .sum();
    assert!(hostile >= 4.0, "the hostile ones were really asked");
    let peak = resident_mib(daemon.pid());
    println!("peak memory {peak:.1} MiB with 32 hostile and 20 healthy checks");
    // Each hostile run may hold its body cap (1 MiB) twice while it is decoded; eight of them run at once.
    assert!(peak < 160.0, "memory stays bounded: {peak:.1} MiB");
    assert_eq!(daemon.stop(), Some(0));
}
