//! A response explained: as text for people and as one JSON object. Pure: a response, an owner and a time in, words out.

use std::time::Duration;

use serde_json::{Value, json};

use super::raw::Raw;
use crate::attribution::{attribute, limit_not_told, remediation};
use crate::clock::UnixMs;
use crate::explain::{plain, quota_words};
use crate::fields::Span;
use crate::outcome::{Attribution, Class, Outcome, Owner};
use crate::ratelimit::{self, Dialect, Policy, RateLimit};
use crate::transport::status;

/// What is to be said about a response.
pub(super) struct Explained<'a> {
    raw: &'a Raw,
    dialect: Dialect,
    owner: Owner,
    received_at: UnixMs,
    limits: RateLimit,
    class: Option<Class>,
    attribution: Option<Attribution>,
}

/// Judges the response as a check does that expects nothing but a status of success.
pub(super) fn explain(raw: &Raw, dialect: Dialect, owner: Owner, received_at: UnixMs) -> Explained<'_> {
    let response = ratelimit::Response { dialect, status: raw.status.as_u16(), headers: &raw.headers, body: &raw.body, received_at };
    let limits = ratelimit::read(&response);
    let good = raw.status.is_success() && !limits.throttled;
    let class = (!good).then(|| status::refusal(raw.status, &limits, dialect).0);
    let attribution = class.map(|c| attribute(c, owner, &std::collections::BTreeMap::new()));
    Explained { raw, dialect, owner, received_at, limits, class, attribution }
}

impl Explained<'_> {
    fn outcome(&self) -> Outcome {
        match self.class {
            None => Outcome::Pass,
            Some(Class::Throttled) => Outcome::Throttled,
            Some(_) => Outcome::Fail,
        }
    }

    /// How long to wait, and why. None: nobody says.
    fn wait(&self) -> Option<(Duration, &'static str)> {
        let l = &self.limits;
        let renewed = || l.reset_in.filter(|_| l.throttled || l.remaining == Some(0)).map(|d| (d, "its quota is renewed then"));
        let known = || l.stay_away(self.dialect).map(|d| (d, "so much this vendor wants; longer each time"));
        l.retry_after.map(|d| (d, "it asks for that")).or_else(renewed).or_else(known)
    }

    fn advice(&self, class: Class, attribution: Attribution) -> String {
        let told = self.limits.limit.is_some() || self.limits.policies.is_some();
        if class == Class::Throttled && !told {
            limit_not_told(attribution, self.owner)
        } else {
            remediation(class, attribution, self.owner)
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut put = |name: &str, text: String| {
            let name = if name.is_empty() { String::new() } else { format!("{name}:") };
            out.push_str(&format!("{name:<14}{text}\n"));
        };
        let reason = self.raw.status.canonical_reason().map(|r| format!(" {r}")).unwrap_or_default();
        let before: Vec<String> = self.raw.before.iter().map(u16::to_string).collect();
        let after = if before.is_empty() { String::new() } else { format!(" (after {})", before.join(", ")) };
        put("Answer", format!("{}{reason}{after}", self.raw.status.as_u16()));
        if let Some(to) = self.raw.headers.get("location").filter(|_| self.raw.status.is_redirection()) {
            put("", format!("redirects to {}", plain(&String::from_utf8_lossy(to.as_bytes()))));
        }
        put("Outcome", self.outcome().to_string());
        if let (Some(class), Some(attribution)) = (self.class, self.attribution) {
            put("Class", class.to_string());
            put("Attribution", format!("{attribution} (the far side's owner: {})", self.owner));
            put("What to do", self.advice(class, attribution));
        }
        put("Rate limit", self.limit_words());
        for policy in self.limits.policies.iter().flatten() {
            put("", policy_words(policy));
        }
        put("Try again", self.wait_words());
        out
    }

    fn limit_words(&self) -> String {
        let l = &self.limits;
        let all = quota_words(l.limit, l.remaining, l.window, l.reset_in, "");
        match (all.is_empty(), &l.policies) {
            (false, _) => all,
            (true, None) if l.throttled => "reached, but it does not say which".into(),
            (true, None) => "it says nothing about one".into(),
            (true, Some(_)) => "it names policies only".into(),
        }
    }

    fn wait_words(&self) -> String {
        match self.wait() {
            Some((d, _)) if d.is_zero() => "at once: it asks for no wait".into(),
            Some((d, why)) => format!("in {}, at {} ({why})", Span(d), self.received_at.plus(d)),
            None => match self.outcome() {
                Outcome::Pass => "at any time".into(),
                Outcome::Throttled => "it does not say; wait a minute, and longer each time it throttles again".into(),
                _ => "it does not say; once the cause is mended".into(),
            },
        }
    }

    /// For programs: absent things are null, durations are whole seconds.
    pub(super) fn value(&self) -> Value {
        let wait = self.wait().map(|(d, _)| d);
        json!({
            "status": self.raw.status.as_u16(),
            "statuses_before": self.raw.before,
            "outcome": self.outcome(),
            "class": self.class,
            "attribution": self.attribution,
            "owner": self.owner,
            "remediation": self.class.zip(self.attribution).map(|(c, a)| self.advice(c, a)),
            "dialect": self.dialect,
            "received_at": self.received_at.to_string(),
            "rate_limit": self.limits,
            "try_again_in_s": wait.map(|d| d.as_secs()),
            "try_again_at": wait.map(|d| self.received_at.plus(d).to_string()),
        })
    }
}

