//! The engine against a plain oracle that looks at whole histories, and what must hold whatever happens: one incident for what comes and goes, the same
//! incidents after a restart at any point, nothing when it is asked twice.

use std::collections::BTreeMap;

use super::engine::{CheckView, View, step};
use super::*;
use crate::outcome::{Cause, Outcome};
use crate::record::Record;

const EVERY: i64 = 60_000;
const START: i64 = 1_800_000_000_000;

/// A generator of numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

/// A run: which check, when, and `Some(Ok)`: passed, `Some(Err)`: failed, `None`: not judged.
type Event_ = (usize, UnixMs, Option<Result<(), Class>>);

fn id(check: usize) -> CheckId {
    format!("acme/production/crm/c{check}").parse().unwrap()
}

fn record((check, slot, ended): Event_) -> Record {
    let mut r = Record::not_run(id(check), slot, EVERY as u32, 1, Cause::Internal);
    match ended {
        Some(Ok(())) => (r.outcome, r.class, r.attribution, r.cause) = (Outcome::Pass, None, None, None),
        Some(Err(class)) => {
            (r.outcome, r.class, r.attribution, r.cause) = (Outcome::Fail, Some(class), Some(Attribution::Network), None);
            r.detail = Some(format!("run at {}", slot.0));
        }
        None => {}
    }
    r
}

/// What the daemon keeps of an integration: the states of its checks, and its incidents.
#[derive(Clone)]
struct World {
    policy: Policy,
    integration: IntegrationId,
    checks: Vec<(CheckId, Recent, Option<UnixMs>)>,
    incidents: Vec<Incident>,
    blocked: BTreeMap<usize, (Option<UnixMs>, Option<UnixMs>)>,
    quiet: bool,
    phase: Phase,
    now: UnixMs,
}

impl World {
    fn new(policy: Policy, checks: usize) -> Self {
        Self {
            policy,
            integration: "acme/production/crm".parse().unwrap(),
            checks: (0..checks).map(|n| (id(n), Recent::default(), None)).collect(),
            incidents: Vec::new(),
            blocked: BTreeMap::new(),
            quiet: false,
            phase: Phase::Soak,
            now: UnixMs(START),
        }
    }

    fn asked(&self) -> Option<Incident> {
        let checks = self.checks.iter().enumerate().map(|(n, (id, recent, failing_since))| {
            let (blocked, awaits) = self.blocked.get(&n).copied().unwrap_or_default();
            let host = Some("api.example.com:443".to_owned());
            CheckView { id, host, every_ms: EVERY, recent, failing_since: *failing_since, blocked, awaits }
        });
        let view = View {
            integration: &self.integration,
            owner: Owner::Vendor,
            criticality: Criticality::Critical,
            phase: self.phase,
            quiet: self.quiet,
            policy: self.policy,
            checks: checks.collect(),
            now: self.now,
        };
        let known = self.incidents.iter().find(|i| i.is_open()).or_else(|| self.incidents.iter().max_by_key(|i| i.closed));
        step(&view, known)
    }

    fn take(&mut self, event: Event_) {
        let r = record(event);
        let (_, recent, failing_since) = &mut self.checks[event.0];
        recent.apply(&r);
        match r.outcome {
            Outcome::Pass => *failing_since = None,
            Outcome::Fail => *failing_since = failing_since.or(Some(r.slot)),
            _ => {}
        }
        self.now = event.1;
        self.ask();
    }

    fn ask(&mut self) {
        if let Some(next) = self.asked() {
            self.incidents.retain(|i| i.id != next.id);
            self.incidents.push(next);
        }
    }

    /// Everything as it is read back after a restart.
    fn restarted(&self) -> Self {
        fn again<T: serde::Serialize + serde::de::DeserializeOwned>(of: &T) -> T {
            serde_json::from_str(&serde_json::to_string(of).unwrap()).unwrap()
        }
        let checks = self.checks.iter().map(|(id, recent, since)| (id.clone(), again(recent), *since)).collect();
        Self { checks, incidents: again(&self.incidents), ..self.clone() }
    }
}

/// What the oracle says of an incident.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    first_bad: i64,
    opened: i64,
    closed: Option<i64>,
    reopened: u32,
    class: Option<Class>,
    /// Of each check how many runs of it did not pass.
    failures: BTreeMap<String, u64>,
}

