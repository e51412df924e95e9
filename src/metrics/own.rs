//! The daemon's own metrics. Owns their registry and keeps their label sets closed: whoever counts calls a method, nobody invents a label.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::catalogue::{self as cat, Family};
use crate::clock::UnixMs;
use crate::outcome::closed_set;

closed_set! {
    /// Why the receiver refused what it never knew to be a message of a check.
    Unheard {
        /// Nobody expects anything at its path.
        Path => "path",
        /// Its method is none of messages.
        Method => "method",
        /// More came on its path than may.
        Rate => "rate",
        /// Its sender had too many connections.
        Sender => "sender",
        /// It is no HTTP, or its head is too long.
        Malformed => "malformed",
        /// Its head did not come in time.
        Slow => "slow",
        /// None of the secrets it could be judged by can be read.
        Secret => "secret",
    }
}

closed_set! {
    /// Our listeners.
    Listening {
        /// Metrics, API and pages.
        Server => "server",
        /// Customers' messages.
        Receiver => "receiver",
    }
}

/// One for the daemon.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    /// Start of a run minus the time it was due, in seconds.
    pub scheduler_lag: Histogram,
    /// Runs going on now.
    pub runs_inflight: IntGauge,
    /// Time of a commit, in seconds.
    pub store_commit_duration: Histogram,
    /// Commits that failed.
    pub store_write_errors: IntCounter,
    /// Outcomes waiting in memory for the store.
    pub store_outbox_length: IntGauge,
    /// Size of the store's files.
    pub store_size_bytes: IntGauge,
    /// Outcomes that could not be kept.
    pub store_lost: IntCounter,
    /// Integrations that left the configuration.
    pub integrations_removed: IntCounter,
    /// Checks of the evidence log that found it broken.
    pub evidence_broken: IntCounter,
    evidence_records: IntCounter,
    evidence_last: GaugeVec,
    clock_offset: GaugeVec,
    config_reload_ok: IntGauge,
    config_reload_time: Gauge,
    config_info: IntGaugeVec,
    self_check_success: GaugeVec,
    /// The label sets of `self_check_success`.
    controls: Mutex<BTreeSet<[String; 2]>>,
    http_requests: IntCounterVec,
    receiver_refused: IntCounterVec,
    tls_refused: IntCounterVec,
    listener_cert: GaugeVec,
    log_messages: IntCounterVec,
}

/// Registers one metric.
fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: Result<C, prometheus::Error>) -> Result<C, prometheus::Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(f: &Family) -> Opts {
    Opts::new(f.name, f.help)
}

