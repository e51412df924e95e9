//! `RateLimit` and `RateLimit-Policy`: structured fields (RFC 9651) of draft-ietf-httpapi-ratelimit-headers, revisions 04 to 10. A syntax error
//! drops the field it is in, a wrong member only itself.

use std::collections::HashMap;

use http::HeaderMap;
use sfv::{BareItem, Dictionary, FieldType, Item, List, ListEntry, Parameters, Parser};

use super::number::Number;
use super::policy::{Policy, Quota};
use super::times::{Times, Unit};

/// What the two fields say.
#[derive(Debug, Default)]
pub(super) struct Structured {
    /// Named policies (revisions 08 to 10).
    pub(super) named: Vec<Policy>,
    /// `100;w=60` in RateLimit-Policy (revisions 04 to 07).
    pub(super) numbered: Vec<Policy>,
    /// `RateLimit: limit=100, remaining=50, reset=5` (revision 07).
    pub(super) dictionary: Option<Quota>,
}

pub(super) fn read(headers: &HeaderMap, times: &Times) -> Structured {
    let policies = field(headers, "ratelimit-policy");
    let (named, numbered) =
        policies.as_deref().and_then(parse::<List>).map_or_else(Default::default, |(list, raw)| of_policies(&list, &raw));
    let state = field(headers, "ratelimit");
    let list = state.as_deref().and_then(parse::<List>);
    let dictionary = match (&state, &list) {
        (Some(text), None) => parse::<Dictionary>(text).map(|(d, _)| of_dictionary(&d, times)).filter(|q| !q.is_empty()),
        _ => None,
    };
    let items = list.map_or_else(Vec::new, |(list, raw)| of_items(&list, &raw, times));
    Structured { named: join(items, named), numbered, dictionary }
}

/// All lines of a field, joined as RFC 9651 (4.2) wants it.
fn field(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|v| v.as_bytes().trim_ascii()).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

/// Byte sequences of a field by what they decode to, as they were sent.
type Raw = HashMap<Vec<u8>, String>;

fn parse<T: FieldType>(text: &[u8]) -> Option<(T, Raw)> {
    Some((Parser::new(text).parse::<T>().ok()?, raw(text)))
}

/// Finds the byte sequences in a text that is a structured field. The parser hands out decoded bytes, and bits after the last byte, which senders
/// do set, are gone by then.
fn raw(text: &[u8]) -> Raw {
    let (mut found, mut n) = (Raw::new(), 0);
    let mut before = b' ';
    while let Some(c) = text.get(n) {
        let rest = &text[n + 1..];
        let length = match c {
            b'"' => string_length(rest),
            // A token may hold colons, but never begins with one, and no token stands before these.
            b':' if matches!(before, b'=' | b',' | b' ' | b'\t' | b'(') => rest.iter().position(|c| *c == b':').map_or(rest.len(), |end| {
                let value = BareItem::ByteSequence(Vec::new());
                let decoded = Parser::new(&text[n..=n + 1 + end]).parse::<Item>().map_or(value, |i| i.bare_item);
                if let BareItem::ByteSequence(bytes) = decoded {
                    found.entry(bytes).or_insert_with(|| String::from_utf8_lossy(&rest[..end]).into_owned());
                }
                end + 1
            }),
            _ => 0,
        };
        before = *c;
        n += 1 + length;
    }
    found
}

/// How far a string goes after its first quote, with the last one.
fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    for (n, c) in rest.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return n + 1,
            _ => {}
        }
    }
    rest.len()
}

/// An Integer that is not negative.
fn whole(item: Option<&BareItem>) -> Option<u64> {
    item?.as_integer().and_then(|n| u64::try_from(i64::from(n)).ok())
}

fn seconds(item: Option<&BareItem>) -> Option<Number> {
    whole(item).and_then(|n| Number::parse(&n.to_string()))
}

fn unit(params: &Parameters) -> Option<String> {
    params.get("qu").and_then(BareItem::as_string).map(|s| s.as_str().to_owned())
}

fn pk(params: &Parameters, raw: &Raw) -> Option<String> {
    params.get("pk").and_then(BareItem::as_byte_sequence).and_then(|b| raw.get(b).cloned())
}

fn window(params: &Parameters) -> Option<std::time::Duration> {
    whole(params.get("w")).filter(|w| *w > 0).map(std::time::Duration::from_secs)
}

