//! Regular expressions and JSON paths: compiled when the configuration is read, bounded so that no body can make them slow.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A pattern may be this long.
const MAX_SOURCE: usize = 2000;
/// A compiled pattern, and its cache while it runs, may take so many bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A regular expression (linear time), searched anywhere in the text.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    /// Compiles it; the error says what is wrong, in words.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("it has more than {MAX_SOURCE} bytes"));
        }
        let regex = RegexBuilder::new(source).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build().map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => "it is too large once compiled".to_owned(),
            // The last line of the parser's picture says what it is.
            e => e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })?;
        Ok(Self { source: source.to_owned(), regex })
    }
    /// As written.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// Whether it is found.
    pub fn found_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

/// A JSON path (RFC 9535).
#[derive(Clone, Debug)]
pub struct Path {
    source: String,
    path: JsonPath,
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Path {
    /// Parses it; the error says what is wrong, in words.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("it has more than {MAX_SOURCE} bytes"));
        }
        if !source.starts_with('$') {
            return Err("it does not start with $, which stands for the whole body".into());
        }
        let path = JsonPath::parse(source).map_err(|e| {
            let rest: String = source.get(e.position()..).unwrap_or_default().chars().take(20).collect();
            // "in long-hand segment, expected closing ']'": the first part is the grammar's own name.
            let message = e.message().split_once(", ").filter(|(context, _)| context.starts_with("in ")).map_or(e.message(), |(_, m)| m);
            let at = if rest.is_empty() { "at its end".to_owned() } else { format!("at `{rest}`") };
            if message == "parser error" { format!("it can't be read {at}") } else { format!("it can't be read {at}: {message}") }
        })?;
        bounded_work(source)?;
        Ok(Self { source: source.to_owned(), path })
    }
    /// As written.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// The values it selects.
    pub fn select<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        self.path.query(value).all()
    }
}

/// Refuses what would cost more than one pass over a body a stranger wrote: a second `..`, and filters that search on their own.
fn bounded_work(source: &str) -> Result<(), String> {
    let mut quote = None;
    let mut depth = 0u32;
    let mut filter: Option<u32> = None;
    let mut descents = 0;
    let mut previous = ' ';
    for c in source.chars() {
        match (quote, c) {
            (Some(_), _) if previous == '\\' => {
                previous = ' ';
                continue;
            }
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                if filter == Some(depth) {
                    filter = None;
                }
                depth = depth.saturating_sub(1);
            }
            (None, '?') => filter = filter.or(Some(depth)),
            (None, '.') if previous == '.' => {
                descents += 1;
                if filter.is_some() {
                    return Err("`..` inside a filter (?...) could take very long on a large body".into());
                }
            }
            (None, '$') if filter.is_some() => return Err("`$` inside a filter (?...) could take very long on a large body".into()),
            _ => {}
        }
        previous = c;
    }
    if descents > 1 { Err("more than one `..` could take very long on a large body".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_bounded() {
        assert!(Pattern::new("ok|fine").unwrap().found_in(b"all fine\0\xff"));
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("a{1000}{1000}{1000}").unwrap_err().contains("too large"));
        assert!(Pattern::new(&"a".repeat(3000)).is_err());
    }

    #[test]
    fn paths_select_and_costly_ones_are_refused() {
        let value = serde_json::json!({"orders": [{"id": 1, "n": "abc"}, {"id": 2, "n": "d"}], "a..b": 1});
        let count = |p: &str| Path::new(p).unwrap().select(&value).len();
        assert_eq!(count("$.orders"), 1);
        assert_eq!(count("$.orders[*].id"), 2);
        assert_eq!(count("$..id"), 2);
        assert_eq!(count("$.orders[?@.id > 1]"), 1);
        assert_eq!(count("$.orders[?length(@.n) > 2]"), 1);
        assert_eq!(count("$['a..b']"), 1);
        assert_eq!(count("$.orders[?@.n == 'x..$..']..id"), 0);
        for bad in ["$..*..*", "$[?@..id]", "$.orders[?@.id == $.orders[0].id]", "orders", "$."] {
            assert!(Path::new(bad).is_err(), "{bad}");
        }
        for (bad, why) in [
            ("orders", "it does not start with $, which stands for the whole body"),
            ("$.orders[", "it can't be read at `[`"),
            ("$.orders[0", "it can't be read at its end: expected closing ']'"),
            ("$.orders id", "it can't be read at ` id`"),
            ("$.", "it can't be read at its end: must start with lowercase alpha or '_'"),
            ("$[?nosuch(@.a)]", "it can't be read at `nosuch(@.a)]`: function name 'nosuch' is not defined"),
            ("$.a$", "it can't be read at `$`"),
        ] {
            assert_eq!(Path::new(bad).unwrap_err(), why, "{bad}");
        }
    }
}
