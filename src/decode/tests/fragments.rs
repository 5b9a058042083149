//! Datagrams in parts: in every order, doubled, cut, contradictory, too many, too late.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::build::{A, A6, B, B6, ethernet, ipv4, ipv6, outer, outer_udp, udp, vlan, with};
use super::{Config, Decoded, Decoder, DropReason, Frame, LinkType, Timestamp, ends, frame};
use crate::decode::{Datagram, Tunnel};

const SECOND: u64 = 1_000_000_000;

/// An IPv4 fragment: `offset` in octets.
fn part4(identification: u16, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = ipv4(17, body);
    bytes[4..6].copy_from_slice(&identification.to_be_bytes());
    let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    bytes[6..8].copy_from_slice(&field.to_be_bytes());
    bytes
}

/// An IPv6 fragment behind a hop-by-hop header.
fn part6(identification: u32, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let mut header = vec![44, 0, 1, 4, 0, 0, 0, 0, 17, 0];
    header.extend((offset as u16 | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    ipv6(0, &with(&header, body))
}

/// A UDP datagram of 5000 to 6000, in parts of `size` octets.
fn parts(version: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let datagram = udp(5000, 6000, payload);
    let count = datagram.len().div_ceil(size);
    datagram
        .chunks(size)
        .enumerate()
        .map(|(index, chunk)| {
            let more = index + 1 < count;
            match version {
                4 => part4(9, index * size, more, chunk),
                _ => part6(9, index * size, more, chunk),
            }
        })
        .collect()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7) as u8).collect()
}

fn decoder() -> Decoder {
    Decoder::new(Config::default())
}

fn at(time: u64, bytes: &[u8]) -> Frame<'_> {
    let mut frame = frame(LinkType::RAW, bytes);
    frame.at = Timestamp(time);
    frame
}

/// What a decoder gives up: frames and bytes by reason.
type GivenUp = BTreeMap<DropReason, (u32, u64)>;

fn into(given_up: &mut GivenUp) -> impl FnMut(DropReason, u32, u64) {
    |reason, frames, bytes| {
        let sum = given_up.entry(reason).or_default();
        sum.0 += frames;
        sum.1 += bytes;
    }
}

fn finished(mut decoder: Decoder) -> GivenUp {
    let mut given_up = GivenUp::new();
    decoder.finish(&mut into(&mut given_up));
    let mut again = GivenUp::new();
    decoder.finish(&mut into(&mut again));
    assert!(again.is_empty(), "bytes are given up once");
    given_up
}

