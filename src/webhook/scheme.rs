//! A scheme: how one kind of sender proves that a message is its own. The rows stand in `table`; a template makes one more.

use std::borrow::Cow;

use super::key::Key;
use super::recipe::{Carrier, Recipe, StampAt, Text};
use super::table::TABLE;
use crate::secret::SecretValue;

/// How one kind of sender proves that a message is its own, what its messages are called, and what it asks before it sends any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) proof: Proof,
    pub(super) id: IdAt,
    pub(super) greeting: Greeting,
}

/// What makes a message authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// A signature over what the recipe says.
    Signature(Cow<'static, Recipe>),
    /// The secret itself in this header.
    Header(&'static str),
    /// The secret in every item of the body.
    ClientState,
    /// The secret as a bearer token, in the header or in the query.
    Bearer,
    /// Nothing in the message.
    Nothing,
}

/// Where the id of a message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdAt {
    /// It has none that is known.
    Nowhere,
    /// In a header.
    Header(Text),
    /// In the JSON body, under this name.
    Body(&'static str),
    /// In the JSON body, in the object of the first name under the second.
    Within(&'static str, &'static str),
    /// In two headers, or in the body: source and id.
    CloudEvent,
}

/// What a sender asks before it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    None,
    Okta,
    Graph,
    Slack,
    Zoom,
    Twitch,
    CloudEvents,
}

impl Scheme {
    /// The scheme of a name, as docs/webhooks.md spells it.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|s| s.name == name || s.aliases.contains(&name))
    }

    /// All that have a name of their own.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        TABLE.iter()
    }

    /// Its name; `generic` for one made from a template.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The scheme a name probably meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let distance = |s: &&Self| strsim::osa_distance(s.name, name);
        TABLE.iter().min_by_key(distance).filter(|s| distance(s) <= 3).map(|s| s.name)
    }

    /// Whether its messages show the secret itself in a header.
    pub fn presents_secret(&self) -> bool {
        matches!(self.proof, Proof::Header(_) | Proof::Bearer)
    }

    /// Whether a secret is a key of its; the error says what was expected, and nothing of the secret.
    pub fn takes(&self, secret: &SecretValue) -> Result<(), &'static str> {
        self.recipe().map_or(Ok(()), |recipe| Key::read(recipe.key, secret).map(drop))
    }

    /// Whether a message can be made with nothing but a secret.
    pub fn can_sign(&self) -> bool {
        !matches!(self.proof, Proof::ClientState | Proof::Nothing)
    }

    /// Whether its messages are signed, so that a changed body can be told.
    pub fn binds_body(&self) -> bool {
        self.recipe().is_some()
    }

    /// Whether one message can carry signatures by several secrets.
    pub fn carries_several(&self) -> bool {
        self.recipe().is_some_and(|r| !matches!(r.carrier, Carrier::Prefixed(_)))
    }

    /// How old a message may be, in seconds; `None` where it has no time.
    pub fn tolerance_s(&self) -> Option<u32> {
        self.recipe().filter(|r| r.stamp != StampAt::Nowhere).map(|r| r.tolerance_s)
    }

    /// The header of the signature, or of the secret itself.
    pub fn proof_header(&self) -> Option<&str> {
        match &self.proof {
            Proof::Signature(recipe) => Some(&recipe.signature),
            Proof::Header(name) => Some(name),
            Proof::Bearer => Some("authorization"),
            Proof::ClientState | Proof::Nothing => None,
        }
    }

    /// The header of the message's id, where signing sets one.
    pub fn id_header(&self) -> Option<&str> {
        match (&self.id, self.recipe()) {
            (IdAt::Header(name), Some(_)) => Some(name),
            _ => None,
        }
    }

    /// The header of the timestamp, where it has one of its own.
    pub fn stamp_header(&self) -> Option<&str> {
        match self.recipe().map(|r| &r.stamp) {
            Some(StampAt::Header(name, _)) => Some(name),
            _ => None,
        }
    }

    pub(super) fn recipe(&self) -> Option<&Recipe> {
        match &self.proof {
            Proof::Signature(recipe) => Some(recipe),
            _ => None,
        }
    }
}
