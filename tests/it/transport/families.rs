//! Pinned addresses and address families: what is connected to, and what is told of each family. Names lead to 127.0.0.1 and ::1.

use std::net::SocketAddr;
use std::sync::Arc;

use soakwatch::config::model::CheckDef;
use soakwatch::observed::OnFamily;
use soakwatch::outcome::{Cause, Class, Reason};
use soakwatch::route::{Family, Prefers, Route};
use soakwatch::transport::{Resolver, Transport};

use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_tls};
use crate::support::probing::{Ran, check, check_where, run, settings, transport};

const VALID: std::ops::Range<i32> = 2020..2090;

/// `dual.test` has these addresses, in this order, with their ports.
fn dual(addresses: &[SocketAddr], pki: Option<&Pki>) -> Transport {
    let addresses = addresses.to_vec();
    let resolver = Resolver::Fixed(Arc::new(move |_, _| Ok(addresses.clone())));
    Transport::new(&settings(pki.map(Pki::file).as_deref()), resolver).unwrap()
}

fn of(family: Family, url: &str) -> CheckDef {
    CheckDef { route: Route { family, ..Route::default() }, ..check(&format!("url = \"{url}\"")) }
}

/// An address of each family where nothing listens.
async fn closed() -> [SocketAddr; 2] {
    let mut at = [SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0))];
    for a in &mut at {
        *a = tokio::net::TcpListener::bind(*a).await.unwrap().local_addr().unwrap();
    }
    at
}

/// Each family with whether it connected.
fn told(ran: &Ran) -> Vec<(&'static str, bool)> {
    ran.observed.hops[0].families.iter().map(|f: &OnFamily| (f.family, f.failure.is_none())).collect()
}

#[tokio::test]
async fn a_preferred_family_that_fails_gives_way_and_is_told() {
    let v4 = Fake::http(|_| Reply::json("{}")).await;
    let v6 = Fake::on_ipv6(None, |_| Reply::json("{}")).await;
    let [closed4, closed6] = closed().await;
    let prefer6 = of(Family::Prefer(Prefers::Ipv6), "http://dual.test/");
    let ran = run(&dual(&[v4.at, closed6], None), &prefer6).await;
    ran.passed();
    assert_eq!((told(&ran), ran.observed.hops[0].address), (vec![("ipv6", false), ("ipv4", true)], Some(v4.at)));
    // Both are there: the order of DNS does not matter.
    let ran = run(&dual(&[v4.at, v6.at], None), &prefer6).await;
    ran.passed();
    assert_eq!((told(&ran), ran.observed.hops[0].address), (vec![("ipv6", true)], Some(v6.at)));
    let ran = run(&dual(&[v4.at, v6.at], None), &of(Family::Prefer(Prefers::Ipv4), "http://dual.test/")).await;
    assert_eq!((told(&ran), ran.observed.hops[0].address), (vec![("ipv4", true)], Some(v4.at)));
    // The name has none of that family.
    let ran = run(&dual(&[v4.at], None), &prefer6).await;
    ran.passed();
    assert_eq!(told(&ran), [("ipv6", false), ("ipv4", true)]);
    let ran = run(&dual(&[closed4, closed6], None), &prefer6).await;
    ran.failed(Class::Connect, "ipv6: nothing listens there");
    ran.failed(Class::Connect, "ipv4: nothing listens there");
}

#[tokio::test]
async fn one_family_alone_takes_no_other() {
    let v4 = Fake::http(|_| Reply::json("{}")).await;
    let [_, closed6] = closed().await;
    let only6 = of(Family::Only(Prefers::Ipv6), "http://dual.test/");
    run(&dual(&[v4.at, closed6], None), &only6).await.failed(Class::Connect, "nothing listens there");
    let lacking = run(&dual(&[v4.at], None), &only6).await;
    lacking.failed(Class::Dns, "the name has no IPv6 address");
    assert_eq!(lacking.reason(), Some(Reason::NoSuchFamily));
    assert!(v4.log().is_empty());
    run(&dual(&[closed6, v4.at], None), &of(Family::Only(Prefers::Ipv4), "http://dual.test/")).await.passed();
}