/// The plain oracle: after each run it looks at the whole history again.
#[derive(Default)]
struct Oracle {
    policy: Policy,
    runs: BTreeMap<usize, Vec<(i64, Option<Class>)>>,
    told: Vec<Told>,
    /// Checks that are broken now: since which run.
    broken: BTreeMap<usize, i64>,
    /// When a check that was broken worked again.
    recovered: BTreeMap<usize, i64>,
    /// Classes of failures in each incident, in order.
    classes: Vec<Vec<Class>>,
}

impl Oracle {
    fn flaps(runs: &[(i64, Option<Class>)]) -> bool {
        let Some(ten) = runs.len().checked_sub(10).map(|n| &runs[n..]) else { return false };
        let broke = ten.windows(2).filter(|w| w[0].1.is_none() && w[1].1.is_some()).count();
        ten.iter().filter(|r| r.1.is_some()).count() >= 5 && broke >= 2
    }

    /// The first bad run of what breaks the check now.
    fn breaks(&self, check: usize, after: i64) -> Option<i64> {
        let runs = &self.runs[&check];
        let streak: Vec<i64> = runs.iter().rev().take_while(|r| r.1.is_some()).map(|r| r.0).filter(|t| *t > after).collect();
        if streak.len() >= self.policy.fail_after as usize {
            return streak.last().copied();
        }
        let ten = &runs[runs.len().saturating_sub(10)..];
        let bad: Vec<i64> = ten.iter().filter(|r| r.1.is_some() && r.0 > after).map(|r| r.0).collect();
        (!streak.is_empty() && Self::flaps(runs) && bad.len() >= 5).then(|| bad[0])
    }

    fn works(&self, check: usize) -> bool {
        let runs = &self.runs[&check];
        let passing = runs.iter().rev().take_while(|r| r.1.is_none()).count();
        passing >= self.policy.pass_after as usize && !Self::flaps(runs)
    }

    fn take(&mut self, (check, UnixMs(slot), ended): Event_) {
        let Some(ended) = ended else { return };
        let class = ended.err();
        self.runs.entry(check).or_default().push((slot, class));
        let open = self.told.last().is_some_and(|t| t.closed.is_none());
        if let (true, Some(class)) = (self.broken.contains_key(&check), class) {
            self.count(check, class);
        }
        if !self.broken.contains_key(&check)
            && class.is_some()
            && let Some(first_bad) = self.breaks(check, self.recovered.get(&check).copied().unwrap_or(i64::MIN))
        {
            let soon = |closed: i64| first_bad - closed <= self.policy.reopen_within.ms().max(10 * EVERY);
            let again = !open && self.told.last().and_then(|t| t.closed).is_some_and(soon);
            if again {
                let last = self.told.last_mut().unwrap();
                (last.closed, last.reopened) = (None, last.reopened + 1);
                self.classes.last_mut().unwrap().clear();
            } else if !open {
                self.told.push(Told { first_bad, opened: slot, ..Told::default() });
                self.classes.push(Vec::new());
            }
            let last = self.told.last_mut().unwrap();
            last.first_bad = last.first_bad.min(first_bad);
            self.broken.insert(check, first_bad);
            for (_, class) in self.runs[&check].clone().iter().filter(|r| r.0 >= first_bad) {
                class.iter().for_each(|c| self.count(check, *c));
            }
        }
        if self.broken.contains_key(&check) && class.is_none() && self.works(check) {
            self.broken.remove(&check);
            self.recovered.insert(check, slot);
            if self.broken.is_empty() {
                self.told.last_mut().unwrap().closed = Some(slot);
            }
        }
    }

    fn count(&mut self, check: usize, class: Class) {
        self.classes.last_mut().unwrap().push(class);
        let last = self.told.last_mut().unwrap();
        *last.failures.entry(format!("c{check}")).or_default() += 1;
    }

    /// Most of them; of equals the one that came last.
    fn told(mut self) -> Vec<Told> {
        for (told, classes) in self.told.iter_mut().zip(&self.classes) {
            let n = |c: Class| classes.iter().filter(|o| **o == c).count();
            let most = classes.iter().map(|c| n(*c)).max().unwrap();
            told.class = classes.iter().rev().copied().find(|c| n(*c) == most);
        }
        self.told
    }
}

