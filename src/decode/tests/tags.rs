//! Tags between Ethernet and the packet, alone and in each other.

use super::build::{PAYLOAD, checksummed, ethernet, snap, udp_packet, udp_packet6, vlan, with};
use super::{DropReason, LinkType, assert_innermost, decode, frame, outcome};

/// What is put before a packet of this type: the type of the frame and what follows the addresses.
type Wrap = fn(u16, &[u8]) -> (u16, Vec<u8>);

fn before(tag: &[u8], ether_type: u16, packet: &[u8]) -> Vec<u8> {
    with(&with(tag, &ether_type.to_be_bytes()), packet)
}

/// Tags by name, VLAN identifiers they stand for, and whether their length is certain.
const TAGS: &[(&str, &[u16], bool, Wrap)] = &[
    ("MetaData", &[], true, |t, p| {
        (0x8909, before(&[1, 1, 0, 1, 0, 100], t, p))
    }),
    ("MetaData of two options", &[], true, |t, p| {
        (0x8909, before(&[1, 2, 0, 1, 0, 100, 0x10, 2, 0, 9], t, p))
    }),
    ("MetaData as in GRE", &[], true, |t, p| {
        (
            0x8909,
            with(&t.to_be_bytes(), &with(&[1, 1, 0, 1, 0, 100], p)),
        )
    }),
    ("MetaData, a length that lies", &[], false, |t, p| {
        (0x8909, before(&[1, 0, 0, 1, 0, 100], t, p))
    }),
    ("FabricPath", &[], true, |t, p| {
        (0x8903, with(&[0, 0x5f], &ethernet(t, p)))
    }),
    ("VN-Tag", &[], true, |t, p| {
        (0x8926, before(&[0, 2, 0, 1], t, p))
    }),
    ("E-TAG", &[], true, |t, p| {
        (0x893f, before(&[0, 0, 0, 9, 0, 0], t, p))
    }),
    ("TTag", &[], true, |t, p| {
        (0x8988, before(&[1, 2, 3, 4, 5, 6], t, p))
    }),
    ("HSR", &[], true, |t, p| {
        (0x892f, before(&[0x10, 0x40, 0, 9], t, p))
    }),
    ("TRILL", &[], true, |t, p| {
        (0x22f3, with(&[0, 0x3f, 0, 1, 0, 2], &ethernet(t, p)))
    }),
    ("TRILL with options", &[], true, |t, p| {
        (
            0x22f3,
            with(&[0, 0x7f, 0, 1, 0, 2, 9, 9, 9, 9], &ethernet(t, p)),
        )
    }),
    ("MACsec", &[], true, |t, p| {
        (
            0x88e5,
            with(&before(&[0, 0, 0, 0, 0, 1], t, p), &[0xee; 16]),
        )
    }),
    ("MACsec with a channel", &[], true, |t, p| {
        let tag = [0x20, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0, 1];
        (0x88e5, with(&before(&tag, t, p), &[0xee; 16]))
    }),
    ("MACsec, check value taken off", &[], true, |t, p| {
        (0x88e5, before(&[0x40, 0, 0, 0, 0, 1], t, p))
    }),
    ("Arista, 64 bits", &[], true, |t, p| {
        (
            0xd28b,
            before(&[0, 1, 0, 0x10, 1, 2, 3, 4, 5, 6, 7, 8], t, p),
        )
    }),
    ("Arista, 48 bits", &[], true, |t, p| {
        (0xd28b, before(&[0, 1, 1, 0x20, 1, 2, 3, 4, 5, 6], t, p))
    }),
    ("Arista, a tap's place", &[], true, |t, p| {
        (0xd28b, with(&[0, 8, 0, 1, 0, 7, 0, 3], &ethernet(t, p)))
    }),
    ("Arista, another version", &[], false, |t, p| {
        (
            0xd28b,
            before(&[0, 1, 0, 0x30, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9], t, p),
        )
    }),
    ("NSH", &[], true, |t, p| {
        let next = if t == 0x0800 { 1 } else { 2 };
        (0x894f, with(&[0x0f, 0xc2, 2, next, 0, 0, 9, 0xff], p))
    }),
    ("NSH of Ethernet", &[], true, |t, p| {
        (
            0x894f,
            with(&[0x0f, 0xc2, 2, 3, 0, 0, 9, 0xff], &ethernet(t, p)),
        )
    }),
    ("QinQ 8200", &[9], true, |t, p| (0x8200, vlan(9, t, p))),
    ("QinQ 9200", &[9], true, |t, p| (0x9200, vlan(9, t, p))),
    ("QinQ 9300", &[9], true, |t, p| (0x9300, vlan(9, t, p))),
    ("EDSA", &[], true, |t, p| {
        (0xdada, before(&[0, 0, 0xc0, 8, 0, 1], t, p))
    }),
    ("EDSA in place of a VLAN tag", &[9], true, |t, p| {
        (0xdada, before(&[0, 0, 0xe0, 8, 0x60, 9], t, p))
    }),
    ("older Broadcom", &[], true, |t, p| {
        (0x8874, before(&[0x10, 0, 0, 5], t, p))
    }),
    ("DSA", &[], false, |t, p| (0xc008, before(&[0, 1], t, p))),
    ("DSA to the processor", &[], false, |t, p| {
        (0x0008, before(&[0, 1], t, p))
    }),
    ("Broadcom", &[], false, |t, p| {
        (0x0000, before(&[0x20, 5], t, p))
    }),
    ("two octets", &[], false, |t, p| (0x8005, before(&[], t, p))),
    ("a time stamp for experiments", &[], false, |t, p| {
        (0x88b5, before(&[1, 2, 3, 4, 5, 6, 7, 8], t, p))
    }),
];

