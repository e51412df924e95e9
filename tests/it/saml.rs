//! SAML metadata: the shared samples, a fixture for every rule, hostile documents, `xmlsec1` beside our own verdict, and noise.

mod command;
mod fuzz;
mod hostile;
mod live;
mod make;
mod rules;
mod samples;
mod xmlsec;

pub(crate) use rules::covered;

#[test]
fn every_rule_has_a_fixture() {
    let covered = covered();
    let without: Vec<&str> = soakwatch::finding::saml::RULES.iter().map(|r| r.id).filter(|id| !covered.contains(id)).collect();
    assert_eq!(without, [""; 0]);
}
