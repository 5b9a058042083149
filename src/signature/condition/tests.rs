//! Tables over the whole language, and that no text or message can make it panic.

use proptest::prelude::*;

use super::*;

/// 16 03 01 00 05 .. as a message of ten bytes, after which the stream goes on for two more.
const STREAM: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x05, 0xff, 0xfe, 0x80, 0x01, 0x0a, 0xaa, 0xbb,
];

fn input() -> Input<'static> {
    Input {
        bytes: STREAM,
        message: STREAM.get(..10).unwrap_or_default(),
        total: 12,
        peer_bytes: &[7, 8, 9],
        peer_message: &[7, 8],
        client_port: 50_000,
        server_port: 443,
    }
}

#[test]
fn conditions_say_what_the_manual_says() {
    let cases = [
        ("len == 10", true),
        ("total == 12", true),
        ("be16(3) + 5 == len", true),
        ("be16(3) + 5 <= len && u8(0) == 0x16", true),
        ("u8(0) == 22", true),
        ("be16(0) == 0x1603", true),
        ("be24(0) == 0x160301", true),
        ("be32(0) == 0x16030100", true),
        ("le16(0) == 0x0316", true),
        ("le24(0) == 0x010316", true),
        ("le32(5) == 0x0180feff", true),
        ("be32(5) == 0xfffe8001", true),
        ("u8(-1) == 10", true),
        ("be16(-2) == 0x010a", true),
        ("u8(10) == 0xaa", true),
        ("u8(12) == 0", false),
        ("be16(11) == 0xbb00", false),
        ("u8(-11) == 0", false),
        ("u8(-11) != 0", false),
        ("!(u8(12) == 0)", false),
        ("u8(u8(4)) == 0xff", true),
        ("u8(len - 1) == 10", true),
        ("u8(3 - 4) == 10", true),
        ("u8(8) in [1, 2, 5..9]", true),
        ("u8(4) in [1, 2, 5..9]", true),
        ("u8(9) in [1, 2, 5..9]", false),
        ("u8(9) in [0x0a]", true),
        ("u8(9) in [0x0a, ]", true),
        ("0 - 3 in [-5..-1]", true),
        ("u8(0) & 0xf0 == 0x10", true),
        ("u8(0) >> 4 == 1 && u8(0) & 15 == 6", true),
        ("1 << 4 | 3 == 19", true),
        ("5 ^ 1 == 4", true),
        ("7 / 2 == 3 && 7 % 2 == 1", true),
        ("7 / 0 == 0", false),
        ("7 % 0 == 0", false),
        ("1 << 80 == 0", false),
        ("2 + 3 * 4 == 14", true),
        ("(2 + 3) * 4 == 20", true),
        ("10 - 2 - 3 == 5", true),
        ("-3 + 4 == 1", true),
        ("-len == -10", true),
        ("1 == 2 || 3 == 3", true),
        ("1 == 1 || u8(99) == 0", true),
        ("1 == 2 && u8(99) == 0", false),
        ("u8(99) == 0 || 1 == 1", false),
        ("1 == 1 || 1 == 1 && 1 == 2", true),
        ("(1 == 1 || 1 == 1) && 1 == 2", false),
        ("1 == 2 && 1 == 1 || 1 == 1", true),
        ("!(1 == 2)", true),
        ("!(1 == 1) || !(1 == 2)", true),
        ("1 != 2 && 1 < 2 && 2 > 1 && 1 <= 1 && 1 >= 1", true),
        ("client_port == 50000 && server_port == 443", true),
        ("peer_len == 2", true),
        (
            "peer_u8(0) == 7 && peer_u8(2) == 9 && peer_u8(-1) == 8",
            true,
        ),
        ("peer_u8(3) == 0", false),
        ("peer_be16(0) == 0x0708", true),
        ("0x7fffffffffffffff + 1 == 0x7fffffffffffffff", true),
        ("-0x7fffffffffffffff - 9 < -0x7fffffffffffffff", true),
        ("0x7fffffffffffffff * 2 == 0x7fffffffffffffff", true),
        ("1_000 == 1000", true),
        ("len==10&&total==12", true),
    ];
    for (text, expected) in cases {
        let program = Program::parse(text).unwrap_or_else(|e| panic!("{text}: {e} at {}", e.at));
        assert_eq!(program.holds(&input()), expected, "{text}");
    }
}

