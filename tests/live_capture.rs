//! Live capture on veth pairs: every frame sent is handed over or counted as dropped, whatever
//! happens to the interface.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ottometer::capture::live::{
    Arrival, Counts, Error, Fanout, Interface, LinkState, Options, Source,
};
use ottometer::capture::{Block, LinkType};
use ottometer::decode::{self, Address, Decoded, Decoder};
use ottometer::time::Timestamp;
use pcap::Capture;

use crate::support;
use crate::support::netns::{Namespace, send};

const QUIET: Duration = Duration::from_millis(60);

fn options(interface: &str) -> Options {
    Options {
        interface: interface.to_owned(),
        ring_bytes: 8 << 20,
        ..Options::default()
    }
}

/// A frame as it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    number: u64,
    wire_len: u32,
    bytes: Vec<u8>,
}

/// Asks for blocks until it is quiet; checks what holds of any block.
fn drain(source: &mut Interface) -> Vec<Taken> {
    let mut block = Block::default();
    let mut taken = Vec::new();
    let mut watermark = Timestamp(0);
    loop {
        let arrival = source.next_block(&mut block, QUIET);
        assert!(block.watermark >= watermark, "the watermark went back");
        watermark = block.watermark;
        assert_eq!(arrival == Arrival::Quiet, block.frames.is_empty());
        assert!(block.frames.len() <= 4096);
        assert!(block.bytes.len() <= (256 + 256) << 10);
        if arrival == Arrival::Quiet {
            return taken;
        }
        for index in 0..block.frames.len() {
            let frame = block.frame(index).unwrap();
            assert!(frame.at <= block.watermark);
            assert!(frame.wire_len as usize >= frame.bytes.len());
            taken.push(Taken {
                number: frame.number,
                wire_len: frame.wire_len,
                bytes: frame.bytes.to_vec(),
            });
        }
    }
}

/// Waits until the source says so, for at most ten seconds.
fn until(source: &mut Interface, state: LinkState) {
    for _ in 0..200 {
        let mut block = Block::default();
        source.next_block(&mut block, Duration::from_millis(50));
        assert!(block.frames.is_empty());
        if source.state().0 == state {
            return;
        }
    }
    panic!("still {:?}, not {state:?}", source.state());
}

/// The Ethernet frames of all captures in `pcaps/`.
fn corpus() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for path in support::captures() {
        let Ok(mut capture) = Capture::from_file(&path) else {
            continue;
        };
        if capture.get_datalink() != pcap::Linktype::ETHERNET {
            continue;
        }
        while let Ok(packet) = capture.next_packet() {
            // What a veth of this MTU takes; shorter than a header is refused.
            if (14..=1514).contains(&packet.data.len()) {
                frames.push(packet.data.to_vec());
            }
        }
    }
    assert!(frames.len() > 500);
    frames
}

fn slices(frames: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    frames.iter().map(Vec::as_slice)
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn ipv4(source: u32, destination: u32, fragment: u16, identification: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28];
    packet.extend(identification.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 17, 0, 0]);
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend([0; 8]);
    packet
}

fn ipv6(source: u32, destination: u32) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 44, 64];
    for address in [source, destination] {
        packet.extend((0x2001_0db8_u128 << 96 | u128::from(address)).to_be_bytes());
    }
    packet.extend([17, 0, 0, 8, 0, 0, 0, 9]);
    packet
}

#[test]
fn hands_over_every_frame_as_it_was_on_the_wire() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let frames = corpus();
    let mut sender = namespace.sender("tx");
    namespace.enter(|| {
        // What was there before it opened is not its business.
        send(&mut sender, slices(&frames[..100]));
        let mut source = Interface::open(&options("rx"), Timestamp(7)).unwrap();
        assert_eq!(source.state(), (LinkState::Up, Timestamp(7)));
        assert_eq!(source.counts(), Counts::default());
        send(&mut sender, slices(&frames));
        let taken = drain(&mut source);
        assert_eq!(taken.len(), frames.len());
        for (number, (taken, sent)) in (1..).zip(taken.iter().zip(&frames)) {
            assert_eq!(taken.number, number);
            assert_eq!(taken.bytes, *sent);
            assert_eq!(taken.wire_len as usize, sent.len());
        }
        let counts = source.counts();
        assert_eq!(counts.received, frames.len() as u64);
        assert_eq!((counts.dropped_ring, counts.dropped_interface), (0, 0));

        // The next block goes on counting; after a stop nothing more comes in.
        send(&mut sender, slices(&frames[..10]));
        source.stop();
        send(&mut sender, slices(&frames[..5]));
        let taken = drain(&mut source);
        assert_eq!(taken.len(), 10);
        assert_eq!(taken[0].number, frames.len() as u64 + 1);
        assert_eq!(source.counts().received, frames.len() as u64 + 10);
    });
}

