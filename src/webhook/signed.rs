//! What is signed: the pieces of a recipe taken from a request, in order.

use std::borrow::Cow;

use super::message::Request;
use super::recipe::{Piece, Recipe};
use super::scheme::Scheme;
use super::verify::carried;
use super::{hubspot, twilio};

/// One part of a signed text.
#[derive(Clone, Debug)]
pub(super) struct Part<'r> {
    pub(super) name: &'static str,
    /// `None` is the secret.
    pub(super) bytes: Option<Cow<'r, [u8]>>,
}

impl Part<'_> {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }
}

/// The texts a signature may stand for: one, but for senders that write their address in several ways; none if nothing binds the body.
pub(super) fn texts<'r>(recipe: &'r Recipe, request: &Request<'r>, id: &'r [u8], stamp: &'r [u8]) -> Vec<Vec<Part<'r>>> {
    let mut texts: Vec<Vec<Part<'r>>> = vec![Vec::new()];
    for piece in recipe.pieces.iter() {
        let one = |name, bytes: Cow<'r, [u8]>| vec![Part { name, bytes: Some(bytes) }];
        let forms: Vec<Part<'r>> = match piece {
            Piece::Literal(text) => one("text", Cow::Borrowed(text.as_bytes())),
            Piece::Id => one("id", Cow::Borrowed(id)),
            Piece::Timestamp => one("timestamp", Cow::Borrowed(stamp)),
            Piece::Body => one("body", Cow::Borrowed(request.body)),
            Piece::Method => one("method", Cow::Borrowed(request.method.as_bytes())),
            Piece::Url => one("url", Cow::Borrowed(request.url.as_bytes())),
            Piece::HubspotUrl => one("url", Cow::Owned(hubspot::address(request.url).into_bytes())),
            Piece::TwilioUrl => {
                twilio::texts(request).into_iter().map(|t| Part { name: "url and fields", bytes: Some(Cow::Owned(t)) }).collect()
            }
            Piece::Secret => vec![Part { name: "secret", bytes: None }],
        };
        texts = texts.iter().flat_map(|text| forms.iter().map(|f| [text.as_slice(), std::slice::from_ref(f)].concat())).collect();
    }
    texts
}

/// A part of the signed text, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it is: `id`, `timestamp`, `body`, ...
    pub name: &'static str,
    /// So many bytes; `None` for the secret.
    pub bytes: Option<usize>,
    /// Its text, if it is short and not the body.
    pub text: Option<String>,
}

/// A part is shown up to this many bytes.
const MAX_SHOWN: usize = 400;

/// The parts of what a request's signature stands for, in order. Empty where the scheme signs nothing, or the request lacks a part. The texts are the
/// request's: pass them through the redactor.
pub fn shown(scheme: &Scheme, request: &Request<'_>) -> Vec<Shown> {
    let Some(recipe) = scheme.recipe() else { return Vec::new() };
    let Ok(carried) = carried(scheme, recipe, request) else { return Vec::new() };
    let text = texts(recipe, request, carried.id, carried.stamp_text).into_iter().next().unwrap_or_default();
    let short =
        |p: &Part<'_>| p.bytes().filter(|b| p.name != "body" && b.len() <= MAX_SHOWN).map(|b| String::from_utf8_lossy(b).into_owned());
    text.iter().map(|p| Shown { name: p.name, bytes: p.bytes().map(<[u8]>::len), text: short(p) }).collect()
}
