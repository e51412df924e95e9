//! The first triage: which side most likely has to act on a failure, and one line of advice. One table, class by owner; pure.
//!
//! An integration's `attribution` table overrides single classes. [`Attribution::Monitor`] belongs to [`Class::Internal`] alone, in both
//! directions: no override can blame the monitor for a target's failure, or a target for the monitor's.

use std::collections::BTreeMap;

use crate::outcome::{Attribution, Cause, Class, Lack, Owner, Reason};

use Attribution::{
    Configuration as Conf, CustomerEnvironment as Cust, Monitor as Ours, Network as Net, ProductDefect as Prod, ThirdParty as Third,
    Unknown as Open,
};

/// The map: for each class, the attribution for an endpoint owned by the customer, a vendor, a partner, and us (the order of [`Owner::ALL`]).
const TABLE: [(Class, [Attribution; 4]); 21] = [
    //                    customer, vendor, partner, us
    (Class::Dns, [Cust, Third, Third, Net]),
    (Class::Connect, [Cust, Third, Third, Net]),
    (Class::Tls, [Cust, Third, Third, Net]),
    // A certificate of ours that is not accepted was not renewed or not installed: somebody's set-up, not a defect.
    (Class::Certificate, [Cust, Third, Third, Conf]),
    (Class::Timeout, [Cust, Third, Third, Prod]),
    (Class::Protocol, [Cust, Third, Third, Prod]),
    // The request did not fit the endpoint: the URL, the path, the credentials or the parameters were agreed or entered wrongly.
    (Class::Redirect, [Conf, Conf, Conf, Conf]),
    (Class::Unauthorized, [Conf, Conf, Conf, Conf]),
    (Class::Forbidden, [Conf, Conf, Conf, Conf]),
    (Class::NotFound, [Conf, Conf, Conf, Conf]),
    (Class::ClientError, [Conf, Conf, Conf, Conf]),
    (Class::ServerError, [Cust, Third, Third, Prod]),
    // The limit is theirs; a limit of ours is a setting.
    (Class::Throttled, [Cust, Third, Third, Conf]),
    (Class::Assertion, [Cust, Third, Third, Prod]),
    (Class::Slow, [Cust, Third, Third, Prod]),
    (Class::Metadata, [Conf, Conf, Conf, Conf]),
    (Class::Drift, [Cust, Third, Third, Conf]),
    (Class::Signature, [Conf, Conf, Conf, Conf]),
    (Class::Missing, [Cust, Third, Third, Prod]),
    // Two sides disagree about numbers: which one is right, nobody can tell from here.
    (Class::Mismatch, [Open, Open, Open, Open]),
    (Class::Internal, [Ours, Ours, Ours, Ours]),
];

/// Who most likely has to act: the integration's own override for the class, else the table.
pub fn attribute(class: Class, owner: Owner, overrides: &BTreeMap<Class, Attribution>) -> Attribution {
    let own = overrides.get(&class).copied().filter(|a| class != Class::Internal && *a != Attribution::Monitor);
    own.unwrap_or_else(|| {
        let column = match owner {
            Owner::Customer => 0,
            Owner::Vendor => 1,
            Owner::Partner => 2,
            Owner::Us => 3,
        };
        TABLE.iter().find(|(c, _)| *c == class).map_or(Attribution::Unknown, |(_, row)| row[column])
    })
}

/// Whom to talk to.
const fn whom(attribution: Attribution, owner: Owner) -> &'static str {
    match (attribution, owner) {
        (Attribution::ProductDefect, _) | (_, Owner::Us) => "the product team",
        (Attribution::CustomerEnvironment, _) | (_, Owner::Customer) => "the customer's IT",
        (_, Owner::Vendor) => "the vendor",
        (_, Owner::Partner) => "the partner",
    }
}

