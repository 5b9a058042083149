//! What dissectors learn from a flow's opening: all that a signature may test.
//!
//! Every text and list here is bounded by the dissector that fills it: names to 255 bytes, other
//! texts to 512, lists to 32 entries.

use std::net::{IpAddr, SocketAddr};

use crate::app::Proto;

/// What was read in one flow's opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The protocol spoken: the innermost one that is sure (`http`, not `tcp`).
    pub proto: Option<Proto>,
    /// The payload shows that the side taken for the client is the server.
    pub swapped: bool,
    /// The name of the server the client asked for, lower case, without port or trailing dot:
    /// TLS/QUIC SNI, HTTP Host or `:authority`, SMTP/XMPP/RTSP/RTMP target, ...
    pub server_name: Option<Box<str>>,
    /// TLS/QUIC/DTLS: protocols offered in ALPN (by the client), in order.
    pub alpn: Vec<Box<str>>,
    /// TLS/QUIC/DTLS: JA4 of the ClientHello.
    pub ja4: Option<Box<str>>,
    /// TLS: the ClientHello has `encrypted_client_hello` (or the older `encrypted_server_name`).
    pub ech: bool,
    /// TLS: highest version offered or, once known, chosen (0x0303 is TLS 1.2, 0x0304 is 1.3).
    pub tls_version: Option<u16>,
    /// TLS/DTLS up to 1.2: names in the server's certificate.
    pub certificate: Names,
    /// QUIC: version of the long header.
    pub quic_version: Option<u32>,
    /// HTTP/SIP/RTSP/...: request method.
    pub method: Option<Box<str>>,
    /// HTTP: request target's path and query, as sent.
    pub path: Option<Box<str>>,
    /// HTTP/SIP/QUIC (gQUIC UAID)/RTSP/RTMP: the client's User-Agent.
    pub user_agent: Option<Box<str>>,
    /// HTTP: the response's `Server`; SSH, FTP, SMTP, IMAP, POP3: the server's banner line.
    pub server: Option<Box<str>>,
    /// HTTP: Content-Type of the response (or of the request when there is none).
    pub content_type: Option<Box<str>>,
    /// HTTP: `Upgrade` of the request, lower case (`websocket`, `mmtls`).
    pub upgrade: Option<Box<str>>,
    /// HTTP: `Referer` or `Origin` host, lower case. Says who asked, not whose traffic it is.
    pub referer: Option<Box<str>>,
    /// HTTP: names of further request headers and their values, those that signatures may test.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// HTTP: response status code.
    pub status: Option<u16>,
    /// DNS family: the name asked for.
    pub query_name: Option<Box<str>>,
    /// DNS family: the type asked for.
    pub query_type: Option<u16>,
    /// STUN/TURN: what tells applications apart.
    pub stun: Option<Box<Stun>>,
    /// SIP family: what tells applications apart.
    pub sip: Option<Box<Sip>>,
    /// SSH: the client's identification string; other protocols: a version or product text.
    pub software: Option<Box<str>>,
    /// RTP: payload type; -1 is none.
    pub rtp_payload_type: Option<u8>,
    /// SOCKS, HTTP CONNECT, PROXY protocol: the address behind the proxy.
    pub destination_ip: Option<IpAddr>,
    /// The port to it.
    pub destination_port: Option<u16>,
    /// WebSocket: the protocol that both sides agreed to speak inside.
    pub announced: Option<Proto>,
    /// Peers this flow's signalling names (STUN XOR-PEER-ADDRESS, SDP `c=`/`m=`): media to come.
    pub media: Vec<SocketAddr>,
}

/// Names in a server's certificate (RFC 5280), lower case where they are domain names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Subject common name.
    pub common_name: Option<Box<str>>,
    /// Subject organisation.
    pub organisation: Option<Box<str>>,
    /// Issuer common name.
    pub issuer: Option<Box<str>>,
    /// Issuer organisation.
    pub issuer_organisation: Option<Box<str>>,
    /// dNSName entries of subjectAltName, the first 32.
    pub alternative: Vec<Box<str>>,
}

/// What STUN messages of a flow showed (RFC 8489, RFC 8656), over all messages seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stun {
    /// Message types seen, the first 16.
    pub types: Vec<u16>,
    /// Attribute types seen, the first 32.
    pub attributes: Vec<u16>,
    /// REALM, lower case.
    pub realm: Option<Box<str>>,
    /// SOFTWARE.
    pub software: Option<Box<str>>,
    /// USERNAME, as far as it is text.
    pub username: Option<Box<str>>,
    /// ORIGIN (draft) or the host of ALTERNATE-SERVER domain.
    pub origin: Option<Box<str>>,
    /// XOR-PEER-ADDRESS and XOR-MAPPED-ADDRESS values, the first 8.
    pub addresses: Vec<SocketAddr>,
    /// The message length or cookie is RFC 3489's (no magic cookie).
    pub classic: bool,
}

/// What the start line and headers of SIP messages showed (RFC 3261).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sip {
    /// Host of the request URI, lower case.
    pub request_host: Option<Box<str>>,
    /// Host of From, lower case.
    pub from_host: Option<Box<str>>,
    /// Host of To, lower case.
    pub to_host: Option<Box<str>>,
    /// Contact header as sent.
    pub contact: Option<Box<str>>,
    /// P-Access-Network-Info, Server and other vendor texts.
    pub server: Option<Box<str>>,
}

