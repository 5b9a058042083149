//! The table of facts: a row for each member of [`Facts`] and of the structs it points to.

use super::families::Facts;
use super::value::{Bound, Fact, Value};
use crate::app::Proto;

/// The protocols a fact is read from, and a rule table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Family {
    /// Any: what protocols share.
    Any,
    Rtp,
    Tls,
    Quic,
    Dns,
    Stun,
    Sip,
    Rtsp,
    Ssdp,
    Rtmp,
    Mqtt,
    Banner,
    Http,
}

impl Family {
    /// Every family, in the order of their rows.
    pub const ALL: [Self; 13] = [
        Self::Any,
        Self::Rtp,
        Self::Tls,
        Self::Quic,
        Self::Dns,
        Self::Stun,
        Self::Sip,
        Self::Rtsp,
        Self::Ssdp,
        Self::Rtmp,
        Self::Mqtt,
        Self::Banner,
        Self::Http,
    ];

    /// Its rows.
    pub fn rows(self) -> &'static [Field] {
        let start = STARTS.get(self as usize).copied().unwrap_or_default();
        let rows = FIELDS.get(start..).unwrap_or_default();
        match STARTS.get(self as usize + 1) {
            Some(&end) => rows.get(..end - start).unwrap_or_default(),
            None => rows,
        }
    }

    /// Whether `facts` are of this family.
    pub fn includes(self, facts: &Facts) -> bool {
        match self {
            Self::Any => true,
            Self::Rtp => facts.rtp_payload_type.is_some(),
            // Also inside what asked for TLS: SMTP, XMPP, RDP, a proxy's tunnel; and where nothing
            // could be read of the hello.
            Self::Tls => {
                let spoken = [Proto::TLS, Proto::DTLS, Proto::QUIC, Proto::GQUIC];
                facts.tls.is_some() || facts.proto.is_some_and(|proto| spoken.contains(&proto))
            }
            Self::Quic => facts.quic.is_some(),
            Self::Http => facts.http.is_some(),
            Self::Dns => facts.dns.is_some(),
            Self::Stun => facts.stun.is_some(),
            Self::Sip => facts.sip.is_some(),
            Self::Rtsp => facts.rtsp.is_some(),
            Self::Ssdp => facts.ssdp.is_some(),
            Self::Rtmp => facts.rtmp.is_some(),
            Self::Mqtt => facts.mqtt.is_some(),
            Self::Banner => facts.banner.is_some(),
        }
    }
}

/// What a fact is evidence of, as rules over it weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// The name of a host.
    Host,
    /// Whose a host is, as a certificate says.
    Owner,
    /// The build of a client, shared with others.
    Fingerprint,
    /// Anything else.
    Text,
}

/// A row of [`FIELDS`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name: that of the other rows, of other families, that mean the same.
    pub name: &'static str,
    /// What it is read from.
    pub family: Family,
    /// The most there is of it.
    pub bound: Bound,
    /// The rule tables that test it, and by which key.
    pub keys: &'static [(Family, &'static str)],
    /// What it tells, where rules test it.
    pub tells: Tells,
    /// Its place in [`EXPLAINED`], if it is there.
    pub explained: Option<u8>,
    /// Its place in [`RECORDED`], if it is there.
    pub recorded: Option<u8>,
    value: for<'a> fn(&'a Facts) -> Option<Value<'a>>,
    heap: fn(&Facts) -> usize,
    absorb: fn(&mut Facts, &mut Facts),
}

impl Field {
    /// What `facts` say of it.
    #[inline]
    pub fn of<'a>(&self, facts: &'a Facts) -> Option<Value<'a>> {
        (self.value)(facts)
    }

    /// Bytes it has on the heap, the struct it is a member of left aside, about.
    pub(super) fn heap(&self, facts: &Facts) -> usize {
        (self.heap)(facts)
    }

    /// Moves it from `inside` to `facts`, if it is there.
    pub(super) fn absorb(&self, facts: &mut Facts, inside: &mut Facts) {
        (self.absorb)(facts, inside);
    }

    /// The row that the rule table of `family` tests by `key`.
    pub fn by_key(family: Family, key: &str) -> Option<&'static Self> {
        FIELDS
            .iter()
            .find(|field| field.keys.contains(&(family, key)))
    }

    /// Shown by `explain` under `label`, one of [`EXPLAINED`].
    const fn explained(self, label: &str) -> Self {
        Self {
            explained: Some(place(EXPLAINED, label)),
            ..self
        }
    }

    /// Shown in records, its name being one of [`RECORDED`].
    const fn recorded(self) -> Self {
        Self {
            recorded: Some(place(RECORDED, self.name)),
            ..self
        }
    }

    const fn tested(self, keys: &'static [(Family, &'static str)]) -> Self {
        Self { keys, ..self }
    }

    const fn telling(self, tells: Tells) -> Self {
        Self { tells, ..self }
    }
}

