//! Whether the members of one key agree: use, key_ops, alg, kty and crv.

use super::key::Key;
use super::names::{self, Work};
use super::parameters::CURVES;
use crate::fields::bounded;

/// Where use, key_ops, alg, kty and crv do not agree.
pub(super) fn disagreements(key: &Key) -> Vec<String> {
    let mut wrong = Vec::new();
    let purpose = match key.used.as_deref() {
        Some("sig") => Some(Work::Sign),
        Some("enc") => Some(Work::Encrypt),
        Some(other) => {
            wrong.push(format!("use is \"{}\", not sig or enc", bounded(other, 20)));
            None
        }
        None => None,
    };
    let crv = key.crv.as_deref();
    let of_kind = match key.kty.as_str() {
        "EC" => crv.is_none_or(|c| !names::OKP.iter().any(|(name, _)| *name == c)),
        "OKP" => crv.is_none_or(|c| !CURVES.iter().any(|known| known.name == c)),
        _ => true,
    };
    if !of_kind {
        wrong.push(format!("kty {} has no curve {}", key.kty, bounded(crv.unwrap_or_default(), 20)));
    }
    if purpose == Some(Work::Sign) && crv.is_some_and(|c| names::AGREEMENT.contains(&c)) {
        wrong.push(format!("use is sig, but {} can't sign", crv.unwrap_or_default()));
    }
    let mut by_alg = None;
    if let Some(alg) = &key.alg {
        let shown = bounded(alg, 40);
        match names::algorithm(alg) {
            None => wrong.push(format!("alg \"{shown}\" is not registered for JWS or JWE")),
            Some(known) => {
                by_alg = Some(known.work);
                if of_kind && !known.fits(&key.kty, crv) {
                    wrong.push(format!("alg {shown} does not go with {}", crv.unwrap_or(&key.kty)));
                }
                if purpose.is_some_and(|p| p != known.work) {
                    wrong.push(format!("alg {shown} does not go with use {}", key.used.as_deref().unwrap_or_default()));
                }
            }
        }
    }
    if let Some(ops) = &key.ops {
        let unknown: Vec<String> = ops.iter().filter(|o| names::op(o).is_none()).take(4).map(|o| bounded(o, 20)).collect();
        if !unknown.is_empty() {
            wrong.push(format!("key_ops has unknown {}", unknown.join(", ")));
        }
        let other = |work: Work| ops.iter().filter_map(|o| names::op(o)).any(|w| w != work);
        if purpose.or(by_alg).is_some_and(other) {
            wrong.push("key_ops does not go with use or alg".into());
        }
        if (1..ops.len()).any(|n| ops[..n].contains(&ops[n])) {
            wrong.push("key_ops names an operation twice".into());
        }
    }
    wrong
}
