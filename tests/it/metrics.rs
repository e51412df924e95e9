//! The scrape: a golden file, the catalogue in both directions, the budget of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::arrivals::{Heard, What};
use soakwatch::board::Board;
use soakwatch::clock::{UnixMs, monotonic};
use soakwatch::config::model::{CheckDef, Config, DeclaredVolume, Integration, SoakPolicy};
use soakwatch::config::{Counts, lines};
use soakwatch::fields::Span;
use soakwatch::finding::{DocumentFacts, Level, Party, Severity};
use soakwatch::incident::live::Incidents;
use soakwatch::metrics::catalogue::{CHECKS, OWN, Type};
use soakwatch::metrics::encode::{CHUNK, Encoder, Scrape};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::{Class, Criticality};
use soakwatch::probe::Kind;
use soakwatch::probe::receiving::Receiving;
use soakwatch::probe::webhook_arrival::ArrivalCheck;
use soakwatch::readiness::Soaks;
use soakwatch::record::DurationCode;
use soakwatch::webhook::Scheme;

use crate::estate::{Ended, NOW, budgets, config, integration, runs, settings, soaks, soaks_over, with_checks};
use crate::live_metrics::promtool;
use crate::rate_limit_metrics::{reading, told_estate};

/// A scrape at [`NOW`], of a daemon whose paces have had an hour to gather, and that has no soaks.
pub(crate) fn encoded(config: &Config, board: &Board) -> String {
    encoded_with(config, board, &Soaks::default())
}

/// The same with soaks.
pub(crate) fn encoded_with(config: &Config, board: &Board, soaks: &Soaks) -> String {
    let mono = monotonic();
    let budgets = budgets(config, board, mono);
    let mut encoder = Encoder::new(Scrape::take(
        board,
        (soaks, &Incidents::default()),
        &budgets,
        &config.settings,
        NOW,
        mono + Duration::from_secs(3_600),
    ));
    let mut out = Vec::new();
    while encoder.write(&mut out) {}
    String::from_utf8(out).unwrap()
}

