//! The closed sets every other module speaks in: outcome, failure class, cause, owner, attribution, criticality, phase.
//!
//! The meaning of each word is product.md's; the text of each (`as_str`) is the metric label, the API value and the stored name. Owns no logic
//! beyond the words; the triage map is in `attribution.rs`.

/// Declares a closed set: the enum, its texts, all of its members, and the way back from text.
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }
        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The member's stable text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
            /// The member with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
    };
}

pub(crate) use closed_set;

closed_set! {
    /// How a slot ended. Exactly one for each slot of each check.
    Outcome {
        /// Every assertion held, within the run's deadline.
        Pass => "pass",
        /// The target, or the path to it, did something else; carries a [`Class`].
        Fail => "fail",
        /// The target said "too many requests" and the run could not complete within its deadline.
        Throttled => "throttled",
        /// We chose not to run; carries a [`Cause`].
        Skipped => "skipped",
        /// The monitor's own fault; carries a [`Cause`].
        Unknown => "unknown",
        /// The slot was not due (maintenance declared beforehand, or paused): accounted for, counted nowhere.
        NotDue => "not_due",
    }
}

impl Outcome {
    /// Counted in coverage: the target was really asked.
    pub const fn counted(self) -> bool {
        matches!(self, Self::Pass | Self::Fail | Self::Throttled)
    }
}

closed_set! {
    /// What kind of failure it was (label `class`).
    Class {
        /// The name did not resolve, or no DNS answer came.
        Dns => "dns",
        /// No TCP connection.
        Connect => "connect",
        /// The TLS handshake failed or stalled.
        Tls => "tls",
        /// The certificate chain was not acceptable.
        Certificate => "certificate",
        /// The deadline passed while sending or waiting for the response.
        Timeout => "timeout",
        /// Unreadable framing, or a body or header over the cap.
        Protocol => "protocol",
        /// A redirect that may not be followed.
        Redirect => "redirect",
        /// 401.
        Unauthorized => "unauthorized",
        /// 403.
        Forbidden => "forbidden",
        /// 404 or 410.
        NotFound => "not_found",
        /// Another 4xx.
        ClientError => "client_error",
        /// 5xx.
        ServerError => "server_error",
        /// Too many requests.
        Throttled => "throttled",
        /// Status, header or body is not as asserted.
        Assertion => "assertion",
        /// An assertion on time.
        Slow => "slow",
        /// An SSO or SCIM document is wrong.
        Metadata => "metadata",
        /// A document changed where it must not.
        Drift => "drift",
        /// A webhook signature is wrong, or a bad one was accepted.
        Signature => "signature",
        /// An expected webhook or batch did not come.
        Missing => "missing",
        /// A reconciliation is off.
        Mismatch => "mismatch",
        /// Our own; exists only on `unknown` outcomes.
        Internal => "internal",
    }
}

closed_set! {
    /// Why a slot was skipped, could not be judged, or was not due (label `cause`).
    Cause {
        /// Skipped: a hold after throttling.
        RateLimit => "rate_limit",
        /// Skipped: waited past its timeout for its host's turn.
        HostBusy => "host_busy",
        /// Skipped: the check's previous run was still going.
        Overlap => "overlap",
        /// Skipped: a check it depends on fails.
        Blocked => "blocked",
        /// Skipped: the daemon was stopping.
        Shutdown => "shutdown",
        /// Unknown: our own network was down.
        SelfCheck => "self_check",
        /// Unknown: a secret, or the certificate that is shown with one, could not be read or used.
        Secret => "secret",
        /// Unknown: another file that the configuration names could not be read or used.
        File => "file",
        /// Unknown: our address guard refused the target.
        Egress => "egress",
        /// Unknown: our own way there failed: the proxy, or the source address.
        Route => "route",
        /// Unknown: we were out of descriptors, ports, memory or run slots.
        Capacity => "capacity",
        /// Unknown: the wall clock jumped over the slot.
        Clock => "clock",
        /// Unknown: the scheduler came too late for the slot.
        Late => "late",
        /// Unknown: the daemon was not running.
        Down => "down",
        /// Unknown: a defect of ours.
        Internal => "internal",
        /// Not due: a maintenance window declared beforehand.
        Maintenance => "maintenance",
        /// Not due: paused in the configuration.
        Paused => "paused",
    }
}

