//! Flows from packets: who is the client, when a flow is over, what leaves a full table, what an
//! opening shows.

use std::time::Duration;

use super::*;
use crate::flow::Buffers;
use crate::flow::Scope;
use crate::flow::samples::{Host, acknowledging, ended, expired, tcp, udp};

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

const A: Host = (1, 50_000);
const B: Host = (2, 443);

/// A table whose flows count as settled once this is set.
type Table = FlowTable<bool>;

fn table(max_flows: usize) -> Table {
    FlowTable::new(Config {
        max_flows,
        ..Config::default()
    })
}

/// Counts a packet; gives where, and the flows that ended: their first frame's number and why.
fn touch(table: &mut Table, packet: &Packet<'_>) -> (Option<Touch>, Vec<(u64, EndReason)>) {
    let located = table.locate(packet);
    let touch = table.touch(packet, &located);
    (touch.ok(), ended(table))
}

#[test]
fn the_client_is_who_began() {
    let cases = [
        ("SYN", tcp(1, A, B, (SYN, 1), b""), Side::Client),
        (
            "SYN, the wrong way by ports",
            tcp(1, (2, 20), (1, 50_000), (SYN, 1), b""),
            Side::Client,
        ),
        (
            "SYN and ACK",
            tcp(1, B, A, (SYN | ACK, 1), b""),
            Side::Server,
        ),
        (
            "mid-stream, to a system port",
            tcp(1, A, B, (ACK, 1), b"x"),
            Side::Client,
        ),
        (
            "mid-stream, from a system port",
            tcp(1, B, A, (ACK, 1), b"x"),
            Side::Server,
        ),
        (
            "datagram from a system port",
            udp(1, (2, 53), A, b"x"),
            Side::Server,
        ),
        (
            "between system ports",
            udp(1, (2, 123), (1, 123), b"x"),
            Side::Client,
        ),
        ("no ports", udp(1, (2, 0), (1, 0), b"x"), Side::Client),
        (
            "high ports",
            udp(1, (2, 5000), (1, 6000), b"x"),
            Side::Client,
        ),
    ];
    for (name, packet, side) in cases {
        let mut table = table(10);
        let touched = touch(&mut table, &packet).0.unwrap();
        assert_eq!(touched.side, side, "{name}");
        let flow = table.flow(touched).unwrap();
        let sent = flow.ip(side);
        assert_eq!(sent, packet.source.to_ip(4), "{name}");
        assert_eq!(
            flow.counters[side].bytes,
            u64::from(packet.wire_len),
            "{name}"
        );
    }
}

#[test]
fn both_directions_are_one_flow() {
    let mut table = table(10);
    let there = touch(&mut table, &udp(1, A, B, b"x")).0.unwrap();
    let back = touch(&mut table, &udp(2, B, A, b"yy")).0.unwrap();
    assert!(there.is_new && !back.is_new);
    assert_eq!((there.side, back.side), (Side::Client, Side::Server));
    let flow = table.flow(back).unwrap();
    assert_eq!(
        (flow.counters.client.ip_bytes, flow.counters.server.ip_bytes),
        (29, 30)
    );
    assert_eq!(flow.state(), "established");
    flow.swap_sides();
    assert_eq!(
        (flow.counters.client.ip_bytes, flow.counters.server.ip_bytes),
        (30, 29)
    );
    assert_eq!(
        (flow.port(Side::Client), flow.port(Side::Server)),
        (B.1, A.1)
    );
    let again = touch(&mut table, &udp(3, B, A, b"")).0.unwrap();
    assert_eq!(again.side, Side::Client, "and it stays so");
}

