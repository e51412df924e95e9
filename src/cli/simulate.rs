//! `soakwatch simulate`: the real judge over a made history, to see what a target takes before anything is watched. Reads nothing, sends nothing, and
//! asks no clock: the same options give the same bytes on every machine.

use std::time::Duration;

use clap::Args;

use super::progress::during;
use super::verdict::table;
use super::{CliResult, Exit, say};
use crate::clock::{DAY_MS, UnixMs};
use crate::fields::{CheckId, Expected, Ratio, Span};
use crate::outcome::{Cause, Class, Criticality, Outcome};
use crate::record::{DurationCode, Run};
use crate::slots::grid::Grid;
use crate::soak::{
    CheckFold, CheckInput, Confidence, Doubts, Frame, Input, Judge, Observations, Policy, Rules, Ruling, Share, Shown, judge, shown,
};

/// Simulated time begins here, a Monday.
const START: UnixMs = UnixMs(1_767_571_200_000);
/// So many slots are simulated at most.
const MAX_SLOTS: u64 = 4_000_000;

/// Judge a made history as the daemon would: what verdict would it get? Exit code: 0 passed, 1 failed or doomed, 2 neither (running, insufficient_evidence)
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// So many days are simulated, and judged at their end
    #[arg(long, default_value_t = 7, value_parser = days)]
    days: u16,
    /// A run is due so often
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = every)]
    every: Span,
    /// The share of runs that does not fail: exactly round((1 - SHARE) x runs) fail, those of --outage among them
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    success: Ratio,
    /// Every run fails for so long from the beginning of a day on, days counted from 1, such as 40m@d3; may be repeated
    #[arg(long, value_name = "SPAN@dN", value_parser = spell)]
    outage: Vec<Spell>,
    /// The daemon is down for so long, likewise: slots are missing
    #[arg(long, value_name = "SPAN@dN", value_parser = spell)]
    down: Vec<Spell>,
    /// The share of runs that is throttled: exactly round(SHARE x runs), none of them among the failures
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    throttle: Ratio,
    /// Where failures and throttled runs lie
    #[arg(long, default_value_t = 1, value_parser = seed)]
    seed: u64,
    /// The verdict as one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// The judged window: whole hours, 1h to 90d
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = window)]
    window: Span,
    #[command(flatten)]
    asked: Asked,
}

/// The thresholds: where none is given, those of an integration of criticality `normal`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Thresholds")]
struct Asked {
    /// At least this share of runs passes; above 0
    #[arg(long, value_name = "SHARE", value_parser = target)]
    success_ratio: Option<Ratio>,
    /// What is held against it: ratio, or wilson95 (the lower end of the 95 % interval)
    #[arg(long, value_name = "WORD", value_parser = confidence)]
    confidence: Option<Confidence>,
    /// How runs are judged: ratio, or every (each of them counts)
    #[arg(long, value_name = "WORD", value_parser = how)]
    judge: Option<Judge>,
    /// At least this share of due slots is run; above 0
    #[arg(long, value_name = "SHARE", value_parser = target)]
    coverage: Option<Ratio>,
    /// No outage is longer; at most 90d
    #[arg(long, value_name = "SPAN", value_parser = outage)]
    longest_outage: Option<Span>,
    /// 95 % of passing runs take no longer; 1ms to 10m
    #[arg(long, value_name = "SPAN", value_parser = latency)]
    latency_p95: Option<Span>,
    /// At most this share of runs is throttled
    #[arg(long, value_name = "SHARE", value_parser = share)]
    throttled_ratio: Option<Ratio>,
    /// Throttled runs are left out of the success ratio
    #[arg(long)]
    throttled_excluded: bool,
    /// At least so many times the declared peak, 1 to 100; nothing is observed in a simulation, so this and what follows is only shown
    #[arg(long, value_name = "TIMES", value_parser = times)]
    quota_headroom: Option<f64>,
    /// At least so many days
    #[arg(long, value_name = "DAYS", value_parser = whole_days)]
    certificate_days: Option<u32>,
    /// At least this share agrees; above 0
    #[arg(long, value_name = "SHARE", value_parser = target)]
    reconciliation: Option<Ratio>,
}

/// A span from the beginning of a day on.
#[derive(Clone, Copy, Debug)]
struct Spell {
    span: Span,
    /// From 1.
    day: u16,
}

impl Spell {
    fn start(self) -> UnixMs {
        UnixMs(START.0 + (i64::from(self.day) - 1) * DAY_MS)
    }

    fn holds(self, slot: UnixMs) -> bool {
        (0..self.span.ms()).contains(&(slot.0 - self.start().0))
    }
}

