//! The ClientHello of TLS (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), as TLS over TCP,
//! QUIC and DTLS carry it: who is asked for, what is offered, and JA4.
//!
//! The neighbours put the message together from records, CRYPTO frames or datagrams; this file
//! reads it once it is whole. Nothing is written to [`Facts`] before that.

use super::ja4::{self, is_grease};
use super::over::HelloOver;
use crate::dissect::Facts;
use crate::dissect::host::{host_name, text};
use crate::wire::reader::Reader;

/// What became of a handshake message taken for a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloRead {
    /// It is one, and the facts hold what it says.
    Complete,
    /// So far it is one, but its end is missing. The facts are untouched.
    NeedMore,
    /// It is none, whatever follows. The facts are untouched.
    NotAHello,
}

/// The handshake type `client_hello`.
pub(crate) const CLIENT_HELLO: u8 = 1;

/// The longest body: every vector of a ClientHello at its limit.
const MAX_BODY: usize = 2 + 32 + (1 + 32) + (1 + 255) + (2 + 65_534) + (1 + 255) + (2 + 65_535);

/// The shortest body: no session, one cipher suite, one compression method, no extensions.
const MIN_BODY: usize = 2 + 32 + 1 + (2 + 2) + (1 + 1);

/// Lists in [`Facts`] hold at most this many entries.
const MAX_LIST: usize = 32;

/// Entries of a list that are collected for a fingerprint: one more, and there is none.
const ENOUGH: usize = ja4::MAX_LIST + 1;

const SERVER_NAME: u16 = 0x0000;
const SIGNATURE_ALGORITHMS: u16 = 0x000d;
const ALPN: u16 = 0x0010;
pub(super) const SUPPORTED_VERSIONS: u16 = 0x002b;
/// RFC 9849.
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// Its forerunner, draft-ietf-tls-esni-00 to -06.
const ENCRYPTED_SERVER_NAME: u16 = 0xffce;

/// Reads `message`, a handshake message from its four-byte header on, which may be cut short.
pub(crate) fn read_client_hello(message: &[u8], over: HelloOver, facts: &mut Facts) -> HelloRead {
    read(message, over, false, facts)
}

/// Reads a message of which no more will come: the names in what there is of it are taken. A
/// fingerprint needs all of it. The answer is never [`HelloRead::NeedMore`].
pub(crate) fn read_cut_client_hello(
    message: &[u8],
    over: HelloOver,
    facts: &mut Facts,
) -> HelloRead {
    read(message, over, true, facts)
}

fn read(message: &[u8], over: HelloOver, ended: bool, facts: &mut Facts) -> HelloRead {
    let Some((body, len)) = open(message, over) else {
        return HelloRead::NotAHello;
    };
    let whole = len.and_then(|len| body.get(..len));
    if whole.is_none() && !ended {
        return HelloRead::NeedMore;
    }
    let Some(hello) = Hello::parse(whole.unwrap_or(body), over) else {
        return HelloRead::NotAHello;
    };
    hello.tell(over, whole.is_some(), facts);
    HelloRead::Complete
}

/// The server's name in a ClientHello at the front of `segment`, if it is there and in lower case, as
/// clients send it. Nothing is kept, nothing else is read.
pub(crate) fn name_in_hello(segment: &[u8]) -> Option<&str> {
    const RECORD: usize = 5;
    let (body, len) = open(segment.get(RECORD..)?, HelloOver::Tcp)?;
    let body = body.get(..len?).unwrap_or(body);
    let mut extensions = Reader::new(Hello::parse(body, HelloOver::Tcp)?.extensions);
    while let Some(kind) = extensions.be16() {
        let len = extensions.be16()?;
        let data = extensions.take(len.into())?;
        if kind == SERVER_NAME {
            let name = std::str::from_utf8(server_name(data)?).ok()?;
            let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
            return (is_lower && name.len() <= 255).then_some(name);
        }
    }
    None
}

/// The body so far and its length, where the header is whole; `None` when the bytes so far
/// cannot begin a ClientHello.
fn open(message: &[u8], over: HelloOver) -> Option<(&[u8], Option<usize>)> {
    let mut reader = Reader::new(message);
    match reader.u8() {
        None => return Some((&[], None)),
        Some(CLIENT_HELLO) => {}
        Some(_) => return None,
    }
    let Some(len) = reader.be24() else {
        return Some((&[], None));
    };
    let len = usize::try_from(len).ok()?;
    let body = reader.rest();
    let version_fits = reader
        .be16()
        .is_none_or(|version| is_hello_version(version, over));
    ((MIN_BODY..=MAX_BODY).contains(&len) && version_fits).then_some((body, Some(len)))
}

/// Whether a ClientHello may begin with `version`.
const fn is_hello_version(version: u16, over: HelloOver) -> bool {
    match over {
        HelloOver::Tcp => matches!(version, 0x0300..=0x0304),
        HelloOver::Quic => version == 0x0303,
        // 0x0100 is what OpenSSL before 0.9.8f sent, and what some VPN clients still do.
        HelloOver::Dtls => matches!(version, 0xfeff | 0xfefd | 0xfefc | 0x0100),
    }
}

