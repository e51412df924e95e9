//! The numbers that stand in the file for the words of [`crate::outcome`]. A number is never reused or changed: files outlive versions.
//!
//! Owns nothing else. 0 means "none" wherever a word may be absent, so every word starts at 1.

use crate::outcome::{Attribution, Cause, Class, HttpSpoken, Outcome, Reason, TlsSpoken};
use crate::record::Spoken;

/// A closed set's numbers, both ways. A word added to the set does not compile until it has a number here.
macro_rules! codes {
    ($t:ident: $to:ident, $from:ident { $($variant:ident = $n:literal,)+ }) => {
        pub(super) const fn $to(word: $t) -> u8 {
            match word { $($t::$variant => $n,)+ }
        }
        pub(super) const fn $from(n: u8) -> Option<$t> {
            match n { $($n => Some($t::$variant),)+ _ => None }
        }
    };
}

codes!(Outcome: of_outcome, outcome { Pass = 1, Fail = 2, Throttled = 3, Skipped = 4, Unknown = 5, NotDue = 6, });
codes!(Class: of_class, class {
    Dns = 1, Connect = 2, Tls = 3, Certificate = 4, Timeout = 5, Protocol = 6, Redirect = 7, Unauthorized = 8, Forbidden = 9, NotFound = 10,
    ClientError = 11, ServerError = 12, Throttled = 13, Assertion = 14, Slow = 15, Metadata = 16, Drift = 17, Signature = 18, Missing = 19,
    Mismatch = 20, Internal = 21,
});
codes!(Cause: of_cause, cause {
    RateLimit = 1, HostBusy = 2, Overlap = 3, Blocked = 4, Shutdown = 5, SelfCheck = 6, Secret = 7, Egress = 8, Capacity = 9, Clock = 10,
    Late = 11, Down = 12, Internal = 13, Maintenance = 14, Paused = 15, Route = 16, File = 17,
});
codes!(Attribution: of_attribution, attribution {
    Configuration = 1, ProductDefect = 2, CustomerEnvironment = 3, ThirdParty = 4, Network = 5, Monitor = 6, Unknown = 7,
});

codes!(Reason: of_reason, reason {
    Md5Only = 1, NoSuchFamily = 2, OwnCertificate = 3, OwnKey = 4, AssertionRefused = 5, ProxyLogin = 6, NoCertificate = 7,
});

codes!(HttpSpoken: of_http, http { Http10 = 1, Http11 = 2, Http2 = 3, });
codes!(TlsSpoken: of_tls, tls { Tls12 = 1, Tls13 = 2, });

/// What an answer was spoken in: HTTP in the low four bits, TLS in the high ones.
pub(super) fn of_spoken(s: Spoken) -> u8 {
    of_http(s.http) | or_none(s.tls, of_tls) << 4
}

/// The way back.
pub(super) fn spoken(n: u8) -> Option<Spoken> {
    Some(Spoken { http: http(n & 15)?, tls: maybe(n >> 4, tls)? })
}

/// The number of a word that may be absent.
pub(super) fn or_none<T>(word: Option<T>, code: impl Fn(T) -> u8) -> u8 {
    word.map_or(0, code)
}

/// A word that may be absent, back from its number; the outer `None` means that the number is unknown here.
pub(super) fn maybe<T>(n: u8, word: impl Fn(u8) -> Option<T>) -> Option<Option<T>> {
    if n == 0 { Some(None) } else { word(n).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back() {
        assert!(Outcome::ALL.iter().all(|w| outcome(of_outcome(*w)) == Some(*w)));
        assert!(Class::ALL.iter().all(|w| class(of_class(*w)) == Some(*w)));
        assert!(Cause::ALL.iter().all(|w| cause(of_cause(*w)) == Some(*w)));
        assert!(Attribution::ALL.iter().all(|w| attribution(of_attribution(*w)) == Some(*w)));
        assert!(Reason::ALL.iter().all(|w| reason(of_reason(*w)) == Some(*w)));
        for http in HttpSpoken::ALL {
            for tls in TlsSpoken::ALL.iter().copied().map(Some).chain([None]) {
                let said = Spoken { http: *http, tls };
                assert_eq!(spoken(of_spoken(said)), Some(said));
            }
        }
        // Zero is "none" in every set, and an unknown number is not.
        assert_eq!((maybe(0, class), maybe(200, class)), (Some(None), None));
        assert!(outcome(0).is_none() && class(0).is_none() && cause(0).is_none() && attribution(0).is_none());
        assert!(spoken(0).is_none() && spoken(4).is_none() && spoken(0x32).is_none());
    }

    /// Files on disk hold these numbers; a failure here means that old files would be misread.
    #[test]
    fn numbers_have_not_moved() {
        assert_eq!((of_outcome(Outcome::Pass), of_outcome(Outcome::NotDue)), (1, 6));
        assert_eq!((of_class(Class::Dns), of_class(Class::Throttled), of_class(Class::Internal)), (1, 13, 21));
        assert_eq!((of_cause(Cause::RateLimit), of_cause(Cause::Down), of_cause(Cause::Paused)), (1, 12, 15));
        assert_eq!((of_reason(Reason::Md5Only), of_reason(Reason::NoCertificate)), (1, 7));
        assert_eq!((of_attribution(Attribution::Configuration), of_attribution(Attribution::Unknown)), (1, 7));
        assert_eq!(of_spoken(Spoken { http: HttpSpoken::Http11, tls: Some(TlsSpoken::Tls13) }), 0x22);
    }
}
