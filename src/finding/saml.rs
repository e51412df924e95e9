//! The rules for SAML 2.0 metadata (shared/facts/sso-checks.md section 2, with their sources). Data only.

use super::Rule;
use super::{Level, Party, Severity};
use crate::outcome::Class;

const C: Severity = Severity::Critical;
const H: Severity = Severity::High;
const M: Severity = Severity::Medium;
const IDP: Party = Party::CustomerIdp;
const SP: Party = Party::VendorSp;
const NET: Party = Party::Network;
const CERT: Party = Party::Certificate;
const META: Class = Class::Metadata;

/// Declares the rules, each under a name of its own, and the table of all of them.
macro_rules! table {
    ($($name:ident = $rule:expr;)+) => {
        $(#[doc = concat!("Rule ", stringify!($name), ".")] pub const $name: Rule = $rule;)+
        /// Every rule, in the order of the table.
        pub const RULES: &[Rule] = &[$($name,)+];
    };
}

table! {
    GET_01 = Rule::new("SAML-GET-01", H, NET, META,
        "Peers keep an old copy and break later. Check the address and the firewall, and whether the application was deleted at the identity provider.");
    GET_02 = Rule::new("SAML-GET-02", H, NET, META,
        "Peers stop refreshing by themselves. Renew the certificate of the host or complete its chain, and let no redirect leave https.");
    GET_03 = Rule::new("SAML-GET-03", H, IDP, META,
        "The address needs a session or is another page. Publish the metadata without log-in, or take the right address.");
    XML_01 = Rule::new("SAML-XML-01", C, IDP, META,
        "Imports fail. Often it is text before the XML declaration, a bare ampersand in an address or an undeclared prefix: export the file again instead of editing it.");
    XML_02 = Rule::new("SAML-XML-02", C, IDP, META,
        "A document type has no place in metadata and may be an attack. Find out who put it there, and export the file again.");
    XML_03 = Rule::new("SAML-XML-03", C, IDP, META,
        "The file is not metadata as the schema wants it, most often because it was edited by hand. Export it again from the product.");
    XML_04 = Rule::new("SAML-XML-04", C, IDP, META,
        "It can't be told which element a signature means: consumers must refuse. Export the file again, and find out how it was put together.");
    ENT_01 = Rule::new("SAML-ENT-01", C, IDP, META,
        "Log-ins end with an unknown issuer. Copy the entityID from the metadata as it is: slash, case, http or https all count.");
    ENT_02 = Rule::new("SAML-ENT-02", M, IDP, META,
        "Some products refuse such a name. Choose an absolute URI without white space, at most 1024 characters long, and tell every peer.");
    ENT_03 = Rule::new("SAML-ENT-03", C, IDP, META,
        "The entity left the federation, or it is published twice with different contents. Ask the federation's operator.");
    ROL_01 = Rule::new("SAML-ROL-01", C, IDP, META,
        "The wrong file was exchanged, such as a service provider's for an identity provider's. Ask for the other one.");
    ROL_02 = Rule::new("SAML-ROL-02", C, IDP, META,
        "The role can't be used with SAML 2.0. Switch SAML 2.0 on, or take the metadata of the right application.");
    VAL_01 = Rule::new("SAML-VAL-01", C, IDP, META,
        "Peers drop the entity. Publish fresh metadata and look why the job that signs and publishes it stopped.");
    VAL_02 = Rule::new("SAML-VAL-02", H, IDP, META,
        "The date no longer moves on: the job that publishes or signs has probably stopped. Mend it before the date comes.").at(Level::Warn);
    VAL_03 = Rule::new("SAML-VAL-03", M, IDP, META,
        "Peers with such a filter refuse the file. Publish with a validUntil inside the window agreed on.");
    VAL_04 = Rule::new("SAML-VAL-04", M, IDP, META,
        "Many libraries throw on it. Write a duration such as PT6H and a time such as 2026-12-01T00:00:00Z; a duration is not a Unix time.");
    SIG_01 = Rule::new("SAML-SIG-01", H, IDP, Class::Signature,
        "Consumers that demand a signature refuse the file. Switch signing on, or drop the demand where https is what is trusted.");
    SIG_02 = Rule::new("SAML-SIG-02", C, IDP, Class::Signature,
        "The file was changed after it was signed (by a proxy, an editor or a formatter), or another key signed it. Export it again, untouched.");
    SIG_03 = Rule::new("SAML-SIG-03", C, IDP, Class::Signature,
        "A wrapping attempt or a broken signer: what is signed is not what is read. Treat the file as unsigned and find out where it came from.");
    SIG_04 = Rule::new("SAML-SIG-04", M, IDP, Class::Signature,
        "Other consumers will refuse this form. Sign with one reference to the ID of the root, and only the enveloped and exclusive C14N transforms.");
    SIG_05 = Rule::new("SAML-SIG-05", H, IDP, Class::Signature,
        "Modern stacks refuse it. Sign with RSA-SHA256 and a key of 2048 bits or more, or with ECDSA on P-256 or larger.");
    SIG_06 = Rule::new("SAML-SIG-06", C, IDP, Class::Signature,
        "The signer's key is not one that was agreed on. Confirm the new certificate by another way, then pin both until the old one is gone.");
    KEY_01 = Rule::new("SAML-KEY-01", C, IDP, META,
        "Nobody can check this identity provider's signatures. Publish its signing certificate.");
    KEY_02 = Rule::new("SAML-KEY-02", H, CERT, Class::Certificate,
        "Strict service providers refuse at once, others do not care: it is never harmless. Roll the key over.");
    KEY_03 = Rule::new("SAML-KEY-03", M, CERT, Class::Certificate,
        "Plan the roll-over: publish the new certificate beside the old one, wait until peers have refreshed, switch, then remove the old one.").at(Level::Warn);
    KEY_04 = Rule::new("SAML-KEY-04", M, CERT, Class::Certificate,
        "The certificate was made with a wrong clock, or published early, which is fine only beside a valid one.");
    KEY_05 = Rule::new("SAML-KEY-05", H, IDP, META,
        "The key is too weak. Make a new pair (RSA of 2048 bits or more, or EC on P-256, P-384 or P-521) and roll over to it.");
    KEY_06 = Rule::new("SAML-KEY-06", C, IDP, Class::Drift,
        "Every peer that keeps a copy breaks now. Put the old key back beside the new one, or tell every service provider at once; then accept the change.");
    KEY_07 = Rule::new("SAML-KEY-07", Severity::Info, IDP, Class::Drift,
        "A roll-over is under way. Remind service providers that pin one certificate.");
    KEY_08 = Rule::new("SAML-KEY-08", C, IDP, META,
        "The certificate can't be read: PEM header lines, a cut or an empty element. Paste it again, as one line of base64.");
    KEY_09 = Rule::new("SAML-KEY-09", M, SP, META,
        "The identity provider can't encrypt for this service provider, or sends assertions in the clear. Publish an encryption certificate.");
    KEY_10 = Rule::new("SAML-KEY-10", M, IDP, META,
        "Peers pick the wrong key or find none. Publish one KeyDescriptor for each certificate, with the certificate in it.");
    EP_01 = Rule::new("SAML-EP-01", C, IDP, META,
        "Users can't be sent to log in or back. Publish HTTP-Redirect or HTTP-POST for single sign-on, and HTTP-POST for the assertion consumer.");
    EP_02 = Rule::new("SAML-EP-02", H, IDP, META,
        "Browsers warn, or run into time-outs. Set the product's base URL to the public https address.");
    EP_03 = Rule::new("SAML-EP-03", H, IDP, Class::Drift,
        "An expected move or a take-over: confirm it with the administrator before the change is accepted.");
    EP_04 = Rule::new("SAML-EP-04", H, NET, META,
        "The page users are sent to is down. Look at the host's DNS entry, its certificate and the service behind it.");
    EP_05 = Rule::new("SAML-EP-05", M, SP, META,
        "The wrong assertion consumer is chosen. Give every endpoint an index of its own and mark one of them as the default.");
    EP_06 = Rule::new("SAML-EP-06", M, IDP, META,
        "Probably a typing error in the binding: peers ignore the endpoint. Correct the URN.");
    NID_01 = Rule::new("SAML-NID-01", M, IDP, META,
        "Log-ins end with an invalid NameID policy. Agree on one format, mostly emailAddress or persistent.");
    FLG_01 = Rule::new("SAML-FLG-01", H, SP, META,
        "An identity provider that wants signed requests refuses them unsigned. Publish the signing key and set both sides alike.").at(Level::Warn);
    ALG_01 = Rule::new("SAML-ALG-01", Severity::Low, SP, META,
        "Fewer and fewer peers take it. Offer AES-GCM with RSA-OAEP, and drop 3DES and RSA 1.5.");
    CLK_01 = Rule::new("SAML-CLK-01", H, IDP, META,
        "Assertions look not yet valid or too old. Mend the time synchronisation (NTP) of the identity provider.");
}