impl OwnMetrics {
    /// Makes and registers all of them. Fails only by a defect in the catalogue (a name twice, a bad label).
    pub fn new() -> Result<Self, prometheus::Error> {
        let r = Registry::new();
        let histogram = |f: &Family, buckets: &[f64]| {
            // A vector of none: the crate's plain histogram takes no catalogue row with labels, and none here has any.
            let vec = HistogramVec::new(HistogramOpts::from(opts(f)).buckets(buckets.to_vec()), f.labels)?;
            keep(&r, Ok(vec))?.get_metric_with_label_values::<&str>(&[])
        };
        r.register(Box::new(ProcessCollector::for_self()))?;
        let own = Self {
            scheduler_lag: histogram(&cat::SCHEDULER_LAG, &cat::LAG_BUCKETS)?,
            runs_inflight: keep(&r, IntGauge::with_opts(opts(&cat::RUNS_INFLIGHT)))?,
            store_commit_duration: histogram(&cat::STORE_COMMIT, &cat::COMMIT_BUCKETS)?,
            store_write_errors: keep(&r, IntCounter::with_opts(opts(&cat::STORE_WRITE_ERRORS)))?,
            store_outbox_length: keep(&r, IntGauge::with_opts(opts(&cat::STORE_OUTBOX)))?,
            store_size_bytes: keep(&r, IntGauge::with_opts(opts(&cat::STORE_SIZE)))?,
            store_lost: keep(&r, IntCounter::with_opts(opts(&cat::STORE_LOST)))?,
            integrations_removed: keep(&r, IntCounter::with_opts(opts(&cat::INTEGRATIONS_REMOVED)))?,
            evidence_broken: keep(&r, IntCounter::with_opts(opts(&cat::EVIDENCE_BROKEN)))?,
            evidence_records: keep(&r, IntCounter::with_opts(opts(&cat::EVIDENCE_RECORDS)))?,
            // A vector of none: it shows nothing until there is something.
            evidence_last: keep(&r, GaugeVec::new(opts(&cat::EVIDENCE_LAST), cat::EVIDENCE_LAST.labels))?,
            clock_offset: keep(&r, GaugeVec::new(opts(&cat::CLOCK_OFFSET), cat::CLOCK_OFFSET.labels))?,
            config_reload_ok: keep(&r, IntGauge::with_opts(opts(&cat::CONFIG_RELOAD_OK)))?,
            config_reload_time: keep(&r, Gauge::with_opts(opts(&cat::CONFIG_RELOAD_TIME)))?,
            config_info: keep(&r, IntGaugeVec::new(opts(&cat::CONFIG_INFO), cat::CONFIG_INFO.labels))?,
            self_check_success: keep(&r, GaugeVec::new(opts(&cat::SELF_CHECK), cat::SELF_CHECK.labels))?,
            http_requests: keep(&r, IntCounterVec::new(opts(&cat::HTTP_REQUESTS), cat::HTTP_REQUESTS.labels))?,
            receiver_refused: keep(&r, IntCounterVec::new(opts(&cat::RECEIVER_REFUSED), cat::RECEIVER_REFUSED.labels))?,
            tls_refused: keep(&r, IntCounterVec::new(opts(&cat::TLS_REFUSED), cat::TLS_REFUSED.labels))?,
            listener_cert: keep(&r, GaugeVec::new(opts(&cat::LISTENER_CERT), cat::LISTENER_CERT.labels))?,
            log_messages: keep(&r, IntCounterVec::new(opts(&cat::LOG_MESSAGES), cat::LOG_MESSAGES.labels))?,
            controls: Mutex::default(),
            registry: r,
        };
        let build = keep(&own.registry, IntGaugeVec::new(opts(&cat::BUILD_INFO), cat::BUILD_INFO.labels))?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION"), env!("SOAKWATCH_REVISION"), env!("SOAKWATCH_RUSTVERSION")])?.set(1);
        for reason in Unheard::ALL {
            own.receiver_refused.get_metric_with_label_values(&[reason.as_str()])?;
        }
        for listener in Listening::ALL {
            own.tls_refused.get_metric_with_label_values(&[listener.as_str()])?;
        }
        for level in LEVELS {
            own.log_messages.get_metric_with_label_values(&[level])?;
        }
        Ok(own)
    }

    /// A configuration came into force.
    pub fn config_accepted(&self, hash: &str, at: UnixMs) {
        self.config_reload_ok.set(1);
        self.config_reload_time.set(at.seconds());
        self.config_info.reset();
        if let Ok(info) = self.config_info.get_metric_with_label_values(&[hash]) {
            info.set(1);
        }
    }

    /// So many records of evidence were added (at the start: are there); the newest is of this time.
    pub fn evidence_appended(&self, records: u64, at: UnixMs) {
        self.evidence_records.inc_by(records);
        if let Ok(last) = self.evidence_last.get_metric_with_label_values::<&str>(&[]) {
            last.set(at.seconds());
        }
    }

    /// How many seconds our clock is ahead of its time server; `None`: nobody says.
    pub fn clock_ahead(&self, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => {
                if let Ok(offset) = self.clock_offset.get_metric_with_label_values::<&str>(&[]) {
                    offset.set(seconds);
                }
            }
            None => self.clock_offset.reset(),
        }
    }

    /// A configuration was refused; the one before stays in force.
    pub fn config_refused(&self) {
        self.config_reload_ok.set(0);
    }

    /// The last answer of every control target, all at once: targets that left the configuration are gone.
    pub fn self_check<'a>(&self, vantage: &str, answers: impl IntoIterator<Item = (&'a str, bool)>) {
        // No reset: a scrape in between must not see a vantage without controls.
        let mut known = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *known);
        for (control, up) in answers {
            if let Ok(gauge) = self.self_check_success.get_metric_with_label_values(&[vantage, control]) {
                gauge.set(f64::from(u8::from(up)));
                let labels = [vantage.to_owned(), control.to_owned()];
                gone.remove(&labels);
                known.insert(labels);
            }
        }
        for labels in gone {
            // An error says it is gone already.
            let _ = self.self_check_success.remove_label_values(&labels);
        }
    }

    /// One answered request. `handler` is one of the server's fixed names.
    pub fn http_request(&self, handler: &'static str, code: u16) {
        let mut digits = [0u8; 3];
        let code = code.clamp(100, 599);
        for (d, n) in digits.iter_mut().zip([code / 100, code / 10 % 10, code % 10]) {
            *d = b'0' + u8::try_from(n).unwrap_or(0);
        }
        if let Ok(n) = self.http_requests.get_metric_with_label_values(&[handler, std::str::from_utf8(&digits).unwrap_or("500")]) {
            n.inc();
        }
    }

    /// The receiver refused a request or a connection.
    pub fn receiver_refused(&self, reason: Unheard) {
        if let Ok(n) = self.receiver_refused.get_metric_with_label_values(&[reason.as_str()]) {
            n.inc();
        }
    }

    /// A listener's new certificate can't be used.
    pub fn tls_refused(&self, listener: Listening) {
        if let Ok(n) = self.tls_refused.get_metric_with_label_values(&[listener.as_str()]) {
            n.inc();
        }
    }

    /// Until when the certificates hold that a listener shows from now on; `None`: that can't be told.
    pub fn tls_holds(&self, listener: Listening, until: Option<UnixMs>) {
        let labels = [listener.as_str()];
        match until {
            Some(until) => self.listener_cert.get_metric_with_label_values(&labels).iter().for_each(|gauge| gauge.set(until.seconds())),
            // An error says it is gone already.
            None => drop(self.listener_cert.remove_label_values(&labels)),
        }
    }

    /// The counters of logged messages, for the log's own layer.
    pub fn log_counters(&self) -> LogCounters {
        LogCounters(LEVELS.map(|l| self.log_messages.get_metric_with_label_values(&[l]).ok()))
    }

    /// All of them in the exposition format.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut out = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut out)?;
        Ok(out.into_bytes())
    }
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Counts logged messages by level; cheap to call.
#[derive(Clone, Debug)]
pub struct LogCounters([Option<IntCounter>; 5]);

