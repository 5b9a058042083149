//! A flood blinds nobody: with a table that is far too small for it, the connections among it and
//! after it have their names.

use std::time::Duration;

use crate::support::{self, live, netns};

/// Flows of ordinary clients at each time.
const CLIENTS: u16 = 100;

/// An Ethernet frame with a TCP segment.
fn segment(ends: [([u8; 4], u16); 2], numbers: [u32; 2], flags: u8, payload: &[u8]) -> Vec<u8> {
    let [(source, from), (destination, to)] = ends;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    let len = u16::try_from(40 + payload.len()).unwrap();
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(destination);
    frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    frame.extend(numbers.map(u32::to_be_bytes).concat());
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

/// A frame and when it comes, in microseconds.
type Timed = (u32, Vec<u8>);

/// A classic pcap file.
fn pcap(frames: &[Timed]) -> Vec<u8> {
    let mut bytes = support::packets::header();
    for (micros, frame) in frames {
        let len = u32::try_from(frame.len()).unwrap();
        for field in [
            1_700_000_000 + micros / 1_000_000,
            micros % 1_000_000,
            len,
            len,
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}

/// A flood of attempts to the same server in the first second, and ordinary flows half a second after
/// each of `seconds`.
fn flood(is_tcp: bool, seconds: &[u16]) -> Vec<Timed> {
    let mut frames = Vec::new();
    let server = ([172, 16, 0, 1], 80);
    for attempt in 0..20_000_u32 {
        let [a, b, c, d] = (0x1400_0000 + attempt * 77).to_be_bytes();
        let ends = [([a, b, c, d], 1024 + (attempt % 60_000) as u16), server];
        let mut frame = segment(ends, [attempt, 0], 2, &[0xa5; 8]);
        if is_tcp {
            frame.truncate(54);
            frame[17] = 40;
        } else {
            // The same octets as a datagram.
            frame[23] = 17;
            frame[38..42].copy_from_slice(&[0, 28, 0, 0]);
        }
        frames.push((attempt * 50, frame));
    }
    let request = b"GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n";
    for &second in seconds {
        for client in 0..CLIENTS {
            let [high, low] = client.to_be_bytes();
            let client = ([192, 168, high, low], 20_000 + second);
            let at = u32::from(second) * 1_000_000 + 500_000 + u32::from(low) * 10;
            let (there, back) = ([client, server], [server, client]);
            frames.push((at, segment(there, [1000, 0], 0x02, b"")));
            frames.push((at + 1, segment(back, [5000, 1001], 0x12, b"")));
            frames.push((at + 2, segment(there, [1001, 5001], 0x18, request)));
        }
    }
    frames.sort_by_key(|&(micros, _)| micros);
    frames
}

#[test]
fn flows_among_a_flood_have_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for is_tcp in [true, false] {
        let frames = flood(is_tcp, &[0, 1, 20, 45, 200]);
        let path = folder.path().join("flood.pcap");
        std::fs::write(&path, pcap(&frames)).unwrap();
        for more in [
            &["--max-flows", "1000"][..],
            &["--max-flows", "1000", "--workers", "2"],
        ] {
            let flows = support::flows(&path, more);
            let named = flows.iter().filter(|flow| flow["app"] == "youtube");
            assert_eq!(named.count(), 5 * usize::from(CLIENTS), "{more:?}");
            let packets = |flow: &serde_json::Value| -> u64 {
                let counted = &flow["flow"];
                ["pkts_toserver", "pkts_toclient"]
                    .iter()
                    .map(|name| counted[name].as_u64().unwrap())
                    .sum()
            };
            assert_eq!(flows.iter().map(packets).sum::<u64>(), frames.len() as u64);
        }
    }
}

/// The same from an interface, whose frames come by the clock: among the flood, behind it while its
/// attempts fill the table, and after they have left.
#[test]
fn flows_among_a_flood_have_their_names_in_live() {
    const SECONDS: &[u16] = &[0, 1, 3, 5];
    for is_tcp in [true, false] {
        let Some((sender, receiver)) = live::lab() else {
            return;
        };
        let frames = flood(is_tcp, SECONDS);
        let arguments = ["--max-flows", "1000", "--half-open-idle", "3s"];
        let run = live::Live::start(&receiver, "mirror0", &arguments);
        let mut out = sender.sender("out0");
        let begin = live::clock();
        // A hundredth of a second at a time: the kernel cannot wait for less.
        for chunk in frames.chunk_by(|one, other| one.0 / 10_000 == other.0 / 10_000) {
            let due = Duration::from_micros(chunk[0].0.into());
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            netns::send(&mut out, chunk.iter().map(|(_, frame)| frame.as_slice()));
        }
        let (state, _) = run.stop();
        live::assert_closes(&state);
        assert_eq!(
            live::number(&state, "/ledger/wire/packets"),
            frames.len() as u64,
            "{state:#}"
        );
        let rows = state["rows"].as_array().unwrap();
        let named: u64 = rows
            .iter()
            .filter(|row| row["name"] == "youtube" && row["evidence"] == "server-name")
            .map(|row| live::number(row, "/flows"))
            .sum();
        let victims = u64::from(CLIENTS) * SECONDS.len() as u64;
        assert!(
            named * 100 >= victims * 95,
            "{named} of {victims}: {state:#}"
        );
    }
}

#[test]
fn half_open_connections_end_when_they_are_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flood.pcap");
    std::fs::write(&path, pcap(&flood(true, &[1, 20, 45, 200]))).unwrap();
    for (idle, ended) in [("5s", "idle"), ("10m", "end-of-input")] {
        let flows = support::flows(&path, &["--half-open-idle", idle, "--tcp-idle", "20m"]);
        assert_eq!(flows[0]["flow"]["reason"], ended, "{idle}");
    }
}
