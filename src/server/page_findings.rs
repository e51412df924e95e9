//! What is open of what was found in a check's document: a table, worst first, with what to do.

use maud::{Markup, html};

use crate::finding::Level;
use crate::status::CheckStatus;

/// Nothing where nothing was found and no document was read.
pub(super) fn section(c: &CheckStatus) -> Markup {
    let informing = c.findings.iter().filter(|f| f.level == Level::Info).count();
    html! {
        @if let Some(d) = &c.document {
            p.small.soft {
                @if let Some(t) = &d.valid_until { "Valid until " (t) ". " }
                @if let Some(t) = &d.signing_certificate_expiry { "A signing certificate ends " (t) ". " }
                @if d.changes > 0 { "Changed and accepted " (d.changes) "\u{a0}×." }
            }
        }
        @if !c.findings.is_empty() {
            h3 { "Findings" }
            div.scroll tabindex="0" role="region" aria-label="Table" { table {
                thead { tr { th { "Level" } th { "Rule" } th { "Severity" } th { "Who mends it" } th { "What was seen" } } }
                tbody { @for f in &c.findings { tr {
                    td { (f.level) }
                    td { (f.id) }
                    td { (f.severity) }
                    td { (f.owner.as_str().replace('_', " ")) }
                    td { p.detail { (f.detail) } @if f.level != Level::Info && !f.advice.is_empty() { p.small.soft { (f.advice) } } }
                } } }
            } }
            @if informing == c.findings.len() { p.small.soft { "Nothing of it needs mending." } }
        }
    }
}
