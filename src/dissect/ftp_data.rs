//! Where an FTP control connection says that data will be sent: PORT and the answer to PASV (RFC 959
//! sections 3.2 and 5.3.2), EPRT and the answer to EPSV (RFC 2428), LPRT and the answer to LPSV
//! (RFC 1639).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dialogue;

/// How much of a segment is searched.
const MAX_SEARCHED: usize = 512;

/// A place at which the sender of a line waits for the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its address; `None`: that from which the line was sent.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// Whether `payload` may begin with a line that names a listener. Cheap.
#[inline]
pub fn may_announce(payload: &[u8]) -> bool {
    match payload {
        [b'2', b'2', b'7' | b'8' | b'9', b' ', ..] => true,
        [
            a @ (b'P' | b'p' | b'E' | b'e' | b'L' | b'l'),
            b,
            c,
            d,
            b' ',
            ..,
        ] => {
            let verb = [a, b, c, d].map(u8::to_ascii_uppercase);
            matches!(&verb, b"PORT" | b"EPRT" | b"LPRT")
        }
        _ => false,
    }
}

/// The first listener that a line in `payload` names.
pub fn announced(payload: &[u8]) -> Option<Listener> {
    let searched = payload.get(..MAX_SEARCHED).unwrap_or(payload);
    dialogue::lines(searched).find_map(listener)
}

fn listener(line: &[u8]) -> Option<Listener> {
    if !may_announce(line) {
        return None;
    }
    let text = line.get(4..)?;
    let verb = line.first_chunk::<4>()?.map(|b| b.to_ascii_uppercase());
    let listener = match &verb {
        b"PORT" => quad(text.trim_ascii())?,
        b"EPRT" => extended(text.trim_ascii())?,
        b"LPRT" => long(text.trim_ascii())?,
        // The text around the numbers is the server's, the parentheses are often left out (RFC 1123
        // section 4.1.2.6): it is told by its numbers.
        b"227 " => quad(from_first_digit(text)?)?,
        b"228 " => long(from_first_digit(text)?)?,
        _ => {
            let start = memchr::memchr(b'(', text)?;
            extended(text.get(start + 1..)?)?
        }
    };
    // No server gives out the ports of other services, and no client may listen on them.
    (listener.port >= 1024).then_some(listener)
}

fn from_first_digit(text: &[u8]) -> Option<&[u8]> {
    let start = text.iter().position(u8::is_ascii_digit)?;
    text.get(start..)
}

/// `h1,h2,h3,h4,p1,p2`
fn quad(text: &[u8]) -> Option<Listener> {
    let mut octets = Octets(text);
    let address = [
        octets.next()?,
        octets.next()?,
        octets.next()?,
        octets.next()?,
    ];
    let port = u16::from_be_bytes([octets.next()?, octets.next()?]);
    octets.ended().then_some(Listener {
        address: Some(IpAddr::V4(Ipv4Addr::from(address))),
        port,
    })
}

/// `family,length,h1,...,2,p1,p2`, where the length is that of the family's addresses.
fn long(text: &[u8]) -> Option<Listener> {
    let mut octets = Octets(text);
    let address = match (octets.next()?, octets.next()?) {
        (4, 4) => {
            let mut address = [0; 4];
            for octet in &mut address {
                *octet = octets.next()?;
            }
            IpAddr::from(address)
        }
        (6, 16) => {
            let mut address = [0; 16];
            for octet in &mut address {
                *octet = octets.next()?;
            }
            IpAddr::from(address)
        }
        _ => return None,
    };
    let port = match octets.next()? {
        2 => u16::from_be_bytes([octets.next()?, octets.next()?]),
        _ => return None,
    };
    octets.ended().then_some(Listener {
        address: Some(address),
        port,
    })
}

