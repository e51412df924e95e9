//! What the configuration means, resolved: the types the rest of the crate works with. Made only by `config::load`; plain data, no parsing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fingerprint::Fingerprint;
use super::stamp::Stamp;
use crate::clock::UnixMs;
use crate::fields::{Bytes, CheckId, HttpUrl, IntegrationId, Ratio, Slug, Span, TimeOfDay, Volume};
use crate::outcome::{Attribution, Class, Criticality, Owner, Role};
use crate::probe::Kind;
use crate::ratelimit::Dialect;
use crate::route::{Proxy, Route};
use crate::secret::SecretRef;
use crate::soak::{Judge, Waiver};

pub use crate::hypercare::Policy as ExitPolicy;
pub use crate::incident::Policy as IncidentPolicy;
pub use crate::soak::Policy as SoakPolicy;

/// A whole configuration, read and judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The directory it was read from.
    pub dir: PathBuf,
    /// Daemon settings.
    pub settings: Settings,
    /// Customers by id, each with its integrations.
    pub customers: Vec<Customer>,
    /// SHA-256 over all files read, hex: names this configuration in metrics and logs.
    pub hash: String,
    /// How its files looked just before they were read.
    pub stamp: Stamp,
}

impl Config {
    /// Every integration, in order of the files.
    pub fn integrations(&self) -> impl Iterator<Item = &Arc<Integration>> {
        self.customers.iter().flat_map(|c| &c.integrations)
    }
    /// Every check, in order of the files.
    pub fn checks(&self) -> impl Iterator<Item = &Arc<CheckDef>> {
        self.customers.iter().flat_map(|c| &c.checks)
    }
    /// The fingerprint of what is judged of an integration; `None` without a soak.
    pub fn fingerprint(&self, id: &IntegrationId) -> Option<&Fingerprint> {
        self.customers.iter().find(|c| c.id.as_str() == id.customer())?.fingerprints.get(id)
    }
}

/// Daemon settings: `soakwatch.toml`, layered.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[server]`
    pub server: ServerSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[scheduler]`
    pub scheduler: SchedulerSettings,
    /// `[rate_limit]`
    pub rate_limit: RateLimitSettings,
    /// `[self_check]`
    pub self_check: SelfCheckSettings,
    /// `[probe]`
    pub probe: ProbeSettings,
    /// `[receiver]`
    pub receiver: ReceiverSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    /// `[evidence]`
    pub evidence: EvidenceSettings,
    /// `[heartbeat]`
    pub heartbeat: HeartbeatSettings,
    /// `[reload]`
    pub reload: ReloadSettings,
    /// `[log]`
    pub log: LogSettings,
}

/// `[server]`: the listener for metrics, API and pages.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// `listen`: address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `auth = "none"` was written: a listener outside loopback may go without tokens.
    pub open: bool,
    /// `hosts`: further names under which the server may be reached (checked on every POST).
    pub hosts: Vec<String>,
    /// `max_connections`.
    pub max_connections: u32,
    /// `timeout`: for one request, headers and body.
    pub timeout: Span,
    /// `[[server.token]]`.
    pub tokens: Vec<Token>,
    /// `tls`; unset: plain HTTP.
    pub tls: Option<ListenerTls>,
    /// `access_log`: a line for each request.
    pub access_log: bool,
}

/// `tls` of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// `certificate`: a PEM file, ours first, those between it and a root behind it.
    pub certificate: PathBuf,
    /// `key`: its private key, PEM.
    pub key: SecretRef,
    /// `client_ca`, `client_certificates`; unset: nobody is asked for a certificate.
    pub clients: Option<ClientCertificates>,
}

/// Which clients' certificates are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificates {
    /// `client_ca`: a PEM file of the authorities that issue them.
    pub ca: PathBuf,
    /// `client_certificates = "optional"`: who shows none is let in; one of another authority never.
    pub optional: bool,
}

/// `[[server.token]]`: who may do what.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// `name`: the actor in audit records.
    pub name: Slug,
    /// `role`.
    pub role: Role,
    /// `hash`: `sha256:` and 64 hex digits, of a token made by `soakwatch token`.
    pub sha256: [u8; 32],
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    /// `path`, relative to the configuration directory.
    pub path: PathBuf,
    /// `keep_runs`: how long single runs are kept.
    pub keep_runs: Span,
    /// `keep_hours`: how long hourly sums are kept.
    pub keep_hours: Span,
    /// `outbox`: how many outcomes wait in memory while the store can't be written.
    pub outbox: u32,
}

/// `[scheduler]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerSettings {
    /// `vantage`: the name of this place.
    pub vantage: Slug,
    /// `per_host`: runs at once towards one host:port.
    pub per_host: u32,
    /// `max_runs`: runs at once in all.
    pub max_runs: u32,
    /// `grace`: how long runs in flight may go on when stopping.
    pub grace: Span,
    /// `threads`: how many threads make the runs.
    pub threads: u32,
}

