//! A header's, query parameter's or form field's value: a text, or a reference to a secret. Secrets written out where a reference belongs are refused.

use toml::de::DeValue;

use crate::config::table::{self, Field as _, Value};
use crate::secret::SecretRef;

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A text.
    Text(String),
    /// `{ env = "X" }` or `{ file = "..." }`.
    Secret(SecretRef),
}

impl Given {
    /// The reference, if it is one.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Secret(s) => Some(s),
            Self::Text(_) => None,
        }
    }
}

/// Whether a header of this name carries a secret.
pub(super) fn secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    const PARTS: [&str; 12] = [
        "api-key",
        "apikey",
        "api-token",
        "access-key",
        "access-token",
        "auth-key",
        "auth-token",
        "private-token",
        "subscription-key",
        "secret",
        "password",
        "signature",
    ];
    matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie" | "x-auth" | "x-token" | "token")
        || PARTS.iter().any(|p| name.replace('_', "-").contains(p))
}

/// Whether a query parameter or a field of this name carries a secret.
pub(super) fn secret_name(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "token",
        "api_key",
        "apikey",
        "access_token",
        "refresh_token",
        "auth_token",
        "id_token",
        "key",
        "secret",
        "client_secret",
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "signature",
        "sig",
        "auth",
        "authorization",
        "client_assertion",
        "subscription_key",
    ];
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.contains(&name.as_str())
}

/// Reads a value. `secret`: a name under which a secret is expected; a text there is a problem that does not repeat it.
pub(super) fn read(value: &Value<'_>, secret: bool) -> Option<Given> {
    let text = match value.value {
        DeValue::Table(_) => return reference(value).map(Given::Secret),
        DeValue::String(s) => s.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Integer(_) => table::read_field::<i64>(value)?.to_string(),
        _ => {
            let expected = "expected a text, or a reference to a secret, { env = \"NAME\" } or { file = \"/path\" }";
            value.source.report(value.at.clone(), &value.path, "is not a text", expected, false);
            return None;
        }
    };
    if secret {
        refuse_inline(value);
        return None;
    }
    Some(Given::Text(text))
}

/// Reports a secret that is written out; never repeats it.
fn refuse_inline(value: &Value<'_>) {
    let expected = format!("expected {}", SecretRef::expected());
    value.source.report(value.at.clone(), &value.path, "holds what looks like a secret, written out", expected, false);
}

/// A reference to a secret, its file relative to the configuration.
pub(super) fn reference(value: &Value<'_>) -> Option<SecretRef> {
    Some(match table::read_field::<SecretRef>(value)? {
        SecretRef::File(path) => SecretRef::File(value.source.dir.join(path)),
        env => env,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_carry_secrets() {
        for name in ["Authorization", "Cookie", "X-Api-Key", "Ocp-Apim-Subscription-Key", "X-Auth-Token", "api_key", "X-Client-Secret"] {
            assert!(secret_header(name), "{name}");
        }
        for name in ["Accept", "X-CSRF-Token", "Idempotency-Key", "X-Request-Id", "X-Tenant"] {
            assert!(!secret_header(name), "{name}");
        }
        for name in ["token", "API-Key", "key", "Signature"] {
            assert!(secret_name(name), "{name}");
        }
        for name in ["limit", "keyword", "monkey", "token_type"] {
            assert!(!secret_name(name), "{name}");
        }
    }
}
