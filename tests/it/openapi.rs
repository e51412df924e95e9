//! The API's document: the one that is served is the one that is checked in, everything in it answers as it says, and a validator of others takes both.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::estate::settings;
use crate::server::{Server, applied, send, start};

/// A path of the document with the made estate's names in it.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{customer}" => "acme",
        "{environment}" => "production",
        "{integration}" => "crm-orders",
        "{check}" => "token",
        "{id}" => "none",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn post(s: &Server, path: &str, body: &Value) -> crate::server::Answer {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", s.at, body.len());
    send(s.at, &(head + &body)).await
}

/// What the validator says, and whether it is content. `None`: it is not installed.
fn judged(document: &Value, answers: &[Value]) -> Option<(String, bool)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/tools/api-py/bin/python");
    let required = std::env::var("SOAKWATCH_API_TOOLS").is_ok_and(|v| v == "required");
    assert!(python.exists() || !required, "SOAKWATCH_API_TOOLS=required, and there is no {}", python.display());
    if !python.exists() {
        println!("not run: the validator of OpenAPI documents is not installed (tests/run brings it)");
        return None;
    }
    let mut child =
        Command::new(python).arg(root.join("tests/interop/api/validate.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!({ "document": document, "answers": answers }).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_what_is_served_and_everything_in_it_answers() {
    let s = start(settings(), applied()).await;
    let served = s.get("/api/v1/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    if std::env::var_os("SOAKWATCH_BLESS").is_some() {
        std::fs::write(path, served.text()).unwrap();
    }
    assert!(served.text() == std::fs::read_to_string(path).unwrap(), "docs/openapi.json is another one; SOAKWATCH_BLESS=1 writes it");

    let document = served.json();
    let mut answers = Vec::new();
    for (template, here) in document["paths"].as_object().unwrap() {
        if let Some(post_to) = here.get("post") {
            answers.extend(changes(&s, template, post_to).await);
            continue;
        }
        let query = if template == "/probe" { "?target=acme/production/crm-orders&module=token" } else { "" };
        let answer = s.get(&format!("{}{query}", filled(template))).await;
        // There is no incident in the made estate.
        let expected = if template.contains("{id}") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{template}: {}", answer.text());
        let media = answer.header("content-type").unwrap().split(';').next().unwrap().to_owned();
        let content = &here["get"]["responses"]["200"]["content"];
        assert!(expected == 404 || content.get(&media).is_some(), "{template}: {media} is not in {content}");
        if media == "application/json" {
            answers.push(json!({ "path": template, "method": "get", "status": answer.status, "body": answer.json() }));
        }
        // The other method is refused with the one there is.
        let wrong = s.ask("POST", &filled(template), &["Content-Length: 0"]).await;
        assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")), "{template}");
    }
    assert!(answers.len() > 15, "{}", answers.len());

    let Some((said, content)) = judged(&document, &answers) else { return };
    assert!(content, "{said}");
    // It finds fault where there is one: otherwise this test could not fail.
    let mut broken = document.clone();
    broken["paths"]["/metrics"]["get"]["responses"] = json!(7);
    assert!(!judged(&broken, &[]).unwrap().1);
    let mut other = answers.clone();
    let of_status = other.iter_mut().find(|a| a["path"] == "/api/v1/status").unwrap();
    of_status["body"]["integrations"][0]["state"] = "fine".into();
    of_status["body"].as_object_mut().unwrap().remove("ready");
    let (said, content) = judged(&document, &other).unwrap();
    assert!(!content && said.contains("fine") && said.contains("'ready' is a required property"), "{said}");
}

/// A path that changes something: it asks for what the document says it asks for, and knows every key that stands there. What it answered.
async fn changes(s: &Server, template: &str, operation: &Value) -> Vec<Value> {
    let path = filled(template);
    let wrong = s.get(&path).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")), "{template}");
    let answered = |a: &crate::server::Answer| json!({ "path": template, "method": "post", "status": a.status, "body": a.json() });
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let Some(properties) = body["properties"].as_object() else {
        let done = post(s, &path, &json!({})).await;
        assert_eq!(done.status, 200, "{template}");
        return vec![answered(&done)];
    };
    let fields = |a: &crate::server::Answer, error: &str| -> Vec<String> {
        let problems = a.json()["problems"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = problems
            .iter()
            .filter(|p| p["error"].as_str().unwrap().starts_with(error))
            .map(|p| p["field"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let mut required: Vec<String> = body["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap().to_owned()).collect();
    required.sort();
    let none = post(s, &path, &json!({})).await;
    let missing: Vec<String> = fields(&none, "is missing").into_iter().filter(|f| f != "severity").collect();
    assert_eq!(missing, required, "{template}: {}", none.text());
    let all: Value = properties.keys().map(|k| (k.clone(), json!(7))).collect::<serde_json::Map<_, _>>().into();
    let typed = post(s, &path, &all).await;
    assert_eq!(fields(&typed, "expected a text"), properties.keys().cloned().collect::<Vec<_>>(), "{template}: {}", typed.text());
    vec![answered(&none), answered(&typed)]
}
