//! Which entities of a document are meant, and the judging of each.

use uppsala::{Document, NodeId};

use super::document::{MD, elements, name};
use super::found::Found;
use super::read::{Entity, Lifetime, Role as ReadRole, RoleKind, SAML2, entity};
use super::snapshot::Snapshot;
use super::validity::{self, Until};
use super::{Expected, Role, endpoints, keys};
use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::finding::{Level, Severity, saml as rule};
use crate::sso::identifier::difference;

/// An `EntityDescriptor`, and the smallest `validUntil` of what it stands in.
struct Place {
    node: NodeId,
    inherited: Option<Until>,
}

/// Judges every entity that is meant. Gives what may be kept of them (nothing if what was expected is not there) and their number.
pub(super) fn judge<'d>(
    doc: &'d Document<'_>,
    root: NodeId,
    expected: &'d Expected,
    at: UnixMs,
    found: &mut Found<'d>,
) -> (Option<Snapshot>, usize) {
    let mut places = Vec::new();
    let single = name(doc, root) == (MD, "EntityDescriptor");
    if single {
        places.push(Place { node: root, inherited: None });
    } else {
        gather(doc, root, None, "the document", &mut places, found);
        if places.is_empty() {
            found.add(rule::XML_03.found("EntitiesDescriptor without any entity"));
            return (None, 0);
        }
    }
    let shared = places.first().and_then(|p| p.inherited);
    let wanted = expected.entity_id.as_deref();
    let is_wanted = |node| wanted.is_none() || super::document::attribute(doc, node, "entityID") == wanted;
    let mut meant: Vec<&Place> = places.iter().filter(|p| is_wanted(p.node)).collect();
    let mut there = true;
    if let Some(wanted) = wanted {
        there = right_entity(doc, wanted, single, expected.role, &places, meant.len(), found);
        if single && expected.role != Role::Aggregate {
            meant = places.iter().collect();
        }
    }
    let several = places.len() > 1;
    let kind = match expected.role {
        Role::Idp => Some(RoleKind::Idp),
        Role::Sp => Some(RoleKind::Sp),
        Role::Aggregate => None,
    };
    let mut with_role = 0;
    let mut kept = None;
    let mut sound = true;
    for place in &meant {
        let read = entity(doc, place.node);
        let judged = one(&read, place, kind, several, expected, at, found);
        with_role += usize::from(judged.role_found);
        sound &= judged.sound;
        kept = Some(judged.snapshot);
        // One entity of many may be of the other role.
        let must_have_role = kind.is_some() && (meant.len() == 1 || wanted.is_some());
        if must_have_role && !judged.role_found && !read.role_elsewhere {
            found.add(rule::ROL_01.found(missing_role(kind, &read)));
            there = false;
        }
    }
    found.turn_to(None, kind);
    if kind.is_some() && with_role == 0 && meant.len() > 1 && wanted.is_none() {
        found.add(rule::ROL_01.found(format!("none of {} entities has the expected role", meant.len())));
        there = false;
    }
    let snapshot = match kept {
        Some(one) if meant.len() == 1 => Some(one),
        // Of an aggregate as a whole only its date is kept.
        _ => Some(Snapshot::of(None, &[], shared.map(|s| s.at), at)),
    };
    (snapshot.filter(|_| there && sound), meant.len())
}

/// Walks down the groups, and judges what stands at each.
fn gather<'d>(
    doc: &'d Document<'_>,
    group: NodeId,
    inherited: Option<Until>,
    place: &'static str,
    places: &mut Vec<Place>,
    found: &mut Found<'d>,
) {
    let mut smallest = inherited;
    validity::read(Lifetime::of(doc, group), place, true, &mut smallest, found);
    for child in elements(doc, group) {
        match name(doc, child) {
            (MD, "EntityDescriptor") => places.push(Place { node: child, inherited: smallest }),
            (MD, "EntitiesDescriptor") => gather(doc, child, smallest, "a group", places, found),
            (_, local @ ("EntityDescriptor" | "EntitiesDescriptor")) => {
                found.add(rule::XML_03.found(format!("{local} is not in the metadata namespace")));
            }
            _ => {}
        }
    }
}

/// Whether the document has the entity that is expected, once.
fn right_entity(doc: &Document<'_>, wanted: &str, single: bool, role: Role, places: &[Place], times: usize, found: &mut Found<'_>) -> bool {
    let ids = || places.iter().filter_map(|p| super::document::attribute(doc, p.node, "entityID"));
    let near = ids().find_map(|id| difference(wanted, id).map(|d| format!("{:?} differs {d}", bounded(id, 80))));
    match (role, times) {
        (_, 1) => true,
        (Role::Aggregate, 0) => {
            let said = near.unwrap_or_else(|| "no such entity".into());
            found.add(rule::ENT_03.found(format!("{:?} is not in here: {said}", bounded(wanted, 80))).at(Level::Info).of(Severity::Info));
            true
        }
        (Role::Aggregate, _) => true,
        (_, 0) if single => {
            // Without an entityID something else is wrong.
            if let Some(id) = ids().next() {
                let said = near.unwrap_or_else(|| format!("it is {:?}", bounded(id, 80)));
                found.add(rule::ENT_01.found(format!("the entityID is not {:?}: {said}", bounded(wanted, 80))));
            }
            false
        }
        (_, times) => {
            let said = match (times, near) {
                (0, Some(near)) => near,
                (0, None) => format!("it is none of {}", places.len()),
                (times, _) => format!("it stands there {times} times"),
            };
            found.add(rule::ENT_03.found(format!("{:?} is not in here once: {said}", bounded(wanted, 80))));
            false
        }
    }
}

