//! What must hold between values: each rule is a function that reports at the place of the value that breaks it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;

use super::demand::Demand;
use super::judged::Contents;
use super::load::Counts;
use super::model::Settings;
use super::stamp::Named;
use super::table::{Field, Problem, Source, Table, Value};
use crate::clock::UnixMs;
use crate::fields::Span;
use crate::listener_tls;
use crate::probe::Kind;
use crate::probe::webhook_arrival::GRACE;
use crate::secret::SecretRef;
use crate::soak::gate::Answer;
use crate::soak::{Criterion, Ruling};
use crate::transport::auth::unsendable;
use crate::transport::{guard, read_roots_blocking};

/// Lines of an integration: its histograms, its classes and causes, room for some statuses, classes and retries that appear on first use, and for
/// two policies of rate limits. Who tells more of them (ten are shown) takes what others do not need.
const LINES_PER_INTEGRATION: u64 = 64;
/// Lines of a check, with room for some observed values.
const LINES_PER_CHECK: u64 = 21;
/// Lines of a histogram: nine buckets, `+Inf`, sum, count.
const LINES_PER_HISTOGRAM: u64 = 12;
/// Lines of an integration with a soak beside its others: its numbers, and one for every verdict there is.
const LINES_PER_SOAK: u64 = 10 + Ruling::ALL.len() as u64;
/// Lines of an environment with a soak: one for every answer of its gate, and one for every criterion.
const LINES_PER_GATE: u64 = (Answer::ALL.len() + Criterion::ALL.len()) as u64;

/// Lines of an integration that receives: its histogram, refusals by reason, counts and times.
const LINES_PER_RECEIVING: u64 = 19;

/// How many lines a configuration is counted as: what `/metrics` holds of it when much has gone wrong. A test holds this to the encoder.
pub fn lines(counts: Counts, check_histograms: bool) -> u64 {
    // A check's histogram stands in the place of its integration's.
    let histograms = if check_histograms { counts.checks } else { counts.integrations };
    let others = LINES_PER_INTEGRATION - LINES_PER_HISTOGRAM;
    let readiness = counts.received * LINES_PER_RECEIVING + counts.soaks * LINES_PER_SOAK + counts.gates * LINES_PER_GATE + counts.attested;
    counts.integrations * others + counts.checks * LINES_PER_CHECK + histograms * LINES_PER_HISTOGRAM + readiness
}
/// Times further ahead are taken for slips.
const YEARS: u64 = 3;
const FAR: Span = Span::days(YEARS * 366);

