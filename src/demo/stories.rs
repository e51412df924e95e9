//! What each endpoint of the estate does. Deterministic: an answer depends on the request and on how many came before it, never on chance. The stories about
//! rate limits, which also depend on the time, are in `quotas`, those about webhooks in `hooks`, who sends by himself in `senders`.

use std::time::Duration;

use serde_json::{Value, json};

use super::certificates::Validity;
use super::identity::{self, Signing};
use super::openid;
use super::senders::Message;
use super::{hooks, provisioning, quotas};
use crate::clock::UnixMs;

/// Opens the CRM.
pub const CRM_TOKEN: &str = "demo-crm-9f31c4d7";
/// The OAuth2 client's secret.
pub const CLIENT_SECRET: &str = "demo-client-2b8e60aa";
/// What the ledger took until it was rotated; the demo's configuration still has it.
pub const LEDGER_TOKEN_BEFORE: &str = "demo-ledger-before-71c0";
/// What the ledger takes since.
pub const LEDGER_TOKEN_NOW: &str = "demo-ledger-now-e5d2";
/// The loyalty programme's API key.
pub const LOYALTY_KEY: &str = "demo-loyalty-40b7f2";
/// Opens the ticket system.
pub const SUPPORT_TOKEN: &str = "demo-support-c21f80";
/// The order hub's API key.
pub const ORDERS_KEY: &str = "demo-orders-6d0a55";
/// Opens the chat.
pub const CHAT_TOKEN: &str = "demo-chat-e917b3";
/// Opens the bank's CRM.
pub const RELATIONS_TOKEN: &str = "demo-relations-58af14";
/// Opens both SCIM servers.
pub const PROVISIONING_TOKEN: &str = "demo-provisioning-7be1d9";
/// What the token endpoint issues.
const ACCESS_TOKEN: &str = "demo-access-c3a9d1";
/// The client that the token endpoint knows.
const CLIENT_ID: &str = "soakwatch-demo";
/// More than a run reads (`[probe] max_body` is 1 MiB by default).
const HUGE: usize = 3 << 20;

/// A request as a story sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// How many requests came to this endpoint before; 0 for the first.
    pub before: u64,
    /// When the last of them came, oldest first, at most the last 1024.
    pub recent: &'a [UnixMs],
    /// What time it is.
    pub now: UnixMs,
    /// When the estate was started.
    pub started: UnixMs,
    /// Path without query.
    pub path: &'a str,
    /// Query, encoded as it came.
    pub query: &'a str,
    /// `Authorization`.
    pub authorization: &'a str,
    /// What identity providers sign with.
    pub signing: Option<&'a Signing>,
    /// `X-Api-Key`.
    pub api_key: &'a str,
    /// All headers.
    pub headers: Option<&'a http::HeaderMap>,
    /// The body, at most 64 KiB.
    pub body: &'a str,
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers besides `content-type`.
    pub headers: Vec<(&'static str, String)>,
    /// Body: JSON, unless it is empty or filler.
    pub body: String,
    /// How long to wait before it is sent.
    pub after: Duration,
    /// What is sent to our receiver a moment later.
    pub messages: Vec<Message>,
}