fn packets() -> [(u16, Vec<u8>); 2] {
    [(0x0800, checksummed(udp_packet())), (0x86dd, udp_packet6())]
}

#[track_caller]
fn assert_carried(name: &str, bytes: &[u8], version: u8, vlans: &[u16]) {
    let packet = decode(LinkType::ETHERNET, bytes);
    let packet = packet.unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
    if version == 4 {
        assert_innermost(&packet);
    }
    assert_eq!(
        (packet.version, packet.payload),
        (version, PAYLOAD),
        "{name}"
    );
    assert_eq!(packet.wire_len as usize, bytes.len(), "{name}");
    assert_eq!((packet.tunnel, packet.tunnel_id), (None, 0), "{name}");
    assert_eq!(packet.vlans.as_slice(), vlans, "{name}");
}

/// Each tag alone, with padding and check sequence, before a VLAN tag and behind one.
#[test]
fn every_tag_is_passed() {
    for &(name, own, _, wrap) in TAGS {
        for (ether_type, packet) in packets() {
            let version = if ether_type == 0x0800 { 4 } else { 6 };
            let (kind, bytes) = wrap(ether_type, &packet);
            assert_carried(name, &ethernet(kind, &bytes), version, own);
            let padded = with(&bytes, &[0xee; 22]);
            assert_carried(name, &ethernet(kind, &padded), version, own);

            let behind = ethernet(0x8100, &vlan(7, kind, &bytes));
            assert_carried(name, &behind, version, &[&[7], own].concat());

            // The service header says itself what it carries.
            if name != "NSH" {
                let (kind, bytes) = wrap(0x8100, &vlan(7, ether_type, &packet));
                let vlans = [own, &[7]].concat();
                assert_carried(name, &ethernet(kind, &bytes), version, &vlans);
            }
        }
    }
}

/// Each tag before each other one, where both say how long they are.
#[test]
fn tags_in_each_other() {
    for &(outer, outer_vlans, outer_is_certain, wrap_outer) in TAGS {
        for &(inner, inner_vlans, inner_is_certain, wrap_inner) in TAGS {
            // A service header says itself what it carries.
            if !outer_is_certain || !inner_is_certain || outer == "NSH" {
                continue;
            }
            let (kind, bytes) = wrap_inner(0x0800, &checksummed(udp_packet()));
            let (kind, bytes) = wrap_outer(kind, &bytes);
            let bytes = ethernet(kind, &bytes);
            let vlans = [outer_vlans, inner_vlans].concat();
            assert_carried(&format!("{outer}, {inner}"), &bytes, 4, &vlans);
        }
    }
}

