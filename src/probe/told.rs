//! A kind for tests alone: its outcomes arrive from outside, as a webhook's will, instead of being probed.
//!
//! It proves the seam: this file and its arms in `probe/mod.rs` are all it takes; scheduler, recorder, store, board, metrics and server treat it
//! as any other. Never part of the program.

use super::material::Material;
use crate::config::table::Table;

/// A check that is told its outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldCheck {
    /// `from`: who tells.
    pub from: String,
}

impl ToldCheck {
    /// Reads the kind's table.
    pub fn read(mut table: Table<'_>) -> Self {
        let from = table.or("from", String::new());
        table.finish();
        Self { from }
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        let mut m = Material::default();
        m.unless(&String::new(), "from", &self.from);
        m
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use crate::app::{App, Parts, Running};
    use crate::clock::{Clock, UnixMs};
    use crate::config::{self, LoadOptions};
    use crate::fields::CheckId;
    use crate::metrics::own::OwnMetrics;
    use crate::outcome::{Attribution, Class, Outcome};
    use crate::record::{DurationCode, Facts, Record};
    use crate::store::Reader;

    fn id() -> CheckId {
        "acme/production/order-events/arrivals".parse().unwrap()
    }

    fn arrival(at: UnixMs, class: Option<Class>) -> Record {
        Record {
            check: id(),
            vantage: 0,
            slot: at,
            interval_ms: 1_000,
            count: 1,
            outcome: if class.is_some() { Outcome::Fail } else { Outcome::Pass },
            cause: None,
            class,
            attribution: class.map(|_| Attribution::ThirdParty),
            duration: DurationCode(0),
            attempts: 1,
            first_attempt_passed: class.is_none(),
            facts: Facts::default(),
            detail: class.map(|_| "no delivery since yesterday".to_owned()),
        }
    }

    async fn start(dir: &Path) -> Running {
        let options = LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() };
        let loaded = config::load(dir, &options);
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let own = Arc::new(OwnMetrics::new().unwrap());
        App::start(Parts { config, reload: None, resolver: None, clock: Clock::System, own, notifier: Default::default() }).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn told_outcomes_go_the_way_of_all_others() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
        let customer = "[customer]\nid = \"acme\"\nname = \"Acme\"\n[[integration]]\nid = \"order-events\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
             [[integration.check]]\nid = \"arrivals\"\nevery = \"1s\"\ntimeout = \"500ms\"\n[integration.check.told]\nfrom = \"the vendor\"\n";
        std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();

        let running = start(dir.path()).await;
        let now = Clock::System.now();
        for (n, class) in [None, Some(Class::Missing), Some(Class::Missing), None, Some(Class::Signature)].into_iter().enumerate() {
            running.recorder.told(arrival(UnixMs(now.0 + n as i64), class)).await;
        }
        running.recorder.flush().await;
        let before = running.board.check(&id()).unwrap().state;
        assert_eq!((before.counts.pass, before.counts.fail, before.counts.due()), (2, 3, 5), "nothing was scheduled beside what was told");
        assert_eq!(before.classes.get(&Class::Missing).and_then(|by| by.get(&Attribution::ThirdParty)), Some(&2));
        assert_eq!(before.consecutive_failures, 1);
        let stored = Reader::open(&dir.path().join("soakwatch.db")).unwrap().runs(&id(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
        let outcomes: Vec<_> = stored.iter().map(|r| (r.outcome, r.class)).collect();
        use Outcome::{Fail, Pass};
        let expected =
            [(Pass, None), (Fail, Some(Class::Missing)), (Fail, Some(Class::Missing)), (Pass, None), (Fail, Some(Class::Signature))];
        assert_eq!(outcomes, expected);
        running.stop().await.unwrap();

        // A restart brings it back as any other check, and invents no gap: nothing was due by a schedule.
        let running = start(dir.path()).await;
        let after = running.board.check(&id()).unwrap().state;
        assert_eq!(after, before);
        running.stop().await.unwrap();
    }
}
