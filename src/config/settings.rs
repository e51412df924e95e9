//! The daemon's settings: the tables of `soakwatch.toml`, their defaults and bounds. Layering the environment over them is `layers`' part.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeValue;

use super::field::Share;
use super::model::{
    ClientCertificates, ControlTarget, EvidenceSettings, HeartbeatSettings, ListenerTls, LogSettings, MetricsSettings, ProbeSettings,
    RateLimitSettings, ReceiverSettings, ReloadSettings, SchedulerSettings, SelfCheckSettings, ServerSettings, Settings, StoreSettings,
    Token,
};
use super::route;
use super::table::{Field, Table};
use crate::fields::{Bytes, Expected, HttpUrl, Ratio, Slug, Span, Volume};
use crate::probe::http::MAX_BODY;
use crate::route::Via;
use crate::secret::SecretRef;
use crate::transport::auth::rooted;

/// The recorder holds a failure at most 15 s for a self-check that began after it.
const SELF_CHECK_TIMEOUT: Span = Span::seconds(10);

/// What holds when nothing is written.
impl Default for Settings {
    fn default() -> Self {
        Self {
            server: ServerSettings {
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
                open: false,
                hosts: Vec::new(),
                max_connections: 256,
                timeout: Span::seconds(10),
                tokens: Vec::new(),
                tls: None,
                access_log: false,
            },
            store: StoreSettings {
                path: PathBuf::from("soakwatch.db"),
                keep_runs: Span::days(40),
                keep_hours: Span::days(400),
                outbox: 20_000,
            },
            scheduler: SchedulerSettings { vantage: Slug::local(), per_host: 2, max_runs: 1000, grace: Span::seconds(10), threads: 1 },
            rate_limit: RateLimitSettings {
                max_rate: Volume { calls: 1, per_s: 1 },
                quota_share: Ratio(0.05),
                max_hold: Span::seconds(3600),
            },
            self_check: SelfCheckSettings { targets: Vec::new(), every: Span::seconds(15), timeout: Span::seconds(5), time_server: None },
            probe: ProbeSettings {
                max_body: Bytes(1 << 20),
                max_headers: Bytes(64 << 10),
                user_agent: concat!("soakwatch/", env!("CARGO_PKG_VERSION")).to_owned(),
                contact: None,
                traceparent: false,
                dns: Vec::new(),
                ca: None,
                ca_sha256: None,
                proxy: None,
            },
            receiver: ReceiverSettings {
                listen: None,
                public_url: None,
                max_connections: 256,
                max_per_sender: 64,
                timeout: Span::seconds(10),
                max_rate: Volume { calls: 50, per_s: 1 },
                tls: None,
                access_log: false,
            },
            metrics: MetricsSettings { check_histograms: false, max_series: 2_000_000 },
            evidence: EvidenceSettings { bundles: true, dir: PathBuf::from("evidence"), signing_key: None },
            heartbeat: HeartbeatSettings { url: None, every: Span::seconds(60), post: false, timeout: Span::seconds(10) },
            reload: ReloadSettings { watch: false },
            log: LogSettings { level: tracing::Level::INFO, json: None },
        }
    }
}

/// Reads the root table. Bad values are reported and stand at their default.
pub fn read(mut root: Table<'_>) -> Settings {
    let mut settings = Settings::default();
    if let Some(t) = root.table("server") {
        server(t, &mut settings.server);
    }
    if let Some(t) = root.table("store") {
        store(t, &mut settings.store);
    }
    if let Some(t) = root.table("scheduler") {
        scheduler(t, &mut settings.scheduler);
    }
    if let Some(t) = root.table("rate_limit") {
        rate_limit(t, &mut settings.rate_limit);
    }
    if let Some(t) = root.table("self_check") {
        self_check(t, &mut settings.self_check);
    }
    if let Some(t) = root.table("probe") {
        probe(t, &mut settings.probe);
    }
    if let Some(t) = root.table("receiver") {
        receiver(t, &mut settings.receiver);
    }
    if let Some(t) = root.table("metrics") {
        metrics(t, &mut settings.metrics);
    }
    if let Some(mut t) = root.table("evidence") {
        set(&mut settings.evidence.bundles, t.opt("bundles"));
        set(&mut settings.evidence.dir, t.opt("dir"));
        settings.evidence.signing_key = t.opt::<SecretRef>("signing_key").map(|key| rooted(key, &t));
        t.finish();
    }
    if let Some(mut t) = root.table("heartbeat") {
        settings.heartbeat.url = t.opt::<SecretRef>("url").map(|url| rooted(url, &t));
        set(&mut settings.heartbeat.every, t.between("every", Span::seconds(1), Span::days(1)));
        set(&mut settings.heartbeat.post, t.word("method", &[("get", false), ("post", true)]));
        set(&mut settings.heartbeat.timeout, t.between("timeout", Span::seconds(1), Span::seconds(60)));
        t.finish();
    }
    if let Some(mut t) = root.table("reload") {
        set(&mut settings.reload.watch, t.opt("watch"));
        t.finish();
    }
    if let Some(t) = root.table("log") {
        log(t, &mut settings.log);
    }
    root.finish();
    settings
}

