//! The Huffman code of HPACK (RFC 7541 appendix B).
//!
//! The code is canonical: symbols of one length have consecutive codes in the order of their
//! values, and shorter codes come first. So the lengths are the whole table.

/// The longest code.
const MAX_LENGTH: usize = 30;

/// The symbol that is never sent, and whose first bits are the padding.
const EOS: u16 = 256;

/// The length of each symbol's code, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The lowest code.
    first: u32,
    /// How many there are.
    count: u32,
    /// The place of the first one's symbol in [`SYMBOLS`].
    index: u32,
}

/// The symbols by code length, then by value, and the codes of each length.
const TABLE: ([u16; 257], [Row; MAX_LENGTH + 1]) = table();
static SYMBOLS: [u16; 257] = TABLE.0;
static ROWS: [Row; MAX_LENGTH + 1] = TABLE.1;

// Evaluated by the compiler: an index out of bounds would not compile.
#[allow(clippy::indexing_slicing)]
const fn table() -> ([u16; 257], [Row; MAX_LENGTH + 1]) {
    let empty = Row {
        first: 0,
        count: 0,
        index: 0,
    };
    let (mut symbols, mut rows) = ([0; 257], [empty; MAX_LENGTH + 1]);
    let (mut code, mut placed, mut length) = (0_u32, 0, 1);
    while length <= MAX_LENGTH {
        code <<= 1;
        rows[length].first = code;
        rows[length].index = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[placed as usize] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        rows[length].count = placed - rows[length].index;
        length += 1;
    }
    (symbols, rows)
}

/// Appends what `coded` stands for to `decoded`; `None` when it is no such code.
pub(super) fn decode(coded: &[u8], decoded: &mut Vec<u8>) -> Option<()> {
    let (mut code, mut length) = (0_u32, 0_usize);
    for octet in coded {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(octet >> shift & 1);
            length += 1;
            let row = ROWS.get(length)?;
            if let Some(place) = code.checked_sub(row.first).filter(|&it| it < row.count) {
                let symbol = *SYMBOLS.get((row.index + place) as usize)?;
                if symbol == EOS {
                    return None;
                }
                decoded.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
        }
    }
    // RFC 7541 section 5.2: fewer than eight bits of padding, all set.
    (length < 8 && code == (1 << length) - 1).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_complete() {
        // Kraft: every sequence of bits is a code, as in any Huffman code.
        let sum: u64 = LENGTHS.iter().map(|&length| 1 << (30 - length)).sum();
        assert_eq!(sum, 1 << 30);
        let mut sorted = SYMBOLS;
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..257),
            "every symbol is placed once"
        );
    }

    #[test]
    fn codes_of_the_appendix() {
        // Symbol, code and length of some rows of RFC 7541 appendix B.
        for (symbol, code, length) in [
            (b'0', 0x0_u32, 5),
            (b'a', 0x3, 5),
            (b' ', 0x14, 6),
            (b'_', 0x22, 6),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (0, 0x1ff8, 13),
            (b'\\', 0x7fff0, 19),
            (0x80, 0xfffe6, 20),
            (0xff, 0x3ff_ffee, 26),
            (0xf9, 0xfff_fffe, 28),
            (0x16, 0x3fff_fffe, 30),
        ] {
            let coded = (u64::from(code) << (64 - length) | (u64::MAX >> length)).to_be_bytes();
            let coded = coded.get(..(length as usize).div_ceil(8));
            let mut decoded = Vec::new();
            assert_eq!(
                decode(coded.unwrap(), &mut decoded),
                Some(()),
                "{symbol:#x}"
            );
            assert_eq!(decoded, [symbol]);
        }
    }

    #[test]
    fn padding_is_checked() {
        let cases: [(&[u8], bool); 6] = [
            (&[], true),
            (&[0b0001_1111], true),             // a, three bits of padding
            (&[0b0001_1110], false),            // padding that is not all ones
            (&[0b0001_1111, 0xff], false),      // eleven bits of padding
            (&[0xff], false),                   // eight bits of padding
            (&[0xff, 0xff, 0xff, 0xff], false), // EOS
        ];
        for (coded, sound) in cases {
            assert_eq!(
                decode(coded, &mut Vec::new()).is_some(),
                sound,
                "{coded:x?}"
            );
        }
    }
}
