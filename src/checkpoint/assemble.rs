//! From a configuration and the store to what is said of an environment. Reads only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::answered::{Answered, GATE, Passed, Standing};
use crate::board::{CheckEntry, IntegrationEntry};
use crate::clock::{DAY_MS, UnixMs};
use crate::config::model::{Config, Integration};
use crate::fields::{CheckId, IntegrationId};
use crate::hypercare::{
    self, Answer, BURNS, Expiry, Given, History, Incidents, RECENT_MS, Reach, What, budget_of_hypercare, budget_since, burn, numbers,
};
use crate::incident::Incident;
use crate::outcome::{Attribution, Phase};
use crate::probe::Kind;
use crate::readiness::{self, Failed};
use crate::store::{Hours, Reader, StoreError};

/// Whether an integration has gone live: then it is judged by what it has done since.
pub fn is_live(i: &Integration, now: UnixMs) -> bool {
    i.go_live.is_some_and(|t| t <= now)
}

/// The answer from configuration and store. `live`: `as_of` is now, so what checks know of certificates and documents is what was known then.
pub fn answer_from(
    config: &Config,
    reader: &Reader,
    (customer, environment): (&str, &str),
    as_of: UnixMs,
    live: bool,
) -> Result<Answered, Failed> {
    let (mut situation, _) = readiness::assemble(config, reader, customer, environment, as_of)?;
    if live {
        readiness::doubt_clocks(reader, &mut situation)?;
    }
    let entries = entries_of(config, reader, (customer, environment))?;
    let mut answered = answer(&entries, reader, (customer, environment), (as_of, live), &config.hash)?;
    answered.doubt(situation.doubts);
    Ok(answered)
}

/// Everything that is stored of an environment's integrations.
pub(super) fn entries_of(
    config: &Config,
    reader: &Reader,
    (customer, environment): (&str, &str),
) -> Result<Vec<IntegrationEntry>, StoreError> {
    let entry = |i: &Arc<Integration>| -> Result<IntegrationEntry, StoreError> {
        let mut checks = Vec::new();
        for def in config.checks().filter(|c| c.integration.id == i.id) {
            checks.push(CheckEntry { def: Arc::clone(def), state: reader.state(&def.id)?.unwrap_or_default() });
        }
        Ok(IntegrationEntry { def: Arc::clone(i), checks, departed: None, apart: Default::default() })
    };
    let here = |i: &&Arc<Integration>| i.id.customer() == customer && i.id.environment() == environment;
    config.integrations().filter(here).map(entry).collect()
}

