//! The running state of soaks against everything made anew from what is stored, and what the evidence log makes of soaks.

mod bench;

use proptest::prelude::*;
use serde_json::json;

use self::bench::{Bench, CONFIGS, CUSTOMER, MAIL, MINUTE, START, config};
use super::*;
use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::{Entry, Kind, Recorded, Scope};
use crate::soak::{Attestation, Exclusion};

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and what ran is committed in order.
    Pass(u8),
    /// Some of it is held, and committed with the next.
    Hold(u8, u8),
    /// The same while the keeper reads the store, seen by it or not.
    Look(u8, bool),
    Reload(usize),
    Exclude(u16, u16, bool),
    Attest(Option<u8>),
    Restart,
    Back(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u8..50).prop_map(Step::Pass),
        2 => (1u8..20, 0u8..9).prop_map(|(m, n)| Step::Hold(m, n)),
        5 => (0u8..30, any::<bool>()).prop_map(|(m, seen)| Step::Look(m, seen)),
        1 => (0usize..6).prop_map(Step::Reload),
        1 => (0u16..400, 1u16..60, any::<bool>()).prop_map(|(from, n, one)| Step::Exclude(from, n, one)),
        1 => proptest::option::of(0u8..200).prop_map(Step::Attest),
        1 => Just(Step::Restart),
        1 => (1u8..30).prop_map(Step::Back),
    ];
    proptest::collection::vec(step, 1..40)
}

impl Bench {
    fn step(&mut self, step: &Step, fate: &mut impl FnMut() -> u8) {
        match *step {
            Step::Pass(minutes) => {
                let due = self.pass(minutes.into(), fate);
                self.commit(&due);
                let held = std::mem::take(&mut self.held);
                self.commit(&held);
            }
            Step::Hold(minutes, nth) => {
                let mut due = self.pass(minutes.into(), fate);
                if usize::from(nth) < due.len() {
                    let record = due.remove(nth.into());
                    self.held.push(record);
                }
                self.commit(&due);
            }
            Step::Look(minutes, seen) => {
                let mut due = self.pass(minutes.into(), fate);
                // What was held comes out of order just then.
                due.append(&mut self.held);
                self.look(&due, seen);
            }
            Step::Reload(n) => self.take_over(n),
            Step::Restart => self.restart(),
            Step::Back(minutes) => self.now = UnixMs(self.now.0 - i64::from(minutes) * MINUTE),
            Step::Exclude(from, minutes, one) => {
                let at = |m: u16| UnixMs(START.0 + i64::from(m) * MINUTE);
                let (check, id) = (one.then(|| "list".to_owned()), "acme/production/crm".parse().unwrap());
                let (by, reason) = ("b-boss".to_owned(), "ours".to_owned());
                let case = ExclusionCase { seq: 0, check, from: at(from), to: at(from + minutes), reason, by, remark: None, at: self.now };
                let entry = case.entry(&id);
                let link = self.record(&entry);
                self.soaks.recorded(&entry, link);
            }
            Step::Attest(until) => {
                let until = until.map(|m| UnixMs(self.now.0 + i64::from(m) * MINUTE));
                let entry = attested("uat_signoff", self.now, until).entry("acme", "production");
                let link = self.record(&entry);
                self.soaks.recorded(&entry, link);
            }
        }
    }
}

fn attested(name: &str, at: UnixMs, until: Option<UnixMs>) -> AttestedCase {
    AttestedCase { seq: 0, name: name.into(), value: None, note: None, by: "a-tester".into(), remark: None, at, until }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_what_is_made_anew(steps in steps(), fates in proptest::collection::vec(any::<u8>(), 1..200), spotless: bool) {
        let mut bench = Bench::new();
        bench.certificate = None;
        let mut n = 0;
        let mut fate = || {
            n += 1;
            if spotless { 100 } else { fates[n % fates.len()] }
        };
        for (at, step) in steps.iter().enumerate() {
            bench.step(step, &mut fate);
            if at % 5 == 4 || at + 1 == steps.len() {
                bench.settle();
                // With a clock that was set back the living state stands at its newest run.
                if bench.newest().is_none_or(|slot| slot < bench.now) {
                    prop_assert_eq!(bench.live(), bench.anew(), "after {:?}", step);
                }
            }
        }
    }
}