#[test]
fn scope_keeps_flows_apart() {
    let tagged = |ids: &[u16], tunnel_id| {
        let mut packet = udp(1, A, B, b"");
        for &id in ids {
            packet.vlans.push(id);
        }
        packet.tunnel_id = tunnel_id;
        packet
    };
    let packets = [
        tagged(&[], 0),
        tagged(&[1], 0),
        tagged(&[0, 1], 0),
        tagged(&[1, 4095], 0),
        tagged(&[2, 4095], 7),
    ];
    for (scope, flows) in [(Scope::None, 1), (Scope::Vlan, 5), (Scope::Tunnel, 2)] {
        let mut table: Table = FlowTable::new(Config {
            scope,
            ..Config::default()
        });
        for packet in &packets {
            touch(&mut table, packet);
        }
        assert_eq!(table.len(), flows, "{scope:?}");
    }
}

/// Packets of one flow, and when it is over without more.
#[test]
fn idle_flows_end_in_frame_time() {
    let cases: &[(&str, &[Packet<'_>], u64, EndReason)] = &[
        ("one packet", &[udp(100, A, B, b"")], 130, EndReason::Idle),
        (
            "datagrams",
            &[udp(100, A, B, b""), udp(100, A, B, b"")],
            160,
            EndReason::Idle,
        ),
        (
            "a later one",
            &[udp(100, A, B, b""), udp(120, B, A, b"")],
            180,
            EndReason::Idle,
        ),
        (
            "one out of order",
            &[udp(150, A, B, b""), udp(100, B, A, b"")],
            210,
            EndReason::Idle,
        ),
        (
            "one segment",
            &[tcp(100, A, B, (ACK, 1), b"x")],
            130,
            EndReason::Idle,
        ),
        (
            "segments",
            &[
                tcp(100, A, B, (ACK, 1), b"x"),
                tcp(100, A, B, (ACK, 2), b""),
            ],
            400,
            EndReason::Idle,
        ),
        (
            "a handshake that is not over",
            &[
                tcp(100, A, B, (SYN, 1), b""),
                acknowledging(tcp(101, B, A, (SYN, 7), b""), 2),
            ],
            131,
            EndReason::Idle,
        ),
        (
            "a handshake",
            &[
                tcp(100, A, B, (SYN, 1), b""),
                acknowledging(tcp(101, B, A, (SYN, 7), b""), 2),
                acknowledging(tcp(102, A, B, (ACK, 2), b""), 8),
            ],
            402,
            EndReason::Idle,
        ),
        (
            "SYNs, each twice as late",
            &[
                tcp(100, A, B, (SYN, 1), b""),
                tcp(103, A, B, (SYN, 1), b""),
                tcp(131, A, B, (SYN, 1), b""),
            ],
            167,
            EndReason::Idle,
        ),
        (
            "one FIN",
            &[tcp(100, A, B, (ACK, 1), b""), tcp(101, A, B, (FIN, 1), b"")],
            401,
            EndReason::Idle,
        ),
        (
            "FIN of both",
            &[
                acknowledging(tcp(100, A, B, (ACK, 1), b""), 1),
                tcp(101, A, B, (FIN, 1), b""),
                tcp(102, B, A, (FIN, 1), b""),
            ],
            112,
            EndReason::Fin,
        ),
        (
            "RST",
            &[
                tcp(100, A, B, (SYN, 1), b""),
                acknowledging(tcp(102, B, A, (RST, 0), b""), 2),
            ],
            112,
            EndReason::Reset,
        ),
    ];
    for (name, packets, until, reason) in cases {
        let mut table = table(10);
        for packet in *packets {
            let ended = touch(&mut table, packet).1;
            assert_eq!(ended, [], "{name}");
        }
        let first = packets[0].number;
        for at in 100..=*until {
            assert_eq!(expired(&mut table, at), [], "{name} at {at}");
        }
        // A reminder comes when the second of the time is over.
        assert_eq!(expired(&mut table, until + 1), [(first, *reason)], "{name}");
        assert!(table.is_empty(), "{name}");
    }
}

/// A flow's packet finds it over, though nobody looked.
#[test]
fn a_late_packet_begins_a_new_flow() {
    let two = [udp(1, A, B, b""), udp(1, B, A, b"")];
    let fins = [tcp(1, A, B, (FIN, 1), b""), tcp(2, B, A, (FIN, 1), b"")];
    let cases: &[(&str, &[Packet<'_>], Packet<'_>, Option<EndReason>)] = &[
        ("in time", &two, udp(61, A, B, b""), None),
        ("idle", &two, udp(62, A, B, b""), Some(EndReason::Idle)),
        (
            "one packet in time",
            &[udp(1, A, B, b"")],
            udp(31, A, B, b""),
            None,
        ),
        (
            "one packet, idle",
            &[udp(1, A, B, b"")],
            udp(32, A, B, b""),
            Some(EndReason::Idle),
        ),
        ("before", &[udp(100, A, B, b"")], udp(1, A, B, b""), None),
        ("last ACK", &fins, tcp(3, A, B, (ACK, 2), b""), None),
        (
            "after FIN",
            &fins,
            tcp(20, A, B, (ACK, 2), b""),
            Some(EndReason::Fin),
        ),
        (
            "SYN after FIN",
            &fins,
            tcp(3, A, B, (SYN, 9), b""),
            Some(EndReason::Fin),
        ),
        (
            "SYN and ACK after FIN",
            &fins,
            tcp(3, A, B, (SYN | ACK, 9), b""),
            Some(EndReason::Fin),
        ),
        (
            "SYN after RST",
            &[tcp(1, A, B, (RST, 1), b"")],
            tcp(2, A, B, (SYN, 9), b""),
            Some(EndReason::Reset),
        ),
        (
            "SYN again",
            &[tcp(1, A, B, (SYN, 1), b"")],
            tcp(2, A, B, (SYN, 9), b""),
            None,
        ),
    ];
    for (name, packets, late, reason) in cases {
        let mut table = table(10);
        for packet in *packets {
            touch(&mut table, packet);
        }
        let (touched, ended) = touch(&mut table, late);
        let touched = touched.unwrap();
        assert_eq!(touched.is_new, reason.is_some(), "{name}");
        let ended: Vec<_> = ended.into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(ended, reason.iter().copied().collect::<Vec<_>>(), "{name}");
        assert_eq!(table.len(), 1, "{name}");
    }
}

#[test]
fn all_flows_end_in_the_order_they_began() {
    let mut table = table(10);
    for (at, port) in [(3, 1), (1, 2), (2, 3)] {
        touch(&mut table, &udp(at, (1, port), B, b""));
    }
    table.finish(EndReason::EndOfInput);
    assert_eq!(
        ended(&mut table),
        [1, 2, 3].map(|number| (number, EndReason::EndOfInput))
    );
    assert!(table.is_empty());
    assert!(
        touch(&mut table, &udp(9, A, B, b"")).0.unwrap().is_new,
        "it can go on"
    );
}

/// Flows come and go while time stands still.
#[test]
fn reminders_are_bounded_by_flows() {
    let mut table = table(10);
    for at in 0..20_000_u32 {
        touch(&mut table, &tcp(1, A, B, (SYN, at), b""));
        touch(
            &mut table,
            &acknowledging(tcp(1, B, A, (RST, 0), b""), at.wrapping_add(1)),
        );
    }
    let (each, more) = REMINDERS;
    assert_eq!(table.len(), 1);
    assert!(
        table.wheel.len() <= each + more + 1,
        "{}",
        table.wheel.len()
    );
    assert_eq!(
        expired(&mut table, 13).len(),
        1,
        "the flow there is was not forgotten"
    );
}

#[test]
fn time_may_jump() {
    let mut table = table(100);
    let times = [0, u64::MAX / 1_000_000_000, 5, 1_700_000_000, 1, 1 << 33, 0];
    let mut watermark = 0;
    let mut seen = 0;
    for (port, &at) in (1..).zip(times.iter().cycle().take(50)) {
        seen += touch(&mut table, &udp(at, (1, port), B, b"")).1.len();
        watermark = watermark.max(at);
        seen += expired(&mut table, watermark).len();
    }
    table.finish(EndReason::EndOfInput);
    seen += ended(&mut table).len();
    assert_eq!(seen, 50, "each flow ends once");
}

/// When a flow ends hangs on its own packets and the watermark alone, not on what else its worker
/// holds: two workers' tables, one of which had other flows before.
#[test]
fn other_flows_do_not_change_when_one_ends() {
    for (first, flow) in [
        (udp(1000, (9, 9), B, b""), udp(500, A, B, b"")),
        (udp(1, (9, 9), B, b""), tcp(990, A, B, (SYN, 1), b"")),
    ] {
        let run = |others: bool| {
            let mut table: Table = FlowTable::new(Config {
                tcp_idle: Duration::from_secs(5000),
                ..Config::default()
            });
            if others {
                touch(&mut table, &first);
            }
            expired(&mut table, 1000);
            touch(&mut table, &flow);
            if flow.tcp.is_some() {
                touch(
                    &mut table,
                    &acknowledging(tcp(1000, B, A, (RST, 0), b""), 2),
                );
            }
            (1000..2000).find(|&at| {
                expired(&mut table, at)
                    .iter()
                    .any(|&(number, _)| number == flow.number)
            })
        };
        assert_eq!(run(true), run(false));
        assert!(run(true).is_some());
    }
}

/// Also in the second that has just begun, when a wheel is more than its length behind.
#[test]
fn a_leap_in_time_does_not_change_when_a_flow_ends() {
    let at = |millis: u64| Timestamp(1_000_000 * millis);
    let flow = Packet {
        at: at(2_000_100),
        ..udp(2000, A, B, b"")
    };
    for behind in [false, true] {
        let mut table = table(10);
        if behind {
            touch(&mut table, &udp(1, (9, 9), B, b""));
        } else {
            expired(&mut table, 1990);
        }
        touch(&mut table, &flow);
        let mut ends = Vec::new();
        for now in [2_030_900, 2_031_000] {
            let mut may_be_more = true;
            while may_be_more {
                may_be_more = table.expire(at(now));
                let gone = ended(&mut table);
                ends.extend(
                    gone.iter()
                        .filter(|(number, _)| *number == 2000)
                        .map(|_| now),
                );
            }
        }
        assert_eq!(ends, [2_031_000], "{behind}");
    }
}

/// The client's bytes, the server's, and whether a beginning is missing.
type Shown = (Vec<u8>, Vec<u8>, bool);

/// What an opening shows after each packet; `None` when there is nothing new.
fn shown(packets: &[Packet<'_>], config: &Config) -> Vec<Option<Shown>> {
    let mut table: Table = FlowTable::new(config.clone());
    packets
        .iter()
        .map(|packet| {
            let touched = touch(&mut table, packet).0.unwrap();
            let flow = table.flow(touched).unwrap();
            let mut seen = None;
            flow.read_opening(
                packet,
                touched.side,
                config,
                &mut Buffers::default(),
                |opening| {
                    let (client, server) = (opening.client, opening.server);
                    let mid_stream = client.mid_stream || server.mid_stream;
                    seen = Some((client.bytes.to_vec(), server.bytes.to_vec(), mid_stream));
                    true
                },
            );
            seen
        })
        .collect()
}

#[test]
fn openings_are_in_order_from_the_syn_on() {
    type Shown<'a> = Option<(&'a [u8], &'a [u8], bool)>;
    let config = Config {
        opening_bytes: 6,
        ..Config::default()
    };
    let syn = tcp(1, A, B, (SYN, 99), b"");
    let cases: &[(&str, &[Packet<'_>], &[Shown<'_>])] = &[
        (
            "from the SYN",
            &[
                syn,
                tcp(1, A, B, (ACK, 100), b"ab"),
                tcp(1, B, A, (ACK, 7), b"xy"),
                tcp(1, A, B, (ACK, 102), b"cd"),
            ],
            &[
                None,
                Some((b"ab", b"", false)),
                Some((b"ab", b"xy", true)),
                Some((b"abcd", b"xy", true)),
            ],
        ),
        (
            "reordered",
            &[
                syn,
                tcp(1, A, B, (ACK, 102), b"cd"),
                tcp(1, A, B, (ACK, 100), b"ab"),
                tcp(1, A, B, (ACK, 100), b"ab"),
            ],
            &[None, None, Some((b"abcd", b"", false)), None],
        ),
        (
            "data in the SYN",
            &[
                tcp(1, A, B, (SYN, 99), b"ab"),
                tcp(1, A, B, (ACK, 102), b"c"),
            ],
            &[Some((b"ab", b"", false)), Some((b"abc", b"", false))],
        ),
        (
            "mid-stream",
            &[tcp(1, A, B, (ACK, 5), b"ab"), tcp(1, A, B, (ACK, 7), b"c")],
            &[Some((b"ab", b"", true)), Some((b"abc", b"", true))],
        ),
        (
            "limit",
            &[
                syn,
                tcp(1, A, B, (ACK, 100), b"abcd"),
                tcp(1, A, B, (ACK, 104), b"efgh"),
            ],
            &[
                None,
                Some((b"abcd", b"", false)),
                Some((b"abcdef", b"", false)),
            ],
        ),
        (
            "datagrams",
            &[
                udp(1, A, B, b"ab"),
                udp(1, B, A, b"xy"),
                udp(1, A, B, b"cd"),
            ],
            &[
                Some((b"ab", b"", false)),
                Some((b"ab", b"xy", false)),
                Some((b"abcd", b"xy", false)),
            ],
        ),
    ];
    for (name, packets, wanted) in cases {
        let got = shown(packets, &config);
        let got: Vec<Shown<'_>> = got
            .iter()
            .map(|seen| {
                seen.as_ref()
                    .map(|(client, server, mid)| (&**client, &**server, *mid))
            })
            .collect();
        assert_eq!(got, *wanted, "{name}");
    }
}

#[test]
fn the_syn_ack_tells_where_the_client_began() {
    let mut answer = tcp(1, B, A, (SYN | ACK, 500), b"");
    if let Some(segment) = &mut answer.tcp {
        segment.acknowledgement = 100;
    }
    let packets = [
        answer,
        tcp(1, A, B, (ACK, 102), b"cd"),
        tcp(1, A, B, (ACK, 100), b"ab"),
    ];
    let seen = shown(&packets, &Config::default());
    assert_eq!(seen[1], None);
    assert_eq!(seen[2], Some((b"abcd".to_vec(), Vec::new(), false)));
}

#[test]
fn every_payload_counts_for_the_end_of_the_opening() {
    let config = Config::default();
    let mut table = table(10);
    let syn = tcp(1, A, B, (SYN, 99), b"");
    let touched = touch(&mut table, &syn).0.unwrap();
    let flow = table.flow(touched).unwrap();
    assert_eq!(
        flow.read_opening(&syn, touched.side, &config, &mut Buffers::default(), |_| {
            true
        }),
        None
    );
    for segment in 0..20_u32 {
        let packet = tcp(1, A, B, (ACK, 200 + segment), b"x");
        let touched = touch(&mut table, &packet).0.unwrap();
        let flow = table.flow(touched).unwrap();
        assert_eq!(
            flow.read_opening(
                &packet,
                touched.side,
                &config,
                &mut Buffers::default(),
                |_| true
            ),
            None
        );
        assert_eq!(u32::from(flow.payload_packets()), segment + 1);
    }
    let touched = touch(&mut table, &tcp(1, A, B, (ACK, 300), b"")).0.unwrap();
    let flow = table.flow(touched).unwrap();
    let opening = flow.last_look().unwrap();
    assert!(opening.client.is_empty() && opening.client.mid_stream && opening.client.ended);
    assert!(!opening.server.mid_stream);
}
