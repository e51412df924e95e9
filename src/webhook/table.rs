//! The table of senders: one row each, by the facts of docs/webhooks.md. What a row can't say stands in a file named after its sender.

use std::borrow::Cow::Borrowed;

use super::coding::Encoding;
use super::key::Form;
use super::recipe::{Carrier, Digest, Piece, Recipe, StampAt};
use super::scheme::{Greeting, IdAt, Proof, Scheme};
use super::stamp::Unit;

/// Most senders: HMAC-SHA256 over the body, in hex, with a secret that is text, and no time.
const PLAIN: Recipe = Recipe {
    signature: Borrowed(""),
    carrier: Carrier::Prefixed(Borrowed("")),
    pieces: Borrowed(&[Piece::Body]),
    digest: Digest::HmacSha256,
    encoding: Encoding::Hex,
    key: Form::Text,
    stamp: StampAt::Nowhere,
    tolerance_s: 300,
};

const fn dot() -> Piece {
    Piece::Literal(Borrowed("."))
}

const ID_TIME_BODY: &[Piece] = &[Piece::Id, dot(), Piece::Timestamp, dot(), Piece::Body];
const TIME_BODY: &[Piece] = &[Piece::Timestamp, dot(), Piece::Body];
const V0_TIME_BODY: &[Piece] = &[Piece::Literal(Borrowed("v0:")), Piece::Timestamp, Piece::Literal(Borrowed(":")), Piece::Body];
const HUBSPOT_V3: &[Piece] = &[Piece::Method, Piece::HubspotUrl, Piece::Body, Piece::Timestamp];
const HUBSPOT_V2: &[Piece] = &[Piece::Secret, Piece::Method, Piece::Url, Piece::Body];

static STANDARD: Recipe = Recipe {
    signature: Borrowed("webhook-signature"),
    carrier: Carrier::Versions,
    pieces: Borrowed(ID_TIME_BODY),
    encoding: Encoding::Base64,
    key: Form::Whsec,
    stamp: StampAt::Header(Borrowed("webhook-timestamp"), Unit::Seconds),
    ..PLAIN
};
static SVIX: Recipe = Recipe {
    signature: Borrowed("svix-signature"),
    carrier: Carrier::Versions,
    pieces: Borrowed(ID_TIME_BODY),
    encoding: Encoding::Base64,
    key: Form::Whsec,
    stamp: StampAt::Header(Borrowed("svix-timestamp"), Unit::Seconds),
    ..PLAIN
};
static STRIPE: Recipe = Recipe {
    signature: Borrowed("stripe-signature"),
    carrier: Carrier::Stamped,
    pieces: Borrowed(TIME_BODY),
    stamp: StampAt::InSignature,
    ..PLAIN
};
static GITHUB: Recipe = Recipe { signature: Borrowed("x-hub-signature-256"), carrier: Carrier::Prefixed(Borrowed("sha256=")), ..PLAIN };
static ATLASSIAN: Recipe = Recipe { signature: Borrowed("x-hub-signature"), carrier: Carrier::Prefixed(Borrowed("sha256=")), ..PLAIN };
static INTERCOM: Recipe =
    Recipe { signature: Borrowed("x-hub-signature"), carrier: Carrier::Prefixed(Borrowed("sha1=")), digest: Digest::HmacSha1, ..PLAIN };
static SLACK: Recipe = Recipe {
    signature: Borrowed("x-slack-signature"),
    carrier: Carrier::Prefixed(Borrowed("v0=")),
    pieces: Borrowed(V0_TIME_BODY),
    stamp: StampAt::Header(Borrowed("x-slack-request-timestamp"), Unit::Seconds),
    ..PLAIN
};
static ZOOM: Recipe = Recipe {
    signature: Borrowed("x-zm-signature"),
    carrier: Carrier::Prefixed(Borrowed("v0=")),
    pieces: Borrowed(V0_TIME_BODY),
    stamp: StampAt::Header(Borrowed("x-zm-request-timestamp"), Unit::Seconds),
    ..PLAIN
};
static SHOPIFY: Recipe = Recipe { signature: Borrowed("x-shopify-hmac-sha256"), encoding: Encoding::Base64, ..PLAIN };
static ZENDESK: Recipe = Recipe {
    signature: Borrowed("x-zendesk-webhook-signature"),
    pieces: Borrowed(&[Piece::Timestamp, Piece::Body]),
    encoding: Encoding::Base64,
    stamp: StampAt::Header(Borrowed("x-zendesk-webhook-signature-timestamp"), Unit::Rfc3339),
    ..PLAIN
};
static TWILIO: Recipe = Recipe {
    signature: Borrowed("x-twilio-signature"),
    pieces: Borrowed(&[Piece::TwilioUrl]),
    digest: Digest::HmacSha1,
    encoding: Encoding::Base64,
    ..PLAIN
};
static HUBSPOT3: Recipe = Recipe {
    signature: Borrowed("x-hubspot-signature-v3"),
    pieces: Borrowed(HUBSPOT_V3),
    encoding: Encoding::Base64,
    stamp: StampAt::Header(Borrowed("x-hubspot-request-timestamp"), Unit::Milliseconds),
    ..PLAIN
};
static HUBSPOT2: Recipe =
    Recipe { signature: Borrowed("x-hubspot-signature"), pieces: Borrowed(HUBSPOT_V2), digest: Digest::Sha256, ..PLAIN };
