//! Identifiers (issuer, entityID) are compared byte for byte. What differs is named, because the usual cause is one small thing.

/// How two identifiers that are not equal differ, in words: "only by a slash at the end". Nothing when no small thing explains it.
pub fn difference(configured: &str, found: &str) -> Option<&'static str> {
    if configured == found {
        return None;
    }
    let slash = |t: &str| t.strip_suffix('/').unwrap_or(t).to_owned();
    let fold = str::to_lowercase;
    let scheme = |t: &str| t.split_once("://").map_or_else(|| t.to_owned(), |(_, rest)| rest.to_owned());
    let space = |t: &str| t.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    type Same<'a> = (&'static str, &'a dyn Fn(&str) -> String);
    let all: [Same<'_>; 5] = [
        ("only by white space", &space),
        ("only by a slash at the end", &slash),
        ("only by upper and lower case", &fold),
        ("only by the scheme", &scheme),
        ("only by the port", &without_port),
    ];
    all.into_iter().find(|(_, same)| same(configured) == same(found)).map(|(words, _)| words)
}

/// The text without the port of its authority.
fn without_port(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_thing_is_named() {
        for (configured, found, words) in [
            ("https://a/", "https://a", Some("only by a slash at the end")),
            ("https://a", "https://a/", Some("only by a slash at the end")),
            ("https://a/B", "https://a/b", Some("only by upper and lower case")),
            ("https://a", "http://a", Some("only by the scheme")),
            ("https://accounts.google.com", "accounts.google.com", Some("only by the scheme")),
            ("https://a:9031/x", "https://a/x", Some("only by the port")),
            ("https://[::1]:9031", "https://[::1]", Some("only by the port")),
            ("https://a", " https://a", Some("only by white space")),
            ("https://a", "https://b", None),
            ("https://a//", "https://a", None),
            ("https://a", "https://a", None),
        ] {
            assert_eq!(difference(configured, found), words, "{configured} {found}");
        }
    }
}
