//! Which incidents most likely have one cause: those behind one host that began together. Derived whenever it is asked for, never stored. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{CommonCause, Incident, id_of};
use crate::clock::UnixMs;
use crate::outcome::Class;

/// First bad runs lie so close together.
const TOGETHER_MS: i64 = 15 * 60_000;
/// So many customers make it no chance; or so many integrations of one.
const CUSTOMERS: usize = 2;
/// See [`CUSTOMERS`].
const INTEGRATIONS: usize = 3;

/// The common causes of incidents, the newest first.
pub fn causes<'i>(incidents: impl IntoIterator<Item = &'i Incident>) -> Vec<CommonCause> {
    let mut by_host: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
    for incident in incidents {
        let hosts: BTreeSet<&str> = incident.checks.iter().filter_map(|a| a.host.as_deref()).collect();
        hosts.into_iter().for_each(|host| by_host.entry(host).or_default().push(incident));
    }
    let mut found = Vec::new();
    for (host, mut behind) in by_host {
        behind.sort_by(|a, b| (a.first_bad, &a.id).cmp(&(b.first_bad, &b.id)));
        while let Some(group) = next_group(&mut behind) {
            found.extend(cause(host, &group));
        }
    }
    found.sort_by(|a, b| (b.since, &a.id).cmp(&(a.since, &b.id)));
    found
}

/// Takes out the first one, and those that began soon after it and while all of them went on.
fn next_group<'i>(behind: &mut Vec<&'i Incident>) -> Option<Vec<&'i Incident>> {
    let first = behind.first()?.first_bad;
    let mut ends = UnixMs(i64::MAX);
    let mut together = |i: &Incident| {
        let fits = i.first_bad.0.saturating_sub(first.0) <= TOGETHER_MS && i.first_bad <= ends;
        if fits {
            ends = ends.min(i.closed.unwrap_or(UnixMs(i64::MAX)));
        }
        fits
    };
    let (group, rest) = std::mem::take(behind).into_iter().partition(|i| together(i));
    *behind = rest;
    Some(group)
}

fn cause(host: &str, group: &[&Incident]) -> Option<CommonCause> {
    let customers: BTreeSet<&str> = group.iter().map(|i| i.integration.customer()).collect();
    let integrations: BTreeSet<&str> = group.iter().map(|i| i.integration.as_str()).collect();
    if customers.len() < CUSTOMERS && integrations.len() < INTEGRATIONS {
        return None;
    }
    let first = group.first()?;
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    group.iter().for_each(|i| *classes.entry(i.class).or_default() += 1);
    let most = classes.values().copied().max().unwrap_or_default();
    // Of equals the one that came first.
    let class = group.iter().map(|i| i.class).find(|c| classes.get(c) == Some(&most)).unwrap_or(first.class);
    Some(CommonCause {
        id: id_of(&format!("{host} {}", first.id)),
        host: host.to_owned(),
        since: first.first_bad,
        class,
        incidents: group.iter().map(|i| i.id.clone()).collect(),
    })
}
