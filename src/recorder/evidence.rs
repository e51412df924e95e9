//! Evidence on its way to the store: in order with the outcomes, never twice, and bounded while the store can't be written.

use tokio::sync::oneshot;

use super::Recorder;
use super::writer::After;
use crate::clock::UnixMs;
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Kind, Link, Scope};
use crate::store::Store;

/// So many records wait while the store can't be written; of more only the number is kept.
const WAITING: usize = 10_000;

/// Where a record stands, or why it does not.
pub type Durable = Result<Link, String>;

/// A record to append.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) entry: Entry,
    /// Who waits to hear that it is durable. What can't be said to them now is not said later: they were told so, and will ask again.
    pub(super) answer: Option<oneshot::Sender<Durable>>,
}

/// What was appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    pub(super) records: u64,
    /// The newest one's time.
    pub(super) at: UnixMs,
}

impl Recorder {
    /// While the store fails, who waits is told at once, and of others so many are kept as there is room for.
    pub(super) fn say(&mut self, saying: Saying) {
        if self.store_fails && saying.answer.is_some() {
            refuse(&mut vec![After::Evidence(saying)], "the store can't be written");
        } else if self.after.len() >= WAITING {
            self.left_out += 1;
        } else {
            self.urgent |= saying.answer.is_some();
            self.follow_up(After::Evidence(saying));
        }
    }

    /// The last record: everything before it is written.
    pub(super) fn say_goodbye(&mut self) {
        let entry = Entry::new(self.clock.now(), Kind::DaemonStopped, Scope::daemon(), DAEMON, serde_json::Value::Null);
        self.follow_up(After::Evidence(Saying { entry, answer: None }));
    }

    /// Evidence was appended: it is counted, and what did not fit meanwhile is said.
    pub(super) fn evidence_said(&mut self, appended: &[Appended]) {
        appended.iter().for_each(|a| self.own.evidence_appended(a.records, a.at));
        if self.left_out > 0 {
            let entry = left_out(self.clock.now(), std::mem::take(&mut self.left_out));
            self.follow_up(After::Evidence(Saying { entry, answer: None }));
        }
    }
}

/// The record of records that are not there.
fn left_out(at: UnixMs, records: u64) -> Entry {
    let body = serde_json::json!({ "what": "records could not be kept while the store could not be written", "records": records });
    Entry::new(at, Kind::Damage, Scope::daemon(), DAEMON, body)
}

/// Appends the records that `what` begins with and takes them out. After an error they stay, but for those somebody waits for.
pub(super) fn append(store: &mut Store, what: &mut Vec<After>) -> Result<Option<Appended>, String> {
    let entries: Vec<Entry> = what.iter().map_while(|a| if let After::Evidence(s) = a { Some(s.entry.clone()) } else { None }).collect();
    let Some(at) = entries.last().map(|e| e.at) else { return Ok(None) };
    // Once more at once: after some errors only a fresh connection tells whether the records are in the file.
    match store.append_evidence(&entries).or_else(|_| store.append_evidence(&entries)) {
        Ok(links) => {
            for (after, link) in what.drain(..entries.len()).zip(links) {
                if let After::Evidence(Saying { answer: Some(answer), .. }) = after {
                    let _ = answer.send(Ok(link));
                }
            }
            Ok(Some(Appended { records: entries.len() as u64, at }))
        }
        Err(e) => {
            let why = e.to_string();
            refuse(what, &why);
            Err(why)
        }
    }
}

/// Tells those who wait that it was not done, and takes their records out.
pub(super) fn refuse(what: &mut Vec<After>, why: &str) {
    let waited_for = |a: &mut After| matches!(a, After::Evidence(Saying { answer: Some(_), .. }));
    for after in what.extract_if(.., waited_for) {
        if let After::Evidence(Saying { answer: Some(answer), .. }) = after {
            let _ = answer.send(Err(why.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Event;
    use crate::recorder::tests::{Bench, START, ran};
    use crate::store::Reader;

    fn entry(n: i64) -> Entry {
        Entry::new(UnixMs(START.0 + n), Kind::Verdict, Scope::daemon(), "x", serde_json::json!({ "n": n }))
    }

    fn says(bench: &mut Bench, n: i64) -> oneshot::Receiver<Durable> {
        let (answer, done) = oneshot::channel();
        bench.recorder.take(Event::Evidence(Box::new(Saying { entry: entry(n), answer: Some(answer) })));
        done
    }

    fn stored(bench: &Bench) -> Vec<(String, Option<i64>)> {
        let log = Reader::open(&bench.store()).unwrap().evidence("", "", UnixMs(i64::MAX)).unwrap();
        log.into_iter().filter_map(|l| l.record).map(|r| (r.kind, r.body.get("n").and_then(serde_json::Value::as_i64))).collect()
    }

    #[tokio::test]
    async fn who_waits_hears_that_it_is_durable_or_that_it_never_will_be() {
        let mut bench = Bench::new("");
        let first = says(&mut bench, 1);
        assert!(bench.recorder.urgent);
        bench.commit(|_| ()).await;
        assert_eq!(first.await.unwrap().unwrap().seq, 1);

        let lock = bench.lock();
        bench.takes(ran(1, None));
        bench.recorder.take(Event::Evidence(Box::new(Saying { entry: entry(2), answer: None })));
        let refused = says(&mut bench, 3);
        bench.commit(|_| ()).await;
        assert!(refused.await.unwrap().unwrap_err().contains("locked"));
        assert!(says(&mut bench, 4).await.unwrap().is_err(), "while the store fails it is said at once");
        drop(lock);
        bench.commit(|_| ()).await;
        assert!(bench.recorder.after.is_empty());
        let verdict = |n| ("verdict".to_owned(), Some(n));
        assert_eq!(stored(&bench), [verdict(1), verdict(2)]);
    }

    #[tokio::test]
    async fn what_does_not_fit_while_the_store_fails_leaves_its_number() {
        let mut bench = Bench::new("");
        bench.recorder.store_fails = true;
        for n in 0..WAITING as i64 + 3 {
            bench.recorder.take(Event::Evidence(Box::new(Saying { entry: entry(n), answer: None })));
        }
        bench.commit(|_| ()).await;
        bench.commit(|_| ()).await;
        let log = stored(&bench);
        assert_eq!((log.len(), log[WAITING].0.as_str()), (WAITING + 1, "damage"));
    }

    #[tokio::test]
    async fn the_last_record_is_the_goodbye() {
        let Bench { recorder, handle, dir, _config, _verdict } = Bench::new("");
        let running = tokio::spawn(recorder.run());
        handle.evidence(entry(1)).await;
        drop(handle);
        running.await.unwrap().unwrap();
        let log = Reader::open(&dir.path().join("runs.db")).unwrap().evidence("", "", UnixMs(i64::MAX)).unwrap();
        let kinds: Vec<String> = log.into_iter().filter_map(|l| l.record).map(|r| r.kind).collect();
        assert_eq!(kinds, ["verdict", "daemon_stopped"]);
    }
}
