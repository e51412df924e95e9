//! The readiness page and what other pages say of soaks, over a real socket: verdicts, reasons, numbers, shapes and words, and nothing hostile.

use std::sync::Arc;

use soakwatch::budget::Budgets;
use soakwatch::clock::Clock;
use soakwatch::config::model::Settings;
use soakwatch::health::Health;
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::server::{ServerState, bind, serve};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::estate::{NOW, settings};
use crate::soaked_estate::{HOSTILE, HOUR, Soaked, plainly_soaked};
use crate::support::daemon::get;

/// What a server over an estate answers to these paths at a time.
async fn answers_at(estate: Soaked, clock: Clock, paths: &[&str]) -> Vec<(u16, String)> {
    let listener = bind(&settings().server).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let health = Arc::new(Health::default());
    health.set_ready(true);
    let state = ServerState {
        incidents: Arc::default(),
        checkpoints: Arc::default(),
        memories: Arc::default(),
        board: Arc::new(estate.board),
        soaks: Arc::new(estate.soaks),
        budgets: Arc::new(Budgets::new(&Settings::default().rate_limit)),
        started: Arc::new(soakwatch::config::diff::AtStart::of(&Settings::default())),
        own: Arc::new(OwnMetrics::new().unwrap()),
        clock,
        config: watch::channel(Arc::new(estate.config)).1,
        health,
        reload: mpsc::channel(1).0,
        decisions: mpsc::channel(1).0,
        store: std::env::temp_dir().join("soakwatch-no-store-in-this-test.db"),
    };
    let stop = CancellationToken::new();
    let done = tokio::spawn(serve(listener, None, state, stop.clone()));
    let urls: Vec<String> = paths.iter().map(|p| format!("{url}{p}")).collect();
    let answers = tokio::task::spawn_blocking(move || urls.iter().map(|u| get(u)).collect()).await.unwrap();
    stop.cancel();
    done.await.unwrap().unwrap();
    answers
}

async fn pages(paths: &[&str]) -> Vec<String> {
    let answers = answers_at(plainly_soaked(), Clock::simulated(NOW), paths).await;
    answers
        .into_iter()
        .zip(paths)
        .map(|((status, body), path)| if status == 200 { body } else { panic!("{path}: {status} {body}") })
        .collect()
}

/// The part of a page that belongs to one integration.
fn card<'p>(page: &'p str, integration: &str) -> &'p str {
    page.split("<section").find(|s| s.contains(&format!("id=\"{integration}\""))).unwrap_or_else(|| panic!("{integration}: {page}"))
}

