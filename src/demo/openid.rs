//! The estate's OpenID provider: all is well with it but for one character.

use serde_json::json;

use super::stories::{Answer, Ask};

/// Says an issuer with a slash at its end, which the application does not have: every log-in fails with "issuer mismatch".
pub(super) fn slash(ask: &Ask<'_>) -> Answer {
    let base = "https://login.dunlin.example";
    match ask.path {
        "/.well-known/openid-configuration" => Answer::json(&json!({
            "issuer": format!("{base}/"),
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "userinfo_endpoint": format!("{base}/userinfo"),
            "jwks_uri": format!("{base}/keys"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "scopes_supported": ["openid", "email"],
            "code_challenge_methods_supported": ["S256"],
        })),
        // The public key of RFC 7517, appendix A.1.
        "/keys" => Answer::json(&json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        }] }))
        .header("cache-control", "max-age=3600"),
        "/authorize" | "/token" | "/userinfo" => Answer::error(405, "this is for browsers and applications"),
        _ => Answer::error(404, "no such resource"),
    }
}
