//! Whether a discovery document offers what the application uses: flow, scopes, claims, algorithms, authentication, PKCE.

use serde_json::{Map, Value};

use super::{Expected, list, shape};
use crate::fields::bounded;
use crate::finding::oidc::{ALG_01, ALG_02, AUTH_01, CAP_01, CAP_02, PKCE_01};
use crate::finding::{Finding, Level, Severity};

const ALGS: &str = "id_token_signing_alg_values_supported";

pub(super) fn judged(doc: &Map<String, Value>, expected: &Expected) -> Vec<Finding> {
    let mut found: Vec<Finding> = [code_flow(doc), client_auth(doc, expected), pkce(doc, expected)].into_iter().flatten().collect();
    found.extend(scopes_and_claims(doc, expected));
    found.extend(algorithms(doc, expected));
    found
}

/// A list as it is judged: nothing when the member is absent, empty or unreadable (other rules say that).
fn offered<'a>(doc: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    list(doc, name).filter(|all| !all.is_empty())
}

fn code_flow(doc: &Map<String, Value>) -> Option<Finding> {
    let types = offered(doc, "response_types_supported").filter(|all| !all.contains(&"code"));
    let grants = list(doc, "grant_types_supported").filter(|all| !all.contains(&"authorization_code"));
    let mut wrong = Vec::new();
    wrong.extend(types.map(|all| format!("response type code is not offered, only {}", named(&all))));
    wrong.extend(grants.map(|all| format!("grant type authorization_code is not offered, only {}", named(&all))));
    if wrong.is_empty() {
        return None;
    }
    let finding = CAP_01.found(wrong.join("; "));
    // Without a token endpoint there can be no code flow: one cause, and OIDC-REQ-01 has it.
    let told = !doc.contains_key("token_endpoint") && !shape::implicit_only(doc);
    Some(if told { finding.of(Severity::Info).at(Level::Info) } else { finding })
}

fn scopes_and_claims(doc: &Map<String, Value>, expected: &Expected) -> Option<Finding> {
    let mut wrong = Vec::new();
    if let Some(scopes) = list(doc, "scopes_supported") {
        if !scopes.contains(&"openid") {
            wrong.push("scope openid is not offered".to_owned());
        }
        let missing: Vec<&str> = expected.scopes.iter().map(String::as_str).filter(|s| *s != "openid" && !scopes.contains(s)).collect();
        if !missing.is_empty() {
            wrong.push(format!("wanted scopes not offered: {}", named(&missing)));
        }
    }
    if let Some(claims) = list(doc, "claims_supported") {
        let missing: Vec<&str> = expected.claims.iter().map(String::as_str).filter(|c| !claims.contains(c)).collect();
        if !missing.is_empty() {
            wrong.push(format!("wanted claims not offered: {}", named(&missing)));
        }
    }
    (!wrong.is_empty()).then(|| CAP_02.found(wrong.join("; ")))
}

fn algorithms(doc: &Map<String, Value>, expected: &Expected) -> Vec<Finding> {
    let Some(algs) = offered(doc, ALGS) else { return Vec::new() };
    let mut found = Vec::new();
    match &expected.pinned_alg {
        Some(pinned) if !algs.contains(&pinned.as_str()) => {
            let pinned = bounded(pinned, 40);
            found.push(ALG_01.found(format!("the pinned algorithm {pinned} is not listed, only {}", named(&algs))).at(Level::Fail));
        }
        None if !algs.contains(&"RS256") => found.push(ALG_01.found(format!("RS256 is not listed, only {}", named(&algs)))),
        _ => {}
    }
    // Some libraries compare it without case.
    let none = algs.iter().filter(|a| a.eq_ignore_ascii_case("none")).count();
    if none == algs.len() {
        found.push(ALG_02.found("none is the only algorithm of ID tokens"));
    } else if none > 0 {
        found.push(ALG_02.found("none is offered among the algorithms of ID tokens").at(Level::Warn));
    }
    found
}

fn client_auth(doc: &Map<String, Value>, expected: &Expected) -> Option<Finding> {
    let method = expected.client_auth.as_deref()?;
    let member = "token_endpoint_auth_methods_supported";
    let shown = bounded(method, 40);
    if !doc.contains_key(member) {
        let words = format!("{shown} is used, but no methods are listed, which means client_secret_basic");
        return (method != "client_secret_basic").then(|| AUTH_01.found(words));
    }
    let listed = list(doc, member)?;
    (!listed.contains(&method)).then(|| AUTH_01.found(format!("{shown} is not listed, only {}", named(&listed))))
}

fn pkce(doc: &Map<String, Value>, expected: &Expected) -> Option<Finding> {
    let member = "code_challenge_methods_supported";
    if !expected.pkce {
        return None;
    }
    if !doc.contains_key(member) {
        return Some(PKCE_01.found("the document does not say which PKCE methods there are").of(Severity::Info).at(Level::Info));
    }
    let methods = list(doc, member)?;
    (!methods.contains(&"S256")).then(|| PKCE_01.found(format!("S256 is not listed, only {}", named(&methods))))
}

/// The first of them, for a finding.
fn named(all: &[&str]) -> String {
    let shown: Vec<String> = all.iter().take(6).map(|a| bounded(a, 40)).collect();
    match all.len().saturating_sub(6) {
        _ if shown.is_empty() => "an empty list".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