#[test]
fn what_is_not_a_condition_is_refused_where_it_stands() {
    let cases = [
        ("", 0),
        ("len", 0),
        ("len + 5", 0),
        ("len ==", 6),
        ("len == (1", 9),
        ("foo == 1", 0),
        ("u8 == 1", 3),
        ("u8(1 == 1) == 1", 5),
        ("u8() == 1", 3),
        ("len == 1 1", 9),
        ("len = 1", 4),
        ("len == 1 && len", 12),
        ("len && len == 1", 0),
        ("!len", 1),
        ("len in 1", 7),
        ("len in []", 8),
        ("len in [5..1]", 12),
        ("len in [1", 9),
        ("len == 0xzz", 7),
        ("len == 99999999999999999999", 7),
        ("peer_total == 1", 0),
        ("le8(0) == 1", 0),
        ("(1 == 1) + 1 == 2", 0),
        ("1 == 1 == 1", 7),
    ];
    for (text, at) in cases {
        match Program::parse(text) {
            Ok(_) => panic!("{text} was taken"),
            Err(error) => assert_eq!(error.at, at, "{text}: {error}"),
        }
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = format!("{}1 == 1{}", "(".repeat(500), ")".repeat(500));
    assert!(Program::parse(&deep).is_err());
    let long = vec!["1 == 1"; 500].join(" && ");
    assert!(Program::parse(&long).is_err());
    let wide = format!("len in [{}]", vec!["1"; 500].join(","));
    assert!(Program::parse(&wide).is_err());
    // Right-nested sums need a place on the stack for each.
    let heaped = format!("{}1{} == 1", "1 + (".repeat(23), ")".repeat(23));
    assert!(Program::parse(&heaped).map_or(true, |program| !program.holds(&input())));
}

#[test]
fn reach_is_how_far_a_condition_reads() {
    let cases = [
        ("len == 1", 1, 0),
        ("u8(0) == 1", 1, 0),
        ("be32(10) == 1", 14, 0),
        ("u8(-4) == 1", 1, 0),
        ("total == 1", usize::MAX, 0),
        ("u8(len) == 1", usize::MAX, 0),
        ("server_port == 1", 0, 0),
        ("peer_len == 1", 0, 1),
        ("peer_be16(4) == be16(2)", 4, 6),
    ];
    for (text, own, peer) in cases {
        let program = Program::parse(text).unwrap();
        assert_eq!(
            (program.reach(), program.peer_reach()),
            (own, peer),
            "{text}"
        );
    }
}

#[test]
fn facts_are_what_must_hold() {
    let integer = |offset, bytes, little, mask, ranges: &[(i64, i64)]| KnownFact::Integer {
        offset,
        bytes,
        little,
        mask,
        ranges: ranges.to_vec(),
    };
    let cases = [
        ("len == 5", vec![KnownFact::Len(5, 5)]),
        (
            "len >= 5 && len < 9",
            vec![KnownFact::Len(5, i64::MAX), KnownFact::Len(i64::MIN, 8)],
        ),
        ("len in [3, 7..9]", vec![KnownFact::Len(3, 9)]),
        (
            "u8(0) == 1 && be16(1) == 2",
            vec![
                integer(0, 1, false, -1, &[(1, 1)]),
                integer(1, 2, false, -1, &[(2, 2)]),
            ],
        ),
        (
            "le16(4) & 0xff0f == 3",
            vec![integer(4, 2, true, 0xff0f, &[(3, 3)])],
        ),
        ("u8(0) & 3 + 1 == 4", vec![]),
        ("(u8(0) & 3) + 1 == 4", vec![]),
        ("u8(0) == 1 || u8(0) == 2", vec![]),
        (
            "(u8(0) == 1 || u8(0) == 2) && len == 4",
            vec![KnownFact::Len(4, 4)],
        ),
        (
            "len == 4 && (u8(0) == 1 || u8(0) == 2)",
            vec![KnownFact::Len(4, 4)],
        ),
        ("!(u8(0) == 1)", vec![]),
        ("u8(0) != 1", vec![]),
        ("be16(3) + 5 <= len", vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(Program::parse(text).unwrap().facts(), expected, "{text}");
    }
}

#[test]
fn one_of_several_is_known_as_such() {
    let byte = |offset, value| {
        Known::Fact(KnownFact::Integer {
            offset,
            bytes: 1,
            little: false,
            mask: -1,
            ranges: vec![(value, value)],
        })
    };
    let both = |one, other| Known::Both(Box::new([one, other]));
    let either = |one, other| Known::Either(Box::new([one, other]));
    let cases = [
        (
            "u8(0) == 1 || u8(0) == 2 || u8(1) == 3",
            either(byte(0, 1), either(byte(0, 2), byte(1, 3))),
        ),
        (
            "u8(0) == 1 && u8(1) == 2 || u8(0) == 3",
            either(both(byte(0, 1), byte(1, 2)), byte(0, 3)),
        ),
        (
            "u8(0) == 1 || u8(1) == 2 && (u8(0) == 3 || u8(0) == 4)",
            either(byte(0, 1), both(byte(1, 2), either(byte(0, 3), byte(0, 4)))),
        ),
        (
            "(u8(0) == 1 || u8(0) == 2) && u8(1) == 3",
            both(either(byte(0, 1), byte(0, 2)), byte(1, 3)),
        ),
        (
            "not (u8(0) == 1 || u8(0) == 2) || u8(1) == 3",
            either(Known::Nothing, byte(1, 3)),
        ),
        ("not (u8(0) == 1 || u8(0) == 2)", Known::Nothing),
    ];
    for (text, expected) in cases {
        assert_eq!(Program::parse(text).unwrap().known(), expected, "{text}");
    }
    let shifted = Program::parse("u8(3) >> 4 in [2, 4..5]").unwrap();
    let Known::Fact(KnownFact::Integer { ranges, .. }) = shifted.known() else {
        panic!("{:?}", shifted.known());
    };
    assert_eq!(ranges, [(0x20, 0x2f), (0x40, 0x5f)]);
}

#[test]
fn bits_are_what_a_random_message_would_have_to_guess() {
    for (text, bits) in [
        ("u8(0) == 1", 8),
        ("be32(0) == 1", 32),
        ("u8(0) in [0..15]", 4),
        ("u8(0) & 0xc0 == 0x80", 2),
        ("len == 20", 10),
        ("len >= 20", 0),
        ("be16(2) == len - 4", 16),
        ("be16(2) <= len", 0),
    ] {
        assert_eq!(Program::parse(text).unwrap().fixed_bits(), bits, "{text}");
    }
}

/// Expressions of the language, well formed.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.saturating_abs().to_string()),
        (0..64_i64).prop_map(|n| format!("0x{n:x}")),
        Just("len".to_owned()),
        Just("total".to_owned()),
        Just("peer_len".to_owned()),
        (-20..20_i32).prop_map(|n| format!("u8({n})")),
        (-20..20_i32).prop_map(|n| format!("peer_le32({n})")),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let operator =
            prop::sample::select(vec!["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("be32({a})")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9()\\[\\]+*&|<>=!., _-]{0,60}") {
        let _ = Program::parse(&text);
    }

    #[test]
    fn no_message_makes_a_condition_panic(
        left in number(),
        right in number(),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        first in 0..40_usize,
        peer in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let text = format!("{left} <= {right} || !({left} in [1..9]) && {right} != 3");
        if let Ok(program) = Program::parse(&text) {
            let input = Input {
                bytes: &bytes,
                message: bytes.get(..first.min(bytes.len())).unwrap_or_default(),
                total: bytes.len(),
                peer_bytes: &peer,
                peer_message: &peer,
                client_port: 1,
                server_port: u16::MAX,
            };
            let _ = program.holds(&input);
            let _ = (program.facts(), program.fixed_bits(), program.reach());
        }
    }
}

#[test]
fn agreement_with_the_length_is_seen() {
    for (text, agrees) in [
        ("be16(2) == len", true),
        ("be16(2) + 4 == len && u8(0) == 1", true),
        ("be16(2) == len - 4", true),
        ("len == be16(2)", true),
        ("len == be16(2) + 4", true),
        ("len == 10 && be16(2) == 5", false),
        ("be16(2) <= len && u8(0) == 1", false),
        ("be16(2) == len || u8(0) == 1", false),
        ("be16(2) == peer_len", false),
        ("be16(2) == total", false),
    ] {
        let program = Program::parse(text).unwrap();
        assert_eq!(program.agrees_with_length(), agrees, "{text}");
    }
}
