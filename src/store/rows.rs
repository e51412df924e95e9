//! Reading rows so that one that is damaged costs itself and no other.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params, Row};

use super::{Damaged, StoreError};

/// Hands each row of a query to `f`. A row that can't be read is counted and passed over; a damaged page ends the query, counted. What else
/// goes wrong (locked, no memory) is an error.
pub(super) fn each<P: Params>(
    conn: &Connection,
    sql: &str,
    params: P,
    what: &str,
    damaged: &mut Damaged,
    f: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    to_damage(conn, sql, params, what, damaged, f).map(drop)
}

/// The same; `false`: a damaged page ended the query.
fn to_damage<P: Params>(
    conn: &Connection,
    sql: &str,
    params: P,
    what: &str,
    damaged: &mut Damaged,
    f: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(true),
            Ok(Some(row)) => match f(row) {
                Ok(()) => {}
                Err(e) if is_damage(&e) => damaged.note(what, &e),
                Err(e) => return Err(e),
            },
            Err(e) => {
                let e = StoreError::from(e);
                if !is_damage(&e) {
                    return Err(e);
                }
                damaged.note(what, &e);
                return Ok(false);
            }
        }
    }
}

/// Places in one table that are passed over at most.
const MOST_PLACES: usize = 1_000;

/// A table, its integer primary key, and the columns that are read after it.
pub(super) struct Walk {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) columns: &'static str,
}

/// Hands the rows of a table from a key on to `f`, in order, the key as the first column. A damaged page costs the rows on it; those after it are handed
/// out, so that what is written after a damage is read again.
pub(super) fn around(
    conn: &Connection,
    walk: &Walk,
    from: i64,
    what: &str,
    damaged: &mut Damaged,
    f: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Walk { table, key, columns } = walk;
    let sql = format!("SELECT {key}, {columns} FROM {table} WHERE {key} >= ?1 ORDER BY {key}");
    let mut from = from;
    for _ in 0..MOST_PLACES {
        let mut after = from;
        let whole = to_damage(conn, &sql, [from], what, damaged, &mut |row| {
            after = row.get::<_, i64>(0)?.saturating_add(1);
            f(row)
        })?;
        match if whole { None } else { readable(conn, walk, after)? } {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The first key that may be read again, where the row after `from` can't be.
fn readable(conn: &Connection, Walk { table, key, .. }: &Walk, from: i64) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT {key} FROM {table} WHERE {key} >= ?1 ORDER BY {key} LIMIT 1");
    match conn.prepare_cached(&sql)?.query_row([from], |row| row.get::<_, i64>(0)).optional().map_err(StoreError::from) {
        // Its page is whole: what the row has on further pages is not.
        Ok(next) => return Ok(next.and_then(|n| n.checked_add(1))),
        Err(e) if is_damage(&e) => {}
        Err(e) => return Err(e),
    }
    // From the other side up to the damage.
    let sql = format!("SELECT {key} FROM {table} WHERE {key} >= ?1 ORDER BY {key} DESC");
    let mut lowest = None;
    to_damage(conn, &sql, [from], "", &mut Damaged::default(), &mut |row| {
        lowest = Some(row.get(0)?);
        Ok(())
    })?;
    Ok(lowest)
}

/// Whether an error says that stored bytes are not what was written.
pub(super) fn is_damage(e: &StoreError) -> bool {
    use rusqlite::Error as E;
    match e {
        StoreError::Corrupt(_) => true,
        StoreError::Sqlite(
            E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) | E::Utf8Error(..),
        ) => true,
        StoreError::Sqlite(e) => matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)),
        _ => false,
    }
}

/// The vantages that have rows of a check in a table with the key (key, vantage, hour): one look-up each, no walk over the rows.
pub(super) fn vantages(conn: &Connection, table: &'static str, key: u64) -> Result<Vec<u16>, StoreError> {
    let sql = format!("SELECT min(vantage) FROM {table} WHERE key = ?1 AND vantage >= ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::new();
    let mut from = 0i64;
    while let Some(vantage) = statement.query_row((key as i64, from), |row| row.get::<_, Option<i64>>(0))? {
        found.extend(u16::try_from(vantage));
        from = vantage.saturating_add(1);
    }
    Ok(found)
}
