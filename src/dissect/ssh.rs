//! SSH (RFC 4253): the identification strings of both sides, or a key exchange in the middle.

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;

const PORT: u16 = 22;

const SSH_MSG_KEXINIT: u8 = 20;

/// What one side's bytes are.
enum Seen<'a> {
    Other,
    Short,
    /// The version is there, the line is not whole.
    Version,
    Identification(&'a [u8]),
    KeyExchange,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    // Both sides say the same kind of thing: only the port tells who is the server.
    let mut dialogue = Dialogue {
        client: opening.client,
        server: opening.server,
        swapped: opening.client_port == PORT && opening.server_port != PORT,
    };
    if dialogue.swapped {
        (dialogue.client, dialogue.server) = (opening.server, opening.client);
    }
    let client = look(dialogue.client);
    let server = match look(dialogue.server) {
        Seen::Other => after_other_lines(dialogue.server.bytes),
        seen => seen,
    };
    match (&client, &server) {
        (Seen::Other, Seen::Other | Seen::Short) => return Outcome::NotMine,
        (Seen::Short, Seen::Other | Seen::Short) => return Outcome::NeedMore,
        _ => {}
    }
    facts.proto = Some(Proto::SSH);
    facts.swapped = dialogue.swapped;
    let banner = facts.banner.get_or_insert_default();
    let mut read = 0;
    if let Seen::Identification(line) = client {
        banner.software = dialogue::text(line);
        read += 1;
    }
    if let Seen::Identification(line) = server {
        banner.server = dialogue::text(line);
        read += 1;
    }
    let keys = matches!(client, Seen::KeyExchange) || matches!(server, Seen::KeyExchange);
    if keys || read == 2 {
        Outcome::Done
    } else {
        Outcome::Partial
    }
}

fn look(stream: Stream<'_>) -> Seen<'_> {
    let bytes = stream.bytes;
    match bytes.first() {
        None => Seen::Short,
        Some(b'S') => identification(bytes),
        Some(0) if stream.mid_stream => key_exchange(bytes),
        Some(_) => Seen::Other,
    }
}

/// Looks for the server's identification behind other lines, which it may send first (section
/// 4.2).
fn after_other_lines(bytes: &[u8]) -> Seen<'_> {
    let mut rest = bytes;
    for _ in 0..16 {
        match dialogue::split_line(rest) {
            Some((line, after)) if line.iter().all(|b| matches!(b, b'\t' | 0x20..)) => {
                if after.starts_with(b"SSH-") {
                    return identification(after);
                }
                rest = after;
            }
            _ => break,
        }
    }
    Seen::Other
}

fn identification(bytes: &[u8]) -> Seen<'_> {
    let Some(rest) = bytes.strip_prefix(b"SSH-") else {
        return match b"SSH-".starts_with(bytes) {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    match rest {
        [b'1' | b'2', b'.', minor, ..] if minor.is_ascii_digit() => {}
        [] | [b'1' | b'2'] | [b'1' | b'2', b'.'] => return Seen::Short,
        _ => return Seen::Other,
    }
    // 255 octets with CR LF: what is longer has no end that counts.
    match dialogue::split_line(bytes.get(..255).unwrap_or(bytes)) {
        Some((line, _)) => Seen::Identification(line),
        None if bytes.len() >= 255 => Seen::Identification(bytes.get(..253).unwrap_or(bytes)),
        None => Seen::Version,
    }
}

/// Judges a packet of section 6 that offers algorithms (section 7.1).
fn key_exchange(bytes: &[u8]) -> Seen<'_> {
    let read = || {
        let mut reader = Reader::new(bytes);
        let len = reader.be32()?;
        let padding = reader.u8()?;
        let message = reader.u8()?;
        if message != SSH_MSG_KEXINIT
            || padding < 4
            || !(64..35_000).contains(&len)
            || (len + 4) % 8 != 0
        {
            return None;
        }
        reader.skip(16)?;
        let names_len = reader.be32()?;
        let names = reader.take(names_len.min(len) as usize)?;
        Some(
            [
                "diffie-hellman-",
                "ecdh-sha2-",
                "curve25519-",
                "sntrup",
                "mlkem",
            ]
            .iter()
            .any(|name| memchr::memmem::find(names, name.as_bytes()).is_some()),
        )
    };
    match read() {
        Some(true) => Seen::KeyExchange,
        _ => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const CLIENT: &[u8] = b"SSH-2.0-OpenSSH_9.6\r\n";
    const SERVER: &[u8] = b"SSH-2.0-dropbear_2022.83\r\n";

    fn key_offer() -> Vec<u8> {
        let mut packet = hex("00 00 00 44 08 14 55*16 00 00 00 1a");
        packet.extend(b"curve25519-sha256,ext-info");
        packet.extend([0; 12]);
        packet
    }

    #[test]
    fn both_identifications_are_read() {
        let trial = Trial::tcp(22).server(SERVER).client(CLIENT);
        trial.same_by_octets(dissect);
        for (trial, swapped) in [
            (trial.clone(), false),
            (trial.turned(), true),
            (
                Trial::tcp(2222)
                    .client(CLIENT)
                    .server([b"Welcome\r\nall\r\n", SERVER].concat()),
                false,
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::SSH));
            assert_eq!(
                facts.banner.as_ref().unwrap().software.as_deref(),
                Some("SSH-2.0-OpenSSH_9.6")
            );
            assert_eq!(
                facts.banner.as_ref().unwrap().server.as_deref(),
                Some("SSH-2.0-dropbear_2022.83")
            );
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn one_side_and_the_middle_are_enough() {
        let alone = Trial::tcp(22).server(b"SSH-1.99-Cisco-1.25\n");
        assert_eq!(alone.ask(dissect).0, Outcome::Partial);
        assert_eq!(
            alone.facts(dissect).banner.unwrap().server.as_deref(),
            Some("SSH-1.99-Cisco-1.25")
        );
        let endless = Trial::tcp(22).client([&b"SSH-2.0-"[..], &[b'x'; 500]].concat());
        assert_eq!(
            endless
                .facts(dissect)
                .banner
                .unwrap()
                .software
                .unwrap()
                .len(),
            253
        );
        Trial::tcp(22)
            .mid_stream()
            .client(key_offer())
            .facts(dissect);
        Trial::tcp(22).client(key_offer()).refused(dissect);
    }

    #[test]
    fn near_misses_are_not() {
        for bytes in [
            &b"SSH-3.0-x\r\n"[..],
            b"SSL-2.0",
            b"SSH2",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            let trial = Trial::tcp(22)
                .client(bytes)
                .server(b"HTTP/1.1 200 OK\r\n\r\n");
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{bytes:?}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds = [
            Trial::tcp(22).server(SERVER).client(CLIENT),
            Trial::tcp(22).client(key_offer()),
        ];
        withstands(dissect, &seeds);
    }
}