/// What must hold within the merged settings. Sections in `skip` are wrong already: nothing is concluded from them.
pub(super) fn settings(
    source: &Source,
    s: &mut Settings,
    counts: Counts,
    skip: &BTreeSet<String>,
    (named, check_secrets): (&mut Named, bool),
) {
    let say = |path: &str, what: String, expected: String| {
        if !skip.contains(path.split('.').next().unwrap_or_default()) {
            source.report(0..0, path, what, expected, false);
        }
    };
    let server = &s.server;
    if !server.listen.ip().to_canonical().is_loopback() && server.tokens.is_empty() && !server.open {
        say(
            "server.listen",
            format!("{} can be reached from other machines, and there is no token", server.listen),
            "expected [[server.token]] entries, a loopback address, or auth = \"none\" if everybody may read and reload".into(),
        );
    }
    if s.store.keep_hours < s.store.keep_runs {
        say(
            "store.keep_hours",
            format!("{} is shorter than keep_runs ({})", s.store.keep_hours, s.store.keep_runs),
            "expected sums to be kept at least as long as runs".into(),
        );
    }
    if s.self_check.timeout >= s.self_check.every {
        say(
            "self_check.timeout",
            format!("{} is not shorter than every ({})", s.self_check.timeout, s.self_check.every),
            format!("expected less than {}", s.self_check.every),
        );
    }
    if counts.receiving > 0 && s.receiver.listen.is_none() {
        say(
            "receiver.listen",
            match counts.receiving {
                1 => "is missing, and 1 check expects messages".into(),
                n => format!("is missing, and {n} checks expect messages"),
            },
            "expected an address such as \"127.0.0.1:9465\", as listen of [receiver] in soakwatch.toml".into(),
        );
    }
    let lines = lines(counts, s.metrics.check_histograms);
    if lines > s.metrics.max_series {
        say(
            "metrics.max_series",
            format!("{} is less than the {lines} lines that this configuration may export", s.metrics.max_series),
            "expected fewer checks, or a higher limit if Prometheus can take it".into(),
        );
    }
    if let Some(why) = s.evidence.signing_key.as_ref().and_then(|key| key.read_blocking().err()) {
        let expected = "expected a private key that can be read where soakwatch runs: bundles can't be signed".to_owned();
        source.report(0..0, "evidence.signing_key", why, expected, true);
    }
    if let Some((_, password)) = s.probe.proxy.as_ref().and_then(|p| p.login.as_ref())
        && let Err(why) = password.read_blocking()
    {
        let expected = "expected a password that can be read where soakwatch runs: nothing can be asked through the proxy".to_owned();
        source.report(0..0, "probe.proxy.password", why, expected, true);
    }
    if let Some(why) = s.heartbeat.url.as_ref().and_then(|url| url.read_blocking().err()) {
        let expected = "expected a URL that can be read where soakwatch runs: no heartbeat can go out".to_owned();
        source.report(0..0, "heartbeat.url", why, expected, true);
    }
    for (listener, tls) in [("server", &s.server.tls), ("receiver", &s.receiver.tls)] {
        let Some(tls) = tls else { continue };
        if let Err(why) = listener_tls::made_blocking(tls) {
            // Only then: files that can be used are read again by the listener itself.
            listener_tls::files(tls).for_each(|file| named.look(file));
            let expected = "expected files that can be read where soakwatch runs: it does not start without";
            source.report(0..0, &format!("{listener}.tls"), why, expected, !check_secrets);
        }
    }
    s.store.path = source.dir.join(&s.store.path);
    if let Some(ca) = s.probe.ca.as_mut() {
        *ca = source.dir.join(&*ca);
        named.look(ca);
        match read_roots_blocking(ca) {
            Ok((_, sha256)) => s.probe.ca_sha256 = Some(sha256),
            Err(why) => {
                say("probe.ca", format!("{} can't be used: {why}", ca.display()), "expected a file of certificates in PEM form".into());
            }
        }
    }
}

/// What comes so late would be taken for a later one.
pub(super) fn grace(check: &Table<'_>, kind: &Kind, every: Span) {
    if let Kind::WebhookArrival(c) = kind
        && c.grace.0 > every.0 * 10
    {
        let path = format!("{}.grace", kind.name());
        let default = if c.grace == GRACE { ", unless another is written," } else { "" };
        let what = format!("{}{default} is more than ten times every ({every})", c.grace);
        let expected = format!("expected at most {}", Span(every.0 * 10));
        check.source().report(check.place_of(&path), &check.path_of(&path), what, expected, false);
    }
}

/// A time limit the deadline never lets a run reach: whoever is that slow is a timeout, not slow.
pub(super) fn within(check: &Table<'_>, kind: &Kind, timeout: Span) {
    let Some((key, within)) = kind.within().filter(|(_, w)| *w > timeout) else { return };
    let path = format!("{}.{key}", kind.name());
    let default = if check.has("timeout") { "" } else { ", which holds where none is written" };
    let what = format!("\"{within}\" is longer than the check's timeout (\"{timeout}\"{default})");
    let expected = format!("expected at most \"{timeout}\", or a longer timeout");
    check.source().report(check.place_of(&path), &check.path_of(&path), what, expected, false);
}

/// What a check must not do where people are at work, unless its file says so.
pub(super) fn production(check: &Table<'_>, kind: &Kind, environment: &str) {
    let Some((key, expected)) = kind.never_in_production().filter(|_| environment == "production") else { return };
    let path = format!("{}.{key}", kind.name());
    check.source().report(check.place_of(&path), &check.path_of(&path), "is refused in the environment production", expected, false);
}

/// An interval that does not spare the far side. A warning: whose server it is may know better, and a test's own bears more.
pub(super) fn sparing(check: &Table<'_>, kind: &Kind, every: Span) {
    if let Some((shortest, why)) = kind.sparing().filter(|(shortest, _)| every < *shortest) {
        check.warn("every", format!("\"{every}\" is often for this kind: {why}"), format!("expected at least \"{shortest}\""));
    }
}

