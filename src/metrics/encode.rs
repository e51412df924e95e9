//! Writes the series of every check and integration in the exposition format, from one copy of the board, of the verdicts and of what the budgets make
//! of it.
//!
//! [`Scrape::take`] copies the numbers under the board's lock (within it, the soaks'), then under the budgets', and is quick; [`Encoder`] then writes piece by piece, as fast as the client reads,
//! with one label block per check and integration. A registry would hold, copy and sort every series for each scrape instead.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::catalogue::{self as cat, Family};
use super::documents::{self, DocumentsRow};
use super::incidents::{self, IncidentRow};
use super::rate_limit::{self, RateRow};
use super::soak::{self, GateRow, SoakRow};
use super::text::{self, escaped, float, head, integer, label};
use super::webhooks::{self, WebhooksRow};
use crate::attribution::attribute;
use crate::board::{Board, CheckEntry, Counts, DURATION_BUCKETS, IntegrationEntry, Sums};
use crate::budget::{Budgets, Paced};
use crate::checkpoint::{Answered, Live, is_live};
use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Integration, Settings};
use crate::finding::Finding;
use crate::incident::live::Incidents;
use crate::observed::Phases;
use crate::outcome::{Attribution, Cause, Class, Outcome, Phase};
use crate::readiness::Soaks;
use crate::record::DurationCode;

/// Failure classes that exist at 0 from the start: alerts look at their increase.
const CLASSES_AT_ZERO: [Class; 3] = [Class::Unauthorized, Class::Forbidden, Class::Throttled];
/// Causes of skipped and unknown slots that exist at 0 from the start; the others appear on first use (30 lines a check is the budget).
const CAUSES_AT_ZERO: [Cause; 2] = [Cause::RateLimit, Cause::SelfCheck];
/// The objective of an integration without a soak policy.
const OBJECTIVE: f64 = 0.99;
/// A piece is passed on when it has grown to this size, in bytes.
pub const CHUNK: usize = 64 * 1024;

type Durations = [u64; DURATION_BUCKETS.len() + 1];

/// A check's numbers. The label blocks are ranges of [`Scrape::labels`].
#[derive(Debug)]
pub(super) struct CheckRow {
    pub(super) def: Arc<CheckDef>,
    /// customer, environment, integration, check.
    ic: Range<usize>,
    /// The same and vantage.
    p: Range<usize>,
    counts: Counts,
    first_attempt_failures: u64,
    /// Buckets and sum, where they are shown per check.
    durations: Option<Box<(Durations, f64)>>,
    consecutive_failures: u64,
    last_run: Option<UnixMs>,
    last_success: Option<UnixMs>,
    certificate_expiry: Option<UnixMs>,
    findings: Vec<Finding>,
    phases: [Option<DurationCode>; 5],
    values: Vec<(String, f64)>,
    /// `None`: of a kind without a host, so without a pace.
    pub(super) paced: Option<Paced>,
}

/// An integration's numbers: its own and what is summed over its checks.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) i: Range<usize>,
    pub(super) customer_environment: Range<usize>,
    pub(super) checks: Vec<CheckRow>,
    throttled_excluded: bool,
    classes: BTreeMap<(Class, Attribution), u64>,
    causes: BTreeMap<Cause, u64>,
    codes: BTreeMap<u16, u64>,
    retries: BTreeMap<Class, u64>,
    egress: BTreeMap<String, u64>,
    durations: Durations,
    duration_sum: f64,
    pub(super) rate: RateRow,
    /// `None`: it has no soak.
    pub(super) soak: Option<SoakRow>,
    /// Set on the first integration of an environment that has a soak.
    pub(super) gate: Option<GateRow>,
    pub(super) incidents: Option<IncidentRow>,
    /// Set on the first integration of an environment that is live.
    pub(super) hypercare: Option<Arc<Answered>>,
    pub(super) documents: DocumentsRow,
    pub(super) webhooks: WebhooksRow,
    objective: f64,
    kinds: Vec<&'static str>,
    phase: Phase,
    tier: &'static str,
    owner: &'static str,
    maintenance: bool,
    /// Set on the first integration of an environment that has a date: the earliest of all its integrations.
    go_live: Option<UnixMs>,
}

/// A consistent copy of the board for one scrape.
#[derive(Debug)]
pub struct Scrape {
    rows: Vec<Row>,
    labels: Vec<u8>,
    check_histograms: bool,
}