/// A daemon whose soaks have run for so many hours, all passing.
fn ran_for(hours: i64) -> Bench {
    let mut bench = Bench::new();
    for _ in 0..hours * 4 + 3 {
        let due = bench.pass(15, &mut || 100);
        bench.commit(&due);
    }
    bench.settle();
    bench
}

fn ruling(bench: &Bench, integration: usize) -> String {
    bench.live().integrations[integration].soak.as_ref().map(|s| s.verdict.to_string()).unwrap_or_default()
}

#[test]
fn a_soak_begins_when_it_is_first_seen_and_again_when_it_is_changed() {
    let mut bench = Bench::new();
    let id = "acme/production/crm".parse().unwrap();
    let began = |b: &Bench| b.soaks.known(&id).map(|k| (k.began.unwrap().since, k.restarts)).unwrap();
    let kinds = |b: &Bench| b.log.iter().filter(|r| r.integration.as_deref() == Some("crm")).map(|r| r.kind.clone()).collect::<Vec<_>>();
    assert_eq!(began(&bench), (START, 0));
    // Before its start nothing was judged, so nothing begins again.
    bench.take_over(1);
    assert_eq!((began(&bench), kinds(&bench)), ((START, 0), vec!["soak_started".to_owned(); 2]));
    // A name is not what is judged.
    bench.take_over(0);
    bench.take_over(2);
    assert_eq!(kinds(&bench).len(), 3);

    bench.now = UnixMs(START.0 + 30 * MINUTE);
    bench.take_over(1);
    assert_eq!(began(&bench), (bench.now, 1));
    let last = bench.log.iter().rfind(|r| r.kind == "soak_restarted").unwrap();
    assert_eq!(last.body["changed"], json!(["check.list.http.url"]));
    bench.settle();
    assert_eq!(ruling(&bench, 0), "superseded");
    let due = bench.pass(3, &mut || 100);
    bench.commit(&due);
    bench.settle();
    assert_eq!(ruling(&bench, 0), "running");
    // The same over a restart.
    bench.restart();
    bench.settle();
    assert_eq!((began(&bench).1, ruling(&bench, 0).as_str()), (1, "running"));
}

#[test]
fn a_start_that_is_put_off_is_on_record() {
    let mut bench = ran_for(1);
    let id = "acme/production/crm".parse().unwrap();
    bench.take_over(4);
    let known = bench.soaks.known(&id).unwrap();
    assert_eq!((known.began.unwrap().since, known.restarts), (UnixMs(START.0 + 105 * MINUTE), 0));
    bench.settle();
    assert_eq!(ruling(&bench, 0), "not_started");
    // Not yet come, it may be put back; what has begun does not begin earlier.
    bench.take_over(0);
    assert_eq!(bench.soaks.known(&id).unwrap().began.unwrap().since, START);
    bench.take_over(4);
    bench.now = UnixMs(START.0 + 120 * MINUTE);
    bench.take_over(0);
    assert_eq!(bench.soaks.known(&id).unwrap().began.unwrap().since, UnixMs(START.0 + 105 * MINUTE));
}

