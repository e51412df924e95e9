//! What `validate` warns of in a check that can be run, but hardly does what was meant: a body that is never there, a JSON file that is none, a keyword that
//! no JSON Schema knows, a certificate of ours that ends soon. Never an error, and never looked at by a run.

use std::path::Path;

use http::Method;
use serde_json::Value;

use super::body::Body;
use super::schema::strange_keyword_blocking;
use super::{HttpCheck, body};
use crate::clock::UnixMs;
use crate::transport::OwnCertificate;

/// A warning: where it stands in the check's own table, what is doubtful, and what is expected instead.
pub(in crate::probe) type Doubt = (&'static str, String, &'static str);

impl HttpCheck {
    /// What is doubtful about it by that time. Reads the files it names: blocking.
    pub fn doubts_blocking(&self, at: UnixMs) -> Vec<Doubt> {
        let own = self.own.as_deref().and_then(|own| own_certificate_blocking(own, at));
        let schema =
            self.expect.schema.as_deref().and_then(strange_keyword_blocking).map(|what| {
                ("expect.schema", what, "expected a keyword of JSON Schema; one of your own is allowed, and asks nothing here")
            });
        [self.head(), own, schema, self.json_file_blocking()].into_iter().flatten().collect()
    }

    /// An answer to HEAD has no body.
    fn head(&self) -> Option<Doubt> {
        let expect = &self.expect;
        let of_a_body = [
            ("expect.schema", expect.schema.is_some()),
            ("expect.json", !expect.json.is_empty()),
            ("expect.contains", !expect.contains.is_empty()),
            ("expect.matches", expect.matches.is_some()),
        ];
        let (key, _) = of_a_body.into_iter().find(|(_, given)| *given && self.method == Method::HEAD)?;
        Some((key, "never holds: the answer to HEAD has no body".to_owned(), "expected method = \"GET\", or no expectation of a body"))
    }

    /// A file that is named `.json` and holds no JSON. One with placeholders may become JSON when they are filled.
    fn json_file_blocking(&self) -> Option<Doubt> {
        let Some(Body::File(file, fillings)) = self.body.as_deref() else { return None };
        let file = &file.path;
        let named = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        if !named || !fillings.is_empty() {
            return None;
        }
        Some(("body.file", not_json(file, &body::read_file_blocking(file).ok()?)?, "expected JSON, or a file of another name"))
    }
}

fn not_json(file: &Path, bytes: &[u8]) -> Option<String> {
    let file = file.display();
    if bytes.trim_ascii().is_empty() {
        return Some(format!("{file} is empty, and is sent as it is"));
    }
    let why = serde_json::from_slice::<Value>(bytes).err()?;
    Some(format!("{file} is not JSON, and is sent as it is (line {}, column {})", why.line(), why.column()))
}

/// A certificate of ours that ends soon. One that has ended is an error already.
pub(in crate::probe) fn own_certificate_blocking(own: &OwnCertificate, at: UnixMs) -> Option<Doubt> {
    Some(("client.certificate", own.ends_soon_blocking(at)?, "expected a renewed certificate in its place: it is read anew for every run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_file_that_is_none_is_told_by_its_place() {
        let said = |text: &str| not_json(Path::new("b.json"), text.as_bytes());
        assert_eq!(said("{\"a\": [1]}"), None);
        assert_eq!(said(" \n").unwrap(), "b.json is empty, and is sent as it is");
        assert_eq!(said("{\n\"a\": }").unwrap(), "b.json is not JSON, and is sent as it is (line 2, column 6)");
    }
}
