//! TLS over TCP (RFC 8446, RFC 5246, and SSL down to 2.0): who is asked for, what is offered,
//! and, up to TLS 1.2, the names the server proves.
//!
//! `record` finds the handshake bytes in the two streams, `client_hello` and `certificate` read
//! them. Either side may be missing, and the capture may begin in the middle: then the records
//! themselves are what tells. Datagrams and QUIC share [`read_client_hello`].

mod certificate;
mod client_hello;
pub(in crate::dissect) mod ja4;
mod over;
mod record;
mod shows;
mod sslv2;

use std::borrow::Cow;

pub(crate) use certificate::{CERTIFICATE, CertificateRead, read_certificate};
pub(crate) use client_hello::{
    CLIENT_HELLO, HelloRead, name_in_hello, name_in_piece, read_client_hello, read_cut_client_hello,
};
pub use ja4::Ja4;
pub(crate) use over::HelloOver;
use record::{Chain, messages};
use shows::Shows;

use crate::app::Proto;
use crate::dissect::{Facts, Outcome};
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;

/// The handshake type `hello_request`: a type and a length of zero.
const HELLO_REQUEST: u8 = 0;

/// The handshake type `server_hello`.
pub(crate) const SERVER_HELLO: u8 = 2;

/// The handshake type `server_hello_done`.
pub(crate) const SERVER_HELLO_DONE: u8 = 14;

/// The handshake type `client_key_exchange`.
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// How many of a server's segments may come before the client's hello does.
const MAX_OVERTAKING: usize = 4;

/// How many messages of a server's are looked at for its certificate: its longest flight up to
/// TLS 1.2 has seven (RFC 5246 section 7.3, RFC 6066 section 8), and hello requests are empty.
const MAX_MESSAGES: usize = 32;

/// How many segments of a stream whose start was not seen are searched for a record.
const MAX_SEARCHED: usize = 8;

/// Reads the opening of a TCP flow.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if is_other(opening) {
        return Outcome::NotMine;
    }
    let (client, server) = (SideView::of(opening.client), SideView::of(opening.server));
    let swapped = (client.shows == Shows::ServerHello && server.shows != Shows::ServerHello)
        || (server.shows == Shows::ClientHello && client.shows != Shows::ClientHello);
    let (client, server) = if swapped {
        (server, client)
    } else {
        (client, server)
    };

    let asked = read_request(&client, facts);
    let sure = matches!(asked, Asked::Waiting | Asked::Read)
        || server.shows == Shows::ServerHello
        || is_chain(&client, &server);
    if !sure {
        let other = client.shows == Shows::Other || server.shows == Shows::Other;
        let over = client.stream.ended && server.stream.ended;
        return if other || over {
            Outcome::NotMine
        } else {
            Outcome::NeedMore
        };
    }
    facts.proto = Some(Proto::TLS);
    facts.swapped |= swapped;

    let answered = read_answer(&server, facts);
    let client_final = match asked {
        Asked::Read | Asked::Malformed => true,
        Asked::Waiting => false,
        Asked::Nothing => {
            let begun = client.chain.headers > 0 || client.stream.mid_stream;
            // Frames of the two directions may have been captured in another order than sent.
            let late = server.chain.encrypted && server.stream.count() > MAX_OVERTAKING;
            begun || client.stream.ended || late || server.stream.mid_stream
        }
    };
    let server_final = match answered {
        Answered::Read => true,
        Answered::Waiting => false,
        // The client would not go on without an answer: its half is not in the capture.
        Answered::Nothing => server.stream.ended || client.chain.encrypted,
    };
    if client_final && server_final {
        Outcome::Done
    } else if asked == Asked::Read && answered == Answered::Nothing {
        Outcome::UpToDate
    } else {
        Outcome::Partial
    }
}

/// Whether neither a record nor a hello of SSL 2.0 begins what was sent, told by the first octets.
fn is_other(opening: &Opening<'_>) -> bool {
    let (client, server) = (opening.client, opening.server);
    let is_other = |stream: Stream<'_>| {
        let first = stream.bytes.first();
        !stream.mid_stream && first.is_none_or(|first| !matches!(first, 20..=24 | 0x80..))
    };
    is_other(client) && is_other(server) && !(client.is_empty() && server.is_empty())
}

