//! Plans held to the judge: what is called provable passes if everything passes, and nothing else does.

use proptest::prelude::*;

use super::*;
use crate::board::{Board, CheckState};
use crate::budget::CheckBudget;
use crate::clock::HOUR_MS;
use crate::config::{LoadOptions, load};
use crate::record::Run;
use crate::slots::{Grid, not_due};
use crate::soak::{CheckFold, CheckInput, Doubts, Input, Observations, Rules, Ruling, judge};

/// 2026-11-16T08:00:00Z.
const START: UnixMs = UnixMs(1_794_816_000_000);

/// The board of one customer's file without problems of the grave kind.
fn board(text: &str) -> Board {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("customers/acme.toml"), format!("[customer]\nid = \"acme\"\n{text}")).unwrap();
    let loaded = load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: START });
    let board = Board::default();
    board.configure(&loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)));
    board
}

fn integration(keys: &str, soak: &str, checks: &[(&str, &str)]) -> String {
    let head = format!("[[integration]]\nid = \"crm\"\nenvironment = \"production\"\n{keys}\n{soak}\n");
    let check = |(id, keys): &(&str, &str)| {
        format!("[[integration.check]]\nid = \"{id}\"\n{keys}\n[integration.check.http]\nurl = \"https://api.example.com/\"\n")
    };
    head + &checks.iter().map(check).collect::<String>()
}

fn planned(board: &Board, paces: &Views, now: UnixMs) -> IntegrationPlan {
    planned_after(board, &History::default(), paces, now)
}

fn planned_after(board: &Board, history: &History, paces: &Views, now: UnixMs) -> IntegrationPlan {
    board.read(|entries| plan(entries.iter().map(|e| (e, history.clone())), paces, now)).integrations.remove(0)
}

fn pace(factor: u32) -> CheckBudget {
    CheckBudget {
        host: "api.example.com:443".into(),
        quota: None,
        allowed_per_s: 1.0,
        wanted_per_s: 2.0,
        shared_by: 1,
        factor,
        effective_interval: Span::seconds(1),
        tokens: 1.0,
        hold: None,
    }
}

