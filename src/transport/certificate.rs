//! What a certificate says, for people and for expiry: lenient (a certificate we can't read is left out, never an error) and bounded.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};

use crate::clock::UnixMs;
use crate::hex;
use crate::observed::{CertificateFacts, bounded};
use crate::secret::Redactor;

/// Certificates of one chain that are looked at.
pub(super) const MAX_CHAIN: usize = 10;
const MAX_NAMES: usize = 20;
const MAX_TEXT: usize = 200;

/// The facts of each readable certificate, leaf first.
pub(super) fn facts(chain: &[CertificateDer<'_>], redactor: &Redactor) -> Vec<CertificateFacts> {
    chain.iter().take(MAX_CHAIN).filter_map(|der| one(der, redactor)).collect()
}

/// Whether the first of a chain is a certificate of a kind that TLS takes; an error says what is wrong.
pub fn modern(chain: &[CertificateDer<'_>]) -> Result<(), &'static str> {
    let read = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    match read.map(|(_, certificate)| certificate.version()) {
        Some(X509Version::V3) => Ok(()),
        Some(_) => Err("it is of X.509 version 1, which holds no names and is taken by nobody; expected version 3, with a subjectAltName"),
        None => Err("it can't be read as a certificate"),
    }
}

fn one(der: &CertificateDer<'_>, redactor: &Redactor) -> Option<CertificateFacts> {
    let text = |t: &str| bounded(redactor.clean(t), MAX_TEXT);
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let validity = cert.validity();
    let at = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
    let names = cert.subject_alternative_name().ok().flatten().map(|san| {
        let mut names: Vec<String> = Vec::new();
        for name in san.value.general_names.iter().take(MAX_NAMES) {
            match name {
                GeneralName::DNSName(n) => names.push(text(n)),
                GeneralName::IPAddress(octets) => names.extend(address(octets)),
                _ => {}
            }
        }
        names
    });
    Some(CertificateFacts {
        subject: text(&cert.subject().to_string()),
        issuer: text(&cert.issuer().to_string()),
        not_before: at(validity.not_before.timestamp()),
        not_after: at(validity.not_after.timestamp()),
        sha256: hex::sha256(der),
        names: names.unwrap_or_default(),
    })
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(|o| std::net::Ipv4Addr::from(o).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|o| std::net::Ipv6Addr::from(o).to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_and_names_and_survives_noise() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["api.example.com".into(), "127.0.0.1".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, "x".repeat(500));
        let der = params.self_signed(&key).unwrap().der().clone();
        let noise = CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1, 2, 3]);
        let redactor = Redactor::default();
        let read = facts(&[der.clone(), noise.clone()], &redactor);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].not_after.to_string(), "2025-01-01T00:00:00Z");
        assert_eq!(read[0].names, ["api.example.com", "127.0.0.1"]);
        assert_eq!(read[0].sha256.len(), 64);
        assert!(read[0].subject.chars().count() <= MAX_TEXT);
        assert_eq!(facts(&vec![der; 50], &redactor).len(), MAX_CHAIN);
        assert!(facts(&[noise], &redactor).is_empty());
    }

    /// A certificate with some bytes changed; committed seeds, so that it is the same every day.
    #[test]
    fn whatever_is_shown_as_a_certificate_is_read() {
        use proptest::prelude::*;
        use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["api.example.com".into(), "127.0.0.1".into()]).unwrap();
        let good = params.self_signed(&key).unwrap().der().to_vec();
        let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), any::<bool>()), 0..6);
        for seed in include_str!("../../tests/fixtures/parser-seeds.txt").lines() {
            let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
            let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
            let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
            let read = runner.run(&changes, |changes| {
                let mut der = good.clone();
                for (at, byte, cut) in changes {
                    let at = at.index(der.len());
                    if cut { der.truncate(at + 1) } else { der[at] = byte }
                }
                for facts in facts(&[CertificateDer::from(der)], &Redactor::default()) {
                    prop_assert!(facts.names.len() <= MAX_NAMES);
                    for text in facts.names.iter().chain([&facts.subject, &facts.issuer]) {
                        prop_assert!(text.chars().count() <= MAX_TEXT + 1 && !text.chars().any(char::is_control), "{:?}", text);
                    }
                }
                Ok(())
            });
            assert!(read.is_ok(), "seed {seed}: {read:?}");
        }
    }
}
