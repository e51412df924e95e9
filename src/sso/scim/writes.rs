//! Requests that write: create (CRE), PATCH (PAT), PUT (PUT) and delete (DEL). What became of a change shows later: `changes`.

use serde_json::Value;

use super::answer::{fine_error, forbidden, labelled, scim_type};
use super::exchange::{Exchange, Fact};
use super::filter::member;
use super::judge::Walk;
use super::patch::{Form, Wish, members};
use super::resource;
use super::target::Endpoint;
use crate::finding::scim::{CRE_01, DEL_01, ERR_02, PUT_01};

pub(super) fn create<'a>(walk: &mut Walk<'a>, e: &'a Exchange) {
    let (place, endpoint) = (&e.name, e.request.target.endpoint);
    let body = e.request.body.as_ref();
    let name = body.and_then(|b| member(b, "userName")).and_then(Value::as_str).filter(|_| endpoint == Endpoint::Users);
    let before = name.and_then(|n| walk.world.name(n));
    let ghost = before.is_some_and(|n| n.gone);
    let exists = endpoint == Endpoint::Users && (e.request.is(Fact::NameExists) || before.is_some_and(|n| !n.gone));
    // Wrong on purpose: a user without a name.
    let invalid = endpoint == Endpoint::Users && body.is_some() && name.is_none();
    match e.status {
        201 if exists => {
            walk.found.add(&CRE_01, place, "a userName that exists is created again");
            walk.world.double(name.unwrap_or_default());
            // Its form has been said enough about: it only exists now.
        }
        201 => created(walk, e, name),
        409 if ghost && !e.request.is(Fact::NameExists) => {
            walk.found.add(&DEL_01, place, "the userName of a deleted user can't be created again");
        }
        409 => {
            walk.world.exists(name);
            fine_error(e, &mut walk.found);
            if endpoint == Endpoint::Users && e.object().is_some() && scim_type(e) != Some("uniqueness") {
                walk.found.warn(&CRE_01, place, "409 without scimType uniqueness");
            }
        }
        _ if forbidden(e, &mut walk.found) => {}
        status if exists => walk.found.add(&CRE_01, place, format!("a userName that exists is answered with {status} instead of 409")),
        400..=499 if invalid => fine_error(e, &mut walk.found),
        // Groups need not be there.
        404 | 405 | 501 if endpoint == Endpoint::Groups => fine_error(e, &mut walk.found),
        status => walk.found.add(&CRE_01, place, format!("creating is answered with {status} instead of 201")),
    }
}

/// A 201.
fn created<'a>(walk: &mut Walk<'a>, e: &'a Exchange, name: Option<&str>) {
    let body = e.request.body.as_ref();
    let id = e.body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    if labelled(e, &mut walk.found) {
        let said_in_body = e.body.get("meta").and_then(|m| m.get("location")).is_some_and(Value::is_string);
        // Where no header was recorded at all, the body may speak for it.
        let location = e.header("location").is_some_and(|l| !l.trim().is_empty()) || (!walk.world.records_headers && said_in_body);
        let no_id = e.body.get("id").is_none_or(Value::is_null);
        let missing: Vec<&str> = [(!location, "Location"), (no_id, "id")].iter().filter(|(m, _)| *m).map(|(_, w)| *w).collect();
        if !missing.is_empty() {
            walk.found.add(&CRE_01, &e.name, format!("201 without {}", missing.join(" and ")));
        }
        if e.body.is_object() {
            resource::judge(e, &e.body, false, &mut walk.found);
        }
    }
    walk.world.exists(name);
    let Some(id) = id else { return };
    let held = walk.world.at(e.request.target.endpoint, id);
    (held.gone, held.change) = (false, None);
    held.members = body.and_then(members);
    held.disabled = body.and_then(|b| member(b, "active")) == Some(&Value::Bool(false));
    walk.shown(e, &e.body, id, true);
}

/// What is not there is 404, for changes as well; true: said all there is.
fn is_not_there(walk: &mut Walk<'_>, e: &Exchange, id: &str) -> bool {
    let gone = walk.world.is_gone(e, id);
    if !gone && !walk.world.is_unknown(e, id) {
        return false;
    }
    match e.status {
        404 => fine_error(e, &mut walk.found),
        _ if forbidden(e, &mut walk.found) => {}
        status if gone => {
            walk.found.add(&DEL_01, &e.name, format!("a change of what was deleted is answered with {status} instead of 404"));
        }
        status => walk.found.add(&ERR_02, &e.name, format!("a change of an unknown id is answered with {status} instead of 404")),
    }
    true
}

