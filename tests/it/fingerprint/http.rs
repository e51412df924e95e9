//! Keys of requests that came after the first ones, each with a change of it in the base.

use super::Is::{self, Judged, Not};

const HOOK: &str = "scheme = \"svix\"\n";
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
];
