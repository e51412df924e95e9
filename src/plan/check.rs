//! One judged check in the window: how many slots it has, how many of them can be run, and whether that is enough. The counting is the judge's own: a test
//! holds it to `soak::judge`.

use serde::Serialize;

use super::Answer;
use super::past::{Counted, Past};
use super::weigh::Weigh;
use crate::board::CheckEntry;
use crate::budget::CheckBudget;
use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::fields::Span;
use crate::limits::words::{ordinal, reason};
use crate::outcome::{Cause, Outcome};
use crate::slots::{Grid, account_gap};
use crate::soak::{Criterion, Judge, Policy, Share, Window, allowed, percent};

/// Of the slots of a window at most one in so many is taken out because it was not due (product.md: 5 %).
const NOT_DUE_ONE_IN: u64 = 20;

/// No check runs more rarely.
const LONGEST: Span = Span::days(7);

/// A judged check in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckPlan {
    /// Its own id.
    pub check: String,
    /// How its runs are judged.
    pub judge: Judge,
    /// Its interval.
    pub every: Span,
    /// Slots in the window; absent: its runs arrive, and nobody knows how many will.
    pub slots: Option<u64>,
    /// Of these, slots in declared maintenance.
    pub maintenance: u64,
    /// Every so many slots run, so that no more is sent than is ours; 1: all.
    pub one_in: u32,
    /// What that comes from.
    pub pace: Option<String>,
    /// Checks that share the pace, this one included.
    #[serde(skip)]
    shared_by: usize,
    /// Slots that can be run.
    pub runs: Option<u64>,
    /// Runs it takes to show the target; absent: each run is judged by itself, or no number is enough.
    pub runs_needed: Option<u64>,
    /// Of what is due so much can be run, 0 to 1.
    pub coverage: Option<f64>,
    /// So many of these runs may fail.
    pub may_fail: Option<u64>,
    /// So many of them one after the other.
    pub in_a_row: Option<u64>,
    /// Slots of the window that have gone by without a run, and runs of it that have failed; absent: nothing of it has gone by that is known.
    pub missed_so_far: Option<u64>,
    /// See there.
    pub failed_so_far: Option<u64>,
    /// Whether the pace comes from a quota that was told; else it is `max_rate`.
    #[serde(skip)]
    quota_told: bool,
}

/// What a check is planned by.
struct Of<'a> {
    def: &'a CheckDef,
    policy: &'a Policy,
    window: Window,
}

/// What is known of a check beside its definition: the pace that holds for it, and what became of its slots so far.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) pace: Option<&'a CheckBudget>,
    pub(super) past: Option<&'a Past>,
}

/// The counts of the window if everything is run that can be.
struct Counts {
    slots: u64,
    maintenance: u64,
    due: u64,
    runs: u64,
    missed: u64,
    failed: u64,
}

fn counts(def: &CheckDef, window: Window, one_in: u32, past: Option<&Past>) -> Counts {
    let grid = Grid::of(def);
    let (from, past) = past.map_or((window.start, Counted::default()), |p| p.counted(grid, window));
    let to_come = grid.within(from, window.end);
    // A pause is told apart; here it is taken to be over.
    let integration = crate::config::model::Integration { paused: None, ..(*def.integration).clone() };
    let def = CheckDef { integration: integration.into(), ..def.clone() };
    let gap = account_gap(&def, UnixMs(from.0 - 1), UnixMs(window.end.0 - 1), Cause::Down);
    let declared: u64 = gap.iter().filter(|r| r.outcome == Outcome::NotDue).map(|r| u64::from(r.count)).sum();
    let (slots, maintenance) = (past.slots + to_come, past.not_due + declared);
    let due = slots - u64::min(maintenance, slots / NOT_DUE_ONE_IN);
    let runs = past.run + (to_come - declared) / u64::from(one_in.max(1));
    Counts { slots, maintenance, due, runs, missed: past.missed(), failed: past.failed }
}

/// Whether what has gone by leaves a window a chance, if every slot that is to come is run and passes.
pub(super) fn holds(def: &CheckDef, policy: &Policy, window: Window, past: &Past) -> bool {
    let c = counts(def, window, 1, Some(past));
    // What even a window without a past does not reach is not for lack of time.
    let never = || counts(def, window, 1, None);
    match def.judge {
        Judge::Every => c.failed == 0 && (c.runs >= c.due || never().runs < never().due),
        Judge::Ratio => {
            let covers = |c: &Counts| Share::of(policy.coverage).reached(c.runs, c.due);
            c.failed <= allowed(policy.success_ratio, policy.confidence, c.runs) && (covers(&c) || !covers(&never()))
        }
    }
}

