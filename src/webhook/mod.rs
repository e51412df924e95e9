//! Webhooks: is a message from whom it says, and what is answered to a sender that asks whether we want its messages.
//!
//! Pure: a request, secrets and a time in, a [`Verdict`], headers or a [`Handshake`] out. Knows every sender by one row of a table ([`scheme`]); docs/webhooks.md says
//! what each signs. Never listens, never sends, reads no clock, keeps no secret, and says none: neither verdicts nor clues hold one.

mod clues;
mod coding;
mod form;
mod handshake;
mod hubspot;
mod key;
mod message;
mod presented;
mod recipe;
mod replay;
pub mod scheme;
mod sign;
mod signed;
mod stamp;
mod table;
mod template;
mod twilio;
mod verify;

pub use self::clues::clues;
pub use self::handshake::{Handshake, handshake};
pub use self::message::{Headers, MessageId, Request};
pub use self::replay::ReplayMemory;
pub use self::scheme::Scheme;
pub use self::sign::{Outgoing, Signed, cloudevents_headers, sign};
pub use self::signed::{Shown, shown};
pub use self::template::Template;
pub use self::verify::{Reason, Verdict, verify};

/// A body may have this many bytes; a larger one is refused before anything is hashed.
pub const MAX_BODY: usize = 256 << 10;
/// A header that is looked at may have this many bytes.
const MAX_HEADER: usize = 16 << 10;
/// So many signatures of one message are tried, and so many secrets.
const MAX_MEMBERS: usize = 64;
