//! The signature of a document: what its form may be, and what it says when it is checked against the keys that are pinned.
//!
//! Form first, cryptography last: nothing is computed over a form that is not on the lists here. The cryptography stands behind [`Check`].

use uppsala::{Document, NodeId, NodeKind};

use super::certificate::{Certificate, PublicKey};
use super::document::{DS, attribute, elements, name, named, signatures, text};
use super::found::Found;
use crate::finding::{Level, saml as rule};

/// What the cryptography says of the first signature of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Digest and value verify under one of the keys. What the reference resolved to: none for an empty URI, which means the whole document.
    Valid { signature: NodeId, target: Option<NodeId> },
    /// What was signed is not what is there.
    DigestDiffers,
    /// None of the keys made this signature.
    ValueDiffers,
    /// The digest is right; an algorithm or every key is one the library refuses.
    Unsupported,
    /// The library could not make sense of it.
    Refused(String),
}

/// Checks the first signature of a document, already parsed from `source`, with these keys and no other.
pub(super) trait Check {
    fn check(&self, doc: &Document<'_>, source: &str, keys: &[&PublicKey]) -> Checked;
}

/// Characters of a `PrefixList`: every element that is canonicalised is held against each prefix.
const MOST_PREFIXES: usize = 512;
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Canonical forms that are computed; only the exclusive one without comments is as it should be.
const CANONICAL: [&str; 6] = [
    EXCLUSIVE,
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2006/12/xml-c14n11#WithComments",
];
/// Signature algorithms that are checked, and whether they are too weak.
const SIGNATURES: [(&str, bool); 12] = [
    ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", true),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha224", true),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", false),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", false),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", false),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1", true),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", false),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", false),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", false),
    ("http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", false),
    ("http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1", false),
    ("http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", false),
];
const DIGESTS: [(&str, bool); 4] = [
    ("http://www.w3.org/2000/09/xmldsig#sha1", true),
    ("http://www.w3.org/2001/04/xmlenc#sha256", false),
    ("http://www.w3.org/2001/04/xmldsig-more#sha384", false),
    ("http://www.w3.org/2001/04/xmlenc#sha512", false),
];

/// What is demanded of a document's signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand<'a> {
    pub required: bool,
    pub pins: &'a [PublicKey],
}

/// Judges the signature of a document of which every ID is unique. True if it may be relied on as far as was demanded.
pub(super) fn judge(doc: &Document<'_>, source: &str, root: NodeId, demand: Demand<'_>, check: &dyn Check, found: &mut Found<'_>) -> bool {
    let all = signatures(doc);
    let Some(first) = all.first() else {
        if demand.required {
            found.add(rule::SIG_01.found("the document element has no signature"));
        }
        return !demand.required;
    };
    let mut own = named(doc, root, DS, "Signature");
    let wrapped = match (own.next(), own.next()) {
        (None, _) => Some("the signature is not a child of the document element"),
        (Some(_), Some(_)) => Some("the document element has more than one signature"),
        (Some(one), None) if one != *first => Some("another signature stands before the one of the document element"),
        (Some(_), None) => None,
    };
    if let Some(wrapped) = wrapped {
        found.add(rule::SIG_03.found(wrapped));
        return false;
    }
    let Some(form) = form(doc, root, *first, found) else { return false };
    let weak_algorithm = match algorithms(&form) {
        Ok(weak) => weak,
        Err(unknown) => {
            found.add(rule::SIG_05.found(unknown));
            return false;
        }
    };
    let verdict = cryptography(doc, source, (root, *first, form.whole_document), demand, check, found);
    let weak: Vec<String> = weak_algorithm.into_iter().chain(verdict.weak_key).collect();
    if !weak.is_empty() {
        found.add(rule::SIG_05.found(format!("signed with {}", weak.join(", "))));
    }
    verdict.trusted
}

/// The parts of a signature whose form may be computed.
struct Form<'d> {
    whole_document: bool,
    signature_method: &'d str,
    digest_method: &'d str,
}

