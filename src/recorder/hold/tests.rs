//! What is held, and whose it turns out to be; times are made up.

use super::*;
use crate::clock::UnixMs;
use crate::self_check::channel_of;
use tokio::sync::watch;

fn failure(check: &str, slot: i64, class: Class) -> Record {
    let mut r = Record::not_run(check.parse().unwrap(), UnixMs(slot), 1_000, 1, Cause::Internal);
    (r.outcome, r.cause, r.class) = (Outcome::Fail, None, Some(class));
    r
}

fn pass(check: &str, slot: i64) -> Record {
    let mut r = failure(check, slot, Class::Dns);
    (r.outcome, r.class) = (Outcome::Pass, None);
    r
}

fn came(record: Record, host: &str, ended: Instant) -> Arrived {
    Arrived { record, host: Some(host.into()), ended, answered: false }
}

fn refused(record: Record, host: &str, ended: Instant) -> Arrived {
    Arrived { answered: true, ..came(record, host, ended) }
}

fn hold(verdict: Verdict) -> (Hold, watch::Sender<Verdict>) {
    let (handle, sender) = channel_of(verdict);
    (Hold::new(handle), sender)
}

async fn says(hold: &mut Hold, sender: &watch::Sender<Verdict>, began: Instant, up: bool) {
    sender.send_replace(Verdict::Known { began, up });
    hold.verdict_changed().await;
}

const A: &str = "a/p/i/c";
const B: &str = "b/p/i/c";

#[tokio::test]
async fn a_network_failure_waits_for_a_later_self_check() {
    let (mut h, sender) = hold(Verdict::NotYet);
    let t = Instant::now();
    let ms = Duration::from_millis;
    assert!(h.admit(came(failure(A, 1, Class::Connect), "a:1", t)).0.is_none());
    assert!(h.admit(came(failure(B, 1, Class::Timeout), "b:1", t)).0.is_some(), "the target was reached: nothing to wait for");
    says(&mut h, &sender, t, true).await;
    assert!(h.release(t).is_empty(), "a self-check that did not begin after the failure says nothing");
    says(&mut h, &sender, t + ms(1), true).await;
    assert_eq!(h.release(t)[0].outcome, Outcome::Fail);

    assert!(h.admit(came(failure(A, 2, Class::Tls), "a:1", t + ms(10))).0.is_none());
    assert!(h.admit(came(pass(A, 3), "a:1", t + ms(11))).0.is_none(), "a later outcome of the same check waits its turn");
    says(&mut h, &sender, t + ms(12), false).await;
    let out = h.release(t);
    assert_eq!(out.iter().map(|r| (r.slot.0, r.outcome)).collect::<Vec<_>>(), [(2, Outcome::Unknown), (3, Outcome::Pass)]);
    assert_eq!(
        (out[0].cause, out[0].class, out[0].attribution),
        (Some(Cause::SelfCheck), Some(Class::Internal), Some(Attribution::Monitor))
    );
    assert!(h.is_empty());
}

#[tokio::test]
async fn a_run_that_began_while_the_network_was_down_is_not_counted() {
    let (mut h, sender) = hold(Verdict::NotYet);
    let t = Instant::now() + Duration::from_secs(60);
    says(&mut h, &sender, t, false).await;
    let mut r = failure(A, 1, Class::Connect);
    r.duration = crate::record::DurationCode::of(Duration::from_secs(10));
    assert!(h.admit(came(r, "a:1", t + Duration::from_secs(5))).0.is_none());
    says(&mut h, &sender, t + Duration::from_secs(6), true).await;
    assert_eq!(h.release(t)[0].outcome, Outcome::Unknown);
}

#[tokio::test]
async fn a_failure_between_a_failed_self_check_and_the_return_of_the_network_is_not_counted() {
    let (mut h, sender) = hold(Verdict::NotYet);
    h.hosts(1, 1);
    let t = Instant::now();
    let ms = Duration::from_millis;
    says(&mut h, &sender, t, false).await;
    assert!(h.admit(came(failure(A, 1, Class::Dns), "a:1", t + ms(300))).0.is_none());
    says(&mut h, &sender, t + ms(500), true).await;
    assert_eq!(h.release(t)[0].outcome, Outcome::Unknown, "refused at once, while all that was known said that we are down");
    assert!(h.admit(came(failure(A, 2, Class::Dns), "a:1", t + ms(600))).0.is_none());
    says(&mut h, &sender, t + ms(700), true).await;
    assert_eq!(h.release(t)[0].outcome, Outcome::Fail, "between two that answered it counts");
}

