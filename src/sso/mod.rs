//! SSO and provisioning documents, judged by the rules of `finding`: the same code for the kinds of check and for `soakwatch lint`.
//!
//! Pure: bytes, what is expected, what was accepted before and a time go in, findings come out. Never fetches, never reads a clock, never keeps a secret.

pub mod clock_offset;
pub mod expiry;
pub mod identifier;
pub mod json;
pub mod jwks;
mod kept;
pub mod oauth;
pub mod oidc;
pub mod saml;
pub mod scim;
