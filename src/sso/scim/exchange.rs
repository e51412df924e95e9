//! The model: one exchange with a SCIM server, recorded in a file or just made, with what was known about it beforehand.
//!
//! Never judges. Bodies hold personal data: nothing of them but member names of the protocol goes into a finding.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::UnixMs;

use super::target::Target;

/// What is known about a request beforehand and can't be read off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It was sent without a token, or with a wrong one.
    NoToken,
    /// The userName it creates exists.
    NameExists,
    /// Nothing has the id it asks for.
    UnknownId,
    /// What it asks for was deleted before.
    Deleted,
    /// The user it asks for was deactivated before.
    Disabled,
    /// The group it asks for had so many members before.
    Members(usize),
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// GET, POST, PUT, PATCH, DELETE: in capitals.
    pub method: String,
    /// Where, read.
    pub target: Target,
    /// The JSON body; `None`: none, or not recorded.
    pub body: Option<Value>,
    /// What is known about it.
    pub facts: Vec<Fact>,
}

impl Request {
    /// Whether this is known about it.
    pub fn is(&self, fact: Fact) -> bool {
        self.facts.contains(&fact)
    }

    /// Asks for something and changes nothing: GET, HEAD, a search by POST.
    pub fn reads(&self) -> bool {
        self.target.search || matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// What people call it; stands in findings.
    pub name: String,
    /// What was asked.
    pub request: Request,
    /// The status; 0: no answer came.
    pub status: u16,
    /// Headers, names as they came; `None`: not recorded.
    pub headers: Option<Vec<(String, String)>>,
    /// Content-Type as it came; empty: none.
    pub content_type: String,
    /// The body: JSON where it is, text otherwise, `Null` for none.
    pub body: Value,
    /// A userName that existed at the time.
    pub known: Option<String>,
    /// How many users there were at the time.
    pub known_total: Option<u64>,
    /// How long the answer took; `None`: not recorded.
    pub took: Option<Duration>,
}

impl Exchange {
    /// A header's value, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.as_deref().unwrap_or_default();
        all.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// A status of success.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Nothing was sent: no body, or an empty one.
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// A web page: by its label, or by how it begins.
    pub fn is_page(&self) -> bool {
        let begins = |text: &str| {
            let start: String = text.trim_start().chars().take(14).flat_map(char::to_lowercase).collect();
            start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head")
        };
        matches!(self.media_type().as_str(), "text/html" | "application/xhtml+xml") || self.body.as_str().is_some_and(begins)
    }

    /// The media type in small letters, without parameters; empty: none.
    pub fn media_type(&self) -> String {
        self.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body where it is an object.
    pub fn object(&self) -> Option<&Map<String, Value>> {
        self.body.as_object()
    }
}

/// Which identity provider will use the server: what it can't do without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idp {
    /// Needs PATCH and filters, as Entra ID does.
    #[default]
    Entra,
    /// Needs filters; changes come by PUT where PATCH is not offered.
    Okta,
}

/// What the judge is told besides the exchanges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// A userName that exists.
    pub user_name: Option<String>,
    /// How many users there are.
    pub total: Option<u64>,
    /// When our token ends, and the time to judge that at.
    pub token_ends: Option<(UnixMs, UnixMs)>,
    /// Who will use the server.
    pub idp: Idp,
}
