//! Failure rows: what went wrong, when, how often, in words. One row stands for all repetitions of the same failure until the check passes; slots that
//! were skipped with a word of why are kept in the same way, until slots are skipped with another word.
//!
//! A fold over records, in memory; written to the file when the check is sealed. Until then the journal holds the details, and a reader
//! folds them on top of the rows in the same way.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::Run;
use super::bits::Damage;
use super::{Damaged, StoreError, rows};
use crate::clock::UnixMs;
use crate::outcome::{Attribution, Cause, Class, Outcome};

/// Different failures of one check and place that may go on at the same time; with more, the one seen longest ago counts as over.
const OPEN: usize = 8;
/// So many unwritten rows make a check due for sealing.
const MANY: usize = 16;
/// Rows kept of one check.
pub(super) const KEPT: usize = 1_000;

/// A failure and its repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureRow {
    /// Which place probed.
    pub vantage: u16,
    /// Slot of the first.
    pub first: UnixMs,
    /// Slot of the last.
    pub last: UnixMs,
    /// Slots with this failure.
    pub count: u64,
    /// `fail`, `throttled`, `unknown` or `skipped`.
    pub outcome: Outcome,
    /// What kind it was.
    pub class: Option<Class>,
    /// Why nothing could be judged.
    pub cause: Option<Cause>,
    /// The first triage.
    pub attribution: Option<Attribution>,
    /// For people; redacted.
    pub detail: Option<String>,
}

impl FailureRow {
    /// Whether this row explains a run, or a part of the slots it stands for.
    pub fn covers(&self, vantage: u16, run: &Run) -> bool {
        self.same_result(vantage, run) && self.first <= run.last_slot() && run.slot <= self.last
    }

    /// What these rows say about a run. Where it was told in different words meanwhile, all of them.
    pub fn said(rows: &[Self], run: &Run) -> Option<String> {
        let mut words: Vec<&str> = rows.iter().filter(|f| f.covers(0, run)).filter_map(|f| f.detail.as_deref()).collect();
        words.dedup();
        (!words.is_empty()).then(|| words.join(" | "))
    }

    fn same_result(&self, vantage: u16, run: &Run) -> bool {
        (self.vantage, self.outcome, self.class, self.cause) == (vantage, run.outcome, run.class, run.cause)
    }
}

#[derive(Debug)]
struct Tracked {
    /// Its row in the file, if it has one.
    id: Option<i64>,
    /// May still be repeated.
    open: bool,
    /// Differs from the file.
    changed: bool,
    row: FailureRow,
}

/// A measured number, or what stands for several.
fn is_number(c: char) -> bool {
    c.is_ascii_digit() || c == ANY
}

/// Stands where repetitions of a failure differ in a number: how late an answer was is not another failure each time.
const ANY: char = '…';

/// Cuts a text into numbers and what is between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let number = is_number(rest.chars().next()?);
        let end = rest.find(|c| is_number(c) != number).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// Whether two texts say the same but for their numbers.
fn same_words(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            a == b
                || pieces(a)
                    .map(|p| if p.starts_with(is_number) { "" } else { p })
                    .eq(pieces(b).map(|p| if p.starts_with(is_number) { "" } else { p }))
        }
        (a, b) => a == b,
    }
}

/// What two texts of the same words have in common.
fn common(a: &str, b: &str) -> String {
    pieces(a).zip(pieces(b)).map(|(a, b)| if a == b { a.to_owned() } else { ANY.to_string() }).collect()
}

/// The failures of one check that go on, or are not in the file yet.
#[derive(Debug, Default)]
pub(super) struct Failures {
    list: Vec<Tracked>,
}

impl Failures {
    /// Folds one record in.
    pub(super) fn fold(&mut self, vantage: u16, run: &Run, detail: Option<&str>) {
        match run.outcome {
            Outcome::Pass => {
                // With a widened interval every other run passes, and those between are skipped for one reason all the time.
                for t in self.list.iter_mut().filter(|t| t.open && t.row.vantage == vantage && t.row.outcome != Outcome::Skipped) {
                    (t.open, t.changed) = (false, true);
                }
            }
            Outcome::Fail | Outcome::Throttled | Outcome::Unknown => self.note(vantage, run, detail),
            Outcome::Skipped => {
                // No two rows are about the same slots.
                let other = |t: &&mut Tracked| t.open && t.row.same_result(vantage, run) && !same_words(t.row.detail.as_deref(), detail);
                for t in self.list.iter_mut().filter(other) {
                    (t.open, t.changed) = (false, true);
                }
                if detail.is_some() {
                    self.note(vantage, run, detail);
                }
            }
            Outcome::NotDue => {}
        }
    }

