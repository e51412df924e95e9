//! The rules for OIDC discovery (shared/facts/sso-checks.md section 3, with their sources). Data only.

use super::{Level, Party, Rule, Severity};
use crate::outcome::Class;

/// The discovery document is answered with 200 and is a JSON object.
pub const GET_01: Rule = Rule::new(
    "OIDC-GET-01",
    Severity::Critical,
    Party::Network,
    Class::Metadata,
    "Applications cannot start a log-in. The path is appended to the whole issuer, behind its own path; open the URL without a session and look at what comes back.",
);
/// Content type, UTF-8, no byte order mark.
pub const GET_02: Rule = Rule::new(
    "OIDC-GET-02",
    Severity::Low,
    Party::CustomerIdp,
    Class::Metadata,
    "Strict clients refuse the document. Serve it as application/json, in UTF-8, without a byte order mark.",
);
/// Members have the JSON type the specification gives them, each once.
pub const FMT_01: Rule = Rule::new(
    "OIDC-FMT-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients fail while they parse the document. Lists must be arrays of texts, flags true or false, endpoints texts.",
);
/// The issuer equals the configured one byte for byte.
pub const ISS_01: Rule = Rule::new(
    "OIDC-ISS-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "Every log-in ends with an issuer mismatch. Copy the issuer from the provider's document into the application, its slash at the end included.",
);
/// The issuer is https, without query, fragment or placeholder.
pub const ISS_02: Rule = Rule::new(
    "OIDC-ISS-02",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients refuse such an issuer. A placeholder means that the address all tenants share was configured: use the tenant's own; http means a proxy hides https.",
);
/// Every member that a client cannot do without is there.
pub const REQ_01: Rule = Rule::new(
    "OIDC-REQ-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients cannot work with this document. Publish the missing members; a hand-made or very old document is the usual cause.",
);
/// Endpoints, jwks_uri and mTLS aliases are absolute https URLs.
pub const EP_01: Rule = Rule::new(
    "OIDC-EP-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Clients refuse these endpoints. Set the provider's public base URL, or let the proxy in front of it pass on that it speaks https.",
);
/// The endpoints' hosts can be reached and answer.
pub const EP_02: Rule = Rule::new(
    "OIDC-EP-02",
    Severity::High,
    Party::Network,
    Class::Metadata,
    "One step of every log-in fails. Look at the name, the certificate and the health of the host that is named.",
);
/// The authorization code flow is offered.
pub const CAP_01: Rule = Rule::new(
    "OIDC-CAP-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "The application asks for the code flow and is refused. Enable response type code and grant authorization_code at the provider.",
);
/// openid and what the application wants are offered.
pub const CAP_02: Rule = Rule::new(
    "OIDC-CAP-02",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "After the log-in an e-mail address, groups or names are missing. Offer the scope or claim at the provider, or stop asking for it.",
);
/// RS256, or the algorithm the application is pinned to, is listed.
pub const ALG_01: Rule = Rule::new(
    "OIDC-ALG-01",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Applications that accept only this algorithm refuse every ID token. Sign with it, or change the application's setting first.",
)
.at(Level::Warn);
/// Unsigned ID tokens are not offered.
pub const ALG_02: Rule = Rule::new(
    "OIDC-ALG-02",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "An application that follows the list accepts forged tokens. Take none out of the list of ID token algorithms.",
);
/// The application's way to authenticate at the token endpoint is listed.
pub const AUTH_01: Rule = Rule::new(
    "OIDC-AUTH-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "The token endpoint answers invalid_client. Choose a method that the provider lists; where it lists none, only client_secret_basic is sure.",
);
/// S256 is listed where the application uses PKCE.
pub const PKCE_01: Rule = Rule::new(
    "OIDC-PKCE-01",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Authorization is refused, or runs with a weaker challenge. Enable the S256 method at the provider.",
)
.at(Level::Warn);
/// Issuer, endpoints, jwks_uri and algorithms are those of the accepted document.
pub const CHG_01: Rule = Rule::new(
    "OIDC-CHG-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Drift,
    "Applications that copied the old values break. Confirm the change with the provider, then accept it.",
)
.at(Level::Warn);
/// The provider's clock is right.
pub const CLK_01: Rule = Rule::new(
    "OIDC-CLK-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Tokens seem to be issued in the future, or to be over already. Repair time synchronisation on the side that is off.",
);

/// Every rule, in the order of the table.
pub const RULES: &[Rule] =
    &[GET_01, GET_02, FMT_01, ISS_01, ISS_02, REQ_01, EP_01, EP_02, CAP_01, CAP_02, ALG_01, ALG_02, AUTH_01, PKCE_01, CHG_01, CLK_01];
