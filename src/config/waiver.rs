//! `[[integration.waiver]]`: a criterion that may fail, why, by whose decision, and until when. Never without an end.

use super::judge::Judge;
use super::table::{Table, did_you_mean, nearest, one_of, short};
use crate::clock::UnixMs;
use crate::soak::{Criterion, Policy, Waiver};

/// Reasons and names are shown in pages and reports.
const MAX_TEXT: usize = 200;
/// What stands before the name of an attestation.
const ATTEST: &str = "attest:";

/// Reads the waivers of an integration. Bad ones are reported and left out.
pub(super) fn read(integration: &mut Table<'_>, policy: Option<&Policy>, judge: &Judge) -> Vec<Waiver> {
    let judged = integration.has("soak");
    let mut all: Vec<Waiver> = Vec::new();
    for mut t in integration.tables("waiver") {
        let criterion = criterion(&mut t, policy);
        let (reason, approver) = (t.req_text("reason", MAX_TEXT), t.req_text("approver", MAX_TEXT));
        let until: Option<UnixMs> = t.req("until");
        judge.near(&t, "until", until);
        if let Some(until) = until.filter(|u| judge.is_over(*u)) {
            t.warn("until", format!("it ended at {until}, so nothing is waived by it"), "expected a later time, or no such waiver");
        }
        if !judged {
            t.warn("", "waives nothing: this integration has no soak", "expected a table [integration.soak], or no waiver");
        }
        t.finish();
        if let (Some(criterion), Some(reason), Some(approver), Some(until)) = (criterion, reason, approver, until) {
            all.push(Waiver { criterion, reason, approver, until });
        }
    }
    all
}

/// The name of what is waived; of an attestation without what stands before it, which no criterion can be called.
fn criterion(t: &mut Table<'_>, policy: Option<&Policy>) -> Option<String> {
    let written: String = t.req("criterion")?;
    let attested: Vec<&str> = policy.map(|p| p.attest.iter().map(String::as_str).collect()).unwrap_or_default();
    if let Some(name) = written.strip_prefix(ATTEST) {
        // Without a policy something else is wrong, and was said.
        if policy.is_none() || attested.contains(&name) {
            return Some(name.to_owned());
        }
        let hint = did_you_mean(nearest(name, &attested).map(|n| format!("{ATTEST}{n}")).as_deref());
        let expected = match attested.as_slice() {
            [] => "expected a name out of soak.attest, which names none".to_owned(),
            names => format!("expected a name out of soak.attest: {}{hint}", one_of(names)),
        };
        t.problem("criterion", format!("nobody is asked to attest \"{}\"", short(name)), expected);
        return None;
    }
    if Criterion::parse(&written).is_some() {
        return Some(written);
    }
    let words: Vec<&str> = Criterion::ALL.iter().map(|c| c.as_str()).collect();
    let hint = match attested.contains(&written.as_str()) {
        true => did_you_mean(Some(&format!("{ATTEST}{written}"))),
        false => did_you_mean(nearest(&written, &words)),
    };
    let what = format!("\"{}\" is no criterion", short(&written));
    t.problem("criterion", what, format!("expected one of {}, or \"{ATTEST}\" and a name out of soak.attest{hint}", words.join(", ")));
    None
}
