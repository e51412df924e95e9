//! The judge: walks through a recording, exchange by exchange, and asks the rules of each kind of request.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::answer::{admitted, fine_error, forbidden, is_error, labelled};
use super::changes::Changes;
use super::discovery::Discovery;
use super::exchange::{Exchange, Fact, Known};
use super::filter::{Filter, member};
use super::found::Found;
use super::list::List;
use super::pages::Pages;
use super::patch::members;
use super::target::Endpoint;
use super::world::World;
use super::{filters, resource, writes};
use crate::finding::Finding;
use crate::finding::scim::{ATR_01, AUT_03, DEL_01, ERR_02, GET_01, PAG_02, PAG_03, PAT_01, RES_01, RES_02, TIM_01};

/// The median time of lists and filters that identity providers bear.
const MOST_MEDIAN: Duration = Duration::from_secs(2);
/// The longest time of one of them.
const MOST_TIME: Duration = Duration::from_secs(10);
/// When a token's end becomes a warning.
const WARN_DAYS: i64 = 30;

/// What the walk holds.
pub(super) struct Walk<'a> {
    pub found: Found,
    pub world: World<'a>,
    pub changes: Changes<'a>,
    pages: Pages<'a>,
    pub discovery: Discovery,
    times: Vec<Duration>,
}

/// Judges exchanges in the order in which they were made.
pub fn judge(exchanges: &[Exchange], known: &Known) -> Vec<Finding> {
    if let Some((status, e)) = down(exchanges) {
        let mut found = Found::default();
        found.add(&GET_01, &e.name, format!("every request is answered with {status}: the base URL is wrong, or the server is down"));
        return found.finish();
    }
    let mut walk = Walk {
        found: Found::default(),
        world: World::before(exchanges, known),
        changes: Changes::default(),
        pages: Pages::default(),
        discovery: Discovery::of(exchanges, known.idp),
        times: Vec::new(),
    };
    for e in exchanges {
        walk.world.told(e);
        walk.one(e);
        if e.succeeded() && !e.request.reads() {
            walk.world.wrote(e);
        }
    }
    walk.finish(known)
}

/// The one status of everything that has to succeed, where it is an error: then nothing else can be judged.
fn down(exchanges: &[Exchange]) -> Option<(u16, &Exchange)> {
    let must = |e: &&Exchange| {
        let target = &e.request.target;
        let describes = target.endpoint.is_discovery() && target.query.filter.is_none();
        let lists = target.endpoint == Endpoint::Users && target.query.filter.as_deref().is_none_or(|raw| Filter::read(raw).is_some());
        e.request.method == "GET"
            && target.id.is_none()
            && !e.request.is(Fact::NoToken)
            && (describes || lists)
            && !target.query.odd
            && e.status != 429
    };
    let all: Vec<&Exchange> = exchanges.iter().filter(must).collect();
    let first = all.first()?;
    let both = [true, false].iter().all(|d| all.iter().any(|e| e.request.target.endpoint.is_discovery() == *d));
    let same = all.iter().all(|e| e.status == first.status) && !matches!(first.status, 1..=399 | 401 | 403);
    (both && same && all.len() > 2).then_some((first.status, first))
}