/// One line of advice where more is known of a failure than its class or cause.
pub fn reasoned(reason: Reason, owner: Owner) -> String {
    let them = whom(Attribution::Configuration, owner);
    match reason {
        Reason::Md5Only => {
            format!("The server offers Digest with MD5 alone. Ask {them} for SHA-256, or set md5 = true in the check's auth.digest.")
        }
        Reason::NoSuchFamily => format!(
            "The name resolves, but not to the address family that is asked for. Ask {them} to publish such an address, or change address_family (or source_address)."
        ),
        Reason::OwnCertificate => {
            "Our own client certificate does not hold now, or is not of its key; nothing was sent. Put a valid certificate and its key where `client` points.".into()
        }
        Reason::OwnKey => {
            "The key can be read, but can't sign for the client. Put a private key as the details ask for where `key` points, and give its public half to them if it is new.".into()
        }
        Reason::AssertionRefused => format!(
            "What our own key signed is not accepted. See that {them} has the public half of this key under this `kid`, and compare client_id and assertion_audience with them."
        ),
        Reason::ProxyLogin => {
            "Our own proxy does not let us in. Set or correct the proxy's username and password in the configuration; ask whoever runs the proxy for them.".into()
        }
        Reason::NoCertificate => format!(
            "The endpoint demands a client certificate, and the check has none. Set `client` (certificate and key) of the check; ask {them} which authority they accept."
        ),
    }
}

/// One line of advice in plain words.
pub fn remediation(class: Class, attribution: Attribution, owner: Owner) -> String {
    let them = whom(attribution, owner);
    match class {
        Class::Dns => format!(
            "The host name does not resolve. Check its spelling in the check's URL; then ask {them} whether the name was moved or removed."
        ),
        Class::Connect => {
            format!(
                "Nothing accepts the connection. Ask {them} whether the service runs and whether a firewall or an address allow-list keeps us out."
            )
        }
        Class::Tls => format!(
            "The TLS handshake fails. Ask {them} which TLS versions and client certificates the endpoint wants, and whether it changed."
        ),
        Class::Certificate => format!(
            "The certificate is not acceptable, or ends too soon; the details say which. Ask {them} to renew it or to send the full chain; if a private authority issued it, give its certificate to the check as `ca`."
        ),
        Class::Timeout => format!(
            "The connection stands, but no complete answer comes in time. Ask {them} about load and hanging work behind the endpoint."
        ),
        Class::Protocol => format!(
            "The answer is not readable HTTP, or larger than allowed. Ask {them} what changed; a proxy in between is a common reason."
        ),
        Class::Redirect => {
            "The endpoint redirects where the check may not follow. Enter the final URL in the check, or allow the redirects on purpose."
                .into()
        }
        Class::Unauthorized => {
            format!(
                "The credential is not accepted (401). Check whether the secret was rotated or has expired; get a new one from {them} and replace the secret."
            )
        }
        Class::Forbidden => format!(
            "The credential is known but may not do this (403). Ask {them} to grant the missing permission or scope to the account used."
        ),
        Class::NotFound => format!(
            "Nothing is at this address (404 or 410). Compare the check's URL with the current API documentation; ask {them} if it moved."
        ),
        Class::ClientError => {
            format!("The endpoint rejects the request (4xx). Compare its parameters and headers with the API documentation of {them}.")
        }
        Class::ServerError => format!("The endpoint fails by itself (5xx). Report it to {them} with the times shown here."),
        Class::Throttled => format!(
            "We are told to slow down. Compare the declared volume with the limit, and ask {them} for a higher one or lengthen the interval."
        ),
        Class::Assertion => {
            format!("What came is not as expected. Compare it with the expectation; then tell {them}, or correct the expectation.")
        }
        Class::Slow => {
            format!("The answer is right but later than allowed. Ask {them} about load; look at the phases to see where the time goes.")
        }
        Class::Metadata => {
            format!("The SSO or SCIM document is wrong. Compare it with what was agreed, and have {them} publish a corrected one.")
        }
        Class::Drift => format!(
            "Something changed that was to stay the same. Ask {them} whether it was on purpose, then acknowledge it or have it taken back."
        ),
        Class::Signature => {
            format!(
                "A signature does not fit, or a wrong one was accepted. Have {them} verify with the signing secret and scheme that both agreed on."
            )
        }
        Class::Missing => {
            format!("Something that was expected did not come. Ask {them} whether it was sent, and look at their delivery log.")
        }
        Class::Mismatch => format!("The two sides count differently. Compare the records of the period named here together with {them}."),
        Class::Internal => {
            "The monitor could not judge this. Nothing is known about the integration; see what the monitor reports about itself.".into()
        }
    }
}

