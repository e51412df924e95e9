//! Seven days of an integration, an hour a cell, as recorded: each hour as good as its worst judged check. Says the same in shapes, colours and words.

use maud::{Markup, html};

use crate::board::{Counts, HOURS_KEPT, IntegrationEntry};
use crate::clock::{HOUR_MS, UnixMs};
use crate::soak::{Judge, Window, percent};

const DAYS: i64 = 7;
const HOURS: i64 = 24;
/// Distance of cells, and the size of one, in units of the drawing.
const STEP: i64 = 14;
const SIZE: i64 = 12;

/// What an hour was.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// Not in the judged window.
    Outside,
    /// The board has forgotten it.
    Forgotten,
    /// Nothing was due, or nothing has been recorded.
    Empty,
    /// Slots were due, and none was run.
    Missing,
    /// Every run passed.
    Good,
    /// Runs failed; the share that passed reaches the target.
    Fair(f64),
    /// It does not.
    Bad(f64),
}

/// The cells up to the end of the window, oldest first, each with its hour since the epoch.
fn cells(entry: &IntegrationEntry, window: Window, target: f64, now: UnixMs) -> Vec<(i64, Cell)> {
    let last = UnixMs(window.end.0 - 1).max(window.start).hour();
    let cell = |hour: i64| {
        let (start, end) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        if end <= window.start.0 || start >= window.end.0.max(window.start.0 + 1) {
            Cell::Outside
        } else if hour <= now.hour() - HOURS_KEPT {
            Cell::Forgotten
        } else {
            worst(entry, hour, target)
        }
    };
    (last - DAYS * HOURS + 1..=last).map(|hour| (hour, cell(hour))).collect()
}

fn worst(entry: &IntegrationEntry, hour: i64, target: f64) -> Cell {
    let mut sum = Counts::default();
    let (mut least, mut reached): (f64, bool) = (1.0, true);
    for check in entry.checks.iter().filter(|c| c.def.judged) {
        let counts = check.state.hours.sum(hour, hour);
        if let Some(ratio) = counts.success_ratio(entry.def.throttled_excluded) {
            least = least.min(ratio);
            reached &= ratio >= if check.def.judge == Judge::Every { 1.0 } else { target };
        }
        sum.merge(&counts);
    }
    match (sum.due(), sum.success_ratio(entry.def.throttled_excluded)) {
        (0, _) => Cell::Empty,
        (_, None) => Cell::Missing,
        _ if least >= 1.0 => Cell::Good,
        _ if reached => Cell::Fair(least),
        _ => Cell::Bad(least),
    }
}

/// The strip of a window, with its legend. `target`: the share of runs that must pass.
pub(super) fn strip(entry: &IntegrationEntry, window: Window, target: f64, now: UnixMs) -> Markup {
    let cells = cells(entry, window, target, now);
    let count = |f: fn(&Cell) -> bool| cells.iter().filter(|(_, c)| f(c)).count();
    let inside = cells.len() - count(|c| *c == Cell::Outside);
    let forgotten = count(|c| *c == Cell::Forgotten);
    html! {
        @if forgotten == inside {
            p.soft.small { "The hours of this window are no longer kept here; " code { "soakwatch runs" } " reads its runs from the store." }
        } @else {
            div.hours {
                span.small.soft { "UTC" }
                (axis(&cells))
                @for row in cells.chunks(usize::try_from(HOURS).unwrap_or(24)) {
                    @if row.iter().any(|(_, c)| !matches!(c, Cell::Outside | Cell::Forgotten)) {
                        span.small.soft.nowrap { (row.first().map(|(h, _)| hour_text(*h)).unwrap_or_default()) }
                        (day(row, target))
                    }
                }
            }
            p.small.soft {
                "Of " (inside) @if inside == 1 { " hour: " } @else { " hours: " } (count(|c| *c == Cell::Good)) " without a failure, "
                (count(|c| matches!(c, Cell::Fair(_)))) " with failures and at least " (percent(target)) ", "
                (count(|c| matches!(c, Cell::Bad(_)))) " below, " (count(|c| *c == Cell::Missing)) " due but not run, "
                (count(|c| *c == Cell::Empty)) " without anything due or recorded"
                @if forgotten > 0 { ", " (forgotten) " no longer kept here" }
                ". As recorded: what was excluded is among them."
            }
        }
    }
}

/// What the cells mean; once a page.
pub(super) fn legend() -> Markup {
    let item = |cell: Cell, words: &str| {
        html! { li { svg viewBox=(format!("0 0 {STEP} {STEP}")) width="14" height="14" aria-hidden="true" { (draw(0, cell)) } (words) } }
    };
    html! {
        ul.legend.small aria-label="What the cells mean" {
            (item(Cell::Good, "every run passed"))
            (item(Cell::Fair(1.0), "failures, target reached"))
            (item(Cell::Bad(0.0), "below the target"))
            (item(Cell::Missing, "due, not run"))
            (item(Cell::Empty, "nothing due or recorded"))
            li { "empty: not in the window" }
        }
    }
}

