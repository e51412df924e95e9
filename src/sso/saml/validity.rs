//! How long metadata may be used: `validUntil` and `cacheDuration`, the windows before a date, and a policy if there is one.

use super::found::Found;
use super::read::Lifetime;
use super::times::{date_time, duration};
use crate::clock::{DAY_MS, UnixMs};
use crate::finding::{Level, Severity, saml as rule};
use crate::sso::expiry::severity;

/// What a policy asks of `validUntil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPolicy {
    /// It must be so many days ahead at least.
    pub least_days: u32,
    /// And so many at most.
    pub most_days: u32,
}

/// A file that is valid for no longer than this when it is first seen is short-lived: it is published again and again.
pub(super) const SHORT_LIVED_MS: i64 = 30 * DAY_MS;
/// A short-lived file must have more than this left, or a third of what it had.
const LEAST_LEFT_MS: i64 = 48 * 3_600_000;

/// Severity and level of a date that is near; nothing for one that is far. Inside of `warn_days` it warns, further ahead it informs.
pub(super) fn window(at: UnixMs, until: UnixMs, warn_days: u32) -> Option<(Severity, Level)> {
    let days = at.whole_days_until(until);
    let warned = days < i64::from(warn_days);
    let severity = severity(days).or(warned.then_some(Severity::Low))?;
    Some((severity, if warned { Level::Warn } else { Level::Info }))
}

/// The smallest `validUntil` of those that hold for one entity, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub at: UnixMs,
    pub place: &'static str,
    /// It holds for the whole document, not for one entity of it.
    pub shared: bool,
}

/// Reads both values of one element, and says which is not legal. What is smaller stays in `smallest`.
pub(super) fn read(lifetime: Lifetime<'_>, place: &'static str, shared: bool, smallest: &mut Option<Until>, found: &mut Found<'_>) {
    if let Some(written) = lifetime.valid_until {
        match date_time(written) {
            None => found.add(rule::VAL_04.found(format!("validUntil of {place} is not an xs:dateTime: {written:?}"))),
            Some(at) if smallest.is_none_or(|s| at < s.at) => *smallest = Some(Until { at, place, shared }),
            Some(_) => {}
        }
    }
    let Some(written) = lifetime.cache_duration else { return };
    let wrong = match duration(written) {
        None => "is not an xs:duration".into(),
        Some(d) if d.negative || d.longest_ms() == 0 => "is not positive".into(),
        Some(d) if d.longest_ms() >= SHORT_LIVED_MS => {
            let years = d.longest_ms() / (365 * DAY_MS);
            match (d.months, years) {
                (0, 0..5) => "is 30 days or more".into(),
                (0, _) => format!("is {years} years, as a Unix time copied into it would be"),
                (_, _) => "is a month or more, which has no fixed length".into(),
            }
        }
        Some(_) => return,
    };
    found.add(rule::VAL_04.found(format!("cacheDuration of {place} {wrong}: {written:?}")));
}

/// Judges the smallest `validUntil` of an entity.
pub(super) fn judge(until: Option<Until>, warn_days: u32, policy: Option<ValidityPolicy>, at: UnixMs, found: &mut Found<'_>) {
    let Some(until) = until else {
        if policy.is_some() {
            found.add(rule::VAL_03.found("there is no validUntil"));
        }
        return;
    };
    let left = until.at.0.saturating_sub(at.0);
    if left < 0 {
        found.add(rule::VAL_01.found(format!("validUntil of {} was {}, {} ago", until.place, until.at, days(-left))));
        return;
    }
    if let Some(policy) = policy {
        let (least, most) = (i64::from(policy.least_days) * DAY_MS, i64::from(policy.most_days) * DAY_MS);
        if left < least || left > most {
            found.add(rule::VAL_03.found(format!(
                "validUntil of {} is {} ahead; the policy asks for {} to {} days",
                until.place,
                days(left),
                policy.least_days,
                policy.most_days
            )));
        }
    }
    // Seen for the first time now: a short-lived file has all of its horizon left. `changes` knows since when.
    let near = if left <= SHORT_LIVED_MS {
        (left < LEAST_LEFT_MS).then_some((rule::VAL_02.severity, rule::VAL_02.level))
    } else {
        window(at, until.at, warn_days)
    };
    if let Some((severity, level)) = near {
        found.add(rule::VAL_02.found(format!("validUntil of {} is {}, in {}", until.place, until.at, days(left))).of(severity).at(level));
    }
}

/// Whether a short-lived file that was valid for `horizon` when it was first seen has too little left.
pub(super) fn runs_out(horizon_ms: i64, left_ms: i64) -> bool {
    horizon_ms <= SHORT_LIVED_MS && (left_ms < LEAST_LEFT_MS || left_ms < horizon_ms / 3)
}

/// A span of milliseconds in days, or hours below two days.
pub(super) fn days(ms: i64) -> String {
    match ms / DAY_MS {
        0..2 => format!("{} hours", ms / 3_600_000),
        days => format!("{days} days"),
    }
}