#[test]
fn after_go_live_nothing_begins_again_and_a_change_is_no_go_ahead() {
    let mut bench = ran_for(1);
    bench.take_over(3);
    for _ in 0..20 {
        let due = bench.pass(15, &mut || 100);
        bench.commit(&due);
    }
    bench.settle();
    assert_eq!(ruling(&bench, 0), "passed");
    let go_live = CONFIGS[3].integrations().next().unwrap().go_live.unwrap();
    assert!(bench.now > go_live);
    let frozen = bench.log.iter().rfind(|r| r.kind == "verdict" && r.integration.as_deref() == Some("crm")).unwrap();
    assert_eq!((&frozen.body["verdict"], &frozen.body["frozen"]), (&json!("passed"), &json!(true)));
    // Another address, and the go-live stays where it was.
    let changed = CUSTOMER.replace("# go-live", "go_live = 2026-11-23T13:10:00Z").replace("/list", "/orders");
    let changed = config(&changed, MAIL);
    assert_eq!(bench.soaks.configure(&changed, bench.now), []);
    bench.settle();
    let entries = bench.entries();
    let said = bench.soaks.passed(&entries[0], bench.now).unwrap();
    assert_eq!((said.answer, said.soak.unwrap().verdict), (crate::soak::gate::Answer::NotYet, crate::soak::Ruling::Superseded));
    assert!(said.reasons[0].contains("after go-live") && said.reasons[1].contains("check.list.http.url"), "{:?}", said.reasons);
}

#[test]
fn files_that_can_not_be_read_begin_nothing_and_show_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, "one").unwrap();
    let url = "url = \"https://crm.example.com/list\"";
    let with = CUSTOMER.replace(url, &format!("{url}\nca = {:?}", ca.to_str().unwrap()));
    let seen = config(&with, MAIL);
    let mut bench = Bench::new();
    let said = bench.soaks.configure(&seen, bench.now);
    assert_eq!(said.len(), 1);
    std::fs::remove_file(&ca).unwrap();
    std::fs::create_dir(&ca).unwrap();
    let mut blind = config(CUSTOMER, MAIL);
    blind.customers[0].fingerprints = {
        let fingerprints = &seen.customers[0].fingerprints;
        let crm = "acme/production/crm".parse().unwrap();
        let mut as_json = serde_json::to_value(&fingerprints[&crm]).unwrap();
        as_json["unread"] = json!(["check.list.http.ca"]);
        let mut all = fingerprints.clone();
        all.insert(crm, serde_json::from_value(as_json).unwrap());
        all
    };
    assert_eq!(bench.soaks.configure(&blind, UnixMs(START.0 + MINUTE)), []);
    bench.now = UnixMs(START.0 + MINUTE);
    bench.settle();
    let said = bench.soaks.passed(&bench.entries()[0], bench.now).unwrap();
    assert!(said.reasons.iter().any(|r| r.contains("check.list.http.ca")), "{:?}", said.reasons);
}

#[test]
fn a_verdict_that_can_not_be_made_anew_stands_in_for_a_while() {
    let mut bench = ran_for(4);
    let entry = attested("uat_signoff", bench.now, None).entry("acme", "production");
    let link = bench.record(&entry);
    bench.soaks.recorded(&entry, link);
    bench.settle();
    assert_eq!(bench.live().answer.as_str(), "go", "{:?}", bench.live());
    // An hour moves, and the store can't be read.
    let unreadable = |bench: &Bench| bench.soaks.stale(bench.now, 100).into_iter().for_each(|a| bench.soaks.unread(&a.check));
    bench.now = UnixMs(bench.now.0 + HOUR_MS);
    let before = bench.live();
    assert_eq!(before.answer.as_str(), "not_yet");
    assert!(
        before.integrations[0].reasons.iter().any(|r| r.contains("can't be read from the store")),
        "{:?}",
        before.integrations[0].reasons
    );
    unreadable(&bench);
    assert_eq!(bench.live().answer.as_str(), "not_yet");
    // Again readable, with nothing in it: silence.
    bench.settle();
    let silent = bench.live();
    assert!(silent.answer.as_str() == "not_yet" && silent.integrations[0].reasons[0].contains("nothing has been recorded since"));
}

#[test]
fn runs_that_are_judged_are_pinned() {
    let mut bench = ran_for(5);
    let list = "acme/production/crm/list".parse::<crate::fields::CheckId>().unwrap().key();
    let from = |b: &Bench| b.soaks.pinned(b.now).get(&list).map(|at| (at.0 - START.0) / HOUR_MS);
    assert_eq!(bench.soaks.pinned(bench.now).len(), 3);
    assert_eq!(from(&bench), Some(2), "the window of three hours moves");
    // Frozen at 13:10, it and the earlier window that tells when it was lost stay, for as long as a pass is valid.
    bench.take_over(3);
    bench.now = UnixMs(START.0 + 13 * 24 * HOUR_MS);
    assert_eq!(from(&bench), Some(1));
    bench.now = UnixMs(START.0 + 15 * 24 * HOUR_MS);
    assert_eq!(from(&bench), None);
}

