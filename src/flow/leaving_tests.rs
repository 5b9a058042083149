//! What leaves a full table: attempts first, the oldest of them; then settled flows; flows that
//! open only for one with a payload.

use super::*;
use crate::flow::samples::{Host, acknowledging, ended, expired, tcp, udp};

const SYN: u8 = TcpSegment::SYN;
const ACK: u8 = TcpSegment::ACK;

const B: Host = (2, 443);

/// A table whose flows count as settled once this is set.
type Table = FlowTable<bool>;

fn table(max_flows: usize) -> Table {
    FlowTable::new(Config {
        max_flows,
        ..Config::default()
    })
}

/// Counts a packet; gives where, and the first frames of flows that had to leave.
fn touch(table: &mut Table, packet: &Packet<'_>) -> (Result<Touch, Unplaced>, Vec<u64>) {
    let located = table.locate(packet);
    let touch = table.touch(packet, &located);
    let left = ended(table).into_iter().map(|(number, reason)| {
        assert!(matches!(reason, EndReason::Evicted | EndReason::Reset));
        number
    });
    (touch, left.collect())
}

/// A datagram of the flow of `port`.
fn datagram(at: u64, port: u16) -> Packet<'static> {
    udp(at, (1, port), B, b"x")
}

fn syn(at: u64, port: u16) -> Packet<'static> {
    tcp(at, (1, port), B, (SYN, 99), b"")
}

/// A flow of two packets, settled or not.
fn stands(table: &mut Table, at: u64, port: u16, settled: bool) {
    touch(table, &datagram(at, port)).0.unwrap();
    let touch = touch(table, &datagram(at, port)).0.unwrap();
    table.flow(touch).unwrap().class = settled;
}

fn is_held(table: &Table, packet: &Packet<'_>) -> bool {
    table.find(&table.locate(packet).key).is_some()
}

#[test]
fn attempts_leave_first_and_the_oldest_of_them() {
    let mut table = table(6);
    stands(&mut table, 1, 1, true);
    stands(&mut table, 2, 2, false);
    for (at, packet) in (3..).zip([3, 4, 5, 6]) {
        touch(&mut table, &syn(at, packet)).0.unwrap();
    }
    // This one has come to stand since.
    touch(
        &mut table,
        &acknowledging(tcp(7, B, (1, 3), (SYN, 7), b""), 100),
    )
    .0
    .unwrap();
    let ack = tcp(7, (1, 3), B, (ACK, 100), b"");
    touch(&mut table, &acknowledging(ack, 8)).0.unwrap();
    let mut left = Vec::new();
    for port in 10..20 {
        let (touched, gone) = touch(&mut table, &syn(20 + u64::from(port), port));
        assert!(touched.unwrap().is_new);
        left.extend(gone);
    }
    assert_eq!(left, [4, 5, 6, 30, 31, 32, 33, 34, 35, 36]);
    for packet in [datagram(1, 1), datagram(1, 2), syn(1, 3)] {
        assert!(is_held(&table, &packet), "{packet:?}");
    }
}

#[test]
fn a_flow_that_has_ended_leaves_among_the_attempts() {
    let mut table = table(4);
    for port in [1, 2, 3] {
        touch(&mut table, &syn(1, port)).0.unwrap();
        let answer = tcp(1, B, (1, port), (SYN, 7), b"");
        touch(&mut table, &acknowledging(answer, 100)).0.unwrap();
        let hello = tcp(1, (1, port), B, (ACK, 100), b"hello");
        touch(&mut table, &acknowledging(hello, 8)).0.unwrap();
    }
    let mut reset = tcp(2, (1, 2), B, (TcpSegment::RST, 105), b"");
    reset.number = 9;
    touch(&mut table, &reset).0.unwrap();
    touch(&mut table, &syn(3, 4)).0.unwrap();
    touch(&mut table, &syn(4, 5)).0.unwrap();
    assert!(!is_held(&table, &syn(1, 2)), "it was reset");
    for port in [1, 3, 4, 5] {
        assert!(is_held(&table, &syn(1, port)), "{port}");
    }
}