fn policy_words(p: &Policy) -> String {
    let name = p.name.as_deref().map_or_else(|| "a policy without a name".to_owned(), |n| format!("\"{}\"", plain(n)));
    let unit = p.unit.as_deref().map(|u| format!(" {}", plain(u))).unwrap_or_default();
    let pk = p.pk.as_deref().map(|k| format!(", for {}", plain(k))).unwrap_or_default();
    let quota = quota_words(p.limit, p.remaining, p.window, p.reset_in, &unit);
    format!("{name}: {}{pk}", if quota.is_empty() { "it says no more".into() } else { quota })
}

#[cfg(test)]
mod tests {
    use super::super::raw::parse;
    use super::*;

    const NOW: UnixMs = UnixMs(1_772_366_400_000);

    fn text(input: &str, dialect: Dialect, owner: Owner) -> String {
        explain(&parse(input.as_bytes()).unwrap(), dialect, owner, NOW).text()
    }

    #[test]
    fn a_throttled_answer_in_words() {
        let input = "HTTP/2 301\nlocation: /x\n\nHTTP/2 429\nretry-after: 90\nratelimit-policy: \"hour\";q=100;w=3600;qu=\"content-bytes\"\n\
                     ratelimit: \"hour\";r=0;t=1200;pk=:YQ==:\n\n";
        assert_eq!(
            text(input, Dialect::Auto, Owner::Vendor),
            "Answer:       429 Too Many Requests (after 301)
Outcome:      throttled
Class:        throttled
Attribution:  third_party (the far side's owner: vendor)
What to do:   We are told to slow down. Compare the declared volume with the limit, and ask the vendor for a higher one or lengthen the interval.
Rate limit:   0 of 100 left in 1h, more in 20m
              \"hour\": 0 of 100 content-bytes left in 1h, more in 20m, for YQ==
Try again:    in 1m30s, at 2026-03-01T12:01:30Z (it asks for that)
"
        );
    }

    #[test]
    fn when_to_try_again() {
        let line = |input, dialect| text(input, dialect, Owner::Customer).lines().last().unwrap().to_owned();
        for (input, dialect, said) in [
            ("HTTP/1.1 200 OK\n\n", Dialect::Auto, "at any time"),
            ("HTTP/1.1 200 OK\nRetry-After: 0\n\n", Dialect::Auto, "at once: it asks for no wait"),
            (
                "HTTP/1.1 200 OK\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 5\n\n",
                Dialect::Auto,
                "in 5s, at 2026-03-01T12:00:05Z (its quota is renewed then)",
            ),
            ("HTTP/1.1 500 Oops\n\n", Dialect::Auto, "it does not say; once the cause is mended"),
            ("HTTP/1.1 429 Oops\n\n", Dialect::Auto, "it does not say; wait a minute, and longer each time it throttles again"),
            ("HTTP/1.1 429 Oops\n\n", Dialect::Github, "in 1m, at 2026-03-01T12:01:00Z (so much this vendor wants; longer each time)"),
            (
                "HTTP/1.1 503 Oops\nRetry-After: 7\nRateLimit-Reset: 60\n\n",
                Dialect::Auto,
                "in 7s, at 2026-03-01T12:00:07Z (it asks for that)",
            ),
        ] {
            assert_eq!(line(input, dialect), format!("Try again:    {said}"), "{input}");
        }
    }

    #[test]
    fn nothing_of_the_answer_steers_a_terminal() {
        let input = "HTTP/1.1 302 Found\nLocation: /\u{202e}x\nRateLimit-Limit: 5;w=60;name=\u{200b}a\n\n";
        let said = text(input, Dialect::Auto, Owner::Us);
        assert!(said.contains("redirects to / x\n") && said.contains("\" a\": at most 5 in 1m"), "{said}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    }

    #[test]
    fn as_json() {
        let raw = parse(b"HTTP/1.1 401 Unauthorized\nX-Rate-Limit: 700\n\n").unwrap();
        let value = explain(&raw, Dialect::Zendesk, Owner::Partner, NOW).value();
        assert_eq!(
            (&value["outcome"], &value["class"], &value["attribution"]),
            (&json!("fail"), &json!("unauthorized"), &json!("configuration"))
        );
        assert_eq!((&value["rate_limit"]["limit"], &value["rate_limit"]["window_s"]), (&json!(700), &json!(60)));
        assert_eq!((&value["dialect"], &value["received_at"]), (&json!("zendesk"), &json!("2026-03-01T12:00:00Z")));
        assert!(value["try_again_at"].is_null());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

        /// Whatever comes in: an explanation no terminal obeys, or a line that can't be read.
        #[test]
        fn anything_is_explained_or_refused(
            head in "HTTP/[0-9.]{1,3} [0-9]{3}( OK)?\r?\n",
            lines in proptest::collection::vec("(retry-after|ratelimit|ratelimit-policy|x-ratelimit-reset|date|a b)?:?[ -~\u{7f}-\u{2100}]{0,40}\r?\n", 0..8),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        ) {
            let input = [head.as_bytes(), lines.concat().as_bytes(), b"\n", &rest].concat();
            for input in [&input[..], &rest] {
                match parse(input) {
                    Ok(raw) => {
                        let said = explain(&raw, Dialect::Auto, Owner::Us, NOW).text();
                        proptest::prop_assert!(said.lines().count() >= 4 && said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
                    }
                    Err(e) => proptest::prop_assert!(e.line >= 1 && !e.why.contains(char::is_control), "{e:?}"),
                }
            }
        }
    }
}
