//! What a flow has shown, in lines for people: bytes, lengths, rules that came close. What
//! `explain` prints of flows without a name.

use std::fmt::Write as _;

use super::number;
use crate::classify::explain::{Kept, Sent, Trace};
use crate::dissect::DISSECTORS;
use crate::flow::Side;
use crate::learn::draft;
use crate::record::FlowRecord;
use crate::signature::{Missing, Near, SignatureSet};

/// Bytes on a line.
const ROW: usize = 16;

/// What was kept of the flow's opening, `bytes` of each side at most, and the draft of a rule.
/// Nothing of the traffic is in it but as hex, as printable ASCII, or as lengths.
pub(crate) fn lines(record: &FlowRecord, set: &SignatureSet, bytes: usize) -> Vec<String> {
    let Some(trace) = record.steps.as_deref() else {
        return Vec::new();
    };
    let Some(kept) = trace.opening.as_deref() else {
        return Vec::new();
    };
    let mut lines = vec![messages(trace)];
    for (name, sent) in [
        ("client", &kept.sides.client),
        ("server", &kept.sides.server),
    ] {
        side(&mut lines, name, sent, bytes);
    }
    if let Some(asking) = asking(kept) {
        lines.push(asking);
    }
    lines.extend(kept.near.iter().map(|one| near(one, set)));
    lines.extend(draft::lines(record, kept));
    lines
}

/// `messages   c 48, s 80, c 191`: as `packets` of a `[[flow]]` rule has it.
fn messages(trace: &Trace) -> String {
    let mut text = String::from("messages   ");
    for (place, &(side, len)) in trace.messages.iter().enumerate() {
        let separator = if place > 0 { ", " } else { "" };
        let _ = write!(text, "{separator}{} {len}", letter(side));
    }
    text
}

const fn letter(side: Side) -> char {
    match side {
        Side::Client => 'c',
        Side::Server => 's',
    }
}

fn side(lines: &mut Vec<String>, name: &str, sent: &Sent, bytes: usize) {
    if sent.len == 0 {
        lines.push(format!("{name}     sent nothing"));
        return;
    }
    let beginning = if sent.mid_stream {
        ", the beginning was not seen"
    } else {
        ""
    };
    lines.push(format!(
        "{name}     {} bytes inspected, entropy {:.2} bits a byte, {} printable{beginning}",
        number::grouped(sent.len as u64),
        sent.entropy,
        number::brief_percent(sent.printable as u64, sent.len as u64),
    ));
    let shown = sent.bytes.get(..bytes).unwrap_or(&sent.bytes);
    for (place, row) in shown.chunks(ROW).enumerate() {
        lines.push(dump(place * ROW, row));
    }
    let left = sent.len - shown.len();
    if left > 0 && !shown.is_empty() {
        lines.push(format!("  ... {} more", number::grouped(left as u64)));
    }
}

/// `  00000010  16 03 01 02 00 01 00 01  fc 03 03 61 62 63 64 65  |...........abcde|`
fn dump(offset: usize, row: &[u8]) -> String {
    let mut text = format!("  {offset:08x} ");
    for place in 0..ROW {
        let gap = if place == ROW / 2 { "  " } else { " " };
        match row.get(place) {
            Some(byte) => {
                let _ = write!(text, "{gap}{byte:02x}");
            }
            None => {
                let _ = write!(text, "{gap}  ");
            }
        }
    }
    text.push_str("  |");
    text.extend(row.iter().map(|&byte| match byte {
        0x20..=0x7e => char::from(byte),
        _ => '.',
    }));
    text.push('|');
    text
}

fn asking(kept: &Kept) -> Option<String> {
    let places = DISSECTORS.iter().enumerate();
    let names: Vec<&str> = places
        .filter(|(place, _)| kept.asking >> place & 1 == 1)
        .map(|(_, dissector)| dissector.name)
        .collect();
    (!names.is_empty()).then(|| format!("unsure     asked for more: {}", names.join(", ")))
}

fn near(near: &Near, set: &SignatureSet) -> String {
    let side = match near.side {
        Side::Client => "client",
        Side::Server => "server",
    };
    let missing = match near.missing {
        Missing::Bytes { there, of } => {
            format!("{there} of {of} bytes of its pattern are there")
        }
        Missing::Contains => "its bytes are there, but for those of `contains`".to_owned(),
        Missing::Condition(place) => {
            format!("its bytes are there, but number {place} of `where` does not hold")
        }
        Missing::Port => "its bytes are there, but not the port it requires".to_owned(),
        Missing::Messages => "its bytes are there, but not in as many messages".to_owned(),
        Missing::Reply => "its bytes are there, but not the reply".to_owned(),
        Missing::Address => "its bytes are there, but not at an address of its own".to_owned(),
    };
    format!(
        "close      {} by the {side}: {missing}",
        set.rule_name(near.tag.rule)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_aligned_and_harmless() {
        let hostile = b"\x1b[2J\x00\x7f\xff\xc2\x9b ok";
        let text = dump(16, hostile);
        assert_eq!(
            text,
            "  00000010  1b 5b 32 4a 00 7f ff c2  9b 20 6f 6b              |.[2J..... ok|"
        );
        assert_eq!(dump(0, &[0x41; 16]).len(), text.len() + 4);
    }
}
