//! Alerts on the monitor itself, and the one that always fires.

use super::{Alert, CALLED_IN, OF_CHECK, about, ours};
use crate::metrics::catalogue as cat;
use crate::rules::query::{I, IC, Queries};
use crate::rules::{DAY, HOUR, MINUTE, Urgency};

/// The clock's distance from its time service. Absent while it is not synchronised.
pub(in crate::rules) const CLOCK_OFFSET: &str = "soakwatch_clock_offset_seconds";
const OF_DAEMON: &[&str] = &["instance"];

/// All of them.
pub(in crate::rules) fn monitor(q: Queries) -> Vec<Alert> {
    let blind = q.blind();
    let by_vantage = format!("max by (vantage) (max_over_time({}[{}])) == 0\nunless on () {blind}", cat::SELF_CHECK.name, q.w(2 * MINUTE));
    let (outbox, now) = (cat::STORE_OUTBOX.name, q.last(&cat::STORE_OUTBOX, ""));
    let outbox = format!("max by (instance) ({now}) > 1000\nand max by (instance) (deriv({outbox}[{}])) > 0", q.w(15 * MINUTE));
    let lag =
        format!("histogram_quantile(0.99, sum by (instance, le) (rate({}_bucket[{}]))) > 5", cat::SCHEDULER_LAG.name, q.w(5 * MINUTE));
    vec![
        ours(
            "SoakwatchBlind",
            &[],
            blind,
            "The monitor sees nothing: none of its neutral endpoints answers, at any vantage",
            "Its runs that fail at the network count as unknown; no customer is to blame (endpoints that answer: {{ $value }}).",
        )
        .after(MINUTE)
        .keeps(5 * MINUTE),
        ours(
            "SoakwatchVantageFault",
            &["vantage"],
            by_vantage,
            "none of its neutral endpoints answers, while another vantage sees them",
            "What this vantage finds is not used against a customer (endpoints that answer: {{ $value }}).",
        )
        .after(MINUTE)
        .keeps(5 * MINUTE),
        about(
            q,
            "SoakwatchProbeStalled",
            OF_CHECK,
            None,
            &stalled(q),
            "is not checked any more",
            "Its last judged run was {{ $value | humanizeDuration }} ago, more than three of its intervals, and nothing holds it back.",
        )
        .after(2 * MINUTE)
        .pages_in(CALLED_IN),
        ours(
            "SoakwatchTargetDown",
            OF_DAEMON,
            format!("max by (instance) (max_over_time(up{{job=\"soakwatch\"}}[{}])) == 0", q.w(3 * MINUTE)),
            "the daemon can't be scraped",
            "Prometheus reached it in none of the last scrapes (up: {{ $value }}). No alert about a customer can fire.",
        )
        .after(2 * MINUTE),
        ours(
            "SoakwatchAbsent",
            &[],
            "absent(up{job=\"soakwatch\"})".into(),
            "Prometheus does not know any Soakwatch daemon",
            "There is no target of the job soakwatch (absent: {{ $value }}). No alert about a customer can fire.",
        )
        .after(5 * MINUTE),
        ours(
            "SoakwatchStoreWriteFailing",
            OF_DAEMON,
            format!("{} > 0", q.rose(&cat::STORE_WRITE_ERRORS, "", "instance", 10 * MINUTE)),
            "the store can't be written",
            "{{ $value | humanize }} commits of the last 10 minutes failed. Outcomes wait in memory and are lost when that is full.",
        )
        .keeps(30 * MINUTE),
        ours(
            "SoakwatchEvidenceBroken",
            OF_DAEMON,
            format!("{} > 0", q.rose(&cat::EVIDENCE_BROKEN, "", "instance", HOUR)),
            "the evidence log was changed or is incomplete",
            "{{ $value | humanize }} checks of the log's chain failed in the last hour. No verdict can be shown to be right.",
        )
        .keeps(HOUR),
        ours(
            "SoakwatchOutboxGrowing",
            OF_DAEMON,
            outbox,
            "outcomes wait for the store faster than it keeps them",
            "{{ $value }} outcomes wait in memory, and there are more and more.",
        )
        .after(10 * MINUTE)
        .is(Urgency::Ticket),
        ours(
            "SoakwatchSchedulerLag",
            OF_DAEMON,
            lag,
            "runs begin too late",
            "1 % of runs begin {{ $value | humanizeDuration }} or more after they are due.",
        )
        .after(10 * MINUTE)
        .keeps(10 * MINUTE)
        .is(Urgency::Ticket),
        ours(
            "SoakwatchConfigReloadFailed",
            OF_DAEMON,
            format!("max by (instance) ({}) == 0", q.last(&cat::CONFIG_RELOAD_OK, "")),
            "its new configuration was refused",
            "The daemon goes on with the configuration before (accepted: {{ $value }}).",
        )
        .after(5 * MINUTE)
        .is(Urgency::Ticket),
        ours(
            "SoakwatchClockSkew",
            OF_DAEMON,
            format!("max by (instance) (abs({})) > 2", q.last_of(CLOCK_OFFSET, "")),
            "its clock is wrong",
            "The clock is {{ $value | humanizeDuration }} off. Signatures, tokens and certificates are judged by it.",
        )
        .after(10 * MINUTE)
        .is(Urgency::Ticket),
        ours(
            "SoakwatchListenerCertExpiring",
            &["instance", "listener"],
            format!(
                "min by (instance, listener) (last_over_time({}[{}])) - time() < {}",
                cat::LISTENER_CERT.name,
                q.w(HOUR),
                20 * DAY
            ),
            "its own certificate expires soon",
            "The certificate that this listener shows ends in {{ $value | humanizeDuration }}; then neither Prometheus nor anybody else reaches it.",
        )
        .after(HOUR)
        .is(Urgency::Ticket),
        ours(
            "SoakwatchWatchdog",
            &[],
            "vector(1)".into(),
            "Alerts arrive",
            "Always fires ({{ $value }}), so that whoever gets it can tell when alerts no longer arrive.",
        )
        .is(Urgency::None),
    ]
}

/// No judged run for three intervals and a minute, although the daemon runs as long, and nothing that is known holds the check back.
fn stalled(q: Queries) -> String {
    let quarter = q.w(15 * MINUTE);
    let patience = format!("3 * max by ({IC}) (last_over_time({}[{quarter}])) + {}", cat::EFFECTIVE_INTERVAL.name, 60.0 * q.factor());
    format!(
        "time() - max by ({IC}) (last_over_time({}[{quarter}]))\n  > on ({IC}) {patience}\n\
         unless on ({IC}) {patience}\n  > scalar(time() - max({}{{job=\"soakwatch\"}}))\n\
         unless on ({I}) {}\nunless on ({I}) {}\nunless on ({I}) (\n  {}\n)\nunless on () {}",
        cat::LAST_RUN.name,
        cat::PROCESS_START.name,
        q.in_maintenance(HOUR),
        q.paused(HOUR),
        q.held_back().replace('\n', "\n  "),
        q.blind()
    )
}
