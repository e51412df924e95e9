//! One customer's file: `[customer]`, its `[[integration]]` tables and their `[[integration.check]]` tables.
//!
//! What the customer's table sets for all (`allow_private`, the way, `maintenance`, `paused`) is merged into each integration here. Knows no kind's keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::blocked::Blocked;
use super::field::Share;
use super::judge::{self, Addresses, Judge};
use super::model::{CheckDef, Customer, IncidentPolicy, Integration, Maintenance, Paused};
use super::soak::Written;
use super::table::{Table, did_you_mean, nearest, one_of, read_field};
use super::{exit, headings, judged, route, soak, volume, waiver};
use crate::clock::UnixMs;
use crate::fields::{IntegrationId, Slug, Span};
use crate::outcome::{Attribution, Class, Criticality, Owner};
use crate::probe::Kind;
use crate::ratelimit::Dialect;
use crate::route::Route;
use crate::soak::Judge as By;

/// Names and reasons are shown in pages and logs.
const MAX_TEXT: usize = 200;
/// The deadline of a run where none is written.
const TIMEOUT: Span = Span::seconds(10);

/// What a file gave.
#[derive(Debug, Default)]
pub struct Reading {
    /// The customer; `None` after its id was reported.
    pub customer: Option<Customer>,
    /// Byte offset of its id, for the report of a second file with the same.
    pub id_at: usize,
    /// `[[integration]]` tables seen, right or wrong.
    pub integrations: u64,
    /// `[[integration.check]]` tables seen, right or wrong.
    pub checks: u64,
}

/// What the customer's table says for all its integrations.
struct Shared {
    id: Option<Slug>,
    name: String,
    allow_private: bool,
    /// It stands there, and can't be read.
    allow_private_unread: bool,
    route: Route,
    maintenance: Vec<Maintenance>,
    paused: Option<Paused>,
    soak: Option<Written>,
    exit: Option<exit::Written>,
    contact: Option<String>,
}

/// Reads the root table of a customer's file. Everything wrong is reported to its source.
pub fn read(mut root: Table<'_>, judge: &mut Judge) -> Reading {
    let mut reading = Reading::default();
    let (mut shared, mut soak_at) = (None, None);
    if !root.has("customer") {
        root.missing("customer", "a table [customer] with an id");
    }
    if let Some(mut t) = root.table("customer") {
        let id: Option<Slug> = t.req("id");
        reading.id_at = t.place("id").start;
        soak_at = t.has("soak").then(|| t.place("soak"));
        let name = t.text("name", MAX_TEXT);
        let allow_private: Option<bool> = t.opt("allow_private");
        shared = Some(Shared {
            name: name.or_else(|| id.as_ref().map(Slug::to_string)).unwrap_or_default(),
            id,
            allow_private: allow_private.unwrap_or(false),
            allow_private_unread: t.has("allow_private") && allow_private.is_none(),
            route: route::read(&mut t, &Route::default(), judge),
            maintenance: maintenance(&mut t, judge),
            paused: paused(&mut t),
            soak: t.table("soak").map(|s| soak::read(s, false, judge)),
            exit: exit::read(&mut t),
            contact: t.text("contact", MAX_TEXT),
        });
        t.finish();
    }
    let shared = shared.unwrap_or(Shared {
        id: None,
        name: String::new(),
        allow_private: false,
        allow_private_unread: false,
        route: Route::default(),
        maintenance: Vec::new(),
        paused: None,
        soak: None,
        exit: None,
        contact: None,
    });
    let tables = match missing_heading(&mut root) {
        true => Vec::new(),
        false => root.tables("integration"),
    };
    if root.lacks("integration") {
        root.warn("integration", "this customer has no integration", "expected [[integration]] tables: nothing is watched");
    }
    let mut customer = Customer {
        id: shared.id.clone().unwrap_or_else(Slug::local),
        name: shared.name.clone(),
        integrations: Vec::new(),
        checks: Vec::new(),
        fingerprints: BTreeMap::new(),
    };
    let mut ids = BTreeMap::new();
    let mut blocked = Blocked::default();
    for t in tables {
        reading.integrations += 1;
        let (integration, checks, seen) = integration(t, &shared, &customer.id, (&mut ids, &mut blocked), judge);
        reading.checks += seen;
        if let Some(i) = &integration {
            let fingerprint = judged::fingerprint_blocking(i, &checks, &mut judge.contents);
            customer.fingerprints.extend(fingerprint.map(|f| (i.id.clone(), f)));
        }
        customer.integrations.extend(integration);
        customer.checks.extend(checks);
    }
    blocked.finish(root.source(), &customer.checks);
    if let Some(at) = soak_at.filter(|_| !customer.integrations.is_empty() && customer.integrations.iter().all(|i| i.soak.is_none())) {
        let expected = "expected soak = { } in each [[integration]] that is to be judged by it";
        root.source().report(at, "customer.soak", "no integration has a soak, so nothing is judged by this", expected, true);
    }
    root.finish();
    reading.customer = shared.id.is_some().then_some(customer);
    reading
}

