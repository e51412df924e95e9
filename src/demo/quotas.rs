//! The stories about rate limits: what four endpoints tell of their quotas, and when they refuse. The traffic of the customers themselves, which
//! uses most of each quota, is simulated here. Deterministic: an answer depends on the request, on those before it, and on the times in it.

use std::time::Duration;

use serde_json::json;

use super::stories::{Answer, Ask, CHAT_TOKEN, ORDERS_KEY, RELATIONS_TOKEN, SUPPORT_TOKEN, bearer, unauthorized};
use crate::clock::{DAY_MS, UnixMs};

/// Calls a minute that the ticket system allows, and how many the customer's agents and jobs make.
const SUPPORT_QUOTA: (u64, u64) = (700, 180);
/// Calls in ten seconds that the order hub allows, and how many the shops send: their declared peak of 1800 a minute.
const ORDERS_QUOTA: (u64, u64) = (200, 300);
/// Calls a day that the CRM allows.
const RELATIONS_QUOTA: u64 = 500_000;
/// How much of the time from the demo's start to midnight passes until they are used up.
const USED_UP_AFTER: f64 = 0.6;
/// A midnight nearer than this is too near for a story: then it is about the next one.
const TOO_NEAR: Duration = Duration::from_secs(120);
/// How long the chat wants to be left alone, in seconds.
const CHAT_WAIT_S: u64 = 45;

/// A fixed window of so many seconds, as one of a row that begins at the epoch.
struct Window {
    /// Calls made in it, this one included.
    used: u64,
    /// Until the next one, in whole seconds, rounded up.
    left_s: u64,
}

impl Window {
    /// The window of a request. `others`: calls that others make in it, evenly.
    fn of(ask: &Ask<'_>, seconds: u64, others: u64) -> Self {
        let length = i64::try_from(seconds).unwrap_or(1).max(1) * 1000;
        let began = UnixMs(ask.now.0 - ask.now.0.rem_euclid(length));
        let elapsed = ask.now.since(began);
        let ours = ask.recent.iter().filter(|at| **at >= began).count() as u64 + 1;
        Self { used: (others as f64 * elapsed.as_secs_f64() / seconds as f64) as u64 + ours, left_s: seconds - elapsed.as_secs() }
    }
}

/// Zendesk's way: the account's quota in headers of its own, and once more in those of the early IETF drafts. It is far from used up.
pub(super) fn support_tickets(ask: &Ask<'_>) -> Answer {
    if !bearer(ask, SUPPORT_TOKEN) {
        return unauthorized("unknown token");
    }
    let (quota, others) = SUPPORT_QUOTA;
    let Window { used, left_s } = Window::of(ask, 60, others);
    let answer = if used <= quota {
        Answer::json(&json!({ "tickets": [{ "id": 35436, "status": "open", "subject": "Where is my invoice?" }], "count": 1 }))
    } else {
        Answer::error(429, "APIRateLimitExceeded").header("retry-after", left_s.to_string())
    };
    let left = quota.saturating_sub(used).to_string();
    answer
        .header("x-rate-limit", quota.to_string())
        .header("x-rate-limit-remaining", left.clone())
        .header("ratelimit-limit", quota.to_string())
        .header("ratelimit-remaining", left)
        .header("ratelimit-reset", left_s.to_string())
}

/// The IETF draft's way (revision 10): a named policy and what is left of it. The shops use it up by themselves before every window ends.
pub(super) fn order_hub(ask: &Ask<'_>) -> Answer {
    if ask.api_key != ORDERS_KEY {
        return Answer::error(401, "unknown API key");
    }
    let (quota, others) = ORDERS_QUOTA;
    let Window { used, left_s } = Window::of(ask, 10, others);
    let answer = if used <= quota {
        Answer::json(&json!({ "orders": [{ "number": "FJ-771204", "state": "paid" }] }))
    } else {
        let problem = json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "violated-policies": ["burst"],
        });
        Answer { status: 429, ..Answer::json(&problem) }
    };
    answer
        .header("ratelimit-policy", format!("\"burst\";q={quota};w=10"))
        .header("ratelimit", format!("\"burst\";r={};t={left_s}", quota.saturating_sub(used)))
}

/// Slack's way: nothing is told of any quota. Every now and then it is "not now, come back in 45 s"; the fourth call of every twenty, so that the
/// first comes soon.
pub(super) fn ward_alerts(ask: &Ask<'_>) -> Answer {
    if !bearer(ask, CHAT_TOKEN) {
        return unauthorized("invalid_auth");
    }
    if ask.before % 20 == 3 {
        let body = json!({ "ok": false, "error": "ratelimited" });
        return Answer { status: 429, ..Answer::json(&body) }.header("retry-after", CHAT_WAIT_S.to_string());
    }
    Answer::json(&json!({ "ok": true, "team": "Borealis Health", "channel": "ward-alerts" }))
}

/// Salesforce's way: calls used of those a day allows, and no word of when the day ends. Others use so many that it will not be enough.
pub(super) fn customer_relations(ask: &Ask<'_>) -> Answer {
    if !bearer(ask, RELATIONS_TOKEN) {
        return unauthorized("INVALID_SESSION_ID");
    }
    let used = used_today(ask.started, ask.now).saturating_add(ask.before + 1);
    let answer = if used <= RELATIONS_QUOTA {
        Answer::json(&json!({ "totalSize": 1, "done": true, "records": [{ "Id": "0015g00000XyZabAAF", "Name": "Sample & Sons" }] }))
    } else {
        let body = json!([{ "message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED" }]);
        Answer { status: 403, ..Answer::json(&body) }
    };
    answer.header("sforce-limit-info", format!("api-usage={}/{RELATIONS_QUOTA}", used.min(RELATIONS_QUOTA)))
}

