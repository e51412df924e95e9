//! Noise: whatever the bytes, an answer comes, bounded, and nothing of a broken document is kept.

use proptest::prelude::*;

use super::make::{AT, aggregate, entity, expected, idp, idp_role, key, pinned, signed, sp_role};
use crate::support::seeds::tried;
use soakwatch::finding::MOST_DETAIL;
use soakwatch::sso::saml::{Expected, Role, judge};

/// Pieces that make metadata, right and wrong.
const PIECES: &[&str] = &[
    "<md:EntityDescriptor ",
    "</md:EntityDescriptor>",
    "<md:IDPSSODescriptor ",
    "</md:IDPSSODescriptor>",
    "entityID=\"",
    "validUntil=\"9999-12-31T23:59:59Z\"",
    "cacheDuration=\"-P99999999999Y\"",
    "<ds:Signature>",
    "</ds:Signature>",
    "<ds:Reference URI=\"#_root\"/>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x",
    "?>",
    "\"",
    ">",
    "/>",
    "<!DOCTYPE a [",
    "&#0;",
    "&#x10FFFF;",
    "&amp;",
    "\u{0}",
    "\u{feff}",
    "xmlns:md=\"\"",
    " ID=\"_root\"",
    "<ds:X509Certificate>",
    "MIIC",
    "\u{202e}",
    "xml:id=\"_root\"",
];

fn check(bytes: &[u8]) {
    for expected in [
        expected(),
        pinned(),
        Expected { role: Role::Aggregate, ..Expected::default() },
        Expected { role: Role::Sp, ..Expected::default() },
    ] {
        let judged = judge(bytes, &expected, AT);
        assert!(judged.findings.len() < 400, "{}", judged.findings.len());
        for f in &judged.findings {
            assert!(f.detail.chars().count() <= MOST_DETAIL && !f.detail.chars().any(char::is_control), "{f:?}");
        }
        if let Some(snapshot) = judged.snapshot {
            assert!(serde_json::to_vec(&snapshot).unwrap().len() <= 64 << 10);
            assert!(
                !expected.require_signature || !judged.findings.iter().any(|f| f.id.starts_with("SAML-SIG-0") && &*f.id <= "SAML-SIG-03")
            );
        }
    }
}

proptest! {
    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        check(&bytes);
    }

    #[test]
    fn pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn changes_of_a_signed_document(at in any::<prop::sample::Index>(), cut in 0..40usize, with in proptest::sample::select(PIECES)) {
        a_change_is_noticed(at, cut, with)?;
    }
}

fn a_change_is_noticed(at: prop::sample::Index, cut: usize, with: &str) -> Result<(), TestCaseError> {
    let document = signed_once();
    let (mut from, mut to) = (at.index(document.len()), 0);
    while !document.is_char_boundary(from) {
        from -= 1;
    }
    to += (from + cut).min(document.len());
    while !document.is_char_boundary(to) {
        to -= 1;
    }
    let changed = format!("{}{with}{}", &document[..from], &document[to.max(from)..]);
    check(changed.as_bytes());
    // Nothing may be changed without anybody noticing, but what of the signature is not signed itself (white space, the key it brings).
    let judged = judge(changed.as_bytes(), &pinned(), AT);
    let signature = document.find("<ds:Signature ").unwrap()..document.find("</ds:Signature>").unwrap();
    if judged.snapshot.is_some() && changed != document {
        prop_assert!(same_text(&changed, document) || signature.contains(&from), "{changed}");
    }
    Ok(())
}

#[test]
fn committed_seeds() {
    tried(12, &proptest::collection::vec(proptest::sample::select(PIECES), 0..60), |pieces| {
        check(pieces.concat().as_bytes());
        Ok(())
    });
    let place = (any::<prop::sample::Index>(), 0..40usize, proptest::sample::select(PIECES));
    tried(8, &place, |(at, cut, with)| a_change_is_noticed(at, cut, with));
}

fn signed_once() -> &'static str {
    static DOCUMENT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| signed(&idp()));
    &DOCUMENT
}

/// Comments, references and white space inside of tags and of base64 are not signed: without them the text must be the same.
fn same_text(changed: &str, document: &str) -> bool {
    let plain = |t: &str| {
        let mut t = t.replace("\u{feff}", "").replace("xmlns:md=\"\"", "");
        while let (Some(from), Some(to)) = (t.find("<!--"), t.find("-->")) {
            if to < from {
                break;
            }
            t.replace_range(from..to + 3, "");
        }
        t.chars().filter(|c| !c.is_whitespace()).collect::<String>()
    };
    plain(changed) == plain(document)
}

#[test]
fn many_of_everything_stays_bounded() {
    let role = idp_role(&key("signing", "MIIC").repeat(2000));
    check(entity("ID=\"_root\"", &role).as_bytes());
    let one = entity("", &(idp_role(&key("", "")) + &sp_role(&key("signing", "x").repeat(3))));
    check(aggregate("ID=\"_root\"", &vec![one; 1000]).as_bytes());
}
