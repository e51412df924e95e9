//! `soakwatch runs ID`: what the store holds of a check, read beside the running daemon or after it. Changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Url;
use serde::Serialize;

use super::columns::aligned;
use super::control::{Credential, address};
use super::ids::Wanted;
use super::{CliError, CliResult, Exit, complain, run_by_id, say};
use crate::app::store_path;
use crate::board::Counts;
use crate::clock::{Clock, UnixMs};
use crate::config::model::CheckDef;
use crate::config::{self, LoadOptions};
use crate::fields::{CheckId, Point};
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::DurationCode;
use crate::run_id::RunId;
use crate::slots::under_way;
use crate::store::{FailureRow, Reader, Run, StoreError};

/// Show the stored runs of a check, the open minutes included, or find one by its id. Times are UTC. Exit code: 0; with --id 1 where no run has that id, 2 where it is not stored yet
#[derive(Debug, clap::Args)]
pub(super) struct Runs {
    /// customer/environment/integration/check, or customer/environment/integration for all of its checks; with --id all there are unless given.
    #[arg(required_unless_present = "run")]
    pub(super) id: Option<String>,
    /// Only the run of this id: 32 hex digits, or a whole traceparent out of somebody's log. Its time stands in it.
    #[arg(long = "id", value_name = "RUN", value_parser = |text: &str| text.parse::<RunId>().map_err(|e| format!("expected {e}")))]
    run: Option<RunId>,
    /// From when: a span back from now (90m, 24h, 7d), a time (2026-12-01T08:00:00Z) or a day (2026-12-01).
    #[arg(long, value_name = "SPAN|TIME", default_value = "24h", conflicts_with = "run")]
    since: String,
    /// Until when, likewise; now if not given.
    #[arg(long, value_name = "SPAN|TIME", conflicts_with = "run")]
    until: Option<String>,
    /// A JSON array instead of a table.
    #[arg(long)]
    json: bool,
    /// The directory that holds soakwatch.toml and customers/: it says where the store is.
    #[arg(long, value_name = "DIR", default_value = "config", conflicts_with = "store")]
    config: PathBuf,
    /// The store's file itself, without a configuration.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// With --id: ask the running daemon that listens here, instead of reading its store.
    #[arg(long, value_name = "URL", value_parser = address, requires = "run", conflicts_with_all = ["config", "store"])]
    url: Option<Url>,
    #[command(flatten)]
    pub(super) credential: Credential,
}

/// So much may a record come late: the writer's second, and a clock that is read twice.
const LATE_MS: i64 = 10_000;

/// A run as `--json` shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    check: &'a CheckId,
    run: Option<RunId>,
    slot: String,
    interval_ms: u32,
    count: u32,
    outcome: Outcome,
    class: Option<Class>,
    cause: Option<Cause>,
    attribution: Option<Attribution>,
    duration_s: f64,
    attempts: u8,
    first_attempt_passed: bool,
    detail: Option<String>,
}

/// The stored runs of one check, and what explains those that did not pass.
pub(super) struct History {
    pub(super) check: CheckId,
    pub(super) runs: Vec<Run>,
    pub(super) failures: Vec<FailureRow>,
}

