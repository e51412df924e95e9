//! Reads `[integration.check.saml]`: every key, every problem at once.

use std::path::PathBuf;

use super::{SamlCheck, Source};
use crate::config::table::Table;
use crate::fields::{Bytes as Size, HttpUrl};
use crate::sso::saml::{MOST_BYTES, MOST_BYTES_AGGREGATE, Peer, Role, ValidityPolicy};

/// Characters of an entityID (SAML V2.0 Metadata, 2.2.1).
const MOST_OF_AN_ID: usize = 1024;
/// The least a limit may be.
const MIN_SIZE: Size = Size(1 << 10);
/// Ten years.
const MOST_DAYS: u32 = 3650;
/// Files of pinned certificates.
const MOST_PINS: usize = 16;
/// NameID formats of the other side.
const MOST_FORMATS: usize = 20;

impl SamlCheck {
    /// Reads the kind's table. `None` after a problem that leaves no check to speak of.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let source = read_source(&mut t);
        let ca = t.opt::<PathBuf>("ca").map(|p| t.source().dir.join(p));
        let entity_id = t.text("entity_id", MOST_OF_AN_ID);
        let role = t.word("role", &[("idp", Role::Idp), ("sp", Role::Sp), ("aggregate", Role::Aggregate)]).unwrap_or_default();
        let (require_signature, pins) =
            t.table_like("signature", "{ require = true, pins = [\"signer.pem\"] }").map(read_signature).unwrap_or_default();
        let warn_days = t.between("warn_days", 0, MOST_DAYS).unwrap_or(30);
        let validity = t.table_like("validity", "{ min_days = 5, max_days = 28 }").map(read_validity);
        let peer = t.table_like("peer", "{ encrypts = true }").map(read_peer).unwrap_or_default();
        let endpoints = t.or("endpoints", role != Role::Aggregate);
        let max_size = t.between("max_size", MIN_SIZE, Size(MOST_BYTES_AGGREGATE));
        if role != Role::Aggregate && t.has("max_size") {
            t.problem(
                "max_size",
                "is for aggregates: a document of one entity has at most 5MiB",
                "expected role = \"aggregate\", or no max_size",
            );
        }
        if role == Role::Aggregate && endpoints {
            let what = "would ask the endpoints of a whole federation";
            t.problem("endpoints", what, "expected role = \"idp\" or \"sp\", or no endpoints");
        }
        if t.has("ca") && matches!(&source, Some(Source::File(_))) && !endpoints {
            let what = "is never used: nobody is asked";
            t.problem("ca", what, "expected a url, or endpoints = true, or no ca");
        }
        t.finish();
        Some(Self {
            source: source?,
            ca,
            entity_id,
            role,
            require_signature,
            pins,
            warn_days,
            validity,
            peer,
            endpoints,
            max_size: max_size.unwrap_or(Size(MOST_BYTES)),
        })
    }
}

fn read_source(t: &mut Table<'_>) -> Option<Source> {
    let url = t.opt::<HttpUrl>("url");
    let file = t.opt::<PathBuf>("file").map(|p| t.source().dir.join(p));
    match (t.has("url"), t.has("file")) {
        (true, true) => t.problem("file", "stands beside url", "expected one of them"),
        (false, false) if t.lacks("url") => t.missing("url", "url = \"https://idp.example.com/metadata\", or file = \"metadata.xml\""),
        _ => {}
    }
    if url.as_ref().is_some_and(|u| u.url().scheme() == "http") {
        t.warn("url", "is not https: anybody on the way can change the document (SAML-GET-02)", "expected https, or a pinned signature");
    }
    url.map(Source::Url).or(file.map(Source::File))
}

fn read_signature(mut t: Table<'_>) -> (bool, Vec<PathBuf>) {
    let require = t.or("require", false);
    let pins: Vec<PathBuf> = t.list::<PathBuf>("pins").into_iter().map(|p| t.source().dir.join(p)).collect();
    if require && pins.is_empty() && t.lacks("pins") {
        let what = "demands a signature, and no key is pinned that may have made it";
        t.problem("require", what, "expected pins = [\"signer.pem\"], the signer's certificate as it was confirmed by another way");
    }
    if pins.len() > MOST_PINS {
        t.problem("pins", format!("has {} files", pins.len()), format!("expected at most {MOST_PINS}"));
    }
    t.finish();
    (require, pins)
}

fn read_validity(mut t: Table<'_>) -> ValidityPolicy {
    let least_days = t.between("min_days", 0, MOST_DAYS).unwrap_or(0);
    let most_days = t.between("max_days", 1, MOST_DAYS).unwrap_or(14);
    if least_days >= most_days {
        t.problem("", format!("min_days is {least_days} and max_days {most_days}"), "expected min_days below max_days");
    }
    t.finish();
    ValidityPolicy { least_days, most_days }
}

fn read_peer(mut t: Table<'_>) -> Peer {
    let peer = Peer {
        encrypts: t.or("encrypts", false),
        name_id_formats: t.list::<String>("name_id_formats"),
        signs_requests: t.opt("signs_requests"),
        wants_signed_requests: t.opt("wants_signed_requests"),
    };
    if peer.name_id_formats.len() > MOST_FORMATS {
        t.problem("name_id_formats", format!("has {} formats", peer.name_id_formats.len()), format!("expected at most {MOST_FORMATS}"));
    }
    t.finish();
    peer
}
