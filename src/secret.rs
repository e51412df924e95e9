//! Secrets: references in the configuration, values read at use, and the redaction of every text that could echo one.
//!
//! A value is never written to the store, a log, a metric, a page or an error. [`Redactor`] is given every secret a run used and takes them out
//! of whatever the run says, also where a target sends them back base64- or percent-encoded, or broken by white space.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

use crate::hex;

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
    /// Forms of short secrets: found as they stand.
    exact: Forms,
    /// Forms of the others, without their white space: found also where the text has white space in them.
    loose: Forms,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.exact.0.len() + self.loose.0.len())
    }
}

/// Values shorter than this (in bytes) would blank out ordinary words: they are not looked for.
const SHORTEST: usize = 4;
/// Values of so many characters are found across white space; shorter ones would be found in ordinary words.
const SHORTEST_LOOSE: usize = 8;
/// How often an address may be percent-encoded in itself.
const MAX_NESTED: usize = 4;

/// Texts that are looked for.
#[derive(Default)]
struct Forms(Vec<Finder<'static>>);

impl Forms {
    fn extend(&mut self, forms: impl Iterator<Item = String>) {
        for form in forms {
            // Most forms of most secrets are alike.
            if self.0.iter().all(|known| known.needle() != form.as_bytes()) {
                self.0.push(Finder::new(&form).into_owned());
            }
        }
    }

    /// Every place where one of them stands. What overlaps itself is one place.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for form in &self.0 {
            let (text, len) = (text.as_bytes(), form.needle().len());
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| form.find(rest)) {
                let (start, mut end) = (from + at, from + at + len);
                // It can stand again inside itself only a period later, where the text goes on as it began.
                let period = period(form.needle());
                while period < len && text.get(end).is_some_and(|next| *next == text[end - period]) {
                    end += 1;
                }
                end -= (end - start - len) % period;
                found.push(start..end);
                from = end - len + period;
            }
        }
        found
    }
}

/// The shortest distance at which a text may stand in itself (its length, if it can't), as Knuth, Morris and Pratt count it.
fn period(text: &[u8]) -> usize {
    let mut border = vec![0; text.len()];
    for at in 1..text.len() {
        let mut len: usize = border[at - 1];
        while len > 0 && text[at] != text[len] {
            len = border[len - 1];
        }
        border[at] = len + usize::from(text[at] == text[len]);
    }
    text.len() - border.last().copied().unwrap_or(0)
}

