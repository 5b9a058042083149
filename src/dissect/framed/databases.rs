//! Messages of database servers and of their clients.

use super::frame::{Frame, begins_with_word, is_text};
use crate::flow::Side::{Client, Server};
use crate::wire::reader::Reader;

/// Words with which statements begin.
const STATEMENTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "SET",
    "SHOW",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CREATE",
    "DROP",
    "ALTER",
    "CALL",
    "USE",
    "WITH",
    "REPLACE",
    "START",
    "TRUNCATE",
    "DESC",
    "DESCRIBE",
    "EXPLAIN",
    "LOCK",
    "UNLOCK",
    "KILL",
    "FLUSH",
    "GRANT",
    "ANALYZE",
    "VACUUM",
    "COPY",
    "FETCH",
    "DECLARE",
    "EXECUTE",
    "PREPARE",
    "DEALLOCATE",
    "DISCARD",
    "SAVEPOINT",
    "RELEASE",
    "LISTEN",
    "NOTIFY",
    "VALUES",
    "MERGE",
    "OPTIMIZE",
    "CHECK",
    "LOAD",
    "XA",
    "END",
    "DO",
];

/// PostgreSQL's protocol 3 (documentation, "Message Formats"): a type, a length that counts itself,
/// the body.
pub(super) fn postgres(bytes: &[u8], _: usize) -> Frame {
    let mut reader = Reader::new(bytes);
    let (Some(kind), len) = (reader.u8(), reader.be32()) else {
        return Frame::Other;
    };
    if !kind.is_ascii_alphabetic() && !matches!(kind, b'1'..=b'3') {
        return Frame::Other;
    }
    let Some(len) = len else {
        return Frame::Short;
    };
    if !(4..1 << 24).contains(&len) {
        return Frame::Other;
    }
    let body_len = len as usize - 4;
    let body = reader.rest().get(..body_len);
    let whole = body.is_some();
    let body = body.unwrap_or_else(|| reader.rest());
    // Type and the length's first octet.
    let base = 12;
    let Some((sender, bits)) = postgres_body(kind, body_len, body, whole) else {
        return Frame::Other;
    };
    let total = len as usize + 1;
    match sender {
        Some(sender) => Frame::from(sender, total, base + bits),
        None => Frame::of_either(total, base + bits),
    }
}

