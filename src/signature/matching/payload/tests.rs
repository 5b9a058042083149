//! What payload rules mean, as tables of files and scripts; and that the index finds what trying
//! every rule finds.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::flow::Stream;
use crate::flow::opening::Script;
use crate::signature::{SignatureSet, SourceFile};
use crate::verdict::Evidence;

const HEAD: &str = "[app]\nid = 1\nname = \"a\"\ntitle = \"A\"\ncategory = \"x\"\nowner = \"O\"\n\
     [[address]]\nprefix = [\"203.0.113.0/24\"]\nshared = true\n";

fn set(rules: &str) -> SignatureSet {
    let file = SourceFile::new("signatures/x/a.toml", format!("{HEAD}{rules}"));
    SignatureSet::compile(&[file]).unwrap_or_else(|found| panic!("{found:?}\n{rules}"))
}

/// One rule called `r` of these keys.
fn rule(keys: &str) -> SignatureSet {
    set(&format!(
        "[[payload]]\nname = \"r\"\nsource = \"test\"\n{keys}\n"
    ))
}

/// The numbers of the messages (from 1) at which a rule is found, and after them the payload
/// rules themselves.
fn matches(set: &SignatureSet, start: Script, messages: &[(Side, &[u8])]) -> Vec<usize> {
    let mut script = start;
    let mut at = Vec::new();
    for (number, (side, message)) in (1..).zip(messages) {
        script = script.message(*side, message);
        let mut found = Vec::new();
        set.by_payload(&script.opening(), &mut found);
        assert!(found.len() <= 1, "a rule is found once a call");
        if !found.is_empty() {
            at.push(number);
        }
    }
    at
}

const C: Side = Side::Client;
const S: Side = Side::Server;

/// Keys of the rule, the flow, its messages, and at which of them the rule is found.
type Case = (
    &'static str,
    Script,
    &'static [(Side, &'static [u8])],
    &'static [usize],
);