/// `|family|address|port|`, of which the answer to EPSV has the port alone. The delimiter is any
/// printable character.
fn extended(text: &[u8]) -> Option<Listener> {
    let (&delimiter, rest) = text.split_first()?;
    if !delimiter.is_ascii_graphic() || delimiter.is_ascii_digit() {
        return None;
    }
    let mut parts = rest.split(|&byte| byte == delimiter);
    let (family, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    // The delimiter after the port.
    parts.next()?;
    let address = match family {
        b"" if address.is_empty() => None,
        b"1" => Some(IpAddr::V4(parsed::<Ipv4Addr>(address)?)),
        b"2" => Some(IpAddr::V6(parsed::<Ipv6Addr>(address)?)),
        _ => return None,
    };
    Some(Listener {
        address,
        port: parsed(port)?,
    })
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let text = text.get(..45).map_or(text, |_| &[]);
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Decimal numbers of one octet with commas between them.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn next(&mut self) -> Option<u8> {
        let digits = self.0.iter().take(4).take_while(|b| b.is_ascii_digit());
        let (number, after) = self.0.split_at_checked(digits.count())?;
        self.0 = match after {
            [b',', rest @ ..] => rest.trim_ascii_start(),
            _ => after,
        };
        parsed(number)
    }

    /// Whether no further number follows.
    fn ended(&self) -> bool {
        !matches!(self.0.first(), Some(b'0'..=b'9' | b','))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(line: &str) -> Option<String> {
        let found = announced(format!("{line}\r\n").as_bytes())?;
        let address = found.address.map_or_else(|| "-".into(), |a| a.to_string());
        Some(format!("{address} {}", found.port))
    }

    #[test]
    fn listeners_are_read() {
        for (line, expected) in [
            ("PORT 172,23,0,3,174,127", Some("172.23.0.3 44671")),
            ("port 10,0,0,1,4,1", Some("10.0.0.1 1025")),
            (
                "227 Entering Passive Mode (192,168,1,9,195,80).",
                Some("192.168.1.9 50000"),
            ),
            (
                "227 Entering Passive Mode 192,168,1,9,195,80",
                Some("192.168.1.9 50000"),
            ),
            ("227 =10,0,0,2,4,1", Some("10.0.0.2 1025")),
            (
                "229 Entering Extended Passive Mode (|||6446|)",
                Some("- 6446"),
            ),
            ("229 ok (!!!6446!)", Some("- 6446")),
            ("EPRT |1|132.235.1.2|6275|", Some("132.235.1.2 6275")),
            (
                "EPRT |2|1080::8:800:200C:417A|5282|",
                Some("1080::8:800:200c:417a 5282"),
            ),
            (
                "228 Entering Long Passive Mode (4,4,10,0,0,2,2,4,1)",
                Some("10.0.0.2 1025"),
            ),
            (
                "LPRT 6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,4,1",
                Some("2001:db8::1 1025"),
            ),
            // Cut, lying, other.
            ("PORT 172,23,0,3,174", None),
            ("PORT 172,23,0,3,174,256", None),
            ("PORT 172,23,0,3,174,1,2", None),
            ("PORT 172,23,0,3,0,0", None),
            ("PORT 172,23,0,3,1,187", None),
            ("PORT a,b,c,d,e,f", None),
            ("227 Entering Passive Mode", None),
            ("227 Entering Passive Mode (1,2,3)", None),
            ("229 Entering Extended Passive Mode (|||70000|)", None),
            ("229 Entering Extended Passive Mode (|||6446", None),
            ("229 (|1||6446|)", None),
            ("229 Entering", None),
            ("EPRT |1|2001:db8::1|6275|", None),
            ("EPRT |3|132.235.1.2|6275|", None),
            ("EPRT 11132.235.1.2162751", None),
            ("LPRT 6,4,1,2,3,4,2,4,1", None),
            ("LPRT 4,4,1,2,3,4,3,4,1,1", None),
            ("226 Transfer (1,2,3,4,5,6)", None),
            ("227", None),
            ("", None),
        ] {
            assert_eq!(shown(line).as_deref(), expected, "{line}");
        }
        // Behind another answer in one segment, and without the line's end.
        let both = b"200 ok\r\n227 Entering Passive Mode (1,2,3,4,5,6)\r\n";
        assert!(announced(both).is_some());
        assert_eq!(announced(b"PORT 172,23,0,3,174,127"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for verb in [&b"PORT "[..], b"EPRT ", b"LPRT ", b"227 x", b"229 ("] {
                announced(&[verb, &bytes, b"
    "].concat());
            }
            announced(&bytes);
        }
    }
}
