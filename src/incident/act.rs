//! What people do with an incident: they are on it, they write something down, they know better what it is. Pure; who may is decided elsewhere.

use super::{Before, Event, Incident, MOST_BEFORE, Severity};
use crate::clock::UnixMs;
use crate::outcome::{Attribution, Class};

/// What somebody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// They are on it; with a remark.
    Acknowledge(Option<String>),
    /// They write something down.
    Note(String),
    /// They know better; what is `None` stays as it is.
    Reclassify {
        /// What it is.
        class: Option<Class>,
        /// Whose it is.
        attribution: Option<Attribution>,
        /// How bad it is.
        severity: Option<Severity>,
        /// Why.
        reason: String,
    },
}

impl Act {
    /// What happened to the incident by it.
    pub const fn event(&self) -> Event {
        match self {
            Self::Acknowledge(_) => Event::Acknowledged,
            Self::Note(_) => Event::Noted,
            Self::Reclassify { .. } => Event::Reclassified,
        }
    }
}

impl Incident {
    /// The incident after somebody did something, by the name of their token.
    pub fn after(&self, act: &Act, by: &str, at: UnixMs) -> Self {
        let mut next = self.clone();
        match act {
            Act::Acknowledge(remark) => {
                next.acknowledged = Some((by.to_owned(), at));
                next.log(at, act.event(), Some(by), remark.as_deref().unwrap_or("on it"));
            }
            Act::Note(text) => next.log(at, act.event(), Some(by), text),
            Act::Reclassify { class, attribution, severity, reason } => {
                let Self { severity: was, class: what, attribution: whose, .. } = *self;
                next.before.push(Before { until: at, severity: was, class: what, attribution: whose });
                if next.before.len() > MOST_BEFORE {
                    next.before.remove(0);
                }
                next.class = class.unwrap_or(next.class);
                next.attribution = attribution.unwrap_or(next.attribution);
                next.severity = severity.unwrap_or(next.severity);
                next.reclassified = Some((by.to_owned(), at));
                let text = format!("{} {} ({}): {reason}", next.severity, next.class, next.attribution);
                next.log(at, act.event(), Some(by), &text);
            }
        }
        next
    }
}