/// One line of advice for a throttled run where no limit was told, so that nothing can be compared with one.
pub fn limit_not_told(attribution: Attribution, owner: Owner) -> String {
    let them = whom(attribution, owner);
    format!(
        "We are told to slow down, but not what is allowed. Ask {them} for the limit and who else uses it up, or lengthen the interval."
    )
}

/// One line of advice for a throttled run where the declared volume is more than the quota gives.
pub fn too_much_declared(attribution: Attribution, owner: Owner) -> String {
    let them = whom(attribution, owner);
    format!("The declared volume is more than the quota gives. Agree on a larger quota with {them}, or have the callers slow down.")
}

/// One line of advice for a quota that will not be enough, before anybody is refused. `batches`: whether some are declared that could be moved.
pub fn quota_advice(lack: Lack, batches: bool, owner: Owner) -> String {
    let them = whom(Attribution::Configuration, owner);
    match lack {
        Lack::UsedUp | Lack::RunsOut => {
            let moved = if batches { ", move the batch," } else { "" };
            format!(
                "With nothing left everybody is refused. Find out who uses it and have them slow down{moved} or agree on a larger quota with {them}."
            )
        }
        Lack::TooSmall => {
            format!("It passes now, but not at the declared volume. Agree on a larger quota with {them}, or have the callers slow down.")
        }
        Lack::Batch => {
            format!("Move the batch to a time with more left, have the other callers slow down, or agree on a larger quota with {them}.")
        }
    }
}

