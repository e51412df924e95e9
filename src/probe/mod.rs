//! The kinds of check: a closed enum, one file per kind, each a function that runs **once**.
//!
//! A probe has no retry, no clock, no store: time, retries, deadlines and limits are the scheduler's; one that asks more than once awaits a turn before
//! each request ([`Turns`]). A new kind is a file beside
//! `http.rs` and its arms in [`Kind`]; nothing else of the core changes.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio::time::Instant;
use url::Host;

use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::config::table::Table;
use crate::fields::{HttpUrl, Span};
use crate::memory::Memory;
use crate::observed::{Failure, Observed};
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef};
use crate::soak::Judge;
use crate::transport::auth::Auth;
use crate::transport::{OwnCertificate, Transport, guard};
use crate::webhook::Scheme;
use material::Material;

pub mod document;
pub mod endpoint;
pub mod http;
pub mod material;
pub mod oauth2;
pub mod oidc;
pub mod receiving;
pub mod round_trip;
pub mod saml;
pub mod scim;
#[cfg(test)]
pub mod told;
pub mod webhook;
pub mod webhook_arrival;

/// How a check tests: one variant per kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A request and what its response must be.
    Http(Box<http::HttpCheck>),
    /// A SCIM server, asked what identity providers ask.
    Scim(Box<scim::ScimCheck>),
    /// A request, and the message that it sets off.
    RoundTrip(Box<round_trip::RoundTripCheck>),
    /// Messages that arrive at the receiver; silence is a failure.
    WebhookArrival(Box<webhook_arrival::ArrivalCheck>),
    /// An OpenID provider's discovery document, keys and endpoints.
    Oidc(Box<oidc::OidcCheck>),
    /// A token, asked for and looked at.
    OAuth2(Box<oauth2::OAuth2Check>),
    /// SAML metadata.
    Saml(Box<saml::SamlCheck>),
    /// A signed message to the customer's endpoint.
    Webhook(Box<webhook::WebhookCheck>),
    /// Outcomes that arrive from outside; proves that such a kind needs nothing of the core.
    #[cfg(test)]
    Told(told::ToldCheck),
}

/// Who says when a run that asks more than once may ask again.
pub trait Turns: fmt::Debug + Sync {
    /// Waits for the next turn towards the check's own host; `false`: it would come after the deadline.
    fn next(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// What one run is handed: its check, and the shared means to reach the network.
#[derive(Debug)]
pub struct ProbeContext<'a> {
    /// The check that runs.
    pub check: &'a CheckDef,
    /// The HTTP exchange all kinds share.
    pub transport: &'a Transport,
    /// Knows every secret this run uses; every text that leaves the run goes through it.
    pub redactor: &'a mut Redactor,
    /// What the check remembers from run to run.
    pub memory: Memory<'a>,
    /// The slot this run is for: the same in each of its attempts. With the check's id it names the run.
    pub slot: UnixMs,
    /// Wall time when the attempt began: what dates are judged by.
    pub now: UnixMs,
    /// The turns of every request after the first; `None`: nobody counts.
    pub turns: Option<&'a dyn Turns>,
    /// When the run is cut off, all its attempts together; `None`: its timeout from now on.
    pub deadline: Option<Instant>,
}

impl ProbeContext<'_> {
    /// Waits for the turn of one more request, after so many of this attempt; the first one's was taken by whoever runs the check.
    pub async fn turn(&self, asked: usize) -> Result<(), Failure> {
        let Some(turns) = self.turns.filter(|_| asked > 0) else { return Ok(()) };
        if turns.next().await {
            return Ok(());
        }
        let why = format!(
            "our own pace: after {asked} requests the next one's turn would have come after the deadline; expected a longer timeout, or a higher max_rate"
        );
        Err(Failure::ours(Cause::RateLimit, why))
    }
}

/// A target written as an address that the guard would refuse at every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLiteral {
    /// Where it stands in the kind's table: `url`.
    pub key: &'static str,
    /// The address, as written.
    pub address: String,
    /// The guard's rule.
    pub rule: &'static str,
}

