//! The API's document: the one that is served is the one that is checked in, everything in it answers as it says, and a validator of others takes both.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::estate::settings;
use crate::server::{Server, applied, send, start};
use crate::support::daemon::{Daemon, eventually, request};
use crate::support::fake_api::{FakeApi, Reply};

/// A path of the document with the made estate's names in it.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{customer}" => "acme",
        "{environment}" => "production",
        "{integration}" => "crm-orders",
        "{check}" => "token",
        "{id}" => "none",
        "{run}" => "0af7651916cd43dd8448eb211c80319c",
        "{slot}" => "2026-12-01T08:00:30Z",
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
        // There is no incident in the made estate, and no stored run.
        let expected = if ["{id}", "{slot}", "{run}"].iter().any(|part| template.contains(part)) { 404 } else { 200 };
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
    broken["info"].as_object_mut().unwrap().remove("title");
    assert!(!judged(&broken, &[]).unwrap().1);
    let mut other = answers.clone();
    let of_status = other.iter_mut().find(|a| a["path"] == "/api/v1/status").unwrap();
    of_status["body"]["integrations"][0]["state"] = "fine".into();
    of_status["body"].as_object_mut().unwrap().remove("ready");
    let (said, content) = judged(&document, &other).unwrap();
    assert!(!content && said.contains("fine") && said.contains("'ready' is a required property"), "{said}");
}

/// All ids of a list, read page by page, and how many pages it took.
async fn paged(s: &Server, path: &str, list: &str, id: &str) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = s.get(&format!("{path}?limit=2{cursor}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        let page = page.json();
        let some = page[list].as_array().unwrap();
        assert!(some.len() <= 2);
        ids.extend(some.iter().map(|i| i[id].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, pages),
        }
    }
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let s = start(settings(), applied()).await;
    for (path, list, id) in [("/api/v1/status", "integrations", "id"), ("/api/v1/limits", "integrations", "id")] {
        let whole = s.get(path).await.json();
        assert!(whole["next"].is_null(), "{path}");
        let mut all: Vec<String> = whole[list].as_array().unwrap().iter().map(|i| i[id].as_str().unwrap().to_owned()).collect();
        all.sort();
        assert_eq!(paged(&s, path, list, id).await, (all, 4), "{path}");
    }
    let totals = |j: &Value| j["totals"].clone();
    assert_eq!(
        totals(&s.get("/api/v1/status?limit=1").await.json()),
        totals(&s.get("/api/v1/status").await.json()),
        "of all, on every page"
    );
    let of_status = s.get("/api/v1/status?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    for bad in [
        "/api/v1/status?limit=0".to_owned(),
        format!("/api/v1/limits?limit=1&cursor={of_status}"),
        format!("/api/v1/status?cursor={of_status}"),
    ] {
        let refused = s.get(&bad).await;
        assert!(refused.status == 400 && !refused.json()["hint"].as_str().unwrap().is_empty(), "{bad}");
    }
}

#[test]
fn runs_come_page_by_page_while_more_are_made() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    let store = dir.path().join("soakwatch.db");
    std::fs::write(
        dir.path().join("soakwatch.toml"),
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"{}\"\n", store.display()),
    )
    .unwrap();
    let customer = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"list\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"{}\"\n",
        api.url("/v1")
    );
    std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let path = "/api/v1/checks/acme/production/crm/list/runs";
    let read = |query: &str| -> Value { serde_json::from_str(&daemon.get(&format!("{path}{query}"))).unwrap() };
    let slots =
        |page: &Value| -> Vec<String> { page["runs"].as_array().unwrap().iter().map(|r| r["slot"].as_str().unwrap().to_owned()).collect() };
    eventually("five runs are stored", || (slots(&read("")).len() >= 5).then_some(()));
    let first = read("?limit=2");
    let mut seen = slots(&first);
    let mut next = first["next"].as_str().unwrap().to_owned();
    // While somebody reads, more come: behind the end that the first page set.
    let known = slots(&read("")).len();
    eventually("more are stored", || (slots(&read("")).len() > known).then_some(()));
    loop {
        let page = read(&format!("?limit=2&cursor={next}"));
        assert_eq!(page["until"], first["until"]);
        seen.extend(slots(&page));
        let Some(cursor) = page["next"].as_str() else { break };
        next = cursor.to_owned();
    }
    let span = format!("?since={}&until={}", first["since"].as_str().unwrap(), first["until"].as_str().unwrap());
    assert_eq!(seen, slots(&read(&span)), "each once, in order, and none that came later");
    let other = request("GET", &format!("{}{path}?limit=2&since=1h&cursor={next}", daemon.url), &[]);
    assert_eq!(other.0, 400);
}

#[tokio::test]
async fn who_polls_is_told_that_nothing_changed() {
    let s = start(settings(), applied()).await;
    for (path, weak) in [
        ("/api/v1/openapi.json", false),
        ("/api/v1/config", false),
        ("/api/v1/status", true),
        ("/api/v1/soaks", true),
        ("/api/v1/limits", true),
        ("/api/v1/incidents", true),
        ("/api/v1/gates/acme/production", true),
        ("/api/v1/integrations/acme/production/crm-orders", true),
    ] {
        let first = s.get(path).await;
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
        assert_eq!(tag.starts_with("W/"), weak, "{path}: {tag}");
        let again = s.ask("GET", path, &[&format!("If-None-Match: {tag}")]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())), "{path}");
        assert_eq!(again.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(s.ask("GET", path, &["If-None-Match: \"other\""]).await.status, 200, "{path}");
    }
    // What differs has another tag.
    let tag = s.get("/api/v1/status").await.header("etag").unwrap().to_owned();
    s.health.set_ready(false);
    assert_eq!(s.ask("GET", "/api/v1/status", &[&format!("If-None-Match: {tag}")]).await.status, 200);
    for untagged in ["/", "/metrics", "/nothing", "/-/healthy"] {
        assert_eq!(s.get(untagged).await.header("etag"), None, "{untagged}");
    }
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
