//! What a check's last result says in the words of the blackbox exporter, for jobs, rules and dashboards that speak them. Shows what is on the board;
//! never asks anybody, and never takes silence for an answer: what is not known has no line.

use super::catalogue::{self as cat, Family};
use super::text::{float, head, integer};
use crate::board::{CheckEntry, LastRun};
use crate::clock::UnixMs;
use crate::fields::Span;
use crate::observed::Phases;

/// A result older than so many intervals is no success any more.
const FRESH_INTERVALS: i64 = 3;

/// Writes a check's last judged result. `every`: the interval in force, as the pace of its host widened it.
pub fn probe(check: &CheckEntry, every: Span, now: UnixMs) -> Vec<u8> {
    let mut out = Vec::with_capacity(2048);
    let timeout = check.def.timeout.as_secs_f64();
    if let Some(at) = check.state.last_run {
        // A result of a time still to come (the clock was set back) is as little news as an old one.
        let fresh = now.0.saturating_sub(at.0).saturating_abs() <= every.ms().saturating_mul(FRESH_INTERVALS);
        line(&mut out, &cat::PROBE_SUCCESS, u64::from(fresh && check.state.consecutive_failures == 0));
        value(&mut out, &cat::RESULT_AGE, Some(now.seconds() - at.seconds()));
    }
    value(&mut out, &cat::PROBE_TIMEOUT, Some(timeout));
    // What could not be judged because of us says nothing about the target.
    if let Some(last) = check.state.last.as_ref().filter(|l| l.outcome.counted()) {
        value(&mut out, &cat::PROBE_DURATION, Some(last.duration.seconds()));
        if check.def.host.is_some() {
            exchange(&mut out, last);
        }
    }
    out
}

/// What was seen of the last attempt's exchange.
fn exchange(out: &mut Vec<u8>, last: &LastRun) {
    let f = &last.facts;
    let [resolve, ..] = f.phases;
    value(out, &cat::PROBE_DNS, resolve.map(|d| d.seconds()));
    // As the blackbox exporter has it: 0 says that there was no answer.
    let code = f.codes.last().filter(|_| f.spoken.is_some());
    line(out, &cat::PROBE_CODE, code.map_or(0, |c| u64::from(*c)));
    if f.phases.iter().any(Option::is_some) {
        head(out, &cat::PROBE_PHASE);
        for (name, seconds) in Phases::NAMES.iter().zip(f.phases) {
            if let Some(d) = seconds {
                labelled(out, &cat::PROBE_PHASE, name);
                float(out, d.seconds());
                out.push(b'\n');
            }
        }
    }
    value(out, &cat::PROBE_CERT_EXPIRY, f.certificate_expiry.map(UnixMs::seconds));
    let Some(spoken) = f.spoken else { return };
    value(out, &cat::PROBE_HTTP_VERSION, spoken.http.as_str().parse().ok());
    line(out, &cat::PROBE_SSL, u64::from(spoken.tls.is_some()));
    if let Some(tls) = spoken.tls {
        head(out, &cat::PROBE_TLS);
        labelled(out, &cat::PROBE_TLS, &format!("TLS {tls}"));
        out.extend_from_slice(b"1\n");
    }
}

fn line(out: &mut Vec<u8>, family: &Family, n: u64) {
    head(out, family);
    out.extend_from_slice(family.name.as_bytes());
    out.push(b' ');
    integer(out, n);
    out.push(b'\n');
}

/// An unknown value is no line at all.
fn value(out: &mut Vec<u8>, family: &Family, x: Option<f64>) {
    if let Some(x) = x {
        head(out, family);
        out.extend_from_slice(family.name.as_bytes());
        out.push(b' ');
        float(out, x);
        out.push(b'\n');
    }
}

/// Writes a line of a family with one label, up to its value. The label's value is one of ours and needs no escapes.
fn labelled(out: &mut Vec<u8>, family: &Family, value: &str) {
    let name = family.labels.first().copied().unwrap_or_default();
    for part in [family.name, "{", name, "=\"", value, "\"} "] {
        out.extend_from_slice(part.as_bytes());
    }
}
