//! Which RST and FIN end a connection, and which segments begin another between the same sockets
//! (RFC 9293, RFC 5961).

use proptest::prelude::*;

use super::*;
use crate::flow::Buffers;
use crate::flow::samples::{Host, ended, expired, tcp};

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

const A: Host = (1, 50_000);
const B: Host = (2, 443);

const DATA: [u8; 100] = [7; 100];

/// Who sends, control bits, sequence number, acknowledgement, octets.
type Segment = (Host, u8, u32, u32, usize);

/// A connection from A, whose stream begins at 100, to B, whose stream begins at 900.
const OPEN: [Segment; 3] = [
    (A, SYN, 99, 0, 0),
    (B, SYN | ACK, 899, 100, 0),
    (A, ACK, 100, 900, 0),
];

/// It asks and is answered.
const TALK: [Segment; 2] = [(A, ACK, 100, 900, 50), (B, ACK, 900, 150, 60)];

fn packet(at: u64, (from, flags, sequence, acknowledgement, len): Segment) -> Packet<'static> {
    let to = if from == A { B } else { A };
    let mut packet = tcp(at, from, to, (flags, sequence), &DATA[..len]);
    if let Some(segment) = &mut packet.tcp {
        segment.acknowledgement = acknowledgement;
    }
    packet
}

/// What becomes of segments, one a second: packets of each flow in the order they end, and why.
fn run(segments: &[Segment]) -> Vec<(u64, EndReason)> {
    let mut table: FlowTable<()> = FlowTable::new(Config::default());
    let mut flows = Vec::new();
    let take = |table: &mut FlowTable<()>, flows: &mut Vec<_>| {
        while let Some((flow, reason)) = table.next_ended() {
            flow.take_held();
            let packets = flow.counters.client.packets + flow.counters.server.packets;
            flows.push((packets, reason));
        }
    };
    for (at, &segment) in (1..).zip(segments) {
        let packet = packet(at, segment);
        let located = table.locate(&packet);
        let _ = table.touch(&packet, &located);
        take(&mut table, &mut flows);
    }
    table.finish(EndReason::EndOfInput);
    take(&mut table, &mut flows);
    flows
}

/// The reason for which the one flow of all `parts` ends, of these segments one after the other.
fn reason(parts: &[&[Segment]]) -> EndReason {
    let segments = parts.concat();
    let flows = run(&segments);
    let [(packets, reason)] = flows[..] else {
        panic!("{flows:?}");
    };
    assert_eq!(packets, segments.len() as u64);
    reason
}