/// Reports `[[integration.check]]` without any `[[integration]]` above, which reads as one integration that lacks everything.
fn missing_heading(root: &mut Table<'_>) -> bool {
    let source = root.source();
    let implied = root.value("integration").is_some_and(|v| v.value.is_table()) && !source.damaged.get();
    let Some(wrong) = implied.then(|| headings::first_wrong(&source.text)).flatten() else { return false };
    source.report(wrong.at..wrong.at, "integration", wrong.what, wrong.expected, false);
    true
}

fn integration(
    mut t: Table<'_>,
    shared: &Shared,
    customer: &Slug,
    (ids, blocked): (&mut BTreeMap<String, usize>, &mut Blocked),
    judge: &mut Judge,
) -> (Option<Arc<Integration>>, Vec<Arc<CheckDef>>, u64) {
    let id: Option<Slug> = t.req("id");
    let environment: Option<Slug> = t.req("environment");
    if let (Some(id), Some(environment)) = (&id, &environment)
        && let Some(line) = ids.insert(format!("{environment}/{id}"), t.line("id"))
    {
        let what = format!("there is already an integration \"{id}\" in {environment} (line {line})");
        t.problem("id", what, "expected another id or environment");
    }
    if t.lacks("owner") {
        t.warn("owner", "is missing", format!("expected {}; read as \"customer\"", one_of(&words(Owner::ALL, Owner::as_str))));
    }
    if t.lacks("runbook") {
        t.warn("runbook", "is missing", "expected the URL of a page that says what to do when this fails");
    }
    let go_live: Option<UnixMs> = t.opt("go_live");
    judge.near(&t, "go_live", go_live);
    let criticality = t.or("criticality", Criticality::Normal);
    let start_required = shared.soak.as_ref().is_none_or(|s| !s.has_start());
    let written = t.table("soak").map(|s| soak::read(s, start_required, judge));
    let soak = written.and_then(|own| soak::policy(own, shared.soak.as_ref(), criticality)).map(Arc::new);
    let name = t.text("name", MAX_TEXT);
    let fallback = Slug::local();
    let mut windows = shared.maintenance.clone();
    windows.extend(maintenance(&mut t, judge));
    if let Some(policy) = &soak {
        soak::go_live(&t, go_live, policy);
        soak::maintenance(&t, &windows, go_live, policy);
    }
    let objective = soak.as_ref().map(|p| p.success_ratio);
    let exit = exit::policy(exit::read(&mut t), shared.exit.as_ref(), objective);
    let waivers = waiver::read(&mut t, soak.as_deref(), judge);
    let own_private: Option<bool> = t.opt("allow_private");
    let route = route::read(&mut t, &shared.route, judge);
    let own_unread = t.has("allow_private") && own_private.is_none();
    let read = Integration {
        id: IntegrationId::new(customer, environment.as_ref().unwrap_or(&fallback), id.as_ref().unwrap_or(&fallback)),
        name: name.or_else(|| id.as_ref().map(Slug::to_string)).unwrap_or_default(),
        customer_name: shared.name.clone(),
        owner: t.or("owner", Owner::Customer),
        criticality,
        runbook: t.opt("runbook"),
        go_live,
        hypercare: t.between("hypercare", Span::seconds(0), Span::days(366)).unwrap_or(Span::days(30)),
        soak,
        incident: t.table("incident").map(incident).unwrap_or_default(),
        exit,
        contact: t.text("contact", MAX_TEXT).or_else(|| shared.contact.clone()),
        waivers,
        volume: t.table("volume").map(volume::read).unwrap_or_default(),
        allow_private: own_private.unwrap_or(shared.allow_private),
        maintenance: windows,
        paused: paused(&mut t).or_else(|| shared.paused.clone()),
        attribution: attribution(&mut t),
        dialect: t.or("dialect", Dialect::Auto),
        quota_share: t.opt::<Share>("quota_share").map(|s| s.0),
        quota_window: t.between("quota_window", Span::seconds(1), Span::days(366)),
        throttled_excluded: t.word("throttled", &[("counted", false), ("excluded", true)]).unwrap_or(false),
    };
    let integration = Arc::new(read);
    let tables = t.tables("check");
    if t.lacks("check") {
        t.warn("check", "this integration has no check", "expected [[integration.check]] tables: nothing is watched");
    }
    let seen = tables.len() as u64;
    let mut check_ids = BTreeMap::new();
    let unsure = own_unread || (shared.allow_private_unread && !t.has("allow_private"));
    let mut addresses = Addresses::new(t.source(), integration.allow_private, unsure);
    let checks =
        tables.into_iter().filter_map(|c| check(c, (&integration, &route), (&mut check_ids, blocked), &mut addresses, judge)).collect();
    addresses.finish();
    t.finish();
    ((id.is_some() && environment.is_some()).then_some(integration), checks, seen)
}

