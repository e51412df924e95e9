//! The rules for SCIM 2.0 (shared/facts/sso-checks.md section 6, with their sources). Data only.

use super::Severity::{Critical, High, Low, Medium};
use super::{Level, Party, Rule, Severity};
use crate::outcome::Class;

/// A rule of the application's side, as most are.
const fn rule(id: &'static str, severity: Severity, advice: &'static str) -> Rule {
    Rule::new(id, severity, Party::VendorSp, Class::Metadata, advice)
}

/// The base URL answers, without a redirect.
pub const GET_01: Rule = Rule::new(
    "SCIM-GET-01",
    Critical,
    Party::Network,
    Class::Metadata,
    "Provisioning stops. Check the base URL, TLS and the firewall; give the identity provider the address that needs no redirect.",
);
/// No data without a valid token.
pub const AUT_01: Rule = rule(
    "SCIM-AUT-01",
    Critical,
    "Anyone can read or change the directory, or clients can't tell a bad token. Answer 401 before anything else where the token is missing or wrong.",
);
/// A 401 names its scheme.
pub const AUT_02: Rule = rule(
    "SCIM-AUT-02",
    Low,
    "The client can't tell why it was refused. Send WWW-Authenticate with the scheme (and the error) on every 401.",
);
/// Our own token is accepted, and for long enough.
pub const AUT_03: Rule = Rule::new(
    "SCIM-AUT-03",
    Critical,
    Party::CustomerIdp,
    Class::Unauthorized,
    "Provisioning says that the credentials seem invalid. Make a new token in the application, enter it at the identity provider, note its end date.",
);
/// Answers are labelled as SCIM.
pub const CT_01: Rule = rule(
    "SCIM-CT-01",
    Medium,
    "Strict clients refuse the answer. Send application/scim+json, also on errors; a web page means that a proxy or log-in answered.",
);
/// The configuration document can be read.
pub const SPC_01: Rule = rule(
    "SCIM-SPC-01",
    High,
    "Clients can't learn what the server is able to do. Serve /ServiceProviderConfig as a JSON object with status 200.",
);
/// The configuration document is complete.
pub const SPC_02: Rule = rule(
    "SCIM-SPC-02",
    Medium,
    "Looks like SCIM 1.1 or a hand-made answer. Give the 2.0 schema, every capability with a boolean supported, and authenticationSchemes.",
);
/// PATCH and filters are supported.
pub const SPC_03: Rule = rule(
    "SCIM-SPC-03",
    Critical,
    "The identity provider needs PATCH and filters and can't provision without them. Support both, then say so in the document.",
);
/// Resource types are listed.
pub const RTY_01: Rule = rule(
    "SCIM-RTY-01",
    Medium,
    "Clients can't map users and groups. List User, and Group where groups are used, each with endpoint and schema.",
);
/// Schemas are listed.
pub const SCH_01: Rule = rule(
    "SCIM-SCH-01",
    Low,
    "Attribute mapping is guesswork. List every schema the resource types name, answer 404 with an Error for others and 403 for a filter.",
);
/// Lists have the form of a list.
pub const LST_01: Rule = rule(
    "SCIM-LST-01",
    Critical,
    "Imports stop at the first page. Answer a ListResponse with a numeric totalResults and an array Resources, names spelt exactly so.",
);
/// The page that was asked for.
pub const PAG_01: Rule =
    rule("SCIM-PAG-01", High, "One user is lost or doubled per page. Count startIndex from 1 and return the value that was asked for.");
/// The size that was asked for.
pub const PAG_02: Rule = rule(
    "SCIM-PAG-02",
    High,
    "Imports time out or double users. Never return more than count, and let itemsPerPage be the number returned.",
);
/// The whole number, and an end.
pub const PAG_03: Rule = rule(
    "SCIM-PAG-03",
    Critical,
    "Only a part of the users is ever imported. Let totalResults be the number of all matches on every page, and a page past the end an empty list.",
);
/// A stable order.
pub const PAG_04: Rule = rule(
    "SCIM-PAG-04",
    Medium,
    "Users are missed at random. Sort by something unique, such as the id, whenever the client asks for no order.",
);
/// Nobody found is no error.
pub const FLT_01: Rule =
    rule("SCIM-FLT-01", Critical, "The connection test of Entra and Okta fails. Answer 200 with totalResults 0 where nobody matches.");
/// A filter filters.
pub const FLT_02: Rule = rule(
    "SCIM-FLT-02",
    Critical,
    "The identity provider links or overwrites a wrong account. Apply the filter; refuse what you don't support with 400.",
);
/// User names without regard to case.
pub const FLT_03: Rule = rule(
    "SCIM-FLT-03",
    Medium,
    "Accounts are created twice, or creating them ends in 409. Compare userName, attribute names and operators without regard to case.",
)
.at(Level::Warn);
/// A broken filter is the client's error.
pub const FLT_04: Rule = rule(
    "SCIM-FLT-04",
    Medium,
    "Clients can't tell their own mistake from an outage. Answer 400 with scimType invalidFilter where a filter can't be read.",
);
/// Values arrive as they were sent.
pub const FLT_05: Rule = rule(
    "SCIM-FLT-05",
    Medium,
    "Users with a plus, quote, backslash, percent sign or accent in the name are not found. Decode the query once, then read the quoted value.",
);
/// Asked-for attributes only.
pub const ATR_01: Rule =
    rule("SCIM-ATR-01", Medium, "Answers about large groups time out. Honour attributes and excludedAttributes, members above all.");