/// Targets of one integration written as addresses that the guard would refuse at every run. What one line mends is told once.
#[derive(Debug)]
pub(super) struct Addresses<'s> {
    allow_private: bool,
    /// Whether permission was given can't be read: nothing is concluded from its lack.
    unsure: bool,
    source: &'s Source,
    /// The first that lacks permission: its place, its path and what is wrong with it.
    first: Option<(Range<usize>, String, String)>,
    others: usize,
}

impl<'s> Addresses<'s> {
    /// None yet.
    pub(super) fn new(source: &'s Source, allow_private: bool, unsure: bool) -> Self {
        Self { allow_private, unsure, source, first: None, others: 0 }
    }

    /// Judges a check's target.
    pub(super) fn judge(&mut self, check: &Table<'_>, kind: &Kind) {
        let Some(refused) = kind.refused_literal(self.allow_private) else { return };
        let path = format!("{}.{}", kind.name(), refused.key);
        self.refused(check.place_of(&path), check.path_of(&path), &refused.address, refused.rule);
    }

    /// Judges the address a check is pinned to.
    pub(super) fn pinned(&mut self, check: &Table<'_>, address: IpAddr) {
        let Err(rule) = guard::judge(address, self.allow_private) else { return };
        self.refused(check.place("address"), check.path_of("address"), &address.to_string(), rule);
    }

    fn refused(&mut self, at: Range<usize>, path: String, address: &str, rule: &'static str) {
        let what = format!("{address} is refused: it is {}", guard::words(rule));
        match (guard::by_permission(rule), &self.first) {
            (false, _) => self.source.report(at, &path, what, "expected another address: this one is never called", false),
            (true, _) if self.unsure => {}
            (true, None) => self.first = Some((at, path, what)),
            (true, Some(_)) => self.others += 1,
        }
    }

    /// Reports what lacks permission.
    pub(super) fn finish(self) {
        let Some((at, path, what)) = self.first else { return };
        let others = match self.others {
            0 => String::new(),
            1 => " (and 1 more check)".into(),
            n => format!(" (and {n} more checks)"),
        };
        let expected = "expected a public address, or allow_private = true on the customer or the integration";
        self.source.report(at, &path, format!("{what}{others}"), expected, false);
    }
}

/// What is judged while customers' files are read, with what it takes to do so.
#[derive(Debug)]
pub struct Judge {
    now: UnixMs,
    pub(super) check_secrets: bool,
    /// Each secret is tried once, however many checks use it.
    secrets: HashMap<SecretRef, Tried>,
    /// What the checks read so far want of each host.
    pub(super) demand: Demand,
    /// Files that checks name.
    pub(super) contents: Contents,
    /// How the files looked that are named, before they were read; and those of secrets that could not be.
    pub(super) named: Named,
    /// What is wrong if the settings have a proxy.
    pub(super) if_proxied: Vec<Problem>,
}

/// What came of reading a secret; its value is dropped at once.
#[derive(Clone, Debug)]
enum Tried {
    Unread(String),
    Read { fits_header: bool },
}

fn try_blocking(secret: &SecretRef) -> Tried {
    match secret.read_blocking() {
        Ok(value) => Tried::Read { fits_header: http::HeaderValue::from_bytes(value.expose().as_bytes()).is_ok() },
        Err(why) => Tried::Unread(why),
    }
}

impl Judge {
    /// Judges by this time. Secrets that can't be read are errors if `check_secrets`, else warnings.
    pub fn new(now: UnixMs, check_secrets: bool) -> Self {
        Self {
            now,
            check_secrets,
            secrets: HashMap::new(),
            demand: Demand::default(),
            contents: Contents::default(),
            named: Named::default(),
            if_proxied: Vec::new(),
        }
    }

    /// Reports every secret and every file of the kind that can't be read, each at its place.
    pub(super) fn secrets(&mut self, check: &Table<'_>, kind: &mut Kind) {
        // Before anything reads them: what changes meanwhile is seen as changed.
        kind.files().iter().for_each(|file| self.named.look(file));
        kind.take_bodies(|file| self.contents.hash_blocking(file));
        let kind = &*kind;
        self.readable(check, kind.name(), kind.secrets(), &kind.header_secrets());
        self.keys(check, kind);
        for (path, why) in kind.unusable_files_blocking(self.now) {
            let expected = match path.rsplit('.').next() {
                Some("key") => "expected the private key that belongs to the certificate",
                Some("file") => "expected a file of at most 1MiB that can be sent as it is",
                Some("schema") => "expected a JSON Schema, draft 2020-12 or draft 7, that refers to nothing outside of its file",
                _ => "expected a file of certificates in PEM form",
            };
            check.source().report(check.place_of(&path), &check.path_of(&path), why, expected, !self.check_secrets);
        }
    }

