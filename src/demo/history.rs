//! Made history: runs of the last hour that the demo puts into its store before the daemon starts, so that a window of an hour is full within seconds.
//!
//! They never happened, and whoever sees them is told: by the demo's first lines and its last, by the text of each made failure, and by a record in the
//! evidence log. The daemon is told nothing: to it they are what an earlier daemon stored.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::app;
use crate::attribution::attribute;
use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Config};
use crate::evidence::Entry;
use crate::fields::CheckId;
use crate::outcome::{Class, Outcome};
use crate::readiness::AttestedCase;
use crate::record::{DurationCode, Facts, Record};
use crate::slots::Grid;
use crate::store::Store;

/// Who says that history was made.
const ACTOR: &str = "soakwatch-demo";
/// So many runs are stored at once.
const BATCH: usize = 1000;
/// About 2 ms, as calls on one machine take.
const DURATION: u16 = 60;

/// An environment, and which of a check's runs failed, counted from 0.
type Told = ((&'static str, &'static str), fn(u64) -> bool);

/// The environments with a history, told as their endpoints go on.
const TOLD: &[Told] = &[(("acme", "production"), |_| false), (("acme", "staging"), |n| n % 10 == 3)];

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Runs of each check.
    pub runs: BTreeMap<CheckId, u64>,
    /// All of them lie before this time.
    pub until: UnixMs,
}

impl Made {
    /// In words.
    pub fn told(&self) -> String {
        let customers: std::collections::BTreeSet<&str> = TOLD.iter().map(|((customer, _), _)| *customer).collect();
        let customers = customers.into_iter().collect::<Vec<_>>().join(", ");
        let n: u64 = self.runs.values().sum();
        format!("{n} runs of {customers} before {} are made history: the demo wrote them, they never happened", self.until.whole_seconds())
    }

    /// The records of the evidence log that say so, one for each environment.
    pub(super) fn said(&self, now: UnixMs) -> Vec<Entry> {
        let attested = AttestedCase {
            seq: 0,
            name: "made_history".to_owned(),
            value: Some(format!("before {}", self.until)),
            note: Some(self.told()),
            by: ACTOR.to_owned(),
            remark: None,
            at: now,
            until: None,
        };
        TOLD.iter().map(|((customer, environment), _)| attested.entry(customer, environment)).collect()
    }
}

/// Writes the runs from each soak's start until now (blocking).
pub(super) fn write_blocking(config: &Config, now: UnixMs) -> anyhow::Result<Made> {
    let mut made = Made { runs: BTreeMap::new(), until: now };
    let mut records = Vec::new();
    for def in config.checks() {
        let id = &def.integration.id;
        let told = TOLD.iter().find(|(place, _)| *place == (id.customer(), id.environment()));
        let Some(((_, fails), soak)) = told.zip(def.integration.soak.as_ref()) else { continue };
        let before = records.len();
        records.extend(history(def, soak.start, now, *fails));
        made.runs.insert(def.id.clone(), (records.len() - before) as u64);
    }
    records.sort_by_key(|r| r.slot);
    let mut store = Store::open(&app::store_path(config)).context("the demo's store")?;
    for batch in records.chunks(BATCH) {
        let at = batch.last().map_or(now, |r| r.slot);
        store.commit(at, batch, &[]).context("writing the demo's made history")?;
    }
    Ok(made)
}

/// A check's runs in a span of time.
fn history(def: &CheckDef, from: UnixMs, until: UnixMs, fails: fn(u64) -> bool) -> impl Iterator<Item = Record> {
    let grid = Grid::of(def);
    let slots = std::iter::successors(Some(grid.after(UnixMs(from.0 - 1))), move |slot| Some(grid.after(*slot)));
    slots.take_while(move |slot| *slot < until).zip(0..).map(move |(slot, n)| run(def, slot, n, fails(n)))
}

fn run(def: &CheckDef, slot: UnixMs, n: u64, failed: bool) -> Record {
    let class = failed.then_some(Class::ServerError);
    Record {
        check: def.id.clone(),
        vantage: 0,
        slot,
        interval_ms: u32::try_from(def.every.ms()).unwrap_or(u32::MAX),
        count: 1,
        outcome: if failed { Outcome::Fail } else { Outcome::Pass },
        cause: None,
        class,
        attribution: class.map(|c| attribute(c, def.integration.owner, &def.integration.attribution)),
        duration: DurationCode(DURATION + (n % 7) as u16),
        attempts: 1,
        first_attempt_passed: !failed,
        facts: Facts { codes: vec![if failed { 500 } else { 200 }], ..Facts::default() },
        detail: failed.then(|| "made history: answered 500".to_owned()),
    }
}
