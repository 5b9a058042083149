//! What one frame costs to decode: headers only, frames warm in the cache.
//!
//! The frames of a workload differ in addresses and ports, so that no branch is learned by heart.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use etherparse::{PacketBuilder, VlanId};
use ottometer::capture::{Envelope, Frame, InterfaceId, LinkType};
use ottometer::decode::{Config, Decoded, Decoder};
use ottometer::time::Timestamp;

/// As many as a worker takes at a time.
const FRAMES: usize = 256;

fn ethernet_ipv4_tcp(index: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, index], [203, 0, 113, 9], 64)
        .tcp(50_000 + u16::from(index), 443, 1, 1024)
        .write(&mut bytes, &vec![index; usize::from(index) * 5])
        .unwrap();
    bytes
}

fn vlan_ipv6_udp(index: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .single_vlan(VlanId::try_new(7).unwrap())
        .ipv6([index; 16], [9; 16], 64)
        .udp(50_000 + u16::from(index), 443)
        .write(&mut bytes, &vec![index; usize::from(index) * 5])
        .unwrap();
    bytes
}

fn ethernet_ipv4_udp(index: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, index], [203, 0, 113, 9], 64)
        .udp(50_000 + u16::from(index), 443)
        .write(&mut bytes, &vec![index; usize::from(index) * 5])
        .unwrap();
    bytes
}

fn gtp_u(index: u8) -> Vec<u8> {
    let inner = ethernet_ipv4_tcp(index).split_off(14);
    let mut message = vec![0x30, 0xff];
    message.extend((inner.len() as u16).to_be_bytes());
    message.extend([0, 0, 0, index]);
    message.extend(inner);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .udp(2152, 2152)
        .write(&mut bytes, &message)
        .unwrap();
    bytes
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(FRAMES as u64));
    type Workload = (&'static str, fn(u8) -> Vec<u8>);
    let workloads: [Workload; 4] = [
        ("ethernet-ipv4-tcp", ethernet_ipv4_tcp),
        ("ethernet-ipv4-udp", ethernet_ipv4_udp),
        ("vlan-ipv6-udp", vlan_ipv6_udp),
        ("gtp-u", gtp_u),
    ];
    for (name, build) in workloads {
        let frames: Vec<Vec<u8>> = (0..FRAMES).map(|index| build(index as u8)).collect();
        let frames: Vec<Frame<'_>> = frames
            .iter()
            .map(|bytes| Frame {
                at: Timestamp(1),
                number: 1,
                link: LinkType::ETHERNET,
                wire_len: bytes.len() as u32,
                frames: 1,
                envelope: Envelope::None,
                interface: InterfaceId::default(),
                bytes,
            })
            .collect();
        let mut decoder = Decoder::new(Config::default());
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| {
                let mut total = 0;
                for frame in &frames {
                    match black_box(decoder.decode(*black_box(frame))) {
                        Decoded::Packet(packet) => total += packet.wire_len,
                        _ => unreachable!("the workload holds packets only"),
                    }
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