/// Holds the form against what SAML allows. Without an answer nothing may be computed over it.
fn form<'d>(doc: &'d Document<'_>, root: NodeId, signature: NodeId, found: &mut Found<'_>) -> Option<Form<'d>> {
    let mut refuse = |why: &str| {
        found.add(rule::SIG_04.found(why));
        None
    };
    let only = |node: NodeId, local: &'static str| {
        let mut all = named(doc, node, DS, local);
        all.next().filter(|_| all.next().is_none())
    };
    if elements(doc, signature).any(|n| !matches!(name(doc, n), (DS, "SignedInfo" | "SignatureValue" | "KeyInfo"))) {
        return refuse("the signature holds something else than SignedInfo, SignatureValue and KeyInfo, such as ds:Object");
    }
    let (Some(info), Some(value)) = (only(signature, "SignedInfo"), only(signature, "SignatureValue")) else {
        return refuse("the signature has not exactly one SignedInfo and one SignatureValue");
    };
    if !plain(doc, info) || !plain(doc, value) {
        return refuse("comments, processing instructions or foreign attributes inside of what is signed");
    }
    if doc.descendants(info).into_iter().any(|n| attribute(doc, n, "PrefixList").is_some_and(|list| list.len() > MOST_PREFIXES)) {
        return refuse("a list of prefixes that is longer than any in use");
    }
    let Some(reference) = only(info, "Reference") else { return refuse("the signature has not exactly one Reference") };
    let (Some(canonical), Some(method), Some(digest)) =
        (only(info, "CanonicalizationMethod"), only(info, "SignatureMethod"), only(reference, "DigestMethod"))
    else {
        return refuse("the signature does not name its canonical form, its method and its digest once each");
    };
    if only(reference, "DigestValue").is_none() {
        return refuse("the reference has not exactly one DigestValue");
    }
    let algorithm = |node| attribute(doc, node, "Algorithm").unwrap_or("");
    if !CANONICAL.contains(&algorithm(canonical)) {
        return refuse("the signature's own canonical form is not one that is computed");
    }
    let transforms: Vec<&str> = match (only(reference, "Transforms"), named(doc, reference, DS, "Transforms").count()) {
        (Some(list), _) if elements(doc, list).all(|n| name(doc, n) == (DS, "Transform")) => elements(doc, list).map(algorithm).collect(),
        (None, 0) => Vec::new(),
        _ => return refuse("the list of transforms holds something else"),
    };
    // Only forms that can't select anything are computed: an XPath or XSLT is never run.
    let computed = match transforms[..] {
        [] | [ENVELOPED] => true,
        [one] | [ENVELOPED, one] => CANONICAL.contains(&one),
        _ => false,
    };
    if !computed {
        return refuse("transforms other than the enveloped and the exclusive C14N transform, or in another order");
    }
    let uri = attribute(doc, reference, "URI");
    if uri.is_some_and(|u| u.starts_with("#xpointer(")) {
        return refuse("the reference is an XPointer, not an ID");
    }
    let own_id = attribute(doc, root, "ID").filter(|id| !id.is_empty());
    let whole_document = match uri {
        Some("") => true,
        Some(uri) if uri.strip_prefix('#').is_some_and(|u| Some(u) == own_id) => false,
        other => {
            found.add(rule::SIG_03.found(if other.is_some() {
                "the reference is not to the document element"
            } else {
                "the reference has no URI"
            }));
            return None;
        }
    };
    let others = transforms.iter().filter(|t| ![ENVELOPED, EXCLUSIVE].contains(t)).count();
    if others > 0 {
        let empty = if whole_document { ", and the reference's URI is empty" } else { "" };
        found.add(rule::SIG_04.found(format!("a transform that keeps comments or is not the exclusive C14N{empty}")));
    } else if whole_document {
        found.add(rule::SIG_04.found("the reference's URI is empty instead of the ID of the document element").at(Level::Warn));
    }
    Some(Form { whole_document, signature_method: algorithm(method), digest_method: algorithm(digest) })
}

/// Whether it and all in it are plain: what one reader takes for a value is what any other takes. (The library reads an element's first text, the
/// canonical form leaves comments out, and attributes are found by their local name.)
fn plain(doc: &Document<'_>, node: NodeId) -> bool {
    doc.descendants(node).into_iter().chain([node]).all(|n| match doc.node_kind(n) {
        Some(NodeKind::Element(e)) => e.attributes.iter().all(|a| a.name.namespace_uri.as_deref().is_none_or(str::is_empty)),
        Some(NodeKind::Text(_)) => true,
        _ => false,
    })
}

