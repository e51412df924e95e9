//! Token endpoints that throttled, and until when each is left alone. Owns when one may be asked again; never asks, never waits, reads no clock.
//!
//! What one client was told holds for all that ask as this client, whatever scope they want: it is the endpoint's host and the client that a
//! quota is counted for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::auth::OAuth2;
use crate::clock::UnixMs;
use crate::hex;
use crate::observed::Heard;

/// The kind of the notes that remember them in the store.
pub const AWAY_NOTE: &str = "token_away";

/// Nobody is left alone for longer, whatever it asks for. A constant: `rate_limit.max_hold` (the same by default) is not the transport's to know.
const LONGEST: Duration = Duration::from_secs(3600);
/// The first pause after an endpoint that does not say for how long; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Doublings of it.
const MOST_STRIKES: u32 = 9;
/// So many endpoints are remembered; the one whose time is over first goes first.
const MOST: usize = 4096;
/// A stay shorter than this is not worth remembering over a restart.
const NOTED: Duration = Duration::from_secs(5);

/// A token endpoint as one client sees it: `host:port` and the hash of the client id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    pub(super) fn of(oauth2: &OAuth2) -> Self {
        Self::at(&oauth2.token_url.host_port(), &oauth2.client_id)
    }

    /// The endpoint at `host:port`, as this client sees it.
    pub(super) fn at(host_port: &str, client_id: &str) -> Self {
        let client: String = hex::sha256(client_id.as_bytes()).chars().take(16).collect();
        Self(format!("{host_port} {client}"))
    }
}

/// How long an endpoint is still to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) left: Duration,
    /// The same as wall time, to whole seconds.
    pub(super) until: UnixMs,
    /// Whether it asked for that, or is spared without having said for how long.
    pub(super) told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    until: Instant,
    noted: Noted,
}

/// What of it survives a restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Noted {
    until: UnixMs,
    told: bool,
    strikes: u32,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<String, Known>,
    /// Those whose note is to be written.
    changed: BTreeSet<String>,
}

/// The token endpoints to leave alone.
#[derive(Debug, Default)]
pub(super) struct Away(Mutex<Inner>);

impl Away {
    // Nobody awaits while holding it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what an endpoint said; `at`: when, the monotonic reading of `heard.at`. Hearing one answer twice is hearing it once.
    pub(super) fn heard(&self, endpoint: &Endpoint, heard: &Heard, at: Instant) {
        let mut inner = self.lock();
        let known = inner.known.get(&endpoint.0).copied();
        let ends_later = known.filter(|k| k.until > at);
        if !heard.limits.throttled {
            // A good answer may be to a request that was on its way when another one was refused.
            if known.is_some() && ends_later.is_none() {
                inner.known.remove(&endpoint.0);
                inner.changed.insert(endpoint.0.clone());
            }
            return;
        }
        let strikes = known.map_or(0, |k| k.noted.strikes);
        let (wait, told, strikes) = match (heard.stay_away.map(|w| w.min(LONGEST)), ends_later) {
            // Of two that were told the later one counts; a guess of ours gives way.
            (Some(wait), Some(k)) if k.noted.told && k.until > at + wait => return,
            (Some(wait), _) => (wait, true, 0),
            // One more of those that were on their way.
            (None, Some(_)) => return,
            (None, None) => (FIRST_PAUSE.saturating_mul(1 << strikes.min(MOST_STRIKES)).min(LONGEST), false, strikes.saturating_add(1)),
        };
        if known.is_none() && inner.known.len() >= MOST {
            inner.make_room();
        }
        let noted = Noted { until: heard.at.plus(wait).next_whole_second(), told, strikes };
        inner.known.insert(endpoint.0.clone(), Known { until: at + wait, noted });
        if wait >= NOTED {
            inner.changed.insert(endpoint.0.clone());
        }
    }

    /// How long the endpoint is to be left alone; `None`: it may be asked.
    pub(super) fn stay(&self, endpoint: &Endpoint, now: Instant) -> Option<Stay> {
        let known = *self.lock().known.get(&endpoint.0)?;
        let left = known.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(Stay { left, until: known.noted.until, told: known.noted.told })
    }

    /// The notes to write since the last call: id and text; without text, the note goes.
    pub(super) fn notes(&self) -> Vec<(String, Option<String>)> {
        let mut inner = self.lock();
        let changed = std::mem::take(&mut inner.changed);
        let text = |id: &String| inner.known.get(id).and_then(|k| serde_json::to_string(&k.noted).ok());
        changed.iter().map(|id| (id.clone(), text(id))).collect()
    }

