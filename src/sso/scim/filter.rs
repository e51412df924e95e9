//! SCIM filters (RFC 7644, 3.4.2.2): reading one, and whether a resource matches it. Bounded in length and depth.
//!
//! A filter may be recorded encoded or plain, so it has several readings; a resource matches if it matches one of them.

use serde_json::Value;

use super::target::decoded;

/// Characters of a filter that is read at most.
const MOST_TEXT: usize = 4096;
/// Nested brackets that are read at most.
const MOST_DEPTH: usize = 16;

/// A filter, read.
#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// `path op value`; `None` as value: `pr`.
    Compare {
        path: String,
        op: Op,
        /// The operator was not written in small letters.
        odd: bool,
        value: Option<Value>,
    },
    /// `path[...]`.
    Within(String, Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
    Pr,
}

/// `attribute eq "value"`, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Equality {
    /// The attribute in small letters, without its schema.
    pub attribute: String,
    /// The value.
    pub value: String,
    /// The attribute's name or the operator is not spelt as in the RFC.
    pub other_case: bool,
}

impl Equality {
    /// Characters in the value that are easily lost on the way.
    pub(super) fn has_special(&self) -> bool {
        self.value.chars().any(|c| matches!(c, '+' | '"' | '\\' | '%') || !c.is_ascii())
    }
}

/// A filter in all of its readings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter(Vec<Expression>);

impl Filter {
    /// Reads a filter as it was recorded; `None`: it is none in any reading.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let mut all: Vec<Expression> = Vec::new();
        for text in [decoded(raw), raw.to_owned(), decoded(&raw.replace('+', " "))] {
            // Where words are parted by spaces, a plus is a plus.
            if (all.is_empty() || !raw.contains(' '))
                && let Some(read) = Reader::whole(&text)
                && !all.contains(&read)
            {
                all.push(read);
            }
        }
        (!all.is_empty()).then_some(Self(all))
    }

    /// Whether the resource matches; `None`: can't be told.
    pub(super) fn holds(&self, resource: &Value) -> Option<bool> {
        let each: Vec<Option<bool>> = self.0.iter().map(|e| e.holds(resource, 0)).collect();
        any(&each)
    }

    /// The equalities it may be; empty where it is something else.
    pub(super) fn equalities(&self) -> Vec<Equality> {
        let one = |e: &Expression| match e {
            Expression::Compare { path, op: Op::Eq, odd, value: Some(Value::String(value)) } => Some(Equality {
                attribute: plain_name(path).to_ascii_lowercase(),
                value: value.clone(),
                other_case: *odd || odd_name(path),
            }),
            _ => None,
        };
        self.0.iter().map(one).collect::<Option<Vec<_>>>().unwrap_or_default()
    }
}

/// An attribute's name without its schema.
pub(super) fn plain_name(path: &str) -> &str {
    path.rsplit(':').next().unwrap_or(path)
}

/// Whether the name is one of the usual ones in another case.
fn odd_name(path: &str) -> bool {
    let name = plain_name(path);
    ["userName", "externalId", "displayName", "id", "emails.value", "emails"].iter().any(|n| n.eq_ignore_ascii_case(name) && *n != name)
}

/// A member, its name in any case.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn any(each: &[Option<bool>]) -> Option<bool> {
    if each.contains(&Some(true)) {
        Some(true)
    } else if each.contains(&None) {
        None
    } else {
        Some(false)
    }
}

/// The values at a path such as `name.familyName`; of several, all. Empty: not there.
fn values<'a>(resource: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![resource];
    // An extension's attributes stand under its schema: not looked into.
    let parts = plain_name(path).split('.');
    for part in parts {
        at = at
            .into_iter()
            .filter_map(|v| member(v, part))
            .flat_map(|v| v.as_array().map_or_else(|| vec![v], |all| all.iter().collect()))
            .collect();
    }
    at
}