    fn note(&mut self, vantage: u16, run: &Run, detail: Option<&str>) {
        let count = u64::from(run.count);
        let same = |t: &&mut Tracked| t.open && t.row.same_result(vantage, run) && same_words(t.row.detail.as_deref(), detail);
        if let Some(t) = self.list.iter_mut().find(same) {
            if let (Some(old), Some(new)) = (&mut t.row.detail, detail)
                && old != new
            {
                *old = common(old, new);
            }
            t.row.first = t.row.first.min(run.slot);
            t.row.last = t.row.last.max(run.last_slot());
            t.row.count += count;
            t.changed = true;
            return;
        }
        let open = self.list.iter_mut().filter(|t| t.open && t.row.vantage == vantage);
        let (n, oldest) = open.fold((0, None::<&mut Tracked>), |(n, oldest), t| match oldest {
            Some(o) if o.row.last <= t.row.last => (n + 1, Some(o)),
            _ => (n + 1, Some(t)),
        });
        if let Some(over) = oldest.filter(|_| n >= OPEN) {
            (over.open, over.changed) = (false, true);
        }
        let row = FailureRow {
            vantage,
            first: run.slot,
            last: run.last_slot(),
            count,
            outcome: run.outcome,
            class: run.class,
            cause: run.cause,
            attribution: run.attribution,
            detail: detail.map(str::to_owned),
        };
        self.list.push(Tracked { id: None, open: true, changed: true, row });
        // While nothing can be sealed: bounded, the oldest goes first.
        if self.list.len() > KEPT
            && let Some(oldest) = self.list.iter().position(|t| !t.open)
        {
            self.list.remove(oldest);
        }
    }

    /// Whether there are so many rows to write that it should not wait for the hour's end.
    pub(super) fn many(&self) -> bool {
        self.list.len() >= MANY
    }

    /// Writes what changed, all of it as over if the check is `gone`; gives the row of each failure, for [`Failures::written`].
    pub(super) fn write(&self, conn: &Connection, key: u64, gone: bool) -> Result<Vec<Option<i64>>, StoreError> {
        let mut ids = Vec::with_capacity(self.list.len());
        for t in &self.list {
            let (r, open) = (&t.row, t.open && !gone);
            match t.id {
                Some(id) if t.changed || gone => {
                    let sql = "UPDATE failure SET first_slot = ?2, last_slot = ?3, count = ?4, open = ?5, detail = ?6 WHERE id = ?1";
                    conn.prepare_cached(sql)?.execute(params![id, r.first.0, r.last.0, r.count as i64, open, r.detail])?;
                    ids.push(t.id);
                }
                Some(_) => ids.push(t.id),
                None => {
                    let sql =
                        "INSERT INTO failure (key, vantage, first_slot, last_slot, count, outcome, class, cause, attribution, detail, open)
                               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
                    let (class, cause) = (r.class.map(Class::as_str), r.cause.map(Cause::as_str));
                    let attribution = r.attribution.map(Attribution::as_str);
                    let outcome = r.outcome.as_str();
                    let count = r.count as i64;
                    conn.prepare_cached(sql)?.execute(params![
                        key as i64,
                        r.vantage,
                        r.first.0,
                        r.last.0,
                        count,
                        outcome,
                        class,
                        cause,
                        attribution,
                        r.detail,
                        open
                    ])?;
                    ids.push(Some(conn.last_insert_rowid()));
                }
            }
        }
        Ok(ids)
    }

    /// What [`Failures::write`] wrote is in the file for good.
    pub(super) fn written(&mut self, ids: &[Option<i64>]) {
        for (t, id) in self.list.iter_mut().zip(ids) {
            (t.id, t.changed) = (*id, false);
        }
        self.list.retain(|t| t.open);
        self.list.shrink_to_fit();
    }

    /// Takes over a row of the file.
    pub(super) fn adopt(&mut self, id: i64, open: bool, row: FailureRow) {
        self.list.push(Tracked { id: Some(id), open, changed: false, row });
    }

    /// Closes all: the check is gone.
    pub(super) fn close(&mut self) {
        self.list.iter_mut().for_each(|t| t.open = false);
    }

    /// All rows, oldest first.
    pub(super) fn into_rows(self) -> Vec<FailureRow> {
        let mut rows: Vec<FailureRow> = self.list.into_iter().map(|t| t.row).collect();
        rows.sort_by_key(|r| (r.first, r.last));
        rows
    }
}

