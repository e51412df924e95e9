//! `[integration.check.http]`: what is accepted, and what is said about the rest.

use http::Method;
use soakwatch::clock::UnixMs;
use soakwatch::probe::http::{Given, HttpCheck};
use soakwatch::secret::SecretRef;
use soakwatch::transport::auth::Auth;

use crate::support::probing::read;

fn good(toml: &str) -> HttpCheck {
    read(toml).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_example_of_the_architecture() {
    let check = good(
        r#"
url    = "https://api.example.com/v1/orders?limit=1"
auth   = { oauth2 = { token_url = "https://login.example.com/token", client_id = "acme", client_secret = { env = "ACME_CRM_SECRET" } } }
expect = { status = [200], json = [{ path = "$.orders", is = "array" }], within = "2s" }
"#,
    );
    assert_eq!(check.host(), "api.example.com:443");
    assert_eq!(check.url_shown(), "https://api.example.com/v1/orders?limit=…");
    assert_eq!(check.secrets(), [SecretRef::Env("ACME_CRM_SECRET".into())]);
    assert!(matches!(check.auth.as_deref(), Some(Auth::OAuth2(_))));
    assert_eq!(check.expectations(), ["status is 200", "$.orders is array", "answers within 2s"]);
    assert_eq!(check.method, Method::GET);
}

#[test]
fn defaults_and_references() {
    let check = good("url = \"https://api.example.com\"\nheaders = { \"X-Key\" = { file = \"key\" }, Accept = \"text/csv\" }");
    assert_eq!(check.expectations(), ["status is 2xx"]);
    assert_eq!((check.redirects, check.max_body, check.auth.is_none()), (0, None, true));
    assert_eq!(check.headers[1].1, Given::Secret(SecretRef::File("/nonexistent/key".into())), "files are relative to the configuration");
    assert_eq!(good("url = \"https://a.example\"\nbody = { text = \"x\" }").method, Method::POST);
    assert_eq!(good("url = \"https://a.example\""), good("url = \"https://a.example\"\nmethod = \"GET\""));
    assert_ne!(
        good("url = \"https://a.example\"\nexpect = { matches = \"a\" }"),
        good("url = \"https://a.example\"\nexpect = { matches = \"b\" }")
    );
}

#[test]
fn literal_addresses_are_judged_before_anything_runs() {
    for (url, allow, rule) in [
        ("http://169.254.169.254/", true, Some("metadata")),
        ("http://0x7f.1/", false, Some("loopback")),
        ("http://0x7f.1/", true, None),
        ("http://[::ffff:10.0.0.1]/", false, Some("private")),
        ("http://localhost:8080/", false, Some("loopback")),
        ("http://api.example.com/", false, None),
    ] {
        let refused = good(&format!("url = \"{url}\"")).refused_literal(allow);
        assert_eq!(refused.as_ref().map(|r| (r.key, r.rule)), rule.map(|r| ("url", r)), "{url}");
    }
    assert_eq!(good("url = \"https://a.example\"").unusable_files_blocking(UnixMs(0)), []);
    let missing = good("url = \"https://a.example\"\nca = \"missing.pem\"").unusable_files_blocking(UnixMs(0));
    assert_eq!(missing, [("ca", "/nonexistent/missing.pem can't be used: there is nothing of this name".to_owned())]);
    let token = "url = \"https://a.example\"\nauth = { oauth2 = { token_url = \"http://10.0.0.1/t\", client_id = \"a\", client_secret = { env = \"X\" } } }";
    let refused = good(token).refused_literal(false).unwrap();
    assert_eq!((refused.key, refused.address.as_str(), refused.rule), ("auth.oauth2.token_url", "10.0.0.1", "private"));
}

#[test]
fn problems_are_said_in_full_and_all_at_once() {
    let url = "url = \"https://api.example.com/\"\n";
    for (more, said) in [
        (
            "methd = \"GET\"",
            "check.toml:2:1: methd: unknown key; expected one of auth, body, ca, client, expect, headers, http_version, max_body, method, observe, query, redirects, url (did you mean \"method\"?)",
        ),
        (
            "method = \"get\"",
            "method: \"get\" is not right here; expected \"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\" or \"OPTIONS\" (did you mean \"GET\"?)",
        ),
        ("http_version = \"3\"", "http_version: \"3\" is not right here; expected \"auto\", \"1.1\" or \"2\""),
        ("redirects = 11", "redirects: the number 11 is out of range; expected a whole number from 0 to 10"),
        ("max_body = \"1GiB\"", "max_body: \"1GiB\" is out of range; expected a size from \"1KiB\" to \"16MiB\""),
        ("headers = { Host = \"x\" }", "headers.Host: host can't be set: soakwatch sets it itself"),
        ("headers = { \"a b\" = \"x\" }", "headers.a b: \"a b\" is not a header's name"),
        ("headers = { A = \"x\\ny\" }", "headers.A: holds a character that can't be sent in a header"),
        ("headers = { A = [1] }", "headers.A: is not a text; expected a text, or a reference to a secret"),
        (
            "headers = { Authorization = \"Bearer hunter2\" }",
            "headers.Authorization: holds what looks like a secret, written out; expected a reference to the secret, { env = \"NAME\" }",
        ),
        ("headers = { X-Api-Key = \"hunter2\" }", "holds what looks like a secret"),
        ("query = { access_token = \"hunter2\" }", "query.access_token: holds what looks like a secret"),
        ("body = { form = { password = \"hunter2\" } }", "body.form.password: holds what looks like a secret"),
        (
            "body = { json = { login = { password = \"hunter2\" } } }",
            "body.json.login.password: holds what looks like a secret, written out; expected { secret = { env = \"NAME\" } }",
        ),
        ("body = { json = '{\"password\": \"hunter2\"}' }", "body.json: holds what looks like a secret"),
        ("body = { json = '{' }", "body.json: is not JSON: EOF"),
        (
            "body = { text = \"a\", form = {} }",
            "body: has more than one content (text, form); expected exactly one of text, json, form, file",
        ),
        ("auth = {}", "auth: does not say how; expected exactly one of basic, bearer, api_key, oauth2, digest"),
        (
            "auth = { bearer = { env = \"X\" }, basic = { username = \"a\", password = { env = \"X\" } } }",
            "auth: has more than one way (basic, bearer)",
        ),
        ("auth = { bearer = \"hunter2\" }", "auth.bearer: this value is not right here; expected a reference to the secret"),
        ("auth = { api_key = { value = { env = \"X\" } } }", "auth.api_key: must say where the key goes"),
        (
            "auth = { oauth2 = { client_id = \"a\", client_secret = { env = \"X\" }, token_url = \"https://l.example/t\", auth_method = \"body\" } }",
            "auth.oauth2.auth_method: \"body\" is not right here; expected \"basic\", \"post\", \"private_key_jwt\" or \"tls_client_auth\"",
        ),
        (
            "auth = { oauth = {} }",
            "auth.oauth: unknown key; expected one of api_key, basic, bearer, digest, oauth2 (did you mean \"oauth2\"?)",
        ),
        (
            "auth = { bearer = { env = \"X\" } }\nheaders = { Authorization = { env = \"X\" } }",
            "headers: sets authorization, and so does auth",
        ),
        ("expect = { status = [700] }", "expect.status[0]: the number 700 is not a status; expected such as 200, \"2xx\" or \"200-204\""),
        ("expect = { status = \"ok\" }", "expect.status: \"ok\" is not a status"),
        ("expect = { status = [] }", "expect.status: is empty, so nothing would ever pass"),
        ("expect = { json = [{ path = \"orders\", exists = true }] }", "expect.json[0].path: \"orders\" can't be used: "),
        (
            "expect = { json = [{ path = \"$.a\" }] }",
            "expect.json[0]: does not say what must hold there; expected one of exists, is, equals, min, max, matches",
        ),
        (
            "expect = { json = [{ path = \"$.a\", is = \"arry\" }] }",
            "expect.json[0].is: \"arry\" is not right here; expected \"array\", \"object\", \"string\", \"number\", \"boolean\" or \"null\" (did you mean \"array\"?)",
        ),
        ("expect = { matches = \"(\" }", "expect.matches: is not a regular expression that can be used: unclosed group"),
        ("expect = { headers = [{ name = \"X\" }] }", "expect.headers[0]: does not say what must hold of the header"),
        ("expect = { within = 2 }", "expect.within: the number 2 is not right here; expected a duration"),
        ("expect = { within = \"1h\" }", "expect.within: \"1h\" is out of range; expected a duration from \"1ms\" to \"10m\""),
        ("auth = \"Bearer hunter2\"", "auth: a text is not a table"),
        ("query = \"key=hunter2\"", "query: a text is not a table"),
        ("expect = { size = { min = 10, max = 5 } }", "expect.size.min: 10B is more than max, 5B"),
        ("expect = { contains = \"\" }", "expect.contains: holds an empty text"),
        ("observe = [{ name = \"Depth\", path = \"$.a\" }]", "observe[0].name: \"Depth\" is not right here"),
        ("observe = [{ name = \"a\", path = \"$.a\" }, { name = \"a\", path = \"$.b\" }]", "observe[1].name: \"a\" is there twice"),
    ] {
        let problems = read(&format!("{url}{more}")).expect_err(more);
        assert!(problems.iter().any(|p| p.contains(said)), "wanted {said}\ngot {problems:#?}");
        assert!(!problems.iter().any(|p| p.contains("hunter2")), "a secret was repeated: {problems:#?}");
    }
    assert!(read("").unwrap_err()[0].contains("url: is missing; expected an absolute URL"));
    let inline = read("url = \"https://a.example/?api_key=hunter2\"").unwrap_err();
    assert!(inline[0].contains("its parameter api_key holds what looks like a secret") && !inline[0].contains("hunter2"), "{inline:?}");
    let plain = read("url = \"http://a.example/\"\nexpect = { certificate_days = 3 }").unwrap_err();
    assert!(plain[0].contains("a plain http URL has no certificate"), "{plain:?}");
    let many = read("url = \"nonsense\"\nmethod = \"GETT\"\nfoo = 1\nexpect = { bar = 1, matches = \"(\" }").unwrap_err();
    assert_eq!(many.len(), 5, "{many:#?}");
}