pub(super) fn run(args: &Simulate) -> CliResult {
    let shown = during("simulating", || simulate(args)).map_err(|what| Exit::Usage.with(anyhow::anyhow!(what)))?;
    if args.json {
        say(serde_json::to_string(&shown).map_err(|e| Exit::Internal.with(e))?);
    } else {
        let Simulate { days, every, seed, .. } = args;
        say(format!("simulated: {days} days from {START} on, a run every {every}, seed {seed}\n{}", table(&shown)));
    }
    Ok(match shown.verdict {
        Ruling::Passed => Exit::Yes,
        Ruling::Failed | Ruling::Doomed => Exit::No,
        Ruling::NotStarted | Ruling::Running | Ruling::InsufficientEvidence | Ruling::Stale | Ruling::Superseded => Exit::Undecided,
    })
}

/// The verdict; an error says what is wrong with the options.
fn simulate(args: &Simulate) -> Result<Shown, String> {
    let end = UnixMs(START.0 + i64::from(args.days) * DAY_MS);
    let grid = Grid::new(0, args.every.ms());
    let slots = grid.within(START, end);
    if slots > MAX_SLOTS {
        return Err(format!("{slots} slots are too many to simulate; expected at most {MAX_SLOTS}: fewer --days, or a longer --every"));
    }
    if let Some(late) = args.outage.iter().chain(&args.down).find(|s| s.day > args.days) {
        return Err(format!("day {} does not come in {} days; expected d1 to d{}", late.day, args.days, args.days));
    }
    if let Some(long) = args.outage.iter().chain(&args.down).find(|s| s.start().plus(s.span.0) > end) {
        let room = Span::seconds(u64::try_from((end.0 - long.start().0) / 1000).unwrap_or(0));
        return Err(format!(
            "{} from day {} on is longer than what is simulated; expected at most {room}@d{}",
            long.span, long.day, long.day
        ));
    }
    if args.throttle.0 > args.success.0 {
        let (throttled, fine) = (args.throttle.0, args.success.0);
        return Err(format!("--throttle {throttled} is more than does not fail; expected at most --success, which is {fine}"));
    }
    let policy = policy(args);
    let rules = Rules {
        policy: &policy,
        judge: args.asked.judge.unwrap_or(Judge::Ratio),
        throttled_excluded: args.asked.throttled_excluded,
        grid: Some(grid),
        exclusions: &[],
    };
    let id: CheckId = "simulated/production/integration/check".parse().map_err(|e: Expected| e.to_string())?;
    let frame = Frame::at(policy.start, policy.window, None, end);
    let fold = CheckFold::of(&frame, &rules, &history(args, grid, end)?);
    let checks = [CheckInput { id: &id, judged: true, rules, fold: &fold }];
    let input = Input {
        now: end,
        policy: &policy,
        since: policy.start,
        go_live: None,
        superseded: false,
        checks: &checks,
        seen: &Observations::default(),
        waivers: &[],
        attestations: &[],
        doubts: Doubts::default(),
    };
    Ok(shown(&input, &judge(&input)))
}

fn policy(args: &Simulate) -> Policy {
    let usual = Policy::new(Criticality::Normal, START);
    let asked = &args.asked;
    Policy {
        window: args.window,
        success_ratio: asked.success_ratio.unwrap_or(usual.success_ratio),
        confidence: asked.confidence.unwrap_or(usual.confidence),
        coverage: asked.coverage.unwrap_or(usual.coverage),
        longest_outage: asked.longest_outage.unwrap_or(usual.longest_outage),
        latency_p95: asked.latency_p95,
        throttled_ratio: asked.throttled_ratio.unwrap_or(usual.throttled_ratio),
        quota_headroom: asked.quota_headroom.unwrap_or(usual.quota_headroom),
        certificate_days: asked.certificate_days.unwrap_or(usual.certificate_days),
        reconciliation: asked.reconciliation.unwrap_or(usual.reconciliation),
        ..usual
    }
}

