//! TLS towards customers: one shared set of roots, one provider (aws-lc-rs), and a verifier that records the chain before it judges it, so that an
//! expired or untrusted certificate fails the run *and* still shows its dates. Resumption is off: each run sees the chain anew.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::HttpVersion;
use super::certificate::MAX_CHAIN;
use super::client::ClientCertificate;
use crate::clock::UnixMs;
use crate::hex;
use crate::outcome::{Class, Reason};

/// A CA file may hold this much.
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// Roots a check trusts besides the shared ones.
#[derive(Debug)]
pub struct OwnRoots {
    verifier: Arc<WebPkiServerVerifier>,
    /// SHA-256 over the file, so that what depends on it can be told apart.
    pub(super) sha256: String,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    shared: Arc<WebPkiServerVerifier>,
    base: ClientConfig,
}

impl Tls {
    /// Loads the system's roots (Mozilla's, if the system has none) and those of `ca`. Blocking.
    pub(super) fn new(ca: Option<&Path>) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            tracing::warn!("the system has no TLS roots; using Mozilla's, as built in");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(file) = ca {
            let (certificates, _) =
                read_roots_blocking(file).map_err(anyhow::Error::msg).with_context(|| format!("ca {}", file.display()))?;
            for certificate in certificates {
                roots.add(certificate).with_context(|| format!("ca {}", file.display()))?;
            }
        }
        let shared = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().context("TLS roots")?;
        let mut base = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&shared) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        base.resumption = rustls::client::Resumption::disabled();
        Ok(Self { provider, shared, base })
    }

    /// For calls whose chain nobody looks at.
    pub(super) fn control(&self) -> ClientConfig {
        self.base.clone()
    }

    /// Roots of a file, read now off the runtime's threads.
    pub(super) async fn own_roots(&self, file: &Path) -> Result<Arc<OwnRoots>, String> {
        let path: PathBuf = file.to_owned();
        let provider = Arc::clone(&self.provider);
        let read = tokio::task::spawn_blocking(move || {
            let (certificates, sha256) = read_roots_blocking(&path)?;
            let mut roots = RootCertStore::empty();
            let (good, _) = roots.add_parsable_certificates(certificates);
            if good == 0 {
                return Err("none of its certificates can be used as a root".to_owned());
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|e| e.to_string())?;
            Ok(Arc::new(OwnRoots { verifier, sha256 }))
        });
        let roots = read.await.map_err(|_| "reading was cut off".to_owned()).and_then(|r| r);
        roots.map_err(|why| format!("CA file {} can't be used: {why}", file.display()))
    }

    /// A connector for one connection. The chain goes to `captured` as soon as it is there.
    pub(super) fn connector(
        &self,
        version: HttpVersion,
        own: Option<&Arc<OwnRoots>>,
        client: Option<&Arc<ClientCertificate>>,
        captured: &Arc<Captured>,
    ) -> TlsConnector {
        let mut config = self.base.clone();
        config.alpn_protocols = match version {
            HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
            HttpVersion::Http2 => vec![b"h2".to_vec()],
        };
        let verifier = Capturing { shared: Arc::clone(&self.shared), own: own.map(Arc::clone), captured: Arc::clone(captured) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        if let Some(client) = client {
            config.client_auth_cert_resolver = Arc::clone(&client.resolver) as Arc<dyn ResolvesClientCert>;
        }
        TlsConnector::from(Arc::new(config))
    }
}

/// The certificates of a PEM file and the file's SHA-256. Blocking.
pub fn read_roots_blocking(file: &Path) -> Result<(Vec<CertificateDer<'static>>, String), String> {
    let bytes = crate::files::read_blocking(file, MAX_CA_BYTES).map_err(|why| why.to_string())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(list) if list.is_empty() => Err("it holds no certificate (no line -----BEGIN CERTIFICATE-----)".into()),
        Ok(list) => Ok((list, hex::sha256(&bytes))),
        Err(e) => Err(format!("it is not PEM: {e}")),
    }
}

/// A chain on its way from the verifier to whoever watches the handshake.
#[derive(Debug, Default)]
pub(super) struct Captured(Mutex<Option<Vec<CertificateDer<'static>>>>);

impl Captured {
    /// The chain, if it came since the last call.
    pub(super) fn take(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Records, then judges: the shared roots first, a check's own ones for what those don't know.
#[derive(Debug)]
struct Capturing {
    shared: Arc<WebPkiServerVerifier>,
    own: Option<Arc<OwnRoots>>,
    captured: Arc<Captured>,
}

impl ServerCertVerifier for Capturing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(MAX_CHAIN).map(|c| c.clone().into_owned()).collect();
        *self.captured.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
        let judged = self.shared.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match (judged, &self.own) {
            (Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)), Some(own)) => {
                own.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            (judged, _) => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.shared.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.shared.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.shared.supported_verify_schemes()
    }
}

/// A refused handshake: its class, and what is wrong with the certificate or with the rest.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) class: Class,
    /// They hold names a stranger chose: to be redacted before they are cut to length.
    pub(super) words: String,
    pub(super) reason: Option<Reason>,
}