impl<'a> Walk<'a> {
    fn finish(mut self, known: &Known) -> Vec<Finding> {
        self.pages.finish(&mut self.found);
        self.changes.finish(&mut self.found);
        self.discovery.finish(&mut self.found);
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2).filter(|m| **m > MOST_MEDIAN);
        if let Some(longest) = self.times.last().filter(|t| **t > MOST_TIME) {
            self.found.add(&TIM_01, "the slowest of all", format!("a list took {} s", longest.as_secs()));
        } else if let Some(median) = median {
            self.found.add(&TIM_01, "the median of all", format!("lists take {:.1} s", median.as_secs_f64()));
        }
        if let Some((end, now)) = known.token_ends {
            let days = end.0.saturating_sub(now.0) / 86_400_000;
            if end.0 <= now.0 {
                self.found.add(&AUT_03, "the date on record", "our own token's end is past");
            } else if days < WARN_DAYS {
                self.found.warn(&AUT_03, "the date on record", format!("our own token ends in {days} days"));
            }
        }
        self.found.finish()
    }

    fn one(&mut self, e: &'a Exchange) {
        if !admitted(e, &mut self.found) {
            return;
        }
        let target = &e.request.target;
        match (target.endpoint, e.request.method.as_str(), target.id.as_deref()) {
            (_, "HEAD" | "OPTIONS", _) => {}
            (endpoint, "GET", _) if endpoint.is_discovery() => self.discovery.judge(e, &mut self.found),
            (Endpoint::Users | Endpoint::Groups, "GET", Some(id)) => self.get(e, id),
            (Endpoint::Users | Endpoint::Groups, "GET", None) => self.list(e),
            (Endpoint::Users | Endpoint::Groups | Endpoint::Root, "POST", None) if target.search => self.list(e),
            (Endpoint::Users | Endpoint::Groups, "POST", None) => writes::create(self, e),
            (Endpoint::Users | Endpoint::Groups, "PATCH", Some(id)) => writes::patch(self, e, id),
            (Endpoint::Users | Endpoint::Groups, "PUT", Some(id)) => writes::put(self, e, id),
            (Endpoint::Users | Endpoint::Groups, "DELETE", Some(id)) => writes::delete(self, e, id),
            (Endpoint::Other, _, _) => self.other(e),
            // The base URL, /Me, /Bulk and changes of what describes the server: not every server has them.
            _ => self.optional(e),
        }
    }

    fn optional(&mut self, e: &'a Exchange) {
        if e.status >= 400 {
            fine_error(e, &mut self.found);
        } else if labelled(e, &mut self.found) && e.request.target.endpoint == Endpoint::Me && e.body.is_object() {
            resource::judge(e, &e.body, true, &mut self.found);
        }
    }

    /// A path that SCIM does not name: a resource type of the server's own, or none.
    fn other(&mut self, e: &'a Exchange) {
        let listed = |s: &str| self.discovery.endpoints.contains(&s.to_ascii_lowercase());
        if e.request.target.segments.iter().any(|s| listed(s)) {
            return self.optional(e);
        }
        match e.status {
            404 => fine_error(e, &mut self.found),
            403 => {}
            status => self.found.add(&ERR_02, &e.name, format!("an unknown path is answered with {status} instead of 404")),
        }
    }

    fn get(&mut self, e: &'a Exchange, id: &'a str) {
        let (name, endpoint) = (&e.name, e.request.target.endpoint);
        let held = self.world.held(endpoint, id);
        let (seen, disabled) = (held.is_some_and(|h| h.seen), e.request.is(Fact::Disabled) || held.is_some_and(|h| h.disabled));
        if self.world.is_gone(e, id) {
            match e.status {
                404 => fine_error(e, &mut self.found),
                status => self.found.add(&DEL_01, name, format!("what was deleted is answered with {status} instead of 404")),
            }
            return;
        }
        if self.world.is_unknown(e, id) {
            match e.status {
                404 => fine_error(e, &mut self.found),
                status => self.found.add(&ERR_02, name, format!("an unknown id is answered with {status} instead of 404")),
            }
            return;
        }
        match e.status {
            200 => self.got(e, id),
            404 if disabled => self.found.add(&RES_02, name, "a disabled user is not found"),
            404 if seen => self.found.add(&RES_01, name, "an id that an answer had is not found"),
            404 => fine_error(e, &mut self.found),
            _ if forbidden(e, &mut self.found) => {}
            status if e.request.target.query.projects() => {
                self.found.add(&ATR_01, name, format!("attributes or excludedAttributes is answered with {status}"));
            }
            status @ 500.. => self.found.add(&GET_01, name, format!("a resource is answered with {status}")),
            status => self.found.add(&ERR_02, name, format!("an id is answered with {status} instead of 200 or 404")),
        }
    }

    fn got(&mut self, e: &'a Exchange, id: &'a str) {
        if !labelled(e, &mut self.found) {
            return;
        }
        let name = &e.name;
        let listed = e.body.get("totalResults").is_some() || e.body.get("Resources").is_some();
        if e.is_empty() || (listed && e.body.get("totalResults").and_then(Value::as_u64) == Some(0)) {
            return self.found.add(&ERR_02, name, "an id is answered with 200 and nothing in it instead of 404");
        }
        if is_error(e) {
            return self.found.add(&ERR_02, name, "an error under the status 200");
        }
        if listed || !e.body.is_object() {
            return self.found.add(&RES_01, name, "no single resource in the answer");
        }
        if e.request.is(Fact::Disabled) && member(&e.body, "active") == Some(&Value::Bool(true)) {
            return self.found.add(&PAT_01, name, "a disabled user is shown as active");
        }
        resource::judge(e, &e.body, true, &mut self.found);
        if e.body.get("id").and_then(Value::as_str).is_some_and(|got| got != id) {
            self.found.add(&RES_01, name, "the id in the answer is not the one asked for");
        }
        self.shown(e, &e.body, id, false);
    }

    /// Takes what an answer shows of a resource. `own`: the answer to a change of it. False: its user had another id before.
    pub(super) fn shown(&mut self, e: &'a Exchange, resource: &'a Value, id: &'a str, own: bool) -> bool {
        let endpoint = e.request.target.endpoint;
        let whole = !e.request.target.query.projects();
        let told_disabled = e.request.is(Fact::Disabled);
        let held = self.world.at(endpoint, id);
        held.seen = true;
        let active = member(resource, "active");
        if whole && active.is_none() && (held.disabled || told_disabled) && endpoint == Endpoint::Users {
            self.found.add(&RES_02, &e.name, "active is not shown once it is false");
        }
        if let Some(active) = active.and_then(super::patch::truth) {
            held.disabled = !active;
        }
        if let Some(number) = held.change {
            self.changes.shown(number, resource, own);
        }
        // A group without members may leave them out.
        let now = members(resource)
            .or_else(|| (endpoint == Endpoint::Groups && whole && !own && resource.get("members").is_none()).then(Vec::new));
        if now.is_some() {
            held.members = now;
        }
        if whole {
            held.last = Some(resource);
        }
        if endpoint == Endpoint::Users
            && let Some(name) = member(resource, "userName").and_then(Value::as_str)
            && self.world.has_id(name, id).is_some()
        {
            self.found.add(&RES_01, &e.name, "a user has another id than before");
            return false;
        }
        true
    }

    fn list(&mut self, e: &'a Exchange) {
        if e.status != 200 {
            return self.no_list(e);
        }
        let (target, raw) = (&e.request.target, e.request.target.query.filter.as_deref());
        if !labelled(e, &mut self.found) {
            return;
        }
        self.times.extend(e.took);
        let mut list = List::read(e, &mut self.found);
        self.discovery.groups_used |= target.endpoint == Endpoint::Groups && !list.resources.is_empty();
        let whole = self.world.total().filter(|_| raw.is_none() && target.endpoint == Endpoint::Users);
        // What a filter lets through by mistake makes its numbers wrong too: said once.
        let before = self.found.noted();
        if let Some(raw) = raw {
            filters::answered(e, raw, &list, &self.world, &mut self.found);
        }
        list.off = self.found.noted() > before;
        if !list.off {
            list.judge_numbers(e, whole, &mut self.found);
        }
        let mut ids = BTreeSet::new();
        for resource in list.resources.iter().copied() {
            resource::judge(e, resource, true, &mut self.found);
            let Some(id) = resource.get("id").and_then(Value::as_str) else { continue };
            if !ids.insert(id) {
                self.found.add(&RES_01, &e.name, "two resources of one answer have the same id");
                list.off = true;
            } else if self.world.held(target.endpoint, id).is_some_and(|h| h.gone) {
                self.found.add(&DEL_01, &e.name, "a list still shows what was deleted");
            } else {
                list.off |= !self.shown(e, resource, id, false);
            }
        }
        self.pages.take(e, &list, self.world.epoch);
    }

    /// A list that did not come.
    fn no_list(&mut self, e: &'a Exchange) {
        let query = &e.request.target.query;
        let status = e.status;
        if let Some(raw) = &query.filter {
            return filters::refused(e, raw, &mut self.found);
        }
        if e.request.target.search && matches!(status, 404 | 405 | 501) {
            // A search by POST need not be there.
            return fine_error(e, &mut self.found);
        }
        if e.request.target.endpoint == Endpoint::Groups && matches!(status, 403 | 404 | 501) {
            self.discovery.groups_missing.get_or_insert_with(|| e.name.clone());
            return fine_error(e, &mut self.found);
        }
        if forbidden(e, &mut self.found) {
            return;
        }
        if query.first() > 1 {
            return self.found.add(&PAG_03, &e.name, format!("a page is answered with {status} instead of a list"));
        }
        if query.projects() {
            return self.found.add(&ATR_01, &e.name, format!("attributes or excludedAttributes is answered with {status}"));
        }
        if status < 500 && (query.odd || !query.order.is_empty() || query.count.is_some_and(|c| c < 0)) {
            return fine_error(e, &mut self.found);
        }
        if query.count.is_some() && status < 500 {
            return self.found.add(&PAG_02, &e.name, format!("count is answered with {status}"));
        }
        self.found.add(&GET_01, &e.name, format!("a list is answered with {status}"));
    }
}
