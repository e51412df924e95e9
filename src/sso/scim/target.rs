//! Where a request goes: the endpoint behind any base path, the id, and the query. As recorded by people and programs: absolute or relative,
//! encoded or plain, spaces as they are.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Parts of a query that are read at most.
const MOST_PARTS: usize = 32;

/// The endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `/ServiceProviderConfig`.
    Config,
    /// `/ResourceTypes`.
    Types,
    /// `/Schemas`.
    Schemas,
    /// `/Users`.
    Users,
    /// `/Groups`.
    Groups,
    /// `/Me`.
    Me,
    /// `/Bulk`.
    Bulk,
    /// The base URL itself.
    Root,
    /// Any other path.
    Other,
}

impl Endpoint {
    /// Users and groups: what the directory holds.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Users | Self::Groups)
    }
    /// What describes the server.
    pub fn is_discovery(self) -> bool {
        matches!(self, Self::Config | Self::Types | Self::Schemas)
    }

    fn named(segment: &str) -> Option<Self> {
        Some(match segment.to_ascii_lowercase().as_str() {
            "serviceproviderconfig" | "serviceproviderconfigs" => Self::Config,
            "resourcetypes" => Self::Types,
            "schemas" => Self::Schemas,
            "users" => Self::Users,
            "groups" => Self::Groups,
            "me" => Self::Me,
            "bulk" => Self::Bulk,
            _ => return None,
        })
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The id behind the endpoint, decoded; `None` for the whole collection.
    pub id: Option<String>,
    /// A search by POST: the query came in the body.
    pub search: bool,
    /// The path's segments, decoded, for comparing with the resource types' endpoints.
    pub segments: Vec<String>,
    /// The query.
    pub query: Query,
}

/// What a query says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The filter as it was written.
    pub filter: Option<String>,
    /// `startIndex` where it is a number.
    pub start: Option<i64>,
    /// `count` where it is a number.
    pub count: Option<i64>,
    /// `attributes`; empty: not asked for.
    pub attributes: Vec<String>,
    /// `excludedAttributes`.
    pub excluded: Vec<String>,
    /// `sortBy` and `sortOrder`, as written.
    pub order: String,
    /// A number that is none, or a parameter that SCIM does not have: what to expect is unclear.
    pub odd: bool,
}

impl Target {
    /// Reads a target; a search takes its query from the body.
    pub fn read(text: &str, body: Option<&Value>) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, p)| p),
            None => path,
        };
        let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(decoded).collect();
        let mut query = Query::read(query);
        let search = segments.last().is_some_and(|s| s.eq_ignore_ascii_case(".search"));
        if search && let Some(body) = body {
            query.take(body);
        }
        let rest = segments.get(..segments.len() - usize::from(search)).unwrap_or_default();
        let base = |s: &String| matches!(s.to_ascii_lowercase().as_str(), "v2" | "v2.0" | "scim");
        // The base path may hold a word such as "users" too: what comes right behind a version is the endpoint, otherwise the first that fits.
        let named = |at: &usize| rest.get(*at).and_then(|s| Endpoint::named(s));
        let behind_base = |at: &usize| at.checked_sub(1).and_then(|b| rest.get(b)).is_some_and(base);
        let mut all = (0..rest.len()).filter(|at| named(at).is_some());
        let at = all.clone().find(behind_base).or_else(|| all.next());
        let (endpoint, id) = match at.and_then(|at| named(&at).map(|e| (at, e))) {
            Some((at, endpoint)) => (endpoint, rest.get(at + 1..).filter(|ids| !ids.is_empty()).map(|ids| ids.join("/"))),
            None if rest.last().is_none_or(base) => (Endpoint::Root, None),
            None => (Endpoint::Other, None),
        };
        Self { endpoint, id, search, segments, query }
    }
}

