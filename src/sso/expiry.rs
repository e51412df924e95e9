//! The windows before a date that ends something: certificates, secrets, long-lived documents.

use crate::clock::UnixMs;
use crate::finding::{Finding, Level, Rule, Severity};

/// The finding of `rule` for `what` that ends then: past fails by the rule, below 14 days warns with high severity, below 30 with medium, below
/// 60 with low; further away is nothing.
pub fn judged(rule: &Rule, what: &str, ends: UnixMs, at: UnixMs) -> Option<Finding> {
    let days = at.whole_days_until(ends);
    if days < 0 {
        return Some(rule.found(format!("{what} ended {ends}, {} days ago", -days)));
    }
    let severity = match days {
        ..=13 => Severity::High,
        14..=29 => Severity::Medium,
        30..=59 => Severity::Low,
        _ => return None,
    };
    Some(rule.found(format!("{what} ends {ends}, in {days} days")).of(severity).at(Level::Warn))
}
