//! Reads a configuration directory whole: `soakwatch.toml` and `customers/*.toml`, every problem of every file at once. Blocking.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::judge::Judge;
use super::model::{CheckDef, Config, Customer, Integration};
use super::stamp::Stamp;
use super::table::{Problem, Source};
use super::{customers, layers, syntax};
use crate::clock::UnixMs;
use crate::fields::IntegrationId;
use crate::files::{self, Unread};
use crate::hex;

/// The daemon's settings, in the configuration directory.
pub(super) const SETTINGS: &str = "soakwatch.toml";
/// The built-in defaults, where somebody keeps them beside the settings.
const REFERENCE: &str = "reference.toml";
/// The folder of customers, in the configuration directory.
pub(super) const CUSTOMERS: &str = "customers";
const MAX_FILE_BYTES: u64 = 1 << 20;
pub(super) const MAX_FILES: usize = 10_000;
/// Of all files together: bounds the time a reload takes.
const MAX_TOTAL_BYTES: u64 = 256 << 20;
/// Of all files together; each file has its own limit besides.
const MAX_PROBLEMS: usize = 10_000;

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// A secret that can't be read now is an error; else a warning.
    pub check_secrets: bool,
    /// The variables `SOAKWATCH__SECTION__KEY`; others are passed over. [`environment`] gives the process's own.
    pub env: Vec<(String, String)>,
    /// The present time: dates years ahead of it are taken for slips.
    pub now: UnixMs,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration; `None` if there is any error.
    pub config: Option<Config>,
    /// How all that was read looked just before: of a configuration with errors too, so that its mending is seen.
    pub stamp: Stamp,
    /// What is wrong with all files, by file, line and column; warnings included.
    pub problems: Vec<Problem>,
    /// How much was read, right or wrong.
    pub counts: Counts,
}

/// How much a configuration holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Customers' files.
    pub customers: u64,
    /// `[[integration]]` tables.
    pub integrations: u64,
    /// `[[integration.check]]` tables.
    pub checks: u64,
    /// Integrations with a soak.
    pub soaks: u64,
    /// Environments that have one.
    pub gates: u64,
    /// Names that must be attested, once for each environment.
    pub attested: u64,
    /// Checks whose messages arrive at the receiver, without those that are paused.
    pub receiving: u64,
    /// Integrations that have such checks.
    pub received: u64,
}

impl Counts {
    /// Adds the checks of a customer whose messages arrive.
    fn add_receiving(&mut self, checks: &[Arc<CheckDef>]) {
        // A paused one expects nothing.
        let receiving = checks.iter().filter(|c| c.kind.receiving().is_some() && c.integration.paused.is_none());
        let integrations: BTreeSet<&IntegrationId> = receiving.clone().map(|c| &c.integration.id).collect();
        self.receiving += receiving.count() as u64;
        self.received += integrations.len() as u64;
    }

    /// Adds the soaks of a customer.
    fn add_soaks(&mut self, integrations: &[Arc<Integration>]) {
        let mut gates: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (i, soak) in integrations.iter().filter_map(|i| Some((i, i.soak.as_ref()?))) {
            self.soaks += 1;
            gates.entry(i.id.environment()).or_default().extend(soak.attest.iter().map(String::as_str));
        }
        self.gates += gates.len() as u64;
        self.attested += gates.values().map(|names| names.len() as u64).sum::<u64>();
    }
}

/// The process's own variables that set something.
pub fn environment() -> Vec<(String, String)> {
    let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).filter(|(name, _)| name.starts_with(layers::PREFIX)).collect()
}

