//! Where all rows of a scrape keep what they have several of: one list of each, instead of many small ones in every row. Owns label blocks, which are
//! made here once for all lines; knows no metric.

use std::ops::Range;

use super::rate_limit::PolicyRow;
use super::text::label;
use crate::fields::IntegrationId;
use crate::outcome::{Attribution, Cause, Class};

/// The lists.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// Label blocks, `a="b",c="d"`; most begin with those of their integration.
    pub(super) labels: Vec<u8>,
    pub(super) classes: Pool<(Class, Attribution)>,
    pub(super) causes: Pool<Cause>,
    pub(super) codes: Pool<u16>,
    pub(super) retries: Pool<Class>,
    pub(super) policies: Vec<PolicyRow>,
}

/// Where the next row's parts of the lists begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    pub(super) classes: Start,
    pub(super) causes: Start,
    pub(super) codes: Start,
    pub(super) retries: Start,
    pub(super) policies: usize,
}

/// Sums by key, row after row; those of a row in order of their keys.
#[derive(Debug)]
pub(super) struct Pool<K>(Vec<(K, u64)>);

/// Where the sums of a row begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start(usize);

impl<K> Default for Pool<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord> Pool<K> {
    /// Adds to a sum of the last row.
    pub(super) fn add(&mut self, row: &Start, key: K, n: u64) {
        let sums = self.0.get_mut(row.0..).unwrap_or_default();
        match sums.iter().position(|(k, _)| *k >= key) {
            Some(place) if sums.get(place).is_some_and(|(k, _)| *k == key) => {
                sums.iter_mut().skip(place).take(1).for_each(|(_, sum)| *sum += n);
            }
            Some(place) => self.0.insert(row.0 + place, (key, n)),
            None => self.0.push((key, n)),
        }
    }

    /// The last row's part.
    pub(super) fn since(&self, row: Start) -> Range<usize> {
        row.0..self.0.len()
    }

    /// A row's part.
    pub(super) fn of(&self, part: &Range<usize>) -> &[(K, u64)] {
        self.0.get(part.clone()).unwrap_or_default()
    }
}

impl Pools {
    /// Makes room for so many integrations and checks at once.
    pub(super) fn reserve(&mut self, integrations: usize, checks: usize) {
        self.labels.reserve((integrations + checks) * 160);
        self.policies.reserve(integrations);
    }

    pub(super) fn starts(&self) -> Starts {
        let Self { classes, causes, codes, retries, policies, .. } = self;
        Starts {
            classes: Start(classes.0.len()),
            causes: Start(causes.0.len()),
            codes: Start(codes.0.len()),
            retries: Start(retries.0.len()),
            policies: policies.len(),
        }
    }

    /// The block of an integration, and that of its environment, with which it begins. Ids need no escapes.
    pub(super) fn integration(&mut self, id: &IntegrationId) -> (Range<usize>, Range<usize>) {
        let start = self.labels.len();
        let mut parts = id.as_str().splitn(3, '/');
        let mut put = |before: &[u8]| {
            self.labels.extend_from_slice(before);
            self.labels.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            self.labels.push(b'"');
            self.labels.len()
        };
        put(b"customer=\"");
        let environment = put(b",environment=\"");
        let end = put(b",integration=\"");
        (start..end, start..environment)
    }

    /// The block of a check of this integration, and the same with its vantage.
    pub(super) fn check(&mut self, integration: &Range<usize>, check: &str, vantage: &str) -> (Range<usize>, Range<usize>) {
        let start = self.labels.len();
        self.labels.extend_from_within(integration.clone());
        for (before, id) in [(",check=\"", check), (",vantage=\"", vantage)] {
            [before, id, "\""].iter().for_each(|piece| self.labels.extend_from_slice(piece.as_bytes()));
        }
        let end = self.labels.len();
        (start..end - ",vantage=\"\"".len() - vantage.len(), start..end)
    }

    /// The block of an integration with one more label, whose value is made of these pieces.
    pub(super) fn labelled(&mut self, integration: &Range<usize>, name: &str, pieces: [&str; 3]) -> Range<usize> {
        let start = self.labels.len();
        self.labels.extend_from_within(integration.clone());
        label(&mut self.labels, name, pieces);
        start..self.labels.len()
    }
}
