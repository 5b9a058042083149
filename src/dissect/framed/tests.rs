#![allow(clippy::indexing_slicing)]

use super::super::trial::{Trial, hex, withstands};
use super::*;

/// What either side sends in the middle of a stream; the port is no registered one.
fn middle(side: Side, bytes: &[u8]) -> Trial {
    let trial = Trial::tcp(40_000).mid_stream();
    match side {
        Side::Client => trial.client(bytes),
        Side::Server => trial.server(bytes),
    }
}

fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("t:") {
        Some(text) => text.as_bytes().to_vec(),
        None => hex(text),
    }
}

/// A name, the protocol, who sends it, the bytes.
type Row = (&'static str, Proto, Side, &'static str);

const SURE: &[Row] = &[
    (
        "query",
        Proto::POSTGRES,
        Side::Client,
        "51 00 00 00 0d 53 45 4c 45 43 54 20 31 00",
    ),
    (
        "a row, its end, ready",
        Proto::POSTGRES,
        Side::Server,
        "44 00 00 00 0b 00 01 00 00 00 01 31 43 00 00 00 0d 53 45 4c 45 43 54 20 31 00 5a 00 00 00 05 49",
    ),
    (
        "ready alone",
        Proto::POSTGRES,
        Side::Server,
        "5a 00 00 00 05 54",
    ),
    (
        "bind, execute, sync",
        Proto::POSTGRES,
        Side::Client,
        "42 00 00 00 0c 00 00 00 00 00 00 00 00 45 00 00 00 09 00 00 00 00 00 53 00 00 00 04",
    ),
    (
        "query",
        Proto::MYSQL,
        Side::Client,
        "09 00 00 00 03 53 45 4c 45 43 54 20 31",
    ),
    (
        "ok",
        Proto::MYSQL,
        Side::Server,
        "07 00 00 01 00 00 00 02 00 00 00",
    ),
    (
        "an error",
        Proto::MYSQL,
        Side::Server,
        "0f 00 00 01 ff 28 04 23 34 32 30 30 30 59 6f 75 20 68 61",
    ),
    (
        "columns",
        Proto::MYSQL,
        Side::Server,
        "01 00 00 01 01 06 00 00 02 03 64 65 66 00 00",
    ),
    (
        "a batch",
        Proto::MSSQL_TDS,
        Side::Client,
        "01 01 00 22 00 00 01 00 16 00 00 00 12 00 00 00 02 00 00*8 01 00 00 00 73 00 65 00",
    ),
    (
        "a result",
        Proto::MSSQL_TDS,
        Side::Server,
        "04 01 00 15 00 34 01 00 fd 10 00 c1 00 01 00 00 00 00 00 00 00",
    ),
    (
        "data of a function",
        Proto::ORACLE,
        Side::Client,
        "00 10 00 00 06 00 00 00 00 00 03 5e 11 02 03 04",
    ),
    (
        "data, a long length",
        Proto::ORACLE,
        Side::Server,
        "00 00 00 10 06 00 00 00 00 00 08 01 02 03 04 05",
    ),
    (
        "a message",
        Proto::MONGODB,
        Side::Client,
        "1a 00 00 00 01 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 05 00 00 00 00",
    ),
    (
        "an answer",
        Proto::MONGODB,
        Side::Server,
        "1a 00 00 00 09 00 00 00 01 00 00 00 dd 07 00 00 00 00 00 00 00 05 00 00 00 00",
    ),
    (
        "a query",
        Proto::CASSANDRA,
        Side::Client,
        "04 00 00 05 07 00 00 00 10 00 00 00 08 53 45 4c 45 43 54 20 31 00 01 00 00",
    ),
    (
        "a result",
        Proto::CASSANDRA,
        Side::Server,
        "84 00 00 05 08 00 00 00 04 00 00 00 01",
    ),
    (
        "a request",
        Proto::KAFKA,
        Side::Client,
        "00 00 00 11 00 03 00 09 00 00 00 07 00 07 72 64 6b 61 66 6b 61",
    ),
    (
        "publish",
        Proto::AMQP,
        Side::Client,
        "01 00 01 00 00 00 05 00 3c 00 28 00 ce 02 00 01 00 00 00 0e 00 3c 00 00 00*8 00 00 ce",
    ),
    (
        "heartbeat",
        Proto::AMQP,
        Side::Server,
        "08 00 00 00 00 00 00 ce",
    ),
    (
        "an answer's head and data",
        Proto::HTTP2,
        Side::Server,
        "00 00 02 01 04 00 00 00 03 88 c0 00 00 01 00 00 00 00 00 03 5a",
    ),
    (
        "window",
        Proto::HTTP2,
        Side::Client,
        "00 00 04 08 00 00 00 00 00 00 0f 00 01",
    ),
    (
        "heartbeat of 1.0",
        Proto::AMQP,
        Side::Client,
        "00 00 00 08 02 00 00 00",
    ),
    (
        "transfer",
        Proto::AMQP,
        Side::Client,
        "00 00 00 0e 02 00 00 01 00 53 14 c0 01 00",
    ),
    (
        "a command",
        Proto::REDIS,
        Side::Client,
        "t:*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    ),
    ("a value", Proto::REDIS, Side::Server, "t:$5\r\nhello\r\n"),
    (
        "a push",
        Proto::REDIS,
        Side::Server,
        "t:*3\r\n$9\r\nsubscribe\r\n$3\r\nFoo\r\n:1\r\n",
    ),
    (
        "publish",
        Proto::NATS,
        Side::Client,
        "t:PUB a.b 5\r\nhello\r\n",
    ),
    (
        "message",
        Proto::NATS,
        Side::Server,
        "t:MSG a.b 1 5\r\nhello\r\n",
    ),
    (
        "values",
        Proto::MEMCACHED,
        Side::Server,
        "t:VALUE a 0 5\r\nhello\r\nEND\r\n",
    ),
    (
        "set",
        Proto::MEMCACHED,
        Side::Client,
        "t:set a 0 0 5\r\nhello\r\n",
    ),
    ("stored", Proto::MEMCACHED, Side::Server, "t:STORED\r\n"),
    (
        "read",
        Proto::ISCSI,
        Side::Client,
        "01 c1 00 00 00 00 00 00 00 01 00*6 00 00 00 05 00 00 02 00 00 00 00 09 00 00 00 03 28 00 00 00 00 00 00 00 01 00*7",
    ),
    (
        "data",
        Proto::ISCSI,
        Side::Server,
        "25 81 00 00 00 00 00 04 00*8 00 00 00 05 ff*4 00 00 00 03 00*20 5a*4",
    ),
];

#[test]
fn the_middle_is_recognised_from_either_end() {
    for &(name, proto, side, text) in SURE {
        let bytes = bytes(text);
        for end in [Side::Client, Side::Server] {
            let facts = middle(end, &bytes).facts(dissect);
            assert_eq!(facts.proto, Some(proto), "{name}");
            if !matches!(
                proto,
                Proto::AMQP | Proto::REDIS | Proto::ORACLE | Proto::HTTP2
            ) {
                assert_eq!(facts.swapped, end != side, "{proto:?} {name}");
            }
        }
        // Behind the rest of another message, in a segment of its own.
        let later = match side {
            Side::Client => Trial::tcp(40_000)
                .mid_stream()
                .client(b"\xee\xdd")
                .client(&bytes),
            Side::Server => Trial::tcp(40_000)
                .mid_stream()
                .server(b"\xee\xdd")
                .server(&bytes),
        };
        assert_eq!(later.facts(dissect).proto, Some(proto), "{name}, later");
    }
}

#[test]
fn only_the_middle_is_looked_at() {
    for &(_, _, _, text) in SURE {
        Trial::tcp(40_000).client(bytes(text)).refused(dissect);
    }
}

#[test]
fn weak_signs_need_the_registered_port() {
    for (port, text) in [
        (6379, "t:+OK\r\n"),
        (6379, "t::1\r\n"),
        (4222, "t:PING\r\n"),
        (11_211, "t:END\r\n"),
        (5432, "53 00 00 00 04"),
    ] {
        let at = |port| Trial::tcp(port).mid_stream().server(bytes(text));
        assert!(at(port).facts(dissect).proto.is_some(), "{text}");
        at(40_000).refused(dissect);
    }
}

/// Lengths that lie, and what is cut.
#[test]
fn lies_are_refused() {
    for text in [
        "51 00 00 00 0e 53 45 4c 45 43 54 20 31 01 02",
        "51 00 00 00 0d 53 45 4c 01 02 54 20 31 00",
        "5a 00 00 00 06 54 00",
        "44 00 00 00 0b 00 01 00 00 00 02 31 43 00 00 00 0d 53 45 4c 45 43 54 20 31 00",
        "09 00 00 01 03 53 45 4c 45 43 54 20 31",
        "01 00 00 01 01 06 00 00 03 03 64 65 66 00 00",
        "04 01 00 15 00 34 01 01 fd 10 00 c1 00 01 00 00 00 00 00 00 00",
        "04 01 00 15 00 34 01 00 fd 10 00 c1 00 01 00 00 00 00 00 00 01",
        "1a 00 00 00 01 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 55 00 00 00 00",
        "04 00 00 05 07 00 00 00 10 00 00 00 18 53 45 4c 45 43 54 20 31 00 01 00 00",
        "00 00 00 11 00 73 00 09 00 00 00 07 00 07 72 64 6b 61 66 6b 61",
        "01 00 01 00 00 00 05 00 3c 00 28 00 cf",
        "08 00 00 00 00 00 00 cf",
        "t:$5\r\nhello!\r\n",
        "t:*2\r\n$3\r\nGETT\r\n",
        "t:PUB a.b 4\r\nhello\r\n",
        "t:VALUE a 0 4\r\nhello\r\n",
        "t:STORED \r\n",
    ] {
        middle(Side::Client, &bytes(text)).refused(dissect);
        middle(Side::Server, &bytes(text)).refused(dissect);
    }
}

/// What has no meaning has no name, whatever its length.
#[test]
fn constant_counting_and_repeating_bytes_are_nothing() {
    for len in (1..200).chain([256, 512, 1000, 1460, 1500]) {
        for first in 0..=255_u8 {
            let constant = vec![first; len];
            let counting: Vec<u8> = (0..len).map(|at| first.wrapping_add(at as u8)).collect();
            let pair: Vec<u8> = (0..len).map(|at| [first, 0, 0, 0][at % 4]).collect();
            for bytes in [constant, counting, pair] {
                let trial = Trial::tcp(40_000).mid_stream().client(&bytes);
                let (outcome, facts) = trial.ask(dissect);
                assert!(
                    !matches!(outcome, Outcome::Partial | Outcome::Done),
                    "{len} bytes from {first}: {:?}",
                    facts.proto
                );
            }
        }
    }
}

/// One byte among zeros, again and again, at either end of each repetition.
#[test]
fn a_lone_byte_among_zeros_is_nothing() {
    for len in (1..130).chain([200, 256, 512, 1000, 1460]) {
        for byte in [1, 2, 3, 5, 8, 0x16, 0x30, 0x53, 0x80, 0xff] {
            for period in 2..17 {
                for place in [0, period - 1] {
                    let bytes: Vec<u8> = (0..len)
                        .map(|at| if at % period == place { byte } else { 0 })
                        .collect();
                    let trial = Trial::tcp(40_000).mid_stream();
                    let twice = trial.client(&bytes).server(&bytes).client(&bytes);
                    let (outcome, facts) = twice.ask(dissect);
                    assert!(
                        !matches!(outcome, Outcome::Partial | Outcome::Done),
                        "{byte} of {period}, {len} bytes: {:?}",
                        facts.proto
                    );
                }
            }
        }
    }
}

#[test]
fn no_bytes_are_too_odd() {
    let seeds: Vec<Trial> = SURE
        .iter()
        .map(|&(_, _, side, text)| middle(side, &bytes(text)))
        .collect();
    withstands(dissect, &seeds);
}
