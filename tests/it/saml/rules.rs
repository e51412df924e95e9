//! A fixture for every rule: what it finds at fail and warn, and nothing besides.

use std::collections::BTreeSet;

use super::make::{
    AT, ATTACKER, EC, Form, ID, SIGNER, aggregate, cert, entity, expected, expected_sp, idp, idp_role, ids, judge, key, other_cert, pinned,
    signed, signed_as, sp, sp_role, weak_cert,
};
use soakwatch::clock::UnixMs;
use soakwatch::finding::{Finding, Level, Party, Severity};
use soakwatch::sso::saml::{
    Expected, Peer, Role, Snapshot, ValidityPolicy, changes, clock_off, endpoint_failed, get_failed, judge as whole, not_trusted, not_xml,
    unreachable,
};

const DAY: i64 = 86_400_000;

/// One fixture: the rule, its level and severity there, and what is found.
struct Case {
    id: &'static str,
    level: Level,
    severity: Severity,
    found: fn() -> Vec<Finding>,
}

const fn fails(id: &'static str, severity: Severity, found: fn() -> Vec<Finding>) -> Case {
    Case { id, level: Level::Fail, severity, found }
}

const fn warns(id: &'static str, severity: Severity, found: fn() -> Vec<Finding>) -> Case {
    Case { id, level: Level::Warn, severity, found }
}

const fn informs(id: &'static str, found: fn() -> Vec<Finding>) -> Case {
    Case { id, level: Level::Info, severity: Severity::Info, found }
}

use Severity::{Critical, High, Low, Medium};

/// An identity provider with a text exchanged.
fn with(from: &str, to: &str) -> Vec<Finding> {
    let document = idp();
    assert!(document.contains(from), "{from}");
    judge(&document.replacen(from, to, 1), &expected())
}

/// A service provider with a text exchanged.
fn sp_with(from: &str, to: &str) -> Vec<Finding> {
    let document = sp();
    assert!(document.contains(from), "{from}");
    judge(&document.replacen(from, to, 1), &expected_sp())
}

/// An identity provider with these keys.
fn keys(keys: &str) -> Vec<Finding> {
    judge(&entity("ID=\"_root\"", &idp_role(keys)), &expected())
}

/// An identity provider valid until then.
fn until(until: &str) -> Vec<Finding> {
    with("2027-12-01T00:00:00Z", until)
}

fn lasting(cache: &str) -> Vec<Finding> {
    with("PT6H", cache)
}

fn snapshot(document: &str, at: UnixMs) -> Snapshot {
    let judged = whole(document.as_bytes(), &expected(), at);
    judged.snapshot.unwrap_or_else(|| panic!("{:?}", judged.findings))
}

/// What changed from one set of keys to another.
fn rolled(before: &str, now: &str) -> Vec<Finding> {
    let of = |keys: &str| snapshot(&entity("", &idp_role(keys)), AT);
    changes(&of(before), &of(now), AT)
}

fn moved(from: &str, to: &str) -> Vec<Finding> {
    assert!(idp().contains(from), "{from}");
    changes(&snapshot(&idp(), AT), &snapshot(&idp().replacen(from, to, 1), AT), AT)
}

/// A short-lived date that is looked at again after some days and has not moved.
fn still(after_days: i64) -> Vec<Finding> {
    let document = idp().replacen("2027-12-01", "2026-12-16", 1);
    let later = UnixMs(AT.0 + after_days * DAY);
    changes(&snapshot(&document, AT), &snapshot(&document, later), later)
}

fn long() -> (String, String) {
    (key("signing", &cert((2026, 1, 1), (2028, 1, 1))), key("signing", &other_cert((2026, 1, 1), (2029, 1, 1))))
}

