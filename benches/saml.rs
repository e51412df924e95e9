//! An aggregate of SAML metadata, 100 MB and signed as federations sign theirs: how long judging it takes, and how much memory.
//!
//! `cargo bench --bench saml [-- --mb 100]`. The document is made anew: as many identity providers as it takes, one certificate each. Exits 1 if the
//! document did not verify, or if more than five times its size was resident.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark reports to its terminal and stops at the first thing that fails"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_dsig::DsigContext;
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_pem_auto;
use rcgen::{CertificateParams, KeyPair};
use soakwatch::clock::{Clock, monotonic};
use soakwatch::sso::saml::{Expected, Role, judge, pins};

const NAMESPACES: &str = "xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
const SIGNATURE: &str = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
    <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
    <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/><ds:Reference URI=\"#_root\"><ds:Transforms>\
    <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
    <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
    <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>\
    <ds:SignatureValue></ds:SignatureValue></ds:Signature>";

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn entity(n: usize, certificate: &str) -> String {
    let host = format!("idp{n}.example.com");
    let binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
    format!(
        "<md:EntityDescriptor entityID=\"https://{host}/metadata\"><md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data>\
         <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
         <md:SingleSignOnService Binding=\"{binding}\" Location=\"https://{host}/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>\n"
    )
}

/// A signed aggregate of so many bytes, its signer's certificate as PEM, and how many entities it has.
fn made(bytes: usize) -> (String, String, usize) {
    let signer = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = CertificateParams::new(vec!["signer.example.com".to_owned()]).unwrap().self_signed(&signer).unwrap();
    let der = STANDARD.encode(certificate.der());
    let mut document = format!("<md:EntitiesDescriptor {NAMESPACES} ID=\"_root\">{SIGNATURE}");
    let mut entities = 0;
    while document.len() < bytes {
        document.push_str(&entity(entities, &der));
        entities += 1;
    }
    document.push_str("</md:EntitiesDescriptor>");
    let mut manager = KeysManager::new();
    manager.add_key(load_pem_auto(signer.serialize_pem().as_bytes(), None).unwrap());
    let signed = bergshamra_dsig::sign::sign(&DsigContext::new_permissive(manager), &document).unwrap();
    (signed, certificate.pem(), entities)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let megabytes: usize = args.iter().position(|a| a == "--mb").and_then(|n| args.get(n + 1)?.parse().ok()).unwrap_or(100);
    let file = std::env::temp_dir().join(format!("soakwatch-bench-{}.xml", std::process::id()));
    if let Some(n) = args.iter().position(|a| a == "judge") {
        return judged(&args[n + 1], &args[n + 2]);
    }
    let (document, pem, entities) = made(megabytes * 1_000_000);
    std::fs::write(&file, &document).unwrap();
    std::fs::write(file.with_extension("pem"), pem).unwrap();
    println!("{} MB, {entities} entities, signed with RSA-SHA256", document.len() / 1_000_000);
    drop(document);
    // A process of its own, so that the figures are those of judging alone.
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let status = command.arg("judge").arg(&file).arg(file.with_extension("pem")).status();
    let _ = std::fs::remove_file(&file);
    let _ = std::fs::remove_file(file.with_extension("pem"));
    std::process::exit(status.unwrap().code().unwrap_or(1));
}

fn judged(file: &str, pem: &str) {
    let body = std::fs::read(file).unwrap();
    let expected = Expected {
        role: Role::Aggregate,
        require_signature: true,
        pins: pins(&std::fs::read(pem).unwrap()).unwrap(),
        ..Expected::default()
    };
    let (before, began) = (memory("VmRSS:"), monotonic());
    let judged = judge(&body, &expected, Clock::System.now());
    let (took, most) = (began.elapsed(), memory("VmHWM:"));
    let size = (body.len() >> 20) as u64;
    drop(body);
    println!(
        "judged {} entities in {:.2} s; {before} MiB before, {most} MiB at most, the document's own {size} among them",
        judged.entities,
        took.as_secs_f64()
    );
    println!("findings: {}", judged.findings.len());
    for finding in judged.findings.iter().take(5) {
        println!("  {} {}", finding.id, finding.detail);
    }
    if judged.snapshot.is_none() || most > 5 * size {
        println!("it did not verify, or took more than five times its size");
        std::process::exit(1);
    }
}