/// `[rate_limit]`: how we keep out of the way of those we watch.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitSettings {
    /// `max_rate`: requests towards one host:port while it tells no quota.
    pub max_rate: Volume,
    /// `quota_share`: of the tightest quota an endpoint tells, at most this share is ours.
    pub quota_share: Ratio,
    /// `max_hold`: no host is left alone for longer than this, whatever it asks for.
    pub max_hold: Span,
}

/// `[self_check]`: is our own network up?
#[derive(Clone, Debug, PartialEq)]
pub struct SelfCheckSettings {
    /// `targets`: neutral endpoints, `tcp://host:port` or an http(s) URL; one that answers is enough.
    pub targets: Vec<ControlTarget>,
    /// `every`.
    pub every: Span,
    /// `timeout`.
    pub timeout: Span,
    /// `time_server`: who says what time it is, `host` or `host:port` (123).
    pub time_server: Option<ControlTarget>,
}

/// A neutral endpoint of the self-check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlTarget {
    /// As written: the `control` label.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// `[probe]`: what holds for every exchange with a customer's endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// `max_body`: cap of a body after decompression.
    pub max_body: Bytes,
    /// `max_headers`: cap of all response headers of one response.
    pub max_headers: Bytes,
    /// `user_agent`.
    pub user_agent: String,
    /// `contact`: whom to ask about our requests, an http(s) or mailto URL; stands behind the user agent.
    pub contact: Option<String>,
    /// `traceparent`: requests say which run they belong to.
    pub traceparent: bool,
    /// `dns`: name servers to ask instead of the system's (`address:port`).
    pub dns: Vec<SocketAddr>,
    /// `ca`: a PEM file of roots trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// What that file held when it was read (SHA-256, hex): a changed one makes another transport.
    pub ca_sha256: Option<String>,
    /// `proxy`: for checks whose files name none.
    pub proxy: Option<Proxy>,
}

impl ProbeSettings {
    /// The whole `User-Agent`: who we are, and where to ask.
    pub fn agent(&self) -> String {
        let contact = self.contact.as_ref().map(|c| format!(" (+{c})"));
        format!("{}{}", self.user_agent, contact.unwrap_or_default())
    }
}

/// `[receiver]`: the listener for messages that customers' systems send.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverSettings {
    /// `listen`: address and port; port 0 takes a free one. Unset: nothing is received.
    pub listen: Option<SocketAddr>,
    /// `public_url`: where senders find it, in front of the path.
    pub public_url: Option<HttpUrl>,
    /// `max_connections`.
    pub max_connections: u32,
    /// `max_per_sender`.
    pub max_per_sender: u32,
    /// `timeout`: for one request, head and body.
    pub timeout: Span,
    /// `max_rate`: messages on one path; of more each is refused before it is read.
    pub max_rate: Volume,
    /// `tls`; unset: plain HTTP, behind a proxy that ends TLS.
    pub tls: Option<ListenerTls>,
    /// `access_log`: a line for each request.
    pub access_log: bool,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsSettings {
    /// `check_histograms`: run durations per check instead of per integration.
    pub check_histograms: bool,
    /// `max_series`: refuse a configuration that would export more lines.
    pub max_series: u64,
}

/// `[evidence]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceSettings {
    /// `bundles`: write a bundle when a soak passes or fails, and at go-live.
    pub bundles: bool,
    /// `dir`: where they go, relative to the store's directory.
    pub dir: PathBuf,
    /// `signing_key`: the private key that signs bundles, PEM; unset: bundles are not signed.
    pub signing_key: Option<SecretRef>,
}

/// `[heartbeat]`: who is told that results are being stored.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatSettings {
    /// `url`: where to; it is a secret, for who knows it can speak for us. Unset: nobody is told.
    pub url: Option<SecretRef>,
    /// `every`: at most so often.
    pub every: Span,
    /// `method`: `true` POST, `false` GET.
    pub post: bool,
    /// `timeout`: for one call.
    pub timeout: Span,
}

/// `[reload]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadSettings {
    /// `watch`: read the configuration again when its files change.
    pub watch: bool,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// `level`: error, warn, info, debug, trace.
    pub level: tracing::Level,
    /// `format`: `Some(true)` JSON, `Some(false)` text, `None` (auto): text on a terminal, JSON otherwise.
    pub json: Option<bool>,
}

