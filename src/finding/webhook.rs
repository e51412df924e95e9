//! The rules for endpoints that take webhooks (shared/facts/webhook-signatures.md, sections 4 and 6). Data only.

use super::{Level, Party, Rule, Severity};
use crate::outcome::Class;

/// The endpoint wants messages.
pub const END_01: Rule = Rule::new(
    "HOOK-END-01",
    Severity::Critical,
    Party::VendorSp,
    Class::NotFound,
    "410 tells a sender that nobody wants its messages: it disables the endpoint for good. Restore it, then enable it again at the sender.",
);
/// A changed body is refused.
pub const SIG_01: Rule = Rule::new(
    "HOOK-SIG-01",
    Severity::Critical,
    Party::VendorSp,
    Class::Signature,
    "Anybody can change messages. Verify the signature over the raw body as it came, before parsing it, and answer 401.",
);
/// An old message is refused.
pub const SIG_02: Rule = Rule::new(
    "HOOK-SIG-02",
    Severity::Critical,
    Party::VendorSp,
    Class::Signature,
    "A recorded message can be sent again for ever. Refuse timestamps more than five minutes off, on either side.",
);
/// A signature by another secret is refused.
pub const SIG_03: Rule = Rule::new(
    "HOOK-SIG-03",
    Severity::Critical,
    Party::VendorSp,
    Class::Signature,
    "Anybody can send messages. The signature is looked for but not verified: compare it with one made from the shared secret.",
);
/// A message without a signature is refused.
pub const SIG_04: Rule = Rule::new(
    "HOOK-SIG-04",
    Severity::Critical,
    Party::VendorSp,
    Class::Signature,
    "Anybody who knows the address can send messages. Refuse those without a signature with 401.",
);
/// A refusal is no fault.
pub const ERR_01: Rule = Rule::new(
    "HOOK-ERR-01",
    Severity::Low,
    Party::VendorSp,
    Class::ServerError,
    "It fails instead of refusing, so that a sender tries again for hours. Answer 401.",
)
.at(Level::Warn);
/// A second delivery is taken.
pub const REP_01: Rule = Rule::new(
    "HOOK-REP-01",
    Severity::High,
    Party::VendorSp,
    Class::Assertion,
    "Senders deliver a message again when an answer was lost. What was processed already is answered with 2xx, else it comes again and again.",
);
/// A second delivery has no second effect.
pub const REP_02: Rule = Rule::new(
    "HOOK-REP-02",
    Severity::Critical,
    Party::VendorSp,
    Class::Assertion,
    "What is delivered twice is booked twice. Remember the ids of messages for some days, and do nothing for one that is known.",
);

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[END_01, SIG_01, SIG_02, SIG_03, SIG_04, ERR_01, REP_01, REP_02];