impl Answer {
    pub(super) fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string(), after: Duration::ZERO, messages: Vec::new() }
    }
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self { status, ..Self::json(&json!({ "error": message })) }
    }
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a connection meets.
#[derive(Clone, Copy, Debug)]
pub enum Wire {
    /// Plain HTTP.
    Http(fn(&Ask<'_>) -> Answer),
    /// HTTPS with this certificate; HTTP/2 is offered where the flag is set.
    Https(Validity, bool, fn(&Ask<'_>) -> Answer),
    /// Takes the connection and the request, and never answers.
    Silent,
    /// Answers the TLS greeting with an alert.
    Alert,
    /// Nothing listens there.
    Closed,
    /// The name does not resolve.
    NoName,
    /// Takes connections and nothing else: the neutral endpoint of the self-check.
    Accepts,
}

/// One endpoint of the estate.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Host name, as URLs of the configuration have it.
    pub host: &'static str,
    /// Port, as URLs have it; the real one is any free one.
    pub port: u16,
    /// What happens there.
    pub wire: Wire,
}

/// The whole estate.
pub const ENDPOINTS: &[Endpoint] = &[
    // Acme: soaking, go-live next week; all well but for its staging system.
    at("erp.acme.example", 80, Wire::Http(erp)),
    at("acme.crmcloud.example", 443, Wire::Https(Validity::Long, true, crm)),
    at("warehouse.acme.example", 443, Wire::Https(Validity::Long, false, warehouse)),
    at("erp-staging.acme.example", 80, Wire::Http(every_tenth_fails)),
    at("acme.ticketdesk.example", 443, Wire::Https(Validity::Long, true, quotas::support_tickets)),
    // Borealis: went live last week.
    at("api.patientcloud.example", 443, Wire::Https(Validity::Long, true, patients)),
    at("login.patientcloud.example", 443, Wire::Https(Validity::Long, false, token)),
    at("lab.borealis.example", 443, Wire::Https(Validity::Long, false, slow)),
    at("payroll.borealis.example", 443, Wire::Https(Validity::Expired, false, healthy)),
    at("sso.borealis.example", 443, Wire::Https(Validity::NineDays, false, healthy)),
    at("idp.borealis.example", 443, Wire::Https(Validity::Long, true, identity::ends_soon)),
    at("chat.wardtalk.example", 443, Wire::Https(Validity::Long, true, quotas::ward_alerts)),
    at("hooks.borealis.example", 80, Wire::Http(hooks::appointments)),
    at("referrals.borealis.example", 80, Wire::Http(hooks::referrals)),
    // Cobalt: its soak has begun, and it can't pass any more.
    at("ledger.bankcore.example", 443, Wire::Https(Validity::Long, false, rotated)),
    at("kyc.partnerscreen.example", 443, Wire::Https(Validity::Long, false, forbidden)),
    at("statements.cobalt.example", 443, Wire::Alert),
    at("payments-sandbox.soakwatch-product.example", 80, Wire::Http(flapping)),
    at("cobalt.salescloud.example", 443, Wire::Https(Validity::Long, true, quotas::customer_relations)),
    // Dunlin: being built.
    at("tracking.dunlin-partner.example", 443, Wire::NoName),
    at("customs.dunlin.example", 8443, Wire::Closed),
    at("routes.mapvendor.example", 80, Wire::Silent),
    at("labels.soakwatch-product.example", 80, Wire::Http(not_found)),
    at("idp.dunlin.example", 443, Wire::Https(Validity::Long, true, identity::swapped)),
    at("login.dunlin.example", 443, Wire::Https(Validity::Long, true, openid::slash)),
    at("hooks.dunlin.example", 80, Wire::Http(hooks::parcels)),
    at("couriers.dunlin-partner.example", 80, Wire::Http(hooks::deliveries)),
    // Elmwood: live for long, and one new connection.
    at("loans.libraryvendor.example", 80, Wire::Http(healthy)),
    at("students.campusvendor.example", 443, Wire::Https(Validity::Long, false, wrong_json)),
    at("catalogue.libraryvendor.example", 80, Wire::Http(redirect_loop)),
    at("timetable.elmwood.example", 80, Wire::Http(huge)),
    at("idp.elmwood.example", 443, Wire::Https(Validity::Long, true, identity::rolls_over)),
    at("accounts.campusvendor.example", 443, Wire::Https(Validity::Long, true, provisioning::unfiltered)),
    at("mail.campaignvendor.example", 443, Wire::Https(Validity::Long, false, throttled)),
    // Fjord: live, one integration passes on its second attempt.
    at("loyalty.soakwatch-product.example", 443, Wire::Https(Validity::Long, false, every_second_fails)),
    at("pos.fjord.example", 80, Wire::Http(healthy)),
    at("prices.fjord.example", 80, Wire::Http(healthy)),
    at("images.cdnvendor.example", 443, Wire::Https(Validity::Long, true, healthy)),
    at("staff.shophub.example", 443, Wire::Https(Validity::Long, true, provisioning::sound)),
    at("orders.shophub.example", 443, Wire::Https(Validity::Long, true, quotas::order_hub)),
    // What the self-check asks.
    at("control.soakwatch-product.example", 7, Wire::Accepts),
];

const fn at(host: &'static str, port: u16, wire: Wire) -> Endpoint {
    Endpoint { host, port, wire }
}

fn healthy(_: &Ask<'_>) -> Answer {
    Answer::json(&json!({ "status": "ok" }))
}

fn erp(ask: &Ask<'_>) -> Answer {
    match ask.path {
        "/api/v2/orders" => Answer::json(&json!({ "orders": [{ "id": "SO-10442", "state": "released", "total": 1299.5 }], "next": null })),
        "/api/v2/health" => Answer::json(&json!({ "status": "ok", "version": "2024.2" })),
        _ => Answer::error(404, "no such resource"),
    }
}

pub(super) fn bearer(ask: &Ask<'_>, token: &str) -> bool {
    ask.authorization.strip_prefix("Bearer ").is_some_and(|t| t == token)
}

pub(super) fn unauthorized(message: &str) -> Answer {
    Answer::error(401, message).header("www-authenticate", "Bearer error=\"invalid_token\"")
}

fn crm(ask: &Ask<'_>) -> Answer {
    if !bearer(ask, CRM_TOKEN) {
        return unauthorized("unknown token");
    }
    Answer::json(&json!({ "contacts": [{ "id": 7, "name": "J. Doe" }], "total": 1840 }))
}

/// A queue whose depth goes up and down between 12 and 60.
fn warehouse(ask: &Ask<'_>) -> Answer {
    let wave = ask.before % 16;
    let depth = 12 + 6 * wave.min(16 - wave);
    Answer::json(
        &json!({ "status": "ok", "queue": { "depth": depth, "oldest_seconds": depth / 4 }, "stock": [{ "sku": "A-1", "on_hand": 310 }] }),
    )
}

/// The fourth answer of every ten, so that the first comes soon.
fn every_tenth_fails(ask: &Ask<'_>) -> Answer {
    if ask.before % 10 == 3 { Answer::error(500, "deadlock detected, transaction rolled back") } else { erp(ask) }
}

/// RFC 6749, section 4.4: client credentials, in the header or in the body.
fn token(ask: &Ask<'_>) -> Answer {
    use base64::Engine as _;
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(ask.body.as_bytes()).into_owned().collect();
    let has = |name: &str, value: &str| fields.iter().any(|(n, v)| n == name && v == value);
    let known = ask.authorization == basic || (has("client_id", CLIENT_ID) && has("client_secret", CLIENT_SECRET));
    if !has("grant_type", "client_credentials") {
        return Answer::error(400, "unsupported_grant_type");
    }
    if !known {
        return Answer::error(401, "invalid_client").header("www-authenticate", "Basic");
    }
    Answer::json(&json!({ "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300 })).header("cache-control", "no-store")
}

fn patients(ask: &Ask<'_>) -> Answer {
    if !bearer(ask, ACCESS_TOKEN) {
        return unauthorized("no valid access token");
    }
    Answer::json(
        &json!({ "resourceType": "Bundle", "total": 52_310, "entry": [{ "resource": { "resourceType": "Patient", "id": "p-1" } }] }),
    )
}

fn slow(_: &Ask<'_>) -> Answer {
    Answer { after: Duration::from_millis(700), ..Answer::json(&json!({ "results": [] })) }
}

/// The secret is rotated after the third request; the configuration's is the old one.
fn rotated(ask: &Ask<'_>) -> Answer {
    let expected = if ask.before < 3 { LEDGER_TOKEN_BEFORE } else { LEDGER_TOKEN_NOW };
    if bearer(ask, expected) { Answer::json(&json!({ "postings": [], "open": true })) } else { unauthorized("the token was revoked") }
}

fn forbidden(_: &Ask<'_>) -> Answer {
    Answer::error(403, "the client lacks the scope screening.read")
}

/// Four answers good, four bad, and so on.
fn flapping(ask: &Ask<'_>) -> Answer {
    if (ask.before / 4).is_multiple_of(2) { healthy(ask) } else { Answer::error(503, "the pool of workers is exhausted") }
}

fn not_found(_: &Ask<'_>) -> Answer {
    Answer::error(404, "no route to /v3/labels; did you mean /v4/labels?")
}

/// The schema changed: what was a list is an object now.
fn wrong_json(_: &Ask<'_>) -> Answer {
    Answer::json(&json!({ "students": { "count": 0 }, "schema": "2.0" }))
}

fn redirect_loop(ask: &Ask<'_>) -> Answer {
    let to = if ask.path == "/opac/a" { "/opac/b" } else { "/opac/a" };
    Answer { status: 302, body: String::new(), ..healthy(ask) }.header("location", to)
}

fn huge(_: &Ask<'_>) -> Answer {
    Answer { body: " ".repeat(HUGE), ..Answer::json(&Value::Null) }
}

/// Of ten calls it lets the first two through, and does not say when to come back.
fn throttled(ask: &Ask<'_>) -> Answer {
    if ask.before % 10 < 2 { Answer::json(&json!({ "campaigns": [] })) } else { Answer::error(429, "too many simultaneous connections") }
}

fn every_second_fails(ask: &Ask<'_>) -> Answer {
    if ask.api_key != LOYALTY_KEY {
        return Answer::error(401, "unknown API key");
    }
    if ask.before.is_multiple_of(2) {
        Answer::error(502, "upstream closed the connection")
    } else {
        Answer::json(&json!({ "points": 120 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(story: fn(&Ask<'_>) -> Answer, ask: &Ask<'_>, n: u64) -> Vec<u16> {
        (0..n).map(|before| story(&Ask { before, ..*ask }).status).collect()
    }

    #[test]
    fn stories_are_told_by_the_count_of_requests() {
        let orders = Ask { path: "/api/v2/orders", ..Ask::default() };
        assert_eq!(statuses(every_tenth_fails, &orders, 14), [200, 200, 200, 500, 200, 200, 200, 200, 200, 200, 200, 200, 200, 500]);
        assert_eq!(statuses(flapping, &orders, 9), [200, 200, 200, 200, 503, 503, 503, 503, 200]);
        assert_eq!(statuses(throttled, &orders, 11), [200, 200, 429, 429, 429, 429, 429, 429, 429, 429, 200]);
        let old = Ask { authorization: &format!("Bearer {LEDGER_TOKEN_BEFORE}"), ..Ask::default() };
        assert_eq!(statuses(rotated, &old, 5), [200, 200, 200, 401, 401]);
        let new = Ask { authorization: &format!("Bearer {LEDGER_TOKEN_NOW}"), before: 9, ..Ask::default() };
        assert_eq!(rotated(&new).status, 200);
    }

    #[test]
    fn the_token_endpoint_takes_both_ways_of_saying_who_one_is() {
        let body = format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
        assert_eq!(token(&Ask { body: &body, ..Ask::default() }).status, 200);
        assert_eq!(token(&Ask { body: "grant_type=client_credentials", ..Ask::default() }).status, 401);
        assert_eq!(token(&Ask { body: "grant_type=password", ..Ask::default() }).status, 400);
    }

    #[test]
    fn no_endpoint_twice() {
        let mut places: Vec<(&str, u16)> = ENDPOINTS.iter().map(|e| (e.host, e.port)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), ENDPOINTS.len());
    }
}
