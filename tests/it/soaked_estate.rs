//! A made estate of soaks for tests of what shows them: a pass, a doomed one, one that goes on, one whose configuration was changed, one that was frozen
//! at go-live, and integrations that nothing judges. What people wrote is hostile throughout.

use std::sync::Arc;
use std::time::Duration;

use soakwatch::board::Board;
use soakwatch::clock::UnixMs;
use soakwatch::config::fingerprint::{Fingerprint, KeyLists};
use soakwatch::config::model::{CheckDef, Config, Integration, Settings, SoakPolicy};
use soakwatch::evidence::{Hash, Link};
use soakwatch::fields::Span;
use soakwatch::outcome::{Cause, Class, Criticality};
use soakwatch::readiness::{AttestedCase, ExclusionCase, Soaks};
use soakwatch::record::Record;
use soakwatch::slots::Grid;
use soakwatch::soak::{Criterion, Waiver};

use crate::estate::{Ended, NOW, config, fold, integration, record, settings, with_checks};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// What every text of people carries.
pub(crate) const HOSTILE: &str = "<b>\"&";

/// A made estate.
pub(crate) struct Soaked {
    pub(crate) config: Config,
    pub(crate) board: Board,
    pub(crate) soaks: Soaks,
}

fn soak(hours: u32) -> SoakPolicy {
    SoakPolicy::new(Criticality::Normal, NOW.minus(HOUR * hours))
}

fn made(i: Integration, checks: &[&str]) -> (Arc<Integration>, Vec<Arc<CheckDef>>) {
    let (i, checks) = with_checks(i, checks);
    let slower = |c: &Arc<CheckDef>| Arc::new(CheckDef { every: Span::seconds(300), ..CheckDef::clone(c) });
    (i, checks.iter().map(slower).collect())
}

fn configured(settings: Settings) -> Config {
    let orders = Integration {
        name: format!("Orders {HOSTILE}"),
        customer_name: format!("Acme {HOSTILE}"),
        go_live: Some(NOW.plus(HOUR * 72)),
        soak: Some(Arc::new(SoakPolicy {
            attest: vec!["uat_signoff".into(), "support_handoff".into()],
            declared: [Criterion::CertificateDays].into(),
            ..soak(8 * 24)
        })),
        waivers: vec![
            Waiver {
                criterion: "certificate_days".into(),
                reason: format!("renewed by hand {HOSTILE}"),
                approver: format!("k.wu {HOSTILE}"),
                until: NOW.plus(HOUR * 24 * 30),
            },
            Waiver { criterion: "longest_outage".into(), reason: "not used".into(), approver: "k.wu".into(), until: NOW.plus(HOUR * 24) },
            Waiver { criterion: "coverage".into(), reason: "over".into(), approver: "k.wu".into(), until: NOW.minus(HOUR) },
        ],
        ..integration("acme", "production", "orders")
    };
    let stock =
        Integration { go_live: Some(NOW.plus(HOUR * 96)), soak: Some(Arc::new(soak(72))), ..integration("acme", "production", "stock") };
    let feed =
        Integration { go_live: Some(NOW.plus(HOUR * 120)), soak: Some(Arc::new(soak(48))), ..integration("acme", "production", "feed") };
    let api = Integration { soak: Some(Arc::new(soak(48))), ..integration("acme", "staging", "api") };
    let plain = integration("acme", "staging", "plain");
    let directory = Integration {
        name: "Directory".into(),
        customer_name: "Globex".into(),
        go_live: Some(NOW.minus(HOUR * 48)),
        soak: Some(Arc::new(soak(10 * 24))),
        ..integration("globex", "production", "directory")
    };
    let archive = integration("initech", "sandbox", "archive");
    let made = vec![
        made(orders, &["list", "informational"]),
        made(stock, &["levels", "moves"]),
        made(feed, &["pull"]),
        made(api, &["call"]),
        made(plain, &["call"]),
        made(directory, &["users"]),
        made(archive, &["reach"]),
    ];
    config(settings, made)
}

