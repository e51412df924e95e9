//! Secrets: references in the configuration, values read at use, and the redaction of every text that could echo one.
//!
//! A value is never written to the store, a log, a metric, a page or an error. [`Redactor`] is given every secret a run used and takes them out
//! of whatever the run says, also where a target sends them back base64- or percent-encoded.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands where a secret stood.
pub const REDACTED: &str = "[secret]";
/// A secret file may hold this much.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret is to be found: `{ env = "X" }` or `{ file = "/run/credentials/x" }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable of the daemon.
    Env(String),
    /// A file; one trailing line break is cut off. Relative to the configuration directory.
    File(PathBuf),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl SecretRef {
    /// Reads the secret now (a blocking file read). The error names the reference and never holds the content.
    pub fn read_blocking(&self) -> Result<SecretValue, String> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|e| match e {
                std::env::VarError::NotPresent => format!("{self} is not set"),
                std::env::VarError::NotUnicode(_) => format!("{self} can't be read: it is not UTF-8 text"),
            })?,
            Self::File(path) => {
                let bytes = crate::files::read_blocking(path, MAX_SECRET_BYTES).map_err(|why| format!("{self} can't be read: {why}"))?;
                String::from_utf8(bytes).map_err(|_| format!("{self} can't be read: it is not UTF-8 text"))?
            }
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
        if text.is_empty() { Err(format!("{self} is empty")) } else { Ok(SecretValue(text.to_owned())) }
    }

    /// Reads the secret now, off the runtime's threads.
    pub async fn read(&self) -> Result<SecretValue, String> {
        match self {
            Self::Env(_) => self.read_blocking(),
            Self::File(_) => {
                let this = self.clone();
                tokio::task::spawn_blocking(move || this.read_blocking()).await.map_err(|_| format!("{self}: reading was cut off"))?
            }
        }
    }
}

/// A secret's value. Debug and Display show `[secret]`; it has no Serialize.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// Wraps a value that was not read from a reference (a token a server issued).
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Takes known secrets out of texts. One for each run; knows only what that run used.
#[derive(Default)]
pub struct Redactor {
    patterns: BTreeSet<String>,
    built: Option<aho_corasick::AhoCorasick>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.patterns.len())
    }
}

/// Values shorter than this would blank out ordinary words; they are still taken out where they stand alone as a whole text.
const SHORTEST: usize = 4;

impl Redactor {
    /// Adds a secret in all the forms in which it may come back.
    pub fn add(&mut self, secret: &SecretValue) {
        let raw = secret.expose();
        if raw.len() < SHORTEST {
            return;
        }
        let mut forms = vec![raw.to_owned()];
        let bytes = raw.as_bytes();
        let percent = |upper: bool, keep: fn(u8) -> bool| -> String {
            bytes
                .iter()
                .map(|b| match (keep(*b), upper) {
                    (true, _) => char::from(*b).to_string(),
                    (false, true) => format!("%{b:02X}"),
                    (false, false) => format!("%{b:02x}"),
                })
                .collect()
        };
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let alnum = |b: u8| b.is_ascii_alphanumeric();
        for upper in [true, false] {
            forms.push(percent(upper, unreserved));
            forms.push(percent(upper, alnum));
            forms.push(percent(upper, unreserved).replace("%20", "+"));
            forms.push(percent(upper, |_| false));
        }
        // Inside a longer base64 text the secret starts at one of three offsets: the characters that depend on it alone are the same each time.
        for offset in 0..3usize {
            let mut padded = vec![0u8; offset];
            padded.extend_from_slice(bytes);
            let first = (offset * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&padded);
                if let Some(core) = text.get(first..last.min(text.len())).filter(|c| c.len() >= SHORTEST) {
                    forms.push(core.to_owned());
                }
            }
        }
        if let Ok(json) = serde_json::to_string(raw) {
            forms.push(json.trim_matches('"').to_owned());
        }
        forms.push(bytes.iter().map(|b| format!("{b:02x}")).collect());
        forms.push(bytes.iter().map(|b| format!("{b:02X}")).collect());
        self.patterns.extend(forms);
        self.built = aho_corasick::AhoCorasick::builder().match_kind(aho_corasick::MatchKind::LeftmostLongest).build(&self.patterns).ok();
    }

    /// The text without any known secret. Run over every text that came from a target or was made with a secret at hand.
    pub fn clean(&self, text: &str) -> String {
        match &self.built {
            None if self.patterns.is_empty() => text.to_owned(),
            // The automaton could not be built: show nothing rather than a secret.
            None => REDACTED.to_owned(),
            Some(ac) => ac.replace_all(text, &vec![REDACTED; self.patterns.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn every_encoding_of_a_secret_is_taken_out() {
        let secret = SecretValue::new("s3cr3t/+ value\"?");
        let mut r = Redactor::default();
        r.add(&secret);
        let raw = secret.expose();
        for prefix in ["", "a", "ab", "user:"] {
            let coded = STANDARD.encode(format!("{prefix}{raw}tail"));
            assert!(r.clean(&format!("Basic {coded}")).contains(REDACTED), "{prefix}: {coded}");
        }
        for text in
            [raw.to_owned(), "s3cr3t%2F%2B%20value%22%3F".into(), "s3cr3t%2f%2b+value%22%3f".into(), serde_json::to_string(raw).unwrap()]
        {
            assert!(r.clean(&text).contains(REDACTED), "{text}");
        }
        assert_eq!(r.clean("nothing here"), "nothing here");
    }

    #[test]
    fn a_value_never_prints() {
        let v = SecretValue::new("hunter22");
        assert_eq!(format!("{v:?} {v}"), "[secret] [secret]");
    }

    #[test]
    fn an_error_names_the_reference_only() {
        let e = SecretRef::Env("SOAKWATCH_TEST_NOT_SET".into()).read_blocking().unwrap_err();
        assert!(e.contains("SOAKWATCH_TEST_NOT_SET"), "{e}");
    }

    #[test]
    fn a_pipe_or_a_device_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for path in [pipe, "/dev/zero".into(), dir.path().to_owned()] {
            let said = SecretRef::File(path.clone()).read_blocking().unwrap_err();
            assert_eq!(said, format!("file {} can't be read: it is not a regular file", path.display()));
        }
    }
}
