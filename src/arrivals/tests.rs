//! Expectations over made histories: each time is an argument, so a day takes no time.

use super::*;
use crate::config::Judge;
use crate::config::table::Source;
use crate::outcome::{Cause, Class, Outcome};
use std::sync::Arc;

const MIN: i64 = 60_000;

/// A check with this `every` and table.
fn check(every: &str, keys: &str) -> Arc<CheckDef> {
    let text = format!(
        "[customer]\nid = \"acme\"\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"in\"\nevery = \"{every}\"\n[integration.check.webhook_arrival]\nscheme = \"github\"\nsecrets = {{ env = \"X\" }}\n{keys}"
    );
    let source = Source::new("acme.toml", "/nowhere", text);
    let entries = source.parse();
    let read = crate::config::read_customer(source.root(&entries), &mut Judge::new(UnixMs(0), false));
    let problems = source.problems.take();
    read.customer.unwrap_or_else(|| panic!("{problems:?}")).checks[0].clone()
}

struct World {
    def: Arc<CheckDef>,
    state: State,
    away: Vec<Away>,
    sure: UnixMs,
}

impl World {
    fn new(every: &str, keys: &str) -> Self {
        let def = check(every, keys);
        let mut state = State::default();
        state.expect(Expected::of(&def).as_ref(), UnixMs(0));
        Self { def, state, away: Vec::new(), sure: UnixMs(i64::MAX) }
    }

    fn hear(&mut self, at: i64, what: What, delay: f64, number: Option<i64>) -> bool {
        let heard = Heard { at: UnixMs(at), what, delay: Some(delay), number };
        self.state.hear(Expected::of(&self.def).as_ref(), heard)
    }

    /// What became of each slot until a time.
    fn until(&mut self, now: i64) -> Vec<(Outcome, Option<Class>, u32)> {
        // As after a restart: what is not in the text is lost.
        self.state = serde_json::from_str(&serde_json::to_string(&self.state).unwrap()).unwrap();
        let ours = Ours { away: &self.away, sure: self.sure };
        self.state.judge(&self.def, ours, None, UnixMs(now)).0.into_iter().map(|r| (r.outcome, r.class, r.count)).collect()
    }

    /// The first slot all of whose messages come after the beginning.
    fn first(&self) -> i64 {
        Expected::of(&self.def).unwrap().first(UnixMs(0)).0
    }
}

const PASS: (Outcome, Option<Class>, u32) = (Outcome::Pass, None, 1);

fn fail(class: Class) -> (Outcome, Option<Class>, u32) {
    (Outcome::Fail, Some(class), 1)
}

#[test]
fn one_message_in_every_interval_or_its_grace() {
    let mut w = World::new("10m", "grace = \"2m\"");
    let due = w.first();
    assert!(w.hear(due - 5 * MIN, What::Accepted, 1.0, None), "the first of its slot is kept at once");
    assert!(!w.hear(due - 4 * MIN, What::Accepted, 1.0, None));
    assert_eq!(w.until(due + 2 * MIN - 1), [], "not before the grace is over");
    assert_eq!(w.until(due + 2 * MIN), [PASS]);
    assert_eq!(w.until(due + 5 * MIN), [], "once");
    // Late by less than the grace: passes, and counts for the interval in which it came, too.
    w.hear(due + 11 * MIN, What::Accepted, 1.0, None);
    assert_eq!(w.until(due + 22 * MIN), [PASS, PASS]);
    assert_eq!(w.until(due + 32 * MIN), [fail(Class::Missing)]);
}

