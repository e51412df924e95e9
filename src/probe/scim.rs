//! The scim kind: a SCIM server asked what identity providers ask, and judged by the rules of `sso::scim` (docs/sso.md).
//!
//! One run makes some two dozen requests, one after the other, each in its turn. It reads only, unless `write` says otherwise: then it also makes, changes
//! and removes marked users of its own. Never touches anybody else, and never lets a name, an id or another value of a directory leave the run.
//!
//! ```toml
//! [integration.check.scim]
//! url  = "https://app.example.com/scim/v2"
//! auth = { bearer = { env = "ACME_SCIM_TOKEN" } }
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::material::Material;
use super::{ProbeContext, RefusedLiteral, document, http, refused_address};
use crate::clock::UnixMs;
use crate::fields::{HttpUrl, Span};
use crate::finding::scim::{AUT_03, DEL_01, GET_01, PAG_01, PAG_03, PAG_04};
use crate::finding::{Finding, Findings, MOST_DETAIL};
use crate::hex;
use crate::observed::{Failure, Observed, bounded};
use crate::outcome::{Cause, Class};
use crate::secret::SecretRef;
use crate::sso::scim::ask::{Ask, Token};
use crate::sso::scim::plan::{PAGES, plan};
use crate::sso::scim::write::{Move, Write};
use crate::sso::scim::{Exchange, Idp, judge};
use crate::transport::auth::Auth;
use crate::transport::{OwnCertificate, read_roots_blocking};
use session::Session;

mod left;
mod session;
mod table;

/// Requests of a run that reads.
const READS: u32 = 24;
/// Requests that a run which writes makes besides.
const WRITES: u32 = 32;
/// Deadlines where none is written: with a request a second, each answered within two.
const TIMEOUTS: (Span, Span) = (Span::seconds(120), Span::seconds(240));
/// Rules that also look broken where somebody came or went between two pages: looked at twice.
const OF_PAGES: [&str; 3] = [PAG_01.id, PAG_03.id, PAG_04.id];
/// How the ids of the rules begin that only a run which writes can judge.
const OF_WRITES: [&str; 4] = ["SCIM-CRE", "SCIM-PAT", "SCIM-PUT", "SCIM-DEL"];
/// Why a run outside of the daemon does not write.
const NOT_WRITTEN: &str =
    "write = true needs the daemon's store, where what is to be removed is noted first: only what reads was asked, and nothing was written";

/// A scim check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimCheck {
    /// `url`: the base URL, in front of `/Users`.
    pub url: HttpUrl,
    /// `auth`; none: nothing is sent, and a server that answers all the same is a finding.
    pub auth: Option<Auth>,
    /// `ca`: a PEM file of roots trusted besides the shared ones, read at use.
    pub ca: Option<PathBuf>,
    /// `client`: what we show where we are asked who we are.
    pub own: Option<OwnCertificate>,
    /// `token_ends`: when the token stops being accepted, as was written down when it was made.
    pub token_ends: Option<UnixMs>,
    /// `known`: the userName of somebody who exists. A person's, maybe: handled as a secret.
    pub known: Option<SecretRef>,
    /// `idp`: who will use the server.
    pub idp: Idp,
    /// `groups`: whether groups are used.
    pub groups: bool,
    /// `write`: whether users of our own are made.
    pub write: bool,
    /// `allow_write_in_production`.
    pub allow_write_in_production: bool,
}

impl ScimCheck {
    /// `host:port`: the unit of concurrency.
    pub fn host(&self) -> String {
        self.url.host_port()
    }

    /// Who we are to them, in the words of the http kind: both share a quota where they share a credential.
    pub fn credential(&self) -> String {
        match &self.auth {
            None => "none".to_owned(),
            Some(auth) => {
                let secrets = auth.secrets();
                hex::sha256(format!("{:?} {secrets:?}", Some(auth)).as_bytes()).chars().take(16).collect()
            }
        }
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let key = self.own.iter().map(|own| own.key.clone());
        self.auth.iter().flat_map(Auth::secrets).chain(self.known.clone()).chain(key).collect()
    }

