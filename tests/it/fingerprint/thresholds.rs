//! What criticality has to do with what is judged.

use super::of;
use soakwatch::config::fingerprint::Change;

#[test]
fn criticality_is_judged_by_the_thresholds_it_gives() {
    let of_criticality = |word: &str, thresholds: &str| {
        of(&format!(
            "[customer]\nid = \"acme\"\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\ncriticality = \"{word}\"\n\
             soak = {{ start = 2026-11-23T08:00:00Z{thresholds} }}\n"
        ))
    };
    let (high, normal, critical) = (of_criticality("high", ""), of_criticality("normal", ""), of_criticality("critical", ""));
    assert_eq!(high.since(&normal), Change::None);
    let keys = vec!["soak.longest_outage".to_owned(), "soak.quota_headroom".to_owned()];
    assert_eq!(critical.since(&normal), Change::Some(keys));
    let written = ", longest_outage = \"15m\", quota_headroom = 2";
    assert_eq!(of_criticality("critical", written).since(&of_criticality("low", written)), Change::None);
}