fn name(item: &BareItem) -> Option<String> {
    item.as_string().map(|s| s.as_str().to_owned()).or_else(|| item.as_token().map(|t| t.as_str().to_owned()))
}

fn items(list: &List) -> impl Iterator<Item = &Item> {
    list.iter().filter_map(|e| match e {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

/// RateLimit-Policy: named members, and numbered ones.
fn of_policies(list: &List, raw: &Raw) -> (Vec<Policy>, Vec<Policy>) {
    let (mut named, mut numbered) = (Vec::new(), Vec::new());
    for Item { bare_item, params } in items(list) {
        let own = Policy { window: window(params), ..Policy::default() };
        if let Some(name) = name(bare_item) {
            // Without a quota that can be read, a policy says nothing.
            if let Some(limit) = whole(params.get("q")) {
                named.push(Policy { name: Some(name), limit: Some(limit), unit: unit(params), pk: pk(params, raw), ..own });
            }
        } else if let Some(limit) = whole(Some(bare_item)) {
            numbered.push(Policy { limit: Some(limit), ..own });
        }
    }
    (named, numbered)
}

/// RateLimit as a list of what is left of named policies. Some leave `r` out on purpose while little is used.
fn of_items(list: &List, raw: &Raw, times: &Times) -> Vec<Policy> {
    let read = |Item { bare_item, params }: &Item| {
        let remaining = match params.get("r") {
            None => None,
            r => Some(whole(r)?),
        };
        let reset_in = seconds(params.get("t")).and_then(|t| times.number(t, Unit::Seconds));
        Some(Policy { name: Some(name(bare_item)?), remaining, reset_in, pk: pk(params, raw), ..Policy::default() })
    };
    items(list).filter_map(read).collect()
}

fn of_dictionary(dictionary: &Dictionary, times: &Times) -> Quota {
    let member = |key: &str| match dictionary.get(key) {
        Some(ListEntry::Item(item)) => Some(&item.bare_item),
        _ => None,
    };
    let reset_in = seconds(member("reset")).and_then(|t| times.number(t, Unit::Seconds));
    Quota { limit: whole(member("limit")), remaining: whole(member("remaining")), reset_in, window: None }
}

/// Each item with the first policy of its name whose partition key is the same, or absent on either side; then the policies nobody spoke of.
fn join(items: Vec<Policy>, policies: Vec<Policy>) -> Vec<Policy> {
    // Found by look-up: a list of items times a list of policies would be for an attacker to choose.
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut by_key: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for (n, policy) in policies.iter().enumerate() {
        let name = policy.name.as_deref().unwrap_or_default();
        by_name.entry(name).or_insert(n);
        by_key.entry((name, policy.pk.as_deref())).or_insert(n);
    }
    let mut spoken = vec![false; policies.len()];
    let mut joined: Vec<Policy> = Vec::new();
    for item in items {
        let name = item.name.as_deref().unwrap_or_default();
        let found = match item.pk.as_deref() {
            None => by_name.get(name).copied(),
            pk => by_key.get(&(name, pk)).into_iter().chain(by_key.get(&(name, None))).min().copied(),
        };
        joined.push(match found {
            None => item,
            Some(n) => {
                spoken[n] = true;
                let Policy { limit, window, unit, pk, .. } = policies[n].clone();
                Policy { limit, window, unit, pk: item.pk.or(pk), ..item }
            }
        });
    }
    drop((by_name, by_key));
    joined.extend(policies.into_iter().zip(spoken).filter(|(_, spoken)| !spoken).map(|(p, _)| p));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ratelimit::lines::tests::headers;

    fn of(lines: &[(&'static str, &'static str)]) -> Structured {
        let headers = headers(lines);
        let times = Times::of(&headers, UnixMs(1_772_366_400_000));
        read(&headers, &times)
    }

    /// Name, limit, remaining, window, reset.
    type Seen = (String, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

    fn named(policy: &'static str, state: &'static str) -> Vec<Seen> {
        let all = of(&[("ratelimit-policy", policy), ("ratelimit", state)]).named;
        let secs = |d: Option<std::time::Duration>| d.map(|d| d.as_secs());
        all.into_iter().map(|p| (p.name.unwrap(), p.limit, p.remaining, secs(p.window), secs(p.reset_in))).collect()
    }

    #[test]
    fn a_wrong_member_drops_itself_and_a_syntax_error_its_field() {
        let one = |name: &str, l, r, w, t| vec![(name.to_owned(), l, r, w, t)];
        assert_eq!(named("\"a\";q=10;w=0", "\"a\";r=1;t=-1"), one("a", Some(10), Some(1), None, None));
        assert_eq!(
            named("\"a\";q=-1, \"a\";q=1.5, \"a\";w=1, (\"a\");q=1, :YQ==:;q=1, 1.5;w=1", "\"a\";r=1"),
            one("a", None, Some(1), None, None)
        );
        assert_eq!(
            named("\"a\";q=10;w=1.5", "\"a\";r=1.0, \"a\";r=-1, \"a\";r, 5;r=1, \"a\";r=\"1\""),
            one("a", Some(10), None, None, None)
        );
        assert_eq!(named("\"a\";q=10;;w=1", "\"a\";r=1"), one("a", None, Some(1), None, None), "the policy field is void");
        assert_eq!(named("\"a\";q=10", "\"a\";r=1 x"), one("a", Some(10), None, None, None), "the state field is void");
        assert_eq!(named("\"a\";q=1000000000000000", "\"a\";r=1"), one("a", None, Some(1), None, None), "16 digits are a syntax error");
        assert_eq!(named("\"a\";q=1;q=2;X=3", "\"a\";r=1"), one("a", None, Some(1), None, None), "keys are lower case");
        assert_eq!(named("\"a\";q=1;q=2; w=3; x=?1", "a;r=1;r=7;comment=\"x,y\""), one("a", Some(2), Some(7), Some(3), None));
        assert_eq!(named("\"a\";q=1,", "\"a\";t=1772366460"), one("a", None, None, None, Some(60)), "a trailing comma; an epoch");
    }

    #[test]
    fn partition_keys_join_and_stay_as_they_were_sent() {
        let all = of(&[
            (
                "ratelimit-policy",
                "\"a\";q=1;pk=:YQ==:, \"a\";q=2;pk=:Yh==:, \"a\";q=3, \"b\";q=4;pk=:YQ==:;qu=requests, \"c\";q=5;qu=\"x:y\"",
            ),
            ("ratelimit", "\"a\";r=1;pk=:Yg==:, \"a\";r=2;pk=:YQ==:, \"a\";r=3;pk=:Yw==:, \"a\";r=4, \"b\";r=5"),
        ]);
        let seen: Vec<_> = all.named.iter().map(|p| (p.remaining, p.limit, p.pk.as_deref())).collect();
        assert_eq!(
            seen,
            [
                // The same bytes, written with other bits behind them, are another text.
                (Some(1), Some(3), Some("Yg==")),
                (Some(2), Some(1), Some("YQ==")),
                (Some(3), Some(3), Some("Yw==")),
                (Some(4), Some(1), Some("YQ==")),
                (Some(5), Some(4), Some("YQ==")),
                (None, Some(2), Some("Yh==")),
                (None, Some(5), None),
            ]
        );
        assert_eq!(all.named[4].unit, None, "a unit is a String");
        assert_eq!(all.named[6].unit.as_deref(), Some("x:y"));
    }

    #[test]
    fn byte_sequences_are_found_where_they_are() {
        let found = raw(br#""a:b:c\":YQ==:";x=t:YQ:;pk=:YQ:, :Yh==:"#);
        let mut texts: Vec<&str> = found.values().map(String::as_str).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["YQ", "Yh=="]);
    }

    #[test]
    fn the_dictionary_of_revision_07() {
        let dictionary = |text| of(&[("ratelimit", text)]).dictionary.map(|q| (q.limit, q.remaining, q.reset_in.map(|d| d.as_secs())));
        assert_eq!(dictionary("limit=100, remaining=50, reset=5"), Some((Some(100), Some(50), Some(5))));
        assert_eq!(dictionary("limit=10, remaining=-1, reset=1.5"), Some((Some(10), None, None)));
        assert_eq!(dictionary("limit=(1 2), remaining=7;x=1"), Some((None, Some(7), None)));
        assert_eq!(dictionary("limit=1, limit=2"), Some((Some(2), None, None)));
        assert_eq!(dictionary("Limit=1"), None);
        assert_eq!(dictionary("x=1"), None);
        let all = of(&[("ratelimit-policy", "10;w=1, 50;w=60;burst=1000"), ("ratelimit", "limit=10, reset=1")]);
        assert_eq!(
            all.numbered.iter().map(|p| (p.limit, p.window.map(|w| w.as_secs()))).collect::<Vec<_>>(),
            [(Some(10), Some(1)), (Some(50), Some(60))]
        );
    }
}
