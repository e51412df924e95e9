//! What the evidence log says of an integration's incidents, and what it means for a soak: how many there were in the judged window, as of its end. Live,
//! from the store and in a bundle it is the same, for it is made of the same records. Never decides what an incident is.

use std::collections::BTreeMap;

use super::case::IncidentsCase;
use crate::clock::UnixMs;
use crate::evidence::written::{text_at, time_at};
use crate::evidence::{Kind, Recorded};
use crate::incident::{Event, Severity};
use crate::soak::{Frame, Incidents};

/// So many incidents are kept of an integration, the newest.
const MOST: usize = 500;
/// So many events of one; of more the oldest but the first are left out.
const MOST_EVENTS: usize = 100;

/// What is on record of one incident: when it opened, closed, opened again or got another severity, in order of the log.
#[derive(Clone, Debug, PartialEq)]
struct One {
    id: String,
    events: Vec<(UnixMs, Event, Severity)>,
}

/// What is on record of an integration's incidents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToldIncidents {
    all: Vec<One>,
    opened: BTreeMap<Severity, u64>,
}

impl ToldIncidents {
    pub(super) fn take(&mut self, r: &Recorded) {
        let Some(Kind::Incident) = r.kind() else { return };
        let read = |key| text_at(&r.body, key);
        let (Some(id), Some(event)) = (read("incident"), read("event").and_then(Event::parse)) else { return };
        let (Some(severity), Some(at)) = (read("severity").and_then(Severity::parse), time_at(&r.body, "at")) else { return };
        let known = self.all.iter_mut().find(|i| i.id == id);
        let Some(one) = known else {
            if event == Event::Opened {
                *self.opened.entry(severity).or_default() += 1;
            }
            if self.all.len() >= MOST {
                self.all.remove(0);
            }
            self.all.push(One { id: id.to_owned(), events: vec![(at, event, severity)] });
            return;
        };
        one.events.push((at, event, severity));
        if one.events.len() > MOST_EVENTS {
            one.events.remove(1);
        }
    }

    /// Whether it is on record that this happened to an incident.
    pub fn has(&self, id: &str, event: Event, at: UnixMs) -> bool {
        self.all.iter().filter(|i| i.id == id).flat_map(|i| &i.events).any(|e| (e.0, e.1) == (at, event))
    }

    /// How many opened, ever, by the severity they opened with.
    pub fn opened(&self) -> &BTreeMap<Severity, u64> {
        &self.opened
    }

    /// Whether there is anything on record.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The same as a bundle holds it.
    pub fn case(&self, frame: &Frame) -> IncidentsCase {
        let Incidents { p1, open, p1_in_last } = self.of(frame);
        IncidentsCase { p1, open, p1_in_last }
    }

    /// Those of the judged window, as of its end.
    pub(super) fn of(&self, frame: &Frame) -> Incidents {
        let end = frame.window.end;
        let mut found = Incidents::default();
        for one in &self.all {
            let until_end = || one.events.iter().filter(|(at, ..)| *at < end);
            let (Some((opened, ..)), Some((.., severity))) = (until_end().next(), until_end().next_back()) else { continue };
            let state = until_end().rfind(|(_, event, _)| matches!(event, Event::Opened | Event::Reopened | Event::Closed));
            let closed = state.filter(|(_, event, _)| *event == Event::Closed).map(|(at, ..)| *at);
            // It counts in a window that it reaches into.
            let reaches = |start: UnixMs| closed.is_none_or(|c| c >= start);
            if !reaches(frame.window.start) {
                continue;
            }
            if *severity != Severity::P1 {
                found.open = found.open.saturating_add(u32::from(closed.is_none()));
                continue;
            }
            found.p1 = found.p1.saturating_add(1);
            let last = frame.last.first().copied().flatten().filter(|w| w.start < end && reaches(w.start));
            if let Some(w) = last {
                let at = w.start.max(*opened);
                found.p1_in_last = Some(found.p1_in_last.map_or(at, |first| first.min(at)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY_MS, HOUR_MS};
    use crate::evidence::{Entry, Scope, time_text};
    use crate::fields::Span;
    use serde_json::json;

    const S: i64 = 1_796_112_000_000;

    fn told(log: &[(&str, &str, i64, &str)]) -> ToldIncidents {
        let mut told = ToldIncidents::default();
        for (id, event, hour, severity) in log {
            let at = UnixMs(S + hour * HOUR_MS);
            let body = json!({ "incident": id, "event": event, "at": time_text(at), "severity": severity });
            told.take(&Entry::new(at, Kind::Incident, Scope::default(), "soakwatch", body).numbered(1));
        }
        told
    }

    fn frame(day: i64, go_live: Option<i64>) -> Frame {
        Frame::at(UnixMs(S), Span::days(7), go_live.map(|d| UnixMs(S + d * DAY_MS)), UnixMs(S + day * DAY_MS))
    }

    #[test]
    fn incidents_count_in_the_windows_they_reach_into() {
        let log = told(&[
            ("a", "opened", 10, "P2"),
            ("a", "closed", 12, "P2"),
            ("b", "opened", 30, "P1"),
            ("b", "closed", 31, "P1"),
            ("c", "opened", 100, "P3"),
        ]);
        let of = |day| (log.of(&frame(day, None)).p1, log.of(&frame(day, None)).open);
        assert_eq!([of(0), of(1), of(2), of(5)], [(0, 0), (0, 0), (1, 0), (1, 1)]);
        assert_eq!(of(8), (1, 1), "the window begins at hour 24, and it closed at 31");
        assert_eq!(of(9), (0, 1));
        assert_eq!(log.opened().values().sum::<u64>(), 3);
        assert!(log.has("a", Event::Closed, UnixMs(S + 12 * HOUR_MS)) && !log.has("a", Event::Closed, UnixMs(S)));
    }

    #[test]
    fn it_is_told_as_of_the_windows_end() {
        let log = told(&[
            ("a", "opened", 10, "P2"),
            ("a", "closed", 12, "P2"),
            ("a", "reopened", 13, "P2"),
            ("a", "reclassified", 50, "P1"),
            ("a", "closed", 200, "P1"),
        ]);
        let at = |hour: i64| log.of(&Frame::at(UnixMs(S), Span::days(7), None, UnixMs(S + hour * HOUR_MS)));
        assert_eq!([at(11).open, at(13).open, at(14).open, at(51).p1, at(51).open], [1, 0, 1, 1, 0]);
        // What was frozen at go-live does not hear what was said of it later.
        let frozen = log.of(&frame(30, Some(2)));
        assert_eq!((frozen.p1, frozen.open), (0, 1));
    }

    #[test]
    fn a_p1_in_the_last_window_is_said_with_its_time() {
        let log = told(&[("a", "opened", 10, "P1"), ("a", "closed", 60, "P1")]);
        assert_eq!(log.of(&frame(3, Some(8))).p1_in_last, Some(UnixMs(S + 24 * HOUR_MS)), "the last window begins there");
        assert_eq!(log.of(&frame(3, Some(10))).p1_in_last, None, "one that ends by go-live is free of it");
        let log = told(&[("a", "opened", 30, "P1"), ("a", "closed", 60, "P1")]);
        assert_eq!(log.of(&frame(3, Some(8))).p1_in_last, Some(UnixMs(S + 30 * HOUR_MS)));
    }
}
