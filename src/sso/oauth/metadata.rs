//! The OAuth metadata (RFC 8414) beside the OIDC discovery document: where it lies, and whether both say the same.

use url::Url;

use crate::finding::Finding;
use crate::finding::oauth::MD_01;
use crate::sso::oidc::Snapshot;

/// Where an issuer's OAuth metadata lies: the well-known part stands between host and path, while OIDC has it behind the path.
pub fn well_known(issuer: &str) -> Option<Url> {
    let mut url = Url::parse(issuer).ok().filter(Url::has_host)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    Some(url)
}

/// The finding for two documents of one issuer that do not agree. What only one of them has is no contradiction.
pub fn agreement(oidc: &Snapshot, oauth: &Snapshot) -> Option<Finding> {
    let mut differ: Vec<&str> = Vec::new();
    if let (Some(a), Some(b)) = (&oidc.issuer, &oauth.issuer)
        && a != b
    {
        differ.push("issuer");
    }
    differ.extend(oidc.urls.iter().filter(|(name, url)| oauth.urls.get(*name).is_some_and(|u| u != *url)).map(|(name, _)| name.as_str()));
    (!differ.is_empty()).then(|| MD_01.found(format!("OAuth and OIDC metadata differ in {}", differ.join(", "))))
}