/// A customer and all that is watched for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// `id`.
    pub id: Slug,
    /// `name`.
    pub name: String,
    /// Its integrations.
    pub integrations: Vec<Arc<Integration>>,
    /// Their checks.
    pub checks: Vec<Arc<CheckDef>>,
    /// What is judged of each integration that has a soak, as it was when the files were read.
    pub fingerprints: BTreeMap<IntegrationId, Fingerprint>,
}

/// One integration. What the customer's table sets for all is already merged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// customer/environment/integration.
    pub id: IntegrationId,
    /// `name`; the id's last part unless set.
    pub name: String,
    /// The customer's `name`.
    pub customer_name: String,
    /// `owner`.
    pub owner: Owner,
    /// `criticality`.
    pub criticality: Criticality,
    /// `runbook`.
    pub runbook: Option<HttpUrl>,
    /// `go_live`.
    pub go_live: Option<UnixMs>,
    /// `hypercare`: how long after go-live.
    pub hypercare: Span,
    /// `soak`. Shared with what judges by it.
    pub soak: Option<Arc<SoakPolicy>>,
    /// `incident`: when one opens and closes.
    pub incident: IncidentPolicy,
    /// `exit`, here and on the customer: what is asked for before hypercare ends.
    pub exit: ExitPolicy,
    /// `contact`, here or on the customer: who is to be told, a name or a mail address. Shown, never judged.
    pub contact: Option<String>,
    /// `waiver`; those that have ended too.
    pub waivers: Vec<Waiver>,
    /// `volume`.
    pub volume: DeclaredVolume,
    /// `allow_private`, here or on the customer.
    pub allow_private: bool,
    /// `maintenance`, here and on the customer.
    pub maintenance: Vec<Maintenance>,
    /// `paused`, here or on the customer.
    pub paused: Option<Paused>,
    /// `attribution`: overrides of the triage map.
    pub attribution: BTreeMap<Class, Attribution>,
    /// `dialect`: how its endpoints speak of rate limits.
    pub dialect: Dialect,
    /// `quota_share`, instead of the settings'. Where integrations share a host and credential, the largest of theirs.
    pub quota_share: Option<Ratio>,
    /// `quota_window`: the window of a quota whose headers tell none.
    pub quota_window: Option<Span>,
    /// `throttled = "excluded"`: throttled runs are neither numerator nor denominator.
    pub throttled_excluded: bool,
}

impl Integration {
    /// The maintenance window a time lies in, if any.
    pub fn maintenance_at(&self, t: UnixMs) -> Option<&Maintenance> {
        self.maintenance.iter().find(|m| m.start <= t && t < m.end)
    }
}

/// `volume = { peak, daily, batch }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeclaredVolume {
    /// `peak`.
    pub peak: Option<Volume>,
    /// `daily`, everything but the batches.
    pub daily: Option<Volume>,
    /// `batch`: one, or several.
    pub batches: Vec<Batch>,
}

/// `batch = { start, rows, calls_per_row }`: so many calls in one go, each day.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `start`.
    pub start: TimeOfDay,
    /// `rows`.
    pub rows: u64,
    /// `calls_per_row`; less than 1 where a call takes several rows.
    pub calls_per_row: f64,
}

impl Batch {
    /// How many calls it makes, rounded up.
    pub fn calls(&self) -> f64 {
        (self.rows as f64 * self.calls_per_row).ceil()
    }
}

/// A maintenance window declared beforehand: `{ start, end, reason, by }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// `start`, inclusive.
    pub start: UnixMs,
    /// `end`, exclusive.
    pub end: UnixMs,
    /// `reason`.
    pub reason: String,
    /// `by`: who declared it.
    pub by: String,
}

/// `paused = { reason, by }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// `reason`.
    pub reason: String,
    /// `by`: who paused it.
    pub by: String,
}

/// One check, with the integration it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDef {
    /// customer/environment/integration/check.
    pub id: CheckId,
    /// [`CheckId::key`] of it.
    pub key: u64,
    /// Its integration.
    pub integration: Arc<Integration>,
    /// `every`.
    pub every: Span,
    /// `timeout`: the hard deadline over everything one run does.
    pub timeout: Duration,
    /// `retries` inside a run.
    pub retries: u8,
    /// `judged = false`: informational.
    pub judged: bool,
    /// `judge`: how its runs are judged; the kind's own way unless written.
    pub judge: Judge,
    /// The way to its endpoints: `proxy` and `source_address`, here or above.
    pub route: Route,
    /// `blocked_by`: while that check fails, this one is not run.
    pub blocked_by: Option<CheckId>,
    /// How it is tested.
    pub kind: Kind,
    /// [`Kind::host`] of it, made once.
    pub host: Option<Arc<str>>,
}