/// Reads and judges the directory. Never stops at the first problem. Reads files: call it off the runtime's threads.
pub fn load(dir: &Path, options: &LoadOptions) -> Loaded {
    // Before anything is read: what changes meanwhile is seen as changed.
    let stamp = Stamp::of(dir);
    let mut reader = Reader {
        dir: dir.to_owned(),
        absolute: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
        digest: Context::new(&SHA256),
        bytes: 0,
        problems: Vec::new(),
    };
    let mut counts = Counts::default();
    let Some(files) = reader.list() else { return Loaded { config: None, stamp, problems: reader.problems, counts } };
    let mut judge = Judge::new(options.now, options.check_secrets);
    let customers = reader.customers(&files, &mut judge, &mut counts);
    let settings_file = reader.dir.join(SETTINGS);
    let text = if fs::symlink_metadata(&settings_file).is_ok() { reader.text(SETTINGS) } else { None };
    let name = shown(&settings_file);
    let (settings, problems) = layers::read(&reader.absolute, &name, text.as_deref(), &options.env, counts, &mut judge);
    reader.problems.extend(problems);
    if settings.probe.proxy.is_some() {
        reader.problems.append(&mut judge.if_proxied);
    }

    let mut problems = reader.problems;
    problems.sort();
    problems.dedup();
    if problems.len() > MAX_PROBLEMS {
        let error = problems.iter().skip(MAX_PROBLEMS).find(|p| !p.warning).cloned();
        problems.truncate(MAX_PROBLEMS);
        problems.extend(error);
    }
    let hash = hex::encode(reader.digest.finish().as_ref());
    let stamp = stamp.with(judge.named);
    let of_it = stamp.clone();
    let config = problems.iter().all(|p| p.warning).then_some(Config { dir: reader.absolute, settings, customers, hash, stamp: of_it });
    Loaded { config, stamp, problems, counts }
}

struct Reader {
    /// As the user wrote it: problems name files this way.
    dir: PathBuf,
    /// Relative paths in the files start here, wherever the process is later.
    absolute: PathBuf,
    digest: Context,
    bytes: u64,
    problems: Vec<Problem>,
}

/// Names that editors and Kubernetes make for themselves.
pub(super) fn passed_over(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~')
}

fn shown(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "?")
}

impl Reader {
    /// A problem of a whole file.
    fn refuse(&mut self, path: &Path, what: impl Into<String>, expected: &str) {
        self.problems.push(Problem {
            file: shown(path),
            line: 0,
            column: 0,
            path: String::new(),
            what: what.into(),
            expected: expected.into(),
            warning: false,
        });
    }

    /// A warning about a whole file.
    fn warn(&mut self, path: &Path, what: &str, expected: &str) {
        let file = shown(path);
        self.problems.push(Problem {
            file,
            line: 0,
            column: 0,
            path: String::new(),
            what: what.into(),
            expected: expected.into(),
            warning: true,
        });
    }

