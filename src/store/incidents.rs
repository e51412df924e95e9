//! Incidents on disk: one row each, written whole; writing one twice changes nothing.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::rows::is_damage;
use super::writer::transact;
use super::{Reader, Store, StoreError};
use crate::clock::UnixMs;
use crate::fields::{IntegrationId, Span};
use crate::incident::Incident;

impl Store {
    /// Writes incidents in one transaction.
    pub fn write_incidents<'i>(&mut self, incidents: impl IntoIterator<Item = &'i Incident>) -> Result<(), StoreError> {
        let mut incidents = incidents.into_iter().peekable();
        if incidents.peek().is_none() {
            return Ok(());
        }
        self.settle()?;
        transact(&mut self.conn, &mut self.doubt, |tx| {
            for i in incidents {
                let body = serde_json::to_string(i).map_err(|e| StoreError::Corrupt(format!("an incident can't be written ({e})")))?;
                let sql = "INSERT INTO incident (id, integration, first_bad, closed, body) VALUES (?1, ?2, ?3, ?4, ?5)
                           ON CONFLICT (id) DO UPDATE SET first_bad = excluded.first_bad, closed = excluded.closed, body = excluded.body";
                let closed = i.closed.map(|c| c.0);
                tx.prepare_cached(sql)?.execute(params![i.id, i.integration.to_string(), i.first_bad.0, closed, body])?;
            }
            Ok(())
        })
    }

    /// All that are open, and of each integration the newest `most`, oldest first. What can't be read is left out; how many there are is told.
    pub fn recent_incidents(&mut self, most: usize) -> Result<(Vec<Incident>, u64), StoreError> {
        self.settle()?;
        let Some(conn) = &self.conn else { return Ok((Vec::new(), 0)) };
        let sql = "SELECT body FROM (SELECT body, first_bad, closed, row_number() OVER (PARTITION BY integration ORDER BY first_bad DESC) AS place
                   FROM incident) WHERE closed IS NULL OR place <= ?1 ORDER BY first_bad";
        let mut damaged = 0;
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([most as i64])?;
        let mut found = Vec::new();
        loop {
            match rows.next().map_err(StoreError::from).and_then(|row| row.map(incident).transpose()) {
                Ok(Some(i)) => found.push(i),
                Ok(None) => break,
                Err(StoreError::Corrupt(_)) => damaged += 1,
                // A damaged page ends the query.
                Err(e) if is_damage(&e) => {
                    damaged += 1;
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        Ok((found, damaged))
    }

    /// Deletes incidents that closed longer ago than `keep`, at most so many.
    pub fn retain_incidents(&mut self, now: UnixMs, keep: Span, most: usize) -> Result<usize, StoreError> {
        self.settle()?;
        let before = now.minus(keep.0);
        transact(&mut self.conn, &mut self.doubt, |tx| {
            let sql = "DELETE FROM incident WHERE id IN (SELECT id FROM incident WHERE closed < ?1 ORDER BY closed LIMIT ?2)";
            Ok(tx.prepare_cached(sql)?.execute(params![before.0, most as i64])?)
        })
    }
}

impl Reader {
    /// Every incident, oldest first.
    pub fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        read(&self.conn, "", &[])
    }

    /// One incident.
    pub fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT body FROM incident WHERE id = ?1")?;
        statement.query_row([id], |row| Ok(incident(row))).optional()?.transpose()
    }

    /// Those of an integration that went on at some time of a span (the end is not part of it), oldest first.
    pub fn incidents_of(&self, integration: &IntegrationId, from: UnixMs, until: UnixMs) -> Result<Vec<Incident>, StoreError> {
        let of = integration.to_string();
        let given: [&dyn ToSql; 3] = [&of, &until.0, &from.0];
        read(&self.conn, "WHERE integration = ?1 AND first_bad < ?2 AND (closed IS NULL OR closed >= ?3)", &given)
    }
}