#[test]
fn what_can_not_be_relied_on_never_says_go() {
    let mut bench = ran_for(4);
    assert_eq!(bench.live().answer.as_str(), "not_yet", "nobody has attested it");
    let entry = attested("uat_signoff", bench.now, None).entry("acme", "production");
    let link = bench.record(&entry);
    bench.soaks.recorded(&entry, link);
    bench.settle();
    let go = |b: &Bench| b.live().answer.as_str() == "go";
    assert!(go(&bench));
    bench.soaks.set_damage(Some("evidence record 2 was changed"));
    assert!(!go(&bench) && bench.live().reasons[0].contains("evidence record 2"));
    bench.soaks.set_damage(None);
    assert!(go(&bench));
    bench.soaks.flawed(&"acme/production/crm/list".parse().unwrap(), "stored runs can't be read".into());
    assert!(!go(&bench));
    // Informational checks decide nothing.
    bench.restart();
    bench.settle();
    assert!(go(&bench));
    bench.soaks.flawed(&"acme/production/crm/ping".parse().unwrap(), "stored runs can't be read".into());
    assert!(go(&bench));
    bench.restart();
    assert!(!go(&bench) && bench.live().integrations[0].reasons == ["its runs are still being read"]);
}

/// Slots never run twice: nothing runs until the clock is there again, and silence can't be told by it.
#[test]
fn a_clock_that_was_set_back_is_no_go() {
    let mut bench = ran_for(4);
    let entry = attested("uat_signoff", START, None).entry("acme", "production");
    let link = bench.record(&entry);
    bench.soaks.recorded(&entry, link);
    bench.settle();
    let there = bench.now;
    let answer_at = |bench: &mut Bench, now: UnixMs| {
        bench.now = now;
        bench.settle();
        bench.live()
    };
    assert_eq!(answer_at(&mut bench, UnixMs(there.0 - MINUTE / 2)).answer.as_str(), "go", "clocks differ a little");
    for back in [10 * MINUTE, 2 * 60 * MINUTE, 3 * 24 * 60 * MINUTE] {
        let said = answer_at(&mut bench, UnixMs(there.0 - back));
        assert_eq!(said.answer.as_str(), "not_yet", "{back}: {said:?}");
        assert!(said.integrations[0].reasons.iter().any(|r| r.contains("which lies ahead")), "{back}: {said:?}");
    }
    assert_eq!(answer_at(&mut bench, there).answer.as_str(), "go");
}

/// The criterion about certificates of the first integration.
fn certificate(answered: &Answered) -> (serde_json::Value, Option<bool>) {
    let rows = &answered.integrations[0].soak.as_ref().unwrap().criteria;
    rows.iter().find(|r| r.name == "certificate_days").map(|r| (r.observed.clone(), r.met)).unwrap()
}