fn check(
    mut t: Table<'_>,
    (integration, route): (&Arc<Integration>, &Route),
    (ids, blocked): (&mut BTreeMap<Slug, usize>, &mut Blocked),
    addresses: &mut Addresses<'_>,
    judge: &mut Judge,
) -> Option<Arc<CheckDef>> {
    let id: Option<Slug> = t.req("id");
    if let Some(id) = &id
        && let Some(line) = ids.insert(id.clone(), t.line("id"))
    {
        t.problem("id", format!("there is already a check \"{id}\" in this integration (line {line})"), "expected another id");
    }
    if !t.has("every") {
        t.missing("every", "how often it runs, such as \"60s\"");
    }
    let every = t.between("every", Span::seconds(1), Span::days(7));
    let written = t.between("timeout", Span(Duration::from_millis(10)), Span::seconds(600));
    if let (Some(timeout), Some(every)) = (written, every)
        && timeout >= every
    {
        t.problem(
            "timeout",
            format!("{} is not shorter than every ({})", t.shown("timeout"), t.shown("every")),
            format!("expected less than {}", t.shown("every")),
        );
    }
    let retries = t.between("retries", 0, 5).unwrap_or(0);
    let judged = t.or("judged", true);
    let by: Option<By> = t.opt("judge");
    let blocked_by = blocked.read(&mut t, integration, id.as_ref());
    let route = route::of_check(&mut t, route, judge);
    let before = t.source().errors();
    let mut kind = Kind::read(&mut t);
    match &mut kind {
        Some(kind) => {
            judge.secrets(&t, kind);
            let usual = || every.map(|e| default_timeout(kind.usual_timeout(), e));
            let timeout = written.or_else(usual).filter(|_| written.is_some() || !t.has("timeout"));
            if let (Some(every), Some(host), None) = (every, kind.host(), &integration.paused) {
                judge.demand.add(&t, host, every, kind.requests(), timeout);
            }
            addresses.judge(&t, kind);
            if let Some(address) = route.address {
                addresses.pinned(&t, address);
            }
            route::together(&t, &route, kind, every, judge);
            judge::production(&t, kind, integration.id.environment());
            if let Some(every) = every {
                judge::grace(&t, kind, every);
                judge::sparing(&t, kind, every);
            }
            if let Some(timeout) = timeout {
                judge::within(&t, kind, timeout);
            }
        }
        // Fail closed: a check may not vanish without a word.
        None if t.source().errors() == before && !t.source().damaged.get() => {
            t.problem("", "could not be read", "expected a table of its kind");
        }
        None => {}
    }
    let by = by.or(kind.as_ref().map(Kind::judged_by)).unwrap_or(By::Ratio);
    if let (true, Some(every), Some(policy)) = (judged, every, &integration.soak) {
        soak::interval(&t, every, by, policy);
    }
    t.finish();
    let (id, every, kind) = (id?, every?, kind?);
    let id = integration.id.check(&id);
    let timeout = written.unwrap_or_else(|| default_timeout(kind.usual_timeout(), every)).0;
    Some(Arc::new(CheckDef {
        key: id.key(),
        id,
        integration: integration.clone(),
        every,
        timeout,
        retries,
        judged,
        judge: by,
        route,
        blocked_by,
        host: kind.host().map(Into::into),
        kind,
    }))
}

