//! The usual mix-ups, tried out: the message is signed again with one or two things done as people do them wrong, until a signature fits.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::SecretValue;
use crate::webhook::MAX_MEMBERS;
use crate::webhook::coding::{Encoding, key_from_base64};
use crate::webhook::key::{Key, equal};
use crate::webhook::message::Request;
use crate::webhook::recipe::{Digest, Piece, Recipe, StampAt};
use crate::webhook::scheme::{IdAt, Scheme};
use crate::webhook::signed::{Part, texts};

/// Something done in another way, and how to say so. The first of each list is how the scheme does it.
type Choices<T> = Vec<(T, String)>;

/// At most so many things at once are tried.
const MAX_CHANGES: usize = 2;

/// Signatures found in the header, by how they were written.
struct Given {
    bytes: Vec<u8>,
    /// Empty where it is written as the scheme does.
    said: &'static str,
}

/// What would make it fit, in words; nothing if no mix-up does.
pub(super) fn find(scheme: &Scheme, recipe: &Recipe, secrets: &[SecretValue], request: &Request<'_>) -> Option<String> {
    let given = given(recipe, request);
    let one = |name: &str| request.headers.one(name).unwrap_or_default();
    let id = match &scheme.id {
        IdAt::Header(name) => one(name),
        _ => &[],
    };
    let stamp = match &recipe.stamp {
        StampAt::Header(name, _) => one(name),
        StampAt::InSignature => request
            .headers
            .all(&recipe.signature)
            .flat_map(|l| l.split(|b| *b == b','))
            .find_map(|m| m.strip_prefix(b"t="))
            .unwrap_or_default(),
        StampAt::Nowhere => &[],
    };
    let keys = keys(recipe, secrets);
    let (bodies, urls) = (bodies(request.body), urls(recipe, request.url));
    let (pieces, digests) = (pieces(recipe, id, stamp), digests(recipe));
    let sizes = [keys.len(), bodies.len(), urls.len(), pieces.len(), digests.len()];
    for choice in choices(&sizes) {
        let [k, b, u, p, d] = choice;
        let (Some(key), Some(body), Some(url), Some(pieces), Some(digest)) =
            (keys.get(k), bodies.get(b), urls.get(u), pieces.get(p), digests.get(d))
        else {
            continue;
        };
        let tried = Recipe { pieces: Cow::Borrowed(&[]), digest: digest.0, ..recipe.clone() };
        let tried = Recipe { pieces: Cow::Owned(pieces.0.clone()), ..tried };
        let request = Request { url: &url.0, body: &body.0, ..*request };
        let fitting = texts(&tried, &request, id, stamp).iter().find_map(|text| fits(&key.0, digest.0, text, &given));
        if let Some(found) = fitting {
            let said = [found.said, &key.1, &body.1, &url.1, &pieces.1, &digest.1];
            let said: Vec<&str> = said.into_iter().filter(|s| !s.is_empty()).collect();
            return (!said.is_empty()).then(|| format!("it fits if {}", said.join(", and ")));
        }
    }
    None
}

fn fits<'g>(key: &Key, digest: Digest, text: &[Part<'_>], given: &'g [Given]) -> Option<&'g Given> {
    match key.tag(digest, text.iter().map(Part::bytes)) {
        Some(tag) => given.iter().find(|g| equal(&g.bytes, &tag)),
        None => {
            let joined = text.iter().filter_map(Part::bytes).collect::<Vec<_>>().concat();
            given.iter().find(|g| key.signed(&joined, &g.bytes))
        }
    }
}

/// Which of each list to take: first everything as the scheme does it, then one thing in another way, then two.
fn choices<const N: usize>(sizes: &[usize; N]) -> Vec<[usize; N]> {
    let mut all = vec![[0; N]];
    let mut from = 0;
    for _ in 0..MAX_CHANGES {
        let to = all.len();
        for at in from..to {
            let base = all[at];
            let first = base.iter().rposition(|n| *n > 0).map_or(0, |n| n + 1);
            for which in first..N {
                for n in 1..sizes[which] {
                    let mut next = base;
                    next[which] = n;
                    all.push(next);
                }
            }
        }
        from = to;
    }
    all
}

