//! What a table takes: its rooms keep their limits, whatever comes, and the books are right.

use proptest::prelude::*;

use super::*;
use crate::flow::Buffers;
use crate::flow::samples::{Host, ended, expired, tcp, udp};

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

const B: Host = (2, 443);

/// What a flow has shown when its turn comes, and that it has.
#[derive(Debug, Default)]
struct Learned {
    /// Bytes learned from the opening, and kept for the record.
    learned: usize,
    is_settled: bool,
}

impl Attachment for Learned {
    fn is_settled(&self) -> bool {
        self.is_settled
    }

    fn memory(&self) -> usize {
        self.learned
    }
}

type Rooms = FlowTable<Learned>;

fn rooms(opening_memory: usize, record_memory: usize) -> Rooms {
    FlowTable::new(Config {
        opening_memory,
        record_memory,
        opening_packets: u16::MAX,
        ..Config::default()
    })
}

/// Reads a packet as a worker does; `settles`: its flow has its name then. Gives the flows that were
/// cut, by their first frame, and whether they still were inspected.
fn inspect(
    table: &mut Rooms,
    packet: &Packet<'_>,
    learned: usize,
    settles: bool,
) -> Vec<(u64, bool)> {
    let config = table.config().clone();
    let located = table.locate(packet);
    let touch = table.touch(packet, &located);
    ended(table);
    let Ok(touch) = touch else {
        return Vec::new();
    };
    let flow = table.flow(touch).unwrap();
    if flow.class.is_settled {
        return Vec::new();
    }
    flow.read_opening(packet, touch.side, &config, &mut Buffers::default(), |_| {
        !settles
    });
    // From nothing, nothing is learned.
    if !packet.payload.is_empty() {
        flow.class.learned += learned;
    }
    if settles {
        flow.class.is_settled = true;
        flow.close_opening(&mut Buffers::default());
    }
    let mut cut = Vec::new();
    table.book(touch);
    while let Some(flow) = table.next_to_cut() {
        cut.push((flow.first_number, !flow.class.is_settled));
        if flow.class.is_settled {
            flow.class.learned = 0;
        }
        flow.class.is_settled = true;
    }
    cut
}

/// What all flows really take.
fn counted(table: &Rooms) -> (usize, usize) {
    let flows = table.chunks.iter().flatten().flatten();
    flows.fold((0, 0), |(openings, kept), flow| {
        match flow.opening_memory() {
            0 => (openings, kept + flow.class.learned),
            bytes => (openings + bytes + flow.class.learned, kept),
        }
    })
}

#[test]
fn the_opening_that_began_first_ends_first() {
    let payload = [7; 1000];
    let mut table = rooms(3 * 1000 + 1200, 1 << 20);
    let packet = |flow: u16| udp(1, (1, 1000 + flow), B, &payload);
    let mut cut = Vec::new();
    for flow in 0..5 {
        let mut packet = packet(flow);
        packet.number = u64::from(flow);
        cut.extend(inspect(&mut table, &packet, 0, false));
    }
    assert_eq!(cut, [(0, true), (1, true)], "three fit");
    // A settled flow takes none: there is room for one more.
    cut = inspect(&mut table, &packet(2), 0, true);
    cut.extend(inspect(&mut table, &packet(9), 0, false));
    assert_eq!(cut, []);
    // Who grows is not who pays, unless it began first.
    assert_eq!(inspect(&mut table, &packet(9), 0, false), [(3, true)]);
    assert_eq!(table.memory(), counted(&table));
    for flow in [4, 9] {
        let packet = packet(flow);
        let located = table.locate(&packet);
        table.touch(&packet, &located).unwrap();
    }
    expired(&mut table, 1000);
    assert_eq!((table.memory(), counted(&table)), ((0, 0), (0, 0)));
}

