//! The evidence log in the store: appended to by the one writer, never changed, never deleted, not by retention either (docs/evidence.md).
//!
//! Owns the table and its order. What a record says and how it is chained is `crate::evidence`'s.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde_json::{Map, Value};

use super::writer::transact;
use super::{Reader, Store, StoreError, rows};
use crate::clock::UnixMs;
use crate::evidence::{Break, Checked, Entry, Hash, Link, Recorded, canonical, chain, time_text};

const COLUMNS: &str = "seq, at, kind, customer, environment, integration, actor, body, record_hash, chain_hash";

/// Up to where the log is accounted for. Rows after it are of an append that was reported as failed and went through after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    seq: u64,
    chain: Hash,
}

/// A place in the log, and the record itself where it concerns who asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// The place.
    pub link: Link,
    /// The record; `None`: somebody else's. Boxed: most of them are, and take no room.
    pub record: Option<Box<Recorded>>,
}

impl Store {
    /// Appends entries in one transaction and gives their places. After an error the same may be tried again: what went through all the same is
    /// not appended twice.
    pub fn append_evidence(&mut self, entries: &[Entry]) -> Result<Vec<Link>, StoreError> {
        self.settle()?;
        let known = self.evidence;
        let (links, head) = transact(&mut self.conn, &mut self.doubt, |tx| {
            let head = match known {
                Some(head) => head,
                None => last(tx)?,
            };
            append(tx, head, entries)
        })?;
        self.evidence = Some(head);
        Ok(links)
    }

    /// Reads the whole log, in order, and checks it.
    pub fn read_evidence(&mut self, each: &mut dyn FnMut(&Recorded)) -> Result<Checked, StoreError> {
        self.settle()?;
        match &self.conn {
            Some(conn) => check(conn, Checked::default(), each),
            None => Ok(Checked::default()),
        }
    }
}

impl Reader {
    /// Checks the log from where `before` left off, or whole (`Checked::default()`). What was found before is not found again.
    pub fn check_evidence(&self, before: Checked) -> Result<Checked, StoreError> {
        let moment = self.conn.unchecked_transaction()?;
        check(&moment, before, &mut |_| {})
    }

    /// The log as it was at a time: every place, and the records that concern a customer's environment.
    pub fn evidence(&self, customer: &str, environment: &str, as_of: UnixMs) -> Result<Vec<Logged>, StoreError> {
        let moment = self.conn.unchecked_transaction()?;
        // By number, not by time: a clock that was set back hides nothing that was recorded before.
        let last: Option<i64> = moment.query_row("SELECT max(seq) FROM evidence WHERE at <= ?1", [as_of.0], |row| row.get(0))?;
        let sql = format!("SELECT {COLUMNS} FROM evidence WHERE seq <= ?1 ORDER BY seq");
        let mut statement = moment.prepare_cached(&sql)?;
        let mut rows = statement.query([last.unwrap_or(0)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let link = link(row)?;
            let whose = |column: usize, asked: &str| {
                Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?.is_none_or(|mine| mine == asked))
            };
            let mine = whose(3, customer)? && whose(4, environment)?;
            found.push(Logged { link, record: if mine { Some(Box::new(recorded(row)?)) } else { None } });
        }
        Ok(found)
    }
}

/// Where the log ends.
fn last(conn: &Connection) -> Result<Head, StoreError> {
    let sql = "SELECT seq, chain_hash FROM evidence ORDER BY seq DESC LIMIT 1";
    let found = conn.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    // A number is never used again, and a damaged hash does not end the log: the check names the place.
    let ever = ever(conn)?;
    let Some((seq, chain)) = found else { return Ok(Head { seq: ever, chain: chain::genesis() }) };
    Ok(Head { seq: number(seq).max(ever), chain: Hash::from_slice(&chain).unwrap_or(Hash([0; 32])) })
}

/// The highest number there ever was.
fn ever(conn: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'evidence'";
    Ok(number(conn.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0)))
}

