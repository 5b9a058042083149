//! A flood blinds nobody: with a table that is far too small for it, the connections among it and
//! after it have their names.

use crate::support;

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

/// A classic pcap file.
#[derive(Default)]
struct Pcap {
    bytes: Vec<u8>,
    frames: u64,
}

impl Pcap {
    fn add(&mut self, micros: u32, frame: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
            self.bytes
                .extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
        }
        let len = u32::try_from(frame.len()).unwrap();
        for field in [
            1_700_000_000 + micros / 1_000_000,
            micros % 1_000_000,
            len,
            len,
        ] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(frame);
        self.frames += 1;
    }
}

/// A flood of attempts to the same server in the first second, and ordinary flows from then on.
fn flood(is_tcp: bool) -> Pcap {
    let mut pcap = Pcap::default();
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
        pcap.add(attempt * 50, &frame);
    }
    let request = b"GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n";
    for second in [1, 20, 45, 200] {
        for client in 0..CLIENTS {
            let [high, low] = client.to_be_bytes();
            let client = ([192, 168, high, low], 20_000 + second);
            let at = u32::from(second) * 1_000_000 + u32::from(low) * 10;
            let (there, back) = ([client, server], [server, client]);
            pcap.add(at, &segment(there, [1000, 0], 0x02, b""));
            pcap.add(at + 1, &segment(back, [5000, 1001], 0x12, b""));
            pcap.add(at + 2, &segment(there, [1001, 5001], 0x18, request));
        }
    }
    pcap
}

#[test]
fn flows_among_a_flood_have_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for is_tcp in [true, false] {
        let pcap = flood(is_tcp);
        let path = folder.path().join("flood.pcap");
        std::fs::write(&path, &pcap.bytes).unwrap();
        for more in [
            &["--max-flows", "1000"][..],
            &["--max-flows", "1000", "--workers", "2"],
        ] {
            let flows = support::flows(&path, more);
            let named = flows.iter().filter(|flow| flow["app"] == "youtube");
            assert_eq!(named.count(), 4 * usize::from(CLIENTS), "{more:?}");
            let packets = |flow: &serde_json::Value| -> u64 {
                let counted = &flow["flow"];
                ["pkts_toserver", "pkts_toclient"]
                    .iter()
                    .map(|name| counted[name].as_u64().unwrap())
                    .sum()
            };
            assert_eq!(flows.iter().map(packets).sum::<u64>(), pcap.frames);
        }
    }
}

#[test]
fn half_open_connections_end_when_they_are_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flood.pcap");
    std::fs::write(&path, flood(true).bytes).unwrap();
    for (idle, ended) in [("5s", "idle"), ("10m", "end-of-input")] {
        let flows = support::flows(&path, &["--half-open-idle", idle, "--tcp-idle", "20m"]);
        assert_eq!(flows[0]["flow"]["reason"], ended, "{idle}");
    }
}