/// `2026-11-15 13:00`
fn hour_text(hour: i64) -> String {
    UnixMs(hour * HOUR_MS).timestamp().strftime("%Y-%m-%d %H:%M").to_string()
}

/// The hour of the day over every third column.
fn axis(cells: &[(i64, Cell)]) -> Markup {
    html! {
        svg.axis viewBox=(format!("0 0 {} 11", HOURS * STEP)) aria-hidden="true" {
            @for (n, (hour, _)) in (0i64..).zip(cells).take(24).filter(|(_, (hour, _))| hour.rem_euclid(3) == 0) {
                text x=(n * STEP) y="9" { (format!("{:02}", hour.rem_euclid(HOURS))) }
            }
        }
    }
}

fn day(row: &[(i64, Cell)], target: f64) -> Markup {
    // All good hours in one path: most are.
    let good: Vec<String> =
        (0i64..).zip(row).filter(|(_, (_, c))| *c == Cell::Good).map(|(n, _)| format!("M{} 1h{SIZE}v{SIZE}h-{SIZE}z", n * STEP)).collect();
    html! {
        svg.day viewBox=(format!("0 0 {} {STEP}", HOURS * STEP)) role="img" aria-label=(told(row, target)) {
            @if !good.is_empty() { path.ok d=(good.concat()) {} }
            @for (n, (hour, cell)) in (0i64..).zip(row) {
                @if hour.rem_euclid(HOURS) == 0 && n > 0 { path.midnight d=(format!("M{} 0v{STEP}", n * STEP - 1)) {} }
                @if !matches!(cell, Cell::Good | Cell::Outside | Cell::Forgotten) {
                    g { title { (hour_text(*hour)) ": " (words(*cell)) } (draw(n, *cell)) }
                }
            }
        }
    }
}

fn draw(column: i64, cell: Cell) -> Markup {
    let x = column * STEP;
    html! {
        @match cell {
            Cell::Outside | Cell::Forgotten => {},
            Cell::Empty => rect.dot x=(x + 4) y="5" width="4" height="4" {},
            Cell::Missing => {
                rect.missing x=(x) y="1" width=(SIZE) height=(SIZE) {}
                path.missing d=(format!("M{x} 13l{SIZE}-{SIZE}")) {}
            },
            Cell::Good => rect.ok x=(x) y="1" width=(SIZE) height=(SIZE) {},
            Cell::Fair(_) => {
                rect.ok x=(x) y="1" width=(SIZE) height=(SIZE) {}
                rect.bad x=(x) y="9" width=(SIZE) height="4" {}
            },
            Cell::Bad(_) => {
                rect.bad x=(x) y="1" width=(SIZE) height=(SIZE) {}
                path.cross d=(format!("M{} 4l6 6m0-6l-6 6", x + 3)) {}
            },
        }
    }
}

fn words(cell: Cell) -> String {
    match cell {
        Cell::Fair(ratio) | Cell::Bad(ratio) => format!("{} passed", percent(ratio)),
        Cell::Missing => "due, not run".to_owned(),
        Cell::Empty => "nothing due or recorded".to_owned(),
        Cell::Good | Cell::Outside | Cell::Forgotten => String::new(),
    }
}

/// A day for who can't see it.
fn told(row: &[(i64, Cell)], target: f64) -> String {
    let count = |f: fn(&Cell) -> bool| row.iter().filter(|(_, c)| f(c)).count();
    let lowest = row.iter().filter_map(|(hour, c)| match c {
        Cell::Fair(ratio) | Cell::Bad(ratio) => Some((*ratio, *hour)),
        _ => None,
    });
    let mut parts = Vec::new();
    let mut say = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    say(count(|c| *c == Cell::Good), "without a failure");
    say(count(|c| matches!(c, Cell::Fair(_))), &format!("with failures and at least {}", percent(target)));
    say(count(|c| matches!(c, Cell::Bad(_))), &format!("below {}", percent(target)));
    say(count(|c| *c == Cell::Missing), "due but not run");
    say(count(|c| *c == Cell::Empty), "without anything due or recorded");
    say(count(|c| *c == Cell::Forgotten), "no longer kept");
    say(count(|c| *c == Cell::Outside), "not in the window");
    let worst =
        lowest.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(ratio, hour)| format!("; lowest {} at {}", percent(ratio), hour_text(hour)));
    let from = row.first().map(|(h, _)| hour_text(*h)).unwrap_or_default();
    format!("{} hours from {from} UTC: {}{}", row.len(), parts.join(", "), worst.unwrap_or_default())
}