    /// The first URL that is written as an address the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        let token = match &self.auth {
            Some(Auth::OAuth2(o)) => Some(("auth.oauth2.token_url", &o.token_url)),
            _ => None,
        };
        [Some(("url", &self.url)), token].into_iter().flatten().find_map(|(key, url)| refused_address(key, url, allow_private))
    }

    /// The files it names that can't be used by that time: the key of each, and why. Reads them: blocking.
    pub fn unusable_files_blocking(&self, at: UnixMs) -> Vec<(&'static str, String)> {
        let roots =
            self.ca.as_deref().and_then(|f| Some(("ca", format!("{} can't be used: {}", f.display(), read_roots_blocking(f).err()?))));
        let own = self.own.as_ref().and_then(|own| own.unusable_blocking(at));
        roots.into_iter().chain(own).collect()
    }

    /// Requests of a run.
    pub fn requests(&self) -> u32 {
        READS + if self.write { WRITES } else { 0 }
    }

    /// The timeout where none is written.
    pub fn usual_timeout(&self) -> Span {
        if self.write { TIMEOUTS.1 } else { TIMEOUTS.0 }
    }

    /// What it must not do in production.
    pub fn never_in_production(&self) -> Option<(&'static str, &'static str)> {
        let expected = "expected write = false, or allow_write_in_production = true beside it if users for testing may be made there";
        (self.write && !self.allow_write_in_production).then_some(("write", expected))
    }

    /// What of it is judged. Every field is named, so that a new one must be placed here.
    pub fn material(&self) -> Material {
        // A new token has another end: that is no other judgement. Where it may write says nothing of what is judged.
        let Self { url, auth, ca, own, token_ends: _, known, idp, groups, write, allow_write_in_production: _ } = self;
        let mut m = Material::default();
        m.say("url", url.url());
        if let Some(auth) = auth {
            http::authorized(&mut m, auth);
        }
        if let Some(file) = ca {
            m.file("ca", file);
        }
        if own.is_some() {
            m.say("client", "secret");
        }
        if known.is_some() {
            m.say("known", "somebody");
        }
        if *idp == Idp::Okta {
            m.say("idp", "okta");
        }
        m.unless(&true, "groups", groups);
        m.unless(&false, "write", write);
        m
    }

    /// Runs once. What was seen stands in `observed`, also when the future is dropped at its deadline.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let ran = Box::pin(self.attempt(context, observed)).await;
        for f in observed.findings.iter_mut().flat_map(|f| &mut f.list) {
            f.detail = bounded(context.redactor.clean(&f.detail), MOST_DETAIL);
        }
        ran.map_err(|mut failure| {
            if failure.class == Class::Certificate && observed.findings.is_none() {
                failure = document::not_had(GET_01.found(context.redactor.clean(&failure.detail)), failure, observed);
            }
            failure.detail = bounded(context.redactor.clean(&failure.detail), 300);
            failure
        })
    }

    async fn attempt(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let mut session = Session::open(self, context).await?;
        // Also where writing was switched off since: what was ours is ours to remove.
        let left = left::remove(&mut session, context, observed).await?;
        let asks = plan(&session.known, &session.marker);
        let asks: Vec<Ask> = asks.into_iter().filter(|a| self.groups || a.name != "groups").collect();
        let mut seen = Vec::new();
        for ask in &asks {
            seen.push(session.ask(ask, context, observed).await?);
            stop_if_refused(ask, &seen, &session, observed)?;
        }
        let of_pages = |f: &Finding| OF_PAGES.contains(&&*f.id);
        let doubtful: BTreeSet<_> = judge(&seen, &session.known).into_iter().filter(of_pages).map(|f| f.id).collect();
        if !doubtful.is_empty() {
            for (ask, before) in asks.iter().zip(&mut seen).filter(|(a, _)| PAGES.contains(&a.name)) {
                *before = session.ask(ask, context, observed).await?;
            }
        }
        let writes = self.write && left == 0 && context.memory.is_kept();
        if writes {
            self.write(&mut session, &mut seen, context, observed).await?;
        }
        let mut found = judge(&seen, &session.known);
        // What showed itself once only may have been somebody who came or went.
        found.retain(|f| !of_pages(f) || doubtful.contains(&f.id));
        if left > 0 {
            found
                .push(DEL_01.found(format!("{left} of our own marked users and groups, left by a run that was cut off, can't be removed")));
        }
        let findings = Findings::whole(found).but(OF_WRITES.into_iter().filter(|_| self.write && !writes));
        let failure = document::failure(&findings.list);
        observed.findings = Some(findings);
        match failure {
            Some(failure) => Err(failure),
            None if self.write && !context.memory.is_kept() => Err(Failure::ours(Cause::Internal, NOT_WRITTEN)),
            None => Ok(()),
        }
    }

    /// Makes, changes and removes users of our own; what is about to be made is noted in the store first.
    async fn write(
        &self,
        session: &mut Session<'_>,
        seen: &mut Vec<Exchange>,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        let write = Write::new(&session.marker);
        let mut write = if self.groups { write } else { write.without_groups() };
        let began = seen.len();
        while let Some(Move { store, ask }) = write.next(seen.get(began..).and_then(<[Exchange]>::last)) {
            if let Some(journal) = store {
                left::note(&session.base, &journal, context).await?;
            }
            seen.push(session.ask(&ask, context, observed).await?);
            stop_if_refused(&ask, seen, session, observed)?;
        }
        left::note(&session.base, write.journal(), context).await
    }
}

/// Where our own token is refused, asking on would be guessing: what that says is all there is, and what was found before stays open.
fn stop_if_refused(ask: &Ask, seen: &[Exchange], session: &Session<'_>, observed: &mut Observed) -> Result<(), Failure> {
    if ask.token != Token::Own || seen.last().is_none_or(|e| e.status != 401) {
        return Ok(());
    }
    let found: Vec<Finding> = judge(seen, &session.known).into_iter().filter(|f| f.id.starts_with("SCIM-AUT-")).collect();
    let failure = document::failure(&found).unwrap_or_else(|| Failure::new(AUT_03.class, "our own token is refused with 401"));
    observed.findings = Some(Findings::partial(found));
    Err(failure)
}
