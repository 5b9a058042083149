//! Names: applications, protocols, services and categories, and the catalogue that numbers them.
//!
//! Inside the program a name is a small dense number, so that counters are arrays; what leaves
//! the program is the slug and, for applications, the stable number its signature file gives.

use std::collections::HashMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An application's place in its [`Catalog`]: dense, valid for one signature set only.
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
    DNSCRYPT "dnscrypt", KERBEROS "kerberos", LDAP "ldap", RADIUS "radius",
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
}

impl Service {
    /// Every service, in the order of [`Service`].
    pub const ALL: [Self; 13] = [
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

/// All names of one signature set, by number and by slug.
#[derive(Clone, Debug)]
pub struct Catalog {
    apps: Vec<App>,
    app_by_name: HashMap<Box<str>, AppId>,
    protocols: Vec<Box<str>>,
    protocol_by_name: HashMap<Box<str>, Proto>,
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
            app_by_name: HashMap::new(),
            protocols,
            protocol_by_name,
        }
    }
}

impl Catalog {
    /// Adds an application; `None` when its slug is taken or 65,535 are held already.
    pub fn add_app(&mut self, app: App) -> Option<AppId> {
        let id = AppId(
            u16::try_from(self.apps.len())
                .ok()
                .filter(|&n| n != u16::MAX)?,
        );
        if self.app_by_name.contains_key(&app.name) {
            return None;
        }
        self.app_by_name.insert(app.name.clone(), id);
        self.apps.push(app);
        Some(id)
    }

    /// The number of the protocol called `slug`, added if it is new.
    pub fn intern_protocol(&mut self, slug: &str) -> Proto {
        if let Some(&known) = self.protocol_by_name.get(slug) {
            return known;
        }
        // 65,535 protocols would need as many signature rules; the last number is shared past that.
        let id = Proto(u16::try_from(self.protocols.len()).unwrap_or(u16::MAX));
        if id.0 != u16::MAX {
            self.protocols.push(slug.into());
            self.protocol_by_name.insert(slug.into(), id);
        }
        id
    }

    /// The application called `slug`.
    pub fn app_named(&self, slug: &str) -> Option<AppId> {
        self.app_by_name.get(slug).copied()
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

    /// All applications in the order of their [`AppId`].
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// How many protocols have a number.
    pub fn protocol_count(&self) -> usize {
        self.protocols.len()
    }
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
        assert_eq!(catalog.add_app(app("a")), Some(AppId(0)));
        assert_eq!(catalog.add_app(app("b")), Some(AppId(1)));
        assert_eq!(catalog.add_app(app("a")), None);
        assert_eq!(catalog.app_name(AppId(1)), "b");
        assert_eq!(catalog.app_named("b"), Some(AppId(1)));
    }

    #[test]
    fn builtin_protocols_keep_their_numbers() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.protocol_name(Proto::TLS), "tls");
        assert_eq!(catalog.intern_protocol("quic"), Proto::QUIC);
        let new = catalog.intern_protocol("bacnet");
        assert_eq!(catalog.protocol_name(new), "bacnet");
        assert_eq!(catalog.intern_protocol("bacnet"), new);
    }

    #[test]
    fn services_are_listed_in_order() {
        assert!(Service::ALL.is_sorted());
    }
}
