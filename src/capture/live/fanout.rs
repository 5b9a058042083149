//! Which capture thread gets a frame: a classic BPF program the kernel runs for a fanout group.
//!
//! Linux' own `PACKET_FANOUT_HASH` sends the fragments of a datagram elsewhere than the rest of
//! their flow, for lack of ports. This program looks at the addresses alone, and at both alike: all
//! that passes between two hosts, both ways and whatever its protocol, comes to one thread. What
//! has no IP addresses within its first headers goes to the first.
//!
//! The program runs before the socket has touched the packet (`packet_rcv_fanout`), where the data
//! begin at the network header of a frame that came in, but at the link-layer header of one that
//! goes out. Loads from the start of the data reach all of a packet; those relative to
//! `SKF_LL_OFF` or `SKF_NET_OFF` only what lies in its first buffer, which may be short: hence the
//! three starting points below. VLAN tags: the outermost of a frame that came in has been taken
//! away already, others stand in the data.

use libc::sock_filter;

/// `skb->pkt_type` of a frame this machine sends.
const PACKET_OUTGOING: u32 = 4;
/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`: the devices with an Ethernet header.
const ETHERNET_DEVICES: [u32; 2] = [1, 772];
const ETHERNET_HEADER: u32 = 14;
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// How many tags are skipped in the data.
const MOST_TAGS: usize = 2;
const PPPOE_SESSION: u32 = 0x8864;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const PPP_IPV4: u32 = 0x0021;
const PPP_IPV6: u32 = 0x0057;

// Odd numbers with bits all over, of MurmurHash3's finalizer.
const SPREAD: u32 = 0x85eb_ca6b;
const SPREAD_AGAIN: u32 = 0xc2b2_ae35;

/// The program. The kernel takes what it returns modulo the number of members.
pub(super) fn program() -> Vec<sock_filter> {
    let mut code = Code::default();

    // X becomes where the network header starts, A the EtherType it follows.
    code.load_ancillary(libc::SKF_AD_PKTTYPE);
    let incoming = code.unless_equal(&[PACKET_OUTGOING]);
    code.load_ancillary(libc::SKF_AD_HATYPE);
    let no_ethernet = code.unless_equal(&ETHERNET_DEVICES);
    code.push(LDX_CONST, ETHERNET_HEADER);
    code.push(LD_HALF, 12);
    let ethernet = code.jump();
    code.here(no_ethernet);
    code.push(LDX_CONST, libc::SKF_NET_OFF.cast_unsigned());
    code.load_ancillary(libc::SKF_AD_PROTOCOL);
    let other = code.jump();
    code.here(incoming);
    code.push(LDX_CONST, 0);
    code.load_ancillary(libc::SKF_AD_PROTOCOL);
    code.here(ethernet);
    code.here(other);

    for _ in 0..MOST_TAGS {
        let no_tag = code.unless_equal(&TAGS);
        code.skip_header(4);
        code.here(no_tag);
    }
    let no_session = code.unless_equal(&[PPPOE_SESSION]);
    code.skip_header(8);
    let no_ppp_ipv4 = code.unless_equal(&[PPP_IPV4]);
    code.push(LD_CONST, IPV4);
    code.here(no_ppp_ipv4);
    let no_ppp_ipv6 = code.unless_equal(&[PPP_IPV6]);
    code.push(LD_CONST, IPV6);
    code.here(no_ppp_ipv6);
    code.here(no_session);

    let not_ipv4 = code.unless_equal(&[IPV4]);
    code.hash_pair(12, 16, 1);
    code.here(not_ipv4);
    let not_ipv6 = code.unless_equal(&[IPV6]);
    code.hash_pair(8, 24, 4);
    code.here(not_ipv6);
    code.push(RET_CONST, 0);
    code.instructions
}

// Operation codes, `bpf(4)`. The jump if equal goes on when it is not.
const LD_CONST: u16 = 0x00;
const LD_WORD: u16 = 0x20;
const LD_HALF: u16 = 0x28;
const LD_WORD_INDEXED: u16 = 0x40;
const LD_HALF_INDEXED: u16 = 0x48;
const LD_SCRATCH: u16 = 0x60;
const LDX_CONST: u16 = 0x01;
const LDX_SCRATCH: u16 = 0x61;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ADD: u16 = 0x04;
const MUL: u16 = 0x24;
const RSH: u16 = 0x74;
const XOR_INDEX: u16 = 0xac;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const RET_CONST: u16 = 0x06;
const RET_A: u16 = 0x16;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;

// Places in scratch memory.
const BASE: u32 = 0;
const HASH: u32 = 1;
const FIRST: u32 = 2;
const TYPE: u32 = 3;

/// A jump whose target is not known yet.
#[must_use]
struct Open(usize);

#[derive(Default)]
struct Code {
    instructions: Vec<sock_filter>,
}

impl Code {
    fn push(&mut self, code: u16, k: u32) {
        let (jt, jf) = (0, 0);
        self.instructions.push(sock_filter { code, jt, jf, k });
    }

    /// Loads what the kernel knows of the packet besides its bytes.
    fn load_ancillary(&mut self, what: libc::c_int) {
        self.push(LD_WORD, (libc::SKF_AD_OFF + what).cast_unsigned());
    }

    fn jump(&mut self) -> Open {
        self.push(JUMP, 0);
        Open(self.instructions.len() - 1)
    }

    /// Jumps away unless A is one of `values`.
    fn unless_equal(&mut self, values: &[u32]) -> Open {
        for (left, &value) in (1..=values.len()).rev().zip(values) {
            self.push(JUMP_EQUAL, value);
            if let Some(test) = self.instructions.last_mut() {
                // Over the other tests and the jump away.
                test.jt = left as u8;
            }
        }
        self.jump()
    }

    /// Lets a jump lead to the next instruction.
    fn here(&mut self, Open(place): Open) {
        let distance = self.instructions.len() - place - 1;
        if let Some(jump) = self.instructions.get_mut(place) {
            jump.k = distance as u32;
        }
    }

    /// Moves X over a header of `len` octets that ends with the type of the next.
    fn skip_header(&mut self, len: u32) {
        self.push(LD_HALF_INDEXED, len - 2);
        self.push(ST, TYPE);
        self.push(TXA, 0);
        self.push(ADD, len);
        self.push(TAX, 0);
        self.push(LD_SCRATCH, TYPE);
    }

    /// Returns a hash of two addresses of so many words, at these places in the header, that is the
    /// same if they change places.
    fn hash_pair(&mut self, first: u32, second: u32, words: u32) {
        self.push(STX, BASE);
        self.hash_address(first, words);
        self.push(LD_SCRATCH, HASH);
        self.push(ST, FIRST);
        self.hash_address(second, words);
        // Each is spread before they are put together: else the pairs (a, b) and (a+1, b+1), and
        // many others of one network, would be the same.
        self.push(LD_SCRATCH, HASH);
        self.push(LDX_SCRATCH, FIRST);
        self.push(XOR_INDEX, 0);
        self.fold();
        self.push(MUL, SPREAD_AGAIN);
        self.fold();
        self.push(RET_A, 0);
    }

    fn hash_address(&mut self, at: u32, words: u32) {
        self.push(LD_CONST, 0);
        self.push(ST, HASH);
        for word in 0..words {
            self.push(LDX_SCRATCH, BASE);
            self.push(LD_WORD_INDEXED, at + 4 * word);
            self.push(LDX_SCRATCH, HASH);
            self.push(XOR_INDEX, 0);
            self.push(MUL, SPREAD);
            self.fold();
            self.push(ST, HASH);
        }
        self.push(LDX_SCRATCH, BASE);
    }

    /// `A ^= A >> 15`: products are best mixed in their high bits.
    fn fold(&mut self) {
        self.push(TAX, 0);
        self.push(RSH, 15);
        self.push(XOR_INDEX, 0);
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// What the kernel has at hand when it runs the program.
    #[derive(Clone, Default)]
    struct Packet {
        outgoing: bool,
        device: u32,
        protocol: u32,
        network: usize,
        data: Vec<u8>,
    }

    /// `None` when a load fails: the kernel then takes 0.
    fn run(packet: &Packet) -> Option<u32> {
        let code = program();
        let (mut a, mut x, mut memory, mut next) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
        let load = |at: u32, len: usize| -> Option<u32> {
            let ancillary = at
                .wrapping_sub(libc::SKF_AD_OFF.cast_unsigned())
                .cast_signed();
            let network = at.wrapping_sub(libc::SKF_NET_OFF.cast_unsigned()) as usize;
            let start = match ancillary {
                libc::SKF_AD_PKTTYPE => return Some(if packet.outgoing { 4 } else { 0 }),
                libc::SKF_AD_HATYPE => return Some(packet.device),
                libc::SKF_AD_PROTOCOL => return Some(packet.protocol),
                _ if network < 0xf_0000 => packet.network + network,
                _ => at as usize,
            };
            let octets = packet.data.get(start..start + len)?;
            Some(
                octets
                    .iter()
                    .fold(0, |sum, &octet| sum << 8 | u32::from(octet)),
            )
        };
        loop {
            let sock_filter { code, jt, jf, k } = code[next];
            next += 1;
            match code {
                LD_CONST => a = k,
                LD_WORD => a = load(k, 4)?,
                LD_HALF => a = load(k, 2)?,
                LD_WORD_INDEXED => a = load(x.wrapping_add(k), 4)?,
                LD_HALF_INDEXED => a = load(x.wrapping_add(k), 2)?,
                LD_SCRATCH => a = memory[k as usize],
                LDX_CONST => x = k,
                LDX_SCRATCH => x = memory[k as usize],
                ST => memory[k as usize] = a,
                STX => memory[k as usize] = x,
                ADD => a = a.wrapping_add(k),
                MUL => a = a.wrapping_mul(k),
                RSH => a >>= k,
                XOR_INDEX => a ^= x,
                JUMP => next += k as usize,
                JUMP_EQUAL => next += usize::from(if a == k { jt } else { jf }),
                RET_CONST => return Some(k),
                RET_A => return Some(a),
                TAX => x = a,
                TXA => a = x,
                _ => panic!("operation {code:#x}"),
            }
        }
    }

    fn ipv4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let mut header = vec![0x45, 0, 0, 40, 0, 0, 0x20, 0xb9, 64, 17, 0, 0];
        header.extend(source);
        header.extend(destination);
        header
    }

    fn ipv6(source: u128, destination: u128) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, 44, 64];
        header.extend(source.to_be_bytes());
        header.extend(destination.to_be_bytes());
        header
    }

    /// The same network packet in the ways the kernel can show it.
    fn shown(protocol: u16, network: &[u8]) -> Vec<Packet> {
        let ppp: u16 = if protocol == 0x0800 { 0x21 } else { 0x57 };
        let be = u16::to_be_bytes;
        // EtherType of what follows the link-layer header, and what follows.
        let forms: Vec<(u16, Vec<u8>)> = vec![
            (protocol, vec![]),
            (0x8100, [be(7), be(protocol)].concat()),
            (0x88a8, [be(9), be(0x8100), be(7), be(protocol)].concat()),
            (0x8864, [be(0x1100), be(1), be(30), be(ppp)].concat()),
            (
                0x8100,
                [be(7), be(0x8864), be(0x1100), be(1), be(30), be(ppp)].concat(),
            ),
        ];
        let mut packets = Vec::new();
        for (kind, headers) in forms {
            let inner = [headers, network.to_vec()].concat();
            let frame = [vec![2; 12], be(kind).to_vec(), inner.clone()].concat();
            packets.push(Packet {
                device: 1,
                protocol: kind.into(),
                data: inner.clone(),
                ..Packet::default()
            });
            for device in ETHERNET_DEVICES {
                // The protocol of an outgoing frame can be that of the tag or of what it holds.
                for protocol in [kind, protocol] {
                    packets.push(Packet {
                        outgoing: true,
                        device,
                        protocol: protocol.into(),
                        network: 14,
                        data: frame.clone(),
                    });
                }
            }
            packets.push(Packet {
                outgoing: true,
                device: 65534,
                protocol: kind.into(),
                network: 3,
                data: [vec![0; 3], inner].concat(),
            });
        }
        packets
    }

    #[test]
    fn one_pair_is_one_number_however_it_is_shown() {
        let (a, b) = ([10, 0, 0, 1], [192, 0, 2, 200]);
        let (c, d) = (0x2001_0db8 << 96 | 1, 0xfe80 << 112 | 0xabcd);
        let rows = [
            (0x0800, ipv4(a, b), ipv4(b, a)),
            (0x86dd, ipv6(c, d), ipv6(d, c)),
        ];
        for (protocol, there, back) in rows {
            let mut numbers: Vec<_> = [there, back]
                .iter()
                .flat_map(|network| shown(protocol, network))
                .map(|packet| run(&packet).unwrap())
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), 1, "{protocol:#x}");
            assert_ne!(numbers, [0]);
        }
    }

    #[test]
    fn pairs_are_spread_evenly() {
        // Clients of one network to a few servers, and neighbours to each other's neighbours.
        let mut pairs = Vec::new();
        for client in 0..=255_u8 {
            for server in [1, 9, 200] {
                pairs.push(ipv4([10, 0, 7, client], [203, 0, 113, server]));
            }
            pairs.push(ipv4([10, 0, 0, client], [10, 0, 1, client]));
        }
        for members in [2, 3, 4, 8] {
            let mut shares = vec![0_usize; members as usize];
            for pair in &pairs {
                let packet = Packet {
                    protocol: 0x0800,
                    data: pair.clone(),
                    ..Packet::default()
                };
                shares[(run(&packet).unwrap() % members) as usize] += 1;
            }
            let fair = pairs.len() / members as usize;
            for share in &shares {
                assert!(share.abs_diff(fair) < fair / 3, "{members}: {shares:?}");
            }
        }
    }

    #[test]
    fn what_has_no_addresses_goes_to_the_first_member() {
        let rows: [(u16, &[u8]); 5] = [
            (0x0806, &[0; 28]),
            (0x8847, &[0; 40]),
            (0x0004, &[0x42; 40]),
            (
                0x8864,
                &[0x11, 0, 0, 1, 0, 9, 0xc0, 0x21, 1, 1, 0, 4, 0, 0, 0, 0],
            ),
            (0x8100, &[0, 7, 0x81, 0, 0, 7, 0x81, 0, 0, 7, 8, 0, 0x45, 0]),
        ];
        for (protocol, data) in rows {
            let packet = Packet {
                protocol: protocol.into(),
                data: data.to_vec(),
                ..Packet::default()
            };
            assert_eq!(run(&packet), Some(0), "{protocol:#x}");
        }
    }

    #[test]
    fn cut_packets_end_the_program() {
        for protocol in [0x0800, 0x86dd, 0x8100, 0x8864] {
            for packet in shown(protocol, &ipv6(1, 2)) {
                for len in 0..packet.data.len() {
                    let cut = Packet {
                        data: packet.data[..len].to_vec(),
                        ..packet.clone()
                    };
                    let _ = run(&cut);
                }
            }
        }
    }
}
