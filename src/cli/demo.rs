//! `soakwatch demo`: the simulated estate, watched by a daemon in the same process, with the page, the metrics and the API of any other.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{CliResult, Exit, block_on, say};
use crate::app::Running;
use crate::clock::Clock;
use crate::config::model::LogSettings;
use crate::demo::{self, Estate, stories, summary};
use crate::fields::Span;
use crate::metrics::own::OwnMetrics;

/// Watch a simulated estate of six customers on this machine, and print how each integration did.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How long to go on, such as 30s or 10m; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = span)]
    duration: Option<Span>,
    /// Where to serve page, metrics and API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: tracing::Level,
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|expected| format!("expected {expected}"))
}

pub(super) fn run(args: &Demo) -> CliResult {
    let own = Arc::new(OwnMetrics::new().map_err(|e| Exit::Internal.with(e))?);
    let clock = Clock::System;
    crate::log::init(&LogSettings { level: args.log, json: None }, own.log_counters(), clock.clone())?;
    block_on(async move {
        let estate = Estate::start(&clock).await.map_err(|e| Exit::Io.with(e))?;
        let result = watched(args, &estate, &clock, own).await;
        estate.stop().await;
        result
    })
}

async fn watched(args: &Demo, estate: &Estate, clock: &Clock, own: Arc<OwnMetrics>) -> CliResult {
    // Before anything is said: a signal that comes from now on ends the demo in order.
    let mut term = signal(SignalKind::terminate()).map_err(|e| Exit::Internal.with(e))?;
    let mut int = signal(SignalKind::interrupt()).map_err(|e| Exit::Internal.with(e))?;
    let running = demo::watch(estate, args.listen, clock.clone(), own).await.map_err(super::run::start_error)?;
    introduce(args, estate, &running);
    let (board, soaks, stop) = (Arc::clone(&running.board), Arc::clone(&running.soaks), running.stop.clone());
    let mut ended = Box::pin(running.ended());
    let over = async {
        match args.duration {
            Some(Span(duration)) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = &mut ended => {
            result.map_err(|e| Exit::Internal.with(e))?;
            return Err(Exit::Internal.with(anyhow::anyhow!("the demo's daemon ended by itself")));
        }
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = over => {}
    }
    // Stopping cuts runs short; the tables are of the moment before.
    let now = clock.now();
    let (table, gates) = board.read(|entries| (summary::table(entries, &soaks, now), summary::gates(entries, &soaks, now)));
    stop.cancel();
    ended.await.map_err(|e| Exit::Internal.with(e))?;
    say(format_args!("\n{table}\n({}.)\n\n{gates}", estate.made().told()));
    Ok(Exit::Yes)
}

/// What to open and what to try. The first line with an address holds the demo's own.
fn introduce(args: &Demo, estate: &Estate, running: &Running) {
    let (url, dir) = (format!("http://{}", running.address), estate.config_dir().display());
    let (customers, integrations) = running.board.read(|all| {
        let customers: std::collections::BTreeSet<&str> = all.iter().map(|i| i.def.id.customer()).collect();
        (customers.len(), all.len())
    });
    let end = args.duration.map_or_else(|| "until Ctrl-C".to_owned(), |d| format!("for {d}"));
    say(format_args!("Soakwatch demo: {customers} customers, {integrations} integrations, all simulated in this process, {end}."));
    say(format_args!("  open    {url}/"));
    say(format_args!("  try     curl -s {url}/api/v1/status"));
    say(format_args!("          curl -s {url}/api/v1/integrations/borealis/production/payroll-export"));
    say(format_args!("          curl -s {url}/metrics | grep soakwatch_run_failure_classes_total"));
    say(format_args!("          soakwatch limits cobalt --forecast --url {url}"));
    if let Some(receiver) = running.receiver {
        let url = format!("http://{receiver}/hooks/fjord/production/stock-events");
        say(format_args!("  forge   a message to us, and be refused: curl -s -o /dev/null -w '%{{http_code}}\\n' -d '{{}}' {url}"));
    }
    say(format_args!(
        "  gates   acme/production is \"go\" once its window is full, in seconds; acme/staging and cobalt/production are \"no_go\","
    ));
    say(format_args!(
        "          elmwood/staging is \"not_yet\". Windows are one hour instead of seven days, and {}.",
        estate.made().told()
    ));
    say(format_args!("          Why, and what would change it: {url}/readiness/cobalt/production"));
    say(format_args!("          soakwatch gate acme/production --url {url}"));
    say(format_args!("          soakwatch attest elmwood/staging uat_signoff --value passed --until 30d --url {url}"));
    say(format_args!("  read    {dir}/customers/*.toml (gone when the demo ends)"));
    say(format_args!("  change  one of them, then: curl -sX POST {url}/-/reload"));
    say(format_args!("  mend    cobalt/production/ledger-postings, whose secret was rotated:"));
    say(format_args!("          printf %s {} > {dir}/secrets/cobalt-ledger-token", stories::LEDGER_TOKEN_NOW));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Demo,
    }

    #[test]
    fn the_duration_is_written_as_everywhere() {
        let line = Line::try_parse_from(["demo", "--for", "1m30s", "--listen", "127.0.0.1:9999", "--log", "debug"]).unwrap();
        assert_eq!(line.args.duration, Some(Span::seconds(90)));
        assert_eq!(line.args.log, tracing::Level::DEBUG);
        let Err(e) = Line::try_parse_from(["demo", "--for", "soon"]) else { panic!("taken") };
        assert!(e.to_string().contains("a duration such as"), "{e}");
    }
}
