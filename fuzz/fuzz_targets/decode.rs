//! Any frames through the decoder: each frame and each of its bytes come out exactly once.
//!
//! One octet of settings, the link type (an index, or 255 and the number), then frames: one octet
//! of settings, one of time, two of length, what the settings ask for, the bytes.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ottometer::capture::{Envelope, Frame, InterfaceId, LinkType};
use ottometer::decode::{Config, Datagram, Decoded, Decoder, DropReason, Packet, unknown_link};
use ottometer::time::Timestamp;
use ottometer_fuzz::Fields;

const LINKS: [LinkType; 54] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::NULL,
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::C_HDLC,
    LinkType::IEEE802_11,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IEEE802_11_PRISM,
    LinkType::IEEE802_11_RADIOTAP,
    LinkType::IEEE802_11_AVS,
    LinkType::PPI,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
    LinkType::IEEE802_5,
    LinkType::SLIP,
    LinkType::FDDI,
    LinkType::ATM_RFC1483,
    LinkType::FRELAY,
    LinkType::ENC,
    LinkType::PFLOG,
    LinkType::IP_OVER_FC,
    LinkType::SUNATM,
    LinkType::TZSP,
    LinkType::APPLE_IP_OVER_IEEE1394,
    LinkType::DOCSIS,
    LinkType::USER2,
    LinkType::PPP_PPPD,
    LinkType::JUNIPER_ETHER,
    LinkType::JUNIPER_PPP,
    LinkType::JUNIPER_FRELAY,
    LinkType::JUNIPER_CHDLC,
    LinkType::ERF,
    LinkType::PPP_WITH_DIR,
    LinkType::C_HDLC_WITH_DIR,
    LinkType::FRELAY_WITH_DIR,
    LinkType::MPLS,
    LinkType::IPNET,
    LinkType::NFLOG,
    LinkType::NETANALYZER,
    LinkType::NETANALYZER_TRANSPARENT,
    LinkType::IPOIB,
    LinkType::INFINIBAND,
    LinkType::PKTAP,
    LinkType::ETHERNET_MPACKET,
    LinkType::DSA_TAG_BRCM,
    LinkType::DSA_TAG_BRCM_PREPEND,
    LinkType::DSA_TAG_DSA,
    LinkType::DSA_TAG_EDSA,
];

/// The frame was longer on the wire: by the four octets after its length.
const CUT: u8 = 1;
/// The time goes back, not on.
const BACK: u8 = 2;
/// A block ends behind it: what has waited too long is given up.
const BLOCK_END: u8 = 4;
/// It came in an envelope, which an octet after its length names, and four more its number.
const IN_ENVELOPE: u8 = 8;

/// Frames and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Volume(u64, u64);

impl Volume {
    fn count(&mut self, frames: u32, bytes: u64) {
        self.0 += u64::from(frames);
        self.1 += bytes;
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Fields(input);
    let settings = input.u8();
    let config = Config {
        max_depth: settings & 0x0f,
        fragment_bytes: 1 << (8 + (settings >> 4)),
        fragment_timeout: Duration::from_secs(30),
        ..Config::default()
    };
    let limit = config.fragment_bytes;
    let max_depth = usize::from(config.max_depth);
    let mut decoder = Decoder::new(config);
    let link = match input.u8() {
        255 => LinkType(input.u16()),
        index => LINKS[usize::from(index) % LINKS.len()],
    };
    let (mut wire, mut out) = (Volume::default(), Volume::default());
    let (mut at, mut watermark) = (Timestamp::new(1_000_000, 0), Timestamp::default());
    let mut number = 0;
    while !input.is_empty() {
        let settings = input.u8();
        let step = u64::from(input.u8()) * 250_000_000;
        at.0 = match settings & BACK {
            0 => at.0 + step,
            _ => at.0 - step.min(at.0),
        };
        watermark = watermark.max(at);
        let len = usize::from(input.u16());
        let more = if settings & CUT == 0 { 0 } else { input.u32() };
        let envelope = match settings & IN_ENVELOPE {
            0 => Envelope::None,
            _ => envelope(input.u8(), input.u32()),
        };
        let bytes = input.take(len);
        number += 1;
        let frame = Frame {
            at,
            number,
            link,
            wire_len: u32::try_from(bytes.len()).unwrap().saturating_add(more),
            frames: 1,
            envelope,
            interface: InterfaceId::default(),
            bytes,
        };
        wire.count(1, frame.wire_len.into());
        match decoder.decode(frame) {
            Decoded::Packet(packet) => counted(&packet, &mut out),
            Decoded::Dropped(reason) => {
                if reason == DropReason::UnknownLink {
                    let _ = unknown_link(frame);
                }
                out.count(1, frame.wire_len.into());
            }
            Decoded::Fragment => {}
            Decoded::Datagram(datagram) => {
                decode_datagram(&mut decoder, datagram, max_depth, &mut out)
            }
        }
        // A datagram just begun may go beyond by what it costs itself.
        assert!(
            decoder.fragments_held() <= limit,
            "{} of {limit}",
            decoder.fragments_held()
        );
        if settings & BLOCK_END != 0 {
            decoder.expire(watermark, &mut |reason, frames, bytes| {
                given_up(reason);
                out.count(frames, bytes);
            });
        }
    }
    decoder.finish(&mut |reason, frames, bytes| {
        given_up(reason);
        out.count(frames, bytes);
    });
    assert_eq!(out, wire);
    assert_eq!(decoder.fragments_held(), 0);
});

fn envelope(kind: u8, number: u32) -> Envelope {
    match kind % 5 {
        0 => Envelope::None,
        1 => Envelope::Vxlan(number),
        2 => Envelope::Geneve(number),
        3 => Envelope::Other,
        _ => Envelope::Malformed,
    }
}

fn decode_datagram(
    decoder: &mut Decoder,
    mut datagram: Box<Datagram>,
    max_depth: usize,
    out: &mut Volume,
) {
    for _ in 0..=max_depth {
        let next = match decoder.decode_datagram(&datagram) {
            Decoded::Packet(packet) => return counted(&packet, out),
            Decoded::Dropped(_) => return out.count(datagram.frames, datagram.wire_len.into()),
            Decoded::Fragment => return,
            Decoded::Datagram(inner) => inner,
        };
        datagram = next;
    }
    panic!("datagrams nested deeper than {max_depth} tunnels");
}

fn counted(packet: &Packet<'_>, out: &mut Volume) {
    assert!(packet.payload.len() <= packet.payload_len as usize);
    assert!(packet.ip_len <= packet.wire_len);
    assert!(packet.version == 4 || packet.version == 6);
    out.count(packet.frames, packet.wire_len.into());
}

fn given_up(reason: DropReason) {
    assert!(matches!(
        reason,
        DropReason::FragmentIncomplete | DropReason::FragmentConflict | DropReason::FragmentLimit
    ));
}
