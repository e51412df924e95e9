//! The kinds of check: a closed enum, one file per kind, each a function that runs **once**.
//!
//! A probe has no loop, no retry, no clock, no store: time, retries, deadlines and limits are the scheduler's. A new kind is a file beside
//! `http.rs` and its arms in [`Kind`]; nothing else of the core changes.

use std::sync::Arc;

use crate::config::model::CheckDef;
use crate::config::table::Table;
use crate::observed::{Failure, Observed};
use crate::secret::{Redactor, SecretRef};
use crate::transport::Transport;

pub mod http;

/// How a check tests: one variant per kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A request and what its response must be.
    Http(Box<http::HttpCheck>),
}

/// What one run is handed: its check, and the shared means to reach the network.
#[derive(Debug)]
pub struct ProbeContext<'a> {
    /// The check that runs.
    pub check: &'a CheckDef,
    /// The HTTP exchange all kinds share.
    pub transport: &'a Transport,
    /// Knows every secret this run uses; every text that leaves the run goes through it.
    pub redactor: &'a mut Redactor,
}

/// A target written as an address that the guard would refuse at every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLiteral {
    /// Where it stands in the kind's table: `url`.
    pub key: &'static str,
    /// The address, as written.
    pub address: String,
    /// The guard's rule.
    pub rule: &'static str,
}

impl Kind {
    /// The names of the kinds: the keys `[integration.check.<kind>]`.
    pub const NAMES: &'static [&'static str] = &["http"];

    /// Reads the kind's table out of a check's table. Reports it when there is none, or more than one.
    pub fn read(check: &mut Table<'_>) -> Option<Self> {
        let found: Vec<&str> = Self::NAMES.iter().copied().filter(|n| check.has(n)).collect();
        let http = check.table("http");
        match found.as_slice() {
            ["http"] => http.and_then(http::HttpCheck::read).map(|c| Self::Http(Box::new(c))),
            // In a damaged file the table may be what was lost.
            [] if check.source().damaged.get() => None,
            [] => {
                let tables: Vec<String> = Self::NAMES.iter().map(|n| format!("[integration.check.{n}]")).collect();
                check.problem("", "does not say how to test", format!("expected a table {}", tables.join(", or ")));
                None
            }
            more => {
                check.problem("", format!("has more than one kind ({})", more.join(", ")), "expected one table per check");
                None
            }
        }
    }

    /// The kind's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
        }
    }

    /// The label `kind` of `soakwatch_integration_info`: api, webhook or sso.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Http(_) => "api",
        }
    }

    /// `host:port` this check talks to: the unit of concurrency. `None`: outcomes of this kind arrive from outside and are never scheduled.
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Http(c) => Some(c.host()),
        }
    }

    /// Every secret a run reads, so that loading the configuration can say which ones are not there.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Http(c) => c.secrets(),
        }
    }

    /// The first target that is written as an address the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        match self {
            Self::Http(c) => c.refused_literal(allow_private),
        }
    }

    /// What this check talks to, as people may see it: nothing in it can be secret. `None`: it talks to nobody.
    pub fn target_shown(&self) -> Option<String> {
        match self {
            Self::Http(c) => Some(c.url_shown()),
        }
    }

    /// Runs once. What was seen stands in `observed`, also when the future is dropped at its deadline.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        match self {
            Self::Http(c) => Box::pin(c.run(context, observed)).await,
        }
    }
}

/// A check as the scheduler passes it around.
pub type CheckRef = Arc<CheckDef>;
