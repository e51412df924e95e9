//! The fingerprint of what is judged: it changes with every key that decides about a run, with no other, and not with the way a file is written.

mod http;
mod scim;

use std::collections::BTreeSet;

use proptest::prelude::*;
use soakwatch::clock::UnixMs;
use soakwatch::config::fingerprint::{Change, Fingerprint};
use soakwatch::config::model::Customer;
use soakwatch::config::table::Source;
use soakwatch::config::{Judge, read_customer};

use crate::reference::keys_of_a_customer;

/// 2026-11-01.
const NOW: UnixMs = UnixMs(1_793_491_200_000);

/// A customer with every key somewhere.
const BASE: &str = include_str!("../fixtures/fingerprint/base.toml");

/// Whether a change of a key starts the soak again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Judged,
    Not,
}
use Is::{Judged, Not};

/// Every key, with a change of it in [`BASE`]: the text there, and what stands in its place. A key may stand here more than once.
const PLACED: &[(&str, Is, &str, &str)] = &[
    ("customer.allow_private", Not, "allow_private = false\nproxy = \"socks5", "allow_private = true\nproxy = \"socks5"),
    ("customer.contact", Not, "it@acme.example", "x@acme.example"),
    ("customer.exit.budget", Not, "budget = 0.24", "budget = 0.5"),
    ("customer.exit.coverage", Not, "coverage = 0.96", "coverage = 0.5"),
    ("customer.exit.expiring", Not, "29d", "1d"),
    ("customer.exit.p2", Not, "p2 = 3", "p2 = 9"),
    ("customer.exit.success_ratio", Not, "success_ratio = 0.97", "success_ratio = 0.5"),
    ("customer.exit.window", Not, "13d", "1d"),
    ("integration[].contact", Not, "crm@vendor.example", "x@vendor.example"),
    ("integration[].exit.budget", Not, "budget = 0.23", "budget = 0.5"),
    ("integration[].exit.coverage", Not, "coverage = 0.94", "coverage = 0.5"),
    ("integration[].exit.expiring", Not, "28d", "1d"),
    ("integration[].exit.p2", Not, "p2 = 1", "p2 = 9"),
    ("integration[].exit.success_ratio", Not, "success_ratio = 0.95", "success_ratio = 0.5"),
    ("integration[].exit.window", Not, "12d", "1d"),
    ("customer.id", Not, "\nid = \"acme\"", "\nid = \"zeta\""),
    ("customer.maintenance[].by", Not, "j.doe", "j.roe"),
    ("customer.maintenance[].end", Not, "2026-11-26T02", "2026-11-26T03"),
    ("customer.maintenance[].reason", Not, "upgrade", "downgrade"),
    ("customer.maintenance[].start", Not, "2026-11-25T22", "2026-11-25T23"),
    ("customer.name", Not, "Acme Corporation", "Acme"),
    ("customer.proxy", Not, "socks5://proxy.acme.example", "socks5://proxy2.acme.example"),
    ("customer.source_address", Not, "192.0.2.99", "192.0.2.98"),
    // An integration without its own takes the customer's.
    ("customer.source_address", Judged, "source_address = \"192.0.2.10\"\n", ""),
    ("integration[].proxy.password", Not, "env = \"PROXY\"", "env = \"PROXY_2\""),
    ("integration[].proxy.url", Judged, "http://proxy.example.com:3128", "http://proxy.example.com:3129"),
    ("integration[].proxy.username", Judged, "username = \"soak\"", "username = \"sam\""),
    ("integration[].source_address", Judged, "192.0.2.10", "192.0.2.11"),
    ("customer.paused.by", Not, "m.mole", "m.mouse"),
    ("customer.paused.reason", Not, "asleep", "away"),
    // Only what is left out below is taken from here.
    ("customer.soak.attest", Not, "window = \"3d\"", "attest = [\"x\"]"),
    ("customer.soak.certificate_days", Not, "window = \"3d\"", "certificate_days = 1"),
    ("customer.soak.confidence", Not, "window = \"3d\"", "confidence = \"wilson95\""),
    ("customer.soak.coverage", Not, "window = \"3d\"", "coverage = 0.5"),
    ("customer.soak.latency_p95", Not, "window = \"3d\"", "latency_p95 = \"1s\""),
    ("customer.soak.longest_outage", Not, "window = \"3d\"", "longest_outage = \"1s\""),
    ("customer.soak.quota_headroom", Not, "window = \"3d\"", "quota_headroom = 3"),
    ("customer.soak.reconciliation", Not, "window = \"3d\"", "reconciliation = 0.5"),
    ("customer.soak.start", Not, "window = \"3d\"", "start = 2026-11-24T08:00:00Z"),
    ("customer.soak.success_ratio", Not, "window = \"3d\"", "success_ratio = 0.5"),
    ("customer.soak.throttled_ratio", Not, "window = \"3d\"", "throttled_ratio = 0.5"),
    ("customer.soak.valid_for", Not, "window = \"3d\"", "valid_for = \"2d\""),
    ("customer.soak.window", Not, "window = \"3d\"", "window = \"4d\""),
    ("customer.soak.window", Judged, "start = 2026-11-23T08:00:00Z\nwindow = \"7d\"", "start = 2026-11-23T08:00:00Z"),
    ("integration[].allow_private", Not, "allow_private = false\nproxy = { url", "allow_private = true\nproxy = { url"),
    ("integration[].attribution", Not, "attribution = { not_found", "attribution = { timeout"),
    ("integration[].check[].every", Judged, "every = \"60s\"", "every = \"61s\""),
    ("integration[].check[].http.auth.api_key.header", Judged, "header = \"X-Key\"", "header = \"X-Token\""),
    ("integration[].check[].http.auth.api_key.prefix", Judged, "prefix = \"Key \", ", ""),
    ("integration[].check[].http.auth.api_key.query", Judged, "query = \"api_key\"", "query = \"key\""),
    (
        "integration[].check[].http.auth.api_key.value",
        Not,
        "prefix = \"Key \", value = { env = \"KEY\"",
        "prefix = \"Key \", value = { file = \"key\"",
    ),
    ("integration[].check[].http.auth.basic.password", Not, "password = { env = \"PASSWORD\" } }", "password = { env = \"OTHER\" } }"),
    ("integration[].check[].http.auth.basic.username", Judged, "username = \"soakwatch\"", "username = \"sam\""),
    ("integration[].check[].http.auth.bearer", Not, "bearer = { env = \"TOKEN\" }", "bearer = { file = \"token\" }"),
    ("integration[].check[].http.auth.bearer", Judged, "auth = { bearer = { env = \"TOKEN\" } }", ""),
    ("integration[].check[].http.auth.oauth2.audience", Judged, "audience = \"orders\"", "audience = \"all\""),
    ("integration[].check[].http.auth.oauth2.auth_method", Judged, "auth_method = \"post\"", "auth_method = \"basic\""),
    ("integration[].check[].http.auth.oauth2.client_id", Judged, "client_id = \"acme\"", "client_id = \"zeta\""),
    ("integration[].check[].http.auth.oauth2.client_secret", Not, "env = \"SECRET\"", "env = \"SECRET_2\""),
    ("integration[].check[].http.auth.oauth2.scope", Judged, "scope = \"read\"", "scope = \"write\""),
    ("integration[].check[].http.auth.oauth2.token_url", Judged, "example.com/token", "example.com/token2"),
    ("integration[].check[].http.body.form", Judged, "grant = \"all\"", "grant = \"some\""),
    ("integration[].check[].http.body.form", Judged, "grant = \"all\"", "grant = { env = \"GRANT\" }"),
    ("integration[].check[].http.body.json", Judged, "json = { limit = 1,", "json = { limit = 2,"),
    ("integration[].check[].http.body.json", Not, "{ secret = { env = \"PASSWORD\" } }", "{ secret = { env = \"PASSWORD_2\" } }"),
    (
        "integration[].check[].http.body.json",
        Judged,
        "password = { secret = { env = \"PASSWORD\" } }",
        "pass = { secret = { env = \"PASSWORD\" } }",
    ),
    ("integration[].check[].http.body.text", Judged, "text = \"ping\"", "text = \"pong\""),
    ("integration[].check[].http.ca", Judged, "redirects = 0", "redirects = 0\nca = \"ca.pem\""),
    ("integration[].check[].http.expect.certificate_days", Judged, "certificate_days = 14", "certificate_days = 15"),
    ("integration[].check[].http.expect.contains", Judged, "contains = [\"orders\"]", "contains = [\"order\"]"),
    ("integration[].check[].http.expect.headers[].contains", Judged, "contains = \"b\"", "contains = \"bb\""),
    ("integration[].check[].http.expect.headers[].equals", Judged, "equals = \"a\"", "equals = \"aa\""),
    ("integration[].check[].http.expect.headers[].exists", Judged, "\"ETag\", exists = true", "\"ETag\", exists = false"),
    ("integration[].check[].http.expect.headers[].matches", Judged, "matches = \"c\"", "matches = \"cc\""),
    ("integration[].check[].http.expect.headers[].name", Judged, "name = \"ETag\"", "name = \"Age\""),
    ("integration[].check[].http.expect.json[].equals", Judged, "equals = 3", "equals = 4"),
    ("integration[].check[].http.expect.json[].equals", Not, "equals = 3", "equals = 3.0"),
    ("integration[].check[].http.expect.json[].exists", Judged, "\"$.n\", exists = true", "\"$.n\", exists = false"),
    ("integration[].check[].http.expect.json[].is", Judged, "is = \"number\"", "is = \"string\""),
    ("integration[].check[].http.expect.json[].matches", Judged, "matches = \"x\"", "matches = \"y\""),
    ("integration[].check[].http.expect.json[].max", Judged, "max = 5", "max = 6"),
    ("integration[].check[].http.expect.json[].min", Judged, "min = 1", "min = 2"),
    ("integration[].check[].http.expect.json[].path", Judged, "\"$.n\"", "\"$.m\""),
    ("integration[].check[].http.expect.matches", Judged, "matches = \"[0-9]+\"", "matches = \"[0-9]\""),
    (
        "integration[].check[].http.expect.not_contains",
        Judged,
        "not_contains = [\"maintenance\"]",
        "not_contains = [\"maintenance\", \"down\"]",
    ),
    ("integration[].check[].http.expect.size.max", Judged, "max = \"64KiB\"", "max = \"65KiB\""),
    ("integration[].check[].http.expect.size.min", Judged, "min = \"2B\"", "min = \"3B\""),
    ("integration[].check[].http.expect.status", Judged, "status = [\"2xx\"]", "status = [200]"),
    ("integration[].check[].http.expect.within", Judged, "within = \"2s\"", "within = \"3s\""),
    ("integration[].check[].http.headers", Judged, "Accept = \"application/json\"", "Accept = \"*/*\""),
    ("integration[].check[].http.headers", Not, "HEADER_KEY", "HEADER_KEY_2"),
    ("integration[].check[].http.http_version", Judged, "http_version = \"auto\"", "http_version = \"2\""),
    ("integration[].check[].http.max_body", Judged, "max_body = \"256KiB\"", "max_body = \"128KiB\""),
    ("integration[].check[].http.method", Judged, "method = \"GET\"", "method = \"HEAD\""),
    ("integration[].check[].http.observe[].name", Not, "name = \"backlog\"", "name = \"queue\""),
    ("integration[].check[].http.observe[].path", Judged, "$.meta.total", "$.meta.count"),
    ("integration[].check[].http.observe[].required", Judged, "required = true", "required = false"),
    ("integration[].check[].http.query", Judged, "fields = \"id\"", "fields = \"name\""),
    ("integration[].check[].http.redirects", Judged, "redirects = 0", "redirects = 1"),
    ("integration[].check[].http.url", Judged, "/v1/orders?limit=1", "/v1/orders?limit=2"),
    ("integration[].check[].webhook_arrival.allowed_origins", Not, "[\"events.example.com\"]", "[\"others.example.com\"]"),
    ("integration[].check[].webhook_arrival.cron", Judged, "cron = \"0 2", "cron = \"0 3"),
    ("integration[].check[].webhook_arrival.event_time", Judged, "$.at", "$.time"),
    ("integration[].check[].webhook_arrival.grace", Judged, "grace = \"6m\"", "grace = \"7m\""),
    ("integration[].check[].webhook_arrival.max_duplicates", Judged, "max_duplicates = 0.25", "max_duplicates = 0.5"),
    ("integration[].check[].webhook_arrival.ordered", Judged, "ordered = true", ""),
    ("integration[].check[].webhook_arrival.scheme", Judged, "scheme = \"github\"", "scheme = \"shopify\""),
    ("integration[].check[].webhook_arrival.secrets", Not, "env = \"ARRIVES\"", "env = \"ARRIVES_2\""),
    ("integration[].check[].webhook_arrival.sequence", Judged, "\"$.number\"", "\"$.nr\""),
    ("integration[].check[].webhook_arrival.template", Judged, "X-Night", "X-Day"),
    ("integration[].check[].webhook_arrival.timezone", Judged, "Europe/Berlin", "Europe/Paris"),
    ("integration[].check[].webhook_arrival.url", Judged, "example.com/in", "example.com/on"),
    ("integration[].check[].webhook_arrival.within", Judged, "\"61s\"", "\"62s\""),
    ("integration[].check[].round_trip.allowed_origins", Not, "[\"trips.example.com\"]", "[\"others.example.com\"]"),
    ("integration[].check[].round_trip.correlation", Judged, "$.reference", "$.ref"),
    ("integration[].check[].round_trip.correlation_header", Judged, "X-Id", "X-Ref"),
    ("integration[].check[].round_trip.deadline", Judged, "\"4s\"", "\"6s\""),
    ("integration[].check[].round_trip.once", Judged, "once = true", ""),
    ("integration[].check[].round_trip.scheme", Judged, "\"standard-webhooks\"", "\"svix\""),
    ("integration[].check[].round_trip.secrets", Not, "env = \"TRIP\"", "env = \"TRIP_3\""),
    ("integration[].check[].round_trip.sequence", Judged, "$.step", "$.n2"),
    ("integration[].check[].round_trip.settle", Judged, "settle = \"3s\"", "settle = \"5s\""),
    ("integration[].check[].round_trip.template", Judged, "X-Trip", "X-Trop"),
    ("integration[].check[].round_trip.trigger.url", Judged, "https://trip.example.com/", "https://trap.example.com/"),
    ("integration[].check[].round_trip.url", Judged, "example.com/trip", "example.com/trap"),
    ("integration[].check[].round_trip.within", Judged, "1500ms", "1600ms"),
    ("integration[].check[].id", Judged, "id = \"list-orders\"", "id = \"orders\""),
    ("integration[].check[].judge", Judged, "judge = \"ratio\"", "judge = \"every\""),
    ("integration[].check[].judge", Not, "judge = \"ratio\"", ""),
    ("integration[].check[].judged", Judged, "judged = true", "judged = false"),
    ("integration[].check[].judged", Judged, "judged = false", "judged = true"),
    ("integration[].check[].oauth2.assertion_audience", Judged, "example.com/e\"", "example.com/ee\""),
    ("integration[].check[].oauth2.audience", Judged, "https://orders.example.com\"", "https://all.example.com\""),
    ("integration[].check[].oauth2.ca", Judged, "used_for = \"11m\"", "used_for = \"11m\"\nca = \"ca.pem\""),
    ("integration[].check[].oauth2.certificate", Not, "client.pem", "own.pem"),
    ("integration[].check[].oauth2.client_id", Judged, "example.com/t2\"\nclient_id = \"soak\"", "example.com/t2\"\nclient_id = \"sock\""),
    ("integration[].check[].oauth2.client_secret", Not, "TOKEN_SECRET", "TOKEN_SECRET_2"),
    ("integration[].check[].oauth2.expires", Not, "2027-06", "2027-07"),
    ("integration[].check[].oauth2.issuer", Judged, "example.com/b\"", "example.com/bb\""),
    ("integration[].check[].oauth2.key", Not, "SIGNING_KEY", "SIGNING_KEY_2"),
    ("integration[].check[].oauth2.kid", Not, "kid = \"2026\"", "kid = \"2027\""),
    ("integration[].check[].oauth2.metadata", Judged, "metadata = false", "metadata = true"),
    (
        "integration[].check[].oauth2.method",
        Judged,
        "client_secret = { env = \"TOKEN_SECRET\" }",
        "method = \"client_secret_post\"\nclient_secret = { env = \"TOKEN_SECRET\" }",
    ),
    (
        "integration[].check[].oauth2.method",
        Not,
        "client_secret = { env = \"TOKEN_SECRET\" }",
        "method = \"client_secret_basic\"\nclient_secret = { env = \"TOKEN_SECRET\" }",
    ),
    ("integration[].check[].oauth2.scope", Judged, "scope = \"orders.read\"", "scope = \"orders.write\""),
    ("integration[].check[].oauth2.token_url", Judged, "example.com/t2", "example.com/tt"),
    ("integration[].check[].oauth2.used_for", Judged, "\"11m\"", "\"12m\""),
    ("integration[].check[].oauth2.verify.algorithm", Judged, "PS256", "RS256"),
    ("integration[].check[].oauth2.verify.audience", Judged, "example.com/d\"", "example.com/dd\""),
    ("integration[].check[].oauth2.verify.issuer", Judged, "example.com/c\"", "example.com/cc\""),
    ("integration[].check[].oauth2.verify.jwks_uri", Judged, "example.com/k\"", "example.com/kk\""),
    ("integration[].check[].oauth2.verify.token", Judged, "algorithm = \"PS256\"", "algorithm = \"PS256\", token = \"id_token\""),
    ("integration[].check[].oauth2.wrong_client", Judged, "wrong_client = false", "wrong_client = true"),
    ("integration[].check[].oidc.algorithm", Judged, "ES256", "ES384"),
    ("integration[].check[].oidc.ca", Judged, "pkce = true", "pkce = true\nca = \"ca.pem\""),
    ("integration[].check[].oidc.claims", Judged, "[\"email\"]", "[\"groups\"]"),
    ("integration[].check[].oidc.client_auth", Judged, "client_auth = \"client_secret_basic\"", "client_auth = \"client_secret_post\""),
    ("integration[].check[].oidc.endpoints", Judged, "endpoints = true", "endpoints = false"),
    ("integration[].check[].oidc.endpoints", Not, "endpoints = true\n", ""),
    ("integration[].check[].oidc.issuer", Judged, "example.com/a\"", "example.com/a/\""),
    ("integration[].check[].oidc.pkce", Judged, "pkce = true", "pkce = false"),
    ("integration[].check[].oidc.scopes", Judged, "[\"openid\"]", "[\"openid\", \"groups\"]"),
    ("integration[].check[].retries", Judged, "retries = 0", "retries = 1"),
    ("integration[].check[].blocked_by", Judged, "blocked_by = \"log-in\"", "blocked_by = \"push\""),
    ("integration[].check[].timeout", Judged, "timeout = \"10s\"", "timeout = \"11s\""),
    ("integration[].check[].saml.ca", Judged, "wants_signed_requests = true }", "wants_signed_requests = true }\nca = \"ca.pem\""),
    ("integration[].check[].saml.endpoints", Judged, "wants_signed_requests = true }", "wants_signed_requests = true }\nendpoints = false"),
    ("integration[].check[].saml.endpoints", Not, "wants_signed_requests = true }", "wants_signed_requests = true }\nendpoints = true"),
    ("integration[].check[].saml.entity_id", Judged, "entity_id = \"urn:idp\"", "entity_id = \"urn:idp2\""),
    ("integration[].check[].saml.file", Judged, "file = \"federation.xml\"", "file = \"other.xml\""),
    ("integration[].check[].saml.file", Not, "file = \"federation.xml\"", "file = \"folder/federation.xml\""),
    ("integration[].check[].saml.max_size", Judged, "max_size = \"64MiB\"", "max_size = \"65MiB\""),
    ("integration[].check[].saml.peer.encrypts", Judged, "encrypts = false", "encrypts = true"),
    ("integration[].check[].saml.peer.encrypts", Not, "encrypts = false, ", ""),
    ("integration[].check[].saml.peer.name_id_formats", Judged, "urn:format", "urn:other"),
    ("integration[].check[].saml.peer.signs_requests", Judged, "signs_requests = true, wants", "signs_requests = false, wants"),
    ("integration[].check[].saml.peer.wants_signed_requests", Judged, "wants_signed_requests = true", "wants_signed_requests = false"),
    ("integration[].check[].saml.role", Judged, "role = \"idp\"", "role = \"sp\""),
    ("integration[].check[].saml.role", Not, "role = \"idp\"", ""),
    ("integration[].check[].saml.signature.pins", Judged, "warn_days = 30", "warn_days = 30\nsignature = { pins = [\"ca.pem\"] }"),
    ("integration[].check[].saml.signature.require", Not, "warn_days = 30", "warn_days = 30\nsignature = { require = false }"),
    ("integration[].check[].saml.url", Judged, "idp.example.com/metadata", "idp.example.com/metadata2"),
    ("integration[].check[].saml.validity.max_days", Judged, "max_days = 28", "max_days = 27"),
    ("integration[].check[].saml.validity.min_days", Judged, "min_days = 5", "min_days = 6"),
    ("integration[].check[].saml.warn_days", Judged, "warn_days = 30", "warn_days = 31"),
    ("integration[].check[].saml.warn_days", Not, "warn_days = 30", ""),
    ("integration[].check[].webhook.body", Judged, "order {id}", "orders {id}"),
    ("integration[].check[].webhook.ca", Judged, "scheme = \"svix\"", "scheme = \"svix\"\nca = \"a.pem\""),
    ("integration[].check[].webhook.cloudevents.source", Judged, "source = \"/soakwatch\"", "source = \"/other\""),
    ("integration[].check[].webhook.cloudevents.type", Judged, "type = \"order.test\"", "type = \"order.probe\""),
    ("integration[].check[].webhook.effect.bearer", Not, "env = \"EFFECT\"", "env = \"EFFECTS\""),
    ("integration[].check[].webhook.effect.headers", Judged, "X-Who = \"us\"", "X-Who = \"you\""),
    ("integration[].check[].webhook.effect.path", Judged, "path = \"$.total\"", "path = \"$.sum\""),
    ("integration[].check[].webhook.effect.settle", Judged, "settle = \"2s\"", "settle = \"1s\""),
    ("integration[].check[].webhook.effect.url", Judged, "effects.example.com", "effect.example.com"),
    ("integration[].check[].webhook.expect.status", Judged, "status = [202]", "status = [200]"),
    ("integration[].check[].webhook.expect.within", Judged, "within = \"3s\"", "within = \"4s\""),
    ("integration[].check[].webhook.headers", Judged, "X-Tenant = \"acme\"", "X-Tenant = \"other\""),
    ("integration[].check[].webhook.reject", Judged, "reject = [\"stale\"]", "reject = [\"stale\", \"unsigned\"]"),
    ("integration[].check[].webhook.reject_every", Not, "reject_every = \"1h\"", "reject_every = \"2h\""),
    ("integration[].check[].webhook.replay", Judged, "replay = true", "replay = false"),
    ("integration[].check[].webhook.scheme", Judged, "scheme = \"svix\"", "scheme = \"standard-webhooks\""),
    // Secrets may be rotated.
    (
        "integration[].check[].webhook.secrets",
        Not,
        "scheme = \"svix\"\nsecrets = { env = \"HOOK\" }",
        "scheme = \"svix\"\nsecrets = [{ env = \"A\" }, { env = \"B\" }]",
    ),
    ("integration[].check[].webhook.template", Judged, "signature_header = \"X-Signature\"", "signature_header = \"X-Sign\""),
    ("integration[].check[].webhook.url", Judged, "hooks.example.com/orders", "hooks.example.com/order"),
    // Its defaults are thresholds, and all of them are written here.
    ("integration[].criticality", Not, "criticality = \"normal\"", "criticality = \"low\""),
    ("integration[].dialect", Judged, "dialect = \"auto\"", "dialect = \"zendesk\""),
    ("integration[].environment", Not, "environment = \"production\"", "environment = \"staging\""),
    ("integration[].go_live", Not, "2026-12-15", "2026-12-16"),
    ("integration[].hypercare", Not, "hypercare = \"30d\"", "hypercare = \"31d\""),
    ("integration[].id", Not, "id = \"crm-orders\"", "id = \"crm\""),
    ("integration[].incident.fail_after", Judged, "fail_after = 3", "fail_after = 4"),
    ("integration[].incident.fail_after", Not, "fail_after = 3, ", ""),
    ("integration[].incident.pass_after", Judged, "pass_after = 3", "pass_after = 4"),
    ("integration[].incident.reopen_within", Judged, "reopen_within = \"30m\"", "reopen_within = \"31m\""),
    ("integration[].maintenance[].by", Not, "b.bee", "b.boa"),
    ("integration[].maintenance[].end", Not, "2026-11-28T02", "2026-11-28T03"),
    ("integration[].maintenance[].reason", Not, "release", "relax"),
    ("integration[].maintenance[].start", Not, "2026-11-27T22", "2026-11-27T23"),
    ("integration[].name", Not, "name = \"Orders\"", "name = \"The orders\""),
    ("integration[].owner", Not, "owner = \"vendor\"", "owner = \"customer\""),
    ("integration[].paused.by", Not, "a.ant", "a.asp"),
    ("integration[].paused.reason", Not, "moving", "resting"),
    ("integration[].quota_share", Not, "quota_share = 0.1", "quota_share = 0.2"),
    ("integration[].quota_window", Not, "quota_window = \"1h\"", "quota_window = \"2h\""),
    ("integration[].runbook", Not, "wiki.example.com", "pages.example.com"),
    ("integration[].soak.attest", Not, "attest = [\"uat_signoff\"]", ""),
    ("integration[].soak.certificate_days", Judged, "certificate_days = 30", "certificate_days = 31"),
    // A default, and yet a statement: now it is missing evidence that there is none.
    ("integration[].soak.certificate_days", Judged, "certificate_days = 30\n", ""),
    ("integration[].soak.confidence", Judged, "confidence = \"ratio\"", "confidence = \"wilson95\""),
    ("integration[].soak.confidence", Not, "confidence = \"ratio\"", ""),
    ("integration[].soak.coverage", Judged, "coverage = 0.95", "coverage = 0.96"),
    ("integration[].soak.coverage", Not, "coverage = 0.95", ""),
    ("integration[].soak.latency_p95", Judged, "latency_p95 = \"2s\"", "latency_p95 = \"3s\""),
    ("integration[].soak.longest_outage", Judged, "longest_outage = \"30m\"", "longest_outage = \"31m\""),
    ("integration[].soak.longest_outage", Not, "longest_outage = \"30m\"", "longest_outage = \"1800s\""),
    ("integration[].soak.quota_headroom", Judged, "quota_headroom = 1.5", "quota_headroom = 2"),
    ("integration[].soak.reconciliation", Judged, "reconciliation = 0.995", "reconciliation = 0.996"),
    ("integration[].soak.start", Not, "start = 2026-11-23", "start = 2026-11-24"),
    ("integration[].soak.success_ratio", Judged, "success_ratio = 0.99", "success_ratio = 0.98"),
    ("integration[].soak.throttled_ratio", Judged, "throttled_ratio = 0.01", "throttled_ratio = 0.02"),
    ("integration[].soak.valid_for", Judged, "valid_for = \"14d\"", "valid_for = \"15d\""),
    ("integration[].soak.window", Judged, "window = \"7d\"", "window = \"8d\""),
    ("integration[].throttled", Judged, "throttled = \"counted\"", "throttled = \"excluded\""),
    ("integration[].waiver[].approver", Not, "c.cat", "c.cow"),
    ("integration[].waiver[].criterion", Not, "criterion = \"quota_headroom\"", "criterion = \"attest:uat_signoff\""),
    ("integration[].waiver[].reason", Not, "raised soon", "raised later"),
    ("integration[].waiver[].until", Not, "2026-12-05", "2026-12-06"),
    ("integration[].volume.batch[].calls_per_row", Not, "calls_per_row = 1", "calls_per_row = 2"),
    ("integration[].volume.batch[].rows", Not, "rows = 50000", "rows = 50001"),
    ("integration[].volume.batch[].start", Not, "22:00Z", "23:00Z"),
    ("integration[].volume.daily", Not, "40000/day", "40001/day"),
    ("integration[].volume.peak", Not, "600/min", "601/min"),
];