/// Everything in the header that may be a signature.
fn given(recipe: &Recipe, request: &Request<'_>) -> Vec<Given> {
    let mut texts: Vec<&[u8]> = Vec::new();
    for line in request.headers.all(&recipe.signature) {
        let parts = line.split(|b| b", ".contains(b)).filter(|p| !p.is_empty());
        for part in std::iter::once(line).chain(parts) {
            let value = part.iter().position(|b| *b == b'=').and_then(|n| part.get(n + 1..)).filter(|v| !v.is_empty());
            texts.extend(std::iter::once(part).chain(value));
        }
    }
    texts.truncate(MAX_MEMBERS);
    let mut found = Vec::new();
    for text in texts {
        let other = |e: Encoding, said| if recipe.encoding == e { "" } else { said };
        let hex = Encoding::Hex.decode(text).map(|b| (b, other(Encoding::Hex, "the signature is read as hex (the scheme's is base64)")));
        let base64 =
            Encoding::Base64.decode(text).map(|b| (b, other(Encoding::Base64, "the signature is read as base64 (the scheme's is hex)")));
        let url_safe = URL_SAFE_NO_PAD.decode(text).ok().map(|b| (b, "the signature is read as URL-safe base64 without padding"));
        found.extend([hex, base64, url_safe].into_iter().flatten().map(|(bytes, said)| Given { bytes, said }));
    }
    found
}

fn keys(recipe: &Recipe, secrets: &[SecretValue]) -> Choices<Key> {
    let mut as_is = Vec::new();
    let mut others = Vec::new();
    for (n, secret) in secrets.iter().take(MAX_MEMBERS).enumerate() {
        let own = Key::read(recipe.key, secret);
        as_is.extend(own.ok().map(|k| (k, if n == 0 { String::new() } else { format!("it is secret {}", n + 1) })));
        let text = secret.expose();
        let trimmed = text.trim();
        let bare = trimmed.strip_prefix("whsec_").unwrap_or(trimmed);
        let ways = [
            (Some(text.as_bytes().to_vec()), "the secret's text is the key (the scheme decodes it as base64)"),
            (Some(trimmed.as_bytes().to_vec()), "the secret is taken without the white space around it"),
            (Some(bare.as_bytes().to_vec()), "the secret's text without its whsec_ is the key"),
            (key_from_base64(bare), "the secret is decoded as base64, without its whsec_ (the scheme's key is its text)"),
            (Encoding::Hex.decode(bare.as_bytes()), "the secret is decoded as hex"),
            (Some(format!("{trimmed}\n").into_bytes()), "a line break stands behind the secret"),
        ];
        for (bytes, said) in ways {
            others.extend(bytes.filter(|b| !b.is_empty()).map(|b| (Key::Shared(b), said.to_owned())));
        }
    }
    as_is.extend(others);
    as_is
}

fn bodies(body: &[u8]) -> Choices<Cow<'_, [u8]>> {
    let mut all = vec![(Cow::Borrowed(body), String::new())];
    let mut add = |changed: Vec<u8>, said: &str| {
        if changed != body {
            all.push((Cow::Owned(changed), said.to_owned()));
        }
    };
    let end = body.iter().rposition(|b| !b"\r\n".contains(b)).map_or(0, |n| n + 1);
    add(body.get(..end).unwrap_or_default().to_vec(), "the body is taken without the line break at its end");
    add([body, b"\n"].concat(), "a line break stands at the end of the body");
    add(body.iter().copied().filter(|b| *b != b'\r').collect(), "the body's line breaks are LF");
    let crlf = body.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)).collect::<Vec<_>>().join(&b"\r\n"[..]);
    add(crlf, "the body's line breaks are CRLF");
    add(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(), "the body is taken without its byte order mark");
    if matches!(body.trim_ascii().first(), Some(b'{' | b'[')) {
        add(respaced(body, ""), "the JSON is written without spaces: it was parsed and written again");
        add(respaced(body, " "), "the JSON is written with spaces after commas and colons: it was parsed and written again");
    }
    add(Vec::new(), "the body is empty");
    all
}

