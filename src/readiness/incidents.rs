//! What the evidence log says of an integration's incidents, and what it means for a soak: how many there were in the judged window, as of its end. Live,
//! from the store and in a bundle it is the same, for it is made of the same records. Never decides what an incident is.

use std::collections::BTreeMap;

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
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
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
