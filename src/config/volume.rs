//! `[integration.volume]`: what the customer will send, as it is declared. Knows nothing of limits: whether it fits is worked out elsewhere.

use super::model::{Batch, DeclaredVolume};
use super::table::Table;
use crate::fields::{TimeOfDay, Volume};

/// Hand-overs of a day; more are a slip.
const MAX_BATCHES: usize = 20;
const MAX_ROWS: u64 = 1_000_000_000_000;
/// Keeps the product with the rows a number.
const MAX_CALLS_PER_ROW: f64 = 1e6;

/// Reads the table. Bad values are reported and read as absent.
pub(super) fn read(mut t: Table<'_>) -> DeclaredVolume {
    let mut read = |key| {
        let volume: Option<Volume> = t.opt(key);
        if volume.is_some_and(|v| v.calls == 0) {
            t.problem(key, "no calls are no volume", "expected 1 or more, or leave the key out");
        }
        volume
    };
    let (peak, daily) = (read("peak"), read("daily"));
    if let (Some(p), Some(d)) = (peak, daily)
        && in_s(p, 60) > in_s(d, 86_400)
    {
        t.warn(
            "daily",
            format!("{} is less than one minute of peak ({})", t.shown("daily"), t.shown("peak")),
            "expected all calls of a day, those at peak among them, without the batches",
        );
    }
    // One hand-over may stand there as a table, several as a list of them.
    let tables = t.tables("batch");
    if tables.len() > MAX_BATCHES {
        t.problem("batch", format!("{} batches are too many", tables.len()), format!("expected at most {MAX_BATCHES}"));
    }
    let batches = tables.into_iter().filter_map(batch).collect();
    t.finish();
    DeclaredVolume { peak, daily, batches }
}

/// Calls in so many seconds.
fn in_s(v: Volume, s: u64) -> f64 {
    v.calls as f64 / v.per_s.max(1) as f64 * s as f64
}

fn batch(mut t: Table<'_>) -> Option<Batch> {
    let start: Option<TimeOfDay> = t.req("start");
    if !t.has("rows") {
        t.missing("rows", "how many rows it hands over, such as 50000");
    }
    let rows = t.between("rows", 1, MAX_ROWS);
    let calls_per_row: f64 = t.or("calls_per_row", 1.0);
    let fits = calls_per_row > 0.0 && calls_per_row <= MAX_CALLS_PER_ROW;
    if !fits {
        let expected = format!("expected a number above 0, at most {MAX_CALLS_PER_ROW}, such as 2, or 0.01 where a call takes 100 rows");
        t.problem("calls_per_row", format!("{} is out of range", t.shown("calls_per_row")), expected);
    }
    t.finish();
    Some(Batch { start: start?, rows: rows?, calls_per_row }).filter(|_| fits)
}