#[test]
fn what_the_ring_cannot_hold_is_counted() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let frame = ethernet(0x0800, &[0x45; 1000]);
    let mut sender = namespace.sender("tx");
    namespace.enter(|| {
        let mut source = Interface::open(
            &Options {
                ring_bytes: 1 << 20,
                snap_len: 600,
                ..options("rx")
            },
            Timestamp(0),
        )
        .unwrap();
        let mut handed_over = 0;
        for round in 1..=3 {
            let sent = 5000;
            send(&mut sender, std::iter::repeat_n(frame.as_slice(), sent));
            let taken = drain(&mut source);
            handed_over += taken.len() as u64;
            assert!(taken.iter().all(|taken| taken.bytes.len() == 600));
            assert!(taken.iter().all(|taken| taken.wire_len == 1014));
            let counts = source.counts();
            assert_eq!(counts.received, round * sent as u64);
            assert!(counts.dropped_ring > 0, "{counts:?}");
            assert_eq!(handed_over, counts.received - counts.dropped_ring);
        }
    });
}

#[test]
fn a_quiet_link_keeps_the_time() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let mut sender = namespace.sender("tx");
    namespace.enter(|| {
        let mut source = Interface::open(&options("rx"), Timestamp(0)).unwrap();
        let mut block = Block::default();
        source.next_block(&mut block, Duration::from_millis(1));
        let before = block.watermark;
        source.next_block(&mut block, Duration::from_millis(200));
        let passed = block.watermark.since(before);
        assert!(passed >= Duration::from_millis(190), "{passed:?}");
        // A frame that comes now is later than what a quiet link has promised.
        let frame = ethernet(0x0800, &ipv4(1, 2, 0, 0));
        for _ in 0..20 {
            source.next_block(&mut block, Duration::ZERO);
            let promised = block.watermark;
            send(&mut sender, [frame.as_slice()]);
            while source.next_block(&mut block, QUIET) == Arrival::Quiet {}
            assert!(block.frames[0].at > promised);
        }
    });
}

#[test]
fn tags_are_where_the_wire_had_them() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let tagged = |tags: &[(u16, u16)]| {
        let mut payload = Vec::new();
        let mut kinds = tags.iter().map(|tag| tag.0).chain([0x0800]);
        let first = kinds.next().unwrap();
        for ((_, id), next) in tags.iter().zip(kinds) {
            payload.extend(id.to_be_bytes());
            payload.extend(next.to_be_bytes());
        }
        payload.extend(ipv4(1, 2, 0, 0));
        payload.resize(60, 0);
        ethernet(first, &payload)
    };
    let rows = [
        tagged(&[]),
        tagged(&[(0x8100, 7)]),
        tagged(&[(0x88a8, 0x6005), (0x8100, 9)]),
        tagged(&[(0x8100, 1), (0x8100, 2), (0x8100, 3)]),
    ];
    // Where the kernel has such devices: it sets the tag itself, beside the frame.
    let device = namespace.try_ip("link add link tx name tx.7 type vlan id 7");
    if let Err(reason) = &device {
        eprintln!("*** NOT TESTED: tags set by a VLAN device: {reason} ***");
    }
    let mut by_device = device.is_ok().then(|| {
        namespace.ip("link set dev tx.7 up");
        namespace.sender("tx.7")
    });
    let mut plain = namespace.sender("tx");
    namespace.enter(|| {
        // Out of one end, into the other.
        for interface in ["tx", "rx"] {
            let mut source = Interface::open(&options(interface), Timestamp(0)).unwrap();
            send(&mut plain, slices(&rows));
            let mut expected = rows.to_vec();
            if let Some(by_device) = &mut by_device {
                send(by_device, [rows[0].as_slice()]);
                expected.push(rows[1].clone());
            }
            let taken: Vec<_> = drain(&mut source).into_iter().map(|t| t.bytes).collect();
            assert_eq!(taken, expected, "{interface}");
        }
    });
}