#[test]
fn an_rst_counts_where_its_receiver_takes_it() {
    let established: &[Segment] = &[OPEN.as_slice(), &TALK].concat();
    let cases: &[(&str, &[Segment], Segment, bool)] = &[
        ("exactly", established, (A, RST, 150, 0, 0), true),
        ("with ACK", established, (B, RST | ACK, 960, 150, 0), true),
        ("off by one", established, (A, RST, 151, 0, 0), false),
        ("before", established, (A, RST, 149, 0, 0), false),
        ("in the window", established, (A, RST, 5000, 0, 0), false),
        ("far", established, (A, RST, 900_000_000, 0, 0), false),
        (
            "the other side's number",
            established,
            (A, RST, 960, 0, 0),
            false,
        ),
        // It has not got the answer: that is where it expects.
        (
            "what was acknowledged",
            established,
            (B, RST, 900, 0, 0),
            true,
        ),
        ("zero", established, (B, RST, 0, 0, 0), false),
        ("to a SYN", &OPEN[..1], (B, RST | ACK, 0, 100, 0), true),
        (
            "to a SYN, without ACK",
            &OPEN[..1],
            (B, RST, 0, 0, 0),
            false,
        ),
        (
            "to a SYN, ACK of zero",
            &OPEN[..1],
            (B, RST | ACK, 0, 0, 0),
            false,
        ),
        (
            "to a SYN, ACK of its number",
            &OPEN[..1],
            (B, RST | ACK, 0, 99, 0),
            false,
        ),
        (
            "to a SYN, ACK beyond",
            &OPEN[..1],
            (B, RST | ACK, 0, 101, 0),
            false,
        ),
        ("of who sent the SYN", &OPEN[..1], (A, RST, 100, 0, 0), true),
        (
            "of who sent the SYN, elsewhere",
            &OPEN[..1],
            (A, RST, 99, 0, 0),
            false,
        ),
        (
            "to a SYN with data",
            &[(A, SYN, 99, 0, 20)],
            (B, RST | ACK, 0, 120, 0),
            true,
        ),
        ("to a SYN-ACK", &OPEN[..2], (A, RST, 100, 0, 0), true),
        ("first of all", &[], (A, RST, 77, 0, 0), true),
        (
            "one direction",
            &[(A, ACK, 100, 900, 50)],
            (A, RST, 150, 0, 0),
            true,
        ),
        (
            "one direction, elsewhere",
            &[(A, ACK, 100, 900, 50)],
            (A, RST, 200, 0, 0),
            false,
        ),
        // The other direction tells what it expects.
        (
            "in the middle",
            &[(A, ACK, 100, 900, 50)],
            (B, RST, 900, 0, 0),
            true,
        ),
        (
            "in the middle, elsewhere",
            &[(A, ACK, 100, 900, 50)],
            (B, RST, 901, 0, 0),
            false,
        ),
        // Segments were lost on the way to the listener.
        (
            "after a gap",
            &[
                (A, ACK, 100, 900, 50),
                (A, ACK, 9000, 900, 50),
                (B, ACK, 900, 9050, 0),
            ],
            (A, RST, 9050, 0, 0),
            true,
        ),
        (
            "after its FIN",
            &[(A, ACK, 100, 900, 50), (A, FIN | ACK, 150, 900, 0)],
            (A, RST, 151, 0, 0),
            true,
        ),
    ];
    for &(name, before, rst, counts) in cases {
        let expected = if counts {
            EndReason::Reset
        } else {
            EndReason::EndOfInput
        };
        assert_eq!(reason(&[before, &[rst]]), expected, "{name}");
    }
}

#[test]
fn a_fin_counts_where_the_stream_has_come_to_it() {
    let established: &[Segment] = &[OPEN.as_slice(), &TALK].concat();
    // What both sides send then, and whether the connection has ended.
    let cases: &[(&str, &[Segment], &[Segment], bool)] = &[
        (
            "both",
            established,
            &[(A, FIN | ACK, 150, 960, 0), (B, FIN | ACK, 960, 151, 0)],
            true,
        ),
        ("one", established, &[(A, FIN | ACK, 150, 960, 0)], false),
        (
            "with data",
            established,
            &[(A, FIN | ACK, 150, 960, 10), (B, FIN | ACK, 960, 161, 5)],
            true,
        ),
        (
            "again",
            established,
            &[(A, FIN | ACK, 150, 960, 0), (A, FIN | ACK, 150, 960, 0)],
            false,
        ),
        (
            "out of the window",
            established,
            &[
                (A, FIN | ACK, 900_000_150, 960, 0),
                (B, FIN | ACK, 900_000_960, 150, 0),
            ],
            false,
        ),
        (
            "beyond a gap",
            established,
            &[(A, FIN | ACK, 160, 960, 0), (B, FIN | ACK, 970, 150, 0)],
            false,
        ),
        (
            "beyond a gap that is filled",
            established,
            &[
                (A, FIN | ACK, 160, 960, 0),
                (B, FIN | ACK, 960, 150, 0),
                (A, ACK, 150, 961, 10),
            ],
            true,
        ),
        (
            "beyond what was not captured",
            established,
            &[(A, FIN | ACK, 160, 960, 0), (B, FIN | ACK, 960, 161, 0)],
            true,
        ),
        (
            "of before",
            established,
            &[(A, FIN | ACK, 120, 960, 0), (B, FIN | ACK, 910, 150, 0)],
            false,
        ),
        (
            "before the connection stands",
            &OPEN[..1],
            &[(B, FIN | ACK, 0, 100, 0), (A, FIN, 100, 0, 0)],
            false,
        ),
        (
            "in the middle",
            &[],
            &[(A, FIN | ACK, 5, 77, 0), (B, FIN | ACK, 77, 6, 0)],
            true,
        ),
        (
            "nobody took it",
            established,
            &[
                (A, FIN | ACK, 150, 960, 0),
                (B, FIN | ACK, 960, 150, 0),
                (A, ACK, 150, 960, 40),
            ],
            false,
        ),
    ];
    for &(name, before, fins, counts) in cases {
        let expected = if counts {
            EndReason::Fin
        } else {
            EndReason::EndOfInput
        };
        assert_eq!(reason(&[before, fins]), expected, "{name}");
    }
}

