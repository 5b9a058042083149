//! Which frames are second copies of others, and which only look like it.

use std::time::Duration;

use crate::capture::{Envelope, Frame, InterfaceId, LinkType};
use crate::decode::Copies;
use crate::time::Timestamp;

/// An IPv4 header with these fields, before `data`.
fn ipv4(identification: u16, ttl: u8, protocol: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + data.len()).unwrap().to_be_bytes();
    let id = identification.to_be_bytes();
    // What stands for the checksum moves with the TTL, as the real one does.
    let mut packet = vec![
        0x45, 0, len[0], len[1], id[0], id[1], 0x40, 0, ttl, protocol, 7, ttl,
    ];
    packet.extend([10, 0, 0, 1, 192, 0, 2, 1]);
    packet.extend(data);
    packet
}

fn ipv6(hop_limit: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], 17, hop_limit];
    packet.extend([0x20; 32]);
    packet.extend(data);
    packet
}

fn ethernet(mac: u8, vlan: Option<u8>, packet: &[u8]) -> Vec<u8> {
    let kind: &[u8] = if packet[0] >> 4 == 4 {
        &[8, 0]
    } else {
        &[0x86, 0xdd]
    };
    let tag = vlan.map_or_else(Vec::new, |vlan| vec![0x81, 0, 0, vlan]);
    [&[mac; 12][..], &tag, kind, packet].concat()
}

/// A frame as ERSPAN type II sends it on; the switch numbers what it sends.
fn erspan(number: u8, frame: &[u8]) -> Vec<u8> {
    let gre = [0x10, 0, 0x88, 0xbe, 0, 0, 0, number];
    let header = [0x10, 1, 0, 0, 0, 0, 0, 0];
    let carried = [&gre[..], &header, frame].concat();
    ethernet(9, None, &ipv4(number.into(), 64, 47, &carried))
}

fn frame(at_micros: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        at: Timestamp(1_000_000_000_000 + at_micros * 1_000),
        number: 1,
        link: LinkType::ETHERNET,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        frames: 1,
        envelope: Envelope::None,
        interface: InterfaceId::default(),
        bytes,
    }
}

#[test]
fn what_a_router_changes_does_not_tell_copies_apart() {
    // What it is, first, second, microseconds in between, whether it is a copy.
    type Row<'a> = (&'a str, &'a [u8], &'a [u8], u64, bool);

    let udp = [0x12, 0x34, 0, 80, 0, 12, 0, 0, 1, 2, 3, 4];
    let first = ethernet(1, None, &ipv4(77, 64, 17, &udp));
    let padded = [first.clone(), vec![0xee; 6]].concat();
    let six = ethernet(1, None, &ipv6(64, &udp));
    let mut other = udp;
    other[11] = 5;
    let arp = [&[1; 12][..], &[8, 6], &[0; 28]].concat();
    let rows: &[Row<'_>] = &[
        ("the same", &first, &first, 10, true),
        ("at the end of the window", &first, &first, 5_000, true),
        ("after the window", &first, &first, 5_001, false),
        (
            "addresses and tag",
            &first,
            &ethernet(2, Some(9), &ipv4(77, 64, 17, &udp)),
            10,
            true,
        ),
        (
            "TTL and checksum",
            &first,
            &ethernet(1, None, &ipv4(77, 63, 17, &udp)),
            10,
            true,
        ),
        ("padding", &first, &padded, 10, true),
        (
            "another identification: sent again",
            &first,
            &ethernet(1, None, &ipv4(78, 64, 17, &udp)),
            10,
            false,
        ),
        (
            "another byte",
            &first,
            &ethernet(1, None, &ipv4(77, 64, 17, &other)),
            10,
            false,
        ),
        (
            "hop limit",
            &six,
            &ethernet(1, None, &ipv6(63, &udp)),
            10,
            true,
        ),
        (
            "another byte of IPv6",
            &six,
            &ethernet(1, None, &ipv6(64, &other)),
            10,
            false,
        ),
        ("no IP", &arp, &arp, 10, false),
        (
            "sent on by two mirrors",
            &erspan(1, &first),
            &erspan(2, &first),
            10,
            true,
        ),
        (
            "sent on by one mirror, and seen itself",
            &first,
            &erspan(1, &first),
            10,
            true,
        ),
        (
            "cut inside the header",
            &first[..20],
            &first[..20],
            10,
            false,
        ),
        ("nothing", &[], &[], 10, false),
    ];
    for &(what, first, second, later, expected) in rows {
        let mut copies = Copies::new(16, Duration::from_millis(5));
        assert!(!copies.is_copy(&frame(0, first)), "{what}");
        assert_eq!(copies.is_copy(&frame(later, second)), expected, "{what}");
    }
}

#[test]
fn the_window_begins_with_the_first_copy_and_holds_in_both_directions() {
    let packet = ethernet(1, None, &ipv4(77, 64, 17, &[0; 12]));
    let mut copies = Copies::new(16, Duration::from_millis(5));
    // A packet that goes round in a loop is not one packet for ever. The clock may be set back.
    for (at, expected) in [
        (10_000, false),
        (14_000, true),
        (15_000, true),
        (18_000, false),
        (13_000, true),
        (2_000, false),
        (2_001, true),
    ] {
        assert_eq!(copies.is_copy(&frame(at, &packet)), expected, "{at}");
    }
}

#[test]
fn a_full_line_forgets_the_oldest() {
    let packet = |identification| ethernet(1, None, &ipv4(identification, 64, 17, &[0; 12]));
    let mut copies = Copies::new(1, Duration::from_millis(5));
    for identification in 0..6 {
        assert!(!copies.is_copy(&frame(identification.into(), &packet(identification))));
    }
    for (identification, expected) in [(5, true), (2, true), (1, false)] {
        assert_eq!(
            copies.is_copy(&frame(10, &packet(identification))),
            expected
        );
    }
}