/// What of the algorithms is too weak; or that they are none that are checked.
fn algorithms(form: &Form<'_>) -> Result<Vec<String>, String> {
    let weak = |list: &[(&str, bool)], what: &str, uri: &str| {
        let short = uri.rsplit(['#', '/']).next().unwrap_or("");
        match list.iter().find(|(u, _)| *u == uri) {
            Some((_, true)) => Ok(Some(short.to_owned())),
            Some((_, false)) => Ok(None),
            None => Err(format!("{what} {short:?} is not one that is accepted")),
        }
    };
    let signature = weak(&SIGNATURES, "signature method", form.signature_method)?;
    let digest = weak(&DIGESTS, "digest method", form.digest_method)?.map(|d| format!("digest {d}"));
    Ok(signature.into_iter().chain(digest).collect())
}

#[derive(Default)]
struct Verdict {
    trusted: bool,
    weak_key: Option<String>,
}

fn cryptography(
    doc: &Document<'_>,
    source: &str,
    (root, signature, whole_document): (NodeId, NodeId, bool),
    demand: Demand<'_>,
    check: &dyn Check,
    found: &mut Found<'_>,
) -> Verdict {
    let embedded = embedded(doc, signature);
    let pinned: Vec<&PublicKey> = demand.pins.iter().collect();
    let brought: Vec<&PublicKey> = embedded.iter().filter(|k| !demand.pins.iter().any(|p| p.id == k.id)).collect();
    let keys = if pinned.is_empty() { &brought } else { &pinned };
    let weakness = || keys.iter().map(|k| k.weakness()).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next());
    if keys.is_empty() {
        let level = if demand.required { Level::Fail } else { Level::Info };
        found.add(rule::SIG_06.found("no key is pinned, and the signature brings none").at(level));
        return Verdict { trusted: !demand.required, weak_key: None };
    }
    let none = Verdict::default();
    match check.check(doc, source, keys) {
        Checked::Valid { signature: s, target } if s == signature && target.map_or(whole_document, |t| t == root) => {
            if pinned.is_empty() {
                let level = if demand.required { Level::Fail } else { Level::Info };
                found.add(rule::SIG_06.found("it verifies under the key it brings, and no key is pinned").at(level));
                return Verdict { trusted: !demand.required, weak_key: None };
            }
            Verdict { trusted: true, weak_key: None }
        }
        Checked::Valid { .. } => {
            found.add(rule::SIG_03.found("what the reference resolves to is not the document element"));
            none
        }
        Checked::DigestDiffers => {
            found.add(rule::SIG_02.found("the digest is not that of the document: it was changed after it was signed"));
            Verdict { trusted: false, weak_key: weakness() }
        }
        Checked::ValueDiffers => {
            let by_another =
                !pinned.is_empty() && !brought.is_empty() && matches!(check.check(doc, source, &brought), Checked::Valid { .. });
            if by_another {
                found.add(rule::SIG_06.found("it verifies under the key it brings, which is none of those pinned"));
            } else if pinned.is_empty() {
                found.add(rule::SIG_02.found("the signature's value does not verify under the key it brings"));
            } else {
                found.add(rule::SIG_02.found(format!("the signature's value verifies under none of the {} keys pinned", pinned.len())));
            }
            none
        }
        Checked::Unsupported => {
            Verdict { trusted: false, weak_key: Some(weakness().unwrap_or_else(|| "a key or method that is not checked here".into())) }
        }
        Checked::Refused(why) => {
            found.add(rule::SIG_02.found(format!("the signature could not be checked: {why}")));
            none
        }
    }
}

/// The keys a signature brings itself, a few of them: never trusted, only good for saying what went wrong.
fn embedded(doc: &Document<'_>, signature: NodeId) -> Vec<PublicKey> {
    let data = named(doc, signature, DS, "KeyInfo").flat_map(|k| named(doc, k, DS, "X509Data"));
    let certificates = data.flat_map(|d| named(doc, d, DS, "X509Certificate"));
    certificates.take(4).filter_map(|c| Some(Certificate::from_text(&text(doc, c)).ok()?.key)).collect()
}
