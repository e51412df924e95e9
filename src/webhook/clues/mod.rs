//! Why a message is not accepted, in words for whoever debugs a signature: what is missing, and which usual mix-up would make it fit.
//!
//! For people at a terminal, who hold the secret. Never for the answer to a sender: that one learns nothing but 401. Holds no secret; texts of the
//! request are short and pass through `clean`. The words around them do not: a secret that is an ordinary word would show by what is missing.

mod mixup;

use super::key::{Form, Key};
use super::message::Request;
use super::recipe::{Carrier, Piece, Recipe, StampAt};
use super::scheme::{IdAt, Proof, Scheme};
use super::signed::texts;
use super::stamp::Unit;
use super::twilio::BODY_HASH;
use super::verify::{Reason, Verdict, carried};
use super::{MAX_BODY, presented};
use crate::secret::SecretValue;

/// What can be said about a verdict, the most telling first.
pub fn clues(
    scheme: &Scheme,
    secrets: &[SecretValue],
    request: &Request<'_>,
    verdict: &Verdict,
    clean: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let Some(reason) = verdict.reason else { return Vec::new() };
    let mut found = secret_clues(scheme, secrets);
    match (reason, scheme.recipe()) {
        (Reason::TooLarge, _) => found.push(format!("the body has {} bytes; at most {MAX_BODY} are read", request.body.len())),
        (Reason::StaleTimestamp | Reason::FutureTimestamp, Some(recipe)) => found.push(age(verdict, recipe)),
        (Reason::ReplayedId, _) => found.push("authentic, but its id was processed already: answer 2xx and do nothing".into()),
        (Reason::MissingHeader, _) => found.extend(missing(scheme, request)),
        (Reason::MalformedHeader, Some(recipe)) => found.extend(malformed(recipe, request, clean)),
        (Reason::NoSupportedSignature, Some(recipe)) => {
            found.push(format!("{} holds no signature of a known version; expected {}", recipe.signature, expected(recipe)));
            found.extend(mixup::find(scheme, recipe, secrets, request));
        }
        (Reason::BadSignature, Some(recipe)) => {
            let mixup = mixup::find(scheme, recipe, secrets, request);
            let unbound = texts(recipe, request, b"", b"").is_empty();
            if unbound {
                found.push(format!("the body is no form, and the address does not hold its hash ({BODY_HASH}): nothing would bind it"));
            } else if only_ed25519(scheme, recipe, secrets, request) {
                found.push("all its signatures are Ed25519 (v1a), and no secret is a public key: expected whpk_ and base64".into());
            } else if mixup.is_none() {
                found.push("no usual mix-up explains it: most likely another secret, or a body that was changed on its way".into());
                found.extend(body_clues(request.body));
            }
            found.extend(mixup);
        }
        _ => found.extend(presented_clues(scheme, secrets, request)),
    }
    found
}

/// Whether there is nothing that a shared secret could have made.
fn only_ed25519(scheme: &Scheme, recipe: &Recipe, secrets: &[SecretValue], request: &Request<'_>) -> bool {
    let shared = secrets.iter().all(|s| matches!(Key::read(recipe.key, s), Ok(Key::Shared(_))));
    shared && carried(scheme, recipe, request).is_ok_and(|c| c.members.iter().all(|m| m.asymmetric))
}

/// Secrets that are no keys.
fn secret_clues(scheme: &Scheme, secrets: &[SecretValue]) -> Vec<String> {
    let form = scheme.recipe().map_or(Form::Text, |r| r.key);
    let which = |n: usize| if secrets.len() > 1 { format!("secret {}: ", n + 1) } else { String::new() };
    let mut found = Vec::new();
    for (n, secret) in secrets.iter().enumerate() {
        match Key::read(form, secret) {
            Err(why) => found.push(format!("{}{why}", which(n))),
            Ok(Key::Shared(key)) if form == Form::Whsec && !(24..=64).contains(&key.len()) => {
                found.push(format!("{}the key has {} bytes; expected 24 to 64", which(n), key.len()));
            }
            Ok(_) => {}
        }
        if secret.expose() != secret.expose().trim() {
            found.push(format!("{}white space at its beginning or end is taken as part of the secret", which(n)));
        }
    }
    found
}

fn age(verdict: &Verdict, recipe: &Recipe) -> String {
    let ms = verdict.age_ms.unwrap_or_default();
    let s = ms.unsigned_abs() / 1000;
    let tolerance = recipe.tolerance_s;
    if ms < 0 {
        format!("authentic, but stamped {s} s in the future (at most {tolerance} s are accepted): one of the two clocks is wrong")
    } else {
        format!(
            "authentic, but stamped {s} s ago (at most {tolerance} s are accepted): it waited at the sender, or one of the two clocks is wrong"
        )
    }
}

