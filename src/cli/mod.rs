//! The command line: one file per command, one table of exit codes, one place that writes to standard output.
//!
//! A command returns an [`Exit`] or an error that carries one; `main` prints the error once, with its chain.

use std::fmt;
use std::io::Write as _;

use clap::{Parser, Subcommand};

mod backup;
mod checkpoint;
mod columns;
mod control;
mod decide;
mod demo;
mod explain;
mod gate;
mod health;
mod hypercare;
mod ids;
mod incidents;
mod keygen;
mod limits;
mod lint;
mod plan;
mod probe;
mod progress;
mod reload;
mod report;
mod restore;
mod rules;
mod run;
mod run_by_id;
mod runs;
mod simulate;
mod status;
mod token;
mod top;
mod validate;
mod verdict;
mod verify;
mod webhook;

/// Exit codes of all commands (product.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Yes: valid, passed, done.
    Yes = 0,
    /// No: invalid, failed.
    No = 1,
    /// Not yet, or could not decide.
    Undecided = 2,
    /// Wrong usage (clap's own 2 is mapped to this).
    Usage = 64,
    /// Bad input: a configuration or a file that can't be used.
    BadInput = 65,
    /// The daemon can't be reached.
    Unreachable = 69,
    /// A defect of ours.
    Internal = 70,
    /// Store or file trouble.
    Io = 74,
}

/// An error with the exit code it ends the program with.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub error: anyhow::Error,
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// An error without a code of its own is a defect of ours.
impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Internal, error }
    }
}

impl Exit {
    /// An error that ends the program with this code.
    pub fn with(self, error: impl Into<anyhow::Error>) -> CliError {
        CliError { exit: self, error: error.into() }
    }
}

/// What a command returns.
pub type CliResult = Result<Exit, CliError>;

/// Watches the integrations of customers who go live: probes, keeps every result, answers whether they may.
#[derive(Debug, Parser)]
#[command(
    name = "soakwatch",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 yes, 1 no, 2 not yet or could not decide; 64 usage, 65 bad input, 69 daemon unreachable, 70 internal, 74 store or file."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Reload(reload::Reload),
    Health(health::Health),
    Validate(validate::Validate),
    Probe(probe::Probe),
    Explain(explain::Explain),
    Demo(demo::Demo),
    Status(status::Status),
    Top(top::Top),
    Runs(runs::Runs),
    Plan(plan::Plan),
    Gate(gate::Gate),
    Exclude(decide::Exclude),
    Attest(decide::Attest),
    Accept(decide::Accept),
    Incidents(incidents::Incidents),
    Ack(incidents::Ack),
    Note(incidents::Note),
    Reclassify(incidents::Reclassify),
    Limits(limits::Limits),
    Lint(lint::Lint),
    Simulate(simulate::Simulate),
    Report(report::Report),
    Checkpoint(checkpoint::Checkpoint),
    Handoff(checkpoint::Handoff),
    Rules(rules::Rules),
    Verify(verify::Verify),
    Keygen(keygen::Keygen),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Webhook(webhook::Webhook),
    /// Makes a token for the server and shows it once
    Token(token::TokenArgs),
}

impl Cli {
    /// Runs the chosen command.
    pub fn run(self) -> CliResult {
        match self.command {
            Command::Run(args) => run::run(args),
            Command::Reload(args) => reload::run(&args),
            Command::Health(args) => health::run(&args),
            Command::Validate(args) => validate::run(&args),
            Command::Probe(args) => probe::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Runs(args) => runs::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Gate(args) => gate::run(&args),
            Command::Exclude(args) => decide::exclude(&args),
            Command::Attest(args) => decide::attest(&args),
            Command::Accept(args) => decide::accept(&args),
            Command::Incidents(args) => incidents::run(&args),
            Command::Ack(args) => incidents::ack(&args),
            Command::Note(args) => incidents::note(&args),
            Command::Reclassify(args) => incidents::reclassify(&args),
            Command::Limits(args) => limits::run(&args),
            Command::Lint(args) => lint::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Checkpoint(args) => checkpoint::run(&args),
            Command::Handoff(args) => checkpoint::run_handoff(&args),
            Command::Rules(args) => rules::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::Keygen(args) => keygen::run(&args),
            Command::Backup(args) => backup::run(&args),
            Command::Restore(args) => restore::run(&args),
            Command::Webhook(args) => webhook::run(&args),
            Command::Token(args) => token::run(&args),
        }
    }
}

/// Writes a line to standard output and flushes it, also when it is not a terminal. A closed pipe is not an error.
pub fn say(line: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs a future on a fresh multi-threaded runtime.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Exit::Internal.with(e))?;
    runtime.block_on(future)
}

/// Writes a line to standard error. A closed pipe is not an error.
pub fn complain(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Raises the soft limit of open files to the hard one: each run in flight holds a socket. What can't be raised stays as it is.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::debug!(error = %e, "the limit of open files stays as it is");
    }
}