/// Right or not, an RST ends nothing if its sender goes on.
#[test]
fn who_goes_on_has_not_been_reset() {
    let established: &[Segment] = &[OPEN.as_slice(), &TALK].concat();
    let reset = (A, RST, 150, 0, 0);
    let cases: &[(&str, &[Segment], bool)] = &[
        (
            "says something new",
            &[reset, (A, ACK, 150, 960, 10)],
            false,
        ),
        (
            "takes something new",
            &[reset, (B, ACK, 960, 150, 10), (A, ACK, 150, 970, 0)],
            false,
        ),
        (
            "says the same again",
            &[reset, (A, ACK, 100, 900, 50)],
            true,
        ),
        ("the other goes on", &[reset, (B, ACK, 960, 150, 10)], true),
        (
            "an ACK that was late",
            &[reset, (A, ACK, 150, 960, 0)],
            false,
        ),
        ("the same ACK again", &[reset, (A, ACK, 150, 900, 0)], true),
    ];
    for &(name, after, is_reset) in cases {
        let expected = if is_reset {
            EndReason::Reset
        } else {
            EndReason::EndOfInput
        };
        assert_eq!(reason(&[established, after]), expected, "{name}");
    }
    // An answer to the SYN after it was refused.
    let parts: [&[Segment]; 3] = [&OPEN[..1], &[(B, RST | ACK, 0, 100, 0)], &OPEN[1..]];
    assert_eq!(reason(&parts), EndReason::EndOfInput);
}

/// Where a stream moves so far that nobody was ready to take it, the listener missed something.
#[test]
fn a_stream_that_was_lost_is_found_again() {
    let mut segments = OPEN.to_vec();
    for index in 0..12 {
        segments.push((A, ACK, 500_000 + 100 * index, 900, 100));
    }
    segments.push((A, RST, 501_200, 0, 0));
    assert_eq!(reason(&[&segments]), EndReason::Reset);
}

/// A connection of A whose stream begins at 5,000,100, to B, whose stream begins at 7,000,900.
const NEXT: [Segment; 5] = [
    (A, SYN, 5_000_099, 0, 0),
    (B, SYN | ACK, 7_000_899, 5_000_100, 0),
    (A, ACK, 5_000_100, 7_000_900, 0),
    (A, ACK, 5_000_100, 7_000_900, 50),
    (B, ACK, 7_000_900, 5_000_150, 60),
];

