//! The run that writes, as a state machine: each request follows from the answers before it. On marked users and a marked group of its own only.
//!
//! Before a create is sent, the journal that comes with it must be in the store; after a create's answer the next move brings the journal with the id.
//! Without an id from our own create nothing is changed or deleted.

use serde_json::{Value, json};

use super::ask::{Ask, by, encoded};
use super::exchange::{Exchange, Fact};
use super::journal::{Cleanup, Journal, Resource, reserved};

/// What comes next, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creates the user.
    Create,
    /// Reads it.
    Created,
    /// Creates it again.
    Duplicate,
    /// Sets active to false by a plain PATCH.
    Disable,
    /// Reads it.
    Disabled,
    /// Looks for the disabled user.
    StillFound,
    /// Sets active to true as Okta does: no path.
    EnableOkta,
    /// Reads it.
    EnabledOkta,
    /// Sets active to false as Entra does: a capital letter.
    DisableEntra,
    /// Reads it.
    DisabledEntra,
    /// Sets active to true as Entra does without its flag: text.
    EnableText,
    /// Reads it.
    EnabledText,
    /// Sets the work address by a path with a filter.
    Mail,
    /// Reads it.
    Mailed,
    /// Replaces the user, read-only members included.
    Put,
    /// Reads it.
    WasPut,
    /// Creates a second user, to be a member.
    CreateSecond,
    /// Creates a group with the first user in it.
    CreateGroup,
    /// Adds the second user.
    Join,
    /// Reads the group.
    Joined,
    /// Adds the second user again.
    JoinAgain,
    /// Reads the group.
    JoinedAgain,
    /// Removes the second user as Entra does: in the value.
    LeaveByValue,
    /// Reads the group.
    LeftByValue,
    /// Adds the second user once more.
    Rejoin,
    /// Removes the second user by a path with a filter.
    LeaveByPath,
    /// Reads the group.
    LeftByPath,
    /// Deletes the group.
    DeleteGroup,
    /// Deletes the first user.
    Delete,
    /// Reads it: gone.
    Gone,
    /// Looks for it: gone.
    GoneFromList,
    /// Deletes the second user.
    DeleteSecond,
    /// Removes whatever else the journal still has.
    Rest,
}

impl Step {
    const ALL: [Self; 33] = [
        Self::Create,
        Self::Created,
        Self::Duplicate,
        Self::Disable,
        Self::Disabled,
        Self::StillFound,
        Self::EnableOkta,
        Self::EnabledOkta,
        Self::DisableEntra,
        Self::DisabledEntra,
        Self::EnableText,
        Self::EnabledText,
        Self::Mail,
        Self::Mailed,
        Self::Put,
        Self::WasPut,
        Self::CreateSecond,
        Self::CreateGroup,
        Self::Join,
        Self::Joined,
        Self::JoinAgain,
        Self::JoinedAgain,
        Self::LeaveByValue,
        Self::LeftByValue,
        Self::Rejoin,
        Self::LeaveByPath,
        Self::LeftByPath,
        Self::DeleteGroup,
        Self::Delete,
        Self::Gone,
        Self::GoneFromList,
        Self::DeleteSecond,
        Self::Rest,
    ];
}

/// The next request, and what must be in the store before it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// To be stored first; `None`: it has not changed.
    pub store: Option<Journal>,
    /// To be sent then.
    pub ask: Ask,
}

/// A run that writes.
#[derive(Debug)]
pub struct Write {
    at: usize,
    names: [String; 3],
    ids: [Option<String>; 3],
    journal: Journal,
    stored: Journal,
    /// The user as last shown, for the PUT.
    shown: Option<Value>,
    rest: Option<Cleanup>,
    groups: bool,
}

/// Places in `names` and `ids`.
const FIRST: usize = 0;
const SECOND: usize = 1;
const GROUP: usize = 2;

impl Write {
    /// A run with this marker: at least six small letters and digits, new for each run.
    pub fn new(marker: &str) -> Self {
        let names = [reserved(marker), reserved(&format!("{marker}-2")), reserved(&format!("{marker}-g"))];
        Self {
            at: 0,
            names,
            ids: [None, None, None],
            journal: Journal::default(),
            stored: Journal::default(),
            shown: None,
            rest: None,
            groups: true,
        }
    }