fn all_in(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_says_what_and_why_worst_first() {
    let page = &pages(&["/readiness/acme/production"]).await[0];
    all_in(
        page,
        &[
            "<title>no go: acme/production · Soakwatch</title>",
            "No go: an integration failed",
            "3 integrations: 1 no go, 2 not yet.",
            "/api/v1/gates/acme/production",
            "<code>soakwatch gate acme/production</code>",
            "href=\"#stock\">stock</a><ul><li>from the run of 2026-11-",
            "<li>support_handoff: nobody has attested it</li>",
        ],
    );
    let places: Vec<usize> = ["stock", "feed", "orders"].iter().map(|i| page.find(&format!("id=\"{i}\"")).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(!page.contains(", refreshing"));

    let go = &pages(&["/readiness/globex/production"]).await[0];
    all_in(go, &["Go: every integration passed", "1 integration: 1 go."]);
    assert!(!go.contains("Green at the earliest"));
    let nothing = &pages(&["/readiness/initech/sandbox"]).await[0];
    all_in(nothing, &["Not yet", "no integration of the environment has a soak", "no soak", "nothing judges it", "no time is known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_is_shown_with_every_criterion_and_whatever_people_decided() {
    let page = &pages(&["/readiness/acme/production"]).await[0];
    let orders = card(page, "orders");
    all_in(
        orders,
        &[
            "v-passed",
            "a-not_yet",
            "<td class=\"nowrap\">≥ 99 %</td>",
            "≥ 381 runs",
            "≤ 30m",
            // The waiver that is used, the one that is not needed, the one that is over.
            "waived by k.wu &lt;b&gt;&quot;&amp; until 2026-12-21T12:00:00Z: renewed by hand &lt;b&gt;&quot;&amp;",
            "not needed",
            "<td>over</td>",
            // Attested, by whom and until when; and what is missing.
            "signed &lt;b&gt;&quot;&amp;",
            "attested by lee-token on 2026-11-21T07:00:00Z, until 2026-12-11T12:00:00Z",
            "nobody has attested it",
            // Excluded by whom, and the numbers with and without.
            "load test &lt;b&gt;&quot;&amp;",
            "pipeline-token",
            "m.lee &lt;b&gt;&quot;&amp;",
            "without the 12 excluded slots",
            "informational",
        ],
    );
    // 168 h of 12 slots, 12 of which were excluded.
    all_in(orders, &["as recorded</th><td class=\"num\">2016</td>", "excluded slots</th><td class=\"num\">2004</td>"]);
    all_in(orders, &["Unknown</th>", "What would change the verdict"]);
    let stock = card(page, "stock");
    all_in(stock, &["v-doomed", "a-no_go", "It could not pass any more", "87 of 20 failures used, 0 left", "it can't reach 99 % any more"]);
    let feed = card(page, "feed");
    all_in(feed, &["v-running", "28 %, 5d left", "12 slots not due", "the window is not full", "2026-11-26 12:00:00 UTC"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_told_in_words_and_shapes() {
    let page = &pages(&["/readiness/acme/production"]).await[0];
    let orders = card(page, "orders");
    // The day in which the daemon was down for six hours, and the one with the load test (as recorded).
    let days: Vec<&str> = orders.split("aria-label=\"24 hours from ").skip(1).map(|d| d.split('"').next().unwrap()).collect();
    assert_eq!(days.len(), 7);
    assert!(days.iter().any(|d| d.starts_with("2026-11-18 12:00 UTC: ") && d.contains("6 due but not run")), "{days:?}");
    assert!(days.iter().any(|d| d.contains("; lowest 0 % at 2026-11-20 06:00")), "{days:?}");
    all_in(orders, &["<title>2026-11-20 06:00: 0 % passed</title>", "class=\"cross\"", "rect class=\"missing\"", "due, not run"]);
    // A soak that began two days ago: hours before it are no part of it.
    let feed = card(page, "feed");
    assert_eq!(feed.matches("aria-label=\"24 hours from ").count(), 2);
    all_in(feed, &["nothing due or recorded", "Of 48 hours: "]);
    all_in(page, &["What the cells mean", "every run passed", "below the target"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_go_live_the_verdict_is_the_frozen_one() {
    let page = &pages(&["/readiness/globex/production"]).await[0];
    let directory = card(page, "directory");
    all_in(directory, &["Frozen at go-live, ", "2026-11-19 12:00:00 UTC", "v-passed", "hypercare", "2026-11-12 12:00:00 UTC"]);
    // 168 hours before go-live, of which those of the last seven days are still kept.
    all_in(directory, &["no longer kept here"]);
    assert!(!directory.contains("rect class=\"bad\""), "what failed after go-live is not shown");
    // A month later nothing of it is left on the board, and the pass is stale.
    let later = Clock::simulated(NOW.plus(HOUR * 24 * 30));
    let (status, page) = answers_at(plainly_soaked(), later, &["/readiness/globex/production"]).await.remove(0);
    assert_eq!(status, 200);
    all_in(card(&page, "directory"), &["v-stale", "The hours of this window are no longer kept here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_say_it_in_a_word_and_lead_here() {
    let [overview, detail, plain]: [String; 3] =
        pages(&["/", "/integrations/acme/production/stock", "/integrations/acme/staging/plain"]).await.try_into().unwrap();
    let row = |id: &str| overview.split("<tr").find(|r| r.contains(&format!("/integrations/{id}\""))).unwrap().to_owned();
    all_in(
        &row("acme/production/stock"),
        &["href=\"/readiness/acme/production#stock\"", "v-doomed", "href=\"/readiness/acme/production\""],
    );
    all_in(&row("acme/production/orders"), &["v-passed"]);
    assert!(!row("acme/staging/plain").contains("soak: "), "it has none");
    all_in(&detail, &["aria-label=\"Soak\"", "v-doomed", "href=\"/readiness/acme/production#stock\"", "can't reach 99 %"]);
    all_in(&detail, &["<a href=\"/readiness/acme/production\">production</a>"]);
    assert!(!plain.contains("aria-label=\"Soak\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_wrote_is_markup() {
    let pages = pages(&["/readiness/acme/production", "/", "/integrations/acme/production/orders"]).await;
    for page in pages {
        assert!(page.contains("&lt;b&gt;"), "the hostile texts are shown");
        assert!(!page.contains(HOSTILE) && !page.contains("<script"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_not_there_is_said_so() {
    let paths = ["/readiness/acme/nowhere", "/readiness/%3Cb%3E/x", "/readiness/acme"];
    let answers = answers_at(plainly_soaked(), Clock::simulated(NOW), &paths).await;
    assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [404, 404, 404]);
    assert!(answers[0].1.contains("no such environment is configured"), "{}", answers[0].1);
    assert!(!answers[1].1.contains("<b>"));
}

/// The store can't be read: the last verdict is shown, and that it is old.
#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_is_not_of_now_says_so() {
    let estate = plainly_soaked();
    estate.board.read(|all| estate.soaks.watch(all, NOW, true));
    // An hour has left the window: the runs have to be read again.
    let later = Clock::simulated(NOW.plus(HOUR * 2));
    let (_, page) = answers_at(estate, later, &["/readiness/acme/production"]).await.remove(0);
    all_in(card(&page, "orders"), &["The runs are being counted again; this is the verdict of", "2026-11-21 12:00:00 UTC"]);
    assert!(!card(&page, "feed").contains("being counted again"), "its window only grew");
}
