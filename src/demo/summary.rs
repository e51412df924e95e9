//! The tables at the demo's end: one line per integration, from the board and the soaks, and one per environment, from the gate. Pure: entries and a
//! time in, text out.

use std::collections::BTreeMap;

use crate::attribution::{limit_not_told, remediation, too_much_declared};
use crate::board::{Counts, IntegrationEntry};
use crate::clock::UnixMs;
use crate::limits::words::times;
use crate::outcome::{Attribution, Class};
use crate::readiness::Soaks;
use crate::soak::gate::Gate;
use crate::status::{IntegrationStatus, integration_status};

const HEAD: [&str; 9] = ["INTEGRATION", "PHASE", "STATE", "VERDICT", "RUNS", "SUCCESS", "CLASS", "ATTRIBUTION", "WHAT TO DO"];
const GATES: [&str; 3] = ["ENVIRONMENT", "GATE", "WHY"];
/// A certificate with fewer days left is worth a line.
const CERTIFICATE_DAYS: i64 = 30;

/// The table of integrations, with a line of totals.
pub fn table(entries: &[IntegrationEntry], soaks: &Soaks, now: UnixMs) -> String {
    let mut out = columns(HEAD, &entries.iter().map(|entry| row(entry, soaks, now)).collect::<Vec<_>>());
    let all = entries.iter().map(counts).fold(Counts::default(), |mut sum, c| {
        sum.merge(&c);
        sum
    });
    out.push_str(&format!(
        "\n\n{} integrations, {} runs: {} passed, {} failed, {} throttled; {} skipped, {} unknown",
        entries.len(),
        all.counted(),
        all.pass,
        all.fail,
        all.throttled,
        all.skipped,
        all.unknown
    ));
    out
}

/// The gate of every environment, in order of the entries: the answer, and the integrations it comes from.
pub fn gates(entries: &[IntegrationEntry], soaks: &Soaks, now: UnixMs) -> String {
    let mut environments: Vec<((&str, &str), Vec<&IntegrationEntry>)> = Vec::new();
    for entry in entries {
        let place = (entry.def.id.customer(), entry.def.id.environment());
        match environments.iter_mut().find(|(known, _)| *known == place) {
            Some((_, those)) => those.push(entry),
            None => environments.push((place, vec![entry])),
        }
    }
    let row = |((customer, environment), those): &((&str, &str), Vec<&IntegrationEntry>)| {
        let gate = soaks.gate(those, now);
        [format!("{customer}/{environment}"), gate.answer.to_string(), why(&gate)]
    };
    columns(GATES, &environments.iter().map(row).collect::<Vec<_>>())
}