/// `metrics.txt` is what a scrape of the made estate must be; run with SOAKWATCH_BLESS=1 to write it anew, and look at the difference.
#[test]
fn a_scrape_is_as_it_was() {
    let (config, board) = told_estate(settings());
    let text = encoded_with(&config, &board, &soaks(&config));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.txt");
    if std::env::var_os("SOAKWATCH_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let mut differences = String::new();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (golden.lines().collect(), text.lines().collect());
    old.difference(&new).for_each(|l| writeln!(differences, "- {l}").unwrap());
    new.difference(&old).for_each(|l| writeln!(differences, "+ {l}").unwrap());
    assert!(text == golden, "the scrape changed:\n{differences}");
}

/// Adds a check whose messages arrive, and one that came.
fn receives(config: &mut Config, board: &Board) {
    let receiving = Receiving {
        scheme: Scheme::named("github").unwrap().clone(),
        template: BTreeMap::new(),
        secrets: Vec::new(),
        url: None,
        allowed_origins: None,
    };
    let kind = ArrivalCheck {
        receiving,
        grace: Span::seconds(60),
        cron: None,
        within: None,
        event_time: None,
        sequence: None,
        ordered: false,
        max_duplicates: None,
    };
    let like = config.customers[0].checks[0].clone();
    let id = like.integration.id.check(&"arrivals".parse().unwrap());
    let arrivals = CheckDef { key: id.key(), id: id.clone(), kind: Kind::WebhookArrival(Box::new(kind)), ..(*like).clone() };
    config.customers[0].checks.push(Arc::new(arrivals));
    board.configure(config);
    board.arrivals.configure(config, |_| Default::default(), NOW);
    board.arrivals.hear(&id, Heard { at: NOW, what: What::Accepted, delay: Some(2.0), number: None });
    board.arrivals.hear(&id, Heard { at: NOW, what: What::Forged, delay: None, number: None });
}

/// Name of the family of a sample line, and the names of its labels without `le`.
fn sample(line: &str) -> (String, Vec<String>) {
    let (name, rest) = line.find(['{', ' ']).map(|n| line.split_at(n)).unwrap();
    let mut labels = Vec::new();
    let mut rest = rest;
    // Values in the made estate hold no comma or brace besides the escaped quotes.
    if let Some(inner) = rest.strip_prefix('{') {
        rest = &inner[..inner.rfind("} ").unwrap()];
        for pair in rest.split(',') {
            labels.push(pair.split_once('=').unwrap().0.to_owned());
        }
    }
    labels.retain(|l| l != "le");
    (name.to_owned(), labels)
}

#[test]
fn the_catalogue_and_a_full_scrape_agree_in_both_directions() {
    let own = OwnMetrics::new().unwrap();
    own.config_accepted("abc", UnixMs(1));
    own.evidence_appended(1, UnixMs(1));
    own.self_check("local", [("tcp://192.0.2.1:53", true)]);
    own.clock_ahead(Some(0.25));
    own.tls_holds(soakwatch::metrics::own::Listening::Server, Some(UnixMs(1_000)));
    own.http_request("metrics", 200);
    let (mut config, board) = told_estate(settings());
    receives(&mut config, &board);
    board.update(&"acme/staging/billing/invoices".parse().unwrap(), |_, state| {
        let rule = soakwatch::finding::Rule::new("X-KEY-01", Severity::High, Party::CustomerIdp, Class::Metadata, "");
        state.findings = vec![rule.found("weak"), rule.found("weak, too"), rule.found("noted").at(Level::Info)];
        state.document = Some(DocumentFacts { valid_until: Some(NOW), signing_certificate_expiry: Some(NOW), changed: true });
        state.document_changes = 1;
    });
    let text = String::from_utf8(own.encode().unwrap()).unwrap() + &encoded_with(&config, &board, &soaks(&config));
    if let Some((said, content)) = promtool(&text) {
        assert!(content, "promtool check metrics: {said}");
    }

    let mut helps: BTreeMap<&str, &str> = BTreeMap::new();
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut labels: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helps.insert(name, help).is_none(), "{name} stands there twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name, kind);
        } else {
            let (name, mut names) = sample(line);
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).filter(|f| types.get(f) == Some(&"histogram"));
            names.sort();
            labels.entry(family.unwrap_or(&name).to_owned()).or_default().insert(names);
        }
    }
    let rows: Vec<_> = CHECKS.iter().chain(OWN).collect();
    for row in &rows {
        assert_eq!(helps.get(row.name), Some(&row.help), "{}", row.name);
        assert_eq!(types.get(row.name), Some(&row.kind.as_str()), "{}", row.name);
        let mut wanted: Vec<String> = row.labels.iter().map(|l| (*l).to_owned()).collect();
        wanted.sort();
        assert_eq!(labels.get(row.name), Some(&BTreeSet::from([wanted])), "{}", row.name);
    }
    let catalogue: BTreeSet<&str> = rows.iter().map(|r| r.name).collect();
    assert_eq!(catalogue.len(), rows.len(), "no name twice");
    let exported: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
    assert_eq!(exported.difference(&catalogue).collect::<Vec<_>>(), Vec::<&&str>::new(), "exported, but not in the catalogue");
}

