//! Messages that begin with a line of text, in which the length of what follows it stands.

use super::frame::Frame;
use crate::dissect::dialogue;
use crate::flow::Side::{Client, Server};

/// The longest line.
const MAX_LINE: usize = 512;

/// How many values one message of Redis may hold.
const MAX_VALUES: usize = 256;

/// The line at the front of `bytes`, without its CR LF; `Err` if it cannot be one.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, ()> {
    let searched = bytes.get(..MAX_LINE).unwrap_or(bytes);
    match memchr::memchr(b'\n', searched) {
        Some(end) => match searched.get(..end) {
            Some([line @ .., b'\r']) if line.iter().all(|byte| (0x20..0x7f).contains(byte)) => {
                Ok(Some(line))
            }
            _ => Err(()),
        },
        None if bytes.len() < MAX_LINE => Ok(None),
        None => Err(()),
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    let plain = !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

/// Redis serialization protocol, versions 2 and 3: values, of which some hold others.
pub(super) fn redis(bytes: &[u8], _: usize) -> Frame {
    const KINDS: &[u8] = b"+-:$*_#,(!=%~>";
    if !bytes.first().is_some_and(|kind| KINDS.contains(kind)) {
        return Frame::Other;
    }
    let (mut at, mut left, mut bits) = (0_usize, 1_usize, 0_u32);
    for _ in 0..MAX_VALUES {
        let rest = bytes.get(at..).unwrap_or_default();
        if left == 0 {
            break;
        }
        let line = match line(rest) {
            Ok(Some(line)) => line,
            // What has been read of it stands.
            Ok(None) if bits >= 32 => break,
            Ok(None) => return Frame::Short,
            Err(()) => return Frame::Other,
        };
        let Some((kind, text)) = line.split_first() else {
            return Frame::Other;
        };
        left -= 1;
        at += line.len() + 2;
        match kind {
            b'$' | b'=' | b'!' if text != b"-1" => {
                let Some(len) = number(text) else {
                    return Frame::Other;
                };
                let after = bytes.get(at + len..).unwrap_or_default();
                at += len + 2;
                match after {
                    [b'\r', b'\n', ..] => bits += 44,
                    [] | [b'\r'] => {
                        bits += 24;
                        break;
                    }
                    _ => return Frame::Other,
                }
            }
            b'*' | b'~' | b'>' if text != b"-1" => match number(text) {
                Some(count) if count <= 1 << 20 => {
                    left += count;
                    bits += 24;
                }
                _ => return Frame::Other,
            },
            b'%' => match number(text) {
                Some(count) if count <= 1 << 20 => {
                    left += 2 * count;
                    bits += 24;
                }
                _ => return Frame::Other,
            },
            b'$' | b'*' => bits += 40,
            b':' => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return Frame::Other;
                }
                bits += 28;
            }
            b'+' | b'-' => bits += 24,
            b'_' if text.is_empty() => bits += 24,
            b'#' if matches!(text, b"t" | b"f") => bits += 32,
            b',' | b'('
                if text
                    .first()
                    .is_some_and(|b| b.is_ascii_digit() || *b == b'-') =>
            {
                bits += 24;
            }
            _ => return Frame::Other,
        }
    }
    // `+` and `-` begin lines of other protocols as well: they are of Redis if something else says so.
    Frame::of_either(at, bits)
}

/// NATS client protocol (documentation, "Client Protocol").
pub(super) fn nats(bytes: &[u8], _: usize) -> Frame {
    let line = match line(bytes) {
        Ok(Some(line)) => line,
        Ok(None) => return Frame::Short,
        Err(()) => return Frame::Other,
    };
    let verb = dialogue::word(line);
    let mut words = line
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty());
    let (count, last) = (words.clone().count(), words.next_back().unwrap_or_default());
    let len = line.len() + 2;
    let with_body = |sender, range: std::ops::RangeInclusive<usize>| {
        let Some(body) = number(last).filter(|_| range.contains(&count)) else {
            return Frame::Other;
        };
        match bytes.get(len + body..).unwrap_or_default() {
            [b'\r', b'\n', ..] => Frame::from(sender, len + body + 2, 72),
            [] | [b'\r'] => Frame::from(sender, len + body + 2, 48),
            _ => Frame::Other,
        }
    };
    match verb {
        b"PUB" => with_body(Client, 3..=4),
        b"HPUB" => with_body(Client, 4..=5),
        b"MSG" => with_body(Server, 4..=5),
        b"HMSG" => with_body(Server, 5..=6),
        b"SUB" if (3..=4).contains(&count) && last.iter().all(u8::is_ascii_alphanumeric) => {
            Frame::from(Client, len, 40)
        }
        b"UNSUB" if (2..=3).contains(&count) => Frame::from(Client, len, 40),
        b"INFO" if line.ends_with(b"}") && line.starts_with(b"INFO {\"") => {
            Frame::from(Server, len, 72)
        }
        b"CONNECT" if line.ends_with(b"}") && line.starts_with(b"CONNECT {\"") => {
            Frame::from(Client, len, 96)
        }
        // Redis and POP3 have these as well.
        b"PING" | b"PONG" | b"+OK" if count == 1 => Frame::of_either(len, 24),
        b"-ERR" if last.ends_with(b"'") => Frame::from(Server, len, 32),
        _ => Frame::Other,
    }
}

/// Memcached's text protocol (`doc/protocol.txt`).
pub(super) fn memcached(bytes: &[u8], before: usize) -> Frame {
    let line = match line(bytes) {
        Ok(Some(line)) => line,
        Ok(None) => return Frame::Short,
        Err(()) => return Frame::Other,
    };
    let verb = dialogue::word(line);
    let words = line.split(|&byte| byte == b' ');
    let count = words.clone().count();
    let len = line.len() + 2;
    // The number of bytes that follow is the fourth word or, behind a `cas`, the fifth from it.
    let with_body = |sender, range: std::ops::RangeInclusive<usize>| {
        let place = if verb == b"VALUE" { 3 } else { 4 };
        let body = words.clone().nth(place).and_then(number);
        let Some(body) = body.filter(|_| range.contains(&count)) else {
            return Frame::Other;
        };
        let flags = words.clone().nth(2).and_then(number);
        match (flags, bytes.get(len + body..).unwrap_or_default()) {
            (Some(_), [b'\r', b'\n', ..]) => Frame::from(sender, len + body + 2, 72),
            (Some(_), [] | [b'\r']) => Frame::from(sender, len + body + 2, 48),
            _ => Frame::Other,
        }
    };
    match verb {
        b"VALUE" => with_body(Server, 4..=5),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" => with_body(Client, 5..=6),
        b"cas" => with_body(Client, 6..=7),
        b"STORED" | b"NOT_STORED" | b"NOT_FOUND" | b"TOUCHED" if count == 1 => {
            Frame::from(Server, len, 56)
        }
        b"EXISTS" | b"DELETED" if count == 1 => Frame::from(Server, len, 40),
        b"STAT" if count >= 3 => Frame::from(Server, len, 40),
        b"END" if count == 1 => Frame::from(Server, len, if before > 0 { 40 } else { 32 }),
        b"get" | b"gets" if count >= 2 => Frame::from(Client, len, 24),
        b"touch" | b"incr" | b"decr" if (3..=4).contains(&count) => Frame::from(Client, len, 32),
        _ => Frame::Other,
    }
}
