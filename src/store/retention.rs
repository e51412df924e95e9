//! Deleting what is too old, in small steps, so that no commit waits for it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::failures::KEPT;
use super::writer::transact;
use super::{Store, StoreError, rows};
use crate::clock::UnixMs;
use crate::fields::Span;

/// Runs that something is still judged by: of checks, by their keys, what lies at or after a time. They stay whatever their age.
pub type Pinned = HashMap<u64, UnixMs>;

/// Looking at a check costs this many of the budget's rows, also when there is nothing to delete.
const LOOK: usize = 4;

impl Store {
    /// Deletes runs and failures older than `keep_runs`, but for the runs that are `pinned`, and sums older than `keep_hours`, of failures also all but the newest 1,000 of a check,
    /// and the names of checks of which nothing is left. Goes on where the last call stopped, around all checks; looks at or deletes
    /// about `budget_rows` rows (500 take about 5 ms). Gives the number of rows deleted.
    pub fn retain(
        &mut self,
        now: UnixMs,
        keep_runs: Span,
        keep_hours: Span,
        pinned: &Pinned,
        budget_rows: usize,
    ) -> Result<usize, StoreError> {
        self.settle()?;
        let oldest_run = now.minus(keep_runs.0);
        let oldest_sum = now.minus(keep_hours.0).hour();
        let (mut at, mut gone) = (self.tidied, Vec::new());
        let memory = &self.memory;
        let deleted = transact(&mut self.conn, &mut self.doubt, |tx| {
            let (mut deleted, mut budget) = (0, budget_rows);
            while budget > 0 {
                let sql = "SELECT key FROM check_name WHERE key > ?1 ORDER BY key LIMIT 1";
                let Some(signed) = tx.prepare_cached(sql)?.query_row([at], |row| row.get::<_, i64>(0)).optional()? else {
                    at = i64::MIN;
                    break;
                };
                let key = signed as u64;
                let before = pinned.get(&key).map_or(oldest_run, |from| oldest_run.min(*from));
                let mut here = old_hours(tx, "segment", key, before.hour(), budget)?;
                here += old_hours(tx, "hour_sum", key, oldest_sum, budget.saturating_sub(here))?;
                here += old_failures(tx, key, oldest_run, budget.saturating_sub(here))?;
                deleted += here;
                budget = budget.saturating_sub(here + LOOK);
                if budget > 0 {
                    let idle = memory.entries.get(&key).is_none_or(|e| !e.has_state && e.open.is_empty());
                    if idle && nothing_left(tx, key)? {
                        tx.prepare_cached("DELETE FROM check_state WHERE key = ?1")?.execute([signed])?;
                        deleted += tx.prepare_cached("DELETE FROM check_name WHERE key = ?1")?.execute([signed])?;
                        gone.push(key);
                    }
                    at = signed;
                }
            }
            Ok(deleted)
        })?;
        self.tidied = at;
        gone.into_iter().for_each(|key| self.memory.remove(key));
        Ok(deleted)
    }
}

/// Deletes at most `budget` rows of a check before an hour, the oldest first.
fn old_hours(conn: &Connection, table: &'static str, key: u64, before: i64, budget: usize) -> Result<usize, StoreError> {
    let sql = format!(
        "DELETE FROM {table} WHERE key = ?1 AND vantage = ?2 AND hour IN
         (SELECT hour FROM {table} WHERE key = ?1 AND vantage = ?2 AND hour < ?3 ORDER BY hour LIMIT ?4)"
    );
    let mut deleted = 0;
    for vantage in rows::vantages(conn, table, key)? {
        deleted += conn.prepare_cached(&sql)?.execute(params![key as i64, vantage, before, (budget.saturating_sub(deleted)) as i64])?;
    }
    Ok(deleted)
}

/// Deletes at most `budget` failures of a check that ended before a time or are not among its newest. What still goes on stays.
fn old_failures(conn: &Connection, key: u64, before: UnixMs, budget: usize) -> Result<usize, StoreError> {
    let sql = "DELETE FROM failure WHERE id IN (SELECT id FROM failure WHERE key = ?1 AND NOT open AND (last_slot < ?2 OR id <=
               (SELECT id FROM failure WHERE key = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3)) ORDER BY id LIMIT ?4)";
    Ok(conn.prepare_cached(sql)?.execute(params![key as i64, before.0, KEPT as i64, budget as i64])?)
}

fn nothing_left(conn: &Connection, key: u64) -> Result<bool, StoreError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM segment WHERE key = ?1) AND NOT EXISTS (SELECT 1 FROM hour_sum WHERE key = ?1)
               AND NOT EXISTS (SELECT 1 FROM failure WHERE key = ?1)";
    Ok(conn.prepare_cached(sql)?.query_row([key as i64], |row| row.get(0))?)
}
