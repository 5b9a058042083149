//! Names: applications, protocols, services and categories, and the catalogue that numbers them.
//!
//! Inside the program a name is a small dense number, so that counters are arrays; what leaves
//! the program is the slug and, for applications, the stable number its signature file gives.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application's place in its [`Catalog`]: dense, and the same in every signature set that was
/// compiled after the one that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u16);

/// A protocol's place in its [`Catalog`]: what is spoken (`tls`, `quic`, `mmtls`), not whose it is.
///
/// The first ones are fixed (the associated constants); signature files may name more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proto(pub u16);

/// Declares the protocols that Rust code names; a signature file may use any of them or a new one.
macro_rules! protocols {
    ($($constant:ident $slug:literal,)*) => {
        impl Proto {
            $(#[doc = concat!("`", $slug, "`")] pub const $constant: Self = Self(Builtin::$constant as u16);)*
        }
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Builtin { $($constant,)* }
        /// The slugs of the fixed protocols, by number.
        pub const BUILTIN_PROTOCOLS: &[&str] = &[$($slug,)*];
    };
}

protocols! {
    TLS "tls", DTLS "dtls", QUIC "quic", GQUIC "gquic", HTTP "http", HTTP2 "http2", WEBSOCKET "websocket",
    DNS "dns", MDNS "mdns", LLMNR "llmnr", NETBIOS_NS "netbios-ns", NETBIOS_DGM "netbios-dgm",
    NETBIOS_SSN "netbios-ssn", STUN "stun", TURN "turn", RTP "rtp", RTCP "rtcp", SRTP "srtp", SIP "sip", SIP_C "sip-c",
    SSH "ssh", BITTORRENT "bittorrent", MMTLS "mmtls", OICQ "oicq", WHATSAPP_NOISE "whatsapp-noise",
    MTPROTO "mtproto", SMTP "smtp", IMAP "imap", POP3 "pop3", FTP "ftp", FTP_DATA "ftp-data", XMPP "xmpp",
    RTSP "rtsp", RTMP "rtmp", MQTT "mqtt", NTP "ntp", DHCP "dhcp", DHCPV6 "dhcpv6", SNMP "snmp",
    WIREGUARD "wireguard", OPENVPN "openvpn", IKE "ike", ESP "esp", AH "ah", SOCKS4 "socks4", SOCKS5 "socks5",
    SMB "smb", RDP "rdp", ICMP "icmp", ICMPV6 "icmpv6", IGMP "igmp", SCTP "sctp", OSPF "ospf", PIM "pim",
    VRRP "vrrp", GRE "gre", SSDP "ssdp", GTP_U "gtp-u", TEREDO "teredo", EGP "egp", PGM "pgm", DCCP "dccp",
    POSTGRES "postgres", MYSQL "mysql", MSSQL_TDS "mssql-tds", ORACLE "oracle", MONGODB "mongodb", CASSANDRA "cassandra",
    KAFKA "kafka", AMQP "amqp", REDIS "redis", NATS "nats", MEMCACHED "memcached", ISCSI "iscsi",
    DNSCRYPT "dnscrypt", KERBEROS "kerberos", LDAP "ldap", RADIUS "radius",
    HAPROXY "haproxy", IRC "irc", NNTP "nntp", SIEVE "sieve", STOMP "stomp",
}

/// What a user does inside an application, where the wire tells.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Service {
    Chat,
    Voice,
    Video,
    File,
    Login,
    Web,
    Music,
    Game,
    Mail,
    Update,
    Ads,
    Push,
    Vpn,
    Live,
    Telemetry,
    Upload,
}

impl Service {
    /// Every service, in the order of [`Service`].
    pub const ALL: [Self; 16] = [
        Self::Chat,
        Self::Voice,
        Self::Video,
        Self::File,
        Self::Login,
        Self::Web,
        Self::Music,
        Self::Game,
        Self::Mail,
        Self::Update,
        Self::Ads,
        Self::Push,
        Self::Vpn,
        Self::Live,
        Self::Telemetry,
        Self::Upload,
    ];

    /// The slug records carry.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::File => "file",
            Self::Login => "login",
            Self::Web => "web",
            Self::Music => "music",
            Self::Game => "game",
            Self::Mail => "mail",
            Self::Update => "update",
            Self::Ads => "ads",
            Self::Push => "push",
            Self::Vpn => "vpn",
            Self::Live => "live",
            Self::Telemetry => "telemetry",
            Self::Upload => "upload",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.slug())
    }
}

/// One application of the catalogue: the `[app]` table of its signature file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The number billing and IPFIX use: given once, never reused.
    pub id: u32,
    /// The slug: `wechat`.
    pub name: Box<str>,
    /// The name people know: `WeChat 微信`.
    pub title: Box<str>,
    /// The slug of what kind of application it is: `messaging`.
    pub category: Box<str>,
    /// Who runs it: `Tencent`.
    pub owner: Box<str>,
}

