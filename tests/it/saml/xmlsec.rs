//! `xmlsec1` and we say the same of generated signatures, good and bad, but for what our policy refuses on purpose.

use std::process::Command;

use soakwatch::sso::saml::Expected;

use super::make::{ATTACKER, EC, ENVELOPED, EXCLUSIVE, Form, Pair, SIGNER, fill, idp, ids, judge, pinned, signed, signed_as, template};

/// The element whose ID a signature may refer to.
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor";

/// What `xmlsec1` says with this key pinned; nothing if it is not there.
fn xmlsec(document: &str, pin: &Pair) -> Option<bool> {
    let dir = tempfile::tempdir().unwrap();
    let (pem, xml) = (dir.path().join("pin.pem"), dir.path().join("metadata.xml"));
    std::fs::write(&pem, pin.pem()).unwrap();
    std::fs::write(&xml, document).unwrap();
    // Keys only by value and only the pinned one: what the document brings is not asked.
    let run = Command::new("xmlsec1")
        .args(["--verify", "--id-attr:ID", ENTITY, "--enabled-key-data", "rsa,ec", "--pubkey-cert-pem"])
        .arg(pem)
        .arg(xml)
        .output();
    run.ok().map(|output| output.status.success())
}

/// Whether we would rely on it.
fn ours(document: &str, pin: &Pair) -> (bool, Vec<String>) {
    let found = judge(document, &Expected { pins: vec![pin.public()], ..pinned() });
    let ids: Vec<String> = ids(&found).into_iter().map(str::to_owned).collect();
    (!ids.iter().any(|i| ["SAML-SIG-02", "SAML-SIG-03", "SAML-SIG-06"].contains(&i.as_str())), ids)
}

/// Has `xmlsec1` fill in the signature that stands in a document.
fn signed_by_xmlsec(document: &str, by: &Pair) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (key, xml) = (dir.path().join("key.pem"), dir.path().join("metadata.xml"));
    std::fs::write(&key, by.key.serialize_pem()).unwrap();
    std::fs::write(&xml, document).unwrap();
    let run = Command::new("xmlsec1").args(["--sign", "--id-attr:ID", ENTITY, "--privkey-pem"]).arg(key).arg(xml).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn form(change: impl FnOnce(&mut Form)) -> Form {
    let mut form = Form::default();
    change(&mut form);
    form
}