#[test]
fn histograms_are_cumulative_and_move_to_checks_on_request() {
    let mut s = settings();
    s.metrics.check_histograms = true;
    let (config, board) = told_estate(s);
    let text = encoded(&config, &board);
    let row = CHECKS.iter().find(|f| f.kind == Type::Histogram).unwrap();
    let at = |suffix: &str, le: &str| {
        let labels = format!("{{customer=\"globex\",environment=\"production\",integration=\"directory\",check=\"users\"{le}}} ");
        let start = format!("{}{suffix}{labels}", row.name);
        text.lines().find_map(|l| l.strip_prefix(&start)).unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(
        [at("_bucket", ",le=\"0.1\""), at("_bucket", ",le=\"0.25\""), at("_bucket", ",le=\"+Inf\""), at("_count", "")],
        [0.0, 1500.0, 1500.0, 1500.0]
    );
    assert!((at("_sum", "") / 1500.0 / 0.182 - 1.0).abs() < 0.05);
}

/// Every fourth integration declares its peak, one in ten has waited in its own limiter, and each observes one value; all were told one policy and
/// have failed in two ways. Five share an environment. The lines of a scrape, and the checks.
fn lines_of_two_hundred(soak: Option<&SoakPolicy>) -> (usize, usize) {
    let made: Vec<_> = (0..200)
        .map(|n| {
            let peak = (n % 4 == 0).then(|| "10/s".parse().unwrap());
            let volume = DeclaredVolume { peak, ..DeclaredVolume::default() };
            let soak = soak.cloned().map(Arc::new);
            with_checks(
                Integration { volume, soak, ..integration(&format!("c{}", n / 5), "production", &format!("i{n}")) },
                &["a", "b", "c"],
            )
        })
        .collect();
    let board = Board::default();
    let config = config(settings(), made);
    let checks: Vec<_> = config.checks().cloned().collect();
    board.configure(&config);
    let mut all = Vec::new();
    for (n, check) in checks.iter().enumerate() {
        let mut records = runs(check, 20, |k| match k {
            3 => Ended::Fail(soakwatch::outcome::Class::ServerError, "HTTP 500"),
            4 => Ended::Fail(soakwatch::outcome::Class::Timeout, "no answer"),
            5 => Ended::Throttled,
            _ => Ended::Pass,
        });
        let facts = &mut records[19].facts;
        facts.certificate_expiry = Some(NOW);
        facts.values = (n % 3 == 0).then(|| ("depth".into(), 1.0)).into_iter().collect();
        facts.codes = vec![200, 204, 500];
        facts.limits = vec![reading("default", 600, 590, 60, -5)];
        facts.throttle_wait = (n % 30 == 0).then(|| DurationCode::of(Duration::from_millis(300)));
        board.apply(&records);
        all.extend(records);
    }
    let text = encoded_with(&config, &board, &soaks_over(&config, &all));
    (text.lines().filter(|l| !l.starts_with('#')).count(), checks.len())
}

/// 30 lines a check are the budget of what every integration exports. A soak is asked for: it adds 18 lines to its integration and up to 15 to its
/// environment, so that an estate of which every part is soaking comes to 36 or 37.
#[test]
fn two_hundred_integrations_stay_in_the_budget_of_lines() {
    let (lines, checks) = lines_of_two_hundred(None);
    assert!(lines < 30 * checks, "{} lines a check", lines as f64 / checks as f64);
    assert!(lines > 25 * checks, "the estate exports what it should");
    let full = SoakPolicy::new(Criticality::Normal, NOW.minus(Span::days(8).0));
    let more = lines_of_two_hundred(Some(&full)).0 - lines;
    assert!(more <= 200 * 18 + 40 * 15, "{more} lines for 200 soaks in 40 environments");
    assert!(more >= 200 * 18 + 40 * 8, "{more}: full windows export what they should");
}

/// `metrics.max_series` is judged before anything runs, by counting: the count must not be less than what is exported, nor far more.
#[test]
fn a_configuration_is_counted_as_what_it_exports() {
    use soakwatch::outcome::{Cause, Class};
    let shapes = [(&["a"][..], false), (&["a"], true), (&["a", "b", "c"], false), (&["a", "b", "c"], true)];
    for ((names, check_histograms), soaked) in shapes.into_iter().flat_map(|s| [(s, false), (s, true)]) {
        let mut settings = settings();
        settings.metrics.check_histograms = check_histograms;
        let made: Vec<_> = (0..50)
            .map(|n| {
                let volume = DeclaredVolume { peak: Some("10/s".parse().unwrap()), ..DeclaredVolume::default() };
                let asked =
                    SoakPolicy { attest: vec!["uat_signoff".into()], ..SoakPolicy::new(Criticality::Normal, NOW.minus(Span::days(8).0)) };
                let soak = soaked.then_some(Arc::new(asked));
                let i = Integration { go_live: Some(NOW), volume, soak, ..integration(&format!("c{n}"), "production", "i") };
                with_checks(i, names)
            })
            .collect();
        let config = config(settings, made);
        let checks: Vec<_> = config.checks().cloned().collect();
        let board = Board::default();
        board.configure(&config);
        let mut all = Vec::new();
        for check in &checks {
            let mut records = runs(check, 12, |k| match k {
                1 => Ended::Fail(Class::ServerError, "HTTP 500"),
                2 => Ended::Fail(Class::Timeout, "no answer"),
                3 => Ended::Fail(Class::Connect, "refused"),
                4 => Ended::Fail(Class::Unauthorized, "HTTP 401"),
                5 => Ended::Throttled,
                6 => Ended::NotRun(Cause::HostBusy),
                7 => Ended::NotRun(Cause::Down),
                _ => Ended::Pass,
            });
            records[1].facts.codes = vec![500, 502, 503];
            records[2].facts.retries = vec![Class::Timeout, Class::Connect];
            records[4].facts.codes = vec![401];
            records[10].facts.limits = vec![reading("minute", 600, 590, 60, -40), reading("5 minutes", 900, 800, 300, -40)];
            records[11].facts.certificate_expiry = Some(NOW);
            records[11].facts.values = vec![("backlog".into(), 1.0), ("depth".into(), 2.0)];
            records[11].facts.limits = vec![reading("minute", 600, 100, 60, -10), reading("5 minutes", 900, 20, 300, -10)];
            records[11].facts.throttle_wait = Some(DurationCode::of(Duration::from_millis(300)));
            board.apply(&records);
            all.extend(records);
        }
        let readiness = if soaked { 50 } else { 0 };
        let counts = Counts {
            customers: 50,
            integrations: 50,
            checks: checks.len() as u64,
            soaks: readiness,
            gates: readiness,
            attested: readiness,
            receiving: 0,
            received: 0,
        };
        let counted = lines(counts, check_histograms);
        let exported = encoded_with(&config, &board, &soaks_over(&config, &all)).lines().filter(|l| !l.starts_with('#')).count() as u64;
        assert!(exported <= counted, "{names:?}, {check_histograms}: {exported} exported, counted as {counted}");
        assert!(exported * 10 >= counted * 8, "{names:?}, {check_histograms}: only {exported} exported, counted as {counted}");
    }
}

#[test]
fn pieces_are_bounded_and_make_the_same_text() {
    let made: Vec<_> = (0..300).map(|n| with_checks(integration("acme", "production", &format!("i{n}")), &["a", "b"])).collect();
    let (config, board) = (config(settings(), made), Board::default());
    board.configure(&config);
    let mono = monotonic();
    let soaks = Soaks::default();
    let mut encoder =
        Encoder::new(Scrape::take(&board, (&soaks, &Incidents::default()), &budgets(&config, &board, mono), &config.settings, NOW, mono));
    let (mut all, mut pieces, mut more) = (String::new(), 0, true);
    while more {
        let mut piece = Vec::new();
        more = encoder.write(&mut piece);
        assert!(piece.len() < CHUNK + 4096, "{}", piece.len());
        all.push_str(std::str::from_utf8(&piece).unwrap());
        pieces += 1;
    }
    assert!(pieces > 10);
    assert_eq!(all, encoded(&config, &board));
    assert_eq!(all.lines().filter(|l| l.starts_with("# TYPE soakwatch_runs_total ")).count(), 1);
}