/// White space, and what is shown as a space or not at all: control and zero-width characters, soft hyphens.
fn gap(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// A text without its gaps.
struct Squeezed {
    text: String,
    /// Where gaps were: the offset in `text`, and how many bytes are missing up to there.
    gaps: Vec<(usize, usize)>,
}

impl Squeezed {
    fn new(from: &str) -> Self {
        let mut this = Self { text: String::with_capacity(from.len()), gaps: Vec::new() };
        for (at, c) in from.char_indices() {
            if !gap(c) {
                this.text.push(c);
                continue;
            }
            let kept = this.text.len();
            if this.gaps.last().is_some_and(|(k, _)| *k == kept) {
                this.gaps.pop();
            }
            this.gaps.push((kept, at + c.len_utf8() - kept));
        }
        this
    }

    /// Where in the text as it was a byte stood.
    fn origin(&self, at: usize) -> usize {
        let before = self.gaps.partition_point(|(kept, _)| *kept <= at);
        at + before.checked_sub(1).and_then(|n| self.gaps.get(n)).map_or(0, |(_, missing)| *missing)
    }
}

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
            let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
            let mut out = String::with_capacity(bytes.len() * 3);
            for b in bytes {
                match keep(*b) {
                    true => out.push(char::from(*b)),
                    false => out.extend(['%', char::from(digits[usize::from(b >> 4)]), char::from(digits[usize::from(b & 15)])]),
                }
            }
            out
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
        forms.push(hex::encode(bytes));
        forms.push(hex::encode(bytes).to_ascii_uppercase());
        // As a host name comes back.
        forms.push(raw.to_ascii_lowercase());
        if raw.chars().filter(|c| !gap(*c)).count() < SHORTEST_LOOSE {
            self.exact.extend(forms.into_iter());
        } else {
            self.loose.extend(forms.into_iter().map(|form| form.chars().filter(|c| !gap(*c)).collect()));
        }
    }

    /// Whether no secret is known: then every text is clean as it is.
    pub fn is_empty(&self) -> bool {
        self.exact.0.is_empty() && self.loose.0.is_empty()
    }

    /// Where known secrets stand, in order, none touching the inside of another.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = self.exact.find(text);
        if !self.loose.0.is_empty() {
            let squeezed = Squeezed::new(text);
            found.extend(self.loose.find(&squeezed.text).into_iter().map(|r| squeezed.origin(r.start)..squeezed.origin(r.end - 1) + 1));
        }
        found.sort_by_key(|r| r.end);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for mut next in found {
            while let Some(last) = apart.pop_if(|last| last.end > next.start) {
                next.start = next.start.min(last.start);
            }
            apart.push(next);
        }
        apart
    }

    /// Whether an address holds a known secret: as it stands, or percent-decoded, also when it was encoded several times (an address in an address).
    pub fn holds(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let known = |text: &str| !self.find(text).is_empty();
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut text = text.to_owned();
        for _ in 0..MAX_NESTED {
            // A plus sign is one, or is a space.
            if known(&text) || known(&decoded(&text.replace('+', " "))) {
                return true;
            }
            let inner = decoded(&text);
            if inner == text {
                return false;
            }
            text = inner;
        }
        known(&text)
    }

    /// The text without any known secret. Run over every text that came from a target or was made with a secret at hand.
    pub fn clean(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for place in self.find(text) {
            out.push_str(text.get(from..place.start).unwrap_or_default());
            out.push_str(REDACTED);
            from = place.end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
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

    fn knowing(secrets: &[&str]) -> Redactor {
        let mut r = Redactor::default();
        secrets.iter().for_each(|s| r.add(&SecretValue::new(*s)));
        r
    }

    #[test]
    fn a_secret_broken_by_white_space_is_taken_out() {
        let r = knowing(&["abcDEF123456ghiJKL7890"]);
        for (text, clean) in [
            ("key abcDEF123 456ghiJKL7890 end", "key [secret] end"),
            ("abcDEF123\r\n  456ghi\tJKL7890", "[secret]"),
            ("a b c D E F 1 2 3 4 5 6 g h i J K L 7 8 9 0", "[secret]"),
            // What `bounded` shows as a space, what shows as nothing at all, and white space outside of ASCII.
            ("abcDEF123\u{0}456ghi\u{200b}JKL\u{a0}78\u{ad}90", "[secret]"),
            ("é abcDEF123 456ghiJKL7890\u{3000}é abcDEF123456ghiJKL7890", "é [secret]\u{3000}é [secret]"),
            ("abcDEF123 456ghiJKL789", "abcDEF123 456ghiJKL789"),
            ("", ""),
            (" \n ", " \n "),
        ] {
            assert_eq!(r.clean(text), clean, "{text:?}");
        }
        // The encoded forms break the same way, as base64 does in a certificate or a mail.
        let lines: Vec<String> =
            STANDARD.encode("bob:abcDEF123456ghiJKL7890").chars().collect::<Vec<_>>().chunks(6).map(String::from_iter).collect();
        assert!(r.clean(&lines.join("\r\n")).contains(REDACTED));
        // White space of its own may be missing, or be more.
        let r = knowing(&["correct horse battery"]);
        assert_eq!(r.clean("a correct  horse\nbattery b correcthorsebattery c"), "a [secret] b [secret] c");
    }

    #[test]
    fn a_short_secret_is_not_read_into_ordinary_words() {
        let r = knowing(&["theend", "a b c d e"]);
        assert_eq!(r.clean("the end, abcde, theend, a b c d e"), "the end, abcde, [secret], [secret]");
    }

    #[test]
    fn secrets_that_overlap_leave_nothing_of_each_other() {
        let r = knowing(&["abcd-efgh", "efghijklm"]);
        assert_eq!(r.clean("x abcd-efghijklm y abcd-efgh efghijklm z"), "x [secret] y [secret] [secret] z");
        let r = knowing(&["tail1234", "1234"]);
        assert_eq!(r.clean("tail1234 1234 ta il12341234"), "[secret] [secret] [secret][secret]");
        // One that overlaps itself, once and often.
        let r = knowing(&["abcabcab"]);
        assert_eq!(r.clean("-abcabcabcabcab- abcabcabcab abcabcabcabca"), "-[secret]- [secret] [secret]ca");
        let r = knowing(&["aabaa"]);
        assert_eq!(r.clean("aabaaabaa aabaaxaabaabaa"), "[secret] [secret]x[secret]");
        assert_eq!(knowing(&["aaaaaaaaaa"]).clean(&"a".repeat(1_000_000)), "[secret]");
    }

    #[test]
    fn an_address_that_holds_a_secret_is_known_however_it_is_encoded() {
        let r = knowing(&["S3cr3t/+ Value?"]);
        for text in [
            "https://x.test/S3cr3t/+ Value?",
            "https://x.test/?k=S3cr3t%2F%2B%20Value%3F",
            "https://x.test/?k=S3cr3t/%2b+Value?",
            "https://x.test/?next=https%3A%2F%2Fa.test%2F%3Fk%3DS3cr3t%252F%252B%2BValue%253F",
            "https://x.test/?next=S3cr3t%25252F%25252B%252520Value%25253F",
        ] {
            assert!(r.holds(text), "{text}");
        }
        for text in ["", "https://x.test/?k=S3cr3t", "https://x.test/%zz%25%2525"] {
            assert!(!r.holds(text), "{text}");
        }
        assert!(!Redactor::default().holds("https://x.test/"));
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
