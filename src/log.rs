//! The log: text for people on a terminal, JSON otherwise, on standard error. Owns the level and the filter, and counts every message.
//! Dependencies are capped at `warn`: their finer levels show request headers, and headers hold credentials.

use std::io::IsTerminal as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::config::model::LogSettings;
use crate::metrics::own::LogCounters;

/// Sets the log up for the whole process. The error says that somebody did before.
pub fn init(settings: &LogSettings, counters: LogCounters, clock: Clock) -> anyhow::Result<()> {
    let json = settings.json.unwrap_or_else(|| !std::io::stderr().is_terminal());
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing::subscriber::set_global_default(subscriber(settings.level, json, ansi, counters, clock, std::io::stderr))?;
    Ok(())
}

/// The subscriber itself, with the place it writes to.
pub fn subscriber<W>(level: Level, json: bool, ansi: bool, counters: LogCounters, clock: Clock, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A log that can't be written must not take the daemon with it: no messages about messages.
    let base = layer().with_writer(writer).with_timer(UtcTime(clock)).with_ansi(ansi).log_internal_errors(false);
    let format: Box<dyn Layer<_> + Send + Sync> = if json { base.json().flatten_event(true).boxed() } else { base.boxed() };
    tracing_subscriber::registry().with(filter(level)).with(format).with(Count(counters))
}

/// Our own targets at the chosen level, all others at `warn` at most. `soakwatch` matches its submodules too.
fn filter(level: Level) -> Targets {
    Targets::new().with_default(level.min(Level::WARN)).with_target("soakwatch", level)
}

/// RFC 3339 in UTC from the daemon's clock.
struct UtcTime(Clock);

impl FormatTime for UtcTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        write!(w, "{:.3}", self.0.now().timestamp())
    }
}

/// Counts messages that pass the filter.
struct Count(LogCounters);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.count(*event.metadata().level());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::UnixMs;
    use crate::metrics::own::OwnMetrics;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: Level, json: bool) -> (String, String) {
        let own = OwnMetrics::new().unwrap();
        let sink = Sink::default();
        let out = sink.clone();
        let clock = Clock::simulated(UnixMs(1_795_000_000_120));
        tracing::subscriber::with_default(subscriber(level, json, false, own.log_counters(), clock, move || out.clone()), || {
            tracing::info!(target: "soakwatch::server", port = 9464, "listening");
            tracing::debug!(target: "soakwatch::server", "a detail");
            tracing::debug!(target: "hyper::proto", "authorization: Bearer hunter22");
            tracing::trace!(target: "h2", "hunter22");
            tracing::warn!(target: "rustls", "odd");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        (text, String::from_utf8(own.encode().unwrap()).unwrap())
    }

    #[test]
    fn dependencies_are_capped_also_at_trace() {
        let (text, metrics) = logged(Level::TRACE, false);
        assert!(!text.contains("hunter22"), "{text}");
        assert!(text.contains("a detail") && text.contains("odd"));
        for line in ["{level=\"info\"} 1\n", "{level=\"debug\"} 1\n", "{level=\"trace\"} 0\n", "{level=\"warn\"} 1\n"] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
    }

    #[test]
    fn json_lines_with_utc_times() {
        let (text, _) = logged(Level::INFO, true);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["timestamp"], "2026-11-18T11:06:40.120Z", "{text}");
        assert_eq!(first["message"], "listening");
        assert_eq!(first["port"], 9464);
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