impl Cause {
    /// The outcome this cause belongs to.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::RateLimit | Self::HostBusy | Self::Overlap | Self::Blocked | Self::Shutdown => Outcome::Skipped,
            Self::Maintenance | Self::Paused => Outcome::NotDue,
            _ => Outcome::Unknown,
        }
    }
    /// The causes of one outcome, in order.
    pub fn of(outcome: Outcome) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |c| c.outcome() == outcome)
    }
}

closed_set! {
    /// What is known of a failure beyond its class or cause, where it changes what is to be done. Given where it is known, never read out of a text.
    Reason {
        /// The server offers digest authentication with MD5 alone.
        Md5Only => "md5_only",
        /// The name resolves, but has no address of a family that is asked for.
        NoSuchFamily => "no_such_family",
        /// Our own client certificate has ended, is not valid yet, or does not go with its key.
        OwnCertificate => "own_certificate",
        /// The key that signs for us can be read, and can't sign.
        OwnKey => "own_key",
        /// The token endpoint does not accept what our key signed.
        AssertionRefused => "assertion_refused",
        /// Our own proxy wants a user name and a password, or other ones.
        ProxyLogin => "proxy_login",
        /// The server wants a client certificate, and the check has none.
        NoCertificate => "no_certificate",
    }
}

closed_set! {
    /// Who owns the far side of an integration.
    Owner {
        /// The customer who goes live.
        Customer => "customer",
        /// The vendor of the connected system.
        Vendor => "vendor",
        /// A partner who built or runs the connection.
        Partner => "partner",
        /// Us, the product's own side.
        Us => "us",
    }
}

closed_set! {
    /// How much an integration matters.
    Criticality {
        /// Nothing works without it.
        Critical => "critical",
        /// A main process stops.
        High => "high",
        /// A side process stops.
        Normal => "normal",
        /// Nice to have.
        Low => "low",
    }
}

closed_set! {
    /// The first triage (label `attribution`).
    Attribution {
        /// Something was set up wrongly.
        Configuration => "configuration",
        /// Our product is at fault.
        ProductDefect => "product_defect",
        /// The customer's systems are at fault.
        CustomerEnvironment => "customer_environment",
        /// A vendor's or partner's systems are at fault.
        ThirdParty => "third_party",
        /// The path between is at fault.
        Network => "network",
        /// We, the monitor, are at fault; only on `unknown` outcomes.
        Monitor => "monitor",
        /// Nobody can tell yet.
        Unknown => "unknown",
    }
}

closed_set! {
    /// Where an integration stands in its life (label `phase`); derived from its dates, never stored.
    Phase {
        /// Before the soak starts.
        Build => "build",
        /// Until go-live.
        Soak => "soak",
        /// The days after go-live.
        Hypercare => "hypercare",
        /// After that.
        Steady => "steady",
        /// `paused` is set.
        Paused => "paused",
    }
}

closed_set! {
    /// The version of HTTP that an answer came in.
    HttpSpoken {
        /// HTTP/1.0.
        Http10 => "1.0",
        /// HTTP/1.1.
        Http11 => "1.1",
        /// HTTP/2.
        Http2 => "2",
    }
}

closed_set! {
    /// The version of TLS that an answer came over.
    TlsSpoken {
        /// TLS 1.2.
        Tls12 => "1.2",
        /// TLS 1.3.
        Tls13 => "1.3",
    }
}

closed_set! {
    /// What a quota lacks while nobody is refused yet, worst first.
    Lack {
        /// Nothing is left.
        UsedUp => "quota_used_up",
        /// As it is used, it runs out before it renews.
        RunsOut => "quota_runs_out",
        /// The declared volume is more than it gives.
        TooSmall => "quota_too_small",
        /// A declared batch does not fit, beside what is declared or beside what is used.
        Batch => "batch_does_not_fit",
    }
}

closed_set! {
    /// Who a token is (server and audit).
    Role {
        /// May read.
        Viewer => "viewer",
        /// May reload and act on incidents.
        Operator => "operator",
        /// May change what is judged.
        Approver => "approver",
    }
}