impl Stun {
    fn memory(&self) -> usize {
        let texts = [&self.realm, &self.software, &self.username, &self.origin];
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        size_of::<Self>()
            + 2 * (self.types.capacity() + self.attributes.capacity())
            + self.addresses.capacity() * size_of::<SocketAddr>()
            + texts.into_iter().map(text).sum::<usize>()
    }
}

impl Sip {
    fn memory(&self) -> usize {
        let texts = [
            &self.request_host,
            &self.from_host,
            &self.to_host,
            &self.contact,
            &self.server,
        ];
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        size_of::<Self>() + texts.into_iter().map(text).sum::<usize>()
    }
}

impl Facts {
    /// Adds what was read behind the protocol these facts are of. Where both say something, the
    /// inside is right; what is spoken, and by whom, stays.
    pub fn absorb(&mut self, inside: Self) {
        fn put<T>(to: &mut Option<T>, from: Option<T>) {
            if from.is_some() {
                *to = from;
            }
        }
        fn put_list<T>(to: &mut Vec<T>, from: Vec<T>) {
            if !from.is_empty() {
                *to = from;
            }
        }
        put(&mut self.server_name, inside.server_name);
        put_list(&mut self.alpn, inside.alpn);
        put(&mut self.ja4, inside.ja4);
        self.ech |= inside.ech;
        put(&mut self.tls_version, inside.tls_version);
        if inside.certificate != Names::default() {
            self.certificate = inside.certificate;
        }
        put(&mut self.quic_version, inside.quic_version);
        put(&mut self.method, inside.method);
        put(&mut self.path, inside.path);
        put(&mut self.user_agent, inside.user_agent);
        put(&mut self.server, inside.server);
        put(&mut self.content_type, inside.content_type);
        put(&mut self.upgrade, inside.upgrade);
        put(&mut self.referer, inside.referer);
        put_list(&mut self.headers, inside.headers);
        put(&mut self.status, inside.status);
        put(&mut self.query_name, inside.query_name);
        put(&mut self.query_type, inside.query_type);
        put(&mut self.stun, inside.stun);
        put(&mut self.sip, inside.sip);
        put(&mut self.software, inside.software);
        put(&mut self.rtp_payload_type, inside.rtp_payload_type);
        put(&mut self.destination_ip, inside.destination_ip);
        put(&mut self.destination_port, inside.destination_port);
        put(&mut self.announced, inside.announced);
        put_list(&mut self.media, inside.media);
    }

    /// Bytes they take, themselves included, about.
    pub fn memory(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let texts: usize = [
            &self.server_name,
            &self.ja4,
            &self.method,
            &self.path,
            &self.user_agent,
            &self.server,
            &self.content_type,
            &self.upgrade,
            &self.referer,
            &self.query_name,
            &self.software,
            &self.certificate.common_name,
            &self.certificate.organisation,
            &self.certificate.issuer,
            &self.certificate.issuer_organisation,
        ]
        .into_iter()
        .map(text)
        .sum();
        let list = |list: &Vec<Box<str>>| {
            list.capacity() * size_of::<Box<str>>()
                + list.iter().map(|text| text.len()).sum::<usize>()
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        size_of::<Self>()
            + texts
            + list(&self.alpn)
            + list(&self.certificate.alternative)
            + self.headers.capacity() * size_of::<(Box<str>, Box<str>)>()
            + headers.sum::<usize>()
            + self.media.capacity() * size_of::<SocketAddr>()
            + self.stun.as_deref().map_or(0, Stun::memory)
            + self.sip.as_deref().map_or(0, Sip::memory)
    }

    /// What was read, by name, for people.
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let texts = [
            ("server name", &self.server_name),
            ("ja4", &self.ja4),
            ("certificate name", &self.certificate.common_name),
            ("certificate organisation", &self.certificate.organisation),
            ("method", &self.method),
            ("path", &self.path),
            ("user agent", &self.user_agent),
            ("server", &self.server),
            ("content type", &self.content_type),
            ("upgrade", &self.upgrade),
            ("query name", &self.query_name),
            ("software", &self.software),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                lines.push((name, text.to_string()));
            }
        }
        if !self.alpn.is_empty() {
            lines.push(("alpn", self.alpn.join(", ")));
        }
        if self.ech {
            lines.push(("encrypted client hello", "offered".to_owned()));
        }
        if let Some(version) = self.quic_version {
            lines.push(("quic version", format!("{version:#010x}")));
        }
        match (self.destination_ip, self.destination_port) {
            (Some(ip), Some(port)) => {
                lines.push(("destination", SocketAddr::new(ip, port).to_string()));
            }
            (Some(ip), None) => lines.push(("destination", ip.to_string())),
            (None, Some(port)) => lines.push(("destination port", port.to_string())),
            (None, None) => {}
        }
        if let Some(stun) = &self.stun {
            let hex = |values: &[u16]| {
                values
                    .iter()
                    .map(|value| format!("{value:04x}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            lines.push(("stun types", hex(&stun.types)));
            lines.push(("stun attributes", hex(&stun.attributes)));
            for (name, text) in [
                ("stun realm", &stun.realm),
                ("stun software", &stun.software),
            ] {
                if let Some(text) = text {
                    lines.push((name, text.to_string()));
                }
            }
        }
        lines
    }
}