fn told(i: &Incident) -> Told {
    Told {
        first_bad: i.first_bad.0,
        opened: i.opened.0,
        closed: i.closed.map(|c| c.0),
        reopened: i.reopened,
        class: Some(i.class),
        failures: i.checks.iter().map(|a| (a.check.check().to_owned(), a.failures)).collect(),
    }
}

/// Runs of a few checks, with moods that change: working, broken, coming and going.
fn history(dice: &mut Dice, checks: usize, rounds: i64) -> Vec<Event_> {
    const CLASSES: [Class; 3] = [Class::Timeout, Class::ServerError, Class::Dns];
    let mut moods: Vec<u64> = (0..checks).map(|_| dice.next(4)).collect();
    let mut events = Vec::new();
    for n in 0..rounds {
        for (check, mood) in moods.iter_mut().enumerate() {
            if dice.next(12) == 0 {
                *mood = dice.next(5);
            }
            let fails = match *mood {
                0 | 1 => dice.next(20) == 0,
                2 => dice.next(20) != 0,
                3 => dice.next(2) == 0,
                _ => n % 2 == 0,
            };
            let ended = match dice.next(15) {
                0 => None,
                _ if fails => Some(Err(CLASSES[dice.next(3) as usize])),
                _ => Some(Ok(())),
            };
            events.push((check, UnixMs(START + n * EVERY + check as i64 * 1_000), ended));
        }
    }
    events
}

fn policies(dice: &mut Dice) -> Policy {
    let (fail_after, pass_after) = (1 + dice.next(5) as u32, 1 + dice.next(5) as u32);
    Policy { fail_after, pass_after, reopen_within: Span::seconds(dice.next(3) * 1_200) }
}

#[test]
fn the_engine_says_what_a_plain_oracle_says_of_whole_histories() {
    let mut dice = Dice(0x5eed_1234_abcd_0001);
    let (mut incidents, mut again, mut several) = (0, 0, 0);
    for round in 0..2_000 {
        let checks = 1 + dice.next(3) as usize;
        let policy = if round % 2 == 0 { Policy::default() } else { policies(&mut dice) };
        let mut world = World::new(policy, checks);
        let mut oracle = Oracle { policy, ..Oracle::default() };
        for event in history(&mut dice, checks, 90) {
            world.take(event);
            oracle.take(event);
            assert!(world.incidents.iter().filter(|i| i.is_open()).count() <= 1);
        }
        let mut engine: Vec<Told> = world.incidents.iter().map(told).collect();
        engine.sort_by_key(|t| t.opened);
        assert_eq!(engine, oracle.told(), "history {round}, {policy:?}");
        incidents += engine.len();
        again += engine.iter().map(|t| t.reopened).sum::<u32>();
        several += engine.iter().filter(|t| t.failures.len() > 1).count();
    }
    assert!(incidents > 2_000 && again > 200 && several > 200, "the histories are worth something: {incidents} {again} {several}");
}

#[test]
fn a_restart_at_any_point_changes_nothing_and_so_does_asking_twice() {
    let mut dice = Dice(0x0dd_ba11);
    for _ in 0..150 {
        let checks = 1 + dice.next(3) as usize;
        let policy = policies(&mut dice);
        let events = history(&mut dice, checks, 60);
        let mut straight = World::new(policy, checks);
        let mut restarted = World::new(policy, checks);
        for event in events {
            // It was killed after the run was stored, and before its incident was.
            let before = restarted.incidents.clone();
            straight.take(event);
            restarted.take(event);
            if dice.next(3) == 0 {
                restarted.incidents = before;
                restarted = restarted.restarted();
                restarted.ask();
            }
            assert_eq!(restarted.asked(), None, "asked again, nothing changes");
        }
        assert_eq!(restarted.incidents, straight.incidents);
    }
}

