//! A finished run, explained: as text for people, and as JSON for programs. Pure: a definition, a report and a time in, text out.
//!
//! Everything a target can influence was redacted and bounded before it came here; what is shown is stripped of control characters once more,
//! so that no endpoint can steer the reader's terminal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::attribution::{cause_advice, limit_not_told, remediation};
use crate::clock::{DAY_MS, UnixMs};
use crate::config::model::CheckDef;
use crate::fields::Span;
use crate::finding::{Finding, Level};
use crate::observed::{CertificateFacts, Expectation, Failure, Heard, Hop, Observed, Phases, Step, TlsFacts, bounded};
use crate::outcome::{Cause, Class, Outcome};
use crate::record::Record;
use crate::run::{Attempt, RunReport};
use crate::run_id::RunId;

mod limits;

pub use limits::quota_words;

/// The longest bar of a phase, in characters.
const BAR: f64 = 30.0;

/// Of a run made by hand where none is due.
const MADE_ALL_THE_SAME: &str = "This run is made all the same and counts nowhere.";

/// The run in words.
pub fn text(def: &CheckDef, report: &RunReport, now: UnixMs) -> String {
    let mut out = String::new();
    header(&mut out, def, now);
    put(&mut out, format!("Run {}", RunId::of(&report.record.check, report.record.slot)));
    let phases = report.attempts.iter().flat_map(|a| &a.observed.hops).flat_map(|h| h.phases.values()).flatten();
    let slowest = phases.chain(report.attempts.iter().filter_map(unfinished).map(|u| u.took)).max();
    for (n, attempt) in report.attempts.iter().enumerate() {
        put(&mut out, "");
        attempt_text(&mut out, n, attempt, slowest.unwrap_or_default(), now);
    }
    put(&mut out, "");
    conclusion(&mut out, def, report);
    out
}

fn put(out: &mut String, line: impl AsRef<str>) {
    out.push_str(line.as_ref());
    out.push('\n');
}

/// A text of the target's without anything a terminal would obey.
pub fn plain(text: &str) -> String {
    let visible = |c: char| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    bounded(text.chars().map(|c| if visible(c) { c } else { ' ' }).collect::<String>(), 400)
}

fn header(out: &mut String, def: &CheckDef, now: UnixMs) {
    let i = &def.integration;
    put(out, format!("{}: {}, {}", def.id, plain(&i.customer_name), plain(&i.name)));
    let retries = match def.retries {
        0 => "no retries".into(),
        1 => "1 retry".into(),
        n => format!("{n} retries"),
    };
    put(
        out,
        format!(
            "{} check, every {}, timeout {}, {retries}; owner {}, criticality {}, phase {}",
            def.kind.name(),
            def.every,
            Span(def.timeout),
            i.owner,
            i.criticality,
            crate::board::phase(i, now)
        ),
    );
    if let Some(paused) = &i.paused {
        put(out, format!("Paused: {} ({}). {MADE_ALL_THE_SAME}", plain(&paused.reason), plain(&paused.by)));
    }
    if let Some(window) = i.maintenance_at(now) {
        put(out, format!("In maintenance until {}: {} ({}). {MADE_ALL_THE_SAME}", window.end, plain(&window.reason), plain(&window.by)));
    }
}

fn attempt_text(out: &mut String, n: usize, attempt: &Attempt, slowest: Duration, now: UnixMs) {
    let result = attempt.failure.as_ref().map_or_else(|| "passed".to_owned(), |f| format!("did not pass ({})", f.class));
    let began = if n == 0 { String::new() } else { format!(", began after {}", duration(attempt.started_after)) };
    put(out, format!("Attempt {}{began}, took {}: {result}", n + 1, duration(attempt.duration)));
    let seen = &attempt.observed;
    if seen.hops.is_empty() {
        put(out, "  Nothing was sent.");
    }
    let unfinished = unfinished(attempt);
    // Every hop that was answered was heard.
    let mut heard = seen.heard.iter();
    for (n, hop) in seen.hops.iter().enumerate() {
        let told = hop.status.and_then(|_| heard.next());
        hop_text(out, n, hop, told, unfinished.filter(|_| n + 1 == seen.hops.len()), slowest, now);
    }
    if let Some(bytes) = seen.body_bytes {
        put(out, format!("  Body: {bytes} bytes"));
    }
    if !seen.expectations.is_empty() {
        put(out, "  Expected:");
    }
    for e in &seen.expectations {
        let (mark, but) = if e.met { ("✓", "saw") } else { ("✗", "but saw") };
        put(out, format!("    {mark} {}: {but} {}", plain(&e.expected), plain(&e.seen)));
    }
    for f in seen.findings.iter().flat_map(|f| &f.list) {
        put(out, format!("  {}: {} ({}, {}): {}", f.level, f.id, f.severity, f.owner, plain(&f.detail)));
        if f.level != Level::Info && !f.advice().is_empty() {
            put(out, format!("    {}", f.advice()));
        }
    }
    for (name, value) in &seen.values {
        put(out, format!("  Read: {} = {value}", plain(name)));
    }
    if let Some(failure) = &attempt.failure {
        put(out, format!("  Why: {}", plain(&failure.detail)));
        if let Some(wait) = failure.retry_after {
            let who = if failure.cause == Some(Cause::RateLimit) { "It may be asked again in" } else { "The target asks to wait" };
            put(out, format!("  {who} {}", duration(wait)));
        }
        if let Some(rule) = failure.egress_rule {
            put(
                out,
                format!(
                    "  Refused by our own address guard, rule {rule} (`allow_private = true` lets private and loopback addresses pass)"
                ),
            );
        }
    }
}