#[test]
fn the_filter_works_in_the_kernel() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let mut sender = namespace.sender("tx");
    let frames: Vec<_> = (0..40)
        .map(|host| ethernet(0x0800, &ipv4(0x0a00_0000 + host, 0x0a00_0100, 0, 0)))
        .collect();
    namespace.enter(|| {
        let with = |filter: &str| {
            let filter = Some(filter.to_owned());
            Interface::open(
                &Options {
                    filter,
                    ..options("rx")
                },
                Timestamp(0),
            )
        };
        let mut source = with("src net 10.0.0.0/29").unwrap();
        send(&mut sender, slices(&frames));
        assert_eq!(drain(&mut source).len(), 8);
        assert_eq!(source.counts().received, 8);
        for wrong in ["src nett 10.0.0.0/29", "ip) or (ip", "("] {
            let Err(Error::Filter { filter, .. }) = with(wrong) else {
                panic!("{wrong} was taken");
            };
            assert_eq!(filter, wrong);
        }
    });
}

/// Frames of many pairs of hosts, both ways, with fragments and with tags, by pair.
fn conversations() -> BTreeMap<u32, Vec<Vec<u8>>> {
    let (more_fragments, last_fragment) = (0x2000, 0x00b9);
    (0..200)
        .map(|pair| {
            let (a, b) = (0x0a00_0000 + pair, 0xc000_0200 + pair % 7);
            let mut frames = Vec::new();
            for (from, to) in [(a, b), (b, a)] {
                for fragment in [0, more_fragments, last_fragment] {
                    let packet = ipv4(from, to, fragment, pair as u16);
                    let tag = [7, 0x0800_u16].map(u16::to_be_bytes).concat();
                    let two = [9, 0x8100_u16, 7, 0x0800].map(u16::to_be_bytes).concat();
                    let ppp = [0x1100, 1, 30, 0x0021_u16].map(u16::to_be_bytes).concat();
                    frames.push(ethernet(0x0800, &packet));
                    frames.push(ethernet(0x8100, &[tag, packet.clone()].concat()));
                    frames.push(ethernet(0x88a8, &[two, packet.clone()].concat()));
                    frames.push(ethernet(0x8864, &[ppp, packet].concat()));
                }
            }
            (pair, frames)
        })
        .chain((200..400).map(|pair| {
            let (a, b) = (pair, 7000 + pair % 7);
            let frames = [(a, b), (b, a)].into_iter().flat_map(|(from, to)| {
                let packet = ipv6(from, to);
                let tag = [7, 0x86dd_u16].map(u16::to_be_bytes).concat();
                [
                    ethernet(0x86dd, &packet),
                    ethernet(0x8100, &[tag, packet].concat()),
                ]
            });
            (pair, frames.collect())
        }))
        .collect()
}

#[test]
fn fanout_splits_the_frames_and_no_conversation() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let conversations = conversations();
    let sent: usize = conversations.values().map(Vec::len).sum();
    let mut in_from_a = namespace.sender("tx");
    let mut out_by_b = namespace.sender("rx");
    namespace.enter(|| {
        let member = || {
            Interface::open(
                &Options {
                    fanout: Some(Fanout {
                        group: 77,
                        members: 2,
                    }),
                    ..options("rx")
                },
                Timestamp(0),
            )
        };
        let mut members = [member().unwrap(), member().unwrap()];
        assert!(matches!(member(), Err(Error::Fanout { group: 77, .. })));
        // One frame of each pair comes in, the next goes out, and so on: what the kernel shows the
        // program differs.
        for frames in conversations.values() {
            for (place, frame) in frames.iter().enumerate() {
                let sender = if place % 2 == 0 {
                    &mut in_from_a
                } else {
                    &mut out_by_b
                };
                send(sender, [frame.as_slice()]);
            }
        }
        let pair_of: BTreeMap<&[u8], u32> = conversations
            .iter()
            .flat_map(|(pair, frames)| slices(frames).map(move |frame| (frame, *pair)))
            .collect();
        let mut member_of = BTreeMap::new();
        let mut total = 0;
        for (index, member) in members.iter_mut().enumerate() {
            let taken = drain(member);
            assert!(taken.len() > sent / 3, "{} of {sent}", taken.len());
            total += taken.len();
            assert_eq!(member.counts().received, taken.len() as u64);
            for frame in taken {
                let pair = pair_of[frame.bytes.as_slice()];
                assert_eq!(*member_of.entry(pair).or_insert(index), index, "{pair}");
            }
        }
        assert_eq!(total, sent);
        assert_eq!(member_of.len(), conversations.len());
    });
}