impl Scrape {
    /// Copies what a scrape needs: from the board and the soaks (who lock both lock the board first), and then from the budgets (who lock these and
    /// the board lock the budgets first).
    pub fn take(
        board: &Board,
        (soaks, known): (&Soaks, &Incidents),
        budgets: &Budgets,
        settings: &Settings,
        now: UnixMs,
        mono: Instant,
    ) -> Self {
        let mut scrape = Self { rows: Vec::new(), labels: Vec::new(), check_histograms: settings.metrics.check_histograms };
        let vantage = settings.scheduler.vantage.as_str();
        board.read(|all| {
            scrape.rows.reserve(all.len());
            scrape.labels.reserve(all.iter().map(|i| (i.checks.len() + 1) * 160).sum());
            for i in all {
                let mut row = scrape.row(i, vantage, now);
                row.webhooks = WebhooksRow::of(i, &board.arrivals);
                scrape.rows.push(row);
            }
            scrape.go_lives(all);
            soak::judge(&mut scrape.rows, all, soaks, now);
            incidents::put(&mut scrape.rows, all, (soaks, known), now);
        });
        budgets.paces(mono, |paced| {
            for check in scrape.rows.iter_mut().flat_map(|row| &mut row.checks) {
                check.paced = paced(&check.def.id);
            }
        });
        scrape
    }

    /// Adds what was found last of every environment that is live.
    #[must_use]
    pub fn with_checkpoints(mut self, live: &Live) -> Self {
        for answered in live.all() {
            let (customer, environment) = answered.environment.split_once('/').unwrap_or_default();
            let block = format!("customer=\"{customer}\",environment=\"{environment}\"");
            let labels = &self.labels;
            if let Some(row) = self.rows.iter_mut().find(|r| labels.get(r.customer_environment.clone()) == Some(block.as_bytes())) {
                row.hypercare = Some(answered);
            }
        }
        self
    }

    fn row(&mut self, entry: &IntegrationEntry, vantage: &str, now: UnixMs) -> Row {
        let def = &entry.def;
        let (i, customer_environment) = self.label_block(def);
        let mut row = Row {
            customer_environment,
            checks: Vec::with_capacity(entry.checks.len()),
            throttled_excluded: def.throttled_excluded,
            classes: CLASSES_AT_ZERO.iter().map(|c| ((*c, attribute(*c, def.owner, &def.attribution)), 0)).collect(),
            causes: CAUSES_AT_ZERO.iter().map(|c| (*c, 0)).collect(),
            codes: BTreeMap::new(),
            retries: BTreeMap::new(),
            egress: BTreeMap::new(),
            durations: Durations::default(),
            duration_sum: 0.0,
            rate: RateRow::of(entry, now),
            soak: None,
            gate: None,
            incidents: None,
            hypercare: None,
            documents: DocumentsRow::default(),
            webhooks: WebhooksRow::default(),
            objective: objective(def, now),
            kinds: Vec::new(),
            phase: entry.phase(now),
            tier: def.criticality.as_str(),
            owner: def.owner.as_str(),
            maintenance: def.maintenance_at(now).is_some(),
            go_live: None,
            i,
        };
        if let Some(departed) = &entry.departed {
            row.sum_up(departed.sums());
        }
        for check in &entry.checks {
            row.sum_up_check(check);
            let check = self.check_row(&row.i, check, vantage);
            row.checks.push(check);
        }
        row
    }

    fn label_block(&mut self, def: &Integration) -> (Range<usize>, Range<usize>) {
        let start = self.labels.len();
        self.labels.extend_from_slice(b"customer=\"");
        escaped(&mut self.labels, def.id.customer());
        self.labels.push(b'"');
        label(&mut self.labels, "environment", def.id.environment());
        let environment_end = self.labels.len();
        label(&mut self.labels, "integration", def.id.integration());
        (start..self.labels.len(), start..environment_end)
    }

    fn check_row(&mut self, i: &Range<usize>, check: &CheckEntry, vantage: &str) -> CheckRow {
        let (def, s) = (&check.def, &check.state);
        let start = self.labels.len();
        self.labels.extend_from_within(i.clone());
        label(&mut self.labels, "check", def.id.check());
        let ic = start..self.labels.len();
        label(&mut self.labels, "vantage", vantage);
        let judged = s.last.as_ref().filter(|l| l.outcome.counted());
        CheckRow {
            def: Arc::clone(def),
            ic,
            p: start..self.labels.len(),
            counts: s.counts,
            first_attempt_failures: s.first_attempt_failures,
            durations: self.check_histograms.then(|| Box::new((s.durations, s.duration_sum))),
            consecutive_failures: s.consecutive_failures,
            last_run: s.last_run,
            last_success: s.last_success,
            certificate_expiry: s.certificate_expiry,
            findings: s.findings.clone(),
            phases: judged.map(|l| l.facts.phases).unwrap_or_default(),
            values: s.values.iter().map(|(name, value)| (name.clone(), *value)).collect(),
            paced: None,
        }
    }