/// Reads a customer's file; without an error.
fn read(text: &str, dir: &std::path::Path) -> Customer {
    let source = Source::new("acme.toml", dir, text);
    let entries = source.parse();
    let customer = read_customer(source.root(&entries), &mut Judge::new(NOW, false)).customer;
    let errors: Vec<String> = source.problems.take().iter().filter(|p| !p.warning).map(ToString::to_string).collect();
    assert_eq!(errors, [] as [String; 0], "{text}");
    customer.unwrap()
}

/// The fingerprint of the first integration in a file.
fn of(text: &str) -> Fingerprint {
    let customer = read(text, std::path::Path::new("/nowhere"));
    customer.fingerprints[&customer.integrations[0].id].clone()
}

fn replaced(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?} does not stand in the base exactly once");
    BASE.replace(from, to)
}

#[test]
fn every_key_is_placed_and_does_what_its_place_says() {
    let mut keys = keys_of_a_customer();
    // A trigger is read as http is, and taken in whole.
    keys.retain(|k| !k.contains(".round_trip.trigger.") || k.ends_with(".round_trip.trigger.url"));
    let leaf = |key: &&String| !keys.iter().any(|k| k.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(['.', '['])));
    let leaves: BTreeSet<&str> = keys.iter().filter(leaf).map(String::as_str).collect();
    let placed: BTreeSet<&str> = PLACED.iter().chain(http::PLACED).chain(scim::PLACED).map(|(key, ..)| *key).collect();
    assert_eq!(leaves.difference(&placed).collect::<Vec<_>>(), [] as [&&str; 0], "say in PLACED whether these are judged");
    assert_eq!(placed.difference(&leaves).collect::<Vec<_>>(), [] as [&&str; 0], "no such key");
    let base = of(BASE);
    for (key, is, from, to) in PLACED.iter().chain(http::PLACED).chain(scim::PLACED) {
        let changed = of(&replaced(from, to));
        let is_same = changed.as_str() == base.as_str();
        assert_eq!(is_same, *is == Not, "{key}: {from:?} -> {to:?}: {:?}", changed.since(&base));
    }
}

