//! The PROXY protocol (haproxy.org, proxy-protocol.txt, versions 1 and 2): a proxy says in front of
//! a connection, or of datagrams, whose it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::inside::{Framing, is_datagrams};
use super::{Facts, Inside, Outcome, host};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

/// Section 2.1: the longest header of version 1, with its line's end.
const MAX_LINE: usize = 107;

/// Section 2.2: what a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2 and the two commands.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Section 2.2.1: the name the client asked for, mostly of TLS.
const PP2_TYPE_AUTHORITY: u8 = 2;

/// What a header says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    len: usize,
    destination: Option<(IpAddr, u16)>,
    name: Option<Box<str>>,
}

enum Seen {
    Other,
    Short,
    Header(Header),
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let datagrams = is_datagrams(opening);
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        let bytes = if datagrams {
            stream.first()
        } else {
            stream.bytes
        };
        match look(bytes, datagrams) {
            Seen::Other => {}
            Seen::Short if datagrams || bytes.is_empty() => {}
            Seen::Short => return Outcome::NeedMore,
            Seen::Header(header) => {
                facts.proto = Some(Proto::HAPROXY);
                facts.swapped = side == Side::Server;
                facts.server_name = header.name;
                if let Some((ip, port)) = header.destination {
                    let destination = facts.destination.get_or_insert_default();
                    (destination.ip, destination.port) = (Some(ip), Some(port));
                }
                return Outcome::Wraps(match datagrams {
                    true => Inside::plain(Some(0), Some(0)).framed(Framing::ProxyDatagrams),
                    // Who is spoken to adds nothing.
                    false => Inside::plain(Some(header.len), Some(0)),
                });
            }
        }
    }
    Outcome::NotMine
}

/// A datagram without its header, if it has one.
pub(super) fn behind(datagram: &[u8]) -> &[u8] {
    match binary(datagram) {
        Seen::Header(header) => datagram.get(header.len..).unwrap_or_default(),
        _ => datagram,
    }
}

fn look(bytes: &[u8], datagrams: bool) -> Seen {
    match bytes.first() {
        None => Seen::Short,
        Some(b'P') if !datagrams => text(bytes),
        Some(b'\r') => binary(bytes),
        Some(_) => Seen::Other,
    }
}

