//! Credentials of a check: how they are written, and how they get onto a request. Secrets are read at use and known to the run's redactor before
//! they are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use url::form_urlencoded;

use super::assertion::{AssertionKey, OPTIONAL};
use super::{Options, Request, Transport};
use crate::config::table::{Table, short};
use crate::fields::HttpUrl;
use crate::observed::{Failure, Observed};
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef, SecretValue};

/// `auth = { basic | bearer | api_key | oauth2 | digest = ... }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// `basic = { username, password }`.
    Basic {
        /// `username`.
        username: String,
        /// `password`.
        password: SecretRef,
    },
    /// `bearer = <secret>`.
    Bearer(SecretRef),
    /// `api_key = { header | query, value, prefix }`.
    ApiKey {
        /// Where it goes.
        place: KeyPlace,
        /// `prefix`: stands before the key, such as `Key `.
        prefix: String,
        /// `value`.
        value: SecretRef,
    },
    /// `oauth2 = { ... }`: client credentials (RFC 6749, 4.4).
    OAuth2(Box<OAuth2>),
    /// `digest = { ... }`: an answer to the server's challenge (RFC 7616).
    Digest(Digest),
}

/// `digest = { username, password, md5 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: SecretRef,
    /// `md5`: whether a server that offers nothing better is answered.
    pub md5: bool,
}

const BEARER: &str = "the bearer token";
const API_KEY: &str = "the API key";

/// Where an API key goes.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPlace {
    /// Into this header.
    Header(HeaderName),
    /// Into this query parameter.
    Query(String),
}

/// `oauth2 = { token_url, client_id, client_secret, scope, audience, auth_method, key, kid, alg, assertion_audience }`.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2 {
    /// `token_url`.
    pub token_url: HttpUrl,
    /// `client_id`.
    pub client_id: String,
    /// `auth_method`, with the keys that belong to it.
    pub proves: Proves,
    /// `scope`.
    pub scope: Option<String>,
    /// `audience`.
    pub audience: Option<String>,
}

/// How a client says who it is at its token endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Proves {
    /// `basic`, the default: `client_secret` in the header.
    Basic(SecretRef),
    /// `post`: `client_secret` in the body.
    Post(SecretRef),
    /// `private_key_jwt`: an assertion signed with `key`.
    Key(AssertionKey),
    /// `tls_client_auth`: the check's own `client`.
    Certificate,
}

impl Proves {
    /// The secret it is proved with.
    fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Basic(secret) | Self::Post(secret) => Some(secret),
            Self::Key(by) => Some(&by.key),
            Self::Certificate => None,
        }
    }

    /// Its name as written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Basic(_) => "basic",
            Self::Post(_) => "post",
            Self::Key(_) => "private_key_jwt",
            Self::Certificate => "tls_client_auth",
        }
    }
}

/// Makes a secret's file relative to the directory of the configuration.
pub fn rooted(secret: SecretRef, table: &Table<'_>) -> SecretRef {
    match secret {
        SecretRef::File(path) => SecretRef::File(table.source().dir.join(path)),
        env => env,
    }
}

fn secret(table: &mut Table<'_>, key: &'static str) -> Option<SecretRef> {
    let read = table.req::<SecretRef>(key)?;
    Some(rooted(read, table))
}