/// Reads failure rows: of one check, or of all checks the ones that are open.
pub(super) fn read(
    conn: &Connection,
    of: Option<u64>,
    damaged: &mut Damaged,
    each: &mut dyn FnMut(u64, i64, bool, FailureRow),
) -> Result<(), StoreError> {
    const COLUMNS: &str =
        "SELECT id, key, open, vantage, first_slot, last_slot, count, outcome, class, cause, attribution, detail FROM failure";
    let mut take = |row: &Row<'_>| {
        let failure = FailureRow {
            vantage: row.get(3)?,
            first: UnixMs(row.get(4)?),
            last: UnixMs(row.get(5)?),
            count: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            outcome: word(row, 7, Outcome::parse)?.ok_or(Damage("it has no outcome"))?,
            class: word(row, 8, Class::parse)?,
            cause: word(row, 9, Cause::parse)?,
            attribution: word(row, 10, Attribution::parse)?,
            detail: row.get(11)?,
        };
        each(row.get::<_, i64>(1)? as u64, row.get(0)?, row.get(2)?, failure);
        Ok(())
    };
    match of {
        Some(key) => rows::each(conn, &format!("{COLUMNS} WHERE key = ?1 ORDER BY id"), [key as i64], "failure", damaged, &mut take),
        None => rows::each(conn, &format!("{COLUMNS} WHERE open ORDER BY id"), [], "failure", damaged, &mut take),
    }
}

fn word<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|t| parse(&t).ok_or(StoreError::from(Damage("it holds a word this version does not know")))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{failed, passed};

    const ID: &str = "a/b/c/d";

    fn fold(records: &[crate::record::Record]) -> String {
        let mut all = Failures::default();
        for r in records {
            all.fold(r.vantage, &Run::of(r), r.detail.as_deref());
        }
        let line = |r: FailureRow| format!("{}-{} {}x {}", r.first.0, r.last.0, r.count, r.detail.unwrap_or_default());
        all.into_rows().into_iter().map(line).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_same_failure_is_one_row_until_the_check_passes() {
        let dns = |slot| failed(ID, slot, Class::Dns, "no such name");
        let slow = |slot| failed(ID, slot, Class::Slow, "took 3 s");
        // Alternating failures are two rows, not one for each run; a pass ends both.
        let rows = fold(&[dns(10), slow(20), dns(30), slow(40), passed(ID, 50), dns(60)]);
        assert_eq!(rows, "10-30 2x no such name; 20-40 2x took 3 s; 60-60 1x no such name");
        // Another detail is another row; skipped slots neither end nor extend one of a failure.
        let mut skipped = passed(ID, 15);
        skipped.outcome = Outcome::Skipped;
        let rows = fold(&[dns(10), skipped, dns(20), failed(ID, 30, Class::Dns, "timed out")]);
        assert_eq!(rows, "10-20 2x no such name; 30-30 1x timed out");
    }

    #[test]
    fn skipped_slots_are_one_row_until_they_are_skipped_for_another_reason() {
        let skip = |slot, why: &str| crate::record::Record {
            detail: (!why.is_empty()).then(|| why.to_owned()),
            ..crate::record::Record::not_run(ID.parse().unwrap(), UnixMs(slot), 10, 1, Cause::RateLimit)
        };
        let rows =
            fold(&[skip(10, "widened"), passed(ID, 20), skip(30, "widened"), skip(40, "held"), skip(50, "held"), skip(60, "widened")]);
        assert_eq!(rows, "10-30 2x widened; 40-50 2x held; 60-60 1x widened");
        assert_eq!(
            fold(&[skip(10, "held"), skip(20, ""), skip(30, "held")]),
            "10-10 1x held; 30-30 1x held",
            "older versions said no word"
        );
    }

    #[test]
    fn what_waits_in_memory_is_bounded() {
        let mut all = Failures::default();
        for n in 0..3_000 {
            let r = failed(ID, n, Class::Slow, &format!("took {} ms", "x".repeat(n as usize)));
            all.fold(0, &Run::of(&r), r.detail.as_deref());
        }
        assert_eq!((all.list.len(), all.list.iter().filter(|t| t.open).count(), all.many()), (KEPT, OPEN, true));
        assert_eq!(all.into_rows().last().map(|r| r.first.0), Some(2_999));
    }

    #[test]
    fn repetitions_that_differ_in_a_number_are_one_failure() {
        let said = ["answers within 1s; seen: 1s204ms", "answers within 1s; seen: 1s201ms", "answers within 1s; seen: 1s1ms"];
        assert!(same_words(Some(said[0]), Some(said[1])));
        let both = common(said[0], said[1]);
        assert_eq!(both, "answers within 1s; seen: 1s…ms");
        assert!(same_words(Some(&both), Some(said[2])), "and goes on as one");
        assert_eq!(common(&both, said[2]), both);
        assert!(!same_words(Some("status is 200"), Some("status was 200")) && !same_words(Some("x"), None));
        assert_eq!(pieces("a1…b").collect::<Vec<_>>(), ["a", "1…", "b"]);
    }
}