/// One stream and what there is in it.
struct SideView<'a> {
    stream: Stream<'a>,
    chain: Chain<'a>,
    /// The handshake bytes of `chain`, put together once: there may be a record for each.
    handshake: Cow<'a, [u8]>,
    shows: Shows,
}

impl<'a> SideView<'a> {
    fn of(stream: Stream<'a>) -> Self {
        let chain = Chain::of(stream);
        let handshake = chain.handshake();
        let searching = stream.mid_stream && !stream.ended && stream.count() < MAX_SEARCHED;
        let shows = if chain.headers > 0 {
            match hello_shown(&handshake) {
                Shows::Records if chain.broken && !searching => Shows::Other,
                Shows::Records if !stream.mid_stream && is_no_hello(&chain) => Shows::Other,
                shown => shown,
            }
        } else if let Some(shown) = sslv2::shown(stream.bytes) {
            shown
        } else if !chain.broken || searching {
            Shows::Nothing
        } else {
            Shows::Other
        };
        Self {
            stream,
            chain,
            handshake,
            shows,
        }
    }

    /// Whether it begins with a hello of SSL 2.0, outside of records.
    fn is_sslv2(&self) -> bool {
        self.chain.headers == 0
    }
}

/// The hello that the handshake bytes begin with, by its type, length and version.
fn hello_shown(handshake: &[u8]) -> Shows {
    let mut reader = Reader::new(handshake);
    let mut fields = || Some((reader.u8()?, reader.be24()?, reader.be16()?));
    match fields() {
        Some((CLIENT_HELLO, 41..=0x2_0400, 0x0300..=0x0304)) => Shows::ClientHello,
        // Servers of the drafts of TLS 1.3 answered with the draft's number.
        Some((SERVER_HELLO, 38..=0x1_0100, 0x0300..=0x0304 | 0x7f00..=0x7fff)) => {
            Shows::ServerHello
        }
        Some((CERTIFICATE, ..)) if is_server_certificate(handshake) => Shows::ServerHello,
        _ => Shows::Records,
    }
}

/// Whether the handshake, which begins in the clear, has a type that none begins with (a server may
/// ask for a hello: type 0), or that of a hello and a length or version that no hello has.
fn is_no_hello(chain: &Chain<'_>) -> bool {
    let handshake = chain.handshake();
    match *handshake {
        [] => false,
        [HELLO_REQUEST] => false,
        [HELLO_REQUEST, ref rest @ ..] => rest.iter().take(3).any(|&octet| octet != 0),
        [CLIENT_HELLO | SERVER_HELLO, first, ..] => first > 2 || handshake.len() >= 6,
        [kind, ..] => !matches!(kind, CLIENT_HELLO | SERVER_HELLO | CERTIFICATE),
    }
}

/// Whether `handshake` begins with a Certificate of a server, its three lengths agreeing. After
/// that of a client comes a ClientKeyExchange (RFC 5246 section 7.3).
fn is_server_certificate(handshake: &[u8]) -> bool {
    let mut reader = Reader::new(handshake);
    let mut lengths = || {
        reader.u8()?;
        Some((reader.be24()?, reader.be24()?, reader.be24()?))
    };
    let agree = lengths().is_some_and(|(message, list, first)| {
        first > 0 && list.checked_add(3) == Some(message) && first.saturating_add(3) <= list
    });
    let next = messages(handshake).nth(1).map(|message| message.kind);
    agree && next != Some(CLIENT_KEY_EXCHANGE)
}

/// Whether records alone prove TLS: two headers, each where the record before it ends (their
/// fixed bits are some 50), or one whole record that ends where the bytes end (some 35).
fn is_chain(client: &SideView<'_>, server: &SideView<'_>) -> bool {
    let contradicts = |side: &SideView<'_>| {
        side.chain.headers > 0 && (side.chain.broken || side.shows == Shows::Other)
    };
    if contradicts(client) || contradicts(server) {
        return false;
    }
    let no_other = client.shows != Shows::Other && server.shows != Shows::Other;
    let exact = client.chain.exact || server.chain.exact;
    // A stream whose start was seen does not begin with what is encrypted, and a handshake says by
    // six octets whether it is one: one header before less, of a record that is not whole, says nothing.
    let headers = |side: &SideView<'_>| {
        let is_open = side.chain.headers == 1 && !side.chain.exact && !side.stream.mid_stream;
        match is_open && (side.chain.encrypted || side.handshake.len() < 6) {
            true => 0,
            false => side.chain.headers,
        }
    };
    headers(client) + headers(server) >= 2 || exact && no_other
}

