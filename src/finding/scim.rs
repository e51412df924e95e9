//! The rules for SCIM 2.0 (shared/facts/sso-checks.md section 6, with their sources). Data only.

use super::Rule;

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[];
