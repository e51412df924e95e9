//! One copy of the board, of the verdicts and of what the budgets make of it, for one scrape: plain numbers, copied under the locks and quickly. Writes
//! no line; that is `encode`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::documents::DocumentsRow;
use super::incidents::{self, IncidentRow};
use super::pools::{Pools, Starts};
use super::rate_limit::{PolicyRow, RateRow};
use super::soak::{self, GateRow, SoakRow};
use super::webhooks::WebhooksRow;
use crate::attribution::attribute;
use crate::board::{Board, CheckEntry, Counts, DURATION_BUCKETS, IntegrationEntry, Sums};
use crate::budget::{Budgets, Paced};
use crate::checkpoint::{Answered, Live, is_live};
use crate::clock::UnixMs;
use crate::config::model::{Integration, Settings};
use crate::fields::Span;
use crate::finding::Finding;
use crate::incident::live::Incidents;
use crate::outcome::{Cause, Class, Phase};
use crate::readiness::Soaks;
use crate::record::DurationCode;

/// Failure classes that exist at 0 from the start: alerts look at their increase.
const CLASSES_AT_ZERO: [Class; 3] = [Class::Unauthorized, Class::Forbidden, Class::Throttled];
/// Causes of skipped and unknown slots that exist at 0 from the start; the others appear on first use (30 lines a check is the budget).
const CAUSES_AT_ZERO: [Cause; 2] = [Cause::RateLimit, Cause::SelfCheck];
/// The objective of an integration without a soak policy.
const OBJECTIVE: f64 = 0.99;

type Durations = [u64; DURATION_BUCKETS.len() + 1];

/// A check's numbers. The label blocks are ranges of [`Pools::labels`].
#[derive(Debug)]
pub(super) struct CheckRow {
    /// [`CheckDef::key`](crate::config::model::CheckDef::key).
    pub(super) key: u64,
    pub(super) every: Span,
    pub(super) timeout: Duration,
    /// customer, environment, integration, check.
    pub(super) ic: Range<usize>,
    /// The same and vantage.
    pub(super) p: Range<usize>,
    pub(super) counts: Counts,
    pub(super) first_attempt_failures: u64,
    /// Buckets and sum, where they are shown per check.
    pub(super) durations: Option<Box<(Durations, f64)>>,
    pub(super) consecutive_failures: u64,
    pub(super) last_run: Option<UnixMs>,
    pub(super) last_success: Option<UnixMs>,
    pub(super) certificate_expiry: Option<UnixMs>,
    pub(super) findings: Vec<Finding>,
    pub(super) phases: [Option<DurationCode>; 5],
    pub(super) values: Vec<(String, f64)>,
    /// `None`: of a kind without a host, so without a pace.
    pub(super) paced: Option<Paced>,
}

/// An integration's numbers: its own and what is summed over its checks. Its parts of the pools are ranges of them.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) i: Range<usize>,
    pub(super) customer_environment: Range<usize>,
    pub(super) checks: Vec<CheckRow>,
    pub(super) throttled_excluded: bool,
    pub(super) classes: Range<usize>,
    pub(super) causes: Range<usize>,
    pub(super) codes: Range<usize>,
    pub(super) retries: Range<usize>,
    pub(super) policies: Range<usize>,
    pub(super) egress: BTreeMap<String, u64>,
    pub(super) durations: Durations,
    pub(super) duration_sum: f64,
    pub(super) rate: RateRow,
    /// `None`: it has no soak.
    pub(super) soak: Option<SoakRow>,
    /// Set on the first integration of an environment that has a soak.
    pub(super) gate: Option<GateRow>,
    pub(super) incidents: Option<IncidentRow>,
    /// Set on the first integration of an environment that is live.
    pub(super) hypercare: Option<Arc<Answered>>,
    pub(super) documents: DocumentsRow,
    /// `None`: it has no checks whose messages arrive, and never had any.
    pub(super) webhooks: Option<Box<WebhooksRow>>,
    pub(super) objective: f64,
    pub(super) kinds: Vec<&'static str>,
    pub(super) phase: Phase,
    pub(super) tier: &'static str,
    pub(super) owner: &'static str,
    pub(super) maintenance: bool,
    /// Set on the first integration of an environment that has a date: the earliest of all its integrations.
    pub(super) go_live: Option<UnixMs>,
}