#[tokio::test]
async fn a_message_that_was_set_off_and_did_not_come_is_doubtful_where_a_target_can_tell() {
    let (mut h, sender) = hold(Verdict::NotYet);
    let t = Instant::now();
    for (n, up) in [(1, true), (2, false)] {
        let at = t + Duration::from_secs(n);
        assert!(h.admit(came(failure(A, n as i64, Class::Missing), "a:1", at)).0.is_none());
        says(&mut h, &sender, at + Duration::from_millis(1), up).await;
        assert_eq!(h.release(at)[0].outcome, if up { Outcome::Fail } else { Outcome::Unknown });
    }
    let (mut alone, _sender) = hold(Verdict::NoTargets);
    assert!(alone.admit(came(failure(A, 1, Class::Missing), "a:1", t)).0.is_some());
}

#[tokio::test]
async fn when_the_self_check_never_answers_nobody_is_blamed() {
    let (mut h, _sender) = hold(Verdict::NotYet);
    let t = Instant::now();
    h.admit(came(failure(A, 1, Class::Dns), "a:1", t));
    assert!(h.release(t + LIMIT - Duration::from_millis(1)).is_empty());
    assert_eq!(h.release(t + LIMIT)[0].outcome, Outcome::Unknown);
}

#[tokio::test]
async fn what_is_held_is_bounded() {
    let (mut h, _sender) = hold(Verdict::NotYet);
    let t = Instant::now();
    for n in 0..MOST_HELD as i64 + 5 {
        let (back, release) = h.admit(came(failure(A, n, Class::Dns), "a:1", t));
        assert!(back.is_none());
        assert_eq!(release, n >= MOST_HELD as i64);
    }
    assert_eq!(h.release(t).len(), 5);
}

/// So many seconds after `t`.
fn after(t: Instant, seconds: f64) -> Instant {
    t + Duration::from_secs_f64(seconds)
}

/// Three hosts, of which one passes each second for half a minute. Returns the last one's end.
fn all_well(h: &mut Hold, t: Instant) -> Instant {
    for n in 0..=30_i32 {
        let host = ["a:1", "b:1", "c:1"][n.unsigned_abs() as usize % 3];
        assert!(h.admit(came(pass(A, n.into()), host, after(t, n.into()))).0.is_some());
    }
    after(t, 30.0)
}

fn outcomes(records: &[Record]) -> Vec<(i64, Outcome)> {
    records.iter().map(|r| (r.slot.0, r.outcome)).collect()
}

#[test]
fn without_targets_an_answer_is_neither_held_nor_a_sign_of_life() {
    let (mut h, _sender) = hold(Verdict::NoTargets);
    h.hosts(3, 3);
    let t = all_well(&mut h, Instant::now());
    for (n, class) in [(1, Class::Connect), (2, Class::Dns)] {
        let (back, decided) = h.admit(refused(failure(A, n, class), "a:1", after(t, 0.5)));
        assert!(back.is_some_and(|r| r.outcome == Outcome::Fail) && !decided, "{class:?}: it goes on as it is");
    }
    for (check, host) in [(A, "a:1"), (B, "b:1"), ("c/p/i/c", "c:1")] {
        assert!(h.admit(came(failure(check, 3, Class::Connect), host, after(t, 1.0))).0.is_none());
    }
    assert!(!h.admit(refused(failure("d/p/i/c", 1, Class::Connect), "d:1", after(t, 3.5))).1, "a refusal does not end the silence");
    assert!(h.admit(came(pass("d/p/i/c", 2), "d:1", after(t, 4.0))).1);
    assert!(h.release(after(t, 4.0)).iter().all(|r| r.outcome == Outcome::Unknown), "three successes were missing");
}

#[test]
fn without_targets_three_that_fail_between_two_successes_are_no_blackout() {
    let (mut h, _sender) = hold(Verdict::NoTargets);
    h.hosts(5, 5);
    let t = all_well(&mut h, Instant::now());
    for (check, host) in [(A, "a:1"), (B, "b:1"), ("c/p/i/c", "c:1")] {
        assert!(h.admit(came(failure(check, 1, Class::Dns), host, after(t, 0.5))).0.is_none());
    }
    assert!(h.admit(came(pass("d/p/i/c", 1), "d:1", after(t, 1.0))).1);
    let out = h.release(after(t, 1.0));
    assert_eq!(outcomes(&out), [(1, Outcome::Fail); 3]);
}

/// A self-check of addresses that answers, and three hosts whose names are not answered from `t` on.
async fn no_names(h: &mut Hold, sender: &watch::Sender<Verdict>, t: Instant) {
    for (check, host) in [(A, "a:1"), (B, "b:1"), ("c/p/i/c", "c:1")] {
        assert!(h.admit(came(failure(check, 1, Class::Dns), host, after(t, 1.0))).0.is_none());
    }
    says(h, sender, after(t, 1.1), true).await;
    assert!(h.release(after(t, 1.2)).is_empty(), "the network is up, but the name servers may be down");
}

