//! Writes the series of every check and integration in the exposition format, from one copy of the board, of the verdicts and of what the budgets make
//! of it.
//!
//! [`Scrape::take`] copies the numbers under the board's lock (within it, the soaks'), then under the budgets', and is quick; [`Encoder`] then writes piece by piece, as fast as the client reads,
//! with one label block per check and integration. A registry would hold, copy and sort every series for each scrape instead.

use std::ops::Range;
use std::sync::LazyLock;

use super::catalogue::{self as cat, Family};
use super::pools::Pools;
use super::rows::Row;
pub use super::rows::Scrape;
use super::text::{self, float, head, integer, label};
use super::{documents, incidents, rate_limit, soak, webhooks};
use crate::board::DURATION_BUCKETS;
use crate::clock::UnixMs;
use crate::observed::Phases;
use crate::outcome::Outcome;
use crate::record::DurationCode;

/// A piece is passed on when it has grown to this size, in bytes.
pub const CHUNK: usize = 64 * 1024;

/// Where the lines of one family go; writes its head before its first line.
pub(super) struct Lines<'a> {
    out: &'a mut Vec<u8>,
    pub(super) pools: &'a Pools,
    family: &'static Family,
    /// How a line begins: the family's name and `{`.
    open: Vec<u8>,
    started: bool,
}

impl<'a> Lines<'a> {
    fn new(out: &'a mut Vec<u8>, pools: &'a Pools, family: &'static Family, started: bool) -> Self {
        let mut open = Vec::with_capacity(family.name.len() + 1);
        open.extend_from_slice(family.name.as_bytes());
        open.push(b'{');
        Self { out, pools, family, open, started }
    }
}

impl Lines<'_> {
    /// Writes a line up to its value: name, suffix, label block, further labels.
    fn begin(&mut self, suffix: &str, block: &Range<usize>, more: &[(&str, &str)]) {
        if !self.started {
            head(self.out, self.family);
            self.started = true;
        }
        if suffix.is_empty() {
            self.out.extend_from_slice(&self.open);
        } else {
            [self.family.name, suffix, "{"].iter().for_each(|piece| self.out.extend_from_slice(piece.as_bytes()));
        }
        self.out.extend_from_slice(self.pools.labels.get(block.clone()).unwrap_or_default());
        for (name, value) in more {
            label(self.out, name, [value]);
        }
        self.out.extend_from_slice(b"} ");
    }
    pub(super) fn count(&mut self, block: &Range<usize>, more: &[(&str, &str)], n: u64) {
        self.begin("", block, more);
        integer(self.out, n);
        self.out.push(b'\n');
    }
    pub(super) fn value(&mut self, block: &Range<usize>, more: &[(&str, &str)], x: f64) {
        self.begin("", block, more);
        float(self.out, x);
        self.out.push(b'\n');
    }
    /// An unknown time is no line at all.
    pub(super) fn time(&mut self, block: &Range<usize>, at: Option<UnixMs>) {
        if let Some(at) = at {
            self.begin("", block, &[]);
            text::seconds(self.out, at.0);
            self.out.push(b'\n');
        }
    }
    fn duration(&mut self, block: &Range<usize>, more: &[(&str, &str)], code: DurationCode) {
        self.begin("", block, more);
        match DURATION_TEXTS.get(usize::from(code.0)) {
            Some(text) => self.out.extend_from_slice(text),
            None => float(self.out, code.seconds()),
        }
        self.out.push(b'\n');
    }
    /// `bounds`: as text, the last one `+Inf`. `counts`: of each bucket alone.
    pub(super) fn histogram(&mut self, block: &Range<usize>, bounds: &[&str], counts: &[u64], sum: f64) {
        let mut below = 0;
        for (le, n) in bounds.iter().zip(counts) {
            below += n;
            self.begin("_bucket", block, &[("le", le)]);
            integer(self.out, below);
            self.out.push(b'\n');
        }
        self.begin("_sum", block, &[]);
        float(self.out, sum);
        self.out.push(b'\n');
        self.begin("_count", block, &[]);
        integer(self.out, below);
        self.out.push(b'\n');
    }
}

