//! What is kept of a document that was accepted, and what a later one changed against it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::endpoints::shown;
use super::read::{KeyDescriptor, Role, RoleKind};
use super::validity::{SHORT_LIVED_MS, days, runs_out};
use crate::clock::UnixMs;
use crate::finding::{Finding, Party, saml as rule};
use crate::hex;

/// Keys and endpoints that are kept one by one, of all roles together. Of more only a digest is.
const MOST_KEYS: usize = 64;
const MOST_ENDPOINTS: usize = 64;
/// Characters of a text that is kept as it is; of a longer one only a digest is.
const MOST_TEXT: usize = 200;

/// A document, normalised: at most 64 KiB as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The entity, if the check is of one.
    pub entity_id: Option<String>,
    /// Its roles that are judged.
    pub roles: Vec<RoleKept>,
    /// How long it is valid, if it says so.
    pub validity: Option<Validity>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKept {
    /// Which.
    pub kind: RoleKind,
    /// Its keys, in the order of their fingerprints.
    pub keys: BTreeSet<KeyKept>,
    /// Its endpoints.
    pub endpoints: BTreeSet<EndpointKept>,
    /// SHA-256 of the endpoints beyond those kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub further_endpoints: Option<String>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyKept {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: String,
    /// SHA-256 of its certificate, if it has one.
    pub certificate: Option<String>,
    /// The certificate's last moment.
    pub not_after: Option<UnixMs>,
    /// It signs.
    pub signing: bool,
    /// It is encrypted for.
    pub encryption: bool,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointKept {
    /// The element's name.
    pub element: String,
    /// Its `Binding`.
    pub binding: String,
    /// Its `Location`.
    pub location: String,
    /// Its `ResponseLocation`.
    pub response_location: Option<String>,
}

/// The smallest `validUntil`, and since when it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The date.
    pub until: UnixMs,
    /// When it was first seen.
    pub first_seen: UnixMs,
}

impl Validity {
    /// How many milliseconds it was ahead when it was first seen.
    fn horizon_ms(&self) -> i64 {
        self.until.0.saturating_sub(self.first_seen.0)
    }
}

impl Snapshot {
    pub(super) fn of(entity_id: Option<&str>, roles: &[&Role<'_>], valid_until: Option<UnixMs>, at: UnixMs) -> Self {
        let (mut keys_left, mut endpoints_left) = (MOST_KEYS, MOST_ENDPOINTS);
        Self {
            entity_id: entity_id.map(kept),
            roles: roles.iter().take(8).map(|r| RoleKept::of(r, &mut keys_left, &mut endpoints_left)).collect(),
            validity: valid_until.map(|until| Validity { until, first_seen: at }),
        }
    }

    /// This snapshot with what the one before knows about when `validUntil` was first seen. To be asked for whatever was accepted: a date that
    /// moves on is no change that anybody accepts.
    pub fn following(mut self, before: &Self) -> Self {
        if let (Some(now), Some(then)) = (&mut self.validity, &before.validity)
            && now.until == then.until
        {
            now.first_seen = then.first_seen;
        }
        self
    }
}

impl Snapshot {
    /// Until when it holds.
    pub fn valid_until(&self) -> Option<UnixMs> {
        self.validity.map(|v| v.until)
    }

    /// The earliest end of a signing certificate.
    pub fn signing_certificate_expiry(&self) -> Option<UnixMs> {
        self.roles.iter().flat_map(|r| &r.keys).filter(|k| k.signing).filter_map(|k| k.not_after).min()
    }

    /// Where its endpoints are: each address once, but for those too long to be kept.
    pub fn locations(&self) -> BTreeSet<&str> {
        self.roles.iter().flat_map(|r| &r.endpoints).map(|e| e.location.as_str()).collect()
    }
}

impl RoleKept {
    fn of(role: &Role<'_>, keys_left: &mut usize, endpoints_left: &mut usize) -> Self {
        let keys: BTreeSet<KeyKept> = role.keys.iter().flat_map(keys).take(*keys_left).collect();
        let mut endpoints: BTreeSet<EndpointKept> = role
            .endpoints
            .iter()
            .map(|e| EndpointKept {
                element: e.element.to_owned(),
                binding: kept(e.binding.unwrap_or("")),
                location: kept(e.location.unwrap_or("")),
                response_location: e.response_location.map(kept),
            })
            .collect();
        let further = endpoints.iter().nth(*endpoints_left).cloned().map(|from| endpoints.split_off(&from));
        (*keys_left, *endpoints_left) = (*keys_left - keys.len().min(*keys_left), *endpoints_left - endpoints.len());
        Self { kind: role.kind, keys, endpoints, further_endpoints: further.map(|f| hex::sha256(format!("{f:?}").as_bytes())) }
    }