/// One line of advice for a slot that was not judged.
pub const fn cause_advice(cause: Cause) -> &'static str {
    match cause {
        Cause::RateLimit => "We hold back because the endpoint throttled us. It goes on by itself when the hold ends.",
        Cause::HostBusy => {
            "Too many checks wait for the same host. Lengthen intervals, or raise scheduler.per_host if the host can take it."
        }
        Cause::Overlap => "The run before was still going. Lengthen the interval or shorten the timeout.",
        Cause::Blocked => "A check this one depends on fails. Mend that one first.",
        Cause::Shutdown => "The monitor was stopping. Nothing to do.",
        Cause::SelfCheck => "The monitor's own network was down. Check the machine's connection; no customer is to blame.",
        Cause::Secret => "A secret the check needs can't be read or used. Check the environment variable or the file and its permissions.",
        Cause::File => "A file that the configuration names can't be read or used. Put it right on the monitor's machine.",
        Cause::Egress => {
            "Our address guard refused the target. If it is a private address on purpose, set allow_private for the integration."
        }
        Cause::Route => "Our own way there failed: the proxy or the source address of the configuration. Ask whoever runs the proxy.",
        Cause::Capacity => "The monitor ran out of connections, ports or run slots. Check its limits (open files, scheduler.max_runs).",
        Cause::Clock => "The machine's clock jumped. Check its time synchronisation.",
        Cause::Late => "The monitor was too late. Check the machine's load.",
        Cause::Down => "The monitor was not running. This time is missing evidence.",
        Cause::Internal => "A defect of the monitor. Look into its log and report it.",
        Cause::Maintenance => "In a declared maintenance window. Nothing to do until it ends.",
        Cause::Paused => "Paused in the configuration. Remove `paused` to go on.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map as the documentation shows it, written out independently of [`TABLE`].
    const DOCUMENTED: &str = "
        class         customer              vendor         partner        us
        dns           customer_environment  third_party    third_party    network
        connect       customer_environment  third_party    third_party    network
        tls           customer_environment  third_party    third_party    network
        certificate   customer_environment  third_party    third_party    configuration
        timeout       customer_environment  third_party    third_party    product_defect
        protocol      customer_environment  third_party    third_party    product_defect
        redirect      configuration         configuration  configuration  configuration
        unauthorized  configuration         configuration  configuration  configuration
        forbidden     configuration         configuration  configuration  configuration
        not_found     configuration         configuration  configuration  configuration
        client_error  configuration         configuration  configuration  configuration
        server_error  customer_environment  third_party    third_party    product_defect
        throttled     customer_environment  third_party    third_party    configuration
        assertion     customer_environment  third_party    third_party    product_defect
        slow          customer_environment  third_party    third_party    product_defect
        metadata      configuration         configuration  configuration  configuration
        drift         customer_environment  third_party    third_party    configuration
        signature     configuration         configuration  configuration  configuration
        missing       customer_environment  third_party    third_party    product_defect
        mismatch      unknown               unknown        unknown        unknown
        internal      monitor               monitor        monitor        monitor";

    #[test]
    fn every_cell_is_as_documented() {
        let mut lines = DOCUMENTED.trim().lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        let owners: Vec<Owner> = lines.next().unwrap()[1..].iter().map(|o| Owner::parse(o).unwrap()).collect();
        assert_eq!(owners, Owner::ALL);
        let mut seen = Vec::new();
        for row in lines {
            let class = Class::parse(row[0]).unwrap();
            seen.push(class);
            assert_eq!(row.len(), owners.len() + 1, "{class}");
            for (owner, text) in owners.iter().zip(&row[1..]) {
                assert_eq!(attribute(class, *owner, &BTreeMap::new()).as_str(), *text, "{class} on an endpoint of {owner}");
            }
        }
        assert_eq!(seen, Class::ALL, "the listing names every class once, in order");
        assert_eq!(TABLE.map(|(c, _)| c).as_slice(), Class::ALL);
    }

    #[test]
    fn monitor_belongs_to_internal_alone() {
        let all: BTreeMap<Class, Attribution> = Class::ALL.iter().map(|c| (*c, Attribution::Monitor)).collect();
        let blame: BTreeMap<Class, Attribution> = Class::ALL.iter().map(|c| (*c, Attribution::Network)).collect();
        for class in Class::ALL {
            for owner in Owner::ALL {
                assert_eq!(attribute(*class, *owner, &all) == Attribution::Monitor, *class == Class::Internal);
                assert_eq!(attribute(*class, *owner, &blame) == Attribution::Network, *class != Class::Internal);
            }
        }
    }

    #[test]
    fn every_class_and_cause_has_one_line_of_advice() {
        for class in Class::ALL {
            for owner in Owner::ALL {
                let text = remediation(*class, attribute(*class, *owner, &BTreeMap::new()), *owner);
                assert!(text.len() > 20 && text.len() < 220 && !text.contains('\n') && text.ends_with('.'), "{class}: {text}");
            }
        }
        for cause in Cause::ALL {
            assert!(cause_advice(*cause).ends_with('.'), "{cause}");
        }
        for owner in Owner::ALL {
            let advice = Lack::ALL.iter().flat_map(|lack| [true, false].map(|batches| quota_advice(*lack, batches, *owner)));
            for text in advice.chain([too_much_declared(Attribution::ThirdParty, *owner)]) {
                assert!(text.len() < 220 && text.contains(whom(Attribution::ThirdParty, *owner)) && text.ends_with('.'), "{text}");
            }
        }
        for owner in Owner::ALL {
            for reason in Reason::ALL {
                let text = reasoned(*reason, *owner);
                assert!(text.len() > 20 && text.len() < 220 && !text.contains('\n') && text.ends_with('.'), "{reason}: {text}");
            }
        }
        assert!(remediation(Class::ServerError, Attribution::ProductDefect, Owner::Us).contains("the product team"));
        assert!(remediation(Class::ServerError, Attribution::ThirdParty, Owner::Vendor).contains("the vendor"));
    }
}