/// [`DURATION_BUCKETS`] as text, with `+Inf`.
const BUCKET_TEXTS: [&str; DURATION_BUCKETS.len() + 1] = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "+Inf"];

/// Every duration as text: there are few, and their digits cost more than all else of a line.
static DURATION_TEXTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let text = |code| {
        let mut out = Vec::with_capacity(24);
        float(&mut out, DurationCode(code).seconds());
        out
    };
    (0..=DurationCode::MAX.0).map(text).collect()
});

type Writer = fn(&mut Lines<'_>, &Row, bool);

/// How each family is written for one integration, in the order of the exposition.
const WRITERS: &[(&Family, Writer)] = &[
    (&cat::RUNS_DUE, |l, r, _| r.checks.iter().for_each(|c| l.count(&c.p, &[], c.counts.due()))),
    (&cat::RUNS, |l, r, _| {
        r.checks.iter().for_each(|c| l.count(&c.p, &[], c.counts.counted() - if r.throttled_excluded { c.counts.throttled } else { 0 }));
    }),
    (&cat::RUN_FAILURES, |l, r, _| {
        r.checks.iter().for_each(|c| l.count(&c.p, &[], c.counts.fail + if r.throttled_excluded { 0 } else { c.counts.throttled }));
    }),
    (&cat::RUNS_THROTTLED, |l, r, _| r.checks.iter().for_each(|c| l.count(&c.p, &[], c.counts.throttled))),
    (&cat::FIRST_ATTEMPT_FAILURES, |l, r, _| r.checks.iter().for_each(|c| l.count(&c.p, &[], c.first_attempt_failures))),
    (&cat::FAILURE_CLASSES, |l, r, _| {
        let classes = l.pools.classes.of(&r.classes);
        classes.iter().for_each(|((class, by), n)| l.count(&r.i, &[("class", class.as_str()), ("attribution", by.as_str())], *n));
    }),
    (&cat::RUNS_SKIPPED, |l, r, _| causes(l, r, Outcome::Skipped)),
    (&cat::RUNS_UNKNOWN, |l, r, _| causes(l, r, Outcome::Unknown)),
    (&cat::RUN_DURATION, |l, r, by_check| {
        if by_check {
            let shown = r.checks.iter().filter_map(|c| Some((&c.ic, c.durations.as_deref()?)));
            shown.for_each(|(block, (counts, sum))| l.histogram(block, &BUCKET_TEXTS, counts, *sum));
        } else {
            l.histogram(&r.i, &BUCKET_TEXTS, &r.durations, r.duration_sum);
        }
    }),
    (&cat::RUN_PHASE, |l, r, _| {
        for c in &r.checks {
            for (name, code) in Phases::NAMES.iter().zip(c.phases) {
                if let Some(code) = code {
                    l.duration(&c.p, &[("phase", name)], code);
                }
            }
        }
    }),
    (&cat::CHECK_SUCCESS, |l, r, _| {
        r.checks.iter().filter(|c| c.last_run.is_some()).for_each(|c| l.count(&c.p, &[], u64::from(c.consecutive_failures == 0)));
    }),
    (&cat::CONSECUTIVE_FAILURES, |l, r, _| r.checks.iter().for_each(|c| l.count(&c.p, &[], c.consecutive_failures))),
    (&cat::LAST_RUN, |l, r, _| r.checks.iter().for_each(|c| l.time(&c.p, c.last_run))),
    (&cat::LAST_SUCCESS, |l, r, _| r.checks.iter().for_each(|c| l.time(&c.p, c.last_success))),
    (&cat::CHECK_INTERVAL, |l, r, _| r.checks.iter().for_each(|c| l.value(&c.ic, &[], c.every.0.as_secs_f64()))),
    (&cat::CHECK_TIMEOUT, |l, r, _| r.checks.iter().for_each(|c| l.value(&c.ic, &[], c.timeout.as_secs_f64()))),
    (&cat::OBSERVED_VALUE, |l, r, _| {
        r.checks.iter().for_each(|c| c.values.iter().for_each(|(name, x)| l.value(&c.ic, &[("name", name)], *x)));
    }),
    (&cat::HTTP_RESPONSES, |l, r, _| codes(l, r)),
    (&cat::HTTP_RETRIES, |l, r, _| {
        let retries = l.pools.retries.of(&r.retries);
        retries.iter().for_each(|(class, n)| l.count(&r.i, &[("reason", class.as_str())], *n));
    }),
    (&cat::RATE_LIMIT_QUOTA, |l, r, _| rate_limit::quota(l, r)),
    (&cat::RATE_LIMIT_REMAINING, |l, r, _| rate_limit::remaining(l, r)),
    (&cat::RATE_LIMIT_RESET, |l, r, _| rate_limit::reset(l, r)),
    (&cat::RATE_LIMIT_RETRY_AFTER, |l, r, _| rate_limit::retry_after(l, r)),
    (&cat::RATE_LIMIT_HEADROOM, |l, r, _| rate_limit::headroom(l, r)),
    (&cat::RATE_LIMIT_EXHAUSTION, |l, r, _| rate_limit::exhaustion(l, r)),
    (&cat::EFFECTIVE_INTERVAL, |l, r, _| r.checks.iter().for_each(|c| l.value(&c.ic, &[], c.effective_interval()))),
    (&cat::BUDGET_TOKENS, |l, r, _| rate_limit::tokens(l, r)),
    (&cat::THROTTLE_WAIT, |l, r, _| rate_limit::waits(l, r)),
    (&cat::CERT_EXPIRY, |l, r, _| r.checks.iter().for_each(|c| l.time(&c.ic, c.certificate_expiry))),
    (&cat::SSO_VALID_UNTIL, |l, r, _| l.time(&r.i, r.documents.valid_until)),
    (&cat::SSO_CERT_EXPIRY, |l, r, _| l.time(&r.i, r.documents.signing_certificate_expiry)),
    (&cat::FINDINGS, |l, r, _| r.checks.iter().for_each(|c| documents::findings(l, &c.ic, &c.findings))),
    (&cat::SSO_CHANGES, |l, r, _| documents::changes(l, r)),
    (&cat::WEBHOOK_DELIVERIES, |l, r, _| webhooks::deliveries(l, r)),
    (&cat::WEBHOOK_REJECTIONS, |l, r, _| webhooks::rejections(l, r)),
    (&cat::WEBHOOK_DELAY, |l, r, _| webhooks::delays(l, r)),
    (&cat::WEBHOOK_LAST, |l, r, _| l.time(&r.i, r.webhooks.as_ref().and_then(|w| w.last))),
    (&cat::WEBHOOK_SINCE, |l, r, _| l.time(&r.i, r.webhooks.as_ref().and_then(|w| w.since))),
    (&cat::WEBHOOK_INTERVAL, |l, r, _| webhooks::interval(l, r)),
    (&cat::SLO_OBJECTIVE, |l, r, _| l.value(&r.i, &[], r.objective)),
    (&cat::GATE_SUCCESS, |l, r, _| soak::number(l, r, |s| s.success)),
    (&cat::GATE_LOWER_BOUND, |l, r, _| soak::number(l, r, |s| s.lower_bound)),
    (&cat::GATE_COVERAGE, |l, r, _| soak::number(l, r, |s| s.coverage)),
    (&cat::GATE_PROGRESS, |l, r, _| soak::number(l, r, |s| Some(s.progress))),
    (&cat::GATE_BUDGET, |l, r, _| soak::number(l, r, |s| s.budget)),
    (&cat::GATE_SAMPLES, |l, r, _| soak::number(l, r, |s| s.samples)),
    (&cat::GATE_WINDOW_START, |l, r, _| soak::number(l, r, |s| Some(s.window_start.seconds()))),
    (&cat::GATE_LONGEST_GAP, |l, r, _| soak::number(l, r, |s| s.longest_gap)),
    (&cat::GATE_EXCLUDED, |l, r, _| soak::number(l, r, |s| s.excluded)),
    (&cat::GATE_RESTARTS, |l, r, _| soak::restarts(l, r)),
    (&cat::GATE_CRITERION, |l, r, _| soak::criteria(l, r)),
    (&cat::GATE_ANSWER, |l, r, _| soak::answer(l, r)),
    (&cat::SOAK_VERDICT, |l, r, _| soak::verdict(l, r)),
    (&cat::INTEGRATION_INFO, |l, r, _| {
        for kind in &r.kinds {
            l.count(&r.i, &[("kind", kind), ("phase", r.phase.as_str()), ("tier", r.tier), ("owner", r.owner)], 1);
        }
    }),
    (&cat::GO_LIVE, |l, r, _| l.time(&r.customer_environment, r.go_live)),
    (&cat::INCIDENT_OPEN, |l, r, _| incidents::open(l, r)),
    (&cat::INCIDENTS, |l, r, _| incidents::total(l, r)),
    (&cat::MAINTENANCE, |l, r, _| l.count(&r.i, &[], u64::from(r.maintenance))),
    (&cat::EGRESS_DENIED, |l, r, _| r.egress.iter().for_each(|(rule, n)| l.count(&r.i, &[("rule", rule)], *n))),
];

fn causes(l: &mut Lines<'_>, r: &Row, outcome: Outcome) {
    let causes = l.pools.causes.of(&r.causes);
    causes.iter().filter(|(c, _)| c.outcome() == outcome).for_each(|(c, n)| l.count(&r.i, &[("cause", c.as_str())], *n));
}

/// Listed statuses one by one, the others summed by their class.
fn codes(l: &mut Lines<'_>, r: &Row) {
    let mut rest = [0u64; 10];
    for (code, n) in l.pools.codes.of(&r.codes) {
        if cat::LISTED_CODES.contains(code) {
            let digits = [code / 100, code / 10 % 10, code % 10].map(|d| b'0' + d as u8);
            l.count(&r.i, &[("code", std::str::from_utf8(&digits).unwrap_or_default())], *n);
        } else if let Some(sum) = rest.get_mut(usize::from(code / 100)) {
            *sum += n;
        }
    }
    for (class, n) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(rest.iter().skip(1)).filter(|(_, n)| **n > 0) {
        l.count(&r.i, &[("code", class)], *n);
    }
}

/// Writes a [`Scrape`] piece by piece.
#[derive(Debug)]
pub struct Encoder {
    scrape: Scrape,
    family: usize,
    row: usize,
    started: bool,
}

impl Encoder {
    /// An encoder at the beginning.
    pub fn new(scrape: Scrape) -> Self {
        Self { scrape, family: 0, row: 0, started: false }
    }

    /// Appends whole lines until `out` holds [`CHUNK`] bytes or a little more. `false`: that was the end.
    pub fn write(&mut self, out: &mut Vec<u8>) -> bool {
        while let Some((family, writer)) = WRITERS.get(self.family) {
            let mut lines = Lines::new(out, &self.scrape.pools, family, self.started);
            while let Some(row) = self.scrape.rows.get(self.row) {
                writer(&mut lines, row, self.scrape.check_histograms);
                self.row += 1;
                if lines.out.len() >= CHUNK {
                    self.started = lines.started;
                    return true;
                }
            }
            (self.family, self.row, self.started) = (self.family + 1, 0, false);
        }
        false
    }
}
