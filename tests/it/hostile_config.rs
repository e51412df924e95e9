//! Whatever stands in the files: the loader comes back, and gives a configuration or says why not.

use proptest::prelude::*;
use proptest::sample::Index;
use soakwatch::clock::UnixMs;
use soakwatch::config::{LoadOptions, Loaded, load};

use crate::support::seeds::tried;

const SETTINGS: &str = include_str!("../../config/reference.toml");
const CUSTOMER: &str = include_str!("../../config/customers/reference.toml");

fn loaded(settings: &[u8], customer: &[u8], env: Vec<(String, String)>) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    std::fs::write(dir.path().join("customers/a.toml"), customer).unwrap();
    load(dir.path(), &LoadOptions { check_secrets: false, env, now: UnixMs(0) })
}

/// A configuration exactly when there is no error, and every line printable on one line.
fn judge(loaded: &Loaded) -> Result<(), TestCaseError> {
    let errors = loaded.problems.iter().filter(|p| !p.warning).count();
    prop_assert_eq!(loaded.config.is_some(), errors == 0);
    for problem in &loaded.problems {
        let line = problem.to_string();
        prop_assert!(!line.contains(|c: char| c.is_control()), "{:?}", line);
        prop_assert!(!problem.what.is_empty());
    }
    Ok(())
}

/// One change of a text: bytes taken out, put in or doubled, at some place.
fn mutated(text: &str, changes: &[(Index, Index, u8, String)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, length, how, put) in changes {
        let at = at.index(bytes.len() + 1);
        let end = (at + length.index(40)).min(bytes.len());
        match how % 3 {
            0 => drop(bytes.splice(at..end, std::iter::empty())),
            1 => drop(bytes.splice(at..at, put.bytes())),
            _ => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_configuration_or_an_error(settings in any::<String>(), customer in "[\\PC\n\\[\\]=\"{}#.0-9a-z\u{0}]{0,400}") {
        judge(&loaded(settings.as_bytes(), customer.as_bytes(), Vec::new()))?;
    }

    #[test]
    fn any_bytes_give_a_configuration_or_an_error(settings in any::<Vec<u8>>(), customer in any::<Vec<u8>>()) {
        judge(&loaded(&settings, &customer, Vec::new()))?;
    }

    #[test]
    fn a_good_file_with_a_few_changes_gives_a_configuration_or_an_error(
        in_settings in prop::collection::vec(any::<(Index, Index, u8, String)>(), 0..4),
        in_customer in prop::collection::vec(any::<(Index, Index, u8, String)>(), 1..4),
    ) {
        judge(&loaded(&mutated(SETTINGS, &in_settings), &mutated(CUSTOMER, &in_customer), Vec::new()))?;
    }

    #[test]
    fn any_variable_gives_a_configuration_or_an_error(
        set in prop::collection::vec(
            ("SOAKWATCH__(SERVER|STORE|LOG|PROBE|SELF_CHECK|[A-Z\\[\\]._0-9]{0,12})__(LISTEN|PATH|LEVEL|DNS|TARGETS|[A-Z\\[\\]._0-9]{0,12})", any::<String>()),
            0..4,
        ),
    ) {
        judge(&loaded(b"", CUSTOMER.as_bytes(), set))?;
    }
}

#[test]
fn the_inputs_of_committed_seeds_give_a_configuration_or_an_error() {
    let changes = || prop::collection::vec(any::<(Index, Index, u8, String)>(), 0..4);
    tried(10, &(changes(), changes()), |(in_settings, in_customer)| {
        judge(&loaded(&mutated(SETTINGS, &in_settings), &mutated(CUSTOMER, &in_customer), Vec::new()))
    });
    tried(10, &(any::<Vec<u8>>(), any::<String>()), |(settings, customer)| judge(&loaded(&settings, customer.as_bytes(), Vec::new())));
}

#[test]
fn deep_nesting_and_wide_tables_end_soon() {
    for text in ["a = ".to_owned() + &"[".repeat(200_000), "[".repeat(300_000), "a.".repeat(100_000) + "b = 1", "x = {y".repeat(100_000)] {
        let got = loaded(text.as_bytes(), text.as_bytes(), Vec::new());
        assert!(got.config.is_none() && !got.problems.is_empty());
    }
}
