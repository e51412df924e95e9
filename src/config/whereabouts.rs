//! Where each key of a customer's file belongs: the answer to a key that stands in the wrong table. Read from the reference file, which a test
//! holds to the readers, so that no list has to be kept.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};

const REFERENCE: &str = include_str!("../../config/customers/reference.toml");
/// Tables whose keys the user chooses.
const FREE: [&str; 4] = ["attribution", "query", "form", "json"];

/// Key to the tables it stands in: `integration[].check[].http`.
static TABLES: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let mut found = BTreeMap::new();
    let (table, _) = DeTable::parse_recoverable(REFERENCE);
    walk(table.get_ref(), "", &mut found);
    // `#key = value`, without a space, shows another possible value below the same heading.
    let (mut path, mut lists) = (String::new(), Vec::new());
    for line in REFERENCE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            let name = name.trim_start_matches('[');
            if line.starts_with("[[") {
                lists.push(name);
            }
            path = below(name, &lists);
        } else if let Some(other) = line.strip_prefix('#').filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase())) {
            let (table, _) = DeTable::parse_recoverable(other);
            walk(table.get_ref(), &path, &mut found);
        }
    }
    found
});

/// `integration.check.http` as `integration[].check[].http`.
fn below(name: &str, lists: &[&str]) -> String {
    let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
    let mut from = 0;
    ends.fold(String::new(), |path, end| {
        let list = if lists.contains(&&name[..end]) { "[]" } else { "" };
        let step = &name[from..end];
        from = end;
        format!("{path}{step}{list}")
    })
}

fn walk(table: &DeTable<'_>, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        let tables = found.entry(key.to_owned()).or_default();
        if !tables.iter().any(|t| t == path) {
            tables.push(path.to_owned());
        }
        let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value.get_ref() {
            DeValue::Table(t) if !FREE.contains(&key) && below != "integration[].check[].http.headers" => walk(t, &below, found),
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(t) = item.get_ref() {
                        walk(t, &format!("{below}[]"), found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The heading of the one table this key belongs in, if it lies near the one it was found in: below it, else above it, else beside it. `None` if there
/// is none, or more than one.
pub(super) fn heading(key: &str, found_in: &str) -> Option<String> {
    // A table of the file itself is its own heading.
    let tables = TABLES.get(key)?.iter().filter(|t| !t.is_empty());
    let near: Vec<(Near, &String)> = tables.filter_map(|t| Some((near(t, found_in)?, t))).collect();
    let nearest = near.iter().map(|(n, _)| *n).min()?;
    let mut best = near.iter().filter(|(n, _)| *n == nearest).map(|(_, t)| t);
    match (best.next(), best.next()) {
        (Some(table), None) => {
            let name = table.replace("[]", "");
            Some(if table.ends_with("[]") { format!("[[{name}]]") } else { format!("[{name}]") })
        }
        _ => None,
    }
}

/// How one table lies to another, the nearest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    Below,
    Above,
    Beside,
}

fn near(table: &str, other: &str) -> Option<Near> {
    let steps = |t: &str| t.split('.').map(|s| s.split('[').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let (a, b) = (steps(table), steps(other));
    let parent = |t: &[String]| t.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default();
    match () {
        () if a.starts_with(&b) => Some(Near::Below),
        () if b.starts_with(&a) => Some(Near::Above),
        () => (a.len() > 1 && parent(&a) == parent(&b)).then_some(Near::Beside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_place_or_none_is_named() {
        let http = "integration[0].check[1].http";
        for (key, found_in, place) in [
            ("within", http, "[integration.check.http.expect]"),
            ("certificate_days", "integration[0].check[0]", "[integration.check.http.expect]"),
            ("auth", "integration[0].check[0].http.expect", "[integration.check.http]"),
            ("status", "integration[0].check[0].http.auth", "[integration.check.http.expect]"),
            ("timeout", http, "[[integration.check]]"),
            ("longest_outage", "integration[2]", "[integration.soak]"),
            ("longest_outage", "customer", "[customer.soak]"),
            ("criterion", "integration[0]", "[[integration.waiver]]"),
            ("runbook", http, "[[integration]]"),
            ("redirects", "integration[0].check[0]", "[integration.check.http]"),
            ("auth_method", http, "[integration.check.http.auth.oauth2]"),
        ] {
            assert_eq!(heading(key, found_in).as_deref(), Some(place), "{key}");
        }
        // A soak and the end of hypercare have one each.
        assert_eq!(heading("success_ratio", "integration[2]"), None);
        // Several kinds have one.
        for key in ["ca", "url"] {
            assert_eq!(heading(key, "integration[0].check[0]"), None, "{key}");
        }
        // Too far away to have been meant.
        assert_eq!(heading("form", "integration[0].maintenance[0]"), None);
        // In several places, of the user's choice, or nowhere.
        for key in ["id", "name", "headers", "min", "fields", "Accept", "not_found", "integration", "colour", ""] {
            assert_eq!(heading(key, http), None, "{key}");
        }
    }
}
