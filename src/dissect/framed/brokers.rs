//! Messages of brokers, and the frames of HTTP/2 that carry calls.

use super::frame::Frame;
use crate::flow::Side::{Client, Server};
use crate::wire::reader::Reader;

/// Kafka (protocol guide, "Protocol Primitives"): a size; of requests a key, a version, a correlation and
/// the client's name; of responses the correlation.
pub(super) fn kafka(bytes: &[u8], _: usize) -> Frame {
    let mut reader = Reader::new(bytes);
    let Some(size) = reader.be32() else {
        return match bytes.iter().all(|&byte| byte == 0) {
            true => Frame::Short,
            false => Frame::Other,
        };
    };
    let len = size as usize + 4;
    if !(8..=16 << 20).contains(&size) {
        return Frame::Other;
    }
    let fields = (reader.be16(), reader.be16(), reader.be32(), reader.be16());
    let (Some(key), Some(version), Some(_), Some(name_len)) = fields else {
        return Frame::Short;
    };
    let name = reader.rest().get(..usize::from(name_len));
    let printable = |name: &[u8]| name.iter().all(u8::is_ascii_graphic);
    match name {
        Some(name)
            if key <= 92 && version <= 20 && (3..=64).contains(&name_len) && printable(name) =>
        {
            Frame::from(Client, len, 48 + u32::from(name_len.min(16)))
        }
        // A client without a name.
        None if key <= 92 && version <= 20 && name_len == u16::MAX => Frame::from(Client, len, 48),
        // An answer has nothing that tells it: only its size.
        _ => Frame::from(Server, len, 0),
    }
}

/// AMQP 0-9-1, section 2.3: kind, channel, size, payload, and an octet that ends it.
pub(super) fn amqp(bytes: &[u8], _: usize) -> Frame {
    let mut reader = Reader::new(bytes);
    let fields = (reader.u8(), reader.be16(), reader.be32());
    let (Some(kind), Some(channel), Some(size)) = fields else {
        let short = bytes.len() < 7 && matches!(bytes, [1..=3 | 8, 0..=7, ..]);
        return if short { Frame::Short } else { Frame::Other };
    };
    if size > 1 << 20 || channel > 2047 {
        return Frame::Other;
    }
    let payload = reader.rest();
    let ended = match payload.get(size as usize) {
        Some(0xce) => 8,
        Some(_) => return Frame::Other,
        None => 0,
    };
    let bits = match (kind, Reader::new(payload).be32()) {
        // Class and method.
        (1, Some(method)) if (4..=1 << 16).contains(&size) => {
            let (class, method) = (method >> 16, method & 0xffff);
            let known = matches!(class, 10 | 20 | 30 | 40 | 50 | 60 | 70 | 85 | 90);
            match known && (10..=120).contains(&method) {
                true => 44,
                false => return Frame::Other,
            }
        }
        // Content header of the class `basic`, whose weight is zero.
        (2, Some(0x003c_0000)) if (14..=1 << 16).contains(&size) => 56,
        (3, _) => 16,
        (8, _) if size == 0 && channel == 0 && ended > 0 => 56,
        (1 | 2, None) => 8,
        _ => return Frame::Other,
    };
    Frame::of_either(size as usize + 8, bits + ended)
}

/// OASIS AMQP 1.0, part 2, section 2.3: size, offset of the data, kind, channel, and a described type that
/// says which performative it is.
pub(super) fn amqp_1(bytes: &[u8], _: usize) -> Frame {
    let Some(&[a, b, c, d, 2, kind @ (0 | 1), high, _]) = bytes.first_chunk() else {
        let short = bytes.len() < 8 && matches!(bytes, [0, ..]);
        return if short { Frame::Short } else { Frame::Other };
    };
    let size = u32::from_be_bytes([a, b, c, d]);
    if !(8..=1 << 24).contains(&size) || high > 1 {
        return Frame::Other;
    }
    let bits = match bytes.get(8..) {
        // A heartbeat.
        _ if size == 8 && kind == 0 => 56,
        Some([0, 0x53, code, ..]) if size > 11 => match (kind, code) {
            (0, 0x10..=0x18) | (1, 0x40..=0x44) => 62,
            _ => return Frame::Other,
        },
        Some([0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x10..=0x18, ..]) if kind == 0 => 80,
        Some([] | [0] | [0, 0x53] | [0, 0x80]) => 16,
        _ => return Frame::Other,
    };
    Frame::of_either(size as usize, bits)
}

/// HTTP/2 in the clear (RFC 9113 section 4.1): length, kind, flags, stream.
pub(super) fn http2(bytes: &[u8], _: usize) -> Frame {
    let Some(&[high, middle, low, kind, flags, a, b, c, d]) = bytes.first_chunk() else {
        let short = bytes.len() < 9 && bytes.first().is_none_or(|&byte| byte == 0);
        return if short { Frame::Short } else { Frame::Other };
    };
    let len = u32::from_be_bytes([0, high, middle, low]) as usize;
    let stream = u32::from_be_bytes([a, b, c, d]);
    // The first of a connection are meant: few streams, the usual limit of a frame.
    if stream >= 1 << 20 || len > 1 << 14 {
        return Frame::Other;
    }
    let on_stream = stream != 0;
    let body = bytes.get(9..).unwrap_or_default();
    let bits = match (kind, len) {
        // DATA, which fixes little more than zeros, HEADERS, CONTINUATION.
        (0, _) if on_stream && flags & !0x09 == 0 => 4,
        (1, 1..) if on_stream && flags & !0x2d == 0 && flags & 4 != 0 => {
            let block = body.get(if flags & 0x20 != 0 { 5 } else { 0 }..);
            // RFC 7541 appendix A: a method, a scheme or a status by its number.
            match block {
                Some([0x82 | 0x83 | 0x86..=0x8e, ..]) => 38,
                _ => 30,
            }
        }
        (9, 1..) if on_stream && flags & !4 == 0 => 26,
        // RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE.
        (3, 4) if on_stream && flags == 0 && body.starts_with(&[0, 0, 0]) => 72,
        (4, 0) if !on_stream && flags == 1 => 72,
        (4, 6..=60) if !on_stream && flags == 0 && len.is_multiple_of(6) => match body {
            [0, 1..=9, ..] => 72,
            _ => return Frame::Other,
        },
        (6, 8) if !on_stream && flags <= 1 => 70,
        (7, 8..) if !on_stream && flags == 0 => 56,
        (8, 4) if flags == 0 && body.first().is_none_or(|high| high & 0x80 == 0) => 52,
        _ => return Frame::Other,
    };
    Frame::of_either(len + 9, bits)
}