#[test]
fn a_change_is_named_by_its_key() {
    let since = |from: &str, to: &str| of(&replaced(from, to)).since(&of(BASE));
    let keys = |all: &[&str]| Change::Some(all.iter().map(ToString::to_string).collect());
    assert_eq!(since("retries = 0", "retries = 1"), keys(&["check.list-orders.retries"]));
    assert_eq!(since("within = \"2s\"", ""), keys(&["check.list-orders.http.expect.within"]));
    assert_eq!(since("success_ratio = 0.99", "success_ratio = 0.9"), keys(&["soak.success_ratio"]));
    let Change::Some(named) = since("judged = false", "judged = true") else { panic!() };
    assert!(named.iter().all(|k| k.starts_with("check.informational.")), "{named:?}");
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let short = "
[customer]
id = \"acme\"
[[integration]]
id = \"crm\"
environment = \"production\"
soak = { start = 2026-11-23T08:00:00Z }
[[integration.check]]
id = \"a\"
every = \"60s\"
[integration.check.http]
url = \"https://api.example.com\"
body = { text = \"x\" }
";
    let long = short
        .replace(
            "08:00:00Z",
            "08:00:00Z, window = \"7d\", success_ratio = 0.99, confidence = \"ratio\", coverage = 0.95, longest_outage = \"30m\"",
        )
        .replace("08:00:00Z,", "08:00:00Z, throttled_ratio = 0.01, valid_for = \"2w\", attest = [\"uat_signoff\"],")
        .replace("every = \"60s\"", "every = \"1m\"\ntimeout = \"10s\"\nretries = 0\njudged = true\njudge = \"ratio\"")
        .replace("example.com\"", "EXAMPLE.com:443/\"\nmethod = \"POST\"\nredirects = 0\nhttp_version = \"auto\"")
        .replace("environment", "throttled = \"counted\"\ndialect = \"auto\"\nowner = \"us\"\nenvironment")
        + "expect = { status = [\"2xx\"] }\n";
    assert_eq!(of(short), of(&long));
    assert_eq!(of(short).as_str(), "1:e5b11b4a214d22ac9528a14da29f17674a8c402f623ec68d5978a32dbe9df63c", "the same in every release");
}

#[test]
fn criticality_is_judged_by_the_thresholds_it_gives() {
    let of_criticality = |word: &str, thresholds: &str| {
        of(&format!(
            "[customer]\nid = \"acme\"\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\ncriticality = \"{word}\"\n\
             soak = {{ start = 2026-11-23T08:00:00Z{thresholds} }}\n"
        ))
    };
    let (high, normal, critical) = (of_criticality("high", ""), of_criticality("normal", ""), of_criticality("critical", ""));
    assert_eq!(high.since(&normal), Change::None);
    let keys = vec!["soak.longest_outage".to_owned(), "soak.quota_headroom".to_owned()];
    assert_eq!(critical.since(&normal), Change::Some(keys));
    let written = ", longest_outage = \"15m\", quota_headroom = 2";
    assert_eq!(of_criticality("critical", written).since(&of_criticality("low", written)), Change::None);
}

#[test]
fn contents_of_files_count_and_their_places_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str| {
        let customer = read(&replaced("redirects = 0", &format!("ca = \"{name}\"")), dir.path());
        customer.fingerprints[&customer.integrations[0].id].clone()
    };
    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    std::fs::write(dir.path().join("a.pem"), &certificate).unwrap();
    std::fs::write(dir.path().join("b.pem"), &certificate).unwrap();
    let (a, b) = (of("a.pem"), of("b.pem"));
    assert_eq!(a.since(&b), Change::None);
    std::fs::write(dir.path().join("b.pem"), certificate.repeat(2)).unwrap();
    assert_eq!(of("b.pem").since(&a), Change::Some(vec!["check.list-orders.http.ca".into()]));
    std::fs::remove_file(dir.path().join("b.pem")).unwrap();
    assert_eq!(of("b.pem").since(&a), Change::Unsure(vec!["check.list-orders.http.ca".into()]));
}

