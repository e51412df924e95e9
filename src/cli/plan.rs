//! `soakwatch plan customer/environment`: before day 1, can this configuration prove its target at all? Reads the configuration, and what the store knows
//! of certificates and quotas. Changes nothing, sends nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::columns::aligned;
use super::{CliError, CliResult, Exit, complain, say};
use crate::app::store_path;
use crate::board::Board;
use crate::budget::Budgets;
use crate::clock::{Clock, HOUR_MS, UnixMs, monotonic};
use crate::config::model::Config;
use crate::config::{self, LoadOptions};
use crate::explain::plain;
use crate::fields::{IntegrationId, Point, Slug};
use crate::limits::words::times;
use crate::plan::{Answer, CheckPlan, Finding, History, IntegrationPlan, Past, SoFar, plan};
use crate::readiness::{ExclusionCase, Log, assemble, judged_from};
use crate::soak::{Ruling, percent};
use crate::store::{Reader, StoreError};

/// Say whether a configuration can prove what its soak asks for, when at the earliest, and what to change. Exit code: 0 it can, 1 it can't, 2 it depends on
/// what was not observed yet
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// customer/environment, or customer/environment/integration for one alone
    id: String,
    /// The directory that holds soakwatch.toml and customers/
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// The store's file, for the certificates and quotas it knows; the configuration's unless given
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// As if it were this time: 2026-12-01T08:00:00Z, a day (2026-12-01), or a span back from now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Plan) -> CliResult {
    let now = match &args.at {
        None => Clock::System.now(),
        Some(text) => text.parse::<Point>().map(|p| p.at(Clock::System.now())).map_err(|expected| {
            Exit::Usage.with(anyhow::anyhow!("--at \"{}\" is not readable; expected {expected}", text.escape_debug()))
        })?,
    };
    let wanted = Wanted::parse(&args.id)?;
    let loaded = config::load(&args.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} has errors (listed above)", args.config.display())));
    };
    if !config.integrations().any(|i| wanted.is(&i.id)) {
        return Err(Exit::BadInput.with(anyhow::anyhow!("nothing is configured for {}; {}", args.id, wanted.hint(&config))));
    }
    let board = Board::default();
    board.configure(&config);
    let known = remember(args, &config, &board, now)?;
    let budgets = Budgets::new(&config.settings.rate_limit);
    let mono = monotonic();
    budgets.plan(&config, |id| board.check(id).map(|c| c.state.limits), mono);
    let paces = budgets.views(now, mono);
    let made = board.read(|entries| {
        let wanted = entries.iter().filter(|e| wanted.is(&e.def.id));
        plan(wanted.map(|e| (e, history(&e.def.id, &config, &known))), &paces, now)
    });
    if args.json {
        say(serde_json::to_string_pretty(&made).map_err(|e| Exit::Internal.with(e))?);
    } else {
        let texts: Vec<String> = made.integrations.iter().map(text).collect();
        say(format_args!("{}: {} (as of {})\n\n{}", args.id, words(made.answer), made.as_of, texts.join("\n").trim_end()));
    }
    Ok(match made.answer {
        Answer::Provable => Exit::Yes,
        Answer::NotProvable => Exit::No,
        Answer::Unknown => Exit::Undecided,
    })
}

/// What the store knows.
#[derive(Default)]
struct Known {
    log: Log,
    so_far: BTreeMap<IntegrationId, SoFar>,
}

/// Brings what the store knows of each check onto the board, and gives the rest. No store is no error: nothing was observed yet.
fn remember(args: &Plan, config: &Config, board: &Board, now: UnixMs) -> Result<Known, CliError> {
    let path = args.store.clone().unwrap_or_else(|| store_path(config));
    let mut known = Known::default();
    if args.store.is_none() && !path.exists() {
        return Ok(known);
    }
    let reader = Reader::open(&path).map_err(|e| Exit::Io.with(e))?;
    for check in config.checks() {
        if let Some(state) = reader.state(&check.id).map_err(|e| Exit::Io.with(e))? {
            board.update(&check.id, |_, known| *known = state);
        }
    }
    let (customer, environment) = args.id.split_once('/').unwrap_or_default();
    let environment = environment.split('/').next().unwrap_or_default();
    let records = reader.evidence(customer, environment, now).map_err(|e| Exit::Io.with(e))?;
    known.log = Log::of(records.iter().filter_map(|l| l.record.as_deref()));
    // What lies ahead has not been missed.
    known.so_far = so_far(config, &reader, (customer, environment), now.min(Clock::System.now()))?;
    let damaged = reader.damaged();
    match damaged.first {
        Some(first) => Err(Exit::Io.with(anyhow::anyhow!("{} stored rows can't be read; the first: {first}", damaged.count))),
        None => Ok(known),
    }
}

/// How far each soak has come that was begun and goes on, as the judge sees it.
fn so_far(
    config: &Config,
    reader: &Reader,
    (customer, environment): (&str, &str),
    now: UnixMs,
) -> Result<BTreeMap<IntegrationId, SoFar>, CliError> {
    let store = |e: StoreError| Exit::Io.with(e);
    let (situation, _) = assemble(config, reader, customer, environment, now).map_err(|e| Exit::Io.with(e))?;
    let gate = judged_from(&situation, reader).map_err(store)?;
    let mut all = BTreeMap::new();
    for (case, passage) in situation.integrations.iter().zip(gate.integrations) {
        let (Some(soak), Some(shown)) = (&case.soak, passage.soak) else { continue };
        if soak.recorded_fingerprint.is_none() || soak.superseded {
            continue;
        }
        // A window is less than an hour longer than asked for.
        let from = soak.since.max(UnixMs(now.0 - soak.policy.window.ms() - HOUR_MS));
        let mut slots = BTreeMap::new();
        for def in config.checks().filter(|c| c.integration.id == case.integration && c.judged && c.kind.is_asked()) {
            let exclusions = ExclusionCase::of(&soak.exclusions, &def.id);
            let runs = reader.runs(&def.id, 0, from, UnixMs(now.0 + 1)).map_err(store)?;
            slots.insert(def.id.clone(), Past::of(def, &runs, &exclusions, now));
        }
        let earliest_pass = shown.earliest_pass.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map(UnixMs::from);
        all.insert(case.integration.clone(), SoFar { earliest_pass, doomed: shown.verdict == Ruling::Doomed, slots });
    }
    Ok(all)
}