#[test]
fn rules_mean_what_the_manual_says() {
    let tcp = || Script::tcp(443);
    let udp = || Script::udp(9999);
    #[rustfmt::skip]
    let cases: &[Case] = &[
        // Offsets, alternatives, ends.
        ("at = [{ offset = 0, hex = '16 03|04' }]", tcp(), &[(C, &[0x16, 4, 9])], &[1]),
        ("at = [{ offset = 0, hex = '16 03|04' }]", tcp(), &[(C, &[0x16, 5, 9])], &[]),
        ("at = [{ offset = 1, hex = '03' }, { offset = -1, hex = '09' }]", tcp(), &[(C, &[0x16, 3, 9])], &[1]),
        ("at = [{ offset = -2, hex = '03 09' }]", tcp(), &[(C, &[0x16, 3, 9])], &[1]),
        ("at = [{ offset = -2, hex = '03 09' }]", tcp(), &[(C, &[9])], &[]),
        ("at = [{ offset = 2, text = 'HELLO' }]", udp(), &[(C, b"..HELLO")], &[1]),
        ("at = [{ offset = 12, hex = 'aa' }]", udp(), &[(C, &[0; 12]), (C, &[0xaa; 13])], &[2]),
        // Directions.
        ("direction = 'client'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(S, &[0xaa]), (C, &[0xaa])], &[2]),
        ("direction = 'server'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(S, &[0xaa]), (C, &[0xaa])], &[1]),
        ("direction = 'either'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(S, &[0xaa]), (C, &[0xaa])], &[1, 2]),
        ("direction = 'both'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(S, &[0xaa]), (S, &[0xaa]), (C, &[0xaa])], &[3]),
        ("direction = 'both'\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(S, &[0xaa]), (C, &[1]), (C, &[0xaa])], &[]),
        ("direction = 'both'\nat = [{ offset = 1, hex = 'aa' }]", tcp(), &[(S, &[1, 0xaa]), (C, &[1]), (C, &[0xaa])], &[3]),
        // First and any: over TCP the first segment's stream, over UDP any datagram.
        ("transport = 'tcp'\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(C, &[1]), (C, &[0xaa])], &[]),
        ("transport = 'tcp'\nmessage = 'any'\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(C, &[1]), (C, &[0xaa])], &[2]),
        ("transport = 'udp'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[1]), (C, &[0xaa])], &[2]),
        ("transport = 'udp'\nmessage = 'first'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[1]), (C, &[0xaa])], &[]),
        ("transport = 'udp'\nmessage = 'first'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[0xaa]), (C, &[0xaa])], &[1]),
        ("transport = 'udp'\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(C, &[0xaa])], &[]),
        ("transport = ['udp', 'tcp']\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(C, &[0xaa])], &[1]),
        ("ip_protocol = 89\nat = [{ offset = 0, hex = 'aa' }]", Script::new(Transport::Other(89), 0, 0), &[(C, &[0xaa])], &[1]),
        ("ip_protocol = 89\nat = [{ offset = 0, hex = 'aa' }]", Script::new(Transport::Other(88), 0, 0), &[(C, &[0xaa])], &[]),
        ("ip_protocol = 89", Script::new(Transport::Other(89), 0, 0), &[(C, &[0xaa])], &[1]),
        ("transport = 'sctp'\nat = [{ offset = 0, hex = 'aa' }]", Script::new(Transport::Other(132), 0, 0), &[(C, &[0xaa])], &[1]),
        // A stream that comes in pieces: bytes past the first segment are read when they are there.
        ("at = [{ offset = 0, hex = '01 02 03' }]", tcp(), &[(C, &[1]), (C, &[2]), (C, &[3]), (C, &[4])], &[3]),
        ("at = [{ offset = 0, hex = '01' }]\nwhere = ['be16(1) == 0x0203']", tcp(), &[(C, &[1]), (C, &[2]), (C, &[3])], &[3]),
        ("where = ['u8(0) == 1 && total >= 4']", tcp(), &[(C, &[1]), (C, &[2, 3]), (C, &[4])], &[3]),
        ("where = ['u8(0) == 1 && len == 1']", tcp(), &[(C, &[1]), (C, &[2, 3])], &[1]),
        ("where = ['u8(u8(0)) == 7']", tcp(), &[(C, &[3]), (C, &[2, 3]), (C, &[7])], &[3]),
        ("contains = [{ text = 'abc' }]", tcp(), &[(C, b"xa"), (C, b"bc"), (C, b"d")], &[2, 3]),
        // Contains.
        ("contains = [{ text = 'abc', within = 5 }]", udp(), &[(C, b"xxabc"), (C, b"xxxabc")], &[1]),
        ("contains = [{ text = 'abc' }, { hex = '00 01' }]", udp(), &[(C, b"abc"), (C, b"\x00\x01abc")], &[2]),
        ("contains = [{ text = 'abc' }]\nport = [80]\nport_required = true", udp(), &[(C, b"abc")], &[]),
        // Ports: of either end.
        ("port = [80, '443-445']\nport_required = true\nwhere = ['len == 1']", tcp(), &[(C, &[1])], &[1]),
        ("port = [80]\nport_required = true\nwhere = ['len == 1']", tcp(), &[(C, &[1])], &[]),
        ("port = [80]\nwhere = ['len == 1']", tcp(), &[(C, &[1])], &[1]),
        ("port = ['49152-65535']\nport_required = true\nwhere = ['len == 1']", tcp(), &[(C, &[1])], &[1]),
        ("port = [50000]\nport_required = true\nat = [{ offset = 0, hex = '01' }]", tcp(), &[(C, &[1])], &[1]),
        ("port = [50001]\nport_required = true\nat = [{ offset = 0, hex = '01' }]", tcp(), &[(C, &[1])], &[]),
        // Repeat.
        ("repeat = 3\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[0xaa]), (C, &[1]), (S, &[0xaa]), (C, &[0xaa]), (C, &[1])], &[4]),
        ("repeat = 2\ndirection = 'client'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[0xaa]), (S, &[0xaa]), (C, &[0xaa])], &[3]),
        ("repeat = 2\ndirection = 'both'\nat = [{ offset = 0, hex = 'aa' }]", udp(), &[(C, &[0xaa]), (S, &[0xaa]), (C, &[0xaa]), (S, &[0xaa])], &[4]),
        ("transport = 'tcp'\nrepeat = 2\nat = [{ offset = 0, hex = 'aa' }]", tcp(), &[(C, &[1]), (C, &[0xaa]), (C, &[0xaa])], &[3]),
        // Reply: found when the reply comes, whichever side it is.
        ("direction = 'client'\nat = [{ offset = 0, hex = 'aa' }]\nreply = { at = [{ offset = 0, hex = 'bb' }] }", udp(),
            &[(C, &[0xaa]), (S, &[0xbb])], &[2]),
        ("direction = 'client'\nat = [{ offset = 0, hex = 'aa' }]\nreply = { at = [{ offset = 0, hex = 'bb' }] }", udp(),
            &[(C, &[0xaa]), (S, &[1]), (S, &[0xbb])], &[]),
        ("direction = 'client'\nat = [{ offset = 0, hex = 'aa' }]\nreply = { at = [{ offset = 0, hex = 'bb' }] }", udp(),
            &[(C, &[1]), (S, &[0xbb]), (C, &[0xaa])], &[3]),
        ("at = [{ offset = 0, hex = 'aa' }]\nreply = { at = [{ offset = 0, hex = 'bb cc' }] }", tcp(),
            &[(C, &[0xaa]), (S, &[0xbb]), (S, &[0xcc]), (S, &[0xdd])], &[3]),
        ("direction = 'client'\nat = [{ offset = 0, hex = 'aa' }]\nreply = { contains = [{ text = 'ok', within = 4 }] }", udp(),
            &[(C, &[0xaa]), (S, b"..ok")], &[2]),
        ("direction = 'client'\nreply = { where = ['len == 2 && peer_len == 1 && u8(1) == peer_u8(0)'] }", udp(),
            &[(C, &[7]), (S, &[1, 7])], &[2]),
        ("direction = 'client'\nwhere = ['peer_len == 2', 'u8(0) == peer_u8(1)']", udp(), &[(C, &[7]), (S, &[1, 7])], &[2]),
        ("direction = 'client'\nwhere = ['peer_len == 0']", udp(), &[(C, &[7]), (S, &[1, 7])], &[1]),
        // Ports in conditions.
        ("where = ['client_port == 50000 && server_port == 443']", tcp(), &[(C, &[7])], &[1]),
    ];
    for (keys, script, messages, expected) in cases {
        let found = matches(&rule(keys), script.clone(), messages);
        assert_eq!(found, *expected, "{keys}");
    }
}

#[test]
fn addresses_support_a_rule_or_stand_against_it() {
    let inside = || Script::udp(1);
    let outside = || Script::udp(1).server_ip([198, 51, 100, 1].into());
    for (keys, script, expected) in [
        ("address_required = true", inside(), true),
        ("address_required = true", outside(), false),
        ("address_excluded = ['203.0.113.0/24']", inside(), false),
        ("address_excluded = ['203.0.113.0/24']", outside(), true),
        ("address_excluded = ['10.0.0.0/8']", outside(), false),
    ] {
        let set = rule(&format!("at = [{{ offset = 0, hex = 'aa' }}]\n{keys}"));
        assert_eq!(
            !matches(&set, script, &[(C, &[0xaa])]).is_empty(),
            expected,
            "{keys}"
        );
    }
}

#[test]
fn a_stream_whose_start_was_not_seen_has_no_first_message() {
    let bytes: &[u8] = &[0xaa, 0xbb];
    let opening = |client_mid, server_mid| Opening {
        transport: Transport::Tcp,
        client_ip: [10, 0, 0, 1].into(),
        server_ip: [203, 0, 113, 9].into(),
        client_port: 1,
        server_port: 2,
        client: Stream {
            bytes,
            ends: &[2],
            mid_stream: client_mid,
            ended: false,
        },
        server: Stream {
            bytes,
            ends: &[2],
            mid_stream: server_mid,
            ended: false,
        },
        latest: C,
    };
    let client = "direction = 'client'\nat = [{ offset = 0, hex = 'aa bb' }]";
    for (keys, client_mid, server_mid, expected) in [
        (client.to_owned(), false, false, true),
        (client.to_owned(), true, false, false),
        (client.to_owned(), false, true, true),
        (format!("{client}\nmessage = 'any'"), true, true, true),
        (
            format!("{client}\nreply = {{ at = [{{ offset = 0, hex = 'aa' }}] }}"),
            false,
            false,
            true,
        ),
        (
            format!("{client}\nreply = {{ at = [{{ offset = 0, hex = 'aa' }}] }}"),
            false,
            true,
            false,
        ),
        (
            format!("{client}\nwhere = ['peer_len == 2']"),
            false,
            true,
            false,
        ),
        (client.replace("'client'", "'both'"), false, true, false),
    ] {
        let mut found = Vec::new();
        rule(&keys).by_payload(&opening(client_mid, server_mid), &mut found);
        assert_eq!(!found.is_empty(), expected, "{keys}");
    }
}

#[test]
fn no_more_than_64_tags_a_call() {
    let one = |n| {
        format!(
            "[[payload]]\nname = \"r{n}\"\nsource = \"s\"\nwhere = ['len >= 1', 'u8(0) != {n}']\n"
        )
    };
    let rules: String = (0..100).map(one).collect();
    let mut found = Vec::new();
    set(&rules).by_payload(&Script::udp(1).client(&[200]).opening(), &mut found);
    assert_eq!(found.len(), 64);
}

/// Rules over few byte values, so that random messages of the same few meet them.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let byte = || prop::sample::select(vec!["00", "01", "02", "??", "0?", "00|01", "01|f2"]);
    let at = (-3..10_i32, byte(), byte()).prop_map(|(offset, a, b)| {
        let pattern = if offset == -1 {
            a.to_owned()
        } else {
            format!("{a} {b}")
        };
        format!("{{ offset = {offset}, hex = '{pattern}' }}")
    });
    let contains = ("(00|01|02)( 00| 01| 02)?", 2..8_u8)
        .prop_map(|(hex, within)| format!("{{ hex = '{hex}', within = {within} }}"));
    let condition = |total: bool| {
        let mut all = vec![
            "len == 2",
            "len >= 3",
            "u8(0) == 1",
            "u8(1) in [0, 2..3]",
            "be16(0) == 0x0102",
            "be16(1) in [1..0x0101]",
            "u8(0) & 1 == 1 && len < 6",
            "u8(0) == 1 || u8(1) == 1",
            "u8(u8(0)) == 2",
            "u8(0) != 0",
            "peer_len >= 2",
            "peer_u8(2) == 1",
            "u8(-1) == peer_u8(0)",
            "server_port == 80",
            "u8(0) == 1 || u8(1) == 2",
            "u8(0) == 0 && u8(1) == 1 || u8(0) == 2 && len > 2",
            "u8(0) == 0 && (u8(1) == 1 || u8(1) == 2)",
            "(u8(0) == 1 || len == 3) && u8(1) in [0, 2]",
            "len == 2 || len == 4 && u8(2) == 1",
            "not (u8(0) == 1 || u8(1) == 1)",
            "u8(0) >> 1 == 1",
            "le16(0) >> 8 in [0..1]",
        ];
        if total {
            all.extend(["total == 4", "total > 5 && u8(0) < 2"]);
        }
        prop::sample::select(all).prop_map(|text| format!("'{text}'"))
    };
    let list = |name: &'static str, entries: Vec<String>| match entries.len() {
        0 => String::new(),
        _ => format!("{name} = [{}]\n", entries.join(", ")),
    };
    let keys = any::<bool>().prop_flat_map(move |first| {
        (
            prop::collection::vec(at.clone(), 0..3),
            prop::collection::vec(contains.clone(), 0..2),
            // What a side has sent in all is asked when a message comes, not later.
            prop::collection::vec(condition(first), 0..2),
            prop::option::of(prop::collection::vec(at.clone(), 1..2)),
            prop::sample::select(vec!["client", "server", "either", "both"]),
            prop::sample::select(vec![
                "",
                "port = [80]\nport_required = true",
                "port = ['0-60000']\nport_required = true",
            ]),
            if first {
                Just(0).boxed()
            } else {
                (1..4_u8).boxed()
            },
            prop::sample::select(vec!["'tcp'", "'udp'", "['tcp', 'udp']"]),
        )
    });
    let rule = keys.prop_map(move |(at, contains, conditions, reply, direction, port, repeat, transport)| {
        let message = if repeat == 0 { "message = 'first'".to_owned() } else { format!("message = 'any'\nrepeat = {repeat}") };
        let reply = reply.map_or_else(String::new, |at| format!("reply = {{ at = [{}] }}\n", at.join(", ")));
        format!(
            "source = 's'\ntransport = {transport}\ndirection = '{direction}'\n{port}\n{message}\n{}{}{}{reply}",
            list("at", at),
            list("contains", contains),
            list("where", conditions),
        )
    });
    prop::collection::vec(rule, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_finds_what_trying_every_rule_finds(
        rules in rules(),
        messages in prop::collection::vec((any::<bool>(), prop::collection::vec(0..3_u8, 1..8)), 1..8),
        tcp in any::<bool>(),
        port in prop::sample::select(vec![80, 443]),
    ) {
        let mut text = HEAD.to_owned();
        for (number, rule) in rules.iter().enumerate() {
            let evidence = if number % 3 == 0 { "evidence = 'payload-proof'\n" } else { "" };
            text.push_str(&format!("[[payload]]\nname = 'r{number}'\n{evidence}{rule}"));
        }
        // Rules that say nothing, or contradict themselves, are left out.
        let (set, _) = SignatureSet::compile_leniently(&[SourceFile::new("signatures/x/a.toml", text)]);
        let mut script = if tcp { Script::tcp(port) } else { Script::udp(port) };
        let mut naive = std::collections::BTreeSet::new();
        let mut indexed = std::collections::BTreeSet::new();
        for (client, message) in &messages {
            script = script.message(if *client { C } else { S }, message);
            let opening = script.opening();
            let mut tags = Vec::new();
            set.payloads.find_naive(&opening, &set.addresses, &mut Found::new(&mut tags));
            naive.extend(tags.drain(..).map(|tag| tag.rule));
            set.by_payload(&opening, &mut tags);
            indexed.extend(tags.iter().map(|tag| tag.rule));
            tags.retain(|tag| tag.evidence == Evidence::PayloadProof);
            let mut proofs = Vec::new();
            set.by_payload_proof(&opening, &mut proofs);
            prop_assert_eq!(tags, proofs);
            prop_assert_eq!(&naive, &indexed, "{:?}", naive
                .symmetric_difference(&indexed)
                .map(|&rule| &rules[set.rules.short_name(rule)[1..].parse::<usize>().unwrap()])
                .collect::<Vec<_>>());
        }
    }
}
