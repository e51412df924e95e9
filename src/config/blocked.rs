//! `blocked_by`: a check that another one depends on, in the same integration or, as `integration/check`, in the same environment.
//!
//! Judged when a customer's file has been read whole: the other check may stand further down. Chains are fine, circles are not.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::model::{CheckDef, Integration};
use super::table::{Source, Table, did_you_mean, nearest};
use crate::fields::{CheckId, IntegrationId, Slug};

/// What was written, to be looked up at the end.
#[derive(Debug)]
struct Written {
    at: Range<usize>,
    path: String,
    check: CheckId,
    by: CheckId,
}

/// Every `blocked_by` of a file.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    all: Vec<Written>,
}

impl Blocked {
    /// Reads the key; whether there is such a check is said by [`Blocked::finish`].
    pub(super) fn read(&mut self, t: &mut Table<'_>, integration: &Integration, id: Option<&Slug>) -> Option<CheckId> {
        let text: String = t.opt("blocked_by")?;
        let here = &integration.id;
        let by = match text.split_once('/') {
            None => text.parse::<Slug>().ok().map(|check| here.check(&check)),
            Some(_) => format!("{}/{}/{text}", here.customer(), here.environment()).parse().ok(),
        };
        if by.is_none() {
            t.problem(
                "blocked_by",
                format!("\"{text}\" is not the name of a check"),
                "expected the id of a check of this integration, or integration/check of this environment",
            );
        }
        let (by, id) = (by?, id?);
        self.all.push(Written { at: t.place("blocked_by"), path: t.path_of("blocked_by"), check: here.check(id), by: by.clone() });
        Some(by)
    }

    /// Reports what does not exist, and circles.
    pub(super) fn finish(self, source: &Source, checks: &[Arc<CheckDef>]) {
        let by: BTreeMap<&CheckId, &CheckId> = self.all.iter().map(|w| (&w.check, &w.by)).collect();
        for w in &self.all {
            let report = |what: String, expected: String| source.report(w.at.clone(), &w.path, what, expected, false);
            if checks.iter().all(|c| c.id != w.by) {
                let here = w.check.integration();
                let name = |id: &CheckId| match id.integration() == here {
                    true => id.check().to_owned(),
                    false => format!("{}/{}", id.integration().integration(), id.check()),
                };
                let near_by = |i: &IntegrationId| i.customer() == here.customer() && i.environment() == here.environment();
                let same = |id: &CheckId| near_by(&id.integration()) && *id != w.check;
                let names: Vec<String> = checks.iter().filter(|c| same(&c.id)).map(|c| name(&c.id)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let near = did_you_mean(nearest(&name(&w.by), &names));
                report(format!("there is no check \"{}\"", name(&w.by)), format!("expected a check of this environment{near}"));
                continue;
            }
            let mut next = Some(&w.by);
            let mut steps = 0;
            while let Some(id) = next.filter(|id| **id != w.check && steps <= by.len()) {
                next = by.get(id).copied();
                steps += 1;
            }
            if next.is_some_and(|id| *id == w.check) {
                report("in the end it waits for itself".to_owned(), "expected a check that does not depend on this one".to_owned());
            }
        }
    }
}
