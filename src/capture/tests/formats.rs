//! What the fields of pcap and pcapng mean.

use super::{frames, read};
use crate::capture::LinkType;
use crate::capture::listing::ByteOrder::{Big, Little};
use crate::capture::samples::{self, Bytes, PCAP, PcapHeader};

const SECOND: u64 = 1_000_000_000;

#[test]
fn reads_pcap_of_every_kind() {
    // what, header, nanoseconds of the fraction 5
    let rows = [
        ("little-endian", PCAP, 5_000),
        ("big-endian", PcapHeader { order: Big, ..PCAP }, 5_000),
        (
            "nanoseconds",
            PcapHeader {
                magic: 0xa1b2_3c4d,
                ..PCAP
            },
            5,
        ),
        (
            "big-endian nanoseconds",
            PcapHeader {
                order: Big,
                magic: 0xa1b2_3c4d,
                ..PCAP
            },
            5,
        ),
        (
            "Kuznetzov",
            PcapHeader {
                magic: 0xa1b2_cd34,
                ..PCAP
            },
            5_000,
        ),
        (
            "big-endian Kuznetzov",
            PcapHeader {
                order: Big,
                magic: 0xa1b2_cd34,
                ..PCAP
            },
            5_000,
        ),
        (
            "IXIA hardware",
            PcapHeader {
                magic: 0x1c00_01ac,
                ..PCAP
            },
            5,
        ),
        (
            "big-endian IXIA software",
            PcapHeader {
                order: Big,
                magic: 0x1c00_01ab,
                ..PCAP
            },
            5_000,
        ),
        (
            "version 2.1",
            PcapHeader {
                version: (2, 1),
                ..PCAP
            },
            5_000,
        ),
        (
            "version 2.3",
            PcapHeader {
                version: (2, 3),
                ..PCAP
            },
            5_000,
        ),
        (
            "DG/UX",
            PcapHeader {
                version: (543, 0),
                ..PCAP
            },
            5_000,
        ),
        (
            "a later minor version",
            PcapHeader {
                version: (2, 9),
                ..PCAP
            },
            5_000,
        ),
        (
            "FCS length",
            PcapHeader {
                link: 0x4400_0001,
                ..PCAP
            },
            5_000,
        ),
        (
            "no snapshot length",
            PcapHeader { snaplen: 0, ..PCAP },
            5_000,
        ),
        (
            "endless snapshot length",
            PcapHeader {
                snaplen: u32::MAX,
                ..PCAP
            },
            5_000,
        ),
    ];
    for (what, header, nanos) in rows {
        let mut file = header.file();
        if header.magic & 0xff00_0000 == 0x1c00_0000 {
            file.u32(77);
        }
        let extra: &[u8] = if header.magic == 0xa1b2_cd34 {
            &[9; 8]
        } else {
            &[]
        };
        let swapped = matches!(header.version, (2, 0..=3) | (543, _));
        let mut add = |time, captured: u32, original: u32, frame: &[u8]| {
            let lengths = if swapped {
                (original, captured)
            } else {
                (captured, original)
            };
            samples::record(&mut file, time, lengths, extra);
            file.raw(frame);
        };
        add((1, 5), 4, 4, b"abcd");
        add((u32::MAX, 5), 3, 1500, b"xyz");
        let wanted = vec![
            (1, SECOND + nanos, 1, 4, b"abcd".to_vec()),
            (
                2,
                u64::from(u32::MAX) * SECOND + nanos,
                1,
                1500,
                b"xyz".to_vec(),
            ),
        ];
        assert_eq!(frames(&file.bytes), wanted, "{what}");
    }
}

#[test]
fn version_2_3_goes_by_the_smaller_length() {
    let mut file = PcapHeader {
        version: (2, 3),
        ..PCAP
    }
    .file();
    samples::record(&mut file, (1, 0), (3, 60), b"abc");
    samples::record(&mut file, (1, 0), (60, 3), b"abc");
    let seen = frames(&file.bytes);
    assert_eq!(seen[0].3, 60);
    assert_eq!(seen[1].3, 60);
}

