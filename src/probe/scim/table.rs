//! The scim kind's table: how `[integration.check.scim]` is written.

use std::path::PathBuf;

use super::ScimCheck;
use crate::config::table::Table;
use crate::fields::HttpUrl;
use crate::probe::http::{never_shown, shows_itself};
use crate::secret::SecretRef;
use crate::sso::scim::Idp;
use crate::transport::OwnCertificate;
use crate::transport::auth::{Auth, rooted};

impl ScimCheck {
    /// Reads the kind's table. `None` after a problem that leaves no check to speak of; other problems are reported and the rest is read.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let url = t.req::<HttpUrl>("url");
        if url.as_ref().is_some_and(|u| u.url().query().is_some()) {
            t.problem("url", "has parameters", "expected the base URL alone, such as \"https://app.example.com/scim/v2\"");
        }
        let auth = t.table("auth").and_then(Auth::read);
        if matches!(auth, Some(Auth::Digest(_))) {
            t.problem("auth", "has digest, which identity providers do not speak", "expected one of basic, bearer, api_key, oauth2");
        }
        let mut ca = t.opt::<PathBuf>("ca").map(|p| t.source().dir.join(p));
        let plain = |u: &HttpUrl| u.url().scheme() == "http";
        let token_plain = !matches!(&auth, Some(Auth::OAuth2(o)) if !plain(&o.token_url));
        let mut own = t.table("client").and_then(OwnCertificate::read);
        if t.has("client") && url.as_ref().is_some_and(plain) && token_plain {
            never_shown(&t);
            own = None;
        }
        if own.is_some() && t.lacks("auth") {
            t.warn(
                "client",
                "stands without auth, and whoever asks without a token must be refused (SCIM-AUT-01)",
                "expected auth beside it",
            );
        }
        if ca.is_some() && url.as_ref().is_some_and(plain) && token_plain {
            let what = "is never used: a plain http URL has no certificate to check";
            t.problem("ca", what, "expected a URL that starts with https://, or no ca");
            ca = None;
        }
        let token_ends = t.opt("token_ends");
        let known = t.opt::<SecretRef>("known").map(|s| rooted(s, &t));
        let idp = t.word("idp", &[("entra", Idp::Entra), ("okta", Idp::Okta)]).unwrap_or_default();
        let groups = t.or("groups", true);
        let write = t.or("write", false);
        let allow_write_in_production = t.or("allow_write_in_production", false);
        shows_itself(&t, auth.as_ref());
        t.finish();
        Some(Self { url: url?, auth, ca, own, token_ends, known, idp, groups, write, allow_write_in_production })
    }
}
