//! From bytes to a tree of XML, guarded: size of markup, encoding, no document type, depth, and no ID twice. Knows no metadata beyond that.

use std::borrow::Cow;
use std::collections::HashSet;

use uppsala::{Document, NodeId, NodeKind, Parser, XmlError};

/// The namespace of SAML 2.0 metadata.
pub(super) const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// The namespace of XML signatures.
pub(super) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Elements may lie so deep. Metadata needs about ten.
const MAX_DEPTH: u32 = 64;
/// `<` and `=` in a document: about so many nodes and attributes are made of it, 300 bytes each. A small document may be dense; a large one has
/// one in 40 to 100 bytes, because most of it is certificates.
const MOST_MARKS: usize = 60_000;
const LEAST_BYTES_OF_A_MARK: usize = 32;
/// Attributes and namespaces of one element: each may be compared with each, and each name be looked for in all those above it.
const MAX_ATTRIBUTES: usize = 64;

/// Why there is no tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not well formed, or over a limit; with what was wrong and where.
    Malformed(String),
    /// It has a document type.
    Doctype,
}

/// The text of a document, by its byte order mark or what it declares: UTF-8, UTF-16, ISO 8859-1 or US-ASCII.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Refused> {
    let malformed = |why: &str| Refused::Malformed(why.to_owned());
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(malformed("UTF-16 with an odd number of bytes"));
        }
        let units = pairs.map(|p| unit([p[0], p[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map(Cow::Owned)
            .map_err(|_| malformed("not UTF-16, as its first bytes say"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match declared(rest).map(|e| e.to_ascii_lowercase()).as_deref() {
        None | Some("utf-8" | "utf8") => {}
        // The same characters as the first 256 of Unicode.
        Some("iso-8859-1" | "latin1") if rest.len() == bytes.len() => return Ok(Cow::Owned(rest.iter().map(|b| char::from(*b)).collect())),
        Some("us-ascii" | "ascii") if rest.is_ascii() => {}
        Some(other) => {
            return Err(Refused::Malformed(format!("declared as {other}, and it is not that or not read here; wanted is UTF-8")));
        }
    }
    std::str::from_utf8(rest).map(Cow::Borrowed).map_err(|e| Refused::Malformed(format!("not UTF-8 at byte {}", e.valid_up_to())))
}

/// The encoding an XML declaration names.
fn declared(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(200)];
    let head = head.strip_prefix(b"<?xml")?;
    let end = head.windows(2).position(|w| w == b"?>")?;
    let head = std::str::from_utf8(&head[..end]).ok()?;
    let after = head.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split(quote).next()
}

/// Parses a text, and nothing outside of it.
pub(super) fn parse(text: &str) -> Result<Document<'_>, Refused> {
    bounded_markup(text, MOST_MARKS.max(text.len() / LEAST_BYTES_OF_A_MARK))?;
    let parser = Parser::new().with_forbid_dtd(true).with_forbid_entities(true).with_max_depth(MAX_DEPTH).with_max_entity_expansion(0);
    parser.parse(text).map_err(|e| {
        let said = match &e {
            XmlError::WellFormedness(w) => format!("line {}, column {}: {}", w.line, w.column, w.message),
            XmlError::Namespace(n) => format!("line {}, column {}: {}", n.line, n.column, n.message),
            XmlError::Parse(p) => format!("line {}, column {}: {}", p.line, p.column, p.message),
            other => other.to_string(),
        };
        // The parser's word for it; a test holds it.
        if said.contains("forbid_dtd") { Refused::Doctype } else { Refused::Malformed(said) }
    })
}

/// Refuses markup that would make a far larger tree than its bytes, or one of which every attribute is compared with every other.
fn bounded_markup(text: &str, most: usize) -> Result<(), Refused> {
    let (mut marks, mut attributes) = (0usize, 0usize);
    let mut in_tag = false;
    let mut quote = None;
    let bytes = text.as_bytes();
    for (n, b) in bytes.iter().enumerate() {
        match *b {
            // No attribute's value may hold one, so a tag begins here whatever the quotes before it say.
            b'<' => {
                (marks, attributes, quote) = (marks + 1, 0, None);
                in_tag = !matches!(bytes.get(n + 1), Some(b'!' | b'?'));
            }
            b'=' => {
                marks += 1;
                attributes += usize::from(in_tag && quote.is_none());
            }
            b'>' if quote.is_none() => in_tag = false,
            q @ (b'"' | b'\'') if in_tag => match quote {
                None => quote = Some(q),
                Some(open) if open == q => quote = None,
                Some(_) => {}
            },
            _ => continue,
        }
        if attributes > MAX_ATTRIBUTES {
            return Err(Refused::Malformed(format!("an element with more than {MAX_ATTRIBUTES} attributes")));
        }
        if marks > most {
            return Err(Refused::Malformed(format!("more than {most} elements and attributes")));
        }
    }
    Ok(())
}

/// An attribute in no namespace.
pub(super) fn attribute<'d>(doc: &'d Document<'_>, node: NodeId, name: &str) -> Option<&'d str> {
    let element = doc.element(node)?;
    element.attributes.iter().find(|a| a.name.local_name == name && in_none(a.name.namespace_uri.as_deref())).map(|a| &*a.value)
}

fn in_none(namespace: Option<&str>) -> bool {
    namespace.is_none_or(str::is_empty)
}

/// What an element is called: namespace (empty for none) and local name.
pub(super) fn name<'d>(doc: &'d Document<'_>, node: NodeId) -> (&'d str, &'d str) {
    doc.element(node).map_or(("", ""), |e| (e.name.namespace_uri.as_deref().unwrap_or(""), &*e.name.local_name))
}

/// The elements right below one.
pub(super) fn elements<'d>(doc: &'d Document<'_>, node: NodeId) -> impl Iterator<Item = NodeId> + 'd {
    doc.children_iter(node).filter(|n| doc.element(*n).is_some())
}

/// The elements of this name right below one.
pub(super) fn named<'d>(doc: &'d Document<'_>, node: NodeId, namespace: &'d str, local: &'d str) -> impl Iterator<Item = NodeId> + 'd {
    elements(doc, node).filter(move |n| name(doc, *n) == (namespace, local))
}

/// The text right inside an element, comments and child elements left out.
pub(super) fn text(doc: &Document<'_>, node: NodeId) -> String {
    doc.children_iter(node).filter_map(|n| doc.text_content(n)).collect()
}

/// An ID that stands twice. What a signature's reference may be resolved by counts whenever the document holds a signature.
pub(super) fn duplicate_id<'d>(doc: &'d Document<'_>, signed: bool) -> Option<&'d str> {
    let mut seen = HashSet::new();
    for node in doc.descendants(doc.root()) {
        let Some(NodeKind::Element(element)) = doc.node_kind(node) else { continue };
        for attribute in &element.attributes {
            let namespace = attribute.name.namespace_uri.as_deref();
            let is_id = match &*attribute.name.local_name {
                "ID" | "Id" => signed || in_none(namespace),
                "id" => signed || namespace == Some(XML),
                "AssertionID" => signed,
                _ => false,
            };
            if is_id && !seen.insert(&*attribute.value) {
                return Some(&attribute.value);
            }
        }
    }
    None
}

/// Every signature, in the order of the document.
pub(super) fn signatures(doc: &Document<'_>) -> Vec<NodeId> {
    doc.descendants(doc.root()).into_iter().filter(|n| name(doc, *n) == (DS, "Signature")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let utf16 =
            |text: &str, mark: [u8; 2], unit: fn(u16) -> [u8; 2]| [mark.to_vec(), text.encode_utf16().flat_map(unit).collect()].concat();
        assert_eq!(decode(b"\xef\xbb\xbf<a/>").unwrap(), "<a/>");
        assert_eq!(decode(&utf16("<a>\u{e9}</a>", [0xff, 0xfe], u16::to_le_bytes)).unwrap(), "<a>\u{e9}</a>");
        assert_eq!(decode(&utf16("<a/>", [0xfe, 0xff], u16::to_be_bytes)).unwrap(), "<a/>");
        assert_eq!(
            decode(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>").unwrap(),
            "<?xml version='1.0' encoding='ISO-8859-1'?><a>\u{e9}</a>"
        );
        for wrong in [
            &b"<a>\xe9</a>"[..],
            b"\xff\xfea",
            b"<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>",
            b"<?xml version=\"1.0\" encoding=\"us-ascii\"?>\xc3\xa9",
            b"\xff\xfe\x00\xd8",
        ] {
            assert!(matches!(decode(wrong), Err(Refused::Malformed(_))), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_parsed() {
        let malformed = |text: &str| matches!(parse(text).err(), Some(Refused::Malformed(_)));
        assert_eq!(parse("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>").err(), Some(Refused::Doctype));
        assert_eq!(parse("<?xml version='1.0'?>\n<!DOCTYPE a><a/>").err(), Some(Refused::Doctype));
        for text in
            ["", "<a>", "<p:a/>", "<a b='1' b='2'/>", "<a>&b;</a>", "<!-- c --><?xml version='1.0'?><a/>", "<a x='?a=1&b=2'/>", "<a/><b/>"]
        {
            assert!(malformed(text), "{text}");
        }
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(parse(&nested(60)).is_ok() && malformed(&nested(65)));
        let with = |n: usize| format!("<a{}>{}</a>", (0..n).map(|n| format!(" a{n}='>\"'")).collect::<String>(), "=".repeat(100));
        assert!(parse(&with(64)).is_ok() && malformed(&with(65)));
        assert!(malformed(&format!("<b><!-- \" -->{}</b>", with(65))));
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_MARKS));
        assert!(malformed(&many));
        let padded = many.replacen("<b/>", &format!("<b>{}</b>", "x".repeat(MOST_MARKS * LEAST_BYTES_OF_A_MARK)), 1);
        assert!(parse(&padded).is_ok());
    }

    #[test]
    fn ids() {
        let twice = |text: &str, signed| duplicate_id(&parse(text).unwrap(), signed).map(str::to_owned);
        assert_eq!(twice("<a ID='1'><b ID='2'/></a>", true), None);
        assert_eq!(twice("<a ID='1'><b Id='1'/></a>", false).as_deref(), Some("1"));
        assert_eq!(twice("<a id='1'><b id='1'/></a>", false), None);
        assert_eq!(twice("<a id='1'><b id='1'/></a>", true).as_deref(), Some("1"));
        assert_eq!(twice("<a xml:id='1'><b ID='1'/></a>", false).as_deref(), Some("1"));
        assert_eq!(twice("<a ID='1' xmlns:x='urn:x'><b x:ID='1'/></a>", true).as_deref(), Some("1"));
    }
}