/// One run for each slot, in order; an error where not so many can fail and be throttled as is asked for.
fn history(args: &Simulate, grid: Grid, end: UnixMs) -> Result<Vec<Run>, String> {
    let mut numbers = Numbers(args.seed);
    let interval_ms = u32::try_from(grid.interval()).unwrap_or(u32::MAX);
    let slots = std::iter::successors(Some(grid.after(UnixMs(START.0 - 1))), |slot| Some(grid.after(*slot)));
    let mut runs: Vec<Run> = slots.take_while(|slot| *slot < end).map(|slot| passing(slot, interval_ms, &mut numbers)).collect();
    let mut ran: u64 = 0;
    for run in &mut runs {
        if args.down.iter().any(|d| d.holds(run.slot)) {
            let nobody = Run { outcome: Outcome::Unknown, class: Some(Class::Internal), cause: Some(Cause::Down), ..*run };
            *run = Run { duration: DurationCode(0), attempts: 0, first_attempt_passed: false, ..nobody };
            continue;
        }
        ran += 1;
        if args.outage.iter().any(|o| o.holds(run.slot)) {
            become_bad(run, Outcome::Fail);
        }
    }
    let failed = runs.iter().filter(|r| r.outcome == Outcome::Fail).count() as u64;
    let failures = Share::of(args.success).rest().round_of(ran).saturating_sub(failed);
    let throttled = Share::of(args.throttle).round_of(ran);
    // The first of a shuffled deck; it is shuffled no further than is dealt.
    let mut deck: Vec<usize> = runs.iter().enumerate().filter(|(_, r)| r.outcome == Outcome::Pass).map(|(n, _)| n).collect();
    let room = deck.len() as u64;
    if throttled > room {
        return Err(format!("--throttle wants {throttled} runs, but with --outage and --down only {room} are left that do not fail"));
    }
    for dealt in 0..deck.len().min(usize::try_from(failures + throttled).unwrap_or(usize::MAX)) {
        let drawn = dealt + numbers.below(deck.len() - dealt);
        deck.swap(dealt, drawn);
        let outcome = if (dealt as u64) < failures { Outcome::Fail } else { Outcome::Throttled };
        if let Some(run) = deck.get(dealt).and_then(|n| runs.get_mut(*n)) {
            become_bad(run, outcome);
        }
    }
    Ok(runs)
}

/// A pass; durations lie around 0.2 s.
fn passing(slot: UnixMs, interval_ms: u32, numbers: &mut Numbers) -> Run {
    let spread: usize = (0..4).map(|_| numbers.below(8)).sum();
    Run {
        slot,
        interval_ms,
        count: 1,
        outcome: Outcome::Pass,
        class: None,
        cause: None,
        attribution: None,
        duration: DurationCode(u16::try_from(142 + spread).unwrap_or(0)),
        attempts: 1,
        first_attempt_passed: true,
    }
}

fn become_bad(run: &mut Run, outcome: Outcome) {
    let class = if outcome == Outcome::Throttled { Class::Throttled } else { Class::ServerError };
    *run = Run { outcome, class: Some(class), first_attempt_passed: false, ..*run };
}

/// Numbers that look like chance and are the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if there is none.
    fn below(&mut self, n: usize) -> usize {
        usize::try_from((u128::from(self.next()) * n as u128) >> 64).unwrap_or(0)
    }
}

fn days(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|n| (1..=366).contains(n)).ok_or_else(|| "expected a whole number from 1 to 366".to_owned())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

fn whole_days(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|n| *n <= 36_500).ok_or_else(|| "expected a whole number from 0 to 36500".to_owned())
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|e: Expected| format!("expected {e}"))
}

fn between(text: &str, least: Span, most: Span) -> Result<Span, String> {
    span(text).and_then(|s| if (least..=most).contains(&s) { Ok(s) } else { Err(format!("expected {least} to {most}")) })
}

fn every(text: &str) -> Result<Span, String> {
    between(text, Span::seconds(1), Span::days(7))
}

fn outage(text: &str) -> Result<Span, String> {
    between(text, Span::seconds(0), Span::days(90))
}

fn latency(text: &str) -> Result<Span, String> {
    between(text, Span(Duration::from_millis(1)), Span::seconds(600))
}

fn times(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n| (1.0..=100.0).contains(n)).ok_or_else(|| "expected a number from 1 to 100, such as 1.5".to_owned())
}

fn window(text: &str) -> Result<Span, String> {
    let fits = |s: &Span| *s >= Span::seconds(3600) && *s <= Span::days(90) && s.ms() % crate::clock::HOUR_MS == 0;
    span(text).and_then(|s| Some(s).filter(fits).ok_or_else(|| "expected whole hours, 1h to 90d".to_owned()))
}

fn share(text: &str) -> Result<Ratio, String> {
    text.parse().ok().and_then(Ratio::new).ok_or_else(|| "expected a share from 0 to 1, such as 0.992".to_owned())
}

fn target(text: &str) -> Result<Ratio, String> {
    share(text).and_then(|r| if r.0 > 0.0 { Ok(r) } else { Err("expected a share above 0, such as 0.99".to_owned()) })
}

fn confidence(text: &str) -> Result<Confidence, String> {
    Confidence::parse(text).ok_or_else(|| "expected ratio or wilson95".to_owned())
}

fn how(text: &str) -> Result<Judge, String> {
    Judge::parse(text).ok_or_else(|| "expected ratio or every".to_owned())
}

fn spell(text: &str) -> Result<Spell, String> {
    let wrong = || "expected a span and a day, counted from 1, such as 40m@d3".to_owned();
    let (length, day) = text.split_once("@d").ok_or_else(wrong)?;
    let day: u16 = day.parse().ok().filter(|d| *d > 0).ok_or_else(wrong)?;
    Ok(Spell { span: length.parse().map_err(|_| wrong())?, day })
}
