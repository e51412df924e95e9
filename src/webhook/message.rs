//! A request as it came: method, address, headers, the raw body. Never decodes or changes a byte of it.

use http::HeaderMap;

use super::MAX_HEADER;
use super::verify::Reason;

/// Header lines in order. Names don't depend on case; values are bytes.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Adds a line.
    pub fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// The lines of a name, in order.
    pub fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let name = name.to_ascii_lowercase();
        self.0.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v.as_slice())
    }

    /// Whether any name begins so (in lower case).
    pub(super) fn any_begins(&self, prefix: &str) -> bool {
        self.0.iter().any(|(n, _)| n.starts_with(prefix))
    }

    /// The one value of a header that may stand once. An empty one is missing; two that differ are malformed, because nobody can say which is meant.
    pub(super) fn one(&self, name: &str) -> Result<&[u8], Reason> {
        let mut lines = self.all(name);
        let first = lines.next().filter(|v| !v.is_empty()).ok_or(Reason::MissingHeader)?;
        if first.len() > MAX_HEADER || lines.any(|other| other != first) { Err(Reason::MalformedHeader) } else { Ok(first) }
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(n, _)| n)).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut headers = Self::default();
        lines.into_iter().for_each(|(n, v)| headers.add(n.as_ref(), v.as_ref()));
        headers
    }
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        map.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect()
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// The whole address as the sender knows it: behind a proxy that is the public one, not ours. Twilio and HubSpot sign it.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a Headers,
    /// Its body, byte for byte as it came.
    pub body: &'a [u8],
}

/// What names one message among all of its sender's: the same for every attempt to deliver it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// Who numbers its messages so, where one address gets those of several (CloudEvents).
    pub source: Option<String>,
    /// The id.
    pub id: String,
}
