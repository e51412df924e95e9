//! What a check sends as its body: text, JSON or a form, with secrets put in at the last moment.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use toml::de::DeValue;
use url::form_urlencoded;

use super::given::{self, Given, secret_name};
use crate::config::table::{self, Field, Table};
use crate::hex;
use crate::observed::Failure;
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef};
use crate::transport::auth::reveal;

/// A body, as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `text = ".."`.
    Text(String),
    /// `json = ..`: the document, and where secrets go into it (`{ secret = { env = "X" } }`), by JSON pointer.
    Json(Value, Vec<(String, SecretRef)>),
    /// `form = { .. }`.
    Form(Vec<(String, Given)>),
    /// `file = ".."`, read at use; and the placeholders that are filled in it.
    File(FileBody, Vec<Filling>),
}

/// A file that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct FileBody {
    pub(super) path: PathBuf,
    /// What it held when the configuration was loaded (SHA-256, hex): that is judged, so nothing else is sent. `None`: nobody looked.
    loaded: Option<String>,
}

/// A text that takes the place of another wherever it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Filling {
    pub(super) placeholder: String,
    pub(super) text: String,
    /// Whether it has to stand in the file, because it stands nowhere else.
    pub(super) must: bool,
}

/// A file that is sent may hold this much.
const MOST_BYTES: u64 = 1 << 20;

/// The bytes of a file that is sent, or why they can't be: also where they hold what looks like a secret. Blocking.
pub(super) fn read_file_blocking(file: &Path) -> Result<Vec<u8>, String> {
    let bytes = crate::files::read_blocking(file, MOST_BYTES).map_err(|why| format!("{} can't be used: {why}", file.display()))?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(document) if holds_secret(&document) => {
            Err(format!("{} holds what looks like a secret, written out; such a body belongs into json, with references", file.display()))
        }
        _ => Ok(bytes),
    }
}

impl FileBody {
    /// The bytes to send; an error where they are not those the configuration was loaded with.
    fn read_blocking(&self) -> Result<Vec<u8>, String> {
        let bytes = read_file_blocking(&self.path)?;
        if self.loaded.as_ref().is_some_and(|loaded| *loaded != hex::sha256(&bytes)) {
            let path = self.path.display();
            return Err(format!("{path} has changed since the configuration was loaded, and was not sent: a reload takes it over"));
        }
        Ok(bytes)
    }
}

impl Body {
    /// Reads the table `body`.
    pub(super) fn read(mut t: Table<'_>) -> Option<Self> {
        let text = t.opt::<String>("text").map(Self::Text);
        let json = t.value("json").and_then(|v| read_json(&v));
        let fields = t.map("form").into_iter().filter_map(|(name, v)| given::read(&v, secret_name(&name)).map(|g| (name, g))).collect();
        let form = t.has("form").then_some(Self::Form(fields));
        let file = t.opt::<PathBuf>("file").map(|p| Self::File(FileBody { path: t.source().dir.join(p), loaded: None }, Vec::new()));
        let given: Vec<&str> = ["text", "json", "form", "file"].into_iter().filter(|k| t.has(k)).collect();
        if given.len() != 1 {
            let what = if given.is_empty() {
                "does not say what to send".to_owned()
            } else {
                format!("has more than one content ({})", given.join(", "))
            };
            t.problem("", what, "expected exactly one of text, json, form, file");
        }
        t.finish();
        text.or(json).or(form).or(file)
    }

    /// The `Content-Type` unless `headers` says another.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Json(..) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::File(file, _) => match file.path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
                "json" => "application/json",
                "xml" => "application/xml",
                "txt" => "text/plain; charset=utf-8",
                "csv" => "text/csv; charset=utf-8",
                _ => "application/octet-stream",
            },
        }
    }

    /// Notes what its file holds, as far as it is one that can be read.
    pub(in crate::probe) fn take(&mut self, hash: impl FnOnce(&Path) -> Option<String>) {
        if let Self::File(file, _) = self {
            file.loaded = hash(&file.path);
        }
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Text(_) | Self::File(..) => Vec::new(),
            Self::Json(_, secrets) => secrets.iter().map(|(_, s)| s.clone()).collect(),
            Self::Form(fields) => fields.iter().filter_map(|(_, g)| g.secret().cloned()).collect(),
        }
    }

    /// The bytes to send.
    pub(super) async fn build(&self, redactor: &mut Redactor) -> Result<Bytes, Failure> {
        Ok(match self {
            Self::Text(text) => Bytes::from(text.clone()),
            Self::Json(document, secrets) => {
                let mut document = document.clone();
                for (pointer, secret) in secrets {
                    let value = reveal(secret, redactor).await?;
                    if let Some(place) = document.pointer_mut(pointer) {
                        *place = Value::String(value.expose().to_owned());
                    }
                }
                Bytes::from(document.to_string())
            }
            Self::File(file, fillings) => {
                let of = file.clone();
                let read = tokio::task::spawn_blocking(move || of.read_blocking()).await;
                let bytes = read.map_err(|_| "reading was cut off".to_owned()).and_then(|r| r);
                let bytes = bytes.map_err(|why| Failure::ours(Cause::File, format!("the body: {why}")))?;
                filled(&file.path, bytes, fillings)?
            }
            Self::Form(fields) => {
                let mut values = Vec::new();
                for (name, given) in fields {
                    match given {
                        Given::Text(text) => values.push((name, text.clone())),
                        Given::Secret(secret) => values.push((name, reveal(secret, redactor).await?.expose().to_owned())),
                    }
                }
                Bytes::from(form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish())
            }
        })
    }
}