/// Who sends such a body, and how many bits of it are fixed.
fn postgres_body(
    kind: u8,
    len: usize,
    body: &[u8],
    whole: bool,
) -> Option<(Option<crate::flow::Side>, u32)> {
    // Texts end with a zero octet.
    let texts = || body.iter().filter(|&&byte| byte == 0).count();
    let ended = whole && body.last() == Some(&0);
    let text = |body: &[u8]| is_text(body.strip_suffix(&[0]).unwrap_or(body));
    Some(match kind {
        // ReadyForQuery.
        b'Z' if len == 1 && matches!(body.first(), None | Some(b'I' | b'T' | b'E')) => {
            (Some(Server), if whole { 30 } else { 24 })
        }
        // ParseComplete, BindComplete, CloseComplete, NoData, EmptyQueryResponse, PortalSuspended.
        b'1' | b'2' | b'3' | b'n' | b'I' | b's' if len == 0 => (Some(Server), 24),
        // Sync, Flush, Terminate.
        b'S' | b'H' | b'X' if len == 0 => (Some(Client), 24),
        // CopyDone.
        b'c' if len == 0 => (None, 24),
        // Query.
        b'Q' if len > 1 && text(body) && begins_with_word(body.trim_ascii_start(), STATEMENTS) => {
            (Some(Client), if ended { 40 } else { 28 })
        }
        // Parse: two texts, then the types of parameters.
        b'P' if len >= 4 => parse(body, whole)?,
        // Bind: portal and statement, then formats.
        b'B' if len >= 6 && whole && texts() >= 2 && text(body.split(|&b| b == 0).next()?) => {
            (Some(Client), 8)
        }
        // CommandComplete: `SELECT 5`. Close has one octet before its text.
        b'C' if (3..64).contains(&len) && ended && texts() == 1 && text(body) => {
            match begins_with_word(body, STATEMENTS) || begins_with_word(body, &["MOVE"]) {
                true => (Some(Server), 40),
                false if matches!(body.first(), Some(b'S' | b'P')) => (Some(Client), 14),
                false => return None,
            }
        }
        // Describe, before DataRow: a kind and a name.
        b'D' if (2..128).contains(&len)
            && ended
            && texts() == 1
            && matches!(body.first(), Some(b'S' | b'P'))
            && text(body) =>
        {
            (Some(Client), 20)
        }
        b'D' if len >= 2 => (Some(Server), columns(body, whole)?),
        b'T' if len >= 2 => (Some(Server), fields(body, whole)?),
        // Execute: a portal's name and a number of rows.
        b'E' if len >= 5 && whole && texts() >= 1 && execute(body) => (Some(Client), 30),
        // ErrorResponse and NoticeResponse: texts behind a letter each, the severity first.
        b'E' | b'N'
            if len > 8
                && matches!(body.first(), Some(b'S'))
                && (!whole || body.ends_with(&[0, 0])) =>
        {
            let word = body.get(1..)?;
            let severity = [
                "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "LOG", "DEBUG",
            ];
            let known = begins_with_word(word, &severity);
            (Some(Server), if known { 40 } else { 16 })
        }
        // ParameterStatus: a name and a value.
        b'S' if len > 3 && ended && texts() == 2 && text(body.split(|&b| b == 0).next()?) => {
            (Some(Server), 20)
        }
        // BackendKeyData.
        b'K' if len == 8 => (Some(Server), 24),
        // Authentication: 0 to 12.
        b'R' if len >= 4 && matches!(body.first_chunk(), Some([0, 0, 0, 0..=12])) => {
            (Some(Server), 28)
        }
        // ParameterDescription.
        b't' if len >= 2 && (len - 2).is_multiple_of(4) => {
            let count = usize::from(Reader::new(body).be16()?);
            (count == (len - 2) / 4).then_some((Some(Server), 24))?
        }
        // CopyData: whatever is copied.
        b'd' => (None, 0),
        _ => return None,
    })
}

fn parse(body: &[u8], whole: bool) -> Option<(Option<crate::flow::Side>, u32)> {
    let name_end = memchr::memchr(0, body)?;
    let query = body.get(name_end + 1..)?;
    let query_end = memchr::memchr(0, query).unwrap_or(query.len());
    let text = query.get(..query_end)?;
    if name_end > 63
        || !is_text(body.get(..name_end)?)
        || !is_text(text)
        || !begins_with_word(text.trim_ascii_start(), STATEMENTS)
    {
        return None;
    }
    if !whole {
        return Some((Some(Client), 24));
    }
    let mut types = Reader::new(query.get(query_end + 1..)?);
    let count = usize::from(types.be16()?);
    (types.left() == 4 * count).then_some((Some(Client), 40))
}

/// DataRow: as many values as it says, each with its length, which fill the body.
fn columns(body: &[u8], whole: bool) -> Option<u32> {
    let mut reader = Reader::new(body);
    let Some(count) = reader.be16().filter(|&count| count <= 1664) else {
        return body.is_empty().then_some(0);
    };
    for _ in 0..count {
        let Some(len) = reader.be32() else {
            return (!whole).then_some(4);
        };
        if len == u32::MAX {
            continue;
        }
        if reader.skip(len as usize).is_none() {
            return (!whole && len < 1 << 24).then_some(4);
        }
    }
    (reader.is_empty() && whole && count > 0).then_some(32)
}

/// RowDescription: as many fields as it says, each a name and 18 octets, which fill the body.
fn fields(body: &[u8], whole: bool) -> Option<u32> {
    let mut reader = Reader::new(body);
    let Some(count) = reader.be16().filter(|&count| count <= 1664) else {
        return body.is_empty().then_some(0);
    };
    for _ in 0..count {
        let name = reader.rest();
        let Some(end) = memchr::memchr(0, name) else {
            return (!whole && name.len() < 64).then_some(4);
        };
        if !is_text(name.get(..end)?) {
            return None;
        }
        if reader.skip(end + 19).is_none() {
            return (!whole).then_some(4);
        }
    }
    (reader.is_empty() && whole && count > 0).then_some(40)
}