impl Auth {
    /// Reads the table `auth`.
    pub fn read(mut table: Table<'_>) -> Option<Self> {
        const KINDS: [&str; 5] = ["basic", "bearer", "api_key", "oauth2", "digest"];
        let given: Vec<&str> = KINDS.into_iter().filter(|k| table.has(k)).collect();
        let basic = table.table("basic").map(read_basic);
        let bearer = table.opt::<SecretRef>("bearer").map(|s| Self::Bearer(rooted(s, &table)));
        let api_key = table.table("api_key").map(read_api_key);
        let oauth2 = table.table("oauth2").map(read_oauth2);
        let digest = table.table("digest").map(read_digest);
        if given.len() != 1 {
            let what =
                if given.is_empty() { "does not say how".to_owned() } else { format!("has more than one way ({})", given.join(", ")) };
            table.problem("", what, "expected exactly one of basic, bearer, api_key, oauth2, digest");
            table.finish();
            return None;
        }
        table.finish();
        basic.flatten().or(bearer).or(api_key.flatten()).or(oauth2.flatten()).or(digest.flatten())
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Basic { password, .. } | Self::Digest(Digest { password, .. }) => vec![password.clone()],
            Self::Bearer(value) | Self::ApiKey { value, .. } => vec![value.clone()],
            Self::OAuth2(o) => o.proves.secret().cloned().into_iter().collect(),
        }
    }

    /// Why the key that signs for the client can't be used: where it stands below `auth`, and why. Blocking.
    pub fn unusable_key_blocking(&self) -> Option<(&'static str, String)> {
        match self {
            Self::OAuth2(o) => match &o.proves {
                Proves::Key(by) => by.unusable_blocking().map(|why| ("auth.oauth2.key", why)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The secret that goes into a header as it is, and what it is called there. A password and a client secret are coded first.
    pub fn header_secret(&self) -> Option<(SecretRef, &'static str)> {
        match self {
            Self::Bearer(token) => Some((token.clone(), BEARER)),
            Self::ApiKey { place: KeyPlace::Header(_), value, .. } => Some((value.clone(), API_KEY)),
            _ => None,
        }
    }

    /// Its name as written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer",
            Self::ApiKey { .. } => "api_key",
            Self::OAuth2(_) => "oauth2",
            Self::Digest(_) => "digest",
        }
    }
}

fn read_basic(mut t: Table<'_>) -> Option<Auth> {
    let username = t.req::<String>("username");
    let password = secret(&mut t, "password");
    if username.as_ref().is_some_and(|u| u.contains(':')) {
        t.problem("username", "holds a colon, which basic authentication can't send", "expected a user name without \":\"");
    }
    t.finish();
    Some(Auth::Basic { username: username?, password: password? })
}

fn read_digest(mut t: Table<'_>) -> Option<Auth> {
    let username = t.req::<String>("username");
    let password = secret(&mut t, "password");
    let md5 = t.or("md5", false);
    if username.as_ref().is_some_and(|u| u.contains(':') || u.chars().any(char::is_control)) {
        t.problem(
            "username",
            "holds a colon or a control character, which digest authentication can't send",
            "expected a user name without them",
        );
    }
    t.finish();
    Some(Auth::Digest(Digest { username: username?, password: password?, md5 }))
}

fn read_api_key(mut t: Table<'_>) -> Option<Auth> {
    let header = t.opt::<String>("header");
    let query = t.opt::<String>("query");
    let prefix = t.or::<String>("prefix", String::new());
    if header.is_some() && HeaderValue::from_str(&prefix).is_err() {
        t.problem("prefix", "holds a character that can't be sent in a header", "expected a text of printable ASCII, such as \"Key \"");
    }
    let value = secret(&mut t, "value");
    let place = match (header, query) {
        (Some(name), None) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(KeyPlace::Header(name)),
            Err(_) => {
                t.problem("header", format!("\"{}\" is not a header's name", short(&name)), "expected a name such as \"X-Api-Key\"");
                None
            }
        },
        (None, Some(name)) => Some(KeyPlace::Query(name)),
        _ => {
            if t.has("header") == t.has("query") {
                t.problem("", "must say where the key goes", "expected header = \"X-Api-Key\" or query = \"api_key\", one of them");
            }
            None
        }
    };
    t.finish();
    Some(Auth::ApiKey { place: place?, prefix, value: value? })
}

fn read_oauth2(mut t: Table<'_>) -> Option<Auth> {
    let token_url = t.req::<HttpUrl>("token_url");
    let client_id = t.req::<String>("client_id");
    let proves = read_proves(&mut t);
    let scope = t.opt::<String>("scope");
    let audience = t.opt::<String>("audience");
    t.finish();
    Some(Auth::OAuth2(Box::new(OAuth2 { token_url: token_url?, client_id: client_id?, proves: proves?, scope, audience })))
}

