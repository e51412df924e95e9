//! Every way in which a gate could say go on data that is stale, unknown or missing, each by itself, through the command line (issue 4, Gate). What needs a
//! running daemon is in `gate_live`, what needs no store in `soak::tests` and `readiness::tests`; `gate` has damage, other configurations and other clocks.

use std::process::Output;

use soakwatch::clock::UnixMs;
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Cause, Class, Outcome};
use soakwatch::record::{DurationCode, Record};

use crate::support::daemon::{output, soakwatch};
use crate::support::soaked::{CUSTOMER, END, START, Soaked};

fn gate(soaked: &Soaked, at: UnixMs, more: &[&str]) -> Output {
    let config = soaked.dir.path().to_str().unwrap();
    output(soakwatch().args(["gate", "acme/production", "--config", config, "--at", &at.to_string()]).args(more))
}

/// It is not yet, for this reason, at the window's end; and it would be `go` with the runs as they are made.
fn not_yet(customer: &str, change: impl Fn(&CheckId, &mut Vec<Record>), words: &str) {
    ends(&gate(&Soaked::since(START, "", customer, change), END, &[]), 2, words);
}

fn ends(o: &Output, code: i32, words: &str) {
    let all = format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert_eq!(o.status.code(), Some(code), "{words}: {all}");
    assert!(all.contains(words), "{words:?} is not in: {all}");
}

fn live() -> String {
    CUSTOMER.replace("owner = ", "go_live = 2025-01-06T14:00:00Z\nowner = ")
}

/// `mail` with more in its soak, or more waivers.
fn mail(customer: &str, soak: &str, waived: &[&str]) -> String {
    let (head, tail) = customer.split_once("id = \"mail\"").unwrap();
    let check = "[[integration.check]]\nid = \"send\"";
    let waiver = |c: &&str| {
        format!("[[integration.waiver]]\ncriterion = \"{c}\"\nreason = \"known\"\napprover = \"b.boss\"\nuntil = 2025-02-06T00:00:00Z\n")
    };
    let waivers: String = waived.iter().map(waiver).collect();
    format!("{head}id = \"mail\"{}", tail.replace(check, &format!("{soak}{waivers}{check}")))
}

/// Of the check `send` everything becomes this.
fn all_become(outcome: Outcome, cause: Option<Cause>) -> impl Fn(&CheckId, &mut Vec<Record>) {
    move |id, runs| {
        for r in runs.iter_mut().filter(|_| id.check() == "send") {
            (r.outcome, r.cause, r.class, r.attribution) = (outcome, cause, None, None);
            match outcome {
                Outcome::Throttled => r.class = Some(Class::Throttled),
                Outcome::Unknown => r.class = Some(Class::Internal),
                _ => {}
            }
            (r.first_attempt_passed, r.duration, r.attempts) = (false, DurationCode(0), 0);
        }
    }
}

fn minute(n: i64) -> UnixMs {
    UnixMs(START.0 + n * 60_000)
}

#[test]
fn as_the_runs_are_made_it_is_go() {
    ends(&gate(&Soaked::new(), END, &[]), 0, "acme/production: go");
    ends(&gate(&Soaked::since(START, "", &live(), |_, _| {}), END, &[]), 0, "acme/production: go");
}

#[test]
fn no_runs_are_no_good_runs() {
    let none = |id: &CheckId, runs: &mut Vec<Record>| runs.retain(|_| id.check() != "send");
    not_yet(CUSTOMER, none, "acme/production/mail: not_yet");
    not_yet(CUSTOMER, none, "nothing has been recorded since 2025-01-06T08:00:00Z");
    not_yet(CUSTOMER, |_, runs| runs.clear(), "0 runs are too few");
    // The window is frozen, and nobody is silent any more: still nothing was shown.
    not_yet(&live(), none, "0 runs are too few to show 99 %");
    let soaked = Soaked::since(START, "", &live(), none);
    ends(&gate(&soaked, minute(24 * 60), &[]), 2, "acme/production/mail: not_yet, soak insufficient_evidence");
}

#[test]
fn what_was_not_run_is_no_good_run() {
    for (outcome, cause, words) in [
        (Outcome::Unknown, Cause::Internal, "unknown 720"),
        (Outcome::Unknown, Cause::Down, "unknown 720"),
        (Outcome::Skipped, Cause::RateLimit, "skipped 720"),
        // Beyond 5 % what was not due counts as missing.
        (Outcome::NotDue, Cause::Paused, "684 are missing"),
        (Outcome::NotDue, Cause::Maintenance, "684 are missing"),
    ] {
        not_yet(CUSTOMER, all_become(outcome, Some(cause)), words);
        not_yet(&live(), all_become(outcome, Some(cause)), words);
    }
    // Throttled runs that take no part leave no ratio; they are too many besides.
    let excluded = CUSTOMER.replace("environment = \"production\"", "environment = \"production\"\nthrottled = \"excluded\"");
    let soaked = Soaked::since(START, "", &excluded, all_become(Outcome::Throttled, None));
    ends(&gate(&soaked, END, &[]), 1, "throttled_ratio");
    let waived = mail(&excluded, "", &["throttled_ratio", "longest_outage"]);
    not_yet(&waived, all_become(Outcome::Throttled, None), "acme/production/mail: not_yet");
}

