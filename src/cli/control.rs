//! The command line's way to a running daemon: HTTP calls with a token, bounded in time and size. Never talks to a customer's endpoint.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use super::{CliError, Exit};
use crate::observed::bounded;
use crate::secret::SecretRef;
use crate::transport::{control_tls_blocking, tls_words};

/// An answer may be this large.
const MAX_ANSWER: usize = 64 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which daemon, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Daemon {
    /// Where the daemon listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464", value_parser = address)]
    url: Url,
    #[command(flatten)]
    credential: Credential,
}

/// As whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Credential {
    /// The environment variable that holds the token
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// The file that holds the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

/// Whom to trust behind https, and what to show it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Trust {
    /// A PEM file of roots trusted besides the system's, where the daemon's certificate is of a private authority
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A PEM file with a certificate and its private key, where the daemon asks for one
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl Credential {
    /// Nobody, who trusts this.
    pub(super) fn nobody(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }
}

impl Trust {
    /// How our calls do TLS.
    async fn tls(&self) -> Result<rustls::ClientConfig, CliError> {
        let Self { ca, identity } = self.clone();
        let made = tokio::task::spawn_blocking(move || control_tls_blocking(ca.as_deref(), identity.as_deref())).await;
        made.map_err(|e| Exit::Internal.with(e))?.map_err(|e| Exit::BadInput.with(e))
    }
}

impl Daemon {
    /// The daemon at a URL.
    pub(super) fn at(url: Url, credential: Credential) -> Self {
        Self { url, credential }
    }

    /// Makes one call; status and body. An error means that there was no answer.
    pub(super) async fn call(&self, method: Method, path: &str) -> Result<(StatusCode, String), CliError> {
        self.send(method, path, None, PATIENCE).await
    }

    /// The same for who can't wait as long.
    pub(super) async fn call_within(&self, method: Method, path: &str, patience: Duration) -> Result<(StatusCode, String), CliError> {
        self.send(method, path, None, patience).await
    }

    /// Posts a JSON object; status and answer.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), CliError> {
        let (status, answer) = self.send(Method::POST, path, Some(body), PATIENCE).await?;
        Ok((status, serde_json::from_str(&answer).unwrap_or(Value::Null)))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, patience: Duration) -> Result<(StatusCode, String), CliError> {
        let url = self.url.join(path).map_err(|e| Exit::Usage.with(e))?;
        let unreachable = |e: reqwest::Error| {
            let shown = self.url.origin().ascii_serialization();
            if let Some(tls) = tls_trouble(&e) {
                let why = bounded(tls_words(shown.trim_start_matches("https://"), tls), 300);
                let advice = advice(tls, self.credential.trust.identity.is_some());
                return Exit::Unreachable.with(anyhow::anyhow!("no answer from the daemon at {shown}: TLS failed: {why}{advice}"));
            }
            let why = if e.is_connect() {
                "nothing listens there that speaks HTTP".to_owned()
            } else if e.is_timeout() {
                "it did not answer in time".to_owned()
            } else {
                e.without_url().to_string()
            };
            let plain = if self.url.scheme() == "http" { " (https:// if it has tls)" } else { "" };
            Exit::Unreachable.with(anyhow::anyhow!(
                "no answer from the daemon at {shown}: {why}; is it running, and is --url its [server] listen{plain}?"
            ))
        };
        // Another part of the program may have installed it already; both are the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = Client::builder().timeout(patience).no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = match self.url.scheme() {
            "https" => builder.tls_backend_preconfigured(self.credential.trust.tls().await?),
            _ => builder,
        };
        let request = client.build().map_err(|e| Exit::Internal.with(e))?.request(method, url);
        let mut request = match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => request.header(CONTENT_LENGTH, 0),
        };
        if let Some(secret) = self.token() {
            let token = secret.read().await.map_err(|why| Exit::BadInput.with(anyhow::anyhow!("the token: {why}")))?;
            request = request.bearer_auth(token.expose());
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(
                    Exit::Unreachable.with(anyhow::anyhow!("the answer is larger than {MAX_ANSWER} bytes: is this a Soakwatch daemon?"))
                );
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), String::from_utf8_lossy(&body).into_owned()))
    }

    fn token(&self) -> Option<SecretRef> {
        let Credential { token_env, token_file, .. } = &self.credential;
        token_env.clone().map(SecretRef::Env).or_else(|| token_file.clone().map(SecretRef::File))
    }
}

/// What TLS said, if it was TLS that failed. An error of I/O hides the one it holds from its own chain.
fn tls_trouble<'e>(e: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(tls) = e.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => tls_trouble(inner),
        None => e.source().and_then(tls_trouble),
    }
}

/// What to do about it. `shows`: whether we show a certificate.
fn advice(error: &rustls::Error, shows: bool) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => "; --ca FILE names the root to trust",
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "; --url has to name it as its certificate does"
        }
        Error::InvalidCertificate(_) => "; the daemon needs another certificate ([server] tls)",
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied,
        ) => {
            if shows {
                "; --identity FILE needs another certificate: one that holds, of the authority in client_ca"
            } else {
                "; --identity FILE shows one (certificate and key in one PEM file)"
            }
        }
        Error::InvalidMessage(_) => "; is it http:// that it speaks?",
        _ => "",
    }
}

/// Reads the address of a daemon.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url: Option<Url> = text.parse().ok();
    url.filter(|u: &Url| matches!(u.scheme(), "http" | "https")).ok_or_else(|| "expected a URL such as http://127.0.0.1:9464".to_owned())
}

/// A hint of the daemon in the middle of a line: without its capital and its full stop.
pub(super) fn within(hint: &str) -> String {
    let mut chars = hint.strip_suffix('.').unwrap_or(hint).chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// An answer that is not what was asked for, as an error. `advice`: which token is needed.
pub(super) fn refused(status: StatusCode, answer: &Value, advice: &str) -> CliError {
    let said = |key: &str| answer.get(key).and_then(Value::as_str);
    if let StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN = status {
        let why = said("error").unwrap_or("it does not say why");
        return Exit::BadInput
            .with(anyhow::anyhow!("the daemon refused the call ({status}): {why}; {advice}: --token-env NAME or --token-file FILE"));
    }
    Exit::Unreachable.with(anyhow::anyhow!("the daemon answered {status}: {}", said("error").unwrap_or("is this a Soakwatch daemon?")))
}
