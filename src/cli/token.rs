//! `soakwatch token`: makes a token for the server, shows it once, and gives the lines to paste. Stores nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};

use super::{CliResult, Exit, say};
use crate::fields::Slug;
use crate::hex;
use crate::outcome::Role;

/// Makes a token for the server and shows it once.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Who or what will use it, such as prometheus; appears in the log and in audit records
    #[arg(value_parser = name)]
    name: Slug,
    /// What it may do: viewer reads; operator also reloads and acts on incidents; approver also changes what is judged
    #[arg(long, value_enum)]
    role: RoleArg,
}

fn name(text: &str) -> Result<Slug, String> {
    text.parse().map_err(|e| format!("expected {e}"))
}

/// [`Role`] as a command-line word.
#[derive(Clone, Copy, Debug)]
struct RoleArg(Role);

impl ValueEnum for RoleArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(Role::Viewer), Self(Role::Operator), Self(Role::Approver)]
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// A fresh token: `swt_` and 43 characters of base64url, 256 random bits.
fn fresh() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(format!("swt_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// The hash of a token as the configuration wants it.
fn hash(token: &str) -> String {
    format!("sha256:{}", hex::sha256(token.as_bytes()))
}

/// What goes into `soakwatch.toml`.
fn block(name: &Slug, role: Role, token: &str) -> String {
    format!("[[server.token]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{}\"", hash(token))
}

/// Runs the command.
pub(super) fn run(args: &TokenArgs) -> CliResult {
    let token = fresh().map_err(|_| Exit::Internal.with(anyhow::anyhow!("the system gave no random bytes")))?;
    say(format_args!("Token for {} (shown only this once; give it to whoever uses it):\n", args.name));
    say(format_args!("    {token}\n"));
    say("Paste this into soakwatch.toml, then reload (it holds only the token's hash):\n");
    say(block(&args.name, args.role.0, &token));
    Ok(Exit::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_fresh_and_fit_their_hash() {
        let (a, b) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 47 && a.starts_with("swt_") && a[4..].bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
        // echo -n swt_test | sha256sum
        assert_eq!(hash("swt_test"), "sha256:9d1f6f346d07bfba0012cf8180c86ef95f1d266338318d12edf3ffcf8750b5c9");
    }

    #[test]
    fn the_block_parses_as_toml() {
        let text = block(&"prometheus".parse().unwrap(), Role::Viewer, "swt_x");
        let table: toml::Table = text.parse().unwrap();
        let token = &table["server"]["token"][0];
        assert_eq!(token["name"].as_str(), Some("prometheus"));
        assert_eq!(token["role"].as_str(), Some("viewer"));
        assert_eq!(token["hash"].as_str().map(str::len), Some(71));
    }

    #[test]
    fn every_role_has_its_word() {
        let words: Vec<Role> = RoleArg::value_variants().iter().map(|r| r.0).collect();
        assert_eq!(words, Role::ALL);
    }
}
