//! What a run that writes may leave behind when it is cut off: noted in the check's memory before it is made, removed by the next run.
//!
//! What may be deleted is decided by `sso::scim::journal`; here it is kept, together with the server it is on.

use serde::{Deserialize, Serialize};
use url::Url;

use super::session::Session;
use crate::observed::{Failure, Observed};
use crate::outcome::Cause;
use crate::probe::ProbeContext;
use crate::sso::scim::journal::{Cleanup, Journal};

/// What the memory of a check holds. The journal's own member stands beside `url`.
#[derive(Serialize)]
struct Kept<'a> {
    url: &'a str,
    #[serde(flatten)]
    journal: &'a Journal,
}

/// On which server.
#[derive(Deserialize)]
struct Whose {
    url: String,
}

/// Notes what may be left behind on this server, and waits until it is on disk. What is noted already costs nothing.
pub(super) async fn note(base: &str, journal: &Journal, context: &ProbeContext<'_>) -> Result<(), Failure> {
    let text = serde_json::to_string(&Kept { url: base, journal })
        .map_err(|e| Failure::ours(Cause::Internal, format!("what is to be removed can't be noted: {e}")))?;
    if context.memory.recall().is_some_and(|before| *before == *text) {
        return Ok(());
    }
    let noted = context.memory.remember_durably(text).await;
    noted.map_err(|why| Failure::ours(Cause::Internal, format!("what is to be removed can't be noted, so nothing more is written: {why}")))
}

/// Removes what the memory names. Gives how much of it is still there.
pub(super) async fn remove(session: &mut Session<'_>, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<usize, Failure> {
    // Outside the daemon it may belong to a run that goes on just now.
    let Some(text) = context.memory.recall().filter(|_| context.memory.is_kept()) else { return Ok(0) };
    let (Ok(whose), journal) = (serde_json::from_str::<Whose>(&text), Journal::read(&text)) else { return Ok(0) };
    if journal.is_empty() {
        return Ok(0);
    }
    let check = context.check.id.as_str();
    let origin = |url: &str| Url::parse(url).ok().map(|u| u.origin());
    if origin(&whose.url) != origin(&session.base) {
        let names: Vec<&str> = journal.entries.iter().map(|e| e.name.as_str()).collect();
        tracing::warn!(
            check,
            ?names,
            "the check asks another server now: what a run that was cut off left on {} is to be removed by hand",
            whose.url
        );
        note(&session.base, &Journal::default(), context).await?;
        return Ok(0);
    }
    // The path may have changed since: what was made is where it was made.
    let base = std::mem::replace(&mut session.base, whose.url);
    let before = journal.entries.len();
    let removed = all(session, Cleanup::of(journal), context, observed).await;
    session.base = base;
    let left = removed?;
    tracing::info!(check, removed = before - left, left, "what a run that was cut off had left behind was cleaned up");
    Ok(left)
}

async fn all(
    session: &mut Session<'_>,
    mut cleanup: Cleanup,
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
) -> Result<usize, Failure> {
    let mut last = None;
    while let Some(ask) = cleanup.next(last.as_ref()) {
        note(&session.base, cleanup.left(), context).await?;
        last = Some(session.ask(&ask, context, observed).await?);
    }
    note(&session.base, cleanup.left(), context).await?;
    Ok(cleanup.left().entries.len())
}
