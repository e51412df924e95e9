//! The certificate we show a server that asks who we are (mutual TLS): read with its key for every run, never kept longer than that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::{Transport, certificate};
use crate::clock::UnixMs;
use crate::observed::Failure;
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretValue};

/// A file of certificates may hold this much.
const MOST_BYTES: u64 = 64 * 1024;

/// A certificate with its key, ready to be shown. Its Debug holds no key.
#[derive(Debug)]
pub struct ClientCertificate {
    pub(super) resolver: Arc<dyn ResolvesClientCert>,
    /// Start of validity of the certificate itself.
    pub not_before: UnixMs,
    /// Its end.
    pub not_after: UnixMs,
}

/// The certificates of a PEM file, ours first. Blocking.
pub fn read_chain_blocking(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = crate::files::read_blocking(file, MOST_BYTES).map_err(|why| why.to_string())?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => Err("it holds no certificate (no line -----BEGIN CERTIFICATE-----)".into()),
        Ok(chain) => Ok(chain),
        Err(e) => Err(format!("it is not PEM: {e}")),
    }
}

/// How control calls of the command line do TLS: with the system's roots and those of `ca`, showing the certificate of `identity` (a PEM file that holds its
/// key too) to who asks for one. Blocking.
pub fn control_tls_blocking(ca: Option<&Path>, identity: Option<&Path>) -> anyhow::Result<rustls::ClientConfig> {
    let mut config = super::tls::Tls::new(ca)?.control();
    if let Some(file) = identity {
        let unusable = |why: &str| anyhow::anyhow!("identity {}: {why}", file.display());
        let chain = read_chain_blocking(file).map_err(|why| unusable(&why))?;
        let bytes = crate::files::read_blocking(file, MOST_BYTES).map_err(|why| unusable(&why.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| unusable("it holds no private key in PEM form, without a password"))?;
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|_| unusable("its key can't be used, or is another one's"))?;
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    }
    Ok(config)
}

impl Transport {
    /// The certificate of a PEM file with its private key (PEM: PKCS#8, SEC1 or PKCS#1).
    pub async fn client_certificate(&self, file: &Path, key: &SecretValue) -> Result<Arc<ClientCertificate>, Failure> {
        let unusable = |why: &str| Failure::ours(Cause::Secret, format!("client certificate {}: {why}", file.display()));
        let path: PathBuf = file.to_owned();
        let read = tokio::task::spawn_blocking(move || read_chain_blocking(&path)).await;
        let chain = read.map_err(|_| unusable("reading was cut off"))?.map_err(|why| unusable(&why))?;
        let facts = certificate::facts(&chain, &Redactor::default());
        let own = facts.first().ok_or_else(|| unusable("it can't be read"))?;
        let (not_before, not_after) = (own.not_before, own.not_after);
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| unusable("its key is not a private key in PEM form, without a password"))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(|_| unusable("its key can't be used, or is another one's"))?;
        Ok(Arc::new(ClientCertificate { resolver: Arc::new(SingleCertAndKey::from(certified)), not_before, not_after }))
    }
}