/// Every header that a message of the scheme needs.
fn needed(scheme: &Scheme) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(recipe) = scheme.recipe() {
        names.push(recipe.signature.to_string());
        if let (IdAt::Header(id), true) = (&scheme.id, recipe.signs(&Piece::Id)) {
            names.push(id.to_string());
        }
        if let StampAt::Header(stamp, _) = &recipe.stamp {
            names.push(stamp.to_string());
        }
    }
    match scheme.proof {
        Proof::Header(name) => names.push(name.to_owned()),
        Proof::Bearer => names.push("authorization".to_owned()),
        _ => {}
    }
    names
}

fn missing(scheme: &Scheme, request: &Request<'_>) -> Vec<String> {
    let gone = |n: &String| request.headers.one(n) == Err(Reason::MissingHeader);
    let mut found: Vec<String> = needed(scheme).into_iter().filter(gone).map(|n| format!("{n} is missing or empty")).collect();
    if scheme.proof == Proof::Bearer && request.headers.any_begins("ce-") {
        let attributes = ["ce-id", "ce-source", "ce-specversion", "ce-type"].map(str::to_owned).into_iter().filter(gone);
        found.extend(attributes.map(|n| format!("{n} is missing: an event in binary mode has all four of its attributes")));
    }
    for other in Scheme::all().filter(|other| other.name() != scheme.name()) {
        let Some(recipe) = other.recipe() else { continue };
        let fits = needed(other).iter().all(|n| !gone(n)) && scheme.recipe().is_none_or(|own| own.signature != recipe.signature);
        if fits {
            found.push(format!("it has the headers of {}: is it one of those?", other.name()));
        }
    }
    found
}

fn malformed(recipe: &Recipe, request: &Request<'_>, clean: &dyn Fn(&str) -> String) -> Vec<String> {
    let twice = |name: &str| {
        let several = request.headers.one(name) == Err(Reason::MalformedHeader);
        several.then(|| format!("{name} stands there with several values, or is too long"))
    };
    let stamp = match &recipe.stamp {
        StampAt::Header(name, unit) => twice(name).or_else(|| {
            let text = request.headers.one(name).ok()?;
            unit.read(text)
                .is_none()
                .then(|| format!("{name} is {}: expected {}", quoted(&clean(&String::from_utf8_lossy(text))), unit.example()))
        }),
        StampAt::InSignature => Some(format!("expected t= with {}, before the signatures", Unit::Seconds.example())),
        StampAt::Nowhere => None,
    };
    let signature = if matches!(recipe.carrier, Carrier::Prefixed(_)) { twice(&recipe.signature) } else { None };
    [stamp, signature].into_iter().flatten().collect()
}

/// The beginning of a text of the request.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short:?}...") } else { format!("{short:?}") }
}

fn expected(recipe: &Recipe) -> String {
    let written = recipe.encoding.as_str();
    match &recipe.carrier {
        Carrier::Prefixed(prefix) => format!("{prefix} and {written}"),
        Carrier::Versions => "v1, or v1a, and base64, several with spaces between them".into(),
        Carrier::Pairs => format!("v1= and {written}, several with commas between them"),
        Carrier::Stamped => format!("t= and the time, then v1= and {written}, with commas between them"),
    }
}

fn body_clues(body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    if body.ends_with(b"\n") {
        found.push("the body ends with a line break: editors and echo add one, senders hardly ever".to_owned());
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        found.push("the body begins with a byte order mark".to_owned());
    }
    if body.is_empty() {
        found.push("the body is empty".to_owned());
    }
    found
}

/// Secrets that are presented.
fn presented_clues(scheme: &Scheme, secrets: &[SecretValue], request: &Request<'_>) -> Vec<String> {
    let bare = |value: &[u8]| {
        let after = value.iter().position(|b| *b == b' ').and_then(|n| value.get(n + 1..));
        let trimmed = presented::which(secrets, value.trim_ascii()).is_ok();
        if trimmed {
            return Some("it fits without the white space around it".to_owned());
        }
        after.filter(|a| presented::which(secrets, a).is_ok()).map(|_| {
            "it fits without its first word: the secret of this scheme is the whole value of the header, such as \"Basic ...\"".to_owned()
        })
    };
    match scheme.proof {
        Proof::Header(name) => {
            let clue = request.headers.one(name).ok().and_then(bare);
            vec![clue.unwrap_or_else(|| format!("{name} is not the secret"))]
        }
        Proof::ClientState => match presented::states(request.body) {
            None => vec!["the body is not {\"value\":[{\"clientState\":...}]}".into()],
            Some(0) => vec!["there are no items, so nothing proves who sent it".into()],
            Some(n) => vec![format!("the clientState of one of {n} items is missing or is not the secret")],
        },
        Proof::Bearer => vec!["expected the secret behind \"Bearer \" in authorization, or as access_token in the query".into()],
        Proof::Nothing => {
            vec!["such messages carry nothing that could be verified: use client certificates, or a list of addresses".into()]
        }
        Proof::Signature(_) => Vec::new(),
    }
}
