//! The log: text for people on a terminal, JSON otherwise, on standard error. Owns the level and the filter, and counts every message.
//! Dependencies are capped at `warn`: their finer levels show request headers, and headers hold credentials.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FormatFields, FormattedFields, MakeWriter, layer};
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
    let format: Box<dyn Layer<_> + Send + Sync> =
        if json { base.json().flatten_event(true).fmt_fields(SpanFields).boxed() } else { base.boxed() };
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

/// Writes what a span says of itself as JSON, for when something is logged in it. Every run has a span, and hardly any logs something: the library's own
/// makes a tree of values first.
struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut object = Object { text: "{".to_owned() };
        fields.record(&mut object);
        writer.write_str(&object.text)?;
        writer.write_char('}')
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut object = Object { text: std::mem::take(&mut current.fields) };
        // The object there is, opened again.
        object.text.pop();
        fields.record(&mut object);
        object.text.push('}');
        current.fields = object.text;
        Ok(())
    }
}

/// A JSON object as far as it is written.
struct Object {
    text: String,
}

impl Visit for Object {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let simple = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\');
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        for (part, end) in [(field.name(), ":"), (&text, "")] {
            match simple(part) {
                true => self.text.extend(["\"", part, "\""]),
                false => self.text.push_str(&serde_json::Value::from(part).to_string()),
            }
            self.text.push_str(end);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
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
    fn what_is_logged_in_a_span_says_which_as_json() {
        let sink = Sink::default();
        let out = sink.clone();
        let (own, clock) = (OwnMetrics::new().unwrap(), Clock::simulated(UnixMs(0)));
        tracing::subscriber::with_default(subscriber(Level::INFO, true, false, own.log_counters(), clock, move || out.clone()), || {
            let odd = "a \"quote\", a \\ and\na line é";
            let span = tracing::error_span!("run", run = %"00ff", check = odd, n = 7, later = tracing::field::Empty);
            span.record("later", "x");
            span.in_scope(|| tracing::warn!("said"));
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let span = serde_json::json!({ "name": "run", "run": "00ff", "check": "a \"quote\", a \\ and\na line é", "n": "7", "later": "x" });
        assert_eq!((&line["span"], &line["spans"][0]), (&span, &span), "{text}");
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
