//! From the tree to plain structs: entities, the roles of SAML 2.0 in them, their keys and endpoints. Judges only what could not be read.

use uppsala::{Document, NodeId};

use super::certificate::{Certificate, PublicKey, base64};
use super::document::{DS, MD, attribute, elements, name, named, text};

/// The protocol a role must support.
pub(super) const SAML2: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// Which of the two roles that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleKind {
    /// `IDPSSODescriptor`.
    Idp,
    /// `SPSSODescriptor`.
    Sp,
}

impl RoleKind {
    /// The element's name.
    pub(super) const fn element(self) -> &'static str {
        match self {
            Self::Idp => "IDPSSODescriptor",
            Self::Sp => "SPSSODescriptor",
        }
    }
}

/// How long something says it may be used, as written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lifetime<'d> {
    pub valid_until: Option<&'d str>,
    pub cache_duration: Option<&'d str>,
}

impl<'d> Lifetime<'d> {
    pub(super) fn of(doc: &'d Document<'_>, node: NodeId) -> Self {
        Self { valid_until: attribute(doc, node, "validUntil"), cache_duration: attribute(doc, node, "cacheDuration") }
    }
}

/// One entity. Its roles are in the order of the document.
#[derive(Debug, Default)]
pub(super) struct Entity<'d> {
    pub id: Option<&'d str>,
    pub lifetime: Lifetime<'d>,
    pub roles: Vec<Role<'d>>,
    /// What the schema does not allow, in words.
    pub faults: Vec<String>,
    /// A role's element stands in no namespace or another one: it can't be said that the role is missing.
    pub role_elsewhere: bool,
}

/// One role.
#[derive(Debug)]
pub(super) struct Role<'d> {
    pub kind: RoleKind,
    pub protocols: Option<&'d str>,
    pub lifetime: Lifetime<'d>,
    pub keys: Vec<KeyDescriptor<'d>>,
    pub endpoints: Vec<Endpoint<'d>>,
    pub name_id_formats: Vec<String>,
    /// `WantAuthnRequestsSigned` of an identity provider, `AuthnRequestsSigned` of a service provider.
    pub signed_requests: bool,
}

/// One `KeyDescriptor`.
#[derive(Debug)]
pub(super) struct KeyDescriptor<'d> {
    pub signing: bool,
    pub encryption: bool,
    /// There is a `ds:KeyInfo`; without one nothing can be said of its key.
    pub readable: bool,
    pub certificates: Vec<Result<Certificate, &'static str>>,
    /// Keys that stand there bare, and how many of them can't be read.
    pub bare: Vec<Option<PublicKey>>,
    pub methods: Vec<&'d str>,
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint<'d> {
    pub element: &'static str,
    pub binding: Option<&'d str>,
    pub location: Option<&'d str>,
    pub response_location: Option<&'d str>,
    pub index: Option<&'d str>,
    pub default: bool,
}

/// The elements that are endpoints, and whether they are numbered.
const ENDPOINTS: [(&str, bool); 7] = [
    ("ArtifactResolutionService", true),
    ("SingleLogoutService", false),
    ("ManageNameIDService", false),
    ("SingleSignOnService", false),
    ("NameIDMappingService", false),
    ("AssertionIDRequestService", false),
    ("AssertionConsumerService", true),
];
const ROLES: [&str; 6] =
    ["IDPSSODescriptor", "SPSSODescriptor", "RoleDescriptor", "AttributeAuthorityDescriptor", "AuthnAuthorityDescriptor", "PDPDescriptor"];

/// Reads an `EntityDescriptor`.
pub(super) fn entity<'d>(doc: &'d Document<'_>, node: NodeId) -> Entity<'d> {
    let mut read = Entity { id: attribute(doc, node, "entityID"), lifetime: Lifetime::of(doc, node), ..Entity::default() };
    if read.id.is_none() {
        read.faults.push("EntityDescriptor without entityID".into());
    }
    let mut described = false;
    for child in elements(doc, node) {
        match name(doc, child) {
            (MD, "IDPSSODescriptor") => read_role(doc, child, RoleKind::Idp, &mut read),
            (MD, "SPSSODescriptor") => read_role(doc, child, RoleKind::Sp, &mut read),
            (MD, "AffiliationDescriptor") => described = true,
            (MD, local) if ROLES.contains(&local) => described = true,
            (_, local) if ROLES.contains(&local) => {
                read.role_elsewhere = true;
                read.faults.push(format!("{local} is not in the metadata namespace"));
            }
            _ => {}
        }
    }
    if read.roles.is_empty() && !described && !read.role_elsewhere {
        read.faults.push("EntityDescriptor without any role".into());
    }
    read
}