/// The midnight (UTC) before which the CRM's calls of a day run out, when it is `now`: the next one, unless that is less than two minutes away.
pub fn midnight_after(now: UnixMs) -> UnixMs {
    UnixMs((now.plus(TOO_NEAR).0.div_euclid(DAY_MS) + 1) * DAY_MS)
}

/// How many calls others made today: evenly since midnight, so many that all are gone when six tenths of the time from `started` to midnight have
/// passed, whatever the hour. The days after that begin at midnight.
fn used_today(started: UnixMs, now: UnixMs) -> u64 {
    let mut from = started;
    let mut midnight = midnight_after(started);
    if now >= midnight {
        from = UnixMs(now.0.div_euclid(DAY_MS) * DAY_MS);
        midnight = UnixMs(from.0 + DAY_MS);
    }
    let before = from.since(UnixMs(midnight.0 - DAY_MS)).as_secs_f64();
    let gone_after = before + midnight.since(from).as_secs_f64() * USED_UP_AFTER;
    let elapsed = before + now.since(from).as_secs_f64();
    (RELATIONS_QUOTA as f64 * elapsed / gone_after) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HOUR_MS;

    fn told(answer: &Answer, name: &str) -> String {
        answer.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    }

    /// A run every two seconds for so long: the times of requests and the answers.
    fn asked(story: fn(&Ask<'_>) -> Answer, who: &Ask<'_>, seconds: i64) -> Vec<(i64, Answer)> {
        let mut recent = Vec::new();
        let mut all = Vec::new();
        for at in (0..seconds).step_by(2) {
            let now = UnixMs(who.started.0 + at * 1000);
            all.push((at, story(&Ask { now, recent: &recent, before: recent.len() as u64, ..*who })));
            recent.push(now);
        }
        all
    }

    #[test]
    fn the_ticket_system_never_comes_near_its_quota() {
        let authorization = format!("Bearer {SUPPORT_TOKEN}");
        let all = asked(support_tickets, &Ask { authorization: &authorization, ..Ask::default() }, 120);
        assert!(all.iter().all(|(_, a)| a.status == 200));
        let left = |at: usize| told(&all[at].1, "x-rate-limit-remaining").parse::<u64>().unwrap();
        assert_eq!((left(0), left(29), left(30)), (699, 700 - 174 - 30, 699), "a new window begins full");
        assert_eq!(told(&all[29].1, "ratelimit-reset"), "2");
        let many = vec![UnixMs(0); 700];
        let refused = support_tickets(&Ask { authorization: &authorization, recent: &many, ..Ask::default() });
        assert_eq!((refused.status, told(&refused, "retry-after").as_str()), (429, "60"), "who asks too much is refused like anybody");
    }

    #[test]
    fn the_order_hub_refuses_at_the_end_of_every_window() {
        let all = asked(order_hub, &Ask { api_key: ORDERS_KEY, ..Ask::default() }, 40);
        let refused: Vec<i64> = all.iter().filter(|(_, a)| a.status == 429).map(|(at, _)| *at).collect();
        assert_eq!(refused, [8, 18, 28, 38]);
        assert_eq!(told(&all[3].1, "ratelimit"), "\"burst\";r=16;t=4");
        assert_eq!(told(&all[4].1, "ratelimit"), "\"burst\";r=0;t=2");
    }

    #[test]
    fn the_chat_wants_to_be_left_alone_now_and_then() {
        let authorization = format!("Bearer {CHAT_TOKEN}");
        let all = asked(ward_alerts, &Ask { authorization: &authorization, ..Ask::default() }, 60);
        let refused: Vec<i64> = all.iter().filter(|(_, a)| a.status == 429).map(|(at, _)| *at).collect();
        assert_eq!(refused, [6, 46]);
        assert_eq!(told(&all[3].1, "retry-after"), "45");
    }

    #[test]
    fn the_crm_runs_out_of_calls_before_midnight_whatever_the_hour() {
        let day = 20_000 * DAY_MS;
        for started in [0, 1, HOUR_MS, 12 * HOUR_MS, 23 * HOUR_MS, DAY_MS - 130_000, DAY_MS - 60_000].map(|ms| UnixMs(day + ms)) {
            let midnight = midnight_after(started);
            let after = |share: f64| used_today(started, started.plus(midnight.since(started).mul_f64(share)));
            assert!(after(0.0) < RELATIONS_QUOTA && after(0.59) < RELATIONS_QUOTA && after(0.61) > RELATIONS_QUOTA, "{started}");
            let rate = (after(0.3) - after(0.1)) as f64 / (midnight.since(started).as_secs_f64() * 0.2);
            let gone = (RELATIONS_QUOTA - after(0.1)) as f64 / rate;
            assert!(gone < midnight.since(started).as_secs_f64() * 0.51, "{started}: {gone} s at {rate}/s");
            assert!((5.0..10.0).contains(&rate), "{started}: a day's traffic, {rate}/s");
            assert_eq!(used_today(started, midnight), 0, "a new day");
        }
        let authorization = format!("Bearer {RELATIONS_TOKEN}");
        let late = Ask { authorization: &authorization, now: UnixMs(day + DAY_MS - 1), started: UnixMs(day), ..Ask::default() };
        let refused = customer_relations(&late);
        assert_eq!((refused.status, told(&refused, "sforce-limit-info").as_str()), (403, "api-usage=500000/500000"));
        assert!(refused.body.contains("REQUEST_LIMIT_EXCEEDED"));
    }
}
