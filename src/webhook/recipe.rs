//! How a signature is made: which pieces are joined, by which digest, how it is written and where it stands. Data; the table of senders is made of it.

use std::borrow::Cow;

use super::coding::Encoding;
use super::key::Form;
use super::stamp::Unit;

/// A text of the table, or one somebody wrote in a template.
pub(super) type Text = Cow<'static, str>;

/// One piece of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A text between the others.
    Literal(Text),
    /// The message's id, as it stands in its header.
    Id,
    /// The timestamp, as it stands in its header.
    Timestamp,
    /// The raw body.
    Body,
    /// The method.
    Method,
    /// The whole address as the sender knows it.
    Url,
    /// The address as HubSpot signs it.
    HubspotUrl,
    /// The address as Twilio signs it, with and without its port, and behind it the fields of a form.
    TwilioUrl,
    /// The secret itself (HubSpot v1 and v2).
    Secret,
}

/// How the pieces become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    /// No HMAC: the secret is one of the pieces.
    Sha256,
}

/// How signatures stand in their header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The signature behind a prefix, which may be empty.
    Prefixed(Text),
    /// `v1,SIG v1a,SIG`: a list with spaces. `v1a` is Ed25519.
    Versions,
    /// `v1=SIG,v1=SIG`: a list with commas.
    Pairs,
    /// `t=TIMESTAMP,v1=SIG`: such a list with the timestamp in it.
    Stamped,
}

/// Where the timestamp stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StampAt {
    /// There is none: the age of a message can't be told.
    Nowhere,
    /// In a header of its own.
    Header(Text, Unit),
    /// In the header of the signature, as seconds.
    InSignature,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The header of the signature.
    pub(super) signature: Text,
    /// How it stands there.
    pub(super) carrier: Carrier,
    /// What is signed, in order.
    pub(super) pieces: Cow<'static, [Piece]>,
    /// By what.
    pub(super) digest: Digest,
    /// How it is written.
    pub(super) encoding: Encoding,
    /// How the secret is written.
    pub(super) key: Form,
    /// The timestamp.
    pub(super) stamp: StampAt,
    /// How old or how new a message may be, in seconds.
    pub(super) tolerance_s: u32,
}

impl Recipe {
    /// Whether a piece is signed.
    pub(super) fn signs(&self, piece: &Piece) -> bool {
        self.pieces.contains(piece)
    }
}
