//! What arrived for one integration's checks at the receiver: for its page, and for the API.

use std::collections::BTreeMap;

use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use super::page::moment;
use crate::board::{Board, IntegrationEntry};
use crate::clock::UnixMs;

/// What arrived for one check.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ArrivedStatus {
    /// The check, within its integration.
    check: String,
    /// Where its messages go.
    path: String,
    /// When the last authentic one came.
    last: Option<String>,
    /// Since when messages are expected.
    since: Option<String>,
    /// All that came.
    received: u64,
    /// Those that did not count, by reason.
    refused: BTreeMap<String, u64>,
    #[serde(skip)]
    last_at: Option<UnixMs>,
}

/// What arrived for the checks that receive.
pub(super) fn arrived(entry: &IntegrationEntry, board: &Board) -> Vec<ArrivedStatus> {
    let receiving = entry.checks.iter().filter(|c| c.def.kind.receiving().is_some());
    let all = receiving.filter_map(|c| {
        board.arrivals.read(&c.def.id, |state| ArrivedStatus {
            check: c.def.id.check().to_owned(),
            path: format!("/hooks/{}", c.def.id),
            last: state.last.map(|t| t.to_string()),
            since: state.since.map(|t| t.to_string()),
            received: state.tally.received,
            refused: state.tally.refused.clone(),
            last_at: state.last,
        })
    });
    all.collect()
}

/// The section of the page; empty where nothing is received.
pub(super) fn section(entry: &IntegrationEntry, board: &Board, now: UnixMs) -> Markup {
    let all = arrived(entry, board);
    html! {
        @if !all.is_empty() {
            section.card.pad aria-label="Messages to us" {
                h2 { "Messages to us" }
                table {
                    thead { tr { th scope="col" { "Check" } th scope="col" { "Path" } th scope="col" { "Last authentic" } th scope="col" { "Received" } th scope="col" { "Refused" } } }
                    tbody {
                        @for a in &all {
                            tr {
                                td { (a.check) }
                                td { code { (a.path) } }
                                td { (moment(a.last_at, now, "never")) }
                                td { (a.received) }
                                td {
                                    @if a.refused.is_empty() { span.none { "none" } }
                                    @for (n, (reason, count)) in a.refused.iter().enumerate() { @if n > 0 { ", " } (count) " " (reason) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