impl Query {
    fn read(text: &str) -> Self {
        let mut query = Self::default();
        for part in parts(text).into_iter().take(MOST_PARTS) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number = |query: &mut Self| {
                let n = decoded(value).trim().parse().ok();
                query.odd |= n.is_none();
                n
            };
            match decoded(name).to_ascii_lowercase().as_str() {
                "filter" => query.filter = Some(value.to_owned()),
                "startindex" => query.start = number(&mut query),
                "count" => query.count = number(&mut query),
                "attributes" => query.attributes = names(&decoded(value)),
                "excludedattributes" => query.excluded = names(&decoded(value)),
                name @ ("sortby" | "sortorder") => query.order.push_str(&format!("{name}={};", decoded(value))),
                "" => {}
                _ => query.odd = true,
            }
        }
        query
    }

    /// What a search's body says.
    fn take(&mut self, body: &Value) {
        let list = |name: &str| match body.get(name) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(text)) => names(text),
            _ => Vec::new(),
        };
        self.filter = body.get("filter").and_then(Value::as_str).map(str::to_owned);
        self.start = body.get("startIndex").and_then(Value::as_i64);
        self.count = body.get("count").and_then(Value::as_i64);
        self.attributes = list("attributes");
        self.excluded = list("excludedAttributes");
        self.order = ["sortBy", "sortOrder"].iter().filter_map(|n| body.get(*n)).map(Value::to_string).collect();
    }

    /// Only some attributes were asked for.
    pub fn projects(&self) -> bool {
        !self.attributes.is_empty() || !self.excluded.is_empty()
    }
    /// The position of the first resource asked for: less than 1 means 1 (RFC 7644, 3.4.2.4).
    pub fn first(&self) -> u64 {
        u64::try_from(self.start.unwrap_or(1).max(1)).unwrap_or(1)
    }
    /// How many were asked for at most: less than 0 means 0.
    pub fn most(&self) -> Option<u64> {
        self.count.map(|c| u64::try_from(c.max(0)).unwrap_or(0))
    }
}

/// The parts between ampersands. One inside a quoted value is no separator, unless a parameter's name follows it.
fn parts(text: &str) -> Vec<&str> {
    let (mut all, mut from) = (Vec::new(), 0);
    for (at, _) in text.match_indices('&') {
        let rest = text.get(at + 1..).unwrap_or_default();
        let name: &str = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if !name.is_empty() && rest.get(name.len()..).is_some_and(|r| r.starts_with('=')) {
            all.push(text.get(from..at).unwrap_or_default());
            from = at + 1;
        }
    }
    all.push(text.get(from..).unwrap_or_default());
    all
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

/// Percent-decoded where that gives text, as it is otherwise.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), |t| t.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> (Endpoint, Option<String>) {
        let t = Target::read(text, None);
        (t.endpoint, t.id)
    }

    #[test]
    fn endpoints_behind_any_base() {
        assert_eq!(at("/Users"), (Endpoint::Users, None));
        assert_eq!(at("/scim/v2/Users/"), (Endpoint::Users, None));
        assert_eq!(at("https://users.example.test/users/scim/v2/Groups/g%201?x=y"), (Endpoint::Groups, Some("g 1".into())));
        assert_eq!(at("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User").1.unwrap(), "urn:ietf:params:scim:schemas:core:2.0:User");
        assert_eq!(at("/scim/v2"), (Endpoint::Root, None));
        assert_eq!(at("/scim/v2/Nothing"), (Endpoint::Other, None));
        assert_eq!(at("Users"), (Endpoint::Users, None));
        let search =
            Target::read("/Users/.search", Some(&json!({"filter": "a pr", "startIndex": 3, "count": 0, "attributes": ["userName"]})));
        assert_eq!((search.endpoint, search.id, search.search), (Endpoint::Users, None, true));
        assert_eq!((search.query.filter.as_deref(), search.query.first(), search.query.most()), (Some("a pr"), 3, Some(0)));
    }

    #[test]
    fn queries_plain_and_encoded() {
        let q = Query::read("filter=userName eq \"a&b@x\"&startIndex=0&count=2&attributes=id,%20userName");
        assert_eq!(q.filter.as_deref(), Some("userName eq \"a&b@x\""));
        assert_eq!((q.first(), q.most(), q.odd), (1, Some(2), false));
        assert_eq!(q.attributes, ["id", "userName"]);
        assert!(Query::read("count=ten").odd && Query::read("page=2").odd);
        assert_eq!(Query::read("filter=userName eq \"abc").filter.as_deref(), Some("userName eq \"abc"));
    }
}