/// Offers `frames` one after another; all but the last are held.
#[track_caller]
fn assemble(decoder: &mut Decoder, frames: &[&Vec<u8>]) -> Box<Datagram> {
    let (last, first) = frames.split_last().unwrap();
    for bytes in first {
        let decoded = decoder.decode(at(1, bytes));
        assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
    }
    match decoder.decode(at(2, last)) {
        Decoded::Datagram(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for shorter in permutations(count - 1) {
        for place in 0..=shorter.len() {
            let mut longer = shorter.clone();
            longer.insert(place, count - 1);
            all.push(longer);
        }
    }
    all
}

#[test]
fn whole_in_every_order() {
    let payload = payload(67);
    for version in [4, 6] {
        let parts = parts(version, &payload, 16);
        assert_eq!(parts.len(), 5);
        for order in permutations(parts.len()) {
            let mut decoder = decoder();
            let frames: Vec<_> = order.iter().map(|&index| &parts[index]).collect();
            let datagram = assemble(&mut decoder, &frames);
            let sum: usize = parts.iter().map(Vec::len).sum();
            assert_eq!((datagram.at, datagram.frames), (Timestamp(2), 5));
            assert_eq!(datagram.wire_len as usize, sum);
            let Decoded::Packet(packet) = decoder.decode_datagram(&datagram) else {
                panic!("{order:?}");
            };
            let (source, destination, from, to) = ends(&packet);
            assert_eq!((from, to), (5000, 6000));
            assert!((source, destination) == (A.into(), B.into()) || version == 6);
            assert!((source, destination) == (A6.into(), B6.into()) || version == 4);
            assert_eq!(packet.payload, payload, "{order:?}");
            assert_eq!((packet.frames, packet.wire_len as usize), (5, sum));
            assert_eq!(packet.ip_len as usize, sum);
            assert!(finished(decoder).is_empty());
        }
    }
}

#[test]
fn doubles_count_and_overlaps_must_agree() {
    let body = udp(5000, 6000, &payload(56));
    let part = |from: usize, to: usize| part4(9, from, to < body.len(), &body[from..to]);
    // Parts by their ends; all agree.
    #[rustfmt::skip]
    let rows: &[&[(usize, usize)]] = &[
        &[(0, 32), (0, 32), (32, 64)],
        &[(32, 64), (32, 64), (0, 32)],
        &[(0, 40), (24, 64)],
        &[(24, 64), (0, 40)],
        &[(8, 16), (24, 32), (40, 48), (0, 56), (48, 64)],
        &[(8, 16), (24, 32), (0, 40), (32, 64)],
        &[(16, 48), (24, 32), (0, 16), (48, 64)],
    ];
    for row in rows {
        let mut decoder = decoder();
        let frames: Vec<_> = row.iter().map(|&(from, to)| part(from, to)).collect();
        let datagram = assemble(&mut decoder, &frames.iter().collect::<Vec<_>>());
        assert_eq!(datagram.bytes[20..], body, "{row:?}");
        assert_eq!(datagram.frames as usize, row.len());
        let sum: usize = frames.iter().map(Vec::len).sum();
        assert_eq!(datagram.wire_len as usize, sum, "{row:?}");
        assert!(finished(decoder).is_empty());
    }
}

#[test]
fn contradictions_take_the_whole_datagram() {
    // The last frame of each row contradicts what was held.
    #[rustfmt::skip]
    let rows: &[&[Vec<u8>]] = &[
        &[part4(9, 0, true, &[1; 32]), part4(9, 0, true, &[2; 32])],
        &[part4(9, 0, true, &[1; 32]), part4(9, 24, true, &[1, 1, 1, 1, 1, 1, 1, 2])],
        &[part4(9, 16, true, &[1; 16]), part4(9, 8, false, &with(&[1; 12], &[2; 20]))],
        &[part4(9, 32, false, &[1; 5]), part4(9, 40, true, &[1; 8])],
        &[part4(9, 32, false, &[1; 5]), part4(9, 32, false, &[1; 6])],
        &[part4(9, 32, false, &[1; 8]), part4(9, 32, true, &[1; 8])],
        &[part4(9, 32, true, &[1; 8]), part4(9, 24, false, &[1; 8])],
        &[part6(9, 0, true, &[1; 32]), part6(9, 8, true, &[2; 8])],
    ];
    for row in rows {
        let mut decoder = decoder();
        for bytes in &row[..row.len() - 1] {
            assert!(matches!(decoder.decode(at(0, bytes)), Decoded::Fragment));
        }
        // Its own parts that come late share the fate, for a while.
        for (time, frame) in [(0, row.last().unwrap()), (SECOND / 2, &row[0])] {
            let decoded = decoder.decode(at(time, frame));
            assert!(
                matches!(decoded, Decoded::Dropped(DropReason::FragmentConflict)),
                "{row:?} {decoded:?}"
            );
        }
        let decoded = decoder.decode(at(SECOND + 1, &row[0]));
        assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
        let held = (1, row[0].len() as u64);
        let given_up = finished(decoder);
        assert_eq!(given_up[&DropReason::FragmentConflict], held);
        assert_eq!(given_up[&DropReason::FragmentIncomplete], held);
    }
}

#[test]
fn what_can_be_no_part() {
    let rows = [
        part4(9, 0, true, &[1; 30]),
        part4(9, 0, true, &[]),
        part4(9, 65_512, false, &[1; 8]),
        part6(9, 0, true, &[1; 30]),
        part6(9, 65_528, false, &[1; 8]),
    ];
    for bytes in rows {
        let mut decoder = decoder();
        let decoded = decoder.decode(at(0, &bytes));
        assert!(matches!(decoded, Decoded::Dropped(DropReason::Malformed)));
        assert!(finished(decoder).is_empty());
    }
}

#[test]
fn the_longest_datagrams_fit() {
    for (longest, version) in [(65_515, 4), (65_535, 6)] {
        let parts = parts(version, &payload(longest - 8), 1480);
        let mut decoder = decoder();
        let datagram = assemble(&mut decoder, &parts.iter().collect::<Vec<_>>());
        let Decoded::Packet(packet) = decoder.decode_datagram(&datagram) else {
            panic!("{version}");
        };
        assert_eq!(packet.payload.len(), longest - 8);
    }
}

#[test]
fn given_up_when_its_time_is_over() {
    let parts = parts(4, &payload(40), 24);
    let mut decoder = decoder();
    decoder.decode(at(5 * SECOND, &parts[0]));
    let mut given_up = GivenUp::new();
    decoder.expire(Timestamp(35 * SECOND), &mut into(&mut given_up));
    assert!(given_up.is_empty(), "30 seconds are not over");
    decoder.expire(Timestamp(35 * SECOND + 1), &mut into(&mut given_up));
    let expected = (1, parts[0].len() as u64);
    assert_eq!(given_up[&DropReason::FragmentIncomplete], expected);
    // The rest comes too late, and waits for a first part of its own.
    let decoded = decoder.decode(at(36 * SECOND, &parts[1]));
    assert!(matches!(decoded, Decoded::Fragment));
}

/// Whether a datagram becomes whole is decided by its frames' times, however seldom the caller
/// lets the decoder expire.
#[test]
fn late_parts_are_late_without_expire_too() {
    let parts = parts(4, &payload(40), 24);
    let mut decoder = decoder();
    decoder.decode(at(0, &parts[0]));
    let decoded = decoder.decode(at(30 * SECOND + 1, &parts[1]));
    assert!(matches!(decoded, Decoded::Fragment), "{decoded:?}");
    let sum = parts.iter().map(|part| part.len() as u64).sum();
    let expected = (2, sum);
    assert_eq!(finished(decoder)[&DropReason::FragmentIncomplete], expected);
}

#[test]
fn the_oldest_leaves_when_there_is_no_room() {
    let config = Config {
        fragment_bytes: 4000,
        ..Config::default()
    };
    let mut decoder = Decoder::new(config);
    let part = |identification| part4(identification, 0, true, &[1; 800]);
    for identification in 0..4 {
        let bytes = part(identification);
        let decoded = decoder.decode(at(u64::from(identification), &bytes));
        assert!(matches!(decoded, Decoded::Fragment));
    }
    // Two datagrams fit; the last two are still there and can be completed.
    let rest = part4(3, 800, false, &[1; 8]);
    assert!(matches!(decoder.decode(at(9, &rest)), Decoded::Datagram(_)));
    let rest = part4(0, 800, false, &[1; 8]);
    assert!(matches!(decoder.decode(at(9, &rest)), Decoded::Fragment));
    let given_up = finished(decoder);
    assert_eq!(given_up[&DropReason::FragmentLimit], (2, 2 * 820));
    assert_eq!(given_up[&DropReason::FragmentIncomplete], (2, 820 + 28));

    // A single part beyond the limit, and a datagram that grows beyond it.
    let mut decoder = Decoder::new(Config {
        fragment_bytes: 1000,
        ..Config::default()
    });
    let bytes = part4(1, 0, true, &[1; 800]);
    let decoded = decoder.decode(at(0, &bytes));
    assert!(matches!(
        decoded,
        Decoded::Dropped(DropReason::FragmentLimit)
    ));
    let small = part4(1, 0, true, &[1; 200]);
    assert!(matches!(decoder.decode(at(0, &small)), Decoded::Fragment));
    let decoded = decoder.decode(at(0, &bytes));
    assert!(matches!(
        decoded,
        Decoded::Dropped(DropReason::FragmentLimit)
    ));
    assert_eq!(finished(decoder)[&DropReason::FragmentLimit], (1, 220));
}

/// A capture that cuts frames keeps the beginning of each fragment only: the datagram is known by
/// its first part, and its payload ends where bytes are missing.
#[test]
fn cut_parts_still_make_a_packet() {
    let payload = payload(2000);
    let parts = parts(4, &payload, 800);
    let mut decoder = decoder();
    let mut last = None;
    for part in &parts {
        let mut cut = at(0, &part[..100]);
        cut.wire_len = part.len() as u32;
        last = Some(decoder.decode(cut));
    }
    let Some(Decoded::Datagram(datagram)) = last else {
        panic!("{last:?}");
    };
    let Decoded::Packet(packet) = decoder.decode_datagram(&datagram) else {
        panic!();
    };
    assert_eq!(packet.payload, &payload[..72]);
    assert_eq!(packet.payload_len, 2000);
    let sum: usize = parts.iter().map(Vec::len).sum();
    assert_eq!(packet.wire_len as usize, sum);
}

#[test]
fn datagrams_of_different_scopes_stay_apart() {
    let first = part4(9, 0, true, &[1; 8]);
    let other_protocol = {
        let mut bytes = first.clone();
        bytes[9] = 6;
        bytes
    };
    let scoped = |identification: u8, bytes: &[u8]| {
        let gre = with(&[0x20, 0, 8, 0, 0, 0, 0, identification], bytes);
        ethernet(0x0800, &outer(47, &gre))
    };
    let frames = [
        ethernet(0x0800, &first),
        ethernet(0x8100, &vlan(7, 0x0800, &first)),
        ethernet(0x8100, &vlan(8, 0x0800, &first)),
        ethernet(0x0800, &other_protocol),
        ethernet(0x0800, &part4(10, 0, true, &[1; 8])),
        ethernet(0x86dd, &part6(9, 0, true, &[1; 8])),
        scoped(1, &first),
        scoped(2, &first),
    ];
    let mut decoder = decoder();
    for bytes in &frames {
        let decoded = decoder.decode(frame(LinkType::ETHERNET, bytes));
        assert!(matches!(decoded, Decoded::Fragment));
    }
    let last = part4(9, 8, false, &[1; 8]);
    let bytes = ethernet(0x8100, &vlan(8, 0x0800, &last));
    let decoded = decoder.decode(frame(LinkType::ETHERNET, &bytes));
    let Decoded::Datagram(datagram) = decoded else {
        panic!("{decoded:?}");
    };
    assert_eq!(datagram.vlans.as_slice(), [8]);
    assert_eq!(finished(decoder)[&DropReason::FragmentIncomplete].0, 7);
}

/// A fragmented GTP-U datagram that carries fragments of the subscriber's.
#[test]
fn fragments_in_a_tunnel_in_fragments() {
    let payload = payload(90);
    let mut decoder = decoder();
    let mut sum = 0;
    for (identification, part) in parts(4, &payload, 56).into_iter().enumerate() {
        let gtp = with(&[0x30, 0xff, 0, part.len() as u8, 0, 0, 0, 5], &part);
        let whole = outer_udp(2152, &gtp);
        let body = &whole[20..];
        let split = 32;
        let mut halves = [
            part4(identification as u16, 0, true, &body[..split]),
            part4(identification as u16, split, false, &body[split..]),
        ];
        // Behind the outer addresses.
        for half in &mut halves {
            half[12..20].copy_from_slice(&whole[12..20]);
            sum += half.len();
        }
        let [first, second] = &halves;
        let datagram = assemble(&mut decoder, &[first, second]);
        match (identification, decoder.decode_datagram(&datagram)) {
            (0, Decoded::Fragment) => {}
            (1, Decoded::Datagram(inner)) => {
                assert_eq!((inner.frames, inner.wire_len as usize), (4, sum));
                assert_eq!((inner.tunnel, inner.tunnel_id), (Some(Tunnel::GtpU), 5));
                assert_eq!(inner.depth, 1);
                let Decoded::Packet(packet) = decoder.decode_datagram(&inner) else {
                    panic!();
                };
                assert_eq!(packet.payload, payload);
                assert_eq!((packet.frames, packet.wire_len as usize), (4, sum));
                assert_eq!(packet.ip_len as usize, 2 * 20 + 8 + payload.len());
                assert_eq!(packet.tunnel, Some(Tunnel::GtpU));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(finished(decoder).is_empty());
}

/// A fragment inside a reassembled datagram at the same level is no traffic of any sender.
#[test]
fn fragments_of_fragments_end() {
    let nested = with(&[17, 0, 0, 1, 0, 0, 0, 1], &[0; 24]);
    let mut first = part6(9, 0, true, &nested[..16]);
    first[48] = 44;
    let second = part6(9, 16, false, &nested[16..]);
    let mut decoder = decoder();
    let datagram = assemble(&mut decoder, &[&first, &second]);
    let decoded = decoder.decode_datagram(&datagram);
    assert!(matches!(decoded, Decoded::Dropped(DropReason::Malformed)));
}

/// Frames that claim four gigabytes each: the sum still comes out.
#[test]
fn sums_past_thirty_two_bits_are_given_up() {
    let parts = parts(4, &payload(40), 24);
    let mut decoder = decoder();
    for part in &parts {
        let mut lying = at(0, part);
        lying.wire_len = u32::MAX;
        assert!(matches!(decoder.decode(lying), Decoded::Fragment));
    }
    let expected = (2, 2 * u64::from(u32::MAX));
    assert_eq!(finished(decoder)[&DropReason::FragmentLimit], expected);
}

#[derive(Clone, Debug)]
struct Step {
    version: u8,
    identification: u16,
    offset: usize,
    len: usize,
    more: bool,
    fill: u8,
    captured: usize,
    wire_len: u32,
    later: u64,
    expire: bool,
    in_tunnel: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        (
            prop_oneof![Just(4u8), Just(6)],
            0..3u16,
            0..6usize,
            0..5usize,
        ),
        (any::<bool>(), prop_oneof![9 => Just(0u8), 1 => Just(1)]),
        (prop_oneof![3 => Just(1000usize), 1 => 0..100usize]),
        (prop_oneof![9 => 0..2000u32, 1 => Just(u32::MAX)]),
        (prop_oneof![9 => 0..SECOND, 1 => 0..40 * SECOND]),
        (any::<bool>(), any::<bool>()),
    );
    let step = step.prop_map(
        |((version, identification, offset, len), (more, fill), captured, wire, later, flags)| {
            Step {
                version,
                identification,
                offset: offset * 8,
                len: len * 8 + if more { 0 } else { 3 },
                more,
                fill,
                captured,
                wire_len: wire,
                later,
                expire: flags.0,
                in_tunnel: flags.1,
            }
        },
    );
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The ledger: whatever the fragments, each frame and its bytes come out once.
    #[test]
    fn every_byte_comes_out_once(steps in steps(), limit in 0..6000usize) {
        let mut decoder = Decoder::new(Config {
            fragment_bytes: limit,
            fragment_timeout: Duration::from_secs(10),
            ..Config::default()
        });
        let mut given_up = GivenUp::new();
        let (mut frames_in, mut bytes_in) = (0, 0);
        let (mut frames_out, mut bytes_out) = (0, 0);
        let mut now = 0;
        for step in &steps {
            now += step.later;
            let body = vec![step.fill; step.len];
            let mut bytes = match step.version {
                4 => part4(step.identification, step.offset, step.more, &body),
                _ => part6(step.identification.into(), step.offset, step.more, &body),
            };
            if step.in_tunnel {
                bytes = outer(47, &with(&[0, 0, if step.version == 4 { 8 } else { 0x86 },
                    if step.version == 4 { 0 } else { 0xdd }], &bytes));
            }
            let captured = step.captured.min(bytes.len());
            let mut frame = at(now, &bytes[..captured]);
            frame.wire_len = step.wire_len.max(captured as u32);
            frames_in += 1;
            bytes_in += u64::from(frame.wire_len);
            let mut decoded = decoder.decode(frame);
            let datagram;
            let (mut frames, mut wire_len) = (1, frame.wire_len);
            if let Decoded::Datagram(whole) = decoded {
                datagram = whole;
                (frames, wire_len) = (datagram.frames, datagram.wire_len);
                decoded = decoder.decode_datagram(&datagram);
            }
            match decoded {
                Decoded::Packet(packet) => {
                    prop_assert_eq!((packet.frames, packet.wire_len), (frames, wire_len));
                    frames_out += packet.frames;
                    bytes_out += u64::from(packet.wire_len);
                }
                Decoded::Dropped(_) => {
                    frames_out += frames;
                    bytes_out += u64::from(wire_len);
                }
                Decoded::Fragment => {}
                Decoded::Datagram(_) => prop_assert!(false, "nothing here nests"),
            }
            prop_assert!(decoder.fragments_held() <= limit);
            if step.expire {
                decoder.expire(Timestamp(now), &mut into(&mut given_up));
            }
        }
        decoder.finish(&mut into(&mut given_up));
        prop_assert_eq!(decoder.fragments_held(), 0);
        for (frames, bytes) in given_up.values() {
            frames_out += frames;
            bytes_out += bytes;
        }
        prop_assert_eq!((frames_out, bytes_out), (frames_in, bytes_in));
    }

    /// A datagram cut into parts at random, in random order and with doubles, is what it was.
    #[test]
    fn random_cuts_and_orders(
        len in 0..400usize,
        mut cuts in proptest::collection::vec(1..50usize, 0..6),
        order in any::<proptest::sample::Index>(),
        doubles in any::<bool>(),
        version in prop_oneof![Just(4u8), Just(6)],
    ) {
        let body = udp(5000, 6000, &payload(len));
        cuts.retain(|cut| cut * 8 < body.len());
        cuts.sort_unstable();
        cuts.dedup();
        prop_assume!(!cuts.is_empty());
        let mut edges = vec![0];
        edges.extend(cuts.iter().map(|cut| cut * 8));
        edges.push(body.len());
        let mut parts: Vec<Vec<u8>> = edges
            .windows(2)
            .map(|edge| {
                let more = edge[1] < body.len();
                match version {
                    4 => part4(9, edge[0], more, &body[edge[0]..edge[1]]),
                    _ => part6(9, edge[0], more, &body[edge[0]..edge[1]]),
                }
            })
            .collect();
        let shift = order.index(parts.len());
        parts.rotate_left(shift);
        if doubles {
            parts.insert(0, parts[0].clone());
        }
        let mut decoder = decoder();
        let datagram = assemble(&mut decoder, &parts.iter().collect::<Vec<_>>());
        let Decoded::Packet(packet) = decoder.decode_datagram(&datagram) else {
            panic!("{datagram:?}");
        };
        prop_assert_eq!(packet.payload, payload(len));
        prop_assert_eq!(packet.frames as usize, parts.len());
    }
}