#[test]
fn an_opening_larger_than_all_room_ends_at_once() {
    let mut table = rooms(100, 1 << 20);
    let mut packet = udp(1, (1, 50_000), B, &[7; 500]);
    packet.number = 5;
    assert_eq!(inspect(&mut table, &packet, 0, false), [(5, true)]);
    assert_eq!(table.memory(), (0, 0));
}

#[test]
fn what_is_kept_for_records_has_its_limit() {
    let mut table = rooms(1 << 20, 2500);
    let mut cut = Vec::new();
    for flow in 0..4 {
        let mut packet = udp(1, (1, 1000 + flow), B, b"hello");
        packet.number = u64::from(flow);
        cut.extend(inspect(&mut table, &packet, 1000, true));
    }
    assert_eq!(cut, [(0, false), (1, false)]);
    assert_eq!(
        (table.memory(), table.memory()),
        ((0, 2000), counted(&table))
    );
}

/// The worst there is: flows without end, each with as large an opening as it may have.
#[test]
fn a_flood_stays_within_its_memory() {
    let limit = 4 << 20;
    let mut table = rooms(limit, 1 << 20);
    let payload = [7; 1400];
    let mut cut = 0;
    for round in 0..24 {
        for flow in 0..4000_u16 {
            for (from, to) in [((1, 1000 + flow), B), (B, (1, 1000 + flow))] {
                let packet = udp(round, from, to, &payload);
                cut += inspect(&mut table, &packet, 40, false).len();
                assert!(table.memory().0 <= limit, "{:?}", table.memory());
            }
        }
        assert_eq!(table.memory(), counted(&table));
    }
    assert!(cut > 3000, "{cut}");
    assert!(
        table.memory().0 > limit - (40 << 10),
        "room is used: {:?}",
        table.memory()
    );
}

proptest! {
    /// Whatever flows do, the books are right and the limits hold after every packet.
    #[test]
    fn memory_is_bounded_whatever_comes(
        events in proptest::collection::vec(
            (0u16..40, any::<bool>(), 0usize..1500, 0usize..300, any::<u8>()),
            1..400,
        ),
        openings in 0usize..40_000,
        records in 0usize..4_000,
    ) {
        let mut table = rooms(openings, records);
        let bytes = [7; 1500];
        for (second, (flow, is_tcp, length, learned, odds)) in (0..).zip(events) {
            let (host, payload) = ((1, 1000 + flow), &bytes[..length]);
            let at = second / 4;
            let packet = if is_tcp {
                let flags = match odds % 8 { 0 => SYN, 1 => RST, 2 => FIN | ACK, _ => ACK };
                tcp(at, host, B, (flags, u32::from(odds) * 400), payload)
            } else {
                udp(at, host, B, payload)
            };
            inspect(&mut table, &packet, learned, odds > 200);
            if odds == 3 {
                expired(&mut table, at);
            }
            let (held, kept) = table.memory();
            prop_assert!(held <= openings && kept <= records);
            prop_assert_eq!((held, kept), counted(&table));
        }
    }
}

#[test]
fn a_table_takes_no_more_than_it_says() {
    for flows in [1, 1000, 5000] {
        let mut table = rooms(1 << 20, 1 << 20);
        table.config.max_flows = flows;
        for flow in 0..flows + 10 {
            let port = u16::try_from(1 + flow).unwrap();
            let packet = udp(1, (1, port), B, b"");
            let located = table.locate(&packet);
            table.touch(&packet, &located).unwrap();
            ended(&mut table);
        }
        let slots: usize = table.chunks.iter().map(Vec::capacity).sum();
        let taken = slots * size_of::<Option<Flow<Learned>>>()
            + table.chunks.capacity() * size_of::<Vec<Option<Flow<Learned>>>>()
            + table.index.allocation_size()
            + table.free.capacity() * size_of::<u32>()
            + table.wheel.memory()
            + table.leaving.memory();
        let most = Rooms::memory_limit(table.config());
        assert!(taken <= most, "{flows}: {taken} of {most}");
        assert!(most < 2 * taken + (2 << 20), "{flows}: {taken} of {most}");
    }
}