/// A capture may end anywhere: before the packet the frame is truncated, or a tag that is not known
/// is no packet's; behind it the payload is what was captured.
#[test]
fn every_tag_cut_at_every_byte() {
    for &(name, _, is_certain, wrap) in TAGS {
        let (kind, bytes) = wrap(0x0800, &checksummed(udp_packet()));
        let bytes = ethernet(kind, &bytes);
        let start = bytes
            .windows(PAYLOAD.len())
            .position(|window| window == PAYLOAD);
        let start = start.unwrap();
        for end in 0..bytes.len() {
            let mut cut = frame(LinkType::ETHERNET, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            match outcome(cut) {
                Ok(packet) => {
                    let captured = end.saturating_sub(start).min(PAYLOAD.len());
                    assert!(end >= start, "{name} {end}");
                    assert_eq!(packet.payload, &PAYLOAD[..captured], "{name} {end}");
                }
                Err(reason) => {
                    let may_be_nothing = !is_certain && reason != DropReason::UnknownLink;
                    assert!(
                        may_be_nothing || reason == DropReason::Truncated,
                        "{name} {end}"
                    );
                    assert!(end < start, "{name} {end}");
                }
            }
            // The same where the wire had no more.
            match decode(LinkType::ETHERNET, &bytes[..end]) {
                Ok(packet) => assert!(packet.payload.len() <= PAYLOAD.len(), "{name} {end}"),
                Err(DropReason::Malformed | DropReason::Truncated) => {}
                Err(reason) => assert_eq!((reason, is_certain), (DropReason::NonIp, false)),
            }
        }
    }
}

/// The redundancy trailer of PRP, and those of time stamps.
#[test]
fn trailers_do_no_harm() {
    let packet = checksummed(udp_packet());
    for (name, trailer) in [
        ("PRP", &[0, 9, 0xa0, 0x37, 0x88, 0xfb][..]),
        (
            "PRP behind padding",
            &[0, 0, 0, 0, 0, 9, 0xb0, 0x37, 0x88, 0xfb],
        ),
        (
            "PRP and check sequence",
            &[0, 9, 0xa0, 0x37, 0x88, 0xfb, 1, 2, 3, 4],
        ),
        ("seconds, nanoseconds, check sequence", &[0x5e; 12]),
    ] {
        assert_carried(name, &ethernet(0x0800, &with(&packet, trailer)), 4, &[]);
        let tagged = vlan(7, 0x0800, &with(&packet, trailer));
        assert_carried(name, &ethernet(0x8100, &tagged), 4, &[7]);
    }
}

/// What an unknown tag is before must be certain: everything else stays what it was.
#[test]
fn what_is_no_tag() {
    let packet = checksummed(udp_packet());
    let damaged = |at: usize, value: u8| {
        let mut packet = packet.clone();
        packet[at] = value;
        ethernet(0x88b5, &with(&[1, 2, 3, 4, 8, 0], &packet))
    };
    let stamped = with(&[1, 2, 3, 4, 8, 0], &packet);
    let mac = |control: u8| {
        let tag = [control, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0, 1];
        ethernet(0x88e5, &before(&tag, 0x0800, &packet))
    };
    let nothing = Err(DropReason::NonIp);
    #[rustfmt::skip]
    let rows = [
        ("as it should be", ethernet(0x88b5, &stamped), Ok(PAYLOAD)),
        ("a checksum that is wrong", damaged(11, 0x5a), nothing),
        ("a length past the frame", damaged(3, 0xff), nothing),
        ("another version", damaged(0, 0x55), nothing),
        ("no checksum, padding", ethernet(0x88b5, &with(&before(&[1, 2], 0x0800, &udp_packet()), &[0; 9])), nothing),
        ("no checksum, nothing else", ethernet(0x88b5, &before(&[1, 2], 0x0800, &udp_packet())), Ok(PAYLOAD)),
        ("a tag of 20 octets", ethernet(0x88b5, &before(&[7; 20], 0x0800, &packet)), nothing),
        ("an odd tag", ethernet(0x88b5, &before(&[7; 5], 0x0800, &packet)), nothing),
        ("ARP with a packet as padding", ethernet(0x0806, &stamped), nothing),
        ("spanning tree with one", ethernet(38, &with(&[0x42, 0x42, 3, 0, 0, 0], &packet)), nothing),
        ("encrypted", mac(0x2c), nothing),
        ("changed", mac(0x24), nothing),
        ("MACsec of another version", mac(0xa0), Err(DropReason::Malformed)),
        ("TRILL of another version", ethernet(0x22f3, &with(&[0x40, 0x3f, 0, 1, 0, 2], &[0; 60])), Err(DropReason::Malformed)),
        ("NSH of something else", ethernet(0x894f, &with(&[0x0f, 0xc2, 2, 6, 0, 0, 9, 0xff], &packet)), nothing),
        ("HSR supervision", ethernet(0x892f, &before(&[0x10, 0x34, 0, 9], 0x88fb, &[0; 48])), nothing),
        ("802.3 behind a tag", ethernet(0x8909, &before(&[1, 1, 0, 1, 0, 100], 8 + packet.len() as u16, &snap(0x0800, &packet))), Ok(PAYLOAD)),
    ];
    for (name, bytes, expected) in rows {
        let got = decode(LinkType::ETHERNET, &bytes).map(|packet| packet.payload);
        assert_eq!(got, expected, "{name}");
    }
}

/// Tags in each other without end, as long as a jumbo frame has room.
#[test]
fn nested_tags_end() {
    for (kind, tag) in [
        (0x8909_u16, &[1, 1, 0, 1, 0, 100][..]),
        (0x892f, &[0, 0, 0, 0]),
        (0x88e5, &[0; 6]),
    ] {
        let bytes = with(tag, &kind.to_be_bytes()).repeat(900);
        let got = decode(LinkType::ETHERNET, &ethernet(kind, &bytes)).err();
        assert_eq!(got, Some(DropReason::TooDeep), "{kind:04x}");
    }
    let header = [0x0f, 0xc2, 2, 4, 0, 0, 9, 0xff].repeat(900);
    let got = decode(LinkType::ETHERNET, &ethernet(0x894f, &header)).err();
    assert_eq!(got, Some(DropReason::TooDeep));
}
