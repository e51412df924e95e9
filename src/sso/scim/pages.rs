//! Pages and equal queries against each other (PAG): positions, totals, order.

use std::collections::{BTreeMap, HashMap};

use super::exchange::Exchange;
use super::found::Found;
use super::list::List;
use super::target::Endpoint;
use crate::finding::scim::{PAG_01, PAG_03, PAG_04};

struct Page<'a> {
    place: &'a str,
    /// The position asked for.
    first: u64,
    ids: Vec<&'a str>,
    total: u64,
}

/// Pages that must fit together: same endpoint, filter, order, and no write between them.
#[derive(Default)]
pub(super) struct Pages<'a> {
    groups: BTreeMap<(Endpoint, &'a str, &'a str, usize), Vec<Page<'a>>>,
}

impl<'a> Pages<'a> {
    /// Takes a page whose own numbers are right.
    pub(super) fn take(&mut self, e: &'a Exchange, list: &List<'a>, epoch: usize) {
        let target = &e.request.target;
        let Some(total) = list.total.filter(|_| !list.off && !list.malformed && !target.query.odd) else { return };
        let ids = list.resources.iter().filter_map(|r| r.get("id").and_then(serde_json::Value::as_str)).collect();
        let page = Page { place: &e.name, first: target.query.first(), ids, total };
        let key = (target.endpoint, target.query.filter.as_deref().unwrap_or_default(), target.query.order.as_str(), epoch);
        self.groups.entry(key).or_default().push(page);
    }

    /// Compares them: one finding for each group of pages.
    pub(super) fn finish(self, found: &mut Found) {
        for pages in self.groups.values().filter(|p| p.len() > 1) {
            compare(pages, found);
        }
    }
}

fn compare(pages: &[Page<'_>], found: &mut Found) {
    if let Some(other) = pages.iter().find(|p| pages.first().is_some_and(|f| f.total != p.total)) {
        return found.add(&PAG_03, other.place, "totalResults differs between pages of the same query");
    }
    // Where each id stood, and who stood at each position.
    let (mut position, mut at) = (HashMap::new(), HashMap::new());
    for page in pages {
        let mut shifts = Vec::new();
        let mut twice = false;
        let end = page.first.saturating_add(page.ids.len() as u64);
        for (n, id) in (0u64..).zip(&page.ids) {
            let here = page.first.saturating_add(n);
            let (before, its_first, its_end) = *position.entry(*id).or_insert((here, page.first, end));
            let occupied = at.entry(here).or_insert(*id);
            if before != here {
                shifts.push(i128::from(here) - i128::from(before));
                // Pages that overlap show the same id by right, at the same position.
                twice |= its_end <= page.first || end <= its_first;
            } else if *occupied != *id {
                shifts.push(0);
            }
        }
        let Some(first) = shifts.first() else { continue };
        if twice {
            found.add(&PAG_04, page.place, "an id came on two pages");
        } else if shifts.iter().all(|s| s == first) && first.abs() == 1 {
            found.add(&PAG_01, page.place, "the page is shifted by one: positions are not counted from 1");
        } else {
            found.add(&PAG_04, page.place, "equal queries came in another order");
        }
        return;
    }
}
