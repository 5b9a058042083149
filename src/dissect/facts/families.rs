//! What is read of flows: a struct for each family of protocols.

use std::net::IpAddr;

use super::super::tls::ja4::Ja4;
use crate::app::Proto;

/// What was read in one flow's opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The protocol spoken: the innermost one that is sure (`http`, not `tcp`).
    pub proto: Option<Proto>,
    /// The payload shows that the side taken for the client is the server.
    pub swapped: bool,
    /// RTP: payload type. Not worth a box.
    pub rtp_payload_type: Option<u8>,
    /// The name of the server the client asked for, lower case, without port or trailing dot:
    /// TLS/QUIC SNI, HTTP Host or `:authority`, SMTP/XMPP/RTSP/RTMP target, ...
    pub server_name: Option<Box<str>>,
    /// SOCKS, HTTP CONNECT, PROXY protocol: what is behind the proxy.
    pub destination: Option<Box<Destination>>,
    /// TLS, and what carries its hello: DTLS, QUIC.
    pub tls: Option<Box<Tls>>,
    /// QUIC and gQUIC.
    pub quic: Option<Box<Quic>>,
    /// HTTP/1, HTTP/2, WebSocket's handshake.
    pub http: Option<Box<Http>>,
    /// DNS and its kin: multicast DNS, LLMNR, NetBIOS, DNSCrypt.
    pub dns: Option<Box<Dns>>,
    /// STUN and TURN.
    pub stun: Option<Box<Stun>>,
    /// SIP and its dialects.
    pub sip: Option<Box<Sip>>,
    /// RTSP.
    pub rtsp: Option<Box<Rtsp>>,
    /// SSDP.
    pub ssdp: Option<Box<Ssdp>>,
    /// RTMP.
    pub rtmp: Option<Box<Rtmp>>,
    /// MQTT.
    pub mqtt: Option<Box<Mqtt>>,
    /// Protocols whose ends say what they run: SSH, mail, FTP, databases, DHCP, BitTorrent.
    pub banner: Option<Box<Banner>>,
}

/// An address behind a proxy, as far as the proxy was told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The address.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

/// What the hellos of TLS, DTLS and QUIC showed, and the certificate after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Protocols offered in ALPN (by the client), in order, the first 32.
    pub alpn: Vec<Box<str>>,
    /// JA4 of the ClientHello.
    pub ja4: Option<Ja4>,
    /// The ClientHello has `encrypted_client_hello` (or the older `encrypted_server_name`).
    pub ech: bool,
    /// Highest version offered or, once known, chosen (0x0303 is TLS 1.2, 0x0304 is 1.3).
    pub version: Option<u16>,
    /// TLS/DTLS up to 1.2: names in the server's certificate.
    pub certificate: Names,
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

/// What QUIC says beside the hello it carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quic {
    /// Version of the long header.
    pub version: Option<u32>,
    /// The client's User-Agent: UAID of gQUIC, `user_agent` of the transport parameters.
    pub user_agent: Option<Box<str>>,
}

/// What the first request and its response showed (RFC 9110).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Request method.
    pub method: Option<Box<str>>,
    /// The request target's path and query, as sent.
    pub path: Option<Box<str>>,
    /// User-Agent.
    pub user_agent: Option<Box<str>>,
    /// The response's Server.
    pub server: Option<Box<str>>,
    /// Content-Type of the response (or of the request when there is none).
    pub content_type: Option<Box<str>>,
    /// `Upgrade` of the request, lower case (`websocket`, `mmtls`).
    pub upgrade: Option<Box<str>>,
    /// `Referer` or `Origin` host, lower case. Says who asked, not whose traffic it is.
    pub referer: Option<Box<str>>,
    /// Names of further request headers and their values, those that signatures may test, the
    /// first 32.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Domains of the cookies in the response, lower case, different ones, the first 4: clients take only
    /// those that the server's name is in (RFC 6265 section 5.3).
    pub cookie_domains: Vec<Box<str>>,
    /// Response status code.
    pub status: Option<u16>,
    /// WebSocket: the protocol that both sides agreed to speak inside.
    pub announced: Option<Proto>,
}

/// What a query of the DNS family asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The name asked for.
    pub query_name: Option<Box<str>>,
    /// The type asked for.
    pub query_type: Option<u16>,
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
    pub addresses: Vec<std::net::SocketAddr>,
    /// The message length or cookie is RFC 3489's (no magic cookie).
    pub classic: bool,
}

/// What the start line and headers of SIP messages showed (RFC 3261).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sip {
    /// Request method.
    pub method: Option<Box<str>>,
    /// Response status code.
    pub status: Option<u16>,
    /// Host of the request URI, lower case.
    pub request_host: Option<Box<str>>,
    /// Host of From, lower case.
    pub from_host: Option<Box<str>>,
    /// Host of To, lower case.
    pub to_host: Option<Box<str>>,
    /// Contact header as sent.
    pub contact: Option<Box<str>>,
    /// User-Agent of who asks.
    pub user_agent: Option<Box<str>>,
    /// P-Access-Network-Info, Server and other vendor texts.
    pub server: Option<Box<str>>,
    /// SIP-C: the client's product.
    pub software: Option<Box<str>>,
}

/// What the first request and its response showed (RFC 2326, RFC 7826).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rtsp {
    /// Request method.
    pub method: Option<Box<str>>,
    /// User-Agent.
    pub user_agent: Option<Box<str>>,
    /// The response's Server.
    pub server: Option<Box<str>>,
}

/// What the first message showed (UPnP Device Architecture 2.0, section 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssdp {
    /// Request method.
    pub method: Option<Box<str>>,
    /// Response status code.
    pub status: Option<u16>,
    /// User-Agent of who searches.
    pub user_agent: Option<Box<str>>,
    /// Server of who answers or announces.
    pub server: Option<Box<str>>,
    /// ST or NT: what is searched for, or announced.
    pub target: Option<Box<str>>,
}

/// What the command `connect` says (Adobe RTMP 1.0, section 7.2.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rtmp {
    /// `app`: the application on the server.
    pub app: Option<Box<str>>,
    /// `flashVer`: what the client is.
    pub user_agent: Option<Box<str>>,
    /// Host of `pageUrl`, lower case. Says who asked, not whose traffic it is.
    pub referer: Option<Box<str>>,
}

/// What CONNECT says (MQTT 5.0, section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mqtt {
    /// The Client Identifier (section 3.1.3.1).
    pub client_id: Option<Box<str>>,
    /// The User Name (section 3.1.3.5): who somebody is, and with some cloud services what the client runs.
    pub user_name: Option<Box<str>>,
}

/// What the ends of a flow say they run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banner {
    /// SSH, FTP, SMTP, IMAP, POP3: the server's banner line.
    pub server: Option<Box<str>>,
    /// SSH: the client's identification string; other protocols: a version or product text.
    pub software: Option<Box<str>>,
}