struct One {
    role_found: bool,
    sound: bool,
    snapshot: Snapshot,
}

fn one<'d>(
    read: &Entity<'d>,
    place: &Place,
    kind: Option<RoleKind>,
    several: bool,
    expected: &Expected,
    at: UnixMs,
    found: &mut Found<'d>,
) -> One {
    let named = several.then_some(read.id.unwrap_or("an entity without entityID"));
    found.turn_to(named, kind.or(read.roles.first().map(|r| r.kind)));
    if let Some(first) = read.faults.first() {
        let more = read.faults.len() - 1;
        found.add(rule::XML_03.found(if more > 0 { format!("{first} (and {more} more)") } else { first.clone() }));
    }
    if let Some(wrong) = read.id.and_then(bad_name) {
        found.add(rule::ENT_02.found(wrong));
    }
    let mut smallest = place.inherited;
    validity::read(read.lifetime, if several { "the entity" } else { "the document" }, false, &mut smallest, found);
    let expected_roles: Vec<&ReadRole<'_>> = read.roles.iter().filter(|r| kind.is_none_or(|k| r.kind == k)).collect();
    let mut judged: Vec<&ReadRole<'_>> = Vec::new();
    for kind in [RoleKind::Idp, RoleKind::Sp] {
        let of_kind: Vec<&ReadRole<'_>> = expected_roles.iter().copied().filter(|r| r.kind == kind).collect();
        // Without the attribute something else is wrong, and it can't be said that the protocol is missing.
        let usable = |r: &&ReadRole<'_>| r.protocols.is_none_or(|p| p.split_ascii_whitespace().any(|p| p == SAML2));
        if !of_kind.is_empty() && !of_kind.iter().any(usable) {
            found.turn_to(named, Some(kind));
            found.add(rule::ROL_02.found(format!("{} does not support SAML 2.0", kind.element())));
        }
        judged.extend(of_kind.into_iter().filter(usable));
    }
    for role in &judged {
        found.turn_to(named, Some(role.kind));
        validity::read(role.lifetime, role.kind.element(), false, &mut smallest, found);
        keys::judge(role, expected.peer.encrypts, expected.warn_days, at, found);
        endpoints::judge(role, found);
        agreed(role, expected, found);
    }
    let shared = smallest.is_some_and(|s| s.shared);
    found.turn_to(named.filter(|_| !shared), kind);
    validity::judge(smallest, expected.warn_days, expected.validity, at, found);
    found.turn_to(named, kind);
    One {
        role_found: !expected_roles.is_empty(),
        sound: read.faults.is_empty(),
        snapshot: Snapshot::of(read.id, &judged, smallest.map(|s| s.at), at),
    }
}

/// What is wrong with an entityID by itself.
fn bad_name(id: &str) -> Option<String> {
    let scheme = id.split_once(':').is_some_and(|(scheme, rest)| {
        let mut letters = scheme.bytes();
        letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
    });
    match () {
        () if id.chars().any(char::is_whitespace) => Some(format!("the entityID {:?} has white space in it", bounded(id, 80))),
        () if id.chars().count() > 1024 => Some(format!("the entityID has {} characters", id.chars().count())),
        () if !scheme => Some(format!("the entityID {:?} is not an absolute URI", bounded(id, 80))),
        () => None,
    }
}

fn missing_role(kind: Option<RoleKind>, read: &Entity<'_>) -> String {
    let wanted = kind.map_or("", RoleKind::element);
    match read.roles.first() {
        Some(other) => format!("there is no {wanted}, but {}", other.kind.element()),
        None => format!("there is no {wanted}"),
    }
}

/// What the two sides must agree on, as far as the other side is known.
fn agreed(role: &ReadRole<'_>, expected: &Expected, found: &mut Found<'_>) {
    const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
    let ours = &expected.peer.name_id_formats;
    let open = ours.is_empty() || role.name_id_formats.is_empty();
    let any = |f: &String| f == UNSPECIFIED || ours.iter().any(|o| o == f || o == UNSPECIFIED);
    if !open && !role.name_id_formats.iter().any(any) {
        found.add(rule::NID_01.found(format!("none of {} NameID formats is one the other side uses", role.name_id_formats.len())));
    }
    let signs = role.signed_requests;
    let said = match role.kind {
        RoleKind::Sp if signs && !role.keys.iter().any(|k| k.signing) => "AuthnRequestsSigned is true, and there is no signing key",
        RoleKind::Sp if !signs && expected.peer.wants_signed_requests == Some(true) => {
            "AuthnRequestsSigned is not true, and the identity provider wants requests signed"
        }
        RoleKind::Idp if signs && expected.peer.signs_requests == Some(false) => {
            "WantAuthnRequestsSigned is true, and the service provider does not sign"
        }
        _ => return,
    };
    found.add(rule::FLG_01.found(said));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for fine in ["urn:federation:MicrosoftOnline", "https://a.example.com/x?y=z", "urn:dev-x.auth0.com"] {
            assert_eq!(bad_name(fine), None, "{fine}");
        }
        for wrong in ["", "idp", "idp.example.com/x", "https://a.example.com/x y", "1a:b", ":x", "a:"] {
            assert!(bad_name(wrong).is_some(), "{wrong}");
        }
        assert!(bad_name(&format!("urn:{}", "x".repeat(1021))).is_some() && bad_name(&format!("urn:{}", "x".repeat(1020))).is_none());
    }
}