pub(super) fn run(args: &Runs) -> CliResult {
    let now = Clock::System.now();
    let wanted = args.id.as_deref().map(Wanted::parse).transpose()?;
    let (since, until) = match args.run {
        // One slot; a second, so that it can be seen.
        Some(run) => (run.slot(), UnixMs(run.slot().0.saturating_add(1000))),
        None => (point("--since", &args.since, now)?, args.until.as_ref().map_or(Ok(now), |text| point("--until", text, now))?),
    };
    if since > until {
        return Err(Exit::Usage.with(anyhow::anyhow!("--since ({since}) is later than --until ({until})")));
    }
    if let (Some(url), Some(run)) = (&args.url, args.run) {
        return match run_by_id::asked(args, url, run)? {
            Ok(history) => shows(args, &[history], (since, until), now).map(|()| Exit::Yes),
            Err(none) => {
                if args.json {
                    say("[]");
                }
                Ok(none)
            }
        };
    }
    let (path, configured) = locate(args, now)?;
    let reader = Reader::open(&path).map_err(trouble)?;
    let mut known: BTreeSet<CheckId> = reader.checks().map_err(trouble)?.into_iter().collect();
    known.extend(configured.iter().map(|c| c.id.clone()));
    let mut histories = Vec::new();
    let mut checks = wanted.map_or_else(|| Ok(known.iter().cloned().collect()), |wanted| find(&wanted, &known))?;
    if let Some(id) = args.run {
        checks.retain(|check| id.is_of(check));
    }
    for check in &checks {
        let mut runs = reader.runs(check, 0, since, until).map_err(trouble)?;
        if let Some(id) = args.run {
            runs.retain(|r| r.id(check) == Some(id));
            if runs.is_empty() {
                continue;
            }
        }
        let failures = reader.failures(check, since, until).map_err(trouble)?;
        histories.push(History { check: check.clone(), runs, failures });
    }
    let missing = args.run.filter(|_| histories.is_empty()).map(|id| missing(id, checks.first(), &configured, now));
    if let Some((_, words)) = &missing {
        complain(format!("soakwatch: {words}"));
    }
    shows(args, &histories, (since, until), now)?;
    let damaged = reader.damaged();
    if damaged.count > 0 {
        let first = damaged.first.unwrap_or_default();
        complain(format!("soakwatch: {} stored rows can't be read and are missing above; the first: {first}", damaged.count));
        return Ok(Exit::Io);
    }
    Ok(missing.map_or(Exit::Yes, |(exit, _)| exit))
}

/// Why there is no run of an id: the exit code, and in words. `whose`: the check it is of, where one is known.
fn missing(id: RunId, whose: Option<&CheckId>, configured: &[Arc<CheckDef>], now: UnixMs) -> (Exit, String) {
    let slot = id.slot();
    let Some(check) = whose else {
        let what = format!("no check that is known here has a run of the id {id}; its slot would be {slot}");
        return (Exit::No, what);
    };
    if configured.iter().any(|c| c.id == *check && under_way(c, slot, now)) {
        let what = format!(
            "nothing is stored yet of this run: it is that of {check} for the slot {slot}; it goes on, or has just ended and is written within a \
             second of its end, or of the self-check it waits for; ask again then"
        );
        return (Exit::Undecided, what);
    }
    (Exit::No, format!("nothing is stored of this run: it is that of {check} for the slot {slot}; runs are kept for [store] keep_runs"))
}

fn shows(args: &Runs, histories: &[History], (since, until): (UnixMs, UnixMs), now: UnixMs) -> Result<(), CliError> {
    let quiet = args.run.is_some();
    if args.json {
        let all: Vec<Shown<'_>> = histories.iter().flat_map(|h| h.runs.iter().map(|r| shown(h, r))).collect();
        say(serde_json::to_string_pretty(&all).map_err(|e| Exit::Internal.with(e))?);
        for h in histories.iter().filter(|_| !quiet) {
            if let Some(words) = silence(&h.runs, until, now) {
                complain(format!("soakwatch: {}: {words}", h.check));
            }
        }
    } else {
        let tables: Vec<String> = histories
            .iter()
            .map(|h| {
                [Some(table(h, since, until)), silence(&h.runs, until, now).filter(|_| !quiet)]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n")
            })
            .collect();
        if !tables.is_empty() {
            say(tables.join("\n\n"));
        }
    }
    Ok(())
}

fn trouble(e: StoreError) -> CliError {
    Exit::Io.with(e)
}

/// The store's file, and the checks of the configuration that names it: one that has not run yet is known all the same.
fn locate(args: &Runs, now: UnixMs) -> Result<(PathBuf, Vec<Arc<CheckDef>>), CliError> {
    if let Some(file) = &args.store {
        return Ok((file.clone(), Vec::new()));
    }
    let loaded = config::load(&args.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        let what = "has errors (listed above); --store FILE reads a store without a configuration";
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} {what}", args.config.display())));
    };
    Ok((store_path(&config), config.checks().map(Arc::clone).collect()))
}