/// Why an application can have no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another application of the set has the slug.
    NameTaken,
    /// The slug was given before, with this stable number.
    OtherId(u32),
    /// There are 65,535 already, retired ones included.
    Full,
}

/// All names of one signature set, by number and by slug, and those of the sets before it: a number
/// once given keeps its name. A name that is in no file any more is retired: it can be looked up,
/// but is not listed.
#[derive(Clone, Debug)]
pub struct Catalog {
    apps: Vec<App>,
    /// For each application, whether it is of this set.
    current: Vec<bool>,
    /// By their slugs, which stand in `apps`.
    app_by_name: HashTable<AppId>,
    protocols: Vec<Box<str>>,
    protocol_by_name: HashMap<Box<str>, Proto, FixedState>,
}

impl Default for Catalog {
    fn default() -> Self {
        let protocols: Vec<Box<str>> = BUILTIN_PROTOCOLS.iter().map(|&slug| slug.into()).collect();
        let protocol_by_name = (0..)
            .map(Proto)
            .zip(&protocols)
            .map(|(id, p)| (p.clone(), id))
            .collect();
        Self {
            apps: Vec::new(),
            current: Vec::new(),
            app_by_name: HashTable::new(),
            protocols,
            protocol_by_name,
        }
    }
}

impl Catalog {
    /// A catalogue that goes on with the numbers of `previous`: all its applications are retired
    /// until they are added again.
    pub fn after(previous: &Self) -> Self {
        let mut catalog = previous.clone();
        catalog.current.fill(false);
        catalog
    }

    /// Adds an application, under the number it had before if it had one.
    ///
    /// # Errors
    ///
    /// Why it can have no number.
    pub fn add_app(&mut self, app: App) -> Result<AppId, Refused> {
        let id = match self.app_named(&app.name) {
            Some(known) => known,
            None => u16::try_from(self.apps.len())
                .ok()
                .filter(|&number| number != u16::MAX)
                .map(AppId)
                .ok_or(Refused::Full)?,
        };
        let place = usize::from(id.0);
        if let (Some(known), Some(current)) =
            (self.apps.get_mut(place), self.current.get_mut(place))
        {
            if *current {
                return Err(Refused::NameTaken);
            }
            if known.id != app.id {
                return Err(Refused::OtherId(known.id));
            }
            *known = app;
            *current = true;
        } else {
            self.apps.push(app);
            self.current.push(true);
            let apps = &self.apps;
            let hash_of = |id: &AppId| {
                let app = apps.get(usize::from(id.0));
                hash(app.map_or("", |app| &app.name))
            };
            self.app_by_name.insert_unique(hash_of(&id), id, hash_of);
        }
        Ok(id)
    }

    /// The number of the protocol called `slug`, added if it is new; `None` when there are 65,535
    /// already.
    pub fn intern_protocol(&mut self, slug: &str) -> Option<Proto> {
        if let Some(&known) = self.protocol_by_name.get(slug) {
            return Some(known);
        }
        let id = u16::try_from(self.protocols.len())
            .ok()
            .filter(|&number| number != u16::MAX)
            .map(Proto)?;
        self.protocols.push(slug.into());
        self.protocol_by_name.insert(slug.into(), id);
        Some(id)
    }

    /// The application called `slug`.
    pub fn app_named(&self, slug: &str) -> Option<AppId> {
        let is_it = |id: &AppId| self.app_name(*id) == slug;
        self.app_by_name.find(hash(slug), is_it).copied()
    }

    /// The protocol called `slug`.
    pub fn protocol_named(&self, slug: &str) -> Option<Proto> {
        self.protocol_by_name.get(slug).copied()
    }

    /// What the catalogue knows of `id`.
    pub fn app(&self, id: AppId) -> Option<&App> {
        self.apps.get(usize::from(id.0))
    }

    /// The slug of `id`; empty for a number of another catalogue.
    pub fn app_name(&self, id: AppId) -> &str {
        self.app(id).map_or("", |app| &app.name)
    }

    /// The slug of `proto`; empty for a number of another catalogue.
    pub fn protocol_name(&self, proto: Proto) -> &str {
        self.protocols
            .get(usize::from(proto.0))
            .map_or("", |slug| slug)
    }

    /// The slugs of all protocols that have a number.
    pub fn protocols(&self) -> impl Iterator<Item = &str> + Clone {
        self.protocols.iter().map(|slug| &**slug)
    }

    /// The applications of this set in the order of their [`AppId`]; retired ones are left out.
    pub fn apps(&self) -> impl Iterator<Item = (AppId, &App)> + Clone {
        (0..)
            .map(AppId)
            .zip(&self.apps)
            .filter(|&(id, _)| self.is_current(id))
    }

