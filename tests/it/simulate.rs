//! `soakwatch simulate`, the program as it is run: the cases issue 4 names, with exact counts.

use std::process::{Command, Output};

use serde_json::{Value, json};

fn simulate(options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soakwatch"));
    command.arg("simulate").args(options.split_whitespace()).output().unwrap()
}

/// The verdict object, which is there whatever the exit code; that follows from the verdict.
fn verdict(options: &str) -> Value {
    let output = simulate(&format!("--json {options}"));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{options}: {e} {output:?}"));
    let exit = match verdict["verdict"].as_str().unwrap() {
        "passed" => 0,
        "failed" | "doomed" => 1,
        "running" | "insufficient_evidence" => 2,
        other => panic!("{options}: {other} never comes of a simulation"),
    };
    assert!(output.status.code() == Some(exit) && output.stderr.is_empty(), "{options}: {output:?}");
    verdict
}

/// `met` of every criterion that was decided, by name.
fn met(verdict: &Value, wanted: bool) -> Vec<&str> {
    let criteria = verdict["criteria"].as_array().unwrap();
    criteria.iter().filter(|c| c["met"] == wanted).map(|c| c["name"].as_str().unwrap()).collect()
}

fn criterion<'v>(verdict: &'v Value, name: &str) -> &'v Value {
    verdict["criteria"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()
}

#[test]
fn point_992_passes() {
    let v = verdict("--days 7 --every 60s --success 0.992");
    assert_eq!((&v["verdict"], &v["doomed_at"]), (&json!("passed"), &Value::Null));
    assert_eq!(v["counts"], json!({ "due": 10_080, "pass": 9_999, "fail": 81, "throttled": 0, "unknown": 0, "skipped": 0 }));
    let budget = &v["budget"];
    assert_eq!([&budget["allowed"], &budget["used"], &budget["left"]], [100, 81, 19].map(|n| json!(n)).each_ref());
    assert_eq!(v["window"], json!({ "start": "2026-01-05T00:00:00Z", "end": "2026-01-12T00:00:00Z" }));
    assert_eq!(met(&v, true), ["success_ratio", "coverage", "sample_size", "longest_outage", "throttled_ratio"]);
    assert!(met(&v, false).is_empty());
}

#[test]
fn point_985_fails_and_was_doomed_before_the_end() {
    let v = verdict("--days 7 --every 60s --success 0.985");
    assert_eq!((&v["verdict"], &v["counts"]["fail"]), (&json!("failed"), &json!(151)));
    let doomed_at = v["doomed_at"].as_str().unwrap().to_owned();
    assert!(doomed_at.as_str() < "2026-01-12T00:00:00Z" && doomed_at.as_str() > "2026-01-05T00:00:00Z", "{doomed_at}");
    assert_eq!(met(&v, false), ["success_ratio"]);
}

#[test]
fn three_days_of_point_95_are_doomed() {
    let v = verdict("--days 3 --every 60s --success 0.95");
    assert_eq!((&v["verdict"], &v["counts"]["fail"], &v["counts"]["due"]), (&json!("doomed"), &json!(216), &json!(4_320)));
    assert!(v["doomed_at"].is_string() && met(&v, false) == ["success_ratio"]);
    let running = verdict("--days 3 --every 60s --success 0.98");
    assert_eq!((&running["verdict"], &running["counts"]["fail"]), (&json!("running"), &json!(86)), "86 of 100 are used up, and no more");
}

/// It is said on the run that makes it so: the 101st failure.
#[test]
fn doomed_is_said_at_the_failure_that_makes_it_so() {
    let v = verdict("--success 0 --longest-outage 7d --throttled-ratio 1");
    assert_eq!(v["doomed_at"], "2026-01-05T01:40:00Z");
    let v = verdict("--success 0");
    assert_eq!(v["doomed_at"], "2026-01-05T00:30:00Z", "by default the 31st minute of an outage does it");
}

#[test]
fn hourly_checks_are_too_few() {
    let v = verdict("--days 7 --every 1h");
    assert_eq!((&v["verdict"], met(&v, false)), (&json!("insufficient_evidence"), vec!["sample_size"]));
    assert_eq!((&criterion(&v, "sample_size")["threshold"], &criterion(&v, "sample_size")["observed"]), (&json!(381), &json!(168)));
    // Every 26 minutes are 388 runs in a week, every 27 are 374.
    assert_eq!(verdict("--every 26m")["verdict"], "passed");
    assert_eq!(verdict("--every 27m")["verdict"], "insufficient_evidence");
}