pub(super) fn patch<'a>(walk: &mut Walk<'a>, e: &'a Exchange, id: &'a str) {
    if is_not_there(walk, e, id) {
        return;
    }
    let endpoint = e.request.target.endpoint;
    let wish = e.request.body.as_ref().map_or_else(|| Wish { invalid: true, ..Wish::default() }, Wish::of_patch);
    let seen = walk.world.held(endpoint, id).is_some_and(|h| h.seen);
    match e.status {
        200 | 204 => {}
        404 if !seen => return fine_error(e, &mut walk.found),
        // The client's own matter: a condition, or a request that is wrong on purpose.
        412 | 413 | 428 => return fine_error(e, &mut walk.found),
        // Adding what is there is no conflict.
        409 if !wish.forms.contains(&Form::AddMember) => return fine_error(e, &mut walk.found),
        400..=499 if wish.invalid => return fine_error(e, &mut walk.found),
        _ if forbidden(e, &mut walk.found) => return,
        // Whether an attribute other than active may be written is the server's matter.
        400 | 422 if wish.forms == [Form::Plain] && wish.active().is_none() => return fine_error(e, &mut walk.found),
        _ => {}
    }
    let before = walk.world.held(endpoint, id).and_then(|h| h.members.clone());
    let active = wish.active();
    if wish.invalid && e.succeeded() {
        // Accepted although it is broken: nothing to expect of it.
        walk.world.at(endpoint, id).change = None;
        return;
    }
    let number = walk.changes.made(e, wish, before);
    let held = walk.world.at(endpoint, id);
    held.change = Some(number);
    if !e.succeeded() {
        return;
    }
    if let Some(active) = active {
        held.disabled = !active;
    }
    own_answer(walk, e, id);
}

/// The resource in the answer to a change of it.
fn own_answer<'a>(walk: &mut Walk<'a>, e: &'a Exchange, id: &'a str) {
    if e.status == 200 && labelled(e, &mut walk.found) && e.body.is_object() {
        let put = e.request.method == "PUT";
        resource::judge(e, &e.body, !put, &mut walk.found);
        if !put && e.body.get("id").and_then(Value::as_str).is_some_and(|got| got != id) {
            walk.found.add(&crate::finding::scim::RES_01, &e.name, "the id in the answer is not the one changed");
            return;
        }
        walk.shown(e, &e.body, id, true);
    }
}

pub(super) fn put<'a>(walk: &mut Walk<'a>, e: &'a Exchange, id: &'a str) {
    if is_not_there(walk, e, id) {
        return;
    }
    let (place, endpoint) = (&e.name, e.request.target.endpoint);
    let held = walk.world.held(endpoint, id);
    let (seen, last) = (held.is_some_and(|h| h.seen), held.and_then(|h| h.last));
    match e.status {
        200 => {}
        204 => walk.found.warn(&PUT_01, place, "204 instead of the whole resource"),
        404 if !seen => return fine_error(e, &mut walk.found),
        409 | 412 | 413 | 428 => return fine_error(e, &mut walk.found),
        _ if forbidden(e, &mut walk.found) => return,
        status => return walk.found.add(&PUT_01, place, format!("a PUT is answered with {status}")),
    }
    let Some(body) = &e.request.body else { return own_answer(walk, e, id) };
    let wish = Wish::of_put(body);
    let active = wish.active();
    let number = walk.changes.made(e, wish, None);
    let held = walk.world.at(endpoint, id);
    held.change = Some(number);
    if let Some(active) = active {
        held.disabled = !active;
    }
    if e.status == 200 && !e.is_page() && e.body.is_object() {
        let kept = e.body.get("id").and_then(Value::as_str);
        if kept != Some(id) {
            walk.found.add(&PUT_01, place, "the id was not kept");
            return;
        }
        let taken =
            ["groups", "meta.created", "meta.location", "meta.resourceType"].into_iter().find(|path| taken_over(path, body, &e.body, last));
        if let Some(path) = taken {
            walk.found.add(&PUT_01, place, format!("{path} is read-only and was taken over"));
        }
    }
    own_answer(walk, e, id);
}

/// Whether a read-only member that was sent stands in the answer, and was another before.
fn taken_over(path: &str, sent: &Value, answer: &Value, last: Option<&Value>) -> bool {
    let at = |value: &Value| path.split('.').try_fold(value.clone(), |v, part| member(&v, part).cloned());
    // Nothing and an empty list are the same.
    let filled = |v: Option<Value>| v.filter(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()));
    match (filled(at(sent)), filled(at(answer)), last) {
        (Some(sent), Some(answer), Some(last)) => sent == answer && filled(at(last)) != Some(answer),
        _ => false,
    }
}

pub(super) fn delete<'a>(walk: &mut Walk<'a>, e: &'a Exchange, id: &'a str) {
    if is_not_there(walk, e, id) {
        return;
    }
    let endpoint = e.request.target.endpoint;
    let seen = walk.world.held(endpoint, id).is_some_and(|h| h.seen);
    match e.status {
        204 => {}
        404 if !seen => return fine_error(e, &mut walk.found),
        412 | 428 => return fine_error(e, &mut walk.found),
        _ if forbidden(e, &mut walk.found) => return,
        status => walk.found.add(&DEL_01, &e.name, format!("a delete is answered with {status} instead of 204")),
    }
    if e.succeeded() {
        walk.world.deleted(endpoint, id);
    }
}