#[test]
fn odd_fields_are_data() {
    // what, time, lengths, wanted: nanoseconds, length on the wire, lies
    let rows = [
        ("plain", (1, 2), (4, 4), SECOND + 2_000, 4, 0),
        (
            "a second in microseconds",
            (1, 1_000_000),
            (4, 4),
            2 * SECOND,
            4,
            0,
        ),
        (
            "all ones in microseconds",
            (0, u32::MAX),
            (4, 4),
            4_294_967_295_000,
            4,
            0,
        ),
        ("nothing captured", (1, 0), (0, 60), SECOND, 60, 0),
        ("nothing at all", (1, 0), (0, 0), SECOND, 0, 0),
        ("original below captured", (1, 0), (4, 3), SECOND, 4, 1),
        ("no original", (1, 0), (4, 0), SECOND, 4, 1),
        (
            "beyond the snapshot length",
            (1, 0),
            (4, 180_000),
            SECOND,
            180_000,
            0,
        ),
        ("the longest", (1, 0), (4, 262_144), SECOND, 262_144, 0),
        ("longer than anything", (1, 0), (4, 262_145), SECOND, 4, 1),
        ("all ones", (1, 0), (4, u32::MAX), SECOND, 4, 1),
    ];
    for (what, time, lengths, nanos, wire_len, lies) in rows {
        let data = &b"abcd"[..lengths.0 as usize];
        let wanted = vec![(1, nanos, 1, wire_len, data.to_vec())];

        let mut file = PCAP.file();
        samples::record(&mut file, time, lengths, data);
        let contents = read(&file.bytes).unwrap();
        assert_eq!(contents.frames, wanted, "pcap: {what}");
        assert_eq!(contents.counts.lying_lengths, lies, "pcap: {what}");
        assert_eq!(contents.damage, None, "pcap: {what}");

        let mut file = Bytes::new(Little);
        samples::section(&mut file);
        samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
        let body = samples::enhanced_body(Little, 0, nanos / 1_000, lengths, data);
        samples::block(&mut file, 6, &body);
        let contents = read(&file.bytes).unwrap();
        assert_eq!(contents.frames, wanted, "pcapng: {what}");
        assert_eq!(contents.counts.lying_lengths, lies, "pcapng: {what}");
    }
}

#[test]
fn reads_pcapng_blocks_of_every_kind() {
    for order in [Little, Big] {
        let mut file = Bytes::new(order);
        samples::section(&mut file);
        samples::interface(&mut file, LinkType::ETHERNET, 3, &[(2, b"eth0"), (9, &[9])]);
        samples::block(&mut file, 0xbad, b"of no meaning");
        samples::interface(&mut file, LinkType::RAW, 0, &[]);
        samples::enhanced(&mut file, 1, 7, b"raw");
        // With an option after the padded data: a comment.
        let mut body = Bytes::new(order);
        body.raw(&samples::enhanced_body(order, 0, SECOND, (5, 9), b"ether"))
            .pad();
        body.u16(1).u16(5).raw(b"hello").pad().u32(0);
        samples::block(&mut file, 6, &body.bytes);
        // Simple packet: cut by the snapshot length of the first interface.
        let mut body = Bytes::new(order);
        body.u32(60).raw(b"sim");
        samples::block(&mut file, 3, &body.bytes);
        // Obsolete packet block: the interface, then drops.
        let mut body = Bytes::new(order);
        body.u16(1).u16(500).u32(0).u32(9).u32(3).u32(3).raw(b"old");
        samples::block(&mut file, 2, &body.bytes);
        // A new section, in the other order, forgets the interfaces.
        file.order = if order == Big { Little } else { Big };
        samples::section(&mut file);
        samples::interface(&mut file, LinkType::LINUX_SLL, 0, &[]);
        samples::enhanced(&mut file, 0, 1, b"cooked");
        samples::block(&mut file, 5, &[0; 12]);
        let wanted = vec![
            (1, 7_000, 101, 3, b"raw".to_vec()),
            (2, SECOND, 1, 9, b"ether".to_vec()),
            (3, SECOND, 1, 60, b"sim".to_vec()),
            (4, 9_000, 101, 3, b"old".to_vec()),
            (5, 1_000, 113, 6, b"cooked".to_vec()),
        ];
        assert_eq!(frames(&file.bytes), wanted, "{order:?}");
    }
}

