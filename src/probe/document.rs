//! What the kinds that judge a document share: getting it (conditionally), comparing it with the one that was accepted, and the failure it makes.
//!
//! Owns no rule: the kind brings what it found and says what changed. A document that could not be had clears nothing and replaces nothing; one whose
//! integrity failed never becomes what others are compared with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Accepted, NothingToAccept, ProbeContext};
use crate::clock::UnixMs;
use crate::config::table::Table;
use crate::fields::{HttpUrl, bounded};
use crate::finding::{DocumentFacts, Finding, Findings, Level, Severity, worst};
use crate::hex;
use crate::memory::Cached;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::ratelimit;
use crate::sso::clock_offset::{self, Dated};
use crate::transport::{HttpVersion, Options, Request, status};

/// Redirects that are followed; none of them to plain http or to a private address.
const REDIRECTS: u8 = 3;
/// A document of one entity, and any JSON, may have this many bytes unpacked.
pub const MAX_DOCUMENT: u64 = 5 << 20;

/// Headers by which a document is judged besides: kept with it.
const JUDGED: [HeaderName; 2] = [CACHE_CONTROL, CONTENT_TYPE];

/// Where a document is.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its URL.
    pub url: HttpUrl,
    /// A PEM file of roots trusted besides the shared ones, read at use.
    pub ca: Option<PathBuf>,
}

impl Place {
    /// Reads `key` (a URL) and `ca`.
    pub fn read(t: &mut Table<'_>, key: &'static str) -> Option<Self> {
        let url = t.req::<HttpUrl>(key);
        let ca = t.opt::<PathBuf>("ca").map(|p| t.source().dir.join(p));
        Some(Self { url: url?, ca })
    }
}

/// A document as it was got.
#[derive(Debug)]
pub struct Document {
    /// What it says.
    pub body: Arc<[u8]>,
    /// The headers of the response that brought it, or that said that it is as it was.
    pub headers: HeaderMap,
    /// Half of the time from the request to the end of the response, in milliseconds: how much older `Date` is than now.
    pub half_round_trip_ms: i64,
    /// Whether the last redirect left https.
    pub downgraded: bool,
}

/// What came of asking for it.
#[derive(Debug)]
pub enum Got {
    /// It is there.
    Document(Document),
    /// Somebody answered that it is not to be had: a definite answer, no trouble on the way.
    Refused(StatusCode, Failure),
}

/// The options of an exchange for a document.
pub async fn options(place: &Place, most: u64, context: &mut ProbeContext<'_>) -> Result<Options, Failure> {
    let roots = match &place.ca {
        Some(file) => Some(context.transport.roots(file).await.map_err(|why| Failure::ours(Cause::File, why))?),
        None => None,
    };
    Ok(Options {
        allow_private: context.check.integration.allow_private,
        version: HttpVersion::Auto,
        redirects: REDIRECTS,
        max_body: Some(most),
        roots,
        client: None,
        timeout: context.check.timeout,
        dialect: context.check.integration.dialect,
        host: place.url.host_port(),
        way: context.transport.way(context.check, context.redactor).await?,
    })
}

/// Gets a document of at most `most` bytes; asks whether it changed where it was got before.
pub async fn get(
    place: &Place,
    accept: &'static str,
    most: u64,
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
) -> Result<Got, Failure> {
    observed.step = Step::Prepare;
    let options = options(place, most, context).await?;
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
    let url = place.url.url().clone();
    let cached = context.memory.cached(url.as_str());
    if let Some(c) = &cached {
        c.etag.clone().map(|v| headers.insert(IF_NONE_MATCH, v));
        c.last_modified.clone().map(|v| headers.insert(IF_MODIFIED_SINCE, v));
    }
    let request =
        Request { method: Method::GET, url: url.clone(), headers, secret_query: Vec::new(), body: Bytes::new(), secret_body: false };
    let mut answer = Box::pin(context.transport.exchange(&request, &options, None, context.redactor, observed)).await?;
    observed.step = Step::Judge;
    observed.body_bytes = Some(answer.body.len() as u64);
    let https = |url: &str| url.starts_with("https:");
    let downgraded = https(url.as_str()) && observed.hops.iter().any(|h| !h.token && !https(&h.url));
    let half_round_trip_ms = i64::try_from(answer.took.as_millis() / 2).unwrap_or(0);
    let body: Arc<[u8]> = match (answer.status, cached) {
        (StatusCode::NOT_MODIFIED, Some(c)) => {
            for name in JUDGED.iter().filter(|n| !answer.headers.contains_key(*n)).collect::<Vec<_>>() {
                c.headers.get(name).map(|value| answer.headers.insert(name, value.clone()));
            }
            c.body
        }
        (s, _) if s.is_success() => {
            let (etag, last_modified) = (answer.headers.get(ETAG).cloned(), answer.headers.get(LAST_MODIFIED).cloned());
            let body: Arc<[u8]> = Arc::from(answer.body);
            let headers = JUDGED.iter().filter_map(|n| Some((n.clone(), answer.headers.get(n)?.clone()))).collect();
            context.memory.cache(Cached { url: url.to_string(), etag, last_modified, headers, body: Arc::clone(&body) });
            body
        }
        (s, _) => {
            let (class, wait) = status::refusal(s, &answer.limits, answer.dialect);
            let failure = Failure::new(class, format!("HTTP {} instead of the document", s.as_u16()));
            // Trouble over there says nothing about the document.
            let undecided = s.is_server_error() || class == Class::Throttled || s == StatusCode::REQUEST_TIMEOUT;
            return if undecided {
                Err(Failure { retry_after: wait, answered: true, ..failure })
            } else {
                Ok(Got::Refused(s, Failure { answered: true, ..failure }))
            };
        }
    };
    Ok(Got::Document(Document { body, headers: answer.headers, half_round_trip_ms, downgraded }))
}

