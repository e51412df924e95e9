//! The rules for OIDC discovery (shared/facts/sso-checks.md section 3, with their sources). Data only.

use super::Rule;

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[];
