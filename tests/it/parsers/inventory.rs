//! The inventory: everything that reads bytes from outside, with the test that tries it with whatever bytes. Held in both directions as far as text can: each test
//! named here is there, and each source file that calls a decoder (`MARKS`) stands in a row, or in `OURS` because what it reads was written by ourselves. A parser
//! written by hand, without a decoder, is found by nobody but its author: it stands here because somebody wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is read; the files that read it, without `src/`; the test's file, without `tests/it/` or, with `src/`, a unit test; the test.
struct Row(&'static str, &'static [&'static str], &'static str, &'static str);

const ROWS: &[Row] = &[
    Row(
        "HTTP answers: head, coding, JSON, JSON paths, patterns, numbers observed",
        &["probe/http/judge.rs", "transport/body.rs", "transport/exchange.rs"],
        "parsers.rs",
        "whatever_an_endpoint_answers_is_judged",
    ),
    Row(
        "rate limits and Retry-After in headers and bodies",
        &["ratelimit/structured.rs", "ratelimit/throttled.rs", "ratelimit/date.rs", "ratelimit/number.rs", "ratelimit/triple.rs"],
        "rate_limit.rs",
        "whatever_is_sent_is_read",
    ),
    Row(
        "webhooks: signatures of every scheme, timestamps, forms, handshakes",
        &[
            "webhook/clues/mixup.rs",
            "webhook/coding.rs",
            "webhook/form.rs",
            "webhook/handshake.rs",
            "webhook/presented.rs",
            "webhook/stamp.rs",
            "webhook/twilio.rs",
            "webhook/verify.rs",
        ],
        "webhook/fuzz.rs",
        "whatever_a_stranger_sends_is_refused",
    ),
    Row(
        "the receiver's and the listener's requests: heads, paths, queries, cursors, bodies, tokens",
        &[
            "receiver/judge.rs",
            "receiver/paths.rs",
            "server/asked.rs",
            "server/auth.rs",
            "server/page.rs",
            "server/page_run.rs",
            "server/paging.rs",
            "server/origin.rs",
        ],
        "parsers.rs",
        "whatever_is_asked_of_our_listeners_is_answered_or_closed",
    ),
    Row(
        "SAML metadata: XML, signatures, certificates, times",
        &[
            "sso/saml/certificate.rs",
            "sso/saml/document.rs",
            "sso/saml/dsig.rs",
            "sso/saml/entities.rs",
            "sso/saml/mod.rs",
            "sso/saml/read.rs",
            "sso/saml/signature.rs",
        ],
        "saml/fuzz.rs",
        "committed_seeds",
    ),
    Row("OIDC discovery", &["sso/json.rs"], "oidc.rs", "whatever_comes_is_read"),
    Row("key sets and their certificates", &["sso/jwks/certificate.rs", "sso/jwks/parameters.rs"], "jwks.rs", "whatever_comes_is_read"),
    Row("token answers and JWTs", &["sso/oauth/jwt.rs", "sso/oauth/token.rs"], "oauth.rs", "the_inputs_of_committed_seeds_are_read"),
    Row(
        "SCIM exchanges, filters, addresses, recordings",
        &["sso/scim/ask.rs", "sso/scim/filter.rs", "sso/scim/recording.rs", "sso/scim/target.rs"],
        "scim.rs",
        "whatever_is_recorded_is_judged",
    ),
    Row(
        "configuration: TOML, its fields, variables",
        &["config/field.rs", "config/table.rs", "config/whereabouts.rs", "fields.rs", "limits/written.rs", "probe/http/body.rs"],
        "hostile_config.rs",
        "the_inputs_of_committed_seeds_give_a_configuration_or_an_error",
    ),
    Row("cron", &["slots/cron.rs"], "parsers.rs", "whatever_is_written_as_cron_is_a_schedule_or_refused"),
    Row(
        "bundles: manifest, evidence, compressed runs",
        &["bundle/manifest.rs", "bundle/verify.rs"],
        "bundle.rs",
        "a_thousand_changed_bytes_are_caught",
    ),
    Row("a bundle's runs, line by line", &["bundle/csv.rs"], "src/bundle/csv.rs", "what_is_read_is_written_exactly_so"),
    Row(
        "keys and certificates in PEM",
        &["bundle/key.rs", "listener_tls.rs", "transport/client.rs", "transport/tls.rs"],
        "parsers.rs",
        "whatever_is_called_a_key_is_one_or_refused",
    ),
    Row(
        "certificates of connections, DER",
        &["transport/certificate.rs"],
        "src/transport/certificate.rs",
        "whatever_is_shown_as_a_certificate_is_read",
    ),
    Row("the store's journal", &["store/journal.rs"], "src/store/journal.rs", "records_come_back"),
    Row("the store's segments", &["store/segment.rs", "store/packing.rs"], "src/store/segment.rs", "rubbish_never_panics_and_stays_small"),
    Row(
        "the store's pages, with all that stands on them",
        &["store/evidence.rs", "store/incidents.rs", "store/reader.rs", "store/restore.rs"],
        "src/store/pages.rs",
        "a_page_that_is_overwritten_costs_what_stood_on_it",
    ),
    Row(
        "copies of a store that are to be restored",
        &["store/backup.rs"],
        "parsers.rs",
        "whatever_is_called_a_copy_of_a_store_is_one_or_refused",
    ),
    Row(
        "lines for webhook verify and explain",
        &["cli/webhook/cases.rs", "cli/webhook/lines.rs", "cli/explain/cases.rs"],
        "parsers.rs",
        "whatever_lines_come_are_answered_one_by_one",
    ),
    Row("responses for explain", &["cli/explain/raw.rs"], "src/cli/explain/words.rs", "anything_is_explained_or_refused"),
    Row(
        "what a daemon answers to a command",
        &[
            "cli/control.rs",
            "cli/gate.rs",
            "cli/incidents.rs",
            "cli/limits.rs",
            "cli/reload.rs",
            "cli/run_by_id.rs",
            "cli/status.rs",
            "cli/validate.rs",
        ],
        "parsers.rs",
        "whatever_a_daemon_answers_to_a_command_is_told",
    ),
    Row(
        "answers of proxies: HTTP CONNECT, SOCKS 5",
        &["transport/proxy/http.rs", "transport/proxy/socks.rs"],
        "parsers.rs",
        "whatever_a_proxy_answers_is_no_pass",
    ),
    Row(
        "JSON Schemas, and bodies by them",
        &["probe/http/schema.rs"],
        "src/probe/http/schema.rs",
        "whatever_is_called_a_schema_is_one_or_refused_and_tells_no_value",
    ),
    Row(
        "what a message did, told by another endpoint",
        &["probe/webhook/effect.rs"],
        "src/probe/webhook/effect.rs",
        "whatever_is_answered_is_a_value_or_a_failure_without_it",
    ),
    Row(
        "tokens that our own calls are given",
        &["transport/oauth2.rs"],
        "src/transport/oauth2/tests.rs",
        "whatever_a_token_endpoint_answers_is_a_token_or_a_failure",
    ),
    Row("answers of time servers", &["time_server.rs"], "parsers.rs", "whatever_a_time_server_says_is_an_offset_or_an_error"),
    Row("answers of name servers", &["transport/resolve.rs"], "name_servers.rs", "one_that_answers_with_noise_is_our_fault"),
];

/// Files that decode what we wrote ourselves (the store's own texts, our own bundles and pages, signing, writing), what a person hands over on the command
/// line, or a single value that a row above reads first.
const OURS: &[(&str, &str)] = &[
    ("app/arrivals.rs", "a note of ours in the store"),
    ("app/bundles.rs", "our own manifest"),
    ("app/restart.rs", "notes and states of ours in the store"),
    ("bundle/write.rs", "writes"),
    ("cli/explain.rs", "a time on the command line"),
    ("cli/plan.rs", "a time on the command line"),
    ("evidence/mod.rs", "a time of ours in the evidence log"),
    ("probe/document.rs", "what a check remembers, in the store"),
    ("probe/oauth2.rs", "the answer is judged by sso/oauth first"),
    ("probe/scim/left.rs", "what a check remembers, in the store"),
    ("probe/webhook/round.rs", "what a check remembers, in the store"),
    ("report/document.rs", "our own document"),
    ("secret.rs", "writes forms of a secret"),
    ("server/page_soak.rs", "a time of ours"),
    ("server/scrape.rs", "writes"),
    ("probe/http/doubts.rs", "the operator's own file"),
    ("sso/oauth/assertion.rs", "the operator's own key"),
    ("sso/scim/journal.rs", "what a check remembers, in the store"),
    ("transport/assertion.rs", "the operator's own key"),
    ("transport/auth.rs", "writes"),
    ("transport/away.rs", "a note of ours in the store"),
    ("webhook/replay.rs", "what a check remembers, in the store"),
];

/// How decoders are called.
const MARKS: &[&str] = &[
    "serde_json::from_slice",
    "serde_json::from_str",
    "serde_json::from_reader",
    "from_der(",
    "pem_slice",
    "from_pem",
    "postcard::",
    "DeTable::parse",
    "uppsala::",
    "sfv::",
    "zstd::",
    "flate2::",
    ".decode(",
    "form_urlencoded",
    "percent_decode",
    "rsntp::",
    "hickory_resolver::",
    "Timestamp>()",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Source files by their path below `src/`, without their unit tests.
fn sources() -> BTreeMap<String, String> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root().join("src")]);
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            let name = entry.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
            if entry.is_dir() {
                todo.push(entry);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                found.insert(name, text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned());
            }
        }
    }
    found
}