    /// How many applications are in this set; retired ones are not counted.
    pub fn app_count(&self) -> usize {
        self.apps().count()
    }

    /// Whether `id` is of this set; else it is retired, or of another catalogue.
    pub fn is_current(&self, id: AppId) -> bool {
        self.current
            .get(usize::from(id.0))
            .is_some_and(|&current| current)
    }

    /// Bytes it takes, about.
    pub fn memory(&self) -> usize {
        let texts =
            |app: &App| app.name.len() + app.title.len() + app.category.len() + app.owner.len();
        let apps: usize = self.apps.iter().map(texts).sum();
        let protocols: usize = self.protocols.iter().map(|slug| slug.len() * 2).sum();
        let of_app = size_of::<App>() + size_of::<AppId>() + 2;
        let of_protocol = size_of::<Box<str>>() + size_of::<(Box<str>, Proto)>() + 1;
        apps + protocols
            + self.apps.capacity().max(self.app_by_name.capacity()) * of_app
            + self
                .protocols
                .capacity()
                .max(self.protocol_by_name.capacity())
                * of_protocol
    }

    /// How many protocols have a number, those of earlier sets included.
    pub fn protocol_count(&self) -> usize {
        self.protocols.len()
    }
}

/// Slugs are ours, not a stranger's: there is no need for a secret.
fn hash(slug: &str) -> u64 {
    FixedState::default().hash_one(slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> App {
        App {
            id: 1,
            name: name.into(),
            title: name.into(),
            category: "x".into(),
            owner: "y".into(),
        }
    }

    #[test]
    fn numbers_are_dense_and_slugs_unique() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.add_app(app("a")), Ok(AppId(0)));
        assert_eq!(catalog.add_app(app("b")), Ok(AppId(1)));
        assert_eq!(catalog.add_app(app("a")), Err(Refused::NameTaken));
        assert_eq!(catalog.app_name(AppId(1)), "b");
        assert_eq!(catalog.app_named("b"), Some(AppId(1)));
    }

    #[test]
    fn numbers_outlive_their_set() {
        let mut first = Catalog::default();
        first.add_app(app("a")).unwrap();
        first.add_app(app("b")).unwrap();
        let bacnet = first.intern_protocol("bacnet").unwrap();
        let mut second = Catalog::after(&first);
        assert_eq!(second.app_count(), 0);
        assert_eq!(second.add_app(app("c")), Ok(AppId(2)));
        assert_eq!(
            second.add_app(App { id: 9, ..app("b") }),
            Err(Refused::OtherId(1))
        );
        let renamed = App {
            title: "B!".into(),
            ..app("b")
        };
        assert_eq!(second.add_app(renamed.clone()), Ok(AppId(1)));
        assert_eq!(second.add_app(renamed), Err(Refused::NameTaken));
        assert_eq!(second.app_name(AppId(0)), "a");
        assert!(!second.is_current(AppId(0)) && second.is_current(AppId(1)));
        let listed: Vec<_> = second.apps().map(|(id, app)| (id.0, &*app.title)).collect();
        assert_eq!(listed, [(1, "B!"), (2, "c")]);
        assert_eq!(second.protocol_name(bacnet), "bacnet");
        assert_eq!(second.intern_protocol("bacnet"), Some(bacnet));
    }

    #[test]
    fn a_full_catalogue_takes_only_what_it_knows() {
        let mut full = Catalog::default();
        for number in 0..u16::MAX {
            assert_eq!(full.add_app(app(&format!("a{number}"))), Ok(AppId(number)));
        }
        assert_eq!(full.add_app(app("one-more")), Err(Refused::Full));
        let mut next = Catalog::after(&full);
        assert_eq!(next.add_app(app("one-more")), Err(Refused::Full));
        assert_eq!(next.add_app(app("a7")), Ok(AppId(7)));
        while next
            .intern_protocol(&format!("p{}", next.protocol_count()))
            .is_some()
        {}
        assert_eq!(next.protocol_count(), usize::from(u16::MAX));
        assert_eq!(next.intern_protocol("tls"), Some(Proto::TLS));
    }

    #[test]
    fn builtin_protocols_keep_their_numbers() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.protocol_name(Proto::TLS), "tls");
        assert_eq!(catalog.intern_protocol("quic"), Some(Proto::QUIC));
        let new = catalog.intern_protocol("bacnet").unwrap();
        assert_eq!(catalog.protocol_name(new), "bacnet");
        assert_eq!(catalog.intern_protocol("bacnet"), Some(new));
    }

    #[test]
    fn services_are_listed_in_order() {
        assert!(Service::ALL.is_sorted());
    }
}