    /// The same without a group: neither it nor its second member is made.
    pub fn without_groups(self) -> Self {
        Self { groups: false, ..self }
    }

    /// What may be left behind: to be stored when the run ends, however it ends.
    pub fn journal(&self) -> &Journal {
        self.rest.as_ref().map_or(&self.journal, Cleanup::left)
    }

    /// The next move; `None`: the run is over. `last`: the exchange of the move before, `None` at first; an answer that never came has status 0.
    pub fn next(&mut self, last: Option<&Exchange>) -> Option<Move> {
        if let Some(last) = last {
            self.take(last);
        }
        let ask = loop {
            if let Some(rest) = &mut self.rest {
                break rest.next(last)?;
            }
            let step = *Step::ALL.get(self.at)?;
            self.at += 1;
            if step == Step::Rest {
                self.rest = Some(Cleanup::of(std::mem::take(&mut self.journal)));
                // The answer before this one is not an answer to the cleaning up.
                let first = self.rest.as_mut()?.next(None)?;
                break first;
            }
            if let Some(ask) = self.ask(step) {
                break ask;
            }
        };
        let now = self.journal().clone();
        let store = (now != self.stored).then(|| now.clone());
        self.stored = now;
        Some(Move { store, ask })
    }

    /// The step whose answer is awaited.
    fn step(&self) -> Option<Step> {
        self.at.checked_sub(1).and_then(|at| Step::ALL.get(at)).copied()
    }

    fn take(&mut self, last: &Exchange) {
        let Some(step) = self.step().filter(|_| self.rest.is_none()) else { return };
        match step {
            Step::Create => self.created(FIRST, Resource::User, last),
            Step::Duplicate => {
                // A second one of the same name is ours to remove too, and nothing more.
                self.journal.made(Resource::User, &self.names[FIRST], last);
                self.unless_made(FIRST, Resource::User, last);
            }
            Step::CreateSecond => self.created(SECOND, Resource::User, last),
            Step::CreateGroup => self.created(GROUP, Resource::Group, last),
            Step::DeleteGroup => self.deleted(GROUP, Resource::Group, last),
            Step::Delete => self.deleted(FIRST, Resource::User, last),
            Step::DeleteSecond => self.deleted(SECOND, Resource::User, last),
            Step::Created | Step::Mailed if last.status == 200 && last.body.is_object() => self.shown = Some(last.body.clone()),
            _ => {}
        }
    }

    fn created(&mut self, which: usize, resource: Resource, last: &Exchange) {
        self.ids[which] = self.journal.made(resource, &self.names[which], last);
        self.unless_made(which, resource, last);
    }

    /// A create that was refused for certain left nothing behind; after silence or a server's error nobody knows.
    fn unless_made(&mut self, which: usize, resource: Resource, last: &Exchange) {
        if (400..500).contains(&last.status) && !matches!(last.status, 408 | 429) {
            self.journal.refused(resource, &self.names[which]);
        }
    }

    fn deleted(&mut self, which: usize, resource: Resource, last: &Exchange) {
        if (last.succeeded() || last.status == 404)
            && let Some(id) = &self.ids[which]
        {
            self.journal.gone(resource, id);
        }
    }

    fn path(&self, which: usize) -> Option<String> {
        let endpoint = if which == GROUP { "Groups" } else { "Users" };
        self.ids[which].as_ref().map(|id| format!("/{endpoint}/{}", encoded(id)))
    }

