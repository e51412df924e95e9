//! Configuration: read -> parse -> validate; reload and its diff.
pub mod model;
pub mod table;