/// What a refused handshake means; `shown`: we had a certificate of our own to show.
pub(super) fn refusal(host: &str, error: &rustls::Error, shown: bool) -> Refusal {
    use rustls::AlertDescription as Alert;
    // A server judges no other certificate than ours.
    let wants_ours = matches!(error, rustls::Error::AlertReceived(Alert::CertificateRequired | Alert::BadCertificate));
    if wants_ours && !shown {
        let words = format!("{host}: the server wants a client certificate, and the check has none (client)");
        return Refusal { class: Class::Tls, words, reason: Some(Reason::NoCertificate) };
    }
    let (class, why) = match error {
        rustls::Error::InvalidCertificate(e) => (Class::Certificate, certificate_words(e)),
        rustls::Error::NoCertificatesPresented => (Class::Certificate, "the server sent no certificate".into()),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            (Class::Tls, "the server wants a client certificate, and was shown none that it takes".into())
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied),
        ) => (Class::Tls, format!("the server did not accept our client certificate ({alert:?})")),
        rustls::Error::AlertReceived(Alert::NoApplicationProtocol) => {
            (Class::Tls, "the server speaks none of the HTTP versions offered".into())
        }
        rustls::Error::AlertReceived(Alert::ProtocolVersion) => (Class::Tls, "the server wants a TLS version older than 1.2".into()),
        rustls::Error::AlertReceived(alert) => (Class::Tls, format!("the server broke the TLS handshake off ({alert:?})")),
        rustls::Error::InvalidMessage(_) => (Class::Tls, "what the server sent is not TLS".into()),
        other => (Class::Tls, format!("the TLS handshake failed ({other})")),
    };
    Refusal { class, words: format!("{host}: {why}"), reason: None }
}

/// What went wrong in a handshake of our own, for people. The words may hold names that a stranger chose.
pub fn tls_words(host: &str, error: &rustls::Error) -> String {
    refusal(host, error, true).words
}

fn certificate_words(error: &CertificateError) -> String {
    let time = |t: &UnixTime| UnixMs(i64::try_from(t.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000)).to_string();
    match error {
        CertificateError::Expired => "the certificate has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => format!("a certificate expired at {}", time(not_after)),
        CertificateError::NotValidYet => "a certificate is not valid yet".into(),
        CertificateError::NotValidYetContext { not_before, .. } => format!("a certificate is not valid before {}", time(not_before)),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<String> = presented.iter().take(5).map(|n| plain_name(n)).collect();
            format!("the certificate is for another name ({})", if names.is_empty() { "it names none".into() } else { names.join(", ") })
        }
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is not trusted (self-signed, a private CA, or an intermediate is missing)".into()
        }
        CertificateError::Revoked => "the certificate was revoked".into(),
        CertificateError::BadEncoding => "the certificate can't be read".into(),
        CertificateError::BadSignature => "the certificate's signature is wrong".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not meant for a server".into()
        }
        // The reason is of a crate below, whose words are all that is handed on.
        other => match format!("{other:?}") {
            why if why.contains("CaUsedAsEndEntity") => {
                "the certificate is that of an authority (CA:TRUE), which is no server's; an authority's is to sign one for the server"
                    .into()
            }
            why if why.contains("UnsupportedCertVersion") => "the certificate is of X.509 version 1, which holds no names".into(),
            _ => format!("the certificate is not acceptable ({other})"),
        },
    }
}

/// rustls says `DnsName("x")` or `IpAddress(x)`; people read x.
fn plain_name(presented: &str) -> String {
    let inside = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.map_or(presented, |name| name.trim_matches('"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_handshake_failures_are_told_apart() {
        let expired = rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            time: UnixTime::since_unix_epoch(std::time::Duration::from_secs(2)),
            not_after: UnixTime::since_unix_epoch(std::time::Duration::from_secs(1)),
        });
        let words = "x: a certificate expired at 1970-01-01T00:00:01Z".to_owned();
        assert_eq!(refusal("x", &expired, true), Refusal { class: Class::Certificate, words, reason: None });
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(refusal("x", &alert, false).class, Class::Tls);
        let wanted = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(refusal("x", &wanted, false).reason, Some(Reason::NoCertificate));
        assert_eq!(refusal("x", &wanted, true).reason, None);
        for (presented, name) in
            [("DnsName(\"a.example\")", "a.example"), ("IpAddress(127.0.0.1)", "127.0.0.1"), ("a.example", "a.example")]
        {
            assert_eq!(plain_name(presented), name);
        }
    }

    #[test]
    fn a_ca_file_must_hold_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert!(read_roots_blocking(&file).is_err());
        std::fs::write(&file, "hello").unwrap();
        assert!(read_roots_blocking(&file).unwrap_err().contains("no certificate"));
    }
}
