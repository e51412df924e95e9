//! Metadata of our own making: keys, certificates, documents and signatures.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_dsig::DsigContext;
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_pem_auto;
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, PublicKeyData, SignatureAlgorithm};

use soakwatch::clock::UnixMs;
use soakwatch::finding::{Finding, Level};
use soakwatch::sso::saml::{Certificate, Expected, PublicKey, Role, lint};

/// When everything here is judged: 2026-12-01T00:00:00Z.
pub(super) const AT: UnixMs = UnixMs(1_796_083_200_000);
pub(super) const ID: &str = "https://idp.example.com/metadata";
const NAMESPACES: &str = "xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// A day: year, month, day.
pub(super) type Day = (i32, u8, u8);

/// A key pair that signs documents.
pub(super) struct Pair {
    pub(super) key: KeyPair,
    pub(super) der: Vec<u8>,
}

impl Pair {
    fn new(key: KeyPair) -> Self {
        let der = certificate(&key, (2026, 1, 1), (2030, 1, 1));
        Self { key, der }
    }
    pub(super) fn public(&self) -> PublicKey {
        Certificate::from_der(&self.der).unwrap().key
    }
    pub(super) fn pem(&self) -> String {
        let lines: Vec<String> = STANDARD.encode(&self.der).as_bytes().chunks(64).map(|l| String::from_utf8(l.to_vec()).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

fn rsa() -> Pair {
    Pair::new(KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap())
}

/// The one who signs, and somebody else.
pub(super) static SIGNER: LazyLock<Pair> = LazyLock::new(rsa);
pub(super) static ATTACKER: LazyLock<Pair> = LazyLock::new(rsa);
pub(super) static EC: LazyLock<Pair> = LazyLock::new(|| Pair::new(KeyPair::generate().unwrap()));
/// The key the metadata's roles use.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
static OTHER_KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

fn params((year, month, day): Day, (end_year, end_month, end_day): Day) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "idp.example.com");
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(end_year, end_month, end_day);
    params
}

fn certificate(key: &KeyPair, from: Day, to: Day) -> Vec<u8> {
    params(from, to).self_signed(key).unwrap().der().to_vec()
}

/// A certificate of the metadata's key, base64.
pub(super) fn cert(from: Day, to: Day) -> String {
    STANDARD.encode(certificate(&KEY, from, to))
}

/// A certificate of another key, base64.
pub(super) fn other_cert(from: Day, to: Day) -> String {
    STANDARD.encode(certificate(&OTHER_KEY, from, to))
}

/// An RSA key of 1024 bits that nobody has the other half of.
struct Weak(Vec<u8>);

impl PublicKeyData for Weak {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// A certificate of a key of 1024 bits, base64.
pub(super) fn weak_cert() -> String {
    let modulus = [vec![0x02, 0x81, 0x81, 0x00], vec![0xc5; 128]].concat();
    let weak = Weak([vec![0x30, 0x81, 0x89], modulus, vec![0x02, 0x03, 0x01, 0x00, 0x01]].concat());
    let issuer = Issuer::new(params((2026, 1, 1), (2030, 1, 1)), KeyPair::from_pem(&KEY.serialize_pem()).unwrap());
    STANDARD.encode(params((2026, 1, 1), (2030, 1, 1)).signed_by(&weak, &issuer).unwrap().der())
}

/// A `KeyDescriptor`.
pub(super) fn key(usage: &str, cert: &str) -> String {
    let usage = if usage.is_empty() { String::new() } else { format!(" use=\"{usage}\"") };
    format!(
        "<md:KeyDescriptor{usage}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{cert}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )
}

fn endpoint(element: &str, binding: &str, location: &str, more: &str) -> String {
    format!("<md:{element} Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" Location=\"{location}\"{more}/>")
}

/// The role of an identity provider with these keys.
pub(super) fn idp_role(keys: &str) -> String {
    format!(
        "<md:IDPSSODescriptor WantAuthnRequestsSigned=\"true\" protocolSupportEnumeration=\"{PROTOCOL}\">{keys}\
         <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>{}{}</md:IDPSSODescriptor>",
        endpoint("SingleSignOnService", "HTTP-Redirect", "https://idp.example.com/sso", ""),
        endpoint("SingleSignOnService", "HTTP-POST", "https://idp.example.com/sso/post", ""),
    )
}

/// The role of a service provider with these keys.
pub(super) fn sp_role(keys: &str) -> String {
    format!(
        "<md:SPSSODescriptor AuthnRequestsSigned=\"true\" protocolSupportEnumeration=\"{PROTOCOL}\">{keys}{}{}</md:SPSSODescriptor>",
        endpoint("AssertionConsumerService", "HTTP-POST", "https://app.example.com/acs", " index=\"0\" isDefault=\"true\""),
        endpoint("AssertionConsumerService", "HTTP-Artifact", "https://app.example.com/artifact", " index=\"1\""),
    )
}

/// An entity around roles; namespaces and ID are the root's.
pub(super) fn entity(attributes: &str, inside: &str) -> String {
    format!("<md:EntityDescriptor {NAMESPACES} entityID=\"{ID}\" {attributes}>{inside}</md:EntityDescriptor>")
}

/// An identity provider without any fault.
pub(super) fn idp() -> String {
    let role = idp_role(&key("signing", &cert((2026, 1, 1), (2028, 1, 1))));
    entity("ID=\"_root\" validUntil=\"2027-12-01T00:00:00Z\" cacheDuration=\"PT6H\"", &role)
}

/// A service provider without any fault.
pub(super) fn sp() -> String {
    entity("ID=\"_root\"", &sp_role(&key("", &cert((2026, 1, 1), (2028, 1, 1)))))
}

/// An aggregate around entities.
pub(super) fn aggregate(attributes: &str, entities: &[String]) -> String {
    format!("<md:EntitiesDescriptor {NAMESPACES} {attributes}>{}</md:EntitiesDescriptor>", entities.concat())
}

/// What goes into a signature.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) method: &'static str,
    pub(super) digest: &'static str,
    pub(super) canonical: &'static str,
    pub(super) uri: &'static str,
    pub(super) transforms: Vec<&'static str>,
    /// In the transform of the canonical form.
    pub(super) prefixes: &'static str,
    pub(super) object: &'static str,
}

pub(super) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

impl Default for Form {
    fn default() -> Self {
        Self {
            method: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            digest: "http://www.w3.org/2001/04/xmlenc#sha256",
            canonical: EXCLUSIVE,
            uri: "URI=\"#_root\"",
            transforms: vec![ENVELOPED, EXCLUSIVE],
            prefixes: "",
            object: "",
        }
    }
}

/// A signature's element, not yet filled in.
pub(super) fn template(form: &Form, by: &Pair) -> String {
    let transforms: String = form
        .transforms
        .iter()
        .map(|t| format!("<ds:Transform Algorithm=\"{t}\">{}</ds:Transform>", if *t == EXCLUSIVE { form.prefixes } else { "" }))
        .collect();
    format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{}\"/>\
         <ds:SignatureMethod Algorithm=\"{}\"/><ds:Reference {}><ds:Transforms>{transforms}</ds:Transforms><ds:DigestMethod Algorithm=\"{}\"/>\
         <ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue></ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{}</ds:Signature>",
        form.canonical,
        form.method,
        form.uri,
        form.digest,
        STANDARD.encode(&by.der),
        form.object,
    )
}

/// Fills in the signature that stands in a document.
pub(super) fn fill(document: &str, by: &Pair) -> String {
    let mut manager = KeysManager::new();
    manager.add_key(load_pem_auto(by.key.serialize_pem().as_bytes(), None).unwrap());
    bergshamra_dsig::sign::sign(&DsigContext::new_permissive(manager), document).unwrap()
}

/// Signs a document at its root.
pub(super) fn signed_as(document: &str, form: &Form, by: &Pair) -> String {
    let root = document.find("<md:").unwrap();
    let inside = root + document[root..].find('>').unwrap() + 1;
    fill(&format!("{}{}{}", &document[..inside], template(form, by), &document[inside..]), by)
}

/// Signs a document as it should be.
pub(super) fn signed(document: &str) -> String {
    signed_as(document, &Form::default(), &SIGNER)
}

/// An identity provider is expected, and nothing more.
pub(super) fn expected() -> Expected {
    Expected { entity_id: Some(ID.into()), ..Expected::default() }
}

/// The same for a service provider.
pub(super) fn expected_sp() -> Expected {
    Expected { role: Role::Sp, ..expected() }
}

/// The signer's key is pinned, and a signature demanded.
pub(super) fn pinned() -> Expected {
    Expected { require_signature: true, pins: vec![SIGNER.public()], ..expected() }
}

/// Findings of a document.
pub(super) fn judge(document: &str, expected: &Expected) -> Vec<Finding> {
    lint(document.as_bytes(), expected, AT)
}

/// The rules found at fail and warn, each once, in order.
pub(super) fn ids(findings: &[Finding]) -> Vec<&str> {
    let mut ids: Vec<&str> = findings.iter().filter(|f| f.level != Level::Info).map(|f| &*f.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
