//! A check from its TOML, run once under a deadline, the way the scheduler does it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::clock::{Clock, UnixMs, monotonic};
use soakwatch::config::model::{CheckDef, Integration, ProbeSettings};
use soakwatch::config::table::{Source, Table};
use soakwatch::fields::{Bytes, Span};
use soakwatch::memory::{Memories, Memory};
use soakwatch::observed::{Failure, Observed};
use soakwatch::outcome::{Class, Reason};
use soakwatch::probe::http::HttpCheck;
use soakwatch::probe::{Kind, ProbeContext};
use soakwatch::secret::Redactor;
use soakwatch::transport::{Resolver, Transport};

use crate::estate::integration;

/// The settings the tests run with: 1 MiB of body, 64 KiB of headers.
pub(crate) fn settings(ca: Option<&Path>) -> ProbeSettings {
    ProbeSettings {
        max_body: Bytes(1 << 20),
        max_headers: Bytes(64 << 10),
        user_agent: "soakwatch-test".into(),
        contact: None,
        traceparent: false,
        dns: Vec::new(),
        ca: ca.map(Path::to_owned),
        ca_sha256: None,
        proxy: None,
    }
}

/// Names the tests know: `*.test` is this machine, `gone.test` does not exist, `metadata.test` is what it says, `two.test` has a dead address first,
/// `mixed.test` a metadata address.
pub(crate) fn resolver() -> Resolver {
    Resolver::Fixed(Arc::new(|host, port| match host {
        "gone.test" => Err("the name does not exist (NXDOMAIN)".into()),
        "metadata.test" => Ok(vec![SocketAddr::from(([169, 254, 169, 254], port))]),
        "mixed.test" => Ok(vec![SocketAddr::from(([169, 254, 169, 254], port)), SocketAddr::from(([127, 0, 0, 1], port))]),
        "two.test" => Ok(vec![SocketAddr::from(([127, 0, 0, 2], port)), SocketAddr::from(([127, 0, 0, 1], port))]),
        _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
    }))
}

/// A transport with these names, trusting `ca` besides the system's roots.
pub(crate) fn transport(ca: Option<&Path>) -> Transport {
    Transport::new(&settings(ca), resolver()).unwrap()
}

/// Reads the kind's table; the problems, if there are any.
pub(crate) fn read(toml: &str) -> Result<HttpCheck, Vec<String>> {
    read_in(toml, Path::new("/nonexistent"))
}

/// The same, with relative paths starting from `dir`.
pub(crate) fn read_in(toml: &str, dir: &Path) -> Result<HttpCheck, Vec<String>> {
    let (check, problems) = parse(toml, dir);
    if problems.is_empty() { Ok(check.unwrap()) } else { Err(problems) }
}

/// The check, if it can be used, and all that was said about it.
fn parse(toml: &str, dir: &Path) -> (Option<HttpCheck>, Vec<String>) {
    let source = Source::new("check.toml", dir, toml);
    let document = toml::de::DeTable::parse(&source.text).unwrap();
    let check = HttpCheck::read(Table::new(&source, "", document.span(), document.get_ref()));
    let problems = source.problems.borrow().iter().map(ToString::to_string).collect();
    (check, problems)
}

/// A check of an integration that may talk to private addresses.
pub(crate) fn check(toml: &str) -> CheckDef {
    check_where(toml, true)
}