#[test]
fn fanout_works_on_any() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.enter(|| {
        let member = || {
            Interface::open(
                &Options {
                    fanout: Some(Fanout {
                        group: 78,
                        members: 2,
                    }),
                    ..options("any")
                },
                Timestamp(0),
            )
            .unwrap()
        };
        let mut members = [member(), member()];
        let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = to.local_addr().unwrap().port();
        for host in 2..100 {
            for _ in 0..3 {
                from.send_to(b"x", (std::net::Ipv4Addr::new(127, 0, 0, host), port))
                    .unwrap();
            }
        }
        let shares = members.each_mut().map(|member| {
            let taken = drain(member).len();
            assert_eq!(member.counts().received, taken as u64);
            taken
        });
        assert_eq!(shares.iter().sum::<usize>(), 98 * 3);
        assert!(shares.iter().all(|&share| share > 98), "{shares:?}");
    });
}

#[test]
fn loopback_and_any_show_each_frame_once() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let mut sender = namespace.sender("tx");
    let frame = ethernet(0x0800, &ipv4(1, 2, 0, 0));
    namespace.enter(|| {
        let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for (interface, filter, count, link) in [
            ("lo", None, 20, LinkType::ETHERNET),
            ("any", None, 20 + 2, LinkType::LINUX_SLL),
            ("any", Some("udp"), 20, LinkType::LINUX_SLL),
            // This one libpcap cannot have the kernel do.
            ("any", Some("link[5] = 6 and udp"), 20, LinkType::LINUX_SLL),
        ] {
            let options = Options {
                filter: filter.map(str::to_owned),
                ..options(interface)
            };
            let mut source = Interface::open(&options, Timestamp(0)).unwrap();
            for _ in 0..20 {
                from.send_to(b"x", to.local_addr().unwrap()).unwrap();
            }
            // Once out of one end, once into the other; not UDP but for its protocol number.
            if filter.is_none() {
                send(&mut sender, [frame.as_slice()]);
            }
            let mut block = Block::default();
            assert_eq!(source.next_block(&mut block, QUIET), Arrival::Frames);
            assert_eq!(block.frames[0].link, link);
            let taken = block.frames.len() + drain(&mut source).len();
            assert_eq!(taken, count, "{interface} {filter:?}");
            assert_eq!(source.counts().received, count as u64, "{interface}");
        }
    });
}

#[test]
fn any_shows_tags_and_hides_no_packet_behind_them() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let mut sender = namespace.sender("tx");
    let packet = ipv4(0x0a00_0001, 0x0a00_0002, 0, 0);
    let tag =
        |tag: u16, kind: u16, rest: &[u8]| [&tag.to_be_bytes(), &kind.to_be_bytes(), rest].concat();
    let one = tag(200, 0x0800, &packet);
    let two = tag(100, 0x8100, &one);
    let pppoe = [&[0x11, 0, 0, 1, 0, 30, 0, 0x21], packet.as_slice()].concat();
    let rows: [(Vec<u8>, &[u16]); 6] = [
        (ethernet(0x0800, &packet), &[]),
        (ethernet(0x8100, &one), &[200]),
        (ethernet(0x88a8, &two), &[100, 200]),
        (ethernet(0x8100, &two), &[100, 200]),
        (ethernet(0x8100, &tag(0x2003, 0x8100, &two)), &[3, 100]),
        (
            ethernet(0x88a8, &tag(100, 0x8100, &tag(200, 0x8864, &pppoe))),
            &[100, 200],
        ),
    ];
    namespace.enter(|| {
        let mut decoder = Decoder::new(decode::Config::default());
        for (frame, vlans) in &rows {
            let mut source = Interface::open(&options("any"), Timestamp(0)).unwrap();
            send(&mut sender, [frame.as_slice()]);
            let mut block = Block::default();
            while source.next_block(&mut block, QUIET) == Arrival::Quiet {}
            assert_eq!(block.frames.len(), 2);
            for index in 0..2 {
                let frame = block.frame(index).unwrap();
                let sent = frame.bytes[1] == 4;
                let Decoded::Packet(packet) = decoder.decode(frame) else {
                    panic!("{vlans:?}: {:x?}", frame.bytes);
                };
                assert_eq!(packet.source, Address::v4([10, 0, 0, 1]), "{vlans:?}");
                // Of those that this machine sends, the kernel may give the first one only.
                let seen = packet.vlans.as_slice();
                if sent {
                    assert_eq!(seen.first(), vlans.first());
                } else {
                    assert_eq!(seen, *vlans);
                }
            }
        }
    });
}

