//! The headings of a customer's file, read as text: which of them stands in the wrong brackets or in the wrong place.
//!
//! The parser and the readers find that something is wrong, far from where it began and many times over; asked then, this names the one heading to
//! mend. It is never asked about a file without trouble, so it need not know TOML's grammar whole.

/// A line `[name]` or `[[name]]`.
struct Heading<'t> {
    /// Byte offset of its first bracket.
    at: usize,
    double: bool,
    name: &'t str,
}

/// What is wrong with a heading, and what belongs there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Byte offset of its first bracket.
    pub at: usize,
    /// What is wrong.
    pub what: String,
    /// What was expected.
    pub expected: String,
}

fn headings(text: &str) -> Vec<Heading<'_>> {
    let mut at = 0;
    let mut all = Vec::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if let Some(heading) = one(trimmed, at + line.len() - trimmed.len()) {
            all.push(heading);
        }
        at += line.len();
    }
    all
}

fn one(line: &str, at: usize) -> Option<Heading<'_>> {
    let double = line.starts_with("[[");
    let inner = line.strip_prefix(if double { "[[" } else { "[" })?;
    let name = inner.split(']').next()?.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(word)).then_some(Heading { at, double, name })
}

/// Whether a heading stands at this place.
pub(super) fn stands_at(text: &str, offset: usize) -> bool {
    let offset = offset.min(text.len());
    let start = text.get(..offset).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
    text.get(start..).is_some_and(|rest| one(rest.trim_start(), 0).is_some())
}

/// The list `[[name]]` at this place, where a single table belongs.
pub(super) fn doubled(text: &str, offset: usize) -> Option<Wrong> {
    let heading = one(text.get(offset..)?, offset).filter(|h| h.double)?;
    Some(Wrong {
        at: offset,
        what: format!("[[{}]] stands in double brackets", heading.name),
        expected: format!("expected [{}] in single brackets", heading.name),
    })
}

/// The first heading that stands where the parser can't put it together with the others.
pub(super) fn first_wrong(text: &str) -> Option<Wrong> {
    let all = headings(text);
    let integrations = all.iter().filter(|h| h.name == "integration").count();
    let (mut integration, mut check) = (false, false);
    for (n, h) in all.iter().enumerate() {
        let wrong = |what: String, expected: &str| Some(Wrong { at: h.at, what, expected: expected.into() });
        match h.name {
            "integration" if !h.double && integrations > 1 => {
                return wrong(
                    "[integration] stands in single brackets".into(),
                    "expected [[integration]] in double brackets, once for each integration",
                );
            }
            "integration" => (integration, check) = (true, false),
            name if name.starts_with("integration.") && !integration => {
                return wrong(
                    "the heading [[integration]] is missing above".into(),
                    "expected [[integration]] with its id and environment before what belongs to it",
                );
            }
            "integration.check" => {
                let others = all[n + 1..].iter().take_while(|o| o.name != "integration").any(|o| o.name == "integration.check");
                if !h.double && (check || others) {
                    return wrong(
                        "[integration.check] stands in single brackets".into(),
                        "expected [[integration.check]] in double brackets, once for each check",
                    );
                }
                check = true;
            }
            name if name.starts_with("integration.check.") && !check => {
                return wrong(
                    "the heading [[integration.check]] is missing above".into(),
                    "expected [[integration.check]] with its id before what belongs to it",
                );
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        first_wrong(text).map(|w| format!("{}: {}", text[..w.at].matches('\n').count() + 1, w.what))
    }

    #[test]
    fn the_first_wrong_heading_is_named() {
        let wrong = |text: &str, expected: &str| assert_eq!(said(text).as_deref(), Some(expected), "{text}");
        wrong("[[integration]]\n[integration.check]\n[[integration.check]]\n", "2: [integration.check] stands in single brackets");
        wrong("[[integration]]\n[[integration.check]]\n  [ integration.check ]\n", "3: [integration.check] stands in single brackets");
        wrong("[integration]\n[integration]\n", "1: [integration] stands in single brackets");
        wrong("[customer]\n[[integration.check]]\n", "2: the heading [[integration]] is missing above");
        wrong("[[integration]]\n[integration.check.http]\n", "2: the heading [[integration.check]] is missing above");
        for right in [
            "[[integration]]\n[[integration.check]]\n[integration.check.http]\n[[integration.check]]\n",
            // One of a kind may stand in single brackets.
            "[integration]\n[integration.check]\n[integration.check.http]\n",
            "x = [\n[1],\n[\n",
            "",
        ] {
            assert_eq!(said(right), None, "{right}");
        }
    }

    #[test]
    fn places_inside_and_outside_of_headings() {
        let text = "a = 1\n  [[b.c]]\nd = [[1]]\nü";
        assert!(stands_at(text, 10) && !stands_at(text, 0) && !stands_at(text, 20));
        assert!(!stands_at(text, 1000) && !stands_at(text, text.len() - 1));
        assert_eq!(doubled(text, 8).unwrap().expected, "expected [b.c] in single brackets");
        assert_eq!(doubled(text, 9), None);
        assert_eq!(doubled(text, 1000), None);
    }
}