/// `field!(name, family, bound, member)`; the member may be in a struct that is boxed.
macro_rules! field {
    ($name:literal, $family:ident, $bound:expr, $member:ident) => {
        Field {
            name: $name,
            family: Family::$family,
            bound: $bound,
            keys: &[],
            tells: Tells::Text,
            explained: None,
            recorded: None,
            value: |facts| facts.$member.value(),
            heap: |facts| facts.$member.heap(),
            absorb: |facts, inside| facts.$member.absorb(&mut inside.$member),
        }
    };
    ($name:literal, $family:ident, $bound:expr, $boxed:ident.$($member:ident).+) => {
        Field {
            value: |facts| facts.$boxed.as_deref()?.$($member).+.value(),
            heap: |facts| match facts.$boxed.as_deref() {
                Some(boxed) => boxed.$($member).+.heap(),
                None => 0,
            },
            absorb: |facts, inside| {
                if let Some(inside) = inside.$boxed.as_deref_mut() {
                    let facts = facts.$boxed.get_or_insert_default();
                    facts.$($member).+.absorb(&mut inside.$($member).+);
                }
            },
            ..field!($name, $family, $bound, server_name)
        }
    };
}

/// A name, another text, a number.
const NAME: Bound = list(1, 255);
const TEXT: Bound = list(1, 512);
const ONE: Bound = list(1, 0);

const fn list(entries: u16, bytes: u16) -> Bound {
    Bound { bytes, entries }
}

/// The facts `explain` shows, as it calls them and in its order. Of the rows under one label the first
/// that says something counts.
pub const EXPLAINED: &[&str] = &[
    "server name",
    "ja4",
    "certificate name",
    "certificate organisation",
    "method",
    "path",
    "user agent",
    "server",
    "content type",
    "upgrade",
    "query name",
    "software",
    "client identifier",
    "alpn",
    "encrypted client hello",
    "quic version",
    "destination",
    "stun types",
    "stun attributes",
    "stun realm",
    "stun software",
    "cookie domain",
];

/// The facts a record shows, by name and in its order. Of the rows of one name the first that says
/// something counts.
pub const RECORDED: &[&str] = &[
    "server_name",
    "alpn",
    "ja4",
    "user_agent",
    "query_name",
    "ech",
];

/// The place of `name` in `names`; beyond its end if it is not there, which a test refuses.
const fn place(names: &[&str], name: &str) -> u8 {
    let [first, rest @ ..] = names else {
        return 0;
    };
    match is_same(first.as_bytes(), name.as_bytes()) {
        true => 0,
        false => 1 + place(rest, name),
    }
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([a, one @ ..], [b, other @ ..]) => *a == *b && is_same(one, other),
        _ => false,
    }
}

/// Where the rows of each family begin.
static STARTS: [usize; Family::ALL.len()] = starts();

const fn starts() -> [usize; Family::ALL.len()] {
    let mut starts = [0; Family::ALL.len()];
    let mut rows: &[Field] = &ROWS;
    while let [row, rest @ ..] = rows {
        let mut later: &mut [usize] = &mut starts;
        let mut before = 0;
        while let [start, others @ ..] = later {
            if before > row.family as usize {
                *start += 1;
            }
            before += 1;
            later = others;
        }
        rows = rest;
    }
    starts
}

/// Every fact but what is spoken and by whom, family by family. HTTP comes last: of the protocols that
/// have a User-Agent it alone carries others, and what is behind a proxy goes before what the proxy was
/// asked.
pub static FIELDS: &[Field] = &ROWS;

