//! What a message did, as another endpoint of the receiver tells it: one value, read before and after a second delivery.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::message::given;
use super::{Effect, round};
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::probe::ProbeContext;
use crate::transport::auth::{reveal, sensitive};
use crate::transport::{Options, Request, status};

/// `{id}` as it stands in a URL.
const PLACEHOLDERS: [&str; 2] = ["{id}", "%7Bid%7D"];

/// Waits until the effect may show, then reads it.
pub(super) async fn read(
    effect: &Effect,
    id: &str,
    options: &Options,
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
) -> Result<Value, Failure> {
    observed.step = Step::Prepare;
    tokio::time::sleep(effect.settle.0).await;
    let text = PLACEHOLDERS.iter().fold(effect.url.url().to_string(), |url, p| url.replace(p, id));
    let url = Url::parse(&text).map_err(|_| Failure::ours(Cause::Internal, "effect: the address can't be sent"))?;
    let mut headers = given(&effect.headers, context.redactor).await?;
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if let Some(token) = &effect.bearer {
        let token = reveal(token, context.redactor).await?;
        headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose()), "the bearer token")?);
    }
    let request = Request { method: Method::GET, url, headers, secret_query: Vec::new(), body: Bytes::new(), secret_body: false };
    if effect.url.host_port() == options.host {
        round::turn(context, observed).await?;
    }
    let answer = Box::pin(context.transport.exchange(&request, options, None, context.redactor, observed)).await?;
    observed.step = Step::Judge;
    if !answer.status.is_success() || answer.limits.throttled {
        let (class, retry_after) = status::refusal(answer.status, &answer.limits, answer.dialect);
        let detail = format!("effect: {} answered {}", effect.url.shown_host(), super::answer::status_words(answer.status));
        return Err(Failure { retry_after, answered: true, ..Failure::new(class, detail) });
    }
    let path = effect.path.source();
    let failed = |what: String| Failure { answered: true, ..Failure::new(Class::Assertion, format!("effect: {what}")) };
    let document: Value = serde_json::from_slice(&answer.body).map_err(|e| failed(format!("the body is not JSON ({e})")))?;
    effect.path.select(&document).first().map(|v| (*v).clone()).ok_or_else(|| failed(format!("{path} selects nothing")))
}