#[test]
fn half_of_the_runs_for_an_hour_is_one_incident() {
    for strictly in [true, false] {
        for seed in 1..400 {
            let (mut dice, mut world) = (Dice(seed * 7_919), World::new(Policy::default(), 1));
            for n in 0..60 {
                let fails = if strictly { n % 2 == i64::from(seed % 2 == 0) } else { dice.next(2) == 0 };
                let ended = if fails { Err(Class::ServerError) } else { Ok(()) };
                world.take((0, UnixMs(START + n * EVERY), Some(ended)));
            }
            let all: Vec<Told> = world.incidents.iter().map(told).collect();
            assert_eq!(all.len(), 1, "seed {seed}, strictly {strictly}: {all:?}");
            assert!(!strictly || all[0].reopened == 0 && all[0].closed.is_none(), "it never worked in between: {all:?}");
        }
    }
}

/// `F` fails, `P` passes, `-` is not judged.
fn play(world: &mut World, check: usize, from: i64, runs: &str) {
    for (n, c) in runs.chars().enumerate() {
        let ended = match c {
            'F' => Some(Err(Class::Timeout)),
            'S' => Some(Err(Class::ServerError)),
            'P' => Some(Ok(())),
            _ => None,
        };
        world.take((check, UnixMs(START + (from + n as i64) * EVERY), ended));
    }
}

#[test]
fn one_that_opens_again_is_what_it_fails_by_now() {
    let mut world = World::new(Policy::default(), 1);
    play(&mut world, 0, 0, "FFFFFFFFPPP");
    let first = world.incidents[0].clone();
    assert_eq!((first.class, first.closed.is_some()), (Class::Timeout, true));
    play(&mut world, 0, 11, "SSS");
    let i = &world.incidents[0];
    assert_eq!((i.reopened, i.class), (1, Class::ServerError), "{i:?}");
    assert_eq!(i.classes, [(Class::Timeout, Attribution::Network, 8), (Class::ServerError, Attribution::Network, 3)], "all are counted");
    assert_eq!(i.timeline.last().map(|e| e.text.as_str()), Some("most failures are server_error (network)"));
    // Whatever fails now counts, and nothing of before.
    play(&mut world, 0, 14, "FFFF");
    assert_eq!(world.incidents[0].class, Class::Timeout);
}

fn events(i: &Incident) -> Vec<Event> {
    i.timeline.iter().map(|e| e.event).collect()
}

#[test]
fn an_outage_opens_at_the_third_failure_and_closes_at_the_third_pass_however_long_it_was() {
    let mut world = World::new(Policy::default(), 1);
    play(&mut world, 0, 0, "PF-F");
    assert!(world.incidents.is_empty());
    play(&mut world, 0, 4, "-FFFFFFFFFFFFFFPP");
    assert!(world.incidents[0].is_open());
    play(&mut world, 0, 21, "P");
    let i = &world.incidents[0];
    let at = |n: i64| UnixMs(START + n * EVERY);
    assert_eq!((i.first_bad, i.opened, i.closed), (at(1), at(5), Some(at(21))));
    assert_eq!((i.time_to_detect_ms(), i.time_to_repair_ms()), (4 * EVERY, Some(20 * EVERY)));
    assert_eq!((i.checks[0].failures, i.runs.len(), i.runs[0].slot), (16, MOST_RUNS + 1, at(1)));
    assert_eq!(i.runs.last().map(|r| (r.slot, r.class)), Some((at(21), None)));
    assert_eq!(events(i), [Event::Opened, Event::Closed]);
    assert_eq!(i.id, Incident::id_for(&world.integration, at(1)));
    assert!(i.id.len() == 12 && i.id.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)), "{}", i.id);
    // Within half an hour it is the same one; later another.
    play(&mut world, 0, 45, "FFF");
    assert_eq!((world.incidents.len(), world.incidents[0].reopened), (1, 1));
    play(&mut world, 0, 48, "PPP");
    play(&mut world, 0, 90, "FFF");
    assert_eq!(world.incidents.len(), 2);
}

