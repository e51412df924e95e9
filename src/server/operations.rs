//! What the listener can be asked: every path with its method, its parameters, its body and its answer. The router sends requests to handlers; this says
//! what they are, for the API's document, for hints and for the metrics' label `handler`. A test holds router and table together.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::asked::Key;
use super::{acceptances, api, decisions, incidents, limits, page_hypercare, run_by_id, runs, soaks};
use crate::config::outline::Outline;
use crate::incident::shown::{IncidentList, IncidentShown};
use crate::metrics::CONTENT_TYPE;

/// One thing that can be asked.
#[derive(Debug)]
pub(super) struct Operation {
    /// `{name}` stands for one part.
    pub(super) path: &'static str,
    /// Its id in the document, and the value of the label `handler`.
    pub(super) name: &'static str,
    /// What it is, in a sentence.
    pub(super) summary: &'static str,
    /// Parameters of the query.
    pub(super) query: &'static [Parameter],
    /// The keys of the JSON object in the body, for what changes something.
    pub(super) asked: Option<&'static [Key]>,
    /// Status and content of what was asked for.
    pub(super) answer: (u16, Content),
}

/// A parameter of the query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) description: &'static str,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// JSON of this shape.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Text of this media type.
    Text(&'static str),
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const HTML: Content = Content::Text("text/html; charset=utf-8");
const PLAIN: Content = Content::Text("text/plain; charset=utf-8");
/// What the router makes of a decision.
const DECIDED: (u16, Content) = (201, Content::Json(of::<decisions::Decided>));

impl Operation {
    const fn get(path: &'static str, name: &'static str, content: Content, summary: &'static str) -> Self {
        Self { path, name, summary, query: &[], asked: None, answer: (200, content) }
    }
    const fn post(path: &'static str, name: &'static str, asked: &'static [Key], answer: (u16, Content), summary: &'static str) -> Self {
        Self { path, name, summary, query: &[], asked: Some(asked), answer }
    }
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }
    /// Whether it changes something: then it is a POST.
    pub(super) const fn changes(&self) -> bool {
        self.asked.is_some()
    }
}

const fn may(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, required: false, description }
}

const fn must(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, required: true, description }
}

/// Of lists: how many at once.
const LIMIT: Parameter = may("limit", "At most so many, 1 to 20000, in the order of their ids; `next` leads on.");
/// Of lists: which page.
const CURSOR: Parameter = may("cursor", "What `next` of the page before said.");
/// Of lists: which part of them.
const ID: Parameter = may("id", "Those of a customer, of customer/environment, or one: customer/environment/integration.");