/// Sets a value where one was read.
fn set<T>(place: &mut T, read: Option<T>) {
    if let Some(value) = read {
        *place = value;
    }
}

fn server(mut t: Table<'_>, s: &mut ServerSettings) {
    set(&mut s.listen, t.opt("listen"));
    set(&mut s.open, t.word("auth", &[("token", false), ("none", true)]));
    s.hosts = t.list::<HostName>("hosts").into_iter().map(|h| h.0).collect();
    set(&mut s.max_connections, t.between("max_connections", 1, 10_000));
    set(&mut s.timeout, t.between("timeout", Span::seconds(1), Span::seconds(300)));
    s.tls = t.table("tls").and_then(listener_tls);
    set(&mut s.access_log, t.opt("access_log"));
    for mut entry in t.tables("token") {
        let name: Option<Slug> = entry.req("name");
        let role = entry.req("role");
        let hash: Option<TokenHash> = entry.req("hash");
        if let Some(name) = &name
            && s.tokens.iter().any(|other| other.name == *name)
        {
            entry.problem("name", format!("there is already a token \"{name}\""), "expected another name: it stands in audit records");
        }
        if let Some(hash) = &hash
            && let Some(other) = s.tokens.iter().find(|other| other.sha256 == hash.0)
        {
            entry.problem("hash", format!("this is the token of \"{}\" too", other.name), "expected a token of its own for each name");
        }
        if let (Some(name), Some(role), Some(hash)) = (name, role, hash) {
            s.tokens.push(Token { name, role, sha256: hash.0 });
        }
        entry.finish();
    }
    t.finish();
}

/// `tls` of a listener.
fn listener_tls(mut t: Table<'_>) -> Option<ListenerTls> {
    let dir = t.source().dir.clone();
    let certificate: Option<PathBuf> = t.req("certificate");
    let key = t.req::<SecretRef>("key").map(|key| rooted(key, &t));
    let ca: Option<PathBuf> = t.opt("client_ca");
    let optional = t.word("client_certificates", &[("required", false), ("optional", true)]);
    if optional.is_some() && ca.is_none() {
        t.problem("client_certificates", "there is no client_ca to judge them by", "expected client_ca = \"FILE\" beside it");
    }
    t.finish();
    let clients = ca.map(|ca| ClientCertificates { ca: dir.join(ca), optional: optional.unwrap_or(false) });
    Some(ListenerTls { certificate: dir.join(certificate?), key: key?, clients })
}

fn store(mut t: Table<'_>, s: &mut StoreSettings) {
    set(&mut s.path, t.opt("path"));
    set(&mut s.keep_runs, t.between("keep_runs", Span::days(1), Span::days(3660)));
    set(&mut s.keep_hours, t.between("keep_hours", Span::days(1), Span::days(3660)));
    set(&mut s.outbox, t.between("outbox", 1, 1_000_000));
    t.finish();
}

fn scheduler(mut t: Table<'_>, s: &mut SchedulerSettings) {
    set(&mut s.vantage, t.opt("vantage"));
    set(&mut s.per_host, t.between("per_host", 1, 1000));
    set(&mut s.max_runs, t.between("max_runs", 1, 100_000));
    set(&mut s.grace, t.between("grace", Span::seconds(0), Span::seconds(300)));
    set(&mut s.threads, t.between("threads", 1, 64));
    t.finish();
}