#[test]
fn what_another_check_breaks_is_not_its_own() {
    let mut world = World::new(Policy::default(), 2);
    // The other one failed a moment before each of its runs.
    for n in 0..5 {
        world.blocked.insert(1, (Some(UnixMs(START + n * EVERY - 1)), Some(UnixMs(START + n * EVERY - 1))));
        play(&mut world, 1, n, "F");
    }
    assert!(world.incidents.is_empty());
    // It works again, and this one does not: three runs of its own.
    world.blocked.insert(1, (Some(UnixMs(START + 4 * EVERY)), Some(UnixMs(START + 9 * EVERY))));
    play(&mut world, 1, 5, "FF");
    assert!(world.incidents.is_empty());
    play(&mut world, 1, 7, "F");
    assert_eq!(world.incidents[0].first_bad, UnixMs(START + 5 * EVERY));
    // Nobody has asked the other one since it began: nobody knows whose it is.
    let mut world = World::new(Policy::default(), 2);
    world.blocked.insert(1, (None, Some(UnixMs(START - 1))));
    play(&mut world, 1, 0, "FFFF");
    assert!(world.incidents.is_empty());
    world.blocked.insert(1, (None, Some(UnixMs(START + 3 * EVERY))));
    world.ask();
    assert_eq!(world.incidents[0].opened, UnixMs(START + 2 * EVERY), "it was one then, and is told now");
}

#[test]
fn while_it_is_quiet_nothing_opens_and_what_is_open_stays() {
    let mut world = World::new(Policy::default(), 2);
    world.quiet = true;
    play(&mut world, 0, 0, "FFFF");
    assert!(world.incidents.is_empty());
    world.quiet = false;
    play(&mut world, 0, 4, "F");
    assert_eq!(world.incidents[0].opened, UnixMs(START + 2 * EVERY));
    world.quiet = true;
    play(&mut world, 1, 5, "FFFF");
    assert_eq!((world.incidents[0].checks.len(), world.incidents[0].is_open()), (1, true));
}

#[test]
fn a_check_that_leaves_is_broken_no_more() {
    let mut world = World::new(Policy::default(), 2);
    play(&mut world, 0, 0, "FFF");
    play(&mut world, 1, 3, "FFF");
    let gone = world.checks.remove(0);
    world.ask();
    assert!(world.incidents[0].is_open());
    world.checks.remove(0);
    world.now = UnixMs(START + 99 * EVERY);
    world.ask();
    let i = &world.incidents[0];
    assert_eq!((i.closed, events(i)), (Some(world.now), vec![Event::Opened, Event::Updated, Event::Updated, Event::Closed]));
    assert!(i.timeline[3].text.contains("left the configuration"), "{:?}", i.timeline);
    // It comes back as it was, broken by what is known already.
    world.checks.push(gone);
    world.ask();
    assert!(!world.incidents[0].is_open());
}

#[test]
fn severity_is_the_worst_it_has_been_and_what_people_say_stays() {
    let mut world = World::new(Policy::default(), 1);
    play(&mut world, 0, 0, "FFF");
    assert_eq!(world.incidents[0].severity, Severity::P2);
    world.phase = Phase::Hypercare;
    play(&mut world, 0, 3, "F");
    assert_eq!(world.incidents[0].severity, Severity::P1);
    world.phase = Phase::Steady;
    play(&mut world, 0, 4, "F");
    assert_eq!((world.incidents[0].severity, events(&world.incidents[0])), (Severity::P1, vec![Event::Opened, Event::Updated]));
    let act = act::Act::Reclassify { class: Some(Class::Dns), attribution: None, severity: Some(Severity::P4), reason: "a drill".into() };
    world.incidents[0] = world.incidents[0].after(&act, "j.doe", world.now);
    world.phase = Phase::Hypercare;
    play(&mut world, 0, 5, "FF");
    let i = &world.incidents[0];
    assert_eq!((i.severity, i.class, i.attribution), (Severity::P4, Class::Dns, Attribution::Network));
    assert_eq!(i.timeline.last().map(|e| (e.by.as_deref(), e.event)), Some((Some("j.doe"), Event::Reclassified)));
}

#[test]
fn a_timeline_is_bounded() {
    let mut world = World::new(Policy { fail_after: 1, pass_after: 1, reopen_within: Span::days(1) }, 1);
    for n in 0..300 {
        play(&mut world, 0, n * 20, "FPPPPPPPPPPPPPPPPPPP");
    }
    let i = &world.incidents[0];
    assert_eq!((i.timeline.len(), i.timeline[0].event, i.reopened), (MOST_TIMELINE, Event::Opened, 299));
    let note = act::Act::Note("x".repeat(5_000));
    assert_eq!(i.after(&note, "a", world.now).timeline.last().unwrap().text.chars().count(), MOST_NOTE);
}
