//! All integration tests in one binary: one file per subject, in alphabetical order.

// Tells clippy that helper functions in here are test code too (allow-unwrap-in-tests in clippy.toml).
#![cfg(test)]

mod architecture;
mod bad_config;
mod blocked;
mod budgets;
mod bundle;
mod canary;
mod clock_steps;
mod demo;
mod doc_examples;
mod documents;
mod estate;
mod evidence;
mod exactness;
mod fingerprint;
mod gate;
mod gate_live;
mod gate_nothing;
mod go_live;
mod hostile_config;
mod hostile_estate;
mod jwks;
mod limits;
mod live_metrics;
mod load_config;
mod metrics;
mod oauth;
mod oidc;
mod own_fault;
mod plan;
mod probe;
mod rate_limit;
mod rate_limit_config;
mod rate_limit_metrics;
mod readiness;
mod readiness_page;
mod reference;
mod reload;
mod restart;
mod saml;
mod scim;
mod server;
mod simulate;
mod soak_metrics;
mod soak_oracle;
mod soaked_estate;
mod status;
mod store_trouble;
mod support;
mod throttling;
mod token_endpoint;
mod transport;
mod webhook;
mod webhook_live;
