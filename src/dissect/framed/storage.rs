//! Messages of storage.

use super::frame::Frame;
use crate::flow::Side::{Client, Server};

/// How long iSCSI's basic header segment is.
const HEADER: usize = 48;

/// iSCSI (RFC 7143 section 11.2): a header of 48 octets, of which many are reserved, and data that is
/// padded to four octets.
pub(super) fn iscsi(bytes: &[u8], _: usize) -> Frame {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        let short =
            bytes.len() < HEADER && bytes.first().is_some_and(|code| is_opcode(code & 0x3f));
        return if short { Frame::Short } else { Frame::Other };
    };
    let &[
        code,
        flags,
        third,
        fourth,
        additional,
        high,
        middle,
        low,
        ref rest @ ..,
    ] = header;
    let (opcode, immediate) = (code & 0x3f, code & 0x40 != 0);
    let data = u32::from_be_bytes([0, high, middle, low]) as usize;
    let final_bit = flags & 0x80 != 0;
    let lun_is_low = rest
        .get(2..8)
        .is_some_and(|lun| lun.iter().all(|&byte| byte == 0));
    if code & 0x80 != 0 || additional != 0 || data > 1 << 18 || !lun_is_low {
        return Frame::Other;
    }
    let reserved = third == 0 && fourth == 0;
    let task = rest.get(8..12).unwrap_or_default();
    let (sender, fits) = match opcode {
        // SCSI command: attribute of the task, command descriptor block.
        0x01 => {
            let known = rest.get(24).is_some_and(|code| SCSI.contains(code));
            (
                Client,
                reserved && final_bit && flags & 0x18 == 0 && flags & 7 <= 4 && known,
            )
        }
        // NOP-Out, task management, text, data out, logout.
        0x00 => (Client, reserved && flags == 0x80 && task != [0; 4]),
        0x02 => (
            Client,
            reserved && final_bit && flags & 0x7f <= 8 && data == 0,
        ),
        0x04 => (Client, reserved && flags & 0x3f == 0 && flags != 0),
        0x05 => (
            Client,
            reserved && flags & 0x7f == 0 && !immediate && data > 0,
        ),
        0x06 => (
            Client,
            reserved && final_bit && flags & 0x7f <= 2 && data == 0,
        ),
        // NOP-In, SCSI response, task management, text, data in, logout, ready to transfer.
        0x20 => (Server, reserved && flags == 0x80),
        0x21 => (
            Server,
            final_bit && flags & 0x61 == 0 && third <= 1 && fourth & 0xc1 == 0,
        ),
        0x22 => (Server, flags == 0x80 && fourth == 0),
        0x24 => (Server, reserved && flags & 0x3f == 0 && flags != 0),
        0x25 => (Server, third == 0 && flags & 0x38 == 0 && data > 0),
        0x26 => (
            Server,
            flags == 0x80 && third <= 3 && fourth == 0 && data == 0,
        ),
        0x31 => (Server, reserved && flags == 0x80 && data == 0),
        _ => (Server, false),
    };
    // The targets' messages are never immediate.
    if !fits || immediate && sender == Server {
        return Frame::Other;
    }
    // Six octets of the unit's number, one of additional headers, two reserved.
    Frame::from(sender, HEADER + data.next_multiple_of(4), 64)
}

const fn is_opcode(code: u8) -> bool {
    matches!(code, 0x00..=0x06 | 0x20..=0x26 | 0x31)
}

/// Commands that initiators send (SPC-4, SBC-3): inquiry, reading and writing, capacity, modes, units.
const SCSI: [u8; 22] = [
    0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x4d, 0x5a,
    0x88, 0x8a, 0x93, 0x9e, 0xa0, 0xa3,
];
