//! `/api/v1/limits`: what is known of rate limits, of all integrations or of those an id names.

use axum::extract::{Query as QueryOf, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::api::{Problem, json_bytes};
use super::paging::Page;
use super::{Query, Shared};
use crate::fields::{IntegrationId, Slug};
use crate::limits::{IntegrationLimits, integration_limits};

/// An id no longer than this can be one: three slugs and two slashes.
const LONGEST_ID: usize = 3 * 63 + 2;

/// `customer`, `customer/environment` or `customer/environment/integration`.
pub(super) struct Asked(String);

impl Asked {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts = text.split('/').count();
        let fits = text.len() <= LONGEST_ID && parts <= 3 && text.split('/').all(|p| p.parse::<Slug>().is_ok());
        fits.then(|| Self(text.to_owned()))
    }

    /// Whether it names this integration, or what it belongs to.
    pub(super) fn names(&self, id: &IntegrationId) -> bool {
        id.as_str().strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The known name with as many parts that looks most like it.
    pub(super) fn nearest<'i>(&self, ids: impl Iterator<Item = &'i IntegrationId>) -> Option<String> {
        let parts = self.0.split('/').count();
        let names = ids.map(|id| id.as_str().split('/').take(parts).collect::<Vec<_>>().join("/"));
        names.min_by_key(|name| strsim::damerau_levenshtein(&self.0, name))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Limits")]
pub(super) struct Body {
    /// When this was said.
    now: String,
    /// Each of them.
    integrations: Vec<IntegrationLimits>,
    /// The cursor of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn limits(State(shared): State<Shared>, QueryOf(query): Query) -> Result<Response, Problem> {
    let asked = query.get("id").map(|text| Asked::parse(text).ok_or_else(no_id)).transpose()?;
    let page = Page::read(&query, "limits")?;
    let state = shared.state;
    // A large estate takes some tens of milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let now = state.clock.now();
        let views = state.views(now);
        let integrations: Vec<IntegrationLimits> = state.board.read(|all| {
            let found = all.iter().filter(|i| asked.as_ref().is_none_or(|a| a.names(&i.def.id)));
            let found: Vec<IntegrationLimits> = found.map(|i| integration_limits(i, &views, now)).collect();
            match asked.filter(|_| found.is_empty()) {
                Some(asked) => Err(unknown(asked.nearest(all.iter().map(|i| &i.def.id)))),
                None => Ok(found),
            }
        })?;
        let (integrations, next) = page.of("limits", integrations, |i| &i.id);
        Ok(serde_json::to_vec(&Body { now: now.to_string(), integrations, next }))
    });
    match work.await {
        Ok(Ok(made)) => json_bytes(Ok(made)),
        Ok(Err(problem)) => Err(problem),
        Err(e) => json_bytes(Err(e)),
    }
}

pub(super) fn no_id() -> Problem {
    let hint = "Give id=customer, id=customer/environment or id=customer/environment/integration.";
    Problem::new(StatusCode::BAD_REQUEST, "id is not readable", hint)
}

pub(super) fn unknown(near: Option<String>) -> Problem {
    let hint = near.map_or_else(|| "No integrations are configured yet.".to_owned(), |near| format!("Did you mean {near}?"));
    Problem::new(StatusCode::NOT_FOUND, "no such integration, environment or customer is configured", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_all_below_it() {
        let ids: Vec<IntegrationId> =
            ["acme/production/crm", "acme/prod/erp", "acme-2/production/crm"].iter().map(|id| id.parse().unwrap()).collect();
        let named = |text: &str| {
            let asked = Asked::parse(text).unwrap();
            ids.iter().filter(|id| asked.names(id)).count()
        };
        assert_eq!([named("acme"), named("acme/prod"), named("acme/production/crm"), named("acm")], [2, 1, 1, 0]);
        for bad in ["", "/", "acme/", "a/b/c/d", "A", "a b", &"x".repeat(64)] {
            assert!(Asked::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_there_is_compared_with_names_of_its_kind() {
        let ids: Vec<IntegrationId> = ["acme/production/crm", "zeta/staging/erp"].iter().map(|id| id.parse().unwrap()).collect();
        let near = |text: &str| Asked::parse(text).unwrap().nearest(ids.iter());
        assert_eq!(near("zet").as_deref(), Some("zeta"));
        assert_eq!(near("acme/prod").as_deref(), Some("acme/production"));
        assert_eq!(near("acme/production/crn").as_deref(), Some("acme/production/crm"));
        assert_eq!(Asked::parse("a").unwrap().nearest([].iter()), None);
    }
}
