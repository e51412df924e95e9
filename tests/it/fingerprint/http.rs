//! Keys of requests that came after the first ones, each with a change of it in the base.

use super::Is::{self, Judged, Not};

const HOOK: &str = "scheme = \"svix\"\n";
/// How the base's scim check shows who it is, and by a key instead.
const SCIM_AUTH: &str = "auth = { bearer = { env = \"SCIM_TOKEN\" } }";
const SCIM_KEY: &str = "auth = { oauth2 = { token_url = \"https://login.example.com/scim\", client_id = \"scim\", auth_method = \"private_key_jwt\", key = { env = \"SCIM\" }, kid = \"k\", alg = \"ES256\", assertion_audience = \"a\" } }";
const SCIM: &str = "idp = \"entra\"\n";

/// As the table of all other keys.
pub(super) const PLACED: &[(&str, Is, &str, &str)] = &[
    // That there is one decides; which one, and where it lies, changes as it is renewed.
    (
        "integration[].check[].http.client.certificate",
        Judged,
        "client = { certificate = \"partner.pem\", key = { env = \"PARTNER\" } }",
        "",
    ),
    ("integration[].check[].http.client.certificate", Not, "partner.pem", "renewed.pem"),
    ("integration[].check[].http.client.key", Not, "PARTNER", "PARTNER_2"),
    (
        "integration[].check[].webhook.client.certificate",
        Judged,
        HOOK,
        "scheme = \"svix\"\nclient = { certificate = \"a.pem\", key = { env = \"A\" } }\n",
    ),
    (
        "integration[].check[].webhook.client.key",
        Judged,
        HOOK,
        "scheme = \"svix\"\nclient = { certificate = \"b.pem\", key = { env = \"B\" } }\n",
    ),
    (
        "integration[].check[].scim.client.certificate",
        Judged,
        SCIM,
        "idp = \"entra\"\nclient = { certificate = \"a.pem\", key = { env = \"A\" } }\n",
    ),
    (
        "integration[].check[].scim.client.key",
        Judged,
        SCIM,
        "idp = \"entra\"\nclient = { certificate = \"b.pem\", key = { env = \"B\" } }\n",
    ),
    ("integration[].check[].http.auth.oauth2.key", Not, "env = \"SIGNED\"", "env = \"SIGNED_2\""),
    ("integration[].check[].http.auth.oauth2.kid", Not, "kid = \"one\"", "kid = \"two\""),
    ("integration[].check[].http.auth.oauth2.alg", Not, "alg = \"RS256\"", "alg = \"PS256\""),
    ("integration[].check[].http.auth.oauth2.assertion_audience", Judged, "signed.example.com/aud", "signed.example.com/other"),
    (
        "integration[].check[].http.auth.oauth2.auth_method",
        Judged,
        "auth_method = \"private_key_jwt\", key = { env = \"SIGNED\" }, kid = \"one\", alg = \"RS256\", assertion_audience = \"https://signed.example.com/aud\"",
        "client_secret = { env = \"SIGNED\" }",
    ),
    ("integration[].check[].http.auth.digest.username", Judged, "username = \"dev\"", "username = \"device\""),
    ("integration[].check[].http.auth.digest.password", Not, "env = \"DEVICE\"", "env = \"DEVICE_2\""),
    ("integration[].check[].http.auth.digest.md5", Judged, "md5 = false", "md5 = true"),
    ("integration[].check[].http.auth.digest.md5", Not, ", md5 = false", ""),
    ("integration[].check[].http.body.file", Judged, "md5 = false } }", "md5 = false } }\nbody = { file = \"device.json\" }"),
    ("integration[].check[].http.expect.schema", Judged, "md5 = false } }", "md5 = false } }\nexpect = { schema = \"device.json\" }"),
    ("integration[].check[].oauth2.alg", Not, "kid = \"2026\"", "kid = \"2026\"\nalg = \"PS256\""),
    ("integration[].check[].scim.auth.oauth2.key", Judged, SCIM_AUTH, SCIM_KEY),
    ("integration[].check[].scim.auth.oauth2.kid", Judged, SCIM_AUTH, SCIM_KEY),
    ("integration[].check[].scim.auth.oauth2.alg", Judged, SCIM_AUTH, SCIM_KEY),
    ("integration[].check[].scim.auth.oauth2.assertion_audience", Judged, SCIM_AUTH, SCIM_KEY),
];
