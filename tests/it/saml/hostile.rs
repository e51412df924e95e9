//! Attacks: what is wrapped, expanded, doubled, tampered with or signed by somebody else is refused, and nothing of it is kept.

use super::make::{
    AT, ATTACKER, Form, SIGNER, aggregate, cert, entity, fill, idp, idp_role, ids, judge, key, pinned, signed, signed_as, template,
};
use soakwatch::sso::saml::{Expected, Role, judge as whole};

/// The ids of a document, of which nothing may be kept.
fn refused(document: &str, expected: &Expected) -> Vec<String> {
    assert_eq!(whole(document.as_bytes(), expected, AT).snapshot, None, "{document}");
    ids(&judge(document, expected)).into_iter().map(str::to_owned).collect()
}

/// The attacker's own entity of the same name.
fn evil(attributes: &str, inside: &str) -> String {
    let role = idp_role(&key("signing", &cert((2026, 1, 1), (2028, 1, 1)))).replace("idp.example.com", "evil.example.com");
    entity(attributes, &format!("{inside}{role}"))
}

/// What stands between the root's tags, and the signature alone.
fn parts(document: &str) -> (String, String) {
    let from = document.find("<ds:Signature ").unwrap();
    let to = document.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    (document[from..to].to_owned(), format!("{}{}", &document[..from], &document[to..]))
}

#[test]
fn what_is_signed_is_kept() {
    let judged = whole(signed(&idp()).as_bytes(), &pinned(), AT);
    assert_eq!(judged.findings, []);
    assert!(judged.snapshot.is_some());
}

#[test]
fn signature_wrapping() {
    let original = signed(&idp());
    let (signature, unsigned) = parts(&original);
    let any = Expected { role: Role::Aggregate, ..pinned() };
    let holder = |inside: &str| format!("<md:Extensions><x xmlns=\"urn:x\">{inside}</x></md:Extensions>");
    let variants = [
        // The signed entity hangs somewhere in the attacker's, with its signature, with a copy of it, or without.
        ("inside", evil("ID=\"_evil\"", &holder(&original))),
        ("inside, the signature moved up", evil("ID=\"_evil\"", &(signature.clone() + &holder(&unsigned)))),
        ("inside, the signature copied", evil("ID=\"_evil\"", &(signature.clone() + &holder(&original)))),
        (
            "inside of the signature",
            evil("ID=\"_evil\"", &signature.replace("</ds:Signature>", &format!("<ds:Object>{unsigned}</ds:Object></ds:Signature>"))),
        ),
        ("inside of its KeyInfo", evil("ID=\"_evil\"", &signature.replace("</ds:KeyInfo>", &format!("{unsigned}</ds:KeyInfo>")))),
        ("with the signature behind", evil("ID=\"_evil\"", &(holder(&unsigned) + &signature))),
        ("no ID of its own", evil("", &(signature.clone() + &holder(&unsigned)))),
        ("two signatures", evil("ID=\"_evil\"", &(template(&Form { uri: "URI=\"#_evil\"", ..Form::default() }, &ATTACKER) + &original))),
    ];
    for (what, document) in variants {
        let found = refused(&document, &pinned());
        assert!(found.iter().any(|id| ["SAML-SIG-02", "SAML-SIG-03", "SAML-SIG-04"].contains(&id.as_str())), "{what}: {found:?}");
    }
    // An aggregate around the signed entity and the attacker's.
    for entities in [[original.clone(), evil("", "")], [evil("", ""), original]] {
        let found = refused(&aggregate("ID=\"_all\"", &entities), &any);
        assert!(found.contains(&"SAML-SIG-03".to_owned()), "{found:?}");
    }
}

#[test]
fn ids_that_stand_twice() {
    let original = signed(&idp());
    let (signature, unsigned) = parts(&original);
    for document in [
        evil("ID=\"_root\"", &format!("{signature}<md:Extensions>{unsigned}</md:Extensions>")),
        original.replacen("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor xml:id=\"_root\" ", 1),
        original.replacen("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor xmlns:x=\"urn:x\" x:ID=\"_root\" ", 1),
        original.replacen("<ds:KeyInfo>", "<ds:KeyInfo Id=\"_root\">", 1),
    ] {
        assert!(refused(&document, &pinned()).contains(&"SAML-XML-04".to_owned()));
    }
}

#[test]
fn entities_and_outside_files() {
    let with = |dtd: &str, text: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE md:EntityDescriptor {dtd}>\n{}",
            idp().replace("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", text)
        )
    };
    let laughs: String = (1..40).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect();
    for document in [
        with("[<!ENTITY x SYSTEM \"file:///etc/passwd\">]", "&x;"),
        with("[<!ENTITY % x SYSTEM \"http://127.0.0.1:1/x.dtd\"> %x;]", "x"),
        with("SYSTEM \"http://127.0.0.1:1/x.dtd\"", "x"),
        with(&format!("[<!ENTITY l0 \"lol\">{laughs}]"), "&l39;"),
        with(&format!("[<!ENTITY big \"{}\">]", "x".repeat(100_000)), &"&big;".repeat(10_000)),
        with("[<!ATTLIST md:EntityDescriptor ID ID #IMPLIED>]", "x"),
        with("", "x"),
    ] {
        assert_eq!(refused(&document, &pinned()), ["SAML-XML-02"]);
    }
    assert_eq!(refused(&idp().replace("persistent", "&x;"), &pinned()), ["SAML-XML-01"]);
}