fn append(tx: &Transaction<'_>, mut head: Head, entries: &[Entry]) -> Result<(Vec<Link>, Head), StoreError> {
    let mut there = links_after(tx, head.seq)?.into_iter().peekable();
    let mut links = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = |head: Head| {
            let recorded = entry.numbered(head.seq + 1);
            let record = recorded.hash().ok_or_else(|| StoreError::Corrupt("a record can't be written as JSON".to_owned()))?;
            Ok::<_, StoreError>((Link { seq: recorded.seq, record, chain: chain::follow(head.chain, record) }, recorded))
        };
        let (mut link, mut recorded) = place(head)?;
        if there.next_if_eq(&link).is_none() {
            // What is there is something else: it stays, and this comes after it.
            if let Some(other) = there.by_ref().last() {
                head = Head { seq: other.seq, chain: other.chain };
                (link, recorded) = place(head)?;
            }
            insert(tx, entry.at, &recorded, link)?;
        }
        head = Head { seq: link.seq, chain: link.chain };
        links.push(link);
    }
    Ok((links, head))
}

fn insert(tx: &Transaction<'_>, at: UnixMs, r: &Recorded, link: Link) -> Result<(), StoreError> {
    let body = canonical(&r.body).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let sql = format!("INSERT INTO evidence ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    let (seq, record, chain) = (link.seq as i64, &link.record.0[..], &link.chain.0[..]);
    let values = params![seq, at.0, r.kind, r.customer, r.environment, r.integration, r.actor, body, record, chain];
    tx.prepare_cached(&sql)?.execute(values)?;
    Ok(())
}

/// The places after a number; none, but for an append in doubt.
fn links_after(conn: &Connection, seq: u64) -> Result<Vec<Link>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT seq, 0, 0, 0, 0, 0, 0, 0, record_hash, chain_hash FROM evidence WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([seq as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(link(row)?);
    }
    Ok(found)
}

/// Goes on from what is checked: the record there must still be the one it was.
pub(super) fn check(conn: &Connection, before: Checked, each: &mut dyn FnMut(&Recorded)) -> Result<Checked, StoreError> {
    let mut checked = before;
    if checked.seq > 0 {
        let sql = "SELECT chain_hash FROM evidence WHERE seq = ?1";
        let there: Option<Vec<u8>> = conn.prepare_cached(sql)?.query_row([checked.seq as i64], |row| row.get(0)).optional()?;
        match there {
            None => checked.found(Break::Missing { from: checked.seq, to: checked.seq }),
            Some(chain) if chain == checked.head.0 => {}
            Some(_) => checked.found(Break::Unlinked(checked.seq)),
        }
    }
    let sql = format!("SELECT {COLUMNS} FROM evidence WHERE seq > ?1 ORDER BY seq");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([checked.seq as i64])?;
    loop {
        let row = match rows.next().map_err(StoreError::from) {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(e) if rows::is_damage(&e) => {
                checked.unreadable(checked.seq + 1, e.to_string());
                return Ok(checked);
            }
            Err(e) => return Err(e),
        };
        let seq = number(row.get(0)?);
        match link(row) {
            Err(e) => checked.unreadable(seq, e.to_string()),
            Ok(link) => match recorded(row) {
                Ok(record) => {
                    checked.next(link, Some(&record));
                    each(&record);
                }
                Err(e) => {
                    checked.found(Break::Unreadable { seq, why: e.to_string() });
                    checked.next(link, None);
                }
            },
        }
    }
    // The end can't be lost without a trace.
    checked.up_to(ever(conn)?);
    Ok(checked)
}

fn number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

fn link(row: &Row<'_>) -> Result<Link, StoreError> {
    let hash = |column: usize| {
        let bytes = row.get_ref(column)?.as_blob().unwrap_or_default();
        Hash::from_slice(bytes).ok_or_else(|| StoreError::Corrupt("its hash is no hash".to_owned()))
    };
    Ok(Link { seq: number(row.get(0)?), record: hash(8)?, chain: hash(9)? })
}

fn recorded(row: &Row<'_>) -> Result<Recorded, StoreError> {
    let text: String = row.get(7)?;
    let body: Map<String, Value> = serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("its body is not JSON".to_owned()))?;
    if canonical(&body).ok().as_deref() != Some(text.as_bytes()) {
        return Err(StoreError::Corrupt("its body is not as it was written".to_owned()));
    }
    Ok(Recorded {
        seq: number(row.get(0)?),
        at: time_text(UnixMs(row.get(1)?)),
        kind: row.get(2)?,
        customer: row.get(3)?,
        environment: row.get(4)?,
        integration: row.get(5)?,
        actor: row.get(6)?,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Kind, Scope};
    use serde_json::json;

    fn entry(n: i64, customer: &str) -> Entry {
        Entry::new(UnixMs(n * 1_000), Kind::Verdict, Scope::environment(customer, "production"), "soakwatch", json!({ "n": n }))
    }

    fn opened() -> (tempfile::TempDir, std::path::PathBuf, Store) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let store = Store::open(&path).unwrap();
        (dir, path, store)
    }

    /// Changes the file behind the program's back.
    fn tamper(path: &std::path::Path, sql: &str) {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch("DROP TRIGGER IF EXISTS evidence_is_never_changed; DROP TRIGGER IF EXISTS evidence_is_never_deleted;").unwrap();
        conn.execute_batch(sql).unwrap();
    }

    fn seen(store: &mut Store) -> (Vec<i64>, Checked) {
        let mut numbers = Vec::new();
        let checked = store.read_evidence(&mut |r| numbers.push(r.body["n"].as_i64().unwrap())).unwrap();
        (numbers, checked)
    }

    #[test]
    fn records_are_kept_in_order_over_a_restart() {
        let (_dir, path, mut store) = opened();
        assert_eq!(seen(&mut store), (Vec::new(), Checked::default()));
        store.append_evidence(&[entry(1, "acme"), entry(2, "zeta")]).unwrap();
        drop(store);
        let mut store = Store::open(&path).unwrap();
        let links = store.append_evidence(&[entry(3, "acme")]).unwrap();
        let (numbers, checked) = seen(&mut store);
        assert_eq!((numbers, checked.whole(), checked.seq, checked.head), (vec![1, 2, 3], true, 3, links[0].chain));

        let reader = Reader::open(&path).unwrap();
        let log = reader.evidence("acme", "production", UnixMs(2_500)).unwrap();
        assert_eq!(log.iter().map(|l| (l.link.seq, l.record.is_some())).collect::<Vec<_>>(), [(1, true), (2, false)]);
        assert_eq!(log[0].record.as_deref(), Some(&entry(1, "acme").numbered(1)));
        assert_eq!(reader.evidence("acme", "staging", UnixMs(9_000)).unwrap().iter().filter(|l| l.record.is_some()).count(), 0);
    }

    #[test]
    fn an_append_that_went_through_unnoticed_is_not_done_twice() {
        let (_dir, path, mut store) = opened();
        store.append_evidence(&[entry(1, "acme")]).unwrap();
        let before = store.evidence;
        store.append_evidence(&[entry(2, "acme"), entry(3, "acme")]).unwrap();
        // As after a commit whose answer was lost: the file has it, memory does not.
        (store.evidence, store.doubt) = (before, true);
        store.append_evidence(&[entry(2, "acme")]).unwrap();
        store.append_evidence(&[entry(3, "acme"), entry(4, "acme")]).unwrap();
        assert_eq!(seen(&mut store).0, [1, 2, 3, 4]);
        // And when something else is to be appended, what is there stays.
        (store.evidence, store.doubt) = (before, true);
        store.append_evidence(&[entry(5, "acme")]).unwrap();
        let (numbers, checked) = seen(&mut store);
        assert_eq!((numbers, checked.whole()), (vec![1, 2, 3, 4, 5], true));
        drop(store);
        assert!(Reader::open(&path).unwrap().check_evidence(Checked::default()).unwrap().whole());
    }

    #[test]
    fn what_was_changed_behind_our_back_is_named() {
        for (sql, breaks) in [
            ("UPDATE evidence SET actor = 'x' WHERE seq = 2", vec![Break::Changed(2)]),
            ("UPDATE evidence SET at = 7 WHERE seq = 2", vec![Break::Changed(2)]),
            ("UPDATE evidence SET customer = NULL WHERE seq = 2", vec![Break::Changed(2)]),
            ("UPDATE evidence SET chain_hash = zeroblob(32) WHERE seq = 2", vec![Break::Unlinked(2), Break::Unlinked(3)]),
            ("DELETE FROM evidence WHERE seq = 2", vec![Break::Missing { from: 2, to: 2 }, Break::Unlinked(3)]),
            ("DELETE FROM evidence WHERE seq > 2", vec![Break::Missing { from: 3, to: 4 }]),
        ] {
            let (_dir, path, mut store) = opened();
            store.append_evidence(&[1, 2, 3, 4].map(|n| entry(n, "acme"))).unwrap();
            tamper(&path, sql);
            assert_eq!(seen(&mut store).1.breaks, breaks, "{sql}");
            // The log goes on after it, and stays broken where it was.
            store.append_evidence(&[entry(5, "acme")]).unwrap();
            assert_eq!(seen(&mut store).1.breaks[0], breaks[0], "{sql}");
            drop(store);
            let mut store = Store::open(&path).unwrap();
            store.append_evidence(&[entry(6, "acme")]).unwrap();
            assert_eq!(seen(&mut store).1.breaks[0], breaks[0], "{sql}");
        }
        for (sql, word) in [
            ("UPDATE evidence SET body = '{ \"n\": 2}' WHERE seq = 2", "not as it was written"),
            ("UPDATE evidence SET body = 'x' WHERE seq = 2", "not JSON"),
            ("UPDATE evidence SET record_hash = x'00' WHERE seq = 2", "no hash"),
        ] {
            let (_dir, path, mut store) = opened();
            store.append_evidence(&[1, 2, 3].map(|n| entry(n, "acme"))).unwrap();
            tamper(&path, sql);
            let found = seen(&mut store).1.breaks;
            assert!(matches!(&found[0], Break::Unreadable { seq: 2, why } if why.contains(word)), "{sql}: {found:?}");
        }
    }

    #[test]
    fn a_check_goes_on_where_the_last_one_ended() {
        let (_dir, path, mut store) = opened();
        store.append_evidence(&[1, 2, 3].map(|n| entry(n, "acme"))).unwrap();
        let reader = Reader::open(&path).unwrap();
        let checked = reader.check_evidence(Checked::default()).unwrap();
        store.append_evidence(&[entry(4, "acme")]).unwrap();
        let further = reader.check_evidence(checked).unwrap();
        assert_eq!((further.seq, further.whole()), (4, true));
        // A log that was written anew, whole in itself, is not the one that was checked.
        tamper(&path, "UPDATE evidence SET chain_hash = zeroblob(32) WHERE seq = 4");
        assert_eq!(reader.check_evidence(further.clone()).unwrap().breaks, [Break::Unlinked(4)]);
        tamper(&path, "DELETE FROM evidence; DELETE FROM sqlite_sequence WHERE name = 'evidence'");
        assert_eq!(reader.check_evidence(further).unwrap().breaks, [Break::Missing { from: 4, to: 4 }]);
    }

    #[test]
    fn the_file_itself_refuses_changes() {
        let (_dir, path, mut store) = opened();
        store.append_evidence(&[entry(1, "acme")]).unwrap();
        let conn = Connection::open(&path).unwrap();
        for sql in ["UPDATE evidence SET actor = 'x'", "DELETE FROM evidence"] {
            assert!(conn.execute_batch(sql).unwrap_err().to_string().contains("evidence is only added to"), "{sql}");
        }
    }
}
