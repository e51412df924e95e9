//! The keys of one role: there, in force, strong enough, and each where it belongs.

use std::collections::BTreeMap;

use super::certificate::Certificate;
use super::found::Found;
use super::read::{KeyDescriptor, Role, RoleKind};
use super::validity::{days, window};
use crate::clock::UnixMs;
use crate::finding::{Level, Party, Severity, saml as rule};

/// A certificate may begin so much later than now: clocks differ.
const SKEW_MS: i64 = 5 * 60_000;

/// Judges the keys of a role. `encrypts` says that the other side means to encrypt for it.
pub(super) fn judge(role: &Role<'_>, encrypts: bool, warn_days: u32, at: UnixMs, found: &mut Found<'_>) {
    if role.kind == RoleKind::Idp && !role.keys.iter().any(|k| k.signing) {
        found.add(rule::KEY_01.found("IDPSSODescriptor has no KeyDescriptor for signing"));
    }
    if role.kind == RoleKind::Sp && encrypts && !role.keys.iter().any(|k| k.encryption) {
        found.add(rule::KEY_09.found("SPSSODescriptor has no KeyDescriptor for encryption"));
    }
    for key in &role.keys {
        material(key, found);
    }
    strength(role, found);
    dates(role, warn_days, at, found);
    algorithms(role, found);
}

/// One certificate in each descriptor, and one that can be read.
fn material(key: &KeyDescriptor<'_>, found: &mut Found<'_>) {
    for why in key.certificates.iter().filter_map(|c| c.as_ref().err()) {
        found.add(rule::KEY_08.found(format!("an X509Certificate can't be read: {why}")));
    }
    if key.readable && key.certificates.is_empty() && key.bare.is_empty() {
        found.add(rule::KEY_10.found("a KeyDescriptor holds neither a certificate nor a key"));
    } else if key.certificates.len() > 1 {
        found.add(rule::KEY_10.found(format!("a KeyDescriptor holds {} certificates", key.certificates.len())));
    }
}

fn strength(role: &Role<'_>, found: &mut Found<'_>) {
    let certified = role.keys.iter().flat_map(|k| k.certificates.iter().flatten()).map(|c| ("certificate", c.short(), &c.key));
    let bare = role.keys.iter().flat_map(|k| k.bare.iter().flatten()).map(|k| ("key", k.id.get(..8).unwrap_or(""), k));
    for (what, name, key) in certified.chain(bare) {
        if let Some(weakness) = key.weakness() {
            found.add(rule::KEY_05.found(format!("the key of {what} {name} is {weakness}")));
        }
    }
    for old in role.keys.iter().flat_map(|k| k.certificates.iter().flatten()).filter(|c| c.old_signature) {
        let said = format!("certificate {} is itself signed with MD5 or SHA-1, which peers do not check", old.short());
        found.add(rule::KEY_05.found(said).at(Level::Info).of(Severity::Info));
    }
}

/// Each signing certificate once, and how often it is listed.
fn signing<'r>(role: &'r Role<'_>) -> BTreeMap<&'r str, (&'r Certificate, usize)> {
    let mut all = BTreeMap::new();
    for certificate in role.keys.iter().filter(|k| k.signing).flat_map(|k| k.certificates.iter().flatten()) {
        all.entry(certificate.sha256.as_str()).or_insert((certificate, 0)).1 += 1;
    }
    all
}

fn dates(role: &Role<'_>, warn_days: u32, at: UnixMs, found: &mut Found<'_>) {
    let all = signing(role);
    let in_force = |c: &Certificate| c.not_before.0 <= at.0 + SKEW_MS && c.not_after >= at;
    for (certificate, times) in all.values() {
        let name = certificate.short();
        let left = certificate.not_after.0.saturating_sub(at.0);
        if *times > 1 {
            found.add(rule::KEY_10.found(format!("signing certificate {name} is listed {times} times")).at(Level::Info).of(Severity::Info));
        }
        if left < 0 {
            found.add(rule::KEY_02.found(format!("signing certificate {name} ended on {}, {} ago", certificate.not_after, days(-left))));
        } else if let Some((severity, level)) = window(at, certificate.not_after, warn_days) {
            let successor = all.values().any(|(other, _)| other.not_after > certificate.not_after);
            let (severity, level) = if successor { lowered(severity, level) } else { (severity, level) };
            let then = if successor { "a longer-lived one is published" } else { "no successor is published" };
            let said = format!("signing certificate {name} ends on {}, in {}; {then}", certificate.not_after, days(left));
            found.add(rule::KEY_03.found(said).of(severity).at(level));
        }
        if certificate.not_before.0 > at.0 + SKEW_MS {
            let another = all.values().any(|(other, _)| in_force(other));
            let said = format!("signing certificate {name} begins on {}", certificate.not_before);
            let finding = rule::KEY_04.found(if another { format!("{said}; another is in force") } else { said });
            found.add(if another { finding.at(Level::Info).of(Severity::Info) } else { finding });
        }
    }
}

/// One step less severe; what only informs by its severity informs by its level.
fn lowered(severity: Severity, level: Level) -> (Severity, Level) {
    match severity {
        Severity::Critical => (Severity::High, level),
        Severity::High => (Severity::Medium, level),
        Severity::Medium => (Severity::Low, level),
        Severity::Low | Severity::Info => (Severity::Info, Level::Info),
    }
}

/// The encryption methods a role declares, if it declares any.
fn algorithms(role: &Role<'_>, found: &mut Found<'_>) {
    let methods: Vec<&str> = role.keys.iter().filter(|k| k.encryption).flat_map(|k| k.methods.iter().copied()).collect();
    let any = |ends: &[&str]| methods.iter().any(|m| ends.iter().any(|e| m.ends_with(e)));
    let modern = any(&["#aes128-gcm", "#aes192-gcm", "#aes256-gcm"]);
    let old = any(&["#aes128-cbc", "#aes192-cbc", "#aes256-cbc"]);
    let oldest = any(&["#tripledes-cbc"]);
    let said = match () {
        () if oldest && !old && !modern => "the only encryption method is 3DES",
        () if (old || oldest) && !modern => "the encryption methods have no AES-GCM among them",
        () if any(&["#rsa-1_5"]) => "the encryption methods have RSA 1.5 among them",
        () => return,
    };
    let owner = if role.kind == RoleKind::Idp { Party::CustomerIdp } else { Party::VendorSp };
    found.add(rule::ALG_01.found(said).for_party(owner));
}