/// Modules that are tests, and the demo, which talks to itself.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs")
        || name.contains("/tests/")
        || ["store/fixtures.rs", "store/pages.rs"].contains(&name)
        || name.starts_with("demo/")
}

#[test]
fn every_parser_of_outside_bytes_is_tried_with_whatever_bytes() {
    let sources = sources();
    let mut named: BTreeSet<&str> = OURS.iter().map(|(file, _)| *file).collect();
    assert_eq!(named.len(), OURS.len());
    for Row(what, files, tests, test) in ROWS {
        let path = if tests.starts_with("src/") { root().join(tests) } else { root().join("tests/it").join(tests) };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{what}: {}: {e}", path.display()));
        assert!(text.contains(&format!("fn {test}(")), "{what}: there is no test {test} in {tests}");
        for file in *files {
            assert!(sources.contains_key(*file), "{what}: there is no src/{file}");
            assert!(named.insert(file), "{what}: src/{file} stands twice");
        }
    }
    for (file, text) in sources.iter().filter(|(name, _)| !is_test(name)) {
        let mark = MARKS.iter().find(|m| text.contains(*m));
        assert!(
            mark.is_none() || named.contains(file.as_str()),
            "src/{file} decodes something ({}): in which row does it stand?",
            mark.unwrap()
        );
    }
    for (file, why) in OURS {
        let text = sources.get(*file).unwrap_or_else(|| panic!("there is no src/{file}"));
        assert!(MARKS.iter().any(|m| text.contains(m)), "src/{file} decodes nothing: it needs no line ({why})");
    }
}
