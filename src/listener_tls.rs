//! TLS of our own listeners: what certificate, key and the authority of client certificates make, read from files now, and how those files look, so that a
//! change is seen. Keeps nothing, listens nowhere: `server::tls` does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::clock::UnixMs;
use crate::config::model::{ClientCertificates, ListenerTls};
use crate::files::{Look, look_blocking};
use crate::secret::SecretRef;
use crate::transport::{first_end, holding, modern, read_chain_blocking, read_roots_blocking};

/// What a listener's TLS is made of, read now. The error names the setting, and is for people. Blocking.
pub fn made_blocking(tls: &ListenerTls) -> Result<Arc<ServerConfig>, String> {
    let named = |key: &str, file: &Path, why: &dyn std::fmt::Display| format!("tls.{key}: {} can't be used: {why}", file.display());
    let chain = read_chain_blocking(&tls.certificate).map_err(|why| named("certificate", &tls.certificate, &why))?;
    modern(&chain).map_err(|why| named("certificate", &tls.certificate, &why))?;
    let key = tls.key.read_blocking().map_err(|why| format!("tls.key: {why}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| "tls.key: it is not a private key in PEM form, without a password".to_owned())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(ClientCertificates { ca, optional }) => {
            let (certificates, _) = read_roots_blocking(ca).map_err(|why| named("client_ca", ca, &why))?;
            let mut roots = RootCertStore::empty();
            let (good, _) = roots.add_parsable_certificates(certificates);
            if good == 0 {
                return Err(named("client_ca", ca, &"none of its certificates can be used as a root"));
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if *optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| named("client_ca", ca, &e))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|_| format!("tls.key: it can't be used, or is not that of {}", tls.certificate.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whose its certificate is and until when it holds; an error says why nobody would take it at that time. Blocking.
pub fn holding_blocking(tls: &ListenerTls, at: UnixMs) -> Result<String, String> {
    let held = read_chain_blocking(&tls.certificate).and_then(|chain| holding(&chain, at));
    held.map_err(|why| format!("tls.certificate: {} can't be used: {why}", tls.certificate.display()))
}

/// Until when all of its certificates hold; `None`: that can't be read. Blocking.
pub fn first_end_blocking(tls: &ListenerTls) -> Option<UnixMs> {
    read_chain_blocking(&tls.certificate).ok().and_then(|chain| first_end(&chain))
}

/// How its files look; a secret of the environment never changes.
pub fn looks_blocking(tls: &ListenerTls) -> Vec<Look> {
    files(tls).map(look_blocking).collect()
}

/// The files it is made of.
pub fn files(tls: &ListenerTls) -> impl Iterator<Item = &Path> {
    let key: Option<&PathBuf> = match &tls.key {
        SecretRef::File(path) => Some(path),
        SecretRef::Env(_) => None,
    };
    let files = [Some(&tls.certificate), key, tls.clients.as_ref().map(|c| &c.ca)];
    files.into_iter().flatten().map(PathBuf::as_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(dir: &Path) -> ListenerTls {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        ListenerTls { certificate: dir.join("cert.pem"), key: SecretRef::File(dir.join("key.pem")), clients: None }
    }

    /// A certificate without the version that stands first in it, which makes it one of version 1.
    fn of_version_1(dir: &Path) -> ListenerTls {
        use base64::Engine as _;
        use x509_parser::prelude::FromDer as _;
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(&key).unwrap();
        let der = made.der().as_ref();
        let (_, read) = x509_parser::prelude::X509Certificate::from_der(der).unwrap();
        let signed = read.tbs_certificate.as_ref();
        let at = signed.windows(5).position(|w| w == [0xa0, 3, 2, 1, 2]).unwrap() + 5;
        let sequence = |content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[0x30, 0x82], &length[..], content].concat()
        };
        let behind = &der[der.windows(signed.len()).position(|w| w == signed).unwrap() + signed.len()..];
        let old = sequence(&[sequence(&signed[at..]).as_slice(), behind].concat());
        let text = base64::engine::general_purpose::STANDARD.encode(old);
        std::fs::write(dir.join("v1.pem"), format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")).unwrap();
        std::fs::write(dir.join("v1.key"), key.serialize_pem()).unwrap();
        ListenerTls { certificate: dir.join("v1.pem"), key: SecretRef::File(dir.join("v1.key")), clients: None }
    }

    #[test]
    fn what_can_not_be_used_is_named_without_its_contents() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (good, foreign) = (pem(dir.path()), pem(other.path()));
        assert!(made_blocking(&good).is_ok());
        let clients =
            |ca: &str| ListenerTls { clients: Some(ClientCertificates { ca: dir.path().join(ca), optional: false }), ..good.clone() };
        assert!(made_blocking(&clients("cert.pem")).is_ok());
        std::fs::write(dir.path().join("text"), "hunter22").unwrap();
        let text = |name: &str| SecretRef::File(dir.path().join(name));
        let cases = [
            (ListenerTls { key: foreign.key, ..good.clone() }, "tls.key: it can't be used, or is not that of"),
            (ListenerTls { key: text("text"), ..good.clone() }, "tls.key: it is not a private key in PEM form"),
            (ListenerTls { key: text("none"), ..good.clone() }, "tls.key: "),
            (ListenerTls { certificate: dir.path().join("text"), ..good.clone() }, "tls.certificate: "),
            (ListenerTls { certificate: dir.path().join("none"), ..good.clone() }, "there is nothing of this name"),
            (clients("text"), "tls.client_ca: "),
        ];
        let why = made_blocking(&of_version_1(dir.path())).unwrap_err();
        assert!(why.starts_with("tls.certificate: ") && why.contains("X.509 version 1") && !why.contains("tls.key"), "{why}");
        for (tls, words) in cases {
            let why = made_blocking(&tls).unwrap_err();
            assert!(why.contains(words) && !why.contains("hunter22"), "{words}: {why}");
        }
    }

    #[test]
    fn each_of_its_files_is_seen_to_change() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ListenerTls { clients: Some(ClientCertificates { ca: dir.path().join("cert.pem"), optional: true }), ..pem(dir.path()) };
        let before = looks_blocking(&tls);
        assert!(before.len() == 3 && before.iter().all(Option::is_some));
        std::fs::write(dir.path().join("key.pem"), "x").unwrap();
        assert_ne!(looks_blocking(&tls), before);
    }
}
