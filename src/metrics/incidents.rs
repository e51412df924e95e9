//! What a scrape says of incidents: whether one is open, and how many opened, ever.

use std::collections::{BTreeMap, HashMap};

use super::encode::Lines;
use super::rows::Row;
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::fields::IntegrationId;
use crate::incident::Severity;
use crate::incident::live::Incidents;
use crate::outcome::Attribution;
use crate::readiness::Soaks;

/// One integration's incidents.
#[derive(Debug)]
pub(super) struct IncidentRow {
    /// The open one.
    open: Option<(Severity, Attribution)>,
    /// What one would have now.
    usual: Severity,
    opened: BTreeMap<Severity, u64>,
}

/// Puts them on the rows.
pub(super) fn put(rows: &mut [Row], all: &[IntegrationEntry], (soaks, incidents): (&Soaks, &Incidents), now: UnixMs) {
    let open: HashMap<IntegrationId, (Severity, Attribution)> =
        incidents.all_open().into_iter().map(|i| (i.integration.clone(), (i.severity, i.attribution))).collect();
    for ((row, entry), opened) in rows.iter_mut().zip(all).zip(soaks.incidents_opened(all)) {
        let usual = Severity::of(entry.def.criticality, entry.phase(now));
        row.incidents = Some(IncidentRow { open: open.get(&entry.def.id).copied(), usual, opened });
    }
}

pub(super) fn open(l: &mut Lines<'_>, r: &Row) {
    let Some(row) = &r.incidents else { return };
    let (severity, attribution) = row.open.unwrap_or((row.usual, Attribution::Unknown));
    l.count(&r.i, &[("severity", severity.as_str()), ("attribution", attribution.as_str())], u64::from(row.open.is_some()));
}

/// A severity that an incident would have now stands there at 0, so that the first one is an increase.
pub(super) fn total(l: &mut Lines<'_>, r: &Row) {
    let Some(row) = &r.incidents else { return };
    for severity in Severity::ALL {
        let opened = row.opened.get(severity).copied().or((*severity == row.usual).then_some(0));
        if let Some(n) = opened {
            l.count(&r.i, &[("severity", severity.as_str())], n);
        }
    }
}
