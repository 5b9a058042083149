//! Capture files made by hand, for the tests of this stage.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::capture::LinkType;
use crate::capture::listing::ByteOrder::{self, Big, Little};

/// Bytes with numbers in one order.
pub(super) struct Bytes {
    pub(super) order: ByteOrder,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    pub(super) const fn new(order: ByteOrder) -> Self {
        Self {
            order,
            bytes: Vec::new(),
        }
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&match self.order {
            Big => value.to_be_bytes(),
            Little => value.to_le_bytes(),
        })
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&match self.order {
            Big => value.to_be_bytes(),
            Little => value.to_le_bytes(),
        })
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn pad(&mut self) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// The header of a pcap file.
pub(super) struct PcapHeader {
    pub(super) order: ByteOrder,
    pub(super) magic: u32,
    pub(super) version: (u16, u16),
    pub(super) snaplen: u32,
    pub(super) link: u32,
}

pub(super) const PCAP: PcapHeader = PcapHeader {
    order: Little,
    magic: 0xa1b2_c3d4,
    version: (2, 4),
    snaplen: 65_535,
    link: 1,
};

impl PcapHeader {
    pub(super) fn file(&self) -> Bytes {
        let mut file = Bytes::new(self.order);
        file.u32(self.magic)
            .u16(self.version.0)
            .u16(self.version.1)
            .u32(0)
            .u32(0)
            .u32(self.snaplen)
            .u32(self.link);
        file
    }
}

/// A pcap record; the two lengths as given.
pub(super) fn record(file: &mut Bytes, time: (u32, u32), lengths: (u32, u32), frame: &[u8]) {
    file.u32(time.0).u32(time.1).u32(lengths.0).u32(lengths.1);
    file.raw(frame);
}

/// A pcap file of frames at these microseconds.
pub(super) fn pcap(frames: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = PCAP.file();
    for &(micros, frame) in frames {
        let time = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
        record(
            &mut file,
            time,
            (frame.len() as u32, frame.len() as u32),
            frame,
        );
    }
    file.bytes
}

/// A pcapng file of one section and one Ethernet interface, with frames at these microseconds.
pub(super) fn pcapng(frames: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = Bytes::new(Little);
    section(&mut file);
    interface(&mut file, LinkType::ETHERNET, 0, &[]);
    for &(micros, frame) in frames {
        enhanced(&mut file, 0, micros, frame);
    }
    file.bytes
}

/// A pcapng block.
pub(super) fn block(file: &mut Bytes, kind: u32, body: &[u8]) {
    let length = (body.len() as u32).next_multiple_of(4) + 12;
    file.u32(kind).u32(length).raw(body).pad().u32(length);
}

/// A section header block in the byte order of `file`.
pub(super) fn section(file: &mut Bytes) {
    let mut body = Bytes::new(file.order);
    body.u32(0x1a2b_3c4d).u16(1).u16(0).raw(&[0xff; 8]);
    block(file, 0x0a0d_0d0a, &body.bytes);
}

/// An interface description block.
pub(super) fn interface(file: &mut Bytes, link: LinkType, snaplen: u32, options: &[(u16, &[u8])]) {
    let mut body = Bytes::new(file.order);
    body.u16(link.0).u16(0).u32(snaplen);
    for &(code, value) in options {
        body.u16(code).u16(value.len() as u16).raw(value).pad();
    }
    block(file, 1, &body.bytes);
}

/// An enhanced packet block.
pub(super) fn enhanced(file: &mut Bytes, interface: u32, units: u64, frame: &[u8]) {
    let len = frame.len() as u32;
    let body = enhanced_body(file.order, interface, units, (len, len), frame);
    block(file, 6, &body);
}

/// The body of an enhanced packet block; the two lengths as given.
pub(super) fn enhanced_body(
    order: ByteOrder,
    interface: u32,
    units: u64,
    lengths: (u32, u32),
    frame: &[u8],
) -> Vec<u8> {
    let mut body = Bytes::new(order);
    body.u32(interface)
        .u32((units >> 32) as u32)
        .u32(units as u32)
        .u32(lengths.0)
        .u32(lengths.1)
        .raw(frame);
    body.bytes
}

/// A member of a gzip file.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A frame of a zstd file.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A stream of an xz file.
pub(super) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A stream of a bzip2 file.
pub(super) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A frame of an lz4 file.
pub(super) fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
