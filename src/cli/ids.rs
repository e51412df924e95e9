//! The ids a person gives to a command: one check, or an integration for all of its checks.

use super::{CliError, Exit};
use crate::fields::{CheckId, IntegrationId};

/// What was asked for.
pub(super) enum Wanted {
    Check(CheckId),
    Integration(IntegrationId),
}

impl Wanted {
    pub(super) fn parse(text: &str) -> Result<Self, CliError> {
        text.parse().map(Self::Check).or_else(|_| text.parse().map(Self::Integration)).map_err(|_| {
            let what = "expected customer/environment/integration/check or customer/environment/integration";
            Exit::Usage.with(anyhow::anyhow!("\"{}\" is no id; {what}", text.escape_debug()))
        })
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Check(id) => id.as_str(),
            Self::Integration(id) => id.as_str(),
        }
    }

    /// Whether this check was asked for.
    pub(super) fn is(&self, check: &CheckId) -> bool {
        match self {
            Self::Check(id) => id == check,
            Self::Integration(id) => *id == check.integration(),
        }
    }

    /// "did you mean ...?" with the known id that looks most like it, however far: there is always something to compare with.
    pub(super) fn hint<'k>(&self, known: impl Iterator<Item = &'k CheckId>) -> Option<String> {
        let names = known.map(|c| match self {
            Self::Check(_) => c.to_string(),
            Self::Integration(_) => c.integration().to_string(),
        });
        let near = names.min_by_key(|name| strsim::damerau_levenshtein(self.as_str(), name))?;
        Some(format!("did you mean {near}?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart_by_their_parts() {
        assert!(matches!(Wanted::parse("a/b/c/d"), Ok(Wanted::Check(_))));
        assert!(matches!(Wanted::parse("a/b/c"), Ok(Wanted::Integration(_))));
        for bad in ["", "a", "a/b", "a/b/c/d/e", "A/b/c", "a//c"] {
            assert!(matches!(Wanted::parse(bad), Err(e) if e.exit == Exit::Usage), "{bad}");
        }
    }

    #[test]
    fn the_nearest_known_id() {
        let known: Vec<CheckId> = ["acme/production/crm/list", "zeta/staging/erp/ping"].iter().map(|id| id.parse().unwrap()).collect();
        let hint = |text: &str| Wanted::parse(text).ok().unwrap().hint(known.iter());
        assert_eq!(hint("acme/prod/crm").as_deref(), Some("did you mean acme/production/crm?"));
        assert_eq!(hint("acme/production/crm/lits").as_deref(), Some("did you mean acme/production/crm/list?"));
        assert_eq!(Wanted::parse("a/b/c").ok().unwrap().hint([].iter()), None);
    }
}