const ROWS: [Field; 59] = [
    field!("server_name", Any, NAME, server_name)
        .tested(&[(Family::Tls, "server_name"), (Family::Http, "host")])
        .telling(Tells::Host)
        .explained("server name")
        .recorded(),
    field!("destination", Any, ONE, destination).explained("destination"),
    field!("rtp_payload_type", Rtp, ONE, rtp_payload_type),
    field!("alpn", Tls, list(32, 255), tls.alpn)
        .tested(&[(Family::Tls, "alpn")])
        .explained("alpn")
        .recorded(),
    field!("ja4", Tls, TEXT, tls.ja4)
        .tested(&[(Family::Tls, "ja4")])
        .telling(Tells::Fingerprint)
        .explained("ja4")
        .recorded(),
    field!("ech", Tls, ONE, tls.ech)
        .explained("encrypted client hello")
        .recorded(),
    field!("tls_version", Tls, ONE, tls.version),
    field!("common_name", Tls, TEXT, tls.certificate.common_name)
        .tested(&[(Family::Tls, "common_name")])
        .telling(Tells::Host)
        .explained("certificate name"),
    field!("organisation", Tls, TEXT, tls.certificate.organisation)
        .tested(&[(Family::Tls, "organisation")])
        .telling(Tells::Owner)
        .explained("certificate organisation"),
    field!("issuer", Tls, TEXT, tls.certificate.issuer)
        .tested(&[(Family::Tls, "issuer")])
        .telling(Tells::Owner),
    field!(
        "issuer_organisation",
        Tls,
        TEXT,
        tls.certificate.issuer_organisation
    )
    .tested(&[(Family::Tls, "issuer_organisation")])
    .telling(Tells::Owner),
    field!(
        "alternative",
        Tls,
        list(32, 255),
        tls.certificate.alternative
    )
    .tested(&[(Family::Tls, "alternative")])
    .telling(Tells::Host),
    field!("quic_version", Quic, ONE, quic.version).explained("quic version"),
    field!("user_agent", Quic, TEXT, quic.user_agent)
        .explained("user agent")
        .recorded(),
    field!("query_name", Dns, NAME, dns.query_name)
        .explained("query name")
        .recorded(),
    field!("query_type", Dns, ONE, dns.query_type),
    field!("types", Stun, list(16, 0), stun.types)
        .tested(&[(Family::Stun, "type")])
        .explained("stun types"),
    field!("attributes", Stun, list(32, 0), stun.attributes)
        .tested(&[(Family::Stun, "attribute")])
        .explained("stun attributes"),
    field!("realm", Stun, TEXT, stun.realm)
        .tested(&[(Family::Stun, "realm")])
        .explained("stun realm"),
    field!("software", Stun, TEXT, stun.software)
        .tested(&[(Family::Stun, "software")])
        .explained("stun software"),
    field!("username", Stun, TEXT, stun.username).tested(&[(Family::Stun, "username")]),
    field!("origin", Stun, TEXT, stun.origin).tested(&[(Family::Stun, "origin")]),
    field!("addresses", Stun, list(8, 0), stun.addresses),
    field!("classic", Stun, ONE, stun.classic),
    field!("request_host", Sip, NAME, sip.request_host).tested(&[(Family::Sip, "request_host")]),
    field!("from_host", Sip, NAME, sip.from_host).tested(&[(Family::Sip, "from_host")]),
    field!("to_host", Sip, NAME, sip.to_host).tested(&[(Family::Sip, "to_host")]),
    field!("user_agent", Sip, TEXT, sip.user_agent)
        .tested(&[(Family::Sip, "user_agent")])
        .explained("user agent")
        .recorded(),
    field!("contact", Sip, TEXT, sip.contact).tested(&[(Family::Sip, "contact")]),
    field!("server", Sip, TEXT, sip.server).tested(&[(Family::Sip, "server")]),
    field!("method", Sip, TEXT, sip.method)
        .tested(&[(Family::Sip, "method")])
        .explained("method"),
    field!("status", Sip, ONE, sip.status),
    field!("software", Sip, TEXT, sip.software).explained("software"),
    field!("method", Rtsp, TEXT, rtsp.method).explained("method"),
    field!("user_agent", Rtsp, TEXT, rtsp.user_agent)
        .explained("user agent")
        .recorded(),
    field!("server", Rtsp, TEXT, rtsp.server).explained("server"),
    field!("method", Ssdp, TEXT, ssdp.method).explained("method"),
    field!("status", Ssdp, ONE, ssdp.status),
    field!("user_agent", Ssdp, TEXT, ssdp.user_agent)
        .explained("user agent")
        .recorded(),
    field!("server", Ssdp, TEXT, ssdp.server).explained("server"),
    field!("target", Ssdp, TEXT, ssdp.target),
    field!("path", Rtmp, TEXT, rtmp.app).explained("path"),
    field!("user_agent", Rtmp, TEXT, rtmp.user_agent)
        .explained("user agent")
        .recorded(),
    field!("referer", Rtmp, NAME, rtmp.referer),
    field!("client_id", Mqtt, TEXT, mqtt.client_id).explained("client identifier"),
    // Who somebody is: neither shown nor recorded, as STUN's.
    field!("user_name", Mqtt, TEXT, mqtt.user_name),
    field!("server", Banner, TEXT, banner.server).explained("server"),
    field!("software", Banner, TEXT, banner.software).explained("software"),
    field!("user_agent", Http, TEXT, http.user_agent)
        .tested(&[(Family::Http, "user_agent")])
        .explained("user agent")
        .recorded(),
    field!("path", Http, TEXT, http.path)
        .tested(&[(Family::Http, "path")])
        .explained("path"),
    field!("method", Http, TEXT, http.method)
        .tested(&[(Family::Http, "method")])
        .explained("method"),
    field!("upgrade", Http, TEXT, http.upgrade)
        .tested(&[(Family::Http, "upgrade")])
        .explained("upgrade"),
    field!("content_type", Http, TEXT, http.content_type)
        .tested(&[(Family::Http, "content_type")])
        .explained("content type"),
    field!("server", Http, TEXT, http.server)
        .tested(&[(Family::Http, "server")])
        .explained("server"),
    field!("headers", Http, list(32, 256), http.headers).tested(&[(Family::Http, "header")]),
    field!("referer", Http, NAME, http.referer),
    field!("cookie_domains", Http, list(4, 255), http.cookie_domains).explained("cookie domain"),
    field!("status", Http, ONE, http.status),
    field!("announced", Http, ONE, http.announced),
];