/// What every resource has.
pub const RES_01: Rule = rule(
    "SCIM-RES-01",
    Critical,
    "Updates hit nothing, or the wrong account. Give each resource a stable, unique id as a string, schemas, meta.resourceType and meta.location.",
);
/// Whether an account is active.
pub const RES_02: Rule = rule(
    "SCIM-RES-02",
    High,
    "Leavers can't be handled. Give active as a JSON boolean, show it also when it is false, and keep finding disabled users.",
);
/// No passwords.
pub const RES_03: Rule = rule(
    "SCIM-RES-03",
    Critical,
    "Passwords leak into the identity provider's logs. Never return password, not even hashed or masked; change those exposed.",
);
/// Errors have the form of an error.
pub const ERR_01: Rule = rule(
    "SCIM-ERR-01",
    Low,
    "The identity provider's log shows nothing useful. Answer errors with the Error schema, status as a string, and a detail.",
);
/// What is not there is 404.
pub const ERR_02: Rule =
    rule("SCIM-ERR-02", Medium, "Deleted users stay assigned. Answer 404 with an Error for an id or a path that does not exist.");
/// Limits that can be kept.
pub const RTE_01: Rule = rule(
    "SCIM-RTE-01",
    Medium,
    "The provisioning job is put into quarantine. Send Retry-After with every 429, and allow about 25 requests a second during a sync.",
)
.at(Level::Warn);
/// Creating, once.
pub const CRE_01: Rule = rule(
    "SCIM-CRE-01",
    High,
    "Accounts are doubled or lost. Answer a create with 201, Location and the id; refuse a userName that exists with 409 uniqueness.",
);
/// Deactivating works.
pub const PAT_01: Rule = rule(
    "SCIM-PAT-01",
    Critical,
    "Leavers keep their access. Apply a PATCH that replaces active, answer 200 or 204, and show the new value at once.",
);
/// Operation names in any case.
pub const PAT_02: Rule =
    rule("SCIM-PAT-02", High, "Entra's updates are refused, as it writes Replace, Add and Remove. Read op without regard to case.");
/// A value without a path.
pub const PAT_03: Rule =
    rule("SCIM-PAT-03", High, "Okta can't deactivate. Accept a replace without path, whose value is an object of attributes.");
/// Booleans as text.
pub const PAT_04: Rule = rule(
    "SCIM-PAT-04",
    Medium,
    "Entra's disabling fails with 400. Accept \"True\" and \"False\", or have aadOptscim062020 appended to the tenant URL in Entra.",
);
/// One member, not all.
pub const PAT_05: Rule = rule(
    "SCIM-PAT-05",
    Critical,
    "A whole group is emptied, or nobody ever leaves it. Remove exactly the member named, in the path's filter or in the value.",
);
/// Filtered paths, and adding twice.
pub const PAT_06: Rule = rule(
    "SCIM-PAT-06",
    Medium,
    "Attributes and memberships never update. Support paths such as emails[type eq \"work\"].value, and let adding what is there change nothing.",
);
/// A replace keeps what is the server's.
pub const PUT_01: Rule = rule(
    "SCIM-PUT-01",
    Medium,
    "Okta's profile push fails. Accept a PUT of the whole resource, ignore id, meta and groups in it, and keep the id.",
);
/// Gone is gone.
pub const DEL_01: Rule = rule(
    "SCIM-DEL-01",
    Medium,
    "Ghosts block creating the account again. Answer a delete with 204; from then on 404, and no list shows it.",
);
/// Fast enough for the identity provider.
pub const TIM_01: Rule = Rule::new(
    "SCIM-TIM-01",
    Medium,
    Party::VendorSp,
    Class::Slow,
    "The identity provider gives up, asks again, then stops the job. Index userName and externalId; keep lists and filters below two seconds.",
);

/// Every rule, in the order of the table.
pub const RULES: &[Rule] = &[
    GET_01, AUT_01, AUT_02, AUT_03, CT_01, SPC_01, SPC_02, SPC_03, RTY_01, SCH_01, LST_01, PAG_01, PAG_02, PAG_03, PAG_04, FLT_01, FLT_02,
    FLT_03, FLT_04, FLT_05, ATR_01, RES_01, RES_02, RES_03, ERR_01, ERR_02, RTE_01, CRE_01, PAT_01, PAT_02, PAT_03, PAT_04, PAT_05, PAT_06,
    PUT_01, DEL_01, TIM_01,
];
