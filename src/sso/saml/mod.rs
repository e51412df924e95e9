//! SAML 2.0 metadata, judged: of an identity provider, a service provider, or an aggregate of many.
//!
//! The order is that of a careful consumer: size, encoding, no document type, form, unique IDs, signature; only then is anything read, and from the
//! same tree. A document that fails is still read, to say what else is wrong with it, but nothing of it is given out to be kept.

mod certificate;
mod document;
mod dsig;
mod endpoints;
mod entities;
mod fetched;
mod found;
mod keys;
mod read;
mod signature;
mod snapshot;
mod times;
mod validity;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

pub use self::certificate::{Certificate, PublicKey};
pub use self::fetched::{clock_off, endpoint_failed, endpoint_unreachable, get_failed, not_trusted, not_xml, unreachable};
pub use self::read::RoleKind;
pub use self::snapshot::{EndpointKept, KeyKept, RoleKept, Snapshot, Validity, changes, stands_still};
pub use self::validity::ValidityPolicy;

use self::document::{MD, Refused, decode, duplicate_id, name, parse, signatures};
use self::found::Found;
use crate::clock::UnixMs;
use crate::finding::{Finding, saml as rule};

/// Bytes of a document of one entity.
pub const MOST_BYTES: u64 = 5 << 20;
/// Bytes of an aggregate.
pub const MOST_BYTES_AGGREGATE: u64 = 256 << 20;
/// Certificates that may be pinned for one document.
const MOST_PINS: usize = 16;

/// Which role is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An identity provider.
    #[default]
    Idp,
    /// A service provider.
    Sp,
    /// Any number of either: every one is judged, or the one whose entityID is given.
    Aggregate,
}

/// What is expected of a document.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The entityID, compared byte for byte.
    pub entity_id: Option<String>,
    /// The role.
    pub role: Role,
    /// The document element must be signed, by a key that is pinned.
    pub require_signature: bool,
    /// The keys that may sign the document.
    pub pins: Vec<PublicKey>,
    /// A date that is fewer days ahead warns.
    pub warn_days: u32,
    /// What `validUntil` must be, if anything is asked.
    pub validity: Option<ValidityPolicy>,
    /// What the other side does.
    pub peer: Peer,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            entity_id: None,
            role: Role::Idp,
            require_signature: false,
            pins: Vec::new(),
            warn_days: 30,
            validity: None,
            peer: Peer::default(),
        }
    }
}

/// What is known of the side this document is for; nothing is judged by what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The identity provider encrypts assertions.
    pub encrypts: bool,
    /// The NameID formats it uses.
    pub name_id_formats: Vec<String>,
    /// A service provider that signs its requests, or does not.
    pub signs_requests: Option<bool>,
    /// An identity provider that wants requests signed, or does not.
    pub wants_signed_requests: Option<bool>,
}

/// What came of a document.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// What was found, in no order.
    pub findings: Vec<Finding>,
    /// What may be kept: nothing of a document that could not be read, is not the expected one, or did not verify.
    pub snapshot: Option<Snapshot>,
    /// How many entities were judged.
    pub entities: usize,
    /// Whether it could be read at all; if not, nothing is known of keys, endpoints and dates.
    pub read: bool,
}

/// The findings of a document alone.
pub fn lint(bytes: &[u8], expected: &Expected, at: UnixMs) -> Vec<Finding> {
    judge(bytes, expected, at).findings
}

/// Judges a document. Blocking: an aggregate of 100 MB takes about a second and four times its size.
pub fn judge(bytes: &[u8], expected: &Expected, at: UnixMs) -> Judged {
    let mut found = Found::default();
    let side = match expected.role {
        Role::Idp => Some(RoleKind::Idp),
        Role::Sp => Some(RoleKind::Sp),
        Role::Aggregate => None,
    };
    found.turn_to(None, side);
    let refused = |mut found: Found<'_>, why: Refused| {
        found.add(match why {
            Refused::Malformed(why) => rule::XML_01.found(why),
            Refused::Doctype => rule::XML_02.found("the document has a DOCTYPE"),
        });
        Judged { findings: found.finish(), ..Judged::default() }
    };
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(why) => return refused(found, why),
    };
    let doc = match parse(&text) {
        Ok(doc) => doc,
        Err(why) => return refused(found, why),
    };
    let root = doc.document_element().filter(|r| matches!(name(&doc, *r), (MD, "EntityDescriptor" | "EntitiesDescriptor")));
    let Some(root) = root else {
        let is = doc.document_element().map_or("", |r| name(&doc, r).1);
        let said = match is {
            "EntityDescriptor" | "EntitiesDescriptor" => format!("{is} is not in the metadata namespace"),
            other => format!("the document element is {other:?}, not EntityDescriptor or EntitiesDescriptor"),
        };
        found.add(rule::XML_03.found(said));
        return Judged { findings: found.finish(), ..Judged::default() };
    };
    let mut reliable = true;
    match duplicate_id(&doc, !signatures(&doc).is_empty()) {
        Some(id) => {
            // Which element a reference means can't be told, so the signature is not looked at.
            found.add(rule::XML_04.found(format!("the ID {id:?} stands there more than once")));
            reliable = false;
        }
        None => {
            let demand = signature::Demand { required: expected.require_signature, pins: &expected.pins };
            reliable &= signature::judge(&doc, &text, root, demand, &dsig::Library, &mut found);
        }
    }
    let (snapshot, entities) = entities::judge(&doc, root, expected, at, &mut found);
    Judged { findings: found.finish(), snapshot: snapshot.filter(|_| reliable), entities, read: true }
}

/// The keys of the certificates in a PEM text: at least one, and nothing that can't be read.
pub fn pins(pem: &[u8]) -> Result<Vec<PublicKey>, String> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let der = certificate.map_err(|_| "this is not PEM".to_owned())?;
        let key = Certificate::from_der(&der).map_err(|why| format!("a certificate can't be read: {why}"))?.key;
        if !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() > MOST_PINS {
            return Err(format!("more than {MOST_PINS} certificates"));
        }
    }
    if keys.is_empty() { Err("there is no certificate in it; wanted is PEM (-----BEGIN CERTIFICATE-----)".into()) } else { Ok(keys) }
}