#[test]
fn too_little_is_not_enough() {
    let gone = |from: i64, until: i64| {
        move |id: &CheckId, runs: &mut Vec<Record>| {
            let hit = |slot: UnixMs| minute(from) <= slot && slot < minute(until);
            runs.retain(|r| id.check() != "send" || !hit(r.slot));
        }
    };
    ends(&gate(&Soaked::since(START, "", CUSTOMER, gone(300, 310)), END, &[]), 0, "go");
    not_yet(CUSTOMER, gone(300, 320), "coverage: 93.61 % of 720 due slots were run");
    let few = mail(CUSTOMER, "", &[]).replace("id = \"send\"\nevery = \"30s\"", "id = \"send\"\nevery = \"57s\"");
    not_yet(&few, |_, _| {}, "sample_size");
    // The newest are missing: the window would still hold, but nobody knows about now.
    not_yet(CUSTOMER, gone(354, 420), "acme/production/mail/send: nothing has been recorded since");
}

/// A waiver says that less is enough, never that nothing is.
#[test]
fn no_waiver_makes_something_of_nothing() {
    let all = ["success_ratio", "coverage", "sample_size", "longest_outage", "throttled_ratio"];
    let waived = mail(&live(), "", &all);
    ends(&gate(&Soaked::since(START, "", &waived, |_, _| {}), END, &[]), 0, "go");
    not_yet(&waived, |id, runs| runs.retain(|_| id.check() != "send"), "no waiver stands in for a check that was never run");
    not_yet(&waived, all_become(Outcome::Unknown, Some(Cause::Down)), "acme/production/mail: not_yet");
    not_yet(&waived.replace("id = \"send\"", "id = \"send\"\njudged = false"), |_, _| {}, "acme/production/mail: not_yet");
    // A single run is little, and something.
    let first = std::cell::Cell::new(true);
    let one = |id: &CheckId, runs: &mut Vec<Record>| runs.retain(|r| id.check() != "send" || (r.slot > minute(30) && first.replace(false)));
    ends(&gate(&Soaked::since(START, "", &waived, one), END, &[]), 0, "waived by b.boss");
}

#[test]
fn what_is_not_judged_shows_nothing() {
    let unjudged = CUSTOMER.replace("id = \"send\"", "id = \"send\"\njudged = false");
    not_yet(&unjudged, |_, _| {}, "no check is judged");
    not_yet(&mail(&live(), "", &[]).replace("id = \"send\"", "id = \"send\"\njudged = false"), |_, _| {}, "no check is judged");
    // One integration with a soak does not speak for another.
    let (head, tail) = CUSTOMER.split_once("id = \"mail\"").unwrap();
    let none = format!("{head}id = \"mail\"{}", tail.replace("[integration.soak]\nstart = 2025-01-06T08:00:00Z\nwindow = \"6h\"\n", ""));
    not_yet(&none, |_, _| {}, "it has no soak: nothing judges it");
    // Nor for one that was added since.
    let soaked = Soaked::new();
    soaked.edit("[[integration]]\nid = \"mail\"", "[[integration]]\nid = \"new\"\nenvironment = \"production\"\nowner = \"us\"\nrunbook = \"https://wiki.example.com\"\nsoak = { start = 2025-01-06T08:00:00Z, window = \"6h\" }\n[[integration.check]]\nid = \"a\"\nevery = \"30s\"\nhttp = { url = \"https://new.example.com\" }\n\n[[integration]]\nid = \"mail\"");
    ends(&gate(&soaked, END, &[]), 2, "acme/production/new: not_yet");
    // And a time before anything was recorded is a time of which nothing is known.
    ends(&gate(&Soaked::new(), UnixMs(START.0 - 86_400_000), &[]), 2, "no record says under which configuration its runs were made");
}

#[test]
fn another_store_or_none_shows_nothing() {
    let soaked = Soaked::new();
    let with = |path: &std::path::Path| gate(&soaked, END, &["--store", path.to_str().unwrap()]);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    ends(&with(&at("none.db")), 74, "there is no store");
    ends(&with(dir.path()), 74, "");
    std::fs::write(at("empty.db"), "").unwrap();
    ends(&with(&at("empty.db")), 74, "is not a Soakwatch store");
    rusqlite::Connection::open(at("foreign.db")).unwrap().execute_batch("CREATE TABLE journal (seq INTEGER)").unwrap();
    ends(&with(&at("foreign.db")), 74, "is not a Soakwatch store");
    // Of another customer, and of the same with something else watched: neither holds records of this one.
    let other = Soaked::since(START, "", &CUSTOMER.replace("id = \"acme\"", "id = \"acme-two\""), |_, _| {});
    ends(&with(&other.store()), 2, "no record says under which configuration its runs were made");
    let elsewhere = Soaked::since(START, "", &CUSTOMER.replace("/send", "/elsewhere"), |_, _| {});
    ends(&with(&elsewhere.store()), 2, "soak superseded");
    // The runs of one soak, and the records of none.
    let conn = rusqlite::Connection::open(other.store()).unwrap();
    conn.execute_batch("DROP TABLE evidence").unwrap();
    drop(conn);
    assert_ne!(with(&other.store()).status.code(), Some(0));
}