/// A check, with the integration's `allow_private`. Warnings are let pass, errors are not.
pub(crate) fn check_where(toml: &str, allow_private: bool) -> CheckDef {
    let (http, problems) = parse(toml, Path::new("/nonexistent"));
    assert!(problems.iter().all(|p| p.contains(": warning: ")), "{problems:?}");
    let integration = Integration { allow_private, ..integration("acme", "production", "crm") };
    let id = integration.id.check(&"list".parse().unwrap());
    let kind = Kind::Http(Box::new(http.unwrap()));
    CheckDef {
        key: id.key(),
        id,
        integration: Arc::new(integration),
        every: Span::seconds(60),
        timeout: Duration::from_secs(10),
        retries: 0,
        judged: true,
        judge: soakwatch::soak::Judge::Ratio,
        route: soakwatch::route::Route::default(),
        blocked_by: None,
        host: kind.host().map(Into::into),
        kind,
    }
}

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None`: cut off at the deadline.
    pub(crate) result: Option<Result<(), Failure>>,
    pub(crate) observed: Observed,
    pub(crate) took: Duration,
}

impl Ran {
    /// The class it failed with, also when it was cut off; `None`: it passed.
    pub(crate) fn class(&self) -> Option<Class> {
        match &self.result {
            Some(Ok(())) => None,
            Some(Err(failure)) => Some(failure.class),
            None => Some(self.observed.step.class()),
        }
    }
    /// The failure's text; empty if there is none.
    pub(crate) fn detail(&self) -> &str {
        self.failure().map_or("", |f| f.detail.as_str())
    }
    /// What is known beyond its class.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.failure().and_then(|f| f.reason)
    }
    /// The failure, unless it passed or was cut off.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().and_then(|r| r.as_ref().err())
    }
    /// Panics with all there is unless it passed.
    pub(crate) fn passed(&self) {
        assert!(matches!(self.result, Some(Ok(()))), "{self:#?}");
    }
    /// Panics with all there is unless it failed so.
    pub(crate) fn failed(&self, class: Class, words: &str) {
        assert!(self.class() == Some(class) && self.detail().contains(words), "wanted {class} with {words:?}: {self:#?}");
    }
}

/// Runs once, within ten seconds.
pub(crate) async fn run(transport: &Transport, check: &CheckDef) -> Ran {
    run_within(transport, check, Duration::from_secs(10)).await
}

/// Runs once under a deadline.
pub(crate) async fn run_within(transport: &Transport, check: &CheckDef, deadline: Duration) -> Ran {
    let mut observed = Observed::default();
    let mut redactor = Redactor::default();
    let (memories, now) = (Memories::default(), UnixMs(1_764_547_200_000));
    let memory = Memory { all: &memories, check: &check.id };
    let mut context = ProbeContext { check, transport, redactor: &mut redactor, memory, slot: now, now, turns: None, deadline: None };
    let started = monotonic();
    let result = tokio::time::timeout(deadline, check.kind.run(&mut context, &mut observed)).await.ok();
    Ran { result, observed, took: started.elapsed() }
}

/// A check of any kind from its table, such as `[oidc]` and its keys; relative paths start from `dir`. Errors panic, warnings are let pass.
pub(crate) fn check_of_kind(toml: &str, dir: &Path) -> CheckDef {
    let source = Source::new("check.toml", dir, toml);
    let document = toml::de::DeTable::parse(&source.text).unwrap();
    let kind = Kind::read(&mut Table::new(&source, "", document.span(), document.get_ref()));
    let errors: Vec<String> = source.problems.borrow().iter().filter(|p| !p.warning).map(ToString::to_string).collect();
    assert_eq!(errors, [] as [String; 0]);
    CheckDef { kind: kind.unwrap(), ..check("url = \"https://unused.test\"") }
}

/// Runs that remember what the ones before left.
pub(crate) struct Remembering {
    pub(crate) transport: Transport,
    pub(crate) memories: Memories,
}

impl Remembering {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, memories: Memories::default() }
    }

    /// Runs once, now.
    pub(crate) async fn run(&self, check: &CheckDef) -> Ran {
        let (mut observed, mut redactor) = (Observed::default(), Redactor::default());
        let memory = Memory { all: &self.memories, check: &check.id };
        let now = Clock::System.now();
        let mut context = ProbeContext {
            check,
            transport: &self.transport,
            redactor: &mut redactor,
            memory,
            slot: now,
            now,
            turns: None,
            deadline: None,
        };
        let started = monotonic();
        let result = tokio::time::timeout(Duration::from_secs(10), check.kind.run(&mut context, &mut observed)).await.ok();
        Ran { result, observed, took: started.elapsed() }
    }
}

impl Ran {
    /// What was found above the level of information, as `judged::told` has it; panics where nothing was judged.
    pub(crate) fn told(&self) -> String {
        crate::support::judged::told(&self.observed.findings.as_ref().unwrap_or_else(|| panic!("nothing was judged: {self:#?}")).list)
    }
    /// Rules that could not be judged, by how their ids begin.
    pub(crate) fn stays(&self) -> Vec<&str> {
        self.observed.findings.iter().flat_map(|f| &f.stays).map(|s| &**s).collect()
    }
}
