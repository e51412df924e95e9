//! `soakwatch webhook sign|verify`: makes and judges the signatures of webhooks, for whoever debugs one. Asks nobody, stores nothing, and prints no secret.

mod cases;
mod lines;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CliError, CliResult, Exit, complain, say};
use crate::clock::{Clock, UnixMs};
use crate::explain::plain;
use crate::files;
use crate::hex::Hex;
use crate::secret::{REDACTED, Redactor, SecretRef, SecretValue};
use crate::webhook::{self, Headers, MAX_BODY, Outgoing, Request, Scheme, Template, Verdict};

/// Signatures of webhooks: make one, or find out why one does not fit
#[derive(Debug, Args)]
pub(super) struct Webhook {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Sign(Sign),
    Verify(Verify),
}

/// Sign a body as a sender of the scheme would; print the headers to send with it. Exit code: 0 it is signed, 65 it can't be
#[derive(Debug, Args)]
struct Sign {
    #[command(flatten)]
    how: How,
    /// The id of the message; a random one if not given
    #[arg(long)]
    id: Option<String>,
    /// What the body is (Content-Type)
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// One JSON object instead of lines: url and headers
    #[arg(long)]
    json: bool,
    /// The body, byte for byte; standard input if not given, or `-`
    file: Option<PathBuf>,
}

/// Judge a message: is it authentic, and if not, which mix-up would explain it. Exit code: 0 valid, 1 invalid, 65 it can't be read
#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    how: How,
    /// A header of the message, such as "X-Hub-Signature-256: sha256=..."; may be given many times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Read many: a JSON object a line (name, kind, scheme, secret or secrets, now, request, seen_ids); print a verdict or an answer a line
    #[arg(long, conflicts_with_all = ["scheme", "secrets", "headers", "template", "url", "method"])]
    jsonl: bool,
    /// The body, byte for byte as it came (with --jsonl the lines); standard input if not given, or `-`
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct How {
    /// Whose way of signing: standard-webhooks, svix, stripe, github, slack, ... (docs/webhooks.md), or generic with --template
    #[arg(long, value_name = "NAME", value_parser = scheme_name)]
    scheme: Option<String>,
    /// The environment variable that holds the secret; several while a secret is rotated
    #[arg(long = "secret-env", value_name = "NAME")]
    secrets: Vec<String>,
    /// A key of the template of scheme generic, such as 'signed={timestamp}.{body}'; many
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    template: Vec<(String, String)>,
    /// As if it were this time, such as 2026-12-01T08:00:00Z; now unless given
    #[arg(long, value_name = "TIME", value_parser = super::explain::time)]
    at: Option<UnixMs>,
    /// The method of the request
    #[arg(long, default_value = "POST")]
    method: String,
    /// The whole address as the sender knows it (HubSpot and Twilio sign it)
    #[arg(long, default_value = "")]
    url: String,
}

/// `generic` and the names of the table.
const GENERIC: &str = "generic";

fn scheme_name(text: &str) -> Result<String, String> {
    if text == GENERIC || Scheme::named(text).is_some() { Ok(text.to_owned()) } else { Err(expected_scheme(text)) }
}

/// What was expected for a scheme that nobody knows. Does not repeat it: it may be a secret in the wrong place.
fn expected_scheme(text: &str) -> String {
    let hint = Scheme::nearest(text).map(|n| format!(" (did you mean \"{n}\"?)")).unwrap_or_default();
    let all: Vec<&str> = Scheme::all().map(Scheme::name).chain([GENERIC]).collect();
    format!("expected one of {}{hint}", all.join(", "))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').filter(|(n, _)| !n.trim().is_empty()).ok_or("expected \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Webhook) -> CliResult {
    match &args.what {
        What::Sign(args) => sign(args),
        What::Verify(args) if args.jsonl => many(args),
        What::Verify(args) => verify(args),
    }
}

impl How {
    fn at(&self) -> UnixMs {
        self.at.unwrap_or_else(|| Clock::System.now())
    }

    fn scheme(&self) -> Result<Scheme, CliError> {
        let keys: BTreeMap<String, String> = self.template.iter().cloned().collect();
        let usage = |why: String| Exit::Usage.with(anyhow::anyhow!("--template {why}"));
        match self.scheme.as_deref() {
            Some(GENERIC) => Template::read(&keys).map(|t| t.scheme().clone()).map_err(usage),
            None => Err(Exit::Usage.with(anyhow::anyhow!("--scheme is missing: {}", expected_scheme("")))),
            Some(name) if keys.is_empty() => Scheme::named(name).cloned().ok_or_else(|| usage(expected_scheme(name))),
            _ => Err(usage("belongs to --scheme generic".into())),
        }
    }

    fn secrets(&self) -> Result<Vec<SecretValue>, CliError> {
        if self.secrets.is_empty() {
            return Err(
                Exit::Usage.with(anyhow::anyhow!("--secret-env is missing: expected the environment variable that holds the secret"))
            );
        }
        let read = |name: &String| SecretRef::Env(name.clone()).read_blocking().map_err(|why| Exit::BadInput.with(anyhow::anyhow!(why)));
        self.secrets.iter().map(read).collect()
    }
}

fn source(file: Option<&Path>) -> Result<(Box<dyn Read>, String), CliError> {
    match file.filter(|f| *f != Path::new("-")) {
        None => Ok((Box::new(std::io::stdin()), "standard input".into())),
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|e| unread(&name, &e))?;
            Ok((Box::new(file), name))
        }
    }
}