/// So that connections that begin at the same time do not push out each other.
#[test]
fn some_places_of_settled_flows_are_for_attempts() {
    let mut table = table(64);
    for port in 1..=64 {
        stands(&mut table, u64::from(port), port, true);
    }
    let mut left = Vec::new();
    for port in 101..200 {
        left.extend(touch(&mut table, &syn(200, port)).1);
    }
    let settled: Vec<u64> = left
        .iter()
        .copied()
        .filter(|&number| number < 200)
        .collect();
    assert_eq!(settled, [1, 2, 3, 4, 5], "those that were quiet longest");
    assert_eq!(left.len(), 99);
    assert_eq!(table.leaving.count(), 5);
}

#[test]
fn flows_that_open_make_room_for_a_payload_only() {
    let mut table = table(4);
    for port in 1..=4 {
        stands(&mut table, u64::from(port), port, false);
    }
    let (touched, left) = touch(&mut table, &syn(9, 5));
    assert_eq!((touched.err(), left), (Some(Unplaced::Full), vec![]));
    let (touched, left) = touch(&mut table, &datagram(10, 6));
    assert!(touched.is_ok());
    assert_eq!(left, [1]);
    assert!(touch(&mut table, &datagram(11, 2)).0.is_ok());
    assert_eq!(table.len(), 4);
}

#[test]
fn flows_that_may_not_leave_hide_none_that_may() {
    let mut table = table(1001);
    stands(&mut table, 1, 1, true);
    for port in 2..=1001 {
        stands(&mut table, 1, port, false);
    }
    let refused = (0..100)
        .take_while(|_| touch(&mut table, &syn(2, 2000)).0.is_err())
        .count();
    assert!(refused <= 1001 / EVICTION_TRIES + 1, "{refused}");
}

#[test]
fn a_table_of_one_flow() {
    let mut table = table(1);
    let mut evicted = 0;
    for port in 1..=5000 {
        evicted += touch(&mut table, &datagram(1, port)).1.len();
    }
    assert_eq!((table.len(), evicted), (1, 4999));
}

/// A flood of attempts, and flows that come to stand among it.
#[test]
fn a_flood_takes_no_place_of_those_that_stand() {
    let mut table = table(100);
    let mut flood = (0..u16::MAX).cycle();
    for round in 0..50 {
        stands(&mut table, 1, 40_000 + round, true);
        for port in flood.by_ref().take(300) {
            let packet = tcp(1, (3, port), B, (SYN, 1), b"");
            touch(&mut table, &packet).0.unwrap();
        }
    }
    for round in 0..50 {
        assert!(is_held(&table, &datagram(1, 40_000 + round)), "{round}");
    }
    // The order keeps its limit, whatever comes.
    assert!(table.leaving.memory() <= Leaving::memory_limit(100));
}

/// Whoever makes it end and go on does not make the table remember each time.
#[test]
fn a_connection_that_ends_again_and_again_takes_no_more() {
    let mut table = table(10);
    let client = (1, 1);
    touch(&mut table, &tcp(1, client, B, (ACK, 100), b"x"))
        .0
        .unwrap();
    touch(&mut table, &tcp(1, client, B, (ACK, 101), b"x"))
        .0
        .unwrap();
    for round in 0..20_000 {
        let rst = tcp(1, client, B, (TcpSegment::RST, 102 + round), b"");
        touch(&mut table, &rst).0.unwrap();
        let more = tcp(1, client, B, (ACK, 102 + round), b"x");
        touch(&mut table, &more).0.unwrap();
    }
    assert_eq!((table.len(), table.leaving.count()), (1, 0));
    assert!(table.wheel.len() <= 3, "{}", table.wheel.len());
    assert!(table.leaving.memory() < 1000, "{}", table.leaving.memory());
}

/// The order is begun late, and slots are used again: it is that of time all the same.
#[test]
fn the_order_that_is_begun_late_is_that_of_time() {
    let mut table = table(8);
    touch(&mut table, &datagram(1, 1)).0.unwrap();
    touch(&mut table, &datagram(20, 2)).0.unwrap();
    assert_eq!(expired(&mut table, 40), [(1, EndReason::Idle)]);
    assert_eq!(table.len(), 1);
    for (at, port) in (41..).zip(3..10) {
        touch(&mut table, &datagram(at, port)).0.unwrap();
    }
    let left: Vec<u64> = (48..)
        .zip(10..14)
        .flat_map(|(at, port)| touch(&mut table, &datagram(at, port)).1)
        .collect();
    assert_eq!(left, [20, 41, 42, 43]);
}
