//! Changes and what became of them (PAT): which PATCH forms were refused or had no effect, and by which form that is explained.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exchange::{Exchange, Fact};
use super::found::Found;
use super::patch::{Form, Wish};
use super::target::Endpoint;
use crate::finding::scim::PUT_01;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing speaks against it.
    Fine,
    /// Refused with this status.
    Refused(u16),
    /// Accepted, and this is shown instead.
    Ignored(&'static str),
}

/// One PATCH or PUT.
pub(super) struct Change<'a> {
    place: &'a str,
    endpoint: Endpoint,
    put: bool,
    wish: Wish,
    before: Option<Vec<String>>,
    count: Option<usize>,
    end: End,
    /// What is known of it comes from its own answer: a later look is worth more.
    own: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Changes<'a> {
    all: Vec<Change<'a>>,
}

impl<'a> Changes<'a> {
    /// Notes a change that was accepted, or refused; gives its number. `before`: the group's members as last shown.
    pub(super) fn made(&mut self, e: &'a Exchange, wish: Wish, before: Option<Vec<String>>) -> usize {
        let count = e.request.facts.iter().find_map(|f| if let Fact::Members(n) = f { Some(*n) } else { None });
        let end = if e.succeeded() { End::Fine } else { End::Refused(e.status) };
        let put = e.request.method == "PUT";
        self.all.push(Change { place: &e.name, endpoint: e.request.target.endpoint, put, wish, before, count, end, own: true });
        self.all.len() - 1
    }

    /// A resource was shown after the change of this number. `own`: in the change's own answer.
    pub(super) fn shown(&mut self, number: usize, resource: &Value, own: bool) {
        let Some(change) = self.all.get_mut(number).filter(|c| !matches!(c.end, End::Refused(_))) else { return };
        let Some(told) = change.wish.shown(resource, change.before.as_deref(), change.count) else { return };
        match told {
            Err(why) => (change.end, change.own) = (End::Ignored(why), own),
            Ok(()) if change.own => (change.end, change.own) = (End::Fine, own),
            Ok(()) => {}
        }
    }

    /// Names the forms that explain what failed: one finding for each.
    pub(super) fn finish(self, found: &mut Found) {
        for change in self.all.iter().filter(|c| c.put) {
            match change.end {
                End::Fine | End::Refused(_) => {}
                End::Ignored(why) => found.add(&PUT_01, change.place, format!("after a PUT {why}")),
            }
        }
        let patches: Vec<&Change<'_>> = self.all.iter().filter(|c| !c.put).collect();
        let (good, bad): (Vec<_>, Vec<_>) = patches.into_iter().partition(|c| c.end == End::Fine);
        let works: BTreeSet<Form> = good.iter().flat_map(|c| c.wish.forms.iter().copied()).collect();
        // A form that worked elsewhere is not to blame, unless nothing else is left.
        let suspects = |c: &Change<'_>| {
            let left: Vec<Form> = c.wish.forms.iter().copied().filter(|f| !works.contains(f)).collect();
            if left.is_empty() { c.wish.forms.clone() } else { left }
        };
        let mut failed: Vec<(Vec<Form>, &Change<'_>)> = bad.iter().map(|c| (suspects(c), *c)).collect();
        failed.sort_by_key(|(forms, _)| forms.len());
        let mut culprits: Vec<(Form, &Change<'_>)> = Vec::new();
        for (forms, change) in failed {
            let explained = culprits.iter().find(|(form, first)| forms.contains(form) || (*form == Form::Plain && alike(first, change)));
            let form = explained.map(|(form, _)| *form).or_else(|| forms.iter().max().copied()).unwrap_or(Form::Plain);
            let first = explained.map_or(change, |(_, first)| *first);
            if explained.is_none() {
                culprits.push((form, change));
            }
            let cause = match first.end {
                End::Refused(status) => format!("{} is answered with {status}", form.words()),
                End::Ignored(why) => format!("after {} {why}", form.words()),
                End::Fine => continue,
            };
            found.add(form.rule(), change.place, cause);
        }
    }
}

/// Whether a plain PATCH that failed explains another: refused alike, or without effect alike, and at the same endpoint.
fn alike(plain: &Change<'_>, other: &Change<'_>) -> bool {
    match (plain.end, other.end) {
        (End::Refused(405 | 501), End::Refused(405 | 501)) => true,
        (End::Refused(_), End::Refused(_)) | (End::Ignored(_), End::Ignored(_)) => plain.endpoint == other.endpoint,
        _ => false,
    }
}
