//! The rules for OAuth2 token endpoints (shared/facts/sso-checks.md section 5, with their sources). Data only.

use super::{Party, Rule, Severity};
use crate::outcome::Class;

/// The OAuth and the OIDC metadata say the same.
pub const MD_01: Rule = Rule::new(
    "OAUTH-MD-01",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients that read the one document use other endpoints than those that read the other. Publish the same values in both.",
);
/// The token endpoint takes a POST.
pub const TOK_01: Rule = Rule::new(
    "OAUTH-TOK-01",
    Severity::Critical,
    Party::Network,
    Class::Metadata,
    "No application gets a token. Look at the URL, the certificate and whatever stands in front of the endpoint.",
);
/// The configured client gets a token.
pub const TOK_02: Rule = Rule::new(
    "OAUTH-TOK-02",
    Severity::Critical,
    Party::VendorSp,
    Class::Unauthorized,
    "invalid_client: the secret ran out or was replaced. unauthorized_client: the grant is not allowed for it. invalid_scope: consent is missing.",
);
/// A success is JSON with access_token, token_type and a number of seconds.
pub const TOK_03: Rule = Rule::new(
    "OAUTH-TOK-03",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients cannot read the answer. Correct the endpoint or the gateway that rewrites it.",
);
/// Token answers may not be cached.
pub const TOK_04: Rule = Rule::new(
    "OAUTH-TOK-04",
    Severity::Low,
    Party::CustomerIdp,
    Class::Metadata,
    "Something on the way may keep the token. Answer with Cache-Control: no-store.",
);
/// A wrong client is refused by an error the specification knows.
pub const TOK_05: Rule = Rule::new(
    "OAUTH-TOK-05",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Applications cannot tell a wrong secret from an outage. Answer 400 or 401 with JSON and an error code of RFC 6749.",
);
/// Scope and life time are what the client needs.
pub const TOK_06: Rule = Rule::new(
    "OAUTH-TOK-06",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Calls fail later, by insufficient_scope or in the middle of the work. Grant the scope, or lengthen the token's life.",
);
/// The recorded end of the secret or client certificate is far enough away.
pub const SEC_01: Rule = Rule::new(
    "OAUTH-SEC-01",
    Severity::High,
    Party::VendorSp,
    Class::Certificate,
    "On that day everything that uses it stops. Make the second secret first, move over, then let the old one go.",
);
/// The client assertion is one the server can accept.
pub const ASR_01: Rule = Rule::new(
    "OAUTH-ASR-01",
    Severity::High,
    Party::VendorSp,
    Class::Metadata,
    "The answer is invalid_client although the key is right. Look at audience, life time and clock of the assertion, and never send one twice.",
);
/// The client certificate is valid, and the endpoint that binds it is used.
pub const TLS_01: Rule = Rule::new(
    "OAUTH-TLS-01",
    Severity::High,
    Party::Certificate,
    Class::Certificate,
    "The handshake fails, or the token is not bound. Renew the certificate and use the mTLS alias of the endpoint.",
);

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[MD_01, TOK_01, TOK_02, TOK_03, TOK_04, TOK_05, TOK_06, SEC_01, ASR_01, TLS_01];
