//! What the judge gathers: one finding for each rule, level and cause, however many exchanges show it.

use crate::finding::{Finding, Level, Rule};

/// Different causes that are kept at most; `finding::sorted` keeps fewer still.
const MOST_CAUSES: usize = 500;

struct Item {
    rule: &'static Rule,
    level: Level,
    cause: String,
    place: String,
    more: usize,
}

/// Findings in the making.
#[derive(Default)]
pub(super) struct Found {
    items: Vec<Item>,
    noted: usize,
}

impl Found {
    /// Notes a finding at its rule's level. Neither a secret nor personal data may be in `cause`; `place` is an exchange's name.
    pub(super) fn add(&mut self, rule: &'static Rule, place: &str, cause: impl Into<String>) {
        self.add_at(rule, rule.level, place, cause);
    }

    /// Notes a finding as a warning.
    pub(super) fn warn(&mut self, rule: &'static Rule, place: &str, cause: impl Into<String>) {
        self.add_at(rule, Level::Warn, place, cause);
    }

    fn add_at(&mut self, rule: &'static Rule, level: Level, place: &str, cause: impl Into<String>) {
        let cause = cause.into();
        self.noted += 1;
        let room = self.items.len() < MOST_CAUSES;
        match self.items.iter_mut().find(|i| i.rule.id == rule.id && i.level == level && i.cause == cause) {
            Some(item) => item.more += 1,
            None if room => self.items.push(Item { rule, level, cause, place: place.to_owned(), more: 0 }),
            None => {}
        }
    }

    /// Whether this rule was broken at any level.
    pub(super) fn has(&self, rule: &Rule) -> bool {
        self.items.iter().any(|i| i.rule.id == rule.id)
    }

    /// How often something was noted so far.
    pub(super) fn noted(&self) -> usize {
        self.noted
    }

    /// The findings.
    pub(super) fn finish(self) -> Vec<Finding> {
        let told = |i: Item| {
            let more = if i.more == 0 { String::new() } else { format!(" and {} more", i.more) };
            i.rule.found(format!("{} ({}{more})", i.cause, i.place)).at(i.level)
        };
        self.items.into_iter().map(told).collect()
    }
}