    /// The request of a step; `None`: what it needs is not there, or must not be made.
    fn ask(&mut self, step: Step) -> Option<Ask> {
        let active = |op: &str, value: Value| json!({"op": op, "path": "active", "value": value});
        let get = |name, path: Option<String>| path.map(|p| Ask::get(name, p));
        let delete = |name, path: Option<String>| path.map(|p| Ask { body: None, ..Ask::send(name, "DELETE", p, Value::Null) });
        let patch = |name, path: Option<String>, operation: Value| {
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
            path.map(|p| Ask::send(name, "PATCH", p, body))
        };
        let (first, group) = (self.path(FIRST), self.path(GROUP));
        let second = self.ids[SECOND].clone();
        let member = second.as_ref().map(|id| json!([{"value": id}]));
        let of_group = group.clone().filter(|_| second.is_some());
        let by_name = |name| first.as_ref().map(|_| Ask::get(name, by("Users", "userName", &self.names[FIRST])));
        match step {
            Step::Create => self.create("create a user", FIRST),
            Step::Created => get("the user created", first),
            Step::Duplicate => first.and_then(|_| self.create("create it again", FIRST)).map(|a| a.knowing(Fact::NameExists)),
            Step::Disable => patch("disable", first, active("replace", json!(false))),
            Step::Disabled => get("the user disabled", first),
            Step::StillFound => by_name("the disabled user by userName"),
            Step::EnableOkta => patch("enable as Okta does", first, json!({"op": "replace", "value": {"active": true}})),
            Step::EnabledOkta => get("the user enabled as by Okta", first),
            Step::DisableEntra => patch("disable as Entra does", first, active("Replace", json!(false))),
            Step::DisabledEntra => get("the user disabled as by Entra", first),
            Step::EnableText => patch("enable by text", first, active("Replace", json!("True"))),
            Step::EnabledText => get("the user enabled by text", first),
            Step::Mail => {
                let value = json!(format!("mail-{}", self.names[FIRST]));
                patch("set the work address", first, json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": value}))
            }
            Step::Mailed => get("the user with its address", first),
            Step::Put => self.put(first),
            Step::WasPut => get("the user after the PUT", first),
            // Without a first user a group would prove nothing.
            Step::CreateSecond => first.filter(|_| self.groups).and_then(|_| self.create("create a second user", SECOND)),
            Step::CreateGroup => first.filter(|_| second.is_some()).and_then(|_| self.create("create a group", GROUP)),
            Step::Join => patch("add a member", of_group, json!({"op": "Add", "path": "members", "value": member})),
            Step::Joined => get("the group with its member", of_group),
            Step::JoinAgain => patch("add the member again", of_group, json!({"op": "add", "path": "members", "value": member})),
            Step::JoinedAgain => get("the group after adding again", of_group),
            Step::LeaveByValue => {
                patch("remove a member as Entra does", of_group, json!({"op": "Remove", "path": "members", "value": member}))
            }
            Step::LeftByValue => get("the group after removing as Entra does", of_group),
            Step::Rejoin => patch("add the member once more", of_group, json!({"op": "add", "path": "members", "value": member})),
            Step::LeaveByPath => {
                let path = second.map(|id| format!("members[value eq {}]", Value::from(id)));
                patch("remove a member by path", of_group, json!({"op": "remove", "path": path}))
            }
            Step::LeftByPath => get("the group after removing by path", of_group),
            Step::DeleteGroup => delete("delete the group", group),
            Step::Delete => delete("delete the user", first),
            Step::Gone => get("the user deleted", first),
            Step::GoneFromList => by_name("the deleted user by userName"),
            Step::DeleteSecond => delete("delete the second user", self.path(SECOND)),
            Step::Rest => None,
        }
    }

    fn create(&mut self, name: &'static str, which: usize) -> Option<Ask> {
        let (resource, own) = (if which == GROUP { Resource::Group } else { Resource::User }, self.names[which].clone());
        if !self.journal.intend(resource, &own) {
            return None;
        }
        let body = match resource {
            Resource::User => json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": own, "externalId": own, "active": true,
                "name": {"givenName": "Soakwatch", "familyName": "Probe"}, "displayName": "Soakwatch Probe",
                "emails": [{"type": "work", "value": own, "primary": true}],
            }),
            Resource::Group => json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": own, "members": [{"value": self.ids[FIRST]}],
            }),
        };
        Some(Ask::send(name, "POST", format!("/{}", resource.endpoint()), body))
    }

    /// The user as it was shown, with read-only members that are not its own.
    fn put(&self, path: Option<String>) -> Option<Ask> {
        let mut body = self.shown.clone()?;
        let members = body.as_object_mut()?;
        // A server that gave a password would be told to keep it.
        members.retain(|name, _| !name.eq_ignore_ascii_case("password"));
        members.insert("groups".into(), json!([]));
        if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
            meta.insert("created".into(), json!("2001-01-01T00:00:00Z"));
        }
        path.map(|p| Ask::send("replace the user", "PUT", p, body))
    }
}
