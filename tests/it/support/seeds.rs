//! Inputs made from committed seeds: the same on every machine and every day. A seed that found something is added to the file and stays.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// One seed a line, 64 hex digits.
const SEEDS: &str = include_str!("../../fixtures/parser-seeds.txt");

/// Tries `cases` inputs of each committed seed, and as many of a new one.
pub(crate) fn tried<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let config = || ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let seeds: Vec<&str> = SEEDS.lines().collect();
    assert!(seeds.len() >= 16);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let mut runner = TestRunner::new_with_rng(config(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        if let Err(e) = runner.run(strategy, &test) {
            panic!("seed {seed}: {e}");
        }
    }
    if let Err(e) = TestRunner::new(config()).run(strategy, &test) {
        panic!("{e}");
    }
}