/// How many milliseconds the clock of whoever sent these headers is ahead of ours (behind: negative); none where a cache may have answered.
pub fn clock_offset_ms(headers: &HeaderMap, half_round_trip_ms: i64, sent: UnixMs) -> Option<i64> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let received = sent.plus(Duration::from_millis(2 * half_round_trip_ms.unsigned_abs()));
    let max_age = text(CACHE_CONTROL).into_iter().flat_map(|v| v.split(',')).find_map(|d| {
        let (name, seconds) = d.split_once('=')?;
        let kept = ["max-age", "s-maxage"].iter().any(|n| name.trim().eq_ignore_ascii_case(n));
        seconds.trim().trim_matches('"').parse().ok().filter(|_| kept)
    });
    clock_offset::estimate(&Dated {
        date: ratelimit::http_date(text(DATE)?, received)?,
        sent,
        received,
        // One that can't be read is a cache's, too.
        age: text(AGE).map(|a| a.trim().parse().unwrap_or(u64::MAX)),
        max_age,
    })
}

/// What a check remembers of a document.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<S> {
    /// Of which document: another one is compared with nothing.
    target: String,
    /// What the next one is compared with.
    accepted: Option<S>,
    /// What was seen since and waits for somebody to accept it.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    candidate: Option<S>,
    /// Somebody accepted it since the last run.
    #[serde(default)]
    by_hand: bool,
}

/// What a document's judgement comes to: findings into `observed`, the accepted document into memory, and the failure, if any.
///
/// `snapshot`: what is compared with the next one; `None` where the document's integrity failed or could not be judged. `changes`: what the rules
/// say of it beside the accepted one.
pub async fn conclude<S: Serialize + DeserializeOwned + PartialEq + Clone>(
    target: &str,
    mut found: Vec<Finding>,
    snapshot: Option<S>,
    changes: impl Fn(&S, &S) -> Vec<Finding>,
    mut facts: DocumentFacts,
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
) -> Result<(), Failure> {
    if let Some(now) = snapshot {
        let kept = context.memory.recall().and_then(|text| serde_json::from_str::<Kept<S>>(&text).ok()).filter(|k| k.target == target);
        let by_hand = kept.as_ref().is_some_and(|k| k.by_hand);
        let before = kept.and_then(|k| k.accepted);
        let changed = before.as_ref().map(|before| changes(before, &now)).unwrap_or_default();
        let waits = changed.iter().any(waits);
        facts.changed = by_hand || (!waits && before.as_ref().is_some_and(|b| *b != now));
        let kept = match before {
            Some(before) if waits => Kept { target: target.to_owned(), accepted: Some(before), candidate: Some(now), by_hand: false },
            _ => Kept { target: target.to_owned(), accepted: Some(now), candidate: None, by_hand: false },
        };
        found.extend(changed);
        let text = serde_json::to_string(&kept)
            .map_err(|e| Failure::ours(Cause::Internal, format!("what is to be remembered can't be written: {e}")))?;
        context
            .memory
            .remember(text)
            .await
            .map_err(|why| Failure::new(Class::Protocol, format!("the document can't be remembered: {why}")))?;
    }
    let mut findings = Findings::whole(found);
    for f in &mut findings.list {
        f.detail = bounded(context.redactor.clean(&f.detail), crate::finding::MOST_DETAIL);
    }
    let failure = failure(&findings.list);
    observed.findings = Some(findings);
    observed.document = Some(facts);
    failure.map_or(Ok(()), Err)
}