#[test]
fn without_a_soak_nothing_is_judged() {
    let (before, rest) = BASE.split_once("[integration.soak]").unwrap();
    let text = format!("{before}[integration.volume]{}", rest.split_once("[integration.volume]").unwrap().1);
    let customer = read(&text, std::path::Path::new("/nowhere"));
    assert!(customer.fingerprints.is_empty() && customer.integrations.len() == 1);
}

/// The tables of a check, each with its lines.
fn checks() -> Vec<String> {
    BASE.split("[[integration.check]]\n").skip(1).map(|c| format!("[[integration.check]]\n{c}")).collect()
}

/// Lines in another order, with remarks and white space: `seed` decides where. Headings stay where they are.
fn rewritten(text: &str, seed: u64) -> String {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut out = String::new();
    let mut lines: Vec<&str> = Vec::new();
    let mut flush = |lines: &mut Vec<&str>, out: &mut String| {
        while !lines.is_empty() {
            let n = usize::try_from(next()).unwrap_or(0) % lines.len();
            let line = lines.remove(n);
            match next() % 4 {
                0 => out.push_str(&format!("  {}   # a remark\n\n", line.replacen(" = ", "=", 1))),
                1 => out.push_str(&format!("# {line}\n\t{line}\n")),
                _ => out.push_str(&format!("{line}\n")),
            }
        }
    };
    for line in text.lines() {
        if line.starts_with('[') {
            flush(&mut lines, &mut out);
            out.push_str(&format!("{line}\n"));
        } else if !line.is_empty() {
            lines.push(line);
        }
    }
    flush(&mut lines, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The order of checks, of integrations and of lines, remarks and white space decide nothing.
    #[test]
    fn the_way_it_is_written_does_not_matter(order in Just(checks()).prop_shuffle(), seed: u64, before: bool) {
        let head = BASE.split("[[integration.check]]").next().unwrap();
        let (customer, integration) = head.split_once("[[integration]]").unwrap();
        let other = "[[integration]]\nid = \"erp\"\nenvironment = \"production\"\nsoak = { start = 2026-11-23T08:00:00Z }\n\
                     [[integration.check]]\nid = \"a\"\nevery = \"60s\"\n[integration.check.http]\nurl = \"https://erp.example.com\"\n";
        let own = format!("[[integration]]{integration}{}", order.concat());
        let text = if before { format!("{customer}{other}{own}") } else { format!("{customer}{own}{other}") };
        let customer = read(&rewritten(&text, seed), std::path::Path::new("/nowhere"));
        let own = customer.integrations.iter().find(|i| i.id.integration() == "crm-orders").unwrap();
        prop_assert_eq!(customer.fingerprints[&own.id].since(&of(BASE)), Change::None);
    }
}
