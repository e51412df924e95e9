//! The keys of the kind scim, each with a change of it in the base.

use super::Is::{self, Judged, Not};

/// How the base's scim check shows who it is: what other ways take the place of.
const SCIM_AUTH: &str = "auth = { bearer = { env = \"SCIM_TOKEN\" } }";
const SCIM_OAUTH2: &str = "auth = { oauth2 = { token_url = \"https://login.example.com/scim\", client_id = \"scim\", client_secret = { env = \"SCIM\" }, scope = \"s\", audience = \"a\", auth_method = \"post\" } }";

/// As the table of all other keys.
pub(super) const PLACED: &[(&str, Is, &str, &str)] = &[
    ("integration[].check[].scim.allow_write_in_production", Not, "allow_write_in_production = true", "allow_write_in_production = false"),
    (
        "integration[].check[].scim.auth.api_key.header",
        Judged,
        SCIM_AUTH,
        "auth = { api_key = { header = \"X-Scim\", value = { env = \"KEY\" } } }",
    ),
    (
        "integration[].check[].scim.auth.api_key.prefix",
        Judged,
        SCIM_AUTH,
        "auth = { api_key = { header = \"X-Scim\", prefix = \"K \", value = { env = \"KEY\" } } }",
    ),
    (
        "integration[].check[].scim.auth.api_key.query",
        Judged,
        SCIM_AUTH,
        "auth = { api_key = { query = \"q\", value = { env = \"KEY\" } } }",
    ),
    (
        "integration[].check[].scim.auth.api_key.value",
        Judged,
        SCIM_AUTH,
        "auth = { api_key = { query = \"q\", value = { env = \"K2\" } } }",
    ),
    (
        "integration[].check[].scim.auth.basic.password",
        Judged,
        SCIM_AUTH,
        "auth = { basic = { username = \"s\", password = { env = \"PASSWORD\" } } }",
    ),
    (
        "integration[].check[].scim.auth.basic.username",
        Judged,
        SCIM_AUTH,
        "auth = { basic = { username = \"t\", password = { env = \"PASSWORD\" } } }",
    ),
    ("integration[].check[].scim.auth.bearer", Not, "SCIM_TOKEN", "SCIM_TOKEN_2"),
    ("integration[].check[].scim.auth.bearer", Judged, SCIM_AUTH, ""),
    ("integration[].check[].scim.auth.oauth2.audience", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.auth.oauth2.auth_method", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.auth.oauth2.client_id", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.auth.oauth2.client_secret", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.auth.oauth2.scope", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.auth.oauth2.token_url", Judged, SCIM_AUTH, SCIM_OAUTH2),
    ("integration[].check[].scim.ca", Judged, "idp = \"entra\"", "ca = \"ca.pem\""),
    ("integration[].check[].scim.groups", Judged, "groups = true", "groups = false"),
    ("integration[].check[].scim.groups", Not, "groups = true", ""),
    ("integration[].check[].scim.idp", Judged, "idp = \"entra\"", "idp = \"okta\""),
    ("integration[].check[].scim.idp", Not, "idp = \"entra\"", ""),
    // Whoever it is, only that somebody is known.
    ("integration[].check[].scim.known", Not, "known = { env = \"KNOWN\" }", "known = { env = \"KNOWN_2\" }"),
    ("integration[].check[].scim.known", Judged, "known = { env = \"KNOWN\" }", ""),
    // A new token is no other judgement.
    ("integration[].check[].scim.token_ends", Not, "2027-08-01", "2027-09-01"),
    ("integration[].check[].scim.url", Judged, "app.example.com/scim/v2", "app.example.com/scim/v3"),
    ("integration[].check[].scim.write", Judged, "write = false", "write = true"),
    ("integration[].check[].scim.write", Not, "write = false", ""),
];
