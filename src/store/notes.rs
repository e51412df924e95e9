//! Notes: what must survive a restart and is no run. Small texts by kind and id, written whole; writing one twice changes nothing.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::writer::transact;
use super::{Reader, Store, StoreError, rows};

/// A note to write; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about, such as `schedule`.
    pub kind: &'static str,
    /// Whose it is.
    pub id: String,
    /// JSON.
    pub text: Option<String>,
}

impl Store {
    /// Writes notes in one transaction.
    pub fn write_notes(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        self.settle()?;
        transact(&mut self.conn, &mut self.doubt, |tx| {
            for note in notes {
                match &note.text {
                    Some(text) => tx
                        .prepare_cached("INSERT INTO note (kind, id, text) VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO UPDATE SET text = excluded.text")?
                        .execute(params![note.kind, note.id, text])?,
                    None => tx.prepare_cached("DELETE FROM note WHERE kind = ?1 AND id = ?2")?.execute(params![note.kind, note.id])?,
                };
            }
            Ok(())
        })
    }

    /// All notes of a kind, by id. What is damaged is left out, and told by [`Store::damaged`].
    pub fn notes(&mut self, kind: &str) -> Result<BTreeMap<String, String>, StoreError> {
        self.settle()?;
        let mut found = BTreeMap::new();
        let Some(conn) = &self.conn else { return Ok(found) };
        rows::each(conn, NOTES, [kind], &format!("a note ({kind})"), &mut self.damaged, &mut |row| {
            found.insert(row.get(0)?, row.get(1)?);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Reader {
    /// All notes of a kind, by id.
    pub fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreError> {
        read(&self.conn, kind)
    }
}

const NOTES: &str = "SELECT id, text FROM note WHERE kind = ?1";

fn read(conn: &Connection, kind: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let mut statement = conn.prepare_cached(NOTES)?;
    let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let note = |id: &str, text: Option<&str>| Note { kind: "schedule", id: id.into(), text: text.map(str::to_owned) };
        let mut store = Store::open(&path).unwrap();
        store.write_notes(&[note("a", Some("1")), note("b", Some("2")), Note { kind: "other", ..note("c", Some("3")) }]).unwrap();
        store.write_notes(&[note("a", Some("4")), note("b", None)]).unwrap();
        drop(store);
        let notes = Store::open(&path).unwrap().notes("schedule").unwrap();
        assert_eq!(notes.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "4".to_owned())]);
    }
}