/// The verdict if everything that can be run passes: in each window slots in maintenance are not due, and of the others one in so many runs.
fn best_ruling(entry: &IntegrationEntry, go_live: UnixMs, one_in: usize) -> Ruling {
    let policy = entry.def.soak.as_ref().unwrap();
    let frame = Frame::at(policy.start, policy.window, Some(go_live), go_live);
    let def = &entry.checks[0].def;
    let rules = Rules { policy, judge: def.judge, throttled_excluded: false, grid: Some(Grid::of(def)), exclusions: &[] };
    let (grid, mut slot, mut n) = (Grid::of(def), Grid::of(def).after(UnixMs(frame.window.start.0 - 1)), 0);
    let mut runs = Vec::new();
    while slot < frame.window.end {
        let cause = not_due(&def.integration, slot);
        n += usize::from(cause.is_none());
        let outcome = match cause {
            Some(_) => crate::outcome::Outcome::NotDue,
            None if n.is_multiple_of(one_in) => crate::outcome::Outcome::Pass,
            None => crate::outcome::Outcome::Skipped,
        };
        let record = crate::record::Record::not_run(
            def.id.clone(),
            slot,
            u32::try_from(grid.interval()).unwrap(),
            1,
            crate::outcome::Cause::RateLimit,
        );
        runs.push(Run { outcome, cause: None, ..Run::of(&record) });
        slot = grid.after(slot);
    }
    let fold = CheckFold::of(&frame, &rules, &runs);
    let checks = [CheckInput { id: &def.id, judged: true, rules, fold: &fold }];
    let seen = Observations::default();
    let input = Input {
        now: go_live,
        policy,
        since: policy.start,
        go_live: Some(go_live),
        superseded: false,
        checks: &checks,
        seen: &seen,
        waivers: &entry.def.waivers,
        attestations: &[],
        doubts: Doubts::default(),
    };
    judge(&input).ruling
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_provable_passes_if_everything_passes_and_nothing_else_does(
        every_s in prop_oneof![30u64..900, 900u64..4_000, 10_000u64..50_000],
        days in 1u64..8,
        later_h in 0i64..50,
        target in prop::sample::select(vec!["0.5", "0.9", "0.99", "1.0"]),
        coverage in prop::sample::select(vec!["0.5", "0.9", "0.95", "1.0"]),
        by in prop::sample::select(vec!["ratio", "every"]),
        maintenance in prop::collection::vec((0i64..150, 0i64..12), 0..3),
        one_in in prop_oneof![3 => Just(1u32), 1 => 2u32..4],
        waived in prop::option::of(prop::sample::select(vec!["coverage", "sample_size", "every_run"])),
    ) {
        let go_live = UnixMs(START.0 + (24 * i64::try_from(days).unwrap() + later_h) * HOUR_MS);
        let windows: Vec<String> = maintenance
            .iter()
            .map(|(from, hours)| {
                let start = UnixMs(START.0 + from * HOUR_MS);
                let end = UnixMs(start.0 + hours * HOUR_MS + 60_000);
                format!("{{ start = {start}, end = {end}, reason = \"x\", by = \"y\" }}")
            })
            .collect();
        let waiver = waived.map_or_else(String::new, |c| {
            format!("[[integration.waiver]]\ncriterion = \"{c}\"\nreason = \"x\"\napprover = \"y\"\nuntil = 2027-12-01T00:00:00Z\n")
        });
        let keys = format!("go_live = {go_live}\nmaintenance = [{}]", windows.join(", "));
        let soak = format!("soak = {{ start = {START}, window = \"{days}d\", success_ratio = {target}, coverage = {coverage} }}\n{waiver}");
        let board = board(&integration(&keys, &soak, &[("a", &format!("every = \"{every_s}s\"\njudge = \"{by}\""))]));
        let entry = board.read(|e| e[0].clone());
        let paces = Views::from([(entry.checks[0].def.id.clone(), pace(one_in))]);
        let plan = planned(&board, &paces, START);
        let ruling = best_ruling(&entry, go_live, one_in as usize);
        prop_assert_eq!(plan.answer == Answer::Provable, ruling == Ruling::Passed, "{:?} but {:#?}", ruling, plan);
        prop_assert!(plan.answer != Answer::Unknown);
        // The interval that is advised gives runs enough, also outside of what maintenance takes.
        for f in plan.findings.iter().filter(|f| f.answer == Answer::NotProvable && f.change.starts_with("every = \"")) {
            let advised = f.change.split('"').nth(1).unwrap();
            let board = super::tests::board(&integration(&keys, &soak, &[("a", &format!("every = \"{advised}\"\njudge = \"{by}\""))]));
            let better = planned(&board, &Views::new(), START);
            let check = &better.checks[0];
            prop_assert!(check.runs >= check.runs_needed && check.one_in == 1, "{f:?}: {better:#?}");
        }
        prop_assert!(plan.findings.iter().all(|f| f.answer == Answer::Provable || !f.change.is_empty()), "{:#?}", plan.findings);
    }
}

fn against(plan: &IntegrationPlan) -> Vec<String> {
    let grave = plan.findings.iter().filter(|f| f.answer != Answer::Provable);
    grave.map(|f| format!("{} {}: {} -> {}", f.answer, f.check.as_deref().unwrap_or("-"), f.what, f.change)).collect()
}

const WEEK: &str = "soak = { start = 2026-11-16T08:00:00Z }";

#[test]
fn a_plan_that_holds() {
    let board = board(&integration("go_live = 2026-12-01T08:00:00Z", WEEK, &[("a", "every = \"60s\"")]));
    let plan = planned(&board, &Views::new(), UnixMs(START.0 - HOUR_MS));
    assert_eq!((plan.answer, against(&plan)), (Answer::Provable, Vec::new()));
    let times = [&plan.earliest_pass, &plan.from, &plan.until].map(|t| t.as_deref().unwrap_or_default());
    assert_eq!(times, ["2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", "2026-12-01T08:00:00Z"]);
    let c = &plan.checks[0];
    assert_eq!((c.slots, c.runs, c.runs_needed, c.may_fail, c.in_a_row), (Some(10_080), Some(10_080), Some(381), Some(100), Some(30)));
}

