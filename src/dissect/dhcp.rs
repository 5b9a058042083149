//! DHCP for IPv4 with BOOTP (RFC 2131, RFC 951) and for IPv6 (RFC 8415).

use super::{Facts, Outcome, dialogue};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

/// Ports of server and client.
const PORTS_V4: [u16; 2] = [67, 68];
const PORTS_V6: [u16; 2] = [547, 546];

const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;

/// RFC 2131 section 3: what marks the vendor area's options.
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

const PAD: u8 = 0;
const VENDOR_CLASS: u8 = 60;
const END: u8 = 255;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let uses = |ports: [u16; 2]| ports.iter().any(|&port| opening.has_port(port));
    let newest = opening.newest();
    if let Some((operation, vendor)) = version_4(newest, uses(PORTS_V4)) {
        facts.proto = Some(Proto::DHCP);
        facts.swapped = (operation == BOOTREPLY) == (opening.latest == Side::Client);
        facts.banner.get_or_insert_default().software = vendor.and_then(dialogue::text);
        return Outcome::Done;
    }
    if uses(PORTS_V6)
        && let Some(answer) = version_6(newest)
    {
        facts.proto = Some(Proto::DHCPV6);
        facts.swapped = answer == (opening.latest == Side::Client);
        return Outcome::Done;
    }
    Outcome::NotMine
}

/// The operation and the vendor class of a BOOTP or DHCP message.
fn version_4(bytes: &[u8], on_port: bool) -> Option<(u8, Option<&[u8]>)> {
    let mut reader = Reader::new(bytes);
    let operation = reader.u8()?;
    if !matches!(operation, BOOTREQUEST | BOOTREPLY) {
        return None;
    }
    let hardware = reader.u8()?;
    let hardware_len = reader.u8()?;
    let hops = reader.u8()?;
    if hardware == 0 || hardware_len > 16 || hops > 32 {
        return None;
    }
    // Identifier, seconds, flags, four addresses.
    reader.skip(4 + 2 + 2 + 16)?;
    let address = reader.take(16)?;
    reader.skip(64 + 128)?;
    let vendor = reader.rest();
    if let Some(options) = vendor.strip_prefix(&MAGIC_COOKIE) {
        return Some((operation, options_v4(options)?));
    }
    // BOOTP without options: the vendor area is 64 octets of the owner's own, so that only port
    // and an Ethernet address with nothing behind it can tell.
    let padded = address.get(6..)?.iter().all(|&octet| octet == 0);
    let plausible = on_port && (hardware, hardware_len) == (1, 6) && padded && vendor.len() >= 64;
    plausible.then_some((operation, None))
}

/// Walks the options to their end: the vendor class identifier, if there is one. `None` if an
/// option runs over the end.
fn options_v4(options: &[u8]) -> Option<Option<&[u8]>> {
    let mut reader = Reader::new(options);
    let mut vendor = None;
    while let Some(code) = reader.u8() {
        match code {
            PAD => {}
            END => break,
            _ => {
                let len = reader.u8()?;
                let value = reader.take(usize::from(len))?;
                if code == VENDOR_CLASS {
                    vendor = Some(value);
                }
            }
        }
    }
    Some(vendor)
}

/// Whether a DHCPv6 message is one that a server sends. Its options must fill it exactly.
fn version_6(bytes: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    match kind {
        1..=11 | 14..=23 => reader.skip(3)?,
        // Relay-forward and Relay-reply: hops, link and peer address (section 9).
        12 | 13 => {
            if reader.u8()? > 32 {
                return None;
            }
            reader.skip(32)?;
        }
        _ => return None,
    }
    if reader.is_empty() {
        return None;
    }
    let mut says_who = false;
    while !reader.is_empty() {
        let code = reader.be16()?;
        let len = reader.be16()?;
        let fits = match code {
            // Identifiers of client and server: a type of two octets and more (section 11).
            1 | 2 => len > 2,
            // Elapsed time, in all that clients send; what is relayed.
            8 => len == 2,
            9 => len > 3,
            // IANA has assigned less than 200.
            _ => (3..=255).contains(&code),
        };
        if !fits {
            return None;
        }
        says_who |= matches!(code, 1 | 2 | 8 | 9);
        reader.skip(usize::from(len))?;
    }
    if !says_who {
        return None;
    }
    // Advertise, Reply, Reconfigure, Relay-reply, Leasequery-reply and what follows it.
    Some(matches!(kind, 2 | 7 | 10 | 13 | 15 | 16 | 17))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const FIXED: &str = "01 01 06 00 12 34 56 78 00*20 02 00 00 00 00 01 00*10 00*192";
    const SOLICIT: &str = "01 10 08 74 00 01 00 0a 00 03 00 01 02 00 00 00 00 01 00 08 00 02 00 00";
    const RELAY: &str = "0c 00 fe*16 fe*16 00 09 00 04 01 02 03 04";

    fn discover() -> Vec<u8> {
        hex(&format!(
            "{FIXED} 63 82 53 63 35 01 01 00 3c 05 64 68 63 70 63 ff 00*9"
        ))
    }

    fn recognised() -> Vec<(&'static str, Trial, Proto, bool)> {
        let mut reply = discover();
        reply[0] = BOOTREPLY;
        let v4 = || Trial::udp(67).client_port(68);
        let v6 = || Trial::udp(547).client_port(546);
        vec![
            ("discover", v4().client(discover()), Proto::DHCP, false),
            ("offer first", v4().client(reply), Proto::DHCP, true),
            (
                "BOOTP",
                v4().client(hex(&format!("{FIXED} 00*64"))),
                Proto::DHCP,
                false,
            ),
            ("solicit", v6().client(hex(SOLICIT)), Proto::DHCPV6, false),
            (
                "reply first",
                v6().client(hex(&SOLICIT.replacen("01", "07", 1))),
                Proto::DHCPV6,
                true,
            ),
            ("relay", v6().client(hex(RELAY)), Proto::DHCPV6, false),
        ]
    }

    #[test]
    fn messages_are_recognised() {
        for (what, trial, proto, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(proto), swapped),
                "{what}"
            );
        }
        let facts = Trial::udp(4011).client(discover()).facts(dissect);
        assert_eq!(facts.banner.unwrap().software.as_deref(), Some("dhcpc"));
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, port, bytes) in [
            ("operation", 67, FIXED.replacen("01", "03", 1)),
            (
                "hardware address too long",
                67,
                FIXED.replacen("06", "11", 1),
            ),
            (
                "option over the end",
                67,
                format!("{FIXED} 63 82 53 63 35 09 01"),
            ),
            ("BOOTP elsewhere", 9, format!("{FIXED} 00*64")),
            ("BOOTP too short", 67, format!("{FIXED} 00*63")),
            ("DHCPv6 elsewhere", 9, SOLICIT.into()),
            ("option cut", 547, "01 10 08 74 00 01 00 0a 00".into()),
            ("no options", 547, "01 10 08 74".into()),
            ("no such message", 547, SOLICIT.replacen("01", "30", 1)),
        ] {
            let trial = Trial::udp(port).client(hex(&bytes));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised()
            .into_iter()
            .map(|(_, trial, ..)| trial)
            .collect();
        withstands(dissect, &seeds);
    }
}
