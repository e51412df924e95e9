//! The rules for SAML 2.0 metadata (shared/facts/sso-checks.md section 2, with their sources). Data only.

use super::Rule;

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[];
