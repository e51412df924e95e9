//! How typed values stand in evidence, as `#[serde(with = "...")]`: times by [`time_text`], ids and spans by their own text.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserializer, Serializer};

use super::{time_of, time_text};
use crate::clock::UnixMs;

fn read_time<E: Error>(text: &str) -> Result<UnixMs, E> {
    time_of(text).ok_or_else(|| E::custom("expected a time such as \"2026-11-30T08:00:00.000Z\""))
}

fn read_text<T: FromStr<Err: Display>, E: Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|e: T::Err| E::custom(format!("expected {e}")))
}

/// A time.
pub mod time {
    use super::{Deserializer, Serializer, UnixMs, read_time, time_text};
    use serde::Deserialize as _;

    /// Writes it.
    pub fn serialize<S: Serializer>(t: &UnixMs, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&time_text(*t))
    }
    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<UnixMs, D::Error> {
        read_time(&String::deserialize(d)?)
    }
}

/// A time, or null.
pub mod time_option {
    use super::{Deserializer, Serializer, UnixMs, read_time, time_text};
    use serde::{Deserialize as _, Serialize as _};

    /// Writes it.
    pub fn serialize<S: Serializer>(t: &Option<UnixMs>, s: S) -> Result<S::Ok, S::Error> {
        t.map(time_text).serialize(s)
    }
    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<UnixMs>, D::Error> {
        Option::<String>::deserialize(d)?.map(|t| read_time(&t)).transpose()
    }
}

/// What has a text of its own.
pub mod text {
    use super::{Deserializer, Display, FromStr, Serializer, read_text};
    use serde::Deserialize as _;

    /// Writes it.
    pub fn serialize<T: Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }
    /// Reads it.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        read_text(&String::deserialize(d)?)
    }
}

/// What has a text of its own, or null.
pub mod text_option {
    use super::{Deserializer, Display, FromStr, Serializer, read_text};
    use serde::{Deserialize as _, Serialize as _};

    /// Writes it.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(s)
    }
    /// Reads it.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(d)?.map(|t| read_text(&t)).transpose()
    }
}

/// A time that a record holds under a key.
pub(crate) fn time_at(body: &serde_json::Map<String, serde_json::Value>, key: &str) -> Option<UnixMs> {
    body.get(key).and_then(serde_json::Value::as_str).and_then(time_of)
}

/// A text that a record holds under a key.
pub(crate) fn text_at<'b>(body: &'b serde_json::Map<String, serde_json::Value>, key: &str) -> Option<&'b str> {
    body.get(key).and_then(serde_json::Value::as_str)
}
