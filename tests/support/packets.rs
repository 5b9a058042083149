//! Small captures made on the way: UDP datagrams over Ethernet.

/// A capture of one UDP datagram for each port and second given, with its file header.
pub(crate) fn datagrams(packets: impl IntoIterator<Item = (u16, u32)>) -> Vec<u8> {
    let mut capture = header();
    for (port, second) in packets {
        capture.extend(datagram(port, second));
    }
    capture
}

pub(crate) fn header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65535, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A record with one datagram from this port and 40,000.
pub(crate) fn datagram(port: u16, second: u32) -> Vec<u8> {
    let payload = b"\x07nothing that anybody knows";
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend(length(28));
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    frame.extend((40_000 + port).to_be_bytes());
    frame.extend(1999_u16.to_be_bytes());
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    let len = u32::try_from(frame.len()).unwrap();
    let mut record: Vec<u8> = [1_700_000_000 + second, 0, len, len]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    record.extend(frame);
    record
}

/// A record with this payload, over UDP between the ports 45,000 and 1,999.
pub(crate) fn message(to_server: bool, second: u32, payload: &[u8]) -> Vec<u8> {
    let mut record = datagram(5000, second);
    let head = 16 + 14 + 20 + 8;
    record.truncate(head);
    record.extend(payload);
    let len = u32::try_from(record.len() - 16).unwrap();
    record[8..12].copy_from_slice(&len.to_le_bytes());
    record[12..16].copy_from_slice(&len.to_le_bytes());
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    record[16 + 14 + 2..][..2].copy_from_slice(&length(28));
    record[16 + 14 + 20 + 4..][..2].copy_from_slice(&length(8));
    if !to_server {
        let ip = &mut record[16 + 14..];
        let (source, destination) = (ip[12..16].to_vec(), ip[16..20].to_vec());
        ip[12..16].copy_from_slice(&destination);
        ip[16..20].copy_from_slice(&source);
        let (source, destination) = (ip[20..22].to_vec(), ip[22..24].to_vec());
        ip[20..22].copy_from_slice(&destination);
        ip[22..24].copy_from_slice(&source);
    }
    record
}
