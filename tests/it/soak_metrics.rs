//! What a scrape says of soaks and gates: the numbers of the worst judged check, the state sets, and nothing where nothing is known.

use soakwatch::readiness::Soaks;

use crate::metrics::encoded_with;
use crate::soaked_estate::{Soaked, plainly_soaked};
use crate::support::daemon::series;

fn scrape(s: &Soaked) -> String {
    encoded_with(&s.config, &s.board, &s.soaks)
}

/// A number of an integration's soak.
fn of(text: &str, name: &str, integration: &str) -> Option<f64> {
    series(text, &format!("soakwatch_gate_{name}"), &[&format!("integration=\"{integration}\""), "gate=\"go_live\""])
}

/// The members of a state set, and which are 1.
fn set(text: &str, name: &str, label: &str, of: &[&str]) -> (usize, Vec<String>) {
    let lines = text.lines().filter(|l| l.starts_with(&format!("{name}{{")) && of.iter().all(|o| l.contains(o)));
    let member = |l: &str| l.split(&format!("{label}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let all: Vec<(String, bool)> = lines.map(|l| (member(l), l.ends_with(" 1"))).collect();
    (all.len(), all.into_iter().filter(|(_, on)| *on).map(|(m, _)| m).collect())
}

#[test]
fn verdicts_and_answers_are_state_sets() {
    let text = scrape(&plainly_soaked());
    for (integration, verdict) in
        [("orders", "passed"), ("stock", "doomed"), ("feed", "running"), ("api", "superseded"), ("directory", "passed")]
    {
        let found = set(&text, "soakwatch_soak_verdict", "verdict", &[&format!("integration=\"{integration}\"")]);
        assert_eq!(found, (8, vec![verdict.to_owned()]), "{integration}");
    }
    for (customer, environment, answer) in [("acme", "production", "no_go"), ("acme", "staging", "not_yet"), ("globex", "production", "go")]
    {
        let here = [&*format!("customer=\"{customer}\""), &*format!("environment=\"{environment}\"")];
        assert_eq!(set(&text, "soakwatch_gate_answer", "answer", &here), (3, vec![answer.to_owned()]), "{customer}/{environment}");
    }
    // Nothing judges these.
    for nothing in ["integration=\"plain\"", "integration=\"archive\""] {
        assert!(!text.lines().any(|l| (l.starts_with("soakwatch_gate_") || l.starts_with("soakwatch_soak_")) && l.contains(nothing)));
    }
    assert_eq!(set(&text, "soakwatch_gate_answer", "answer", &["customer=\"initech\""]), (0, Vec::new()));
}

#[test]
fn numbers_are_those_of_the_worst_judged_check() {
    let text = scrape(&plainly_soaked());
    let close = |a: Option<f64>, b: f64| assert!(a.is_some_and(|a| (a - b).abs() < 1e-9), "{a:?} is not {b}");
    // levels: 87 of 864 failed; moves: none.
    close(of(&text, "success_ratio", "stock"), 777.0 / 864.0);
    assert!(of(&text, "success_lower_bound_ratio", "stock").is_some_and(|x| x < 777.0 / 864.0 && x > 0.87));
    assert_eq!(of(&text, "error_budget_remaining_ratio", "stock"), Some(0.0));
    assert_eq!((of(&text, "coverage_ratio", "stock"), of(&text, "samples", "stock")), (Some(1.0), Some(864.0)));
    close(of(&text, "progress_ratio", "stock"), 3.0 / 7.0);
    assert_eq!((of(&text, "longest_gap_seconds", "stock"), of(&text, "excluded_ratio", "stock")), (Some(0.0), Some(0.0)));
    // The informational check that always fails is nowhere. 6 of 168 h are missing, 1 h is excluded.
    close(of(&text, "coverage_ratio", "orders"), (167.0 * 12.0 - 72.0) / (167.0 * 12.0));
    close(of(&text, "excluded_ratio", "orders"), 1.0 / 168.0);
    assert_eq!(of(&text, "samples", "orders"), Some(167.0 * 12.0 - 72.0));
    assert_eq!(of(&text, "longest_gap_seconds", "orders"), Some(6.0 * 3_600.0));
    assert_eq!(of(&text, "window_start_timestamp_seconds", "orders"), Some(crate::estate::NOW.seconds() - 7.0 * 86_400.0));
    // Throttled runs use the budget up (one of six falls into the maintenance); an hour of maintenance is taken out.
    close(of(&text, "excluded_ratio", "feed"), 12.0 / 576.0);
    close(of(&text, "error_budget_remaining_ratio", "feed"), (20.0 - 5.0) / 20.0);
    // Frozen at go-live, whatever came after.
    assert_eq!((of(&text, "success_ratio", "directory"), of(&text, "progress_ratio", "directory")), (Some(1.0), Some(1.0)));
}

#[test]
fn a_soak_without_runs_has_no_ratios_and_counts_its_restarts() {
    let text = scrape(&plainly_soaked());
    for name in ["success_ratio", "success_lower_bound_ratio", "coverage_ratio", "longest_gap_seconds", "excluded_ratio"] {
        assert_eq!(of(&text, name, "api"), None, "{name}");
    }
    assert_eq!((of(&text, "samples", "api"), of(&text, "progress_ratio", "api")), (Some(0.0), Some(0.0)));
    assert_eq!((of(&text, "window_restarts_total", "api"), of(&text, "window_restarts_total", "orders")), (Some(1.0), Some(0.0)));
}

#[test]
fn a_criterion_is_as_good_as_its_worst_integration() {
    let text = scrape(&plainly_soaked());
    let met = |customer: &str, criterion: &str| {
        let labels = [&*format!("customer=\"{customer}\",environment=\"production\""), &*format!("criterion=\"{criterion}\"")];
        series(&text, "soakwatch_gate_criterion_met", &labels)
    };
    // stock can't reach it; orders meets it, and feed's is open.
    assert_eq!(met("acme", "success_ratio"), Some(0.0));
    // Met by orders and by stock so far, open in feed: not decided. Waived in orders, which alone is asked for it: met.
    assert_eq!((met("acme", "longest_outage"), met("acme", "certificate_days")), (None, Some(1.0)));
    // Attested, and missing.
    assert_eq!((met("acme", "uat_signoff"), met("acme", "support_handoff")), (Some(1.0), None));
    // Not asked for, and never observed.
    assert_eq!((met("acme", "drift"), met("acme", "latency_p95")), (None, None));
    assert_eq!((met("globex", "success_ratio"), met("globex", "coverage")), (Some(1.0), Some(1.0)));
    let line = text.lines().find(|l| l.starts_with("soakwatch_gate_criterion_met{")).unwrap();
    assert!(
        line.starts_with("soakwatch_gate_criterion_met{customer=\"acme\",environment=\"production\",gate=\"go_live\",criterion=\""),
        "{line}"
    );
}

/// The store could not be read at the start: there is nothing to judge by.
#[test]
fn what_was_never_judged_is_not_yet_and_meets_nothing() {
    let s = plainly_soaked();
    let soaks = Soaks::default();
    soaks.configure(&s.config, crate::estate::NOW);
    let text = encoded_with(&s.config, &s.board, &soaks);
    assert_eq!(set(&text, "soakwatch_soak_verdict", "verdict", &[]), (0, Vec::new()));
    assert_eq!(set(&text, "soakwatch_gate_answer", "answer", &["customer=\"globex\""]), (3, vec!["not_yet".to_owned()]));
    assert!(!text.contains("soakwatch_gate_criterion_met{") && !text.contains("soakwatch_gate_progress_ratio{"));
    assert_eq!(of(&text, "window_restarts_total", "directory"), Some(0.0));
}