/// Every slot of a check in the last so many hours; `ended` is told how many hours ago (rounded down) and which slot it is.
fn runs(check: &CheckDef, hours: u32, mut ended: impl FnMut(i64, i64) -> Ended) -> Vec<Record> {
    let grid = Grid::of(check);
    let slots = std::iter::successors(Some(grid.after(UnixMs(NOW.minus(HOUR * hours).0 - 1))), |slot| Some(grid.after(*slot)));
    let run = |(n, slot): (usize, UnixMs)| {
        let ago = (NOW.0 - slot.0) / 3_600_000;
        let mut r = record(check, slot, &ended(ago, i64::try_from(n).unwrap()));
        r.interval_ms = 300_000;
        r
    };
    slots.take_while(|slot| *slot < NOW).enumerate().map(run).collect()
}

fn records(config: &Config) -> Vec<Record> {
    let find = |id: &str| Arc::clone(config.checks().find(|c| c.id.as_str() == id).unwrap());
    let failed = || Ended::Fail(Class::ServerError, "HTTP 500");
    let mut all = Vec::new();
    all.extend(runs(&find("acme/production/orders/list"), 8 * 24, |ago, n| match (ago, n % 200) {
        // A load test, which is excluded; and six hours in which the daemon was down.
        (29, _) => failed(),
        (60..66, _) => Ended::NotRun(Cause::Down),
        (_, 7) => failed(),
        _ => Ended::Pass,
    }));
    all.extend(runs(&find("acme/production/orders/informational"), 8 * 24, |_, _| failed()));
    all.extend(runs(&find("acme/production/stock/levels"), 72, |_, n| if n % 10 == 3 { failed() } else { Ended::Pass }));
    all.extend(runs(&find("acme/production/stock/moves"), 72, |_, _| Ended::Pass));
    all.extend(runs(&find("acme/production/feed/pull"), 48, |ago, n| match (ago, n % 100) {
        (10, _) => Ended::NotRun(Cause::Maintenance),
        (_, 50) => Ended::Throttled,
        _ => Ended::Pass,
    }));
    all.extend(runs(&find("acme/staging/api/call"), 48, |_, _| Ended::Pass));
    all.extend(runs(&find("globex/production/directory/users"), 10 * 24, |ago, _| if ago < 24 { failed() } else { Ended::Pass }));
    all
}

/// The whole estate, judged at [`NOW`].
pub(crate) fn soaked(settings: Settings) -> Soaked {
    let config = configured(settings);
    let records = records(&config);
    let (board, soaks) = (Board::default(), Soaks::default());
    board.configure(&config);
    board.apply(&records);
    // What was judged before was something else in acme/staging/api.
    let mut before = config.clone();
    let other = Fingerprint::of([("id", Some("another".to_owned()))].into_iter(), &mut KeyLists::default());
    before.customers[0].fingerprints.insert("acme/staging/api".parse().unwrap(), other);
    soaks.configure(&before, NOW.minus(HOUR * 40));
    soaks.configure(&config, NOW);
    let exclusion = ExclusionCase {
        seq: 0,
        check: None,
        from: NOW.minus(HOUR * 30),
        to: NOW.minus(HOUR * 29),
        reason: format!("load test {HOSTILE}"),
        by: "pipeline-token".into(),
        remark: Some(format!("m.lee {HOSTILE}")),
        at: NOW.minus(HOUR * 20),
    };
    let attestation = AttestedCase {
        seq: 0,
        name: "uat_signoff".into(),
        value: Some(format!("signed {HOSTILE}")),
        note: None,
        by: "lee-token".into(),
        remark: None,
        at: NOW.minus(HOUR * 5),
        until: Some(NOW.plus(HOUR * 24 * 20)),
    };
    let link = |seq| Link { seq, record: Hash::of(&[]), chain: Hash::of(&[]) };
    soaks.recorded(&exclusion.entry(&"acme/production/orders".parse().unwrap()), link(1));
    soaks.recorded(&attestation.entry("acme", "production"), link(2));
    fold(&soaks, &records);
    Soaked { config, board, soaks }
}

/// The same without tokens and other settings.
pub(crate) fn plainly_soaked() -> Soaked {
    soaked(settings())
}