fn unread(name: &str, e: &std::io::Error) -> CliError {
    Exit::BadInput.with(anyhow::anyhow!("{name}: {}", files::words(e.kind())))
}

/// The body, up to one byte more than is judged.
fn body(file: Option<&Path>) -> Result<Vec<u8>, CliError> {
    let (input, name) = source(file)?;
    let mut bytes = Vec::new();
    input.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes).map_err(|e| unread(&name, &e))?;
    Ok(bytes)
}

fn redactor(secrets: &[SecretValue]) -> Redactor {
    let mut redactor = Redactor::default();
    secrets.iter().for_each(|s| redactor.add(s));
    redactor
}

fn sign(args: &Sign) -> CliResult {
    let (scheme, secrets) = (args.how.scheme()?, args.how.secrets()?);
    let body = body(args.file.as_deref())?;
    let id = args.id.clone().map_or_else(random_id, Ok)?;
    let message = Outgoing { id: &id, method: &args.how.method, url: &args.how.url, content_type: Some(&args.content_type), body: &body };
    let signed = webhook::sign(&scheme, &secrets, &message, args.how.at()).map_err(|why| Exit::BadInput.with(anyhow::anyhow!(why)))?;
    let redactor = redactor(&secrets);
    // A scheme that shows its secret in a header shows it to the endpoint, not here.
    let headers = signed.headers.iter().map(|(n, v)| {
        let value = if scheme.presents_secret() { REDACTED.to_owned() } else { redactor.clean(v) };
        (n.as_str(), value)
    });
    let url = redactor.clean(&signed.url);
    if args.json {
        let headers: serde_json::Map<String, serde_json::Value> = headers.map(|(n, v)| (n.to_owned(), v.into())).collect();
        say(json!({ "url": url, "headers": headers }));
        return Ok(Exit::Yes);
    }
    headers.for_each(|(n, v)| say(format_args!("{n}: {}", plain(&v))));
    if signed.url != args.how.url {
        complain(format_args!("send it to {}", plain(&url)));
    }
    Ok(Exit::Yes)
}

fn random_id() -> Result<String, CliError> {
    let mut bytes = [0u8; 12];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Exit::Internal.with(anyhow::anyhow!("the system gave no random bytes")))?;
    Ok(format!("msg_{}", Hex(&bytes)))
}

fn verify(args: &Verify) -> CliResult {
    let (scheme, secrets) = (args.how.scheme()?, args.how.secrets()?);
    let body = body(args.file.as_deref())?;
    let headers: Headers = args.headers.iter().map(|(n, v)| (n, v)).collect();
    let request = Request { method: &args.how.method, url: &args.how.url, headers: &headers, body: &body };
    let verdict = webhook::verify(&scheme, &secrets, &request, args.how.at(), &|_| false);
    let redactor = redactor(&secrets);
    let clean = |text: &str| redactor.clean(text);
    said(&scheme, &secrets, &request, &verdict, &clean).iter().for_each(|line| say(plain(line)));
    Ok(if verdict.valid { Exit::Yes } else { Exit::No })
}

/// A verdict for people, a line each. What the request says passes through `clean`; our own words do not, so that a secret that is one of them does not show.
fn said(scheme: &Scheme, secrets: &[SecretValue], request: &Request<'_>, verdict: &Verdict, clean: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut lines = vec![match verdict.reason {
        None => "valid".to_owned(),
        Some(reason) => format!("invalid: {}", reason.as_str()),
    }];
    let mut put = |name: &str, text: String| lines.push(format!("{name:<10}{text}"));
    put("scheme", scheme.name().to_owned());
    for (n, part) in webhook::shown(scheme, request).into_iter().enumerate() {
        let text = part.text.map(|t| format!(": {:?}", clean(&t))).unwrap_or_default();
        let size = part.bytes.map(|n| format!(", {n} bytes")).unwrap_or_default();
        put(if n == 0 { "signed" } else { "" }, format!("{}{size}{text}", part.name));
    }
    if let Some(id) = &verdict.id {
        put("id", clean(&id.source.as_ref().map_or_else(|| id.id.clone(), |s| format!("{} of {s}", id.id))));
    }
    if let (Some(n), 2..) = (verdict.secret, secrets.len()) {
        put("made with", format!("secret {} of {}", n + 1, secrets.len()));
    }
    if let Some(ms) = verdict.age_ms.filter(|_| verdict.valid) {
        put("stamped", if ms < 0 { format!("{} s in the future", ms.unsigned_abs() / 1000) } else { format!("{} s ago", ms / 1000) });
    }
    for clue in webhook::clues(scheme, secrets, request, verdict, clean) {
        put("clue", clue);
    }
    lines
}

/// Goes on after a line that can't be read, and says so at the end.
fn many(args: &Verify) -> CliResult {
    let (input, name) = source(args.file.as_deref())?;
    let now = args.how.at();
    let mut exit = Exit::Yes;
    let mut lines = lines::Lines::new(BufReader::new(input));
    for number in 1u64.. {
        let answer = match lines.next().map_err(|e| unread(&name, &e))? {
            None => break,
            Some(line) => line.map_err(str::to_owned).and_then(|line| cases::answer(line, now)),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) => say(answer),
            Err(why) => {
                complain(format_args!("{name}: line {number}: {why}"));
                exit = Exit::BadInput;
            }
        }
    }
    Ok(exit)
}
