//! A run's name: the same in the log, the API, the pages, incidents and, where that is set, in the probe's own requests (`traceparent`, W3C Trace Context).
//!
//! Derived from what the store keys a run by, the check and its slot, so that it costs no byte on disk and is the same after a restart. Owns no lookup.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::UnixMs;
use crate::fields::{CheckId, Expected};
use crate::hex::Hex;

/// The name of a run: 16 bytes, written as 32 hex digits in lower case. It is the trace-id of the run's requests, and never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId([u8; 16]);

/// What a request says of the attempt it belongs to: the value of `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    run: RunId,
    attempt: usize,
}

/// The first bytes of a digest over a domain of its own: nothing else that is hashed has the same. Zeros mean "none" to others.
fn derived<const N: usize>(domain: &str, of: &[&[u8]]) -> [u8; N] {
    let mut text = Vec::with_capacity(128);
    text.extend_from_slice(domain.as_bytes());
    for part in of {
        text.push(0);
        text.extend_from_slice(part);
    }
    let mut bytes = [0; N];
    for (byte, from) in bytes.iter_mut().zip(digest(&SHA256, &text).as_ref()) {
        *byte = *from;
    }
    if bytes.iter().all(|b| *b == 0)
        && let Some(last) = bytes.last_mut()
    {
        *last = 1;
    }
    bytes
}

impl RunId {
    /// The run of a check for a slot.
    pub fn of(check: &CheckId, slot: UnixMs) -> Self {
        Self(derived("soakwatch run", &[check.as_str().as_bytes(), &slot.0.to_be_bytes()]))
    }

    /// What the requests of one of its attempts carry; the first attempt is 0.
    pub fn attempt(self, number: usize) -> TraceParent {
        TraceParent { run: self, attempt: number }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// `00-RUN-ATTEMPT-01`: version 0, and sampled, for what is asked for is that it stands in their logs.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-", self.run)?;
        // Only here: most runs send none.
        Hex(&derived::<8>("soakwatch attempt", &[&self.run.0, &(self.attempt as u64).to_be_bytes()])).fmt(f)?;
        f.write_str("-01")
    }
}

/// 32 hex digits, or a whole `traceparent`, of which only the run counts: whoever looks one up has it from a log.
impl FromStr for RunId {
    type Err = Expected;
    fn from_str(text: &str) -> Result<Self, Expected> {
        let wrong = || Expected("a run's id, 32 hex digits (or a whole traceparent)".into());
        let mut parts = text.trim().split('-');
        let id = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(id), None, ..) => id,
            (Some(version), Some(id), Some(parent), Some(flags), None) if (version.len(), parent.len(), flags.len()) == (2, 16, 2) => id,
            _ => return Err(wrong()),
        };
        let mut bytes = [0; 16];
        if id.len() != 32 {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(id.as_bytes().chunks_exact(2)) {
            let digit = |n: usize| pair.get(n).and_then(|c| char::from(*c).to_digit(16)).and_then(|d| u8::try_from(d).ok());
            *byte = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl schemars::JsonSchema for RunId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> CheckId {
        "acme/production/crm/orders".parse().unwrap()
    }

    /// The same on every machine and in every version: it stands in other people's logs.
    #[test]
    fn a_run_has_one_name_for_good() {
        let run = RunId::of(&check(), UnixMs(1_796_112_000_000));
        assert_eq!(run.to_string(), "cdfa03490cab98591fe4f7b4ee3b5aea");
        assert_eq!(run.attempt(0).to_string(), "00-cdfa03490cab98591fe4f7b4ee3b5aea-e9cbc635310e254a-01");
        assert_ne!(run, RunId::of(&check(), UnixMs(1_796_112_000_001)), "each slot has its own");
        assert_ne!(run, RunId::of(&"acme/production/crm/order".parse().unwrap(), UnixMs(1_796_112_000_000)));
        assert_ne!(run.attempt(0), run.attempt(1), "each attempt has its own");
    }

    #[test]
    fn it_is_read_from_itself_and_from_what_was_sent() {
        let run = RunId::of(&check(), UnixMs(0));
        for text in [run.to_string(), run.to_string().to_uppercase(), run.attempt(3).to_string()] {
            assert_eq!(text.parse::<RunId>().unwrap(), run, "{text}");
        }
        for wrong in [
            "",
            "4bf92f3577b34da6a3ce929d0e0e473",
            "4bf92f3577b34da6a3ce929d0e0e47369",
            "xbf92f3577b34da6a3ce929d0e0e4736",
            "é",
            "00-1-2-3",
        ] {
            assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
        }
        assert_eq!(serde_json::from_value::<RunId>(serde_json::to_value(run).unwrap()).unwrap(), run);
    }
}