/// The phase in which an attempt was cut off, and how long it had been in it.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    phase: &'static str,
    took: Duration,
    words: &'static str,
}

fn unfinished(attempt: &Attempt) -> Option<Unfinished> {
    let seen = &attempt.observed;
    let (place, words) = match seen.step {
        Step::Prepare | Step::Judge => return None,
        Step::Resolve => (0, "no answer"),
        Step::Proxy => (1, "no answer of the proxy"),
        Step::Connect => (1, "no connection"),
        Step::Tls => (2, "not finished"),
        Step::Processing => (3, "no answer"),
        Step::Transfer => (4, "not finished"),
    };
    // What ended by itself has its time, also when it failed; and a refusal of the guard takes none.
    let failure = attempt.failure.as_ref().filter(|f| f.class == seen.step.class() && f.egress_rule.is_none());
    let ended = failure.is_none() || seen.hops.last()?.phases.values().get(place).copied().flatten().is_some();
    let known: Duration = seen.hops.iter().flat_map(|h| h.phases.values()).flatten().sum();
    let phase = Phases::NAMES.get(place)?;
    (!ended).then(|| Unfinished { phase, took: attempt.duration.saturating_sub(known), words })
}

fn hop_text(out: &mut String, n: usize, hop: &Hop, told: Option<&Heard>, unfinished: Option<Unfinished>, slowest: Duration, now: UnixMs) {
    let purpose = if hop.token { " (token)" } else { "" };
    put(out, format!("  {}. {} {}{purpose}", n + 1, plain(&hop.method), plain(&hop.url)));
    let mut met: Vec<String> = Vec::new();
    match (&hop.via, hop.address) {
        (Some(via), _) => met.push(format!("through the proxy {via}")),
        (None, address) => met.push(address.map_or_else(|| "no address".into(), |a| format!("address {a}"))),
    }
    met.extend(hop.version.as_deref().map(plain));
    met.push(hop.status.map_or_else(|| "no answer".into(), |s| format!("status {s}")));
    put(out, format!("     {}", met.join(", ")));
    if hop.reused {
        put(out, "     over the connection of an earlier run");
    }
    for f in &hop.families {
        let at = f.address.map(|a| format!("{a} ")).unwrap_or_default();
        let how = f.failure.as_deref().map_or_else(|| "connected".to_owned(), |why| format!("failed: {}", plain(why)));
        put(out, format!("     over {} {at}{how}{}", f.family, f.took.map(|t| format!(", {}", duration(t))).unwrap_or_default()));
    }
    if let Some(to) = &hop.location {
        put(out, format!("     redirects to {}", plain(to)));
    }
    if let Some(told) = told.and_then(limits::told) {
        put(out, format!("     rate limit: {told}"));
    }
    for (name, took) in Phases::NAMES.into_iter().zip(hop.phases.values()) {
        let Some(took) = took else { continue };
        put(out, format!("     {name:<10} {:>9} {}", duration(took), bar(took, slowest)).trim_end());
    }
    if let Some(u) = unfinished {
        put(out, format!("     {:<10} {:>9} {} {}", u.phase, duration(u.took), bar(u.took, slowest), u.words));
    }
    if let Some(tls) = &hop.tls {
        tls_text(out, tls, now);
    }
}