#[tokio::test]
async fn both_must_work_and_one_request_is_made() {
    let pki = Pki::new();
    let tls = |name| server_tls(pki.identity(name, VALID), &["http/1.1"]);
    let (v4, v6) =
        (Fake::https(tls("dual.test"), |_| Reply::json("{}")).await, Fake::on_ipv6(Some(tls("dual.test")), |_| Reply::json("{}")).await);
    let wrong = Fake::https(tls("other.test"), |_| Reply::json("{}")).await;
    let [closed4, closed6] = closed().await;
    let both = of(Family::Both, "https://dual.test/");
    let ran = run(&dual(&[v4.at, v6.at], Some(&pki)), &both).await;
    ran.passed();
    assert_eq!((told(&ran), v4.log().len(), v6.log().len()), (vec![("ipv4", true), ("ipv6", true)], 0, 1));
    let ran = run(&dual(&[wrong.at, v6.at], Some(&pki)), &both).await;
    ran.failed(Class::Certificate, "over IPv4: dual.test: the certificate is for another name");
    assert_eq!(told(&ran), [("ipv4", false), ("ipv6", true)], "the other one is tried all the same");
    run(&dual(&[v4.at, closed6], Some(&pki)), &both).await.failed(Class::Connect, "over IPv6: dual.test");
    run(&dual(&[closed4, v6.at], Some(&pki)), &both).await.failed(Class::Connect, "over IPv4: dual.test");
    let lacking = run(&dual(&[v4.at], Some(&pki)), &both).await;
    lacking.failed(Class::Dns, "no IPv6 address");
    assert_eq!(lacking.reason(), Some(Reason::NoSuchFamily));
    assert_eq!(v6.log().len(), 1, "no request goes out where one family fails");
}

#[tokio::test]
async fn a_pinned_address_is_the_own_hosts_alone_and_is_judged() {
    let pki = Pki::new();
    let elsewhere = Fake::http(|_| Reply::json("{}")).await;
    let to = format!("http://elsewhere.test:{}/", elsewhere.port());
    let fake = Fake::https(server_tls(pki.identity("gone.test", VALID), &[]), move |seen| match seen.target.as_str() {
        "/away" => Reply::redirect(302, to.clone().replace("http://", "https://")),
        _ => Reply::json("{}"),
    })
    .await;
    let transport = transport(Some(&pki.file()));
    let pinned = |address: &str, path: &str, private| {
        let route = Route { address: Some(address.parse().unwrap()), ..Route::default() };
        CheckDef { route, ..check_where(&format!("url = \"https://gone.test:{}{path}\"\nredirects = 1", fake.port()), private) }
    };
    // The name does not resolve, and is not asked for.
    let ran = run(&transport, &pinned("127.0.0.1", "/", true)).await;
    ran.passed();
    let hop = &ran.observed.hops[0];
    assert_eq!((hop.address, hop.phases.resolve), (Some(fake.at), None));
    assert_eq!(fake.log()[0].header("host"), format!("gone.test:{}", fake.port()));
    // Where it redirects to is resolved: another server, which speaks no TLS.
    let ran = run(&transport, &pinned("127.0.0.1", "/away", true)).await;
    ran.failed(Class::Tls, "");
    assert_eq!(ran.observed.hops[1].address, Some(elsewhere.at));
    // Whose doing it is that nothing is there is told.
    run(&transport, &pinned("127.0.0.2", "/", true)).await.failed(Class::Connect, "; address pins it, DNS was not asked");
    for (address, private, rule) in [("127.0.0.1", false, "loopback"), ("169.254.169.254", true, "metadata")] {
        let ran = run(&transport, &pinned(address, "/", private)).await;
        let failure = ran.failure().unwrap();
        assert_eq!((failure.cause, failure.egress_rule), (Some(Cause::Egress), Some(rule)));
    }
}
