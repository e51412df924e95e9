//! Writing a bundle: five files into an empty directory, the manifest last, so that a bundle that was cut off is none.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

use super::csv::Lines;
use super::key::SigningKey;
use super::manifest::{self, FileEntry, Manifest};
use super::{EVIDENCE, HTML, MARKDOWN, RUNS, ZSTD_LEVEL};
use crate::evidence::{Hash, canonical, time_text};
use crate::files::words;
use crate::readiness::{Runs, Situation, decide};
use crate::report::{CheckStats, Document, LogPart, Program, Report, RunsPart, html, markdown, readiness};
use crate::soak::gate::Gate;
use crate::store::Logged;

/// What goes into a bundle, but for the runs.
#[derive(Debug)]
pub struct Content {
    /// What is judged, and by what.
    pub situation: Situation,
    /// The evidence log as it was then.
    pub log: Vec<Logged>,
}

/// A bundle that was written.
#[derive(Debug)]
pub struct Written {
    /// The answer it holds.
    pub gate: Gate,
    /// Its manifest.
    pub manifest: Manifest,
    /// Runs and spans in it.
    pub lines: u64,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten<E> {
    /// The directory holds something already.
    #[error("{} is not empty: a bundle is written into a directory of its own", .0.display())]
    NotEmpty(PathBuf),
    /// A file can't be written.
    #[error("{}: {}", path.display(), words(error.kind()))]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The runs can't be read.
    #[error(transparent)]
    Runs(E),
    /// A defect of ours.
    #[error("the evidence can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Counts and hashes what goes through it.
struct Hashing<W: Write> {
    inner: W,
    context: Context,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    fn finish(self) -> (W, Hash, u64) {
        (self.inner, Hash::from_slice(self.context.finish().as_ref()).unwrap_or(Hash([0; 32])), self.bytes)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(data)?;
        self.context.update(data.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Judges, and writes everything behind the answer into a directory, which is made or empty. `runs` is asked once for each check, in order. Blocking.
pub fn write_bundle<E>(content: Content, runs: &mut Runs<'_, E>, dir: &Path, key: Option<&SigningKey>) -> Result<Written, NotWritten<E>> {
    std::fs::create_dir_all(dir).map_err(at(dir))?;
    if std::fs::read_dir(dir).map_err(at(dir))?.next().is_some() {
        return Err(NotWritten::NotEmpty(dir.to_owned()));
    }
    let Content { situation, log } = content;
    let (gate, stats, runs_part, runs_entry) = write_runs(&situation, runs, &dir.join(RUNS))?;
    let lines = runs_part.lines;
    let document = Document::new(situation, &gate, LogPart::of(log), runs_part)?;
    let report = Report { document: &document, gate: &gate, stats: &stats };
    let mut files = vec![runs_entry];
    // One after the other: each is megabytes.
    files.push(write_file(dir, EVIDENCE, |file| document.write(&mut |piece| file.put(piece)))?);
    let page = readiness(&report);
    files.push(write_file(dir, HTML, |file| file.put(html(&page).as_bytes()))?);
    files.push(write_file(dir, MARKDOWN, |file| file.put(markdown(&page).as_bytes()))?);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let manifest = Manifest {
        schema: manifest::SCHEMA.to_owned(),
        program: Program::this(),
        customer: document.given.customer.clone(),
        environment: document.given.environment.clone(),
        as_of: time_text(document.given.as_of),
        files,
        chain_head: document.log.head,
        chain_records: document.log.records.last().map_or(0, |r| r.seq),
        key_id: None,
        public_key: None,
        signature: None,
    };
    let manifest = manifest.signed(key)?;
    write_file(dir, manifest::NAME, |file| file.put(&canonical(&manifest)?))?;
    // The names too are on disk.
    File::open(dir).and_then(|d| d.sync_all()).map_err(at(dir))?;
    Ok(Written { gate, manifest, lines })
}

type RunsWritten = (Gate, Vec<CheckStats>, RunsPart, FileEntry);

/// One check at a time: judged, counted, written, forgotten.
fn write_runs<E>(situation: &Situation, runs: &mut Runs<'_, E>, path: &Path) -> Result<RunsWritten, NotWritten<E>> {
    let at = |error: io::Error| NotWritten::File { path: path.to_owned(), error };
    let file = new_file(path).map_err(at)?;
    let mut packed = zstd::Encoder::new(Hashing::new(BufWriter::with_capacity(1 << 16, file)), ZSTD_LEVEL).map_err(at)?;
    packed.include_checksum(true).map_err(at)?;
    // Chunks of one size, so that the packed bytes follow from the runs alone.
    let mut lines = Lines::new(BufWriter::with_capacity(1 << 17, Hashing::new(packed))).map_err(at)?;
    let mut stats = Vec::new();
    let gate = decide(situation, &mut |check, window| {
        let found = runs(check, window).map_err(NotWritten::Runs)?;
        lines.write(&check.check, &found).map_err(at)?;
        stats.push(CheckStats::of(&check.check, &found, situation.window_of(&check.check).map_or(window.start, |w| w.start)));
        Ok::<_, NotWritten<E>>(found)
    })?;
    let (count, slots) = (lines.lines, lines.slots);
    let (packed, sha256, _) = lines.into_inner().into_inner().map_err(|e| at(e.into_error()))?.finish();
    let (out, packed_sha256, bytes) = packed.finish().map_err(at)?.finish();
    out.into_inner().map_err(|e| at(e.into_error()))?.sync_all().map_err(at)?;
    let part = RunsPart { file: RUNS.to_owned(), lines: count, slots, sha256 };
    Ok((gate, stats, part, FileEntry { name: RUNS.to_owned(), bytes, sha256: packed_sha256 }))
}

fn at<E>(path: &Path) -> impl Fn(io::Error) -> NotWritten<E> {
    move |error| NotWritten::File { path: path.to_owned(), error }
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

/// A file that is being written.
struct Making {
    path: PathBuf,
    out: Hashing<BufWriter<File>>,
}

impl Making {
    fn put<E>(&mut self, bytes: &[u8]) -> Result<(), NotWritten<E>> {
        self.out.write_all(bytes).map_err(at(&self.path))
    }
}

/// Writes a file, as it is made.
fn write_file<E>(dir: &Path, name: &str, make: impl FnOnce(&mut Making) -> Result<(), NotWritten<E>>) -> Result<FileEntry, NotWritten<E>> {
    let path = dir.join(name);
    let file = new_file(&path).map_err(at(&path))?;
    let mut making = Making { path, out: Hashing::new(BufWriter::with_capacity(1 << 16, file)) };
    make(&mut making)?;
    let (out, sha256, bytes) = making.out.finish();
    let done = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    done.map_err(at(&making.path))?;
    Ok(FileEntry { name: name.to_owned(), bytes, sha256 })
}
