//! Checking a bundle with nothing but the bundle: hashes, signature, chain, and the answer made again from the runs. Everything that does not fit is named.
//!
//! The files were made by strangers: sizes, windows, lines and depth are bounded. Says what does not fit, never who did it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::csv::{Reading, Unread};
use super::differs::differs;
use super::key::PublicKey;
use super::manifest::{self, Manifest};
use super::{EVIDENCE, FILES, HTML, MARKDOWN, RUNS};
use crate::clock::UnixMs;
use crate::evidence::{Hash, canonical, chain, time_text};
use crate::files;
use crate::readiness::{Basis, Known, Log, SoakCase, decide, other_config, seen_until};
use crate::report::{CheckStats, Document, Program, Report, SCHEMA, answer, html, markdown, readiness};
use crate::soak::gate::Gate;

const MAX_MANIFEST: u64 = 64 << 10;
const MAX_DOCUMENT: u64 = 64 << 20;
/// Of the packed runs; and of the text in them.
const MAX_PACKED: u64 = 1 << 30;
const MAX_TEXT: u64 = 4 << 30;
/// zstd may ask for a window of this many bits: 8 MiB.
const WINDOW_LOG: u32 = 23;
/// Findings that are kept.
const MAX_FINDINGS: usize = 100;
/// Slots without a run that are named, where runs are missing.
const MAX_GAPS: usize = 5;

/// Something that does not fit.
pub type Finding = String;

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// What does not fit; empty: everything does.
    pub findings: Vec<Finding>,
    /// The manifest, if it can be read.
    pub manifest: Option<Manifest>,
    /// The answer, made again from the runs; `None`: they could not be read as far as that.
    pub gate: Option<Gate>,
    /// Runs and spans that were read.
    pub lines: u64,
}

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no bundle.
    #[error("{} is no bundle: {why}", path.display())]
    NoBundle {
        /// The directory.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The disk or its permissions.
    #[error("{}: {}", path.display(), files::words(error.kind()))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

struct Verification<'a> {
    dir: &'a Path,
    findings: Vec<Finding>,
}

/// Checks a bundle; by a key, if who signed it is to be known. Blocking.
pub fn verify(dir: &Path, key: Option<&PublicKey>) -> Result<Verified, Unreadable> {
    let mut this = Verification { dir, findings: Vec::new() };
    this.names()?;
    let (manifest, document) = (this.manifest(key)?, this.document()?);
    let mut verified = Verified { findings: Vec::new(), manifest, gate: None, lines: 0 };
    if let Some(document) = document {
        if let Some(manifest) = &verified.manifest {
            this.agree(manifest, &document);
        }
        this.log(&document);
        (verified.gate, verified.lines) = this.judge(&document)?;
    }
    verified.findings = this.findings;
    Ok(verified)
}