/// Section 2.1: a line of words with a single space between them.
fn text(bytes: &[u8]) -> Seen {
    const PREFIX: &[u8] = b"PROXY ";
    let start = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(rest) = start.strip_prefix(PREFIX) else {
        return match PREFIX.starts_with(start) {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    let Some(end) = memchr::memmem::find(rest, b"\r\n") else {
        return match bytes.len() < MAX_LINE {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    let Some(Ok(line)) = rest.get(..end).map(std::str::from_utf8) else {
        return Seen::Other;
    };
    let len = PREFIX.len() + end + 2;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Seen::Header(Header {
            len,
            ..Header::default()
        });
    }
    match destination(line) {
        Some(destination) => Seen::Header(Header {
            len,
            destination: Some(destination),
            name: None,
        }),
        None => Seen::Other,
    }
}

/// The destination in `TCP4 source destination port port`, if all of it is as it must be.
fn destination(line: &str) -> Option<(IpAddr, u16)> {
    let mut words = line.split(' ');
    let family = words.next()?;
    let (from, to) = (words.next()?, words.next()?);
    let addresses: [IpAddr; 2] = match family {
        "TCP4" => [from, to].map(|text| text.parse().ok().map(Ipv4Addr::into)),
        "TCP6" => [from, to].map(|text| text.parse().ok().map(Ipv6Addr::into)),
        _ => return None,
    }
    .into_iter()
    .collect::<Option<Vec<_>>>()?
    .try_into()
    .ok()?;
    let _: u16 = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    words.next().is_none().then_some((addresses[1], port))
}

/// Section 2.2: the signature, version and command, family, length, addresses, then what else.
fn binary(bytes: &[u8]) -> Seen {
    let start = bytes.get(..SIGNATURE.len()).unwrap_or(bytes);
    if !SIGNATURE.starts_with(start) {
        return Seen::Other;
    }
    let mut reader = Reader::new(bytes);
    let mut head = || {
        reader.skip(SIGNATURE.len())?;
        Some((reader.u8()?, reader.u8()?, reader.be16()?))
    };
    let Some((command, family, len)) = head() else {
        return Seen::Short;
    };
    if !matches!(command, LOCAL | PROXY) || family >> 4 > 3 || family & 15 > 2 {
        return Seen::Other;
    }
    let Some(content) = reader.take(usize::from(len)) else {
        return Seen::Short;
    };
    let mut header = Header {
        len: bytes.len() - reader.left(),
        ..Header::default()
    };
    if command == PROXY {
        header.read(family >> 4, content);
    }
    Seen::Header(header)
}

impl Header {
    /// Reads addresses and what follows them, as far as it is as it must be.
    fn read(&mut self, family: u8, content: &[u8]) -> Option<()> {
        let mut reader = Reader::new(content);
        let address = match family {
            1 => {
                reader.skip(4)?;
                Some(IpAddr::from(*reader.array::<4>()?))
            }
            2 => {
                reader.skip(16)?;
                Some(IpAddr::from(*reader.array::<16>()?))
            }
            3 => {
                reader.skip(216)?;
                None
            }
            _ => None,
        };
        if let Some(address) = address {
            reader.skip(2)?;
            self.destination = Some((address, reader.be16()?));
        }
        while !reader.is_empty() {
            let (kind, len) = (reader.u8()?, reader.be16()?);
            let value = reader.take(usize::from(len))?;
            if kind == PP2_TYPE_AUTHORITY {
                self.name = host::host_name(value).filter(|name| !host::is_address(name));
            }
        }
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const BINARY: &str = "0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a";

    fn v2(rest: &str) -> Vec<u8> {
        hex(&format!("{BINARY} {rest}"))
    }

    fn plain(len: usize) -> Outcome {
        Outcome::Wraps(Inside::plain(Some(len), Some(0)))
    }

    /// What, header and what follows, length of the header, port behind it, name.
    type Case = (
        &'static str,
        Vec<u8>,
        usize,
        Option<u16>,
        Option<&'static str>,
    );

    fn recognised() -> Vec<Case> {
        vec![
            (
                "4",
                b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\nGET".to_vec(),
                45,
                Some(443),
                None,
            ),
            (
                "6",
                b"PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n".to_vec(),
                41,
                Some(80),
                None,
            ),
            ("unknown", b"PROXY UNKNOWN\r\n".to_vec(), 15, None, None),
            (
                "unknown, more",
                b"PROXY UNKNOWN x y\r\n".to_vec(),
                19,
                None,
                None,
            ),
            (
                "binary",
                v2("21 11 00 0c c0 00 02 01 c6 33 64 01 9c 40 01 bb 16"),
                28,
                Some(443),
                None,
            ),
            ("local", v2("20 00 00 00 16"), 16, None, None),
            (
                "of six, with a name",
                v2("21 21 00 2a 20*32 00 01 00 50 02 00 03 61 2e 62"),
                58,
                Some(80),
                Some("a.b"),
            ),
            ("socket", v2("21 31 00 d8 41*216"), 232, None, None),
            ("cut inside", v2("21 11 00 02 00 00"), 18, None, None),
        ]
    }

    #[test]
    fn headers_say_what_is_behind() {
        for (what, bytes, len, port, name) in recognised() {
            let trial = Trial::tcp(8443).client(&bytes);
            let facts = trial.facts(dissect);
            assert_eq!(trial.ask(dissect).0, plain(len), "{what}");
            assert_eq!(facts.proto, Some(Proto::HAPROXY), "{what}");
            let destination = facts.destination.as_deref();
            assert_eq!(destination.and_then(|it| it.port), port, "{what}");
            assert_eq!(facts.server_name.as_deref(), name, "{what}");
            assert!(trial.turned().facts(dissect).swapped, "{what}");
            Trial::tcp(8443)
                .client(&bytes[..len])
                .refused_below(len, dissect);
        }
        let (_, datagram, ..) = &recognised()[4];
        let trial = Trial::udp(53).client(datagram);
        let inside = Inside::plain(Some(0), Some(0)).framed(Framing::ProxyDatagrams);
        assert_eq!(trial.ask(dissect).0, Outcome::Wraps(inside));
        assert_eq!(behind(datagram), [0x16]);
        assert_eq!(behind(b"other"), b"other");
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, bytes) in [
            (
                "family",
                b"PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n".to_vec(),
            ),
            (
                "address",
                b"PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n".to_vec(),
            ),
            (
                "port",
                b"PROXY TCP4 192.0.2.1 198.51.100.1 1 70000\r\n".to_vec(),
            ),
            (
                "words",
                b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n".to_vec(),
            ),
            (
                "spaces",
                b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n".to_vec(),
            ),
            ("too long", [&b"PROXY UNKNOWN "[..], &[b'x'; 120]].concat()),
            ("SMTP", b"PROPFIND".to_vec()),
            ("version", v2("31 11 00 0c 00*12")),
            ("command", v2("22 11 00 0c 00*12")),
            ("other family", v2("21 41 00 0c 00*12")),
            ("signature", hex("0d 0a 0d 0a 00 0d 0a 51 55 49 54 0b")),
        ] {
            let trial = Trial::tcp(80).client(bytes).server("x");
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        let (outcome, _) = Trial::udp(80).client(b"PROXY UNKNOWN\r\n").ask(dissect);
        assert_eq!(outcome, Outcome::NotMine, "datagrams have no lines");
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised()
            .into_iter()
            .flat_map(|(_, bytes, ..)| {
                [Trial::tcp(80).client(&bytes), Trial::udp(53).client(&bytes)]
            })
            .collect();
        withstands(dissect, &seeds);
    }
}
