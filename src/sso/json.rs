//! JSON of somebody else: bounded in size, depth and count, with what a plain reader hides (byte order mark, bytes that are not UTF-8, members
//! that stand twice). Owns no rule: who asks decides what each of these means.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::fields::bounded;

/// Bytes of one document at most.
pub const MOST_BYTES: usize = 5 << 20;
/// Values (members, elements, texts, numbers) of one document at most: 5 MiB of zeros in an array would fill 100 MiB of memory.
const MOST_VALUES: usize = 200_000;
/// Depth at most.
const MOST_DEPTH: usize = 32;
/// Members that stand twice, at most; of more only the first are told.
const MOST_TWICE: usize = 32;

/// A member that stands twice in its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// Where, such as `keys[0].kid`; at most 80 characters.
    pub place: String,
    /// How deep its object lies: 0 for the document itself.
    pub depth: usize,
    /// The member's name, at most 80 characters.
    pub name: String,
    /// Whether both have the same value.
    pub same: bool,
    /// Whether one of them is more than null.
    pub said: bool,
}

/// A document as read. Of members that stand twice the last is in `value`, as most readers have it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole document.
    pub value: Value,
    /// It began with a byte order mark.
    pub byte_order_mark: bool,
    /// It held bytes that are not UTF-8; they were read as U+FFFD.
    pub not_utf8: bool,
    /// Members that stand twice.
    pub twice: Vec<Twice>,
}

/// Reads a document. The error says in words why it can't be read, without its contents.
pub fn read(bytes: &[u8]) -> Result<Document, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
    }
    let (byte_order_mark, rest) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let text = String::from_utf8_lossy(rest);
    let not_utf8 = matches!(text, std::borrow::Cow::Owned(_));
    if text.trim_ascii().is_empty() {
        return Err("it is empty".into());
    }
    if text.trim_ascii_start().starts_with('<') {
        return Err("it is HTML or XML, not JSON".into());
    }
    let counted = Counted { values: RefCell::new(0), twice: RefCell::new(Vec::new()) };
    let mut reader = serde_json::Deserializer::from_str(&text);
    let whole = One { counted: &counted, place: "", depth: 0 }.deserialize(&mut reader);
    let value = whole.and_then(|v| reader.end().map(|()| v)).map_err(|e| {
        // serde_json's own words may quote the document.
        match e.classify() {
            serde_json::error::Category::Data if e.to_string().starts_with(REFUSED) => bounded(e.to_string(), 80),
            serde_json::error::Category::Eof => "it is JSON that breaks off".into(),
            _ => format!("it is not JSON (line {}, column {})", e.line(), e.column()),
        }
    })?;
    Ok(Document { value, byte_order_mark, not_utf8, twice: counted.twice.into_inner() })
}

const REFUSED: &str = "it has more than";

struct Counted {
    values: RefCell<usize>,
    twice: RefCell<Vec<Twice>>,
}

/// One value at its place.
#[derive(Clone, Copy)]
struct One<'a> {
    counted: &'a Counted,
    place: &'a str,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let mut values = self.counted.values.borrow_mut();
        *values += 1;
        if *values > MOST_VALUES {
            return Err(D::Error::custom(format_args!("{REFUSED} {MOST_VALUES} values")));
        }
        drop(values);
        from.deserialize_any(self)
    }
}

impl One<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<usize, E> {
        if self.depth >= MOST_DEPTH { Err(E::custom(format_args!("{REFUSED} {MOST_DEPTH} levels"))) } else { Ok(self.depth + 1) }
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut all = Vec::new();
        loop {
            let place = format!("{}[{}]", self.place, all.len());
            match from.next_element_seed(One { counted: self.counted, place: &place, depth })? {
                Some(v) => all.push(v),
                None => return Ok(Value::Array(all)),
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut all = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let shown = bounded(&name, 80);
            let place = if self.place.is_empty() { shown.clone() } else { bounded(format!("{}.{shown}", self.place), 80) };
            let value = from.next_value_seed(One { counted: self.counted, place: &place, depth })?;
            let said = !value.is_null();
            match all.entry(name) {
                serde_json::map::Entry::Vacant(free) => {
                    free.insert(value);
                }
                serde_json::map::Entry::Occupied(mut before) => {
                    let mut twice = self.counted.twice.borrow_mut();
                    if twice.len() < MOST_TWICE {
                        let same = *before.get() == value;
                        twice.push(Twice { place, depth: self.depth, name: shown, same, said: said || !before.get().is_null() });
                    }
                    before.insert(value);
                }
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plain_reader_hides_is_told() {
        let read = read(b"\xef\xbb\xbf{\"a\":1,\"keys\":[{\"d\":\"x\",\"d\":null}],\"a\":1,\"n\":-1.5,\"t\":[true,\"\xff\"]}").unwrap();
        assert!(read.byte_order_mark && read.not_utf8);
        let twice: Vec<_> = read.twice.iter().map(|t| (t.place.as_str(), t.depth, t.same, t.said)).collect();
        assert_eq!(twice, [("keys[0].d", 2, false, true), ("a", 0, true, true)]);
        assert_eq!(read.value, serde_json::json!({ "a": 1, "keys": [{ "d": null }], "n": -1.5, "t": [true, "\u{fffd}"] }));
    }

    #[test]
    fn every_bound_holds_and_nothing_is_quoted() {
        let deep = "[".repeat(40);
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        for (text, why) in [
            ("", "it is empty"),
            (" <html>secret", "it is HTML or XML, not JSON"),
            ("{\"a\":", "it is JSON that breaks off"),
            ("{\"a\":secret}", "it is not JSON (line 1, column 6)"),
            ("{} {}", "it is not JSON (line 1, column 4)"),
            (&deep, "it has more than 32 levels"),
            (&many, "it has more than 200000 values"),
        ] {
            let said = read(text.as_bytes()).unwrap_err();
            assert!(said.starts_with(why), "{said}");
            assert!(!said.contains("secret"));
        }
        assert_eq!(read(&vec![b' '; MOST_BYTES + 1]).unwrap_err(), "it is larger than 5 MiB");
        assert_eq!(read(&[0xff; 100]).unwrap_err(), "it is not JSON (line 1, column 1)");
    }
}
