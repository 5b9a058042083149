//! Messages that mean nothing, and texts that are no protocol's.

use std::io::Write as _;

/// How the bytes of a conversation go on.
#[derive(Clone, Debug)]
pub(super) enum Noise {
    Constant(u8),
    /// From this byte on, in steps of the other.
    Counting(u8, u8),
    Repeating(Vec<u8>),
    Random(u64),
    /// Written for people or programs, but in no protocol.
    Text(Kind, u64),
}

/// What texts look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Words,
    Lines,
    Numbers,
    Json,
    JsonLines,
    Xml,
    KeyValue,
    Csv,
    Base64,
    Hex,
    Zlib,
    Gzip,
    /// A length in two octets, then octets without a meaning.
    Framed16,
    /// The same in four.
    Framed32,
    /// A number that grows in four octets, then octets without a meaning.
    Counter,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Words,
        Self::Lines,
        Self::Numbers,
        Self::Json,
        Self::JsonLines,
        Self::Xml,
        Self::KeyValue,
        Self::Csv,
        Self::Base64,
        Self::Hex,
        Self::Zlib,
        Self::Gzip,
        Self::Framed16,
        Self::Framed32,
        Self::Counter,
    ];
}

impl Noise {
    /// Message `number` of a conversation.
    pub(super) fn message(&self, number: usize, len: usize) -> Vec<u8> {
        match self {
            Self::Constant(byte) => vec![*byte; len],
            Self::Counting(first, step) => {
                let byte = |at: usize| first.wrapping_add((at as u8).wrapping_mul(*step));
                (0..len).map(byte).collect()
            }
            Self::Repeating(period) => period.iter().copied().cycle().take(len).collect(),
            Self::Random(seed) => random(seed ^ ((number as u64) << 32))
                .map(|value| value as u8)
                .take(len)
                .collect(),
            Self::Text(kind, seed) => text(*kind, seed ^ ((number as u64) << 32), number, len),
        }
    }
}

/// SplitMix64.
fn random(mut state: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

const WORDS: &[&str] = &[
    "the", "meter", "of", "river", "and", "a", "level", "in", "seven", "to", "north", "bridge",
    "is", "open", "until", "noon", "with", "stone", "green", "at", "sensor", "value", "state",
    "ready", "error", "note",
];

fn text(kind: Kind, seed: u64, number: usize, len: usize) -> Vec<u8> {
    let mut random = random(seed);
    let mut next = move || random.next().unwrap_or_default() as usize;
    let word = |value: usize| WORDS[value % WORDS.len()];
    let mut bytes = Vec::with_capacity(len + 64);
    let octets = |next: &mut dyn FnMut() -> usize, count: usize| -> Vec<u8> {
        (0..count).map(|_| next() as u8).collect()
    };
    match kind {
        Kind::Json => bytes.push(b'{'),
        Kind::Xml => bytes.extend(b"<list>"),
        Kind::Zlib | Kind::Gzip => {
            let plain = text(Kind::Words, seed, number, 4 * len);
            let level = flate2::Compression::default();
            let mut packed = if kind == Kind::Zlib {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            } else {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            };
            packed.truncate(len);
            return packed;
        }
        Kind::Framed16 => {
            bytes.extend((len.saturating_sub(2) as u16).to_be_bytes());
            bytes.extend(octets(&mut next, len));
        }
        Kind::Framed32 => {
            bytes.extend((len.saturating_sub(4) as u32).to_be_bytes());
            bytes.extend(octets(&mut next, len));
        }
        Kind::Counter => {
            bytes.extend((seed as u32 % 1000 + number as u32).to_be_bytes());
            bytes.extend(octets(&mut next, len));
        }
        _ => {}
    }
    while bytes.len() < len {
        let (one, other, value) = (word(next()), word(next()), next() % 100_000);
        match kind {
            Kind::Words => write!(bytes, "{one} {other} ").unwrap(),
            Kind::Lines => write!(bytes, "{one} {other} {value}\r\n").unwrap(),
            Kind::Numbers => writeln!(bytes, "{value}").unwrap(),
            Kind::Json => write!(bytes, "\"{one}\":{value},\"{other}\":\"{one}\",").unwrap(),
            Kind::JsonLines => writeln!(bytes, "{{\"{one}\":{value},\"{other}\":null}}").unwrap(),
            Kind::Xml => write!(bytes, "<{one} at=\"{value}\">{other}</{one}>").unwrap(),
            Kind::KeyValue => write!(bytes, "{one}={value}&{other}={one};").unwrap(),
            Kind::Csv => writeln!(bytes, "{one},{value},{other}").unwrap(),
            Kind::Base64 => {
                const ALPHABET: &[u8] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                bytes.push(ALPHABET[value % ALPHABET.len()]);
            }
            Kind::Hex => write!(bytes, "{value:04x}").unwrap(),
            _ => bytes.push(value as u8),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Those that are looked at: of `all`, more of each kind.
pub(super) fn noises(all: bool) -> Vec<Noise> {
    let mut noises: Vec<_> = (0..=255).map(Noise::Constant).collect();
    let starts: &[u8] = &[0, 1, 2, 5, 16, 20, 22, 32, 48, 64, 65, 97, 128, 255];
    for &start in starts {
        for step in [1, 2, 255] {
            noises.push(Noise::Counting(start, step));
        }
    }
    if all {
        noises.extend((0..=255).map(|start| Noise::Counting(start, 1)));
    }
    let periods: &[&[u8]] = &[
        b"\0\x01",
        b"\x01\0",
        b"\0\xff",
        b"\xff\0",
        b"\0\0\0\x01",
        b"\x01\0\0\0",
        b"\0\0\x01",
        b"\r\n",
        b"A\r\n",
        b"AB",
        b"abc",
        b"0123456789",
        b"0123456789abcdef",
        b"Hello, world! ",
        b"The quick brown fox\r\n",
        b"\xaa\x55",
        b"\xde\xad\xbe\xef",
        b"\x80\0",
        b"\0\x02",
        b"\0\x04",
        b"\0\x08",
        b"\x02\0",
        b"\x04\0",
        b"\x08\0",
        b"\x10\0",
        b"\0\x10",
        b"\x20\0\0",
        b"\x01\x01\0\0",
        b"a b ",
        b"key=value&",
        b"{\"a\":1},",
        b"<a/>",
        b"\x7f\x7f\0",
        b"x\0",
        b"\0x",
    ];
    noises.extend(
        periods
            .iter()
            .map(|period| Noise::Repeating(period.to_vec())),
    );
    for (seed, len) in (0..if all { 400 } else { 40 }).zip((2..=16).cycle()) {
        let period = Noise::Random(1_000 + seed).message(0, len);
        noises.push(Noise::Repeating(period));
    }
    noises.extend((0..if all { 2_000 } else { 100 }).map(Noise::Random));
    for kind in Kind::ALL {
        let seeds = 0..if all { 40 } else { 4 };
        noises.extend(seeds.map(|seed| Noise::Text(kind, 7_000 + seed)));
    }
    noises
}