    /// The customers' files by name, relative to the directory. Names that start with a dot are passed over (editors' and Kubernetes' own).
    fn list(&mut self) -> Option<Vec<String>> {
        let dir = self.dir.clone();
        let wrong = match fs::metadata(&dir) {
            Ok(m) if m.is_dir() => None,
            Ok(_) => Some("is not a directory".to_owned()),
            Err(e) => Some(format!("can't be read: {}", files::words(e.kind()))),
        };
        if let Some(what) = wrong {
            self.refuse(&dir, what, "expected the directory that holds soakwatch.toml and customers/");
            return None;
        }
        let folder = dir.join(CUSTOMERS);
        let (mut names, mut strays) = (Vec::new(), Vec::new());
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    match entry.map(|e| e.file_name().into_string()) {
                        Ok(Ok(name)) if passed_over(&name) => {}
                        Ok(Ok(name)) if name.ends_with(".toml") => names.push(format!("{CUSTOMERS}/{name}")),
                        Ok(Ok(name)) => strays.push(folder.join(name)),
                        Ok(Err(name)) => {
                            self.refuse(&folder.join(name), "has a name that is not UTF-8", "expected a name such as acme.toml");
                        }
                        Err(e) => self.refuse(&folder, format!("can't be read: {}", files::words(e.kind())), ""),
                    }
                    if names.len() + strays.len() > MAX_FILES {
                        self.refuse(&folder, format!("holds more than {MAX_FILES} files"), "expected fewer");
                        return None;
                    }
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(dir.join(SETTINGS)).is_ok() => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let expected = "expected a configuration directory, such as config/ of the repository";
                self.refuse(&dir, "holds neither soakwatch.toml nor customers/", expected);
                return None;
            }
            Err(e) => {
                self.refuse(
                    &folder,
                    format!("can't be read: {}", files::words(e.kind())),
                    "expected a directory of *.toml files, one for each customer",
                );
            }
        }
        names.sort_unstable();
        for stray in strays {
            self.warn(&stray, "is not read: its name does not end in .toml", "expected a customer's file, such as acme.toml");
        }
        self.misplaced();
        if names.is_empty() {
            self.warn(&folder, "there is no customer", "expected *.toml files, one for each customer: nothing is watched");
        }
        Some(names)
    }

    /// Customers' files that were put beside `soakwatch.toml`.
    fn misplaced(&mut self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let names = entries.take(MAX_FILES).filter_map(|e| e.ok()?.file_name().into_string().ok());
        let misplaced: Vec<PathBuf> = names
            .filter(|n| n.ends_with(".toml") && !passed_over(n) && ![SETTINGS, REFERENCE].contains(&n.as_str()))
            .map(|n| self.dir.join(n))
            .collect();
        for path in misplaced {
            self.warn(&path, "is not read", "customers' files belong into customers/");
        }
    }

    /// A file's text, within the limits, as UTF-8; it enters the hash with its name.
    fn text(&mut self, name: &str) -> Option<String> {
        let path = self.dir.join(name);
        match files::read_blocking(&path, MAX_FILE_BYTES) {
            Err(Unread::NotAFile) => self.refuse(&path, "is not a file", "expected a file of text"),
            Err(Unread::TooLarge(_)) => self.refuse(&path, "is larger than 1 MiB", "expected a smaller file"),
            Err(why) => self.refuse(&path, format!("can't be read: {why}"), "expected a file that soakwatch may read"),
            Ok(bytes) if self.bytes + bytes.len() as u64 > MAX_TOTAL_BYTES => {
                self.refuse(&path, "is not read: the configuration is larger than 256 MiB", "expected less");
            }
            Ok(bytes) => {
                self.bytes += bytes.len() as u64;
                for part in [name.as_bytes(), &bytes] {
                    self.digest.update(&(part.len() as u64).to_be_bytes());
                    self.digest.update(part);
                }
                match String::from_utf8(bytes) {
                    Ok(text) => return Some(text),
                    Err(e) => {
                        let good = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]).into_owned();
                        let end = good.len();
                        let source = Source::new(shown(&path), &self.absolute, good);
                        source.report(end..end, "", "is not UTF-8 from here on", "expected a file saved as UTF-8", false);
                        self.problems.append(&mut source.problems.take());
                    }
                }
            }
        }
        None
    }

    fn customers(&mut self, files: &[String], judge: &mut Judge, counts: &mut Counts) -> Vec<Customer> {
        let mut customers = Vec::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for file in files {
            counts.customers += 1;
            let Some(text) = self.text(file) else { continue };
            let source = Source::new(shown(&self.dir.join(file)), &self.absolute, text);
            let entries = source.parse();
            let reading = customers::read(source.root(&entries), judge);
            counts.integrations += reading.integrations;
            counts.checks += reading.checks;
            if let Some(customer) = reading.customer {
                counts.add_soaks(&customer.integrations);
                counts.add_receiving(&customer.checks);
                let (line, column) = source.position(reading.id_at);
                let here = format!("{}:{line}:{column}", source.name);
                match seen.get(customer.id.as_str()) {
                    Some(other) => {
                        let what = format!("there is already a customer \"{}\" ({other})", customer.id);
                        source.report(reading.id_at..reading.id_at, "customer.id", what, "expected one file for each customer", false);
                    }
                    None => drop(seen.insert(customer.id.to_string(), here)),
                }
                customers.push(customer);
            }
            self.problems.extend(syntax::certain(&source, source.problems.take()));
        }
        customers
    }
}
