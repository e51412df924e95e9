//! Responses as JSON, one object a line, and what each says of rate limits. Pure, but for reading a line.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::UnixMs;
use crate::ratelimit::{self, Dialect, RateLimit};

/// A line may have this many bytes.
const MAX_LINE: u64 = 4 << 20;
/// So many characters of what is not right are shown.
const MOST_SHOWN: usize = 60;

/// One response. Keys that are not listed are left alone.
#[derive(Debug, Deserialize)]
struct Case {
    name: Option<String>,
    dialect: Option<String>,
    status: Status,
    #[serde(default)]
    headers: Headers,
    received_at: Option<String>,
    body: Option<serde_json::Value>,
}

/// A status, whatever number it is.
#[derive(Clone, Copy, Debug)]
struct Status(u16);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        let number = value.as_u64().and_then(|n| u16::try_from(n).ok());
        let shown: String = value.to_string().chars().take(MOST_SHOWN).collect();
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("status: {shown} is not right here; expected a whole number from 0 to 65535")))
    }
}

/// Headers in the order in which they stand; a value is a text, or an array of the texts of repeated lines.
#[derive(Debug, Default)]
struct Headers(HeaderMap);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a header's value is a text, or an array of texts")]
enum Lines {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = HeaderMap::new();
        while let Some((name, lines)) = map.next_entry::<String, Lines>()? {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| A::Error::custom(format!("{name:?} is no name of a header")))?;
            let lines = match lines {
                Lines::One(line) => vec![line],
                Lines::Many(lines) => lines,
            };
            for line in lines {
                // What could not come over the wire says nothing.
                let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) else { continue };
                headers.try_append(&name, value).map_err(A::Error::custom)?;
            }
        }
        Ok(Headers(headers))
    }
}

/// What is printed for one line.
pub(super) struct Answer {
    pub(super) line: String,
    /// A dialect nobody here knows.
    pub(super) unknown_dialect: Option<String>,
}

#[derive(Serialize)]
struct Printed<'a> {
    name: Option<&'a str>,
    #[serde(flatten)]
    limits: &'a RateLimit,
}

/// The next line with its end, None at the end of the input.
pub(super) fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok((!line.is_empty()).then_some(line))
}

/// Why a line is no response, in plain words.
fn unread(e: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", e.line(), e.column());
    let said = e.to_string();
    let said = said.strip_suffix(&place).unwrap_or(&said);
    let what = match e.classify() {
        serde_json::error::Category::Eof => "the line ends in the middle of its JSON".to_owned(),
        serde_json::error::Category::Syntax => "it is no JSON".to_owned(),
        _ => said.replace("missing field `status`", "status is missing; expected a whole number such as 200").replace("a string", "a text"),
    };
    format!("{what}, at column {}", e.column())
}

/// Reads one line. None for lines without an object: empty ones, and the brackets of an array that has an object a line.
pub(super) fn answer(line: &[u8], dialect: Dialect, received_at: UnixMs) -> Result<Option<Answer>, String> {
    let line = line.trim_ascii();
    let line = line.strip_suffix(b",").unwrap_or(line);
    if matches!(line, b"" | b"[" | b"]") {
        return Ok(None);
    }
    let case: Case = serde_json::from_slice(line).map_err(|e| unread(&e))?;
    let wrong_time = |t: &str| format!("received_at: {t:?} is no time such as \"2026-12-01T08:00:00Z\"");
    let at = |t: &String| t.parse::<jiff::Timestamp>().map(UnixMs::from).map_err(|_| wrong_time(t));
    let received_at = case.received_at.as_ref().map_or(Ok(received_at), at)?;
    let known = case.dialect.as_deref().map_or(Some(dialect), Dialect::parse);
    let body = match case.body {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let limits = ratelimit::read(&ratelimit::Response {
        dialect: known.unwrap_or(dialect),
        status: case.status.0,
        headers: &case.headers.0,
        body: body.as_bytes(),
        received_at,
    });
    let line = serde_json::to_string(&Printed { name: case.name.as_deref(), limits: &limits }).map_err(|e| e.to_string())?;
    Ok(Some(Answer { line, unknown_dialect: case.dialect.filter(|_| known.is_none()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_772_366_400_000);

    fn printed(line: &str) -> String {
        answer(line.as_bytes(), Dialect::Auto, NOW).unwrap().unwrap().line
    }

    #[test]
    fn a_line_is_answered_in_the_agreed_shape() {
        assert_eq!(
            printed(r#"{"name":"a","status":429,"headers":{"Retry-After":["5","9"]},"source":"x"},"#),
            r#"{"name":"a","limit":null,"remaining":null,"reset_in_s":null,"window_s":null,"throttled":true,"retry_after_s":9,"policies":null}"#
        );
        let policy = printed(r#"{"status":200,"headers":{"RateLimit":"\"d\";r=1"}}"#);
        let shape = r#""policies":[{"name":"d","limit":null,"remaining":1,"window_s":null,"reset_in_s":null,"unit":null,"pk":null}]}"#;
        assert!(policy.starts_with(r#"{"name":null,"#) && policy.ends_with(shape), "{policy}");
    }

    #[test]
    fn headers_stay_in_order_and_names_do_not_depend_on_case() {
        let line = r#"{"status":200,"dialect":"zendesk","headers":{"Zendesk-RateLimit-b":"total=2; remaining=1","zendesk-ratelimit-a":"total=3; remaining=1","RATELIMIT-REMAINING":"4","RateLimit-Remaining":"3"}}"#;
        let answer: serde_json::Value = serde_json::from_str(&printed(line)).unwrap();
        let names: Vec<&str> = answer["policies"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["account", "b", "a"]);
        assert_eq!(answer["policies"][0]["remaining"], 3);
    }

    #[test]
    fn lines_without_an_object_and_lines_that_can_not_be_read() {
        for nothing in ["", "  \n", "[\n", "]"] {
            assert!(answer(nothing.as_bytes(), Dialect::Auto, NOW).unwrap().is_none(), "{nothing:?}");
        }
        for (bad, why) in [
            ("{", "the line ends in the middle of its JSON, at column 1"),
            ("{}", "status is missing; expected a whole number such as 200"),
            ("HTTP/1.1 200", "it is no JSON, at column 1"),
            (r#"{"status":-1}"#, "status: -1 is not right here; expected a whole number from 0 to 65535"),
            (r#"{"status":"200"}"#, "status: \"200\" is not right here"),
            (r#"{"status":200,"name":5}"#, "invalid type: integer `5`, expected a text, at column"),
            (r#"{"status":200,"headers":{"a b":"c"}}"#, "\"a b\" is no name of a header"),
            (r#"{"status":200,"headers":{"a":1}}"#, "a header's value is a text"),
            (r#"{"status":200,"received_at":"today"}"#, "\"today\" is no time"),
        ] {
            let said = answer(bad.as_bytes(), Dialect::Auto, NOW).err().unwrap();
            assert!(said.contains(why), "{said}");
        }
        let odd = answer(br#"{"status":200,"dialect":"klingon"}"#, Dialect::Auto, NOW).unwrap().unwrap();
        assert_eq!(odd.unknown_dialect.as_deref(), Some("klingon"));
    }

    #[test]
    fn lines_are_bounded() {
        let mut input = io::Cursor::new(vec![b'x'; MAX_LINE as usize + 5]);
        assert_eq!(next_line(&mut input).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let mut input = io::Cursor::new(b"a\nb".to_vec());
        let mut next = || next_line(&mut input).unwrap();
        assert_eq!([next(), next(), next()], [Some(b"a\n".to_vec()), Some(b"b".to_vec()), None]);
    }
}