/// All of them.
pub(super) const ALL: &[Operation] = &[
    Operation::get("/", "overview", HTML, "The page of all integrations."),
    Operation::get("/integrations/{customer}/{environment}/{integration}", "integration_page", HTML, "The page of an integration."),
    Operation::get("/readiness/{customer}/{environment}", "readiness_page", HTML, "The page of an environment's gate."),
    Operation::get("/hypercare", "hypercare_page", HTML, "The page of what is broken now, and of the environments that are live."),
    Operation::get("/incidents/{id}", "incident_page", HTML, "The page of an incident."),
    Operation::get(
        "/runs/{customer}/{environment}/{integration}/{check}/{slot}",
        "run_page",
        HTML,
        "The page of a run, by its check and slot.",
    ),
    Operation::get("/metrics", "metrics", Content::Text(CONTENT_TYPE), "All metrics, for Prometheus."),
    Operation::get(
        "/probe",
        "probe",
        Content::Text(CONTENT_TYPE),
        "The last result of a check in the words of the blackbox exporter. Nothing is sent to anybody.",
    )
    .query(&[must("target", "customer/environment/integration."), must("module", "The check's id.")]),
    Operation::get("/-/healthy", "healthy", PLAIN, "Whether the daemon lives; 503 where it does not. Needs no token."),
    Operation::get("/-/ready", "ready", PLAIN, "Whether the stored state is back; 503 until then. Needs no token."),
    Operation::post("/-/reload", "reload", &[], (200, Content::Json(of::<api::Reloaded>)), "Reads the configuration anew."),
    Operation::get("/api/v1/openapi.json", "openapi", Content::Json(of::<serde_json::Map<String, serde_json::Value>>), "This document."),
    Operation::get(
        "/api/v1/status",
        "status",
        Content::Json(of::<api::StatusBody<'_>>),
        "All integrations: state, ratios, who has to act and what to do.",
    )
    .query(&[LIMIT, CURSOR]),
    Operation::get("/api/v1/config", "config", Content::Json(of::<Outline>), "What is in force, as hashes."),
    Operation::get("/api/v1/limits", "limits", Content::Json(of::<limits::Body>), "What is known of rate limits.")
        .query(&[ID, LIMIT, CURSOR]),
    Operation::get("/api/v1/soaks", "soaks", Content::Json(of::<soaks::Soaks>), "The verdicts of all soaks.").query(&[ID, LIMIT, CURSOR]),
    Operation::get(
        "/api/v1/gates/{customer}/{environment}",
        "gate",
        Content::Json(of::<soaks::Gates>),
        "May the environment go live, or may its hypercare end?",
    )
    .query(&[
        may("gate", "go_live, which is the default, or hypercare."),
        may("at", "As it was then: a time, a day, or a span back from now (2h)."),
    ]),
    Operation::post("/api/v1/exclusions", "exclusions", decisions::EXCLUSION, DECIDED, "Takes runs out of the judgement, on record."),
    Operation::post(
        "/api/v1/attestations",
        "attestations",
        decisions::ATTESTATION,
        DECIDED,
        "Vouches for what a monitor can't see, on record.",
    ),
    Operation::post(
        "/api/v1/acceptances",
        "acceptances",
        acceptances::ACCEPTANCE,
        DECIDED,
        "Takes a changed document as right, on record.",
    ),
    Operation::get(
        "/api/v1/hypercare",
        "hypercare",
        Content::Json(of::<page_hypercare::Shown<'_>>),
        "What is broken now, what has one cause, and how the environments that are live stand.",
    ),
    Operation::get("/api/v1/incidents", "incidents", Content::Json(of::<IncidentList>), "Incidents, the open ones first, then the newest.")
        .query(&[
            may("customer", "Those of a customer."),
            may("environment", "Those of environments of this name."),
            may("open", "true: those that go on; false: those that are over."),
            LIMIT,
            CURSOR,
        ]),
    Operation::get("/api/v1/incidents/{id}", "incident", Content::Json(of::<IncidentShown>), "An incident."),
    Operation::post("/api/v1/incidents/{id}/ack", "incident_ack", incidents::ACK, DECIDED, "Somebody is on it, on record."),
    Operation::post("/api/v1/incidents/{id}/note", "incident_note", incidents::NOTE, DECIDED, "Adds a note, on record."),
    Operation::post(
        "/api/v1/incidents/{id}/reclassify",
        "incident_reclassify",
        incidents::RECLASSIFY,
        DECIDED,
        "Says what it really is, on record.",
    ),
    Operation::get(
        "/api/v1/integrations/{customer}/{environment}/{integration}",
        "integration",
        Content::Json(of::<api::IntegrationBody>),
        "All about an integration and its checks.",
    ),
    Operation::get(
        "/api/v1/checks/{customer}/{environment}/{integration}/{check}/runs",
        "runs",
        Content::Json(of::<runs::Body>),
        "Stored runs of a check, oldest first.",
    )
    .query(&[
        may("since", "From this slot on: a time, a day, or a span back from now (24h, which is the default)."),
        may("until", "To this slot, exclusive, likewise; now by default."),
        may("limit", "At most so many, 1 to 20000, the oldest; `next` leads on."),
        CURSOR,
    ]),
    Operation::get(
        "/api/v1/runs/{run}",
        "run",
        Content::Json(of::<run_by_id::Found>),
        "The run of an id (32 hex digits, or a whole traceparent), however old; 404 with `pending` while it is not stored yet.",
    )
    .query(&[may("id", "Looked for among checks of a customer, of customer/environment, an integration, or one alone.")]),
];

/// The one at a path.
pub(super) fn at(path: &str) -> Option<&'static Operation> {
    let fits = |template: &str| {
        let (mut parts, mut wanted) = (path.split('/'), template.split('/'));
        loop {
            match (parts.next(), wanted.next()) {
                (None, None) => return true,
                (Some(p), Some(w)) if p == w || (w.starts_with('{') && !p.is_empty()) => {}
                _ => return false,
            }
        }
    };
    ALL.iter().find(|o| fits(o.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn paths_are_found_by_their_templates() {
        for o in ALL {
            let path = o.path.split('/').map(|p| if p.starts_with('{') { "x" } else { p }).collect::<Vec<_>>().join("/");
            assert_eq!(at(&path).map(|found| found.name), Some(o.name), "{path}");
        }
        for nothing in ["", "/metrics/", "/api/v1/incidents/", "/api/v1/incidents/x/y", "/api/v1/statu"] {
            assert!(at(nothing).is_none(), "{nothing}");
        }
        assert_eq!(ALL.iter().map(|o| o.name).collect::<BTreeSet<_>>().len(), ALL.len(), "names are ids");
    }

    /// The router's own text is compared: what is served stands in the document, by its method, and what stands there is served.
    #[test]
    fn the_table_is_the_router() {
        let source = include_str!("mod.rs");
        let routes: BTreeSet<(&str, bool)> = source
            .lines()
            .filter_map(|l| {
                let (path, rest) = l.trim().strip_prefix(".route(\"")?.split_once('"')?;
                assert!(rest.starts_with(", get(") || rest.starts_with(", post("), "{l}");
                Some((path, rest.starts_with(", post(")))
            })
            .collect();
        assert_eq!(routes, ALL.iter().map(|o| (o.path, o.changes())).collect::<BTreeSet<_>>());
        assert_eq!(source.matches(".route(").count(), ALL.len());
    }
}
