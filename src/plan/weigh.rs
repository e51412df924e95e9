//! What is found is weighed here: whether it stands against the plan, or is waived when it counts.

use super::{Answer, Finding};
use crate::clock::UnixMs;
use crate::soak::{Criterion, Waiver};

/// Takes findings in.
pub(super) struct Weigh<'a> {
    waivers: &'a [Waiver],
    /// When the criteria are judged.
    at: UnixMs,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Weigh<'a> {
    pub(super) fn new(waivers: &'a [Waiver], at: UnixMs) -> Self {
        Self { waivers, at, findings: Vec::new() }
    }

    /// Whether a criterion, or what is to be attested, will be waived when it is judged.
    pub(super) fn is_waived(&self, name: &str) -> bool {
        self.waivers.iter().any(|w| w.criterion == name && self.at < w.until)
    }

    /// No waiver helps against this.
    pub(super) fn against(&mut self, what: String, change: String) {
        self.findings.push(Finding { answer: Answer::NotProvable, check: None, what, change });
    }

    /// The same of one check.
    pub(super) fn against_check(&mut self, check: &str, what: String, change: String) {
        self.findings.push(Finding { answer: Answer::NotProvable, check: Some(check.to_owned()), what, change });
    }

    /// A criterion that can't be met, or nobody can say whether it will; a waiver that is in force then lets it pass.
    pub(super) fn criterion(&mut self, answer: Answer, criterion: Criterion, check: Option<&str>, what: String, change: String) {
        let check = check.map(str::to_owned);
        let finding = if self.is_waived(criterion.as_str()) {
            Finding { answer: Answer::Provable, check, what: format!("{what}; waived ({criterion})"), change: String::new() }
        } else {
            Finding { answer, check, what, change }
        };
        self.findings.push(finding);
    }

    /// Nothing stands against it.
    pub(super) fn worth_knowing(&mut self, check: Option<&str>, what: String, change: String) {
        self.findings.push(Finding { answer: Answer::Provable, check: check.map(str::to_owned), what, change });
    }
}
