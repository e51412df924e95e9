//! How a kind whose messages arrive knows that they are authentic: the scheme or template, and the secrets. The same keys for all such kinds.

use std::collections::BTreeMap;

use super::material::Material;
use crate::config::table::{Table, read_field, short};
use crate::fields::HttpUrl;
use crate::secret::SecretRef;
use crate::transport::auth::rooted;
use crate::webhook::{Scheme, Template};

/// More secrets than this are no rotation.
const MOST_SECRETS: usize = 8;

/// More origins than this are no list that people keep.
const MOST_ORIGINS: usize = 64;
/// A host's name is no longer.
const LONGEST_ORIGIN: usize = 253;

/// Who may send, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiving {
    /// `scheme`, or what `template` makes.
    pub scheme: Scheme,
    /// `template`.
    pub template: BTreeMap<String, String>,
    /// `secrets`: one, or several while one is rotated.
    pub secrets: Vec<SecretRef>,
    /// `url`: the address as the sender knows it, where that is signed.
    pub url: Option<HttpUrl>,
    /// `allowed_origins`: who is told that it may send CloudEvents; `None`: whoever asks.
    pub allowed_origins: Option<Vec<String>>,
}

impl Receiving {
    /// Reads the keys out of a kind's table.
    pub fn read(t: &mut Table<'_>) -> Option<Self> {
        let template: BTreeMap<String, String> =
            t.map("template").into_iter().filter_map(|(key, v)| read_field::<String>(&v).map(|text| (key, text))).collect();
        let scheme = read_scheme(t, &template);
        let secrets: Vec<SecretRef> = t.list::<SecretRef>("secrets").into_iter().map(|s| rooted(s, t)).collect();
        if t.lacks("secrets") {
            t.missing("secrets", "where to find the secret, [{ env = \"NAME\" }] or [{ file = \"/path\" }]");
        } else if t.has("secrets") && (secrets.is_empty() && t.shown("secrets") == "a list" || secrets.len() > MOST_SECRETS) {
            t.problem("secrets", format!("has {} secrets", secrets.len()), format!("expected 1 to {MOST_SECRETS}"));
        }
        let url = t.opt("url");
        let allowed_origins = read_origins(t, scheme.as_ref());
        Some(Self { scheme: scheme?, template, secrets, url, allowed_origins })
    }

    /// What of it is judged: not where secrets are found, nor who is told that it may send, for messages are not judged by that.
    pub fn material(&self) -> Material {
        let mut m = Material::default();
        m.say("scheme", self.scheme.name());
        for (key, value) in &self.template {
            m.say(format!("template.{key}"), value);
        }
        if let Some(url) = &self.url {
            m.say("url", url.url().as_str());
        }
        m
    }
}

fn read_origins(t: &mut Table<'_>, scheme: Option<&Scheme>) -> Option<Vec<String>> {
    let origins = t.list::<String>("allowed_origins");
    if !t.has("allowed_origins") {
        return None;
    }
    let expected = "expected the names of hosts, such as [\"eventgrid.azure.net\"], as WebHook-Request-Origin has them";
    let is_origin = |o: &String| (1..=LONGEST_ORIGIN).contains(&o.len()) && o.bytes().all(|b| b.is_ascii_graphic());
    if let Some(wrong) = origins.iter().find(|o| !is_origin(o)) {
        t.problem("allowed_origins", format!("holds \"{}\", which is no origin", short(wrong)), expected);
    } else if origins.is_empty() && t.shown("allowed_origins") == "a list" {
        t.problem("allowed_origins", "is empty", format!("{expected}, or no allowed_origins where any may send"));
    } else if origins.len() > MOST_ORIGINS {
        t.problem("allowed_origins", format!("has {} origins", origins.len()), format!("expected at most {MOST_ORIGINS}"));
    }
    if let Some(scheme) = scheme.filter(|s| s.name() != "cloudevents") {
        let what = format!("is never looked at: senders of {} do not ask with an origin", scheme.name());
        t.problem("allowed_origins", what, "expected scheme = \"cloudevents\" beside it, or no allowed_origins");
    }
    Some(origins)
}

fn read_scheme(t: &mut Table<'_>, template: &BTreeMap<String, String>) -> Option<Scheme> {
    let name: Option<String> = t.opt("scheme");
    if t.has("template") {
        if name.as_deref().is_some_and(|n| n != "generic") {
            t.problem("scheme", "stands beside template", "expected one of them");
        }
        return match Template::read(template) {
            Ok(template) => Some(template.scheme().clone()),
            Err(why) => {
                t.problem("template", "is not right here", why);
                None
            }
        };
    }
    if t.lacks("scheme") {
        t.missing("scheme", "how messages are signed, such as \"github\", or a template");
    }
    let name = name?;
    match Scheme::named(&name) {
        Some(scheme) if scheme.name() == "salesforce" => {
            t.problem("scheme", "salesforce proves nothing in its messages", "expected a scheme that can be verified here");
            None
        }
        Some(scheme) => Some(scheme.clone()),
        None => {
            let known: Vec<&str> = Scheme::all().map(Scheme::name).collect();
            let near = Scheme::nearest(&name).map(|n| format!(" (did you mean \"{n}\"?)")).unwrap_or_default();
            t.problem("scheme", format!("{} is not right here", t.shown("scheme")), format!("expected one of {}{near}", known.join(", ")));
            None
        }
    }
}
