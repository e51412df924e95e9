//! The answer from configuration and store: go only where everything can be shown, and each way in which it can't.

use soakwatch::clock::UnixMs;
use soakwatch::evidence::{Entry, Kind, Scope};
use soakwatch::outcome::Outcome;
use soakwatch::readiness::{ExclusionCase, Failed, Known, Log, Situation, assemble, decide, judged_from};
use soakwatch::soak::gate::{Answer, Gate};
use soakwatch::store::{Reader, Store};

use crate::support::soaked::{END, START, Soaked, attested};

fn answer(soaked: &Soaked, as_of: UnixMs) -> (Situation, Gate) {
    let reader = Reader::open(&soaked.store()).unwrap();
    let (situation, _) = assemble(&soaked.config(), &reader, "acme", "production", as_of).unwrap();
    let gate = judged_from(&situation, &reader).unwrap();
    (situation, gate)
}

fn reasons(gate: &Gate) -> String {
    gate.reasons.iter().chain(gate.integrations.iter().flat_map(|p| &p.reasons)).cloned().collect::<Vec<_>>().join("; ")
}

#[test]
fn all_is_shown_and_what_is_written_down_judges_alike() {
    let soaked = Soaked::new();
    let (situation, gate) = answer(&soaked, END);
    assert_eq!(gate.answer, Answer::Go, "{}", reasons(&gate));
    let soak = gate.integrations[0].soak.as_ref().unwrap();
    let failed: Vec<u64> = soak.checks.iter().map(|c| c.counts.fail).collect();
    assert!(failed.iter().all(|n| (1..=2).contains(n)) && soak.not_due > 0 && soak.counts.unknown > 0, "{soak:?}");

    let text = serde_json::to_string(&situation).unwrap();
    let again: Situation = serde_json::from_str(&text).unwrap();
    assert_eq!(again, situation);
    let reader = Reader::open(&soaked.store()).unwrap();
    assert_eq!(judged_from(&again, &reader).unwrap(), gate);
    assert!(serde_json::from_str::<Situation>(&text.replacen("\"as_of\"", "\"more\":1,\"as_of\"", 1)).is_err());
}

#[test]
fn the_time_it_is_asked_for_decides() {
    let soaked = Soaked::new();
    let at = |minutes: i64| answer(&soaked, UnixMs(START.0 + minutes * 60_000)).1;
    assert_eq!(at(-10).answer, Answer::NotYet);
    assert_eq!(at(60).answer, Answer::NotYet);
    // Long after the last run: nothing recent.
    let late = at(2_000);
    assert_eq!(late.answer, Answer::NotYet, "{}", reasons(&late));
    assert!(reasons(&late).contains("nothing has been recorded since"), "{}", reasons(&late));
}

#[test]
fn failures_are_a_no_and_an_exclusion_revokes_it_with_its_name_beside() {
    let bad = |from: i64, until: i64| {
        Soaked::with("", move |id, runs| {
            if id.check() == "send" {
                let hit = |slot: UnixMs| (from..until).contains(&((slot.0 - START.0).div_euclid(60_000)));
                runs.iter_mut().filter(|r| hit(r.slot) && r.outcome == Outcome::Pass).for_each(|r| r.outcome = Outcome::Fail);
            }
        })
    };
    let soaked = bad(240, 260);
    assert_eq!(answer(&soaked, END).1.answer, Answer::NoGo);
    let id = "acme/production/mail".parse().unwrap();
    let exclusion = |at| {
        let (from, to) = (UnixMs(START.0 + 240 * 60_000), UnixMs(START.0 + 260 * 60_000));
        ExclusionCase { seq: 0, check: None, from, to, reason: "our own upgrade".into(), by: "b-boss".into(), remark: None, at }.entry(&id)
    };
    let mut store = Store::open(&soaked.store()).unwrap();
    // On record only after the time that is asked for: it was not known then.
    store.append_evidence(&[exclusion(UnixMs(END.0 + 1))]).unwrap();
    assert_eq!(answer(&soaked, END).1.answer, Answer::NoGo);
    store.append_evidence(&[exclusion(END)]).unwrap();
    let (situation, gate) = answer(&soaked, END);
    assert_eq!(gate.answer, Answer::Go, "{}", reasons(&gate));
    let soak = gate.integrations[1].soak.as_ref().unwrap();
    assert!(soak.counts.fail > soak.adjusted.fail && soak.excluded >= 40);
    assert_eq!(situation.integrations[1].soak.as_ref().unwrap().exclusions[0].by, "b-boss");
}

