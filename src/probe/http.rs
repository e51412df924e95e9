//! The http kind.
use super::ProbeContext;
use crate::config::table::Table;
use crate::observed::{Failure, Observed};

/// An http check.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {}
impl HttpCheck {
    /// Reads the kind's table.
    pub fn read(_table: Table<'_>) -> Option<Self> {
        Some(Self {})
    }
    /// host:port
    pub fn host(&self) -> String {
        String::new()
    }
    /// The URL without user and query.
    pub fn url_shown(&self) -> String {
        "https://api.example.com/v1".into()
    }
    /// Runs once.
    pub async fn run(&self, _context: &mut ProbeContext<'_>, _observed: &mut Observed) -> Result<(), Failure> {
        Ok(())
    }
}
