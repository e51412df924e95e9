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

#[cfg(test)]
mod tests {
    use super::super::{Affected, Severity};
    use super::*;
    use crate::outcome::{Attribution, Criticality, Owner, Phase};

    const MINUTE: i64 = 60_000;

    fn made(integration: &str, host: &str, minute: i64, closed: Option<i64>, class: Class) -> Incident {
        let integration: crate::fields::IntegrationId = integration.parse().unwrap();
        let first_bad = UnixMs(minute * MINUTE);
        let check = integration.check(&"list".parse().unwrap());
        let (host, recovered) = (Some(host.to_owned()), None);
        Incident {
            id: format!("{integration}@{minute}"),
            integration,
            first_bad,
            opened: first_bad,
            closed: closed.map(|m| UnixMs(m * MINUTE)),
            severity: Severity::P3,
            class,
            attribution: Attribution::ThirdParty,
            owner: Owner::Vendor,
            criticality: Criticality::High,
            phase: Phase::Soak,
            checks: vec![Affected { check, host, first_bad, last_bad: first_bad, failures: 3, open: true, recovered, seen: first_bad }],
            classes: Vec::new(),
            since_again: Vec::new(),
            reopened: 0,
            acknowledged: None,
            reclassified: None,
            before: Vec::new(),
            runs: Vec::new(),
            timeline: Vec::new(),
        }
    }

    fn found(all: &[Incident]) -> Vec<Vec<String>> {
        causes(all).into_iter().map(|c| c.incidents).collect()
    }

    #[test]
    fn what_begins_together_behind_one_host_has_one_cause() {
        let of = |id: &str, minute, closed| made(id, "api.example.com:443", minute, closed, Class::Timeout);
        let two = [of("acme/production/crm", 0, None), of("zeta/production/crm", 15, None)];
        assert_eq!(found(&two), [["acme/production/crm@0", "zeta/production/crm@15"]]);
        assert_eq!(causes(&two)[0].id, causes(two.iter().rev())[0].id);
        assert!(found(&[two[0].clone(), of("zeta/production/crm", 16, None)]).is_empty(), "too late");
        assert!(found(&[of("acme/production/crm", 0, Some(5)), of("zeta/production/crm", 6, None)]).is_empty(), "they never met");
        assert!(found(&[two[0].clone(), of("acme/production/erp", 1, None)]).is_empty(), "two of one customer may be chance");
        assert_eq!(found(&[two[0].clone(), of("acme/production/erp", 1, None), of("acme/staging/erp", 2, None)])[0].len(), 3);
        assert!(found(&[two[0].clone(), of("acme/production/crm", 3, Some(4)), of("acme/production/crm", 5, None)]).is_empty(), "one only");
        let other = made("zeta/production/crm", "api.example.com:8443", 1, None, Class::Timeout);
        assert!(found(&[two[0].clone(), other]).is_empty(), "another port");
    }

    #[test]
    fn its_class_is_that_of_most() {
        let of = |id: &str, minute, class| made(id, "h:443", minute, None, class);
        let all = [
            of("a/p/one", 0, Class::Dns),
            of("b/p/one", 1, Class::Timeout),
            of("c/p/one", 2, Class::Timeout),
            of("d/p/one", 40, Class::Dns),
            of("e/p/one", 41, Class::Timeout),
        ];
        let causes = causes(&all);
        assert_eq!(causes.iter().map(|c| (c.class, c.since.0 / MINUTE)).collect::<Vec<_>>(), [(Class::Dns, 40), (Class::Timeout, 0)]);
    }
}
