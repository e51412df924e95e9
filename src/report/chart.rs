//! Charts as SVG: each check's hours as cells, and the time its runs took. No script, no outside reference; what a colour says stands in a title too.

use maud::{Markup, html};

use super::stats::{CheckStats, HourCell};
use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::time_text;
use crate::soak::{percent, seconds};

const CELL: i64 = 14;
const LEFT: i64 = 84;
/// Days that are drawn: a window has at most 90.
const MAX_DAYS: i64 = 100;

/// A row a day, a cell an hour.
pub(super) fn strip(stats: &CheckStats) -> Markup {
    let (Some(first), Some(last)) = (stats.hours.first(), stats.hours.last()) else { return html! { p { "no runs" } } };
    let day = |h: &HourCell| h.hour.div_euclid(24);
    let days = (day(last) - day(first) + 1).clamp(1, MAX_DAYS);
    let (width, height) = (LEFT + 24 * CELL, days * CELL + 16);
    html! {
        svg class="strip" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" aria-label=(format!("success of {} by hour", stats.check)) {
            @for h in [0, 6, 12, 18] {
                text x=(LEFT + h * CELL) y="10" class="axis" { (format!("{h:02}h")) }
            }
            @for d in 0..days {
                text x="0" y=(16 + d * CELL + 11) class="axis" { (date((day(first) + d) * 24)) }
            }
            @for h in stats.hours.iter().filter(|h| day(h) - day(first) < days) {
                rect x=(LEFT + h.hour.rem_euclid(24) * CELL) y=(16 + (day(h) - day(first)) * CELL) width=(CELL - 1) height=(CELL - 1) class=(colour(h)) {
                    title { (words(h)) }
                }
            }
        }
    }
}

fn date(hour: i64) -> String {
    time_text(UnixMs(hour.saturating_mul(HOUR_MS))).chars().take(10).collect()
}

fn colour(h: &HourCell) -> &'static str {
    let judged = u64::from(h.pass) + u64::from(h.bad);
    match (judged, h.bad) {
        (0, _) if h.missing == 0 => "c-off",
        (0, _) => "c-none",
        (_, 0) => "c-pass",
        (n, bad) if u64::from(bad) * 10 < n => "c-some",
        (n, bad) if u64::from(bad) < n => "c-many",
        _ => "c-all",
    }
}

fn words(h: &HourCell) -> String {
    let judged = u64::from(h.pass) + u64::from(h.bad);
    let ratio = if judged > 0 { percent(f64::from(h.pass) / judged as f64) } else { "no runs".to_owned() };
    let at: String = time_text(UnixMs(h.hour.saturating_mul(HOUR_MS))).chars().take(13).collect();
    format!("{at}h: {ratio}; pass {}, not passed {}, missing {}, not due {}", h.pass, h.bad, h.missing, h.not_due)
}

/// The 95th percentile of each hour, on a logarithmic scale.
pub(super) fn latency(stats: &CheckStats) -> Markup {
    let points: Vec<(i64, u16)> = stats.hours.iter().filter_map(|h| Some((h.hour, h.p95?.0))).collect();
    let (Some(low), Some(high)) = (points.iter().map(|p| p.1).min(), points.iter().map(|p| p.1).max()) else { return html! {} };
    let (from, to) = (points.first().map_or(0, |p| p.0), points.last().map_or(0, |p| p.0));
    let (width, height) = (24 * CELL, 60);
    // The codes of durations are a logarithmic scale already.
    let x = |hour: i64| LEFT as f64 + (hour - from) as f64 / (to - from).max(1) as f64 * width as f64;
    let y = |code: u16| 5.0 + f64::from(high - code) / f64::from((high - low).max(1)) * (height as f64 - 10.0);
    let line: Vec<String> = points.iter().map(|(hour, code)| format!("{:.1},{:.1}", x(*hour), y(*code))).collect();
    let shown = |code: u16| seconds(crate::record::DurationCode(code).seconds());
    html! {
        svg class="latency" viewBox=(format!("0 0 {} {height}", LEFT + width)) width=(LEFT + width) height=(height) role="img" aria-label=(format!("95th percentile of {} by hour", stats.check)) {
            text x="0" y="12" class="axis" { (shown(high)) }
            @if high > low { text x="0" y=(height - 2) class="axis" { (shown(low)) } }
            polyline points=(line.join(" ")) class="line" {}
            @if let [(hour, code)] = points.as_slice() {
                circle cx=(format!("{:.1}", x(*hour))) cy=(format!("{:.1}", y(*code))) r="2" {}
            }
        }
    }
}