impl Expression {
    fn holds(&self, resource: &Value, depth: usize) -> Option<bool> {
        if depth > MOST_DEPTH {
            return None;
        }
        match self {
            Self::Any(all) => any(&all.iter().map(|e| e.holds(resource, depth + 1)).collect::<Vec<_>>()),
            Self::All(all) => {
                let each: Vec<Option<bool>> = all.iter().map(|e| e.holds(resource, depth + 1).map(|b| !b)).collect();
                any(&each).map(|b| !b)
            }
            Self::Not(inner) => inner.holds(resource, depth + 1).map(|b| !b),
            Self::Within(path, inner) => {
                let found = values(resource, path);
                if found.is_empty() { None } else { any(&found.iter().map(|v| inner.holds(v, depth + 1)).collect::<Vec<_>>()) }
            }
            Self::Compare { path, op, value, .. } => {
                let found = values(resource, path);
                if found.is_empty() || op == &Op::Pr {
                    return (!found.is_empty()).then_some(true);
                }
                let wanted = value.as_ref()?;
                any(&found.iter().map(|v| compare(v, *op, wanted)).collect::<Vec<_>>())
            }
        }
    }
}

fn compare(found: &Value, op: Op, wanted: &Value) -> Option<bool> {
    // A complex value is compared by its sub-attribute "value".
    let found = if found.is_object() { member(found, "value")? } else { found };
    match (found, wanted) {
        (Value::String(f), Value::String(w)) => {
            let (f, w) = (f.to_lowercase(), w.to_lowercase());
            Some(match op {
                Op::Eq => f == w,
                Op::Ne => f != w,
                Op::Co => f.contains(&w),
                Op::Sw => f.starts_with(&w),
                Op::Ew => f.ends_with(&w),
                // Times and text order differently.
                _ => return None,
            })
        }
        (Value::Bool(f), Value::Bool(w)) if matches!(op, Op::Eq | Op::Ne) => Some((f == w) == (op == Op::Eq)),
        (Value::Number(f), Value::Number(w)) if matches!(op, Op::Eq | Op::Ne) => Some((f == w) == (op == Op::Eq)),
        // Other types: a boolean as text is another rule's matter.
        _ => None,
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn whole(text: &str) -> Option<Expression> {
        if text.len() > MOST_TEXT {
            return None;
        }
        let mut reader = Reader { rest: text };
        let read = reader.any(0)?;
        reader.space();
        reader.rest.is_empty().then_some(read)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, c: char) -> bool {
        self.space();
        self.rest.strip_prefix(c).map(|rest| self.rest = rest).is_some()
    }

    /// The next word of letters.
    fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.space();
        let fits = self.word().eq_ignore_ascii_case(word);
        if fits {
            self.rest = self.rest.get(word.len()..).unwrap_or_default();
        }
        fits
    }

    fn any(&mut self, depth: usize) -> Option<Expression> {
        let mut all = vec![self.all(depth)?];
        while self.takes_word("or") {
            all.push(self.all(depth)?);
        }
        if all.len() == 1 { all.pop() } else { Some(Expression::Any(all)) }
    }

    fn all(&mut self, depth: usize) -> Option<Expression> {
        let mut all = vec![self.one(depth)?];
        while self.takes_word("and") {
            all.push(self.one(depth)?);
        }
        if all.len() == 1 { all.pop() } else { Some(Expression::All(all)) }
    }

    fn one(&mut self, depth: usize) -> Option<Expression> {
        if depth >= MOST_DEPTH {
            return None;
        }
        self.space();
        let before = self.rest;
        if self.takes_word("not") {
            if self.takes('(') {
                let inner = self.any(depth + 1)?;
                return self.takes(')').then(|| Expression::Not(Box::new(inner)));
            }
            self.rest = before;
        }
        if self.takes('(') {
            let inner = self.any(depth + 1)?;
            return self.takes(')').then_some(inner);
        }
        let path = self.path()?;
        if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest;
            let inner = self.any(depth + 1)?;
            if !self.takes(']') {
                return None;
            }
            // Entra also compares what stands behind the bracket.
            let Some(rest) = self.rest.strip_prefix('.') else {
                return Some(Expression::Within(path.to_owned(), Box::new(inner)));
            };
            self.rest = rest;
            let sub = self.path()?;
            let compared = self.comparison(sub)?;
            return Some(Expression::Within(path.to_owned(), Box::new(Expression::All(vec![inner, compared]))));
        }
        self.comparison(path)
    }

    /// The operator and the value behind a path.
    fn comparison(&mut self, path: &str) -> Option<Expression> {
        if !self.rest.starts_with(char::is_whitespace) {
            return None;
        }
        self.space();
        let word = self.word();
        let op = match word.to_ascii_lowercase().as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "co" => Op::Co,
            "sw" => Op::Sw,
            "ew" => Op::Ew,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "pr" => Op::Pr,
            _ => return None,
        };
        self.rest = self.rest.get(word.len()..).unwrap_or_default();
        let odd = word.chars().any(|c| c.is_ascii_uppercase());
        let value = if op == Op::Pr { None } else { Some(self.value()?) };
        Some(Expression::Compare { path: path.to_owned(), op, odd, value })
    }

    /// An attribute's path, with its schema or without.
    fn path(&mut self) -> Option<&'a str> {
        self.space();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-$.:".contains(c))).unwrap_or(self.rest.len());
        let (path, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        path.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$').then_some(path)
    }

    fn value(&mut self) -> Option<Value> {
        if !self.rest.starts_with(char::is_whitespace) {
            return None;
        }
        self.space();
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || c == ')' || c == ']').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            number => serde_json::from_str(number).ok().filter(Value::is_number),
        }
    }

    fn quoted(&mut self) -> Option<Value> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find_map(|(at, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes.then_some(at)
        })?;
        let (text, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        // A backslash that escapes nothing is taken as it is: people write DOMAIN\user.
        let plain = || text.get(1..text.len() - 1).map(|t| Value::String(t.to_owned()));
        serde_json::from_str(text).ok().or_else(plain)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn broken_filters_are_none() {
        for broken in [
            "",
            "garbage",
            "userName",
            "userName eq",
            "userName eq ada",
            "userName eq \"ada",
            "userName xx \"a\"",
            "(a pr",
            "a pr and",
            "eq \"x\"",
            "userName eq \"a\" \"b\"",
            "userName = \"a\"",
            "a[b pr",
            "userName%20eq",
            ")))",
            "\"a\" eq userName",
        ] {
            assert_eq!(Filter::read(broken), None, "{broken}");
        }
        assert_eq!(Filter::read(&"(".repeat(3000)), None);
        assert_eq!(Filter::read(&format!("userName eq \"{}\"", "a".repeat(5000))), None);
    }

    #[test]
    fn resources_match_or_not_or_nobody_knows() {
        let ada =
            json!({"userName": "Ada", "active": true, "emails": [{"type": "work", "value": "a@x"}], "name": {"familyName": "L"}, "n": 3});
        let holds = |text: &str| Filter::read(text).unwrap().holds(&ada);
        for yes in [
            "userName eq \"ada\"",
            "USERNAME EQ \"ada\"",
            "userName%20eq%20%22ada%22",
            "userName+eq+\"ada\"",
            "userName sw \"a\" and active eq true",
            "emails[type eq \"work\" and value co \"@\"]",
            "emails.value eq \"A@x\"",
            "emails[type eq \"work\"].value eq \"a@x\"",
            "emails eq \"a@x\"",
            "not (userName eq \"bob\")",
            "n eq 3",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ada\"",
            "userName eq \"bob\" or (name.familyName pr)",
        ] {
            assert_eq!(holds(yes), Some(true), "{yes}");
        }
        for no in [
            "userName eq \"bob\"",
            "active eq false",
            "emails[type eq \"home\"]",
            "not (active eq true)",
            "active eq true and userName eq \"x\"",
        ] {
            assert_eq!(holds(no), Some(false), "{no}");
        }
        for unknown in ["externalId eq \"x\"", "userName gt \"a\"", "active eq \"true\""] {
            assert_eq!(holds(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn equalities_say_what_is_special() {
        let one = |text: &str| Filter::read(text).unwrap().equalities();
        let plus = one("userName eq \"ada+x@y\"");
        assert!(plus.len() == 1 && plus[0].has_special() && plus[0].value == "ada+x@y" && !plus[0].other_case);
        assert_eq!(one("userName%20eq%20%22ada%2Bx@y%22")[0].value, "ada+x@y");
        // A plus in a query that is encoded may be a space.
        assert_eq!(one("userName%20eq%20%22ada+x%22").iter().map(|e| e.value.as_str()).collect::<Vec<_>>(), ["ada+x", "ada x"]);
        assert!(one("username eq \"a\"")[0].other_case && one("userName EQ \"a\"")[0].other_case);
        assert_eq!(one("userName eq \"say \\\"hi\\\"\"")[0].value, "say \"hi\"");
        assert_eq!(one("userName eq \"DOM\\user\"")[0].value, "DOM\\user");
        assert!(one("userName sw \"a\"").is_empty());
    }
}
