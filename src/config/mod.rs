//! Configuration: read -> parse -> judge (all problems at once); reload and its diff.
//!
//! [`load()`] is the way in; [`table`] reads with places, `customers` and `settings` know the keys, `judge` knows what must hold between them.
//! Never holds a secret: only references to them.
mod blocked;
mod customers;
mod demand;
pub mod diff;
mod exit;
pub mod field;
pub mod fingerprint;
mod headings;
mod judge;
mod judged;
mod layers;
mod load;
pub mod model;
pub mod outline;
mod route;
mod settings;
mod soak;
pub mod stamp;
mod syntax;
pub mod table;
mod volume;
mod waiver;
mod whereabouts;

pub use customers::{Reading, read as read_customer};
pub use judge::{Judge, lines};
pub use load::{Counts, LoadOptions, Loaded, environment, load};
pub use settings::read as read_settings;
