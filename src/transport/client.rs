//! The certificate we show a server that asks who we are (mutual TLS): read with its key for every run, never kept longer than that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::auth::{reveal, rooted};
use super::{Transport, certificate};
use crate::clock::UnixMs;
use crate::config::table::Table;
use crate::hex;
use crate::observed::Failure;
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef, SecretValue};

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
    /// SHA-256 of the certificate itself, so that what was given for it can be told apart.
    pub(super) sha256: String,
}

/// `client = { certificate, key }` of a check's table: what we show a server that asks who we are. Both are read anew for every run.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnCertificate {
    /// `certificate`: a PEM file, ours first.
    pub file: PathBuf,
    /// `key`: its private key.
    pub key: SecretRef,
}

impl OwnCertificate {
    /// Reads the table `client`.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let file = t.req::<PathBuf>("certificate").map(|p| t.source().dir.join(p));
        let key = t.req::<SecretRef>("key").map(|s| rooted(s, &t));
        t.finish();
        Some(Self { file: file?, key: key? })
    }

    /// What of it can't be used by that time: the key that names it, and why. A key that can't be read at all is not said here. Blocking.
    pub fn unusable_blocking(&self, at: UnixMs) -> Option<(&'static str, String)> {
        let file = self.file.display();
        let chain = match read_chain_blocking(&self.file) {
            Ok(chain) => chain,
            Err(why) => return Some(("client.certificate", format!("{file} can't be used: {why}"))),
        };
        if let Some(key) = self.key.read_blocking().ok()
            && let Err(why) = fit(chain.clone(), &key)
        {
            return Some(("client.key", format!("can't be used with {file}: {why}")));
        }
        holding(&chain, at).err().map(|why| ("client.certificate", format!("{file} can't be used: {why}")))
    }
}

/// The certificates with their key; the key is read as PEM: PKCS#8, SEC1 or PKCS#1.
fn fit(chain: Vec<CertificateDer<'static>>, key: &SecretValue) -> Result<CertifiedKey, &'static str> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| "its key is not a private key in PEM form, without a password")?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    certificate::modern(&chain)?;
    CertifiedKey::from_der(chain, key, &provider).map_err(|_| "its key can't be used, or is another one's")
}

/// Why a certificate does not hold at that time.
fn dated(not_before: UnixMs, not_after: UnixMs, at: UnixMs) -> Option<String> {
    if at >= not_after {
        return Some(format!("it expired at {not_after}"));
    }
    (at < not_before).then(|| format!("it is not valid before {not_before}"))
}

/// Whose a chain is and until when it holds, for people; an error says why it does not hold at that time. Nothing of it is verified.
pub fn holding(chain: &[CertificateDer<'_>], at: UnixMs) -> Result<String, String> {
    let own = certificate::facts(chain.get(..1).unwrap_or_default(), &Redactor::default()).into_iter().next();
    let own = own.ok_or("it can't be read")?;
    dated(own.not_before, own.not_after, at).map_or_else(|| Ok(format!("{}, until {}", own.subject, own.not_after)), Err)
}

/// The earliest end of validity in a chain; `None`: none of it can be read.
pub fn first_end(chain: &[CertificateDer<'_>]) -> Option<UnixMs> {
    certificate::facts(chain, &Redactor::default()).iter().map(|facts| facts.not_after).min()
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
        let key = SecretValue::new(String::from_utf8(bytes).map_err(|_| unusable("it is not PEM"))?);
        let certified = fit(chain, &key).map_err(unusable)?;
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
        let sha256 = chain.first().map(|own| hex::sha256(own)).unwrap_or_default();
        let certified = fit(chain, key).map_err(unusable)?;
        Ok(Arc::new(ClientCertificate { resolver: Arc::new(SingleCertAndKey::from(certified)), not_before, not_after, sha256 }))
    }

    /// The certificate that a check shows, read now. One that does not hold now is not sent: that is ours to mend, not the server's.
    pub async fn own_certificate(
        &self,
        own: Option<&OwnCertificate>,
        now: UnixMs,
        redactor: &mut Redactor,
    ) -> Result<Option<Arc<ClientCertificate>>, Failure> {
        let Some(own) = own else { return Ok(None) };
        let key = reveal(&own.key, redactor).await?;
        let read = self.client_certificate(&own.file, &key).await?;
        match dated(read.not_before, read.not_after, now) {
            None => Ok(Some(read)),
            Some(why) => Err(Failure::ours(Cause::Secret, format!("client certificate {}: {why}", own.file.display()))),
        }
    }
}