/// Simple packet blocks have no time: theirs is that of the packet before them in the section, or of
/// the first one behind them that has one.
#[test]
fn packets_without_a_time_among_those_with_one() {
    let mut file = Bytes::new(Little);
    let simple = |file: &mut Bytes, data: &[u8]| {
        let mut body = Bytes::new(Little);
        body.u32(data.len() as u32).raw(data).pad();
        samples::block(file, 3, &body.bytes);
    };
    samples::section(&mut file);
    samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    simple(&mut file, b"a");
    simple(&mut file, b"b");
    samples::enhanced(&mut file, 1, 50, b"c");
    simple(&mut file, b"d");
    samples::enhanced(&mut file, 0, 40, b"e");
    simple(&mut file, b"f");
    samples::section(&mut file);
    samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    simple(&mut file, b"g");
    samples::enhanced(&mut file, 0, 30, b"h");
    samples::section(&mut file);
    samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    simple(&mut file, b"i");
    let seen = frames(&file.bytes);
    let times: Vec<u64> = seen.iter().map(|frame| frame.1 / 1_000).collect();
    assert_eq!(times, [50, 50, 50, 50, 40, 40, 30, 30, 50]);

    let mut timeless = Bytes::new(Little);
    samples::section(&mut timeless);
    samples::interface(&mut timeless, LinkType::ETHERNET, 0, &[]);
    simple(&mut timeless, b"a");
    assert_eq!(frames(&timeless.bytes)[0].1, 0);
}

#[test]
fn padding_may_be_left_out_of_the_length() {
    let mut file = Bytes::new(Little);
    samples::section(&mut file);
    samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    let body = samples::enhanced_body(Little, 0, 1, (5, 5), b"abcde");
    let length = body.len() as u32 + 12;
    file.u32(6).u32(length).raw(&body).pad().u32(length);
    samples::enhanced(&mut file, 0, 2, b"next");
    assert_eq!(frames(&file.bytes).len(), 2);
}

#[test]
fn clocks_of_interfaces() {
    let offset = |seconds: i64| seconds.to_le_bytes().to_vec();
    // what, options, time stamp, nanoseconds
    type Row<'a> = (&'a str, &'a [(u16, Vec<u8>)], u64, u64);
    let rows: &[Row<'_>] = &[
        ("as the format has it", &[], 3, 3_000),
        ("microseconds", &[(9, vec![6])], 3, 3_000),
        ("milliseconds", &[(9, vec![3])], 3, 3_000_000),
        ("seconds", &[(9, vec![0])], 3, 3 * SECOND),
        ("nanoseconds", &[(9, vec![9])], 3, 3),
        ("picoseconds", &[(9, vec![12])], 3_999, 3),
        ("10^-28 s", &[(9, vec![28])], u64::MAX, 1),
        ("10^-29 s", &[(9, vec![29])], u64::MAX, 0),
        ("10^-127 s", &[(9, vec![127])], u64::MAX, 0),
        ("halves", &[(9, vec![0x81])], 3, 1_500_000_000),
        (
            "2^-10 s",
            &[(9, vec![0x8a])],
            1 << 20 | 512,
            1024 * SECOND + SECOND / 2,
        ),
        ("2^-32 s", &[(9, vec![0xa0])], 1 << 31, SECOND / 2),
        ("2^-127 s", &[(9, vec![0xff])], u64::MAX, 0),
        ("2^0 s, late", &[(9, vec![0x80])], u64::MAX, u64::MAX),
        ("seconds, late", &[(9, vec![0])], u64::MAX, u64::MAX),
        ("offset", &[(14, offset(10))], 3, 10 * SECOND + 3_000),
        ("offset back", &[(14, offset(-1))], 2_000_000, SECOND),
        ("offset before 1970", &[(14, offset(-9))], 2_000_000, 0),
        (
            "offset without end",
            &[(14, offset(i64::MIN))],
            2_000_000,
            0,
        ),
        ("both", &[(14, offset(1)), (9, vec![9])], 3, SECOND + 3),
        ("after the end", &[(0, vec![]), (9, vec![9])], 3, 3_000),
        ("odd lengths", &[(9, vec![9, 9]), (14, vec![1])], 3, 3_000),
    ];
    for (what, options, units, nanos) in rows {
        let options: Vec<(u16, &[u8])> = options
            .iter()
            .map(|(code, value)| (*code, &value[..]))
            .collect();
        let mut file = Bytes::new(Little);
        samples::section(&mut file);
        samples::interface(&mut file, LinkType::ETHERNET, 0, &options);
        samples::enhanced(&mut file, 0, *units, b"");
        assert_eq!(frames(&file.bytes)[0].1, *nanos, "{what}");
    }
}