/// 10 s, or what the kind needs where it asks more than once; half of `every` where `every` is no longer than that.
fn default_timeout(usual: Option<Span>, every: Span) -> Span {
    let usual = usual.unwrap_or(TIMEOUT);
    if every > usual { usual } else { Span(every.0 / 2) }
}

fn maintenance(table: &mut Table<'_>, judge: &Judge) -> Vec<Maintenance> {
    let mut windows = Vec::new();
    for mut t in table.tables("maintenance") {
        let (start, end): (Option<UnixMs>, Option<UnixMs>) = (t.req("start"), t.req("end"));
        judge.near(&t, "start", start);
        let (reason, by) = (t.req_text("reason", MAX_TEXT), t.req_text("by", MAX_TEXT));
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            t.problem("end", format!("{end} is not after start ({start})"), "expected a later time");
        }
        t.finish();
        if let (Some(start), Some(end), Some(reason), Some(by)) = (start, end, reason, by) {
            windows.push(Maintenance { start, end, reason, by });
        }
    }
    windows
}

fn incident(mut t: Table<'_>) -> IncidentPolicy {
    let (runs, reopen) = (IncidentPolicy::RUNS, IncidentPolicy::REOPEN);
    let usual = IncidentPolicy::default();
    let read = IncidentPolicy {
        fail_after: t.between("fail_after", *runs.start(), *runs.end()).unwrap_or(usual.fail_after),
        pass_after: t.between("pass_after", *runs.start(), *runs.end()).unwrap_or(usual.pass_after),
        reopen_within: t.between("reopen_within", *reopen.start(), *reopen.end()).unwrap_or(usual.reopen_within),
    };
    t.finish();
    read
}

fn paused(table: &mut Table<'_>) -> Option<Paused> {
    let mut t = table.table_like("paused", "{ reason = \"why\", by = \"who\" }, or no such line")?;
    let (reason, by) = (t.req_text("reason", MAX_TEXT), t.req_text("by", MAX_TEXT));
    t.finish();
    Some(Paused { reason: reason?, by: by? })
}

/// Overrides of the triage map: class = attribution. `internal` and `monitor` are ours and never an integration's.
fn attribution(table: &mut Table<'_>) -> BTreeMap<Class, Attribution> {
    let classes: Vec<&str> = words(Class::ALL, Class::as_str).into_iter().filter(|c| *c != Class::Internal.as_str()).collect();
    let mut map = BTreeMap::new();
    for (name, value) in table.map("attribution") {
        let Some(class) = Class::parse(&name).filter(|c| *c != Class::Internal) else {
            let expected = format!("expected a failure class: {}{}", one_of(&classes), did_you_mean(nearest(&name, &classes)));
            value.source.report(value.at.clone(), &value.path, "is not a failure class", expected, false);
            continue;
        };
        match read_field(&value) {
            Some(Attribution::Monitor) => {
                let expected = "expected another word: a failed run is never the monitor's fault";
                value.source.report(value.at.clone(), &value.path, "\"monitor\" is not right here", expected, false);
            }
            Some(attribution) => drop(map.insert(class, attribution)),
            None => {}
        }
    }
    map
}

fn words<T: Copy>(all: &[T], text: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|v| text(*v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_timeout_is_always_shorter_than_the_interval() {
        for ms in (1000..20_000).step_by(250) {
            let every = Span(Duration::from_millis(ms));
            assert!(default_timeout(None, every) < every, "{every}");
        }
        assert_eq!(default_timeout(None, Span::seconds(60)), TIMEOUT);
        assert_eq!(default_timeout(Some(Span::seconds(120)), Span::seconds(60)), Span::seconds(30));
        assert_eq!(default_timeout(None, Span::seconds(10)), Span::seconds(5));
    }
}
