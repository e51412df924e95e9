//! The demo's own certificate authority and the certificates its servers show. Made anew at each start; nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::clock::UnixMs;

const DAY: Duration = Duration::from_secs(86_400);

/// How long a server's certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// For 180 days more.
    Long,
    /// For 9 days more: it passes, and it should worry somebody.
    NineDays,
    /// It ended 3 days ago.
    Expired,
}

impl Validity {
    /// First and last moment, seen from `now`. The hour on top keeps "9 days left" true while the demo runs.
    fn span(self, now: UnixMs) -> (UnixMs, UnixMs) {
        let hour = Duration::from_secs(3_600);
        match self {
            Self::Long => (now.minus(20 * DAY), now.plus(180 * DAY + hour)),
            Self::NineDays => (now.minus(81 * DAY), now.plus(9 * DAY + hour)),
            Self::Expired => (now.minus(93 * DAY), now.minus(3 * DAY)),
        }
    }
}

/// The authority that signs for every server of the estate.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: UnixMs,
}

impl Authority {
    /// A new authority, valid from a year before `now` to a year after.
    pub fn new(now: UnixMs) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Soakwatch demo CA");
        set_span(&mut params, (now.minus(365 * DAY), now.plus(365 * DAY)));
        let key = KeyPair::generate().context("making the demo CA's key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("making the demo CA")?;
        Ok(Self { issuer, now })
    }

    /// Its own certificate, for `[probe] ca`.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// What a server of this name needs for its handshakes; HTTP/2 is offered beside HTTP/1.1 where `h2`.
    pub fn server(&self, host: &str, validity: Validity, h2: bool) -> anyhow::Result<Arc<ServerConfig>> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).with_context(|| format!("a certificate for {host}"))?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_span(&mut params, validity.span(self.now));
        let key = KeyPair::generate().with_context(|| format!("a key for {host}"))?;
        let leaf = params.signed_by(&key, &self.issuer).with_context(|| format!("signing for {host}"))?;
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .with_context(|| format!("the certificate of {host}"))?;
        config.alpn_protocols = if h2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(Arc::new(config))
    }
}

impl Authority {
    /// A certificate that a product signs its assertions with, good for so many days more: base64 of its DER. It is its own authority, as they are.
    pub fn signing(&self, host: &str, days: u32) -> anyhow::Result<String> {
        use base64::Engine as _;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{host} signing"));
        // The hour on top keeps the number of days true while the demo runs.
        set_span(&mut params, (self.now.minus(300 * DAY), self.now.plus(days * DAY + Duration::from_secs(3_600))));
        let certificate = params.self_signed(&KeyPair::generate().context("a key")?).context("a certificate")?;
        Ok(base64::engine::general_purpose::STANDARD.encode(certificate.der()))
    }
}

/// Sets the span of validity, to the second. rcgen's type for a time has no name outside its own dependencies, so it is only ever inferred.
fn set_span(params: &mut CertificateParams, (from, to): (UnixMs, UnixMs)) {
    let date = |at: UnixMs| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(at.0 / 1000).unwrap_or(0));
    params.not_before = date(from);
    params.not_after = date(to);
}