/// What is accepted, once it is on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// What the check remembers from then on.
    pub memory: String,
    /// For the evidence log and for people: what was accepted and what it takes the place of, without secrets. An object.
    pub what: serde_json::Value,
}

/// Why nothing can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NothingToAccept {
    /// A kind without a document.
    #[error("this kind of check has no document that could change")]
    NoDocument,
    /// Nothing was seen yet that may be accepted.
    #[error("no document was read yet that may be accepted")]
    NothingSeen,
    /// What was last seen is what is accepted.
    #[error("what was last seen is what is accepted already")]
    Unchanged,
}

impl Kind {
    /// The names of the kinds: the keys `[integration.check.<kind>]`.
    pub const NAMES: &'static [&'static str] = &[
        "http",
        "scim",
        "round_trip",
        "webhook_arrival",
        "oidc",
        "oauth2",
        "saml",
        "webhook",
        #[cfg(test)]
        "told",
    ];

    /// Reads the kind's table out of a check's table. Reports it when there is none, or more than one.
    pub fn read(check: &mut Table<'_>) -> Option<Self> {
        let found: Vec<&str> = Self::NAMES.iter().copied().filter(|n| check.has(n)).collect();
        // Each name is asked for, so that all are known to the check's table.
        let mut tables: Vec<(&str, Table<'_>)> = Self::NAMES.iter().filter_map(|n| Some((*n, check.table(n)?))).collect();
        match found.as_slice() {
            [_] => match tables.pop()? {
                ("http", table) => http::HttpCheck::read(table).map(|c| Self::Http(Box::new(c))),
                ("scim", table) => scim::ScimCheck::read(table).map(|c| Self::Scim(Box::new(c))),
                ("round_trip", table) => round_trip::RoundTripCheck::read(table).map(|c| Self::RoundTrip(Box::new(c))),
                ("webhook_arrival", table) => webhook_arrival::ArrivalCheck::read(table).map(|c| Self::WebhookArrival(Box::new(c))),
                ("oidc", table) => oidc::OidcCheck::read(table).map(|c| Self::Oidc(Box::new(c))),
                ("oauth2", table) => oauth2::OAuth2Check::read(table).map(|c| Self::OAuth2(Box::new(c))),
                ("saml", table) => saml::SamlCheck::read(table).map(|c| Self::Saml(Box::new(c))),
                ("webhook", table) => webhook::WebhookCheck::read(table).map(|c| Self::Webhook(Box::new(c))),
                #[cfg(test)]
                ("told", table) => Some(Self::Told(told::ToldCheck::read(table))),
                _ => None,
            },
            // In a damaged file the table may be what was lost.
            [] if check.source().damaged.get() => None,
            [] => {
                let tables: Vec<String> = Self::NAMES.iter().map(|n| format!("[integration.check.{n}]")).collect();
                check.problem("", "does not say how to test", format!("expected one of the tables {}", tables.join(", ")));
                None
            }
            more => {
                check.problem("", format!("has more than one kind ({})", more.join(", ")), "expected one table per check");
                None
            }
        }
    }

    /// The kind's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Scim(_) => "scim",
            Self::RoundTrip(_) => "round_trip",
            Self::WebhookArrival(_) => "webhook_arrival",
            Self::Oidc(_) => "oidc",
            Self::OAuth2(_) => "oauth2",
            Self::Saml(_) => "saml",
            Self::Webhook(_) => "webhook",
            #[cfg(test)]
            Self::Told(_) => "told",
        }
    }

    /// The label `kind` of `soakwatch_integration_info`: api, webhook or sso.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Http(_) => "api",
            Self::Scim(_) => "sso",
            Self::RoundTrip(_) | Self::WebhookArrival(_) => "webhook",
            Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) => "sso",
            Self::Webhook(_) => "webhook",
            #[cfg(test)]
            Self::Told(_) => "webhook",
        }
    }

    /// `host:port` this check talks to: the unit of concurrency. `None`: it talks to nobody of its own; it reads a file, or its outcomes arrive from outside.
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Http(c) => Some(c.host()),
            Self::Scim(c) => Some(c.host()),
            Self::RoundTrip(c) => Some(c.trigger.host()),
            Self::WebhookArrival(_) => None,
            Self::Oidc(c) => Some(c.host()),
            Self::OAuth2(c) => Some(c.host()),
            Self::Saml(c) => c.host(),
            Self::Webhook(c) => Some(c.host()),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// Whether it is run on a schedule. `false`: its outcomes arrive from outside.
    pub fn is_asked(&self) -> bool {
        match self {
            Self::Http(_) | Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) | Self::Scim(_) | Self::Webhook(_) | Self::RoundTrip(_) => true,
            Self::WebhookArrival(_) => false,
            #[cfg(test)]
            Self::Told(_) => false,
        }
    }

    /// Who we are to them, as far as a quota is concerned: the same text for checks that use the same credential; nothing in it is secret.
    pub fn credential(&self) -> String {
        match self {
            Self::Http(c) => c.credential(),
            Self::Scim(c) => c.credential(),
            Self::RoundTrip(c) => c.trigger.credential(),
            Self::WebhookArrival(_) => String::new(),
            Self::Oidc(_) | Self::Saml(_) => "none".to_owned(),
            Self::OAuth2(c) => c.credential(),
            Self::Webhook(c) => c.credential(),
            #[cfg(test)]
            Self::Told(_) => String::new(),
        }
    }

    /// Whether two checks are the same to them, as far as a quota is concerned: as [`Kind::credential`] has it, without making the text.
    pub fn shares_credential(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(a), Self::Http(b)) => a.shares_credential(b),
            (Self::Webhook(a), Self::Webhook(b)) => a.shares_credential(b),
            #[cfg(test)]
            (Self::Told(_), Self::Told(_)) => true,
            (a, b) => a.credential() == b.credential(),
        }
    }

    /// Every secret a run reads, so that loading the configuration can say which ones are not there.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Http(c) => c.secrets(),
            Self::Scim(c) => c.secrets(),
            Self::RoundTrip(c) => [c.trigger.secrets(), c.receiving.secrets.clone()].concat(),
            Self::WebhookArrival(c) => c.receiving.secrets.clone(),
            Self::Oidc(_) | Self::Saml(_) => Vec::new(),
            Self::OAuth2(c) => c.secrets(),
            Self::Webhook(c) => c.secrets(),
            #[cfg(test)]
            Self::Told(_) => Vec::new(),
        }
    }

    /// Those of its secrets that go into a header as they are, each with what it is called where it can't be sent.
    pub fn header_secrets(&self) -> Vec<(SecretRef, &'static str)> {
        match self {
            Self::Http(c) => c.header_secrets(),
            Self::Scim(c) => c.auth.as_ref().and_then(Auth::header_secret).into_iter().collect(),
            Self::RoundTrip(c) => c.trigger.header_secrets(),
            Self::WebhookArrival(_) => Vec::new(),
            Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) => Vec::new(),
            Self::Webhook(c) => c.header_secrets(),
            #[cfg(test)]
            Self::Told(_) => Vec::new(),
        }
    }

    /// The longest time a run may take and still pass, where that is less than its deadline: where it stands in the kind's table, and how long.
    pub fn within(&self) -> Option<(&'static str, Span)> {
        match self {
            Self::Http(c) => c.within(),
            Self::Scim(_) | Self::WebhookArrival(_) => None,
            Self::RoundTrip(c) => Some(("deadline", c.deadline)),
            Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) => None,
            Self::Webhook(c) => c.within(),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// The first target that is written as an address the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        match self {
            Self::Http(c) => c.refused_literal(allow_private),
            Self::Scim(c) => c.refused_literal(allow_private),
            Self::RoundTrip(c) => c.trigger.refused_literal(allow_private),
            Self::WebhookArrival(_) => None,
            Self::Oidc(c) => c.refused_literal(allow_private),
            Self::OAuth2(c) => c.refused_literal(allow_private),
            Self::Saml(c) => c.refused_literal(allow_private),
            Self::Webhook(c) => c.refused_literal(allow_private),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// The files the check names that can't be used by that time: where each stands in the check's table, and why. Reads them: blocking.
    pub fn unusable_files_blocking(&self, at: UnixMs) -> Vec<(String, String)> {
        let found = match self {
            Self::Http(c) => c.unusable_files_blocking(at),
            Self::Scim(c) => c.unusable_files_blocking(at),
            Self::RoundTrip(c) => c.trigger.unusable_files_blocking(at),
            Self::WebhookArrival(_) => Vec::new(),
            Self::Oidc(c) => c.unusable_file_blocking().into_iter().collect(),
            Self::OAuth2(c) => c.unusable_file_blocking().into_iter().collect(),
            Self::Saml(c) => c.unusable_file_blocking().into_iter().collect(),
            Self::Webhook(c) => c.unusable_files_blocking(at),
            #[cfg(test)]
            Self::Told(_) => Vec::new(),
        };
        let below = if matches!(self, Self::RoundTrip(_)) { ".trigger" } else { "" };
        found.into_iter().map(|(key, why)| (format!("{}{below}.{key}", self.name()), why)).collect()
    }

    /// What can be run and hardly does what was meant, or ends soon, by that time: where it stands in the check's table, what it is, and what is expected.
    /// Reads the files it names: blocking.
    pub fn doubts_blocking(&self, at: UnixMs) -> Vec<(String, String, &'static str)> {
        let own = |own: Option<&OwnCertificate>| own.and_then(|own| http::own_certificate_blocking(own, at)).into_iter().collect();
        let found = match self {
            Self::Http(c) => c.doubts_blocking(at),
            Self::RoundTrip(c) => c.trigger.doubts_blocking(at),
            Self::Scim(c) => own(c.own.as_ref()),
            Self::Webhook(c) => own(c.own.as_ref()),
            Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) | Self::WebhookArrival(_) => Vec::new(),
            #[cfg(test)]
            Self::Told(_) => Vec::new(),
        };
        let below = if matches!(self, Self::RoundTrip(_)) { ".trigger" } else { "" };
        found.into_iter().map(|(key, what, expected)| (format!("{}{below}.{key}", self.name()), what, expected)).collect()
    }

    /// The files whose contents belong to its table: those that are judged, and the certificate it shows, with its key. What it fetches is none.
    pub fn files(&self) -> Vec<PathBuf> {
        let shown = match self {
            Self::Http(c) => c.own.as_deref().map(|own| (&own.file, &own.key)),
            Self::RoundTrip(c) => c.trigger.own.as_deref().map(|own| (&own.file, &own.key)),
            Self::Scim(c) => c.own.as_ref().map(|own| (&own.file, &own.key)),
            Self::Webhook(c) => c.own.as_ref().map(|own| (&own.file, &own.key)),
            Self::OAuth2(c) => c.shows(),
            Self::WebhookArrival(_) | Self::Oidc(_) | Self::Saml(_) => None,
            #[cfg(test)]
            Self::Told(_) => None,
        };
        let judged = self.material().files().map(|(_, path)| path.to_owned()).collect::<Vec<_>>();
        let key = shown.and_then(|(_, key)| if let SecretRef::File(path) = key { Some(path) } else { None });
        judged.into_iter().chain(shown.map(|(file, _)| file).cloned()).chain(key.cloned()).collect()
    }

    /// Notes what the files hold now that are sent as bodies: no run sends another. `hash`: the SHA-256 of a file, hex.
    pub fn take_bodies(&mut self, hash: impl FnOnce(&Path) -> Option<String>) {
        let body = match self {
            Self::Http(c) => c.body.as_deref_mut(),
            Self::RoundTrip(c) => c.trigger.body.as_deref_mut(),
            _ => None,
        };
        if let Some(body) = body {
            body.take(hash);
        }
    }

    /// The shortest interval that spares the far side, and what it is spared; shorter ones are warned of.
    pub fn sparing(&self) -> Option<(Span, &'static str)> {
        match self {
            Self::Http(_)
            | Self::Oidc(_)
            | Self::Saml(_)
            | Self::Scim(_)
            | Self::Webhook(_)
            | Self::RoundTrip(_)
            | Self::WebhookArrival(_) => None,
            Self::OAuth2(_) => Some((oauth2::SPARING, "every run asks for a token: that costs quota, and wrong secrets lock accounts")),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// How runs of this kind are judged unless the check says otherwise: by their ratio, or, where they are rare by nature, each of them.
    pub fn judged_by(&self) -> Judge {
        match self {
            Self::Http(_) | Self::OAuth2(_) | Self::Webhook(_) | Self::RoundTrip(_) => Judge::Ratio,
            Self::Oidc(_) | Self::Saml(_) | Self::Scim(_) | Self::WebhookArrival(_) => Judge::Every,
            #[cfg(test)]
            Self::Told(_) => Judge::Every,
        }
    }

    /// What of its table is judged, so that a change of it starts the soak again.
    pub fn material(&self) -> Material {
        match self {
            Self::Http(c) => c.material(),
            Self::Scim(c) => c.material(),
            Self::RoundTrip(c) => c.material(),
            Self::WebhookArrival(c) => c.material(),
            Self::Oidc(c) => c.material(),
            Self::OAuth2(c) => c.material(),
            Self::Saml(c) => c.material(),
            Self::Webhook(c) => c.material(),
            #[cfg(test)]
            Self::Told(c) => c.material(),
        }
    }

    /// Whether it judges a document that may change: then its findings, dates and changes are exported.
    pub fn has_document(&self) -> bool {
        match self {
            Self::Http(_) | Self::Webhook(_) | Self::RoundTrip(_) | Self::WebhookArrival(_) => false,
            Self::Scim(_) => true,
            Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) => true,
            #[cfg(test)]
            Self::Told(_) => false,
        }
    }

    /// Requests a run makes to its own host at most, each in its turn. What it asks beyond that is counted when it is heard of.
    pub fn requests(&self) -> u32 {
        match self {
            Self::Http(_) | Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) | Self::WebhookArrival(_) | Self::RoundTrip(_) => 1,
            Self::Scim(c) => c.requests(),
            Self::Webhook(c) => c.requests(),
            #[cfg(test)]
            Self::Told(_) => 1,
        }
    }

    /// The timeout where none is written, for kinds that take longer than others: they wait for a turn before each request, or for what comes after it.
    pub fn usual_timeout(&self) -> Option<Span> {
        match self {
            Self::Http(_) | Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) | Self::WebhookArrival(_) => None,
            Self::RoundTrip(c) => Some(c.usual_timeout()),
            Self::Scim(c) => Some(c.usual_timeout()),
            Self::Webhook(c) => c.usual_timeout(),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// What of its table is refused in the environment `production`: its key, and what is expected instead.
    pub fn never_in_production(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Http(_)
            | Self::Oidc(_)
            | Self::OAuth2(_)
            | Self::Saml(_)
            | Self::Webhook(_)
            | Self::WebhookArrival(_)
            | Self::RoundTrip(_) => None,
            Self::Scim(c) => c.never_in_production(),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// Accepts what the check last saw in place of what was accepted before. `remembered`: what the check remembers.
    pub fn accept(&self, remembered: Option<&str>) -> Result<Accepted, NothingToAccept> {
        match self {
            Self::Http(_) | Self::Scim(_) | Self::Webhook(_) | Self::RoundTrip(_) | Self::WebhookArrival(_) => {
                Err(NothingToAccept::NoDocument)
            }
            Self::Oidc(_) => oidc::OidcCheck::accept(remembered),
            Self::OAuth2(_) => oauth2::OAuth2Check::accept(remembered),
            Self::Saml(_) => saml::SamlCheck::accept(remembered),
            #[cfg(test)]
            Self::Told(_) => Err(NothingToAccept::NoDocument),
        }
    }

    /// What this check talks to, as people may see it: nothing in it can be secret. `None`: it talks to nobody.
    pub fn target_shown(&self) -> Option<String> {
        match self {
            Self::Http(c) => Some(c.url_shown()),
            Self::Scim(c) => Some(c.url.shown()),
            Self::RoundTrip(c) => Some(c.trigger.url_shown()),
            Self::WebhookArrival(_) => None,
            Self::Oidc(c) => Some(c.url_shown()),
            Self::OAuth2(c) => Some(c.url_shown()),
            Self::Saml(c) => Some(c.target_shown()),
            Self::Webhook(c) => Some(c.url_shown()),
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// Who may send to this check, for kinds whose messages arrive at the receiver.
    pub fn receiving(&self) -> Option<&receiving::Receiving> {
        match self {
            Self::WebhookArrival(c) => Some(&c.receiving),
            Self::RoundTrip(c) => Some(&c.receiving),
            Self::Http(_) | Self::Oidc(_) | Self::OAuth2(_) | Self::Saml(_) | Self::Scim(_) | Self::Webhook(_) => None,
            #[cfg(test)]
            Self::Told(_) => None,
        }
    }

    /// The scheme its messages are signed by, and the secrets they are signed with.
    pub fn signed_with(&self) -> Option<(&Scheme, &[SecretRef])> {
        match self {
            Self::Webhook(c) => Some((c.signing.scheme(), &c.secrets)),
            _ => self.receiving().map(|r| (&r.scheme, r.secrets.as_slice())),
        }
    }

    /// Runs once. What was seen stands in `observed`, also when the future is dropped at its deadline.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        match self {
            Self::Http(c) => Box::pin(c.run(context, observed)).await,
            Self::Scim(c) => Box::pin(c.run(context, observed)).await,
            Self::RoundTrip(c) => Box::pin(c.run(context, observed)).await,
            Self::WebhookArrival(_) => Err(Failure::ours(Cause::Internal, "messages of this kind arrive from outside")),
            Self::Oidc(c) => Box::pin(c.run(context, observed)).await,
            Self::OAuth2(c) => Box::pin(c.run(context, observed)).await,
            Self::Saml(c) => Box::pin(c.run(context, observed)).await,
            Self::Webhook(c) => Box::pin(c.run(context, observed)).await,
            #[cfg(test)]
            Self::Told(_) => Err(Failure::ours(Cause::Internal, "outcomes of this kind arrive from outside")),
        }
    }
}

/// A target that is written as an address which the guard would refuse.
pub fn refused_address(key: &'static str, url: &HttpUrl, allow_private: bool) -> Option<RefusedLiteral> {
    let host = url.url().host()?;
    let ip = match host {
        Host::Ipv4(ip) => ip.into(),
        Host::Ipv6(ip) => ip.into(),
        // Every resolver gives it the loopback address (RFC 6761, 6.3).
        Host::Domain("localhost") => Ipv4Addr::LOCALHOST.into(),
        Host::Domain(_) => return None,
    };
    let rule = guard::judge(ip, allow_private).err()?;
    Some(RefusedLiteral { key, address: host.to_string(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Source;

    #[test]
    fn a_check_has_one_kind() {
        let source = Source::new("f", "", "id = \"a\"\n[http]\nurl = \"https://api.example.com\"\n[told]\n");
        let entries = source.parse();
        assert_eq!(Kind::read(&mut source.root(&entries)), None);
        let said: Vec<String> = source.problems.take().iter().map(ToString::to_string).collect();
        assert_eq!(said, ["f:1:1: has more than one kind (http, told); expected one table per check"]);
    }
}