/// A consistent copy of the board for one scrape.
#[derive(Debug)]
pub struct Scrape {
    pub(super) rows: Vec<Row>,
    pub(super) pools: Pools,
    pub(super) check_histograms: bool,
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
        let mut scrape = Self { rows: Vec::new(), pools: Pools::default(), check_histograms: settings.metrics.check_histograms };
        let vantage = settings.scheduler.vantage.as_str();
        board.read(|all| {
            scrape.rows.reserve(all.len());
            scrape.pools.reserve(all.len(), all.iter().map(|i| i.checks.len()).sum());
            for i in all {
                let mut row = scrape.row(i, vantage, now);
                row.webhooks = WebhooksRow::of(i, &board.arrivals).map(Box::new);
                scrape.rows.push(row);
            }
            scrape.go_lives(all);
            soak::judge(&mut scrape.rows, all, soaks, now);
            incidents::put(&mut scrape.rows, all, (soaks, known), now);
        });
        budgets.paces(mono, |paced| {
            for check in scrape.rows.iter_mut().flat_map(|row| &mut row.checks) {
                check.paced = paced(check.key, check.every);
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
            let labels = &self.pools.labels;
            if let Some(row) = self.rows.iter_mut().find(|r| labels.get(r.customer_environment.clone()) == Some(block.as_bytes())) {
                row.hypercare = Some(answered);
            }
        }
        self
    }

    fn row(&mut self, entry: &IntegrationEntry, vantage: &str, now: UnixMs) -> Row {
        let (def, pools) = (&entry.def, &mut self.pools);
        let (i, customer_environment) = pools.integration(&def.id);
        let from = pools.starts();
        CLASSES_AT_ZERO.iter().for_each(|c| pools.classes.add(&from.classes, (*c, attribute(*c, def.owner, &def.attribution)), 0));
        CAUSES_AT_ZERO.iter().for_each(|c| pools.causes.add(&from.causes, *c, 0));
        PolicyRow::each(entry, now, pools, &i);
        let mut row = Row {
            customer_environment,
            checks: Vec::with_capacity(entry.checks.len()),
            throttled_excluded: def.throttled_excluded,
            classes: Range::default(),
            causes: Range::default(),
            codes: Range::default(),
            retries: Range::default(),
            policies: Range::default(),
            egress: BTreeMap::new(),
            durations: Durations::default(),
            duration_sum: 0.0,
            rate: RateRow::of(entry, now),
            soak: None,
            gate: None,
            incidents: None,
            hypercare: None,
            documents: DocumentsRow::default(),
            webhooks: None,
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
            row.sum_up(departed.sums(), pools, &from);
        }
        for check in &entry.checks {
            row.sum_up(check.state.sums(), pools, &from);
            row.documents.add(check);
            let kind = check.def.kind.family();
            if !row.kinds.contains(&kind) {
                row.kinds.push(kind);
            }
            let (ic, p) = pools.check(&row.i, check.def.id.check(), vantage);
            row.checks.push(CheckRow::of(check, (ic, p), self.check_histograms));
        }
        row.end(pools, from);
        row
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

impl CheckRow {
    fn of(check: &CheckEntry, (ic, p): (Range<usize>, Range<usize>), with_durations: bool) -> Self {
        let s = &check.state;
        let judged = s.last.as_ref().filter(|l| l.outcome.counted());
        Self {
            key: check.def.key,
            every: check.def.every,
            timeout: check.def.timeout,
            ic,
            p,
            counts: s.counts,
            first_attempt_failures: s.first_attempt_failures,
            durations: with_durations.then(|| Box::new((s.durations, s.duration_sum))),
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
}

impl Row {
    /// Adds what a check counted, or what checks that left had counted. `from`: where the row's parts of the pools begin.
    fn sum_up(&mut self, s: Sums<'_>, pools: &mut Pools, from: &Starts) {
        s.classes.iter().for_each(|(class, by)| by.iter().for_each(|(a, n)| pools.classes.add(&from.classes, (*class, *a), *n)));
        s.causes.iter().for_each(|(cause, n)| pools.causes.add(&from.causes, *cause, *n));
        s.codes.iter().for_each(|(code, n)| pools.codes.add(&from.codes, *code, *n));
        s.retries.iter().for_each(|(class, n)| pools.retries.add(&from.retries, *class, *n));
        s.egress_denied.iter().for_each(|(rule, n)| *self.egress.entry(rule.clone()).or_default() += n);
        self.durations.iter_mut().zip(s.durations).for_each(|(sum, n)| *sum += n);
        self.duration_sum += s.duration_sum;
        self.rate.sum_up(s);
        self.documents.sum_up(s);
    }

    /// Its parts of the pools end where these do now.
    fn end(&mut self, pools: &Pools, from: Starts) {
        self.classes = pools.classes.since(from.classes);
        self.causes = pools.causes.since(from.causes);
        self.codes = pools.codes.since(from.codes);
        self.retries = pools.retries.since(from.retries);
        self.policies = from.policies..pools.policies.len();
    }
}
