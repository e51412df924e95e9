//! The shared samples give the verdicts and ids of their INDEX.md, by the command as it is shipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::daemon::{output, soakwatch};

/// Role, entityID, whether the signature is to be verified by the certificate in it, and the ids at fail and warn.
type Row = (&'static str, &'static str, &'static str, bool, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("adfs-2-signed.xml", "idp", "http://fs.msidlab7.com/adfs/services/trust", true, &["KEY-02"]),
    ("adfs-4-signed.xml", "idp", "http://fs.msidlab11.com/adfs/services/trust", true, &["KEY-02"]),
    ("microsoft-online-signed-sha1.xml", "sp", "urn:federation:MicrosoftOnline", true, &["SIG-05", "KEY-02"]),
    ("google-workspace-expired.xml", "idp", "https://accounts.google.com/o/saml2?idpid=C02dfl1r1", false, &["VAL-01", "KEY-02"]),
    ("google-workspace-past-validuntil.xml", "idp", "https://accounts.google.com/o/saml2", false, &["VAL-01", "KEY-02"]),
    ("okta-idp.xml", "idp", "http://www.okta.com/exkppsa1qwuFV4D7z0h7", false, &[]),
    ("onelogin-idp-expired.xml", "idp", "https://app.onelogin.com/saml/metadata/503983", false, &["KEY-02"]),
    ("pingone-idp-expired.xml", "idp", "https://auth.pingone.com/8be7412d-7d2f-4392-90a4-07458d3dee78", false, &["KEY-02"]),
    ("auth0-idp.xml", "idp", "urn:dev-tyj7qyzz.auth0.com", false, &[]),
    ("shibboleth-idp-samltest.xml", "idp", "https://samltest.id/saml/idp", false, &[]),
    ("simplesamlphp-idp-signed-sha1-rsa1024.xml", "idp", "https://idp.example.org/saml2/idp/metadata.php", true, &["SIG-05"]),
    ("simplesamlphp-idp-corrupted-markup.xml", "idp", "https://idp.example.org/saml2/idp/metadata.php", false, &["XML-01"]),
    ("federation-excerpt-signature-broken.xml", "aggregate", "", true, &["SIG-02", "SIG-04", "SIG-05", "KEY-02"]),
    ("aggregate-two-entities.xml", "aggregate", "", false, &["KEY-05"]),
    ("idp-two-signing-certs-expired.xml", "idp", "https://idp.examle.com/saml/metadata", false, &["KEY-02", "KEY-05"]),
    (
        "sp-signed-sha1-rsa1024.xml",
        "sp",
        "https://example.com//demo1/metadata.php",
        true,
        &["VAL-01", "SIG-05", "KEY-02", "KEY-05", "VAL-04"],
    ),
    (
        "sp-signature-in-role-element.xml",
        "sp",
        "http://pytoolkit.com:8000/metadata/",
        true,
        &["SIG-03", "VAL-01", "EP-02", "KEY-05", "VAL-04"],
    ),
    ("sp-role-instead-of-idp.xml", "idp", "https://accounts.google.com/o/saml1", false, &["ROL-01", "XML-03"]),
    ("elements-without-namespace-empty-cert.xml", "idp", "https://saml.example.com/entityid", false, &["XML-03"]),
    ("illformed-ampersand.xml", "idp", "https://saml.example.com/entityid", false, &["XML-01"]),
    ("comment-before-xml-declaration.xml", "idp", "", false, &["XML-01"]),
];

/// Where the samples lie: beside the repository, or beside its main work tree.
fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [root.join("../shared/samples/sso/saml"), root.join("../../shared/samples/sso/saml")].into_iter().find(|p| p.is_dir())
}

/// The first certificate of the first signature, as PEM.
fn signer(document: &str) -> String {
    let from = document.find("Signature xmlns").or_else(|| document.find(":Signature>")).unwrap();
    let cert = document[from..].split("X509Certificate").nth(1).unwrap();
    let cert = &cert[cert.find('>').unwrap() + 1..cert.find('<').unwrap()];
    let clean: String = cert.chars().filter(|c| !c.is_whitespace()).collect();
    let lines: Vec<&str> = (0..clean.len()).step_by(64).map(|n| &clean[n..clean.len().min(n + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[test]
fn the_shared_samples_give_their_verdicts() {
    let Some(folder) = folder() else {
        println!("the shared samples are not here: skipped");
        return;
    };
    let mut wrong = Vec::new();
    for (file, role, entity_id, verified, ids) in ROWS {
        let path = folder.join(file);
        let dir = tempfile::tempdir().unwrap();
        let mut command = soakwatch();
        command.args(["lint", "saml", "--json", "--at", "2026-12-01T00:00:00Z", "--role", role]).arg(&path);
        if !entity_id.is_empty() {
            command.args(["--entity-id", entity_id]);
        }
        if *verified {
            let pem = dir.path().join("pin.pem");
            std::fs::write(&pem, signer(&std::fs::read_to_string(&path).unwrap())).unwrap();
            command.arg("--require-signature").arg("--pin").arg(pem);
        }
        let output = output(&mut command);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found: BTreeSet<String> = said["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["level"] != "info")
            .map(|f| f["id"].as_str().unwrap().trim_start_matches("SAML-").to_owned())
            .collect();
        let expected: BTreeSet<String> = ids.iter().map(|s| (*s).to_owned()).collect();
        let (verdict, code) = if ids.is_empty() { ("pass", 0) } else { ("fail", 1) };
        if found != expected || said["verdict"] != verdict || output.status.code() != Some(code) {
            wrong.push(format!("{file}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known = |name: &str| ROWS.iter().any(|r| r.0 == name);
    for other in std::fs::read_dir(folder).unwrap().flatten().filter(|f| !f.file_name().to_str().is_some_and(known)) {
        println!("no row for {}", other.path().display());
    }
}