fn rate_limit(mut t: Table<'_>, s: &mut RateLimitSettings) {
    let rate: Option<Volume> = t.opt("max_rate");
    if rate.is_some_and(|r| r.calls == 0) {
        t.problem("max_rate", "no requests are no rate", "expected 1 or more, such as \"1/s\" or \"30/min\"");
    }
    set(&mut s.max_rate, rate.filter(|r| r.calls > 0));
    set(&mut s.quota_share, t.opt::<Share>("quota_share").map(|s| s.0));
    set(&mut s.max_hold, t.between("max_hold", Span::seconds(1), Span::days(1)));
    t.finish();
}

fn self_check(mut t: Table<'_>, s: &mut SelfCheckSettings) {
    s.targets = t.list("targets");
    if s.targets.len() > 16 {
        t.problem("targets", format!("{} targets are too many", s.targets.len()), "expected at most 16");
    }
    set(&mut s.every, t.between("every", Span::seconds(1), Span::seconds(300)));
    set(&mut s.timeout, t.between("timeout", Span(std::time::Duration::from_millis(100)), SELF_CHECK_TIMEOUT));
    s.time_server = t.opt::<TimeServer>("time_server").map(|s| s.0);
    t.finish();
}

fn probe(mut t: Table<'_>, s: &mut ProbeSettings) {
    set(&mut s.max_body, t.between("max_body", Bytes(1 << 10), MAX_BODY));
    set(&mut s.max_headers, t.between("max_headers", Bytes(1 << 10), Bytes(1 << 20)));
    set(&mut s.user_agent, t.opt::<HeaderText>("user_agent").map(|h| h.0));
    s.contact = t.opt::<Contact>("contact").map(|c| c.0);
    set(&mut s.traceparent, t.opt("traceparent"));
    s.dns = t.list("dns");
    s.ca = t.opt("ca");
    s.proxy = route::proxy(&mut t).and_then(|via| match via {
        Via::Proxy(proxy) => Some(proxy),
        Via::Direct => None,
    });
    t.finish();
}

fn receiver(mut t: Table<'_>, s: &mut ReceiverSettings) {
    s.listen = t.opt("listen");
    s.public_url = t.opt("public_url");
    set(&mut s.max_connections, t.between("max_connections", 1, 10_000));
    s.tls = t.table("tls").and_then(listener_tls);
    set(&mut s.access_log, t.opt("access_log"));
    set(&mut s.max_per_sender, t.between("max_per_sender", 1, 10_000));
    set(&mut s.timeout, t.between("timeout", Span::seconds(1), Span::seconds(60)));
    let rate: Option<Volume> = t.opt("max_rate");
    if rate.is_some_and(|r| r.calls == 0) {
        t.problem("max_rate", "no messages are no rate", "expected 1 or more, such as \"50/s\" or \"600/min\"");
    }
    set(&mut s.max_rate, rate.filter(|r| r.calls > 0));
    t.finish();
}

fn metrics(mut t: Table<'_>, s: &mut MetricsSettings) {
    set(&mut s.check_histograms, t.opt("check_histograms"));
    set(&mut s.max_series, t.between("max_series", 1, 1_000_000_000));
    t.finish();
}

fn log(mut t: Table<'_>, s: &mut LogSettings) {
    use tracing::Level;
    let levels = [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];
    set(&mut s.level, t.word("level", &levels));
    set(&mut s.json, t.word("format", &[("auto", None), ("json", Some(true)), ("text", Some(false))]));
    t.finish();
}

/// `host` or `host:port` as a browser names it; lower case.
struct HostName(String);

impl Field for HostName {
    fn expected() -> String {
        "a host name such as \"soakwatch.example.com\" (with its port, if it is not 80 or 443)".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let fits = |s: &&str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            (1..=260).contains(&s.len()) && s.bytes().all(allowed)
        };
        value.as_str().filter(fits).map(|s| Self(s.to_ascii_lowercase())).ok_or_else(|| Expected(Self::expected()))
    }
}