const CASES: &[Case] = &[
    fails("SAML-GET-01", High, || get_failed(404).into_iter().collect()),
    fails("SAML-GET-01", High, || vec![unreachable("larger than 5 MiB")]),
    fails("SAML-GET-02", High, || vec![not_trusted("a redirect leads to http")]),
    fails("SAML-GET-03", High, || not_xml(b"<!doctype HTML><title>Log in</title>").into_iter().collect()),
    fails("SAML-XML-01", Critical, || judge(&format!("metadata:\n{}", idp()), &expected())),
    fails("SAML-XML-01", Critical, || with("https://idp.example.com/sso\"", "https://idp.example.com/sso?a=1&b=2\"")),
    fails("SAML-XML-01", Critical, || with("xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"", "")),
    fails("SAML-XML-02", Critical, || judge(&format!("<!DOCTYPE x>{}", idp()), &expected())),
    fails("SAML-XML-03", Critical, || {
        judge(&idp().replace("<ds:KeyInfo>", "<md:KeyInfo>").replace("</ds:KeyInfo>", "</md:KeyInfo>"), &expected())
    }),
    fails("SAML-XML-03", Critical, || judge("<html/>", &expected())),
    fails("SAML-XML-03", Critical, || judge(&idp().replace("md:", "").replace("xmlns:md", "xmlns:old"), &expected())),
    fails("SAML-XML-03", Critical, || with(" entityID=\"https://idp.example.com/metadata\"", "")),
    fails("SAML-XML-03", Critical, || with(" protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"", "")),
    fails("SAML-XML-03", Critical, || with(" Location=\"https://idp.example.com/sso\"", "")),
    fails("SAML-XML-03", Critical, || judge(&aggregate("", &[]), &Expected { role: Role::Aggregate, ..Expected::default() })),
    fails("SAML-XML-04", Critical, || with("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor ID=\"_root\" ")),
    fails("SAML-ENT-01", Critical, || with(ID, "https://idp.example.com/metadata/")),
    fails("SAML-ENT-02", Medium, || judge(&idp().replacen(ID, "idp.example.com", 1), &Expected { entity_id: None, ..expected() })),
    fails("SAML-ENT-03", Critical, || judge(&aggregate("", &[idp(), idp().replace("ID=\"_root\"", "")]), &expected())),
    fails("SAML-ENT-03", Critical, || judge(&aggregate("", &[idp().replace(ID, "urn:other")]), &expected())),
    fails("SAML-ROL-01", Critical, || judge(&sp(), &expected())),
    fails("SAML-ROL-01", Critical, || judge(&idp(), &expected_sp())),
    fails("SAML-ROL-02", Critical, || with("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.1:protocol")),
    fails("SAML-VAL-01", Critical, || until("2026-11-30T23:59:59Z")),
    fails("SAML-VAL-01", Critical, || with("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor validUntil=\"2026-11-30T00:00:00Z\" ")),
    fails("SAML-VAL-01", Critical, || {
        judge(
            &aggregate("validUntil=\"2026-11-30T00:00:00Z\"", &[idp(), sp().replace("ID=\"_root\"", "")]),
            &Expected { role: Role::Aggregate, ..Expected::default() },
        )
    }),
    warns("SAML-VAL-02", High, || until("2026-12-02T12:00:00Z")),
    warns("SAML-VAL-02", Low, || judge(&idp().replacen("2027-12-01", "2027-01-10", 1), &Expected { warn_days: 60, ..expected() })),
    warns("SAML-VAL-02", High, || still(11)),
    fails("SAML-VAL-03", Medium, || {
        judge(&sp(), &Expected { validity: Some(ValidityPolicy { least_days: 5, most_days: 28 }), ..expected_sp() })
    }),
    fails("SAML-VAL-03", Medium, || {
        judge(&idp(), &Expected { validity: Some(ValidityPolicy { least_days: 0, most_days: 14 }), ..expected() })
    }),
    fails("SAML-VAL-04", Medium, || lasting("PT1421926751S")),
    fails("SAML-VAL-04", Medium, || lasting("P7W")),
    fails("SAML-VAL-04", Medium, || lasting("PT")),
    fails("SAML-VAL-04", Medium, || lasting("P1M")),
    fails("SAML-VAL-04", Medium, || lasting("PT0S")),
    fails("SAML-VAL-04", Medium, || lasting("-PT1H")),
    fails("SAML-VAL-04", Medium, || lasting("P30D")),
    fails("SAML-VAL-04", Medium, || until("2027-12-01")),
    fails("SAML-SIG-01", High, || judge(&idp(), &pinned())),
    fails("SAML-SIG-02", Critical, || judge(&signed(&idp()).replacen("PT6H", "PT7H", 1), &pinned())),
    fails("SAML-SIG-02", Critical, || judge(&signed(&idp()).replacen("PT6H", "PT7H", 1), &expected())),
    fails("SAML-SIG-03", Critical, || judge(&signed(&idp()).replacen("URI=\"#_root\"", "URI=\"#_other\"", 1), &pinned())),
    fails("SAML-SIG-04", Medium, || judge(&signed_as(&idp(), &Form { object: "<ds:Object/>", ..Form::default() }, &SIGNER), &pinned())),
    warns("SAML-SIG-04", Medium, || judge(&signed_as(&idp(), &Form { uri: "URI=\"\"", ..Form::default() }, &SIGNER), &pinned())),
    fails("SAML-SIG-05", High, || {
        judge(&signed_as(&idp(), &Form { digest: "http://www.w3.org/2000/09/xmldsig#sha1", ..Form::default() }, &SIGNER), &pinned())
    }),
    fails("SAML-SIG-06", Critical, || judge(&signed_as(&idp(), &Form::default(), &ATTACKER), &pinned())),
    fails("SAML-SIG-06", Critical, || judge(&signed(&idp()), &Expected { pins: Vec::new(), ..pinned() })),
    fails("SAML-KEY-01", Critical, || keys(&key("encryption", &cert((2026, 1, 1), (2028, 1, 1))))),
    fails("SAML-KEY-02", High, || keys(&key("signing", &cert((2024, 1, 1), (2026, 11, 30))))),
    warns("SAML-KEY-03", High, || keys(&key("signing", &cert((2026, 1, 1), (2026, 12, 10))))),
    warns("SAML-KEY-03", Medium, || keys(&key("signing", &cert((2026, 1, 1), (2026, 12, 20))))),
    // A longer-lived key beside it: one step less.
    warns("SAML-KEY-03", Medium, || {
        keys(&(key("signing", &cert((2026, 1, 1), (2026, 12, 10))) + &key("signing", &other_cert((2026, 1, 1), (2028, 1, 1)))))
    }),
    warns("SAML-KEY-03", Low, || {
        keys(&(key("signing", &cert((2026, 1, 1), (2026, 12, 20))) + &key("", &other_cert((2026, 1, 1), (2028, 1, 1)))))
    }),
    fails("SAML-KEY-04", Medium, || keys(&key("signing", &cert((2026, 12, 3), (2028, 1, 1))))),
    fails("SAML-KEY-05", High, || keys(&key("signing", &weak_cert()))),
    fails("SAML-KEY-06", Critical, || rolled(&long().0, &long().1)),
    informs("SAML-KEY-07", || rolled(&long().0, &(long().0 + &long().1))),
    informs("SAML-KEY-07", || rolled(&(long().0 + &long().1), &long().1)),
    fails("SAML-KEY-08", Critical, || keys(&key("signing", &format!("-----BEGIN CERTIFICATE-----\n{}", cert((2026, 1, 1), (2028, 1, 1)))))),
    fails("SAML-KEY-08", Critical, || keys(&key("signing", ""))),
    fails("SAML-KEY-08", Critical, || keys(&key("signing", &cert((2026, 1, 1), (2028, 1, 1))[..400]))),
    fails("SAML-KEY-09", Medium, || {
        let peer = Peer { encrypts: true, ..Peer::default() };
        judge(&entity("", &sp_role(&key("signing", &cert((2026, 1, 1), (2028, 1, 1))))), &Expected { peer, ..expected_sp() })
    }),
    fails("SAML-KEY-10", Medium, || {
        keys("<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:KeyName>idp</ds:KeyName></ds:KeyInfo></md:KeyDescriptor>")
    }),
    fails("SAML-KEY-10", Medium, || {
        let second = format!("</ds:X509Certificate><ds:X509Certificate>{}</ds:X509Certificate>", other_cert((2026, 1, 1), (2028, 1, 1)));
        keys(&long().0.replacen("</ds:X509Certificate>", &second, 1))
    }),
    fails("SAML-EP-01", Critical, || {
        judge(&idp().replace("bindings:HTTP-", "bindings:SOAP").replace("SOAPRedirect", "SOAP").replace("SOAPPOST", "SOAP"), &expected())
    }),
    fails("SAML-EP-01", Critical, || sp_with("bindings:HTTP-POST", "bindings:PAOS")),
    fails("SAML-EP-02", High, || with("https://idp.example.com/sso\"", "http://idp.example.com/sso\"")),
    fails("SAML-EP-02", High, || with("https://idp.example.com/sso\"", "https://adfs01/sso\"")),
    fails("SAML-EP-02", High, || with("https://idp.example.com/sso\"", "https://idp.example.com/sso \"")),
    fails("SAML-EP-03", High, || moved("https://idp.example.com/sso\"", "https://login.example.com/sso\"")),
    fails("SAML-EP-03", High, || {
        moved("https://idp.example.com/sso\"", "https://idp.example.com/sso\" ResponseLocation=\"https://login.example.com/\"")
    }),
    fails("SAML-EP-04", High, || endpoint_failed("https://idp.example.com/sso", 503).into_iter().collect()),
    fails("SAML-EP-05", Medium, || sp_with("index=\"1\"", "index=\"0\"")),
    fails("SAML-EP-05", Medium, || sp_with("index=\"1\"", "index=\"1\" isDefault=\"true\"")),
    fails("SAML-EP-06", Medium, || with("bindings:HTTP-Redirect", "bindings:HTTP-Redirekt")),
    fails("SAML-EP-06", Medium, || sp_with("bindings:HTTP-Artifact", "bindings:HTTP-Redirect")),
    fails("SAML-NID-01", Medium, || {
        let peer = Peer { name_id_formats: vec!["urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".into()], ..Peer::default() };
        judge(&idp(), &Expected { peer, ..expected() })
    }),
    warns("SAML-FLG-01", High, || judge(&entity("", &sp_role(&key("encryption", &cert((2026, 1, 1), (2028, 1, 1))))), &expected_sp())),
    warns("SAML-FLG-01", High, || judge(&idp(), &Expected { peer: Peer { signs_requests: Some(false), ..Peer::default() }, ..expected() })),
    warns("SAML-FLG-01", High, || {
        let unsigned = sp().replace("AuthnRequestsSigned=\"true\"", "");
        judge(&unsigned, &Expected { peer: Peer { wants_signed_requests: Some(true), ..Peer::default() }, ..expected_sp() })
    }),
    warns("SAML-ALG-01", Low, || {
        let method = "<md:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#tripledes-cbc\"/></md:KeyDescriptor>";
        sp_with("</md:KeyDescriptor>", method)
    }),
    fails("SAML-CLK-01", High, || clock_off(-200_000).into_iter().collect()),
    warns("SAML-CLK-01", High, || clock_off(61_000).into_iter().collect()),
];

/// The rules that have a fixture here.
pub(crate) fn covered() -> BTreeSet<&'static str> {
    CASES.iter().map(|c| c.id).collect()
}

#[test]
fn each_fixture_finds_its_rule_alone() {
    let mut wrong = Vec::new();
    for (n, case) in CASES.iter().enumerate() {
        let found = (case.found)();
        let expected = if case.level == Level::Info { Vec::new() } else { vec![case.id] };
        let hit = found.iter().any(|f| (&*f.id, f.level, f.severity) == (case.id, case.level, case.severity));
        if !hit || ids(&found) != expected {
            wrong.push(format!("{n} {}: {found:#?}", case.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_right_finds_nothing() {
    assert_eq!(judge(&idp(), &expected()), []);
    assert_eq!(judge(&sp(), &expected_sp()), []);
    assert_eq!(judge(&signed(&idp()), &pinned()), []);
    let ec = Form { method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", ..Form::default() };
    assert_eq!(judge(&signed_as(&idp(), &ec, &EC), &Expected { pins: vec![ATTACKER.public(), EC.public()], ..pinned() }), []);
    let both = aggregate("ID=\"_all\"", &[idp(), sp().replace(ID, "urn:sp").replace("ID=\"_root\"", "")]);
    assert_eq!(judge(&both, &Expected { role: Role::Aggregate, ..Expected::default() }), []);
    assert_eq!(judge(&both, &expected()), []);
    // Signed, and nothing was asked: said, and no more.
    let said = judge(&signed(&idp()), &expected());
    assert_eq!(said.iter().map(|f| (&*f.id, f.level)).collect::<Vec<_>>(), [("SAML-SIG-06", Level::Info)]);
}

/// With role aggregate the entityID says which entity is judged; that it must be there is said only where one is expected.
#[test]
fn an_aggregate_is_filtered() {
    let old = idp().replace(ID, "urn:old").replace("ID=\"_root\"", "").replacen("2027-12-01", "2026-11-01", 1);
    let both = aggregate("ID=\"_all\"", &[idp(), old]);
    let with = |id: &str| judge(&both, &Expected { entity_id: Some(id.into()), role: Role::Aggregate, ..Expected::default() });
    assert_eq!(with(ID), []);
    let found = with("urn:old");
    assert_eq!(ids(&found), ["SAML-VAL-01"]);
    assert!(found[0].detail.starts_with("urn:old: "), "{}", found[0].detail);
    assert_eq!(ids(&with("urn:none")), [""; 0]);
    assert_eq!(ids(&judge(&both, &Expected { role: Role::Aggregate, ..Expected::default() })), ["SAML-VAL-01"]);
}

#[test]
fn the_party_is_the_side_whose_metadata_it_is() {
    let owner = |found: Vec<Finding>| found[0].owner;
    assert_eq!(owner(with("https://idp.example.com/sso\"", "http://idp.example.com/sso\"")), Party::CustomerIdp);
    assert_eq!(owner(sp_with("https://app.example.com/acs", "http://app.example.com/acs")), Party::VendorSp);
    assert_eq!(owner(keys(&key("signing", &cert((2024, 1, 1), (2026, 11, 30))))), Party::Certificate);
}

#[test]
fn windows() {
    // Further ahead than the warning: informed, not warned.
    let found = keys(&key("signing", &cert((2026, 1, 1), (2027, 1, 15))));
    assert_eq!(found.iter().map(|f| (&*f.id, f.level, f.severity)).collect::<Vec<_>>(), [("SAML-KEY-03", Level::Info, Low)]);
    assert_eq!(keys(&key("signing", &cert((2026, 1, 1), (2027, 2, 15)))), []);
    // Published early beside one in force.
    let both = key("signing", &cert((2026, 1, 1), (2028, 1, 1))) + &key("signing", &other_cert((2026, 12, 20), (2029, 1, 1)));
    assert_eq!(ids(&keys(&both)), [""; 0]);
    // A short-lived file says nothing of itself at first; later it does.
    assert_eq!(until("2026-12-16T00:00:00Z"), []);
    assert_eq!(still(5), []);
    // The date moves on while a change waits to be accepted.
    let (old, new) = (snapshot(&idp(), AT), snapshot(&idp(), UnixMs(AT.0 + DAY)));
    assert_eq!(new.following(&old).validity, old.validity);
}

#[test]
fn a_snapshot_is_bounded_and_reads_back() {
    let endpoints: String = (0..3000)
        .map(|n| format!("<md:SingleLogoutService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:SOAP\" Location=\"https://idp.example.com/{n}/{}\"/>", "x".repeat(400)))
        .collect();
    let many = idp().replacen("<md:NameIDFormat>", &format!("{endpoints}<md:NameIDFormat>"), 1);
    let kept = snapshot(&many, AT);
    let json = serde_json::to_string(&kept).unwrap();
    assert!(json.len() <= 64 << 10, "{}", json.len());
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), kept);
    // What is beyond the bound still tells that it changed.
    let other = snapshot(&many.replace("/2999/", "/two/"), AT);
    assert_eq!(ids(&changes(&kept, &other, AT)), ["SAML-EP-03"]);
    assert_eq!(changes(&kept, &kept, AT), []);
}