/// Brings what the next document is compared with up to date in what moves on by itself, such as a date: that is no change.
pub async fn bring_up_to_date<S: Serialize + DeserializeOwned>(target: &str, context: &ProbeContext<'_>, update: impl FnOnce(&mut S)) {
    let kept = context.memory.recall().and_then(|text| serde_json::from_str::<Kept<S>>(&text).ok()).filter(|k| k.target == target);
    let Some(mut kept) = kept else { return };
    let Some(accepted) = &mut kept.accepted else { return };
    update(accepted);
    if let Ok(text) = serde_json::to_string(&kept) {
        // What can't be remembered is said when the document itself is.
        let _ = context.memory.remember(text).await;
    }
}

/// Whether a change waits for somebody to accept it: it fails the run, or it warns of what breaks somebody. One that only wants to be known is accepted by
/// itself, and found once.
fn waits(change: &Finding) -> bool {
    change.level == Level::Fail || (change.level == Level::Warn && change.severity <= Severity::Medium)
}

/// What was last seen of a document: what waits to be accepted, else what was.
pub fn last_seen<S: DeserializeOwned>(target: &str, context: &ProbeContext<'_>) -> Option<S> {
    let kept = serde_json::from_str::<Kept<S>>(&context.memory.recall()?).ok().filter(|k| k.target == target)?;
    kept.candidate.or(kept.accepted)
}

/// The failure a run ends with by its worst finding.
pub fn failure(found: &[Finding]) -> Option<Failure> {
    let f = worst(found)?;
    let more = found.iter().filter(|f| f.level == Level::Fail).count() - 1;
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    Some(Failure { answered: true, ..Failure::new(f.class, format!("{}: {}{more}", f.id, f.detail)) })
}

/// A finding about getting the document: what was found in it before stays open. The run fails with `failure`.
pub fn not_had(finding: Finding, mut failure: Failure, observed: &mut Observed) -> Failure {
    failure.detail = bounded(format!("{}: {}", finding.id, failure.detail), 300);
    observed.findings = Some(Findings::partial(vec![finding]));
    failure
}

/// What waits to be accepted takes the place of what was.
pub fn accept(remembered: Option<&str>) -> Result<Accepted, NothingToAccept> {
    let kept =
        remembered.and_then(|text| serde_json::from_str::<Kept<serde_json::Value>>(text).ok()).ok_or(NothingToAccept::NothingSeen)?;
    let candidate = kept.candidate.ok_or(NothingToAccept::Unchanged)?;
    let digest = |v: &serde_json::Value| hex::sha256(v.to_string().as_bytes());
    let what = json!({ "target": kept.target, "accepted_sha256": digest(&candidate), "before_sha256": kept.accepted.as_ref().map(digest), "accepted": candidate });
    let kept = Kept { target: kept.target, accepted: Some(candidate), candidate: None, by_hand: true };
    let memory = serde_json::to_string(&kept).map_err(|_| NothingToAccept::NothingSeen)?;
    Ok(Accepted { memory, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{jwks, oidc};

    #[test]
    fn a_date_tells_how_far_the_clocks_are_apart() {
        // 2026-11-22T12:00:00Z
        let (noon, date) = (UnixMs(1_795_348_800_000), "Sun, 22 Nov 2026 12:05:00 GMT");
        let offset = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect();
            clock_offset_ms(&headers, 500, noon)
        };
        assert_eq!(offset(&[(DATE, date)]), Some(300_000));
        assert_eq!(offset(&[(DATE, date), (CACHE_CONTROL, "public, max-age=600")]), Some(300_000));
        assert_eq!(offset(&[(DATE, "Sun, 22 Nov 2026 11:55:00 GMT"), (CACHE_CONTROL, "public, max-age=600")]), None);
        for unsaid in [&[][..], &[(DATE, "noon")], &[(DATE, date), (AGE, "7")], &[(DATE, date), (AGE, "x")]] {
            assert_eq!(offset(unsaid), None);
        }
    }

    #[test]
    fn what_breaks_somebody_waits_and_what_does_not_is_accepted() {
        let moved = oidc::CHG_01.found("token_endpoint moved");
        assert!(waits(&moved) && waits(&jwks::ROT_02.found("swapped")));
        assert!(!waits(&moved.of(Severity::Low)) && !waits(&jwks::ROT_01.found("overlap")));
    }

    #[test]
    fn what_waits_is_accepted_once() {
        assert_eq!(accept(None), Err(NothingToAccept::NothingSeen));
        assert_eq!(accept(Some(r#"{"target":"t","accepted":{"a":1}}"#)), Err(NothingToAccept::Unchanged));
        let first = accept(Some(r#"{"target":"t","accepted":{"a":1},"candidate":{"a":2}}"#)).unwrap();
        assert_eq!(first.memory, r#"{"target":"t","accepted":{"a":2},"by_hand":true}"#);
        assert_eq!((&first.what["accepted"], &first.what["target"]), (&json!({"a": 2}), &json!("t")));
        assert_eq!(accept(Some(&first.memory)), Err(NothingToAccept::Unchanged));
    }
}