/// What was recorded of an integration's soak, against what is configured.
fn history(id: &IntegrationId, config: &Config, known: &Known) -> History {
    let log = &known.log;
    let began = log.known(id).and_then(|k| k.began.as_ref());
    let change = began.and_then(|b| Some(config.fingerprint(id)?.since(&b.fingerprint)));
    let attestations = log.attestations(id.customer(), id.environment());
    History { since: began.map(|b| b.since), change, attestations, so_far: known.so_far.get(id).cloned() }
}

/// What was asked for.
enum Wanted {
    Environment(Slug, Slug),
    Integration(IntegrationId),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, CliError> {
        let environment = || {
            let (customer, environment) = text.split_once('/')?;
            Some(Self::Environment(customer.parse().ok()?, environment.parse().ok()?))
        };
        text.parse().map(Self::Integration).ok().or_else(environment).ok_or_else(|| {
            let what = "expected customer/environment or customer/environment/integration";
            Exit::Usage.with(anyhow::anyhow!("\"{}\" is no id; {what}", text.escape_debug()))
        })
    }

    fn is(&self, id: &IntegrationId) -> bool {
        match self {
            Self::Environment(customer, environment) => id.customer() == customer.as_str() && id.environment() == environment.as_str(),
            Self::Integration(wanted) => wanted == id,
        }
    }

    /// "did you mean ...?" with what looks most like it.
    fn hint(&self, config: &Config) -> String {
        let (asked, names): (String, Vec<String>) = match self {
            Self::Integration(id) => (id.to_string(), config.integrations().map(|i| i.id.to_string()).collect()),
            Self::Environment(c, e) => {
                (format!("{c}/{e}"), config.integrations().map(|i| format!("{}/{}", i.id.customer(), i.id.environment())).collect())
            }
        };
        let near = names.iter().min_by_key(|name| strsim::damerau_levenshtein(&asked, name));
        near.map_or_else(|| "the configuration holds no integration".to_owned(), |name| format!("did you mean {name}?"))
    }
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Provable => "can be proven",
        Answer::Unknown => "can't be said yet",
        Answer::NotProvable => "can't be proven",
    }
}

const INDENT: &str = "  ";

fn text(i: &IntegrationPlan) -> String {
    let mut out = format!("{} ({}): {}\n", i.integration, plain(&i.name), words(i.answer));
    let mut line = |words: String| out.push_str(&format!("{INDENT}{words}\n"));
    if let (Some(from), Some(until), Some(window)) = (&i.from, &i.until, i.window) {
        let before = match (i.go_live.as_ref() == Some(until), i.start.as_ref() == Some(from)) {
            (true, _) => "the last window before go-live",
            (false, true) => "the first window",
            (false, false) => "the first window that can pass",
        };
        line(format!("window: {from} to {until}, {before} ({window})"));
        let go_live = i.go_live.as_ref().map(|t| format!("; go-live: {t}")).unwrap_or_default();
        let earliest = i.earliest_pass.as_deref().unwrap_or("never as it is, for what is marked NO below");
        line(format!("green at the earliest: {earliest}{go_live}"));
    }
    if i.window.is_some() {
        let ends = i.certificate_ends.as_ref().map_or_else(|| "not observed yet".to_owned(), |t| format!("the first ends at {t}"));
        let headroom = i.quota_headroom.map_or_else(|| "not known yet".to_owned(), times);
        line(format!("certificates: {ends}; quota headroom: {headroom}"));
    }
    if !i.attest.is_empty() {
        line(format!("to be attested: {}", i.attest.join(", ")));
    }
    for w in &i.waivers {
        line(format!("waived: {} until {} by {}", w.criterion, w.until, plain(&w.approver)));
    }
    if !i.checks.is_empty() {
        out.push_str(&table(&i.checks));
    }
    i.findings.iter().for_each(|f| out.push_str(&finding(f)));
    out
}

fn table(checks: &[CheckPlan]) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let head = ["check", "every", "slots", "can be run", "needed", "coverage", "may fail", "in a row"].map(str::to_owned);
    let line = |c: &CheckPlan| {
        [
            c.check.clone(),
            c.every.to_string(),
            number(c.slots),
            number(c.runs),
            number(c.runs_needed),
            c.coverage.map_or_else(|| "-".to_owned(), percent),
            number(c.may_fail),
            number(c.in_a_row),
        ]
    };
    aligned(&std::iter::once(head).chain(checks.iter().map(line)).collect::<Vec<_>>(), INDENT)
}

fn finding(f: &Finding) -> String {
    let mark = match f.answer {
        Answer::NotProvable => "NO   ",
        Answer::Unknown => "?    ",
        Answer::Provable => "note ",
    };
    let check = f.check.as_ref().map(|c| format!("{c}: ")).unwrap_or_default();
    let change = if f.change.is_empty() { String::new() } else { format!("{INDENT}       -> {}\n", f.change) };
    format!("{INDENT}{mark} {check}{}\n{change}", f.what)
}