impl Verification<'_> {
    fn found(&mut self, what: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(what.into());
        }
    }

    fn io(&self, name: &str, error: io::Error) -> Unreadable {
        Unreadable::Io { path: self.dir.join(name), error }
    }

    /// The directory holds the five files and nothing else.
    fn names(&mut self) -> Result<(), Unreadable> {
        let no_bundle = |why: &str| Unreadable::NoBundle { path: self.dir.to_owned(), why: why.to_owned() };
        let entries = match std::fs::read_dir(self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(no_bundle("there is nothing of this name")),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(no_bundle("it is not a directory")),
            other => other.map_err(|e| self.io("", e))?,
        };
        let names: BTreeSet<String> = entries.flatten().take(1_000).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        if !names.contains(manifest::NAME) {
            return Err(no_bundle("it has no manifest.json"));
        }
        for missing in FILES.iter().filter(|f| !names.contains(**f)) {
            self.found(format!("{missing} is missing"));
        }
        for extra in names.iter().filter(|n| *n != manifest::NAME && !FILES.contains(&n.as_str())) {
            self.found(format!("{} is no part of the bundle", extra.escape_debug()));
        }
        Ok(())
    }

    /// A whole file. `None`: it is missing, which was said, or it is none that can be read, which is said.
    fn read(&mut self, name: &str, max: u64) -> Result<Option<Vec<u8>>, Unreadable> {
        match files::read_blocking(&self.dir.join(name), max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(files::Unread::Refused(io::ErrorKind::NotFound)) => Ok(None),
            Err(files::Unread::Refused(kind)) => Err(self.io(name, kind.into())),
            Err(why) => {
                self.found(format!("{name}: {why}"));
                Ok(None)
            }
        }
    }

    /// Reads JSON that must be written exactly as it is written here.
    fn json<T: serde::de::DeserializeOwned + serde::Serialize>(&mut self, name: &str, bytes: &[u8]) -> Option<T> {
        match serde_json::from_slice::<T>(bytes) {
            Ok(value) => {
                if canonical(&value).ok().as_deref() != Some(bytes) {
                    self.found(format!("{name} is not written as canonical JSON (RFC 8785)"));
                }
                Some(value)
            }
            Err(e) => {
                self.found(format!("{name} can't be read: {}", crate::observed::bounded(e.to_string(), 200)));
                None
            }
        }
    }

    /// The manifest, its signature, and the hashes of all files.
    fn manifest(&mut self, key: Option<&PublicKey>) -> Result<Option<Manifest>, Unreadable> {
        let Some(bytes) = self.read(manifest::NAME, MAX_MANIFEST)? else { return Ok(None) };
        let Some(manifest) = self.json::<Manifest>(manifest::NAME, &bytes) else { return Ok(None) };
        if manifest.schema != manifest::SCHEMA {
            self.found(format!("manifest.json: its schema is {:?}, expected {:?}", manifest.schema, manifest::SCHEMA));
        }
        if let Some(problem) = manifest.signature_problem(key) {
            self.found(format!("manifest.json: {problem}"));
        }
        let named: Vec<&str> = manifest.files.iter().map(|f| f.name.as_str()).collect();
        if named != FILES {
            self.found(format!("manifest.json: it names {named:?}, expected {FILES:?}"));
        }
        for name in FILES {
            let entry = manifest.files.iter().find(|f| f.name == name);
            if let (Some(entry), Some((sha256, bytes))) = (entry, self.hash(name)?) {
                if bytes != entry.bytes {
                    self.found(format!("{name} was changed: it has {bytes} bytes, not {}", entry.bytes));
                } else if sha256 != entry.sha256 {
                    self.found(format!("{name} was changed: its SHA-256 is {sha256}, not {}", entry.sha256));
                }
            }
        }
        Ok(Some(manifest))
    }

    fn hash(&mut self, name: &str) -> Result<Option<(Hash, u64)>, Unreadable> {
        let path = self.dir.join(name);
        match std::fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(meta) if !meta.is_file() || meta.len() > MAX_PACKED => {
                self.found(format!(
                    "{name} is no file of a bundle: {}",
                    if meta.is_file() { "it is too large" } else { "it is not a regular file" }
                ));
                return Ok(None);
            }
            other => other.map_err(|e| self.io(name, e))?,
        };
        let mut file = File::open(&path).map_err(|e| self.io(name, e))?.take(MAX_PACKED);
        let (mut context, mut bytes, mut buffer) = (Context::new(&SHA256), 0u64, vec![0; 1 << 17]);
        loop {
            let n = file.read(&mut buffer).map_err(|e| self.io(name, e))?;
            if n == 0 {
                break;
            }
            context.update(buffer.get(..n).unwrap_or_default());
            bytes += n as u64;
        }
        Ok(Hash::from_slice(context.finish().as_ref()).map(|hash| (hash, bytes)))
    }

    fn document(&mut self) -> Result<Option<Document>, Unreadable> {
        let Some(bytes) = self.read(EVIDENCE, MAX_DOCUMENT)? else { return Ok(None) };
        let Some(document) = self.json::<Document>(EVIDENCE, &bytes) else { return Ok(None) };
        if document.schema != SCHEMA {
            self.found(format!("evidence.json: its schema is {:?}, this program reads {SCHEMA:?}", document.schema));
            return Ok(None);
        }
        Ok(Some(document))
    }

    /// What manifest and document both say.
    fn agree(&mut self, manifest: &Manifest, document: &Document) {
        let given = &document.given;
        for (what, manifest, evidence) in [
            ("customer", &manifest.customer, &given.customer),
            ("environment", &manifest.environment, &given.environment),
            ("as_of", &manifest.as_of, &time_text(given.as_of)),
            ("program.name", &manifest.program.name, &document.program.name),
            ("program.version", &manifest.program.version, &document.program.version),
            ("chain_head", &manifest.chain_head.to_string(), &document.log.head.to_string()),
            ("chain_records", &manifest.chain_records.to_string(), &document.log.records.last().map_or(0, |r| r.seq).to_string()),
        ] {
            if manifest != evidence {
                self.found(format!("manifest.json: {what} is {manifest:?}, but evidence.json says {evidence:?}"));
            }
        }
    }

    /// The chain, and what is judged held against what is on record.
    fn log(&mut self, document: &Document) {
        let (log, given) = (&document.log, &document.given);
        if log.genesis != chain::genesis() {
            self.found(format!("evidence.json: log.genesis is {}, expected {}", log.genesis, chain::genesis()));
        }
        let checked = log.check();
        checked.breaks.iter().for_each(|b| self.found(format!("evidence.json: {b}")));
        if checked.head != log.head {
            self.found(format!("evidence.json: the chain of its records ends at {}, not at log.head ({})", checked.head, log.head));
        }
        for item in &log.records {
            if item.record.as_ref().is_some_and(|r| !r.scope().concerns(&given.customer, &given.environment)) {
                self.found(format!("evidence.json: evidence record {} is not of {}/{}", item.seq, given.customer, given.environment));
            }
        }
        let said = Log::of(log.own());
        if other_config(said.config(), &given.config_hash).is_some_and(|doubt| !given.doubts.contains(&doubt)) {
            self.found("evidence.json: given.config_hash is not what the evidence log says, and nothing is doubted");
        }
        for case in &given.integrations {
            let Some(soak) = &case.soak else { continue };
            let known = said.known(&case.integration);
            let basis = Basis::of(&soak.policy, None, known);
            // A file that could not be read gives another fingerprint, and a doubt.
            let same_as_recorded = soak.superseded || !soak.unsure.is_empty() || recorded_is(soak);
            let recorded = known.and_then(|k| k.began.as_ref()).map(|b| b.fingerprint.to_string());
            for (what, same) in [
                ("recorded_fingerprint", recorded == soak.recorded_fingerprint),
                ("superseded", same_as_recorded),
                ("since", basis.since == soak.since),
                ("restarted", basis.restarted == soak.restarted),
                ("exclusions", soak.exclusions.iter().eq(known.iter().flat_map(|k| &k.exclusions))),
                ("observed", observed_is(soak, known, given.as_of)),
                ("attestations", said.attested(&given.customer, &given.environment) == soak.attestations),
            ] {
                if !same {
                    self.found(format!("evidence.json: {what} of {} is not what the evidence log says", case.integration));
                }
            }
        }
    }

    /// The answer, made again from the runs.
    fn judge(&mut self, document: &Document) -> Result<(Option<Gate>, u64), Unreadable> {
        let path = self.dir.join(RUNS);
        let file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((None, 0)),
            other => other.map_err(|e| self.io(RUNS, e))?,
        };
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Ok((None, 0));
        }
        let mut packed = zstd::Decoder::new(file.take(MAX_PACKED)).map_err(|e| self.io(RUNS, e))?;
        packed.window_log_max(WINDOW_LOG).map_err(|e| self.io(RUNS, e))?;
        let mut hashing = Hashing { inner: packed.take(MAX_TEXT), context: Context::new(&SHA256) };
        let (mut stats, mut gaps) = (Vec::new(), Vec::new());
        let judged = Reading::new(BufReader::with_capacity(1 << 17, &mut hashing)).and_then(|mut reading| {
            let gate = decide(&document.given, &mut |check, window| {
                let runs = reading.runs_of(&check.check)?;
                if let Some(n) = runs.iter().position(|r| r.slot < window.start || r.last_slot() >= window.end) {
                    return Err(Unread::Line(reading.lines - (runs.len() - n) as u64 + 1, "its slots lie outside of the window"));
                }
                if check.every.is_some() {
                    let missing = runs.windows(2).filter_map(|w| w.first().zip(w.get(1))).filter_map(|(a, b)| {
                        let next = UnixMs(a.last_slot().0.saturating_add(a.step()));
                        (next < b.slot).then_some(next)
                    });
                    gaps.extend(missing.take(MAX_GAPS).map(|slot| format!("{} at {}", check.check, time_text(slot))));
                }
                let from = document.given.window_of(&check.check).map_or(window.start, |w| w.start);
                stats.push(CheckStats::of(&check.check, &runs, from));
                Ok(runs)
            })?;
            match reading.at_end()? {
                true => Ok((gate, reading.lines, reading.slots)),
                false => Err(Unread::Line(reading.lines + 1, "it is of a check that does not come here")),
            }
        });
        let (gate, lines, slots) = match judged {
            Ok(judged) => judged,
            Err(why) => {
                self.found(match why {
                    Unread::Line(0, why) => format!("runs.csv.zst: {why}"),
                    Unread::Line(n, why) => format!("runs.csv.zst: run {n}: {why}"),
                    Unread::Io(e) => format!("runs.csv.zst can't be unpacked: {}", crate::observed::bounded(e.to_string(), 200)),
                });
                return Ok((None, 0));
            }
        };
        let part = &document.runs;
        for (what, said, is) in [("lines", part.lines, lines), ("slots", part.slots, slots)] {
            if said != is {
                self.found(format!("runs.csv.zst holds {is} {what}, but evidence.json says {said}"));
            }
        }
        if part.slots > slots && !gaps.is_empty() {
            gaps.truncate(MAX_GAPS);
            self.found(format!("runs.csv.zst has no run of {}", gaps.join(", ")));
        }
        let sha256 = Hash::from_slice(hashing.context.finish().as_ref());
        if part.file != RUNS || Some(part.sha256) != sha256 {
            self.found("runs.csv.zst was changed: its text does not have the SHA-256 that evidence.json says");
        }
        match answer(&document.given, &gate) {
            Ok(should) => differs("evidence.json: gate", &document.gate, &should).into_iter().for_each(|d| self.found(d)),
            Err(e) => self.found(format!("the answer can't be written as JSON: {e}")),
        }
        self.pages(&Report { document, gate: &gate, stats: &stats })?;
        Ok((Some(gate), lines))
    }

    /// The pages say what the evidence says; only the version that wrote them words them alike.
    fn pages(&mut self, report: &Report<'_>) -> Result<(), Unreadable> {
        if report.document.program != Program::this() {
            return Ok(());
        }
        let page = readiness(report);
        for (name, should) in [(HTML, html(&page)), (MARKDOWN, markdown(&page))] {
            if self.read(name, MAX_DOCUMENT)?.is_some_and(|bytes| bytes != should.as_bytes()) {
                self.found(format!("{name} does not say what evidence.json says"));
            }
        }
        Ok(())
    }
}

/// Whether what is judged is what was recorded, or nothing was.
fn recorded_is(soak: &SoakCase) -> bool {
    soak.recorded_fingerprint.is_none() || soak.fingerprint == soak.recorded_fingerprint
}

/// Whether what was observed is what is on record of the window's end. What no record says was known last, which nobody can hold against anything.
fn observed_is(soak: &SoakCase, known: Option<&Known>, as_of: UnixMs) -> bool {
    let end = seen_until(&soak.frame(as_of), as_of);
    let noted = known.and_then(|k| k.observed.at(end));
    match soak.observed_record {
        Some(seq) => noted.is_some_and(|n| n.seq == seq && n.observed == soak.observed),
        None => noted.is_none_or(|n| n.of != end),
    }
}

/// Hashes what is read through it.
struct Hashing<R: Read> {
    inner: R,
    context: Context,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.context.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}