#[test]
fn xmlsec1_and_we_agree() {
    if Command::new("xmlsec1").arg("--version").output().is_err() {
        println!("xmlsec1 is not installed: skipped");
        return;
    }
    let signer = &*SIGNER;
    let good = signed(&idp());
    let by = |form: Form| signed_as(&idp(), &form, signer);
    let inside = |text: &str| idp().replace("<md:NameIDFormat>", &format!("{text}<md:NameIDFormat>"));
    let prefixes = "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs #default md\"/>";
    let ec = form(|f| f.method = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256");
    let same: Vec<(&str, String, &Pair)> = vec![
        ("as it should be", good.clone(), signer),
        ("ECDSA", signed_as(&idp(), &ec, &EC), &EC),
        (
            "SHA-512",
            by(form(|f| {
                (f.method, f.digest) = ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha512");
            })),
            signer,
        ),
        (
            "SHA-384",
            by(form(|f| {
                (f.method, f.digest) =
                    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#sha384");
            })),
            signer,
        ),
        ("an empty URI", by(form(|f| f.uri = "URI=\"\"")), signer),
        ("a list of prefixes", by(form(|f| f.prefixes = prefixes)), signer),
        ("comments kept", by(form(|f| f.transforms = vec![ENVELOPED, "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"])), signer),
        ("inclusive C14N", by(form(|f| f.transforms = vec![ENVELOPED, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"])), signer),
        ("only enveloped", by(form(|f| f.transforms = vec![ENVELOPED])), signer),
        ("not enveloped", by(form(|f| f.transforms = vec![EXCLUSIVE])), signer),
        (
            "inclusive canonical form of the signature",
            by(form(|f| f.canonical = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")),
            signer,
        ),
        (
            "CDATA, comments and references",
            signed(&inside(
                "<md:Extensions><x xmlns=\"urn:x\" b='&#xA;\"' a=\"&lt;&#9;\"><![CDATA[<&]]>&amp;<!-- c --><?p i?></x></md:Extensions>",
            )),
            signer,
        ),
        (
            "other namespaces, white space, letters beyond ASCII",
            signed(&inside(
                "<md:Extensions xmlns:unused=\"urn:u\">\r\n\t<u:x xmlns:u=\"urn:u\" u:b=\"\u{e9}\u{1f600}\" a=\"\"/></md:Extensions>",
            )),
            signer,
        ),
        ("a comment added", good.replace("<md:NameIDFormat>", "<!-- added --><md:NameIDFormat>"), signer),
        ("an attribute's quotes changed", good.replacen("use=\"signing\"", "use='signing'", 1), signer),
        ("white space added", good.replace("<md:NameIDFormat>", " <md:NameIDFormat>"), signer),
        ("an address changed", good.replace("https://idp.example.com/sso\"", "https://evil.example.com/sso\""), signer),
        ("a value changed", good.replacen("<ds:SignatureValue>", "<ds:SignatureValue>AAAA", 1), signer),
        ("a digest changed", good.replacen("<ds:DigestValue>", "<ds:DigestValue>AAAA", 1), signer),
        ("another key pinned", good.clone(), &ATTACKER),
        ("another kind of key pinned", good.clone(), &EC),
        ("signed by somebody else, who brings his key", signed_as(&idp(), &Form::default(), &ATTACKER), signer),
        ("the ID changed", good.replacen("ID=\"_root\"", "ID=\"_other\"", 1), signer),
        ("a method exchanged", good.replacen("#rsa-sha256", "#rsa-sha512", 1), signer),
    ];
    let mut differ = Vec::new();
    for (what, document, pin) in &same {
        let (we, they) = (ours(document, pin), xmlsec(document, pin));
        if they != Some(we.0) {
            differ.push(format!("{what}: we {we:?}, xmlsec1 {they:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    // The other way round: what xmlsec1 signed.
    let sha1 = form(|f| (f.method, f.digest) = ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", "http://www.w3.org/2000/09/xmldsig#sha1"));
    let comments = form(|f| (f.transforms, f.prefixes) = (vec![ENVELOPED, EXCLUSIVE], prefixes));
    for (what, form, pin, rules) in [
        ("as it should be", Form::default(), signer, &[][..]),
        ("ECDSA", ec, &*EC, &[][..]),
        ("a list of prefixes", comments, signer, &[][..]),
        ("SHA-1", sha1, signer, &["SAML-SIG-05"][..]),
    ] {
        let document = inside("<md:Extensions><x xmlns=\"urn:x\" b='&#xA;\"'><![CDATA[<&]]><!-- c --></x></md:Extensions>");
        let document = document.replacen("<md:IDPSSODescriptor", &format!("{}<md:IDPSSODescriptor", template(&form, pin)), 1);
        let document = signed_by_xmlsec(&document, pin);
        assert_eq!(
            (xmlsec(&document, pin), ours(&document, pin)),
            (Some(true), (true, rules.iter().map(|r| (*r).to_owned()).collect())),
            "{what}"
        );
    }
    // What we refuse on purpose, and xmlsec1 does not: docs/findings.md.
    let role =
        fill(&idp().replace("<md:KeyDescriptor", &format!("{}<md:KeyDescriptor", template(&form(|f| f.uri = "URI=\"\""), signer))), signer);
    let object = by(form(|f| f.object = "<ds:Object/>"));
    let pointer = by(form(|f| f.uri = "URI=\"#xpointer(id('_root'))\""));
    for (what, document, rule) in [
        ("the signature is not the document element's", role, "SAML-SIG-03"),
        ("an object in the signature", object, "SAML-SIG-04"),
        ("an XPointer", pointer, "SAML-SIG-04"),
    ] {
        let (_, found) = ours(&document, signer);
        assert_eq!((xmlsec(&document, signer), found), (Some(true), vec![rule.to_owned()]), "{what}");
    }
}
