//! Live runs without an interface: frames in datagrams of a mirror, captures over TCP. On loopback, and
//! without any right.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support;
use crate::support::live::{Live, assert_closes, clock, number, sum};

/// Captures of Ethernet, none of them cut.
const CAPTURES: [&str; 4] = ["wechat-mmtls", "apple-push", "discord-voice", "http"];

fn path(name: &str) -> String {
    let path = support::root().join(format!("pcaps/{name}.pcap"));
    path.to_str().unwrap().to_owned()
}

fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for name in CAPTURES {
        let mut capture = pcap::Capture::from_file(path(name)).unwrap();
        assert_eq!(capture.get_datalink(), pcap::Linktype::ETHERNET);
        while let Ok(packet) = capture.next_packet() {
            assert_eq!(packet.header.len, packet.header.caplen);
            frames.push(packet.data.to_vec());
        }
    }
    frames
}

/// What `read` says of captures.
fn read<'a>(captures: impl IntoIterator<Item = &'a str>, more: &[&'a str]) -> Value {
    let mut arguments = vec!["read", "--format", "json"];
    arguments.extend(more);
    arguments.extend(captures);
    serde_json::from_str(&support::succeed(arguments)).unwrap()
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    [&[0x08, 0, 0, 0, 0, 0x12, 0x34, 0][..], frame].concat()
}

/// With an option of two words.
fn geneve(frame: &[u8]) -> Vec<u8> {
    let header = [2, 0, 0x65, 0x58, 0, 0x12, 0x34, 0, 1, 8, 3, 1, 0, 0, 0, 7];
    [&header, frame].concat()
}

/// A UDP port that nobody has, and who sends to it.
fn udp_port() -> (u16, UdpSocket) {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    (port, UdpSocket::bind("127.0.0.1:0").unwrap())
}

fn tcp_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[test]
fn frames_in_datagrams_are_those_of_the_capture() {
    let captures = CAPTURES.map(path);
    let expected = read(captures.iter().map(String::as_str), &[]);
    let frames = frames();
    type Wrap = fn(&[u8]) -> Vec<u8>;
    for (scheme, wrap, more) in [
        ("vxlan", vxlan as Wrap, &["--threads", "1"][..]),
        ("geneve", geneve, &["--steer", "inner", "--workers", "2"]),
        ("vxlan", vxlan, &["--scope", "tunnel", "--steer", "inner"]),
    ] {
        let (port, sender) = udp_port();
        let source = format!("{scheme}://127.0.0.1:{port}");
        let arguments = [&["-i", &source, "--flows", "flows.jsonl"][..], more].concat();
        let live = Live::start_here(&arguments);
        for (place, frame) in frames.iter().enumerate() {
            sender.send_to(&wrap(frame), ("127.0.0.1", port)).unwrap();
            // Not more at a time than a buffer of the usual size holds.
            if place % 64 == 63 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        // None of the mirror's.
        for odd in [&[][..], &[0; 7], &[0x40; 60]] {
            sender.send_to(odd, ("127.0.0.1", port)).unwrap();
        }
        // What has come before the end is taken in.
        let (state, folder) = live.stop();
        assert_closes(&state);
        assert_eq!(state["rows"], expected["rows"], "{scheme} {more:?}");
        let wire = |state: &Value, of: &str| number(state, &format!("/ledger/wire/{of}"));
        assert_eq!(wire(&state, "packets"), frames.len() as u64 + 3);
        assert_eq!(wire(&state, "bytes"), wire(&expected, "bytes") + 7 + 60);
        assert_eq!(number(&state, "/ledger/counted/malformed/packets"), 3);
        assert_eq!(sum(&state, "received"), frames.len() as u64 + 3);
        assert_eq!(sum(&state, "dropped_ring"), 0);
        assert_eq!(state["sources"][0]["interface"], source);
        let records = fs::read_to_string(folder.path().join("flows.jsonl")).unwrap();
        assert!(records.lines().count() > 10);
        for line in records.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["tunnel"], scheme, "{line}");
        }
    }
}

#[test]
fn a_filter_is_for_the_frames_inside() {
    let captures = CAPTURES.map(path);
    let filter = ["--filter", "tcp port 443"];
    let expected = read(captures.iter().map(String::as_str), &filter);
    let (port, sender) = udp_port();
    let source = format!("vxlan://127.0.0.1:{port}");
    let live = Live::start_here(&[&["-i", &source][..], &filter].concat());
    for frame in frames() {
        let wrapped = vxlan(&frame);
        sender.send_to(&wrapped, ("127.0.0.1", port)).unwrap();
        thread::sleep(Duration::from_micros(200));
    }
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(state["rows"], expected["rows"]);
    assert_ne!(state["rows"].as_array().unwrap().len(), 0);
}

#[test]
fn datagrams_without_room_are_counted() {
    let (port, sender) = udp_port();
    let source = format!("vxlan://127.0.0.1:{port}");
    let live = Live::start_here(&["-i", &source, "--ring-size", "1MiB"]);
    let frame = frames().into_iter().max_by_key(Vec::len).unwrap();
    let datagram = vxlan(&frame);
    // More than a buffer holds, while nobody takes them.
    live.signal(Signal::SIGSTOP);
    let sent = 8_000_u64;
    for _ in 0..sent {
        sender.send_to(&datagram, ("127.0.0.1", port)).unwrap();
    }
    live.signal(Signal::SIGCONT);
    let (state, _) = live.stop();
    assert_closes(&state);
    let dropped = sum(&state, "dropped_ring");
    assert!(dropped > 0, "{state:#}");
    assert_eq!(sum(&state, "received"), sent);
    assert_eq!(number(&state, "/ledger/wire/packets") + dropped, sent);
    assert_eq!(number(&state, "/dropped/ring"), dropped);
}

