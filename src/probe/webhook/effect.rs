//! What a message did, as another endpoint of the receiver tells it: one value, read before and after a second delivery.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::message::given;
use super::{Effect, Path, round};
use crate::large;
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
    let (body, path) = (answer.body, effect.path.clone());
    large::of(body.len(), observed, move || value(&body, &path)).await?
}

/// The value at a path of what was answered.
fn value(body: &[u8], path: &Path) -> Result<Value, Failure> {
    let failed = |what: String| Failure { answered: true, ..Failure::new(Class::Assertion, format!("effect: {what}")) };
    let document: Value = serde_json::from_slice(body).map_err(|e| failed(format!("the body is not JSON ({e})")))?;
    path.select(&document).first().map(|v| (*v).clone()).ok_or_else(|| failed(format!("{} selects nothing", path.source())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;
    use proptest::prelude::*;

    /// Committed seeds: a document with bytes changed, cut off, and whatever bytes.
    #[test]
    fn whatever_is_answered_is_a_value_or_a_failure_without_it() {
        let path = Path::new("$.orders[0].count").unwrap();
        let held = |body: &[u8]| -> Result<(), TestCaseError> {
            match value(body, &path) {
                Ok(_) => prop_assert!(serde_json::from_slice::<Value>(body).is_ok()),
                Err(f) => {
                    let told = f.answered && f.class == Class::Assertion && f.detail.len() < 200 && !f.detail.contains("c4nary");
                    prop_assert!(told, "{f:?}");
                }
            }
            Ok(())
        };
        let good = r#"{"orders": [{"count": 3, "of": "c4nary"}]}"#.as_bytes();
        assert_eq!(value(good, &path).unwrap(), 3);
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6);
        seeds::tried(16, &changes, |changes| {
            let mut body = good.to_vec();
            for (at, byte, cut) in changes {
                let at = at.index(body.len());
                if cut { body.truncate(at + 1) } else { body[at] = byte }
            }
            held(&body)
        });
        seeds::tried(16, &proptest::collection::vec(any::<u8>(), 0..100), |body| held(&body));
    }
}