#[test]
fn downtime_lowers_coverage_and_not_the_ratio() {
    let v = verdict("--days 7 --every 60s --success 0.992 --down 2h@d5");
    assert_eq!((&v["verdict"], &v["counts"]["unknown"], &v["counts"]["fail"]), (&json!("passed"), &json!(120), &json!(80)));
    let coverage = criterion(&v, "coverage")["observed"].as_f64().unwrap();
    assert_eq!(coverage, 9_960.0 / 10_080.0);
    assert_eq!(criterion(&v, "success_ratio")["observed"].as_f64().unwrap(), 9_880.0 / 9_960.0);
    let v = verdict("--days 7 --every 60s --success 0.992 --down 12h@d5");
    assert_eq!((&v["verdict"], met(&v, false), &v["doomed_at"]), (&json!("insufficient_evidence"), vec!["coverage"], &Value::Null));
    let gap = &v["checks"][0]["longest_gap"];
    assert_eq!(gap, &json!({ "from": "2026-01-09T00:00:00Z", "seconds": 43_200 }), "the beginning of day 5");
}

#[test]
fn an_outage_of_40_minutes_breaks_longest_outage_only() {
    for seed in 1..=5 {
        let v = verdict(&format!("--days 7 --every 60s --success 0.992 --outage 40m@d3 --seed {seed}"));
        assert_eq!((&v["verdict"], met(&v, false)), (&json!("failed"), vec!["longest_outage"]), "seed {seed}");
        assert_eq!(v["counts"]["fail"], 81, "those of the outage are among them");
        assert!(criterion(&v, "longest_outage")["observed"].as_i64().unwrap() >= 2_400);
    }
    let v = verdict("--outage 40m@d3");
    assert_eq!(
        (&v["counts"]["fail"], &criterion(&v, "longest_outage")["observed"]),
        (&json!(40), &json!(2_400)),
        "if it alone has more, it is those"
    );
    assert_eq!(v["doomed_at"], "2026-01-07T00:30:00Z", "day 3 begins at hour 0");
    assert_eq!(verdict("--outage 30m@d3")["verdict"], "passed");
}

#[test]
fn throttled_runs_count_apart() {
    let v = verdict("--success 0.995 --throttle 0.004");
    assert_eq!((&v["counts"]["fail"], &v["counts"]["throttled"], &v["verdict"]), (&json!(50), &json!(40), &json!("passed")));
    assert_eq!(v["budget"]["used"], 90);
    let v = verdict("--success 0.992 --throttle 0.01");
    assert_eq!((&v["counts"]["throttled"], met(&v, false)), (&json!(101), vec!["success_ratio", "throttled_ratio"]));
    let v = verdict("--success 0.992 --throttle 0.01 --throttled-excluded --throttled-ratio 0.02");
    assert_eq!((&v["verdict"], &v["budget"]["used"]), (&json!("passed"), &json!(81)));
}

