//! What is found last is doubted once the store can't be read, and obstacles stand in the order of what can be done about them.

use super::*;
use crate::hypercare::{Answer, Criterion, Row};
use crate::outcome::Phase;

fn row(name: Criterion, met: Option<bool>) -> Row {
    Row { name, threshold: serde_json::Value::Null, observed: serde_json::Value::Null, met, reason: "why".into() }
}

fn answered(criteria: Vec<Row>) -> Answered {
    let passed = Passed {
        integration: "acme/production/orders".into(),
        name: "Orders".into(),
        answer: Answer::ReadyForHandoff,
        phase: Phase::Hypercare,
        go_live: None,
        hypercare_ends: None,
        day: Some(20),
        reasons: Vec::new(),
        criteria,
        standing: None,
    };
    Answered {
        environment: "acme/production".into(),
        gate: GATE.into(),
        as_of: "2026-12-01T00:00:00Z".into(),
        answer: Answer::ReadyForHandoff,
        reasons: Vec::new(),
        earliest: None,
        integrations: vec![passed],
        config_hash: String::new(),
    }
}

#[test]
fn what_can_be_done_something_about_stands_first() {
    let all = answered(vec![
        row(Criterion::Window, None),
        row(Criterion::Coverage, None),
        row(Criterion::Open, Some(false)),
        row(Criterion::P1, Some(true)),
    ]);
    let said = all.obstacles();
    let places = ["open incidents", "coverage", "window"].map(|name| said.iter().position(|s| s.contains(name)).unwrap());
    assert_eq!((said.len(), places), (3, [0, 1, 2]), "{said:?}");
    assert_eq!([Criterion::P1, Criterion::Open, Criterion::Coverage].map(|c| all.met(c)), [Some(true), Some(false), None]);
}

#[test]
fn nothing_is_ready_by_what_is_old() {
    let live = Live::default();
    live.put(vec![answered(Vec::new())]);
    live.doubt("the store can't be read");
    live.doubt("the store can't be read");
    let found = live.of("acme", "production").unwrap();
    assert_eq!((found.answer, found.reasons.len()), (Answer::NotYet, 1));
    assert!(live.integration(&"acme/production/orders".parse().unwrap()).is_some());
    assert!(live.of("acme", "staging").is_none());
}