#[test]
fn what_was_observed_at_go_live_stays_what_was_observed() {
    let day = |n: i64| Some(UnixMs(START.0 + n * 24 * HOUR_MS));
    let ran = |bench: &mut Bench, quarters: i64| {
        for _ in 0..quarters {
            let due = bench.pass(15, &mut || 100);
            bench.commit(&due);
            bench.settle();
        }
    };
    let mut bench = Bench::new();
    bench.certificate = day(60);
    ran(&mut bench, 12);
    bench.take_over(3);
    // Renewed with less: at go-live it is this one that counts.
    bench.certificate = day(40);
    ran(&mut bench, 12);
    let go_live = CONFIGS[3].integrations().next().unwrap().go_live.unwrap();
    assert!(bench.now > go_live);
    let (then, at) = (bench.live().integrations[0].clone(), bench.now);
    assert_eq!(certificate(&bench.live()), (json!(39), Some(true)));
    // A day later the one that is seen then is nearly over.
    bench.certificate = day(2);
    ran(&mut bench, 4 * 24);
    let same = |answered: &Answered| {
        let soak = |p: &Passed| p.soak.as_ref().map(|s| (s.verdict, s.criteria.clone(), s.counts.clone()));
        assert_eq!(soak(&answered.integrations[0]), soak(&then), "{answered:?}");
    };
    same(&bench.live());
    same(&bench.anew());
    same(&bench.anew_at(at));
    // Before it the first one was known.
    assert_eq!(certificate(&bench.anew_at(UnixMs(START.0 + 2 * HOUR_MS))).0, json!(59));
    let notes = bench.log.iter().filter(|r| r.kind == "observed" && r.integration.as_deref() == Some("crm")).count();
    assert_eq!(notes, 3, "the first, another one, and at go-live: {:?}", bench.log);
    bench.restart();
    ran(&mut bench, 1);
    same(&bench.live());
    same(&bench.anew());
    assert_eq!(bench.log.iter().filter(|r| r.kind == "observed" && r.integration.as_deref() == Some("crm")).count(), notes);
}

#[test]
fn what_nobody_knows_any_more_of_go_live_is_not_todays() {
    let mut bench = Bench::new();
    bench.certificate = Some(UnixMs(START.0 + 60 * 24 * HOUR_MS));
    bench.take_over(3);
    for quarter in 0..28 {
        let due = bench.pass(15, &mut || 100);
        bench.commit(&due);
        // The daemon ends before go-live and begins after it, with runs in between that another one made; nothing of it was recorded.
        if quarter == 2 {
            bench.log.retain(|r| r.kind != "observed");
        }
    }
    bench.restart();
    bench.settle();
    assert_eq!(certificate(&bench.live()), (json!(null), None));
    assert_eq!(bench.live(), bench.anew());
    assert!(!bench.log.iter().any(|r| r.kind == "observed" && r.integration.as_deref() == Some("crm")));
    // Down at go-live, and nothing was learned since: what was known last was known then.
    let mut bench = Bench::new();
    bench.certificate = Some(UnixMs(START.0 + 60 * 24 * HOUR_MS));
    bench.take_over(3);
    for _ in 0..20 {
        let due = bench.pass(15, &mut || 100);
        bench.commit(&due);
    }
    bench.now = UnixMs(bench.now.0 + 9 * HOUR_MS);
    bench.restart();
    bench.settle();
    assert_eq!(certificate(&bench.live()).0, json!(59));
    assert_eq!(bench.live(), bench.anew());
}

#[test]
fn the_log_is_read_as_it_was_written() {
    let id = "acme/production/crm".parse().unwrap();
    let exclusion = ExclusionCase {
        seq: 2,
        check: Some("list".into()),
        from: UnixMs(10),
        to: UnixMs(20),
        reason: "ours".into(),
        by: "b-boss".into(),
        remark: Some("asked by phone".into()),
        at: UnixMs(30),
    };
    let attestation =
        AttestedCase { seq: 3, value: Some("passed".into()), note: Some("T-1".into()), ..attested("uat", UnixMs(40), Some(UnixMs(50))) };
    let mut log = Log::default();
    log.take(&Began { since: START, fingerprint: CONFIGS[0].fingerprint(&id).unwrap().clone() }.entry(UnixMs(1), &id, None).numbered(1));
    log.take(&exclusion.entry(&id).numbered(2));
    log.take(&attestation.entry("acme", "production").numbered(3));
    let known = log.known(&id).unwrap();
    assert_eq!(known.exclusions, [exclusion]);
    assert_eq!(known.began.as_ref().unwrap().since, START);
    assert_eq!(known.excluded(&"acme/production/crm/list".parse().unwrap()), [Exclusion { from: UnixMs(10), to: UnixMs(20) }]);
    assert_eq!(known.excluded(&"acme/production/crm/ping".parse().unwrap()), []);
    assert_eq!(log.attested("acme", "production"), std::slice::from_ref(&attestation));
    assert_eq!(log.attestations("acme", "production"), [Attestation::from(&attestation)]);
    assert_eq!((log.attested("acme", "staging"), log.known(&"acme/production/mail".parse().unwrap())), (Vec::new(), None));
    // The newer one takes its place, in whatever order they come.
    let newer = AttestedCase { seq: 9, until: None, ..attestation.clone() };
    log.take(&newer.entry("acme", "production").numbered(9));
    log.take(&attestation.entry("acme", "production").numbered(3));
    assert_eq!(log.attested("acme", "production"), [newer]);
}