/// Plans a check.
pub(super) fn plan(entry: &CheckEntry, policy: &Policy, window: Window, known: Known<'_>, weigh: &mut Weigh<'_>) -> CheckPlan {
    let Known { pace, past } = known;
    let def = &*entry.def;
    let mut plan = CheckPlan {
        check: def.id.check().to_owned(),
        judge: def.judge,
        every: def.every,
        slots: None,
        maintenance: 0,
        one_in: 1,
        pace: None,
        shared_by: pace.map_or(1, |p| p.shared_by),
        runs: None,
        runs_needed: (def.judge == Judge::Ratio).then(|| Share::of(policy.success_ratio).runs_needed()).flatten(),
        coverage: None,
        may_fail: None,
        in_a_row: None,
        missed_so_far: None,
        failed_so_far: None,
        quota_told: pace.is_some_and(|p| p.quota.is_some()),
    };
    if !def.kind.is_asked() {
        let what = "its runs arrive from outside: whether enough come can't be said before".to_owned();
        weigh.worth_knowing(Some(&plan.check), what, String::new());
        return plan;
    }
    plan.one_in = pace.map_or(1, |p| p.factor.max(1));
    plan.pace = pace.filter(|p| p.factor > 1).map(reason);
    let c = counts(def, window, plan.one_in, past);
    (plan.missed_so_far, plan.failed_so_far) = (past.map(|_| c.missed), past.map(|_| c.failed));
    (plan.slots, plan.maintenance, plan.runs) = (Some(c.slots), c.maintenance, Some(c.runs));
    plan.coverage = (c.due > 0).then(|| c.runs as f64 / c.due as f64);
    let (may_fail, in_a_row) = match def.judge {
        Judge::Ratio => (allowed(policy.success_ratio, policy.confidence, c.runs), policy.longest_outage.ms() / def.every.ms().max(1)),
        Judge::Every => (0, 0),
    };
    let in_a_row = u64::try_from(in_a_row).unwrap_or(0).min(may_fail);
    (plan.may_fail, plan.in_a_row) = (Some(may_fail), Some(in_a_row));
    failed(&plan, &c, weigh);
    coverage(&plan, &c, policy, weigh);
    match def.judge {
        Judge::Ratio => ratio(&plan, &c, &Of { def, policy, window }, weigh),
        Judge::Every => every(&plan, &c, weigh),
    }
    plan
}

/// What has failed already.
fn failed(plan: &CheckPlan, c: &Counts, weigh: &mut Weigh<'_>) {
    let may_fail = plan.may_fail.unwrap_or(0);
    if c.failed == 0 {
        return;
    }
    if c.failed <= may_fail {
        let what = format!("{} runs of the window have failed so far, {} more may", c.failed, may_fail - c.failed);
        weigh.worth_knowing(Some(&plan.check), what, String::new());
        return;
    }
    let criterion = if plan.judge == Judge::Every { Criterion::EveryRun } else { Criterion::SuccessRatio };
    let what = format!("{} runs of the window have failed so far, and at most {may_fail} may", c.failed);
    weigh.criterion(Answer::NotProvable, criterion, Some(&plan.check), what, "a later go_live, so that they leave the window".into());
}

fn coverage(plan: &CheckPlan, c: &Counts, policy: &Policy, weigh: &mut Weigh<'_>) {
    if c.due == 0 {
        let what = format!("it has no slot in the window: it runs every {}", plan.every);
        weigh.against_check(&plan.check, what, "a shorter every, or a longer soak.window".into());
        return;
    }
    if c.runs == 0 {
        let what = format!("none of its {} slots in the window can be run: {}", c.slots, why(plan, c));
        weigh.against_check(&plan.check, what, room(plan, c));
        return;
    }
    if Share::of(policy.coverage).reached(c.runs, c.due) {
        // Where each run counts more is said of it.
        let tells = plan.judge == Judge::Ratio && (plan.one_in > 1 || c.missed > 0 || c.maintenance > c.slots / NOT_DUE_ONE_IN);
        if tells {
            let what = format!("coverage is {} at best ({})", percent(c.runs as f64 / c.due as f64), why(plan, c));
            weigh.worth_knowing(Some(&plan.check), what, String::new());
        }
        return;
    }
    let (best, asked) = (percent(c.runs as f64 / c.due as f64), percent(policy.coverage.0));
    let what = format!("coverage can't be more than {best}, and {asked} are asked for: {}", why(plan, c));
    let change = room(plan, c);
    weigh.criterion(Answer::NotProvable, Criterion::Coverage, Some(&plan.check), what, change);
}

