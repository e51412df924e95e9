//! Hypercare: how an integration has done since it went live, and whether the closer watch over it may end (docs/hypercare.md).
//!
//! - `policy`: what is asked for before hypercare ends
//! - `history`: a check's runs since go-live, as counts by hour and the newest runs
//! - `numbers`: ratios over windows, budgets, burn rates, times to detect and to repair
//! - `exit`: the criteria, and the answer they come to
//!
//! Pure: never reads a clock or a store; times are arguments. What is not known is absent, and never good.

mod exit;
mod history;
mod numbers;
mod policy;
#[cfg(test)]
mod tests;

pub use exit::{Answer, Criterion, Expiry, Given, Row, What, exit};
pub use history::{History, RECENT_MS};
pub use numbers::{BURNS, Budget, Incidents, Numbers, Reach, Times, budget_of_hypercare, budget_since, burn, numbers};
pub use policy::Policy;
