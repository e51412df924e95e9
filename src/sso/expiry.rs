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
    Some(rule.found(format!("{what} ends {ends}, in {days} days")).of(severity(days)?).at(Level::Warn))
}

/// How bad it is that something ends in so many whole days; nothing from 60 on.
pub fn severity(days: i64) -> Option<Severity> {
    match days {
        ..=13 => Some(Severity::High),
        14..=29 => Some(Severity::Medium),
        30..=59 => Some(Severity::Low),
        _ => None,
    }
}