/// The integrations that decide, each with its verdict.
fn why(gate: &Gate) -> String {
    let decide = gate.integrations.iter().filter(|p| p.answer == gate.answer);
    let each = decide.map(|p| {
        let name = p.integration.rsplit('/').next().unwrap_or_default();
        p.soak.as_ref().map_or_else(|| format!("{name} has no soak"), |s| format!("{name} {}", s.verdict))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Columns as wide as their widest cell; the last one is not padded.
fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|h| h.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    std::iter::once(line(&head.map(str::to_owned))).chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn counts(entry: &IntegrationEntry) -> Counts {
    entry.checks.iter().fold(Counts::default(), |mut sum, c| {
        sum.merge(&c.state.counts);
        sum
    })
}

/// The class and attribution most of its failures had, and how many; of equals the first in the order of the closed set.
pub fn most_frequent_failure(entry: &IntegrationEntry) -> Option<(Class, Attribution, u64)> {
    let mut sums: BTreeMap<(Class, Attribution), u64> = BTreeMap::new();
    for (class, by_attribution) in entry.checks.iter().flat_map(|c| c.state.classes.iter()) {
        for (attribution, n) in by_attribution.iter() {
            *sums.entry((*class, *attribution)).or_default() += n;
        }
    }
    sums.into_iter().rev().max_by_key(|(_, n)| *n).map(|((class, attribution), n)| (class, attribution, n))
}

fn row(entry: &IntegrationEntry, soaks: &Soaks, now: UnixMs) -> [String; 9] {
    // The table tells what was; who is held just now is on the page.
    let status = integration_status(entry, &Default::default(), now);
    let counts = counts(entry);
    let failure = most_frequent_failure(entry);
    let none = || "-".to_owned();
    let what_to_do = what_to_do(entry, &status, failure);
    [
        status.id,
        status.phase.to_string(),
        status.state.to_string(),
        soaks.judged(entry, now, |_, verdict| verdict.ruling.to_string()).unwrap_or_else(none),
        counts.counted().to_string(),
        counts.success_ratio(entry.def.throttled_excluded).map_or_else(none, percent),
        failure.map_or_else(none, |(class, _, n)| format!("{class} ({n})")),
        failure.map_or_else(none, |(_, attribution, _)| attribution.to_string()),
        what_to_do,
    ]
}

fn what_to_do(entry: &IntegrationEntry, status: &IntegrationStatus, failure: Option<(Class, Attribution, u64)>) -> String {
    if let Some(hold) = &status.hold {
        let until = hold.until.as_ref().map(|t| format!(" until {t}")).unwrap_or_default();
        return format!("Nothing is due{until}: {} ({})", hold.reason, hold.by);
    }
    if let Some((class, attribution, _)) = failure {
        return match status.limits.headroom {
            Some(h) if h < 1.0 && class == Class::Throttled => {
                format!("{} (headroom {})", too_much_declared(attribution, entry.def.owner), times(h))
            }
            _ if class == Class::Throttled && entry.checks.iter().all(|c| c.state.limits.is_empty()) => {
                limit_not_told(attribution, entry.def.owner)
            }
            _ => remediation(class, attribution, entry.def.owner),
        };
    }
    if let Some(w) = &status.warning {
        return format!("It passes, but {}. {}", w.detail, w.remediation);
    }
    if let Some(days) = status.certificate_days.filter(|d| *d < CERTIFICATE_DAYS) {
        return format!("It passes, but its certificate has {days} days left: have it renewed.");
    }
    let again: u64 = entry.checks.iter().map(|c| c.state.first_attempt_failures).sum();
    if again > 0 {
        return format!("It passes, but {again} runs needed a second attempt: look at the far side's log.");
    }
    String::new()
}

/// A share with one digit after the point, rounded down so that 99.96 % never reads as 100 %.
fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0 + 1e-9).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::board::{Board, CheckEntry, CheckState};
    use crate::config::model::{DeclaredVolume, Integration, Maintenance, Paused};
    use crate::fields::{CheckId, IntegrationId, Span};
    use crate::outcome::{Criticality, Outcome, Owner};
    use crate::probe::Kind;
    use crate::ratelimit::Reading;
    use crate::record::Record;

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    fn entry(id: &str, records: &[(Outcome, Option<Class>)], change: impl FnOnce(&mut Integration)) -> IntegrationEntry {
        let id: IntegrationId = id.parse().unwrap();
        let mut def = integration(id);
        change(&mut def);
        let def = Arc::new(def);
        let id: CheckId = format!("{}/c", def.id).parse().unwrap();
        let mut state = CheckState::default();
        for (n, (outcome, class)) in (0i64..).zip(records) {
            let slot = UnixMs(NOW.0 - 3_000 + n * 1000);
            let record = Record {
                outcome: *outcome,
                class: *class,
                attribution: class.map(|_| Attribution::ThirdParty),
                first_attempt_passed: *outcome == Outcome::Pass,
                attempts: 1,
                ..Record::not_run(id.clone(), slot, 1000, 1, crate::outcome::Cause::Internal)
            };
            state.apply(&record);
        }
        let check = CheckEntry { def: Arc::new(check(id, &def, kind())), state };
        IntegrationEntry { def, checks: vec![check], departed: None, apart: Default::default() }
    }

    fn kind() -> Kind {
        let source = crate::config::table::Source::new("test", ".", "http = { url = \"https://crm.example.com/v1/contacts\" }");
        let tables = toml::de::DeTable::parse(&source.text).unwrap();
        Kind::read(&mut source.root(tables.get_ref())).unwrap()
    }

    fn check(id: CheckId, integration: &Arc<Integration>, kind: Kind) -> crate::config::model::CheckDef {
        crate::config::model::CheckDef {
            key: id.key(),
            id,
            integration: Arc::clone(integration),
            every: Span::seconds(1),
            timeout: Duration::from_millis(900),
            retries: 0,
            judged: true,
            judge: crate::soak::Judge::Ratio,
            route: crate::route::Route::default(),
            blocked_by: None,
            host: kind.host().map(Into::into),
            kind,
        }
    }

    fn integration(id: IntegrationId) -> Integration {
        Integration {
            name: id.integration().into(),
            customer_name: id.customer().into(),
            id,
            owner: Owner::Vendor,
            criticality: Criticality::Normal,
            runbook: None,
            go_live: None,
            hypercare: Span::days(30),
            soak: None,
            waivers: Vec::new(),
            volume: DeclaredVolume::default(),
            allow_private: true,
            maintenance: Vec::new(),
            paused: None,
            attribution: BTreeMap::new(),
            dialect: crate::ratelimit::Dialect::Auto,
            quota_share: None,
            quota_window: None,
            incident: Default::default(),
            throttled_excluded: false,
            exit: crate::config::model::ExitPolicy::new(None),
            contact: None,
        }
    }

    #[test]
    fn a_table_says_how_each_integration_does() {
        let fail = |c| (Outcome::Fail, Some(c));
        let pass = (Outcome::Pass, None);
        let entries = [
            entry("a/production/good", &[pass, pass], |_| ()),
            entry("a/production/flaky", &[pass, fail(Class::ServerError), pass], |_| ()),
            entry("a/production/down", &[fail(Class::Dns), fail(Class::Timeout), fail(Class::Timeout)], |_| ()),
            entry("a/production/calm", &[], |i| i.paused = Some(Paused { reason: "why".into(), by: "me".into() })),
            entry("a/production/work", &[], |i| {
                let (start, end) = (NOW.minus(Duration::from_secs(1)), NOW.plus(Duration::from_secs(60)));
                i.maintenance = vec![Maintenance { start, end, reason: "move".into(), by: "me".into() }];
            }),
            entry("a/production/new", &[], |_| ()),
        ];
        assert_eq!(
            table(&entries, &Soaks::default(), NOW),
            "\
INTEGRATION         PHASE   STATE        VERDICT  RUNS  SUCCESS  CLASS             ATTRIBUTION  WHAT TO DO
a/production/good   build   passing      -        2     100.0 %  -                 -
a/production/flaky  build   passing      -        3     66.6 %   server_error (1)  third_party  The endpoint fails by itself (5xx). Report it to the vendor with the times shown here.
a/production/down   build   failing      -        3     0.0 %    timeout (2)       third_party  The connection stands, but no complete answer comes in time. Ask the vendor about load and hanging work behind the endpoint.
a/production/calm   paused  paused       -        0     -        -                 -            Nothing is due: why (me)
a/production/work   build   maintenance  -        0     -        -                 -            Nothing is due until 2023-11-14T22:14:20Z: move (me)
a/production/new    build   pending      -        0     -        -                 -

6 integrations, 8 runs: 4 passed, 4 failed, 0 throttled; 0 skipped, 0 unknown"
        );
    }

    #[test]
    fn a_quota_that_does_not_suffice_is_said() {
        let told = |entry: &mut IntegrationEntry, remaining: u64, ago_s: u64| {
            let at = NOW.minus(Duration::from_secs(ago_s));
            let (limit, window_s) = (Some(100), Some(3_600));
            let reading = Reading { policy: "hour".into(), limit, remaining: Some(remaining), window_s, at, ..Reading::default() };
            entry.checks[0].state.limits.apply(&[reading]);
        };
        let peak = |i: &mut Integration| i.volume.peak = "200/h".parse().ok();
        let mut throttled = entry("a/production/throttled", &[(Outcome::Throttled, Some(Class::Throttled))], peak);
        told(&mut throttled, 0, 1);
        let mut going = entry("a/production/going", &[(Outcome::Pass, None)], |_| ());
        told(&mut going, 60, 20);
        told(&mut going, 40, 0);
        let table = table(&[throttled, going], &Soaks::default(), NOW);
        assert!(
            table.contains(
                "more than the quota gives. Agree on a larger quota with the vendor, or have the callers slow down. (headroom 0.5 ×)"
            ),
            "{table}"
        );
        assert!(
            table.contains("It passes, but policy hour runs out at 2023-11-14T22:14:00Z as it is used now (1/s): 40 of 100 are left;"),
            "{table}"
        );
    }

    #[test]
    fn every_environment_has_its_gate() {
        let entries = [entry("a/production/x", &[], |_| ()), entry("a/staging/x", &[], |_| ()), entry("a/production/y", &[], |_| ())];
        assert_eq!(
            gates(&entries, &Soaks::default(), NOW),
            "\
ENVIRONMENT   GATE     WHY
a/production  not_yet  x has no soak, y has no soak
a/staging     not_yet  x has no soak"
        );
    }

    #[test]
    fn an_empty_board_is_no_error() {
        let text = Board::default().read(|all| table(all, &Soaks::default(), NOW));
        assert!(text.ends_with("0 integrations, 0 runs: 0 passed, 0 failed, 0 throttled; 0 skipped, 0 unknown"), "{text}");
    }
}
