//! What the service manager is told over its notify socket (systemd's protocol, `NOTIFY_SOCKET`): ready, reloading, stopping, alive. Owns the socket.
//!
//! Decides nothing, and never waits: a message that nobody takes is dropped, and without the variable nothing is sent at all.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::monotonic_micros;

/// The way to the service manager; `default()`: there is none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    to: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The one that the variables name: `NOTIFY_SOCKET` (a path, or `@` and an abstract name), `WATCHDOG_USEC`, `WATCHDOG_PID`. `pid` is ours. The error
    /// says which variable can't be used, and why.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Result<Self, String> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|n| !n.is_empty()) else { return Ok(Self::default()) };
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
            [b'/', ..] => SocketAddr::from_pathname(&name),
            _ => {
                return Err(
                    "NOTIFY_SOCKET is neither a path from the root nor \"@\" and a name: the service manager is told nothing".to_owned()
                );
            }
        };
        let reach = |e: std::io::Error| format!("NOTIFY_SOCKET can't be used ({e}): the service manager is told nothing");
        let socket = UnixDatagram::unbound().map_err(reach)?;
        // A full queue must not hold the runtime up.
        socket.set_nonblocking(true).map_err(reach)?;
        let to = Some(Arc::new((socket, address.map_err(reach)?)));
        let number = |name: &str| Some(variable(name)?.to_str().and_then(|text| text.parse::<u64>().ok()));
        // Of a process that started us, and not meant for us.
        if number("WATCHDOG_PID").is_some_and(|meant| meant != Some(u64::from(pid))) {
            return Ok(Self { to, watchdog: None });
        }
        match number("WATCHDOG_USEC") {
            Some(None | Some(0)) => Err("WATCHDOG_USEC is not a number of microseconds: the service manager is told nothing".to_owned()),
            wanted => Ok(Self { to, watchdog: wanted.flatten().map(Duration::from_micros) }),
        }
    }

    /// After how long a silence the service manager takes us for dead; `None`: it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// What goes on, in a few words.
    pub fn status(&self, words: &str) {
        self.send(&format!("STATUS={}", one_line(words)));
    }

    /// Up, or a reload is over.
    pub fn ready(&self, words: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(words)));
    }

    /// A reload begins.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the configuration again", monotonic_micros()));
    }

    /// The daemon is on its way out.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping: runs in flight may end, what is left is written");
    }

    /// Feeds the watchdog.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        if let Some(to) = &self.to
            && let Err(e) = to.0.send_to_addr(message.as_bytes(), &to.1)
        {
            tracing::debug!(error = %e, "the service manager did not take a message");
        }
    }
}

/// Messages are lines: a text must not bring its own.
fn one_line(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(variables: &[(&str, &str)]) -> Result<Notifier, String> {
        Notifier::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)), 7)
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1000];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    #[test]
    fn nobody_listens_and_nothing_happens() {
        let none = notifier(&[]).unwrap();
        assert_eq!(none.watchdog(), None);
        none.ready("up");
        // Somebody who has gone is as good as nobody.
        notifier(&[("NOTIFY_SOCKET", "/nowhere/at/all")]).unwrap().ready("up");
    }

    #[test]
    fn messages_reach_a_path_and_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        notifier(&[("NOTIFY_SOCKET", path.to_str().unwrap())]).unwrap().ready("watching\nMAINPID=1");
        assert_eq!(received(&by_path), "READY=1\nSTATUS=watching MAINPID=1", "a text brings no line of its own");

        let name = format!("soakwatch-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let abstracted = notifier(&[("NOTIFY_SOCKET", &format!("@{name}"))]).unwrap();
        abstracted.alive();
        assert_eq!(received(&by_name), "WATCHDOG=1");
        abstracted.reloading();
        let said = received(&by_name);
        let since = said.lines().find_map(|l| l.strip_prefix("MONOTONIC_USEC=")).unwrap();
        assert!(said.starts_with("RELOADING=1\n") && since.parse::<u64>().unwrap() > 0, "{said}");
    }

    #[test]
    fn the_watchdog_is_the_one_meant_for_us() {
        let with = |more: &[(&str, &str)]| {
            let all: Vec<(&str, &str)> = [("NOTIFY_SOCKET", "@x")].iter().chain(more).copied().collect();
            notifier(&all).map(|n| n.watchdog())
        };
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(with(&[]), Ok(None));
        assert_eq!(with(&[("WATCHDOG_USEC", "30000000")]), Ok(half_a_minute));
        assert_eq!(with(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "7")]), Ok(half_a_minute));
        assert_eq!(with(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "8")]), Ok(None));
        assert!(with(&[("WATCHDOG_USEC", "soon")]).unwrap_err().contains("WATCHDOG_USEC"));
        assert!(notifier(&[("NOTIFY_SOCKET", "vsock:2:1234")]).unwrap_err().contains("NOTIFY_SOCKET"));
    }
}
