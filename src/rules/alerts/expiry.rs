//! Alerts on what expires (certificates, SSO metadata), on findings, and on messages that do not arrive. Times that are read from documents are
//! looked at over an hour, so that a lost scrape does not begin the wait anew.

use super::{Alert, CALLED_IN, OF_CHECK, OF_INTEGRATION, about};
use crate::arrivals::REASONS;
use crate::finding::{Level, Severity};
use crate::metrics::catalogue as cat;
use crate::outcome::Phase;
use crate::rules::query::{I, IC, Queries, one_of};
use crate::rules::{DAY, HOUR, MINUTE, Urgency};

/// The reason of [`REASONS`] that says that a signature was wrong.
const FORGED: &str = REASONS[0];

/// All of them.
pub(in crate::rules) fn expiry(q: Queries) -> Vec<Alert> {
    let hour = q.w(HOUR);
    let certificate = format!("min by ({IC}) (last_over_time({}[{hour}])) - time()", cat::CERT_EXPIRY.name);
    // By names: `or` would take the one for the other.
    let both = one_of("__name__", &[cat::SSO_VALID_UNTIL.name, cat::SSO_CERT_EXPIRY.name]);
    let metadata = format!("min by ({I}) (last_over_time({{{both}}}[{hour}])) - time()");
    let critical = [one_of("severity", &[Severity::Critical.as_str()]), one_of("level", &[Level::Fail.as_str()])].join(", ");
    let days = |n: u64| n * DAY;
    vec![
        about(
            q,
            "SoakwatchCertExpiring",
            OF_CHECK,
            None,
            &format!("{certificate} < {}", days(20)),
            "its certificate expires soon",
            "The earliest expiry in the certificate chain is in {{ $value | humanizeDuration }}.",
        )
        .after(HOUR),
        about(
            q,
            "SoakwatchCertExpiringCritical",
            OF_CHECK,
            None,
            &format!("{certificate} < {}", days(3)),
            "its certificate expires within three days",
            "The earliest expiry in the certificate chain is in {{ $value | humanizeDuration }}.",
        )
        .after(HOUR)
        .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchSsoMetadataExpiring",
            OF_INTEGRATION,
            None,
            &format!("{metadata} < {}", days(14)),
            "its SSO metadata or signing certificate expires soon",
            "The metadata or a signing certificate in it is valid for {{ $value | humanizeDuration }} more.",
        )
        .after(HOUR),
        about(
            q,
            "SoakwatchSsoMetadataExpiringCritical",
            OF_INTEGRATION,
            None,
            &format!("{metadata} < {}", days(2)),
            "its SSO metadata or signing certificate expires within two days",
            "The metadata or a signing certificate in it is valid for {{ $value | humanizeDuration }} more; then nobody can log in.",
        )
        .after(HOUR)
        .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchFindingCritical",
            &["customer", "environment", "integration", "check", "rule", "owner"],
            None,
            &format!("max by ({IC}, rule, owner) ({}) == 1", q.last(&cat::FINDINGS, &critical)),
            "log-in, provisioning or messages are broken or unsafe",
            "A rule of critical severity is broken; docs/findings.md says what it asks for. Open findings of it: {{ $value }}.",
        )
        .after(2 * MINUTE)
        .keeps(15 * MINUTE)
        .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchSsoMetadataChanged",
            OF_INTEGRATION,
            None,
            &format!("{} > 0", q.rose(&cat::SSO_CHANGES, "", I, 15 * MINUTE)),
            "its SSO metadata changed",
            "{{ $value | humanize }} documents of the last 15 minutes took the place of other ones.",
        )
        .is(Urgency::Info),
        about(
            q,
            "SoakwatchWebhookSilent",
            OF_INTEGRATION,
            None,
            &silent(q),
            "no message arrives any more",
            "The last message came {{ $value | humanizeDuration }} ago, more than three times as long as one is expected to take.",
        )
        .after(5 * MINUTE)
        .keeps(15 * MINUTE)
        .pages_in(&[Phase::Hypercare]),
        about(
            q,
            "SoakwatchWebhookSignatureRejected",
            OF_INTEGRATION,
            None,
            &format!("{} > 2", q.rose(&cat::WEBHOOK_REJECTIONS, &one_of("reason", &[FORGED]), I, 15 * MINUTE)),
            "messages arrive with wrong signatures",
            "{{ $value | humanize }} messages of the last 15 minutes were refused because their signature was wrong.",
        )
        .keeps(15 * MINUTE),
    ]
}

/// Since the last message, or since one is expected if none ever came.
fn silent(q: Queries) -> String {
    let [last, since, every] = [&cat::WEBHOOK_LAST, &cat::WEBHOOK_SINCE, &cat::WEBHOOK_INTERVAL].map(|f| q.last(f, ""));
    format!(
        "time() - (max by ({I}) ({last}) or max by ({I}) ({since}))\n  > on ({I}) 3 * max by ({I}) ({every})\nunless on ({I}) {}\nunless on ({I}) {}",
        q.in_maintenance(HOUR),
        q.paused(HOUR)
    )
}