fn read_proves(t: &mut Table<'_>) -> Option<Proves> {
    const METHODS: [(&str, &str); 4] =
        [("basic", "basic"), ("post", "post"), ("private_key_jwt", "private_key_jwt"), ("tls_client_auth", "tls_client_auth")];
    let wrong = t.has("auth_method");
    let Some(method) = t.word("auth_method", &METHODS).or((!wrong).then_some("basic")) else {
        // Which keys belong to it can't be said: they are read for their own sake.
        let _ = (t.opt::<SecretRef>("client_secret"), AssertionKey::read(t));
        return None;
    };
    let by_secret = matches!(method, "basic" | "post");
    let client_secret = if by_secret { secret(t, "client_secret") } else { t.opt::<SecretRef>("client_secret") };
    let key = AssertionKey::read(t);
    let unused = |keys: &[&'static str], expected: &str| {
        for key in keys.iter().filter(|k| t.has(k)) {
            t.problem(key, format!("is never used with {method}"), expected);
        }
    };
    if method != "private_key_jwt" {
        unused(&[&["key"][..], &OPTIONAL].concat(), "expected auth_method = \"private_key_jwt\" beside it");
    }
    if !by_secret {
        unused(&["client_secret"], "expected auth_method = \"basic\" or \"post\" beside it");
    }
    match method {
        "basic" => client_secret.map(Proves::Basic),
        "post" => client_secret.map(Proves::Post),
        "private_key_jwt" => {
            if t.lacks("key") {
                t.missing("key", "a secret that holds a private key in PEM form; private_key_jwt needs it");
            }
            key.map(Proves::Key)
        }
        _ => Some(Proves::Certificate),
    }
}

/// Reads a secret now and makes the redactor know it.
pub async fn reveal(secret: &SecretRef, redactor: &mut Redactor) -> Result<SecretValue, Failure> {
    let value = secret.read().await.map_err(|why| Failure::ours(Cause::Secret, format!("a secret can't be read: {why}")))?;
    redactor.add(&value);
    // The form in which it goes into queries and forms, which is none of percent-encoding's usual ones.
    let coded: String = form_urlencoded::byte_serialize(value.expose().as_bytes()).collect();
    if coded != value.expose() {
        redactor.add(&SecretValue::new(coded));
    }
    Ok(value)
}

/// What is said of a secret that can't be sent.
pub fn unsendable(what: &str) -> String {
    format!("{what} holds a line break or another character that can't be sent in a header")
}

/// A secret as a header's value, marked so that neither Debug nor HPACK's table keeps it.
pub fn sensitive(text: &str, what: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Failure::ours(Cause::Secret, unsendable(what)))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Basic` credentials; the whole base64 text is a secret too.
pub(super) fn basic(username: &str, password: &SecretValue, redactor: &mut Redactor) -> Result<HeaderValue, Failure> {
    let coded = STANDARD.encode(format!("{username}:{}", password.expose()));
    redactor.add(&SecretValue::new(coded.clone()));
    sensitive(&format!("Basic {coded}"), "the user name")
}

impl Transport {
    /// Puts the credentials onto the request; for OAuth2 this may first ask the token endpoint. `stale`: the token the API just refused.
    /// Returns the OAuth2 token used, so that it can be given back as `stale`.
    pub async fn authorize(
        &self,
        auth: &Auth,
        request: &mut Request,
        options: &Options,
        stale: Option<&SecretValue>,
        redactor: &mut Redactor,
        observed: &mut Observed,
    ) -> Result<Option<SecretValue>, Failure> {
        match auth {
            Auth::Basic { username, password } => {
                let password = reveal(password, redactor).await?;
                request.headers.insert(AUTHORIZATION, basic(username, &password, redactor)?);
            }
            Auth::Bearer(token) => {
                let token = reveal(token, redactor).await?;
                request.headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose()), BEARER)?);
            }
            Auth::ApiKey { place, prefix, value } => {
                let value = reveal(value, redactor).await?;
                let text = format!("{prefix}{}", value.expose());
                match place {
                    KeyPlace::Header(name) => {
                        request.headers.insert(name, sensitive(&text, API_KEY)?);
                    }
                    KeyPlace::Query(name) => request.secret_query.push((name.clone(), SecretValue::new(text))),
                }
            }
            Auth::OAuth2(oauth2) => {
                let token = Box::pin(self.token(oauth2, options, stale, redactor, observed)).await?;
                request.headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose()), "the access token")?);
                return Ok(Some(token));
            }
            Auth::Digest(digest) => self.answer_beforehand(digest, request, redactor).await?,
        }
        Ok(None)
    }
}