#[test]
fn a_start_that_has_gone_by_unwatched_moves_the_earliest_time() {
    let board = board(&integration("go_live = 2026-11-24T08:00:00Z", WEEK, &[("a", "every = \"60s\"")]));
    let now = UnixMs(START.0 + 48 * HOUR_MS);
    let plan = planned(&board, &Views::new(), now);
    assert_eq!(
        against(&plan),
        ["not_provable -: go-live (2026-11-24T08:00:00Z) comes before it can be green, 2026-11-25T08:00:00Z at the earliest -> \
          go_live = 2026-11-25T08:00:00Z or later, an earlier soak.start, or a shorter soak.window"]
    );
    // The same while it is watched.
    let id = board.read(|e| e[0].checks[0].def.id.clone());
    board.update(&id, |_, state| state.last_run = Some(now));
    assert_eq!(planned(&board, &Views::new(), now).answer, Answer::Provable);
}

#[test]
fn what_was_recorded_counts() {
    let soak = "soak = { start = 2026-11-16T08:00:00Z, attest = [\"uat_signoff\", \"support_handoff\"] }";
    let board = board(&integration("go_live = 2026-11-25T08:00:00Z", soak, &[("a", "every = \"60s\"")]));
    let now = UnixMs(START.0 + 48 * HOUR_MS);
    let id = board.read(|e| e[0].checks[0].def.id.clone());
    board.update(&id, |_, state| state.last_run = Some(now));
    let attested = |name: &str, until| Attestation { name: name.into(), value: None, by: "j.doe".into(), at: START, until };
    let until = UnixMs(START.0 + 9 * 24 * HOUR_MS);
    let attestations = vec![attested("uat_signoff", None), attested("support_handoff", Some(until))];
    let mut history = History { since: Some(START.plus(Span::days(1).0)), change: Some(Change::None), attestations, so_far: None };
    let plan = planned_after(&board, &history, &Views::new(), now);
    assert_eq!(plan.earliest_pass.as_deref(), Some("2026-11-24T08:00:00Z"));
    assert_eq!(plan.attest, ["support_handoff"], "what ends with the window does not hold then");
    history.change = Some(Change::Some(vec!["check.a.retries".into()]));
    let plan = planned_after(&board, &history, &Views::new(), now);
    assert_eq!((plan.answer, plan.earliest_pass.as_deref()), (Answer::Provable, Some("2026-11-25T08:00:00Z")));
    let words = "what is judged differs from what the daemon took over before (check.a.retries): the soak starts again";
    assert!(plan.findings.iter().any(|f| f.what == words), "{:?}", plan.findings);
    assert_eq!(planned_after(&board, &history, &Views::new(), UnixMs(now.0 + 1)).answer, Answer::NotProvable);
    history.change = Some(Change::Unsure(vec!["check.a.http.ca".into()]));
    assert!(planned_after(&board, &history, &Views::new(), now).findings[0].what.ends_with("files can't be read (check.a.http.ca)"));
}

#[test]
fn certificates_and_quotas_that_were_observed_are_weighed() {
    let keys = "go_live = 2026-12-01T08:00:00Z\nvolume = { peak = \"60/min\" }";
    let soak = "soak = { start = 2026-11-16T08:00:00Z, certificate_days = 30, quota_headroom = 2, reconciliation = 0.99 }";
    let board = board(&integration(keys, soak, &[("a", "every = \"60s\"")]));
    let plan = planned(&board, &Views::new(), START);
    assert_eq!(plan.answer, Answer::Unknown);
    assert_eq!(
        against(&plan),
        [
            "unknown -: no certificate was observed yet, and soak.certificate_days asks for it -> it is seen once the checks run; soakwatch probe shows it now",
            "unknown -: no limit was told yet that fits the declared volume, and soak.quota_headroom asks for it -> it is told once the checks run",
            "unknown -: nothing was reconciled yet, and soak.reconciliation asks for it -> a check that reconciles, or no soak.reconciliation",
        ]
    );
    let id = board.read(|e| e[0].checks[0].def.id.clone());
    let end = START.plus(Span::days(15).0);
    let mut limits = crate::ratelimit::Limits::default();
    limits.apply(&[crate::ratelimit::Reading {
        policy: "default".into(),
        limit: Some(90),
        window_s: Some(60),
        at: START,
        ..Default::default()
    }]);
    board.update(&id, |_, state| {
        *state = CheckState { certificate_expiry: Some(end.plus(Span::days(29).0)), limits, ..CheckState::default() }
    });
    let plan = planned(&board, &Views::new(), START);
    assert_eq!(
        against(&plan)[..2],
        [
            "not_provable a: a certificate ends at 2026-12-30T08:00:00Z: 29 days after the window, and soak.certificate_days asks for 30 -> \
             have it renewed before the window ends",
            "not_provable -: the limit they tell is 1.5 × the declared volume, and 2 × is asked for -> \
             a higher limit on their side, or a declared volume that is what will be sent",
        ]
    );
    board.update(&id, |_, state| state.certificate_expiry = Some(end));
    assert!(
        against(&planned(&board, &Views::new(), START))[0].contains("a certificate ends at 2026-12-01T08:00:00Z, before the window does")
    );
}