fn filled(file: &Path, bytes: Vec<u8>, fillings: &[Filling]) -> Result<Bytes, Failure> {
    if fillings.is_empty() {
        return Ok(Bytes::from(bytes));
    }
    let unfit = |why: &str| Failure::ours(Cause::File, format!("the body: {} can't be used: {why}", file.display()));
    let mut text = String::from_utf8(bytes).map_err(|_| unfit("it is not UTF-8 text, so nothing can be filled in"))?;
    for Filling { placeholder, text: with, must } in fillings {
        if *must && !text.contains(placeholder) {
            return Err(unfit(&format!("it holds no {placeholder}, and neither does anything else of the request")));
        }
        text = text.replace(placeholder, with);
    }
    Ok(Bytes::from(text))
}

fn read_json(value: &table::Value<'_>) -> Option<Body> {
    if let DeValue::String(text) = value.value {
        return match serde_json::from_str::<Value>(text) {
            Ok(document) if holds_secret(&document) => {
                let expected = "expected the body as TOML, json = { key = { secret = { env = \"NAME\" } } }";
                value.source.report(value.at.clone(), &value.path, "holds what looks like a secret, written out", expected, false);
                None
            }
            Ok(document) => Some(Body::Json(document, Vec::new())),
            Err(e) => {
                let expected = "expected a TOML value, or a text that holds JSON";
                value.source.report(value.at.clone(), &value.path, format!("is not JSON: {e}"), expected, false);
                None
            }
        };
    }
    let mut secrets = Vec::new();
    let document = document(value, "", &mut secrets)?;
    Some(Body::Json(document, secrets))
}

/// A TOML value as JSON; notes where secrets go.
fn document(value: &table::Value<'_>, pointer: &str, secrets: &mut Vec<(String, SecretRef)>) -> Option<Value> {
    match value.value {
        DeValue::Array(_) => {
            let items = table::members(value).into_iter().enumerate();
            let read: Vec<_> = items.map(|(n, v)| document(&v, &format!("{pointer}/{n}"), secrets)).collect();
            read.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
        DeValue::Table(entries) => {
            let mut object = serde_json::Map::new();
            let mut good = true;
            for (key, v) in entries.iter() {
                let name = key.get_ref().as_ref();
                let path = format!("{}.{name}", value.path);
                let inner = table::Value { source: value.source, path, at: v.span(), value: v.get_ref() };
                if name == "secret" && entries.len() == 1 && matches!(inner.value, DeValue::Table(_)) {
                    secrets.push((pointer.to_owned(), given::reference(&inner)?));
                    return Some(Value::Null);
                }
                let wrong = match inner.value {
                    DeValue::String(s) if !s.is_empty() => Some("holds what looks like a secret, written out"),
                    // It would be sent as it stands.
                    DeValue::Table(_) if <SecretRef as Field>::read(inner.value, false).is_ok() => {
                        Some("refers to a secret without saying so")
                    }
                    _ => None,
                };
                if let Some(what) = wrong.filter(|_| secret_name(name)) {
                    let expected = "expected { secret = { env = \"NAME\" } } or { secret = { file = \"/path\" } }";
                    value.source.report(inner.at, &inner.path, what, expected, false);
                    good = false;
                    continue;
                }
                let escaped = name.replace('~', "~0").replace('/', "~1");
                match document(&inner, &format!("{pointer}/{escaped}"), secrets) {
                    Some(v) => drop(object.insert(name.to_owned(), v)),
                    None => good = false,
                }
            }
            good.then_some(Value::Object(object))
        }
        _ => scalar(value),
    }
}

/// A single TOML value as JSON; a time becomes its text.
pub(super) fn scalar(value: &table::Value<'_>) -> Option<Value> {
    match value.value {
        DeValue::String(s) => Some(Value::String(s.to_string())),
        DeValue::Boolean(b) => Some(Value::Bool(*b)),
        DeValue::Integer(_) => table::read_field::<i64>(value).map(Value::from),
        DeValue::Float(_) => table::read_field::<f64>(value).map(Value::from),
        DeValue::Datetime(d) => Some(Value::String(d.to_string())),
        DeValue::Array(_) | DeValue::Table(_) => document(value, "", &mut Vec::new()),
    }
}

fn holds_secret(document: &Value) -> bool {
    match document {
        Value::Object(o) => o.iter().any(|(k, v)| (secret_name(k) && v.as_str().is_some_and(|s| !s.is_empty())) || holds_secret(v)),
        Value::Array(a) => a.iter().any(holds_secret),
        _ => false,
    }
}
