//! The rules for JWKS (shared/facts/sso-checks.md section 4, with their sources). Data only.

use super::{Party, Rule, Severity};
use crate::outcome::Class;

/// The key set is answered with 200.
pub const GET_01: Rule = Rule::new(
    "JWKS-GET-01",
    Severity::Critical,
    Party::Network,
    Class::Metadata,
    "Applications without a copy of the keys cannot log anyone in. Look at the URL, the firewall and the provider.",
);
/// A JSON object with an array keys of objects.
pub const FMT_01: Rule = Rule::new(
    "JWKS-FMT-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "No key can be used. Serve the key set itself; a log-in page or an error page is the usual cause.",
);
/// Key parameters are there, in unpadded base64url and of the right length.
pub const FMT_02: Rule = Rule::new(
    "JWKS-FMT-02",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Some libraries drop the one key, some the whole set. Let the product write the set instead of a script that encodes by hand.",
);
/// No private or symmetric key is published.
pub const PRIV_01: Rule = Rule::new(
    "JWKS-PRIV-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "The signing key is public and anyone can make tokens. Replace the key now, revoke it, and end all sessions and tokens.",
);
/// A key to check signatures with is published.
pub const SIG_01: Rule = Rule::new(
    "JWKS-SIG-01",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Metadata,
    "No signature can be checked, so nobody can log in. Publish the signing key with use sig.",
);
/// Keys have a kid.
pub const KID_01: Rule = Rule::new(
    "JWKS-KID-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Applications guess which key signed and fail at the next roll-over. Give every key a kid of its own.",
);
/// No kid names two keys.
pub const KID_02: Rule = Rule::new(
    "JWKS-KID-02",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Applications take the wrong key and log-ins fail now and then. Give every key a kid of its own.",
);
/// Keys say what they are for where keys of both uses are published.
pub const USE_01: Rule = Rule::new(
    "JWKS-USE-01",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "The encryption key is taken for the signing key. Put use on every key.",
);
/// use, key_ops, alg, kty and crv agree, and alg is a registered name.
pub const USE_02: Rule = Rule::new(
    "JWKS-USE-02",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Strict applications ignore the key. Correct the named member or leave alg and key_ops out.",
);
/// Keys are strong and valid.
pub const STR_01: Rule = Rule::new(
    "JWKS-STR-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Current libraries refuse the key. Make a new one: RSA with 2048 bits or more and exponent 65537, EC on P-256 or larger, or Ed25519.",
);
/// Each algorithm the application is pinned to has a key.
pub const ALG_01: Rule = Rule::new(
    "JWKS-ALG-01",
    Severity::High,
    Party::CustomerIdp,
    Class::Metadata,
    "Tokens are signed with a key nobody can find. Publish a key of the kind the algorithm needs, or change the pin.",
);
/// The key's certificate and its thumbprints belong to the key.
pub const X5C_01: Rule = Rule::new(
    "JWKS-X5C-01",
    Severity::Medium,
    Party::CustomerIdp,
    Class::Metadata,
    "Applications differ in which of the two they trust. Publish the certificate of this very key, or none.",
);
/// The key's certificate is not expired.
pub const X5C_02: Rule = Rule::new(
    "JWKS-X5C-02",
    Severity::Low,
    Party::Certificate,
    Class::Certificate,
    "Most applications ignore it, some refuse the key. Renew the certificate or leave x5c out.",
);
/// The keys changed, and some stayed.
pub const ROT_01: Rule =
    Rule::new("JWKS-ROT-01", Severity::Info, Party::CustomerIdp, Class::Drift, "Nothing to do: the keys were changed with an overlap.");
/// Not all signing keys went at once.
pub const ROT_02: Rule = Rule::new(
    "JWKS-ROT-02",
    Severity::Critical,
    Party::CustomerIdp,
    Class::Drift,
    "Applications that hold the old set fail until they fetch the new one. Put the old key back until caches and the tokens it signed have run out.",
);
/// A kid keeps its key, and a key its kid.
pub const ROT_03: Rule = Rule::new(
    "JWKS-ROT-03",
    Severity::High,
    Party::CustomerIdp,
    Class::Drift,
    "Applications that keep keys by kid never fetch the new one. Publish a new key under a new kid.",
);
/// The key set may be cached for a sensible time.
pub const CCH_01: Rule = Rule::new(
    "JWKS-CCH-01",
    Severity::Low,
    Party::CustomerIdp,
    Class::Metadata,
    "A long cache turns a change of keys into an outage, a short one costs requests. Set max-age between 5 minutes and 24 hours.",
);

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[
    GET_01, FMT_01, FMT_02, PRIV_01, SIG_01, KID_01, KID_02, USE_01, USE_02, STR_01, ALG_01, X5C_01, X5C_02, ROT_01, ROT_02, ROT_03, CCH_01,
];