/// A text that may stand in a header.
struct HeaderText(String);

impl Field for HeaderText {
    fn expected() -> String {
        "1 to 200 visible ASCII characters".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let fits = |s: &&str| (1..=200).contains(&s.len()) && s.bytes().all(|b| (0x20..0x7f).contains(&b)) && s.trim() == *s;
        value.as_str().filter(fits).map(|s| Self(s.to_owned())).ok_or_else(|| Expected(Self::expected()))
    }
}

/// Whom to ask about our requests. It stands in parentheses in a header: an escaped URL without any.
struct Contact(String);

impl Field for Contact {
    fn expected() -> String {
        "\"mailto:somebody@example.com\" or an http(s) URL, at most 200 characters, without user, spaces or parentheses".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let wrong = || Expected(Self::expected());
        let fits = |s: &&str| s.len() <= 200 && s.bytes().all(|b| (0x21..0x7f).contains(&b) && !b"()\\\"<>".contains(&b));
        let text = value.as_str().filter(fits).ok_or_else(wrong)?;
        let url = url::Url::parse(text).map_err(|_| wrong())?;
        let named = match url.scheme() {
            "mailto" => url.path().split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty()),
            "http" | "https" => url.host().is_some() && url.username().is_empty() && url.password().is_none(),
            _ => false,
        };
        if named { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

/// `sha256:` and 64 hex digits. A problem never repeats the value: it may be the token itself.
struct TokenHash([u8; 32]);

impl Field for TokenHash {
    fn expected() -> String {
        "the token's hash, \"sha256:\" and 64 hex digits, never the token itself".into()
    }
    fn hide() -> bool {
        true
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let wrong = || Expected(Self::expected());
        let hex = value.as_str().and_then(|s| s.strip_prefix("sha256:")).map(str::as_bytes).filter(|h| h.len() == 64).ok_or_else(wrong)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (high, low) = pair.first().copied().and_then(digit).zip(pair.get(1).copied().and_then(digit)).ok_or_else(wrong)?;
            *byte = high << 4 | low;
        }
        Ok(Self(hash))
    }
}

/// A time server: `host` or `host:port`.
struct TimeServer(ControlTarget);

impl Field for TimeServer {
    fn expected() -> String {
        "a host name or address such as \"ntp.example.com\" (with its port, if it is not 123)".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let wrong = || Expected(Self::expected());
        let name = value.as_str().filter(|s| (1..=260).contains(&s.len())).ok_or_else(wrong)?;
        let url = url::Url::parse(&format!("tcp://{name}")).map_err(|_| wrong())?;
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(wrong)?;
        let alone = name == host || Some(name) == url.port().map(|p| format!("{host}:{p}")).as_deref();
        let port = url.port().unwrap_or(123);
        let target = ControlTarget { name: name.to_owned(), host: host.trim_matches(['[', ']']).to_owned(), port };
        Some(Self(target)).filter(|_| alone && port > 0).ok_or_else(wrong)
    }
}

/// A neutral endpoint: `tcp://host:port`, or the host and port of an http(s) URL.
impl Field for ControlTarget {
    fn expected() -> String {
        "\"tcp://host:port\" or an http(s) URL".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let wrong = || Expected(Self::expected());
        let text = value.as_str().filter(|s| s.len() <= 1000).ok_or_else(wrong)?;
        let (name, url) = if text.starts_with("tcp://") {
            let url = url::Url::parse(text).map_err(|_| wrong())?;
            let only_host_and_port = text == format!("tcp://{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
            (text.to_owned(), Some(url).filter(|_| only_host_and_port).ok_or_else(wrong)?)
        } else {
            let url: HttpUrl = text.parse().map_err(|_| wrong())?;
            (url.shown(), url.url().clone())
        };
        let host = url.host_str().map(|h| h.trim_matches(['[', ']'])).filter(|h| !h.is_empty()).ok_or_else(wrong)?;
        let port = url.port_or_known_default().filter(|p| *p > 0).ok_or_else(wrong)?;
        Ok(Self { name, host: host.to_owned(), port })
    }
    fn shown(value: &DeValue<'_>) -> String {
        <HttpUrl as Field>::shown(value)
    }
}
