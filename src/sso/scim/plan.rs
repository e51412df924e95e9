//! The read-only run as data: what is asked of a server without changing anything on it.
//!
//! Small counts and made-up names only: no page holds more than [`PAGE`] users, whoever they are.

use super::ask::{Ask, Token, by};
use super::exchange::{Fact, Known};

/// The pages that are held against each other, by the names of their requests: asked a second time, where they don't fit together, because somebody
/// may have come or gone between two of them.
pub const PAGES: [&str; 6] = ["first page", "second page", "first page again", "page past the end", "page of one", "number of users"];

/// Users of a page that is asked for.
pub const PAGE: u32 = 2;
/// A position behind any end.
const PAST_THE_END: u32 = 1_000_000_000;

/// What to ask, in this order. `marker`: letters and digits nobody's name has, new for each run.
pub fn plan(known: &Known, marker: &str) -> Vec<Ask> {
    let nobody = format!("soakwatch-nobody-{marker}@invalid.example");
    let page = |name, start: u32| Ask::get(name, format!("/Users?startIndex={start}&count={PAGE}"));
    let mut all = vec![
        Ask::get("service provider config", "/ServiceProviderConfig"),
        Ask::get("resource types", "/ResourceTypes"),
        Ask::get("schemas", "/Schemas"),
        Ask::get("unknown schema", format!("/Schemas/urn%3Asoakwatch%3A{marker}")).knowing(Fact::UnknownId),
        Ask::get("filter on schemas", by("Schemas", "id", &nobody)),
        Ask::get("users without a token", "/Users?count=1").with(Token::None),
        Ask::get("users with a wrong token", "/Users?count=1").with(Token::Wrong),
        page("first page", 1),
        page("second page", 1 + PAGE),
        page("first page again", 1),
        page("page past the end", PAST_THE_END),
        Ask::get("page of one", "/Users?startIndex=2&count=1"),
        Ask::get("number of users", "/Users?count=0"),
        Ask::get("nobody by userName", by("Users", "userName", &nobody)),
        Ask::get("nobody by externalId", by("Users", "externalId", &nobody)),
        Ask::get("nobody, odd case", by("Users", "username", &nobody).replace("eq", "Eq")),
        Ask::get("broken filter", "/Users?filter=userName%20eq"),
        Ask::get("plus and quotes", by("Users", "userName", &format!("soakwatch+\"{marker}\"\\100%é@invalid.example"))),
        Ask::get("names only", format!("/Users?attributes=userName&count={PAGE}")),
        Ask::get("groups", "/Groups?startIndex=1&count=1&excludedAttributes=members"),
        Ask::get("unknown user", format!("/Users/soakwatch-{marker}")).knowing(Fact::UnknownId),
        Ask::get("unknown path", format!("/Soakwatch{marker}")),
    ];
    if let Some(name) = &known.user_name {
        let swapped: String = name
            .chars()
            .flat_map(|c| if c.is_lowercase() { c.to_uppercase().collect::<Vec<_>>() } else { c.to_lowercase().collect() })
            .collect();
        all.push(Ask::get("known user", by("Users", "userName", name)));
        all.push(Ask::get("known user in another case", by("Users", "userName", &swapped)));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ask::Answer;
    use super::super::judge;
    use super::*;
    use crate::finding::Level;

    #[test]
    fn it_changes_nothing_and_names_nobody() {
        let known = Known { user_name: Some("Ada+x@example.test".into()), ..Known::default() };
        let asks = plan(&known, "k3j9");
        assert!(asks.iter().all(|a| a.method == "GET" && a.body.is_none() && !a.name.contains("ada")));
        assert!(asks.iter().all(|a| a.target.is_ascii() && !a.target.contains([' ', '"', '+'])));
        let mut names: Vec<_> = asks.iter().map(|a| a.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), asks.len());
        let read = asks.iter().find(|a| a.name == "known user").unwrap().answered(Answer::default(), &known);
        assert_eq!(read.request.target.query.filter.as_deref().unwrap(), "userName%20eq%20%22Ada%2Bx%40example.test%22");
    }

    /// A server that knows no path: one cause, one finding.
    #[test]
    fn a_wrong_base_url_is_told_once() {
        let known = Known::default();
        let body =
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "404", "detail": "no"}).to_string().into_bytes();
        let headers = vec![("content-type".to_owned(), "application/scim+json".to_owned())];
        let all: Vec<_> = plan(&known, "x")
            .iter()
            .map(|a| a.answered(Answer { status: 404, headers: headers.clone(), body: body.clone(), took: None }, &known))
            .collect();
        let found = judge(&all, &known);
        assert!(found.len() == 1 && found[0].id == "SCIM-GET-01" && found[0].level == Level::Fail, "{found:#?}");
    }
}
