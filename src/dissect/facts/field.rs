//! The table of facts: a row for each member of [`Facts`] and of the structs it points to.

use super::Facts;
use super::value::{Fact, Value};
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
    Http,
    Dns,
    Stun,
    Sip,
    Rtsp,
    Ssdp,
    Rtmp,
    Mqtt,
    Banner,
}

impl Family {
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

/// The most there is of a fact: every dissector keeps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of a text, or of each text of a list.
    pub bytes: usize,
    /// Entries of a list.
    pub entries: usize,
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
    /// What it is called in records; rules and `explain` have names of their own, as one fact may
    /// stand beside others there.
    pub name: &'static str,
    /// What it is read from.
    pub family: Family,
    /// The most there is of it.
    pub bound: Bound,
    /// The rule tables that test it, and by which key.
    pub keys: &'static [(Family, &'static str)],
    /// What it tells, where rules test it.
    pub tells: Tells,
    /// What `explain` calls it, if it shows it.
    pub explained: Option<&'static str>,
    /// Its place among what records show, if they do. Rows with one place have one name, and the
    /// first that says something counts.
    pub recorded: Option<usize>,
    value: for<'a> fn(&'a Facts) -> Option<Value<'a>>,
    absorb: fn(&mut Facts, &mut Facts),
}

impl Field {
    /// What `facts` say of it.
    #[inline]
    pub fn of<'a>(&self, facts: &'a Facts) -> Option<Value<'a>> {
        (self.value)(facts)
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

    const fn explained(self, label: &'static str) -> Self {
        Self {
            explained: Some(label),
            ..self
        }
    }

    const fn recorded(self, place: usize) -> Self {
        Self {
            recorded: Some(place),
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
            absorb: |facts, inside| facts.$member.absorb(&mut inside.$member),
        }
    };
    ($name:literal, $family:ident, $bound:expr, $boxed:ident.$($member:ident).+) => {
        Field {
            value: |facts| facts.$boxed.as_deref()?.$($member).+.value(),
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

const fn list(entries: usize, bytes: usize) -> Bound {
    Bound { bytes, entries }
}

/// Every fact but what is spoken and by whom, in the order `explain` shows them. Rows of one name
/// stand together; of these HTTP's comes last, as what is behind a proxy goes before what the proxy
/// was asked.
pub static FIELDS: &[Field] = &[
    field!("server_name", Any, NAME, server_name)
        .tested(&[(Family::Tls, "server_name"), (Family::Http, "host")])
        .telling(Tells::Host)
        .explained("server name")
        .recorded(0),
    field!("ja4", Tls, TEXT, tls.ja4)
        .tested(&[(Family::Tls, "ja4")])
        .telling(Tells::Fingerprint)
        .explained("ja4")
        .recorded(2),
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
    field!("tls_version", Tls, ONE, tls.version),
    field!("method", Sip, TEXT, sip.method)
        .tested(&[(Family::Sip, "method")])
        .explained("method"),
    field!("method", Rtsp, TEXT, rtsp.method).explained("method"),
    field!("method", Ssdp, TEXT, ssdp.method).explained("method"),
    field!("method", Http, TEXT, http.method)
        .tested(&[(Family::Http, "method")])
        .explained("method"),
    field!("path", Rtmp, TEXT, rtmp.app).explained("path"),
    field!("path", Http, TEXT, http.path)
        .tested(&[(Family::Http, "path")])
        .explained("path"),
    field!("user_agent", Quic, TEXT, quic.user_agent)
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Sip, TEXT, sip.user_agent)
        .tested(&[(Family::Sip, "user_agent")])
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Rtsp, TEXT, rtsp.user_agent)
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Ssdp, TEXT, ssdp.user_agent)
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Rtmp, TEXT, rtmp.user_agent)
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Mqtt, TEXT, mqtt.user_name)
        .explained("user agent")
        .recorded(3),
    field!("user_agent", Http, TEXT, http.user_agent)
        .tested(&[(Family::Http, "user_agent")])
        .explained("user agent")
        .recorded(3),
    field!("server", Sip, TEXT, sip.server).tested(&[(Family::Sip, "server")]),
    field!("server", Rtsp, TEXT, rtsp.server).explained("server"),
    field!("server", Ssdp, TEXT, ssdp.server).explained("server"),
    field!("server", Banner, TEXT, banner.server).explained("server"),
    field!("server", Http, TEXT, http.server)
        .tested(&[(Family::Http, "server")])
        .explained("server"),
    field!("content_type", Http, TEXT, http.content_type)
        .tested(&[(Family::Http, "content_type")])
        .explained("content type"),
    field!("upgrade", Http, TEXT, http.upgrade)
        .tested(&[(Family::Http, "upgrade")])
        .explained("upgrade"),
    field!("headers", Http, list(32, 256), http.headers).tested(&[(Family::Http, "header")]),
    field!("referer", Rtmp, NAME, rtmp.referer),
    field!("referer", Http, NAME, http.referer),
    field!("status", Sip, ONE, sip.status),
    field!("status", Ssdp, ONE, ssdp.status),
    field!("status", Http, ONE, http.status),
    field!("announced", Http, ONE, http.announced),
    field!("query_name", Dns, NAME, dns.query_name)
        .explained("query name")
        .recorded(4),
    field!("query_type", Dns, ONE, dns.query_type),
    field!("software", Sip, TEXT, sip.software).explained("software"),
    field!("software", Mqtt, TEXT, mqtt.client_id).explained("software"),
    field!("software", Banner, TEXT, banner.software).explained("software"),
    field!("alpn", Tls, list(32, 255), tls.alpn)
        .tested(&[(Family::Tls, "alpn")])
        .explained("alpn")
        .recorded(1),
    field!("ech", Tls, ONE, tls.ech)
        .explained("encrypted client hello")
        .recorded(5),
    field!("quic_version", Quic, ONE, quic.version).explained("quic version"),
    field!("destination", Any, ONE, destination).explained("destination"),
    field!("types", Stun, list(16, 0), stun.types)
        .tested(&[(Family::Stun, "type")])
        .explained("stun types"),
    field!("attributes", Stun, list(32, 0), stun.attributes)
        .tested(&[(Family::Stun, "attribute")])
        .explained("stun attributes"),
    field!("realm", Stun, TEXT, stun.realm)
        .tested(&[(Family::Stun, "realm")])
        .explained("stun realm"),
    field!("stun_software", Stun, TEXT, stun.software)
        .tested(&[(Family::Stun, "software")])
        .explained("stun software"),
    field!("username", Stun, TEXT, stun.username).tested(&[(Family::Stun, "username")]),
    field!("origin", Stun, TEXT, stun.origin).tested(&[(Family::Stun, "origin")]),
    field!("addresses", Stun, list(8, 0), stun.addresses),
    field!("classic", Stun, ONE, stun.classic),
    field!("request_host", Sip, NAME, sip.request_host).tested(&[(Family::Sip, "request_host")]),
    field!("from_host", Sip, NAME, sip.from_host).tested(&[(Family::Sip, "from_host")]),
    field!("to_host", Sip, NAME, sip.to_host).tested(&[(Family::Sip, "to_host")]),
    field!("contact", Sip, TEXT, sip.contact).tested(&[(Family::Sip, "contact")]),
    field!("target", Ssdp, TEXT, ssdp.target),
    field!("rtp_payload_type", Rtp, ONE, rtp_payload_type),
];

/// How many facts a record shows.
pub const RECORDED: usize = 6;