#[test]
fn each_obstacle_says_what_to_change() {
    let said = |keys: &str, soak: &str, checks: &[(&str, &str)], factor: u32| {
        let board = board(&integration(keys, soak, checks));
        let paces = board.read(|e| e[0].checks.iter().map(|c| (c.def.id.clone(), pace(factor))).collect());
        against(&planned(&board, &paces, START)).join("\n")
    };
    let minute = [("a", "every = \"60s\"")];
    assert_eq!(
        said("", "", &minute, 1),
        "not_provable -: it has no soak: nothing judges it, and the gate never says go -> add soak = { start = ... } to it, or move it to an \
         environment that needs no gate"
    );
    assert!(said("paused = { reason = \"x\", by = \"y\" }", WEEK, &minute, 1).contains("-: it is paused: nothing runs"));
    assert!(said("", WEEK, &[("a", "every = \"60s\"\njudged = false")], 1).contains("-: none of its checks is judged"));
    assert_eq!(
        said("", WEEK, &[("a", "every = \"1h\"")], 1),
        "not_provable a: 168 runs are too few to show a success_ratio of 99 %: it takes 381, even if all pass -> every = \"26m\" or less, a longer \
         soak.window, or judge = \"every\" if it is rare by nature"
    );
    let widened = said("", WEEK, &minute, 2);
    assert!(widened.contains("a: coverage can't be more than 50 %, and 95 % are asked for: only every 2nd slot runs"), "{widened}");
    assert!(
        widened
            .ends_with("only every 2nd slot runs, because this check alone wants 2 of 1/s (max_rate, while no quota is told) -> every = \"2m\", so that each slot is run; or a higher max_rate, if their side agrees"), "{widened}"
    );
    let strict = said("", "soak = { start = 2026-11-16T08:00:00Z, success_ratio = 1 }", &minute, 1);
    assert!(strict.contains("no number of runs shows a success_ratio of 100 %"), "{strict}");
    let rare = said("", "soak = { start = 2026-11-16T08:00:00Z, window = \"1h\" }", &[("a", "every = \"7d\"\njudge = \"every\"")], 1);
    assert!(rare.contains("a: it has no slot in the window"), "{rare}");
}

#[test]
fn a_waiver_counts_only_while_it_is_in_force() {
    let plan = |until: &str| {
        let waiver =
            format!("[[integration.waiver]]\ncriterion = \"sample_size\"\nreason = \"x\"\napprover = \"j.doe\"\nuntil = {until}\n");
        let board = board(&integration("go_live = 2026-12-01T08:00:00Z", &format!("{WEEK}\n{waiver}"), &[("a", "every = \"1h\"")]));
        planned(&board, &Views::new(), START)
    };
    let (held, ended) = (plan("2026-12-01T08:00:01Z"), plan("2026-12-01T08:00:00Z"));
    assert_eq!((held.answer, ended.answer), (Answer::Provable, Answer::NotProvable));
    assert!(held.findings.iter().any(|f| f.what.ends_with("even if all pass; waived (sample_size)")), "{:?}", held.findings);
    let words = "the waiver for sample_size ends at 2026-12-01T08:00:00Z, before the window does (2026-12-01T08:00:00Z)";
    assert!(ended.findings.iter().any(|f| f.what == words), "{:?}", ended.findings);
}

#[test]
fn what_arrives_from_outside_has_no_numbers() {
    let text = "[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nsoak = { start = 2026-11-16T08:00:00Z, attest = [\"uat_signoff\"] }\n\
                [[integration.check]]\nid = \"a\"\nevery = \"1h\"\n[integration.check.told]\n";
    let plan = planned(&board(text), &Views::new(), START);
    assert_eq!((plan.answer, plan.checks[0].slots, &plan.attest[..]), (Answer::Provable, None, &["uat_signoff".to_owned()][..]));
    assert!(plan.findings.iter().any(|f| f.what.starts_with("its runs arrive from outside")));
}