#[test]
fn an_interface_that_goes_down_is_waited_for() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let frame = ethernet(0x0800, &ipv4(1, 2, 0, 0));
    let mut sender = namespace.sender("tx");
    namespace.enter(|| {
        let mut source = Interface::open(&options("rx"), Timestamp(0)).unwrap();
        let mut number = 0;
        // Down here, and then without carrier because the other end is down.
        for end in ["rx", "tx", "rx"] {
            let mut sent = 0;
            // The sender's socket tells it once that its interface has been down.
            while sent < 3 {
                if sender.sendpacket(frame.as_slice()).is_ok() {
                    sent += 1;
                }
            }
            namespace.ip(&format!("link set dev {end} down"));
            let taken = drain(&mut source);
            assert_eq!(taken.len(), 3, "{end}");
            assert_eq!(taken[0].number, number + 1);
            number += 3;
            until(&mut source, LinkState::Down);
            let (_, since) = source.state();
            namespace.ip(&format!("link set dev {end} up"));
            until(&mut source, LinkState::Up);
            assert!(source.state().1 > since);
            assert_eq!(source.counts().received, number);
        }
    });
}

#[test]
fn an_interface_made_anew_is_opened_again() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    let frame = ethernet(0x0800, &ipv4(1, 2, 0, 0));
    namespace.enter(|| {
        let member = || {
            Interface::open(
                &Options {
                    fanout: Some(Fanout {
                        group: 79,
                        members: 2,
                    }),
                    ..options("rx")
                },
                Timestamp(0),
            )
            .unwrap()
        };
        let mut members = [member(), member()];
        let mut total = 0;
        for round in 0..3 {
            let mut sender = namespace.sender("tx");
            send(&mut sender, std::iter::repeat_n(frame.as_slice(), 50));
            thread::sleep(Duration::from_millis(30));
            namespace.ip("link del dev tx");
            // In the second round it is back before anybody has seen that it was gone.
            if round == 1 {
                namespace.veth("tx", &namespace, "rx");
            }
            let mut taken = Vec::new();
            for member in &mut members {
                taken.extend(drain(member));
            }
            assert_eq!(taken.len(), 50, "round {round}");
            total += 50;
            if round != 1 {
                for member in &mut members {
                    until(member, LinkState::Gone);
                }
                namespace.veth("tx", &namespace, "rx");
            }
            for member in &mut members {
                until(member, LinkState::Up);
            }
            let received: u64 = members.iter_mut().map(|m| m.counts().received).sum();
            assert_eq!(received, total);
            let dropped: u64 = members.iter_mut().map(|m| m.counts().dropped_ring).sum();
            assert_eq!(dropped, 0);
        }
        // Frame numbers have gone on.
        let mut sender = namespace.sender("tx");
        send(&mut sender, [frame.as_slice()]);
        let last: Vec<_> = members.iter_mut().flat_map(drain).collect();
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].number, total + 1);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("tx", &namespace, "rx");
    namespace.ip("link set dev rx down");
    namespace.enter(|| {
        let open = |name: &str| Interface::open(&options(name), Timestamp(0)).err();
        let Some(Error::NoSuchInterface { known, .. }) = open("zz") else {
            panic!("there is no zz");
        };
        assert!(
            ["tx", "rx", "lo", "any"]
                .iter()
                .all(|name| known.iter().any(|k| k == name))
        );
        assert!(matches!(open("rx"), Some(Error::Down { .. })));
        // A thread's capabilities are its own.
        caps::clear(None, caps::CapSet::Effective).unwrap();
        assert!(matches!(open("tx"), Some(Error::PermissionDenied { .. })));
    });
}
