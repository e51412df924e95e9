//! Parse, run, print one error with its chain, pick the exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use soakwatch::cli::{Cli, Exit};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { Exit::Yes as u8 });
        }
    };
    match cli.run() {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "soakwatch: {e}");
            ExitCode::from(e.exit as u8)
        }
    }
}
