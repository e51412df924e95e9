//! OAuth2 token endpoints, judged: what they answer, their metadata, the client's own credentials, and tokens that are JWTs.
//!
//! A token or a secret goes in where it must be read, and never comes out: findings hold no part of it.

mod assertion;
mod credential;
mod jwt;
mod metadata;
mod token;

pub use assertion::{Accepted, Assertion, SigningKey, judged as assertion_judged, refused as assertion_refused};
pub use credential::{bound_endpoint, client_certificate, end_date};
pub use jwt::{Wanted as WantedToken, verified};
pub use metadata::{agreement, well_known};
pub use token::{Answer, Granted, Wanted, granted, life_fell, refused, unreachable, wrong_client};
