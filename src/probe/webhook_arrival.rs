//! The kind `webhook_arrival`: messages that the customer's system sends to our receiver. Silence is a failure.
//!
//! Never asked: what arrives is counted by `arrivals`, which judges each slot when it and its grace are over. Here is its table.
//!
//! ```toml
//! [integration.check.webhook_arrival]
//! scheme = "github"
//! secrets = { env = "ACME_HOOK_SECRET" }
//! grace  = "10m"
//! ```

use jiff::tz::TimeZone;

use super::http::Path;
use super::material::Material;
use super::receiving::Receiving;
use crate::config::table::{Table, short};
use crate::fields::{Ratio, Span};
use crate::slots::cron::{Cron, EXPECTED};

/// Messages that are expected, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivalCheck {
    /// Who may send.
    pub receiving: Receiving,
    /// `grace`: how much later than its slot a message may come.
    pub grace: Span,
    /// `cron` and `timezone`: when one is expected, instead of once in every interval.
    pub cron: Option<Cron>,
    /// `within`: the longest delay of 95 % of a slot's messages.
    pub within: Option<Span>,
    /// `event_time`: where the time of the event stands in the body, instead of the header's timestamp.
    pub event_time: Option<Path>,
    /// `sequence`: where messages are numbered; a number that never comes is a failure.
    pub sequence: Option<Path>,
    /// `ordered`: numbers must not come out of order.
    pub ordered: bool,
    /// `max_duplicates`: the share of a slot's messages that may be duplicates.
    pub max_duplicates: Option<Ratio>,
}

impl ArrivalCheck {
    /// Reads the kind's table.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let receiving = Receiving::read(&mut t);
        let grace = t.between("grace", Span::seconds(0), Span::days(7)).unwrap_or(GRACE);
        let cron = read_cron(&mut t);
        let within = t.between("within", Span::seconds(1), Span::days(7));
        let (event_time, sequence) = (json_path(&mut t, "event_time"), json_path(&mut t, "sequence"));
        let ordered = t.or("ordered", false);
        if ordered && t.lacks("sequence") {
            t.problem("ordered", "there is no order without numbers", "expected sequence = \"$.number\" beside it");
        }
        let max_duplicates = t.opt("max_duplicates");
        t.finish();
        Some(Self { receiving: receiving?, grace, cron, within, event_time, sequence, ordered, max_duplicates })
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        let mut m = self.receiving.material();
        m.unless(&GRACE, "grace", &self.grace);
        m.unless(&false, "ordered", &self.ordered);
        let texts = [
            ("cron", self.cron.as_ref().map(Cron::text)),
            ("within", self.within.map(|w| w.to_string())),
            ("event_time", self.event_time.as_ref().map(|p| p.source().to_owned())),
            ("sequence", self.sequence.as_ref().map(|p| p.source().to_owned())),
            ("max_duplicates", self.max_duplicates.map(|r| r.0.to_string())),
        ];
        texts.into_iter().filter_map(|(key, text)| Some((key, text?))).for_each(|(key, text)| m.say(key, &text));
        m
    }
}

/// Unless `grace` is written.
pub const GRACE: Span = Span::seconds(300);

fn read_cron(t: &mut Table<'_>) -> Option<Cron> {
    let (text, zone): (Option<String>, Option<String>) = (t.opt("cron"), t.opt("timezone"));
    if t.has("timezone") && t.lacks("cron") {
        t.problem("timezone", "says nothing without cron", "expected cron beside it, or neither");
    }
    let zone = match zone.as_deref().map(TimeZone::get) {
        None => TimeZone::UTC,
        Some(Ok(zone)) => zone,
        Some(Err(_)) => {
            t.problem("timezone", format!("{} is not right here", t.shown("timezone")), "expected a name such as \"Europe/Berlin\"");
            TimeZone::UTC
        }
    };
    let text = text?;
    Cron::read(&text, &zone)
        .map_err(|why| t.problem("cron", format!("{} is not right here: {why}", t.shown("cron")), format!("expected {EXPECTED}")))
        .ok()
}

/// A JSON path that may be absent.
pub(super) fn json_path(t: &mut Table<'_>, key: &'static str) -> Option<Path> {
    let text: String = t.opt(key)?;
    let wrong =
        |why| t.problem(key, format!("\"{}\" can't be used: {why}", short(&text)), "expected a JSON path such as \"$.event.number\"");
    Path::new(&text).map_err(wrong).ok()
}