    fn signing(&self) -> BTreeSet<&str> {
        self.keys.iter().filter(|k| k.signing).map(|k| k.key.as_str()).collect()
    }
}

fn keys<'r>(descriptor: &'r KeyDescriptor<'_>) -> impl Iterator<Item = KeyKept> + 'r {
    let one = |key: &str, certificate: Option<(&str, UnixMs)>| KeyKept {
        key: key.to_owned(),
        certificate: certificate.map(|(c, _)| c.to_owned()),
        not_after: certificate.map(|(_, end)| end),
        signing: descriptor.signing,
        encryption: descriptor.encryption,
    };
    let certified = descriptor.certificates.iter().flatten().map(move |c| one(&c.key.id, Some((&c.sha256, c.not_after))));
    certified.chain(descriptor.bare.iter().flatten().map(move |k| one(&k.id, None)))
}

fn kept(text: &str) -> String {
    crate::sso::kept::kept(text, MOST_TEXT)
}

/// What a document changed against the one that was accepted. Both are of the same check.
pub fn changes(before: &Snapshot, now: &Snapshot, at: UnixMs) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in [RoleKind::Idp, RoleKind::Sp] {
        let of = |s: &Snapshot| -> Vec<RoleKept> { s.roles.iter().filter(|r| r.kind == kind).cloned().collect() };
        let (then, later) = (of(before), of(now));
        if then.is_empty() {
            continue;
        }
        findings.extend(keys_changed(&then, &later));
        let owner = if kind == RoleKind::Idp { Party::CustomerIdp } else { Party::VendorSp };
        findings.extend(endpoints_changed(&then, &later).map(|f| f.for_party(owner)));
    }
    findings.extend(stands_still(before, now, at));
    findings
}

fn keys_changed(before: &[RoleKept], now: &[RoleKept]) -> Option<Finding> {
    let signing = |roles: &[RoleKept]| -> BTreeSet<String> { roles.iter().flat_map(RoleKept::signing).map(str::to_owned).collect() };
    let (then, later) = (signing(before), signing(now));
    // No key at all is another rule's.
    if then == later || then.is_empty() || later.is_empty() {
        return None;
    }
    let names = |keys: &mut dyn Iterator<Item = &String>| keys.take(3).map(|k| k.get(..8).unwrap_or(k)).collect::<Vec<_>>().join(", ");
    let (gone, new) = (names(&mut then.difference(&later)), names(&mut later.difference(&then)));
    if then.is_disjoint(&later) {
        return Some(rule::KEY_06.found(format!("none of the accepted signing keys ({gone}) is left; now it is {new}")));
    }
    let said = match (gone.is_empty(), new.is_empty()) {
        (true, _) => format!("signing key {new} was added beside the accepted ones"),
        (_, true) => format!("signing key {gone} was removed, others stay"),
        _ => format!("signing key {gone} was removed and {new} added, others stay"),
    };
    Some(rule::KEY_07.found(said))
}

fn endpoints_changed(before: &[RoleKept], now: &[RoleKept]) -> Option<Finding> {
    let all = |roles: &[RoleKept]| -> BTreeSet<EndpointKept> { roles.iter().flat_map(|r| r.endpoints.iter().cloned()).collect() };
    let further = |roles: &[RoleKept]| -> Vec<Option<String>> { roles.iter().map(|r| r.further_endpoints.clone()).collect() };
    let (then, later) = (all(before), all(now));
    let (gone, new): (Vec<_>, Vec<_>) = (then.difference(&later).collect(), later.difference(&then).collect());
    let binding = |e: &EndpointKept| e.binding.rsplit(':').next().unwrap_or("").to_owned();
    let first = match (gone.first(), new.first()) {
        (Some(old), _) => match new.iter().find(|n| (&n.element, &n.binding) == (&old.element, &old.binding)) {
            Some(moved) if moved.location == old.location => format!("ResponseLocation of {} ({}) changed", old.element, binding(old)),
            Some(moved) => format!("{} ({}) moved from {} to {}", old.element, binding(old), shown(&old.location), shown(&moved.location)),
            None => format!("{} ({}) at {} is gone", old.element, binding(old), shown(&old.location)),
        },
        (None, Some(new)) => format!("{} ({}) at {} was added", new.element, binding(new), shown(&new.location)),
        (None, None) if further(before) != further(now) => "one of the endpoints beyond the first changed".to_owned(),
        (None, None) => return None,
    };
    let others = gone.len().max(new.len()).saturating_sub(1);
    Some(rule::EP_03.found(if others > 0 { format!("{first} (and {others} more)") } else { first }))
}

/// A short-lived file whose date did not move, and comes near. One of [`changes`], and nothing that anybody could accept.
pub fn stands_still(before: &Snapshot, now: &Snapshot, at: UnixMs) -> Option<Finding> {
    let now = now.clone().following(before).validity?;
    let (horizon, left) = (now.horizon_ms(), now.until.0.saturating_sub(at.0));
    // Past is another rule's; so is a long-lived file's date, and one that is seen for the first time.
    if left < 0 || horizon > SHORT_LIVED_MS || now.first_seen >= at || !runs_out(horizon, left) {
        return None;
    }
    let said = format!("validUntil has stood at {} since {}; {} of {} are left", now.until, now.first_seen, days(left), days(horizon));
    Some(rule::VAL_02.found(said))
}