/// What became of the client's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// There is no hello.
    Nothing,
    /// Its end is missing.
    Waiting,
    /// What looked like one contradicts itself.
    Malformed,
    /// It is read.
    Read,
}

fn read_request(client: &SideView<'_>, facts: &mut Facts) -> Asked {
    if client.shows != Shows::ClientHello {
        return Asked::Nothing;
    }
    if facts.tls.as_ref().is_some_and(|tls| tls.ja4.is_some()) {
        // Read when the opening was shorter: hashing it again with every segment is for nothing.
        return Asked::Read;
    }
    if client.is_sslv2() {
        facts.tls.get_or_insert_default().version = sslv2::client_version(client.stream.bytes);
        return Asked::Read;
    }
    let cut = client.stream.ended || client.chain.encrypted || client.chain.broken;
    let read = if cut {
        read_cut_client_hello
    } else {
        read_client_hello
    };
    match read(&client.handshake, HelloOver::Tcp, facts) {
        HelloRead::Complete => Asked::Read,
        HelloRead::NeedMore => Asked::Waiting,
        HelloRead::NotAHello => Asked::Malformed,
    }
}

/// What became of the server's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    /// Nothing was seen of it.
    Nothing,
    /// More may be learnt from it.
    Waiting,
    /// All that can be learnt is.
    Read,
}

fn read_answer(server: &SideView<'_>, facts: &mut Facts) -> Answered {
    let ended = server.stream.ended || server.chain.encrypted || server.chain.closing;
    if server.shows == Shows::ServerHello && server.is_sslv2() {
        return read_certificate_of(sslv2::server_certificate(server.stream.bytes), ended, facts);
    }
    if server.chain.headers == 0 {
        return match server.shows {
            Shows::Other => Answered::Read,
            _ => Answered::Nothing,
        };
    }
    for message in messages(&server.handshake).take(MAX_MESSAGES) {
        match message.kind {
            SERVER_HELLO if message.whole => {
                let Some(version) = chosen_version(message.body) else {
                    return Answered::Read;
                };
                facts.tls.get_or_insert_default().version = Some(version);
                if version >= 0x0304 {
                    return Answered::Read; // The certificate is encrypted.
                }
            }
            CERTIFICATE => {
                return read_certificate_of(read_certificate(message.body, ended), ended, facts);
            }
            SERVER_HELLO_DONE => return Answered::Read,
            _ => {}
        }
    }
    if ended || server.chain.broken {
        Answered::Read
    } else {
        Answered::Waiting
    }
}

fn read_certificate_of(read: CertificateRead, ended: bool, facts: &mut Facts) -> Answered {
    match read {
        CertificateRead::Names(names) => {
            facts.tls.get_or_insert_default().certificate = names;
            Answered::Read
        }
        CertificateRead::NeedMore if ended => Answered::Read,
        CertificateRead::NeedMore => Answered::Waiting,
    }
}

/// The version a whole ServerHello (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3) chooses.
/// A HelloRetryRequest has the same form.
pub(crate) fn chosen_version(server_hello: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(server_hello);
    let legacy = client_hello::release(reader.be16()?);
    reader.skip(32)?;
    let after_version = reader;
    // Drafts of TLS 1.3 up to 21 had neither session nor compression; their number says enough.
    let mut supported_version = || {
        reader = after_version;
        let session_id = reader.u8()?;
        reader.skip(usize::from(session_id) + 2 + 1)?;
        let len = reader.be16()?;
        let mut extensions = reader.sub(len.into())?;
        loop {
            let kind = extensions.be16()?;
            let len = extensions.be16()?;
            let data = extensions.take(len.into())?;
            if kind == client_hello::SUPPORTED_VERSIONS {
                return Reader::new(data).be16();
            }
        }
    };
    Some(supported_version().map_or(legacy, client_hello::release))
}

#[cfg(test)]
pub(crate) mod tests;