fn read_role<'d>(doc: &'d Document<'_>, node: NodeId, kind: RoleKind, entity: &mut Entity<'d>) {
    let faults = &mut entity.faults;
    let flag = match kind {
        RoleKind::Idp => "WantAuthnRequestsSigned",
        RoleKind::Sp => "AuthnRequestsSigned",
    };
    let mut role = Role {
        kind,
        protocols: attribute(doc, node, "protocolSupportEnumeration"),
        lifetime: Lifetime::of(doc, node),
        keys: Vec::new(),
        endpoints: Vec::new(),
        name_id_formats: Vec::new(),
        signed_requests: truth(attribute(doc, node, flag)),
    };
    if role.protocols.is_none() {
        faults.push(format!("{} without protocolSupportEnumeration", kind.element()));
    }
    for child in elements(doc, node) {
        match name(doc, child) {
            (MD, "KeyDescriptor") => role.keys.push(key_descriptor(doc, child, faults)),
            (MD, "NameIDFormat") => role.name_id_formats.push(text(doc, child).trim().to_owned()),
            (MD, local) => {
                if let Some((element, numbered)) = ENDPOINTS.iter().find(|(e, _)| *e == local) {
                    role.endpoints.push(endpoint(doc, child, element, *numbered, faults));
                }
            }
            ("", local) => faults.push(format!("{local} in {} is in no namespace", kind.element())),
            _ => {}
        }
    }
    entity.roles.push(role);
}

fn endpoint<'d>(doc: &'d Document<'_>, node: NodeId, element: &'static str, numbered: bool, faults: &mut Vec<String>) -> Endpoint<'d> {
    let read = Endpoint {
        element,
        binding: attribute(doc, node, "Binding"),
        location: attribute(doc, node, "Location"),
        response_location: attribute(doc, node, "ResponseLocation"),
        index: attribute(doc, node, "index").filter(|_| numbered),
        default: numbered && truth(attribute(doc, node, "isDefault")),
    };
    for (there, what) in
        [(read.binding.is_some(), "Binding"), (read.location.is_some(), "Location"), (read.index.is_some() || !numbered, "index")]
    {
        if !there {
            faults.push(format!("{element} without {what}"));
        }
    }
    read
}

fn key_descriptor<'d>(doc: &'d Document<'_>, node: NodeId, faults: &mut Vec<String>) -> KeyDescriptor<'d> {
    let usage = attribute(doc, node, "use");
    if usage.is_some_and(|u| !matches!(u, "signing" | "encryption")) {
        faults.push("KeyDescriptor with a use that is neither signing nor encryption".into());
    }
    let mut read = KeyDescriptor {
        signing: matches!(usage, None | Some("signing")),
        encryption: matches!(usage, None | Some("encryption")),
        readable: false,
        certificates: Vec::new(),
        bare: Vec::new(),
        methods: named(doc, node, MD, "EncryptionMethod").filter_map(|m| attribute(doc, m, "Algorithm")).collect(),
    };
    let mut elsewhere = false;
    for child in elements(doc, node) {
        match name(doc, child) {
            (DS, "KeyInfo") => {
                read.readable = true;
                key_info(doc, child, &mut read, faults);
            }
            (_, "KeyInfo") => elsewhere = true,
            _ => {}
        }
    }
    if elsewhere {
        faults.push("KeyInfo is not in the namespace of XML signatures".into());
    } else if !read.readable {
        faults.push("KeyDescriptor without KeyInfo".into());
    }
    read
}

fn key_info(doc: &Document<'_>, node: NodeId, read: &mut KeyDescriptor<'_>, faults: &mut Vec<String>) {
    let misplaced = |faults: &mut Vec<String>, local: &str| faults.push(format!("{local} is not in the namespace of XML signatures"));
    for child in elements(doc, node) {
        match name(doc, child) {
            (DS, "X509Data") => {
                for item in elements(doc, child) {
                    match name(doc, item) {
                        (DS, "X509Certificate") => read.certificates.push(Certificate::from_text(&text(doc, item))),
                        (_, "X509Certificate") => {
                            read.readable = false;
                            misplaced(faults, "X509Certificate");
                        }
                        _ => {}
                    }
                }
            }
            (DS, "KeyValue") => read.bare.extend(elements(doc, child).map(|value| key_value(doc, value))),
            (_, local @ ("X509Data" | "KeyValue")) => {
                read.readable = false;
                misplaced(faults, local);
            }
            _ => {}
        }
    }
}

/// An RSA key that stands there bare. Other kinds are there, and can't be read.
fn key_value(doc: &Document<'_>, node: NodeId) -> Option<PublicKey> {
    if name(doc, node) != (DS, "RSAKeyValue") {
        return None;
    }
    let part = |local| base64(&text(doc, named(doc, node, DS, local).next()?));
    PublicKey::from_rsa(&part("Modulus")?, &part("Exponent")?)
}

/// An `xs:boolean`.
fn truth(value: Option<&str>) -> bool {
    value.is_some_and(|v| matches!(v.trim(), "true" | "1"))
}
