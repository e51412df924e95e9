//! What a scrape says of documents: until when they hold, what is open of what was found, how often they changed. Never judges: all of it is on the board.

use std::ops::Range;

use super::encode::Lines;
use super::rows::Row;
use crate::board::{CheckEntry, Sums};
use crate::clock::UnixMs;
use crate::finding::{Finding, Level};

/// An integration's documents.
#[derive(Debug, Default)]
pub(super) struct DocumentsRow {
    /// Whether it has checks of documents.
    any: bool,
    pub(super) valid_until: Option<UnixMs>,
    pub(super) signing_certificate_expiry: Option<UnixMs>,
    changes: u64,
}

impl DocumentsRow {
    /// Adds a check's document.
    pub(super) fn add(&mut self, check: &CheckEntry) {
        let earliest = |a: Option<UnixMs>, b: Option<UnixMs>| a.into_iter().chain(b).min();
        self.any |= check.def.kind.has_document();
        if let Some(document) = &check.state.document {
            self.valid_until = earliest(self.valid_until, document.valid_until);
            self.signing_certificate_expiry = earliest(self.signing_certificate_expiry, document.signing_certificate_expiry);
        }
    }

    /// Adds what a check counted, or what checks that left had counted.
    pub(super) fn sum_up(&mut self, s: Sums<'_>) {
        self.changes += s.document_changes;
    }
}

/// A line for every open finding that somebody has to look at. The same rule may have been found several times: one line.
pub(super) fn findings(l: &mut Lines<'_>, block: &Range<usize>, open: &[Finding]) {
    let labels = |f: &Finding| (f.id.clone(), f.level, f.severity, f.owner);
    for (n, f) in open.iter().enumerate().filter(|(_, f)| f.level != Level::Info) {
        if open.iter().take(n).all(|before| labels(before) != labels(f)) {
            let more = [("rule", &*f.id), ("level", f.level.as_str()), ("severity", f.severity.as_str()), ("owner", f.owner.as_str())];
            l.count(block, &more, 1);
        }
    }
}

/// Counted from 0 where there is a document that may change.
pub(super) fn changes(l: &mut Lines<'_>, r: &Row) {
    if r.documents.any || r.documents.changes > 0 {
        l.count(&r.i, &[], r.documents.changes);
    }
}