/// The incidents of an integration as they were at a time, as far back as go-live. `None`: they can't be read.
pub(super) fn incidents_of(
    reader: &Reader,
    id: &IntegrationId,
    from: UnixMs,
    now: UnixMs,
) -> Result<Option<Vec<Arc<Incident>>>, StoreError> {
    match reader.incidents_of(id, from, UnixMs(now.0.saturating_add(1))) {
        Ok(all) => Ok(Some(as_of(all.into_iter().map(Arc::new).collect(), now))),
        Err(StoreError::Corrupt(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The answer of what is on the board, and the stored runs. `entries`: all of the environment.
pub fn answer(
    entries: &[IntegrationEntry],
    reader: &Reader,
    (customer, environment): (&str, &str),
    (now, live): (UnixMs, bool),
    config_hash: &str,
) -> Result<Answered, StoreError> {
    let mut stored = histories(entries, reader, now)?;
    let mut integrations = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = &entry.def.id;
        let known = match entry.def.go_live {
            Some(go_live) => incidents_of(reader, id, go_live, now)?,
            None => None,
        };
        integrations.push(passed(entry, stored.remove(id).unwrap_or_default(), known.as_deref(), (now, live)));
    }
    integrations.sort_by(|a, b| a.integration.cmp(&b.integration));
    let worst = integrations.iter().map(|p| p.answer).max().unwrap_or(Answer::NotYet);
    // Something is known only of those whose window has not gone by.
    let over = |e: &IntegrationEntry| Some(e.def.go_live?.plus(e.def.exit.window.0));
    let earliest = entries.iter().map(over).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let mut answered = Answered {
        environment: format!("{customer}/{environment}"),
        gate: GATE.to_owned(),
        as_of: now.to_string(),
        answer: worst,
        reasons: Vec::new(),
        earliest: earliest.filter(|t| *t > now).map(|t| t.to_string()),
        integrations,
        config_hash: config_hash.to_owned(),
    };
    let damaged = reader.damaged();
    answered
        .doubt(damaged.first.map(|first| format!("{} stored rows can't be read and are missing here; the first: {first}", damaged.count)));
    Ok(answered)
}

impl Answered {
    /// There are doubts about what all of it was made from: it is not ready.
    pub fn doubt(&mut self, why: impl IntoIterator<Item = String>) {
        for why in why {
            self.answer = self.answer.max(Answer::NotYet);
            self.reasons.push(why);
        }
    }
}

/// Incidents as they were at a time: what came later has not happened.
fn as_of(all: Vec<Arc<Incident>>, now: UnixMs) -> Vec<Arc<Incident>> {
    all.into_iter().filter_map(|i| i.as_of(now).map(Arc::new)).collect()
}

pub(super) type Stored = HashMap<IntegrationId, Vec<(History, Hours)>>;

/// The stored runs of every check that is live; the journal is read once for all of them.
pub(super) fn histories(entries: &[IntegrationEntry], reader: &Reader, now: UnixMs) -> Result<Stored, StoreError> {
    let live = || entries.iter().filter(|e| is_live(&e.def, now)).flat_map(|e| &e.checks);
    let defs: HashMap<&CheckId, &CheckEntry> = live().map(|c| (&c.def.id, c)).collect();
    let asked: Vec<(&CheckId, UnixMs)> = live().filter_map(|c| Some((&c.def.id, c.def.integration.go_live?))).collect();
    let mut stored = Stored::new();
    reader.hours_of(&asked, now, UnixMs(now.0.saturating_sub(DAY_MS.max(RECENT_MS))), &mut |check, hours| {
        let Some(entry) = defs.get(check) else { return };
        let history = History {
            check: check.clone(),
            judged: entry.def.judged,
            every: entry.def.kind.is_asked().then_some(entry.def.every),
            hours: hours.counts.clone(),
            recent: hours.recent.clone(),
            newest: hours.newest,
        };
        stored.entry(check.integration()).or_default().push((history, hours));
    })?;
    Ok(stored)
}

fn passed(
    entry: &IntegrationEntry,
    stored: Vec<(History, Hours)>,
    incidents: Option<&[Arc<Incident>]>,
    (now, live): (UnixMs, bool),
) -> Passed {
    let i = &entry.def;
    let mut this = Passed {
        integration: i.id.to_string(),
        name: i.name.clone(),
        answer: Answer::NotYet,
        phase: entry.phase(now),
        go_live: i.go_live.map(|t| t.to_string()),
        hypercare_ends: i.go_live.map(|t| t.plus(i.hypercare.0).to_string()),
        day: i.go_live.filter(|t| *t <= now).map(|t| now.0.saturating_sub(t.0).div_euclid(DAY_MS) + 1),
        reasons: Vec::new(),
        criteria: Vec::new(),
        standing: None,
    };
    let Some(go_live) = i.go_live.filter(|t| *t <= now) else {
        this.reasons.push(match i.go_live {
            Some(t) => format!("it goes live {t}"),
            None => "it has no go_live: nobody knows since when it is live".to_owned(),
        });
        return this;
    };
    let damaged = stored.iter().any(|(_, h)| !h.whole);
    let checks: Vec<History> = stored.into_iter().map(|(history, _)| history).collect();
    let expiries = live.then(|| expiries(entry, now));
    let given = Given {
        now,
        go_live,
        policy: &i.exit,
        throttled_excluded: i.throttled_excluded,
        checks: &checks,
        incidents,
        expiries: expiries.as_deref(),
    };
    (this.answer, this.criteria) = hypercare::exit(&given);
    let mut doubts = Vec::new();
    if damaged {
        doubts.push("stored runs of it can't be read".to_owned());
    }
    if this.phase == Phase::Paused {
        doubts.push("it is paused: nothing is run".to_owned());
    }
    for check in checks.iter().filter(|c| c.judged && this.phase != Phase::Paused) {
        doubts.extend(check.silent(now, go_live).map(|since| format!("{}: nothing has been recorded since {since}", check.check.check())));
    }
    if !doubts.is_empty() {
        this.answer = this.answer.max(Answer::NotYet);
    }
    this.reasons = doubts;
    this.standing = Some(standing(i, &given, &checks));
    this
}

fn standing(i: &Integration, given: &Given<'_>, checks: &[History]) -> Standing {
    let (now, go_live, objective, excluded) = (given.now, given.go_live, i.exit.success_ratio.0, i.throttled_excluded);
    let window = |r: &Reach| (*r, numbers(checks, r.start(now, go_live), excluded));
    let rate = |(name, ms): &(&str, i64)| ((*name).to_owned(), burn(checks, now, *ms, go_live, objective, excluded));
    let mut failures: BTreeMap<Attribution, u64> = BTreeMap::new();
    for run in checks.iter().filter(|c| c.judged).flat_map(|c| &c.recent) {
        if let Some(attribution) = run.attribution.filter(|_| run.outcome.counted()) {
            *failures.entry(attribution).or_default() += u64::from(run.count);
        }
    }
    Standing {
        objective,
        windows: Reach::ALL.iter().map(window).collect(),
        burn: BURNS.iter().map(rate).collect(),
        budget_30d: budget_since(checks, Reach::Month.start(now, go_live), objective, excluded),
        budget_hypercare: budget_of_hypercare(checks, (go_live, i.hypercare, now), objective, excluded),
        incidents: given.incidents.map(|all| Incidents::of(all, go_live, now)),
        failures_24h: failures,
        expiries: given.expiries.map(<[Expiry]>::to_vec),
    }
}

/// What ends, as far as anything says so, the earliest first; what is over is among it.
fn expiries(entry: &IntegrationEntry, now: UnixMs) -> Vec<Expiry> {
    let mut all = Vec::new();
    for c in &entry.checks {
        let (id, document) = (c.def.id.check(), c.state.document);
        let secret = match &c.def.kind {
            Kind::OAuth2(check) => check.expires,
            _ => None,
        };
        let seen = [
            (What::Certificate, c.state.certificate_expiry),
            (What::SigningCertificate, document.and_then(|d| d.signing_certificate_expiry)),
            (What::Metadata, document.and_then(|d| d.valid_until)),
            (What::ClientSecret, secret),
        ];
        all.extend(seen.into_iter().filter_map(|(what, at)| Some(Expiry::new(what, id, at?))));
    }
    let open = entry.def.waivers.iter().filter(|w| now < w.until);
    all.extend(open.map(|w| Expiry::new(What::Waiver, &w.criterion, w.until)));
    all.sort_by_key(|e| (e.at_ms, e.what));
    all
}