/// The parts of a ClientHello that are read, borrowed from it.
struct Hello<'a> {
    version: u16,
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Hello<'a> {
    /// Reads `body`. Up to the extensions it must be sound and whole: that is what tells a
    /// hello from other bytes. The extensions may be cut.
    fn parse(body: &'a [u8], over: HelloOver) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader
            .be16()
            .filter(|&version| is_hello_version(version, over))?;
        reader.skip(32)?;
        let session_id = reader.u8().filter(|&len| len <= 32)?;
        reader.skip(session_id.into())?;
        if over == HelloOver::Dtls {
            let cookie = reader.u8()?;
            reader.skip(cookie.into())?;
        }
        let ciphers = reader.be16().filter(|&len| len >= 2 && len % 2 == 0)?;
        let ciphers = reader.take(ciphers.into())?;
        let compressions = reader.u8().filter(|&len| len >= 1)?;
        reader.skip(compressions.into())?;
        let extensions = match reader.be16() {
            Some(len) => reader.take(len.into()).unwrap_or_else(|| reader.rest()),
            None => &[],
        };
        Some(Self {
            version,
            ciphers,
            extensions,
        })
    }

    /// Writes to `facts` what it says; `whole` when nothing of it is missing.
    fn tell(&self, over: HelloOver, whole: bool, facts: &mut Facts) {
        let mut parts = ja4::Parts {
            over,
            version: self.version,
            ciphers: words(self.ciphers)
                .filter(|&suite| !is_grease(suite))
                .take(ENOUGH)
                .collect(),
            ..ja4::Parts::default()
        };
        let mut tls_version = self.version;
        let tls = facts.tls.get_or_insert_default();
        let mut alpn = Vec::new();
        let mut extensions = Reader::new(self.extensions);
        while let Some(kind) = extensions.be16() {
            let Some(data) = extensions
                .be16()
                .and_then(|len| extensions.take(len.into()))
            else {
                break;
            };
            if !is_grease(kind) && parts.extensions.len() < ENOUGH {
                parts.extensions.push(kind);
            }
            match kind {
                SERVER_NAME => {
                    parts.has_server_name = true;
                    if let Some(name) = server_name(data).and_then(host_name) {
                        facts.server_name = Some(name);
                    }
                }
                SIGNATURE_ALGORITHMS => {
                    let schemes = data.get(2..).unwrap_or_default();
                    let schemes = words(schemes).filter(|&it| !is_grease(it));
                    parts.signatures = schemes.take(ENOUGH).collect();
                }
                ALPN => {
                    parts.alpn = protocols(data)
                        .next()
                        .and_then(|first| first.first().copied().zip(first.last().copied()));
                    alpn = protocols(data)
                        .filter_map(|it| text(it, 255))
                        .take(MAX_LIST)
                        .collect();
                }
                SUPPORTED_VERSIONS => {
                    let offered =
                        || words(data.get(1..).unwrap_or_default()).filter(|&it| !is_grease(it));
                    if let Some(version) = highest(offered(), over) {
                        parts.version = version;
                    }
                    if let Some(version) = highest(offered().map(release), over) {
                        tls_version = version;
                    }
                }
                ENCRYPTED_CLIENT_HELLO | ENCRYPTED_SERVER_NAME => tls.ech = true,
                _ => {}
            }
        }
        tls.version = Some(tls_version);
        tls.alpn = alpn;
        if whole {
            tls.ja4 = parts.fingerprint();
        }
    }
}

/// The two-octet values of a vector; an odd octet at its end is nothing.
fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().map(|&pair| u16::from_be_bytes(pair))
}

/// The first host_name of a ServerNameList (RFC 6066 section 3).
fn server_name(data: &[u8]) -> Option<&[u8]> {
    let mut list = Reader::new(data);
    list.skip(2)?;
    loop {
        let kind = list.u8()?;
        let len = list.be16()?;
        let name = list.take(len.into())?;
        if kind == 0 {
            return Some(name);
        }
    }
}

/// The server name in a piece out of the middle of a ClientHello. Where in it the piece lies is not known, so
/// the extension has to prove itself (RFC 6066 section 3): its type, a list of one name, three lengths that
/// agree, and a host name of more than one label.
pub(crate) fn name_in_piece(piece: &[u8]) -> Option<Box<str>> {
    let found = |at: usize| {
        let mut reader = Reader::new(piece.get(at..)?);
        let &[
            0,
            0,
            extension_high,
            extension_low,
            list_high,
            list_low,
            0,
            high,
            low,
        ] = reader.array()?
        else {
            return None;
        };
        let extension = u16::from_be_bytes([extension_high, extension_low]);
        let list = u16::from_be_bytes([list_high, list_low]);
        let len = u16::from_be_bytes([high, low]);
        let agrees = list.checked_add(2) == Some(extension) && len.checked_add(3) == Some(list);
        let name = reader.take(len.into()).filter(|_| agrees)?;
        host_name(name).filter(|name| name.contains('.'))
    };
    (0..piece.len()).find_map(found)
}

/// The entries of a ProtocolNameList (RFC 7301 section 3.1).
fn protocols(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut list = Reader::new(data.get(2..).unwrap_or_default());
    std::iter::from_fn(move || {
        let len = list.u8()?;
        list.take(len.into())
    })
}

/// The highest of `versions`. Those of DTLS count downwards (RFC 9147 section 5.3).
fn highest(versions: impl Iterator<Item = u16>, over: HelloOver) -> Option<u16> {
    match over {
        HelloOver::Dtls => versions.min(),
        HelloOver::Tcp | HelloOver::Quic => versions.max(),
    }
}

/// The version that `version` is or was a draft of: 0x7fNN are the drafts of TLS 1.3 (RFC 8446
/// section 4.2.1.1), 0xfbNN those of one large deployment.
pub(super) const fn release(version: u16) -> u16 {
    match version >> 8 {
        0x7f | 0xfb => 0x0304,
        _ => version,
    }
}

#[cfg(test)]
#[path = "client_hello_tests.rs"]
pub(crate) mod tests;