impl LogCounters {
    /// One message.
    pub fn count(&self, level: tracing::Level) {
        let n = match level {
            tracing::Level::ERROR => 0,
            tracing::Level::WARN => 1,
            tracing::Level::INFO => 2,
            tracing::Level::DEBUG => 3,
            tracing::Level::TRACE => 4,
        };
        if let Some(Some(counter)) = self.0.get(n) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(own: &OwnMetrics) -> String {
        String::from_utf8(own.encode().unwrap()).unwrap()
    }

    #[test]
    fn the_old_hash_goes_and_a_refusal_keeps_the_new_one() {
        let own = OwnMetrics::new().unwrap();
        own.config_accepted("aa", UnixMs(1_000));
        own.config_accepted("bb", UnixMs(2_500));
        own.config_refused();
        let t = text(&own);
        assert!(!t.contains("hash=\"aa\"") && t.contains("soakwatch_config_info{hash=\"bb\"} 1\n"), "{t}");
        assert!(t.contains("soakwatch_config_last_reload_successful 0\n"));
        assert!(t.contains("soakwatch_config_last_reload_success_timestamp_seconds 2.5\n"));
    }

    #[test]
    fn self_check_shows_only_present_targets() {
        let own = OwnMetrics::new().unwrap();
        own.self_check("local", [("tcp://192.0.2.1:53", true), ("tcp://192.0.2.2:53", false)]);
        assert!(text(&own).contains("soakwatch_self_check_success{control=\"tcp://192.0.2.2:53\",vantage=\"local\"} 0\n"));
        own.self_check("local", [("tcp://192.0.2.1:53", true)]);
        assert!(!text(&own).contains("192.0.2.2"));
    }

    #[test]
    fn a_certificate_that_can_not_be_read_has_no_end() {
        let own = OwnMetrics::new().unwrap();
        let name = "soakwatch_listener_certificate_expiry_timestamp_seconds";
        assert!(!text(&own).contains(name), "no listener of ours speaks TLS");
        own.tls_holds(Listening::Server, Some(UnixMs(1_796_112_000_000)));
        assert!(text(&own).contains(&format!("{name}{{listener=\"server\"}} 1796112000\n")), "{}", text(&own));
        own.tls_holds(Listening::Server, None);
        assert!(!text(&own).contains(name));
    }

    #[test]
    fn requests_and_messages_are_counted() {
        let own = OwnMetrics::new().unwrap();
        own.http_request("metrics", 200);
        own.http_request("metrics", 999);
        own.log_counters().count(tracing::Level::WARN);
        let t = text(&own);
        assert!(t.contains("soakwatch_http_requests_total{code=\"200\",handler=\"metrics\"} 1\n"), "{t}");
        assert!(t.contains("{code=\"599\",handler=\"metrics\"} 1\n"));
        assert!(t.contains("soakwatch_log_messages_total{level=\"warn\"} 1\n") && t.contains("{level=\"error\"} 0\n"));
        assert!(t.contains("soakwatch_build_info{"));
    }
}
