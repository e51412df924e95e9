//! Where two JSON values are not alike, by path. Pure.

use serde_json::Value;

/// Places that are named, and that are counted; a changed document may differ everywhere.
const NAMED: usize = 10;
const COUNTED: usize = 10_000;

/// The places in which `found` is not what it should be, such as `gate.integrations[0].soak.counts.fail: 3, not 4`.
pub(super) fn differs(what: &str, found: &Value, should: &Value) -> Vec<String> {
    let mut places = Vec::new();
    walk(what, Some(found), Some(should), &mut places);
    if places.len() > NAMED {
        let more = places.len() - NAMED;
        places.truncate(NAMED);
        places.push(format!("{what}: {more} more places"));
    }
    places
}

fn walk(path: &str, found: Option<&Value>, should: Option<&Value>, places: &mut Vec<String>) {
    match (found, should) {
        _ if places.len() >= COUNTED => {}
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().for_each(|key| walk(&format!("{path}.{key}"), a.get(key), b.get(key), places));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for n in 0..a.len().max(b.len()) {
                walk(&format!("{path}[{n}]"), a.get(n), b.get(n), places);
            }
        }
        (a, b) => places.push(format!("{path}: {}, not {}", short(a), short(b))),
    }
}

fn short(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |v| crate::observed::bounded(v.to_string(), 120))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_named_and_few() {
        let a = json!({ "x": 1, "l": [1, { "y": "a" }], "only": true });
        let b = json!({ "x": 2, "l": [1, { "y": "b" }, 3] });
        assert_eq!(
            differs("gate", &a, &b),
            ["gate.l[1].y: \"a\", not \"b\"", "gate.l[2]: nothing, not 3", "gate.only: true, not nothing", "gate.x: 1, not 2"]
        );
        assert!(differs("gate", &a, &a).is_empty());
        let (many, none) = (json!((0..100).collect::<Vec<_>>()), json!(vec![-1; 100]));
        assert_eq!(differs("x", &many, &none).last().map(String::as_str), Some("x: 90 more places"));
    }
}
