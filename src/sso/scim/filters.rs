//! Answers to filters (FLT): their status, and who is in them.

use super::answer::{fine_error, forbidden, scim_type};
use super::exchange::{Exchange, Fact};
use super::filter::{Equality, Filter};
use super::found::Found;
use super::list::List;
use super::target::Endpoint;
use super::world::World;
use crate::finding::scim::{DEL_01, FLT_01, FLT_02, FLT_03, FLT_04, FLT_05, PAG_03, RES_02};

/// Attributes that identity providers match by: a server must understand an equality of them.
const MATCHED_BY: [&str; 6] = ["username", "externalid", "id", "displayname", "emails", "emails.value"];

/// Resources of one answer that are held against its filter.
const MOST_RESOURCES: usize = 10_000;

/// A filter that is answered with something else than 200.
pub(super) fn refused(e: &Exchange, raw: &str, found: &mut Found) {
    if e.request.target.search && matches!(e.status, 404 | 405 | 501) {
        // A search by POST need not be there.
        return fine_error(e, found);
    }
    let Some(filter) = Filter::read(raw) else {
        match e.status {
            400 => {
                fine_error(e, found);
                if e.object().is_some() && scim_type(e) != Some("invalidFilter") {
                    found.warn(&FLT_04, &e.name, "a broken filter is refused without scimType invalidFilter");
                }
            }
            status => found.add(&FLT_04, &e.name, format!("a broken filter is answered with {status}")),
        }
        return;
    };
    if forbidden(e, found) {
        return;
    }
    let matching = filter.equalities().into_iter().find(|q| MATCHED_BY.contains(&q.attribute.as_str()));
    match matching {
        Some(q) if q.has_special() => found.add(&FLT_05, &e.name, format!("a value with special characters is answered with {}", e.status)),
        Some(q) if q.other_case => found.add(&FLT_03, &e.name, format!("a filter in another case is answered with {}", e.status)),
        Some(_) => found.add(&FLT_01, &e.name, format!("a filter is answered with {} instead of a list", e.status)),
        None if e.status >= 500 => found.add(&FLT_04, &e.name, format!("a filter is answered with {}", e.status)),
        None => fine_error(e, found),
    }
}

/// A filter that is answered with a list.
pub(super) fn answered(e: &Exchange, raw: &str, list: &List<'_>, world: &World<'_>, found: &mut Found) {
    let Some(filter) = Filter::read(raw) else {
        return found.warn(&FLT_04, &e.name, "a broken filter is accepted");
    };
    if list.malformed {
        return;
    }
    let equalities = filter.equalities();
    let by_name = || equalities.iter().filter(|q| q.attribute == "username" && e.request.target.endpoint == Endpoint::Users);
    let verdicts: Vec<Option<bool>> = list.resources.iter().take(MOST_RESOURCES).map(|r| filter.holds(r)).collect();
    let returned = verdicts.len();
    if returned > 0 && e.request.is(Fact::Deleted) {
        return found.add(&DEL_01, &e.name, "a filter still shows what was deleted");
    }
    if verdicts.contains(&Some(false)) {
        let mangled = returned == 1 && equalities.iter().any(Equality::has_special);
        let rule = if mangled { &FLT_05 } else { &FLT_02 };
        return found.add(rule, &e.name, "the answer has resources that don't match the filter");
    }
    // A userName is unique: more than one can't all match, shown or not.
    let unseen = returned > 1 && verdicts.contains(&None);
    if by_name().next().is_some() && (unseen || (returned == 0 && list.total.unwrap_or(0) > 1 && e.request.target.query.most() == Some(0)))
    {
        return found.add(&FLT_02, &e.name, "several users match one userName");
    }
    match list.total {
        Some(total @ 1..) if returned == 0 && e.request.target.query.first() <= total && e.request.target.query.most() != Some(0) => {
            found.add(&FLT_01, &e.name, format!("nobody is returned, and totalResults is {total}"));
        }
        Some(total @ 2..) if returned == 1 && by_name().next().is_some() => {
            found.add(&PAG_03, &e.name, format!("totalResults is {total} for one userName"));
        }
        Some(0) if e.request.target.query.first() == 1 => nobody(e, by_name(), world, found),
        _ => {}
    }
}

/// Nobody was found: is that so?
fn nobody<'a>(e: &Exchange, mut by_name: impl Iterator<Item = &'a Equality>, world: &World<'_>, found: &mut Found) {
    if e.request.is(Fact::Disabled) {
        return found.add(&RES_02, &e.name, "a disabled user is not found");
    }
    let sought = by_name.find_map(|q| world.name(&q.value).filter(|n| !n.gone).map(|n| (q, n)));
    let Some((q, name)) = sought else { return };
    let disabled = name.id.as_deref().and_then(|id| world.held(Endpoint::Users, id)).is_some_and(|h| h.disabled);
    if disabled {
        found.add(&RES_02, &e.name, "a disabled user is not found");
    } else if name.exact != q.value || q.other_case {
        found.add(&FLT_03, &e.name, "a user that exists is not found in another case");
    } else if q.has_special() {
        found.add(&FLT_05, &e.name, "a user that exists is not found by a value with special characters");
    } else {
        found.add(&FLT_02, &e.name, "a user that exists is not found");
    }
}
