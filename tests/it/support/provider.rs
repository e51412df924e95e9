//! An OpenID provider over TLS: a discovery document, keys, endpoints, a token endpoint; each may be turned into something else while it serves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use soakwatch::hex;

use super::fake::{Fake, Reply, Seen};
use super::jose::merge;
use super::pki::{Identity, Pki, server_tls};

type Answer = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// What it serves.
#[derive(Clone, Default)]
struct State {
    keys: Vec<Value>,
    /// Members of the discovery document in place of the sound ones.
    discovery: Value,
    /// Whole answers in place of the sound ones, by path.
    instead: BTreeMap<String, Answer>,
}

/// The provider, and its root in a file.
pub(crate) struct Provider {
    pub(crate) fake: Fake,
    pub(crate) pki: Pki,
    state: Arc<Mutex<State>>,
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Provider {
    /// With these public keys.
    pub(crate) async fn new(keys: Vec<Value>) -> Self {
        Self::with(keys, |identity, _| server_tls(identity, &["http/1.1"])).await
    }

    /// The same, with TLS settings of its own.
    pub(crate) async fn with(keys: Vec<Value>, tls: impl Fn(Identity, &Pki) -> Arc<rustls::ServerConfig>) -> Self {
        let pki = Pki::new();
        let state = Arc::new(Mutex::new(State { keys, discovery: json!({}), instead: BTreeMap::new() }));
        let serving = Arc::clone(&state);
        let tls = tls(pki.identity("127.0.0.1", 2020..2040), &pki);
        let fake = Fake::https(tls, move |seen| answer(seen, &serving.lock().unwrap().clone())).await;
        Self { fake, pki, state }
    }

    /// Its issuer.
    pub(crate) fn issuer(&self) -> String {
        format!("https://{}", self.fake.at)
    }
    /// Its root's file.
    pub(crate) fn ca(&self) -> PathBuf {
        self.pki.file()
    }
    /// Serves other keys.
    pub(crate) fn keys(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }
    /// Sets members of the discovery document; null takes one away.
    pub(crate) fn discovery(&self, changes: Value) {
        self.state.lock().unwrap().discovery = changes;
    }
    /// Answers otherwise at a path.
    pub(crate) fn instead(&self, path: &str, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        self.state.lock().unwrap().instead.insert(path.to_owned(), Arc::new(answer));
    }
    /// Answers well again.
    pub(crate) fn mended(&self) {
        self.state.lock().unwrap().instead.clear();
    }
    /// Methods and paths asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.fake.log().iter().map(|s| format!("{} {}", s.method, s.target)).collect()
    }
}

fn answer(seen: &Seen, state: &State) -> Reply {
    let issuer = format!("https://{}", seen.header("host"));
    if let Some(instead) = state.instead.get(&seen.target) {
        return instead(seen);
    }
    let document = match seen.target.as_str() {
        DISCOVERY => {
            let mut doc = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
            });
            merge(&mut doc, state.discovery.clone());
            doc
        }
        "/keys" => json!({ "keys": state.keys }),
        "/authorize" | "/userinfo" | "/token" => return Reply::new(405),
        _ => return Reply::new(404),
    };
    let body = document.to_string();
    let etag = format!("\"{}\"", &hex::sha256(body.as_bytes())[..16]);
    let reply = if seen.header("if-none-match") == etag { Reply::new(304) } else { Reply::json(body) };
    reply.header("etag", etag).header("cache-control", "max-age=3600")
}
