//! A scheme: how one kind of sender proves that a message is its own. The rows stand in `table`; a template makes one more.

use std::borrow::Cow;

use super::recipe::{Recipe, Text};
use super::table::TABLE;

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

    pub(super) fn recipe(&self) -> Option<&Recipe> {
        match &self.proof {
            Proof::Signature(recipe) => Some(recipe),
            _ => None,
        }
    }
}