#[test]
fn tampered_with() {
    let good = signed(&idp());
    for (from, to) in [
        ("https://idp.example.com/sso\"", "https://evil.example.com/sso\""),
        ("use=\"signing\"", ""),
        ("validUntil=\"2027", "validUntil=\"2029"),
        ("</md:IDPSSODescriptor>", "<!-- c --> </md:IDPSSODescriptor>"),
    ] {
        assert_eq!(refused(&good.replacen(from, to, 1), &pinned()), ["SAML-SIG-02"], "{from}");
    }
    // A comment or a second attribute inside of what is signed reads differently to different readers.
    for (from, to) in [
        ("<ds:DigestValue>", "<ds:DigestValue><!-- c -->"),
        ("<ds:SignatureValue>", "<ds:SignatureValue><!-- c -->"),
        ("<ds:DigestMethod ", "<ds:DigestMethod xmlns:x=\"urn:x\" x:Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\" "),
        ("<ds:SignedInfo>", "<ds:SignedInfo><?x y?>"),
    ] {
        assert_eq!(refused(&good.replacen(from, to, 1), &pinned()), ["SAML-SIG-04"], "{to}");
    }
}

#[test]
fn signed_by_somebody_else() {
    let evil = signed_as(&idp(), &Form::default(), &ATTACKER);
    assert_eq!(refused(&evil, &pinned()), ["SAML-SIG-06"]);
    // His key beside the pinned one's certificate, in either order.
    let (own, his) = (SIGNER.pem(), ATTACKER.pem());
    let text = |pem: &str| pem.lines().filter(|l| !l.starts_with('-')).collect::<String>();
    for both in [(&own, &his), (&his, &own)] {
        let certificates =
            format!("<ds:X509Certificate>{}</ds:X509Certificate><ds:X509Certificate>{}</ds:X509Certificate>", text(both.0), text(both.1));
        let signature = template(&Form::default(), &ATTACKER);
        let from = signature.find("<ds:X509Certificate>").unwrap();
        let to = signature.find("</ds:X509Data>").unwrap();
        let signature = format!("{}{certificates}{}", &signature[..from], &signature[to..]);
        let inside = idp().replacen("<md:IDPSSODescriptor", &format!("{signature}<md:IDPSSODescriptor"), 1);
        assert_eq!(refused(&fill(&inside, &ATTACKER), &pinned()), ["SAML-SIG-06"]);
    }
    // An HMAC with the pinned public key as its secret.
    let hmac = signed(&idp()).replacen(
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        1,
    );
    assert_eq!(refused(&hmac, &pinned()), ["SAML-SIG-05"]);
    // Without a pin nothing can be relied on.
    assert_eq!(refused(&evil, &Expected { pins: Vec::new(), ..pinned() }), ["SAML-SIG-06"]);
}

#[test]
fn what_can_select_or_compute_is_never_run() {
    let with =
        |transform: &str| signed(&idp()).replacen("<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">", transform, 1);
    for transform in [
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\">",
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\">",
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\">",
    ] {
        assert_eq!(refused(&with(transform), &pinned()), ["SAML-SIG-04"], "{transform}");
    }
    for uri in ["file:///etc/passwd", "http://127.0.0.1:1/", "Cargo.toml", "cid:a", "#_other"] {
        let document = signed(&idp()).replacen("URI=\"#_root\"", &format!("URI=\"{uri}\""), 1);
        assert_eq!(refused(&document, &pinned()), ["SAML-SIG-03"], "{uri}");
    }
}

/// Work is bounded by the bytes: nothing here is expanded, compared pair by pair, or looked up in what it has grown to.
#[test]
fn much_of_everything_is_refused_or_done_quickly() {
    let (signature, _) = parts(&signed(&idp()));
    let prefixes = (0..200_000).map(|n| format!("n{n} ")).collect::<String>();
    let listed = signature.replacen("<ds:CanonicalizationMethod ", &format!("<ds:CanonicalizationMethod PrefixList=\"{prefixes}\" "), 1);
    let namespaces = |n: usize| (0..60).map(|m| format!(" xmlns:n{n}x{m}=\"urn:{m}\"")).collect::<String>();
    let deep: String = (0..60).map(|n| format!("<x{}>", namespaces(n))).collect();
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    for inside in [
        listed,
        signature.clone() + &"<md:Organization/>".repeat(28_000),
        signature.clone() + &deep + &"<y/>".repeat(15_000) + &"</x>".repeat(60),
        signature.clone() + &"x".repeat(4 << 20),
        signature.clone().repeat(500),
        format!("{signature}<x{attributes}/>"),
        signature + &"<x>".repeat(60_000),
    ] {
        assert!(!refused(&evil("ID=\"_root\"", &inside), &pinned()).is_empty());
    }
}
