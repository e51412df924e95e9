//! Reads `[integration.check.oauth2]`: every key, every problem at once; and says what of it is judged.

use std::path::PathBuf;

use super::{OAuth2Check, Proves, Verify};
use crate::config::table::Table;
use crate::fields::{HttpUrl, Span};
use crate::probe::document::Place;
use crate::probe::material::Material;
use crate::secret::SecretRef;
use crate::transport::auth::rooted;
use crate::transport::{AssertionKey, OF_ASSERTIONS};

/// How a client says who it is, by the names of RFC 6749, RFC 7523 and RFC 8705.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
    Key,
    Certificate,
}

const METHODS: [(&str, Method); 4] = [
    ("client_secret_basic", Method::Basic),
    ("client_secret_post", Method::Post),
    ("private_key_jwt", Method::Key),
    ("tls_client_auth", Method::Certificate),
];
/// Which method needs which keys, and which besides it takes.
const NEEDS: [(Method, &[&str], &[&str]); 4] = [
    (Method::Basic, &["client_secret"], &[]),
    (Method::Post, &["client_secret"], &[]),
    (Method::Key, &["key"], &OF_ASSERTIONS),
    (Method::Certificate, &["key", "certificate"], &[]),
];
/// Every key that belongs to some methods only, with what it is.
const OF_METHODS: [(&str, &str); 6] = [
    ("client_secret", "a secret: { env = \"NAME\" } or { file = \"path\" }"),
    ("key", "a secret that holds a private key in PEM form"),
    ("certificate", "a PEM file of the client's certificate"),
    ("kid", "the key's id"),
    ("alg", "the algorithm of the assertion"),
    ("assertion_audience", "whom the assertion is for"),
];

impl OAuth2Check {
    /// Reads the kind's table. `None` after a problem that leaves no check to speak of.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let token_url = t.req::<HttpUrl>("token_url");
        let client_id = t.req::<String>("client_id");
        let wrong = t.has("method");
        let method = t.word("method", &METHODS);
        let method = method.or((!wrong).then_some(Method::Basic));
        let dir = t.source().dir.clone();
        let secret = |t: &mut Table<'_>, key| t.opt::<SecretRef>(key).map(|s| rooted(s, t));
        let (client_secret, key) = (secret(&mut t, "client_secret"), AssertionKey::read(&mut t));
        let certificate = t.opt::<PathBuf>("certificate").map(|p| dir.join(p));
        if let Some(method) = method {
            fits(&t, method);
        }
        let scope = t.opt::<String>("scope");
        let audience = t.opt::<String>("audience");
        let used_for = t.between("used_for", Span::seconds(0), Span::days(7));
        let expires = t.opt("expires");
        let issuer = t.opt::<HttpUrl>("issuer").and_then(|_| t.opt::<String>("issuer"));
        let metadata = t.or("metadata", false);
        if metadata && !t.has("issuer") {
            t.problem("metadata", "needs the issuer whose documents are to be compared", "expected issuer = \"https://...\" beside it");
        }
        let wrong_client = t.or("wrong_client", false);
        let ca = t.opt::<PathBuf>("ca").map(|p| dir.join(p));
        let verify = t.table("verify").map(|v| read_verify(v, ca.clone()));
        t.finish();
        let (token_url, client_id) = (token_url?, client_id?);
        let proves = match method? {
            Method::Basic => Proves::Basic(client_secret?),
            Method::Post => Proves::Post(client_secret?),
            Method::Key => Proves::Key(key?),
            Method::Certificate => Proves::Certificate { file: certificate?, key: key?.key },
        };
        let verify = match verify {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self { token_url, client_id, proves, scope, audience, used_for, expires, issuer, metadata, wrong_client, ca, verify })
    }

    /// What of it is judged. Where a secret, key or certificate is found, and when it ends, may change as they are replaced.
    pub fn material(&self) -> Material {
        let Self { token_url, client_id, proves, scope, audience, used_for, expires: _, issuer, metadata, wrong_client, ca, verify } = self;
        let mut m = Material::default();
        m.say("token_url", token_url.url());
        m.say("client_id", client_id);
        match proves {
            Proves::Basic(_) => {}
            Proves::Post(_) => m.say("method", "client_secret_post"),
            Proves::Key(AssertionKey { key: _, kid: _, alg: _, audience }) => {
                m.say("method", "private_key_jwt");
                audience.iter().filter(|a| **a != token_url.url().as_str()).for_each(|a| m.say("assertion_audience", a));
            }
            Proves::Certificate { .. } => m.say("method", "tls_client_auth"),
        }
        scope.iter().for_each(|s| m.say("scope", s));
        audience.iter().for_each(|a| m.say("audience", a));
        used_for.iter().for_each(|span| m.say("used_for", &span.ms()));
        issuer.iter().for_each(|i| m.say("issuer", i));
        m.unless(&false, "metadata", metadata);
        m.unless(&false, "wrong_client", wrong_client);
        ca.iter().for_each(|file| m.file("ca", file));
        if let Some(Verify { place, issuer, audience, algorithm, id_token }) = verify {
            m.say("verify.jwks_uri", place.url.url());
            issuer.iter().for_each(|i| m.say("verify.issuer", i));
            audience.iter().for_each(|a| m.say("verify.audience", a));
            algorithm.iter().for_each(|a| m.say("verify.algorithm", a));
            if *id_token {
                m.say("verify.token", "id_token");
            }
        }
        m
    }
}

/// Reports what the method needs and does not have, and what it never uses.
fn fits(t: &Table<'_>, method: Method) {
    let name = METHODS.iter().find(|(_, m)| *m == method).map_or("", |(name, _)| *name);
    let Some((_, needs, takes)) = NEEDS.iter().find(|(m, ..)| *m == method) else { return };
    for (key, what) in OF_METHODS {
        match (t.has(key), needs.contains(&key), takes.contains(&key)) {
            (false, true, _) => t.missing(key, &format!("{what}; {name} needs it")),
            (true, false, false) => {
                let for_it: Vec<&str> = needs.iter().chain(*takes).copied().collect();
                t.problem(key, format!("is never used with {name}"), format!("expected {} for it, or another method", for_it.join(", ")));
            }
            _ => {}
        }
    }
}

fn read_verify(mut t: Table<'_>, ca: Option<PathBuf>) -> Option<Verify> {
    let url = t.req::<HttpUrl>("jwks_uri");
    let issuer = t.opt::<String>("issuer");
    let audience = t.opt::<String>("audience");
    let algorithm = t.opt::<String>("algorithm");
    let id_token = t.word("token", &[("access_token", false), ("id_token", true)]).unwrap_or(false);
    t.finish();
    Some(Verify { place: Place { url: url?, ca }, issuer, audience, algorithm, id_token })
}