fn tls_text(out: &mut String, tls: &TlsFacts, now: UnixMs) {
    let negotiated: Vec<String> = tls.version.iter().chain(&tls.cipher).map(|t| plain(t)).collect();
    put(out, format!("     TLS: {}", if negotiated.is_empty() { "nothing agreed".to_owned() } else { negotiated.join(", ") }));
    for c in &tls.chain {
        put(out, format!("     certificate {}, issued by {}", plain(&c.subject), plain(&c.issuer)));
        put(out, format!("       {} to {}, {}", day(c.not_before), day(c.not_after), days_left(c.not_after, now)));
        if !c.names.is_empty() {
            put(out, format!("       for {}", plain(&c.names.join(", "))));
        }
    }
    if let Some(why) = &tls.refused {
        put(out, format!("     refused: {}", plain(why)));
    }
}

fn conclusion(out: &mut String, def: &CheckDef, report: &RunReport) {
    let r = &report.record;
    let total = report.attempts.last().map_or(Duration::ZERO, |a| a.started_after + a.duration);
    let attempts = if r.attempts == 1 { "1 attempt".into() } else { format!("{} attempts", r.attempts) };
    put(out, format!("Outcome:      {} after {attempts}, {}", r.outcome, duration(total)));
    if r.outcome == Outcome::Pass && !r.first_attempt_passed {
        put(out, "              (the first attempt did not pass; it is counted as such)");
    }
    if let Some(cause) = r.cause {
        let whose = if r.outcome == Outcome::Skipped { "we chose not to ask, which" } else { "this is the monitor's own fault and" };
        put(out, format!("Cause:        {cause}: {whose} counts neither for nor against the integration"));
    }
    if let Some(class) = r.class {
        put(out, format!("Class:        {class}"));
    }
    if let Some(attribution) = r.attribution {
        put(out, format!("Attribution:  {attribution}"));
    }
    if let Some(advice) = advice(def, r) {
        put(out, format!("What to do:   {advice}"));
        if let Some(runbook) = &def.integration.runbook {
            put(out, format!("Runbook:      {runbook}"));
        }
    }
}

/// One line on what to do about a run that did not pass.
fn advice(def: &CheckDef, r: &Record) -> Option<String> {
    match (r.cause, r.class.zip(r.attribution)) {
        (Some(cause), _) => Some(cause_advice(cause).to_owned()),
        (None, Some((Class::Throttled, attribution))) if r.facts.limits.is_empty() => {
            Some(limit_not_told(attribution, def.integration.owner))
        }
        (None, Some((class, attribution))) => Some(remediation(class, attribution, def.integration.owner)),
        (None, None) => None,
    }
}

/// A bar as long as its share of the slowest phase; what took no visible share has none.
fn bar(took: Duration, slowest: Duration) -> String {
    let share = took.as_secs_f64() / slowest.as_secs_f64().max(f64::MIN_POSITIVE);
    "█".repeat((share * BAR).round() as usize)
}

