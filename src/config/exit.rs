//! `exit = { ... }` of an integration or a customer: what is asked for before hypercare ends. Defaults are [`Policy::new`]'s.

use super::soak::{Target, Tolerated};
use super::table::Table;
use crate::clock::HOUR_MS;
use crate::fields::{Ratio, Span};
use crate::hypercare::Policy;

/// One table as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    p2: Option<u32>,
    window: Option<Span>,
    success_ratio: Option<Ratio>,
    coverage: Option<Ratio>,
    expiring: Option<Span>,
    budget: Option<Ratio>,
}

/// Reads the table, where there is one. Bad values are reported and read as absent.
pub(super) fn read(table: &mut Table<'_>) -> Option<Written> {
    let mut t = table.table("exit")?;
    let window = t.between("window", Span::seconds(3600), Span::days(90));
    if let Some(window) = window.filter(|w| w.ms() % HOUR_MS != 0) {
        t.problem("window", format!("{window} is not a number of whole hours"), "expected whole hours or days, such as \"14d\"");
    }
    let written = Written {
        p2: t.between("p2", 0, 1000),
        window,
        success_ratio: t.opt::<Target>("success_ratio").map(|s| s.0),
        coverage: t.opt::<Target>("coverage").map(|s| s.0),
        expiring: t.between("expiring", Span::seconds(0), Span::days(366)),
        budget: t.opt::<Tolerated>("budget").map(|s| s.0),
    };
    t.finish();
    Some(written)
}

/// What is asked for: an integration's table, then the customer's, then the soak's objective and the defaults.
pub(super) fn policy(own: Option<Written>, shared: Option<&Written>, objective: Option<Ratio>) -> Policy {
    let (own, nothing, base) = (own.unwrap_or_default(), Written::default(), Policy::new(objective));
    let shared = shared.unwrap_or(&nothing);
    Policy {
        p2: own.p2.or(shared.p2).unwrap_or(base.p2),
        window: own.window.or(shared.window).unwrap_or(base.window),
        success_ratio: own.success_ratio.or(shared.success_ratio).unwrap_or(base.success_ratio),
        coverage: own.coverage.or(shared.coverage).unwrap_or(base.coverage),
        expiring: own.expiring.or(shared.expiring).unwrap_or(base.expiring),
        budget: own.budget.or(shared.budget).unwrap_or(base.budget),
    }
}