    /// Puts back what notes of the last daemon tell of; returns the ids of those that are over.
    pub(super) fn restore(&self, notes: &BTreeMap<String, String>, wall: UnixMs, now: Instant) -> Vec<String> {
        let mut inner = self.lock();
        let mut over = Vec::new();
        for (id, json) in notes {
            match serde_json::from_str::<Noted>(json).ok().filter(|n| n.until > wall && inner.known.len() < MOST) {
                Some(noted) => {
                    let until = now + noted.until.since(wall).min(LONGEST);
                    inner.known.insert(id.clone(), Known { until, noted });
                }
                None => over.push(id.clone()),
            }
        }
        over
    }
}

impl Inner {
    fn make_room(&mut self) {
        if let Some(id) = self.known.iter().min_by_key(|(_, k)| k.until).map(|(id, _)| id.clone()) {
            self.known.remove(&id);
            self.changed.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;
    use crate::ratelimit::RateLimit;

    const WALL: UnixMs = UnixMs(1_800_000_000_500);

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn endpoint(id: &str) -> Endpoint {
        Endpoint(id.to_owned())
    }

    /// An endpoint that is told things so many seconds after the start.
    struct Told {
        away: Away,
        start: Instant,
    }

    impl Told {
        fn new() -> Self {
            Self { away: Away::default(), start: monotonic() }
        }
        fn hear(&self, after: u64, throttled: bool, wait: Option<u64>) {
            let limits = RateLimit { throttled, ..RateLimit::default() };
            let heard = Heard { host: "login".into(), token: true, at: WALL.plus(s(after)), limits, stay_away: wait.map(s) };
            self.away.heard(&endpoint("a"), &heard, self.start + s(after));
        }
        fn left(&self, after: u64) -> Option<u64> {
            self.away.stay(&endpoint("a"), self.start + s(after)).map(|stay| stay.left.as_secs())
        }
    }

    #[test]
    fn it_is_left_alone_for_as_long_as_it_asks() {
        let t = Told::new();
        assert_eq!(t.left(0), None);
        t.hear(0, true, Some(30));
        let stay = t.away.stay(&endpoint("a"), t.start + s(10)).unwrap();
        assert_eq!(stay, Stay { left: s(20), until: UnixMs(1_800_000_031_000), told: true });
        assert_eq!((t.left(29), t.left(30)), (Some(1), None));
        assert_eq!(t.away.stay(&endpoint("b"), t.start), None, "another client, or another host");
        // An answer to what was on its way takes nothing back, and of two waits the later end counts.
        t.hear(1, false, None);
        t.hear(2, true, Some(5));
        t.hear(3, true, None);
        assert_eq!(t.left(10), Some(20));
        t.hear(4, true, Some(86_400));
        assert_eq!(t.left(4), Some(3600), "bounded");
        let now = Told::new();
        now.hear(0, true, Some(0));
        assert_eq!(now.left(0), None, "it says: at once");
    }

    #[test]
    fn without_a_word_the_pauses_grow_until_it_serves_again() {
        let t = Told::new();
        let mut at = 0;
        for pause in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            t.hear(at, true, None);
            t.hear(at, true, None);
            assert_eq!(t.left(at), Some(pause), "hearing it twice makes it no longer");
            at += pause;
            assert_eq!(t.left(at), None);
        }
        t.hear(at, false, None);
        t.hear(at, true, None);
        assert_eq!(t.left(at), Some(10));
        t.hear(at, true, Some(2));
        assert_eq!(t.left(at), Some(2), "what is told replaces a guess");
    }

    #[test]
    fn it_survives_a_restart() {
        let t = Told::new();
        t.hear(0, true, Some(2));
        assert_eq!(t.away.notes(), [], "not worth it");
        t.hear(1, true, Some(100));
        let notes: BTreeMap<String, String> = t.away.notes().into_iter().map(|(id, text)| (id, text.unwrap())).collect();
        assert_eq!((notes.len(), t.away.notes()), (1, vec![]));
        let new = Told::new();
        assert_eq!(new.away.restore(&notes, WALL.plus(s(51)), new.start), Vec::<String>::new());
        assert_eq!(new.left(0), Some(50));
        new.hear(60, false, None);
        assert_eq!(new.away.notes(), [("a".to_owned(), None)]);
        assert_eq!(Away::default().restore(&notes, WALL.plus(s(200)), t.start), ["a"]);
        // A clock that was set back makes nobody wait for longer.
        let back = Told::new();
        back.away.restore(&notes, UnixMs(0), back.start);
        assert_eq!(back.left(0), Some(3600));
        assert_eq!(back.away.restore(&[("b".to_owned(), "{".to_owned())].into(), WALL, back.start), ["b"]);
    }

    #[test]
    fn those_remembered_are_bounded() {
        let t = Told::new();
        for n in 0..MOST as u64 + 5 {
            let limits = RateLimit { throttled: true, ..RateLimit::default() };
            let heard = Heard { host: String::new(), token: true, at: WALL, limits, stay_away: Some(s(60 + n % 100)) };
            t.away.heard(&endpoint(&n.to_string()), &heard, t.start);
        }
        assert_eq!(t.away.lock().known.len(), MOST);
    }
}