#[test]
fn another_syn_begins_another_connection_when_it_counts() {
    use EndReason::{EndOfInput, Fin, Reset, Reused};
    let established: &[Segment] = &[OPEN.as_slice(), &TALK].concat();
    let fins: &[Segment] = &[(A, FIN | ACK, 150, 960, 0), (B, FIN | ACK, 960, 151, 0)];
    let one_way = |segments: &[Segment], host: Host| -> Vec<Segment> {
        segments
            .iter()
            .copied()
            .filter(|segment| segment.0 == host)
            .collect()
    };
    // The other way round: B asks.
    let back: Vec<Segment> = NEXT
        .iter()
        .map(|&(host, flags, sequence, acknowledgement, len)| {
            (
                if host == A { B } else { A },
                flags,
                sequence,
                acknowledgement,
                len,
            )
        })
        .collect();
    type Case<'a> = (&'a str, Vec<Segment>, &'a [(u64, EndReason)]);
    let cases: &[Case<'_>] = &[
        (
            "the same again",
            [established, &OPEN[..1]].concat(),
            &[(6, EndOfInput)],
        ),
        (
            "the same answer again",
            [established, &OPEN[1..2]].concat(),
            &[(6, EndOfInput)],
        ),
        (
            "the same after the end",
            [established, fins, &OPEN[..1]].concat(),
            &[(7, Fin), (1, EndOfInput)],
        ),
        (
            "the same after a refusal",
            vec![OPEN[0], (B, RST | ACK, 0, 100, 0), OPEN[0]],
            &[(3, Reset)],
        ),
        (
            "before an answer",
            [&OPEN[..1], &NEXT].concat(),
            &[(6, EndOfInput)],
        ),
        (
            "before anything is said",
            [&OPEN[..], &NEXT].concat(),
            &[(8, EndOfInput)],
        ),
        (
            "several, of which one is answered",
            [
                &OPEN[..1],
                &NEXT[..1],
                &OPEN[..1],
                &NEXT[..1],
                &OPEN[1..],
                &TALK,
            ]
            .concat(),
            &[(8, EndOfInput)],
        ),
        (
            "both at once",
            vec![(A, SYN, 99, 0, 0), (B, SYN, 899, 0, 0)],
            &[(2, EndOfInput)],
        ),
        (
            "answered anew",
            [established, &NEXT].concat(),
            &[(5, Reused), (5, EndOfInput)],
        ),
        (
            "answered after more tries",
            [established, &NEXT[..1], &NEXT[..1], &NEXT].concat(),
            &[(5, Reused), (7, EndOfInput)],
        ),
        (
            "the other way round",
            [established, &back].concat(),
            &[(5, Reused), (5, EndOfInput)],
        ),
        (
            "after FIN",
            [established, fins, &NEXT].concat(),
            &[(7, Fin), (5, EndOfInput)],
        ),
        (
            "after RST",
            [established, &[(B, RST, 960, 0, 0)], &NEXT].concat(),
            &[(6, Reset), (5, EndOfInput)],
        ),
        // RFC 5961 section 4: what the first connection is asked tells it that it is over.
        (
            "after a challenge",
            [
                established,
                &NEXT[..1],
                &[(B, ACK, 960, 150, 0), (A, RST, 150, 0, 0)],
                &NEXT,
            ]
            .concat(),
            &[(7, Reset), (6, EndOfInput)],
        ),
        (
            "not answered",
            [established, &NEXT[..1]].concat(),
            &[(6, EndOfInput)],
        ),
        (
            "not answered, and it goes on",
            [
                established,
                &NEXT[..1],
                &[(B, ACK, 960, 150, 60), (A, ACK, 150, 1020, 9)],
            ]
            .concat(),
            &[(8, EndOfInput)],
        ),
        (
            "forged with data",
            [
                established,
                &[NEXT[0], NEXT[3]],
                &[(A, ACK, 150, 960, 60), (B, ACK, 960, 210, 9)],
            ]
            .concat(),
            &[(9, EndOfInput)],
        ),
        (
            "refused by an RST that is forged as well",
            [
                established,
                &[NEXT[0], (B, RST | ACK, 0, 5_000_100, 0)],
                &[(A, ACK, 150, 960, 60)],
            ]
            .concat(),
            &[(8, EndOfInput)],
        ),
        (
            "its answer was not captured",
            [established, &NEXT[..1], &NEXT[2..]].concat(),
            &[(5, Reused), (4, EndOfInput)],
        ),
        (
            "only its answer was captured",
            [established, &NEXT[1..]].concat(),
            &[(5, Reused), (4, EndOfInput)],
        ),
        (
            "only the client is heard",
            one_way(&[established, &NEXT].concat(), A),
            &[(3, Reused), (3, EndOfInput)],
        ),
        (
            "only the server is heard",
            one_way(&[established, &NEXT].concat(), B),
            &[(2, Reused), (2, EndOfInput)],
        ),
        (
            "only the client is heard, after FIN",
            one_way(&[established, fins, &NEXT].concat(), A),
            &[(4, Reused), (3, EndOfInput)],
        ),
    ];
    for (name, segments, flows) in cases {
        assert_eq!(run(segments), *flows, "{name}");
    }
}