fn execute(body: &[u8]) -> bool {
    memchr::memchr(0, body).is_some_and(|end| {
        body.len() == end + 5
            && body.get(..end).is_some_and(is_text)
            && body.get(end + 1) == Some(&0)
    })
}

/// MySQL's packets (internals manual, "MySQL Packets"): a length of three octets, a number that each
/// command begins at 0 and its answer at 1, the body.
pub(super) fn mysql(bytes: &[u8], before: usize) -> Frame {
    let Some(&[a, b, c, number]) = bytes.first_chunk() else {
        return match bytes.len() < 4 && before == 0 {
            true => Frame::Short,
            false => Frame::Other,
        };
    };
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    let body = bytes.get(4..).unwrap_or_default();
    let whole = body.len() >= len;
    let body = body.get(..len).unwrap_or(body);
    if len == 0 {
        return Frame::Other;
    }
    let bits = match (number, before) {
        (0, 0) => return mysql_command(len, body, whole),
        (1, 0) => mysql_answer(len, body, whole),
        // What follows in an answer: the next number. The second packet describes a column.
        (2, 1) => match body {
            [3, b'd', b'e', b'f', ..] => Some(40),
            _ if body.len() < 4 && !whole => Some(0),
            _ => None,
        },
        (number, before) if usize::from(number) == (before + 1) & 0xff && before > 1 => Some(10),
        _ => None,
    };
    bits.map_or(Frame::Other, |bits| Frame::from(Server, len + 4, bits))
}

fn mysql_command(len: usize, body: &[u8], whole: bool) -> Frame {
    let bits = match body {
        // COM_QUERY, COM_STMT_PREPARE. Newer clients may send attributes first: none, one set.
        [3 | 0x16, text @ ..] => {
            let text = text
                .strip_prefix(&[0, 1])
                .unwrap_or(text)
                .trim_ascii_start();
            match begins_with_word(text, STATEMENTS) || text.starts_with(b"/*") {
                true if is_text(text) => 40,
                _ => return Frame::Other,
            }
        }
        // COM_QUIT, COM_STATISTICS, COM_PING, COM_RESET_CONNECTION.
        [1 | 9 | 0x0e | 0x1f] if len == 1 => 36,
        // COM_INIT_DB.
        [2, name @ ..] if (2..=65).contains(&len) && whole && is_text(name) => 28,
        // COM_STMT_EXECUTE: a statement, a kind of cursor, one iteration.
        [0x17, _, _, _, 0, 0 | 1 | 2 | 4, 1, 0, 0, 0, ..] if len >= 10 => 60,
        // COM_STMT_CLOSE, COM_STMT_RESET.
        [0x19 | 0x1a, _, _, _, 0] if len == 5 => 44,
        [] => return Frame::Short,
        _ => return Frame::Other,
    };
    Frame::from(Client, len + 4, bits)
}

/// The first packet of an answer: OK, an error, or the number of columns.
fn mysql_answer(len: usize, body: &[u8], whole: bool) -> Option<u32> {
    match body {
        [0, _, _, status, 0, _, 0, ..] if (7..256).contains(&len) && status & 0x42 != 0 => Some(40),
        [0xff, low, high, b'#', state @ ..] if (9..1024).contains(&len) => {
            let code = u16::from_le_bytes([*low, *high]);
            let state = state.get(..5)?;
            let fits = (1000..5000).contains(&code) && state.iter().all(u8::is_ascii_alphanumeric);
            fits.then_some(52)
        }
        [1..=0xfa] if len == 1 && whole => Some(30),
        [] => Some(0),
        _ => None,
    }
}

