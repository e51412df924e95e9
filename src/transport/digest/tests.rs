//! The examples of RFC 7616, 3.9, and RFC 2069; headers as servers write them.

use super::challenge::challenges;
use super::*;

const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
const RFC: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
    nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", \
    Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
    nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

#[test]
fn what_is_asked_for_is_told_without_nonces() {
    let known = Redactor::default();
    let said = asks_for(&headers("Basic realm=\"a, b\", Digest realm=\"c\", nonce=\"n\", algorithm=MD5, Negotiate"), &known).unwrap();
    assert_eq!(said, "Basic realm=\"a, b\"; Digest realm=\"c\", algorithm=\"MD5\"; Negotiate");
    let bearer = "Bearer error=\"invalid_token\", error_description=\"The token expired\"";
    assert_eq!(asks_for(&headers(bearer), &known).as_deref(), Some(bearer));
    assert_eq!(asks_for(&HeaderMap::new(), &known), None);
    let mut knowing = Redactor::default();
    knowing.add(&SecretValue::new("hunter22-hunter22"));
    assert!(!asks_for(&headers("Basic realm=\"no user hunter22-hunter22\""), &knowing).unwrap().contains("hunter22"));
}

fn headers(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())])
}

#[test]
fn the_examples_of_rfc_7616() {
    let answered =
        |challenge: &Challenge| header("Mufasa", &SecretValue::new("Circle of Life"), challenge, (1, CNONCE), ("GET", "/dir/index.html"));
    let strong = chosen(&headers(RFC), true).unwrap();
    assert_eq!(
        answered(&strong),
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=SHA-256, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", \
         qop=auth, response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    );
    let weak = challenges(RFC).remove(1).unwrap();
    assert!(answered(&weak).contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{}", answered(&weak));
}

#[test]
fn the_user_s_name_may_be_hashed_or_foreign() {
    let said = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
                opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
    let challenge = chosen(&headers(said), false).unwrap();
    let text = header(
        "J\u{e4}s\u{f8}n Doe",
        &SecretValue::new("Secret, or not?"),
        &challenge,
        (1, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm"),
        ("GET", "/doe.json"),
    );
    // The RFC's own values for this example are not SHA-512/256 (erratum 4897): these are those of FIPS 180-4, by Python's hashlib.
    assert!(text.contains("username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\""), "{text}");
    assert!(
        text.contains("response=\"7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c\"") && text.ends_with("userhash=true"),
        "{text}"
    );
    let plain = header("J\u{e4}s\u{f8}n", &SecretValue::new("x"), &Challenge { userhash: false, ..challenge }, (1, "c"), ("GET", "/"));
    assert!(plain.starts_with("Digest username*=UTF-8''J%C3%A4s%C3%B8n, realm="), "{plain}");
}

#[test]
fn a_challenge_without_qop_is_answered_the_old_way() {
    let said =
        "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    assert!(chosen(&headers(said), false).unwrap_err().0.contains("md5 = true"));
    assert_eq!(chosen(&headers(said), false).unwrap_err().1, Some(Reason::Md5Only));
    let challenge = chosen(&headers(said), true).unwrap();
    let text = header("Mufasa", &SecretValue::new("CircleOfLife"), &challenge, (1, "c"), ("GET", "/dir/index.html"));
    assert!(
        text.contains("response=\"1949323746fe6a43ef61f9606e7febea\"") && !text.contains("nc=") && !text.contains("algorithm"),
        "{text}"
    );
}

#[test]
fn headers_are_read_as_servers_write_them() {
    let said =
        "Negotiate, Basic realm=\"a, b\", DIGEST  realm=\"x \\\"y\\\", z\",nonce=abc , algorithm=\"sha-256-sess\",qop=auth,stale=TRUE";
    let challenge = chosen(&headers(said), false).unwrap();
    assert_eq!((challenge.realm.as_str(), challenge.nonce.as_str()), ("x \"y\", z", "abc"));
    assert!(challenge.stale && challenge.session && challenge.algorithm == Algorithm::Sha256);
    for (said, why) in [
        ("Basic realm=\"x\"", "offers no Digest"),
        ("Digest realm=\"x\", nonce=\"y\", algorithm=SHA-256, qop=\"auth-int\"", "in no way that is spoken here"),
        ("Digest realm=\"x\", nonce=\"y\", algorithm=SHA-1, qop=\"auth\"", "in no way that is spoken here"),
        ("Digest realm=\"x\", qop=\"auth\"", "in no way that is spoken here"),
        ("Digest", "in no way that is spoken here"),
        ("\"\",=,==, ,Digest\"", "offers no Digest"),
    ] {
        assert!(chosen(&headers(said), true).unwrap_err().0.contains(why), "{said}");
    }
    // As long as a header may be: nothing is read without end.
    assert!(challenges(&"Digest a=\"\\\"".repeat(10_000)).len() <= 64);
}