#[test]
fn a_run_that_nothing_comes_to_ends_at_once() {
    let nobody = tcp_port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    for source in [
        format!("vxlan://127.0.0.1:{}", udp_port().0),
        format!("geneve://[::]:{}", udp_port().0),
        format!("pcap://127.0.0.1:{nobody}"),
        format!("pcap://{silent}"),
        format!("pcap-listen://127.0.0.1:{}", tcp_port()),
    ] {
        let live = Live::start_here(&["-i", &source]);
        // No right is left that nothing is done with.
        assert!(live.log().contains("capabilities: none"), "{}", live.log());
        thread::sleep(Duration::from_millis(300));
        let begin = clock();
        live.signal(Signal::SIGINT);
        let (state, _) = live.stop();
        assert!(begin.elapsed() < Duration::from_secs(5), "{source}");
        assert_closes(&state);
        assert_eq!(number(&state, "/ledger/wire/packets"), 0, "{source}");
    }
}

#[test]
fn a_capture_comes_over_tcp_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(path("wechat-mmtls")).unwrap();
    let other = fs::read(path("discord-voice")).unwrap();
    // In the middle of a record: the last one is whole.
    let cut = whole.get(..whole.len() - 9).unwrap().to_vec();
    let cut_path = folder.path().join("cut.pcap");
    fs::write(&cut_path, &cut).unwrap();
    let expected = read([cut_path.to_str().unwrap(), &path("discord-voice")], &[]);

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("pcap://{}", server.local_addr().unwrap());
    let live = Live::start_here(&["-i", &source]);
    let (last, _) = {
        let mut first = server.accept().unwrap().0;
        first.write_all(&cut).unwrap();
        drop(first);
        live.wait_for("the file ends inside a record");
        let mut no_capture = server.accept().unwrap().0;
        no_capture
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        drop(no_capture);
        live.wait_for("not a capture file");
        // Who says nothing at all is no damage.
        drop(server.accept().unwrap());
        let mut last = server.accept().unwrap();
        // By and by, as frames come.
        for part in other.chunks(700) {
            last.0.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        last
    };
    let (state, _) = live.stop();
    drop(last);
    assert_closes(&state);
    assert_eq!(state["rows"], expected["rows"]);
    let packets = number(&expected, "/ledger/wire/packets");
    assert_eq!(number(&state, "/ledger/wire/packets"), packets);
    assert_eq!(sum(&state, "received"), packets);
    assert_eq!(sum(&state, "dropped_interface"), 2, "two streams broke");
    assert_eq!(state["sources"][0]["state"], "up");
}

#[test]
fn who_connects_cannot_lie_for_long() {
    let port = tcp_port();
    let source = format!("pcap-listen://127.0.0.1:{port}");
    let live = Live::start_here(&["-i", &source]);
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut header = Vec::new();
    // Nanoseconds, version 2.4, a snapshot length of 16 MiB, Ethernet.
    for number in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 16 << 20, 1] {
        header.extend(number.to_le_bytes());
    }
    let record = |captured: u32, original: u32| {
        let numbers = [1_700_000_000_u32, 0, captured, original];
        numbers.map(u32::to_le_bytes).concat()
    };
    let compressed = {
        let whole = fs::read(path("http")).unwrap();
        zstd::encode_all(&whole[..], 1).unwrap()
    };
    // A record longer than any, one that no room is made for, and what would have to be unpacked.
    for (stream, said) in [
        (
            [&header[..], &record(u32::MAX, 1)].concat(),
            "captured bytes, where",
        ),
        (
            [&header[..], &record(8 << 20, 8 << 20), &[0; 4096]].concat(),
            "are the most",
        ),
        (compressed, "not a capture file"),
    ] {
        let mut peer = connect();
        // It may have hung up by then.
        let _ = peer.write_all(&stream);
        live.wait_for(said);
    }
    // The next one is heard all the same; its original lengths count as captured.
    let mut peer = connect();
    peer.write_all(&header).unwrap();
    for original in [0, 60, u32::MAX] {
        peer.write_all(&record(60, original)).unwrap();
        peer.write_all(&[0; 60]).unwrap();
    }
    drop(peer);
    live.wait_for("their original lengths cannot be true");
    assert!(live.resident() < 600 << 20, "{}", live.resident());
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/ledger/wire/packets"), 3);
    assert_eq!(number(&state, "/ledger/wire/bytes"), 180);
    assert_eq!(sum(&state, "dropped_interface"), 3);
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = format!("vxlan://{}", taken.local_addr().unwrap());
    let rows: [(&[&str], i32, &str); 8] = [
        (
            &["-i", "gre://0.0.0.0"],
            2,
            "frames come from vxlan://, geneve://",
        ),
        (&["-i", "vxlan://mirror"], 2, "`mirror` is not an address"),
        (&["-i", "pcap://"], 2, "names no host"),
        (&["-i", "vxlan://", "-i", "vxlan://"], 2, "is named twice"),
        (
            &["-i", "vxlan://", "--threads", "2"],
            2,
            "set steer = \"inner\" and workers",
        ),
        (&["-i", &taken], 1, "another program has this port"),
        (&["-i", "vxlan://192.0.2.7:0"], 2, "is not ADDRESS:PORT"),
        (
            &["-i", "pcap://127.0.0.1", "--filter", "udp prot 1"],
            1,
            "syntax error",
        ),
    ];
    for (arguments, code, said) in rows {
        let output = support::ottometer([&["live"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
