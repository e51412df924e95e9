//! The catalogue: every metric Soakwatch exports, its type, its labels, its help. The only place where a name of a metric is written; the
//! encoder and the registry take theirs from here, and a test compares a full scrape with it in both directions. `CHECKS` and `OWN` are what `/metrics`
//! has, `PROBE` is what `/probe` has: names of the blackbox exporter.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only goes up; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

impl Type {
    /// The word in the exposition format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Full name.
    pub name: &'static str,
    /// Type.
    pub kind: Type,
    /// Labels in the order of the exposition, without `le`.
    pub labels: &'static [&'static str],
    /// One line of help.
    pub help: &'static str,
}

/// The labels of an integration.
pub const I: &[&str] = &["customer", "environment", "integration"];
const IC: &[&str] = &["customer", "environment", "integration", "check"];
/// The labels of a policy of a target: its name is the target's word.
const IP: &[&str] = &["customer", "environment", "integration", "policy"];
/// The labels of an integration before a gate.
const IG: &[&str] = &["customer", "environment", "integration", "gate"];
/// The labels of a check at a vantage.
pub const P: &[&str] = &["customer", "environment", "integration", "check", "vantage"];

macro_rules! catalogue {
    ($($set:ident { $($row:ident: $kind:ident $name:literal $labels:expr, $help:literal;)+ })+) => { $(
        $(#[doc = $help] pub const $row: Family = Family { name: $name, kind: Type::$kind, labels: $labels, help: $help };)+
        #[doc = concat!("Every row of `", stringify!($set), "`, in order.")]
        pub const $set: &[&Family] = &[$(&$row,)+];
    )+ };
}

catalogue! {
CHECKS {
    RUNS_DUE: Counter "soakwatch_runs_due_total" P, "Slots that came due, also while the daemon was down.";
    RUNS: Counter "soakwatch_runs_total" P, "Judged runs: pass, fail and throttled (without throttled where the integration excludes it).";
    RUN_FAILURES: Counter "soakwatch_run_failures_total" P, "Judged runs that did not pass.";
    RUNS_THROTTLED: Counter "soakwatch_runs_throttled_total" P, "Runs the target answered with: too many requests.";
    FIRST_ATTEMPT_FAILURES: Counter "soakwatch_run_first_attempt_failures_total" P, "Runs whose first attempt did not pass, also where a retry then did.";
    FAILURE_CLASSES: Counter "soakwatch_run_failure_classes_total" &["customer", "environment", "integration", "class", "attribution"],
        "Failed and throttled runs by what went wrong and who most likely has to act.";
    RUNS_SKIPPED: Counter "soakwatch_runs_skipped_total" &["customer", "environment", "integration", "cause"], "Slots that were due and on purpose not run.";
    RUNS_UNKNOWN: Counter "soakwatch_runs_unknown_total" &["customer", "environment", "integration", "cause"], "Slots that could not be judged because of the monitor itself.";
    RUN_DURATION: Histogram "soakwatch_run_duration_seconds" I, "Total time of judged runs; with the label check where metrics.check_histograms is set.";
    RUN_PHASE: Gauge "soakwatch_run_phase_duration_seconds" &["customer", "environment", "integration", "check", "vantage", "phase"],
        "Phases of the last judged run: resolve, connect, tls, processing, transfer.";
    CHECK_SUCCESS: Gauge "soakwatch_check_success" P, "1 if the last judged run passed, else 0.";
    CONSECUTIVE_FAILURES: Gauge "soakwatch_check_consecutive_failures" P, "Judged runs since the last success.";
    LAST_RUN: Gauge "soakwatch_check_last_run_timestamp_seconds" P, "Slot of the last judged run.";
    LAST_SUCCESS: Gauge "soakwatch_check_last_success_timestamp_seconds" P, "Slot of the last passing run.";
    CHECK_INTERVAL: Gauge "soakwatch_check_interval_seconds" IC, "Configured interval.";
    CHECK_TIMEOUT: Gauge "soakwatch_check_timeout_seconds" IC, "Configured deadline of a run.";
    OBSERVED_VALUE: Gauge "soakwatch_observed_value" &["customer", "environment", "integration", "check", "name"], "Number last read from a response by observe.";
    HTTP_RESPONSES: Counter "soakwatch_http_responses_total" &["customer", "environment", "integration", "code"],
        "Responses by status; rare statuses by their class, such as 4xx.";
    HTTP_RETRIES: Counter "soakwatch_http_retries_total" &["customer", "environment", "integration", "reason"], "Own retries by the failure class before; each is real traffic.";
    RATE_LIMIT_QUOTA: Gauge "soakwatch_rate_limit_quota" IP, "Limit last read from a response.";
    RATE_LIMIT_REMAINING: Gauge "soakwatch_rate_limit_remaining" IP, "What remained of the limit when a response last told.";
    RATE_LIMIT_RESET: Gauge "soakwatch_rate_limit_reset_timestamp_seconds" IP, "When the window resets, as a response last told.";
    RATE_LIMIT_RETRY_AFTER: Gauge "soakwatch_rate_limit_retry_after_seconds" I, "Seconds the last Retry-After asked for; 0 when none is in force.";
    RATE_LIMIT_HEADROOM: Gauge "soakwatch_rate_limit_headroom_ratio" IP, "Limit over the declared use of the same window; absent without both.";
    RATE_LIMIT_EXHAUSTION: Gauge "soakwatch_rate_limit_exhaustion_timestamp_seconds" IP,
        "When the quota runs out at the observed rate; absent when it does not before its reset.";
    EFFECTIVE_INTERVAL: Gauge "soakwatch_check_effective_interval_seconds" IC, "Interval after the share of the quota widened it.";
    BUDGET_TOKENS: Gauge "soakwatch_rate_budget_tokens" I, "Requests the own limiter would let go now: the least over the integration's checks.";
    THROTTLE_WAIT: Histogram "soakwatch_throttle_wait_seconds" I, "Waiting in the own limiter, of runs that had to; absent until the first did.";
    CERT_EXPIRY: Gauge "soakwatch_tls_cert_expiry_timestamp_seconds" IC, "Earliest expiry in the certificate chain last seen.";
    SSO_VALID_UNTIL: Gauge "soakwatch_sso_metadata_valid_until_timestamp_seconds" I, "Earliest end of validity that its documents state.";
    SSO_CERT_EXPIRY: Gauge "soakwatch_sso_signing_cert_expiry_timestamp_seconds" I, "Earliest expiry of a signing certificate in its documents.";
    FINDINGS: Gauge "soakwatch_findings" &["customer", "environment", "integration", "check", "rule", "level", "severity", "owner"],
        "1 while a finding of level fail or warn is open; absent when it is closed.";
    SSO_CHANGES: Counter "soakwatch_sso_metadata_changes_total" I, "Accepted documents that took the place of another one.";
    WEBHOOK_DELIVERIES: Counter "soakwatch_webhook_deliveries_total" I, "Messages that arrived at the receiver, refused ones and duplicates included.";
    WEBHOOK_REJECTIONS: Counter "soakwatch_webhook_rejections_total" &["customer", "environment", "integration", "reason"], "Messages that did not count: forged, stale, replayed, too large or unreadable.";
    WEBHOOK_DELAY: Histogram "soakwatch_webhook_delivery_delay_seconds" I, "From a message's event to its receipt, of authentic messages that say when that was.";
    WEBHOOK_LAST: Gauge "soakwatch_webhook_last_delivery_timestamp_seconds" I, "When the last authentic message came.";
    WEBHOOK_SINCE: Gauge "soakwatch_webhook_expected_since_timestamp_seconds" I, "Since when messages are expected.";
    WEBHOOK_INTERVAL: Gauge "soakwatch_webhook_expected_interval_seconds" I, "How often a message is expected.";
    SLO_OBJECTIVE: Gauge "soakwatch_slo_objective_ratio" I, "Success ratio that is the objective.";
    GATE_SUCCESS: Gauge "soakwatch_gate_success_ratio" IG, "Success ratio in the soak's window, of the worst judged check.";
    GATE_LOWER_BOUND: Gauge "soakwatch_gate_success_lower_bound_ratio" IG, "Lower end of the 95 % Wilson score interval of the success ratio, of the worst judged check.";
    GATE_COVERAGE: Gauge "soakwatch_gate_coverage_ratio" IG, "Runs over due slots in the soak's window, of the worst judged check.";
    GATE_PROGRESS: Gauge "soakwatch_gate_progress_ratio" IG, "How much of the soak's window has passed.";
    GATE_BUDGET: Gauge "soakwatch_gate_error_budget_remaining_ratio" IG,
        "Failures that the window can still take, over all it can take, of the worst judged check; absent where none may fail and none did.";
    GATE_SAMPLES: Gauge "soakwatch_gate_samples" IG, "Runs in the success ratio of the soak's window, of the judged check with the fewest.";
    GATE_WINDOW_START: Gauge "soakwatch_gate_window_start_timestamp_seconds" IG, "Where the judged window begins.";
    GATE_LONGEST_GAP: Gauge "soakwatch_gate_longest_gap_seconds" IG, "Longest span without a run in the soak's window, of the worst judged check.";
    GATE_EXCLUDED: Gauge "soakwatch_gate_excluded_ratio" IG,
        "Share of the window's slots that was taken out, as maintenance or by an exclusion, of the judged check with the most.";
    GATE_RESTARTS: Counter "soakwatch_gate_window_restarts_total" IG, "How often the soak began again because what is judged was changed.";
    GATE_CRITERION: Gauge "soakwatch_gate_criterion_met" &["customer", "environment", "gate", "criterion"],
        "1 if all integrations of the environment meet the criterion, 0 if one can't any more; absent while that is open.";
    GATE_ANSWER: Gauge "soakwatch_gate_answer" &["customer", "environment", "gate", "answer"], "1 for what the gate says, 0 for all else it could say.";
    SOAK_VERDICT: Gauge "soakwatch_soak_verdict" &["customer", "environment", "integration", "verdict"], "1 for the soak's verdict, 0 for all others.";
    INTEGRATION_INFO: Gauge "soakwatch_integration_info" &["customer", "environment", "integration", "kind", "phase", "tier", "owner"],
        "1 for every integration and kind, to join with.";
    GO_LIVE: Gauge "soakwatch_go_live_timestamp_seconds" &["customer", "environment"], "Earliest go-live, planned or actual, of the environment's integrations.";
    INCIDENT_OPEN: Gauge "soakwatch_incident_open" &["customer", "environment", "integration", "severity", "attribution"],
        "1 while an incident is open, by its severity and most likely owner; 0 while none is, by the severity that one would have.";
    INCIDENTS: Counter "soakwatch_incidents_total" &["customer", "environment", "integration", "severity"], "Incidents that opened, by the severity they opened with.";
    MAINTENANCE: Gauge "soakwatch_maintenance_active" I, "1 inside a declared maintenance window, else 0.";
    EGRESS_DENIED: Counter "soakwatch_egress_denied_total" &["customer", "environment", "integration", "rule"], "Targets the address guard refused, by rule.";
}
OWN {
    SELF_CHECK: Gauge "soakwatch_self_check_success" &["vantage", "control"], "1 if the neutral endpoint answered the last self-check, else 0.";
    SCHEDULER_LAG: Histogram "soakwatch_scheduler_lag_seconds" &[], "Start of a run minus the time it was due.";
    RUNS_INFLIGHT: Gauge "soakwatch_runs_inflight" &[], "Runs going on now.";
    STORE_COMMIT: Histogram "soakwatch_store_commit_duration_seconds" &[], "Time of a commit of the store, sync to disk included.";
    STORE_WRITE_ERRORS: Counter "soakwatch_store_write_errors_total" &[], "Commits of the store that failed.";
    STORE_OUTBOX: Gauge "soakwatch_store_outbox_length" &[], "Outcomes waiting in memory for the store.";
    STORE_SIZE: Gauge "soakwatch_store_size_bytes" &[], "Size of the store's files.";
    STORE_LOST: Counter "soakwatch_store_outcomes_lost_total" &[], "Outcomes that could not be kept because the store failed for too long.";
    EVIDENCE_RECORDS: Counter "soakwatch_evidence_records_total" &[], "Records in the evidence log, ever.";
    EVIDENCE_LAST: Gauge "soakwatch_evidence_last_append_timestamp_seconds" &[], "When the evidence log was last added to.";
    EVIDENCE_BROKEN: Counter "soakwatch_evidence_verify_failures_total" &[], "Checks of the evidence log that found it changed or incomplete.";
    CONFIG_RELOAD_OK: Gauge "soakwatch_config_last_reload_successful" &[], "1 if the last load of the configuration was accepted, else 0.";
    CONFIG_RELOAD_TIME: Gauge "soakwatch_config_last_reload_success_timestamp_seconds" &[], "When a configuration was last accepted.";
    CONFIG_INFO: Gauge "soakwatch_config_info" &["hash"], "1 for the configuration in force.";
    HTTP_REQUESTS: Counter "soakwatch_http_requests_total" &["handler", "code"], "Requests to this daemon's own server.";
    RECEIVER_REFUSED: Counter "soakwatch_receiver_refused_total" &["reason"],
        "Requests and connections the receiver refused before it knew whose message it is, by reason.";
    TLS_REFUSED: Counter "soakwatch_listener_tls_reload_failures_total" &["listener"],
        "New certificates of a listener that could not be used, so that the one before stayed.";
    LISTENER_CERT: Gauge "soakwatch_listener_certificate_expiry_timestamp_seconds" &["listener"],
        "Earliest end of validity in the certificate chain that a listener shows; absent where it speaks no TLS.";
    CLOCK_OFFSET: Gauge "soakwatch_clock_offset_seconds" &[],
        "How far this machine's clock is ahead of its time server (negative: behind); absent without one, and while it does not say.";
    LOG_MESSAGES: Counter "soakwatch_log_messages_total" &["level"], "Messages this daemon logged.";
    INTEGRATIONS_REMOVED: Counter "soakwatch_integrations_removed_total" &[], "Integrations that left the configuration since the start.";
    BUILD_INFO: Gauge "soakwatch_build_info" &["version", "revision", "rustversion"], "1 for the running build.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" &[], "Total user and system CPU time spent in seconds.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" &[], "Number of open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" &[], "Maximum number of open file descriptors.";
    PROCESS_VSIZE: Gauge "process_virtual_memory_bytes" &[], "Virtual memory size in bytes.";
    PROCESS_RSS: Gauge "process_resident_memory_bytes" &[], "Resident memory size in bytes.";
    PROCESS_START: Gauge "process_start_time_seconds" &[], "Start time of the process since unix epoch in seconds.";
    PROCESS_THREADS: Gauge "process_threads" &[], "Number of OS threads in the process.";
}
PROBE {
    PROBE_SUCCESS: Gauge "probe_success" &[], "1 if the last judged run passed and is not older than three intervals, else 0.";
    RESULT_AGE: Gauge "soakwatch_result_age_seconds" &[], "How long ago the slot of the last judged run was.";
    PROBE_TIMEOUT: Gauge "probe_timeout_seconds" &[], "Configured deadline of a run.";
    PROBE_DURATION: Gauge "probe_duration_seconds" &[], "Total time of the last judged run.";
    PROBE_DNS: Gauge "probe_dns_lookup_time_seconds" &[], "Time of name resolution in the last judged run.";
    PROBE_CODE: Gauge "probe_http_status_code" &[], "Status of the last answer, 0 where there was none.";
    PROBE_PHASE: Gauge "probe_http_duration_seconds" &["phase"], "Time by phase in the last judged run, summed over redirects.";
    PROBE_CERT_EXPIRY: Gauge "probe_ssl_earliest_cert_expiry" &[], "Earliest expiry in the certificate chains of the last judged run, as a Unix time.";
    PROBE_HTTP_VERSION: Gauge "probe_http_version" &[], "Version of HTTP of the last answer.";
    PROBE_SSL: Gauge "probe_http_ssl" &[], "1 if the last answer came over TLS, else 0.";
    PROBE_TLS: Gauge "probe_tls_version_info" &["version"], "1 for the version of TLS of the last answer.";
}
}

/// Buckets of the scheduler's lag, in seconds.
pub const LAG_BUCKETS: [f64; 7] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Buckets of the store's commits, in seconds.
pub const COMMIT_BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Statuses exported one by one; all others by their class.
pub const LISTED_CODES: [u16; 25] =
    [200, 201, 202, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 500, 501, 502, 503, 504];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_rules_of_names() {
        for f in CHECKS.iter().chain(OWN) {
            assert_eq!(f.name.ends_with("_total"), f.kind == Type::Counter, "{}", f.name);
            assert!(f.name.starts_with("soakwatch_") || f.name.starts_with("process_"), "{}", f.name);
            assert!(f.help.ends_with('.') && !f.help.contains(['\n', '\\']), "{}", f.name);
        }
    }
}