#[test]
fn what_is_judged_was_changed() {
    let soaked = Soaked::new();
    soaked.edit("/send", "/send/elsewhere");
    let gate = answer(&soaked, END).1;
    assert_eq!(gate.answer, Answer::NotYet);
    assert!(reasons(&gate).contains("http.url"), "{}", reasons(&gate));
    assert!(gate.earliest.is_some());
}

#[test]
fn without_a_record_of_its_beginning_nothing_is_shown() {
    let soaked = Soaked::new();
    std::fs::remove_file(soaked.store()).unwrap();
    Store::open(&soaked.store()).unwrap();
    let gate = answer(&soaked, END).1;
    assert_eq!(gate.answer, Answer::NotYet);
    assert!(reasons(&gate).contains("no record says under which configuration"), "{}", reasons(&gate));
}

#[test]
fn a_missing_or_expired_attestation_is_not_yet() {
    let soaked = Soaked::new();
    let expired = attested(UnixMs(END.0 - 5), Some(UnixMs(END.0 - 1)));
    Store::open(&soaked.store()).unwrap().append_evidence(&[expired]).unwrap();
    assert_eq!(answer(&soaked, END).1.answer, Answer::NotYet);
    assert_eq!(answer(&soaked, UnixMs(END.0 - 2)).1.answer, Answer::NotYet, "the window is not full yet");
}

#[test]
fn a_damaged_log_or_store_never_says_go() {
    let soaked = Soaked::new();
    let conn = rusqlite::Connection::open(soaked.store()).unwrap();
    conn.execute_batch("DROP TRIGGER evidence_is_never_changed; UPDATE evidence SET actor = 'x' WHERE seq = 2").unwrap();
    let gate = answer(&soaked, END).1;
    assert_eq!(gate.answer, Answer::NotYet);
    assert!(reasons(&gate).contains("evidence record 2"), "{}", reasons(&gate));

    conn.execute_batch("UPDATE journal SET batch = x'00' WHERE seq = (SELECT max(seq) FROM journal)").unwrap();
    let gate = answer(&soaked, END).1;
    assert_eq!(gate.answer, Answer::NotYet);
    assert!(reasons(&gate).contains("stored rows can't be read"), "{}", reasons(&gate));
    let reader = Reader::open(&soaked.store()).unwrap();
    assert!(matches!(assemble(&soaked.config(), &reader, "acme", "staging", END), Err(Failed::Unknown(_))));
}

#[test]
fn an_integration_without_a_soak_is_judged_by_nothing() {
    let soaked = Soaked::new();
    let reader = Reader::open(&soaked.store()).unwrap();
    let (mut situation, _) = assemble(&soaked.config(), &reader, "acme", "production", END).unwrap();
    situation.integrations[1].soak = None;
    assert_eq!(judged_from(&situation, &reader).unwrap().answer, Answer::NotYet);
    situation.integrations.clear();
    let none: Result<Gate, std::convert::Infallible> = decide(&situation, &mut |_, _| Ok(Vec::new()));
    assert_eq!(none.unwrap().answer, Answer::NotYet);
}

#[test]
fn records_that_say_nothing_readable_change_nothing() {
    let id = "acme/production/mail".parse().unwrap();
    let entry = |kind, body| Entry::new(START, kind, Scope::integration(&id), "x", body).numbered(1);
    let strange = [
        entry(Kind::SoakStarted, serde_json::json!({ "since": "yesterday" })),
        entry(Kind::Exclusion, serde_json::json!({ "from": 1, "to": 2 })),
        entry(Kind::Attestation, serde_json::json!({ "name": "uat_signoff", "until": "never" })),
        Entry::new(START, Kind::Attestation, Scope::environment("acme", "staging"), "x", serde_json::json!({ "name": "a" })).numbered(2),
    ];
    let log = Log::of(&strange);
    assert_eq!(log.known(&id).cloned().unwrap_or_default(), Known::default());
    assert_eq!(log.attested("acme", "production"), []);
}