#[tokio::test]
async fn with_targets_names_nobody_answers_are_our_name_servers_fault() {
    let (mut h, sender) = hold(Verdict::NotYet);
    h.hosts(4, 3);
    let t = all_well(&mut h, Instant::now());
    no_names(&mut h, &sender, t).await;
    // The literal address is reached without DNS, a refusal is one by DNS: neither is a name that was found.
    assert!(!h.admit(came(pass("d/p/i/c", 1), "192.0.2.1:80", after(t, 2.0))).1);
    assert!(!h.admit(came(pass("d/p/i/c", 2), "[2001:db8::1]:80", after(t, 2.0))).1);
    assert!(h.release(after(t, 2.0)).is_empty());
    let out = h.release(after(t, 16.0));
    assert_eq!(outcomes(&out), [(1, Outcome::Unknown); 3]);
    assert_eq!((out[0].cause, out[0].attribution), (Some(Cause::SelfCheck), Some(Attribution::Monitor)));
    let detail = out[0].detail.as_deref().unwrap();
    assert!(detail.starts_with("our name servers did not answer for any name (it looked like dns"), "{detail}");

    // A name is found; a run that began before that was caught by it.
    assert!(!h.admit(came(pass(A, 2), "a:1", after(t, 20.0))).1, "nothing is held any longer");
    let mut caught = failure(B, 2, Class::Dns);
    caught.duration = crate::record::DurationCode::of(Duration::from_secs(5));
    assert!(h.admit(came(caught, "b:1", after(t, 21.0))).1);
    assert_eq!(outcomes(&h.release(after(t, 21.0))), [(2, Outcome::Unknown)]);
}

#[tokio::test]
async fn with_targets_names_nobody_answers_while_others_are_found_are_theirs() {
    let (mut h, sender) = hold(Verdict::NotYet);
    h.hosts(4, 4);
    let t = all_well(&mut h, Instant::now());
    no_names(&mut h, &sender, t).await;
    // Refused is beyond DNS.
    assert!(h.admit(refused(failure("d/p/i/c", 1, Class::Connect), "d.example:80", after(t, 1.5))).1);
    let out = h.release(after(t, 2.0));
    assert_eq!(outcomes(&out), [(1, Outcome::Fail); 3], "the refusal itself waits for a later self-check");
}

#[tokio::test]
async fn with_targets_an_answer_of_dns_waits_for_the_self_check_only() {
    let (mut h, sender) = hold(Verdict::NotYet);
    let t = all_well(&mut h, Instant::now());
    for (check, host) in [(A, "a:1"), (B, "b:1"), ("c/p/i/c", "c:1")] {
        assert!(h.admit(refused(failure(check, 1, Class::Dns), host, after(t, 10.0))).0.is_none());
    }
    says(&mut h, &sender, after(t, 10.1), true).await;
    assert_eq!(outcomes(&h.release(after(t, 10.2))), [(1, Outcome::Fail); 3]);
}

#[tokio::test]
async fn with_targets_nothing_waits_for_names_that_are_too_few() {
    let (mut h, sender) = hold(Verdict::NotYet);
    h.hosts(5, 2);
    let t = Instant::now();
    assert!(h.admit(came(failure(A, 1, Class::Dns), "a:1", t)).0.is_none());
    says(&mut h, &sender, after(t, 0.1), true).await;
    assert_eq!(outcomes(&h.release(after(t, 0.2))), [(1, Outcome::Fail)]);
}

#[test]
fn a_stop_in_a_silence_blames_nobody() {
    let (mut h, _sender) = hold(Verdict::NoTargets);
    h.hosts(5, 5);
    let t = all_well(&mut h, Instant::now());
    for (check, host) in [(A, "a:1"), (B, "b:1"), ("c/p/i/c", "c:1")] {
        h.admit(came(failure(check, 1, Class::Connect), host, after(t, 0.5)));
    }
    assert_eq!(outcomes(&h.give_up(after(t, 1.0))), [(1, Outcome::Unknown); 3]);
}

#[test]
fn addresses_are_told_from_names() {
    for address in ["192.0.2.1", "[2001:db8::1]", "::1"] {
        assert!(is_address(address), "{address}");
    }
    for name in ["api.example.com", "1.example", "localhost", ""] {
        assert!(!is_address(name), "{name}");
    }
    assert_eq!(host_name("[2001:db8::1]:443"), "[2001:db8::1]");
}
