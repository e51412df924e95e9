//! `POST /api/v1/acceptances`: a changed document is right. On record first, under the token's name; then the check remembers it as accepted.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::Shared;
use super::api::Problem;
use super::asked::{Fields, Key, must};
use super::auth::Actor;
use super::decisions::{BY, LONGEST, LONGEST_NAME, LONGEST_NOTE, body_of, decided, recorded};
use crate::config::table::nearest;
use crate::evidence::{Entry, Kind, Scope};
use crate::fields::CheckId;

/// What an acceptance is made of.
pub(super) const ACCEPTANCE: &[Key] =
    &[must("id", "customer/environment/integration/check."), must("note", "How it is known to be right; at most 800 characters."), BY];

pub(super) async fn accept(State(shared): State<Shared>, Extension(actor): Extension<Actor>, body: Body) -> Result<Response, Problem> {
    let mut asked = Fields::read(&body_of(body).await?)?;
    let (now, config) = (shared.state.clock.now(), shared.state.config.borrow().clone());
    let id = asked.text("id", 4 * LONGEST_NAME + 3);
    let def = id.and_then(|text| {
        let found = text.parse::<CheckId>().ok().and_then(|id| config.checks().find(|c| c.id == id));
        if found.is_none() {
            let ids: Vec<&str> = config.checks().filter(|c| c.kind.has_document()).map(|c| c.id.as_str()).collect();
            let near = nearest(&text, &ids).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            asked.problem("id", format!("expected customer/environment/integration/check of a check that is configured{near}"));
        }
        found
    });
    let note = asked.text("note", LONGEST_NOTE);
    let remark = asked.optional("by", LONGEST);
    asked.done(ACCEPTANCE)?;
    let (Some(def), Some(note)) = (def, note) else { return Err(Problem::ours("the request could not be understood")) };

    let memories = &shared.state.memories;
    let accepted = || def.kind.accept(memories.recall(&def.id).as_deref());
    let first = accepted().map_err(|why| Problem::new(StatusCode::CONFLICT, why.to_string(), "Nothing was changed."))?;
    let body = json!({ "check": def.id.check(), "note": note, "remark": remark, "document": first.what });
    let entry = Entry::new(now, Kind::Acceptance, Scope::integration(&def.id.integration()), &actor.name, body);
    let on_record = recorded(&shared, entry).await?;
    // A run may have seen yet another document meanwhile: only what is on record is accepted.
    let changed = || {
        Problem::new(
            StatusCode::CONFLICT,
            "the document changed again meanwhile: it was not accepted",
            "Look at it again, then accept that.",
        )
    };
    let again = accepted().ok().filter(|again| again.what == first.what).ok_or_else(changed)?;
    let kept = memories.remember_durably(&def.id, again.memory).await;
    kept.map_err(|why| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("it is on record but was not taken over: {why}"), "Try again.")
    })?;
    Ok(decided(on_record, Vec::new()))
}