#[test]
fn faults_are_told_apart() {
    let mut w = World::new("10m", "grace = \"2m\"\nwithin = \"1m\"\nmax_duplicates = 0.3\nsequence = \"$.n\"\nordered = true");
    let due = w.first();
    let slot = |n: i64| due + n * 10 * MIN - MIN;
    w.hear(slot(0), What::Forged, 0.0, None);
    w.hear(slot(1), What::Stale, 4000.0, None);
    w.hear(slot(2), What::Accepted, 90.0, Some(5));
    w.hear(slot(3), What::Accepted, 1.0, Some(6));
    w.hear(slot(3), What::Duplicate, 1.0, Some(6));
    // 8 before 7; then 9 is left out for good.
    for n in [8, 7] {
        w.hear(slot(4), What::Accepted, 1.0, Some(n));
    }
    w.hear(slot(5), What::Accepted, 1.0, Some(10));
    w.hear(slot(6), What::Accepted, 1.0, Some(11));
    w.hear(slot(7), What::Malformed, 0.0, None);
    let became = w.until(slot(8) - 6 * MIN);
    let expected = [Class::Signature, Class::Slow, Class::Slow, Class::Assertion, Class::Mismatch, Class::Missing].map(fail);
    assert_eq!(became[..6], expected);
    assert_eq!(became[6..], [PASS, fail(Class::Missing)]);
    assert_eq!(w.state.tally.refused.len(), 4, "{:?}", w.state.tally.refused);
}

#[test]
fn silence_while_we_were_away_is_nobody_s_failure() {
    let mut w = World::new("10m", "grace = \"2m\"");
    let due = w.first();
    w.away = vec![Away { from: UnixMs(due - MIN), until: UnixMs(due + 35 * MIN), cause: Cause::Down }];
    // The fourth slot saw us for long enough; the gap of a minute in the fifth is shorter than the grace.
    w.away.push(Away { from: UnixMs(due + 51 * MIN), until: UnixMs(due + 52 * MIN), cause: Cause::SelfCheck });
    let became = w.until(due + 62 * MIN);
    assert_eq!(became, [(Outcome::Unknown, Some(Class::Internal), 5), fail(Class::Missing), fail(Class::Missing)]);
}

#[test]
fn silence_waits_until_our_own_network_is_known_to_have_been_up() {
    let mut w = World::new("10m", "grace = \"2m\"");
    let due = w.first();
    w.hear(due - MIN, What::Accepted, 1.0, None);
    w.sure = UnixMs(due);
    assert_eq!(w.until(due + 13 * MIN), [PASS], "who came needs no proof of it; the silence after it waits");
    w.sure = UnixMs(due + 12 * MIN - 1);
    assert_eq!(w.until(due + 13 * MIN), []);
    // By then it is known: for the last half of the slot nobody could have reached us.
    w.sure = UnixMs(due + 13 * MIN);
    w.away = vec![Away { from: UnixMs(due + 5 * MIN), until: UnixMs(due + 11 * MIN), cause: Cause::SelfCheck }];
    assert_eq!(w.until(due + 13 * MIN), [(Outcome::Unknown, Some(Class::Internal), 1)]);
    w.sure = UnixMs(due + 22 * MIN);
    assert_eq!(w.until(due + 22 * MIN), [fail(Class::Missing)]);
}

#[test]
fn cron_expects_at_its_times() {
    let mut w = World::new("24h", "grace = \"30m\"\ncron = \"0 2 * * *\"");
    let two = 2 * 60 * MIN;
    let day = 24 * 60 * MIN;
    // A moment early, late within the grace, too late.
    w.hear(two - MIN, What::Accepted, 0.0, None);
    w.hear(day + two + 29 * MIN, What::Accepted, 0.0, None);
    w.hear(2 * day + two + 31 * MIN, What::Accepted, 0.0, None);
    assert_eq!(w.until(3 * day), [PASS, PASS, fail(Class::Missing)]);
}

#[test]
fn another_schedule_begins_anew_and_nothing_grows_without_end() {
    let mut w = World::new("10m", "sequence = \"$.n\"");
    for n in 0..100_000i64 {
        w.hear(n * 1000, What::Accepted, n as f64, Some(n * 1_000_003));
    }
    let text = serde_json::to_string(&w.state).unwrap();
    assert!(text.len() < crate::memory::MOST_BYTES / 2, "{}", text.len());
    w.def = check("20m", "");
    w.state.expect(Expected::of(&w.def).as_ref(), UnixMs(100_000_000));
    assert_eq!(w.state.since, Some(UnixMs(100_000_000)));
    assert_eq!(w.until(100_000_000 + 10 * MIN), []);
}
