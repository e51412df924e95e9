//! The gate: the verdicts of an environment become one answer. Pure; it never says go on stale, unknown or missing data.

use crate::clock::UnixMs;
use crate::outcome::closed_set;

closed_set! {
    /// What the gate says, the worst last.
    Answer {
        /// Every integration passed.
        Go => "go",
        /// Something is missing, or could not be decided.
        NotYet => "not_yet",
        /// An integration failed, or can't pass any more.
        NoGo => "no_go",
    }
}

/// The answer for one environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The worst of all.
    pub answer: Answer,
    /// Why, for each integration, in the order given; and where no integration can be named.
    pub lines: Vec<Line>,
    /// When it can be `go` at the earliest, if anything says so.
    pub earliest: Option<UnixMs>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The integration by its number in the input; `None`: the environment as a whole.
    pub integration: Option<usize>,
    /// What it comes to.
    pub answer: Answer,
    /// The criterion it is about, if it is about one.
    pub criterion: Option<String>,
    /// In words.
    pub reason: String,
}
