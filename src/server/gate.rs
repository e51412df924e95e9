//! What every request passes before its handler: is it meant for us, does it come from us, who asks, may he, is it small enough. And what every
//! answer gets after it: headers that keep it out of caches and foreign pages, and its place in the metrics.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::accept::Ends;
use super::access::Who;
use super::api::Problem;
use super::auth::{Actor, Credentials, Slowed, credentials};
use super::{MAX_BODY, Shared, operations, origin};
use crate::clock::monotonic;
use crate::config::model::ServerSettings;
use crate::outcome::Role;

/// Health is for load balancers and supervisors: no token, no host check, and nothing in the answer worth hiding.
pub(super) fn public(path: &str) -> bool {
    matches!(path, "/-/healthy" | "/-/ready")
}

/// Takes runs out of a judgement.
const EXCLUSIONS: &str = "/api/v1/exclusions";
/// Takes a changed document as right.
const ACCEPTANCES: &str = "/api/v1/acceptances";

/// Below it stands an incident, and what is done with it.
const INCIDENT: &str = "/api/v1/incidents/";

/// What a request needs. Everything that changes something is a POST.
pub(super) fn needed(method: &Method, path: &str) -> Role {
    match path {
        _ if reads(method) => Role::Viewer,
        EXCLUSIONS | ACCEPTANCES => Role::Approver,
        // Of all that is done with an incident the one that changes what is judged.
        p if p.starts_with(INCIDENT) && p.ends_with("/reclassify") => Role::Approver,
        _ => Role::Operator,
    }
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// The middleware around all handlers.
pub(super) async fn pass(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    // The value of the label `handler`.
    let handler = operations::at(request.uri().path()).map_or("other", |o| o.name);
    let (mut head, body) = request.into_parts();
    let mut response = match admit(&shared, &mut head).await {
        Ok(()) => {
            let who = head.extensions.get::<Actor>().map(|actor| Who(actor.name.clone()));
            let mut response = next.run(Request::from_parts(head, body)).await;
            if let Some(who) = who {
                response.extensions_mut().insert(who);
            }
            response
        }
        Err(problem) => {
            let mut response: Response = problem.into();
            // Known, and not allowed to.
            if let Some(actor) = head.extensions.get::<Actor>() {
                response.extensions_mut().insert(Who(actor.name.clone()));
            }
            response
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages bring their own, with the hash of their style.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"));
    shared.state.own.http_request(handler, response.status().as_u16());
    response
}

async fn admit(shared: &Shared, request: &mut Parts) -> Result<(), Problem> {
    let declared = request.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|n| n > MAX_BODY as u64) {
        return Err(Problem::too_large());
    }
    if public(request.uri.path()) {
        return Ok(());
    }
    let config = shared.state.config.borrow().clone();
    let settings = &config.settings.server;
    let ends = request.extensions.get::<Ends>().copied();
    let Ends { peer, local } = ends.unwrap_or(Ends { peer: SocketAddr::from(([0, 0, 0, 0], 0)), local: shared.local });
    check_host(settings, request, local)?;
    let actor = check_actor(shared, settings, request, peer).await?;
    let needed = needed(&request.method, request.uri.path());
    let refused = (actor.role < needed).then(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            format!("the token \"{}\" has the role {}; this needs {needed}", actor.name, actor.role),
            format!("Use a token made with `soakwatch token NAME --role {needed}`."),
        )
    });
    // Of who is refused too: the access log names him.
    request.extensions.insert(actor);
    refused.map_or(Ok(()), Err)
}

fn check_host(settings: &ServerSettings, request: &Parts, local: SocketAddr) -> Result<(), Problem> {
    let reads = reads(&request.method);
    // A rebound name carries no token: reading by one needs no further proof.
    if reads && !settings.tokens.is_empty() {
        return Ok(());
    }
    let bad = |why: &str| Problem::new(StatusCode::BAD_REQUEST, why, "Send one Host header with the name of this server.");
    let Some(authority) = origin::authority(&request.headers, &request.uri).map_err(bad)? else {
        // Only old or hand-made clients leave it out, never a browser.
        return if reads { Ok(()) } else { Err(bad("the Host header is missing")) };
    };
    if !origin::host_is_ours(authority, local, &settings.hosts) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not answer to the name in the Host header",
            "Use its address or localhost, or add the name to server.hosts in soakwatch.toml.",
        ));
    }
    if !reads && !origin::origin_is_ours(&request.headers, authority) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request comes from another site",
            "Requests that change something are accepted from this server's own pages and from tools, not from other web pages.",
        ));
    }
    Ok(())
}

async fn check_actor(shared: &Shared, settings: &ServerSettings, request: &Parts, peer: SocketAddr) -> Result<Actor, Problem> {
    let here = |ip: std::net::IpAddr| ip.to_canonical().is_loopback();
    if settings.tokens.is_empty() {
        let open = here(shared.local.ip()) || settings.open;
        // Without tokens, changes are for whoever sits at the machine, also where reading is open to all.
        return if !open {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the configuration has no tokens any more, and this listener can be reached from other machines",
                "Add a token (`soakwatch token NAME --role viewer`), or write auth = \"none\" under [server].",
            ))
        } else if reads(&request.method) || here(peer.ip()) {
            Ok(Actor { name: format!("anonymous@{}", peer.ip().to_canonical()), role: Role::Approver })
        } else {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "without tokens, changes are accepted from this machine only",
                "Call from the machine itself, or configure tokens (`soakwatch token NAME --role operator`).",
            ))
        };
    }
    match credentials(&request.headers, &settings.tokens) {
        Credentials::Right(actor) => Ok(actor),
        Credentials::None => Err(Problem::unauthorized("a token is needed")),
        Credentials::Wrong => {
            match shared.failures.count(peer.ip(), monotonic()) {
                Slowed::Refuse => {
                    return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from this address", "Wait a minute.")
                        .header(header::RETRY_AFTER, "60"));
                }
                Slowed::Wait { delay, first } => {
                    if first {
                        tracing::warn!(source = %peer.ip(), "a request with a wrong token was refused");
                    }
                    tokio::time::sleep(delay).await;
                }
            }
            Err(Problem::unauthorized("the token is not known here"))
        }
    }
}
