//! Any packets through the flow table: openings only grow, their bytes are in order, and every
//! packet is counted in one flow or turned away.
//!
//! The bytes of TCP segments are the low octets of their sequence numbers, so that order shows.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ottometer::decode::{Address, IpProtocol, Packet, TcpSegment, Vlans};
use ottometer::flow::{
    Attachment, Buffers, Config, EndReason, FlowTable, Opening, PerSide, Scope, Side, Transport,
    Unplaced,
};
use ottometer::time::Timestamp;
use ottometer_fuzz::Fields;

/// What was shown of a flow.
#[derive(Default)]
struct Seen {
    bytes: PerSide<Vec<u8>>,
    ends: PerSide<Vec<u32>>,
    ended: PerSide<bool>,
    settled: bool,
}

impl Attachment for Seen {
    fn is_settled(&self) -> bool {
        self.settled
    }

    fn memory(&self) -> usize {
        0
    }
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Volume(u64, u64);

fuzz_target!(|input: &[u8]| {
    let mut input = Fields(input);
    let settings = input.u8();
    let config = Config {
        max_flows: 1 + usize::from(settings & 3),
        opening_bytes: 1 << (4 + (settings >> 2 & 7)),
        tcp_idle: Duration::from_secs(20),
        tcp_closed: Duration::from_secs(2),
        udp_idle: Duration::from_secs(10),
        scope: if settings & 0x80 == 0 {
            Scope::None
        } else {
            Scope::Tunnel
        },
        ..Config::default()
    };
    let mut table: FlowTable<Seen> = FlowTable::new(config.clone());
    let mut buffers = Buffers::default();
    let mut at = Timestamp::new(1_000_000, 0);
    let mut watermark = at;
    let mut number = 0;
    let (mut wire, mut out) = (Volume::default(), Volume::default());
    let mut end = |table: &mut FlowTable<Seen>| {
        while let Some((flow, _)) = table.next_ended() {
            // What was held back is counted in the flow after all.
            flow.take_held();
            for side in [Side::Client, Side::Server] {
                out.0 += flow.counters[side].packets;
                out.1 += flow.counters[side].bytes;
            }
        }
    };
    let mut turned_away = Volume::default();
    while !input.is_empty() {
        let (who, what, when) = (input.u8(), input.u8(), input.u8());
        let offset = u32::from(input.u16()) >> 6;
        let len = usize::from(input.u8()) << (who >> 6 & 1);
        at.0 = match when & 0x80 {
            0 => at.0 + u64::from(when) * 100_000_000,
            _ => at.0 - u64::from(when & 0x7f) * 10_000_000,
        };
        watermark = watermark.max(at);
        number += 1;
        let is_tcp = who & 1 == 0;
        // Near the end of the sequence space, so that it wraps.
        let sequence = 0xffff_ff80_u32.wrapping_add(offset);
        let first = match what & TcpSegment::SYN {
            0 => sequence,
            _ => sequence.wrapping_add(1),
        };
        let payload: Vec<u8> = (0..len as u32)
            .map(|index| first.wrapping_add(index).to_le_bytes()[0])
            .collect();
        let mut ends = [
            (Address::v4([10, 0, 0, 1]), 50_000),
            (Address::v4([10, 0, 0, 2]), 443),
        ];
        ends[0].1 += u16::from(who >> 2 & 7);
        if who & 2 != 0 {
            ends.reverse();
        }
        let wire_len = 54 + len as u32;
        let packet = Packet {
            source_mac: None,
            at,
            number,
            version: 4,
            protocol: if is_tcp {
                IpProtocol::TCP
            } else {
                IpProtocol::UDP
            },
            source: ends[0].0,
            destination: ends[1].0,
            source_port: ends[0].1,
            destination_port: ends[1].1,
            icmp: (0, 0),
            tcp: is_tcp.then_some(TcpSegment {
                sequence,
                acknowledgement: 0xffff_ff80_u32.wrapping_add(offset / 2),
                flags: what & 0x1f,
                window_scale: None,
                window: 0xffff,
            }),
            payload: &payload,
            payload_len: len as u32,
            wire_len,
            ip_len: wire_len - 14,
            frames: 1,
            vlans: Vlans::default(),
            tunnel: None,
            tunnel_id: u32::from(who >> 5 & 1),
        };
        wire.0 += 1;
        wire.1 += u64::from(wire_len);
        let located = table.locate(&packet);
        let touch = table.touch(&packet, &located);
        end(&mut table);
        assert!(table.len() <= config.max_flows);
        let touch = match touch {
            Ok(touch) => touch,
            Err(Unplaced::Held) => continue,
            Err(Unplaced::Full) => {
                turned_away.0 += 1;
                turned_away.1 += u64::from(wire_len);
                continue;
            }
        };
        let flow = table.flow(touch).unwrap();
        if !flow.class.settled {
            let mut seen = std::mem::take(&mut flow.class);
            let wants_more = what & 0x20 == 0;
            let said = flow.read_opening(&packet, touch.side, &config, &mut buffers, |opening| {
                look(&mut seen, opening, &config, touch.side);
                assert!(!opening.newest().is_empty());
                wants_more
            });
            assert!(said.is_none_or(|said| said == wants_more));
            if said == Some(false) {
                seen.settled = true;
                flow.close_opening(&mut buffers);
            } else if what & 0xc0 == 0xc0 {
                if let Some(opening) = flow.last_look() {
                    let latest = opening.latest;
                    look(&mut seen, &opening, &config, latest);
                }
                seen.settled = true;
                flow.close_opening(&mut buffers);
            }
            flow.class = seen;
        }
        if when & 0x0f == 0x0f {
            while table.expire(watermark) {
                end(&mut table);
            }
            end(&mut table);
        }
    }
    table.finish(EndReason::EndOfInput);
    end(&mut table);
    assert!(table.is_empty());
    out.0 += turned_away.0;
    out.1 += turned_away.1;
    assert_eq!(out, wire);
});

/// Asserts that what is shown goes on from what was shown before.
fn look(seen: &mut Seen, opening: &Opening<'_>, config: &Config, latest: Side) {
    assert_eq!(opening.latest, latest);
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        assert!(stream.bytes.len() <= config.opening_bytes);
        assert!(stream.ends.is_sorted_by(|a, b| a < b), "{:?}", stream.ends);
        assert_eq!(
            stream.ends.last().map_or(0, |&end| end as usize),
            stream.bytes.len()
        );
        let messages: usize = stream.messages().map(<[u8]>::len).sum();
        assert_eq!(messages, stream.bytes.len());
        if opening.transport == Transport::Tcp {
            let in_order = |pair: &[u8]| pair[1] == pair[0].wrapping_add(1);
            assert!(stream.bytes.windows(2).all(in_order), "{:?}", stream.bytes);
        }
        assert!(
            stream.bytes.starts_with(&seen.bytes[side]),
            "shown bytes changed"
        );
        assert!(
            stream.ends.starts_with(&seen.ends[side]),
            "shown ends changed"
        );
        let ended = seen.ended[side];
        assert!(
            !ended || stream.bytes.len() == seen.bytes[side].len(),
            "grew after its end"
        );
        seen.bytes[side] = stream.bytes.to_vec();
        seen.ends[side] = stream.ends.to_vec();
        seen.ended[side] = stream.ended;
    }
}