static HUBSPOT1: Recipe =
    Recipe { signature: Borrowed("x-hubspot-signature"), pieces: Borrowed(&[Piece::Secret, Piece::Body]), digest: Digest::Sha256, ..PLAIN };
static PAGERDUTY: Recipe = Recipe { signature: Borrowed("x-pagerduty-signature"), carrier: Carrier::Pairs, ..PLAIN };
static TWITCH: Recipe = Recipe {
    signature: Borrowed("twitch-eventsub-message-signature"),
    carrier: Carrier::Prefixed(Borrowed("sha256=")),
    pieces: Borrowed(&[Piece::Id, Piece::Timestamp, Piece::Body]),
    stamp: StampAt::Header(Borrowed("twitch-eventsub-message-timestamp"), Unit::Rfc3339),
    tolerance_s: 600,
    ..PLAIN
};

const fn row(name: &'static str, proof: Proof, id: IdAt, greeting: Greeting) -> Scheme {
    Scheme { name, aliases: &[], proof, id, greeting }
}

const fn signed(name: &'static str, recipe: &'static Recipe, id: IdAt) -> Scheme {
    row(name, Proof::Signature(Borrowed(recipe)), id, Greeting::None)
}

const fn header(name: &'static str) -> IdAt {
    IdAt::Header(Borrowed(name))
}

/// Every scheme with a name.
pub(super) static TABLE: [Scheme; 22] = [
    Scheme {
        name: "standard-webhooks",
        aliases: &["standard-webhooks-v1", "standard-webhooks-v1a"],
        proof: Proof::Signature(Borrowed(&STANDARD)),
        id: header("webhook-id"),
        greeting: Greeting::None,
    },
    signed("svix", &SVIX, header("svix-id")),
    signed("stripe", &STRIPE, IdAt::Body("id")),
    signed("github", &GITHUB, header("x-github-delivery")),
    signed("atlassian", &ATLASSIAN, header("x-atlassian-webhook-identifier")),
    row("slack", Proof::Signature(Borrowed(&SLACK)), IdAt::Body("event_id"), Greeting::Slack),
    signed("shopify", &SHOPIFY, header("x-shopify-webhook-id")),
    signed("zendesk", &ZENDESK, header("x-zendesk-webhook-invocation-id")),
    signed("twilio", &TWILIO, header("i-twilio-idempotency-token")),
    signed("hubspot-v3", &HUBSPOT3, IdAt::Nowhere),
    signed("hubspot-v2", &HUBSPOT2, IdAt::Nowhere),
    signed("hubspot-v1", &HUBSPOT1, IdAt::Nowhere),
    signed("intercom", &INTERCOM, IdAt::Body("id")),
    signed("pagerduty", &PAGERDUTY, IdAt::Within("event", "id")),
    row("twitch", Proof::Signature(Borrowed(&TWITCH)), header("twitch-eventsub-message-id"), Greeting::Twitch),
    row("zoom", Proof::Signature(Borrowed(&ZOOM)), IdAt::Nowhere, Greeting::Zoom),
    row("okta", Proof::Header("authorization"), IdAt::Body("eventId"), Greeting::Okta),
    Scheme { name: "ms-graph", aliases: &["microsoft-graph"], proof: Proof::ClientState, id: IdAt::Nowhere, greeting: Greeting::Graph },
    row("cloudevents", Proof::Bearer, IdAt::CloudEvent, Greeting::CloudEvents),
    row("servicenow", Proof::Header("authorization"), IdAt::Nowhere, Greeting::None),
    row("workato", Proof::Header("authorization"), IdAt::Nowhere, Greeting::None),
    row("salesforce", Proof::Nothing, IdAt::Nowhere, Greeting::None),
];