/// What takes slots away.
fn why(plan: &CheckPlan, c: &Counts) -> String {
    let mut why = Vec::new();
    if let Some(pace) = &plan.pace {
        // The pace says the same first.
        let because = pace.split_once(": ").map_or(pace.as_str(), |(_, because)| because);
        why.push(format!("only every {} slot runs, because {because}", ordinal(plan.one_in)));
    }
    if c.missed > 0 {
        why.push(format!("{} of its slots have gone by without a run", c.missed));
    }
    if c.maintenance > 0 {
        let most = c.slots / NOT_DUE_ONE_IN;
        why.push(format!("{} of {} slots lie in declared maintenance, of which at most {most} are taken out", c.maintenance, c.slots));
    }
    why.join("; ")
}

/// What brings more runs.
fn room(plan: &CheckPlan, c: &Counts) -> String {
    if plan.one_in > 1 {
        return slower(plan, c);
    }
    if c.missed > 0 {
        return "a later go_live, so that what was not run leaves the window".to_owned();
    }
    "less maintenance in the window, or another go_live".to_owned()
}

/// More requests that are ours.
fn more_of_it(plan: &CheckPlan) -> &'static str {
    if plan.quota_told { "a higher quota_share, or a higher quota on their side" } else { "a higher max_rate, if their side agrees" }
}

/// An interval at which every slot runs, where that is still often enough; else more of the quota.
fn slower(plan: &CheckPlan, c: &Counts) -> String {
    let more = more_of_it(plan);
    let enough = plan.judge == Judge::Every || plan.runs_needed.is_some_and(|needed| c.runs >= needed);
    if !enough {
        return more.to_owned();
    }
    let every = Span(plan.every.0 * plan.one_in);
    if every > LONGEST {
        return more.to_owned();
    }
    let others = match plan.shared_by {
        0 | 1 => "",
        _ => ", the others that share the pace slowed alike",
    };
    format!("every = \"{every}\", so that each slot is run{others}; or {more}")
}

fn ratio(plan: &CheckPlan, c: &Counts, of: &Of<'_>, weigh: &mut Weigh<'_>) {
    let policy = of.policy;
    let target = percent(policy.success_ratio.0);
    let Some(needed) = plan.runs_needed else {
        let what = format!("no number of runs shows a success_ratio of {target}");
        let change = "a soak.success_ratio below 1, such as 0.999".to_owned();
        weigh.criterion(Answer::NotProvable, Criterion::SampleSize, Some(&plan.check), what, change);
        return;
    };
    if c.runs < needed {
        let what = format!("{} runs are too few to show a success_ratio of {target}: it takes {needed}, even if all pass", c.runs);
        weigh.criterion(Answer::NotProvable, Criterion::SampleSize, Some(&plan.check), what, more_runs(plan, c, of, needed));
        return;
    }
    if plan.in_a_row == Some(0) {
        let what = match plan.may_fail {
            Some(0) => "not a single run may fail".to_owned(),
            _ => {
                format!("a single failed run fails the soak: it is an outage of {}, and {} are allowed", plan.every, policy.longest_outage)
            }
        };
        weigh.worth_knowing(Some(&plan.check), what, format!("every = \"{}\" or less, if that is too strict", often(of, needed)));
    }
}

fn more_runs(plan: &CheckPlan, c: &Counts, of: &Of<'_>, needed: u64) -> String {
    if plan.one_in > 1 && c.slots - c.maintenance >= needed {
        return format!("{}, or a longer soak.window", more_of_it(plan));
    }
    format!("every = \"{}\" or less, a longer soak.window, or judge = \"every\" if it is rare by nature", often(of, needed))
}

/// A long interval that gives enough runs, also outside of maintenance, and lets one of them fail; in whole minutes where it is some.
fn often(of: &Of<'_>, needed: u64) -> Span {
    let outage = of.policy.longest_outage.0.as_secs();
    let mut s = of.policy.window.0.as_secs() / needed.max(1);
    s = if outage > 0 { s.min(outage) } else { s };
    loop {
        let every = Span::seconds(if s >= 120 { s / 60 * 60 } else { s.max(1) });
        let runs = counts(&CheckDef { every, ..of.def.clone() }, of.window, 1, None).runs;
        if runs >= needed || s <= 1 {
            return every;
        }
        // At least a tenth less each time: it ends.
        s = (u128::from(s) * u128::from(runs) / u128::from(needed)).try_into().unwrap_or(s).min(s - s.div_ceil(10));
    }
}

fn every(plan: &CheckPlan, c: &Counts, weigh: &mut Weigh<'_>) {
    let missing = c.due.saturating_sub(c.runs);
    if missing > 0 && c.due > 0 {
        let what = format!("each of its {} due runs must be there, and {missing} can't be: {}", c.due, why(plan, c));
        let change = room(plan, c);
        weigh.criterion(Answer::NotProvable, Criterion::EveryRun, Some(&plan.check), what, change);
    }
}