/// Microsoft's tabular data stream (MS-TDS, 2.2.3.1): a header of eight octets with the length of the
/// packet, its number and a zero.
pub(super) fn tds(bytes: &[u8], _: usize) -> Frame {
    let Some(&[kind, status, high, low, _, _, number, 0]) = bytes.first_chunk() else {
        let short = bytes.len() < 8 && matches!(bytes, [1 | 3 | 4 | 6 | 14, 0..=0x1f, ..]);
        return if short { Frame::Short } else { Frame::Other };
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let body = bytes.get(8..).unwrap_or_default();
    if status & 0xe4 != 0 || !(8..=32_767).contains(&len) {
        return Frame::Other;
    }
    let whole = body.len() >= len - 8;
    let body = body.get(..len - 8).unwrap_or(body);
    match kind {
        // SQL batch, RPC, transaction manager: ALL_HEADERS (2.2.5.3) with a transaction descriptor.
        1 | 3 | 14 if number <= 1 => match body {
            [total, 0, 0, 0, 18, 0, 0, 0, 2, 0, ..] if *total >= 22 => Frame::from(Client, len, 90),
            _ => Frame::Other,
        },
        1 | 3 | 14 => Frame::from(Client, len, 8),
        // Attention.
        6 if len == 8 && status == 1 => Frame::from(Client, len, 40),
        // Tabular result: tokens (2.2.7), at the end of the last packet DONE and its kin.
        4 => {
            let Some(&token) = body.first() else {
                return Frame::from(Server, len, 24);
            };
            let known = number > 1 || TOKENS.contains(&token);
            let done = whole && status & 1 != 0 && ends_with_done(body);
            match (known, done, whole && status & 1 != 0) {
                (true, true, _) => Frame::from(Server, len, 64),
                (true, false, false) => Frame::from(Server, len, 28),
                _ => Frame::Other,
            }
        }
        _ => Frame::Other,
    }
}

/// First tokens of results.
const TOKENS: [u8; 14] = [
    0x79, 0x81, 0xa4, 0xa5, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xd1, 0xd2, 0xe3, 0xfd, 0xff,
];

/// DONE, DONEPROC or DONEINPROC (2.2.7.6): status and the row count's upper half; before TDS 7.2 the
/// count has four octets.
fn ends_with_done(body: &[u8]) -> bool {
    let done = |token: &[u8]| {
        matches!(token, [0xfd..=0xff, _, 0 | 1, _, _, rest @ ..]
            if rest.get(4..).is_none_or(|upper| upper.iter().all(|&byte| byte == 0)))
    };
    [13, 9].iter().any(|&len| {
        let start = body.len().checked_sub(len);
        start.and_then(|start| body.get(start..)).is_some_and(done)
    })
}

/// Oracle Net's packets, as public clients document them: a length (of two octets, or from version
/// 315 on four), checksums of zero, a type.
pub(super) fn oracle(bytes: &[u8], _: usize) -> Frame {
    let Some(&[a, b, c, d, kind, flags, 0, 0]) = bytes.first_chunk() else {
        let short = bytes.len() < 8 && bytes.get(4).is_none_or(|kind| *kind == 6);
        return if short { Frame::Short } else { Frame::Other };
    };
    let len = match (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) {
        (0, long) => usize::from(long),
        (short, 0) => usize::from(short),
        _ => return Frame::Other,
    };
    let body = bytes.get(8..).unwrap_or_default();
    match (kind, body) {
        // DATA: flags, then a function of the two-task interface.
        (6, [0, 0 | 0x20 | 0x40, function, ..]) if len > 11 && flags & 0xd0 == 0 => {
            match function {
                1..=4 | 6..=9 | 0x0b | 0x0e..=0x11 | 0x17 => Frame::of_either(len, 44),
                _ => Frame::Other,
            }
        }
        // MARKER.
        (12, [1, 0, 1 | 2]) if len == 11 => Frame::of_either(len, 60),
        (6, []) | (6, [_]) => Frame::of_either(len, 20),
        _ => Frame::Other,
    }
}

/// MongoDB's messages (documentation, "Wire Protocol"): length, number, number answered, kind.
pub(super) fn mongodb(bytes: &[u8], _: usize) -> Frame {
    let mut reader = Reader::new(bytes);
    let fields = (reader.le32(), reader.le32(), reader.le32(), reader.le32());
    let (Some(len), Some(_), Some(answers), Some(kind)) = fields else {
        return if bytes.len() < 16 {
            Frame::Short
        } else {
            Frame::Other
        };
    };
    if !(21..=48_000_000).contains(&len) {
        return Frame::Other;
    }
    let sender = match answers {
        0 | u32::MAX => Client,
        _ => Server,
    };
    let rest = reader.rest();
    let bits = match kind {
        // OP_MSG: flags of which three are given, sections of two kinds; the length of the first.
        2013 => match rest.first_chunk() {
            Some(&[flags, 0, 0 | 1, 0, section, a, b, c, d]) if flags & !3 == 0 => {
                let inner = u32::from_le_bytes([a, b, c, d]);
                let fits = inner >= 5 && inner <= len - 21;
                let only = inner == len - 21 || inner == len - 25;
                match section {
                    0 if fits && (only || rest.len() >= 9) => 60 + if only { 20 } else { 0 },
                    1 if fits => 60,
                    _ => return Frame::Other,
                }
            }
            Some(_) => return Frame::Other,
            None => 24,
        },
        // OP_COMPRESSED: the kind inside, its size, the compressor.
        2012 => match rest.first_chunk() {
            Some(&[a, b, 0, 0, _, _, _, _, 0..=3])
                if matches!(u16::from_le_bytes([a, b]), 1 | 2004 | 2013) =>
            {
                60
            }
            _ => return Frame::Other,
        },
        // OP_QUERY and its like before version 5.1: flags, then the collection's name or a zero.
        2001..=2007 if sender == Client => 28,
        1 if sender == Server && matches!(rest, [0 | 2 | 8 | 10, 0, 0, 0, ..]) => 48,
        _ => return Frame::Other,
    };
    Frame::from(sender, len as usize, bits)
}

/// Cassandra's frames of versions 3 and 4 (`native_protocol_v4.spec`, section 2).
pub(super) fn cassandra(bytes: &[u8], _: usize) -> Frame {
    let Some(&[version, flags, _, _, opcode, a, b, c, d]) = bytes.first_chunk() else {
        let short = bytes.len() < 9 && matches!(bytes, [3 | 4 | 0x83 | 0x84, 0..=0x0f, ..]);
        return if short { Frame::Short } else { Frame::Other };
    };
    let len = u32::from_be_bytes([a, b, c, d]);
    if !matches!(version & 0x7f, 3 | 4) || flags > 0x0f || len > 16 << 20 {
        return Frame::Other;
    }
    let body = bytes.get(9..).unwrap_or_default();
    let mut reader = Reader::new(body);
    let bits = match (version & 0x80 != 0, opcode) {
        (false, 5) if len == 0 => 40,
        // STARTUP and REGISTER count their texts.
        (false, 1 | 0x0b) => 24,
        // QUERY and PREPARE: a long text.
        (false, 7 | 9) => {
            let text = reader.be32().filter(|&text| text < len);
            match text {
                Some(_) if begins_with_word(reader.rest(), STATEMENTS) => 64,
                _ => return Frame::Other,
            }
        }
        // EXECUTE: the statement's digest of 16 octets.
        (false, 0x0a) if body.starts_with(&[0, 16]) && len > 20 => 42,
        (true, 2) if len == 0 => 40,
        (true, 0) if len > 6 => 24,
        // RESULT: five kinds.
        (true, 8) if matches!(body, [0, 0, 0, 1..=5, ..]) => 56,
        // EVENT.
        (true, 0x0c) => match reader.be16() {
            Some(13..=15)
                if reader
                    .rest()
                    .iter()
                    .take(13)
                    .all(|b| b.is_ascii_uppercase() || *b == b'_') =>
            {
                60
            }
            _ => return Frame::Other,
        },
        _ => return Frame::Other,
    };
    let sender = if version & 0x80 != 0 { Server } else { Client };
    Frame::from(sender, len as usize + 9, bits)
}
