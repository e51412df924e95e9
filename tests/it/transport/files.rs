//! Files that a request and its expectations name: a body that is sent, a schema that must be fitted. Both are read for every run.

use soakwatch::clock::UnixMs;
use soakwatch::outcome::{Cause, Class};

use crate::support::fake::{Fake, Reply};
use crate::support::probing::{check_of_kind, read_in, run, transport};

#[tokio::test]
async fn a_body_is_read_from_its_file_for_every_run() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::http(|_| Reply::new(204)).await;
    let transport = transport(None);
    let check = check_of_kind(&format!("[http]\nurl = \"{}\"\nbody = {{ file = \"order.json\" }}", fake.url("/")), dir.path());
    for text in ["{\"n\": 1}", "{\"n\": 2}"] {
        std::fs::write(dir.path().join("order.json"), text).unwrap();
        run(&transport, &check).await.passed();
        let sent = fake.log().pop().unwrap();
        assert_eq!((sent.method.as_str(), sent.body.as_str(), sent.header("content-type")), ("POST", text, "application/json"));
    }
    for (text, words) in [
        (Some("{\"password\": \"c4nary\"}".to_owned()), "looks like a secret"),
        (Some("x".repeat((1 << 20) + 1)), "larger than 1 MiB"),
        (None, "nothing of this name"),
    ] {
        match text {
            Some(text) => std::fs::write(dir.path().join("order.json"), text).unwrap(),
            None => std::fs::remove_file(dir.path().join("order.json")).unwrap(),
        }
        let ran = run(&transport, &check).await;
        ran.failed(Class::Internal, words);
        assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::File));
        assert!(!ran.detail().contains("c4nary"));
        let said = read_in("url = \"https://a.example/\"\nbody = { file = \"order.json\" }", dir.path()).unwrap();
        let said = said.unusable_files_blocking(UnixMs(0));
        assert!(said.len() == 1 && said[0].0 == "body.file" && said[0].1.contains(words), "{said:?}");
    }
    assert_eq!(fake.log().len(), 2);
}

#[test]
fn the_trigger_of_a_round_trip_may_hold_its_placeholder_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let http = read_in("url = \"https://a.example/\"\nbody = { file = \"order.json\" }", dir.path()).unwrap();
    let (filled, any) = http.filled("{correlation}", "abc");
    assert!(any && filled != http);
}

const SCHEMA: &str = r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["orders"],
 "properties": {"orders": {"type": "array", "items": {"$ref": "#/$defs/order"}}},
 "$defs": {"order": {"type": "object", "required": ["id"], "additionalProperties": false,
  "properties": {"id": {"type": "string", "pattern": "^SO-[0-9]+$"}, "at": {"type": "string", "format": "date-time"}, "of": {"$ref": "#/$defs/order"}}}}}"##;

#[tokio::test]
async fn a_body_must_fit_its_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::http(|seen| match seen.target.as_str() {
        "/right" => Reply::json(r#"{"orders": [{"id": "SO-1", "at": "2026-12-01T08:00:00Z", "of": {"id": "SO-2"}}]}"#),
        "/wrong" => Reply::json(r#"{"orders": [{"id": "c4nary"}, {"id": 7, "at": "soon"}, {"c4nary": 1}, {}]}"#),
        "/page" => Reply::new(200).body("<html>"),
        "/empty" => Reply::new(200),
        "/without" => Reply::json("{}"),
        _ => Reply::new(503).body("{}"),
    })
    .await;
    let transport = transport(None);
    let at = |path: &str| {
        let table = format!("[http]\nurl = \"{}\"\nexpect = {{ schema = \"order.json\" }}", fake.url(path));
        check_of_kind(&table, dir.path())
    };
    for schema in
        [SCHEMA.to_owned(), SCHEMA.replace("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#")]
    {
        std::fs::write(dir.path().join("order.json"), schema).unwrap();
        let ran = run(&transport, &at("/right")).await;
        ran.passed();
        assert_eq!(ran.observed.expectations[1].expected, "the body fits the JSON Schema");
        let ran = run(&transport, &at("/wrong")).await;
        ran.failed(Class::Assertion, "expected: the body fits the JSON Schema; seen: /orders/0/id breaks ");
        assert!(ran.detail().ends_with(", and more") && !format!("{ran:?}").contains("c4nary\""), "{}", ran.detail());
        run(&transport, &at("/page")).await.failed(Class::Assertion, "not JSON");
        run(&transport, &at("/empty")).await.failed(Class::Assertion, "seen: an empty body");
        run(&transport, &at("/without")).await.failed(Class::Assertion, "/ breaks /required (orders is missing)");
        run(&transport, &at("/down")).await.failed(Class::ServerError, "503");
    }
    std::fs::write(dir.path().join("order.json"), "{").unwrap();
    let ran = run(&transport, &at("/right")).await;
    assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::File));
}

#[test]
fn a_schema_that_can_not_be_used_is_told_when_it_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let table = "url = \"https://a.example/\"\nexpect = { schema = \"s.json\" }";
    for (schema, words) in [
        ("{", "it is not JSON: EOF"),
        (r#"{"properties": {"a": {"type": "strin"}}}"#, "at /properties/a/type: "),
        (
            r#"{"$ref": "https://schemas.example.com/order.json"}"#,
            "s.json can't be used: a $ref leads nowhere: https://schemas.example.com/order.json is another document, and nothing is fetched: \
             what is referred to stands in the same file (#/$defs/...)",
        ),
        (r##"{"$ref": "#/$defs/none"}"##, "a $ref leads nowhere: nothing stands at /$defs/none"),
        (r##"{"$ref": "#none"}"##, "a $ref leads nowhere: there is no $anchor none"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "file:///etc/passwd is another document, and nothing is fetched"),
        (r#"{"$ref": "other.json"}"#, "other.json is another document, and nothing is fetched"),
        (r#"{"orders": [{"id": 1}]}"#, "is it an example of the body?"),
        (r#"{"requierd": ["orders"]}"#, "it is no JSON Schema"),
        ("{}", "it is no JSON Schema"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "file:///etc/passwd"),
        (r#"{"$ref": "other.json"}"#, "other.json"),
        (r#"{"pattern": "(?=x)"}"#, "at /pattern: "),
        (r#"{"$schema": "http://json-schema.org/draft-04/schema#"}"#, "neither draft 2020-12 nor draft 7"),
    ] {
        std::fs::write(dir.path().join("s.json"), schema).unwrap();
        let said = read_in(table, dir.path()).unwrap().unusable_files_blocking(UnixMs(0));
        assert!(said.len() == 1 && said[0].0 == "expect.schema" && said[0].1.contains(words), "{schema}: {said:?}");
    }
}
