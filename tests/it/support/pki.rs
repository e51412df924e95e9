//! A small certificate authority, and servers' certificates of every kind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A root of our own, written to a file that `ca` can name.
pub(crate) struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

/// A server's chain and key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: two roots of one name are told apart by their keys only, which is another failure.
        static COUNT: AtomicU32 = AtomicU32::new(1);
        params.distinguished_name.push(DnType::CommonName, format!("Soakwatch test root {}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// The root's PEM file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The root itself.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for a name from a year to another (1 January each), with the root behind it.
    pub(crate) fn identity(&self, name: &str, years: std::ops::Range<i32>) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity { chain: vec![leaf.der().clone(), self.root()], key }
    }
}

impl Identity {
    /// Writes the chain to NAME.pem and the key to NAME.key.
    pub(crate) fn write(&self, dir: &std::path::Path, name: &str) {
        use base64::Engine as _;
        let pem = |label: &str, der: &[u8]| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let lines: Vec<&str> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        };
        let chain: String = self.chain.iter().map(|c| pem("CERTIFICATE", c)).collect();
        // Key first: whoever reads in between gets a pair that does not fit, and waits.
        std::fs::write(dir.join(format!("{name}.key")), pem("PRIVATE KEY", self.key.secret_der())).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), chain).unwrap();
    }
}

/// A server's TLS settings. `alpn`: the protocols it speaks, best first.
pub(crate) fn server_tls(identity: Identity, alpn: &[&str]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(identity.chain, identity.key).unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The same, for a server that demands a client certificate of this authority.
pub(crate) fn server_mtls(identity: Identity, pki: &Pki) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.root()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_client_cert_verifier(verifier).with_single_cert(identity.chain, identity.key).unwrap())
}
