//! What of an http check is judged: the request that is sent, and what its response must be.
//!
//! Every field is named, so that a new one must be placed here: said, or left out on purpose.

use http::Method;
use serde_json::json;

use super::expect::{Expect, HeaderTest, JsonTest, Observe, StatusRange};
use super::{Body, Given, HttpCheck};
use crate::probe::material::Material;
use crate::transport::HttpVersion;
use crate::transport::auth::{Auth, Digest, KeyPlace, OAuth2, Proves};

/// A secret, wherever it comes from: it may move and change.
const SECRET: &str = "secret";
/// What passes where `status` is not written.
const ANY_2XX: [StatusRange; 1] = [StatusRange { from: 200, to: 299 }];

/// What is judged.
pub(super) fn of(check: &HttpCheck) -> Material {
    let HttpCheck { url, method, headers, query, body, auth, ca, own, version, redirects, max_body, expect, observe } = check;
    let mut m = Material::default();
    m.say("url", url.url());
    m.unless(if body.is_some() { &Method::POST } else { &Method::GET }, "method", method);
    headers.iter().for_each(|(name, value)| given(&mut m, &format!("headers.{name}"), value));
    query.iter().for_each(|(name, value)| given(&mut m, &format!("query.{name}"), value));
    if let Some(body) = body {
        sent(&mut m, body);
    }
    if let Some(auth) = auth {
        authorized(&mut m, auth);
    }
    if let Some(file) = ca {
        m.file("ca", file);
    }
    if own.is_some() {
        m.say("client", SECRET);
    }
    match version {
        HttpVersion::Auto => {}
        HttpVersion::Http1 => m.say("http_version", "1.1"),
        HttpVersion::Http2 => m.say("http_version", "2"),
    }
    m.unless(&0, "redirects", redirects);
    if let Some(max) = max_body {
        m.say("max_body", &max.0);
    }
    expected(&mut m, expect);
    for Observe { name: _, path, required } in observe {
        // A number that may be missing is shown, and nothing else.
        if *required {
            m.say("observe.required", path.source());
        }
    }
    m
}

fn given(m: &mut Material, key: &str, value: &Given) {
    match value {
        Given::Text(text) => m.parts(key, &json!(text)),
        Given::Secret(_) => m.say(key, SECRET),
    }
}

fn sent(m: &mut Material, body: &Body) {
    match body {
        Body::Text(text) => m.say("body.text", text),
        Body::Json(document, secrets) => {
            // As it is sent: 1 and 1.0 are not the same there.
            m.say("body.json", document);
            secrets.iter().for_each(|(pointer, _)| m.say("body.json.secret", pointer));
        }
        // Not where it lies: what it holds.
        Body::File(file, _) => m.file("body.file", &file.path),
        Body::Form(fields) => {
            m.say("body", "form");
            fields.iter().for_each(|(name, value)| given(m, &format!("body.form.{name}"), value));
        }
    }
}

/// Who we are to them, without what is secret.
pub(in crate::probe) fn authorized(m: &mut Material, auth: &Auth) {
    match auth {
        Auth::Basic { username, password: _ } => {
            m.say("auth", "basic");
            m.say("auth.basic.username", username);
        }
        Auth::Bearer(_) => m.say("auth", "bearer"),
        Auth::ApiKey { place, prefix, value: _ } => {
            m.say("auth", "api_key");
            match place {
                KeyPlace::Header(name) => m.say("auth.api_key.header", name),
                KeyPlace::Query(name) => m.say("auth.api_key.query", name),
            }
            m.unless(&String::new(), "auth.api_key.prefix", prefix);
        }
        Auth::Digest(Digest { username, password: _, md5 }) => {
            m.say("auth", "digest");
            m.say("auth.digest.username", username);
            m.unless(&false, "auth.digest.md5", md5);
        }
        Auth::OAuth2(oauth2) => {
            let OAuth2 { token_url, client_id, proves, scope, audience } = &**oauth2;
            m.say("auth", "oauth2");
            m.say("auth.oauth2.token_url", token_url.url());
            m.say("auth.oauth2.client_id", client_id);
            scope.iter().for_each(|s| m.say("auth.oauth2.scope", s));
            audience.iter().for_each(|a| m.say("auth.oauth2.audience", a));
            m.unless(&"basic", "auth.oauth2.auth_method", &proves.name());
            if let Proves::Key(by) = proves {
                // Where the key is, what it is called and what kind it is may change as it is replaced.
                by.audience.iter().filter(|a| **a != token_url.url().as_str()).for_each(|a| m.say("auth.oauth2.assertion_audience", a));
            }
        }
    }
}

fn expected(m: &mut Material, expect: &Expect) {
    let Expect { status, headers, json, schema, contains, not_contains, matches, size_min, size_max, within, certificate_days } = expect;
    if *status != ANY_2XX {
        status.iter().for_each(|range| m.parts("expect.status", &json!([range.from, range.to])));
    }
    for (name, test) in headers {
        let words = match test {
            HeaderTest::Exists(wanted) => json!([name.as_str(), "exists", wanted]),
            HeaderTest::Equals(text) => json!([name.as_str(), "equals", text]),
            HeaderTest::Contains(text) => json!([name.as_str(), "contains", text]),
            HeaderTest::Matches(pattern) => json!([name.as_str(), "matches", pattern.source()]),
        };
        m.parts("expect.headers", &words);
    }
    for (path, test) in json {
        let words = match test {
            JsonTest::Exists(wanted) => json!([path.source(), "exists", wanted]),
            JsonTest::Is(kind) => json!([path.source(), "is", kind.as_str()]),
            JsonTest::Equals(value) => json!([path.source(), "equals", value]),
            JsonTest::Min(n) => json!([path.source(), "min", n]),
            JsonTest::Max(n) => json!([path.source(), "max", n]),
            JsonTest::Matches(pattern) => json!([path.source(), "matches", pattern.source()]),
        };
        m.parts("expect.json", &words);
    }
    schema.iter().for_each(|file| m.file("expect.schema", file));
    contains.iter().for_each(|text| m.say("expect.contains", text));
    not_contains.iter().for_each(|text| m.say("expect.not_contains", text));
    matches.iter().for_each(|pattern| m.say("expect.matches", pattern.source()));
    size_min.iter().for_each(|size| m.say("expect.size.min", &size.0));
    size_max.iter().for_each(|size| m.say("expect.size.max", &size.0));
    within.iter().for_each(|span| m.say("expect.within", &span.ms()));
    certificate_days.iter().for_each(|days| m.say("expect.certificate_days", days));
}