/// JSON with another white space between its parts.
fn respaced(body: &[u8], space: &str) -> Vec<u8> {
    let (mut out, mut quoted, mut escaped) = (Vec::with_capacity(body.len()), false, false);
    for b in body {
        if quoted {
            out.push(*b);
            quoted = escaped || *b != b'"';
            escaped = !escaped && *b == b'\\';
            continue;
        }
        if b" \t\r\n".contains(b) {
            continue;
        }
        quoted = *b == b'"';
        out.push(*b);
        if b",:".contains(b) {
            out.extend_from_slice(space.as_bytes());
        }
    }
    out
}

fn urls<'u>(recipe: &Recipe, url: &'u str) -> Choices<Cow<'u, str>> {
    let mut all = vec![(Cow::Borrowed(url), String::new())];
    if ![Piece::Url, Piece::HubspotUrl, Piece::TwilioUrl].iter().any(|p| recipe.signs(p)) {
        return all;
    }
    let mut add = |changed: Option<String>, said: &str| all.extend(changed.filter(|c| c != url).map(|c| (Cow::Owned(c), said.to_owned())));
    add(url.strip_prefix("http://").map(|rest| format!("https://{rest}")), "the address begins with https");
    add(url.strip_prefix("https://").map(|rest| format!("http://{rest}")), "the address begins with http");
    let (path, query) = url.split_once('?').map_or((url, None), |(p, q)| (p, Some(q)));
    let behind = query.map(|q| format!("?{q}")).unwrap_or_default();
    add(Some(path.to_owned()), "the address is taken without its query");
    add(Some(format!("{path}/{behind}")), "a slash stands at the end of the path");
    add(path.strip_suffix('/').map(|p| format!("{p}{behind}")), "the path is taken without the slash at its end");
    let path_only = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|n| rest.get(n..)));
    add(path_only.map(str::to_owned), "only path and query of the address are signed");
    all
}

fn pieces(recipe: &Recipe, id: &[u8], stamp: &[u8]) -> Choices<Vec<Piece>> {
    let text = |t: &'static str| Piece::Literal(Cow::Borrowed(t));
    let mut all = vec![(recipe.pieces.to_vec(), String::new())];
    let others = [
        (vec![Piece::Body], "only the body is signed"),
        (vec![Piece::Timestamp, text("."), Piece::Body], "timestamp, a point and body are signed"),
        (vec![Piece::Timestamp, Piece::Body], "timestamp and body are signed with nothing between them"),
        (vec![text("v0:"), Piece::Timestamp, text(":"), Piece::Body], "v0, timestamp and body are signed with colons between them"),
        (
            vec![Piece::Id, text("."), Piece::Timestamp, text("."), Piece::Body],
            "id, timestamp and body are signed with points between them",
        ),
        (vec![Piece::Id, Piece::Timestamp, Piece::Body], "id, timestamp and body are signed with nothing between them"),
        (vec![Piece::Url, Piece::Body], "address and body are signed"),
    ];
    for (tried, said) in others {
        let known = (!tried.contains(&Piece::Id) || !id.is_empty()) && (!tried.contains(&Piece::Timestamp) || !stamp.is_empty());
        if known && tried != *recipe.pieces {
            all.push((tried, said.to_owned()));
        }
    }
    all
}

fn digests(recipe: &Recipe) -> Choices<Digest> {
    let others =
        [(Digest::HmacSha256, "it is HMAC-SHA256"), (Digest::HmacSha1, "it is HMAC-SHA1"), (Digest::HmacSha512, "it is HMAC-SHA512")];
    let others = others.into_iter().filter(|(d, _)| *d != recipe.digest).map(|(d, said)| (d, said.to_owned()));
    std::iter::once((recipe.digest, String::new())).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_with_another_white_space() {
        let body = br#" {"a b" : "c, \" :\\" , "d":[1, 2]} "#;
        assert_eq!(respaced(body, ""), br#"{"a b":"c, \" :\\","d":[1,2]}"#);
        assert_eq!(respaced(body, " "), br#"{"a b": "c, \" :\\", "d": [1, 2]}"#);
    }

    #[test]
    fn at_most_two_changes_the_fewest_first() {
        let all = choices(&[3, 2, 2]);
        assert_eq!(all[0], [0, 0, 0]);
        assert_eq!(all.len(), 1 + (2 + 1 + 1) + (2 + 2 + 1));
        assert!(all[1..5].iter().all(|c| c.iter().filter(|n| **n > 0).count() == 1));
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
    }
}
