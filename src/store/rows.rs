//! Reading rows so that one that is damaged costs itself and no other.

use rusqlite::{Connection, ErrorCode, Params, Row};

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
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(()),
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
                return Ok(());
            }
        }
    }
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