fn point(name: &str, text: &str, now: UnixMs) -> Result<UnixMs, CliError> {
    text.parse::<Point>()
        .map(|p| p.at(now))
        .map_err(|expected| Exit::Usage.with(anyhow::anyhow!("{name} \"{}\" is not readable; expected {expected}", text.escape_debug())))
}

fn find(wanted: &Wanted, known: &BTreeSet<CheckId>) -> Result<Vec<CheckId>, CliError> {
    let found: Vec<CheckId> = known.iter().filter(|c| wanted.is(c)).cloned().collect();
    if found.is_empty() {
        let hint = wanted.hint(known.iter()).unwrap_or_else(|| "the store is empty".to_owned());
        return Err(Exit::BadInput.with(anyhow::anyhow!("nothing is known of {}; {hint}", wanted.as_str())));
    }
    Ok(found)
}

fn shown<'a>(h: &'a History, r: &Run) -> Shown<'a> {
    Shown {
        check: &h.check,
        run: r.id(&h.check),
        slot: r.slot.to_string(),
        interval_ms: r.interval_ms,
        count: r.count,
        outcome: r.outcome,
        class: r.class,
        cause: r.cause,
        attribution: r.attribution,
        duration_s: if r.attempts == 0 { 0.0 } else { round(r.duration.seconds()) },
        attempts: r.attempts,
        first_attempt_passed: r.first_attempt_passed,
        detail: FailureRow::said(&h.failures, r),
    }
}