#[test]
fn a_new_connection_has_its_own_client_and_beginning() {
    let mut table: FlowTable<()> = FlowTable::new(Config::default());
    let config = table.config().clone();
    let mut shown = Vec::new();
    let mut back: Vec<Segment> = [OPEN.as_slice(), &TALK].concat();
    // B asks with data in its SYN, which A takes.
    back.extend([
        (B, SYN, 5_000_099, 0, 20),
        (A, SYN | ACK, 7_000_899, 5_000_120, 0),
        (B, ACK, 5_000_120, 7_000_900, 30),
    ]);
    for (at, &segment) in (1..).zip(&back) {
        let packet = packet(at, segment);
        let located = table.locate(&packet);
        let touch = table.touch(&packet, &located);
        ended(&mut table);
        let Ok(touch) = touch else {
            continue;
        };
        let flow = table.flow(touch).unwrap();
        flow.read_opening(
            &packet,
            touch.side,
            &config,
            &mut Buffers::default(),
            |opening| {
                shown.push((
                    opening.client_port,
                    opening.client.bytes.len(),
                    opening.client.mid_stream,
                ));
                true
            },
        );
    }
    assert_eq!(shown.last(), Some(&(443, 50, false)));
    let flow = table.find(&table.locate(&packet(1, back[0])).key).unwrap();
    assert_eq!(
        (flow.ip(Side::Client), flow.first_number),
        ([10, 0, 0, 2].into(), 6)
    );
    assert_eq!(flow.counters.client.packets, 2);
}

#[test]
fn what_an_opening_has_shown_stays() {
    let config = Config::default();
    let mut table: FlowTable<[Vec<u8>; 2]> = FlowTable::new(config.clone());
    let mut shown = Vec::new();
    // The data of an RST are no part of a stream, but an opening shows them.
    for segment in [
        (A, FIN | ACK, 176, 24, 0),
        (A, RST | 8, 649, 260, 50),
        (B, SYN, 0xffff_ff80, 0xffff_ff80, 40),
        (B, 8, 0xffff_ff80, 0xffff_ff80, 19),
    ] {
        let packet = packet(1, segment);
        let located = table.locate(&packet);
        let touch = table.touch(&packet, &located);
        ended(&mut table);
        let Ok(touch) = touch else {
            continue;
        };
        let flow = table.flow(touch).unwrap();
        let mut before = std::mem::take(&mut flow.class);
        flow.read_opening(
            &packet,
            touch.side,
            &config,
            &mut Buffers::default(),
            |opening| {
                for (before, side) in before.iter_mut().zip([Side::Client, Side::Server]) {
                    let bytes = opening.stream(side).bytes;
                    assert!(bytes.starts_with(before), "shown bytes change");
                    *before = bytes.to_vec();
                }
                true
            },
        );
        shown.push(before.each_ref().map(Vec::len));
        flow.class = before;
    }
    assert_eq!(shown, [[0, 0], [50, 0], [50, 40], [50, 40]]);
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut table: FlowTable<()> = FlowTable::new(Config::default());
    let flows = u16::try_from(2 * HOLDING).unwrap();
    let mut held = 0;
    for port in 1..=flows {
        let client = (1, port);
        for (from, to, bits, sequence, acknowledgement, payload) in [
            (client, B, SYN, 99, 0, &b""[..]),
            (B, client, SYN | ACK, 899, 100, b""),
            (client, B, ACK, 100, 900, b"x"),
            (client, B, SYN, 5_000_099, 0, b""),
        ] {
            let packet = tcp(1, from, to, (bits, sequence), payload);
            let packet = match acknowledgement {
                0 => packet,
                number => crate::flow::samples::acknowledging(packet, number),
            };
            let located = table.locate(&packet);
            let touch = table.touch(&packet, &located);
            ended(&mut table);
            match touch {
                Ok(_) => {}
                Err(Unplaced::Held) => held += 1,
                Err(Unplaced::Full) => panic!("there is room"),
            }
        }
    }
    assert_eq!((held, table.holding), (HOLDING, HOLDING));
    expired(&mut table, 10_000);
    assert_eq!((table.len(), table.holding), (0, 0));
}