    /// Puts the earliest go-live of each environment on its first integration that has one.
    fn go_lives(&mut self, all: &[IntegrationEntry]) {
        let mut first: BTreeMap<(&str, &str), (usize, UnixMs)> = BTreeMap::new();
        for (n, i) in all.iter().enumerate() {
            let Some(at) = i.def.go_live else { continue };
            let known = first.entry((i.def.id.customer(), i.def.id.environment())).or_insert((n, at));
            known.1 = known.1.min(at);
        }
        for (n, at) in first.into_values() {
            if let Some(row) = self.rows.get_mut(n) {
                row.go_live = Some(at);
            }
        }
    }
}

/// The success ratio that is asked for: in the soak by it, and from go-live on for the end of hypercare.
fn objective(def: &Integration, now: UnixMs) -> f64 {
    if is_live(def, now) { def.exit.success_ratio.0 } else { def.soak.as_ref().map_or(OBJECTIVE, |s| s.success_ratio.0) }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, n: u64) {
    *sums.entry(key).or_default() += n;
}

impl Row {
    fn sum_up_check(&mut self, check: &CheckEntry) {
        self.sum_up(check.state.sums());
        self.documents.add(check);
        let kind = check.def.kind.family();
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }

    /// Adds what a check counted, or what checks that left had counted.
    fn sum_up(&mut self, s: Sums<'_>) {
        s.classes.iter().for_each(|(class, by)| by.iter().for_each(|(a, n)| add(&mut self.classes, (*class, *a), *n)));
        s.causes.iter().for_each(|(cause, n)| add(&mut self.causes, *cause, *n));
        s.codes.iter().for_each(|(code, n)| add(&mut self.codes, *code, *n));
        s.retries.iter().for_each(|(class, n)| add(&mut self.retries, *class, *n));
        s.egress_denied.iter().for_each(|(rule, n)| add(&mut self.egress, rule.clone(), *n));
        self.durations.iter_mut().zip(s.durations).for_each(|(sum, n)| *sum += n);
        self.duration_sum += s.duration_sum;
        self.rate.sum_up(s);
        self.documents.sum_up(s);
    }
}

/// Where the lines of one family go; writes its head before its first line.
pub(super) struct Lines<'a> {
    out: &'a mut Vec<u8>,
    labels: &'a [u8],
    family: &'static Family,
    started: bool,
}

impl Lines<'_> {
    /// Writes a line up to its value: name, suffix, label block, further labels.
    fn begin(&mut self, suffix: &str, block: &Range<usize>, more: &[(&str, &str)]) {
        if !self.started {
            head(self.out, self.family);
            self.started = true;
        }
        self.out.extend_from_slice(self.family.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        self.out.push(b'{');
        self.out.extend_from_slice(self.labels.get(block.clone()).unwrap_or_default());
        for (name, value) in more {
            label(self.out, name, value);
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
        r.classes.iter().for_each(|((class, by), n)| l.count(&r.i, &[("class", class.as_str()), ("attribution", by.as_str())], *n));
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
    (&cat::CHECK_INTERVAL, |l, r, _| r.checks.iter().for_each(|c| l.value(&c.ic, &[], c.def.every.0.as_secs_f64()))),
    (&cat::CHECK_TIMEOUT, |l, r, _| r.checks.iter().for_each(|c| l.value(&c.ic, &[], c.def.timeout.as_secs_f64()))),
    (&cat::OBSERVED_VALUE, |l, r, _| {
        r.checks.iter().for_each(|c| c.values.iter().for_each(|(name, x)| l.value(&c.ic, &[("name", name)], *x)));
    }),
    (&cat::HTTP_RESPONSES, |l, r, _| codes(l, r)),
    (&cat::HTTP_RETRIES, |l, r, _| r.retries.iter().for_each(|(class, n)| l.count(&r.i, &[("reason", class.as_str())], *n))),
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
    (&cat::WEBHOOK_LAST, |l, r, _| l.time(&r.i, r.webhooks.last)),
    (&cat::WEBHOOK_SINCE, |l, r, _| l.time(&r.i, r.webhooks.since)),
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
    r.causes.iter().filter(|(c, _)| c.outcome() == outcome).for_each(|(c, n)| l.count(&r.i, &[("cause", c.as_str())], *n));
}

/// Listed statuses one by one, the others summed by their class.
fn codes(l: &mut Lines<'_>, r: &Row) {
    let mut rest = [0u64; 10];
    for (code, n) in &r.codes {
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
            let mut lines = Lines { out, labels: &self.scrape.labels, family, started: self.started };
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