/// To four digits: the scale has steps of 5 %.
fn round(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

fn table(h: &History, since: UnixMs, until: UnixMs) -> String {
    let mut out = format!("{} from {} to {}\n", h.check, since.whole_seconds(), until.whole_seconds());
    if h.runs.is_empty() {
        out.push_str("no runs are stored of this time");
        return out;
    }
    let head = ["slot (UTC)", "outcome", "why", "attribution", "took", "tries", "run", ""].map(str::to_owned);
    let lines: Vec<[String; 8]> = std::iter::once(head).chain(h.runs.iter().map(|r| line(h, r))).collect();
    out.push_str(&aligned(&lines, ""));
    out.push_str(&summary(&h.runs));
    out
}

/// Said where the asked time reaches to now and the newest slot is old: what is not recorded is in no ratio and in no coverage. A run is recorded
/// when it has ended, so up to two intervals are nothing unusual.
fn silence(runs: &[Run], until: UnixMs, now: UnixMs) -> Option<String> {
    let newest = runs.iter().max_by_key(|r| r.last_slot())?;
    let patience = 2 * i64::from(newest.interval_ms) + LATE_MS;
    let silent = until.0 >= now.0 - LATE_MS && now.0 - newest.last_slot().0 > patience;
    silent.then(|| format!("nothing is recorded after {}; is the daemon running?", time(newest.last_slot())))
}

/// With as many digits each time, so that columns do not shift.
fn time(at: UnixMs) -> String {
    at.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn line(h: &History, r: &Run) -> [String; 8] {
    let why = r.cause.map(Cause::as_str).or(r.class.map(Class::as_str)).unwrap_or_default();
    let attribution = r.attribution.map(Attribution::as_str).unwrap_or_default();
    let retried = (r.outcome == Outcome::Pass && !r.first_attempt_passed).then(|| "passed on retry".to_owned());
    let remark = FailureRow::said(&h.failures, r).or(retried).unwrap_or_default();
    if r.count > 1 {
        let what = format!("{} slots {}", r.count, r.outcome);
        return [time(r.slot), what, why.into(), attribution.into(), String::new(), String::new(), String::new(), {
            let until = format!("until {}", time(r.last_slot()));
            if remark.is_empty() { until } else { format!("{until}: {remark}") }
        }];
    }
    let (took, tries) = if r.attempts == 0 { Default::default() } else { (took(r.duration), r.attempts.to_string()) };
    let run = r.id(&h.check).map(|id| id.to_string()).unwrap_or_default();
    [time(r.slot), r.outcome.to_string(), why.into(), attribution.into(), took, tries, run, remark]
}

fn took(duration: DurationCode) -> String {
    let s = duration.seconds();
    match s {
        _ if s < 0.001 => "<1 ms".to_owned(),
        _ if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        _ => format!("{s:.1} s"),
    }
}

fn summary(runs: &[Run]) -> String {
    let mut counts = Counts::default();
    let mut not_due = 0;
    for r in runs {
        counts.add(r.outcome, u64::from(r.count));
        not_due += if r.outcome == Outcome::NotDue { u64::from(r.count) } else { 0 };
    }
    let Counts { pass, fail, throttled, skipped, unknown } = counts;
    // Cut, not rounded: 99.999 % is not all of it.
    let percent = |ratio: Option<f64>| ratio.map_or_else(|| "none".to_owned(), |r| format!("{:.2} %", (r * 10_000.0).floor() / 100.0));
    let mut out = format!(
        "due {}: pass {pass}, fail {fail}, throttled {throttled}, unknown {unknown}, skipped {skipped}; success ratio {}, coverage {}",
        counts.due(),
        percent(counts.success_ratio(false)),
        percent(counts.coverage())
    );
    if not_due > 0 {
        let _ = write!(out, "; not due {not_due}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::store::Store;

    const ID: &str = "acme/production/crm/orders";
    const START: i64 = 1_796_112_000_000;

    fn record(n: i64) -> Record {
        Record {
            outcome: Outcome::Pass,
            cause: None,
            class: None,
            attribution: None,
            duration: DurationCode(160),
            attempts: 1,
            first_attempt_passed: true,
            ..Record::not_run(ID.parse().unwrap(), UnixMs(START + n * 30_000), 30_000, 1, Cause::Down)
        }
    }

    fn store(dir: &tempfile::TempDir) -> PathBuf {
        let path = dir.path().join("soakwatch.db");
        let mut records: Vec<Record> = (0..4).map(record).collect();
        (records[1].outcome, records[1].class, records[1].attribution) =
            (Outcome::Fail, Some(Class::ServerError), Some(Attribution::ThirdParty));
        (records[1].first_attempt_passed, records[1].detail) = (false, Some("answered 503 Service Unavailable".into()));
        (records[2].attempts, records[2].first_attempt_passed) = (2, false);
        records.push(Record::not_run(ID.parse().unwrap(), UnixMs(START + 120_000), 30_000, 14, Cause::Down));
        Store::open(&path).unwrap().commit(UnixMs(START), &records, &[]).unwrap();
        path
    }

    fn history(path: &std::path::Path) -> History {
        let (reader, check) = (Reader::open(path).unwrap(), ID.parse().unwrap());
        let (since, until) = (UnixMs(START), UnixMs(START + 3_600_000));
        let (runs, failures) = (reader.runs(&check, 0, since, until).unwrap(), reader.failures(&check, since, until).unwrap());
        History { check, runs, failures }
    }

    fn args(id: &str, store: PathBuf) -> Runs {
        Runs {
            id: Some(id.into()),
            run: None,
            since: "7d".into(),
            until: None,
            json: true,
            config: "config".into(),
            store: Some(store),
            url: None,
            credential: Credential::default(),
        }
    }

    #[test]
    fn a_table_for_people() {
        let dir = tempfile::tempdir().unwrap();
        let text = table(&history(&store(&dir)), UnixMs(START), UnixMs(START + 3_600_000));
        let want = "\
acme/production/crm/orders from 2026-12-01T08:00:00Z to 2026-12-01T09:00:00Z
slot (UTC)                outcome           why           attribution  took    tries  run
2026-12-01T08:00:00.000Z  pass                                         246 ms  1      6b0e7e800000cdfa03490cab98591fe4
2026-12-01T08:00:30.000Z  fail              server_error  third_party  246 ms  1      6b0e7e9e0000dbe3de9df086863e3ae1  answered 503 Service Unavailable
2026-12-01T08:01:00.000Z  pass                                         246 ms  2      6b0e7ebc000094e73241eea6367c5950  passed on retry
2026-12-01T08:01:30.000Z  pass                                         246 ms  1      6b0e7eda000096333241136ebb155c37
2026-12-01T08:02:00.000Z  14 slots unknown  down          monitor                                                       until 2026-12-01T08:08:30.000Z
due 18: pass 3, fail 1, throttled 0, unknown 14, skipped 0; success ratio 75.00 %, coverage 22.22 %";
        assert_eq!(text, want);
    }

    #[test]
    fn a_daemon_that_no_longer_records_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let runs = history(&store(&dir)).runs;
        // The newest slot is the span's last one; a slot comes every 30 s.
        let last = START + 510_000;
        let said = |until: i64, now: i64| silence(&runs, UnixMs(until), UnixMs(now));
        assert_eq!(said(last + 70_000, last + 70_000), None, "two intervals and a little are nothing unusual");
        let words = "nothing is recorded after 2026-12-01T08:08:30.000Z; is the daemon running?";
        assert_eq!(said(last + 70_001, last + 70_001).as_deref(), Some(words));
        assert_eq!(said(last + 3_600_000, last + 7_200_000), None, "a span that ended says nothing of now");
        assert_eq!(silence(&[], UnixMs(START), UnixMs(START)), None);
    }

    #[test]
    fn json_holds_every_field() {
        let dir = tempfile::tempdir().unwrap();
        let h = history(&store(&dir));
        let want = serde_json::json!({
            "check": ID, "run": "6b0e7e9e0000dbe3de9df086863e3ae1", "slot": "2026-12-01T08:00:30Z", "interval_ms": 30_000, "count": 1, "outcome": "fail", "class": "server_error", "cause": null,
            "attribution": "third_party", "duration_s": 0.2456, "attempts": 1, "first_attempt_passed": false,
            "detail": "answered 503 Service Unavailable",
        });
        assert_eq!(serde_json::to_value(shown(&h, &h.runs[1])).unwrap(), want);
        let span = serde_json::to_value(shown(&h, &h.runs[4])).unwrap();
        assert_eq!((&span["count"], &span["cause"], &span["duration_s"]), (&14.into(), &"down".into(), &0.0.into()));
    }

    #[test]
    fn exit_codes_tell_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = store(&dir);
        let of = |run: &str| Runs { id: None, run: Some(run.parse().unwrap()), ..args(ID, path.clone()) };
        let slot = |n: i64| RunId::of(&ID.parse().unwrap(), UnixMs(START + n * 30_000)).to_string();
        assert_eq!(run(&of(&slot(1))).unwrap(), Exit::Yes, "however long ago that was");
        assert_eq!(run(&of(&slot(9))).unwrap(), Exit::No, "it has no run of that slot");
        assert_eq!(run(&of("0af7651916cd43dd8448eb211c80319c")).unwrap(), Exit::No, "nobody's");
        let fails = |args: &Runs| run(args).err().map(|e| (e.exit, e.to_string()));
        assert!(matches!(fails(&args("Acme", path.clone())), Some((Exit::Usage, _))));
        let (exit, text) = fails(&args("acme/production/crm/ordres", path.clone())).unwrap();
        assert_eq!(
            (exit, text.as_str()),
            (Exit::BadInput, "nothing is known of acme/production/crm/ordres; did you mean acme/production/crm/orders?")
        );
        let (exit, text) = fails(&args("acme/prod/crm", path.clone())).unwrap();
        assert_eq!((exit, text.ends_with("did you mean acme/production/crm?")), (Exit::BadInput, true));
        assert!(matches!(fails(&args(ID, dir.path().join("none.db"))), Some((Exit::Io, _))));
        assert!(matches!(fails(&Runs { since: "yesterday".into(), ..args(ID, path.clone()) }), Some((Exit::Usage, _))));
        assert!(matches!(fails(&Runs { since: "1h".into(), until: Some("2h".into()), ..args(ID, path) }), Some((Exit::Usage, _))));
    }
}