fn read(conn: &Connection, which: &str, given: &[&dyn ToSql]) -> Result<Vec<Incident>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("SELECT body FROM incident {which} ORDER BY first_bad, id"))?;
    let mut rows = statement.query(given)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(incident(row)?);
    }
    Ok(found)
}

fn incident(row: &Row<'_>) -> Result<Incident, StoreError> {
    let body: String = row.get(0)?;
    serde_json::from_str(&body).map_err(|e| StoreError::Corrupt(format!("an incident can't be read ({e})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Incident, Severity};
    use crate::outcome::{Attribution, Class, Criticality, Owner, Phase};

    fn made(integration: &str, first_bad: i64, closed: Option<i64>) -> Incident {
        let integration: IntegrationId = integration.parse().unwrap();
        Incident {
            id: Incident::id_for(&integration, UnixMs(first_bad)),
            integration,
            first_bad: UnixMs(first_bad),
            opened: UnixMs(first_bad + 2),
            closed: closed.map(UnixMs),
            severity: Severity::P2,
            class: Class::Timeout,
            attribution: Attribution::ThirdParty,
            owner: Owner::Vendor,
            criticality: Criticality::Critical,
            phase: Phase::Soak,
            checks: Vec::new(),
            since_again: Vec::new(),
            classes: vec![(Class::Timeout, Attribution::ThirdParty, 3)],
            reopened: 0,
            acknowledged: None,
            reclassified: None,
            before: Vec::new(),
            runs: Vec::new(),
            timeline: Vec::new(),
        }
    }

    #[test]
    fn an_incident_is_kept_replaced_found_and_deleted_when_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut store = Store::open(&path).unwrap();
        let crm = |at: i64, closed| made("a/b/crm", at, closed);
        let all = [crm(100, Some(200)), crm(300, None), crm(500, Some(600)), made("a/b/erp", 400, Some(450))];
        store.write_incidents(&all).unwrap();
        store.write_incidents(&[crm(500, None), crm(500, Some(700))]).unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.incident(&all[0].id).unwrap().as_ref(), Some(&all[0]));
        assert_eq!((reader.incident("x").unwrap(), reader.incidents().unwrap().len()), (None, 4));
        let of = |from, until| {
            let found = reader.incidents_of(&"a/b/crm".parse().unwrap(), UnixMs(from), UnixMs(until)).unwrap();
            found.iter().map(|i| i.first_bad.0).collect::<Vec<_>>()
        };
        assert_eq!([of(0, 100), of(0, 101), of(250, 260), of(200, 501)], [vec![], vec![100], vec![], vec![100, 300, 500]]);
        let (recent, damaged) = store.recent_incidents(1).unwrap();
        assert_eq!((recent.iter().map(|i| i.first_bad.0).collect::<Vec<_>>(), damaged), (vec![300, 400, 500], 0));
        assert_eq!(store.retain_incidents(UnixMs(1_500), Span(std::time::Duration::from_secs(1)), 10).unwrap(), 2);
        assert_eq!(reader.incidents().unwrap().iter().map(|i| i.first_bad.0).collect::<Vec<_>>(), [300, 500]);
    }

    #[test]
    fn a_file_without_incidents_gets_a_place_for_them_and_a_damaged_one_costs_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        drop(Store::open(&path).unwrap());
        let older = Connection::open(&path).unwrap();
        older.execute_batch("DROP TABLE incident; PRAGMA user_version = 2;").unwrap();
        drop(older);
        let mut store = Store::open(&path).unwrap();
        store.write_incidents(&[made("a/b/crm", 1, None), made("a/b/erp", 2, None)]).unwrap();
        Connection::open(&path).unwrap().execute_batch("UPDATE incident SET body = '{' WHERE first_bad = 1").unwrap();
        let (found, damaged) = store.recent_incidents(50).unwrap();
        assert_eq!((found.len(), damaged), (1, 1));
        assert!(Reader::open(&path).unwrap().incidents().is_err());
    }
}
