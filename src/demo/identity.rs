//! The estate's identity providers: the metadata each of them publishes, with signing certificates made at the demo's start.

use anyhow::Context as _;

use super::certificates::Authority;
use super::stories::{Answer, Ask};

/// A swap comes after so many requests, each run being two: for the metadata, and to where it sends people.
const SWAP: u64 = 8;

/// The providers' signing certificates, as metadata has them: base64 of their DER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signing {
    /// Ends in nine days, and nothing takes its place.
    nine_days: String,
    /// Ends in forty.
    old: String,
    /// What takes its place, for years.
    new: String,
    /// Good for half a year.
    before: String,
    /// What is published without a word in its place.
    after: String,
}

impl Signing {
    /// Makes them all.
    pub fn new(authority: &Authority) -> anyhow::Result<Self> {
        let one = |name: &str, days: u32| authority.signing(name, days).with_context(|| format!("the signing certificate of {name}"));
        Ok(Self {
            nine_days: one("idp.borealis.example", 9)?,
            old: one("idp.elmwood.example", 40)?,
            new: one("idp.elmwood.example", 700)?,
            before: one("idp.dunlin.example", 180)?,
            after: one("idp.dunlin.example", 700)?,
        })
    }
}

/// The certificate is about to end, and there is no other.
pub fn ends_soon(ask: &Ask<'_>) -> Answer {
    published(ask, "idp.borealis.example", |s| vec![&s.nine_days])
}

/// The new key is published beside the old one, as it should be.
pub fn rolls_over(ask: &Ask<'_>) -> Answer {
    published(ask, "idp.elmwood.example", |s| if ask.before < SWAP { vec![&s.old] } else { vec![&s.old, &s.new] })
}

/// From one moment to the next there is another key.
pub fn swapped(ask: &Ask<'_>) -> Answer {
    published(ask, "idp.dunlin.example", |s| vec![if ask.before < SWAP { &s.before } else { &s.after }])
}

fn published<'a>(ask: &Ask<'a>, host: &str, keys: impl Fn(&'a Signing) -> Vec<&'a String>) -> Answer {
    let Some(signing) = ask.signing.filter(|_| ask.path == "/metadata") else {
        return Answer::error(405, "this is for browsers that bring a message");
    };
    let keys: String = keys(signing).into_iter().map(|k| descriptor(k)).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"https://{host}/metadata\" validUntil=\"{}\" cacheDuration=\"PT6H\">\
         <md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}\
         <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>{}{}</md:IDPSSODescriptor></md:EntityDescriptor>\n",
        ask.started.plus(std::time::Duration::from_secs(90 * 86_400)).whole_seconds(),
        sign_on(host, "HTTP-Redirect"),
        sign_on(host, "HTTP-POST"),
    );
    Answer { body, ..Answer::json(&serde_json::Value::Null) }.header("content-type", "application/samlmetadata+xml")
}

fn descriptor(certificate: &str) -> String {
    format!(
        "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>\
         </ds:KeyInfo></md:KeyDescriptor>"
    )
}

fn sign_on(host: &str, binding: &str) -> String {
    format!("<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" Location=\"https://{host}/sso\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, UnixMs};
    use crate::finding::{Finding, Level, Severity};
    use crate::sso::saml::{self, Expected};

    fn judged(story: fn(&Ask<'_>) -> Answer, signing: &Signing, before: u64, now: UnixMs) -> (Vec<Finding>, saml::Snapshot) {
        let answer = story(&Ask { before, now, started: now, path: "/metadata", signing: Some(signing), ..Ask::default() });
        let judged = saml::judge(answer.body.as_bytes(), &Expected::default(), now);
        (judged.findings, judged.snapshot.unwrap())
    }

    #[test]
    fn each_tells_its_story_and_no_other() {
        let now = Clock::System.now();
        let signing = Signing::new(&Authority::new(now).unwrap()).unwrap();
        let (soon, _) = judged(ends_soon, &signing, 0, now);
        assert_eq!(soon.iter().map(|f| (&*f.id, f.level, f.severity)).collect::<Vec<_>>(), [("SAML-KEY-03", Level::Warn, Severity::High)]);
        let (_, before) = judged(rolls_over, &signing, 0, now);
        let (rolling, after) = judged(rolls_over, &signing, SWAP, now);
        assert!(rolling.iter().all(|f| f.level == Level::Info), "{rolling:?}");
        assert_eq!(saml::changes(&before, &after, now).iter().map(|f| &*f.id).collect::<Vec<_>>(), ["SAML-KEY-07"]);
        let (none, before) = judged(swapped, &signing, SWAP - 1, now);
        let (_, after) = judged(swapped, &signing, SWAP, now);
        assert_eq!(none, []);
        assert_eq!(saml::changes(&before, &after, now).iter().map(|f| &*f.id).collect::<Vec<_>>(), ["SAML-KEY-06"]);
        assert_eq!(swapped(&Ask { path: "/sso", ..Ask::default() }).status, 405);
    }
}
