//! Lists page by page: `?limit=` says how many, `next` in the answer is the `cursor` of the page after it. A cursor says after what the next page begins,
//! not how far it is in, so what comes or goes meanwhile neither repeats nor hides anything else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::api::Problem;

/// The most of one page.
const MOST: usize = 20_000;
/// No cursor of ours is longer.
const LONGEST: usize = 1_000;

/// What part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// So many; `None`: all of them.
    pub(super) limit: Option<usize>,
    /// Those after this.
    pub(super) after: Option<String>,
}

impl Page {
    /// Reads `limit` and `cursor`. `list`: what a cursor must be of.
    pub(super) fn read(query: &BTreeMap<String, String>, list: &str) -> Result<Self, Problem> {
        let bad = |error: &str, hint: &str| Problem::new(StatusCode::BAD_REQUEST, error, hint);
        let limit = query.get("limit").map(|text| {
            let limit = text.parse::<usize>().ok().filter(|n| (1..=MOST).contains(n));
            limit.ok_or_else(|| bad("limit is not readable", "Give a number from 1 to 20000."))
        });
        let after = query.get("cursor").map(|text| {
            opened(text, list).ok_or_else(|| bad("cursor is not one of this list", "Give what `next` said, or leave it out to begin anew."))
        });
        let page = Self { limit: limit.transpose()?, after: after.transpose()? };
        if page.after.is_some() && page.limit.is_none() {
            return Err(bad("cursor stands without limit", "Give limit as well: how many the next page may have."));
        }
        Ok(page)
    }

    /// The part of some items that is asked for, and the cursor of the part after it. Pages are in the order of the ids; all in one are in their own.
    pub(super) fn of<T>(&self, list: &str, mut items: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let Some(limit) = self.limit else { return (items, None) };
        if let Some(after) = &self.after {
            items.retain(|i| id(i) > after.as_str());
        }
        items.sort_by(|a, b| id(a).cmp(id(b)));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| cursor(list, id(last)));
        (items, next)
    }
}

/// The cursor of what comes after something.
pub(super) fn cursor(list: &str, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}\n{after}"))
}

fn opened(text: &str, list: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|t| t.len() <= LONGEST)?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once('\n').filter(|(of, _)| *of == list).map(|(_, after)| after.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Page, StatusCode> {
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Page::read(&query, "status").map_err(|p| p.status())
    }

    #[test]
    fn pages_neither_repeat_nor_leave_out_what_stays() {
        let mut all: Vec<String> = (0..10).map(|n| format!("i{}", n * 10 + 10)).collect();
        let (mut seen, mut page) = (Vec::new(), Page { limit: Some(3), after: None });
        loop {
            let (some, next) = page.of("status", all.clone(), String::as_str);
            assert!(some.len() <= 3);
            seen.extend(some);
            // Between two pages one comes before what was seen, and one that was seen goes.
            all.insert(0, format!("i1{}", seen.len()));
            all.retain(|i| *i != seen[0]);
            let Some(next) = next else { break };
            page = read(&format!("limit=3&cursor={next}")).unwrap();
        }
        for n in 0..10 {
            let id = format!("i{}", n * 10 + 10);
            assert_eq!(seen.iter().filter(|s| **s == id).count(), 1, "{id}: {seen:?}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        assert_eq!(read(""), Ok(Page { limit: None, after: None }));
        let good = cursor("status", "acme/production/crm");
        assert_eq!(read(&format!("limit=5&cursor={good}")).unwrap().after.as_deref(), Some("acme/production/crm"));
        let other = cursor("soaks", "acme/production/crm");
        for bad in [
            "limit=0",
            "limit=20001",
            "limit=x",
            "limit=",
            &format!("cursor={good}"),
            &format!("limit=5&cursor={other}"),
            "limit=5&cursor=%FF",
        ] {
            assert_eq!(read(bad), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
        assert_eq!(read(&format!("limit=5&cursor={}", "A".repeat(2_000))), Err(StatusCode::BAD_REQUEST));
    }
}
