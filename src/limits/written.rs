//! How values are written in JSON, and read again by the command line: times as RFC 3339, spans and times of day as people write them.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

use crate::clock::UnixMs;
use crate::fields::Expected;

fn time<E: Error>(text: &str) -> Result<UnixMs, E> {
    text.parse::<jiff::Timestamp>().map(UnixMs::from).map_err(|_| E::custom("expected a time such as 2026-12-01T08:00:00Z"))
}

/// A time.
pub(super) mod rfc3339 {
    use super::{Deserialize, Deserializer, Serializer, UnixMs};

    pub(in crate::limits) fn serialize<S: Serializer>(t: &UnixMs, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(t)
    }
    pub(in crate::limits) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<UnixMs, D::Error> {
        super::time(&String::deserialize(d)?)
    }
}

/// A time that may be absent.
pub(super) mod rfc3339_option {
    use super::{Deserialize, Deserializer, Serializer, UnixMs};

    pub(in crate::limits) fn serialize<S: Serializer>(t: &Option<UnixMs>, s: S) -> Result<S::Ok, S::Error> {
        match t {
            Some(t) => s.collect_str(t),
            None => s.serialize_none(),
        }
    }
    pub(in crate::limits) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<UnixMs>, D::Error> {
        Option::<String>::deserialize(d)?.map(|text| super::time(&text)).transpose()
    }
}

/// A value that reads what it writes.
pub(super) fn serialize<T: Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(super) fn deserialize<'de, T: FromStr<Err = Expected>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    String::deserialize(d)?.parse().map_err(|expected: Expected| D::Error::custom(format!("expected {expected}")))
}

/// The same where it may be absent.
pub(super) mod option {
    use super::{Deserialize, Deserializer, Display, Error as _, Expected, FromStr, Serializer};

    pub(in crate::limits) fn serialize<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(v) => s.collect_str(v),
            None => s.serialize_none(),
        }
    }
    pub(in crate::limits) fn deserialize<'de, T: FromStr<Err = Expected>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
        let text: Option<String> = Option::deserialize(d)?;
        text.map(|t| t.parse().map_err(|expected: Expected| D::Error::custom(format!("expected {expected}")))).transpose()
    }
}