    /// Tries each secret.
    pub(super) fn readable(&mut self, check: &Table<'_>, kind: &str, secrets: Vec<SecretRef>, headers: &[(SecretRef, &str)]) {
        for secret in secrets {
            let (why, expected) = match self.secrets.entry(secret.clone()).or_insert_with_key(try_blocking) {
                Tried::Unread(why) => {
                    if let SecretRef::File(path) = &secret {
                        self.named.look(path);
                    }
                    (why.clone(), "expected a secret that can be read where soakwatch runs")
                }
                Tried::Read { fits_header: true } => continue,
                Tried::Read { fits_header: false } => match headers.iter().find(|(s, _)| *s == secret) {
                    Some((_, name)) => (format!("{secret}: {}", unsendable(name)), "expected the secret alone, on one line"),
                    None => continue,
                },
            };
            let refers = |v: &Value<'_>| {
                <SecretRef as Field>::read(v.value, false).is_ok_and(|r| match r {
                    SecretRef::File(path) => secret == SecretRef::File(v.source.dir.join(path)),
                    env => secret == env,
                })
            };
            let place = check.find(kind, &refers).map(|v| (v.at, v.path));
            let (at, path) = place.unwrap_or_else(|| (check.at(), check.path_of(kind)));
            check.source().report(at, &path, why, expected, !self.check_secrets);
        }
    }

    /// Reports every secret that can be read and is no key of its scheme: whatever were signed with it, nothing would fit.
    fn keys(&self, check: &Table<'_>, kind: &Kind) {
        let Some((scheme, secrets)) = kind.signed_with() else { return };
        for secret in secrets {
            let Some(why) = secret.read_blocking().ok().and_then(|value| scheme.takes(&value).err()) else { continue };
            let (why, expected) = why.split_once(": ").unwrap_or((why, "expected another secret"));
            let path = format!("{}.secrets", kind.name());
            check.source().report(check.place_of(&path), &check.path_of(&path), format!("{secret}: {why}"), expected, !self.check_secrets);
        }
    }

    /// Whether a time has passed.
    pub(super) fn is_over(&self, time: UnixMs) -> bool {
        time <= self.now
    }

    /// A time years ahead is more often a slip than a plan, and nothing would be judged until then.
    pub(super) fn near(&self, table: &Table<'_>, key: &str, time: Option<UnixMs>) {
        if let Some(time) = time.filter(|t| *t > self.now.plus(FAR.0)) {
            table.warn(key, format!("{time} is more than {YEARS} years away"), "expected a nearer time: is the year right?");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_not_there_is_named_at_its_check() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "canary-4711\n").unwrap();
        let missing = dir.path().join("missing");
        let refs = vec![
            SecretRef::File(file),
            SecretRef::Env("SOAKWATCH_TEST_NOT_SET".into()),
            SecretRef::File(missing.clone()),
            SecretRef::Env("SOAKWATCH_TEST_NOT_SET".into()),
        ];
        for check_secrets in [true, false] {
            let source = Source::new("a.toml", "", "\n[check]\nid = 1\n");
            let entries = source.parse();
            let check = source.root(&entries).table("check").unwrap();
            let mut judge = Judge::new(UnixMs(0), check_secrets);
            judge.readable(&check, "http", refs.clone(), &[]);
            let said: Vec<String> = source.problems.take().iter().map(ToString::to_string).collect();
            let warning = if check_secrets { "" } else { "warning: " };
            let line =
                |why: &str| format!("a.toml:2:1: {warning}check.http: {why}; expected a secret that can be read where soakwatch runs");
            let not_set = line("environment variable SOAKWATCH_TEST_NOT_SET is not set");
            let gone = line(&format!("file {} can't be read: there is nothing of this name", missing.display()));
            assert_eq!(said, [not_set.clone(), gone, not_set]);
        }
    }
}
