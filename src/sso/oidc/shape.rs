//! Whether a discovery document has the members it must have, with the JSON types and the URLs they must have.

use serde_json::{Map, Value};
use url::Url;

use super::{kind, text};
use crate::finding::Finding;
use crate::finding::oidc::{EP_01, FMT_01, REQ_01};

/// Members no client can do without. `token_endpoint` is judged apart.
const REQUIRED: [&str; 6] = [
    "issuer",
    "authorization_endpoint",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];

/// Texts, besides every `*_endpoint`.
const TEXTS: [&str; 6] = ["issuer", "jwks_uri", "op_policy_uri", "op_tos_uri", "service_documentation", "check_session_iframe"];
/// Ends of names of lists of texts.
const LISTS: [&str; 5] = ["_values_supported", "_methods_supported", "_types_supported", "_modes_supported", "_locales_supported"];
/// Ends of names of flags.
const FLAGS: [&str; 3] = ["_parameter_supported", "_logout_supported", "_session_supported"];
/// Flags of any other name.
const FLAGS_BY_NAME: [&str; 4] = [
    "require_request_uri_registration",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "tls_client_certificate_bound_access_tokens",
];
const ALIASES: &str = "mtls_endpoint_aliases";

/// The JSON type that a member must have; nothing for members this version does not know.
fn wanted(name: &str) -> Option<&'static str> {
    let ends = |all: &[&str]| all.iter().any(|e| name.ends_with(e));
    if name == ALIASES {
        Some("an object")
    } else if name.ends_with("_endpoint") || TEXTS.contains(&name) {
        Some("a text")
    } else if ends(&FLAGS) || FLAGS_BY_NAME.contains(&name) {
        Some("true or false")
    } else if ends(&LISTS) || name == "scopes_supported" || name == "claims_supported" {
        Some("an array")
    } else {
        None
    }
}

/// Members of the wrong type, in one finding.
pub(super) fn types(doc: &Map<String, Value>) -> Option<Finding> {
    let mut wrong = Vec::new();
    for (name, value) in doc {
        let Some(want) = wanted(name) else { continue };
        if kind(value) != want {
            wrong.push(format!("{name} is {}, not {want}", kind(value)));
        } else if value.as_array().is_some_and(|all| all.iter().any(|v| !v.is_string())) {
            wrong.push(format!("{name} holds more than texts"));
        }
    }
    let aliases = doc.get(ALIASES).and_then(Value::as_object).into_iter().flatten();
    wrong.extend(aliases.filter(|(_, v)| !v.is_string()).map(|(name, v)| format!("{ALIASES}.{name} is {}, not a text", kind(v))));
    (!wrong.is_empty()).then(|| FMT_01.found(wrong.join("; ")))
}

/// Members that are missing, in one finding. A list without elements says no more than none (DISC 4.2 has it left out).
pub(super) fn required(doc: &Map<String, Value>) -> Option<Finding> {
    let missing = |name: &&str| doc.get(*name).is_none_or(|v| v.as_array().is_some_and(Vec::is_empty));
    let mut names: Vec<&str> = REQUIRED.iter().copied().filter(missing).collect();
    if !doc.contains_key("token_endpoint") && !implicit_only(doc) {
        names.push("token_endpoint");
    }
    (!names.is_empty()).then(|| REQ_01.found(format!("missing: {}", names.join(", "))))
}

/// Whether the provider offers the implicit flow and nothing else: no response type and no grant type has a code. Methods of PKCE are a sign of
/// the code flow too: the implicit flow has no use for them.
pub(super) fn implicit_only(doc: &Map<String, Value>) -> bool {
    let types = super::list(doc, "response_types_supported").unwrap_or_default();
    let without_code = !types.is_empty() && types.iter().all(|t| t.split(' ').all(|word| word != "code"));
    let grants = super::list(doc, "grant_types_supported").is_none_or(|all| all.iter().all(|g| *g == "implicit"));
    without_code && grants && !doc.contains_key("code_challenge_methods_supported")
}

/// Endpoints, `jwks_uri` and aliases that are no absolute https URLs, in one finding.
pub(super) fn urls(doc: &Map<String, Value>) -> Option<Finding> {
    let own = doc.keys().filter(|n| n.ends_with("_endpoint") || *n == "jwks_uri").filter_map(|n| Some((n.clone(), text(doc, n)?)));
    let aliases = doc.get(ALIASES).and_then(Value::as_object).into_iter().flatten();
    let aliases = aliases.filter_map(|(n, v)| Some((format!("{ALIASES}.{n}"), v.as_str()?)));
    let wrong: Vec<String> = own.chain(aliases).filter_map(|(name, url)| Some(format!("{name} {}", not_https(url)?))).collect();
    (!wrong.is_empty()).then(|| EP_01.found(wrong.join("; ")))
}

/// What keeps a text from being an absolute https URL.
pub(super) fn not_https(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    // The reader of URLs drops white space; clients don't.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("holds white space");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Some("has no scheme") };
    if scheme.eq_ignore_ascii_case("http") {
        return Some("is http");
    }
    if !scheme.eq_ignore_ascii_case("https") {
        return Some("is not https");
    }
    (rest.starts_with(['/', '?', '#']) || Url::parse(text).is_err()).then_some("is no URL with a host")
}