#[test]
fn a_record_that_says_nothing_readable_changes_nothing() {
    let id = "acme/production/crm".parse().unwrap();
    let on = |kind, body| Entry::new(START, kind, Scope::integration(&id), "x", body).numbered(1);
    let environment = Scope::environment("acme", "production");
    let strange = [
        on(Kind::SoakStarted, json!({ "since": "yesterday" })),
        on(Kind::SoakRestarted, json!({ "since": "2026-11-23T08:00:00.000Z", "fingerprint": "x" })),
        on(Kind::Exclusion, json!({ "from": 1, "to": 2 })),
        on(Kind::Exclusion, json!({ "check": 7, "from": "2026-11-23T08:00:00.000Z", "to": "2026-11-23T09:00:00.000Z", "reason": "x" })),
        on(Kind::Attestation, json!({ "name": "uat" })),
        on(Kind::WaiverUsed, json!({ "criterion": "coverage" })),
        Entry::new(START, Kind::Attestation, environment, "x", json!({ "name": "uat", "until": "never" })).numbered(2),
        Entry::new(START, Kind::ConfigApplied, Scope::daemon(), "x", json!({ "hash": 7 })).numbered(3),
        Recorded { kind: "of_a_later_version".into(), ..on(Kind::Verdict, json!({})) },
        Recorded {
            at: "then".into(),
            ..on(Kind::Exclusion, json!({ "from": "2026-11-23T08:00:00.000Z", "to": "2026-11-23T09:00:00.000Z" }))
        },
    ];
    let log = Log::of(&strange);
    assert_eq!(log.known(&id).cloned().unwrap_or_default(), Known::default());
    assert_eq!((log.attested("acme", "production"), log.config()), (Vec::new(), None));
}

#[test]
fn documents_bring_certificates_and_open_changes() {
    use crate::board::{CheckEntry, CheckState, IntegrationEntry};
    use crate::finding::{DocumentFacts, Level, Party, Rule, Severity};
    const SWAP: Rule = Rule::new("X-KEY-06", Severity::Critical, Party::CustomerIdp, crate::outcome::Class::Drift, "");
    let config = config(CUSTOMER, MAIL);
    let def = std::sync::Arc::clone(config.checks().find(|c| c.judged).unwrap());
    let state = CheckState { certificate_expiry: Some(UnixMs(9_000)), ..CheckState::default() };
    let check = CheckEntry { def: std::sync::Arc::clone(&def), state };
    let mut entry =
        IntegrationEntry { def: std::sync::Arc::clone(&def.integration), checks: vec![check], departed: None, apart: Default::default() };
    let seen = |entry: &IntegrationEntry| {
        let o = super::seen::observations(entry, UnixMs(1));
        (o.certificate_expiry, o.open_drifts)
    };
    assert_eq!(seen(&entry), (Some(UnixMs(9_000)), None), "no document was read: nothing is known of changes");
    let state = &mut entry.checks[0].state;
    state.document = Some(DocumentFacts { signing_certificate_expiry: Some(UnixMs(5_000)), ..DocumentFacts::default() });
    state.findings = vec![SWAP.found("the key is another one"), SWAP.found("noted").at(Level::Info)];
    assert_eq!(seen(&entry), (Some(UnixMs(5_000)), Some(1)));
    entry.checks[0].state.findings.clear();
    assert_eq!(seen(&entry).1, Some(0));
}