#[test]
fn thresholds_and_the_window_can_be_set() {
    assert_eq!(verdict("--success 0.992 --success-ratio 0.995")["verdict"], "failed");
    assert_eq!(verdict("--success 0.991 --confidence wilson95")["verdict"], "failed", "91 failures; the lower end takes 81");
    assert_eq!(verdict("--success 0.985 --success-ratio 0.98")["verdict"], "passed");
    assert_eq!(verdict("--success 0.9999 --judge every")["verdict"], "failed");
    assert_eq!(verdict("--latency-p95 100ms")["verdict"], "failed");
    assert_eq!(verdict("--down 12h@d5 --coverage 0.9")["verdict"], "passed");
    // Ten days under a window of a week: the last seven count, and day 1 has left.
    let v = verdict("--days 10 --outage 5h@d1");
    assert_eq!((&v["verdict"], &v["window"]["start"], &v["counts"]["fail"]), (&json!("passed"), &json!("2026-01-08T00:00:00Z"), &json!(0)));
    let v = verdict("--days 2 --window 1d");
    assert_eq!((&v["verdict"], &v["counts"]["due"]), (&json!("passed"), &json!(1_440)));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_another_history() {
    let bytes = |options: &str| simulate(options).stdout;
    assert_eq!(bytes("--success 0.99 --json --seed 7"), bytes("--success 0.99 --json --seed 7"));
    assert_ne!(bytes("--success 0.99 --json --seed 7"), bytes("--success 0.99 --json --seed 8"));
    // Written down, so that a machine or a release that places them elsewhere is noticed.
    assert_eq!(verdict("--success 0.985 --seed 1")["doomed_at"], "2026-01-09T19:19:00Z");
}

#[test]
fn a_run_each_second_is_sixty_times_as_many() {
    let many = verdict("--every 1s --success 0.995");
    assert_eq!((&many["counts"]["due"], &many["counts"]["fail"]), (&json!(604_800), &json!(3_024)));
}

#[test]
fn people_get_a_table_and_the_same_exit_code() {
    for (options, exit) in
        [("--success 0.992", 0), ("--success 0.985", 1), ("--days 3 --success 0.95", 1), ("--days 3", 2), ("--every 1h", 2)]
    {
        assert_eq!(simulate(options).status.code(), Some(exit), "{options}");
    }
    let text = String::from_utf8(simulate("--success 0.992 --down 12h@d5").stdout).unwrap();
    for line in [
        "simulated: 7 days from 2026-01-05T00:00:00Z on, a run every 1m, seed 1",
        "verdict: insufficient_evidence",
        "coverage >= 95 % 92.85 % no 92.85 % of 10080 due slots were run: 720 are missing, 95 % are asked for",
        "budget: 75 of 100 tolerable failures used, 25 left",
        "it can pass at the earliest at 2026-01-16T04:00:00Z",
    ] {
        // Widths follow the longest word of a column.
        let one_space = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().any(|l| one_space(l) == line), "{line}\n{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (options, words) in [
        ("--outage 40m@d8", "day 8 does not come in 7 days; expected d1 to d7"),
        ("--outage 40m", "such as 40m@d3"),
        ("--down 2h@d0", "such as 40m@d3"),
        ("--success 1.2", "expected a share from 0 to 1"),
        ("--success-ratio 0", "expected a share above 0"),
        ("--window 90m", "expected whole hours, 1h to 90d"),
        ("--every 10ms", "expected 1s to 7d"),
        ("--days 0", "expected a whole number from 1 to 366"),
        ("--days x", "expected a whole number from 1 to 366"),
        ("--seed x", "expected a whole number from 0 to 18446744073709551615"),
        ("--certificate-days x", "expected a whole number from 0 to"),
        ("--quota-headroom x", "expected a number from 1 to 100, such as 1.5"),
        ("--days 366 --every 1s", "too many to simulate"),
        ("--confidence much", "expected ratio or wilson95"),
        ("--outage 25h@d7", "1d1h from day 7 on is longer than what is simulated; expected at most 1d@d7"),
        ("--days 3 --down 3d@d2", "expected at most 2d@d2"),
        ("--success 0.5 --throttle 0.6", "--throttle 0.6 is more than does not fail; expected at most --success, which is 0.5"),
        ("--success 0.9 --throttle 0.9 --outage 3d@d1", "only 5760 are left that do not fail"),
        ("--success nan", "expected a share from 0 to 1"),
        ("--success-ratio 1.01", "expected a share from 0 to 1"),
        ("--success-ratio nan", "expected a share from 0 to 1"),
        ("--coverage 0", "expected a share above 0"),
        ("--coverage=-0.5", "expected a share from 0 to 1"),
        ("--throttled-ratio 2", "expected a share from 0 to 1"),
        ("--reconciliation inf", "expected a share from 0 to 1"),
        ("--quota-headroom nan", "expected a number from 1 to 100"),
        ("--quota-headroom=-1", "expected a number from 1 to 100"),
        ("--certificate-days 40000", "expected a whole number from 0 to 36500"),
        ("--latency-p95 0s", "expected 1ms to 10m"),
        ("--longest-outage 91d", "expected 0s to 90d"),
    ] {
        let output = simulate(options);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(64) && said.contains(words) && output.stdout.is_empty(),
            "{options}: {:?} {said}",
            output.status
        );
    }
    // To the last millisecond of what is simulated is not too long.
    assert_eq!(verdict("--outage 1d@d7")["counts"]["fail"], 1_440);
}
