//! The rules for OAuth2 token endpoints (shared/facts/sso-checks.md section 5, with their sources). Data only.

use super::Rule;

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[];