proptest! {
    /// Whatever control bits come in whatever order, each packet is counted once.
    #[test]
    fn every_packet_is_counted_once(
        segments in proptest::collection::vec(
            (any::<bool>(), 0u8..32, 0usize..6, 0usize..6, 0usize..3, 0u64..400),
            1..200,
        ),
        max_flows in 1usize..4,
    ) {
        const NUMBERS: [u32; 6] = [99, 100, 150, 5_000_099, 5_000_100, 0x9000_0000];
        let mut table: FlowTable<()> = FlowTable::new(Config {
            max_flows,
            ..Config::default()
        });
        let (mut counted, mut sent, mut refused) = (0, 0, 0);
        let mut at = 1;
        let mut total = |table: &mut FlowTable<()>| {
            while let Some((flow, _)) = table.next_ended() {
                flow.take_held();
                counted += flow.counters.client.packets + flow.counters.server.packets;
            }
        };
        for (is_client, bits, sequence, acknowledgement, port, wait) in segments {
            at += if wait > 380 { wait } else { 0 };
            let client = (1, 1000 + u16::try_from(port).unwrap());
            let (from, to) = if is_client { (client, B) } else { (B, client) };
            let payload = &DATA[..usize::from(bits & 1) * 50];
            let mut packet = tcp(at, from, to, (bits, NUMBERS[sequence]), payload);
            if let Some(segment) = &mut packet.tcp {
                segment.acknowledgement = NUMBERS[acknowledgement];
            }
            sent += 1;
            let located = table.locate(&packet);
            let touch = table.touch(&packet, &located);
            total(&mut table);
            match touch {
                Err(Unplaced::Full) => refused += 1,
                Err(Unplaced::Held) | Ok(_) => {}
            }
            if wait == 0 {
                while table.expire(Timestamp::new(at, 0)) {
                    total(&mut table);
                }
                total(&mut table);
            }
        }
        table.finish(EndReason::EndOfInput);
        total(&mut table);
        prop_assert_eq!(counted + refused, sent);
        prop_assert_eq!((table.holding, table.leaving.count()), (0, 0));
    }
}

proptest! {
    /// Flows that were seen ahead may end, and others take their places, before they are touched.
    #[test]
    fn looking_ahead_changes_nothing(
        segments in proptest::collection::vec(
            (any::<bool>(), 0u8..32, 0usize..6, 0u16..5, 0u64..400),
            1..200,
        ),
        max_flows in 1usize..4,
        batch in 1usize..40,
    ) {
        const NUMBERS: [u32; 6] = [99, 100, 150, 5_000_099, 5_000_100, 0x9000_0000];
        let config = Config { max_flows, ..Config::default() };
        let mut at = 1;
        let packets: Vec<_> = segments
            .into_iter()
            .map(|(is_client, bits, sequence, port, wait)| {
                at += if wait > 380 { wait } else { 0 };
                let client = (1, 1000 + port);
                let (from, to) = if is_client { (client, B) } else { (B, client) };
                tcp(at, from, to, (bits, NUMBERS[sequence]), &DATA[..usize::from(bits & 1) * 50])
            })
            .collect();
        let run = |ahead: usize| {
            let mut table: FlowTable<()> = FlowTable::new(config.clone());
            let mut seen = Vec::new();
            for packets in packets.chunks(ahead) {
                let mut places: Vec<_> =
                    packets.iter().map(|packet| Some(table.locate(packet))).collect();
                if ahead > 1 {
                    table.look_ahead(&mut places);
                }
                for (packet, located) in packets.iter().zip(places.into_iter().flatten()) {
                    let touch = table.touch(packet, &located);
                    let touch = touch.map(|touch| (touch.slot(), touch.side, touch.is_new));
                    seen.push((touch, ended(&mut table)));
                }
            }
            seen
        };
        prop_assert_eq!(run(batch), run(1));
    }
}