/// Three digits are enough for people: `0.42 ms`, `12.3 ms`, `1.25 s`; what is too short for them is `<0.01 ms`.
fn duration(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 0.01 => "<0.01 ms".into(),
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

fn day(at: UnixMs) -> String {
    at.to_string().chars().take(10).collect()
}

fn days_left(not_after: UnixMs, now: UnixMs) -> String {
    match not_after.0 - now.0 {
        ms if ms < 0 => format!("EXPIRED {} ago", count_days(-ms / DAY_MS)),
        ms => format!("{} left", count_days(ms / DAY_MS)),
    }
}

fn count_days(n: i64) -> String {
    if n == 1 { "1 day".into() } else { format!("{n} days") }
}

/// The run as JSON: times in RFC 3339, durations in seconds, absent things as null.
pub fn value(def: &CheckDef, report: &RunReport, now: UnixMs) -> Value {
    let i = &def.integration;
    let r = &report.record;
    json!({
        "check": def.id,
        "run": RunId::of(&r.check, r.slot),
        "customer_name": i.customer_name,
        "integration_name": i.name,
        "kind": def.kind.name(),
        "owner": i.owner,
        "criticality": i.criticality,
        "phase": crate::board::phase(i, now),
        "paused": i.paused.as_ref().map(|p| json!({ "reason": p.reason, "by": p.by })),
        "maintenance": i.maintenance_at(now).map(|m| json!({ "until": m.end.to_string(), "reason": m.reason, "by": m.by })),
        "at": r.slot.to_string(),
        "outcome": r.outcome,
        "class": r.class,
        "cause": r.cause,
        "attribution": r.attribution,
        "remediation": advice(def, r),
        "runbook": i.runbook,
        "detail": r.detail,
        "duration_seconds": report.attempts.last().map(|a| (a.started_after + a.duration).as_secs_f64()),
        "first_attempt_passed": r.first_attempt_passed,
        "attempts": report.attempts.iter().map(|a| attempt_value(a, now)).collect::<Vec<_>>(),
    })
}

fn attempt_value(a: &Attempt, now: UnixMs) -> Value {
    let Observed { step, hops, heard, expectations, values, status, body_bytes, egress_rule, findings, document, trace: _, noted: _ } =
        &a.observed;
    json!({
        "started_after_seconds": a.started_after.as_secs_f64(),
        "duration_seconds": a.duration.as_secs_f64(),
        "passed": a.failure.is_none(),
        "failure": a.failure.as_ref().map(failure_value),
        "reached": step,
        "unfinished": unfinished(a).map(|u| json!({ "phase": u.phase, "seconds": u.took.as_secs_f64() })),
        "status": status,
        "body_bytes": body_bytes,
        "egress_rule": egress_rule,
        "rate_limits": heard.iter().map(heard_value).collect::<Vec<_>>(),
        "hops": hops.iter().map(|h| hop_value(h, now)).collect::<Vec<_>>(),
        "expectations": expectations.iter().map(expectation_value).collect::<Vec<_>>(),
        "findings": findings.as_ref().map(|f| f.list.iter().map(finding_value).collect::<Vec<_>>()),
        "document": document.map(|d| json!({
            "valid_until": d.valid_until.map(|t| t.to_string()),
            "signing_certificate_expiry": d.signing_certificate_expiry.map(|t| t.to_string()),
            "changed": d.changed,
        })),
        "values": values.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
    })
}

fn finding_value(f: &Finding) -> Value {
    json!({ "id": f.id, "level": f.level, "severity": f.severity, "owner": f.owner, "detail": f.detail, "advice": f.advice() })
}

fn heard_value(h: &Heard) -> Value {
    json!({
        "host": h.host,
        "token": h.token,
        "at": h.at.to_string(),
        "limits": h.limits,
        "stay_away_seconds": h.stay_away.map(|d| d.as_secs_f64()),
    })
}

fn failure_value(f: &Failure) -> Value {
    json!({
        "class": f.class,
        "cause": f.cause,
        "detail": f.detail,
        "retry_after_seconds": f.retry_after.map(|d| d.as_secs_f64()),
        "egress_rule": f.egress_rule,
    })
}

fn expectation_value(e: &Expectation) -> Value {
    json!({ "expected": e.expected, "seen": e.seen, "met": e.met, "class": e.class })
}

fn hop_value(h: &Hop, now: UnixMs) -> Value {
    let phases: serde_json::Map<String, Value> = Phases::NAMES
        .into_iter()
        .zip(h.phases.values())
        .map(|(name, took)| (format!("{name}_seconds"), json!(took.map(|d| d.as_secs_f64()))))
        .collect();
    json!({
        "token": h.token,
        "method": h.method,
        "url": h.url,
        "address": h.address.map(|a| a.to_string()),
        "via": h.via,
        "reused": h.reused,
        "families": h.families.iter().map(|f| json!({
            "family": f.family,
            "address": f.address.map(|a| a.to_string()),
            "connect_seconds": f.took.map(|t| t.as_secs_f64()),
            "failure": f.failure,
        })).collect::<Vec<_>>(),
        "version": h.version,
        "status": h.status,
        "location": h.location,
        "phases": phases,
        "tls": h.tls.as_ref().map(|t| json!({
            "version": t.version,
            "cipher": t.cipher,
            "refused": t.refused,
            "chain": t.chain.iter().map(|c| certificate_value(c, now)).collect::<Vec<_>>(),
        })),
    })
}

fn certificate_value(c: &CertificateFacts, now: UnixMs) -> Value {
    json!({
        "subject": c.subject,
        "issuer": c.issuer,
        "not_before": c.not_before.to_string(),
        "not_after": c.not_after.to_string(),
        "days_left": now.whole_days_until(c.not_after),
        "sha256": c.sha256,
        "names": c.names,
    })
}

/// The worst of several outcomes decides: anything that failed, then anything that could not be decided.
pub fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let rank = |o: &Outcome| match o {
        Outcome::Pass => 0,
        Outcome::Unknown | Outcome::Skipped | Outcome::NotDue => 1,
        Outcome::Throttled => 2,
        Outcome::Fail => 3,
    };
    outcomes.into_iter().max_by_key(rank).unwrap_or(Outcome::Unknown)
}

#[cfg(test)]
mod tests;
