//! `exit = { ... }`: what is asked for before hypercare ends. Plain data; the configuration fills it.

use crate::fields::{Ratio, Span};

/// What is asked for of one integration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// `p2`: incidents of severity P2 in the window, at most.
    pub p2: u32,
    /// `window`: whole hours before now that are judged; they must have gone by since go-live.
    pub window: Span,
    /// `success_ratio`: the objective, above 0. The error budget is what it leaves.
    pub success_ratio: Ratio,
    /// `coverage`: at least.
    pub coverage: Ratio,
    /// `expiring`: nothing may end within this time.
    pub expiring: Span,
    /// `budget`: more than this share of the last 30 days' error budget must be left.
    pub budget: Ratio,
}

impl Policy {
    /// The defaults. `objective`: the soak's, where the integration has one.
    pub fn new(objective: Option<Ratio>) -> Self {
        Self {
            p2: 2,
            window: Span::days(14),
            success_ratio: objective.unwrap_or(Ratio(0.99)),
            coverage: Ratio(0.98),
            expiring: Span::days(30),
            budget: Ratio(0.25),
        }
    }
}
